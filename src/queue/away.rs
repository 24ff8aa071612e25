//! Recordings whose disk was taken away, or that may not be read: they wait, and are queued again when they are back.
//!
//! The table knows the ground of each; whether it is there is looked up by others.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::row::{self, JOB_COLUMNS, find_jobs, from_json, path_bytes, to_json};
use super::{Queue, QueueError, Reader, jobs, ledger};
use crate::domain::ground::Ground;
use crate::domain::job::{Job, JobId, Obstacle, Stage, StageName};

/// The most recordings of a root that are moved in one transaction.
const MOST_AT_ONCE: i64 = 512;

/// Where the recording of a job lay when it was queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lodged {
    /// The job.
    pub id: JobId,
    /// The folder under which it was found.
    pub root: PathBuf,
    /// The recording.
    pub source: PathBuf,
    /// The ground, if it was known.
    pub ground: Option<Ground>,
}

/// The columns that [`lodged`] reads; a piece has what the recording has that it was cut from.
const LODGED: &str = "id, root, source, coalesce(ground,
     (SELECT whole.ground FROM jobs AS whole WHERE whole.id = jobs.parent))";

/// What a waiting job waits for when that is its disk.
const IS_AWAY: &str = "stage = 'waiting' AND json_extract(data, '$.obstacle') = 'source_away'";
/// And when it is a permission.
const IS_UNREADABLE: &str =
    "stage = 'waiting' AND json_extract(data, '$.obstacle') = 'source_unreadable'";

fn lodged(row: &Row<'_>) -> Result<Lodged, QueueError> {
    let id = JobId(row.get(0)?);
    let ground: Option<String> = row.get(3)?;
    let what = format!("the ground of job {id}");
    Ok(Lodged {
        id,
        root: row::path(row.get(1)?),
        source: row::path(row.get(2)?),
        ground: ground.map(|text| from_json(&text, &what)).transpose()?,
    })
}

fn find(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Lodged>, QueueError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(lodged(row)?);
    }
    Ok(found)
}

/// Where the recording of a job lay.
fn of(connection: &Connection, id: JobId) -> Result<Lodged, QueueError> {
    let sql = format!("SELECT {LODGED} FROM jobs WHERE id = ?1");
    find(connection, &sql, &[&id.0])?
        .pop()
        .ok_or(QueueError::NoSuchJob(id))
}

impl Queue {
    /// Where the recording of a job lay when it was queued.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn lodged(&self, id: JobId) -> Result<Lodged, QueueError> {
        self.writer.look(move |connection| of(connection, id)).await
    }

    /// Whole recordings in `stage` that were found in `root`, by their number and from the one after `last`; 512 at
    /// the most.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn lodged_in(
        &self,
        stage: StageName,
        root: PathBuf,
        last: JobId,
    ) -> Result<Vec<Lodged>, QueueError> {
        let sql = format!(
            "SELECT {LODGED} FROM jobs INDEXED BY jobs_stage
             WHERE stage = ?4 AND parent IS NULL AND root = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
        );
        self.writer
            .read(move |connection| {
                let parameters: [&dyn rusqlite::ToSql; 4] =
                    [&path_bytes(&root), &last.0, &MOST_AT_ONCE, &stage.as_str()];
                find(connection, &sql, &parameters)
            })
            .await
    }

    /// One recording of each root and ground that wait for a disk.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn away(&self) -> Result<Vec<Lodged>, QueueError> {
        let sql =
            format!("SELECT {LODGED}, min(id) FROM jobs WHERE {IS_AWAY} GROUP BY root, ground");
        self.writer
            .read(move |connection| find(connection, &sql, &[]))
            .await
    }

    /// Recordings that wait until they may be read, by their number and from the one after `last`; 512 at the most.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn unreadable(&self, last: JobId) -> Result<Vec<Lodged>, QueueError> {
        let sql = format!(
            "SELECT {LODGED} FROM jobs WHERE {IS_UNREADABLE} AND id > ?1 ORDER BY id LIMIT ?2"
        );
        self.writer
            .read(move |connection| find(connection, &sql, &[&last.0, &MOST_AT_ONCE]))
            .await
    }

    /// Queues again those of these recordings that wait until they may be read, or for rules that let them in by now.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn let_in_again(&self, ids: Vec<JobId>, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                for id in ids {
                    let stage = jobs::get(connection, id)?.stage;
                    let is_over = stage.waits_for_rules()
                        || matches!(
                            stage,
                            Stage::Waiting {
                                obstacle: Obstacle::SourceUnreadable,
                                ..
                            }
                        );
                    if !is_over {
                        continue;
                    }
                    let from = [StageName::Waiting];
                    jobs::advance(connection, id, &from, &Stage::queued(), now)?;
                }
                Ok(())
            })
            .await
    }

    /// These recordings, which are queued or claimed, wait for their disk, a permission or the rules of their folder;
    /// what moved on meanwhile does not.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn wait_for_source(
        &self,
        ids: Vec<JobId>,
        obstacle: Obstacle,
        text: String,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let stage = Stage::Waiting { obstacle, text };
        let from = [StageName::Queued, StageName::Submitting];
        self.writer
            .run(move |connection| {
                for id in ids {
                    if from.contains(&jobs::get(connection, id)?.stage.name()) {
                        ledger::release(connection, id, "not sent", now)?;
                        jobs::advance(connection, id, &from, &stage, now)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Queues again what waited for a disk in `root` that is back; says whether that may not be all of it.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn disk_is_back(
        &self,
        root: PathBuf,
        ground: Option<Ground>,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| disk_is_back(connection, &root, ground.as_ref(), now))
            .await
    }
}

fn disk_is_back(
    connection: &Connection,
    root: &Path,
    ground: Option<&Ground>,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE {IS_AWAY} AND root = ?1 AND ground IS ?2 ORDER BY id LIMIT ?3"
    );
    let ground = ground.map(to_json).transpose()?;
    let back = find_jobs(
        connection,
        &sql,
        params![path_bytes(root), ground, MOST_AT_ONCE],
    )?;
    for Job { id, .. } in &back {
        jobs::advance(
            connection,
            *id,
            &[StageName::Waiting],
            &Stage::queued(),
            now,
        )?;
    }
    Ok(i64::try_from(back.len()).is_ok_and(|count| count == MOST_AT_ONCE))
}

impl Reader<'_> {
    /// Where the recording of a job lay when it was queued.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn lodged(&self, id: JobId) -> Result<Lodged, QueueError> {
        of(self.connection(), id)
    }

    /// Where the latest recording of `root` lay whose ground is known.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn last_lodged(&self, root: &Path) -> Result<Option<Lodged>, QueueError> {
        let sql = format!(
            "SELECT {LODGED} FROM jobs WHERE root = ?1 AND ground IS NOT NULL ORDER BY id DESC LIMIT 1"
        );
        Ok(find(self.connection(), &sql, &[&path_bytes(root)])?.pop())
    }
}
