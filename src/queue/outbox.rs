//! The outbox: notices that are on their way to others, and what was told once.
//!
//! A notice is written in the transaction in which what it tells of happens, for each receiver that wants it,
//! and goes when the receiver has taken it: none is lost, and none is made twice. Nobody wants any until
//! [`Queue::tell_of`] says who does.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::budget::Limits;
use super::row::{self, millis, path_bytes, time, unsigned};
use super::{PauseReason, Queue, QueueError, Reader, jobs, ledger};
use crate::clock::Calendar;
use crate::domain::job::{JobId, Stage};
use crate::domain::money::{from_nanos, to_nanos};
use crate::domain::notice::{Event, LONGEST_AGE, NEAR, News, Next, Notice, PATIENCE, Way};
use crate::domain::timing::after;

/// How long a pause that the service may end by itself lasts before it is told, and how long its end, or that
/// of a pause which a start ends to try again: what is over by then is not told at all.
pub const GRACE: Duration = Duration::from_secs(600);
/// The most notices that wait for one receiver; the oldest are given up for newer ones.
const MOST_WAITING: i64 = 10_000;
/// How long a notice that was given up is shown: 30 days.
const SHOWN: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who wants to hear of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// Each way with the events that it wants.
    pub wants: Vec<(Way, Vec<Event>)>,
    /// The budgets of which it is told when little is left.
    pub limits: Limits,
}

/// The next notice of a way.
#[derive(Debug, Clone, PartialEq)]
pub enum Post {
    /// It is due.
    Due(Notice),
    /// One is due then.
    At(Timestamp),
    /// There is none.
    Nothing,
}

/// What waits for a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The receiver.
    pub way: Way,
    /// How many notices it has not taken yet.
    pub waiting: u64,
    /// When the first of them was made.
    pub since: Option<Timestamp>,
    /// Why it did not take the last that was tried and waits.
    pub trouble: Option<String>,
    /// How many were given up.
    pub given_up: u64,
    /// When the last of these was, and why.
    pub last: Option<(Timestamp, String)>,
}

impl Queue {
    /// From now on `audience` is told. Nothing of the table is changed: who is told lives in memory, so that this
    /// needs no room on the disk.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub async fn tell_of(&self, audience: Audience) -> Result<(), QueueError> {
        self.writer
            .read(move |connection| tell_of(connection, &audience))
            .await
    }

    /// The next notice for a way at `now`.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn post(&self, way: Way, now: Timestamp) -> Result<Post, QueueError> {
        self.writer
            .read(move |connection| post(connection, way, now))
            .await
    }

    /// Every notice that waits for a way, due or not, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn all_post(&self, way: Way) -> Result<Vec<Notice>, QueueError> {
        self.writer
            .read(move |connection| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM outbox WHERE way = ?1 AND given_up_ms IS NULL ORDER BY id"
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query([way.as_str()])?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(notice(row)?.0);
                }
                Ok(all)
            })
            .await
    }

    /// A notice was taken.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn notice_taken(&self, id: i64) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
                    .execute([id])?;
                Ok(())
            })
            .await
    }

    /// A notice was not taken, and why.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn notice_refused(
        &self,
        id: i64,
        why: String,
        next: Next,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let (due, given_up) = match next {
                    Next::Again(wait) => (after(now, wait), None),
                    Next::GiveUp => (now, Some(millis(now))),
                };
                connection
                    .prepare_cached(
                        "UPDATE outbox SET tries = tries + 1, trouble = ?2, due_ms = ?3, given_up_ms = ?4
                         WHERE id = ?1",
                    )?
                    .execute(params![id, why, millis(due), given_up])?;
                Ok(())
            })
            .await
    }

    /// Gives up what waits for a way and was made before a moment, except for a command; says how many that were.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn give_up_before(
        &self,
        way: Way,
        before: Timestamp,
        why: String,
        now: Timestamp,
    ) -> Result<usize, QueueError> {
        if way == Way::Command {
            return Ok(0);
        }
        self.writer
            .run(move |connection| {
                let given_up = connection.execute(
                    "UPDATE outbox SET given_up_ms = ?1, trouble = ?2
                     WHERE way = ?3 AND given_up_ms IS NULL AND created_ms < ?4",
                    params![millis(now), why, way.as_str(), millis(before)],
                )?;
                Ok(given_up)
            })
            .await
    }

    /// Gives up what waits for too long or is too much, and forgets what was given up long ago; says how many
    /// were given up.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn sweep_outbox(&self, now: Timestamp) -> Result<usize, QueueError> {
        self.writer
            .run(move |connection| sweep(connection, now))
            .await
    }
}

impl Reader<'_> {
    /// What waits for each receiver, and what was given up; only those for whom there is something.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn outgoing(&self) -> Result<Vec<Outgoing>, QueueError> {
        let mut outgoing = Vec::new();
        for way in Way::ALL {
            outgoing.extend(of_way(self.connection(), way)?);
        }
        Ok(outgoing)
    }
}

fn of_way(connection: &Connection, way: Way) -> Result<Option<Outgoing>, QueueError> {
    let (waiting, since): (i64, Option<i64>) = connection
        .prepare_cached(
            "SELECT count(*), min(created_ms) FROM outbox WHERE way = ?1 AND given_up_ms IS NULL",
        )?
        .query_row([way.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let trouble = connection
        .prepare_cached(
            "SELECT trouble FROM outbox WHERE way = ?1 AND given_up_ms IS NULL AND tries > 0
             ORDER BY due_ms DESC LIMIT 1",
        )?
        .query_row([way.as_str()], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    let given_up: i64 = connection
        .prepare_cached("SELECT count(*) FROM outbox WHERE way = ?1 AND given_up_ms IS NOT NULL")?
        .query_row([way.as_str()], |row| row.get(0))?;
    let last = connection
        .prepare_cached(
            "SELECT given_up_ms, coalesce(trouble, '') FROM outbox
             WHERE way = ?1 AND given_up_ms IS NOT NULL ORDER BY given_up_ms DESC LIMIT 1",
        )?
        .query_row([way.as_str()], |row| {
            Ok((time(row.get(0)?), row.get::<_, String>(1)?))
        })
        .optional()?;
    Ok((waiting > 0 || given_up > 0).then_some(Outgoing {
        way,
        waiting: unsigned(waiting),
        since: since.map(time),
        trouble,
        given_up: unsigned(given_up),
        last,
    }))
}

/// Who is told lives as long as the connection: what nobody wants is not written.
pub(super) const TEMPORARY: &str = "
CREATE TEMP TABLE audience (way TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (event, way)) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE limits (name TEXT PRIMARY KEY, nanos INTEGER NOT NULL, since_ms INTEGER) STRICT, WITHOUT ROWID;
";

fn tell_of(connection: &Connection, audience: &Audience) -> Result<(), QueueError> {
    connection.execute("DELETE FROM temp.audience", [])?;
    connection.execute("DELETE FROM temp.limits", [])?;
    for (way, events) in &audience.wants {
        for event in events {
            connection
                .prepare_cached("INSERT OR IGNORE INTO temp.audience (way, event) VALUES (?1, ?2)")?
                .execute([way.as_str(), event.as_str()])?;
        }
    }
    let limits = &audience.limits;
    let run = limits.per_run.map(|(limit, since)| (limit, Some(since)));
    for (name, limit) in [
        ("day", limits.per_day.map(|limit| (limit, None))),
        ("month", limits.per_month.map(|limit| (limit, None))),
        ("run", run),
    ] {
        if let Some((limit, since)) = limit {
            connection
                .prepare_cached(
                    "INSERT INTO temp.limits (name, nanos, since_ms) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![name, to_nanos(limit), since.map(millis)])?;
        }
    }
    Ok(())
}

/// The ways that want to hear of an event.
pub(super) fn who_wants(connection: &Connection, event: Event) -> Result<Vec<Way>, QueueError> {
    let mut statement =
        connection.prepare_cached("SELECT way FROM temp.audience WHERE event = ?1 ORDER BY way")?;
    let mut rows = statement.query([event.as_str()])?;
    let mut ways = Vec::new();
    while let Some(row) = rows.next()? {
        ways.extend(Way::named(&row.get::<_, String>(0)?));
    }
    Ok(ways)
}

/// A job has moved from `from` to `to`: tells of it, if that is told and it is a whole recording.
pub(super) fn moved(
    connection: &Connection,
    id: JobId,
    from: &Stage,
    to: &Stage,
    now: Timestamp,
) -> Result<(), QueueError> {
    let Some(event) = Event::of_move(from, to) else {
        return Ok(());
    };
    #[cfg(test)]
    if event == Event::Done && crate::faults::planted(crate::faults::Bug::TellAfterDone) {
        return Ok(());
    }
    tell(connection, event, id, now)
}

/// Tells everybody who wants it of an event of a job.
pub(super) fn tell(
    connection: &Connection,
    event: Event,
    id: JobId,
    now: Timestamp,
) -> Result<(), QueueError> {
    let ways = who_wants(connection, event)?;
    if ways.is_empty() {
        return Ok(());
    }
    let is_whole = connection
        .prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND parent IS NULL")?
        .exists([id.0])?;
    if !is_whole {
        return Ok(());
    }
    let job = jobs::get(connection, id)?;
    let outputs = super::outputs::of_today(connection, id)?;
    let outputs: Vec<_> = outputs.iter().map(|output| output.path.as_path()).collect();
    let news = News::of_job(event, &job, &outputs);
    for way in ways {
        add(connection, way, &news, now, now)?;
    }
    Ok(())
}

/// A pause has begun.
pub(super) fn paused(
    connection: &Connection,
    reason: PauseReason,
    until: Option<Timestamp>,
    text: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    let news = News::paused(reason.as_str(), text, now, until);
    let due = if ends_by_itself(reason) {
        after(now, GRACE)
    } else {
        now
    };
    for way in who_wants(connection, Event::Paused)? {
        // Whoever has not yet heard that it was over need not hear that it is not.
        if take_back(connection, way, Event::Resumed, reason, now)? == 0 {
            add(connection, way, &news, due, now)?;
        }
    }
    Ok(())
}

/// A pause that began at `since` is over; `tried` says that this is yet to be seen.
pub(super) fn resumed(
    connection: &Connection,
    reason: PauseReason,
    since: Timestamp,
    tried: bool,
    now: Timestamp,
) -> Result<(), QueueError> {
    let mut wanting = who_wants(connection, Event::Resumed)?;
    for way in who_wants(connection, Event::Paused)? {
        if take_back(connection, way, Event::Paused, reason, now)? > 0 {
            wanting.retain(|other| *other != way);
        }
    }
    let news = News::resumed(reason.as_str(), since);
    let due = if tried || ends_by_itself(reason) {
        after(now, GRACE)
    } else {
        now
    };
    for way in wanting {
        add(connection, way, &news, due, now)?;
    }
    Ok(())
}

/// Whether a pause of this kind comes and goes without anybody's doing.
fn ends_by_itself(reason: PauseReason) -> bool {
    match reason {
        PauseReason::RateLimit | PauseReason::Offline => true,
        PauseReason::Key
        | PauseReason::Balance
        | PauseReason::Budget
        | PauseReason::Disk
        | PauseReason::Operator => false,
    }
}

/// Takes back what was not told yet of a pause; says how many notices that were.
fn take_back(
    connection: &Connection,
    way: Way,
    event: Event,
    reason: PauseReason,
    now: Timestamp,
) -> Result<usize, QueueError> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM outbox WHERE way = ?1 AND event = ?2 AND topic = ?3 AND tries = 0 AND due_ms > ?4",
        )?
        .execute(params![
            way.as_str(),
            event.as_str(),
            reason.as_str(),
            millis(now)
        ])?)
}

pub(super) fn add(
    connection: &Connection,
    way: Way,
    news: &News,
    due: Timestamp,
    now: Timestamp,
) -> Result<(), QueueError> {
    let (job, source) = match &news.job {
        Some((id, source)) => (Some(id.0), Some(path_bytes(source))),
        None => (None, None),
    };
    connection
        .prepare_cached(
            "INSERT INTO outbox (way, event, topic, job, source, body, created_ms, due_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            way.as_str(),
            news.event.as_str(),
            news.topic,
            job,
            source,
            news.body(now).to_string(),
            millis(now),
            millis(due),
        ])?;
    Ok(())
}

/// Money was spent: tells of each budget of which little is left, once for each of its days or months.
pub(super) fn spent(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    let ways = who_wants(connection, Event::Budget)?;
    if ways.is_empty() {
        return Ok(());
    }
    for sum in limits(connection)?.sums(Calendar::around(now)) {
        let (spent, limit) = (
            ledger::spent_since(connection, sum.since)?,
            to_nanos(sum.limit),
        );
        let is_near = i128::from(spent) * 100 >= i128::from(limit) * i128::from(NEAR);
        if !is_near
            || was_told(
                connection,
                sum.name,
                &sum.limit.normalize().to_string(),
                sum.since,
                now,
            )?
        {
            continue;
        }
        let news = News::near(sum.name, sum.limit, from_nanos(spent), sum.until);
        for way in &ways {
            add(connection, *way, &news, now, now)?;
        }
    }
    Ok(())
}

fn limits(connection: &Connection) -> Result<Limits, QueueError> {
    let mut statement =
        connection.prepare_cached("SELECT name, nanos, since_ms FROM temp.limits")?;
    let mut rows = statement.query([])?;
    let mut limits = Limits::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let limit = from_nanos(row.get(1)?);
        let since: Option<i64> = row.get(2)?;
        match (name.as_str(), since) {
            ("day", _) => limits.per_day = Some(limit),
            ("month", _) => limits.per_month = Some(limit),
            (_, since) => limits.per_run = since.map(|since| (limit, time(since))),
        }
    }
    Ok(limits)
}

/// Whether something was told since `since`; if not, it is from now on.
fn was_told(
    connection: &Connection,
    what: &str,
    mark: &str,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let told = connection
        .prepare_cached("SELECT 1 FROM told WHERE what = ?1 AND mark = ?2 AND at_ms >= ?3")?
        .exists(params![what, mark, millis(since)])?;
    if !told {
        remember(connection, what, mark, now)?;
    }
    Ok(told)
}

pub(super) fn remember(
    connection: &Connection,
    what: &str,
    mark: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO told (what, mark, at_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![what, mark, millis(now)])?;
    Ok(())
}

/// The columns that [`notice`] reads, in its order.
const COLUMNS: &str = "id, event, job, source, body, created_ms, tries, due_ms,
    (SELECT mark FROM installation)";

/// A notice that waits behind one which was refused keeps its place, until that was tried often.
fn post(connection: &Connection, way: Way, now: Timestamp) -> Result<Post, QueueError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox WHERE way = ?1 AND given_up_ms IS NULL
         AND (due_ms <= ?2 OR tries BETWEEN 1 AND ?3 - 1) ORDER BY tries >= ?3, id LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![way.as_str(), millis(now), PATIENCE])?;
    if let Some(row) = rows.next()? {
        let (notice, due) = notice(row)?;
        // A time that was set before the clock was set back means nothing any more.
        let is_of_the_future = notice.created_at > after(now, GRACE);
        return Ok(if due <= now || is_of_the_future {
            Post::Due(notice)
        } else {
            Post::At(due)
        });
    }
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(due_ms) FROM outbox WHERE way = ?1 AND given_up_ms IS NULL")?
        .query_row([way.as_str()], |row| row.get(0))?;
    Ok(next.map_or(Post::Nothing, |due| Post::At(time(due))))
}

fn notice(row: &Row<'_>) -> Result<(Notice, Timestamp), QueueError> {
    let (id, event, mark): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(8)?);
    let event = Event::named(&event).ok_or_else(|| QueueError::Damaged {
        what: format!("the event `{event}` of a notice"),
    })?;
    let notice = Notice {
        id,
        name: format!("{mark}-{id}"),
        event,
        job: row.get::<_, Option<i64>>(2)?.map(JobId),
        source: row.get::<_, Option<Vec<u8>>>(3)?.map(row::path),
        body: row.get(4)?,
        created_at: time(row.get(5)?),
        tries: row.get(6)?,
    };
    Ok((notice, time(row.get(7)?)))
}

fn sweep(connection: &Connection, now: Timestamp) -> Result<usize, QueueError> {
    let mut given_up = 0;
    let old = now.checked_sub(LONGEST_AGE).unwrap_or(Timestamp::MIN);
    given_up += connection.execute(
        "UPDATE outbox SET given_up_ms = ?1,
             trouble = coalesce(trouble, 'nobody took it: [notify] names no such receiver any more')
         WHERE given_up_ms IS NULL AND created_ms < ?2 AND due_ms <= ?1 AND way NOT IN (SELECT way FROM temp.audience)",
        params![millis(now), millis(old)],
    )?;
    for way in Way::ALL {
        given_up += connection.execute(
            "UPDATE outbox SET given_up_ms = ?1, trouble = 'more than ten thousand notices waited'
             WHERE way = ?2 AND given_up_ms IS NULL AND id <= (SELECT id FROM outbox
                 WHERE way = ?2 AND given_up_ms IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?3)",
            params![millis(now), way.as_str(), MOST_WAITING],
        )?;
    }
    let shown = now.checked_sub(SHOWN).unwrap_or(Timestamp::MIN);
    connection.execute(
        "DELETE FROM outbox WHERE given_up_ms < ?1 OR (given_up_ms IS NOT NULL AND id <= (
             SELECT id FROM outbox WHERE given_up_ms IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?2))",
        params![millis(shown), MOST_WAITING],
    )?;
    Ok(given_up)
}
