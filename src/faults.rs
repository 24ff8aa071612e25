//! Where a simulation may break in: the points at which a process can die or the disk can refuse, and
//! mistakes that can be planted to prove that the simulation would find them.
//!
//! Compiled into unit tests only. Everything is bound to the thread that installed it, so that tests
//! beside a simulation notice nothing.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;

use crate::domain::job::ContentHash;

/// A point at which something outside the program is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A transaction that changed something is about to be committed.
    Commit,
    /// It was committed, and nobody was told yet.
    Committed,
    /// A chunk of a recording is about to be read.
    Read,
    /// A recording is about to be decoded.
    Decode(ContentHash),
    /// A draft is open and empty.
    Draft,
    /// A draft is whole and about to get its final name.
    Rename,
    /// It has its final name.
    Renamed,
}

/// What a simulation does at each point.
pub(crate) trait Points {
    /// Comes back where all is well, gives an error, or unwinds where the process dies.
    fn meet(&self, point: Point) -> io::Result<()>;

    /// How often others may go first now; `None` once the process is dead.
    fn turns(&self) -> Option<u32>;
}

/// A mistake that somebody could make, to see it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Recovery puts a job that was `committing` back into the queue.
    RequeueCommitting,
    /// A ticket is polled before it is stored.
    PollUnstoredTicket,
    /// The charge is recorded after the job is done.
    LedgerAfterDone,
    /// A claim does not look whether a copy is being paid for.
    ClaimBesideTwin,
    /// The last chunk leaves without a record.
    GateWithoutRecord,
    /// The last chunk leaves although the bytes are not those that were queued.
    GateWithoutProof,
    /// An output replaces a file that is not ours.
    OverwriteForeign,
    /// Outputs are made of a reply before that is stored.
    PublishUnstored,
    /// An output is written under its final name from the start.
    NoDraft,
    /// What was set aside is kept when a job goes back into the queue.
    KeepReservation,
    /// A doubt is not written into the ledger.
    DoubtWithoutEntry,
    /// Paid repeats are not counted.
    RepeatWithoutEnd,
    /// That a job is done is written into the outbox only after it is.
    TellAfterDone,
}

thread_local! {
    static POINTS: RefCell<Option<Arc<dyn Points>>> = const { RefCell::new(None) };
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this thread runs a simulation: there, blocking work and the writer run in place, so that
/// everything happens in one order.
pub(crate) fn simulated() -> bool {
    POINTS.with_borrow(Option::is_some)
}

/// Passes a point.
pub(crate) fn meet(point: Point) -> io::Result<()> {
    let points = POINTS.with_borrow(Clone::clone);
    points.map_or(Ok(()), |points| points.meet(point))
}

/// Lets other tasks go first, and never comes back once the process is dead.
pub(crate) async fn interleave() {
    let turns = POINTS.with_borrow(|points| points.as_ref().map(|points| points.turns()));
    match turns {
        None => {}
        Some(None) => std::future::pending().await,
        Some(Some(turns)) => {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Whether this mistake is planted on this thread.
pub(crate) fn planted(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}

/// A simulation of this thread; it ends when this is dropped.
pub(crate) struct Installed(());

impl Installed {
    /// Begins a simulation, perhaps with a mistake planted.
    pub(crate) fn new(points: Arc<dyn Points>, bug: Option<Bug>) -> Self {
        POINTS.set(Some(points));
        BUG.set(bug);
        Self(())
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        POINTS.set(None);
        BUG.set(None);
    }
}
