//! What is said over the socket, in both directions.
//!
//! Jobs travel by their numbers, since both sides read the same table. Paths travel as text where they
//! are UTF-8 and as bytes where not, so that no name is lost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::rendering::{RenderOrder, Rendered};
use crate::domain::job::JobId;

/// The version of this protocol; another one is refused, never guessed at.
pub const VERSION: u32 = 1;

/// The one line that a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The version that the client speaks.
    pub version: u32,
    /// What it wants, not looked at before the version is.
    pub order: serde_json::Value,
}

/// What a person wants of whoever holds the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Queue jobs again.
    Retry {
        /// These.
        jobs: Vec<JobId>,
        /// Every one that failed.
        failed: bool,
        /// Every one in doubt.
        in_doubt: bool,
        /// Every one that failed or waits for this reason.
        reason: Option<String>,
    },
    /// Stop jobs.
    Cancel {
        /// These.
        jobs: Vec<JobId>,
    },
    /// Hold the queue.
    Pause {
        /// Until when, if not until a person says so.
        until: Option<Timestamp>,
    },
    /// End the hold, and try at once what the service had refused.
    Resume,
    /// Read the configuration again.
    Reload,
    /// Tell what a run would do and cost.
    Plan(RunOrder),
    /// Tell by which terms a run would be done.
    Terms(RunOrder),
    /// Take recordings in, work on them, and tell what becomes of them.
    Run(RunOrder),
    /// Give labels of a job's speakers names; an empty one takes the name away.
    Speakers {
        /// Which job.
        job: JobId,
        /// Labels and names.
        names: Vec<(String, String)>,
    },
    /// Write outputs of done jobs again.
    Render(RenderOrder),
    /// Tell which files are not complete yet.
    Waiting {
        /// This one alone; all of them without it.
        path: Option<Named>,
    },
}

/// What a run is to take in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOrder {
    /// Absolute paths; the configured folders if there is none.
    pub paths: Vec<Named>,
    /// Whether what is done is transcribed, and paid for, again.
    pub force: bool,
    /// The most recordings that are queued.
    pub limit: Option<usize>,
    /// The plan to which somebody has agreed; nothing else is taken in.
    pub plan: Option<String>,
    /// What is laid over the configuration of whoever holds the state.
    pub flags: RunFlags,
}

/// The flags of the command line that change what becomes of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFlags {
    /// `--provider`.
    pub provider: Option<String>,
    /// `--model`.
    pub model: Option<String>,
    /// `--language`.
    pub language: Option<String>,
    /// `--formats`.
    pub formats: Option<Vec<String>>,
    /// `--output-dir`, absolute.
    pub output_dir: Option<Named>,
    /// `--diarize`.
    pub diarize: Option<bool>,
    /// `--include`.
    pub include: Option<Vec<String>>,
    /// `--exclude`.
    pub exclude: Option<Vec<String>>,
    /// `--no-recursive`.
    pub no_recursive: Option<bool>,
}

/// A path on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Named {
    /// One that is UTF-8.
    Text(String),
    /// Any other.
    Bytes(Vec<u8>),
}

impl From<&Path> for Named {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<Named> for PathBuf {
    fn from(named: Named) -> Self {
        match named {
            Named::Text(text) => text.into(),
            Named::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// A line that the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// It is still at work.
    Alive,
    /// Something happened.
    News(News),
    /// The order is carried out; the last line.
    Done(Answer),
    /// The order is not carried out; the last line.
    Refused(Refusal),
}

/// Something that happened while an order is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// A job has moved: the table says where to.
    Job(JobId),
    /// A job is getting on.
    Progress {
        /// Which.
        job: JobId,
        /// Seconds of audio that are done.
        seconds: f64,
    },
    /// A large file is being read, to know what it is.
    Reading {
        /// Which.
        path: Named,
        /// Bytes that were read.
        read: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A recording is being encoded again, or cut.
    Encoded {
        /// Which job.
        job: JobId,
        /// Seconds of audio that are done.
        seconds: f64,
    },
    /// A recording is on its way into the bucket.
    Uploaded {
        /// Which job.
        job: JobId,
        /// Bytes that are there.
        sent: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A file was passed over.
    Skipped {
        /// Which.
        path: Named,
        /// The code of the reason.
        code: String,
        /// The reason as a sentence.
        text: String,
    },
    /// The whole queue waits.
    Paused(Held),
    /// It waits no longer for this.
    Resumed {
        /// For what it waited.
        reason: String,
    },
}

/// What the queue waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// For what, as `status` names it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if it ends or is looked at again by itself.
    pub until: Option<Timestamp>,
    /// One sentence for a person.
    pub text: String,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Jobs were queued again or stopped.
    Changed {
        /// Those that changed.
        changed: Vec<JobId>,
        /// Those that stay as they are.
        left: Vec<Left>,
    },
    /// The queue is held.
    Paused(Held),
    /// It goes on; what it had waited for.
    Resumed(Vec<String>),
    /// The configuration is in force; what of it is not, in sentences.
    Reloaded(Vec<String>),
    /// What a run would do.
    Planned(Box<Planned>),
    /// By which terms a run would be done: the same word for the same terms.
    Terms(String),
    /// A run is over.
    Ran(Taken),
    /// The speakers have these names.
    Speakers,
    /// Outputs were written again.
    Rendered(Rendered),
    /// These files are waited for.
    Waiting(Unsettled),
}

/// What a run would do and cost, by whoever would do it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The word by which it is known, to be handed back with the run.
    pub plan: String,
    /// Recordings to be sent.
    pub recordings: usize,
    /// Their length in microseconds.
    pub micros: u64,
    /// What they cost in US dollars, if anybody knows.
    pub cost: Option<Decimal>,
    /// Those that may have been paid for already, and are repeated once.
    pub repeats: usize,
    /// Those that have a transcript already, and get another one.
    pub anew: usize,
    /// The limit that leaves least, if there is one.
    pub limit: Option<SpendingLimit>,
    /// What the service has of it already.
    pub with_service: WithService,
    /// What a minute costs with each model that is paid, if anybody knows.
    pub prices: BTreeMap<String, Option<MinutePrice>>,
    /// How many recordings go by each route.
    pub routes: BTreeMap<String, usize>,
    /// Copies of recordings that are sent or done.
    pub copies: usize,
    /// How long it takes, in milliseconds.
    pub millis: u64,
    /// Whether that was measured.
    pub is_measured: bool,
    /// The jobs that are on their way already.
    pub under_way: Vec<JobId>,
}

/// What a limit leaves, in US dollars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendingLimit {
    /// Its name: a key of the configuration.
    pub name: String,
    /// How much it is.
    pub limit: Decimal,
    /// What is left of it.
    pub left: Decimal,
    /// When it begins anew, if it does by itself.
    pub until: Option<Timestamp>,
}

/// What the service has accepted before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithService {
    /// How many recordings.
    pub recordings: usize,
    /// Their length in microseconds.
    pub micros: u64,
    /// What they cost in US dollars.
    pub cost: Decimal,
    /// What of that is set aside so far.
    pub set_aside: Decimal,
}

/// What a minute costs in US dollars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinutePrice {
    /// Dollars a minute.
    pub per_minute: Decimal,
    /// Who says so, as JSON names it.
    pub source: String,
}

/// Files that are not complete yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// How many wait for what, by the code of the reason.
    pub counts: BTreeMap<String, u64>,
    /// Some of them; those that may wait for a person come first.
    pub files: Vec<UnsettledFile>,
    /// Who waits, if that is a daemon.
    #[serde(default)]
    pub watching: Option<Watching>,
}

/// What a daemon watches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// The folders of its command line; the configured ones if there is none.
    pub folders: Vec<Named>,
    /// Its configuration, if it has a file.
    #[serde(default)]
    pub file: Option<Named>,
}

/// A file that is not complete yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsettledFile {
    /// Which.
    pub path: Named,
    /// The code of the reason.
    pub code: String,
    /// The reason in words.
    pub text: String,
    /// When it is looked at again, if anybody does.
    pub until: Option<Timestamp>,
}

/// A job that an order leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which.
    pub job: JobId,
    /// The stage it is in.
    pub stage: String,
}

/// How a run ended, and what it was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// How it ended.
    pub ended: Ended,
    /// The jobs it was about.
    pub jobs: Vec<JobId>,
    /// Folders that could not be read.
    pub missing: usize,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Nothing is left to do.
    Finished,
    /// The whole queue waits, longer than a run waits.
    Paused(Held),
    /// Whoever holds the state is being stopped.
    Stopped,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason.
    pub kind: RefusalKind,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// Kinds of reasons, each worth an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The client speaks another version.
    Version,
    /// The request is not understood.
    Malformed,
    /// Whoever holds the state cannot do this.
    Impossible,
    /// The order itself is wrong: a path that does not exist.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// There is no key.
    Key,
    /// It failed.
    Failed,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a way to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
