//! Jobs: how they are queued, claimed and moved from stage to stage.
//!
//! Each function is one step inside a transaction. A move names the stages that it may start from, so
//! that nothing that was decided elsewhere meanwhile is overwritten.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::QueueError;
use super::adopt;
use super::arrivals::{Asked, Gone};
use super::ledger;
use super::outbox;
use super::pieces;
use super::proposals;
use super::row::{self, JOB_COLUMNS, find_job, millis, path_bytes, signed, to_json};
use super::twins;
use crate::domain::job::{
    Candidate, ContentHash, Job, JobId, Publication, Reason, Settings, Stage, StageName,
};
use crate::domain::naming;
use crate::domain::pieces::has_ended as has_piece_ended;
use crate::domain::route::Chosen;

/// What became of a recording that was offered to the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Enqueued {
    /// Its job was there already.
    Known(Box<Job>),
    /// It is a job now.
    New(JobId),
    /// A known recording under a new name: its job follows it.
    Moved(JobId),
}

/// The job of exactly this recording at this place with these settings, the latest if there are several.
pub(super) fn find(
    connection: &Connection,
    source: &Path,
    hash: ContentHash,
    settings: &Settings,
) -> Result<Option<Job>, QueueError> {
    find_job(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE source = ?1 AND hash = ?2 AND settings = ?3
             AND parent IS NULL
             ORDER BY id DESC LIMIT 1"
        ),
        &[&path_bytes(source), &hash.0, &to_json(settings)?],
    )
}

/// The latest job of a recording that has none by the settings that are asked for, unless it came to nothing.
pub(super) fn by_other_settings(
    connection: &Connection,
    source: &Path,
    hash: ContentHash,
) -> Result<Option<Job>, QueueError> {
    find_job(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE source = ?1 AND hash = ?2 AND parent IS NULL
             AND stage NOT IN ('failed', 'cancelled') ORDER BY id DESC LIMIT 1"
        ),
        &[&path_bytes(source), &hash.0],
    )
}

/// What is still to be sent of the same recording by other settings than those that are asked for by job `id`.
pub(super) fn outdated(
    connection: &Connection,
    id: JobId,
    source: &Path,
    hash: ContentHash,
    settings: &Settings,
) -> Result<Vec<JobId>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM jobs WHERE source = ?1 AND hash = ?2 AND parent IS NULL AND id <> ?3 AND settings <> ?4
         AND stage IN ('queued', 'waiting', 'split')",
    )?;
    let parameters = params![path_bytes(source), hash.0, id.0, to_json(settings)?];
    let rows = statement.query_map(parameters, |row| row.get(0).map(JobId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is to be sent by other settings than those of job `id` is not asked for any more; what of it is paid is kept.
pub(super) fn supersede(
    connection: &Connection,
    id: JobId,
    outdated: &[JobId],
    now: Timestamp,
) -> Result<(), QueueError> {
    for other in outdated.iter().copied() {
        if forget(connection, other)? {
            continue;
        }
        let text = format!("asked for with other settings since, as job {id}");
        ledger::release(connection, other, "superseded", now)?;
        note(
            connection,
            other,
            &Reason::new("superseded", text),
            None,
            now,
        )?;
        let job = get(connection, other)?;
        if job.stage.name() == StageName::Split {
            pieces::cancel(connection, &job, now)?;
            continue;
        }
        let from = [StageName::Queued, StageName::Waiting];
        advance(connection, other, &from, &Stage::Cancelled, now)?;
    }
    Ok(())
}

/// The job with this number.
pub(super) fn get(connection: &Connection, id: JobId) -> Result<Job, QueueError> {
    let sql = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE id = ?1");
    find_job(connection, &sql, &[&id.0])?.ok_or(QueueError::NoSuchJob(id))
}

/// Queues a recording unless it is known; `gone` is a job of the same identity whose file has vanished,
/// which then follows the recording to its new name.
pub(super) fn enqueue(
    connection: &Connection,
    candidate: &Candidate,
    gone: Option<Gone>,
    now: Timestamp,
) -> Result<Enqueued, QueueError> {
    if let Some(job) = find(
        connection,
        &candidate.source,
        candidate.hash,
        &candidate.settings,
    )? {
        return Ok(Enqueued::Known(Box::new(job)));
    }
    let Some(Gone { id, respelt }) = gone else {
        let base = free_base(connection, candidate, None)?;
        let id = insert(connection, candidate, &base, now)?;
        twins::stay_stopped(connection, id, now)?;
        return Ok(Enqueued::New(id));
    };
    let base = if respelt {
        get(connection, id)?.base
    } else {
        free_base(connection, candidate, gone)?
    };
    follow(connection, id, candidate, &base, now)
}

/// Queues a recording unless it is known; with `force` also what has ended is queued again, and so is
/// what ended only because its recording was gone or another one. What is queued by that is `proposed` where
/// somebody has to agree to it first.
pub(super) fn offer(
    connection: &Connection,
    candidate: &Candidate,
    gone: Option<Gone>,
    force: bool,
    proposed: bool,
    now: Timestamp,
) -> Result<Enqueued, QueueError> {
    let enqueued = enqueue(connection, candidate, gone, now)?;
    let id = match &enqueued {
        Enqueued::Known(job) => job.id,
        Enqueued::New(id) | Enqueued::Moved(id) => *id,
    };
    let outdated = outdated(
        connection,
        id,
        &candidate.source,
        candidate.hash,
        &candidate.settings,
    )?;
    if proposed {
        propose(connection, &enqueued, force || !outdated.is_empty())?;
    } else {
        supersede(connection, id, &outdated, now)?;
    }
    match &enqueued {
        Enqueued::Known(known) if force && may_be_forced(&known.stage) => {
            self::force(connection, known.id, now)?;
            Ok(Enqueued::New(known.id))
        }
        Enqueued::Known(known) if matches!(known.stage, Stage::Received { .. }) => {
            let base = free_base(connection, candidate, None)?;
            // The name was decided once; only the folder may be another by now.
            if base.parent() != known.base.parent() {
                let publication = &candidate.publication;
                if proposed {
                    proposals::keep_outputs(connection, known.id, &base, publication)?;
                } else {
                    write_elsewhere(connection, known, publication, &base, now)?;
                }
            }
            Ok(enqueued)
        }
        Enqueued::Known(known) if known.stage.waits_for_recording() => {
            retry(connection, known, now)?;
            Ok(Enqueued::New(known.id))
        }
        Enqueued::New(id) | Enqueued::Moved(id) => {
            let job = get(connection, *id)?;
            if force && may_be_forced(&job.stage) && !matches!(job.stage, Stage::Done { .. }) {
                self::force(connection, *id, now)?;
            } else if job.stage.waits_for_recording() {
                retry(connection, &job, now)?;
            }
            Ok(enqueued)
        }
        Enqueued::Known(_) => Ok(enqueued),
    }
}

/// Notes what a run would queue, in case nobody agrees to it; `asked` for what that changes in any case.
fn propose(connection: &Connection, enqueued: &Enqueued, asked: bool) -> Result<(), QueueError> {
    let moved;
    let job = match enqueued {
        Enqueued::New(id) => return proposals::add_new(connection, *id),
        Enqueued::Known(job) => job.as_ref(),
        Enqueued::Moved(id) => {
            moved = get(connection, *id)?;
            &moved
        }
    };
    if asked || job.stage.waits_for_recording() {
        proposals::add(connection, job)?;
    }
    Ok(())
}

/// Has outputs that are not written yet, perhaps because they could not be, written where the configuration
/// has them now.
pub(super) fn write_elsewhere(
    connection: &Connection,
    job: &Job,
    publication: &Publication,
    base: &Path,
    now: Timestamp,
) -> Result<(), QueueError> {
    set_outputs(connection, job.id, base, publication)?;
    let Stage::Received { reply, .. } = job.stage else {
        return Ok(());
    };
    let stage = Stage::Received {
        reply,
        trouble: None,
    };
    advance(connection, job.id, &[StageName::Received], &stage, now)
}

/// Has outputs that are still to come written in the formats and the folder that a person asks for by flags; of
/// what is `proposed` that is kept until somebody agrees.
pub(super) fn restate(
    connection: &Connection,
    job: &Job,
    candidate: &Candidate,
    asked: Asked,
    proposed: bool,
) -> Result<(), QueueError> {
    if asked == Asked::default() || !has_outputs_to_come(&job.stage) {
        return Ok(());
    }
    let publication = match asked.formats {
        true => job.publication.brought_up_to(&candidate.publication),
        false => job.publication.clone(),
    };
    let mut base = job.base.clone();
    if asked.folder {
        let there = free_base(connection, candidate, None)?;
        // The name was decided once; only the folder may be another by now.
        if there.parent() != base.parent() {
            base = there;
        }
    }
    if base == job.base && publication == job.publication {
        return Ok(());
    }
    if proposed {
        return proposals::keep_outputs(connection, job.id, &base, &publication);
    }
    set_outputs(connection, job.id, &base, &publication)
}

/// Whether nothing of a job is written yet, and something may be.
pub(super) fn has_outputs_to_come(stage: &Stage) -> bool {
    match stage {
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::InDoubt { .. } => true,
        Stage::Received { .. } | Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled => {
            false
        }
    }
}

pub(super) fn set_outputs(
    connection: &Connection,
    id: JobId,
    base: &Path,
    publication: &Publication,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET base = ?2, publication = ?3 WHERE id = ?1")?
        .execute(params![id.0, path_bytes(base), to_json(publication)?])?;
    Ok(())
}

fn may_be_forced(stage: &Stage) -> bool {
    match stage {
        Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled | Stage::Waiting { .. } => {
            true
        }
        Stage::Queued { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt { .. } => false,
    }
}

/// The base of the outputs: the stem, the whole name where another recording has the stem, and the whole
/// name with a mark of the recording's own path where others have both. What the job that follows the
/// recording has is free.
fn free_base(
    connection: &Connection,
    candidate: &Candidate,
    follower: Option<Gone>,
) -> Result<PathBuf, QueueError> {
    let except = follower.map(|follower| follower.id);
    let at = |name: &OsStr| {
        let output_dir = candidate.output_dir.as_deref();
        naming::base_path(&candidate.source, &candidate.root, output_dir, name)
    };
    let whole = naming::base_name(&candidate.source, true);
    for base in [at(&naming::base_name(&candidate.source, false)), at(&whole)] {
        if !adopt::is_base_taken(connection, &base, &candidate.source, except)? {
            return Ok(base);
        }
    }
    Ok(at(&naming::marked(&whole, &candidate.source)))
}

/// The turn of a new job among those of its root: the one that is served now, or the next after the last of its
/// own folder. So each folder has one recording a turn, and a folder that was idle joins in at once.
fn next_turn(connection: &Connection, candidate: &Candidate) -> Result<i64, QueueError> {
    Ok(connection
        .prepare_cached(
            "SELECT max(
                 coalesce((SELECT turn FROM jobs INDEXED BY jobs_queue WHERE parent IS NULL AND stage = 'queued'
                     AND root = ?2 AND json_extract(settings, '$.provider') = ?3
                     ORDER BY due_ms, turn, id LIMIT 1), 0),
                 coalesce((SELECT max(turn) + 1 FROM jobs INDEXED BY jobs_turns
                     WHERE parent IS NULL AND stage = 'queued' AND folder = ?1), 0))",
        )?
        .query_row(
            params![
                folder_bytes(&candidate.source),
                path_bytes(&candidate.root),
                candidate.settings.provider.name()
            ],
            |row| row.get(0),
        )?)
}

fn folder_bytes(source: &Path) -> &[u8] {
    path_bytes(source.parent().unwrap_or(Path::new("")))
}

/// A new job, in the stage that the candidate begins in.
pub(super) fn insert(
    connection: &Connection,
    candidate: &Candidate,
    base: &Path,
    now: Timestamp,
) -> Result<JobId, QueueError> {
    let stage = &candidate.stage;
    connection
        .prepare_cached(
            "INSERT INTO jobs (source, root, base, hash, size, duration_us, format, settings,
                 publication, stage, state, data, due_ms, created_ms, updated_ms, route, folder, turn,
                 ground, video)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, ?16, ?17, ?18,
                 ?19)",
        )?
        .execute(params![
            path_bytes(&candidate.source),
            path_bytes(&candidate.root),
            path_bytes(base),
            candidate.hash.0,
            signed(candidate.size),
            candidate.duration.map(|duration| signed(duration.micros())),
            to_json(&candidate.format)?,
            to_json(&candidate.settings)?,
            to_json(&candidate.publication)?,
            stage.name().as_str(),
            stage.state().as_str(),
            to_json(stage)?,
            row::due_millis(stage),
            millis(now),
            candidate.route.as_ref().map(to_json).transpose()?,
            folder_bytes(&candidate.source),
            next_turn(connection, candidate)?,
            candidate.ground.as_ref().map(to_json).transpose()?,
            candidate.has_video,
        ])?;
    Ok(JobId(connection.last_insert_rowid()))
}

/// A done job goes back to its stored reply, so that the outputs are written under the new name.
fn follow(
    connection: &Connection,
    id: JobId,
    candidate: &Candidate,
    base: &Path,
    now: Timestamp,
) -> Result<Enqueued, QueueError> {
    connection
        .prepare_cached(
            "UPDATE jobs SET source = ?2, root = ?3, base = ?4, publication = ?5, folder = ?6,
                 ground = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            path_bytes(&candidate.source),
            path_bytes(&candidate.root),
            path_bytes(base),
            to_json(&candidate.publication)?,
            folder_bytes(&candidate.source),
            candidate.ground.as_ref().map(to_json).transpose()?,
        ])?;
    if let Stage::Done { reply } = get(connection, id)?.stage {
        let stage = Stage::Received {
            reply,
            trouble: None,
        };
        advance(connection, id, &[StageName::Done], &stage, now)?;
    }
    Ok(Enqueued::Moved(id))
}

/// Moves a job to `stage` if it is in one of the stages `from`.
///
/// # Errors
/// [`QueueError::Elsewhere`] if it is in another stage.
pub(super) fn advance(
    connection: &Connection,
    id: JobId,
    from: &[StageName],
    stage: &Stage,
    now: Timestamp,
) -> Result<(), QueueError> {
    must_be_in(connection, id, from)?;
    let job = get(connection, id)?;
    connection
        .prepare_cached(
            "UPDATE jobs SET stage = ?2, state = ?3, data = ?4, due_ms = ?5, updated_ms = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            stage.name().as_str(),
            stage.state().as_str(),
            to_json(stage)?,
            row::due_millis(stage),
            millis(now),
        ])?;
    if has_ended(stage) || job.stage.is_paying() && !stage.is_paying() {
        twins::wake_twins(connection, id)?;
    }
    outbox::moved(connection, id, &job.stage, stage, now)?;
    match job.piece {
        Some(piece) if has_piece_ended(stage) => pieces::join(connection, piece.parent, now),
        Some(_) | None => Ok(()),
    }
}

/// Checks that a job is in one of the stages `from`, before anything is done about it.
///
/// # Errors
/// [`QueueError::Elsewhere`] if it is in another stage.
pub(super) fn must_be_in(
    connection: &Connection,
    id: JobId,
    from: &[StageName],
) -> Result<(), QueueError> {
    let stage = get(connection, id)?.stage.name();
    if from.contains(&stage) {
        Ok(())
    } else {
        Err(QueueError::Elsewhere { id, stage })
    }
}

fn has_ended(stage: &Stage) -> bool {
    match stage {
        Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled => true,
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt { .. } => false,
    }
}

/// Notes that a person asks for a job and its pieces to be tried again.
pub(super) fn ask_for(
    connection: &Connection,
    id: JobId,
    now: Timestamp,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET asked_ms = ?2 WHERE id = ?1 OR parent = ?1")?
        .execute(params![id.0, millis(now)])?;
    Ok(())
}

/// Notes what happened to a job, for `show`; what happens again and again is noted once, with its last
/// time.
pub(super) fn note(
    connection: &Connection,
    id: JobId,
    reason: &Reason,
    request_id: Option<&str>,
    now: Timestamp,
) -> Result<(), QueueError> {
    let repeated = connection
        .prepare_cached(
            "UPDATE attempts SET at_ms = ?2 WHERE event = ?3 AND text = ?4
             AND id = (SELECT max(id) FROM attempts WHERE job = ?1)",
        )?
        .execute(params![id.0, millis(now), reason.code, reason.text])?;
    if repeated == 0 {
        insert_note(connection, id, reason, request_id, now)?;
    }
    set_request_id(connection, id, request_id)
}

fn insert_note(
    connection: &Connection,
    id: JobId,
    reason: &Reason,
    request_id: Option<&str>,
    now: Timestamp,
) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT INTO attempts (job, at_ms, event, text, request_id) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![id.0, millis(now), reason.code, reason.text, request_id])?;
    Ok(())
}

/// Freezes the route by which a job goes.
pub(super) fn set_route(
    connection: &Connection,
    id: JobId,
    route: Option<&Chosen>,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET route = ?2 WHERE id = ?1")?
        .execute(params![id.0, route.map(to_json).transpose()?])?;
    Ok(())
}

/// Counts a submit that was handed over whole, or was refused; that of a piece counts for the whole too.
pub(super) fn count_attempt(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "UPDATE jobs SET attempts = attempts + 1
             WHERE id = ?1 OR id = (SELECT parent FROM jobs WHERE id = ?1)",
        )?
        .execute([id.0])?;
    Ok(())
}

/// Queues again what had ended without a transcript, or is in doubt, because a person asked for it; what
/// goes on by itself, only late, is tried at once.
pub(super) fn retry(connection: &Connection, job: &Job, now: Timestamp) -> Result<(), QueueError> {
    if hurry(connection, job, now)? {
        return Ok(());
    }
    if job.piece.is_none() && pieces::retry(connection, job, now)? {
        return Ok(());
    }
    let from = [
        StageName::Failed,
        StageName::InDoubt,
        StageName::Cancelled,
        StageName::Waiting,
    ];
    must_be_in(connection, job.id, &from)?;
    connection
        .prepare_cached("UPDATE jobs SET failures = 0 WHERE id = ?1")?
        .execute([job.id.0])?;
    ledger::release(connection, job.id, "queued again", now)?;
    advance(connection, job.id, &from, &Stage::queued(), now)
}

/// Has a run that is overdue asked after now, and outputs that could not be written tried now, in place of
/// when their time comes; says whether there was one.
fn hurry(connection: &Connection, job: &Job, now: Timestamp) -> Result<bool, QueueError> {
    let mut stage = job.stage.clone();
    let due = match &mut stage {
        Stage::Awaiting {
            poll_at,
            overdue: Some(_),
            ..
        } => poll_at,
        Stage::Received {
            trouble: Some(trouble),
            ..
        } => &mut trouble.retry_at,
        Stage::Split { .. } => {
            let mut hurried = false;
            for piece in pieces::of(connection, job.id)? {
                hurried |= hurry(connection, &piece, now)?;
            }
            return Ok(hurried);
        }
        Stage::Awaiting { overdue: None, .. }
        | Stage::Received { trouble: None, .. }
        | Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. }
        | Stage::Cancelled => return Ok(false),
    };
    *due = now;
    advance(connection, job.id, &[job.stage.name()], &stage, now)?;
    Ok(true)
}

/// Stops a job because a person asked for it; one that is accepted is paid for, and its transcript comes,
/// unless the service is overdue with it: then what it may have cost is kept as a doubt.
pub(super) fn cancel(connection: &Connection, id: JobId, now: Timestamp) -> Result<(), QueueError> {
    let from = [
        StageName::Queued,
        StageName::Waiting,
        StageName::Failed,
        StageName::InDoubt,
    ];
    let job = get(connection, id)?;
    let stage = job.stage.name();
    if let Stage::Awaiting {
        overdue: Some(_), ..
    } = job.stage
    {
        return give_up(connection, &job, now);
    }
    let is_split = stage == StageName::Split;
    let may_be = from.contains(&stage) || (is_split && pieces::cancel(connection, &job, now)?);
    if !may_be {
        return Err(QueueError::Elsewhere { id, stage });
    }
    if is_split {
        let reason = Reason::new("cancelled", "stopped by hand; what is accepted is kept");
        note(connection, id, &reason, None, now)?;
        return twins::stop_copies(connection, &job, now);
    }
    ledger::release(connection, id, "cancelled", now)?;
    note(
        connection,
        id,
        &Reason::new("cancelled", "stopped by hand"),
        None,
        now,
    )?;
    advance(connection, id, &from, &Stage::Cancelled, now)?;
    twins::stop_copies(connection, &job, now)
}

/// Waits no longer for a run that is overdue; whether it was paid for, only the service knows.
fn give_up(connection: &Connection, job: &Job, now: Timestamp) -> Result<(), QueueError> {
    let text = "given up while the service had it";
    // Where the ticket named what it costs, that is in the ledger.
    if job.cost.is_none() {
        ledger::doubt(connection, job.id, text, now)?;
    }
    note(
        connection,
        job.id,
        &Reason::new("cancelled", text),
        None,
        now,
    )?;
    let from = [StageName::Awaiting];
    advance(connection, job.id, &from, &Stage::Cancelled, now)?;
    twins::stop_copies(connection, job, now)
}

/// Queues a done recording to be transcribed, and paid for, once more.
pub(super) fn force(connection: &Connection, id: JobId, now: Timestamp) -> Result<(), QueueError> {
    pieces::retire(connection, id)?;
    connection
        .prepare_cached("UPDATE jobs SET forced = 1 WHERE id = ?1")?
        .execute([id.0])?;
    ask_for(connection, id, now)?;
    let from = [
        StageName::Done,
        StageName::Failed,
        StageName::Cancelled,
        StageName::Waiting,
    ];
    advance(connection, id, &from, &Stage::queued(), now)
}

/// Counts a failure by the job's own fault, and says how many there are by now.
pub(super) fn count_failure(connection: &Connection, id: JobId) -> Result<u32, QueueError> {
    Ok(connection
        .prepare_cached("UPDATE jobs SET failures = failures + 1 WHERE id = ?1 RETURNING failures")?
        .query_row([id.0], |row| row.get(0))?)
}

/// Counts a paid repeat.
pub(super) fn count_doubt(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET doubts = doubts + 1 WHERE id = ?1")?
        .execute([id.0])?;
    Ok(())
}

/// Keeps the service's id of a run.
pub(super) fn set_run_id(
    connection: &Connection,
    id: JobId,
    run_id: &str,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET run_id = ?2 WHERE id = ?1")?
        .execute(params![id.0, run_id])?;
    Ok(())
}

/// Keeps the service's id of a request, if it gave one.
pub(super) fn set_request_id(
    connection: &Connection,
    id: JobId,
    request_id: Option<&str>,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET request_id = coalesce(?2, request_id) WHERE id = ?1")?
        .execute(params![id.0, request_id])?;
    Ok(())
}

/// A forced job that is done is an ordinary one again.
pub(super) fn clear_forced(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET forced = 0 WHERE id = ?1")?
        .execute([id.0])?;
    Ok(())
}

/// Sends a done job back to its stored reply, so that its outputs are written again, perhaps in more
/// formats; free of charge.
pub(super) fn publish_again(
    connection: &Connection,
    job: &Job,
    publication: &Publication,
    now: Timestamp,
) -> Result<(), QueueError> {
    let Stage::Done { reply } = job.stage else {
        return Err(QueueError::Elsewhere {
            id: job.id,
            stage: job.stage.name(),
        });
    };
    set_publication(connection, job.id, publication)?;
    let stage = Stage::Received {
        reply,
        trouble: None,
    };
    advance(connection, job.id, &[StageName::Done], &stage, now)
}

/// Keeps what is written for a job.
pub(super) fn set_publication(
    connection: &Connection,
    id: JobId,
    publication: &Publication,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET publication = ?2 WHERE id = ?1")?
        .execute(params![id.0, to_json(publication)?])?;
    Ok(())
}

/// Takes a job out of the table that was queued and never touched; says whether it was such a one.
pub(super) fn forget(connection: &Connection, id: JobId) -> Result<bool, QueueError> {
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM jobs WHERE id = ?1 AND stage = 'queued' AND attempts = 0 AND forced = 0
             AND NOT EXISTS (SELECT 1 FROM ledger WHERE job = ?1)
             AND NOT EXISTS (SELECT 1 FROM attempts WHERE job = ?1)
             AND NOT EXISTS (SELECT 1 FROM replies WHERE job = ?1)
             AND NOT EXISTS (SELECT 1 FROM outputs WHERE job = ?1)",
        )?
        .execute([id.0])?;
    Ok(forgotten > 0)
}
