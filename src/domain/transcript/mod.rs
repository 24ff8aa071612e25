//! The transcript: one document model for whatever a speech service returned.
//!
//! [`Heard`] is what came in, with every value optional; [`Transcript`] is what the program works
//! with: times are finite, in seconds, never run backwards for one speaker, and every word of the
//! text is there once and in order. Whatever had to be mended or looks wrong is in `warnings`;
//! nothing is ever dropped from the text.

mod align;
mod build;
mod compose;
mod heard;
mod lend;
mod moments;
mod order;
mod reference;
mod script;
mod sentences;
mod span;
mod speakers;
mod spell;
mod stitch;
mod suspicion;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::silence::Listened;
pub use heard::{Heard, HeardSegment, HeardTurn, HeardWord, WordKind};
pub(crate) use script::{is_spaceless, needs_dictionary};
pub use sentences::{append, ends_clause, ends_sentence, sentences};
pub use span::Span;
pub use stitch::HeardPiece;

/// What was said, by whom and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The whole text as the service gave it, trimmed; empty for silence. Where speakers talk at once
    /// and their words stand mixed in it, they are put together as in `segments`.
    pub text: String,
    /// The language that the service named: the code of two letters where there is one, else as spelled.
    pub language: Option<String>,
    /// The recording's length in seconds, measured or else as the service said.
    pub duration: Option<f64>,
    /// The text in order, in pieces of one speaker each.
    pub segments: Vec<Segment>,
    /// Everybody who speaks in `segments`, or else in `presences`, in the order of their first words.
    pub speakers: Vec<Speaker>,
    /// Who spoke when, in order, where the service tells it without what they said; else empty.
    pub presences: Vec<Presence>,
    /// Sounds that are no speech, which also stand in the text.
    pub events: Vec<AudioEvent>,
    /// How exact the times are.
    pub timing: Timing,
    /// What was mended and what looks wrong.
    pub warnings: Vec<Warning>,
}

/// A stretch of text by one speaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The position in the transcript, from 0.
    pub id: usize,
    /// When it was said; absent when nobody knows.
    pub span: Option<Span>,
    /// Who said it, when the service tells speakers apart.
    pub speaker: Option<SpeakerId>,
    /// The words with their punctuation.
    pub text: String,
    /// Whether white space stands before it in the transcript's text.
    pub spaced: bool,
    /// The words with their times; empty when the service gives none.
    pub words: Vec<Word>,
    /// Whether this is a piece of the recording that has no transcript; the text says so.
    pub missing: bool,
}

/// A word with the punctuation that clings to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word as it stands in the segment's text.
    pub text: String,
    /// When it was said; absent when nobody knows.
    pub span: Option<Span>,
    /// Who said it, when the service tells speakers apart.
    pub speaker: Option<SpeakerId>,
    /// Whether white space stands before it in the segment's text.
    pub spaced: bool,
    /// Whether it names a sound, such as "(laughter)".
    pub event: bool,
}

/// A speaker's number, printed as `SPEAKER_00` like other tools do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpeakerId(pub usize);

/// A text that is no speaker's number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no speaker: write SPEAKER_ and a number, for example SPEAKER_00")]
pub struct NotASpeaker(pub String);

/// Somebody who speaks in the recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    /// The number in the order of first words.
    pub id: SpeakerId,
    /// What the service calls them.
    pub label: String,
    /// What a person calls them.
    pub name: Option<String>,
    /// How long they speak, in seconds.
    pub seconds: f64,
    /// How often they take the word.
    pub turns: usize,
}

/// A time in which somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Presence {
    /// From when to when.
    pub span: Span,
    /// Who.
    pub speaker: SpeakerId,
}

/// A sound that is no speech.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioEvent {
    /// The service's description, such as "(laughter)".
    pub text: String,
    /// When it was heard; absent when nobody knows.
    pub span: Option<Span>,
}

/// How exact the times of a transcript are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Every word has its own times.
    Words,
    /// Every segment has its own times.
    Segments,
    /// Every segment has the times of the piece of a recording that was cut, or a share of them.
    Pieces,
    /// The service gave no times.
    None,
}

/// Something about the transcript that a reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of thing it is.
    pub code: WarningCode,
    /// One sentence with the particulars.
    pub message: String,
}

/// The kinds of warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// A phrase stands many times in a row, as when a recogniser loops.
    Repetition,
    /// The recording is too short for so many words.
    TooManyWords,
    /// There is text, but hardly any time in which it could be said.
    NoSpeechTime,
    /// There is text where the recording is silent, or next to none in a long stretch.
    TextInSilence,
    /// Times were impossible and have been replaced.
    TimesMended,
    /// Times are not used, because they cannot be those of the recording.
    TimesDropped,
    /// Times were milliseconds where seconds belong.
    TimesInMilliseconds,
    /// Times were absent and have been placed between their neighbours.
    TimesFilled,
    /// Times lie behind the end of the recording.
    TimesPastEnd,
    /// The words or segments are not those of the text.
    WordsDiffer,
    /// Speaker labels could not be matched.
    SpeakersUnmatched,
    /// A piece of the recording has no transcript.
    PieceMissing,
    /// Something of the recording cannot be decoded.
    Damaged,
    /// The reply has no text in its place, or something else there.
    NoText,
    /// The service names an error beside the result.
    ServiceError,
}

/// Neighbouring segments of one speaker, or those that are missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn<'a> {
    /// Who speaks, when the service tells speakers apart.
    pub speaker: Option<SpeakerId>,
    /// The segments, one at least.
    pub segments: &'a [Segment],
}

impl Transcript {
    /// Makes the document out of what was heard; `duration` is the measured length in seconds.
    ///
    /// Total: odd input is mended by the rules of this module and flagged, never refused.
    #[must_use]
    pub fn from_heard(heard: Heard, duration: Option<f64>) -> Self {
        build::transcript(heard, duration)
    }

    /// Flags text that stands where the recording is silent and what of it cannot be decoded, unless that is flagged
    /// already.
    pub fn doubt(&mut self, listened: &Listened) {
        let in_silence = suspicion::in_silences(self, &listened.silences);
        let damaged = listened.damage.as_ref().and_then(build::damaged);
        for warning in in_silence.into_iter().chain(damaged) {
            if !self.warnings.iter().any(|known| known.code == warning.code) {
                self.warnings.push(warning);
            }
        }
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.segments.is_empty()
    }

    /// The segments grouped by speaker, in order.
    pub fn turns(&self) -> impl Iterator<Item = Turn<'_>> {
        self.segments
            .chunk_by(|before, after| {
                (before.speaker, before.missing) == (after.speaker, after.missing)
            })
            .filter_map(|segments| {
                let speaker = segments.first()?.speaker;
                Some(Turn { speaker, segments })
            })
    }

    /// What to call a speaker: the person's name, else the service's label.
    #[must_use]
    pub fn speaker_name(&self, id: SpeakerId) -> Option<&str> {
        let speaker = self.speakers.iter().find(|speaker| speaker.id == id)?;
        Some(speaker.display_name())
    }

    /// Whether readers need to be told who speaks: somebody has a name, or several speak.
    #[must_use]
    pub fn tells_speakers(&self) -> bool {
        let is_named = self.speakers.iter().any(|speaker| speaker.name.is_some());
        self.presences.is_empty() && (self.speakers.len() > 1 || is_named)
    }

    /// Notes for every segment whether white space stands before it in the text.
    pub(super) fn mark_spaces(&mut self) {
        spell::mark_spaces(&self.text, &mut self.segments);
    }

    /// Makes one speaker of all who are called the same, where a person has named one of them.
    pub fn unite_namesakes(&mut self) {
        speakers::unite_namesakes(self);
    }

    /// Whether the segments hold every letter of the text, so that either can be shown.
    #[must_use]
    pub fn segments_hold_text(&self) -> bool {
        let said = self
            .segments
            .iter()
            .flat_map(|segment| align::letters(&segment.text));
        said.eq(align::letters(&self.text))
    }
}

impl Speaker {
    /// The person's name, else the service's label.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.label)
    }
}

impl Turn<'_> {
    /// From the first start to the last end; absent when no segment has times.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.segments
            .iter()
            .filter_map(|segment| segment.span)
            .reduce(Span::hull)
    }

    /// The text of the segments in one line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for segment in self.segments {
            if segment.spaced && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&segment.text);
        }
        text
    }
}

impl fmt::Display for SpeakerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SPEAKER_{:02}", self.0)
    }
}

impl FromStr for SpeakerId {
    type Err = NotASpeaker;

    fn from_str(text: &str) -> Result<Self, NotASpeaker> {
        text.strip_prefix("SPEAKER_")
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| NotASpeaker(text.to_owned()))
    }
}

impl Serialize for SpeakerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
