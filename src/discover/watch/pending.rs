//! What has been told and waits for quiet.
//!
//! Each path waits until nothing was told of it for the quiet time, and no longer than the longest time
//! since it was told first: a folder that is never quiet is still scanned. How long that quiet was is handed on:
//! what is in the folder need not be waited for again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::mailbox::{Letters, Look};

/// Gathering happens this many times in each quiet time.
const STEPS: u32 = 5;

#[derive(Debug)]
pub(super) struct Pending {
    quiet: Duration,
    longest: Duration,
    capacity: usize,
    paths: HashMap<PathBuf, (Look, Span)>,
    everything: Option<Span>,
}

/// A path that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) path: PathBuf,
    pub(super) look: Look,
    /// For how long nothing was told of it, nor of the folder it is in, nor of what is in it.
    pub(super) quiet: Duration,
}

/// When it was told first and last.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: Instant,
    last: Instant,
}

impl Pending {
    pub(super) fn new(quiet: Duration, longest: Duration, capacity: usize) -> Self {
        Self {
            quiet,
            longest,
            capacity,
            paths: HashMap::new(),
            everything: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.everything.is_none()
    }

    pub(super) fn clear(&mut self) {
        self.paths = HashMap::new();
        self.everything = None;
    }

    /// Takes in what was told until `now`.
    pub(super) fn gather(&mut self, letters: Letters, now: Instant) {
        if let Some(everything) = &mut self.everything {
            if letters.any {
                everything.last = now;
            }
            return;
        }
        for (path, (look, at)) in letters.looks {
            let span = Span {
                first: at,
                last: at,
            };
            let (known, told) = self.paths.entry(path).or_insert((look, span));
            known.merge(look);
            told.last = at;
        }
        if letters.everything || self.paths.len() > self.capacity {
            let first = self
                .paths
                .values()
                .map(|(_, span)| span.first)
                .min()
                .unwrap_or(now);
            self.paths = HashMap::new();
            self.everything = Some(Span { first, last: now });
        }
    }

    /// When to look again: soon while something waits, so as to see how long it stays quiet.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        if self.is_empty() {
            None
        } else {
            now.checked_add(self.quiet / STEPS)
        }
    }

    pub(super) fn everything_is_due(&self, now: Instant) -> bool {
        self.everything.is_some_and(|span| self.is_due(span, now))
    }

    /// Takes the paths that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Due> {
        let (quiet, longest) = (self.quiet, self.longest);
        if !self.paths.values().any(|(_, span)| self.is_due(*span, now)) {
            return Vec::new();
        }
        let told = self.told_last();
        let due = self
            .paths
            .extract_if(|_, (_, span)| span.is_due(quiet, longest, now));
        due.map(|(path, (look, span))| {
            let around = path.parent().and_then(|folder| told.get(folder));
            let within = told.get(path.as_path());
            let last = around.into_iter().chain(within).max();
            let quiet = now.duration_since(last.copied().unwrap_or(span.last));
            Due { path, look, quiet }
        })
        .collect()
    }

    /// When something was told last of each folder, or of what is in it.
    fn told_last(&self) -> HashMap<PathBuf, Instant> {
        let mut told: HashMap<PathBuf, Instant> = HashMap::new();
        for (path, (_, span)) in &self.paths {
            for of in [Some(path.as_path()), path.parent()].into_iter().flatten() {
                let last = told.entry(of.to_owned()).or_insert(span.last);
                *last = span.last.max(*last);
            }
        }
        told
    }

    fn is_due(&self, span: Span, now: Instant) -> bool {
        span.is_due(self.quiet, self.longest, now)
    }
}

impl Span {
    fn is_due(&self, quiet: Duration, longest: Duration, now: Instant) -> bool {
        now.duration_since(self.last) >= quiet || now.duration_since(self.first) >= longest
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const QUIET: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(5);

    fn letters(paths: &[&str], at: Instant) -> Letters {
        let looks = paths
            .iter()
            .map(|path| (PathBuf::from(path), (Look::FILES, at)))
            .collect();
        Letters {
            looks,
            everything: false,
            any: !paths.is_empty(),
        }
    }

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn due(pending: &mut Pending, now: Instant) -> Vec<PathBuf> {
        let mut due: Vec<_> = pending
            .take_due(now)
            .into_iter()
            .map(|due| due.path)
            .collect();
        due.sort();
        due
    }

    #[test]
    fn a_path_is_due_once_it_is_quiet() {
        let start = Instant::now();
        let mut pending = Pending::new(QUIET, LONGEST, 9);
        pending.gather(letters(&["a", "b"], start), start);
        let later = start + milliseconds(300);
        pending.gather(letters(&["b"], later), later);
        assert_eq!(
            due(&mut pending, start + milliseconds(499)),
            [] as [&Path; 0]
        );
        assert_eq!(
            due(&mut pending, start + milliseconds(500)),
            [Path::new("a")]
        );
        assert_eq!(
            due(&mut pending, start + milliseconds(800)),
            [Path::new("b")]
        );
        assert!(pending.is_empty());
        assert_eq!(pending.next_look(start), None);
    }

    #[test]
    fn a_path_that_is_never_quiet_is_due_after_the_longest_time() {
        let start = Instant::now();
        let mut pending = Pending::new(QUIET, LONGEST, 9);
        for step in 0..50 {
            let now = start + milliseconds(step * 100);
            pending.gather(letters(&["a"], now), now);
            assert_eq!(due(&mut pending, now), [] as [&Path; 0]);
        }
        assert_eq!(due(&mut pending, start + LONGEST), [Path::new("a")]);
    }

    #[test]
    fn what_was_told_of_one_path_is_merged() {
        let start = Instant::now();
        let mut pending = Pending::new(QUIET, LONGEST, 9);
        pending.gather(letters(&["a"], start), start);
        let looks = HashMap::from([(PathBuf::from("a"), (Look::MOVED, start))]);
        pending.gather(
            Letters {
                looks,
                everything: false,
                any: true,
            },
            start,
        );
        let both = Look {
            files: true,
            moved: true,
            touched: false,
        };
        let due = Due {
            path: PathBuf::from("a"),
            look: both,
            quiet: QUIET,
        };
        assert_eq!(pending.take_due(start + QUIET), [due]);
    }

    #[test]
    fn too_many_paths_become_everything_once_it_is_quiet() {
        let start = Instant::now();
        let mut pending = Pending::new(QUIET, LONGEST, 2);
        let at = |count| start + milliseconds(count);
        pending.gather(letters(&["a", "b"], start), start);
        pending.gather(letters(&["c"], at(400)), at(400));
        assert!(due(&mut pending, start + LONGEST).is_empty());
        assert!(!pending.everything_is_due(at(899)));
        pending.gather(letters(&["d"], at(700)), at(700));
        assert!(!pending.everything_is_due(at(1199)));
        assert!(pending.everything_is_due(at(1200)));
        pending.clear();
        assert!(pending.is_empty());
    }

    #[test]
    fn the_quiet_of_a_folder_is_that_of_all_that_was_told_of_it() {
        let start = Instant::now();
        let at = |count| start + milliseconds(count);
        let mut pending = Pending::new(QUIET, LONGEST, 9);
        // Told when it was gathered or before: the quiet begins when it was told.
        pending.gather(letters(&["/in/a", "/in/b"], start), at(90));
        pending.gather(letters(&["/in/a/1.mp3"], at(200)), at(290));
        pending.gather(letters(&["/in/b/deep/1.mp3"], at(300)), at(390));
        let mut due: Vec<_> = pending
            .take_due(at(560))
            .into_iter()
            .map(|due| (due.path, due.quiet))
            .collect();
        due.sort();
        let quiet = |path: &str, count| (PathBuf::from(path), milliseconds(count));
        assert_eq!(due, [quiet("/in/a", 360), quiet("/in/b", 560)]);
        let due = pending.take_due(at(800));
        assert_eq!(due.len(), 2);
    }
}
