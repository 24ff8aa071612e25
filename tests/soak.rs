//! Hours of arrivals, faults, reloads and restarts, and whether the daemon grows (`just soak`).
//!
//! `STENOD_SOAK` sets the seconds (7,200), `STENOD_SOAK_PROGRAM` the program (the one under test). A first part
//! has stops and a kill in it; the rest is one life, whose beginning is compared with its end.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "it takes the time that it takes, and writes as others do"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stenod_support::audio::wav;
use stenod_support::service::{Act, Endpoint, Log, Reply, Rule};
use stenod_support::stage::{Running, Stage};

/// Between two arrivals.
const STEP: Duration = Duration::from_millis(500);
/// Steps between two faults, and between two reloads.
const FAULTS_EVERY: u64 = 9;
const RELOADS_EVERY: u64 = 240;
/// Steps between two looks at the process.
const LOOKS_EVERY: u64 = 10;
/// Folders that are kept, and recordings in each.
const MOST_FOLDERS: u64 = 40;
const RECORDINGS_IN_FOLDER: u64 = 50;
/// By how many per cent the memory of the last part may exceed that of the first.
const MOST_GROWTH: u64 = 5;
/// The most descriptors that come and go with connections.
const MOST_MORE_DESCRIPTORS: u64 = 8;
/// The most bytes of the log beside the table (16 MiB).
const LARGEST_WAL: u64 = 16 << 20;

/// One look at the process.
#[derive(Clone, Copy, Debug)]
struct Look {
    resident_kib: u64,
    descriptors: u64,
    wal: u64,
}

#[test]
#[ignore = "two hours: just soak"]
fn memory_and_descriptors_do_not_grow_in_hours_of_faults_and_reloads() {
    let seconds = std::env::var("STENOD_SOAK").map_or(7200, |text| text.parse().unwrap());
    let program = std::env::var("STENOD_SOAK_PROGRAM");
    let stage = stage(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_stenod")));
    let mut soak = Soak {
        running: stage.call(["watch"]).start(),
        stage,
        step: 0,
        looks: Vec::new(),
    };
    let whole = Duration::from_secs(seconds);
    for stop in [Signal::TERM, Signal::TERM, Signal::KILL] {
        soak.go_on_for(whole / 8);
        soak.start_again(stop);
    }
    // Whatever is built up once is built up by then.
    soak.go_on_for(whole / 8);
    soak.looks.clear();
    soak.go_on_for(whole / 2);
    soak.come_to_an_end();
    judge(&soak.looks);
}

fn stage(program: &str) -> Stage {
    let stage = Stage::new(program);
    stage.set("service.jobs", 4);
    stage.set("service.in_doubt", "hold");
    stage.set("listen", "127.0.0.1:0");
    fs::create_dir_all(stage.at("later")).unwrap();
    stage.put(
        "later/stenod.toml",
        b"[transcribe]\nmodel = \"Elevenlabs-STT\"\ndiarize = true\n",
    );
    stage
}

struct Soak {
    stage: Stage,
    running: Running,
    /// How many steps were taken.
    step: u64,
    looks: Vec<Look>,
}

impl Soak {
    fn go_on_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.arrive();
            self.step += 1;
            if self.step.is_multiple_of(FAULTS_EVERY) {
                self.stage.service.script(fault(self.step / FAULTS_EVERY));
            }
            if self.step.is_multiple_of(RELOADS_EVERY) {
                self.reload();
            }
            if self.step.is_multiple_of(LOOKS_EVERY) {
                self.looks.push(self.look());
            }
            assert!(!self.running.has_ended(), "{}", self.running.stderr());
            thread::sleep(STEP);
        }
    }

    /// A recording, for a service that answers at once or later; whole folders go when they are old.
    fn arrive(&self) {
        let (folder, number) = (
            self.step / RECORDINGS_IN_FOLDER,
            self.step % RECORDINGS_IN_FOLDER,
        );
        let group = if self.step.is_multiple_of(3) {
            "later/"
        } else {
            ""
        };
        let name = format!("{group}{folder}/{number}.wav");
        self.stage.put(&name, &wav(self.step + 1, 0.3));
        if number == 0
            && let Some(old) = folder.checked_sub(MOST_FOLDERS)
        {
            for group in ["", "later/"] {
                fs::remove_dir_all(self.stage.at(format!("{group}{old}"))).unwrap();
            }
        }
    }

    /// Other settings, and every second time one folder more.
    fn reload(&self) {
        let turn = self.step / RELOADS_EVERY;
        self.stage.set("service.jobs", 4 + turn % 2);
        let draft = self.stage.root().join("config.toml.draft");
        let mut text = self.stage.config();
        if turn.is_multiple_of(2) {
            let more = self.stage.root().join("more");
            fs::create_dir_all(&more).unwrap();
            text.push_str(&format!("\n[[folders]]\npath = \"{}\"\n", more.display()));
        }
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.stage.config_file()).unwrap();
        self.running.signal(Signal::HUP);
    }

    fn start_again(&mut self, stop: Signal) {
        let next = self.stage.call(["watch"]);
        self.running.signal(stop);
        while !self.running.has_ended() {
            thread::sleep(STEP);
        }
        self.running = next.start();
    }

    fn look(&self) -> Look {
        let process = PathBuf::from(format!("/proc/{}", self.running.pid()));
        let status = fs::read_to_string(process.join("status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().trim_end_matches(" kB");
        let wal = self.stage.state().join("stenod.db-wal");
        Look {
            resident_kib: resident.parse().unwrap(),
            descriptors: count(&process.join("fd")),
            wal: fs::metadata(wal).map_or(0, |found| found.len()),
        }
    }

    /// Waits until nothing is left to do, and checks that nothing was lost or paid twice.
    fn come_to_an_end(&mut self) {
        self.stage.service.unscript();
        let charges = |log: &Log| log.ledger().charges.len();
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let jobs = self.stage.json(&["status"])["jobs"].clone();
            let left = ["queued", "active", "waiting"].map(|state| jobs[state].as_u64());
            let left: u64 = left.into_iter().flatten().sum();
            let known: u64 = jobs
                .as_object()
                .unwrap()
                .values()
                .filter_map(|it| it.as_u64())
                .sum();
            if left == 0 && known >= self.step {
                println!(
                    "{} recordings, {jobs}, {} charges",
                    self.step,
                    self.stage.service.look(charges)
                );
                break;
            }
            assert!(
                Instant::now() < deadline,
                "not at its end: {jobs}, {} recordings",
                self.step
            );
            thread::sleep(STEP);
        }
        self.stage.check();
        self.running.terminate();
    }
}

/// What goes wrong next.
fn fault(number: u64) -> Rule {
    let submit = Rule::on(Endpoint::Submit);
    let status = Rule::on(Endpoint::Status);
    match number % 8 {
        0 => submit.act(Act::Answer(Reply::busy(503, 1))),
        1 => submit.act(Act::Answer(Reply::busy(429, 1))),
        2 => submit.act(Act::Answer(Reply::empty(500))),
        3 => submit.act(Act::Reset),
        4 => submit.act(Act::LoseUsual),
        5 => status.act(Act::Answer(Reply::empty(502))),
        6 => status.act(Act::Reset),
        _ => submit.act(Act::Close),
    }
}

fn count(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().count() as u64
}

/// Compares the first quarter of the looks with the last.
fn judge(looks: &[Look]) {
    let part = looks.len() / 4;
    let (first, last) = (&looks[..part], &looks[looks.len() - part..]);
    let of = |looks: &[Look], what: fn(&Look) -> u64| {
        let mut all: Vec<u64> = looks.iter().map(what).collect();
        all.sort_unstable();
        (all[all.len() / 2], all[all.len() - 1])
    };
    let (memory, memory_then) = (
        of(first, |it| it.resident_kib),
        of(last, |it| it.resident_kib),
    );
    let (open, open_then) = (
        of(first, |it| it.descriptors),
        of(last, |it| it.descriptors),
    );
    let wal = of(looks, |it| it.wal);
    println!("resident, KiB (median, most): {memory:?}, at the end {memory_then:?}");
    println!("descriptors (median, most): {open:?}, at the end {open_then:?}");
    println!("log beside the table, bytes (median, most): {wal:?}");
    assert!(
        memory_then.0 * 100 <= memory.0 * (100 + MOST_GROWTH),
        "the memory grows"
    );
    assert!(
        open_then.1 <= open.1 + MOST_MORE_DESCRIPTORS,
        "descriptors are lost"
    );
    assert!(
        wal.1 <= LARGEST_WAL,
        "the log beside the table is not bounded"
    );
}
