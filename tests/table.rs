//! The job table of another stenod, its check, its copies, and what it may forget.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and spoil files as users do"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::Connection;
use stenod_support::audio::wav;
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
    stage.stenod(arguments).code(1).says("exists");
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
