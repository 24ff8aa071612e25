//! Whether a disk answers at all: a network drive that hangs blocks whoever asks it, for hours.
//!
//! Each question is asked by a thread of its own, so that nobody else is blocked by it. As long as one is
//! open no other is asked, and the answer is no; an answer is believed for a second, in which a storm of
//! files would ask thousands of times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::mounts::mounted_below;
use crate::disk::{PATIENCE, ask_apart};

/// How long an answer is believed (1 s).
const BELIEVED: Duration = Duration::from_secs(1);

/// Asks one disk, at a path of it.
#[derive(Debug)]
pub(super) struct Answering {
    path: PathBuf,
    question: fn(&Path),
    /// How long an answer is waited for.
    patience: Duration,
    asked: Mutex<Asked>,
}

/// A question that was asked and not answered.
#[derive(Debug)]
struct Open {
    asked: Instant,
    answer: Receiver<()>,
}

/// What came of the questions so far.
#[derive(Debug, Default)]
struct Asked {
    /// The one that was not answered yet.
    open: Option<Open>,
    answered: Option<Instant>,
}

impl Answering {
    pub(super) fn new(path: &Path) -> Self {
        Self::asked(path, look, PATIENCE)
    }

    pub(super) fn asked(path: &Path, question: fn(&Path), patience: Duration) -> Self {
        Self {
            path: path.to_owned(),
            question,
            patience,
            asked: Mutex::default(),
        }
    }

    /// Asks, if that is not done yet, and waits for nothing: so that many disks are asked in the time of one.
    pub(super) fn ask(&self) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.open.is_none() && !asked.is_believed() {
            asked.open = self.open();
        }
    }

    /// Whether the disk answers, be it that nothing is there; blocks for as long as it takes, 10 s after it was
    /// asked at the most.
    pub(super) fn answers(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_believed() {
            return true;
        }
        let Some(open) = asked.open.take().or_else(|| self.open()) else {
            return true;
        };
        let left = self.patience.saturating_sub(open.asked.elapsed());
        match open.answer.recv_timeout(left) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                asked.answered = Some(Instant::now());
                true
            }
            Err(RecvTimeoutError::Timeout) => {
                asked.open = Some(open);
                false
            }
        }
    }

    /// Nothing where the system gives no thread for it.
    fn open(&self) -> Option<Open> {
        let (path, question) = (self.path.clone(), self.question);
        let answer = ask_apart(move || question(&path))?;
        let asked = Instant::now();
        Some(Open { asked, answer })
    }
}

impl Asked {
    fn is_believed(&self) -> bool {
        self.answered.is_some_and(|at| at.elapsed() < BELIEVED)
    }
}

/// Asks the disks that are mounted inside a folder, each at the path where it is mounted.
#[derive(Debug)]
pub(super) struct Inside {
    question: fn(&Path),
    patience: Duration,
    /// One for each disk that was asked and is still mounted.
    disks: Mutex<BTreeMap<PathBuf, Arc<Answering>>>,
    /// Folders that count as mounted, whatever the kernel says.
    #[cfg(test)]
    also: BTreeSet<PathBuf>,
}

impl Inside {
    pub(super) fn new() -> Self {
        Self {
            question: look,
            patience: PATIENCE,
            disks: Mutex::default(),
            #[cfg(test)]
            also: BTreeSet::new(),
        }
    }

    /// The same, where the folder `within` counts as another disk, which answers when `question` does.
    #[cfg(test)]
    pub(super) fn with(mut self, within: &str, question: fn(&Path)) -> Self {
        (self.question, self.patience) = (question, Duration::from_millis(1));
        self.also.insert(PathBuf::from(within));
        self
    }

    /// The disk at or above `within` that does not answer, the outermost first, where `folder` leads to `real`;
    /// blocks for 10 s at the most, and not at all where an earlier question was not answered.
    pub(super) fn silent_above(
        &self,
        folder: &Path,
        real: &Path,
        within: &Path,
    ) -> Option<PathBuf> {
        let points = self.points(real);
        let above = points.into_iter().filter(|point| within.starts_with(point));
        self.silent(folder, above)
    }

    /// A disk at any place inside that does not answer.
    pub(super) fn silent_below(&self, folder: &Path, real: &Path) -> Option<PathBuf> {
        let points = self.points(real);
        self.silent(folder, points.into_iter())
    }

    /// What is mounted inside the folder that leads to `real`, relative to it.
    pub(super) fn points(&self, real: &Path) -> BTreeSet<PathBuf> {
        let mounted = mounted_below(real);
        #[cfg(test)]
        let mounted: BTreeSet<PathBuf> = mounted.union(&self.also).cloned().collect();
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|point, _| mounted.contains(point));
        mounted
    }

    fn silent(&self, folder: &Path, points: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
        let ask = |point: PathBuf| {
            let path = folder.join(&point);
            let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Answering::asked(&path, self.question, self.patience));
            let disk = disks.entry(point).or_insert_with(new);
            disk.clone()
        };
        // One after the other: below one that hangs no other is asked.
        let mut disks = points.map(ask);
        let silent = disks.find(|disk| !disk.answers())?;
        Some(silent.path.clone())
    }
}

/// Asks for what no cache knows.
fn look(path: &Path) {
    drop(rustix::fs::statvfs(path));
    drop(fs::read_dir(path).map(|mut entries| entries.next()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks of a moment each, after which a disk that goes on has answered on any machine.
    const LOOKS: usize = 10_000;

    static GATE: Mutex<()> = Mutex::new(());

    fn behind_the_gate(_: &Path) {
        drop(GATE.lock());
    }

    #[test]
    fn a_disk_that_hangs_is_asked_once_and_answers_when_it_goes_on() {
        let moment = Duration::from_millis(1);
        let disk = Answering::asked(Path::new("/mnt"), behind_the_gate, moment);
        let gate = GATE.lock().unwrap();
        assert!(!disk.answers());
        let asked_at = || {
            let asked = disk.asked.lock().unwrap();
            asked.open.as_ref().map(|open| open.asked)
        };
        let first = asked_at();
        assert!(!disk.answers());
        disk.ask();
        assert_eq!(asked_at(), first);
        drop(gate);
        let open = disk.asked.lock().unwrap().open.take().unwrap();
        open.answer.recv().unwrap();
        // A busy machine may take more than the moment of one look.
        assert!((0..LOOKS).any(|_| disk.answers()));
    }

    #[test]
    fn only_what_lies_on_a_disk_that_hangs_is_silent() {
        static SHUT: Mutex<()> = Mutex::new(());
        let gate = SHUT.lock().unwrap();
        let inside = Inside::new().with("disk", |_| drop(SHUT.lock()));
        let top = Path::new("/no such folder");
        let silent = |within: &str| inside.silent_above(top, top, Path::new(within));
        assert_eq!(silent("disk/deep/1.mp3"), Some(top.join("disk")));
        assert_eq!(silent("disk"), Some(top.join("disk")));
        assert_eq!(silent("disks"), None);
        assert_eq!(silent(""), None);
        assert_eq!(inside.silent_below(top, top), Some(top.join("disk")));
        drop(gate);
        let disk = inside.disks.lock().unwrap()[Path::new("disk")].clone();
        let open = disk.asked.lock().unwrap().open.take().unwrap();
        open.answer.recv().unwrap();
        assert!((0..LOOKS).any(|_| silent("disk").is_none()));
    }

    #[test]
    fn whatever_is_said_of_a_folder_is_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Answering::new(folder.path()).answers());
        assert!(Answering::new(&folder.path().join("missing")).answers());
    }
}
