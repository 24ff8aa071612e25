//! What is being looked into, in a file that outlives the process; jobs in hand are in the table.
//!
//! It is written without a sync: it tells of the death of a process, which the system's own memory
//! survives, and not of a power cut, which is nobody's fault. A file that cannot be written costs no more
//! than the knowledge of who was in hand.

use std::collections::BTreeMap;
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
    /// The files that it looked into.
    pub(super) paths: Vec<PathBuf>,
}

/// What this process has in hand.
#[derive(Debug, Default)]
pub(super) struct Hands(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<File>,
    boot: String,
    stopping: bool,
    paths: BTreeMap<PathBuf, usize>,
}

/// A file that is being looked into until this is dropped.
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
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let mut inner = self.hands.inner();
            if let Some(count) = inner.paths.get_mut(&path) {
                *count = count.saturating_sub(1);
            }
            inner.paths.retain(|_, count| *count > 0);
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
        *inner.paths.entry(path.clone()).or_insert(0) += 1;
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
        for path in self.paths.keys() {
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
        paths: paths
            .map(|name| PathBuf::from(OsString::from_vec(name.to_vec())))
            .collect(),
    }
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
            std::mem::forget(hands.look_into("/in/a\nb.mp3".into()));
            drop(long);
        });
        assert!(last.fell);
        let paths = ["/in/a\nb.mp3", "/in/panics.mp3"].map(PathBuf::from);
        assert_eq!(last.paths, paths);
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
