//! Making what is sent in a recording's stead: its speech in a smaller file, or its pieces.
//!
//! The recording is proven before and after, so that nothing is made of other bytes than those that
//! were queued. Everything here blocks for as long as decoding takes.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::spool::{Hashed, Made, Spool};
use super::{Event, Pipeline};
use crate::delivery::Stamp;
use crate::domain::audio::{AudioDuration, Bitrate};
use crate::domain::cut::{Cutting, Stretch};
use crate::domain::job::{Job, JobId};
#[cfg(test)]
use crate::faults::Point;
use crate::media::decode::{DecodeError, Samples};
use crate::media::probe::ProbeError;
use crate::media::shrink::{ShrinkError, shrink};
use crate::media::split::{Piece, Resume, copy_stretch, split};
use crate::queue::{InHand, NewPiece};
use crate::source;

/// How much sound is encoded between two reports of progress: 15 s.
const PROGRESS_STEP: AudioDuration = AudioDuration::from_micros(15_000_000);

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmade {
    /// The recording cannot be opened or read.
    #[error("the recording cannot be read")]
    Source(#[source] io::Error),
    /// It is not the one that was queued.
    #[error("the recording changed")]
    Changed,
    /// There is no such cut.
    #[error("the direct limit is too low for any piece")]
    NoCut,
    /// What was made again is not what it was.
    #[error("the piece that was made again has other bytes than before")]
    Other,
    /// It cannot be decoded or encoded, or what is made cannot be written.
    #[error(transparent)]
    Shrink(ShrinkError),
}

impl From<ShrinkError> for Unmade {
    fn from(error: ShrinkError) -> Self {
        if let ShrinkError::Decode(DecodeError::Source(ProbeError::Unreadable(error))) = error {
            return Self::Source(error);
        }
        Self::Shrink(error)
    }
}

/// Whoever makes something for a job.
pub(super) struct Maker<'p> {
    pub(super) pipeline: &'p Pipeline,
    pub(super) job: &'p Job,
    /// Cancelled when a person stops the job.
    pub(super) called_off: &'p CancellationToken,
}

impl Maker<'_> {
    /// Makes the shrunk copy of a recording.
    pub(super) fn shrink(&self, bitrate: Bitrate) -> Result<Made, Unmade> {
        let spool = &self.pipeline.spool;
        self.proven(|_| {
            let in_hand = self.in_hand();
            let mut file = begin(spool, &spool.shrunk_path(self.job.id))?;
            let heed = &mut self.heed(&self.pipeline.let_go, Some(&in_hand));
            let shrunk = shrink(&self.job.source, &mut file, bitrate, heed)?;
            let made = file.finish(Some(shrunk.duration));
            Ok(made.map_err(ShrinkError::Write)?)
        })
    }

    /// Cuts a recording into its pieces, from one on; each is handed to `made` when its file is there.
    pub(super) fn split(
        &self,
        cutting: &Cutting,
        from: Resume,
        made: Sender<NewPiece>,
    ) -> Result<(), Unmade> {
        let mut pieces = Pieces {
            spool: &self.pipeline.spool,
            parent: self.job.id,
            made,
        };
        self.proven(|file| {
            let in_hand = self.in_hand();
            #[cfg(test)]
            if crate::faults::simulated() {
                // A process that dies of it keeps it in hand, and this one only unwinds.
                let kept = std::mem::ManuallyDrop::new(self.in_hand());
                crate::faults::meet(Point::Decode(self.job.hash)).map_err(Unmade::Source)?;
                drop(std::mem::ManuallyDrop::into_inner(kept));
                let cut = super::simulation::cut(self.job.hash, from, &mut pieces);
                return Ok(cut.map_err(ShrinkError::Write)?);
            }
            let samples = Samples::from_file(file).map_err(ShrinkError::from)?;
            // Its pieces are kept, and none of them is sent any more: it is gone on with by the next run.
            let heed = &mut self.heed(&self.pipeline.stop, Some(&in_hand));
            split(samples, cutting, from, &mut pieces, heed)?;
            Ok(())
        })
    }

    /// Makes one piece of a recording again.
    pub(super) fn copy(
        &self,
        number: u32,
        stretch: Stretch,
        bitrate: Bitrate,
    ) -> Result<Made, Unmade> {
        let spool = &self.pipeline.spool;
        self.proven(|file| {
            let mut target = begin(spool, &spool.piece_path(self.job.id, number))?;
            #[cfg(test)]
            if crate::faults::simulated() {
                let copied = super::simulation::copy(self.job.hash, number, &mut target);
                let made = copied.and_then(|()| target.finish(None));
                return Ok(made.map_err(ShrinkError::Write)?);
            }
            let samples = Samples::from_file(file).map_err(ShrinkError::from)?;
            let heed = &mut self.heed(&self.pipeline.let_go, None);
            copy_stretch(samples, stretch, bitrate, &mut target, heed)?;
            let made = target.finish(Some(stretch.duration()));
            Ok(made.map_err(ShrinkError::Write)?)
        })
    }

    /// Does something with the recording between two proofs that it is the one that was queued.
    fn proven<T>(&self, work: impl FnOnce(&File) -> Result<T, Unmade>) -> Result<T, Unmade> {
        let file = source::open(&self.job.source).map_err(|error| Unmade::Source(error.into()))?;
        let before = Stamp::of(&file.metadata().map_err(Unmade::Source)?);
        if !is_queued(&file, self.job).map_err(Unmade::Source)? {
            return Err(Unmade::Changed);
        }
        let made = work(&file)?;
        let after = std::fs::metadata(&self.job.source).map_err(Unmade::Source)?;
        if Stamp::of(&after) == before {
            Ok(made)
        } else {
            Err(Unmade::Changed)
        }
    }

    /// Notes that the recording is looked into, in case that takes the process down.
    fn in_hand(&self) -> InHand {
        self.pipeline.queue.look_into(self.job.source.clone())
    }

    /// Tells how far it is, and goes on until `stop` says so or the job is being stopped.
    fn heed(
        &self,
        stop: &CancellationToken,
        in_hand: Option<&InHand>,
    ) -> impl FnMut(AudioDuration) -> ControlFlow<()> {
        let mut told = AudioDuration::default();
        move |done| {
            if done.micros().saturating_sub(told.micros()) >= PROGRESS_STEP.micros() {
                told = done;
                if let Some(in_hand) = in_hand {
                    in_hand.reached(done.micros() / 1_000_000);
                }
                let (id, seconds) = (self.job.id, done.seconds());
                let event = Event::Encoded { id, seconds };
                self.pipeline.reporter.report(&event);
            }
            if stop.is_cancelled() || self.called_off.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }
}

fn begin(spool: &Spool, path: &Path) -> Result<Hashed, ShrinkError> {
    spool.begin(path).map_err(ShrinkError::Write)
}

/// Whether the bytes of `file` are those that were queued.
pub(super) fn is_queued(mut file: &File, job: &Job) -> io::Result<bool> {
    use std::io::Seek as _;

    let mut hasher = blake3::Hasher::new();
    file.rewind()?;
    hasher.update_reader(file)?;
    Ok(hasher.finalize().as_bytes() == &job.hash.0)
}

/// Where the pieces of a recording go.
struct Pieces<'s> {
    spool: &'s Spool,
    parent: JobId,
    made: Sender<NewPiece>,
}

impl crate::media::split::Spool for Pieces<'_> {
    type File = Hashed;

    fn begin(&mut self, number: u32) -> io::Result<Hashed> {
        let path = self.spool.piece_path(self.parent, number + 1);
        self.spool.begin(&path)
    }

    fn complete(&mut self, piece: Piece, file: Hashed) -> io::Result<()> {
        let made = file.finish(Some(piece.stretch.duration()))?;
        let piece = NewPiece {
            stretch: piece.stretch,
            size: made.size,
            hash: made.hash,
        };
        // Nobody takes it in where the table has failed, and then nothing more is to be made.
        self.made.try_send(piece).map_err(io::Error::other)
    }
}
