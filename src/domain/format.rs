//! The output formats, named as users name them in `formats`.

use std::fmt;
use std::str::FromStr;

/// One output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Plain text.
    Txt,
    /// The whole transcript as JSON.
    Json,
    /// SubRip captions.
    Srt,
    /// WebVTT captions.
    Vtt,
    /// Markdown.
    Md,
    /// Tab-separated segments.
    Tsv,
    /// Who spoke when, as JSON.
    Diarization,
    /// Who spoke when, in NIST's RTTM.
    Rttm,
    /// Podcasting 2.0 transcript JSON.
    Podcast,
    /// Synchronised lyrics.
    Lrc,
    /// The service's reply as it came.
    Raw,
}

impl Format {
    /// Every format, in the order in which users see them.
    pub const ALL: [Self; 11] = [
        Self::Txt,
        Self::Json,
        Self::Srt,
        Self::Vtt,
        Self::Md,
        Self::Tsv,
        Self::Diarization,
        Self::Rttm,
        Self::Podcast,
        Self::Lrc,
        Self::Raw,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Json => "json",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Md => "md",
            Self::Tsv => "tsv",
            Self::Diarization => "diarization",
            Self::Rttm => "rttm",
            Self::Podcast => "podcast",
            Self::Lrc => "lrc",
            Self::Raw => "raw",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A name that is none of the formats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}
