//! Where the socket is, also where its path is longer than an address may be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The socket's name in the state directory.
pub(super) const SOCKET: &str = "control.sock";
/// Bytes of the longest path that the address of a socket holds (108 with the NUL at its end).
const LONGEST_PATH: usize = 107;

/// A path of the socket that fits into an address; the folder is kept open for as long as it is used.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    /// The address of the socket in `state_dir`.
    ///
    /// # Errors
    /// Where the path is too long and the folder cannot be opened.
    pub(super) fn in_folder(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        if path.as_os_str().as_bytes().len() <= LONGEST_PATH {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let folder = File::open(state_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
