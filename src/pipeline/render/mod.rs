//! Writing the outputs of done jobs again: from stored replies, without network and free of charge.
//!
//! Many at once: a batch of recordings shares its syncs and is divided among threads. What a person edited
//! is never replaced, and a recording that is not done is not touched. Where a pipeline is at work, a batch
//! and the pipeline's own publishing take turns, so that the table always knows what lies there.

mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{PipelineError, Table};
use crate::domain::format::Format;
use crate::domain::ground::Ground;
use crate::domain::job::{ContentHash, Job, JobId, Publication, Stage};
use crate::domain::naming;
use crate::notes::Notes;
use crate::outputs::Written;
use crate::queue::{Named, Output, QueueError, Reader, StoredReply};

/// The most recordings in one batch.
const LARGEST_BATCH: usize = 512;
/// About how many bytes of replies are held at once; a larger one is held alone.
const MOST_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// Who writes outputs: many who publish at a time, or one who writes done jobs again.
#[derive(Debug, Default)]
pub struct Pen(RwLock<()>);

impl Pen {
    /// Taken for as long as one job is published.
    pub(super) async fn publishing(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().await
    }

    /// Taken for as long as a batch is written again.
    async fn rendering(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().await
    }
}

/// A done job that is to be written again.
#[derive(Debug, Clone)]
pub struct ToRender {
    /// The job.
    pub job: JobId,
    /// What the configuration has published of it by now; formats that were written once stay.
    pub wanted: Publication,
}

/// How outputs are written again.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions {
    /// These formats alone, instead of all that are published.
    pub only: Option<Vec<Format>>,
    /// A tree that they are written into, instead of where they were.
    pub output_dir: Option<PathBuf>,
}

/// What became of outputs that were to be written again.
#[derive(Debug, Clone, Default)]
pub struct RenderReport {
    /// How many recordings were gone through.
    pub recordings: usize,
    /// The files that were written.
    pub written: Vec<(Format, Written)>,
    /// How many files were as they should be.
    pub unchanged: usize,
    /// Recordings or files that were left, and why.
    pub left: Vec<NotWritten>,
    /// Files that could not be written.
    pub failed: Vec<NotWritten>,
}

/// Something that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotWritten {
    /// The recording or the file.
    pub path: PathBuf,
    /// The format, where it is one file.
    pub format: Option<Format>,
    /// Stable, in snake_case.
    pub code: &'static str,
    /// One sentence.
    pub why: String,
}

/// A job with all that its outputs are made of.
struct Sheet {
    job: Job,
    publication: Publication,
    base: PathBuf,
    stored: StoredReply,
    names: Vec<Named>,
    ground: Option<Ground>,
    ours: HashMap<PathBuf, ContentHash>,
    /// Every file that was ever written of it.
    known: Vec<Output>,
}

/// The first jobs of those that are wanted.
#[derive(Default)]
struct Taken {
    count: usize,
    sheets: Vec<Sheet>,
    left: Vec<NotWritten>,
}

impl Table<'_> {
    /// Gives labels of a job's speakers names; an empty one takes the name away.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn name_speakers(self, job: JobId, names: Vec<Named>) -> Result<(), PipelineError> {
        Ok(self.queue.set_names(job, names).await?)
    }

    /// Writes the outputs of done jobs again.
    ///
    /// # Errors
    /// Any error of the table.
    pub async fn render(
        self,
        jobs: Vec<ToRender>,
        options: RenderOptions,
    ) -> Result<RenderReport, PipelineError> {
        let mut report = RenderReport {
            recordings: jobs.len(),
            ..RenderReport::default()
        };
        let notes = match self.at_work {
            Some(pipeline) => pipeline.notes.clone(),
            None => Arc::new(Notes::default()),
        };
        let options = Arc::new(options);
        let mut rest = jobs;
        while !rest.is_empty() {
            if self.is_stopping() {
                report.failed.extend(self.stopped(rest).await?);
                break;
            }
            let _turn = match self.at_work {
                Some(pipeline) => Some(pipeline.pen.rendering().await),
                None => None,
            };
            let taken = self.take(&rest, &options).await?;
            rest.drain(..taken.count.min(rest.len()));
            report.left.extend(taken.left);
            let (found, rendered) = write::all(taken.sheets, &notes, &options, self.now).await?;
            self.queue.remember_rendered(rendered).await?;
            report.add(found);
        }
        Ok(report)
    }

    fn is_stopping(&self) -> bool {
        self.at_work
            .is_some_and(|pipeline| pipeline.stop.is_cancelled())
    }

    async fn stopped(&self, rest: Vec<ToRender>) -> Result<Vec<NotWritten>, PipelineError> {
        let mut failed = Vec::with_capacity(rest.len());
        for one in rest {
            let job = self.queue.job(one.job).await?;
            let why = "stenod is being stopped: give the command again";
            failed.push(NotWritten::recording(&job, "stopped", why));
        }
        Ok(failed)
    }

    /// Reads what belongs to the first of `rest`.
    async fn take(
        &self,
        rest: &[ToRender],
        options: &RenderOptions,
    ) -> Result<Taken, PipelineError> {
        let wanted: Vec<ToRender> = rest.iter().take(LARGEST_BATCH).cloned().collect();
        let output_dir = options.output_dir.clone();
        let taken = self
            .queue
            .read(move |reader| take(reader, wanted, output_dir.as_deref()));
        Ok(taken.await?)
    }
}

/// What belongs to the first of the jobs, and which of them are left.
fn take(
    reader: &Reader<'_>,
    wanted: Vec<ToRender>,
    output_dir: Option<&Path>,
) -> Result<Taken, QueueError> {
    let mut taken = Taken::default();
    let mut bytes = 0;
    for one in wanted {
        if bytes > MOST_REPLY_BYTES {
            break;
        }
        taken.count += 1;
        // What happened to it since it was chosen counts; one that is gone has nothing to be written.
        let Some(job) = reader.job(one.job)? else {
            continue;
        };
        let reply = match job.stage {
            Stage::Done { reply } => reply,
            Stage::Received { .. } => {
                let why = "it is about to be written anyway";
                taken
                    .left
                    .push(NotWritten::recording(&job, "under_way", why));
                continue;
            }
            Stage::Queued { .. }
            | Stage::Waiting { .. }
            | Stage::Submitting
            | Stage::Committing
            | Stage::Split { .. }
            | Stage::Awaiting { .. }
            | Stage::InDoubt { .. }
            | Stage::Failed { .. }
            | Stage::Cancelled => {
                let why = "it is not transcribed yet";
                taken
                    .left
                    .push(NotWritten::recording(&job, "not_done", why));
                continue;
            }
        };
        if reader.is_superseded(job.id)? {
            let why = "its file is another recording by now, or was transcribed again since";
            taken
                .left
                .push(NotWritten::recording(&job, "superseded", why));
            continue;
        }
        let base = base_in(&job, output_dir);
        let stored = reader.reply(reply)?;
        bytes += stored.body.len();
        taken.sheets.push(Sheet {
            names: reader.names(job.id)?,
            ground: reader.lodged(job.id)?.ground,
            ours: reader.written_under(&base, &job.source)?,
            known: reader.every_output(job.id)?,
            publication: job.publication.brought_up_to(&one.wanted),
            job,
            base,
            stored,
        });
    }
    Ok(taken)
}

/// Where the outputs begin: where they were, or at the same place in the tree `output_dir`.
fn base_in(job: &Job, output_dir: Option<&Path>) -> PathBuf {
    match (output_dir, job.base.file_name()) {
        (Some(_), Some(name)) => naming::base_path(&job.source, &job.root, output_dir, name),
        (None, _) | (_, None) => job.base.clone(),
    }
}

impl NotWritten {
    fn recording(job: &Job, code: &'static str, why: impl Into<String>) -> Self {
        Self {
            path: job.source.clone(),
            format: None,
            code,
            why: why.into(),
        }
    }
}

impl RenderReport {
    fn add(&mut self, other: Self) {
        self.written.extend(other.written);
        self.unchanged += other.unchanged;
        self.left.extend(other.left);
        self.failed.extend(other.failed);
    }
}
