//! The steps of taking recordings in: what is known of files, and what is queued.

use std::path::PathBuf;

use jiff::Timestamp;

use super::adopt::{self, Adoption};
use super::jobs::{self, Enqueued};
use super::read::{self, FolderRow};
use super::sources::{self, Known};
use super::{Queue, QueueError};
use crate::domain::job::{Candidate, ContentHash, Job, JobId, Publication, Settings, Stage};
use crate::domain::settle::Fingerprint;

impl Queue {
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
                    .prepare_cached(
                        "INSERT OR IGNORE INTO temp.scope (id)
                         SELECT id FROM jobs WHERE id = ?1 OR parent = ?1",
                    )?
                    .execute([id.0])?;
                Ok(())
            })
            .await
    }
}

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
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt { .. } => false,
    }
}
