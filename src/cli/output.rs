//! Where text goes: data to standard output, talk to standard error, colours only where they are wanted.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::io::Errno;
use serde_json::Value;

use crate::domain::plain;
pub(super) use crate::domain::plain::{clean, quoted, shown, word};

use super::text::Page;
use super::{Progress, When};

/// The flags that say where configuration and state are, as this program was given them.
static PLACE: OnceLock<String> = OnceLock::new();

/// Keeps the flags that every command has to be given which is printed to be copied.
pub(super) fn keep_place(config: Option<&Path>, state_dir: Option<&Path>) {
    let config = config.map(|file| format!(" -c {}", quoted(file)));
    let state_dir = state_dir.map(|folder| format!(" --state-dir {}", quoted(folder)));
    let flags: String = config.into_iter().chain(state_dir).collect();
    // It is kept once, before anything is printed.
    drop(PLACE.set(flags));
}

/// A command to be copied, with the flags that say where configuration and state are.
pub(super) fn placed(command: &str) -> String {
    placed_by(command, PLACE.get().map_or("", String::as_str))
}

/// A text with every command in it, as it stands between backticks, placed like [`placed`].
pub(super) fn placed_in(text: &str) -> String {
    let flags = PLACE.get().map_or("", String::as_str);
    if flags.is_empty() {
        return text.to_owned();
    }
    let mut parts = text.split('`');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push('`');
        result.push_str(&placed_by(part, flags));
    }
    result
}

fn placed_by(command: &str, flags: &str) -> String {
    let flag = |word: &str| {
        ["-c", "--state-dir", "--config"]
            .iter()
            .any(|flag| word.starts_with(flag))
    };
    // Anything else is a sentence that speaks of stenod.
    let Some((before @ ("" | "sudo "), rest)) = command.split_once("stenod ") else {
        return command.to_owned();
    };
    if rest.split_whitespace().any(flag) {
        return command.to_owned();
    }
    format!("{before}stenod{flags} {rest}")
}

/// How help and wrong usage are coloured, by a command line that is not understood yet.
pub(super) fn help_colour(
    words: impl IntoIterator<Item = std::ffi::OsString>,
) -> clap::ColorChoice {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let given = match word.to_str().and_then(|word| word.strip_prefix("--color")) {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('=').map(Into::into),
            None => continue,
        };
        match given.as_ref().and_then(|given| given.to_str()) {
            Some("always") => return clap::ColorChoice::Always,
            Some("never") => return clap::ColorChoice::Never,
            Some(_) | None => {}
        }
    }
    clap::ColorChoice::Auto
}

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
    /// On standard error.
    colour: bool,
    /// On standard output.
    data_colour: bool,
    progress: bool,
    /// Whether terminals may show nothing but ASCII.
    ascii: bool,
}

impl Output {
    pub(super) fn new(
        json: bool,
        quiet: bool,
        colour: When,
        progress: Progress,
        no_colour: bool,
        is_dumb: bool,
    ) -> Self {
        // One that knows no sequences is written to like a file.
        let on_terminal = io::stderr().is_terminal() && !is_dumb;
        let coloured = |is_terminal: bool| colour.applies(is_terminal && !no_colour && !is_dumb);
        Self {
            json,
            quiet,
            ascii: false,
            colour: coloured(on_terminal),
            data_colour: coloured(io::stdout().is_terminal()),
            progress: !quiet
                && !json
                && match progress {
                    Progress::Auto => on_terminal,
                    Progress::Always => true,
                    Progress::Never | Progress::Plain => false,
                },
        }
    }

    /// The same without bars.
    pub(super) fn without_progress(self) -> Self {
        Self {
            progress: false,
            ..self
        }
    }

    /// Whether JSON is wanted.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// The same for terminals that may show nothing but ASCII.
    pub(super) fn in_ascii(self, ascii: bool) -> Self {
        Self { ascii, ..self }
    }

    /// Whether terminals may show nothing but ASCII.
    pub(super) fn ascii(&self) -> bool {
        self.ascii
    }

    /// Whether a progress line is shown.
    pub(super) fn progress(&self) -> bool {
        self.progress
    }

    /// Whether talk may be coloured.
    pub(super) fn colours_errors(&self) -> bool {
        self.colour
    }

    /// What data are written on as text.
    pub(super) fn page(&self) -> Page {
        page(io::stdout())
            .coloured(self.data_colour)
            .in_ascii(self.ascii)
    }

    /// What talk is written on.
    pub(super) fn page_for_talk(&self) -> Page {
        page(io::stderr())
            .coloured(self.colour)
            .in_ascii(self.ascii)
    }

    /// Writes data as text, to standard output.
    pub(super) fn data(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes a JSON document, to standard output.
    pub(super) fn document(&self, value: &Value) -> io::Result<()> {
        self.data(&(plain::json(format!("{value:#}")) + "\n"))
    }

    /// Writes a line of JSON about work that goes on, to standard output.
    pub(super) fn line(&self, value: &Value) -> io::Result<()> {
        unless_nobody_reads(self.data(&(plain::json(value.to_string()) + "\n")))
    }

    /// Whether nothing is said but what was asked for.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something to whoever is reading, unless they want quiet.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.say_whole(&self.page_for_talk().talk(text))
    }

    /// The same on lines as they are.
    pub(super) fn say_whole(&self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        unless_nobody_reads(writeln!(io::stderr().lock(), "{}", placed_in(text)))
    }
}

/// Work ends by no reader's going away: a pipe that is closed, or a terminal.
fn unless_nobody_reads(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error)
            if error.kind() == io::ErrorKind::BrokenPipe
                || error.raw_os_error() == Some(Errno::IO.raw_os_error()) =>
        {
            Ok(())
        }
        written => written,
    }
}

/// What a stream leads to.
pub(super) fn page(stream: impl AsFd) -> Page {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => Page::columns(usize::from(size.ws_col)),
        // No terminal, or one that does not know.
        Ok(_) | Err(_) => Page::endless(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_coloured_as_the_command_line_asks_before_it_is_understood() {
        let colour = |line: &str| help_colour(line.split(' ').map(Into::into));
        assert_eq!(colour("run -h"), clap::ColorChoice::Auto);
        assert_eq!(colour("--color never run -h"), clap::ColorChoice::Never);
        assert_eq!(colour("run --color=always -h"), clap::ColorChoice::Always);
        assert_eq!(
            colour("run --colour never --color"),
            clap::ColorChoice::Auto
        );
    }

    #[test]
    fn a_command_to_copy_says_where_configuration_and_state_are() {
        let placed = |command| placed_by(command, " -c a.toml --state-dir '/b c'");
        assert_eq!(
            placed("stenod resume"),
            "stenod -c a.toml --state-dir '/b c' resume"
        );
        for is_whole in [
            "stenod -c b.toml init",
            "stenod run --state-dir=/d x",
            "df -h /b",
            "start stenod again",
        ] {
            assert_eq!(placed(is_whole), is_whole);
        }
        assert_eq!(placed_by("stenod resume", ""), "stenod resume");
    }
}
