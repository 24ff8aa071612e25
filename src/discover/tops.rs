//! Which folder lies at each root at this moment, so that of two that are one folder by two paths (a link, a mount of
//! a folder in another place) each recording has one owner.
//!
//! Known as it was seen last: to ask a disk for the sake of another root could take hours.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::Identity;

/// All roots of a run, in the order given, as one of them sees them.
#[derive(Debug, Clone)]
pub(super) struct Tops {
    all: Arc<Mutex<Vec<Top>>>,
    /// Which of them it is.
    own: usize,
}

/// A root, and the folder that lay there when it was looked at last.
#[derive(Debug, Clone)]
struct Top {
    path: PathBuf,
    folder: Option<Identity>,
}

impl Tops {
    /// A root that is alone.
    pub(super) fn of(path: &Path, folder: Option<Identity>) -> Self {
        let path = path.to_owned();
        Self {
            all: Arc::new(Mutex::new(vec![Top { path, folder }])),
            own: 0,
        }
    }

    /// The same roots together, in their order.
    pub(super) fn together<'a>(each: impl Iterator<Item = &'a mut Self>) {
        let all: Arc<Mutex<Vec<Top>>> = Arc::default();
        for (number, tops) in each.enumerate() {
            let own = tops.tops().get(tops.own).cloned();
            all.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(own);
            (tops.all, tops.own) = (all.clone(), number);
        }
    }

    /// Notes which folder lies at the root; nothing where there is none.
    pub(super) fn saw(&self, folder: Option<Identity>) {
        if let Some(top) = self.tops().get_mut(self.own) {
            top.folder = folder;
        }
    }

    /// The earlier root at which the same folder lay when it was looked at, and that folder.
    pub(super) fn same_as(&self) -> Option<(PathBuf, Identity)> {
        let tops = self.tops();
        let own = tops.get(self.own)?.folder?;
        let mut earlier = tops.iter().take(self.own);
        let same = earlier.find(|top| top.folder == Some(own))?;
        Some((same.path.clone(), own))
    }

    /// The other root at which a folder below this one lay when it was looked at.
    pub(super) fn other(&self, folder: Identity) -> Option<PathBuf> {
        let tops = self.tops();
        if tops.get(self.own)?.folder == Some(folder) {
            return None;
        }
        let mut others = tops.iter().filter(|top| top.folder == Some(folder));
        others.next().map(|top| top.path.clone())
    }

    fn tops(&self) -> MutexGuard<'_, Vec<Top>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
