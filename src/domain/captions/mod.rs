//! Captions that people can read: cues of two short lines that follow the speech.
//!
//! No word is changed or left out, and those of one speaker stay in their order; cues never overlap.
//! What several say at once stands in one cue, a part for each of them. The breaks are chosen over a whole
//! stretch of speech at once (dynamic programming, as in Knuth and Plass, "Breaking paragraphs into
//! lines", 1981), so that cues end where sentences and clauses do.

mod breaks;
mod lines;
mod little;
mod schedule;
mod spread;
mod stretches;
#[cfg(test)]
mod tests;
mod units;

use serde::{Deserialize, Serialize};

use super::transcript::{Span, SpeakerId, Transcript};

pub use spread::{TimedLine, timed_lines};

/// How much a caption may hold and how long it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The longest line, in columns; a wide character takes two.
    pub columns: usize,
    /// The shortest time a cue stands, in milliseconds.
    pub shortest: u64,
    /// The longest time a cue stands, in milliseconds.
    pub longest: u64,
    /// The time between two cues, in milliseconds.
    pub gap: u64,
    /// The fastest reading, in columns a second.
    pub columns_per_second: u64,
    /// The pause in the speech that always ends a cue, in milliseconds.
    pub pause: u64,
}

/// Whether speakers are named inside the captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The text alone.
    Apart,
    /// The first cue of a turn begins with the speaker's name and a colon.
    InText,
}

/// A caption on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, in milliseconds.
    pub start: u64,
    /// When it goes, in milliseconds.
    pub end: u64,
    /// What is said: one part, or one for each of several who speak at once.
    pub parts: Vec<Part>,
}

/// What one speaker says in a caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Who speaks, when the transcript tells it.
    pub speaker: Option<SpeakerId>,
    /// What is said, in one line.
    pub text: String,
    /// The same as it stands on the screen, in one line or two; several speakers have dashes.
    pub lines: Vec<String>,
}

impl Cue {
    /// The lines of all parts.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        let lines = self.parts.iter().flat_map(|part| &part.lines);
        lines.map(String::as_str).collect()
    }
}

/// Which profile the caption files follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Captions {
    /// [`Profile::STANDARD`].
    #[default]
    Standard,
    /// [`Profile::PODCAST`].
    Podcast,
}

/// When the names of caption files carry the language, as in `film.en.srt`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptionLanguage {
    /// Beside films, whose players choose captions by it.
    #[default]
    Auto,
    /// Wherever the language is known.
    Always,
    /// Nowhere.
    Never,
}

impl Captions {
    /// How much a caption may hold and how long it stands.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Standard => Profile::STANDARD,
            Self::Podcast => Profile::PODCAST,
        }
    }
}

impl Profile {
    /// For the screen: 42 columns.
    pub const STANDARD: Self = Self {
        columns: 42,
        shortest: 834,
        longest: 7000,
        gap: 83,
        columns_per_second: 20,
        pause: 800,
    };

    /// For podcast players: 32 columns.
    pub const PODCAST: Self = Self {
        columns: 32,
        ..Self::STANDARD
    };
}

/// The captions of a transcript, or nothing when it has text but neither times nor a length.
///
/// Where the service gave no times for words they are estimated by the length of the text.
#[must_use]
pub fn cues(transcript: &Transcript, profile: &Profile, naming: Naming) -> Option<Vec<Cue>> {
    let units = units::units(transcript, profile, naming)?;
    let stretches = stretches::stretches(units, profile);
    let mut drafts = Vec::new();
    for (position, stretch) in stretches.iter().enumerate() {
        let next = stretches.get(position + 1).map(stretches::Stretch::start);
        drafts.extend(breaks::cues(&stretch.units, next, profile));
    }
    let end = transcript
        .duration
        .map(|seconds| Span::new(0.0, seconds).end_milliseconds());
    Some(schedule::scheduled(drafts, end, profile))
}
