//! Was a file there before stenod was started first with its folder?
//!
//! By when it was touched last, as long as what lies in the folder is seen for the first time: at the
//! first start, when a folder that was missing comes, when another disk is mounted there. What comes
//! to a disk whose files were all seen is new, whatever its times.

use jiff::Timestamp;

use super::job::ContentHash;
use super::settle::Fingerprint;

/// What is known of a folder whose old files are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstSight {
    /// When stenod was started first with this folder.
    pub started: Timestamp,
    /// The device of which every file in the folder was seen, if one was.
    pub seen: Option<u64>,
}

impl FirstSight {
    /// Whether a file that was never seen was there before the first start.
    pub fn is_existing(&self, file: &Fingerprint, now: Timestamp) -> bool {
        self.seen != Some(file.device) && touched_ns(file, now) < self.started.as_nanosecond()
    }
}

/// An old file as it was when it was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftAlone {
    /// Its size in bytes.
    pub size: u64,
    /// The mark of its content, if that was read.
    pub mark: Option<ContentHash>,
}

impl LeftAlone {
    /// Whether the file at its path, of this size and with this mark, is still the old one, however often it was
    /// touched since. What could not be read is told by its size alone.
    pub fn is_still(&self, size: u64, mark: Option<ContentHash>) -> bool {
        let is_same = |mark| self.mark.is_none_or(|before| before == mark);
        self.size == size && mark.is_none_or(is_same)
    }
}

/// When a file was touched last, in nanoseconds since 1970; a time of its content that is still to come was
/// set by hand or by a wrong clock, and says nothing.
fn touched_ns(file: &Fingerprint, now: Timestamp) -> i128 {
    let (modified, changed) = (i128::from(file.modified_ns), i128::from(file.changed_ns));
    if modified > now.as_nanosecond() {
        changed
    } else {
        modified.max(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_file_stays_one_until_its_size_or_its_content_changes() {
        let mark = |byte| Some(ContentHash([byte; 32]));
        let size = 10;
        let read = LeftAlone {
            size,
            mark: mark(1),
        };
        let unread = LeftAlone { size, mark: None };
        for (what, before, size, now, is_still) in [
            ("it was touched", read, 10, mark(1), true),
            ("it has other bytes", read, 10, mark(2), false),
            ("it has more bytes", read, 11, mark(1), false),
            ("it was never read", unread, 10, mark(1), true),
            ("it cannot be read now", read, 10, None, true),
            ("it was never read, and grew", unread, 11, mark(1), false),
        ] {
            assert_eq!(before.is_still(size, now), is_still, "{what}");
        }
    }

    #[test]
    fn what_was_touched_before_the_first_start_is_left_alone_at_first_sight() {
        let second = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let (here, other) = (1, 2);
        for (what, seen, device, modified, changed, existing) in [
            ("an old file, at first sight", None, here, 50, 50, true),
            ("a recording made meanwhile", None, here, 150, 150, false),
            (
                "an old one, copied in meanwhile",
                None,
                here,
                50,
                150,
                false,
            ),
            ("old, from a wrong clock", None, here, 9_000, 50, true),
            ("new, from a wrong clock", None, here, 9_000, 150, false),
            ("at the moment of the start", None, here, 100, 100, false),
            ("where all was seen", Some(here), here, 50, 50, false),
            ("on a disk put in since", Some(here), other, 50, 50, true),
            ("made on that disk", Some(here), other, 150, 150, false),
        ] {
            let sight = FirstSight {
                started: second(100),
                seen,
            };
            let file = Fingerprint {
                device,
                inode: 1,
                size: 1,
                modified_ns: modified * 1_000_000_000,
                changed_ns: changed * 1_000_000_000,
            };
            assert_eq!(sight.is_existing(&file, second(200)), existing, "{what}");
        }
    }
}
