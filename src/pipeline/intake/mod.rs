//! From files to jobs: scan, wait until complete, examine, queue.
//!
//! The scan is the truth, hints only say where to look again. A file that is known and as it was is not
//! read again. Nothing here costs money, so everything may be repeated after a crash.

mod enqueue;
mod examine;
mod existing;
mod inbox;
mod paused;
mod portion;
mod reasons;
mod scan;
mod unreadable;
mod unsettled;
mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::place::Below;
use super::plan::Agreed;
use super::{Event, Pipeline, PipelineError, Place};
use crate::discover::{Closed, RootMode, Scope};
use crate::domain::job::{JobId, Reason};
use crate::domain::settle::SettleBook;
use crate::domain::timing::after;
use crate::queue::Asked;

pub(super) use enqueue::follower;
pub use examine::{Examined, examine};
pub(super) use examine::{examine_soon, may_be_undecodable};
pub use existing::EXISTING;
pub(super) use existing::{existing, first_sight, was_only_touched};
pub use reasons::{NOT_AGREED, consider_skip, mend_at, nothing_readable};
pub(super) use reasons::{io_code, unsettled_reason};
pub(super) use scan::no_answer;

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
    /// What somebody asks of the outputs by flags.
    pub asked: Asked,
    /// To what somebody has agreed, and to nothing else; without it whatever is found is taken in.
    pub agreed: Option<Arc<Agreed>>,
    /// Where the jobs are noted that were come across, if anybody wants to know.
    pub about: Option<About>,
}

/// The jobs of the recordings that were come across.
#[derive(Debug, Clone, Default)]
pub struct About(Arc<Mutex<BTreeSet<JobId>>>);

impl About {
    fn note(&self, id: JobId) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.insert(id);
    }

    /// Whether this job was come across.
    pub fn has(&self, id: JobId) -> bool {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.contains(&id)
    }

    /// All of them.
    pub fn jobs(&self) -> Vec<JobId> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().copied().collect()
    }
}

/// Takes recordings in.
pub struct Intake {
    pipeline: Arc<Pipeline>,
    /// What is taken in here.
    places: Vec<Arc<Place>>,
    /// All places there are: who watches takes each in by itself, so that none waits for the disk of another.
    all: Arc<[Arc<Place>]>,
    options: IntakeOptions,
    queued: usize,
    shown_modes: Vec<RootMode>,
    paused: paused::Paused,
    unreadable: unreadable::Unreadable,
    /// What lay in each root when all of it was seen.
    seen_whole: HashMap<PathBuf, String>,
    /// Roots with something that could not be looked at, because their disks did not answer.
    unheard: HashSet<PathBuf>,
    /// Where the watcher finds what could not be read, while somebody watches.
    closed: Option<Closed>,
    below: Below,
    /// Folders for outputs of which it is known by now on which disks they are.
    met_outputs: HashSet<PathBuf>,
    /// The hints about the one place, while somebody watches.
    inbox: Option<Arc<inbox::Inbox>>,
    /// When files were looked at again in the middle of a large scan.
    looked_between: Instant,
    examiners: portion::Examiners,
    /// What all share that watch, while somebody does.
    watching: Option<Arc<watch::Watching>>,
    /// Roots that could not be scanned, and why.
    pub troubles: HashMap<PathBuf, Reason>,
}

impl Intake {
    /// Takes in what lies in `places`.
    pub fn new(pipeline: Arc<Pipeline>, places: Vec<Place>, options: IntakeOptions) -> Self {
        let places: Vec<Arc<Place>> = places.into_iter().map(Arc::new).collect();
        pipeline.rules.put_into_force(&places);
        let all = places.clone().into();
        Self::of(pipeline, places, all, options)
    }

    fn of(
        pipeline: Arc<Pipeline>,
        places: Vec<Arc<Place>>,
        all: Arc<[Arc<Place>]>,
        options: IntakeOptions,
    ) -> Self {
        Self {
            pipeline,
            places,
            all,
            options,
            queued: 0,
            shown_modes: Vec::new(),
            paused: paused::Paused::default(),
            unreadable: unreadable::Unreadable::default(),
            seen_whole: HashMap::new(),
            unheard: HashSet::new(),
            closed: None,
            below: Below::default(),
            met_outputs: HashSet::new(),
            inbox: None,
            looked_between: Instant::now(),
            examiners: portion::Examiners::default(),
            watching: None,
            troubles: HashMap::new(),
        }
    }

    /// Looks once at everything, waits for what is about to be complete, and sets `looked`.
    ///
    /// # Errors
    /// [`PipelineError`] where the table fails or a task ends by a fault of its own.
    pub async fn run_once(mut self, looked: Arc<AtomicBool>) -> Result<Self, PipelineError> {
        self.meet_folders().await?;
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

    fn book(&self) -> MutexGuard<'_, SettleBook> {
        self.pipeline.waiting.book()
    }

    /// Notes that a recording's job was come across.
    fn note(&self, id: JobId) {
        if let Some(about) = &self.options.about {
            about.note(id);
        }
    }

    fn skipped(&self, path: PathBuf, reason: Reason) {
        self.pipeline
            .reporter
            .report(&Event::Skipped { path, reason });
    }

    /// The innermost place that a path lies in, if that is taken in here.
    fn place_of(&self, path: &Path) -> Option<Arc<Place>> {
        let place = innermost(&self.all, path)?;
        let is_own = self.places.iter().any(|own| Arc::ptr_eq(own, place));
        is_own.then(|| place.clone())
    }
}

/// The innermost of `places` that a path lies in.
fn innermost<'a>(places: &'a [Arc<Place>], path: &Path) -> Option<&'a Arc<Place>> {
    let holding = places
        .iter()
        .filter(|place| path.starts_with(place.root.path()));
    holding.max_by_key(|place| place.root.path().as_os_str().len())
}
