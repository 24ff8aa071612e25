//! What is known of each file: its identity, or why it is no recording.
//!
//! A file whose size, time and inode are as they were is not read again. That spares work and never
//! decides a payment: what is sent is hashed once more while it is sent.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::QueueError;
use super::row::{self, from_json, millis, path_bytes, signed, to_json, unsigned};
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::existing::LeftAlone;
use crate::domain::job::{ContentHash, Reason};
use crate::domain::settle::Fingerprint;

/// What was found out about a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It is a recording.
    Recording {
        /// What its bytes hash to.
        hash: ContentHash,
        /// Its measured length.
        duration: Option<AudioDuration>,
        /// What it is by its content.
        format: AudioFormat,
        /// Whether it has moving pictures as well, if that was looked for.
        has_video: Option<bool>,
    },
    /// It is passed over.
    Skipped(Reason),
}

/// A file that is passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// What is known of the file at `path`, if it is still as it was.
pub(super) fn known(
    connection: &Connection,
    path: &Path,
    fingerprint: &Fingerprint,
) -> Result<Option<Known>, QueueError> {
    let found = connection
        .prepare_cached(
            "SELECT hash, duration_us, format, skip_code, skip_text, video FROM sources
             WHERE path = ?1 AND inode = ?2 AND size = ?3 AND modified_ns = ?4",
        )?
        .query_row(
            params![
                path_bytes(path),
                bits(fingerprint.inode),
                signed(fingerprint.size),
                fingerprint.modified_ns
            ],
            |row| {
                Ok((
                    row.get::<_, Option<Vec<u8>>>(0)?,
                    row.get::<_, Option<i64>>(1)?,
                    row.get::<_, Option<String>>(2)?,
                    row.get::<_, Option<String>>(3)?,
                    row.get::<_, Option<String>>(4)?,
                    row.get::<_, Option<bool>>(5)?,
                ))
            },
        )
        .optional()?;
    let damaged = || QueueError::Damaged {
        what: format!("what is known of {}", path.display()),
    };
    match found {
        None => Ok(None),
        Some((Some(hash), duration, Some(format), _, _, has_video)) => Ok(Some(Known::Recording {
            hash: row::hash(&hash).ok_or_else(damaged)?,
            duration: duration.map(|us| AudioDuration::from_micros(unsigned(us))),
            format: from_json(&format, "an audio format")?,
            has_video,
        })),
        Some((_, _, _, Some(code), text, _)) => Ok(Some(Known::Skipped(Reason::new(
            code,
            text.unwrap_or_default(),
        )))),
        Some(_) => Err(damaged()),
    }
}

/// Whether the file was left alone under another name for being there before the first start.
pub(super) fn was_left_alone(
    connection: &Connection,
    fingerprint: &Fingerprint,
) -> Result<bool, QueueError> {
    let found = connection
        .prepare_cached(
            "SELECT 1 FROM sources WHERE skip_code = 'existing' AND inode = ?1 AND size = ?2
             AND modified_ns = ?3",
        )?
        .exists(params![
            bits(fingerprint.inode),
            signed(fingerprint.size),
            fingerprint.modified_ns
        ])?;
    Ok(found)
}

/// The old file that was left alone at `path`, whatever lies there now.
pub(super) fn left_at(
    connection: &Connection,
    path: &Path,
) -> Result<Option<LeftAlone>, QueueError> {
    let found = connection
        .prepare_cached(
            "SELECT size, mark FROM sources WHERE path = ?1 AND skip_code = 'existing'",
        )?
        .query_row([path_bytes(path)], |row| {
            let mark: Option<Vec<u8>> = row.get(1)?;
            Ok(LeftAlone {
                size: unsigned(row.get(0)?),
                mark: mark.and_then(|mark| row::hash(&mark)),
            })
        })
        .optional()?;
    Ok(found)
}

/// Keeps the mark of an old file that is left alone.
pub(super) fn keep_mark(
    connection: &Connection,
    path: &Path,
    mark: ContentHash,
) -> Result<(), QueueError> {
    connection
        .prepare_cached("UPDATE sources SET mark = ?2 WHERE path = ?1 AND skip_code = 'existing'")?
        .execute(params![path_bytes(path), mark.0])?;
    Ok(())
}

/// Keeps what was found out about a file.
pub(super) fn remember(
    connection: &Connection,
    path: &Path,
    root: &Path,
    fingerprint: &Fingerprint,
    known: &Known,
    now: Timestamp,
) -> Result<(), QueueError> {
    let (hash, duration, format, video, reason) = match known {
        Known::Recording {
            hash,
            duration,
            format,
            has_video,
        } => (
            Some(hash.0),
            *duration,
            Some(to_json(format)?),
            *has_video,
            None,
        ),
        Known::Skipped(reason) => (None, None, None, None, Some(reason)),
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO sources (path, root, inode, size, modified_ns, hash, duration_us,
                 format, skip_code, skip_text, seen_ms, video)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            path_bytes(path),
            path_bytes(root),
            bits(fingerprint.inode),
            signed(fingerprint.size),
            fingerprint.modified_ns,
            hash,
            duration.map(|duration| signed(duration.micros())),
            format,
            reason.map(|reason| reason.code.as_str()),
            reason.map(|reason| reason.text.as_str()),
            millis(now),
            video,
        ])?;
    Ok(())
}

/// Every file that is passed over, by path.
pub(super) fn skipped(connection: &Connection) -> Result<Vec<Skipped>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT path, skip_code, skip_text FROM sources WHERE skip_code IS NOT NULL ORDER BY path",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Skipped {
            path: row::path(row.get(0)?),
            reason: Reason::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All 64 bits of a number in a column that is signed.
fn bits(number: u64) -> i64 {
    number.cast_signed()
}
