//! Reads a transcript back from its JSON file: only one that stenod sealed and nobody edited.
//!
//! What is read gives the same files again, byte for byte. A seal is no secret, so what a sealed file
//! says is checked like anything else that comes from outside.

use std::path::PathBuf;

use rust_decimal::Decimal;
use serde::Deserialize;
use thiserror::Error;

use super::{END, FORMAT, SEAL_KEY, SEAL_LENGTH, VERSION};
use crate::domain::captions::{CaptionLanguage, Captions};
use crate::domain::glossary::Applied;
use crate::domain::render::{Cost, Document, JobInfo, JobSettings, SourceInfo};
use crate::domain::transcript::{
    AudioEvent, Presence, Segment, Span, Speaker, SpeakerId, Timing, Transcript, Warning,
    WarningCode, Word,
};

/// Why a file is not taken for a transcript of stenod.
#[derive(Debug, Error)]
pub enum Unread {
    /// It was not written by stenod, or it was edited since.
    #[error("it is not stenod's, or it was edited")]
    Unsealed,
    /// It is not the JSON that it should be.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It says what no transcript says.
    #[error("its {0} cannot be right")]
    Odd(&'static str),
}

#[derive(Deserialize)]
struct File {
    text: String,
    language: Option<String>,
    duration: Option<f64>,
    segments: Vec<SegmentEntry>,
    format: String,
    version: u32,
    speakers: Vec<SpeakerEntry>,
    #[serde(default)]
    presences: Vec<PresenceEntry>,
    events: Vec<EventEntry>,
    source: SourceEntry,
    job: JobEntry,
    cost: Option<CostEntry>,
    timing: Timing,
    warnings: Vec<WarningEntry>,
    #[serde(default)]
    glossary: Vec<Applied>,
}

#[derive(Deserialize)]
struct SegmentEntry {
    start: Option<f64>,
    end: Option<f64>,
    speaker: Option<String>,
    text: String,
    #[serde(default)]
    words: Vec<WordEntry>,
    #[serde(default)]
    missing: bool,
}

#[derive(Deserialize)]
struct WordEntry {
    word: String,
    start: Option<f64>,
    end: Option<f64>,
    speaker: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct SpeakerEntry {
    id: String,
    label: String,
    name: Option<String>,
    seconds: f64,
    turns: usize,
}

#[derive(Deserialize)]
struct PresenceEntry {
    speaker: String,
    start: f64,
    end: f64,
}

#[derive(Deserialize)]
struct EventEntry {
    text: String,
    start: Option<f64>,
    end: Option<f64>,
}

#[derive(Deserialize)]
struct SourceEntry {
    file_name: String,
    size: u64,
    blake3: String,
}

#[derive(Deserialize)]
struct JobEntry {
    id: i64,
    provider: String,
    model: String,
    run_id: Option<String>,
    settings: SettingsEntry,
}

#[derive(Deserialize)]
struct SettingsEntry {
    language: String,
    diarize: bool,
    tag_audio_events: bool,
}

#[derive(Deserialize)]
struct CostEntry {
    amount: String,
    currency: String,
}

#[derive(Deserialize)]
struct WarningEntry {
    code: WarningCode,
    message: String,
}

/// The document in the bytes of a JSON file, without the raw reply.
///
/// # Errors
/// [`Unread`] for what stenod did not write, and for what was edited since.
pub fn read(bytes: &[u8]) -> Result<Document, Unread> {
    if !is_sealed(bytes) {
        return Err(Unread::Unsealed);
    }
    let file: File = serde_json::from_slice(bytes)?;
    if file.format != FORMAT || file.version != VERSION {
        return Err(Unread::Odd("format"));
    }
    let mut transcript = Transcript {
        segments: segments(file.segments, file.speakers.len())?,
        presences: presences(file.presences, file.speakers.len())?,
        speakers: speakers(file.speakers)?,
        text: text(file.text)?,
        language: optional(file.language, "language")?,
        duration: file.duration.map(|seconds| Span::new(0.0, seconds).end()),
        events: file
            .events
            .into_iter()
            .map(event)
            .collect::<Result<_, _>>()?,
        timing: file.timing,
        warnings: file
            .warnings
            .into_iter()
            .map(warning)
            .collect::<Result<_, _>>()?,
    };
    transcript.mark_spaces();
    Ok(Document {
        source: SourceInfo {
            path: PathBuf::from(&file.source.file_name),
            file_name: one_line(file.source.file_name, "file name")?,
            size: file.source.size,
            blake3: one_line(file.source.blake3, "hash")?,
        },
        job: job(file.job)?,
        cost: file.cost.map(cost).transpose()?,
        glossary: file
            .glossary
            .into_iter()
            .map(applied)
            .collect::<Result<_, _>>()?,
        captions: Captions::default(),
        caption_language: CaptionLanguage::default(),
        is_film: None,
        raw: None,
        transcript,
    })
}

/// Whether the file ends with the seal over all that stands before it.
fn is_sealed(bytes: &[u8]) -> bool {
    let unsealed = || {
        let rest = bytes.strip_suffix(END)?.strip_suffix(b"\"")?;
        let (rest, seal) = rest.split_at_checked(rest.len().checked_sub(SEAL_LENGTH)?)?;
        Some((rest.strip_suffix(SEAL_KEY)?, seal))
    };
    unsealed().is_some_and(|(body, seal)| blake3::hash(body).to_hex().as_bytes() == seal)
}

fn job(job: JobEntry) -> Result<JobInfo, Unread> {
    Ok(JobInfo {
        id: job.id,
        provider: one_line(job.provider, "provider")?,
        model: one_line(job.model, "model")?,
        run_id: optional(job.run_id, "run id")?,
        settings: JobSettings {
            language: one_line(job.settings.language, "settings")?,
            diarize: job.settings.diarize,
            tag_audio_events: job.settings.tag_audio_events,
        },
    })
}

fn cost(cost: CostEntry) -> Result<Cost, Unread> {
    let amount: Decimal = cost.amount.parse().map_err(|_| Unread::Odd("cost"))?;
    Ok(Cost {
        amount,
        currency: one_line(cost.currency, "currency")?,
    })
}

fn segments(entries: Vec<SegmentEntry>, speakers: usize) -> Result<Vec<Segment>, Unread> {
    let segment = |(id, entry): (usize, SegmentEntry)| {
        let text = one_line(entry.text, "text")?;
        Ok(Segment {
            id,
            span: span(entry.start, entry.end),
            speaker: speaker(entry.speaker, speakers)?,
            words: words(entry.words, &text, speakers)?,
            missing: entry.missing,
            spaced: false,
            text,
        })
    };
    entries.into_iter().enumerate().map(segment).collect()
}

/// The words of a segment; whether a space stands before one is seen in the segment's text.
fn words(entries: Vec<WordEntry>, text: &str, speakers: usize) -> Result<Vec<Word>, Unread> {
    let mut rest = text;
    let word = |entry: WordEntry| {
        let found = rest.split_once(entry.word.as_str());
        let spaced = found.is_none_or(|(before, _)| before.ends_with(char::is_whitespace));
        rest = found.map_or(rest, |(_, behind)| behind);
        Ok(Word {
            span: span(entry.start, entry.end),
            speaker: speaker(entry.speaker, speakers)?,
            text: one_line(entry.word, "words")?,
            spaced,
            event: entry.kind.as_deref() == Some("audio_event"),
        })
    };
    entries.into_iter().map(word).collect()
}

fn speakers(entries: Vec<SpeakerEntry>) -> Result<Vec<Speaker>, Unread> {
    let count = entries.len();
    let known = |(position, entry): (usize, SpeakerEntry)| {
        let id = speaker(Some(entry.id), count)?.filter(|id| id.0 == position);
        Ok(Speaker {
            id: id.ok_or(Unread::Odd("speakers"))?,
            label: one_line(entry.label, "speakers")?,
            name: optional(entry.name, "speakers")?,
            seconds: Span::new(0.0, entry.seconds).end(),
            turns: entry.turns,
        })
    };
    entries.into_iter().enumerate().map(known).collect()
}

fn presences(entries: Vec<PresenceEntry>, speakers: usize) -> Result<Vec<Presence>, Unread> {
    let presence = |entry: PresenceEntry| {
        Ok(Presence {
            span: Span::new(entry.start, entry.end),
            speaker: speaker(Some(entry.speaker), speakers)?.ok_or(Unread::Odd("presences"))?,
        })
    };
    entries.into_iter().map(presence).collect()
}

fn event(entry: EventEntry) -> Result<AudioEvent, Unread> {
    Ok(AudioEvent {
        text: one_line(entry.text, "events")?,
        span: span(entry.start, entry.end),
    })
}

fn warning(entry: WarningEntry) -> Result<Warning, Unread> {
    Ok(Warning {
        code: entry.code,
        message: one_line(entry.message, "warnings")?,
    })
}

fn applied(entry: Applied) -> Result<Applied, Unread> {
    Ok(Applied {
        from: one_line(entry.from, "glossary")?,
        to: one_line(entry.to, "glossary")?,
        count: entry.count,
    })
}

fn span(start: Option<f64>, end: Option<f64>) -> Option<Span> {
    Some(Span::new(start?, end?))
}

/// One of the speakers of the file, if one is named.
fn speaker(name: Option<String>, count: usize) -> Result<Option<SpeakerId>, Unread> {
    let known = |name: String| {
        let id = name
            .parse()
            .ok()
            .filter(|SpeakerId(number)| *number < count);
        id.ok_or(Unread::Odd("speakers"))
    };
    name.map(known).transpose()
}

/// The whole text, which may have lines.
fn text(text: String) -> Result<String, Unread> {
    let is_odd = |character: char| character.is_control() && !character.is_whitespace();
    if text.contains(is_odd) {
        return Err(Unread::Odd("text"));
    }
    Ok(text)
}

/// A text on one line; `what` names it in the error.
fn one_line(text: String, what: &'static str) -> Result<String, Unread> {
    if text.contains(char::is_control) {
        return Err(Unread::Odd(what));
    }
    Ok(text)
}

fn optional(text: Option<String>, what: &'static str) -> Result<Option<String>, Unread> {
    text.map(|text| one_line(text, what)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOKEN: &str = r#"{
  "text": "Hello there.",
  "language": "en",
  "duration": 1.5,
  "segments": [
    {"start": 0.1, "end": 1.2, "speaker": "SPEAKER_00", "text": "Hello there.",
     "words": [{"word": "Hello", "start": 0.1, "end": 0.5}, {"word": "there.", "start": 0.6, "end": 1.2}]}
  ],
  "format": "stenod.transcript",
  "version": 1,
  "speakers": [{"id": "SPEAKER_00", "label": "A", "seconds": 1.1, "turns": 1}],
  "events": [],
  "source": {"file_name": "a.mp3", "size": 1, "blake3": "00"},
  "job": {"id": 1, "provider": "nanogpt", "model": "m", "run_id": null,
          "settings": {"language": "auto", "diarize": true, "tag_audio_events": false}},
  "cost": {"amount": "0.0010", "currency": "USD"},
  "timing": "words",
  "later": {"unknown": [1]},
  "warnings": []"#;

    fn sealed(body: &str) -> Vec<u8> {
        super::super::sealed(body.as_bytes())
    }

    #[test]
    fn a_sealed_file_is_read_whole_and_unknown_keys_are_ignored() {
        let document = read(&sealed(SPOKEN)).unwrap();
        let words = &document.transcript.segments[0].words;
        assert_eq!((words[0].spaced, words[1].spaced), (false, true));
        assert_eq!(document.transcript.speakers[0].label, "A");
        assert_eq!(document.cost.unwrap().amount.to_string(), "0.0010");
        assert_eq!(document.raw, None);
    }

    #[test]
    fn a_file_that_was_edited_anywhere_is_not_read() {
        let whole = sealed(SPOKEN);
        for position in 0..whole.len() {
            let mut edited = whole.clone();
            edited[position] ^= 1;
            assert!(matches!(read(&edited), Err(Unread::Unsealed)), "{position}");
            assert!(matches!(read(&whole[..position]), Err(Unread::Unsealed)));
        }
        assert!(matches!(read(b""), Err(Unread::Unsealed)));
        assert!(matches!(read(SPOKEN.as_bytes()), Err(Unread::Unsealed)));
    }

    #[test]
    fn a_sealed_file_that_says_the_impossible_is_refused() {
        for (from, to) in [
            ("\"version\": 1", "\"version\": 2"),
            ("stenod.transcript", "stenod.diarization"),
            ("\"SPEAKER_00\", \"text\"", "\"SPEAKER_7\", \"text\""),
            (
                "\"id\": \"SPEAKER_00\"",
                "\"id\": \"SPEAKER_99999999999999999999\"",
            ),
            ("\"label\": \"A\"", "\"label\": \"A\\u001b[2J\""),
            ("\"word\": \"Hello\"", "\"word\": \"Hel\\nlo\""),
            (
                "\"text\": \"Hello there.\",\n  \"lang",
                "\"text\": \"\\u0000\",\n  \"lang",
            ),
            ("0.0010", "a lot"),
            (
                "\"warnings\": []",
                "\"warnings\": [], \"glossary\": [{\"from\": \"a\\nb\", \"to\": \"c\", \"count\": 1}]",
            ),
            ("\"size\": 1", "\"size\": -1"),
            ("\"duration\": 1.5", "\"duration\": 1e999"),
            ("\"timing\": \"words\"", "\"timing\": \"exact\""),
        ] {
            let body = SPOKEN.replacen(from, to, 1);
            assert_ne!(body, SPOKEN, "{from}");
            assert!(read(&sealed(&body)).is_err(), "{to}");
        }
        let deep = "[".repeat(100_000);
        let body = SPOKEN.replacen("{\"unknown\": [1]}", &deep, 1);
        assert!(matches!(read(&sealed(&body)), Err(Unread::Unreadable(_))));
    }

    #[test]
    fn impossible_times_become_the_nearest_possible() {
        let body = SPOKEN.replacen("0.1, \"end\": 1.2", "-5, \"end\": 1e300", 1);
        let span = read(&sealed(&body)).unwrap().transcript.segments[0]
            .span
            .unwrap();
        assert!(span.start() == 0.0 && span.end().is_finite());
    }
}
