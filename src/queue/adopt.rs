//! Taking up a transcript that was found beside a recording which the table does not know.
//!
//! It costs nothing and enters no line into the ledger: whatever it once cost was spent by a table that
//! is gone. The transcript's own file is kept as the reply, so that copies and new names need no other.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::QueueError;
use super::jobs;
use super::outputs::{self, Output, RawReply, ReplyKind};
use super::row::path_bytes;
use super::style::{self, Named};
use crate::domain::job::{Candidate, ContentHash, JobId, Reason, Stage, StageName};
use crate::domain::money::Amount;

/// A transcript that was found, and what it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The path that its outputs begin with.
    pub base: PathBuf,
    /// Its JSON file.
    pub file: PathBuf,
    /// The bytes of that file.
    pub body: Vec<u8>,
    /// What it cost, as the file says.
    pub cost: Option<Amount>,
    /// The service's id of its run.
    pub run_id: Option<String>,
    /// The names that a person gave to its speakers.
    pub names: Vec<Named>,
    /// The mark of the style that its outputs were written with.
    pub mark: ContentHash,
    /// The outputs that lie there, each with the hash of what stenod wrote.
    pub outputs: Vec<Output>,
}

/// Makes a done job of a recording and its transcript; nothing where another recording has those outputs.
pub(super) fn adopt(
    connection: &Connection,
    candidate: &Candidate,
    adoption: &Adoption,
    now: Timestamp,
) -> Result<Option<JobId>, QueueError> {
    let Candidate {
        source,
        hash,
        settings,
        ..
    } = candidate;
    let is_known = jobs::find(connection, source, *hash, settings)?.is_some();
    if is_known || is_base_taken(connection, &adoption.base, source, None)? {
        return Ok(None);
    }
    let id = jobs::insert(connection, candidate, &adoption.base, now)?;
    let raw = RawReply {
        status: 200,
        body: adoption.body.clone(),
        request_id: None,
    };
    let reply = outputs::store_reply(connection, id, ReplyKind::Adopted, &raw, now)?;
    keep_story(connection, id, adoption, now)?;
    style::set_names(connection, id, &adoption.names)?;
    style::remember_mark(connection, id, adoption.mark)?;
    for output in &adoption.outputs {
        outputs::remember(connection, id, output)?;
    }
    let from = [StageName::Queued, StageName::Waiting];
    jobs::advance(connection, id, &from, &Stage::Done { reply }, now)?;
    Ok(Some(id))
}

/// Whether the outputs of another recording begin with `base`, in capitals or not: many disks take both
/// names for one. A job may be excepted.
pub(super) fn is_base_taken(
    connection: &Connection,
    base: &Path,
    source: &Path,
    except: Option<JobId>,
) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached(
            "SELECT 1 FROM jobs WHERE lower(CAST(base AS TEXT)) = lower(CAST(?1 AS TEXT))
             AND source <> ?2 AND id <> ?3 LIMIT 1",
        )?
        .exists(params![
            path_bytes(base),
            path_bytes(source),
            except.map_or(0, |id| id.0)
        ])?)
}

/// What the transcript says of itself, and that it was taken up.
fn keep_story(
    connection: &Connection,
    id: JobId,
    adoption: &Adoption,
    now: Timestamp,
) -> Result<(), QueueError> {
    let cost = adoption.cost.as_ref();
    connection
        .prepare_cached("UPDATE jobs SET cost = ?2, currency = ?3, run_id = ?4 WHERE id = ?1")?
        .execute(params![
            id.0,
            cost.map(|cost| cost.value.to_string()),
            cost.map(|cost| cost.currency.code()),
            adoption.run_id,
        ])?;
    let text = format!(
        "its transcript was there already, in {}: taken up, free of charge",
        adoption.file.display()
    );
    jobs::note(connection, id, &Reason::new("adopted", text), None, now)
}
