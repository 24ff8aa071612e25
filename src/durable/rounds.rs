//! Syncs of a file system that are shared: while one goes on, all who want the next gather, and one of them has it
//! done for all. Whoever is alone syncs what is his own and nothing else.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

/// A file system, opened before anything was written to it.
#[derive(Debug, Clone)]
pub(super) struct System {
    file: Arc<File>,
    /// The number of this opening, of all in this process.
    opened: u64,
}

impl System {
    /// Opens the file system of `folder`.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let opened = OPENED.fetch_add(1, Ordering::SeqCst);
        let file = Arc::new(File::open(folder)?);
        Ok(Self { file, opened })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// The rounds of each file system on which somebody is writing, by its device.
static SYSTEMS: LazyLock<Mutex<HashMap<u64, Arc<Rounds>>>> = LazyLock::new(Mutex::default);

/// Comes back when all that was written to `system`, on `device`, before is on the disk: by a sync of it all
/// that is shared with others, or by `alone` where there are none.
pub(super) fn sync(
    device: u64,
    system: &System,
    alone: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let rounds = {
        let mut systems = lock(&SYSTEMS);
        // Nobody but this table has those of disks to which nothing is written any more.
        systems.retain(|of, rounds| *of == device || Arc::strong_count(rounds) > 1);
        systems.entry(device).or_default().clone()
    };
    rounds.sync(system, alone, |system| rustix::fs::syncfs(system.file()))
}

#[derive(Debug, Default)]
struct Rounds {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The round that gathers.
    round: u64,
    /// How many are in it.
    members: usize,
    /// The file system as the first of them opened it: that opening is told of every write of theirs that failed.
    earliest: Option<System>,
    is_syncing: bool,
    /// What came of rounds that not all of their members know of yet, and how many do not.
    results: HashMap<u64, (Result<(), Errno>, usize)>,
}

impl Rounds {
    fn sync(
        &self,
        system: &System,
        alone: impl Fn() -> io::Result<()>,
        together: impl Fn(&System) -> Result<(), Errno>,
    ) -> io::Result<()> {
        let mut state = lock(&self.state);
        let round = state.join(system);
        while state.is_syncing && !state.results.contains_key(&round) {
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(result) = state.result_of(round) {
            return Ok(result?);
        }
        let (members, earliest) = state.begin();
        drop(state);
        let Some(earliest) = earliest.filter(|_| members > 1) else {
            let result = alone();
            lock(&self.state).is_syncing = false;
            self.ended.notify_all();
            return result;
        };
        let result = together(&earliest);
        let mut state = lock(&self.state);
        state.is_syncing = false;
        state.results.insert(round, (result, members - 1));
        drop(state);
        self.ended.notify_all();
        Ok(result?)
    }
}

impl State {
    fn join(&mut self, system: &System) -> u64 {
        self.members += 1;
        let first = self.earliest.take();
        let first = first.filter(|first| first.opened < system.opened);
        self.earliest = Some(first.unwrap_or_else(|| system.clone()));
        self.round
    }

    /// Ends the gathering; gives how many are in the round, and the earliest opening.
    fn begin(&mut self) -> (usize, Option<System>) {
        self.is_syncing = true;
        self.round += 1;
        (std::mem::take(&mut self.members), self.earliest.take())
    }

    /// What came of a round, for one of those who waited for it.
    fn result_of(&mut self, round: u64) -> Option<Result<(), Errno>> {
        let (result, waiting) = self.results.get_mut(&round)?;
        let result = *result;
        *waiting -= 1;
        if *waiting == 0 {
            self.results.remove(&round);
        }
        Some(result)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn whoever_is_alone_syncs_what_is_his_own() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::open(folder.path()).unwrap();
        let rounds = Rounds::default();
        for _ in 0..3 {
            rounds
                .sync(&system, || Ok(()), |_| panic!("nobody else is there"))
                .unwrap();
        }
        let error = rounds.sync(
            &system,
            || Err(io::ErrorKind::StorageFull.into()),
            |_| Ok(()),
        );
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        rounds.sync(&system, || Ok(()), |_| Ok(())).unwrap();
    }

    #[test]
    fn those_who_come_during_a_sync_share_the_next_one_and_its_fate() {
        let folder = tempfile::tempdir().unwrap();
        let systems: Vec<System> = (0..9)
            .map(|_| System::open(folder.path()).unwrap())
            .collect();
        for fate in [Ok(()), Err(Errno::NOSPC)] {
            let rounds = Rounds::default();
            let shared = AtomicUsize::new(0);
            let (begin, begun) = mpsc::sync_channel(1);
            let (open, gate) = mpsc::sync_channel::<()>(1);
            let gate = Mutex::new(gate);
            let together = |system: &System| {
                assert_eq!(system.opened, systems[1].opened);
                shared.fetch_add(1, Ordering::SeqCst);
                fate
            };
            thread::scope(|scope| {
                let first = scope.spawn(|| {
                    let held = || {
                        begin.send(()).unwrap();
                        lock(&gate).recv().unwrap();
                        Ok(())
                    };
                    rounds.sync(&systems[0], held, together)
                });
                begun.recv().unwrap();
                // The last to open comes first: still it is the earliest opening that is asked.
                let others: Vec<_> = systems[1..]
                    .iter()
                    .rev()
                    .map(|system| {
                        scope.spawn(|| rounds.sync(system, || panic!("not alone"), together))
                    })
                    .collect();
                while lock(&rounds.state).members < others.len() {
                    thread::yield_now();
                }
                open.send(()).unwrap();
                first.join().unwrap().unwrap();
                for other in others {
                    let ended = other.join().unwrap();
                    assert_eq!(ended.is_err(), fate.is_err(), "{ended:?}");
                }
            });
            assert_eq!(shared.load(Ordering::SeqCst), 1);
            assert!(lock(&rounds.state).results.is_empty());
        }
    }
}
