//! What a person asks for, and what the whole queue waits for.

use jiff::Timestamp;
use rusqlite::Connection;

use super::pauses::{self, Pause, PauseReason};
use super::{Queue, QueueError, jobs};
use crate::domain::job::{Job, JobId};

impl Queue {
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
                    let job = whole(connection, id)?;
                    match jobs::retry(connection, &job, now) {
                        Ok(()) => {
                            jobs::ask_for(connection, id, now)?;
                            queued.push(id);
                        }
                        Err(QueueError::Elsewhere { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(queued)
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
                    let job = whole(connection, id)?;
                    match jobs::cancel(connection, job.id, now) {
                        Ok(()) => cancelled.push(id),
                        Err(QueueError::Elsewhere { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(cancelled)
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
    pub async fn resume(&self, reason: PauseReason, now: Timestamp) -> Result<bool, QueueError> {
        self.writer
            .run(move |connection| pauses::end(connection, reason, false, now))
            .await
    }

    /// Ends the pauses that a fresh start may try again at once, free of charge; what the service or a
    /// person asked for stays.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn resume_at_start(&self, now: Timestamp) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                for reason in [
                    PauseReason::Key,
                    PauseReason::Balance,
                    PauseReason::Budget,
                    PauseReason::Offline,
                    PauseReason::Disk,
                ] {
                    pauses::end(connection, reason, true, now)?;
                }
                Ok(())
            })
            .await
    }

    /// The pauses, those that a person has to mend first.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.writer.read(pauses::all).await
    }
}

/// The job that a person means: who names a piece means its recording.
fn whole(connection: &Connection, id: JobId) -> Result<Job, QueueError> {
    let job = jobs::get(connection, id)?;
    match job.piece {
        Some(piece) => jobs::get(connection, piece.parent),
        None => Ok(job),
    }
}
