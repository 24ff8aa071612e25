//! A place for a configuration: its folder, its environment, and what loading it says.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use stenod::config::{Config, ConfigErrors, Environment, Overrides};

/// A folder of its own that stands for home, working folder and place of the configuration.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::new(Some(folder.path().join("home")), folder.path());
        Self {
            folder,
            environment,
        }
    }

    pub(crate) fn with_file(text: &str) -> Self {
        let place = Self::new();
        place.put("config.toml", text, 0o644);
        place
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<std::ffi::OsString>) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .unwrap();
        file.write_all(text.as_ref()).unwrap();
        path
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn load_with(&self, overrides: &Overrides) -> Result<Config, ConfigErrors> {
        Config::load(&self.environment, Some(Path::new("config.toml")), overrides)
    }

    pub(crate) fn load(&self) -> Config {
        match self.load_with(&Overrides::default()) {
            Ok(config) => config,
            Err(errors) => panic!("{errors}"),
        }
    }

    /// The text of the mistakes, this folder's own path as `DIR`.
    pub(crate) fn mistakes_with(&self, overrides: &Overrides) -> String {
        let errors = self.load_with(overrides).unwrap_err();
        assert!(!errors.mistakes().is_empty());
        self.without_dir(&errors.to_string())
    }

    /// A text with `DIR` for this place.
    pub(crate) fn without_dir(&self, text: &str) -> String {
        let folder = self.folder.path().display().to_string();
        text.replace(&folder, "DIR")
    }

    pub(crate) fn mistakes(&self) -> String {
        self.mistakes_with(&Overrides::default())
    }
}

/// The text of the mistakes in a file.
pub(crate) fn mistakes_in(text: &str) -> String {
    Place::with_file(text).mistakes()
}
