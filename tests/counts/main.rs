//! What no clock is needed for: how often the disk, the system, the service and the memory are asked. A change that
//! doubles one of these is slow on every machine; each bound leaves a margin over what was counted.
//!
//! Calls of the system are counted by `strace`; where there is none, those tests say so and prove nothing.

#![cfg(test)]

mod allocations;
#[path = "../../benches/parts/document.rs"]
mod document;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use stenod_support::audio::wav;
use stenod_support::stage::Stage;

/// The calls that wait for a disk.
const SYNCS: [&str; 3] = ["fsync", "fdatasync", "syncfs"];

/// The calls by which threads wait for each other and wake each other.
const WAITS: [&str; 4] = ["futex", "epoll_wait", "sched_yield", "restart_syscall"];

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn put(stage: &Stage, recordings: u64) {
    for number in 0..recordings {
        stage.put(
            format!("{}/{number}.wav", number / 20),
            &wav(number + 1, 0.1),
        );
    }
}

/// How often each call of the system was made by a run, its threads included.
fn calls(stage: &Stage) -> Option<BTreeMap<String, u64>> {
    let has_strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if has_strace.is_err() {
        return None;
    }
    let log = stage.root().join("calls");
    let run = stage.call(["run", "--yes"]).command();
    let mut counted = Command::new("strace");
    counted.args(["-f", "-c", "-o"]).arg(&log);
    counted
        .arg(run.get_program())
        .args(run.get_args())
        .env_clear();
    for (name, value) in run.get_envs() {
        if let Some(value) = value {
            counted.env(name, value);
        }
    }
    let out = counted.current_dir(stage.root()).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Some(table(&log))
}

fn table(log: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), words.get(3)?.parse().ok()?))
    });
    lines.collect()
}

fn syncs(calls: &BTreeMap<String, u64>) -> u64 {
    SYNCS.iter().filter_map(|name| calls.get(*name)).sum()
}

/// How often the system was asked for anything but to wait for another thread, which is as chance has it.
fn asked(calls: &BTreeMap<String, u64>) -> u64 {
    let asked = calls
        .iter()
        .filter(|(name, _)| !WAITS.contains(&name.as_str()));
    asked.map(|(_, count)| count).sum()
}

/// What `more` recordings take beyond what a run takes for `few`, for each of them, in hundredths.
fn for_each(few: u64, more: u64, recordings: u64) -> u64 {
    more.saturating_sub(few) * 100 / recordings
}

#[test]
fn a_small_recording_waits_for_the_disk_nine_times_at_the_most() {
    let counted = [1, 41].map(|recordings| {
        let stage = stage();
        put(&stage, recordings);
        calls(&stage).map(|calls| syncs(&calls))
    });
    let [Some(few), Some(more)] = counted else {
        eprintln!("no strace here: nothing was counted");
        return;
    };
    let each = for_each(few, more, 40);
    assert!(each <= 900, "{few} syncs for 1 recording, {more} for 41");
}

#[test]
fn a_recording_is_one_request() {
    let stage = stage();
    put(&stage, 20);
    stage.stenod(["run", "--yes"]).success();
    let requests = stage.service.look(|log| log.exchanges.len());
    // And what is asked once: the prices, the balance.
    assert!((20..=23).contains(&requests), "{requests} requests");
    stage.stenod(["run", "--yes"]).success();
    let again = stage.service.look(|log| log.exchanges.len());
    assert!(again <= requests + 3, "{again} requests, {requests} before");
}

#[test]
fn a_file_that_is_known_costs_a_scan_six_calls_of_the_system_at_the_most() {
    let counted = [20, 420].map(|files| {
        let stage = stage();
        stage.set_folders("min_length", "1h");
        put(&stage, files);
        stage.stenod(["run", "--yes"]).success();
        calls(&stage).map(|calls| asked(&calls))
    });
    let [Some(few), Some(more)] = counted else {
        eprintln!("no strace here: nothing was counted");
        return;
    };
    let each = for_each(few, more, 400);
    assert!(each <= 600, "{few} calls for 20 files, {more} for 420");
}
