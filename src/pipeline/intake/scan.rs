//! One scan of a folder, in portions, so that what arrives elsewhere meanwhile need not wait for its end.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Intake;
use super::portion::Portion;
use super::reasons::io_code;
use crate::discover::{Content, Found, Root, RootState, ScanReport, Scope, content, scan};
use crate::disk::SILENT;
use crate::domain::job::Reason;
use crate::pipeline::{PipelineError, Place};
use crate::supervise::{TaskPanicked, blocking};

/// Found files that wait to be considered.
const FOUND_AHEAD: usize = 256;
/// After so long without a sign of a disk it is asked whether it answers at all (10 s).
const SIGNS_EVERY: Duration = Duration::from_secs(10);
/// The code of that.
pub(super) const NO_ANSWER: &str = "no_answer";

/// Why nothing is known of what lies on a disk that hangs.
pub(in crate::pipeline) fn no_answer() -> Reason {
    Reason::new(NO_ANSWER, SILENT)
}

/// Comes back when the disk does not answer on which the file at `path` lies.
pub(super) async fn silence(root: Arc<Root>, path: PathBuf) -> Result<(), TaskPanicked> {
    loop {
        tokio::time::sleep(SIGNS_EVERY).await;
        let (root, path) = (root.clone(), path.clone());
        if !blocking(move || root.answers_at(&path)).await? {
            return Ok(());
        }
    }
}

/// Comes back when the disk of `root` does not answer, or one that is mounted in it.
async fn silence_in(root: Arc<Root>) -> Result<Silence, TaskPanicked> {
    loop {
        tokio::time::sleep(SIGNS_EVERY).await;
        if !answers(&root).await? {
            return Ok(Silence::Root);
        }
        let asked = root.clone();
        if let Some(folder) = blocking(move || asked.silent_inside()).await? {
            return Ok(Silence::Inside(folder));
        }
    }
}

/// Which disk does not answer.
enum Silence {
    Root,
    Inside(PathBuf),
}

/// How a scan ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// With all that is known of what there is.
    Through,
    /// A disk that is mounted there fell silent in the middle of it.
    Hanging,
}

/// Whether the disk of `root` answers.
pub(super) async fn answers(root: &Arc<Root>) -> Result<bool, TaskPanicked> {
    let root = root.clone();
    blocking(move || root.answers()).await
}

/// What lay in the root when it was scanned, and the sums.
type Seen = Result<(Option<Content>, ScanReport), TaskPanicked>;

/// Scans in a thread of its own: what is found, and what comes of it at the end.
fn look_through(
    root: Arc<Root>,
    scope: Scope,
) -> (mpsc::Receiver<Found>, impl Future<Output = Seen>) {
    let (sender, found) = mpsc::channel(FOUND_AHEAD);
    let scanning = blocking(move || {
        // What is mounted there may change while it is scanned.
        let there = content(&root).ok();
        let mut tell = |found| match sender.blocking_send(found) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let report = scan(&root, &scope, &mut tell);
        (there, report)
    });
    (found, scanning)
}

impl Intake {
    pub(super) async fn scan(
        &mut self,
        place: &Arc<Place>,
        scope: Scope,
    ) -> Result<(), PipelineError> {
        self.scan_after_quiet(place, scope, Duration::ZERO).await
    }

    /// Scans what nothing was told of for `quiet`.
    pub(super) async fn scan_after_quiet(
        &mut self,
        place: &Arc<Place>,
        scope: Scope,
        quiet: Duration,
    ) -> Result<(), PipelineError> {
        let inbox = self.inbox.clone();
        if let Some(inbox) = &inbox {
            inbox.begin(scope.clone());
        }
        let scanned = self.scan_around(place, &scope, quiet).await;
        if let Some(inbox) = &inbox {
            inbox.end();
        }
        scanned
    }

    /// Scans, and once more around a disk that falls silent meanwhile.
    async fn scan_around(
        &mut self,
        place: &Arc<Place>,
        scope: &Scope,
        quiet: Duration,
    ) -> Result<(), PipelineError> {
        while self.scan_through(place, scope.clone(), quiet).await? == Ended::Hanging {}
        Ok(())
    }

    async fn scan_through(
        &mut self,
        place: &Arc<Place>,
        scope: Scope,
        quiet: Duration,
    ) -> Result<Ended, PipelineError> {
        if !answers(&place.root).await? {
            return self.is_silent(place).await;
        }
        let began = Instant::now();
        let _looking = self.pipeline.pulse.look_at(place.root.path());
        let path = place.root.path().to_owned();
        let leave = tokio::select! {
            leave = self.first_sight(place) => leave?,
            silent = silence(place.root.clone(), path) => {
                silent?;
                return self.is_silent(place).await;
            }
        };
        let whole = scope == Scope::Root;
        if whole {
            // They may be on other disks by now.
            self.met_outputs.clear();
        }
        let before = self.paused.clone();
        self.paused.forget(place, &scope);
        self.unreadable.forget(place, &scope);
        let looked_at = scope.clone();
        let (mut found, scanning) = look_through(place.root.clone(), scope);
        tokio::pin!(scanning);
        let mut report = None;
        let empty = || Portion::new(leave).after(quiet);
        let mut portion = empty();
        loop {
            self.pipeline.pulse.scanner_turned();
            tokio::select! {
                biased;
                () = self.pipeline.stop.cancelled() => return Ok(Ended::Through),
                next = found.recv() => match next {
                    Some(next) => {
                        self.consider(place, next, &mut portion);
                        if portion.is_full(&self.options) {
                            self.take_in(std::mem::replace(&mut portion, empty())).await?;
                            self.let_others_in().await?;
                        }
                    }
                    None => break,
                },
                done = &mut scanning, if report.is_none() => report = Some(done?),
                // Whoever scans it ends by himself when it answers again.
                silent = silence_in(place.root.clone()) => match silent? {
                    Silence::Root => return self.is_silent(place).await,
                    Silence::Inside(folder) => {
                        tracing::debug!(folder = %folder.display(), "scanned around it");
                        return Ok(Ended::Hanging);
                    }
                },
            }
        }
        let (there, report) = match report {
            Some(report) => report,
            None => scanning.await?,
        };
        self.take_in(portion).await?;
        self.tell_paused(&before).await?;
        self.pipeline.meter.scanned(began.elapsed());
        let whole = there.filter(|_| whole);
        self.note_scan(place, whole, report).await?;
        self.tell_unreadable(place, &looked_at).await?;
        Ok(Ended::Through)
    }

    /// Notes how a scan ended; one of all of what lies in the root says what that was.
    async fn note_scan(
        &mut self,
        place: &Place,
        whole: Option<Content>,
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
            return self.is_in_trouble(place, reason).await;
        }
        if self.troubles.remove(&path).is_some() {
            tracing::info!(folder = %path.display(), "it is there and can be read again");
            self.remember_folder(&path, None).await?;
        }
        if let Some(whole) = whole.filter(|whole| !report.stopped && whole.is_folder) {
            let scanned_at = Some(self.pipeline.now());
            self.remember_folder(&path, scanned_at).await?;
            if self.options.one_shot {
                self.pipeline.end_vanished(&path).await?;
            }
            let (queue, identity) = (&self.pipeline.queue, whole.identity);
            if self.seen_whole.get(&path) != Some(&identity) {
                self.pipeline
                    .kept(|| queue.saw_folder(path.clone(), identity.clone()))
                    .await?;
                self.seen_whole.insert(path, identity);
            }
        }
        Ok(())
    }

    async fn is_silent(&mut self, place: &Place) -> Result<Ended, PipelineError> {
        self.is_in_trouble(place, no_answer()).await?;
        Ok(Ended::Through)
    }

    async fn is_in_trouble(&mut self, place: &Place, reason: Reason) -> Result<(), PipelineError> {
        let path = place.root.path();
        let was = self.troubles.insert(path.to_owned(), reason.clone());
        if was.as_ref() != Some(&reason) {
            tracing::warn!(folder = %path.display(), "{}", reason.text);
            self.remember_folder(path, None).await?;
        }
        Ok(())
    }

    /// Notes that the disk of a place did not answer when something on it was looked at.
    pub(super) fn fell_silent(&mut self, place: &Place) {
        self.unheard.insert(place.root.path().to_owned());
    }

    /// Scans the places whose disks did not answer, as soon as they do: what was to be looked at meanwhile is
    /// not known any more.
    pub(super) async fn look_at_silent(&mut self) -> Result<(), PipelineError> {
        for place in self.places.clone() {
            let path = place.root.path();
            let trouble = self.troubles.get(path);
            let is_silent = trouble.is_some_and(|reason| reason.code == NO_ANSWER);
            if self.unheard.remove(path) || is_silent {
                self.scan(&place, Scope::Root).await?;
            }
        }
        Ok(())
    }
}
