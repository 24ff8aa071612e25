//! How far the cutting of a recording is, so that a crash in the middle costs no more than one piece.
//!
//! A piece is noted when its file is there, and the note goes when the pieces become jobs. Each is a proof that the
//! recording does not take the process down where it was read so far.

use rusqlite::{Connection, params};

use super::pieces::NewPiece;
use super::row::{signed, to_json, unsigned};
use super::{Queue, QueueError, jobs, suspects};
use crate::domain::cut::Stretch;
use crate::domain::job::{ContentHash, JobId};
use crate::domain::route::Cut;

impl Queue {
    /// Notes the next piece that was made of a recording, which is acquitted by it.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn piece_made(&self, id: JobId, cut: Cut, piece: NewPiece) -> Result<(), QueueError> {
        self.writer
            .run(move |connection| {
                suspects::acquit(connection, &jobs::get(connection, id)?.source)?;
                connection
                    .prepare_cached(
                        "INSERT INTO cuts (job, piece, cut, start, end, size, hash)
                         SELECT ?1, 1 + count(*), ?2, ?3, ?4, ?5, ?6 FROM cuts WHERE job = ?1",
                    )?
                    .execute(params![
                        id.0,
                        to_json(&cut)?,
                        signed(piece.stretch.start),
                        signed(piece.stretch.end),
                        signed(piece.size),
                        piece.hash.0,
                    ])?;
                Ok(())
            })
            .await
    }

    /// The pieces that were made of a recording by this cut, in their order; those of another are forgotten.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn pieces_made(&self, id: JobId, cut: Cut) -> Result<Vec<NewPiece>, QueueError> {
        self.writer
            .run(move |connection| {
                let cut = to_json(&cut)?;
                connection
                    .prepare_cached("DELETE FROM cuts WHERE job = ?1 AND cut <> ?2")?
                    .execute(params![id.0, cut])?;
                let mut statement = connection.prepare_cached(
                    "SELECT start, end, size, hash FROM cuts WHERE job = ?1 ORDER BY piece",
                )?;
                let rows = statement.query_map([id.0], |row| {
                    Ok(NewPiece {
                        stretch: Stretch {
                            start: unsigned(row.get(0)?),
                            end: unsigned(row.get(1)?),
                        },
                        size: unsigned(row.get(2)?),
                        hash: ContentHash(row.get(3)?),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Keeps the first `count` pieces that were made of a recording, whose files are there, and forgets the rest.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn keep_pieces_made(&self, id: JobId, count: usize) -> Result<(), QueueError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM cuts WHERE job = ?1 AND piece > ?2")?
                    .execute([id.0, count])?;
                Ok(())
            })
            .await
    }
}

/// The cutting of a recording has ended.
pub(super) fn forget(connection: &Connection, id: JobId) -> Result<(), QueueError> {
    connection
        .prepare_cached("DELETE FROM cuts WHERE job = ?1")?
        .execute([id.0])?;
    Ok(())
}
