//! Recordings that were in hand when the process went down, by path, and how many falls count against each.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::hands::InHand;
use super::row::{millis, path_bytes};
use super::{Queue, QueueError};
use crate::domain::fall;

impl Queue {
    /// Looks into a file, whose name is kept until the guard is dropped, also after the end of the process.
    pub fn look_into(&self, path: PathBuf) -> InHand {
        self.hands.look_into(path)
    }

    /// The process is being stopped: its end counts against no recording any more.
    pub fn stopping(&self) {
        self.hands.stopping();
    }

    /// How many falls count against the recording at `path`, if it is a suspect.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn falls(&self, path: PathBuf) -> Result<Option<u32>, QueueError> {
        self.writer
            .read(move |connection| falls(connection, &path))
            .await
    }

    /// The recording at `path` was handled alone, and the process lives: nothing counts against it any more.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn acquit(&self, path: PathBuf) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| acquit(connection, &path))
            .await
    }
}

/// Counts a fall in which the recording at `path` was in hand; says how many count against it now.
pub(super) fn count(
    connection: &Connection,
    path: &Path,
    alone: bool,
    now: Timestamp,
) -> Result<u32, QueueError> {
    let falls = fall::count(falls(connection, path)?, alone);
    connection
        .prepare_cached("INSERT OR REPLACE INTO suspects (path, falls, at_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![path_bytes(path), falls, millis(now)])?;
    Ok(falls)
}

fn falls(connection: &Connection, path: &Path) -> Result<Option<u32>, QueueError> {
    Ok(connection
        .prepare_cached("SELECT falls FROM suspects WHERE path = ?1")?
        .query_row([path_bytes(path)], |row| row.get(0))
        .optional()?)
}

pub(super) fn acquit(connection: &Connection, path: &Path) -> Result<(), QueueError> {
    connection
        .prepare_cached("DELETE FROM suspects WHERE path = ?1")?
        .execute([path_bytes(path)])?;
    Ok(())
}
