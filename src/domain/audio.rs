//! The audio formats that stenod knows, by name, media type and extension, and the true length of
//! a recording.
//!
//! A format is decided by content ([`sniff()`]); a name only makes a file a candidate that is worth
//! looking into. Pure: bytes in, names out. It never opens a file and never decodes.

mod adts;
mod bitrate;
mod damage;
mod extension;
mod mpeg;
mod sniff;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use adts::AdtsFrame;
pub use bitrate::{
    Bitrate, OPUS_PACKET_MILLIS, OPUS_PACKETS_PER_PAGE, OPUS_RESERVE_PACKETS, best_bitrate,
};
pub use damage::Damage;
pub use extension::is_candidate_extension;
pub use mpeg::{MpegFrame, MpegLayer, find_mpeg_audio};
pub use sniff::{Resemblance, SNIFF_BYTES, Sniffed, sniff};

/// Samples a second of speech that is recognised or made smaller: one channel at 16 kHz.
pub const SPEECH_RATE: u32 = 16_000;

/// The kind of file that a recording is, by container and codec family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// MPEG layer III.
    Mp3,
    /// MPEG layer I or II.
    Mp2,
    /// RIFF, RF64 or BW64 with wave data.
    Wav,
    /// AAC in MP4, without video.
    M4a,
    /// Apple Lossless in MP4, without video.
    Alac,
    /// MP4 with video, or with another audio codec than AAC and Apple Lossless.
    Mp4,
    /// QuickTime.
    QuickTime,
    /// Vorbis or Opus in Ogg.
    Ogg,
    /// Ogg with anything else (FLAC, Speex, video).
    OggOther,
    /// AAC in ADTS frames.
    Aac,
    /// FLAC in its own container.
    Flac,
    /// AIFF or AIFF-C.
    Aiff,
    /// Apple's Core Audio Format.
    Caf,
    /// WebM.
    WebM,
    /// Matroska.
    Matroska,
    /// Windows Media (ASF).
    Wma,
    /// AMR narrow band or wide band.
    Amr,
    /// AVI.
    Avi,
}

impl AudioFormat {
    /// The media type that an upload of this format carries.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Mp3 | Self::Mp2 => "audio/mpeg",
            Self::Wav => "audio/wav",
            Self::M4a | Self::Alac => "audio/mp4",
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::Ogg | Self::OggOther => "audio/ogg",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Aiff => "audio/aiff",
            Self::Caf => "audio/x-caf",
            Self::WebM => "video/webm",
            Self::Matroska => "video/x-matroska",
            Self::Wma => "audio/x-ms-wma",
            Self::Amr => "audio/amr",
            Self::Avi => "video/x-msvideo",
        }
    }

    /// The extension, without a dot, that an upload's file name carries.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Mp2 => "mp2",
            Self::Wav => "wav",
            Self::M4a | Self::Alac => "m4a",
            Self::Mp4 => "mp4",
            Self::QuickTime => "mov",
            Self::Ogg | Self::OggOther => "ogg",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Wma => "wma",
            Self::Amr => "amr",
            Self::Avi => "avi",
        }
    }

    /// The name for people, as in "an Apple Lossless file".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "MP3",
            Self::Mp2 => "MPEG layer II",
            Self::Wav => "WAV",
            Self::M4a => "M4A",
            Self::Alac => "Apple Lossless",
            Self::Mp4 => "MP4",
            Self::QuickTime => "QuickTime",
            Self::Ogg | Self::OggOther => "Ogg",
            Self::Aac => "AAC",
            Self::Flac => "FLAC",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
            Self::WebM => "WebM",
            Self::Matroska => "Matroska",
            Self::Wma => "WMA",
            Self::Amr => "AMR",
            Self::Avi => "AVI",
        }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The measured length of a recording, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AudioDuration(u64);

impl AudioDuration {
    /// A length of this many microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A length of `frames` samples a channel at `rate` per second; `None` when the rate is zero or
    /// the length exceeds 64 bits of microseconds.
    #[must_use]
    pub fn from_frames(frames: u64, rate: u32) -> Option<Self> {
        let micros = u128::from(frames) * 1_000_000;
        let micros = micros.checked_div(u128::from(rate))?;
        u64::try_from(micros).ok().map(Self)
    }

    /// The length in microseconds.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The length in seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact to the microsecond for 285 years"
    )]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }

    /// The length in minutes with four decimals, as the service bills it: `2.5000`; never zero for
    /// a recording that has any sound.
    #[must_use]
    pub fn minutes(self) -> String {
        const MICROS_PER_STEP: u64 = 6_000; // a ten-thousandth of a minute
        let steps = self.0.saturating_add(MICROS_PER_STEP / 2) / MICROS_PER_STEP;
        let steps = steps.max(u64::from(self.0 > 0));
        format!("{}.{:04}", steps / 10_000, steps % 10_000)
    }
}

impl fmt::Display for AudioDuration {
    /// `7.1 s`, `3:05`, `1:02:09`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 60_000_000 {
            return write!(formatter, "{:.1} s", self.seconds());
        }
        let seconds = self.0 / 1_000_000;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match hours {
            0 => write!(formatter, "{minutes}:{seconds:02}"),
            _ => write!(formatter, "{hours}:{minutes:02}:{seconds:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_have_four_decimals_and_are_rounded_to_the_nearest() {
        let minutes = |micros| AudioDuration::from_micros(micros).minutes();
        assert_eq!(minutes(150_000_000), "2.5000");
        assert_eq!(minutes(0), "0.0000");
        assert_eq!(minutes(1), "0.0001");
        assert_eq!(minutes(7_100_000), "0.1183");
        assert_eq!(minutes(8_999), "0.0001");
        assert_eq!(minutes(9_000), "0.0002");
        assert_eq!(minutes(3_600_000_000), "60.0000");
    }

    #[test]
    fn lengths_come_from_frames_without_overflow() {
        assert_eq!(
            AudioDuration::from_frames(16_000, 16_000).unwrap().micros(),
            1_000_000
        );
        assert_eq!(AudioDuration::from_frames(1, 0), None);
        assert_eq!(AudioDuration::from_frames(u64::MAX, 1), None);
        assert!(AudioDuration::from_frames(u64::MAX, u32::MAX).is_some());
    }

    #[test]
    fn lengths_read_as_people_write_them() {
        let shown = |micros| AudioDuration::from_micros(micros).to_string();
        assert_eq!(shown(7_100_000), "7.1 s");
        assert_eq!(shown(185_000_000), "3:05");
        assert_eq!(shown(3_729_000_000), "1:02:09");
    }

    #[test]
    fn what_goes_as_it_is_is_named_as_services_know_it() {
        use AudioFormat::{Aac, M4a, Mp3, Ogg, Wav};
        for (format, mime, extension) in [
            (Mp3, "audio/mpeg", "mp3"),
            (Wav, "audio/wav", "wav"),
            (M4a, "audio/mp4", "m4a"),
            (Ogg, "audio/ogg", "ogg"),
            (Aac, "audio/aac", "aac"),
        ] {
            assert_eq!((format.mime(), format.extension()), (mime, extension));
        }
    }
}
