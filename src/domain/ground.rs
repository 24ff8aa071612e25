//! The ground of a recording: on which disk, and in which folder of it, it lay when it was queued.
//!
//! Where a disk was taken away, the empty folder below it is no place for outputs, and what is missing there
//! was not deleted. Nothing here looks at disks: what lies there now is an argument.

use serde::{Deserialize, Serialize};

/// What lies at a root, and below which disk a recording in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ground {
    /// The disk of the nearest folder above the recording that is there.
    pub disk: String,
    /// The inode of the root.
    pub folder: u64,
    /// Whether something is mounted at the root itself.
    pub is_mount: bool,
}

impl Ground {
    /// Whether a recording that is missing has gone with its disk, when `now` is what lies there, or nothing
    /// does. A folder that was deleted and made anew on the same disk has lost its recordings.
    pub fn has_gone(&self, now: Option<&Self>) -> bool {
        now.is_none_or(|now| now.disk != self.disk || (self.is_mount && now.folder != self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(disk: &str, folder: u64, is_mount: bool) -> Ground {
        let disk = disk.to_owned();
        Ground {
            disk,
            folder,
            is_mount,
        }
    }

    #[test]
    fn a_disk_that_was_taken_away_is_told_from_a_folder_that_was_made_anew() {
        let (usb, bind, folder) = (
            ground("ext4:1", 2, true),
            ground("ext4:9", 70, true),
            ground("ext4:9", 80, false),
        );
        for (what, before, now, gone) in [
            ("nothing is there", &folder, None, true),
            ("it is as it was", &usb, Some(&usb), false),
            ("the folder below the disk", &usb, Some(&folder), true),
            ("the folder below a bind mount", &bind, Some(&folder), true),
            (
                "mounted elsewhere inside the disk",
                &folder,
                Some(&ground("ext4:9", 80, true)),
                false,
            ),
            (
                "deleted and made anew",
                &folder,
                Some(&ground("ext4:9", 81, false)),
                false,
            ),
            (
                "a disk that was mounted inside the root",
                &ground("ext4:1", 80, false),
                Some(&folder),
                true,
            ),
        ] {
            assert_eq!(before.has_gone(now), gone, "{what}");
        }
    }
}
