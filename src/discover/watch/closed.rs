//! What could not be read, so that it is tried again at every look at the roots.
//!
//! Whoever scans keeps it here, for a scan alone knows; whoever watches tries it. That a folder was
//! opened may be told by no event: its groups, a list of rights, or a folder above it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::Access;

use crate::discover::folder::gone;
use crate::discover::root::Root;
use crate::disk::ask_apart;

/// Paths that could not be read when they were scanned last, shared by whoever scans and whoever watches.
#[derive(Debug, Clone, Default)]
pub struct Closed(Arc<Mutex<BTreeMap<PathBuf, BTreeSet<PathBuf>>>>);

impl Closed {
    /// Keeps `paths` of the root at `root`, and nothing else of it.
    pub fn keep(&self, root: &Path, paths: BTreeSet<PathBuf>) {
        if paths.is_empty() {
            self.roots().remove(root);
        } else {
            self.roots().insert(root.to_owned(), paths);
        }
    }

    /// Whether something at or below `path` could not be read.
    pub(super) fn holds_below(&self, path: &Path) -> bool {
        let roots = self.roots();
        let below = (Bound::Included(path), Bound::Unbounded);
        let mut first = roots
            .values()
            .filter_map(|paths| paths.range::<Path, _>(below).next());
        first.any(|first| first.starts_with(path))
    }

    /// What could not be read in the root at `root`.
    fn of(&self, root: &Path) -> BTreeSet<PathBuf> {
        self.roots().get(root).cloned().unwrap_or_default()
    }

    fn roots(&self) -> MutexGuard<'_, BTreeMap<PathBuf, BTreeSet<PathBuf>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By root, what is still being tried.
type Open = BTreeMap<PathBuf, Receiver<Vec<PathBuf>>>;

/// Tries what is closed, for each root by a thread of its own: to look at what hangs may take hours.
#[derive(Debug)]
pub(super) struct Trying {
    patience: Duration,
    can_be_read: fn(&Path) -> bool,
    /// What was tried and is not known yet; behind a lock for the sake of those who share this alone.
    open: Mutex<Open>,
}

impl Trying {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            can_be_read,
            open: Mutex::default(),
        }
    }

    /// What of `root` can be read by now, or is gone; what is not known within the time is told by a later call.
    pub(super) fn opened(&mut self, root: &Arc<Root>, closed: &Closed) -> Vec<PathBuf> {
        let (patience, tried) = match self.open().remove(root.path()) {
            // It was waited for already.
            Some(open) => (Duration::ZERO, Some(open)),
            None => (self.patience, self.ask(root, closed.of(root.path()))),
        };
        let Some(tried) = tried else {
            return Vec::new();
        };
        match tried.recv_timeout(patience) {
            Ok(opened) => opened,
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
            Err(RecvTimeoutError::Timeout) => {
                if !patience.is_zero() {
                    tracing::warn!(
                        folder = %root.path().display(),
                        "something in it that could not be read does not answer; all else goes on"
                    );
                }
                self.open().insert(root.path().to_owned(), tried);
                Vec::new()
            }
        }
    }

    fn open(&mut self) -> &mut Open {
        self.open.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, root: &Arc<Root>, paths: BTreeSet<PathBuf>) -> Option<Receiver<Vec<PathBuf>>> {
        if paths.is_empty() {
            return None;
        }
        let (root, can_be_read) = (root.clone(), self.can_be_read);
        let opened = move |path: &PathBuf| root.answers_at(path) && can_be_read(path);
        ask_apart(move || paths.into_iter().filter(opened).collect())
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
    use crate::discover::RootRules;
    use crate::disk::PATIENCE;

    fn root(path: &Path) -> Arc<Root> {
        Arc::new(Root::new(path, RootRules::default(), |_| true).unwrap())
    }

    #[test]
    fn what_can_be_read_by_now_or_is_gone_has_opened() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::create_dir(at("open")).unwrap();
        symlink("endless", at("endless")).unwrap();
        symlink("target", at("dangling")).unwrap();
        let (root, closed) = (root(top.path()), Closed::default());
        let paths = ["dangling", "endless", "gone", "open"].map(at);
        closed.keep(root.path(), BTreeSet::from(paths));
        let mut trying = Trying::new(PATIENCE);
        let opened = trying.opened(&root, &closed);
        assert_eq!(opened, [at("gone"), at("open")]);
        fs::create_dir(at("target")).unwrap();
        let opened = trying.opened(&root, &closed);
        assert_eq!(opened, [at("dangling"), at("gone"), at("open")]);
        for (path, holds) in [("", true), ("endless", true), ("end", false), ("p", false)] {
            assert_eq!(closed.holds_below(&at(path)), holds, "{path}");
        }
    }

    static GATE: Mutex<()> = Mutex::new(());

    #[test]
    fn what_hangs_when_it_is_tried_keeps_no_other_root_and_is_told_when_it_answers() {
        let (hanging, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let roots = [root(hanging.path()), root(other.path())];
        let closed = Closed::default();
        for root in &roots {
            closed.keep(root.path(), BTreeSet::from([root.path().join("closed")]));
        }
        let mut trying = Trying::new(Duration::from_millis(1));
        trying.can_be_read = |_| {
            drop(GATE.lock());
            true
        };
        let gate = GATE.lock().unwrap();
        assert_eq!(trying.opened(&roots[0], &closed), [] as [&Path; 0]);
        // It is not asked a second time.
        trying.can_be_read = |_| true;
        trying.patience = PATIENCE;
        assert_eq!(trying.opened(&roots[0], &closed), [] as [&Path; 0]);
        let there = other.path().join("closed");
        assert_eq!(trying.opened(&roots[1], &closed), [there]);
        drop(gate);
        let opened = loop {
            let opened = trying.opened(&roots[0], &closed);
            if !opened.is_empty() {
                break opened;
            }
        };
        assert_eq!(opened, [hanging.path().join("closed")]);
    }
}
