//! Sums over the table, for whoever watches over stenod from outside.

use std::time::Duration;

use jiff::Timestamp;

use super::row::{self, millis};
use super::{QueueError, Reader};
use crate::domain::job::State;

/// What the jobs of a state come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The state.
    pub state: State,
    /// How many they are.
    pub count: u64,
    /// The length of their recordings together, as far as it is known.
    pub audio: Duration,
    /// How long the first of them has been in the table.
    pub oldest: Duration,
}

impl Reader<'_> {
    /// What the jobs of every state come to at `now`; pieces count with their recordings.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn measures(&self, now: Timestamp) -> Result<Vec<Measure>, QueueError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT state, count(*), total(duration_us), min(created_ms) FROM jobs
             WHERE parent IS NULL GROUP BY state",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row::unsigned(row.get(1)?),
                row.get::<_, f64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })?;
        let found: Vec<_> = rows.collect::<Result<_, _>>()?;
        let measure = |state: State| {
            let row = found.iter().find(|(name, ..)| name == state.as_str());
            let (count, micros, first) =
                row.map_or((0, 0.0, millis(now)), |row| (row.1, row.2, row.3));
            let age = u64::try_from(millis(now).saturating_sub(first)).unwrap_or(0);
            Measure {
                state,
                count,
                audio: Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default(),
                oldest: Duration::from_millis(age),
            }
        };
        Ok(State::ALL.into_iter().map(measure).collect())
    }
}
