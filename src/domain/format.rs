//! The output formats: their names in the configuration and the endings of their files.
//!
//! One name a format, lower case, the same in `--formats`, in TOML and in JSON. A suffix is
//! unique, so that two formats never claim one file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A kind of file that a transcript is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Paragraphs of plain text, one per speaker turn.
    Txt,
    /// The whole document, in the shape of WhisperX.
    Json,
    /// SubRip captions.
    Srt,
    /// WebVTT captions with voice tags.
    Vtt,
    /// Markdown with front matter.
    Md,
    /// Whisper's table of start, end (milliseconds) and text.
    Tsv,
    /// Speakers and their segments.
    Diarization,
    /// NIST's Rich Transcription Time Marked speaker segments.
    Rttm,
    /// The Podcasting 2.0 JSON transcript.
    Podcast,
    /// Timed lyrics lines.
    Lrc,
    /// The service's reply, byte for byte.
    Raw,
}

/// A format name that stenod does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown format `{name}`: use one of {}", allowed())]
pub struct UnknownFormat {
    /// The name as it was given.
    pub name: String,
}

impl Format {
    /// Every format, in the order of the documentation.
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

    /// The name that users write.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

    /// What follows the stem and a dot in the file's name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Diarization => "diarization.json",
            Self::Podcast => "podcast.json",
            Self::Raw => "raw.json",
            Self::Txt
            | Self::Json
            | Self::Srt
            | Self::Vtt
            | Self::Md
            | Self::Tsv
            | Self::Rttm
            | Self::Lrc => self.name(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let wanted = name.trim();
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownFormat {
                name: name.to_owned(),
            })
    }
}

fn allowed() -> String {
    Format::ALL.map(Format::name).join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_format_is_read_from_its_own_name() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
    }

    #[test]
    fn serde_uses_the_name_that_users_write() {
        for format in Format::ALL {
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(text, format!("\"{format}\""));
            assert_eq!(serde_json::from_str::<Format>(&text).unwrap(), format);
        }
    }

    #[test]
    fn no_two_formats_share_a_suffix() {
        let suffixes: HashSet<_> = Format::ALL.map(Format::suffix).into();
        assert_eq!(suffixes.len(), Format::ALL.len());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_allowed_ones() {
        let error = "docx".parse::<Format>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown format `docx`: use one of txt, json, srt, vtt, md, tsv, diarization, rttm, \
             podcast, lrc, raw"
        );
    }

    #[test]
    fn capitals_and_spaces_around_a_name_do_not_matter() {
        assert_eq!(" SRT ".parse(), Ok(Format::Srt));
    }
}
