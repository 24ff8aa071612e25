//! What a speech service heard, service-neutral: the adapters translate their wire types into
//! this, and nothing of the wire goes further. Every value is optional and believed to nobody.
//! It can be stored as JSON, which is how the built-in recogniser keeps its reply.

use serde::{Deserialize, Serialize};

use crate::domain::audio::Damage;

/// The longest speaker label that is kept, in characters.
const LONGEST_LABEL: usize = 80;

/// What a speech service heard in one recording; times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heard {
    /// The whole text.
    pub text: String,
    /// The language, in the service's spelling.
    pub language: Option<String>,
    /// The length of the recording.
    pub duration: Option<f64>,
    /// Stretches of text with their times.
    pub segments: Vec<HeardSegment>,
    /// Words with their times.
    pub words: Vec<HeardWord>,
    /// Who spoke when; the labels may differ from those of the words.
    pub turns: Vec<HeardTurn>,
    /// Whether the segments are whole pieces of a recording that was cut, with their texts.
    pub pieces: bool,
    /// Where whoever recognised found no speech, from when to when.
    pub silences: Vec<(f64, f64)>,
    /// What of the recording whoever recognised could not decode.
    pub damage: Option<Damage>,
    /// Why there is no text, where the reply has none in its place; an empty text is silence.
    pub no_text: Option<String>,
    /// The error that the service names beside the result.
    pub error: Option<String>,
}

/// A stretch of text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeardSegment {
    /// When it begins.
    pub start: Option<f64>,
    /// When it ends.
    pub end: Option<f64>,
    /// What was said.
    pub text: String,
    /// The service's label of the speaker.
    pub speaker: Option<String>,
}

/// A word, or what the service lists among the words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeardWord {
    /// The word, perhaps with white space and punctuation around it.
    pub text: String,
    /// When it begins.
    pub start: Option<f64>,
    /// When it ends.
    pub end: Option<f64>,
    /// What it is.
    pub kind: WordKind,
    /// The service's label of the speaker.
    pub speaker: Option<String>,
}

/// What an entry of the word list is; an open set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordKind {
    /// A spoken word.
    #[default]
    Word,
    /// Punctuation.
    Punctuation,
    /// White space between words.
    Spacing,
    /// A sound that is no speech.
    AudioEvent,
    /// Anything else; treated as a word.
    Other(String),
}

/// A stretch of one speaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeardTurn {
    /// The service's label of the speaker.
    pub speaker: String,
    /// What was said.
    pub text: String,
    /// When it begins.
    pub start: Option<f64>,
    /// When it ends.
    pub end: Option<f64>,
}

impl WordKind {
    /// Reads the service's word for it; nothing counts as a word.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "word" => Self::Word,
            "punctuation" => Self::Punctuation,
            "spacing" => Self::Spacing,
            "audio_event" => Self::AudioEvent,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Heard {
    /// Takes out control characters, line-end variants and blank entries.
    pub(super) fn cleaned(mut self) -> Self {
        self.text = clean(&self.text).trim().to_owned();
        self.language = self
            .language
            .map(|name| label(&name))
            .filter(|name| !name.is_empty());
        for segment in &mut self.segments {
            segment.text = one_line(&segment.text);
            segment.speaker = cleaned_label(segment.speaker.as_deref());
        }
        self.segments.retain(|segment| !segment.text.is_empty());
        for word in &mut self.words {
            word.text = clean(&word.text);
            word.speaker = cleaned_label(word.speaker.as_deref());
        }
        self.words.retain(|word| !word.text.is_empty());
        for turn in &mut self.turns {
            turn.text = one_line(&turn.text);
            turn.speaker = label(&turn.speaker);
        }
        self
    }
}

/// Collapses every run of white space into one space.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in clean(text).split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

fn cleaned_label(speaker: Option<&str>) -> Option<String> {
    speaker.map(label).filter(|label| !label.is_empty())
}

fn label(text: &str) -> String {
    let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_clean && text.len() <= LONGEST_LABEL {
        return text.to_owned();
    }
    one_line(text).chars().take(LONGEST_LABEL).collect()
}

fn clean(text: &str) -> String {
    if text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return text.to_owned();
    }
    text.replace("\r\n", "\n")
        .chars()
        .filter(|character| *character != '\u{feff}')
        .filter(|character| !character.is_control() || character.is_whitespace())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_word_kinds_are_kept_by_name() {
        assert_eq!(WordKind::from_name("Audio_Event"), WordKind::AudioEvent);
        assert_eq!(
            WordKind::from_name("filler"),
            WordKind::Other("filler".to_owned())
        );
    }

    #[test]
    fn control_characters_and_byte_order_marks_are_taken_out() {
        assert_eq!(one_line("\u{feff}a\0b\r\n\tc \u{2028} d"), "ab c d");
    }

    #[test]
    fn a_stored_reply_with_keys_left_out_is_read() {
        let heard: Heard = serde_json::from_str(r#"{"words": [{"text": "hi"}]}"#).unwrap();
        assert_eq!(heard.words[0].kind, WordKind::Word);
    }

    #[test]
    fn what_was_heard_survives_storing() {
        let heard = Heard {
            words: vec![HeardWord {
                kind: WordKind::Other("filler".to_owned()),
                ..HeardWord::default()
            }],
            ..Heard::default()
        };
        let stored = serde_json::to_string(&heard).unwrap();
        assert_eq!(serde_json::from_str::<Heard>(&stored).unwrap(), heard);
    }
}
