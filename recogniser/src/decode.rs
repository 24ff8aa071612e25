//! Saying one window: greedily first, then with rising temperature until the text is plausible.
//!
//! The fallback is that of Whisper's paper (section 4.5): temperatures 0 to 1 in steps of 0.2, accepted
//! when the mean log-probability is over −1 and the text is no loop. A window without speech is told
//! by the no-speech token together with a low mean log-probability.

use crate::decoder::Decoder;
use crate::encoder::Pulse;
use crate::error::Stopped;
use crate::kernels;
use crate::random::Random;
use crate::repetition::{is_monotonous, loop_start};
use crate::rules::Rules;
use crate::tokenizer::{Specials, Token};

/// The temperatures in the order in which they are tried.
const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// The mean log-probability under which a text is tried again.
const PLAUSIBLE: f32 = -1.0;
/// The probability of the no-speech token over which an implausible text is taken for silence.
const NO_SPEECH: f32 = 0.6;

/// What a loop costs against other implausible texts, as a mean log-probability: people do say the same
/// thing five times in a row, and then its first saying is better than a guess at random.
const LOOP_PENALTY: f32 = 1.0;

/// What was said of a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// Text and timestamps without the end of text.
    pub(crate) tokens: Vec<Token>,
    pub(crate) mean_log_probability: f32,
    pub(crate) no_speech_probability: f32,
    looped: bool,
}

impl Said {
    /// Whether the window holds no speech.
    pub(crate) fn is_silence(&self) -> bool {
        self.no_speech_probability > NO_SPEECH && self.mean_log_probability < PLAUSIBLE
    }

    /// Whether it can be taken for what was said.
    pub(crate) fn is_plausible(&self) -> bool {
        !self.looped && self.mean_log_probability >= PLAUSIBLE
    }

    fn quality(&self) -> f32 {
        self.mean_log_probability - if self.looped { LOOP_PENALTY } else { 0.0 }
    }

    /// Whether this is to be kept rather than `other`.
    fn is_better_than(&self, other: &Self) -> bool {
        self.quality() > other.quality()
    }
}

/// Everything that stays the same for the attempts at one window.
pub(crate) struct Speaker<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) specials: &'a Specials,
    pub(crate) prompt: &'a [Token],
    pub(crate) vocabulary: usize,
    /// The most tokens of one window.
    pub(crate) most: usize,
}

impl Speaker<'_> {
    /// The first plausible attempt, or the best of all; `decoder` makes a decoder that said nothing.
    pub(crate) fn say<'d>(
        &self,
        decoder: &dyn Fn() -> Decoder<'d>,
        random: &mut Random,
        pulse: Pulse<'_>,
    ) -> Result<Said, Stopped> {
        let mut best: Option<Said> = None;
        for temperature in TEMPERATURES {
            let said = self.attempt(decoder(), temperature, random, pulse)?;
            if said.is_plausible() || said.is_silence() {
                return Ok(said);
            }
            if best.as_ref().is_none_or(|best| said.is_better_than(best)) {
                best = Some(said);
            }
        }
        best.ok_or(Stopped)
    }

    fn attempt(
        &self,
        mut decoder: Decoder<'_>,
        temperature: f32,
        random: &mut Random,
        pulse: Pulse<'_>,
    ) -> Result<Said, Stopped> {
        let mut scores = vec![0.0; self.vocabulary];
        let no_speech_probability = self.prompt(&mut decoder, &mut scores);
        let mut tokens = Vec::new();
        let mut sum = 0.0;
        let mut looped = None;
        while tokens.len() < self.most && decoder.has_room() {
            pulse()?;
            self.rules.apply(&tokens, &mut scores);
            let token = choose(&scores, temperature, random);
            sum += log_probability(&scores, token);
            if token == self.specials.end_of_text {
                break;
            }
            tokens.push(token);
            looped = self.loop_start(&tokens);
            if looped.is_some() {
                break;
            }
            decoder.say(token);
            decoder.scores(&mut scores);
        }
        let mean_log_probability = sum / (tokens.len() + 1) as f32;
        let monotonous = is_monotonous(&self.text(&tokens));
        tokens.truncate(looped.unwrap_or(tokens.len()));
        let looped = looped.is_some() || monotonous;
        Ok(Said {
            tokens,
            mean_log_probability,
            no_speech_probability,
            looped,
        })
    }

    /// Says the prompt and gives the probability of no speech right after its start token.
    fn prompt(&self, decoder: &mut Decoder<'_>, scores: &mut [f32]) -> f32 {
        let mut no_speech = 0.0;
        for (place, &token) in self.prompt.iter().enumerate() {
            decoder.say(token);
            let is_start = token == self.specials.start;
            if is_start || place + 1 == self.prompt.len() {
                decoder.scores(scores);
            }
            if is_start {
                no_speech = log_probability(scores, self.specials.no_speech).exp();
            }
        }
        no_speech
    }

    fn text(&self, tokens: &[Token]) -> Vec<Token> {
        tokens
            .iter()
            .copied()
            .filter(|&token| self.specials.is_text(token))
            .collect()
    }

    /// Where a loop in the text begins, as a place among all tokens.
    fn loop_start(&self, tokens: &[Token]) -> Option<usize> {
        let start = loop_start(&self.text(tokens))?;
        let mut places = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| self.specials.is_text(**token));
        places.nth(start).map(|(place, _)| place)
    }
}

/// The likeliest token at temperature 0, else one drawn by its probability.
fn choose(scores: &[f32], temperature: f32, random: &mut Random) -> Token {
    let largest = kernels::largest(scores);
    let likeliest = || scores.iter().position(|&score| score == largest);
    let place = if temperature > 0.0 {
        let mut weights: Vec<f32> = scores.iter().map(|score| score / temperature).collect();
        kernels::softmax(&mut weights);
        draw(&weights, random.fraction()).or_else(likeliest)
    } else {
        likeliest()
    };
    place
        .and_then(|place| Token::try_from(place).ok())
        .unwrap_or_default()
}

/// The place at which the running sum of the probabilities passes `fraction`.
fn draw(probabilities: &[f32], fraction: f64) -> Option<usize> {
    let mut sum = 0.0;
    probabilities.iter().position(|&probability| {
        sum += f64::from(probability);
        probability > 1e-30 && sum > fraction
    })
}

fn log_probability(scores: &[f32], token: Token) -> f32 {
    let score = scores
        .get(token as usize)
        .copied()
        .unwrap_or(f32::NEG_INFINITY);
    score - kernels::log_sum_exp(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::tokenizer::Vocabulary;

    #[test]
    fn at_temperature_zero_the_likeliest_token_is_chosen() {
        assert_eq!(choose(&[0.0, 3.0, 2.9], 0.0, &mut Random::new(1)), 1);
    }

    #[test]
    fn drawing_follows_the_probabilities_and_never_takes_a_forbidden_token() {
        let scores = [0.0, f32::NEG_INFINITY, 1.0];
        let mut random = Random::new(7);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[choose(&scores, 1.0, &mut random) as usize] += 1;
        }
        let share = f64::from(counts[2]) / 10_000.0;
        assert_eq!(counts[1], 0);
        assert!((share - 0.731).abs() < 0.02, "{share}");
    }

    #[test]
    fn a_low_temperature_sharpens_the_draw() {
        let mut random = Random::new(7);
        let drawn = (0..1000)
            .filter(|_| choose(&[0.0, 1.0], 0.2, &mut random) == 1)
            .count();
        assert!(drawn > 980, "{drawn}");
    }

    #[test]
    fn a_loop_is_kept_only_before_much_unlikelier_texts() {
        let said = |looped, mean_log_probability| Said {
            tokens: Vec::new(),
            mean_log_probability,
            no_speech_probability: 0.0,
            looped,
        };
        assert!(said(false, -1.05).is_better_than(&said(true, -0.1)));
        assert!(said(true, -0.1).is_better_than(&said(false, -2.0)));
        assert!(said(false, -1.5).is_better_than(&said(false, -2.0)));
        assert!(!said(true, -1.0).is_plausible() && said(false, -1.0).is_plausible());
    }

    #[test]
    fn silence_needs_both_a_sure_no_speech_token_and_an_implausible_text() {
        let said = |no_speech_probability, mean_log_probability| Said {
            tokens: Vec::new(),
            mean_log_probability,
            no_speech_probability,
            looped: false,
        };
        assert!(said(0.7, -1.1).is_silence());
        assert!(!said(0.7, -0.9).is_silence());
        assert!(!said(0.5, -1.1).is_silence());
    }

    #[test]
    fn a_loop_is_found_beneath_its_timestamps_and_begins_with_the_second_saying() {
        let specials = Specials {
            end_of_text: 10,
            start: 11,
            transcribe: 12,
            no_speech: 14,
            no_timestamps: 15,
            languages: Vec::new(),
        };
        let config = r#"{"num_mel_bins": 80, "max_source_positions": 1500, "d_model": 8,
            "encoder_attention_heads": 1, "encoder_layers": 1, "vocab_size": 1517,
            "max_target_positions": 448, "decoder_attention_heads": 1, "decoder_layers": 1}"#;
        let config = Config::parse(config.as_bytes()).unwrap();
        let vocabulary = Vocabulary::unpack(&[0; 20], specials.clone(), 1517).unwrap();
        let rules = Rules::new(&config, &vocabulary);
        let speaker = Speaker {
            rules: &rules,
            specials: &specials,
            prompt: &[11],
            vocabulary: 1517,
            most: 224,
        };
        let saying = |turn: Token| [16 + 100 * turn, 1, 2, 3, 4, 116 + 100 * turn];
        let tokens: Vec<Token> = (0..6).flat_map(saying).collect();
        let found = speaker.loop_start(&tokens).unwrap();
        assert_eq!(tokens[..found], [16, 1, 2, 3, 4, 116, 116]);
        assert_eq!(speaker.loop_start(&tokens[..18]), None);
    }
}
