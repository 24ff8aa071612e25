//! Handling alone what was in hand when the process went down.
//!
//! Recordings in hand share the quarantine; a suspect has it alone, so that another fall has one cause.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::intake::examine_soon;
use super::{Examined, Pipeline, PipelineError};
use crate::domain::fall::{self, Suspicion};
use crate::domain::job::{Job, ReplyId, Trouble};
use crate::domain::settle::Fingerprint;

/// Who has recordings in hand: many share it, or one suspect has it alone.
#[derive(Debug, Default)]
pub struct Quarantine(Arc<RwLock<()>>);

/// The right to have a recording in hand.
#[derive(Debug)]
pub(super) enum Turn {
    /// Beside others.
    Shared { _guard: OwnedRwLockReadGuard<()> },
    /// With nothing else in hand.
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Quarantine {
    /// A turn beside others, unless a suspect has its turn or waits for it.
    pub(super) fn try_shared(&self) -> Option<Turn> {
        let guard = self.0.clone().try_read_owned().ok()?;
        Some(Turn::Shared { _guard: guard })
    }

    /// A turn alone, unless anything is in hand.
    pub(super) fn try_alone(&self) -> Option<Turn> {
        let guard = self.0.clone().try_write_owned().ok()?;
        Some(Turn::Alone { _guard: guard })
    }

    async fn turn(&self, is_suspect: bool) -> Turn {
        if is_suspect {
            let guard = self.0.clone().write_owned().await;
            Turn::Alone { _guard: guard }
        } else {
            let guard = self.0.clone().read_owned().await;
            Turn::Shared { _guard: guard }
        }
    }
}

impl Pipeline {
    /// Acts on a claimed suspect, which nothing counts against any more when the process lives on.
    pub(super) async fn submit_alone(self: &Arc<Self>, job: Job) -> Result<(), PipelineError> {
        let source = job.source.clone();
        tracing::warn!(
            job_id = job.id.0,
            source = %source.display(),
            "stenod went down while it was in hand: it is tried alone"
        );
        self.submit(job).await?;
        if !self.let_go.is_cancelled() {
            self.kept(|| self.queue.acquit(source.clone())).await?;
        }
        self.bell.notify_one();
        Ok(())
    }

    /// Makes of a stored reply what is to be made of it, when it is its turn. One with which the process went
    /// down too often stays as it is, paid for, until somebody has it tried again.
    pub(super) async fn interpret_in_turn(
        self: &Arc<Self>,
        job: Job,
        reply: ReplyId,
    ) -> Result<(), PipelineError> {
        let (id, source) = (job.id, job.source.clone());
        let suspicion = self.queue.suspicion(source.clone()).await?;
        if suspicion.is_some_and(Suspicion::is_poison) {
            self.kept(|| self.queue.acquit(source.clone())).await?;
            let trouble = Trouble {
                reason: fall::poison(),
                retry_at: Timestamp::MAX,
                tries: 0,
            };
            self.kept(|| self.queue.trouble(id, reply, trouble.clone(), self.now()))
                .await?;
            return self.tell(id).await;
        }
        let _turn = self.quarantine.turn(suspicion.is_some()).await;
        let in_hand = self.queue.look_into(source.clone());
        match self.interpret(job, reply).await {
            Err(PipelineError::Task(panicked)) => {
                in_hand.keep();
                Err(panicked.into())
            }
            interpreted => {
                drop(in_hand);
                if suspicion.is_some() {
                    self.kept(|| self.queue.acquit(source.clone())).await?;
                    self.bell.notify_one();
                }
                interpreted
            }
        }
    }

    /// Examines a file when it is its turn; one with which the process went down too often is passed over.
    pub(super) async fn examine_in_turn(
        &self,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Result<Examined, PipelineError> {
        let suspicion = self.queue.suspicion(path.clone()).await?;
        if suspicion.is_some_and(Suspicion::is_poison) {
            self.kept(|| self.queue.acquit(path.clone())).await?;
            return Ok(Examined::Skipped {
                reason: fall::poison(),
                lasting: true,
            });
        }
        let _turn = self.quarantine.turn(suspicion.is_some()).await;
        let in_hand = self.queue.look_into(path.clone());
        let reporter = self.reporter.clone();
        match examine_soon(path.clone(), fingerprint, self.now(), reporter).await {
            Ok(examined) => {
                drop(in_hand);
                if suspicion.is_some() {
                    self.kept(|| self.queue.acquit(path.clone())).await?;
                    self.bell.notify_one();
                }
                Ok(examined)
            }
            Err(panicked) => {
                in_hand.keep();
                Err(panicked.into())
            }
        }
    }
}
