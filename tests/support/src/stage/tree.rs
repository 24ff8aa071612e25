//! What a folder holds, for comparing before with after.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One thing in a folder, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// BLAKE3 of the content in hexadecimal; the target of a link; empty for anything else.
    pub content: String,
    /// Size in bytes.
    pub size: u64,
    /// Type and permissions.
    pub mode: u32,
    /// The inode.
    pub inode: u64,
    /// Last change of the content, seconds and nanoseconds.
    pub modified: (i64, i64),
}

/// Everything below `folder` by relative path, links not followed.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// The relative paths of all files below `folder` as text, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let files = tree(folder)
        .into_iter()
        .filter(|(_, entry)| !is(entry, 0o040_000));
    files
        .map(|(path, _)| path.to_string_lossy().into_owned())
        .collect()
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Entry>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(entry) = look(&path) else { continue };
        let folder = is(&entry, 0o040_000);
        found.insert(
            path.strip_prefix(root).expect("below the root").to_owned(),
            entry,
        );
        if folder {
            walk(root, &path, found);
        }
    }
}

fn look(path: &Path) -> std::io::Result<Entry> {
    let data = path.symlink_metadata()?;
    let content = if data.is_file() {
        fs::read(path).map_or_else(
            |_| String::new(),
            |it| blake3::hash(&it).to_hex().to_string(),
        )
    } else if data.is_symlink() {
        fs::read_link(path)?.display().to_string()
    } else {
        String::new()
    };
    let modified = (data.mtime(), data.mtime_nsec());
    let (size, mode, inode) = (data.len(), data.mode(), data.ino());
    Ok(Entry {
        content,
        size,
        mode,
        inode,
        modified,
    })
}

fn is(entry: &Entry, kind: u32) -> bool {
    entry.mode & 0o170_000 == kind
}
