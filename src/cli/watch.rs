//! `stenod watch`: the daemon.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::report::Teller;
use super::signals::{Signals, Worked, under_signals};
use super::{Failure, Session, WatchArguments, exit};
use crate::daemon;
use crate::pipeline::Reporter;
use crate::session::{self, Extras};

pub(super) async fn execute(
    session: &mut Session,
    arguments: WatchArguments,
) -> Result<u8, Failure> {
    let paths = arguments.paths;
    arguments.transcribe.override_in(&mut session.overrides);
    let config = session.config()?;
    let provider = session::provider(&config)?;
    let places = session::places(&config, &paths, provider)?;
    let teller: Arc<dyn Reporter> =
        Arc::new(Teller::new(session.output, config.large.direct_limit));
    let stop = CancellationToken::new();
    let signals = Signals::listen()?;
    let extras = Extras::default();
    let pipeline = session::open(
        &config,
        &extras,
        session.clock.clone(),
        teller,
        stop.clone(),
    )
    .await?;
    let recogniser = places
        .places
        .first()
        .map(|place| place.settings.model.clone());
    tracing::info!(
        provider = provider.name(),
        model = recogniser.unwrap_or_default(),
        folders = places.places.len(),
        "watching"
    );
    let asked = || tracing::info!("stopping: what is handed over is finished, the rest is kept");
    match under_signals(signals, &stop, asked, daemon::watch(pipeline, places)).await {
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
