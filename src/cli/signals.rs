//! Signals: the first asks to stop, the second stops at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;

/// How long what is handed over is waited for after SIGTERM: the units allow two minutes before they kill.
/// What has no answer by then is in doubt at the next start.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(90);

/// The signals that end stenod.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
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
            quit: signal(SignalKind::quit())?,
        })
    }
}

impl Signalled for Signals {
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
            _ = self.quit.recv() => exit::QUIT,
        }
    }
}

/// How work under signals ended.
pub(super) enum Worked<T> {
    /// By itself.
    Done(T),
    /// After the signal that is worth this exit code had asked it to.
    Stopped(T, u8),
    /// A second signal came before it did, or too much time went by; it was left where it was.
    Abandoned(u8),
}

/// Says which signal came, as the exit code it is worth.
pub(super) trait Signalled {
    /// The next signal.
    async fn next(&mut self) -> u8;
}

/// Does `work` until it ends or a second signal comes; the first cancels `stop` and calls `asked`. A
/// person can send a second one and is not hurried; after SIGTERM work ends within [`STOP_PATIENCE`].
pub(super) async fn under_signals<T>(
    mut signals: impl Signalled,
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
    if first == exit::QUIT {
        return Worked::Abandoned(first);
    }
    asked();
    tokio::select! {
        done = &mut work => Worked::Stopped(done, first),
        second = signals.next() => Worked::Abandoned(second),
        () = tokio::time::sleep(STOP_PATIENCE), if first == exit::TERMINATED => {
            tracing::warn!(
                "what was handed over has no answer after {} s: it is in doubt at the next start",
                STOP_PATIENCE.as_secs()
            );
            Worked::Abandoned(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Signals that come one after the other, then none.
    struct Scripted(Vec<u8>);

    impl Signalled for Scripted {
        async fn next(&mut self) -> u8 {
            match self.0.pop() {
                Some(code) => code,
                None => std::future::pending().await,
            }
        }
    }

    async fn stopped_by(codes: &[u8]) -> (Worked<()>, Duration) {
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let signals = Scripted(codes.iter().rev().copied().collect());
        let worked = under_signals(signals, &stop, || {}, std::future::pending()).await;
        assert!(stop.is_cancelled());
        (worked, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_term_signal_work_that_does_not_end_is_left_in_time() {
        let (worked, waited) = stopped_by(&[exit::TERMINATED]).await;
        assert!(matches!(worked, Worked::Abandoned(exit::TERMINATED)));
        assert_eq!(waited, STOP_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_to_quit_is_obeyed_at_once() {
        let (worked, waited) = stopped_by(&[exit::QUIT]).await;
        assert!(matches!(worked, Worked::Abandoned(exit::QUIT)));
        assert_eq!(waited, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_is_obeyed_at_once() {
        let (worked, waited) = stopped_by(&[exit::INTERRUPTED, exit::TERMINATED]).await;
        assert!(matches!(worked, Worked::Abandoned(exit::TERMINATED)));
        assert_eq!(waited, Duration::ZERO);
    }

    #[test]
    fn the_units_allow_more_time_than_a_stop_takes() {
        let unit = include_str!("../../systemd/stenod.service");
        assert!(unit.contains("\nTimeoutStopSec=2min\n"));
        assert!(STOP_PATIENCE < Duration::from_secs(120));
    }
}
