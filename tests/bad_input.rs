//! Whatever lies in the folder: one clear line about it, and its neighbours are done.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use stenod::media::decode::Samples;
use stenod_support::audio::{cut_wav, wav};
use stenod_support::service::{Endpoint, Gate, Moment, Reply, Rule};
use stenod_support::stage::{NOBODY, Outcome, Stage, is_root, tree};

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

/// A stage with one good recording among whatever comes.
fn with_neighbour() -> Stage {
    let stage = stage();
    stage.put("good.wav", &wav(1, 0.5));
    stage
}

/// Runs, and fails unless the neighbour is done and nothing else was sent.
#[track_caller]
fn run_with_neighbour(stage: &Stage) -> Outcome {
    let outcome = stage.stenod(["run"]).no_panic();
    assert!(
        stage.at("good.txt").exists(),
        "a lost neighbour\n{}",
        outcome.tell()
    );
    assert_eq!(charges(stage), 1, "{}", outcome.tell());
    outcome
}

#[test]
fn a_text_file_called_mp3_is_told_apart() {
    let stage = with_neighbour();
    stage.put("notes.mp3", "Remember the milk.\n".repeat(500).as_bytes());
    run_with_neighbour(&stage).success().says("notes.mp3");
    stage.stenod(["plan"]).success().says("notes.mp3");
}

#[test]
fn other_things_with_names_of_audio_are_told_apart() {
    let stage = with_neighbour();
    stage.put(
        "page.mp3",
        b"<!DOCTYPE html><html><body>404 not found</body></html>",
    );
    stage.put("zeros.wav", &[0; 100_000]);
    stage.put(
        "picture.m4a",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06",
    );
    stage.put("archive.ogg", b"PK\x03\x04\x14\0\0\0\x08\0");
    // Zeros may be a recording whose content is still to come: that one is not complete.
    run_with_neighbour(&stage).code(3);
    let plan = stage.json(&["plan"]).to_string();
    for name in ["page.mp3", "zeros.wav", "picture.m4a", "archive.ogg"] {
        assert!(plan.contains(name), "{name} is missing in {plan}");
    }
}

#[test]
fn an_empty_file_is_skipped() {
    let stage = with_neighbour();
    stage.put("empty.mp3", b"");
    run_with_neighbour(&stage).success().says("empty.mp3");
}

#[test]
fn a_recording_that_is_cut_short_waits_and_says_why() {
    let stage = with_neighbour();
    stage.put("cut.wav", &cut_wav(2, 2.0));
    run_with_neighbour(&stage).says("cut.wav");
    stage.put("cut.wav", &wav(2, 2.0));
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn garbage_behind_a_good_beginning_takes_nobody_down() {
    let stage = with_neighbour();
    let noise = wav(3, 1.0)[44..].to_vec();
    for (name, head) in [
        ("id3.mp3", b"ID3\x04\0\0\0\0\0\x21".as_slice()),
        ("frame.mp3", b"\xff\xfb\x90\x64"),
        (
            "ogg.ogg",
            b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x1e",
        ),
        (
            "moov.m4a",
            b"\0\0\0\x20ftypM4A \0\0\0\0\xff\xff\xff\xffmoov",
        ),
        ("riff.wav", b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff"),
        ("flac.flac", b"fLaC\x80\xff\xff\xff"),
    ] {
        stage.put(name, &[head, &noise].concat());
    }
    let outcome = stage.stenod(["run"]).no_panic();
    assert!(stage.at("good.txt").exists(), "{}", outcome.tell());
    assert!(matches!(outcome.code, Some(0 | 3)), "{}", outcome.tell());
}

#[test]
fn an_unreadable_file_and_folder_are_listed_and_their_neighbours_done() {
    let stage = with_neighbour();
    let file = stage.put("secret.wav", &wav(2, 0.5));
    stage.put("closed/inside.wav", &wav(3, 0.5));
    stage.give_away();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(stage.at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut call = stage.call(["run"]);
    if is_root() {
        fs::set_permissions(stage.config_file(), fs::Permissions::from_mode(0o644)).unwrap();
        call = call.user(NOBODY);
    }
    let outcome = call.output().no_panic().says("secret.wav").says("closed");
    assert!(matches!(outcome.code, Some(0 | 3)), "{}", outcome.tell());
    assert!(stage.at("good.txt").exists(), "{}", outcome.tell());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(stage.at("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 3);
}

#[test]
fn outputs_that_cannot_be_written_cost_nothing_again() {
    let stage = with_neighbour();
    stage.put("locked/a.wav", &wav(2, 0.5));
    stage.give_away();
    fs::set_permissions(stage.at("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut call = stage.call(["run"]);
    if is_root() {
        call = call.user(NOBODY);
    }
    let outcome = call.output().no_panic();
    assert!(stage.at("good.txt").exists(), "{}", outcome.tell());
    assert!(!stage.at("locked/a.txt").exists());
    outcome.says("locked");
    fs::set_permissions(stage.at("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    stage.stenod(["run"]).success();
    assert!(stage.at("locked/a.txt").exists(), "{:?}", stage.names());
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn pipes_sockets_and_dangling_links_are_not_opened() {
    let stage = with_neighbour();
    let pipe = stage.at("pipe.wav");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(stage.at("socket.mp3")).unwrap();
    symlink("/nowhere/at/all.wav", stage.at("dangling.wav")).unwrap();
    symlink(stage.recordings(), stage.at("loop")).unwrap();
    fs::create_dir(stage.at("folder.wav")).unwrap();
    run_with_neighbour(&stage).success();
}

#[test]
fn a_recording_over_the_direct_limit_waits_for_a_route_and_the_run_ends_with_code_3() {
    let stage = with_neighbour();
    stage.set("large.shrink", false);
    stage.set("large.direct_limit", "64 KiB");
    let large = stage.put("large.wav", &wav(2, 3.0));
    run_with_neighbour(&stage).code(3);
    let list = stage.json(&["list", "--state", "waiting"]);
    assert_eq!(list[0]["source"], large.to_str().unwrap(), "{list}");
    assert!(list[0]["reason"].to_string().len() > 10, "{list}");
    assert_eq!(stage.json(&["status"])["jobs"]["waiting"], 1);
    stage.set("large.direct_limit", "3 MiB");
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 2);
    assert!(stage.at("large.txt").exists());
}

#[test]
fn a_recording_that_vanishes_after_it_was_queued_harms_nobody() {
    let stage = with_neighbour();
    stage.set("service.jobs", 1);
    stage.put("vanishing-1.wav", &wav(2, 0.5));
    stage.put("vanishing-2.wav", &wav(3, 0.5));
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    let running = stage.call(["run"]).start();
    stage.service.wait("the first submit", |log| {
        log.submits().any(|submit| submit.held)
    });
    let first = stage
        .service
        .look(|log| log.ledger().charges[0].content.clone());
    let mut left = Vec::new();
    for name in ["good", "vanishing-1", "vanishing-2"] {
        let path = stage.at(format!("{name}.wav"));
        if blake3::hash(&fs::read(&path).unwrap()).to_hex().as_str() == first {
            left.push(name);
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    gate.open();
    let outcome = running.outcome().no_panic();
    assert!(matches!(outcome.code, Some(0 | 3)), "{}", outcome.tell());
    assert!(
        stage.at(format!("{}.txt", left[0])).exists(),
        "{}",
        outcome.tell()
    );
    assert_eq!(charges(&stage), 1, "{}", outcome.tell());
    stage.check();
}

#[test]
fn a_recording_that_changes_on_its_way_is_never_sent_as_a_mixture() {
    let stage = stage();
    let (old, new) = (wav(1, 90.0), wav(2, 90.0));
    let path = stage.put("a.wav", &old);
    let gate = Gate::closed();
    let stall = Rule::on(Endpoint::Submit)
        .at(Moment::After(1000))
        .behind(&gate);
    stage.service.script(stall);
    let running = stage.call(["run"]).start();
    stage.service.wait("the stalled submit", |log| {
        log.submits().any(|submit| submit.held)
    });
    fs::write(&path, &new).unwrap();
    gate.open();
    let outcome = running.outcome().no_panic();
    assert!(matches!(outcome.code, Some(0 | 3)), "{}", outcome.tell());
    stage.stenod(["run"]).success();
    let whole = [old, new].map(|bytes| blake3::hash(&bytes).to_hex().to_string());
    stage.service.look(|log| {
        for charge in &log.ledger().charges {
            assert!(
                whole.contains(&charge.content),
                "a mixture was sent and paid"
            );
        }
        assert!(
            log.ledger().counts().contains_key(&whole[1]),
            "the new one was never sent"
        );
    });
    stage.check();
}

#[test]
fn a_folder_that_is_missing_does_not_hide_the_others() {
    let stage = with_neighbour();
    stage.add_folder(&stage.root().join("unplugged"));
    let outcome = stage.stenod(["run"]).no_panic().says("unplugged");
    assert!(stage.at("good.txt").exists(), "{}", outcome.tell());
}

#[test]
fn nothing_bad_is_touched() {
    let stage = with_neighbour();
    stage.put("notes.mp3", b"text");
    stage.put("empty.wav", b"");
    stage.put("cut.wav", &cut_wav(2, 2.0));
    symlink("nowhere.wav", stage.at("dangling.wav")).unwrap();
    let before = tree(&stage.recordings());
    run_with_neighbour(&stage);
    let after = tree(&stage.recordings());
    for (path, entry) in before {
        assert_eq!(after.get(&path), Some(&entry), "{}", path.display());
    }
    let made: Vec<_> = stage.names();
    assert_eq!(made.len(), 7, "{made:?}");
}

#[test]
fn a_link_to_a_recording_is_free() {
    let stage = with_neighbour();
    symlink(Path::new("good.wav"), stage.at("link.wav")).unwrap();
    run_with_neighbour(&stage).success();
}

/// No control character but the ends of lines and tabs.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    let odd = text
        .chars()
        .find(|c| c.is_control() && !"\n\t".contains(*c));
    assert_eq!(odd, None, "{what}: {text:?}");
}

#[test]
fn escape_codes_in_names_transcripts_and_refusals_steer_no_terminal() {
    let stage = stage();
    let code = "\u{1b}]0;mine\u{7}\u{1b}[2J\u{9b}31m";
    let name = format!("{code}talk.wav");
    let (good, bad) = (wav(1, 0.3), wav(2, 0.3));
    stage.put(&name, &good);
    stage.put(format!("{code}folder/refused.wav"), &bad);
    stage.put("gone\u{1b}[2J.wav", b"no sound");
    stage
        .service
        .say(&good, &format!("words{code} that {code}steer"));
    let refusal = Reply::json(400, &serde_json::json!({"error": {"message": code}}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).of(&bad).always().answer(refusal));
    let path = stage.at(&name);
    let path = path.to_str().unwrap();
    for arguments in [
        vec!["plan"],
        vec!["run"],
        vec!["-vvv", "run"],
        vec!["status"],
        vec!["list"],
        vec!["show", path],
        vec!["explain", path],
        vec!["speakers", path],
        vec!["render", "-f", "txt,json,srt,vtt,md,tsv,lrc,rttm"],
        vec!["usage"],
        vec!["doctor", "--offline"],
        vec!["db", "check"],
        vec!["show", path, "--json"],
        vec!["list", "--json"],
        vec!["show", "gone\u{1b}[2J"],
    ] {
        let outcome = stage.stenod(&arguments).no_panic();
        assert_harmless("stdout", &outcome.stdout);
        assert_harmless("stderr", &outcome.stderr);
    }
    let names = stage.names().into_iter();
    let outputs: Vec<String> = names.filter(|name| !name.ends_with(".wav")).collect();
    for name in &outputs {
        assert_harmless("output", &stage.read(name));
    }
    assert_eq!(outputs.len(), 7, "{outputs:?}");
}

/// The bytes with the checksum of a frame of FLAC behind them.
fn checked(mut bytes: Vec<u8>, bits: u32, polynomial: u32) -> Vec<u8> {
    let mut sum = 0_u32;
    for byte in &bytes {
        sum ^= u32::from(*byte) << (bits - 8);
        for _ in 0..8 {
            let carry = sum >> (bits - 1) & 1;
            sum = (sum << 1) & ((1 << bits) - 1);
            sum ^= carry * polynomial;
        }
    }
    let whole = sum.to_be_bytes();
    bytes.extend(&whole[4 - usize::try_from(bits / 8).unwrap()..]);
    bytes
}

/// So many frames of 32,768 silent samples at 16 kHz, in a dozen bytes each.
fn silent_flac(frames: u32) -> Vec<u8> {
    const BLOCK: u16 = 32_768;
    let samples = u64::from(frames) * u64::from(BLOCK);
    let mut bytes = b"fLaC\x80\0\0\x22".to_vec();
    bytes.extend([BLOCK.to_be_bytes(), BLOCK.to_be_bytes()].concat());
    bytes.extend([0; 6]);
    bytes.extend((16_000 << 44 | 15 << 36 | samples).to_be_bytes());
    bytes.extend([0; 16]);
    for number in 0..frames {
        let mut frame = vec![0xFF, 0xF8, 0xF5, 0x08];
        let number = char::from_u32(number).unwrap();
        frame.extend(number.encode_utf8(&mut [0; 4]).as_bytes());
        let mut frame = checked(frame, 8, 0x07);
        frame.extend([0, 0, 0]);
        bytes.extend(checked(frame, 16, 0x8005));
    }
    bytes
}

#[test]
fn a_small_file_that_unpacks_to_hundreds_of_megabytes_is_decoded_without_them_in_memory() {
    // By itself, so that the memory of other tests does not count.
    let this = std::env::current_exe().unwrap();
    let inside = [
        "--ignored",
        "--exact",
        "what_unpacks_is_decoded_piece_by_piece",
    ];
    let ran = Command::new(this).args(inside).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "looks at the memory of its process, which has to be its own"]
fn what_unpacks_is_decoded_piece_by_piece() {
    const FRAMES: u32 = 1800;
    let folder = tempfile::tempdir().unwrap();
    let bomb = silent_flac(FRAMES);
    assert!(bomb.len() < 32_000);
    // A minute of sound, and a header that claims 4 GiB.
    let mut claims = wav(1, 60.0);
    claims[40..44].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    let (mut buffer, mut unpacked) = (vec![0.0_f32; 16_000], 0);
    for (name, bytes) in [("bomb.flac", &bomb), ("claims.wav", &claims)] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut samples = Samples::open(&path).unwrap();
        loop {
            match samples.read(&mut buffer).unwrap() {
                0 => break,
                count => unpacked += count,
            }
        }
    }
    assert!(unpacked * size_of::<f32>() > 220 << 20, "{unpacked}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let highest = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let highest: u64 = highest.unwrap().replace("kB", "").trim().parse().unwrap();
    assert!(highest < 128 << 10, "{highest} KiB at the most");
}
