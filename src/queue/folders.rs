//! When each folder was met first, and what of it was seen.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{millis, path_bytes, time};
use super::{QueueError, Reader, sources};
use crate::domain::existing::LeftAlone;
use crate::domain::settle::Fingerprint;

/// What the table knows of the beginnings with a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSeen {
    /// When stenod was started first with it.
    pub at: Timestamp,
    /// Whether all of it was scanned at least once.
    pub scanned: bool,
    /// What was there at that scan; nothing in tables from before it was kept.
    pub identity: Option<String>,
}

/// Keeps of each folder that is not known yet that it was met.
pub(super) fn meet(
    connection: &Connection,
    folders: &[PathBuf],
    now: Timestamp,
) -> Result<(), QueueError> {
    let mut statement = connection
        .prepare_cached("INSERT OR IGNORE INTO folders (path, first_ms) VALUES (?1, ?2)")?;
    for folder in folders {
        statement.execute(params![path_bytes(folder), millis(now)])?;
    }
    Ok(())
}

/// Keeps what lay in a folder when all of it was seen.
pub(super) fn saw(connection: &Connection, path: &Path, identity: &str) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE folders SET identity = ?2 WHERE path = ?1")?
        .execute(params![path_bytes(path), identity])?;
    Ok(())
}

impl Reader<'_> {
    /// Whether the file was left alone under another name for being there before the first start.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn was_left_alone(&self, fingerprint: &Fingerprint) -> Result<bool, QueueError> {
        sources::was_left_alone(self.connection(), fingerprint)
    }

    /// The old file that was left alone at `path`, whatever lies there now.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn left_at(&self, path: &Path) -> Result<Option<LeftAlone>, QueueError> {
        sources::left_at(self.connection(), path)
    }

    /// What is known of the beginnings with a folder, if it was ever met.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn first_seen(&self, path: &Path) -> Result<Option<FirstSeen>, QueueError> {
        Ok(self
            .connection()
            .prepare_cached(
                "SELECT first_ms, scanned_ms IS NOT NULL, identity FROM folders WHERE path = ?1",
            )?
            .query_row([path_bytes(path)], |row| {
                Ok(FirstSeen {
                    at: time(row.get(0)?),
                    scanned: row.get(1)?,
                    identity: row.get(2)?,
                })
            })
            .optional()?)
    }
}
