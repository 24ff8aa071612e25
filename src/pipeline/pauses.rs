//! The pauses of the queue, kept at hand so that most submits need not ask the table.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::room::Full;
use super::{Event, Pipeline, PipelineError};
use crate::domain::job::Reason;
use crate::domain::timing::{after, backoff};
use crate::domain::verdict::Halt;
use crate::queue::{Pause, PauseReason};
use crate::supervise::blocking;

/// How long a refused balance waits before it is looked at again: five to fifteen minutes.
const BALANCE_WAIT: Duration = Duration::from_secs(600);
/// How long an address that may not be the service's is left alone: longer than a run waits.
const ADDRESS_WAIT: Duration = Duration::from_secs(900);

/// The pauses as the table has them, and the disks without room, which the table may not have.
#[derive(Debug, Default)]
pub struct Pauses {
    table: Mutex<Vec<Pause>>,
    pub(super) full: Full,
}

impl Pauses {
    /// The pauses, those that a person has to mend first.
    pub fn all(&self) -> Vec<Pause> {
        let mut pauses = self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        pauses.retain(|pause| pause.reason != PauseReason::Disk);
        pauses.extend(self.full.pause());
        pauses.sort_by_key(|pause| pause.reason.rank());
        pauses
    }

    fn set(&self, pauses: Vec<Pause>) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = pauses;
    }

    /// The pause that keeps anything from being sent at `now`, if one does.
    pub fn holding(&self, now: Timestamp) -> Option<Pause> {
        self.all().into_iter().find(|pause| pause.holds(now))
    }

    /// Whether there is any pause, though it may be due to be tried.
    pub fn any(&self) -> bool {
        !self.all().is_empty()
    }

    /// Whether there is this pause, though it may be due to be tried.
    pub fn has(&self, reason: PauseReason) -> bool {
        self.tries(reason) > 0
    }

    fn tries(&self, reason: PauseReason) -> u32 {
        self.all()
            .iter()
            .find(|pause| pause.reason == reason)
            .map_or(0, |pause| pause.tries)
    }
}

impl Pipeline {
    /// Reads the pauses of the table.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn load_pauses(&self) -> Result<(), PipelineError> {
        self.pauses.set(self.queue.pauses().await?);
        self.receivers.ring();
        Ok(())
    }

    /// Pauses the whole queue for what an answer said.
    pub(super) async fn halt(
        &self,
        halt: Halt,
        retry_after: Option<Duration>,
        reason: &Reason,
    ) -> Result<(), PipelineError> {
        let kind = PauseReason::from(halt);
        let tries = self.pauses.tries(kind);
        let wait = match halt {
            Halt::Key => None,
            Halt::Balance => Some(BALANCE_WAIT.mul_f64(0.5 + self.chance.fraction())),
            Halt::Address => Some(ADDRESS_WAIT),
            Halt::RateLimit | Halt::Offline => {
                Some(backoff(tries, retry_after, self.chance.fraction()))
            }
        };
        let until = wait.map(|wait| after(self.now(), wait));
        self.pause(kind, until, &reason.text).await
    }

    /// Begins or prolongs a pause.
    pub(super) async fn pause(
        &self,
        reason: PauseReason,
        until: Option<Timestamp>,
        text: &str,
    ) -> Result<(), PipelineError> {
        let is_new = self.pauses.tries(reason) == 0;
        self.kept(|| self.queue.pause(reason, until, text.to_owned(), self.now()))
            .await?;
        self.load_pauses().await?;
        if is_new && let Some(pause) = self.pauses.all().into_iter().find(|p| p.reason == reason) {
            self.meter.paused(pause.reason.as_str());
            self.reporter.report(&Event::Paused(pause));
        }
        Ok(())
    }

    /// Ends a pause, if there is one.
    pub(super) async fn resume(&self, reason: PauseReason) -> Result<(), PipelineError> {
        if self.pauses.tries(reason) > 0 {
            self.kept(|| self.queue.resume(reason, self.now())).await?;
            self.load_pauses().await?;
            self.reporter.report(&Event::Resumed(reason));
        }
        Ok(())
    }

    /// The service took a submit: whatever kept it from doing so is over.
    pub(super) async fn service_is_back(&self) -> Result<(), PipelineError> {
        for reason in [
            PauseReason::Key,
            PauseReason::Balance,
            PauseReason::RateLimit,
            PauseReason::Offline,
        ] {
            self.resume(reason).await?;
        }
        Ok(())
    }

    /// Looks at the balance; where there is one again, submits go on, and the service decides.
    pub(super) async fn look_at_balance(&self) -> Result<(), PipelineError> {
        let Some(service) = self.service.clone() else {
            return Ok(());
        };
        self.limiter.turn().await;
        let text = match service.balance().await {
            // Where nobody tells, a submit has to find out.
            Ok(None) => return self.resume(PauseReason::Balance).await,
            Ok(Some(balance)) if balance.0 > Decimal::ZERO => {
                return self.resume(PauseReason::Balance).await;
            }
            Ok(Some(balance)) => format!("the balance is ${}", balance.0.normalize()),
            Err(error) => format!("the balance cannot be looked at: {error}"),
        };
        self.halt(Halt::Balance, None, &Reason::new("balance_empty", text))
            .await
    }

    /// Looks whether the service answers again, by a question that costs nothing: for when there is no
    /// recording to try it with.
    pub(super) async fn look_at_service(&self) -> Result<(), PipelineError> {
        let Some(service) = self.service.clone() else {
            return Ok(());
        };
        self.limiter.turn().await;
        match service.answers().await {
            Ok(()) => self.resume(PauseReason::Offline).await,
            Err(error) => {
                let reason = Reason::new("offline", error.to_string());
                self.halt(Halt::Offline, None, &reason).await
            }
        }
    }

    /// Looks whether the refused key was replaced by another.
    pub(super) async fn look_at_key(&self) -> Result<(), PipelineError> {
        let Some(service) = self.service.clone() else {
            return Ok(());
        };
        if blocking(move || service.takes_new_key()).await? {
            self.resume(PauseReason::Key).await?;
        }
        Ok(())
    }
}
