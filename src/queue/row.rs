//! Rows and values of the domain, one way and the other.
//!
//! Times are milliseconds since 1970, paths and hashes are bytes, settings and stages are JSON of the
//! domain's own types. A row that cannot be read is an error that names its job, never a guess.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::QueueError;
use crate::domain::audio::AudioDuration;
use crate::domain::cut::Stretch;
use crate::domain::job::{ContentHash, Job, JobId, Stage};
use crate::domain::money::{Amount, Currency};
use crate::domain::pieces::PieceOf;

/// How far a row's time may be ahead of the clock, in milliseconds, before the clock counts as set back.
const CLOCK_SLACK_MILLIS: i64 = 60_000;

/// The columns that [`job`] reads, in its order.
pub(super) const JOB_COLUMNS: &str = "id, source, root, base, hash, size, duration_us, format, settings, \
     publication, data, attempts, failures, doubts, forced, run_id, request_id, cost, currency, \
     created_ms, updated_ms, route, parent, piece, start_us, end_us, video";

/// Milliseconds since 1970 of a moment.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// The moment of a number of milliseconds since 1970.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// The bytes of a path.
pub(super) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The path of bytes.
pub(super) fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// A value of the domain as JSON.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, QueueError> {
    serde_json::to_string(value).map_err(|error| QueueError::Unreadable {
        what: "a value to be stored".to_owned(),
        error,
    })
}

/// A value of the domain from JSON; `what` names it in the error.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, QueueError> {
    serde_json::from_str(text).map_err(|error| QueueError::Unreadable {
        what: what.to_owned(),
        error,
    })
}

/// An unsigned number for a column; what does not fit is clamped.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An unsigned number of a column; a negative one is taken for none.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A content hash of a column.
pub(super) fn hash(bytes: &[u8]) -> Option<ContentHash> {
    bytes.try_into().ok().map(ContentHash)
}

/// When a stage is due, as a column: `NULL` for never by itself, 0 for at once.
pub(super) fn due_millis(stage: &Stage) -> Option<i64> {
    stage.due().map(|at| at.map_or(0, millis))
}

/// The row with `JOB_COLUMNS` that `sql` finds, if it finds one.
pub(super) fn find_job(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Option<Job>, QueueError> {
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_row(parameters, |row| Ok(job(row)))
        .optional()?
        .transpose()
}

/// Every row with `JOB_COLUMNS` that `sql` finds.
pub(super) fn find_jobs(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Job>, QueueError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job(row)?);
    }
    Ok(jobs)
}

/// The job of a row with `JOB_COLUMNS`.
pub(super) fn job(row: &Row<'_>) -> Result<Job, QueueError> {
    let id = JobId(row.get(0)?);
    let what = |column: &str| format!("the {column} of job {id}");
    let text = |index: usize| -> Result<String, QueueError> { Ok(row.get(index)?) };
    let bytes: Vec<u8> = row.get(4)?;
    let cost: Option<String> = row.get(17)?;
    let currency: Option<String> = row.get(18)?;
    Ok(Job {
        id,
        source: path(row.get(1)?),
        root: path(row.get(2)?),
        base: path(row.get(3)?),
        hash: hash(&bytes).ok_or(QueueError::Damaged { what: what("hash") })?,
        size: unsigned(row.get(5)?),
        duration: row
            .get::<_, Option<i64>>(6)?
            .map(|us| AudioDuration::from_micros(unsigned(us))),
        format: from_json(&text(7)?, &what("format"))?,
        has_video: row.get(26)?,
        settings: from_json(&text(8)?, &what("settings"))?,
        publication: from_json(&text(9)?, &what("publication"))?,
        stage: from_json(&text(10)?, &what("stage"))?,
        attempts: row.get(11)?,
        failures: row.get(12)?,
        doubts: row.get(13)?,
        forced: row.get(14)?,
        run_id: row.get(15)?,
        request_id: row.get(16)?,
        cost: amount(cost, currency),
        piece: piece(row)?,
        created_at: time(row.get(19)?),
        updated_at: time(row.get(20)?),
        route: row
            .get::<_, Option<String>>(21)?
            .map(|text| from_json(&text, &what("route")))
            .transpose()?,
    })
}

/// Which piece of which job a row with `JOB_COLUMNS` is.
fn piece(row: &Row<'_>) -> Result<Option<PieceOf>, QueueError> {
    let Some(parent) = row.get::<_, Option<i64>>(22)? else {
        return Ok(None);
    };
    let moment = |index: usize| -> Result<AudioDuration, QueueError> {
        let micros: Option<i64> = row.get(index)?;
        Ok(AudioDuration::from_micros(unsigned(micros.unwrap_or(0))))
    };
    Ok(Some(PieceOf {
        parent: JobId(parent),
        number: row.get::<_, Option<u32>>(23)?.unwrap_or(0),
        stretch: Stretch::between(moment(24)?, moment(25)?),
    }))
}

/// An amount of its two columns.
pub(super) fn amount(value: Option<String>, currency: Option<String>) -> Option<Amount> {
    let value = value?.parse().ok()?;
    Some(Amount {
        value,
        currency: Currency::new(&currency?),
    })
}

/// The latest moment at which a row can have been written, as milliseconds: a row from later than that
/// was written before the clock was set back, and its times mean nothing any more.
pub(super) fn future_millis(now: Timestamp) -> i64 {
    millis(now).saturating_add(CLOCK_SLACK_MILLIS)
}
