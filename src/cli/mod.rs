//! The command line: types for clap, and a file a command that turns data into text or JSON.
//!
//! Nothing is decided here. Data goes to standard output, talk to standard error; a closed pipe is no
//! error.

mod ahead;
mod completions;
mod consent;
mod db;
mod doctor;
mod elsewhere;
mod explain;
mod failure;
mod flags;
mod help;
mod init;
mod list;
mod live;
mod nobody;
mod orders;
mod output;
mod plan;
mod render;
mod report;
mod run;
mod settings;
mod show;
mod signals;
mod speakers;
mod status;
mod stopping;
mod summary;
mod text;
mod unsettled;
mod usage;
mod view;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use rust_decimal::Decimal;

pub use failure::{Failure, report};

use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Choice as _, Config, Environment, Overrides};
use crate::domain::job::State;
use crate::domain::near::nearest;
use crate::queue::running_instance;
use crate::speech::services;
use crate::telemetry::{self, Looks, Verbosity};
use output::{Output, word};

/// Exit codes that scripts rely on.
pub mod exit {
    /// Done, or nothing to do.
    pub const DONE: u8 = 0;
    /// An unexpected error.
    pub const UNEXPECTED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// Finished, and some recordings failed, cannot be read or wait for a person.
    pub const SOME_FAILED: u8 = 3;
    /// The key is missing or was refused.
    pub const KEY: u8 = 4;
    /// The service is out of reach or overloaded; the work is kept.
    pub const OUT_OF_REACH: u8 = 5;
    /// Stopped at once by SIGQUIT.
    pub const QUIT: u8 = 131;
    /// Stopped at a cost limit or an empty balance.
    pub const MONEY: u8 = 8;
    /// The configuration is missing or wrong.
    pub const CONFIGURATION: u8 = 10;
    /// Another instance holds the state.
    pub const HELD: u8 = 11;
    /// Stopped by SIGINT.
    pub const INTERRUPTED: u8 = 130;
    /// Stopped by SIGTERM.
    pub const TERMINATED: u8 = 143;
}

/// What stands below the list of commands.
fn below_help() -> String {
    format!(
        "\
Also: `stenod db check|backup|prune`, `stenod completions SHELL`, `stenod man`, `stenod help COMMAND`.

Without a key the built-in recogniser does the work (English). For the service, put a key into \
{} or name its file as service.api_key_file; `stenod config example` shows every setting.",
        services::USUAL.key_variable
    )
}

const SPEAKERS_FILE: &str = "\
A file speakers.toml in a folder names the speakers of all recordings in it and below it:
  \"Speaker 1\" = \"Ada\"";

/// Turns folders of recordings into transcripts.
#[derive(Debug, Parser)]
#[command(name = "stenod", version, after_long_help = below_help(), max_term_width = 100)]
pub struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Read this configuration instead of looking for one
    #[arg(
        short,
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// Keep the state in this directory
    #[arg(long, global = true, hide_short_help = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Write JSON to standard output
    #[arg(long, global = true, hide_short_help = true)]
    json: bool,
    /// Say more; -vv and -vvv say still more
    #[arg(short, long, global = true, hide_short_help = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say only what goes wrong
    #[arg(
        short,
        long,
        global = true,
        hide_short_help = true,
        conflicts_with = "verbose"
    )]
    quiet: bool,
    /// Colour the output
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: When,
    /// Show what is going on as it goes on
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    progress: Progress,
}

/// When to do what only suits a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    fn applies(self, on_terminal: bool) -> bool {
        match self {
            Self::Auto => on_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How what is going on is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Progress {
    /// Bars on a terminal, else lines
    Auto,
    /// Bars, also where no terminal is seen
    Always,
    /// Neither
    Never,
    /// One plain line a change, also on a terminal: for screen readers
    Plain,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Transcribe what is there, then exit
    Run(RunArguments),
    /// Watch folders and transcribe what arrives, until stopped
    Watch(WatchArguments),
    /// Show what `run` would do and cost; sends nothing
    Plan(RunArguments),
    /// Show what is going on, what was spent and what failed
    Status,
    /// List jobs, the newest first
    List(ListArguments),
    /// Show everything about one job
    Show(ShowArguments),
    /// Queue jobs again that failed, were stopped or are in doubt
    Retry(RetryArguments),
    /// Stop jobs and keep them stopped
    Cancel(CancelArguments),
    /// Write the output files again from stored replies, free of charge
    Render(RenderArguments),
    /// List or name a recording's speakers, and write its files again
    Speakers(SpeakersArguments),
    /// Send and recognise nothing more until `resume`; collect what is paid
    Pause(PauseArguments),
    /// Go on after a pause, and try at once what the service had refused
    Resume,
    /// Have the running daemon read its configuration again
    Reload,
    /// Say why a file is or is not transcribed
    Explain(explain::Arguments),
    /// Show money and minutes by day, folder and model
    Usage(usage::Arguments),
    /// Print the help of a command
    #[command(hide = true)]
    Help(help::Arguments),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions(completions::CompletionArguments),
    /// Print the manual page, as roff
    #[command(hide = true)]
    Man(completions::ManArguments),
    /// Check everything that has to work, each problem with its fix
    Doctor(doctor::Arguments),
    /// Check, copy or tidy up the job table
    #[command(hide = true)]
    Db {
        #[command(subcommand)]
        command: db::Command,
    },
    /// Write a first configuration, with a few questions
    Init(init::Arguments),
    /// Show, check or find the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Folders and recordings; the configured folders if none is named
    #[arg(value_name = "PATH", hide_short_help = true)]
    paths: Vec<PathBuf>,
    /// Show what would be done and send nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask before money is spent
    ///
    /// Needed where nobody can be asked (scripts, timers, --json) and the run costs money.
    #[arg(short, long)]
    yes: bool,
    /// Stop before this run has cost more than this
    ///
    /// In US dollars. Counts as consent up to that sum: nothing is asked.
    #[arg(long, value_name = "USD", value_parser = parse_money, allow_negative_numbers = true)]
    max_cost: Option<Decimal>,
    /// Send at most this many recordings
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    limit: Option<usize>,
    /// Transcribe again, and pay again, what is done
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    transcribe: TranscribeArguments,
}

#[derive(Debug, Args)]
struct WatchArguments {
    /// Folders; the configured folders if none is named
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    transcribe: TranscribeArguments,
}

#[derive(Debug, Args)]
struct TranscribeArguments {
    /// Recordings in flight at once
    #[arg(short, long, value_name = "N")]
    jobs: Option<u32>,
    /// The service's model
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,
    /// The language by its ISO 639 code, or `auto`
    #[arg(short, long, value_name = "CODE")]
    language: Option<String>,
    /// What to write, such as txt,srt,md
    ///
    /// Any of txt, json, srt, vtt, md, tsv, diarization, rttm, podcast, lrc, raw; several with commas.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    formats: Option<Vec<String>>,
    /// Write there instead of beside the recordings
    ///
    /// The tree of the recordings is mirrored in it.
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Tell speakers apart
    ///
    /// With a model that can, such as Elevenlabs-STT.
    #[arg(long)]
    diarize: bool,
    #[arg(long, value_name = "NAME", hide_possible_values = true, help = format!("By whom: {}", provider_names(" or ")), value_parser = providers())]
    provider: Option<String>,
    /// Only files that match; may be repeated
    #[arg(long, value_name = "GLOB", hide_short_help = true)]
    include: Option<Vec<String>>,
    /// Leave out what matches; may be repeated
    ///
    /// Files, and folders with all that is in them.
    #[arg(long, value_name = "GLOB", hide_short_help = true)]
    exclude: Option<Vec<String>>,
    /// Do not look into folders inside
    #[arg(long, hide_short_help = true)]
    no_recursive: bool,
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only jobs in this state: queued, active, waiting, in_doubt, failed, done, cancelled
    #[arg(long, value_name = "STATE", hide_possible_values = true, value_parser = state_parser())]
    state: Option<State>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse_limit)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// A job's number or its recording
    #[arg(value_name = "ID|PATH")]
    job: PathBuf,
}

#[derive(Debug, Args)]
struct RetryArguments {
    /// Jobs by their numbers or their recordings
    #[arg(value_name = "ID|PATH")]
    jobs: Vec<PathBuf>,
    /// Every job that failed
    #[arg(long)]
    failed: bool,
    /// Every job that failed or waits for this reason
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Every job in doubt: may pay twice
    #[arg(long)]
    in_doubt: bool,
}

#[derive(Debug, Args)]
struct CancelArguments {
    /// Jobs by their numbers or their recordings
    #[arg(value_name = "ID|PATH", required = true)]
    jobs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct RenderArguments {
    /// Recordings and folders; all that is transcribed if none is named
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write these formats alone
    ///
    /// Any of txt, json, srt, vtt, md, tsv, diarization, rttm, podcast, lrc, raw; several with commas.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    formats: Option<Vec<String>>,
    /// Write into a mirrored tree instead of where the files are
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = SPEAKERS_FILE)]
struct SpeakersArguments {
    /// A recording, or a job's number
    #[arg(value_name = "PATH")]
    job: PathBuf,
    /// Names: a label and what to call it; the same name for two labels makes them one
    #[arg(value_name = "LABEL=NAME")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct PauseArguments {
    /// Go on by itself after this long: 30m, 2h, 1day
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_length, conflicts_with = "until")]
    length: Option<Duration>,
    /// Go on by itself at this time: 18:30, 2026-03-01, 2026-03-01T18:30
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What a run was asked for beside the settings.
#[derive(Debug, Clone)]
struct RunChoices {
    paths: Vec<PathBuf>,
    said: consent::Said,
    max_cost: Option<Decimal>,
    limit: Option<usize>,
    force: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// The effective settings
    Show {
        /// Also where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// Say what is wrong with the configuration, if anything is
    Check,
    /// The file that is read
    Path,
    /// A commented example of every setting
    Example,
}

fn parse_money(text: &str) -> Result<Decimal, String> {
    match text.trim_start_matches('$').parse::<Decimal>() {
        Ok(amount) if !amount.is_sign_negative() => Ok(amount),
        Ok(_) | Err(_) => Err("an amount in US dollars such as 2.50 is wanted".to_owned()),
    }
}

fn parse_length(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length.is_zero() => Err("a time longer than none is wanted".to_owned()),
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

/// Who may recognise, as `--provider` names them.
fn providers() -> completions::Names {
    let all = config::Provider::all().into_iter();
    completions::Names::of(all.map(config::Provider::name).collect())
}

/// Every provider by name, with `last` before the last one.
fn provider_names(last: &str) -> String {
    let all = config::Provider::all().into_iter();
    let names: Vec<&str> = all.map(config::Provider::name).collect();
    match names.split_last() {
        Some((end, others)) => format!("{}{last}{end}", others.join(", ")),
        None => String::new(),
    }
}

/// A state by its name, all of which a shell can complete.
fn state_parser() -> impl clap::builder::TypedValueParser<Value = State> {
    use clap::builder::TypedValueParser as _;
    let names = State::ALL.into_iter().map(State::as_str);
    completions::Names::of(names.collect()).try_map(|name| {
        name.parse::<State>().map_err(|unknown| {
            let names = State::ALL.into_iter().map(State::as_str);
            match nearest(&name, names) {
                Some(meant) => format!("{unknown}; did you mean `{meant}`?"),
                None => unknown.to_string(),
            }
        })
    })
}

fn parse_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 up is wanted".to_owned()),
        Ok(limit) => Ok(limit),
    }
}

/// The whole command line, for reading it and for everything that is made from it; `short` where the help
/// of the program has to fit a screen.
fn definition(short: bool) -> clap::Command {
    help::dress(CommandLine::command(), short)
}

/// Reads the command line.
///
/// # Errors
/// The exit code, after clap has said what is wrong, or has shown the help that was asked for.
pub fn parse() -> Result<CommandLine, u8> {
    let mut words = std::env::args_os().skip(1).peekable();
    let short = words.peek().is_none() || words.any(|word| word == "-h");
    let parsed = definition(short)
        .color(output::help_colour(std::env::args_os().skip(1)))
        .try_get_matches()
        .and_then(|matches| CommandLine::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let error = help::with_suggestion(error, std::env::args_os().skip(1));
        let code = if error.use_stderr() {
            exit::USAGE
        } else {
            exit::DONE
        };
        if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
            failure::report_usage(&error);
        }
        match error.print() {
            // With the terminal gone there is nobody left to tell.
            Ok(()) | Err(_) => code,
        }
    })
}

/// What every command is given.
struct Session {
    environment: Environment,
    config_file: Option<PathBuf>,
    overrides: Overrides,
    output: Output,
    clock: SharedClock,
    /// The command as it was typed, without what must not be repeated; none for one too long to be shown.
    typed: Option<String>,
}

/// The longest command that is shown again, in characters.
const LONGEST_COMMAND: usize = 300;

/// The command that goes on where this one stopped: forced recordings are queued by now, and forcing them
/// again would pay again.
fn typed(arguments: impl IntoIterator<Item = OsString>) -> Option<String> {
    let words = arguments.into_iter().filter(|one| one != "--force");
    let words: Vec<String> = words.map(|one| word(&one.to_string_lossy())).collect();
    let command = format!("stenod {}", words.join(" "));
    (command.chars().count() <= LONGEST_COMMAND).then_some(command)
}

impl Session {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(
            &self.environment,
            self.config_file.as_deref(),
            &self.overrides,
        )?)
    }

    /// The same for what works with it, where what should be mended is said.
    fn config_to_work_with(&self) -> Result<Config, Failure> {
        let config = self.config()?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }

    /// The configuration; where it is wrong and somebody runs all the same, what it takes to ask them, and
    /// that it is wrong is said on stderr.
    fn config_to_ask(&self) -> Result<Configured, Failure> {
        let (environment, file) = (&self.environment, self.config_file.as_deref());
        let Err(errors) = Config::load(environment, file, &self.overrides) else {
            return Ok(Configured::Whole(self.config()?));
        };
        let without = Config::without_file(environment, file, &self.overrides);
        let is_held = |config: &Config| matches!(running_instance(&config.state_dir), Ok(Some(_)));
        let Some(config) = without.filter(is_held) else {
            return Err(errors.into());
        };
        tracing::warn!(
            "the configuration is wrong, and this is what the running stenod knows: {}",
            errors.brief()
        );
        Ok(Configured::Running(config))
    }
}

/// What is known of the configuration.
enum Configured {
    /// All of it.
    Whole(Config),
    /// It is wrong; who runs is known, and none of the folders.
    Running(Config),
}

/// Carries out a command line; gives the exit code.
///
/// # Errors
/// [`Failure`], which knows its exit code.
pub async fn execute(command_line: CommandLine) -> Result<u8, Failure> {
    let CommandLine { global, command } = command_line;
    let is_daemon = matches!(command, Command::Watch(_));
    output::keep_place(global.config.as_deref(), global.state_dir.as_deref());
    let is_followed = is_daemon || matches!(&command, Command::Run(run) if !run.dry_run);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let output = Output::new(
        global.json,
        global.quiet,
        global.color,
        global.progress,
        no_colour,
        std::env::var_os("TERM").is_some_and(|name| name == "dumb"),
    );
    let environment = Environment::of_process();
    let output = output.in_ascii(!shows_utf8(&environment));
    let verbosity = Verbosity::from_flags(global.verbose, global.quiet, is_daemon && !global.json);
    let colour = output.colours_errors();
    let looks = if global.json && is_followed {
        Looks::Json
    } else if is_daemon || verbosity >= Verbosity::Debug {
        Looks::Text { colour }
    } else {
        let fit = |text: &str| output::page(std::io::stderr()).talk(text);
        Looks::Talk { colour, fit }
    };
    telemetry::start(verbosity, looks, environment.get("JOURNAL_STREAM"))?;
    let mut session = Session {
        environment,
        config_file: global.config,
        overrides: Overrides {
            state_dir: global.state_dir,
            ..Overrides::default()
        },
        output,
        clock: Arc::new(SystemClock),
        typed: typed(std::env::args_os().skip(1)),
    };
    let done = dispatch(&mut session, command).await;
    match done {
        Err(failure) if failure.is_closed_pipe() => Ok(exit::DONE),
        Err(failure) => Err(failure.in_json(global.json)),
        Ok(code) => Ok(code),
    }
}

/// Whether text may have more than ASCII, by the locale.
fn shows_utf8(environment: &Environment) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let mut set = set.filter_map(|variable| environment.get(variable));
    let locale = set.find(|value| !value.is_empty());
    locale
        .and_then(std::ffi::OsStr::to_str)
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.ends_with("utf-8") || locale.ends_with("utf8")
        })
}

async fn dispatch(session: &mut Session, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(arguments) if !arguments.dry_run => run::execute(session, arguments).await,
        Command::Run(arguments) | Command::Plan(arguments) => {
            plan::execute(session, arguments).await
        }
        Command::Watch(arguments) => watch::execute(session, arguments).await,
        Command::Status => status::execute(session).await,
        Command::List(arguments) => list::execute(session, &arguments),
        Command::Show(arguments) => show::execute(session, &arguments),
        Command::Render(arguments) => render::execute(session, arguments).await,
        Command::Speakers(arguments) => speakers::execute(session, &arguments).await,
        Command::Retry(arguments) => orders::retry(session, &arguments).await,
        Command::Cancel(arguments) => orders::cancel(session, &arguments).await,
        Command::Pause(arguments) => orders::pause(session, &arguments).await,
        Command::Resume => orders::resume(session).await,
        Command::Reload => orders::reload(session).await,
        Command::Explain(arguments) => explain::execute(session, arguments).await,
        Command::Usage(arguments) => usage::execute(session, &arguments),
        Command::Help(arguments) => help::execute(session, &arguments),
        Command::Completions(arguments) => completions::completions(session, &arguments),
        Command::Man(arguments) => completions::man(session, &arguments),
        Command::Init(arguments) => init::execute(session, &arguments).await,
        Command::Doctor(arguments) => doctor::execute(session, &arguments).await,
        Command::Db { command } => db::execute(session, command),
        Command::Config { command } => settings::execute(session, &command),
    }
}

impl TranscribeArguments {
    /// Lays the flags over the configuration.
    fn override_in(self, overrides: &mut Overrides) {
        let state_dir = overrides.state_dir.take();
        *overrides = Overrides {
            state_dir,
            provider: self.provider,
            model: self.model,
            language: self.language,
            formats: self.formats,
            output_dir: self.output_dir,
            diarize: self.diarize.then_some(true),
            jobs: self.jobs,
            include: self.include,
            exclude: self.exclude,
            no_recursive: self.no_recursive.then_some(true),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_go_on_with_is_the_one_that_was_typed_and_forces_nothing() {
        let words = |words: &[&str]| typed(words.iter().map(OsString::from));
        assert_eq!(
            words(&["run", "--force", "a b", "-y", "--limit=1"]).as_deref(),
            Some("stenod run 'a b' -y --limit=1")
        );
        assert_eq!(words(&["run", &"a".repeat(LONGEST_COMMAND)]), None);
    }
}
