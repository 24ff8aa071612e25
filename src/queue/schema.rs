//! The tables, as one step for each version of the schema.
//!
//! `user_version` names the version. A file of a newer version is refused, never guessed at. Checks
//! mirror the enums of the domain; the ledger cannot be changed, only added to.

use rusqlite::{Connection, TransactionBehavior};

use super::QueueError;

/// The steps from nothing to today's schema; a step is never changed once it has been released.
const STEPS: &[&str] = &[
    VERSION_1,
    ROUTES_AND_PIECES,
    OPEN_RESERVATIONS,
    SERVICES,
    NAMES_AND_STYLES,
    OBJECTS,
    SUSPECTS,
    TURNS,
    BASES_IN_ANY_CASE,
    ASKED_FOR,
    SILENCES,
    WHAT_LAY_IN_FOLDERS,
    OLD_FILES,
    TROUBLE_INSIDE,
    OUTBOX,
    GROUNDS,
    OLD_CONTENT,
    TURNS_OF_ROOTS,
    CUTS,
    FILMS,
    OUTPUTS_ASIDE,
    PLACES_OF_FALLS,
    DAMAGE,
    COUNTS,
    OUTPUT_FOLDERS,
    PROPOSALS,
    BUCKETS,
    RESTATED,
];

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

/// The route of a job, and pieces: rows of their own under the recording that was cut. The check on stages
/// changes, and SQLite changes none but by making the table anew.
const ROUTES_AND_PIECES: &str = "
CREATE TABLE jobs_new (
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
                'awaiting', 'received', 'done', 'failed', 'in_doubt', 'cancelled', 'split')),
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
    updated_ms  INTEGER NOT NULL,
    route       TEXT CHECK (json_valid(route)),
    parent      INTEGER REFERENCES jobs (id),
    piece       INTEGER CHECK (piece > 0),
    start_us    INTEGER CHECK (start_us >= 0),
    end_us      INTEGER CHECK (end_us >= start_us),
    CHECK (parent IS NOT NULL OR (piece IS NULL AND start_us IS NULL AND end_us IS NULL))
) STRICT;
INSERT INTO jobs_new (id, source, root, base, hash, size, duration_us, format, settings, publication, stage, state,
    data, due_ms, attempts, failures, doubts, forced, reserved, run_id, request_id, cost, currency,
    created_ms, updated_ms)
SELECT id, source, root, base, hash, size, duration_us, format, settings, publication, stage, state,
    data, due_ms, attempts, failures, doubts, forced, reserved, run_id, request_id, cost, currency,
    created_ms, updated_ms FROM jobs;
INSERT INTO sqlite_sequence (name, seq)
SELECT 'jobs_new', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'jobs_new');
UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'jobs')
    WHERE name = 'jobs_new';
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
UPDATE jobs SET route = json_object('route', 'direct', 'why', 'it was queued before there was another')
    WHERE stage <> 'waiting' AND json_extract(settings, '$.provider') <> 'local';
UPDATE jobs SET route = json_object('route', 'local', 'why', 'it is recognised here')
    WHERE json_extract(settings, '$.provider') = 'local';
CREATE INDEX jobs_stage ON jobs (stage, due_ms, id);
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_identity ON jobs (hash, settings);
CREATE INDEX jobs_source ON jobs (source);
CREATE INDEX jobs_base ON jobs (base);
CREATE INDEX jobs_reserved ON jobs (reserved) WHERE reserved > 0;
CREATE INDEX jobs_pieces ON jobs (parent, piece) WHERE parent IS NOT NULL;
CREATE INDEX jobs_queued_pieces ON jobs (due_ms, id) WHERE parent IS NOT NULL AND stage = 'queued';
ALTER TABLE replies ADD COLUMN composite INTEGER NOT NULL DEFAULT 0 CHECK (composite IN (0, 1));
";

/// A submit whose cost nobody knows has what is left of the limits set aside for it.
const OPEN_RESERVATIONS: &str = "
ALTER TABLE jobs ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open IN (0, 1));
CREATE INDEX jobs_open ON jobs (open) WHERE open = 1;
";

/// What answers at an address that has taken a recording is the service.
const SERVICES: &str = "
CREATE TABLE services (
    address     TEXT PRIMARY KEY,
    accepted_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Names that people give to the speakers of a recording, and a mark of the names and the glossary that
/// its outputs were last written with.
const NAMES_AND_STYLES: &str = "
CREATE TABLE names (
    job         INTEGER NOT NULL REFERENCES jobs (id),
    label       TEXT NOT NULL,
    name        TEXT NOT NULL CHECK (name <> ''),
    PRIMARY KEY (job, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE styles (
    job         INTEGER PRIMARY KEY REFERENCES jobs (id),
    mark        BLOB NOT NULL CHECK (length(mark) = 32)
) STRICT;
";

/// What lies in buckets, and by which mark it is known as ours.
const OBJECTS: &str = "
CREATE TABLE installation (
    mark        TEXT NOT NULL CHECK (length(mark) = 16)
) STRICT;
INSERT INTO installation (mark) VALUES (lower(hex(randomblob(8))));

CREATE TABLE objects (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    bucket      TEXT NOT NULL,
    name        TEXT NOT NULL UNIQUE,
    state       TEXT NOT NULL CHECK (state IN ('uploading', 'there', 'leaving')),
    size        INTEGER NOT NULL CHECK (size >= 0),
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    upload      TEXT,
    version     TEXT,
    trouble     TEXT,
    tries       INTEGER NOT NULL DEFAULT 0,
    due_ms      INTEGER,
    created_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX objects_job ON objects (job);

CREATE TABLE parts (
    object      INTEGER NOT NULL REFERENCES objects (id),
    number      INTEGER NOT NULL CHECK (number >= 0),
    part        TEXT NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (object, number)
) STRICT, WITHOUT ROWID;
";

/// Recordings that were in hand when the process went down.
const SUSPECTS: &str = "
CREATE TABLE suspects (
    path        BLOB PRIMARY KEY,
    falls       INTEGER NOT NULL CHECK (falls >= 0),
    at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Whose turn it is: folders take turns, so that a backlog in one keeps no other waiting.
const TURNS: &str = "
ALTER TABLE jobs ADD COLUMN folder BLOB NOT NULL DEFAULT x'';
ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_queued_pieces;
CREATE INDEX jobs_queue ON jobs (due_ms, turn, id) WHERE parent IS NULL AND stage = 'queued';
CREATE INDEX jobs_queued_pieces ON jobs (due_ms, turn, id) WHERE parent IS NOT NULL AND stage = 'queued';
CREATE INDEX jobs_turns ON jobs (folder, turn) WHERE parent IS NULL AND stage = 'queued';
";

/// Names of outputs that differ by capitals alone are one name to many disks.
const BASES_IN_ANY_CASE: &str = "
DROP INDEX jobs_base;
CREATE INDEX jobs_base ON jobs (lower(CAST(base AS TEXT)));
";

/// When a person last had a job tried again: what befell its copies before that says nothing of it.
const ASKED_FOR: &str = "
ALTER TABLE jobs ADD COLUMN asked_ms INTEGER;
";

/// Where the recording that a reply is about is silent, once that is known: pairs of seconds.
const SILENCES: &str = "
ALTER TABLE replies ADD COLUMN silences TEXT CHECK (json_valid(silences));
";

/// Which content of a folder was seen whole: of another disk that is mounted there nothing was seen yet.
const WHAT_LAY_IN_FOLDERS: &str = "
ALTER TABLE folders ADD COLUMN identity TEXT;
";

/// Old files that are left alone, to be known again under another name.
const OLD_FILES: &str = "
CREATE INDEX sources_existing ON sources (inode, size, modified_ns) WHERE skip_code = 'existing';
";

/// What is wrong inside a folder that is itself as it should be.
const TROUBLE_INSIDE: &str = "
ALTER TABLE folders ADD COLUMN inside TEXT;
";

/// Notices that are on their way to others, and what was told once.
const OUTBOX: &str = "
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    way         TEXT NOT NULL CHECK (way IN ('command', 'webhook', 'ntfy')),
    event       TEXT NOT NULL CHECK (event IN ('done', 'failed', 'paused', 'resumed', 'budget', 'digest')),
    topic       TEXT NOT NULL,
    job         INTEGER,
    source      BLOB,
    body        TEXT NOT NULL CHECK (json_valid(body)),
    created_ms  INTEGER NOT NULL,
    due_ms      INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    trouble     TEXT,
    given_up_ms INTEGER
) STRICT;
CREATE INDEX outbox_waiting ON outbox (way, id) WHERE given_up_ms IS NULL;

CREATE TABLE told (
    what        TEXT PRIMARY KEY,
    mark        TEXT NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// On which disk each recording lay when it was queued.
const GROUNDS: &str = "
ALTER TABLE jobs ADD COLUMN ground TEXT CHECK (json_valid(ground));
";

/// A mark of the content of old files that are left alone: one that is only touched stays an old one.
const OLD_CONTENT: &str = "
ALTER TABLE sources ADD COLUMN mark BLOB CHECK (length(mark) = 32);
";

/// Whether a recording has moving pictures as well; nothing where that was not looked for.
const FILMS: &str = "
ALTER TABLE jobs ADD COLUMN video INTEGER CHECK (video IN (0, 1));
ALTER TABLE sources ADD COLUMN video INTEGER CHECK (video IN (0, 1));
";

/// Which outputs do not belong to their recording by today's names any more.
const OUTPUTS_ASIDE: &str = "
ALTER TABLE outputs ADD COLUMN aside INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1));
";

/// What `status` asks is answered by indexes alone (so that `parent` has to be in some): the jobs and the recordings of a folder in each state, whether any recording of it
/// lay on a disk that is known, and what was passed over.
const COUNTS: &str = "
CREATE INDEX jobs_counted ON jobs (root, state, parent) WHERE parent IS NULL;
CREATE INDEX jobs_recordings ON jobs (root, source, state, parent) WHERE parent IS NULL;
CREATE INDEX jobs_lodged ON jobs (root) WHERE ground IS NOT NULL;
CREATE INDEX sources_skipped ON sources (path) WHERE skip_code IS NOT NULL;
";

/// The version of a table that has rows and an older schema than today's.
///
/// # Errors
/// [`QueueError::NewerSchema`] for a database of a later stenod; any error of SQLite.
pub(super) fn older(connection: &Connection) -> Result<Option<i64>, QueueError> {
    let known = STEPS.len();
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match usize::try_from(found).unwrap_or(usize::MAX) {
        0 => Ok(None),
        version if version > known => Err(QueueError::NewerSchema { found, known }),
        version => Ok((version < known).then_some(found)),
    }
}

/// Brings the database to today's schema; references are not enforced meanwhile.
///
/// # Errors
/// [`QueueError::NewerSchema`] for a database of a later stenod; any error of SQLite.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), QueueError> {
    // A step may make a table anew that others refer to, and inside a transaction this cannot be changed.
    connection.pragma_update(None, "foreign_keys", false)?;
    let migrated = take_steps(connection);
    connection.pragma_update(None, "foreign_keys", true)?;
    migrated
}

fn take_steps(connection: &mut Connection) -> Result<(), QueueError> {
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

/// Watched folders take turns as well, and what waits for one provider is not looked through for another.
const TURNS_OF_ROOTS: &str = "
DROP INDEX jobs_queue;
DROP INDEX jobs_queued_pieces;
CREATE INDEX jobs_queue ON jobs (root, json_extract(settings, '$.provider'), due_ms, turn, id)
    WHERE parent IS NULL AND stage = 'queued';
CREATE INDEX jobs_queued_pieces ON jobs (json_extract(settings, '$.provider'), due_ms, turn, id)
    WHERE parent IS NOT NULL AND stage = 'queued';
";

/// The pieces that were made of recordings whose cutting has not ended, numbered from 1, by the cut that made them.
const CUTS: &str = "
CREATE TABLE cuts (
    job         INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    piece       INTEGER NOT NULL CHECK (piece > 0),
    cut         TEXT NOT NULL CHECK (json_valid(cut)),
    start       INTEGER NOT NULL CHECK (start >= 0),
    end         INTEGER NOT NULL CHECK (end > start),
    size        INTEGER NOT NULL CHECK (size >= 0),
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (job, piece)
) STRICT, WITHOUT ROWID;
";

/// How far into a recording its falls were, in seconds of sound; those at the place of the last are `falls`.
const PLACES_OF_FALLS: &str = "
ALTER TABLE suspects ADD COLUMN anywhere INTEGER NOT NULL DEFAULT 0 CHECK (anywhere >= 0);
ALTER TABLE suspects ADD COLUMN reached INTEGER NOT NULL DEFAULT 0 CHECK (reached >= 0);
UPDATE suspects SET anywhere = falls;
";

/// What of the recording that a reply is about cannot be decoded, once that is known.
const DAMAGE: &str = "
ALTER TABLE replies ADD COLUMN damage TEXT CHECK (json_valid(damage));
";

/// Below which mount each folder for outputs lies.
const OUTPUT_FOLDERS: &str = "
CREATE TABLE output_folders (
    path  BLOB PRIMARY KEY,
    mount BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a run has queued and nobody has agreed to so far, with what it was before; nothing of that for what is new.
/// How outputs are to be written by a run to which nobody has agreed yet.
const RESTATED: &str = "
CREATE TABLE restated (
    job         INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    base        BLOB NOT NULL,
    publication TEXT NOT NULL CHECK (json_valid(publication))
) STRICT;
";

const PROPOSALS: &str = "
CREATE TABLE proposals (
    job      INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    stage    TEXT CHECK (json_valid(stage)),
    forced   INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
    asked_ms INTEGER,
    pieces   TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(pieces))
) STRICT;
";

/// The buckets that something was ever put into.
const BUCKETS: &str = "
CREATE TABLE buckets (place TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO buckets SELECT DISTINCT bucket FROM objects;
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::State;
    use crate::domain::notice::{Event, Way};

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
    fn a_table_of_the_first_version_keeps_its_jobs_their_numbers_and_references() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        connection
            .execute_batch(
                "INSERT INTO jobs (id, source, root, base, hash, size, format, settings, publication,
                     stage, state, data, created_ms, updated_ms)
                 VALUES (7, x'61', x'72', x'61', zeroblob(32), 1, '1', '{\"provider\": \"nanogpt\"}', '1',
                     'queued', 'queued', '1', 0, 0);
                 INSERT INTO ledger (at_ms, job, submit, kind, amount, nanos, currency, note)
                 VALUES (0, 7, 0, 'charge', '1', 1, 'USD', '');
                 UPDATE sqlite_sequence SET seq = 9;
                 PRAGMA user_version = 1;",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let route: String = connection
            .query_row("SELECT route FROM jobs WHERE id = 7", [], |row| row.get(0))
            .unwrap();
        assert!(route.contains("\"direct\""), "{route}");
        let next: i64 = connection
            .query_row(
                "INSERT INTO jobs (source, root, base, hash, size, format, settings, publication, stage,
                     state, data, created_ms, updated_ms)
                 SELECT x'62', root, base, hash, size, format, settings, publication, stage, state, data,
                     created_ms, updated_ms FROM jobs RETURNING id",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(next, 10, "no number is given twice");
        let mut broken = connection.prepare("PRAGMA foreign_key_check").unwrap();
        assert!(!broken.exists([]).unwrap());
        let enforced: i64 = connection
            .query_row("PRAGMA foreign_keys", [], |row| row.get(0))
            .unwrap();
        assert_eq!(enforced, 1);
    }

    /// Every table, index and trigger with its definition, whatever the spaces in it.
    fn definitions(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| {
            let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!(
                "{name}: {}",
                sql.split_whitespace().collect::<String>()
            ))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_schema_there_ever_was_comes_to_todays_with_all_its_rows() {
        const FIRST: &str = include_str!("../../tests/fixtures/schema/1.sql");
        let today = definitions(&migrated());
        for version in 1..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(FIRST).unwrap();
            connection
                .pragma_update(None, "foreign_keys", false)
                .unwrap();
            for step in &STEPS[1..version] {
                connection.execute_batch(step).unwrap();
            }
            connection
                .pragma_update(None, "user_version", i64::try_from(version).unwrap())
                .unwrap();
            migrate(&mut connection).unwrap();
            assert_eq!(definitions(&connection), today, "from version {version}");
            for (table, rows) in [("jobs", 5), ("ledger", 14), ("replies", 4), ("outputs", 7)] {
                let count: i64 = connection
                    .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                        row.get(0)
                    })
                    .unwrap();
                assert_eq!(count, rows, "{table} from version {version}");
            }
            let mut broken = connection.prepare("PRAGMA foreign_key_check").unwrap();
            assert!(!broken.exists([]).unwrap());
        }
    }

    #[test]
    fn the_checks_of_the_outbox_name_every_way_and_event() {
        let ways = Way::ALL.map(Way::as_str);
        for name in ways.into_iter().chain(Event::ALL.map(Event::as_str)) {
            assert!(OUTBOX.contains(&format!("'{name}'")), "{name}");
        }
    }

    #[test]
    fn the_check_on_states_names_every_state() {
        for state in State::ALL {
            let step = ROUTES_AND_PIECES;
            assert!(step.contains(&format!("'{state}'")), "{state}");
        }
    }
}
