//! Whether a disk answers at all: a network drive that hangs blocks whoever asks it, for hours.
//!
//! Each question is asked by a thread of its own, so that nobody else is blocked by it. As long as one is
//! open no other is asked, and the answer is no; an answer is believed for a second, in which a storm of
//! files would ask thousands of times.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is waited for (10 s): a disk that was asleep needs some seconds to turn.
const PATIENCE: Duration = Duration::from_secs(10);
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

/// What came of the questions so far.
#[derive(Debug, Default)]
struct Asked {
    /// The one that was not answered yet.
    open: Option<Receiver<()>>,
    answered: Option<Instant>,
}

impl Answering {
    pub(super) fn new(path: &Path) -> Self {
        Self::asked(path, ask, PATIENCE)
    }

    pub(super) fn asked(path: &Path, question: fn(&Path), patience: Duration) -> Self {
        Self {
            path: path.to_owned(),
            question,
            patience,
            asked: Mutex::default(),
        }
    }

    /// Whether the disk answers, be it that nothing is there; blocks for as long as it takes, 10 s at the
    /// most.
    pub(super) fn answers(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.answered.is_some_and(|at| at.elapsed() < BELIEVED) {
            return true;
        }
        let (answer, patience) = match asked.open.take() {
            Some(answer) => (answer, Duration::ZERO),
            None => {
                let (path, question) = (self.path.clone(), self.question);
                let Some(answer) = ask_apart(move || question(&path)) else {
                    return true;
                };
                (answer, self.patience)
            }
        };
        match answer.recv_timeout(patience) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                asked.answered = Some(Instant::now());
                true
            }
            Err(RecvTimeoutError::Timeout) => {
                asked.open = Some(answer);
                false
            }
        }
    }
}

/// What the system answers for the path with its links resolved; nothing where that is none, or no answer
/// came.
pub(super) fn real_path(path: &Path) -> Option<PathBuf> {
    let path = path.to_owned();
    in_time(PATIENCE, move || fs::canonicalize(path).ok()).flatten()
}

/// What came of a look at disks; nothing where that took longer than `patience`.
pub fn in_time<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    ask_apart(look)?.recv_timeout(patience).ok()
}

/// Asks in a thread of its own; nothing where the system gives none.
fn ask_apart<T: Send + 'static>(
    question: impl FnOnce() -> T + Send + 'static,
) -> Option<Receiver<T>> {
    let (sender, answer) = sync_channel(1);
    let asking = thread::Builder::new().name("ask-disk".to_owned());
    // Whoever asked may have gone.
    let asking = asking.spawn(move || drop(sender.send(question())));
    asking
        .inspect_err(|error| tracing::debug!("a disk cannot be asked: {error}"))
        .ok()
        .map(|_| answer)
}

/// Asks for what no cache knows.
fn ask(path: &Path) {
    drop(rustix::fs::statvfs(path));
    drop(fs::read_dir(path).map(|mut entries| entries.next()));
}

#[cfg(test)]
mod tests {
    use super::*;

    static GATE: Mutex<()> = Mutex::new(());

    fn behind_the_gate(_: &Path) {
        drop(GATE.lock());
    }

    #[test]
    fn a_disk_that_hangs_is_asked_once_and_answers_when_it_goes_on() {
        let moment = Duration::from_millis(1);
        let mut disk = Answering::asked(Path::new("/mnt"), behind_the_gate, moment);
        let gate = GATE.lock().unwrap();
        assert!(!disk.answers());
        // Not even waited for, while the first question is open.
        disk.patience = Duration::MAX;
        assert!(!disk.answers());
        drop(gate);
        let answer = disk.asked.lock().unwrap().open.take().unwrap();
        answer.recv().unwrap();
        assert!(disk.answers());
    }

    #[test]
    fn whatever_is_said_of_a_folder_is_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Answering::new(folder.path()).answers());
        assert!(Answering::new(&folder.path().join("missing")).answers());
        let real = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(real_path(folder.path()), Some(real));
        assert_eq!(real_path(&folder.path().join("missing")), None);
    }
}
