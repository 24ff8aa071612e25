//! Words, codes and JSON that scripts rely on.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::Stage;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

/// Fails unless `object` has each of these keys.
#[track_caller]
fn has_keys(object: &Value, keys: &[&str]) {
    let map = object
        .as_object()
        .unwrap_or_else(|| panic!("{object} is no object"));
    for key in keys {
        assert!(map.contains_key(*key), "{key} is missing in {object}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let stage = stage();
    for arguments in [
        vec!["--frobnicate"],
        vec!["run", "--frobnicate"],
        vec!["frobnicate"],
        vec!["run", "--limit", "many"],
        vec!["run", "--formats", "docx"],
        vec!["list", "--state", "sleeping"],
        vec![],
    ] {
        stage.stenod(arguments).code(2);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let stage = stage();
    let help = stage.stenod(["--help"]).success();
    assert!(
        help.stdout.contains("run") && help.stdout.contains("watch"),
        "{}",
        help.stdout
    );
    let version = stage.stenod(["--version"]).success();
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.stdout
    );
    let run = stage.stenod(["run", "--help"]).success();
    for flag in [
        "--dry-run",
        "--max-cost",
        "--limit",
        "--jobs",
        "--model",
        "--language",
        "--formats",
        "--output-dir",
        "--diarize",
        "--provider",
        "--include",
        "--exclude",
        "--no-recursive",
        "--force",
        "--yes",
        "--config",
        "--state-dir",
        "--json",
    ] {
        assert!(
            run.stdout.contains(flag),
            "{flag} is missing in\n{}",
            run.stdout
        );
    }
}

#[test]
fn a_path_that_is_not_there_is_said() {
    let stage = stage();
    let outcome = stage.stenod(["run", "/nowhere/at/all"]).no_panic();
    assert!(
        outcome.code.is_some_and(|code| code != 0),
        "{}",
        outcome.tell()
    );
    outcome.says("/nowhere/at/all");
}

#[test]
fn a_wrong_configuration_is_exit_code_10_and_names_its_place() {
    let stage = stage();
    stage.set("service.poll_intervall", "5s");
    let outcome = stage
        .stenod(["run"])
        .code(10)
        .says("poll_intervall")
        .says("poll_interval");
    outcome.says("config.toml:");
    let stage = self::stage();
    stage.set("service.jobs", "four");
    stage.stenod(["status"]).code(10).says("jobs");
    let stage = self::stage();
    fs::write(stage.root().join("broken.toml"), "[service\n").unwrap();
    let broken = stage.root().join("broken.toml");
    stage
        .stenod([Path::new("run"), Path::new("-c"), &broken])
        .code(10)
        .says("broken.toml");
    stage
        .stenod(["run", "--config", "missing.toml"])
        .code(10)
        .says("missing.toml");
}

#[test]
fn a_value_of_the_environment_beats_the_file_and_is_checked_as_well() {
    let stage = stage();
    stage.set("transcribe.model", "Wizper");
    stage.put("a.wav", &wav(1, 0.5));
    let call = stage
        .call(["run"])
        .env("STENOD_TRANSCRIBE__MODEL", "gpt-4o-mini-transcribe");
    call.output().success();
    stage.service.look(|log| {
        assert_eq!(log.ledger().charges[0].model, "gpt-4o-mini-transcribe");
    });
    let call = stage.call(["run"]).env("STENOD_SERVICE__JOBS", "none");
    call.output().code(10).says("STENOD_SERVICE__JOBS");
}

#[test]
fn nanogpt_without_a_key_is_exit_code_4() {
    let stage = stage();
    stage.set("service.provider", "nanogpt");
    stage.put("a.wav", &wav(1, 0.5));
    let outcome = stage.call(["run"]).without("NANOGPT_API_KEY").output();
    outcome.code(4).says("NANOGPT_API_KEY");
    assert_eq!(charges(&stage), 0);
}

#[test]
fn the_key_may_come_from_a_file_or_a_credential() {
    let stage = stage();
    let key = stage.root().join("api-key");
    fs::write(&key, format!("{}\n", stenod_support::stage::KEY)).unwrap();
    stage.put("a.wav", &wav(1, 0.5));
    let call = stage.call(["run"]).without("NANOGPT_API_KEY");
    call.env("CREDENTIALS_DIRECTORY", stage.root())
        .output()
        .success();
    stage.put("b.wav", &wav(2, 0.5));
    stage.set("service.api_key_file", key.to_str().unwrap());
    stage
        .call(["run"])
        .without("NANOGPT_API_KEY")
        .output()
        .success();
    assert_eq!(charges(&stage), 2);
}

#[test]
fn the_key_is_never_shown() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let refusal = Reply::text(400, "text/plain", "bad");
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(refusal));
    for arguments in [
        vec!["-v", "run"],
        vec!["-v", "status"],
        vec!["show", "1", "--json"],
        vec!["doctor", "--offline"],
    ] {
        let outcome = stage.stenod(arguments);
        assert!(
            !outcome.tell().contains(stenod_support::stage::KEY),
            "{}",
            outcome.tell()
        );
    }
    for path in stenod_support::stage::tree(&stage.state()).into_keys() {
        let path = stage.state().join(path);
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let key = stenod_support::stage::KEY.as_bytes();
            let found = bytes.windows(key.len()).any(|window| window == key);
            assert!(!found, "the key is in {}", path.display());
        }
    }
}

#[test]
fn a_second_instance_is_exit_code_11_and_names_the_first() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let mut first = stage.call(["watch"]).start();
    first.until("the first transcript", || stage.at("a.json").exists());
    let pid = first.pid().to_string();
    stage.stenod(["watch"]).code(11).says(&pid);
    // A run is taken on by the one that is there.
    stage.stenod(["run"]).success();
    assert_eq!(stage.json(&["status"])["jobs"]["done"], 1);
    assert_eq!(stage.json(&["list"]).as_array().unwrap().len(), 1);
    first.terminate();
    first.outcome().no_panic();
    stage.stenod(["run"]).success();
}

#[test]
fn status_as_json_has_the_documented_keys() {
    let stage = stage();
    let empty = stage.json(&["status"]);
    has_keys(&empty, &["jobs", "paused", "spent", "folders"]);
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let status = stage.json(&["status"]);
    let states = [
        "queued",
        "active",
        "waiting",
        "in_doubt",
        "failed",
        "done",
        "cancelled",
    ];
    has_keys(&status["jobs"], &states);
    for state in states {
        assert_eq!(status["jobs"][state], u64::from(state == "done"), "{state}");
    }
    assert_eq!(status["paused"], Value::Null);
    for span in ["today", "month", "total"] {
        assert_eq!(status["spent"]["USD"][span], "0.000025", "{status}");
    }
    assert_eq!(status["folders"].as_array().unwrap().len(), 1, "{status}");
    let text = stage.stenod(["status"]).success().stdout;
    assert!(
        text.contains(stage.recordings().to_str().unwrap()),
        "{text}"
    );
}

#[test]
fn list_as_json_has_the_documented_keys_and_newest_first() {
    let stage = stage();
    for seed in 1..=3 {
        stage.put(format!("{seed}.wav"), &wav(seed, 3.0));
        stage.stenod(["run"]).success();
    }
    let list = stage.json(&["list"]);
    let jobs = list.as_array().unwrap();
    assert_eq!(jobs.len(), 3);
    let keys = [
        "id",
        "source",
        "state",
        "reason",
        "model",
        "language",
        "route",
        "cost",
        "currency",
        "attempts",
        "run_id",
        "next_attempt_at",
        "outputs",
    ];
    for job in jobs {
        has_keys(job, &keys);
        assert_eq!(
            (job["state"].as_str(), job["cost"].as_str()),
            (Some("done"), Some("0.000025"))
        );
        assert_eq!(
            (job["currency"].as_str(), job["attempts"].as_u64()),
            (Some("USD"), Some(1))
        );
        assert_eq!(job["outputs"].as_array().unwrap().len(), 2, "{job}");
    }
    assert_eq!(jobs[0]["source"], stage.at("3.wav").to_str().unwrap());
    let two = stage.json(&["list", "--limit", "2"]);
    assert_eq!(two.as_array().unwrap()[..], jobs[..2]);
    assert_eq!(
        stage.json(&["list", "--state", "failed"]),
        Value::Array(Vec::new())
    );
    assert_eq!(stage.json(&["list", "--state", "done"]), list);
}

#[test]
fn show_tells_everything_on_one_job_by_id_and_by_path() {
    let stage = stage();
    let path = stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run", "-m", "Elevenlabs-STT"]).success();
    let by_path = stage.json(&["show", path.to_str().unwrap()]);
    let id = stage.json(&["list"])[0]["id"].to_string();
    let by_id = stage.json(&["show", id.trim_matches('"')]);
    assert_eq!(by_path, by_id);
    let text = by_id.to_string();
    for part in ["Elevenlabs-STT", "run-0001", "a.txt", "0.0015", "attempts"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let unknown = stage.stenod(["show", "4711"]).no_panic();
    assert!(
        unknown.code.is_some_and(|code| code != 0),
        "{}",
        unknown.tell()
    );
}

#[test]
fn plan_as_json_is_one_document_with_recordings_and_skipped_files() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    stage.put("text.mp3", b"I am a text and was called a recording.\n");
    let plan = stage.json(&["plan"]);
    let text = plan.to_string();
    for part in ["a.wav", "text.mp3", "Whisper-Large-V3"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert_eq!(stage.json(&["run", "--dry-run"]), plan);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let stage = stage();
    for seed in 1..=3 {
        stage.put(format!("{seed}.wav"), &wav(seed, 0.5));
    }
    stage.stenod(["run"]).success();
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["plan"],
        vec!["status"],
        vec!["--help"],
        vec!["run", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = stage.call(&arguments).command();
        let child = command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        assert!(
            !stderr.to_lowercase().contains("pipe"),
            "{arguments:?}: {stderr}"
        );
    }
}

#[test]
fn data_goes_to_standard_output_and_talk_to_standard_error() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let run = stage.stenod(["run", "--json", "-v"]).success();
    assert!(!run.lines().is_empty());
    let list = stage.stenod(["list", "--json", "-v"]).success();
    list.json();
    assert!(
        !run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'),
        "{}",
        run.tell()
    );
}

#[test]
fn quiet_is_quiet() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    let outcome = stage.stenod(["-q", "run"]).success();
    assert_eq!(outcome.stderr, "", "{}", outcome.tell());
}

#[test]
fn doctor_finds_a_healthy_set_up_healthy_and_says_what_is_wrong_with_another() {
    let stage = stage();
    let report = stage.json(&["doctor"]);
    assert!(report.is_object() || report.is_array(), "{report}");
    stage.stenod(["doctor", "--offline"]).success();
    stage
        .service
        .behave(|behaviour| behaviour.key = Some("another".into()));
    let outcome = stage.stenod(["doctor"]).no_panic();
    assert!(
        outcome.code.is_some_and(|code| code != 0),
        "{}",
        outcome.tell()
    );
    outcome.says("key");
    let gone = self::stage();
    fs::remove_dir(gone.recordings()).unwrap();
    gone.stenod(["doctor", "--offline"])
        .no_panic()
        .says(gone.recordings().to_str().unwrap());
}

#[test]
fn the_configuration_is_never_written() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    assert_eq!(
        fs::read_to_string(stage.config_file()).unwrap(),
        stage.config()
    );
    let homes = stenod_support::stage::names(&stage.root().join("home"));
    assert_eq!(
        homes, [""; 0],
        "files in the home although the state is elsewhere"
    );
}

#[test]
fn words_of_other_programs_and_files_lead_to_the_right_command() {
    let stage = stage();
    let talk = stage.put("a talk.wav", &wav(1, 0.5));
    let talk = talk.to_str().unwrap();
    for (words, tip) in [
        (vec!["start"], "stenod watch"),
        (vec!["stop"], "systemctl stop stenod"),
        (vec!["transcribe", talk], "stenod run FILE"),
        (vec!["logs"], "journalctl -u stenod"),
        (vec![talk], "stenod run '"),
        (vec!["list", "--state", "waitng"], "did you mean `waiting`?"),
    ] {
        stage.stenod(words).code(2).says(tip);
    }
    let told = stage
        .stenod(["list", "--state", "waitng", "--json"])
        .code(2);
    assert_eq!(told.json()["argument"], "--state <STATE>");
}

#[test]
fn a_plan_says_what_fits_a_limit_and_for_what_a_run_would_fail() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    stage.put("b.wav", &wav(2, 6.0));
    let plan = stage.stenod(["plan", "--max-cost", "0.00006"]).success();
    assert!(
        plan.stdout.contains("1 of 2 recordings fit"),
        "{}",
        plan.tell()
    );
    let whole = wav(3, 3.0);
    stage.put("cut.wav", &whole[..whole.len() / 2]);
    let plan = stage.stenod(["plan"]).success();
    assert!(plan.stdout.contains("ends with code 3"), "{}", plan.tell());
    stage.stenod(["run"]).code(3);
}

#[test]
fn a_secret_of_which_the_file_is_missing_is_a_mistake_of_the_configuration() {
    let stage = stage();
    stage.stenod(["config", "check"]).success();
    assert!(stage.json(&["config", "check"])["warnings"].is_array());
    stage.set("bucket.url", "s3://bucket/stenod");
    stage.set("bucket.access_key_id", "id");
    let missing = stage.root().join("nowhere");
    stage.set("bucket.secret_access_key_file", missing.to_str().unwrap());
    stage
        .stenod(["config", "check"])
        .code(10)
        .says("bucket.secret_access_key_file");
}

#[test]
fn a_folder_counts_its_recordings_and_not_how_often_they_were_asked_for() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run", "--yes"]).success();
    stage.stenod(["run", "--yes", "-m", "Wizper"]).success();
    let status = stage.stenod(["status"]).success();
    assert!(status.stdout.contains("1 of 1 done"), "{}", status.tell());
}

#[test]
fn lists_in_variables_are_lists_for_every_folder() {
    let stage = stage();
    let shown = stage.call(["config", "show", "--json"]);
    let shown = shown
        .env("STENOD_TRANSCRIBE__FORMATS", "txt,srt")
        .output()
        .success();
    let settings = shown.json()["settings"].clone();
    for key in ["transcribe.formats", "folders.0.formats"] {
        assert_eq!(
            settings[key]["value"],
            serde_json::json!(["txt", "srt"]),
            "{key}"
        );
    }
}
