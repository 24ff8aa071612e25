//! A file on its way into the bucket: part by part, in bounded memory, taken up again where it broke off.
//!
//! Nothing is trusted that was not read now: a part that is already there counts only if the same bytes
//! are still in the file. The upload is completed only when the whole file has been proven.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use object_store::multipart::PartId;
use object_store::path::Path;
use tokio_util::sync::CancellationToken;

use super::super::direct::Unchanged;
use super::content::{Content, PART_SIZE, Reading};
use super::failure::BucketError;
use super::wire::{METER, Meter, Progress, Tell};
use super::{Bucket, persist};
use crate::domain::job::ContentHash;
use crate::domain::object::{ObjectName, Part, Upload, Version};

/// How many parts are on their way at once: with [`PART_SIZE`], what an upload keeps in memory.
const PARTS_IN_FLIGHT: usize = 2;

/// Keeps how far an upload is, so that it outlives the process.
pub trait Journal: Send + Sync {
    /// Why something could not be kept.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A new upload was begun under this id; parts of an earlier one count no more.
    fn begun(&self, id: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The storage has a part.
    fn part_done(
        &self,
        number: u32,
        part: &Part,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The object is there whole.
    fn finished(
        &self,
        version: Option<&Version>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a file did not get into the bucket.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E: std::error::Error + 'static> {
    /// The storage failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The file could not be read.
    #[error("the recording cannot be read")]
    Source(#[source] io::Error),
    /// It is not the file that was hashed.
    #[error("the recording changed")]
    Changed,
    /// stenod is being stopped, or the job was taken away.
    #[error("it was stopped")]
    Stopped,
    /// How far it is could not be kept.
    #[error("the progress of the upload cannot be recorded")]
    NotRecorded(#[source] E),
}

/// What an upload works with.
struct Transfer<'a, J> {
    bucket: &'a Bucket,
    path: Path,
    content: &'a Content,
    journal: &'a J,
    progress: Arc<Progress>,
}

impl Bucket {
    /// Puts `content` into the bucket as `name`, going on with `known` if there is one; `tell` hears how
    /// many bytes were handed over. Gives the proof that the file is what was hashed.
    ///
    /// # Errors
    /// [`UploadError`]; whatever is there by then stays there, to be gone on with or removed.
    pub async fn upload<J: Journal>(
        &self,
        name: &ObjectName,
        content: &Content,
        known: Option<Upload>,
        journal: &J,
        tell: Tell,
        stop: &CancellationToken,
    ) -> Result<Unchanged, UploadError<J::Error>> {
        let transfer = Transfer {
            bucket: self,
            path: self.path(name),
            content,
            journal,
            progress: Arc::new(Progress::new(tell)),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(UploadError::Stopped),
            done = transfer.run(known) => done,
        }
    }
}

impl<J: Journal> Transfer<'_, J> {
    async fn run(&self, known: Option<Upload>) -> Result<Unchanged, UploadError<J::Error>> {
        let was_known = known.is_some();
        let upload = match known {
            Some(upload) => upload,
            None => self.begin().await?,
        };
        match self.send(upload).await {
            // A storage forgets unfinished uploads after a while.
            Err(UploadError::Bucket(BucketError::UploadGone(_))) if was_known => {
                self.progress.reset();
                let upload = self.begin().await?;
                self.send(upload).await
            }
            done => done,
        }
    }

    async fn begin(&self) -> Result<Upload, UploadError<J::Error>> {
        let uploads = &self.bucket.store.uploads;
        let id = persist(&self.bucket.waits, || uploads.create_multipart(&self.path)).await?;
        let kept = self.journal.begun(&id).await;
        kept.map_err(UploadError::NotRecorded)?;
        Ok(Upload {
            id,
            parts: Vec::new(),
        })
    }

    async fn send(&self, upload: Upload) -> Result<Unchanged, UploadError<J::Error>> {
        let reading = self.content.open().await.map_err(UploadError::Source)?;
        let (parts, reading) = self.send_parts(&upload, reading).await?;
        self.prove(&reading).await?;
        let version = self.complete(&upload, parts).await?;
        let kept = self.journal.finished(version.as_ref()).await;
        kept.map_err(UploadError::NotRecorded)?;
        // Once more: what follows from here costs money.
        self.prove(&reading).await
    }

    async fn prove(&self, reading: &Reading) -> Result<Unchanged, UploadError<J::Error>> {
        match self.content.proven_by(reading).await {
            Ok(Some(unchanged)) => Ok(unchanged),
            Ok(None) => Err(UploadError::Changed),
            Err(error) => Err(UploadError::Source(error)),
        }
    }

    /// Sends every part that is not there yet; gives them all, in order.
    async fn send_parts(
        &self,
        upload: &Upload,
        mut reading: Reading,
    ) -> Result<(Vec<PartId>, Reading), UploadError<J::Error>> {
        let count = self.content.size.div_ceil(PART_SIZE).max(1);
        let mut done = Vec::new();
        let mut under_way = FuturesUnordered::new();
        for number in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            if under_way.len() >= PARTS_IN_FLIGHT
                && let Some(part) = under_way.next().await
            {
                let (part, bytes) = part?;
                done.push(part);
                reading.reuse(bytes);
            }
            let (bytes, hash, rest) = reading.next_part().await.map_err(UploadError::Source)?;
            reading = rest;
            if let Some(there) = part_there(upload, number, hash) {
                self.progress.add(bytes.len() as u64);
                done.push((number, there.id.clone()));
                reading.reuse(bytes);
            } else {
                under_way.push(self.send_part(&upload.id, number, bytes, hash));
            }
        }
        while let Some(part) = under_way.next().await {
            done.push(part?.0);
        }
        drop(under_way);
        done.sort_unstable_by_key(|(number, _)| *number);
        let parts = done
            .into_iter()
            .map(|(_, content_id)| PartId { content_id })
            .collect();
        Ok((parts, reading))
    }

    /// Sends one part; gives its number, what the storage calls it, and its bytes back.
    async fn send_part(
        &self,
        id: &str,
        number: u32,
        bytes: Bytes,
        hash: ContentHash,
    ) -> Result<((u32, String), Bytes), UploadError<J::Error>> {
        let id = id.to_owned();
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let sent = persist(&self.bucket.waits, || {
            let counted = Arc::new(AtomicU64::new(0));
            let meter = Meter {
                upload: self.progress.clone(),
                counted: counted.clone(),
            };
            let put =
                self.bucket
                    .store
                    .uploads
                    .put_part(&self.path, &id, index, bytes.clone().into());
            let put = METER.scope(meter, put);
            async move {
                let put = put.await;
                if put.is_err() {
                    self.progress.take_back(counted.load(Ordering::Relaxed));
                }
                put
            }
        })
        .await?;
        let part = Part {
            id: sent.content_id,
            hash,
        };
        let kept = self.journal.part_done(number, &part).await;
        kept.map_err(UploadError::NotRecorded)?;
        Ok(((number, part.id), bytes))
    }

    /// Makes one object of the parts. An upload that is gone may have been completed by a request whose
    /// answer was lost: then the object is there, as long as the file.
    async fn complete(
        &self,
        upload: &Upload,
        parts: Vec<PartId>,
    ) -> Result<Option<Version>, UploadError<J::Error>> {
        let store = &self.bucket.store;
        let completed = persist(&self.bucket.waits, || {
            store
                .uploads
                .complete_multipart(&self.path, &upload.id, parts.clone())
        })
        .await;
        match completed {
            Ok(put) => Ok(put.version.map(Version)),
            Err(gone @ BucketError::UploadGone(_)) => match self.bucket.look(&self.path).await? {
                Some(there) if there.size == self.content.size => Ok(there.version.map(Version)),
                Some(_) | None => Err(gone.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// The part that is there already, if it has the bytes that the file has now.
fn part_there(upload: &Upload, number: u32, hash: ContentHash) -> Option<&Part> {
    upload
        .parts
        .iter()
        .find(|(there, part)| *there == number && part.hash == hash)
        .map(|(_, part)| part)
}
