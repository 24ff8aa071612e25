//! The only opener of recordings: for reading, regular files only, without touching their times.
//!
//! A pipe, socket or device is refused before it is opened, and once more afterwards, so that a file
//! swapped for a pipe meanwhile cannot make the program wait.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

/// Why a recording was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not a regular file.
    #[error("it is {0}, not a file")]
    Special(&'static str),
    /// The operating system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            special @ OpenError::Special(_) => Self::new(io::ErrorKind::InvalidInput, special),
        }
    }
}

/// Opens a regular file for reading; its access time stays where the owner asks.
///
/// # Errors
/// [`OpenError::Special`] for what is no regular file, else what the operating system says.
pub fn open(path: &Path) -> Result<File, OpenError> {
    refuse_special(&std::fs::metadata(path)?)?;
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    // Only the owner may leave the access time alone; everybody else opens it the ordinary way.
    let file = open(OFlags::NONBLOCK | OFlags::NOCTTY | quiet_access())
        .or_else(|_| open(OFlags::NONBLOCK | OFlags::NOCTTY))?;
    refuse_special(&file.metadata()?)?;
    Ok(file)
}

/// Bytes of each place of a file that its mark is made from (4 KiB).
const MARKED: u64 = 4096;

/// A mark of the content of a file, from its first and last bytes and those in the middle: enough to tell one
/// that was only touched from one that was written, without reading all of an archive.
///
/// # Errors
/// Those of [`open`], and what the operating system says while it is read.
pub fn mark(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = open(path)?;
    let size = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    for at in [0, size / 2, size.saturating_sub(MARKED)] {
        file.seek(io::SeekFrom::Start(at))?;
        hasher.update_reader((&file).take(MARKED))?;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Of which bytes of a file the disk keeps nothing, since nobody ever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holes {
    /// Of any.
    pub anywhere: bool,
    /// Of the last one.
    pub at_the_end: bool,
}

/// Asks the disk for the holes of a file; one that does not tell has none. The position of `file` moves.
///
/// # Errors
/// What the operating system says.
pub fn holes(file: &File) -> io::Result<Holes> {
    let length = file.metadata()?.len();
    let Some(last) = length.checked_sub(1) else {
        return Ok(Holes::default());
    };
    let at_the_end = match rustix::fs::seek(file, SeekFrom::Data(last)) {
        Ok(_) | Err(Errno::INVAL | Errno::NOTSUP) => false,
        Err(Errno::NXIO) => true,
        Err(error) => return Err(error.into()),
    };
    let anywhere = match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(first) => first < length,
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NXIO) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(Holes {
        anywhere,
        at_the_end,
    })
}

/// Refuses everything but a regular file.
///
/// # Errors
/// [`OpenError::Special`], with what it is.
pub fn refuse_special(metadata: &Metadata) -> Result<(), OpenError> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(OpenError::Special(what))
}

#[cfg(target_os = "linux")]
fn quiet_access() -> OFlags {
    OFlags::NOATIME
}

#[cfg(not(target_os = "linux"))]
fn quiet_access() -> OFlags {
    OFlags::empty()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_mark_of_a_file_tells_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let marked = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = vec![7; 100_000];
            change(&mut bytes);
            crate::durable::write(&path, &bytes, crate::durable::Existing::Replace).unwrap();
            mark(&path).unwrap()
        };
        let plain = marked(&|_| {});
        assert_eq!(marked(&|_| {}), plain);
        for at in [0, 50_000, 99_999] {
            assert_ne!(marked(&|bytes| bytes[at] = 8), plain, "{at}");
        }
        assert_ne!(marked(&|bytes| bytes.push(7)), plain);
        assert!(mark(folder.path()).is_err());
    }

    #[test]
    fn holes_are_told_before_and_at_the_end() {
        let mebi = 1 << 20;
        let mut file = tempfile::tempfile().unwrap();
        let are = |file: &File| {
            let holes = holes(file).unwrap();
            (holes.anywhere, holes.at_the_end)
        };
        assert_eq!(are(&file), (false, false));
        file.write_all(&[1; 8192]).unwrap();
        assert_eq!(are(&file), (false, false));
        file.set_len(mebi).unwrap();
        assert_eq!(are(&file), (true, true));
        file.seek(io::SeekFrom::Start(mebi - 8192)).unwrap();
        file.write_all(&[1; 8192]).unwrap();
        assert_eq!(are(&file), (true, false));
    }
}
