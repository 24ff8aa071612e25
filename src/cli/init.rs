//! `stenod init`: a first configuration, by a few questions or by flags.
//!
//! Writes the configuration, a key file that only its owner reads, and on demand a drop-in for systemd.
//! What is there already is kept unless `--force` says otherwise.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::output::{quoted, shown};
use super::{Failure, Session, exit, view};
use crate::clock::SystemClock;
use crate::config::{Choice as _, Config, EXAMPLE, Provider, read_secret_file};
use crate::domain::money::Amount;
use crate::durable::{self, Existing};
use crate::speech::nanogpt::NanoGpt;
use crate::speech::{Greeting, NoAnswer, Service as _};
use crate::supervise;

/// How often a key is asked for before it is given up.
const MOST_KEYS: usize = 3;
/// Where systemd looks for additions to the unit of the machine.
const DROP_IN: &str = "/etc/systemd/system/stenod.service.d/folders.conf";
/// The longest key that is read from standard input, in bytes.
const LONGEST_KEY: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folders of recordings
    #[arg(value_name = "PATH")]
    folders: Vec<PathBuf>,
    /// A file that holds the key; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Who recognises: auto, nanogpt, openai or local
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = provider)]
    provider: Provider,
    /// Ask nothing; take what the flags say
    #[arg(short, long, visible_alias = "no-input")]
    yes: bool,
    /// Write over a configuration that is there; the old one is kept beside it
    #[arg(long)]
    force: bool,
    /// Do not try the key
    #[arg(long)]
    offline: bool,
    /// Write what systemd needs to know of the configured folders
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = DROP_IN)]
    systemd: Option<PathBuf>,
}

fn provider(name: &str) -> Result<Provider, String> {
    let known = Provider::ALL.iter().copied();
    let names: Vec<&str> = known.clone().map(Provider::name).collect();
    known
        .into_iter()
        .find(|provider| provider.name() == name)
        .ok_or_else(|| format!("one of {} is wanted", names.join(", ")))
}

/// What was written.
#[derive(Default)]
struct Written {
    config: Option<PathBuf>,
    key_file: Option<PathBuf>,
    drop_in: Option<PathBuf>,
    greeting: Option<Greeting>,
}

pub(super) async fn execute(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    let target =
        Config::home(&session.environment, session.config_file.as_deref()).ok_or_else(|| {
            usage("no home directory is known").hint("name the file: stenod --config FILE init")
        })?;
    let is_there = target.symlink_metadata().is_ok();
    let mut written = Written::default();
    if is_there && !arguments.force {
        if arguments.systemd.is_none() || !arguments.folders.is_empty() {
            let error = anyhow::anyhow!(
                "{} is there already, and nothing was changed",
                shown(&target)
            );
            return Err(Failure::new(exit::USAGE, error)
                .hint("edit it, and see `stenod config check`; --force writes a new one and keeps the old beside it"));
        }
    } else {
        let asks = Questions::new(session, arguments);
        let folders = folders(&asks, &arguments.folders)?;
        let key = key(session, arguments, &asks, &mut written).await?;
        write(&target, arguments, &folders, key, &mut written, is_there)?;
    }
    let config = Config::load(&session.environment, Some(&target), &session.overrides)?;
    if let Some(file) = &arguments.systemd {
        durable::create_folders(file.parent().unwrap_or(Path::new("/")))
            .map_err(|error| cannot(file, error))?;
        durable::write(file, drop_in(&config).as_bytes(), Existing::Replace)
            .map_err(|error| cannot(file, error))?;
        written.drop_in = Some(file.clone());
    }
    tell(session, &config, &target, &written).await
}

fn usage(text: &str) -> Failure {
    Failure::new(exit::USAGE, anyhow::anyhow!("{text}"))
}

fn cannot(path: &Path, error: io::Error) -> Failure {
    Failure::new(
        exit::UNEXPECTED,
        anyhow::Error::new(error).context(format!("cannot write {}", shown(path))),
    )
}

/// Asks on a terminal, and only there.
struct Questions {
    may_ask: bool,
}

impl Questions {
    fn new(session: &Session, arguments: &Arguments) -> Self {
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

    fn line(question: &str) -> io::Result<String> {
        Self::ask(question)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }

    fn secret(question: &str) -> io::Result<Option<SecretString>> {
        Self::ask(question)?;
        let answer = Zeroizing::new(rpassword::read_password()?);
        let answer = answer.trim();
        Ok((!answer.is_empty()).then(|| SecretString::from(answer.to_owned())))
    }
}

/// The folders as absolute paths, each of which is there.
fn folders(asks: &Questions, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !given.is_empty() || !asks.may_ask {
        return given.iter().map(|path| folder(path)).collect();
    }
    let mut folders = Vec::new();
    loop {
        let question = if folders.is_empty() {
            "A folder with recordings (empty: none yet):"
        } else {
            "Another one (empty: that is all):"
        };
        let answer = Questions::line(question)?;
        if answer.is_empty() {
            return Ok(folders);
        }
        match folder(&at_home(&answer)) {
            Ok(path) => folders.push(path),
            Err(failure) => drop(super::report(&failure)),
        }
    }
}

/// `~/` as people write it at a prompt.
fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn folder(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path)?.components().collect::<PathBuf>();
    if absolute.to_str().is_none() {
        return Err(usage(&format!(
            "{} cannot stand in a configuration: it is not UTF-8",
            shown(&absolute)
        )));
    }
    match absolute.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(absolute),
        Ok(_) => Err(usage(&format!("{} is no folder", shown(&absolute)))),
        Err(error) => Err(usage(&format!("{}: {error}", shown(&absolute)))),
    }
}

/// The key, and the file that holds it if that is there already.
enum Key {
    None,
    InFile(PathBuf),
    New(SecretString),
}

async fn key(
    session: &Session,
    arguments: &Arguments,
    asks: &Questions,
    written: &mut Written,
) -> Result<Key, Failure> {
    let wants_key = matches!(arguments.provider, Provider::Auto | Provider::NanoGpt);
    match &arguments.key_file {
        Some(file) if file == Path::new("-") => {
            let mut text = Zeroizing::new(String::new());
            io::stdin().take(LONGEST_KEY).read_to_string(&mut text)?;
            let secret = SecretString::from(text.trim().to_owned());
            written.greeting = try_key(session, arguments, &secret).await?;
            Ok(Key::New(secret))
        }
        Some(file) => {
            let file = std::path::absolute(file)?;
            let found = read_secret_file(&file).map_err(|error| {
                Failure::new(
                    exit::KEY,
                    anyhow::Error::new(error).context(format!("the key file {}", shown(&file))),
                )
            })?;
            if found.is_exposed() {
                session.output.say(&format!(
                    "others can read the key: chmod 600 {}",
                    quoted(&file)
                ))?;
            }
            written.greeting = try_key(session, arguments, &found.secret).await?;
            Ok(Key::InFile(file))
        }
        None if wants_key && asks.may_ask => ask_key(session, arguments, written).await,
        None => Ok(Key::None),
    }
}

async fn ask_key(
    session: &Session,
    arguments: &Arguments,
    written: &mut Written,
) -> Result<Key, Failure> {
    for _ in 0..MOST_KEYS {
        let asked = supervise::blocking(|| {
            Questions::secret(
                "The key for NanoGPT, not shown (empty: the built-in recogniser does the work):",
            )
        });
        let Some(secret) = asked.await?? else {
            return Ok(Key::None);
        };
        match try_key(session, arguments, &secret).await {
            Ok(greeting) => {
                written.greeting = greeting;
                return Ok(Key::New(secret));
            }
            Err(failure) => drop(super::report(&failure)),
        }
    }
    Err(Failure::new(
        exit::KEY,
        anyhow::anyhow!("no key that the service takes was given"),
    ))
}

/// Tries the key; a service that is out of reach is a note, a refusal is a failure.
async fn try_key(
    session: &Session,
    arguments: &Arguments,
    secret: &SecretString,
) -> Result<Option<Greeting>, Failure> {
    if arguments.offline {
        return Ok(None);
    }
    let base_url = base_url(session)?;
    let service = NanoGpt::new(&base_url, secret, Box::new(|| None), Arc::new(SystemClock))
        .map_err(|error| Failure::new(exit::KEY, error))?;
    match service.greet().await {
        Ok(greeting) if greeting.refuses_key() => {
            let error = anyhow::anyhow!("{base_url} refused the key (status {})", greeting.status);
            Err(Failure::new(exit::KEY, error)
                .hint("copy it once more from your account there; --offline writes it untried"))
        }
        Ok(greeting) => Ok(Some(greeting)),
        Err(NoAnswer::Unreachable(text) | NoAnswer::Broken { text, .. }) => {
            session
                .output
                .say(&format!("the key could not be tried: {base_url}: {text}"))?;
            Ok(None)
        }
        Err(NoAnswer::Withheld(_) | NoAnswer::OtherForm | NoAnswer::Source(_)) => Ok(None),
    }
}

/// The address of the service by variables and defaults; no file is asked.
fn base_url(session: &Session) -> Result<String, Failure> {
    match session
        .environment
        .get("STENOD_SERVICE__BASE_URL")
        .and_then(|url| url.to_str())
    {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None => Ok("https://nano-gpt.com/api".to_owned()),
    }
}

fn write(
    target: &Path,
    arguments: &Arguments,
    folders: &[PathBuf],
    key: Key,
    written: &mut Written,
    is_there: bool,
) -> Result<(), Failure> {
    let home = target.parent().unwrap_or(Path::new("/"));
    durable::create_folders(home).map_err(|error| cannot(home, error))?;
    let key_file = match key {
        Key::None => None,
        Key::InFile(file) => Some(file),
        Key::New(secret) => {
            let file = home.join("key");
            let existing = if arguments.force {
                Existing::Replace
            } else {
                Existing::Keep
            };
            durable::write_secret(&file, secret.expose_secret().as_bytes(), existing)
                .map_err(|error| cannot(&file, error).hint("--force writes over it"))?;
            Some(file)
        }
    };
    if is_there {
        let old = target.with_extension("toml.old");
        durable::move_file(target, &old, Existing::Replace).map_err(|error| cannot(&old, error))?;
    }
    let text = configuration(arguments.provider, folders, key_file.as_deref());
    durable::write(target, text.as_bytes(), Existing::Keep)
        .map_err(|error| cannot(target, error))?;
    written.config = Some(target.to_owned());
    written.key_file = key_file;
    Ok(())
}

/// The example with what was asked for filled in, so that every setting stands there, explained.
fn configuration(provider: Provider, folders: &[PathBuf], key_file: Option<&Path>) -> String {
    let quote = |path: &Path| Value::from(path.to_string_lossy()).to_string();
    let mut text = EXAMPLE.replacen(
        "provider = \"auto\"",
        &format!("provider = \"{}\"", provider.name()),
        1,
    );
    if let Some(file) = key_file {
        let line = format!("api_key_file = {}", quote(file));
        text = text.replacen("#api_key_file = \"/etc/stenod/key\"", &line, 1);
    }
    if let Some((last, others)) = folders.split_last() {
        let table = |path: &PathBuf| format!("[[folders]]\n\npath = {}\n", quote(path));
        let others: String = others.iter().map(|path| table(path) + "\n").collect();
        let example = "#[[folders]]\n\n#path = \"~/Podcasts\"\n";
        text = text.replacen(example, &(others + &table(last)), 1);
    }
    text
}

/// What systemd has to know of the folders: mounted before the start, and writable.
fn drop_in(config: &Config) -> String {
    let mut text =
        "# Written by `stenod init --systemd`; run it again when the folders change.\n[Unit]\n"
            .to_owned();
    let quote = |path: &Path| {
        format!(
            "\"{}\"",
            path.to_string_lossy()
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('%', "%%")
        )
    };
    for folder in &config.folders {
        text.push_str(&format!("RequiresMountsFor={}\n", quote(&folder.path)));
    }
    text.push_str("\n[Service]\n");
    for folder in &config.folders {
        let place = folder
            .transcribe
            .output_dir
            .as_ref()
            .unwrap_or(&folder.path);
        text.push_str(&format!("ReadWritePaths={}\n", quote(place)));
    }
    text
}

async fn tell(
    session: &Session,
    config: &Config,
    target: &Path,
    written: &Written,
) -> Result<u8, Failure> {
    let plan = match config.folders.is_empty() {
        true => None,
        false => Some(super::plan::summary(session, config).await?),
    };
    if session.output.json() {
        session.output.document(&json!({
            "config": view::path(target),
            "written": written.config.is_some(),
            "key_file": written.key_file.as_deref().map(view::path),
            "balance": written.greeting.as_ref().and_then(|greeting| greeting.balance).map(|balance| balance.to_string()),
            "currency": "USD",
            "systemd": written.drop_in.as_deref().map(view::path),
            "folders": config.folders.iter().map(|folder| view::path(&folder.path)).collect::<Vec<_>>(),
            "plan": plan.map(|(json, _)| json),
        }))?;
        return Ok(exit::DONE);
    }
    let mut lines = Vec::new();
    if let Some(file) = &written.config {
        lines.push(format!("wrote {}", shown(file)));
    }
    if let Some(file) = &written.key_file {
        lines.push(format!("the key is in {}", shown(file)));
    }
    if let Some(balance) = written
        .greeting
        .as_ref()
        .and_then(|greeting| greeting.balance)
    {
        lines.push(format!(
            "the key is good; the balance is {}",
            Amount::usd(balance.round_dp(2))
        ));
    }
    if let Some(file) = &written.drop_in {
        lines.push(format!(
            "wrote {}: systemctl daemon-reload takes it up",
            shown(file)
        ));
    }
    if let Some((_, text)) = plan {
        lines.push(session.output.page().text("there now: ", &text));
    }
    lines.push(next_steps(config));
    session.output.data(&(lines.join("\n") + "\n"))?;
    Ok(exit::DONE)
}

fn next_steps(config: &Config) -> String {
    let folder = if config.folders.is_empty() {
        " FOLDER"
    } else {
        ""
    };
    let mut text = format!(
        "\nnext:\n  stenod plan{folder}    each recording and its price; sends nothing\n  stenod run{folder}     transcribes what is there\n  stenod watch{folder}   transcribes what arrives, until stopped"
    );
    if Path::new("/run/systemd/system").is_dir() {
        text.push_str("\nas a service, where the unit is installed:\n  sudo stenod init --systemd   for the folders of the configuration\n  sudo systemctl enable --now stenod");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_takes_up_what_was_asked_for() {
        let folders = [PathBuf::from("/a \"b\""), PathBuf::from("/c")];
        let text = configuration(Provider::NanoGpt, &folders, Some(Path::new("/k")));
        for line in [
            "provider = \"nanogpt\"",
            "api_key_file = \"/k\"",
            "path = \"/a \\\"b\\\"\"",
            "path = \"/c\"",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        assert_eq!(text.matches("\n[[folders]]").count(), 2);
        assert_eq!(configuration(Provider::Auto, &[], None), EXAMPLE);
    }
}
