//! Configuration: layers of settings, read once into types that cannot be wrong.
//!
//! The first file found wins and is never merged with another; variables override single keys,
//! flags override those. All mistakes are reported at once, each with its place; a secret is
//! never part of a layer, a message or a `Debug`. Nothing is created here.

mod amend;
mod document;
mod environment;
mod file_text;
mod folder_file;
mod keys;
mod layers;
mod lists;
mod locate;
mod mistake;
mod quantities;
mod reader;
mod redact;
mod secret;
mod sections;
mod settings;
mod telling;
mod urls;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use figment::Figment;

pub use amend::{KEY_FILE_EXAMPLE, quoted, with_folders, with_key_file};
pub use environment::Environment;
pub use mistake::{ConfigErrors, Line, Mistake, Place};
pub use secret::{ApiKey, FileSecret, KeyOrigin, SecretError, key_in, read_secret_file};
pub use settings::{
    Bucket, Budget, CaptionLanguage, Captions, Choice, Folder, InDoubt, Large, Local, Notify,
    NotifyCommand, NotifyNtfy, NotifyWebhook, Origin, Overrides, Provider, Route, Service, Setting,
    Transcribe, Warning, Watch, WatchMode,
};

use crate::disk::{QUICK, in_time, real_path, real_paths, straightened};

use document::Document;
use keys::{FOLDERS, TRANSCRIBE};
use layers::FlagValue;
use reader::{Inputs, Notes, Reader};
use sections::Around;

/// Recordings in flight at once, at most.
pub const MAX_JOBS: u32 = 64;

/// Requests a second, at most: the service's global rate.
pub const MAX_REQUESTS_PER_SECOND: u32 = 25;

/// Threads of the built-in recogniser, at most.
pub const MAX_THREADS: u32 = 1024;

/// Bytes of a direct body, at most.
pub const MAX_DIRECT_LIMIT_BYTES: u64 = 1 << 30;
/// The highest `large.link_limit` in bytes, 80 GB: what the 10,000 parts of an upload hold.
pub const MAX_LINK_LIMIT_BYTES: u64 = 80_000_000_000;

/// The length of a piece, at most.
pub const MAX_PIECE: Duration = Duration::from_mins(240);

/// How long a link stays valid, at most: what signature version 4 of S3 allows.
pub const MAX_LINK_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The example configuration: every key with its default, explained.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The whole configuration, validated, in units.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from, if there was one.
    pub file: Option<PathBuf>,
    /// Where the state lies; not created here.
    pub state_dir: PathBuf,
    /// Where the web server for metrics and health listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Who transcribes.
    pub service: Service,
    /// What is asked for where no folder says otherwise.
    pub transcribe: Transcribe,
    /// The folders, in the order of the file.
    pub folders: Vec<Folder>,
    /// How all folders are watched.
    pub watch: Watch,
    /// The built-in recogniser.
    pub local: Local,
    /// Limits of spending.
    pub budget: Budget,
    /// Recordings over the direct limit.
    pub large: Large,
    /// Object storage, if there is one.
    pub bucket: Option<Bucket>,
    /// Who is told of what happens.
    pub notify: Notify,
    /// What works but should be mended, one sentence each.
    pub warnings: Vec<Warning>,
    /// The folders with their links resolved, in the same order, once somebody asked: their disks may hang.
    real_folders: OnceLock<Vec<PathBuf>>,
    /// The settings of paths outside of every folder.
    elsewhere: Folder,
    working_dir: PathBuf,
    home: Option<PathBuf>,
    /// The keys of `[transcribe]` that the command line sets, over every folder and its files.
    fixed: Vec<&'static str>,
    settings: Vec<Setting>,
}

impl Config {
    /// Finds, reads and checks the configuration; `file` is what `--config` names.
    ///
    /// # Errors
    /// All mistakes at once: a named file that is missing, TOML that is none, unknown keys and
    /// variables, wrong types and values, a key file that cannot be used.
    pub fn load(
        environment: &Environment,
        file: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigErrors> {
        let file = locate::choose(environment, file)?;
        let text = file.as_deref().map(locate::read).transpose()?;
        Self::understand(environment, file, text.as_deref(), overrides)
    }

    /// The configuration that `file` would be with this text, which is not written yet.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn of_text(
        environment: &Environment,
        file: &Path,
        text: &str,
        overrides: &Overrides,
    ) -> Result<Self, ConfigErrors> {
        Self::understand(environment, Some(file.to_owned()), Some(text), overrides)
    }

    fn understand(
        environment: &Environment,
        file: Option<PathBuf>,
        text: Option<&str>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigErrors> {
        let mut notes = Notes::default();
        let document = match file.as_deref().zip(text) {
            None => None,
            Some((path, text)) => match Document::parse(path, text, &mut notes.mistakes) {
                Some(document) => Some(document),
                None => return Err(ConfigErrors::new(notes.mistakes)),
            },
        };
        let inputs = Inputs {
            document: document.as_ref(),
            environment,
        };
        let config = Self::assemble(file, inputs, overrides, &mut notes);
        match config {
            Some(config) if notes.mistakes.is_empty() => Ok(Self {
                warnings: notes.warnings,
                settings: notes.settings,
                ..config
            }),
            Some(_) | None => Err(ConfigErrors::new(in_order(notes.mistakes))),
        }
    }

    /// The configuration without its file, as far as it takes to find whoever runs by it: the state directory
    /// is the one that the file names, if that can be read. Nothing where flags or variables are wrong, too.
    pub fn without_file(
        environment: &Environment,
        file: Option<&Path>,
        overrides: &Overrides,
    ) -> Option<Self> {
        let mut unheard = Notes::default();
        let file = locate::choose(environment, file).ok().flatten();
        let document = file.and_then(|path| {
            let text = locate::read(&path).ok()?;
            Document::parse(&path, &text, &mut unheard.mistakes)
        });
        let inputs = Inputs {
            document: document.as_ref(),
            environment,
        };
        let flags = layers::flag_values(overrides);
        let stack = layers::stack(inputs.document, environment, &flags, &mut unheard.mistakes);
        let root = Reader::new(&stack, "", inputs, &mut unheard);
        let overrides = Overrides {
            state_dir: Some(sections::state_dir(root, environment, overrides)?),
            ..overrides.clone()
        };
        let inputs = Inputs {
            document: None,
            environment,
        };
        let mut notes = Notes::default();
        let config = Self::assemble(None, inputs, &overrides, &mut notes)?;
        notes.mistakes.is_empty().then_some(config)
    }

    /// The file that [`Config::load`] would read, if any.
    ///
    /// # Errors
    /// When a file is named that does not exist, or a place cannot be looked at.
    pub fn locate(
        environment: &Environment,
        file: Option<&Path>,
    ) -> Result<Option<PathBuf>, ConfigErrors> {
        locate::choose(environment, file)
    }

    /// Where a first configuration belongs: what is named, else the user's own place.
    pub fn home(environment: &Environment, file: Option<&Path>) -> Option<PathBuf> {
        let named = file.map(Path::to_owned);
        let named = named.or_else(|| environment.get("STENOD_CONFIG").map(PathBuf::from));
        let own = || locate::candidates(environment).into_iter().next();
        let path = named.or_else(own)?;
        Some(locate::from(environment.working_dir(), &path))
    }

    /// The innermost configured folder in which `path` lies, by its name alone.
    pub fn around(&self, path: &Path) -> Option<&Path> {
        let folders = self.folders.iter().map(|folder| folder.path.as_path());
        let holding = folders.filter(|folder| path.starts_with(folder));
        holding.max_by_key(|folder| folder.components().count())
    }

    /// The settings for a path given on the command line: the innermost configured folder that
    /// contains it, else a folder of its own with the defaults.
    ///
    /// The folder of a file outside of every configured folder is the one it lies in. A relative
    /// path starts at the working folder.
    pub fn for_path(&self, path: &Path) -> Folder {
        let path = locate::from(&self.working_dir, path);
        let asked = real_path(&path, QUICK).unwrap_or_else(|| path.clone());
        let contains = |(folder, real): &(&Folder, &PathBuf)| {
            path.starts_with(&folder.path) || asked.starts_with(real)
        };
        let folders = self.folders.iter().zip(self.real_folders());
        let depth = |(_, real): &(&Folder, &PathBuf)| real.components().count();
        if let Some((folder, _)) = folders.filter(contains).max_by_key(depth) {
            return folder.clone();
        }
        let is_file = {
            let path = path.clone();
            in_time(QUICK, move || path.is_file()).unwrap_or(false)
        };
        let around = path.parent().filter(|_| is_file);
        let path = around.unwrap_or(&path).to_owned();
        Folder {
            path,
            ..self.elsewhere.clone()
        }
    }

    /// Where each folder leads; one that is not there, or does not answer, is what it is called.
    fn real_folders(&self) -> &[PathBuf] {
        self.real_folders.get_or_init(|| {
            let paths = self.folders.iter().map(|folder| folder.path.as_path());
            let real = real_paths(paths, QUICK).into_iter();
            let named = self.folders.iter().map(|folder| folder.path.clone());
            let either = |(real, named): (Option<PathBuf>, PathBuf)| real.unwrap_or(named);
            real.zip(named).map(either).collect()
        })
    }

    /// `base` with what the `stenod.toml` at `path`, whose text is given, sets for what is below it.
    ///
    /// # Errors
    /// Every mistake in it, each with its place.
    pub fn transcribe_below(
        &self,
        base: &Transcribe,
        path: &Path,
        text: &str,
    ) -> Result<Transcribe, ConfigErrors> {
        folder_file::lay_over(base, path, text, self.home.clone(), &self.fixed)
    }

    /// Where the value of a key came from, such as `service.jobs` or `folders.0.settle`; none
    /// for a key that is unset or unknown.
    pub fn origin_of(&self, key: &str) -> Option<&Origin> {
        self.settings
            .iter()
            .find(|setting| setting.key == key)
            .map(|setting| &setting.origin)
    }

    /// Whether a flag sets this key of the folders, such as `include`.
    pub fn is_flag(&self, key: &str) -> bool {
        let is_it = |setting: &&Setting| {
            let own = setting.key.rsplit_once('.').map(|(_, own)| own);
            own == Some(key) && matches!(setting.origin, Origin::Flag(_))
        };
        self.settings.iter().any(|setting| is_it(&setting))
    }

    /// Every value in force with where it came from, in the order of the documentation.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Every key that the program knows, such as `service.jobs` and `folders.settle`.
    pub fn keys() -> impl Iterator<Item = String> {
        keys::KEYS.iter().map(keys::Key::path)
    }

    fn assemble(
        file: Option<PathBuf>,
        inputs: Inputs<'_>,
        overrides: &Overrides,
        notes: &mut Notes,
    ) -> Option<Self> {
        let environment = inputs.environment;
        let flags = layers::flag_values(overrides);
        let output_dir = overrides
            .output_dir
            .as_ref()
            .map(|path| straightened(&locate::from(environment.working_dir(), path)));
        let output_dir = output_dir.as_deref();
        let stack = layers::stack(inputs.document, environment, &flags, &mut notes.mistakes);
        let root = Reader::new(&stack, "", inputs, notes);
        let state_dir = sections::state_dir(root, environment, overrides);
        let listen = sections::listen(Reader::new(&stack, "", inputs, notes));
        let service = sections::service(Reader::new(&stack, "service", inputs, notes), environment);
        let around = Around {
            output_dir,
            server: service.as_ref().map(Service::server),
        };
        let transcribe =
            sections::transcribe(&mut Reader::new(&stack, TRANSCRIBE, inputs, notes), around);
        let folders = read_folders(&stack, &flags, around, inputs, notes);
        let elsewhere = read_elsewhere(&stack, &flags, around, inputs, notes);
        let watch = sections::watch(Reader::new(&stack, "watch", inputs, notes));
        let local = sections::local(Reader::new(&stack, "local", inputs, notes));
        let budget = sections::budget(Reader::new(&stack, "budget", inputs, notes));
        let large = sections::large(Reader::new(&stack, "large", inputs, notes), around.server);
        let bucket = sections::bucket(Reader::new(&stack, "bucket", inputs, notes));
        let notify = telling::notify(Reader::new(&stack, "notify", inputs, notes));
        Some(Self {
            file,
            state_dir: state_dir?,
            listen: listen?,
            service: service?,
            transcribe: transcribe?,
            folders,
            real_folders: OnceLock::new(),
            watch: watch?,
            local: local?,
            budget: budget?,
            large: large?,
            bucket: bucket?,
            notify: notify?,
            warnings: Vec::new(),
            elsewhere: elsewhere?,
            working_dir: environment.working_dir().to_owned(),
            home: environment.home().map(Path::to_owned),
            fixed: fixed_keys(&flags, output_dir),
            settings: Vec::new(),
        })
    }
}

/// The keys of `[transcribe]` that flags set.
fn fixed_keys(flags: &[FlagValue], output_dir: Option<&Path>) -> Vec<&'static str> {
    let flags = flags.iter().filter(|flag| flag.table == TRANSCRIBE);
    let output_dir = output_dir.map(|_| "output_dir");
    flags.map(|flag| flag.key).chain(output_dir).collect()
}

/// Every `[[folders]]` table; those with mistakes are left out, and so is a path seen before. Where links lead is
/// not asked here.
fn read_folders(
    stack: &Figment,
    flags: &[FlagValue],
    around: Around<'_>,
    inputs: Inputs<'_>,
    notes: &mut Notes,
) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    let tables = inputs.document.map_or(&[][..], Document::folders);
    for (index, own) in tables.iter().enumerate() {
        let table = format!("{FOLDERS}.{index}");
        let layers = layers::folder(stack, Some((table.clone(), own.clone())), flags);
        let reader = Reader::of_folder(layers, table.clone(), inputs, notes);
        let Some(folder) = sections::folder(reader, None, around) else {
            continue;
        };
        let same = |other: &Folder| other.path.components().eq(folder.path.components());
        if folders.iter().any(same) {
            let fault = mistake::Fault::new("this folder stands here a second time");
            let line = inputs
                .document
                .and_then(|document| document.line(&format!("{table}.path")));
            let place = line.map_or(Place::Nowhere, Place::Line);
            notes.mistake(fault.at(place, Some(format!("{FOLDERS}.path"))));
            continue;
        }
        folders.push(folder);
    }
    folders
}

/// The settings outside of every folder; what is wrong with them is wrong in `[transcribe]` or
/// a flag too, and said there.
fn read_elsewhere(
    stack: &Figment,
    flags: &[FlagValue],
    around: Around<'_>,
    inputs: Inputs<'_>,
    notes: &mut Notes,
) -> Option<Folder> {
    let layers = layers::folder(stack, None, flags);
    let mut apart = Notes::default();
    let reader = Reader::of_folder(layers, FOLDERS.to_owned(), inputs, &mut apart);
    let folder = sections::folder(reader, Some(PathBuf::from("/")), around);
    apart
        .mistakes
        .into_iter()
        .for_each(|mistake| notes.mistake(mistake));
    folder
}

/// Mistakes in the file by line, then those without a line, then variables, then flags.
fn in_order(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by_key(|mistake| match &mistake.place {
        Place::Line(line) => (0, line.number, line.column),
        Place::File(_) | Place::Nowhere => (1, 0, 0),
        Place::Variable(_) => (2, 0, 0),
        Place::Flag(_) => (3, 0, 0),
    });
    mistakes
}
