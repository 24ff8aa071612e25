//! What the other jobs of a recording decide about it: its own under a name that is gone, and those of its copies.

use std::path::Path;

use super::Fate;
use crate::domain::job::{Job, JobId, Reason, Stage, State};

/// Every job of the same content with the same settings, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Twins {
    all: Vec<Job>,
    /// The one that is, or would become, that of the recording itself.
    own: Option<JobId>,
}

impl Twins {
    /// The jobs `all` beside a recording, of which `own` follows it to its new name.
    pub(super) fn new(all: Vec<Job>, own: Option<JobId>) -> Self {
        Self { all, own }
    }

    /// The recording's own job.
    pub(super) fn own(&self) -> Option<&Job> {
        let own = self.own?;
        self.all.iter().find(|twin| twin.id == own)
    }

    /// The latest job of a recording that was cut, and is.
    pub(super) fn cut(&self, path: &Path) -> Option<&Job> {
        self.all.iter().rfind(|twin| {
            (twin.source == path || Some(twin.id) == self.own)
                && matches!(twin.stage, Stage::Split { .. })
        })
    }

    /// What a copy of the recording that is done or on its way has for it.
    pub(super) fn by_copy(&self) -> Option<Fate> {
        let mut others = self.others();
        let first = others.find(|twin| is_waited_for(&twin.stage))?;
        let of = first.source.clone();
        Some(Fate::Duplicate { of })
    }

    /// What becomes of a recording without a job of its own.
    pub(super) fn of_new(&self) -> Option<Fate> {
        self.by_copy()
            .or_else(|| self.by_stopped())
            .or_else(|| self.by_refused())
    }

    fn by_stopped(&self) -> Option<Fate> {
        let goes_on = |twin: &Job| matches!(twin.stage.state(), State::Queued | State::Waiting);
        let stopped = self.others().find(|twin| twin.stage == Stage::Cancelled);
        let stopped = stopped.filter(|_| !self.others().any(goes_on))?;
        Some(Fate::Ended(Reason::twin_was_stopped(stopped.id)))
    }

    /// The refusal of a copy that is one of the recording, too: it is not paid for a second time.
    pub(super) fn by_refused(&self) -> Option<Fate> {
        let mut failed = self
            .others()
            .filter(|twin| matches!(twin.stage, Stage::Failed { .. }));
        let failed = failed.next()?;
        let reason = failed.stage.reason()?.of_twin(failed.id)?;
        Some(Fate::Ended(reason))
    }

    fn others(&self) -> impl Iterator<Item = &Job> {
        self.all.iter().filter(|twin| Some(twin.id) != self.own)
    }
}

/// Whether a job may have been paid for and is sent once more by itself.
pub(super) fn is_repeated(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::InDoubt {
            retry_at: Some(_),
            ..
        }
    )
}

/// Whether a copy takes the transcript of a job that is there, or waits for it.
fn is_waited_for(stage: &Stage) -> bool {
    matches!(stage, Stage::Done { .. }) || stage.is_paying()
}

/// What becomes of a recording whose own job this is, if that does not send it.
pub(super) fn by_state(job: &Job) -> Option<Fate> {
    let reason = || {
        job.stage
            .reason()
            .unwrap_or_else(|| Reason::new("cancelled", "it was stopped by hand"))
    };
    match job.stage.state() {
        State::InDoubt if is_repeated(&job.stage) => None,
        State::Failed if job.stage.waits_for_recording() => None,
        State::Done => Some(Fate::Done),
        State::Active => Some(Fate::UnderWay),
        State::Failed | State::Cancelled | State::InDoubt => Some(Fate::Ended(reason())),
        State::Queued | State::Waiting => None,
    }
}
