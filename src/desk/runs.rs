//! Runs that a daemon takes on: what they name is taken in, worked on like everything else, and followed.
//!
//! What was taken in stays the daemon's work, whether its client stays or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::ahead::Basis;
use super::words::{failed, held};
use super::{Crier, Daemon};
use crate::control::{Answer, Ended, News, Refusal, RefusalKind, RunOrder, Taken, Told};
use crate::domain::job::{Job, JobId, Stage, StageName};
use crate::pipeline::{
    About, Event, Intake, IntakeOptions, Pipeline, PipelineError, Reporter, SLOW_TICK,
    nothing_readable, waits_too_long,
};
use crate::queue::{Asked, Queue};
use crate::session;

/// How often it is looked whether the whole queue waits for too long.
const PAUSE_LOOK: Duration = Duration::from_secs(3);

/// Tells what happens to everybody, and what is passed over to the client of a run alone.
struct Aside {
    crier: Arc<Crier>,
    told: Told,
}

impl Reporter for Aside {
    fn report(&self, event: &Event) {
        match event {
            Event::Skipped { path, reason } => self.told.tell(News::Skipped {
                path: path.as_path().into(),
                code: reason.code.clone(),
                text: reason.text.clone(),
            }),
            Event::Reading { path, read, size } => self.told.tell(News::Reading {
                path: path.as_path().into(),
                read: *read,
                size: *size,
            }),
            Event::Job { .. }
            | Event::Progress { .. }
            | Event::Encoded { .. }
            | Event::Uploaded { .. }
            | Event::Sent { .. }
            | Event::Paused(_)
            | Event::Resumed(_) => {
                self.crier.report(event);
            }
        }
    }
}

/// Takes in what `order` names, and follows it to its end.
pub(super) async fn run(
    latest: &watch::Receiver<Arc<Pipeline>>,
    daemon: &Daemon,
    order: RunOrder,
    told: Told,
) -> Result<Answer, Refusal> {
    let Basis {
        config,
        places,
        own,
        terms,
    } = Basis::of(latest, daemon, &order).await?;
    let agreed = daemon.plans.agreed(order.plan.as_deref(), &terms)?;
    let events = daemon.crier.follow();
    let about = About::default();
    let reporter = Arc::new(Aside {
        crier: daemon.crier.clone(),
        told: told.clone(),
    });
    let mut pipeline = Pipeline {
        reporter,
        // A run waits for other files than the daemon, and not as long.
        waiting: Arc::default(),
        rules: Arc::default(),
        ..Pipeline::clone(&own)
    };
    // The places are judged by the flags of the run, and named ones are wanted though they are old.
    pipeline.pace = session::pace_of_run(&config, &own);
    let options = IntakeOptions {
        one_shot: true,
        force: order.force,
        limit: order.limit,
        asked: Asked {
            formats: order.flags.formats.is_some(),
            folder: order.flags.output_dir.is_some(),
        },
        agreed: Some(agreed),
        about: Some(about.clone()),
    };
    let roots = places.places.len();
    let mut follower = Follower {
        latest: latest.clone(),
        about,
        told,
        moving: BTreeMap::new(),
        events: Some(events),
    };
    let intake = Intake::new(Arc::new(pipeline), places.places, options)
        .run_once(Arc::new(AtomicBool::new(false)));
    let intake = follower.beside(intake).await.map_err(failed)?;
    let missing = intake.troubles.len();
    for (path, reason) in &intake.troubles {
        follower.told.tell(News::Skipped {
            path: path.as_path().into(),
            code: reason.code.clone(),
            text: reason.text.clone(),
        });
    }
    if missing == roots {
        let (text, hint) = nothing_readable(&intake.troubles);
        return Err(Refusal {
            hint,
            ..Refusal::new(RefusalKind::Failed, text)
        });
    }
    drop(intake);
    let ended = follower.until_the_end().await.map_err(failed)?;
    Ok(Answer::Ran(Taken {
        ended,
        jobs: follower.about.jobs(),
        missing,
    }))
}

/// Follows the jobs of a run, by events where they come through and by the table where not.
struct Follower {
    latest: watch::Receiver<Arc<Pipeline>>,
    about: About,
    told: Told,
    /// The jobs that will move by themselves, where they are, and whether they are paid for.
    moving: BTreeMap<JobId, (StageName, bool)>,
    events: Option<broadcast::Receiver<Event>>,
}

impl Follower {
    /// Tells what happens while `work` is done.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                event = next(&mut self.events) => self.heard(event),
            }
        }
    }

    async fn until_the_end(&mut self) -> Result<Ended, PipelineError> {
        let queue = self.latest.borrow().queue.clone();
        for id in self.about.jobs() {
            let job = queue.job(id).await?;
            self.note_now(&queue, &job).await?;
        }
        let mut next_look = Instant::now() + SLOW_TICK;
        loop {
            let pipeline = self.latest.borrow().clone();
            // Also where nothing moves yet: not everything may have been looked at.
            if pipeline.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            if self.moving.is_empty() {
                return Ok(Ended::Finished);
            }
            if let Some(ended) = self.waits_too_long(&pipeline) {
                return Ok(ended);
            }
            tokio::select! {
                event = next(&mut self.events) => self.heard(event),
                () = sleep(PAUSE_LOOK) => {}
                () = sleep_until(next_look) => {
                    next_look = Instant::now() + SLOW_TICK;
                    let ids = self.moving.keys().copied().collect();
                    self.look(ids).await?;
                }
                () = pipeline.stop.cancelled() => {}
                // Nobody follows any more; the work goes on all the same.
                () = self.told.gone() => return Ok(Ended::Stopped),
            }
        }
    }

    /// Asks the table where these jobs are, and tells it, since events may have been missed.
    async fn look(&mut self, ids: Vec<JobId>) -> Result<(), PipelineError> {
        let queue = self.latest.borrow().queue.clone();
        for id in ids {
            let job = queue.job(id).await?;
            self.told.tell(News::Job(id));
            self.note_now(&queue, &job).await?;
        }
        Ok(())
    }

    /// Notes where a job is; one that was cut moves as long as one of its pieces does.
    async fn note_now(&mut self, queue: &Queue, job: &Job) -> Result<(), PipelineError> {
        self.note(job);
        if job.stage.name() == StageName::Split {
            let id = job.id;
            let pieces = queue.read(move |reader| reader.pieces(id)).await?;
            if !pieces.iter().any(|piece| moves(&piece.stage)) {
                self.moving.remove(&id);
            }
        }
        Ok(())
    }

    fn note(&mut self, job: &Job) {
        if moves(&job.stage) {
            let paid = job.settings.provider.is_paid();
            self.moving.insert(job.id, (job.stage.name(), paid));
        } else {
            self.moving.remove(&job.id);
        }
    }

    /// Passes on what concerns this run; what was missed is found at the next look.
    fn heard(&mut self, event: Event) {
        match event {
            Event::Job { job, .. } if self.about.has(job.id) => {
                self.told.tell(News::Job(job.id));
                self.note(&job);
            }
            Event::Progress { id, seconds } if self.about.has(id) => {
                self.told.tell(News::Progress { job: id, seconds });
            }
            Event::Encoded { id, seconds } if self.about.has(id) => {
                self.told.tell(News::Encoded { job: id, seconds });
            }
            Event::Uploaded { id, sent, size } if self.about.has(id) => {
                self.told.tell(News::Uploaded {
                    job: id,
                    sent,
                    size,
                });
            }
            Event::Paused(pause) => self.told.tell(News::Paused(held(&pause))),
            Event::Resumed(reason) => self.told.tell(News::Resumed {
                reason: reason.as_str().to_owned(),
            }),
            // The bytes of a small upload are gone before a client could show them.
            Event::Sent { .. } => {}
            Event::Job { .. }
            | Event::Progress { .. }
            | Event::Encoded { .. }
            | Event::Uploaded { .. }
            | Event::Reading { .. }
            | Event::Skipped { .. } => {}
        }
    }

    /// How the run ends, if the whole queue waits for longer than a run waits.
    fn waits_too_long(&self, pipeline: &Pipeline) -> Option<Ended> {
        let pauses = pipeline.pauses.all();
        let by_hand =
            |pause: &crate::queue::Pause| pause.reason == crate::queue::PauseReason::Operator;
        let is_paid = self.moving.values().all(|(_, paid)| *paid);
        let pause = pauses.into_iter().find(|pause| is_paid || by_hand(pause))?;
        let accepted = |stage: &StageName| {
            matches!(
                stage,
                StageName::Submitting
                    | StageName::Committing
                    | StageName::Awaiting
                    | StageName::Received
            )
        };
        let accepted = self.moving.values().filter(|(stage, _)| accepted(stage));
        waits_too_long(&pause, accepted.count(), pipeline.now())
            .then(|| Ended::Paused(held(&pause)))
    }
}

/// The next event; none ever again once nobody tells.
async fn next(events: &mut Option<broadcast::Receiver<Event>>) -> Event {
    loop {
        let Some(receiver) = events else {
            return std::future::pending().await;
        };
        match receiver.recv().await {
            Ok(event) => return event,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *events = None,
        }
    }
}

/// Whether a job in this stage moves by itself.
fn moves(stage: &Stage) -> bool {
    match stage {
        Stage::Queued { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { overdue: None, .. }
        | Stage::Received { trouble: None, .. }
        | Stage::InDoubt {
            retry_at: Some(_), ..
        } => true,
        Stage::Awaiting {
            overdue: Some(_), ..
        }
        | Stage::Received {
            trouble: Some(_), ..
        }
        | Stage::InDoubt { retry_at: None, .. }
        | Stage::Waiting { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled => false,
    }
}
