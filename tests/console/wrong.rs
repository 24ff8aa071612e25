//! What commands say where something is missing, misspelt or empty: which of them go on, and the way out.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use stenod_support::audio::{cut_wav, wav};
use stenod_support::service::{Endpoint, Gate, Log, Reply, Rule};
use stenod_support::stage::{CTRL_C, KEY, NOBODY, Stage, Terminal};

use super::screens::still;
use super::stage;

/// A stage with a job, whose configuration names this key file from now on.
fn with_key_file(prepare: fn(&std::path::Path)) -> Stage {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let key = stage.root().join("api-key");
    prepare(&key);
    stage.set("service.api_key_file", key.to_str().unwrap());
    stage
}

#[test]
fn only_what_needs_the_key_is_stopped_by_a_key_that_is_missing() {
    let missing: [fn(&std::path::Path); 3] = [
        |_| {},
        |key| fs::write(key, "\n").unwrap(),
        |key| fs::create_dir(key).unwrap(),
    ];
    for prepare in missing {
        let stage = with_key_file(prepare);
        stage.put("b.wav", &wav(2, 3.0));
        let (done, new) = (stage.at("a.wav"), stage.at("b.wav"));
        let (done, new) = (done.to_str().unwrap(), new.to_str().unwrap());
        for arguments in [
            &["list"][..],
            &["status"],
            &["show", done],
            &["explain", new],
            &["usage"],
            &["render"],
            &["config", "show"],
            &["pause"],
            &["resume"],
            &["db", "check"],
        ] {
            let told = stage.stenod(arguments).success();
            assert!(!told.stderr.contains("api-key"), "{}", told.tell());
        }
        let plan = stage.stenod(["plan", "--json"]).success();
        assert_eq!(plan.json()["to_send"]["recordings"], 1, "{}", plan.tell());
        plan.says("`stenod run` would stop")
            .says("init --key-file -");
        for command in ["run", "watch"] {
            let told = stage.stenod([command]).code(4);
            told.says("api-key").says("stenod init --key-file -");
        }
        stage.stenod(["config", "check"]).code(4).says("api-key");
        let doctor = stage
            .stenod(["doctor", "--offline", "--json"])
            .code(1)
            .json();
        let checks = doctor["checks"].as_array().unwrap();
        let key = checks.iter().find(|check| check["check"] == "key").unwrap();
        assert_eq!(key["result"], "problem", "{doctor:#}");
        stage.set("service.provider", "local");
        let doctor = stage.stenod(["doctor", "--offline"]).success();
        assert!(doctor.stdout.contains("note     key"), "{}", doctor.tell());
    }
}

#[test]
fn a_key_that_others_can_read_is_said_where_it_is_used() {
    let stage = with_key_file(|key| {
        fs::write(key, KEY).unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    });
    for arguments in [&["list"][..], &["status"], &["usage"]] {
        let told = stage.stenod(arguments).success();
        assert_eq!(told.stderr, "", "{}", told.tell());
    }
    let told = stage.stenod(["run"]).success();
    assert!(
        told.stderr.starts_with("warning: the key file"),
        "a sentence is wanted, without a time: {}",
        told.tell()
    );
    told.says("chmod 600");
}

#[test]
fn a_state_without_jobs_says_so_where_there_are_others() {
    let stage = stage();
    let empty = stage.stenod(["list", "--state", "in_doubt"]).success();
    empty.says("no jobs yet");
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let told = stage.stenod(["list", "--state", "in_doubt"]).success();
    told.says("no job is in doubt; `stenod list` shows the other 1");
    for command in [&["list", "--limit", "0"][..], &["run", "--limit", "0"]] {
        stage.stenod(command).code(2).says("a number from 1 up");
    }
    let told = stage.stenod(["run", "--max-cost", "-1"]).code(2);
    told.says("an amount in US dollars such as 2.50 is wanted");
    let told = stage.stenod(["pause", "--for", "0s"]).code(2);
    told.says("a time longer than none is wanted");
}

#[test]
fn a_reason_that_no_job_has_is_told_apart_from_one_that_does_not_exist() {
    let stage = stage();
    let retry = |words: &[&str]| stage.stenod(["retry"].iter().chain(words));
    retry(&[]).code(2).says("--in-doubt; `stenod list`");
    retry(&["--reason", "nosuch"])
        .code(2)
        .says("no reason `nosuch`");
    retry(&["--reason", "offlin"])
        .code(2)
        .says("did you mean `offline`?");
    let nothing = "no job failed or waits for `offline`";
    retry(&["--reason", "offline"]).success().says(nothing);
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    retry(&["--reason", "offline"]).success().says(nothing);
    retry(&["--failed"]).success().says("no job has failed");
    let json = retry(&["--failed", "--json"]).success().json();
    assert_eq!(json["changed"], json!([]));
}

#[test]
fn a_script_is_told_in_json_what_went_wrong() {
    let stage = stage();
    stage.set("service.jbos", 3);
    for command in ["list", "run", "plan"] {
        let told = stage.stenod([command, "--json"]).code(10);
        let line = told.json();
        assert_eq!(line["type"], "error", "{}", told.tell());
        assert_eq!(line["code"], "configuration");
        assert_eq!(line["exit"], 10);
        assert_eq!(line["mistakes"][0]["key"], "service.jbos");
        assert_eq!(line["mistakes"][0]["nearest"], "jobs");
        assert!(line["mistakes"][0]["line"].is_u64());
        told.says("did you mean `jobs`?");
    }
    let stage = self::stage();
    let line = stage.stenod(["show", "4711", "--json"]).code(1).json();
    assert_eq!(line["code"], "no_such_job");
    let line = stage.stenod(["lsit", "--json"]).code(2).json();
    assert_eq!(line["code"], "usage");
    assert!(line["fix"].as_str().unwrap().contains("'list'"), "{line:#}");
    let right = stage.stenod(["config", "check", "--json"]).success().json();
    assert_eq!(right["ok"], true);
}

#[test]
fn settings_are_values_in_json() {
    let stage = stage();
    let shown = stage.json(&["config", "show"]);
    let value = |key: &str| &shown["settings"][key]["value"];
    assert_eq!(*value("service.requests_per_second"), 20);
    assert_eq!(*value("transcribe.diarize"), false);
    assert_eq!(*value("transcribe.formats"), json!(["txt", "json"]));
    assert_eq!(*value("service.poll_interval"), "50ms");
    assert_eq!(*value("budget.per_day"), "0");
}

#[test]
fn a_model_that_nobody_lists_is_said_with_the_one_that_was_meant() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.set("transcribe.model", "Whisper-Large-V4");
    let meant = "did you mean Whisper-Large-V3?";
    let plan = stage.stenod(["plan"]).success();
    assert!(plan.stdout.contains(meant), "{}", plan.tell());
    let doctor = stage.stenod(["doctor"]).success();
    let line = "in [transcribe]: model = \"Whisper-Large-V3\"";
    assert!(doctor.stdout.contains(line), "{}", doctor.tell());
    stage.stenod(["run"]).says(meant);
    let mut watching = stage.call(["watch"]).start();
    watching.until("the state", || {
        stage.json(&["status"])["running"].as_bool() == Some(true)
    });
    watching.terminate();
    watching.outcome().says(meant);
}

#[test]
fn copies_that_wait_for_another_cost_nothing_in_a_plan_either() {
    let stage = stage();
    for name in ["a.wav", "b.wav", "c.wav"] {
        stage.put(name, &wav(1, 60.0));
    }
    let broke = Rule::on(Endpoint::Submit).answer(Reply::json(402, &json!({"error": "no"})));
    stage.service.script(broke.always());
    stage.stenod(["run"]).code(8);
    stage.service.unscript();
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan:#}");
    assert_eq!(plan["duplicates"], 2, "{plan:#}");
    let run = stage.stenod(["run", "--json"]).success().lines();
    let told = run.iter().find(|line| line["type"] == "plan").unwrap();
    assert_eq!(told["to_send"], 1);
    assert_eq!(told["cost"], plan["to_send"]["cost"]);
}

#[test]
fn what_stops_a_run_names_the_command_that_was_typed() {
    let stage = stage();
    let path = stage.put("a talk.wav", &wav(1, 3.0));
    let path = path.to_str().unwrap();
    let broke = Rule::on(Endpoint::Submit).answer(Reply::json(402, &json!({"error": "no"})));
    stage.service.script(broke.always());
    let told = stage.stenod(["run", "--force", path]).code(8);
    told.says(&format!("fix: stenod run '{path}' --yes"));
}

#[test]
fn a_folder_of_files_that_cannot_be_read_agrees_with_its_exit_code() {
    let stage = stage();
    stage.put("notes.mp3", b"I am a text and was called a recording.\n");
    let told = stage.stenod(["run"]).success();
    told.says("nothing to do: 1 skipped");
    stage.put("cut.wav", &cut_wav(4, 1.0));
    let told = stage.stenod(["run"]).code(3);
    let told = told.says("1 settling").says("stenod explain FILE");
    assert!(!told.stderr.contains("nothing to do"), "{}", told.tell());
    let lines = stage.stenod(["run", "--json"]).code(3).lines();
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["unreadable"], &summary["skipped"]),
        (&json!(1), &json!(2))
    );
}

#[test]
fn nobody_can_be_named_where_nobody_is_told_apart() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let path = path.to_str().unwrap();
    let way = format!("stenod run --force -m Elevenlabs-STT --diarize {path}");
    stage.stenod(["speakers", path]).success().says(&way);
    let told = stage.stenod(["speakers", path, "Speaker 1=Ada"]).code(2);
    told.says("nobody to name").says(&way);
}

#[test]
fn the_outputs_folder_is_what_doctor_looks_at() {
    let stage = stage();
    let out = stage.root().join("out");
    stage.set("transcribe.output_dir", out.to_str().unwrap());
    let doctor = stage.stenod(["doctor", "--offline"]).success();
    let said = format!("can be read, and {} written", out.display());
    assert!(doctor.stdout.contains(&said), "{}", doctor.tell());
    // The recordings may be of others, and read alone.
    if stenod_support::stage::is_root() {
        fs::set_permissions(stage.root(), fs::Permissions::from_mode(0o755)).unwrap();
        let call = stage.call(["doctor", "--offline"]).user(NOBODY);
        call.output()
            .code(1)
            .says(&format!("u:{NOBODY}:rwX {}", stage.root().display()));
    }
}

#[test]
fn ctrl_c_lets_go_of_what_a_daemon_does_and_leaves_no_bar_behind() {
    let stage = still();
    stage.put("first.wav", &wav(1, 30.0));
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    let watching = stage.call(["watch"]).start();
    let is_held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("the submit", is_held);
    let mut terminal: Terminal = stage.on_terminal(["run"]);
    terminal.until("its bar", |screen| {
        screen.contains("waiting for the service")
    });
    terminal.press(CTRL_C);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(130), "{}", ended.screen);
    let last: Vec<&str> = ended.screen.trim_end().lines().collect();
    let let_go = last.iter().position(|line| line.starts_with("let go: "));
    assert!(let_go.is_some(), "{}", ended.screen);
    assert!(
        ended.screen.contains("and on 1 since before"),
        "{}",
        ended.screen
    );
    assert!(
        !ended.screen.contains("waiting for the service"),
        "{}",
        ended.screen
    );
    gate.open();
    watching.terminate();
    watching.outcome().code(143);
}
