//! `kill -9` at chosen and at random moments: nothing lost, nothing paid twice by our doing.
//!
//! `STENOD_CRASHES` sets the number of random kills (20), `STENOD_CRASH_SEED` repeats a series.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::{Act, Endpoint, Gate, Log, Moment, PATIENCE, Rule};
use stenod_support::stage::Stage;

/// Recordings in flight at once in the random series.
const JOBS: usize = 4;

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.in_doubt", "hold");
    stage
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn state(stage: &Stage) -> String {
    let list = stage.json(&["list"]);
    list[0]["state"]
        .as_str()
        .unwrap_or_else(|| panic!("no job in {list}"))
        .to_owned()
}

fn held(log: &Log) -> bool {
    log.exchanges.iter().any(|exchange| exchange.held)
}

#[test]
fn a_kill_before_the_last_chunk_costs_nothing() {
    let stage = stage();
    // More than the kernel buffers: while the service does not read, the last chunk is held back.
    let large = wav(1, 400.0);
    stage.set("large.direct_limit", "32 MiB");
    stage
        .service
        .behave(|behaviour| behaviour.largest = 32 * 1024 * 1024);
    stage.put("a.wav", &large);
    let gate = Gate::closed();
    stage.service.script(
        Rule::on(Endpoint::Submit)
            .at(Moment::After(1000))
            .behind(&gate),
    );
    let running = stage.call(["run"]).start();
    stage.service.wait("the stalled body", held);
    running.kill();
    gate.open();
    stage.stenod(["run"]).success();
    assert_eq!((state(&stage).as_str(), charges(&stage)), ("done", 1));
    assert!(stage.at("a.json").exists());
    stage.check();
}

#[test]
fn a_kill_between_the_last_chunk_and_the_reply_is_in_doubt_and_held() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    stage.set("service.jobs", 1);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).charged().act(Act::Hang));
    let running = stage.call(["run"]).start();
    stage.service.wait("the paid submit", |log| {
        held(log) && log.ledger().charges.len() == 1
    });
    running.kill();
    stage.stenod(["run"]).no_panic().says("doubt");
    stage.stenod(["run"]).no_panic();
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (jobs["in_doubt"].as_u64(), jobs["done"].as_u64()),
        (Some(1), Some(1)),
        "{jobs}"
    );
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn a_kill_between_the_last_chunk_and_the_reply_is_repeated_once_where_configured() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    stage.put("a.wav", &wav(1, 0.5));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).charged().times(2).act(Act::Hang));
    for kills in 1..=2 {
        let running = stage.call(["run"]).start();
        let paid = |log: &Log| log.ledger().charges.len() == kills;
        stage.service.wait("the paid submit", paid);
        running.kill();
    }
    stage.stenod(["run"]).no_panic();
    assert_eq!((state(&stage).as_str(), charges(&stage)), ("in_doubt", 2));
}

#[test]
fn a_kill_before_the_first_poll_does_not_lose_the_ticket() {
    let stage = stage();
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.put("a.wav", &wav(1, 0.5));
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Status).at(Moment::Head).behind(&gate));
    let running = stage.call(["run"]).start();
    stage.service.wait("the first poll", held);
    running.kill();
    gate.open();
    assert_eq!(state(&stage), "active");
    stage.stenod(["run"]).success();
    assert_eq!((state(&stage).as_str(), charges(&stage)), ("done", 1));
    stage.check();
}

#[test]
fn a_kill_right_after_the_reply_is_done_or_in_doubt_but_never_paid_again() {
    for seed in 1..=3 {
        let stage = stage();
        stage.put("a.wav", &wav(seed, 0.5));
        let running = stage.call(["run"]).start();
        stage.service.wait("the reply", |log| {
            log.submits().any(|one| one.answered.is_some())
        });
        running.kill();
        stage.stenod(["run"]).no_panic();
        let state = state(&stage);
        assert!(state == "done" || state == "in_doubt", "{state}");
        assert_eq!(charges(&stage), 1);
        assert_eq!(stage.at("a.json").exists(), state == "done");
    }
}

/// xorshift64 (Marsaglia 2003), so that a seed repeats a series.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn kills_at_random_moments_lose_nothing_and_pay_nothing_twice() {
    let kills = number("STENOD_CRASHES", 20);
    let seed = number("STENOD_CRASH_SEED", u64::from(std::process::id()) | 1);
    println!("STENOD_CRASH_SEED={seed}");
    let mut random = Random(seed.max(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let stage = stage();
    stage.set("service.jobs", JOBS);
    stage.set("service.requests_per_second", 25);
    stage.set("service.poll_interval", "10ms");
    stage.service.behave(|behaviour| behaviour.polls = 1);
    let recordings = put_recordings(&stage, kills);
    let mut landed = 0;
    while landed < kills {
        let mut running = stage.call(["run"]).start();
        let before = stage.service.look(Log::events);
        // Heads, last bytes and replies count one each: a few of them, and then a bit of luck.
        let more = random.below(14);
        let reached = |log: &Log| log.events() >= before + more;
        let alive = stage.service.wait_within(Duration::from_secs(3), reached);
        thread::sleep(Duration::from_micros(random.below(6000)));
        if !alive && running.has_ended() {
            break;
        }
        running.kill();
        landed += 1;
    }
    let patience = PATIENCE + Duration::from_secs(recordings.len() as u64);
    let last = stage.call(["run"]).patience(patience).output().no_panic();
    let jobs = stage.json(&["status"])["jobs"].clone();
    let count = |state: &str| jobs[state].as_u64().unwrap();
    let paid: BTreeMap<_, _> = stage.service.look(|log| log.ledger().counts());
    let twice = paid.values().filter(|count| **count > 1).count();
    let lost = recordings
        .iter()
        .filter(|name| missing(&stage, name))
        .count() as u64;
    let (in_doubt, total) = (count("in_doubt"), recordings.len());
    println!(
        "kills {landed}, recordings {total}, paid twice {twice}, lost {}, in doubt {in_doubt}",
        lost - in_doubt
    );
    assert_eq!(twice, 0, "paid twice with STENOD_CRASH_SEED={seed}");
    assert_eq!(
        lost,
        in_doubt,
        "lost with STENOD_CRASH_SEED={seed}: {jobs}\n{}",
        last.tell()
    );
    assert_eq!(
        count("done") + in_doubt,
        total as u64,
        "{jobs} with STENOD_CRASH_SEED={seed}"
    );
    assert!(
        in_doubt <= landed,
        "in doubt {in_doubt} with STENOD_CRASH_SEED={seed}"
    );
    assert_eq!(landed, kills, "the work ran out before the kills did");
    assert!(
        stage.service.look(|log| log.violations().is_empty()),
        "{}",
        stage.service.story()
    );
    no_drafts(&stage);
    stage.stenod(["run"]).no_panic();
    let again = stage.service.look(|log| log.ledger().counts());
    assert_eq!(again, paid, "a last run paid with STENOD_CRASH_SEED={seed}");
    record(landed, total, twice, lost - in_doubt, in_doubt);
}

/// Recordings in two folders, one for immediate replies and one for tickets.
fn put_recordings(stage: &Stage, kills: u64) -> Vec<String> {
    stage.no_folders();
    for (folder, model) in [("now", "Wizper"), ("later", "Elevenlabs-STT")] {
        let path = stage.at(folder);
        fs::create_dir_all(&path).unwrap();
        stage.add_folder_with(&path, &[("model", model.into())]);
    }
    let total = 40 + 2 * kills;
    let name = |seed: u64| {
        format!(
            "{}/{seed}.wav",
            if seed.is_multiple_of(3) {
                "later"
            } else {
                "now"
            }
        )
    };
    let names: Vec<_> = (1..=total).map(name).collect();
    for (seed, name) in (1u64..).zip(&names) {
        let seconds = if seed.is_multiple_of(10) { 20.0 } else { 0.2 };
        stage.put(name, &wav(seed, seconds));
    }
    names
}

/// Whether a recording has no whole transcript beside it.
fn missing(stage: &Stage, name: &str) -> bool {
    let text = fs::read_to_string(stage.at(name).with_extension("txt"));
    let json = fs::read(stage.at(name).with_extension("json"));
    let json = json
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    match (text, json) {
        (Ok(text), Some(json)) => json["text"] != text.trim(),
        _ => true,
    }
}

fn no_drafts(stage: &Stage) {
    let all = stage.names();
    let odd: Vec<_> = all
        .iter()
        .filter(|name| {
            ![".wav", ".txt", ".json"]
                .iter()
                .any(|end| name.ends_with(end))
        })
        .collect();
    assert!(odd.is_empty(), "left behind: {odd:?}");
}

/// Appends the row of this series to the table that `STENOD_CRASH_TABLE` names.
fn record(kills: u64, recordings: usize, twice: usize, lost: u64, in_doubt: u64) {
    let Some(path) = std::env::var_os("STENOD_CRASH_TABLE") else {
        return;
    };
    let mut table = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(
        table,
        "| {kills} | {recordings} | {twice} | {lost} | {in_doubt} |"
    )
    .unwrap();
}
