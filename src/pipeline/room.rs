//! A full disk: what must be recorded waits for room, and nothing is sent meanwhile.
//!
//! The pause is kept in memory, because it may well be that it cannot be written; where it can be, the
//! table has it too, for `status`. A submit whose record finds no room is withheld, see the gate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Pipeline, PipelineError};
use crate::domain::timing::after;
use crate::queue::{Pause, PauseReason, QueueError};

/// How long a full disk is left alone before it is tried again.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How often a record is tried while stenod is being stopped, before it is given up: a minute, since a reply
/// that is lost may have to be paid for again.
const LAST_TRIES: u32 = 30;
/// The wait between two of these.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Whose disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// That of the job table.
    State,
    /// That of the outputs.
    Outputs,
}

/// The disks without room.
#[derive(Debug, Default)]
pub(super) struct Full {
    state: Mutex<Option<Pause>>,
    outputs: Mutex<Option<Pause>>,
}

impl Full {
    fn of(&self, disk: Disk) -> &Mutex<Option<Pause>> {
        match disk {
            Disk::State => &self.state,
            Disk::Outputs => &self.outputs,
        }
    }

    fn get(&self, disk: Disk) -> Option<Pause> {
        let pause = self.of(disk).lock();
        pause.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, disk: Disk, pause: Option<Pause>) {
        let mut held = self.of(disk).lock().unwrap_or_else(PoisonError::into_inner);
        *held = pause;
    }

    /// The pause of the disk that is full for longest, if any is.
    pub(super) fn pause(&self) -> Option<Pause> {
        let pauses = [Disk::State, Disk::Outputs].map(|disk| self.get(disk));
        pauses.into_iter().flatten().max_by_key(|pause| pause.until)
    }
}

impl Pipeline {
    /// Records what must not be forgotten: while the disk is full it waits for room.
    ///
    /// # Errors
    /// Any error of the table; also that there is no room, once stenod is being stopped.
    pub(super) async fn kept<T, F>(&self, mut record: impl FnMut() -> F) -> Result<T, PipelineError>
    where
        F: Future<Output = Result<T, QueueError>>,
    {
        let mut last_tries = LAST_TRIES;
        loop {
            match record().await {
                Err(error) if error.is_disk_full() => {
                    if self.stop.is_cancelled() && last_tries == 0 {
                        return Err(error.into());
                    }
                    self.no_room_for_state(&error).await?;
                    last_tries = self.wait_for_room(last_tries).await;
                }
                recorded => {
                    self.room_again(Disk::State).await?;
                    return Ok(recorded?);
                }
            }
        }
    }

    /// Waits a while; gives how often it may be tried yet once stenod is being stopped.
    async fn wait_for_room(&self, last_tries: u32) -> u32 {
        if self.stop.is_cancelled() {
            tokio::time::sleep(LAST_WAIT).await;
            return last_tries.saturating_sub(1);
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(ROOM_WAIT) => {}
        }
        last_tries
    }

    /// Takes an error of the table for a pause where it says that the disk is full.
    ///
    /// # Errors
    /// Every other error, as it is.
    pub(super) async fn unless_full(&self, error: PipelineError) -> Result<(), PipelineError> {
        if let PipelineError::Queue(error) = &error
            && error.is_disk_full()
        {
            return self.no_room_for_state(error).await;
        }
        Err(error)
    }

    /// The result, without an error that says that the disk is full: that is a pause.
    ///
    /// # Errors
    /// Every other error, as it is.
    pub(super) async fn or_full(
        &self,
        result: Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.unless_full(error).await,
        }
    }

    async fn no_room_for_state(&self, error: &QueueError) -> Result<(), PipelineError> {
        let text = format!(
            "there is no room in {}: {error}",
            self.queue.state_dir().display()
        );
        let until = after(self.now(), ROOM_WAIT);
        self.no_room(Disk::State, until, text).await
    }

    /// Nothing is sent until there is room, or until `until`, when it is tried.
    pub(super) async fn no_room(
        &self,
        disk: Disk,
        until: Timestamp,
        text: String,
    ) -> Result<(), PipelineError> {
        let now = self.now();
        let known = self.pauses.full.get(disk);
        let pause = Pause {
            reason: PauseReason::Disk,
            since: known.as_ref().map_or(now, |pause| pause.since),
            until: Some(until),
            text: text.clone(),
            tries: known
                .as_ref()
                .map_or(1, |pause| pause.tries.saturating_add(1)),
        };
        self.pauses.full.set(disk, Some(pause.clone()));
        if known.is_none() {
            tracing::error!("{text}");
            self.meter.paused(pause.reason.as_str());
            self.reporter.report(&Event::Paused(pause));
        }
        let written = self.queue.pause(PauseReason::Disk, Some(until), text, now);
        match written.await {
            Err(error) if !error.is_disk_full() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Something was written on this disk.
    pub(super) async fn room_again(&self, disk: Disk) -> Result<(), PipelineError> {
        let Some(pause) = self.pauses.full.get(disk) else {
            return Ok(());
        };
        self.pauses.full.set(disk, None);
        if self.pauses.full.pause().is_some() {
            return Ok(());
        }
        match self.queue.resume(PauseReason::Disk, self.now()).await {
            Ok(_) => {
                self.reporter.report(&Event::Resumed(PauseReason::Disk));
                Ok(())
            }
            Err(error) if error.is_disk_full() => {
                self.pauses.full.set(disk, Some(pause));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
