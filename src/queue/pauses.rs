//! Pauses: what the whole queue waits for, since when and until when.
//!
//! A pause belongs to the queue, not to a job, and burns no attempt.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::row::{millis, time};
use super::{QueueError, outbox};
use crate::domain::timing::after;
use crate::domain::verdict::Halt;

/// How far a pause's start may be ahead of the clock before the clock counts as set back.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// What the queue waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The key was refused.
    Key,
    /// The balance is too low.
    Balance,
    /// A budget of the configuration is reached.
    Budget,
    /// Too many requests.
    RateLimit,
    /// The service is out of reach or overloaded.
    Offline,
    /// No room where the state or the outputs are written.
    Disk,
    /// A person asked for it.
    Operator,
}

impl PauseReason {
    /// Every reason; those that a person has to mend come first.
    pub const ALL: [Self; 7] = [
        Self::Key,
        Self::Balance,
        Self::Budget,
        Self::Disk,
        Self::Operator,
        Self::RateLimit,
        Self::Offline,
    ];

    /// Its place in [`Self::ALL`].
    pub fn rank(self) -> usize {
        Self::ALL
            .iter()
            .position(|reason| *reason == self)
            .unwrap_or(Self::ALL.len())
    }

    /// The reason with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name in the table and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Balance => "balance",
            Self::Budget => "budget",
            Self::RateLimit => "rate_limit",
            Self::Offline => "offline",
            Self::Disk => "disk",
            Self::Operator => "operator",
        }
    }
}

impl From<Halt> for PauseReason {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Key => Self::Key,
            Halt::Balance => Self::Balance,
            Halt::RateLimit => Self::RateLimit,
            Halt::Offline | Halt::Address => Self::Offline,
        }
    }
}

/// A pause of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// For what.
    pub reason: PauseReason,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if it ends or is looked at again by itself.
    pub until: Option<Timestamp>,
    /// One sentence for a person.
    pub text: String,
    /// How often it was tried again.
    pub tries: u32,
}

impl Pause {
    /// Whether nothing may be sent at `now` because of it; an end that was set before the clock was set
    /// back means nothing any more.
    pub fn holds(&self, now: Timestamp) -> bool {
        let is_of_the_past = self.since <= after(now, CLOCK_SLACK);
        self.until.is_none_or(|until| until > now && is_of_the_past)
    }
}

/// Begins a pause, or prolongs it: a pause that is there keeps its start, and counts one more try.
pub(super) fn begin(
    connection: &Connection,
    reason: PauseReason,
    until: Option<Timestamp>,
    text: &str,
    now: Timestamp,
) -> Result<(), QueueError> {
    let is_new = since(connection, reason)?.is_none();
    connection
        .prepare_cached(
            "INSERT INTO pauses (reason, since_ms, until_ms, text, tries) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT (reason) DO UPDATE SET until_ms = max(ifnull(until_ms, 0), ?3), text = ?4,
                 tries = tries + 1",
        )?
        .execute(params![reason.as_str(), millis(now), until.map(millis), text])?;
    if is_new {
        outbox::paused(connection, reason, until, text, now)?;
    }
    Ok(())
}

/// Since when there is a pause of this kind, if there is one.
pub(super) fn since(
    connection: &Connection,
    reason: PauseReason,
) -> Result<Option<Timestamp>, QueueError> {
    let since: Option<i64> = connection
        .prepare_cached("SELECT since_ms FROM pauses WHERE reason = ?1")?
        .query_row([reason.as_str()], |row| row.get(0))
        .optional()?;
    Ok(since.map(time))
}

/// Ends a pause, or ends it to try again; says whether there was one.
pub(super) fn end(
    connection: &Connection,
    reason: PauseReason,
    tried: bool,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let Some(since) = since(connection, reason)? else {
        return Ok(false);
    };
    connection
        .prepare_cached("DELETE FROM pauses WHERE reason = ?1")?
        .execute([reason.as_str()])?;
    outbox::resumed(connection, reason, since, tried, now)?;
    Ok(true)
}

/// The pauses, those that a person has to mend first.
pub(super) fn all(connection: &Connection) -> Result<Vec<Pause>, QueueError> {
    let mut statement =
        connection.prepare_cached("SELECT reason, since_ms, until_ms, text, tries FROM pauses")?;
    let mut rows = statement.query([])?;
    let mut pauses = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let reason = PauseReason::named(&name).ok_or_else(|| QueueError::Damaged {
            what: format!("the pause `{name}`"),
        })?;
        pauses.push(Pause {
            reason,
            since: time(row.get(1)?),
            until: row.get::<_, Option<i64>>(2)?.map(time),
            text: row.get(3)?,
            tries: row.get(4)?,
        });
    }
    pauses.sort_by_key(|pause| pause.reason.rank());
    Ok(pauses)
}
