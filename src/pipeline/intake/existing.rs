//! Folders whose old files are left alone: what is known of each, for `domain::existing` to decide.

use std::sync::Arc;

use jiff::Timestamp;

use super::Intake;
use crate::discover::content;
use crate::domain::existing::FirstSight;
use crate::domain::job::Reason;
use crate::pipeline::{PipelineError, Place};
use crate::queue::FirstSeen;
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

impl Intake {
    /// Notes of the folders whose old files are left alone that stenod was started with them.
    pub(super) async fn meet_folders(&self) -> Result<(), PipelineError> {
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
