//! `stenod explain`: the same answer as the scan, the table and the plan give.

use std::fs;
use std::path::Path;

use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::Stage;

use super::stage;

fn explain(stage: &Stage, path: &Path) -> Value {
    let json = stage.json(&["explain", path.to_str().unwrap()]);
    let text = stage.stenod([Path::new("explain"), path]).success().stdout;
    let message = json["message"].as_str().unwrap();
    assert!(text.contains(message), "{text} does not say {message}");
    json
}

#[track_caller]
fn answers(found: &Value, answer: &str, code: Option<&str>) {
    assert_eq!(found["answer"], answer, "{found:#}");
    assert_eq!(found["code"].as_str(), code, "{found:#}");
}

#[test]
fn names_and_rules_are_named() {
    let stage = stage();
    stage.set_folders("exclude", serde_json::json!(["drafts", "*-old.wav"]));
    for (name, code) in [
        (".hidden.wav", "temporary_name"),
        (".git/a.wav", "hidden"),
        ("notes.pdf", "not_audio"),
        ("a.wav.part", "temporary_name"),
        ("@eaDir/a.wav", "pruned_folder"),
        ("drafts/a.wav", "excluded"),
        ("talk-old.wav", "excluded"),
    ] {
        let path = stage.put(name, &wav(1, 0.5));
        answers(&explain(&stage, &path), "left_out", Some(code));
    }
    stage.set_folders("recursive", false);
    let path = stage.put("sub/a.wav", &wav(1, 0.5));
    answers(&explain(&stage, &path), "left_out", Some("too_deep"));
}

#[test]
fn what_is_gone_is_told_and_what_never_was_is_no_such_file() {
    let stage = stage();
    for never in [stage.at("nothing.wav"), "/nowhere/at/all.wav".into()] {
        let never = never.to_str().unwrap();
        let found = stage.stenod(["explain", never, "--json"]).code(1).json();
        answers(&found, "missing", Some("no_such_file"));
        stage
            .stenod(["explain", never])
            .code(1)
            .says("nothing at this path");
    }
    let path = stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run", "--yes"]).success();
    fs::remove_file(&path).unwrap();
    let gone = explain(&stage, &path);
    answers(&gone, "gone", None);
    assert_eq!(gone["fix"], "stenod show 1");
}

#[test]
fn a_recording_goes_from_send_to_done_and_its_outputs_are_known() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 3.0));
    let before = explain(&stage, &path);
    answers(&before, "send", None);
    assert!(
        before["message"].as_str().unwrap().contains("$0.000025"),
        "{before:#}"
    );
    stage.stenod(["run", "--yes"]).success();
    let after = explain(&stage, &path);
    answers(&after, "done", None);
    assert_eq!(after["job"], 1);
    let output = explain(&stage, &stage.at("a.txt"));
    answers(&output, "output", None);
    assert!(
        !output["message"].as_str().unwrap().contains("edited"),
        "{output:#}"
    );
    stage.put("a.txt", b"by hand");
    let edited = explain(&stage, &stage.at("a.txt"));
    assert!(
        edited["message"]
            .as_str()
            .unwrap()
            .contains("never replaced"),
        "{edited:#}"
    );
    let copy = stage.put("copy.wav", &wav(1, 3.0));
    let copy = explain(&stage, &copy);
    answers(&copy, "duplicate", Some("duplicate"));
    assert_eq!(copy["duplicate_of"], path.to_str().unwrap());
}

#[test]
fn what_was_just_written_settles_and_says_until_when() {
    let stage = stage();
    stage.set_folders("settle", "1h");
    let path = stage.put("a.wav", &wav(1, 0.5));
    let found = explain(&stage, &path);
    answers(&found, "settling", Some("too_young"));
    assert!(found["until"].is_string(), "{found:#}");
}

#[test]
fn failures_come_with_their_code_and_a_command_to_copy() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 0.5));
    let refusal = Reply::json(
        415,
        &serde_json::json!({"error": 415, "message": "what is this?"}),
    );
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(refusal));
    stage.stenod(["run", "--yes"]).code(3);
    let found = explain(&stage, &path);
    answers(&found, "failed", Some("format_refused"));
    assert!(
        found["message"].as_str().unwrap().contains("what is this?"),
        "{found:#}"
    );
    assert_eq!(found["fix"], "stenod retry 1");
}

#[test]
fn folders_and_files_of_nobody_are_explained_too() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let folder = explain(&stage, &stage.recordings());
    answers(&folder, "folder", None);
    assert!(
        folder["message"].as_str().unwrap().contains("1 file"),
        "{folder:#}"
    );
    let outside = stage.root().join("outside.wav");
    fs::write(&outside, wav(2, 0.5)).unwrap();
    let found = explain(&stage, &outside);
    assert_eq!(found["folder"], Value::Null, "{found:#}");
    let text = stage.put("text.mp3", b"I am a text and was called a recording.\n");
    stage.stenod(["run", "--yes"]).no_panic();
    answers(&explain(&stage, &text), "skipped", Some("not_audio"));
}
