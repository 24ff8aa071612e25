//! Recordings for tests.

use std::path::PathBuf;

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
