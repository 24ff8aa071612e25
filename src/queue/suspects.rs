//! Recordings that were in hand when the process went down, by path, and what counts against each.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::hands::InHand;
use super::row::{millis, path_bytes, signed, unsigned};
use super::{Queue, QueueError};
use crate::domain::fall::Suspicion;

impl Queue {
    /// Looks into a file, whose name is kept until the guard is dropped, also after the end of the process.
    pub fn look_into(&self, path: PathBuf) -> InHand {
        self.hands.look_into(path)
    }

    /// The process is being stopped: its end counts against no recording any more.
    pub fn stopping(&self) {
        self.hands.stopping();
    }

    /// What counts against the recording at `path`, if it is a suspect.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn suspicion(&self, path: PathBuf) -> Result<Option<Suspicion>, QueueError> {
        self.writer
            .look(move |connection| suspicion(connection, &path))
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

/// Counts a fall in which the recording at `path` was in hand, at this place; says what counts against it now.
pub(super) fn count(
    connection: &Connection,
    path: &Path,
    alone: bool,
    reached: u64,
    now: Timestamp,
) -> Result<Suspicion, QueueError> {
    let before = suspicion(connection, path)?.unwrap_or_default();
    let suspicion = before.after(alone, reached);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO suspects (path, falls, anywhere, reached, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            path_bytes(path),
            suspicion.here,
            suspicion.anywhere,
            signed(suspicion.reached),
            millis(now)
        ])?;
    Ok(suspicion)
}

fn suspicion(connection: &Connection, path: &Path) -> Result<Option<Suspicion>, QueueError> {
    Ok(connection
        .prepare_cached("SELECT falls, anywhere, reached FROM suspects WHERE path = ?1")?
        .query_row([path_bytes(path)], |row| {
            Ok(Suspicion {
                here: row.get(0)?,
                anywhere: row.get(1)?,
                reached: unsigned(row.get(2)?),
            })
        })
        .optional()?)
}

pub(super) fn acquit(connection: &Connection, path: &Path) -> Result<(), QueueError> {
    connection
        .prepare_cached("DELETE FROM suspects WHERE path = ?1")?
        .execute([path_bytes(path)])?;
    Ok(())
}
