//! Servers of OpenAI's transcription endpoint: the same jobs, routes and money by another wire.

#![cfg(test)]

use serde_json::json;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Exchange, Reply, Rule, Verbose};
use stenod_support::stage::{KEY, Stage};

/// A stage whose service is a server of OpenAI's kind, with so many recordings of 3 seconds.
fn stage(recordings: u64) -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.provider", "openai");
    stage.set("service.price_per_minute", "0.01");
    stage.set("transcribe.model", "Wizper");
    for seed in 1..=recordings {
        stage.put(format!("{seed}.wav"), &wav(seed, 3.0));
    }
    stage
}

fn submits(stage: &Stage) -> usize {
    let is_submit = |exchange: &&Exchange| exchange.endpoint == Endpoint::OpenAi;
    stage
        .service
        .look(|log| log.exchanges.iter().filter(is_submit).count())
}

#[test]
fn words_and_segments_are_asked_for_and_kept() {
    let stage = stage(1);
    stage
        .service
        .behave(|behaviour| behaviour.verbose = Verbose::Answered);
    stage.stenod(["run", "--yes"]).success();
    let transcript = stage.read_json("1.json");
    assert_eq!(transcript["timing"], "words");
    assert_eq!(transcript["job"]["provider"], "openai");
    assert_eq!(transcript["segments"][0]["words"][0]["word"], "Recording");
    stage.service.look(|log| {
        let exchange = log.exchanges.iter().find(|it| it.submit.is_some());
        let exchange = exchange.unwrap();
        let key = exchange.head.header("authorization");
        assert_eq!(key, Some(format!("Bearer {KEY}").as_str()));
        let submit = exchange.submit.as_ref().unwrap();
        assert_eq!(submit.field("response_format"), Some("verbose_json"));
        assert_eq!(submit.field("language"), None, "auto is left out");
    });
}

#[test]
fn a_reply_without_times_is_a_transcript_all_the_same() {
    let stage = stage(1);
    stage.stenod(["run", "--yes"]).success();
    assert!(stage.read("1.txt").contains("says hello"));
    assert_eq!(stage.read_json("1.json")["timing"], "none");
}

#[test]
fn a_server_that_gives_no_times_is_asked_for_the_text_alone_and_no_recording_fails() {
    for (verbose, refused) in [(Verbose::RefusedByName, 1), (Verbose::Refused, 1)] {
        let stage = stage(3);
        stage.set("service.jobs", 1);
        stage
            .service
            .behave(|behaviour| behaviour.verbose = verbose);
        stage.stenod(["run", "--yes"]).success();
        assert_eq!(submits(&stage), 3 + refused, "{verbose:?}");
        let charges = stage.service.look(|log| log.ledger().charges.len());
        assert_eq!(charges, 3);
        assert_eq!(stage.json(&["list"])[0]["attempts"], 1);
    }
}

#[test]
fn a_recording_that_is_refused_in_every_form_fails_alone_and_leaves_the_times_to_the_others() {
    let stage = stage(2);
    stage.set("service.jobs", 1);
    stage
        .service
        .behave(|behaviour| behaviour.verbose = Verbose::Answered);
    let refusal = Reply::json(400, &json!({"error": {"message": "cannot decode"}}));
    let rule = || Rule::on(Endpoint::OpenAi).answer(refusal.clone());
    stage.service.script(rule());
    stage.service.script(rule());
    stage.stenod(["run", "--yes"]).code(3);
    let failed = stage.json(&["list", "--state", "failed"]);
    assert_eq!(failed.as_array().unwrap().len(), 1);
    let jobs = stage.json(&["list", "--state", "done"]);
    let source = jobs[0]["source"].as_str().unwrap().replace(".wav", ".json");
    assert_eq!(stage.read_json(source)["timing"], "words");
}

#[test]
fn the_configured_price_is_reserved_and_charged() {
    let stage = stage(2);
    stage.set("service.price_per_minute", "0.02");
    stage.set("budget.per_day", "0.0015");
    stage.stenod(["run", "--yes"]).code(8);
    assert_eq!(submits(&stage), 1);
    assert_eq!(stage.json(&["status"])["spent"]["USD"]["today"], "0.001");
}

#[test]
fn a_quota_that_is_used_up_is_an_empty_balance_and_no_rate_limit() {
    let stage = stage(1);
    let error = json!({"error": {"message": "no", "code": "insufficient_quota"}});
    stage
        .service
        .script(Rule::on(Endpoint::OpenAi).answer(Reply::json(429, &error)));
    stage.stenod(["run", "--yes"]).code(8);
    stage.stenod(["run", "--yes"]).success();
}

#[test]
fn an_address_with_its_version_is_taken_as_it_is() {
    let stage = stage(1);
    stage.set("service.base_url", format!("{}/v1", stage.service.url()));
    stage.stenod(["run", "--yes"]).success();
    assert_eq!(submits(&stage), 1);
}
