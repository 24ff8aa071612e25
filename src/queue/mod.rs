//! The job table: the only memory, and the only SQL.
//!
//! One process holds the state directory, one thread writes, transactions are short. Every step is on
//! disk before its method comes back (WAL with `synchronous = FULL`). Nothing is decided here that the
//! domain can decide, and nothing outside the table is touched.

mod adopt;
mod claim;
mod damage;
#[cfg(test)]
pub(crate) mod inspect;
mod jobs;
mod ledger;
mod lock;
mod outputs;
mod pauses;
mod read;
mod row;
mod schema;
mod sources;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use rust_decimal::Decimal;

pub use adopt::Adoption;
pub use claim::{Claimed, Limits, Terms};
pub use damage::Damage;
pub use jobs::Enqueued;
pub use ledger::Spend;
pub use lock::{Instance, running_instance};
pub use outputs::{Output, RawReply, ReplyKind, StoredReply};
pub use pauses::{Pause, PauseReason};
pub use read::{Attempt, FolderRow, LedgerEntry, Outlook, Reader};
pub use sources::{Known, Skipped};

use crate::clock::Calendar;
use crate::domain::job::{
    Candidate, ContentHash, Job, JobId, Overdue, Publication, Reason, ReplyId, Settings, Stage,
    StageName, Ticket, Trouble,
};
use crate::domain::money::Amount;
use crate::domain::settle::Fingerprint;
use crate::domain::step::{self, DoubtPolicy};
use damage::Guarded;
use lock::Lock;
use writer::Writer;

/// How often a job may fail by its own fault before it is given up.
pub const MOST_FAILURES: u32 = 5;
/// The database's name in the state directory.
pub const DATABASE: &str = "stenod.db";

/// What can go wrong with the job table.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process holds the state directory.
    #[error("another stenod (process {}, since {}) holds {}", .instance.pid, .instance.since, .state_dir.display())]
    AlreadyHeld {
        /// The state directory.
        state_dir: PathBuf,
        /// Who holds it.
        instance: Instance,
    },
    /// The database was made by a later stenod.
    #[error(
        "the job table has schema {found}, and this stenod knows schemas up to {known}: use the newer stenod"
    )]
    NewerSchema {
        /// The version found.
        found: i64,
        /// The latest version that this program knows.
        known: usize,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", .path.display())]
    StateDir {
        /// The directory or the file in it.
        path: PathBuf,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// The table is damaged, and was set aside.
    #[error("{0}")]
    Corrupt(Arc<Damage>),
    /// The table's own check found something.
    #[error("its check says: {0}")]
    Unsound(String),
    /// SQLite refused.
    #[error("the job table cannot be read or written")]
    Sqlite(#[from] rusqlite::Error),
    /// A transaction could not be begun or committed.
    #[error("the job table cannot be written")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A stored value cannot be read back.
    #[error("{what} cannot be read")]
    Unreadable {
        /// Which value.
        what: String,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// A stored value makes no sense.
    #[error("{what} is damaged")]
    Damaged {
        /// Which value.
        what: String,
    },
    /// No job has this number.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// The job is in another stage than the step needs.
    #[error("job {id} is {} by now", .stage.as_str())]
    Elsewhere {
        /// Which job.
        id: JobId,
        /// Where it is.
        stage: StageName,
    },
    /// The writer has ended.
    #[error("the job table is closed")]
    Closed,
}

impl QueueError {
    /// Whether the reason is that there is no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        let code = if let Self::Sqlite(error) = self {
            error.sqlite_error_code()
        } else if let Self::Commit(error) = self {
            error.sqlite_error_code()
        } else {
            None
        };
        code == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// The job table, held by this process.
#[derive(Debug)]
pub struct Queue {
    writer: Guarded,
    state_dir: PathBuf,
    _lock: Lock,
}

/// What was found in hand after the last run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Sent again, free of charge.
    pub queued: Vec<JobId>,
    /// Nobody knows whether they were billed.
    pub in_doubt: Vec<JobId>,
}

impl Queue {
    /// Opens, or makes, the table in `state_dir`, and holds that directory until dropped.
    ///
    /// # Errors
    /// [`QueueError::AlreadyHeld`] while another process holds it; [`QueueError::NewerSchema`] for a table
    /// that this program must not touch; [`QueueError::Corrupt`] for a damaged one, which is set aside.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, QueueError> {
        let lock = Lock::take(state_dir, now)?;
        let path = state_dir.join(DATABASE);
        damage::finish_setting_aside(state_dir, now)?;
        let connection = connect(&path).map_err(|error| {
            if error.is_damage() {
                QueueError::Corrupt(Arc::new(damage::set_aside(state_dir, &error, now)))
            } else {
                error
            }
        })?;
        let writer = Writer::start(connection).map_err(|error| QueueError::StateDir {
            path: state_dir.to_owned(),
            error,
        })?;
        Ok(Self {
            writer: Guarded::new(writer, state_dir),
            state_dir: state_dir.to_owned(),
            _lock: lock,
        })
    }

    /// The directory that is held.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Finds what was in hand when the last run ended, and puts it where the policy says.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn recover(
        &self,
        policy: DoubtPolicy,
        now: Timestamp,
    ) -> Result<Recovered, QueueError> {
        self.writer
            .run(move |connection| recover(connection, policy, now))
            .await
    }

    /// Lets in again what waited for a route or a limit that the configuration may allow by now, or for
    /// outputs that could not be written; `direct_limit` is the largest direct body, in bytes. Says how many.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn reconsider(&self, direct_limit: u64, now: Timestamp) -> Result<usize, QueueError> {
        self.writer
            .run(move |connection| claim::reconsider(connection, direct_limit, now))
            .await
    }

    /// What is known of a file that is still as it was.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn known(
        &self,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Result<Option<Known>, QueueError> {
        self.writer
            .run(move |connection| sources::known(connection, &path, &fingerprint))
            .await
    }

    /// Keeps what was found out about a file.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn remember(
        &self,
        path: PathBuf,
        root: PathBuf,
        fingerprint: Fingerprint,
        known: Known,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                sources::remember(connection, &path, &root, &fingerprint, &known, now)
            })
            .await
    }

    /// Every job of the same identity, the oldest first.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn twins(
        &self,
        hash: ContentHash,
        settings: Settings,
    ) -> Result<Vec<Job>, QueueError> {
        self.writer
            .run(move |connection| jobs::twins(connection, hash, &settings))
            .await
    }

    /// Queues a recording unless it is known; see [`Enqueued`]. `gone` is the job of the same recording
    /// whose file has vanished. With `force` a job that has ended is queued again.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn enqueue(
        &self,
        candidate: Candidate,
        gone: Option<JobId>,
        force: bool,
        now: Timestamp,
    ) -> Result<Enqueued, QueueError> {
        self.writer
            .run(move |connection| {
                let enqueued = jobs::enqueue(connection, &candidate, gone, now)?;
                match &enqueued {
                    Enqueued::Known(job) if force && may_be_forced(&job.stage) => {
                        jobs::force(connection, job.id, now)?;
                        Ok(Enqueued::New(job.id))
                    }
                    Enqueued::Known(job) if came_back(&job.stage) => {
                        jobs::retry(connection, job, now)?;
                        Ok(Enqueued::New(job.id))
                    }
                    Enqueued::Known(_) | Enqueued::New(_) | Enqueued::Moved(_) => Ok(enqueued),
                }
            })
            .await
    }

    /// Sends a done job back to its stored reply, so that its outputs are written again, perhaps in more
    /// formats; free of charge.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not done.
    pub async fn publish_again(
        &self,
        job: Job,
        publication: Publication,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| jobs::publish_again(connection, &job, &publication, now))
            .await
    }

    /// Makes a done job of a recording whose transcript lies there already, free of charge; nothing where
    /// the recording is known by now or another one has those outputs.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn adopt(
        &self,
        candidate: Candidate,
        adoption: Adoption,
        now: Timestamp,
    ) -> Result<Option<JobId>, QueueError> {
        self.writer
            .run(move |connection| adopt::adopt(connection, &candidate, &adoption, now))
            .await
    }

    /// Takes a job into the scope of this process: a run of some paths claims only what they named.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn enter_scope(&self, id: JobId) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("INSERT OR IGNORE INTO temp.scope (id) VALUES (?1)")?
                    .execute([id.0])?;
                Ok(())
            })
            .await
    }

    /// Claims the next job that may be sent, which is `submitting` then.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn claim(&self, terms: Terms, now: Timestamp) -> Result<Claimed, QueueError> {
        let calendar = Calendar::around(now);
        self.writer
            .run(move |connection| claim::claim(connection, &terms, calendar, now))
            .await
    }

    /// The jobs that are due in `stage`, the longest due first, at most `limit` of them.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn due(
        &self,
        stage: StageName,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Job>, QueueError> {
        self.writer
            .run(move |connection| read::due(connection, stage, limit, now))
            .await
    }

    /// What is still going on, and when something is due next.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn outlook(&self, terms: Terms, now: Timestamp) -> Result<Outlook, QueueError> {
        self.writer
            .run(move |connection| read::outlook(connection, &terms, now))
            .await
    }

    /// How many jobs have a ticket that has not ended.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn count(&self, stage: StageName) -> Result<usize, QueueError> {
        self.writer
            .run(move |connection| read::count(connection, stage))
            .await
    }

    /// The job with this number.
    ///
    /// # Errors
    /// [`QueueError::NoSuchJob`] if there is none.
    pub async fn job(&self, id: JobId) -> Result<Job, QueueError> {
        self.writer
            .run(move |connection| jobs::get(connection, id))
            .await
    }

    /// Records that the last chunk is about to be handed over.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `submitting`.
    pub async fn commit(&self, id: JobId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                jobs::count_attempt(connection, id)?;
                let from = [StageName::Submitting];
                jobs::advance(connection, id, &from, &Stage::Committing, now)
            })
            .await
    }

    /// Puts a job that was not taken back into the queue, free of charge.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if it is not in hand.
    pub async fn requeue(
        &self,
        id: JobId,
        not_before: Option<Timestamp>,
        reason: Option<Reason>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let note = reason
                    .as_ref()
                    .map_or("nothing was sent", |reason| reason.code.as_str());
                ledger::release(connection, id, note, now)?;
                if let Some(reason) = &reason {
                    jobs::note(connection, id, reason, None, now)?;
                }
                let stage = Stage::Queued {
                    not_before,
                    reason: not_before.and(reason),
                };
                jobs::advance(connection, id, IN_HAND, &stage, now)
            })
            .await
    }

    /// Puts a job that failed by its own fault back into the queue, or ends it after
    /// [`MOST_FAILURES`]; says how often it has failed.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if it is not in hand.
    pub async fn retry_later(
        &self,
        id: JobId,
        not_before: Timestamp,
        reason: Reason,
        now: Timestamp,
    ) -> Result<u32, QueueError> {
        self.writer
            .run(move |connection| {
                ledger::release(connection, id, &reason.code, now)?;
                jobs::note(connection, id, &reason, None, now)?;
                let failures = jobs::count_failure(connection, id)?;
                let stage = if failures >= MOST_FAILURES {
                    Stage::Failed { reason }
                } else {
                    Stage::Queued {
                        not_before: Some(not_before),
                        reason: Some(reason),
                    }
                };
                jobs::advance(connection, id, IN_HAND, &stage, now)?;
                Ok(failures)
            })
            .await
    }

    /// Parks a claimed job until the configuration allows it to be sent.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if it is not `submitting`.
    pub async fn park(&self, id: JobId, stage: Stage, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                ledger::release(connection, id, "not sent", now)?;
                jobs::advance(connection, id, &[StageName::Submitting], &stage, now)
            })
            .await
    }

    /// Keeps a reply before anything is made of it: the job is `received` then.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if no reply is expected.
    pub async fn store_reply(
        &self,
        id: JobId,
        reply: RawReply,
        now: Timestamp,
    ) -> Result<ReplyId, QueueError> {
        self.writer
            .run(move |connection| {
                let stored = outputs::store_reply(connection, id, ReplyKind::Service, &reply, now)?;
                jobs::set_request_id(connection, id, reply.request_id.as_deref())?;
                let stage = Stage::Received {
                    reply: stored,
                    trouble: None,
                };
                let from = [
                    StageName::Submitting,
                    StageName::Committing,
                    StageName::Awaiting,
                ];
                jobs::advance(connection, id, &from, &stage, now)?;
                Ok(stored)
            })
            .await
    }

    /// A reply that was kept.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn reply(&self, id: ReplyId) -> Result<StoredReply, QueueError> {
        self.writer
            .run(move |connection| outputs::reply(connection, id))
            .await
    }

    /// Keeps the ticket of an accepted submit, and what it cost, before it is polled for the first time.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `received`.
    pub async fn await_ticket(
        &self,
        id: JobId,
        ticket: Ticket,
        cost: Option<Amount>,
        poll_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                jobs::set_run_id(connection, id, &ticket.run_id)?;
                if let Some(cost) = &cost {
                    ledger::charge(connection, id, cost, "as the ticket says", now)?;
                }
                let accepted =
                    Reason::new("accepted", format!("accepted as run {}", ticket.run_id));
                jobs::note(connection, id, &accepted, None, now)?;
                let stage = Stage::Awaiting {
                    ticket,
                    submitted_at: now,
                    poll_at,
                    overdue: None,
                };
                jobs::advance(connection, id, &[StageName::Received], &stage, now)
            })
            .await
    }

    /// Sets when a ticket is polled next, and whether it is overdue.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job has no ticket any more.
    pub async fn poll_next(
        &self,
        id: JobId,
        poll_at: Timestamp,
        overdue: Option<Overdue>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let stage = jobs::get(connection, id)?.stage;
                let Stage::Awaiting {
                    ticket,
                    submitted_at,
                    ..
                } = stage
                else {
                    return Err(QueueError::Elsewhere {
                        id,
                        stage: stage.name(),
                    });
                };
                let stage = Stage::Awaiting {
                    ticket,
                    submitted_at,
                    poll_at,
                    overdue,
                };
                jobs::advance(connection, id, &[StageName::Awaiting], &stage, now)
            })
            .await
    }

    /// Puts what a submit has cost into the ledger; twice is once.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn charge(
        &self,
        id: JobId,
        cost: Amount,
        note: String,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| ledger::charge(connection, id, &cost, &note, now))
            .await
    }

    /// What is set aside for a job, for when the service does not say what it charged.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn reserved(&self, id: JobId) -> Result<Decimal, QueueError> {
        self.writer
            .run(move |connection| ledger::reserved_amount(connection, id))
            .await
    }

    /// Keeps that an output was written.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn remember_output(&self, id: JobId, output: Output) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| outputs::remember(connection, id, &output))
            .await
    }

    /// Whether a later job belongs to the same file, so that this one's outputs have no place there.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn is_superseded(&self, id: JobId) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| outputs::is_superseded(connection, id))
            .await
    }

    /// What the files whose path begins with `base` and a dot hashed to when stenod wrote them for the
    /// recording at `source`.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn written_under(
        &self,
        base: PathBuf,
        source: PathBuf,
    ) -> Result<HashMap<PathBuf, ContentHash>, QueueError> {
        self.writer
            .run(move |connection| outputs::written_under(connection, &base, &source))
            .await
    }

    /// The files that were written for a job.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn outputs(&self, id: JobId) -> Result<Vec<Output>, QueueError> {
        self.writer
            .run(move |connection| outputs::of_job(connection, id))
            .await
    }

    /// The transcript lies beside the recording.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `received`.
    pub async fn done(&self, id: JobId, reply: ReplyId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                jobs::clear_forced(connection, id)?;
                let stage = Stage::Done { reply };
                jobs::advance(connection, id, &[StageName::Received], &stage, now)
            })
            .await
    }

    /// The outputs could not be written; they are tried again.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `received`.
    pub async fn trouble(
        &self,
        id: JobId,
        reply: ReplyId,
        trouble: Trouble,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                jobs::note(connection, id, &trouble.reason, None, now)?;
                let stage = Stage::Received {
                    reply,
                    trouble: Some(trouble),
                };
                jobs::advance(connection, id, &[StageName::Received], &stage, now)
            })
            .await
    }

    /// Ends a job without a transcript; what was set aside for it is given back.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if it has ended already.
    pub async fn fail(
        &self,
        id: JobId,
        reason: Reason,
        request_id: Option<String>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                ledger::release(connection, id, &reason.code, now)?;
                jobs::note(connection, id, &reason, request_id.as_deref(), now)?;
                let from = [
                    StageName::Queued,
                    StageName::Submitting,
                    StageName::Committing,
                    StageName::Awaiting,
                    StageName::Received,
                ];
                jobs::advance(connection, id, &from, &Stage::Failed { reason }, now)
            })
            .await
    }

    /// A submit whose billing nobody can know: noted in the ledger with its estimate, and put where the
    /// policy says.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not in hand.
    pub async fn doubt(
        &self,
        id: JobId,
        reason: Reason,
        policy: DoubtPolicy,
        retry_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| doubt(connection, id, &reason, policy, retry_at, now))
            .await
    }

    /// Puts a job in doubt back into the queue: the one paid repeat that the policy allows.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not in doubt.
    pub async fn repeat(&self, id: JobId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                #[cfg(test)]
                let uncounted = crate::faults::planted(crate::faults::Bug::RepeatWithoutEnd);
                #[cfg(not(test))]
                let uncounted = false;
                if !uncounted {
                    jobs::count_doubt(connection, id)?;
                }
                let text =
                    "sent again although nobody knows whether it was billed: it may be paid twice";
                jobs::note(connection, id, &Reason::new("repeated", text), None, now)?;
                jobs::advance(connection, id, &[StageName::InDoubt], &Stage::queued(), now)
            })
            .await
    }

    /// Begins or prolongs a pause of the whole queue.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn pause(
        &self,
        reason: PauseReason,
        until: Option<Timestamp>,
        text: String,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| pauses::begin(connection, reason, until, &text, now))
            .await
    }

    /// Ends a pause; says whether there was one.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn resume(&self, reason: PauseReason) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| pauses::end(connection, reason))
            .await
    }

    /// Ends the pauses that a fresh start may try again at once, free of charge; what the service or a
    /// person asked for stays.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn resume_at_start(&self) -> Result<(), QueueError> {
        self.writer
            .run(|connection| {
                for reason in [
                    PauseReason::Key,
                    PauseReason::Balance,
                    PauseReason::Budget,
                    PauseReason::Offline,
                    PauseReason::Disk,
                ] {
                    pauses::end(connection, reason)?;
                }
                Ok(())
            })
            .await
    }

    /// Queues again the jobs that a person names, whatever kept them from being transcribed; gives those
    /// that were in a state to be queued again.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn retry(&self, ids: Vec<JobId>, now: Timestamp) -> Result<Vec<JobId>, QueueError> {
        self.writer
            .run(move |connection| {
                let mut queued = Vec::new();
                for id in ids {
                    let job = jobs::get(connection, id)?;
                    match jobs::retry(connection, &job, now) {
                        Ok(()) => queued.push(id),
                        Err(QueueError::Elsewhere { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(queued)
            })
            .await
    }

    /// Takes jobs out of the table that were queued and never touched; says how many it was.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn forget(&self, ids: Vec<JobId>) -> Result<usize, QueueError> {
        self.writer
            .run(move |connection| {
                let mut forgotten = 0;
                for id in ids {
                    forgotten += usize::from(jobs::forget(connection, id)?);
                }
                Ok(forgotten)
            })
            .await
    }

    /// Stops the jobs that a person names; gives those that had not ended and were not in hand.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn cancel(&self, ids: Vec<JobId>, now: Timestamp) -> Result<Vec<JobId>, QueueError> {
        self.writer
            .run(move |connection| {
                let mut cancelled = Vec::new();
                for id in ids {
                    match jobs::cancel(connection, id, now) {
                        Ok(()) => cancelled.push(id),
                        Err(QueueError::Elsewhere { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(cancelled)
            })
            .await
    }

    /// The pauses, those that a person has to mend first.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.writer.run(pauses::all).await
    }

    /// Keeps how a folder is watched; says whether the folder is new to the table.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn remember_folder(
        &self,
        folder: FolderRow,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| read::remember_folder(connection, &folder, now))
            .await
    }

    /// Reads whatever a [`Reader`] reads, through this process' own connection.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader<'_>) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.writer
            .run(move |connection| query(&Reader::borrowed(connection)))
            .await
    }
}

/// The stages of a job that somebody is working on and that has not been accepted.
const IN_HAND: &[StageName] = &[StageName::Submitting, StageName::Committing];

/// Whether a job ended only because its recording was gone or another one when it was to be sent.
fn came_back(stage: &Stage) -> bool {
    matches!(stage, Stage::Failed { reason }
        if ["source_changed", "source_vanished"].contains(&reason.code.as_str()))
}

fn may_be_forced(stage: &Stage) -> bool {
    match stage {
        Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled | Stage::Waiting { .. } => {
            true
        }
        Stage::Queued { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt { .. } => false,
    }
}

/// Opens the database with the settings that its promises rest on, at today's schema.
fn connect(path: &Path) -> Result<Connection, QueueError> {
    // Until it is known to be sound, nothing in its files is tidied up.
    let keep = damage::has_log(path);
    let mut connection = Connection::open(path)?;
    damage::leave_as_it_is(&connection, keep)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without it SQLite plans a statement anew for every value that is bound to it.
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    // What a simulation kills is the process and not the power.
    #[cfg(test)]
    if crate::faults::simulated() {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    schema::migrate(&mut connection)?;
    damage::check(&connection, path)?;
    connection.execute_batch("CREATE TEMP TABLE scope (id INTEGER PRIMARY KEY) STRICT")?;
    damage::leave_as_it_is(&connection, false)?;
    Ok(connection)
}

fn recover(
    connection: &Connection,
    policy: DoubtPolicy,
    now: Timestamp,
) -> Result<Recovered, QueueError> {
    let mut recovered = Recovered::default();
    if policy == DoubtPolicy::Hold {
        hold_doubtful(connection, now)?;
    }
    for job in read::in_stages(connection, IN_HAND)? {
        let recovered_to = step::recover(&job.stage, job.doubts, policy, now);
        #[cfg(test)]
        let recovered_to = recovered_to.map(|stage| {
            if crate::faults::planted(crate::faults::Bug::RequeueCommitting) {
                Stage::queued()
            } else {
                stage
            }
        });
        match recovered_to {
            Some(Stage::InDoubt { reason, .. }) => {
                doubt(connection, job.id, &reason, policy, now, now)?;
                recovered.in_doubt.push(job.id);
            }
            Some(stage) => {
                ledger::release(connection, job.id, "nothing was sent", now)?;
                jobs::advance(connection, job.id, IN_HAND, &stage, now)?;
                recovered.queued.push(job.id);
            }
            None => {}
        }
    }
    Ok(recovered)
}

/// A repeat that an earlier policy had planned is left to a person where the policy is to hold.
fn hold_doubtful(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    for job in read::in_stages(connection, &[StageName::InDoubt])? {
        if let Stage::InDoubt {
            reason,
            retry_at: Some(_),
        } = job.stage
        {
            let stage = Stage::InDoubt {
                reason,
                retry_at: None,
            };
            jobs::advance(connection, job.id, &[StageName::InDoubt], &stage, now)?;
        }
    }
    Ok(())
}

fn doubt(
    connection: &Connection,
    id: JobId,
    reason: &Reason,
    policy: DoubtPolicy,
    retry_at: Timestamp,
    now: Timestamp,
) -> Result<(), QueueError> {
    let amount = ledger::doubt(connection, id, &reason.text, now)?;
    let text = format!("{} (about {amount} may have been charged)", reason.text);
    let reason = Reason::new(reason.code.clone(), text);
    jobs::note(connection, id, &reason, None, now)?;
    let doubts = jobs::get(connection, id)?.doubts;
    let stage = step::in_doubt(reason, doubts, policy, retry_at);
    jobs::advance(connection, id, IN_HAND, &stage, now)
}
