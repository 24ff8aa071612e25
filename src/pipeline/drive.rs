//! The loop: look at the table, start what is due, wait for a hint, the next due time or the slow tick.
//!
//! Tickets come before new submits. Every piece of work is a task with an owner; a job that is in hand
//! is not started twice. A run ends when nothing moves any more; the daemon ends when it is stopped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::away::LOOK_EVERY;
use super::bucket::LISTING_INTERVAL;
use super::quarantine::Turn;
use super::room::Disk;
use super::{MOST_OUTSTANDING, MOST_POLLS, MOST_PUBLISHING, Pipeline, PipelineError, SLOW_TICK};
use crate::domain::job::{Job, JobId, Provider, StageName};
use crate::domain::step::{Action, next_action};
use crate::domain::timing::{after, age};
use crate::queue::{Claimed, Outlook, Pause, PauseReason, QueueError, Terms};
use crate::speech::services::everybody;
use crate::supervise::Tasks;

/// How long a run waits for a service that is out of reach.
const RUN_PATIENCE_OFFLINE: Duration = Duration::from_secs(30);
/// How long a run waits for a service that asks to come back later.
const RUN_PATIENCE_RATE_LIMIT: Duration = Duration::from_secs(300);

/// The most jobs that are claimed at once.
const MOST_CLAIMS: usize = 32;
/// The most jobs in doubt that one turn looks at.
const MOST_DOUBTS: usize = 100_000;

/// How far a row's time may be ahead of the clock before the clock counts as set back.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// When the loop ends by itself.
#[derive(Debug, Clone)]
pub enum Mode {
    /// When nothing moves any more and the flag says that nothing is looked for any more.
    Run {
        /// Whether everything was looked at.
        looked: Arc<AtomicBool>,
    },
    /// Never.
    Watch,
}

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// Nothing is left to do.
    Finished,
    /// The whole queue waits, longer than a run waits.
    Paused(Pause),
    /// It was stopped.
    Stopped,
}

/// What kind of work a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Publish,
    Poll,
    Paid,
    Local,
    /// Looking whether a pause may end.
    Look,
    /// Taking out of the bucket what nobody needs any more.
    Tidy,
    /// Looking whether disks are back.
    Disks,
}

/// The job that was worked on, if it was one.
type Finished = (Option<JobId>, Work, Result<(), PipelineError>);

struct Driver {
    pipeline: Arc<Pipeline>,
    latest: Latest,
    mode: Mode,
    tasks: Tasks<Finished>,
    /// How many tasks work on a job: one that put its job back may still be ending while the next has
    /// begun.
    in_hand: HashMap<JobId, usize>,
    busy: HashMap<Work, usize>,
    /// When the bucket is to be looked into.
    list_bucket_at: Timestamp,
    /// When it is to be looked up whether disks are back.
    look_for_disks_at: Timestamp,
    /// The runs that are asked about before anything new is sent: those that were due at the first turn.
    asked_first: Option<HashSet<JobId>>,
}

/// The pipeline as the configuration has it today: what begins, begins with the latest one.
type Latest = watch::Receiver<Arc<Pipeline>>;

/// Works on the table until nothing is left (a run), or until stopped.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn drive(pipeline: Arc<Pipeline>, mode: Mode) -> Result<Ended, PipelineError> {
    drive_latest(watch::channel(pipeline).1, mode).await
}

/// The same with a pipeline that may be replaced meanwhile; what has begun ends with the one it began
/// with.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn drive_latest(mut latest: Latest, mode: Mode) -> Result<Ended, PipelineError> {
    let pipeline = latest.borrow_and_update().clone();
    let mut driver = Driver {
        pipeline,
        latest,
        mode,
        tasks: Tasks::new(),
        in_hand: HashMap::new(),
        busy: HashMap::new(),
        list_bucket_at: Timestamp::MIN,
        look_for_disks_at: Timestamp::MIN,
        asked_first: None,
    };
    let ended = driver.work().await;
    driver.finish(ended).await
}

impl Driver {
    async fn work(&mut self) -> Result<Ended, PipelineError> {
        loop {
            self.take_latest();
            self.pipeline.pulse.loop_turned();
            // Registered before the table is read, so that no hint between the two is lost.
            let pipeline = self.pipeline.clone();
            let bell = pipeline.bell.notified();
            if pipeline.stop.is_cancelled() {
                pipeline.queue.stopping();
                return Ok(Ended::Stopped);
            }
            // What falls due while this turn looks around is the next one's, and not that of the slow tick.
            let turn = pipeline.now();
            if let Err(error) = self.start_what_is_due().await {
                pipeline.unless_full(error).await?;
            }
            // With work in hand nothing ends, and a backlog need not be added up at every turn.
            let next_due = if self.tasks.is_empty() {
                let outlook = pipeline.queue.outlook(self.terms(&everybody()), turn);
                let outlook = outlook.await?;
                if let Some(ended) = self.ended(&outlook).await? {
                    return Ok(ended);
                }
                outlook.next_due
            } else {
                pipeline.queue.next_due(turn).await?
            };
            let wait = self.wait(next_due, turn);
            tokio::select! {
                biased;
                finished = self.tasks.next() => self.take_in_all(finished?)?,
                () = bell => {}
                () = tokio::time::sleep(wait) => {}
                () = pipeline.stop.cancelled() => {}
            }
        }
    }

    /// Takes over the latest pipeline, if there is one.
    fn take_latest(&mut self) {
        if self.latest.has_changed().unwrap_or(false) {
            self.pipeline = self.latest.borrow_and_update().clone();
        }
    }

    async fn start_what_is_due(&mut self) -> Result<(), PipelineError> {
        self.look_at_pauses().await?;
        self.look_for_disks();
        self.publish_received().await?;
        self.poll_tickets().await?;
        self.repeat_doubtful().await?;
        self.tidy_bucket().await?;
        self.submit_queued().await
    }

    /// Looks from time to time whether disks are back that recordings wait for.
    fn look_for_disks(&mut self) {
        let (pipeline, now) = (self.pipeline.clone(), self.pipeline.now());
        if now < self.look_for_disks_at || self.room(Work::Disks, 1) == 0 {
            return;
        }
        self.look_for_disks_at = after(now, LOOK_EVERY);
        self.count_in(Work::Disks);
        self.tasks.start(async move {
            let looked = pipeline.look_for_disks().await;
            (None, Work::Disks, pipeline.or_full(looked).await)
        });
    }

    /// Takes out of the bucket what jobs left there that have ended, and from time to time what no row
    /// names.
    async fn tidy_bucket(&mut self) -> Result<(), PipelineError> {
        let pipeline = self.pipeline.clone();
        let Some(bucket) = pipeline
            .bucket
            .as_ref()
            .filter(|_| self.room(Work::Tidy, 1) > 0)
        else {
            return Ok(());
        };
        let (place, now) = (bucket.place().to_owned(), pipeline.now());
        if now >= self.list_bucket_at {
            self.list_bucket_at = after(now, LISTING_INTERVAL);
            let thorough = matches!(self.mode, Mode::Watch);
            self.count_in(Work::Tidy);
            self.tasks.start(async move {
                let swept = pipeline.sweep_bucket(thorough).await;
                (None, Work::Tidy, pipeline.or_full(swept).await)
            });
        } else if pipeline.queue.has_objects_to_remove(place, now).await? {
            self.count_in(Work::Tidy);
            self.tasks.start(async move {
                let tidied = pipeline.tidy_bucket().await;
                (None, Work::Tidy, pipeline.or_full(tidied).await)
            });
        }
        Ok(())
    }

    /// Waits for what is in hand: it either is harmless to finish or must be.
    async fn finish(
        &mut self,
        ended: Result<Ended, PipelineError>,
    ) -> Result<Ended, PipelineError> {
        if ended.is_err() {
            self.pipeline.stop.cancel();
            self.pipeline.let_go.cancel();
        }
        if let Ok(Ended::Stopped) = ended {
            self.write_what_comes_in().await?;
        }
        while !self.tasks.is_empty() {
            let finished = self.tasks.next().await?;
            let taken = self.take_in(finished);
            if ended.is_ok() {
                taken?;
            }
        }
        ended
    }

    /// Waits for what is in hand and makes of it what there is to make, where it is not let go.
    async fn write_what_comes_in(&mut self) -> Result<(), PipelineError> {
        let let_go = self.pipeline.let_go.clone();
        while !let_go.is_cancelled() {
            self.pipeline.pulse.loop_turned();
            if let Err(error) = self.publish_received().await {
                self.pipeline.unless_full(error).await?;
            }
            if self.tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                finished = self.tasks.next() => self.take_in_all(finished?)?,
                () = let_go.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Takes in what has ended by now together: a turn costs more than a task does.
    fn take_in_all(&mut self, first: Finished) -> Result<(), PipelineError> {
        self.take_in(first)?;
        while let Some(finished) = self.tasks.ended()? {
            self.take_in(finished)?;
        }
        Ok(())
    }

    fn take_in(&mut self, (id, work, result): Finished) -> Result<(), PipelineError> {
        if let Some(id) = id {
            self.let_go(id);
            if let Some(asked) = self.asked_first.as_mut().filter(|_| work == Work::Poll) {
                asked.remove(&id);
            }
        }
        if let Some(busy) = self.busy.get_mut(&work) {
            *busy = busy.saturating_sub(1);
        }
        result
    }

    fn let_go(&mut self, id: JobId) {
        if let Some(tasks) = self.in_hand.get_mut(&id) {
            *tasks = tasks.saturating_sub(1);
        }
        self.in_hand.retain(|_, tasks| *tasks > 0);
    }

    fn room(&self, work: Work, most: usize) -> usize {
        most.saturating_sub(self.busy.get(&work).copied().unwrap_or(0))
    }

    fn start(
        &mut self,
        id: JobId,
        work: Work,
        task: impl Future<Output = Result<(), PipelineError>> + Send + 'static,
    ) {
        *self.in_hand.entry(id).or_insert(0) += 1;
        self.count_in(work);
        self.tasks
            .start(async move { (Some(id), work, task.await) });
    }

    fn count_in(&mut self, work: Work) {
        *self.busy.entry(work).or_insert(0) += 1;
    }

    async fn publish_received(&mut self) -> Result<(), PipelineError> {
        for job in self
            .due(StageName::Received, Work::Publish, MOST_PUBLISHING)
            .await?
        {
            if let Action::Interpret { reply } = next_action(&job.stage, self.time_for(&job)) {
                let pipeline = self.pipeline.clone();
                self.start(job.id, Work::Publish, async move {
                    pipeline.interpret_in_turn(job, reply).await
                });
            }
        }
        Ok(())
    }

    async fn poll_tickets(&mut self) -> Result<(), PipelineError> {
        let now = self.pipeline.now();
        let silences = |pause: &Pause| match pause.reason {
            PauseReason::Key | PauseReason::RateLimit | PauseReason::Offline => pause.holds(now),
            PauseReason::Balance
            | PauseReason::Budget
            | PauseReason::Disk
            | PauseReason::Operator => false,
        };
        let silenced = self.pipeline.pauses.all().iter().any(silences);
        let Some(provider) = self.paid_provider().filter(|_| !silenced) else {
            return Ok(());
        };
        let mut begun = HashSet::new();
        for job in self
            .due(StageName::Awaiting, Work::Poll, MOST_POLLS)
            .await?
        {
            // The ticket of another service means nothing to this one.
            if job.settings.provider == provider
                && let Action::Poll {
                    ticket,
                    submitted_at,
                } = next_action(&job.stage, self.time_for(&job))
            {
                let (pipeline, id) = (self.pipeline.clone(), job.id);
                self.start(id, Work::Poll, async move {
                    pipeline.poll(job, ticket, submitted_at).await
                });
                begun.insert(id);
            }
        }
        self.asked_first.get_or_insert(begun);
        Ok(())
    }

    async fn repeat_doubtful(&mut self) -> Result<(), PipelineError> {
        // It may cost a second time: not before something that costs nothing or was never paid got through.
        let pauses = &self.pipeline.pauses;
        if pauses.has(PauseReason::Offline) || pauses.holding(self.pipeline.now()).is_some() {
            return Ok(());
        }
        let now = self.pipeline.now();
        let due = self
            .pipeline
            .queue
            .due(StageName::InDoubt, MOST_DOUBTS, now);
        for job in self.of_this_run(due.await?).await? {
            if next_action(&job.stage, self.time_for(&job)) == Action::Repeat {
                tracing::warn!(
                    job_id = job.id.0,
                    source = %job.source.display(),
                    "sent again although nobody knows whether it was billed (service.in_doubt = \"retry-once\")"
                );
                self.pipeline.queue.repeat(job.id, now).await?;
            }
        }
        Ok(())
    }

    /// Those of the jobs that are this run's to send; all of them for a daemon.
    async fn of_this_run(&self, jobs: Vec<Job>) -> Result<Vec<Job>, PipelineError> {
        if !self.pipeline.pace.scoped {
            return Ok(jobs);
        }
        let scope = self.pipeline.queue.read(move |reader| {
            let is_own = |job: &Job| reader.is_in_scope(job.id);
            let own = jobs.into_iter().map(|job| Ok((is_own(&job)?, job)));
            let own: Result<Vec<(bool, Job)>, QueueError> = own.collect();
            Ok(own?
                .into_iter()
                .filter(|(is_own, _)| *is_own)
                .map(|(_, job)| job)
                .collect())
        });
        Ok(scope.await?)
    }

    /// The time by which a job is judged: a row from the future was written before the clock was set
    /// back, so that its times mean nothing any more and it is due.
    fn time_for(&self, job: &Job) -> Timestamp {
        let now = self.pipeline.now();
        if job.updated_at > after(now, CLOCK_SLACK) {
            Timestamp::MAX
        } else {
            now
        }
    }

    async fn due(
        &self,
        stage: StageName,
        work: Work,
        most: usize,
    ) -> Result<Vec<Job>, PipelineError> {
        let room = self.room(work, most);
        if room == 0 {
            return Ok(Vec::new());
        }
        let mut jobs = self
            .pipeline
            .queue
            .due(stage, room + self.in_hand.len(), self.pipeline.now())
            .await?;
        jobs.retain(|job| !self.in_hand.contains_key(&job.id));
        jobs.truncate(room);
        Ok(jobs)
    }

    /// Claims and starts what there is room for, by whom there is room for.
    async fn submit_queued(&mut self) -> Result<(), PipelineError> {
        if self
            .asked_first
            .as_ref()
            .is_some_and(|asked| !asked.is_empty())
        {
            return Ok(());
        }
        loop {
            let (providers, room) = self.providers_with_room().await?;
            if providers.is_empty() || self.pipeline.stop.is_cancelled() {
                return Ok(());
            }
            let pipeline = self.pipeline.clone();
            self.load_prices(&providers).await?;
            // Many at once: each claim alone would wait for the disk by itself.
            let turns =
                (0..room.clamp(1, MOST_CLAIMS)).map_while(|_| pipeline.quarantine.try_shared());
            let turns: Vec<Turn> = turns.collect();
            if turns.is_empty() {
                return Ok(());
            }
            let terms = self.terms(&providers);
            let claimed = pipeline
                .queue
                .claim_many(terms, turns.len(), pipeline.now());
            // What is in flight ends as a task or by a poll, and then the table is looked at again.
            if !self.take_up_all(claimed.await?, turns).await? {
                return self.submit_suspect(&providers).await;
            }
        }
    }

    /// Acts on claims that were made together; says whether there may be more to claim.
    async fn take_up_all(
        &mut self,
        claimed: Vec<Claimed>,
        turns: Vec<Turn>,
    ) -> Result<bool, PipelineError> {
        let mut may_be_more = Ok(true);
        for (claimed, turn) in claimed.into_iter().zip(turns) {
            // What is claimed is begun, whatever came of another.
            let one = self.take_up(claimed, turn).await;
            may_be_more = may_be_more.and(one);
        }
        may_be_more
    }

    /// Claims and starts what was in hand when the process went down: alone, when nothing else is to do.
    async fn submit_suspect(&mut self, providers: &[Provider]) -> Result<(), PipelineError> {
        if !self.tasks.is_empty() {
            return Ok(());
        }
        let pipeline = self.pipeline.clone();
        let Some(turn) = pipeline.quarantine.try_alone() else {
            return Ok(());
        };
        let terms = Terms {
            suspects: true,
            ..self.terms(providers)
        };
        let claimed = pipeline.queue.claim(terms, pipeline.now()).await?;
        self.take_up(claimed, turn).await?;
        Ok(())
    }

    /// Acts on a claim; says whether there may be more to claim.
    async fn take_up(&mut self, claimed: Claimed, turn: Turn) -> Result<bool, PipelineError> {
        let pipeline = self.pipeline.clone();
        match claimed {
            Claimed::Submit(job) => {
                pipeline.room_again(Disk::State).await?;
                let work = if job.settings.provider.is_paid() {
                    Work::Paid
                } else {
                    Work::Local
                };
                self.start(job.id, work, async move {
                    let submitted = match &turn {
                        Turn::Shared { .. } => pipeline.submit(*job).await,
                        Turn::Alone { .. } => pipeline.submit_alone(*job).await,
                    };
                    drop(turn);
                    submitted
                });
            }
            Claimed::Moved(id) => {
                // It may have a reply by now, and replies were looked at already in this turn.
                pipeline.bell.notify_one();
                pipeline.tell(id).await?;
            }
            Claimed::Nothing | Claimed::Later => return Ok(false),
            Claimed::OverBudget { text, until } => {
                pipeline.pause(PauseReason::Budget, until, &text).await?;
            }
        }
        Ok(true)
    }

    /// By whom there is room for a submit, and for how many that are paid.
    async fn providers_with_room(&mut self) -> Result<(Vec<Provider>, usize), PipelineError> {
        let mut providers = Vec::new();
        if self.is_held_by_hand() {
            return Ok((providers, 0));
        }
        if self.room(Work::Local, 1) > 0 {
            providers.push(Provider::LOCAL);
        }
        let paid = self.paid_room().await?;
        if paid > 0 {
            providers.extend(self.paid_provider());
        }
        Ok((providers, paid))
    }

    /// Whose paid jobs are worked on.
    fn paid_provider(&self) -> Option<Provider> {
        let service = self.pipeline.service.as_ref();
        service.map(|service| service.provider())
    }

    /// Whether a person holds the queue: then the machine's own recogniser rests as well.
    fn is_held_by_hand(&self) -> bool {
        let now = self.pipeline.now();
        let by_hand = |pause: &Pause| pause.reason == PauseReason::Operator && pause.holds(now);
        self.pipeline.pauses.all().iter().any(by_hand)
    }

    /// How many paid submits may leave: as there is room, while nothing holds the queue and not too much is
    /// outstanding; a pause that is due to be tried is tried by one submit alone.
    async fn paid_room(&mut self) -> Result<usize, PipelineError> {
        let pipeline = self.pipeline.clone();
        let is_held =
            |pause: &Pause| pause.holds(pipeline.now()) || pause.reason == PauseReason::Balance;
        if pipeline.service.is_none() || pipeline.pauses.all().iter().any(is_held) {
            return Ok(0);
        }
        let most = if pipeline.pauses.any() {
            1
        } else {
            pipeline.pace.jobs
        };
        let room = self.room(Work::Paid, most);
        if room == 0 {
            return Ok(0);
        }
        let outstanding = pipeline.queue.count(StageName::Awaiting).await?;
        Ok(room.min(MOST_OUTSTANDING.saturating_sub(outstanding)))
    }

    /// Ends what ends without a submit being tried: a budget by the calendar, a refused key by another
    /// key, an empty balance by a look at it.
    async fn look_at_pauses(&mut self) -> Result<(), PipelineError> {
        let now = self.pipeline.now();
        for pause in self.pipeline.pauses.all() {
            let is_due = !pause.holds(now);
            match pause.reason {
                PauseReason::Budget | PauseReason::Operator if is_due => {
                    self.pipeline.resume(pause.reason).await?;
                }
                PauseReason::Balance if is_due && self.room(Work::Look, 1) > 0 => {
                    let pipeline = self.pipeline.clone();
                    self.count_in(Work::Look);
                    self.tasks
                        .start(async move { (None, Work::Look, pipeline.look_at_balance().await) });
                }
                PauseReason::Key => self.pipeline.look_at_key().await?,
                PauseReason::Offline
                    if is_due && self.room(Work::Look, 1) > 0 && !self.has_probe().await? =>
                {
                    let pipeline = self.pipeline.clone();
                    self.count_in(Work::Look);
                    self.tasks
                        .start(async move { (None, Work::Look, pipeline.look_at_service().await) });
                }
                PauseReason::Budget
                | PauseReason::Balance
                | PauseReason::Disk
                | PauseReason::Operator
                | PauseReason::RateLimit
                | PauseReason::Offline => {}
            }
        }
        Ok(())
    }

    /// Whether a recording that was never paid for can try the service.
    async fn has_probe(&self) -> Result<bool, PipelineError> {
        let Some(provider) = self.paid_provider() else {
            return Ok(false);
        };
        let terms = self.terms(&[provider]);
        let outlook = self
            .pipeline
            .queue
            .outlook(terms, self.pipeline.now())
            .await?;
        Ok(outlook.queued > outlook.copies)
    }

    /// Asks for today's prices before a paid submit, and not where there is none to be made.
    async fn load_prices(&mut self, providers: &[Provider]) -> Result<(), PipelineError> {
        let Some(service) = self.pipeline.service.clone() else {
            return Ok(());
        };
        if !providers.contains(&service.provider())
            || !self.pipeline.prices.are_due(self.pipeline.now())
        {
            return Ok(());
        }
        let outlook = self
            .pipeline
            .queue
            .outlook(self.terms(&[service.provider()]), self.pipeline.now())
            .await?;
        if outlook.queued > 0 {
            self.pipeline.ask_prices().await;
        }
        Ok(())
    }

    fn terms(&self, providers: &[Provider]) -> Terms {
        Terms {
            providers: providers.to_vec(),
            scoped: self.pipeline.pace.scoped,
            suspects: false,
            prices: self.pipeline.prices.catalogue(),
            limits: self.pipeline.pace.limits,
        }
    }

    /// Whether a run is over; the daemon never is.
    async fn ended(&mut self, outlook: &Outlook) -> Result<Option<Ended>, PipelineError> {
        self.unload_recogniser(outlook);
        let Mode::Run { looked } = &self.mode else {
            return Ok(None);
        };
        if !self.tasks.is_empty() || !looked.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let now = self.pipeline.now();
        if outlook.unfinished == outlook.copies && !self.others_move(now).await? {
            // What finds no room for its transcript is kept, and goes on when there is some.
            let mut pauses = self.pipeline.pauses.all().into_iter();
            let full = pauses.find(|pause| pause.reason == PauseReason::Disk);
            return Ok(Some(full.map_or(Ended::Finished, Ended::Paused)));
        }
        let local = self.terms(&[Provider::LOCAL]);
        if !self.is_held_by_hand() && self.pipeline.queue.outlook(local, now).await?.unfinished > 0
        {
            return Ok(None);
        }
        let mut pauses = self.pipeline.pauses.all();
        if self.pipeline.service.is_none() {
            // Only a hold keeps the machine's own recogniser from its work.
            pauses.retain(|pause| pause.reason == PauseReason::Operator);
            if pauses.is_empty() {
                return Ok(Some(Ended::Finished));
            }
        }
        let Some(pause) = pauses.into_iter().next() else {
            return Ok(None);
        };
        Ok(waits_too_long(&pause, outlook.accepted, now).then_some(Ended::Paused(pause)))
    }

    /// Whether jobs outside of this run move, for which copies in it may wait: tickets of an earlier run.
    async fn others_move(&self, now: Timestamp) -> Result<bool, PipelineError> {
        let terms = Terms {
            scoped: false,
            ..self.terms(&everybody())
        };
        let all = self.pipeline.queue.outlook(terms.clone(), now).await?;
        let run = self
            .pipeline
            .queue
            .outlook(
                Terms {
                    scoped: true,
                    ..terms
                },
                now,
            )
            .await?;
        Ok(run.copies > 0 && all.accepted > run.accepted)
    }

    /// Lets the recogniser's weights go when it has nothing to do.
    fn unload_recogniser(&self, outlook: &Outlook) {
        #[cfg(feature = "local")]
        if self.tasks.is_empty() && outlook.unfinished == 0 {
            self.pipeline.local.unload();
        }
        #[cfg(not(feature = "local"))]
        let _unused: &Outlook = outlook;
    }

    /// How long nothing needs to be looked at: until the next job is due or a pause ends after `turn`, when
    /// the table was last looked at.
    fn wait(&self, next_due: Option<Timestamp>, turn: Timestamp) -> Duration {
        let pauses = self.pipeline.pauses.all();
        let pause_ends = pauses.iter().filter_map(|pause| pause.until);
        let times = next_due.into_iter().chain(pause_ends);
        until_next(times, turn, self.pipeline.now())
    }
}

/// How long it is from `now` to the first of `times` after `turn`, and never longer than the slow tick;
/// no time at all to what fell due since then.
fn until_next(times: impl Iterator<Item = Timestamp>, turn: Timestamp, now: Timestamp) -> Duration {
    let next = times.filter(|at| *at > turn).min();
    let next = next.unwrap_or(Timestamp::MAX);
    age(now, next.min(after(now, SLOW_TICK)))
}

/// Whether a run does not wait for this pause, when so many of its recordings are accepted.
pub fn waits_too_long(pause: &Pause, accepted: usize, now: Timestamp) -> bool {
    match pause.reason {
        PauseReason::Key | PauseReason::Disk => true,
        // What is accepted is paid: it is worth waiting for.
        PauseReason::Balance | PauseReason::Budget | PauseReason::Operator => accepted == 0,
        PauseReason::RateLimit => {
            accepted == 0
                && pause
                    .until
                    .is_some_and(|until| age(now, until) > RUN_PATIENCE_RATE_LIMIT)
        }
        PauseReason::Offline => {
            age(pause.since, now) > RUN_PATIENCE_OFFLINE
                || pause
                    .until
                    .is_some_and(|until| age(now, until) > RUN_PATIENCE_RATE_LIMIT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_due_while_the_loop_looks_around_does_not_wait_for_the_slow_tick() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let wait = |due: &[i64], turn, now| {
            let due = due.iter().map(|second| at(*second));
            until_next(due, at(turn), at(now))
        };
        assert_eq!(wait(&[105], 100, 107), Duration::ZERO);
        assert_eq!(wait(&[105], 100, 101), Duration::from_secs(4));
        assert_eq!(wait(&[90], 100, 101), SLOW_TICK, "it is in hand");
        assert_eq!(wait(&[], 100, 101), SLOW_TICK);
        assert_eq!(wait(&[9_000], 100, 101), SLOW_TICK);
    }
}
