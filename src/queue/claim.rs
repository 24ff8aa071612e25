//! Claiming: which job is sent next, and whether it may be.
//!
//! One transaction decides and records: a copy takes the transcript of its twin, a recording that is
//! being paid for is waited for, the estimate is reserved against every budget, and the job is
//! `submitting` before anybody acts on it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use rust_decimal::Decimal;

use super::QueueError;
use super::budget::{self, Limits, Room};
use super::jobs;
use super::ledger;
use super::row::{JOB_COLUMNS, find_job, future_millis, millis};
use super::twins;
use crate::clock::Calendar;
use crate::domain::job::{Job, JobId, Obstacle, Provider, Reason, Stage, StageName};
use crate::domain::money;
use crate::domain::price::Catalogue;
use crate::domain::route::{Chosen, RouteTerms, first_stage};
use crate::domain::timing::after;

/// How long a copy waits before it looks again for the one that is being paid for.
const TWIN_WAIT: Duration = Duration::from_secs(60);

/// Pieces of recordings, and the index that has those that are queued in their order.
const PIECES: (&str, &str) = ("jobs_queued_pieces", "parent IS NOT NULL");
/// Whole recordings, and theirs.
const WHOLE: (&str, &str) = ("jobs_queue", "parent IS NULL");

/// On what terms a job is claimed.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Whose jobs: a provider that is not set up here has none of its jobs claimed.
    pub providers: Vec<Provider>,
    /// Whether only jobs of the scope are claimed, see `Queue::enter_scope`.
    pub scoped: bool,
    /// Whether only suspects are claimed, see `domain::fall`; otherwise none of them is.
    pub suspects: bool,
    /// Dollars a minute by model, as the service lists them today.
    pub prices: Arc<Catalogue>,
    /// The limits.
    pub limits: Limits,
}

/// What came of claiming.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// This job is `submitting` now and is to be sent.
    Submit(Box<Job>),
    /// This job moved on without being sent; claim again.
    Moved(JobId),
    /// No job may be sent now.
    Nothing,
    /// The next job can be decided on only when what is in flight has its cost.
    Later,
    /// The next job would cross a limit, which ends at `until` if it ends by itself.
    OverBudget {
        /// Which limit, as a sentence.
        text: String,
        /// When it begins anew.
        until: Option<Timestamp>,
    },
}

/// Claims the next job that is due at `now`.
pub(super) fn claim(
    connection: &Connection,
    terms: &Terms,
    calendar: Calendar,
    now: Timestamp,
) -> Result<Claimed, QueueError> {
    let Some(job) = next(connection, terms, now)? else {
        return Ok(Claimed::Nothing);
    };
    if let Some(moved) = settle_by_twin(connection, &job, now)? {
        return Ok(moved);
    }
    if !job.settings.provider.is_paid() {
        jobs::count_attempt(connection, job.id)?;
        return submitting(connection, job.id, now);
    }
    let estimate = estimate(connection, terms, &job)?;
    let of_file = match job.piece {
        None => estimate,
        // The limit is that of the recording, whose price may be known since its first piece was paid.
        Some(piece) => self::estimate(connection, terms, &jobs::get(connection, piece.parent)?)?,
    };
    if let Some(of_file) = of_file
        && let Some(limit) = terms.limits.per_file.filter(|limit| of_file > *limit)
    {
        return over_file_budget(connection, &job, of_file, limit, now);
    }
    if job.route.as_ref().is_some_and(Chosen::cuts) {
        // Each of its pieces is reserved for when it is claimed.
        return submitting(connection, job.id, now);
    }
    match budget::room(connection, &terms.limits, calendar, estimate)? {
        Room::For(amount) => ledger::reserve(connection, &job, amount, true, now)?,
        Room::ForOne(amount) => ledger::reserve(connection, &job, amount, false, now)?,
        Room::Later => return Ok(Claimed::Later),
        Room::Over { text, until } => return Ok(Claimed::OverBudget { text, until }),
    }
    submitting(connection, job.id, now)
}

fn submitting(connection: &Connection, id: JobId, now: Timestamp) -> Result<Claimed, QueueError> {
    jobs::advance(
        connection,
        id,
        &[StageName::Queued],
        &Stage::Submitting,
        now,
    )?;
    Ok(Claimed::Submit(Box::new(jobs::get(connection, id)?)))
}

/// The queued job that has been due for longest; pieces before whole recordings, so that what was begun is
/// finished before more is cut. Of those that are due at once, folder by folder in turn and the oldest first.
fn next(connection: &Connection, terms: &Terms, now: Timestamp) -> Result<Option<Job>, QueueError> {
    let pieces = next_of(connection, terms, PIECES, now)?;
    match pieces {
        Some(piece) => Ok(Some(piece)),
        None => next_of(connection, terms, WHOLE, now),
    }
}

fn next_of(
    connection: &Connection,
    terms: &Terms,
    (index, which): (&str, &str),
    now: Timestamp,
) -> Result<Option<Job>, QueueError> {
    for provider in &terms.providers {
        let scope = if terms.scoped {
            "AND id IN (SELECT id FROM temp.scope)"
        } else {
            ""
        };
        let suspects = if terms.suspects {
            "AND source IN (SELECT path FROM suspects)"
        } else {
            "AND (parent IS NOT NULL OR source NOT IN (SELECT path FROM suspects))"
        };
        let sql = format!(
            "SELECT {JOB_COLUMNS} FROM jobs INDEXED BY {index} WHERE {which} AND stage = 'queued'
             AND (due_ms <= ?1 OR updated_ms > ?3)
             AND json_extract(settings, '$.provider') = ?2 {suspects} {scope} ORDER BY due_ms, turn, id LIMIT 1"
        );
        let found = find_job(
            connection,
            &sql,
            &[&millis(now), &provider.name(), &future_millis(now)],
        )?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A copy of a recording takes its transcript or its refusal, or waits for it: it is never sent beside it.
fn settle_by_twin(
    connection: &Connection,
    job: &Job,
    now: Timestamp,
) -> Result<Option<Claimed>, QueueError> {
    let from = [StageName::Queued];
    if let Some((twin, reply)) = twins::known_reply(connection, job)? {
        let text =
            format!("the same recording as job {twin}: its transcript is used, free of charge");
        jobs::note(connection, job.id, &Reason::new("reused", text), None, now)?;
        let stage = Stage::Received {
            reply,
            trouble: None,
        };
        jobs::advance(connection, job.id, &from, &stage, now)?;
        return Ok(Some(Claimed::Moved(job.id)));
    }
    let payer = twins::payer(connection, job)?;
    #[cfg(test)]
    let payer = payer.filter(|_| !crate::faults::planted(crate::faults::Bug::ClaimBesideTwin));
    if let Some(twin) = payer {
        let text = format!("the same recording as job {twin}, whose transcript it will take");
        let stage = Stage::Queued {
            not_before: Some(after(now, TWIN_WAIT)),
            reason: Some(Reason::new("duplicate", text)),
        };
        jobs::advance(connection, job.id, &from, &stage, now)?;
        return Ok(Some(Claimed::Moved(job.id)));
    }
    if let Some((twin, reason)) = twins::failed_twin(connection, job)? {
        let text = format!(
            "the same recording as job {twin}, which failed: {}",
            reason.text
        );
        let stage = Stage::Failed {
            reason: Reason::new(reason.code, text),
        };
        jobs::advance(connection, job.id, &from, &stage, now)?;
        return Ok(Some(Claimed::Moved(job.id)));
    }
    Ok(None)
}

/// Dollars that a submit is expected to cost; `None` where its price or its length is not known.
fn estimate(
    connection: &Connection,
    terms: &Terms,
    job: &Job,
) -> Result<Option<Decimal>, QueueError> {
    let price = ledger::price(connection, &job.settings, &terms.prices)?;
    Ok(price
        .zip(job.duration)
        .map(|(price, duration)| money::estimate(duration, price.per_minute)))
}

fn over_file_budget(
    connection: &Connection,
    job: &Job,
    estimate: Decimal,
    limit: Decimal,
    now: Timestamp,
) -> Result<Claimed, QueueError> {
    let stage = Stage::Waiting {
        obstacle: Obstacle::OverFileBudget,
        text: money::over_file_budget(estimate, limit),
    };
    jobs::advance(connection, job.id, &[StageName::Queued], &stage, now)?;
    Ok(Claimed::Moved(job.id))
}

/// Lets in again what waited for a route or a limit that the configuration may allow by now, or for
/// outputs that could not be written.
pub(super) fn reconsider(
    connection: &Connection,
    terms: &RouteTerms,
    now: Timestamp,
) -> Result<usize, QueueError> {
    let waiting = super::row::find_jobs(
        connection,
        &format!("SELECT {JOB_COLUMNS} FROM jobs WHERE stage = ?1"),
        params![StageName::Waiting.as_str()],
    )?;
    let mut queued = 0;
    for job in &waiting {
        let (stage, route) = first_stage(&job.shape(), terms);
        jobs::set_route(connection, job.id, route.as_ref())?;
        queued += usize::from(stage.name() == StageName::Queued);
        jobs::advance(connection, job.id, &[StageName::Waiting], &stage, now)?;
    }
    Ok(queued + retry_outputs(connection, now)?)
}

/// Outputs that could not be written are tried again at once.
fn retry_outputs(connection: &Connection, now: Timestamp) -> Result<usize, QueueError> {
    let received = super::read::in_stages(connection, &[StageName::Received])?;
    let mut retried = 0;
    for job in received {
        if let Stage::Received {
            reply,
            trouble: Some(_),
        } = job.stage
        {
            let stage = Stage::Received {
                reply,
                trouble: None,
            };
            jobs::advance(connection, job.id, &[StageName::Received], &stage, now)?;
            retried += 1;
        }
    }
    Ok(retried)
}
