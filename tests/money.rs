//! What was spent, what may be spent, and what happens when there is nothing left.

#![cfg(test)]

use serde_json::json;
use stenod_support::audio::wav;
use stenod_support::service::{Act, Endpoint, Reply, Rule};
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
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 2, "{plan}");
    stage
        .stenod(["run"])
        .code(8)
        .says("2 to transcribe")
        .says("stenod list --state waiting");
    assert_eq!(charges(&stage), 2);
    let list = stage.json(&["list", "--state", "waiting"]);
    assert_eq!(list[0]["source"], dear.to_str().unwrap(), "{list}");
    stage.stenod(["run"]).code(8);
    stage.set("budget.per_file", "1");
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 3);
}

#[test]
fn a_plan_and_a_run_say_what_a_limit_leaves() {
    let stage = stage(4);
    let plan = stage.json(&["plan", "--max-cost", "0.001"]);
    assert_eq!(plan["limit"]["name"], "--max-cost of this run", "{plan}");
    assert_eq!(plan["limit"]["left"], "0.001", "{plan}");
    let text = stage.stenod(["plan", "--max-cost", "0.001"]).success();
    assert!(
        text.stdout.contains("limit:   --max-cost"),
        "{}",
        text.tell()
    );
    let text = stage.stenod(["plan", "--max-cost", "0.002"]).success();
    assert!(!text.stdout.contains("limit:"), "{}", text.tell());
    stage.stenod(["run", "--limit", "2"]).success();
    stage.set("budget.per_month", "0.0015");
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["limit"]["name"], "budget.per_month", "{plan}");
    assert_eq!(plan["limit"]["left"], "0.0005", "{plan}");
    stage
        .stenod(["run"])
        .code(8)
        .says("of which $0.0005 is left");
    assert_eq!(charges(&stage), 3);
}

#[test]
fn a_copy_or_a_new_name_of_what_was_cancelled_is_not_paid_for() {
    let stage = stage(1);
    stage.service.set_balance("0");
    stage.stenod(["run"]).code(8);
    stage.stenod(["cancel", "1"]).success();
    stage.service.set_balance("5");
    stage.put("renamed.wav", &wav(1, 3.0));
    std::fs::remove_file(stage.at("1.wav")).unwrap();
    stage.stenod(["run"]).success();
    stage.put("copy.wav", &wav(1, 3.0));
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 0, "{plan}");
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 0, "{}", stage.service.story());
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(jobs["cancelled"], 2, "{jobs}");
    let copy = stage.at("copy.wav");
    stage.stenod(["retry", copy.to_str().unwrap()]).success();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
    stage.check();
}

#[test]
fn a_copy_of_what_was_refused_is_not_paid_for_and_planned_as_that() {
    let stage = stage(1);
    let refusal = Reply::json(422, &json!({"error": "noise"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).times(1).answer(refusal));
    stage.stenod(["run"]).code(3);
    stage.put("copy.wav", &wav(1, 3.0));
    for command in [&["plan"][..], &["plan", "--force"]] {
        let plan = stage.json(command);
        let copy = plan["items"].as_array().unwrap().iter();
        let copy = copy.filter(|item| item["source"] == json!(stage.at("copy.wav")));
        let actions: Vec<_> = copy.map(|item| item["action"].clone()).collect();
        assert_eq!(actions, ["ended"], "{plan}");
    }
    stage.stenod(["run"]).code(3);
    assert_eq!(charges(&stage), 0);
}

#[test]
fn a_forced_run_over_a_new_copy_says_beforehand_that_it_is_free_and_pays_nothing() {
    let stage = stage(1);
    stage.stenod(["run"]).success();
    let copy = stage.put("0 copy.wav", &wav(1, 3.0));
    let copy = copy.to_str().unwrap();
    let plan = stage.json(&["plan", "--force", copy]);
    assert_eq!(plan["to_send"]["recordings"], 0, "{plan}");
    stage.stenod(["run", "--force", copy]).success();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
}

#[test]
fn a_forced_run_pays_once_for_a_recording_and_a_copy_that_is_new() {
    let stage = stage(1);
    stage.stenod(["run"]).success();
    // It comes first in the folder, and no transcript is made of it so far.
    stage.put("0 copy.wav", &wav(1, 3.0));
    let plan = stage.json(&["plan", "--force"]);
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan}");
    stage.stenod(["run", "--force"]).success();
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
    assert!(stage.at("0 copy.json").exists());
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

/// The prices of a plan, or of a run's plan.
fn price_of(plan: &serde_json::Value, key: &str) -> serde_json::Value {
    plan["prices"][0][key].clone()
}

#[test]
fn a_plan_says_where_its_price_comes_from() {
    let stage = stage(1);
    let plan = stage.json(&["plan"]);
    assert_eq!(price_of(&plan, "source"), "catalogue", "{plan}");
    assert_eq!(price_of(&plan, "per_minute"), "0.01", "{plan}");
    let dearer =
        json!({"data": [{"id": "wizper", "pricing": {"per_minute": "0.5", "currency": "USD"}}]});
    let models = || Rule::on(Endpoint::Models).always();
    stage
        .service
        .script(models().answer(Reply::json(200, &dearer)));
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["cost"], "0.025", "{plan}");
    stage
        .stenod(["plan"])
        .success()
        .says("Wizper at $0.5 a minute, by the service's catalogue");
    stage.service.unscript();
    stage.service.script(models().answer(Reply::empty(500)));
    let plan = stage.json(&["plan"]);
    assert_eq!(price_of(&plan, "source"), "built_in", "{plan}");
    assert_eq!(price_of(&plan, "as_of"), "2026-08", "{plan}");
    stage
        .stenod(["plan"])
        .success()
        .says("built-in table of August 2026");
    assert_eq!(charges(&stage), 0);
}

#[test]
fn a_price_that_no_list_names_is_unknown_until_the_first_charge_teaches_it() {
    let stage = stage(1);
    stage.set("transcribe.model", "Unlisted-STT");
    let plan = stage.json(&["plan"]);
    assert_eq!(price_of(&plan, "source"), "unknown", "{plan}");
    assert_eq!(plan["to_send"]["cost"], serde_json::Value::Null, "{plan}");
    stage
        .stenod(["plan"])
        .success()
        .says("nobody knows what Unlisted-STT costs");
    stage.stenod(["run"]).success();
    stage.put("another.wav", &wav(7, 3.0));
    let plan = stage.json(&["plan"]);
    assert_eq!(price_of(&plan, "source"), "learnt", "{plan}");
    assert_eq!(plan["to_send"]["cost"], "0.001", "{plan}");
}

#[test]
fn a_run_asks_for_the_price_before_it_names_one_and_reserves_by_the_same() {
    let stage = stage(2);
    stage.set("budget.per_day", "0.04");
    let dearer =
        json!({"data": [{"id": "Wizper", "pricing": {"per_minute": 0.5, "currency": "USD"}}]});
    stage.service.script(
        Rule::on(Endpoint::Models)
            .always()
            .answer(Reply::json(200, &dearer)),
    );
    // 0.025 USD each by the catalogue: the second would cross the limit until the first has its cost.
    let said = stage.stenod(["run"]).success();
    said.says("about $0.05").says("by the service's catalogue");
    let first = stage.json(&["list"])[0]["id"].as_i64().unwrap();
    let show = stage.json(&["show", &first.to_string()]);
    assert_eq!(show["ledger"][0]["amount"], "0.025", "{show}");
    let order = stage.service.look(|log| {
        let first = |endpoint| {
            log.exchanges
                .iter()
                .position(|one| one.endpoint == endpoint)
        };
        (first(Endpoint::Models), first(Endpoint::Submit))
    });
    assert!(order.0 < order.1, "{order:?}");
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_catalogue_that_hangs_delays_a_run_and_stops_nothing() {
    let stage = stage(1);
    let hang = Rule::on(Endpoint::Models).always().act(Act::Hang);
    stage.service.script(hang);
    stage.stenod(["run"]).success().says("built-in table");
    assert_eq!(charges(&stage), 1);
}

#[test]
fn limits_hold_for_a_price_that_nobody_knows_with_many_workers_and_over_restarts() {
    // 3 seconds at 0.02 USD a minute are 0.001 USD each.
    for (key, limit) in [("budget.per_day", "0.0025"), ("budget.per_month", "0.0025")] {
        let stage = stage(6);
        stage.set("transcribe.model", "Unlisted-STT");
        stage.set("service.jobs", 8);
        stage.set(key, limit);
        stage.stenod(["run"]).code(8).says(key);
        assert_eq!(charges(&stage), 2, "{key}\n{}", stage.service.story());
        stage.stenod(["run"]).code(8);
        assert_eq!(charges(&stage), 2, "{key}, after a restart");
    }
    let stage = stage(6);
    stage.set("transcribe.model", "Unlisted-STT");
    stage.set("service.jobs", 8);
    stage.stenod(["run", "--max-cost", "0.0005"]).code(8);
    assert_eq!(charges(&stage), 1, "one crosses it, since nobody knew");
    stage.stenod(["run", "--max-cost", "0.0015"]).code(8);
    assert_eq!(charges(&stage), 2, "by now the price is known");
}

#[test]
fn a_limit_on_each_file_is_crossed_by_one_recording_at_most_while_its_price_is_not_known() {
    let stage = stage(6);
    stage.set("transcribe.model", "Unlisted-STT");
    stage.set("service.jobs", 8);
    stage.set("budget.per_file", "0.0005");
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
    assert_eq!(stage.json(&["status"])["jobs"]["waiting"], 5);
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), 1);
}

#[test]
fn a_forced_run_pays_once_for_all_copies_of_a_recording() {
    let stage = stage(0);
    for name in ["a.wav", "b.wav", "c.wav"] {
        stage.put(name, &wav(1, 1.0));
    }
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1);
    let plan = stage.json(&["plan", "--force"]);
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan}");
    stage
        .stenod(["run", "--force"])
        .success()
        .says("1 to transcribe");
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
    for name in ["a.json", "b.json", "c.json"] {
        assert!(stage.at(name).exists(), "{name}");
    }
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_run_names_what_it_was_charged_itself() {
    let stage = stage(2);
    let first = stage.stenod(["run"]).success();
    assert!(first.stderr.contains(", for $"), "{}", first.tell());
    stage.set("transcribe.formats", json!(["txt", "json", "srt"]));
    let second = stage.stenod(["run"]).success();
    assert!(stage.names().iter().any(|name| name.ends_with(".srt")));
    assert!(!second.stderr.contains(", for $"), "{}", second.tell());
    stage.check();
}
