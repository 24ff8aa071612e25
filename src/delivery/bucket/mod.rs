//! The large road: a recording as an object in a bucket, which the service fetches by a link.
//!
//! S3 and compatible storages, Google Cloud Storage, Azure. An object is put there part by part, is
//! reachable by a signed link for a while, and is taken away again. What is there is kept by the caller,
//! through [`Journal`], so that nothing is forgotten by a crash. Links are secrets.

mod content;
mod failure;
mod store;
#[cfg(test)]
mod tests;
mod unfinished;
mod upload;
mod wire;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::StreamExt as _;
use jiff::Timestamp;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use reqwest::{Method, Url};
use secrecy::SecretString;

pub use content::{Content, PART_SIZE};
pub use failure::{BucketError, Fate, Said};
pub use store::{OpenError, Secret, Settings, Variables};
pub use unfinished::Unfinished;
pub use upload::{Journal, UploadError};
pub use wire::Tell;

use crate::domain::object::{Installation, ObjectName, Remains, Version, place};
use store::Store;

/// How often a request is repeated before the failure is told.
const MOST_REPEATS: u32 = 4;
/// The longest wait that is waited out here; what asks for more is told.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a link that stenod uses itself is good for.
const OWN_LINK: Duration = Duration::from_secs(300);
/// The most objects that one look lists.
const MOST_LISTED: usize = 10_000;
/// The most that is fetched of what was put there as a check, in bytes.
const CHECK_LIMIT: usize = 4 << 10;

/// How long to wait before the next try, by the number of tries so far and what the storage asks for.
pub type Waits = Box<dyn Fn(u32, Option<Duration>) -> Duration + Send + Sync>;

/// A bucket, or a prefix in one.
pub struct Bucket {
    store: Store,
    place: String,
    link_lifetime: Duration,
    waits: Waits,
}

/// What a trial of the bucket gave; a later step was not tried where an earlier one failed.
#[derive(Debug)]
pub struct Trial {
    /// Writing an object.
    pub put: Result<(), BucketError>,
    /// Fetching it by a link.
    pub fetch: Option<Result<(), BucketError>>,
    /// Deleting it.
    pub remove: Option<Result<(), BucketError>>,
}

/// What is known of an object that is there.
struct There {
    size: u64,
    version: Option<String>,
}

impl Bucket {
    /// The bucket of `settings`; nothing is sent yet.
    ///
    /// # Errors
    /// [`OpenError`] where the settings cannot be used.
    pub fn open(settings: &Settings, waits: Waits) -> Result<Self, OpenError> {
        Ok(Self {
            store: Store::open(settings)?,
            place: place(&settings.url, settings.endpoint.as_deref()),
            link_lifetime: settings.link_lifetime,
            waits,
        })
    }

    /// Which bucket it is, which prefix in it, and where: see [`place`].
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether the object is there with `size` bytes: others may delete it, and so may a lifecycle rule.
    ///
    /// # Errors
    /// [`BucketError`] where the storage cannot say.
    pub async fn has(&self, name: &ObjectName, size: u64) -> Result<bool, BucketError> {
        let there = self.look(&self.path(name)).await?;
        Ok(there.is_some_and(|there| there.size == size))
    }

    /// A new name for an object, which nobody can guess.
    ///
    /// # Errors
    /// Where the operating system has no chance to give.
    pub fn new_name(
        installation: &Installation,
        extension: &str,
    ) -> Result<ObjectName, std::io::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let random = u128::from_le_bytes(random);
        Ok(ObjectName::new(installation, random, extension))
    }

    /// A signed link by which whoever has it can fetch the object, for as long as the settings say.
    ///
    /// # Errors
    /// [`BucketError`] where there are no credentials to sign with.
    pub async fn link(&self, name: &ObjectName) -> Result<SecretString, BucketError> {
        let url = self
            .sign(Method::GET, name, self.link_lifetime, None)
            .await?;
        Ok(SecretString::from(String::from(url)))
    }

    /// Takes away whatever is there of an object; nothing there is no failure.
    ///
    /// # Errors
    /// [`BucketError`]; it is to be tried again.
    pub async fn remove(&self, remains: &Remains) -> Result<(), BucketError> {
        let path = self.path(&remains.name);
        let mut version = remains.version.clone();
        if let Some(upload) = &remains.upload {
            self.take_back(&remains.name, upload).await?;
            if version.is_none() && self.store.version_parameter.is_some() {
                // It may have been completed by a request whose answer was lost.
                let there = self.look(&path).await?;
                version = there.and_then(|there| there.version).map(Version);
            }
        }
        let removed = if version.is_some() || self.store.deletes_by_link {
            self.remove_by_link(&remains.name, version.as_ref()).await
        } else {
            persist(&self.waits, || self.store.objects.delete(&path)).await
        };
        nothing_there_is_fine(removed)
    }

    /// Takes back an upload that was begun; one that is not there any more is no failure.
    ///
    /// # Errors
    /// [`BucketError`]; it is to be tried again.
    pub async fn take_back(&self, name: &ObjectName, upload: &str) -> Result<(), BucketError> {
        let (path, upload, uploads) = (self.path(name), upload.to_owned(), &self.store.uploads);
        let aborted = persist(&self.waits, || uploads.abort_multipart(&path, &upload)).await;
        nothing_there_is_fine(aborted)
    }

    /// Takes away an object of which nothing is known but its name, also where the bucket keeps versions.
    ///
    /// # Errors
    /// [`BucketError`]; it is to be tried again.
    pub async fn remove_stray(&self, name: ObjectName) -> Result<(), BucketError> {
        let version = match self.store.version_parameter {
            Some(_) => self.look(&self.path(&name)).await?,
            None => None,
        };
        self.remove(&Remains {
            name,
            upload: None,
            version: version.and_then(|there| there.version).map(Version),
        })
        .await
    }

    /// The objects under the prefix that a stenod put there, with the time at which it did.
    ///
    /// # Errors
    /// [`BucketError`] of the listing.
    pub async fn list(&self) -> Result<Vec<(ObjectName, Timestamp)>, BucketError> {
        let prefix = Some(&self.store.prefix).filter(|prefix| !prefix.as_ref().is_empty());
        let mut listing = self.store.objects.list(prefix).take(MOST_LISTED);
        let mut found = Vec::new();
        while let Some(object) = listing.next().await {
            let object = object.map_err(|error| BucketError::of_store(&error))?;
            let name = object
                .location
                .filename()
                .and_then(ObjectName::parse)
                .filter(|name| self.path(name) == object.location);
            let put_at = Timestamp::from_second(object.last_modified.timestamp());
            if let (Some(name), Ok(put_at)) = (name, put_at) {
                found.push((name, put_at));
            }
        }
        Ok(found)
    }

    /// Puts a small object there, fetches it by a link, and deletes it.
    ///
    /// # Errors
    /// Where the operating system has no chance to give for a name.
    pub async fn try_out(&self, installation: &Installation) -> Result<Trial, std::io::Error> {
        let name = Self::new_name(installation, "txt")?;
        let text = Bytes::from(format!("stenod doctor: {name}\n"));
        let (put, remains) = self.put_small(&name, text.clone()).await;
        let fetch = match &put {
            Ok(()) => Some(self.fetch_small(&name, &text).await),
            Err(_) => None,
        };
        let is_something_there = put.is_ok() || remains.upload.is_some();
        let remove = if is_something_there {
            Some(self.remove(&remains).await)
        } else {
            None
        };
        Ok(Trial { put, fetch, remove })
    }

    async fn put_small(
        &self,
        name: &ObjectName,
        bytes: Bytes,
    ) -> (Result<(), BucketError>, Remains) {
        let path = self.path(name);
        let mut remains = Remains {
            name: name.clone(),
            upload: None,
            version: None,
        };
        let uploads = &self.store.uploads;
        let put = async {
            let id = uploads.create_multipart(&path).await?;
            remains.upload = Some(id.clone());
            let part = uploads.put_part(&path, &id, 0, bytes.into()).await?;
            uploads.complete_multipart(&path, &id, vec![part]).await
        };
        match put.await {
            Ok(put) => {
                remains.upload = None;
                remains.version = put.version.map(Version);
                (Ok(()), remains)
            }
            Err(error) => (Err(BucketError::of_store(&error)), remains),
        }
    }

    async fn fetch_small(&self, name: &ObjectName, expected: &[u8]) -> Result<(), BucketError> {
        let url = self.sign(Method::GET, name, OWN_LINK, None).await?;
        let fetched =
            wire::plain_request(&self.store.client, Method::GET, url, CHECK_LIMIT).await?;
        if fetched == expected {
            Ok(())
        } else {
            let text = "the link leads to other bytes than were put there";
            Err(BucketError::Unreadable(text.to_owned()))
        }
    }

    async fn remove_by_link(
        &self,
        name: &ObjectName,
        version: Option<&Version>,
    ) -> Result<(), BucketError> {
        let url = self.sign(Method::DELETE, name, OWN_LINK, version).await?;
        wire::plain_request(&self.store.client, Method::DELETE, url, CHECK_LIMIT).await?;
        Ok(())
    }

    async fn sign(
        &self,
        method: Method,
        name: &ObjectName,
        lifetime: Duration,
        version: Option<&Version>,
    ) -> Result<Url, BucketError> {
        let mut options = SignedUrlOptions::new();
        if let (Some(parameter), Some(version)) = (self.store.version_parameter, version) {
            options = options.with_query([(parameter, version.0.as_str())]);
        }
        let path = self.path(name);
        let signed = self
            .store
            .signer
            .signed_url_opts(method, &path, lifetime, &options);
        signed.await.map_err(|error| BucketError::of_store(&error))
    }

    async fn look(&self, path: &Path) -> Result<Option<There>, BucketError> {
        match persist(&self.waits, || self.store.objects.head(path)).await {
            Ok(meta) => Ok(Some(There {
                size: meta.size,
                version: meta.version,
            })),
            Err(BucketError::NotThere(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, name: &ObjectName) -> Path {
        self.store.prefix.clone().join(name.as_str())
    }
}

/// Repeats what may pass, with waits between; what does not pass is told at once.
async fn persist<T, F>(waits: &Waits, mut act: impl FnMut() -> F) -> Result<T, BucketError>
where
    F: Future<Output = object_store::Result<T>>,
{
    let mut tries = 0;
    loop {
        let error = match act().await {
            Ok(done) => return Ok(done),
            Err(error) => BucketError::of_store(&error),
        };
        let wait = waits(tries, error.retry_after());
        if !error.is_passing() || tries >= MOST_REPEATS || wait > LONGEST_WAIT {
            return Err(error);
        }
        tracing::debug!(
            "the storage is asked again in {} ms: {error}",
            wait.as_millis()
        );
        tokio::time::sleep(wait).await;
        tries += 1;
    }
}

fn nothing_there_is_fine(removed: Result<(), BucketError>) -> Result<(), BucketError> {
    match removed {
        Err(BucketError::NotThere(_) | BucketError::UploadGone(_)) => Ok(()),
        other => other,
    }
}
