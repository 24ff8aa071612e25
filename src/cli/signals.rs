//! Signals: the first asks to stop, the second stops at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;

/// The signals that end stenod.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// Where the system does not let it.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
        }
    }
}

/// How work under signals ended.
pub(super) enum Worked<T> {
    /// By itself.
    Done(T),
    /// After the signal that is worth this exit code had asked it to.
    Stopped(T, u8),
    /// A second signal came before it did; it was left where it was.
    Abandoned(u8),
}

/// Does `work` until it ends or a second signal comes; the first cancels `stop` and calls `asked`.
pub(super) async fn under_signals<T>(
    mut signals: Signals,
    stop: &CancellationToken,
    asked: impl Fn(),
    work: impl Future<Output = T>,
) -> Worked<T> {
    tokio::pin!(work);
    let first = tokio::select! {
        done = &mut work => return Worked::Done(done),
        first = signals.next() => first,
    };
    stop.cancel();
    asked();
    tokio::select! {
        done = &mut work => Worked::Stopped(done, first),
        second = signals.next() => Worked::Abandoned(second),
    }
}
