//! The files that are not complete yet, open to whoever asks what is waited for.
//!
//! The scanner keeps the book; `status` and `explain` read it through the desk. A reload takes it over, so
//! that what was seen of a growing file is not forgotten.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::settle::{SettleBook, Unsettled};

/// The book of files that are waited for.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<SettleBook>);

/// A file that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: Unsettled,
    /// When it is looked at again.
    pub until: Timestamp,
}

impl Waiting {
    pub(super) fn book(&self) -> MutexGuard<'_, SettleBook> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why `path` is waited for, if it is.
    pub fn of(&self, path: &Path) -> Option<Awaited> {
        let (reason, until) = self.book().standing(path)?;
        let path = path.to_owned();
        Some(Awaited {
            path,
            reason,
            until,
        })
    }

    /// Every file that is waited for, in no order.
    pub fn all(&self) -> Vec<Awaited> {
        let book = self.book();
        let awaited = book.waiting().map(|(path, reason, until)| Awaited {
            path: path.to_owned(),
            reason,
            until,
        });
        awaited.collect()
    }
}
