//! The digest of the day: what happened since the last one, told to whoever wants it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::outbox::{add, remember, who_wants};
use super::row::{self, millis, time, unsigned};
use super::{Queue, QueueError, pauses};
use crate::domain::money::{Amount, Currency, from_nanos};
use crate::domain::notice::{Digest, Event, News};

impl Queue {
    /// Makes the digest that was due at `moment`, if somebody wants it, it was not made since then, and there
    /// is something to tell; says whether it was made.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn digest(&self, moment: Timestamp, now: Timestamp) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| digest(connection, moment, now))
            .await
    }
}

/// What the digest is remembered by.
const DIGEST: &str = "digest";

fn digest(connection: &Connection, moment: Timestamp, now: Timestamp) -> Result<bool, QueueError> {
    let ways = who_wants(connection, Event::Digest)?;
    if ways.is_empty() {
        // Whoever wants it one day is not told of all the time before.
        connection
            .prepare_cached("DELETE FROM told WHERE what = ?1")?
            .execute([DIGEST])?;
        return Ok(false);
    }
    let last: Option<i64> = connection
        .prepare_cached("SELECT at_ms FROM told WHERE what = ?1")?
        .query_row([DIGEST], |row| row.get(0))
        .optional()?;
    let since = match last.map(time) {
        // The clock was set back, or it is the first time: from now on.
        None => return remember(connection, DIGEST, "", now).map(|()| false),
        Some(last) if last > now => return remember(connection, DIGEST, "", now).map(|()| false),
        Some(last) if last >= moment => return Ok(false),
        Some(last) => last,
    };
    remember(connection, DIGEST, "", now)?;
    let digest = happened(connection, since)?;
    if !digest.is_news() {
        return Ok(false);
    }
    let news = News::digest(&digest);
    for way in ways {
        add(connection, way, &news, now, now)?;
    }
    Ok(true)
}

fn happened(connection: &Connection, since: Timestamp) -> Result<Digest, QueueError> {
    let since_ms = millis(since);
    let (done, audio): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(duration_us), 0) FROM jobs WHERE state = 'done' AND parent IS NULL
             AND updated_ms >= ?1
             AND NOT EXISTS (SELECT 1 FROM replies WHERE job = jobs.id AND kind = 'adopted')",
        )?
        .query_row([since_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let failed = counts(
        connection,
        "SELECT coalesce(json_extract(data, '$.reason.code'), 'unknown'), count(*) FROM jobs
         WHERE state = 'failed' AND parent IS NULL AND updated_ms >= ?1 GROUP BY 1 ORDER BY 2 DESC, 1",
        Some(since_ms),
    )?;
    let waiting = counts(
        connection,
        "SELECT coalesce(json_extract(data, '$.reason.code'), json_extract(data, '$.obstacle'),
             json_extract(data, '$.overdue'), json_extract(data, '$.trouble.reason.code'), 'unknown'), count(*)
         FROM jobs WHERE state IN ('waiting', 'in_doubt') AND parent IS NULL GROUP BY 1 ORDER BY 2 DESC, 1",
        None,
    )?;
    let queued: i64 = connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'queued' AND parent IS NULL")?
        .query_row([], |row| row.get(0))?;
    let charged = counts(
        connection,
        "SELECT currency, sum(nanos) FROM ledger WHERE kind = 'charge' AND at_ms >= ?1
         GROUP BY 1 HAVING sum(nanos) > 0 ORDER BY 1",
        Some(since_ms),
    )?;
    let charged = charged.into_iter().map(|(currency, nanos)| Amount {
        value: from_nanos(row::signed(nanos)),
        currency: Currency::new(&currency),
    });
    let paused = pauses::all(connection)?.into_iter();
    Ok(Digest {
        since,
        done: unsigned(done),
        audio_micros: unsigned(audio),
        charged: charged.collect(),
        failed,
        waiting,
        queued: unsigned(queued),
        paused: paused
            .map(|pause| pause.reason.as_str().to_owned())
            .collect(),
    })
}

/// Rows of a name and a number.
fn counts(
    connection: &Connection,
    sql: &str,
    since: Option<i64>,
) -> Result<Vec<(String, u64)>, QueueError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = match since {
        Some(since) => statement.query([since])?,
        None => statement.query([])?,
    };
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push((row.get(0)?, unsigned(row.get(1)?)));
    }
    Ok(counts)
}
