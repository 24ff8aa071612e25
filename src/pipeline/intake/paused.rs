//! Folders that are paused by a mistake in a file of their own rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Intake;
use super::reasons::mode_name;
use super::scan::NO_ANSWER;
use crate::discover::{Presence, RootMode, Scope};
use crate::disk::SILENT;
use crate::pipeline::place::Mistaken;
use crate::pipeline::{PipelineError, Place};
use crate::queue::FolderRow;

/// The most mistakes that are kept; of more, the recordings still wait.
const MOST_MISTAKES: usize = 1024;
/// The most mistakes that are named where one line has to do.
const MOST_NAMED: usize = 3;

/// Every file of rules with a mistake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Paused {
    files: BTreeMap<PathBuf, Fault>,
}

/// What is wrong with a file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    root: PathBuf,
    text: String,
    is_closed: bool,
}

impl Paused {
    pub(super) fn add(&mut self, place: &Place, mistaken: Mistaken) {
        if self.files.len() < MOST_MISTAKES {
            let fault = Fault {
                root: place.root.path().to_owned(),
                text: mistaken.text,
                is_closed: mistaken.is_closed,
            };
            self.files.insert(mistaken.file, fault);
        }
    }

    /// Forgets the files that a scan of `scope` will look at again.
    pub(super) fn forget(&mut self, place: &Place, scope: &Scope) {
        let root = place.root.path();
        self.files.retain(|file, fault| {
            let looked_at = match scope {
                Scope::Root => true,
                Scope::Tree(tree) => file.starts_with(tree),
                Scope::Folder(_) => false,
            };
            fault.root != root || !looked_at
        });
    }

    /// The files in the root at `root` that cannot be read: that they can be is told by no event.
    pub(super) fn closed(&self, root: &Path) -> impl Iterator<Item = &PathBuf> {
        let files = self.files.iter();
        let closed = files.filter(move |(_, fault)| fault.is_closed && fault.root == root);
        closed.map(|(file, _)| file)
    }

    /// What is wrong in the root at `root`, in a sentence.
    fn trouble(&self, root: &Path) -> Option<String> {
        let troubles = self.files.values().filter(|fault| fault.root == root);
        let troubles: Vec<&str> = troubles.map(|fault| fault.text.as_str()).collect();
        let named = troubles.iter().take(MOST_NAMED).copied();
        let named = named.collect::<Vec<_>>().join("; ");
        let more = match troubles.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        match troubles.len() {
            0 => None,
            1 => Some(format!("a folder in it is paused: {named}")),
            count => Some(format!("{count} folders in it are paused: {named}{more}")),
        }
    }
}

impl Intake {
    /// Tells what was paused, and what goes on, since `before`.
    pub(super) async fn tell_paused(&mut self, before: &Paused) -> Result<(), PipelineError> {
        if self.paused == *before {
            return Ok(());
        }
        for (file, Fault { text, .. }) in &self.paused.files {
            if before.files.get(file).is_none_or(|was| was.text != *text) {
                tracing::warn!("its recordings wait: {text}");
            }
        }
        let mended = before.files.keys();
        for file in mended.filter(|file| !self.paused.files.contains_key(*file)) {
            tracing::info!(file = %file.display(), "mended, its recordings go on");
        }
        for place in self.places.clone() {
            let path = place.root.path();
            if self.paused.trouble(path) != before.trouble(path) {
                self.remember_folder(path, None).await?;
            }
        }
        Ok(())
    }

    /// Keeps in the table how a folder is watched and what is wrong with it, for `status`.
    pub(super) async fn remember_folder(
        &self,
        path: &Path,
        scanned_at: Option<Timestamp>,
    ) -> Result<(), PipelineError> {
        let mode = self.shown_modes.iter().find(|mode| mode.path == path);
        let trouble = self.troubles.get(path);
        let is_silent = mode.is_some_and(|mode| mode.presence == Presence::Silent)
            || trouble.is_some_and(|reason| reason.code == NO_ANSWER);
        self.pipeline.pulse.answers(path, !is_silent);
        let absent = match mode.map(|mode| mode.presence) {
            Some(Presence::Missing) => Some("it is not there".to_owned()),
            Some(Presence::Unreadable) => Some("it cannot be read".to_owned()),
            Some(Presence::Silent) => Some(SILENT.to_owned()),
            // A scan may know it before whoever watches does, and in a run nobody watches.
            Some(Presence::Present) | None => trouble.map(|reason| reason.text.clone()),
        };
        let inside = [self.paused.trouble(path), self.unreadable.trouble(path)];
        let inside: Vec<String> = inside.into_iter().flatten().collect();
        let inside = (!inside.is_empty()).then(|| inside.join("; "));
        let row = FolderRow {
            path: path.to_owned(),
            mode: mode.map(|mode| mode_name(mode.mode).to_owned()),
            mode_reason: mode.map(RootMode::explained),
            trouble: absent,
            inside,
            scanned_at,
        };
        let (queue, now) = (&self.pipeline.queue, self.pipeline.now());
        self.pipeline
            .kept(|| queue.remember_folder(row.clone(), now))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_mistakes_are_named_and_the_rest_counted() {
        let root = PathBuf::from("/in");
        let mut paused = Paused::default();
        let mut told = Vec::new();
        for number in 1..=5 {
            let text = format!("{number}: wrong");
            let file = root.join(format!("{number}/stenod.toml"));
            let fault = Fault {
                root: root.clone(),
                text,
                is_closed: false,
            };
            paused.files.insert(file, fault);
            told.push(paused.trouble(&root).unwrap());
        }
        assert_eq!(told[0], "a folder in it is paused: 1: wrong");
        assert_eq!(told[1], "2 folders in it are paused: 1: wrong; 2: wrong");
        assert!(told[2].ends_with("2: wrong; 3: wrong"), "{told:?}");
        assert!(told[4].ends_with("3: wrong; and 2 more"), "{told:?}");
        assert_eq!(paused.trouble(Path::new("/other")), None);
    }
}
