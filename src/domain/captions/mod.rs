//! Captions that people can read: cues of two short lines that follow the speech.
//!
//! No word is changed, left out or moved; cues never overlap. The breaks are chosen over a whole
//! stretch of speech at once (dynamic programming, as in Knuth and Plass, "Breaking paragraphs into
//! lines", 1981), so that cues end where sentences and clauses do.

mod breaks;
mod lines;
mod schedule;
mod spread;
#[cfg(test)]
mod tests;
mod units;

use serde::{Deserialize, Serialize};

use super::transcript::{SpeakerId, Transcript};

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
    /// Who speaks, when the transcript tells it.
    pub speaker: Option<SpeakerId>,
    /// What is said, in one line.
    pub text: String,
    /// The same in one line or two.
    pub lines: Vec<String>,
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
    let stretches: Vec<&[units::Unit]> = units
        .chunk_by(|before, after| !ends_stretch(before, after, profile))
        .collect();
    let mut drafts = Vec::new();
    for (position, stretch) in stretches.iter().enumerate() {
        let next = stretches.get(position + 1).and_then(|next| next.first());
        drafts.extend(breaks::cues(stretch, next.map(|unit| unit.start), profile));
    }
    Some(schedule::scheduled(&drafts, profile))
}

/// Whether no cue may hold both units: the speaker changes or speech pauses.
fn ends_stretch(before: &units::Unit, after: &units::Unit, profile: &Profile) -> bool {
    let pause = after.start.saturating_sub(before.end) >= profile.pause;
    before.speaker != after.speaker || (pause && !before.is_name)
}
