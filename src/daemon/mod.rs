//! The daemon: the watcher's hints, the intake and the driver, until stopped.
//!
//! Beside them the desk takes orders, and the vigil tells the service manager how things are. Each of them
//! ending unasked ends the program. A reload gives the intake new folders and the driver a new pipeline;
//! what is in flight goes on.

mod health;
mod pages;
mod vigil;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::Refusal;
use crate::desk::{self, Crier, Desk, Origins, Reload, refusal_of_open};
use crate::discover::{Tuning, Watcher};
use crate::domain::job::State;
use crate::domain::plain::shown;
use crate::pipeline::{
    Intake, IntakeOptions, Mode, Pipeline, PipelineError, drive_latest, tell_others,
};
use crate::queue::FolderRow;
use crate::session::{self, Extras, Places};
use crate::systemd::Manager;
use crate::web;
use pages::Pages;

/// Reloads that wait for their turn.
const RELOADS_AHEAD: usize = 4;

/// Everything that a daemon begins with.
pub struct Start {
    /// The pipeline, whose reporter is the crier.
    pub pipeline: Arc<Pipeline>,
    /// What is watched.
    pub places: Places,
    /// Where the settings come from.
    pub origins: Origins,
    /// Who tells what happens.
    pub crier: Arc<Crier>,
    /// The signal that asks for a reload.
    pub hangup: Signal,
    /// The service manager.
    pub manager: Manager,
    /// Where the configuration wants the web server.
    pub listen: Option<SocketAddr>,
    /// The web server, if one is wanted.
    pub web: Option<web::Server>,
}

/// Watches until the pipeline is stopped.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn watch(start: Start) -> Result<(), PipelineError> {
    let stop = start.pipeline.stop.clone();
    for note in forget_others(&start.pipeline, &start.places).await? {
        tracing::warn!("{note}");
    }
    let first = start.pipeline.clone();
    let (sender, latest) = watch::channel(start.pipeline);
    let (reloads, asked) = mpsc::channel(RELOADS_AHEAD);
    let desk = Arc::new(Desk::of_daemon(
        latest.clone(),
        desk::Daemon {
            origins: start.origins.clone(),
            reloads,
            crier: start.crier,
            plans: desk::Plans::default(),
        },
    ));
    let watching = Watching {
        latest: sender,
        origins: start.origins,
        asked,
        hangup: start.hangup,
        manager: &start.manager,
        listen: start.listen,
    };
    // Without one of them the others are of no use.
    let ending = async |part: BoxFuture<'_, Result<(), PipelineError>>| {
        let ended = part.await;
        stop.cancel();
        ended
    };
    let driving = async {
        drive_latest(latest.clone(), Mode::Watch).await?;
        Ok(())
    };
    let serving = desk::serve(desk, &first, stop.clone());
    let keeping = vigil::keep(&start.manager, &latest);
    let showing = show(start.web, latest.clone(), stop.clone());
    let telling = tell_others(latest.clone(), stop.clone());
    let (taken_in, driven, served, kept, shown, told) = tokio::join!(
        ending(Box::pin(watching.take_in(start.places))),
        ending(Box::pin(driving)),
        ending(Box::pin(serving)),
        ending(Box::pin(keeping)),
        ending(Box::pin(showing)),
        ending(Box::pin(telling)),
    );
    let looked_after = served.and(kept).and(shown).and(told);
    taken_in.and(driven).and(looked_after)
}

/// Serves the pages until `stop`.
async fn show(
    server: Option<web::Server>,
    latest: watch::Receiver<Arc<Pipeline>>,
    stop: CancellationToken,
) -> Result<(), PipelineError> {
    match server {
        Some(server) => Ok(server.serve(Arc::new(Pages::new(latest)), stop).await?),
        None => {
            stop.cancelled().await;
            Ok(())
        }
    }
}

/// Taking in, through reloads.
struct Watching<'a> {
    latest: watch::Sender<Arc<Pipeline>>,
    origins: Origins,
    asked: mpsc::Receiver<Reload>,
    hangup: Signal,
    manager: &'a Manager,
    /// What the web server was started with.
    listen: Option<SocketAddr>,
}

impl Watching<'_> {
    async fn take_in(mut self, places: Places) -> Result<(), PipelineError> {
        let mut intake = begin(&self.latest, places);
        loop {
            let reply = tokio::select! {
                ended = &mut intake => return ended,
                Some(reply) = self.asked.recv() => Some(reply),
                Some(()) = self.hangup.recv() => None,
            };
            self.manager.reloading();
            let reloaded = tokio::select! {
                // What is taken in goes on while disks are asked that may hang.
                ended = &mut intake => return ended,
                reloaded = self.reload() => reloaded,
            };
            let reloaded = match reloaded {
                Ok((places, notes)) => {
                    // The old watches first, so that there is room for the new ones: what happens
                    // between the two is found by the scan that watching begins with.
                    drop(intake);
                    intake = begin(&self.latest, places);
                    Ok(notes)
                }
                Err(refusal) => Err(refusal),
            };
            say(&reloaded);
            self.manager.ready();
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                drop(reply.send(reloaded));
            }
        }
    }

    /// Puts the configuration of today into force, or says what is wrong with it.
    async fn reload(&self) -> Result<(Places, Vec<String>), Refusal> {
        let (config, places) = self.origins.again().await?;
        let own = self.latest.borrow().clone();
        let renewed = session::renew(&own, &config, &Extras::default())
            .await
            .map_err(refusal_of_open)?;
        let notes = config.warnings.iter().map(ToString::to_string);
        let mut notes: Vec<String> = notes.collect();
        notes.extend(self.left_as_it_is(&config, own.queue.state_dir()));
        let left = forget_others(&renewed, &places)
            .await
            .map_err(|error| refusal_of_open(error.into()))?;
        notes.extend(left);
        // Before anything else is sent.
        let in_force: Vec<_> = places.places.iter().cloned().map(Arc::new).collect();
        renewed.rules.put_into_force(&in_force);
        let bell = renewed.bell.clone();
        self.latest.send_replace(renewed);
        bell.notify_one();
        Ok((places, notes))
    }

    /// What a reload cannot change and the configuration of today wants otherwise, in one sentence.
    fn left_as_it_is(&self, config: &Config, state_dir: &Path) -> Option<String> {
        let mut kept = Vec::new();
        if config.state_dir != state_dir {
            kept.push(format!("state_dir stays {}", state_dir.display()));
        }
        if config.listen != self.listen {
            let listen = self.listen.map(|address| address.to_string());
            let listen = listen.unwrap_or_else(|| "off".to_owned());
            kept.push(format!("listen stays {listen}"));
        }
        let kept = kept.join(" and ");
        (!kept.is_empty()).then(|| format!("{kept} until stenod is started again"))
    }
}

fn begin(
    latest: &watch::Sender<Arc<Pipeline>>,
    places: Places,
) -> BoxFuture<'static, Result<(), PipelineError>> {
    let pipeline = latest.borrow().clone();
    let tuning = Tuning {
        rescan_every: places.rescan_every,
        ..Tuning::default()
    };
    let (watcher, hints) = Watcher::start(&places.roots, tuning);
    let intake = Intake::new(pipeline, places.places, IntakeOptions::default());
    Box::pin(intake.watch(watcher, hints))
}

/// Says of folders that are not watched any more that they are not; and what becomes of what is queued in them.
async fn forget_others(pipeline: &Pipeline, places: &Places) -> Result<Vec<String>, PipelineError> {
    let mut notes = Vec::new();
    let watched: Vec<PathBuf> = places
        .places
        .iter()
        .map(|place| place.root.path().to_owned())
        .collect();
    let folders = pipeline.queue.read(|reader| reader.folders()).await?;
    let others = folders
        .into_iter()
        .filter(|folder| folder.mode.is_some() && !watched.contains(&folder.path));
    for folder in others {
        if places.roots.owner(&folder.path).is_none() {
            let path = folder.path.clone();
            let counts = pipeline
                .queue
                .read(move |reader| reader.folder_counts(&[path]));
            let queued = counts.await?.get(State::Queued.as_str()).copied();
            notes.extend(queued.map(|count| left_in_queue(count, &folder.path)));
        }
        let row = FolderRow {
            mode: None,
            mode_reason: None,
            trouble: None,
            inside: None,
            ..folder
        };
        pipeline.queue.remember_folder(row, pipeline.now()).await?;
    }
    Ok(notes)
}

/// What becomes of what is queued in a folder that is not watched any more.
fn left_in_queue(count: u64, folder: &Path) -> String {
    let (are, them) = match count {
        1 => ("recording is", "it"),
        _ => ("recordings are", "them"),
    };
    format!(
        "{count} {are} still queued from {}, which is not watched any more, and will be transcribed: `stenod list --state queued` names {them}, `stenod cancel` stops {them}",
        shown(folder)
    )
}

fn say(reloaded: &Result<Vec<String>, Refusal>) {
    match reloaded {
        Ok(notes) => {
            tracing::info!("the configuration was read again and is in force");
            for note in notes {
                tracing::warn!("{note}");
            }
        }
        Err(refusal) => {
            tracing::error!(
                "the configuration was read again and is wrong, the settings stay as they are: {refusal}"
            );
        }
    }
}
