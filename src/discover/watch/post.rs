//! One root: how it is watched, what is watched of it, and whether it is still the same.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::closed::{Closed, can_be_read};
use super::disk::unreliable;
use super::eyes::{Eyes, Watched};
use super::limit::WatchLimit;
use super::lookout::Hinted;
use super::mailbox::Look;
use super::mode::{Mode, ModeReason, Presence, RootMode};
use super::{Cause, Hint};
use crate::discover::folder::{Identity, SkipReason, gone};
use crate::discover::local::{LocalRules, holds_rules, number_of_rules_above};
use crate::discover::mounts::number_of_mounts;
use crate::discover::root::{Root, WatchMode};
use crate::discover::scan::Scope;
use crate::discover::walk::{Visitor, walk};
use crate::domain::settle::Fingerprint;

/// What there is to watch with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) eyes: &'a Eyes,
    /// Whether another looks in the stead of who has them, who hung for too long.
    pub(super) given_up: &'a AtomicBool,
    /// What could not be read when it was scanned last.
    pub(super) closed: &'a Closed,
    /// How many folders of the one root may be watched, as the others stand.
    pub(super) most: usize,
    /// How many folders of all roots together.
    pub(super) most_in_all: usize,
}

impl Means<'_> {
    fn watch(self, folder: &Path) -> Watched {
        if self.given_up.load(Ordering::Relaxed) {
            return Watched::Closed;
        }
        self.eyes.watch(folder)
    }

    fn unwatch(self, folder: &Path, identity: Identity) {
        if !self.given_up.load(Ordering::Relaxed) {
            self.eyes.unwatch(folder, identity);
        }
    }
}

/// One root and what is watched of it.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) root: Arc<Root>,
    mode: Mode,
    reason: ModeReason,
    presence: Presence,
    identity: Option<Identity>,
    /// The earlier root that is the same folder.
    same_as: Option<PathBuf>,
    /// A number for what is mounted in it.
    mounts: u64,
    /// A number for the rules that lie above it.
    rules_above: u64,
    pub(super) watched: BTreeMap<PathBuf, Identity>,
    /// Folders in it that are polled, each with its file system.
    polled_inside: BTreeMap<PathBuf, &'static str>,
}

impl Post {
    pub(super) fn new(root: &Arc<Root>) -> Self {
        Self {
            root: Arc::clone(root),
            mode: Mode::Poll,
            reason: ModeReason::Absent,
            presence: Presence::Missing,
            identity: None,
            same_as: None,
            mounts: 0,
            rules_above: 0,
            watched: BTreeMap::new(),
            polled_inside: BTreeMap::new(),
        }
    }

    pub(super) fn mode(&self) -> RootMode {
        let (mode, reason) = match self.presence {
            Presence::Silent => (Mode::Poll, ModeReason::Silent),
            Presence::Present | Presence::Missing | Presence::Unreadable => {
                (self.mode, self.reason.clone())
            }
        };
        RootMode {
            path: self.root.path().to_owned(),
            mode,
            reason,
            presence: self.presence,
            watched_folders: self.watched.len(),
            polled_inside: self
                .polled_inside
                .iter()
                .map(|(path, fs)| (path.clone(), *fs))
                .collect(),
        }
    }

    /// Whether more folders would have to be watched than may be.
    pub(super) fn is_over_limit(&self) -> bool {
        matches!(
            self.reason,
            ModeReason::WatchLimit { .. } | ModeReason::OwnLimit { .. }
        )
    }

    /// A hint to scan all of this root, if it is one of its own.
    pub(super) fn hint(&self, cause: Cause) -> Option<Hint> {
        let own = self.same_as.is_none();
        own.then(|| Hint {
            root: Arc::clone(&self.root),
            scope: Scope::Root,
            cause,
            quiet: Duration::ZERO,
        })
    }

    /// What must be polled of it.
    pub(super) fn polled(&self) -> Vec<Scope> {
        match (self.mode, &self.reason) {
            _ if self.presence == Presence::Silent => Vec::new(),
            (Mode::Poll, ModeReason::Absent | ModeReason::SameAs(_)) => Vec::new(),
            (Mode::Poll, _) => vec![Scope::Root],
            (Mode::Events, _) => {
                let inside = self.polled_inside.keys().cloned();
                inside.map(Scope::Tree).collect()
            }
        }
    }

    /// Decides how to watch the root as it is now, and watches it.
    pub(super) fn place(&mut self, means: Means<'_>) {
        let seen = Seen::of(&self.root);
        if seen.identity != self.identity {
            self.release(means);
        }
        (self.presence, self.identity) = (seen.presence, seen.identity);
        (self.mounts, self.rules_above) = (seen.mounts, seen.rules_above);
        self.same_as = self.root.same_as();
        self.polled_inside.clear();
        (self.mode, self.reason) = self.choose(&seen, means.eyes);
        if self.mode == Mode::Events {
            let before = std::mem::take(&mut self.watched);
            self.watch_below(Path::new(""), means);
            self.unwatch_stale(before, means);
        } else {
            self.release(means);
        }
    }

    fn choose(&self, seen: &Seen, eyes: &Eyes) -> (Mode, ModeReason) {
        if let Some(same) = self.same_as.clone() {
            return (Mode::Poll, ModeReason::SameAs(same));
        }
        if seen.presence == Presence::Missing {
            return (Mode::Poll, ModeReason::Absent);
        }
        if seen.single_file {
            return (Mode::Poll, ModeReason::SingleFile);
        }
        if let Some(reason) = eyes.failure() {
            return (Mode::Poll, reason.clone());
        }
        match self.root.rules().watch {
            WatchMode::Poll => (Mode::Poll, ModeReason::Configured),
            WatchMode::Events => (Mode::Events, ModeReason::Configured),
            WatchMode::Auto => match unreliable(self.root.path()) {
                Ok(Some(file_system)) => (Mode::Poll, ModeReason::RemoteDisk { file_system }),
                Ok(None) | Err(_) => (Mode::Events, ModeReason::LocalDisk),
            },
        }
    }

    /// Watches the folder `within` (relative to the root) and all below it.
    fn watch_below(&mut self, within: &Path, means: Means<'_>) {
        let root = Arc::clone(&self.root);
        let local = self
            .identity
            .iter()
            .map(|identity| identity.device)
            .collect();
        let mut placing = Placing {
            post: self,
            means,
            local,
            limit: None,
        };
        if let Err(error) = walk(&root, within, true, &mut placing) {
            tracing::debug!(folder = %root.path().join(within).display(), %error, "cannot be watched");
        }
        if let Some(reason) = placing.limit {
            self.release(means);
            self.polled_inside.clear();
            (self.mode, self.reason) = (Mode::Poll, reason);
            if !means.eyes.only_count() {
                tracing::warn!(folder = %root.path().display(), reason = %self.reason, "polling");
            }
        }
    }

    /// Watches again, with what is below them, the folders that are among those of which a watch was `ended`, perhaps
    /// by another path of theirs; they are scanned anew, for what happened meanwhile was told by nobody.
    pub(super) fn watch_again(
        &mut self,
        ended: &HashSet<Identity>,
        means: Means<'_>,
        hints: &mut Hinted,
    ) {
        let watched = self.watched.iter();
        let lost = watched.filter(|(_, identity)| ended.contains(identity));
        let lost: Vec<PathBuf> = lost.map(|(folder, _)| folder.clone()).collect();
        for folder in lost {
            tracing::trace!(folder = %folder.display(), "watched again");
            self.look_at_folder(&folder, means, hints);
        }
    }

    /// Ends all watches of this root.
    fn release(&mut self, means: Means<'_>) {
        for (folder, identity) in std::mem::take(&mut self.watched) {
            means.unwatch(&folder, identity);
        }
    }

    /// Ends the watches of folders that were watched `before` and are not any more.
    fn unwatch_stale(&self, before: BTreeMap<PathBuf, Identity>, means: Means<'_>) {
        let before = before.into_iter();
        let stale = before.filter(|(folder, _)| !self.watched.contains_key(folder));
        stale.for_each(|(folder, identity)| means.unwatch(&folder, identity));
    }

    /// Its disk does not answer: it is left alone until it does.
    pub(super) fn falls_silent(&mut self) {
        self.presence = Presence::Silent;
    }

    /// Watches anew, and hints at it, if the root is not the one it was.
    pub(super) fn check(&mut self, means: Means<'_>) -> Option<Hint> {
        let seen = Seen::of(&self.root);
        let same = seen.presence == self.presence
            && seen.identity == self.identity
            && seen.mounts == self.mounts
            && seen.rules_above == self.rules_above
            && self.root.same_as() == self.same_as;
        if same {
            return None;
        }
        let folder = self.root.path().display();
        match seen.presence {
            // Whoever told that it does not answer tells that as well.
            Presence::Present if self.presence == Presence::Silent => {}
            Presence::Present if self.presence == Presence::Unreadable => {
                tracing::info!(%folder, "it can be read again: scanned anew");
            }
            Presence::Present if seen.rules_above != self.rules_above => {
                tracing::info!(%folder, "rules that lie above it changed: scanned anew");
            }
            Presence::Present if seen.identity == self.identity => {
                tracing::info!(%folder, "a disk was mounted or taken away in it, or above: scanned anew");
            }
            Presence::Present => {
                tracing::info!(%folder, "it is there, and another one than before: scanned anew");
            }
            Presence::Missing => tracing::warn!(%folder, "it is not there, and is looked for"),
            // That it does not answer is known before it is looked at.
            Presence::Unreadable | Presence::Silent => {
                tracing::warn!(%folder, "it cannot be read, and is tried again");
            }
        }
        self.place(means);
        if self.presence == Presence::Present {
            self.hint(Cause::Root)
        } else {
            None
        }
    }

    pub(super) fn look(&mut self, path: &Path, look: Look, means: Means<'_>, hints: &mut Hinted) {
        // What holds in a folder changed where a file of rules can be read by now.
        let is_rules = path != self.root.path() && path.file_name().is_some_and(holds_rules);
        let path = path.parent().filter(|_| is_rules).unwrap_or(path);
        if path == self.root.path() {
            self.look_at_root(look, means, hints);
        } else if self.mode == Mode::Events {
            if look.files {
                hints.add(&self.root, Scope::Folder(path.to_owned()));
            }
            if look.moved || (look.touched && self.may_have_opened(path, means)) {
                self.look_at_moved(path, means, hints);
            }
        }
    }

    /// Whether a change of attributes may have made readable, or not, what is at and below `path`.
    fn may_have_opened(&self, path: &Path, means: Means<'_>) -> bool {
        !self.watched.contains_key(path) || means.closed.holds_below(path) || !can_be_read(path)
    }

    fn look_at_root(&mut self, look: Look, means: Means<'_>, hints: &mut Hinted) {
        if let Some(hint) = self.check(means) {
            hints.hints.push(hint);
        } else if look.moved && self.mode == Mode::Events {
            // Gone and back before anybody looked: the watches are those of the old one.
            self.place(means);
            hints.add(&self.root, Scope::Root);
        } else if look.files {
            hints.add(&self.root, Scope::Folder(self.root.path().to_owned()));
        }
    }

    /// Looks at a path that something came to or went from.
    fn look_at_moved(&mut self, path: &Path, means: Means<'_>, hints: &mut Hinted) {
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => self.look_at_folder(path, means, hints),
            Ok(_) => {
                let recording = self
                    .root
                    .no_candidate(path.file_name().unwrap_or_default())
                    .is_none();
                if let Some(folder) = path.parent().filter(|_| recording) {
                    hints.add(&self.root, Scope::Folder(folder.to_owned()));
                }
            }
            Err(error) if gone(&error) => {
                let was_folder = !self.forget_below(path).is_empty();
                // A scan finds that what was told of it holds no longer.
                if was_folder || means.closed.holds_below(path) {
                    hints.add(&self.root, Scope::Tree(path.to_owned()));
                }
            }
            // The folder it is in may not be looked into: a scan tells so.
            Err(_) => {
                let folder = path.parent().unwrap_or(path);
                hints.add(&self.root, Scope::Tree(folder.to_owned()));
            }
        }
    }

    fn look_at_folder(&mut self, folder: &Path, means: Means<'_>, hints: &mut Hinted) {
        let Ok(within) = folder.strip_prefix(self.root.path()) else {
            return;
        };
        let within = within.to_owned();
        if self.root.folders_left_out(&within).is_some() || hints.cover(&self.root, folder) {
            return;
        }
        let before = self.forget_below(folder);
        self.watch_below(&within, means);
        // A folder whose rules changed may have fewer folders to watch.
        self.unwatch_stale(before, means);
        let scope = match self.mode {
            Mode::Events => Scope::Tree(folder.to_owned()),
            // The limit of watches is reached, and all other watches are gone with it.
            Mode::Poll => Scope::Root,
        };
        hints.add(&self.root, scope);
    }

    /// Drops what is known to be watched at and below `folder`, for the kernel may have ended those watches.
    fn forget_below(&mut self, folder: &Path) -> BTreeMap<PathBuf, Identity> {
        let from = (Bound::Included(folder), Bound::Unbounded);
        let below = self.watched.range::<Path, _>(from);
        let below: BTreeMap<PathBuf, Identity> = below
            .take_while(|(path, _)| path.starts_with(folder))
            .map(|(path, identity)| (path.clone(), *identity))
            .collect();
        for path in below.keys() {
            self.watched.remove(path);
        }
        below
    }
}

/// How a root looks at this moment.
struct Seen {
    presence: Presence,
    identity: Option<Identity>,
    single_file: bool,
    mounts: u64,
    rules_above: u64,
}

impl Seen {
    fn of(root: &Root) -> Self {
        let looked = root.look();
        let identity = looked.as_ref().ok().map(Identity::of);
        let single_file = looked.as_ref().is_ok_and(|metadata| !metadata.is_dir());
        let read = looked.and_then(|metadata| {
            if metadata.is_dir() {
                fs::read_dir(root.path()).map(drop)
            } else {
                Ok(())
            }
        });
        let mounts = number_of_mounts(root.real_path());
        Self {
            presence: presence(&read),
            identity,
            single_file,
            mounts,
            rules_above: number_of_rules_above(root),
        }
    }
}

fn presence(read: &io::Result<()>) -> Presence {
    match read {
        Ok(()) => Presence::Present,
        Err(error) if gone(error) => Presence::Missing,
        Err(_) => Presence::Unreadable,
    }
}

/// Places a watch on every folder that the walk enters.
struct Placing<'a> {
    post: &'a mut Post,
    means: Means<'a>,
    /// Devices on which events are to be relied on.
    local: HashSet<u64>,
    /// Which limit was reached.
    limit: Option<ModeReason>,
}

impl Placing<'_> {
    /// Whether `folder` is on another disk, one that must be polled.
    fn is_polled(&mut self, folder: &Path, identity: Identity) -> bool {
        if self.post.root.rules().watch != WatchMode::Auto || self.local.contains(&identity.device)
        {
            return false;
        }
        if let Ok(Some(file_system)) = unreliable(folder) {
            self.post
                .polled_inside
                .insert(folder.to_owned(), file_system);
            return true;
        }
        self.local.insert(identity.device);
        false
    }
}

impl Visitor for Placing<'_> {
    const FILES: bool = false;

    fn enter(&mut self, folder: &Path, identity: Identity) -> ControlFlow<(), bool> {
        if self.is_polled(folder, identity) {
            return Continue(false);
        }
        let watched = &mut self.post.watched;
        if watched.len() >= self.means.most && !watched.contains_key(folder) {
            self.limit = Some(ModeReason::OwnLimit {
                most: self.means.most_in_all,
            });
            return Break(());
        }
        match self.means.watch(folder) {
            Watched::Yes => {
                watched.insert(folder.to_owned(), identity);
                Continue(true)
            }
            Watched::No => Continue(true),
            Watched::Limit => {
                let folders = watched.len();
                let mend = WatchLimit::read().map(|limit| limit.mend(folders));
                self.limit = Some(ModeReason::WatchLimit { mend });
                Break(())
            }
            Watched::Closed => Break(()),
        }
    }

    fn file(&mut self, _: PathBuf, _: Fingerprint, _: &LocalRules) -> ControlFlow<()> {
        Continue(())
    }

    fn skipped(&mut self, _: PathBuf, _: SkipReason) -> ControlFlow<()> {
        Continue(())
    }

    fn vanished(&mut self, _: u64) {}
}
