//! What a recording is and how long it really is, without decoding it.
//!
//! The length is measured by walking the packets, or read from an index that was held against the
//! file. The answer for anything that is no whole, readable recording is a [`ProbeError`], which
//! says in one sentence what is wrong and how to mend it.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::domain::audio::{AudioDuration, AudioFormat, Resemblance};

use super::codec::Codec;
use super::demux::Demuxer;
use super::guard::guarded;
use super::layout::lay_out;
use super::source::{open_regular, refuse_special};
use crate::source::OpenError;

/// What a recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Container and codec family, by content.
    pub format: AudioFormat,
    /// The measured length; `None` when the file gives no way to measure it.
    pub duration: Option<AudioDuration>,
    /// Channels of its first part, when the header says so.
    pub channels: Option<u16>,
    /// Samples a second and channel of its first part, when the header says so.
    pub sample_rate: Option<u32>,
    /// The name of its first part's codec: `mp3`, `aac`, `opus`, `pcm`, ….
    pub codec: &'static str,
    /// The file has moving pictures as well.
    pub has_video: bool,
}

/// Why a file is not a recording that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Zero bytes.
    #[error("the file is empty")]
    Empty,
    /// Not a regular file.
    #[error("it is {what}, not a file")]
    NotAFile {
        /// What it is.
        what: &'static str,
    },
    /// Content of another kind.
    #[error("it is no recording: it looks like {resembles}")]
    NotAudio {
        /// What the content looks like.
        resembles: Resemblance,
    },
    /// The end is missing: still being written, or the copy was interrupted.
    #[error("cut short: {what}")]
    CutShort {
        /// What shows it.
        what: String,
    },
    /// No demuxer for this format, or no decoder for this codec.
    #[error("{codec} cannot be read; convert it to MP3, M4A, FLAC or WAV")]
    Unsupported {
        /// The name of the format or codec.
        codec: String,
    },
    /// A film without sound, or an empty container.
    #[error("it has no audio track")]
    NoAudioTrack,
    /// Encrypted by a shop.
    #[error("it is copy-protected (DRM); only the shop's own player can read it")]
    Protected,
    /// The structure makes no sense.
    #[error("it is damaged: {what}")]
    Damaged {
        /// What makes no sense.
        what: String,
    },
    /// More packets than are walked through.
    #[error("it is too long: more than {packets} packets; cut it into parts")]
    TooLong {
        /// The bound.
        packets: u64,
    },
    /// The demuxer or decoder library failed on it.
    #[error("it is damaged in a way that the decoder did not survive")]
    DecoderFailed,
    /// The operating system refuses it; `kind()` tells permission from a vanished file.
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl ProbeError {
    /// A stable name for scripts and for counting by reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAFile { .. } => "not_a_file",
            Self::NotAudio { .. } => "not_audio",
            Self::CutShort { .. } => "cut_short",
            Self::Unsupported { .. } => "unsupported",
            Self::NoAudioTrack => "no_audio_track",
            Self::Protected => "protected",
            Self::Damaged { .. } => "damaged",
            Self::TooLong { .. } => "too_long",
            Self::DecoderFailed => "decoder_failed",
            Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => "vanished",
            Self::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "permission_denied"
            }
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// True when the file may become a whole recording by itself: it is still being written.
    #[must_use]
    pub fn may_still_grow(&self) -> bool {
        match self {
            Self::Empty | Self::CutShort { .. } => true,
            Self::NotAudio { resembles } => *resembles == Resemblance::Zeros,
            Self::NotAFile { .. }
            | Self::Unsupported { .. }
            | Self::NoAudioTrack
            | Self::Protected
            | Self::Damaged { .. }
            | Self::TooLong { .. }
            | Self::DecoderFailed
            | Self::Unreadable(_) => false,
        }
    }

    pub(super) fn cut(what: impl Into<String>) -> Self {
        Self::CutShort { what: what.into() }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(super) fn unsupported(codec: impl Into<String>) -> Self {
        Self::Unsupported {
            codec: codec.into(),
        }
    }
}

impl From<OpenError> for ProbeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Special(what) => Self::NotAFile { what },
            OpenError::Io(error) => Self::Unreadable(error),
        }
    }
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Probes the recording at `path`.
///
/// # Errors
/// See [`ProbeError`]; a file that is cut short is an error here.
pub fn probe(path: &Path) -> Result<Probe, ProbeError> {
    probe_opened(open_regular(path)?)
}

/// Probes a recording that is open already; the position of `file` does not move.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe_file(file: &File) -> Result<Probe, ProbeError> {
    refuse_special(&file.metadata()?)?;
    probe_opened(file.try_clone()?)
}

fn probe_opened(file: File) -> Result<Probe, ProbeError> {
    guarded(move || measure(file)).unwrap_or(Err(ProbeError::DecoderFailed))
}

fn measure(file: File) -> Result<Probe, ProbeError> {
    let mut layout = lay_out(file)?;
    if let Some(what) = layout.cut.take() {
        return Err(ProbeError::CutShort { what });
    }
    let mut demuxer = Demuxer::open(layout)?;
    // Further on there may be others.
    let track = demuxer.track().clone();
    let duration = demuxer.measure()?;
    if !is_promised(demuxer.format()) {
        // Its sound has to be decoded here, whoever recognises it.
        Codec::new(&track, demuxer.container())
            .map_err(|missing| ProbeError::unsupported(missing.codec))?;
    }
    Ok(Probe {
        format: demuxer.format(),
        duration,
        channels: track.channels(),
        sample_rate: track.parameters.sample_rate,
        codec: track.codec_name(),
        has_video: demuxer.has_video(),
    })
}

/// Whether the sound of a recording can be decoded here, by what its head says; what cannot be looked at counts as
/// decodable, so that whoever decodes it says what is wrong.
pub fn is_decodable(path: &Path) -> bool {
    let Ok(file) = open_regular(path) else {
        return true;
    };
    let open = move || {
        let demuxer = Demuxer::open(lay_out(file).ok()?).ok()?;
        Some(Codec::new(demuxer.track(), demuxer.container()).is_ok())
    };
    guarded(open).ok().flatten().unwrap_or(true)
}

/// Whether services promise to read it as it is.
fn is_promised(format: AudioFormat) -> bool {
    use AudioFormat::{Aac, M4a, Mp3, Ogg, Wav};
    [Mp3, Wav, M4a, Ogg, Aac].contains(&format)
}

#[cfg(test)]
mod tests;
