//! What the pipeline tells whoever is watching: facts, in order, without a decision.

use std::path::PathBuf;

use crate::domain::job::{Job, JobId, Reason};
use crate::queue::{Output, Pause, PauseReason};

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job reached a stage.
    Job {
        /// The job as it is now.
        job: Box<Job>,
        /// The files that were written for it.
        outputs: Vec<Output>,
    },
    /// A job is getting on.
    Progress {
        /// Which.
        id: JobId,
        /// Seconds of audio that are done.
        seconds: f64,
    },
    /// A recording is on its way into the bucket.
    Uploaded {
        /// Whose.
        id: JobId,
        /// Bytes that were handed over; up to 5 MB of them may still lie in buffers.
        sent: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A file was passed over.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// The whole queue waits.
    Paused(Pause),
    /// It waits no longer for this.
    Resumed(PauseReason),
}

/// Is told what happens.
pub trait Reporter: Send + Sync {
    /// Takes in an event; must not wait for long.
    fn report(&self, event: &Event);
}

/// Says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: &Event) {}
}
