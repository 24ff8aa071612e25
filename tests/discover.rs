//! Watching real folders: whatever happens in them, every recording is hinted at and found.
//!
//! Nothing here sleeps: a test acts, and then waits for the hint that must come.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on ends"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use stenod::discover::{
    Cause, Found, Hint, Hints, Mode, ModeReason, Presence, Root, RootRules, RootState, Roots,
    Scope, Tuning, WatchMode, Watcher, scan,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long a hint may take at the most; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn candidate(extension: &OsStr) -> bool {
    extension == "mp3"
}

fn brisk() -> Tuning {
    Tuning {
        quiet: Duration::from_millis(50),
        longest: Duration::from_millis(500),
        check_every: Duration::from_millis(200),
        ..Tuning::default()
    }
}

fn put(path: &Path) {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(b"speech").unwrap();
}

fn rename(from: &Path, to: &Path) {
    rustix::fs::rename(from, to).unwrap();
}

/// What a program does that follows the hints.
struct Follower {
    watcher: Watcher,
    hints: Hints,
    found: BTreeSet<PathBuf>,
    followed: Vec<Hint>,
}

impl Follower {
    fn of(roots: Vec<Root>, tuning: Tuning) -> Self {
        let (watcher, hints) = Watcher::start(&Roots::new(roots).unwrap(), tuning);
        Self {
            watcher,
            hints,
            found: BTreeSet::new(),
            followed: Vec::new(),
        }
    }

    /// Follows one folder, after its first scan.
    async fn started(path: &Path, rules: RootRules, tuning: Tuning) -> Self {
        let mut follower = Self::of(vec![root(path, rules)], tuning);
        follower
            .until(|follower| !follower.followed.is_empty())
            .await;
        follower
    }

    async fn follow(&mut self) {
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

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.follow().await;
        }
    }

    async fn until_found(&mut self, paths: &[PathBuf]) {
        self.until(|follower| paths.iter().all(|path| follower.found.contains(path)))
            .await;
    }
}

fn root(path: &Path, rules: RootRules) -> Root {
    Root::new(path, rules, candidate).unwrap()
}

async fn follower(top: &TempDir) -> Follower {
    Follower::started(top.path(), RootRules::default(), brisk()).await
}

#[tokio::test]
async fn watching_begins_with_a_scan_of_each_root() {
    let top = TempDir::new().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(top.path().join(name)).unwrap();
        put(&top.path().join(name).join("a.mp3"));
    }
    let roots = ["one", "two"].map(|name| root(&top.path().join(name), RootRules::default()));
    let mut follower = Follower::of(roots.into(), brisk());
    follower
        .until(|follower| follower.followed.len() == 2)
        .await;
    assert!(
        follower
            .followed
            .iter()
            .all(|hint| hint.cause == Cause::Start)
    );
    assert_eq!(follower.found.len(), 2);
}

#[tokio::test]
async fn a_new_file_hints_at_its_folder_alone() {
    let top = TempDir::new().unwrap();
    fs::create_dir(top.path().join("in")).unwrap();
    let mut follower = follower(&top).await;
    put(&top.path().join("in/a.mp3"));
    follower.until_found(&[top.path().join("in/a.mp3")]).await;
    let scope = Scope::Folder(top.path().join("in"));
    assert_eq!(
        follower.followed.last().map(|hint| &hint.scope),
        Some(&scope)
    );
}

#[tokio::test]
async fn a_copied_tree_is_found_whole() {
    let from = TempDir::new().unwrap();
    let mut expected = Vec::new();
    let top = TempDir::new().unwrap();
    for number in 0..200 {
        let folder = format!("{}/{}/{}", number % 3, number % 7, number % 11);
        fs::create_dir_all(from.path().join("t").join(&folder)).unwrap();
        put(&from
            .path()
            .join("t")
            .join(&folder)
            .join(format!("{number}.mp3")));
        expected.push(
            top.path()
                .join("t")
                .join(&folder)
                .join(format!("{number}.mp3")),
        );
    }
    let mut follower = follower(&top).await;
    let copied = Command::new("cp")
        .arg("-r")
        .arg(from.path().join("t"))
        .arg(top.path())
        .status();
    assert!(copied.unwrap().success());
    follower.until_found(&expected).await;
}

#[tokio::test]
async fn a_tree_moved_in_is_found_and_watched() {
    let (from, top) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir_all(from.path().join("t/u")).unwrap();
    put(&from.path().join("t/u/a.mp3"));
    let mut follower = follower(&top).await;
    rename(&from.path().join("t"), &top.path().join("t"));
    follower.until_found(&[top.path().join("t/u/a.mp3")]).await;
    put(&top.path().join("t/u/b.mp3"));
    follower.until_found(&[top.path().join("t/u/b.mp3")]).await;
    assert_eq!(follower.watcher.modes()[0].watched_folders, 3);
}

#[tokio::test]
async fn a_tree_moved_within_is_found_and_watched_at_its_new_place() {
    let top = TempDir::new().unwrap();
    let at = |name: &str| top.path().join(name);
    fs::create_dir_all(at("t/u")).unwrap();
    put(&at("t/u/a.mp3"));
    let mut follower = follower(&top).await;
    rename(&at("t"), &at("v"));
    // The same name comes again at once, as another folder.
    fs::create_dir_all(at("t/u")).unwrap();
    follower.until_found(&[at("v/u/a.mp3")]).await;
    put(&at("v/u/b.mp3"));
    put(&at("t/u/c.mp3"));
    follower
        .until_found(&[at("v/u/b.mp3"), at("t/u/c.mp3")])
        .await;
}

#[tokio::test]
async fn links_and_renames_are_found_though_nothing_is_written() {
    let (from, top) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let at = |name: &str| top.path().join(name);
    put(&from.path().join("x.mp3"));
    put(&from.path().join("y.mp3"));
    let mut follower = follower(&top).await;
    fs::hard_link(from.path().join("x.mp3"), at("hard.mp3")).unwrap();
    symlink(from.path().join("x.mp3"), at("link.mp3")).unwrap();
    rename(&from.path().join("y.mp3"), &at("moved.mp3"));
    put(&at("d.mp3.part"));
    rename(&at("d.mp3.part"), &at("d.mp3"));
    let all = ["hard.mp3", "link.mp3", "moved.mp3", "d.mp3"].map(at);
    follower.until_found(&all).await;
    assert_eq!(follower.found.len(), all.len());
}

#[tokio::test]
async fn temporary_and_foreign_files_cause_no_hint() {
    let top = TempDir::new().unwrap();
    let at = |name: &str| top.path().join(name);
    let mut follower = follower(&top).await;
    for name in ["a.mp3.part", ".b.mp3", "c.txt", "~$d.mp3"] {
        put(&at(name));
    }
    fs::create_dir(at(".stversions")).unwrap();
    put(&at(".stversions/e.mp3"));
    fs::create_dir(at("last")).unwrap();
    put(&at("last/f.mp3"));
    follower.until_found(&[at("last/f.mp3")]).await;
    let scopes: Vec<_> = follower.followed[1..]
        .iter()
        .map(|hint| &hint.scope)
        .collect();
    let last = at("last");
    let expected = |scope: &&Scope| match scope {
        Scope::Tree(path) | Scope::Folder(path) => *path == last,
        Scope::Root => false,
    };
    assert!(scopes.iter().all(expected), "{scopes:?}");
    assert_eq!(follower.watcher.modes()[0].watched_folders, 2);
}

/// Writes 2,000 files into 300 new folders, nested up to ten deep, as fast as it can.
fn storm(top: &Path) -> thread::JoinHandle<Vec<PathBuf>> {
    let top = top.to_owned();
    thread::spawn(move || {
        let folder = |number: u32| {
            let path = number
                .to_string()
                .chars()
                .fold(top.clone(), |path, digit| path.join(format!("d{digit}")));
            path.join(format!("n{number}"))
        };
        let mut files = Vec::new();
        for number in 0..2000 {
            let folder = folder(number % 300);
            fs::create_dir_all(&folder).unwrap();
            files.push(folder.join(format!("{number}.mp3")));
            put(files.last().unwrap());
        }
        files
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_files_in_new_folders_is_found_whole() {
    let top = TempDir::new().unwrap();
    let mut follower = follower(&top).await;
    let storm = storm(top.path());
    while !storm.is_finished() {
        follower.follow().await;
    }
    follower.until_found(&storm.join().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_beside_a_stalled_follower_is_found_whole() {
    let top = TempDir::new().unwrap();
    let mut follower = follower(&top).await;
    let files = storm(top.path()).join().unwrap();
    follower.until_found(&files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_fits_is_scanned_all_over() {
    let top = TempDir::new().unwrap();
    let rules = RootRules::default();
    let mut follower = Follower::started(
        top.path(),
        rules,
        Tuning {
            paths: 2,
            ..brisk()
        },
    )
    .await;
    let files = storm(top.path()).join().unwrap();
    follower.until_found(&files).await;
    assert!(
        follower
            .followed
            .iter()
            .any(|hint| hint.cause == Cause::Overflow)
    );
}

#[tokio::test]
async fn a_root_that_is_replaced_is_watched_again() {
    let above = TempDir::new().unwrap();
    let top = above.path().join("root");
    fs::create_dir(&top).unwrap();
    let mut follower = Follower::started(&top, RootRules::default(), brisk()).await;
    for round in 0..3 {
        fs::remove_dir_all(&top).unwrap();
        fs::create_dir_all(top.join("in")).unwrap();
        put(&top.join(format!("in/{round}.mp3")));
        follower
            .until_found(&[top.join(format!("in/{round}.mp3"))])
            .await;
        // And it is watched again, not only scanned.
        put(&top.join(format!("in/more-{round}.mp3")));
        follower
            .until_found(&[top.join(format!("in/more-{round}.mp3"))])
            .await;
    }
}

#[tokio::test]
async fn a_root_that_comes_late_goes_and_comes_back_is_noticed() {
    let above = TempDir::new().unwrap();
    let top = above.path().join("root");
    let mut follower = Follower::of(vec![root(&top, RootRules::default())], brisk());
    let hint = follower.hints.next().await.unwrap();
    let report = scan(&hint.root, &hint.scope, &mut |_| Continue(()));
    assert!(matches!(report.root, RootState::Missing));
    assert_eq!(follower.watcher.modes()[0].presence, Presence::Missing);
    assert_eq!(follower.watcher.modes()[0].reason, ModeReason::Absent);

    for round in 0..2 {
        fs::create_dir(&top).unwrap();
        put(&top.join(format!("{round}.mp3")));
        follower
            .until_found(&[top.join(format!("{round}.mp3"))])
            .await;
        let mode = &follower.watcher.modes()[0];
        assert_eq!(
            (mode.presence, mode.watched_folders),
            (Presence::Present, 1)
        );
        rename(&top, &above.path().join(format!("away-{round}")));
        put(&above.path().join(format!("away-{round}/unseen.mp3")));
    }
    assert!(!follower.found.contains(&top.join("unseen.mp3")));
}

#[tokio::test]
async fn excluded_and_foreign_folders_cost_no_watch() {
    let top = TempDir::new().unwrap();
    for name in [
        "in/deep",
        "old/deep",
        "@eaDir/deep",
        ".git/deep",
        "raw/deep",
    ] {
        fs::create_dir_all(top.path().join(name)).unwrap();
    }
    let exclude = vec!["old".to_owned(), "raw/**".to_owned()];
    let rules = RootRules {
        exclude,
        ..RootRules::default()
    };
    let follower = Follower::started(top.path(), rules, brisk()).await;
    let mode = &follower.watcher.modes()[0];
    assert_eq!(
        (mode.mode, &mode.reason),
        (Mode::Events, &ModeReason::LocalDisk)
    );
    // The root, `in` and `in/deep`.
    assert_eq!(mode.watched_folders, 3);
}

#[tokio::test]
async fn a_folder_inside_another_has_its_own_hints() {
    let top = TempDir::new().unwrap();
    let inner = top.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let recursive = RootRules::default();
    let flat = RootRules {
        recursive: false,
        ..RootRules::default()
    };
    let roots = vec![root(top.path(), recursive), root(&inner, flat)];
    let mut follower = Follower::of(roots, brisk());
    follower
        .until(|follower| follower.followed.len() == 2)
        .await;
    fs::create_dir(inner.join("deep")).unwrap();
    put(&inner.join("deep/no.mp3"));
    put(&inner.join("yes.mp3"));
    follower.until_found(&[inner.join("yes.mp3")]).await;
    put(&top.path().join("outer.mp3"));
    follower.until_found(&[top.path().join("outer.mp3")]).await;
    assert_eq!(follower.found.len(), 2);
    let owner = |path: &Path| {
        follower
            .followed
            .iter()
            .find(|hint| hint.cause == Cause::Event && hint.root.path() == path)
    };
    assert!(owner(&inner).is_some() && owner(top.path()).is_some());
}

#[tokio::test]
async fn a_polled_root_is_scanned_at_its_interval() {
    let top = TempDir::new().unwrap();
    let poll_every = Duration::from_millis(50);
    let rules = RootRules {
        watch: WatchMode::Poll,
        poll_every,
        ..RootRules::default()
    };
    let mut follower = Follower::started(top.path(), rules, brisk()).await;
    let mode = &follower.watcher.modes()[0];
    assert_eq!(
        (mode.mode, &mode.reason),
        (Mode::Poll, &ModeReason::Configured)
    );
    assert_eq!(mode.watched_folders, 0);
    put(&top.path().join("a.mp3"));
    follower.until_found(&[top.path().join("a.mp3")]).await;
    let polls = follower.followed.len() + 3;
    follower
        .until(|follower| follower.followed.len() == polls)
        .await;
    assert!(
        follower.followed[1..]
            .iter()
            .all(|hint| hint.cause == Cause::Poll)
    );
}

#[tokio::test]
async fn a_root_beyond_the_limit_of_watches_is_polled_and_leaves_the_others_alone() {
    let top = TempDir::new().unwrap();
    let (big, small) = (top.path().join("big"), top.path().join("small"));
    for number in 0..20 {
        fs::create_dir_all(big.join(number.to_string())).unwrap();
    }
    fs::create_dir(&small).unwrap();
    let rules = RootRules {
        poll_every: Duration::from_millis(50),
        ..RootRules::default()
    };
    let roots = vec![root(&big, rules.clone()), root(&small, rules)];
    let mut follower = Follower::of(
        roots,
        Tuning {
            watches: 10,
            ..brisk()
        },
    );
    follower
        .until(|follower| follower.followed.len() == 2)
        .await;
    let modes = follower.watcher.modes();
    assert_eq!(
        (modes[0].mode, &modes[0].reason),
        (Mode::Poll, &ModeReason::WatchLimit)
    );
    assert_eq!((modes[0].watched_folders, modes[1].watched_folders), (0, 1));
    assert_eq!(modes[1].mode, Mode::Events);
    put(&big.join("7/a.mp3"));
    follower.until_found(&[big.join("7/a.mp3")]).await;
}

#[tokio::test]
async fn a_root_that_is_a_file_is_polled() {
    let top = TempDir::new().unwrap();
    let path = top.path().join("a.mp3");
    put(&path);
    let follower = Follower::started(&path, RootRules::default(), brisk()).await;
    assert_eq!(follower.watcher.modes()[0].reason, ModeReason::SingleFile);
    assert_eq!(follower.found, BTreeSet::from([path]));
}

#[tokio::test]
async fn everything_is_scanned_again_from_time_to_time() {
    let top = TempDir::new().unwrap();
    let rescan_every = Duration::from_millis(100);
    let tuning = Tuning {
        rescan_every,
        ..brisk()
    };
    let mut follower = Follower::started(top.path(), RootRules::default(), tuning).await;
    follower
        .until(|follower| follower.followed.len() == 4)
        .await;
    assert!(
        follower.followed[1..]
            .iter()
            .all(|hint| hint.cause == Cause::Regular)
    );
}

#[tokio::test]
async fn a_wait_for_a_hint_can_be_given_up_and_loses_nothing() {
    let top = TempDir::new().unwrap();
    let mut follower = Follower::of(vec![root(top.path(), RootRules::default())], brisk());
    put(&top.path().join("a.mp3"));
    // Given up at every point where it waits, again and again.
    let hint = loop {
        if let Ok(hint) = timeout(Duration::from_micros(100), follower.hints.next()).await {
            break hint;
        }
    };
    assert_eq!(hint.map(|hint| hint.cause), Some(Cause::Start));
    follower
        .until(|follower| follower.watcher.modes()[0].watched_folders == 1)
        .await;
    put(&top.path().join("b.mp3"));
    follower.until_found(&[top.path().join("b.mp3")]).await;
}

#[tokio::test]
async fn hints_end_with_the_watcher() {
    let top = TempDir::new().unwrap();
    let Follower {
        watcher, mut hints, ..
    } = follower(&top).await;
    drop(watcher);
    assert!(timeout(PATIENCE, hints.next()).await.unwrap().is_none());
    put(&top.path().join("a.mp3"));
    assert!(timeout(PATIENCE, hints.next()).await.unwrap().is_none());
}

/// Something that happens to a file or folder of a small tree.
#[derive(Debug, Clone)]
enum Act {
    Folder(String),
    File(String),
    Move(String, String),
    Remove(String),
}

fn act() -> impl Strategy<Value = Act> {
    let folder = || "[ab](/[ab]){0,3}";
    let file = || "([ab]/){0,3}[xy]\\.mp3";
    let any = prop_oneof![folder(), file()].boxed();
    prop_oneof![
        3 => folder().prop_map(Act::Folder),
        4 => file().prop_map(Act::File),
        3 => (any.clone(), any.clone()).prop_map(|(from, to)| Act::Move(from, to)),
        1 => any.prop_map(Act::Remove),
    ]
}

/// Does it if it can be done; what is in the way is left as it is.
fn perform(top: &Path, act: &Act) {
    match act {
        Act::Folder(path) => drop(fs::create_dir_all(top.join(path))),
        Act::File(path) => {
            let file = File::options()
                .create(true)
                .append(true)
                .open(top.join(path));
            drop(file.map(|mut file| file.write_all(b"speech")));
        }
        Act::Move(from, to) => drop(rustix::fs::rename(top.join(from), top.join(to))),
        Act::Remove(path) if path.ends_with(".mp3") => drop(fs::remove_file(top.join(path))),
        Act::Remove(path) => drop(fs::remove_dir_all(top.join(path))),
    }
}

fn there(top: &Path) -> Vec<PathBuf> {
    let mut there = Vec::new();
    let whole = root(top, RootRules::default());
    scan(&whole, &Scope::Root, &mut |one| {
        if let Found::Recording { path, .. } = one {
            there.push(path);
        }
        Continue(())
    });
    there
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_what_is_there_in_the_end_is_found(
        rounds in prop::collection::vec(prop::collection::vec(act(), 1..40), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let top = TempDir::new().unwrap();
            let tuning = Tuning { check_every: Duration::from_secs(3600), ..brisk() };
            let mut follower = Follower::started(top.path(), RootRules::default(), tuning).await;
            for round in rounds {
                for act in &round {
                    perform(top.path(), act);
                }
                // What was found before may have been another file of that name.
                follower.found.clear();
                for path in there(top.path()) {
                    put(&path);
                }
                follower.until_found(&there(top.path())).await;
            }
        });
    }
}
