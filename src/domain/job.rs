//! A job: one recording that is to become a transcript, and the stage it has reached.
//!
//! A stage owns its data. The road is `queued → submitting → committing → awaiting | received → done`;
//! beside it stand `waiting`, `failed`, `in_doubt` and `cancelled`. Nothing here acts: what to do next
//! is decided in [`super::step`], what an answer means in [`super::verdict`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audio::{AudioDuration, AudioFormat};
use super::captions::{CaptionLanguage, Captions};
use super::format::Format;
use super::ground::Ground;
use super::money::Amount;
use super::pieces::PieceOf;
pub use super::provider::Provider;
use super::route::{Chosen, Shape};
use super::verdict::TOO_LARGE_FOR_SERVICE;

/// The number of a job, as `list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a stored raw reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyId(pub i64);

/// BLAKE3 of a recording's bytes: with the settings, its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The settings that change a result: frozen into the job, and part of a recording's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// Who recognises.
    pub provider: Provider,
    /// The model's name as the service knows it.
    pub model: String,
    /// ISO 639-1 or 639-3, or `auto`.
    pub language: String,
    /// Whether speakers are told apart.
    pub diarize: bool,
    /// Whether laughter, applause and the like are tagged.
    pub tag_audio_events: bool,
}

/// What is written for a job, and where: frozen into it, and no part of its identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The formats asked for, in order.
    pub formats: Vec<Format>,
    /// How its captions are cut.
    #[serde(default)]
    pub captions: Captions,
    /// Whether the names of its caption files carry the language.
    #[serde(default)]
    pub caption_language: CaptionLanguage,
}

impl Publication {
    /// This one as `wanted` has it by now; formats that were written once stay.
    #[must_use]
    pub fn brought_up_to(&self, wanted: &Self) -> Self {
        let mut formats = self.formats.clone();
        let new = wanted
            .formats
            .iter()
            .filter(|format| !self.formats.contains(format));
        formats.extend(new);
        Self {
            formats,
            ..wanted.clone()
        }
    }
}

/// The receipt of an asynchronous submit, kept whole so that every field can be echoed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The service's id of the run.
    pub run_id: String,
    /// Every field of the reply, as it came.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// Why a ticket is not coming to an end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overdue {
    /// Hours have passed, more than the recording's length explains.
    PollDeadline,
    /// The service says that it does not know the run.
    RunUnknown,
    /// The service's answers cannot be read.
    Unreadable,
}

/// The code of what waits until its disk is back.
pub const SOURCE_AWAY: &str = "source_away";

/// The code of a recording that cannot be read.
pub const SOURCE_UNREADABLE: &str = "source_unreadable";

/// Why a job cannot be sent as things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Larger than the service takes directly, and no other route is set up.
    TooLarge,
    /// In a format that the service does not promise to read.
    ForeignFormat,
    /// It would have to be decoded here, where there is no decoder for it.
    NoDecoder,
    /// Its estimated cost is over `budget.per_file`.
    OverFileBudget,
    /// The bucket does not take it until a person has changed something.
    Bucket,
    /// Its disk was taken away.
    SourceAway,
    /// Its file may not be read.
    SourceUnreadable,
    /// A file of rules in its folder, or above it, has a mistake.
    FolderSettings,
    /// The rules of its folder leave it out since it was queued.
    LeftOut,
}

impl Obstacle {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::ForeignFormat => "foreign_format",
            Self::NoDecoder => "no_decoder",
            Self::OverFileBudget => "over_file_budget",
            Self::Bucket => "bucket",
            Self::SourceAway => SOURCE_AWAY,
            Self::SourceUnreadable => SOURCE_UNREADABLE,
            Self::FolderSettings => "folder_settings",
            Self::LeftOut => "left_out",
        }
    }
}

/// A code and a sentence that say why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, in snake_case.
    pub code: String,
    /// One sentence for a person.
    pub text: String,
}

/// What a failure is called that lies in the bytes and the settings alone, and so is that of every copy.
/// A run that the service failed was paid for: a copy would pay for the same again.
const LASTING_FAILURES: &[&str] = &[
    "service_failed",
    "bad_request",
    "format_refused",
    TOO_LARGE_FOR_SERVICE,
    "unprocessable",
    "undecodable",
    "poison",
];

impl Reason {
    /// Why a copy is not sent whose twin a person has stopped.
    pub fn twin_was_stopped(twin: JobId) -> Self {
        let text = format!("the same recording as job {twin}, which was stopped by hand");
        Self::new("cancelled", text)
    }

    /// Why a copy fails whose twin failed for this reason, if that lies in the recording or its settings.
    pub fn of_twin(&self, twin: JobId) -> Option<Self> {
        let text = || {
            format!(
                "the same recording as job {twin}, which failed: {}",
                self.text
            )
        };
        let lasts = LASTING_FAILURES.contains(&self.code.as_str());
        lasts.then(|| Self::new(self.code.clone(), text()))
    }

    /// A reason from its code and its sentence.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            text: text.into(),
        }
    }
}

/// How far a job has come; each stage owns what it needs to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// To be sent; not before `not_before`, if that is set.
    Queued {
        /// The earliest moment of the next try.
        not_before: Option<Timestamp>,
        /// Why it waits, when it does.
        reason: Option<Reason>,
    },
    /// Parked until the configuration allows it to be sent.
    Waiting {
        /// What is in the way.
        obstacle: Obstacle,
        /// The same as a sentence with the way out.
        text: String,
    },
    /// On its way: the service has not seen a whole request. A crash here costs nothing.
    Submitting,
    /// The last chunk is being handed over: a crash or a lost connection here is in doubt.
    Committing,
    /// Cut into pieces, which are jobs of their own; it goes on when all of them have ended.
    Split {
        /// How many.
        pieces: u32,
    },
    /// Accepted; the ticket is polled until it ends.
    Awaiting {
        /// The receipt.
        ticket: Ticket,
        /// When it was accepted.
        submitted_at: Timestamp,
        /// When to ask next.
        poll_at: Timestamp,
        /// Why it is not ending by itself, if it is not.
        overdue: Option<Overdue>,
    },
    /// The raw reply is on disk and is to be made into outputs.
    Received {
        /// Where the reply is stored.
        reply: ReplyId,
        /// What kept the outputs from being written, and when to try again.
        trouble: Option<Trouble>,
    },
    /// The transcript lies beside the recording.
    Done {
        /// The reply that it was made from.
        reply: ReplyId,
    },
    /// Ended without a transcript.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A submit whose billing nobody can know.
    InDoubt {
        /// Why it is in doubt.
        reason: Reason,
        /// When it goes back to the queue by itself; `None` leaves it to a person.
        retry_at: Option<Timestamp>,
    },
    /// Stopped by a person.
    Cancelled,
}

/// What kept outputs from being written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// Why.
    pub reason: Reason,
    /// When to try again.
    pub retry_at: Timestamp,
    /// How often it has been tried.
    pub tries: u32,
}

/// The name of a stage in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the stages are described at `Stage`")]
pub enum StageName {
    Queued,
    Waiting,
    Submitting,
    Committing,
    Split,
    Awaiting,
    Received,
    Done,
    Failed,
    InDoubt,
    Cancelled,
}

impl StageName {
    /// The name as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Submitting => "submitting",
            Self::Committing => "committing",
            Self::Split => "split",
            Self::Awaiting => "awaiting",
            Self::Received => "received",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The seven states that `status` counts and `list --state` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the page of names")]
pub enum State {
    Queued,
    Active,
    Waiting,
    InDoubt,
    Failed,
    Done,
    Cancelled,
}

impl State {
    /// Every state, in the order in which `status` shows them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Active,
        Self::Waiting,
        Self::InDoubt,
        Self::Failed,
        Self::Done,
        Self::Cancelled,
    ];

    /// The name in commands and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::InDoubt => "in_doubt",
            Self::Failed => "failed",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown state `{0}`; the states are queued, active, waiting, in_doubt, failed, done, cancelled"
)]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let wanted = text.replace('-', "_").to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == wanted)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

impl Stage {
    /// Whether it is being paid for, or may have been, so that copies of the recording wait.
    pub fn is_paying(&self) -> bool {
        match self {
            Self::Submitting
            | Self::Committing
            | Self::Split { .. }
            | Self::Awaiting { .. }
            | Self::Received { .. }
            | Self::InDoubt { .. } => true,
            Self::Queued { .. }
            | Self::Waiting { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Cancelled => false,
        }
    }

    /// Whether it ended only because its recording was gone or another one when it was to be sent, or waits for its
    /// recording or for the rules of its folder: it goes on once that is there and they let it pass.
    pub fn waits_for_recording(&self) -> bool {
        let is_gone =
            |reason: &Reason| ["source_changed", "source_vanished"].contains(&reason.code.as_str());
        matches!(
            self,
            Self::Waiting {
                obstacle: Obstacle::SourceAway
                    | Obstacle::SourceUnreadable
                    | Obstacle::FolderSettings
                    | Obstacle::LeftOut,
                ..
            }
        ) || matches!(self, Self::Failed { reason } if is_gone(reason))
    }

    /// Freshly queued, to be sent as soon as there is room.
    pub fn queued() -> Self {
        Self::Queued {
            not_before: None,
            reason: None,
        }
    }

    /// The stage's name in the table.
    pub fn name(&self) -> StageName {
        match self {
            Self::Queued { .. } => StageName::Queued,
            Self::Waiting { .. } => StageName::Waiting,
            Self::Submitting => StageName::Submitting,
            Self::Committing => StageName::Committing,
            Self::Split { .. } => StageName::Split,
            Self::Awaiting { .. } => StageName::Awaiting,
            Self::Received { .. } => StageName::Received,
            Self::Done { .. } => StageName::Done,
            Self::Failed { .. } => StageName::Failed,
            Self::InDoubt { .. } => StageName::InDoubt,
            Self::Cancelled => StageName::Cancelled,
        }
    }

    /// What `status` counts it as.
    pub fn state(&self) -> State {
        match self {
            Self::Queued { reason: None, .. } => State::Queued,
            Self::Queued {
                reason: Some(_), ..
            }
            | Self::Waiting { .. }
            | Self::Awaiting {
                overdue: Some(_), ..
            }
            | Self::Received {
                trouble: Some(_), ..
            } => State::Waiting,
            Self::Submitting
            | Self::Committing
            | Self::Split { .. }
            | Self::Awaiting { overdue: None, .. }
            | Self::Received { trouble: None, .. } => State::Active,
            Self::Done { .. } => State::Done,
            Self::Failed { .. } => State::Failed,
            Self::InDoubt { .. } => State::InDoubt,
            Self::Cancelled => State::Cancelled,
        }
    }

    /// Why the job is where it is, for the stages that have a reason.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Queued { reason, .. } => reason.clone(),
            Self::Waiting { obstacle, text } => {
                Some(Reason::new(obstacle.code(), text.clone()))
            }
            Self::Awaiting { overdue, .. } => overdue.map(|overdue| match overdue {
                Overdue::PollDeadline => Reason::new(
                    "poll_deadline",
                    "the service has not finished it in the time that its length explains; it is still asked every hour",
                ),
                Overdue::RunUnknown => Reason::new(
                    "run_unknown",
                    "the service says that it does not know this run; it is still asked every hour",
                ),
                Overdue::Unreadable => Reason::new(
                    "poll_unreadable",
                    "the service's answers about this run cannot be read; it is still asked every hour",
                ),
            }),
            Self::Received { trouble, .. } => trouble.as_ref().map(|trouble| trouble.reason.clone()),
            Self::Failed { reason } | Self::InDoubt { reason, .. } => Some(reason.clone()),
            Self::Submitting
            | Self::Committing
            | Self::Split { .. }
            | Self::Done { .. }
            | Self::Cancelled => None,
        }
    }

    /// Whether it waits for the rules of its folder.
    pub fn waits_for_rules(&self) -> bool {
        let rules = [Obstacle::FolderSettings, Obstacle::LeftOut];
        matches!(self, Self::Waiting { obstacle, .. } if rules.contains(obstacle))
    }

    /// Whether it waits for a route.
    pub fn has_no_way(&self) -> bool {
        let ways = [
            Obstacle::TooLarge,
            Obstacle::ForeignFormat,
            Obstacle::NoDecoder,
        ];
        matches!(self, Self::Waiting { obstacle, .. } if ways.contains(obstacle))
    }

    /// Whether it waits because there is no decoder for it here.
    pub fn lacks_decoder(&self) -> bool {
        let obstacle = Obstacle::NoDecoder;
        matches!(self, Self::Waiting { obstacle: found, .. } if *found == obstacle)
    }

    /// Whether a run would send it: now, or after a wait.
    pub fn is_to_be_sent(&self) -> bool {
        match self {
            Self::Queued { .. } => true,
            Self::InDoubt { retry_at, .. } => retry_at.is_some(),
            Self::Waiting { .. }
            | Self::Split { .. }
            | Self::Submitting
            | Self::Committing
            | Self::Awaiting { .. }
            | Self::Received { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Cancelled => false,
        }
    }

    /// When something is to be done with it: now (`Some(None)`), at a time, or never by itself (`None`).
    pub fn due(&self) -> Option<Option<Timestamp>> {
        match self {
            Self::Queued { not_before, .. } => Some(*not_before),
            Self::Awaiting { poll_at, .. } => Some(Some(*poll_at)),
            Self::Received { trouble, .. } => {
                Some(trouble.as_ref().map(|trouble| trouble.retry_at))
            }
            Self::InDoubt { retry_at, .. } => retry_at.map(Some),
            Self::Submitting
            | Self::Committing
            | Self::Split { .. }
            | Self::Waiting { .. }
            | Self::Done { .. }
            | Self::Failed { .. }
            | Self::Cancelled => None,
        }
    }
}

/// A row of the job table.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The recording.
    pub source: PathBuf,
    /// The folder under which it was found, for trees of outputs and for numbers by folder.
    pub root: PathBuf,
    /// The path that its outputs begin with, decided once.
    pub base: PathBuf,
    /// What the recording's bytes hash to.
    pub hash: ContentHash,
    /// The recording's size in bytes.
    pub size: u64,
    /// Its measured length, where a demuxer could measure it.
    pub duration: Option<AudioDuration>,
    /// What it is by its content.
    pub format: AudioFormat,
    /// Whether it has moving pictures as well; nothing for what was queued before that was looked for.
    pub has_video: Option<bool>,
    /// The settings that it was queued with.
    pub settings: Settings,
    /// What is written for it.
    pub publication: Publication,
    /// By which route it goes, and why; none while it waits for one.
    pub route: Option<Chosen>,
    /// Which piece of which job it is, if it is one.
    pub piece: Option<PieceOf>,
    /// How far it has come.
    pub stage: Stage,
    /// How many submits were handed over whole, or refused.
    pub attempts: u32,
    /// How many of them failed by the job's own fault.
    pub failures: u32,
    /// How many paid repeats were made in doubt.
    pub doubts: u32,
    /// Whether it is to be sent although its transcript is known.
    pub forced: bool,
    /// The service's id of its run.
    pub run_id: Option<String>,
    /// The service's id of its last request, for support.
    pub request_id: Option<String>,
    /// What it has cost so far.
    pub cost: Option<Amount>,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When its stage last changed.
    pub updated_at: Timestamp,
}

impl Job {
    /// What its route depends on.
    pub fn shape(&self) -> Shape {
        Shape {
            provider: self.settings.provider,
            format: self.format,
            size: self.size,
            duration: self.duration,
            is_decodable: true,
        }
    }
}

/// A recording that is to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The recording.
    pub source: PathBuf,
    /// The folder under which it was found.
    pub root: PathBuf,
    /// On which disk it lies, if that is known.
    pub ground: Option<Ground>,
    /// What its bytes hash to.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
    /// Its measured length.
    pub duration: Option<AudioDuration>,
    /// What it is by its content.
    pub format: AudioFormat,
    /// Whether it has moving pictures as well, if that was looked for.
    pub has_video: Option<bool>,
    /// The settings to freeze.
    pub settings: Settings,
    /// What to write for it.
    pub publication: Publication,
    /// Where outputs go instead of beside the recording.
    pub output_dir: Option<PathBuf>,
    /// By which route it goes, and why.
    pub route: Option<Chosen>,
    /// The stage to begin in: queued, or waiting for a route.
    pub stage: Stage,
}
