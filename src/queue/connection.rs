//! How the database is opened.

use std::path::Path;

use rusqlite::Connection;

use super::{QueueError, damage, schema, upkeep};

/// Opens the database with the settings that its promises rest on, at today's schema.
pub(super) fn connect(path: &Path) -> Result<Connection, QueueError> {
    // Until it is known to be sound, nothing in its files is tidied up.
    let keep = damage::has_log(path);
    let mut connection = Connection::open(path)?;
    damage::leave_as_it_is(&connection, keep)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    // Without it SQLite plans a statement anew for every value that is bound to it.
    connection.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    // What a simulation kills is the process and not the power.
    #[cfg(test)]
    if crate::faults::simulated() {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    if let Some(older) = schema::older(&connection)? {
        upkeep::back_up_before_migration(&connection, path, older)?;
    }
    schema::migrate(&mut connection)?;
    damage::check(&connection, path)?;
    connection.execute_batch("CREATE TEMP TABLE scope (id INTEGER PRIMARY KEY) STRICT")?;
    damage::leave_as_it_is(&connection, false)?;
    Ok(connection)
}
