//! Is there room in a file whose content has not come?
//!
//! Copiers and recorders may make the whole room first and write into it later. Until then the end is
//! zeros, which no length gives away; whoever writes in no order leaves zeros or holes before it, too.
//! Silence is zeros where samples stand as they are: so what may be silence needs more of it to be
//! suspected, and whatever nobody wrote into for an hour is taken as it is.

use std::time::Duration;

use jiff::Timestamp;

use super::Fingerprint;
use crate::domain::audio::{AudioDuration, AudioFormat};

/// A file with suspicious zeros is taken as it is when nobody wrote into it for this long (1 hour).
pub const ZEROS_PATIENCE: Duration = Duration::from_secs(3600);

/// Fewer zeros than this, in bytes, are no sign of anything: a block of most disks (4 KiB).
const BLOCK: u64 = BLOCK_BYTES as u64;
const BLOCK_BYTES: usize = 4096;
/// Fewer zeros than this, in bytes, before the end are the padding of a container (256 KiB); downloads that
/// come in no order come in larger pieces.
const PADDING: u64 = 256 << 10;
/// Samples may be silent for less than this at their end (10 seconds).
const SILENCE: Duration = Duration::from_secs(10);
/// Samples may be silent for less than one part in this many at their end (half of them).
const SILENT_SHARE: u64 = 2;
/// A time further than this in the future says nothing (1 day): some clock was wrong.
const BELIEVABLE: Duration = Duration::from_secs(24 * 3600);

/// Zeros in a file, counted as it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zeros {
    /// How many bytes it ends in.
    pub at_the_end: u64,
    /// The longest run of them anywhere, in bytes; short ones are left out.
    pub longest: u64,
}

impl Zeros {
    /// Takes in the next bytes of the file.
    pub fn count(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK_BYTES) {
            let length = |count| u64::try_from(count).unwrap_or(u64::MAX);
            self.at_the_end = match block.iter().rposition(|byte| *byte != 0) {
                Some(last) => length(block.len() - last - 1),
                None => self.at_the_end.saturating_add(length(block.len())),
            };
            self.longest = self.longest.max(self.at_the_end);
        }
    }
}

/// What is known of the room in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The bytes of the file.
    pub size: u64,
    /// Which of them are zeros.
    pub zeros: Zeros,
    /// Whether the disk keeps nothing for the last byte: it was never written.
    pub is_hole: bool,
    /// Whether the disk keeps nothing for some bytes before its end.
    pub has_holes: bool,
    /// What the file is.
    pub format: AudioFormat,
    /// How long it plays, with the zeros.
    pub duration: Option<AudioDuration>,
}

impl Room {
    /// Whether the room for the file was made and its content has not come to all of it, as far as its
    /// bytes tell.
    pub fn is_preallocated(&self) -> bool {
        let zeros = self.zeros.at_the_end;
        if self.is_hole && zeros > 0 {
            return true;
        }
        if holds_samples(self.format) {
            return zeros >= BLOCK && self.is_more_than_silence();
        }
        // What is compressed never holds so many zeros.
        self.has_holes || zeros >= BLOCK || self.zeros.longest >= PADDING
    }

    fn is_more_than_silence(&self) -> bool {
        let length = self.duration.map_or(0, AudioDuration::micros);
        let zeros = self.zeros.at_the_end;
        let silent = u128::from(length) * u128::from(zeros) / u128::from(self.size.max(1));
        silent >= SILENCE.as_micros() || zeros >= self.size / SILENT_SHARE
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
            let room = Room {
                size,
                zeros: Zeros {
                    at_the_end: zeros,
                    longest: zeros,
                },
                is_hole,
                has_holes: false,
                format,
                duration: Some(AudioDuration::from_micros(micros)),
            };
            assert_eq!(room.is_preallocated(), expected, "{room:?}");
            // Disks that compress keep no silence; what is compressed already has none.
            let has_holes = true;
            let holed = Room { has_holes, ..room };
            let expected = expected || !matches!(format, Wav);
            assert_eq!(holed.is_preallocated(), expected, "{holed:?}");
        }
    }

    #[test]
    fn many_zeros_before_the_end_are_no_content_but_where_samples_are() {
        use AudioFormat::{Flac, M4a, Mp3, Wav};
        for (longest, format, expected) in [
            (PADDING - 1, Mp3, false),
            (PADDING, Mp3, true),
            (PADDING, M4a, true),
            (PADDING, Flac, true),
            (100 * PADDING, Wav, false),
        ] {
            let zeros = Zeros {
                at_the_end: 0,
                longest,
            };
            let room = Room {
                size: 200 * PADDING,
                zeros,
                is_hole: false,
                has_holes: false,
                format,
                duration: Some(AudioDuration::from_micros(MINUTE)),
            };
            assert_eq!(room.is_preallocated(), expected, "{room:?}");
        }
    }

    #[test]
    fn zeros_are_counted_whatever_portions_a_file_is_read_in() {
        let mut file = vec![0; 300_000];
        for (at, byte) in [(0, 1), (270_000, 2), (299_000, 3)] {
            file[at] = byte;
        }
        for portion in [1, 4095, 4096, 131_072, 300_000] {
            let mut zeros = Zeros::default();
            file.chunks(portion).for_each(|bytes| zeros.count(bytes));
            assert_eq!(zeros.at_the_end, 999, "{portion}");
            // Runs are counted from the last byte of a block on that is none: short by a block at the most.
            let longest = 269_999 - BLOCK..=269_999;
            assert!(longest.contains(&zeros.longest), "{portion}: {zeros:?}");
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
