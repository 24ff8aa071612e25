//! A stage for one test: a folder, a home, a configuration and a service of its own.
//!
//! The environment of the program is empty but for what the stage puts there, so that nothing of
//! the machine leaks in; everything is below one temporary folder and goes with it.

mod child;
mod terminal;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::service::Standin;
pub use child::{Call, Outcome, Running, eventually};
pub use terminal::{COLUMNS, CTRL_C, Ended, LINES, Replaced, Terminal};
pub use tree::{Entry, names, tree};

/// The key that the stand-in accepts and the program is given.
pub const KEY: &str = "sk-nano-00000000-1111-2222-3333-444444444444";

/// The user that a test runs the program as when it must be denied something.
pub const NOBODY: u32 = 65_534;

/// One test's stage.
#[derive(Debug)]
pub struct Stage {
    root: TempDir,
    program: PathBuf,
    /// The stand-in that the configuration names.
    pub service: Standin,
    settings: RefCell<BTreeMap<(String, String), String>>,
    folders: RefCell<Vec<BTreeMap<String, String>>>,
    /// Whether every run is agreed to beforehand, as a script would.
    agrees: Cell<bool>,
}

impl Stage {
    /// Sets a stage for `program` (the path of the built binary) with one configured folder.
    pub fn new(program: &str) -> Self {
        Self::inside(program, &std::env::temp_dir())
    }

    /// The same below `/tmp`, whatever the environment says: every path has a known length, so that
    /// screens with paths in them can be compared.
    pub fn of_known_length(program: &str) -> Self {
        Self::inside(program, Path::new("/tmp"))
    }

    fn inside(program: &str, folder: &Path) -> Self {
        let root = tempfile::Builder::new()
            .prefix("stenod-")
            .tempdir_in(folder);
        let root = root.expect("a temporary folder");
        for folder in ["recordings", "home", "tmp", "run"] {
            fs::create_dir(root.path().join(folder)).expect("a folder of the stage");
        }
        let service = Standin::start();
        service.behave(|behaviour| behaviour.key = Some(KEY.to_owned()));
        let (settings, folders) = (RefCell::default(), RefCell::default());
        let stage = Self {
            root,
            program: program.into(),
            service,
            settings,
            folders,
            agrees: Cell::new(true),
        };
        stage.set("state_dir", stage.state().display().to_string());
        stage.set("service.base_url", stage.service.url());
        stage.set("service.poll_interval", "50ms");
        stage.set("service.requests_per_second", 20);
        stage.set("budget.per_day", "0");
        stage.add_folder(&stage.recordings());
        stage
    }

    /// The folder with everything of this stage.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The configured folder with the recordings.
    pub fn recordings(&self) -> PathBuf {
        self.root().join("recordings")
    }

    /// The state folder of the program.
    pub fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    /// A path in the folder with the recordings.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.recordings().join(name)
    }

    /// Puts a file into the folder with the recordings, making folders as needed.
    pub fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        fs::write(&path, bytes).expect("a file of the test");
        path
    }

    /// The text of a file in the folder with the recordings.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.at(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A JSON file in the folder with the recordings.
    pub fn read_json(&self, name: impl AsRef<Path>) -> Value {
        serde_json::from_str(&self.read(name)).expect("a JSON file")
    }

    /// The names of all files in the folder with the recordings, sorted.
    pub fn names(&self) -> Vec<String> {
        names(&self.recordings())
    }

    /// Sets a key of the configuration, for example `service.jobs`; JSON values are TOML enough.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        let (table, key) = key.rsplit_once('.').unwrap_or(("", key));
        let value = value.into().to_string();
        self.settings
            .borrow_mut()
            .insert((table.to_owned(), key.to_owned()), value);
    }

    /// Sets a key of every `[[folders]]` entry.
    pub fn set_folders(&self, key: &str, value: impl Into<Value>) {
        let value = value.into().to_string();
        for folder in self.folders.borrow_mut().iter_mut() {
            folder.insert(key.to_owned(), value.clone());
        }
    }

    /// Adds a `[[folders]]` entry that settles almost at once.
    pub fn add_folder(&self, path: &Path) {
        self.add_folder_with(path, &[]);
    }

    /// Adds a `[[folders]]` entry that settles almost at once, with these keys beside.
    pub fn add_folder_with(&self, path: &Path, more: &[(&str, Value)]) {
        let path = path.display().to_string();
        let usual = [("path", Value::from(path)), ("settle", Value::from("10ms"))];
        let entry = usual.iter().chain(more);
        let entry = entry.map(|(key, value)| ((*key).to_owned(), value.to_string()));
        self.folders.borrow_mut().push(entry.collect());
    }

    /// Removes every `[[folders]]` entry.
    pub fn no_folders(&self) {
        self.folders.borrow_mut().clear();
    }

    /// The configuration as TOML.
    pub fn config(&self) -> String {
        let mut text = String::new();
        let mut table = String::new();
        for ((name, key), value) in self.settings.borrow().iter() {
            if *name != table {
                text.push_str(&format!("\n[{name}]\n"));
                table.clone_from(name);
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        for folder in self.folders.borrow().iter() {
            text.push_str("\n[[folders]]\n");
            for (key, value) in folder {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }

    /// From now on a run is given `--yes` only where the test does so itself.
    pub fn disagree(&self) {
        self.agrees.set(false);
    }

    /// Where the configuration is.
    pub fn config_file(&self) -> PathBuf {
        self.root().join("config.toml")
    }

    /// Writes the configuration whole or not at all: a program that was started before may be reading it.
    fn write_config(&self) {
        let draft = self.root().join("config.toml.draft");
        fs::write(&draft, self.config()).expect("the configuration");
        fs::rename(draft, self.config_file()).expect("the configuration");
    }

    /// Prepares a call of the program with the configuration as it stands now.
    pub fn call<Argument: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Call {
        self.write_config();
        let mut arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|one| one.as_ref().to_owned())
            .collect();
        let has = |wanted: &[&str]| {
            arguments
                .iter()
                .any(|one| wanted.iter().any(|word| one == word))
        };
        if self.agrees.get()
            && has(&["run"])
            && !has(&[
                "-y",
                "--yes",
                "-n",
                "--dry-run",
                "help",
                "man",
                "--help",
                "-h",
            ])
        {
            arguments.push("--yes".into());
        }
        let mut call = Call::new(&self.program, arguments);
        for (key, folder) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ] {
            call = call.env(key, self.root().join(folder));
        }
        call.env("STENOD_CONFIG", self.config_file())
            .env("NANOGPT_API_KEY", KEY)
    }

    /// Calls the program and waits for its end.
    pub fn stenod<Argument: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Outcome {
        self.call(arguments).output()
    }

    /// What differs between two stages, and what is shown instead.
    pub fn replaced(&self) -> Replaced {
        let root = self.root().display().to_string();
        let name = root.rsplit_once('-').expect("a prefix").1.to_owned();
        let shown = root.replace(&name, &"0".repeat(name.len()));
        let port = format!("127.0.0.1:{}", self.service.port());
        let digits = port.len() - "127.0.0.1:".len();
        let none = format!("127.0.0.1:{}", "0".repeat(digits));
        Replaced::default().and(root, shown).and(port, none)
    }

    /// Starts the program on a terminal as people have it.
    pub fn on_terminal<Argument: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Terminal {
        Terminal::start(&self.call(arguments), LINES, self.replaced())
    }

    /// Calls the program with `--json` and parses the one document it prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.stenod(arguments.iter().copied().chain(["--json"]))
            .success()
            .json()
    }

    /// Gives everything on the stage to [`NOBODY`], so that a call with its id can be denied.
    pub fn give_away(&self) {
        for path in tree(self.root()).keys().map(|name| self.root().join(name)) {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may give away");
        }
        chown(self.root(), Some(NOBODY), Some(NOBODY)).expect("root may give away");
    }

    /// Fails the test when the program broke the wire contract or paid for anything twice.
    pub fn check(&self) {
        let story = self.service.story();
        self.service.look(|log| {
            assert!(
                log.violations().is_empty(),
                "the contract was violated\n{story}"
            );
            let twice: Vec<_> = log
                .ledger()
                .counts()
                .into_iter()
                .filter(|(_, n)| *n > 1)
                .collect();
            assert!(twice.is_empty(), "paid twice: {twice:?}\n{story}");
        });
    }
}

/// Whether this process may do everything, and denials need another user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
