//! `stenod completions` and `stenod man`: made from the definition of the command line itself.
//!
//! Nothing of it is kept in a file, so nothing can drift.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Failure, Session, exit};

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
    let command = examples_last(page_of(arguments.command.as_deref())?);
    clap_mangen::Man::new(command).render(&mut page)?;
    session.output.data(&String::from_utf8_lossy(&page))?;
    Ok(exit::DONE)
}

/// A manual has no place before its first section.
fn examples_last(command: Command) -> Command {
    let Some(examples) = command.get_before_long_help().map(ToString::to_string) else {
        return command;
    };
    let rest = command.get_after_long_help().map(ToString::to_string);
    let text = [Some(examples.trim().to_owned()), rest]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n\n");
    command.after_long_help(text)
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
