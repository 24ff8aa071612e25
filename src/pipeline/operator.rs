//! What a person asks for while the queue is worked on: hold, go on, queue again, stop.
//!
//! The table is changed first; whoever is at work is told afterwards and looks again. A job that is
//! being sent is stopped before its last chunk or not at all: what was handed over is paid for and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Event, Pipeline, PipelineError};
use crate::domain::job::{Job, JobId, StageName, State};
use crate::queue::{Pause, PauseReason, Queue, QueueError, Reader};

/// The most jobs that one order takes up.
const MOST_JOBS: usize = 1_000_000;

/// The submits in flight, so that each can be stopped.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<JobId, Errand>>);

/// A submit that can be stopped until it is decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Errand {
    /// Cancelled when a person stops the job.
    pub(super) called_off: CancellationToken,
    /// Cancelled when it is too late for that, or the submit has ended.
    pub(super) decided: CancellationToken,
    /// Cancelled when the submit has begun, so that it will be decided.
    entered: CancellationToken,
}

/// Takes an errand off the list when it ends, however it ends.
pub(super) struct Entered {
    in_flight: Arc<InFlight>,
    id: JobId,
    pub(super) errand: Errand,
}

impl InFlight {
    fn list(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Errand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The errand of a job that is about to be sent; a person may have called it off before it began.
    pub(super) fn enter(self: &Arc<Self>, id: JobId) -> Entered {
        let errand = self.list().entry(id).or_default().clone();
        errand.entered.cancel();
        Entered {
            in_flight: self.clone(),
            id,
            errand,
        }
    }

    /// Calls the submit of a job off; the caller waits until it is decided.
    fn call_off(&self, id: JobId) -> Errand {
        let errand = self.list().entry(id).or_default().clone();
        errand.called_off.cancel();
        errand
    }

    /// Takes back that a job was called off which is not being sent at all.
    fn take_back(&self, id: JobId) {
        let mut list = self.list();
        if list
            .get(&id)
            .is_some_and(|errand| !errand.entered.is_cancelled())
        {
            list.remove(&id);
        }
    }
}

impl Entered {
    /// Whose errand it is.
    pub(super) fn id(&self) -> JobId {
        self.id
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.in_flight.list().remove(&self.id);
        self.errand.decided.cancel();
    }
}

/// Which jobs are to be queued again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// These.
    pub jobs: Vec<JobId>,
    /// Every job that failed.
    pub failed: bool,
    /// Every job in doubt.
    pub in_doubt: bool,
    /// Every job that failed, waits or is in doubt for this reason.
    pub reason: Option<String>,
}

/// What became of the jobs that an order named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Those that changed.
    pub changed: Vec<JobId>,
    /// Those that stay as they are, and where they are.
    pub left: Vec<(JobId, StageName)>,
}

/// A table, and whoever is at work on it in this process.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub(super) queue: &'a Queue,
    pub(super) at_work: Option<&'a Pipeline>,
    pub(super) now: Timestamp,
}

impl<'a> Table<'a> {
    /// A table that nobody works on.
    pub fn at_rest(queue: &'a Queue, now: Timestamp) -> Self {
        Self {
            queue,
            at_work: None,
            now,
        }
    }

    /// The table that `pipeline` works on.
    pub fn at_work(pipeline: &'a Pipeline) -> Self {
        Self {
            queue: &pipeline.queue,
            at_work: Some(pipeline),
            now: pipeline.now(),
        }
    }

    /// Queues the chosen jobs again, and lets the service be tried at once.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn retry(self, chosen: Chosen) -> Result<Changed, PipelineError> {
        let ids = self
            .queue
            .read(move |reader| choose(reader, &chosen))
            .await?;
        let changed = self.queue.retry(ids.clone(), self.now).await?;
        self.queue.resume_at_start(self.now).await?;
        self.tell(&changed).await?;
        self.changed(ids, changed).await
    }

    /// Stops jobs and keeps them stopped; one that the service has whole is paid for and left.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn cancel(self, mut ids: Vec<JobId>) -> Result<Changed, PipelineError> {
        ids.sort();
        ids.dedup();
        let mut cancelled = self.queue.cancel(ids.clone(), self.now).await?;
        if let Some(pipeline) = self.at_work {
            for id in &ids {
                if self.call_off_whole(pipeline, *id).await? {
                    cancelled.push(*id);
                }
            }
        }
        // One that went back into the queue meanwhile stays stopped as well.
        cancelled.extend(self.queue.cancel(ids.clone(), self.now).await?);
        cancelled.sort();
        cancelled.dedup();
        self.tell(&cancelled).await?;
        self.changed(ids, cancelled).await
    }

    /// Stops the submits of a job and of its pieces; says whether one was stopped.
    async fn call_off_whole(self, pipeline: &Pipeline, id: JobId) -> Result<bool, PipelineError> {
        let mut stopped = self.call_off(pipeline, id).await?;
        let pieces = self.queue.read(move |reader| reader.pieces(id)).await?;
        for piece in pieces {
            stopped |= self.call_off(pipeline, piece.id).await?;
        }
        Ok(stopped)
    }

    /// Stops the submit of a job, if there is one, and waits until that is decided; says whether it was
    /// stopped.
    async fn call_off(self, pipeline: &Pipeline, id: JobId) -> Result<bool, PipelineError> {
        let stage = async || Ok::<_, PipelineError>(self.queue.job(id).await?.stage.name());
        if stage().await? != StageName::Submitting {
            return Ok(false);
        }
        let errand = pipeline.in_flight.call_off(id);
        // It may have ended just now: then nobody is left to decide.
        if errand.entered.is_cancelled() || stage().await? == StageName::Submitting {
            tokio::select! {
                () = errand.decided.cancelled() => {}
                () = pipeline.let_go.cancelled() => {}
            }
        } else {
            pipeline.in_flight.take_back(id);
        }
        Ok(stage().await? == StageName::Cancelled)
    }

    /// Holds the queue: nothing new is sent nor recognised, until `until` or a person says so.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn hold(self, until: Option<Timestamp>) -> Result<Pause, PipelineError> {
        let text = "held by hand: `stenod resume` goes on".to_owned();
        let pause = self.queue.hold(until, text, self.now).await?;
        self.tell(&[]).await?;
        if let Some(pipeline) = self.at_work {
            pipeline.meter.paused(pause.reason.as_str());
            pipeline.reporter.report(&Event::Paused(pause.clone()));
        }
        Ok(pause)
    }

    /// Ends the hold, and has one request tried where the service had refused; gives what was waited for.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn release(self) -> Result<Vec<PauseReason>, PipelineError> {
        let concerned = self.queue.release(self.now).await?;
        self.tell(&[]).await?;
        if let Some(pipeline) = self.at_work
            && concerned.contains(&PauseReason::Operator)
        {
            pipeline
                .reporter
                .report(&Event::Resumed(PauseReason::Operator));
        }
        Ok(concerned)
    }

    /// Has whoever is at work look at the pauses and the table again.
    async fn tell(self, changed: &[JobId]) -> Result<(), PipelineError> {
        let Some(pipeline) = self.at_work else {
            return Ok(());
        };
        pipeline.load_pauses().await?;
        for id in changed {
            pipeline.tell(*id).await?;
        }
        pipeline.bell.notify_one();
        Ok(())
    }

    async fn changed(self, ids: Vec<JobId>, changed: Vec<JobId>) -> Result<Changed, PipelineError> {
        let mut left = Vec::new();
        for id in ids.into_iter().filter(|id| !changed.contains(id)) {
            left.push((id, self.queue.job(id).await?.stage.name()));
        }
        Ok(Changed { changed, left })
    }
}

/// The jobs that are chosen, by their numbers.
fn choose(reader: &Reader<'_>, chosen: &Chosen) -> Result<Vec<JobId>, QueueError> {
    let mut ids = chosen.jobs.clone();
    let mut add = |state: State, wanted: &dyn Fn(&Job) -> bool| {
        let jobs = reader.jobs(Some(state), MOST_JOBS)?;
        ids.extend(jobs.iter().filter(|job| wanted(job)).map(|job| job.id));
        Ok::<(), QueueError>(())
    };
    if chosen.failed {
        add(State::Failed, &|_| true)?;
    }
    if chosen.in_doubt {
        add(State::InDoubt, &|_| true)?;
    }
    if let Some(code) = &chosen.reason {
        let has_code = |job: &Job| {
            job.stage
                .reason()
                .is_some_and(|reason| reason.code == *code)
        };
        for state in [State::Failed, State::Waiting, State::InDoubt] {
            add(state, &has_code)?;
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;
    use std::task::Poll;
    use std::time::Duration;

    use super::super::simulation::ROUTES;
    use super::super::{Limiter, Pace, RenderOptions, Silent, Spool, ToRender};
    use super::*;
    use crate::clock::{Chance, SystemClock};
    use crate::domain::audio::{AudioDuration, AudioFormat};
    use crate::domain::cut::Stretch;
    use crate::domain::job::{Candidate, ContentHash, Provider, Publication, Settings, Stage};
    use crate::domain::step::DoubtPolicy;
    use crate::queue::{Claimed, Enqueued, Limits, NewPiece, Terms};
    #[cfg(feature = "local")]
    use crate::speech::local::{Local, LocalSettings};

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn terms() -> Terms {
        Terms {
            providers: vec![Provider::named("nanogpt")],
            ..Terms::default()
        }
    }

    async fn claim(queue: &Queue) -> Job {
        match queue.claim(terms(), now()).await.unwrap() {
            Claimed::Submit(job) => *job,
            other @ (Claimed::Moved(_)
            | Claimed::Nothing
            | Claimed::Later
            | Claimed::OverBudget { .. }) => panic!("{other:?}"),
        }
    }

    /// A recording of a minute.
    pub(in crate::pipeline) fn candidate() -> Candidate {
        Candidate {
            source: "/in/a.wav".into(),
            root: "/in".into(),
            ground: None,
            hash: ContentHash([1; 32]),
            size: 1000,
            duration: Some(AudioDuration::from_micros(60_000_000)),
            format: AudioFormat::Wav,
            has_video: Some(false),
            settings: Settings {
                provider: Provider::named("nanogpt"),
                model: "Whisper-Large-V3".into(),
                language: "auto".into(),
                diarize: false,
                tag_audio_events: false,
            },
            publication: Publication::default(),
            output_dir: None,
            route: None,
            stage: Stage::queued(),
        }
    }

    /// A recording in two pieces, one of which is being sent: the whole and that piece.
    async fn in_pieces(queue: &Queue) -> (JobId, JobId) {
        let added = queue
            .enqueue(candidate(), None, false, now())
            .await
            .unwrap();
        assert!(matches!(added, Enqueued::New(_)));
        let whole = claim(queue).await.id;
        let piece = |start, end| NewPiece {
            stretch: Stretch { start, end },
            size: 100,
            hash: ContentHash([2; 32]),
        };
        let pieces = vec![piece(0, 480_000), piece(480_000, 960_000)];
        queue.split(whole, pieces, now()).await.unwrap();
        (whole, claim(queue).await.id)
    }

    /// At work on a table in `folder`, with nobody who recognises.
    pub(in crate::pipeline) fn pipeline(folder: &Path) -> Pipeline {
        Pipeline {
            queue: Arc::new(Queue::open(folder, now()).unwrap()),
            service: None,
            bucket: None,
            #[cfg(feature = "local")]
            local: Arc::new(Local::new(LocalSettings {
                model_dir: None,
                threads: None,
            })),
            clock: Arc::new(SystemClock),
            chance: Chance::from_seed(1),
            notes: Arc::default(),
            spool: Arc::new(Spool::new(folder, 1)),
            limiter: Arc::new(Limiter::new(NonZeroU32::MIN)),
            pace: Pace {
                jobs: 1,
                poll_interval: Duration::from_secs(2),
                doubt: DoubtPolicy::Hold,
                routes: ROUTES,
                limits: Limits::default(),
                scoped: false,
            },
            pauses: Arc::default(),
            prices: Arc::default(),
            in_flight: Arc::default(),
            pen: Arc::default(),
            quarantine: Arc::default(),
            unreadable: Arc::default(),
            pulse: Arc::default(),
            meter: Arc::default(),
            waiting: Arc::default(),
            rules: Arc::default(),
            receivers: Arc::default(),
            reporter: Arc::new(Silent),
            bell: Arc::default(),
            stop: CancellationToken::new(),
            let_go: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn outputs_are_not_written_again_while_one_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = pipeline(folder.path());
        let jobs = vec![ToRender {
            job: in_pieces(&pipeline.queue).await.0,
            wanted: Publication::default(),
        }];
        let published = pipeline.pen.publishing().await;
        let rendering = Table::at_work(&pipeline).render(jobs, RenderOptions::default());
        tokio::pin!(rendering);
        let waits = std::future::poll_fn(|context| {
            Poll::Ready(rendering.as_mut().poll(context).is_pending())
        });
        assert!(waits.await);
        drop(published);
        let report = rendering.await.unwrap();
        assert_eq!(report.left.first().map(|left| left.code), Some("not_done"));
    }

    #[tokio::test]
    async fn the_piece_that_is_being_sent_is_stopped_with_its_recording() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = pipeline(folder.path());
        let (whole, piece) = in_pieces(&pipeline.queue).await;
        let entered = pipeline.in_flight.enter(piece);
        let queue = pipeline.queue.clone();
        let sending = async move {
            entered.errand.called_off.cancelled().await;
            queue.cancel_in_hand(piece, now()).await.unwrap();
            drop(entered);
        };
        let order = Table::at_work(&pipeline).cancel(vec![whole]);
        let (changed, ()) = tokio::join!(order, sending);
        assert_eq!(changed.unwrap().changed, [whole]);
        for id in [whole, piece] {
            let job = pipeline.queue.job(id).await.unwrap();
            assert_eq!(job.stage, Stage::Cancelled);
        }
    }
}
