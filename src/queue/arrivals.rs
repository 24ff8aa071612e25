//! Taking in many files in one transaction: what was found out about each, and its job.
//!
//! The order is kept, so that what lay in a folder first is queued first.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::QueueError;
use super::jobs::{self, Enqueued};
use super::row::{self, to_json};
use super::sources::{self, Known};
use crate::domain::ground::Ground;
use crate::domain::job::{Candidate, ContentHash, Job, JobId, Settings};
use crate::domain::settle::Fingerprint;

/// How many jobs of the same recording are looked at for one whose file has gone.
const MOST_ELSEWHERE: i64 = 64;

/// A file that was found, and what is to be recorded of it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The file.
    pub path: PathBuf,
    /// The folder under which it was found.
    pub root: PathBuf,
    /// Its state.
    pub fingerprint: Fingerprint,
    /// What was found out, if that is new.
    pub known: Option<Known>,
    /// The recording to queue, if it is one.
    pub candidate: Option<Candidate>,
    /// Whether it is queued again where what has ended is.
    pub may_force: bool,
    /// The job of the same recording whose file has gone, which follows it.
    pub gone: Option<Gone>,
    /// Where that job had its recording then.
    pub gone_from: Option<PathBuf>,
}

/// A job whose recording is not under its old name any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The job.
    pub id: JobId,
    /// Whether the disk takes both names for one, so that its outputs stay where they are.
    pub respelt: bool,
}

/// What the table has of a recording already.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kin {
    /// Its job.
    pub own: Option<Box<Job>>,
    /// Where it has none, the latest of the same recording there by other settings, unless that came to nothing.
    pub other: Option<Box<Job>>,
    /// Jobs of the same recording elsewhere that may follow it, the oldest first; 64 at the most.
    pub elsewhere: Vec<Elsewhere>,
}

/// A job of the same recording at another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The job.
    pub id: JobId,
    /// Its recording.
    pub source: PathBuf,
    /// The folder under which that was found.
    pub root: PathBuf,
    /// On which disk, if that was known.
    pub ground: Option<Ground>,
}

/// What the table has of the recording `hash` at `source` with these settings.
pub(super) fn kin(
    connection: &Connection,
    source: &Path,
    hash: ContentHash,
    settings: &Settings,
) -> Result<Kin, QueueError> {
    // Of most files that are no job's, no other is one either.
    let is_known = connection
        .prepare_cached("SELECT 1 FROM jobs WHERE hash = ?1")?
        .exists([hash.0])?;
    if !is_known {
        return Ok(Kin::default());
    }
    if let Some(own) = jobs::find(connection, source, hash, settings)? {
        return Ok(Kin {
            own: Some(Box::new(own)),
            ..Kin::default()
        });
    }
    // Stages in which a job may follow its recording to a new name: what was stopped by hand stays
    // stopped, and what failed can be tried again there. One with more to give comes first.
    let mut statement = connection.prepare_cached(
        "SELECT id, source, root, ground FROM jobs WHERE hash = ?1 AND settings = ?2 AND stage IN
         ('queued', 'waiting', 'split', 'awaiting', 'in_doubt', 'done', 'failed', 'cancelled')
         AND parent IS NULL ORDER BY stage IN ('failed', 'cancelled'), id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![hash.0, to_json(settings)?, MOST_ELSEWHERE])?;
    let mut elsewhere = Vec::new();
    while let Some(found) = rows.next()? {
        let ground: Option<String> = found.get(3)?;
        elsewhere.push(Elsewhere {
            id: JobId(found.get(0)?),
            source: row::path(found.get(1)?),
            root: row::path(found.get(2)?),
            ground: ground
                .map(|text| row::from_json(&text, "the ground of a job"))
                .transpose()?,
        });
    }
    Ok(Kin {
        own: None,
        other: jobs::by_other_settings(connection, source, hash)?.map(Box::new),
        elsewhere,
    })
}

/// What somebody asks of the outputs by a flag, of what is queued already as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// These formats, beside those that were asked for before.
    pub formats: bool,
    /// This folder.
    pub folder: bool,
}

/// How recordings are taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenIn {
    /// Whether what has ended is queued again.
    pub(super) force: bool,
    /// Whether the jobs come into the scope of this process.
    pub(super) scoped: bool,
    /// Whether somebody has to agree before anything is sent.
    pub(super) proposed: bool,
    /// What is asked of the outputs.
    pub(super) asked: Asked,
}

/// Records the arrivals in their order; gives what became of each recording among them.
pub(super) fn take_in(
    connection: &Connection,
    arrivals: &[Arrival],
    how: TakenIn,
    now: Timestamp,
) -> Result<Vec<Option<Enqueued>>, QueueError> {
    arrivals
        .iter()
        .map(|arrival| take_in_one(connection, arrival, how, now))
        .collect()
}

fn take_in_one(
    connection: &Connection,
    arrival: &Arrival,
    how: TakenIn,
    now: Timestamp,
) -> Result<Option<Enqueued>, QueueError> {
    if let Some(known) = &arrival.known {
        let (path, root) = (&arrival.path, &arrival.root);
        sources::remember(connection, path, root, &arrival.fingerprint, known, now)?;
    }
    let Some(candidate) = &arrival.candidate else {
        return Ok(None);
    };
    let gone = still_gone(connection, arrival)?;
    let TakenIn {
        force,
        scoped,
        proposed,
        asked,
    } = how;
    let enqueued = jobs::offer(
        connection,
        candidate,
        gone,
        force && arrival.may_force,
        proposed,
        now,
    )?;
    if let Enqueued::Known(job) = &enqueued {
        jobs::restate(connection, job, candidate, asked, proposed)?;
    }
    if scoped {
        let id = match &enqueued {
            Enqueued::Known(job) => job.id,
            Enqueued::New(id) | Enqueued::Moved(id) => *id,
        };
        enter_scope(connection, id)?;
    }
    Ok(Some(enqueued))
}

/// The job that follows a recording, unless it followed another one meanwhile.
fn still_gone(connection: &Connection, arrival: &Arrival) -> Result<Option<Gone>, QueueError> {
    let (Some(gone), Some(from)) = (arrival.gone, &arrival.gone_from) else {
        return Ok(arrival.gone);
    };
    let is_still = jobs::get(connection, gone.id)?.source == *from;
    Ok(is_still.then_some(gone))
}

/// Takes a job into the scope of this process.
pub(super) fn enter_scope(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO temp.scope (id)
             SELECT id FROM jobs WHERE id = ?1 OR parent = ?1",
        )?
        .execute([id.0])?;
    Ok(())
}
