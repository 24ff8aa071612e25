//! What is being looked into, in a file that outlives the process; jobs in hand are in the table.
//!
//! It is written without a sync: it tells of the death of a process, which the system's own memory
//! survives, and not of a power cut, which is nobody's fault. A file that cannot be written costs no more
//! than the knowledge of who was in hand.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file's name in the state directory.
pub(crate) const HANDS_FILE: &str = "in-hand";
/// The most that is read of it.
const MOST_BYTES: u64 = 1 << 20;
/// Differs from start to start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What the file says of a process that was not told to stop.
const WORKING: &str = "working";
/// What it says of one that was.
const STOPPING: &str = "stopping";

/// What the process before this one left.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Last {
    /// Whether its end, if it had anything in hand, was a fall: nobody stopped it, and the machine went on.
    pub(super) fell: bool,
    /// The files that it looked into, and how far into each it was, in seconds of sound.
    pub(super) paths: BTreeMap<PathBuf, u64>,
}

/// What this process has in hand.
#[derive(Debug, Default)]
pub(super) struct Hands(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    boot: String,
    stopping: bool,
    paths: BTreeMap<PathBuf, Held>,
}

/// How a file is held.
#[derive(Debug, Default)]
struct Held {
    /// By how many.
    count: usize,
    /// How far into it the furthest is, in seconds of sound.
    reached: u64,
}

/// A file that is being looked into until this is dropped, unless that happens in a panic: that may be the
/// file's doing, and ends the process.
#[derive(Debug)]
pub struct InHand {
    hands: Arc<Hands>,
    path: Option<PathBuf>,
}

impl InHand {
    /// It stays in hand for good: it made a task panic, which ends the process.
    pub fn keep(mut self) {
        self.path = None;
    }

    /// It was looked into without harm as far as this, in seconds of sound.
    pub fn reached(&self, seconds: u64) {
        let mut inner = self.hands.inner();
        let held = self
            .path
            .as_ref()
            .and_then(|path| inner.paths.get_mut(path));
        if let Some(held) = held.filter(|held| held.reached < seconds) {
            held.reached = seconds;
            inner.write();
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        // What dies in a simulation unwinds, and it was not the file's doing.
        #[cfg(test)]
        let panics = panics && !crate::faults::simulated();
        if panics {
            return;
        }
        if let Some(path) = self.path.take() {
            let mut inner = self.hands.inner();
            if let Entry::Occupied(mut held) = inner.paths.entry(path) {
                held.get_mut().count = held.get().count.saturating_sub(1);
                if held.get().count == 0 {
                    held.remove();
                }
            }
            inner.write();
        }
    }
}

impl Hands {
    /// From now on this process' hands are told.
    pub(super) fn begin(&self, state_dir: &Path) {
        let path = state_dir.join(HANDS_FILE);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options
            .open(&path)
            .map_err(|error| tracing::debug!("{} cannot be made: {error}", path.display()));
        let mut inner = self.inner();
        *inner = Inner {
            file: file.ok(),
            boot: boot(),
            ..Inner::default()
        };
        inner.write();
    }

    /// A person, or whoever manages the service, stops this process: its end is no fall any more.
    pub(super) fn stopping(&self) {
        let mut inner = self.inner();
        inner.stopping = true;
        inner.write();
    }

    /// Looks into a file.
    pub(super) fn look_into(self: &Arc<Self>, path: PathBuf) -> InHand {
        let mut inner = self.inner();
        inner.paths.entry(path.clone()).or_default().count += 1;
        inner.write();
        drop(inner);
        InHand {
            hands: self.clone(),
            path: Some(path),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// In one call, which a kill finds done or not begun; an empty name is the end, whatever follows.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let word = if self.stopping { STOPPING } else { WORKING };
        let mut bytes = format!("{word} {}\0", self.boot).into_bytes();
        for (path, held) in &self.paths {
            bytes.extend_from_slice(format!("{} ", held.reached).as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes.push(0);
        if let Err(error) = file.write_all_at(&bytes, 0) {
            tracing::debug!("{HANDS_FILE} cannot be written: {error}");
        }
    }
}

/// What the process before this one left in `state_dir`.
pub(super) fn last(state_dir: &Path) -> Last {
    let path = state_dir.join(HANDS_FILE);
    let mut bytes = Vec::new();
    let read_all = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    match read_all {
        Ok(_) => read(&bytes, &boot()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Last::default(),
        Err(error) => {
            tracing::debug!("{} cannot be read: {error}", path.display());
            Last::default()
        }
    }
}

fn read(bytes: &[u8], boot: &str) -> Last {
    let mut names = bytes.split(|byte| *byte == 0);
    let fell = names.next() == Some(format!("{WORKING} {boot}").as_bytes());
    let paths = names.take_while(|name| !name.is_empty());
    Last {
        fell,
        paths: paths.map(place_and_path).collect(),
    }
}

/// A file and how far into it somebody was; a program before this one did not write the latter.
fn place_and_path(entry: &[u8]) -> (PathBuf, u64) {
    let split = entry.iter().position(|byte| *byte == b' ');
    let reached = split
        .and_then(|at| entry.get(..at))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let path = match (split, reached) {
        (Some(at), Some(_)) => entry.get(at + 1..).unwrap_or_default(),
        _ => entry,
    };
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    (path, reached.unwrap_or(0))
}

/// Which start of the machine this is; nothing where the system does not tell.
fn boot() -> String {
    std::fs::read_to_string(BOOT_ID)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(work: impl FnOnce(&Arc<Hands>)) -> Last {
        let folder = tempfile::tempdir().unwrap();
        let hands = Arc::new(Hands::default());
        hands.begin(folder.path());
        work(&hands);
        last(folder.path())
    }

    #[test]
    fn what_is_being_looked_into_is_told_after_the_end_and_nothing_else() {
        let last = left(|hands| {
            let long = hands.look_into("/in/a recording with a long name.mp3".into());
            hands.look_into("/in/panics.mp3".into()).keep();
            let far = hands.look_into("/in/a\nb.mp3".into());
            far.reached(45);
            far.reached(30);
            std::mem::forget(far);
            drop(long);
        });
        assert!(last.fell);
        let paths = [("/in/a\nb.mp3", 45), ("/in/panics.mp3", 0)];
        let paths = paths.map(|(path, reached)| (PathBuf::from(path), reached));
        assert_eq!(last.paths, BTreeMap::from(paths));
    }

    #[test]
    fn what_makes_somebody_panic_stays_in_hand() {
        let last = left(|hands| {
            let in_hand = hands.look_into("/in/panics.mp3".into());
            let panicked = std::thread::spawn(move || {
                let _in_hand = in_hand;
                panic!("at the file");
            });
            assert!(panicked.join().is_err());
        });
        assert!(last.paths.contains_key(Path::new("/in/panics.mp3")));
    }

    #[test]
    fn a_file_of_names_alone_is_read_as_well() {
        let names = read(b"working one\0/a 5 b\0/c\0\0", "one").paths;
        let names: Vec<_> = names.into_iter().collect();
        assert_eq!(names, [("/a 5 b".into(), 0), ("/c".into(), 0)]);
    }

    #[test]
    fn a_stop_is_no_fall() {
        assert!(!left(|hands| hands.stopping()).fell);
    }

    #[test]
    fn a_machine_that_went_down_is_no_fall() {
        assert!(read(b"working one\0/a\0\0", "one").fell);
        assert!(!read(b"working one\0/a\0\0", "two").fell);
    }

    #[test]
    fn no_file_and_a_damaged_one_tell_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last(folder.path()), Last::default());
        assert!(!read(b"", "").fell);
        assert!(!read(b"\xff\xfe", "one").fell);
    }
}
