//! What lies at a root at this moment: which disk, and which folder of it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::root::Root;

/// What lies at a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The same as long as the same folder of the same disk lies there; on some disks it changes with a
    /// start of the machine.
    pub identity: String,
    /// The number of the disk, until it is mounted anew.
    pub device: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// Looks at what lies at `root`.
///
/// # Errors
/// Whatever keeps it from being looked at.
pub fn content(root: &Root) -> io::Result<Content> {
    let there = fs::metadata(root.path())?;
    let kind = rustix::fs::statfs(root.path())?.f_type;
    let disk = rustix::fs::statvfs(root.path())?.f_fsid;
    Ok(Content {
        identity: format!("{kind:x}:{disk:x}:{}", there.ino()),
        device: there.dev(),
        is_folder: there.is_dir(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::discover::RootRules;

    #[test]
    fn folders_and_disks_are_told_apart() {
        let at = |path: &Path| {
            let root = Root::new(path, RootRules::default(), |_| true).unwrap();
            content(&root).unwrap()
        };
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(at(one.path()), at(one.path()));
        assert_ne!(at(one.path()).identity, at(other.path()).identity);
        assert_ne!(at(one.path()).identity, at(Path::new("/proc")).identity);
    }
}
