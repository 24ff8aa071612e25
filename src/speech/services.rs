//! The services that there are: the one list of them, and what has to be known of each.
//!
//! Nobody outside of a service's own file asks which service it is: what differs between them is a field
//! of its [`Description`]. The recogniser inside the program is none of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use secrecy::SecretString;

use super::http::{ClientError, RereadKey};
use super::{Replies, Service, local};
use crate::clock::SharedClock;
use crate::domain::audio::AudioFormat;
use crate::domain::job::{Provider, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::PriceTable;
use crate::domain::transcript::Heard;
use crate::domain::verdict::Shape;

/// Every service, a line each.
pub const SERVICES: &[&Description] = &[
    &super::nanogpt::SERVICE,
    &super::openai::SERVICE,
    #[cfg(test)]
    &super::plain::SERVICE,
];

/// The service that `auto` stands for where there is a key, and whose settings are the defaults: the first.
pub const USUAL: &Description = SERVICES[0];

/// What has to be known of a service.
pub struct Description {
    /// Its name in the configuration, in the table and in outputs: small letters, at most 24 bytes.
    pub provider: Provider,
    /// Its name for people, in the middle of a sentence.
    pub title: &'static str,
    /// Where it is unless `service.base_url` says so; none: wherever the configuration says.
    pub address: Option<&'static str>,
    /// The host that is its own, with all below it: no other service's key goes there.
    pub host: Option<&'static str>,
    /// The variable that holds its key.
    pub key_variable: &'static str,
    /// Whether nothing is sent without a key, and a new key can be tried by a greeting.
    pub needs_key: bool,
    /// The model that is asked for where none is named.
    pub model: &'static str,
    /// Models of it that can be paid for and transcribe nothing.
    pub never_transcribe: &'static [&'static str],
    /// Bytes that a request's body may hold, unless `large.direct_limit` is set.
    pub direct_limit: u64,
    /// What it promises to read as it is.
    pub formats: &'static [AudioFormat],
    /// Whether it fetches recordings by a link.
    pub takes_links: bool,
    /// Its prices as this program knows them by itself; the models in it are known to exist.
    pub prices: Option<&'static PriceTable>,
    /// Makes the client that speaks with it.
    pub connect: fn(Connection<'_>) -> Result<Arc<dyn Service>, ClientError>,
    /// Reads its replies.
    pub replies: &'static dyn Replies,
}

/// What a client is made of.
pub struct Connection<'a> {
    /// Where the service is, without a slash at the end.
    pub base_url: &'a str,
    /// The key, which is there where the service needs one.
    pub key: Option<&'a SecretString>,
    /// Finds the key once more when the service has refused it.
    pub reread: RereadKey,
    /// US dollars a minute by model, as they were configured.
    pub prices: HashMap<String, Decimal>,
    /// The time.
    pub clock: SharedClock,
}

/// The service of this name; none for the recogniser inside the program, and for one that this program
/// does not know.
pub fn of(provider: Provider) -> Option<&'static Description> {
    let mut services = SERVICES.iter().copied();
    services.find(|service| service.provider == provider)
}

/// Everybody whose jobs this program can work on.
pub fn everybody() -> Vec<Provider> {
    let services = SERVICES.iter().map(|service| service.provider);
    services.chain([Provider::LOCAL]).collect()
}

/// The models that this program knows to be had.
pub fn models() -> impl Iterator<Item = &'static str> {
    let tables = SERVICES.iter().filter_map(|service| service.prices);
    tables.flat_map(PriceTable::models)
}

/// Who reads the replies of `provider`.
pub fn replies_of(provider: Provider) -> &'static dyn Replies {
    match of(provider) {
        Some(service) => service.replies,
        None if provider.is_local() => &local::LocalReplies,
        None => &StrangersReplies,
    }
}

impl Description {
    /// Whether a model of it never transcribes, whatever it is paid.
    pub fn never_transcribes(&self, model: &str) -> bool {
        let mut never = self.never_transcribe.iter();
        never.any(|name| name.eq_ignore_ascii_case(model))
    }
}

impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.provider == other.provider
    }
}

impl Eq for Description {}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

/// What another stenod was answered by a service that this one does not know.
struct StrangersReplies;

impl Replies for StrangersReplies {
    fn shape(&self, _body: &[u8]) -> Shape {
        Shape::Unreadable("this stenod does not know the service that sent it".to_owned())
    }

    fn ticket(&self, _body: &[u8]) -> Option<Ticket> {
        None
    }

    fn cost(&self, _body: &[u8]) -> Option<Amount> {
        None
    }

    fn heard(&self, _body: &[u8]) -> Heard {
        Heard::default()
    }
}
