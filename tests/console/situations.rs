//! `stenod explain` in one situation after the other: the answer, its code and what it must say.
//!
//! Each row is a file as people have it. Whoever adds a reason adds a row.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;
use stenod_support::audio::{cut_wav, wav};
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{NOBODY, Stage, is_root};

use super::stage;

/// What is asked about, what the answer is, its code, and words that must be in it.
type Row = (PathBuf, &'static str, Option<&'static str>, &'static str);

#[track_caller]
fn explained(stage: &Stage, rows: Vec<Row>) -> usize {
    let mut wrong = Vec::new();
    let count = rows.len();
    for (path, answer, code, words) in rows {
        let found = stage.json(&["explain", path.to_str().unwrap()]);
        let said = found["message"].as_str().unwrap();
        if found["answer"] != answer || found["code"].as_str() != code || !said.contains(words) {
            wrong.push(format!(
                "{}: wanted {answer}, {code:?}, \"{words}\"; got {found:#}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

/// A recording that nobody has touched for long.
fn old(stage: &Stage, name: &str, bytes: &[u8]) -> PathBuf {
    let path = stage.put(name, bytes);
    let file = File::options().append(true).open(&path).unwrap();
    let then = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(then).unwrap();
    path
}

/// Folders with every kind of rule.
fn ruled() -> Stage {
    let stage = stage();
    let more = [
        ("exclude", json!(["drafts", "*-old.wav"])),
        ("min_length", json!("1s")),
    ];
    stage.no_folders();
    stage.add_folder_with(&stage.recordings(), &more);
    stage.add_folder_with(&stage.at("only"), &[("include", json!(["*.mp3"]))]);
    stage.add_folder_with(&stage.at("flat"), &[("recursive", json!(false))]);
    stage.add_folder_with(&stage.at("slow"), &[("settle", json!("1h"))]);
    stage.add_folder_with(&stage.at("later"), &[("existing", json!(false))]);
    stage.add_folder(&stage.at("away"));
    stage.set("state_dir", stage.at("state").to_str().unwrap());
    stage.put(
        ".stenodignore",
        b"# quiet\n/music/\n*-raw.wav\n!keep-raw.wav\n",
    );
    stage.put("typo/stenod.toml", b"[transcribe]\nlangauge = \"de\"\n");
    stage.put("glob/.stenodignore", b"a{b\n");
    stage
}

#[test]
fn what_rules_leave_out_is_explained_by_the_rule() {
    let stage = ruled();
    let at = |name: &str| stage.put(name, &wav(1, 1.5));
    let rows: Vec<Row> = vec![
        (at(".git/a.wav"), "left_out", Some("hidden"), ".git"),
        (at(".a.wav"), "left_out", Some("temporary_name"), ".*"),
        (at("notes.pdf"), "left_out", Some("not_audio"), "extension"),
        (at("a.wav.part"), "left_out", Some("temporary_name"), "part"),
        (
            at("~syncthing~a.wav"),
            "left_out",
            Some("temporary_name"),
            "syncthing",
        ),
        (
            at("@eaDir/a.wav"),
            "left_out",
            Some("pruned_folder"),
            "@eaDir",
        ),
        (
            at("drafts/deep/a.wav"),
            "left_out",
            Some("excluded"),
            "`drafts`",
        ),
        (at("a-old.wav"), "left_out", Some("excluded"), "`*-old.wav`"),
        (at("music/a.wav"), "left_out", Some("ignored"), "line 2"),
        (at("deep/a-raw.wav"), "left_out", Some("ignored"), "line 3"),
        (at("deep/keep-raw.wav"), "send", None, "$"),
        (at("state/a.wav"), "left_out", Some("own_folder"), "state"),
        (
            at("only/a.wav"),
            "left_out",
            Some("not_included"),
            "include",
        ),
        (
            at("flat/sub/a.wav"),
            "left_out",
            Some("too_deep"),
            "recursive",
        ),
    ];
    assert_eq!(explained(&stage, rows), 14);
}

#[test]
fn what_a_folder_lets_wait_or_passes_over_is_explained_by_its_setting() {
    let stage = ruled();
    let at = |name: &str| stage.put(name, &wav(1, 1.5));
    let rows: Vec<Row> = vec![
        (at("slow/a.wav"), "settling", Some("too_young"), "young"),
        (
            at("later/a.wav"),
            "skipped",
            Some("existing"),
            "before the first start",
        ),
        (
            at("typo/deep/a.wav"),
            "skipped",
            Some("folder_settings"),
            "stenod.toml:2:1",
        ),
        (
            at("glob/a.wav"),
            "skipped",
            Some("folder_settings"),
            ".stenodignore",
        ),
        (
            stage.put("short.wav", &wav(2, 0.3)),
            "skipped",
            Some("too_short"),
            "min_length",
        ),
        (stage.at("away/a.wav"), "skipped", Some("missing"), "away"),
    ];
    assert_eq!(explained(&stage, rows), 6);
}

#[test]
fn what_a_file_is_explains_why_it_waits_or_is_passed_over() {
    let stage = stage();
    let real = stage.put("elsewhere/real.wav", &wav(1, 0.5));
    let elsewhere = stage.root().join("elsewhere");
    fs::rename(stage.at("elsewhere"), &elsewhere).unwrap();
    drop(real);
    symlink(&elsewhere, stage.at("linked")).unwrap();
    symlink(elsewhere.join("real.wav"), stage.at("link.wav")).unwrap();
    symlink(stage.at("nowhere.wav"), stage.at("broken.wav")).unwrap();
    symlink(stage.at("loop.wav"), stage.at("loop.wav")).unwrap();
    let pipe = Command::new("mkfifo").arg(stage.at("pipe.wav")).status();
    assert!(pipe.unwrap().success());
    let rows: Vec<Row> = vec![
        (
            stage.at("linked"),
            "skipped",
            Some("folder_link"),
            "not followed",
        ),
        (
            stage.at("linked/real.wav"),
            "skipped",
            Some("folder_link"),
            "below",
        ),
        (stage.at("link.wav"), "send", None, "$"),
        (
            stage.at("broken.wav"),
            "skipped",
            Some("broken_link"),
            "link",
        ),
        (stage.at("loop.wav"), "skipped", Some("loop"), "itself"),
        (stage.at("pipe.wav"), "skipped", Some("not_a_file"), "pipe"),
        (
            stage.put("empty.wav", b""),
            "settling",
            Some("empty"),
            "empty",
        ),
        (
            old(&stage, "cut.wav", &cut_wav(3, 1.0)),
            "settling",
            Some("cut_short"),
            "not complete yet: cut short: ",
        ),
        (
            old(&stage, "text.mp3", b"I am a text.\n"),
            "skipped",
            Some("not_audio"),
            "",
        ),
        (
            stage.recordings(),
            "folder",
            None,
            "files that may be recordings",
        ),
    ];
    assert_eq!(explained(&stage, rows), 10);
}

#[test]
fn what_became_of_a_recording_is_explained_by_its_job() {
    let stage = stage();
    let done = stage.put("done.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let refused = stage.put("refused.wav", &wav(2, 0.5));
    let refusal = json!({"error": 415, "message": "what is this?"});
    let rule = Rule::on(Endpoint::Submit).answer(Reply::json(415, &refusal));
    stage.service.script(rule);
    stage.stenod(["run"]).code(3);
    stage.set("budget.per_file", "0.0001");
    let dear = stage.put("dear.wav", &wav(3, 60.0));
    stage.stenod(["run"]).no_panic();
    let words = "budget.per_file";
    let held: Vec<Row> = vec![(dear.clone(), "waiting", Some("over_file_budget"), words)];
    assert_eq!(explained(&stage, held), 1);
    stage.stenod(["cancel", dear.to_str().unwrap()]).success();
    stage.set("budget.per_file", "0");
    let gone = stage.put("gone.wav", &wav(4, 0.5));
    stage.stenod(["run"]).no_panic();
    fs::remove_file(&gone).unwrap();
    let copy = stage.put("copy.wav", &wav(1, 0.5));
    stage.stenod(["pause"]).success();
    let paused = stage.put("paused.wav", &wav(5, 0.5));
    let rows: Vec<Row> = vec![
        (done, "done", None, "job 1"),
        (stage.at("done.txt"), "output", None, "job 1"),
        (refused, "failed", Some("format_refused"), "what is this?"),
        (dear, "cancelled", None, "stopped by hand"),
        (gone, "gone", None, "not there any more"),
        (copy, "duplicate", Some("duplicate"), "done.wav"),
        (paused, "send", Some("operator"), "paused"),
    ];
    assert_eq!(explained(&stage, rows), 7);
}

#[test]
fn what_may_not_be_read_is_explained_as_that() {
    if !is_root() {
        return;
    }
    let stage = stage();
    let closed = stage.put("closed.wav", &wav(1, 0.5));
    let below = stage.put("folder/a.wav", &wav(2, 0.5));
    stage.give_away();
    let close = |path: &std::path::Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        fs::set_permissions(path, mode).unwrap();
    };
    close(&closed);
    close(below.parent().unwrap());
    for path in [closed, below] {
        let call = stage.call(["explain", path.to_str().unwrap(), "--json"]);
        let found = call.user(NOBODY).output().success().json();
        assert_eq!(found["answer"], "skipped", "{found:#}");
        assert_eq!(found["code"], "permission_denied", "{found:#}");
    }
}

#[test]
fn what_ends_in_zeros_is_explained_by_its_age() {
    let stage = stage();
    let mut half_written = wav(5, 2.0);
    let half = half_written.len() / 2;
    half_written[half..].fill(0);
    let young = stage.put("young.wav", &half_written);
    let rows: Vec<Row> = vec![
        (
            young,
            "settling",
            Some("preallocated"),
            "zeros where its content should be",
        ),
        (old(&stage, "old.wav", &half_written), "send", None, "$"),
    ];
    assert_eq!(explained(&stage, rows), 2);
}
