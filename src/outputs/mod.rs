//! Writes outputs beside the source, and knows which of them are stenod's own.
//!
//! A file that stenod did not write, or that was edited since, is never replaced: the output goes to the
//! next free name. Every write is durable. Nothing is ever removed.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::job::ContentHash;
use crate::domain::naming::{self, MOST_NUMBERED_NAMES};
use crate::durable::{self, Existing};

/// An output that lies where it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// What its bytes hash to.
    pub hash: ContentHash,
    /// Why it has not the plain name, if it has not.
    pub note: Option<String>,
}

/// Why an output was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub error: io::Error,
}

impl WriteError {
    /// Whether the reason is that there is no room.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self.error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Writes `bytes` under the first name for `base` and `suffix` that is free or stenod's own.
///
/// `ours` tells what a file hashed to when stenod wrote it.
///
/// # Errors
/// Any error of the file system, or that a thousand names are taken.
pub fn write(
    base: &Path,
    suffix: &str,
    bytes: &[u8],
    ours: &dyn Fn(&Path) -> Option<ContentHash>,
) -> Result<Written, WriteError> {
    let hash = ContentHash(*blake3::hash(bytes).as_bytes());
    let plain = naming::output_path(base, 1, suffix);
    let failed = |path: PathBuf| move |error| WriteError { path, error };
    if let Some(folder) = plain.parent() {
        durable::create_folders(folder).map_err(failed(folder.to_owned()))?;
    }
    for number in 1..=MOST_NUMBERED_NAMES {
        let path = naming::output_path(base, number, suffix);
        let note = (number > 1).then(|| format!("{} is not stenod's to replace", plain.display()));
        let standing = look(&path, hash, ours).map_err(failed(path.clone()))?;
        let written = match standing {
            Standing::Same => Ok(()),
            Standing::Free => durable::write(&path, bytes, Existing::Keep),
            Standing::Ours => durable::write(&path, bytes, Existing::Replace),
            #[cfg(test)]
            Standing::Foreign if crate::faults::planted(crate::faults::Bug::OverwriteForeign) => {
                durable::write(&path, bytes, Existing::Replace)
            }
            Standing::Foreign => continue,
        };
        match written {
            Ok(()) => return Ok(Written { path, hash, note }),
            // Somebody was quicker: that file is not ours, and the next name is tried.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(path)(error)),
        }
    }
    Err(failed(plain)(io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// What stands under a name.
enum Standing {
    Free,
    /// The very bytes that are to be written.
    Same,
    /// As stenod wrote it.
    Ours,
    /// Anything else.
    Foreign,
}

fn look(
    path: &Path,
    wanted: ContentHash,
    ours: &dyn Fn(&Path) -> Option<ContentHash>,
) -> io::Result<Standing> {
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Free),
        other => other?,
    };
    if !metadata.is_file() {
        return Ok(Standing::Foreign);
    }
    let mut hasher = blake3::Hasher::new();
    match std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(drop)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Standing::Foreign);
        }
        other => other?,
    }
    let found = ContentHash(*hasher.finalize().as_bytes());
    Ok(if found == wanted {
        Standing::Same
    } else if ours(path) == Some(found) {
        Standing::Ours
    } else {
        Standing::Foreign
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> ContentHash {
        ContentHash(*blake3::hash(bytes).as_bytes())
    }

    fn put(path: &Path, bytes: &[u8]) {
        durable::write(path, bytes, Existing::Replace).unwrap();
    }

    #[test]
    fn a_file_of_somebody_else_is_kept_and_the_next_name_taken() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("talk");
        put(&folder.path().join("talk.txt"), b"my notes");
        let written = write(&base, "txt", b"transcript", &|_| None).unwrap();
        assert_eq!(written.path, folder.path().join("talk.2.txt"));
        assert!(written.note.is_some());
        assert_eq!(
            std::fs::read(folder.path().join("talk.txt")).unwrap(),
            b"my notes"
        );
    }

    #[test]
    fn an_output_of_ours_is_replaced_and_an_edited_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("talk");
        let target = folder.path().join("talk.txt");
        let ours = |path: &Path| (path == target).then(|| hash(b"first"));
        put(&target, b"first");
        assert_eq!(write(&base, "txt", b"second", &ours).unwrap().path, target);
        assert_eq!(std::fs::read(&target).unwrap(), b"second");
        put(&target, b"edited");
        let written = write(&base, "txt", b"third", &ours).unwrap();
        assert_eq!(written.path, folder.path().join("talk.2.txt"));
        assert_eq!(std::fs::read(&target).unwrap(), b"edited");
    }

    #[test]
    fn what_a_crash_left_without_a_record_is_known_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("talk");
        put(&folder.path().join("talk.txt"), b"transcript");
        let written = write(&base, "txt", b"transcript", &|_| None).unwrap();
        assert_eq!(written.path, folder.path().join("talk.txt"));
        assert_eq!(written.note, None);
    }

    #[test]
    fn a_link_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        put(&victim, b"precious");
        std::os::unix::fs::symlink(&victim, folder.path().join("talk.txt")).unwrap();
        let written = write(&folder.path().join("talk"), "txt", b"text", &|_| None).unwrap();
        assert_eq!(written.path, folder.path().join("talk.2.txt"));
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn the_folders_of_a_mirrored_tree_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("out/2026/talk");
        let written = write(&base, "txt", b"text", &|_| None).unwrap();
        assert!(written.path.exists());
    }
}
