//! Files that are not complete yet: looking again when it is time, and giving up in a run.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::Intake;
use super::reasons::unsettled_reason;
use crate::discover::{Scope, sample};
use crate::domain::settle::Unsettled;
use crate::domain::timing::{after, age};
use crate::pipeline::{self, PipelineError};
use crate::supervise::blocking;

/// Files that are looked at again in one go.
const LOOKS_AT_ONCE: usize = 1024;

impl Intake {
    pub(super) async fn look_again(&mut self) -> Result<(), PipelineError> {
        for path in self.book.due(self.pipeline.now(), LOOKS_AT_ONCE) {
            self.pipeline.pulse.scanner_turned();
            let _looking = self.pipeline.pulse.look_at(&path);
            let looked = path.clone();
            let Ok(Some(fingerprint)) = blocking(move || sample(&looked)).await? else {
                self.book.forget(&path);
                continue;
            };
            let Some(place) = self.place_of(&path) else {
                self.book.forget(&path);
                continue;
            };
            if let Some(task) = self.settle(&place, path, fingerprint) {
                let (place, path, fingerprint, examined) = task.await;
                self.take_in(&place, path, fingerprint, examined?).await?;
            }
        }
        if self.book.rescan_wanted() {
            for place in self.places.clone() {
                self.scan(&place, Scope::Root).await?;
            }
        }
        Ok(())
    }

    /// Passes over what a run does not wait for; says whether anything is left to wait for.
    pub(super) fn drop_hopeless(&mut self, deadline: Timestamp) -> bool {
        let late = self.pipeline.now() > deadline;
        let hopeless: Vec<(PathBuf, Unsettled)> = self
            .book
            .waiting()
            .filter(|(_, reason, _)| match reason {
                Unsettled::Empty | Unsettled::TemporaryName { .. } | Unsettled::CutShort { .. } => {
                    true
                }
                Unsettled::Growing | Unsettled::TooYoung => late,
            })
            .map(|(path, reason, _)| (path.to_owned(), reason))
            .collect();
        for (path, reason) in hopeless {
            self.book.forget(&path);
            self.skipped(path, unsettled_reason(&reason));
        }
        !self.book.is_empty()
    }

    pub(super) async fn wait_for_next_look(&self) {
        let wait = self.until_next_look();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.pipeline.stop.cancelled() => {}
        }
    }

    pub(super) fn until_next_look(&self) -> Duration {
        let now = self.pipeline.now();
        let next = self
            .book
            .next_look()
            .unwrap_or_else(|| after(now, pipeline::SLOW_TICK));
        age(now, next)
    }
}
