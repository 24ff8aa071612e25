//! How the database is opened.

use std::path::Path;

use rusqlite::Connection;

use super::{QueueError, damage, outbox, schema, upkeep};

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

/// How much of the table is kept in memory, in KiB (8 MiB); the rest is in the system's own cache, which others
/// may have when they need it.
const PAGES_KEPT_KIB: i32 = 8 * 1024;

/// Opens the database with the settings that its promises rest on, at today's schema.
pub(super) fn connect(path: &Path) -> Result<Connection, QueueError> {
    // Until it is known to be sound, nothing in its files is tidied up.
    let keep = damage::has_log(path);
    let mut connection = Connection::open(path)?;
    damage::leave_as_it_is(&connection, keep)?;
    set_durability(&connection)?;
    connection.pragma_update(None, "cache_size", -PAGES_KEPT_KIB)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
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
