//! Recordings for tests.

use std::path::{Path, PathBuf};

fn within(folder: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

/// The path of a recording in `examples/recordings`.
pub(super) fn example(name: &str) -> PathBuf {
    within("examples/recordings", name)
}

/// The path of a recording in `tests/fixtures/audio`.
pub(super) fn fixture(name: &str) -> PathBuf {
    within("tests/fixtures/audio", name)
}

/// Every recording in both folders.
pub(super) fn all() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = ["examples/recordings", "tests/fixtures/audio"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// A file of these bytes in a folder of its own.
pub(super) fn file_of(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path, bytes);
    (folder, path)
}

/// A file of these recordings, one behind the other, as they are.
pub(super) fn joined(paths: &[PathBuf]) -> (tempfile::TempDir, PathBuf) {
    let bytes: Vec<_> = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    file_of("joined", &bytes.concat())
}

#[expect(clippy::disallowed_methods, reason = "a source that appears in a test")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
