//! How long was waited for files that counted as complete: one that changes all the same is proof that whoever
//! writes it pauses for longer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::Fingerprint;

/// The most files that are kept in mind; the oldest are forgotten first.
const MOST_TAKEN: usize = 4096;

/// A file by its device and inode: it may have another name by then.
type Identity = (u64, u64);

/// The files that counted as complete lately, each as it was and after which wait.
#[derive(Debug, Default)]
pub(super) struct Taken {
    files: HashMap<Identity, (Fingerprint, Duration)>,
    order: VecDeque<Identity>,
}

impl Taken {
    /// Keeps in mind that `file` counted as complete after `wait`.
    pub(super) fn note(&mut self, file: Fingerprint, wait: Duration) {
        let identity = (file.device, file.inode);
        if self.files.insert(identity, (file, wait)).is_some() {
            return;
        }
        self.order.push_back(identity);
        if self.order.len() > MOST_TAKEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.files.remove(&oldest);
        }
    }

    /// The wait that proved too short for `file`, if its content has changed since.
    pub(super) fn too_short_for(&self, file: &Fingerprint) -> Option<Duration> {
        let (before, wait) = self.files.get(&(file.device, file.inode))?;
        let is_changed = (before.size, before.modified_ns) != (file.size, file.modified_ns);
        is_changed.then_some(*wait)
    }
}
