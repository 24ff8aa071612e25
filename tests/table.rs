//! The job table of another stenod, its check, its copies, and what it may forget.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and spoil files as users do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{Stage, names};

/// What the first schema held: three recordings that are done (one by a ticket), one that failed, one in doubt.
const FIRST_SCHEMA: &str = include_str!("fixtures/schema/1.sql");

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn table(stage: &Stage) -> std::path::PathBuf {
    stage.state().join("stenod.db")
}

fn number(path: &Path, sql: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn submits(stage: &Stage) -> usize {
    stage.service.look(|log| log.submits().count())
}

#[test]
fn the_table_of_a_later_stenod_is_refused_and_left_as_it_is() {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let table = stage.state().join("stenod.db");
    let connection = Connection::open(&table).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    drop(connection);
    let before = fs::read(&table).unwrap();
    stage.put("b.wav", &wav(2, 0.5));
    for command in ["run", "watch"] {
        stage.stenod([command]).code(1).says("schema 99");
    }
    assert_eq!(fs::read(&table).unwrap(), before);
    assert_eq!(stage.service.look(|log| log.submits().count()), 1);
}

/// Puts the table of the first schema where the stage keeps its own.
fn with_the_first_schema(stage: &Stage) {
    fs::create_dir_all(stage.state()).unwrap();
    let connection = Connection::open(table(stage)).unwrap();
    connection.execute_batch(FIRST_SCHEMA).unwrap();
    assert_eq!(number(&table(stage), "PRAGMA user_version"), 1);
}

#[test]
fn the_table_of_the_first_schema_is_copied_and_then_brought_to_todays() {
    let stage = stage();
    with_the_first_schema(&stage);
    let status = stage.json(&["status"]);
    assert_eq!(status["jobs"]["done"], 3, "{status}");
    assert_eq!(status["jobs"]["failed"], 1, "{status}");
    assert_eq!(status["jobs"]["in_doubt"], 1, "{status}");
    assert_eq!(status["spent"]["USD"]["total"], "0.0016448", "{status}");
    let copy = stage.state().join("backups/schema-1.db");
    assert_eq!(number(&copy, "PRAGMA user_version"), 1);
    assert_eq!(number(&copy, "SELECT count(*) FROM jobs"), 5);
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    stage.stenod(["db", "check"]).success();
    for job in ["1", "2", "3", "4", "5"] {
        stage.stenod(["show", job]).success();
    }
    assert_eq!(submits(&stage), 0);
}

#[test]
fn no_room_for_the_copy_leaves_the_older_table_as_it_is() {
    let stage = stage();
    with_the_first_schema(&stage);
    // Where the folder of the copies is to be, there is a file.
    fs::write(stage.state().join("backups"), "").unwrap();
    for command in [&["status"][..], &["run"]] {
        stage
            .stenod(command)
            .code(1)
            .says("cannot be copied")
            .says("as it was");
    }
    assert_eq!(number(&table(&stage), "PRAGMA user_version"), 1);
}

#[test]
fn the_table_that_an_older_stenod_holds_is_left_to_it() {
    let stage = stage();
    with_the_first_schema(&stage);
    let lock = fs::File::create(stage.state().join("lock")).unwrap();
    lock.lock().unwrap();
    for command in [&["status"][..], &["list"], &["run"]] {
        stage.stenod(command).code(11);
    }
    stage.stenod(["list"]).code(11).says("older schema 1");
    assert_eq!(number(&table(&stage), "PRAGMA user_version"), 1);
    drop(lock);
    stage.stenod(["list"]).success();
}

#[test]
fn a_check_tells_a_sound_table_from_one_with_a_fault() {
    let stage = stage();
    stage.stenod(["db", "check"]).success().says("no job table");
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let check = stage.json(&["db", "check"]);
    assert_eq!(check["sound"], true, "{check}");
    assert_eq!(check["jobs"], 1, "{check}");
    let connection = Connection::open(table(&stage)).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; UPDATE outputs SET job = 77")
        .unwrap();
    drop(connection);
    let outcome = stage.stenod(["db", "check"]).code(1);
    assert!(
        outcome.stdout.contains("damaged") && outcome.stdout.contains("outputs refers to jobs"),
        "{}",
        outcome.tell()
    );
}

#[test]
fn a_copy_is_made_beside_whoever_holds_the_table_and_replaces_nothing() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let lock = fs::File::open(stage.state().join("lock")).unwrap();
    lock.lock().unwrap();
    let copy = stage.root().join("copy of the table.db");
    let arguments = ["db", "backup", copy.to_str().unwrap()];
    stage.stenod(arguments).success();
    assert_eq!(number(&copy, "SELECT count(*) FROM jobs"), 1);
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    let before = fs::read(&copy).unwrap();
    stage
        .stenod(arguments)
        .code(2)
        .says("is there already")
        .says("name a file that is not there yet");
    assert_eq!(fs::read(&copy).unwrap(), before);
    let told = stage.json(&["db", "backup"]);
    let usual = Path::new(told["backup"].as_str().unwrap()).to_owned();
    assert!(usual.starts_with(stage.state().join("backups")), "{told}");
    drop(lock);
    // A start from a copy knows all that was done before it was made.
    fs::remove_file(table(&stage)).unwrap();
    fs::copy(&copy, table(&stage)).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(submits(&stage), 1);
}

#[test]
fn old_histories_are_forgotten_and_nothing_that_was_paid_for() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.put("b.wav", &wav(2, 0.5));
    stage.stenod(["run"]).success();
    let connection = Connection::open(table(&stage)).unwrap();
    connection
        .execute_batch(
            "INSERT INTO attempts (job, at_ms, event, text)
                 VALUES (1, 0, 'offline', 'no answer'), (2, 0, 'offline', 'no answer');
             INSERT INTO replies (job, at_ms, kind, status, body) VALUES (1, 0, 'service', 202, x'7b7d');
             UPDATE replies SET at_ms = 0",
        )
        .unwrap();
    drop(connection);
    stage.stenod(["db", "backup"]).success();
    let trial = stage.json(&["db", "prune", "-n"]);
    assert_eq!(trial["replies"], 1, "{trial}");
    assert_eq!(trial["history"], 2, "{trial}");
    assert_eq!(number(&table(&stage), "SELECT count(*) FROM replies"), 3);
    let done = stage.json(&["db", "prune"]);
    assert_eq!(done["history"], trial["history"], "{done}");
    assert_eq!(done["backups"], 0, "the newest copy stays: {done}");
    assert_eq!(number(&table(&stage), "SELECT count(*) FROM replies"), 2);
    assert_eq!(number(&table(&stage), "SELECT count(*) FROM attempts"), 0);
    assert_eq!(stage.json(&["db", "prune"])["history"], 0);
    stage.stenod(["render", "-f", "srt"]).success();
    stage.stenod(["run"]).success();
    assert_eq!(submits(&stage), 2, "nothing is sent again");
    assert!(names(&stage.recordings()).contains(&"a.srt".to_owned()));
    let lock = fs::File::open(stage.state().join("lock")).unwrap();
    lock.lock().unwrap();
    stage.stenod(["db", "prune"]).code(11);
}

/// A recording whose run goes on, as a dead daemon left it, so many hours after it was accepted.
fn awaited_for_hours(stage: &Stage, hours: i64) {
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.service.behave(|behaviour| behaviour.polls = u32::MAX);
    stage.put("a.wav", &wav(1, 0.5));
    let watch = stage.call(["watch"]).start();
    stage.service.wait("a first poll", |log| {
        log.polls().any(|poll| poll.answered.is_some())
    });
    watch.kill();
    let connection = Connection::open(table(stage)).unwrap();
    let moved = connection
        .execute(
            "UPDATE jobs SET due_ms = 0, data = json_set(data, '$.submitted_at',
                 strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(data, '$.submitted_at'), ?1))
             WHERE stage = 'awaiting'",
            [format!("-{hours} hours")],
        )
        .unwrap();
    assert_eq!(moved, 1);
}

fn first_reason(stage: &Stage) -> String {
    let list = stage.json(&["list"]);
    list[0]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_run_that_takes_longer_than_its_length_explains_is_told_of_asked_on_and_never_sent_again() {
    let stage = stage();
    awaited_for_hours(&stage, 72);
    let mut watch = stage.call(["watch"]).start();
    watch.until("its word about the run", || {
        first_reason(&stage) == "poll_deadline"
    });
    watch.terminate();
    watch.outcome().no_panic();
    // The service ends it after all.
    stage.service.behave(|behaviour| behaviour.polls = 0);
    stage
        .stenod(["retry", "1"])
        .success()
        .says("1 to be tried again");
    stage.stenod(["run"]).success();
    assert!(stage.at("a.json").exists());
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_run_whose_answers_cannot_be_read_is_told_of_and_never_sent_again() {
    let stage = stage();
    stage.set("transcribe.model", "Elevenlabs-STT");
    let cut = r#"{"status": "completed", "transcription": "cut o"#;
    let cut = Reply::text(200, "application/json", cut);
    stage
        .service
        .script(Rule::on(Endpoint::Status).answer(cut).always());
    stage.put("a.wav", &wav(1, 0.5));
    let run = stage.stenod(["run"]);
    run.no_panic();
    assert_eq!(first_reason(&stage), "poll_unreadable");
    stage.stenod(["run"]).no_panic();
    stage.stenod(["cancel", "1"]).success().says("1 cancelled");
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_run_that_the_service_does_not_know_any_more_is_told_of_and_never_sent_again() {
    let stage = stage();
    awaited_for_hours(&stage, 1);
    let gone = Reply::json(404, &json!({"error": "Run not found"}));
    stage
        .service
        .script(Rule::on(Endpoint::Status).answer(gone).always());
    let mut watch = stage.call(["watch"]).start();
    watch.until("its word about the run", || {
        first_reason(&stage) == "run_unknown"
    });
    watch.terminate();
    watch.outcome().no_panic();
    stage.stenod(["run"]).no_panic();
    stage.stenod(["cancel", "1"]).success().says("1 cancelled");
    let entries = number(
        &table(&stage),
        "SELECT count(*) FROM ledger WHERE kind = 'charge' OR kind = 'doubt'",
    );
    assert_eq!(entries, 1, "what it cost, or may have cost, is kept");
    stage.stenod(["run"]).no_panic();
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    stage.check();
}

/// Leaves the table as if the process had gone down while it made something of the first recording's reply,
/// alone, and once before that.
fn gone_down_twice_with_the_reply(stage: &Stage) {
    let source = stage.at("a.wav").into_os_string().into_encoded_bytes();
    let connection = Connection::open(table(stage)).unwrap();
    let received = connection.execute(
        "UPDATE jobs SET stage = 'received', state = 'active', due_ms = 0,
             data = json_object('stage', 'received', 'reply', (SELECT max(id) FROM replies), 'trouble', NULL)",
        [],
    );
    assert_eq!(received.unwrap(), 1);
    let counted = connection.execute(
        "INSERT INTO suspects (path, falls, at_ms) VALUES (?1, 1, 0)",
        [&source],
    );
    assert_eq!(counted.unwrap(), 1);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let mut hands = format!("working {}\0", boot.trim()).into_bytes();
    hands.extend(source);
    hands.extend([0, 0]);
    fs::write(stage.state().join("in-hand"), hands).unwrap();
}

#[test]
fn a_reply_with_which_stenod_went_down_twice_is_left_until_somebody_asks_and_never_paid_again() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    fs::remove_file(stage.at("a.json")).unwrap();
    gone_down_twice_with_the_reply(&stage);
    stage.stenod(["run"]).code(3);
    assert_eq!(first_reason(&stage), "poison");
    assert!(!stage.at("a.json").exists());
    stage
        .stenod(["show", "1"])
        .success()
        .says("went down twice");
    stage.stenod(["retry", "1"]).success();
    stage.stenod(["run"]).success();
    assert!(stage.at("a.json").exists());
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    stage.check();
}

/// The mode of everything in the state directory.
fn modes(stage: &Stage) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(stage.state()).unwrap().map(Result::unwrap);
    let mode = |entry: &fs::DirEntry| entry.metadata().unwrap().mode() & 0o777;
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry)))
        .collect()
}

#[test]
fn what_lies_in_the_state_directory_is_for_its_owner_alone_and_an_open_directory_is_told() {
    let stage = stage();
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // As `mkdir -p` makes it.
    fs::create_dir(stage.state()).unwrap();
    set(&stage.state(), 0o755);
    stage.put("a.wav", &wav(1, 0.5));
    let run = stage.stenod(["run"]).success();
    let line = format!("chmod 700 {}", stage.state().display());
    assert_eq!(run.stderr.matches(&line).count(), 1, "{}", run.tell());
    stage.stenod(["doctor", "--offline"]).says(&line);
    stage.stenod(["db", "backup"]).success();
    // As an earlier stenod left it.
    set(&table(&stage), 0o644);
    set(&stage.state().join("backups"), 0o755);
    let mut watch = stage.call(["watch"]).start();
    stage.put("b.wav", &wav(2, 0.5));
    watch.until("the transcript", || stage.at("b.json").exists());
    let modes = modes(&stage);
    assert!(modes.contains_key("stenod.db-wal") && modes.contains_key("stenod.db-shm"));
    for (name, mode) in &modes {
        assert_eq!(mode & 0o077, 0, "{name} in {modes:?}");
    }
    assert_eq!(fs::metadata(stage.state()).unwrap().mode() & 0o777, 0o755);
    watch.terminate();
    watch.outcome().no_panic();
    set(&stage.state(), 0o700);
    let run = stage.stenod(["run"]).success();
    assert!(!run.stderr.contains("chmod"), "{}", run.tell());
}
