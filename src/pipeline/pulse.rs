//! Signs of life of those who work, for whoever watches over them.
//!
//! Each turn of the loop and of the scanner is a beat; both can be asked for one. A scanner that waits
//! for a folder says for which, since a disk that hangs is no fault of stenod.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The beats of the loop and of the scanner.
#[derive(Debug, Default)]
pub struct Pulse {
    loop_turns: watch::Sender<u64>,
    scanner_turns: watch::Sender<u64>,
    asked: Notify,
    /// Each for every scan that is under way.
    looking_at: Mutex<Vec<PathBuf>>,
    silent: Mutex<BTreeSet<PathBuf>>,
    looked: CancellationToken,
}

impl Pulse {
    /// The turns of the loop, as they are counted.
    pub fn loop_turns(&self) -> watch::Receiver<u64> {
        self.loop_turns.subscribe()
    }

    /// The turns of the scanner, as they are counted.
    pub fn scanner_turns(&self) -> watch::Receiver<u64> {
        self.scanner_turns.subscribe()
    }

    /// Asks the scanner for a sign; the loop is asked by its bell.
    pub fn ask_scanner(&self) {
        self.asked.notify_one();
    }

    /// The folder that is scanned at this moment, of several the one that is so for the longest time.
    pub fn looking_at(&self) -> Option<PathBuf> {
        self.folders().first().cloned()
    }

    /// A folder that does not answer, while the others go on.
    pub fn silent(&self) -> Option<PathBuf> {
        self.silent_folders().first().cloned()
    }

    /// Comes back when every folder was looked at once.
    pub async fn looked(&self) {
        self.looked.cancelled().await;
    }

    pub(super) fn loop_turned(&self) {
        self.loop_turns.send_modify(|turns| *turns += 1);
    }

    pub(super) fn scanner_turned(&self) {
        self.scanner_turns.send_modify(|turns| *turns += 1);
    }

    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    pub(super) fn has_looked(&self) {
        self.looked.cancel();
    }

    /// Says whether `folder` answers.
    pub(super) fn answers(&self, folder: &Path, answers: bool) {
        let mut silent = self.silent_folders();
        if answers {
            silent.remove(folder);
        } else {
            silent.insert(folder.to_owned());
        }
    }

    /// Forgets which folders did not answer: others may be watched by now.
    pub(super) fn begins_anew(&self) {
        self.silent_folders().clear();
    }

    fn silent_folders(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the scanner waits for `folder`, until the guard is dropped.
    pub(super) fn look_at(self: &Arc<Self>, folder: &Path) -> Looking {
        self.folders().push(folder.to_owned());
        Looking {
            pulse: self.clone(),
            folder: folder.to_owned(),
        }
    }

    fn folders(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.looking_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scanner waits for a folder for as long as this lives.
pub(super) struct Looking {
    pulse: Arc<Pulse>,
    folder: PathBuf,
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut folders = self.pulse.folders();
        if let Some(at) = folders.iter().position(|folder| *folder == self.folder) {
            folders.remove(at);
        }
    }
}
