//! What was transcribed and what that cost: one row for each submit that was paid for, each doubt, and
//! each transcript that cost nothing.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use rust_decimal::Decimal;

use super::QueueError;
use super::row::{self, millis, time};
use crate::domain::audio::AudioDuration;
use crate::domain::money::{Amount, Currency, from_nanos};

/// One transcript, or one payment in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// When it was paid for, or was there.
    pub at: Timestamp,
    /// The folder of its recording.
    pub folder: PathBuf,
    /// Who recognised.
    pub provider: String,
    /// With which model.
    pub model: String,
    /// The recording's length.
    pub duration: AudioDuration,
    /// What was paid; nothing for what is free, and for what is in doubt.
    pub cost: Amount,
    /// What may have been paid on top, by a submit whose reply was lost.
    pub in_doubt: Decimal,
    /// Whether it is a transcript of a whole recording, and not a payment for a piece or in doubt.
    pub is_whole: bool,
}

/// A transcript that nothing was charged for counts when its reply came; a copy counts not at all. The minutes
/// of a recording that was cut are those of its pieces.
const SQL: &str = "
SELECT min(l.at_ms), j.root, json_extract(j.settings, '$.provider'),
    json_extract(j.settings, '$.model'), ifnull(j.duration_us, 0), sum(l.nanos), l.currency, 0,
    j.parent IS NULL
FROM ledger l JOIN jobs j ON j.id = l.job
WHERE l.kind = 'charge' GROUP BY l.job, l.submit, l.currency HAVING min(l.at_ms) BETWEEN ?1 AND ?2
UNION ALL
SELECT l.at_ms, j.root, json_extract(j.settings, '$.provider'),
    json_extract(j.settings, '$.model'), 0, 0, l.currency, l.nanos, 0
FROM ledger l JOIN jobs j ON j.id = l.job
WHERE l.kind = 'doubt' AND l.at_ms BETWEEN ?1 AND ?2
UNION ALL
SELECT r.at_ms, j.root, json_extract(j.settings, '$.provider'),
    json_extract(j.settings, '$.model'), CASE WHEN r.composite = 1 AND EXISTS (
        SELECT 1 FROM ledger l JOIN jobs p ON p.id = l.job WHERE p.parent = j.id AND l.kind = 'charge')
        THEN 0 ELSE ifnull(j.duration_us, 0) END, 0, 'USD', 0, 1
FROM jobs j JOIN replies r ON r.id = json_extract(j.data, '$.reply') AND r.job = j.id
WHERE j.stage = 'done' AND r.kind = 'service' AND r.at_ms BETWEEN ?1 AND ?2
    AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.job = j.id AND l.kind = 'charge')
ORDER BY 1";

/// What was used from `since` to `until`, the oldest first.
pub(super) fn usage(
    connection: &Connection,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Use>, QueueError> {
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map(params![millis(since), millis(until)], |row| {
        Ok(Use {
            at: time(row.get(0)?),
            folder: row::path(row.get(1)?),
            provider: row.get(2)?,
            model: row.get(3)?,
            duration: AudioDuration::from_micros(row::unsigned(row.get(4)?)),
            cost: Amount {
                value: from_nanos(row.get(5)?),
                currency: Currency::new(&row.get::<_, String>(6)?),
            },
            in_doubt: from_nanos(row.get(7)?),
            is_whole: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The latest replies that a pace is measured by.
const MEASURED: i64 = 100;

/// Seconds that a second of audio took `model`, from claim to reply, by the middle half of its latest ones: one
/// that was fetched by a later start says nothing.
pub(super) fn pace(connection: &Connection, model: &str) -> Result<Option<f64>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT (e.at_ms - (SELECT max(r.at_ms) FROM ledger r
                 WHERE r.job = e.job AND r.kind = 'reserve' AND r.at_ms <= e.at_ms)) * 1000.0, j.duration_us * 1.0
         FROM (SELECT job, at_ms FROM replies WHERE kind = 'service' AND composite = 0 ORDER BY id DESC LIMIT ?2) e
         JOIN jobs j ON j.id = e.job
         WHERE json_extract(j.settings, '$.model') = ?1 AND j.duration_us > 0
             AND EXISTS (SELECT 1 FROM ledger r WHERE r.job = e.job AND r.kind = 'reserve' AND r.at_ms <= e.at_ms)",
    )?;
    let rows = statement.query_map(params![model, MEASURED], |row| {
        Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?))
    })?;
    let mut waits: Vec<(f64, f64)> = rows.collect::<Result<_, _>>()?;
    waits.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let quarter = waits.len() / 4;
    let middle = waits.iter().skip(quarter).take(waits.len() - 2 * quarter);
    let (wait, audio) = middle.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let pace = wait / audio;
    Ok(Some(pace).filter(|pace| pace.is_finite() && *pace > 0.0))
}

/// The paces of the models of the latest replies.
pub(super) fn paces(connection: &Connection) -> Result<HashMap<String, f64>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT json_extract(j.settings, '$.model')
         FROM (SELECT job FROM replies WHERE kind = 'service' ORDER BY id DESC LIMIT ?1) c
         JOIN jobs j ON j.id = c.job",
    )?;
    let models = statement.query_map([MEASURED], |row| row.get::<_, String>(0))?;
    let models: Vec<String> = models.collect::<Result<_, _>>()?;
    let mut paces = HashMap::new();
    for model in models {
        if let Some(pace) = pace(connection, &model)? {
            paces.insert(model, pace);
        }
    }
    Ok(paces)
}
