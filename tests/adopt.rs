//! Starting over: what a lost or damaged job table costs, which is nothing.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make, spoil and move files as users do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::usual_text;
use stenod_support::stage::{Outcome, Stage, names};

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn submits(stage: &Stage) -> usize {
    stage.service.look(|log| log.submits().count())
}

fn text_of(bytes: &[u8]) -> String {
    usual_text(&blake3::hash(bytes).to_hex())
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| (name.clone(), fs::read(folder.join(name)).unwrap());
    names(folder).into_iter().map(read).collect()
}

fn lose_the_table(stage: &Stage) {
    fs::remove_dir_all(stage.state()).unwrap();
}

/// Runs without a table: nothing may be sent, nothing written, everything is done.
#[track_caller]
fn starts_over_for_nothing(stage: &Stage, recordings: usize) -> Outcome {
    let (paid, before) = (charges(stage), contents(&stage.recordings()));
    let outcome = stage.stenod(["run"]).success();
    assert_eq!(charges(stage), paid, "{}", outcome.tell());
    assert_eq!(submits(stage), paid, "{}", outcome.tell());
    let after = contents(&stage.recordings());
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    assert!(after == before, "a file was changed");
    let status = stage.json(&["status"]);
    assert_eq!(status["jobs"]["done"], recordings, "{status}");
    assert_eq!(status["spent"]["USD"]["total"], "0", "{status}");
    outcome
}

/// The files of the state folder that were set aside.
fn set_aside(stage: &Stage) -> Vec<PathBuf> {
    let names = names(&stage.state()).into_iter();
    names
        .filter(|name| name.starts_with("stenod.db.damaged-"))
        .map(|name| stage.state().join(name))
        .collect()
}

fn table(stage: &Stage) -> PathBuf {
    stage.state().join("stenod.db")
}

#[test]
fn a_lost_table_costs_nothing_and_changes_no_file() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.put("deep/er/b.wav", &wav(2, 2.0));
    // The same stem twice: the later one keeps its whole name, also when it comes first.
    stage.put("talk.wav", &wav(3, 1.0));
    stage.stenod(["run"]).success();
    stage.put("talk.mp3", &wav(4, 1.0));
    stage.stenod(["run"]).success();
    assert!(stage.at("talk.mp3.json").exists() && stage.at("talk.json").exists());
    lose_the_table(&stage);
    starts_over_for_nothing(&stage, 4);
    let list = stage.json(&["list"]);
    for job in list.as_array().unwrap() {
        assert_eq!(
            (&job["state"], &job["attempts"]),
            (&"done".into(), &0.into())
        );
        assert_eq!(job["outputs"].as_array().unwrap().len(), 2, "{job}");
        assert_ne!(job["cost"], Value::Null, "{job}");
    }
    stage
        .stenod(["show", stage.at("a.wav").to_str().unwrap()])
        .success()
        .says("adopted");
    // And once more, with a table that knows it all.
    starts_over_for_nothing(&stage, 4).says("nothing to do");
}

#[test]
fn a_plan_knows_what_would_be_taken_up() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    lose_the_table(&stage);
    stage.put("b.wav", &wav(2, 1.0));
    stage.put("copy.wav", &wav(1, 1.0));
    let plan = stage.json(&["plan"]);
    assert_eq!(
        (&plan["done"], &plan["duplicates"]),
        (&1.into(), &1.into()),
        "{plan}"
    );
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan}");
    let forced = stage.json(&["plan", "--force"]);
    // The copy takes what the first is paid for.
    assert_eq!(forced["to_send"]["recordings"], 2, "{forced}");
    assert!(!table(&stage).exists());
}

/// A way to spoil the bytes of a table.
type Spoil = fn(&mut Vec<u8>);

#[test]
fn a_damaged_table_is_set_aside_and_the_next_start_takes_everything_up() {
    let ways: [(&str, Spoil); 4] = [
        ("bytes in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 3 * 4096].fill(0xa5);
        }),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a header of garbage", |bytes| bytes[..100].fill(b'x')),
        ("values that say nothing", |bytes| {
            let word = b"\"Whisper-Large-V3\"";
            let found: Vec<usize> = (0..bytes.len() - word.len())
                .filter(|at| bytes[*at..].starts_with(word))
                .collect();
            assert!(!found.is_empty());
            for at in found {
                bytes[at..at + word.len()].fill(b'{');
            }
        }),
    ];
    for (way, spoil) in ways {
        let stage = stage();
        for number in 1..=3 {
            stage.put(format!("{number}.wav"), &wav(number, 1.0));
        }
        stage.stenod(["run"]).success();
        let mut bytes = fs::read(table(&stage)).unwrap();
        spoil(&mut bytes);
        fs::write(table(&stage), &bytes).unwrap();
        let before = contents(&stage.recordings());
        let failed = stage
            .stenod(["run"])
            .code(1)
            .says("is damaged")
            .says("set aside");
        let failed = failed.says("free of charge");
        let asides = set_aside(&stage);
        let [aside] = asides.as_slice() else {
            panic!("{way}: {asides:?}\n{}", failed.tell())
        };
        assert!(failed.stderr.contains(aside.to_str().unwrap()), "{way}");
        assert!(fs::read(aside).unwrap() == bytes, "{way}: it was changed");
        assert!(!table(&stage).exists(), "{way}");
        assert!(contents(&stage.recordings()) == before, "{way}");
        starts_over_for_nothing(&stage, 3);
        assert_eq!(set_aside(&stage), asides, "{way}");
        stage.check();
    }
}

#[test]
fn whoever_only_reads_moves_nothing() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    fs::write(table(&stage), vec![b'x'; 20_000]).unwrap();
    let before = contents(&stage.state());
    for command in ["status", "list", "plan"] {
        stage
            .stenod([command])
            .code(1)
            .says("is damaged")
            .says("nothing was changed");
    }
    stage.stenod(["doctor", "--offline"]).says("is damaged");
    let without_lock = |mut files: BTreeMap<String, Vec<u8>>| {
        files.remove("lock");
        files
    };
    assert!(without_lock(contents(&stage.state())) == without_lock(before));
}

#[test]
fn other_settings_are_another_transcript_and_paid_for() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    lose_the_table(&stage);
    let kept = contents(&stage.recordings());
    stage.stenod(["run", "-m", "Elevenlabs-STT"]).success();
    assert_eq!(charges(&stage), 2);
    lose_the_table(&stage);
    stage.stenod(["run", "-l", "de"]).success();
    assert_eq!(charges(&stage), 3);
    // What lay there was left alone, and both are found again by their settings.
    for (name, bytes) in kept {
        assert!(fs::read(stage.at(&name)).unwrap() == bytes, "{name}");
    }
    lose_the_table(&stage);
    stage.stenod(["run", "-m", "Elevenlabs-STT"]).success();
    stage.stenod(["run", "-l", "de"]).success();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 3);
}

#[test]
fn force_pays_again_with_and_without_a_table() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    lose_the_table(&stage);
    stage.stenod(["run", "--force"]).success();
    assert_eq!(charges(&stage), 2);
    lose_the_table(&stage);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 2);
    stage.stenod(["run", "--force"]).success();
    assert_eq!(charges(&stage), 3);
}

#[test]
fn a_copy_and_a_new_name_of_what_was_taken_up_are_free() {
    let stage = stage();
    let bytes = wav(1, 2.0);
    stage.put("a.wav", &bytes);
    stage.stenod(["run"]).success();
    lose_the_table(&stage);
    stage.put("sub/copy.wav", &bytes);
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("sub/copy.txt").trim(), text_of(&bytes));
    let copy = stage.read_json("sub/copy.json");
    assert_eq!(copy["cost"]["amount"], "0", "{copy}");
    assert_eq!(copy["source"]["file_name"], "copy.wav");
    fs::rename(stage.at("a.wav"), stage.at("renamed.wav")).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("renamed.txt"), stage.read("a.txt"));
    let (old, new) = (stage.read_json("a.json"), stage.read_json("renamed.json"));
    assert_eq!(
        (&old["segments"], &old["cost"]),
        (&new["segments"], &new["cost"])
    );
    assert_eq!(charges(&stage), 1);
    // A folder that was copied with its transcripts is known as it is.
    lose_the_table(&stage);
    fs::remove_file(stage.at("a.txt")).unwrap();
    fs::remove_file(stage.at("a.json")).unwrap();
    starts_over_for_nothing(&stage, 2);
}

#[test]
fn a_copy_beside_it_with_another_extension_does_not_take_its_outputs() {
    let stage = stage();
    let bytes = wav(1, 1.0);
    stage.put("b.wav", &bytes);
    stage.stenod(["run"]).success();
    let kept = contents(&stage.recordings());
    stage.put("b.mp3", &bytes);
    for _ in 0..2 {
        stage.stenod(["run"]).success();
        for (name, bytes) in &kept {
            assert!(fs::read(stage.at(name)).unwrap() == *bytes, "{name}");
        }
        assert_eq!(charges(&stage), 1);
        lose_the_table(&stage);
    }
}

#[test]
fn an_edited_text_stays_and_gets_no_company() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    fs::write(stage.at("a.txt"), "my own words\n").unwrap();
    lose_the_table(&stage);
    starts_over_for_nothing(&stage, 1);
    assert_eq!(stage.read("a.txt"), "my own words\n");
    assert_eq!(stage.names(), ["a.json", "a.txt", "a.wav"]);
    // Also what is transcribed anew goes beside it.
    stage.stenod(["run", "--force"]).success();
    assert_eq!(stage.read("a.txt"), "my own words\n");
    assert_eq!(stage.names(), ["a.2.txt", "a.json", "a.txt", "a.wav"]);
}

#[test]
fn a_transcript_with_speakers_and_words_is_taken_up_whole() {
    let stage = stage();
    let bytes = wav(1, 3.0);
    stage.put("meeting.wav", &bytes);
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.diarize", true);
    stage.set("transcribe.formats", vec!["txt", "json", "vtt", "md"]);
    stage.stenod(["run"]).success();
    lose_the_table(&stage);
    starts_over_for_nothing(&stage, 1);
    let job = stage.json(&["list"])[0].clone();
    assert_eq!(job["outputs"].as_array().unwrap().len(), 5, "{job}");
    assert!(job["run_id"].is_string(), "{job}");
    stage.put("copy.wav", &bytes);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
    let (old, new) = (
        stage.read_json("meeting.json"),
        stage.read_json("copy.json"),
    );
    for key in [
        "text", "segments", "speakers", "events", "timing", "duration",
    ] {
        assert_eq!(old[key], new[key], "{key}");
    }
    assert_eq!(old["speakers"].as_array().unwrap().len(), 2);
    assert_eq!(stage.read("meeting.vtt"), stage.read("copy.vtt"));
    let (old, new) = (
        stage.read_json("meeting.diarization.json"),
        stage.read_json("copy.diarization.json"),
    );
    assert_eq!(
        (&old["words"], &old["segments"]),
        (&new["words"], &new["segments"])
    );
}

#[test]
fn what_is_hostile_edited_or_foreign_is_left_alone_and_the_recording_is_sent() {
    let stage = stage();
    stage.put("good.wav", &wav(9, 1.0));
    stage.stenod(["run"]).success();
    let good = fs::read(stage.at("good.json")).unwrap();
    lose_the_table(&stage);
    let text = String::from_utf8(good.clone()).unwrap();
    let mut plain: Value = serde_json::from_str(&text).unwrap();
    plain.as_object_mut().unwrap().remove("seal");
    let files: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{}".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        "[".repeat(3_000_000).into_bytes(),
        vec![b' '; 70 * 1024 * 1024],
        good[..good.len() - 2].to_vec(),
        text.replace("Recording", "Edited").into_bytes(),
        serde_json::to_vec_pretty(&plain).unwrap(),
        // Whole and sealed, and of another recording.
        good.clone(),
    ];
    for (number, bytes) in (20..).zip(&files) {
        stage.put(format!("{number}.wav"), &wav(number, 1.0));
        fs::write(stage.at(format!("{number}.json")), bytes).unwrap();
    }
    stage.put("link.wav", &wav(9, 1.0));
    symlink(stage.at("good.json"), stage.at("link.json")).unwrap();
    stage.put("folder.wav", &wav(60, 1.0));
    fs::create_dir(stage.at("folder.json")).unwrap();
    stage.stenod(["run"]).success();
    // All of them, but not the copy behind the link: its twin was taken up.
    assert_eq!(charges(&stage), 1 + files.len() + 1);
    for (number, bytes) in (20..).zip(&files) {
        let kept = fs::read(stage.at(format!("{number}.json"))).unwrap();
        assert!(kept == *bytes, "{number}.json was changed");
        assert!(stage.at(format!("{number}.2.json")).exists(), "{number}");
    }
    assert!(fs::read(stage.at("good.json")).unwrap() == good);
    assert!(stage.at("link.json").is_symlink());
    stage.check();
}

#[test]
fn a_mirrored_tree_of_outputs_is_taken_up() {
    let stage = stage();
    let output = stage.root().join("out");
    stage.set("transcribe.output_dir", output.display().to_string());
    stage.put("deep/a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    assert!(output.join("deep/a.json").exists());
    let before = contents(&output);
    lose_the_table(&stage);
    starts_over_for_nothing(&stage, 1);
    assert!(contents(&output) == before);
}
