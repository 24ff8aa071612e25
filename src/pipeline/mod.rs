//! The road of a recording: the only place that knows two adapters.
//!
//! Claim, act, record. What to do next is read from the job's row and decided by the domain; hints say
//! "look again" and carry no work. The daemon and a run differ in when they stop, and in nothing else.

mod adopt;
mod away;
mod bucket;
mod courier;
mod document;
mod drive;
mod elsewhere;
pub mod explain;
mod intake;
mod large;
mod limiter;
mod listen;
mod make;
mod meter;
mod operator;
mod output_folders;
mod pauses;
mod place;
pub mod plan;
mod poll;
mod prices;
pub mod prospect;
mod publish;
mod pulse;
mod quarantine;
mod render;
mod report;
mod room;
mod rules;
#[cfg(test)]
mod simulation;
mod spool;
mod submit;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use away::is_lodged_away;
pub use courier::{Receivers, tell_others};
pub use document::{document, plain, style};
pub use drive::{Ended, Mode, drive, drive_latest, waits_too_long};
pub use intake::{
    About, EXISTING, Examined, Intake, IntakeOptions, NOT_AGREED, consider_skip, examine, mend_at,
    nothing_readable,
};
pub use limiter::Limiter;
pub use meter::{Counts, Meter, Metered, NOTICE_RESULTS, Spent, USUAL_RETRIES};
pub use operator::{Changed, Chosen, InFlight, Table};
pub use pauses::Pauses;
pub use place::{FolderFiles, Mistaken, Place};
pub use poll::Unreadable;
pub use prices::Prices;
pub use pulse::Pulse;
pub use quarantine::Quarantine;
pub use render::{NotWritten, Pen, RenderOptions, RenderReport, ToRender};
pub use report::{Event, Reporter, Silent};
pub use rules::Rules;
pub use spool::Spool;
pub use waiting::{Awaited, Waiting};

use crate::clock::{Chance, SharedClock};
use crate::delivery::bucket::Bucket;
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::money::Amount;
use crate::domain::route::RouteTerms;
use crate::domain::step::DoubtPolicy;
use crate::notes::Notes;
use crate::queue::{Limits, Queue, QueueError};
use crate::speech::Service;
#[cfg(feature = "local")]
use crate::speech::local::Local;
use crate::supervise::TaskPanicked;

/// The most tickets that are outstanding at once; the rest waits unpaid.
pub const MOST_OUTSTANDING: usize = 200;
/// The most polls in flight at once.
pub const MOST_POLLS: usize = 8;
/// The most recordings whose outputs are written at once.
pub const MOST_PUBLISHING: usize = 16;
/// The longest that the table is not looked at, whatever the hints.
pub const SLOW_TICK: Duration = Duration::from_secs(30);

/// How the pipeline is driven.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Paid submits in flight at once.
    pub jobs: usize,
    /// The first wait before a poll.
    pub poll_interval: Duration,
    /// What follows a submit in doubt.
    pub doubt: DoubtPolicy,
    /// By which terms a route is chosen.
    pub routes: RouteTerms,
    /// What limits the spending.
    pub limits: Limits,
    /// Whether only the jobs of the scope are worked on.
    pub scoped: bool,
}

/// Everything that the steps of a job need; a copy with other settings works on the same table.
#[derive(Clone)]
pub struct Pipeline {
    /// The job table.
    pub queue: Arc<Queue>,
    /// The paid service, if one is set up.
    pub service: Option<Arc<dyn Service>>,
    /// The bucket, if one is set up.
    pub bucket: Option<Arc<Bucket>>,
    /// The built-in recogniser.
    #[cfg(feature = "local")]
    pub local: Arc<Local>,
    /// The clock.
    pub clock: SharedClock,
    /// Chance, for jitter.
    pub chance: Chance,
    /// What people note in the folders of recordings.
    pub notes: Arc<Notes>,
    /// What is made to be sent in the stead of recordings.
    pub spool: Arc<Spool>,
    /// Requests a second.
    pub limiter: Arc<Limiter>,
    /// How it is driven.
    pub pace: Pace,
    /// What the whole queue waits for.
    pub pauses: Arc<Pauses>,
    /// What a minute costs, as the service lists it.
    pub prices: Arc<Prices>,
    /// The submits that a person may stop.
    pub in_flight: Arc<InFlight>,
    /// What the service says of runs and nobody can read.
    pub unreadable: Arc<Unreadable>,
    /// Who writes outputs just now.
    pub pen: Arc<Pen>,
    /// Who has recordings in hand.
    pub quarantine: Arc<Quarantine>,
    /// Signs of life.
    pub pulse: Arc<Pulse>,
    /// What is counted while it runs.
    pub meter: Arc<Meter>,
    /// Files that are not complete yet.
    pub waiting: Arc<Waiting>,
    /// The rules that recordings are sent by.
    pub rules: Arc<Rules>,
    /// Who is told outside of this process.
    pub receivers: Arc<Receivers>,
    /// Who is told.
    pub reporter: Arc<dyn Reporter>,
    /// Rings when the table should be looked at.
    pub bell: Arc<Notify>,
    /// Cancelled when no new work is to begin.
    pub stop: CancellationToken,
    /// Cancelled when what is in hand is let go as well, as far as that costs nothing.
    pub let_go: CancellationToken,
}

/// Why the pipeline cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The job table fails.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A task ended by a fault of its own.
    #[error(transparent)]
    Task(#[from] TaskPanicked),
}

impl Pipeline {
    /// The wall time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells what became of these jobs, for which nothing was made to be sent.
    async fn tell_many(&self, ids: Vec<JobId>) -> Result<(), PipelineError> {
        let jobs = self.queue.read(move |reader| {
            let tell = |id| Ok((reader.job(id)?, reader.outputs(id)?));
            ids.into_iter().map(tell).collect::<Result<Vec<_>, _>>()
        });
        self.receivers.ring();
        for (job, outputs) in jobs.await? {
            if let Some(job) = job.map(Box::new) {
                self.reporter.report(&Event::Job { job, outputs });
            }
        }
        Ok(())
    }

    /// Tells what became of a job, and removes what was made for it if it has ended. What becomes of a
    /// piece is told of its recording.
    async fn tell(&self, id: JobId) -> Result<(), PipelineError> {
        let job = self.queue.job(id).await?;
        self.tell_of(job).await
    }

    /// Tells that outputs were written again, and what was paid for that.
    async fn tell_again(&self, id: JobId, cost: Option<Amount>) -> Result<(), PipelineError> {
        let job = self.queue.job(id).await?;
        self.tell_of(Job { cost, ..job }).await
    }

    async fn tell_of(&self, mut job: Job) -> Result<(), PipelineError> {
        self.receivers.ring();
        self.tidy(&job).await?;
        if let Stage::Queued {
            reason: Some(reason),
            ..
        } = &job.stage
        {
            self.meter.retried(&reason.code);
        }
        if let Some(piece) = job.piece {
            job = self.queue.job(piece.parent).await?;
        }
        let id = job.id;
        let outputs = self.queue.outputs(id).await?;
        self.reporter.report(&Event::Job {
            job: Box::new(job),
            outputs,
        });
        Ok(())
    }
}
