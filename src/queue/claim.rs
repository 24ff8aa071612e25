//! Claiming: which job is sent next, and whether it may be.
//!
//! Folders take turns: those that are watched first, and within one those that recordings lie in.
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
use super::row::{JOB_COLUMNS, find_job, future_millis, millis, path_bytes, to_json};
use super::twins;
use crate::clock::Calendar;
use crate::domain::job::{Job, JobId, Obstacle, Provider, Reason, Stage, StageName};
use crate::domain::money;
use crate::domain::price::Catalogue;
use crate::domain::route::{Chosen, RouteTerms, Shape, first_stage};
use crate::domain::timing::after;

/// How long a copy waits before it looks again for the one that is being paid for.
const TWIN_WAIT: Duration = Duration::from_secs(60);

/// Pieces of recordings that are queued, by the index that has them in their order.
const PIECES: &str =
    "jobs INDEXED BY jobs_queued_pieces WHERE parent IS NOT NULL AND stage = 'queued'";
/// Whole recordings that are queued, by theirs.
const WHOLE: &str = "jobs INDEXED BY jobs_queue WHERE parent IS NULL AND stage = 'queued'";

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
    let job = match earlier_twin(connection, terms, &job, now)? {
        Some(twin) => twin,
        None => job,
    };
    let claimed = decide(connection, terms, calendar, &job, now)?;
    if matches!(claimed, Claimed::Submit(_) | Claimed::Moved(_)) {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO temp.served (root, turn)
                 SELECT ?1, coalesce(max(turn), 0) + 1 FROM temp.served",
            )?
            .execute([path_bytes(&job.root)])?;
    }
    Ok(claimed)
}

/// Claims up to `most` jobs, one after the other; the last answer is the only one that may be no job.
pub(super) fn claim_many(
    connection: &Connection,
    mut terms: Terms,
    most: usize,
    calendar: Calendar,
    now: Timestamp,
) -> Result<Vec<Claimed>, QueueError> {
    let mut all = Vec::new();
    while all.len() < most && !terms.providers.is_empty() {
        let claimed = claim(connection, &terms, calendar, now)?;
        let may_be_more = match &claimed {
            Claimed::Submit(job) if !job.settings.provider.is_paid() => {
                let at_work = &job.settings.provider;
                terms.providers.retain(|provider| provider != at_work);
                true
            }
            Claimed::Submit(_) | Claimed::Moved(_) => true,
            Claimed::Nothing | Claimed::Later | Claimed::OverBudget { .. } => false,
        };
        all.push(claimed);
        if !may_be_more {
            break;
        }
    }
    Ok(all)
}

/// What becomes of the job whose turn it is.
fn decide(
    connection: &Connection,
    terms: &Terms,
    calendar: Calendar,
    job: &Job,
    now: Timestamp,
) -> Result<Claimed, QueueError> {
    if let Some(moved) = settle_by_twin(connection, job, now)? {
        return Ok(moved);
    }
    if !job.settings.provider.is_paid() {
        jobs::count_attempt(connection, job.id)?;
        return submitting(connection, job.id, now);
    }
    let estimate = estimate(connection, terms, job)?;
    let of_file = match job.piece {
        None => estimate,
        // The limit is that of the recording, whose price may be known since its first piece was paid.
        Some(piece) => self::estimate(connection, terms, &jobs::get(connection, piece.parent)?)?,
    };
    if let Some(of_file) = of_file
        && let Some(limit) = terms.limits.per_file.filter(|limit| of_file > *limit)
    {
        return over_file_budget(connection, job, of_file, limit, now);
    }
    if job.piece.is_none() && job.route.as_ref().is_some_and(Chosen::cuts) {
        // Each of its pieces is reserved for when it is claimed.
        return submitting(connection, job.id, now);
    }
    match budget::room(connection, &terms.limits, calendar, estimate)? {
        Room::For(amount) => ledger::reserve(connection, job, amount, true, now)?,
        Room::ForOne(amount) => ledger::reserve(connection, job, amount, false, now)?,
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

/// The job whose turn it is; pieces before whole recordings, so that what was begun is finished before more
/// is cut.
fn next(connection: &Connection, terms: &Terms, now: Timestamp) -> Result<Option<Job>, QueueError> {
    for sql in [next_piece(terms), next_whole(terms)] {
        for provider in &terms.providers {
            let parameters: [&dyn rusqlite::ToSql; 3] =
                [&millis(now), &provider.name(), &future_millis(now)];
            if let Some(job) = find_job(connection, &sql, &parameters)? {
                return Ok(Some(job));
            }
        }
    }
    Ok(None)
}

/// The piece that has been due for longest.
pub(super) fn next_piece(terms: &Terms) -> String {
    let which = which(terms);
    format!("SELECT {JOB_COLUMNS} FROM {PIECES} AND {which} ORDER BY due_ms, turn, id LIMIT 1")
}

/// Of the watched folders the one that was served least lately, and in it what has been due for longest: of what
/// is due at once, folder by folder in turn and the oldest first. The first part goes from folder to folder in
/// the index, which has the jobs of each in their order.
pub(super) fn next_whole(terms: &Terms) -> String {
    let which = which(terms);
    format!(
        "WITH RECURSIVE roots(root) AS (
             SELECT (SELECT min(root) FROM {WHOLE})
             UNION ALL
             SELECT (SELECT min(root) FROM {WHOLE} AND root > roots.root) FROM roots
             WHERE roots.root IS NOT NULL)
         SELECT {JOB_COLUMNS} FROM jobs WHERE id = (
             SELECT next.id FROM roots CROSS JOIN jobs AS next ON next.id = (
                 SELECT id FROM {WHOLE} AND root = roots.root AND {which} ORDER BY due_ms, turn, id LIMIT 1)
             LEFT JOIN temp.served ON served.root = roots.root
             ORDER BY served.turn, next.due_ms, next.turn, next.id LIMIT 1)"
    )
}

/// Which queued jobs may be claimed: due by `?1` or of a clock that was set back, and of provider `?2`.
fn which(terms: &Terms) -> String {
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
    format!(
        "json_extract(settings, '$.provider') = ?2 AND (due_ms <= ?1 OR updated_ms > ?3) {suspects} {scope}"
    )
}

/// The first of the copies of a recording that may be claimed, where that is another one: which of them is sent,
/// and to whose folder it counts, does not depend on whose turn it is.
fn earlier_twin(
    connection: &Connection,
    terms: &Terms,
    job: &Job,
    now: Timestamp,
) -> Result<Option<Job>, QueueError> {
    let which = which(terms);
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM jobs WHERE hash = ?4 AND settings = ?5 AND id < ?6 AND forced = ?7
         AND parent IS NULL AND stage = 'queued' AND {which} ORDER BY id LIMIT 1"
    );
    if job.piece.is_some() {
        return Ok(None);
    }
    let (hash, settings) = (&job.hash.0, to_json(&job.settings)?);
    let parameters: [&dyn rusqlite::ToSql; 7] = [
        &millis(now),
        &job.settings.provider.name(),
        &future_millis(now),
        hash,
        &settings,
        &job.id.0,
        &job.forced,
    ];
    find_job(connection, &sql, &parameters)
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
    if let Some(reason) = twins::failed_twin(connection, job)? {
        let stage = Stage::Failed { reason };
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
    let estimate = match job.piece {
        None => money::estimate,
        Some(_) => money::estimate_of_part,
    };
    Ok(price
        .zip(job.duration)
        .map(|(price, duration)| estimate(duration, price.per_minute)))
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
        if job.piece.is_some() {
            // Its way is that of its recording.
            jobs::advance(
                connection,
                job.id,
                &[StageName::Waiting],
                &Stage::queued(),
                now,
            )?;
            queued += 1;
            continue;
        }
        let shape = Shape {
            is_decodable: !job.stage.lacks_decoder(),
            ..job.shape()
        };
        let (stage, route) = first_stage(&shape, terms);
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
