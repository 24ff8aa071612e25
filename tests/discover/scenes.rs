//! One thing at a time.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stenod::discover::{
    Cause, Mode, ModeReason, Presence, RootRules, RootState, Scope, Tuning, WatchMode, scan,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::follower::{Follower, PATIENCE, brisk, follower, put, rename, root};

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
async fn a_tree_that_moves_into_another_folder_keeps_its_watches() {
    let top = TempDir::new().unwrap();
    let at = |name: &str| top.path().join(name);
    fs::create_dir_all(at("archive")).unwrap();
    fs::create_dir_all(at("inbox/sub")).unwrap();
    let roots = ["archive", "inbox"].map(|name| root(&at(name), RootRules::default()));
    let mut follower = Follower::of(roots.into(), brisk());
    follower
        .until(|follower| follower.followed.len() >= 2)
        .await;
    put(&at("inbox/sub/a.mp3"));
    follower.until_found(&[at("inbox/sub/a.mp3")]).await;
    rename(&at("inbox"), &at("archive/2026"));
    follower.until_found(&[at("archive/2026/sub/a.mp3")]).await;
    // Until the root that is no more is noticed, and its watches end.
    let mut number = 0;
    while follower.watcher.modes()[1].presence != Presence::Missing {
        number += 1;
        let beside = at("archive").join(format!("{number}.mp3"));
        put(&beside);
        follower.until_found(&[beside]).await;
    }
    put(&at("archive/2026/sub/b.mp3"));
    put(&at("archive/2026/c.mp3"));
    let new = [at("archive/2026/sub/b.mp3"), at("archive/2026/c.mp3")];
    follower.until_found(&new).await;
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
async fn rules_that_change_above_a_root_have_it_scanned_and_watched_anew() {
    let top = TempDir::new().unwrap();
    let at = |name: &str| top.path().join(name);
    fs::create_dir_all(at("in/music")).unwrap();
    put(&at("in/music/a.mp3"));
    put(&at("in/talk.mp3"));
    let inner = root(&at("in"), RootRules::default()).with_rules_from(top.path());
    let mut follower = Follower::of(vec![inner], brisk());
    follower
        .until_found(&[at("in/music/a.mp3"), at("in/talk.mp3")])
        .await;
    for (round, (pattern, watched)) in [("music/", 1), ("nothing/", 2)].into_iter().enumerate() {
        let mut options = fs::File::options();
        options.create(true).write(true).truncate(true);
        let mut rules = options.open(at(".stenodignore")).unwrap();
        rules.write_all(pattern.as_bytes()).unwrap();
        let scans = |follower: &Follower| {
            let hints = follower.followed.iter();
            hints.filter(|hint| hint.cause == Cause::Root).count()
        };
        follower
            .until(|follower| {
                let modes = follower.watcher.modes();
                scans(follower) > round && modes[0].watched_folders == watched
            })
            .await;
    }
    put(&at("in/music/b.mp3"));
    follower.until_found(&[at("in/music/b.mp3")]).await;
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
        (Mode::Poll, &ModeReason::OwnLimit { most: 10 })
    );
    assert_eq!((modes[0].watched_folders, modes[1].watched_folders), (0, 1));
    assert_eq!(modes[1].mode, Mode::Events);
    put(&big.join("7/a.mp3"));
    follower.until_found(&[big.join("7/a.mp3")]).await;
}

#[tokio::test]
async fn where_the_limit_of_watches_is_reached_in_a_new_tree_all_is_scanned_at_once() {
    let (from, top) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut expected = Vec::new();
    for number in 0..20 {
        let name = format!("{number}/a.mp3");
        fs::create_dir(from.path().join(number.to_string())).unwrap();
        put(&from.path().join(&name));
        expected.push(top.path().join(&name));
    }
    let tuning = Tuning {
        watches: 10,
        check_every: Duration::from_secs(3600),
        ..brisk()
    };
    // Nothing is found by polling: that comes an hour later.
    let rules = RootRules {
        poll_every: Duration::from_secs(3600),
        ..RootRules::default()
    };
    let mut follower = Follower::started(top.path(), rules, tuning).await;
    for number in 0..20 {
        let name = number.to_string();
        rename(&from.path().join(&name), &top.path().join(&name));
    }
    follower.until_found(&expected).await;
    let reason = &follower.watcher.modes()[0].reason;
    assert_eq!(*reason, ModeReason::OwnLimit { most: 10 });
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
