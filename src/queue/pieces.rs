//! The pieces of recordings that were cut: jobs of their own under that of the whole.
//!
//! A piece is claimed, sent, charged and repeated like any job. In the transaction in which the last
//! one ends, the replies are put together and the whole is `received`. What was paid for is kept, also
//! where other pieces are missing.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::outputs::{self, RawReply, ReplyKind};
use super::row::{self, JOB_COLUMNS, find_jobs, millis, path_bytes, signed, to_json};
use super::{Queue, QueueError, cuts, jobs, ledger};
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::cut::Stretch;
use crate::domain::job::{ContentHash, Job, JobId, Reason, ReplyId, Stage, StageName};
use crate::domain::pieces::{self, Ended, Joined};
use crate::domain::route::{Chosen, Route};
use crate::domain::verdict::TOO_LARGE_FOR_SERVICE;

/// A piece that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPiece {
    /// What it holds.
    pub stretch: Stretch,
    /// Bytes of its file.
    pub size: u64,
    /// What its file hashes to.
    pub hash: ContentHash,
}

impl Queue {
    /// Records the pieces that a claimed recording was cut into, to be sent each by itself.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `submitting`.
    pub async fn split(
        &self,
        id: JobId,
        pieces: Vec<NewPiece>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| split(connection, id, &pieces, now))
            .await
    }

    /// The pieces that have not ended, whose files are still needed, those of recordings that are not cut whole yet
    /// among them: each with that of its recording.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn unfinished_pieces(&self) -> Result<Vec<(JobId, u32)>, QueueError> {
        self.writer.read(unfinished).await
    }
}

fn split(
    connection: &Connection,
    id: JobId,
    pieces: &[NewPiece],
    now: Timestamp,
) -> Result<(), QueueError> {
    let parent = jobs::get(connection, id)?;
    ledger::release(connection, id, "cut into pieces", now)?;
    retire(connection, id)?;
    cuts::forget(connection, id)?;
    for (number, piece) in (1..).zip(pieces) {
        insert(connection, &parent, number, piece, now)?;
    }
    let stage = Stage::Split {
        pieces: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
    };
    jobs::advance(connection, id, &[StageName::Submitting], &stage, now)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO temp.scope (id) SELECT id FROM jobs WHERE parent = ?1
             AND ?1 IN (SELECT id FROM temp.scope)",
        )?
        .execute([id.0])?;
    Ok(())
}

fn insert(
    connection: &Connection,
    parent: &Job,
    number: u32,
    piece: &NewPiece,
    now: Timestamp,
) -> Result<(), QueueError> {
    let (stage, duration) = (Stage::queued(), piece.stretch.duration());
    let route = Chosen {
        route: Route::Direct,
        why: format!("it is piece {number} of job {}", parent.id),
    };
    // No path of a recording, which is absolute, is equal to this one.
    let name = path(parent.id, number);
    let micros = |duration: AudioDuration| signed(duration.micros());
    connection
        .prepare_cached(
            "INSERT INTO jobs (source, root, base, hash, size, duration_us, format, settings,
                 publication, stage, state, data, due_ms, forced, created_ms, updated_ms, route, parent,
                 piece, start_us, end_us, folder, turn, asked_ms)
             VALUES (?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, ?16,
                 ?17, ?18, ?19, (SELECT folder FROM jobs WHERE id = ?16),
                 (SELECT turn FROM jobs WHERE id = ?16), (SELECT asked_ms FROM jobs WHERE id = ?16))",
        )?
        .execute(params![
            path_bytes(&name),
            path_bytes(&parent.root),
            piece.hash.0,
            signed(piece.size),
            micros(duration),
            to_json(&AudioFormat::Ogg)?,
            to_json(&parent.settings)?,
            to_json(&parent.publication)?,
            stage.name().as_str(),
            stage.state().as_str(),
            to_json(&stage)?,
            row::due_millis(&stage),
            parent.forced,
            millis(now),
            to_json(&route)?,
            parent.id.0,
            number,
            micros(piece.stretch.begins()),
            micros(piece.stretch.ends()),
        ])?;
    Ok(())
}

/// The name of a piece's file in the folder of what is to be sent.
pub fn path(parent: JobId, number: u32) -> PathBuf {
    Path::new(&format!("{parent}-{number}.ogg")).to_owned()
}

/// The pieces of an earlier cut are kept with what they have cost, and count no more.
pub(super) fn retire(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE jobs SET piece = NULL WHERE parent = ?1")?
        .execute([id.0])?;
    Ok(())
}

/// The pieces of a recording in their order.
pub(super) fn of(connection: &Connection, id: JobId) -> Result<Vec<Job>, QueueError> {
    find_jobs(
        connection,
        &format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE parent = ?1 AND piece IS NOT NULL ORDER BY piece"
        ),
        &[&id.0],
    )
}

fn unfinished(connection: &Connection) -> Result<Vec<(JobId, u32)>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT parent, piece FROM jobs WHERE parent IS NOT NULL AND piece IS NOT NULL
         AND stage NOT IN ('done', 'failed', 'cancelled')
         UNION SELECT job, piece FROM cuts
         WHERE job IN (SELECT id FROM jobs WHERE stage IN ('queued', 'waiting', 'submitting'))",
    )?;
    let rows = statement.query_map([], |row| Ok((JobId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A piece has moved: if it was the last to end, so has the whole.
pub(super) fn join(connection: &Connection, id: JobId, now: Timestamp) -> Result<(), QueueError> {
    let parent = jobs::get(connection, id)?;
    let Stage::Split { .. } = parent.stage else {
        return Ok(());
    };
    let pieces = of(connection, id)?;
    let stage = match pieces::join(pieces.iter().map(|piece| &piece.stage)) {
        Joined::Waits => return Ok(()),
        Joined::Ends(stage) => stage,
        Joined::Reply => Stage::Received {
            reply: compose(connection, id, &pieces, now)?,
            trouble: None,
        },
    };
    jobs::advance(connection, id, &[StageName::Split], &stage, now)
}

fn compose(
    connection: &Connection,
    id: JobId,
    pieces: &[Job],
    now: Timestamp,
) -> Result<ReplyId, QueueError> {
    let mut ended = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let reply = if let Stage::Done { reply } = &piece.stage {
            Ok(outputs::reply(connection, *reply)?.body)
        } else {
            let reason = piece.stage.reason();
            Err(reason.unwrap_or_else(|| Reason::new("cancelled", "it was stopped by hand")))
        };
        if let Some(place) = piece.piece {
            let stretch = place.stretch;
            ended.push(Ended { stretch, reply });
        }
    }
    let raw = RawReply {
        status: 200,
        body: pieces::compose(&ended).map_err(|error| QueueError::Unreadable {
            what: "the reply that is made of pieces".to_owned(),
            error,
        })?,
        request_id: None,
    };
    outputs::store_reply(connection, id, ReplyKind::Composite, &raw, now)
}

/// How a recording ends whose transcript was written, if pieces of it are missing.
pub(super) fn missing(connection: &Connection, id: JobId) -> Result<Option<Stage>, QueueError> {
    let pieces = of(connection, id)?;
    Ok(pieces::missing(pieces.iter().map(|piece| &piece.stage)))
}

/// Queues again the pieces that have no transcript, because a person asked for it; says whether the job
/// has pieces.
pub(super) fn retry(
    connection: &Connection,
    job: &Job,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let pieces = of(connection, job.id)?;
    if pieces.is_empty() {
        return Ok(false);
    }
    if is_refused_whole(connection, &pieces)? {
        retire(connection, job.id)?;
        jobs::set_route(connection, job.id, None)?;
        return Ok(false);
    }
    let from = [StageName::Failed, StageName::InDoubt, StageName::Cancelled];
    let stage = Stage::Split {
        pieces: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
    };
    jobs::advance(connection, job.id, &from, &stage, now)?;
    for piece in &pieces {
        if from.contains(&piece.stage.name()) {
            jobs::retry(connection, piece, now)?;
        }
    }
    join(connection, job.id, now)?;
    Ok(true)
}

/// Whether the service took none of the pieces because of their size: then the recording is to go another way, or to
/// be cut into smaller ones.
fn is_refused_whole(connection: &Connection, pieces: &[Job]) -> Result<bool, QueueError> {
    let mut is_too_large = false;
    for piece in pieces {
        if let Stage::Failed { reason } = &piece.stage {
            is_too_large |= reason.code == TOO_LARGE_FOR_SERVICE;
        } else if piece.stage != Stage::Cancelled {
            return Ok(false);
        }
        if ledger::may_be_paid(connection, piece.id)? {
            return Ok(false);
        }
    }
    Ok(is_too_large)
}

/// Stops the pieces that were not sent yet, because a person asked for it; what is accepted is paid for
/// and kept.
pub(super) fn cancel(
    connection: &Connection,
    job: &Job,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let mut cancelled = false;
    for piece in of(connection, job.id)? {
        match jobs::cancel(connection, piece.id, now) {
            Ok(()) => cancelled = true,
            Err(QueueError::Elsewhere { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(cancelled)
}
