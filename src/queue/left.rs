//! The table as the next start will find it: what a dead process left in hand is shown where recovery will
//! put it, so that a person who looks in between is not told that something is still going on.
//!
//! Nothing is written but tables of this connection alone, which its queries find before the real ones.

use std::path::Path;

use rusqlite::{Connection, params};

use super::lock::holder;
use super::row::{self, to_json};
use super::{IN_HAND, QueueError, Reader, read};
use crate::domain::job::{Reason, Stage};
use crate::domain::step::{self, DoubtPolicy};

const COPY: &str = "
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE left_in_hand AS SELECT * FROM main.jobs WHERE stage IN ('submitting', 'committing');
";

const SHOW: &str = "
CREATE TEMP VIEW jobs AS
    SELECT * FROM main.jobs WHERE stage NOT IN ('submitting', 'committing')
    UNION ALL SELECT * FROM temp.left_in_hand;
";

impl Reader<'static> {
    /// Opens the table of `state_dir` for reading as [`Reader::open`] does; where nobody holds it, what was
    /// in hand is shown as the next start will find it by `policy`.
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open_as_found(
        state_dir: &Path,
        policy: DoubtPolicy,
    ) -> Result<Option<Self>, QueueError> {
        let reader = Self::open(state_dir)?;
        if let Some(reader) = &reader
            && holder(state_dir)?.is_none()
        {
            show_as_found(reader.connection(), policy)?;
        }
        Ok(reader)
    }
}

fn show_as_found(connection: &Connection, policy: DoubtPolicy) -> Result<(), QueueError> {
    let in_hand = read::in_stages(connection, IN_HAND)?;
    if in_hand.is_empty() {
        return Ok(());
    }
    connection.execute_batch(COPY)?;
    for job in in_hand {
        // Which falls count against it is not known before the start.
        let Some(stage) = step::recover(&job.stage, None, job.doubts, policy, job.updated_at)
        else {
            continue;
        };
        let stage = undecided(stage);
        connection
            .prepare_cached(
                "UPDATE temp.left_in_hand SET stage = ?2, state = ?3, data = ?4, due_ms = ?5 WHERE id = ?1",
            )?
            .execute(params![
                job.id.0,
                stage.name().as_str(),
                stage.state().as_str(),
                to_json(&stage)?,
                row::due_millis(&stage),
            ])?;
    }
    connection.execute_batch(SHOW)?;
    Ok(())
}

/// A doubt says what it may have cost and what follows only when it is entered in the ledger.
fn undecided(stage: Stage) -> Stage {
    let Stage::InDoubt { reason, retry_at } = stage else {
        return stage;
    };
    let what = match retry_at {
        Some(_) => "the next start repeats it once, and says what may be paid twice",
        None => "the next start leaves it to you",
    };
    let text = format!("{}: it may have been paid for; {what}", reason.text);
    Stage::InDoubt {
        reason: Reason::new(reason.code, text),
        retry_at,
    }
}
