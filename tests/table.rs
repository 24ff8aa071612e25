//! A job table that this program must not touch.

#![cfg(test)]

use stenod_support::audio::wav;
use stenod_support::stage::Stage;

#[test]
fn the_table_of_a_later_stenod_is_refused_and_left_as_it_is() {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.put("a.wav", &wav(1, 0.5));
    stage.stenod(["run"]).success();
    let table = stage.state().join("stenod.db");
    let connection = rusqlite::Connection::open(&table).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    drop(connection);
    let before = std::fs::read(&table).unwrap();
    stage.put("b.wav", &wav(2, 0.5));
    for command in ["run", "watch"] {
        stage.stenod([command]).code(1).says("schema 99");
    }
    assert_eq!(std::fs::read(&table).unwrap(), before);
    assert_eq!(stage.service.look(|log| log.submits().count()), 1);
}
