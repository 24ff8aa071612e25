//! Looking after the table: whether it is sound, copies of it, and what it may forget.
//!
//! What is known of recordings and money is never forgotten: a table that forgot them would pay again.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::lock::Lock;
use super::row::{millis, path_bytes, unsigned};
use super::{DATABASE, QueueError, Reader, connection, damage};
use crate::durable::{self, Draft, Existing};

/// The folder of the copies in the state directory.
pub const BACKUPS: &str = "backups";
/// How many faults a check names.
const MOST_FAULTS: usize = 20;

/// What a check of the whole table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// The version of its schema.
    pub schema: usize,
    /// The size of its file, in bytes, without its log.
    pub size: u64,
    /// How much of that nothing uses, in bytes.
    pub unused: u64,
    /// Jobs, the pieces of recordings among them.
    pub jobs: u64,
    /// Replies that are kept.
    pub replies: u64,
    /// Lines of the ledger.
    pub ledger: u64,
    /// What is wrong, the first faults of it; empty if the table is sound.
    pub faults: Vec<String>,
}

/// What a table forgot, or would forget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Lines of the histories of jobs that are done or cancelled.
    pub history: u64,
    /// Replies from which nothing is made any more.
    pub replies: u64,
    /// Copies of the table.
    pub backups: u64,
    /// The size of the table's file and its copies before, in bytes.
    pub before: u64,
    /// The same afterwards; of a trial the same as before.
    pub after: u64,
}

impl Reader<'_> {
    /// Checks the whole table: its pages, its indices, and that what is referred to is there.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn check(&self) -> Result<Checkup, QueueError> {
        let connection = self.connection();
        let number = |sql: &str| -> Result<u64, QueueError> {
            Ok(unsigned(connection.query_row(sql, [], |row| row.get(0))?))
        };
        let page = number("PRAGMA page_size")?;
        let mut faults = Vec::new();
        let mut statement =
            connection.prepare(&format!("PRAGMA integrity_check({MOST_FAULTS})"))?;
        for line in statement.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                faults.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        let mut statement = connection.prepare(&format!(
            "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT {MOST_FAULTS}"
        ))?;
        let broken = statement.query_map([], |row| {
            let (table, id, parent): (String, Option<i64>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let row = id.map_or_else(|| "a row".to_owned(), |id| format!("row {id}"));
            Ok(format!(
                "{row} of {table} refers to {parent} that are not there"
            ))
        })?;
        for line in broken {
            faults.push(line?);
        }
        Ok(Checkup {
            schema: usize::try_from(number("PRAGMA user_version")?).unwrap_or(usize::MAX),
            size: number("PRAGMA page_count")? * page,
            unused: number("PRAGMA freelist_count")? * page,
            jobs: number("SELECT count(*) FROM jobs")?,
            replies: number("SELECT count(*) FROM replies")?,
            ledger: number("SELECT count(*) FROM ledger")?,
            faults,
        })
    }

    /// Copies the table as it is at one moment to a new file of mode 0600.
    ///
    /// # Errors
    /// [`QueueError::Backup`] where `target` is there already or cannot be written.
    pub fn back_up(&self, target: &Path) -> Result<(), QueueError> {
        copy(self.connection(), target, Existing::Keep)
    }
}

/// Keeps the table as it is before it is brought to another schema. One copy is kept of each, so that
/// a start that fails over and over does not fill the disk.
pub(super) fn back_up_before_migration(
    connection: &Connection,
    database: &Path,
    schema: i64,
) -> Result<(), QueueError> {
    let target = database
        .with_file_name(BACKUPS)
        .join(format!("schema-{schema}.db"));
    copy(connection, &target, Existing::Replace)?;
    tracing::info!(copy = %target.display(), "the job table has an older schema: it was copied first");
    Ok(())
}

fn copy(connection: &Connection, target: &Path, existing: Existing) -> Result<(), QueueError> {
    let failed = |error: CopyError| QueueError::Backup {
        path: target.to_owned(),
        error,
    };
    let made = || -> Result<(), CopyError> {
        if let Some(folder) = target.parent() {
            durable::create_private_folder(folder)?;
        }
        if existing == Existing::Keep && target.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        let draft = Draft::begin_secret(target)?;
        // As text of whatever bytes: a name need not be UTF-8.
        connection.execute("VACUUM INTO CAST(?1 AS TEXT)", [path_bytes(draft.path())])?;
        draft.finish(existing)?;
        Ok(())
    };
    made().map_err(failed)
}

/// Why a copy of the table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Its file cannot be made.
    #[error(transparent)]
    File(#[from] io::Error),
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Forgets what is older than `before` and that nothing is made of any more, and gives its room back to the
/// file system; a trial only counts.
///
/// Forgotten are the histories of jobs that are done or cancelled, replies of jobs that are done from a
/// better one, and copies of the table but the newest.
///
/// # Errors
/// [`QueueError::AlreadyHeld`] while another process holds the directory; any error of the table.
pub fn prune(
    state_dir: &Path,
    before: Timestamp,
    is_trial: bool,
    now: Timestamp,
) -> Result<Pruned, QueueError> {
    if is_trial {
        return foresee(state_dir, before);
    }
    let _lock = Lock::take(state_dir, now)?;
    let path = state_dir.join(DATABASE);
    let mut connection = connection::connect(&path)?;
    damage::check_whole(&connection)?;
    let failed = |error| QueueError::StateDir {
        path: state_dir.join(BACKUPS),
        error,
    };
    let old = old_backups(&state_dir.join(BACKUPS), before).map_err(failed)?;
    let size = |old: &HashSet<PathBuf>| -> u64 {
        let sizes = old.iter().chain([&path]).map(|path| path.metadata());
        sizes.flatten().map(|metadata| metadata.len()).sum()
    };
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let mut pruned = Pruned {
        backups: u64::try_from(old.len()).unwrap_or(u64::MAX),
        before: size(&old),
        ..Pruned::default()
    };
    let transaction = connection.transaction()?;
    let history = format!("DELETE FROM {OLD_HISTORY}");
    pruned.history = count(transaction.execute(&history, [millis(before)])?);
    let replies = format!("DELETE FROM {OLD_REPLIES}");
    pruned.replies = count(transaction.execute(&replies, [millis(before)])?);
    transaction.commit()?;
    connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    for backup in &old {
        std::fs::remove_file(backup).map_err(failed)?;
    }
    pruned.after = size(&HashSet::new());
    Ok(pruned)
}

/// Histories that nobody needs any more.
const OLD_HISTORY: &str = "attempts WHERE at_ms < ?1
    AND job IN (SELECT id FROM jobs WHERE state IN ('done', 'cancelled'))";
/// Replies that nothing is made of any more.
const OLD_REPLIES: &str = "replies WHERE at_ms < ?1
    AND job IN (SELECT id FROM jobs WHERE state = 'done')
    AND id NOT IN (SELECT json_extract(data, '$.reply') FROM jobs
        WHERE json_extract(data, '$.reply') IS NOT NULL)";

/// What would be forgotten, also while somebody holds the table.
fn foresee(state_dir: &Path, before: Timestamp) -> Result<Pruned, QueueError> {
    let folder = state_dir.join(BACKUPS);
    let failed = |error| QueueError::StateDir {
        path: state_dir.join(BACKUPS),
        error,
    };
    let old = old_backups(&folder, before).map_err(failed)?;
    let mut pruned = Pruned {
        backups: u64::try_from(old.len()).unwrap_or(u64::MAX),
        ..Pruned::default()
    };
    if let Some(reader) = Reader::open(state_dir)? {
        let number = |what: &str| {
            let sql = format!("SELECT count(*) FROM {what}");
            let found = reader
                .connection()
                .query_row(&sql, [millis(before)], |row| row.get(0));
            found.map(|rows: i64| u64::try_from(rows).unwrap_or(0))
        };
        pruned.history = number(OLD_HISTORY)?;
        pruned.replies = number(OLD_REPLIES)?;
    }
    let table = state_dir.join(DATABASE);
    let files = old.iter().chain([&table]).map(|path| path.metadata());
    pruned.before = files.flatten().map(|metadata| metadata.len()).sum();
    pruned.after = pruned.before;
    Ok(pruned)
}

/// The copies in `folder` that were made before a moment, the newest left out.
fn old_backups(folder: &Path, before: Timestamp) -> io::Result<HashSet<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        entries => entries?,
    };
    let mut backups = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let metadata = entry.metadata()?;
        if metadata.is_file() && path.extension().is_some_and(|extension| extension == "db") {
            backups.push((
                Timestamp::try_from(metadata.modified()?).unwrap_or_default(),
                path,
            ));
        }
    }
    backups.sort();
    backups.pop();
    let old = backups.into_iter().filter(|(made, _)| *made < before);
    Ok(old.map(|(_, path)| path).collect())
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
