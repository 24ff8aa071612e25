//! Files that are written together, by any number of threads: two syncs of a file system for all of them, which
//! are shared with whoever else writes there at that moment.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rounds::{self, System};
use super::{Existing, USUAL_MODE, draft_path, fill_draft, folder_of, put, remove_after};

/// The most files of a batch that are synced each for itself, where nobody else writes at that moment.
const FEW: usize = 16;

/// Files that are written together.
///
/// As with [`super::write()`], none appears before its bytes are on the disk, and after success all survive a
/// power cut.
#[derive(Debug, Default)]
pub struct Batch(Mutex<Together>);

/// What a batch holds by now.
#[derive(Debug, Default)]
struct Together {
    drafts: Vec<Drafted>,
    targets: HashSet<PathBuf>,
    /// The file systems, by their devices.
    systems: HashMap<u64, System>,
}

#[derive(Debug)]
struct Drafted {
    target: PathBuf,
    draft: PathBuf,
    existing: Existing,
    device: u64,
    /// Kept open while there are few.
    file: Option<File>,
}

impl Batch {
    fn together(&self) -> MutexGuard<'_, Together> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the draft of one file.
    ///
    /// # Errors
    /// Any error of the file system; [`io::ErrorKind::AlreadyExists`] for a second file of one name.
    pub fn add(&self, target: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
        let device = self.claim(target)?;
        let draft = draft_of(target);
        let file = match fill_draft(&draft, bytes, USUAL_MODE) {
            Ok(file) => file,
            Err(error) => {
                self.together().targets.remove(target);
                return Err(remove_after(&draft, error));
            }
        };
        let mut together = self.together();
        let is_few = together.drafts.len() < FEW;
        together.drafts.push(Drafted {
            target: target.to_owned(),
            draft,
            existing,
            device,
            file: is_few.then_some(file),
        });
        Ok(())
    }

    /// Takes a name for whoever asks first, and opens its file system; gives the device.
    fn claim(&self, target: &Path) -> io::Result<u64> {
        let folder = folder_of(target);
        let device = folder.metadata()?.dev();
        let mut together = self.together();
        // Opened before anything is written: the system tells of a failed write who had it open then.
        if let Entry::Vacant(free) = together.systems.entry(device) {
            free.insert(System::open(folder)?);
        }
        if together.targets.insert(target.to_owned()) {
            Ok(device)
        } else {
            Err(io::Error::from(io::ErrorKind::AlreadyExists))
        }
    }

    /// Puts every file in its place, after which the batch is empty; says of each whether it is there.
    pub fn finish(&self) -> HashMap<PathBuf, io::Result<()>> {
        let together = std::mem::take(&mut *self.together());
        let drafted = together.sync(Drafted::sync_bytes);
        let put_one = |one: &Drafted| {
            let made = match &drafted {
                Ok(()) => one.put(),
                Err(error) => Err(again(error)),
            };
            made.map_err(|error| remove_after(&one.draft, error))
        };
        let mut results: Vec<_> = together.drafts.iter().map(put_one).collect();
        if let Err(error) = together.sync(Drafted::sync_folders) {
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(again(&error));
            }
        }
        let targets = together.drafts.into_iter().map(|one| one.target);
        targets.zip(results).collect()
    }
}

impl Together {
    /// Syncs each file system; where nobody else does at that moment and there are few files, `few` of it.
    fn sync(&self, few: impl Fn(&[&Drafted]) -> io::Result<()>) -> io::Result<()> {
        for (device, system) in &self.systems {
            let on_it = |one: &&Drafted| one.device == *device;
            let drafts: Vec<&Drafted> = self.drafts.iter().filter(on_it).collect();
            if self.drafts.len() <= FEW {
                rounds::sync(*device, system, || few(&drafts))?;
            } else {
                rustix::fs::syncfs(system.file())?;
            }
        }
        Ok(())
    }
}

impl Drafted {
    fn sync_bytes(drafts: &[&Self]) -> io::Result<()> {
        let files = drafts.iter().filter_map(|one| one.file.as_ref());
        files.into_iter().try_for_each(File::sync_all)
    }

    fn sync_folders(drafts: &[&Self]) -> io::Result<()> {
        let folders = drafts.iter().map(|one| folder_of(&one.target));
        let folders: BTreeSet<&Path> = folders.collect();
        let mut folders = folders.into_iter();
        folders.try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn put(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.draft == self.target {
            return Ok(());
        }
        put(&self.draft, &self.target, self.existing)?;
        #[cfg(test)]
        crate::faults::meet(crate::faults::Point::Renamed)?;
        Ok(())
    }
}

fn draft_of(target: &Path) -> PathBuf {
    #[cfg(test)]
    if crate::faults::planted(crate::faults::Bug::NoDraft) {
        return target.to_owned();
    }
    draft_path(target)
}

/// The same error for another file.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{tests::names, write};

    #[test]
    fn a_batch_puts_every_file_in_its_place_and_tells_what_it_could_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("theirs"), b"theirs", Existing::Keep).unwrap();
        write(&at("ours"), b"old", Existing::Keep).unwrap();
        let batch = Batch::default();
        batch.add(&at("theirs"), b"new", Existing::Keep).unwrap();
        batch.add(&at("ours"), b"new", Existing::Replace).unwrap();
        batch.add(&at("free"), b"new", Existing::Keep).unwrap();
        let twice = batch
            .add(&at("free"), b"other", Existing::Keep)
            .unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
        assert!(batch.add(&at("no/where"), b"", Existing::Keep).is_err());
        assert_eq!(std::fs::read(at("ours")).unwrap(), b"old");
        let kinds: HashMap<_, _> = batch
            .finish()
            .into_iter()
            .map(|(path, result)| (path, result.map_err(|error| error.kind())))
            .collect();
        let taken = io::ErrorKind::AlreadyExists;
        let expected = [
            (at("theirs"), Err(taken)),
            (at("ours"), Ok(())),
            (at("free"), Ok(())),
        ];
        assert_eq!(kinds, HashMap::from(expected));
        assert_eq!(std::fs::read(at("theirs")).unwrap(), b"theirs");
        assert_eq!(std::fs::read(at("free")).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["free", "ours", "theirs"]);
    }

    #[test]
    fn of_threads_that_want_one_name_one_gets_it_and_its_bytes_stand_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("talk.txt");
        let batch = Batch::default();
        let wins: Vec<String> = std::thread::scope(|scope| {
            let add = |number: usize| {
                let bytes = format!("by thread {number}");
                let added = batch.add(&target, bytes.as_bytes(), Existing::Keep);
                added.is_ok().then_some(bytes)
            };
            let threads: Vec<_> = (0..8)
                .map(|number| scope.spawn(move || add(number)))
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            ended.flatten().collect()
        });
        assert_eq!(wins.len(), 1);
        assert!(batch.finish().into_values().all(|result| result.is_ok()));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), wins[0]);
        assert_eq!(names(folder.path()), ["talk.txt"]);
    }
}
