//! Is this file complete? A pure decision over samples in time.
//!
//! A file is complete when nothing about it (inode, size, times) has changed for its settle time. The
//! time doubles when a change ends a quiet stretch of half of it or more, so that bursts with pauses
//! are waited for. Never complete: an empty file, a temporary name, a file that changed since the last
//! sample, a container that says it is cut short. The book forgets a file as soon as it is complete or
//! gone, so its memory is bounded by what is unsettled at this moment; of some thousand that were complete
//! lately it keeps how long it waited, and waits twice as long where one changes after that.

mod names;
mod room;
mod taken;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use names::{complete_name, hidden, pruned_folder, temporary_name};
pub use room::{Room, ZEROS_PATIENCE, Zeros};

use taken::Taken;

/// The longest that a file must stay unchanged, however often it changed before (5 minutes), unless
/// the configured settle time is longer still.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// Untouched for this long at first sight (2 minutes, more than clocks of file servers usually differ):
/// complete at once.
pub const OLD_ENOUGH: Duration = Duration::from_secs(2 * 60);
/// The settle time of a one-shot run is never above this (2 seconds).
pub const ONE_SHOT_SETTLE: Duration = Duration::from_secs(2);
/// How often a file is looked at again that only a change can complete (60 seconds).
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The most files that a book follows at once; beyond it a later scan brings them back.
pub const MAX_UNSETTLED: usize = 65_536;

/// File systems that round the times of their files do so to 10 ms, or to 1 or 2 seconds (in nanoseconds).
const COARSE_STAMPS: i64 = 10_000_000;
/// While a file grows, it is looked at this many times in each settle time.
const LOOKS_PER_WAIT: u32 = 4;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The device that holds the file.
    pub device: u64,
    /// The inode on that device.
    pub inode: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of the last change of the content, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// The time of the last change of content or inode, in nanoseconds since 1970.
    pub changed_ns: i64,
}

impl Fingerprint {
    /// Whether nothing touched the file for `age` before `now`; a time in the future counts as touched.
    fn untouched_for(&self, age: Duration, now: Timestamp) -> bool {
        let touched = i128::from(self.modified_ns.max(self.changed_ns));
        let age = i128::try_from(age.as_nanos()).unwrap_or(i128::MAX);
        now.as_nanosecond().saturating_sub(touched) >= age
    }

    /// How much of `quiet`, for which nothing was told of the file, its stamps bear out. Stamps in whole steps of
    /// [`COARSE_STAMPS`] may be older than what they are of, so that they say nothing.
    fn quiet_by_stamps(&self, quiet: Duration, now: Timestamp) -> Duration {
        if self.changed_ns.rem_euclid(COARSE_STAMPS) == 0 {
            return Duration::ZERO;
        }
        let touched = i128::from(self.modified_ns.max(self.changed_ns));
        let age = now.as_nanosecond().saturating_sub(touched).max(0);
        quiet.min(Duration::from_nanos(u64::try_from(age).unwrap_or(u64::MAX)))
    }
}

/// The answer to one sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// The file is complete: nothing changed for its settle time.
    Complete,
    /// The file is not complete, or not yet known to be.
    Wait {
        /// Why.
        reason: Unsettled,
        /// When to take the next sample.
        until: Timestamp,
    },
}

/// Why a file does not count as complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// It changed since it was first seen.
    Growing,
    /// It has no bytes.
    Empty,
    /// It was touched lately and has not been watched for its settle time.
    TooYoung,
    /// Its name belongs to a program that is still writing.
    TemporaryName {
        /// The pattern that the name matches.
        pattern: &'static str,
    },
    /// Its content says that bytes are missing.
    CutShort {
        /// What says so, in a few words ("cut short: no moov").
        what: String,
    },
    /// It holds zeros that nobody may have written over yet.
    Preallocated,
}

/// The code of [`Unsettled::Preallocated`], by which the table knows such a file.
pub const PREALLOCATED: &str = "preallocated";
/// The code of a file that changes while it is looked at.
pub const GROWING: &str = "growing";
/// The code of [`Unsettled::CutShort`], by which the table knows such a file.
pub const CUT_SHORT: &str = "cut_short";

impl Unsettled {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Growing => GROWING,
            Self::Empty => "empty",
            Self::TooYoung => "too_young",
            Self::TemporaryName { .. } => "temporary_name",
            Self::CutShort { .. } => CUT_SHORT,
            Self::Preallocated => PREALLOCATED,
        }
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Growing => f.write_str("growing"),
            Self::Empty => f.write_str("empty"),
            Self::TooYoung => f.write_str("too young"),
            Self::TemporaryName { pattern } => write!(f, "temporary name ({pattern})"),
            Self::CutShort { what } => f.write_str(what),
            Self::Preallocated => f.write_str("preallocated: zeros where its content should be"),
        }
    }
}

/// The settle time of a one-shot run: the configured one, 2 seconds at the most.
pub fn one_shot(settle: Duration) -> Duration {
    settle.min(ONE_SHOT_SETTLE)
}

/// The files that are being waited for, each with what was seen of it.
#[derive(Debug)]
pub struct SettleBook {
    files: HashMap<Arc<Path>, Entry>,
    /// The same files by the time of their next sample.
    looks: BTreeSet<(Timestamp, Arc<Path>)>,
    capacity: usize,
    refused: bool,
    taken: Taken,
}

impl Default for SettleBook {
    fn default() -> Self {
        Self::with_capacity(MAX_UNSETTLED)
    }
}

impl SettleBook {
    /// A book that follows at most `capacity` files at once.
    pub fn with_capacity(capacity: usize) -> Self {
        let (files, looks) = (HashMap::new(), BTreeSet::new());
        Self {
            files,
            looks,
            capacity,
            refused: false,
            taken: Taken::default(),
        }
    }

    /// Judges a sample of `path` taken at `now`, remembering it unless the file is complete.
    pub fn observe(
        &mut self,
        path: &Path,
        settle: Duration,
        sample: Fingerprint,
        now: Timestamp,
    ) -> Settling {
        self.observe_after_quiet(path, settle, sample, Duration::ZERO, now)
    }

    /// The same, where the kernel tells all that happens to the file and told nothing for `quiet`: as far as its
    /// own stamps say so too, that counts as part of its settle time.
    pub fn observe_after_quiet(
        &mut self,
        path: &Path,
        settle: Duration,
        sample: Fingerprint,
        quiet: Duration,
        now: Timestamp,
    ) -> Settling {
        let quiet = sample.quiet_by_stamps(quiet, now);
        if let Some(pattern) = path.file_name().and_then(temporary_name) {
            self.forget(path);
            let reason = Unsettled::TemporaryName { pattern };
            return Settling::Wait {
                reason,
                until: later(now, LOOK_AGAIN),
            };
        }
        let entry = match self.take(path) {
            Some(mut entry) => {
                entry.sample(sample, settle, quiet, now);
                entry
            }
            None if sample.size > 0 && sample.untouched_for(settle.max(OLD_ENOUGH), now) => {
                return Settling::Complete;
            }
            None => {
                let entry = Entry::new(sample, settle, now);
                let wait = self.taken.too_short_for(&sample);
                Entry {
                    quiet,
                    wait: wait.map_or(settle, |wait| longer(wait.max(settle), settle)),
                    ..entry
                }
            }
        };
        self.settle(path, entry, now)
    }

    /// Takes in that the complete-looking `sample` was found cut short: the file waits, with `what` as the
    /// reason, until it changes.
    pub fn cut_short(
        &mut self,
        path: &Path,
        settle: Duration,
        sample: Fingerprint,
        what: &str,
        now: Timestamp,
    ) -> Settling {
        let missing = Missing::Bytes(what.to_owned());
        self.lacks(path, settle, sample, missing, now)
    }

    /// Takes in that the complete-looking `sample` holds room without content: the file waits until it
    /// changes, or until nobody wrote into it for [`ZEROS_PATIENCE`].
    pub fn preallocated(
        &mut self,
        path: &Path,
        settle: Duration,
        sample: Fingerprint,
        now: Timestamp,
    ) -> Settling {
        self.lacks(path, settle, sample, Missing::Content, now)
    }

    fn lacks(
        &mut self,
        path: &Path,
        settle: Duration,
        sample: Fingerprint,
        missing: Missing,
        now: Timestamp,
    ) -> Settling {
        let mut entry = self
            .take(path)
            .unwrap_or_else(|| Entry::new(sample, settle, now));
        entry.sample(sample, settle, Duration::ZERO, now);
        entry.missing = Some(missing);
        self.settle(path, entry, now)
    }

    /// Drops what is known of a file that vanished or is of no interest any more.
    pub fn forget(&mut self, path: &Path) {
        drop(self.take(path));
    }

    /// Up to `limit` files of those that `is_asked` names whose next sample is due at `now`, the longest due first.
    pub fn due(
        &self,
        now: Timestamp,
        limit: usize,
        is_asked: impl Fn(&Path) -> bool,
    ) -> Vec<PathBuf> {
        let due = self.looks.iter().take_while(|(until, _)| *until <= now);
        due.filter(|(_, path)| is_asked(path))
            .take(limit)
            .map(|(_, path)| path.to_path_buf())
            .collect()
    }

    /// When the next sample of any file is due that `is_asked` names.
    pub fn next_look(&self, is_asked: impl Fn(&Path) -> bool) -> Option<Timestamp> {
        let mut looks = self.looks.iter();
        let next = looks.find(|(_, path)| is_asked(path));
        next.map(|(until, _)| *until)
    }

    /// Every file that is being waited for, with the reason and until when, as far as that is known.
    pub fn waiting(&self) -> impl Iterator<Item = (&Path, Unsettled, Timestamp)> {
        self.files
            .iter()
            .map(|(path, entry)| (&**path, entry.reason(), entry.end()))
    }

    /// Why `path` waits and until when, if it does.
    pub fn standing(&self, path: &Path) -> Option<(Unsettled, Timestamp)> {
        self.files
            .get(path)
            .map(|entry| (entry.reason(), entry.end()))
    }

    /// The number of files that are being waited for.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file is being waited for.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether files were turned away for want of room and half of the book is free again, so that a
    /// scan should bring them back; says so once.
    pub fn rescan_wanted(&mut self) -> bool {
        let wanted = self.refused && self.files.len() <= self.capacity / 2;
        self.refused &= !wanted;
        wanted
    }

    fn settle(&mut self, path: &Path, mut entry: Entry, now: Timestamp) -> Settling {
        let Some(until) = entry.next_look(now) else {
            self.taken.note(entry.last, entry.wait);
            return Settling::Complete;
        };
        let reason = entry.reason();
        entry.until = until;
        self.put(path, entry);
        Settling::Wait { reason, until }
    }

    fn take(&mut self, path: &Path) -> Option<Entry> {
        let (path, entry) = self.files.remove_entry(path)?;
        self.looks.remove(&(entry.until, path));
        Some(entry)
    }

    fn put(&mut self, path: &Path, entry: Entry) {
        if self.files.len() >= self.capacity {
            self.refused = true;
            return;
        }
        let path: Arc<Path> = path.into();
        self.looks.insert((entry.until, Arc::clone(&path)));
        self.files.insert(path, entry);
    }
}

/// What an examination found to be missing.
#[derive(Debug)]
enum Missing {
    /// Bytes, as these words say.
    Bytes(String),
    /// What is to be written over the zeros at the end.
    Content,
}

/// What was seen of one file.
#[derive(Debug)]
struct Entry {
    last: Fingerprint,
    /// For how long the last fingerprint was watched, without what nobody planned to wait: a machine that
    /// slept, and a clock that was set, say nothing of whoever writes.
    quiet: Duration,
    /// When the last sample was taken.
    looked: Timestamp,
    /// The settle time of its folder.
    settle: Duration,
    /// How long it must stay unchanged.
    wait: Duration,
    changed: bool,
    missing: Option<Missing>,
    /// When the next sample is due.
    until: Timestamp,
}

impl Entry {
    fn new(last: Fingerprint, settle: Duration, now: Timestamp) -> Self {
        let (looked, until) = (now, now);
        Self {
            last,
            quiet: Duration::ZERO,
            looked,
            settle,
            wait: settle,
            changed: false,
            missing: None,
            until,
        }
    }

    /// Takes in a sample of which is known that it had been so for `known` already.
    fn sample(&mut self, sample: Fingerprint, settle: Duration, known: Duration, now: Timestamp) {
        if settle != self.settle {
            // The configuration was read again.
            (self.settle, self.wait) = (settle, settle);
        }
        let planned = elapsed(self.looked, self.until);
        self.quiet += elapsed(self.looked, now).min(planned);
        if sample != self.last {
            // The quiet that has ended lasted until the change, not until it was seen.
            if self.quiet.saturating_sub(known) >= self.wait / 2 {
                self.wait = longer(self.wait, settle);
            }
            (self.last, self.changed, self.missing) = (sample, true, None);
            self.quiet = Duration::ZERO;
        }
        if now < self.looked {
            // The clock was set back: what was measured before means nothing.
            self.quiet = Duration::ZERO;
        }
        self.quiet = self.quiet.max(known);
        self.looked = now;
    }

    fn reason(&self) -> Unsettled {
        match &self.missing {
            Some(Missing::Bytes(what)) => Unsettled::CutShort { what: what.clone() },
            Some(Missing::Content) => Unsettled::Preallocated,
            None if self.last.size == 0 => Unsettled::Empty,
            None if self.changed => Unsettled::Growing,
            None => Unsettled::TooYoung,
        }
    }

    /// Until when it waits, as far as that is known; else when it is looked at again.
    fn end(&self) -> Timestamp {
        match &self.missing {
            Some(Missing::Content) => self.last.zeros_believed_at(self.looked),
            Some(Missing::Bytes(_)) | None => None,
        }
        .unwrap_or(self.until)
    }

    /// When to look again, or nothing when the file is complete.
    fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.missing {
            Some(Missing::Content) if self.last.zeros_are_believed(now) => return None,
            Some(Missing::Content | Missing::Bytes(_)) => return Some(later(now, LOOK_AGAIN)),
            None if self.last.size == 0 => return Some(later(now, LOOK_AGAIN)),
            None => {}
        }
        if self.quiet >= self.wait {
            return None;
        }
        let settled = later(now, self.wait - self.quiet);
        let soon = later(now, self.wait / LOOKS_PER_WAIT);
        Some(if self.changed {
            settled.min(soon)
        } else {
            settled
        })
    }
}

/// Twice the wait, up to the longest.
fn longer(wait: Duration, settle: Duration) -> Duration {
    wait.saturating_mul(2).min(LONGEST_WAIT.max(settle))
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}
