//! Replies as they came, and the files that were written from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::QueueError;
use super::row::{self, millis, path_bytes, time};
use crate::domain::job::{ContentHash, JobId, ReplyId};
use crate::domain::silence::Listened;

/// A reply as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    /// The HTTP status; 200 for the built-in recogniser.
    pub status: u16,
    /// The bytes of its body.
    pub body: Vec<u8>,
    /// The service's id of the request.
    pub request_id: Option<String>,
}

/// Where a stored reply came from, and so how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// From whoever recognised, as it came.
    Service,
    /// It is the JSON file of a transcript that was taken up.
    Adopted,
    /// It was put together of the replies to the pieces of a recording.
    Composite,
}

/// A file that was written for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it is.
    pub path: PathBuf,
    /// Which format it is in.
    pub format: String,
    /// What it hashed to when it was written.
    pub hash: ContentHash,
    /// Why it has not the plain name, if it has not.
    pub note: Option<String>,
    /// When it was written.
    pub written_at: Timestamp,
    /// Whether it has another name or place than outputs of its recording have today.
    pub aside: bool,
}

/// Keeps a reply before anything is made of it.
pub(super) fn store_reply(
    connection: &Connection,
    id: JobId,
    kind: ReplyKind,
    reply: &RawReply,
    now: Timestamp,
) -> Result<ReplyId, QueueError> {
    connection
        .prepare_cached(
            "INSERT INTO replies (job, at_ms, kind, status, body, composite)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            id.0,
            millis(now),
            kind.as_str(),
            reply.status,
            reply.body,
            kind == ReplyKind::Composite,
        ])?;
    Ok(ReplyId(connection.last_insert_rowid()))
}

/// A reply that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReply {
    /// The job whose submit it answers: the one that was charged for it.
    pub job: JobId,
    /// Where it came from.
    pub kind: ReplyKind,
    /// The HTTP status; 200 for the built-in recogniser.
    pub status: u16,
    /// The bytes of its body.
    pub body: Vec<u8>,
    /// What was found in the recording, once somebody listened to it.
    pub listened: Option<Listened>,
}

impl ReplyKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Service | Self::Composite => "service",
            Self::Adopted => "adopted",
        }
    }
}

/// A reply that was kept.
pub(super) fn reply(connection: &Connection, id: ReplyId) -> Result<StoredReply, QueueError> {
    let (mut stored, silences, damage) = connection
        .prepare_cached(
            "SELECT job, kind = 'adopted', status, body, composite, silences, damage FROM replies WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            let stored = StoredReply {
                job: JobId(row.get(0)?),
                kind: match (row.get(1)?, row.get(4)?) {
                    (true, _) => ReplyKind::Adopted,
                    (false, true) => ReplyKind::Composite,
                    (false, false) => ReplyKind::Service,
                },
                status: row.get(2)?,
                body: row.get(3)?,
                listened: None,
            };
            let silences: Option<String> = row.get(5)?;
            let damage: Option<String> = row.get(6)?;
            Ok((stored, silences, damage))
        })?;
    if let Some(silences) = silences {
        let what = format!("the silences of reply {}", id.0);
        let silences = row::from_json(&silences, &what)?;
        let what = format!("the damage of reply {}", id.0);
        let damage = damage.map(|damage| row::from_json(&damage, &what));
        let damage = damage.transpose()?;
        stored.listened = Some(Listened { silences, damage });
    }
    Ok(stored)
}

/// Keeps what was found in the recording that a reply is about.
pub(super) fn keep_listened(
    connection: &Connection,
    id: ReplyId,
    listened: &Listened,
) -> Result<(), QueueError> {
    let silences = row::to_json(&listened.silences)?;
    let damage = listened.damage.as_ref().map(row::to_json).transpose()?;
    connection
        .prepare_cached("UPDATE replies SET silences = ?2, damage = ?3 WHERE id = ?1")?
        .execute(params![id.0, silences, damage])?;
    Ok(())
}

/// Whether this job's outputs have no place beside its file any more: the file is another recording by
/// now, or a later job of it has been worked on since.
pub(super) fn is_superseded(connection: &Connection, id: JobId) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached(
            "SELECT 1 FROM jobs ours LEFT JOIN sources ON sources.path = ours.source
             WHERE ours.id = ?1 AND (sources.hash <> ours.hash OR EXISTS (
                 SELECT 1 FROM jobs later WHERE later.source = ours.source AND later.id > ours.id
                 AND later.stage NOT IN ('failed', 'cancelled')
                 AND (sources.hash IS NULL
                     OR (later.hash = ours.hash AND later.updated_ms > ours.updated_ms))))",
        )?
        .exists([id.0])?)
}

/// What the files whose path begins with `base` and a dot hashed to when stenod wrote them for the
/// recording at `source`: the outputs of one recording never replace those of another.
pub(super) fn written_under(
    connection: &Connection,
    base: &Path,
    source: &Path,
) -> Result<HashMap<PathBuf, ContentHash>, QueueError> {
    // The byte after the dot is the slash: this range is every path that begins with the base and a dot.
    let bounds = [b'.', b'/'].map(|end| [path_bytes(base), &[end]].concat());
    let mut statement = connection.prepare_cached(
        "SELECT path, outputs.hash FROM outputs JOIN jobs ON jobs.id = job
         WHERE path >= ?1 AND path < ?2 AND source = ?3",
    )?;
    let mut rows = statement.query(params![bounds[0], bounds[1], path_bytes(source)])?;
    let mut written = HashMap::new();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(1)?;
        if let Some(hash) = row::hash(&bytes) {
            written.insert(row::path(row.get(0)?), hash);
        }
    }
    Ok(written)
}

/// Keeps that a file was written for a job.
pub(super) fn remember(
    connection: &Connection,
    id: JobId,
    output: &Output,
) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO outputs (path, job, format, hash, note, written_ms, aside)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            path_bytes(&output.path),
            id.0,
            output.format,
            output.hash.0,
            output.note,
            millis(output.written_at),
            output.aside,
        ])?;
    Ok(())
}

/// Forgets files that a person has deleted and that are not written again.
pub(super) fn forget(
    connection: &Connection,
    id: JobId,
    gone: &[PathBuf],
) -> Result<(), QueueError> {
    for path in gone {
        connection
            .prepare_cached("DELETE FROM outputs WHERE path = ?1 AND job = ?2")?
            .execute(params![path_bytes(path), id.0])?;
    }
    Ok(())
}

/// The files that belong to a job by today's names, in the order of their paths.
pub(super) fn of_today(connection: &Connection, id: JobId) -> Result<Vec<Output>, QueueError> {
    let mut outputs = of_job(connection, id)?;
    outputs.retain(|output| !output.aside);
    Ok(outputs)
}

/// The files that were written for a job, in the order of their paths.
pub(super) fn of_job(connection: &Connection, id: JobId) -> Result<Vec<Output>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT path, format, hash, note, written_ms, aside FROM outputs WHERE job = ?1 ORDER BY path",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut outputs = Vec::new();
    while let Some(row) = rows.next()? {
        outputs.push(output(row)?);
    }
    Ok(outputs)
}

/// Keeps that recordings are taken at `address`.
pub(super) fn remember_service(
    connection: &Connection,
    address: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO services (address, accepted_ms) VALUES (?1, ?2)")?
        .execute(params![address, millis(now)])?;
    Ok(())
}

/// Whether recordings were ever taken at `address`.
pub(super) fn is_service(connection: &Connection, address: &str) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM services WHERE address = ?1")?
        .exists([address])?)
}

/// The output at `path` and the job that it was written for, if stenod wrote it.
pub(super) fn at(
    connection: &Connection,
    path: &Path,
) -> Result<Option<(JobId, Output)>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT path, format, hash, note, written_ms, aside, job FROM outputs WHERE path = ?1",
    )?;
    let mut rows = statement.query([path_bytes(path)])?;
    match rows.next()? {
        Some(row) => Ok(Some((JobId(row.get(6)?), output(row)?))),
        None => Ok(None),
    }
}

fn output(row: &rusqlite::Row<'_>) -> Result<Output, QueueError> {
    let bytes: Vec<u8> = row.get(2)?;
    Ok(Output {
        path: row::path(row.get(0)?),
        format: row.get(1)?,
        hash: row::hash(&bytes).ok_or_else(|| QueueError::Damaged {
            what: "the hash of an output".to_owned(),
        })?,
        note: row.get(3)?,
        written_at: time(row.get(4)?),
        aside: row.get(5)?,
    })
}
