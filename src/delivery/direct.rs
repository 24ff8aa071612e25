//! The direct road: the recording's bytes in the body of the request.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, try_unfold};

use crate::domain::job::ContentHash;
use crate::{source, supervise};

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

/// The chunks of a recording, each at most 256 KiB and none empty.
pub type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Proves, after all chunks were read, that they are the recording that was queued.
#[derive(Debug, Clone)]
pub struct Unchanged {
    path: PathBuf,
    opened: Stamp,
    hash: ContentHash,
    read: Arc<Mutex<Option<blake3::Hash>>>,
}

/// What tells a file from its successor without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

struct Reading {
    file: File,
    left: u64,
    hasher: blake3::Hasher,
    read: Arc<Mutex<Option<blake3::Hash>>>,
}

/// Opens the recording at `path`, which had `size` bytes that hashed to `hash` when it was queued.
///
/// # Errors
/// Any error of opening it.
pub async fn open(path: &Path, size: u64, hash: ContentHash) -> io::Result<(Chunks, Unchanged)> {
    let opening = path.to_owned();
    let (file, opened) = blocking(move || {
        let file = source::open(&opening)?;
        let stamp = Stamp::of(&file.metadata()?);
        Ok((file, stamp))
    })
    .await?;
    let read = Arc::new(Mutex::new(None));
    let reading = Reading {
        file,
        left: size,
        hasher: blake3::Hasher::new(),
        read: read.clone(),
    };
    let unchanged = Unchanged {
        path: path.to_owned(),
        opened,
        hash,
        read,
    };
    Ok((try_unfold(reading, next_chunk).boxed(), unchanged))
}

impl Unchanged {
    /// The proof for what was read in another way: it hashed to `hash`, from a file that was `opened`.
    pub(super) fn proven(path: &Path, opened: Stamp, hash: ContentHash) -> Self {
        Self {
            path: path.to_owned(),
            opened,
            hash,
            read: Arc::new(Mutex::new(Some(blake3::Hash::from_bytes(hash.0)))),
        }
    }

    /// Whether the bytes that were read are those that were queued, and the file is still as it was
    /// when it was opened.
    ///
    /// # Errors
    /// Any error of looking at the file, also that it is gone.
    pub async fn holds(&self) -> io::Result<bool> {
        let path = self.path.clone();
        let now = blocking(move || Ok(Stamp::of(&std::fs::metadata(path)?))).await?;
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_the_same = read.is_some_and(|read| read.as_bytes() == &self.hash.0);
        Ok(is_the_same && now == self.opened)
    }
}

impl Stamp {
    /// That of a file as it is.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

async fn next_chunk(reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    if reading.left == 0 {
        return Ok(None);
    }
    blocking(move || read_chunk(reading)).await.map(Some)
}

fn read_chunk(mut reading: Reading) -> io::Result<(Bytes, Reading)> {
    let size = usize::try_from(reading.left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = vec![0; size];
    #[cfg(test)]
    crate::faults::meet(crate::faults::Point::Read)?;
    reading.file.read_exact(&mut chunk)?;
    reading.hasher.update(&chunk);
    reading.left -= size as u64;
    if reading.left == 0 {
        let hash = reading.hasher.finalize();
        *reading.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }
    Ok((Bytes::from(chunk), reading))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    supervise::blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Existing, write};

    async fn read_all(mut chunks: Chunks) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = chunks.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    fn recording(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, ContentHash) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp3");
        write(&path, bytes, Existing::Keep).unwrap();
        (folder, path, ContentHash(*blake3::hash(bytes).as_bytes()))
    }

    #[tokio::test]
    async fn every_byte_is_read_and_proven() {
        let bytes: Vec<u8> = (0_u8..251).cycle().take(CHUNK * 2 + 17).collect();
        let (_folder, path, hash) = recording(&bytes);
        let (chunks, unchanged) = open(&path, bytes.len() as u64, hash).await.unwrap();
        assert!(
            !unchanged.holds().await.unwrap(),
            "nothing is proven before it was read"
        );
        assert_eq!(read_all(chunks).await.unwrap(), bytes);
        assert!(unchanged.holds().await.unwrap());
    }

    #[tokio::test]
    async fn a_recording_that_was_overwritten_meanwhile_is_noticed() {
        let (_folder, path, hash) = recording(b"before");
        let (chunks, unchanged) = open(&path, 6, hash).await.unwrap();
        write(&path, b"after!", Existing::Replace).unwrap();
        read_all(chunks).await.unwrap();
        assert!(!unchanged.holds().await.unwrap());
    }

    #[tokio::test]
    async fn other_bytes_than_those_that_were_queued_are_noticed_though_nothing_moves() {
        let (_folder, path, _) = recording(b"actual");
        let queued = ContentHash(*blake3::hash(b"queued").as_bytes());
        let (chunks, unchanged) = open(&path, 6, queued).await.unwrap();
        read_all(chunks).await.unwrap();
        assert!(!unchanged.holds().await.unwrap());
    }

    #[tokio::test]
    async fn a_recording_that_became_shorter_is_an_error_and_never_a_short_body() {
        let (_folder, path, hash) = recording(b"short");
        let (chunks, _) = open(&path, 600, hash).await.unwrap();
        let error = read_all(chunks).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe.mp3");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(open(&path, 6, ContentHash([0; 32])).await.is_err());
    }
}
