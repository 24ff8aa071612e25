//! A program that is run for each notice, which it finds on its standard input and in its environment.
//!
//! It runs in a process group of its own, which ends with all that is in it when its time is over, and knows
//! nothing of stenod's own environment but what every program needs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Told;
use crate::domain::notice::Notice;
use crate::domain::plain::{clean, shown, word};

/// How long a program that is to end may take for it before it is killed.
const END_LIMIT: Duration = Duration::from_secs(2);
/// How long a program may go on when stenod is being stopped.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How long what a program said is read after its end: others may still have its streams.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The most bytes that are kept of each stream.
const MOST_OUTPUT: u64 = 4096;
/// The most characters of that in a reason.
const MOST_REASON: usize = 200;

/// The variables that a program is given from stenod's own environment: nothing that could be a secret.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
];

/// What a program is run by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// A program that is told.
#[derive(Debug)]
pub struct Command {
    settings: CommandSettings,
    end_limit: Duration,
    stop_limit: Duration,
}

/// Why a program was ended.
enum Cut {
    Late,
    Stopped,
}

impl Command {
    /// The program of these settings.
    pub fn new(settings: CommandSettings) -> Self {
        Self {
            settings,
            end_limit: END_LIMIT,
            stop_limit: STOP_LIMIT,
        }
    }

    /// The same, with this time to end when it is told to, and this to go on when stenod is being stopped.
    #[must_use]
    pub fn with_limits(self, end_limit: Duration, stop_limit: Duration) -> Self {
        Self {
            end_limit,
            stop_limit,
            ..self
        }
    }

    /// Its name.
    pub fn shown(&self) -> String {
        word(&shown(&self.settings.program))
    }

    /// Where the program is, if it is there and can be run.
    pub fn found(&self) -> Option<PathBuf> {
        use rustix::fs::{Access, access};
        let program = &self.settings.program;
        let is_runnable = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        if program.components().count() > 1 || program.is_absolute() {
            return is_runnable(program).then(|| program.clone());
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|path| is_runnable(path))
    }

    pub(super) async fn tell(&self, notice: &Notice, stop: &CancellationToken) -> Told {
        let mut command = tokio::process::Command::new(&self.settings.program);
        command
            .args(&self.settings.arguments)
            .env_clear()
            .envs(inherited(std::env::vars_os()))
            .envs(notice.variables())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                return Told::Refused {
                    why: format!("{} cannot be run: {error}", self.shown()),
                    retry_after: None,
                };
            }
        };
        let group = Group::of(&child);
        let mut said = Said::default();
        let stopped = async {
            stop.cancelled().await;
            sleep(self.stop_limit).await;
        };
        let ended = tokio::select! {
            biased;
            ended = attend(&mut child, &notice.body, &mut said) => Ok(ended),
            () = sleep(self.settings.limit) => Err(Cut::Late),
            () = stopped => Err(Cut::Stopped),
        };
        if ended.is_err() {
            group.end(&mut child, self.end_limit).await;
        } else {
            group.let_go();
        }
        said.log(notice);
        self.judge(ended, &said)
    }

    fn judge(&self, ended: Result<std::io::Result<ExitStatus>, Cut>, said: &Said) -> Told {
        let why = match ended {
            Ok(Ok(status)) if status.success() => return Told::Taken,
            Ok(Ok(status)) => format!("{} ended with {status}{}", self.shown(), said.reason()),
            Ok(Err(error)) => format!("{} cannot be waited for: {error}", self.shown()),
            Err(Cut::Late) => format!(
                "{} did not end within {} s and was ended{}",
                self.shown(),
                self.settings.limit.as_secs_f64(),
                said.reason()
            ),
            Err(Cut::Stopped) => return Told::Interrupted,
        };
        Told::Refused {
            why,
            retry_after: None,
        }
    }
}

/// Gives a program the notice, hears what it says, and waits for its end.
async fn attend(child: &mut Child, body: &str, said: &mut Said) -> std::io::Result<ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it is told.
            drop(stdin.write_all(body.as_bytes()).await);
            drop(stdin.shutdown().await);
        }
    };
    let hear = async {
        tokio::join!(
            feed,
            keep(stdout, &mut said.output),
            keep(stderr, &mut said.errors)
        );
    };
    tokio::pin!(hear);
    tokio::select! {
        () = &mut hear => child.wait().await,
        status = child.wait() => {
            // Who is late has said enough.
            drop(timeout(LAST_WORDS, hear).await);
            status
        }
    }
}

/// Keeps the beginning of what comes, and reads on to its end.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    // A stream that breaks has ended.
    drop((&mut stream).take(MOST_OUTPUT).read_to_end(kept).await);
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
}

/// What a program said.
#[derive(Debug, Default)]
struct Said {
    output: Vec<u8>,
    errors: Vec<u8>,
}

impl Said {
    fn log(&self, notice: &Notice) {
        let event = notice.event.as_str();
        for (stream, bytes) in [("stdout", &self.output), ("stderr", &self.errors)] {
            let text = on_one_line(bytes);
            if !text.is_empty() {
                tracing::info!(
                    event,
                    notice = notice.name,
                    stream,
                    "the command of [notify]: {text}"
                );
            }
        }
    }

    /// What it said of why it failed.
    fn reason(&self) -> String {
        let text = on_one_line(&self.errors);
        if text.is_empty() {
            return String::new();
        }
        let text: String = text.chars().take(MOST_REASON).collect();
        format!(": {text}")
    }
}

fn on_one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    clean(&lines.join(" | "))
}

fn inherited(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let is_known = |name: &OsStr| {
        let name = name.to_string_lossy();
        INHERITED.contains(&name.as_ref()) || name.starts_with("LC_")
    };
    variables.filter(move |(name, _)| is_known(name))
}

/// A process group, which is killed when nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It has ended by itself; what it left behind on purpose may stay.
    fn let_go(mut self) {
        self.0 = None;
    }

    /// Ends it and everything in it.
    async fn end(self, child: &mut Child, limit: Duration) {
        self.signal(Signal::TERM);
        // What does not listen is killed when this is dropped.
        drop(timeout(limit, child.wait()).await);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            match kill_process_group(group, signal) {
                // There may be nobody left.
                Ok(()) | Err(_) => {}
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
