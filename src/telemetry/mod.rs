//! The only logging set-up: levels, where to, colours.
//!
//! Under systemd logs go to the journal with their fields; elsewhere to standard error, as text or lines of
//! JSON, never to standard output, and without colour codes unless that is a terminal. Keys, links and
//! transcript text are never logged.

mod journal;
mod talk;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use journal::Journal;

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

/// How logs look on standard error.
#[derive(Debug, Clone, Copy)]
pub enum Looks {
    /// Sentences, for whoever has called a command and reads on.
    Talk {
        /// With colour codes.
        colour: bool,
        /// Breaks a sentence where the terminal would.
        fit: fn(&str) -> String,
    },
    /// Lines with their time, for whoever reads them later.
    Text {
        /// With colour codes.
        colour: bool,
    },
    /// A JSON document a line.
    Json,
}

/// Sets up logging for the whole program; to be called once. `journal_stream` is `JOURNAL_STREAM` of the
/// environment, by which the service manager says that standard error leads to the journal.
///
/// # Errors
/// Where logging was set up before.
pub fn start(
    verbosity: Verbosity,
    looks: Looks,
    journal_stream: Option<&OsStr>,
) -> Result<(), anyhow::Error> {
    let registry = tracing_subscriber::registry().with(EnvFilter::new(verbosity.directive()));
    let text = || fmt::layer().with_writer(|| Beside).with_target(false);
    let started = match (journal(journal_stream), looks) {
        (Some(journal), _) => registry.with(journal).try_init(),
        (None, Looks::Talk { colour, fit }) => {
            let talk = text().event_format(talk::Talk { colour, fit });
            registry.with(talk.with_ansi(colour)).try_init()
        }
        (None, Looks::Text { colour }) => registry.with(text().with_ansi(colour)).try_init(),
        (None, Looks::Json) => registry.with(text().json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot set up logging: {error}"))
}

/// Runs a write to standard error while whatever is drawn there is taken away.
type Around = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

static AROUND: Mutex<Option<Around>> = Mutex::new(None);

/// From now on what is logged to standard error is written by `around`, which makes way for it.
pub fn write_around(around: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) {
    *AROUND.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(around));
}

/// Standard error beside what is drawn there.
struct Beside;

impl io::Write for Beside {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut written = Ok(0);
        let mut write = || written = io::stderr().write(buffer);
        match &*AROUND.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(around) => around(&mut write),
            None => write(),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The journal, if it listens and standard error leads there anyway.
fn journal(stream: Option<&OsStr>) -> Option<Journal> {
    if leads_to(stream?, &rustix::fs::fstat(io::stderr()).ok()?) {
        Journal::connect(Path::new(journal::SOCKET)).ok()
    } else {
        None
    }
}

/// Whether a stream, named by its device and its inode, is this file.
fn leads_to(stream: &OsStr, file: &rustix::fs::Stat) -> bool {
    stream
        .to_str()
        .is_some_and(|stream| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

fn to_standard_error(line: &str) {
    match writeln!(io::stderr().lock(), "{line}") {
        // With standard error gone there is nobody left to tell.
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_written_to_only_where_standard_error_leads_there() {
        let file = rustix::fs::fstat(io::stderr()).unwrap();
        let stream = |text: String| leads_to(OsStr::new(&text), &file);
        assert!(stream(format!("{}:{}", file.st_dev, file.st_ino)));
        assert!(!stream(format!("{}:{}", file.st_dev, file.st_ino + 1)));
        assert!(!stream("nonsense".to_owned()));
    }
}
