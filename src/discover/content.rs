//! What lies at a root at this moment: which disk, and which folder of it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};

use super::root::Root;
use crate::domain::ground::Ground;

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
    Ok(Content {
        identity: format!("{}:{}", disk_of(root.path())?, there.ino()),
        device: there.dev(),
        is_folder: there.is_dir(),
    })
}

/// The kind and the number of the disk that holds `path`.
fn disk_of(path: &Path) -> io::Result<String> {
    let kind = rustix::fs::statfs(path)?.f_type;
    let disk = rustix::fs::statvfs(path)?.f_fsid;
    Ok(format!("{kind:x}:{disk:x}"))
}

/// What lies at the path `root` of a folder, and below which disk `source` lies, or lay, in it; blocks for as
/// long as the disk does not answer.
///
/// # Errors
/// Whatever keeps it from being looked at, as that nothing is there.
pub fn ground(root: &Path, source: &Path) -> io::Result<Ground> {
    // Whoever names a file means the folder it is in.
    let root = match source.parent() {
        Some(folder) if root == source => folder,
        Some(_) | None => root,
    };
    let there = fs::metadata(root)?;
    let above = source.ancestors().skip(1);
    let within = above.take_while(|folder| folder.starts_with(root));
    let nearest = within.into_iter().find_map(|folder| disk_of(folder).ok());
    Ok(Ground {
        disk: nearest.map_or_else(|| disk_of(root), Ok)?,
        folder: there.ino(),
        is_mount: is_mount(root)?,
    })
}

/// Whether something is mounted at `path`; never, to kernels that cannot tell.
fn is_mount(path: &Path) -> io::Result<bool> {
    let seen = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)?;
    let is_told = seen.stx_attributes_mask & StatxAttributes::MOUNT_ROOT;
    Ok(seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) && !is_told.is_empty())
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

    #[test]
    fn a_recording_that_is_gone_has_the_ground_of_the_folder_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("deep")).unwrap();
        let at = |path: &str| ground(root, &root.join(path)).unwrap();
        assert_eq!(at("deep/a.wav"), at("no/such/folder/a.wav"));
        assert!(!at("a.wav").is_mount);
        let file = root.join("deep/a.wav");
        assert_eq!(
            ground(&file, &file).unwrap(),
            ground(&root.join("deep"), &file).unwrap()
        );
        let mount = ground(Path::new("/proc"), Path::new("/proc/a.wav")).unwrap();
        assert!(mount.is_mount);
        assert_ne!(mount.disk, at("a.wav").disk);
        assert!(ground(&root.join("gone"), &root.join("gone/a.wav")).is_err());
    }
}
