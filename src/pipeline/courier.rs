//! Carries what is in the outbox to those who are to be told, each at its own pace.
//!
//! Beside the loop and never in its way: a receiver that fails keeps its notices waiting, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Pipeline, PipelineError, SLOW_TICK};
use crate::clock::last_time;
use crate::domain::notice::{LONGEST_AGE, Next, Notice, Refusal, Way, after_refusal, wait};
use crate::domain::timing::{after, age};
use crate::queue::Post;
use crate::receivers::{Receiver, Told};

/// How often what waits for too long is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long a run goes on telling after its end, beyond the notice that it is at then.
const LAST_LIMIT: Duration = Duration::from_secs(10);

/// Who is told, at most one of each way.
#[derive(Debug, Default)]
pub struct Receivers {
    all: Vec<Receiver>,
    /// When the digest of the day is made.
    digest_at: Time,
    /// Rings when there may be a notice.
    bell: Notify,
    streaks: Mutex<[Streak; Way::ALL.len()]>,
}

/// Refusals of a receiver in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    refusals: u32,
    not_before: Option<Timestamp>,
}

impl Receivers {
    /// These are told, of the day at `digest_at` where the machine stands.
    pub fn new(all: Vec<Receiver>, digest_at: Time) -> Self {
        Self {
            all,
            digest_at,
            ..Self::default()
        }
    }

    fn of(&self, way: Way) -> Option<&Receiver> {
        self.all.iter().find(|receiver| receiver.way() == way)
    }

    /// Has the outbox looked at.
    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
    }

    fn streak(&self, way: Way) -> Streak {
        let streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        streaks[way as usize]
    }

    fn set_streak(&self, way: Way, streak: Streak) {
        let mut streaks = self.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        streaks[way as usize] = streak;
    }
}

/// What a turn of a way came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A notice was told of, taken or not; there may be more.
    Told,
    /// Nothing is to be done before this moment.
    Until(Timestamp),
    /// Nothing is to be done.
    Idle,
}

/// Tells everybody of everything, until `finish`; what is being told then is told to its end.
///
/// # Errors
/// [`PipelineError`] where the table fails.
pub async fn tell_others(
    latest: watch::Receiver<Arc<Pipeline>>,
    finish: CancellationToken,
) -> Result<(), PipelineError> {
    let tell = |way| tell_one(latest.clone(), way, finish.clone());
    let [command, webhook, ntfy] = Way::ALL.map(tell);
    let keeping = keep_house(latest.clone(), finish.clone());
    tokio::try_join!(command, webhook, ntfy, keeping)?;
    Ok(())
}

async fn tell_one(
    mut latest: watch::Receiver<Arc<Pipeline>>,
    way: Way,
    finish: CancellationToken,
) -> Result<(), PipelineError> {
    while !finish.is_cancelled() {
        let pipeline = latest.borrow_and_update().clone();
        // Registered before the table is read, so that no hint between the two is lost.
        let bell = pipeline.receivers.bell.notified();
        tokio::pin!(bell);
        bell.as_mut().enable();
        let turn = pipeline.tell_next(way).await;
        let wait = match turn {
            Ok(Turn::Told) => continue,
            Ok(Turn::Until(time)) => age(pipeline.now(), time).min(SLOW_TICK),
            Ok(Turn::Idle) => SLOW_TICK,
            Err(error) => {
                pipeline.unless_full(error).await?;
                SLOW_TICK
            }
        };
        tokio::select! {
            () = bell => {}
            () = sleep(wait) => {}
            () = another(&mut latest) => {}
            () = finish.cancelled() => {}
        }
    }
    Ok(())
}

/// Waits for another pipeline; where none can come, for ever.
async fn another(latest: &mut watch::Receiver<Arc<Pipeline>>) {
    if latest.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Looks after the outbox as long as others tell what is in it.
async fn keep_house(
    mut latest: watch::Receiver<Arc<Pipeline>>,
    finish: CancellationToken,
) -> Result<(), PipelineError> {
    let mut house = House::default();
    while !finish.is_cancelled() {
        let pipeline = latest.borrow_and_update().clone();
        house.look(&pipeline).await?;
        tokio::select! {
            () = sleep(SLOW_TICK) => {}
            // Others may want a digest now.
            () = another(&mut latest) => house.summed = None,
            () = finish.cancelled() => {}
        }
    }
    Ok(())
}

/// What was done in the house, and when.
#[derive(Default)]
struct House {
    /// The last look for what waits for too long.
    swept: Option<Instant>,
    /// The time of day of the last digest that was thought of.
    summed: Option<Timestamp>,
}

impl House {
    /// Makes the digest of the day when its time has come, and gives up what waits for too long.
    async fn look(&mut self, pipeline: &Pipeline) -> Result<(), PipelineError> {
        let moment = last_time(pipeline.receivers.digest_at, pipeline.now());
        if self.summed != Some(moment) {
            let made = pipeline.make_digest(moment).await;
            pipeline.or_full(made).await?;
            self.summed = Some(moment);
        }
        if self
            .swept
            .is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY)
        {
            let kept = pipeline.sweep_outbox().await;
            pipeline.or_full(kept).await?;
            self.swept = Some(Instant::now());
        }
        Ok(())
    }
}

impl Pipeline {
    async fn sweep_outbox(&self) -> Result<(), PipelineError> {
        let given_up = self.queue.sweep_outbox(self.now()).await?;
        if given_up > 0 {
            tracing::warn!(
                given_up,
                "notices were given up: they waited for too long, or too many did"
            );
        }
        Ok(())
    }

    async fn make_digest(&self, moment: Timestamp) -> Result<(), PipelineError> {
        if self.queue.digest(moment, self.now()).await? {
            self.receivers.ring();
        }
        Ok(())
    }

    /// Tells a receiver of the next notice, if one is due.
    pub(super) async fn tell_next(&self, way: Way) -> Result<Turn, PipelineError> {
        let Some(receiver) = self.receivers.of(way) else {
            return Ok(Turn::Idle);
        };
        let now = self.now();
        let rest = self.receivers.streak(way).not_before;
        if let Some(rest) = rest.filter(|rest| *rest > now) {
            return Ok(Turn::Until(rest));
        }
        match self.queue.post(way, now).await? {
            Post::Nothing => Ok(Turn::Idle),
            Post::At(time) => Ok(Turn::Until(time)),
            Post::Due(notice) => self.tell_receiver(receiver, &notice).await,
        }
    }

    async fn tell_receiver(
        &self,
        receiver: &Receiver,
        notice: &Notice,
    ) -> Result<Turn, PipelineError> {
        let told = receiver.tell(notice, &self.stop).await;
        let now = self.now();
        match told {
            Told::Taken => self.taken(receiver, notice).await?,
            Told::Refused { why, retry_after } => {
                let way = receiver.way();
                let streak = self.receivers.streak(way).refusals.saturating_add(1);
                let jitter = self.chance.fraction();
                let refusal = Refusal {
                    way,
                    tries: notice.tries.saturating_add(1),
                    in_a_row: streak,
                    age: age(notice.created_at, now),
                    retry_after,
                };
                let next = after_refusal(refusal, jitter);
                self.receivers.set_streak(
                    way,
                    Streak {
                        refusals: streak,
                        not_before: Some(after(now, wait(streak, retry_after, jitter))),
                    },
                );
                self.refused(receiver, notice, why, next, streak == 1)
                    .await?;
            }
            Told::Gone { why } => {
                self.refused(receiver, notice, why, Next::GiveUp, true)
                    .await?;
            }
            Told::Interrupted => return Ok(Turn::Until(Timestamp::MAX)),
        }
        Ok(Turn::Told)
    }

    async fn taken(&self, receiver: &Receiver, notice: &Notice) -> Result<(), PipelineError> {
        let way = receiver.way();
        self.kept(|| self.queue.notice_taken(notice.id)).await?;
        self.meter.told(way.as_str(), "taken");
        if self.receivers.streak(way).refusals > 0 {
            tracing::info!(receiver = receiver.shown(), "it takes notices again");
        }
        self.receivers.set_streak(way, Streak::default());
        let event = notice.event.as_str();
        tracing::debug!(
            event,
            notice = notice.name,
            receiver = receiver.shown(),
            "told"
        );
        Ok(())
    }

    async fn refused(
        &self,
        receiver: &Receiver,
        notice: &Notice,
        why: String,
        next: Next,
        is_news: bool,
    ) -> Result<(), PipelineError> {
        let now = self.now();
        self.kept(|| self.queue.notice_refused(notice.id, why.clone(), next, now))
            .await?;
        let (shown, event) = (receiver.shown(), notice.event.as_str());
        match next {
            Next::GiveUp => {
                self.give_up_old(receiver.way(), &why).await?;
                self.meter.told(receiver.way().as_str(), "given_up");
                tracing::warn!(
                    event,
                    notice = notice.name,
                    receiver = shown,
                    "a notice is given up: {why}"
                );
            }
            Next::Again(_) => {
                self.meter.told(receiver.way().as_str(), "refused");
                if is_news {
                    tracing::warn!(
                        event,
                        notice = notice.name,
                        receiver = shown,
                        "a notice was not taken: {why}; it is kept and told again later"
                    );
                } else {
                    tracing::debug!(
                        event,
                        notice = notice.name,
                        receiver = shown,
                        "not taken: {why}"
                    );
                }
            }
        }
        Ok(())
    }

    /// What waited behind a notice that was given up for its age, and is as old, is given up with it.
    async fn give_up_old(&self, way: Way, why: &str) -> Result<(), PipelineError> {
        let now = self.now();
        let before = now.checked_sub(LONGEST_AGE).unwrap_or(Timestamp::MIN);
        let given_up = self
            .queue
            .give_up_before(way, before, why.to_owned(), now)
            .await?;
        if given_up > 0 {
            tracing::warn!(
                given_up,
                "as many notices that waited behind it are given up, too"
            );
        }
        Ok(())
    }

    /// Tells, at the end of a run, of all that waits, each notice at most once and for a short time; what is
    /// not taken waits for the next start.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails.
    pub async fn tell_the_rest(&self) -> Result<(), PipelineError> {
        let moment = last_time(self.receivers.digest_at, self.now());
        self.make_digest(moment).await?;
        let ends = Instant::now() + LAST_LIMIT;
        let [command, webhook, ntfy] = Way::ALL.map(|way| self.tell_rest_of(way, ends));
        tokio::try_join!(command, webhook, ntfy)?;
        Ok(())
    }

    async fn tell_rest_of(&self, way: Way, ends: Instant) -> Result<(), PipelineError> {
        let Some(receiver) = self.receivers.of(way) else {
            return Ok(());
        };
        for notice in self.queue.all_post(way).await? {
            let is_refusing = self.receivers.streak(way).refusals > 0;
            if is_refusing || self.stop.is_cancelled() || Instant::now() >= ends {
                break;
            }
            self.tell_receiver(receiver, &notice).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use secrecy::SecretString;
    use stenod_support::hook::{Act, Hook};

    use super::super::operator::tests::{candidate, pipeline};
    use super::*;
    use crate::clock::Clock;
    use crate::domain::notice::{Event, PATIENCE};
    use crate::queue::{Audience, Enqueued, Limits, PauseReason};
    use crate::receivers::{Network, Ntfy, NtfySettings, Webhook, key_in};

    /// A clock that a test turns.
    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    impl Hands {
        fn turn(&self, wait: Duration) {
            let mut now = self.0.lock().unwrap();
            *now = after(*now, wait);
        }
    }

    struct Scene {
        _folder: tempfile::TempDir,
        clock: Arc<Hands>,
        pipeline: Pipeline,
        webhook: Hook,
        ntfy: Hook,
    }

    fn webhook(hook: &Hook, network: &Network) -> Receiver {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let url = hook.url("/hook").parse().unwrap();
        Receiver::Webhook(Webhook::new(url, key_in(&secret).unwrap(), network).unwrap())
    }

    fn ntfy(hook: &Hook, network: &Network) -> Receiver {
        let url = hook.url("/topic").parse().unwrap();
        let token = Some(SecretString::from("tk_geheim".to_owned()));
        Receiver::Ntfy(Ntfy::new(NtfySettings { url, token }, network).unwrap())
    }

    async fn pipeline_in(folder: &Path, clock: Arc<Hands>, all: Vec<Receiver>) -> Pipeline {
        let pipeline = Pipeline {
            receivers: Arc::new(Receivers::new(all, Time::midnight())),
            clock,
            ..pipeline(folder)
        };
        let wants = Way::ALL.map(|way| (way, Event::ALL.to_vec())).to_vec();
        let limits = Limits::default();
        pipeline
            .queue
            .tell_of(Audience { wants, limits })
            .await
            .unwrap();
        pipeline
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(Hands(Mutex::new(
                Timestamp::from_second(1_700_000_000).unwrap(),
            )));
            let (webhook, ntfy) = (Hook::start(), Hook::start());
            let network = Network::new(true, clock.clone());
            let all = vec![
                self::webhook(&webhook, &network),
                self::ntfy(&ntfy, &network),
            ];
            Self {
                pipeline: pipeline_in(folder.path(), clock.clone(), all).await,
                _folder: folder,
                clock,
                webhook,
                ntfy,
            }
        }

        /// Something to tell, which can be told apart by its text.
        async fn happen(&self, text: &str) {
            let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
            let reason = PauseReason::Key;
            queue
                .pause(reason, None, text.to_owned(), now)
                .await
                .unwrap();
            queue.resume(reason, now).await.unwrap();
        }

        /// Tells until nothing is due.
        async fn tell(&self, way: Way) -> Turn {
            loop {
                match self.pipeline.tell_next(way).await.unwrap() {
                    Turn::Told => {}
                    other @ (Turn::Until(_) | Turn::Idle) => return other,
                }
            }
        }

        /// Turns the clock to what is due next, again and again, until nothing is.
        async fn tell_all(&self, way: Way) -> u32 {
            let mut waits = 0;
            while let Turn::Until(next) = self.tell(way).await {
                waits += 1;
                let wait = age(self.clock.now(), next);
                self.clock.turn(wait);
            }
            waits
        }
    }

    fn told(hook: &Hook) -> Vec<String> {
        let requests = hook.requests().into_iter();
        requests
            .map(|request| request.json()["message"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn nothing_is_lost_repeated_or_out_of_order_whatever_a_receiver_does() {
        let scene = Scene::new().await;
        let after_a_while = vec![("retry-after", "7200".to_owned())];
        scene.webhook.script([
            Act::status(500),
            Act::Reset,
            Act::Answer(302, vec![("location", scene.ntfy.url("/elsewhere"))]),
            Act::Answer(429, after_a_while),
            Act::status(404),
        ]);
        let began = scene.clock.now();
        scene.happen("first").await;
        scene.happen("second").await;
        let waits = scene.tell_all(Way::Webhook).await;
        assert_eq!(waits, 5, "one for each refusal");
        assert!(age(began, scene.clock.now()) >= Duration::from_secs(7200));
        let requests = scene.webhook.requests();
        let names: Vec<&str> = requests
            .iter()
            .map(|request| request.header("webhook-id"))
            .collect();
        assert_eq!(names.len(), 5 + 4);
        assert!(names[..6].iter().all(|name| *name == names[0]), "{names:?}");
        let bodies: Vec<&str> = requests[..6]
            .iter()
            .map(|request| request.body.as_str())
            .collect();
        assert!(
            bodies.iter().all(|body| *body == bodies[0]),
            "byte for byte the same"
        );
        let told = told(&scene.webhook).split_off(5);
        assert!(
            told[0].contains("first") && told[2].contains("second"),
            "{told:?}"
        );
        assert_eq!(
            scene.pipeline.queue.all_post(Way::Webhook).await.unwrap(),
            []
        );
        assert_eq!(scene.ntfy.requests(), [], "no redirect is followed");
        let counts = scene.pipeline.meter.counts().notices;
        assert_eq!(counts[&("webhook", "refused")], 5);
        assert_eq!(counts[&("webhook", "taken")], 4);
    }

    #[tokio::test]
    async fn a_receiver_that_fails_keeps_no_other_waiting() {
        let scene = Scene::new().await;
        scene.webhook.usually(Act::status(500));
        scene.happen("it").await;
        assert!(matches!(scene.tell(Way::Webhook).await, Turn::Until(_)));
        assert_eq!(scene.tell(Way::Ntfy).await, Turn::Idle);
        let requests = scene.ntfy.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].path, "/");
        assert_eq!(requests[0].header("authorization"), "Bearer tk_geheim");
        let body = requests[0].json();
        assert_eq!(body["topic"], "topic");
        assert_eq!(body["title"], "Transcribing is paused");
        assert!(body["message"].as_str().unwrap().contains("it"), "{body}");
    }

    #[tokio::test]
    async fn what_a_receiver_wants_no_more_is_given_up_at_once_and_shown() {
        let scene = Scene::new().await;
        scene.webhook.usually(Act::status(410));
        scene.happen("it").await;
        assert_eq!(scene.tell(Way::Webhook).await, Turn::Idle);
        let outgoing = scene
            .pipeline
            .queue
            .read(|reader| reader.outgoing())
            .await
            .unwrap();
        let webhook = outgoing.iter().find(|one| one.way == Way::Webhook).unwrap();
        assert_eq!((webhook.waiting, webhook.given_up), (0, 2));
        assert!(webhook.last.as_ref().unwrap().1.contains("410"));
    }

    #[tokio::test]
    async fn a_receiver_that_is_gone_for_days_is_given_up_after_few_tries() {
        let scene = Scene::new().await;
        scene.webhook.usually(Act::status(503));
        scene.happen("it").await;
        let began = scene.clock.now();
        scene.tell_all(Way::Webhook).await;
        let gone = age(began, scene.clock.now());
        let day = Duration::from_secs(24 * 3600);
        assert!(gone >= 3 * day && gone < 4 * day, "{gone:?}");
        assert!(scene.webhook.requests().len() < 40);
        let waiting = scene.pipeline.queue.all_post(Way::Webhook).await.unwrap();
        assert_eq!(waiting, [], "what waited behind it goes with it");
        scene.webhook.usually(Act::status(200));
        let before = scene.webhook.requests().len();
        scene.clock.turn(day);
        scene.happen("again").await;
        assert_eq!(scene.tell(Way::Webhook).await, Turn::Idle);
        assert_eq!(scene.webhook.requests().len(), before + 2);
    }

    #[tokio::test]
    async fn one_notice_that_is_never_taken_keeps_the_others_waiting_for_a_while_alone() {
        let scene = Scene::new().await;
        scene
            .webhook
            .script((0..PATIENCE).map(|_| Act::status(400)));
        scene.happen("it").await;
        let began = scene.clock.now();
        for _ in 0..PATIENCE {
            let Turn::Until(next) = scene.tell(Way::Webhook).await else {
                panic!("it was taken");
            };
            let wait = age(scene.clock.now(), next);
            scene.clock.turn(wait);
        }
        scene.tell(Way::Webhook).await;
        let told = told(&scene.webhook);
        assert!(told[PATIENCE as usize].contains("goes on"), "{told:?}");
        assert!(age(began, scene.clock.now()) < Duration::from_secs(12 * 3600));
    }

    #[tokio::test]
    async fn the_digest_comes_once_a_day_at_its_time() {
        let scene = Scene::new().await;
        let mut house = House::default();
        house.look(&scene.pipeline).await.unwrap();
        let queue = &scene.pipeline.queue;
        let now = scene.pipeline.now();
        let added = queue.enqueue(candidate(), None, false, now).await.unwrap();
        assert!(matches!(added, Enqueued::New(_)));
        let text = "spent".to_owned();
        queue
            .pause(PauseReason::Budget, None, text, now)
            .await
            .unwrap();
        scene.tell(Way::Ntfy).await;
        // The first midnight is at most a day away, and each look an hour after the other.
        let mut digests = Vec::new();
        for hour in 1..=49 {
            scene.clock.turn(Duration::from_secs(3600));
            house.look(&scene.pipeline).await.unwrap();
            let due = scene.pipeline.queue.all_post(Way::Ntfy).await.unwrap();
            if due.iter().any(|notice| notice.event == Event::Digest) {
                digests.push(hour);
            }
            scene.tell(Way::Ntfy).await;
        }
        assert_eq!(digests.len(), 2, "{digests:?}");
        assert_eq!(digests[1] - digests[0], 24);
    }

    #[tokio::test]
    async fn the_end_of_a_run_tells_also_of_what_may_pass_and_tries_nothing_twice() {
        let scene = Scene::new().await;
        let now = scene.pipeline.now();
        let offline = PauseReason::Offline;
        let text = "out of reach".to_owned();
        scene
            .pipeline
            .queue
            .pause(offline, None, text, now)
            .await
            .unwrap();
        assert!(matches!(scene.tell(Way::Ntfy).await, Turn::Until(_)));
        scene.webhook.usually(Act::status(500));
        scene.happen("it").await;
        scene.pipeline.tell_the_rest().await.unwrap();
        assert_eq!(scene.ntfy.requests().len(), 3);
        assert_eq!(scene.webhook.requests().len(), 1);
        assert_eq!(
            scene
                .pipeline
                .queue
                .all_post(Way::Webhook)
                .await
                .unwrap()
                .len(),
            3
        );
    }
}
