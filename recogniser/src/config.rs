//! The sizes and rules of a checkpoint, read from `config.json` and, if it is there, `generation_config.json`.
//!
//! A [`Config`] that exists is within the bounds below, so that later products of its sizes neither
//! overflow nor ask for absurd amounts of memory.

use serde::{Deserialize, Serialize};

/// Encoder positions of every Whisper model: 30 s at 20 ms.
pub(crate) const ENCODER_POSITIONS: usize = 1500;
/// The widest model that is accepted, in channels (Whisper large has 1,280).
const WIDTH_LIMIT: usize = 4096;
/// The deepest stack that is accepted, in layers (Whisper large has 32).
const LAYER_LIMIT: usize = 64;
/// The largest vocabulary that is accepted, in tokens (Whisper has at most 51,866).
const VOCABULARY_LIMIT: usize = 1 << 18;
/// The longest decoder context that is accepted, in tokens (Whisper has 448).
const CONTEXT_LIMIT: usize = 4096;
/// The shortest decoder context that leaves room for a prompt and some text, in tokens.
const CONTEXT_LEAST: usize = 16;

/// Validated sizes and token rules of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    #[serde(rename = "num_mel_bins")]
    pub(crate) mel_bins: usize,
    #[serde(rename = "max_source_positions")]
    pub(crate) encoder_positions: usize,
    #[serde(rename = "d_model")]
    pub(crate) width: usize,
    pub(crate) encoder_attention_heads: usize,
    pub(crate) encoder_layers: usize,
    #[serde(default)]
    pub(crate) encoder_ffn_dim: usize,
    pub(crate) decoder_attention_heads: usize,
    pub(crate) decoder_layers: usize,
    #[serde(default)]
    pub(crate) decoder_ffn_dim: usize,
    #[serde(rename = "vocab_size")]
    pub(crate) vocabulary: usize,
    #[serde(rename = "max_target_positions")]
    pub(crate) context: usize,
    /// Tokens that are never said.
    #[serde(default, deserialize_with = "list_or_null")]
    pub(crate) suppress_tokens: Vec<u32>,
    /// Tokens that are never said first.
    #[serde(default, deserialize_with = "list_or_null")]
    pub(crate) begin_suppress_tokens: Vec<u32>,
}

/// The part of `generation_config.json` that overrides `config.json`.
#[derive(Debug, Default, Deserialize)]
struct Generation {
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
}

/// A list of token ids; `null` is an empty one and negative ids (a habit of some files) are left out.
fn list_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    Ok(token_ids(
        &Option::<Vec<i64>>::deserialize(deserializer)?.unwrap_or_default(),
    ))
}

fn token_ids(ids: &[i64]) -> Vec<u32> {
    ids.iter()
        .filter_map(|&id| u32::try_from(id).ok())
        .collect()
}

impl Config {
    /// Reads `config.json`; the error is the end of a sentence about that file.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let mut config: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if config.encoder_ffn_dim == 0 {
            config.encoder_ffn_dim = config.width.saturating_mul(4);
        }
        if config.decoder_ffn_dim == 0 {
            config.decoder_ffn_dim = config.width.saturating_mul(4);
        }
        config.validate()?;
        Ok(config)
    }

    /// Takes over the token rules of `generation_config.json`.
    pub(crate) fn refine(&mut self, generation: &[u8]) -> Result<(), String> {
        let generation: Generation =
            serde_json::from_slice(generation).map_err(|error| error.to_string())?;
        if let Some(ids) = generation.suppress_tokens {
            self.suppress_tokens = token_ids(&ids);
        }
        if let Some(ids) = generation.begin_suppress_tokens {
            self.begin_suppress_tokens = token_ids(&ids);
        }
        Ok(())
    }

    /// Whether the model was trained on more than English (OpenAI's rule: by the vocabulary's size).
    pub(crate) fn is_multilingual(&self) -> bool {
        self.vocabulary >= 51_865
    }

    /// Checks every size against its bounds.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("d_model", self.width, 8, WIDTH_LIMIT),
            ("encoder_layers", self.encoder_layers, 1, LAYER_LIMIT),
            ("decoder_layers", self.decoder_layers, 1, LAYER_LIMIT),
            ("encoder_ffn_dim", self.encoder_ffn_dim, 8, 8 * WIDTH_LIMIT),
            ("decoder_ffn_dim", self.decoder_ffn_dim, 8, 8 * WIDTH_LIMIT),
            ("vocab_size", self.vocabulary, 1, VOCABULARY_LIMIT),
            (
                "max_target_positions",
                self.context,
                CONTEXT_LEAST,
                CONTEXT_LIMIT,
            ),
            (
                "max_source_positions",
                self.encoder_positions,
                ENCODER_POSITIONS,
                ENCODER_POSITIONS,
            ),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} is {value}, but must be {least} to {most}"));
            }
        }
        if self.mel_bins != 80 && self.mel_bins != 128 {
            return Err(format!(
                "num_mel_bins is {}, but must be 80 or 128",
                self.mel_bins
            ));
        }
        divides(
            "encoder_attention_heads",
            self.encoder_attention_heads,
            self.width,
        )?;
        divides(
            "decoder_attention_heads",
            self.decoder_attention_heads,
            self.width,
        )
    }
}

fn divides(name: &str, heads: usize, width: usize) -> Result<(), String> {
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(format!(
            "{name} is {heads}, which does not divide d_model {width}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"num_mel_bins": 80, "max_source_positions": 1500, "d_model": 384,
        "encoder_attention_heads": 6, "encoder_layers": 4, "vocab_size": 51864,
        "max_target_positions": 448, "decoder_attention_heads": 6, "decoder_layers": 4,
        "suppress_tokens": [1, -1, 7]}"#;

    #[test]
    fn the_sizes_of_tiny_are_accepted_and_its_hidden_width_is_four_times_the_width() {
        let config = Config::parse(TINY.as_bytes()).unwrap();
        assert_eq!(
            (config.width, config.encoder_ffn_dim, config.context),
            (384, 1536, 448)
        );
        assert_eq!(config.suppress_tokens, [1, 7]);
        assert!(!config.is_multilingual());
    }

    #[test]
    fn generation_rules_override_the_configuration() {
        let mut config = Config::parse(TINY.as_bytes()).unwrap();
        config
            .refine(br#"{"suppress_tokens": [5], "begin_suppress_tokens": [220]}"#)
            .unwrap();
        assert_eq!(config.suppress_tokens, [5]);
        assert_eq!(config.begin_suppress_tokens, [220]);
    }

    #[test]
    fn absurd_sizes_are_refused_by_name() {
        let faults = [
            (
                r#""d_model": 384"#,
                r#""d_model": 999999999"#,
                "d_model is 999999999",
            ),
            (r#""d_model": 384"#, r#""d_model": 385"#, "does not divide"),
            (
                r#""encoder_layers": 4"#,
                r#""encoder_layers": 0"#,
                "encoder_layers is 0",
            ),
            (r#"_bins": 80"#, r#"_bins": 81"#, "must be 80 or 128"),
            (
                r#"positions": 1500"#,
                r#"positions": 750"#,
                "max_source_positions is 750",
            ),
            (
                r#""vocab_size": 51864"#,
                r#""vocab_size": -1"#,
                "invalid value",
            ),
        ];
        for (from, to, wanted) in faults {
            let error = Config::parse(TINY.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
