//! Watching: tells which folder to scan again, and when.
//!
//! Events are hints and may be lost at any time; whatever is lost costs a rescan, never a recording.
//! A folder is watched before it is scanned, so that nothing falls between the two. Everything that
//! blocks runs in one task at a time, owned by [`Hints`]; dropping the [`Watcher`] ends everything.

mod closed;
mod disk;
mod eyes;
mod limit;
mod lookout;
mod mailbox;
mod mode;
mod pending;
mod post;

use std::collections::VecDeque;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::root::{Root, Roots};
use super::scan::Scope;
use eyes::Eyes;
use lookout::{Errand, Lookout, Outcome};
use mailbox::Mailbox;
use pending::Pending;

pub use closed::Closed;
pub use limit::WatchLimit;
pub use mode::{Mode, ModeReason, Presence, RootMode};

/// The times and bounds of watching.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// How long a folder must be quiet before it is scanned again (500 ms).
    pub quiet: Duration,
    /// How long a busy folder waits for quiet at the most (5 s).
    pub longest: Duration,
    /// How often each root is checked for having gone, come back or been replaced (30 s).
    pub check_every: Duration,
    /// The mean time between scans of everything (1 h); each is 25 % shorter to 25 % longer.
    pub rescan_every: Duration,
    /// How many distinct paths may wait; beyond that everything is scanned again (4096).
    pub paths: usize,
    /// How many folders are watched at the most (500,000, about 0.5 GB of the kernel's memory); roots
    /// that do not fit are polled.
    pub watches: usize,
    /// What the deviations of `rescan_every` are made from.
    pub seed: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(500),
            longest: Duration::from_secs(5),
            check_every: Duration::from_secs(30),
            rescan_every: Duration::from_secs(3600),
            paths: 4096,
            watches: 500_000,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

/// Why something should be scanned again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Watching begins.
    Start,
    /// Something happened there.
    Event,
    /// Too much happened to tell what, or events were lost.
    Overflow,
    /// It is polled.
    Poll,
    /// The regular scan of everything.
    Regular,
    /// The root came, came back or was replaced, or a disk was mounted or taken away in it.
    Root,
}

/// "Scan this again."
#[derive(Debug, Clone)]
pub struct Hint {
    /// The root.
    pub root: Arc<Root>,
    /// How much of it.
    pub scope: Scope,
    /// Why.
    pub cause: Cause,
    /// For how long nothing happened there before this hint, as far as that was told by the kernel and the stamps
    /// of the files are by the clock of this machine; else nothing.
    pub quiet: Duration,
}

/// Holds the watches; dropping it ends them, and its [`Hints`].
#[derive(Debug)]
pub struct Watcher {
    board: Board,
    eyes: Arc<Eyes>,
    stop: CancellationToken,
    closed: Closed,
}

/// How each root would be watched, and in how many folders, if `watches` folders may be watched in all; blocks
/// for as long as a walk through all folders takes.
pub fn outlook(roots: &Roots, watches: usize) -> Vec<RootMode> {
    let eyes = Arc::new(Eyes::that_count());
    let mut lookout = Lookout::new(roots, eyes, watches, Closed::default());
    lookout.run(Errand::Everything(Cause::Start));
    lookout.modes()
}

/// How each root is watched at this moment.
type Board = Arc<Mutex<Vec<RootMode>>>;

impl Watcher {
    /// Begins to watch `roots`; the first hints are to scan each of them.
    ///
    /// A kernel that gives no events is no error: the roots are polled, and [`Watcher::modes`] says so.
    pub fn start(roots: &Roots, tuning: Tuning) -> (Self, Hints) {
        let mailbox = Arc::new(Mailbox::new(tuning.paths));
        let eyes = Arc::new(Eyes::open(roots.clone(), Arc::clone(&mailbox)));
        let stop = CancellationToken::new();
        let board = Board::default();
        let closed = Closed::default();
        let lookout = Lookout::new(roots, Arc::clone(&eyes), tuning.watches, closed.clone());
        post(&board, lookout.modes());
        let watcher = Self {
            board: Arc::clone(&board),
            eyes,
            stop: stop.clone(),
            closed,
        };
        (watcher, Hints::new(mailbox, lookout, tuning, stop, board))
    }

    /// How each root is watched, and why so.
    pub fn modes(&self) -> Vec<RootMode> {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Watcher {
    /// Where whoever scans keeps what it could not read, so that it is tried again.
    pub fn closed(&self) -> Closed {
        self.closed.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.cancel();
        self.eyes.close();
    }
}

/// The hints, one after the other.
#[derive(Debug)]
pub struct Hints {
    mailbox: Arc<Mailbox>,
    pending: Pending,
    ready: VecDeque<Hint>,
    polls: Vec<Polled>,
    /// At home between errands.
    lookout: Option<Box<Lookout>>,
    errand: Option<JoinHandle<(Box<Lookout>, Outcome)>>,
    clock: Rounds,
    tuning: Tuning,
    stop: CancellationToken,
    board: Board,
}

/// What is polled, and when next; nothing while its last hint is being worked on.
#[derive(Debug)]
struct Polled {
    root: Arc<Root>,
    scope: Scope,
    due: Option<Instant>,
}

/// The regular rounds: checks of the roots and scans of everything.
#[derive(Debug, Default)]
struct Rounds {
    started: bool,
    check: Option<Instant>,
    rescan: Option<Instant>,
    count: u64,
}

impl Hints {
    fn new(
        mailbox: Arc<Mailbox>,
        lookout: Lookout,
        tuning: Tuning,
        stop: CancellationToken,
        board: Board,
    ) -> Self {
        Self {
            mailbox,
            pending: Pending::new(tuning.quiet, tuning.longest, tuning.paths),
            ready: VecDeque::new(),
            polls: Vec::new(),
            lookout: Some(Box::new(lookout)),
            errand: None,
            clock: Rounds::default(),
            tuning,
            stop,
            board,
        }
    }

    /// Waits for the next hint; `None` once the [`Watcher`] is dropped.
    ///
    /// Cancel safe: a hint that was not handed out stays. While nobody calls, events gather in bounded
    /// memory.
    pub async fn next(&mut self) -> Option<Hint> {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.find()).await.flatten()
    }

    async fn find(&mut self) -> Option<Hint> {
        self.plan_polls(Instant::now());
        loop {
            if let Some(hint) = self.ready.pop_front() {
                return Some(hint);
            }
            if let Some(errand) = &mut self.errand {
                let done = errand.await;
                self.errand = None;
                let (lookout, outcome) = match done {
                    Ok(done) => done,
                    // A panic there is a panic here: whoever owns this task must hear of it.
                    Err(error) => std::panic::resume_unwind(error.try_into_panic().ok()?),
                };
                self.take_in(lookout, outcome);
                continue;
            }
            let now = Instant::now();
            self.pending.gather(self.mailbox.take(), now);
            if let Some(errand) = self.due(now) {
                self.send(errand);
            } else if !self.poll(now) {
                self.rest(now).await;
            }
        }
    }

    /// Waits for an event, or for the next time at which something is due.
    async fn rest(&mut self, now: Instant) {
        let polls = self.polls.iter().filter_map(|polled| polled.due);
        let rounds = self.clock.check.into_iter().chain(self.clock.rescan);
        let wake = polls.chain(rounds).chain(self.pending.next_look(now)).min();
        let asleep = async {
            match wake {
                Some(wake) => sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        if self.pending.is_empty() {
            tokio::select! {
                () = asleep => {}
                () = self.mailbox.arrival() => {}
            }
        } else {
            // Events are gathered in steps, so that a storm costs no wake-up each.
            asleep.await;
        }
    }

    /// What should be done outside at `now`.
    fn due(&mut self, now: Instant) -> Option<Errand> {
        if !self.clock.started {
            self.clock.started = true;
            self.plan_rounds(now);
            return Some(Errand::Everything(Cause::Start));
        }
        if self.clock.rescan.is_some_and(|due| due <= now) {
            self.pending.clear();
            self.plan_rounds(now);
            return Some(Errand::Everything(Cause::Regular));
        }
        if self.clock.check.is_some_and(|due| due <= now) {
            self.clock.check = now.checked_add(self.tuning.check_every);
            return Some(Errand::Check);
        }
        if self.pending.everything_is_due(now) {
            self.pending.clear();
            return Some(Errand::Everything(Cause::Overflow));
        }
        let paths = self.pending.take_due(now);
        (!paths.is_empty()).then_some(Errand::Look(paths))
    }

    fn send(&mut self, errand: Errand) {
        if let Some(mut lookout) = self.lookout.take() {
            self.errand = Some(tokio::task::spawn_blocking(move || {
                let outcome = lookout.run(errand);
                (lookout, outcome)
            }));
        }
    }

    fn take_in(&mut self, lookout: Box<Lookout>, outcome: Outcome) {
        post(&self.board, lookout.modes());
        self.lookout = Some(lookout);
        self.ready.extend(outcome.hints);
        let before = std::mem::take(&mut self.polls);
        let due = |root: &Arc<Root>, scope: &Scope| {
            let same = |polled: &&Polled| Arc::ptr_eq(&polled.root, root) && polled.scope == *scope;
            before.iter().find(same).and_then(|polled| polled.due)
        };
        let polled = outcome.polled.into_iter();
        self.polls = polled
            .map(|(root, scope)| Polled {
                due: due(&root, &scope),
                root,
                scope,
            })
            .collect();
        self.plan_polls(Instant::now());
    }

    /// Gives a time to every poll that has none: its last hint has been worked on.
    fn plan_polls(&mut self, now: Instant) {
        if self.ready.iter().any(|hint| hint.cause == Cause::Poll) {
            return;
        }
        for polled in &mut self.polls {
            if polled.due.is_none() {
                polled.due = now.checked_add(polled.root.rules().poll_every);
            }
        }
    }

    /// Makes hints of the polls that are due; tells whether there were any.
    fn poll(&mut self, now: Instant) -> bool {
        for polled in &mut self.polls {
            if polled.due.is_some_and(|due| due <= now) {
                polled.due = None;
                let (root, scope) = (Arc::clone(&polled.root), polled.scope.clone());
                self.ready.push_back(Hint {
                    root,
                    scope,
                    cause: Cause::Poll,
                    quiet: Duration::ZERO,
                });
            }
        }
        !self.ready.is_empty()
    }

    fn plan_rounds(&mut self, now: Instant) {
        self.clock.count += 1;
        self.clock.check = now.checked_add(self.tuning.check_every);
        let wait = self
            .tuning
            .rescan_every
            .mul_f64(deviation(self.tuning.seed, self.clock.count));
        self.clock.rescan = now.checked_add(wait);
    }
}

/// A factor between 0.75 and 1.25, so that many machines do not scan one server in step.
fn deviation(seed: u64, round: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, round).hash(&mut hasher);
    let sixteen_bits = u16::try_from(hasher.finish() >> 48).unwrap_or(u16::MAX);
    0.75 + 0.5 * f64::from(sixteen_bits) / f64::from(u16::MAX)
}

fn post(board: &Board, modes: Vec<RootMode>) {
    *board.lock().unwrap_or_else(PoisonError::into_inner) = modes;
}
