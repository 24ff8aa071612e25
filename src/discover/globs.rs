//! Glob lists of a folder's rules.
//!
//! A glob without `/` is matched against the name at any depth, one with `/` against the path relative
//! to the root; a trailing `/` means folders only, and `old/**` also leaves out the folder `old` itself.
//! Names are matched as the bytes they are.

use std::ffi::OsStr;
use std::path::Path;

use globset::{Candidate, Glob, GlobBuilder, GlobSet};

/// A glob that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the glob `{glob}` in `{list}` cannot be used: {reason}")]
pub struct GlobError {
    /// The list it stands in: `include` or `exclude`.
    pub list: &'static str,
    /// The glob as it was written.
    pub glob: String,
    /// What is wrong with it.
    pub reason: globset::ErrorKind,
}

/// A list of globs, compiled once.
#[derive(Debug, Default)]
pub(super) struct Globs {
    everything: bool,
    names: Patterns,
    paths: Patterns,
    folder_names: Patterns,
    folder_paths: Patterns,
}

impl Globs {
    /// Compiles the globs of `list`; an error names the first that is wrong.
    pub(super) fn new(list: &'static str, globs: &[String]) -> Result<Self, GlobError> {
        let mut drafts: [Draft; 4] = Default::default();
        let mut everything = false;
        let [names, paths, folder_names, folder_paths] = &mut drafts;
        for glob in globs {
            everything |= matches!(glob.as_str(), "*" | "**" | "**/*");
            let plain = glob.strip_prefix("./").unwrap_or(glob);
            match plain.strip_suffix('/') {
                Some(folder) if folder.contains('/') => folder_paths.add(list, glob, folder)?,
                Some(folder) => folder_names.add(list, glob, folder)?,
                None if plain.contains('/') => paths.add(list, glob, plain)?,
                None => names.add(list, glob, plain)?,
            }
            if let Some(folder) = plain
                .strip_suffix("/**")
                .filter(|folder| !folder.is_empty())
            {
                folder_paths.add(list, glob, folder)?;
            }
        }
        let [names, paths, folder_names, folder_paths] = drafts;
        Ok(Self {
            everything,
            names: names.build(list)?,
            paths: paths.build(list)?,
            folder_names: folder_names.build(list)?,
            folder_paths: folder_paths.build(list)?,
        })
    }

    /// Whether the list is empty or has a glob that every file matches.
    pub(super) fn is_everything(&self) -> bool {
        self.everything || (self.names.is_empty() && self.paths.is_empty())
    }

    /// The glob that a file called `name` in the folder `within` (relative to the root) matches.
    pub(super) fn file(&self, within: &Path, name: &OsStr) -> Option<&str> {
        self.names
            .first(name)
            .or_else(|| self.paths.first_below(within, name))
    }

    /// The glob that a folder called `name` in the folder `within` (relative to the root) matches.
    pub(super) fn folder(&self, within: &Path, name: &OsStr) -> Option<&str> {
        self.file(within, name)
            .or_else(|| self.folder_names.first(name))
            .or_else(|| self.folder_paths.first_below(within, name))
    }
}

/// Globs of one kind, and how each was written.
#[derive(Debug, Default)]
struct Patterns {
    set: GlobSet,
    written: Vec<String>,
}

impl Patterns {
    fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    fn first_below(&self, within: &Path, name: &OsStr) -> Option<&str> {
        if self.is_empty() {
            None
        } else {
            self.first(within.join(name).as_os_str())
        }
    }

    fn first(&self, text: &OsStr) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let candidate = Candidate::from_bytes(text.as_encoded_bytes());
        let first = self.set.matches_candidate(&candidate).into_iter().next()?;
        self.written.get(first).map(String::as_str)
    }
}

#[derive(Default)]
struct Draft {
    globs: Vec<Glob>,
    written: Vec<String>,
}

impl Draft {
    fn add(&mut self, list: &'static str, glob: &str, plain: &str) -> Result<(), GlobError> {
        let anchored = plain.strip_prefix('/').unwrap_or(plain);
        let built = GlobBuilder::new(anchored).literal_separator(true).build();
        self.globs
            .push(built.map_err(|error| wrong(list, glob, &error))?);
        self.written.push(glob.to_owned());
        Ok(())
    }

    fn build(self, list: &'static str) -> Result<Patterns, GlobError> {
        let set = GlobSet::new(self.globs)
            .map_err(|error| wrong(list, error.glob().unwrap_or_default(), &error))?;
        Ok(Patterns {
            set,
            written: self.written,
        })
    }
}

fn wrong(list: &'static str, glob: &str, error: &globset::Error) -> GlobError {
    GlobError {
        list,
        glob: glob.to_owned(),
        reason: error.kind().clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn globs(list: &[&str]) -> Globs {
        let list: Vec<String> = list.iter().map(|glob| (*glob).to_owned()).collect();
        Globs::new("exclude", &list).unwrap()
    }

    fn file(globs: &Globs, path: &str) -> bool {
        let path = Path::new(path);
        globs
            .file(path.parent().unwrap(), path.file_name().unwrap())
            .is_some()
    }

    fn folder(globs: &Globs, path: &str) -> bool {
        let path = Path::new(path);
        globs
            .folder(path.parent().unwrap(), path.file_name().unwrap())
            .is_some()
    }

    #[test]
    fn a_glob_without_a_slash_is_matched_against_the_name_at_any_depth() {
        let globs = globs(&["*.mp3", "a?"]);
        assert!(file(&globs, "x.mp3") && file(&globs, "deep/down/x.mp3") && file(&globs, "in/ab"));
        assert!(!file(&globs, "x.mp3/y.wav") && !file(&globs, "x.MP3"));
    }

    #[test]
    fn a_glob_with_a_slash_is_matched_against_the_path_below_the_root() {
        let globs = globs(&["/top.mp3", "old/*.mp3", "**/raw/*"]);
        assert!(file(&globs, "top.mp3") && !file(&globs, "deep/top.mp3"));
        assert!(file(&globs, "old/x.mp3"));
        assert!(!file(&globs, "old/deep/x.mp3") && !file(&globs, "very/old/x.mp3"));
        assert!(file(&globs, "raw/x") && file(&globs, "a/b/raw/x"));
    }

    #[test]
    fn a_trailing_slash_means_folders_only() {
        let globs = globs(&["old/", "a/b/"]);
        assert!(folder(&globs, "old") && folder(&globs, "deep/old") && !file(&globs, "old"));
        assert!(folder(&globs, "a/b") && !folder(&globs, "deep/a/b") && !folder(&globs, "b"));
    }

    #[test]
    fn what_leaves_out_all_that_is_in_a_folder_leaves_out_the_folder() {
        let globs = globs(&["old/**", "a/b/**"]);
        assert!(folder(&globs, "old") && file(&globs, "old/x.mp3") && !folder(&globs, "b/old"));
        assert!(folder(&globs, "a/b") && file(&globs, "a/b/c/x.mp3") && !folder(&globs, "a"));
    }

    #[test]
    fn names_are_matched_as_the_bytes_they_are() {
        let globs = globs(&["*.mp3"]);
        let name = OsStr::from_bytes(b"\xff\n.mp3");
        assert_eq!(globs.file(Path::new(""), name), Some("*.mp3"));
    }

    #[test]
    fn the_glob_that_matched_is_named_as_it_was_written() {
        let globs = globs(&["x", "./old/**", "/y/"]);
        assert_eq!(
            globs.folder(Path::new(""), OsStr::new("old")),
            Some("./old/**")
        );
        assert_eq!(globs.folder(Path::new(""), OsStr::new("y")), Some("/y/"));
    }

    #[test]
    fn a_wrong_glob_is_named() {
        let list = ["*.mp3".to_owned(), "a[".to_owned()];
        let error = Globs::new("include", &list).unwrap_err();
        assert_eq!((error.list, error.glob.as_str()), ("include", "a["));
        assert!(
            error
                .to_string()
                .starts_with("the glob `a[` in `include` cannot be used: ")
        );
    }

    #[test]
    fn an_empty_list_or_a_star_is_everything() {
        assert!(globs(&[]).is_everything() && globs(&["*"]).is_everything());
        assert!(!globs(&["*.mp3"]).is_everything());
    }
}
