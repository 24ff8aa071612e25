//! What lies in the state directory is for its owner alone, whatever the umask: replies are as private as the
//! recordings.
//!
//! Files that are there with a wider mode are made narrow; nothing is ever made wider, and the directory itself
//! stays as a person made it: that others may look into it is told.

use std::fs::{self, DirEntry, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::DATABASE;

/// The mode of files.
const FILE_MODE: u32 = 0o600;
/// The mode of folders.
const FOLDER_MODE: u32 = 0o700;
/// What a mode allows to others than the owner.
const OTHERS: u32 = 0o077;

/// Makes an empty file that its owner alone can read, where none is: SQLite gives its log the same mode.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let made = options
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match made {
        // One that is there is not opened: to close it would take away locks that SQLite holds on it.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Makes the files and folders of the table narrow that an earlier stenod made by the umask.
pub(super) fn narrow(state_dir: &Path, folders: &[&str]) {
    let narrowed = fs::read_dir(state_dir).and_then(|entries| {
        for entry in entries {
            narrow_one(&entry?, folders)?;
        }
        Ok(())
    });
    if let Err(error) = narrowed {
        tracing::debug!("the state directory cannot be made narrow: {error}");
    }
}

fn narrow_one(entry: &DirEntry, folders: &[&str]) -> io::Result<()> {
    let (name, there) = (entry.file_name(), entry.metadata()?);
    let name = name.to_string_lossy();
    let mode = if there.is_file() && name.starts_with(DATABASE) {
        FILE_MODE
    } else if there.is_dir() && folders.contains(&name.as_ref()) {
        FOLDER_MODE
    } else {
        return Ok(());
    };
    let is_mine = there.uid() == rustix::process::geteuid().as_raw();
    if is_mine && there.mode() & OTHERS != 0 {
        let narrow = Permissions::from_mode(there.mode() & mode);
        fs::set_permissions(entry.path(), narrow)?;
    }
    Ok(())
}

/// The mode of a state directory with a table in it, where that lets others than its owner look or write into it.
pub fn open_to_others(state_dir: &Path) -> Option<u32> {
    let mode = state_dir.metadata().ok()?.mode() & 0o777;
    let holds_table = || state_dir.join(DATABASE).exists();
    (mode & OTHERS != 0 && holds_table()).then_some(mode)
}
