//! What `init` asks on a terminal, and the key that it tries before it writes anything.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::super::output::{quoted, shown};
use super::super::{Failure, Session, exit};
use super::{Arguments, Written, reason, service, usage};
use crate::clock::SystemClock;
use crate::config::{Provider, SecretError, key_in, read_secret_file};
use crate::disk::{QUICK, real_path, straight};
use crate::speech::services::{Connection, Description};
use crate::speech::{Greeting, NoAnswer};
use crate::supervise;

/// How often a key is asked for before it is given up.
const MOST_KEYS: usize = 3;
/// The longest key that is read from standard input, in bytes.
const LONGEST_KEY: u64 = 4096;

/// Asks on a terminal, and only there.
pub(super) struct Questions {
    may_ask: bool,
}

impl Questions {
    pub(super) fn new(session: &Session, arguments: &Arguments) -> Self {
        let on_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            may_ask: on_terminal && !arguments.yes && !session.output.json(),
        }
    }

    /// In one go, so that nothing that is typed ahead comes between.
    fn ask(question: &str) -> io::Result<()> {
        let text = format!("{question} ");
        io::stderr().lock().write_all(text.as_bytes())
    }

    /// Whether somebody is there to be asked.
    pub(super) fn may_ask(&self) -> bool {
        self.may_ask
    }

    async fn line(question: &'static str) -> Result<String, Failure> {
        let asked = supervise::blocking(move || {
            Self::ask(question)?;
            let mut answer = String::new();
            io::stdin().read_line(&mut answer)?;
            Ok::<_, io::Error>(answer.trim().to_owned())
        });
        Ok(asked.await??)
    }

    /// Whether the folders are to be watched by a service of this person's own.
    pub(super) async fn service(
        &self,
        session: &Session,
        folders: &[PathBuf],
    ) -> Result<bool, Failure> {
        let is_possible = service::has_user_manager(&session.environment);
        if !self.may_ask || !is_possible || folders.is_empty() {
            return Ok(false);
        }
        let answer =
            Self::line("Write a service of yours that watches them, for systemd? [y/N]").await?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn secret(question: &str) -> io::Result<Option<Result<SecretString, SecretError>>> {
        Self::ask(question)?;
        let answer = match rpassword::read_password() {
            Ok(answer) => Zeroizing::new(answer),
            // Ctrl-D is no answer, as at the other questions.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                writeln!(io::stderr().lock())?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok((!answer.trim().is_empty()).then(|| key_in(&answer)))
    }
}

/// A terminal as it was before anything was asked on it: a hidden answer that is broken off leaves it silent.
pub(super) struct Terminal(Termios);

impl Terminal {
    pub(super) fn as_it_is() -> io::Result<Self> {
        Ok(Self(tcgetattr(io::stdin())?))
    }

    pub(super) fn restore(&self) -> io::Result<()> {
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0)?;
        writeln!(io::stderr().lock())
    }
}

/// The same folders, each once, whatever it is called.
pub(super) fn distinct(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    folders.retain(|path| seen.insert(real_path(path, QUICK).unwrap_or_else(|| path.clone())));
    folders
}

/// The folders as absolute paths, each of which is there, each once.
pub(super) async fn folders(asks: &Questions, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !given.is_empty() || !asks.may_ask {
        let given = given.iter().map(|path| folder(path));
        return Ok(distinct(given.collect::<Result<_, _>>()?));
    }
    let mut folders = Vec::new();
    loop {
        let question = if folders.is_empty() {
            "A folder with recordings (empty: none yet):"
        } else {
            "Another one (empty: that is all):"
        };
        let answer = Questions::line(question).await?;
        if answer.is_empty() {
            return Ok(distinct(folders));
        }
        match folder(&at_home(&answer)) {
            Ok(path) => folders.push(path),
            Err(failure) => drop(super::super::report(&failure)),
        }
    }
}

/// A path as people paste it: in quotes, or with its blanks marked, as a shell wants it.
fn unquoted(path: &str) -> String {
    for quote in ['\'', '"'] {
        let inside = path.strip_prefix(quote);
        if let Some(inside) = inside.and_then(|rest| rest.strip_suffix(quote)) {
            return inside.to_owned();
        }
    }
    let mut plain = String::new();
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        let next = if letter == '\\' { letters.next() } else { None };
        plain.push(next.unwrap_or(letter));
    }
    plain
}

/// `~` and `~/` as people write them at a prompt.
fn at_home(path: &str) -> PathBuf {
    let path = &unquoted(path);
    let rest = path.strip_prefix('~');
    let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (rest, std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest.trim_start_matches('/')),
        (Some(_) | None, _) => PathBuf::from(path),
    }
}

pub(super) fn folder(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = straight(path)?;
    if absolute.to_str().is_none() {
        return Err(usage(&format!(
            "{} cannot stand in a configuration: it is not UTF-8",
            shown(&absolute)
        )));
    }
    match absolute.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(absolute),
        Ok(_) => Err(usage(&format!("{} is no folder", shown(&absolute)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing = usage(&format!("there is no folder {}", shown(&absolute)));
            Err(missing.hint(format!("make it first: mkdir -p {}", quoted(&absolute))))
        }
        Err(error) => Err(usage(&format!("{}: {}", shown(&absolute), reason(&error)))),
    }
}

/// The key, and the file that holds it if that is there already.
pub(super) enum Key {
    None,
    InFile(PathBuf),
    New(SecretString),
}

/// Where a key is tried out.
pub(super) struct Trial<'a> {
    pub(super) session: &'a Session,
    /// Whose key it is.
    pub(super) service: &'static Description,
    /// Where the service is asked something free; `None` where the key is taken untried.
    pub(super) base_url: Option<String>,
}

impl<'a> Trial<'a> {
    /// By variables and defaults: there is no configuration yet.
    pub(super) fn of_first_key(session: &'a Session, arguments: &Arguments) -> Self {
        let service = arguments.provider.service();
        let is_tried = !arguments.offline && service.needs_key;
        let variable = session.environment.get("STENOD_SERVICE__BASE_URL");
        let url = variable.and_then(|url| url.to_str()).or(service.address);
        let url = url.filter(|_| is_tried);
        Self {
            session,
            service,
            base_url: url.map(|url| url.trim_end_matches('/').to_owned()),
        }
    }
}

pub(super) async fn key(
    trial: &Trial<'_>,
    arguments: &Arguments,
    asks: &Questions,
    written: &mut Written,
) -> Result<Key, Failure> {
    let wants_key = arguments.provider != Provider::Local && trial.service.needs_key;
    match &arguments.key_file {
        Some(file) if file == Path::new("-") && asks.may_ask => {
            let question = "The key, not shown:";
            match ask_key(trial, question.to_owned(), written).await? {
                Key::None => Err(no_key(&SecretError::Empty)),
                key @ (Key::InFile(_) | Key::New(_)) => Ok(key),
            }
        }
        Some(file) if file == Path::new("-") => {
            let mut text = Zeroizing::new(String::new());
            io::stdin().take(LONGEST_KEY).read_to_string(&mut text)?;
            let secret = key_in(&text).map_err(|error| no_key(&error))?;
            written.greeting = try_key(trial, &secret).await?;
            Ok(Key::New(secret))
        }
        Some(file) => {
            let file = straight(file)?;
            let found = read_secret_file(&file).map_err(|error| {
                Failure::new(
                    exit::KEY,
                    anyhow::Error::new(error).context(format!("the key file {}", shown(&file))),
                )
            })?;
            if found.is_exposed() {
                trial.session.output.say(&format!(
                    "others can read the key: chmod 600 {}",
                    quoted(&file)
                ))?;
            }
            written.greeting = try_key(trial, &found.secret).await?;
            Ok(Key::InFile(file))
        }
        None if wants_key && asks.may_ask => {
            let question = format!(
                "The key for {}, not shown (empty: the built-in recogniser does the work):",
                trial.service.title
            );
            ask_key(trial, question, written).await
        }
        None => Ok(Key::None),
    }
}

/// What was given is no key.
fn no_key(error: &SecretError) -> Failure {
    let error = anyhow::anyhow!("what was given {error}");
    Failure::new(exit::KEY, error).hint("give the key alone; nothing was written")
}

async fn ask_key(
    trial: &Trial<'_>,
    question: String,
    written: &mut Written,
) -> Result<Key, Failure> {
    for _ in 0..MOST_KEYS {
        let question = question.clone();
        let asked = supervise::blocking(move || Questions::secret(&question));
        let asked = match asked.await? {
            // The signal that broke it off ends the command.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                std::future::pending().await
            }
            asked => asked?,
        };
        let secret = match asked {
            None => return Ok(Key::None),
            Some(Ok(secret)) => secret,
            Some(Err(error)) => {
                super::super::report(&no_key(&error));
                continue;
            }
        };
        match try_key(trial, &secret).await {
            Ok(greeting) => {
                written.greeting = greeting;
                return Ok(Key::New(secret));
            }
            Err(failure) => drop(super::super::report(&failure)),
        }
    }
    Err(Failure::new(
        exit::KEY,
        anyhow::anyhow!("no key that the service takes was given"),
    ))
}

/// Tries the key; a service that is out of reach is a note, a refusal is a failure.
async fn try_key(trial: &Trial<'_>, secret: &SecretString) -> Result<Option<Greeting>, Failure> {
    let Some(base_url) = &trial.base_url else {
        return Ok(None);
    };
    let connection = Connection {
        base_url,
        key: Some(secret),
        reread: Box::new(|| None),
        prices: HashMap::new(),
        clock: Arc::new(SystemClock),
    };
    let service = (trial.service.connect)(connection);
    let service = service.map_err(|error| Failure::new(exit::KEY, error))?;
    match service.greet().await {
        Ok(greeting) if greeting.refuses_key() => {
            let error = anyhow::anyhow!("{base_url} refused the key (status {})", greeting.status);
            Err(Failure::new(exit::KEY, error)
                .hint("copy it once more from your account there; --offline writes it untried"))
        }
        Ok(greeting) => Ok(Some(greeting)),
        Err(NoAnswer::Unreachable(text) | NoAnswer::Broken { text, .. }) => {
            trial
                .session
                .output
                .say(&format!("the key could not be tried: {base_url}: {text}"))?;
            Ok(None)
        }
        Err(NoAnswer::Withheld(_) | NoAnswer::OtherForm | NoAnswer::Source(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_pasted_as_a_shell_wants_it() {
        for (pasted, path) in [
            ("/a b/c", "/a b/c"),
            ("'/a b/c'", "/a b/c"),
            ("\"/a b/c\"", "/a b/c"),
            ("/a\\ b/it\\'s", "/a b/it's"),
            ("'", "'"),
        ] {
            assert_eq!(at_home(pasted), Path::new(path), "{pasted}");
        }
    }
}
