//! What is to be scanned of one root, until there is time: each scope once, and a bounded number of them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::discover::{Cause, Hint, Scope};

/// The most hints that wait; more become one scan of the whole root.
const MOST_HINTS: usize = 1024;

/// The hints about one root.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    letters: Mutex<Letters>,
    arrival: Notify,
}

#[derive(Debug, Default)]
struct Letters {
    hints: VecDeque<Hint>,
    /// What is being scanned, each in the middle of the one before.
    scanning: Vec<Scope>,
}

impl Inbox {
    /// Keeps a hint until it is taken.
    pub(super) fn post(&self, mut hint: Hint) {
        let mut letters = self.letters();
        let covers = |scope: &Scope| *scope == Scope::Root || *scope == hint.scope;
        if hint.cause == Cause::Poll && letters.scanning.iter().any(covers) {
            // A disk that is slower than its polls would be scanned without an end.
            return;
        }
        if let Some(known) = letters.hints.iter_mut().find(|known| covers(&known.scope)) {
            known.quiet = known.quiet.min(hint.quiet);
            return;
        }
        if letters.hints.len() >= MOST_HINTS {
            letters.hints.clear();
            hint.scope = Scope::Root;
        }
        letters.hints.push_back(hint);
        drop(letters);
        self.arrival.notify_one();
    }

    /// The next hint, if there is one.
    pub(super) fn take(&self) -> Option<Hint> {
        self.letters().hints.pop_front()
    }

    /// The next hint about the files of a single folder.
    pub(super) fn take_small(&self) -> Option<Hint> {
        let hints = &mut self.letters().hints;
        let is_small = |hint: &Hint| matches!(hint.scope, Scope::Folder(_));
        let small = hints.iter().position(is_small)?;
        hints.remove(small)
    }

    /// Waits for a hint, and takes it; cancel safe.
    pub(super) async fn next(&self) -> Hint {
        loop {
            if let Some(hint) = self.take() {
                return hint;
            }
            self.arrival.notified().await;
        }
    }

    pub(super) fn begin(&self, scope: Scope) {
        self.letters().scanning.push(scope);
    }

    pub(super) fn end(&self) {
        self.letters().scanning.pop();
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::discover::{Root, RootRules};

    fn hint(scope: Scope, cause: Cause, quiet: u64) -> Hint {
        let root = Root::new(Path::new("/in"), RootRules::default(), |_| true).unwrap();
        Hint {
            root: Arc::new(root),
            scope,
            cause,
            quiet: Duration::from_secs(quiet),
        }
    }

    fn folder(number: usize) -> Scope {
        Scope::Folder(format!("/in/{number}").into())
    }

    #[test]
    fn a_hint_waits_once_with_the_shortest_quiet_and_a_small_one_may_go_first() {
        let inbox = Inbox::default();
        inbox.post(hint(Scope::Tree("/in/tree".into()), Cause::Event, 0));
        inbox.post(hint(folder(1), Cause::Event, 3));
        inbox.post(hint(folder(1), Cause::Event, 1));
        let small = inbox.take_small().unwrap();
        assert_eq!(
            (small.scope, small.quiet),
            (folder(1), Duration::from_secs(1))
        );
        assert!(inbox.take_small().is_none());
        assert_eq!(inbox.take().unwrap().scope, Scope::Tree("/in/tree".into()));
        assert!(inbox.take().is_none());
    }

    #[test]
    fn too_many_hints_are_one_scan_of_all_and_that_covers_what_follows() {
        let inbox = Inbox::default();
        (0..=MOST_HINTS).for_each(|number| inbox.post(hint(folder(number), Cause::Event, 0)));
        inbox.post(hint(folder(1), Cause::Event, 0));
        assert_eq!(inbox.take().unwrap().scope, Scope::Root);
        assert!(inbox.take().is_none());
    }

    #[test]
    fn what_is_polled_is_not_hinted_at_while_it_is_scanned() {
        let inbox = Inbox::default();
        inbox.begin(Scope::Root);
        inbox.post(hint(Scope::Root, Cause::Poll, 0));
        assert!(inbox.take().is_none());
        inbox.post(hint(Scope::Root, Cause::Event, 0));
        assert_eq!(inbox.take().unwrap().cause, Cause::Event);
        inbox.end();
        inbox.post(hint(Scope::Root, Cause::Poll, 0));
        assert_eq!(inbox.take().unwrap().cause, Cause::Poll);
    }
}
