//! A simulation of the whole road under faults: the real pipeline and a real table in a real file,
//! with a service, a clock and an end of the process that a plan directs.
//!
//! A case is a folder with a few recordings and a plan of what goes wrong at which call. Process after
//! process works on it as somebody would start them, until nothing is left to do; the invariants are
//! checked before and after each recovery and in the end. What dies is the process, not the machine:
//! the table's file is taken as the operating system has it at that moment, and nothing is synced.

mod bugs;
mod fault;
mod invariants;
mod overdue;
mod poison;
mod scene;
mod schedules;
mod service;
mod sweeps;
mod world;

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::fault::Port;
use self::invariants::{Moment, View};
use self::scene::{Content, Scene};
use self::service::FakeService;
use self::world::{Crash, Turns, World};
use super::{
    Ended, Limiter, Mode, Pace, Pipeline, PipelineError, Silent, Spool, drive, plain, publish,
};
use crate::clock::{Chance, Clock as _};
use crate::domain::audio::AudioDuration;
use crate::domain::format::Format;
use crate::domain::job::{ContentHash, Job, Overdue, Stage};
use crate::domain::notice::{Event, Way};
use crate::domain::route::{Preference, RouteTerms};
use crate::domain::step::DoubtPolicy;
use crate::domain::timing::{after, age};
use crate::domain::verdict::Shape;
use crate::faults::{Bug, Installed, planted};
use crate::queue::{Audience, DATABASE, Limits, Queue, ReplyKind, StoredReply};
use crate::speech::{Answer, replies_of};

/// How recordings travel.
pub(super) const ROUTES: RouteTerms = RouteTerms {
    direct_limit: 3 << 20,
    link_limit: 500_000_000,
    shrink: false,
    preference: Preference::Auto,
    has_bucket: false,
    takes_links: true,
    formats: crate::speech::services::USUAL.formats,
    piece: AudioDuration::from_micros(600_000_000),
};
/// How they travel where they are cut.
const PIECES: RouteTerms = RouteTerms {
    shrink: true,
    preference: Preference::Pieces,
    piece: AudioDuration::from_micros(20_000_000),
    ..ROUTES
};
/// The most processes of a case; more mean that it never comes to an end.
const MOST_PROCESSES: u32 = 60;
/// The longest that a process may last; it is that of a run, which waits for nothing that long.
const LONGEST_PROCESS: Duration = Duration::from_secs(8 * 3600);
/// The longest that a watching process lasts before it is stopped.
const WATCH: Duration = Duration::from_secs(900);
/// How often it is looked whether it has nothing left to do, and is stopped for that.
const WATCH_LOOK: Duration = Duration::from_secs(45);

/// Everything that tells one case from another.
#[derive(Debug, Clone)]
struct Case {
    /// What the recordings hold; equal numbers are copies.
    contents: Vec<u64>,
    /// How many bytes a recording has.
    length: usize,
    /// Which contents are answered with a ticket: a bit each.
    tickets: u64,
    formats: Vec<Format>,
    policy: DoubtPolicy,
    /// Paid submits in flight at once.
    jobs: usize,
    /// Whether every recording is cut into pieces.
    pieces: bool,
    /// Whether processes watch until they are stopped, while the plan has faults left.
    watches: bool,
    /// How often a run is asked about before it has ended.
    polls: u32,
    /// How often it is not known before that.
    unknown: u32,
    /// The content with which the process goes down whenever it is decoded.
    guilty: Option<u64>,
    /// At which calls what goes wrong.
    plan: Vec<(u64, usize)>,
    turns: Turns,
    seed: u64,
    bug: Option<Bug>,
}

/// What came of a case.
struct Outcome {
    violations: Vec<String>,
    story: Vec<String>,
    /// How many calls there were.
    calls: u64,
    /// Where the first planned fault struck, and how many faults that port has.
    met: Option<(Port, usize)>,
    /// How often the process died.
    deaths: u32,
    /// Why tickets were found overdue.
    overdue: Vec<Overdue>,
    /// How long the whole took by the clock on the wall.
    took: Duration,
    /// How often a recording was billed.
    billed: usize,
    /// The recordings that were set aside as poison.
    set_aside: Vec<Content>,
}

/// How a process ended.
#[derive(Debug, PartialEq)]
enum End {
    Died,
    Ended(Ended),
    /// It ended with an error that is not its own fault.
    NoRoom,
    Checked,
}

struct Simulation {
    case: Case,
    world: Arc<World>,
    folder: PathBuf,
    state: u32,
}

impl Case {
    /// Plays the case to its end.
    fn play(&self) -> Outcome {
        let folder = temporary_folder();
        let recordings = folder.path().join("in");
        std::fs::create_dir(&recordings).expect("a folder can be made");
        let mut scene = Scene::new(&recordings, &self.contents, self.length);
        scene.cuts = self.pieces;
        scene.guilty = self.guilty.map(Content);
        let world = World::new(scene, self.plan.clone(), self.turns.clone());
        let began = world.now();
        let _installed = Installed::new(world.clone(), self.bug);
        let mut simulation = Simulation {
            case: self.clone(),
            world: world.clone(),
            folder: folder.path().to_owned(),
            state: 0,
        };
        simulation.lay_table();
        simulation.play();
        let mut inner = world.inner();
        Outcome {
            violations: std::mem::take(&mut inner.violations),
            story: std::mem::take(&mut inner.story),
            calls: inner.calls,
            met: inner.met,
            deaths: inner.deaths,
            overdue: std::mem::take(&mut inner.overdue),
            took: age(began, inner.now()),
            billed: inner.bill.taken.len(),
            set_aside: std::mem::take(&mut inner.set_aside),
        }
    }
}

impl Simulation {
    fn state_dir(&self) -> PathBuf {
        self.folder.join(format!("state{}", self.state))
    }

    fn lay_table(&self) {
        static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
        let bytes = EMPTY.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder can be made");
            crate::queue::inspect::empty_database(folder.path())
        });
        std::fs::create_dir(self.state_dir()).expect("a folder can be made");
        scene::put(&self.state_dir().join(DATABASE), bytes);
    }

    fn play(&mut self) {
        let mut last = Moment::AfterEnd;
        for _ in 0..MOST_PROCESSES {
            let end = self.process(last);
            if !self.world.inner().violations.is_empty() {
                return;
            }
            if end == End::Checked {
                return;
            }
            last = match end {
                End::Died => Moment::AfterCrash,
                End::NoRoom => {
                    self.pass(Duration::from_secs(30));
                    Moment::AfterCrash
                }
                End::Ended(Ended::Paused(pause)) => {
                    self.world
                        .sleep_until(pause.until.unwrap_or(Timestamp::MIN));
                    Moment::AfterEnd
                }
                End::Ended(Ended::Finished | Ended::Stopped) | End::Checked => Moment::AfterEnd,
            };
            if last == Moment::AfterEnd && self.is_settled() {
                self.process(Moment::Finally);
                return;
            }
        }
        let text = format!("{MOST_PROCESSES} processes did not bring it to an end");
        self.world.violation(text);
    }

    fn pass(&self, time: Duration) {
        let now = self.world.now();
        self.world.sleep_until(after(now, time));
    }

    /// Whether the last look is that of a process of its own; mostly it is the last one's, which is quicker.
    fn looks_anew(&self) -> bool {
        matches!(self.case.turns, Turns::Always(_)) || self.case.seed.is_multiple_of(4)
    }

    /// Runs a process on the table, from its start until it ends or dies.
    fn process(&mut self, found: Moment) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let stop = CancellationToken::new();
        let world = self.world.clone();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                world.begin(stop.clone());
                tokio::select! {
                    biased;
                    () = world.died() => End::Died,
                    end = self.life(found, stop) => end,
                    () = tokio::time::sleep(LONGEST_PROCESS) => {
                        world.violation("a process waits without end".to_owned());
                        End::Died
                    }
                }
            })
        }));
        runtime.block_on(async { world.end() });
        let end = match ran {
            Ok(end) => end,
            Err(payload) if payload.is::<Crash>() => End::Died,
            Err(payload) => resume_unwind(payload),
        };
        if end == End::Died {
            world.inner().deaths += 1;
            self.keep_what_is_on_disk();
        }
        world.inner().tell(&format!("the process ends: {end:?}"));
        end
    }

    /// The next process finds the table as it lies there now, whatever the dead one's memory would
    /// still do to it.
    fn keep_what_is_on_disk(&mut self) {
        let from = self.state_dir();
        self.state += 1;
        let to = self.state_dir();
        std::fs::create_dir(&to).expect("a folder can be made");
        let hands = crate::queue::HANDS_FILE;
        for name in [
            DATABASE.to_owned(),
            format!("{DATABASE}-wal"),
            hands.to_owned(),
        ] {
            if let Ok(bytes) = std::fs::read(from.join(&name)) {
                scene::put(&to.join(&name), &bytes);
            }
        }
    }

    async fn life(&self, found: Moment, stop: CancellationToken) -> End {
        match self.live(found, stop).await {
            Ok(end) => end,
            Err(PipelineError::Queue(error)) if error.is_disk_full() => End::NoRoom,
            Err(error) => {
                let text = format!("the process failed: {:#}", anyhow::Error::new(error));
                self.world.violation(text);
                End::Checked
            }
        }
    }

    /// What `session::open` and the commands do, with a scan that finds every recording.
    async fn live(&self, found: Moment, stop: CancellationToken) -> Result<End, PipelineError> {
        let now = self.world.now();
        let queue = Queue::open(&self.state_dir(), now)?;
        // Nobody carries what is told: it must all be there.
        let wants = vec![(Way::Webhook, Event::ALL.to_vec())];
        let limits = Limits::default();
        queue.tell_of(Audience { wants, limits }).await?;
        match found {
            Moment::Finally => return self.check_in_the_end(&queue).await,
            // The last process has looked already.
            Moment::AfterEnd => {}
            Moment::AfterCrash | Moment::Recovered => self.look(&queue, found).await?,
        }
        queue.recover(self.case.policy, now).await?;
        self.look(&queue, Moment::Recovered).await?;
        queue.reconsider(self.routes(), now).await?;
        queue.resume_at_start(now).await?;
        let pipeline = Arc::new(self.pipeline(queue, stop));
        pipeline.load_pauses().await?;
        pipeline.sweep_spool().await?;
        let candidates = self
            .world
            .inner()
            .scene
            .candidates(&self.case.formats, &self.routes());
        for candidate in candidates {
            pipeline
                .queue
                .enqueue(candidate, None, false, self.world.now())
                .await?;
        }
        let watches = self.case.watches && !self.world.inner().is_calm();
        let ended = if watches {
            self.watch(&pipeline).await?
        } else {
            let looked = Arc::new(AtomicBool::new(true));
            drive(pipeline.clone(), Mode::Run { looked }).await?
        };
        self.look(&pipeline.queue, Moment::AfterEnd).await?;
        if self.world.inner().settled && !self.looks_anew() {
            return self.check_in_the_end(&pipeline.queue).await;
        }
        Ok(End::Ended(ended))
    }

    async fn check_in_the_end(&self, queue: &Queue) -> Result<End, PipelineError> {
        self.look(queue, Moment::Finally).await?;
        let says = queue.integrity().await?;
        if says != "ok" {
            self.world
                .violation(format!("the table is damaged: {says}"));
        }
        Ok(End::Checked)
    }

    fn routes(&self) -> RouteTerms {
        if self.case.pieces { PIECES } else { ROUTES }
    }

    async fn watch(&self, pipeline: &Arc<Pipeline>) -> Result<Ended, PipelineError> {
        let driven = drive(pipeline.clone(), Mode::Watch);
        tokio::pin!(driven);
        tokio::select! {
            biased;
            ended = &mut driven => return ended,
            idle = self.idle(pipeline) => idle?,
        }
        pipeline.stop.cancel();
        driven.await
    }

    /// Comes back when nothing moves any more, or after [`WATCH`].
    async fn idle(&self, pipeline: &Pipeline) -> Result<(), PipelineError> {
        for _ in 0..WATCH.as_secs() / WATCH_LOOK.as_secs() {
            tokio::time::sleep(WATCH_LOOK).await;
            let jobs = pipeline.queue.sheets().await?;
            if jobs.iter().all(|sheet| is_settled(&sheet.job.stage)) {
                break;
            }
        }
        Ok(())
    }

    fn pipeline(&self, queue: Queue, stop: CancellationToken) -> Pipeline {
        Pipeline {
            queue: Arc::new(queue),
            service: Some(Arc::new(FakeService {
                world: self.world.clone(),
                tickets: self.case.tickets,
                polls: self.case.polls,
                unknown: self.case.unknown,
                policy: self.case.policy,
            })),
            #[cfg(feature = "local")]
            local: Arc::new(crate::speech::local::Local::new(
                crate::speech::local::LocalSettings {
                    model_dir: None,
                    threads: None,
                },
            )),
            clock: self.world.clone(),
            notes: Arc::default(),
            chance: Chance::from_seed(self.case.seed),
            bucket: None,
            spool: Arc::new(Spool::new(&self.state_dir(), 1)),
            limiter: Arc::new(Limiter::new(NonZeroU32::new(20).expect("not zero"))),
            pace: Pace {
                jobs: self.case.jobs,
                poll_interval: Duration::from_secs(2),
                doubt: self.case.policy,
                routes: self.routes(),
                limits: Limits::default(),
                scoped: false,
            },
            pauses: Arc::default(),
            prices: Arc::default(),
            in_flight: Arc::default(),
            pen: Arc::default(),
            quarantine: Arc::default(),
            receivers: Arc::default(),
            unreadable: Arc::default(),
            pulse: Arc::default(),
            meter: Arc::default(),
            waiting: Arc::default(),
            rules: Arc::default(),
            reporter: Arc::new(Silent),
            bell: Arc::new(Notify::new()),
            let_go: stop.clone(),
            stop,
        }
    }

    /// Looks at everything, and lets time pass to the next moment at which there is something to do.
    async fn look(&self, queue: &Queue, moment: Moment) -> Result<(), PipelineError> {
        let sheets = queue.sheets().await?;
        let mut outputs = Vec::new();
        if moment == Moment::Finally {
            for sheet in &sheets {
                outputs.extend(queue.outputs(sheet.job.id).await?);
            }
        }
        for sheet in &sheets {
            if let Stage::Awaiting {
                overdue: Some(overdue),
                ..
            } = sheet.job.stage
            {
                self.world.inner().overdue.push(overdue);
            }
        }
        let view = View {
            sheets: &sheets,
            outputs: &outputs,
            moment,
        };
        invariants::check(&self.world, &view);
        if moment == Moment::AfterEnd {
            let jobs: Vec<&Job> = sheets.iter().map(|sheet| &sheet.job).collect();
            let pauses = queue.pauses().await?;
            let until = pauses.iter().filter_map(|pause| pause.until);
            self.plan_next(&jobs, until.collect());
        }
        Ok(())
    }

    /// Whoever starts the next process does so when something is due.
    fn plan_next(&self, jobs: &[&Job], pauses: Vec<Timestamp>) {
        let now = self.world.now();
        let held = |job: &Job| matches!(job.stage, Stage::InDoubt { retry_at: None, .. });
        let waits_for_held = |job: &Job| {
            let mut twins = jobs.iter().filter(|twin| twin.hash == job.hash);
            let reason = job.stage.reason();
            reason.is_some_and(|reason| reason.code == "duplicate") && twins.any(|twin| held(twin))
        };
        let waiting: Vec<&&Job> = jobs
            .iter()
            .filter(|job| !is_settled(&job.stage) && !waits_for_held(job))
            .collect();
        // A copy looks often whether the one that it waits for has ended; that one's time counts.
        let is_copy = |job: &Job| job.stage.reason().is_some_and(|r| r.code == "duplicate");
        let only_copies = waiting.iter().all(|job| is_copy(job));
        let due = waiting
            .iter()
            .filter(|job| only_copies || !is_copy(job))
            .filter_map(|job| job.stage.due().flatten());
        let next = due.chain(pauses).filter(|at| *at > now).min();
        let mut inner = self.world.inner();
        inner.settled = waiting.is_empty();
        inner.next = next;
    }

    /// Whether nothing will move any more by itself; if not, time passes until something does.
    fn is_settled(&self) -> bool {
        let (settled, next) = {
            let inner = self.world.inner();
            (inner.settled, inner.next)
        };
        if let Some(next) = next.filter(|_| !settled) {
            self.world.sleep_until(after(next, Duration::from_secs(1)));
        }
        settled
    }
}

/// Whether a job is done, has failed, or waits for a person.
fn is_settled(stage: &Stage) -> bool {
    match stage {
        Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled
        | Stage::Waiting { .. }
        | Stage::InDoubt { retry_at: None, .. } => true,
        Stage::Queued { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt {
            retry_at: Some(_), ..
        } => false,
    }
}

/// A folder in memory where the system has one: what is simulated is no power cut.
fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    made.expect("a folder can be made")
}

/// Acts on an accepted answer in the wrong order, where that mistake is planted.
pub(super) async fn mistaken(
    pipeline: &Pipeline,
    job: &Job,
    answer: Answer,
) -> Result<Answer, PipelineError> {
    let replies = replies_of(job.settings.provider);
    if planted(Bug::PublishUnstored) && replies.shape(&answer.body) == Shape::Transcript {
        let nothing = std::collections::HashMap::new();
        let stored = StoredReply {
            job: job.id,
            kind: ReplyKind::Service,
            status: answer.status,
            body: answer.body.clone(),
            listened: None,
        };
        if let Ok(document) = plain(job, stored) {
            let formats = &job.publication.formats;
            drop(publish::write_document(
                &job.base, &document, formats, &nothing,
            ));
        }
    }
    if planted(Bug::PollUnstoredTicket)
        && let Some(ticket) = replies.ticket(&answer.body)
        && let Some(service) = &pipeline.service
    {
        loop {
            tokio::time::sleep(pipeline.pace.poll_interval).await;
            if let Ok(polled) = service.poll(&ticket).await
                && matches!(
                    replies.shape(&polled.body),
                    Shape::Transcript | Shape::Failure(_)
                )
            {
                return Ok(polled);
            }
        }
    }
    Ok(answer)
}

/// Cuts a recording in the place of the real cutter, which would have to decode it.
pub(super) fn cut<S: crate::media::split::Spool>(
    hash: ContentHash,
    from: crate::media::split::Resume,
    spool: &mut S,
) -> std::io::Result<()> {
    use std::io::Write as _;
    for (number, bytes) in (0..).zip(piece_bytes(hash)) {
        if number < from.number {
            continue;
        }
        let mut file = spool.begin(number)?;
        file.write_all(&bytes)?;
        let start = u64::from(number) * PIECE_SAMPLES;
        let piece = crate::media::split::Piece {
            number,
            stretch: crate::domain::cut::Stretch {
                start,
                end: start + PIECE_SAMPLES,
            },
            bytes: bytes.len() as u64,
        };
        spool.complete(piece, file)?;
    }
    Ok(())
}

/// Makes a piece again, likewise.
pub(super) fn copy(
    hash: ContentHash,
    number: u32,
    target: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let mut pieces = piece_bytes(hash).into_iter();
    let bytes = pieces.nth(usize::try_from(number).unwrap_or(0).saturating_sub(1));
    target.write_all(&bytes.unwrap_or_default())
}

/// Samples of a piece: a minute, which is what the service bills for whatever it gets.
const PIECE_SAMPLES: u64 = 960_000;

fn piece_bytes(hash: ContentHash) -> Vec<Vec<u8>> {
    let all = (0..8).chain(1001..1100).map(Content);
    let mut all = all.filter(|content| {
        let bytes = content.bytes(PIECE_CASE_LENGTH);
        *blake3::hash(&bytes).as_bytes() == hash.0
    });
    let pieces = all.next().map(Content::pieces).into_iter().flatten();
    pieces.map(|piece| piece.bytes(PIECE_CASE_LENGTH)).collect()
}

/// How many bytes a recording has that is cut.
const PIECE_CASE_LENGTH: usize = 64;
