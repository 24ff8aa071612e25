//! Money is spent only by somebody who agreed to it.

use stenod_support::audio::wav;
use stenod_support::stage::Stage;

use super::stage;

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
