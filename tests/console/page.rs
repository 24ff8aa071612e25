//! The page of names that users and scripts rely on, walked line by line.

use rustix::process::Signal;
use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Reply, Rule};
use stenod_support::stage::Stage;

use super::stage;

const COMMANDS: [&[&str]; 23] = [
    &["run"],
    &["watch"],
    &["plan"],
    &["status"],
    &["list"],
    &["show"],
    &["explain"],
    &["retry"],
    &["cancel"],
    &["render"],
    &["speakers"],
    &["pause"],
    &["resume"],
    &["reload"],
    &["usage"],
    &["doctor"],
    &["init"],
    &["config", "show"],
    &["config", "check"],
    &["config", "path"],
    &["config", "example"],
    &["completions"],
    &["man"],
];

const GLOBAL: [&str; 9] = [
    "-c",
    "--config",
    "--state-dir",
    "--json",
    "-v",
    "-q",
    "--color <WHEN>",
    "--progress <WHEN>",
    "-h",
];

const RUN: [&str; 22] = [
    "-n, --dry-run",
    "-y, --yes",
    "--max-cost <USD>",
    "--limit <N>",
    "-j, --jobs <N>",
    "-m, --model",
    "-l, --language",
    "-f, --formats",
    "-o, --output-dir <DIR>",
    "--diarize",
    "--provider",
    "--include <GLOB>",
    "--exclude <GLOB>",
    "--no-recursive",
    "--force",
    "[PATH]...",
    "auto",
    "always",
    "never",
    "plain",
    "Examples:",
    "Usage:",
];

const STATES: [&str; 7] = [
    "queued",
    "active",
    "waiting",
    "in_doubt",
    "failed",
    "done",
    "cancelled",
];

const JOB: [&str; 13] = [
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

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[track_caller]
fn has(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(keys(value).contains(key), "{key} is missing in {value:#}");
    }
}

#[test]
fn every_command_takes_every_global_flag() {
    let stage = stage();
    for command in COMMANDS {
        let help = stage
            .stenod(command.iter().chain(&["--help"]))
            .success()
            .stdout;
        for flag in GLOBAL {
            assert!(help.contains(flag), "{command:?} has no {flag}\n{help}");
        }
    }
    for command in ["run", "plan"] {
        let help = stage.stenod([command, "--help"]).success().stdout;
        for flag in RUN {
            assert!(help.contains(flag), "{command} has no {flag}\n{help}");
        }
    }
    for (command, flags) in [
        ("list", &["--state", "--limit"][..]),
        ("retry", &["--failed", "--reason <CODE>", "--in-doubt"]),
        ("doctor", &["--offline"]),
    ] {
        let help = stage.stenod([command, "--help"]).success().stdout;
        for flag in flags {
            assert!(help.contains(flag), "{command} has no {flag}\n{help}");
        }
    }
}

#[test]
fn flags_of_looks_are_taken_before_and_after_the_command() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    for flags in [
        ["--color", "never"],
        ["--color", "always"],
        ["--progress", "plain"],
        ["--progress", "never"],
    ] {
        stage.stenod(["status", flags[0], flags[1]]).success();
        stage.stenod([flags[0], flags[1], "list"]).success();
    }
    stage.stenod(["list", "--progress", "sometimes"]).code(2);
    let state = stage.root().join("other");
    stage
        .stenod(["--state-dir", state.to_str().unwrap(), "run"])
        .success();
    assert!(state.join("stenod.db").exists() && !stage.state().exists());
}

#[test]
fn documents_of_json_have_their_keys() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.put("b.wav", &wav(2, 3.0));
    let refusal = Reply::text(415, "text/plain", "no");
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(refusal));
    stage.stenod(["run"]).code(3);
    let status = stage.json(&["status"]);
    has(&status, &["jobs", "paused", "spent", "folders"]);
    has(&status["jobs"], &STATES);
    has(&status["spent"]["USD"], &["today", "month", "total"]);
    assert!(
        status["spent"]["USD"]["total"].is_string(),
        "money is a string"
    );
    let failures = status["failures"].as_array().unwrap();
    assert_eq!(failures[0]["fix"], "stenod retry --reason format_refused");
    let list = stage.json(&["list"]);
    for job in list.as_array().unwrap() {
        has(job, &JOB);
    }
    let failed = stage.json(&["list", "--state", "failed"]);
    let id = failed[0]["id"].to_string();
    assert_eq!(failed[0]["fix"], format!("stenod retry {id}"));
    let text = stage.stenod(["show", &id]).success().stdout;
    assert!(
        text.contains(&format!("stenod retry {id}")) && text.contains("format_refused"),
        "{text}"
    );
    has(
        &stage.json(&["show", &id]),
        &[
            "settings", "route", "events", "ledger", "cost", "outputs", "fix",
        ],
    );
    has(
        &stage.json(&["plan"]),
        &[
            "to_send",
            "done",
            "duplicates",
            "skipped",
            "folders",
            "routes",
            "time",
            "items",
        ],
    );
    has(
        &stage.json(&["usage"]),
        &["since", "total", "by_day", "by_folder", "by_model"],
    );
    has(&stage.json(&["config", "show"]), &["file", "settings"]);
    has(&stage.json(&["doctor", "--offline"]), &["ok", "checks"]);
    stage.stenod(["retry", "--failed"]).success();
    stage.stenod(["run"]).success();
}

#[test]
fn exit_codes_are_those_of_the_page() {
    let code = |code: i32, prepare: fn(&Stage) -> Vec<&'static str>| {
        let stage = stage();
        let arguments = prepare(&stage);
        stage.stenod(arguments).code(code);
    };
    code(0, |_| vec!["run"]);
    code(2, |_| vec!["frobnicate"]);
    code(3, |stage| {
        stage.put("a.wav", &wav(1, 0.5));
        let refusal = Reply::text(415, "text/plain", "no");
        stage
            .service
            .script(Rule::on(Endpoint::Submit).answer(refusal));
        vec!["run"]
    });
    code(4, |stage| {
        stage.put("a.wav", &wav(1, 0.5));
        stage
            .service
            .behave(|behaviour| behaviour.key = Some("another".into()));
        vec!["run"]
    });
    code(8, |stage| {
        stage.put("a.wav", &wav(1, 6.0));
        vec!["run", "--max-cost", "0.00001"]
    });
    code(10, |stage| {
        stage.set("service.jobs", "four");
        vec!["run"]
    });
}

#[test]
fn a_service_out_of_reach_is_exit_code_5_and_the_work_is_kept() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    // Too far away for a run to wait.
    let rule = Rule::on(Endpoint::Submit).answer(Reply::busy(429, 24 * 3600));
    stage.service.script(rule.always());
    stage.stenod(["run"]).code(5).says("the work is kept");
    let jobs = stage.json(&["list"]);
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs:#}");
    assert_eq!(jobs[0]["attempts"], 1, "{jobs:#}");
    stage.service.unscript();
    stage.stenod(["resume"]).success();
    stage.stenod(["run"]).success();
}

#[test]
fn a_second_daemon_is_exit_code_11() {
    let stage = stage();
    let mut first = stage.call(["watch"]).start();
    first.until("the lock", || {
        stage.json(&["status"])["running"].as_bool() == Some(true)
    });
    let pid = first.pid().to_string();
    stage.stenod(["watch"]).code(11).says(&pid);
}

#[test]
fn signals_are_exit_codes_130_and_143() {
    for (command, signal, code) in [
        ("run", Signal::INT, 130),
        ("run", Signal::TERM, 143),
        ("watch", Signal::INT, 130),
        ("watch", Signal::TERM, 143),
    ] {
        let stage = stage();
        stage.put("a.wav", &wav(1, 0.5));
        let gate = Gate::closed();
        stage
            .service
            .script(Rule::on(Endpoint::Submit).behind(&gate));
        let running = stage.call([command]).start();
        stage
            .service
            .wait("the submit", |log| log.submits().any(|submit| submit.held));
        running.signal(signal);
        gate.open();
        running.outcome().code(code);
    }
}

#[test]
fn the_configuration_tells_where_each_value_came_from_on_demand() {
    let stage = stage();
    let plain = stage.stenod(["config", "show"]).success().stdout;
    let origins = stage
        .stenod(["config", "show", "--origin"])
        .success()
        .stdout;
    assert!(
        !plain.contains('#') && origins.contains("config.toml"),
        "{plain}\n{origins}"
    );
    let json = stage.json(&["config", "show"]);
    assert!(
        json["settings"]["service.jobs"]["origin"].is_string(),
        "{json:#}"
    );
}
