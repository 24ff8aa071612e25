//! NanoGPT's speech-to-text service.

mod wire;

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::SecretString;

use super::http::{Call, ClientError, Http, KeyHeader, RereadKey};
use super::{Answer, Balance, Greeting, NoAnswer, Payload, Replies, Service, Submission};
use crate::clock::SharedClock;
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Provider, Settings, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::Catalogue;
use crate::domain::transcript::Heard;
use crate::domain::verdict::{Phase, Shape};

/// How long the list of prices is waited for: it is worth little.
const PRICES_LIMIT: Duration = Duration::from_secs(5);
/// The list of models and their prices.
const MODELS: &str = "/v1/audio-models?type=stt&detailed=true";

/// The service at one address, with one key.
pub struct NanoGpt {
    http: Http,
}

impl NanoGpt {
    /// The service at `base_url` (without a slash at its end), with `key`, which `reread` finds once more
    /// when the service has refused it.
    ///
    /// # Errors
    /// [`ClientError`] where the key or the machine's trusted certificates cannot be used.
    pub fn new(
        base_url: &str,
        key: &SecretString,
        reread: RereadKey,
        clock: SharedClock,
    ) -> Result<Self, ClientError> {
        let header = KeyHeader {
            name: HeaderName::from_static("x-api-key"),
            prefix: "",
        };
        let http = Http::new(base_url, header, Some(key), reread, clock)?;
        Ok(Self { http })
    }
}

impl Service for NanoGpt {
    fn provider(&self) -> Provider {
        Provider::NanoGpt
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        let Submission {
            settings,
            duration,
            payload,
            gate,
            ..
        } = submission;
        let call = match payload {
            Payload::Bytes(content) => {
                Call::form(&fields(&settings, duration), "audio", content, gate)
            }
            Payload::Link(link) => Call::json(wire::link_call(&settings, duration, &link), gate),
        };
        Box::pin(self.http.submit("/transcribe", call, duration))
    }

    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        let request = self
            .http
            .request(Method::POST, "/transcribe/status")
            .json(&wire::status_call(ticket));
        Box::pin(self.http.ask(request))
    }

    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>> {
        Box::pin(async {
            let request = self.http.request(Method::POST, "/check-balance");
            let answer = self.http.ask(request).await?;
            let balance = wire::balance(&answer.body).filter(|_| answer.status == 200);
            balance.map(Balance).map(Some).ok_or_else(|| {
                let text = format!("the balance was answered with status {}", answer.status);
                NoAnswer::Broken {
                    phase: Phase::BeforeCommit,
                    text,
                }
            })
        })
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>> {
        Box::pin(self.http.answers(MODELS))
    }

    fn address(&self) -> &str {
        self.http.address()
    }

    fn greet(&self) -> BoxFuture<'_, Result<Greeting, NoAnswer>> {
        Box::pin(async {
            let request = self.http.request(Method::POST, "/check-balance");
            let (answer, date) = self.http.ask_dated(request).await?;
            Ok(Greeting {
                status: answer.status,
                balance: wire::balance(&answer.body).filter(|_| answer.status == 200),
                date,
            })
        })
    }

    fn takes_new_key(&self) -> bool {
        self.http.takes_new_key()
    }

    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>> {
        Box::pin(async {
            let request = self.http.request(Method::GET, MODELS);
            match tokio::time::timeout(PRICES_LIMIT, self.http.ask(request)).await {
                Ok(Ok(answer)) if answer.status == 200 => wire::prices(&answer.body),
                Ok(Ok(_) | Err(_)) | Err(_) => None,
            }
        })
    }
}

/// The fields of the form around a recording.
fn fields(settings: &Settings, duration: Option<AudioDuration>) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("model", settings.model.clone()),
        ("language", settings.language.clone()),
    ];
    if let Some(duration) = duration {
        fields.push(("actualDuration", AudioDuration::minutes(duration)));
    }
    for (name, wanted) in [
        ("diarize", settings.diarize),
        ("tagAudioEvents", settings.tag_audio_events),
    ] {
        if wanted {
            fields.push((name, "true".to_owned()));
        }
    }
    fields
}

/// Reads the service's replies.
#[derive(Debug, Clone, Copy)]
pub struct NanoGptReplies;

impl Replies for NanoGptReplies {
    fn shape(&self, body: &[u8]) -> Shape {
        wire::shape(body)
    }

    fn ticket(&self, body: &[u8]) -> Option<Ticket> {
        wire::ticket(body)
    }

    fn cost(&self, body: &[u8]) -> Option<Amount> {
        wire::cost(body)
    }

    fn heard(&self, body: &[u8]) -> Heard {
        wire::heard(body)
    }
}
