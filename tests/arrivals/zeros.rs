//! Recordings whose room was made before their content came, and whose writer takes his time.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use stenod_support::audio::wav;

use super::stage;

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

/// As `fallocate` does: the disk has no bytes for the second half.
fn with_a_hole(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(halves(bytes).0, 0).unwrap();
}

/// As some recorders do: the second half is written, and zeros.
fn with_zeros(path: &Path, bytes: &[u8]) {
    let mut half = halves(bytes).0.to_vec();
    half.resize(bytes.len(), 0);
    fs::write(path, half).unwrap();
}

/// As downloads that come in no order do: the last piece is there before the one in front of it.
fn with_a_gap(path: &Path, bytes: &[u8]) {
    let mut pieces = bytes.to_vec();
    let last = bytes.len() - 4096;
    pieces[bytes.len() / 2..last].fill(0);
    fs::write(path, pieces).unwrap();
}

/// Long enough for a piece of it to be missed.
fn long_mp3() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/audio/tagged.mp3"
    );
    fs::read(path).unwrap().repeat(48)
}

/// A film whose index comes first: all of that is there long before the sound is.
fn moov_first() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/audio/moov-last.m4a"
    );
    let last = fs::read(path).unwrap();
    let at = |name: &[u8]| last.windows(4).position(|here| here == name).unwrap();
    let (before, from) = (at(b"free") - 4, at(b"moov") - 4);
    let mut moov = last[from..].to_vec();
    let table = moov.windows(4).position(|here| here == b"stco").unwrap() + 8;
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let count = number(&moov[table..table + 4]) as usize;
    let length = u32::try_from(moov.len()).unwrap();
    for entry in moov[table + 4..].chunks_mut(4).take(count) {
        let moved = number(entry) + length;
        entry.copy_from_slice(&moved.to_be_bytes());
    }
    [&last[..before], &moov, &last[before..from]].concat()
}

fn go_on(path: &Path, bytes: &[u8]) {
    let (first, rest) = halves(bytes);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(rest, first.len() as u64).unwrap();
}

#[test]
fn a_writer_that_stalls_in_room_made_beforehand_is_waited_for() {
    let stage = stage();
    let whole: [(PathBuf, Vec<u8>); 4] = [
        (stage.at("hole.wav"), wav(1, 4.0)),
        (stage.at("zeros.wav"), wav(2, 4.0)),
        (stage.at("film.m4a"), moov_first()),
        (stage.at("pieces.mp3"), long_mp3()),
    ];
    let mut watch = stage.call(["watch"]).start();
    watch.until("its state", || stage.state().exists());
    with_a_hole(&whole[0].0, &whole[0].1);
    with_zeros(&whole[1].0, &whole[1].1);
    with_zeros(&whole[2].0, &whole[2].1);
    with_a_gap(&whole[3].0, &whole[3].1);
    watch.until("that all of them wait", || {
        stage.json(&["status"])["settling"]["counts"] == json!({"preallocated": 4})
    });
    for (path, _) in &whole {
        let found = stage.json(&["explain", path.to_str().unwrap()]);
        assert_eq!(found["answer"], "settling", "{found:#}");
        assert_eq!(found["code"], "preallocated", "{found:#}");
        let message = found["message"].as_str().unwrap();
        assert!(
            message.contains("zeros where its content should be"),
            "{found:#}"
        );
        let until: jiff::Timestamp = found["until"].as_str().unwrap().parse().unwrap();
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let hour = modified + Duration::from_secs(3600);
        let hour = jiff::Timestamp::try_from(hour).unwrap();
        let off = until.duration_since(hour).as_secs();
        assert!(off.abs() <= 1, "{found:#}");
    }
    let charges = stage.service.look(|log| log.ledger().charges.len());
    assert_eq!(charges, 0, "{}", stage.service.story());
    for (path, bytes) in &whole {
        go_on(path, bytes);
    }
    super::until_done(&stage, &mut watch, &whole);
    watch.terminate();
    watch.outcome().no_panic();
    let charges = stage.service.look(|log| log.ledger().charges.len());
    assert_eq!(charges, 4, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_run_leaves_zeros_that_are_young_and_takes_them_when_nobody_wrote_for_an_hour() {
    let stage = stage();
    let path = stage.at("a.wav");
    with_zeros(&path, &wav(1, 4.0));
    let young = stage.stenod(["run"]).code(3);
    let said = format!("{}{}", young.stdout, young.stderr);
    assert!(
        said.contains("preallocated: zeros where its content should be"),
        "{said}"
    );
    assert!(!stage.at("a.json").exists());
    let plan = stage.stenod(["plan"]).no_panic();
    assert!(
        plan.stdout.contains("zeros where its content should be"),
        "{}",
        plan.tell()
    );
    // Not written into for two hours, as far as its times tell.
    let file = File::options().append(true).open(&path).unwrap();
    let then = SystemTime::now() - Duration::from_secs(2 * 3600);
    file.set_modified(then).unwrap();
    stage.stenod(["run"]).success();
    assert!(stage.at("a.json").exists());
    stage.check();
}

#[test]
fn silence_of_seconds_at_the_end_of_a_wav_is_no_reason_to_wait() {
    let stage = stage();
    let mut silent = wav(1, 6.0);
    let from = silent.len() - 2 * silent.len() / 5;
    silent[from..].fill(0);
    stage.put("a.wav", &silent);
    stage.stenod(["run"]).success();
    assert!(stage.at("a.json").exists());
}
