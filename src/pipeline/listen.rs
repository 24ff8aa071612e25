//! Listening to a recording whose transcript has come from a service, so that text which stands in a silence and damage
//! that nobody can have understood are flagged, now and whenever it is rendered.
//!
//! It only serves warnings: a recording that has gone, changed or cannot be decoded is not listened to.

use std::sync::Arc;
use std::time::Duration;

use super::{Pipeline, PipelineError};
use crate::domain::job::{Job, ReplyId};
use crate::domain::route::Chosen;
use crate::domain::silence::{Listened, Listening};
use crate::media::decode::{DecodeError, Samples};
use crate::media::probe::ProbeError;
use crate::queue::{ReplyKind, StoredReply};
use crate::source;
use crate::supervise;

/// The shortest recording that is listened to, unless it had to be decoded anyway: a shorter one has no silence that is
/// worth a word.
const SHORTEST: Duration = Duration::from_secs(10);
/// Samples that are decoded at once.
const BLOCK: usize = 16_000;

impl Pipeline {
    /// The reply with what is found in the recording, which is found out once and kept with it.
    pub(super) async fn listened(
        self: &Arc<Self>,
        job: &Job,
        reply: ReplyId,
        stored: StoredReply,
    ) -> Result<StoredReply, PipelineError> {
        let is_known = stored.listened.is_some() || stored.kind == ReplyKind::Adopted;
        let length = job
            .duration
            .map(|length| Duration::from_micros(length.micros()));
        let was_decoded = job.route.as_ref().is_some_and(Chosen::decodes);
        let is_long = was_decoded || length.is_some_and(|length| length >= SHORTEST);
        // The built-in recogniser has listened while it recognised.
        if is_known || !is_long || !job.settings.provider.is_paid() {
            return Ok(stored);
        }
        let core = tokio::select! {
            core = self.spool.cores.clone().acquire_owned() => core,
            () = self.let_go.cancelled() => return Ok(stored),
        };
        let (pipeline, recording) = (self.clone(), job.clone());
        let listened = supervise::blocking(move || {
            let listened = listen(&pipeline, &recording);
            drop(core);
            listened
        });
        let Some(listened) = listened.await? else {
            return Ok(stored);
        };
        self.kept(|| self.queue.keep_listened(reply, listened.clone()))
            .await?;
        Ok(StoredReply {
            listened: Some(listened),
            ..stored
        })
    }
}

fn listen(pipeline: &Pipeline, job: &Job) -> Option<Listened> {
    let heard = || -> Result<Option<Listened>, DecodeError> {
        let file = source::open(&job.source).map_err(ProbeError::from)?;
        if file.metadata().map_err(ProbeError::from)?.len() != job.size {
            return Ok(None);
        }
        let mut samples = Samples::from_file(&file)?;
        let mut listening = Listening::default();
        let mut block = vec![0.0; BLOCK];
        while !pipeline.let_go.is_cancelled() {
            match samples.read(&mut block)? {
                0 => {
                    return Ok(Some(Listened {
                        silences: listening.silences(),
                        damage: Some(samples.report().damage()),
                    }));
                }
                count => listening.hear(block.get(..count).unwrap_or_default()),
            }
        }
        Ok(None)
    };
    heard().unwrap_or_else(|error| {
        tracing::debug!(
            job_id = job.id.0,
            "it cannot be listened to: {:#}",
            anyhow::Error::new(error)
        );
        None
    })
}
