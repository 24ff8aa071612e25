//! One owner: the lock on the state directory.
//!
//! The lock is the kernel's and goes with the process, however it ends; what the file says (who, since
//! when) is only for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::QueueError;
use crate::clock::rfc3339;

/// The lock file's name in the state directory.
const LOCK_FILE: &str = "lock";
/// The most that is read of a lock file, in bytes.
const LONGEST_NOTE: u64 = 200;

/// A process that holds the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its process id, as it wrote it.
    pub pid: String,
    /// When it started, as it wrote it (RFC 3339).
    pub since: String,
}

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the state directory if need be (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// [`QueueError::AlreadyHeld`] if another process has it; [`QueueError::StateDir`] if the directory
    /// cannot be made or written.
    pub(super) fn take(state_dir: &Path, now: Timestamp) -> Result<Self, QueueError> {
        let failed = |path: PathBuf| move |error| QueueError::StateDir { path, error };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(failed(state_dir.to_owned()))?;
        let path = state_dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(path.clone()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let instance = read_note(&mut file).map_err(failed(path))?;
                return Err(QueueError::AlreadyHeld {
                    state_dir: state_dir.to_owned(),
                    instance,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(path)(error)),
        }
        write_note(&mut file, now).map_err(failed(path))?;
        Ok(Self { _file: file })
    }
}

/// The process that holds `state_dir`, if one does.
///
/// # Errors
/// [`QueueError::StateDir`] where its lock cannot be looked at.
pub fn holder(state_dir: &Path) -> Result<Option<Instance>, QueueError> {
    running_instance(state_dir).map_err(|error| QueueError::StateDir {
        path: state_dir.to_owned(),
        error,
    })
}

/// The process that holds `state_dir`, if one does.
///
/// # Errors
/// Any error of the file system but that there is no such directory.
pub fn running_instance(state_dir: &Path) -> io::Result<Option<Instance>> {
    let mut file = match File::open(state_dir.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => read_note(&mut file).map(Some),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn write_note(file: &mut File, now: Timestamp) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {}", std::process::id(), rfc3339(now))
}

fn read_note(file: &mut File) -> io::Result<Instance> {
    let mut note = String::new();
    file.rewind()?;
    file.take(LONGEST_NOTE).read_to_string(&mut note)?;
    let mut words = note.split_whitespace();
    let mut word = || words.next().unwrap_or("unknown").to_owned();
    Ok(Instance {
        pid: word(),
        since: word(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_holds_the_directory_and_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let held = Lock::take(folder.path(), now).unwrap();
        let error = Lock::take(folder.path(), now).unwrap_err();
        let QueueError::AlreadyHeld { instance, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(instance.pid, std::process::id().to_string());
        assert_eq!(instance.since, "2026-01-02T03:04:05Z");
        assert_eq!(running_instance(folder.path()).unwrap(), Some(instance));
        drop(held);
        assert_eq!(running_instance(folder.path()).unwrap(), None);
        Lock::take(folder.path(), now).unwrap();
    }
}
