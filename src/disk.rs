//! Disks, which need not answer: a network drive that hangs blocks whoever asks it, for hours.
//!
//! Each question is asked by a thread of its own, and an answer is waited for so long and no longer. Where a
//! path leads is not asked again while it was not answered, so that threads that hang do not pile up.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is waited for (10 s): a disk that was asleep needs some seconds to turn.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer is waited for that is not needed to go on (2 s).
pub const QUICK: Duration = Duration::from_secs(2);

/// What is wrong with a path whose disk did not answer.
pub const SILENT: &str = "it does not answer: a disk or a network drive hangs";

/// The questions where a path leads that are not answered yet.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Arc<Question>>>> = LazyLock::new(Mutex::default);

/// Where a path leads, for as many as ask.
#[derive(Debug)]
struct Question {
    asked: Instant,
    answer: Mutex<Option<Option<PathBuf>>>,
    answered: Condvar,
}

/// The path with its links resolved; nothing where that is none, or no answer came within `patience` of when
/// it was asked for first.
pub fn real_path(path: &Path, patience: Duration) -> Option<PathBuf> {
    Question::about(path, leads_to).within(patience)
}

/// The same for many, in the time of one.
pub fn real_paths<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
    patience: Duration,
) -> Vec<Option<PathBuf>> {
    let ask = |path| Question::about(path, leads_to);
    let asked: Vec<_> = paths.into_iter().map(ask).collect();
    let answers = asked.iter().map(|question| question.within(patience));
    answers.collect()
}

/// The path from the root of the disk on, without `.`, `..` and a slash at its end: every spelling of a path is the
/// same after it. Above a link to a folder is what is above that folder; where nothing is there, or no answer comes,
/// the names alone decide.
///
/// # Errors
/// For a path that is empty, or a relative one where the current folder is gone.
pub fn straight(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    Ok(straightened(&absolute))
}

/// The same for a path that begins at the root of the disk.
pub fn straightened(absolute: &Path) -> PathBuf {
    if !absolute
        .components()
        .any(|part| part == Component::ParentDir)
    {
        return absolute.components().collect();
    }
    let asked = absolute.to_owned();
    in_time(QUICK, move || without_parents(&asked, link_leads_to))
        .unwrap_or_else(|| without_parents(absolute, |_| None))
}

/// The path without `..`, where `link` says of a link where it leads.
fn without_parents(path: &Path, link: impl Fn(&Path) -> Option<PathBuf>) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            straight = link(&straight).unwrap_or(straight);
            straight.pop();
        } else {
            straight.push(part);
        }
    }
    straight
}

fn link_leads_to(path: &Path) -> Option<PathBuf> {
    path.is_symlink().then(|| leads_to(path)).flatten()
}

/// What came of a look at disks; nothing where that took longer than `patience`.
pub fn in_time<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    ask_apart(look)?.recv_timeout(patience).ok()
}

/// What came of the same look at each of many, in the time of one.
pub fn each_in_time<Item: Send + 'static, T: Send + 'static>(
    items: impl IntoIterator<Item = Item>,
    patience: Duration,
    look: fn(Item) -> T,
) -> Vec<Option<T>> {
    let until = Instant::now() + patience;
    let ask = |item| ask_apart(move || look(item));
    let asked: Vec<_> = items.into_iter().map(ask).collect();
    let wait = |answer: Option<Receiver<T>>| {
        let left = until.saturating_duration_since(Instant::now());
        answer?.recv_timeout(left).ok()
    };
    asked.into_iter().map(wait).collect()
}

/// Asks in a thread of its own; nothing where the system gives none.
pub fn ask_apart<T: Send + 'static>(
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

fn leads_to(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

impl Question {
    /// The question about `path` that is open, else a new one.
    fn about(path: &Path, ask: fn(&Path) -> Option<PathBuf>) -> Arc<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = open.get(path) {
            return question.clone();
        }
        let question = Arc::new(Self {
            asked: Instant::now(),
            answer: Mutex::default(),
            answered: Condvar::new(),
        });
        let (path, asked) = (path.to_owned(), question.clone());
        let asking = {
            let path = path.clone();
            ask_apart(move || asked.close(&path, ask(&path)))
        };
        match asking {
            Some(_) => drop(open.insert(path, question.clone())),
            None => question.answer_with(None),
        }
        question
    }

    /// Takes the answer, after which the next who asks asks anew.
    fn close(&self, path: &Path, answer: Option<PathBuf>) {
        self.answer_with(answer);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(path);
    }

    fn answer_with(&self, answer: Option<PathBuf>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.answered.notify_all();
    }

    fn within(&self, patience: Duration) -> Option<PathBuf> {
        let left = patience.saturating_sub(self.asked.elapsed());
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .answered
            .wait_timeout_while(answer, left, |answer| answer.is_none());
        let (answer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        answer.clone().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static GATE: Mutex<()> = Mutex::new(());

    fn behind_the_gate(path: &Path) -> Option<PathBuf> {
        drop(GATE.lock());
        Some(path.to_owned())
    }

    #[test]
    fn where_a_hanging_path_leads_is_asked_once_and_known_when_it_goes_on() {
        let path = Path::new("/mnt/hangs");
        let moment = Duration::from_millis(1);
        let gate = GATE.lock().unwrap();
        let question = Question::about(path, behind_the_gate);
        assert_eq!(question.within(moment), None);
        // The same question, whoever asks, for which nobody waits any more who is as patient.
        let again = Question::about(path, |_| panic!("it was asked a second time"));
        assert!(Arc::ptr_eq(&question, &again));
        assert_eq!(again.within(moment), None);
        drop(gate);
        assert_eq!(again.within(Duration::MAX), Some(path.to_owned()));
    }

    #[test]
    fn every_spelling_of_a_path_is_the_same_when_it_is_straight() {
        let folder = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(top.join("far/end")).unwrap();
        std::os::unix::fs::symlink(top.join("far/end"), top.join("a/link")).unwrap();
        for (written, meant) in [
            ("a/./b/", "a/b"),
            ("a/b/../n.wav", "a/n.wav"),
            ("a/b/../../n.wav", "n.wav"),
            // Above a link is what is above the folder that it leads to.
            ("a/link/../n.wav", "far/n.wav"),
            // A link that nothing is above stays one.
            ("a/b/../link/n.wav", "a/link/n.wav"),
            ("a/gone/../n.wav", "a/n.wav"),
        ] {
            assert_eq!(
                straight(&top.join(written)).unwrap(),
                top.join(meant),
                "{written}"
            );
        }
        assert_eq!(straightened(Path::new("/../..")), Path::new("/"));
        assert!(straight(Path::new("")).is_err());
    }

    #[test]
    fn what_hangs_takes_no_time_of_the_others() {
        let looks = each_in_time([false, true, false], Duration::from_millis(100), |hangs| {
            if hangs {
                thread::park();
            }
            hangs
        });
        assert_eq!(looks, [Some(false), None, Some(false)]);
    }

    #[test]
    fn a_path_leads_where_its_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let missing = folder.path().join("missing");
        let paths = [&link, &missing].map(PathBuf::as_path);
        assert_eq!(real_paths(paths, PATIENCE), [Some(real.clone()), None]);
        assert_eq!(real_path(&link, PATIENCE), Some(real));
    }
}
