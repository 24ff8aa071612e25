//! Roots: the folders (or single files) in which recordings are looked for, and their rules.
//!
//! The rules decide by name alone, so that scanning, watching and explaining agree. Where roots lie
//! inside each other, everything belongs to the innermost.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::answering::{Answering, Inside};
use super::folder::Identity;
use super::globs::{GlobError, Globs};
use super::tops::Tops;
use crate::disk::{QUICK, in_time, real_path, straight};
use crate::domain::settle::{hidden, pruned_folder, temporary_name};

/// How a root learns of what arrives in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchMode {
    /// Events on local disks, polling elsewhere.
    #[default]
    Auto,
    /// Events, whatever the file system.
    Events,
    /// A scan every `poll_every`.
    Poll,
}

/// The rules of a root, in plain values.
#[derive(Debug, Clone, PartialEq)]
pub struct RootRules {
    /// Whether folders below the root count.
    pub recursive: bool,
    /// Globs of the files that count; none means all.
    pub include: Vec<String>,
    /// Globs of files and folders that do not count.
    pub exclude: Vec<String>,
    /// How to learn of what arrives.
    pub watch: WatchMode,
    /// The time between scans where events are of no use.
    pub poll_every: Duration,
}

impl Default for RootRules {
    fn default() -> Self {
        Self {
            recursive: true,
            include: Vec::new(),
            exclude: Vec::new(),
            watch: WatchMode::Auto,
            poll_every: Duration::from_secs(30),
        }
    }
}

/// A root that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A glob of its rules is wrong.
    #[error("{path}: {error}", path = path.display())]
    Glob {
        /// The root.
        path: PathBuf,
        /// The glob and what is wrong with it.
        error: GlobError,
    },
    /// The path is empty, or the current folder of a relative path is gone.
    #[error("{path:?} is no usable path")]
    Path {
        /// The path as given.
        path: PathBuf,
        /// Why it cannot be made absolute.
        source: io::Error,
    },
    /// The same path is given twice with different rules.
    #[error("{path} is given twice, with different rules: give it once", path = path.display())]
    Twice {
        /// The path.
        path: PathBuf,
    },
}

/// Why the rules leave a file or folder out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Its name begins with a dot.
    Hidden,
    /// Its name belongs to a program that is still writing.
    TemporaryName {
        /// The pattern that the name matches.
        pattern: &'static str,
    },
    /// It is a folder in which other programs keep their own things.
    PrunedFolder,
    /// A glob of `exclude` matches.
    Excluded {
        /// The glob.
        glob: String,
    },
    /// No glob of `include` matches.
    NotIncluded,
    /// A line of an ignore file matches.
    Ignored {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The pattern as it was written.
        pattern: String,
    },
    /// It belongs to stenod itself: its state.
    OwnFolder,
    /// Its extension is none of a recording.
    NotAudio,
    /// It lies in a folder below a root that is not recursive.
    TooDeep,
    /// It lies in another root that is inside this one.
    OtherRoot,
    /// It lies outside of the root.
    Outside,
}

impl LeftOut {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::TemporaryName { .. } => "temporary_name",
            Self::PrunedFolder => "pruned_folder",
            Self::Excluded { .. } => "excluded",
            Self::NotIncluded => "not_included",
            Self::Ignored { .. } => "ignored",
            Self::OwnFolder => "own_folder",
            Self::NotAudio => "not_audio",
            Self::TooDeep => "too_deep",
            Self::OtherRoot => "other_root",
            Self::Outside => "outside",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str("hidden: the name begins with a dot"),
            Self::TemporaryName { pattern } => write!(f, "temporary name ({pattern})"),
            Self::PrunedFolder => f.write_str("a folder of another program's own files"),
            Self::Excluded { glob } => write!(f, "excluded by the glob `{glob}`"),
            Self::NotIncluded => f.write_str("matches no glob of `include`"),
            Self::Ignored {
                file,
                line,
                pattern,
            } => write!(
                f,
                "ignored by `{pattern}`, line {line} of {}",
                file.display()
            ),
            Self::OwnFolder => {
                f.write_str("it holds what is stenod's own: its state or its configuration")
            }
            Self::NotAudio => f.write_str("no extension of a recording"),
            Self::TooDeep => f.write_str("below a folder that is not recursive"),
            Self::OtherRoot => f.write_str("belongs to another configured folder"),
            Self::Outside => f.write_str("outside of the folder"),
        }
    }
}

/// A folder, or a single file, in which recordings are looked for.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// The path with links resolved, if it existed when the root was made.
    real: Option<PathBuf>,
    rules: RootRules,
    include: Globs,
    exclude: Globs,
    candidate: fn(&OsStr) -> bool,
    /// Other roots inside this one, relative to it.
    inner: BTreeSet<PathBuf>,
    /// An earlier root that is the same file by another path.
    same_as: Option<PathBuf>,
    /// Which folders lie at all roots.
    tops: Tops,
    is_folder: bool,
    /// The folder from which on downwards files of rules hold.
    rules_from: PathBuf,
    /// The way from the folder by which `include` and `exclude` go to the root, if that is another.
    included_below: PathBuf,
    excluded_below: PathBuf,
    /// Files and folders of stenod itself.
    own: Vec<PathBuf>,
    answering: Answering,
    inside: Inside,
    /// What happens when it is looked at, after it was asked whether it answers.
    #[cfg(test)]
    at_a_look: fn(&Path),
}

impl Root {
    /// A root at `path` (made absolute); `candidate` tells by a file name's extension whether the file
    /// may be a recording.
    ///
    /// # Errors
    /// A glob that cannot be used, or a path that cannot be made absolute.
    pub fn new(
        path: &Path,
        rules: RootRules,
        candidate: fn(&OsStr) -> bool,
    ) -> Result<Self, RootError> {
        let path = straight(path).map_err(|source| RootError::Path {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |error| RootError::Glob {
            path: path.clone(),
            error,
        };
        let include = Globs::new("include", &rules.include).map_err(wrong)?;
        let exclude = Globs::new("exclude", &rules.exclude).map_err(wrong)?;
        let real = real_path(&path, QUICK);
        let folder = real.as_ref().and_then(|_| folder_at(&path));
        let (inner, same_as) = (BTreeSet::new(), None);
        Ok(Self {
            rules_from: path.clone(),
            included_below: PathBuf::new(),
            excluded_below: PathBuf::new(),
            own: Vec::new(),
            answering: Answering::new(&path),
            inside: Inside::new(),
            tops: Tops::of(&path, folder),
            is_folder: folder.is_some(),
            path,
            real,
            rules,
            include,
            exclude,
            candidate,
            inner,
            same_as,
            #[cfg(test)]
            at_a_look: |_| {},
        })
    }

    /// The same root, where files of rules hold from `folder` on, which is above it.
    #[must_use]
    pub fn with_rules_from(mut self, folder: &Path) -> Self {
        if self.path.starts_with(folder) {
            folder.clone_into(&mut self.rules_from);
        }
        self
    }

    /// Whether it was a folder when it was looked at first.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The same root, where the globs are those of the folder above it, from which on rules hold: `include`
    /// where that is so, and `exclude`.
    #[must_use]
    pub fn with_globs_from_there(mut self, include: bool, exclude: bool) -> Self {
        let around = match self.is_folder {
            true => Some(self.path.as_path()),
            false => self.path.parent(),
        };
        let below = around.and_then(|around| around.strip_prefix(&self.rules_from).ok());
        let below = below.unwrap_or(Path::new("")).to_owned();
        if include {
            self.included_below.clone_from(&below);
        }
        if exclude {
            self.excluded_below = below;
        }
        self
    }

    /// The same root, in which these files and folders of stenod itself never count.
    #[must_use]
    pub fn without_own(mut self, own: Vec<PathBuf>) -> Self {
        self.own = own;
        self
    }

    /// The same root, on a disk that answers when `question` does, for which is waited for so long.
    #[cfg(test)]
    pub(super) fn on_a_disk(mut self, question: fn(&Path), patience: Duration) -> Self {
        self.answering = Answering::asked(&self.path, question, patience);
        self
    }

    /// The same root, which is looked at when `look` comes back.
    #[cfg(test)]
    pub(super) fn at_a_look(mut self, look: fn(&Path)) -> Self {
        self.at_a_look = look;
        self
    }

    /// The same root, where the folder `within` is on another disk, which answers when `question` does.
    #[cfg(test)]
    pub(super) fn with_a_disk_at(mut self, within: &str, question: fn(&Path)) -> Self {
        self.inside = self.inside.with(within, question);
        self
    }

    /// The folder that the root belongs to, from which on downwards files of rules hold: itself, or one above it.
    pub fn rules_from(&self) -> &Path {
        &self.rules_from
    }

    /// Whether the file or folder at `path` is one of stenod's own.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        let within = path.strip_prefix(&self.path);
        let real = within.map(|within| self.real_path().join(within));
        let is_own = |own: &PathBuf| own == path || real.as_ref().is_ok_and(|real| own == real);
        self.own.iter().any(is_own)
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path with links resolved, as it was when the root was made.
    pub(super) fn real_path(&self) -> &Path {
        self.real.as_deref().unwrap_or(&self.path)
    }

    /// Asks the disk that it lies on whether it answers, and waits for nothing.
    pub(super) fn ask(&self) {
        self.answering.ask();
    }

    /// Whether the disk that it lies on answers, whatever it says; blocks for 10 s at the most, and not at all
    /// where an earlier question was not answered.
    pub fn answers(&self) -> bool {
        self.answering.answers()
    }

    /// Whether the disk answers that `path` lies on; blocks for as long as [`Root::answers`].
    pub fn answers_at(&self, path: &Path) -> bool {
        let within = path.strip_prefix(&self.path);
        self.answers() && within.is_ok_and(|within| self.silent_above(within).is_none())
    }

    /// The folder at or above `within` (relative to the root, which answers) on a disk that does not answer.
    pub(super) fn silent_above(&self, within: &Path) -> Option<PathBuf> {
        self.inside
            .silent_above(&self.path, self.real_path(), within)
    }

    /// Where other disks are mounted in it, relative to it.
    pub(super) fn mounted_inside(&self) -> BTreeSet<PathBuf> {
        self.inside.points(self.real_path())
    }

    /// A folder in it on a disk that does not answer.
    pub fn silent_inside(&self) -> Option<PathBuf> {
        self.inside.silent_below(&self.path, self.real_path())
    }

    /// The rules it was made with.
    pub fn rules(&self) -> &RootRules {
        &self.rules
    }

    /// The earlier root that is the same folder by another path, which then owns its files.
    pub fn same_as(&self) -> Option<PathBuf> {
        self.same_as.clone().or_else(|| {
            let (path, folder) = self.tops.same_as()?;
            (folder_at(&path) == Some(folder)).then_some(path)
        })
    }

    /// Looks at what lies at its path, and notes it for the sake of the other roots.
    ///
    /// # Errors
    /// Whatever keeps it from being looked at.
    pub(super) fn look(&self) -> io::Result<Metadata> {
        #[cfg(test)]
        (self.at_a_look)(&self.path);
        let looked = fs::metadata(&self.path);
        let folder = looked.as_ref().ok().filter(|there| there.is_dir());
        self.tops.saw(folder.map(Identity::of));
        looked
    }

    /// Whether a folder in it is what lies at another root, by whatever path, which then owns what is in it.
    pub(super) fn is_of_another(&self, folder: Identity) -> bool {
        // The number of a folder that was deleted meanwhile may have been given to another.
        let other = self.tops.other(folder);
        other.is_some_and(|path| folder_at(&path) == Some(folder))
    }

    /// Why the rules leave out the file at `path`, by its name and the names of the folders above it.
    pub fn left_out(&self, path: &Path) -> Option<LeftOut> {
        if path == self.path {
            return self.given_file_left_out();
        }
        let Ok(relative) = path.strip_prefix(&self.path) else {
            return Some(LeftOut::Outside);
        };
        let within = relative.parent().unwrap_or(Path::new(""));
        let name = relative.file_name().unwrap_or_default();
        self.folders_left_out(within)
            .or_else(|| self.file_left_out(within, name))
    }

    /// Why the rules leave out the folder `relative` to the root, or one above it.
    pub fn folders_left_out(&self, relative: &Path) -> Option<LeftOut> {
        let mut within = PathBuf::new();
        for name in relative.iter() {
            if let Some(left_out) = self.folder_left_out(&within, name) {
                return Some(left_out);
            }
            within.push(name);
        }
        None
    }

    /// Why the rules leave out the folder called `name` in `within` (relative to the root).
    pub(super) fn folder_left_out(&self, within: &Path, name: &OsStr) -> Option<LeftOut> {
        if !self.rules.recursive {
            return Some(LeftOut::TooDeep);
        }
        if pruned_folder(name) {
            return Some(LeftOut::PrunedFolder);
        }
        if hidden(name) {
            return Some(LeftOut::Hidden);
        }
        if let Some(pattern) = self.unfinished(name) {
            return Some(LeftOut::TemporaryName { pattern });
        }
        if !self.inner.is_empty() && self.inner.contains(&within.join(name)) {
            return Some(LeftOut::OtherRoot);
        }
        if !self.own.is_empty() && self.is_own(&self.path.join(within).join(name)) {
            return Some(LeftOut::OwnFolder);
        }
        let within = self.excluded_below.join(within);
        self.exclude.folder(&within, name).map(excluded)
    }

    /// The pattern by which a folder is a recording that is still being loaded, as `talk.mp3.download` of Safari.
    fn unfinished(&self, name: &OsStr) -> Option<&'static str> {
        let pattern = temporary_name(name)?;
        let whole = Path::new(name).file_stem().map(Path::new)?;
        whole
            .extension()
            .is_some_and(self.candidate)
            .then_some(pattern)
    }

    /// Why the rules leave out the file called `name` in `within` (relative to the root).
    pub(super) fn file_left_out(&self, within: &Path, name: &OsStr) -> Option<LeftOut> {
        if let Some(left_out) = self.no_candidate(name) {
            return Some(left_out);
        }
        if !self.inner.is_empty() && self.inner.contains(&within.join(name)) {
            return Some(LeftOut::OtherRoot);
        }
        self.globs_left_out(within, name)
    }

    /// Why a file called `name` is none that a person would expect to be transcribed.
    pub(super) fn no_candidate(&self, name: &OsStr) -> Option<LeftOut> {
        if !Path::new(name).extension().is_some_and(self.candidate) {
            return Some(temporary_or(name, LeftOut::NotAudio));
        }
        temporary_name(name).map(|pattern| LeftOut::TemporaryName { pattern })
    }

    /// Why a root that is a file is left out: by a glob, or by a name that says that it is not complete. Whoever
    /// names it means it, whatever else it is called.
    pub(super) fn given_file_left_out(&self) -> Option<LeftOut> {
        let name = self.path.file_name().unwrap_or_default();
        let unfinished = temporary_name(name).map(|pattern| LeftOut::TemporaryName { pattern });
        unfinished.or_else(|| self.globs_left_out(Path::new(""), name))
    }

    /// Whether the root is a link to nothing that is called like a recording.
    pub(super) fn is_broken_link(&self) -> bool {
        let name = self.path.extension();
        name.is_some_and(self.candidate) && self.path.is_symlink()
    }

    fn globs_left_out(&self, within: &Path, name: &OsStr) -> Option<LeftOut> {
        let excluded_within = self.excluded_below.join(within);
        if let Some(glob) = self.exclude.file(&excluded_within, name) {
            return Some(excluded(glob));
        }
        if let Some(glob) = self.excluded_above() {
            return Some(excluded(glob));
        }
        let included_within = self.included_below.join(within);
        let included =
            self.include.is_everything() || self.include.file(&included_within, name).is_some();
        (!included).then_some(LeftOut::NotIncluded)
    }

    /// The glob that leaves out the root itself, or a folder between it and the one that the globs are of.
    fn excluded_above(&self) -> Option<&str> {
        let mut within = PathBuf::new();
        for name in &self.excluded_below {
            if let Some(glob) = self.exclude.folder(&within, name) {
                return Some(glob);
            }
            within.push(name);
        }
        None
    }

    fn relation(&self, other: &Self) -> Option<PathBuf> {
        let below = |mine: &Path, theirs: &Path| Some(theirs.strip_prefix(mine).ok()?.to_owned());
        let by_links = || {
            // Where a folder lies may change; that is seen when it is come across.
            let is_fixed = !other.is_folder;
            let other = other.real.as_deref().filter(|_| is_fixed)?;
            below(self.real.as_deref()?, other)
        };
        below(&self.path, &other.path).or_else(by_links)
    }
}

/// All roots of a run, knowing of each other.
#[derive(Debug, Clone)]
pub struct Roots {
    roots: Arc<[Arc<Root>]>,
}

impl Roots {
    /// Takes the roots together; one that is given again with the same rules is dropped.
    ///
    /// # Errors
    /// [`RootError::Twice`] when the same path comes with different rules.
    pub fn new(given: Vec<Root>) -> Result<Self, RootError> {
        let mut roots: Vec<Root> = Vec::with_capacity(given.len());
        for mut root in given {
            if let Some(first) = roots.iter().find(|first| first.path == root.path) {
                if first.rules == root.rules {
                    continue;
                }
                return Err(RootError::Twice { path: root.path });
            }
            for first in &mut roots {
                introduce(first, &mut root);
            }
            roots.push(root);
        }
        Tops::together(roots.iter_mut().map(|root| &mut root.tops));
        Ok(Self {
            roots: roots.into_iter().map(Arc::new).collect(),
        })
    }

    /// The roots in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Root>> {
        self.roots.iter()
    }

    /// The innermost root that `path` lies in.
    pub fn owner(&self, path: &Path) -> Option<&Arc<Root>> {
        let holding = self
            .roots
            .iter()
            .filter(|root| path.starts_with(&root.path));
        holding.max_by_key(|root| root.path.as_os_str().len())
    }
}

/// Tells two roots of each other where one lies inside the other.
fn introduce(first: &mut Root, second: &mut Root) {
    if let Some(below) = first.relation(second) {
        if below.as_os_str().is_empty() {
            second.same_as = Some(first.path.clone());
        } else {
            first.inner.insert(below);
        }
    } else if let Some(below) = second.relation(first) {
        second.inner.insert(below);
    }
}

/// The folder that lies at `path`, if it answers in time.
fn folder_at(path: &Path) -> Option<Identity> {
    let path = path.to_owned();
    let look = move || fs::metadata(path).ok();
    let there = in_time(QUICK, look).flatten()?;
    there.is_dir().then(|| Identity::of(&there))
}

fn excluded(glob: &str) -> LeftOut {
    LeftOut::Excluded {
        glob: glob.to_owned(),
    }
}

fn temporary_or(name: &OsStr, other: LeftOut) -> LeftOut {
    temporary_name(name).map_or(other, |pattern| LeftOut::TemporaryName { pattern })
}
