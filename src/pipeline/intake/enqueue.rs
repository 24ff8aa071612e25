//! From an examined file to its job: new, known, moved, or done already.

use std::io;
use std::path::{Path, PathBuf};

use super::Intake;
use crate::domain::job::{Candidate, Job, JobId, Publication, Stage};
use crate::domain::naming;
use crate::domain::route::{Shape, first_stage};
use crate::domain::settle::Fingerprint;
use crate::domain::style::Style;
use crate::pipeline::document::style;
use crate::pipeline::{PipelineError, Place};
use crate::queue::{Enqueued, Known};
use crate::supervise::{TaskPanicked, blocking};

impl Intake {
    pub(super) async fn enqueue(
        &mut self,
        place: &Place,
        source: PathBuf,
        fingerprint: &Fingerprint,
        known: &Known,
    ) -> Result<(), PipelineError> {
        let Known::Recording {
            hash,
            duration,
            format,
        } = known
        else {
            return Ok(());
        };
        let settings = place.settings_of(&source);
        let twins = self.pipeline.queue.twins(*hash, settings.clone()).await?;
        let is_new = !twins.iter().any(|twin| twin.source == source);
        let gone = if is_new {
            gone_twin(twins).await?
        } else {
            None
        };
        let shape = Shape {
            provider: place.settings.provider,
            format: *format,
            size: fingerprint.size,
            duration: *duration,
        };
        let (stage, route) = first_stage(&shape, &self.pipeline.pace.routes);
        let candidate = Candidate {
            source,
            root: place.root.path().to_owned(),
            hash: *hash,
            size: fingerprint.size,
            duration: *duration,
            format: *format,
            settings,
            publication: place.publication.clone(),
            output_dir: place.output_dir.clone(),
            route,
            stage,
        };
        if is_new
            && gone.is_none()
            && !self.options.force
            && let Some(id) = self.pipeline.adopt(place, &candidate).await?
        {
            return self.take_up_done(id).await;
        }
        if self.is_over_limit(&candidate).await? {
            return Ok(());
        }
        let (force, now) = (self.options.force, self.pipeline.now());
        let queue = &self.pipeline.queue;
        let enqueued = self
            .pipeline
            .kept(|| queue.enqueue(candidate.clone(), gone, force, now))
            .await?;
        if let Enqueued::Known(job) = &enqueued
            && let Some(publication) = self.to_publish_again(job, &place.publication).await?
        {
            self.pipeline
                .queue
                .publish_again(*job.clone(), publication, now)
                .await?;
            return self.take_up(Enqueued::Moved(job.id)).await;
        }
        self.take_up(enqueued).await
    }

    /// What is to be written again for a done job: formats that are asked for by now, and in a run what a
    /// person has deleted.
    async fn to_publish_again(
        &self,
        job: &Job,
        wanted: &Publication,
    ) -> Result<Option<Publication>, PipelineError> {
        if !matches!(job.stage, Stage::Done { .. }) {
            return Ok(None);
        }
        let publication = job.publication.brought_up_to(wanted);
        if publication != job.publication || self.has_other_style(job).await? {
            return Ok(Some(publication));
        }
        if !self.options.one_shot {
            return Ok(None);
        }
        let mut outputs = self.pipeline.queue.outputs(job.id).await?;
        // What lies under an earlier name, or was written elsewhere once, is not written again.
        outputs.retain(|output| naming::is_output_of(&job.base, &output.path));
        // None at all: a later job of the same file has taken them over.
        let missing = blocking(move || {
            outputs.is_empty() || outputs.iter().any(|output| is_gone(&output.path))
        });
        Ok(missing.await?.then_some(publication))
    }

    /// Whether names or words were noted since the outputs of a job were written; a file with a mistake
    /// says nothing of either.
    async fn has_other_style(&self, job: &Job) -> Result<bool, PipelineError> {
        let id = job.id;
        let (names, mark) = self
            .pipeline
            .queue
            .read(move |reader| Ok((reader.names(id)?, reader.style(id)?)))
            .await?;
        let (notes, source) = (self.pipeline.notes.clone(), job.source.clone());
        let noted = blocking(move || style(&notes, &source, names)).await?;
        let mark = mark.unwrap_or_else(|| Style::default().mark());
        Ok(noted.mistakes.is_empty() && noted.style.mark() != mark)
    }

    /// Whether a new recording would be one too many for `--limit`.
    async fn is_over_limit(&self, candidate: &Candidate) -> Result<bool, PipelineError> {
        let Some(limit) = self.options.limit else {
            return Ok(false);
        };
        if self.queued < limit {
            return Ok(false);
        }
        let (hash, settings) = (candidate.hash, candidate.settings.clone());
        let twins = self.pipeline.queue.twins(hash, settings).await?;
        let is_done =
            |job: &Job| job.source == candidate.source && matches!(job.stage, Stage::Done { .. });
        Ok(self.options.force || !twins.iter().any(is_done))
    }

    async fn take_up(&mut self, enqueued: Enqueued) -> Result<(), PipelineError> {
        let (id, is_new) = match &enqueued {
            Enqueued::Known(job) => (job.id, matches!(job.stage, Stage::Queued { .. })),
            Enqueued::New(id) => (*id, true),
            Enqueued::Moved(id) => (*id, false),
        };
        self.come_across(id).await?;
        if is_new {
            self.queued += 1;
        }
        match enqueued {
            Enqueued::Known(_) => {}
            Enqueued::New(id) | Enqueued::Moved(id) => {
                self.pipeline.tell(id).await?;
                self.pipeline.bell.notify_one();
            }
        }
        Ok(())
    }

    /// A recording whose transcript lay there already is done without having been queued.
    async fn take_up_done(&self, id: JobId) -> Result<(), PipelineError> {
        self.come_across(id).await?;
        self.pipeline.tell(id).await
    }
}

/// Whether a job may follow its recording to a new name.
fn may_follow(stage: &Stage) -> bool {
    match stage {
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::InDoubt { .. }
        | Stage::Done { .. } => true,
        Stage::Submitting
        | Stage::Committing
        | Stage::Received { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled => false,
    }
}

/// The job among those of the same recording whose file has gone while its folder is still there: a
/// rename.
async fn gone_twin(twins: Vec<Job>) -> Result<Option<JobId>, TaskPanicked> {
    let candidates = twins.into_iter().filter(|twin| may_follow(&twin.stage));
    let places: Vec<(JobId, PathBuf, PathBuf)> = candidates
        .map(|twin| (twin.id, twin.source, twin.root))
        .collect();
    if places.is_empty() {
        return Ok(None);
    }
    let gone = blocking(move || {
        places
            .into_iter()
            .find(|(_, source, root)| root.exists() && is_gone(source))
    })
    .await?;
    Ok(gone.map(|(id, ..)| id))
}

fn is_gone(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}
