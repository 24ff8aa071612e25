//! Paths as people write them: every spelling finds the same, and a file that is named is always answered for.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};
use stenod_support::audio::{cut_wav, wav};
use stenod_support::stage::{NOBODY, Outcome, Stage, is_root};

use super::stage;

/// A stage with a recording beside the folder that commands are called in, and its name from there.
fn called_from_a_folder_beside() -> (Stage, std::path::PathBuf) {
    let stage = stage();
    let beside = stage.at("sub/deep");
    fs::create_dir_all(&beside).unwrap();
    (stage, beside)
}

#[test]
fn a_path_with_dots_finds_what_the_straight_path_finds() {
    let (stage, inside) = called_from_a_folder_beside();
    let straight = stage.put("n.wav", &wav(1, 1.5));
    let straight = straight.to_str().unwrap();
    let named = "../../n.wav";
    let call = |words: &[&str]| {
        let words = words.iter().copied().chain([named]);
        stage.call(words).inside(&inside).output()
    };
    let plan = call(&["plan", "--json"]).success().json();
    assert_eq!(plan["items"][0]["source"], straight, "{plan:#}");
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan:#}");
    let explained = call(&["explain", "--json"]).success().json();
    assert_eq!(explained["path"], straight, "{explained:#}");
    assert_eq!(explained["answer"], "send", "{explained:#}");
    call(&["run", "-y"]).success();
    assert!(stage.at("n.txt").exists());
    for command in ["show", "speakers"] {
        call(&[command, "--json"]).success();
    }
    call(&["render"]).success().says("1");
    fs::remove_file(straight).unwrap();
    // What is gone is known by its path as well.
    let shown = call(&["show", "--json"]).success().json();
    assert_eq!(shown["source"], straight, "{shown:#}");
    let gone = call(&["explain", "--json"]).success().json();
    assert_eq!(gone["answer"], "gone", "{gone:#}");
    call(&["cancel"]).success();
}

#[test]
fn a_configured_folder_with_dots_is_the_folder_that_it_leads_to() {
    let stage = stage();
    let recording = stage.put("n.wav", &wav(1, 1.5));
    // The configuration lies beside the recordings.
    stage.no_folders();
    stage.add_folder(Path::new("home/../recordings"));
    stage.call(["run"]).inside(stage.root()).output().success();
    assert!(stage.at("n.txt").exists());
    let status = stage.json(&["status"]);
    let folders = status["folders"].as_array().unwrap();
    let paths: Vec<&Value> = folders.iter().map(|folder| &folder["path"]).collect();
    assert_eq!(paths, [&json!(stage.recordings())], "{status:#}");
    let explained = stage.json(&["explain", recording.to_str().unwrap()]);
    assert_eq!(explained["folder"], json!(stage.recordings()));
}

#[test]
fn above_a_link_is_what_is_above_the_folder_that_it_leads_to() {
    let stage = stage();
    let recording = stage.put("far/n.wav", &wav(1, 1.5));
    fs::create_dir_all(stage.at("far/end")).unwrap();
    symlink(stage.at("far/end"), stage.root().join("link")).unwrap();
    let plan = stage.call(["plan", "--json", "link/../n.wav"]);
    let plan = plan.inside(stage.root()).output().success().json();
    assert_eq!(plan["items"][0]["source"], json!(recording), "{plan:#}");
}

#[test]
fn init_writes_a_straight_path() {
    let (stage, inside) = called_from_a_folder_beside();
    let file = stage.root().join("first.toml");
    let words = [
        "-c",
        file.to_str().unwrap(),
        "init",
        "-y",
        "--offline",
        "..",
    ];
    stage.call(words).inside(&inside).output().success();
    let text = fs::read_to_string(&file).unwrap();
    let line = format!("path = \"{}\"", stage.at("sub").display());
    assert!(text.contains(&line), "{text}");
}

/// What `plan`, `explain` and `run` say of one file that is named.
fn asked(stage: &Stage, named: &Path) -> (Outcome, Value, Outcome) {
    let named = named.to_str().unwrap();
    let plan = stage.stenod(["plan", named]).success();
    let explained = stage.json(&["explain", named]);
    let run = stage.stenod(["run", "-y", named]);
    (plan, explained, run)
}

#[test]
fn a_named_file_that_is_passed_over_is_told_by_all_in_the_same_way() {
    let stage = stage();
    stage.no_folders();
    stage.add_folder_with(&stage.recordings(), &[("exclude", json!(["*-old.wav"]))]);
    let gone = stage.root().join("gone.wav");
    symlink(&gone, stage.at("broken-link.wav")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        stage.at("pipe.wav"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    for (named, code) in [
        (stage.put(".long.wav", &wav(1, 1.5)), "temporary_name"),
        (stage.put("long.wav.part", &wav(2, 1.5)), "temporary_name"),
        (stage.put("a-old.wav", &wav(3, 1.5)), "excluded"),
        (stage.put("x.wma", &[0; 64]), "unsupported"),
        (stage.put("cut.wav", &cut_wav(4, 3.0)), "cut_short"),
        (stage.at("broken-link.wav"), "broken_link"),
        (stage.at("pipe.wav"), "not_a_file"),
    ] {
        let (plan, explained, run) = asked(&stage, &named);
        let name = named.display();
        assert!(
            plan.stdout.contains("to send: nothing"),
            "{name}: {}",
            plan.tell()
        );
        let ends = "`stenod run` ends with code 3: 1 ";
        assert!(plan.stdout.contains(ends), "{name}: {}", plan.tell());
        if code != "unsupported" {
            assert_eq!(explained["code"], code, "{name}: {explained:#}");
        }
        let told = explained["message"].as_str().unwrap();
        run.code(3)
            .says(told.trim_start_matches("not complete yet: "));
    }
    assert!(stage.service.look(|log| log.submits().next().is_none()));
}

#[test]
fn a_command_is_no_fix_of_what_itself_tells() {
    let stage = stage();
    let cut = stage.put("cut.wav", &cut_wav(1, 3.0));
    let explained = stage.json(&["explain", cut.to_str().unwrap()]);
    assert_eq!(explained["fix"], Value::Null, "{explained:#}");
    let note = explained["fix_note"].as_str().unwrap();
    assert!(note.contains("copy it again whole"), "{explained:#}");
}

#[test]
fn the_fix_of_a_temporary_name_renames_it() {
    let stage = stage();
    for (name, complete) in [(".long.wav", "long.wav"), ("b.wav.part", "b.wav")] {
        let named = stage.put(name, &wav(1, 1.5));
        let explained = stage.json(&["explain", named.to_str().unwrap()]);
        let complete = stage.at(complete);
        let fix = format!("mv -n {} {}", named.display(), complete.display());
        assert_eq!(explained["fix"], fix, "{explained:#}");
        let note = explained["fix_note"].as_str().unwrap();
        assert!(note.contains(&format!("`stenod run {}`", complete.display())));
    }
}

#[test]
fn what_may_not_be_looked_at_is_not_said_to_be_gone() {
    if !is_root() {
        return;
    }
    let stage = stage();
    let recording = stage.put("nb/jfk.wav", &wav(1, 1.5));
    let folder = recording.parent().unwrap();
    stage.give_away();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o000)).unwrap();
    let call = |words: &[&str]| stage.call(words).user(NOBODY).output();
    let closed = folder.display().to_string();
    let mend = format!("sudo setfacl -m u:$(id -u):rX {closed}");
    for named in [recording.to_str().unwrap(), &closed] {
        let explained = call(&["explain", "--json", named]).success().json();
        assert_eq!(explained["code"], "permission_denied", "{explained:#}");
        assert_eq!(explained["fix"], mend, "{explained:#}");
        let plan = call(&["plan", named]).success();
        let ends = "`stenod run` ends with code 1: ";
        assert!(plan.stdout.contains(ends), "{}", plan.tell());
        let run = call(&["run", "-y", named]).code(1);
        run.says(&format!("{named}: it cannot be read")).says(&mend);
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_path_that_is_named_inside_of_a_folder_belongs_to_that() {
    let stage = stage();
    let out = stage.root().join("out");
    stage.set("transcribe.output_dir", out.display().to_string());
    stage.put("talks/deep/a.wav", &wav(1, 1.5));
    let file = stage.put("talks/b.wav", &wav(2, 1.5));
    let folder = stage.at("talks/deep").display().to_string();
    let file = file.display().to_string();
    stage.stenod(["run", "-y", &folder, &file]).success();
    assert!(out.join("talks/deep/a.txt").exists() && out.join("talks/b.txt").exists());
    let recordings = stage.recordings().display().to_string();
    let status = stage.json(&["status"]);
    let folders = status["folders"].as_array().unwrap();
    assert_eq!(folders.len(), 1, "{status:#}");
    assert_eq!(
        (&folders[0]["path"], &folders[0]["jobs"]["done"]),
        (&json!(recordings), &json!(2)),
        "{status:#}"
    );
    let usage = stage.json(&["usage"]);
    let of_folders = usage["by_folder"].as_array().unwrap();
    assert_eq!(of_folders.len(), 1, "{usage:#}");
    assert_eq!(of_folders[0]["folder"], recordings);
    // Whoever names the whole folder later finds all of it done.
    stage.stenod(["run", "-y"]).success();
    let charges = stage.service.look(|log| log.ledger().charges.len());
    assert_eq!(charges, 2);
}

#[test]
fn who_speaks_in_what_is_not_transcribed_is_answered_with_a_way_on() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 1.5)).display().to_string();
    stage.stenod(["pause"]).success();
    stage.stenod(["run", "-y"]).success();
    let told = stage.stenod(["speakers", "--json", &path]).code(1).json();
    assert_eq!(told["code"], "not_transcribed", "{told:#}");
    assert!(told["fix"].is_string(), "{told:#}");
    let none = stage.call(["--json", "db", "check"]);
    let none = none.env("STENOD_STATE_DIR", stage.root().join("none"));
    assert_eq!(none.output().success().json()["exists"], false);
}

#[test]
fn a_folder_stands_for_what_can_be_retried_or_cancelled_in_it() {
    let stage = stage();
    for name in ["in/a.wav", "in/deep/b.wav", "out.wav"] {
        stage.put(name, &wav(1 + name.len() as u64, 1.5));
    }
    stage.stenod(["pause"]).success();
    stage.stenod(["run", "-y"]).success();
    let folder = stage.at("in").display().to_string();
    let nothing = stage.stenod(["retry", &folder]).success();
    nothing.says("nothing to do: no job there failed or waits");
    stage
        .stenod(["cancel", &folder])
        .success()
        .says("2 cancelled");
    let counts = stage.json(&["status"]);
    assert_eq!(counts["jobs"]["queued"], 1, "{counts:#}");
    stage
        .stenod(["cancel", &folder])
        .success()
        .says("0 cancelled");
    let empty = stage.root().join("home").display().to_string();
    stage.stenod(["cancel", &empty]).code(1).says("no job");
}

#[test]
fn the_globs_of_a_folder_hold_for_what_is_named_inside_of_it() {
    let stage = stage();
    stage.set_folders("include", json!(["shows/*.wav"]));
    stage.set_folders("exclude", json!(["shows/private*", "closed"]));
    let open = stage.put("shows/open.wav", &wav(1, 1.5));
    let private = stage.put("shows/private.wav", &wav(2, 1.5));
    stage.put("closed/a.wav", &wav(3, 1.5));
    let sends = |path: &Path| {
        let plan = stage.json(&["plan", path.to_str().unwrap()]);
        plan["to_send"]["recordings"].as_u64().unwrap()
    };
    assert_eq!(sends(&stage.at("shows")), 1);
    assert_eq!((sends(&open), sends(&private)), (1, 0));
    assert_eq!(sends(&stage.at("closed")), 0);
    // A glob of the command goes by what the command names.
    let named = [
        "plan",
        "--json",
        "--include",
        "open*",
        stage.at("shows").to_str().unwrap(),
    ]
    .map(str::to_owned);
    let plan = stage.stenod(named).success().json();
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan:#}");
}
