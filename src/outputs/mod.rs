//! Writes outputs beside the source, and knows which of them are stenod's own.
//!
//! A file that stenod did not write, or that was edited since, is never replaced: the output goes to the
//! next free name. Every write is durable. Nothing is ever removed.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::domain::job::ContentHash;
use crate::domain::naming::{self, MOST_NUMBERED_NAMES};
use crate::durable::{self, Batch, Existing};

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
    ours: Ours<'_>,
) -> Result<Written, WriteError> {
    let mut number = 1;
    loop {
        let placed = place(base, suffix, bytes, ours, number)?;
        let written = match placed.existing {
            None => Ok(()),
            Some(existing) => durable::write(&placed.written.path, bytes, existing),
        };
        match written {
            Ok(()) => return Ok(placed.written),
            // Somebody was quicker: that file is not ours, and the next name is tried.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = placed.number + 1;
            }
            Err(error) => {
                let path = placed.written.path;
                return Err(WriteError { path, error });
            }
        }
    }
}

/// Writes files of one recording, each by its suffix, as [`write()`] does, in their order and with as few syncs as
/// there can be; says of each what came of it, up to the first that failed and those that were begun before.
pub fn write_all(
    base: &Path,
    files: &[(String, &[u8])],
    ours: Ours<'_>,
) -> Vec<Result<Written, WriteError>> {
    let batch = Batch::default();
    let mut begun = Vec::new();
    for (suffix, bytes) in files {
        let drafted = draft(&batch, base, suffix, bytes, ours);
        let has_failed = drafted.is_err();
        begun.push(drafted);
        if has_failed {
            break;
        }
    }
    let mut results = batch.finish();
    let ended = begun
        .into_iter()
        .zip(files)
        .map(|(drafted, (suffix, bytes))| {
            let placed = drafted?;
            match results.remove(&placed.path) {
                None | Some(Ok(())) => Ok(placed),
                // Somebody was quicker: that file is not ours, and the next name is tried.
                Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                    write(base, suffix, bytes, ours)
                }
                Some(Err(error)) => Err(WriteError {
                    path: placed.path,
                    error,
                }),
            }
        });
    ended.collect()
}

/// Finds the place of a file and makes its draft, unless it lies there already.
fn draft(
    batch: &Batch,
    base: &Path,
    suffix: &str,
    bytes: &[u8],
    ours: Ours<'_>,
) -> Result<Written, WriteError> {
    let mut first = 1;
    loop {
        let placed = place(base, suffix, bytes, ours, first)?;
        let added = match placed.existing {
            None => Ok(()),
            Some(existing) => batch.add(&placed.written.path, bytes, existing),
        };
        match added {
            Ok(()) => return Ok(placed.written),
            // Another file of the batch has that name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                first = placed.number + 1;
            }
            Err(error) => {
                let path = placed.written.path;
                return Err(WriteError { path, error });
            }
        }
    }
}

/// Tells what a file hashed to when stenod wrote it.
pub type Ours<'a> = &'a dyn Fn(&Path) -> Option<ContentHash>;

/// Where an output belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What is known of it when it lies there.
    pub written: Written,
    /// What to do with a file of that name; nothing where it lies there already.
    pub existing: Option<Existing>,
    /// The number of its name.
    pub number: u32,
}

/// The first name for `base` and `suffix`, from number `first` on, that is free or stenod's own; its
/// folder is made.
///
/// # Errors
/// Any error of the file system, or that a thousand names are taken.
pub fn place(
    base: &Path,
    suffix: &str,
    bytes: &[u8],
    ours: Ours<'_>,
    first: u32,
) -> Result<Placed, WriteError> {
    let hash = ContentHash(*blake3::hash(bytes).as_bytes());
    let plain = naming::output_path(base, 1, suffix);
    let failed = |path: PathBuf| move |error| WriteError { path, error };
    if let Some(folder) = plain.parent() {
        durable::create_folders(folder).map_err(failed(folder.to_owned()))?;
    }
    for number in first..=MOST_NUMBERED_NAMES {
        let path = naming::output_path(base, number, suffix);
        let existing = match look(&path, hash, ours).map_err(failed(path.clone()))? {
            Standing::Same => None,
            Standing::Free => Some(Existing::Keep),
            Standing::Ours => Some(Existing::Replace),
            #[cfg(test)]
            Standing::Foreign if crate::faults::planted(crate::faults::Bug::OverwriteForeign) => {
                Some(Existing::Replace)
            }
            Standing::Foreign => continue,
        };
        let note = (number > 1).then(|| taken(&plain));
        return Ok(Placed {
            written: Written { path, hash, note },
            existing,
            number,
        });
    }
    Err(failed(plain)(io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// An output that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Where it is, and what it hashed to when stenod wrote it.
    pub written: Written,
    /// Whether it still is as stenod wrote it.
    pub is_same: bool,
}

/// The file for `base` and `suffix` that holds `bytes`, under whichever name; else the one that has the
/// plain name.
pub fn find(base: &Path, suffix: &str, bytes: &[u8]) -> Option<Standby> {
    let hash = ContentHash(*blake3::hash(bytes).as_bytes());
    let plain = naming::output_path(base, 1, suffix);
    let standby = |path: PathBuf, note: Option<String>, is_same| Standby {
        written: Written { path, hash, note },
        is_same,
    };
    for number in 1..=MOST_NUMBERED_NAMES {
        let path = naming::output_path(base, number, suffix);
        let Ok(metadata) = path.symlink_metadata() else {
            break;
        };
        // What has another length need not be read.
        let length = metadata.len();
        let may_be = metadata.is_file() && usize::try_from(length) == Ok(bytes.len());
        if may_be && matches!(read(&path, length), Ok(Some(found)) if found == bytes) {
            return Some(standby(path, (number > 1).then(|| taken(&plain)), true));
        }
    }
    let is_there = plain.symlink_metadata().is_ok_and(|found| found.is_file());
    let note = "it is not as stenod wrote it, and is left alone".to_owned();
    is_there.then(|| standby(plain, Some(note), false))
}

/// The bytes of the file at `path`; nothing for what is no regular file (links are not followed) and for
/// what has more than `most` bytes.
///
/// # Errors
/// Any error of the file system.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    if !path.symlink_metadata()?.is_file() {
        return Ok(None);
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_whole = u64::try_from(bytes.len()).is_ok_and(|length| length <= most);
    Ok(is_whole.then_some(bytes))
}

fn taken(plain: &Path) -> String {
    format!("{} is not stenod's to replace", plain.display())
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// The very bytes that are to be written.
    Same,
    /// As stenod wrote it.
    Ours,
    /// Anything else.
    Foreign,
}

/// What stands under a name where bytes with the hash `wanted` are to be written.
///
/// # Errors
/// Any error of the file system but that nothing is there, or that it may not be read.
pub fn look(path: &Path, wanted: ContentHash, ours: Ours<'_>) -> io::Result<Standing> {
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
    fn what_is_there_is_found_by_its_bytes_under_whichever_name() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("talk");
        assert_eq!(find(&base, "txt", b"words"), None);
        put(&folder.path().join("talk.txt"), b"notes");
        let edited = find(&base, "txt", b"words").unwrap();
        assert!(!edited.is_same);
        assert_eq!(edited.written.hash, hash(b"words"));
        put(&folder.path().join("talk.2.txt"), b"words");
        let same = find(&base, "txt", b"words").unwrap();
        assert!(same.is_same && same.written.note.is_some());
        assert_eq!(same.written.path, folder.path().join("talk.2.txt"));
    }

    #[test]
    fn links_pipes_and_large_files_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        put(&file, b"words");
        assert_eq!(read(&file, 5).unwrap().as_deref(), Some(&b"words"[..]));
        assert_eq!(read(&file, 4).unwrap(), None);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 5).unwrap(), None);
        assert_eq!(read(folder.path(), 5).unwrap(), None);
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(&pipe, 5).unwrap(), None);
    }

    #[test]
    fn the_folders_of_a_mirrored_tree_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("out/2026/talk");
        let written = write(&base, "txt", b"text", &|_| None).unwrap();
        assert!(written.path.exists());
    }
}
