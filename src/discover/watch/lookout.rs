//! The part of watching that blocks: places the watches, looks at the roots, and says what to scan.
//!
//! The rule that makes it complete: a folder is scanned after it is watched, and whatever the kernel
//! tells of a folder's coming, going or moving makes it be watched again, for the watch may have gone
//! with the old one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::closed::{Closed, Trying};
use super::disk::unreliable;
use super::eyes::Eyes;
use super::mailbox::Look;
use super::mode::RootMode;
use super::pending::Due;
use super::post::{Means, Post};
use super::{Cause, Hint};
use crate::discover::mounts::Mounts;
use crate::discover::root::{Root, Roots};
use crate::discover::scan::Scope;
use crate::disk::PATIENCE;

/// Something to do outside.
#[derive(Debug)]
pub(super) enum Errand {
    /// Watch everything anew, to be scanned.
    Everything(Cause),
    /// Look at paths that something was told of.
    Look(Vec<Due>),
    /// Look whether the roots are still the same.
    Check,
}

/// What came of an errand.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) hints: Vec<Hint>,
    /// All that must be polled from now on.
    pub(super) polled: Vec<(Arc<Root>, Scope)>,
}

#[derive(Debug)]
pub(super) struct Lookout {
    posts: Vec<Post>,
    eyes: Arc<Eyes>,
    mounts: Mounts,
    /// The most watches of all roots together.
    watches: usize,
    closed: Closed,
    trying: Trying,
}

impl Lookout {
    pub(super) fn new(roots: &Roots, eyes: Arc<Eyes>, watches: usize, closed: Closed) -> Self {
        let posts = roots.iter().map(Post::new).collect();
        Self {
            posts,
            eyes,
            mounts: Mounts::open(),
            watches,
            closed,
            trying: Trying::new(PATIENCE),
        }
    }

    pub(super) fn run(&mut self, errand: Errand) -> Outcome {
        self.mounts.refresh();
        let hints = match errand {
            Errand::Everything(cause) => self.everything(cause),
            Errand::Look(paths) => self.look(paths),
            Errand::Check => self.check(),
        };
        if self.eyes.have_ended_some() {
            let posts = self.posts.iter().filter(|post| post.root.answers());
            posts.for_each(|post| post.watch_again(&self.eyes));
        }
        Outcome {
            hints,
            polled: self.posts.iter().flat_map(Post::polled).collect(),
        }
    }

    pub(super) fn modes(&self) -> Vec<RootMode> {
        self.posts.iter().map(Post::mode).collect()
    }

    fn everything(&mut self, cause: Cause) -> Vec<Hint> {
        let mut hints = Vec::new();
        self.each(|post, means| {
            // After an overflow the limit is still what it was.
            if cause != Cause::Overflow || !post.is_over_limit() {
                post.place(means);
            }
            hints.extend(post.hint(cause));
        });
        hints
    }

    fn check(&mut self) -> Vec<Hint> {
        let mut hints = Vec::new();
        self.each(|post, means| hints.extend(post.check(means)));
        // What was closed and is open now, though nobody told.
        let mut looks = Vec::new();
        for root in self.posts.iter().map(|post| &post.root) {
            if root.answers() {
                let opened = self.trying.opened(root, &self.closed).into_iter();
                looks.extend(opened.map(|path| Due {
                    path,
                    look: Look::MOVED,
                    quiet: Duration::ZERO,
                }));
            }
        }
        hints.extend(self.look(looks));
        hints
    }

    fn look(&mut self, mut paths: Vec<Due>) -> Vec<Hint> {
        // A folder comes before what is in it, so that a new tree is walked once.
        paths.sort_by(|a, b| a.path.cmp(&b.path));
        let mut hints = Hinted::default();
        for Due { path, look, quiet } in paths {
            hints.quiet = quiet;
            let holding = self
                .posts
                .iter()
                .enumerate()
                .filter(|(_, post)| post.holds(&path));
            let innermost = holding.max_by_key(|(_, post)| post.root.path().as_os_str().len());
            if let Some((index, _)) = innermost {
                self.with(index, |post, means| {
                    // A scan tells of it when it does not.
                    if post.root.answers_at(&path) {
                        post.look(&path, look, means, &mut hints);
                    }
                });
            }
        }
        hints.hints
    }

    fn each(&mut self, mut act: impl FnMut(&mut Post, Means<'_>)) {
        // All at once: those that do not answer are waited for together.
        self.posts.iter().for_each(|post| post.root.ask());
        for index in 0..self.posts.len() {
            self.with(index, &mut act);
        }
    }

    fn with(&mut self, index: usize, act: impl FnOnce(&mut Post, Means<'_>)) {
        let taken: usize = self.posts.iter().map(|post| post.watched.len()).sum();
        if let Some(post) = self.posts.get_mut(index) {
            // Nobody else is to wait for a disk that hangs; once it answers, a check watches and scans it anew.
            if !post.root.answers() {
                post.falls_silent();
                return;
            }
            let most = self.watches.saturating_sub(taken - post.watched.len());
            act(
                post,
                Means {
                    eyes: &self.eyes,
                    mounts: &self.mounts,
                    closed: &self.closed,
                    most,
                    most_in_all: self.watches,
                },
            );
        }
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
    use crate::discover::watch::mode::Presence;
    use crate::discover::{Found, RootRules, scan};
    use crate::disk::SILENT;

    static GATE: Mutex<()> = Mutex::new(());

    fn behind_the_gate(_: &Path) {
        drop(GATE.lock());
    }

    #[test]
    fn a_disk_that_hangs_keeps_no_other_waiting_and_is_scanned_anew_when_it_answers() {
        let (hanging, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = |path: &Path| Root::new(path, RootRules::default(), |_| true).unwrap();
        let roots = vec![
            root(hanging.path()).on_a_disk(behind_the_gate),
            root(other.path()),
        ];
        let roots = Roots::new(roots).unwrap();
        let eyes = Arc::new(Eyes::that_count());
        let mut lookout = Lookout::new(&roots, eyes, 100, Closed::default());
        let scanned = |outcome: &Outcome| -> Vec<PathBuf> {
            let hints = outcome.hints.iter();
            hints.map(|hint| hint.root.path().to_owned()).collect()
        };

        let gate = GATE.lock().unwrap();
        let outcome = lookout.run(Errand::Everything(Cause::Start));
        assert_eq!(scanned(&outcome), [other.path()]);
        assert!(
            outcome
                .polled
                .iter()
                .all(|(root, _)| root.path() == other.path())
        );
        assert_eq!(lookout.modes()[0].presence, Presence::Silent);
        drop(gate);
        let outcome = loop {
            let outcome = lookout.run(Errand::Check);
            if lookout.modes()[0].presence != Presence::Silent {
                break outcome;
            }
        };
        assert_eq!(scanned(&outcome), [hanging.path()]);
        assert_eq!(lookout.modes()[0].presence, Presence::Present);
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
        let root = root.with_a_disk_at("disk", |_| drop(INNER_GATE.lock()));
        let roots = Roots::new(vec![root]).unwrap();
        let closed = Closed::default();
        let eyes = Arc::new(Eyes::that_count());
        let mut lookout = Lookout::new(&roots, eyes, 100, closed.clone());

        let gate = INNER_GATE.lock().unwrap();
        lookout.run(Errand::Everything(Cause::Start));
        let watched = |lookout: &Lookout| Vec::from_iter(lookout.posts[0].watched.clone());
        assert_eq!(watched(&lookout), [top.path().to_owned(), at("other")]);
        let root = roots.iter().next().unwrap();
        let mut passed = Vec::new();
        let report = scan(root, &Scope::Root, &mut |found| {
            if let Found::Skipped { path, reason } = found {
                passed.push((path, reason.to_string()));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(passed, [(at("disk"), SILENT.to_owned())]);
        assert_eq!(report.folders, 2);
        closed.keep(root.path(), [at("disk")].into());
        assert!(lookout.run(Errand::Check).hints.is_empty());
        drop(gate);
        let hints = loop {
            let hints = lookout.run(Errand::Check).hints;
            if !hints.is_empty() {
                break hints;
            }
        };
        assert_eq!(hints[0].scope, Scope::Tree(at("disk")));
        assert_eq!(watched(&lookout).len(), 4);
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
