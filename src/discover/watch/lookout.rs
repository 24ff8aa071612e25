//! The part of watching that blocks: places the watches of one root, looks at it, and says what to scan.
//!
//! Each root has a lookout of its own, so that a disk that hangs keeps no other root waiting. The rule that
//! makes it complete: a folder is scanned after it is watched, and whatever the kernel tells of a folder's
//! coming, going or moving makes it be watched again, for the watch may have gone with the old one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::closed::{Closed, Trying};
use super::disk::unreliable;
use super::eyes::Eyes;
use super::mailbox::Look;
use super::mode::RootMode;
use super::pending::Due;
use super::post::{Means, Post};
use super::{Cause, Hint};
use crate::discover::folder::Identity;
use crate::discover::root::Root;
use crate::discover::scan::Scope;
use crate::disk::PATIENCE;

/// What there is to do outside, at one root.
#[derive(Debug, Default)]
pub(super) struct Errand {
    /// Watch everything anew, to be scanned.
    everything: Option<Cause>,
    /// Look whether the root is still the same.
    check: bool,
    /// Look at paths that something was told of.
    looks: Vec<Due>,
    /// Watch again what is one of these folders: a watch of it was ended.
    ended: HashSet<Identity>,
}

impl Errand {
    pub(super) fn is_empty(&self) -> bool {
        !self.is_round() && self.looks.is_empty() && self.ended.is_empty()
    }

    /// Whether it is about the root as a whole.
    pub(super) fn is_round(&self) -> bool {
        self.everything.is_some() || self.check
    }

    /// Adds to watch everything anew, after which nothing else is left to look at.
    pub(super) fn add_everything(&mut self, cause: Cause) {
        (self.check, self.looks, self.ended) = (false, Vec::new(), HashSet::new());
        if self.everything.is_none_or(|known| known == Cause::Overflow) {
            self.everything = Some(cause);
        }
    }

    pub(super) fn add_check(&mut self) {
        self.check |= self.everything.is_none();
    }

    /// Adds a path to look at; more than `most` are everything.
    pub(super) fn add_look(&mut self, due: Due, most: usize) {
        if self.everything.is_some() {
        } else if self.looks.len() < most {
            self.looks.push(due);
        } else {
            self.add_everything(Cause::Overflow);
        }
    }

    pub(super) fn add_ended(&mut self, ended: &HashSet<Identity>) {
        if self.everything.is_none() {
            self.ended.extend(ended);
        }
    }

    /// It was not begun at once: how quiet it was by then is not known any more.
    pub(super) fn waits(&mut self) {
        for due in &mut self.looks {
            due.quiet = Duration::ZERO;
        }
    }
}

/// How many folders may be watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// In the one root, as the others stand.
    pub(super) most: usize,
    /// In all roots together.
    pub(super) in_all: usize,
}

/// What came of an errand.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) hints: Vec<Hint>,
    /// All that must be polled of the root from now on.
    pub(super) polled: Vec<Scope>,
    /// How it is watched.
    pub(super) mode: RootMode,
}

#[derive(Debug)]
pub(super) struct Lookout {
    post: Post,
    eyes: Arc<Eyes>,
    /// Whether nobody waits for him any more.
    given_up: Arc<AtomicBool>,
    closed: Closed,
    trying: Trying,
}

impl Lookout {
    pub(super) fn new(
        root: &Arc<Root>,
        eyes: Arc<Eyes>,
        closed: Closed,
        given_up: Arc<AtomicBool>,
    ) -> Self {
        Self {
            post: Post::new(root),
            eyes,
            given_up,
            closed,
            trying: Trying::new(PATIENCE),
        }
    }

    /// Does what there is to do; blocks for as long as the disk takes.
    pub(super) fn run(&mut self, errand: Errand, room: Room) -> Outcome {
        let hints = if self.post.root.answers() {
            self.look_around(errand, room)
        } else {
            // Once it answers, a check watches and scans it anew.
            self.post.falls_silent();
            Vec::new()
        };
        Outcome {
            hints,
            polled: self.post.polled(),
            mode: self.post.mode(),
        }
    }

    fn look_around(&mut self, errand: Errand, room: Room) -> Vec<Hint> {
        let Errand {
            everything,
            check,
            mut looks,
            ended,
        } = errand;
        let means = Means {
            eyes: &self.eyes,
            given_up: &self.given_up,
            closed: &self.closed,
            most: room.most,
            most_in_all: room.in_all,
        };
        let mut hints = Vec::new();
        if let Some(cause) = everything {
            // After an overflow the limit is still what it was.
            if cause != Cause::Overflow || !self.post.is_over_limit() {
                self.post.place(means);
            }
            hints.extend(self.post.hint(cause));
        }
        if check {
            hints.extend(self.post.check(means));
            // What was closed and is open now, though nobody told.
            let opened = self.trying.opened(&self.post.root, &self.closed);
            looks.extend(opened.into_iter().map(|path| Due {
                path,
                look: Look::MOVED,
                quiet: Duration::ZERO,
            }));
        }
        // A folder comes before what is in it, so that a new tree is walked once.
        looks.sort_by(|a, b| a.path.cmp(&b.path));
        let mut hinted = Hinted::default();
        for Due { path, look, quiet } in looks {
            hinted.quiet = quiet;
            // A scan tells of what does not answer.
            if self.post.root.answers_at(&path) {
                self.post.look(&path, look, means, &mut hinted);
            }
        }
        hints.append(&mut hinted.hints);
        let mut again = Hinted::default();
        if !ended.is_empty() {
            self.post.watch_again(&ended, means, &mut again);
        }
        hints.append(&mut again.hints);
        hints
    }
}

/// Hints of one errand, none of them within another.
#[derive(Debug, Default)]
pub(super) struct Hinted {
    pub(super) hints: Vec<Hint>,
    /// For how long nothing was told of what is being looked at.
    quiet: Duration,
    /// Which hint is about the files of a folder alone.
    folders: HashMap<PathBuf, usize>,
}

impl Hinted {
    pub(super) fn add(&mut self, root: &Arc<Root>, scope: Scope) {
        let covered = match &scope {
            Scope::Root => false,
            Scope::Tree(folder) => self.cover(root, folder),
            Scope::Folder(folder) => self.cover(root, folder) || self.repeats(folder),
        };
        if covered {
            return;
        }
        let quiet = match &scope {
            // What happened in it before it was watched was told by nobody.
            Scope::Root | Scope::Tree(_) => Duration::ZERO,
            Scope::Folder(folder) => {
                self.folders.insert(folder.clone(), self.hints.len());
                quiet_by_our_clock(folder, self.quiet)
            }
        };
        self.hints.push(Hint {
            root: Arc::clone(root),
            scope,
            cause: Cause::Event,
            quiet,
        });
    }

    /// Whether a scan of the files of `folder` is hinted at already.
    fn repeats(&mut self, folder: &Path) -> bool {
        let known = self.folders.get(folder);
        let Some(hint) = known.and_then(|index| self.hints.get_mut(*index)) else {
            return false;
        };
        hint.quiet = hint.quiet.min(self.quiet);
        true
    }

    /// Whether a scan of `folder` and all below it is hinted at already.
    pub(super) fn cover(&self, root: &Arc<Root>, folder: &Path) -> bool {
        // The paths come in order, so that only the last tree can hold this one.
        let last = self
            .hints
            .iter()
            .rev()
            .find(|hint| !matches!(hint.scope, Scope::Folder(_)));
        last.is_some_and(|hint| {
            Arc::ptr_eq(&hint.root, root)
                && match &hint.scope {
                    Scope::Root => true,
                    Scope::Tree(tree) => folder.starts_with(tree),
                    Scope::Folder(_) => false,
                }
        })
    }
}

/// The quiet of a folder, where all that happens there is told and stamped by this machine; else none.
fn quiet_by_our_clock(folder: &Path, quiet: Duration) -> Duration {
    match unreliable(folder) {
        Ok(None) => quiet,
        Ok(Some(_)) | Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Mutex;

    use super::*;
    use crate::discover::watch::mode::{ModeReason, Presence};
    use crate::discover::{Found, RootRules, scan};
    use crate::disk::SILENT;

    const ROOM: Room = Room {
        most: 100,
        in_all: 100,
    };

    fn lookout(root: &Arc<Root>, closed: &Closed) -> Lookout {
        let eyes = Arc::new(Eyes::that_count());
        Lookout::new(root, eyes, closed.clone(), Arc::default())
    }

    fn start() -> Errand {
        let mut errand = Errand::default();
        errand.add_everything(Cause::Start);
        errand
    }

    fn check() -> Errand {
        let mut errand = Errand::default();
        errand.add_check();
        errand
    }

    static GATE: Mutex<()> = Mutex::new(());

    #[test]
    fn a_disk_that_hangs_is_left_alone_and_is_scanned_anew_when_it_answers() {
        let top = tempfile::tempdir().unwrap();
        let root = Root::new(top.path(), RootRules::default(), |_| true).unwrap();
        let moment = Duration::from_millis(1);
        let root = Arc::new(root.on_a_disk(|_| drop(GATE.lock()), moment));
        let mut lookout = lookout(&root, &Closed::default());

        let gate = GATE.lock().unwrap();
        let outcome = lookout.run(start(), ROOM);
        assert!(outcome.hints.is_empty() && outcome.polled.is_empty());
        let mode = outcome.mode;
        assert_eq!(
            (mode.presence, mode.reason),
            (Presence::Silent, ModeReason::Silent)
        );
        drop(gate);
        let outcome = loop {
            let outcome = lookout.run(check(), ROOM);
            if outcome.mode.presence != Presence::Silent {
                break outcome;
            }
        };
        assert_eq!(outcome.hints[0].scope, Scope::Root);
        let mode = outcome.mode;
        assert_eq!(
            (mode.presence, mode.reason),
            (Presence::Present, ModeReason::LocalDisk)
        );
    }

    static INNER_GATE: Mutex<()> = Mutex::new(());

    #[test]
    fn a_disk_that_hangs_inside_a_folder_keeps_nothing_else_of_it_and_is_looked_into_when_it_answers()
     {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for name in ["disk/inner", "other"] {
            crate::durable::create_folders(&at(name)).unwrap();
        }
        let root = Root::new(top.path(), RootRules::default(), |_| true).unwrap();
        let root = Arc::new(root.with_a_disk_at("disk", |_| drop(INNER_GATE.lock())));
        let closed = Closed::default();
        let mut lookout = lookout(&root, &closed);

        let gate = INNER_GATE.lock().unwrap();
        lookout.run(start(), ROOM);
        let watched = |lookout: &Lookout| Vec::from_iter(lookout.post.watched.keys().cloned());
        assert_eq!(watched(&lookout), [top.path().to_owned(), at("other")]);
        let mut passed = Vec::new();
        let report = scan(&root, &Scope::Root, &mut |found| {
            if let Found::Skipped { path, reason } = found {
                passed.push((path, reason.to_string()));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(passed, [(at("disk"), SILENT.to_owned())]);
        assert_eq!(report.folders, 2);
        closed.keep(root.path(), [at("disk")].into());
        assert!(lookout.run(check(), ROOM).hints.is_empty());
        drop(gate);
        let hints = loop {
            let hints = lookout.run(check(), ROOM).hints;
            if !hints.is_empty() {
                break hints;
            }
        };
        assert_eq!(hints[0].scope, Scope::Tree(at("disk")));
        assert_eq!(watched(&lookout).len(), 4);
    }

    #[test]
    fn a_folder_whose_watch_was_ended_by_another_path_is_watched_and_scanned_again() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        crate::durable::create_folders(&at("kept")).unwrap();
        crate::durable::create_folders(&at("moved")).unwrap();
        let root = Root::new(top.path(), RootRules::default(), |_| true).unwrap();
        let mut lookout = lookout(&Arc::new(root), &Closed::default());
        lookout.run(start(), ROOM);
        let moved = lookout.post.watched[&at("moved")];
        // Since then, and told by nobody.
        crate::durable::create_folders(&at("moved/in")).unwrap();
        let mut errand = Errand::default();
        errand.add_ended(&HashSet::from([moved]));
        let hints = lookout.run(errand, ROOM).hints;
        let scopes: Vec<_> = hints.into_iter().map(|hint| hint.scope).collect();
        assert_eq!(scopes, [Scope::Tree(at("moved"))]);
        assert!(lookout.post.watched.contains_key(&at("moved/in")));
    }

    #[test]
    fn what_waits_for_an_errand_is_bounded_and_never_less_than_what_was_asked_for() {
        let due = |path: &str| Due {
            path: path.into(),
            look: Look::FILES,
            quiet: Duration::from_secs(3),
        };
        let mut errand = Errand::default();
        assert!(errand.is_empty());
        errand.add_look(due("/in/a"), 2);
        errand.add_check();
        errand.waits();
        assert_eq!(
            (errand.looks[0].quiet, errand.check),
            (Duration::ZERO, true)
        );
        errand.add_look(due("/in/b"), 2);
        errand.add_look(due("/in/c"), 2);
        assert!(errand.looks.is_empty() && errand.everything == Some(Cause::Overflow));
        errand.add_everything(Cause::Regular);
        errand.add_everything(Cause::Overflow);
        errand.add_look(due("/in/d"), 2);
        assert!(errand.looks.is_empty() && errand.everything == Some(Cause::Regular));
    }

    #[test]
    fn the_files_of_a_folder_are_hinted_at_once_with_the_shortest_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        crate::durable::create_folders(&inner).unwrap();
        let root = Root::new(folder.path(), RootRules::default(), |_| true).unwrap();
        let root = Arc::new(root);
        let seconds = Duration::from_secs;
        let mut hinted = Hinted::default();
        for (quiet, scope) in [
            (3, Scope::Folder(inner.clone())),
            (2, Scope::Folder(inner.clone())),
            (9, Scope::Folder(folder.path().to_owned())),
            (5, Scope::Tree(inner.clone())),
            (4, Scope::Folder(inner.clone())),
        ] {
            hinted.quiet = seconds(quiet);
            hinted.add(&root, scope);
        }
        let hints = hinted.hints.into_iter();
        let hints: Vec<_> = hints.map(|hint| (hint.scope, hint.quiet)).collect();
        // Of a whole tree nobody knows what happened before it was watched.
        let told = [
            (Scope::Folder(inner.clone()), seconds(2)),
            (Scope::Folder(folder.path().to_owned()), seconds(9)),
            (Scope::Tree(inner), Duration::ZERO),
        ];
        assert_eq!(hints, told);
    }
}
