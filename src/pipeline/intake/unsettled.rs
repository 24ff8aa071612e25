//! Files that are not complete yet: looking again when it is time, and giving up in a run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::portion::Portion;
use super::reasons::unsettled_reason;
use super::{Intake, innermost};
use crate::discover::{Scope, Sight, sight};
use crate::domain::settle::Unsettled;
use crate::domain::timing::{after, age};
use crate::pipeline::{self, PipelineError, Place};
use crate::supervise::blocking;

/// Files that are looked at again in one go.
const LOOKS_AT_ONCE: usize = 256;

impl Intake {
    pub(super) async fn look_again(&mut self) -> Result<(), PipelineError> {
        self.look_at_due().await?;
        self.look_at_silent().await?;
        if !self.book().rescan_wanted() {
            return Ok(());
        }
        if let Some(watching) = self.watching.clone() {
            watching.scan_everything();
            return Ok(());
        }
        for place in self.places.clone() {
            self.scan(&place, Scope::Root).await?;
        }
        Ok(())
    }

    /// Looks again at a portion of the files for which it is time; what is complete by now is taken in.
    pub(super) async fn look_at_due(&mut self) -> Result<(), PipelineError> {
        let now = self.pipeline.now();
        let due = self
            .book()
            .due(now, LOOKS_AT_ONCE, |path| self.is_ours(path));
        if due.is_empty() {
            return Ok(());
        }
        let mut owned = Vec::new();
        for path in due {
            self.pipeline.pulse.scanner_turned();
            match self.place_of(&path) {
                Some(place) => owned.push((place, path)),
                None => self.book().forget(&path),
            }
        }
        let looks = blocking(move || {
            let look = |(place, path): (Arc<Place>, PathBuf)| {
                // What a disk that hangs holds, the scan finds that comes when it answers again.
                let seen = place
                    .root
                    .answers_at(&path)
                    .then(|| sight(&place.root, &path));
                (place, path, seen)
            };
            owned.into_iter().map(look).collect::<Vec<_>>()
        });
        let mut portion = Portion::new(None);
        for (place, path, seen) in looks.await? {
            let Some(seen) = seen else {
                self.book().forget(&path);
                self.fell_silent(&place);
                continue;
            };
            let Sight::File { fingerprint, local } = seen else {
                // Gone, or left out by now.
                self.book().forget(&path);
                continue;
            };
            self.put_in(&place, path, fingerprint, &local, &mut portion);
            if portion.is_full(&self.options) {
                self.take_in(std::mem::replace(&mut portion, Portion::new(None)))
                    .await?;
            }
        }
        self.take_in(portion).await
    }

    /// Passes over what a run does not wait for; says whether anything is left to wait for.
    pub(super) fn drop_hopeless(&mut self, deadline: Timestamp) -> bool {
        let late = self.pipeline.now() > deadline;
        let hopeless: Vec<(PathBuf, Unsettled)> = self
            .book()
            .waiting()
            .filter(|(_, reason, _)| match reason {
                Unsettled::Empty
                | Unsettled::TemporaryName { .. }
                | Unsettled::CutShort { .. }
                | Unsettled::Preallocated => true,
                Unsettled::Growing | Unsettled::TooYoung => late,
            })
            .map(|(path, reason, _)| (path.to_owned(), reason))
            .collect();
        for (path, reason) in hopeless {
            self.book().forget(&path);
            self.skipped(path, unsettled_reason(&reason));
        }
        !self.book().is_empty()
    }

    /// Whether a file that is waited for is taken in here; one of no place is anybody's.
    fn is_ours(&self, path: &Path) -> bool {
        // Where there is but one place, or all are taken in together, there is nothing to tell apart.
        self.places.len() == self.all.len()
            || innermost(&self.all, path)
                .is_none_or(|place| self.places.iter().any(|own| Arc::ptr_eq(own, place)))
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
        let next = self.book().next_look(|path| self.is_ours(path));
        let next = next.unwrap_or_else(|| after(now, pipeline::SLOW_TICK));
        age(now, next)
    }
}
