//! The whole document as JSON, in the shape of WhisperX's output with stenod's own keys beside.
//!
//! `docs/transcript.schema.json` describes it. Keys come in a fixed order; whoever reads it is to
//! ignore keys it does not know. The last key is a seal over all before it, by which a file that
//! was not edited is known for stenod's own without any other memory.

mod read;

use serde::Serialize;

pub use read::{Unread, read};

use super::{Cost, Document, JobInfo, JobSettings, SourceInfo};
use crate::domain::glossary::Applied;
use crate::domain::transcript::{
    AudioEvent, Presence, Segment, Span, Speaker, SpeakerId, Timing, Warning, Word,
};

/// The name of the format, for readers that look into a file.
const FORMAT: &str = "stenod.transcript";
/// The version; it grows when a key changes its meaning, not when one is added.
const VERSION: u32 = 1;
/// How every file ends, before and after it is sealed.
const END: &[u8] = b"\n}\n";
/// What stands before the seal.
const SEAL_KEY: &[u8] = b",\n  \"seal\": \"";
/// The length of a seal: a BLAKE3 hash in hexadecimal.
const SEAL_LENGTH: usize = 64;

#[derive(Serialize)]
struct File<'a> {
    text: &'a str,
    language: Option<&'a str>,
    duration: Option<f64>,
    segments: Vec<SegmentEntry<'a>>,
    format: &'static str,
    version: u32,
    speakers: Vec<SpeakerEntry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    presences: Vec<PresenceEntry>,
    events: Vec<EventEntry<'a>>,
    source: SourceEntry<'a>,
    job: JobEntry<'a>,
    cost: Option<CostEntry<'a>>,
    timing: Timing,
    warnings: &'a [Warning],
    glossary: &'a [Applied],
}

#[derive(Serialize)]
struct SegmentEntry<'a> {
    id: usize,
    start: Option<f64>,
    end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<SpeakerId>,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<WordEntry<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

/// A word; one without times has no `start` and `end`, as in WhisperX.
#[derive(Serialize)]
pub(super) struct WordEntry<'a> {
    word: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<SpeakerId>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

/// A speaker.
#[derive(Serialize)]
pub(super) struct SpeakerEntry<'a> {
    id: SpeakerId,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    seconds: f64,
    turns: usize,
}

/// When somebody speaks, where nobody knows what they say.
#[derive(Serialize)]
struct PresenceEntry {
    speaker: SpeakerId,
    start: f64,
    end: f64,
}

#[derive(Serialize)]
struct EventEntry<'a> {
    text: &'a str,
    start: Option<f64>,
    end: Option<f64>,
}

/// The recording.
#[derive(Serialize)]
pub(super) struct SourceEntry<'a> {
    file_name: &'a str,
    size: u64,
    blake3: &'a str,
}

#[derive(Serialize)]
struct JobEntry<'a> {
    id: i64,
    provider: &'a str,
    model: &'a str,
    run_id: Option<&'a str>,
    settings: SettingsEntry<'a>,
}

#[derive(Serialize)]
struct SettingsEntry<'a> {
    language: &'a str,
    diarize: bool,
    tag_audio_events: bool,
}

#[derive(Serialize)]
struct CostEntry<'a> {
    amount: String,
    currency: &'a str,
}

/// The file's bytes.
pub(super) fn render(document: &Document) -> Option<Vec<u8>> {
    let transcript = &document.transcript;
    let file = super::pretty(&File {
        text: &transcript.text,
        language: transcript.language.as_deref(),
        duration: transcript.duration,
        segments: transcript.segments.iter().map(SegmentEntry::from).collect(),
        format: FORMAT,
        version: VERSION,
        speakers: transcript.speakers.iter().map(SpeakerEntry::from).collect(),
        presences: transcript
            .presences
            .iter()
            .map(PresenceEntry::from)
            .collect(),
        events: transcript.events.iter().map(EventEntry::from).collect(),
        source: SourceEntry::from(&document.source),
        job: JobEntry::from(&document.job),
        cost: document.cost.as_ref().map(CostEntry::from),
        timing: transcript.timing,
        warnings: &transcript.warnings,
        glossary: &document.glossary,
    })?;
    Some(sealed(file.strip_suffix(END)?))
}

/// `body`, which is a file without its end, with a seal over it.
fn sealed(body: &[u8]) -> Vec<u8> {
    let seal = blake3::hash(body).to_hex();
    [body, SEAL_KEY, seal.as_bytes(), b"\"", END].concat()
}

impl<'a> From<&'a Segment> for SegmentEntry<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            id: segment.id,
            start: segment.span.map(Span::start),
            end: segment.span.map(Span::end),
            speaker: segment.speaker,
            text: &segment.text,
            words: segment.words.iter().map(WordEntry::from).collect(),
            missing: segment.missing,
        }
    }
}

impl<'a> From<&'a Word> for WordEntry<'a> {
    fn from(word: &'a Word) -> Self {
        Self {
            word: &word.text,
            start: word.span.map(Span::start),
            end: word.span.map(Span::end),
            speaker: word.speaker,
            kind: word.event.then_some("audio_event"),
        }
    }
}

impl<'a> From<&'a Speaker> for SpeakerEntry<'a> {
    fn from(speaker: &'a Speaker) -> Self {
        Self {
            id: speaker.id,
            label: &speaker.label,
            name: speaker.name.as_deref(),
            seconds: speaker.seconds,
            turns: speaker.turns,
        }
    }
}

impl From<&Presence> for PresenceEntry {
    fn from(presence: &Presence) -> Self {
        Self {
            speaker: presence.speaker,
            start: presence.span.start(),
            end: presence.span.end(),
        }
    }
}

impl<'a> From<&'a AudioEvent> for EventEntry<'a> {
    fn from(event: &'a AudioEvent) -> Self {
        let span = event.span;
        Self {
            text: &event.text,
            start: span.map(Span::start),
            end: span.map(Span::end),
        }
    }
}

impl<'a> From<&'a SourceInfo> for SourceEntry<'a> {
    fn from(source: &'a SourceInfo) -> Self {
        Self {
            file_name: &source.file_name,
            size: source.size,
            blake3: &source.blake3,
        }
    }
}

impl<'a> From<&'a JobInfo> for JobEntry<'a> {
    fn from(job: &'a JobInfo) -> Self {
        Self {
            id: job.id,
            provider: &job.provider,
            model: &job.model,
            run_id: job.run_id.as_deref(),
            settings: SettingsEntry::from(&job.settings),
        }
    }
}

impl<'a> From<&'a JobSettings> for SettingsEntry<'a> {
    fn from(settings: &'a JobSettings) -> Self {
        Self {
            language: &settings.language,
            diarize: settings.diarize,
            tag_audio_events: settings.tag_audio_events,
        }
    }
}

impl<'a> From<&'a Cost> for CostEntry<'a> {
    fn from(cost: &'a Cost) -> Self {
        Self {
            amount: cost.amount.to_string(),
            currency: &cost.currency,
        }
    }
}
