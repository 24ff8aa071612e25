//! Polling tickets: free of charge, repeated until the run has ended, never a reason to send again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{Pipeline, PipelineError};
use crate::domain::job::{Job, JobId, Overdue, Reason, Ticket};
use crate::domain::step::{self, OVERDUE_POLL_WAIT, UNKNOWN_RUN_GRACE, poll_wait};
use crate::domain::timing::{after, age};
use crate::domain::verdict::{Halt, PollVerdict, poll_verdict};
use crate::queue::{PauseReason, QueueError, RawReply};
use crate::speech::{Answer, NoAnswer, replies_of};

/// How many answers in a row that cannot be read are believed to be all that will come.
const MOST_UNREADABLE: u32 = 5;

/// How many answers in a row about a run could not be read. Lost with the process, which costs a few polls.
#[derive(Debug, Default)]
pub struct Unreadable(Mutex<HashMap<JobId, u32>>);

impl Unreadable {
    /// One more; how many there are by now.
    fn count(&self, id: JobId) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(id).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// What came can be read again.
    fn forget(&self, id: JobId) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&id);
    }
}

impl Pipeline {
    /// Asks how a run is doing, and records what came of it.
    pub(super) async fn poll(
        self: &Arc<Self>,
        job: Job,
        ticket: Ticket,
        submitted_at: Timestamp,
    ) -> Result<(), PipelineError> {
        let Some(service) = self.service.clone() else {
            return self.poll_later(&job, submitted_at, None).await;
        };
        self.limiter.turn().await;
        let answer = tokio::select! {
            biased;
            answer = service.poll(&ticket) => answer,
            () = self.stop.cancelled() => return Ok(()),
        };
        match answer {
            Ok(answer) => match self.record_poll(&job, submitted_at, answer).await {
                // It was given up by hand while the service was being asked.
                Err(PipelineError::Queue(QueueError::Elsewhere { .. })) => Ok(()),
                recorded => recorded,
            },
            Err(NoAnswer::Unreachable(text)) => {
                let text = format!("the service cannot be reached: {text}");
                self.halt(Halt::Offline, None, &Reason::new("offline", text))
                    .await?;
                self.poll_later(&job, submitted_at, None).await
            }
            Err(error) => {
                tracing::debug!(job_id = job.id.0, "a poll got no answer: {error}");
                self.poll_later(&job, submitted_at, None).await
            }
        }
    }

    async fn record_poll(
        &self,
        job: &Job,
        submitted_at: Timestamp,
        answer: Answer,
    ) -> Result<(), PipelineError> {
        let shape = replies_of(job.settings.provider).shape(&answer.body);
        let verdict = poll_verdict(answer.status, &shape);
        if (200..300).contains(&answer.status) {
            self.resume(PauseReason::Offline).await?;
        }
        if verdict != PollVerdict::Unreadable {
            self.unreadable.forget(job.id);
        }
        match verdict {
            PollVerdict::Completed => {
                let reply = RawReply {
                    status: answer.status,
                    body: answer.body,
                    request_id: answer.request_id,
                };
                self.kept(|| self.queue.store_reply(job.id, reply.clone(), self.now()))
                    .await?;
                self.bell.notify_one();
                Ok(())
            }
            PollVerdict::Running => self.poll_later(job, submitted_at, None).await,
            PollVerdict::Unknown if age(submitted_at, self.now()) < UNKNOWN_RUN_GRACE => {
                self.poll_later(job, submitted_at, None).await
            }
            PollVerdict::Unknown => {
                self.poll_later(job, submitted_at, Some(Overdue::RunUnknown))
                    .await
            }
            PollVerdict::Unreadable => {
                let count = self.unreadable.count(job.id);
                if count == 1 {
                    tracing::warn!(
                        job_id = job.id.0,
                        "the answer about a run cannot be read: asking again"
                    );
                }
                let trouble = (count >= MOST_UNREADABLE).then_some(Overdue::Unreadable);
                self.poll_later(job, submitted_at, trouble).await
            }
            PollVerdict::Failed(reason) => {
                self.fail(job.id, reason, answer.request_id).await?;
                self.tell(job.id).await
            }
            PollVerdict::Halt(halt, reason) => {
                self.halt(halt, answer.retry_after, &reason).await?;
                self.poll_later(job, submitted_at, None).await
            }
        }
    }

    async fn poll_later(
        &self,
        job: &Job,
        submitted_at: Timestamp,
        trouble: Option<Overdue>,
    ) -> Result<(), PipelineError> {
        let now = self.now();
        let overdue = trouble.or_else(|| step::overdue(submitted_at, job.duration, now));
        let wait = match overdue {
            Some(_) => self.chance.about(OVERDUE_POLL_WAIT),
            None => {
                let age = age(submitted_at, now);
                poll_wait(age, self.pace.poll_interval, self.chance.fraction())
            }
        };
        self.kept(|| self.queue.poll_next(job.id, after(now, wait), overdue, now))
            .await?;
        if overdue.is_some() && job.stage.reason().is_none() {
            self.tell(job.id).await?;
        }
        Ok(())
    }
}
