//! Who is told: a program on this machine, a webhook, a topic of an ntfy server.
//!
//! Each is given a notice once and says what came of it; whoever keeps the notices tries again. Nothing waits
//! for longer than its limit, no redirect is followed, and no address or secret is told.

mod address;
mod command;
mod http;
mod ntfy;
mod webhook;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use command::{Command, CommandSettings};
pub use http::{Network, Unreachable};
pub use ntfy::{Ntfy, NtfySettings};
pub use webhook::{Key, SecretError, Webhook, key_in};

use crate::domain::notice::{Notice, Way};

/// What came of telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The receiver has it.
    Taken,
    /// It does not, and may have it later.
    Refused {
        /// Why, as a sentence.
        why: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It wants no notices any more.
    Gone {
        /// Why, as a sentence.
        why: String,
    },
    /// stenod is being stopped.
    Interrupted,
}

/// A receiver.
#[derive(Debug)]
pub enum Receiver {
    /// A program on this machine.
    Command(Command),
    /// An address that takes signed requests.
    Webhook(Webhook),
    /// A topic of an ntfy server.
    Ntfy(Ntfy),
}

impl Receiver {
    /// Which way it is told.
    pub fn way(&self) -> Way {
        match self {
            Self::Command(_) => Way::Command,
            Self::Webhook(_) => Way::Webhook,
            Self::Ntfy(_) => Way::Ntfy,
        }
    }

    /// Who it is, for people: without what may be secret.
    pub fn shown(&self) -> String {
        match self {
            Self::Command(command) => command.shown(),
            Self::Webhook(webhook) => webhook.shown().to_owned(),
            Self::Ntfy(ntfy) => ntfy.shown().to_owned(),
        }
    }

    /// Tells of a notice, once; a stop interrupts it.
    pub async fn tell(&self, notice: &Notice, stop: &CancellationToken) -> Told {
        match self {
            Self::Command(command) => command.tell(notice, stop).await,
            Self::Webhook(webhook) => webhook.tell(notice, stop).await,
            Self::Ntfy(ntfy) => ntfy.tell(notice, stop).await,
        }
    }
}
