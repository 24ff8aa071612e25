//! Others are told what happens: once, signed, although everything between fails, and never at the cost of a
//! transcript.

#![cfg(test)]

mod commands;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use stenod::durable::{self, Existing};
use stenod_support::audio::wav;
use stenod_support::hook::{Act, Hook, Request};
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{KEY, Stage};

/// What the webhook's requests are signed with, and its key.
const SECRET: &str = "whsec_c3Rlbm9kLXNpZ25zLXdpdGgtdGhpcy1rZXkh";
const TOKEN: &str = "tk_rumpelstilzchen";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn secret_file(stage: &Stage, name: &str, secret: &str) -> String {
    let path = stage.root().join(name);
    durable::write(&path, secret.as_bytes(), Existing::Replace).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Has `hook` told by webhook.
fn tell(stage: &Stage, hook: &Hook) {
    stage.set("notify.webhook_url", hook.url("/hooks/geheim?pass=geheim"));
    stage.set(
        "notify.webhook_secret_file",
        secret_file(stage, "webhook-secret", SECRET),
    );
    stage.set("notify.allow_private", true);
}

/// Fails unless a request is signed as the specification has it; gives its body.
fn verified(request: &Request) -> Value {
    let key = STANDARD
        .decode(SECRET.strip_prefix("whsec_").unwrap())
        .unwrap();
    let signed = format!(
        "{}.{}.{}",
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
        request.body
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(signed.as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(request.header("webhook-signature"), expected);
    assert_eq!(request.header("content-type"), "application/json");
    request.json()
}

fn types(hook: &Hook) -> Vec<String> {
    let requests = hook.requests().into_iter();
    requests
        .map(|request| request.json()["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_run_tells_of_what_was_written_and_of_what_failed() {
    let (stage, hook) = (stage(), Hook::start());
    tell(&stage, &hook);
    stage.set("service.jobs", 1);
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    let refusal = Reply::json(400, &json!({"error": {"message": "no good", "code": "x"}}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(refusal));
    stage.stenod(["run"]).code(3);
    let requests = hook.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/hooks/geheim?pass=geheim");
    let bodies: Vec<Value> = requests.iter().map(verified).collect();
    let of = |event: &str| bodies.iter().find(|body| body["type"] == event).unwrap();
    let (done, failed) = (of("done"), of("failed"));
    let jobs = stage.json(&["list"]);
    for body in [done, failed] {
        let job = jobs
            .as_array()
            .unwrap()
            .iter()
            .find(|job| job["id"] == body["data"]["id"]);
        assert_eq!(job.unwrap()["source"], body["data"]["source"]);
        assert_eq!(job.unwrap()["outputs"], body["data"]["outputs"]);
    }
    assert_eq!(done["data"]["outputs"].as_array().unwrap().len(), 2);
    assert_eq!(failed["data"]["reason"], "bad_request");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("fix: stenod retry"),
        "{failed}"
    );
    stage.check();
}

#[test]
fn a_command_is_run_for_each_transcript_without_the_key_and_may_call_stenod() {
    let stage = stage();
    let folder = stage.root().join("told");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "cat > {0}/body; env > {0}/env; {1} -c {2} --json show $STENOD_JOB_ID > {0}/show",
        folder.display(),
        env!("CARGO_BIN_EXE_stenod"),
        stage.config_file().display()
    );
    stage.set("notify.command", json!(["/bin/sh", "-c", script]));
    stage.set("notify.command_events", json!(["done"]));
    stage.put("a b.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let body: Value = serde_json::from_str(&read("body")).unwrap();
    assert_eq!(body["type"], "done");
    let environment = read("env");
    let source = stage.at("a b.wav").display().to_string();
    assert!(
        environment.contains(&format!("STENOD_SOURCE={source}\n")),
        "{environment}"
    );
    assert!(environment.contains("STENOD_EVENT=done\n"), "{environment}");
    for secret in [KEY, "NANOGPT", "STENOD_CONFIG"] {
        assert!(!environment.contains(secret), "{environment}");
    }
    let shown: Value = serde_json::from_str(&read("show")).unwrap();
    assert_eq!(shown["state"], "done");
}

#[test]
fn a_receiver_that_never_answers_delays_no_transcript_and_is_told_after_a_kill() {
    let (stage, hook) = (stage(), Hook::start());
    tell(&stage, &hook);
    stage.set("notify.webhook_events", json!(["done"]));
    hook.usually(Act::Hang);
    stage.put("a.wav", &wav(1, 0.5));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("a.json").exists());
    let first = hook.wait(1);
    stage.put("b.wav", &wav(2, 0.5));
    watch.until("the second transcript", || stage.at("b.json").exists());
    assert_eq!(hook.requests().len(), 1, "it is still not answered");
    watch.kill();
    let status = stage.json(&["status"]);
    assert_eq!(status["notices"][0]["receiver"], "webhook");
    assert!(
        status["notices"][0]["waiting"].as_u64().unwrap() >= 1,
        "{status}"
    );
    hook.usually(Act::status(200));
    stage.stenod(["run"]).success();
    let requests = hook.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(
        requests[1].header("webhook-id"),
        first[0].header("webhook-id")
    );
    assert_eq!(requests[1].body, first[0].body);
    verified(&requests[1]);
    verified(&requests[2]);
    assert_ne!(
        requests[2].header("webhook-id"),
        first[0].header("webhook-id")
    );
    assert_eq!(stage.json(&["status"])["notices"], json!([]));
}

#[test]
fn what_a_run_could_not_tell_is_shown_and_told_by_the_next() {
    let (stage, hook) = (stage(), Hook::start());
    tell(&stage, &hook);
    hook.usually(Act::status(500));
    stage.put("a.wav", &wav(1, 0.5));
    let outcome = stage.stenod(["run"]).success();
    assert!(
        outcome.stderr.contains("a notice was not taken"),
        "{}",
        outcome.tell()
    );
    let status = stage.stenod(["status"]).success();
    assert!(
        status
            .stdout
            .contains("webhook: 1 wait (it answered with status 500)"),
        "{}",
        status.tell()
    );
    let doctor = stage.stenod(["doctor"]);
    assert!(
        doctor.stdout.contains("1 wait for webhook"),
        "{}",
        doctor.tell()
    );
    hook.usually(Act::status(200));
    stage.stenod(["run"]).success();
    assert!(types(&hook).iter().all(|event| event == "done"));
    assert_eq!(stage.json(&["status"])["notices"], json!([]));
}

#[test]
fn a_daemon_tells_of_a_pause_and_its_end() {
    let (stage, hook) = (stage(), Hook::start());
    stage.set("notify.ntfy_url", hook.url("/geheim"));
    stage.set(
        "notify.ntfy_token_file",
        secret_file(&stage, "token", TOKEN),
    );
    stage.set("notify.allow_private", true);
    let mut watch = stage.call(["watch"]).start();
    watch.until("the daemon", || {
        stage.stenod(["status"]).stdout.starts_with("running")
    });
    stage.stenod(["pause"]).success();
    stage.stenod(["resume"]).success();
    let requests = hook.wait(2);
    assert_eq!(
        requests[0].header("authorization"),
        format!("Bearer {TOKEN}")
    );
    let titles: Vec<Value> = requests
        .iter()
        .map(|request| request.json()["title"].clone())
        .collect();
    assert_eq!(titles, ["Transcribing is paused", "Transcribing goes on"]);
    watch.terminate();
    watch.outcome().no_panic();
}

#[test]
fn who_is_told_may_change_while_the_daemon_runs() {
    let (stage, hook) = (stage(), Hook::start());
    let mut watch = stage.call(["watch"]).start();
    stage.put("a.wav", &wav(1, 0.5));
    watch.until("the first transcript", || {
        stage.json(&["list"])[0]["state"] == "done"
    });
    tell(&stage, &hook);
    stage.set("notify.webhook_events", json!(["done"]));
    stage.stenod(["reload"]).success();
    stage.put("b.wav", &wav(2, 0.5));
    let told = verified(&hook.wait(1)[0]);
    assert_eq!(
        told["data"]["source"],
        stage.at("b.wav").display().to_string()
    );
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(hook.requests().len(), 1);
}

#[test]
fn no_secret_of_a_receiver_is_told_at_the_highest_level_of_the_log() {
    let (stage, hook) = (stage(), Hook::start());
    tell(&stage, &hook);
    stage.set("notify.ntfy_url", hook.url("/rumpelstilz"));
    stage.set(
        "notify.ntfy_token_file",
        secret_file(&stage, "token", TOKEN),
    );
    stage.set("notify.ntfy_events", json!(["done", "failed"]));
    hook.script([
        Act::status(500),
        Act::Reset,
        Act::status(302),
        Act::status(410),
    ]);
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    let mut told = String::new();
    for _ in 0..3 {
        told.push_str(&stage.stenod(["-vvv", "run"]).success().tell());
    }
    for arguments in [
        &["-vvv", "status"][..],
        &["-vvv", "doctor"],
        &["config", "show"],
    ] {
        told.push_str(&stage.stenod(arguments).tell());
    }
    assert!(told.contains("a notice was not taken"), "{told}");
    for secret in ["geheim", "rumpelstilz", TOKEN, SECRET, &SECRET[6..]] {
        let found = told.lines().find(|line| line.contains(secret));
        // The names of the files are no secrets.
        assert_eq!(found, None, "{secret:?} is told");
    }
}

#[test]
fn what_cannot_be_told_is_refused_at_the_start_and_doctor_says_why() {
    let stage = stage();
    stage.set("notify.webhook_url", "https://hooks.example/");
    let path: PathBuf = stage.root().join("webhook-secret");
    stage.set("notify.webhook_secret_file", path.display().to_string());
    let missing = stage.stenod(["run"]).code(10);
    assert!(
        missing.stderr.contains("there is no such file"),
        "{}",
        missing.tell()
    );
    secret_file(&stage, "webhook-secret", "hunter2");
    stage
        .stenod(["run"])
        .code(10)
        .says("does not begin with whsec_");
    let doctor = stage.stenod(["doctor", "--offline"]);
    assert!(
        doctor.stdout.contains("does not begin with whsec_"),
        "{}",
        doctor.tell()
    );
    assert!(!doctor.stdout.contains("hunter2"), "{}", doctor.tell());
    secret_file(&stage, "webhook-secret", SECRET);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let doctor = stage.stenod(["doctor", "--offline"]);
    assert!(
        doctor.stdout.contains("can be read by others (mode 644)"),
        "{}",
        doctor.tell()
    );
    stage.set("notify.command", json!(["/no/such/program"]));
    let doctor = stage.stenod(["doctor", "--offline"]);
    assert!(
        doctor
            .stdout
            .contains("there is no program /no/such/program"),
        "{}",
        doctor.tell()
    );
    assert!(
        doctor
            .stdout
            .contains("the webhook at https://hooks.example is told"),
        "{}",
        doctor.tell()
    );
}
