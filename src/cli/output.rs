//! Where text goes: data to standard output, talk to standard error, colours only where they are wanted.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;

use serde_json::Value;

pub(super) use crate::domain::plain::{clean, quoted, shown, word};

use super::text::Page;
use super::{Progress, When};

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
    ) -> Self {
        let on_terminal = io::stderr().is_terminal();
        let coloured = |is_terminal: bool| colour.applies(is_terminal && !no_colour);
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
        self.data(&format!("{value:#}\n"))
    }

    /// Writes a line of JSON, to standard output.
    pub(super) fn line(&self, value: &Value) -> io::Result<()> {
        self.data(&format!("{value}\n"))
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
        writeln!(io::stderr().lock(), "{text}")
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
