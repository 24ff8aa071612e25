//! Why a file is or is not transcribed, found out without sending or recording anything.
//!
//! Asks the code that decides: the rules and the scan of `discover`, the settling of the domain, the
//! table, and the plan. Nothing is decided a second time here.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Place;
use super::away::is_lodged_away;
use super::intake::{consider_skip, existing, first_sight, unsettled_reason, was_only_touched};
use super::plan::{Fate, PlanTerms, Planned, is_looked_at_again, plan_file};
use crate::discover::{Found, LeftOut, Root, RootState, Scope, Sight, SkipReason, scan, sight};
use crate::domain::job::{ContentHash, Job, Reason, Settings};
use crate::domain::settle::{CUT_SHORT, Fingerprint, PREALLOCATED, SettleBook, Settling};
use crate::queue::{Known, Output, QueueError, Reader};
use crate::source;

/// Why a path is treated as it is.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing is there, and nothing ever was.
    Missing,
    /// Nothing is there any more; this became of it.
    Gone(Box<Job>),
    /// It cannot be looked at.
    Unreadable(Reason),
    /// It is a file that stenod wrote.
    Output {
        /// Which, and why under that name.
        output: Output,
        /// The job it was written for.
        job: Option<Box<Job>>,
        /// Whether somebody changed it since, so that it is never replaced.
        edited: bool,
    },
    /// It is a folder.
    Folder {
        /// Files in it that may be recordings, by their names.
        recordings: u64,
        /// Folders in it that are looked into, itself among them.
        folders: u64,
    },
    /// The rules leave it out.
    LeftOut {
        /// The folder above it that the rule speaks of, if it is not the path itself.
        above: Option<PathBuf>,
        /// The rule.
        rule: LeftOut,
    },
    /// It is passed over, and a run says so.
    Skipped(Reason),
    /// It does not count as complete yet.
    Settling {
        /// Why not.
        reason: Reason,
        /// When it is looked at again, if that is known.
        until: Option<Timestamp>,
    },
    /// It has a job.
    Job(Box<Job>),
    /// It has one by other settings than those of its place, by which this would become of it.
    OtherSettings {
        /// The latest one.
        job: Box<Job>,
        /// What would become of it.
        planned: Box<Planned>,
        /// The settings of its place.
        settings: Settings,
    },
    /// It has none yet; this would become of it.
    Planned(Box<Planned>),
}

/// What is asked of the place that a path belongs to.
pub struct Question<'a> {
    /// The place that owns the path.
    pub place: &'a Arc<Place>,
    /// The table, if there is one yet.
    pub reader: Option<&'a Reader<'static>>,
    /// By which terms would be planned.
    pub terms: PlanTerms,
    /// When.
    pub now: Timestamp,
}

impl Question<'_> {
    /// Why the file or folder at `path`, which is absolute, is treated as it is; blocks for as long as
    /// reading it takes.
    ///
    /// # Errors
    /// Any error of the table.
    pub fn ask(&self, path: &Path) -> Result<Answer, QueueError> {
        if let Some(answer) = self.output(path)? {
            return Ok(answer);
        }
        match sight(&self.place.root, path) {
            Sight::Outside => Ok(left_out(path, path, LeftOut::Outside)),
            Sight::RootMissing => self.away(path),
            Sight::RootUnreadable(error) => Ok(unreadable(&error)),
            Sight::LeftOut { at, why } => Ok(left_out(path, &at, why)),
            Sight::Passed { at, why } => Ok(passed(&self.place.root, path, &at, &why)),
            Sight::Gone => self.absent(path),
            Sight::Folder => Ok(self.folder(path)),
            Sight::File { fingerprint, local } => match self.place.below(&local) {
                Ok(place) => self.recording(&place, path, &fingerprint),
                Err(mistaken) => Ok(Answer::Skipped(mistaken.reason())),
            },
        }
    }

    /// The root is not there; which says nothing about the files in it.
    fn away(&self, path: &Path) -> Result<Answer, QueueError> {
        let job = match self.reader {
            Some(reader) => reader.job_at(path)?,
            None => None,
        };
        Ok(self.gone_with_its_disk(job.as_ref()))
    }

    fn gone_with_its_disk(&self, job: Option<&Job>) -> Answer {
        let root = self.place.root.path().display();
        let as_it_was = job.map_or_else(
            || "nothing of it is forgotten meanwhile".to_owned(),
            |job| {
                let state = job.stage.state();
                format!(
                    "job {} ({state}) is kept as it was, and goes on when that is back",
                    job.id
                )
            },
        );
        let text = format!("its folder {root}, or the disk of it, is not there; {as_it_was}");
        Answer::Unreadable(Reason::new("missing", text))
    }

    fn absent(&self, path: &Path) -> Result<Answer, QueueError> {
        let job = match self.reader {
            Some(reader) => reader.job_at(path)?,
            None => None,
        };
        if let (Some(reader), Some(job)) = (self.reader, &job) {
            let lodged = reader.lodged(job.id)?;
            if is_lodged_away(&lodged) {
                return Ok(self.gone_with_its_disk(Some(job)));
            }
        }
        Ok(job.map_or(Answer::Missing, |job| Answer::Gone(Box::new(job))))
    }

    fn output(&self, path: &Path) -> Result<Option<Answer>, QueueError> {
        let Some(reader) = self.reader else {
            return Ok(None);
        };
        let Some((id, output)) = reader.job_of_output(path)? else {
            return Ok(None);
        };
        Ok(Some(Answer::Output {
            edited: hash(path) != Some(output.hash),
            job: reader.job(id)?.map(Box::new),
            output,
        }))
    }

    fn folder(&self, path: &Path) -> Answer {
        let root = &self.place.root;
        let scope = if path == root.path() {
            Scope::Root
        } else {
            Scope::Tree(path.to_owned())
        };
        let mut closed = None;
        let report = scan(root, &scope, &mut |found| {
            if let Found::Skipped { path: at, reason } = found
                && let SkipReason::ClosedFolder(error) = reason
                && at == path
            {
                closed = Some(error);
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = closed {
            return unreadable(&error);
        }
        match report.root {
            RootState::Unreadable(error) => unreadable(&error),
            RootState::Missing => Answer::Missing,
            RootState::Present | RootState::SameAs(_) => Answer::Folder {
                recordings: report.recordings,
                folders: report.folders,
            },
        }
    }

    fn recording(
        &self,
        place: &Place,
        path: &Path,
        fingerprint: &Fingerprint,
    ) -> Result<Answer, QueueError> {
        let known = match self.reader {
            Some(reader) => reader.known(path, fingerprint)?,
            None => None,
        };
        let known = known.filter(|known| !is_looked_at_again(place, known, fingerprint, self.now));
        if let Some(Known::Skipped(reason)) = &known {
            return Ok(passed_over(reason.clone(), fingerprint, self.now));
        }
        if known.is_none() {
            if self.is_left_as_existing(path, fingerprint)? {
                return Ok(Answer::Skipped(existing()));
            }
            // As if it had been seen when it was touched last.
            let mut book = SettleBook::default();
            let touched = touched(fingerprint).map_or(self.now, |touched| touched.min(self.now));
            book.observe(path, place.settle, *fingerprint, touched);
            let settling = book.observe(path, place.settle, *fingerprint, self.now);
            if let Settling::Wait { reason, until } = settling {
                let (reason, until) = (unsettled_reason(&reason), Some(until));
                return Ok(Answer::Settling { reason, until });
            }
        }
        if let Some(Known::Recording { hash, .. }) = &known
            && let Some(job) = self.own_job(place, path, *hash)?
        {
            return Ok(Answer::Job(Box::new(job)));
        }
        match plan_file(
            place,
            self.reader,
            self.terms.clone(),
            path.to_owned(),
            fingerprint,
        )? {
            Some(planned) => Ok(match &planned.fate {
                Fate::Skip(reason) if lacks_its_end(reason) => {
                    passed_over(reason.clone(), fingerprint, self.now)
                }
                Fate::Send { .. } => self.by_other_settings(place, path, planned)?,
                Fate::Skip(_)
                | Fate::Done
                | Fate::Duplicate { .. }
                | Fate::UnderWay
                | Fate::Wait(_)
                | Fate::Ended(_) => Answer::Planned(Box::new(planned)),
            }),
            None => self.absent(path),
        }
    }

    /// What would be sent, unless this very content has a job already, by other settings.
    fn by_other_settings(
        &self,
        place: &Place,
        path: &Path,
        planned: Planned,
    ) -> Result<Answer, QueueError> {
        let planned = Box::new(planned);
        let job = match self.reader {
            Some(reader) => reader.job_at(path)?,
            None => None,
        };
        let settings = place.settings_of(path);
        let is_other =
            |job: &Job| Some(job.hash) == planned.hash && job.settings != settings && !job.forced;
        Ok(match job.filter(is_other) {
            Some(job) => Answer::OtherSettings {
                job: Box::new(job),
                planned,
                settings,
            },
            None => Answer::Planned(planned),
        })
    }

    /// The job of this very recording with the settings of its place.
    fn own_job(
        &self,
        place: &Place,
        path: &Path,
        hash: ContentHash,
    ) -> Result<Option<Job>, QueueError> {
        let Some(reader) = self.reader else {
            return Ok(None);
        };
        let twins = reader.twins(hash, &place.settings_of(path))?;
        Ok(twins.into_iter().rev().find(|twin| twin.source == path))
    }

    fn is_left_as_existing(
        &self,
        path: &Path,
        fingerprint: &Fingerprint,
    ) -> Result<bool, QueueError> {
        if !self.place.leave_existing {
            return Ok(false);
        }
        let known = match self.reader {
            Some(reader) => reader.first_seen(self.place.root.path())?,
            None => None,
        };
        let sight = first_sight(self.place, known, self.now);
        let renamed = self.reader.map(|reader| reader.was_left_alone(fingerprint));
        Ok(sight.is_existing(fingerprint, self.now)
            || renamed.transpose()?.unwrap_or(false)
            || was_only_touched(self.reader, path, fingerprint)?)
    }
}

fn lacks_its_end(reason: &Reason) -> bool {
    reason.code == CUT_SHORT || reason.code == PREALLOCATED
}

/// What lacks its end may still become whole.
fn passed_over(reason: Reason, fingerprint: &Fingerprint, now: Timestamp) -> Answer {
    if lacks_its_end(&reason) {
        let until = (reason.code == PREALLOCATED).then(|| fingerprint.zeros_believed_at(now));
        let until = until.flatten();
        return Answer::Settling { reason, until };
    }
    Answer::Skipped(reason)
}

fn touched(fingerprint: &Fingerprint) -> Option<Timestamp> {
    let touched = fingerprint.modified_ns.max(fingerprint.changed_ns);
    Timestamp::from_nanosecond(i128::from(touched)).ok()
}

fn left_out(path: &Path, at: &Path, rule: LeftOut) -> Answer {
    let above = (at != path).then(|| at.to_owned());
    Answer::LeftOut { above, rule }
}

/// What is passed over for what it, or the folder `at` above it, is.
fn passed(root: &Root, path: &Path, at: &Path, reason: &SkipReason) -> Answer {
    let rule = match reason {
        SkipReason::Excluded { glob } => LeftOut::Excluded { glob: glob.clone() },
        SkipReason::NotIncluded => LeftOut::NotIncluded,
        SkipReason::TemporaryName { pattern } => LeftOut::TemporaryName { pattern },
        SkipReason::Unreadable(_)
        | SkipReason::ClosedFolder(_)
        | SkipReason::Silent
        | SkipReason::NotRegular { .. }
        | SkipReason::BrokenLink
        | SkipReason::FolderLink
        | SkipReason::Loop => {
            let Some(mut why) = consider_skip(root, at, reason) else {
                return Answer::Missing;
            };
            if at != path {
                why.text = format!("it lies below {}: {}", at.display(), why.text);
            }
            return Answer::Skipped(why);
        }
    };
    left_out(path, at, rule)
}

fn unreadable(error: &io::Error) -> Answer {
    let code = super::intake::io_code(error);
    Answer::Unreadable(Reason::new(code, format!("cannot be looked at: {error}")))
}

fn hash(path: &Path) -> Option<ContentHash> {
    let file = source::open(path).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file).ok()?;
    Some(ContentHash(*hasher.finalize().as_bytes()))
}
