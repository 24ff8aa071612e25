//! The typed settings, in units: what the rest of the program sees of a configuration.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use reqwest::Url;
use rust_decimal::Decimal;

use super::mistake::Mistake;
use super::secret::ApiKey;
use crate::domain::format::Format;
use crate::domain::notice::Event;
use crate::domain::object;
use crate::speech::services::{self, Description, SERVICES};

/// A setting that is one of a few names.
pub trait Choice: Copy + 'static {
    /// Every choice, in the order in which users see them.
    fn all() -> Vec<Self>;

    /// The name that users write.
    fn name(self) -> &'static str;
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Choice for $name {
            fn all() -> Vec<Self> {
                vec![$(Self::$variant),+]
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.name())
            }
        }
    };
}

/// Who transcribes. `Auto` means the usual service when a key is found, else the built-in recogniser;
/// a service by name without the key that it needs is refused (exit code 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The usual service with a key, else local.
    Auto,
    /// This service.
    Service(&'static Description),
    /// The built-in recogniser.
    Local,
}

impl Provider {
    /// The service that is meant, and where none is, the usual one.
    pub fn service(self) -> &'static Description {
        match self {
            Self::Service(service) => service,
            Self::Auto | Self::Local => services::USUAL,
        }
    }
}

impl Choice for Provider {
    fn all() -> Vec<Self> {
        let services = SERVICES.iter().copied().map(Self::Service);
        [Self::Auto]
            .into_iter()
            .chain(services)
            .chain([Self::Local])
            .collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Service(service) => service.provider.name(),
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

choices! {
    /// What becomes of a submit whose reply was lost, which may have been paid.
    InDoubt {
        /// Sent once more; it may be paid twice.
        RetryOnce = "retry-once",
        /// Kept until a person decides.
        Hold = "hold",
    }
}

choices! {
    /// How a folder is watched.
    WatchMode {
        /// Events where they work, else polling.
        Auto = "auto",
        /// Events.
        Events = "events",
        /// Polling.
        Poll = "poll",
    }
}

choices! {
    /// How captions are cut.
    Captions {
        /// Two lines of 42 columns.
        Standard = "standard",
        /// Two lines of 32 columns.
        Podcast = "podcast",
    }
}

choices! {
    /// When the names of caption files carry the language.
    CaptionLanguage {
        /// Beside films.
        Auto = "auto",
        /// Wherever it is known.
        Always = "always",
        /// Nowhere.
        Never = "never",
    }
}

choices! {
    /// The way of a recording that is over the direct limit.
    Route {
        /// Bucket if there is one, else pieces.
        Auto = "auto",
        /// By a link into the bucket.
        Bucket = "bucket",
        /// In pieces under the direct limit.
        Pieces = "pieces",
    }
}

/// `[service]`: who transcribes, and how hard it is driven.
#[derive(Debug, Clone)]
pub struct Service {
    /// Who transcribes.
    pub provider: Provider,
    /// An absolute http or https URL without a slash at its end, user, password and query.
    pub base_url: String,
    /// The key, if one was found.
    pub key: Option<ApiKey>,
    /// The file that is named for the key, whether it is there or not.
    pub key_file: Option<PathBuf>,
    /// Why the key cannot be had that the configuration or a variable names: only what sends needs it.
    pub key_trouble: Option<Box<Mistake>>,
    /// Recordings in flight at once, at most [`super::MAX_JOBS`].
    pub jobs: NonZeroUsize,
    /// Requests a second, at most [`super::MAX_REQUESTS_PER_SECOND`].
    pub requests_per_second: NonZeroU32,
    /// The wait before the first poll.
    pub poll_interval: Duration,
    /// What becomes of a submit whose reply was lost.
    pub in_doubt: InDoubt,
    /// US dollars a minute, for a service that tells no prices; none: unknown.
    pub price_per_minute: Option<Decimal>,
}

impl Service {
    /// The service whose own server is asked, which need not be the one that is spoken to: what it takes
    /// and which models it has are its own, in whatever form it is asked.
    pub fn server(&self) -> &'static Description {
        super::urls::server(&self.base_url).unwrap_or_else(|| self.provider.service())
    }
}

/// `[transcribe]`: what is asked for, and what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcribe {
    /// The service's name of the model.
    pub model: String,
    /// `auto`, or a code in the shape of ISO 639-1 or 639-3, in small letters.
    pub language: String,
    /// Whether speakers are told apart.
    pub diarize: bool,
    /// Whether laughter, music and the like are marked.
    pub tag_audio_events: bool,
    /// What is written; never empty, no repetitions.
    pub formats: Vec<Format>,
    /// How captions are cut.
    pub captions: Captions,
    /// When the names of caption files carry the language.
    pub caption_language: CaptionLanguage,
    /// The root of a mirrored tree of outputs; none: beside the source.
    pub output_dir: Option<PathBuf>,
}

/// One folder of recordings, or the settings of a path outside of every configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// An absolute path, as configured: symlinks are not resolved.
    pub path: PathBuf,
    /// Whether the folders inside are looked at as well.
    pub recursive: bool,
    /// Patterns of which one must match; never empty.
    pub include: Vec<String>,
    /// Patterns of which none may match.
    pub exclude: Vec<String>,
    /// How it is watched.
    pub watch: WatchMode,
    /// Time between two looks when polling.
    pub poll_every: Duration,
    /// How long a file must stay unchanged to count as complete.
    pub settle: Duration,
    /// Whether what was there before the first start is transcribed.
    pub existing: bool,
    /// The shortest recording that is transcribed.
    pub min_length: Duration,
    /// `[transcribe]` with this folder's own keys over it.
    pub transcribe: Transcribe,
}

/// `[watch]`: how all folders are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The mean time between two scans of everything.
    pub rescan_every: Duration,
}

/// `[local]`: the built-in recogniser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// A Whisper checkpoint; none: the weights inside the binary.
    pub model_dir: Option<PathBuf>,
    /// Threads; none: all cores.
    pub threads: Option<NonZeroUsize>,
}

/// `[budget]`: limits in USD; none: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// For each calendar day.
    pub per_day: Option<Decimal>,
    /// For each calendar month.
    pub per_month: Option<Decimal>,
    /// For one recording.
    pub per_file: Option<Decimal>,
}

/// `[large]`: what becomes of recordings over the direct limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// Bytes that a request's body may hold.
    pub direct_limit: u64,
    /// Bytes that the service fetches by a link.
    pub link_limit: u64,
    /// Whether speech is encoded again to fit.
    pub shrink: bool,
    /// The way of what does not fit.
    pub route: Route,
    /// The length of a piece that is aimed at, at most [`super::MAX_PIECE`].
    pub piece: Duration,
}

/// `[bucket]`: object storage that the service can fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `s3://bucket/prefix`, `gs://…` or `az://…`, without a slash at its end.
    pub url: String,
    /// The storage's own address; none: the provider's.
    pub endpoint: Option<String>,
    /// The region, or `auto`.
    pub region: String,
    /// The key's public half; none: from the usual variables and files.
    pub access_key_id: Option<String>,
    /// The file that holds the key's secret half.
    pub secret_access_key_file: Option<PathBuf>,
    /// How long a link stays valid, at most [`super::MAX_LINK_LIFETIME`].
    pub link_lifetime: Duration,
}

impl Bucket {
    /// What tells it from every other, see [`object::place`].
    pub fn place(&self) -> String {
        object::place(&self.url, self.endpoint.as_deref())
    }
}

/// `[notify]`: who is told of what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// A program.
    pub command: Option<NotifyCommand>,
    /// A webhook.
    pub webhook: Option<NotifyWebhook>,
    /// A topic of an ntfy server.
    pub ntfy: Option<NotifyNtfy>,
    /// Whether receivers may be on this machine or in a private network.
    pub allow_private: bool,
    /// When the digest of the day is made, where the machine stands.
    pub digest_at: Time,
}

/// A program that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyCommand {
    /// An absolute path, or a name to be looked for in `PATH`.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// Of what it is told.
    pub events: Vec<Event>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A webhook that is told.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyWebhook {
    /// Where it is; may be secret.
    pub url: Url,
    /// The file with what requests are signed with.
    pub secret_file: PathBuf,
    /// Of what it is told.
    pub events: Vec<Event>,
}

/// A topic of an ntfy server that is told.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyNtfy {
    /// The server with the topic behind it; may be secret.
    pub url: Url,
    /// The file with the access token.
    pub token_file: Option<PathBuf>,
    /// Of what it is told.
    pub events: Vec<Event>,
}

impl fmt::Debug for NotifyWebhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NotifyWebhook")
            .field("secret_file", &self.secret_file)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NotifyNtfy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NotifyNtfy")
            .field("token_file", &self.token_file)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Variable(name) => write!(out, "environment variable {name}"),
            Self::Flag(flag) => out.write_str(flag),
        }
    }
}

/// What is right and yet not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What, as a sentence.
    pub text: String,
    /// How to mend it.
    pub mend: String,
    /// Whether it is about the file with the key.
    pub is_of_key: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.text, self.mend)
    }
}

/// One value in force, as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key in full: `service.jobs`, `folders.0.path` (folders counted from 0).
    pub key: String,
    /// The value as TOML, secrets masked.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
}

impl Setting {
    /// The value as JSON; what has a unit stays the text that people write.
    pub fn json(&self) -> serde_json::Value {
        super::amend::as_json(&self.value)
    }
}

/// What the command line sets: the last layer, over every folder and `[transcribe]`.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--state-dir`, relative to the working folder.
    pub state_dir: Option<PathBuf>,
    /// `--provider`.
    pub provider: Option<String>,
    /// `--model`.
    pub model: Option<String>,
    /// `--language`.
    pub language: Option<String>,
    /// `--formats`, one name each.
    pub formats: Option<Vec<String>>,
    /// `--output-dir`, relative to the working folder.
    pub output_dir: Option<PathBuf>,
    /// `--diarize`.
    pub diarize: Option<bool>,
    /// `--jobs`.
    pub jobs: Option<u32>,
    /// `--include`, in place of every folder's own patterns.
    pub include: Option<Vec<String>>,
    /// `--exclude`, in place of every folder's own patterns.
    pub exclude: Option<Vec<String>>,
    /// `--no-recursive`.
    pub no_recursive: Option<bool>,
}
