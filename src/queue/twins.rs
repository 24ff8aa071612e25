//! Copies of a recording: what one of them has, waits for or is refused holds for the others.
//!
//! Two jobs are twins where content and settings are the same. None is sent beside another, and none is paid
//! for because a person stopped the other.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{JOB_COLUMNS, find_job, find_jobs, millis, to_json};
use super::{QueueError, jobs};
use crate::domain::job::{ContentHash, Job, JobId, Reason, ReplyId, Settings, Stage, StageName};

/// Every job with the same identity, the oldest first: the recording's copies, and where it was before.
pub(super) fn twins(
    connection: &Connection,
    hash: ContentHash,
    settings: &Settings,
) -> Result<Vec<Job>, QueueError> {
    find_jobs(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE hash = ?1 AND settings = ?2 AND parent IS NULL
             ORDER BY id"
        ),
        &[&hash.0, &to_json(settings)?],
    )
}

/// The reply that a finished job of the same identity was made from, the latest if there are several. For
/// a job that was forced it must have come since: what was there before is what is paid for anew.
pub(super) fn known_reply(
    connection: &Connection,
    job: &Job,
) -> Result<Option<(JobId, ReplyId)>, QueueError> {
    let twin = find_job(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE hash = ?1 AND settings = ?2 AND stage = 'done'
             AND id <> ?3 AND updated_ms > ?4 ORDER BY updated_ms DESC, id DESC LIMIT 1"
        ),
        &[
            &job.hash.0,
            &to_json(&job.settings)?,
            &job.id.0,
            &forced_at(job).map_or(i64::MIN, millis),
        ],
    )?;
    Ok(twin.and_then(|twin| match twin.stage {
        Stage::Done { reply } => Some((twin.id, reply)),
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. }
        | Stage::Cancelled => None,
    }))
}

/// When a job was forced that waits in the queue.
fn forced_at(job: &Job) -> Option<Timestamp> {
    job.forced.then_some(job.updated_at)
}

/// Another job of the same identity that is being paid for, or may have been. One that was forced waits for
/// another that was forced, and for what is on its way, whose reply will have come since; not for a doubt.
pub(super) fn payer(connection: &Connection, job: &Job) -> Result<Option<JobId>, QueueError> {
    let id = connection
        .prepare_cached(
            "SELECT id FROM jobs WHERE hash = ?1 AND settings = ?2 AND id <> ?3 AND stage IN
             ('submitting', 'committing', 'split', 'awaiting', 'received', 'in_doubt')
             AND (forced >= ?4 OR state = 'active') LIMIT 1",
        )?
        .query_row(
            params![job.hash.0, to_json(&job.settings)?, job.id.0, job.forced],
            |row| row.get(0),
        )
        .optional()?;
    Ok(id.map(JobId))
}

/// Why a job fails as another one of the same identity did, for reasons that lie in the recording or its settings,
/// and not before a person asked for this one.
pub(super) fn failed_twin(
    connection: &Connection,
    job: &Job,
) -> Result<Option<Reason>, QueueError> {
    let twin = find_job(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE hash = ?1 AND settings = ?2 AND stage = 'failed'
             AND id <> ?3 AND updated_ms > coalesce((SELECT asked_ms FROM jobs WHERE id = ?3), ?4)
             ORDER BY id LIMIT 1"
        ),
        &[&job.hash.0, &to_json(&job.settings)?, &job.id.0, &i64::MIN],
    )?;
    Ok(twin.and_then(|twin| twin.stage.reason()?.of_twin(twin.id)))
}

/// Copies of a recording wait for the one that is being paid for; when that ends, or goes back into the
/// queue, they look again. What waits for another reason goes on waiting.
pub(super) fn wake_twins(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "UPDATE jobs SET due_ms = 0 WHERE stage = 'queued' AND id <> ?1
             AND json_extract(data, '$.reason.code') = 'duplicate'
             AND (hash, settings) = (SELECT hash, settings FROM jobs WHERE id = ?1)",
        )?
        .execute([id.0])?;
    Ok(())
}

/// A copy of a recording that a person has stopped is stopped as well, unless there is a job of it that goes
/// on or is done: nobody would expect to pay for what was stopped because it has one more name.
pub(super) fn stay_stopped(
    connection: &Connection,
    id: JobId,
    now: Timestamp,
) -> Result<(), QueueError> {
    let job = jobs::get(connection, id)?;
    let twins = twins(connection, job.hash, &job.settings)?;
    let mut others = twins.iter().filter(|twin| twin.id != id);
    let stopped = others.find(|twin| twin.stage == Stage::Cancelled);
    let goes_on = |twin: &Job| !matches!(twin.stage, Stage::Cancelled | Stage::Failed { .. });
    let Some(stopped) =
        stopped.filter(|_| !twins.iter().any(|twin| twin.id != id && goes_on(twin)))
    else {
        return Ok(());
    };
    note_stopped_twin(connection, id, stopped.id, now)?;
    jobs::advance(connection, id, &[job.stage.name()], &Stage::Cancelled, now)
}

/// The copies of a recording that wait in the queue are stopped with it: the next of them would be paid for
/// in its stead.
pub(super) fn stop_copies(
    connection: &Connection,
    job: &Job,
    now: Timestamp,
) -> Result<(), QueueError> {
    if job.piece.is_some() {
        return Ok(());
    }
    let twins = twins(connection, job.hash, &job.settings)?;
    let waits = |twin: &&Job| twin.id != job.id && matches!(twin.stage, Stage::Queued { .. });
    for copy in twins.iter().filter(waits) {
        note_stopped_twin(connection, copy.id, job.id, now)?;
        jobs::advance(
            connection,
            copy.id,
            &[StageName::Queued],
            &Stage::Cancelled,
            now,
        )?;
    }
    Ok(())
}

fn note_stopped_twin(
    connection: &Connection,
    id: JobId,
    twin: JobId,
    now: Timestamp,
) -> Result<(), QueueError> {
    jobs::note(connection, id, &Reason::twin_was_stopped(twin), None, now)
}
