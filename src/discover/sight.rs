//! One path by itself: what the rules say of it, and what is there.
//!
//! The same rules in the same order as a scan, from the root down to the path, so that an explanation
//! and a scan cannot differ.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::folder::{Entry, Identity, Rules, SkipReason, closed_above, gone, look_at_given};
use super::local::LocalRules;
use super::root::{LeftOut, Root};
use crate::domain::settle::Fingerprint;

/// What a look at one path found.
#[derive(Debug)]
pub enum Sight {
    /// It does not lie in the root.
    Outside,
    /// The root is not there.
    RootMissing,
    /// The root cannot be read.
    RootUnreadable(io::Error),
    /// A rule leaves it out.
    LeftOut {
        /// What the rule speaks of: the path, or a folder above it.
        at: PathBuf,
        /// The rule.
        why: LeftOut,
    },
    /// It is passed over for what it is.
    Passed {
        /// What is passed over: the path, or a folder above it.
        at: PathBuf,
        /// Why.
        why: SkipReason,
    },
    /// There is nothing at the path.
    Gone,
    /// It is a folder that is looked into.
    Folder,
    /// It is a file that may be a recording.
    File {
        /// Its state.
        fingerprint: Fingerprint,
        /// The rules that lie in its folder and above it.
        local: LocalRules,
    },
}

/// Looks at `path` as a scan of `root` does.
pub fn sight(root: &Root, path: &Path) -> Sight {
    let Ok(relative) = path.strip_prefix(root.path()) else {
        return Sight::Outside;
    };
    let there = root.look();
    if root.same_as().is_some() {
        let (at, why) = (root.path().to_owned(), LeftOut::OtherRoot);
        return Sight::LeftOut { at, why };
    }
    match there {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return given(root, path),
        Err(error) if gone(&error) && root.is_broken_link() => return given(root, path),
        Err(error) if gone(&error) => return Sight::RootMissing,
        Err(error) => return Sight::RootUnreadable(error),
    }
    if relative.as_os_str().is_empty() {
        return Sight::Folder;
    }
    if let Some(at) = root.silent_above(relative) {
        let why = SkipReason::Silent;
        return Sight::Passed { at, why };
    }
    go_down(root, relative).unwrap_or_else(|error| {
        if gone(&error) {
            return Sight::Gone;
        }
        let closed = closed_above(path).filter(|_| error.kind() == ErrorKind::PermissionDenied);
        let (at, why) = match closed {
            // Of what is in a folder that may not be entered nothing is known.
            Some(folder) => (folder, SkipReason::ClosedFolder(error)),
            None => (path, SkipReason::Unreadable(error)),
        };
        let at = at.to_owned();
        Sight::Passed { at, why }
    })
}

/// A root that is a file: whoever names it means it.
fn given(root: &Root, path: &Path) -> Sight {
    if path != root.path() {
        return Sight::Outside;
    }
    let at = path.to_owned();
    match look_at_given(root) {
        Ok(Ok(fingerprint)) => Sight::File {
            fingerprint,
            local: LocalRules::above(root, path),
        },
        Ok(Err(why)) => Sight::Passed { at, why },
        Err(error) => Sight::Passed {
            at,
            why: SkipReason::Unreadable(error),
        },
    }
}

fn go_down(root: &Root, relative: &Path) -> io::Result<Sight> {
    let mut at = root.path().to_owned();
    let mut above = vec![Identity::of(&fs::metadata(&at)?)];
    let mut local = LocalRules::above(root, &at).enter(root, &at);
    let mut within = PathBuf::new();
    let mut names = relative.iter().peekable();
    while let Some(name) = names.next() {
        at.push(name);
        let there = fs::symlink_metadata(&at)?;
        let rules = Rules {
            root,
            local: &local,
            within: &within,
        };
        let last = names.peek().is_none();
        match rules.look(&at, name, there.file_type())? {
            Entry::LeftOut(why) => return Ok(Sight::LeftOut { at, why }),
            Entry::Skipped(why) => return Ok(Sight::Passed { at, why }),
            Entry::File(fingerprint) if last => return Ok(Sight::File { fingerprint, local }),
            Entry::File(_) | Entry::Unasked => return Ok(Sight::Gone),
            Entry::Folder => {}
        }
        let identity = Identity::of(&there);
        if root.is_of_another(identity) {
            let why = LeftOut::OtherRoot;
            return Ok(Sight::LeftOut { at, why });
        }
        if above.contains(&identity) {
            let why = SkipReason::Loop;
            return Ok(Sight::Passed { at, why });
        }
        above.push(identity);
        local = local.enter(root, &at);
        within.push(name);
    }
    Ok(Sight::Folder)
}

#[cfg(test)]
mod tests;
