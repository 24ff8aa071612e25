//! What lies in buckets: written down before it is put there, forgotten when it is gone.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{millis, time};
use super::{Queue, QueueError};
use crate::domain::job::{ContentHash, JobId};
use crate::domain::object::{Installation, ObjectName, Part, Remains, Upload, Version};

/// The most objects that are taken away in one go.
const MOST_REMOVED_AT_ONCE: u32 = 100;

/// Objects of ended jobs and useless ones in the bucket `?1` that are due at `?2`.
const TO_REMOVE: &str = "FROM objects JOIN jobs ON jobs.id = objects.job
     WHERE bucket = ?1 AND (objects.due_ms IS NULL OR objects.due_ms <= ?2)
         AND (objects.state = 'leaving' OR stage IN ('done', 'failed', 'cancelled'))";

/// What is said of an object in a bucket of an earlier configuration.
const ELSEWHERE: &str = "the configuration names another bucket by now, or none: `stenod run` with that one in it \
     takes it out, or delete it there by hand";

/// And of one that nothing but a start is needed for.
const AT_REST: &str = "it is taken out by the next start of stenod";

/// The number of an object in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectId(i64);

/// An object that a job may use: on its way into the bucket, or there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveObject {
    /// Its number.
    pub id: ObjectId,
    /// Its name in the bucket.
    pub name: ObjectName,
    /// Whether it is there whole.
    pub is_there: bool,
    /// The upload that was begun, if one was.
    pub upload: Option<Upload>,
}

/// What is put into a bucket for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// For which job.
    pub job: JobId,
    /// Into which bucket.
    pub bucket: String,
    /// Under which name.
    pub name: ObjectName,
    /// How many bytes.
    pub size: u64,
    /// What they hash to.
    pub hash: ContentHash,
}

/// An object that could not be taken away so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// In which bucket.
    pub bucket: String,
    /// Its name there.
    pub name: String,
    /// Why not.
    pub trouble: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again.
    pub due_at: Option<Timestamp>,
}

impl Queue {
    /// The mark by which the objects of this table are told from those of others.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn installation(&self) -> Result<Installation, QueueError> {
        self.writer.run(mark).await
    }

    /// The object of `job` in `bucket`, if one with these bytes is there or on its way.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn live_object(
        &self,
        job: JobId,
        bucket: String,
        hash: ContentHash,
    ) -> Result<Option<LiveObject>, QueueError> {
        self.writer
            .read(move |connection| live(connection, job, &bucket, hash))
            .await
    }

    /// Writes down an object before anything of it is in the bucket.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn begin_object(
        &self,
        object: NewObject,
        now: Timestamp,
    ) -> Result<ObjectId, QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "INSERT OR IGNORE INTO buckets (place) VALUES (?1)",
                    [&object.bucket],
                )?;
                connection.execute(
                    "INSERT INTO objects (job, bucket, name, state, size, hash, created_ms)
                     VALUES (?1, ?2, ?3, 'uploading', ?4, ?5, ?6)",
                    params![
                        object.job.0,
                        object.bucket,
                        object.name.as_str(),
                        i64::try_from(object.size).unwrap_or(i64::MAX),
                        object.hash.0,
                        millis(now)
                    ],
                )?;
                Ok(ObjectId(connection.last_insert_rowid()))
            })
            .await
    }

    /// An upload was begun; parts of an earlier one count no more.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_begun(&self, id: ObjectId, upload: String) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute("DELETE FROM parts WHERE object = ?1", [id.0])?;
                connection.execute(
                    "UPDATE objects SET upload = ?2 WHERE id = ?1",
                    params![id.0, upload],
                )?;
                Ok(())
            })
            .await
    }

    /// The storage has a part.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_part(
        &self,
        id: ObjectId,
        number: u32,
        part: Part,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "INSERT OR REPLACE INTO parts (object, number, part, hash) VALUES (?1, ?2, ?3, ?4)",
                    params![id.0, number, part.id, part.hash.0],
                )?;
                Ok(())
            })
            .await
    }

    /// An object is there whole.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_there(
        &self,
        id: ObjectId,
        version: Option<Version>,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute("DELETE FROM parts WHERE object = ?1", [id.0])?;
                connection.execute(
                    "UPDATE objects SET state = 'there', upload = NULL, version = ?2 WHERE id = ?1",
                    params![id.0, version.map(|version| version.0)],
                )?;
                Ok(())
            })
            .await
    }

    /// An object is of no use any more, though its job goes on.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_useless(&self, id: ObjectId) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute("UPDATE objects SET state = 'leaving' WHERE id = ?1", [id.0])?;
                Ok(())
            })
            .await
    }

    /// What is to be taken out of `bucket` now: objects of jobs that have ended, and useless ones. No job
    /// uses them from here on.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn objects_to_remove(
        &self,
        bucket: String,
        now: Timestamp,
    ) -> Result<Vec<(ObjectId, u32, Remains)>, QueueError> {
        self.writer
            .read(move |connection| to_remove(connection, &bucket, now))
            .await
    }

    /// Whether anything was ever put into `bucket`.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn has_used(&self, bucket: String) -> Result<bool, QueueError> {
        self.writer
            .look(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT 1 FROM buckets WHERE place = ?1")?;
                Ok(statement.exists([bucket])?)
            })
            .await
    }

    /// Whether there is something to be taken out of `bucket` now.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn has_objects_to_remove(
        &self,
        bucket: String,
        now: Timestamp,
    ) -> Result<bool, QueueError> {
        self.writer
            .look(move |connection| {
                let mut statement = connection.prepare_cached(&format!("SELECT 1 {TO_REMOVE}"))?;
                Ok(statement.exists(params![bucket, millis(now)])?)
            })
            .await
    }

    /// What could not be taken away is tried again at once.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn removals_due_now(&self, bucket: String) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "UPDATE objects SET due_ms = NULL WHERE bucket = ?1",
                    [bucket],
                )?;
                Ok(())
            })
            .await
    }

    /// An object is gone.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_removed(&self, id: ObjectId) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute("DELETE FROM parts WHERE object = ?1", [id.0])?;
                connection.execute("DELETE FROM objects WHERE id = ?1", [id.0])?;
                Ok(())
            })
            .await
    }

    /// An object could not be taken away, and why; it is tried again at `due`.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_stays(
        &self,
        id: ObjectId,
        trouble: String,
        due: Timestamp,
    ) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                connection.execute(
                    "UPDATE objects SET trouble = ?2, due_ms = ?3, tries = tries + 1 WHERE id = ?1",
                    params![id.0, trouble, millis(due)],
                )?;
                Ok(())
            })
            .await
    }

    /// Every name that is written down for `bucket`, with the upload that was begun for it.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn object_names(
        &self,
        bucket: String,
    ) -> Result<HashMap<String, Option<String>>, QueueError> {
        self.writer
            .read(move |connection| {
                let mut statement = connection
                    .prepare_cached("SELECT name, upload FROM objects WHERE bucket = ?1")?;
                let names = statement.query_map([&bucket], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn mark(connection: &Connection) -> Result<Installation, QueueError> {
    let mark: String =
        connection.query_row("SELECT mark FROM installation", [], |row| row.get(0))?;
    Installation::parse(&mark).ok_or_else(|| damaged("the mark of the installation"))
}

fn live(
    connection: &Connection,
    job: JobId,
    bucket: &str,
    hash: ContentHash,
) -> Result<Option<LiveObject>, QueueError> {
    let found = connection
        .prepare_cached(
            "SELECT id, name, state = 'there', upload FROM objects
             WHERE job = ?1 AND bucket = ?2 AND hash = ?3 AND state <> 'leaving'
             ORDER BY state = 'there' DESC, id DESC LIMIT 1",
        )?
        .query_row(params![job.0, bucket, hash.0], |row| {
            let columns: (i64, String, bool, Option<String>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(columns)
        })
        .optional()?;
    let Some((id, name, is_there, upload)) = found else {
        return Ok(None);
    };
    let upload = match upload {
        Some(upload) => Some(Upload {
            id: upload,
            parts: parts(connection, id)?,
        }),
        None => None,
    };
    Ok(Some(LiveObject {
        id: ObjectId(id),
        name: ObjectName::parse(&name).ok_or_else(|| damaged("the name of an object"))?,
        is_there,
        upload,
    }))
}

fn parts(connection: &Connection, object: i64) -> Result<Vec<(u32, Part)>, QueueError> {
    let mut statement = connection
        .prepare_cached("SELECT number, part, hash FROM parts WHERE object = ?1 ORDER BY number")?;
    let parts = statement.query_map([object], |row| {
        let part = Part {
            id: row.get(1)?,
            hash: ContentHash(row.get(2)?),
        };
        Ok((row.get(0)?, part))
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

fn to_remove(
    connection: &Connection,
    bucket: &str,
    now: Timestamp,
) -> Result<Vec<(ObjectId, u32, Remains)>, QueueError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT objects.id, tries, name, upload, version {TO_REMOVE} ORDER BY objects.id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![bucket, millis(now), MOST_REMOVED_AT_ONCE], |row| {
        let columns: (i64, u32, String, Option<String>, Option<String>) = (
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        );
        Ok(columns)
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (id, tries, name, upload, version) = row?;
        let remains = Remains {
            name: ObjectName::parse(&name).ok_or_else(|| damaged("the name of an object"))?,
            upload,
            version: version.map(Version),
        };
        found.push((ObjectId(id), tries, remains));
    }
    for (id, ..) in &found {
        connection
            .prepare_cached("UPDATE objects SET state = 'leaving' WHERE id = ?1")?
            .execute([id.0])?;
    }
    Ok(found)
}

/// The objects that could not be taken away so far, the longest first, those in other buckets than `place`, which
/// nobody takes away, and while stenod is `at_rest` those of jobs that have ended.
pub(super) fn leftovers(
    connection: &Connection,
    place: Option<&str>,
    at_rest: bool,
) -> Result<Vec<Leftover>, QueueError> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket, name, coalesce(trouble, ?3), tries, objects.due_ms FROM objects
         JOIN jobs ON jobs.id = objects.job
         WHERE trouble IS NOT NULL OR bucket IS NOT ?1
             OR ?2 AND (objects.state = 'leaving' OR stage IN ('done', 'failed', 'cancelled'))
         ORDER BY objects.id",
    )?;
    let rows = statement.query_map(params![place, at_rest, AT_REST], |row| {
        let (bucket, due): (String, Option<i64>) = (row.get(0)?, row.get(4)?);
        let is_elsewhere = Some(bucket.as_str()) != place;
        Ok(Leftover {
            name: row.get(1)?,
            trouble: match is_elsewhere {
                true => ELSEWHERE.to_owned(),
                false => row.get(2)?,
            },
            tries: row.get(3)?,
            due_at: due.map(time).filter(|_| !is_elsewhere),
            bucket,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn damaged(what: &str) -> QueueError {
    QueueError::Damaged {
        what: what.to_owned(),
    }
}
