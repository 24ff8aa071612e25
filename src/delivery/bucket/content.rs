//! A file read once from its start, in parts, hashed as it is read, and never past its known length.
//!
//! BLAKE3 is a tree in which each part is a branch, so that every byte is hashed once: for its part, and
//! the whole is put together from the parts (section 2.1 of the BLAKE3 paper).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode};
use blake3::hazmat::{merge_subtrees_non_root, merge_subtrees_root};
use bytes::Bytes;

use super::super::direct::{Stamp, Unchanged, blocking};
use crate::domain::job::ContentHash;
use crate::source;

/// How many bytes a part has, but for the last: a power of two, as a branch of the tree has them.
pub const PART_SIZE: u64 = 8 << 20;

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
    parts: Vec<ChainingValue>,
    /// What all of it hashes to, as long as there is no second part.
    only: blake3::Hash,
    /// Memory of parts that were sent, for those to come.
    spare: Vec<Vec<u8>>,
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
                parts: Vec::new(),
                only: blake3::hash(&[]),
                spare: Vec::new(),
            })
        })
        .await
    }

    /// What was read, proven to be what was hashed; none where it is not, or the file is another by now.
    pub(super) async fn proven_by(&self, reading: &Reading) -> io::Result<Option<Unchanged>> {
        let is_whole = reading.left == 0;
        let is_the_same = reading.whole().as_bytes() == &self.hash.0;
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
            let (part, _, rest) = reading.next_part().await?;
            reading = rest;
            reading.reuse(part);
        }
        self.proven_by(&reading).await
    }
}

impl Reading {
    /// The next part, and the value of its branch.
    pub(super) async fn next_part(mut self) -> io::Result<(Bytes, ContentHash, Self)> {
        blocking(move || {
            let size = PART_SIZE.min(self.left);
            let mut part = self.spare.pop().unwrap_or_default();
            part.clear();
            part.reserve_exact(usize::try_from(size).unwrap_or_default());
            (&self.file).take(size).read_to_end(&mut part)?;
            if part.len() as u64 != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if part.is_empty() {
                // Nothing is no branch.
                return Ok((Bytes::new(), ContentHash(*self.only.as_bytes()), self));
            }
            self.left -= size;
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(self.parts.len() as u64 * PART_SIZE);
            hasher.update(&part);
            let branch = hasher.finalize_non_root();
            if self.parts.is_empty() {
                self.only = hasher.finalize();
            }
            self.parts.push(branch);
            Ok((Bytes::from(part), ContentHash(branch), self))
        })
        .await
    }

    /// Takes the memory of a part back that nobody reads any more.
    pub(super) fn reuse(&mut self, part: Bytes) {
        if part.is_unique() {
            self.spare.push(part.into());
        }
    }

    /// What all parts together hash to.
    fn whole(&self) -> blake3::Hash {
        match halves(&self.parts) {
            Some((left, right)) => merge_subtrees_root(&left, &right, Mode::Hash),
            None => self.only,
        }
    }
}

/// The values of the two branches that this many parts are divided into; none for less than two.
fn halves(parts: &[ChainingValue]) -> Option<(ChainingValue, ChainingValue)> {
    let (left, right) = parts.split_at_checked(parts.len().next_power_of_two() / 2)?;
    Some((branch(left)?, branch(right)?))
}

fn branch(parts: &[ChainingValue]) -> Option<ChainingValue> {
    match parts {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (left, right) = halves(parts)?;
            Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Existing, write};

    #[tokio::test]
    async fn parts_together_hash_to_what_the_whole_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.wav");
        let part = usize::try_from(PART_SIZE).unwrap();
        for size in [
            0,
            1,
            part,
            part + 1,
            2 * part,
            3 * part + 1024,
            5 * part - 1,
        ] {
            let bytes: Vec<u8> = (0_u8..251).cycle().take(size).collect();
            write(&path, &bytes, Existing::Replace).unwrap();
            let content = Content {
                path: path.clone(),
                size: size as u64,
                hash: ContentHash(*blake3::hash(&bytes).as_bytes()),
            };
            assert!(content.prove().await.unwrap().is_some(), "{size}");
        }
    }
}
