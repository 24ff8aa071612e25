//! What a person asks of the whole queue: to be held, to go on, to stop what is being sent.
//!
//! A hold survives restarts; it ends when a person says so or its time is over, and nothing else ends it.

use jiff::Timestamp;
use rusqlite::params;

use super::row::millis;
use super::{Pause, PauseReason, Queue, QueueError, jobs, ledger, outbox, pauses, recover};
use crate::domain::job::{JobId, Reason, Stage, StageName};
use crate::domain::step::DoubtPolicy;

/// The pauses that the service may have ended meanwhile, so that asking again is worth a try.
const WORTH_A_TRY: [PauseReason; 4] = [
    PauseReason::Key,
    PauseReason::Balance,
    PauseReason::RateLimit,
    PauseReason::Offline,
];

impl Queue {
    /// Holds the queue because a person asked for it; a hold that is there keeps its start and gets the
    /// new end. Gives the hold.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn hold(
        &self,
        until: Option<Timestamp>,
        text: String,
        now: Timestamp,
    ) -> Result<Pause, QueueError> {
        self.writer
            .run(move |connection| {
                let is_new = pauses::since(connection, PauseReason::Operator)?.is_none();
                connection
                    .prepare_cached(
                        "INSERT INTO pauses (reason, since_ms, until_ms, text, tries)
                         VALUES (?1, ?2, ?3, ?4, 1)
                         ON CONFLICT (reason) DO UPDATE SET until_ms = ?3, text = ?4",
                    )?
                    .execute(params![
                        PauseReason::Operator.as_str(),
                        millis(now),
                        until.map(millis),
                        text
                    ])?;
                if is_new {
                    outbox::paused(connection, PauseReason::Operator, until, &text, now)?;
                }
                let mut pauses = pauses::all(connection)?.into_iter();
                let pause = pauses.find(|pause| pause.reason == PauseReason::Operator);
                pause.ok_or(QueueError::Damaged {
                    what: "the pause `operator`".to_owned(),
                })
            })
            .await
    }

    /// Ends the hold, and makes every pause due that one request may end; gives the pauses concerned.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn release(&self, now: Timestamp) -> Result<Vec<PauseReason>, QueueError> {
        self.writer
            .run(move |connection| {
                let mut concerned = Vec::new();
                if pauses::end(connection, PauseReason::Operator, false, now)? {
                    concerned.push(PauseReason::Operator);
                }
                for reason in WORTH_A_TRY {
                    let due = connection
                        .prepare_cached("UPDATE pauses SET until_ms = ?2 WHERE reason = ?1")?
                        .execute(params![reason.as_str(), millis(now)])?;
                    if due > 0 {
                        concerned.push(reason);
                    }
                }
                Ok(concerned)
            })
            .await
    }

    /// Stops a job that is being sent and that the service has not seen whole.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if it is not `submitting`.
    pub async fn cancel_in_hand(&self, id: JobId, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let from = [StageName::Submitting];
                jobs::must_be_in(connection, id, &from)?;
                ledger::release(connection, id, "cancelled", now)?;
                let text = "stopped by hand while it was being sent: nothing was charged";
                jobs::note(connection, id, &Reason::new("cancelled", text), None, now)?;
                jobs::advance(connection, id, &from, &Stage::Cancelled, now)
            })
            .await
    }

    /// Follows a new policy on doubts: with [`DoubtPolicy::Hold`] no planned repeat is left.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn adopt_policy(
        &self,
        policy: DoubtPolicy,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| match policy {
                DoubtPolicy::Hold => recover::hold_doubtful(connection, now),
                DoubtPolicy::RetryOnce => Ok(()),
            })
            .await
    }
}
