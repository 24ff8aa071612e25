//! A run: look once at everything, work until nothing moves any more, then say how it ended.
//!
//! The same pipeline as the daemon's, without watching; orders are taken meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::desk::{self, Desk};
use crate::pipeline::{
    Ended, Intake, IntakeOptions, Mode, Pipeline, PipelineError, Place, drive, tell_others,
};

/// Takes in what lies in `places`, waiting for what is about to be complete.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn take_in(
    pipeline: &Arc<Pipeline>,
    places: Vec<Place>,
    options: IntakeOptions,
) -> Result<Intake, PipelineError> {
    let looked = Arc::new(AtomicBool::new(false));
    Intake::new(pipeline.clone(), places, options)
        .run_once(looked)
        .await
}

/// Works on what was taken in until nothing moves any more.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn work(pipeline: Arc<Pipeline>) -> Result<Ended, PipelineError> {
    drive(
        pipeline,
        Mode::Run {
            looked: Arc::new(AtomicBool::new(true)),
        },
    )
    .await
}

/// Does `work` while orders are taken for the state that `pipeline` holds and others are told what happens; then
/// tells of the rest.
pub async fn attended<T>(pipeline: &Arc<Pipeline>, work: impl Future<Output = T>) -> T {
    let done = CancellationToken::new();
    let desk = Arc::new(Desk::of_run(pipeline.clone()));
    let working = async {
        let worked = work.await;
        done.cancel();
        worked
    };
    let latest = watch::channel(pipeline.clone()).1;
    let (worked, served, told) = tokio::join!(
        working,
        desk::serve(desk, pipeline, done.clone()),
        tell_others(latest, done.clone()),
    );
    let told = match told {
        Ok(()) => pipeline.tell_the_rest().await,
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        tracing::error!("others were not told to the end: {error}");
    }
    if let Err(error) = served {
        tracing::error!("orders were not taken to the end: {error}");
    }
    worked
}
