//! A service of tests alone, which shows what one more service takes: this file, and a line in the list.
//!
//! Its key travels in a header of its own, its replies are in a shape of its own, and it names no prices.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::http::{Call, ClientError, Http, KeyHeader};
use super::services::{Connection, Description};
use super::{Answer, Balance, NoAnswer, Payload, Replies, Service, Submission};
use crate::domain::audio::AudioFormat;
use crate::domain::job::{Provider, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::Catalogue;
use crate::domain::transcript::{Heard, HeardSegment};
use crate::domain::verdict::{Phase, Shape};

/// What has to be known of it.
pub static SERVICE: Description = Description {
    provider: Provider::named("plain"),
    title: "Plain Speech",
    address: Some("https://plain.example/v2"),
    host: Some("plain.example"),
    key_variable: "PLAIN_TOKEN",
    needs_key: true,
    model: "plain-1",
    never_transcribe: &["plain-voice"],
    direct_limit: 100_000,
    formats: &[AudioFormat::Wav],
    takes_links: false,
    prices: None,
    connect: Plain::connect,
    replies: &PlainReplies,
};

struct Plain {
    http: Http,
}

impl Plain {
    fn connect(connection: Connection<'_>) -> Result<Arc<dyn Service>, ClientError> {
        let header = KeyHeader {
            name: HeaderName::from_static("x-token"),
            prefix: "Token ",
        };
        let http = Http::new(header, connection)?;
        Ok(Arc::new(Self { http }))
    }
}

impl Service for Plain {
    fn provider(&self) -> Provider {
        SERVICE.provider
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        Box::pin(async move {
            let Payload::Bytes(content) = submission.payload else {
                let text = "this service is given bytes and no links";
                return Err(NoAnswer::Source(std::io::Error::other(text)));
            };
            let fields = [("voice", submission.settings.model.clone())];
            let call = Call::form(&fields, "speech", content, submission.gate);
            self.http.submit("/listen", call, submission.duration).await
        })
    }

    fn poll<'a>(&'a self, _ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        Box::pin(async {
            Err(NoAnswer::Broken {
                phase: Phase::BeforeCommit,
                text: "this service gives no tickets".to_owned(),
            })
        })
    }

    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>> {
        Box::pin(async {
            let request = self.http.request(Method::GET, "/me");
            self.http.ask(request).await.map(|_| None)
        })
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>> {
        Box::pin(self.http.answers("/me"))
    }

    fn address(&self) -> &str {
        self.http.address()
    }

    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>> {
        Box::pin(async { None })
    }
}

/// A reply: `{"said": [{"at": 0.5, "until": 1.5, "words": "Hello."}]}`.
#[derive(Deserialize)]
struct Said {
    said: Vec<Stretch>,
}

#[derive(Deserialize)]
struct Stretch {
    at: f64,
    until: f64,
    words: String,
}

struct PlainReplies;

impl Replies for PlainReplies {
    fn shape(&self, body: &[u8]) -> Shape {
        match serde_json::from_slice::<Said>(body) {
            Ok(_) => Shape::Transcript,
            Err(error) => Shape::Unreadable(error.to_string()),
        }
    }

    fn ticket(&self, _body: &[u8]) -> Option<Ticket> {
        None
    }

    fn cost(&self, _body: &[u8]) -> Option<Amount> {
        None
    }

    fn heard(&self, body: &[u8]) -> Heard {
        let said = serde_json::from_slice::<Said>(body).map_or(Vec::new(), |reply| reply.said);
        let text: Vec<&str> = said.iter().map(|stretch| stretch.words.as_str()).collect();
        Heard {
            text: text.join(" "),
            segments: said
                .iter()
                .map(|stretch| HeardSegment {
                    start: Some(stretch.at),
                    end: Some(stretch.until),
                    text: stretch.words.clone(),
                    speaker: None,
                })
                .collect(),
            ..Heard::default()
        }
    }
}
