//! The program as a child process: called to its end, or left running and sent signals.
//!
//! Every wait has a deadline after which the child is killed and the test fails with everything
//! that it had printed.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::service::PATIENCE;

/// How often a condition is looked at that nothing announces.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A call of the program that is being prepared.
#[derive(Debug)]
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    folder: Option<PathBuf>,
    user: Option<u32>,
    input: Vec<u8>,
    pub(super) patience: Duration,
}

impl Call {
    /// A call with an empty environment but for the path, the language and the time zone.
    pub fn new<Argument: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Self {
        let arguments = arguments
            .into_iter()
            .map(|one| one.as_ref().to_owned())
            .collect();
        let call = Self {
            program: program.to_owned(),
            arguments,
            environment: Vec::new(),
            folder: None,
            user: None,
            input: Vec::new(),
            patience: PATIENCE,
        };
        call.env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable out of the environment.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.environment.push((key.into(), None));
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn inside(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs as this user and group.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Gives it this on its standard input.
    #[must_use]
    pub fn input(mut self, input: &[u8]) -> Self {
        self.input = input.to_owned();
        self
    }

    /// Waits this long for its end instead of [`PATIENCE`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same as a `Command`, with standard streams still inherited.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        for (key, value) in &self.environment {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Starts it and leaves it running.
    pub fn start(self) -> Running {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running::new(child, &self)
    }

    /// Runs it to its end.
    pub fn output(self) -> Outcome {
        self.start().outcome()
    }
}

/// A running program; dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    called: String,
    patience: Duration,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    fn new(mut child: Child, call: &Call) -> Self {
        let pid = Pid::from_child(&child);
        let stdout = Stream::read(child.stdout.take().expect("piped"));
        let stderr = Stream::read(child.stderr.take().expect("piped"));
        let mut stdin = child.stdin.take().expect("piped");
        let input = call.input.clone();
        // Fails when the program does not read its input, which is its right.
        thread::spawn(move || stdin.write_all(&input).ok());
        let (tell, ended) = sync_channel(1);
        thread::spawn(move || {
            let status = child.wait().expect("a child that can be waited for");
            tell.send(status).ok();
        });
        let called = format!("{:?} as {pid:?}", call.arguments);
        Self {
            pid,
            called,
            patience: call.patience,
            ended,
            status: None,
            stdout,
            stderr,
        }
    }

    /// Sends a signal; one that comes too late is no mistake.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).ok();
    }

    /// Asks it to stop, as service managers do.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it on the spot and waits until it is gone.
    pub fn kill(self) -> Outcome {
        self.signal(Signal::KILL);
        self.outcome()
    }

    /// The id of the process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// What it printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it has ended by now.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.ended.try_recv().ok();
        }
        self.status.is_some()
    }

    /// Blocks until `wanted` holds; fails when the program ends before or the time is over.
    pub fn until(&mut self, what: &str, wanted: impl Fn() -> bool) {
        let deadline = Instant::now() + self.patience;
        while !wanted() {
            let ended = self.has_ended() && !wanted();
            if ended || Instant::now() > deadline {
                let why = if ended {
                    "the program ended"
                } else {
                    "the time is over"
                };
                panic!("waited in vain: {what} ({why})\n{}", self.tell());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Blocks until it ends.
    pub fn outcome(mut self) -> Outcome {
        let status = match self.status {
            Some(status) => status,
            None => match self.ended.recv_timeout(self.patience) {
                Ok(status) => status,
                Err(RecvTimeoutError::Timeout) => {
                    let told = self.tell();
                    self.signal(Signal::KILL);
                    panic!("it did not end in {:?}\n{told}", self.patience);
                }
                Err(RecvTimeoutError::Disconnected) => panic!("nobody waited for {}", self.called),
            },
        };
        self.status = Some(status);
        let called = self.called.clone();
        let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
        Outcome {
            called,
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
        }
    }

    fn tell(&self) -> String {
        let Self { called, .. } = self;
        format!(
            "{called}\n-- stdout\n{}\n-- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.signal(Signal::KILL);
            self.ended.recv_timeout(self.patience).ok();
        }
    }
}

/// A stream of the child that is read as it comes.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count) = from.read(&mut piece)
                && count > 0
            {
                into.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader that does not panic");
        }
        self.text()
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    called: String,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn code(self, wanted: i32) -> Self {
        assert!(
            self.code == Some(wanted),
            "exit code {wanted} was wanted\n{}",
            self.tell()
        );
        self.no_panic()
    }

    /// Fails the test unless it went well.
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    /// Fails the test when the program panicked.
    #[track_caller]
    pub fn no_panic(self) -> Self {
        assert!(
            !self.stderr.contains("panicked at"),
            "it panicked\n{}",
            self.tell()
        );
        self
    }

    /// Fails the test unless standard output or standard error has this text, whatever the case.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr).to_lowercase();
        assert!(
            all.contains(&text.to_lowercase()),
            "it never said {text:?}\n{}",
            self.tell()
        );
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("no JSON document: {error}\n{}", self.tell()))
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?}: {error}\n{}", self.tell()))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// Everything about the call, for the message of a failed test.
    pub fn tell(&self) -> String {
        let Self {
            called,
            code,
            signal,
            stdout,
            stderr,
        } = self;
        format!(
            "{called}: code {code:?}, signal {signal:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        )
    }
}

/// Blocks until `wanted` holds; fails the test after [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}
