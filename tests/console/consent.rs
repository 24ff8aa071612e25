//! Money is spent only by somebody who agreed to it.

use rustix::process::Signal;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::Stage;

use super::{before_the_price, stage};

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[test]
fn a_run_that_costs_money_is_not_begun_where_nobody_can_be_asked() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    let refused = stage.stenod(["run"]).code(2);
    for word in ["$0.00005", "--yes", "--max-cost 0.00005", "--dry-run"] {
        assert!(
            refused.stderr.contains(word),
            "{word} is missing\n{}",
            refused.tell()
        );
    }
    stage.stenod(["run", "--json"]).code(2);
    assert_eq!(charges(&stage), 0);
    assert_eq!(
        stage.json(&["list"]).as_array().unwrap().len(),
        0,
        "something was queued"
    );
    stage.stenod(["run", "--yes"]).success();
    assert_eq!(charges(&stage), 1);
    stage.stenod(["run"]).success().says("nothing to do");
}

#[test]
fn a_no_to_paying_anew_leaves_what_is_done_as_it_is() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    stage.stenod(["run", "--yes"]).success();
    stage.stenod(["run", "--force"]).code(2).says("anew");
    assert_eq!(stage.json(&["list"])[0]["state"], "done");
    stage.stenod(["run", "--yes"]).says("nothing to do");
    assert_eq!(charges(&stage), 1);
}

#[test]
fn a_copy_of_what_came_to_nothing_is_not_told_as_free() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    let unknown = Reply::json(404, &serde_json::json!({"error": "no such model"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(unknown));
    stage.stenod(["run", "--yes"]).code(3);
    stage.put("copy.wav", &wav(1, 6.0));
    stage.stenod(["run"]).code(2).says("$0.00005");
    assert_eq!(charges(&stage), 0);
}

#[test]
fn what_came_back_is_sent_by_nobody_who_was_not_asked() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    stage.stenod(["run", "--max-cost", "0.00001"]).code(8);
    let (here, away) = (stage.at("a.wav"), stage.root().join("a.wav"));
    std::fs::rename(&here, &away).unwrap();
    stage.stenod(["run"]).code(3);
    std::fs::rename(&away, &here).unwrap();
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan:#}");
    stage.stenod(["run"]).code(2);
    let job = stage.json(&["list"])[0].clone();
    assert_eq!(job["reason"], "source_vanished", "{job:#}");
    stage.stenod(["run", "--yes"]).success();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn what_nobody_has_agreed_to_is_not_sent_by_a_later_start_however_the_run_ended() {
    for signal in [Signal::KILL, Signal::HUP, Signal::QUIT] {
        let (stage, gate) = before_the_price();
        let running = stage.call(["run"]).start();
        stage.service.wait("the price being asked for", |log| {
            log.at(Endpoint::Models).any(|exchange| exchange.held)
        });
        running.signal(signal);
        running.outcome().no_panic();
        gate.open();
        let other = stage.root().join("other");
        std::fs::create_dir(&other).unwrap();
        let other = other.to_str().unwrap();
        stage.stenod(["run", "--yes", other]).success();
        assert_eq!(stage.json(&["list"]), serde_json::json!([]), "{signal:?}");
        assert_eq!(charges(&stage), 0);
    }
}

#[test]
fn a_question_is_not_asked_without_its_price() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    let mut terminal = stage.on_terminal(["-q", "run"]);
    let screen = terminal.until("the question", |screen| screen.contains("[y/N]"));
    assert!(screen.contains("about $0.00005"), "{screen}");
    terminal.press("n\r");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn work_goes_on_where_nobody_reads_what_is_said_of_it() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    stage.put("text.mp3", b"I am a text and was called a recording.\n");
    for json in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut call = stage.call(["run", "--yes"].iter().chain(json)).command();
        let mut child = call
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(stage.at("a.txt").exists());
    }
    assert_eq!(charges(&stage), 1);
}

#[test]
fn a_limit_counts_as_consent_up_to_that_sum() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 6.0));
    stage.stenod(["run", "--max-cost", "0.00001"]).code(8);
    assert_eq!(charges(&stage), 0);
    stage.stenod(["run", "--max-cost", "0.001"]).success();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn a_price_that_nobody_knows_is_none_to_agree_to_unasked() {
    let stage = stage();
    stage.disagree();
    stage.put("a.wav", &wav(1, 0.5));
    stage
        .stenod(["run", "-m", "some-new-model"])
        .code(2)
        .says("not known");
    assert_eq!(charges(&stage), 0);
}

#[test]
fn what_is_free_needs_no_consent() {
    let stage = stage();
    stage.disagree();
    stage.put("text.mp3", b"I am a text and was called a recording.\n");
    stage.stenod(["run"]).success();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run", "--yes"]).success();
    // A copy takes the transcript that is there.
    stage.put("copy.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    assert!(stage.at("copy.txt").exists());
    assert_eq!(charges(&stage), 1);
}

#[test]
fn the_plan_says_what_the_run_then_says() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    stage.put("b.wav", &wav(2, 3.0));
    stage.put("copy.wav", &wav(1, 6.0));
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 2, "{plan:#}");
    assert_eq!(plan["time"]["measured"], false, "{plan:#}");
    let run = stage.stenod(["run", "--json"]).success();
    let said = &run.lines()[..];
    let said = said.iter().find(|line| line["type"] == "plan").unwrap();
    assert_eq!(said["to_send"], plan["to_send"]["recordings"]);
    assert_eq!(said["minutes"], plan["to_send"]["minutes"]);
    assert_eq!(said["cost"], plan["to_send"]["cost"]);
    stage.put("c.wav", &wav(3, 3.0));
    assert_eq!(stage.json(&["plan"])["time"]["measured"], true);
}
