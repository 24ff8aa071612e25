//! One scan of a folder, in portions, so that what arrives elsewhere meanwhile need not wait for its end.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Intake;
use super::portion::Portion;
use super::reasons::io_code;
use crate::discover::{RootState, ScanReport, Scope, scan};
use crate::domain::job::Reason;
use crate::pipeline::{PipelineError, Place};
use crate::supervise::blocking;

/// Found files that wait to be considered.
const FOUND_AHEAD: usize = 256;

impl Intake {
    pub(super) async fn scan(
        &mut self,
        place: &Arc<Place>,
        scope: Scope,
    ) -> Result<(), PipelineError> {
        let began = Instant::now();
        let _looking = self.pipeline.pulse.look_at(place.root.path());
        let leave = place.leave_existing && self.is_new_folder(place).await?;
        let whole = scope == Scope::Root;
        let before = self.paused.clone();
        self.paused.forget(place, &scope);
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
        let mut portion = Portion::new(leave);
        loop {
            self.pipeline.pulse.scanner_turned();
            tokio::select! {
                biased;
                () = self.pipeline.stop.cancelled() => return Ok(()),
                next = found.recv() => match next {
                    Some(next) => {
                        self.consider(place, next, &mut portion);
                        if portion.is_full(&self.options) {
                            self.take_in(std::mem::replace(&mut portion, Portion::new(leave))).await?;
                            self.let_others_in().await?;
                        }
                    }
                    None => break,
                },
                done = &mut scanning, if report.is_none() => report = Some(done?),
            }
        }
        let report = match report {
            Some(report) => report,
            None => scanning.await?,
        };
        self.take_in(portion).await?;
        self.tell_paused(&before).await?;
        self.pipeline.meter.scanned(began.elapsed());
        self.note_scan(place, whole, report).await
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
            let scanned_at = Some(self.pipeline.now());
            self.remember_folder(&path, scanned_at).await?;
        }
        Ok(())
    }
}
