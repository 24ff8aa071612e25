//! What can go wrong with the job table.

use std::path::PathBuf;
use std::sync::Arc;

use super::damage::Damage;
use super::lock::Instance;
use super::upkeep::CopyError;
use crate::domain::job::{JobId, StageName};

/// What can go wrong with the job table.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process holds the state directory.
    #[error("another stenod (process {}, since {}) holds {}", .instance.pid, .instance.since, .state_dir.display())]
    AlreadyHeld {
        /// The state directory.
        state_dir: PathBuf,
        /// Who holds it.
        instance: Instance,
    },
    /// The database was made by a later stenod.
    #[error(
        "the job table has schema {found}, and this stenod knows schemas up to {known}: use the newer stenod"
    )]
    NewerSchema {
        /// The version found.
        found: i64,
        /// The latest version that this program knows.
        known: usize,
    },
    /// The table has an older schema, and whoever holds it does not bring it to today's.
    #[error(
        "the job table has the older schema {found} while process {} holds it: that stenod is older than this one", .instance.pid
    )]
    OlderSchema {
        /// The version found.
        found: i64,
        /// Who holds it.
        instance: Instance,
    },
    /// The table cannot be copied.
    #[error("the job table cannot be copied to {}", .path.display())]
    Backup {
        /// Where the copy was to be.
        path: PathBuf,
        /// Why it is not.
        #[source]
        error: CopyError,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}", .path.display())]
    StateDir {
        /// The directory or the file in it.
        path: PathBuf,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// The table is damaged, and was set aside.
    #[error("{0}")]
    Corrupt(Arc<Damage>),
    /// The table's own check found something.
    #[error("its check says: {0}")]
    Unsound(String),
    /// SQLite refused.
    #[error("the job table cannot be read or written")]
    Sqlite(#[from] rusqlite::Error),
    /// A transaction could not be begun or committed.
    #[error("the job table cannot be written")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A stored value cannot be read back.
    #[error("{what} cannot be read")]
    Unreadable {
        /// Which value.
        what: String,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// A stored value makes no sense.
    #[error("{what} is damaged")]
    Damaged {
        /// Which value.
        what: String,
    },
    /// No job has this number.
    #[error("there is no job {0}")]
    NoSuchJob(JobId),
    /// The job is in another stage than the step needs.
    #[error("job {id} is {} by now", .stage.as_str())]
    Elsewhere {
        /// Which job.
        id: JobId,
        /// Where it is.
        stage: StageName,
    },
    /// The writer has ended.
    #[error("the job table is closed")]
    Closed,
}

/// Without room for the index of its log, SQLite says this and not that the disk is full.
const NO_ROOM_FOR_THE_INDEX: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

impl QueueError {
    /// Whether the table is one of a later stenod.
    pub fn is_newer_schema(&self) -> bool {
        matches!(self, Self::NewerSchema { .. })
    }

    /// Whether a copy of the table was to have the name of a file that is there.
    pub fn is_name_taken(&self) -> bool {
        matches!(
            self,
            Self::Backup { error: CopyError::File(error), .. }
                if error.kind() == std::io::ErrorKind::AlreadyExists
        )
    }

    /// Whether the reason is that there is no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        let error = if let Self::Sqlite(error) = self {
            error.sqlite_error()
        } else if let Self::Commit(error) = self {
            error.sqlite_error()
        } else if let Self::Backup {
            error: CopyError::Sqlite(error),
            ..
        } = self
        {
            error.sqlite_error()
        } else {
            None
        };
        error.is_some_and(|error| {
            error.code == rusqlite::ErrorCode::DiskFull
                || error.extended_code == NO_ROOM_FOR_THE_INDEX
        })
    }
}
