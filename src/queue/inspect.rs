//! What a simulation looks at and no command shows.

use rusqlite::Connection;

use super::row::{JOB_COLUMNS, find_jobs};
use super::{DATABASE, Queue, QueueError};
use crate::domain::job::{Job, JobId};
use crate::domain::money::from_nanos;
use rust_decimal::Decimal;

/// A job with what only the table knows of it.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) job: Job,
    /// What is set aside for it.
    pub(crate) reserved: Decimal,
    /// Whose submit the reply answers that it was, or is to be, made from.
    pub(crate) reply_of: Option<JobId>,
    /// What the ledger has it charged for.
    pub(crate) charged: Decimal,
    /// What it may have cost on top, an entry each.
    pub(crate) doubts: Vec<Decimal>,
    /// Of which of its events others are to be told; of a piece, of none.
    pub(crate) told: Option<Vec<String>>,
}

impl Queue {
    /// Every job, the oldest first.
    pub(crate) async fn sheets(&self) -> Result<Vec<Sheet>, QueueError> {
        self.writer.run(sheets).await
    }

    /// What SQLite says of the whole file, its indices and references.
    pub(crate) async fn integrity(&self) -> Result<String, QueueError> {
        self.writer
            .run(|connection| {
                let broken = connection.prepare("PRAGMA foreign_key_check")?.exists([])?;
                let text: String =
                    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
                Ok(if broken {
                    "broken references".to_owned()
                } else {
                    text
                })
            })
            .await
    }
}

/// The bytes of an empty table, so that a simulation need not make one each time.
pub(crate) fn empty_database(folder: &std::path::Path) -> Vec<u8> {
    let path = folder.join(DATABASE);
    let connection = super::connection::connect(&path).expect("a table can be made");
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("it can be folded into one file");
    drop(connection);
    std::fs::read(path).expect("it can be read")
}

fn sheets(connection: &Connection) -> Result<Vec<Sheet>, QueueError> {
    let jobs = find_jobs(
        connection,
        &format!("SELECT {JOB_COLUMNS} FROM jobs ORDER BY id"),
        &[],
    )?;
    jobs.into_iter().map(|job| sheet(connection, job)).collect()
}

fn sheet(connection: &Connection, job: Job) -> Result<Sheet, QueueError> {
    let (reserved, reply_of): (i64, Option<i64>) = connection
        .prepare_cached(
            "SELECT reserved, (SELECT r.job FROM replies r WHERE r.id = json_extract(j.data, '$.reply'))
             FROM jobs j WHERE id = ?1",
        )?
        .query_row([job.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement = connection.prepare_cached(
        "SELECT kind, nanos FROM ledger WHERE job = ?1 AND kind IN ('charge', 'doubt')",
    )?;
    let mut rows = statement.query([job.id.0])?;
    let (mut charged, mut doubts) = (Decimal::ZERO, Vec::new());
    while let Some(row) = rows.next()? {
        let amount = from_nanos(row.get(1)?);
        match row.get::<_, String>(0)?.as_str() {
            "charge" => charged += amount,
            _ => doubts.push(amount),
        }
    }
    let is_whole = connection
        .prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND parent IS NULL")?
        .exists([job.id.0])?;
    let told = connection
        .prepare_cached("SELECT event FROM outbox WHERE job = ?1")?
        .query_map([job.id.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Sheet {
        told: is_whole.then_some(told),
        job,
        reserved: from_nanos(reserved),
        reply_of: reply_of.map(JobId),
        charged,
        doubts,
    })
}
