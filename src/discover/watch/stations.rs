//! All roots together: for each a lookout, who is sent out and comes back by himself.
//!
//! Whoever is out for long may hang, though his root answered when he went: it is asked again, and shown as one that
//! does not answer until he is back. Where a disk inside of the root hangs, another goes in his stead, around it.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::closed::Closed;
use super::eyes::Eyes;
use super::lookout::{Errand, Lookout, Outcome, Room};
use super::mailbox::Mailbox;
use super::mode::{Mode, ModeReason, Presence, RootMode};
use super::pending::Due;
use super::{Cause, Tuning};
use crate::discover::root::{Root, Roots, WatchMode};

/// How long a look at a root as a whole keeps the same at the others (250 ms): one after the other they find how
/// much room for watches is left.
const TURN: Duration = Duration::from_millis(250);

/// The lookouts of all roots.
#[derive(Debug)]
pub(super) struct Stations {
    stations: Vec<Station>,
    reports: FuturesUnordered<JoinHandle<Report>>,
    /// How many were sent so far.
    sent: u64,
    outfit: Outfit,
    watches: usize,
    most_looks: usize,
    patience: Duration,
    board: watch::Sender<Vec<RootMode>>,
}

/// What lookouts are made with.
#[derive(Debug)]
struct Outfit {
    roots: Roots,
    mailbox: Arc<Mailbox>,
    eyes: Arc<Eyes>,
    closed: Closed,
}

/// One root, and who looks at it.
#[derive(Debug)]
struct Station {
    root: Arc<Root>,
    eyes: Arc<Eyes>,
    has_own_eyes: bool,
    /// At home between errands.
    lookout: Option<Box<Lookout>>,
    given_up: Arc<AtomicBool>,
    todo: Errand,
    out: Option<Out>,
    /// How the root is watched, once that is known.
    mode: Option<RootMode>,
    /// The disk inside for which the one before was given up.
    around: Option<PathBuf>,
}

/// An errand that is under way.
#[derive(Debug)]
struct Out {
    number: u64,
    begun: Instant,
    is_round: bool,
    /// When the root is asked next whether it answers; nothing while it is being asked.
    ask: Option<Instant>,
    is_silent: bool,
}

/// What is told from outside.
#[derive(Debug)]
pub(super) enum Report {
    /// One is back.
    Back {
        station: usize,
        number: u64,
        lookout: Box<Lookout>,
        outcome: Outcome,
    },
    /// What was found out about one who is out for long.
    Sign {
        station: usize,
        number: u64,
        silence: Option<Silence>,
    },
}

/// Which disk does not answer.
#[derive(Debug)]
pub(super) enum Silence {
    Root,
    Inside(PathBuf),
}

impl Outfit {
    /// Whoever is to watch network drives by events has eyes of his own: to watch a folder there may hang, and
    /// whatever else is watched with the same eyes.
    fn own_eyes(&self, root: &Root) -> Option<Arc<Eyes>> {
        if root.rules().watch != WatchMode::Events {
            return None;
        }
        let own = Eyes::open(self.roots.clone(), self.mailbox.clone());
        own.failure().is_none().then(|| Arc::new(own))
    }

    fn station(&self, root: &Arc<Root>) -> Station {
        let own = self.own_eyes(root);
        let has_own_eyes = own.is_some();
        let eyes = own.unwrap_or_else(|| self.eyes.clone());
        let given_up = Arc::<AtomicBool>::default();
        let (closed, mark) = (self.closed.clone(), given_up.clone());
        Station {
            root: root.clone(),
            lookout: Some(Box::new(Lookout::new(root, eyes.clone(), closed, mark))),
            eyes,
            has_own_eyes,
            given_up,
            todo: Errand::default(),
            out: None,
            mode: None,
            around: None,
        }
    }
}

impl Stations {
    pub(super) fn new(
        roots: &Roots,
        mailbox: Arc<Mailbox>,
        eyes: Arc<Eyes>,
        closed: Closed,
        tuning: &Tuning,
        board: watch::Sender<Vec<RootMode>>,
    ) -> Self {
        let outfit = Outfit {
            roots: roots.clone(),
            mailbox,
            eyes,
            closed,
        };
        Self {
            stations: roots.iter().map(|root| outfit.station(root)).collect(),
            reports: FuturesUnordered::new(),
            sent: 0,
            outfit,
            watches: tuning.watches,
            most_looks: tuning.paths,
            patience: tuning.patience,
            board,
        }
    }

    /// Has everything watched anew.
    pub(super) fn everything(&mut self, cause: Cause) {
        let each = self.stations.iter_mut();
        each.for_each(|station| station.todo.add_everything(cause));
    }

    /// Has it looked whether the roots are still the same.
    pub(super) fn check(&mut self) {
        let each = self.stations.iter_mut();
        each.for_each(|station| station.todo.add_check());
    }

    /// Has a path looked at in the innermost root that holds it.
    pub(super) fn look(&mut self, due: Due) {
        let each = self.stations.iter_mut();
        let holding = each.filter(|station| due.path.starts_with(station.root.path()));
        let innermost = holding.max_by_key(|station| station.root.path().as_os_str().len());
        if let Some(station) = innermost {
            station.todo.add_look(due, self.most_looks);
        }
    }

    /// Sends out who has something to do.
    pub(super) fn send(&mut self, now: Instant) {
        for index in 0..self.stations.len() {
            let may_begin = |one: &Station| {
                one.is_ready() && (!one.todo.is_round() || self.turn_ends(now).is_none())
            };
            if self.stations.get(index).is_some_and(may_begin) {
                self.begin(index, now);
            }
        }
        for (index, station) in self.stations.iter_mut().enumerate() {
            station.todo.waits();
            if let Some(asking) = station.ask(index, now) {
                self.reports.push(asking);
            }
        }
    }

    /// When something is to be done here, whoever comes back.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let waits = |station: &Station| station.is_ready() && station.todo.is_round();
        let turn = self.stations.iter().any(waits).then(|| self.turn_ends(now));
        let out = self.stations.iter().filter_map(|one| one.out.as_ref());
        let asks = out.filter_map(|out| out.ask);
        asks.chain(turn.flatten()).min()
    }

    /// When the next may look at a root as a whole, if he may not yet.
    fn turn_ends(&self, now: Instant) -> Option<Instant> {
        let out = self.stations.iter().filter_map(|one| one.out.as_ref());
        let rounds = out.filter(|out| out.is_round && !out.is_silent);
        let ends = rounds.filter_map(|out| out.begun.checked_add(TURN));
        ends.filter(|end| *end > now).max()
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let taken: usize = self.stations.iter().map(Station::watched).sum();
        let Some(station) = self.stations.get_mut(index) else {
            return;
        };
        let Some(mut lookout) = station.lookout.take() else {
            return;
        };
        let errand = std::mem::take(&mut station.todo);
        let others = taken - station.watched();
        let room = Room {
            most: self.watches.saturating_sub(others),
            in_all: self.watches,
        };
        self.sent += 1;
        let number = self.sent;
        station.out = Some(Out {
            number,
            begun: now,
            is_round: errand.is_round(),
            ask: now.checked_add(self.patience),
            is_silent: false,
        });
        self.reports.push(spawn_blocking(move || {
            let outcome = lookout.run(errand, room);
            Report::Back {
                station: index,
                number,
                lookout,
                outcome,
            }
        }));
    }

    /// Waits for the next report; cancel safe.
    pub(super) async fn report(&mut self) -> Result<Report, JoinError> {
        match self.reports.next().await {
            Some(report) => report,
            None => pending().await,
        }
    }

    /// Takes in a report; what came of it for its root, if something did.
    pub(super) fn take_in(&mut self, report: Report) -> Option<(Arc<Root>, Outcome)> {
        let changed = match report {
            Report::Back {
                station,
                number,
                lookout,
                outcome,
            } => self.is_back(station, number, lookout, outcome),
            Report::Sign {
                station,
                number,
                silence,
            } => self.has_sign(station, number, silence),
        };
        let modes = self.stations.iter().filter_map(|one| one.mode.clone());
        let modes: Vec<RootMode> = modes.collect();
        self.board.send_if_modified(|shown| {
            let is_new = *shown != modes;
            *shown = modes;
            is_new
        });
        changed
    }

    fn is_back(
        &mut self,
        index: usize,
        number: u64,
        lookout: Box<Lookout>,
        outcome: Outcome,
    ) -> Option<(Arc<Root>, Outcome)> {
        let station = self.stations.get_mut(index)?;
        let out = station.out.take_if(|out| out.number == number)?;
        (station.lookout, station.around) = (Some(lookout), None);
        station.show(outcome.mode.clone());
        if out.is_silent {
            // What was told meanwhile could not be looked at.
            station.todo.add_everything(Cause::Root);
        }
        let (root, eyes) = (station.root.clone(), station.eyes.clone());
        let ended = eyes.take_ended();
        let same = self.stations.iter_mut();
        let same = same.filter(|one| !ended.is_empty() && Arc::ptr_eq(&one.eyes, &eyes));
        same.for_each(|one| one.todo.add_ended(&ended));
        // Two who were out at once may both have found the room that is enough for one.
        let watched: usize = self.stations.iter().map(Station::watched).sum();
        if watched > self.watches && outcome.mode.watched_folders > 0 {
            let station = self.stations.get_mut(index)?;
            station.todo.add_everything(Cause::Overflow);
        }
        Some((root, outcome))
    }

    fn has_sign(
        &mut self,
        index: usize,
        number: u64,
        silence: Option<Silence>,
    ) -> Option<(Arc<Root>, Outcome)> {
        let station = self.stations.get_mut(index)?;
        let out = station.out.as_mut().filter(|out| out.number == number)?;
        out.ask = Instant::now().checked_add(self.patience);
        match silence? {
            Silence::Root => {
                out.is_silent = true;
                let mode = station.silent_mode();
                station.show(mode.clone());
                let outcome = Outcome {
                    hints: Vec::new(),
                    polled: Vec::new(),
                    mode,
                };
                Some((station.root.clone(), outcome))
            }
            Silence::Inside(folder) if station.around.as_ref() == Some(&folder) => None,
            Silence::Inside(folder) => {
                tracing::debug!(folder = %folder.display(), "looked around it");
                let mut fresh = self.outfit.station(&station.root.clone());
                fresh.todo.add_everything(Cause::Root);
                (fresh.mode, fresh.around) = (station.mode.take(), Some(folder));
                // Dropping the one before gives him up.
                *station = fresh;
                None
            }
        }
    }
}

impl Station {
    fn is_ready(&self) -> bool {
        self.lookout.is_some() && !self.todo.is_empty()
    }

    fn watched(&self) -> usize {
        self.mode.as_ref().map_or(0, |mode| mode.watched_folders)
    }

    /// Asks whether the root answers of whoever is out for long.
    fn ask(&mut self, station: usize, now: Instant) -> Option<JoinHandle<Report>> {
        let out = self.out.as_mut()?;
        out.ask.take_if(|ask| *ask <= now)?;
        let (root, number) = (self.root.clone(), out.number);
        Some(spawn_blocking(move || {
            let silence = if root.answers() {
                root.silent_inside().map(Silence::Inside)
            } else {
                Some(Silence::Root)
            };
            Report::Sign {
                station,
                number,
                silence,
            }
        }))
    }

    /// How the root is shown of which nothing is heard.
    fn silent_mode(&self) -> RootMode {
        RootMode {
            path: self.root.path().to_owned(),
            mode: Mode::Poll,
            reason: ModeReason::Silent,
            presence: Presence::Silent,
            watched_folders: self.watched(),
            polled_inside: Vec::new(),
        }
    }

    fn show(&mut self, mode: RootMode) {
        let presence = mode.presence;
        let before = self.mode.replace(mode);
        let was_silent = before.is_some_and(|before| before.presence == Presence::Silent);
        let folder = self.root.path().display();
        if presence == Presence::Silent && !was_silent {
            tracing::warn!(
                %folder,
                "it does not answer: a disk or a network drive hangs; the other folders go on"
            );
        } else if presence == Presence::Present && was_silent {
            tracing::info!(%folder, "it answers again: scanned anew");
        }
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        if self.has_own_eyes {
            self.eyes.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Condvar, Mutex};

    use super::*;
    use crate::discover::scan::Scope;
    use crate::discover::{Hint, Hints, RootRules, Watcher};
    use crate::durable::create_folders;

    /// Lets everybody wait who passes while it is shut.
    struct Gate {
        is_shut: Mutex<bool>,
        moves: Condvar,
    }

    impl Gate {
        const fn shut() -> Self {
            Self {
                is_shut: Mutex::new(true),
                moves: Condvar::new(),
            }
        }

        fn pass(&self) {
            let is_shut = self.is_shut.lock().unwrap();
            drop(self.moves.wait_while(is_shut, |is_shut| *is_shut).unwrap());
        }

        fn open(&self) {
            *self.is_shut.lock().unwrap() = false;
            self.moves.notify_all();
        }
    }

    /// Opens it at the end, so that nobody waits any more.
    struct Opens(&'static Gate);

    impl Drop for Opens {
        fn drop(&mut self) {
            self.0.open();
        }
    }

    fn brisk() -> Tuning {
        Tuning {
            quiet: Duration::from_millis(20),
            longest: Duration::from_millis(200),
            patience: Duration::from_millis(50),
            ..Tuning::default()
        }
    }

    fn root(path: &Path) -> Root {
        Root::new(path, RootRules::default(), |_| true).unwrap()
    }

    async fn next(hints: &mut Hints) -> Hint {
        let hint = tokio::time::timeout(Duration::from_secs(30), hints.next());
        hint.await.expect("a hint in time").expect("hints")
    }

    static GATE: Gate = Gate::shut();
    static IS_LOOKED_AT: AtomicBool = AtomicBool::new(false);

    #[tokio::test]
    async fn a_root_that_hangs_after_it_answered_keeps_no_other_and_is_shown_until_it_is_back() {
        let _opens = Opens(&GATE);
        let (hanging, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let answers_at_first = |_: &Path| {
            if IS_LOOKED_AT.load(Ordering::SeqCst) {
                GATE.pass();
            }
        };
        let hangs_then = |_: &Path| {
            IS_LOOKED_AT.store(true, Ordering::SeqCst);
            GATE.pass();
        };
        let roots = vec![
            root(hanging.path())
                .on_a_disk(answers_at_first, Duration::from_millis(100))
                .at_a_look(hangs_then),
            root(other.path()),
        ];
        let roots = Roots::new(roots).unwrap();
        let (watcher, mut hints) = Watcher::start(&roots, brisk());
        assert_eq!(next(&mut hints).await.root.path(), other.path());
        create_folders(&other.path().join("new")).unwrap();
        let hint = next(&mut hints).await;
        assert_eq!(hint.scope, Scope::Tree(other.path().join("new")));

        let mut changes = watcher.changes();
        let is_silent = |modes: &Vec<RootMode>| {
            let mode = modes.iter().find(|mode| mode.path == hanging.path());
            mode.is_some_and(|mode| mode.presence == Presence::Silent)
        };
        let others = async {
            loop {
                assert_eq!(next(&mut hints).await.root.path(), other.path());
            }
        };
        tokio::select! {
            shown = changes.wait_for(is_silent) => drop(shown.unwrap()),
            _ = others => {}
        }
        assert_eq!(watcher.modes()[0].reason, ModeReason::Silent);
        GATE.open();
        let hint = loop {
            let hint = next(&mut hints).await;
            if hint.root.path() == hanging.path() {
                break hint;
            }
        };
        assert_eq!(hint.scope, Scope::Root);
        assert_eq!(watcher.modes()[0].presence, Presence::Present);
    }

    static INNER_GATE: Gate = Gate::shut();
    static HUNG: AtomicBool = AtomicBool::new(false);

    #[tokio::test]
    async fn a_disk_that_falls_silent_inside_a_root_that_is_looked_at_is_looked_around() {
        let _opens = Opens(&INNER_GATE);
        let top = tempfile::tempdir().unwrap();
        for name in ["disk", "other"] {
            create_folders(&top.path().join(name)).unwrap();
        }
        let hangs_once = |_: &Path| {
            if !HUNG.swap(true, Ordering::SeqCst) {
                INNER_GATE.pass();
            }
        };
        let root = root(top.path()).at_a_look(hangs_once);
        let root = root.with_a_disk_at("disk", |_| INNER_GATE.pass());
        let roots = Roots::new(vec![root]).unwrap();
        let (watcher, mut hints) = Watcher::start(&roots, brisk());
        let hint = next(&mut hints).await;
        assert_eq!((hint.scope, hint.cause), (Scope::Root, Cause::Root));
        // The root itself and the one that answers.
        assert_eq!(watcher.modes()[0].watched_folders, 2);
        create_folders(&top.path().join("other/new")).unwrap();
        let hint = next(&mut hints).await;
        assert_eq!(hint.scope, Scope::Tree(top.path().join("other/new")));
    }
}
