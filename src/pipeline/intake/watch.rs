//! Following the hints of a watcher, and showing how each folder is watched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::Intake;
use super::reasons::mode_name;
use crate::discover::{Hint, Hints, Presence, Scope, Watcher};
use crate::pipeline::PipelineError;

/// The most hints that are put off while a large scan goes on; more become one scan of everything.
const MOST_PUT_OFF: usize = 1024;
/// The most small scans between two portions of a large one.
const MOST_BETWEEN: usize = 64;
/// How often files are looked at again during a large scan: reading them takes longer than finding others,
/// and what is there should be known first.
const LOOK_BETWEEN_EVERY: Duration = Duration::from_secs(1);

impl Intake {
    /// Follows the hints of a watcher until the pipeline is stopped.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn watch(mut self, watcher: Watcher, hints: Hints) -> Result<(), PipelineError> {
        let stop = self.pipeline.stop.clone();
        self.hints = Some(hints);
        self.closed = Some(watcher.closed());
        self.meet_folders().await?;
        while !stop.is_cancelled() {
            match self.next_hint().await {
                Next::Hint(hint) => self.follow(&hint).await?,
                Next::Look => self.look_again().await?,
                Next::Asked => {}
                Next::End => return Ok(()),
            }
            self.pipeline.pulse.scanner_turned();
            self.show_modes(&watcher).await?;
            if self.has_looked_everywhere() {
                self.pipeline.pulse.has_looked();
            }
        }
        Ok(())
    }

    async fn next_hint(&mut self) -> Next {
        if let Some(hint) = self.put_off.pop_front() {
            return Next::Hint(hint);
        }
        let next_look = self.until_next_look();
        let Some(hints) = &mut self.hints else {
            return Next::End;
        };
        tokio::select! {
            hint = hints.next() => hint.map_or(Next::End, Next::Hint),
            () = tokio::time::sleep(next_look) => Next::Look,
            () = self.pipeline.pulse.asked() => Next::Asked,
            () = self.pipeline.stop.cancelled() => Next::End,
        }
    }

    async fn follow(&mut self, hint: &Hint) -> Result<(), PipelineError> {
        let place = self
            .places
            .iter()
            .find(|place| Arc::ptr_eq(&place.root, &hint.root))
            .cloned();
        match place {
            Some(place) => {
                self.scan_after_quiet(&place, hint.scope.clone(), hint.quiet)
                    .await?;
                self.looked_at.insert(place.root.path().to_owned());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether every folder was looked at that is there.
    fn has_looked_everywhere(&self) -> bool {
        let is_missing = |path: &Path| {
            let mode = self.shown_modes.iter().find(|mode| mode.path == path);
            mode.is_some_and(|mode| mode.presence != Presence::Present)
        };
        self.places.iter().all(|place| {
            let path = place.root.path();
            self.looked_at.contains(path) || is_missing(path)
        })
    }

    /// Between two portions of a large scan: takes in what arrived meanwhile in single folders and in other
    /// roots, and what is complete by now; more of the roots that are being scanned is put off until that has ended.
    pub(super) async fn let_others_in(&mut self) -> Result<(), PipelineError> {
        // Without hints this is a run, or is itself between two portions.
        let Some(mut hints) = self.hints.take() else {
            return Ok(());
        };
        let mut ended = Ok(());
        for _ in 0..MOST_BETWEEN {
            let Some(Some(hint)) = hints.next().now_or_never() else {
                break;
            };
            let is_small = matches!(hint.scope, Scope::Folder(_));
            if !is_small && self.scanning.iter().any(|root| root == hint.root.path()) {
                self.put_off(hint);
                continue;
            }
            if is_small {
                ended = Box::pin(self.follow(&hint)).await;
            } else {
                // Others are let in there as well: a stack no deeper than there are roots.
                self.hints = Some(hints);
                ended = Box::pin(self.follow(&hint)).await;
                match self.hints.take() {
                    Some(back) => hints = back,
                    None => return ended,
                }
            }
            if ended.is_err() {
                break;
            }
        }
        if ended.is_ok() && self.looked_between.elapsed() >= LOOK_BETWEEN_EVERY {
            ended = Box::pin(self.look_at_due()).await;
            self.looked_between = Instant::now();
        }
        self.hints = Some(hints);
        ended
    }

    /// Keeps a hint for later, each scope once; of too many, the whole of each root is kept.
    fn put_off(&mut self, hint: Hint) {
        let within = |other: &Hint| {
            Arc::ptr_eq(&other.root, &hint.root)
                && (other.scope == Scope::Root || other.scope == hint.scope)
        };
        if self.put_off.iter().any(within) {
            return;
        }
        if self.put_off.len() >= MOST_PUT_OFF {
            let mut roots: Vec<Hint> = Vec::new();
            for mut other in self.put_off.drain(..).chain([hint]) {
                other.scope = Scope::Root;
                if !roots
                    .iter()
                    .any(|root| Arc::ptr_eq(&root.root, &other.root))
                {
                    roots.push(other);
                }
            }
            self.put_off.extend(roots);
            return;
        }
        self.put_off.push_back(hint);
    }

    /// Keeps in the table how each folder is watched, for `status`.
    async fn show_modes(&mut self, watcher: &Watcher) -> Result<(), PipelineError> {
        let modes = watcher.modes();
        if modes == self.shown_modes {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.shown_modes, modes);
        for mode in self.shown_modes.clone() {
            let was = before.iter().find(|before| before.path == mode.path);
            if was == Some(&mode) {
                continue;
            }
            let how = mode_name(mode.mode);
            if was.is_none_or(|was| (was.mode, &was.reason) != (mode.mode, &mode.reason)) {
                tracing::info!(folder = %mode.path.display(), "watched by {how}: {}", mode.reason);
            }
            for (inside, file_system) in &mode.polled_inside {
                if was.is_none_or(|was| !was.polled_inside.contains(&(inside.clone(), file_system)))
                {
                    tracing::info!(folder = %inside.display(), "polled: {file_system} gives no reliable events");
                }
            }
            self.remember_folder(&mode.path, None).await?;
        }
        Ok(())
    }
}

/// What to do next.
enum Next {
    Hint(Hint),
    Look,
    /// Somebody wants to know whether the intake is alive: one turn is the answer.
    Asked,
    End,
}
