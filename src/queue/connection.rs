//! How the database is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{QueueError, damage, outbox, private, schema, upkeep};

/// No file beside the table is shared with another process in a simulation, and no power is cut: what it
/// kills is the process, and one lives at a time.
#[cfg(test)]
fn set_durability(connection: &Connection) -> rusqlite::Result<()> {
    let simulated = crate::faults::simulated();
    if simulated {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if simulated { "OFF" } else { "FULL" })
}

#[cfg(not(test))]
fn set_durability(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// How long another process may hold the table before that is an error.
const BUSY: Duration = Duration::from_secs(10);
/// How much of the table is kept in memory, in KiB (8 MiB); the rest is in the system's own cache, which others
/// may have when they need it.
const PAGES_KEPT_KIB: i32 = 8 * 1024;

/// Looks at a table that is there without changing anything of it, so that one of a later stenod stays as it is.
fn refuse_newer(path: &Path) -> Result<(), QueueError> {
    let is_there = path.metadata().is_ok_and(|there| there.len() > 0);
    if !is_there {
        return Ok(());
    }
    let looked = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        damage::leave_as_it_is(&connection, true)?;
        schema::older(&connection)
    };
    match looked() {
        Err(error) if error.is_newer_schema() => Err(error),
        // Whatever else is the matter is met, and told, by who opens it to write.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Opens the database with the settings that its promises rest on, at today's schema.
pub(super) fn connect(path: &Path) -> Result<Connection, QueueError> {
    refuse_newer(path)?;
    private::make_file(path).map_err(|error| QueueError::StateDir {
        path: path.to_owned(),
        error,
    })?;
    // Until it is known to be sound, nothing in its files is tidied up.
    let keep = damage::has_log(path);
    let mut connection = Connection::open(path)?;
    damage::leave_as_it_is(&connection, keep)?;
    set_durability(&connection)?;
    connection.pragma_update(None, "cache_size", -PAGES_KEPT_KIB)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without it SQLite plans a statement anew for every value that is bound to it.
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    if let Some(older) = schema::older(&connection)? {
        upkeep::back_up_before_migration(&connection, path, older)?;
    }
    schema::migrate(&mut connection)?;
    damage::check(&connection, path)?;
    connection.execute_batch(
        "CREATE TEMP TABLE scope (id INTEGER PRIMARY KEY) STRICT;
         CREATE TEMP TABLE served (root BLOB PRIMARY KEY, turn INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    )?;
    connection.execute_batch(outbox::TEMPORARY)?;
    damage::leave_as_it_is(&connection, false)?;
    Ok(connection)
}

/// How much of the table whoever only reads keeps in memory, in KiB (2 MiB).
const PAGES_READ_KIB: i32 = 2 * 1024;

/// Opens the database that is connected to already a second time, for what only reads what is committed.
pub(super) fn beside(path: &Path) -> Result<Connection, QueueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "cache_size", -PAGES_READ_KIB)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    Ok(connection)
}
