//! The only maker of files: draft beside the target, write, sync, rename, sync the folder.
//!
//! A file never appears half-written under its final name, and its mode follows the umask. The draft's
//! name is made of the target's, so that what a crash left is taken over by the next try and never
//! piles up.

mod batch;
mod rounds;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

pub use batch::Batch;

/// The mode of a file before the umask.
const USUAL_MODE: u32 = 0o666;
/// The mode of a file that holds a secret.
const SECRET_MODE: u32 = 0o600;
/// The mode of a folder of secrets.
const PRIVATE_FOLDER_MODE: u32 = 0o700;

/// What to do where the target exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it: [`write()`] fails with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Put the new file in its place.
    Replace,
}

/// Writes `bytes` to `target` so that after success they survive a power cut.
///
/// # Errors
/// Any error of the file system; [`io::ErrorKind::AlreadyExists`] if the target is there and is to be
/// kept. After an error no draft is left where it could be removed.
pub fn write(target: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let draft = draft_path(target);
    #[cfg(test)]
    if crate::faults::planted(crate::faults::Bug::NoDraft) {
        return make_draft(target, bytes, USUAL_MODE);
    }
    let made = make_draft(&draft, bytes, USUAL_MODE).and_then(|()| put(&draft, target, existing));
    if let Err(error) = made {
        return Err(remove_after(&draft, error));
    }
    #[cfg(test)]
    crate::faults::meet(crate::faults::Point::Renamed)?;
    sync_folder(target)
}

/// A file that is written bit by bit and has its name when it is whole; dropped before, it is gone.
#[derive(Debug)]
pub struct Draft {
    file: BufWriter<File>,
    draft: PathBuf,
    target: PathBuf,
    is_finished: bool,
}

impl Draft {
    /// Begins a draft beside `target`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn begin(target: &Path) -> io::Result<Self> {
        Self::begin_with(target, USUAL_MODE)
    }

    /// Begins a draft beside `target` that its owner alone can read.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn begin_secret(target: &Path) -> io::Result<Self> {
        Self::begin_with(target, SECRET_MODE)
    }

    fn begin_with(target: &Path, mode: u32) -> io::Result<Self> {
        let draft = draft_path(target);
        Ok(Self {
            file: BufWriter::new(open_draft(&draft, mode)?),
            draft,
            target: target.to_owned(),
            is_finished: false,
        })
    }

    /// Where it is until it is finished, for whoever fills it by name.
    pub fn path(&self) -> &Path {
        &self.draft
    }

    /// The name that it will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name, so that after success it survives a power cut.
    ///
    /// # Errors
    /// See [`write()`].
    pub fn finish(mut self, existing: Existing) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        put(&self.draft, &self.target, existing)?;
        self.is_finished = true;
        sync_folder(&self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // The next try takes over what cannot be removed.
            drop(std::fs::remove_file(&self.draft));
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a secret to `target`, readable by its owner alone from its first byte on.
///
/// # Errors
/// The same as [`write()`].
pub fn write_secret(target: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let draft = draft_path(target);
    let made = make_draft(&draft, bytes, SECRET_MODE).and_then(|()| put(&draft, target, existing));
    match made {
        Ok(()) => sync_folder(target),
        Err(error) => Err(remove_after(&draft, error)),
    }
}

/// Renames `from` to `to` in the same file system, so that after success it survives a power cut.
///
/// # Errors
/// Any error of the file system; [`io::ErrorKind::AlreadyExists`] if `to` is there and is to be kept.
pub fn move_file(from: &Path, to: &Path, existing: Existing) -> io::Result<()> {
    put(from, to, existing)?;
    sync_folder(to)
}

/// Makes `folder` and those above it, each synced into its parent.
///
/// # Errors
/// Any error of the file system.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(folder),
    }
}

/// Makes `folder`, which its owner alone may look into, and those above it as the umask has it; one that is there
/// stays as it is.
///
/// # Errors
/// Any error of the file system.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    let made = DirBuilder::new().mode(PRIVATE_FOLDER_MODE).create(folder);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(folder),
    }
}

/// The draft of `target`: hidden, in the same folder, the same for every try.
pub fn draft_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let mark = blake3::hash(name.as_bytes()).to_hex();
    let mark = mark.get(..16).unwrap_or_default();
    target.with_file_name(format!(".stenod-{mark}.draft"))
}

fn make_draft(draft: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fill_draft(draft, bytes, mode)?.sync_all()
}

/// A draft whose bytes may not be on the disk yet.
fn fill_draft(draft: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    let mut file = open_draft(draft, mode)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn open_draft(draft: &Path, mode: u32) -> io::Result<File> {
    // A draft that an earlier run left may belong to another mode or be a link: never write into it.
    match std::fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(draft)?;
    #[cfg(test)]
    crate::faults::meet(crate::faults::Point::Draft)?;
    Ok(file)
}

fn put(draft: &Path, target: &Path, existing: Existing) -> io::Result<()> {
    #[cfg(test)]
    crate::faults::meet(crate::faults::Point::Rename)?;
    match existing {
        Existing::Replace => rename(draft, target),
        Existing::Keep => {
            match rustix::fs::renameat_with(CWD, draft, CWD, target, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(()),
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                    put_by_link(draft, target)
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// For file systems without a rename that keeps the target: a hard link does not replace either. Where
/// there are no hard links, a look before the rename is the best that is left.
fn put_by_link(draft: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(draft, target) {
        Ok(()) => std::fs::remove_file(draft),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if target.symlink_metadata().is_ok() => {
            Err(io::Error::from(io::ErrorKind::AlreadyExists))
        }
        Err(_) => rename(draft, target),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that renames"
)]
fn rename(draft: &Path, target: &Path) -> io::Result<()> {
    std::fs::rename(draft, target)
}

fn remove_after(draft: &Path, error: io::Error) -> io::Error {
    match std::fs::remove_file(draft) {
        Err(removal) if removal.kind() != io::ErrorKind::NotFound => io::Error::new(
            error.kind(),
            format!("{error}, and its draft stays: {removal}"),
        ),
        _ => error,
    }
}

fn sync_folder(target: &Path) -> io::Result<()> {
    File::open(folder_of(target))?.sync_all()
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_is_whole_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("talk.txt");
        write(&target, b"hello", Existing::Keep).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"hello");
        assert_eq!(names(folder.path()), ["talk.txt"]);
    }

    #[test]
    fn a_file_that_is_there_is_kept_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("talk.txt");
        write(&target, b"mine", Existing::Keep).unwrap();
        let error = write(&target, b"other", Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        assert_eq!(names(folder.path()), ["talk.txt"]);
        write(&target, b"other", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"other");
    }

    #[test]
    fn a_draft_that_a_crash_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("talk.txt");
        make_draft(&draft_path(&target), b"half", USUAL_MODE).unwrap();
        write(&target, b"whole", Existing::Keep).unwrap();
        assert_eq!(names(folder.path()), ["talk.txt"]);
    }

    #[test]
    fn a_link_in_the_place_of_the_draft_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        write(&victim, b"precious", Existing::Keep).unwrap();
        let target = folder.path().join("talk.txt");
        std::os::unix::fs::symlink(&victim, draft_path(&target)).unwrap();
        write(&target, b"text", Existing::Keep).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn the_mode_follows_the_umask_and_is_not_that_of_a_temporary_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("talk.txt");
        write(&target, b"text", Existing::Keep).unwrap();
        // A file made the ordinary way shows what the umask leaves.
        let ordinary = folder.path().join("ordinary");
        drop(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&ordinary)
                .unwrap(),
        );
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&ordinary));
    }

    #[test]
    fn a_folder_that_is_missing_is_named_by_the_error_kind() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/talk.txt"), b"", Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
