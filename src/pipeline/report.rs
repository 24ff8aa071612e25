//! What the pipeline tells whoever is watching: facts, in order, without a decision.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::StreamExt as _;

use crate::delivery;
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
    /// A large file is being read, to know what it is; `read` comes to `size` at the end, whatever that is.
    Reading {
        /// Which.
        path: PathBuf,
        /// Bytes that were read.
        read: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A recording is being encoded again, or cut.
    Encoded {
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
    /// Bytes of a recording have left for the service.
    Sent {
        /// Of which job.
        id: JobId,
        /// How many, since the last such event.
        bytes: u64,
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

/// The same chunks, each told as it leaves.
pub(super) fn told_as_sent(
    reporter: Arc<dyn Reporter>,
    id: JobId,
    chunks: delivery::Chunks,
) -> delivery::Chunks {
    let told = chunks.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            let bytes = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            reporter.report(&Event::Sent { id, bytes });
        }
    });
    told.boxed()
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
