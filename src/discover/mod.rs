//! Finds recordings: scanning is the truth, watching gives hints.
//!
//! A [`Root`] is a folder (or a file) of the configuration with its rules, [`scan()`] walks it and names
//! what is there, and tells what it left out that a person should hear about. One scan path serves the
//! start, created and moved-in folders, overflow, errors, the periodic rescan and one-shot runs. It
//! never reads content, never follows a link to a folder, never writes, and never takes a missing root
//! for deleted files.

mod answering;
mod content;
mod folder;
mod globs;
mod local;
mod mounts;
mod root;
mod scan;
mod sight;
mod tops;
mod walk;
mod watch;

pub use content::{Content, content, ground};
pub use folder::{SkipReason, closed_above, is_gone, sample};
pub use globs::GlobError;
pub use local::{IGNORE_FILE, LocalRules, RuleMistake, SETTINGS_FILE, SettingsFile};
pub use mounts::mount_of;
pub use root::{LeftOut, Root, RootError, RootRules, Roots, WatchMode};
pub use scan::{Found, RootState, ScanReport, Scope, scan};
pub use sight::{Sight, sight};
pub use watch::{
    Cause, Closed, Hint, Hints, Mode, ModeReason, Presence, RootMode, Tuning, WatchLimit, Watcher,
    outlook,
};
