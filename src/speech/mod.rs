//! Speaks with whoever recognises: one file a service, wire types stay inside, and `services` lists them.
//!
//! An adapter sends and reads; it decides nothing, repeats nothing and writes nothing. The last chunk
//! of a submit leaves only after the [`Gate`] was passed, so that whoever records knows beforehand.

mod fields;
mod http;
mod lenient;
pub mod local;
mod loose;
pub mod nanogpt;
pub mod openai;
#[cfg(test)]
pub mod plain;
pub mod services;
pub(crate) mod upload;

pub use http::{ClientError, RereadKey};
pub use services::replies_of;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use rust_decimal::Decimal;
use secrecy::SecretString;

use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::job::{ContentHash, Provider, Settings, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::Catalogue;
use crate::domain::transcript::Heard;
use crate::domain::verdict::{Phase, Shape};

/// What has to happen before the last chunk may leave: the source is checked, the intent recorded.
pub type Gate = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), Withheld>> + Send>;

/// Why the last chunk was withheld: nothing was sent that could be billed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The recording is not the one that was queued.
    #[error("the recording changed while it was being sent")]
    SourceChanged,
    /// The intent could not be recorded.
    #[error("the submit could not be recorded: {0}")]
    NotRecorded(String),
    /// There is no room on the disk to record the intent.
    #[error("there is no room to record the submit: {0}")]
    NoRoom(String),
    /// The program is being stopped.
    #[error("stenod is being stopped")]
    Stopping,
}

/// A recording on its way to a service.
pub struct Submission {
    /// The settings that it was queued with.
    pub settings: Settings,
    /// What tells it from other recordings.
    pub recording: ContentHash,
    /// Its measured length.
    pub duration: Option<AudioDuration>,
    /// What is sent of it.
    pub payload: Payload,
    /// Passed before the last chunk leaves.
    pub gate: Gate,
}

/// What is sent of a recording.
pub enum Payload {
    /// Its bytes, or those that it was encoded as.
    Bytes(Content),
    /// Where the service can fetch them: whoever has the link has the recording.
    Link(SecretString),
}

/// Bytes on their way.
pub struct Content {
    /// What they are.
    pub format: AudioFormat,
    /// How many `chunks` yields.
    pub length: u64,
    /// The bytes, in chunks that are not empty.
    pub chunks: BoxStream<'static, io::Result<Bytes>>,
}

/// An answer of a service, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The bytes of the body.
    pub body: Vec<u8>,
    /// When to come back, if it says so.
    pub retry_after: Option<Duration>,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// Whether the whole request had left when the answer came.
    pub phase: Phase,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing was sent: no name, no connection, no TLS.
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke, or nothing came in time.
    #[error("the connection to the service broke: {text}")]
    Broken {
        /// Whether the service can have seen the whole request.
        phase: Phase,
        /// How it broke.
        text: String,
    },
    /// The last chunk was withheld.
    #[error(transparent)]
    Withheld(Withheld),
    /// The service refused the form of the request, and not the recording; the next one has another form.
    #[error("the service wants to be asked for less")]
    OtherForm,
    /// The recording could not be read to its end.
    #[error("the recording cannot be read")]
    Source(#[source] io::Error),
}

/// Money that is left at a service, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance(pub Decimal);

/// What a service said to a question that costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The HTTP status; 401 and 403 refuse the key.
    pub status: u16,
    /// The balance in US dollars, if it told one.
    pub balance: Option<Decimal>,
    /// The time by the service's clock.
    pub date: Option<Timestamp>,
}

impl Greeting {
    /// Whether the key was refused.
    pub fn refuses_key(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

/// A service that recognises speech over the network.
pub trait Service: Send + Sync {
    /// Whose jobs it takes.
    fn provider(&self) -> Provider;

    /// Sends a recording. The future may be dropped before the gate was passed, free of charge.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>>;

    /// Asks how the run of a ticket is doing; never charges.
    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>>;

    /// What is left to spend; nothing from a service that does not tell.
    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>>;

    /// Whether the service answers at all; never charges.
    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>>;

    /// Where it is, as the configuration has it.
    fn address(&self) -> &str;

    /// Asks something that costs nothing, and takes the answer whatever it is.
    fn greet(&self) -> BoxFuture<'_, Result<Greeting, NoAnswer>> {
        Box::pin(async {
            let balance = self.balance().await?;
            Ok(Greeting {
                status: 200,
                balance: balance.map(|balance| balance.0),
                date: None,
            })
        })
    }

    /// Looks whether there is another key by now, and uses it if there is; says so. May read a file.
    fn takes_new_key(&self) -> bool {
        false
    }

    /// Dollars a minute by model, as the service lists them; `None` if it does not answer soon or gives
    /// no list.
    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>>;
}

/// Reads the replies of a service, without speaking to it.
pub trait Replies: Send + Sync {
    /// What the body of an answer looks like.
    fn shape(&self, body: &[u8]) -> Shape;

    /// The ticket in a body, if there is one.
    fn ticket(&self, body: &[u8]) -> Option<Ticket>;

    /// What a body says the submit has cost, if it says so.
    fn cost(&self, body: &[u8]) -> Option<Amount>;

    /// What was heard, from the body of a finished reply.
    fn heard(&self, body: &[u8]) -> Heard;
}
