//! One scan of a folder, and what is done with each thing that it comes across.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::sync::mpsc;

use super::reasons::{io_code, mode_name};
use super::{Examined, Intake, consider_skip};
use crate::discover::{Found, RootState, ScanReport, Scope, scan};
use crate::domain::job::Reason;
use crate::domain::settle::{Fingerprint, Settling, one_shot};
use crate::pipeline::{PipelineError, Place};
use crate::queue::{FolderRow, Known};
use crate::supervise::blocking;

/// Files that are probed and hashed at once.
const EXAMINERS: usize = 2;
/// Found files that wait to be considered.
const FOUND_AHEAD: usize = 256;

type Examining = BoxFuture<
    'static,
    (
        Arc<Place>,
        PathBuf,
        Fingerprint,
        Result<Examined, PipelineError>,
    ),
>;

impl Intake {
    pub(super) async fn scan(
        &mut self,
        place: &Arc<Place>,
        scope: Scope,
    ) -> Result<(), PipelineError> {
        let _looking = self.pipeline.pulse.look_at(place.root.path());
        let leave = place.leave_existing && self.is_new_folder(place).await?;
        let whole = scope == Scope::Root;
        let (sender, mut found) = mpsc::channel(FOUND_AHEAD);
        let root = place.root.clone();
        let scanning = blocking(move || {
            scan(
                &root,
                &scope,
                &mut |found| match sender.blocking_send(found) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                },
            )
        });
        tokio::pin!(scanning);
        let mut report = None;
        let mut examining: FuturesOrdered<Examining> = FuturesOrdered::new();
        loop {
            self.pipeline.pulse.scanner_turned();
            tokio::select! {
                biased;
                Some((place, path, fingerprint, examined)) = examining.next() => {
                    self.take_in(&place, path, fingerprint, examined?).await?;
                }
                next = found.recv(), if examining.len() < EXAMINERS => match next {
                    _ if self.pipeline.stop.is_cancelled() => break,
                    Some(next) => if let Some(task) = self.consider(place, next, leave).await? {
                        examining.push_back(task);
                    },
                    None if examining.is_empty() && report.is_some() => break,
                    None => if report.is_none() { report = Some((&mut scanning).await?); },
                },
                done = &mut scanning, if report.is_none() => report = Some(done?),
            }
        }
        match report {
            Some(report) => self.note_scan(place, whole, report).await,
            None => Ok(()),
        }
    }

    async fn is_new_folder(&self, place: &Place) -> Result<bool, PipelineError> {
        let folders = self.pipeline.queue.read(|reader| reader.folders()).await?;
        let known = folders
            .iter()
            .find(|folder| folder.path == place.root.path());
        Ok(known.is_none_or(|folder| folder.scanned_at.is_none()))
    }

    async fn note_scan(
        &mut self,
        place: &Place,
        whole: bool,
        report: ScanReport,
    ) -> Result<(), PipelineError> {
        let path = place.root.path().to_owned();
        let trouble = match report.root {
            RootState::Present | RootState::SameAs(_) => None,
            RootState::Missing => Some(Reason::new("missing", "it is not there")),
            RootState::Unreadable(error) => Some(Reason::new(
                io_code(&error),
                format!("it cannot be read: {error}"),
            )),
        };
        if let Some(reason) = trouble {
            tracing::warn!(folder = %path.display(), "{}", reason.text);
            self.troubles.insert(path, reason);
            return Ok(());
        }
        self.troubles.remove(&path);
        if whole && !report.stopped && path.is_dir() {
            let known = self.shown_modes.iter().find(|mode| mode.path == path);
            let row = FolderRow {
                path,
                mode: known.map(|mode| mode_name(mode.mode).to_owned()),
                mode_reason: known.map(|mode| mode.reason.to_string()),
                trouble: None,
                scanned_at: Some(self.pipeline.now()),
            };
            let queue = &self.pipeline.queue;
            let now = self.pipeline.now();
            self.pipeline
                .kept(|| queue.remember_folder(row.clone(), now))
                .await?;
        }
        Ok(())
    }

    /// Decides what is to be done with something that a scan found; gives the examination, if one is due.
    async fn consider(
        &mut self,
        place: &Arc<Place>,
        found: Found,
        leave: bool,
    ) -> Result<Option<Examining>, PipelineError> {
        let (path, fingerprint) = match found {
            Found::Recording { path, fingerprint } => (path, fingerprint),
            Found::Skipped { path, reason } => {
                if let Some(reason) = consider_skip(&reason) {
                    self.skipped(path, reason);
                }
                return Ok(None);
            }
        };
        match self.pipeline.queue.known(path.clone(), fingerprint).await? {
            Some(Known::Skipped(reason)) if !self.asks_again(&reason) => {
                self.skipped(path, reason);
                Ok(None)
            }
            Some(known @ Known::Recording { .. }) => {
                self.enqueue(place, path, &fingerprint, &known).await?;
                Ok(None)
            }
            None if leave => {
                let reason = Reason::new("existing", "it was there before the first start");
                self.remember(place, &path, fingerprint, Known::Skipped(reason))
                    .await?;
                Ok(None)
            }
            Some(Known::Skipped(_)) | None => Ok(self.settle(place, path, fingerprint)),
        }
    }

    /// Whether a person who names a place wants what was passed over for being there already.
    fn asks_again(&self, reason: &Reason) -> bool {
        self.options.force
            || (self.options.one_shot && reason.code == "existing" && self.pipeline.pace.scoped)
    }

    pub(super) fn settle(
        &mut self,
        place: &Arc<Place>,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Option<Examining> {
        let settle = if self.options.one_shot {
            one_shot(place.settle)
        } else {
            place.settle
        };
        match self
            .book
            .observe(&path, settle, fingerprint, self.pipeline.now())
        {
            Settling::Wait { reason, .. } => {
                tracing::debug!(source = %path.display(), "waiting: {reason}");
                None
            }
            Settling::Complete => {
                let (place, pipeline) = (place.clone(), self.pipeline.clone());
                Some(Box::pin(async move {
                    let examined = pipeline.examine_in_turn(path.clone(), fingerprint).await;
                    (place, path, fingerprint, examined)
                }))
            }
        }
    }

    pub(super) async fn take_in(
        &mut self,
        place: &Arc<Place>,
        path: PathBuf,
        fingerprint: Fingerprint,
        examined: Examined,
    ) -> Result<(), PipelineError> {
        match examined {
            Examined::Recording(known) => {
                self.remember(place, &path, fingerprint, known.clone())
                    .await?;
                self.enqueue(place, path, &fingerprint, &known).await
            }
            Examined::Skipped { reason, lasting } => {
                if lasting {
                    let known = Known::Skipped(reason.clone());
                    self.remember(place, &path, fingerprint, known).await?;
                }
                self.skipped(path, reason);
                Ok(())
            }
            Examined::Changed => {
                self.book
                    .observe(&path, place.settle, fingerprint, self.pipeline.now());
                Ok(())
            }
        }
    }

    async fn remember(
        &self,
        place: &Place,
        path: &Path,
        fingerprint: Fingerprint,
        known: Known,
    ) -> Result<(), PipelineError> {
        let root = place.root.path().to_owned();
        let now = self.pipeline.now();
        let queue = &self.pipeline.queue;
        let remember = || {
            queue.remember(
                path.to_owned(),
                root.clone(),
                fingerprint,
                known.clone(),
                now,
            )
        };
        self.pipeline.kept(remember).await
    }
}
