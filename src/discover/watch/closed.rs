//! What could not be read, so that it is tried again at every look at the roots.
//!
//! Whoever scans keeps it here, for a scan alone knows; whoever watches tries it. That a folder was
//! opened may be told by no event: its groups, a list of rights, or a folder above it changed.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::Access;

use crate::discover::folder::gone;

/// Paths that could not be read when they were scanned last, shared by whoever scans and whoever watches.
#[derive(Debug, Clone, Default)]
pub struct Closed(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Closed {
    /// Keeps `paths`, and nothing else.
    pub fn keep(&self, paths: BTreeSet<PathBuf>) {
        *self.paths() = paths;
    }

    /// Whether something at or below `path` could not be read.
    pub(super) fn holds_below(&self, path: &Path) -> bool {
        let paths = self.paths();
        let below = (Bound::Included(path), Bound::Unbounded);
        let first = paths.range::<Path, _>(below).next();
        first.is_some_and(|first| first.starts_with(path))
    }

    /// What can be read by now, or is gone.
    pub(super) fn opened(&self) -> Vec<PathBuf> {
        let paths = self.paths().clone();
        paths.into_iter().filter(|path| can_be_read(path)).collect()
    }

    fn paths(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file, or a folder with what is in it, can be read; what is gone hinders nobody.
pub(super) fn can_be_read(path: &Path) -> bool {
    let looked = fs::metadata(path).and_then(|there| {
        if there.is_dir() {
            fs::read_dir(path)?;
            Ok(rustix::fs::access(path, Access::EXEC_OK)?)
        } else {
            Ok(rustix::fs::access(path, Access::READ_OK)?)
        }
    });
    match looked {
        Ok(()) => true,
        // A link to nothing opens when something is put there.
        Err(error) => gone(&error) && fs::symlink_metadata(path).is_err(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_can_be_read_by_now_or_is_gone_has_opened() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::create_dir(at("open")).unwrap();
        symlink("endless", at("endless")).unwrap();
        symlink("target", at("dangling")).unwrap();
        let closed = Closed::default();
        let paths = ["dangling", "endless", "gone", "open"].map(at);
        closed.keep(BTreeSet::from(paths));
        assert_eq!(closed.opened(), [at("gone"), at("open")]);
        fs::create_dir(at("target")).unwrap();
        assert_eq!(closed.opened(), [at("dangling"), at("gone"), at("open")]);
        for (path, holds) in [("", true), ("endless", true), ("end", false), ("p", false)] {
            assert_eq!(closed.holds_below(&at(path)), holds, "{path}");
        }
    }
}
