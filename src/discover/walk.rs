//! Walks the folders of a root, depth first, by name, one listing at a time in memory.
//!
//! Scanning and watching share this walk, so that both see the same folders. A folder is entered before
//! it is read: who watches it on entry misses nothing that is created while it is read.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::{Path, PathBuf};

use super::folder::{Identity, Listing, SkipReason, gone, list};
use super::local::LocalRules;
use super::root::Root;
use crate::domain::settle::Fingerprint;

/// Whoever is led through the folders; `Break` ends the walk.
pub(super) trait Visitor {
    /// Whether files are wanted, or folders alone.
    const FILES: bool;

    /// A folder is about to be read; `false` leaves it out with all below it.
    fn enter(&mut self, folder: &Path, identity: Identity) -> ControlFlow<(), bool>;
    /// A file that may be a recording, and the rules that lie in its folder and above it.
    fn file(
        &mut self,
        path: PathBuf,
        fingerprint: Fingerprint,
        local: &LocalRules,
    ) -> ControlFlow<()>;
    /// Something that was passed over.
    fn skipped(&mut self, path: PathBuf, reason: SkipReason) -> ControlFlow<()>;
    /// Entries or folders that went away meanwhile.
    fn vanished(&mut self, count: u64);
}

/// Walks the folder `within` (relative to the root, not left out by its rules) and, if `deep`, all below.
///
/// # Errors
/// When that folder cannot be read; what cannot be read below it is told to the visitor.
pub(super) fn walk(
    root: &Root,
    within: &Path,
    deep: bool,
    visitor: &mut impl Visitor,
) -> io::Result<ControlFlow<()>> {
    if let Some(silent) = root.silent_above(within) {
        return Ok(visitor.skipped(silent, SkipReason::Silent));
    }
    if is_ignored(root, within) {
        return Ok(Continue(()));
    }
    let mounted = root.mounted_inside();
    let mut above: Vec<Level> = Vec::new();
    let mut step = read(root, within.to_owned(), &above, visitor)?;
    loop {
        match step {
            Continue(level) if deep => above.extend(level),
            Continue(_) => return Ok(Continue(())),
            Break(()) => return Ok(Break(())),
        }
        let Some(within) = next(&mut above) else {
            return Ok(Continue(()));
        };
        let path = root.path().join(&within);
        if mounted.contains(&within) && root.silent_above(&within).is_some() {
            step = nothing(visitor.skipped(path, SkipReason::Silent));
            continue;
        }
        step = match read(root, within, &above, visitor) {
            Ok(step) => step,
            Err(error) if gone(&error) => {
                visitor.vanished(1);
                Continue(None)
            }
            Err(error) => nothing(visitor.skipped(path, SkipReason::ClosedFolder(error))),
        };
    }
}

/// Whether rules that lie in folders leave out the folder `within`, or one above it, or that is another root: a walk that begins inside of the
/// root has not come by them.
fn is_ignored(root: &Root, within: &Path) -> bool {
    let mut at = root.path().to_owned();
    let mut local = LocalRules::above(root, &at).enter(root, &at);
    within.iter().any(|name| {
        at.push(name);
        let is_ignored = local.ignored(&at, true).is_some() || is_of_another(root, &at);
        local = local.enter(root, &at);
        is_ignored
    })
}

fn is_of_another(root: &Root, folder: &Path) -> bool {
    let there = fs::symlink_metadata(folder).ok();
    there.is_some_and(|there| root.is_of_another(Identity::of(&there)))
}

/// A folder on the way down, and what is still to be entered of it, the next one last.
struct Level {
    within: PathBuf,
    identity: Identity,
    local: LocalRules,
    folders: Vec<OsString>,
}

type Step = ControlFlow<(), Option<Level>>;

/// The next folder to enter, leaving those that are done.
fn next(above: &mut Vec<Level>) -> Option<PathBuf> {
    loop {
        let level = above.last_mut()?;
        if let Some(name) = level.folders.pop() {
            return Some(level.within.join(name));
        }
        above.pop();
    }
}

fn read<V: Visitor>(
    root: &Root,
    within: PathBuf,
    above: &[Level],
    visitor: &mut V,
) -> io::Result<Step> {
    // The root may be a link; below it, links to folders are not followed.
    let top = within.as_os_str().is_empty();
    let folder = if top {
        root.path().to_owned()
    } else {
        root.path().join(&within)
    };
    let metadata = if top {
        fs::metadata(&folder)?
    } else {
        fs::symlink_metadata(&folder)?
    };
    if metadata.is_symlink() {
        return Ok(nothing(visitor.skipped(folder, SkipReason::FolderLink)));
    }
    let identity = Identity::of(&metadata);
    if !top && root.is_of_another(identity) {
        return Ok(Continue(None));
    }
    if above.iter().any(|level| level.identity == identity) {
        return Ok(nothing(visitor.skipped(folder, SkipReason::Loop)));
    }
    match visitor.enter(&folder, identity) {
        Break(()) => return Ok(Break(())),
        Continue(false) => return Ok(Continue(None)),
        Continue(true) => {}
    }
    let local = match above.last() {
        Some(level) => level.local.enter(root, &folder),
        None => LocalRules::above(root, &folder).enter(root, &folder),
    };
    let listing = list(root, &folder, &within, &local, V::FILES)?;
    let told = tell(&folder, listing, &local, visitor);
    Ok(told.map_continue(|mut folders| {
        folders.reverse();
        Some(Level {
            within,
            identity,
            local,
            folders,
        })
    }))
}

/// Tells the visitor what a folder holds and gives back its folders.
fn tell(
    folder: &Path,
    listing: Listing,
    local: &LocalRules,
    visitor: &mut impl Visitor,
) -> ControlFlow<(), Vec<OsString>> {
    visitor.vanished(listing.vanished);
    for (name, reason) in listing.skipped {
        visitor.skipped(folder.join(name), reason)?;
    }
    for (name, fingerprint) in listing.files {
        visitor.file(folder.join(name), fingerprint, local)?;
    }
    if let Some(error) = listing.broken {
        visitor.skipped(folder.to_owned(), SkipReason::ClosedFolder(error))?;
    }
    Continue(listing.folders)
}

fn nothing(told: ControlFlow<()>) -> Step {
    told.map_continue(|()| None)
}
