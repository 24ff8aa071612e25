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
    /// The terminal is gone, unless that is to be survived (`nohup`) or means something else.
    hangup: Option<Signal>,
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
            hangup: None,
        })
    }

    /// The same for a run, which ends with its terminal.
    ///
    /// # Errors
    /// Where the system does not let it.
    pub(super) fn listen_for_a_run() -> io::Result<Self> {
        let hangup = match survives_hangup() {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            hangup,
            ..Self::listen()?
        })
    }
}

/// Whether whoever started the program had it ignore that its terminal goes, as `nohup` does; by proc(5).
fn survives_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let hangup = u32::try_from(SignalKind::hangup().as_raw_value() - 1).unwrap_or_default();
    ignored.is_some_and(|set| set >> hangup & 1 == 1)
}

impl Signalled for Signals {
    async fn next(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
            _ = self.quit.recv() => exit::QUIT,
            _ = hangup => exit::TERMINATED,
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

/// What a first signal asks for.
#[derive(Clone, Copy)]
pub(super) struct Stops<'t> {
    /// That nothing new begins.
    stop: &'t CancellationToken,
    /// That what is in hand is let go: not asked for by a person at the keyboard, who can ask again.
    let_go: Option<&'t CancellationToken>,
}

impl<'t> Stops<'t> {
    /// What is in hand is let go by any signal.
    pub(super) fn at_once(stop: &'t CancellationToken) -> Self {
        Self { stop, let_go: None }
    }

    /// What is in hand is finished after Ctrl-C, and let go by any other signal.
    pub(super) fn finishing(stop: &'t CancellationToken, let_go: &'t CancellationToken) -> Self {
        Self {
            stop,
            let_go: Some(let_go),
        }
    }

    fn ask(&self, signal: u8) {
        self.stop.cancel();
        if let Some(let_go) = self.let_go.filter(|_| signal != exit::INTERRUPTED) {
            let_go.cancel();
        }
    }
}

/// Does `work` until it ends or a second signal comes; the first is asked of `stops` and told to `asked`. A
/// person can send a second one and is not hurried; after SIGTERM work ends within [`STOP_PATIENCE`].
pub(super) async fn under_signals<T>(
    mut signals: impl Signalled,
    stops: Stops<'_>,
    asked: impl AsyncFnOnce(u8),
    work: impl Future<Output = T>,
) -> Worked<T> {
    tokio::pin!(work);
    let first = tokio::select! {
        done = &mut work => return Worked::Done(done),
        first = signals.next() => first,
    };
    stops.ask(first);
    if first == exit::QUIT {
        return Worked::Abandoned(first);
    }
    let work = async { tokio::join!(asked(first), work).1 };
    tokio::select! {
        done = work => Worked::Stopped(done, first),
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
        let (stops, pending) = (Stops::at_once(&stop), std::future::pending());
        let worked = under_signals(signals, stops, async |_| {}, pending).await;
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

    #[tokio::test(start_paused = true)]
    async fn what_is_in_hand_is_let_go_by_every_signal_but_the_first_ctrl_c() {
        for (signal, lets_go) in [(exit::INTERRUPTED, false), (exit::TERMINATED, true)] {
            let (stop, let_go) = (CancellationToken::new(), CancellationToken::new());
            let stops = Stops::finishing(&stop, &let_go);
            let asked = async |code| assert_eq!(code, signal);
            let work = stop.cancelled();
            let worked = under_signals(Scripted(vec![signal]), stops, asked, work).await;
            assert!(matches!(worked, Worked::Stopped((), code) if code == signal));
            assert_eq!(let_go.is_cancelled(), lets_go);
        }
    }

    #[test]
    fn the_units_allow_more_time_than_a_stop_takes() {
        let unit = include_str!("../../systemd/stenod.service");
        assert!(unit.contains("\nTimeoutStopSec=2min\n"));
        assert!(STOP_PATIENCE < Duration::from_secs(120));
    }
}
