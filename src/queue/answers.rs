//! The steps from an answer to a transcript: kept, awaited, charged, written.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;

use super::outputs::{self, Output, RawReply, ReplyKind, StoredReply};
use super::style::{self, Rendered};
use super::{Queue, QueueError, jobs, ledger, pieces, recover};
use crate::domain::job::{
    ContentHash, JobId, Overdue, Reason, ReplyId, Stage, StageName, Ticket, Trouble,
};
use crate::domain::money::Amount;
use crate::domain::silence::Listened;
use crate::domain::step::DoubtPolicy;

impl Queue {
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
            .run(move |connection| receive(connection, id, &reply, now))
            .await
    }

    /// Keeps the reply of a submit that was taken, like [`Self::store_reply`], and that `address` takes
    /// recordings.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if no reply is expected.
    pub async fn accept(
        &self,
        id: JobId,
        reply: RawReply,
        address: Option<String>,
        now: Timestamp,
    ) -> Result<ReplyId, QueueError> {
        self.writer
            .run(move |connection| {
                if let Some(address) = address {
                    outputs::remember_service(connection, &address, now)?;
                }
                receive(connection, id, &reply, now)
            })
            .await
    }

    /// Keeps an answer of which nothing can be made; its job is in doubt until a person decides.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not in hand.
    pub async fn keep_unread(
        &self,
        id: JobId,
        reply: RawReply,
        reason: Reason,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                outputs::store_reply(connection, id, ReplyKind::Service, &reply, now)?;
                jobs::set_request_id(connection, id, reply.request_id.as_deref())?;
                recover::doubt(connection, id, &reason, DoubtPolicy::Hold, now, now)
            })
            .await
    }

    /// Whether `address` has ever taken a recording.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn has_accepted(&self, address: String) -> Result<bool, QueueError> {
        self.writer
            .look(move |connection| outputs::is_service(connection, &address))
            .await
    }

    /// A reply that was kept.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn reply(&self, id: ReplyId) -> Result<StoredReply, QueueError> {
        self.writer
            .look(move |connection| outputs::reply(connection, id))
            .await
    }

    /// Notes what happened to a job, for `show`.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn note(&self, id: JobId, reason: Reason, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| jobs::note(connection, id, &reason, None, now))
            .await
    }

    /// Keeps what was found in the recording that a reply is about.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn keep_listened(&self, id: ReplyId, listened: Listened) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| outputs::keep_listened(connection, id, &listened))
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

    /// Puts a submit whose reply names no cost into the ledger: its estimate, or that what was set aside
    /// may have been paid.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn charge_unnamed(&self, id: JobId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| ledger::charge_unnamed(connection, id, now))
            .await
    }

    /// Whether a later job belongs to the same file, so that this one's outputs have no place there.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn is_superseded(&self, id: JobId) -> Result<bool, QueueError> {
        self.writer
            .look(move |connection| outputs::is_superseded(connection, id))
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
            .look(move |connection| outputs::written_under(connection, &base, &source))
            .await
    }

    /// The files that belong to a job by today's names.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn outputs(&self, id: JobId) -> Result<Vec<Output>, QueueError> {
        self.writer
            .look(move |connection| outputs::of_today(connection, id))
            .await
    }

    /// All files that were written for a job, also those aside.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn every_output(&self, id: JobId) -> Result<Vec<Output>, QueueError> {
        self.writer
            .look(move |connection| outputs::of_job(connection, id))
            .await
    }

    /// The transcript lies beside the recording; one of which pieces are missing is not done by that.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `received`.
    pub async fn done(&self, id: JobId, reply: ReplyId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| done(connection, id, reply, now))
            .await?;
        self.told_late(id, now).await
    }

    /// What a job's files are and that its transcript lies there, in one go; `notes` are for `show`.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not `received`.
    pub async fn published(
        &self,
        written: Rendered,
        notes: Vec<Reason>,
        reply: ReplyId,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let id = written.job;
        self.writer
            .run(move |connection| {
                style::remember_one(connection, &written)?;
                for reason in &notes {
                    jobs::note(connection, id, reason, None, now)?;
                }
                done(connection, id, reply, now)
            })
            .await?;
        self.told_late(id, now).await
    }

    /// A mistake that a simulation plants; nothing else.
    async fn told_late(&self, id: JobId, now: Timestamp) -> Result<(), QueueError> {
        #[cfg(not(test))]
        let _unused: (JobId, Timestamp) = (id, now);
        #[cfg(test)]
        if crate::faults::planted(crate::faults::Bug::TellAfterDone) {
            use crate::domain::notice::Event;
            let late = move |connection: &Connection| {
                super::outbox::tell(connection, Event::Done, id, now)
            };
            self.writer.run(late).await?;
        }
        Ok(())
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
}

fn receive(
    connection: &Connection,
    id: JobId,
    reply: &RawReply,
    now: Timestamp,
) -> Result<ReplyId, QueueError> {
    let stored = outputs::store_reply(connection, id, ReplyKind::Service, reply, now)?;
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
}

/// The transcript of a job lies there; one of which pieces are missing is not done by that.
fn done(
    connection: &Connection,
    id: JobId,
    reply: ReplyId,
    now: Timestamp,
) -> Result<(), QueueError> {
    jobs::clear_forced(connection, id)?;
    let from = [StageName::Received];
    match pieces::missing(connection, id)? {
        None => jobs::advance(connection, id, &from, &Stage::Done { reply }, now),
        Some(stage) => {
            if let Some(reason) = stage.reason() {
                jobs::note(connection, id, &reason, None, now)?;
            }
            jobs::advance(connection, id, &from, &stage, now)
        }
    }
}
