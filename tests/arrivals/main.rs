//! How recordings arrive, from outside: whatever the copying program does, each is sent once and whole.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

mod closed;
mod disks;
mod existing;
mod folders;
mod limits;
mod model;
mod zeros;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use stenod_support::audio::wav;
use stenod_support::stage::{Running, Stage};

/// How long a file stays unchanged here before it counts as complete.
const SETTLE: Duration = Duration::from_secs(2);
/// A pause of a slow copy: longer than half the settle time, so that the wait must grow.
const PAUSE: Duration = Duration::from_millis(1_100);

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set_folders("settle", format!("{}s", SETTLE.as_secs()));
    stage
}

/// What each way of arriving leaves in the folder, and the bytes that must be sent.
type Arrivals = Vec<(PathBuf, Vec<u8>)>;

/// Frames of MPEG audio, which do not say how many there will be.
fn endless() -> Vec<u8> {
    fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/speech/amiable.mp3"
    ))
    .unwrap()
}

fn slow_copy(to: &Path, bytes: &[u8]) {
    let mut file = File::create(to).unwrap();
    for burst in bytes.chunks(bytes.len().div_ceil(5)) {
        file.write_all(burst).unwrap();
        thread::sleep(PAUSE);
    }
}

/// As `rsync --preallocate` and many recorders do: the whole size first, then the content in place.
fn preallocated(to: &Path, bytes: &[u8]) {
    let mut file = File::create(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, burst) in (0..).zip(bytes.chunks(bytes.len().div_ceil(4))) {
        file.seek(SeekFrom::Start(number * bytes.len().div_ceil(4) as u64))
            .unwrap();
        file.write_all(burst).unwrap();
        thread::sleep(PAUSE);
    }
}

/// A copy that was killed, and is made anew later.
fn killed_copy(to: &Path, bytes: &[u8]) {
    fs::write(to, &bytes[..bytes.len() / 3]).unwrap();
    thread::sleep(PAUSE);
    fs::write(to, bytes).unwrap();
}

/// As Syncthing, browsers and rsync do: under another name first.
fn under_another_name(folder: &Path, temporary: &str, name: &str, bytes: &[u8]) {
    let draft = folder.join(temporary);
    slow_copy(&draft, bytes);
    fs::rename(draft, folder.join(name)).unwrap();
}

fn moved_in(from: &Path, to: &Path, bytes: &[u8]) {
    fs::create_dir_all(from.join("deep")).unwrap();
    fs::write(from.join("deep/moved.wav"), bytes).unwrap();
    fs::rename(from, to).unwrap();
}

fn copied_tree(from: &Path, to: &Path, bytes: &[u8]) {
    fs::create_dir_all(from.join("a/b/c")).unwrap();
    fs::write(from.join("a/b/c/copied.wav"), bytes).unwrap();
    let done = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(done.unwrap().success());
}

/// Replaced by the next version while the first is on its way: both are whole, each is sent at most once.
fn written_in_place(to: &Path, bytes: &[u8]) {
    let mut file = File::create(to).unwrap();
    file.write_all(&vec![0; bytes.len()]).unwrap();
    thread::sleep(PAUSE);
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(bytes).unwrap();
}

/// As `unzip`, `tar` and `rsync --inplace` do: bursts under the final name, then the time of the original.
fn unpacked(to: &Path, bytes: &[u8]) {
    slow_copy(to, bytes);
    let file = File::options().append(true).open(to).unwrap();
    let then = SystemTime::now() - Duration::from_hours(365 * 24);
    file.set_modified(then).unwrap();
}

/// Gone to another folder when half of it was there; it is whole when it comes back.
fn moved_out_and_in(at: &Path, outside: &Path, bytes: &[u8]) {
    let mut file = File::create(at).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first).unwrap();
    thread::sleep(PAUSE);
    fs::rename(at, outside).unwrap();
    file.write_all(rest).unwrap();
    thread::sleep(PAUSE);
    fs::rename(outside, at).unwrap();
}

/// Whether a program is there; where not, what it does is passed over.
fn has(program: &str, question: &str) -> bool {
    let is_there = Command::new(program)
        .arg(question)
        .output()
        .is_ok_and(|asked| asked.status.success());
    if !is_there {
        println!("no {program} here: passed over");
    }
    is_there
}

#[track_caller]
fn ran(command: &mut Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {ended:?}");
}

/// Archives and copies of folders of recordings, by the programs that people use.
fn by_programs(outside: &Path, here: &Path) -> Arrivals {
    let from = outside.join("archive");
    fs::create_dir_all(from.join("day")).unwrap();
    let names = ["one.wav", "day/two.wav", "day/three.wav"];
    let recordings = |seed: u64| {
        let each = (seed..).zip(names);
        let each = each.map(|(seed, name)| (name, wav(seed, 1.0)));
        each.collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    let mut take = |to: &Path, seed: u64, program: &dyn Fn(&Path)| {
        let made = recordings(seed);
        for (name, bytes) in &made {
            fs::write(from.join(name), bytes).unwrap();
        }
        program(to);
        expected.extend(made.into_iter().map(|(name, bytes)| (to.join(name), bytes)));
    };
    if has("unzip", "-v") && has("zip", "-v") {
        take(&here.join("unzipped"), 100, &|to| {
            let archive = outside.join("archive.zip");
            ran(Command::new("zip")
                .args(["-q", "-r"])
                .arg(&archive)
                .arg(".")
                .current_dir(&from));
            ran(Command::new("unzip")
                .arg("-q")
                .arg(&archive)
                .arg("-d")
                .arg(to));
        });
    }
    if has("rsync", "--version") {
        let slash = from.join("");
        take(&here.join("rsynced"), 110, &|to| {
            ran(Command::new("rsync").arg("-a").arg(&slash).arg(to));
        });
        take(&here.join("in-place"), 120, &|to| {
            let slow = ["-a", "--inplace", "--bwlimit=40"];
            ran(Command::new("rsync").args(slow).arg(&slash).arg(to));
        });
    }
    take(&here.join("unpacked"), 130, &|to| {
        let archive = outside.join("archive.tar");
        fs::create_dir(to).unwrap();
        ran(Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(&from)
            .arg("."));
        ran(Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(to));
    });
    expected
}

fn arrive(stage: &Stage) -> Arrivals {
    let (here, beside) = (stage.recordings(), stage.root().to_owned());
    let at = |name: &str| here.join(name);
    let outside = |name: &str| beside.join(name);
    let recording = |seed: u64| wav(seed, 1.0);
    fs::create_dir_all(at("sync")).unwrap();
    let sync = at("sync");
    let mut expected: Arrivals = vec![
        (at("slow.wav"), recording(1)),
        (at("endless.mp3"), endless()),
        (at("preallocated.wav"), recording(2)),
        (at("killed.wav"), recording(3)),
        (sync.join("phone.wav"), recording(4)),
        (sync.join("download.wav"), recording(5)),
        (sync.join("rsync.wav"), recording(6)),
        (at("in/deep/moved.wav"), recording(7)),
        (at("copy/a/b/c/copied.wav"), recording(8)),
        (at("in-place.wav"), recording(9)),
        (at("unpacked.wav"), recording(10)),
        (at("back.wav"), recording(11)),
    ];
    let bytes = |number: usize| expected[number].1.as_slice();
    let more = thread::scope(|scope| {
        scope.spawn(|| slow_copy(&at("slow.wav"), bytes(0)));
        scope.spawn(|| slow_copy(&at("endless.mp3"), bytes(1)));
        scope.spawn(|| preallocated(&at("preallocated.wav"), bytes(2)));
        scope.spawn(|| killed_copy(&at("killed.wav"), bytes(3)));
        let names = [
            (".syncthing.phone.wav.tmp", "phone.wav"),
            ("download.wav.crdownload", "download.wav"),
            (".rsync.wav.Xy12z3", "rsync.wav"),
        ];
        for (number, (temporary, name)) in (4..).zip(names) {
            let (sync, bytes) = (&sync, bytes(number));
            scope.spawn(move || under_another_name(sync, temporary, name, bytes));
        }
        scope.spawn(|| moved_in(&outside("moving"), &at("in"), bytes(7)));
        scope.spawn(|| copied_tree(&outside("copying"), &at("copy"), bytes(8)));
        scope.spawn(|| written_in_place(&at("in-place.wav"), bytes(9)));
        scope.spawn(|| unpacked(&at("unpacked.wav"), bytes(10)));
        scope.spawn(|| moved_out_and_in(&at("back.wav"), &outside("back.wav"), bytes(11)));
        scope.spawn(|| by_programs(&beside, &here)).join().unwrap()
    });
    expected.extend(more);
    expected
}

fn until_done(stage: &Stage, watch: &mut Running, expected: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in expected {
        let json = path.with_extension("json");
        watch.until(&format!("{}", json.display()), || json.exists());
    }
    let paid: Vec<usize> = stage.service.look(|log| {
        let times = |(_, bytes): &(PathBuf, Vec<u8>)| log.ledger().paid_for(bytes);
        expected.iter().map(times).collect()
    });
    assert_eq!(paid, vec![1; expected.len()], "{}", stage.service.story());
}

#[test]
fn whatever_copies_them_recordings_are_sent_whole_and_once() {
    let stage = stage();
    let mut watch = stage.call(["watch"]).start();
    watch.until("its state", || stage.state().exists());
    let expected = arrive(&stage);
    until_done(&stage, &mut watch, &expected);
    // One that leaves again, and one that is cut off for good, cost nothing.
    let charges = |stage: &Stage| stage.service.look(|log| log.ledger().charges.len());
    let before = charges(&stage);
    let half = wav(50, 1.0);
    fs::write(stage.at("half.wav"), &half[..half.len() / 2]).unwrap();
    stage.put("last.wav", &wav(51, 1.0));
    watch.until("the last one", || stage.at("last.json").exists());
    watch.until("the half, with what it waits for", || {
        let status = stage.json(&["status"]);
        status["settling"]["counts"]["cut_short"] == 1
    });
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), before + 1, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_root_that_is_deleted_and_made_anew_is_followed_and_nothing_is_paid_again() {
    let stage = stage();
    let first = wav(1, 0.3);
    stage.put("first.wav", &first);
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("first.json").exists());
    fs::remove_dir_all(stage.recordings()).unwrap();
    fs::create_dir(stage.recordings()).unwrap();
    stage.put("first.wav", &first);
    stage.put("second.wav", &wav(2, 0.3));
    watch.until("the second transcript", || stage.at("second.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    let charges = stage.service.look(|log| log.ledger().charges.len());
    assert_eq!(charges, 2, "{}", stage.service.story());
    stage.check();
}

/// How many recordings the table knows.
fn known(stage: &Stage) -> u64 {
    let status = stage.json(&["status"]);
    let jobs = status["jobs"].as_object().unwrap();
    jobs.values().filter_map(serde_json::Value::as_u64).sum()
}

#[test]
#[ignore = "measures: minutes of work; `just watch-storm`"]
fn five_thousand_recordings_at_once_are_queued_quickly() {
    let count = 5_000;
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.put("first.wav", &wav(1, 0.1));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("first.json").exists());
    for seed in 0..count {
        let name = format!("{}/{}.wav", seed % 50, seed);
        stage.put(name, &wav(1_000 + seed, 0.05));
    }
    let written = Instant::now();
    while known(&stage) < count {
        thread::sleep(Duration::from_millis(200));
    }
    let queued = written.elapsed();
    println!("{count} recordings written, all queued {queued:?} later");
    // One more in a folder of its own need not wait for the others.
    stage.put("new/arrival.wav", &wav(99_999, 0.1));
    let arrived = Instant::now();
    watch.until("the new arrival", || stage.at("new/arrival.json").exists());
    println!(
        "a new arrival was done after {:?}, with {:?} done",
        arrived.elapsed(),
        stage.json(&["status"])["jobs"]["done"]
    );
    watch.terminate();
    watch.outcome().no_panic();
}
