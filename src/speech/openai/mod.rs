//! Any server of OpenAI's transcription endpoint: OpenAI, Groq, LocalAI, speaches, whisper.cpp's.
//!
//! Word and segment times are asked for first. A server that refuses that form of the request is asked
//! for the text alone, once for that recording; when it takes that, it is what that model is asked for.

mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use rust_decimal::Decimal;

use super::http::{Call, ClientError, Http, KeyHeader};
use super::services::{Connection, Description};
use super::{Answer, Balance, Greeting, NoAnswer, Payload, Replies, Service, Submission};
use crate::domain::audio::AudioFormat;
use crate::domain::job::{ContentHash, Provider, Settings, Ticket};
use crate::domain::money::Amount;
use crate::domain::price::Catalogue;
use crate::domain::transcript::Heard;
use crate::domain::verdict::{Phase, Shape};

/// How OpenAI's own models are called that give a text alone.
const TEXT_ONLY: &str = "gpt-4o";
/// What the name of a model that tells speakers apart holds.
const DIARIZES: &str = "diarize";
/// The end of an address that has the version of the interface in it already.
const VERSION: &str = "/v1";

/// What has to be known of it.
pub static SERVICE: Description = Description {
    provider: Provider::named("openai"),
    title: "OpenAI's endpoint",
    // Anybody's server.
    address: None,
    host: None,
    key_variable: "OPENAI_API_KEY",
    needs_key: false,
    model: "whisper-1",
    never_transcribe: &[],
    // "25 MB" in OpenAI's reference.
    direct_limit: 25_000_000,
    formats: &[
        AudioFormat::Mp3,
        AudioFormat::Wav,
        AudioFormat::M4a,
        AudioFormat::Ogg,
        AudioFormat::Aac,
    ],
    takes_links: false,
    prices: None,
    connect: OpenAi::connect,
    replies: &OpenAiReplies,
};

/// What a reply is asked to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyForm {
    /// The text alone.
    Text,
    /// Segments and words with their times.
    Times,
    /// Segments with their speakers.
    Speakers,
}

/// A server of OpenAI's transcription endpoint.
struct OpenAi {
    http: Http,
    version: &'static str,
    prices: HashMap<String, Decimal>,
    learnt: Mutex<Learnt>,
}

/// What a server has shown of the forms it takes, for as long as the program runs.
#[derive(Debug, Default)]
struct Learnt {
    /// Models that give a text alone.
    text_only: HashSet<String>,
    /// Recordings that are asked for their text alone, to see whether the form was to blame.
    tried: HashSet<ContentHash>,
}

impl OpenAi {
    /// The address has `/v1` at its end or not.
    fn connect(connection: Connection<'_>) -> Result<Arc<dyn Service>, ClientError> {
        let header = KeyHeader {
            name: AUTHORIZATION,
            prefix: "Bearer ",
        };
        let has_version = connection.base_url.ends_with(VERSION);
        let prices = connection.prices.clone();
        Ok(Arc::new(Self {
            http: Http::new(header, connection)?,
            version: if has_version { "" } else { VERSION },
            prices,
            learnt: Mutex::default(),
        }))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.version)
    }

    async fn send(&self, submission: Submission) -> Result<Answer, NoAnswer> {
        let (model, recording) = (submission.settings.model.clone(), submission.recording);
        let asked = self.form_for(&submission.settings, recording);
        let Payload::Bytes(content) = submission.payload else {
            let text = "this service is given bytes and no links";
            return Err(NoAnswer::Source(std::io::Error::other(text)));
        };
        let fields = fields(&submission.settings, asked);
        let call = Call::form(&fields, "file", content, submission.gate);
        let path = self.path("audio/transcriptions");
        let mut answer = self.http.submit(&path, call, submission.duration).await?;
        if answer.status == 429 && wire::wants_money(&answer.body) {
            answer.status = 402;
        }
        if self.other_form_helps(&model, recording, asked, &answer) {
            return Err(NoAnswer::OtherForm);
        }
        Ok(answer)
    }

    fn form_for(&self, settings: &Settings, recording: ContentHash) -> ReplyForm {
        let model = &settings.model;
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if learnt.text_only.contains(model) || learnt.tried.contains(&recording) {
            ReplyForm::Text
        } else if model.contains(DIARIZES) {
            ReplyForm::Speakers
        } else if model.starts_with(TEXT_ONLY) {
            ReplyForm::Text
        } else {
            ReplyForm::Times
        }
    }

    /// Learns from an answer; says whether the same recording is to be sent in another form, which was
    /// refused and cost nothing.
    fn other_form_helps(
        &self,
        model: &str,
        recording: ContentHash,
        asked: ReplyForm,
        answer: &Answer,
    ) -> bool {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_refused = matches!(answer.status, 400 | 415 | 422);
        if asked == ReplyForm::Text {
            let is_answered = is_refused || answer.status == 200;
            if is_answered && learnt.tried.remove(&recording) && !is_refused {
                learnt.text_only.insert(model.to_owned());
            }
            return false;
        }
        if !is_refused {
            return false;
        }
        if wire::blames_form(&answer.body) {
            learnt.text_only.insert(model.to_owned());
        } else {
            learnt.tried.insert(recording);
        }
        true
    }
}

impl Service for OpenAi {
    fn provider(&self) -> Provider {
        SERVICE.provider
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        Box::pin(self.send(submission))
    }

    fn poll<'a>(&'a self, _ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        Box::pin(async {
            Err(NoAnswer::Broken {
                phase: Phase::BeforeCommit,
                text: "a server of this kind gives no tickets".to_owned(),
            })
        })
    }

    /// Nobody tells; but a refused key is told.
    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>> {
        Box::pin(async {
            let request = self.http.request(Method::GET, &self.path("models"));
            let answer = self.http.ask(request).await?;
            if matches!(answer.status, 401 | 403) {
                return Err(NoAnswer::Broken {
                    phase: Phase::BeforeCommit,
                    text: format!("the key was refused with status {}", answer.status),
                });
            }
            Ok(None)
        })
    }

    fn greet(&self) -> BoxFuture<'_, Result<Greeting, NoAnswer>> {
        Box::pin(async {
            let request = self.http.request(Method::GET, &self.path("models"));
            let (answer, date) = self.http.ask_dated(request).await?;
            Ok(Greeting {
                status: answer.status,
                balance: None,
                date,
            })
        })
    }

    fn takes_new_key(&self) -> bool {
        self.http.takes_new_key()
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>> {
        let path = self.path("models");
        Box::pin(async move { self.http.answers(&path).await })
    }

    fn address(&self) -> &str {
        self.http.address()
    }

    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>> {
        Box::pin(async { Some(Catalogue::configured(self.prices.clone())) })
    }
}

/// The fields of the form around a recording.
fn fields(settings: &Settings, form: ReplyForm) -> Vec<(&'static str, String)> {
    let mut fields = vec![("model", settings.model.clone())];
    if settings.language != "auto" {
        fields.push(("language", settings.language.clone()));
    }
    let more: &[(&str, &str)] = match form {
        ReplyForm::Text => &[("response_format", "json")],
        ReplyForm::Times => &[
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
        ],
        ReplyForm::Speakers => &[
            ("response_format", "diarized_json"),
            ("chunking_strategy", "auto"),
        ],
    };
    fields.extend(
        more.iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    fields
}

/// Reads the replies of such servers.
#[derive(Debug, Clone, Copy)]
struct OpenAiReplies;

impl Replies for OpenAiReplies {
    fn shape(&self, body: &[u8]) -> Shape {
        wire::shape(body)
    }

    fn ticket(&self, _body: &[u8]) -> Option<Ticket> {
        None
    }

    fn cost(&self, _body: &[u8]) -> Option<Amount> {
        None
    }

    fn heard(&self, body: &[u8]) -> Heard {
        wire::heard(body)
    }
}
