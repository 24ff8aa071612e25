//! Following the hints of a watcher, and showing how each folder is watched.

use std::path::Path;
use std::sync::Arc;

use super::Intake;
use super::reasons::mode_name;
use crate::discover::{Hint, Hints, Presence, Watcher};
use crate::pipeline::PipelineError;
use crate::queue::FolderRow;

impl Intake {
    /// Follows the hints of a watcher until the pipeline is stopped.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn watch(mut self, watcher: Watcher, mut hints: Hints) -> Result<(), PipelineError> {
        let stop = self.pipeline.stop.clone();
        while !stop.is_cancelled() {
            let pipeline = self.pipeline.clone();
            let next_look = self.until_next_look();
            tokio::select! {
                hint = hints.next() => match hint {
                    Some(hint) => self.follow(&hint).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(next_look) => self.look_again().await?,
                () = pipeline.pulse.asked() => {}
                () = pipeline.stop.cancelled() => {}
            }
            pipeline.pulse.scanner_turned();
            self.show_modes(&watcher).await?;
            if self.has_looked_everywhere() {
                pipeline.pulse.has_looked();
            }
        }
        Ok(())
    }

    async fn follow(&mut self, hint: &Hint) -> Result<(), PipelineError> {
        let place = self
            .places
            .iter()
            .find(|place| Arc::ptr_eq(&place.root, &hint.root))
            .cloned();
        match place {
            Some(place) => {
                self.scan(&place, hint.scope.clone()).await?;
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

    /// Keeps in the table how each folder is watched, for `status`.
    async fn show_modes(&mut self, watcher: &Watcher) -> Result<(), PipelineError> {
        let modes = watcher.modes();
        if modes == self.shown_modes {
            return Ok(());
        }
        for mode in &modes {
            let how = mode_name(mode.mode);
            tracing::info!(folder = %mode.path.display(), "watched by {how}: {}", mode.reason);
            let trouble = match &mode.presence {
                Presence::Present => None,
                Presence::Missing => Some("it is not there".to_owned()),
                Presence::Unreadable => Some("it cannot be read".to_owned()),
            };
            let row = FolderRow {
                path: mode.path.clone(),
                mode: Some(mode_name(mode.mode).to_owned()),
                mode_reason: Some(mode.reason.to_string()),
                trouble,
                scanned_at: None,
            };
            let queue = &self.pipeline.queue;
            let now = self.pipeline.now();
            self.pipeline
                .kept(|| queue.remember_folder(row.clone(), now))
                .await?;
        }
        self.shown_modes = modes;
        Ok(())
    }
}
