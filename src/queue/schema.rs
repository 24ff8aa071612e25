//! The tables, as one step for each version of the schema.
//!
//! `user_version` names the version. A file of a newer version is refused, never guessed at. Checks
//! mirror the enums of the domain; the ledger cannot be changed, only added to.

use rusqlite::{Connection, TransactionBehavior};

use super::QueueError;

/// The steps from nothing to today's schema; a step is never changed once it has been released.
const STEPS: &[&str] = &[VERSION_1];

const VERSION_1: &str = "
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      BLOB NOT NULL,
    root        BLOB NOT NULL,
    base        BLOB NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    size        INTEGER NOT NULL CHECK (size >= 0),
    duration_us INTEGER CHECK (duration_us >= 0),
    format      TEXT NOT NULL CHECK (json_valid(format)),
    settings    TEXT NOT NULL CHECK (json_valid(settings)),
    publication TEXT NOT NULL CHECK (json_valid(publication)),
    stage       TEXT NOT NULL CHECK (stage IN ('queued', 'waiting', 'submitting', 'committing',
                'awaiting', 'received', 'done', 'failed', 'in_doubt', 'cancelled')),
    state       TEXT NOT NULL CHECK (state IN ('queued', 'active', 'waiting', 'in_doubt', 'failed',
                'done', 'cancelled')),
    data        TEXT NOT NULL CHECK (json_valid(data)),
    due_ms      INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    doubts      INTEGER NOT NULL DEFAULT 0,
    forced      INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
    reserved    INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    run_id      TEXT,
    request_id  TEXT,
    cost        TEXT,
    currency    TEXT,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_stage ON jobs (stage, due_ms, id);
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_identity ON jobs (hash, settings);
CREATE INDEX jobs_source ON jobs (source);
CREATE INDEX jobs_base ON jobs (base);
CREATE INDEX jobs_reserved ON jobs (reserved) WHERE reserved > 0;

CREATE TABLE replies (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    at_ms       INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('service', 'adopted')),
    status      INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;
CREATE INDEX replies_job ON replies (job);

CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    at_ms       INTEGER NOT NULL,
    event       TEXT NOT NULL,
    text        TEXT NOT NULL,
    request_id  TEXT
) STRICT;
CREATE INDEX attempts_job ON attempts (job);

CREATE TABLE ledger (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    submit      INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('reserve', 'release', 'charge', 'doubt')),
    amount      TEXT NOT NULL,
    nanos       INTEGER NOT NULL,
    currency    TEXT NOT NULL,
    note        TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_spend ON ledger (currency, kind, at_ms, nanos);
CREATE INDEX ledger_job ON ledger (job, submit, kind);
CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;
CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is only added to'); END;

CREATE TABLE pauses (
    reason      TEXT PRIMARY KEY CHECK (reason IN ('key', 'balance', 'budget', 'rate_limit', 'offline',
                'disk', 'operator')),
    since_ms    INTEGER NOT NULL,
    until_ms    INTEGER,
    text        TEXT NOT NULL,
    tries       INTEGER NOT NULL
) STRICT;

CREATE TABLE sources (
    path        BLOB PRIMARY KEY,
    root        BLOB NOT NULL,
    inode       INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    hash        BLOB CHECK (length(hash) = 32),
    duration_us INTEGER,
    format      TEXT,
    skip_code   TEXT,
    skip_text   TEXT,
    seen_ms     INTEGER NOT NULL,
    CHECK ((hash IS NULL) = (skip_code IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE outputs (
    path        BLOB PRIMARY KEY,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    format      TEXT NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    note        TEXT,
    written_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outputs_job ON outputs (job);

CREATE TABLE folders (
    path        BLOB PRIMARY KEY,
    first_ms    INTEGER NOT NULL,
    scanned_ms  INTEGER,
    mode        TEXT,
    mode_reason TEXT,
    trouble     TEXT
) STRICT, WITHOUT ROWID;
";

/// Brings the database to today's schema.
///
/// # Errors
/// [`QueueError::NewerSchema`] for a database of a later stenod; any error of SQLite.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), QueueError> {
    let known = STEPS.len();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > known {
        return Err(QueueError::NewerSchema { found, known });
    }
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    if done < known {
        transaction.execute_batch(&format!("PRAGMA user_version = {known}"))?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::State;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = migrated();
        migrate(&mut connection).unwrap();
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(version).unwrap(), STEPS.len());
    }

    #[test]
    fn a_database_of_a_later_program_is_refused() {
        let mut connection = migrated();
        connection
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(
            matches!(error, QueueError::NewerSchema { found: 99, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn the_check_on_states_names_every_state() {
        for state in State::ALL {
            assert!(VERSION_1.contains(&format!("'{state}'")), "{state}");
        }
    }
}
