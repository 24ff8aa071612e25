//! `stenod completions` and `stenod man`: made from the definition of the command line itself.
//!
//! Nothing of it is kept in a file, so nothing can drift.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, Resettable, StringValueParser, StyledStr, TypedValueParser};
use clap::{Arg, Args, Command};
use clap_complete::Shell;

use super::{Failure, Session, exit};
use crate::speech::services::{Description, SERVICES};

/// Words that a shell completes, of which any other is passed on to be judged where its mistake can be
/// explained.
#[derive(Debug, Clone)]
pub(super) struct Names(Vec<&'static str>);

impl Names {
    pub(super) fn of(names: Vec<&'static str>) -> Self {
        Self(names)
    }
}

impl TypedValueParser for Names {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

const EXIT_STATUS: &str = "
  0         done, or nothing to do
  1         an unexpected error, or a problem that doctor found
  2         wrong usage
  3         finished, and some recordings failed, cannot be read or wait for a person
  4         the key is missing or was refused
  5         the service is out of reach or overloaded; the work is kept
  8         stopped at a cost limit or an empty balance
  10        the configuration is missing or wrong
  11        another instance holds the state
  130, 143  stopped by SIGINT, SIGTERM";

const FILES: &str = "
  ~/.config/stenod/config.toml    the configuration, else /etc/stenod/config.toml
  ~/.local/state/stenod           the state directory, unless state_dir says otherwise
  .stenodignore, stenod.toml      rules in a folder of recordings
  speakers.toml, glossary.toml    names and words in a folder of recordings";

const ENVIRONMENT: &str = "
  STENOD_CONFIG                   the configuration to read
  STENOD_SERVICE__JOBS and so on  override single keys: STENOD_, the table, __ and the key
  NO_COLOR                        no colours";

/// The variables that hold keys, a line each.
fn keys() -> String {
    let lines = SERVICES.iter().map(|service| {
        let Description {
            key_variable,
            title,
            ..
        } = service;
        format!("\n  {key_variable:<30}  the key for {title}")
    });
    lines.collect()
}

#[derive(Debug, Args)]
pub(super) struct CompletionArguments {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// A command, for the page of its own
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(super) fn completions(
    session: &Session,
    arguments: &CompletionArguments,
) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::definition(false),
        "stenod",
        &mut script,
    );
    session.output.data(&String::from_utf8_lossy(&script))?;
    Ok(exit::DONE)
}

pub(super) fn man(session: &Session, arguments: &ManArguments) -> Result<u8, Failure> {
    let mut page = Vec::new();
    let command = page_of(arguments.command.as_deref())?;
    let own = sections(&command, arguments.command.is_none());
    let none = Resettable::<StyledStr>::Reset;
    let command = command.after_help(none.clone()).after_long_help(none);
    clap_mangen::Man::new(command).render(&mut page)?;
    page.extend(own.into_bytes());
    session.output.data(&String::from_utf8_lossy(&page))?;
    Ok(exit::DONE)
}

/// What the definition has no section for: examples and notes, and for the program its exit codes and files.
fn sections(command: &Command, is_program: bool) -> String {
    let examples = command.get_before_long_help().map(ToString::to_string);
    let notes = command.get_after_long_help().map(ToString::to_string);
    let examples = examples.unwrap_or_default();
    let examples = examples.trim().trim_start_matches("Examples:");
    let mut text = section("EXAMPLES", examples);
    text.push_str(&section("NOTES", &notes.unwrap_or_default()));
    text.push_str(&section("EXIT STATUS", EXIT_STATUS));
    if is_program {
        text.push_str(&section("FILES", FILES));
        text.push_str(&section("ENVIRONMENT", &(keys() + ENVIRONMENT)));
    }
    text
}

/// A section whose lines stay as they are, as roff; nothing for an empty one.
fn section(name: &str, text: &str) -> String {
    let lines = text.trim_matches('\n').lines().map(|line| {
        let line = line.replace('\\', "\\\\").replace('-', "\\-");
        match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}\n"),
            false => line + "\n",
        }
    });
    let lines: String = lines.collect();
    if lines.trim().is_empty() {
        return String::new();
    }
    format!(".SH \"{name}\"\n.nf\n{lines}.fi\n")
}

fn page_of(command: Option<&str>) -> Result<Command, Failure> {
    let mut definition = super::help::whole(super::definition(false));
    definition.build();
    let Some(name) = command else {
        return Ok(definition);
    };
    let found = definition.find_subcommand(name).cloned();
    found.ok_or_else(|| super::help::unknown(name, &definition))
}
