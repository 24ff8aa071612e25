//! Does a file end as one whose room was made before its content came?
//!
//! Copiers and recorders may make the whole room first and write into it later. Until then the end is
//! zeros, which no length gives away; whoever writes in no order leaves holes before it. Silence is zeros, too, where samples stand as they are: so what
//! may be silence needs more of it to be suspected, and whatever nobody wrote into for an hour is taken
//! as it is.

use std::time::Duration;

use jiff::Timestamp;

use super::Fingerprint;
use crate::domain::audio::{AudioDuration, AudioFormat};

/// A file that ends in zeros is taken as it is when nobody wrote into it for this long (1 hour).
pub const ZEROS_PATIENCE: Duration = Duration::from_secs(3600);

/// Fewer zeros than this, in bytes, are no sign of anything: a block of most disks (4 KiB).
const BLOCK: u64 = 4096;
/// Samples may be silent for less than this at their end (10 seconds).
const SILENCE: Duration = Duration::from_secs(10);
/// Samples may be silent for less than one part in this many at their end (half of them).
const SILENT_SHARE: u64 = 2;
/// A time further than this in the future says nothing (1 day): some clock was wrong.
const BELIEVABLE: Duration = Duration::from_secs(24 * 3600);

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The bytes of the file.
    pub size: u64,
    /// How many of them are zeros at its end.
    pub zeros: u64,
    /// Whether the disk keeps nothing for the last byte: it was never written.
    pub is_hole: bool,
    /// Whether the disk keeps nothing for some bytes before its end.
    pub has_holes: bool,
    /// What the file is.
    pub format: AudioFormat,
    /// How long it plays, with the zeros.
    pub duration: Option<AudioDuration>,
}

impl Ending {
    /// Whether the room for the file was made and its content has not come to the end of it, as far as
    /// its bytes tell.
    pub fn is_preallocated(&self) -> bool {
        if self.is_hole && self.zeros > 0 {
            return true;
        }
        if self.has_holes && !holds_samples(self.format) {
            return true;
        }
        if self.zeros < BLOCK {
            return false;
        }
        // What is compressed never holds so many zeros.
        !holds_samples(self.format) || self.is_more_than_silence()
    }

    fn is_more_than_silence(&self) -> bool {
        let length = self.duration.map_or(0, AudioDuration::micros);
        let silent = u128::from(length) * u128::from(self.zeros) / u128::from(self.size.max(1));
        silent >= SILENCE.as_micros() || self.zeros >= self.size / SILENT_SHARE
    }
}

/// Whether the samples stand in the file as they are.
fn holds_samples(format: AudioFormat) -> bool {
    match format {
        AudioFormat::Wav | AudioFormat::Aiff | AudioFormat::Caf => true,
        AudioFormat::Mp3
        | AudioFormat::Mp2
        | AudioFormat::M4a
        | AudioFormat::Alac
        | AudioFormat::Mp4
        | AudioFormat::QuickTime
        | AudioFormat::Ogg
        | AudioFormat::OggOther
        | AudioFormat::Aac
        | AudioFormat::Flac
        | AudioFormat::WebM
        | AudioFormat::Matroska
        | AudioFormat::Wma
        | AudioFormat::Amr
        | AudioFormat::Avi => false,
    }
}

impl Fingerprint {
    /// When the content was written last, in nanoseconds since 1970. A time that is still to come was set
    /// by hand or by a wrong clock: then the inode's counts, which nobody can set.
    fn written_ns(&self, now: Timestamp) -> i64 {
        if i128::from(self.modified_ns) <= now.as_nanosecond() {
            self.modified_ns
        } else {
            self.changed_ns
        }
    }

    /// Since when a file that ends in zeros is taken as it is, if nobody writes into it; nothing where its
    /// times say nothing.
    pub fn zeros_believed_at(&self, now: Timestamp) -> Option<Timestamp> {
        let written = i128::from(self.written_ns(now));
        let ahead = written.saturating_sub(now.as_nanosecond());
        if ahead > nanoseconds(BELIEVABLE) {
            return None;
        }
        Timestamp::from_nanosecond(written + nanoseconds(ZEROS_PATIENCE)).ok()
    }

    /// Whether nobody wrote into the file for so long that zeros at its end are taken as they are.
    pub fn zeros_are_believed(&self, now: Timestamp) -> bool {
        self.zeros_believed_at(now).is_none_or(|at| at <= now)
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60 * 1_000_000;

    #[test]
    fn what_may_be_silence_needs_more_zeros_than_what_cannot_be() {
        use AudioFormat::{Flac, M4a, Mp3, Wav};
        let mebi = 1 << 20;
        for (size, zeros, is_hole, format, micros, expected) in [
            // A minute of WAV, by and by more silent at its end.
            (10 * mebi, 0, false, Wav, MINUTE, false),
            (10 * mebi, mebi, false, Wav, MINUTE, false),
            (10 * mebi, 2 * mebi, false, Wav, MINUTE, true),
            // Seconds of an hour are more zeros, and still silence.
            (600 * mebi, mebi, false, Wav, 60 * MINUTE, false),
            (600 * mebi, 300 * mebi, false, Wav, 60 * MINUTE, true),
            // Half of what is short; a few samples are nothing.
            (mebi, mebi / 4, false, Wav, MINUTE / 10, false),
            (mebi, mebi / 2, false, Wav, MINUTE / 10, true),
            (4000, 3956, false, Wav, MINUTE / 100, false),
            // The disk knows that it was never written.
            (10 * mebi, 5000, true, Wav, MINUTE, true),
            (10 * mebi, 0, true, Wav, MINUTE, false),
            // Compressed, a block of zeros is none of it.
            (10 * mebi, 4095, false, M4a, MINUTE, false),
            (10 * mebi, 4096, false, M4a, MINUTE, true),
            (10 * mebi, 4096, false, Mp3, MINUTE, true),
            (10 * mebi, 9 * mebi, false, Flac, MINUTE, true),
        ] {
            let ending = Ending {
                size,
                zeros,
                is_hole,
                has_holes: false,
                format,
                duration: Some(AudioDuration::from_micros(micros)),
            };
            assert_eq!(ending.is_preallocated(), expected, "{ending:?}");
            // Disks that compress keep no silence; what is compressed already has none.
            let has_holes = true;
            let holed = Ending {
                has_holes,
                ..ending
            };
            let expected = expected || !matches!(format, Wav);
            assert_eq!(holed.is_preallocated(), expected, "{holed:?}");
        }
    }

    #[test]
    fn zeros_are_believed_when_nobody_wrote_for_an_hour_whatever_clocks_say() {
        let second = |seconds: i64| seconds * 1_000_000_000;
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let from_now = |seconds: i64| second(1_700_000_000 + seconds);
        for (modified, changed, believed) in [
            (-3600, 0, true),
            (-3599, -9000, false),
            (0, 0, false),
            // A camera from the future; the inode is younger or older than an hour.
            (1_000_000, -10, false),
            (1_000_000, -3600, true),
            // A server whose clock is ahead, and one whose clock is broken.
            (60, 60, false),
            (1_000_000, 1_000_000, true),
        ] {
            let file = Fingerprint {
                device: 1,
                inode: 1,
                size: 1,
                modified_ns: from_now(modified),
                changed_ns: from_now(changed),
            };
            let is = file.zeros_are_believed(now);
            assert_eq!(is, believed, "{modified} {changed}");
        }
    }
}
