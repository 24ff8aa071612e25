//! Sending a claimed job: to the paid service through the gate, or to the built-in recogniser.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::operator::Errand;
use super::report::told_as_sent;
use super::room::Disk;
use super::{Pipeline, PipelineError};
use crate::delivery::{self, Stamp, Unchanged};
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::job::{ContentHash, Job, JobId, Reason, SOURCE_UNREADABLE, Stage};
use crate::domain::route::{NoRoute, Route, choose, still_leads};
use crate::domain::timing::{after, backoff};
use crate::domain::verdict::{Halt, Phase, Shape, Standing, Verdict, submit_verdict};
use crate::queue::{PauseReason, RawReply};
use crate::speech::{
    Answer, Content, Gate, NoAnswer, Payload, Service, Submission, Withheld, replies_of,
};
use crate::supervise;

/// How long a submit that could not be recorded waits for the next try.
pub(super) const RECORD_WAIT: Duration = Duration::from_secs(30);

/// What is sent of a job: the recording itself, or what was made of it.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) path: PathBuf,
    /// In bytes.
    pub(super) size: u64,
    pub(super) hash: ContentHash,
    pub(super) format: AudioFormat,
    pub(super) duration: Option<AudioDuration>,
    /// The recording that it was made of, where it was made and can be made again.
    pub(super) origin: Option<Origin>,
}

/// A recording of which something was made, as it was when it was found to be the one that was queued.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) path: PathBuf,
    stamp: Stamp,
}

impl Origin {
    /// The recording at `path` as it is; blocks for a look at it.
    ///
    /// # Errors
    /// Any error of looking at the file, also that it is gone.
    pub(super) fn at(path: PathBuf) -> std::io::Result<Self> {
        let stamp = Stamp::of(&std::fs::metadata(&path)?);
        Ok(Self { path, stamp })
    }

    /// Whether it is still as it was, as far as its stamp tells.
    async fn holds(&self) -> std::io::Result<bool> {
        let path = self.path.clone();
        let now = supervise::blocking(move || Self::at(path));
        let now = now.await.map_err(std::io::Error::other)??;
        Ok(now.stamp == self.stamp)
    }
}

impl Load {
    pub(super) fn whole(job: &Job) -> Self {
        Self {
            path: job.source.clone(),
            size: job.size,
            hash: job.hash,
            format: job.format,
            duration: job.duration,
            origin: None,
        }
    }
}

impl Pipeline {
    /// Acts on a job that was just claimed, and records what came of it.
    pub(super) async fn submit(self: &Arc<Self>, job: Job) -> Result<(), PipelineError> {
        let entered = self.in_flight.enter(job.id);
        if self.waits_for_rules(&job).await? {
            return self.tell(job.id).await;
        }
        if job.settings.provider.is_local() {
            self.submit_local(job, &entered.errand).await?;
        } else {
            self.submit_paid(job, &entered.errand).await?;
        }
        self.tell(entered.id()).await
    }

    async fn submit_paid(self: &Arc<Self>, job: Job, errand: &Errand) -> Result<(), PipelineError> {
        let Some(service) = self.service.clone() else {
            return self.requeue(job.id).await;
        };
        if let Some(piece) = job.piece {
            return self
                .submit_piece(job, piece, service.as_ref(), errand)
                .await;
        }
        let Some(route) = self.route(&job).await? else {
            return Ok(());
        };
        self.tell(job.id).await?;
        match route {
            Route::Bucket { shrink: None } => {
                let load = Load::whole(&job);
                self.submit_by_link(&job, load, service.as_ref(), errand)
                    .await
            }
            Route::Bucket {
                shrink: Some(bitrate),
            } => {
                self.submit_shrunk_by_link(job, bitrate, service.as_ref(), errand)
                    .await
            }
            Route::Direct | Route::Local => {
                let load = Load::whole(&job);
                self.send(&job, load, service.as_ref(), errand).await
            }
            Route::Shrink { bitrate } => {
                self.submit_shrunk(job, bitrate, service.as_ref(), errand)
                    .await
            }
            Route::Pieces(cut) => self.submit_in_pieces(job, cut, errand).await,
        }
    }

    /// The route that is frozen into a job, or the one that is chosen now because that one leads nowhere
    /// any more; nothing for a job that was parked, because none does.
    async fn route(&self, job: &Job) -> Result<Option<Route>, PipelineError> {
        let (shape, terms) = (job.shape(), &self.pace.routes);
        let frozen = job.route.as_ref().map(|chosen| chosen.route);
        if let Some(route) = frozen.filter(|route| still_leads(*route, &shape, terms)) {
            return Ok(Some(route));
        }
        match choose(&shape, terms) {
            Ok(chosen) => {
                self.kept(|| self.queue.set_route(job.id, chosen.clone()))
                    .await?;
                Ok(Some(chosen.route))
            }
            Err(none) => {
                self.park(job.id, none).await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn park(&self, id: JobId, none: NoRoute) -> Result<(), PipelineError> {
        let stage = Stage::Waiting {
            obstacle: none.obstacle,
            text: none.text,
        };
        self.kept(|| self.queue.park(id, stage.clone(), self.now()))
            .await
    }

    /// Sends a file in the body of the request.
    pub(super) async fn send(
        &self,
        job: &Job,
        load: Load,
        service: &dyn Service,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        match delivery::open(&load.path, load.size, load.hash).await {
            Ok((chunks, unchanged)) => {
                let committed = Arc::new(AtomicBool::new(false));
                let submission = Submission {
                    settings: job.settings.clone(),
                    recording: job.hash,
                    duration: load.duration,
                    payload: Payload::Bytes(Content {
                        format: load.format,
                        length: load.size,
                        chunks: told_as_sent(self.reporter.clone(), job.id, chunks),
                    }),
                    gate: self.gate(
                        job,
                        unchanged,
                        load.origin.clone(),
                        committed.clone(),
                        errand.clone(),
                    ),
                };
                self.limiter.turn().await;
                let sent = self.unless_stopped(service, submission, &committed, errand);
                let answer = sent.await;
                self.record(job, &load, answer, errand).await
            }
            Err(error) => self.load_failed(job, &load, &error).await,
        }
    }

    /// What happens before the last chunk leaves: the bytes are proven, and that they are those of the recording
    /// that is there; the intent is on disk.
    pub(super) fn gate(
        &self,
        job: &Job,
        unchanged: Unchanged,
        origin: Option<Origin>,
        committed: Arc<AtomicBool>,
        errand: Errand,
    ) -> Gate {
        let (queue, clock, stop, id) = (
            self.queue.clone(),
            self.clock.clone(),
            self.let_go.clone(),
            job.id,
        );
        Box::new(move || {
            Box::pin(async move {
                let held = match (unchanged.holds().await, &origin) {
                    (Ok(true), Some(origin)) => origin.holds().await,
                    (held, _) => held,
                };
                #[cfg(test)]
                let held = held.map(|held| {
                    held || crate::faults::planted(crate::faults::Bug::GateWithoutProof)
                });
                match held {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Err(Withheld::SourceChanged),
                }
                // In this order, so that whoever stops either sees the flag or is seen here.
                committed.store(true, Ordering::SeqCst);
                if stop.is_cancelled() || errand.called_off.is_cancelled() {
                    return Err(Withheld::Stopping);
                }
                #[cfg(test)]
                if crate::faults::planted(crate::faults::Bug::GateWithoutRecord) {
                    return Ok(());
                }
                queue.commit(id, clock.now()).await.map_err(|error| {
                    if error.is_disk_full() {
                        Withheld::NoRoom(error.to_string())
                    } else {
                        Withheld::NotRecorded(error.to_string())
                    }
                })?;
                errand.decided.cancel();
                Ok(())
            })
        })
    }

    /// Sends, and drops what the service has not seen whole when stenod or the job is being stopped.
    pub(super) async fn unless_stopped(
        &self,
        service: &dyn Service,
        submission: Submission,
        committed: &AtomicBool,
        errand: &Errand,
    ) -> Result<Answer, NoAnswer> {
        let submit = service.submit(submission);
        tokio::pin!(submit);
        tokio::select! {
            biased;
            answer = &mut submit => return answer,
            () = self.let_go.cancelled() => {}
            () = errand.called_off.cancelled() => {}
        }
        if committed.load(Ordering::SeqCst) {
            submit.await
        } else {
            Err(NoAnswer::Withheld(Withheld::Stopping))
        }
    }

    pub(super) async fn record(
        &self,
        job: &Job,
        load: &Load,
        answer: Result<Answer, NoAnswer>,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        match answer {
            Ok(answer) => self.record_answer(job, answer).await,
            Err(NoAnswer::Unreachable(text)) => {
                let reason =
                    Reason::new("offline", format!("the service cannot be reached: {text}"));
                self.put_back(job, Halt::Offline, None, reason).await
            }
            Err(NoAnswer::Broken {
                phase: Phase::AfterCommit,
                text,
            }) => {
                let text = format!("the recording was sent and its answer was lost: {text}");
                self.doubt(job, Halt::Offline, Reason::new("reply_lost", text))
                    .await
            }
            Err(NoAnswer::Broken {
                phase: Phase::BeforeCommit,
                text,
            }) => {
                let reason = Reason::new("upload_broken", format!("the upload broke off: {text}"));
                // In an outage that is known already it is no fault of the recording's.
                if self.pauses.has(PauseReason::Offline) {
                    return self.put_back(job, Halt::Offline, None, reason).await;
                }
                self.halt(Halt::Offline, None, &reason).await?;
                self.retry_later(job, reason).await
            }
            Err(NoAnswer::Withheld(Withheld::SourceChanged)) => self.load_changed(job, load).await,
            Err(NoAnswer::Withheld(Withheld::Stopping)) => self.stopped(job.id, errand).await,
            Err(NoAnswer::Withheld(Withheld::NoRoom(text))) => {
                let until = after(self.now(), RECORD_WAIT);
                self.no_room(Disk::State, until, text).await?;
                self.requeue(job.id).await
            }
            Err(NoAnswer::Withheld(Withheld::NotRecorded(text))) => {
                tracing::error!(
                    job_id = job.id.0,
                    "nothing was sent, because it could not be recorded: {text}"
                );
                let until = after(self.now(), RECORD_WAIT);
                let reason = Reason::new("not_recorded", text);
                self.requeue_until(job.id, Some(until), Some(reason)).await
            }
            Err(NoAnswer::OtherForm) => self.requeue(job.id).await,
            Err(NoAnswer::Source(error)) => self.load_failed(job, load, &error).await,
        }
    }

    async fn record_answer(&self, job: &Job, answer: Answer) -> Result<(), PipelineError> {
        let shape = replies_of(job.settings.provider).shape(&answer.body);
        let has_retry_after = answer.retry_after.is_some();
        let (status, phase) = (answer.status, answer.phase);
        let standing = self.standing(status, &shape).await?;
        match submit_verdict(status, phase, &shape, has_retry_after, standing) {
            Verdict::Accepted => {
                #[cfg(test)]
                let answer = super::simulation::mistaken(self, job, answer).await?;
                let reply = raw(answer);
                let address = self
                    .service
                    .as_ref()
                    .map(|service| service.address().to_owned());
                self.kept(|| {
                    let (reply, address) = (reply.clone(), address.clone());
                    self.queue.accept(job.id, reply, address, self.now())
                })
                .await?;
                self.service_is_back().await?;
                self.bell.notify_one();
                Ok(())
            }
            Verdict::Retry(halt, reason) | Verdict::Halt(halt, reason) => {
                let reason = self.with_address(halt, reason);
                self.put_back(job, halt, answer.retry_after, reason).await
            }
            Verdict::InDoubt(halt, reason) => {
                self.doubt(job, halt, self.with_address(halt, reason)).await
            }
            Verdict::Unread(halt, reason) => {
                let reason = self.with_address(halt, reason);
                self.halt(halt, None, &reason).await?;
                let reply = raw(answer);
                self.kept(|| {
                    self.queue
                        .keep_unread(job.id, reply.clone(), reason.clone(), self.now())
                })
                .await
            }
            Verdict::Reject(reason) => self.fail(job.id, reason, answer.request_id).await,
        }
    }

    /// What is known of who answers; asked of the table only where it matters.
    async fn standing(&self, status: u16, shape: &Shape) -> Result<Standing, PipelineError> {
        let verdict = |standing| submit_verdict(status, Phase::AfterCommit, shape, false, standing);
        let Some(service) = &self.service else {
            return Ok(Standing::Proven);
        };
        if verdict(Standing::Proven) == verdict(Standing::Unproven) {
            return Ok(Standing::Proven);
        }
        let has_accepted = self.queue.has_accepted(service.address().to_owned());
        Ok(if has_accepted.await? {
            Standing::Proven
        } else {
            Standing::Unproven
        })
    }

    /// Says where and how to mend it, where somebody else than the service may have answered.
    fn with_address(&self, halt: Halt, reason: Reason) -> Reason {
        match (halt, &self.service) {
            (Halt::Address, Some(service)) => {
                let text = format!(
                    "{} has never taken a recording, and does not answer like the speech service: {}; check service.base_url and the model",
                    service.address(),
                    reason.text,
                );
                Reason::new(reason.code, text)
            }
            (Halt::Address | Halt::Key | Halt::Balance | Halt::RateLimit | Halt::Offline, _) => {
                reason
            }
        }
    }

    /// Nothing was sent: back into the queue, or out of it where a person stopped the job.
    pub(super) async fn stopped(&self, id: JobId, errand: &Errand) -> Result<(), PipelineError> {
        if errand.called_off.is_cancelled() {
            self.kept(|| self.queue.cancel_in_hand(id, self.now()))
                .await
        } else {
            self.requeue(id).await
        }
    }

    pub(super) async fn requeue(&self, id: JobId) -> Result<(), PipelineError> {
        self.requeue_until(id, None, None).await
    }

    pub(super) async fn requeue_until(
        &self,
        id: JobId,
        not_before: Option<Timestamp>,
        reason: Option<Reason>,
    ) -> Result<(), PipelineError> {
        self.kept(|| {
            self.queue
                .requeue(id, not_before, reason.clone(), self.now())
        })
        .await
    }

    /// Ends a job without a transcript.
    pub(super) async fn fail(
        &self,
        id: JobId,
        reason: Reason,
        request_id: Option<String>,
    ) -> Result<(), PipelineError> {
        self.kept(|| {
            self.queue
                .fail(id, reason.clone(), request_id.clone(), self.now())
        })
        .await
    }

    /// Back into the queue without an attempt being used up; the whole queue waits.
    pub(super) async fn put_back(
        &self,
        job: &Job,
        halt: Halt,
        retry_after: Option<Duration>,
        reason: Reason,
    ) -> Result<(), PipelineError> {
        self.halt(halt, retry_after, &reason).await?;
        // Behind those that were not tried yet, so that one sick recording does not block the others.
        self.requeue_until(job.id, Some(self.now()), Some(reason))
            .await
    }

    pub(super) async fn retry_later(&self, job: &Job, reason: Reason) -> Result<(), PipelineError> {
        let wait = backoff(job.failures + 1, None, self.chance.fraction());
        let not_before = after(self.now(), wait);
        self.kept(|| {
            self.queue
                .retry_later(job.id, not_before, reason.clone(), self.now())
        })
        .await?;
        Ok(())
    }

    /// In doubt; a repeat would go into the same outage, so that the queue waits until a probe succeeded.
    async fn doubt(&self, job: &Job, halt: Halt, reason: Reason) -> Result<(), PipelineError> {
        self.halt(halt, None, &reason).await?;
        let wait = backoff(job.doubts + 1, None, self.chance.fraction());
        let retry_at = after(self.now(), wait);
        let policy = self.pace.doubt;
        self.kept(|| {
            self.queue
                .doubt(job.id, reason.clone(), policy, retry_at, self.now())
        })
        .await
    }

    pub(super) async fn source_changed(&self, job: &Job) -> Result<(), PipelineError> {
        if self.has_gone_with_its_disk(job.id).await? {
            return self.wait_for_disk(job).await;
        }
        let text = "it changed after it was queued: nothing was sent, and what it is now is a recording of its own";
        let reason = Reason::new("source_changed", text);
        self.fail(job.id, reason, None).await
    }

    pub(super) async fn source_failed(
        &self,
        job: &Job,
        error: &std::io::Error,
    ) -> Result<(), PipelineError> {
        if self.has_gone_with_its_disk(job.id).await? {
            return self.wait_for_disk(job).await;
        }
        let kind = error.kind();
        if kind == std::io::ErrorKind::NotFound {
            return self.vanished(job.id).await;
        }
        if kind == std::io::ErrorKind::UnexpectedEof {
            return self.source_changed(job).await;
        }
        let text = format!("the recording cannot be read: {error}");
        let reason = Reason::new(SOURCE_UNREADABLE, text);
        if kind == std::io::ErrorKind::PermissionDenied {
            return self.wait_for_permission(job, reason).await;
        }
        self.retry_later(job, reason).await
    }

    /// Keeps the reply of the built-in recogniser like that of any service.
    #[cfg(feature = "local")]
    async fn submit_local(
        self: &Arc<Self>,
        job: Job,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        use super::Event;
        use crate::speech::local::LocalError;

        self.tell(job.id).await?;
        let (pipeline, claimed) = (self.clone(), job.clone());
        let called_off = errand.called_off.clone();
        let heard = supervise::blocking(move || {
            let in_hand = pipeline.queue.look_into(claimed.source.clone());
            let progress = |seconds: f64| {
                in_hand.reached(
                    Duration::try_from_secs_f64(seconds)
                        .unwrap_or_default()
                        .as_secs(),
                );
                pipeline.reporter.report(&Event::Progress {
                    id: claimed.id,
                    seconds,
                });
                !pipeline.let_go.is_cancelled() && !called_off.is_cancelled()
            };
            recognise(&pipeline, &claimed, &progress)
        })
        .await?;
        match heard {
            Ok(body) => {
                let reply = RawReply {
                    status: 200,
                    body,
                    request_id: None,
                };
                self.kept(|| self.queue.store_reply(job.id, reply.clone(), self.now()))
                    .await?;
                self.bell.notify_one();
                Ok(())
            }
            Err(Unheard::Local(LocalError::Stopped)) => self.stopped(job.id, errand).await,
            Err(Unheard::Source(error)) => self.source_failed(&job, &error).await,
            Err(Unheard::Changed) => self.source_changed(&job).await,
            Err(Unheard::Local(error)) => {
                let reason = Reason::new(error.code(), format!("{:#}", anyhow::Error::new(error)));
                self.fail(job.id, reason, None).await
            }
        }
    }

    #[cfg(not(feature = "local"))]
    async fn submit_local(
        self: &Arc<Self>,
        job: Job,
        _errand: &Errand,
    ) -> Result<(), PipelineError> {
        let text =
            "this stenod was built without the recogniser: build it with the feature `local`";
        let reason = Reason::new("no_recogniser", text);
        self.fail(job.id, reason, None).await
    }
}

/// Why the built-in recogniser gave nothing.
#[cfg(feature = "local")]
enum Unheard {
    Source(std::io::Error),
    Changed,
    Local(crate::speech::local::LocalError),
}

/// Decodes and recognises a recording; blocks for as long as that takes.
#[cfg(feature = "local")]
fn recognise(
    pipeline: &Pipeline,
    job: &Job,
    keep_going: &dyn Fn(f64) -> bool,
) -> Result<Vec<u8>, Unheard> {
    use crate::media::decode::Samples;
    use crate::speech::local::{LocalError, reply};

    let file = crate::source::open(&job.source).map_err(|error| Unheard::Source(error.into()))?;
    prove(&file, job)?;
    let mut samples = Samples::from_file(&file)
        .map_err(|error| Unheard::Local(LocalError::Undecodable(Box::new(error))))?;
    let language = job.settings.language.as_str();
    let heard = pipeline
        .local
        .transcribe(&mut |block| samples.read(block), language, keep_going);
    // What was heard of bytes that changed meanwhile is nobody's transcript.
    prove(&file, job)?;
    let mut heard = heard.map_err(Unheard::Local)?;
    heard.damage = Some(samples.report().damage());
    reply(&heard).map_err(|error| Unheard::Local(LocalError::Reply(error)))
}

/// Checks that the bytes of `file` are those that were queued.
#[cfg(feature = "local")]
fn prove(file: &std::fs::File, job: &Job) -> Result<(), Unheard> {
    if super::make::is_queued(file, job).map_err(Unheard::Source)? {
        Ok(())
    } else {
        Err(Unheard::Changed)
    }
}

fn raw(answer: Answer) -> RawReply {
    RawReply {
        status: answer.status,
        body: answer.body,
        request_id: answer.request_id,
    }
}
