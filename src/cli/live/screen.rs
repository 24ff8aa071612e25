//! Standard error as what bars are drawn on: a terminal, or one that nobody sees but that was asked for.
//!
//! The cursor stays behind the last bar, and no line goes to the edge: so the `^C` that a terminal echoes
//! there does not begin a new line, which would leave a bar behind.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

/// The width taken where no terminal tells its own, in columns.
const USUAL_WIDTH: u16 = 80;
/// The height taken then, in lines.
const USUAL_HEIGHT: u16 = 24;
/// Columns at the end of each line that are left free for what a terminal echoes.
const ECHO: u16 = 4;

/// Standard error as a terminal.
#[derive(Debug, Default)]
pub(super) struct Screen(Mutex<Drawn>);

/// How far a picture is. It comes as each of its lines and then the blanks that would take the cursor to the
/// edge and so into the next line; here a line is ended by the next one.
#[derive(Debug, Default)]
struct Drawn {
    has_lines: bool,
    blanks_are_next: bool,
}

impl Screen {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn step(count: usize, letter: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            count => Self::put(&format!("\x1b[{count}{letter}")),
        }
    }
}

/// The columns of a terminal that may be drawn on.
pub(super) fn columns(terminal: impl AsFd) -> u16 {
    let width = tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
    let width = if width == 0 { USUAL_WIDTH } else { width };
    width.saturating_sub(ECHO).max(1)
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        columns(io::stderr())
    }

    fn height(&self) -> u16 {
        let height = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_row);
        if height == 0 { USUAL_HEIGHT } else { height }
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::step(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        Self::put(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        let mut drawn = self.drawn();
        if drawn.blanks_are_next {
            drawn.blanks_are_next = false;
            return Ok(());
        }
        if drawn.has_lines {
            Self::put("\n")?;
        }
        *drawn = Drawn {
            has_lines: true,
            blanks_are_next: true,
        };
        Self::put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        *self.drawn() = Drawn::default();
        io::stderr().lock().flush()
    }
}
