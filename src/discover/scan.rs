//! The scan: names what is there, at this moment, in a root or a part of it.
//!
//! Blocking, with one folder's listing in memory; the order is the same for the same files: a folder's
//! files oldest first, then its folders by name.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::ControlFlow::{self, Continue};
use std::path::{Path, PathBuf};

use super::folder::{Identity, SkipReason, gone, look_at_given};
use super::local::LocalRules;
use super::root::Root;
use super::walk::{Visitor, walk};
use crate::domain::settle::Fingerprint;

/// How much of a root to scan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All of it.
    Root,
    /// This folder and all below it.
    Tree(PathBuf),
    /// The files in this folder alone.
    Folder(PathBuf),
}

/// What a scan came across.
#[derive(Debug)]
pub enum Found {
    /// A file that may be a recording, by its name.
    Recording {
        /// Where it is.
        path: PathBuf,
        /// Its state when it was looked at.
        fingerprint: Fingerprint,
        /// The rules that lie in its folder and above it.
        local: LocalRules,
    },
    /// Something that was passed over and that a person should hear about.
    Skipped {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: SkipReason,
    },
}

/// How a scan found its root.
#[derive(Debug, Default)]
pub enum RootState {
    /// It is there.
    #[default]
    Present,
    /// It is not there; which says nothing about the files that were in it.
    Missing,
    /// It is there and cannot be read.
    Unreadable(io::Error),
    /// It is the same folder as an earlier root, which owns what is in it.
    SameAs(PathBuf),
}

/// The sums of a scan.
#[derive(Debug, Default)]
pub struct ScanReport {
    /// How the root was found.
    pub root: RootState,
    /// Folders read.
    pub folders: u64,
    /// Recordings found.
    pub recordings: u64,
    /// Things passed over and told.
    pub skipped: u64,
    /// Entries that went away while they were looked at.
    pub vanished: u64,
    /// Whether `found` ended the scan early.
    pub stopped: bool,
}

/// Scans `scope` of `root`, handing everything to `found` until it breaks.
pub fn scan(
    root: &Root,
    scope: &Scope,
    found: &mut dyn FnMut(Found) -> ControlFlow<()>,
) -> ScanReport {
    let mut scan = Scan {
        found,
        report: ScanReport::default(),
    };
    let there = root.look();
    if let Some(same) = root.same_as() {
        scan.report.root = RootState::SameAs(same);
        return scan.report;
    }
    let (start, deep) = match scope {
        Scope::Root => (root.path(), true),
        Scope::Tree(folder) => (folder.as_path(), true),
        Scope::Folder(folder) => (folder.as_path(), false),
    };
    let Ok(within) = start.strip_prefix(root.path()) else {
        return scan.report;
    };
    if root.folders_left_out(within).is_some() {
        return scan.report;
    }
    let read = match there {
        Ok(metadata) if metadata.is_dir() => walk(root, within, deep, &mut scan),
        Ok(_) => scan.given_file(root),
        Err(error) if gone(&error) && root.is_broken_link() => scan.given_file(root),
        Err(error) => Err(error),
    };
    let ended = read.unwrap_or_else(|error| scan.failed(root, within, error));
    scan.report.stopped = ended.is_break();
    scan.report
}

struct Scan<'a> {
    found: &'a mut dyn FnMut(Found) -> ControlFlow<()>,
    report: ScanReport,
}

impl Scan<'_> {
    fn given_file(&mut self, root: &Root) -> io::Result<ControlFlow<()>> {
        let path = root.path().to_owned();
        Ok(match look_at_given(root)? {
            Ok(fingerprint) => {
                let local = LocalRules::above(root, &path);
                self.file(path, fingerprint, &local)
            }
            Err(reason) => self.skipped(path, reason),
        })
    }

    /// Takes in that the folder the scan began with cannot be read.
    fn failed(&mut self, root: &Root, within: &Path, error: io::Error) -> ControlFlow<()> {
        if within.as_os_str().is_empty() {
            self.report.root = if gone(&error) {
                RootState::Missing
            } else {
                RootState::Unreadable(error)
            };
        } else if !gone(&error) {
            return self.skipped(root.path().join(within), SkipReason::ClosedFolder(error));
        } else if root.path().exists() {
            self.report.vanished += 1;
        } else {
            self.report.root = RootState::Missing;
        }
        Continue(())
    }
}

impl Visitor for Scan<'_> {
    const FILES: bool = true;

    fn enter(&mut self, _: &Path, _: Identity) -> ControlFlow<(), bool> {
        self.report.folders += 1;
        Continue(true)
    }

    fn file(
        &mut self,
        path: PathBuf,
        fingerprint: Fingerprint,
        local: &LocalRules,
    ) -> ControlFlow<()> {
        self.report.recordings += 1;
        let local = local.clone();
        (self.found)(Found::Recording {
            path,
            fingerprint,
            local,
        })
    }

    fn skipped(&mut self, path: PathBuf, reason: SkipReason) -> ControlFlow<()> {
        self.report.skipped += 1;
        (self.found)(Found::Skipped { path, reason })
    }

    fn vanished(&mut self, count: u64) {
        self.report.vanished += count;
    }
}
