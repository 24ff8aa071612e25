//! The kernel's watches: one for each folder, none recursive.
//!
//! A watch for each folder costs nothing for folders that are left out, and a folder that appears is
//! watched before it is read. The handler of events only posts to the mailbox.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::limit::no_events;
use super::mailbox::Mailbox;
use super::mode::ModeReason;
use crate::discover::folder::Identity;
use crate::discover::root::Roots;

/// The watches, until they are closed.
#[derive(Debug)]
pub(super) struct Eyes {
    watcher: Mutex<Option<RecommendedWatcher>>,
    /// Whether folders are only counted.
    counts: bool,
    failure: Option<ModeReason>,
    closed: AtomicBool,
    /// Folders of which a watch was ended since that was asked for.
    ended: Mutex<HashSet<Identity>>,
}

/// What became of a wish to watch a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It is watched.
    Yes,
    /// The kernel's limit of watches is reached.
    Limit,
    /// It cannot be watched: gone, or not to be read.
    No,
    /// All eyes are closed.
    Closed,
}

impl Eyes {
    /// Opens the eyes; that the kernel gives no events is kept as [`Eyes::failure`].
    pub(super) fn open(roots: Roots, mailbox: Arc<Mailbox>) -> Self {
        let handler = move |event| mailbox.receive(event, &roots);
        let (watcher, failure) = match RecommendedWatcher::new(handler, Config::default()) {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(no_events(&error))),
        };
        Self {
            watcher: Mutex::new(watcher),
            counts: false,
            failure,
            closed: AtomicBool::new(false),
            ended: Mutex::default(),
        }
    }

    /// Eyes that see nothing: whatever they are to watch is as if it were watched, where the kernel gives events.
    pub(super) fn that_count() -> Self {
        let tried = RecommendedWatcher::new(|_: notify::Result<Event>| {}, Config::default());
        Self {
            watcher: Mutex::new(None),
            counts: true,
            failure: tried.err().map(|error| no_events(&error)),
            closed: AtomicBool::new(false),
            ended: Mutex::default(),
        }
    }

    /// Why there are no events, if there are none.
    pub(super) fn failure(&self) -> Option<&ModeReason> {
        self.failure.as_ref()
    }

    /// Whether they only count what would be watched.
    pub(super) fn only_count(&self) -> bool {
        self.counts
    }

    /// Ends all watches and the thread that serves them, without waiting for whoever watches a folder on a disk
    /// that hangs: he does it himself when he comes back.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        match self.watcher.try_lock() {
            Ok(mut watcher) => drop(watcher.take()),
            Err(TryLockError::Poisoned(watcher)) => drop(watcher.into_inner().take()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// What `act` does with the watcher; nothing once it is closed.
    fn with<T>(&self, act: impl FnOnce(&mut RecommendedWatcher) -> T) -> Option<T> {
        let done = self
            .watcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .map(act);
        // Whoever closed them meanwhile may have found them in use.
        if self.closed.load(Ordering::SeqCst) {
            self.close();
        }
        done
    }

    /// Watches `folder`; to do so again does no harm and mends a watch that was lost.
    pub(super) fn watch(&self, folder: &Path) -> Watched {
        if self.counts {
            return Watched::Yes;
        }
        match self.with(|watcher| watcher.watch(folder, RecursiveMode::NonRecursive)) {
            None => Watched::Closed,
            Some(Ok(())) => Watched::Yes,
            Some(Err(error)) if matches!(error.kind, ErrorKind::MaxFilesWatch) => Watched::Limit,
            Some(Err(error)) => {
                tracing::debug!(folder = %folder.display(), %error, "cannot watch");
                Watched::No
            }
        }
    }

    /// Ends the watch of `folder`, if there is one.
    pub(super) fn unwatch(&self, folder: &Path, identity: Identity) {
        match self.with(|watcher| watcher.unwatch(folder)) {
            Some(Ok(())) => drop(self.ended().insert(identity)),
            Some(Err(error)) => {
                tracing::debug!(folder = %folder.display(), %error, "was not watched any more");
            }
            None => {}
        }
    }

    /// The folders of which watches were ended since this was asked last. The kernel has one watch for a folder,
    /// whatever its paths: to end it by a path that is no more ends it for the one that is.
    pub(super) fn take_ended(&self) -> HashSet<Identity> {
        std::mem::take(&mut *self.ended())
    }

    fn ended(&self) -> MutexGuard<'_, HashSet<Identity>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
