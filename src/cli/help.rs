//! How help looks: examples first, and the short form on one screen.
//!
//! `-h` leaves out what is seldom asked for (`hide_short_help` at the flag) and most examples; `--help`
//! shows everything. The many commands fit no screen in one column: `-h` of the program has a table of its own.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, Command};

use super::output::quoted;
use super::{Failure, Session, exit};
use crate::domain::near::nearest;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A command, and a command of that
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Examples before the usage; clap's own order would have them last.
const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// The same for `-h` of the program.
const PROGRAM: &str = "\
{about-with-newline}
{before-help}";

/// The commands at a glance.
const TABLE: &str = "\
Examples:
  stenod run ~/Recordings    transcribe what is there, then exit
  stenod plan ~/Recordings   what that would do and cost; sends nothing
  stenod init                write a first configuration

Commands:
  run, watch           Transcribe what is there; what arrives, until stopped
  plan                 Show what `run` would do and cost; sends nothing
  status, list, show   What is going on; the jobs; everything about one
  explain              Say why a file is or is not transcribed
  retry, cancel        Queue jobs again that failed; stop jobs
  pause, resume        Send nothing more for a while; go on
  render, speakers     Write the files again, free of charge; name who speaks
  usage                Show money and minutes by day, folder and model
  init, config         Write a first configuration; show or check it
  doctor               Check everything that has to work; each problem's fix
  reload               Have the running daemon read its configuration again
  db, man, completions Look after the job table; the manual; for the shell

Everywhere: -c FILE, --state-dir DIR, --json, -v, -q, --color, --progress, -V
`stenod COMMAND -h` tells more, `stenod --help` everything.";

/// The flags of every command, in short.
const GLOBAL: &str = "Everywhere: -c FILE, --state-dir DIR, --json, -v, -q, --color, --progress";

/// So many examples are shown by `-h`, and so many where there are more flags than this.
const SHORT_EXAMPLES: (usize, usize, usize) = (3, 1, 8);

/// What `--help` begins with, by command.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "stenod",
        "\
  stenod run ~/Recordings          transcribe what is there, then exit
  stenod plan ~/Recordings         what that would do and cost; sends nothing
  stenod watch ~/Recordings        transcribe what arrives, until stopped
  stenod init                      write a first configuration
  stenod status                    what is going on, and what was spent
  stenod doctor                    what is wrong, and how to mend it",
    ),
    (
        "run",
        "\
  stenod run                       the configured folders
  stenod run ~/Podcasts talk.mp3   a folder and a file
  stenod run -n ~/Podcasts         what that would do and cost; sends nothing
  stenod run --max-cost 2.50       stop before this run has cost $2.50; asks nothing
  stenod run -f txt,srt -l de      other formats, German speech
  stenod run --provider local      recognised here: no key, no cost",
    ),
    (
        "watch",
        "\
  stenod watch                     the configured folders
  stenod watch ~/Inbox -f txt,srt  another folder, other formats",
    ),
    (
        "plan",
        "\
  stenod plan                      the configured folders
  stenod plan ~/Podcasts           another folder
  stenod plan -m Elevenlabs-STT --diarize      what another model would cost
  stenod plan --json | jq .to_send             the sum for a script",
    ),
    (
        "init",
        "\
  stenod init                      asks for folders and a key
  stenod init ~/Podcasts --key-file ~/service.key --yes
  stenod init ~/Podcasts --provider local --yes      no key, no cost
  stenod init --key-file -         another key; nothing else changes
  stenod init ~/Inbox              one more folder
  stenod init --user-service       watches them by a systemd unit of yours
  sudo stenod -c /etc/stenod/config.toml init --systemd",
    ),
    (
        "status",
        "\
  stenod status                    one screen
  stenod status --json | jq .jobs  the counts for a script
  watch -n 5 stenod status         over and over",
    ),
    (
        "list",
        "\
  stenod list                      the newest 100
  stenod list --state failed       what failed, each with its way out
  stenod list --json | jq -r '.[] | select(.state==\"done\") | .outputs[]'",
    ),
    (
        "show",
        "\
  stenod show 42                   a job by its number
  stenod show talk.mp3             by its recording",
    ),
    (
        "explain",
        "\
  stenod explain talk.mp3          the rule, the wait or the job behind it
  stenod explain ~/Podcasts        a folder: whether it is looked into
  stenod explain talk.mp3 --json | jq -r .answer",
    ),
    (
        "retry",
        "\
  stenod retry 42                  one job
  stenod retry --failed            everything that failed
  stenod retry --reason format_refused
  stenod retry --in-doubt          what may have been paid: may pay twice",
    ),
    (
        "cancel",
        "\
  stenod cancel 42                 one job
  stenod cancel talk.mp3           by its recording",
    ),
    (
        "pause",
        "\
  stenod pause                     until `stenod resume`
  stenod pause --for 2h            goes on by itself
  stenod pause --until 18:30",
    ),
    (
        "resume",
        "  stenod resume                    goes on, and tries at once",
    ),
    (
        "reload",
        "  stenod reload                    after the configuration was changed",
    ),
    (
        "render",
        "\
  stenod render                    everything, as the configuration has it now
  stenod render ~/Podcasts -f srt  captions of one folder",
    ),
    (
        "speakers",
        "\
  stenod speakers talk.mp3         who speaks, how long, and how they begin
  stenod speakers talk.mp3 'Speaker 1=Ada' SPEAKER_01=Bob
  stenod speakers talk.mp3 'Speaker 3=Speaker 1'     the same person
  stenod speakers talk.mp3 'Speaker 1='              take the name away",
    ),
    (
        "usage",
        "\
  stenod usage                     the last 30 days by day, folder and model
  stenod usage --since 2026-01-01 --by model
  stenod usage --json | jq .total.cost.USD",
    ),
    (
        "doctor",
        "\
  stenod doctor                    everything
  stenod doctor --offline          nothing that needs the network
  stenod doctor --json | jq '.checks[] | select(.result==\"problem\")'",
    ),
    (
        "db",
        "\
  stenod db check                  whether the job table is sound
  stenod db backup                 a copy of it, also while stenod runs
  stenod db prune -n               what an old table could forget",
    ),
    (
        "db check",
        "\
  stenod db check                  every page, index and reference
  stenod db check --json | jq .sound",
    ),
    (
        "db backup",
        "\
  stenod db backup                 a copy in the state directory
  stenod db backup /mnt/nas/stenod.db      a copy elsewhere",
    ),
    (
        "db prune",
        "\
  stenod db prune -n               what would be forgotten
  stenod db prune --older-than 1year       all but the last year's histories",
    ),
    (
        "config",
        "\
  stenod config show               every value and where it came from
  stenod config check              all mistakes at once
  stenod config example > ~/.config/stenod/config.toml",
    ),
    (
        "config show",
        "\
  stenod config show               every value in force
  stenod config show --origin      and where it came from",
    ),
    (
        "config check",
        "  stenod config check              all mistakes at once",
    ),
    (
        "config path",
        "  stenod config path               the file that is read",
    ),
    (
        "config example",
        "  stenod config example > ~/.config/stenod/config.toml",
    ),
    (
        "help",
        "  stenod help run                  the same as `stenod run --help`",
    ),
    (
        "completions",
        "\
  stenod completions bash > ~/.local/share/bash-completion/completions/stenod
  stenod completions zsh > ~/.zfunc/_stenod
  stenod completions fish > ~/.config/fish/completions/stenod.fish",
    ),
    (
        "man",
        "\
  stenod man | man -l -            read it
  stenod man > ~/.local/share/man/man1/stenod.1
  stenod man run > ~/.local/share/man/man1/stenod-run.1",
    ),
];

/// What other programs call their commands, and what is given here instead.
const OTHER_NAMES: &[(&str, &str)] = &[
    (
        "start",
        "stenod watch, or as a service: systemctl start stenod",
    ),
    (
        "daemon",
        "stenod watch, or as a service: systemctl start stenod",
    ),
    (
        "serve",
        "stenod watch, or as a service: systemctl start stenod",
    ),
    (
        "stop",
        "stenod pause holds the queue; a service is stopped with: systemctl stop stenod",
    ),
    (
        "restart",
        "a service is restarted with: systemctl restart stenod",
    ),
    ("transcribe", "stenod run FILE"),
    ("convert", "stenod run FILE"),
    ("scan", "stenod plan, or stenod run"),
    ("log", "stenod show ID; of a service: journalctl -u stenod"),
    ("logs", "stenod show ID; of a service: journalctl -u stenod"),
    ("ls", "stenod list"),
    ("jobs", "stenod list"),
    ("queue", "stenod list"),
    ("cost", "stenod usage; of what is ahead: stenod plan"),
    ("setup", "stenod init"),
    ("check", "stenod doctor, or stenod config check"),
];

/// The program's own name.
const PROGRAM_NAME: &str = "stenod";

/// Gives the whole command line its looks; the program's own help is a table where `short` says so.
pub(super) fn dress(command: Command, short: bool) -> Command {
    let flag = |name, short, action, help| {
        let flag = Arg::new(name).short(short).long(name).action(action);
        flag.hide_short_help(true).help(help).global(true)
    };
    let command = with_examples(command, PROGRAM_NAME)
        .help_template(if short { PROGRAM } else { TEMPLATE })
        .before_help(TABLE)
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(flag(
            "help",
            'h',
            ArgAction::Help,
            "Print help, in short with `-h`",
        ))
        .arg(flag("version", 'V', ArgAction::Version, "Print the version").global(false));
    each_subcommand(command, "")
}

/// The same definition with nothing left out of it, for pages that are read at leisure.
pub(super) fn whole(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_short_help(false));
    command.mut_subcommands(|sub| whole(sub).hide(false))
}

/// `stenod help COMMAND`: the same as `stenod COMMAND --help`.
pub(super) fn execute(session: &Session, arguments: &Arguments) -> Result<u8, Failure> {
    let mut definition = super::definition(false);
    definition.build();
    let mut command = &mut definition;
    for name in &arguments.command {
        let missing = unknown(name, command);
        command = command.find_subcommand_mut(name).ok_or(missing)?;
    }
    let help = command.render_long_help();
    session.output.data(&help.to_string())?;
    Ok(exit::DONE)
}

/// What is said of a command that is not there.
pub(super) fn unknown(name: &str, above: &Command) -> Failure {
    let names = above.get_subcommands().map(Command::get_name);
    let meant = nearest(name, names).map(|meant| format!("did you mean `{meant}`? "));
    let error = anyhow::anyhow!("there is no command `{}`", super::output::clean(name));
    let meant = meant.unwrap_or_default();
    Failure::new(exit::USAGE, error).hint(format!("{meant}`stenod --help` names them all"))
}

/// What to do instead where a command is none of stenod's and yet tells what is wanted.
fn instead(word: &str) -> Option<String> {
    let mut others = OTHER_NAMES.iter();
    if let Some((_, instead)) = others.find(|(other, _)| *other == word) {
        return Some((*instead).to_owned());
    }
    let path = Path::new(word);
    path.exists()
        .then(|| format!("to transcribe it: stenod run {}", quoted(path)))
}

/// The same error with the command that was probably meant, where clap finds none: it takes two letters
/// in the wrong order for two wrong ones.
pub(super) fn with_suggestion(
    mut error: clap::Error,
    arguments: impl IntoIterator<Item = OsString>,
) -> clap::Error {
    let is_told = error.get(ContextKind::SuggestedSubcommand).is_some();
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    if let Some(tip) = instead(word) {
        error.remove(ContextKind::SuggestedSubcommand);
        let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tip);
        return error;
    }
    if is_told {
        return error;
    }
    let definition = super::definition(false);
    let words: Vec<OsString> = arguments.into_iter().collect();
    let before = words
        .iter()
        .map_while(|one| one.to_str().filter(|one| one != word));
    let above = before.fold(&definition, |above, name| {
        above.find_subcommand(name).unwrap_or(above)
    });
    let names = above.get_subcommands().map(Command::get_name);
    if let Some(meant) = nearest(word, names) {
        let meant = ContextValue::Strings(vec![meant.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    error
}

fn each_subcommand(mut command: Command, above: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        let path = format!("{above}{name}");
        command = command.mut_subcommand(&name, |sub| {
            let sub = with_examples(sub, &path).help_template(TEMPLATE);
            each_subcommand(sub, &format!("{path} "))
        });
    }
    command
}

/// Names the flags that the short help leaves out.
fn more_flags(command: &Command) -> String {
    let hidden = command
        .get_arguments()
        .filter(|flag| flag.is_hide_short_help_set());
    let names = hidden.filter_map(|flag| flag.get_long().map(|name| format!("--{name}")));
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("\n`--help` also has {}.", names.join(", ")),
    }
}

fn with_examples(command: Command, path: &str) -> Command {
    match EXAMPLES.iter().find(|(name, _)| *name == path) {
        Some((_, examples)) => {
            let examples = examples.trim_start();
            let (usual, few, many_flags) = SHORT_EXAMPLES;
            let flags = command
                .get_arguments()
                .filter(|flag| !flag.is_hide_short_help_set());
            let most = if flags.count() > many_flags {
                few
            } else {
                usual
            };
            let short: Vec<&str> = examples.lines().take(most).collect();
            let short = short.join("\n");
            let more = more_flags(&command);
            let rest = command.get_after_long_help().cloned().unwrap_or_default();
            command
                .before_help(format!("Examples:\n  {short}"))
                .before_long_help(format!("Examples:\n  {examples}"))
                .after_help(format!("{GLOBAL}{more}"))
                .after_long_help(rest)
        }
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn commands() -> Vec<(String, Command)> {
        fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
            for sub in command.get_subcommands() {
                let path = format!("{path}{}", sub.get_name());
                found.push((path.clone(), sub.clone()));
                walk(sub, &format!("{path} "), found);
            }
        }
        let definition = cli::definition(true).term_width(80);
        let mut found = vec![("stenod".to_owned(), definition.clone())];
        walk(&definition, "", &mut found);
        found
    }

    #[test]
    fn every_command_begins_its_help_with_examples() {
        for (path, mut command) in commands() {
            let short = command.render_help().to_string();
            assert!(short.lines().nth(2) == Some("Examples:"), "{path}\n{short}");
            assert!(short.contains("--json, -v, -q"), "{path}\n{short}");
            let help = command.render_long_help().to_string();
            let (examples, options) = (help.find("Examples:"), help.find("Options:"));
            assert!(examples.is_some(), "{path}\n{help}");
            assert!(
                options.is_none_or(|options| examples < Some(options)),
                "{path}\n{help}"
            );
            assert!(help.contains(&format!("stenod {path}").replace("stenod stenod", "stenod")));
        }
    }

    #[test]
    fn no_example_is_of_a_command_that_is_not_there() {
        let known: Vec<String> = commands().into_iter().map(|(path, _)| path).collect();
        for (path, _) in EXAMPLES {
            assert!(known.contains(&(*path).to_owned()), "{path}");
        }
    }

    #[test]
    fn the_table_names_every_command_and_no_other() {
        let definition = cli::definition(true);
        let mut named: Vec<&str> = TABLE
            .split_once("Commands:\n")
            .unwrap()
            .1
            .lines()
            .take_while(|line| !line.is_empty())
            .flat_map(|line| line[2..22].trim().split(", "))
            .chain(["help"])
            .collect();
        named.sort_unstable();
        let mut known: Vec<&str> = definition
            .get_subcommands()
            .map(Command::get_name)
            .collect();
        known.sort_unstable();
        assert_eq!(named, known);
    }

    #[test]
    fn two_letters_in_the_wrong_order_get_a_suggestion() {
        for (words, meant) in [
            (&["rnu"][..], "'run'"),
            (&["--color", "never", "rnu", "a"], "'run'"),
            (&["config", "sohw"], "'show'"),
        ] {
            let all = ["stenod"].iter().chain(words);
            let error = cli::definition(false)
                .try_get_matches_from(all)
                .unwrap_err();
            let error = with_suggestion(error, words.iter().map(OsString::from));
            let text = error.render().to_string();
            assert!(text.contains(meant), "{words:?}\n{text}");
        }
    }

    #[test]
    fn the_short_help_fits_a_screen() {
        for (path, command) in commands() {
            let help = command.term_width(80).render_help().to_string();
            let lines: Vec<&str> = help.trim_end().lines().collect();
            let widest = lines.iter().map(|line| line.chars().count()).max();
            assert!(lines.len() <= 24, "{path}: {} lines\n{help}", lines.len());
            assert!(widest <= Some(80), "{path}: {widest:?} columns\n{help}");
        }
    }
}
