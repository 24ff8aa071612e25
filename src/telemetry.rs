//! The only logging set-up: levels, where to, colours.
//!
//! Logs go to standard error, never to standard output, and carry no colour codes unless that is a
//! terminal. Keys, links and transcript text are never logged.

use tracing_subscriber::EnvFilter;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What goes wrong.
    Normal,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

impl Verbosity {
    /// From the counts of `-v` and `-q`, and whether this is a daemon, which logs what happens.
    pub fn from_flags(verbose: u8, quiet: bool, daemon: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, 0) if daemon => Self::Info,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Info,
            (false, 2) => Self::Debug,
            (false, _) => Self::Trace,
        }
    }

    fn directive(self) -> &'static str {
        match self {
            Self::Quiet => "error",
            Self::Normal => "warn",
            Self::Info => "warn,stenod=info",
            Self::Debug => "info,stenod=debug",
            Self::Trace => "debug,stenod=trace",
        }
    }
}

/// Sets up logging for the whole program; to be called once.
///
/// # Errors
/// Where logging was set up before.
pub fn start(verbosity: Verbosity, colour: bool) -> Result<(), anyhow::Error> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(verbosity.directive()))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot set up logging: {error}"))
}
