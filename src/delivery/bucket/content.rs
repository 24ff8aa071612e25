//! A file read once from its start, in parts, hashed as it is read, and never past its known length.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use bytes::Bytes;

use super::super::direct::{Stamp, Unchanged, blocking};
use crate::domain::job::ContentHash;
use crate::source;

/// How much is read at once where nothing is sent, in bytes.
const BLOCK: u64 = 1 << 20;

/// What is to be put into the bucket: a file as it was when it was hashed.
#[derive(Debug, Clone)]
pub struct Content {
    /// The file.
    pub path: PathBuf,
    /// Its size then, in bytes.
    pub size: u64,
    /// What its bytes hashed to.
    pub hash: ContentHash,
}

/// A content on its way through.
pub(super) struct Reading {
    file: File,
    opened: Stamp,
    left: u64,
    whole: blake3::Hasher,
}

impl Content {
    /// Opens the file at its start.
    pub(super) async fn open(&self) -> io::Result<Reading> {
        let (path, left) = (self.path.clone(), self.size);
        blocking(move || {
            let file = source::open(&path)?;
            let opened = Stamp::of(&file.metadata()?);
            Ok(Reading {
                file,
                opened,
                left,
                whole: blake3::Hasher::new(),
            })
        })
        .await
    }

    /// What was read, proven to be what was hashed; none where it is not, or the file is another by now.
    pub(super) async fn proven_by(&self, reading: &Reading) -> io::Result<Option<Unchanged>> {
        let is_whole = reading.left == 0;
        let is_the_same = reading.whole.finalize().as_bytes() == &self.hash.0;
        if !is_whole || !is_the_same {
            return Ok(None);
        }
        let unchanged = Unchanged::proven(&self.path, reading.opened, self.hash);
        Ok(unchanged.holds().await?.then_some(unchanged))
    }

    /// Reads the file to its end and proves that it is what was hashed; none where it is not.
    ///
    /// # Errors
    /// Any error of reading it, also that it is shorter.
    pub async fn prove(&self) -> io::Result<Option<Unchanged>> {
        let mut reading = self.open().await?;
        while reading.left > 0 {
            (_, _, reading) = reading.next_part(BLOCK).await?;
        }
        self.proven_by(&reading).await
    }
}

impl Reading {
    /// The next `size` bytes, or what is left, and what they hash to.
    pub(super) async fn next_part(mut self, size: u64) -> io::Result<(Bytes, ContentHash, Self)> {
        blocking(move || {
            let size = usize::try_from(size.min(self.left)).unwrap_or(usize::MAX);
            let mut part = vec![0; size];
            self.file.read_exact(&mut part)?;
            self.whole.update(&part);
            self.left -= size as u64;
            let hash = ContentHash(*blake3::hash(&part).as_bytes());
            Ok((Bytes::from(part), hash, self))
        })
        .await
    }
}
