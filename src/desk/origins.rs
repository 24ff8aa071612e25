//! Where the settings of a daemon come from, so that they can be read again.

use std::path::PathBuf;

use crate::config::{Config, Environment, Overrides};
use crate::control::{Named, Refusal, RunOrder};
use crate::disk::straight;
use crate::session::{self, Places};
use crate::supervise;

use super::words::{failed, misconfigured, not_set_up};

/// What the daemon was started with.
#[derive(Debug, Clone)]
pub struct Origins {
    /// Its environment.
    pub environment: Environment,
    /// The file that its command line names.
    pub file: Option<PathBuf>,
    /// The flags of its command line.
    pub overrides: Overrides,
    /// The folders of its command line.
    pub paths: Vec<PathBuf>,
}

impl Origins {
    /// Reads everything again.
    ///
    /// # Errors
    /// [`Refusal`] that says everything that is wrong, and where.
    pub async fn again(&self) -> Result<(Config, Places), Refusal> {
        let paths = self.paths.clone();
        self.read(self.overrides.clone(), move |_| paths).await
    }

    /// The folders of the command line, from the root of the disk.
    pub(super) fn folders(&self) -> Vec<Named> {
        let straight = |path: &PathBuf| straight(path).unwrap_or_else(|_| path.to_owned());
        let folders = self.paths.iter().map(straight);
        folders.map(|path| path.as_path().into()).collect()
    }

    /// The file that it is configured by.
    pub(super) fn file(&self) -> Option<Named> {
        let file = Config::locate(&self.environment, self.file.as_deref());
        file.ok().flatten().map(|file| file.as_path().into())
    }

    /// The same with what a run lays over it, and its places: those that it names, else the configured
    /// folders, and where none is configured those of the command line.
    ///
    /// # Errors
    /// [`Refusal`] that says everything that is wrong, and where.
    pub(super) async fn for_run(&self, order: &RunOrder) -> Result<(Config, Places), Refusal> {
        let own = self.overrides.clone();
        let flags = order.flags.clone();
        let overrides = Overrides {
            state_dir: own.state_dir,
            provider: flags.provider.or(own.provider),
            model: flags.model.or(own.model),
            language: flags.language.or(own.language),
            formats: flags.formats.or(own.formats),
            output_dir: flags.output_dir.map(PathBuf::from).or(own.output_dir),
            diarize: flags.diarize.or(own.diarize),
            jobs: own.jobs,
            include: flags.include.or(own.include),
            exclude: flags.exclude.or(own.exclude),
            no_recursive: flags.no_recursive.or(own.no_recursive),
        };
        let given: Vec<PathBuf> = order.paths.iter().cloned().map(PathBuf::from).collect();
        let started_with = self.paths.clone();
        let paths = move |config: &Config| match (given.is_empty(), config.folders.is_empty()) {
            (true, true) => started_with,
            (true, false) | (false, _) => given,
        };
        self.read(overrides, paths).await
    }

    /// Where the folders lead is asked of their disks, for which nobody else is to wait.
    async fn read(
        &self,
        overrides: Overrides,
        paths: impl FnOnce(&Config) -> Vec<PathBuf> + Send + 'static,
    ) -> Result<(Config, Places), Refusal> {
        let (environment, file) = (self.environment.clone(), self.file.clone());
        let reading = supervise::blocking(move || {
            let config = Config::load(&environment, file.as_deref(), &overrides)
                .map_err(|errors| misconfigured(&errors))?;
            let provider = session::provider(&config).map_err(not_set_up)?;
            let places = session::places(&config, &paths(&config), provider).map_err(not_set_up)?;
            Ok((config, places))
        });
        reading.await.map_err(|error| failed(error.into()))?
    }
}
