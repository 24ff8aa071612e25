//! How a root is watched, and why so: what `status` and `doctor` show.

use std::fmt;
use std::path::PathBuf;

/// How a root is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The kernel tells of changes.
    Events,
    /// It is scanned at intervals.
    Poll,
}

/// Why a root is watched as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeReason {
    /// The configuration says so.
    Configured,
    /// Its disk is local.
    LocalDisk,
    /// The kernel does not tell of all changes on its file system.
    RemoteDisk {
        /// The file system.
        file_system: &'static str,
    },
    /// The kernel's limit of watches is reached.
    WatchLimit {
        /// The command that raises it, where it is known what limits.
        mend: Option<String>,
    },
    /// So many folders are watched at the most, whatever the kernel allows.
    OwnLimit {
        /// In all roots together.
        most: usize,
    },
    /// The kernel gives no events at all.
    NoEvents {
        /// What it says.
        error: String,
        /// The command that mends it, where that is known.
        mend: Option<String>,
    },
    /// It is a single file.
    SingleFile,
    /// It is the same folder as an earlier root, which is watched instead.
    SameAs(PathBuf),
    /// It is not there; whether it came is looked up at intervals.
    Absent,
    /// Its disk does not answer; whether it does is asked at intervals.
    Silent,
}

impl ModeReason {
    /// The command by which it would be watched by events, where there is one.
    pub fn mend(&self) -> Option<&str> {
        match self {
            Self::WatchLimit { mend } | Self::NoEvents { mend, .. } => mend.as_deref(),
            Self::Configured
            | Self::LocalDisk
            | Self::RemoteDisk { .. }
            | Self::OwnLimit { .. }
            | Self::SingleFile
            | Self::SameAs(_)
            | Self::Absent
            | Self::Silent => None,
        }
    }
}

impl fmt::Display for ModeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("configured"),
            Self::LocalDisk => f.write_str("local disk"),
            Self::RemoteDisk { file_system } => write!(f, "{file_system} gives no reliable events"),
            Self::WatchLimit { mend: Some(mend) } => {
                write!(f, "the limit of watches is reached: raise it with `{mend}`")
            }
            Self::WatchLimit { mend: None } => f.write_str("the limit of watches is reached"),
            Self::OwnLimit { most } => write!(f, "more than {most} folders are not watched"),
            Self::NoEvents {
                error,
                mend: Some(mend),
            } => write!(
                f,
                "the kernel gives no events: {error}: raise that with `{mend}`"
            ),
            Self::NoEvents { error, mend: None } => {
                write!(f, "the kernel gives no events: {error}")
            }
            Self::SingleFile => f.write_str("a single file"),
            Self::SameAs(path) => write!(f, "the same folder as {}", path.display()),
            Self::Absent => f.write_str("looked for twice a minute"),
            Self::Silent => f.write_str("its disk is asked twice a minute whether it answers"),
        }
    }
}

/// Whether a root is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there and can be read.
    Present,
    /// It is not there.
    Missing,
    /// It is there and cannot be read.
    Unreadable,
    /// Its disk does not answer.
    Silent,
}

/// How one root is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootMode {
    /// The root.
    pub path: PathBuf,
    /// How it is watched.
    pub mode: Mode,
    /// Why so.
    pub reason: ModeReason,
    /// Whether it is there.
    pub presence: Presence,
    /// The number of folders that are watched in it.
    pub watched_folders: usize,
    /// Folders in it that are polled because another file system is mounted there.
    pub polled_inside: Vec<(PathBuf, &'static str)>,
}

/// Mounts inside a folder that are named one by one.
const MOST_NAMED: usize = 4;

impl RootMode {
    /// Why it is watched as it is, and which folders in it are polled for another reason.
    pub fn explained(&self) -> String {
        let mut text = self.reason.to_string();
        let named = self.polled_inside.iter().take(MOST_NAMED);
        for (number, (path, file_system)) in named.enumerate() {
            let start = if number == 0 {
                "; polled in it: "
            } else {
                ", "
            };
            text.push_str(&format!("{start}{} ({file_system})", path.display()));
        }
        match self.polled_inside.len().saturating_sub(MOST_NAMED) {
            0 => text,
            more => format!("{text} and {more} more"),
        }
    }
}
