//! Files and folders inside a root that cannot be read: told once, shown while it lasts, tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::Intake;
use crate::discover::{Scope, SkipReason};
use crate::disk::SILENT;
use crate::domain::job::Reason;
use crate::pipeline::{PipelineError, Place};

/// The most that are kept; of more, the scan of everything finds out.
const MOST_UNREADABLE: usize = 1024;
/// The most links to nothing that are tried; of more, the scan of everything finds out.
const MOST_DANGLING: usize = 1024;
/// The most that one scan tells of in the log by name.
const MOST_LOGGED: usize = 10;

/// What cannot be read, by path.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// As the scans found it so far.
    found: BTreeMap<PathBuf, Denied>,
    /// What was told of, and is not mended yet.
    told: BTreeMap<PathBuf, Denied>,
    /// Links to nothing, each with its root: what is put where they lead is told by no event.
    dangling: BTreeMap<PathBuf, PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Denied {
    root: PathBuf,
    is_folder: bool,
    /// Whether it is tried at every look at the roots.
    is_tried: bool,
    /// What is wrong with it, as the rest of a sentence.
    why: String,
}

fn cannot_be_read(error: &impl fmt::Display) -> String {
    format!("cannot be read: {error}")
}

impl Denied {
    /// Whether a scan of `scope` looks at `path` again.
    fn is_in(&self, path: &Path, root: &Path, scope: &Scope) -> bool {
        self.root == root
            && match scope {
                Scope::Root => true,
                Scope::Tree(tree) => path.starts_with(tree),
                Scope::Folder(folder) => {
                    path == folder || (!self.is_folder && path.parent() == Some(folder))
                }
            }
    }
}

impl Unreadable {
    /// Takes in what a scan passed over, if that is for want of a right or a sound disk.
    pub(super) fn note(&mut self, place: &Place, path: &Path, reason: &SkipReason) {
        let (why, is_folder) = match reason {
            SkipReason::Unreadable(error) => (cannot_be_read(error), false),
            SkipReason::ClosedFolder(error) => (cannot_be_read(error), true),
            SkipReason::Silent => (SILENT.trim_start_matches("it ").to_owned(), true),
            SkipReason::NotRegular { .. }
            | SkipReason::Excluded { .. }
            | SkipReason::NotIncluded
            | SkipReason::TemporaryName { .. }
            | SkipReason::FolderLink
            | SkipReason::Loop => return,
            SkipReason::BrokenLink => {
                if self.dangling.len() < MOST_DANGLING {
                    let root = place.root.path().to_owned();
                    self.dangling.insert(path.to_owned(), root);
                }
                return;
            }
        };
        let denied = Denied {
            root: place.root.path().to_owned(),
            is_folder,
            is_tried: true,
            why,
        };
        self.add(path, denied);
    }

    /// Takes in that a file could not be read though its rights allow it. It is tried again by scans alone:
    /// whether a failing disk reads it by now, only reading it would tell.
    pub(super) fn examined(&mut self, place: &Place, path: &Path, reason: &Reason) {
        let denied = Denied {
            root: place.root.path().to_owned(),
            is_folder: false,
            is_tried: false,
            why: cannot_be_read(&reason.text),
        };
        self.add(path, denied);
    }

    /// What may be readable again in the root at `root` without a word, so that it has to be tried.
    fn to_be_tried(&self, root: &Path) -> impl Iterator<Item = &PathBuf> {
        let tried = self.found.iter();
        let tried = tried.filter(move |(_, denied)| denied.is_tried && denied.root == root);
        let dangling = self.dangling.iter();
        let dangling = dangling.filter(move |(_, owner)| *owner == root);
        tried
            .map(|(path, _)| path)
            .chain(dangling.map(|(path, _)| path))
    }

    fn add(&mut self, path: &Path, denied: Denied) {
        if self.found.len() < MOST_UNREADABLE {
            self.found.insert(path.to_owned(), denied);
        }
    }

    /// Forgets what a scan of `scope` will look at again.
    pub(super) fn forget(&mut self, place: &Place, scope: &Scope) {
        let root = place.root.path();
        self.found
            .retain(|path, denied| !denied.is_in(path, root, scope));
        self.dangling.retain(|path, owner| {
            let looked_at = match scope {
                Scope::Root => true,
                Scope::Tree(tree) => path.starts_with(tree),
                Scope::Folder(folder) => path.parent() == Some(folder),
            };
            owner != root || !looked_at
        });
    }

    /// What is wrong in the root at `root`, in a sentence.
    pub(super) fn trouble(&self, root: &Path) -> Option<String> {
        let mut here = self.told.iter().filter(|(_, denied)| denied.root == root);
        let (first, Denied { why, .. }) = here.next()?;
        let first = first.display();
        Some(match here.count() {
            0 => format!("{first} {why}"),
            more => format!(
                "{} files or folders in it cannot be read, the first: {first} {why}",
                more + 1
            ),
        })
    }

    /// What is new since it was told, and what was mended, after a scan of `scope`.
    fn news(&mut self, root: &Path, scope: &Scope) -> News {
        let new = self.found.iter();
        let new: Vec<(PathBuf, Denied)> = new
            .filter(|(path, _)| !self.told.contains_key(*path))
            .map(|(path, denied)| (path.clone(), denied.clone()))
            .collect();
        let found = &self.found;
        let mended = self.told.extract_if(.., |path, denied| {
            denied.is_in(path, root, scope) && !found.contains_key(path)
        });
        let mended = mended.map(|(path, _)| path).collect();
        self.told.extend(new.iter().cloned());
        let new = new.into_iter().map(|(path, denied)| (path, denied.why));
        News {
            new: new.collect(),
            mended,
        }
    }
}

/// What is to be told after a scan.
#[derive(Debug, PartialEq, Eq)]
struct News {
    new: Vec<(PathBuf, String)>,
    mended: Vec<PathBuf>,
}

impl Intake {
    /// Tells what cannot be read since the scan of `scope`, and what can be again.
    pub(super) async fn tell_unreadable(
        &mut self,
        place: &Place,
        scope: &Scope,
    ) -> Result<(), PipelineError> {
        let root = place.root.path();
        if let Some(closed) = &self.closed {
            let paths = self.unreadable.to_be_tried(root).cloned();
            let itself = self
                .troubles
                .get_key_value(root)
                .map(|(root, _)| root.clone());
            let rules = self.paused.closed(root).cloned();
            let paths: BTreeSet<PathBuf> = paths.chain(itself).chain(rules).collect();
            closed.keep(root, paths);
        }
        if self.troubles.contains_key(root) {
            // Nothing in it was looked at.
            return Ok(());
        }
        let before = self.unreadable.trouble(root);
        let news = self.unreadable.news(root, scope);
        for (path, why) in news.new.iter().take(MOST_LOGGED) {
            let (what, why) = why.split_once(": ").unwrap_or((why, ""));
            tracing::warn!(path = %path.display(), "it {what}, and is tried again: {why}");
        }
        if let Some(more) = news.new.len().checked_sub(MOST_LOGGED + 1) {
            tracing::warn!(folder = %root.display(), "and {} more cannot be read", more + 1);
        }
        for path in news.mended.iter().take(MOST_LOGGED) {
            tracing::info!(path = %path.display(), "it can be read again, or is gone");
        }
        if self.unreadable.trouble(root) != before {
            self.remember_folder(root, None).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(found: &[(&str, bool)]) -> Unreadable {
        let mut unreadable = Unreadable::default();
        for (path, is_folder) in found {
            let denied = Denied {
                root: "/in".into(),
                is_folder: *is_folder,
                is_tried: true,
                why: "is odd".into(),
            };
            unreadable.add(Path::new(path), denied);
        }
        unreadable
    }

    #[test]
    fn what_cannot_be_read_is_told_once_and_once_more_when_it_can() {
        let root = Path::new("/in");
        let mut denied = unreadable(&[("/in/a", true), ("/in/a.wav", false)]);
        let paths = ["/in/a", "/in/a.wav"].map(PathBuf::from);
        let new = paths.clone().map(|path| (path, "is odd".to_owned()));
        let news = denied.news(root, &Scope::Root);
        assert_eq!((news.new, news.mended.len()), (new.to_vec(), 0));
        let told = denied.trouble(root).unwrap();
        assert_eq!(
            told,
            "2 files or folders in it cannot be read, the first: /in/a is odd"
        );
        assert_eq!(denied.trouble(Path::new("/other")), None);

        let news = denied.news(root, &Scope::Root);
        assert_eq!(news, unreadable(&[]).news(root, &Scope::Root));

        // A look at the files of the root says nothing of what is in a folder of it.
        denied.found.clear();
        let news = denied.news(root, &Scope::Folder("/in".into()));
        assert_eq!((news.new.len(), news.mended), (0, vec![paths[1].clone()]));
        assert_eq!(denied.trouble(root).unwrap(), "/in/a is odd");
        let news = denied.news(root, &Scope::Tree("/in/a".into()));
        assert_eq!(news.mended, [paths[0].clone()]);
        assert_eq!(denied.trouble(root), None);
    }
}
