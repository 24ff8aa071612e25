//! Rules that came after a recording was queued: nothing of it is sent while they are against it.
//!
//! Asked right before something is sent, by the code that scans decide with. What waits for its rules goes on when
//! a scan finds it again, as what was away does.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Pipeline, PipelineError, Place};
use crate::discover::{LeftOut, Sight, SkipReason, sight};
use crate::disk::{PATIENCE, in_time};
use crate::domain::job::{Job, Obstacle};
use crate::supervise::blocking;

/// The places whose rules hold at this moment.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Vec<Arc<Place>>>);

impl Rules {
    /// Puts the rules of these places into force, and no others.
    pub fn put_into_force(&self, places: &[Arc<Place>]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = places.to_vec();
    }

    fn of(&self, root: &Path) -> Option<Arc<Place>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.iter().find(|place| place.root.path() == root);
        place.cloned()
    }
}

/// What the rules have against a recording.
enum Objection {
    Against(Obstacle, String),
    /// Its disk does not answer.
    Silent,
}

impl Pipeline {
    /// Has a claimed job wait, of which nothing was sent, whose recording the rules of its folder leave out by now,
    /// or whose folder is paused by a mistake; says whether it does.
    pub(super) async fn waits_for_rules(&self, job: &Job) -> Result<bool, PipelineError> {
        let Some(place) = self.rules.of(&job.root).filter(|_| job.piece.is_none()) else {
            // What was begun is finished, and what another run asked for is its own affair.
            return Ok(false);
        };
        let source = job.source.clone();
        let look = move || {
            let objection = in_time(PATIENCE, move || objection(&place, &source));
            objection.unwrap_or(Some(Objection::Silent))
        };
        match blocking(look).await? {
            None => Ok(false),
            Some(Objection::Silent) => {
                self.wait_for_disk(job).await?;
                Ok(true)
            }
            Some(Objection::Against(obstacle, text)) => {
                tracing::info!(source = %job.source.display(), "it waits: {text}");
                let ids = vec![job.id];
                self.kept(|| {
                    self.queue
                        .wait_for_source(ids.clone(), obstacle, text.clone(), self.now())
                })
                .await?;
                Ok(true)
            }
        }
    }
}

/// What the rules have against the recording at `source` at this moment; blocks for a look at it.
fn objection(place: &Arc<Place>, source: &Path) -> Option<Objection> {
    let left_out = |rule: &dyn std::fmt::Display| {
        let text = format!("the rules of its folder leave it out since it was queued: {rule}");
        Some(Objection::Against(Obstacle::LeftOut, text))
    };
    match sight(&place.root, source) {
        Sight::LeftOut { why, .. } => match why {
            LeftOut::Excluded { .. }
            | LeftOut::NotIncluded
            | LeftOut::Ignored { .. }
            | LeftOut::TooDeep => left_out(&why),
            // By its name alone, or it is that of another folder by now.
            LeftOut::Hidden
            | LeftOut::TemporaryName { .. }
            | LeftOut::PrunedFolder
            | LeftOut::OwnFolder
            | LeftOut::NotAudio
            | LeftOut::OtherRoot
            | LeftOut::Outside => None,
        },
        Sight::Passed { why, .. } => match why {
            SkipReason::Excluded { .. }
            | SkipReason::NotIncluded
            | SkipReason::TemporaryName { .. } => left_out(&why),
            SkipReason::Silent => Some(Objection::Silent),
            // Whoever opens it finds out, and says it better.
            SkipReason::Unreadable(_)
            | SkipReason::ClosedFolder(_)
            | SkipReason::NotRegular { .. }
            | SkipReason::BrokenLink
            | SkipReason::FolderLink
            | SkipReason::Loop => None,
        },
        Sight::File { local, .. } => {
            let mistaken = place.below(&local).err()?;
            let text = mistaken.reason().text;
            Some(Objection::Against(Obstacle::FolderSettings, text))
        }
        Sight::Outside
        | Sight::RootMissing
        | Sight::RootUnreadable(_)
        | Sight::Gone
        | Sight::Folder => None,
    }
}
