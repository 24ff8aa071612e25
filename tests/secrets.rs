//! At the highest level of the log, whatever happens: no key, no link, no word of a transcript.

#![cfg(test)]

use serde_json::json;
use stenod::durable::{self, Existing};
use stenod_support::audio::wav;
use stenod_support::s3::{self, S3};
use stenod_support::service::{Act, Endpoint, Reply, Rule};
use stenod_support::stage::{KEY, Outcome, Stage};

/// A word that stands in every transcript here and nowhere else.
const SAID: &str = "Rumpelstilzchen";
/// Over the direct limit of these stages: 320 KB.
const LARGE_SECONDS: f64 = 10.0;

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.in_doubt", "hold");
    stage
}

/// A recording in which that word is said.
fn put(stage: &Stage, seed: u64, seconds: f64) {
    let recording = wav(seed, seconds);
    stage.service.say(&recording, &format!("Call me {SAID}."));
    stage.put(format!("{seed}.wav"), &recording);
}

/// Fails if what a program printed holds what must never be in a log.
fn search(outcome: &Outcome) {
    let told = outcome.tell();
    for secret in [
        KEY,
        SAID,
        s3::SECRET_KEY,
        "X-Amz-Signature",
        "X-Amz-Credential",
    ] {
        let found = told.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret:?} is told");
    }
}

#[test]
fn what_goes_well_tells_nothing_of_it() {
    let stage = stage();
    put(&stage, 1, 0.5);
    stage.set("transcribe.formats", json!(["txt", "json", "srt", "raw"]));
    let outcome = stage.stenod(["-vvv", "run"]).success();
    assert!(outcome.stderr.contains("DEBUG"), "{}", outcome.tell());
    search(&outcome);
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.diarize", true);
    search(&stage.stenod(["-vvv", "run"]).success());
    search(&stage.stenod(["-vvv", "render"]).success());
}

#[test]
fn what_is_refused_tells_nothing_of_it_although_the_service_repeats_the_key() {
    let words = |text: &str| json!({"error": {"message": text, "code": "x"}});
    for (status, text) in [
        (400, format!("no good: {KEY}")),
        (401, format!("bad key {KEY}")),
        (402, format!("{KEY} has no money")),
        (500, format!("Bearer {KEY}")),
    ] {
        let stage = stage();
        put(&stage, 1, 0.5);
        let refusal = Reply::json(status, &words(&text));
        stage
            .service
            .script(Rule::on(Endpoint::Submit).answer(refusal).always());
        stage.set("service.jobs", 1);
        let running = stage.call(["-vvv", "run"]).start();
        stage.service.wait("an answer", |log| {
            log.submits().any(|submit| submit.answered.is_some())
        });
        running.terminate();
        search(&running.outcome().no_panic());
        for arguments in [&["list"][..], &["show", "1"], &["status"]] {
            let told = stage.stenod(arguments).tell();
            assert!(!told.contains(KEY), "{told}");
        }
    }
}

#[test]
fn what_is_lost_or_unreadable_tells_nothing_of_it() {
    let stage = stage();
    put(&stage, 1, 0.5);
    put(&stage, 2, 0.6);
    let odd = Reply::text(200, "text/plain", format!("{{\"said\": \"{SAID}\", {KEY}"));
    stage.service.script(Rule::on(Endpoint::Submit).answer(odd));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).charged().act(Act::Reset));
    search(&stage.stenod(["-vvv", "run"]).no_panic());
}

#[test]
fn a_link_into_the_bucket_is_told_by_nobody() {
    let storage = S3::start();
    let stage = stage();
    let secret = stage.root().join("bucket-secret");
    durable::write(&secret, s3::SECRET_KEY.as_bytes(), Existing::Replace).unwrap();
    stage.set("large.route", "bucket");
    stage.set("large.direct_limit", "100 KiB");
    stage.set("bucket.url", format!("s3://{}/stenod", s3::BUCKET));
    stage.set("bucket.endpoint", storage.endpoint());
    stage.set("bucket.access_key_id", s3::ACCESS_KEY);
    stage.set(
        "bucket.secret_access_key_file",
        secret.display().to_string(),
    );
    put(&stage, 1, LARGE_SECONDS);
    search(&stage.stenod(["-vvv", "run"]).success());
    assert_eq!(storage.objects(), []);
    stage.check();
}
