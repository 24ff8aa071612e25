//! Folders whose old files are left alone: what is known of each, for `domain::existing` to decide.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Intake;
use super::portion::Portion;
use crate::discover::content;
use crate::disk::{PATIENCE, in_time};
use crate::domain::existing::{FirstSight, LeftAlone};
use crate::domain::job::{ContentHash, Reason};
use crate::domain::settle::Fingerprint;
use crate::pipeline::{PipelineError, Place};
use crate::queue::{FirstSeen, Known, QueueError, Reader};
use crate::source;
use crate::supervise::blocking;

/// The code of what was there before the first start and is left alone.
pub const EXISTING: &str = "existing";

/// Why such a file is passed over.
pub(in crate::pipeline) fn existing() -> Reason {
    let text = "it was there before the first start, and existing = false leaves such files alone";
    Reason::new("existing", text)
}

/// What is known of a place by the table, beside what lies there now; blocks for a look at its root.
pub(in crate::pipeline) fn first_sight(
    place: &Place,
    known: Option<FirstSeen>,
    now: Timestamp,
) -> FirstSight {
    let Some(known) = known else {
        let started = now;
        return FirstSight {
            started,
            seen: None,
        };
    };
    let is_seen = |identity: &str| match &known.identity {
        Some(seen) => seen == identity,
        // A table from before this was kept: what was scanned then is what lies there.
        None => known.scanned,
    };
    let there = content(&place.root).ok();
    let seen = there.filter(|there| is_seen(&there.identity));
    FirstSight {
        started: known.at,
        seen: seen.map(|seen| seen.device),
    }
}

/// The mark of the content of an old file; nothing where it cannot be read. Blocks for 10 s at the most.
pub(in crate::pipeline) fn mark(path: &Path) -> Option<ContentHash> {
    let path = path.to_owned();
    in_time(PATIENCE, move || source::mark(&path).ok())
        .flatten()
        .map(ContentHash)
}

/// Whether the file at `path` was left alone before and is still the same, though somebody touched it; blocks
/// for a look at its content.
pub(in crate::pipeline) fn was_only_touched(
    reader: Option<&Reader<'static>>,
    path: &Path,
    file: &Fingerprint,
) -> Result<bool, QueueError> {
    let Some(left) = reader
        .map(|reader| reader.left_at(path))
        .transpose()?
        .flatten()
    else {
        return Ok(false);
    };
    Ok(left.size == file.size && left.is_still(file.size, mark(path)))
}

/// What is known of a file: whether it is old if nothing else is known of it, what was left alone at its path.
type Judged = (((Option<bool>, Option<LeftAlone>), PathBuf), Fingerprint);

/// An old file that is left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// The mark of its content, if that could be read.
    pub(super) mark: Option<ContentHash>,
}

impl Intake {
    /// Which files of a portion are left alone: they were there before the first start, perhaps under another
    /// name, and were only touched since.
    pub(super) async fn left_alone(
        &self,
        portion: &Portion,
        known: &[Option<Known>],
    ) -> Result<Vec<Option<Left>>, PipelineError> {
        let Some(sight) = portion.leave else {
            return Ok(known.iter().map(|_| None).collect());
        };
        let files: Vec<Fingerprint> = portion.fingerprints().collect();
        let paths: Vec<PathBuf> = portion.paths().collect();
        let renamed = self.pipeline.queue.were_left_alone(files.clone()).await?;
        let before = self.pipeline.queue.left_at(paths.clone()).await?;
        let now = self.pipeline.now();
        let is_old = files.iter().zip(renamed).zip(known);
        let is_old = is_old.map(|((file, renamed), known)| {
            known
                .is_none()
                .then(|| renamed || sight.is_existing(file, now))
        });
        let is_old: Vec<Option<bool>> = is_old.collect();
        let left = blocking(move || {
            let judge = |(((is_old, before), path), file): Judged| {
                let is_old = is_old?;
                let before = before.filter(|before| before.size == file.size);
                if !is_old && before.is_none() {
                    return None;
                }
                let mark = mark(&path);
                let is_left =
                    is_old || before.is_some_and(|before| before.is_still(file.size, mark));
                is_left.then_some(Left { mark })
            };
            let judged = is_old.into_iter().zip(before).zip(paths).zip(files);
            judged.map(judge).collect()
        });
        Ok(left.await?)
    }

    /// Notes of the folders whose old files are left alone that stenod was started with them.
    /// And on which disks their outputs lie.
    pub(super) async fn meet_folders(&self) -> Result<(), PipelineError> {
        let outputs = self.places.iter();
        let outputs = outputs.filter_map(|place| place.output_dir.clone());
        self.pipeline.know_output_folders(outputs.collect()).await?;
        let places = self.places.iter().filter(|place| self.leaves_old(place));
        let folders: Vec<_> = places.map(|place| place.root.path().to_owned()).collect();
        if folders.is_empty() {
            return Ok(());
        }
        let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
        self.pipeline
            .kept(|| queue.meet_folders(folders.clone(), now))
            .await?;
        Ok(())
    }

    /// What is known of a place whose old files are left alone; nothing for any other place.
    pub(super) async fn first_sight(
        &self,
        place: &Arc<Place>,
    ) -> Result<Option<FirstSight>, PipelineError> {
        if !self.leaves_old(place) {
            return Ok(None);
        }
        let path = place.root.path().to_owned();
        let queue = &self.pipeline.queue;
        let known = queue.read(move |reader| reader.first_seen(&path)).await?;
        let (place, now) = (place.clone(), self.pipeline.now());
        Ok(Some(
            blocking(move || first_sight(&place, known, now)).await?,
        ))
    }

    /// Whether old files are left alone; whoever names a place to a run wants them.
    fn leaves_old(&self, place: &Place) -> bool {
        place.leave_existing && !(self.options.one_shot && place.is_named)
    }
}
