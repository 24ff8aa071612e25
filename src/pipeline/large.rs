//! Recordings that are not sent as they are: shrunk, or in pieces.
//!
//! What is made of a recording is made after the claim, when nothing was sent yet, so that a crash
//! costs nothing but the time. A piece whose file is lost is made again and must have the same bytes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::make::{Maker, Unmade, is_queued};
use super::operator::Errand;
use super::room::Disk;
use super::spool::Made;
use super::submit::{Load, Origin, RECORD_WAIT};
use super::{Pipeline, PipelineError};
use crate::discover::sample;
use crate::domain::audio::{AudioFormat, Bitrate};
use crate::domain::job::{Job, JobId, Reason, Stage};
use crate::domain::pieces::PieceOf;
use crate::domain::route::{Cut, NoRoute, Route, Shape, choose_other};
use crate::domain::timing::after;
use crate::media::decode::DecodeError;
use crate::media::shrink::ShrinkError;
use crate::media::split::Resume;
use crate::queue::{Known, NewPiece};
use crate::source;
use crate::speech::Service;
use crate::supervise;

/// Pieces that are made and not in the table yet, at the most; a table that is further behind has failed.
const PIECES_AHEAD: usize = 4096;

impl Pipeline {
    /// Sends the speech of a claimed recording, encoded again.
    pub(super) async fn submit_shrunk(
        self: &Arc<Self>,
        job: Job,
        bitrate: Bitrate,
        service: &dyn Service,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let limit = self.pace.routes.direct_limit;
        let mut measured = job.duration;
        for bitrate in Bitrate::BEST_FIRST
            .into_iter()
            .filter(|rate| *rate <= bitrate)
        {
            let made = match self.shrunk(&job, bitrate, errand).await? {
                Ok(made) => made,
                Err(unmade) => return self.not_made(&job, unmade, errand).await,
            };
            if made.size <= limit {
                let origin = match self.origin(&job).await? {
                    Ok(origin) => origin,
                    Err(unmade) => return self.not_made(&job, unmade, errand).await,
                };
                let load = Load::made(made, origin);
                return self.send(&job, load, service, errand).await;
            }
            measured = made.duration.or(measured);
            self.forget_made(&job).await?;
        }
        let shape = Shape {
            duration: measured,
            ..job.shape()
        };
        let text = "its speech, encoded again, is larger than its length promised";
        let other = choose_other(&shape, &self.pace.routes, text);
        self.take_other_route(&job, other).await
    }

    /// Puts the speech of a claimed recording, encoded again, into the bucket and submits its link.
    pub(super) async fn submit_shrunk_by_link(
        self: &Arc<Self>,
        job: Job,
        bitrate: Bitrate,
        service: &dyn Service,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let made = match self.shrunk(&job, bitrate, errand).await? {
            Ok(made) => made,
            Err(unmade) => return self.not_made(&job, unmade, errand).await,
        };
        let origin = match self.origin(&job).await? {
            Ok(origin) => origin,
            Err(unmade) => return self.not_made(&job, unmade, errand).await,
        };
        let load = Load::made(made, origin);
        self.submit_by_link(&job, load, service, errand).await
    }

    /// The recording that something was made of, while that is worth sending: it is still the one that was queued.
    async fn origin(&self, whole: &Job) -> Result<Result<Origin, Unmade>, PipelineError> {
        let path = whole.source.clone();
        let look = supervise::blocking(move || {
            // In this order: what changes in between is seen by the second look or at the gate.
            let origin = Origin::at(path)?;
            let fingerprint = sample(&origin.path)?;
            Ok((origin, fingerprint))
        });
        let (origin, fingerprint) = match look.await? {
            Ok((origin, Some(fingerprint))) => (origin, fingerprint),
            Ok((_, None)) => return Ok(Err(Unmade::Changed)),
            Err(error) => return Ok(Err(Unmade::Source(error))),
        };
        let file = vec![(whole.source.clone(), fingerprint)];
        let known = self.queue.known_many(file).await?;
        if let Some(Some(Known::Recording { hash, .. })) = known.first()
            && *hash == whole.hash
        {
            return Ok(Ok(origin));
        }
        let job = whole.clone();
        let proven = supervise::blocking(move || {
            let file = source::open(&job.source).map_err(std::io::Error::from)?;
            is_queued(&file, &job)
        });
        Ok(match proven.await? {
            Ok(true) => Ok(origin),
            Ok(false) => Err(Unmade::Changed),
            Err(error) => Err(Unmade::Source(error)),
        })
    }

    async fn shrunk(
        self: &Arc<Self>,
        job: &Job,
        bitrate: Bitrate,
        errand: &Errand,
    ) -> Result<Result<Made, Unmade>, PipelineError> {
        if let Some(made) = self.spool.shrunk(job.id) {
            return Ok(Ok(made));
        }
        let made = self
            .make(job, errand, move |maker| maker.shrink(bitrate))
            .await?;
        if let Ok(made) = &made {
            self.spool.keep(job.id, made.clone());
        }
        Ok(made)
    }

    /// Cuts a claimed recording, whose pieces are sent each by itself.
    pub(super) async fn submit_in_pieces(
        self: &Arc<Self>,
        job: Job,
        cut: Cut,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let mut pieces = self.pieces_made(&job, cut).await?;
        let from = pieces.last().map_or_else(Resume::default, |last| Resume {
            number: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
            start: last.stretch.end,
        });
        let (made, mut coming) = mpsc::channel(PIECES_AHEAD);
        let making = self.make(&job, errand, move |maker| {
            let cutting = cut.cutting().ok_or(Unmade::NoCut)?;
            maker.split(&cutting, from, made)
        });
        tokio::pin!(making);
        let ended = loop {
            tokio::select! {
                biased;
                Some(piece) = coming.recv() => {
                    self.kept(|| self.queue.piece_made(job.id, cut, piece)).await?;
                    pieces.push(piece);
                }
                ended = &mut making => break ended?,
            }
        };
        while let Ok(piece) = coming.try_recv() {
            pieces.push(piece);
        }
        match ended {
            Ok(()) => {
                self.kept(|| self.queue.split(job.id, pieces.clone(), self.now()))
                    .await?;
                self.bell.notify_one();
                Ok(())
            }
            Err(unmade) => {
                self.not_made(&job, unmade, errand).await?;
                self.forget_pieces(job.id, pieces.len()).await
            }
        }
    }

    /// Removes the pieces that were made of a recording, unless it is to be gone on with.
    async fn forget_pieces(self: &Arc<Self>, id: JobId, count: usize) -> Result<(), PipelineError> {
        if matches!(self.queue.job(id).await?.stage, Stage::Queued { .. }) {
            return Ok(());
        }
        self.kept(|| self.queue.keep_pieces_made(id, 0)).await?;
        let spool = self.spool.clone();
        let removed = supervise::blocking(move || {
            let mut numbers = 1..=u32::try_from(count).unwrap_or(u32::MAX);
            numbers.try_for_each(|number| spool.drop_piece(id, number))
        });
        if let Err(error) = removed.await? {
            tracing::warn!(job_id = id.0, "pieces that were made of it stay: {error}");
        }
        Ok(())
    }

    /// The pieces of a recording that were made before the process went down, up to the first whose file is not
    /// there as it was.
    async fn pieces_made(&self, job: &Job, cut: Cut) -> Result<Vec<NewPiece>, PipelineError> {
        let noted = self.kept(|| self.queue.pieces_made(job.id, cut)).await?;
        let (spool, id, count) = (self.spool.clone(), job.id, noted.len());
        let is_there = move |(number, piece): &(u32, NewPiece)| {
            let file = std::fs::metadata(spool.piece_path(id, *number));
            file.is_ok_and(|found| found.len() == piece.size)
        };
        let there = supervise::blocking(move || {
            let there = (1..).zip(noted).take_while(is_there);
            there.map(|(_, piece)| piece).collect::<Vec<_>>()
        });
        let there = there.await?;
        if there.len() < count {
            self.kept(|| self.queue.keep_pieces_made(id, there.len()))
                .await?;
        }
        Ok(there)
    }

    /// Sends a claimed piece.
    pub(super) async fn submit_piece(
        self: &Arc<Self>,
        job: Job,
        piece: PieceOf,
        service: &dyn Service,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let path = self.spool.piece_path(piece.parent, piece.number);
        let is_there = supervise::blocking({
            let (path, size) = (path.clone(), job.size);
            move || std::fs::metadata(path).is_ok_and(|found| found.len() == size)
        });
        if !is_there.await?
            && let Err(unmade) = self.make_piece_again(&job, piece, errand).await?
        {
            return self.not_made(&job, unmade, errand).await;
        }
        let whole = self.queue.job(piece.parent).await?;
        let origin = match self.origin(&whole).await? {
            Ok(origin) => origin,
            Err(unmade) => return self.not_made(&job, unmade, errand).await,
        };
        let load = Load {
            path,
            size: job.size,
            hash: job.hash,
            format: AudioFormat::Ogg,
            duration: job.duration,
            origin: Some(origin),
        };
        self.send(&job, load, service, errand).await
    }

    async fn make_piece_again(
        self: &Arc<Self>,
        job: &Job,
        piece: PieceOf,
        errand: &Errand,
    ) -> Result<Result<(), Unmade>, PipelineError> {
        let parent = self.queue.job(piece.parent).await?;
        let cut = parent.route.as_ref().and_then(|chosen| match chosen.route {
            Route::Pieces(cut) => cut.cutting(),
            Route::Direct | Route::Shrink { .. } | Route::Bucket { .. } | Route::Local => None,
        });
        let Some(cutting) = cut else {
            return Ok(Err(Unmade::NoCut));
        };
        let (number, stretch) = (piece.number, piece.stretch);
        let made = self
            .make(&parent, errand, move |maker| {
                maker.copy(number, stretch, cutting.bitrate())
            })
            .await?;
        Ok(match made {
            Ok(made) if made.hash == job.hash => Ok(()),
            Ok(_) => Err(Unmade::Other),
            Err(unmade) => Err(unmade),
        })
    }

    /// Makes something of a recording, as many at once as there are cores.
    async fn make<T: Send + 'static>(
        self: &Arc<Self>,
        job: &Job,
        errand: &Errand,
        work: impl FnOnce(&Maker<'_>) -> Result<T, Unmade> + Send + 'static,
    ) -> Result<Result<T, Unmade>, PipelineError> {
        let core = tokio::select! {
            biased;
            core = self.spool.cores.clone().acquire_owned() => core,
            () = self.stop.cancelled() => return Ok(Err(ShrinkError::Stopped.into())),
            () = errand.called_off.cancelled() => return Ok(Err(ShrinkError::Stopped.into())),
        };
        let (pipeline, job) = (self.clone(), job.clone());
        let called_off = errand.called_off.clone();
        let made = supervise::blocking(move || {
            let made = work(&Maker {
                pipeline: &pipeline,
                job: &job,
                called_off: &called_off,
            });
            drop(core);
            made
        });
        Ok(made.await?)
    }

    /// Records that nothing could be made of a recording; nothing was sent.
    async fn not_made(
        &self,
        job: &Job,
        unmade: Unmade,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        match unmade {
            Unmade::Source(error) => self.source_failed(job, &error).await,
            Unmade::Changed => self.source_changed(job).await,
            Unmade::Shrink(ShrinkError::Stopped) => self.stopped(job.id, errand).await,
            Unmade::Shrink(ShrinkError::Write(error))
                if error.kind() == std::io::ErrorKind::StorageFull =>
            {
                let until = after(self.now(), RECORD_WAIT);
                let text = format!("no room for what is to be sent: {error}");
                self.no_room(Disk::State, until, text).await?;
                self.requeue(job.id).await
            }
            Unmade::Shrink(ShrinkError::Write(error)) => {
                let text = format!("what is to be sent cannot be written: {error}");
                self.retry_later(job, Reason::new("not_written", text))
                    .await
            }
            Unmade::Shrink(error) => self.not_decoded(job, &error).await,
            Unmade::NoCut | Unmade::Other => {
                let text = format!("{unmade}: `stenod run --force` cuts it anew");
                self.fail(job.id, Reason::new("piece_lost", text), None)
                    .await
            }
        }
    }

    /// What cannot be decoded here may still be read by the service, by a link. What there is no decoder for waits
    /// until there is a way for that; what is damaged fails.
    async fn not_decoded(&self, job: &Job, error: &ShrinkError) -> Result<(), PipelineError> {
        let cannot = format!("it cannot be encoded again: {error}");
        let shape = Shape {
            is_decodable: false,
            ..job.shape()
        };
        if job.piece.is_none() {
            let other = choose_other(&shape, &self.pace.routes, &cannot);
            let waits = matches!(error, ShrinkError::Decode(DecodeError::NoDecoder { .. }));
            if waits || other.is_ok() {
                return self.take_other_route(job, other).await;
            }
        }
        self.fail(job.id, Reason::new(error.code(), cannot), None)
            .await
    }

    async fn take_other_route(
        &self,
        job: &Job,
        other: Result<crate::domain::route::Chosen, NoRoute>,
    ) -> Result<(), PipelineError> {
        match other {
            Ok(chosen) => {
                self.kept(|| self.queue.set_route(job.id, chosen.clone()))
                    .await?;
                self.requeue(job.id).await
            }
            Err(none) => self.park(job.id, none).await,
        }
    }

    /// What was sent is not what was to be sent: a recording has changed, a file that was made is made
    /// again.
    pub(super) async fn load_changed(&self, job: &Job, load: &Load) -> Result<(), PipelineError> {
        if load.origin.is_none() {
            return self.source_changed(job).await;
        }
        self.forget_made(job).await?;
        let text = "it, or the file that was made of it, changed before it was sent";
        let reason = Reason::new("spool_changed", text);
        self.retry_later(job, reason).await
    }

    pub(super) async fn load_failed(
        &self,
        job: &Job,
        load: &Load,
        error: &std::io::Error,
    ) -> Result<(), PipelineError> {
        if load.origin.is_none() {
            return self.source_failed(job, error).await;
        }
        self.forget_made(job).await?;
        let text = format!("the file that was made of it cannot be read: {error}");
        self.retry_later(job, Reason::new("spool_unreadable", text))
            .await
    }

    /// Removes what was made for a job that has ended.
    pub(super) async fn tidy(&self, job: &Job) -> Result<(), PipelineError> {
        let has_ended = match &job.stage {
            Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled => true,
            Stage::Queued { .. }
            | Stage::Waiting { .. }
            | Stage::Submitting
            | Stage::Committing
            | Stage::Split { .. }
            | Stage::Awaiting { .. }
            | Stage::Received { .. }
            | Stage::InDoubt { .. } => false,
        };
        if has_ended {
            self.forget_made(job).await?;
        }
        Ok(())
    }

    /// Removes what was made for a job.
    async fn forget_made(&self, job: &Job) -> Result<(), PipelineError> {
        let (spool, id, piece) = (self.spool.clone(), job.id, job.piece);
        let removed = supervise::blocking(move || match piece {
            Some(piece) => spool.drop_piece(piece.parent, piece.number),
            None => spool.drop_shrunk(id),
        });
        if let Err(error) = removed.await? {
            tracing::warn!(job_id = job.id.0, "what was made of it stays: {error}");
        }
        Ok(())
    }

    /// Removes what an earlier process made and nobody needs any more.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn sweep_spool(&self) -> Result<(), PipelineError> {
        let needed = self.queue.unfinished_pieces().await?;
        let spool = self.spool.clone();
        if let Err(error) = supervise::blocking(move || spool.sweep(&needed)).await? {
            tracing::warn!("the spool cannot be swept: {error}");
        }
        Ok(())
    }
}

impl Load {
    fn made(made: Made, origin: Origin) -> Self {
        Self {
            path: made.path,
            size: made.size,
            hash: made.hash,
            format: AudioFormat::Ogg,
            duration: made.duration,
            origin: Some(origin),
        }
    }
}
