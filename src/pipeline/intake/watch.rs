//! Following the hints of a watcher, and showing how each folder is watched.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Intake;
use super::inbox::Inbox;
use super::reasons::mode_name;
use crate::discover::{Cause, Hint, Hints, Presence, Root, RootMode, Scope, Watcher};
use crate::pipeline::{PipelineError, Place};

/// The most small scans between two portions of a large one.
const MOST_BETWEEN: usize = 64;
/// How often files are looked at again during a large scan: reading them takes longer than finding others,
/// and what is there should be known first.
const LOOK_BETWEEN_EVERY: Duration = Duration::from_secs(1);

/// What all share that watch.
#[derive(Debug)]
pub(super) struct Watching {
    watcher: Watcher,
    /// Each place with what is to be scanned of it.
    inboxes: Vec<(Arc<Root>, Arc<Inbox>)>,
    /// Places that were looked at, or are not there.
    looked_at: Mutex<HashSet<PathBuf>>,
}

impl Watching {
    /// Keeps a hint for whoever takes in its root.
    fn post(&self, hint: Hint) {
        let mut inboxes = self.inboxes.iter();
        if let Some((_, inbox)) = inboxes.find(|(root, _)| Arc::ptr_eq(root, &hint.root)) {
            inbox.post(hint);
        }
    }

    /// Has every root scanned.
    pub(super) fn scan_everything(&self) {
        for (root, inbox) in &self.inboxes {
            inbox.post(Hint {
                root: root.clone(),
                scope: Scope::Root,
                cause: Cause::Overflow,
                quiet: Duration::ZERO,
            });
        }
    }

    /// Notes that a root was looked at, or is not there; says whether that is so of all.
    fn note_looked(&self, root: &Path) -> bool {
        let mut looked_at = self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !looked_at.contains(root) {
            looked_at.insert(root.to_owned());
        }
        let mut roots = self.inboxes.iter();
        roots.all(|(root, _)| looked_at.contains(root.path()))
    }
}

impl Intake {
    /// Follows the hints of a watcher until the pipeline is stopped, each place by itself.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn watch(self, watcher: Watcher, mut hints: Hints) -> Result<(), PipelineError> {
        self.pipeline.pulse.begins_anew();
        self.meet_folders().await?;
        let closed = watcher.closed();
        let inboxes = self.places.iter();
        let inboxes = inboxes.map(|place| (place.root.clone(), Arc::default()));
        let watching = Arc::new(Watching {
            watcher,
            inboxes: inboxes.collect(),
            looked_at: Mutex::default(),
        });
        let each = self.places.iter().zip(&watching.inboxes);
        let each = each.map(|(place, (_, inbox))| {
            let (pipeline, all) = (self.pipeline.clone(), self.all.clone());
            let own = Self {
                inbox: Some(inbox.clone()),
                closed: Some(closed.clone()),
                examiners: self.examiners.clone(),
                watching: Some(watching.clone()),
                ..Self::of(pipeline, vec![place.clone()], all, self.options.clone())
            };
            own.follow_all(place.clone(), inbox.clone(), watching.clone())
        });
        let following = try_join_all(each);
        let handing_out = async {
            while let Some(hint) = hints.next().await {
                watching.post(hint);
            }
        };
        tokio::pin!(following);
        tokio::select! {
            ended = &mut following => return ended.map(drop),
            () = handing_out => {}
        }
        // Who watches has ended, and with it the pipeline.
        self.pipeline.stop.cancelled().await;
        following.await.map(drop)
    }

    /// Follows the hints about one place.
    async fn follow_all(
        mut self,
        place: Arc<Place>,
        inbox: Arc<Inbox>,
        watching: Arc<Watching>,
    ) -> Result<(), PipelineError> {
        let stop = self.pipeline.stop.clone();
        let mut modes = watching.watcher.changes();
        while !stop.is_cancelled() {
            match self.next_hint(&inbox, &mut modes).await {
                Next::Hint(hint) => {
                    self.follow(&hint).await?;
                    if watching.note_looked(place.root.path()) {
                        self.pipeline.pulse.has_looked();
                    }
                }
                Next::Look => self.look_again().await?,
                Next::Shown => {}
                Next::Asked => {
                    self.pipeline.pulse.scanner_turned();
                    continue;
                }
                Next::End => return Ok(()),
            }
            self.pipeline.pulse.scanner_turned();
            self.show_mode(&place, &watching).await?;
        }
        Ok(())
    }

    async fn next_hint(&self, inbox: &Inbox, modes: &mut watch::Receiver<Vec<RootMode>>) -> Next {
        let next_look = self.until_next_look();
        tokio::select! {
            hint = inbox.next() => Next::Hint(hint),
            () = tokio::time::sleep(next_look) => Next::Look,
            Ok(()) = modes.changed() => Next::Shown,
            () = self.pipeline.pulse.asked() => Next::Asked,
            () = self.pipeline.stop.cancelled() => Next::End,
        }
    }

    async fn follow(&mut self, hint: &Hint) -> Result<(), PipelineError> {
        let places = self.places.iter();
        let mut own = places.filter(|place| Arc::ptr_eq(&place.root, &hint.root));
        match own.next().cloned() {
            Some(place) => {
                self.scan_after_quiet(&place, hint.scope.clone(), hint.quiet)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Between two portions of a large scan: takes in what arrived meanwhile in single folders, and what is complete
    /// by now; more of the root waits until its scan has ended.
    pub(super) async fn let_others_in(&mut self) -> Result<(), PipelineError> {
        // Without an inbox this is a run, or is itself between two portions.
        let Some(inbox) = self.inbox.take() else {
            return Ok(());
        };
        let between = self.take_in_between(&inbox).await;
        self.inbox = Some(inbox);
        between
    }

    async fn take_in_between(&mut self, inbox: &Inbox) -> Result<(), PipelineError> {
        for _ in 0..MOST_BETWEEN {
            let Some(hint) = inbox.take_small() else {
                break;
            };
            Box::pin(self.follow(&hint)).await?;
        }
        if self.looked_between.elapsed() >= LOOK_BETWEEN_EVERY {
            Box::pin(self.look_at_due()).await?;
            self.looked_between = Instant::now();
        }
        Ok(())
    }

    /// Keeps in the table how the folder is watched, for `status`.
    async fn show_mode(
        &mut self,
        place: &Arc<Place>,
        watching: &Watching,
    ) -> Result<(), PipelineError> {
        let Some(mode) = watching.watcher.mode_of(place.root.path()) else {
            return Ok(());
        };
        let was = self.shown_modes.pop();
        self.shown_modes.push(mode.clone());
        if mode.presence != Presence::Present && watching.note_looked(&mode.path) {
            self.pipeline.pulse.has_looked();
        }
        if was.as_ref() == Some(&mode) {
            return Ok(());
        }
        let how = mode_name(mode.mode);
        let was = was.as_ref();
        if was.is_none_or(|was| (was.mode, &was.reason) != (mode.mode, &mode.reason)) {
            tracing::info!(folder = %mode.path.display(), "watched by {how}: {}", mode.reason);
        }
        for (inside, file_system) in &mode.polled_inside {
            if was.is_none_or(|was| !was.polled_inside.contains(&(inside.clone(), file_system))) {
                tracing::info!(folder = %inside.display(), "polled: {file_system} gives no reliable events");
            }
        }
        self.remember_folder(&mode.path, None).await
    }
}

/// What to do next.
enum Next {
    Hint(Hint),
    Look,
    /// How a folder is watched is to be shown.
    Shown,
    /// Somebody wants to know whether the intake is alive: one turn is the answer.
    Asked,
    End,
}
