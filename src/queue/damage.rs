//! A damaged table: set aside under the lock, never replaced silently, never deleted.
//!
//! Whoever meets damage gets one error that says what is damaged, where it lies now and how to go on.
//! From then on nothing of the table is used any more; the next start begins a new one.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::upkeep::CopyError;
use super::writer::Writer;
use super::{DATABASE, QueueError};
use crate::clock::{Clock as _, SystemClock};
use crate::durable::{self, Existing};

/// The files that SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];
/// How many names are tried for what is set aside in one second.
const MOST_NAMES: u32 = 99;
/// The largest table that is checked whole at every start, in bytes; damage in a larger one is met when
/// it is read.
const CHECKED_AT_START: u64 = 8 * 1024 * 1024;

/// What is damaged, and where it lies now.
#[derive(Debug)]
pub struct Damage {
    /// The table.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Where it was set aside, or why it was not.
    pub aside: Result<PathBuf, io::Error>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the job table {} is damaged ({})",
            self.path.display(),
            self.what
        )?;
        match &self.aside {
            Ok(aside) => write!(f, " and was set aside as {}", aside.display()),
            Err(error) => write!(f, " and could not be set aside ({error}): move it by hand"),
        }
    }
}

impl QueueError {
    /// Whether the table's file, or a value in it, is not what was once written.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_damage(error),
            Self::Commit(error) => is_damage(error),
            Self::Unreadable { .. } | Self::Damaged { .. } | Self::Unsound(_) => true,
            Self::Backup { error, .. } => {
                matches!(error, CopyError::Sqlite(error) if is_damage(error))
            }
            Self::AlreadyHeld { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::StateDir { .. }
            | Self::Corrupt(_)
            | Self::NoSuchJob(_)
            | Self::Elsewhere { .. }
            | Self::Closed => false,
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    let by_value = matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..)
    );
    let code = error.sqlite_error_code();
    by_value
        || matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
}

/// The writer, and what becomes of the table when it turns out to be damaged.
#[derive(Debug)]
pub(super) struct Guarded {
    writer: Writer,
    state_dir: PathBuf,
    met: OnceLock<Arc<Damage>>,
}

impl Guarded {
    /// Guards the table of `state_dir`, whose lock the caller holds.
    pub(super) fn new(writer: Writer, state_dir: &Path) -> Self {
        Self {
            writer,
            state_dir: state_dir.to_owned(),
            met: OnceLock::new(),
        }
    }

    /// Runs `work` as the writer does; at the first damage the table is set aside.
    ///
    /// # Errors
    /// Those of the writer; [`QueueError::Corrupt`] once damage was met.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        if let Some(damage) = self.met.get() {
            return Err(QueueError::Corrupt(damage.clone()));
        }
        let result = self.writer.run(watched(work)).await;
        result.map_err(|error| self.meet(error))
    }

    /// Runs `query`, which changes nothing, as the writer does; at the first damage the table is set aside.
    ///
    /// # Errors
    /// Those of the writer; [`QueueError::Corrupt`] once damage was met.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        if let Some(damage) = self.met.get() {
            return Err(QueueError::Corrupt(damage.clone()));
        }
        let result = self.writer.read(watched(query)).await;
        result.map_err(|error| self.meet(error))
    }

    /// Runs `query` as the writer's reader does, on what is committed; at the first damage the table is set aside.
    ///
    /// # Errors
    /// Those of the writer; [`QueueError::Corrupt`] once damage was met.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        if let Some(damage) = self.met.get() {
            return Err(QueueError::Corrupt(damage.clone()));
        }
        let result = self.writer.look(query).await;
        if result.as_ref().is_err_and(QueueError::is_damage) {
            // It is the writer that would tidy up the files when it closes them.
            let left = self
                .writer
                .read(|connection| leave_as_it_is(connection, true));
            left.await?;
        }
        result.map_err(|error| self.meet(error))
    }

    fn meet(&self, error: QueueError) -> QueueError {
        if !error.is_damage() {
            return error;
        }
        // The name tells people when it was met; nothing is decided by it.
        let met = || Arc::new(set_aside(&self.state_dir, &error, SystemClock.now()));
        QueueError::Corrupt(self.met.get_or_init(met).clone())
    }
}

/// The same work, which leaves the files as they are once damage was met.
fn watched<T>(
    work: impl FnOnce(&Connection) -> Result<T, QueueError>,
) -> impl FnOnce(&Connection) -> Result<T, QueueError> {
    move |connection| {
        let result = work(connection);
        if result.as_ref().is_err_and(QueueError::is_damage) {
            leave_as_it_is(connection, true)?;
        }
        result
    }
}

/// Whether closing the table leaves its files as they are, instead of tidying up its log.
pub(super) fn leave_as_it_is(connection: &Connection, leave: bool) -> Result<(), QueueError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave)?;
    Ok(())
}

/// Whether the table has a log with something in it, which SQLite tidies away when it closes the table.
pub(super) fn has_log(path: &Path) -> bool {
    companion(path, "-wal")
        .metadata()
        .is_ok_and(|log| log.len() > 0)
}

/// Checks a table whole, if it is small enough for that.
///
/// # Errors
/// [`QueueError::Unsound`] with what is wrong; any error of SQLite.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), QueueError> {
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    if size > CHECKED_AT_START {
        return Ok(());
    }
    check_whole(connection)
}

/// Checks a table whole, whatever its size.
///
/// # Errors
/// [`QueueError::Unsound`] with what is wrong; any error of SQLite.
pub(super) fn check_whole(connection: &Connection) -> Result<(), QueueError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        let words: Vec<&str> = verdict.split_whitespace().collect();
        Err(QueueError::Unsound(words.join(" ")))
    }
}

/// Moves the damaged table of `state_dir` out of the way, under a name with the time.
pub(super) fn set_aside(state_dir: &Path, error: &QueueError, now: Timestamp) -> Damage {
    let path = state_dir.join(DATABASE);
    Damage {
        aside: move_aside(&path, now),
        what: cause(error),
        path,
    }
}

/// Moves the log of a table that is not there out of the way, which a crash while setting it aside left:
/// SQLite would delete it.
///
/// # Errors
/// [`QueueError::StateDir`] where it cannot be moved.
pub(super) fn finish_setting_aside(state_dir: &Path, now: Timestamp) -> Result<(), QueueError> {
    let path = state_dir.join(DATABASE);
    let is_there = |name: &str| companion(&path, name).symlink_metadata().is_ok();
    if is_there("") || !COMPANIONS.iter().any(|name| is_there(name)) {
        return Ok(());
    }
    move_aside(&path, now)
        .map(drop)
        .map_err(|error| QueueError::StateDir { path, error })
}

/// Renames the table and then its companions; the table first, so that none of it is ever opened again
/// with a part missing.
fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let time = now
        .to_zoned(TimeZone::UTC)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    for number in 1..=MOST_NAMES {
        let suffix = if number > 1 {
            format!("-{number}")
        } else {
            String::new()
        };
        let aside = companion(path, &format!(".damaged-{time}{suffix}"));
        let is_taken = |name: &str| companion(&aside, name).symlink_metadata().is_ok();
        if is_taken("") || COMPANIONS.iter().any(|name| is_taken(name)) {
            continue;
        }
        for name in [""].iter().chain(&COMPANIONS) {
            match durable::move_file(
                &companion(path, name),
                &companion(&aside, name),
                Existing::Keep,
            ) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        return Ok(aside);
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What an error says is damaged, with its causes, on one line.
fn cause(error: &QueueError) -> String {
    if let QueueError::Sqlite(error) = error {
        return error.to_string();
    }
    if let QueueError::Commit(error) = error {
        return error.to_string();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text.push_str(&format!(": {deeper}"));
        source = deeper.source();
    }
    text
}
