//! What people and the pipeline ask of the table, without changing it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params, params_from_iter};
use rust_decimal::Decimal;

use super::arrivals::{self, Kin};
use super::budget::{self, Allowance, Limits};
use super::ledger::{self, Spend};
use super::objects::{self, Leftover};
use super::outputs::{self, Output, StoredReply};
use super::pauses::{self, Pause};
use super::row::{self, JOB_COLUMNS, find_job, find_jobs, future_millis, millis, path_bytes, time};
use super::sources::{self, Known, Skipped};
use super::style::{self, Named};
use super::usage::{self, Use};
use super::{DATABASE, Queue, QueueError, Terms, adopt, schema, twins};
use crate::clock::{Calendar, Clock as _, SystemClock};
use crate::domain::job::{ContentHash, Job, JobId, ReplyId, Settings, StageName, State};
use crate::domain::money::Amount;
use crate::domain::price::{Catalogue, Price};
use crate::domain::settle::Fingerprint;

/// The most roots that are counted by one statement.
const MOST_ROOTS: usize = 500;
/// Stages in which a job may be due.
const MOVING: [StageName; 6] = [
    StageName::Queued,
    StageName::Submitting,
    StageName::Committing,
    StageName::Awaiting,
    StageName::Received,
    StageName::InDoubt,
];

/// The jobs of each folder in each state, by the index that has them in that order.
pub(super) const COUNTS: &str =
    "SELECT root, state, count(*) FROM jobs WHERE parent IS NULL GROUP BY root, state";

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// A code in snake_case.
    pub event: String,
    /// One sentence.
    pub text: String,
    /// The service's id of the request.
    pub request_id: Option<String>,
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// When.
    pub at: Timestamp,
    /// `reserve`, `release`, `charge` or `doubt`.
    pub kind: String,
    /// How much, as a decimal.
    pub amount: String,
    /// In which currency.
    pub currency: String,
    /// Why.
    pub note: String,
}

/// A folder, and how it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderRow {
    /// The folder.
    pub path: PathBuf,
    /// `events`, `poll`, or `None` where it is not watched.
    pub mode: Option<String>,
    /// Why that way.
    pub mode_reason: Option<String>,
    /// What is wrong with it as a whole.
    pub trouble: Option<String>,
    /// What is wrong inside it, while other things in it go on.
    pub inside: Option<String>,
    /// When it was scanned last.
    pub scanned_at: Option<Timestamp>,
}

/// What is still going on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Jobs that will move by themselves.
    pub unfinished: usize,
    /// Those of them that are to be sent.
    pub queued: usize,
    /// Those of them that the service has accepted.
    pub accepted: usize,
    /// Those of them that wait for another job of the same recording, which has not ended.
    pub copies: usize,
    /// When the next of those that are not due yet is due.
    pub next_due: Option<Timestamp>,
}

/// Reads the table, also while another process holds it.
#[derive(Debug)]
pub struct Reader<'a> {
    connection: Handle<'a>,
}

#[derive(Debug)]
enum Handle<'a> {
    Own(Connection),
    Borrowed(&'a Connection),
}

impl Reader<'static> {
    /// Opens the table of `state_dir` for reading; `None` if there is none yet. One of an older schema that
    /// nobody holds is brought to today's first.
    ///
    /// # Errors
    /// [`QueueError::NewerSchema`] for a table of a later stenod, [`QueueError::OlderSchema`] for one that an
    /// earlier one holds, [`QueueError::StateDir`] where nobody can tell whether there is one; any error of
    /// SQLite.
    pub fn open(state_dir: &Path) -> Result<Option<Self>, QueueError> {
        let path = state_dir.join(DATABASE);
        let is_there = path.try_exists();
        if !is_there.map_err(|error| QueueError::StateDir {
            path: state_dir.to_owned(),
            error,
        })? {
            return Ok(None);
        }
        if let Some(found) = schema::older(&connect(&path)?)? {
            match Queue::open(state_dir, SystemClock.now()) {
                Ok(queue) => drop(queue),
                Err(QueueError::AlreadyHeld { instance, .. }) => {
                    return Err(QueueError::OlderSchema { found, instance });
                }
                Err(error) => return Err(error),
            }
        }
        let connection = connect(&path)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok((version > 0).then_some(Self {
            connection: Handle::Own(connection),
        }))
    }
}

fn connect(path: &Path) -> Result<Connection, QueueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

impl<'a> Reader<'a> {
    /// Reads through a connection that is open already.
    pub(super) fn borrowed(connection: &'a Connection) -> Self {
        Self {
            connection: Handle::Borrowed(connection),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        match &self.connection {
            Handle::Own(connection) => connection,
            Handle::Borrowed(connection) => connection,
        }
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn counts(&self) -> Result<HashMap<State, u64>, QueueError> {
        let mut counts: HashMap<State, u64> = State::ALL.map(|state| (state, 0)).into();
        for of_folder in self.counts_by_folder()?.into_values() {
            for (state, count) in of_folder {
                *counts.entry(state).or_default() += count;
            }
        }
        Ok(counts)
    }

    /// Jobs, the newest first, perhaps only those in one state, at most `limit`.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn jobs(&self, state: Option<State>, limit: usize) -> Result<Vec<Job>, QueueError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let filter = if state.is_some() {
            "state = ?1"
        } else {
            "?1 IS NULL"
        };
        let sql = format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE {filter} AND parent IS NULL ORDER BY id DESC LIMIT ?2"
        );
        find_jobs(
            self.connection(),
            &sql,
            &[&state.map(State::as_str), &limit],
        )
    }

    /// The jobs of this run's scope, perhaps only those in one state, the oldest first.
    ///
    /// # Errors
    /// Any error of the table, also that this is not the connection of a run.
    pub fn scoped_jobs(&self, state: Option<State>) -> Result<Vec<Job>, QueueError> {
        let filter = if state.is_some() {
            "state = ?1"
        } else {
            "?1 IS NULL"
        };
        let sql = format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE {filter} AND id IN (SELECT id FROM temp.scope)
             AND parent IS NULL
             ORDER BY id"
        );
        find_jobs(self.connection(), &sql, &[&state.map(State::as_str)])
    }

    /// Whether a job is of this run's scope.
    ///
    /// # Errors
    /// Any error of the table, also that this is not the connection of a run.
    pub fn is_in_scope(&self, id: JobId) -> Result<bool, QueueError> {
        let mut scope = self
            .connection()
            .prepare_cached("SELECT 1 FROM temp.scope WHERE id = ?1")?;
        Ok(scope.exists([id.0])?)
    }

    /// The job with this number, if there is one.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn job(&self, id: JobId) -> Result<Option<Job>, QueueError> {
        let sql = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE id = ?1");
        find_job(self.connection(), &sql, &[&id.0])
    }

    /// The latest job of the recording at `source`, if there is one.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn job_at(&self, source: &Path) -> Result<Option<Job>, QueueError> {
        let sql =
            format!("SELECT {JOB_COLUMNS} FROM jobs WHERE source = ?1 ORDER BY id DESC LIMIT 1");
        find_job(self.connection(), &sql, &[&path_bytes(source)])
    }

    /// The newest job of a recording that has a transcript.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn done_at(&self, source: &Path) -> Result<Option<Job>, QueueError> {
        let sql = format!(
            "SELECT {JOB_COLUMNS} FROM jobs WHERE source = ?1 AND state = 'done' AND parent IS NULL
             ORDER BY id DESC LIMIT 1"
        );
        find_job(self.connection(), &sql, &[&path_bytes(source)])
    }

    /// What is known of a file that is still as it was.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn known(
        &self,
        path: &Path,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Known>, QueueError> {
        sources::known(self.connection(), path, fingerprint)
    }

    /// Every job of the same identity, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn twins(&self, hash: ContentHash, settings: &Settings) -> Result<Vec<Job>, QueueError> {
        twins::twins(self.connection(), hash, settings)
    }

    /// What there is of the recording `hash` at `source` with these settings, its job or those that may follow it.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn kin(
        &self,
        source: &Path,
        hash: ContentHash,
        settings: &Settings,
    ) -> Result<Kin, QueueError> {
        arrivals::kin(self.connection(), source, hash, settings)
    }

    /// Whether the recording has been transcribed already, by whatever settings.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn is_transcribed(&self, source: &Path, hash: ContentHash) -> Result<bool, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT 1 FROM jobs WHERE source = ?1 AND hash = ?2 AND parent IS NULL AND (stage = 'done' OR forced)",
        )?;
        Ok(statement.exists(params![path_bytes(source), hash.0])?)
    }

    /// Whether the outputs of another recording than `source` begin with `base`.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn is_base_taken(&self, base: &Path, source: &Path) -> Result<bool, QueueError> {
        adopt::is_base_taken(self.connection(), base, source, None)
    }

    /// What happened to a job, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn attempts(&self, id: JobId) -> Result<Vec<Attempt>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT at_ms, event, text, request_id FROM attempts WHERE job = ?1 ORDER BY id",
        )?;
        let rows = statement.query_map([id.0], |row| {
            Ok(Attempt {
                at: time(row.get(0)?),
                event: row.get(1)?,
                text: row.get(2)?,
                request_id: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The ledger's lines for a job, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn ledger(&self, id: JobId) -> Result<Vec<LedgerEntry>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT at_ms, kind, amount, currency, note FROM ledger
             WHERE job IN (SELECT id FROM jobs WHERE id = ?1 OR parent = ?1) ORDER BY id",
        )?;
        let rows = statement.query_map([id.0], |row| {
            Ok(LedgerEntry {
                at: time(row.get(0)?),
                kind: row.get(1)?,
                amount: row.get(2)?,
                currency: row.get(3)?,
                note: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was charged for a job, and for the pieces of it, since `since`.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn charges(&self, id: JobId, since: Timestamp) -> Result<Vec<Amount>, QueueError> {
        ledger::charges(self.connection(), id, since)
    }

    /// The estimate that is set aside for a job whose cost is not known so far, in dollars; nothing where
    /// nobody knows what it may cost.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn set_aside(&self, id: JobId) -> Result<Decimal, QueueError> {
        ledger::set_aside(self.connection(), id)
    }

    /// The pieces of a recording that was cut, in their order.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn pieces(&self, id: JobId) -> Result<Vec<Job>, QueueError> {
        super::pieces::of(self.connection(), id)
    }

    /// The files that belong to a job by today's names.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn outputs(&self, id: JobId) -> Result<Vec<Output>, QueueError> {
        outputs::of_today(self.connection(), id)
    }

    /// Every file that was written for a job, those aside too.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn every_output(&self, id: JobId) -> Result<Vec<Output>, QueueError> {
        outputs::of_job(self.connection(), id)
    }

    /// Whether a job's outputs have no place beside its file any more.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn is_superseded(&self, id: JobId) -> Result<bool, QueueError> {
        outputs::is_superseded(self.connection(), id)
    }

    /// What the files of a recording that begin with `base` hashed to when stenod wrote them.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn written_under(
        &self,
        base: &Path,
        source: &Path,
    ) -> Result<HashMap<PathBuf, ContentHash>, QueueError> {
        outputs::written_under(self.connection(), base, source)
    }

    /// A reply that was kept.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn reply(&self, id: ReplyId) -> Result<StoredReply, QueueError> {
        outputs::reply(self.connection(), id)
    }

    /// The names that a person gave to a job's speakers.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn names(&self, id: JobId) -> Result<Vec<Named>, QueueError> {
        style::names(self.connection(), id)
    }

    /// The mark of the style that a job's outputs were last written with.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn style(&self, id: JobId) -> Result<Option<ContentHash>, QueueError> {
        style::mark(self.connection(), id)
    }

    /// The done jobs whose recording is `path` or lies in it, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn done_under(&self, path: &Path) -> Result<Vec<Job>, QueueError> {
        style::done_under(self.connection(), path)
    }

    /// The latest job of each recording that lies in the folder `path`, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn latest_in(&self, path: &Path) -> Result<Vec<Job>, QueueError> {
        style::latest_in(self.connection(), path)
    }

    /// How many recordings that are `path` or lie in it have a job and none that is done.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn unfinished_under(&self, path: &Path) -> Result<usize, QueueError> {
        style::unfinished_under(self.connection(), path)
    }

    /// Every done job, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn done(&self) -> Result<Vec<Job>, QueueError> {
        style::done(self.connection())
    }

    /// The pauses of the queue.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        pauses::all(self.connection())
    }

    /// What was spent, by currency.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn spend(&self, calendar: Calendar) -> Result<Vec<Spend>, QueueError> {
        ledger::spend(self.connection(), calendar.day_start, calendar.month_start)
    }

    /// What is set aside and was spent, or may have been, since `since`: billionths of a dollar.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn committed_since(&self, since: Timestamp) -> Result<i64, QueueError> {
        ledger::committed_since(self.connection(), since)
    }

    /// What the limits on sums leave for all that is to be sent; `None` without a limit.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn allowance(
        &self,
        limits: &Limits,
        calendar: Calendar,
    ) -> Result<Option<Allowance>, QueueError> {
        budget::allowance(self.connection(), limits, calendar)
    }

    /// What a minute costs by `settings`: by the catalogue, the built-in table or the last charge.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn price(
        &self,
        settings: &Settings,
        catalogue: &Catalogue,
    ) -> Result<Option<Price>, QueueError> {
        ledger::price(self.connection(), settings, catalogue)
    }

    /// What was transcribed and what that cost, from `since` to `until`, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn usage(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Use>, QueueError> {
        usage::usage(self.connection(), since, until)
    }

    /// Seconds that a second of audio took `model` by the latest submits that were paid for, if there are any.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn pace(&self, model: &str) -> Result<Option<f64>, QueueError> {
        usage::pace(self.connection(), model)
    }

    /// The same of each model of the latest submits.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn paces(&self) -> Result<HashMap<String, f64>, QueueError> {
        usage::paces(self.connection())
    }

    /// The job that the file at `path` was written for, if stenod wrote it.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn job_of_output(&self, path: &Path) -> Result<Option<(JobId, Output)>, QueueError> {
        outputs::at(self.connection(), path)
    }

    /// Every file that is passed over.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn skipped(&self) -> Result<Vec<Skipped>, QueueError> {
        sources::skipped(self.connection())
    }

    /// Objects that could not be taken out of a bucket so far.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn leftovers(
        &self,
        place: Option<&str>,
        at_rest: bool,
    ) -> Result<Vec<Leftover>, QueueError> {
        objects::leftovers(self.connection(), place, at_rest)
    }

    /// Failures and waits by their code, the most frequent first.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn failures(&self) -> Result<Vec<(String, u64)>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT json_extract(data, '$.reason.code') AS code, count(*) FROM jobs
             WHERE state = 'failed' AND parent IS NULL GROUP BY code ORDER BY count(*) DESC, code",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row::unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many recordings wait, by the code of what they wait for.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn waits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT coalesce(json_extract(data, '$.reason.code'), json_extract(data, '$.obstacle')) AS code, count(*)
             FROM jobs WHERE state = 'waiting' AND parent IS NULL GROUP BY code HAVING code IS NOT NULL
             ORDER BY count(*) DESC, code",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row::unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Under which folders and files recordings were found.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn roots(&self) -> Result<Vec<PathBuf>, QueueError> {
        Ok(self.counts_by_folder()?.into_keys().collect())
    }

    /// How many recordings that were found under these roots are in each state, by the latest job of each.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn folder_counts(&self, roots: &[PathBuf]) -> Result<HashMap<String, u64>, QueueError> {
        let mut counts = HashMap::new();
        for roots in roots.chunks(MOST_ROOTS) {
            let places = vec!["?"; roots.len()].join(", ");
            // The state of a recording is that of the row that has the highest number.
            let mut statement = self.connection().prepare_cached(&format!(
                "SELECT state, count(*) FROM
                   (SELECT state, max(id) FROM jobs WHERE root IN ({places}) AND parent IS NULL GROUP BY source)
                 GROUP BY state"
            ))?;
            let roots = roots.iter().map(|root| path_bytes(root));
            let mut rows = statement.query(params_from_iter(roots))?;
            while let Some(row) = rows.next()? {
                *counts.entry(row.get(0)?).or_default() += row::unsigned(row.get(1)?);
            }
        }
        Ok(counts)
    }

    /// How many jobs of each watched folder are in each state, as far as there are any.
    fn counts_by_folder(&self) -> Result<HashMap<PathBuf, HashMap<State, u64>>, QueueError> {
        let mut statement = self.connection().prepare_cached(COUNTS)?;
        let mut rows = statement.query([])?;
        let mut counts: HashMap<PathBuf, HashMap<State, u64>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(1)?;
            let state = State::ALL.into_iter().find(|state| state.as_str() == name);
            let state = state.ok_or_else(|| QueueError::Damaged {
                what: "the state of a job".to_owned(),
            })?;
            let of_folder = counts.entry(row::path(row.get(0)?)).or_default();
            of_folder.insert(state, row::unsigned(row.get(2)?));
        }
        Ok(counts)
    }

    /// The folders that were ever watched or scanned.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn folders(&self) -> Result<Vec<FolderRow>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT path, mode, mode_reason, trouble, scanned_ms, inside FROM folders ORDER BY path",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(FolderRow {
                path: row::path(row.get(0)?),
                mode: row.get(1)?,
                mode_reason: row.get(2)?,
                trouble: row.get(3)?,
                inside: row.get(5)?,
                scanned_at: row.get::<_, Option<i64>>(4)?.map(time),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What SQLite says of the table's health: `ok`, or what is wrong.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn quick_check(&self) -> Result<String, QueueError> {
        Ok(self
            .connection()
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
    }
}

/// The jobs in `stage` that are due, the longest due first; after the clock was set back, those that
/// were written before that are due too, so that none is stuck.
pub(super) fn due(
    connection: &Connection,
    stage: StageName,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Job>, QueueError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE stage = ?1 AND (due_ms <= ?2 OR (due_ms IS NOT NULL AND updated_ms > ?4))
         ORDER BY due_ms, id LIMIT ?3"
    );
    find_jobs(
        connection,
        &sql,
        &[&stage.as_str(), &millis(now), &limit, &future_millis(now)],
    )
}

/// The jobs in any of `stages`.
pub(super) fn in_stages(
    connection: &Connection,
    stages: &[StageName],
) -> Result<Vec<Job>, QueueError> {
    let mut found = Vec::new();
    for stage in stages {
        let sql = format!("SELECT {JOB_COLUMNS} FROM jobs WHERE stage = ?1 ORDER BY id");
        found.extend(find_jobs(connection, &sql, &[&stage.as_str()])?);
    }
    Ok(found)
}

/// How many jobs are in `stage`.
pub(super) fn count(connection: &Connection, stage: StageName) -> Result<usize, QueueError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE stage = ?1")?
        .query_row([stage.as_str()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// When a job that has not ended is due next after `now`, whoever works on it: one look into an index for each
/// stage, where [`outlook`] goes through all such jobs.
pub(super) fn next_due(
    connection: &Connection,
    now: Timestamp,
) -> Result<Option<Timestamp>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT due_ms FROM jobs INDEXED BY jobs_stage WHERE stage = ?1 AND due_ms > ?2
         ORDER BY due_ms LIMIT 1",
    )?;
    let mut next: Option<i64> = None;
    for stage in MOVING {
        let due: Option<i64> = statement
            .query_row(params![stage.as_str(), millis(now)], |row| row.get(0))
            .optional()?;
        next = match (next, due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(next.map(time))
}

/// What will still move by itself without being overdue or in trouble, and when something is due next
/// after `now`.
pub(super) fn outlook(
    connection: &Connection,
    terms: &Terms,
    now: Timestamp,
) -> Result<Outlook, QueueError> {
    let scope = if terms.scoped {
        "AND id IN (SELECT id FROM temp.scope)"
    } else {
        ""
    };
    let mut outlook = Outlook::default();
    for provider in &terms.providers {
        let sql = format!(
            "SELECT count(*), min(due_ms) FILTER (WHERE due_ms > ?2),
                 count(*) FILTER (WHERE stage = 'queued'),
                 count(*) FILTER (WHERE stage IN ('awaiting', 'received')),
                 count(*) FILTER (WHERE json_extract(data, '$.reason.code') = 'duplicate'
                     AND due_ms > ?2)
             FROM jobs WHERE (
                 stage IN ('queued', 'submitting', 'committing')
                 OR (stage IN ('awaiting', 'received') AND state = 'active')
                 OR (stage = 'in_doubt' AND due_ms IS NOT NULL))
             AND json_extract(settings, '$.provider') = ?1 {scope}"
        );
        let (count, due, queued, accepted, copies): (i64, Option<i64>, i64, i64, i64) = connection
            .prepare_cached(&sql)?
            .query_row(params![provider.name(), millis(now)], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })?;
        let number = |count: i64| usize::try_from(count).unwrap_or(0);
        outlook.unfinished += number(count);
        outlook.queued += number(queued);
        outlook.accepted += number(accepted);
        outlook.copies += number(copies);
        let due = due.map(time);
        outlook.next_due = match (outlook.next_due, due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(outlook)
}

/// Keeps how a folder is watched; says whether it is new to the table.
pub(super) fn remember_folder(
    connection: &Connection,
    folder: &FolderRow,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let path = path_bytes(&folder.path);
    let new = !connection
        .prepare_cached("SELECT 1 FROM folders WHERE path = ?1")?
        .exists([path])?;
    connection
        .prepare_cached(
            "INSERT INTO folders (path, first_ms, scanned_ms, mode, mode_reason, trouble, inside)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (path) DO UPDATE SET scanned_ms = ifnull(?3, scanned_ms),
                 mode = ?4, mode_reason = ?5, trouble = ?6, inside = ?7",
        )?
        .execute(params![
            path,
            millis(now),
            folder.scanned_at.map(millis),
            folder.mode,
            folder.mode_reason,
            folder.trouble,
            folder.inside,
        ])?;
    Ok(new)
}
