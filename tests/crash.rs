//! `kill -9` at chosen and at random moments: nothing lost, nothing paid twice by our doing.
//!
//! `STENOD_CRASHES` sets the number of random kills (21), `STENOD_CRASH_SEED` repeats a series,
//! `STENOD_CRASH_TABLE` names a file that the rows of a series are added to.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::AddAssign;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use stenod::durable::{self, Existing};
use stenod_support::audio::wav;
use stenod_support::s3::{self, S3};
use stenod_support::service::{Act, Endpoint, Gate, Log, Moment, PATIENCE, Rule};
use stenod_support::stage::{Running, Stage};

/// Recordings in flight at once in the random series.
const JOBS: usize = 4;
/// How long a recording may take that is handled alone, on a machine that is busy.
const TIME_ALONE: Duration = Duration::from_secs(5);
/// The most kills on one stage; a longer series is played on several.
const MOST_KILLS_OF_A_ROUND: u64 = 50;
/// A recording of so many seconds is over the direct limit of the roads for large ones: 640 KB, and 1.6 MB
/// where it is cut into four.
const LARGE: [f64; 2] = [20.0, 50.0];

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

/// A run of which the service has one recording whole and paid for, and does not answer.
fn handed_over(stage: &Stage) -> Running {
    stage
        .service
        .script(Rule::on(Endpoint::Submit).charged().act(Act::Hang));
    let running = stage.call(["run"]).start();
    stage.service.wait("the paid submit", |log| {
        held(log) && log.ledger().charges.len() == 1
    });
    running
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
    let running = handed_over(&stage);
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
fn what_a_kill_left_in_doubt_is_said_before_the_next_start_and_before_it_is_paid_again() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    let source = stage.put("a.wav", &wav(1, 0.5));
    let running = handed_over(&stage);
    assert_eq!(stage.json(&["status"])["jobs"]["active"], 1);
    running.kill();
    let status = stage.json(&["status"]);
    assert_eq!(status["jobs"]["in_doubt"], 1, "{status}");
    assert_eq!(status["jobs"]["active"], 0, "{status}");
    stage
        .stenod(["status"])
        .says("may have been paid for   fix: stenod list --state in_doubt");
    let list = stage.json(&["list", "--state", "in_doubt"]);
    assert_eq!(list[0]["reason"], "reply_lost", "{list}");
    let source = source.to_str().unwrap();
    let told = stage.json(&["explain", source]);
    assert_eq!(told["answer"], "in_doubt", "{told}");
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["repeats"], 1, "{plan}");
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan}");
    stage.set("service.in_doubt", "hold");
    let plan = stage.json(&["plan"]);
    assert_eq!(
        (&plan["repeats"], &plan["ended"]),
        (&0.into(), &1.into()),
        "{plan}"
    );
    stage.set("service.in_doubt", "retry-once");
    stage
        .stenod(["run"])
        .success()
        .says("1 of them was handed over before and its answer lost");
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_copy_that_waits_for_one_in_doubt_is_not_paid_for_when_that_is_given_up() {
    let stage = stage();
    stage.set("service.jobs", 1);
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(1, 0.5));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).charged().act(Act::Reset));
    stage.stenod(["run"]).code(3);
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 0, "{plan}");
    stage.stenod(["cancel", "1"]).success();
    stage.stenod(["run"]).success().says("2 cancelled before");
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
}

#[test]
fn what_a_kill_left_in_doubt_can_be_given_up_or_tried_again_at_once() {
    for (order, state_after, charged) in [("cancel", "cancelled", 1), ("retry", "done", 2)] {
        let stage = stage();
        stage.put("a.wav", &wav(1, 0.5));
        let running = handed_over(&stage);
        running.kill();
        let changed = stage.json(&[order, "1"]);
        assert_eq!(
            changed["changed"],
            serde_json::json!([1]),
            "{order}: {changed}"
        );
        stage.stenod(["run"]).no_panic();
        assert_eq!(state(&stage), state_after, "{order}");
        assert_eq!(charges(&stage), charged, "{order}");
        let spent = stage.json(&["status"])["spent"]["USD"]["in_doubt"].clone();
        assert_ne!(spent, "0", "{order}");
    }
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

#[test]
fn a_recording_that_was_alone_on_its_way_at_many_kills_is_sent_all_the_same() {
    let stage = stage();
    stage.set("large.direct_limit", "32 MiB");
    stage
        .service
        .behave(|behaviour| behaviour.largest = 32 * 1024 * 1024);
    stage.put("long.wav", &wav(1, 400.0));
    for _ in 0..3 {
        let gate = Gate::closed();
        stage.service.script(
            Rule::on(Endpoint::Submit)
                .at(Moment::After(1000))
                .behind(&gate),
        );
        let stalled = |log: &Log| log.exchanges.iter().filter(|one| one.held).count();
        let before = stage.service.look(stalled);
        let running = stage.call(["run"]).start();
        stage
            .service
            .wait("the stalled body", |log| stalled(log) > before);
        running.kill();
        gate.open();
    }
    stage.stenod(["run"]).success();
    assert_eq!(states(&stage)["long.wav"], "done");
    assert_eq!(charges(&stage), 1);
    stage.check();
}

#[test]
fn a_recording_that_was_alone_being_encoded_at_kills_in_different_places_is_sent_all_the_same() {
    let stage = stage();
    stage.put("long.wav", &wav(1, 300.0));
    let first = killed_while_encoding(&stage, 15);
    let second = killed_while_encoding(&stage, first + 30);
    killed_while_encoding(&stage, second + 30);
    stage.stenod(["run"]).success();
    assert_eq!(states(&stage)["long.wav"], "done");
    assert_eq!(charges(&stage), 1);
    stage.check();
}

/// Kills a run as soon as it has encoded this many seconds of the recording that it has in hand; says how many it
/// had encoded.
fn killed_while_encoding(stage: &Stage, seconds: u64) -> u64 {
    let reached = || {
        let in_hand = fs::read_to_string(stage.state().join("in-hand")).ok()?;
        let (seconds, _) = in_hand.split_once('\0')?.1.split_once(' ')?;
        seconds.parse::<u64>().ok()
    };
    let mut running = stage.call(["run"]).start();
    running.until("the encoding", || reached() >= Some(seconds));
    running.kill();
    reached().unwrap()
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

/// How the recordings of a series travel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Road {
    Direct,
    Pieces,
    Link,
}

/// What came of kills.
#[derive(Default)]
struct Tally {
    kills: u64,
    recordings: u64,
    twice: u64,
    lost: u64,
    in_doubt: u64,
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.kills += other.kills;
        self.recordings += other.recordings;
        self.twice += other.twice;
        self.lost += other.lost;
        self.in_doubt += other.in_doubt;
    }
}

#[test]
fn kills_at_random_moments_lose_nothing_and_pay_nothing_twice() {
    let kills = number("STENOD_CRASHES", 21);
    let seed = number("STENOD_CRASH_SEED", u64::from(std::process::id()) | 1);
    println!("STENOD_CRASH_SEED={seed}");
    let mut random = Random(seed.max(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let roads = [
        (Road::Direct, "in the request"),
        (Road::Pieces, "in pieces"),
        (Road::Link, "by a link"),
    ];
    let mut all = Tally::default();
    for (number, (road, name)) in (0..).zip(roads) {
        let mut left = kills / 3 + u64::from(number < kills % 3);
        let mut sum = Tally::default();
        while left > 0 {
            let tally = play(road, left.min(MOST_KILLS_OF_A_ROUND), &mut random);
            left -= tally.kills;
            sum += &tally;
            println!("{name}: {} with STENOD_CRASH_SEED={seed}", row(&sum));
            assert_eq!((sum.twice, sum.lost), (0, 0));
        }
        assert!(sum.in_doubt <= most_in_doubt(road, sum.kills));
        record(name, &sum);
        all += &sum;
    }
    record("together", &all);
}

/// About one a kill; a link is a small request, so that several wait for their answers at once.
fn most_in_doubt(road: Road, kills: u64) -> u64 {
    match road {
        Road::Direct | Road::Pieces => kills,
        Road::Link => 2 * kills,
    }
}

/// Kills the program on a stage of its own as often as that, lets it come to an end, and counts.
fn play(road: Road, kills: u64, random: &mut Random) -> Tally {
    let storage = (road == Road::Link).then(S3::start);
    let stage = random_stage(road, storage.as_ref());
    let mut recordings = Vec::new();
    let mut landed = 0;
    while landed < kills {
        put_recordings(&stage, road, &mut recordings);
        landed += u64::from(kill_at_random(&stage, random));
    }
    // Whatever was in hand at a kill is handled alone, one after the other.
    let patience = PATIENCE + TIME_ALONE * u32::try_from(recordings.len()).unwrap();
    let mut last = stage.call(["run"]).patience(patience).output().no_panic();
    // By chance one may have been alone in hand at two kills: it is set aside, and kept for who asks for it.
    let poisoned = stage.json(&["list", "--limit", "100000"]);
    if poisoned.to_string().contains("\"reason\":\"poison\"") {
        stage.stenod(["retry", "--reason", "poison"]).success();
        last = stage.call(["run"]).patience(patience).output().no_panic();
    }
    let paid: BTreeMap<_, _> = stage.service.look(|log| log.ledger().counts());
    let states = states(&stage);
    let has = |name: &String, state: &str| states.get(name).is_some_and(|is| is == state);
    let in_doubt = recordings.iter().filter(|name| has(name, "in_doubt"));
    let in_doubt = in_doubt.count() as u64;
    let is_lost = |name: &&String| {
        !(has(name, "in_doubt") || has(name, "done") && has_transcript(&stage, name))
    };
    let lost: Vec<_> = recordings.iter().filter(is_lost).collect();
    if !lost.is_empty() {
        println!("lost: {lost:?}\n{}", last.tell());
    }
    let broken = stage.service.look(|log| !log.violations().is_empty());
    assert!(!broken, "{}", stage.service.story());
    no_drafts(&stage);
    if let Some(storage) = storage {
        let left = storage.objects();
        assert!(left.len() as u64 <= in_doubt, "left behind: {left:?}");
    }
    stage.stenod(["run"]).no_panic();
    let again = stage.service.look(|log| log.ledger().counts());
    assert_eq!(again, paid, "a last run paid");
    Tally {
        kills: landed,
        recordings: recordings.len() as u64,
        twice: paid.values().filter(|count| **count > 1).count() as u64,
        lost: lost.len() as u64,
        in_doubt,
    }
}

/// Two folders, one for immediate replies and one for tickets, and whatever the road needs.
fn random_stage(road: Road, storage: Option<&S3>) -> Stage {
    let stage = stage();
    stage.set("service.jobs", JOBS);
    stage.set("service.requests_per_second", 25);
    stage.set("service.poll_interval", "10ms");
    stage.service.behave(|behaviour| behaviour.polls = 1);
    stage.no_folders();
    for (folder, model) in [("now", "Wizper"), ("later", "Elevenlabs-STT")] {
        let path = stage.at(folder);
        fs::create_dir_all(&path).unwrap();
        stage.add_folder_with(&path, &[("model", model.into())]);
    }
    match road {
        Road::Direct => {}
        Road::Pieces => {
            stage.set("large.direct_limit", "72 KiB");
            stage.set("large.route", "pieces");
            stage.set("large.piece_minutes", 0.25);
        }
        Road::Link => {
            stage.set("large.direct_limit", "72 KiB");
            stage.set("large.route", "bucket");
        }
    }
    if let Some(storage) = storage {
        let secret = stage.root().join("bucket-secret");
        durable::write(&secret, s3::SECRET_KEY.as_bytes(), Existing::Replace).unwrap();
        stage.set("bucket.url", format!("s3://{}/inbox", s3::BUCKET));
        stage.set("bucket.endpoint", storage.endpoint());
        stage.set("bucket.access_key_id", s3::ACCESS_KEY);
        stage.set(
            "bucket.secret_access_key_file",
            secret.display().to_string(),
        );
    }
    stage
}

/// Adds recordings, so that the work does not run out before the kills do.
fn put_recordings(stage: &Stage, road: Road, recordings: &mut Vec<String>) {
    let more = if recordings.is_empty() { 9 } else { 3 };
    for _ in 0..more {
        let seed = recordings.len() as u64 + 1;
        let folder = if seed.is_multiple_of(4) {
            "later"
        } else {
            "now"
        };
        let is_large = match road {
            Road::Direct => seed.is_multiple_of(10),
            Road::Pieces => seed.is_multiple_of(3),
            Road::Link => !seed.is_multiple_of(3),
        };
        let [large, to_be_cut] = LARGE;
        let seconds = match road {
            _ if !is_large => 0.2,
            Road::Direct | Road::Link => large,
            Road::Pieces => to_be_cut,
        };
        let name = format!("{folder}/{seed}.wav");
        stage.put(&name, &wav(seed, seconds));
        recordings.push(name);
    }
}

/// Starts the program and kills it a little later; says whether it still ran.
fn kill_at_random(stage: &Stage, random: &mut Random) -> bool {
    let mut running = stage.call(["run"]).start();
    let before = stage.service.look(Log::events);
    // Heads, last bytes and replies count one each: a few of them, and then a bit of luck.
    let more = random.below(14);
    let reached = |log: &Log| log.events() >= before + more;
    let alive = stage.service.wait_within(Duration::from_secs(3), reached);
    thread::sleep(Duration::from_micros(random.below(6000)));
    if !alive && running.has_ended() {
        return false;
    }
    running.kill();
    true
}

/// What became of each recording.
fn states(stage: &Stage) -> BTreeMap<String, String> {
    let list = stage.json(&["list", "--limit", "100000"]);
    let jobs = list.as_array().unwrap().iter();
    jobs.map(|job| {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        let source = text("source");
        let folder = stage.recordings();
        let name = source.strip_prefix(&format!("{}/", folder.display()));
        (name.unwrap_or(&source).to_owned(), text("state"))
    })
    .collect()
}

/// Whether a recording has a whole transcript beside it.
fn has_transcript(stage: &Stage, name: &str) -> bool {
    let text = fs::read_to_string(stage.at(name).with_extension("txt"));
    let json = fs::read(stage.at(name).with_extension("json"));
    let json = json
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let (Ok(text), Some(json)) = (text, json) else {
        return false;
    };
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    json["text"].as_str().map(words) == Some(words(&text)) && !text.contains("[missing from")
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

fn row(tally: &Tally) -> String {
    let Tally {
        kills,
        recordings,
        twice,
        lost,
        in_doubt,
    } = tally;
    format!("{kills} | {recordings} | {twice} | {lost} | {in_doubt}")
}

/// Appends a row to the table that `STENOD_CRASH_TABLE` names.
fn record(name: &str, tally: &Tally) {
    let Some(path) = std::env::var_os("STENOD_CRASH_TABLE") else {
        return;
    };
    let mut table = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(table, "| {name} | {} |", row(tally)).unwrap();
}
