//! Below which mount each folder for outputs lies: in the empty folder below a disk that was taken away nobody would
//! look for a transcript.

use std::path::PathBuf;

use rusqlite::params;

use super::row::{self, path_bytes};
use super::{Queue, QueueError};

/// A folder for outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFolder {
    /// Where it is.
    pub path: PathBuf,
    /// The path at which the disk was mounted that held it.
    pub mount: PathBuf,
}

impl Queue {
    /// All folders for outputs that are known.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn output_folders(&self) -> Result<Vec<OutputFolder>, QueueError> {
        self.writer
            .read(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT path, mount FROM output_folders")?;
                let folders = statement.query_map([], |row| {
                    Ok(OutputFolder {
                        path: row::path(row.get(0)?),
                        mount: row::path(row.get(1)?),
                    })
                })?;
                Ok(folders.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Keeps which disk holds a folder for outputs.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn keep_output_folder(&self, folder: OutputFolder) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO output_folders (path, mount) VALUES (?1, ?2)",
                    )?
                    .execute(params![path_bytes(&folder.path), path_bytes(&folder.mount)])?;
                Ok(())
            })
            .await
    }
}
