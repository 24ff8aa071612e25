//! Ways on that are printed: each is a command that does what is said of it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Moment, Reply, Rule};
use stenod_support::stage::{KEY, Stage};

use super::stage;

/// A recording outside of every configured folder.
fn outside(stage: &Stage) -> PathBuf {
    let folder = stage.root().join("out side");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("talk.wav");
    fs::write(&path, wav(1, 3.0)).unwrap();
    path
}

fn refuse(stage: &Stage, status: u16) {
    let reply = Reply::json(status, &json!({"error": "no"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(reply));
}

/// The words of a command that was printed, without the program's own.
fn words(command: &str) -> Vec<String> {
    let words = command.trim().strip_prefix("stenod ").unwrap();
    let mut parts = words.split('\'');
    let mut found = Vec::new();
    while let Some(plain) = parts.next() {
        found.extend(plain.split_whitespace().map(str::to_owned));
        found.extend(parts.next().map(str::to_owned));
    }
    found
}

fn command_in(text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with("  stenod run"));
    words(line.unwrap_or_else(|| panic!("no command in\n{text}")))
}

#[test]
fn a_retry_that_nobody_follows_names_the_command_that_does() {
    let stage = stage();
    let path = outside(&stage);
    refuse(&stage, 415);
    let run = [
        "run".as_ref(),
        path.as_os_str(),
        "-m".as_ref(),
        "Wizper".as_ref(),
    ];
    stage.stenod(run).code(3);
    let told = stage.stenod(["retry", "1"]).success();
    let told = told.says("1 to be tried again").says("nothing is running");
    let command = command_in(&told.stderr);
    let again = stage.stenod(["retry", "1"]).success();
    again.says("it is queued already").says("-m Wizper");
    let others = stage.stenod(["run"]).success();
    others
        .says("1 more queued that this run was not given")
        .says("-m Wizper");
    stage.stenod(&command).success();
    assert!(path.with_extension("txt").exists());
    assert_eq!(stage.json(&["list"]).as_array().unwrap().len(), 1);
}

#[test]
fn commands_to_copy_say_which_state_and_configuration_are_meant() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    refuse(&stage, 415);
    let state = stage.root().join("other state");
    let state = state.to_str().unwrap();
    let config = stage.config_file();
    let config = config.to_str().unwrap();
    let with = |arguments: &[&str]| {
        let place = ["-c", config, "--state-dir", state];
        stage.stenod(place.iter().chain(arguments))
    };
    with(&["run"]).code(3);
    let placed = format!("stenod -c {config} --state-dir '{state}' ");
    with(&["list"]).says(&format!("fix: {placed}retry 1"));
    with(&["status"]).says(&format!("fix: {placed}retry --reason format_refused"));
    let list = with(&["list", "--json"]).json();
    assert_eq!(list[0]["fix"], format!("{placed}retry 1"));
    with(&["pause"]).says(&format!("`{placed}resume`"));
    let status = with(&["status", "--json"]).json();
    assert_eq!(status["paused"]["fix"], format!("{placed}resume"));
    with(&["show", "4711"]).says(&format!("`{placed}list`"));
    let path = stage.put("b.wav", &wav(2, 3.0));
    let told = with(&["explain", path.to_str().unwrap(), "--json"]).json();
    assert_eq!(told["fix"], format!("{placed}resume"), "{told:#}");
}

#[test]
fn another_key_reaches_the_daemon_that_waits_for_it() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    let mut daemon = stage
        .call(["watch"])
        .env("NANOGPT_API_KEY", "sk-nano-wrong")
        .start();
    daemon.until("the pause for its key", || {
        stage.json(&["status"])["paused"]["reason"] == "key"
    });
    let config = stage.config_file();
    let told = stage
        .call(["-c", config.to_str().unwrap(), "init", "--key-file", "-"])
        .without("NANOGPT_API_KEY")
        .input(KEY.as_bytes())
        .output()
        .success();
    let told = told.says("the running stenod").says("goes on with it");
    assert!(!told.stdout.contains(" watch"), "{}", told.tell());
    assert!(
        told.stdout
            .contains(&format!("stenod -c {} plan", config.display()))
    );
    daemon.until("the transcript", || stage.at("a.json").exists());
    daemon.terminate();
    daemon.outcome().code(143);
}

#[test]
fn an_empty_balance_names_the_folder_that_the_next_run_takes_up() {
    let stage = stage();
    let path = outside(&stage);
    refuse(&stage, 402);
    stage.stenod(["run".as_ref(), path.as_os_str()]).code(8);
    let status = stage.json(&["status"]);
    let fix = status["paused"]["fix"].as_str().unwrap();
    assert!(fix.contains("out side"), "{status:#}");
    stage.stenod(words(fix)).success();
    assert!(path.with_extension("txt").exists());
}

#[test]
fn a_model_that_does_not_exist_is_mended_by_the_one_that_was_meant() {
    let stage = stage();
    stage.put("a b.wav", &wav(1, 3.0));
    refuse(&stage, 400);
    stage.stenod(["run", "-m", "whisper-large-v4"]).code(3);
    stage.service.unscript();
    let list = stage.json(&["list"]);
    let fix = list[0]["fix"].as_str().unwrap();
    assert!(
        fix.starts_with("stenod run --model Whisper-Large-V3 "),
        "{list:#}"
    );
    stage
        .stenod(["list"])
        .success()
        .says("set transcribe.model to it");
    stage.stenod(words(fix)).success();
    assert!(stage.at("a b.txt").exists());
}

#[test]
fn the_limit_of_a_run_that_has_ended_pauses_nothing() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    let told = stage.stenod(["run", "--max-cost", "0.00001"]).code(8);
    told.says("stenod run --max-cost 0.00005   # is enough for all that is left");
    stage.stenod(["run", "--max-cost", "0.00005"]).success();
    stage.put("b.wav", &wav(2, 6.0));
    let status = stage.json(&["status"]);
    assert_eq!(status["paused"], Value::Null, "{status:#}");
    stage.set("budget.per_day", "0.00001");
    let told = stage.stenod(["run", "--yes"]).code(8);
    let told = told.says("or now with a higher limit in [budget]");
    assert!(!told.stderr.contains("stenod usage"), "{}", told.tell());
}

#[test]
fn a_doubt_outside_of_a_run_is_left_to_the_run_it_belongs_to() {
    let stage = stage();
    let first = stage.put("first.wav", &wav(1, 3.0));
    let second = stage.put("second.wav", &wav(2, 3.0));
    let gate = Gate::closed();
    let rule = Rule::on(Endpoint::Submit)
        .at(Moment::Complete)
        .behind(&gate);
    stage.service.script(rule);
    let run = stage.call(["run".as_ref(), first.as_os_str()]).start();
    stage.service.wait("the whole recording", |log| {
        log.submits().any(|submit| submit.held)
    });
    run.kill();
    gate.open();
    let run = stage.stenod(["run".as_ref(), second.as_os_str()]).success();
    assert!(!run.stderr.contains("sent again"), "{}", run.tell());
    let shown = stage.json(&["show", "1"]);
    assert_eq!(shown["state"], "in_doubt", "{shown:#}");
    let events: Vec<&str> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert!(!events.contains(&"repeated"), "{events:?}");
    let run = stage.stenod(["run".as_ref(), first.as_os_str()]).success();
    run.says("sent again");
}

#[test]
fn a_folder_that_was_never_looked_at_is_not_done() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage
        .stenod(["status"])
        .success()
        .says("not looked at so far");
}
