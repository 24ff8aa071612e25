//! What a program does that follows the hints.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stenod::discover::{Found, Hint, Hints, Root, RootRules, Roots, Tuning, Watcher, scan};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long a hint may take at the most; a test that gets there has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

fn candidate(extension: &OsStr) -> bool {
    extension == "mp3"
}

pub(crate) fn brisk() -> Tuning {
    Tuning {
        quiet: Duration::from_millis(50),
        longest: Duration::from_millis(500),
        check_every: Duration::from_millis(200),
        ..Tuning::default()
    }
}

pub(crate) fn put(path: &Path) {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(b"speech").unwrap();
}

pub(crate) fn rename(from: &Path, to: &Path) {
    rustix::fs::rename(from, to).unwrap();
}

/// What a program does that follows the hints.
pub(crate) struct Follower {
    pub(crate) watcher: Watcher,
    pub(crate) hints: Hints,
    pub(crate) found: BTreeSet<PathBuf>,
    pub(crate) followed: Vec<Hint>,
}

impl Follower {
    pub(crate) fn of(roots: Vec<Root>, tuning: Tuning) -> Self {
        let (watcher, hints) = Watcher::start(&Roots::new(roots).unwrap(), tuning);
        Self {
            watcher,
            hints,
            found: BTreeSet::new(),
            followed: Vec::new(),
        }
    }

    /// Follows one folder, after its first scan.
    pub(crate) async fn started(path: &Path, rules: RootRules, tuning: Tuning) -> Self {
        let mut follower = Self::of(vec![root(path, rules)], tuning);
        follower
            .until(|follower| !follower.followed.is_empty())
            .await;
        follower
    }

    pub(crate) async fn follow(&mut self) {
        let hint = timeout(PATIENCE, self.hints.next())
            .await
            .expect("a hint")
            .expect("hints");
        let found = &mut self.found;
        scan(&hint.root, &hint.scope, &mut |one| {
            if let Found::Recording { path, .. } = one {
                found.insert(path);
            }
            Continue(())
        });
        self.followed.push(hint);
    }

    pub(crate) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.follow().await;
        }
    }

    pub(crate) async fn until_found(&mut self, paths: &[PathBuf]) {
        let mut missing: Vec<&PathBuf> = paths.iter().collect();
        loop {
            missing.retain(|path| !self.found.contains(*path));
            if missing.is_empty() {
                return;
            }
            self.follow().await;
        }
    }
}

pub(crate) fn root(path: &Path, rules: RootRules) -> Root {
    Root::new(path, rules, candidate).unwrap()
}

pub(crate) async fn follower(top: &TempDir) -> Follower {
    Follower::started(top.path(), RootRules::default(), brisk()).await
}
