//! A run by a configuration, as `stenod run` does it, but for the limit of requests a second: what the
//! machinery costs, and not how long it waits for its turn.

use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use stenod::batch;
use stenod::clock::SystemClock;
use stenod::config::{Config, Environment, Overrides};
use stenod::domain::job::StageName;
use stenod::pipeline::{IntakeOptions, Limiter, Pipeline, Silent};
use stenod::session::{self, Extras};
use tokio_util::sync::CancellationToken;

/// Requests a second, more than there can be.
const NO_LIMIT: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

pub(crate) async fn small(config: &Path) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let config = Config::load(&environment, Some(config), &Overrides::default())?;
    let provider = session::provider(&config)?;
    let places = session::places(&config, &[], provider)?;
    let (clock, reporter) = (Arc::new(SystemClock), Arc::new(Silent));
    let stop = CancellationToken::new();
    let opened = session::open(&config, &Extras::default(), clock, reporter, stop).await?;
    let pipeline = Arc::new(Pipeline {
        limiter: Arc::new(Limiter::new(NO_LIMIT)),
        ..(*opened).clone()
    });
    drop(opened);

    let began = super::now();
    let options = IntakeOptions {
        one_shot: true,
        ..IntakeOptions::default()
    };
    drop(batch::take_in(&pipeline, places.places, options).await?);
    let taken_in = began.elapsed().as_secs_f64();
    let ended = batch::work(pipeline.clone()).await?;
    let all = began.elapsed().as_secs_f64();
    let done = pipeline.queue.count(StageName::Done).await?;
    let line = json!({
        "done": done, "take_in_seconds": taken_in, "work_seconds": all - taken_in,
        "ended": format!("{ended:?}"),
    });
    writeln!(io::stdout(), "{line}").context("nobody reads")?;
    Ok(())
}
