//! Writing the outputs of done jobs again: from stored replies, without network and free of charge.
//!
//! Many at once: a batch of recordings shares its syncs. What a person edited is never replaced, and a
//! recording that is not done is not touched. Only for who holds the table alone: where a pipeline is at
//! work, jobs go back to their replies and are published by it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::PipelineError;
use super::document::{document, style, to_write};
use crate::clock::SharedClock;
use crate::domain::format::Format;
use crate::domain::job::{ContentHash, Job, Publication, Stage};
use crate::domain::naming;
use crate::domain::render::{self, Document};
use crate::durable::Batch;
use crate::notes::Notes;
use crate::outputs::{self, WriteError, Written};
use crate::queue::{Named, Output, Queue, QueueError, Reader, Rendered, StoredReply};
use crate::supervise::blocking;

/// The most recordings in one batch.
const LARGEST_BATCH: usize = 256;
/// About how many bytes of replies are held at once; a larger one is held alone.
const MOST_REPLY_BYTES: usize = 32 * 1024 * 1024;

/// A done job that is to be written again.
#[derive(Debug, Clone)]
pub struct ToRender {
    /// The job.
    pub job: Job,
    /// What is to be published of it by now.
    pub publication: Publication,
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
    pub left: Vec<Left>,
    /// Files that could not be written.
    pub failed: Vec<Left>,
}

/// Something that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
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
    ours: HashMap<PathBuf, ContentHash>,
}

/// Writes the outputs of done jobs again.
///
/// # Errors
/// [`PipelineError`] where the table fails.
pub async fn render_again(
    queue: &Arc<Queue>,
    notes: &Arc<Notes>,
    clock: &SharedClock,
    jobs: Vec<ToRender>,
    options: &RenderOptions,
) -> Result<RenderReport, PipelineError> {
    let mut report = RenderReport {
        recordings: jobs.len(),
        ..RenderReport::default()
    };
    let mut rest = jobs;
    let mut batch = next_batch(queue, &mut rest, options, &mut report).await?;
    while !batch.is_empty() {
        let (notes, options_here, now) = (notes.clone(), options.clone(), clock.now());
        let writing = blocking(move || write_batch(batch, &notes, &options_here, now));
        let mut left = RenderReport::default();
        let (written, next) =
            tokio::join!(writing, next_batch(queue, &mut rest, options, &mut left));
        let (found, rendered) = written?;
        queue.remember_rendered(rendered).await?;
        report.add(found);
        report.add(left);
        batch = next?;
    }
    Ok(report)
}

/// Takes the next jobs from the front of `rest` and reads what belongs to them.
async fn next_batch(
    queue: &Arc<Queue>,
    rest: &mut Vec<ToRender>,
    options: &RenderOptions,
    report: &mut RenderReport,
) -> Result<Vec<Sheet>, PipelineError> {
    while !rest.is_empty() {
        let wanted: Vec<ToRender> = rest.iter().take(LARGEST_BATCH).cloned().collect();
        let output_dir = options.output_dir.clone();
        let (taken, sheets, left) = queue
            .read(move |reader| sheets(reader, wanted, output_dir.as_deref()))
            .await?;
        rest.drain(..taken.min(rest.len()));
        report.left.extend(left);
        if !sheets.is_empty() {
            return Ok(sheets);
        }
    }
    Ok(Vec::new())
}

/// The sheets of the first jobs, how many jobs that was, and which of them are left.
fn sheets(
    reader: &Reader<'_>,
    wanted: Vec<ToRender>,
    output_dir: Option<&Path>,
) -> Result<(usize, Vec<Sheet>, Vec<Left>), QueueError> {
    let (mut taken, mut bytes) = (0, 0);
    let (mut sheets, mut left) = (Vec::new(), Vec::new());
    for ToRender { job, publication } in wanted {
        if bytes > MOST_REPLY_BYTES {
            break;
        }
        taken += 1;
        // What happened to it since it was chosen counts.
        let stage = reader.job(job.id)?.map(|job| job.stage);
        let Some(Stage::Done { reply }) = stage else {
            left.push(Left::recording(
                &job,
                "not_done",
                "it is not transcribed yet",
            ));
            continue;
        };
        if reader.is_superseded(job.id)? {
            let why = "its file is another recording by now, or was transcribed again since";
            left.push(Left::recording(&job, "superseded", why));
            continue;
        }
        let base = base_in(&job, output_dir);
        let stored = reader.reply(reply)?;
        bytes += stored.body.len();
        sheets.push(Sheet {
            names: reader.names(job.id)?,
            ours: reader.written_under(&base, &job.source)?,
            job,
            publication,
            base,
            stored,
        });
    }
    Ok((taken, sheets, left))
}

/// Where the outputs begin: where they were, or at the same place in the tree `output_dir`.
fn base_in(job: &Job, output_dir: Option<&Path>) -> PathBuf {
    match (output_dir, job.base.file_name()) {
        (Some(_), Some(name)) => naming::base_path(&job.source, &job.root, output_dir, name),
        (None, _) | (_, None) => job.base.clone(),
    }
}

impl Left {
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

/// A recording on its way to the disk.
struct Home {
    job: Job,
    base: PathBuf,
    ours: HashMap<PathBuf, ContentHash>,
    /// The files that lie there as they should be.
    outputs: Vec<Output>,
    mark: Option<ContentHash>,
    publication: Option<Publication>,
}

/// A file that a batch is to write, and the number of its recording.
struct Pending {
    home: usize,
    format: Format,
    suffix: String,
    bytes: Vec<u8>,
    written: Written,
}

/// The recordings of a batch on their way to the disk.
struct Writing<'a> {
    notes: &'a Notes,
    options: &'a RenderOptions,
    now: Timestamp,
    batch: Batch,
    homes: Vec<Home>,
    pending: Vec<Pending>,
    report: RenderReport,
}

fn write_batch(
    sheets: Vec<Sheet>,
    notes: &Notes,
    options: &RenderOptions,
    now: Timestamp,
) -> (RenderReport, Vec<Rendered>) {
    let mut writing = Writing {
        notes,
        options,
        now,
        batch: Batch::default(),
        homes: Vec::with_capacity(sheets.len()),
        pending: Vec::new(),
        report: RenderReport::default(),
    };
    for sheet in sheets {
        writing.take(sheet);
    }
    writing.finish();
    let rendered = writing.homes.into_iter().map(|home| Rendered {
        job: home.job.id,
        outputs: home.outputs,
        mark: home.mark,
        publication: home.publication,
    });
    (writing.report, rendered.collect())
}

impl Writing<'_> {
    /// Renders a recording and makes the drafts of its files.
    fn take(&mut self, sheet: Sheet) {
        let (job, publication) = (sheet.job, sheet.publication);
        let noted = style(self.notes, &job.source, sheet.names);
        if let Some(mistake) = noted.mistakes.first() {
            let why = format!("{mistake}; nothing is written until that is mended");
            self.report
                .failed
                .push(Left::recording(&job, "notes_wrong", why));
            return;
        }
        let as_published = Job {
            publication: publication.clone(),
            ..job.clone()
        };
        let document = match document(&as_published, sheet.stored, &noted.style) {
            Ok(document) => document,
            Err(error) => {
                let why = format!("its transcript cannot be read: {error}");
                self.report
                    .failed
                    .push(Left::recording(&job, "reply_damaged", why));
                return;
            }
        };
        let all = to_write(&publication.formats, &document.transcript);
        let is_at_home = self.options.output_dir.is_none();
        let is_whole = self.options.only.is_none() && is_at_home;
        let is_new = is_at_home && publication != job.publication;
        let mut home = Home {
            job,
            base: sheet.base,
            ours: sheet.ours,
            outputs: Vec::new(),
            mark: is_whole.then(|| noted.style.mark()),
            publication: is_new.then_some(publication),
        };
        for format in self.options.only.clone().unwrap_or(all) {
            self.draft(&mut home, format, &document);
        }
        self.homes.push(home);
    }

    fn draft(&mut self, home: &mut Home, format: Format, document: &Document) {
        let Some(bytes) = render::render(format, document) else {
            if let Some(lack) = render::lack(format, document) {
                self.report.left.push(Left {
                    format: Some(format),
                    ..Left::recording(&home.job, "lacks", lack.to_string())
                });
            }
            return;
        };
        let suffix = render::suffix(format, document);
        match self.draft_bytes(home, &suffix, &bytes) {
            Ok((written, true)) => {
                self.report.unchanged += 1;
                home.outputs.push(self.output(format, written));
            }
            Ok((written, false)) => self.pending.push(Pending {
                home: self.homes.len(),
                format,
                suffix,
                bytes,
                written,
            }),
            Err(error) => self.fail(home, format, error),
        }
    }

    /// Finds the place of a file and makes its draft, unless it lies there already.
    fn draft_bytes(
        &mut self,
        home: &Home,
        suffix: &str,
        bytes: &[u8],
    ) -> Result<(Written, bool), WriteError> {
        let ours = |path: &Path| home.ours.get(path).copied();
        let mut first = 1;
        loop {
            let placed = outputs::place(&home.base, suffix, bytes, &ours, first)?;
            let Some(existing) = placed.existing else {
                return Ok((placed.written, true));
            };
            if self.batch.holds(&placed.written.path) {
                first = placed.number + 1;
                continue;
            }
            return match self.batch.add(&placed.written.path, bytes, existing) {
                Ok(()) => Ok((placed.written, false)),
                Err(error) => Err(WriteError {
                    path: placed.written.path,
                    error,
                }),
            };
        }
    }

    /// Puts every draft in its place.
    fn finish(&mut self) {
        let results = std::mem::take(&mut self.batch).finish();
        let pending = std::mem::take(&mut self.pending);
        let mut homes = std::mem::take(&mut self.homes);
        for (one, (path, result)) in pending.into_iter().zip(results) {
            let Some(home) = homes.get_mut(one.home) else {
                continue;
            };
            let ours = |path: &Path| home.ours.get(path).copied();
            let written = match result {
                Ok(()) => Ok(one.written),
                // Somebody was quicker: the next name is tried.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    outputs::write(&home.base, &one.suffix, &one.bytes, &ours)
                }
                Err(error) => Err(WriteError { path, error }),
            };
            match written {
                Ok(written) => {
                    home.outputs.push(self.output(one.format, written.clone()));
                    self.report.written.push((one.format, written));
                }
                Err(error) => self.fail(home, one.format, error),
            }
        }
        self.homes = homes;
    }

    fn output(&self, format: Format, written: Written) -> Output {
        Output {
            path: written.path,
            format: format.name().to_owned(),
            hash: written.hash,
            note: written.note,
            written_at: self.now,
        }
    }

    fn fail(&mut self, home: &mut Home, format: Format, error: WriteError) {
        let is_full = error.is_disk_full();
        self.report.failed.push(Left {
            path: error.path.clone(),
            format: Some(format),
            code: if is_full {
                "disk_full"
            } else {
                "output_unwritable"
            },
            why: format!("{:#}", anyhow::Error::new(error)),
        });
        // Not all is as it should be: a later run looks again.
        home.mark = None;
    }
}
