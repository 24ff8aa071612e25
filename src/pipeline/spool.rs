//! Files that are made of recordings and sent in their stead: shrunk copies, and pieces.
//!
//! They lie in the state directory, are proven like a recording when they are sent, and can always be
//! made again: the same recording gives the same bytes. None outlives the job that it was made for.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::domain::audio::AudioDuration;
use crate::domain::job::{ContentHash, JobId};
use crate::durable::{self, Draft};
use crate::queue::{SPOOL, piece_path};

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    /// In bytes.
    pub(super) size: u64,
    pub(super) hash: ContentHash,
    /// The length of its sound.
    pub(super) duration: Option<AudioDuration>,
}

/// The folder of what was made, and how much is made at once.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// A permit for each core.
    pub(super) cores: Arc<Semaphore>,
    /// Shrunk copies that were made by this process and are there yet.
    shrunk: Mutex<HashMap<JobId, Made>>,
}

impl Spool {
    /// The folder in `state_dir`; `cores` files are made at once.
    pub fn new(state_dir: &Path, cores: usize) -> Self {
        Self {
            folder: state_dir.join(SPOOL),
            cores: Arc::new(Semaphore::new(cores.max(1))),
            shrunk: Mutex::default(),
        }
    }

    /// Where the shrunk copy of a recording goes.
    pub(super) fn shrunk_path(&self, id: JobId) -> PathBuf {
        self.folder.join(format!("{id}.ogg"))
    }

    /// Where a piece of a recording goes.
    pub(super) fn piece_path(&self, parent: JobId, number: u32) -> PathBuf {
        self.folder.join(piece_path(parent, number))
    }

    /// The shrunk copy that was made of a recording earlier.
    pub(super) fn shrunk(&self, id: JobId) -> Option<Made> {
        let shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        shrunk.get(&id).cloned()
    }

    pub(super) fn keep(&self, id: JobId, made: Made) {
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        shrunk.insert(id, made);
    }

    /// Removes the shrunk copy of a recording, if there is one; blocks.
    pub(super) fn drop_shrunk(&self, id: JobId) -> io::Result<()> {
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        match shrunk.remove(&id) {
            Some(made) => remove(&made.path),
            None => Ok(()),
        }
    }

    /// Removes a piece; blocks.
    pub(super) fn drop_piece(&self, parent: JobId, number: u32) -> io::Result<()> {
        remove(&self.piece_path(parent, number))
    }

    /// Removes everything but these pieces: what an earlier process left for nobody; blocks.
    pub(super) fn sweep(&self, needed: &[(JobId, u32)]) -> io::Result<()> {
        let needed: HashSet<PathBuf> = needed
            .iter()
            .map(|(parent, number)| self.piece_path(*parent, *number))
            .collect();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if !needed.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Begins a file; blocks.
    pub(super) fn begin(&self, path: &Path) -> io::Result<Hashed> {
        durable::create_private_folder(&self.folder)?;
        Ok(Hashed {
            draft: Draft::begin_secret(path)?,
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that is hashed while it is written.
pub(super) struct Hashed {
    draft: Draft,
    hasher: blake3::Hasher,
    size: u64,
}

impl Hashed {
    /// Gives the file its name.
    pub(super) fn finish(self, duration: Option<AudioDuration>) -> io::Result<Made> {
        let path = self.draft.target().to_owned();
        self.draft.finish(durable::Existing::Replace)?;
        Ok(Made {
            path,
            size: self.size,
            hash: ContentHash(*self.hasher.finalize().as_bytes()),
            duration,
        })
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.draft.write(bytes)?;
        if let Some(written) = bytes.get(..count) {
            self.hasher.update(written);
        }
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(spool: &Spool, path: &Path, bytes: &[u8]) -> Made {
        let mut file = spool.begin(path).unwrap();
        file.write_all(bytes).unwrap();
        file.finish(None).unwrap()
    }

    #[test]
    fn a_made_file_is_known_by_its_size_and_hash() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 1);
        let made = made(&spool, &spool.shrunk_path(JobId(7)), b"speech");
        assert_eq!(made.size, 6);
        assert_eq!(made.hash.0, *blake3::hash(b"speech").as_bytes());
        assert_eq!(std::fs::read(&made.path).unwrap(), b"speech");
    }

    #[test]
    fn a_sweep_leaves_only_the_pieces_that_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 1);
        spool.sweep(&[]).unwrap();
        let needed = made(&spool, &spool.piece_path(JobId(7), 2), b"2");
        let ended = made(&spool, &spool.piece_path(JobId(7), 1), b"1");
        let shrunk = made(&spool, &spool.shrunk_path(JobId(8)), b"8");
        spool.sweep(&[(JobId(7), 2)]).unwrap();
        assert!(needed.path.exists() && !ended.path.exists() && !shrunk.path.exists());
    }

    #[test]
    fn a_file_that_was_not_finished_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 1);
        let path = spool.shrunk_path(JobId(7));
        let mut file = spool.begin(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            0
        );
    }
}
