//! Rules that lie in the folders themselves: `.stenodignore` (as git reads a `.gitignore`) and `stenod.toml`.
//!
//! Each holds for its folder and all below. A file of rules that cannot be read or understood is a
//! mistake that pauses its folder alone: to guess could send what somebody meant to keep. What a
//! `stenod.toml` says is understood elsewhere; here it is only read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::folder::gone;
use super::root::{LeftOut, Root};

/// The file of a folder that names what to leave out, with the rules of gitignore.
pub const IGNORE_FILE: &str = ".stenodignore";
/// The file of a folder that overrides settings for what is below it.
pub const SETTINGS_FILE: &str = "stenod.toml";

/// The largest file of rules that is read, in bytes.
const LARGEST_RULES: u64 = 256 << 10;

/// Whether a file of this name holds rules for its folder.
pub(super) fn holds_rules(name: &OsStr) -> bool {
    name == IGNORE_FILE || name == SETTINGS_FILE
}

/// The folders above `folder` whose rules hold in it, the outermost first.
fn above<'a>(root: &'a Root, folder: &'a Path) -> Vec<&'a Path> {
    let above = folder.ancestors().skip(1);
    let mut folders: Vec<&Path> = above
        .take_while(|above| above.starts_with(root.rules_from()))
        .collect();
    folders.reverse();
    folders
}

/// A number that changes with the files of rules that lie above `root` and hold in it: no event tells of those.
pub(super) fn number_of_rules_above(root: &Root) -> u64 {
    let mut hasher = DefaultHasher::new();
    for folder in above(root, root.path()) {
        for name in [IGNORE_FILE, SETTINGS_FILE] {
            let path = folder.join(name);
            // The link, and what it leads to.
            for looked in [fs::symlink_metadata(&path), fs::metadata(&path)] {
                let seen = looked.map(|there| {
                    let content = (there.dev(), there.ino(), there.len());
                    let touched = (there.mtime(), there.mtime_nsec());
                    (content, touched, there.ctime(), there.ctime_nsec())
                });
                seen.map_err(|error| error.raw_os_error()).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// The rules that lie in a folder and in those above it.
#[derive(Debug, Clone, Default)]
pub struct LocalRules {
    innermost: Option<Arc<Level>>,
}

/// The rules of one folder.
#[derive(Debug)]
struct Level {
    folder: PathBuf,
    above: LocalRules,
    ignored: Option<Ignored>,
    settings: Option<SettingsFile>,
    mistake: Option<RuleMistake>,
}

/// A `stenod.toml` as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A file of rules that pauses its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMistake {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, with the line if there is one.
    pub text: String,
    /// Whether it is there and cannot be read: that it can be is told by nobody.
    pub is_closed: bool,
}

/// What is wrong with a file of rules.
#[derive(Debug)]
struct Wrong {
    text: String,
    is_closed: bool,
}

impl Wrong {
    fn in_it(text: String) -> Self {
        let is_closed = false;
        Self { text, is_closed }
    }

    fn closed(text: String) -> Self {
        let is_closed = true;
        Self { text, is_closed }
    }

    fn of(self, file: PathBuf) -> RuleMistake {
        let Self { text, is_closed } = self;
        RuleMistake {
            file,
            text,
            is_closed,
        }
    }
}

impl LocalRules {
    /// The rules that hold in the folder that holds `folder`, from where the root's rules begin.
    pub(super) fn above(root: &Root, folder: &Path) -> Self {
        above(root, folder)
            .into_iter()
            .fold(Self::default(), |rules, folder| rules.enter(root, folder))
    }

    /// The rules that hold in `folder`, which lies directly below where these do.
    pub(super) fn enter(&self, root: &Root, folder: &Path) -> Self {
        let mut level = Level {
            folder: folder.to_owned(),
            above: self.clone(),
            ignored: None,
            settings: None,
            mistake: None,
        };
        let file = folder.join(IGNORE_FILE);
        match read(&file).map(|text| text.map(|text| Ignored::new(&file, &text))) {
            Ok(None) => {}
            Ok(Some(Ok(ignored))) => level.ignored = Some(ignored),
            Ok(Some(Err(text))) => level.mistake = Some(Wrong::in_it(text).of(file)),
            Err(wrong) => level.mistake = Some(wrong.of(file)),
        }
        let path = folder.join(SETTINGS_FILE);
        if !root.is_own(&path) {
            match read(&path) {
                Ok(text) => level.settings = text.map(|text| SettingsFile { path, text }),
                Err(wrong) => level.mistake = Some(wrong.of(path)),
            }
        }
        if level.ignored.is_none() && level.settings.is_none() && level.mistake.is_none() {
            return self.clone();
        }
        Self {
            innermost: Some(Arc::new(level)),
        }
    }

    /// By which line of an ignore file `path` is left out; the innermost file that speaks of it decides.
    pub(super) fn ignored(&self, path: &Path, is_folder: bool) -> Option<LeftOut> {
        for level in self.levels() {
            if let Some(ignored) = &level.ignored {
                let relative = path.strip_prefix(&level.folder).ok()?;
                match ignored.globs.matched(relative, is_folder) {
                    Match::None => {}
                    Match::Whitelist(_) => return None,
                    Match::Ignore(glob) => return Some(ignored.by(glob.original())),
                }
            }
        }
        None
    }

    /// What is wrong with a file of rules that holds here, if anything is.
    pub fn mistake(&self) -> Option<&RuleMistake> {
        self.levels().find_map(|level| level.mistake.as_ref())
    }

    /// Every `stenod.toml` that holds here, the outermost first.
    pub fn settings(&self) -> Vec<&SettingsFile> {
        let mut settings: Vec<_> = self
            .levels()
            .filter_map(|level| level.settings.as_ref())
            .collect();
        settings.reverse();
        settings
    }

    /// Whether both are the same reading of the same files.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.innermost, &other.innermost) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// From the innermost outwards.
    fn levels(&self) -> impl Iterator<Item = &Level> {
        std::iter::successors(self.innermost.as_deref(), |level| {
            level.above.innermost.as_deref()
        })
    }
}

/// An ignore file, compiled.
#[derive(Debug)]
struct Ignored {
    file: PathBuf,
    globs: Gitignore,
    /// Where each pattern stands; of two that are the same, the last one decides.
    lines: HashMap<String, usize>,
}

impl Ignored {
    fn new(file: &Path, text: &str) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            builder
                .add_line(None, line)
                .map_err(|error| format!("line {number}: `{line}` is no pattern: {error}"))?;
            lines.insert(line.trim_end().to_owned(), number);
        }
        let globs = builder.build().map_err(|error| error.to_string())?;
        Ok(Self {
            file: file.to_owned(),
            globs,
            lines,
        })
    }

    fn by(&self, pattern: &str) -> LeftOut {
        LeftOut::Ignored {
            file: self.file.clone(),
            line: self.lines.get(pattern.trim_end()).copied().unwrap_or(0),
            pattern: pattern.to_owned(),
        }
    }
}

/// The text of a file of rules; nothing where there is none, and no regular file is none.
fn read(path: &Path) -> Result<Option<String>, Wrong> {
    let cannot = |error: io::Error| Wrong::closed(format!("it cannot be read: {error}"));
    if !is_there(path)? {
        return Ok(None);
    }
    let mut text = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(LARGEST_RULES + 1).read_to_end(&mut text))
        .map_err(cannot)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > LARGEST_RULES {
        let text = format!("it is larger than {LARGEST_RULES} bytes");
        return Err(Wrong::in_it(text));
    }
    match String::from_utf8(text) {
        // Editors of other systems begin a file with a mark of byte order.
        Ok(text) => Ok(Some(text.trim_start_matches('\u{feff}').to_owned())),
        Err(error) => {
            let good = error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to());
            let line = good.filter(|byte| **byte == b'\n').count() + 1;
            Err(Wrong::in_it(format!("line {line} is not UTF-8")))
        }
    }
}

/// Whether a regular file is at the path, or where a link at the path leads; that nobody can tell where it leads is
/// no sign that there are no rules.
fn is_there(path: &Path) -> Result<bool, Wrong> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if gone(&error) => return Ok(false),
        // Whoever may not look into the folder is told so when its files are looked at.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(Wrong::closed(format!("it cannot be read: {error}"))),
    };
    if !there.is_symlink() {
        return Ok(there.is_file());
    }
    match fs::metadata(path) {
        Ok(there) => Ok(there.is_file()),
        Err(error) if gone(&error) => Err(Wrong::closed("it is a link to nothing".to_owned())),
        Err(error) => {
            let text = format!("what it is a link to cannot be read: {error}");
            Err(Wrong::closed(text))
        }
    }
}
