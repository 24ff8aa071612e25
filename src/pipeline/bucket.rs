//! The large road: a recording into the bucket, a link to the service, and everything out of it again.
//!
//! The object is in the table before it is in the bucket. A crash while it is uploaded is free and costs
//! no more than the last parts. What could not be taken away is tried again and never keeps a transcript
//! waiting.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::operator::Errand;
use super::submit::Load;
use super::{Event, Pipeline, PipelineError};
use crate::delivery::Unchanged;
use crate::delivery::bucket::{
    Bucket, BucketError, Content, Fate, Journal, Tell, Unfinished, UploadError,
};
use crate::domain::job::{Job, JobId, Obstacle, Reason, Stage};
use crate::domain::object::{ObjectName, Part, Remains, Version};
use crate::domain::timing::{after, age, backoff};
use crate::domain::verdict::Halt;
use crate::queue::{LiveObject, NewObject, ObjectId, Queue, QueueError};
use crate::speech::{NoAnswer, Payload, Service, Submission, Withheld};

/// How many bytes are uploaded between two reports of progress.
const PROGRESS_STEP: u64 = 1 << 20;
/// How long after a failed try to take something away the next one comes, at least.
const SHORTEST_REMOVAL_WAIT: Duration = Duration::from_secs(30);
/// The longest time between two looks at what lies in the bucket.
pub(super) const LISTING_INTERVAL: Duration = Duration::from_secs(3600);

/// An object that is there, and the proof that it is the recording.
struct There {
    name: ObjectName,
    unchanged: Unchanged,
}

/// Why there is no object.
enum NoObject {
    Bucket(BucketError),
    Upload(UploadError<QueueError>),
    Chance(std::io::Error),
}

/// Keeps the progress of an upload in the table.
struct Rows<'a> {
    queue: &'a Queue,
    object: ObjectId,
}

impl Journal for Rows<'_> {
    type Error = QueueError;

    async fn begun(&self, id: &str) -> Result<(), QueueError> {
        self.queue.object_begun(self.object, id.to_owned()).await
    }

    async fn part_done(&self, number: u32, part: &Part) -> Result<(), QueueError> {
        self.queue
            .object_part(self.object, number, part.clone())
            .await
    }

    async fn finished(&self, version: Option<&Version>) -> Result<(), QueueError> {
        self.queue.object_there(self.object, version.cloned()).await
    }
}

impl Pipeline {
    /// Puts a file into the bucket unless it is there, and submits its link.
    pub(super) async fn submit_by_link(
        &self,
        job: &Job,
        load: Load,
        service: &dyn Service,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let Some(bucket) = self.bucket.clone() else {
            // The terms of the routes allow this one only where there is a bucket.
            return self.requeue(job.id).await;
        };
        let content = Content {
            path: load.path.clone(),
            size: load.size,
            hash: load.hash,
        };
        let extension = load.format.extension();
        let there = match self
            .object(&bucket, job, &content, extension, errand)
            .await?
        {
            Ok(there) => there,
            Err(none) => return self.no_object(job, &load, none, errand).await,
        };
        // Now and not at the upload, which may be long ago.
        let link = match bucket.link(&there.name).await {
            Ok(link) => link,
            Err(error) => return self.bucket_failed(job, error).await,
        };
        let committed = Arc::new(AtomicBool::new(false));
        let submission = Submission {
            settings: job.settings.clone(),
            recording: job.hash,
            duration: job.duration,
            payload: Payload::Link(link),
            gate: self.gate(
                job,
                there.unchanged,
                load.origin.clone(),
                committed.clone(),
                errand.clone(),
            ),
        };
        self.limiter.turn().await;
        let sent = self.unless_stopped(service, submission, &committed, errand);
        let answer = sent.await;
        self.record(job, &load, answer, errand).await
    }

    /// The object of a job: the one that is there, or the upload gone on with or begun.
    async fn object(
        &self,
        bucket: &Bucket,
        job: &Job,
        content: &Content,
        extension: &'static str,
        errand: &Errand,
    ) -> Result<Result<There, NoObject>, PipelineError> {
        let place = bucket.place().to_owned();
        let live = self.queue.live_object(job.id, place, content.hash).await?;
        let live = match live {
            Some(live) if live.is_there => {
                match bucket.has(&live.name, content.size).await {
                    Ok(true) => {
                        let proven = content.prove().await;
                        return Ok(proven_there(live.name, proven));
                    }
                    // Somebody else has deleted it, or a lifecycle rule.
                    Ok(false) => self.queue.object_useless(live.id).await?,
                    Err(error) => return Ok(Err(NoObject::Bucket(error))),
                }
                None
            }
            other => other,
        };
        let live = match live {
            Some(live) => live,
            None => match self.new_object(bucket, job.id, content, extension).await? {
                Ok(live) => live,
                Err(error) => return Ok(Err(NoObject::Chance(error))),
            },
        };
        let journal = Rows {
            queue: &self.queue,
            object: live.id,
        };
        let tell = self.upload_told(job.id, content.size);
        // By the end of stenod, or of this job alone.
        let ending = self.let_go.child_token();
        let upload = async {
            let upload = bucket.upload(&live.name, content, live.upload, &journal, tell, &ending);
            tokio::pin!(upload);
            tokio::select! {
                biased;
                uploaded = &mut upload => uploaded,
                () = errand.called_off.cancelled() => {
                    ending.cancel();
                    upload.await
                }
            }
        };
        let began = Instant::now();
        let uploaded = upload.await;
        self.meter.uploaded(began.elapsed());
        Ok(match uploaded {
            Ok(unchanged) => Ok(There {
                name: live.name,
                unchanged,
            }),
            Err(error) => Err(NoObject::Upload(error)),
        })
    }

    async fn new_object(
        &self,
        bucket: &Bucket,
        job: JobId,
        content: &Content,
        extension: &'static str,
    ) -> Result<Result<LiveObject, std::io::Error>, PipelineError> {
        let installation = self.queue.installation().await?;
        let name = match Bucket::new_name(&installation, extension) {
            Ok(name) => name,
            Err(error) => return Ok(Err(error)),
        };
        let object = NewObject {
            job,
            bucket: bucket.place().to_owned(),
            name: name.clone(),
            size: content.size,
            hash: content.hash,
        };
        let begin = || self.queue.begin_object(object.clone(), self.now());
        let id = self.kept(begin).await?;
        Ok(Ok(LiveObject {
            id,
            name,
            is_there: false,
            upload: None,
        }))
    }

    fn upload_told(&self, id: JobId, size: u64) -> Tell {
        let (reporter, told) = (self.reporter.clone(), Mutex::new(0_u64));
        Arc::new(move |sent| {
            // Two parts tell at once; held while it is told, so that no number comes after a larger one.
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let is_last = sent >= size && *told < size;
            if sent >= told.saturating_add(PROGRESS_STEP) || is_last {
                *told = sent;
                reporter.report(&Event::Uploaded { id, sent, size });
            }
        })
    }

    async fn no_object(
        &self,
        job: &Job,
        load: &Load,
        none: NoObject,
        errand: &Errand,
    ) -> Result<(), PipelineError> {
        let answer = match none {
            NoObject::Bucket(error) | NoObject::Upload(UploadError::Bucket(error)) => {
                return self.bucket_failed(job, error).await;
            }
            NoObject::Chance(error) | NoObject::Upload(UploadError::Source(error)) => {
                NoAnswer::Source(error)
            }
            NoObject::Upload(UploadError::Changed) => NoAnswer::Withheld(Withheld::SourceChanged),
            NoObject::Upload(UploadError::Stopped) => NoAnswer::Withheld(Withheld::Stopping),
            NoObject::Upload(UploadError::NotRecorded(error)) if error.is_disk_full() => {
                NoAnswer::Withheld(Withheld::NoRoom(error.to_string()))
            }
            NoObject::Upload(UploadError::NotRecorded(error)) => {
                NoAnswer::Withheld(Withheld::NotRecorded(error.to_string()))
            }
        };
        self.record(job, load, Err(answer), errand).await
    }

    async fn bucket_failed(&self, job: &Job, error: BucketError) -> Result<(), PipelineError> {
        match error.fate() {
            Fate::Offline => {
                let reason = Reason::new("bucket_offline", format!("bucket: {error}"));
                self.put_back(job, Halt::Offline, error.retry_after(), reason)
                    .await
            }
            Fate::Later => {
                let reason = Reason::new("bucket_failed", format!("bucket: {error}"));
                self.retry_later(job, reason).await
            }
            Fate::Person => {
                let stage = Stage::Waiting {
                    obstacle: Obstacle::Bucket,
                    text: format!("waiting for the bucket: {error}: {}", error.mend()),
                };
                self.kept(|| self.queue.park(job.id, stage.clone(), self.now()))
                    .await
            }
        }
    }

    /// Takes out of the bucket what no job needs any more. What fails is tried again later.
    pub(super) async fn tidy_bucket(&self) -> Result<(), PipelineError> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        loop {
            let place = bucket.place().to_owned();
            let leaving = self.queue.objects_to_remove(place, self.now()).await?;
            if leaving.is_empty() {
                return Ok(());
            }
            for (id, tries, remains) in leaving {
                match bucket.remove(&remains).await {
                    Ok(()) => self.queue.object_removed(id).await?,
                    Err(error) => self.stays(id, tries, &remains, &error).await?,
                }
            }
        }
    }

    async fn stays(
        &self,
        id: ObjectId,
        tries: u32,
        remains: &Remains,
        error: &BucketError,
    ) -> Result<(), PipelineError> {
        tracing::warn!(
            object = %remains.name,
            "a recording cannot be taken out of the bucket; it is tried again: {error}: {}",
            error.mend()
        );
        let wait = backoff(
            tries.saturating_add(5),
            error.retry_after(),
            self.chance.fraction(),
        );
        let due = after(self.now(), wait.max(SHORTEST_REMOVAL_WAIT));
        self.queue.object_stays(id, error.to_string(), due).await?;
        Ok(())
    }

    /// Takes away what this installation once put into the bucket and has no row for: a table that was
    /// restored from a copy knows nothing of it.
    ///
    /// A run looks only where it has put something before; `thorough` looks in any case.
    pub(super) async fn sweep_bucket(&self, thorough: bool) -> Result<(), PipelineError> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        let place = bucket.place().to_owned();
        // What failed before is tried anew: the configuration may have changed.
        self.queue.removals_due_now(place.clone()).await?;
        if !thorough && !self.queue.has_used(place).await? {
            return Ok(());
        }
        self.sweep_objects(bucket).await?;
        self.sweep_uploads(bucket).await
    }

    async fn sweep_objects(&self, bucket: &Bucket) -> Result<(), PipelineError> {
        let installation = self.queue.installation().await?;
        let listed = match bucket.list().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!("the bucket cannot be listed: {error}");
                return Ok(());
            }
        };
        // After the listing: whatever is in the bucket had its row before.
        let known = self.queue.object_names(bucket.place().to_owned()).await?;
        let strays = listed.into_iter().map(|(name, _)| name);
        for name in strays.filter(|name| name.is_of(&installation)) {
            if known.contains_key(name.as_str()) {
                continue;
            }
            match bucket.remove_stray(name.clone()).await {
                Ok(()) => tracing::info!(object = %name, "a stray object was deleted"),
                Err(error) => tracing::warn!(object = %name, "a stray object stays: {error}"),
            }
        }
        Ok(())
    }

    /// Takes back the uploads that no row goes on with: a crash may come before the storage's name for one is
    /// written down, and the next upload of the same object has another.
    async fn sweep_uploads(&self, bucket: &Bucket) -> Result<(), PipelineError> {
        let installation = self.queue.installation().await?;
        let listed = match bucket.unfinished().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!("the unfinished uploads cannot be listed: {error}");
                return Ok(());
            }
        };
        // After the listing, as above.
        let known = self.queue.object_names(bucket.place().to_owned()).await?;
        let own = listed
            .into_iter()
            .filter(|unfinished| unfinished.name.is_of(&installation));
        for unfinished in own {
            let is_needed = match known.get(unfinished.name.as_str()) {
                None => false,
                Some(upload) if upload.as_deref() == Some(unfinished.upload.as_str()) => true,
                // It may have begun just now, and is written down in a moment.
                Some(_) => age(unfinished.began, self.now()) < LISTING_INTERVAL,
            };
            if is_needed {
                continue;
            }
            let Unfinished { name, upload, .. } = unfinished;
            match bucket.take_back(&name, &upload).await {
                Ok(()) => tracing::info!(object = %name, "a stray upload was taken back"),
                Err(error) => tracing::warn!(object = %name, "a stray upload stays: {error}"),
            }
        }
        Ok(())
    }
}

fn proven_there(
    name: ObjectName,
    proven: std::io::Result<Option<Unchanged>>,
) -> Result<There, NoObject> {
    match proven {
        Ok(Some(unchanged)) => Ok(There { name, unchanged }),
        Ok(None) => Err(NoObject::Upload(UploadError::Changed)),
        Err(error) => Err(NoObject::Upload(UploadError::Source(error))),
    }
}
