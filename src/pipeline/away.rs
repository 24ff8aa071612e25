//! Recordings whose disk was taken away, or that may not be read any more: nothing of them is sent, written or given up
//! until they are back.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Pipeline, PipelineError, SLOW_TICK};
use crate::discover::ground;
use crate::disk::{PATIENCE, in_time};
use crate::domain::ground::Ground;
use crate::domain::job::{Job, JobId, Obstacle, Reason, SOURCE_AWAY, StageName};
use crate::domain::timing::after;
use crate::queue::Lodged;
use crate::supervise::blocking;

/// How often it is looked up whether a disk is back (30 s).
pub(super) const LOOK_EVERY: Duration = SLOW_TICK;

/// Whether the recording at `source` is missing because its disk is; blocks for a look at it.
pub(super) fn is_away(root: &Path, source: &Path, before: Option<&Ground>) -> bool {
    let Some(before) = before else {
        return false;
    };
    let (root, source, before) = (root.to_owned(), source.to_owned(), before.clone());
    let look = move || has_gone(&root, &source, &before);
    // One that does not answer counts as away.
    in_time(PATIENCE, look).unwrap_or(true)
}

/// Whether the recording at `source` may not be read, as far as can be told in time; blocks for a look at it.
fn is_denied(source: &Path) -> bool {
    let source = source.to_owned();
    let look = move || {
        let opened = crate::source::open(&source).map_err(std::io::Error::from);
        opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    in_time(PATIENCE, look).unwrap_or(true)
}

/// Which of these recordings of one folder are missing because its disk is; blocks for a look at them, 10 s at the
/// most.
fn those_away(lodged: Vec<Lodged>) -> Vec<JobId> {
    let all: Vec<JobId> = lodged.iter().map(|lodged| lodged.id).collect();
    let look = move || {
        let looks_away = |lodged: &&Lodged| {
            let before = lodged.ground.as_ref();
            before.is_some_and(|before| has_gone(&lodged.root, &lodged.source, before))
        };
        let away = lodged.iter().filter(looks_away);
        away.map(|lodged| lodged.id).collect::<Vec<_>>()
    };
    // A disk that does not answer for one does not answer for the others.
    in_time(PATIENCE, look).unwrap_or(all)
}

/// Blocks for as long as the disk does.
fn has_gone(root: &Path, source: &Path, before: &Ground) -> bool {
    match source.symlink_metadata() {
        Ok(_) => false,
        Err(_) => before.has_gone(ground(root, source).ok().as_ref()),
    }
}

/// What is said of a recording that is away.
pub(super) fn away_text(root: &Path) -> String {
    format!(
        "the disk of its folder {} is not there: it waits until that is back, and nothing is paid again",
        root.display()
    )
}

/// Why outputs are not written yet.
pub(super) fn away(root: &Path) -> Reason {
    Reason::new(SOURCE_AWAY, away_text(root))
}

/// Whether a recording is missing because its disk is; blocks for a look at it, 10 s at the most.
pub fn is_lodged_away(lodged: &Lodged) -> bool {
    is_away(&lodged.root, &lodged.source, lodged.ground.as_ref())
}

impl Pipeline {
    /// Whether the recording of a job is missing because its disk is.
    pub(super) async fn has_gone_with_its_disk(&self, id: JobId) -> Result<bool, PipelineError> {
        let lodged = self.queue.lodged(id).await?;
        if lodged.ground.is_none() {
            return Ok(false);
        }
        Ok(blocking(move || is_lodged_away(&lodged)).await?)
    }

    /// Has a claimed job, of which nothing was sent, wait for its disk, and all that is queued from there.
    pub(super) async fn wait_for_disk(&self, job: &Job) -> Result<(), PipelineError> {
        let reason = away(&job.root);
        if job.piece.is_some() {
            let until = after(self.now(), LOOK_EVERY);
            return self.requeue_until(job.id, Some(until), Some(reason)).await;
        }
        tracing::warn!(folder = %job.root.display(), "its disk is not there: its recordings wait");
        let (root, first) = (job.root.clone(), JobId(0));
        let queued = self.queue.lodged_in(StageName::Queued, root, first);
        let queued = queued.await?;
        let mut ids = blocking(move || those_away(queued)).await?;
        ids.push(job.id);
        let obstacle = Obstacle::SourceAway;
        self.kept(|| {
            self.queue
                .wait_for_source(ids.clone(), obstacle, reason.text.clone(), self.now())
        })
        .await
    }

    /// Has a claimed job, of which nothing was sent, wait until its recording may be read.
    pub(super) async fn wait_for_permission(
        &self,
        job: &Job,
        reason: Reason,
    ) -> Result<(), PipelineError> {
        if job.piece.is_some() {
            let until = after(self.now(), LOOK_EVERY);
            return self.requeue_until(job.id, Some(until), Some(reason)).await;
        }
        tracing::warn!(source = %job.source.display(), "it waits: {}", reason.text);
        let obstacle = Obstacle::SourceUnreadable;
        self.kept(|| {
            self.queue
                .wait_for_source(vec![job.id], obstacle, reason.text.clone(), self.now())
        })
        .await
    }

    /// Ends the jobs of `root`, which is there, whose recordings are not: nothing else comes by them in a run. They
    /// belong to the run, which tells of them.
    pub(super) async fn end_vanished(&self, root: &Path) -> Result<(), PipelineError> {
        self.end_vanished_in(StageName::Queued, root).await?;
        self.end_vanished_in(StageName::Split, root).await
    }

    async fn end_vanished_in(&self, stage: StageName, root: &Path) -> Result<(), PipelineError> {
        let mut last = JobId(0);
        loop {
            let page = self.queue.lodged_in(stage, root.to_owned(), last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.id;
            let vanished = blocking(move || {
                let vanished = page.iter().filter(|lodged| {
                    let looked = lodged.source.symlink_metadata();
                    let is_gone = looked.is_err_and(|error| error.kind() == ErrorKind::NotFound);
                    is_gone && !is_lodged_away(lodged)
                });
                vanished.map(|lodged| lodged.id).collect::<Vec<_>>()
            });
            for id in vanished.await? {
                self.queue.enter_scope(id).await?;
                // The pieces of one that was cut end when it is their turn, and what is paid of it is kept.
                if stage == StageName::Queued {
                    self.vanished(id).await?;
                }
                self.tell(id).await?;
            }
        }
    }

    /// The recording of a job is not there any more.
    pub(super) async fn vanished(&self, id: JobId) -> Result<(), PipelineError> {
        let reason = Reason::new("source_vanished", "the recording is not there any more");
        self.fail(id, reason, None).await
    }

    /// Looks whether disks are back that recordings wait for.
    pub(super) async fn look_for_disks(self: &Arc<Self>) -> Result<(), PipelineError> {
        for lodged in self.queue.away().await? {
            let (root, ground) = (lodged.root.clone(), lodged.ground.clone());
            if blocking(move || is_lodged_away(&lodged)).await? {
                continue;
            }
            tracing::info!(folder = %root.display(), "its disk is back: its recordings go on");
            let back = |now: Timestamp| self.queue.disk_is_back(root.clone(), ground.clone(), now);
            while self.kept(|| back(self.now())).await? {}
            self.bell.notify_one();
        }
        self.look_for_permission().await
    }

    /// Looks whether recordings may be read that wait for that.
    async fn look_for_permission(self: &Arc<Self>) -> Result<(), PipelineError> {
        let mut last = JobId(0);
        loop {
            let page = self.queue.unreadable(last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = end.id;
            let readable = blocking(move || {
                let readable = page.into_iter().filter(|lodged| !is_denied(&lodged.source));
                readable.map(|lodged| lodged.id).collect::<Vec<_>>()
            });
            let readable = readable.await?;
            if !readable.is_empty() {
                tracing::info!(
                    "{} recordings can be read again: they go on",
                    readable.len()
                );
                self.kept(|| self.queue.let_in_again(readable.clone(), self.now()))
                    .await?;
                self.bell.notify_one();
            }
        }
    }
}
