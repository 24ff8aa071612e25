//! NanoGPT's speech-to-text service.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;

use super::http::{Call, ClientError, Http, KeyHeader};
use super::services::{Connection, Description};
use super::{Answer, Balance, Greeting, NoAnswer, Payload, Replies, Service, Submission};
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::job::{Provider, Settings, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::{Catalogue, PriceTable};
use crate::domain::transcript::Heard;
use crate::domain::verdict::{Phase, Shape};

/// How long the list of prices is waited for: it is worth little.
const PRICES_LIMIT: Duration = Duration::from_secs(5);
/// The list of models and their prices.
const MODELS: &str = "/v1/audio-models?type=stt&detailed=true";

/// What has to be known of it.
pub static SERVICE: Description = Description {
    provider: Provider::named("nanogpt"),
    title: "NanoGPT",
    address: Some("https://nano-gpt.com/api"),
    host: Some("nano-gpt.com"),
    key_variable: "NANOGPT_API_KEY",
    needs_key: true,
    model: "Whisper-Large-V3",
    // They clone voices and are paid by the run.
    never_transcribe: &["qwen-voice-clone", "minimax-voice-clone"],
    direct_limit: 3 << 20,
    formats: &[
        AudioFormat::Mp3,
        AudioFormat::Wav,
        AudioFormat::M4a,
        AudioFormat::Ogg,
        AudioFormat::Aac,
    ],
    takes_links: true,
    prices: Some(&PRICES),
    connect: NanoGpt::connect,
    replies: &NanoGptReplies,
};

/// Its prices, read off its public list.
static PRICES: PriceTable = PriceTable {
    as_of: "2026-08",
    as_of_in_words: "August 2026",
    per_minute: &[
        ("Whisper-Large-V3", (5, 4)),
        ("Wizper", (1, 2)),
        ("Elevenlabs-STT", (3, 2)),
        ("gpt-4o-mini-transcribe", (3, 3)),
        ("openai-whisper-with-video", (6, 2)),
    ],
};

/// The service at one address, with one key.
struct NanoGpt {
    http: Http,
}

impl NanoGpt {
    fn connect(connection: Connection<'_>) -> Result<Arc<dyn Service>, ClientError> {
        let header = KeyHeader {
            name: HeaderName::from_static("x-api-key"),
            prefix: "",
        };
        let http = Http::new(header, connection)?;
        Ok(Arc::new(Self { http }))
    }
}

impl Service for NanoGpt {
    fn provider(&self) -> Provider {
        SERVICE.provider
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
                Ok(Ok(answer)) if answer.status == 200 => {
                    wire::prices(&answer.body).map(|prices| prices.beside(Some(&PRICES)))
                }
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
struct NanoGptReplies;

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
