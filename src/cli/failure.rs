//! What ends a command, and which exit code it is worth. Reported once, with its hint apart.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::error::ContextKind;
use serde_json::{Value, json};

use super::output::{page, placed, placed_in, quoted};
use super::{exit, view};
use crate::config::{ConfigErrors, Mistake, Place};
use crate::domain::job::Reason;
use crate::pipeline::{PipelineError, nothing_readable};
use crate::queue::QueueError;
use crate::session::{OpenError, SetupError};

/// What a start without a table does.
const BEGINS_ANEW: &str = "begins a new table and takes up every transcript whose json lies beside its recording, free of charge; what was on its way and what was spent today are not known to it, so that a recording without a transcript is paid for again";

/// Why a command ended.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
    hint: Option<String>,
    /// Whether a script reads along, on standard output.
    json: bool,
    /// What scripts know it by, where the exit code alone does not say it.
    name: Option<&'static str>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            hint: None,
            json: false,
            name: None,
        }
    }

    /// None of the places that were to be looked at can be read.
    pub(super) fn nothing_readable(troubles: &HashMap<PathBuf, Reason>) -> Self {
        let (text, way) = nothing_readable(troubles);
        let failure = Self::new(exit::UNEXPECTED, anyhow::anyhow!(text));
        match way {
            Some(way) => failure.hint(way),
            None => failure,
        }
    }

    /// The same with a way to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a name of its own for scripts.
    pub fn named(self, name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// The same, told to a script as well if `json` says so.
    pub fn in_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// The line of JSON that a script reads.
    fn line(&self) -> Value {
        let mut line = json!({
            "type": "error", "code": self.name.unwrap_or(name(self.code)),
            "message": format!("{:#}", self.error),
            "fix": self.hint.as_deref().map(placed_in), "exit": self.code,
            "commands": self.hint.as_deref().map(commands).unwrap_or_default(),
        });
        let errors = self.error.downcast_ref::<ConfigErrors>();
        if let (Some(errors), Some(line)) = (errors, line.as_object_mut()) {
            let mistakes = errors.mistakes().iter().map(mistake).collect();
            line.insert("mistakes".to_owned(), mistakes);
        }
        line
    }

    /// Whether the reader of our output has gone, which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

/// Says what went wrong on standard error; gives the exit code.
pub fn report(failure: &Failure) -> u8 {
    let mut text = format!("stenod: {:#}\n", failure.error);
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("  {hint}\n"));
    }
    if failure.json {
        tell(&failure.line());
    }
    let text = page(io::stderr()).talk(&text);
    match io::stderr().write_all(text.as_bytes()) {
        // With standard error gone there is nobody left to tell.
        Ok(()) | Err(_) => failure.code,
    }
}

/// Tells a script of wrong usage.
pub(super) fn report_usage(error: &clap::Error) {
    let text = error.render().to_string();
    let mut lines = text.lines();
    let message = lines.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let tip = lines.find_map(|line| line.trim_start().strip_prefix("tip: "));
    let argument = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    let argument = argument.into_iter().find_map(|kind| error.get(kind));
    tell(&json!({
        "type": "error", "code": name(exit::USAGE), "message": message, "fix": tip,
        "argument": argument.map(ToString::to_string), "exit": exit::USAGE,
    }));
}

fn tell(line: &Value) {
    match io::stdout().write_all(format!("{line}\n").as_bytes()) {
        // The exit code says it as well.
        Ok(()) | Err(_) => {}
    }
}

/// The way out of a state directory, or a file in it at `path`, that is of no use.
fn state_dir_hint(path: &Path, error: &io::Error) -> String {
    let kind = error.kind();
    if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&kind) {
        return format!(
            "its disk is full: make room (`df -h {}` shows it), or name another with --state-dir",
            quoted(path)
        );
    }
    let way = match kind == io::ErrorKind::PermissionDenied {
        true => "says whose it is; run as that user",
        false => "says what is wrong with it; mend that",
    };
    format!("`stenod doctor` {way}, or name another with --state-dir")
}

/// The commands in a sentence, as they stand between backticks, to be run as they are.
fn commands(hint: &str) -> Vec<String> {
    let quoted = hint.split('`').skip(1).step_by(2);
    let runs = |words: &&str| {
        let words = words.strip_prefix("sudo ").unwrap_or(words);
        let is_placeholder =
            |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        words.starts_with("stenod ") && !words.split(' ').any(is_placeholder)
    };
    quoted.filter(runs).map(placed).collect()
}

/// What an exit code is called in JSON.
fn name(code: u8) -> &'static str {
    match code {
        exit::USAGE => "usage",
        exit::SOME_FAILED => "some_failed",
        exit::KEY => "key",
        exit::OUT_OF_REACH => "out_of_reach",
        exit::MONEY => "money",
        exit::CONFIGURATION => "configuration",
        exit::HELD => "held",
        exit::INTERRUPTED | exit::TERMINATED => "stopped",
        _ => "unexpected",
    }
}

/// A mistake in the configuration, with its place.
fn mistake(mistake: &Mistake) -> Value {
    let (file, line, column) = match &mistake.place {
        Place::Line(line) => (Some(&line.file), Some(line.number), Some(line.column)),
        Place::File(file) => (Some(file), None, None),
        Place::Variable(_) | Place::Flag(_) | Place::Nowhere => (None, None, None),
    };
    let source = match &mistake.place {
        Place::Variable(name) | Place::Flag(name) => Some(name),
        Place::Line(_) | Place::File(_) | Place::Nowhere => None,
    };
    json!({
        "file": file.map(|file| view::path(file)), "line": line, "column": column,
        "variable_or_flag": source, "key": mistake.key, "message": mistake.what,
        "allowed": mistake.allowed, "nearest": mistake.nearest, "fix": mistake.mend,
    })
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(exit::UNEXPECTED, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(exit::UNEXPECTED, error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(exit::UNEXPECTED, error)
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        // A file that `--config` names and that is not there is a missing configuration.
        let in_flags =
            |mistake: &Mistake| matches!(&mistake.place, Place::Flag(flag) if flag != "--config");
        let all_in_flags = errors.mistakes().iter().all(in_flags);
        Self::new(
            if all_in_flags {
                exit::USAGE
            } else {
                exit::CONFIGURATION
            },
            errors,
        )
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        if let QueueError::Corrupt(_) = &error {
            return Self::new(exit::UNEXPECTED, error)
                .hint(format!("nothing was deleted; starting again {BEGINS_ANEW}"));
        }
        if error.is_damage() {
            // Whoever only reads moves nothing.
            let error = anyhow::Error::new(error).context("the job table is damaged");
            return Self::new(exit::UNEXPECTED, error).hint(format!(
                "nothing was changed; `stenod run` and `stenod watch` set it aside, and starting them again {BEGINS_ANEW}"
            ));
        }
        if let QueueError::OlderSchema { .. } = &error {
            return Self::new(exit::HELD, error)
                .hint("stop it and start this one in its place: that brings the table up to date, after a copy of it");
        }
        if let QueueError::Backup { .. } = &error {
            return Self::new(exit::UNEXPECTED, error).hint(
                "the table itself is as it was; make room, or name a file that is not there yet",
            );
        }
        if let QueueError::StateDir { path, error: cause } = &error {
            let hint = state_dir_hint(path, cause);
            return Self::new(exit::UNEXPECTED, error).hint(hint);
        }
        let is_held = matches!(error, QueueError::AlreadyHeld { .. });
        if is_held {
            return Self::new(exit::HELD, error)
                .hint("stop that one first, or use another --state-dir; `stenod status` says what it does");
        }
        Self::new(exit::UNEXPECTED, error)
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        let hint = error.hint();
        let code = match &error {
            SetupError::NoKey(_)
            | SetupError::KeyTrouble(_)
            | SetupError::ModelNeedsKey { .. }
            | SetupError::NothingRecognises => exit::KEY,
            SetupError::NoTranscription { .. }
            | SetupError::EnglishOnly { .. }
            | SetupError::NothingToLookAt
            | SetupError::Root(_)
            | SetupError::BucketSecret { .. }
            | SetupError::Receiver { .. }
            | SetupError::Bucket(_) => exit::CONFIGURATION,
            SetupError::NoSuchPath(_) => exit::USAGE,
            SetupError::Client(_) => exit::UNEXPECTED,
            SetupError::Queue(_) => exit::UNEXPECTED,
        };
        let failure = if let SetupError::Queue(error) = error {
            Self::from(error)
        } else {
            Self::new(code, error)
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Queue(error) => Self::from(error),
            PipelineError::Task(error) => Self::new(exit::UNEXPECTED, error),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Setup(error) => Self::from(error),
            OpenError::Pipeline(error) => Self::from(error),
        }
    }
}

impl From<crate::supervise::TaskPanicked> for Failure {
    fn from(error: crate::supervise::TaskPanicked) -> Self {
        Self::new(exit::UNEXPECTED, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_state_decides_how_it_is_mended() {
        let hint = |kind| state_dir_hint(Path::new("/s t"), &io::Error::from(kind));
        let full = hint(io::ErrorKind::StorageFull);
        assert!(full.contains("`df -h '/s t'`"), "{full}");
        let denied = hint(io::ErrorKind::PermissionDenied);
        assert!(denied.contains("whose it is"), "{denied}");
        let other = hint(io::ErrorKind::NotADirectory);
        assert!(other.contains("what is wrong"), "{other}");
    }

    #[test]
    fn a_script_is_told_the_commands_of_a_hint() {
        let hint =
            "set `x`, or `stenod doctor`; `stenod init FOLDER` adds one, `sudo stenod run -y` too";
        assert_eq!(commands(hint), ["stenod doctor", "sudo stenod run -y"]);
    }
}
