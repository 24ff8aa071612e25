//! The main road: what `stenod run` sends, writes and leaves alone, seen from outside.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{Submit, usual_text};
use stenod_support::stage::{KEY, Stage, tree};

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/speech");
    fs::read(folder.join(name)).unwrap()
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn text_of(bytes: &[u8]) -> String {
    usual_text(&hash(bytes))
}

/// The submits that arrived whole.
fn submits(stage: &Stage) -> Vec<Submit> {
    stage
        .service
        .look(|log| log.submits().filter_map(|one| one.submit.clone()).collect())
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[test]
fn the_bytes_that_arrive_are_the_bytes_of_the_file() {
    let stage = stage();
    let sizes = [0.05, 0.3, 1.0, 7.9, 80.0];
    let recordings: Vec<_> = (1u64..)
        .zip(sizes)
        .map(|(seed, size)| wav(seed, size))
        .collect();
    for (number, bytes) in recordings.iter().enumerate() {
        stage.put(format!("{number}.wav"), bytes);
    }
    stage.stenod(["run"]).success();
    let mut sent: Vec<_> = submits(&stage).into_iter().map(|one| one.content).collect();
    let mut wanted: Vec<_> = recordings.iter().map(|bytes| hash(bytes)).collect();
    sent.sort();
    wanted.sort();
    assert_eq!(sent, wanted);
    stage.check();
}

#[test]
fn fields_have_the_documented_names_and_types() {
    let stage = stage();
    stage.put("meeting.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let submit = submits(&stage).remove(0);
    assert_eq!(submit.file_field, "audio");
    assert_eq!(submit.field("model"), Some("Whisper-Large-V3"));
    assert_eq!(submit.field("actualDuration"), Some("0.0500"));
    assert!(
        submit
            .field("language")
            .is_none_or(|language| language == "auto")
    );
    let optional = ["actualDuration", "language", "model"];
    assert!(
        submit.names().iter().all(|name| optional.contains(name)),
        "{:?}",
        submit.names()
    );
    stage.service.look(|log| {
        let head = &log.submits().next().unwrap().head;
        assert_eq!(head.header("x-api-key"), Some(KEY));
        assert!(head.length().is_some() && !head.chunked());
    });
    stage.check();
}

#[test]
fn every_format_goes_out_with_its_own_name_and_type_and_true_length() {
    let stage = stage();
    for (name, minutes) in [
        ("young-man.wav", 2.99 / 60.0),
        ("amiable.mp3", 3.3 / 60.0),
        ("selfish.m4a", 5.3 / 60.0),
        ("respectable.ogg", 6.05 / 60.0),
        ("dashwood.aac", 7.1 / 60.0),
    ] {
        let bytes = fixture(name);
        stage.put(name, &bytes);
        stage.stenod(["run"]).success();
        let submit = submits(&stage).pop().unwrap();
        assert_eq!(submit.content, hash(&bytes), "{name}");
        let sent: f64 = submit.field("actualDuration").unwrap().parse().unwrap();
        assert!((sent - minutes).abs() < 0.002, "{name}: {sent} minutes");
    }
    assert_eq!(charges(&stage), 5);
    stage.check();
}

#[test]
fn a_misnamed_recording_goes_out_as_what_it_is() {
    let stage = stage();
    stage.put("really-wav.mp3", &fixture("young-man.wav"));
    stage.put("really-mp3.wav", &fixture("amiable.mp3"));
    stage.put("really-ogg.m4a", &fixture("respectable.ogg"));
    stage.stenod(["run"]).success();
    let mut types: Vec<_> = submits(&stage)
        .into_iter()
        .map(|submit| submit.mime)
        .collect();
    types.sort();
    assert_eq!(types, ["audio/mpeg", "audio/ogg", "audio/wav"]);
    stage.check();
}

#[test]
fn the_transcript_lies_beside_the_recording_as_text_and_json() {
    let stage = stage();
    let bytes = wav(1, 3.0);
    stage.put("meeting.wav", &bytes);
    stage.stenod(["run"]).success();
    assert_eq!(
        stage.names(),
        ["meeting.json", "meeting.txt", "meeting.wav"]
    );
    assert_eq!(stage.read("meeting.txt").trim(), text_of(&bytes));
    let json = stage.read_json("meeting.json");
    assert_eq!(json["format"], "stenod.transcript");
    assert_eq!(json["version"], 1);
    assert_eq!(json["text"], text_of(&bytes));
    assert_eq!(json["language"], "en");
    assert_eq!(json["timing"], "none");
    assert!(
        (json["duration"].as_f64().unwrap() - 3.0).abs() < 0.01,
        "{json}"
    );
    assert_eq!(
        (&json["cost"]["amount"], &json["cost"]["currency"]),
        (&json!("0.000025"), &json!("USD"))
    );
    for key in [
        "segments", "speakers", "events", "source", "job", "warnings",
    ] {
        assert!(json.get(key).is_some(), "{key} is missing in {json}");
    }
    let source = json["source"].to_string();
    assert!(
        source.contains("meeting.wav") && source.contains(&hash(&bytes)),
        "{source}"
    );
    assert!(source.contains(&bytes.len().to_string()), "{source}");
    let root = stage.root().to_str().unwrap().to_owned();
    assert!(
        !json.to_string().contains(&root),
        "an absolute path in {json}"
    );
    assert_eq!(json["job"]["provider"], "nanogpt");
    assert_eq!(json["job"]["model"], "Whisper-Large-V3");
}

#[test]
fn a_ticket_is_polled_to_its_end_and_echoed_whole() {
    for full in [true, false] {
        let stage = stage();
        stage
            .service
            .behave(|behaviour| behaviour.full_tickets = full);
        stage.put("meeting.wav", &wav(1, 2.0));
        stage.stenod(["run", "-m", "Elevenlabs-STT"]).success();
        assert_eq!(
            stage
                .service
                .look(|log| (log.submits().count(), log.polls().count())),
            (1, 3)
        );
        assert!(stage.names().contains(&"meeting.txt".to_owned()));
        stage.check();
    }
}

#[test]
fn a_reply_is_asynchronous_because_it_says_so_and_not_by_its_code() {
    let stage = stage();
    stage
        .service
        .behave(|behaviour| behaviour.ticket_status = 200);
    stage.put("meeting.wav", &wav(1, 2.0));
    stage.stenod(["run", "-m", "Elevenlabs-STT"]).success();
    assert_eq!(stage.service.look(|log| log.polls().count()), 3);
    assert_eq!(stage.read("meeting.txt").trim(), text_of(&wav(1, 2.0)));
}

#[test]
fn speakers_are_written_when_the_reply_has_them() {
    let stage = stage();
    let bytes = wav(1, 3.0);
    stage.put("meeting.wav", &bytes);
    stage
        .stenod(["run", "-m", "Elevenlabs-STT", "--diarize"])
        .success();
    let submit = submits(&stage).remove(0);
    assert_eq!(submit.field("diarize"), Some("true"));
    let names = stage.names();
    assert!(
        names.contains(&"meeting.diarization.json".to_owned()),
        "{names:?}"
    );
    let diarization = stage.read_json("meeting.diarization.json");
    assert_eq!(diarization["format"], "stenod.diarization");
    assert_eq!(diarization["version"], 1);
    assert_eq!(
        diarization["speakers"].as_array().unwrap().len(),
        2,
        "{diarization}"
    );
    for speaker in diarization["speakers"].as_array().unwrap() {
        for key in ["id", "label", "seconds", "turns"] {
            assert!(speaker.get(key).is_some(), "{key} is missing in {speaker}");
        }
    }
    let segments = diarization["segments"].as_array().unwrap();
    assert_ne!(
        segments.first().unwrap()["speaker"],
        segments.last().unwrap()["speaker"]
    );
    assert!(
        (segments[0]["start"].as_f64().unwrap() - 0.25).abs() < 0.001,
        "{diarization}"
    );
    assert!(!diarization["words"].as_array().unwrap().is_empty());
    let json = stage.read_json("meeting.json");
    assert_eq!(json["timing"], "words");
    let words = json["segments"][0]["words"].as_array().unwrap();
    assert_eq!(words[0]["word"].as_str().unwrap().trim(), "Recording");
    assert_eq!(words[0]["speaker"], json["segments"][0]["speaker"]);
    stage.check();
}

#[test]
fn audio_events_are_asked_for_only_where_configured() {
    let stage = stage();
    stage.put("meeting.wav", &wav(1, 1.0));
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.tag_audio_events", true);
    stage.stenod(["run"]).success();
    assert_eq!(submits(&stage)[0].field("tagAudioEvents"), Some("true"));
    assert!(
        submits(&stage)[0]
            .field("diarize")
            .is_none_or(|value| value == "false")
    );
    stage.check();
}

#[test]
fn only_the_documented_files_are_made_and_the_sources_stay_as_they_were() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    let locked = stage.put("deep/er/b.wav", &wav(2, 1.0));
    stage.put("deep/notes.md", b"mine");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o440)).unwrap();
    let before = tree(&stage.recordings());
    stage.stenod(["run"]).success();
    let after = tree(&stage.recordings());
    for (path, entry) in before
        .iter()
        .filter(|(_, entry)| entry.mode & 0o170_000 == 0o100_000)
    {
        assert_eq!(after.get(path), Some(entry), "{}", path.display());
    }
    let made: Vec<_> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    let made: Vec<_> = made.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(made, ["a.json", "a.txt", "deep/er/b.json", "deep/er/b.txt"]);
}

#[test]
fn the_times_of_a_source_stay() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 1.0));
    let old = SystemTime::now() - Duration::from_secs(400_000);
    let older = old - Duration::from_secs(400_000);
    let times = FileTimes::new().set_accessed(older).set_modified(old);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(times)
        .unwrap();
    let times = |data: fs::Metadata| (data.atime(), data.mtime(), data.ctime_nsec());
    let before = times(fs::metadata(&path).unwrap());
    stage.stenod(["run"]).success();
    assert_eq!(times(fs::metadata(&path).unwrap()), before);
}

#[test]
fn outputs_have_the_mode_that_the_umask_leaves() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let usual = mode(&stage.put("usual", b"x"));
    stage.stenod(["run"]).success();
    assert_eq!(
        (mode(&stage.at("a.txt")), mode(&stage.at("a.json"))),
        (usual, usual)
    );
}

#[test]
fn a_second_run_sends_nothing_and_says_so() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.put("b.wav", &wav(2, 1.0));
    stage.stenod(["run"]).success();
    let before = tree(&stage.recordings());
    stage.stenod(["run"]).success().says("nothing to do");
    assert_eq!(submits(&stage).len(), 2);
    assert_eq!(tree(&stage.recordings()), before);
}

#[test]
fn an_empty_folder_is_nothing_to_do() {
    let stage = stage();
    stage.stenod(["run"]).success().says("nothing to do");
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn copies_renames_and_hard_links_are_free_and_get_their_own_outputs() {
    let stage = stage();
    let bytes = wav(1, 1.0);
    stage.put("first.wav", &bytes);
    stage.stenod(["run"]).success();
    stage.put("copy.wav", &bytes);
    fs::hard_link(stage.at("first.wav"), stage.at("link.wav")).unwrap();
    stage.stenod(["run"]).success();
    fs::create_dir(stage.at("moved")).unwrap();
    fs::rename(stage.at("first.wav"), stage.at("moved/renamed.wav")).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
    for name in ["first.txt", "copy.txt", "link.txt", "moved/renamed.txt"] {
        assert_eq!(stage.read(name).trim(), text_of(&bytes), "{name}");
    }
    assert!(stage.names().contains(&"moved/renamed.json".to_owned()));
}

#[test]
fn copies_in_one_run_are_paid_for_once() {
    let stage = stage();
    for name in ["a.wav", "b.wav", "sub/c.wav", "sub/d.wav"] {
        stage.put(name, &wav(1, 1.0));
    }
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
    for name in ["a.txt", "b.txt", "sub/c.txt", "sub/d.txt"] {
        assert_eq!(stage.read(name).trim(), text_of(&wav(1, 1.0)), "{name}");
    }
}

#[test]
fn an_edited_recording_is_a_new_one() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    stage.put("a.wav", &wav(2, 1.0));
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 2);
    let texts: Vec<_> = stage
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".txt"))
        .collect();
    let read: Vec<_> = texts
        .iter()
        .map(|name| stage.read(name).trim().to_owned())
        .collect();
    assert!(read.contains(&text_of(&wav(2, 1.0))), "{texts:?} {read:?}");
}

#[test]
fn a_transcript_that_was_edited_is_kept() {
    let stage = stage();
    let bytes = wav(1, 1.0);
    stage.put("a.wav", &bytes);
    stage.stenod(["run"]).success();
    stage.put("a.txt", b"corrected by hand");
    stage.stenod(["run"]).success();
    assert_eq!(
        (stage.read("a.txt").as_str(), charges(&stage)),
        ("corrected by hand", 1)
    );
    stage.stenod(["run", "--force", "--yes"]).success();
    assert_eq!(
        (stage.read("a.txt").as_str(), charges(&stage)),
        ("corrected by hand", 2)
    );
    assert_eq!(
        stage.read("a.2.txt").trim(),
        text_of(&bytes),
        "{:?}",
        stage.names()
    );
}

#[test]
fn a_file_of_somebody_else_is_kept() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.put("a.txt", b"shopping list");
    stage.put("a.json", b"{}");
    stage.stenod(["run"]).success();
    assert_eq!(
        (stage.read("a.txt"), stage.read("a.json")),
        ("shopping list".into(), "{}".into())
    );
    let names = stage.names();
    assert_eq!(names.len(), 5, "{names:?}");
    let show = stage
        .json(&["show", stage.at("a.wav").to_str().unwrap()])
        .to_string();
    let other = names
        .iter()
        .find(|name| name.ends_with(".txt") && *name != "a.txt")
        .unwrap();
    assert_eq!(stage.read(other).trim(), text_of(&wav(1, 1.0)));
    assert!(show.contains(other), "{show} says nothing of {other}");
}

#[test]
fn the_later_of_two_recordings_with_one_stem_keeps_its_whole_name() {
    let stage = stage();
    let (first, later) = (fixture("amiable.mp3"), wav(2, 1.0));
    stage.put("meeting.mp3", &first);
    stage.stenod(["run"]).success();
    stage.put("meeting.wav", &later);
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("meeting.txt").trim(), text_of(&first));
    assert_eq!(stage.read("meeting.wav.txt").trim(), text_of(&later));
    assert_eq!(stage.names().len(), 6, "{:?}", stage.names());
}

#[test]
fn two_recordings_with_one_stem_never_mix_in_one_run() {
    let stage = stage();
    let recordings = [
        ("meeting.mp3", fixture("amiable.mp3")),
        ("meeting.wav", wav(2, 1.0)),
    ];
    for (name, bytes) in &recordings {
        stage.put(name, bytes);
    }
    stage.stenod(["run"]).success();
    assert_eq!(stage.names().len(), 6, "{:?}", stage.names());
    let plain = stage.read("meeting.txt");
    let later = recordings
        .iter()
        .find(|(_, bytes)| text_of(bytes) != plain.trim())
        .unwrap();
    assert_eq!(
        stage.read(format!("{}.txt", later.0)).trim(),
        text_of(&later.1)
    );
}

#[test]
fn strange_names_are_no_problem() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let stage = stage();
    let long = format!("{}.wav", "n".repeat(250));
    let names: [&[u8]; 6] = [
        b"caf\xe9.wav",
        b"two\nlines.wav",
        b"-rf.wav",
        b"a \"b\" c.wav",
        "日本語.wav".as_bytes(),
        long.as_bytes(),
    ];
    for (seed, name) in (1..).zip(names) {
        stage.put(OsStr::from_bytes(name), &wav(seed, 0.5));
    }
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 6);
    for name in [
        b"caf\xe9.txt".as_slice(),
        b"two\nlines.txt",
        b"-rf.txt",
        "日本語.txt".as_bytes(),
    ] {
        assert!(
            stage.at(OsStr::from_bytes(name)).exists(),
            "{:?}",
            stage.names()
        );
    }
    assert_eq!(stage.names().len(), 18, "{:?}", stage.names());
    assert_eq!(stage.json(&["list"]).as_array().unwrap().len(), 6);
    stage.stenod(["run"]).success().says("nothing to do");
    stage.check();
}

#[test]
fn a_path_on_the_command_line_is_all_that_is_done() {
    let stage = stage();
    let file = stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    stage.put("sub/c.wav", &wav(3, 0.5));
    stage.stenod([Path::new("run"), &file]).success();
    assert_eq!(charges(&stage), 1);
    stage.stenod([Path::new("run"), &stage.at("sub")]).success();
    assert_eq!(charges(&stage), 2);
    assert!(stage.at("a.txt").exists() && stage.at("sub/c.txt").exists());
    assert!(!stage.at("b.txt").exists());
}

#[test]
fn a_relative_path_and_a_folder_outside_of_the_configured_ones_work() {
    let stage = stage();
    let outside = stage.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x.wav"), wav(1, 0.5)).unwrap();
    stage
        .call(["run", "outside"])
        .inside(stage.root())
        .output()
        .success();
    assert!(outside.join("x.txt").exists());
}

#[test]
fn a_fresh_machine_needs_no_configuration() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let call = stage.call([Path::new("run"), &stage.recordings()]);
    let call = call
        .without("STENOD_CONFIG")
        .env("STENOD_SERVICE__BASE_URL", stage.service.url());
    call.output().success();
    assert!(stage.at("a.txt").exists());
    assert!(stage.root().join("home/.local/state/stenod").is_dir());
}

#[test]
fn the_settings_of_the_command_line_reach_the_service() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage
        .stenod(["run", "-m", "Wizper", "-l", "de", "-f", "txt"])
        .success();
    let submit = submits(&stage).remove(0);
    assert_eq!(
        (submit.field("model"), submit.field("language")),
        (Some("Wizper"), Some("de"))
    );
    assert_eq!(stage.names(), ["a.txt", "a.wav"]);
    stage.check();
}

#[test]
fn an_output_folder_gets_a_mirrored_tree() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("sub/deep/b.wav", &wav(2, 0.5));
    let before = tree(&stage.recordings());
    let out = stage.root().join("out");
    stage
        .stenod([Path::new("run"), Path::new("-o"), &out])
        .success();
    let wanted = ["a.json", "a.txt", "sub/deep/b.json", "sub/deep/b.txt"];
    assert_eq!(stenod_support::stage::names(&out), wanted);
    assert_eq!(tree(&stage.recordings()), before);
}

#[test]
fn include_exclude_and_depth_are_respected() {
    let stage = stage();
    for (seed, name) in (1..).zip(["keep-1.wav", "drop-1.wav", "other.wav", "sub/keep-2.wav"]) {
        stage.put(name, &wav(seed, 0.5));
    }
    let texts = || {
        let names = stage.names().into_iter();
        names
            .filter(|name| name.ends_with(".txt"))
            .collect::<Vec<_>>()
    };
    stage
        .stenod(["run", "--include", "keep*", "--no-recursive"])
        .success();
    assert_eq!(texts(), ["keep-1.txt"]);
    stage
        .stenod(["run", "--exclude", "drop*", "--exclude", "sub"])
        .success();
    assert_eq!(texts(), ["keep-1.txt", "other.txt"]);
    stage.stenod(["run"]).success();
    assert_eq!(texts().len(), 4);
}

#[test]
fn a_limit_is_kept_and_the_rest_is_for_later() {
    let stage = stage();
    for seed in 1..=5 {
        stage.put(format!("{seed}.wav"), &wav(seed, 0.5));
    }
    stage.stenod(["run", "--limit", "2"]).success();
    assert_eq!(charges(&stage), 2);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 5);
    stage.check();
}

#[test]
fn a_dry_run_sends_and_writes_nothing() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    let before = tree(&stage.recordings());
    stage.stenod(["run", "--dry-run"]).success().says("a.wav");
    stage.stenod(["plan"]).success().says("a.wav");
    assert_eq!(tree(&stage.recordings()), before);
    assert_eq!(submits(&stage).len(), 0);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn hidden_and_temporary_files_and_pruned_folders_are_left_alone() {
    let stage = stage();
    for (seed, name) in (1..).zip([
        ".hidden.wav",
        "a.wav.part",
        "._a.wav",
        "~$a.wav",
        "@eaDir/a.wav",
        ".stversions/a.wav",
        ".Trash-1000/a.wav",
        "__MACOSX/a.wav",
        "b.wav.crdownload",
        ".syncthing.c.wav.tmp",
    ]) {
        stage.put(name, &wav(seed, 0.5));
    }
    stage.put("real.wav", &wav(99, 0.5));
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn its_own_outputs_are_never_taken_for_recordings() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let plan = stage.json(&["plan"]);
    let text = plan.to_string();
    assert!(
        !text.contains("a.txt\"") && !text.contains("a.json\""),
        "{text}"
    );
}

#[test]
fn json_lines_tell_the_story_of_a_run() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    let outcome = stage.stenod(["run", "--json"]).success();
    let types: Vec<_> = outcome
        .lines()
        .iter()
        .map(|line| line["type"].as_str().expect("a type").to_owned())
        .collect();
    let known = ["plan", "job", "progress", "error", "summary"];
    assert!(
        types.iter().all(|kind| known.contains(&kind.as_str())),
        "{types:?}"
    );
    assert_eq!(
        types.iter().filter(|kind| *kind == "plan").count(),
        1,
        "{types:?}"
    );
    assert_eq!(
        types.last().map(String::as_str),
        Some("summary"),
        "{types:?}"
    );
    assert!(
        types.iter().filter(|kind| *kind == "job").count() >= 2,
        "{types:?}"
    );
}

#[test]
fn an_empty_transcript_is_a_result() {
    let stage = stage();
    let silence = wav(1, 0.5);
    stage.service.say(&silence, "");
    stage.put("silence.wav", &silence);
    stage.stenod(["run"]).success();
    stage.stenod(["run"]).success();
    assert_eq!((stage.read("silence.txt").trim(), charges(&stage)), ("", 1));
    assert_eq!(stage.read_json("silence.json")["text"], "");
}

#[test]
fn a_transcript_comes_through_unchanged_whatever_it_is() {
    let stage = stage();
    let text = "Grüße, \"Welt\" <b>&amp;</b> 日本語 🎙 \u{202e}rtl --> 00:00 \\n";
    let bytes = wav(1, 0.5);
    stage.service.say(&bytes, text);
    stage.put("a.wav", &bytes);
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("a.txt").trim(), text);
    assert_eq!(stage.read_json("a.json")["text"], Value::from(text));
}

#[test]
fn outputs_that_were_deleted_do_not_cost_again() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    fs::remove_file(stage.at("a.txt")).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn the_network_is_not_touched_without_need() {
    let stage = stage();
    for arguments in [vec!["plan"], vec!["status"], vec!["list"], vec!["run"]] {
        stage.stenod(arguments).success();
    }
    let paid = stage
        .service
        .look(|log| log.submits().count() + log.polls().count());
    assert_eq!(paid, 0);
}

#[test]
fn a_deleted_transcript_is_written_again_free_of_charge() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run"]).success();
    let text = stage.read("a.txt");
    fs::remove_file(stage.at("a.txt")).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("a.txt"), text);
    assert_eq!(charges(&stage), 1);
}

#[test]
fn a_format_that_is_asked_for_later_is_written_free_of_charge() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage.stenod(["run", "-f", "txt"]).success();
    assert!(!stage.at("a.srt").exists());
    stage.stenod(["run", "-f", "txt,srt"]).success();
    assert!(stage.at("a.srt").exists(), "{:?}", stage.names());
    assert_eq!(charges(&stage), 1);
    stage
        .stenod(["run", "-f", "txt,srt"])
        .success()
        .says("nothing to do");
}

#[test]
fn a_recording_that_comes_back_gets_its_own_transcript_back() {
    let stage = stage();
    let (one, other) = (wav(1, 1.0), wav(2, 1.0));
    stage.put("a.wav", &one);
    stage.stenod(["run"]).success();
    let text = stage.read("a.txt");
    stage.put("a.wav", &other);
    stage.stenod(["run"]).success();
    assert_ne!(stage.read("a.txt"), text);
    stage.put("a.wav", &one);
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("a.txt"), text);
    stage.stenod(["run", "-m", "Wizper"]).success();
    stage.stenod(["run"]).success();
    let model = stage.read_json("a.json")["job"]["model"].clone();
    assert_eq!(model, "Whisper-Large-V3");
    assert_eq!(charges(&stage), 3);
}

#[test]
fn settings_that_mean_nothing_to_the_built_in_recogniser_are_told() {
    let stage = stage();
    stage
        .stenod(["run", "--provider", "local", "--diarize", "-m", "Wizper"])
        .success()
        .says("--diarize has no effect")
        .says("--model has no effect");
}

#[test]
fn what_waits_by_other_settings_is_not_sent_beside_what_is_asked_for_now() {
    let stage = stage();
    for seed in 1..=2 {
        stage.put(format!("{seed}.wav"), &wav(seed, 30.0));
    }
    stage.stenod(["run", "--max-cost", "0.0001"]).code(8);
    let other = stage.stenod(["run", "--yes", "-m", "Wizper"]).success();
    other.says("2 done");
    let status = stage.json(&["status"]);
    assert_eq!(status["jobs"]["queued"], 0, "{status:#}");
    assert_eq!(status["jobs"]["done"], 2, "{status:#}");
    stage.stenod(["render"]).success();
    assert_eq!(stage.read_json("1.json")["job"]["model"], "Wizper");
}

#[test]
fn other_settings_are_paid_for_when_a_run_says_so_and_by_no_daemon_unasked() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 30.0));
    stage.stenod(["run", "--yes", "-m", "Wizper"]).success();
    let mut watch = stage.call(["watch"]).start();
    stage.put("b.wav", &wav(2, 0.5));
    watch.until("the new one", || stage.at("b.json").exists());
    watch.terminate();
    watch.outcome();
    assert_eq!(stage.service.look(|log| log.ledger().charges.len()), 2);
    let plan = stage.json(&["plan"]);
    assert_eq!(
        (&plan["to_send"]["recordings"], &plan["anew"]),
        (&1.into(), &1.into())
    );
    stage
        .stenod(["plan"])
        .success()
        .says("has a transcript already");
    let run = stage.stenod(["run", "--yes"]).success();
    run.says("has a transcript already").says("1 done");
    assert_eq!(stage.json(&["plan"])["anew"], 0);
}

#[test]
fn a_file_that_is_named_and_cannot_be_used_makes_a_run_fail_and_one_in_a_folder_does_not() {
    let stage = stage();
    let text = stage.put("text.mp3", b"I am a text and was called a recording.\n");
    stage.stenod(["run"]).success();
    let named = stage.stenod(["run".as_ref(), text.as_os_str()]);
    named.code(3).says("no recording");
}

#[cfg(feature = "local")]
#[test]
fn the_first_ctrl_c_finishes_what_is_being_recognised_here() {
    let stage = stage();
    stage.set("service.provider", "local");
    let speech = include_bytes!("../examples/recordings/jfk.flac");
    stage.put("a.flac", speech);
    stage.put(
        "b.flac",
        include_bytes!("../examples/recordings/two-cities.ogg"),
    );
    let mut run = stage.call(["run"]).start();
    run.until("the first", || {
        let jobs = stage.json(&["status"])["jobs"]["active"].clone();
        jobs == 1
    });
    run.signal(rustix::process::Signal::INT);
    let outcome = run.outcome().code(130).says("(finished first)");
    let outcome = outcome.says("stopped, and nothing is lost");
    assert!(stage.at("a.txt").exists(), "{}", outcome.tell());
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (&jobs["done"], &jobs["active"]),
        (&1.into(), &0.into()),
        "{jobs}"
    );
}

#[test]
fn what_is_transcribed_anew_is_told_with_its_own_price() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run", "--yes"]).success();
    let anew = stage.stenod(["run", "--yes", "--force"]).success();
    anew.says("(3.0 s), $0.000025 -> a.json a.txt");
}

#[test]
fn a_path_that_is_missing_among_others_is_told_and_keeps_none_of_them() {
    let stage = stage();
    let here = stage.put("a.wav", &wav(1, 0.3));
    let missing = stage.root().join("missing");
    let (here, missing) = (here.to_str().unwrap(), missing.to_str().unwrap());
    stage.stenod(["run", missing, here]).code(3).says(missing);
    assert!(stage.at("a.json").exists());
    stage.stenod(["run", missing]).code(2).says(missing);
    stage.check();
}
