//! Turns a document into the bytes of each output format: one pure function a format.
//!
//! The same document gives the same bytes, always: nothing here reads a clock, a locale or a file.
//! A format for which the document has nothing is told apart by [`lack`], never faked.

mod diarization;
mod json;
mod lrc;
mod md;
mod podcast;
mod rttm;
mod srt;
mod tsv;
mod txt;
mod vtt;

use std::fmt;

use rust_decimal::Decimal;

use super::format::Format;
use super::transcript::{Span, Timing, Transcript};

/// A finished recording with all that its outputs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What was said.
    pub transcript: Transcript,
    /// What it was made from.
    pub source: SourceInfo,
    /// What made it.
    pub job: JobInfo,
    /// What it cost, when the service said so.
    pub cost: Option<Cost>,
    /// The service's reply as it came.
    pub raw: Vec<u8>,
}

/// The recording that a transcript was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// The file's name without its folder.
    pub file_name: String,
    /// The length in bytes.
    pub size: u64,
    /// The BLAKE3 hash of the content, in hexadecimal.
    pub blake3: String,
}

/// The job that a transcript came out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// The row of the queue.
    pub id: i64,
    /// The service.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The service's number for an asynchronous run.
    pub run_id: Option<String>,
    /// What was asked for.
    pub settings: JobSettings,
}

/// The settings of a job that change its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    /// The language that was asked for, or `auto`.
    pub language: String,
    /// Whether speakers were to be told apart.
    pub diarize: bool,
    /// Whether sounds were to be named.
    pub tag_audio_events: bool,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The exact amount.
    pub amount: Decimal,
    /// The currency's code, such as `USD`.
    pub currency: String,
}

/// Why a document has nothing for a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The transcript does not tell speakers apart.
    Speakers,
    /// The transcript has no times, nor a length over which they could be estimated.
    Times,
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Speakers => {
                "the transcript does not tell speakers apart: use a model that does, with diarize"
            }
            Self::Times => "the transcript has no times: use a model that gives some",
        })
    }
}

/// The file of a format, or nothing when the document has nothing for it (see [`lack`]).
#[must_use]
pub fn render(format: Format, document: &Document) -> Option<Vec<u8>> {
    if lack(format, document).is_some() {
        return None;
    }
    let transcript = &document.transcript;
    match format {
        Format::Txt => Some(txt::render(transcript).into_bytes()),
        Format::Json => json::render(document),
        Format::Srt => srt::render(transcript).map(String::into_bytes),
        Format::Vtt => vtt::render(transcript).map(String::into_bytes),
        Format::Md => Some(md::render(document).into_bytes()),
        Format::Tsv => tsv::render(transcript).map(String::into_bytes),
        Format::Diarization => diarization::render(document),
        Format::Rttm => Some(rttm::render(document).into_bytes()),
        Format::Podcast => podcast::render(transcript),
        Format::Lrc => lrc::render(document).map(String::into_bytes),
        Format::Raw => Some(document.raw.clone()),
    }
}

/// What a document lacks for a format, if it lacks anything.
///
/// Silence lacks nothing: its files are as empty as their formats allow.
#[must_use]
pub fn lack(format: Format, document: &Document) -> Option<Lack> {
    let transcript = &document.transcript;
    let silent = transcript.is_empty();
    let speechless = transcript.speakers.is_empty() && !(silent && document.job.settings.diarize);
    match format {
        Format::Txt | Format::Json | Format::Md | Format::Raw => None,
        Format::Diarization => speechless.then_some(Lack::Speakers),
        Format::Rttm if speechless => Some(Lack::Speakers),
        Format::Rttm => (!silent && transcript.timing == Timing::None).then_some(Lack::Times),
        Format::Srt | Format::Vtt | Format::Tsv | Format::Podcast | Format::Lrc => {
            let timeless = transcript.timing == Timing::None && transcript.duration.is_none();
            (!silent && timeless).then_some(Lack::Times)
        }
    }
}

/// Whether a format's times are estimates by the length of the text, because the service gave none.
#[must_use]
pub fn is_estimated(format: Format, transcript: &Transcript) -> bool {
    let timed = matches!(
        format,
        Format::Srt | Format::Vtt | Format::Tsv | Format::Podcast | Format::Lrc
    );
    timed && !transcript.is_empty() && matches!(transcript.timing, Timing::None | Timing::Pieces)
}

/// The file's name without its last extension.
fn stem(document: &Document) -> &str {
    let name = document.source.file_name.as_str();
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        Some(_) | None => name,
    }
}

/// Seconds of a recording in whole milliseconds.
fn milliseconds(seconds: f64) -> u64 {
    Span::new(0.0, seconds).end_milliseconds()
}

/// Hours, minutes, seconds and milliseconds.
const fn clock(milliseconds: u64) -> (u64, u64, u64, u64) {
    let seconds = milliseconds / 1000;
    (
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000,
    )
}

/// Serialises as readable JSON that ends with a newline.
fn pretty(value: &impl serde::Serialize) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}
