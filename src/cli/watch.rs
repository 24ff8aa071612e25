//! `stenod watch`: the daemon.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::shown;
use super::report::Teller;
use super::signals::{Signals, Stops, Worked, under_signals};
use super::{Failure, Session, WatchArguments, exit};
use crate::config::{self, Config, Environment};
use crate::daemon;
use crate::desk::{Crier, Origins};
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::price;
use crate::pipeline::{Event, Reporter};
use crate::queue::Output;
use crate::session::{self, Extras, Places};
use crate::speech::services;
use crate::systemd::{Manager, Variables};
use crate::web;

/// Tells the log.
#[derive(Default)]
struct Log {
    /// Jobs that were sent since they last ended: what is written again for nothing names no cost.
    sent: Mutex<HashSet<JobId>>,
}

pub(super) async fn execute(
    session: &mut Session,
    arguments: WatchArguments,
) -> Result<u8, Failure> {
    let hangup = signal(SignalKind::hangup())?;
    let paths = arguments.paths;
    arguments.transcribe.override_in(&mut session.overrides);
    let config = session.config_to_work_with()?;
    let provider = session::provider(&config)?;
    let places = session::places(&config, &paths, provider)?;
    let reporter: Arc<dyn Reporter> = if session.output.json() {
        Arc::new(Teller::new(session.output))
    } else {
        Arc::new(Log::default())
    };
    let crier = Arc::new(Crier::new(reporter));
    let stop = CancellationToken::new();
    let signals = Signals::listen()?;
    let extras = Extras::default();
    let pipeline = session::open(
        &config,
        &extras,
        session.clock.clone(),
        crier.clone(),
        stop.clone(),
    )
    .await?;
    let model = places
        .places
        .first()
        .map(|place| place.settings.model.clone());
    if provider.is_local() && config.service.provider == config::Provider::Auto {
        tracing::info!("{}", super::run::no_key_found());
    }
    let web = listen(&config).await?;
    tracing::info!(
        provider = provider.name(),
        model = model.unwrap_or_default(),
        folders = places.places.len(),
        "watching"
    );
    warn_of_models(&places);
    let asked = async |_| {
        tracing::info!("stopping: what is handed over is finished, the rest is kept");
    };
    let start = daemon::Start {
        pipeline,
        places,
        origins: Origins {
            environment: session.environment.clone(),
            file: session.config_file.clone(),
            overrides: session.overrides.clone(),
            paths,
        },
        crier,
        hangup,
        manager: manager(&session.environment),
        listen: config.listen,
        web,
    };
    match under_signals(signals, Stops::at_once(&stop), asked, daemon::watch(start)).await {
        Worked::Done(ended) => {
            ended?;
            Ok(exit::DONE)
        }
        Worked::Stopped(ended, code) => {
            ended?;
            tracing::info!("stopped");
            Ok(code)
        }
        Worked::Abandoned(code) => Ok(code),
    }
}

/// The web server for metrics and health, where the configuration wants one.
async fn listen(config: &Config) -> Result<Option<web::Server>, Failure> {
    let Some(address) = config.listen else {
        return Ok(None);
    };
    let bound = async {
        let server = web::Server::bind(address).await?;
        Ok::<_, std::io::Error>((server.address()?, server))
    };
    match bound.await {
        Ok((address, server)) => {
            tracing::info!("serving http://{address}/metrics and http://{address}/healthz");
            Ok(Some(server))
        }
        Err(error) => {
            let error =
                anyhow::Error::new(error).context(format!("listen = \"{address}\" is of no use"));
            Err(Failure::new(exit::CONFIGURATION, error)
                .hint("choose a free port of an address of this machine, or take `listen` out of the configuration"))
        }
    }
}

/// Says of models that look like slips of the pen what was probably meant.
fn warn_of_models(places: &Places) {
    let settings = places.places.iter().map(|place| &place.settings);
    let tables = settings.filter_map(|settings| {
        let service = services::of(settings.provider)?;
        Some((&settings.model, service.prices?))
    });
    for (model, table) in tables.collect::<BTreeMap<_, _>>() {
        if let Some(meant) = price::meant(model, table.models()) {
            tracing::warn!(
                model,
                "no list of prices names this model; did you mean {meant}?"
            );
        }
    }
}

/// The service manager that this process was started by, if one was.
fn manager(environment: &Environment) -> Manager {
    let found = Manager::find(Variables {
        notify_socket: environment.get("NOTIFY_SOCKET"),
        watchdog_usec: environment.get("WATCHDOG_USEC"),
        watchdog_pid: environment.get("WATCHDOG_PID"),
    });
    found.unwrap_or_else(|error| {
        tracing::warn!("the socket that NOTIFY_SOCKET names cannot be reached: {error}");
        Manager::default()
    })
}

impl Reporter for Log {
    fn report(&self, event: &Event) {
        match event {
            Event::Job { job, outputs } => log_job(job, outputs, self.was_sent(job)),
            Event::Progress { id, seconds } => {
                tracing::trace!(job_id = id.0, "{seconds:.0} s of audio done");
            }
            Event::Reading { path, read, size } => {
                tracing::trace!(source = shown(path), "{read} of {size} bytes read");
            }
            Event::Encoded { id, seconds } => {
                tracing::trace!(job_id = id.0, "{seconds:.0} s of audio encoded");
            }
            Event::Uploaded { id, sent, size } => {
                tracing::trace!(job_id = id.0, "{sent} of {size} bytes uploaded");
            }
            Event::Sent { id, bytes } => tracing::trace!(job_id = id.0, bytes, "sent"),
            Event::Skipped { path, reason } => {
                tracing::debug!(
                    source = shown(path),
                    code = reason.code,
                    "skipped: {}",
                    reason.text
                );
            }
            Event::Paused(pause) => {
                tracing::warn!(reason = pause.reason.as_str(), "paused: {}", pause.text);
            }
            Event::Resumed(reason) => tracing::info!(reason = reason.as_str(), "resumed"),
        }
    }
}

impl Log {
    /// Whether a job was sent, by this process, since it last ended.
    fn was_sent(&self, job: &Job) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match &job.stage {
            Stage::Submitting
            | Stage::Committing
            | Stage::Split { .. }
            | Stage::Awaiting { .. } => {
                sent.insert(job.id);
                true
            }
            Stage::Queued { .. } | Stage::Waiting { .. } | Stage::Received { .. } => {
                sent.contains(&job.id)
            }
            Stage::Done { .. }
            | Stage::Failed { .. }
            | Stage::InDoubt { .. }
            | Stage::Cancelled => sent.remove(&job.id),
        }
    }
}

fn log_job(job: &Job, outputs: &[Output], was_sent: bool) {
    let (id, source) = (job.id.0, shown(&job.source));
    let reason = job
        .stage
        .reason()
        .unwrap_or_else(|| crate::domain::job::Reason::new("", ""));
    let code = reason.code;
    match &job.stage {
        Stage::Queued { reason: None, .. } => tracing::info!(job_id = id, source, "queued"),
        Stage::Split { pieces } => tracing::debug!(job_id = id, source, pieces, "cut"),
        Stage::Submitting | Stage::Committing | Stage::Received { trouble: None, .. } => {
            tracing::debug!(job_id = id, source, "{}", job.stage.name().as_str());
        }
        Stage::Awaiting { overdue: None, .. } => {
            let run_id = job.run_id.clone().unwrap_or_default();
            tracing::info!(job_id = id, source, run_id, "accepted");
        }
        Stage::Done { .. } => {
            let cost = job
                .cost
                .as_ref()
                .filter(|_| was_sent)
                .map(ToString::to_string)
                .unwrap_or_default();
            let outputs: Vec<String> = outputs
                .iter()
                .filter_map(|o| o.path.file_name())
                .map(|n| shown(Path::new(n)))
                .collect();
            let outputs = outputs.join(" ");
            if cost.is_empty() {
                tracing::info!(job_id = id, source, outputs, "done");
            } else {
                tracing::info!(job_id = id, source, cost, outputs, "done");
            }
        }
        Stage::Queued {
            reason: Some(_), ..
        }
        | Stage::Waiting { .. }
        | Stage::Awaiting {
            overdue: Some(_), ..
        } => {
            tracing::info!(job_id = id, source, code, "waiting: {}", reason.text);
        }
        Stage::Received {
            trouble: Some(_), ..
        }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. } => {
            let state = job.stage.state();
            tracing::warn!(job_id = id, source, code, "{state}: {}", reason.text);
        }
        Stage::Cancelled => tracing::info!(job_id = id, source, "cancelled"),
    }
}
