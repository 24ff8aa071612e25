//! What an earlier run has paid for: what the next one says of it, and what each says when it is stopped.

use serde_json::Value;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Reply, Rule};
use stenod_support::stage::{Ended, Outcome, Stage, Terminal};

use super::screens::{is_as_before, still};
use super::{before_the_price, stage};

/// Flags of a model whose answers are fetched.
const LATER: [&str; 3] = ["run", "-m", "Elevenlabs-STT"];
/// Polls that no run lives to see the end of.
const NEVER: u32 = u32::MAX;

/// Two recordings that the service has taken and is not done with, left by a run that was stopped.
fn with_the_service(stage: Stage) -> (Stage, Outcome) {
    stage.put("first.wav", &wav(1, 30.0));
    stage.put("second.wav", &wav(2, 90.0));
    stage.service.behave(|behaviour| behaviour.polls = NEVER);
    let mut run = stage.call(LATER.iter().chain(&["--json"])).start();
    run.until("both tickets", || {
        let status = stage.json(&["list"]);
        let list = status.as_array().unwrap();
        list.len() == 2 && list.iter().all(|job| job["stage"] == "awaiting")
    });
    run.terminate();
    let outcome = run.outcome().code(143);
    (stage, outcome)
}

fn last(outcome: &Outcome) -> Value {
    outcome.lines().last().unwrap().clone()
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[test]
fn a_stopped_run_ends_with_a_summary_that_says_what_the_service_has() {
    let (stage, outcome) = with_the_service(stage());
    let summary = last(&outcome);
    assert_eq!(summary["type"], "summary", "{}", outcome.tell());
    assert_eq!(summary["ended"], "stopped");
    assert_eq!(summary["reason"], "terminate");
    assert_eq!(summary["with_service"]["recordings"], 2, "{summary:#}");
    assert_eq!(summary["with_service"]["minutes"], "2.0000", "{summary:#}");
    assert_ne!(summary["with_service"]["cost"], "0", "{summary:#}");
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_run_that_takes_paid_work_up_shows_it_from_the_start() {
    let (stage, _) = with_the_service(still());
    let mut terminal = stage.on_terminal(LATER);
    let wanted = |screen: &str| screen.matches("waiting for the service").count() == 2;
    let screen = terminal.until("both of them", wanted);
    assert!(
        screen.contains("2 are with the service, 2:00 of audio, and are paid for"),
        "{screen}"
    );
    assert!(screen.contains("0.0 s of 2:00"), "{screen}");
    terminal.press(stenod_support::stage::CTRL_C);
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    is_as_before("run-stopped-with-the-service.terminal", &screen);
    stage.service.behave(|behaviour| behaviour.polls = 0);
    let json = stage.stenod(LATER.iter().chain(&["--json"])).success();
    let lines = json.lines();
    let plan = lines.iter().find(|line| line["type"] == "plan").unwrap();
    assert_eq!(plan["to_send"], 0);
    assert_eq!(plan["with_service"]["recordings"], 2, "{plan:#}");
    let waits = lines.iter().filter(|line| line["stage"] == "awaiting");
    assert!(waits.count() >= 2, "{}", json.tell());
    assert_eq!(last(&json)["done"], 2, "{}", json.tell());
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn into_a_pipe_paid_work_that_is_taken_up_is_told_in_lines() {
    let (stage, _) = with_the_service(still());
    stage.service.behave(|behaviour| behaviour.polls = 0);
    stage.set("service.jobs", 1);
    let run = stage.stenod(LATER).success();
    for said in [
        "2 are with the service, 2:00 of audio, and are paid for",
        "accepted  ",
        "done      ",
    ] {
        assert!(run.stderr.contains(said), "{said}\n{}", run.tell());
    }
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_yes_that_was_typed_before_the_price_was_shown_answers_nothing() {
    let (stage, gate) = before_the_price();
    let mut terminal = stage.on_terminal(["run"]);
    stage.service.wait("the price being asked for", |log| {
        log.at(Endpoint::Models).any(|exchange| exchange.held)
    });
    terminal.press("y\r");
    gate.open();
    terminal.until("the question", |screen| screen.contains("[y/N]"));
    terminal.press("n\r");
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("nothing was sent"), "{screen}");
    assert_eq!(charges(&stage), 0);
}

#[test]
fn a_run_to_which_nobody_agrees_tells_a_script_of_no_job_and_ends_with_a_summary() {
    let stage = stage();
    stage.disagree();
    stage.put("first.wav", &wav(1, 30.0));
    let run = stage.stenod(["run", "--json"]).code(2);
    let kinds: Vec<_> = run
        .lines()
        .iter()
        .map(|line| line["type"].clone())
        .collect();
    assert_eq!(kinds, ["plan", "summary", "error"], "{}", run.tell());
    let summary = &run.lines()[1];
    assert_eq!(summary["reason"], "no_consent", "{summary:#}");
}

#[test]
fn explain_and_status_tell_of_the_job_that_there_is_and_offer_no_second_payment() {
    let (stage, _) = with_the_service(stage());
    let path = stage.at("first.wav");
    let path = path.to_str().unwrap();
    let status = stage.stenod(["status"]).success().stdout;
    let ways: Vec<&str> = status
        .lines()
        .filter(|line| line.contains("stenod run"))
        .collect();
    assert!(!ways.is_empty(), "{status}");
    for way in ways {
        assert!(way.contains("stenod run -m Elevenlabs-STT "), "{status}");
    }
    let told = stage.json(&["explain", path]);
    assert_eq!(told["answer"], "active", "{told:#}");
    assert_eq!(told["job"], 1, "{told:#}");
    assert_eq!(told["fix"], format!("stenod run -m Elevenlabs-STT {path}"));
    for said in ["paid for", "-m Elevenlabs-STT", "would be paid for again"] {
        assert!(told["message"].as_str().unwrap().contains(said), "{told:#}");
    }
    let mut run = stage.call(LATER).start();
    run.until("that it runs", || {
        stage.json(&["status"])["running"] == true
    });
    let beside = stage.json(&["explain", path]);
    assert_eq!(beside["answer"], "active", "{beside:#}");
    assert_eq!(beside["fix"], Value::Null, "{beside:#}");
    let text = beside["message"].as_str().unwrap();
    assert!(!text.contains("nothing is running"), "{text}");
    stage.service.behave(|behaviour| behaviour.polls = 0);
    run.outcome().success();
    let done = stage.json(&["explain", path]);
    assert_eq!(done["answer"], "done", "{done:#}");
    assert_eq!(done["fix"], "stenod show 1", "{done:#}");
    let text = done["message"].as_str().unwrap();
    assert!(
        text.contains("would be paid for again, for about $"),
        "{text}"
    );
    // What is queued with other flags goes on with these.
    let gone = Reply::json(402, &serde_json::json!({"error": "no money"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).always().answer(gone));
    let third = stage.put("third.wav", &wav(3, 3.0));
    stage.stenod(LATER).code(8);
    let third = third.to_str().unwrap();
    let queued = stage.json(&["explain", third]);
    assert_eq!(queued["answer"], "waiting", "{queued:#}");
    assert_eq!(
        queued["fix"],
        format!("stenod run -m Elevenlabs-STT {third}")
    );
    let text = queued["message"].as_str().unwrap();
    assert!(!text.contains("paid for"), "{text}");
}

/// How a terminal looks that is this wide while the second of two recordings is waited for.
fn bar_of(columns: u16) -> String {
    let stage = still();
    stage.put("first.wav", &wav(1, 30.0));
    stage.put("second.wav", &wav(2, 91.5));
    let gate = Gate::closed();
    let rule = Rule::on(Endpoint::Submit).of(&wav(2, 91.5));
    stage.service.script(rule.behind(&gate));
    let size = (stenod_support::stage::LINES, columns);
    let mut terminal = Terminal::of_size(&stage.call(["run"]), size, stage.replaced());
    let screen = terminal.until("the first of two", |screen| {
        screen.contains("] 30.0 s of") && screen.contains("waiting for the service")
    });
    gate.open();
    terminal.end();
    let bar = screen.lines().find(|line| line.starts_with('['));
    bar.unwrap_or(&screen).to_owned()
}

#[test]
fn the_bar_leaves_out_what_does_not_fit_and_cuts_no_number() {
    for (columns, wanted) in [
        (80, "] 30.0 s of 2:01 of audio, $0.00025 of $0.001013"),
        (60, "] 30.0 s of 2:01, $0.00025 of $0.001013"),
        (50, "] 30.0 s of 2:01"),
    ] {
        let bar = bar_of(columns);
        assert!(bar.contains(wanted), "{columns}: {bar}");
        let rest = bar.split_once(wanted).unwrap().1;
        assert!(
            rest.is_empty() || rest.ends_with(" left"),
            "{columns}: {bar}"
        );
    }
}
