//! One batch of recordings: rendered and drafted by several threads, then put in place together.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::{NotWritten, RenderOptions, RenderReport, Sheet};
use crate::domain::format::Format;
use crate::domain::job::{ContentHash, Job, Publication, SOURCE_AWAY};
use crate::domain::render::{self, Document};
use crate::durable::{Batch, Existing};
use crate::notes::Notes;
use crate::outputs::{self, WriteError, Written};
use crate::pipeline::away::{away_text, is_away};
use crate::pipeline::document::{document, style, to_write};
use crate::pipeline::elsewhere::{Stray, others, seen_from};
use crate::queue::{Output, Rendered};
use crate::supervise::{TaskPanicked, blocking};

/// The most threads that a batch is divided among.
const MOST_THREADS: usize = 8;

/// A recording on its way to the disk.
struct Home {
    job: Job,
    base: PathBuf,
    ours: HashMap<PathBuf, ContentHash>,
    /// Whether it is written elsewhere than its outputs belong.
    is_aside: bool,
    /// The files that lie there as they should be.
    outputs: Vec<Output>,
    /// The files that a person has deleted and that are not written again.
    gone: Vec<PathBuf>,
    /// Those whose drafts are made.
    pending: Vec<Pending>,
    mark: Option<ContentHash>,
    publication: Option<Publication>,
    report: RenderReport,
}

/// A file whose draft is made.
struct Pending {
    format: Format,
    /// What follows the base in its name; nothing for what lies elsewhere.
    suffix: Option<String>,
    bytes: Vec<u8>,
    written: Written,
}

/// Renders and writes a batch; gives what became of it, and what is to be remembered.
///
/// # Errors
/// [`TaskPanicked`] where a thread ended by a fault of its own.
pub(super) async fn all(
    sheets: Vec<Sheet>,
    notes: &Arc<Notes>,
    options: &Arc<RenderOptions>,
    now: Timestamp,
) -> Result<(RenderReport, Vec<Rendered>), TaskPanicked> {
    let batch = Arc::new(Batch::default());
    let drafting = divided(sheets).into_iter().map(|part| {
        let (notes, options, batch) = (notes.clone(), options.clone(), batch.clone());
        blocking(move || -> Vec<(usize, Home)> {
            let drafting = Drafting {
                notes: &notes,
                options: &options,
                batch: &batch,
                now,
            };
            let draft = |(place, sheet)| (place, drafting.home(sheet));
            part.into_iter().map(draft).collect()
        })
    });
    let mut homes: Vec<(usize, Home)> = try_join_all(drafting)
        .await?
        .into_iter()
        .flatten()
        .collect();
    homes.sort_by_key(|(place, _)| *place);
    blocking(move || {
        let mut results = batch.finish();
        let (mut report, mut rendered) = (RenderReport::default(), Vec::new());
        for (_, mut home) in homes {
            home.settle(&mut results, now);
            report.add(std::mem::take(&mut home.report));
            rendered.extend(home.remembered());
        }
        (report, rendered)
    })
    .await
}

/// The sheets in parts, each with its place; those of one name keep together, so that the older has it.
fn divided(sheets: Vec<Sheet>) -> Vec<Vec<(usize, Sheet)>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut parts: Vec<Vec<_>> = Vec::new();
    parts.resize_with(threads.min(MOST_THREADS), Vec::new);
    for numbered in sheets.into_iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        numbered.1.base.hash(&mut hasher);
        let part = hasher.finish() % (parts.len().max(1) as u64);
        if let Some(part) = usize::try_from(part)
            .ok()
            .and_then(|part| parts.get_mut(part))
        {
            part.push(numbered);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// What a thread needs to make drafts.
struct Drafting<'a> {
    notes: &'a Notes,
    options: &'a RenderOptions,
    batch: &'a Batch,
    now: Timestamp,
}

impl Drafting<'_> {
    /// Renders a recording and makes the drafts of its files.
    fn home(&self, sheet: Sheet) -> Home {
        let is_at_home = self.options.output_dir.is_none();
        let is_new = is_at_home && sheet.publication != sheet.job.publication;
        let (root, source) = (&sheet.job.root, &sheet.job.source);
        let is_away = sheet.base.starts_with(root) && is_away(root, source, sheet.ground.as_ref());
        let noted = style(self.notes, source, sheet.names);
        let mut home = Home {
            publication: is_new.then(|| sheet.publication.clone()),
            ours: sheet.ours,
            is_aside: sheet.base != sheet.job.base,
            base: sheet.base,
            outputs: Vec::new(),
            gone: Vec::new(),
            pending: Vec::new(),
            mark: None,
            report: RenderReport::default(),
            job: Job {
                publication: sheet.publication,
                ..sheet.job
            },
        };
        if is_away {
            let why = away_text(&home.job.root);
            return home.unreadable(SOURCE_AWAY, why);
        }
        if let Some(mistake) = noted.mistakes.first() {
            let why = format!("{mistake}; until that is mended its files stay as they are");
            return home.unreadable("notes_wrong", why);
        }
        let mut document = match document(&home.job, sheet.stored, &noted.style) {
            Ok(document) => document,
            Err(error) => {
                let why = format!("its transcript cannot be read: {error}");
                return home.unreadable("reply_damaged", why);
            }
        };
        document.source.path = seen_from(&home.base, &home.job.source);
        let is_whole = self.options.only.is_none() && is_at_home;
        home.mark = is_whole.then(|| noted.style.mark());
        let all = to_write(&home.job.publication.formats, &document.transcript);
        for format in self.options.only.clone().unwrap_or(all) {
            self.file(&mut home, format, &document);
        }
        if is_whole {
            self.others(&mut home, sheet.known, document);
        }
        home
    }

    /// Makes the drafts of files that do not belong to the recording today.
    fn others(&self, home: &mut Home, known: Vec<Output>, document: Document) {
        let ready = home.outputs.iter().map(|output| &output.path);
        let pending = home.pending.iter().map(|pending| &pending.written.path);
        let at_home: Vec<PathBuf> = ready.chain(pending).cloned().collect();
        let others = others(known, &at_home, &home.job, document);
        home.outputs.extend(others.edited);
        home.gone = others.gone;
        for stray in others.strays {
            let Stray {
                format,
                bytes,
                written,
                is_same,
            } = stray;
            if is_same {
                home.report.unchanged += 1;
                home.outputs.push(output(format, written, true, self.now));
                continue;
            }
            match self.batch.add(&written.path, &bytes, Existing::Replace) {
                Ok(()) => home.pending.push(Pending {
                    format,
                    suffix: None,
                    bytes,
                    written,
                }),
                Err(error) => home.leave(format, written.path, &error),
            }
        }
    }

    fn file(&self, home: &mut Home, format: Format, document: &Document) {
        let Some(bytes) = render::render(format, document) else {
            if let Some(lack) = render::lack(format, document) {
                home.report.left.push(NotWritten {
                    format: Some(format),
                    ..NotWritten::recording(&home.job, "lacks", lack.to_string())
                });
            }
            return;
        };
        let suffix = render::suffix(format, document);
        match self.draft(home, &suffix, &bytes) {
            Ok((written, true)) => {
                home.report.unchanged += 1;
                let aside = home.is_aside;
                home.outputs.push(output(format, written, aside, self.now));
            }
            Ok((written, false)) => home.pending.push(Pending {
                format,
                suffix: Some(suffix),
                bytes,
                written,
            }),
            Err(error) => home.fail(format, error),
        }
    }

    /// Finds the place of a file and makes its draft, unless it lies there already.
    fn draft(
        &self,
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
            match self.batch.add(&placed.written.path, bytes, existing) {
                Ok(()) => return Ok((placed.written, false)),
                // Another recording of the batch has that name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    first = placed.number + 1;
                }
                Err(error) => {
                    let path = placed.written.path;
                    return Err(WriteError { path, error });
                }
            }
        }
    }
}

impl Home {
    /// Nothing of it can be written.
    fn unreadable(mut self, code: &'static str, why: String) -> Self {
        self.publication = None;
        let failed = NotWritten::recording(&self.job, code, why);
        self.report.failed.push(failed);
        self
    }

    /// Takes note of the drafts that were put in place, and writes those again that somebody was quicker
    /// than.
    fn settle(&mut self, results: &mut HashMap<PathBuf, io::Result<()>>, now: Timestamp) {
        for one in std::mem::take(&mut self.pending) {
            let ours = |path: &Path| self.ours.get(path).copied();
            let result = results.remove(&one.written.path);
            let Some(suffix) = &one.suffix else {
                match result {
                    Some(Ok(())) => self.has(one.format, one.written, true, now),
                    Some(Err(error)) => self.leave(one.format, one.written.path, &error),
                    None => {}
                }
                continue;
            };
            let written = match result {
                Some(Ok(())) => Ok(one.written),
                Some(Err(error)) if error.kind() != io::ErrorKind::AlreadyExists => {
                    let path = one.written.path;
                    Err(WriteError { path, error })
                }
                Some(Err(_)) | None => outputs::write(&self.base, suffix, &one.bytes, &ours),
            };
            match written {
                Ok(written) => self.has(one.format, written, self.is_aside, now),
                Err(error) => self.fail(one.format, error),
            }
        }
    }

    fn has(&mut self, format: Format, written: Written, aside: bool, now: Timestamp) {
        self.outputs
            .push(output(format, written.clone(), aside, now));
        self.report.written.push((format, written));
    }

    /// A file elsewhere could not be brought up to date, which spoils nothing at home.
    fn leave(&mut self, format: Format, path: PathBuf, error: &io::Error) {
        self.report.left.push(NotWritten {
            path,
            format: Some(format),
            code: "output_unwritable",
            why: error.to_string(),
        });
    }

    fn fail(&mut self, format: Format, error: WriteError) {
        let is_full = error.is_disk_full();
        self.report.failed.push(NotWritten {
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
        self.mark = None;
    }

    /// What the table is to know of it; nothing where nothing could be made of it.
    fn remembered(self) -> Option<Rendered> {
        let is_nothing =
            self.outputs.is_empty() && self.mark.is_none() && self.publication.is_none();
        (!is_nothing).then_some(Rendered {
            job: self.job.id,
            outputs: self.outputs,
            gone: self.gone,
            mark: self.mark,
            publication: self.publication,
        })
    }
}

fn output(format: Format, written: Written, aside: bool, now: Timestamp) -> Output {
    Output {
        path: written.path,
        format: format.name().to_owned(),
        hash: written.hash,
        note: written.note,
        written_at: now,
        aside,
    }
}
