//! The steps of taking recordings in: what is known of files, and what is queued.

use std::path::PathBuf;

use jiff::Timestamp;

use super::adopt::{self, Adoption};
use super::arrivals::{self, Arrival, Asked, Gone, Kin, TakenIn};
use super::folders;
use super::jobs::{self, Enqueued};
use super::proposals;
use super::read::{self, FolderRow};
use super::sources::{self, Known};
use super::{Queue, QueueError};
use crate::domain::existing::LeftAlone;
use crate::domain::job::{Candidate, ContentHash, Job, JobId, Publication, Settings};
use crate::domain::settle::Fingerprint;

impl Queue {
    /// What is known of each of these files that are still as they were, in one go.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn known_many(
        &self,
        files: Vec<(PathBuf, Fingerprint)>,
    ) -> Result<Vec<Option<Known>>, QueueError> {
        self.writer
            .look(move |connection| {
                // One look at the file and its locks for all, not one for every query.
                let snapshot = connection.unchecked_transaction()?;
                let known = files
                    .iter()
                    .map(|(path, fingerprint)| sources::known(&snapshot, path, fingerprint));
                known.collect()
            })
            .await
    }

    /// Whether each of these files was left alone under another name for being there before the first start.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn were_left_alone(&self, files: Vec<Fingerprint>) -> Result<Vec<bool>, QueueError> {
        self.writer
            .run(move |connection| {
                let files = files.iter();
                files
                    .map(|file| sources::was_left_alone(connection, file))
                    .collect()
            })
            .await
    }

    /// The old file that was left alone at each of these paths, whatever lies there now.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn left_at(&self, paths: Vec<PathBuf>) -> Result<Vec<Option<LeftAlone>>, QueueError> {
        self.writer
            .run(move |connection| {
                let paths = paths.iter();
                paths
                    .map(|path| sources::left_at(connection, path))
                    .collect()
            })
            .await
    }

    /// Keeps the marks of old files that are left alone.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn keep_marks(&self, marks: Vec<(PathBuf, ContentHash)>) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                let mut marks = marks.iter();
                marks.try_for_each(|(path, mark)| sources::keep_mark(connection, path, *mark))
            })
            .await
    }

    /// What the table has of each of these recordings, in one go.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn kin(
        &self,
        recordings: Vec<(PathBuf, ContentHash, Settings)>,
    ) -> Result<Vec<Kin>, QueueError> {
        self.writer
            .look(move |connection| {
                // One look at the file and its locks for all, not one for every query.
                let snapshot = connection.unchecked_transaction()?;
                let kin = recordings.iter().map(|(source, hash, settings)| {
                    arrivals::kin(&snapshot, source, *hash, settings)
                });
                let kin = kin.collect::<Result<_, _>>()?;
                snapshot.finish()?;
                Ok(kin)
            })
            .await
    }

    /// Records what was found out about files, and queues those that are recordings, in one transaction;
    /// gives what became of each. `force` queues again what has ended, `scoped` takes the jobs into the
    /// scope of this process; what is `asked` of outputs holds for those that are still to come.
    ///
    /// # Errors
    /// Any error of the table; then nothing of it is recorded.
    pub async fn take_in(
        &self,
        arrivals: Vec<Arrival>,
        force: bool,
        scoped: bool,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Vec<Option<Enqueued>>, QueueError> {
        let how = TakenIn {
            force,
            scoped,
            proposed: !self.is_agreed(),
            asked,
        };
        self.writer
            .run(move |connection| arrivals::take_in(connection, &arrivals, how, now))
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

    /// Keeps when stenod was started first with each of these folders.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn meet_folders(
        &self,
        folders: Vec<PathBuf>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| folders::meet(connection, &folders, now))
            .await
    }

    /// Keeps which content of a folder was seen whole.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn saw_folder(&self, path: PathBuf, identity: String) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| folders::saw(connection, &path, &identity))
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
        gone: Option<Gone>,
        force: bool,
        now: Timestamp,
    ) -> Result<Enqueued, QueueError> {
        self.writer
            .run(move |connection| jobs::offer(connection, &candidate, gone, force, false, now))
            .await
    }

    /// Sends a done job back to its stored reply, so that its outputs are written again, perhaps in more
    /// formats; free of charge. Says whether it is done now, or kept until somebody has agreed.
    ///
    /// # Errors
    /// [`QueueError::Elsewhere`] if the job is not done.
    pub async fn publish_again(
        &self,
        job: Job,
        publication: Publication,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        let is_agreed = self.is_agreed();
        self.writer
            .run(move |connection| match is_agreed {
                true => jobs::publish_again(connection, &job, &publication, now),
                false => proposals::keep_outputs(connection, job.id, &job.base, &publication),
            })
            .await?;
        Ok(is_agreed)
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
            .run(move |connection| arrivals::enter_scope(connection, id))
            .await
    }
}
