//! The daemon: the watcher's hints, the intake and the driver, until stopped.
//!
//! Each of the three ending unasked ends the program.

use std::sync::Arc;

use crate::discover::{Tuning, Watcher};
use crate::pipeline::{Ended, Intake, IntakeOptions, Mode, Pipeline, PipelineError, drive};
use crate::session::Places;

/// Watches `places` until the pipeline is stopped.
///
/// # Errors
/// [`PipelineError`] where the table fails or a task ends by a fault of its own.
pub async fn watch(pipeline: Arc<Pipeline>, places: Places) -> Result<(), PipelineError> {
    let (watcher, hints) = Watcher::start(&places.roots, Tuning::default());
    let intake = Intake::new(pipeline.clone(), places.places, IntakeOptions::default());
    let stop = pipeline.stop.clone();
    let taking_in = async {
        let ended = intake.watch(watcher, hints).await;
        // Without one of the two the other is of no use.
        stop.cancel();
        ended
    };
    let driving = async {
        let ended = drive(pipeline, Mode::Watch).await;
        stop.cancel();
        ended
    };
    let (taken_in, driven) = tokio::join!(taking_in, driving);
    taken_in?;
    match driven? {
        Ended::Finished | Ended::Paused(_) | Ended::Stopped => Ok(()),
    }
}
