//! Watching: tells which folder to scan again, and when.
//!
//! Events are hints and may be lost at any time; whatever is lost costs a rescan, never a recording.
//! A folder is watched before it is scanned, so that nothing falls between the two. Everything that
//! blocks runs in one task at a time for each root, owned by [`Hints`], so that a disk that hangs keeps no
//! other root waiting; dropping the [`Watcher`] ends everything.

mod closed;
mod disk;
mod eyes;
mod limit;
mod lookout;
mod mailbox;
mod mode;
mod pending;
mod post;
mod stations;

use std::collections::VecDeque;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::root::{Root, Roots};
use super::scan::Scope;
use crate::disk::PATIENCE;
use eyes::Eyes;
use lookout::{Errand, Lookout, Outcome, Room};
use mailbox::Mailbox;
use pending::Pending;
use stations::{Report, Stations};

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
    /// After how long a root is asked whether it answers that is still being looked at (10 s).
    pub patience: Duration,
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
            patience: PATIENCE,
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
    board: watch::Receiver<Vec<RootMode>>,
    eyes: Arc<Eyes>,
    stop: CancellationToken,
    closed: Closed,
}

/// How each root would be watched, and in how many folders, if `watches` folders may be watched in all; blocks
/// for as long as a walk through all folders takes.
pub fn outlook(roots: &Roots, watches: usize) -> Vec<RootMode> {
    let eyes = Arc::new(Eyes::that_count());
    let mut taken = 0;
    // All at once: those that do not answer are waited for together.
    roots.iter().for_each(|root| root.ask());
    let mode = |root: &Arc<Root>| {
        let mut errand = Errand::default();
        errand.add_everything(Cause::Start);
        let mut lookout = Lookout::new(root, eyes.clone(), Closed::default(), Arc::default());
        let room = Room {
            most: watches.saturating_sub(taken),
            in_all: watches,
        };
        let mode = lookout.run(errand, room).mode;
        taken += mode.watched_folders;
        mode
    };
    roots.iter().map(mode).collect()
}

impl Watcher {
    /// Begins to watch `roots`; the first hints are to scan each of them.
    ///
    /// A kernel that gives no events is no error: the roots are polled, and [`Watcher::modes`] says so.
    pub fn start(roots: &Roots, tuning: Tuning) -> (Self, Hints) {
        let mailbox = Arc::new(Mailbox::new(tuning.paths));
        let eyes = Arc::new(Eyes::open(roots.clone(), Arc::clone(&mailbox)));
        let stop = CancellationToken::new();
        let (sender, board) = watch::channel(Vec::new());
        let closed = Closed::default();
        let stations = Stations::new(
            roots,
            mailbox.clone(),
            eyes.clone(),
            closed.clone(),
            &tuning,
            sender,
        );
        let watcher = Self {
            board,
            eyes,
            stop: stop.clone(),
            closed,
        };
        (watcher, Hints::new(mailbox, stations, tuning, stop))
    }

    /// How each root is watched, and why so, as far as that is known.
    pub fn modes(&self) -> Vec<RootMode> {
        self.board.borrow().clone()
    }

    /// The same of the root at `path`.
    pub fn mode_of(&self, path: &Path) -> Option<RootMode> {
        let modes = self.board.borrow();
        modes.iter().find(|mode| mode.path == path).cloned()
    }

    /// The same of all, as it changes.
    pub fn changes(&self) -> watch::Receiver<Vec<RootMode>> {
        self.board.clone()
    }

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
    stations: Stations,
    clock: Rounds,
    tuning: Tuning,
    stop: CancellationToken,
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
        stations: Stations,
        tuning: Tuning,
        stop: CancellationToken,
    ) -> Self {
        Self {
            mailbox,
            pending: Pending::new(tuning.quiet, tuning.longest, tuning.paths),
            ready: VecDeque::new(),
            polls: Vec::new(),
            stations,
            clock: Rounds::default(),
            tuning,
            stop,
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
            let now = Instant::now();
            self.pending.gather(self.mailbox.take(), now);
            self.plan(now);
            self.stations.send(now);
            if self.poll(now) {
                continue;
            }
            match self.rest(now).await {
                None => {}
                Some(Ok(report)) => self.take_in(report),
                // A panic there is a panic here: whoever owns this task must hear of it.
                Some(Err(error)) => std::panic::resume_unwind(error.try_into_panic().ok()?),
            }
        }
    }

    /// Waits for an event, for whoever is out, or for the next time at which something is due.
    async fn rest(&mut self, now: Instant) -> Option<Result<Report, JoinError>> {
        let polls = self.polls.iter().filter_map(|polled| polled.due);
        let rounds = self.clock.check.into_iter().chain(self.clock.rescan);
        let others = self.pending.next_look(now).into_iter();
        let others = others.chain(self.stations.next_look(now));
        let wake = polls.chain(rounds).chain(others).min();
        let asleep = async {
            match wake {
                Some(wake) => sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        // Events are gathered in steps, so that a storm costs no wake-up each.
        let is_waiting = self.pending.is_empty();
        tokio::select! {
            report = self.stations.report() => Some(report),
            () = asleep => None,
            () = self.mailbox.arrival(), if is_waiting => None,
        }
    }

    /// Hands out what should be done outside at `now`.
    fn plan(&mut self, now: Instant) {
        let rescan = if self.clock.started {
            let is_due = self.clock.rescan.is_some_and(|due| due <= now);
            is_due.then_some(Cause::Regular)
        } else {
            self.clock.started = true;
            Some(Cause::Start)
        };
        if let Some(cause) = rescan {
            self.pending.clear();
            self.plan_rounds(now);
            self.stations.everything(cause);
        }
        if self.clock.check.is_some_and(|due| due <= now) {
            self.clock.check = now.checked_add(self.tuning.check_every);
            self.stations.check();
        }
        if self.pending.everything_is_due(now) {
            self.pending.clear();
            self.stations.everything(Cause::Overflow);
        }
        for due in self.pending.take_due(now) {
            self.stations.look(due);
        }
    }

    /// Takes in what came of an errand, or that one comes to no end.
    fn take_in(&mut self, report: Report) {
        let Some((root, outcome)) = self.stations.take_in(report) else {
            return;
        };
        let Outcome { hints, polled, .. } = outcome;
        self.ready.extend(hints);
        let before: Vec<Polled> = self
            .polls
            .extract_if(.., |polled| Arc::ptr_eq(&polled.root, &root))
            .collect();
        self.polls.extend(polled.into_iter().map(|scope| {
            let known = before.iter().find(|polled| polled.scope == scope);
            Polled {
                due: known.and_then(|polled| polled.due),
                root: root.clone(),
                scope,
            }
        }));
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
