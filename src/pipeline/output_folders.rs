//! Folders for outputs whose disk was taken away: nothing is written until it is back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Pipeline, PipelineError};
use crate::discover::mount_of;
use crate::disk::{PATIENCE, in_time};
use crate::queue::OutputFolder;
use crate::supervise::blocking;

impl Pipeline {
    /// The folder for outputs that `base` lies in, if the disk that held it is not there, or does not answer.
    pub(super) async fn output_folder_away(
        &self,
        base: &Path,
    ) -> Result<Option<PathBuf>, PipelineError> {
        let folders = self.queue.output_folders().await?.into_iter();
        let holding = folders.filter(|folder| base.starts_with(&folder.path));
        let Some(folder) = holding.max_by_key(|folder| folder.path.as_os_str().len()) else {
            return Ok(None);
        };
        let path = folder.path.clone();
        let now = blocking(move || in_time(PATIENCE, move || mount_of(&path))).await?;
        let is_away = now.is_none_or(|now| has_gone(&folder.mount, &now));
        Ok(is_away.then_some(folder.path))
    }

    /// Keeps on which disks these folders for outputs are, as far as they are there.
    pub(super) async fn know_output_folders(
        &self,
        folders: BTreeSet<PathBuf>,
    ) -> Result<(), PipelineError> {
        for path in folders {
            let looked_at = path.clone();
            let look = move || looked_at.is_dir().then(|| mount_of(&looked_at));
            let there = blocking(move || in_time(PATIENCE, look)).await?;
            let Some(mount) = there.flatten() else {
                continue;
            };
            let mut known = self.queue.output_folders().await?.into_iter();
            let known = known.find(|known| known.path == path);
            if known.is_some_and(|known| known.mount == mount || has_gone(&known.mount, &mount)) {
                continue;
            }
            let folder = OutputFolder { path, mount };
            self.kept(|| self.queue.keep_output_folder(folder.clone()))
                .await?;
        }
        Ok(())
    }
}

/// Whether what was mounted at `before` is not any more, where `now` is what holds the folder.
fn has_gone(before: &Path, now: &Path) -> bool {
    before != now && before.starts_with(now)
}
