//! What was spent, what may be spent, and what happens when there is nothing left.

#![cfg(test)]

use serde_json::json;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::Stage;

/// A stage with so many recordings of 3 seconds: 0.0005 USD each with Wizper.
fn stage(recordings: u64) -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("transcribe.model", "Wizper");
    for seed in 1..=recordings {
        stage.put(format!("{seed}.wav"), &wav(seed, 3.0));
    }
    stage
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[test]
fn what_was_spent_is_what_the_service_took() {
    let stage = stage(3);
    stage.stenod(["run"]).success();
    let total = stage.service.look(|log| log.ledger().total());
    assert_eq!(total, "0.0015");
    assert_eq!(stage.json(&["status"])["spent"]["USD"]["total"], total);
}

#[test]
fn an_empty_balance_is_exit_code_8_and_keeps_the_work() {
    let stage = stage(5);
    stage.set("service.jobs", 1);
    stage.service.set_balance("0.0012");
    stage.stenod(["run"]).code(8).says("balance");
    assert_eq!(charges(&stage), 2);
    assert_eq!(stage.service.look(|log| log.submits().count()), 3);
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (&jobs["done"], &jobs["failed"], &jobs["in_doubt"]),
        (&json!(2), &json!(0), &json!(0))
    );
    stage.service.set_balance("5");
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 5);
    stage.check();
}

#[test]
fn an_empty_balance_is_understood_in_every_shape() {
    for reply in [
        Reply::json(402, &json!({"error": 402, "message": "no"})),
        Reply::json(
            402,
            &json!({"error": "no", "status": 402, "requiredBalance": 0.0035}),
        ),
        Reply::json(
            402,
            &json!({"error": {"message": "no", "type": "balance", "code": "x"}}),
        ),
        Reply::empty(402),
        Reply::text(402, "text/html", "<html>pay</html>"),
    ] {
        let stage = stage(1);
        stage
            .service
            .script(Rule::on(Endpoint::Submit).answer(reply));
        stage.stenod(["run"]).code(8);
        stage.stenod(["run"]).success();
        assert_eq!(charges(&stage), 1);
    }
}

#[test]
fn the_budget_of_a_day_stops_before_it_is_crossed_with_any_number_of_workers() {
    for workers in [1, 8] {
        let stage = stage(6);
        stage.set("service.jobs", workers);
        stage.set("budget.per_day", "0.0012");
        stage.stenod(["run"]).code(8).says("per_day");
        assert_eq!(
            charges(&stage),
            2,
            "{workers} workers\n{}",
            stage.service.story()
        );
        stage.stenod(["run"]).code(8);
        assert_eq!(charges(&stage), 2, "{workers} workers, next run");
        stage.set("budget.per_day", "1");
        stage.stenod(["run"]).success();
        assert_eq!(charges(&stage), 6);
        stage.check();
    }
}

#[test]
fn the_budget_of_a_month_counts_as_well() {
    let stage = stage(3);
    stage.set("budget.per_month", "0.0011");
    stage.stenod(["run"]).code(8).says("per_month");
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_limit_on_the_command_line_holds_for_this_run() {
    let stage = stage(4);
    stage.stenod(["run", "--max-cost", "0.001"]).code(8);
    assert_eq!(charges(&stage), 2);
    stage.stenod(["run", "--max-cost", "0.0006"]).code(8);
    assert_eq!(charges(&stage), 3);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 4);
}

#[test]
fn a_recording_that_is_too_dear_for_one_file_waits_and_its_neighbours_go() {
    let stage = stage(2);
    let dear = stage.put("dear.wav", &wav(9, 12.0));
    stage.set("budget.per_file", "0.001");
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), 2);
    let list = stage.json(&["list", "--state", "waiting"]);
    assert_eq!(list[0]["source"], dear.to_str().unwrap(), "{list}");
}

#[test]
fn a_first_start_stops_at_five_dollars_a_day() {
    let stage = stage(0);
    stage.set("transcribe.model", "openai-whisper-with-video");
    stage.set("budget.per_day", "5.00");
    // 95 seconds at 0.06 USD a minute are 0.095 USD: the 53rd would cross the limit.
    for seed in 1..=3 {
        stage.put(format!("{seed}.wav"), &wav(seed, 95.0));
    }
    let plan = stage.json(&["plan"]).to_string();
    assert!(
        plan.contains("0.285"),
        "three recordings cost 0.285 USD: {plan}"
    );
}

#[test]
fn a_plan_prices_a_folder_before_anything_is_sent() {
    let stage = stage(4);
    let plan = stage.json(&["plan"]).to_string();
    assert!(
        plan.contains("\"0.0020\"") || plan.contains("\"0.002\""),
        "{plan}"
    );
    assert_eq!(charges(&stage), 0);
}
