//! `stenod init`: a first configuration, by a few questions or by flags.
//!
//! Writes the configuration, a key file that only its owner reads, and on demand a drop-in for systemd.
//! A configuration that is there is kept: `amend` adds folders to it or gives it another key, and `--force`
//! sets it aside.

mod amend;
mod questions;
mod service;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::TypedValueParser;
use serde_json::json;

use super::output::{clean, placed, placed_in, shown};
use super::signals::{Signalled as _, Signals};
use super::{Failure, Session, exit, orders, provider_names, unsettled, view};
use crate::config::{Choice as _, Config, Provider};
use crate::control::Order;
use crate::disk::{QUICK, real_path, straight};
use crate::domain::money::Amount;
use crate::durable::{self, Existing};
use crate::queue::{holder, running_instance};
use crate::speech::Greeting;
use questions::{Questions, Terminal, Trial};

/// Where systemd looks for additions to the unit of the machine.
const DROP_IN: &str = "/etc/systemd/system/stenod.service.d/folders.conf";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folders of recordings; added to a configuration that is there
    #[arg(value_name = "PATH")]
    folders: Vec<PathBuf>,
    /// The file that holds the key; `-` asks for the key
    ///
    /// `-` reads it from standard input where nobody can be asked. Where a configuration is there, nothing
    /// of it changes but the key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[arg(long, value_name = "NAME", default_value = "auto", hide_possible_values = true, help = provider_names(" or "), value_parser = named())]
    provider: Provider,
    /// Ask nothing; the flags say it
    #[arg(short, long, visible_alias = "no-input")]
    yes: bool,
    /// Write a new one; that which is there is kept beside it
    #[arg(long)]
    force: bool,
    /// Do not try the key
    #[arg(long)]
    offline: bool,
    /// Write what systemd has to know of the folders
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = DROP_IN)]
    systemd: Option<PathBuf>,
    /// Write a systemd unit of your own for them
    #[arg(long)]
    user_service: bool,
}

fn named() -> impl TypedValueParser<Value = Provider> {
    super::providers().try_map(|name| provider(&name))
}

fn provider(name: &str) -> Result<Provider, String> {
    let mut known = Provider::all().into_iter();
    known
        .find(|provider| provider.name() == name)
        .ok_or_else(|| format!("one of {} is wanted", provider_names(", ")))
}

/// What was written.
#[derive(Default)]
struct Written {
    config: Option<PathBuf>,
    key_file: Option<PathBuf>,
    drop_in: Option<PathBuf>,
    /// A person's own unit, and whether it is new.
    unit: Option<(PathBuf, bool)>,
    greeting: Option<Greeting>,
    /// Folders that were added to a configuration.
    added: Vec<PathBuf>,
    /// Where the configuration is now that was there.
    old: Option<PathBuf>,
    /// Where the key is now that was there.
    old_key: Option<PathBuf>,
    /// Its folders that the new one does not have.
    left_out: Vec<PathBuf>,
}

pub(super) async fn execute(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    if !Questions::new(session, arguments).may_ask() {
        return set_up(session, arguments).await;
    }
    let mut signals = Signals::listen()?;
    let terminal = Terminal::as_it_is()?;
    tokio::select! {
        done = set_up(session, arguments) => done,
        code = signals.next() => {
            terminal.restore()?;
            Ok(code)
        }
    }
}

async fn set_up(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    let target =
        Config::home(&session.environment, session.config_file.as_deref()).ok_or_else(|| {
            usage("no home directory is known").hint("name the file: stenod --config FILE init")
        })?;
    let is_there = target.symlink_metadata().is_ok();
    let mut written = Written::default();
    let mut wants_service = arguments.user_service;
    if is_there && !arguments.force {
        let changes = arguments.key_file.is_some() || !arguments.folders.is_empty();
        let serves = arguments.systemd.is_some() || arguments.user_service;
        if arguments.provider != Provider::Auto || !(changes || serves) {
            return Err(is_there_already(&target));
        }
        if changes {
            amend::amend(session, arguments, &target, &mut written).await?;
        }
    } else {
        let asks = Questions::new(session, arguments);
        let folders = questions::folders(&asks, &arguments.folders).await?;
        write::try_out(session, &target, arguments, &folders)?;
        let trial = Trial::of_first_key(session, arguments);
        let key = questions::key(&trial, arguments, &asks, &mut written).await?;
        // All is asked before anything is written.
        wants_service |= asks.service(session, &folders).await?;
        written.left_out = left_out(session, &target, &folders);
        write::write(&target, arguments, &folders, key, &mut written)?;
    }
    let config = Config::load(&session.environment, Some(&target), &session.overrides)?;
    if let Some(file) = &arguments.systemd {
        let file = straight(file)?;
        durable::create_folders(file.parent().unwrap_or(Path::new("/")))
            .map_err(|error| cannot(&file, &error))?;
        let text = service::drop_in(&config);
        durable::write(&file, text.as_bytes(), Existing::Replace)
            .map_err(|error| cannot(&file, &error))?;
        written.drop_in = Some(file);
    }
    if wants_service {
        written.unit = Some(service::write_unit(&session.environment, &target, &config)?);
    }
    let is_new = !written.added.is_empty() || written.key_file.is_some();
    let heard = match is_new {
        true => hear(session, &config, &target, !written.added.is_empty()).await?,
        false => Heard::Nobody,
    };
    tell(session, &config, &target, &written, &heard).await
}

/// What whoever runs made of a change.
enum Heard {
    /// Nobody runs who had to be told.
    Nobody,
    /// The daemon has it, as the process of this number.
    Taken(String),
    /// The same, which watches the folders of its command line all the same.
    TakenInVain(String),
    /// The daemon of this process goes by another file.
    ByAnother(String, PathBuf),
    /// It has it not, for this reason.
    Refused(String),
}

impl Heard {
    fn line(&self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Taken(pid) => Some(format!(
                "the running stenod (process {pid}) has read it and goes on with it"
            )),
            Self::TakenInVain(pid) => Some(format!(
                "the running stenod (process {pid}) has read it, and watches the folders that it was started with, not these: \
                 stop it, and start it without any"
            )),
            Self::ByAnother(pid, file) => Some(format!(
                "the running stenod (process {pid}) goes by {}, and knows nothing of this",
                shown(file)
            )),
            Self::Refused(why) => Some(format!(
                "the running stenod has not taken it up: {}; `stenod reload` tells it again",
                clean(why)
            )),
        }
    }
}

/// Has a running daemon read its configuration again: that also ends the pause for a refused key.
async fn hear(
    session: &Session,
    config: &Config,
    target: &Path,
    added: bool,
) -> Result<Heard, Failure> {
    let Some(instance) = holder(&config.state_dir)? else {
        return Ok(Heard::Nobody);
    };
    tracing::debug!(pid = instance.pid, at = %session.clock.now(), "it is told of the change");
    let told = unsettled::ask(config, None).await;
    let watching = told.and_then(|told| told.watching).unwrap_or_default();
    let real = |path: &Path| real_path(path, QUICK).unwrap_or_else(|| path.to_owned());
    let file = watching.file.map(PathBuf::from);
    if let Some(file) = file.filter(|file| real(file) != real(target)) {
        return Ok(Heard::ByAnother(instance.pid, file));
    }
    Ok(match orders::ask(config, &Order::Reload).await {
        Ok(Ok(_)) if added && !watching.folders.is_empty() => Heard::TakenInVain(instance.pid),
        Ok(Ok(_)) => Heard::Taken(instance.pid),
        Ok(Err(refusal)) => Heard::Refused(refusal.to_string()),
        Err(error) => Heard::Refused(error.to_string()),
    })
}

fn is_there_already(target: &Path) -> Failure {
    let error = anyhow::anyhow!(
        "{} is there already, and nothing was changed",
        shown(target)
    );
    Failure::new(exit::USAGE, error).hint(
        "edit it, and see `stenod config check`; `stenod init FOLDER` adds a folder to it, \
         `stenod init --key-file -` gives it another key, --force writes a new one and keeps the old beside it",
    )
}

/// The folders of a configuration that is there, without those that a new one will have.
fn left_out(session: &Session, target: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    // What cannot be read is kept beside the new one, all the same.
    let old = Config::load(&session.environment, Some(target), &session.overrides);
    let old = old.map(|old| old.folders).unwrap_or_default();
    let old = old.into_iter().map(|folder| folder.path);
    old.filter(|path| !folders.contains(path)).collect()
}

fn usage(text: &str) -> Failure {
    Failure::new(exit::USAGE, anyhow::anyhow!("{text}"))
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    let why = reason(error);
    let failure = Failure::new(
        exit::UNEXPECTED,
        anyhow::anyhow!("cannot write {}: {why}", shown(path)),
    );
    let is_place = [io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound];
    if is_place.contains(&error.kind()) {
        failure.hint("`stenod -c FILE init` writes the configuration to another place")
    } else {
        failure
    }
}

/// The reason of the operating system in plain words.
fn reason(error: &io::Error) -> String {
    let plain = [
        (io::ErrorKind::NotFound, "there is no such folder"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (
            io::ErrorKind::ReadOnlyFilesystem,
            "its disk is mounted for reading alone",
        ),
        (io::ErrorKind::StorageFull, "its disk is full"),
        (io::ErrorKind::AlreadyExists, "it is there already"),
    ];
    let words = plain.iter().find(|(kind, _)| *kind == error.kind());
    words.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

async fn tell(
    session: &Session,
    config: &Config,
    target: &Path,
    written: &Written,
    heard: &Heard,
) -> Result<u8, Failure> {
    let is_watched = matches!(running_instance(&config.state_dir), Ok(Some(_)));
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
            "added": written.added.iter().map(|path| view::path(path)).collect::<Vec<_>>(),
            "old_key": written.old_key.as_deref().map(view::path),
            "old": written.old.as_deref().map(view::path),
            "left_out": written.left_out.iter().map(|path| view::path(path)).collect::<Vec<_>>(),
            "user_service": written.unit.as_ref().map(|(file, _)| view::path(file)),
            "systemd": written.drop_in.as_deref().map(view::path),
            "folders": config.folders.iter().map(|folder| view::path(&folder.path)).collect::<Vec<_>>(),
            "plan": plan.map(|(json, _)| json),
            "reloaded": matches!(heard, Heard::Taken(_) | Heard::TakenInVain(_)),
        }))?;
        return Ok(exit::DONE);
    }
    let mut lines = written.lines(target);
    lines.extend(heard.line().map(|line| placed_in(&line)));
    if let Some((_, text)) = plan {
        lines.push(session.output.page().text("there now: ", &text));
    }
    if config.folders.is_empty() && written.config.is_some() {
        let add = placed("stenod init FOLDER");
        lines.push(format!("no folder is in it so far: `{add}` adds one"));
    }
    lines.push(next_steps(session, config, written, is_watched));
    session.output.data(&(lines.join("\n") + "\n"))?;
    Ok(exit::DONE)
}

impl Written {
    /// What was done to which file, a line each.
    fn lines(&self, target: &Path) -> Vec<String> {
        let wrote = self.config.iter();
        let mut lines: Vec<String> = wrote.map(|file| format!("wrote {}", shown(file))).collect();
        if let Some(old) = &self.old {
            lines.push(format!("the old one is {}", shown(old)));
        }
        if let Some(old) = &self.old_key {
            lines.push(format!("the old key is {}", shown(old)));
        }
        for folder in &self.left_out {
            lines.push(format!(
                "not in the new one: the folder {} with its settings",
                shown(folder)
            ));
        }
        for folder in &self.added {
            lines.push(format!("added {} to {}", shown(folder), shown(target)));
        }
        if let Some(file) = &self.key_file {
            lines.push(format!("the key is in {}", shown(file)));
        }
        if let Some(balance) = self.greeting.as_ref().and_then(|greeting| greeting.balance) {
            lines.push(format!(
                "the key is good; the balance is {}",
                Amount::usd(balance.round_dp(2))
            ));
        }
        if let Some(file) = &self.drop_in {
            lines.push(format!(
                "wrote {}: systemctl daemon-reload takes it up",
                shown(file)
            ));
        }
        if let Some((file, is_new)) = &self.unit {
            lines.push(if *is_new {
                format!("wrote {}", shown(file))
            } else {
                format!("{} was there, and stays as it is", shown(file))
            });
        }
        lines
    }
}

fn next_steps(session: &Session, config: &Config, written: &Written, is_watched: bool) -> String {
    let folder = if config.folders.is_empty() {
        " FOLDER"
    } else {
        ""
    };
    let watch = match is_watched {
        true => ("status", "what the running stenod makes of it"),
        false => ("watch", "transcribes what arrives, until stopped"),
    };
    let steps = [
        ("plan", "each recording and its price; sends nothing"),
        ("run", "transcribes what is there"),
        watch,
    ];
    let steps = steps.map(|(name, what)| {
        let folder = if name == "status" { "" } else { folder };
        (placed(&format!("stenod {name}{folder}")), what)
    });
    let width = steps.iter().map(|(step, _)| step.len()).max().unwrap_or(0);
    let steps = steps.map(|(step, what)| format!("\n  {step:<width$}   {what}"));
    let mut text = format!("\nnext:{}", steps.concat());
    if is_watched {
        return text;
    }
    if written.unit.is_some() {
        text.push_str("\nas a service of yours:\n  systemctl --user daemon-reload\n  systemctl --user enable --now stenod\n  loginctl enable-linger         also while you are not logged in");
    } else if service::has_user_manager(&session.environment) && !config.folders.is_empty() {
        text.push_str("\nas a service of yours:\n  stenod init --user-service   writes the unit, and says how it is started");
    }
    if Path::new("/run/systemd/system").is_dir() {
        text.push_str("\nas a service, where the unit is installed:\n  sudo stenod init --systemd   for the folders of the configuration\n  sudo systemctl enable --now stenod");
    }
    text
}
