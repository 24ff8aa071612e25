//! Who spoke when: the speakers, their turns and, where the service gives times, every word.
//!
//! `docs/diarization.schema.json` describes it.

use serde::Serialize;

use super::Document;
use super::json::{SourceEntry, SpeakerEntry, WordEntry};
use crate::domain::transcript::{Presence, Span, SpeakerId, Transcript, Turn};

/// The name of the format, for readers that look into a file.
const FORMAT: &str = "stenod.diarization";
/// The version; it grows when a key changes its meaning, not when one is added.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct File<'a> {
    format: &'static str,
    version: u32,
    source: SourceEntry<'a>,
    speakers: Vec<SpeakerEntry<'a>>,
    segments: Vec<TurnEntry>,
    words: Vec<WordEntry<'a>>,
}

/// A turn; what nobody is known to have said has no speaker.
#[derive(Serialize)]
struct TurnEntry {
    speaker: Option<SpeakerId>,
    start: Option<f64>,
    end: Option<f64>,
    text: String,
}

/// The file's bytes.
pub(super) fn render(document: &Document) -> Option<Vec<u8>> {
    let Transcript {
        speakers, segments, ..
    } = &document.transcript;
    super::pretty(&File {
        format: FORMAT,
        version: VERSION,
        source: SourceEntry::from(&document.source),
        speakers: speakers.iter().map(SpeakerEntry::from).collect(),
        segments: turns(&document.transcript),
        words: segments
            .iter()
            .flat_map(|segment| &segment.words)
            .map(WordEntry::from)
            .collect(),
    })
}

/// The turns; where nobody is known to have said the text, who spoke when stands before it.
fn turns(transcript: &Transcript) -> Vec<TurnEntry> {
    let presences = transcript.presences.iter().map(presence);
    let turns = transcript.turns().map(|turn| entry(&turn));
    presences.chain(turns).collect()
}

fn presence(Presence { span, speaker }: &Presence) -> TurnEntry {
    TurnEntry {
        speaker: Some(*speaker),
        start: Some(span.start()),
        end: Some(span.end()),
        text: String::new(),
    }
}

fn entry(turn: &Turn<'_>) -> TurnEntry {
    let span = turn.span();
    TurnEntry {
        speaker: turn.speaker,
        start: span.map(Span::start),
        end: span.map(Span::end),
        text: turn.text(),
    }
}
