//! From an examined file to its job: new, known, moved, or done already.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Intake;
use super::may_be_undecodable;
use super::portion::{Finding, Sighting};
use super::reasons::not_agreed;
use crate::discover::{Root, ground};
use crate::domain::ground::Ground;
use crate::domain::job::{Candidate, Job, JobId, Publication, Stage};
use crate::domain::naming;
use crate::domain::route::{Chosen, Shape, first_stage};
use crate::domain::style::Style;
use crate::media::probe::is_decodable;
use crate::pipeline::away::is_away;
use crate::pipeline::document::style;
use crate::pipeline::plan::Consent;
use crate::pipeline::{PipelineError, Place};
use crate::queue::{Arrival, Elsewhere, Enqueued, Gone, Kin, Known};
use crate::supervise::{TaskPanicked, blocking};

impl Intake {
    /// Records findings in their order: what the files are, and the jobs of the recordings among them.
    pub(super) async fn record(&mut self, findings: Vec<Finding>) -> Result<(), PipelineError> {
        let kin = self.kin_of(&findings).await?;
        let grounds = grounds(&findings, &kin).await?;
        let places = findings
            .iter()
            .map(|finding| finding.sighting.place.clone());
        let places: Vec<Arc<Place>> = places.collect();
        let mut arrivals = Vec::new();
        for ((finding, ground), (kin, gone)) in findings.into_iter().zip(grounds).zip(kin) {
            arrivals.push(self.arrival(finding, ground, kin, gone).await?);
        }
        let (force, asked) = (self.options.force, self.options.asked);
        let scoped = self.pipeline.pace.scoped;
        let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
        let news = arrivals
            .iter()
            .any(|arrival| arrival.known.is_some() || arrival.candidate.is_some());
        if !news {
            return Ok(());
        }
        let enqueued = self
            .pipeline
            .kept(|| queue.take_in(arrivals.clone(), force, scoped, asked, now))
            .await?;
        let mut told = Vec::new();
        for (place, enqueued) in places.iter().zip(enqueued) {
            if let Some(enqueued) = enqueued {
                told.extend(self.take_up(place, enqueued).await?);
            }
        }
        if !told.is_empty() {
            self.pipeline.tell_many(told).await?;
            self.pipeline.bell.notify_one();
        }
        Ok(())
    }

    /// What the table has of each recording among the findings.
    async fn kin_of(
        &self,
        findings: &[Finding],
    ) -> Result<Vec<(Kin, Option<Gone>)>, PipelineError> {
        let recordings = findings.iter().map(|finding| match &finding.known {
            Known::Recording { hash, .. } => {
                let Sighting { place, path, .. } = &finding.sighting;
                Some((path.clone(), *hash, place.settings_of(path)))
            }
            Known::Skipped(_) => None,
        });
        let recordings: Vec<_> = recordings.collect();
        let asked = recordings.iter().flatten().cloned().collect();
        let mut found = self.pipeline.queue.kin(asked).await?.into_iter();
        let kin = recordings.iter().map(|asked| {
            asked
                .as_ref()
                .and_then(|_| found.next())
                .unwrap_or_default()
        });
        let kin: Vec<Kin> = kin.collect();
        let paths = findings.iter().map(|finding| finding.sighting.path.clone());
        Ok(without_those_that_stay(kin.into_iter().zip(paths).collect()).await?)
    }

    /// What is to be recorded of a finding; what is passed over is told.
    async fn arrival(
        &mut self,
        finding: Finding,
        ground: Option<Ground>,
        kin: Kin,
        gone: Option<Gone>,
    ) -> Result<Arrival, PipelineError> {
        let Finding {
            sighting,
            known,
            new,
        } = finding;
        let arrival = Arrival {
            root: sighting.place.root.path().to_owned(),
            path: sighting.path,
            fingerprint: sighting.fingerprint,
            known: new.then(|| known.clone()),
            candidate: None,
            may_force: true,
            gone,
            gone_from: gone.and_then(|gone| source_of(&kin, gone)),
        };
        let Known::Recording {
            hash,
            duration,
            format,
            has_video,
        } = known
        else {
            return Ok(arrival);
        };
        let place = &sighting.place;
        if let Some(other) = &kin.other
            && !self.options.one_shot
        {
            // Who changes the settings of a folder is asked by a run whether to pay anew, and by no scan.
            return self.keep_up(other, &place.publication, arrival).await;
        }
        // A job that there is goes on, whatever a limit says by now.
        if let (None, Some(reason)) = (&kin.own, place.too_short(duration)) {
            self.skipped(arrival.path.clone(), reason);
            return Ok(arrival);
        }
        let shape = Shape {
            provider: place.settings.provider,
            format,
            size: arrival.fingerprint.size,
            duration,
            is_decodable: true,
        };
        let (stage, route) = self.way(shape, &arrival.path, &kin).await?;
        let candidate = Candidate {
            source: arrival.path.clone(),
            root: arrival.root.clone(),
            ground,
            hash,
            size: arrival.fingerprint.size,
            duration,
            format,
            has_video,
            settings: place.settings_of(&arrival.path),
            publication: place.publication.clone(),
            output_dir: place.output_root(),
            route,
            stage,
        };
        self.accept(arrival, candidate, &kin, place).await
    }

    /// An arrival with its candidate, unless that is done already, nobody agreed to it, or it is one too many.
    async fn accept(
        &mut self,
        mut arrival: Arrival,
        candidate: Candidate,
        kin: &Kin,
        place: &Place,
    ) -> Result<Arrival, PipelineError> {
        let is_new = kin.own.is_none() && arrival.gone.is_none();
        if is_new
            && !self.options.force
            && let Some(id) = self.pipeline.adopt(place, &candidate).await?
        {
            self.take_up_done(id).await?;
            return Ok(arrival);
        }
        let agreed = self.options.agreed.as_deref();
        let consent = agreed.map(|agreed| agreed.of(&candidate));
        let own = kin.own.as_ref().map(|own| &own.stage);
        arrival.may_force = match consent {
            // It was done meanwhile, and nobody agreed to have it anew.
            Some(Consent::Send { anew: false }) => !matches!(own, Some(Stage::Done { .. })),
            Some(Consent::Nothing) => false,
            Some(Consent::Send { anew: true } | Consent::Copy) | None => true,
        };
        // What has a job already goes on as it is, and so does what only has another name.
        let is_known = own.is_some() || (arrival.gone.is_some() && !self.options.force);
        if consent == Some(Consent::Nothing) && !is_known {
            self.skipped(arrival.path.clone(), not_agreed());
        } else if !self.is_over_limit(kin) {
            arrival.candidate = Some(candidate);
        }
        Ok(arrival)
    }

    /// The stage in which a recording begins and its route; of a new one it is looked up whether its sound can be
    /// decoded here, where that decides.
    async fn way(
        &self,
        shape: Shape,
        path: &Path,
        kin: &Kin,
    ) -> Result<(Stage, Option<Chosen>), PipelineError> {
        let routes = &self.pipeline.pace.routes;
        if kin.own.is_some() || !may_be_undecodable(&shape, routes) {
            return Ok(first_stage(&shape, routes));
        }
        let path = path.to_owned();
        let is_decodable = blocking(move || is_decodable(&path)).await?;
        let shape = Shape {
            is_decodable,
            ..shape
        };
        Ok(first_stage(&shape, routes))
    }

    /// Has what is done by other settings than those of its folder written in the formats of that.
    async fn keep_up(
        &self,
        job: &Job,
        wanted: &Publication,
        arrival: Arrival,
    ) -> Result<Arrival, PipelineError> {
        self.note(job.id);
        if job.stage.waits_for_rules() {
            // They let it in: it goes on as it was queued, by whatever settings they come with.
            let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
            queue.let_in_again(vec![job.id], now).await?;
            self.pipeline.bell.notify_one();
            return Ok(arrival);
        }
        let Some(publication) = self.to_publish_again(job, wanted).await? else {
            return Ok(arrival);
        };
        let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
        if queue.publish_again(job.clone(), publication, now).await? {
            self.pipeline.tell_many(vec![job.id]).await?;
            self.pipeline.bell.notify_one();
        }
        Ok(arrival)
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
    fn is_over_limit(&self, kin: &Kin) -> bool {
        let Some(limit) = self.options.limit else {
            return false;
        };
        if self.queued < limit {
            return false;
        }
        let is_done = kin
            .own
            .as_ref()
            .is_some_and(|job| matches!(job.stage, Stage::Done { .. }));
        self.options.force || !is_done
    }

    /// Takes in what became of a recording; gives its job if that is to be told of.
    async fn take_up(
        &mut self,
        place: &Place,
        enqueued: Enqueued,
    ) -> Result<Option<JobId>, PipelineError> {
        match enqueued {
            Enqueued::New(id) => {
                self.note(id);
                self.queued += 1;
                Ok(Some(id))
            }
            Enqueued::Moved(id) => {
                self.note(id);
                Ok(Some(id))
            }
            Enqueued::Known(job) => {
                self.note(job.id);
                self.queued += usize::from(matches!(job.stage, Stage::Queued { .. }));
                let again = match self.options.asked.folder && !lies_there(&job, place) {
                    // What lies elsewhere stays there, in the formats that it has.
                    true => None,
                    false => self.to_publish_again(&job, &place.publication).await?,
                };
                let Some(publication) = again else {
                    return Ok(None);
                };
                let (id, now) = (job.id, self.pipeline.now());
                let queue = &self.pipeline.queue;
                let is_moved = queue.publish_again(*job, publication, now).await?;
                Ok(is_moved.then_some(id))
            }
        }
    }

    /// A recording whose transcript lay there already is done without having been queued.
    async fn take_up_done(&self, id: JobId) -> Result<(), PipelineError> {
        self.note(id);
        if self.pipeline.pace.scoped {
            self.pipeline.queue.enter_scope(id).await?;
        }
        self.pipeline.tell_many(vec![id]).await
    }
}

/// Whether the outputs of a job are where `place` has them.
fn lies_there(job: &Job, place: &Place) -> bool {
    let output_dir = place.output_root();
    let name = job.base.file_name().unwrap_or_default();
    let base = naming::base_path(&job.source, place.root.path(), output_dir.as_deref(), name);
    base.parent() == job.base.parent()
}

/// Finds for each recording the job elsewhere whose file has gone while its folder is still there: a
/// rename. No job follows two recordings.
async fn without_those_that_stay(
    kin: Vec<(Kin, PathBuf)>,
) -> Result<Vec<(Kin, Option<Gone>)>, TaskPanicked> {
    if kin.iter().all(|(kin, _)| kin.elsewhere.is_empty()) {
        return Ok(kin.into_iter().map(|(kin, _)| (kin, None)).collect());
    }
    blocking(move || {
        let mut taken = HashSet::new();
        let follow = |(kin, path): (Kin, PathBuf)| {
            let gone = follower(&kin.elsewhere, &path, &mut taken);
            (kin, gone)
        };
        kin.into_iter().map(follow).collect()
    })
    .await
}

/// The first of these jobs, but for those that are `taken`, whose recording is at `path` by now: a rename. It is
/// taken then; blocks for a look at them.
pub(in crate::pipeline) fn follower(
    elsewhere: &[Elsewhere],
    path: &Path,
    taken: &mut HashSet<JobId>,
) -> Option<Gone> {
    let is_there = |one: &Elsewhere| {
        one.root.exists() && !is_away(&one.root, &one.source, one.ground.as_ref())
    };
    let mut free = elsewhere
        .iter()
        .filter(|one| !taken.contains(&one.id) && is_there(one));
    let gone = free.find_map(|one| gone_for(one, path));
    taken.extend(gone.map(|gone| gone.id));
    gone
}

/// On which ground each of the findings lies that may come to be queued, where that can be seen.
async fn grounds(
    findings: &[Finding],
    kin: &[(Kin, Option<Gone>)],
) -> Result<Vec<Option<Ground>>, TaskPanicked> {
    let looked_at = findings.iter().zip(kin).map(|(finding, (kin, _))| {
        let Sighting { place, path, .. } = &finding.sighting;
        let may_be_queued = match &finding.known {
            Known::Recording { duration, .. } => place.too_short(*duration).is_none(),
            Known::Skipped(_) => false,
        };
        (may_be_queued && kin.own.is_none()).then(|| (place.root.clone(), path.clone()))
    });
    let looked_at: Vec<_> = looked_at.collect();
    if looked_at.iter().all(Option::is_none) {
        return Ok(vec![None; looked_at.len()]);
    }
    blocking(move || {
        // The files of a folder come one after the other, and lie on one ground.
        let mut last: Option<(Arc<Root>, PathBuf, Option<Ground>)> = None;
        let mut look = |(root, path): (Arc<Root>, PathBuf)| {
            let folder = path.parent().unwrap_or(&path).to_owned();
            let known = last
                .take()
                .filter(|(of, within, _)| Arc::ptr_eq(of, &root) && *within == folder);
            let known =
                known.map_or_else(|| ground(root.path(), &path).ok(), |(_, _, known)| known);
            last = Some((root, folder, known.clone()));
            // What has gone meanwhile may have gone with its disk.
            known.filter(|_| path.symlink_metadata().is_ok())
        };
        let grounds = looked_at.into_iter().map(|one| one.and_then(&mut look));
        grounds.collect()
    })
    .await
}

/// Where the recording was of the job that follows one.
fn source_of(kin: &Kin, gone: Gone) -> Option<PathBuf> {
    let mut elsewhere = kin.elsewhere.iter();
    let followed = elsewhere.find(|one| one.id == gone.id)?;
    Some(followed.source.clone())
}

/// The job elsewhere, if its recording is now the one at `path`.
fn gone_for(elsewhere: &Elsewhere, path: &Path) -> Option<Gone> {
    let id = elsewhere.id;
    let respelt = !is_gone(&elsewhere.source);
    (!respelt || is_respelt(&elsewhere.source, path)).then_some(Gone { id, respelt })
}

fn is_gone(path: &Path) -> bool {
    matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Whether `old` leads to what is called `new` now, in the same folder, though nothing is called `old`
/// there: the disk makes no difference between capitals, and somebody changed them.
fn is_respelt(old: &Path, new: &Path) -> bool {
    let Some(folder) = old
        .parent()
        .filter(|folder| old != new && Some(*folder) == new.parent())
    else {
        return false;
    };
    // The content is the same already. Inodes are made up on many such disks, one for each spelling.
    let looks = |path: &Path| {
        let there = path.symlink_metadata().ok()?;
        Some((there.dev(), there.len(), there.mtime(), there.mtime_nsec()))
    };
    let is_listed = || {
        let entries = fs::read_dir(folder).ok()?;
        let mut names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        // What cannot be read may be the old name.
        Some(names.any(|name| !matches!(name, Ok(name) if Some(&*name) != old.file_name())))
    };
    looks(old).is_some() && looks(old) == looks(new) && is_listed() == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_no_new_spelling_where_both_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        crate::durable::write(&at("Talk.wav"), b"speech", crate::durable::Existing::Keep).unwrap();
        fs::hard_link(at("Talk.wav"), at("talk.wav")).unwrap();
        assert!(!is_respelt(&at("Talk.wav"), &at("talk.wav")));
        assert!(!is_respelt(&at("Talk.wav"), &at("Talk.wav")));
        assert!(!is_respelt(&at("nothing.wav"), &at("talk.wav")));
    }
}
