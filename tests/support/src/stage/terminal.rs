//! The program on a terminal of its own: a pseudo-terminal, and the screen that a person would see.
//!
//! What differs from run to run (the stage's folder, ports, times of day) is replaced by something
//! of the same length before it is shown, so that screens can be compared.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use vt100::Parser;

use super::child::{Call, LOOK_EVERY};

/// The width of every terminal here, in columns.
pub const COLUMNS: u16 = 80;
/// The height of a terminal as it comes, in lines.
pub const LINES: u16 = 24;
/// What a terminal sends for Ctrl-C.
pub const CTRL_C: &str = "\u{3}";

/// The moment that is shown instead of every other.
const A_MOMENT: &str = "2026-01-01T00:00:00Z";
/// The day that is shown instead of every other.
const A_DAY: &str = "2026-01-01";

/// What is shown instead of what differs from run to run; each pair has the same length.
#[derive(Clone, Debug, Default)]
pub struct Replaced(Vec<(String, String)>);

impl Replaced {
    /// Also shows `shown` instead of `found`.
    ///
    /// # Panics
    /// Where they differ in length, which would change what a screen looks like.
    #[must_use]
    pub fn and(mut self, found: impl Into<String>, shown: impl Into<String>) -> Self {
        let (found, shown) = (found.into(), shown.into());
        assert_eq!(found.len(), shown.len(), "{found} for {shown}");
        self.0.push((found, shown));
        self
    }

    /// The text as it is compared.
    pub fn in_text(&self, text: &str) -> String {
        let mut text = without_moments(text);
        for (found, shown) in &self.0 {
            text = text.replace(found, shown);
        }
        text
    }
}

/// The text with one moment instead of all, and one day.
fn without_moments(text: &str) -> String {
    let mut rest = text;
    let mut result = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let length = if is_like(rest, A_MOMENT) {
            result.push_str(A_MOMENT);
            A_MOMENT.len()
        } else if is_like(rest, A_DAY) {
            result.push_str(A_DAY);
            A_DAY.len()
        } else {
            result.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    result
}

/// Whether the text begins like `wanted`, with any digits.
fn is_like(text: &str, wanted: &str) -> bool {
    let same = |(found, wanted): (&u8, u8)| {
        if wanted.is_ascii_digit() {
            found.is_ascii_digit()
        } else {
            *found == wanted
        }
    };
    text.len() >= wanted.len() && text.as_bytes().iter().zip(wanted.bytes()).all(same)
}

/// How a program on a terminal has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// The last screen.
    pub screen: String,
    /// Everything that was written to the terminal.
    pub written: String,
    /// Whether what is typed is shown again.
    pub echoes: bool,
}

/// A program that runs on a terminal; dropped, it is killed.
pub struct Terminal {
    pid: Pid,
    pty: Arc<Pty>,
    lines: u16,
    columns: u16,
    replaced: Replaced,
    patience: Duration,
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Terminal {
    /// Starts a call on a terminal of [`COLUMNS`] columns and so many lines.
    pub fn start(call: &Call, lines: u16, replaced: Replaced) -> Self {
        Self::of_size(call, (lines, COLUMNS), replaced)
    }

    /// Starts a call on a terminal of so many lines and columns.
    pub fn of_size(call: &Call, (lines, columns): (u16, u16), replaced: Replaced) -> Self {
        let (pty, other_side) = open().expect("a pseudo-terminal");
        pty.resize(Size::new(lines, columns)).expect("a size");
        let mut command = call.command();
        let names_one = command.get_envs().any(|(name, _)| name == "TERM");
        if !names_one {
            command.env("TERM", "xterm-256color");
        }
        let command = Command::from(command);
        let mut child = command
            .spawn(other_side)
            .unwrap_or_else(|error| panic!("{call:?}: {error}"));
        let pty = Arc::new(pty);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (from, into) = (Arc::clone(&pty), Arc::clone(&bytes));
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            // The end of the last program on it is an error of the terminal.
            while let Ok(count) = (&*from).read(&mut piece)
                && count > 0
            {
                into.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        let pid = Pid::from_child(&child);
        let (tell, ended) = sync_channel(1);
        thread::spawn(move || {
            let status = child.wait().expect("a child that can be waited for");
            tell.send(status).ok();
        });
        Self {
            pid,
            pty,
            lines,
            columns,
            replaced,
            patience: call.patience,
            bytes,
            reader: Some(reader),
            ended,
            status: None,
        }
    }

    /// Types this.
    pub fn press(&self, keys: &str) {
        (&*self.pty)
            .write_all(keys.as_bytes())
            .expect("a terminal that takes keys");
    }

    /// Everything that was written to the terminal so far, as text.
    pub fn written(&self) -> String {
        let bytes = self.bytes.lock().unwrap();
        self.replaced.in_text(&String::from_utf8_lossy(&bytes))
    }

    /// The screen as it is now, without empty lines at its end.
    pub fn screen(&self) -> String {
        let size = |length| NonZeroU16::new(length).expect("a size");
        let mut parser = Parser::new(size(self.lines), size(self.columns), 0);
        parser.process(self.written().as_bytes());
        let screen = parser.screen();
        let lines = screen.rows(0, self.columns);
        let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned() + "\n"
    }

    /// Blocks until the screen is as wanted, and gives it; fails when the program ends before or
    /// the time is over.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + self.patience;
        loop {
            let ended = self.has_ended();
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(!ended, "waited in vain: {what} (it ended)\n{screen}");
            let late = Instant::now() > deadline;
            assert!(!late, "waited in vain: {what} (too late)\n{screen}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Blocks until what is typed is not shown any more.
    #[track_caller]
    pub fn until_hidden(&mut self) {
        let pty = Arc::clone(&self.pty);
        self.until("that nothing typed is shown", |_| !echoes(&pty));
    }

    /// Blocks until it ends.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let status = match self.status {
            Some(status) => status,
            None => match self.ended.recv_timeout(self.patience) {
                Ok(status) => status,
                Err(_) => panic!("it did not end in {:?}\n{}", self.patience, self.screen()),
            },
        };
        self.status = Some(status);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader that does not panic");
        }
        let ended = Ended {
            code: status.code(),
            screen: self.screen(),
            written: self.written(),
            echoes: echoes(&self.pty),
        };
        assert_eq!(status.signal(), None, "{}", ended.screen);
        assert!(!ended.written.contains("panicked at"), "{}", ended.screen);
        ended
    }

    fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.ended.try_recv().ok();
        }
        self.status.is_some()
    }
}

fn echoes(pty: &Pty) -> bool {
    let modes = tcgetattr(pty).expect("the modes of a terminal").local_modes;
    modes.contains(LocalModes::ECHO)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.has_ended() {
            kill_process(self.pid, Signal::KILL).ok();
            self.ended.recv_timeout(self.patience).ok();
        }
    }
}
