//! Reads one folder: what is in it by the rules of its root, in a fixed order, without reading content.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::Access;

use super::local::LocalRules;
use super::root::{LeftOut, Root};
use crate::disk::SILENT;
use crate::domain::settle::Fingerprint;

/// Why something that a person may have expected to be transcribed was passed over.
#[derive(Debug)]
pub enum SkipReason {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is a folder, or lies in one, that cannot be read.
    ClosedFolder(io::Error),
    /// It is a folder on a disk that does not answer.
    Silent,
    /// It is a pipe, a socket or a device.
    NotRegular {
        /// What it is.
        what: &'static str,
    },
    /// A glob of `exclude` matches.
    Excluded {
        /// The glob.
        glob: String,
    },
    /// No glob of `include` matches.
    NotIncluded,
    /// A file that was itself given as a root has a name that says that it is not complete.
    TemporaryName {
        /// The pattern that the name matches.
        pattern: &'static str,
    },
    /// A link to nothing.
    BrokenLink,
    /// A link to a folder, which is not followed.
    FolderLink,
    /// A link that leads to itself, or a folder that holds itself.
    Loop,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) | Self::ClosedFolder(error) => {
                write!(f, "cannot be read: {error}")
            }
            Self::Silent => f.write_str(SILENT),
            Self::NotRegular { what } => write!(f, "not a file but a {what}"),
            Self::Excluded { glob } => LeftOut::Excluded { glob: glob.clone() }.fmt(f),
            Self::NotIncluded => LeftOut::NotIncluded.fmt(f),
            Self::TemporaryName { pattern } => LeftOut::TemporaryName { pattern }.fmt(f),
            Self::BrokenLink => f.write_str("a link to nothing"),
            Self::FolderLink => f.write_str("a link to a folder, which is not followed"),
            Self::Loop => f.write_str("leads back to itself"),
        }
    }
}

/// What tells one folder from another, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// What one folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Oldest first.
    pub(super) files: Vec<(OsString, Fingerprint)>,
    /// By name.
    pub(super) folders: Vec<OsString>,
    /// By name.
    pub(super) skipped: Vec<(OsString, SkipReason)>,
    /// Entries that went away while being looked at.
    pub(super) vanished: u64,
    /// Why the list ends early, if it does.
    pub(super) broken: Option<io::Error>,
}

/// Takes the fingerprint of the file at `path`, following links; nothing if it is no file any more.
///
/// # Errors
/// Whatever keeps the file from being looked at.
pub fn sample(path: &Path) -> io::Result<Option<Fingerprint>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| fingerprint(&metadata))),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists `folder`, which is `within` relative to `root` and in which the `local` rules hold; without
/// `files` only its folders.
pub(super) fn list(
    root: &Root,
    folder: &Path,
    within: &Path,
    local: &LocalRules,
    files: bool,
) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let rules = Rules {
        root,
        local,
        within,
    };
    for entry in fs::read_dir(folder)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                listing.broken = Some(error);
                break;
            }
        };
        let name = entry.file_name();
        let looked = entry.file_type().and_then(|kind| {
            if files || kind.is_dir() {
                rules.look(&entry.path(), &name, kind)
            } else {
                Ok(Entry::Unasked)
            }
        });
        match looked {
            Ok(Entry::Folder) => listing.folders.push(name),
            Ok(Entry::File(fingerprint)) => listing.files.push((name, fingerprint)),
            Ok(Entry::Skipped(reason)) => listing.skipped.push((name, reason)),
            Ok(Entry::LeftOut(left_out)) => {
                let told = worth_telling(left_out).map(|reason| (name, reason));
                listing.skipped.extend(told);
            }
            Ok(Entry::Unasked) => {}
            Err(error) if gone(&error) => listing.vanished += 1,
            Err(error) => listing.skipped.push((name, SkipReason::Unreadable(error))),
        }
    }
    listing
        .files
        .sort_by(|(a, old), (b, new)| (old.modified_ns, a).cmp(&(new.modified_ns, b)));
    listing.folders.sort();
    listing.skipped.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(listing)
}

/// Looks at a file that was itself given as a root, following links.
pub(super) fn look_at_given(root: &Root) -> io::Result<Result<Fingerprint, SkipReason>> {
    match root.given_file_left_out() {
        Some(LeftOut::TemporaryName { pattern }) => {
            return Ok(Err(SkipReason::TemporaryName { pattern }));
        }
        left_out => {
            if let Some(reason) = left_out.and_then(worth_telling) {
                return Ok(Err(reason));
            }
        }
    }
    let metadata = match fs::metadata(root.path()) {
        Err(error) if gone(&error) && root.is_broken_link() => {
            return Ok(Err(SkipReason::BrokenLink));
        }
        looked => looked?,
    };
    Ok(match judge_file(root.path(), &metadata) {
        Ok(Entry::File(fingerprint)) => Ok(fingerprint),
        Ok(Entry::Skipped(reason)) => Err(reason),
        Ok(Entry::Folder | Entry::LeftOut(_) | Entry::Unasked) => Err(SkipReason::FolderLink),
        Err(error) => Err(SkipReason::Unreadable(error)),
    })
}

/// Whether nothing is at `path`, not even a link: what nobody may look at is there as far as anybody knows.
pub fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| gone(&error))
}

/// The folder above `path`, the outermost, that may not be entered by whoever runs this.
pub fn closed_above(path: &Path) -> Option<&Path> {
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    let is_closed = |folder: &&&Path| {
        let asked = rustix::fs::access(**folder, Access::EXEC_OK);
        asked == Err(rustix::io::Errno::ACCESS)
    };
    above.iter().rev().find(is_closed).copied()
}

/// Whether the error says that there is nothing at the path (any more).
pub(super) fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is at a path, by the rules.
#[derive(Debug)]
pub(super) enum Entry {
    /// A folder to look into.
    Folder,
    /// A file that may be a recording.
    File(Fingerprint),
    /// Something that is passed over and told.
    Skipped(SkipReason),
    /// Something that a rule leaves out.
    LeftOut(LeftOut),
    /// A file where only folders are asked for.
    Unasked,
}

/// The rules that hold in one folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) root: &'a Root,
    pub(super) local: &'a LocalRules,
    /// The folder, relative to the root.
    pub(super) within: &'a Path,
}

impl Rules<'_> {
    /// Judges what is called `name` in the folder, at `path`.
    pub(super) fn look(self, path: &Path, name: &OsStr, kind: FileType) -> io::Result<Entry> {
        if kind.is_dir() {
            return Ok(self
                .folder_left_out(path, name)
                .map_or(Entry::Folder, Entry::LeftOut));
        }
        if kind.is_symlink() {
            return self.look_at_link(path, name);
        }
        if let Some(left_out) = self.file_left_out(path, name) {
            return Ok(Entry::LeftOut(left_out));
        }
        if let Some(what) = irregular(kind) {
            return Ok(Entry::Skipped(SkipReason::NotRegular { what }));
        }
        judge_file(path, &fs::symlink_metadata(path)?)
    }

    fn folder_left_out(self, path: &Path, name: &OsStr) -> Option<LeftOut> {
        self.root
            .folder_left_out(self.within, name)
            .or_else(|| self.local.ignored(path, true))
    }

    fn file_left_out(self, path: &Path, name: &OsStr) -> Option<LeftOut> {
        self.root
            .file_left_out(self.within, name)
            .or_else(|| self.local.ignored(path, false))
    }

    /// A link to a file counts as that file; a link to a folder is told and not followed.
    fn look_at_link(self, path: &Path, name: &OsStr) -> io::Result<Entry> {
        let left_out = self.file_left_out(path, name);
        match (fs::metadata(path), left_out) {
            (Ok(target), _) if target.is_dir() => Ok(self
                .folder_left_out(path, name)
                .map_or(Entry::Skipped(SkipReason::FolderLink), Entry::LeftOut)),
            (Ok(target), None) => judge_file(path, &target),
            (_, Some(left_out)) => Ok(Entry::LeftOut(left_out)),
            (Err(error), None) if gone(&error) => Ok(Entry::Skipped(SkipReason::BrokenLink)),
            (Err(error), None) if looped(&error) => Ok(Entry::Skipped(SkipReason::Loop)),
            (Err(error), None) => Err(error),
        }
    }
}

fn judge_file(path: &Path, metadata: &Metadata) -> io::Result<Entry> {
    if metadata.is_dir() {
        return Ok(Entry::Folder);
    }
    if let Some(what) = irregular(metadata.file_type()) {
        return Ok(Entry::Skipped(SkipReason::NotRegular { what }));
    }
    // Readable by everybody: no need to ask.
    if metadata.mode() & 0o444 != 0o444 {
        rustix::fs::access(path, Access::READ_OK)?;
    }
    Ok(Entry::File(fingerprint(metadata)))
}

fn worth_telling(left_out: LeftOut) -> Option<SkipReason> {
    match left_out {
        LeftOut::Excluded { glob } => Some(SkipReason::Excluded { glob }),
        LeftOut::NotIncluded => Some(SkipReason::NotIncluded),
        LeftOut::Hidden
        | LeftOut::TemporaryName { .. }
        | LeftOut::PrunedFolder
        | LeftOut::Ignored { .. }
        | LeftOut::OwnFolder
        | LeftOut::NotAudio
        | LeftOut::TooDeep
        | LeftOut::OtherRoot
        | LeftOut::Outside => None,
    }
}

fn irregular(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("pipe")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device")
    } else {
        None
    }
}

fn looped(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn fingerprint(metadata: &Metadata) -> Fingerprint {
    Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
