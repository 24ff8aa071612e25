//! How many folders and files the kernel lets a user watch, and the line that raises it.

use std::fmt;
use std::fs;

/// Where Linux keeps it: on the machine, and in a container's user namespace.
const LIMITS: [(&str, &str); 2] = [
    (
        "/proc/sys/fs/inotify/max_user_watches",
        "fs.inotify.max_user_watches",
    ),
    (
        "/proc/sys/user/max_inotify_watches",
        "user.max_inotify_watches",
    ),
];

/// What is worth setting at the least: unused watches cost nothing.
const WORTHWHILE: usize = 1 << 20;

/// How many folders and files may be watched, and the setting that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchLimit {
    /// The setting, by its name for `sysctl`.
    pub setting: &'static str,
    /// So many.
    pub watches: usize,
}

impl WatchLimit {
    /// The lower one of the limits that hold; nothing where none can be read.
    pub fn read() -> Option<Self> {
        let limits = LIMITS.into_iter().filter_map(|(path, setting)| {
            let watches = fs::read_to_string(path).ok()?.trim().parse().ok()?;
            Some(Self { setting, watches })
        });
        limits.min_by_key(|limit| limit.watches)
    }

    /// The command that raises it far enough for `folders`, with other programs that watch, too.
    pub fn mend(&self, folders: usize) -> String {
        let wanted = folders
            .max(self.watches)
            .saturating_mul(2)
            .max(WORTHWHILE)
            .next_power_of_two();
        format!("sudo sysctl {}={wanted}", self.setting)
    }
}

impl fmt::Display for WatchLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.setting, self.watches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_worthwhile_or_twice_what_is_needed() {
        for (watches, folders, wanted) in [
            (8_192, 5_000, 1 << 20),
            (1_048_576, 10, 1 << 21),
            (8_192, 600_000, 1 << 21),
        ] {
            let setting = "user.max_inotify_watches";
            let limit = WatchLimit { setting, watches };
            let expected = format!("sudo sysctl user.max_inotify_watches={wanted}");
            assert_eq!(limit.mend(folders), expected);
        }
        assert!(WatchLimit::read().is_some());
    }
}
