//! A portion of files that were found: looked up, examined and recorded together.
//!
//! One transaction for many files is what makes a storm of small ones bearable. A portion is bounded in
//! files and in bytes to read, so that it never keeps others waiting for long.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;

use super::scan::silence;
use super::{
    EXISTING, Examined, Intake, IntakeOptions, consider_skip, existing, no_answer, unsettled_reason,
};
use crate::discover::{Found, LocalRules};
use crate::domain::existing::FirstSight;
use crate::domain::job::Reason;
use crate::domain::settle::{CUT_SHORT, Fingerprint, PREALLOCATED, Settling, Unsettled, one_shot};
use crate::pipeline::{PipelineError, Place};
use crate::queue::Known;

/// Files of one place that are probed and hashed at once.
const EXAMINERS: usize = 2;
/// Files of one disk, in all places.
const EXAMINERS_OF_A_DISK: usize = 4;
/// The most files in a portion.
const LARGEST_PORTION: usize = 256;
/// The bytes that a portion may have to read, about: 256 MiB, a fraction of a second.
const LARGEST_PORTION_BYTES: u64 = 256 << 20;

/// Who examines the files of each disk, by its device: one that is slow keeps no other waiting.
#[derive(Debug, Clone, Default)]
pub(super) struct Examiners(Arc<Mutex<HashMap<u64, Arc<Semaphore>>>>);

impl Examiners {
    fn of(&self, file: &Fingerprint) -> Arc<Semaphore> {
        let mut disks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(EXAMINERS_OF_A_DISK));
        disks.entry(file.device).or_insert_with(new).clone()
    }
}

/// A file that was found, where the rules put it.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) place: Arc<Place>,
    pub(super) path: PathBuf,
    pub(super) fingerprint: Fingerprint,
}

/// A file of which everything is known that is to be recorded.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) sighting: Sighting,
    pub(super) known: Known,
    /// Whether the table does not know it yet.
    pub(super) new: bool,
}

/// Files that are taken in together.
#[derive(Debug)]
pub(super) struct Portion {
    sightings: Vec<Sighting>,
    bytes: u64,
    /// By what files that were there before the first start are told and left alone, if they are.
    pub(super) leave: Option<FirstSight>,
    /// For how long nothing was told of the folder it lies in.
    quiet: Duration,
}

impl Portion {
    pub(super) fn new(leave: Option<FirstSight>) -> Self {
        Self {
            sightings: Vec::new(),
            bytes: 0,
            leave,
            quiet: Duration::ZERO,
        }
    }

    /// The same of a folder of which nothing was told for `quiet`.
    pub(super) fn after(self, quiet: Duration) -> Self {
        Self { quiet, ..self }
    }

    pub(super) fn is_full(&self, options: &IntakeOptions) -> bool {
        // Whoever limits a run counts each recording before the next.
        (options.limit.is_some() && !self.sightings.is_empty())
            || self.sightings.len() >= LARGEST_PORTION
            || self.bytes >= LARGEST_PORTION_BYTES
    }

    /// The states of its files, in their order.
    pub(super) fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.sightings.iter().map(|sighting| sighting.fingerprint)
    }

    /// Their paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.sightings.iter().map(|sighting| sighting.path.clone())
    }

    fn add(&mut self, sighting: Sighting) {
        self.bytes = self.bytes.saturating_add(sighting.fingerprint.size);
        self.sightings.push(sighting);
    }
}

impl Intake {
    /// Puts what a scan found into the portion, unless it is passed over.
    pub(super) fn consider(&mut self, place: &Arc<Place>, found: Found, portion: &mut Portion) {
        match found {
            Found::Recording {
                path,
                fingerprint,
                local,
            } => self.put_in(place, path, fingerprint, &local, portion),
            Found::Skipped { path, reason } => {
                self.unreadable.note(place, &path, &reason);
                if let Some(reason) = consider_skip(&place.root, &path, &reason) {
                    self.skipped(path, reason);
                }
            }
        }
    }

    /// Puts a file into the portion, unless its folder is paused.
    pub(super) fn put_in(
        &mut self,
        place: &Arc<Place>,
        path: PathBuf,
        fingerprint: Fingerprint,
        local: &LocalRules,
        portion: &mut Portion,
    ) {
        match self.below.of(place, local) {
            Ok(place) => portion.add(Sighting {
                place,
                path,
                fingerprint,
            }),
            Err(mistaken) => {
                self.book().forget(&path);
                self.skipped(path, mistaken.reason());
                self.paused.add(place, mistaken);
            }
        }
    }

    /// Records what the files of a portion are, and queues the recordings among them.
    pub(super) async fn take_in(&mut self, portion: Portion) -> Result<(), PipelineError> {
        if portion.sightings.is_empty() {
            return Ok(());
        }
        self.know_outputs(&portion).await?;
        let files = portion.sightings.iter();
        let files = files.map(|sighting| (sighting.path.clone(), sighting.fingerprint));
        let known = self.pipeline.queue.known_many(files.collect()).await?;
        let left = self.left_alone(&portion, &known).await?;
        let quiet = portion.quiet;
        let mut findings = Vec::new();
        let mut complete = Vec::new();
        let mut marks = Vec::new();
        for ((sighting, known), left) in portion.sightings.into_iter().zip(known).zip(left) {
            let known = match known {
                Some(Known::Skipped(reason)) if !self.asks_again(&sighting, &reason) => {
                    self.pass_over(sighting, reason);
                    continue;
                }
                known => known,
            };
            // What is looked at again goes on settling.
            if left.is_some() || matches!(known, Some(Known::Recording { .. })) {
                self.book().forget(&sighting.path);
            }
            match known {
                Some(known @ Known::Recording { .. }) => findings.push(Finding {
                    sighting,
                    known,
                    new: false,
                }),
                None if left.is_some() => {
                    let mark = left.and_then(|left| left.mark);
                    marks.extend(mark.map(|mark| (sighting.path.clone(), mark)));
                    findings.push(left_alone(sighting));
                }
                Some(Known::Skipped(_)) | None => {
                    complete.extend(self.is_complete(&sighting, quiet).then_some(sighting));
                }
            }
        }
        let (pipeline, examiners) = (self.pipeline.clone(), self.examiners.clone());
        let mut examining = stream::iter(complete)
            .map(|sighting| {
                let pipeline = pipeline.clone();
                let turn = examiners.of(&sighting.fingerprint).acquire_owned();
                async move {
                    // Nobody closes it.
                    let _turn = turn.await;
                    let (path, fingerprint) = (sighting.path.clone(), sighting.fingerprint);
                    let examined = tokio::select! {
                        biased;
                        examined = pipeline.examine_in_turn(path, fingerprint) => examined,
                        silent = silence(sighting.place.root.clone(), sighting.path.clone()) => {
                            silent.map(|()| Examined::Silent).map_err(PipelineError::from)
                        }
                    };
                    (sighting, examined)
                }
            })
            .buffered(EXAMINERS);
        while let Some((sighting, examined)) = examining.next().await {
            findings.extend(self.judge(sighting, examined?));
        }
        drop(examining);
        self.record(findings).await?;
        if marks.is_empty() {
            return Ok(());
        }
        let queue = &self.pipeline.queue;
        self.pipeline.kept(|| queue.keep_marks(marks.clone())).await
    }

    /// Keeps on which disks the outputs of these files will lie: a file of rules may have its own folder for them.
    async fn know_outputs(&mut self, portion: &Portion) -> Result<(), PipelineError> {
        let folders = portion.sightings.iter();
        let folders = folders.filter_map(|sighting| sighting.place.output_dir.as_ref());
        let new = folders.filter(|folder| !self.met_outputs.contains(*folder));
        let new: BTreeSet<PathBuf> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.met_outputs.extend(new.iter().cloned());
        self.pipeline.know_output_folders(new).await
    }

    /// Whether a file is looked at again though it is known: whoever names a place wants what was passed over
    /// for being there already, and zeros are believed in the end.
    fn asks_again(&self, sighting: &Sighting, reason: &Reason) -> bool {
        let now = self.pipeline.now();
        self.options.force
            || (reason.code == PREALLOCATED && sighting.fingerprint.zeros_are_believed(now))
            || (self.options.one_shot && reason.code == EXISTING && sighting.place.is_named)
    }

    /// Passes over a file of which that is known; one of which something is missing is waited for.
    fn pass_over(&self, sighting: Sighting, reason: Reason) {
        let is_waited_for = reason.code == CUT_SHORT || reason.code == PREALLOCATED;
        if is_waited_for && !self.options.one_shot {
            self.wait_for_the_rest(&sighting, &reason);
        } else {
            self.book().forget(&sighting.path);
            self.skipped(sighting.path, reason);
        }
    }

    /// Waits for a file of which the end is missing until it changes; a run does not.
    fn wait_for_the_rest(&self, sighting: &Sighting, reason: &Reason) {
        let Sighting {
            place,
            path,
            fingerprint,
        } = sighting;
        let now = self.pipeline.now();
        let is_new = !matches!(
            self.book().standing(path),
            Some((Unsettled::CutShort { .. } | Unsettled::Preallocated, _))
        );
        let mut book = self.book();
        if reason.code == PREALLOCATED {
            book.preallocated(path, place.settle, *fingerprint, now);
        } else {
            book.cut_short(path, place.settle, *fingerprint, &reason.text, now);
        }
        drop(book);
        if is_new {
            tracing::info!(source = %path.display(), "waiting: {}", reason.text);
        }
    }

    fn is_complete(&self, sighting: &Sighting, quiet: Duration) -> bool {
        let settle = if self.options.one_shot {
            one_shot(sighting.place.settle)
        } else {
            sighting.place.settle
        };
        let (path, now) = (&sighting.path, self.pipeline.now());
        let fingerprint = sighting.fingerprint;
        let settling = self
            .book()
            .observe_after_quiet(path, settle, fingerprint, quiet, now);
        match settling {
            Settling::Wait { reason, .. } => {
                tracing::debug!(source = %path.display(), "waiting: {reason}");
                false
            }
            Settling::Complete => true,
        }
    }

    /// Waits for what is missing of a file; known by the table, it is not read again after the next start.
    fn lacking(&self, sighting: Sighting, reason: Reason) -> Finding {
        self.pass_over(sighting.clone(), reason.clone());
        Finding {
            sighting,
            known: Known::Skipped(reason),
            new: true,
        }
    }

    /// What an examination says of a file, if there is something to record.
    fn judge(&mut self, sighting: Sighting, examined: Examined) -> Option<Finding> {
        let new = true;
        match examined {
            Examined::Recording(known) => Some(Finding {
                sighting,
                known,
                new,
            }),
            Examined::Skipped { reason, lasting } => {
                if !lasting {
                    let Sighting { place, path, .. } = &sighting;
                    self.unreadable.examined(place, path, &reason);
                }
                self.skipped(sighting.path.clone(), reason.clone());
                lasting.then(|| Finding {
                    sighting,
                    known: Known::Skipped(reason),
                    new,
                })
            }
            Examined::CutShort { what } => {
                Some(self.lacking(sighting, Reason::new(CUT_SHORT, what)))
            }
            Examined::Preallocated => {
                Some(self.lacking(sighting, unsettled_reason(&Unsettled::Preallocated)))
            }
            Examined::Silent => {
                self.fell_silent(&sighting.place);
                self.skipped(sighting.path, no_answer());
                None
            }
            Examined::Changed => {
                let (path, settle) = (&sighting.path, sighting.place.settle);
                let now = self.pipeline.now();
                self.book().observe(path, settle, sighting.fingerprint, now);
                None
            }
        }
    }
}

fn left_alone(sighting: Sighting) -> Finding {
    Finding {
        sighting,
        known: Known::Skipped(existing()),
        new: true,
    }
}
