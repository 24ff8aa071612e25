//! The steps of a submit until it is answered: claimed, committed, put back, in doubt.

use jiff::Timestamp;

use super::claim::{self, Claimed, Terms};
use super::{IN_HAND, MOST_FAILURES, Queue, QueueError, jobs, ledger, recover};
use crate::clock::Calendar;
use crate::domain::job::{JobId, Reason, Stage, StageName};
use crate::domain::route::Chosen;
use crate::domain::step::DoubtPolicy;

impl Queue {
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

    /// Claims up to `most` jobs in one go, until there is nothing more to claim; of each provider that costs nothing,
    /// which works on one recording at a time, one at the most.
    ///
    /// # Errors
    /// Any error of the table; then nothing is claimed.
    pub async fn claim_many(
        &self,
        terms: Terms,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, QueueError> {
        let calendar = Calendar::around(now);
        self.writer
            .run(move |connection| claim::claim_many(connection, terms, most, calendar, now))
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

    /// Freezes the route by which a job goes, and why.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn set_route(&self, id: JobId, route: Chosen) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| jobs::set_route(connection, id, Some(&route)))
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
                if stage.has_no_way() {
                    jobs::set_route(connection, id, None)?;
                }
                jobs::advance(connection, id, &[StageName::Submitting], &stage, now)
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
            .run(move |connection| recover::doubt(connection, id, &reason, policy, retry_at, now))
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
}
