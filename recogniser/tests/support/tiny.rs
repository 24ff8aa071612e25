//! A checkpoint of Whisper's shape, but so small that tests can make, damage and run it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

pub(crate) const WIDTH: usize = 8;
pub(crate) const CONTEXT: usize = 24;
const TEXT: usize = 40;

/// Tensors by name with their shapes, and how their numbers are spelled.
pub(crate) struct Tiny {
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub(crate) vocabulary: usize,
    pub(crate) end_of_text: usize,
}

impl Tiny {
    /// An English model, or a multilingual one (which is told by the size of its vocabulary).
    pub(crate) fn new(multilingual: bool) -> Self {
        let vocabulary = if multilingual {
            51_865
        } else {
            TEXT + 8 + 1501
        };
        let end_of_text = vocabulary - 1501 - 8;
        let mut tiny = Self {
            tensors: BTreeMap::new(),
            vocabulary,
            end_of_text,
        };
        tiny.add("encoder.conv1.weight", &[WIDTH, 80, 3]);
        tiny.add("encoder.conv1.bias", &[WIDTH]);
        tiny.add("encoder.conv2.weight", &[WIDTH, WIDTH, 3]);
        tiny.add("encoder.conv2.bias", &[WIDTH]);
        tiny.add("encoder.embed_positions.weight", &[1500, WIDTH]);
        tiny.add("decoder.embed_positions.weight", &[CONTEXT, WIDTH]);
        tiny.add("decoder.embed_tokens.weight", &[vocabulary, WIDTH]);
        for half in ["encoder", "decoder"] {
            let layer = format!("{half}.layers.0");
            tiny.norm(&format!("{half}.layer_norm"));
            tiny.norm(&format!("{layer}.self_attn_layer_norm"));
            tiny.norm(&format!("{layer}.final_layer_norm"));
            tiny.attention(&format!("{layer}.self_attn"));
            tiny.linear(&format!("{layer}.fc1"), 4 * WIDTH, WIDTH);
            tiny.linear(&format!("{layer}.fc2"), WIDTH, 4 * WIDTH);
        }
        tiny.norm("decoder.layers.0.encoder_attn_layer_norm");
        tiny.attention("decoder.layers.0.encoder_attn");
        tiny
    }

    fn norm(&mut self, name: &str) {
        self.add(&format!("{name}.weight"), &[WIDTH]);
        self.add(&format!("{name}.bias"), &[WIDTH]);
    }

    fn attention(&mut self, name: &str) {
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            self.linear(&format!("{name}.{part}"), WIDTH, WIDTH);
        }
        self.tensors.remove(&format!("model.{name}.k_proj.bias"));
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.add(&format!("{name}.weight"), &[rows, columns]);
        self.add(&format!("{name}.bias"), &[rows]);
    }

    fn add(&mut self, name: &str, shape: &[usize]) {
        let salt = name.bytes().map(usize::from).sum::<usize>();
        let number = |i: usize| ((i * 7919 + salt * 31) % 1009) as f32 / 504.5 - 1.0;
        let numbers = (0..shape.iter().product()).map(number).collect();
        self.tensors
            .insert(format!("model.{name}"), (shape.to_vec(), numbers));
    }

    /// The bytes of a safetensors file of some of the tensors, as `F32` or `BF16`.
    pub(crate) fn safetensors(&self, dtype: &str, wanted: impl Fn(&str) -> bool) -> Vec<u8> {
        let (mut header, mut data) = (String::from("{"), Vec::new());
        for (name, (shape, numbers)) in self.tensors.iter().filter(|(name, _)| wanted(name)) {
            let start = data.len();
            for number in numbers {
                let bytes = number.to_le_bytes();
                data.extend_from_slice(if dtype == "BF16" { &bytes[2..] } else { &bytes });
            }
            let comma = if header.len() > 1 { "," } else { "" };
            let end = data.len();
            write!(
                header,
                r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
            .unwrap();
        }
        header.push('}');
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_bytes(),
            &data,
        ]
        .concat()
    }

    pub(crate) fn config(&self) -> String {
        format!(
            r#"{{"num_mel_bins": 80, "max_source_positions": 1500, "d_model": {WIDTH},
            "encoder_attention_heads": 2, "encoder_layers": 1, "vocab_size": {},
            "max_target_positions": {CONTEXT}, "decoder_attention_heads": 2, "decoder_layers": 1,
            "suppress_tokens": null}}"#,
            self.vocabulary
        )
    }

    pub(crate) fn tokenizer(&self) -> String {
        let specials = [
            "endoftext",
            "startoftranscript",
            "en",
            "de",
            "transcribe",
            "startofprev",
            "nospeech",
            "notimestamps",
        ];
        let words: Vec<String> = (0..TEXT).map(|id| format!(r#""Ġw{id}": {id}"#)).collect();
        let added: Vec<String> = specials
            .iter()
            .zip(self.end_of_text..)
            .map(|(name, id)| format!(r#"{{"id": {id}, "content": "<|{name}|>"}}"#))
            .collect();
        let (words, added) = (words.join(","), added.join(","));
        format!(r#"{{"model": {{"vocab": {{{words}}}}}, "added_tokens": [{added}]}}"#)
    }

    /// Writes the whole checkpoint into a folder.
    pub(crate) fn write(&self, folder: &Path, dtype: &str) {
        self.write_rules(folder);
        let weights = self.safetensors(dtype, |_| true);
        write(&folder.join("model.safetensors"), &weights);
    }

    /// Writes everything but the weights into a folder.
    pub(crate) fn write_rules(&self, folder: &Path) {
        write(&folder.join("config.json"), self.config().as_bytes());
        write(&folder.join("tokenizer.json"), self.tokenizer().as_bytes());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests write into their own temporary folder"
)]
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
