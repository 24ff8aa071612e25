//! More than any watcher can follow; and, to be run by hand, how long that and a big scan take.

use std::fs;
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use stenod::discover::{Cause, RootRules, Scope, Tuning, scan};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use crate::follower::{Follower, brisk, follower, put, root};

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

/// Where the long tests make their files: `STENOD_STORM_DIR`, else the usual folder.
fn ground() -> TempDir {
    match std::env::var_os("STENOD_STORM_DIR") {
        Some(folder) => TempDir::new_in(folder).unwrap(),
        None => TempDir::new().unwrap(),
    }
}

/// 50,000 files in 5,700 new nested folders, three levels deep.
fn big_storm(top: &Path) -> Vec<PathBuf> {
    let mut files = Vec::with_capacity(50_000);
    for number in 0..50_000 {
        let folder = number % 5_700;
        let folder = top.join(format!("{}/{}/{}", folder % 19, folder % 300, folder));
        if number < 5_700 {
            fs::create_dir_all(&folder).unwrap();
        }
        files.push(folder.join(format!("{number}.mp3")));
        put(files.last().unwrap());
    }
    files
}

/// How long after the last file of a storm nothing may be undiscovered.
const SOON: Duration = Duration::from_secs(10);

/// Follows until everything is found; tells when that was, and fails if it was not soon enough.
#[expect(clippy::print_stdout, reason = "a measurement tells its numbers")]
async fn found_soon(round: u32, written: Duration, follower: &mut Follower, files: &[PathBuf]) {
    let begun = Instant::now();
    // Nothing else is there, so that counting is enough, and costs less than the search.
    let all = follower.until(|follower| follower.found.len() >= files.len());
    // A scan is never interrupted, so that the end may come later than the time is up.
    let in_time = timeout(SOON, all).await.is_ok() && begun.elapsed() <= SOON;
    let took = begun.elapsed();
    let missed = files.iter().filter(|file| !follower.found.contains(*file));
    let missed = missed.count();
    println!(
        "round {round}: written in {written:.1?}, all found {took:.1?} after the last, {missed} missed, {} hints",
        follower.followed.len(),
    );
    assert!(in_time && missed == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute of disk work; run by hand"]
async fn fifty_thousand_files_in_new_folders_are_found_ten_seconds_after_the_last() {
    for round in 1..=3 {
        let top = ground();
        let rules = RootRules::default();
        let mut follower = Follower::started(top.path(), rules, Tuning::default()).await;
        let path = top.path().to_owned();
        let begun = Instant::now();
        let mut storm = tokio::task::spawn_blocking(move || (big_storm(&path), Instant::now()));
        let (files, ended) = loop {
            tokio::select! {
                biased;
                done = &mut storm => break done.unwrap(),
                () = follower.follow() => {}
            }
        };
        found_soon(round, ended - begun, &mut follower, &files).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute of disk work; run by hand"]
async fn fifty_thousand_files_beside_a_stalled_follower_are_found_ten_seconds_after_it_goes_on() {
    for round in 1..=3 {
        let top = ground();
        let rules = RootRules::default();
        let mut follower = Follower::started(top.path(), rules, Tuning::default()).await;
        let path = top.path().to_owned();
        let begun = Instant::now();
        let files = thread::spawn(move || big_storm(&path)).join().unwrap();
        found_soon(round, begun.elapsed(), &mut follower, &files).await;
    }
}

#[test]
#[ignore = "a minute of disk work; run by hand"]
fn a_hundred_thousand_files_are_scanned_in_less_than_a_few_seconds() {
    let top = ground();
    for number in 0..100_000 {
        let folder = top
            .path()
            .join(format!("{}/{}", number % 50, number % 5_000));
        if number < 5_000 {
            fs::create_dir_all(&folder).unwrap();
        }
        put(&folder.join(format!("{number}.mp3")));
    }
    let whole = root(top.path(), RootRules::default());
    for round in 0..5 {
        let begun = Instant::now();
        let report = scan(&whole, &Scope::Root, &mut |_| Continue(()));
        println!(
            "round {round}: {:?} for {} recordings",
            begun.elapsed(),
            report.recordings
        );
        assert_eq!((report.recordings, report.folders), (100_000, 5_051));
        let begun = Instant::now();
        let mut find = Command::new("find");
        find.arg(top.path())
            .args(["-type", "f", "-printf", "%i %s %T@ %p\n"]);
        let printed = find.output().unwrap().stdout.len();
        println!(
            "round {round}: {:?} for find, {printed} bytes",
            begun.elapsed()
        );
    }
}
