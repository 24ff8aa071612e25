//! The job table: the only memory, and the only SQL.
//!
//! One process holds the state directory, one thread writes, transactions are short. Every step is on
//! disk before its method comes back (WAL with `synchronous = FULL`). Nothing is decided here that the
//! domain can decide, and nothing outside the table is touched.

mod adopt;
mod answers;
mod arrivals;
mod away;
mod budget;
mod claim;
mod connection;
mod cuts;
mod damage;
mod digest;
mod error;
mod folders;
mod hands;
#[cfg(test)]
pub(crate) mod inspect;
mod intake;
mod jobs;
mod ledger;
mod left;
mod lock;
mod measures;
mod objects;
mod operator;
mod orders;
mod outbox;
mod output_folders;
mod outputs;
mod pauses;
mod pieces;
mod private;
mod proposals;
mod read;
mod recover;
mod row;
mod schema;
mod sources;
mod style;
mod submits;
mod suspects;
#[cfg(test)]
mod tests;
mod twins;
mod upkeep;
mod usage;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

pub use adopt::Adoption;
pub use arrivals::{Arrival, Asked, Elsewhere, Gone, Kin};
pub use away::Lodged;
pub use budget::{Allowance, Limits, untouched};
pub use claim::{Claimed, Terms};
pub use damage::Damage;
pub use error::QueueError;
pub use folders::FirstSeen;
pub use hands::InHand;
pub use jobs::Enqueued;
pub use ledger::Spend;
pub use lock::{Instance, holder, running_instance};
pub use measures::Measure;
pub use objects::{Leftover, LiveObject, NewObject, ObjectId};
pub use outbox::{Audience, GRACE, Outgoing, Post};
pub use output_folders::OutputFolder;
pub use outputs::{Output, RawReply, ReplyKind, StoredReply};
pub use pauses::{Pause, PauseReason};
pub use pieces::{NewPiece, path as piece_path};
pub use private::open_to_others;
pub use read::{Attempt, FolderRow, LedgerEntry, Outlook, Reader};
pub use recover::Recovered;
pub use sources::{Known, Skipped};
pub use style::{Named, Rendered};
pub use upkeep::{BACKUPS, Checkup, CopyError, Pruned, prune};
pub use usage::Use;

use crate::domain::job::{Job, JobId, StageName};
use crate::domain::route::RouteTerms;
use crate::domain::step::DoubtPolicy;
use damage::Guarded;
#[cfg(test)]
pub(crate) use hands::HANDS_FILE;
use hands::Hands;
use lock::Lock;
use writer::Writer;

/// How often a job may fail by its own fault before it is given up.
pub const MOST_FAILURES: u32 = 5;
/// The database's name in the state directory.
pub const DATABASE: &str = "stenod.db";
/// The folder of what is made to be sent, in the state directory.
pub const SPOOL: &str = "spool";

/// The job table, held by this process.
#[derive(Debug)]
pub struct Queue {
    writer: Guarded,
    state_dir: PathBuf,
    hands: Arc<Hands>,
    /// Whether what is taken in is sent without a question, see [`Self::propose`].
    agreed: AtomicBool,
    _lock: Lock,
}

impl Queue {
    /// Opens, or makes, the table in `state_dir`, and holds that directory until dropped.
    ///
    /// # Errors
    /// [`QueueError::AlreadyHeld`] while another process holds it; [`QueueError::NewerSchema`] for a table
    /// that this program must not touch; [`QueueError::Corrupt`] for a damaged one, which is set aside.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, QueueError> {
        let lock = Lock::take(state_dir, now)?;
        let path = state_dir.join(DATABASE);
        private::narrow(state_dir, &[BACKUPS, SPOOL]);
        damage::finish_setting_aside(state_dir, now)?;
        let connection = connection::connect(&path).map_err(|error| {
            if error.is_damage() {
                QueueError::Corrupt(Arc::new(damage::set_aside(state_dir, &error, now)))
            } else if error.is_disk_full() {
                QueueError::StateDir {
                    path: state_dir.to_owned(),
                    error: std::io::Error::new(
                        std::io::ErrorKind::StorageFull,
                        "there is no room on its disk: nothing is sent that could not be recorded",
                    ),
                }
            } else {
                error
            }
        })?;
        let beside = Self::beside(&path)?;
        if let Some(mode) = open_to_others(state_dir) {
            tracing::warn!(
                "others than its owner may look into the state directory (mode {mode:o}): chmod 700 {}",
                state_dir.display()
            );
        }
        let writer = Writer::start(connection, beside).map_err(|error| QueueError::StateDir {
            path: state_dir.to_owned(),
            error,
        })?;
        Ok(Self {
            writer: Guarded::new(writer, state_dir),
            state_dir: state_dir.to_owned(),
            hands: Arc::default(),
            agreed: AtomicBool::new(true),
            _lock: lock,
        })
    }

    /// A second connection, for what only reads.
    #[cfg(not(test))]
    fn beside(path: &Path) -> Result<Option<rusqlite::Connection>, QueueError> {
        connection::beside(path).map(Some)
    }

    /// The same; a simulation has one connection, which holds the table alone.
    #[cfg(test)]
    fn beside(path: &Path) -> Result<Option<rusqlite::Connection>, QueueError> {
        if crate::faults::simulated() {
            return Ok(None);
        }
        connection::beside(path).map(Some)
    }

    /// The directory that is held.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Finds what was in hand when the last run ended, and puts it where the policy says. What is in hand
    /// from now on is told to whoever comes after.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn recover(
        &self,
        policy: DoubtPolicy,
        now: Timestamp,
    ) -> Result<Recovered, QueueError> {
        let last = hands::last(&self.state_dir);
        let recovered = self
            .writer
            .run(move |connection| recover::recover(connection, &last, policy, now))
            .await?;
        self.hands.begin(&self.state_dir);
        Ok(recovered)
    }

    /// Lets in again what waited for a route or a limit that the configuration may allow by now, or for
    /// outputs that could not be written. Says how many.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn reconsider(&self, terms: RouteTerms, now: Timestamp) -> Result<usize, QueueError> {
        self.writer
            .run(move |connection| claim::reconsider(connection, &terms, now))
            .await
    }

    /// The jobs that are due in `stage`, the longest due first, at most `limit` of them.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn due(
        &self,
        stage: StageName,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Job>, QueueError> {
        self.writer
            .look(move |connection| read::due(connection, stage, limit, now))
            .await
    }

    /// What is still going on, and when something is due next.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn outlook(&self, terms: Terms, now: Timestamp) -> Result<Outlook, QueueError> {
        self.writer
            .read(move |connection| read::outlook(connection, &terms, now))
            .await
    }

    /// When a job that has not ended is due next after `now`, whoever works on it.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, QueueError> {
        self.writer
            .look(move |connection| read::next_due(connection, now))
            .await
    }

    /// How many jobs have a ticket that has not ended.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn count(&self, stage: StageName) -> Result<usize, QueueError> {
        self.writer
            .look(move |connection| read::count(connection, stage))
            .await
    }

    /// The job with this number.
    ///
    /// # Errors
    /// [`QueueError::NoSuchJob`] if there is none.
    pub async fn job(&self, id: JobId) -> Result<Job, QueueError> {
        self.writer
            .look(move |connection| jobs::get(connection, id))
            .await
    }

    /// Reads whatever a [`Reader`] reads, through this process' own connection.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader<'_>) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.writer
            .read(move |connection| query(&Reader::borrowed(connection)))
            .await
    }
}

/// The stages of a job that somebody is working on and that has not been accepted.
const IN_HAND: &[StageName] = &[StageName::Submitting, StageName::Committing];
