//! From files to jobs: scan, wait until complete, examine, queue.
//!
//! The scan is the truth, hints only say where to look again. A file that is known and as it was is not
//! read again. Nothing here costs money, so everything may be repeated after a crash.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Event, Pipeline, PipelineError, Place};
use crate::discover::{
    Found, Hint, Hints, Mode, Presence, RootMode, RootState, ScanReport, Scope, SkipReason,
    Watcher, sample, scan,
};
use crate::domain::job::{Candidate, ContentHash, Job, JobId, Publication, Reason, Stage};
use crate::domain::route::first_stage;
use crate::domain::settle::{Fingerprint, SettleBook, Settling, Unsettled, one_shot};
use crate::domain::timing::{after, age};
use crate::media::probe::{ProbeError, probe_file};
use crate::queue::{Enqueued, FolderRow, Known};
use crate::source;
use crate::supervise::{TaskPanicked, blocking};

/// Files that are probed and hashed at once.
const EXAMINERS: usize = 2;
/// Found files that wait to be considered.
const FOUND_AHEAD: usize = 256;
/// Files that are looked at again in one go.
const LOOKS_AT_ONCE: usize = 1024;
/// How long a run waits for files that are still being written.
const RUN_PATIENCE_GROWING: Duration = Duration::from_secs(60);

/// How recordings are taken in.
#[derive(Debug, Clone, Default)]
pub struct IntakeOptions {
    /// Whether this is a run: short settle times, and no waiting for what may never be complete.
    pub one_shot: bool,
    /// Whether what is done is transcribed, and paid for, again.
    pub force: bool,
    /// The most recordings that are queued.
    pub limit: Option<usize>,
}

/// Takes recordings in.
pub struct Intake {
    pipeline: Arc<Pipeline>,
    places: Vec<Arc<Place>>,
    options: IntakeOptions,
    book: SettleBook,
    queued: usize,
    shown_modes: Vec<RootMode>,
    /// Roots that could not be scanned, and why.
    pub troubles: HashMap<PathBuf, Reason>,
}

/// What an examination found, for a file that did not change meanwhile.
#[derive(Debug)]
pub enum Examined {
    /// A recording.
    Recording(Known),
    /// No recording, or one that cannot be used.
    Skipped {
        /// Why.
        reason: Reason,
        /// Whether the file as it is will never be one, so that it need not be read again.
        lasting: bool,
    },
    /// It changed while it was read: look again later.
    Changed,
}

type Examining = BoxFuture<
    'static,
    (
        Arc<Place>,
        PathBuf,
        Fingerprint,
        Result<Examined, TaskPanicked>,
    ),
>;

impl Intake {
    /// Takes in what lies in `places`.
    pub fn new(pipeline: Arc<Pipeline>, places: Vec<Place>, options: IntakeOptions) -> Self {
        Self {
            pipeline,
            places: places.into_iter().map(Arc::new).collect(),
            options,
            book: SettleBook::default(),
            queued: 0,
            shown_modes: Vec::new(),
            troubles: HashMap::new(),
        }
    }

    /// Looks once at everything, waits for what is about to be complete, and sets `looked`.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn run_once(mut self, looked: Arc<AtomicBool>) -> Result<Self, PipelineError> {
        for place in self.places.clone() {
            self.scan(&place, Scope::Root).await?;
        }
        let deadline = after(self.pipeline.now(), RUN_PATIENCE_GROWING);
        while self.drop_hopeless(deadline) && !self.pipeline.stop.is_cancelled() {
            self.wait_for_next_look().await;
            self.look_again().await?;
        }
        looked.store(true, Ordering::SeqCst);
        self.pipeline.bell.notify_one();
        Ok(self)
    }

    /// Follows the hints of a watcher until the pipeline is stopped.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn watch(mut self, watcher: Watcher, mut hints: Hints) -> Result<(), PipelineError> {
        let stop = self.pipeline.stop.clone();
        while !stop.is_cancelled() {
            let pipeline = self.pipeline.clone();
            let next_look = self.until_next_look();
            tokio::select! {
                hint = hints.next() => match hint {
                    Some(hint) => self.follow(&hint).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(next_look) => self.look_again().await?,
                () = pipeline.stop.cancelled() => {}
            }
            self.show_modes(&watcher).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, hint: &Hint) -> Result<(), PipelineError> {
        let place = self
            .places
            .iter()
            .find(|place| Arc::ptr_eq(&place.root, &hint.root))
            .cloned();
        match place {
            Some(place) => self.scan(&place, hint.scope.clone()).await,
            None => Ok(()),
        }
    }

    /// Keeps in the table how each folder is watched, for `status`.
    async fn show_modes(&mut self, watcher: &Watcher) -> Result<(), PipelineError> {
        let modes = watcher.modes();
        if modes == self.shown_modes {
            return Ok(());
        }
        for mode in &modes {
            let how = mode_name(mode.mode);
            tracing::info!(folder = %mode.path.display(), "watched by {how}: {}", mode.reason);
            let trouble = match &mode.presence {
                Presence::Present => None,
                Presence::Missing => Some("it is not there".to_owned()),
                Presence::Unreadable => Some("it cannot be read".to_owned()),
            };
            let row = FolderRow {
                path: mode.path.clone(),
                mode: Some(mode_name(mode.mode).to_owned()),
                mode_reason: Some(mode.reason.to_string()),
                trouble,
                scanned_at: None,
            };
            let queue = &self.pipeline.queue;
            let now = self.pipeline.now();
            self.pipeline
                .kept(|| queue.remember_folder(row.clone(), now))
                .await?;
        }
        self.shown_modes = modes;
        Ok(())
    }

    async fn scan(&mut self, place: &Arc<Place>, scope: Scope) -> Result<(), PipelineError> {
        let leave = place.leave_existing && self.is_new_folder(place).await?;
        let whole = scope == Scope::Root;
        let (sender, mut found) = mpsc::channel(FOUND_AHEAD);
        let root = place.root.clone();
        let scanning = blocking(move || {
            scan(
                &root,
                &scope,
                &mut |found| match sender.blocking_send(found) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                },
            )
        });
        tokio::pin!(scanning);
        let mut report = None;
        let mut examining: FuturesOrdered<Examining> = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some((place, path, fingerprint, examined)) = examining.next() => {
                    self.take_in(&place, path, fingerprint, examined?).await?;
                }
                next = found.recv(), if examining.len() < EXAMINERS => match next {
                    _ if self.pipeline.stop.is_cancelled() => break,
                    Some(next) => if let Some(task) = self.consider(place, next, leave).await? {
                        examining.push_back(task);
                    },
                    None if examining.is_empty() && report.is_some() => break,
                    None => if report.is_none() { report = Some((&mut scanning).await?); },
                },
                done = &mut scanning, if report.is_none() => report = Some(done?),
            }
        }
        match report {
            Some(report) => self.note_scan(place, whole, report).await,
            None => Ok(()),
        }
    }

    async fn is_new_folder(&self, place: &Place) -> Result<bool, PipelineError> {
        let folders = self.pipeline.queue.read(|reader| reader.folders()).await?;
        let known = folders
            .iter()
            .find(|folder| folder.path == place.root.path());
        Ok(known.is_none_or(|folder| folder.scanned_at.is_none()))
    }

    async fn note_scan(
        &mut self,
        place: &Place,
        whole: bool,
        report: ScanReport,
    ) -> Result<(), PipelineError> {
        let path = place.root.path().to_owned();
        let trouble = match report.root {
            RootState::Present | RootState::SameAs(_) => None,
            RootState::Missing => Some(Reason::new("missing", "it is not there")),
            RootState::Unreadable(error) => Some(Reason::new(
                io_code(&error),
                format!("it cannot be read: {error}"),
            )),
        };
        if let Some(reason) = trouble {
            tracing::warn!(folder = %path.display(), "{}", reason.text);
            self.troubles.insert(path, reason);
            return Ok(());
        }
        self.troubles.remove(&path);
        if whole && !report.stopped && path.is_dir() {
            let known = self.shown_modes.iter().find(|mode| mode.path == path);
            let row = FolderRow {
                path,
                mode: known.map(|mode| mode_name(mode.mode).to_owned()),
                mode_reason: known.map(|mode| mode.reason.to_string()),
                trouble: None,
                scanned_at: Some(self.pipeline.now()),
            };
            let queue = &self.pipeline.queue;
            let now = self.pipeline.now();
            self.pipeline
                .kept(|| queue.remember_folder(row.clone(), now))
                .await?;
        }
        Ok(())
    }

    /// Decides what is to be done with something that a scan found; gives the examination, if one is due.
    async fn consider(
        &mut self,
        place: &Arc<Place>,
        found: Found,
        leave: bool,
    ) -> Result<Option<Examining>, PipelineError> {
        let (path, fingerprint) = match found {
            Found::Recording { path, fingerprint } => (path, fingerprint),
            Found::Skipped { path, reason } => {
                if let Some(reason) = consider_skip(&reason) {
                    self.skipped(path, reason);
                }
                return Ok(None);
            }
        };
        match self.pipeline.queue.known(path.clone(), fingerprint).await? {
            Some(Known::Skipped(reason)) if !self.asks_again(&reason) => {
                self.skipped(path, reason);
                Ok(None)
            }
            Some(known @ Known::Recording { .. }) => {
                self.enqueue(place, path, &fingerprint, &known).await?;
                Ok(None)
            }
            None if leave => {
                let reason = Reason::new("existing", "it was there before the first start");
                self.remember(place, &path, fingerprint, Known::Skipped(reason))
                    .await?;
                Ok(None)
            }
            Some(Known::Skipped(_)) | None => Ok(self.settle(place, path, fingerprint)),
        }
    }

    /// Whether a person who names a place wants what was passed over for being there already.
    fn asks_again(&self, reason: &Reason) -> bool {
        self.options.force
            || (self.options.one_shot && reason.code == "existing" && self.pipeline.pace.scoped)
    }

    fn settle(
        &mut self,
        place: &Arc<Place>,
        path: PathBuf,
        fingerprint: Fingerprint,
    ) -> Option<Examining> {
        let settle = if self.options.one_shot {
            one_shot(place.settle)
        } else {
            place.settle
        };
        match self
            .book
            .observe(&path, settle, fingerprint, self.pipeline.now())
        {
            Settling::Wait { reason, .. } => {
                tracing::debug!(source = %path.display(), "waiting: {reason}");
                None
            }
            Settling::Complete => {
                let place = place.clone();
                Some(Box::pin(async move {
                    let examined = examine_soon(path.clone(), fingerprint).await;
                    (place, path, fingerprint, examined)
                }))
            }
        }
    }

    async fn take_in(
        &mut self,
        place: &Arc<Place>,
        path: PathBuf,
        fingerprint: Fingerprint,
        examined: Examined,
    ) -> Result<(), PipelineError> {
        match examined {
            Examined::Recording(known) => {
                self.remember(place, &path, fingerprint, known.clone())
                    .await?;
                self.enqueue(place, path, &fingerprint, &known).await
            }
            Examined::Skipped { reason, lasting } => {
                if lasting {
                    let known = Known::Skipped(reason.clone());
                    self.remember(place, &path, fingerprint, known).await?;
                }
                self.skipped(path, reason);
                Ok(())
            }
            Examined::Changed => {
                self.book
                    .observe(&path, place.settle, fingerprint, self.pipeline.now());
                Ok(())
            }
        }
    }

    async fn remember(
        &self,
        place: &Place,
        path: &Path,
        fingerprint: Fingerprint,
        known: Known,
    ) -> Result<(), PipelineError> {
        let root = place.root.path().to_owned();
        let now = self.pipeline.now();
        let queue = &self.pipeline.queue;
        let remember = || {
            queue.remember(
                path.to_owned(),
                root.clone(),
                fingerprint,
                known.clone(),
                now,
            )
        };
        self.pipeline.kept(remember).await
    }

    async fn enqueue(
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
        let settings = place.settings.clone();
        let twins = self.pipeline.queue.twins(*hash, settings).await?;
        let is_new = !twins.iter().any(|twin| twin.source == source);
        let gone = if is_new {
            gone_twin(twins).await?
        } else {
            None
        };
        let candidate = Candidate {
            source,
            root: place.root.path().to_owned(),
            hash: *hash,
            size: fingerprint.size,
            duration: *duration,
            format: *format,
            settings: place.settings.clone(),
            publication: place.publication.clone(),
            output_dir: place.output_dir.clone(),
            stage: first_stage(
                place.settings.provider,
                *format,
                fingerprint.size,
                self.pipeline.pace.direct_limit,
            ),
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
        let mut publication = job.publication.clone();
        let new = wanted
            .formats
            .iter()
            .filter(|format| !job.publication.formats.contains(format));
        publication.formats.extend(new.copied());
        if publication != job.publication {
            return Ok(Some(publication));
        }
        if !self.options.one_shot {
            return Ok(None);
        }
        let outputs = self.pipeline.queue.outputs(job.id).await?;
        // None at all: a later job of the same file has taken them over.
        let missing = blocking(move || {
            outputs.is_empty() || outputs.iter().any(|output| is_gone(&output.path))
        });
        Ok(missing.await?.then_some(publication))
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
        if self.pipeline.pace.scoped {
            self.pipeline.queue.enter_scope(id).await?;
        }
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
        if self.pipeline.pace.scoped {
            self.pipeline.queue.enter_scope(id).await?;
        }
        self.pipeline.tell(id).await
    }

    fn skipped(&self, path: PathBuf, reason: Reason) {
        self.pipeline
            .reporter
            .report(&Event::Skipped { path, reason });
    }

    async fn look_again(&mut self) -> Result<(), PipelineError> {
        for path in self.book.due(self.pipeline.now(), LOOKS_AT_ONCE) {
            let looked = path.clone();
            let Ok(Some(fingerprint)) = blocking(move || sample(&looked)).await? else {
                self.book.forget(&path);
                continue;
            };
            let Some(place) = self.place_of(&path) else {
                self.book.forget(&path);
                continue;
            };
            if let Some(task) = self.settle(&place, path, fingerprint) {
                let (place, path, fingerprint, examined) = task.await;
                self.take_in(&place, path, fingerprint, examined?).await?;
            }
        }
        if self.book.rescan_wanted() {
            for place in self.places.clone() {
                self.scan(&place, Scope::Root).await?;
            }
        }
        Ok(())
    }

    /// The innermost place that a path lies in.
    fn place_of(&self, path: &Path) -> Option<Arc<Place>> {
        let holding = self
            .places
            .iter()
            .filter(|place| path.starts_with(place.root.path()));
        holding
            .max_by_key(|place| place.root.path().as_os_str().len())
            .cloned()
    }

    /// Passes over what a run does not wait for; says whether anything is left to wait for.
    fn drop_hopeless(&mut self, deadline: Timestamp) -> bool {
        let late = self.pipeline.now() > deadline;
        let hopeless: Vec<(PathBuf, Unsettled)> = self
            .book
            .waiting()
            .filter(|(_, reason, _)| match reason {
                Unsettled::Empty | Unsettled::TemporaryName { .. } | Unsettled::CutShort { .. } => {
                    true
                }
                Unsettled::Growing | Unsettled::TooYoung => late,
            })
            .map(|(path, reason, _)| (path.to_owned(), reason))
            .collect();
        for (path, reason) in hopeless {
            self.book.forget(&path);
            self.skipped(path, unsettled_reason(&reason));
        }
        !self.book.is_empty()
    }

    async fn wait_for_next_look(&self) {
        let wait = self.until_next_look();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.pipeline.stop.cancelled() => {}
        }
    }

    fn until_next_look(&self) -> Duration {
        let now = self.pipeline.now();
        let next = self
            .book
            .next_look()
            .unwrap_or_else(|| after(now, super::SLOW_TICK));
        age(now, next)
    }
}

/// Probes and hashes a file that counts as complete; blocks for as long as reading it takes.
pub fn examine(path: &Path, fingerprint: &Fingerprint) -> Examined {
    let examined = source::open(path)
        .map_err(ProbeError::from)
        .and_then(|file| {
            let probe = probe_file(&file)?;
            let mut hasher = blake3::Hasher::new();
            let mut reader = &file;
            io::Seek::rewind(&mut reader).map_err(ProbeError::Unreadable)?;
            hasher
                .update_reader(reader)
                .map_err(ProbeError::Unreadable)?;
            Ok((probe, ContentHash(*hasher.finalize().as_bytes())))
        });
    match sample(path) {
        Ok(Some(now)) if now == *fingerprint => {}
        Ok(_) => return Examined::Changed,
        Err(error) => return skipped_by(&ProbeError::Unreadable(error)),
    }
    match examined {
        Ok((probe, hash)) => Examined::Recording(Known::Recording {
            hash,
            duration: probe.duration,
            format: probe.format,
        }),
        Err(error) => skipped_by(&error),
    }
}

/// What a person should hear of something that the scan passed over; rules that they wrote are obeyed
/// without a word.
pub fn consider_skip(reason: &SkipReason) -> Option<Reason> {
    let code = match reason {
        SkipReason::Excluded { .. } | SkipReason::NotIncluded => return None,
        SkipReason::Unreadable(error) => io_code(error),
        SkipReason::NotRegular { .. } => "not_a_file",
        SkipReason::BrokenLink => "broken_link",
        SkipReason::FolderLink => "folder_link",
        SkipReason::Loop => "loop",
    };
    Some(Reason::new(code, reason.to_string()))
}

async fn examine_soon(path: PathBuf, fingerprint: Fingerprint) -> Result<Examined, TaskPanicked> {
    blocking(move || examine(&path, &fingerprint)).await
}

fn skipped_by(error: &ProbeError) -> Examined {
    // A file that cannot be read today may be readable tomorrow without having changed.
    let lasting = !matches!(error, ProbeError::Unreadable(_));
    Examined::Skipped {
        reason: Reason::new(error.code(), error.to_string()),
        lasting,
    }
}

fn unsettled_reason(reason: &Unsettled) -> Reason {
    let code = match reason {
        Unsettled::Growing => "growing",
        Unsettled::Empty => "empty",
        Unsettled::TooYoung => "too_young",
        Unsettled::TemporaryName { .. } => "temporary_name",
        Unsettled::CutShort { .. } => "cut_short",
    };
    Reason::new(code, reason.to_string())
}

/// Whether a job may follow its recording to a new name.
fn may_follow(stage: &Stage) -> bool {
    match stage {
        Stage::Queued { .. }
        | Stage::Waiting { .. }
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

fn io_code(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::PermissionDenied {
        "permission_denied"
    } else if kind == io::ErrorKind::NotFound {
        "vanished"
    } else {
        "unreadable"
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Events => "events",
        Mode::Poll => "poll",
    }
}
