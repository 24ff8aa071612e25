//! What happened where, gathered from the handler of events until somebody takes it.
//!
//! It holds each path once and a bounded number of paths; what does not fit becomes one fact: look at
//! everything. The handler decides by name alone and never touches the disk, for a slow handler loses
//! events without a word.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::discover::local::holds_rules;
use crate::discover::root::Roots;
use crate::domain::settle::hidden;

/// What to look at, about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    /// Files changed in this folder.
    pub(super) files: bool,
    /// Something came to, or went from, this path; it may be a folder.
    pub(super) moved: bool,
    /// The attributes changed of what is at this path; it may be a folder.
    pub(super) touched: bool,
}

impl Look {
    pub(super) const FILES: Self = Self {
        files: true,
        moved: false,
        touched: false,
    };
    pub(super) const MOVED: Self = Self {
        files: false,
        moved: true,
        touched: false,
    };
    pub(super) const TOUCHED: Self = Self {
        files: false,
        moved: false,
        touched: true,
    };

    pub(super) fn merge(&mut self, other: Self) {
        self.files |= other.files;
        self.moved |= other.moved;
        self.touched |= other.touched;
    }
}

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// What to look at, and when that was told last.
    pub(super) looks: HashMap<PathBuf, (Look, Instant)>,
    /// Too much happened, or events were lost.
    pub(super) everything: bool,
    /// Whether anything was posted at all.
    pub(super) any: bool,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    capacity: usize,
    arrival: Notify,
}

impl Mailbox {
    /// A mailbox for at most `capacity` distinct paths.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            letters: Mutex::default(),
            capacity,
            arrival: Notify::new(),
        }
    }

    /// Takes in what the kernel tells.
    pub(super) fn receive(&self, event: notify::Result<Event>, roots: &Roots) {
        match event {
            Ok(event) if event.need_rescan() => self.post_everything(),
            Ok(event) => sort(&event, roots, &mut |path, look| self.post(path, look)),
            Err(error) => {
                tracing::warn!(%error, "watching failed for a moment, everything is scanned again");
                self.post_everything();
            }
        }
    }

    pub(super) fn post(&self, path: &Path, look: Look) {
        let mut letters = self.letters();
        letters.any = true;
        if letters.everything {
        } else if let Some((known, told)) = letters.looks.get_mut(path) {
            known.merge(look);
            *told = Instant::now();
        } else if letters.looks.len() < self.capacity {
            letters
                .looks
                .insert(path.to_owned(), (look, Instant::now()));
        } else {
            letters.everything = true;
            letters.looks = HashMap::new();
        }
        drop(letters);
        self.arrival.notify_one();
    }

    fn post_everything(&self) {
        *self.letters() = Letters {
            everything: true,
            any: true,
            looks: HashMap::new(),
        };
        self.arrival.notify_one();
    }

    /// Takes what was gathered since the last time.
    pub(super) fn take(&self) -> Letters {
        std::mem::take(&mut *self.letters())
    }

    /// Waits until something is posted.
    pub(super) async fn arrival(&self) {
        self.arrival.notified().await;
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts an event into what to look at; most are of no interest (reading a file is an event, too).
fn sort(event: &Event, roots: &Roots, post: &mut dyn FnMut(&Path, Look)) {
    for path in &event.paths {
        let Some(root) = roots.owner(path) else {
            continue;
        };
        let name = path.file_name().unwrap_or_default();
        let top = path == root.path();
        if holds_rules(name) && !top && is_change(event.kind) {
            // What holds in a folder changed: all below is looked at, as if it had just come.
            if let Some(folder) = path.parent() {
                post(folder, Look::MOVED);
            }
            continue;
        }
        if hidden(name) && !top {
            continue;
        }
        let recording = !top && root.no_candidate(name).is_none();
        match interest(event.kind) {
            Interest::File if recording => post_folder_of(path, post),
            Interest::Attributes if recording => post_folder_of(path, post),
            Interest::Attributes => post(path, Look::TOUCHED),
            Interest::Either => post(path, Look::MOVED),
            Interest::File | Interest::None => {}
        }
    }
}

fn post_folder_of(path: &Path, post: &mut dyn FnMut(&Path, Look)) {
    if let Some(folder) = path.parent() {
        post(folder, Look::FILES);
    }
}

/// Whether what is at the path may be another one now, or none.
fn is_change(kind: EventKind) -> bool {
    match interest(kind) {
        Interest::File | Interest::Either | Interest::Attributes => true,
        Interest::None => matches!(kind, EventKind::Remove(RemoveKind::File)),
    }
}

enum Interest {
    /// It is about a file, and of interest if that may be a recording.
    File,
    /// It is, or was, or may be, about a folder.
    Either,
    /// It may make readable what was not.
    Attributes,
    None,
}

fn interest(kind: EventKind) -> Interest {
    match kind {
        EventKind::Create(CreateKind::File)
        | EventKind::Modify(ModifyKind::Data(_))
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Interest::File,
        EventKind::Create(CreateKind::Folder | CreateKind::Any | CreateKind::Other)
        | EventKind::Modify(ModifyKind::Name(
            RenameMode::From
            | RenameMode::To
            | RenameMode::Both
            | RenameMode::Any
            | RenameMode::Other,
        ))
        | EventKind::Remove(RemoveKind::Folder | RemoveKind::Any | RemoveKind::Other)
        | EventKind::Modify(ModifyKind::Any)
        | EventKind::Any => Interest::Either,
        EventKind::Modify(ModifyKind::Metadata(_)) => Interest::Attributes,
        EventKind::Remove(RemoveKind::File)
        | EventKind::Modify(ModifyKind::Other)
        | EventKind::Access(
            AccessKind::Any
            | AccessKind::Read
            | AccessKind::Open(_)
            | AccessKind::Close(
                AccessMode::Any | AccessMode::Execute | AccessMode::Read | AccessMode::Other,
            )
            | AccessKind::Other,
        )
        | EventKind::Other => Interest::None,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use notify::event::{DataChange, Flag, MetadataKind};

    use super::*;
    use crate::discover::root::{Root, RootRules};

    fn candidate(extension: &OsStr) -> bool {
        extension == "mp3"
    }

    fn roots() -> Roots {
        let root = Root::new(Path::new("/in"), RootRules::default(), candidate).unwrap();
        Roots::new(vec![root]).unwrap()
    }

    /// What is posted of an event about `path`.
    fn posted(kind: EventKind, path: &str) -> Vec<(String, Look)> {
        let mailbox = Mailbox::new(9);
        mailbox.receive(Ok(Event::new(kind).add_path(path.into())), &roots());
        let looks = mailbox.take().looks.into_iter();
        looks
            .map(|(path, (look, _))| (path.display().to_string(), look))
            .collect()
    }

    #[test]
    fn a_file_that_may_be_a_recording_is_a_look_at_its_folder() {
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let changed = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let allowed = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        for kind in [
            EventKind::Create(CreateKind::File),
            written,
            changed,
            allowed,
        ] {
            let folder = [("/in/deep".to_owned(), Look::FILES)];
            assert_eq!(posted(kind, "/in/deep/a.mp3"), folder, "{kind:?}");
            assert_eq!(posted(kind, "/elsewhere/a.mp3"), [], "{kind:?}");
        }
        for path in ["/in/a.txt", "/in/.a.mp3", "/in/a.mp3.part", "/in/~$a.mp3"] {
            assert_eq!(posted(written, path), [], "{path}");
        }
    }

    #[test]
    fn whatever_may_be_a_folder_that_came_or_went_is_looked_at() {
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let kinds = [
            EventKind::Create(CreateKind::Folder),
            EventKind::Remove(RemoveKind::Folder),
            renamed(RenameMode::From),
            renamed(RenameMode::To),
        ];
        for kind in kinds {
            for path in ["/in/deep", "/in/a.mp3", "/in"] {
                assert_eq!(
                    posted(kind, path),
                    [(path.to_owned(), Look::MOVED)],
                    "{kind:?}"
                );
            }
            assert_eq!(posted(kind, "/in/.stversions"), [], "{kind:?}");
        }
    }

    #[test]
    fn reading_a_file_is_of_no_interest() {
        for access in [
            AccessKind::Open(AccessMode::Any),
            AccessKind::Close(AccessMode::Read),
        ] {
            assert_eq!(posted(EventKind::Access(access), "/in/a.mp3"), []);
        }
        assert_eq!(posted(EventKind::Remove(RemoveKind::File), "/in/a.mp3"), []);
    }

    #[test]
    fn lost_events_and_errors_are_a_look_at_everything() {
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for event in [Ok(lost), Err(notify::Error::generic("broken"))] {
            let mailbox = Mailbox::new(9);
            mailbox.post(Path::new("/in"), Look::FILES);
            mailbox.receive(event, &roots());
            let letters = mailbox.take();
            assert!(letters.everything && letters.looks.is_empty());
            assert!(!mailbox.take().everything);
        }
    }

    #[test]
    fn more_paths_than_fit_are_a_look_at_everything() {
        let mailbox = Mailbox::new(2);
        for path in ["/in/a", "/in/b", "/in/a"] {
            mailbox.post(Path::new(path), Look::FILES);
        }
        mailbox.post(Path::new("/in/a"), Look::MOVED);
        let letters = mailbox.take();
        assert!(!letters.everything);
        let both = Look {
            files: true,
            moved: true,
            touched: false,
        };
        assert_eq!(letters.looks[Path::new("/in/a")].0, both);

        for path in ["/in/a", "/in/b", "/in/c", "/in/d"] {
            mailbox.post(Path::new(path), Look::FILES);
        }
        let letters = mailbox.take();
        assert!(letters.everything && letters.looks.is_empty());
    }
}
