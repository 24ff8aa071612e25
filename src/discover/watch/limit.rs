//! What the kernel lets a user watch, and the line that raises it.

use std::fmt;
use std::fs;
use std::io;

use notify::ErrorKind;
use rustix::io::Errno;

use super::mode::ModeReason;

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

/// The same for the programs that watch, at one moment.
const INSTANCES: [(&str, &str); 2] = [
    (
        "/proc/sys/fs/inotify/max_user_instances",
        "fs.inotify.max_user_instances",
    ),
    (
        "/proc/sys/user/max_inotify_instances",
        "user.max_inotify_instances",
    ),
];

/// Instances that are worth setting at the least.
const MANY: usize = 1024;

/// Why there are no events, when the kernel refused them with `error`.
pub(super) fn no_events(error: &notify::Error) -> ModeReason {
    let is_limit = |error: &io::Error| error.raw_os_error() == Some(Errno::MFILE.raw_os_error());
    let limit = if let ErrorKind::Io(error) = &error.kind
        && is_limit(error)
    {
        lowest(&INSTANCES)
    } else {
        None
    };
    let Some((setting, instances)) = limit else {
        return ModeReason::NoEvents {
            error: error.to_string(),
            mend: None,
        };
    };
    let wanted = instances.saturating_mul(2).max(MANY);
    ModeReason::NoEvents {
        error: format!("no more programs may watch ({setting} = {instances})"),
        mend: Some(format!("sudo sysctl {setting}={wanted}")),
    }
}

/// The lower one of the limits that hold; nothing where none can be read.
fn lowest(limits: &[(&str, &'static str)]) -> Option<(&'static str, usize)> {
    let limits = limits.iter().filter_map(|(path, setting)| {
        let limit = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        Some((*setting, limit))
    });
    limits.min_by_key(|(_, limit)| *limit)
}

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
        let (setting, watches) = lowest(&LIMITS)?;
        Some(Self { setting, watches })
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
    fn a_kernel_that_lets_no_more_programs_watch_is_told_with_the_line_that_mends_it() {
        let refused = |errno: Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            no_events(&notify::Error::io(error)).to_string()
        };
        let limited = refused(Errno::MFILE);
        assert!(limited.contains("max_user_instances = "), "{limited}");
        assert!(limited.contains("`sudo sysctl "), "{limited}");
        assert!(!refused(Errno::NOSYS).contains("sysctl"));
    }

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
