//! Names of the speakers of a recording, and the style that its outputs were last written with.
//!
//! Setting them changes no stage: what is written anew is kept here when it lies there.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::outputs::{self, Output};
use super::row::{self, JOB_COLUMNS, find_jobs, path_bytes};
use super::{Queue, QueueError, jobs};
use crate::domain::job::{ContentHash, Job, JobId, Publication};

/// A label and the name that a person gave it.
pub type Named = (String, String);

/// What was written anew for a done job.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The job.
    pub job: JobId,
    /// The files.
    pub outputs: Vec<Output>,
    /// Files that a person has deleted and that are not written again.
    pub gone: Vec<PathBuf>,
    /// The style of all of its files, where all were written.
    pub mark: Option<ContentHash>,
    /// What is published of it by now, where that is another.
    pub publication: Option<Publication>,
}

impl Queue {
    /// The names that a person gave to a job's speakers.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn names(&self, id: JobId) -> Result<Vec<Named>, QueueError> {
        self.writer
            .look(move |connection| names(connection, id))
            .await
    }

    /// Gives labels of a job's speakers names; an empty one takes the name away.
    ///
    /// # Errors
    /// [`QueueError::NoSuchJob`] if there is no such job.
    pub async fn set_names(&self, id: JobId, names: Vec<Named>) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                jobs::get(connection, id)?;
                set_names(connection, id, &names)
            })
            .await
    }

    /// Keeps what was written anew for done jobs: the files, the style and what is published by now.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn remember_rendered(&self, rendered: Vec<Rendered>) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let mut rendered = rendered.iter();
                rendered.try_for_each(|one| remember_one(connection, one))
            })
            .await
    }
}

/// Keeps what was written for one job: the files, the style and what is published by now.
pub(super) fn remember_one(connection: &Connection, one: &Rendered) -> Result<(), QueueError> {
    for output in &one.outputs {
        outputs::remember(connection, one.job, output)?;
    }
    outputs::forget(connection, one.job, &one.gone)?;
    if let Some(mark) = one.mark {
        remember_mark(connection, one.job, mark)?;
    }
    if let Some(publication) = &one.publication {
        jobs::set_publication(connection, one.job, publication)?;
    }
    Ok(())
}

/// The names of a job's speakers, by label.
pub(super) fn names(connection: &Connection, id: JobId) -> Result<Vec<Named>, QueueError> {
    let mut statement =
        connection.prepare_cached("SELECT label, name FROM names WHERE job = ?1 ORDER BY label")?;
    let rows = statement.query_map([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Gives labels names; an empty one takes the name away.
pub(super) fn set_names(
    connection: &Connection,
    id: JobId,
    names: &[Named],
) -> Result<(), QueueError> {
    for (label, name) in names {
        if name.is_empty() {
            connection
                .prepare_cached("DELETE FROM names WHERE job = ?1 AND label = ?2")?
                .execute(params![id.0, label])?;
        } else {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO names (job, label, name) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![id.0, label, name])?;
        }
    }
    Ok(())
}

/// The mark of the style that a job's outputs were last written with, if it was kept.
pub(super) fn mark(connection: &Connection, id: JobId) -> Result<Option<ContentHash>, QueueError> {
    let found: Option<Vec<u8>> = connection
        .prepare_cached("SELECT mark FROM styles WHERE job = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?;
    Ok(found.as_deref().and_then(row::hash))
}

/// Keeps the mark of the style that a job's outputs were written with.
pub(super) fn remember_mark(
    connection: &Connection,
    id: JobId,
    mark: ContentHash,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO styles (job, mark) VALUES (?1, ?2)")?
        .execute(params![id.0, mark.0])?;
    Ok(())
}

/// The done jobs whose recording is `path` or lies in it, the oldest first.
pub(super) fn done_under(connection: &Connection, path: &Path) -> Result<Vec<Job>, QueueError> {
    let (bytes, [first, end]) = (path_bytes(path), bounds(path));
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE stage = 'done' AND parent IS NULL
         AND (source = ?1 OR (source >= ?2 AND source < ?3)) ORDER BY id"
    );
    find_jobs(connection, &sql, &[&bytes, &first, &end])
}

/// The latest job of each recording that lies in the folder `path`, the oldest first.
pub(super) fn latest_in(connection: &Connection, path: &Path) -> Result<Vec<Job>, QueueError> {
    let [first, end] = bounds(path);
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs one WHERE parent IS NULL AND source >= ?1 AND source < ?2 AND NOT EXISTS (
             SELECT 1 FROM jobs other WHERE other.source = one.source AND other.parent IS NULL AND other.id > one.id)
         ORDER BY id"
    );
    find_jobs(connection, &sql, &[&first, &end])
}

/// Every path in a folder is at or behind the first of these, and before the second.
fn bounds(folder: &Path) -> [Vec<u8>; 2] {
    let bytes = path_bytes(folder);
    let folder = bytes.strip_suffix(b"/").unwrap_or(bytes);
    // The byte after the slash is the zero.
    [b'/', b'0'].map(|end| [folder, &[end]].concat())
}

/// How many other jobs there are of the recordings that are `path` or lie in it, and of which none is done.
pub(super) fn unfinished_under(connection: &Connection, path: &Path) -> Result<usize, QueueError> {
    let (bytes, [first, end]) = (path_bytes(path), bounds(path));
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(DISTINCT source) FROM jobs one WHERE stage <> 'done' AND parent IS NULL
             AND (source = ?1 OR (source >= ?2 AND source < ?3)) AND NOT EXISTS (
                 SELECT 1 FROM jobs other WHERE other.source = one.source AND other.stage = 'done')",
        )?
        .query_row(params![bytes, first, end], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Every done job, the oldest first.
pub(super) fn done(connection: &Connection) -> Result<Vec<Job>, QueueError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE stage = 'done' AND parent IS NULL ORDER BY id"
    );
    find_jobs(connection, &sql, &[])
}
