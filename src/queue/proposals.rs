//! What a run has queued and nobody has agreed to pay for yet.
//!
//! A run takes in what it finds before it says a price, which is that of the table. What each such job was before
//! is kept until somebody agrees, and the job is put back where nobody does: by a "no", or by the next start, also
//! after a crash.

use std::path::Path;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::row::{self, from_json, path_bytes, to_json};
use super::{Queue, QueueError, jobs, pieces};
use crate::domain::job::{Job, JobId, Publication, Stage, StageName};

/// A proposal as it is kept; without a stage of before the job is new.
struct Proposal {
    job: JobId,
    stage: Option<String>,
    forced: bool,
    asked_ms: Option<i64>,
    /// The pieces that counted, with their numbers, as JSON.
    pieces: String,
}

impl Queue {
    /// What this process takes in from here on waits for a person's consent, until [`Self::agree`].
    pub fn propose(&self) {
        self.agreed.store(false, Ordering::SeqCst);
    }

    /// Whether what this process takes in is sent without a question.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.load(Ordering::SeqCst)
    }

    /// A person has agreed to what was taken in, or it costs nothing; so it is with what comes from here on.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn agree(&self, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| agree(connection, now))
            .await?;
        self.agreed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Puts back what was taken in and is not agreed to.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn take_back(&self, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| take_back(connection, now))
            .await
    }
}

/// What is asked for takes the place of what was, by other settings.
fn agree(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    let mut statement = connection.prepare_cached("SELECT job FROM proposals ORDER BY job DESC")?;
    let rows = statement.query_map([], |row| row.get(0).map(JobId))?;
    for id in rows.collect::<Result<Vec<_>, _>>()? {
        let job = match jobs::get(connection, id) {
            Ok(job) => job,
            // A later one of them took its place.
            Err(QueueError::NoSuchJob(_)) => continue,
            Err(error) => return Err(error),
        };
        let outdated = jobs::outdated(connection, id, &job.source, job.hash, &job.settings)?;
        jobs::supersede(connection, id, &outdated, now)?;
    }
    connection.execute("DELETE FROM proposals", [])?;
    restate(connection, now)
}

/// Has outputs written as it was asked for and agreed to.
fn restate(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    let mut statement =
        connection.prepare_cached("SELECT job, base, publication FROM restated ORDER BY job")?;
    let rows = statement.query_map([], |row| {
        Ok((
            JobId(row.get(0)?),
            row::path(row.get(1)?),
            row.get::<_, String>(2)?,
        ))
    })?;
    for (id, base, publication) in rows.collect::<Result<Vec<_>, _>>()? {
        let job = jobs::get(connection, id)?;
        let publication = from_json(&publication, "what a run is to write")?;
        if matches!(job.stage, Stage::Done { .. }) {
            jobs::publish_again(connection, &job, &publication, now)?;
        } else if matches!(job.stage, Stage::Received { .. }) {
            jobs::write_elsewhere(connection, &job, &publication, &base, now)?;
        } else if jobs::has_outputs_to_come(&job.stage) {
            jobs::set_outputs(connection, id, &base, &publication)?;
        }
    }
    connection.execute("DELETE FROM restated", [])?;
    Ok(())
}

/// Keeps how the outputs of a job are to be written once somebody has agreed.
pub(super) fn keep_outputs(
    connection: &Connection,
    id: JobId,
    base: &Path,
    publication: &Publication,
) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO restated (job, base, publication) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![id.0, path_bytes(base), to_json(publication)?])?;
    Ok(())
}

/// Notes that a job is new.
pub(super) fn add_new(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO proposals (job) VALUES (?1)")?
        .execute([id.0])?;
    Ok(())
}

/// Notes what a job is that is about to be queued again, unless it is a proposal already.
pub(super) fn add(connection: &Connection, job: &Job) -> Result<(), QueueError> {
    let numbers = |piece: &Job| piece.piece.map(|place| (piece.id.0, place.number));
    let pieces = pieces::of(connection, job.id)?;
    let pieces: Vec<(i64, u32)> = pieces.iter().filter_map(numbers).collect();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO proposals (job, stage, forced, asked_ms, pieces)
             SELECT id, ?2, forced, asked_ms, ?3 FROM jobs WHERE id = ?1",
        )?
        .execute(params![job.id.0, to_json(&job.stage)?, to_json(&pieces)?])?;
    Ok(())
}

/// Puts back what was proposed and is still queued as it was proposed.
pub(super) fn take_back(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT job, stage, forced, asked_ms, pieces FROM proposals ORDER BY job DESC",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Proposal {
            job: JobId(row.get(0)?),
            stage: row.get(1)?,
            forced: row.get(2)?,
            asked_ms: row.get(3)?,
            pieces: row.get(4)?,
        })
    })?;
    let proposals = rows.collect::<Result<Vec<_>, _>>()?;
    connection.execute("DELETE FROM proposals", [])?;
    connection.execute("DELETE FROM restated", [])?;
    for proposal in proposals {
        put_back(connection, &proposal, now)?;
    }
    Ok(())
}

fn put_back(
    connection: &Connection,
    proposal: &Proposal,
    now: Timestamp,
) -> Result<(), QueueError> {
    let id = proposal.job;
    let Some(stage) = &proposal.stage else {
        return jobs::forget(connection, id).map(drop);
    };
    if jobs::get(connection, id)?.stage.name() != StageName::Queued {
        return Ok(());
    }
    let before: Stage = from_json(stage, "the stage of a job before it was proposed")?;
    // No move of the job: nobody is told of it.
    connection.execute(
        "UPDATE jobs SET stage = ?2, state = ?3, data = ?4, due_ms = ?5, forced = ?6, asked_ms = ?7, updated_ms = ?8
         WHERE id = ?1",
        params![
            id.0,
            before.name().as_str(),
            before.state().as_str(),
            stage,
            row::due_millis(&before),
            proposal.forced,
            proposal.asked_ms,
            row::millis(now),
        ],
    )?;
    let pieces: Vec<(i64, u32)> = from_json(
        &proposal.pieces,
        "the pieces of a job before it was proposed",
    )?;
    for (piece, number) in pieces {
        connection
            .prepare_cached("UPDATE jobs SET piece = ?2 WHERE id = ?1")?
            .execute(params![piece, number])?;
    }
    Ok(())
}
