//! The only opener of recordings: for reading, regular files only, without touching their times.
//!
//! A pipe, socket or device is refused before it is opened, and once more afterwards, so that a file
//! swapped for a pipe meanwhile cannot make the program wait.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
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

/// Whether the disk keeps nothing for the last byte of a file, which then was never written; a disk that does
/// not tell keeps everything.
///
/// # Errors
/// What the operating system says.
pub fn ends_in_hole(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(false);
    };
    match rustix::fs::seek(file, SeekFrom::Data(last)) {
        Ok(_) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(false),
        Err(Errno::NXIO) => Ok(true),
        Err(error) => Err(error.into()),
    }
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
