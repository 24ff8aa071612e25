//! The vigil: tells the service manager when all is ready, how things are, and that they move.
//!
//! A ping says that the table answers, the loop turns and the scanner moves. A scanner that waits for a
//! folder is no fault of stenod: that is reported, and the ping goes out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::health::{Health, look_at};
use crate::clock::{Calendar, rfc3339};
use crate::domain::job::State;
use crate::domain::money::Amount;
use crate::pipeline::{Pipeline, PipelineError};
use crate::queue::Pause;
use crate::systemd::Manager;

/// How long a start waits for the first look at every folder; a large archive goes on afterwards.
const FIRST_LOOK_PATIENCE: Duration = Duration::from_secs(60);
/// How often the line on the state of things is written.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether everything moves, where no watchdog says how often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pings in the time that the watchdog allows.
const PINGS: u32 = 3;

/// Tells `manager` how things are, until the pipeline is stopped.
pub(super) async fn keep(
    manager: &Manager,
    latest: &watch::Receiver<Arc<Pipeline>>,
) -> Result<(), PipelineError> {
    let first = latest.borrow().clone();
    tokio::select! {
        () = first.pulse.looked() => {}
        () = sleep(FIRST_LOOK_PATIENCE) => {
            tracing::info!("the first look at the folders takes long; it goes on beside everything else");
        }
        () = first.stop.cancelled() => {}
    }
    if !first.stop.is_cancelled() {
        manager.ready();
    }
    tokio::select! {
        ended = watch_over(manager, latest) => ended?,
        () = first.stop.cancelled() => {}
    }
    manager.stopping();
    Ok(())
}

async fn watch_over(
    manager: &Manager,
    latest: &watch::Receiver<Arc<Pipeline>>,
) -> Result<(), PipelineError> {
    let every = manager.watchdog().map_or(LOOK_EVERY, |time| time / PINGS);
    let mut status = interval(STATUS_EVERY);
    let mut look = interval(every);
    let (mut said, mut before) = (String::new(), Health::Well);
    loop {
        tokio::select! {
            _ = status.tick() => {
                let pipeline = latest.borrow().clone();
                let line = line(&pipeline).await?;
                if line != said {
                    manager.status(&line);
                    said = line;
                }
            }
            _ = look.tick() => {
                let pipeline = latest.borrow().clone();
                let health = look_at(&pipeline, every).await;
                match &health {
                    Health::Well | Health::Waits(_) => manager.ping(),
                    Health::Ill(_) => {}
                }
                if health != before {
                    report(&health);
                    before = health;
                }
            }
        }
    }
}

fn report(health: &Health) {
    match health {
        Health::Well => tracing::info!("everything moves again"),
        Health::Waits(folder) => tracing::warn!(
            folder = %folder.display(),
            "this folder does not answer: a disk or a network drive hangs"
        ),
        Health::Ill(who) => tracing::error!("{who} does not answer"),
    }
}

/// The queue, the pause and today's spend in one line.
async fn line(pipeline: &Pipeline) -> Result<String, PipelineError> {
    let today = Calendar::around(pipeline.now());
    let read = pipeline
        .queue
        .read(move |reader| Ok((reader.counts()?, reader.spend(today)?)));
    let (counts, spend) = read.await?;
    let mut parts: Vec<String> = State::ALL
        .into_iter()
        .filter_map(|state| {
            let count = counts.get(&state).copied().filter(|count| *count > 0)?;
            Some(format!("{count} {}", state.as_str().replace('_', " ")))
        })
        .collect();
    if parts.is_empty() {
        parts.push("no recordings yet".to_owned());
    }
    let spent = spend.into_iter().filter(|spend| !spend.today.is_zero());
    parts.extend(spent.map(|spend| {
        let amount = Amount {
            value: spend.today,
            currency: spend.currency,
        };
        format!("{amount} today")
    }));
    let mut line = parts.join(", ");
    if let Some(pause) = pipeline.pauses.all().first() {
        line.push_str(&format!("; {}", paused(pause)));
    }
    Ok(line)
}

fn paused(pause: &Pause) -> String {
    match pause.until {
        Some(until) => format!(
            "paused ({}) until {}",
            pause.reason.as_str(),
            rfc3339(until)
        ),
        None => format!("paused ({})", pause.reason.as_str()),
    }
}
