//! Orders from outside: to a daemon, to a run, and to a table that nobody works on, with the same words.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::process::Signal;
use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Log, Moment, Reply, Rule};
use stenod_support::stage::{Running, Stage, eventually};

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.in_doubt", "hold");
    stage
}

/// A daemon that has transcribed its first recording, so that it is known to be at work.
fn watching(stage: &Stage) -> Running {
    stage.put("first.wav", &wav(1000, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("first.json").exists());
    watch
}

fn socket(stage: &Stage) -> PathBuf {
    stage.state().join("control.sock")
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn submits(stage: &Stage) -> usize {
    stage.service.look(|log| log.submits().count())
}

fn count(stage: &Stage, state: &str) -> u64 {
    stage.json(&["status"])["jobs"][state].as_u64().unwrap()
}

fn until_count(stage: &Stage, state: &str, wanted: u64) {
    eventually(&format!("{wanted} {state}"), || {
        count(stage, state) == wanted
    });
}

/// The job of a recording.
fn job(stage: &Stage, name: &str) -> Value {
    let path = stage.at(name).display().to_string();
    let jobs = stage.json(&["list"]);
    let mut found = jobs.as_array().unwrap().iter();
    found
        .find(|job| job["source"] == path.as_str())
        .cloned()
        .unwrap_or_else(|| panic!("no job of {name}: {jobs}"))
}

#[test]
fn the_socket_is_there_while_the_daemon_is_and_for_its_owner_alone() {
    let stage = stage();
    let watch = watching(&stage);
    eventually("the socket", || socket(&stage).exists());
    let mode = socket(&stage).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    watch.terminate();
    watch.outcome().code(143);
    assert!(!socket(&stage).exists());
}

#[test]
fn a_socket_that_a_killed_daemon_left_does_not_hinder_anybody() {
    let stage = stage();
    let watch = watching(&stage);
    eventually("the socket", || socket(&stage).exists());
    watch.kill();
    assert!(socket(&stage).exists());
    // Nobody holds the state: the table itself is used.
    stage.stenod(["pause"]).success().says("paused");
    let mut again = stage.call(["watch"]).start();
    again.until("the new daemon", || {
        stage.json(&["status"])["running"] == true
    });
    stage.stenod(["resume"]).success().says("resumed");
    stage.put("b.wav", &wav(2, 0.3));
    again.until("the next transcript", || stage.at("b.json").exists());
}

#[test]
fn a_state_directory_deeper_than_an_address_is_long_has_its_socket_too() {
    let stage = stage();
    let deep = stage.root().join("d".repeat(120)).join("state");
    stage.set("state_dir", deep.display().to_string());
    let mut watch = watching(&stage);
    watch.until("the socket", || deep.join("control.sock").exists());
    stage.stenod(["pause"]).success();
    assert_eq!(stage.json(&["status"])["paused"]["reason"], "operator");
}

#[test]
fn a_pause_holds_what_is_new_survives_restarts_and_ends_by_hand() {
    let stage = stage();
    let watch = watching(&stage);
    stage
        .stenod(["pause"])
        .success()
        .says("until `stenod resume`");
    stage.put("held.wav", &wav(1, 0.3));
    until_count(&stage, "queued", 1);
    watch.terminate();
    watch.outcome().code(143);
    let mut watch = stage.call(["watch"]).start();
    watch.until("the new daemon", || {
        stage.json(&["status"])["running"] == true
    });
    let status = stage.json(&["status"]);
    assert_eq!(status["paused"]["reason"], "operator", "{status}");
    assert!(status["paused"]["since"].is_string() && status["paused"]["until"].is_null());
    assert_eq!(submits(&stage), 1);
    stage.stenod(["resume"]).success().says("resumed");
    watch.until("the held transcript", || stage.at("held.json").exists());
    assert!(stage.json(&["status"])["paused"].is_null());
    stage
        .stenod(["resume"])
        .success()
        .says("nothing was paused");
}

#[test]
fn a_pause_with_an_end_says_it_and_ends_by_itself() {
    let stage = stage();
    let paused = stage.json(&["pause", "--for", "2h"]);
    assert_eq!(paused["paused"]["reason"], "operator");
    let status = stage.json(&["status"]);
    assert_eq!(status["paused"]["until"], paused["paused"]["until"]);
    stage
        .stenod(["pause", "--until", "2020-01-01"])
        .code(2)
        .says("past");
    stage
        .stenod(["pause", "--until", "soon"])
        .code(2)
        .says("18:30");
    stage
        .stenod(["pause", "--for", "1h", "--until", "18:30"])
        .code(2);
    stage.put("a.wav", &wav(1, 0.3));
    stage.stenod(["pause", "--for", "1s"]).success();
    let mut watch = stage.call(["watch"]).start();
    watch.until("the transcript", || stage.at("a.json").exists());
    assert!(stage.json(&["status"])["paused"].is_null());
}

#[test]
fn a_run_under_a_pause_says_so_queues_and_ends() {
    let stage = stage();
    stage.stenod(["pause"]).success();
    stage.put("a.wav", &wav(1, 0.3));
    stage
        .stenod(["run", "--yes"])
        .code(0)
        .says("paused by hand");
    assert_eq!((submits(&stage), count(&stage, "queued")), (0, 1));
    let outcome = stage.stenod(["run", "--yes", "--json"]).code(0);
    let summary = outcome.lines().pop().unwrap();
    assert_eq!(summary["ended"], "paused", "{summary}");
    assert_eq!(summary["paused"]["reason"], "operator");
    stage.stenod(["resume"]).success();
    stage.stenod(["run", "--yes"]).success();
    assert!(stage.at("a.json").exists());
}

#[test]
fn a_pause_keeps_the_built_in_recogniser_quiet_as_well() {
    let stage = stage();
    stage.set("service.provider", "local");
    stage.put("a.wav", &wav(1, 0.3));
    stage.stenod(["pause"]).success();
    stage.stenod(["run"]).code(0).says("paused by hand");
    assert_eq!(count(&stage, "queued"), 1);
}

#[test]
fn tickets_that_are_paid_for_are_collected_under_a_pause() {
    let stage = stage();
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.service.behave(|behaviour| behaviour.polls = u32::MAX);
    stage.put("a.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    stage
        .service
        .wait("a poll", |log| log.polls().next().is_some());
    stage.stenod(["pause"]).success();
    stage.service.behave(|behaviour| behaviour.polls = 0);
    watch.until("the paid transcript", || stage.at("a.json").exists());
}

#[test]
fn resume_has_one_request_tried_at_once_where_the_service_had_refused() {
    let stage = stage();
    let refuse = Rule::on(Endpoint::Submit)
        .at(Moment::Complete)
        .answer(Reply::empty(503).with("retry-after", "3000"));
    stage.service.script(refuse);
    stage.put("a.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the pause", || !stage.json(&["status"])["paused"].is_null());
    stage.stenod(["resume"]).success().says("tried at once");
    watch.until("the transcript", || stage.at("a.json").exists());
}

#[test]
fn a_job_that_is_being_sent_is_stopped_free_of_charge() {
    let stage = stage();
    let gate = Gate::closed();
    // Larger than what the kernel takes off a sender's hands.
    stage.set("large.direct_limit", "64 MiB");
    let mut watch = watching(&stage);
    let hold = Rule::on(Endpoint::Submit).at(Moment::Head).behind(&gate);
    stage.service.script(hold);
    stage.put("big.wav", &wav(1, 900.0));
    stage
        .service
        .wait("the upload", |log| log.submits().any(|submit| submit.held));
    let outcome = stage.stenod(["cancel", &stage.at("big.wav").display().to_string()]);
    outcome.success().says("1 cancelled");
    gate.open();
    assert_eq!(job(&stage, "big.wav")["state"], "cancelled");
    assert_eq!(charges(&stage), 1);
    stage.put("next.wav", &wav(2, 0.3));
    watch.until("the next transcript", || stage.at("next.json").exists());
    assert_eq!(job(&stage, "big.wav")["state"], "cancelled");
    stage.check();
}

#[test]
fn a_job_that_was_handed_over_is_paid_for_and_kept() {
    let stage = stage();
    let gate = Gate::closed();
    let mut watch = watching(&stage);
    let hold = Rule::on(Endpoint::Submit)
        .at(Moment::Complete)
        .behind(&gate);
    stage.service.script(hold);
    stage.put("a.wav", &wav(1, 0.3));
    stage.service.wait("the whole request", |log| {
        log.submits().any(|submit| submit.held)
    });
    let id = job(&stage, "a.wav")["id"].to_string();
    stage
        .stenod(["cancel", &id])
        .success()
        .says("0 cancelled")
        .says("paid for");
    gate.open();
    watch.until("its transcript", || stage.at("a.json").exists());
    stage.check();
}

#[test]
fn orders_say_the_same_whether_somebody_is_at_work_or_not() {
    let stage = stage();
    stage.put("gone.wav", &wav(1, 0.3));
    let refuse = Rule::on(Endpoint::Submit).answer(Reply::empty(400));
    stage.service.script(refuse);
    let mut watch = stage.call(["watch"]).start();
    watch.until("the failure", || count(&stage, "failed") == 1);
    let orders: [&[&str]; 4] = [
        &["cancel", "1"],
        &["cancel", "1", "--json"],
        &["pause", "--json"],
        &["resume"],
    ];
    let told = |arguments: &[&str]| {
        let outcome = stage.stenod(arguments.iter().copied());
        let since = |text: String| {
            // The moment of a pause differs.
            let lines = text.lines().filter(|line| !line.contains("\"since\""));
            lines.collect::<Vec<_>>().join("\n")
        };
        (outcome.code, since(outcome.stdout), outcome.stderr)
    };
    let at_work: Vec<_> = orders.iter().map(|order| told(order)).collect();
    stage
        .stenod(["retry", "1"])
        .success()
        .says("1 to be tried again");
    watch.until("the transcript", || stage.at("gone.json").exists());
    watch.terminate();
    watch.outcome().code(143);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(Reply::empty(400)));
    stage.stenod(["run", "--yes", "--force"]).code(3);
    let at_rest: Vec<_> = orders.iter().map(|order| told(order)).collect();
    assert_eq!(at_work, at_rest);
    stage.stenod(["cancel", "99"]).code(1).says("no job");
}

#[test]
fn a_run_takes_orders_but_neither_more_recordings_nor_other_settings() {
    let stage = stage();
    stage.put("first.wav", &wav(3, 0.3));
    stage.stenod(["run", "--yes"]).success();
    let gate = Gate::closed();
    stage.set("service.jobs", 1);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    stage.put("a.wav", &wav(1, 0.3));
    stage.put("b.wav", &wav(2, 0.3));
    let run = stage.call(["run", "--yes"]).start();
    let held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("a submit in flight", held);
    let waiting = ["a.wav", "b.wav"]
        .into_iter()
        .find(|name| job(&stage, name)["state"] == "queued")
        .expect("one that waits for its turn");
    let path = stage.at(waiting).display().to_string();
    stage
        .stenod(["cancel", &path])
        .success()
        .says("1 cancelled");
    let again = stage.stenod(["retry", &path]).success();
    again.says("the `stenod run` that is at work");
    stage.stenod(["cancel", &path]).success();
    let second = stage.stenod(["run", "--yes"]).code(11);
    let process = format!("process {}, since ", run.pid());
    second.says("run").says(&process);
    stage.stenod(["reload"]).code(11).says("run");
    stage
        .stenod(["render", "-f", "srt"])
        .success()
        .says("first.srt");
    gate.open();
    run.outcome().code(0);
    assert_eq!(charges(&stage), 2);
    assert_eq!(job(&stage, waiting)["state"], "cancelled");
}

#[test]
fn a_daemon_takes_a_run_on_and_its_client_sees_it_end() {
    let stage = stage();
    let _watch = watching(&stage);
    let elsewhere = stage.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a.wav"), wav(1, 0.3)).unwrap();
    fs::write(elsewhere.join("b.wav"), wav(2, 0.3)).unwrap();
    fs::write(elsewhere.join("empty.wav"), b"").unwrap();
    let path = elsewhere.display().to_string();
    let outcome = stage.stenod(["run", "--yes", "--formats", "txt,srt,json", &path]);
    let outcome = outcome.code(0).says("2 done").says("empty.wav");
    assert!(outcome.stderr.contains("done"), "{}", outcome.tell());
    assert!(elsewhere.join("a.srt").exists() && elsewhere.join("b.json").exists());
    assert_eq!(charges(&stage), 3);
    let again = stage.stenod(["run", "--yes", "--json", &path]).code(0);
    let summary = again.lines().pop().unwrap();
    assert_eq!(
        (&summary["type"], &summary["ended"], &summary["done_before"]),
        (&"summary".into(), &"finished".into(), &2.into()),
        "{summary}"
    );
    assert_eq!(charges(&stage), 3);
}

#[test]
fn a_run_beside_a_daemon_is_asked_about_the_money_that_the_daemon_would_spend() {
    let stage = stage();
    let _watch = watching(&stage);
    stage.disagree();
    let path = stage.root().join("a.wav");
    fs::write(&path, wav(1, 3.0)).unwrap();
    let path = path.display().to_string();
    // This command by itself would do it for nothing, and the daemon has another key and model.
    let by_itself = |arguments: &[&str]| {
        let call = stage.call(arguments).without("NANOGPT_API_KEY");
        call.env("STENOD_SERVICE__PROVIDER", "local").output()
    };
    let outcome = by_itself(&["run", &path]);
    let outcome = outcome.code(2).says("1 to transcribe").says("$");
    assert!(!outcome.stderr.contains("no key"), "{}", outcome.tell());
    assert_eq!(submits(&stage), 1);
    let planned = by_itself(&["plan", &path]);
    planned.success().says("has other settings");
    let alike = stage.stenod(["plan", &path]).success();
    assert!(!alike.stderr.contains("warning"), "{}", alike.tell());
    by_itself(&["run", "--yes", "--json", &path]).code(0);
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_run_without_paths_beside_a_watch_of_another_folder_does_the_configured_folders() {
    let stage = stage();
    let other = stage.root().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("watched.wav"), wav(3, 0.3)).unwrap();
    let mut watch = stage.call(["watch", other.to_str().unwrap()]).start();
    watch.until("the watched one", || other.join("watched.json").exists());
    stage.put("a.wav", &wav(1, 0.3));
    let outcome = stage.stenod(["run", "--yes", "--json"]).code(0);
    assert_eq!(outcome.lines()[0]["to_send"], 1, "{}", outcome.tell());
    assert!(stage.at("a.json").exists());
    stage.no_folders();
    fs::write(other.join("b.wav"), wav(2, 0.3)).unwrap();
    stage.stenod(["run", "--yes"]).code(0);
    assert!(other.join("b.json").exists());
}

#[test]
fn a_run_whose_price_nobody_was_told_takes_nothing_in() {
    let stage = stage();
    let _watch = watching(&stage);
    let path = stage.root().join("a.wav");
    fs::write(&path, wav(1, 0.3)).unwrap();
    let order = json!({"version": 1, "order": {"run": {
        "paths": [path.display().to_string()], "force": false, "limit": null, "plan": "others", "flags": {
            "provider": null, "model": null, "language": null, "formats": null, "output_dir": null,
            "diarize": null, "include": null, "exclude": null, "no_recursive": null,
        },
    }}});
    let mut stream = UnixStream::connect(socket(&stage)).unwrap();
    writeln!(stream, "{order}").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(
        told.contains("refused") && told.contains("does not know any more"),
        "{told}"
    );
    assert_eq!(submits(&stage), 1);
}

#[test]
fn what_comes_after_the_price_was_said_is_not_sent_by_a_run_beside_a_daemon() {
    let stage = stage();
    let _watch = watching(&stage);
    stage.disagree();
    let folder = stage.root().join("other");
    fs::create_dir_all(folder.join("dear")).unwrap();
    fs::write(folder.join("a.wav"), wav(1, 0.3)).unwrap();
    fs::write(folder.join("dear/b.wav"), wav(2, 0.3)).unwrap();
    let mut client = stage.on_terminal(["run", folder.to_str().unwrap()]);
    client.until("the question", |screen| screen.contains("[y/N]"));
    fs::write(folder.join("late.wav"), wav(3, 0.3)).unwrap();
    fs::write(
        folder.join("dear/stenod.toml"),
        "model = \"Elevenlabs-STT\"\n",
    )
    .unwrap();
    client.press("y\r");
    let ended = client.end();
    assert_eq!(ended.code, Some(3), "{}", ended.screen);
    assert!(
        ended.screen.contains("after the price was said"),
        "{}",
        ended.screen
    );
    assert_eq!(charges(&stage), 2, "{}", ended.screen);
    assert!(folder.join("a.json").exists() && !folder.join("late.json").exists());
}

#[test]
fn what_is_done_while_a_person_thinks_is_not_paid_for_again_by_force() {
    let stage = stage();
    let mut watch = watching(&stage);
    stage.disagree();
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    let late = stage.put("late.wav", &wav(2, 0.3));
    let held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("a submit in flight", held);
    let first = stage.at("first.wav");
    let (first, late) = (first.to_str().unwrap(), late.to_str().unwrap());
    let mut client = stage.on_terminal(["run", "--force", first, late]);
    let screen = client.until("the question", |screen| screen.contains("[y/N]"));
    assert!(screen.contains("1 to transcribe"), "{screen}");
    gate.open();
    watch.until("the transcript", || stage.at("late.json").exists());
    until_count(&stage, "done", 2);
    client.press("y\r");
    let ended = client.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    // That which was named by its price, and no other.
    assert_eq!(charges(&stage), 3, "{}", ended.screen);
}

#[test]
fn a_daemon_that_ends_while_a_person_thinks_is_not_said_to_hold_the_state() {
    let stage = stage();
    let watch = watching(&stage);
    stage.disagree();
    let path = stage.root().join("a.wav");
    fs::write(&path, wav(1, 0.3)).unwrap();
    let mut client = stage.on_terminal(["run", path.to_str().unwrap()]);
    client.until("the question", |screen| screen.contains("[y/N]"));
    watch.terminate();
    watch.outcome().code(143);
    client.press("y\r");
    let ended = client.end();
    assert_eq!(ended.code, Some(5), "{}", ended.screen);
    assert!(ended.screen.contains("has ended since"), "{}", ended.screen);
}

#[test]
fn what_is_queued_is_written_as_the_next_run_asks_for_it() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.3));
    stage.stenod(["pause"]).success();
    stage.stenod(["run", "--yes"]).success();
    stage.stenod(["resume"]).success();
    let out = stage.root().join("out");
    let out = out.to_str().unwrap();
    let asked = ["run", "--yes", "-f", "srt", "-o", out];
    stage.stenod(asked).success();
    assert_eq!(stage.names(), ["a.wav"]);
    let written = fs::read_dir(out).unwrap();
    let names = written.map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    // What was asked for before is written as well.
    assert_eq!(names, ["a.json", "a.srt", "a.txt"]);
    assert_eq!(charges(&stage), 1);
    // What is done stays where it is, and the way there is told.
    let there = stage.root().join("there");
    let asked = ["run", "--yes", "-f", "md", "-o", there.to_str().unwrap()];
    stage.stenod(asked).success().says("stenod render -f md -o");
    assert!(!there.exists());
}

#[test]
fn a_run_that_is_declined_changes_neither_formats_nor_folders() {
    let stage = stage();
    stage.put("done.wav", &wav(1, 0.3));
    stage.stenod(["run", "--yes"]).success();
    stage.stenod(["pause"]).success();
    stage.put("queued.wav", &wav(2, 0.3));
    stage.stenod(["run", "--yes"]).success();
    stage.disagree();
    let before = stage.names();
    let out = stage.root().join("out");
    let out = out.to_str().unwrap();
    stage.stenod(["run", "-f", "srt,vtt"]).code(2);
    let mut asked = stage.on_terminal(["run", "-f", "srt", "-o", out]);
    asked.until("the question", |screen| screen.contains("[y/N]"));
    asked.press("n\r");
    assert_eq!(asked.end().code, Some(0));
    stage.stenod(["resume"]).success();
    stage.stenod(["run", "--yes"]).success();
    let mut after = stage.names();
    after.retain(|name| !name.starts_with("queued."));
    let mut before = before;
    before.retain(|name| !name.starts_with("queued."));
    assert_eq!(after, before);
    assert!(stage.at("queued.json").exists() && !stage.at("queued.vtt").exists());
}

#[test]
fn what_a_run_has_handed_to_a_daemon_is_kept_over_its_restart() {
    let stage = stage();
    let watch = watching(&stage);
    stage.stenod(["pause"]).success();
    let other = stage.root().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.wav"), wav(2, 0.3)).unwrap();
    let arguments = ["run", "--yes", other.to_str().unwrap()];
    stage.stenod(arguments).success().says("held by hand");
    let forced = stage.at("first.wav");
    let again = ["run", "--yes", "--force", forced.to_str().unwrap()];
    stage.stenod(again).success();
    until_count(&stage, "queued", 2);
    watch.terminate();
    watch.outcome().code(143);
    let mut watch = stage.call(["watch"]).start();
    watch.until("the new daemon", || {
        stage.json(&["status"])["running"] == true
    });
    until_count(&stage, "queued", 2);
    stage.stenod(["resume"]).success();
    watch.until("both", || {
        other.join("b.json").exists() && submits(&stage) == 3
    });
}

#[test]
fn a_run_that_a_daemon_takes_on_ends_with_the_usual_codes() {
    let stage = stage();
    let _watch = watching(&stage);
    let refuse = Rule::on(Endpoint::Submit).answer(Reply::empty(400));
    stage.service.script(refuse);
    let bad = stage.root().join("bad.wav");
    fs::write(&bad, wav(1, 0.3)).unwrap();
    let bad = bad.display().to_string();
    stage
        .stenod(["run", "--yes", &bad])
        .code(3)
        .says("1 failed");
    stage
        .stenod(["run", "--yes", "--max-cost", "1", &bad])
        .code(11);
    stage.stenod(["run", "--yes", "/no/such/path"]).code(2);
    stage.stenod(["pause"]).success();
    let held = stage.root().join("held.wav");
    fs::write(&held, wav(2, 0.3)).unwrap();
    let held = held.display().to_string();
    stage
        .stenod(["run", "--yes", &held])
        .code(0)
        .says("stenod resume");
}

#[test]
fn a_client_that_is_stopped_lets_go_and_the_daemon_goes_on() {
    let stage = stage();
    let gate = Gate::closed();
    let mut watch = watching(&stage);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    let path = stage.root().join("a.wav");
    fs::write(&path, wav(1, 0.3)).unwrap();
    let client = stage
        .call(["run", "--yes", &path.display().to_string()])
        .start();
    stage
        .service
        .wait("the submit", |log| log.submits().any(|submit| submit.held));
    client.signal(Signal::INT);
    client.outcome().code(130).says("goes on");
    gate.open();
    watch.until("the transcript", || path.with_extension("json").exists());
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_client_whose_daemon_is_stopped_says_that_the_work_is_kept() {
    let stage = stage();
    let watch = watching(&stage);
    stage.stenod(["pause"]).success();
    stage.stenod(["resume"]).success();
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Submit).at(Moment::Head).behind(&gate));
    let path = stage.root().join("a.wav");
    fs::write(&path, wav(1, 3.0)).unwrap();
    let client = stage
        .call(["run", "--yes", &path.display().to_string()])
        .start();
    stage
        .service
        .wait("the submit", |log| log.submits().any(|submit| submit.held));
    watch.kill();
    client.outcome().code(5).says("the work is kept");
    gate.open();
}

#[test]
fn a_reload_takes_folders_formats_and_limits_over_without_cutting_an_upload() {
    for by_signal in [false, true] {
        let stage = stage();
        let more = stage.root().join("more");
        fs::create_dir(&more).unwrap();
        fs::write(more.join("there.wav"), wav(7, 0.3)).unwrap();
        let gate = Gate::closed();
        let mut watch = watching(&stage);
        stage
            .service
            .script(Rule::on(Endpoint::Submit).behind(&gate));
        stage.put("flying.wav", &wav(1, 0.3));
        stage.service.wait("an upload in flight", |log| {
            log.submits().any(|submit| submit.held)
        });
        stage.no_folders();
        stage.add_folder(&more);
        stage.set(
            "transcribe.formats",
            serde_json::json!(["txt", "json", "vtt"]),
        );
        stage.set("service.jobs", 2);
        if by_signal {
            // Preparing a call writes the configuration.
            drop(stage.call(["status"]));
            watch.signal(Signal::HUP);
        } else {
            stage.stenod(["reload"]).success().says("in force");
        }
        watch.until("the recording in the new folder", || {
            more.join("there.vtt").exists()
        });
        gate.open();
        watch.until("the one in flight", || stage.at("flying.json").exists());
        stage.put("late.wav", &wav(8, 0.3));
        fs::write(more.join("late.wav"), wav(9, 0.3)).unwrap();
        watch.until("the next in the new folder", || {
            more.join("late.json").exists()
        });
        assert!(!stage.at("late.json").exists(), "the old folder is left");
        assert_eq!(charges(&stage), 4);
        let status = stage.json(&["status"]);
        let folders = status["folders"].as_array().unwrap();
        let old = folders
            .iter()
            .find(|folder| folder["path"] == stage.recordings().display().to_string().as_str());
        assert!(
            old.is_none_or(|folder| folder["watch"].is_null()),
            "{status}"
        );
        stage.check();
    }
}

#[test]
fn a_reload_of_a_wrong_file_keeps_the_settings_and_says_where_it_is_wrong() {
    let stage = stage();
    let mut watch = watching(&stage);
    stage.set("service.jobz", 3);
    // Preparing a call writes the configuration.
    drop(stage.call(["status"]));
    watch.signal(Signal::HUP);
    eventually("the complaint in the log", || {
        watch.stderr().contains("stay as they are") && watch.stderr().contains("config.toml:")
    });
    let outcome = stage.stenod(["reload"]).code(10).says("jobz");
    assert!(
        outcome.stderr.contains("config.toml:"),
        "{}",
        outcome.tell()
    );
    stage.put("a.wav", &wav(1, 0.3));
    watch.until("the next transcript", || stage.at("a.json").exists());
}

#[test]
fn a_reload_says_what_takes_a_restart() {
    let stage = stage();
    let _watch = watching(&stage);
    let old = stage.state();
    stage.set(
        "state_dir",
        stage.root().join("other").display().to_string(),
    );
    let call = ["reload", "--state-dir"];
    let outcome = stage.stenod(call.into_iter().chain([old.to_str().unwrap()]));
    outcome.success().says("state_dir stays");
    let at_rest = stage.stenod(["reload"]).success();
    assert!(
        at_rest.stderr.contains("nothing is running"),
        "{}",
        at_rest.tell()
    );
}

#[test]
fn a_reload_says_what_becomes_of_what_is_queued_in_a_folder_that_it_drops() {
    let stage = stage();
    let (kept, dropped) = (stage.root().join("kept"), stage.root().join("dropped"));
    for folder in [&kept, &dropped] {
        fs::create_dir(folder).unwrap();
        stage.add_folder(folder);
    }
    stage.stenod(["pause"]).success();
    let mut watch = stage.call(["watch"]).start();
    stage.put(dropped.join("a.wav"), &wav(1, 0.3));
    watch.until("it is queued", || {
        stage.json(&["status"])["jobs"]["queued"] == 1
    });
    stage.no_folders();
    stage.add_folder(&kept);
    let reload = stage.stenod(["reload"]).success();
    reload
        .says("1 recording is still queued from")
        .says("stenod cancel");
    // It is said once.
    let again = stage.stenod(["reload"]).success();
    assert!(!again.stderr.contains("still queued"), "{}", again.tell());
    stage.stenod(["resume"]).success();
    watch.until("its transcript", || dropped.join("a.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    stage.check();
}

#[test]
fn a_raised_budget_is_in_force_after_a_reload() {
    let stage = stage();
    stage.set("budget.per_day", "0.000001");
    stage.put("a.wav", &wav(1, 3.0));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the pause", || {
        stage.json(&["status"])["paused"]["reason"] == "budget"
    });
    stage.set("budget.per_day", "5");
    stage.stenod(["reload"]).success();
    watch.until("the transcript", || stage.at("a.json").exists());
    assert!(stage.json(&["status"])["paused"].is_null());
}

/// A service manager that hears what it is told.
struct Hearer {
    socket: UnixDatagram,
    heard: Mutex<Vec<String>>,
}

impl Hearer {
    fn at(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            heard: Mutex::default(),
        }
    }

    /// Whether something that begins so was heard so far.
    fn has(&self, beginning: &str) -> bool {
        let mut heard = self.heard.lock().unwrap();
        let mut line = [0; 512];
        while let Ok(count) = self.socket.recv(&mut line) {
            heard.push(String::from_utf8_lossy(&line[..count]).into_owned());
        }
        heard.iter().any(|line| line.starts_with(beginning))
    }

    fn place_of(&self, beginning: &str) -> Option<usize> {
        let heard = self.heard.lock().unwrap();
        heard.iter().position(|line| line.starts_with(beginning))
    }
}

#[test]
fn the_service_manager_hears_of_everything_that_it_waits_for() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    let path = stage.root().join("notify");
    let manager = Hearer::at(&path);
    let mut watch = stage
        .call(["watch"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .start();
    watch.until("that it is ready", || manager.has("READY=1"));
    // The table is there, and the first look at the folders is over.
    let folder = stage.json(&["status"])["folders"][0].clone();
    assert!(folder["scanned_at"].is_string(), "{folder}");
    watch.until("a ping", || manager.has("WATCHDOG=1"));
    watch.until("the state of things", || manager.has("STATUS="));
    stage.stenod(["reload"]).success();
    watch.until("the reload", || manager.has("RELOADING=1\nMONOTONIC_USEC="));
    watch.terminate();
    let outcome = watch.outcome().code(143);
    assert!(manager.has("STOPPING=1"), "{}", outcome.tell());
    assert!(manager.place_of("READY=1") < manager.place_of("RELOADING=1"));
}

#[test]
fn a_stop_drops_what_the_service_has_not_seen_whole() {
    let stage = stage();
    stage.set("large.direct_limit", "64 MiB");
    let gate = Gate::closed();
    let watch = watching(&stage);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).at(Moment::Head).behind(&gate));
    stage.put("big.wav", &wav(1, 900.0));
    stage
        .service
        .wait("the upload", |log| log.submits().any(|submit| submit.held));
    watch.terminate();
    // Nothing opens the gate: the stop does not wait for it.
    watch.outcome().code(143);
    gate.open();
    assert_eq!((count(&stage, "queued"), count(&stage, "in_doubt")), (1, 0));
    assert_eq!(charges(&stage), 1);
}
