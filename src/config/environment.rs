//! The process environment as a value: variables, home folder, working folder.
//!
//! Everything in `config` takes it as an argument, so that tests inject it; only
//! [`Environment::of_process`] looks at the real one. Its values are never shown: one may be a key.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// What the process was given by whoever started it.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    home: Option<PathBuf>,
    working_dir: PathBuf,
}

impl Environment {
    /// The real environment of this process; a lost working folder counts as `/`.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    /// An environment without variables, with this home folder and this working folder.
    pub fn new(home: Option<PathBuf>, working_dir: impl Into<PathBuf>) -> Self {
        Self {
            variables: BTreeMap::new(),
            home,
            working_dir: working_dir.into(),
        }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The value of a variable; an empty one counts as unset, as the XDG specification asks.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|v| !v.is_empty())
    }

    /// The variable as an absolute path; a relative one counts as unset, as the XDG
    /// specification asks.
    pub(super) fn folder(&self, name: &str) -> Option<&Path> {
        self.get(name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
    }

    /// Every variable whose name begins with `prefix`, empty ones too, in order of their names.
    pub(super) fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (String, &'a OsStr)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.as_os_str()))
            .filter(move |(name, _)| name.starts_with(prefix))
    }

    /// The home folder, if one is known.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The folder that relative paths on the command line and in variables start from.
    pub fn working_dir(&self) -> &Path {
        &self.working_dir
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .field("working_dir", &self.working_dir)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_never_values() {
        let environment = Environment::new(None, "/").with("NANOGPT_API_KEY", "sk-nano-123456");
        let shown = format!("{environment:?}");
        assert!(shown.contains("NANOGPT_API_KEY"), "{shown}");
        assert!(!shown.contains("123456"), "{shown}");
    }

    #[test]
    fn an_empty_variable_counts_as_unset_and_a_relative_folder_too() {
        let environment = Environment::new(None, "/")
            .with("EMPTY", "")
            .with("XDG", "relative");
        assert_eq!(environment.get("EMPTY"), None);
        assert_eq!(environment.folder("XDG"), None);
        assert_eq!(environment.get("XDG"), Some(OsStr::new("relative")));
    }
}
