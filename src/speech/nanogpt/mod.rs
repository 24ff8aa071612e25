//! NanoGPT's speech-to-text service.
//!
//! The key goes to the configured host and nowhere else: no redirect is followed, nothing is sent twice
//! by the client itself, and no connection is used twice.

mod wire;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, RequestBuilder, Response};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret as _, SecretString};

use super::upload::{self, Parts, Watch};
use super::{Answer, Balance, NoAnswer, Replies, Service, Submission};
use crate::clock::SharedClock;
use crate::domain::audio::AudioDuration;
use crate::domain::job::Ticket;
use crate::domain::money::Amount;
use crate::domain::transcript::Heard;
use crate::domain::verdict::{Phase, Shape};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);
/// How long a poll or a question about money may take altogether.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// How long the list of prices is waited for: it is worth little.
const PRICES_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer to a submit is waited for, beyond the recording's own length.
const ANSWER_LIMIT: Duration = Duration::from_secs(180);
/// The most that is read of a body that brings a transcript, in bytes.
const LARGEST_REPLY: usize = 64 << 20;
/// The most that is read of any other body, in bytes.
const LARGEST_ERROR: usize = 64 << 10;

/// The header that carries the key.
const KEY_HEADER: &str = "x-api-key";

/// The service at one address, with one key.
pub struct NanoGpt {
    client: Client,
    base_url: String,
    key: RwLock<HeaderValue>,
    reread: RereadKey,
    clock: SharedClock,
}

/// Finds the key once more where it was found, if it may have changed there; may read a file.
pub type RereadKey = Box<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// The HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key has characters that no header can carry.
    #[error("the key holds characters that a key cannot have")]
    Key,
    /// TLS or the trusted certificates are missing.
    #[error("cannot set up HTTPS (are the system's trusted certificates installed?)")]
    Tls(#[source] reqwest::Error),
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
        install_tls();
        let key = key_header(key).ok_or(ClientError::Key)?;
        // No connection is used twice: one that the service is just closing would leave a submit in doubt.
        let client = Client::builder()
            .user_agent(concat!("stenod/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .tcp_user_timeout(UNACKNOWLEDGED_LIMIT)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(ClientError::Tls)?;
        Ok(Self {
            client,
            base_url: base_url.to_owned(),
            key: RwLock::new(key),
            reread,
            clock,
        })
    }

    fn key(&self) -> HeaderValue {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    async fn send(&self, submission: Submission) -> Result<Answer, NoAnswer> {
        let patience = ANSWER_LIMIT
            + submission
                .duration
                .map_or(Duration::ZERO, |d| Duration::from_micros(d.micros()));
        let form = Form::of(&submission);
        let length = form.before.len() as u64 + submission.length + form.after.len() as u64;
        let (body, watch) = upload::body(Parts {
            before: form.before,
            chunks: submission.chunks,
            after: form.after,
            gate: submission.gate,
        });
        let request = self
            .client
            .post(self.url("/transcribe"))
            .header(KEY_HEADER, self.key())
            .header(CONTENT_TYPE, form.content_type)
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(body));
        tokio::select! {
            answer = self.exchange(request, &watch) => answer,
            text = watch.stalled(patience) => Err(NoAnswer::Broken { phase: watch.close(), text }),
        }
    }

    async fn exchange(&self, request: RequestBuilder, watch: &Watch) -> Result<Answer, NoAnswer> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(broken(error, watch)),
        };
        let phase = watch.close();
        let (mut answer, rest) = self.head(response, phase);
        answer.body = match read_body(rest, answer.status).await {
            Ok(body) => body,
            // The status of a refusal says enough; a success without its body says nothing.
            Err(_) if answer.status >= 300 => Vec::new(),
            Err(error) => {
                return Err(NoAnswer::Broken {
                    phase,
                    text: cause(error),
                });
            }
        };
        Ok(answer)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let failed = |error: reqwest::Error| {
            if error.is_connect() {
                NoAnswer::Unreachable(cause(error))
            } else {
                NoAnswer::Broken {
                    phase: Phase::BeforeCommit,
                    text: cause(error),
                }
            }
        };
        let response = request
            .header(KEY_HEADER, self.key())
            .timeout(QUESTION_LIMIT)
            .send()
            .await
            .map_err(failed)?;
        let (mut answer, rest) = self.head(response, Phase::BeforeCommit);
        answer.body = read_body(rest, answer.status).await.map_err(failed)?;
        Ok(answer)
    }

    fn head(&self, response: Response, phase: Phase) -> (Answer, Response) {
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let answer = Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            retry_after: header(RETRY_AFTER.as_str())
                .and_then(|text| retry_after(text, self.clock.now())),
            request_id: header("x-request-id").map(|id| id.chars().take(200).collect()),
            phase,
        };
        (answer, response)
    }
}

impl Service for NanoGpt {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        Box::pin(self.send(submission))
    }

    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        let request = self
            .client
            .post(self.url("/transcribe/status"))
            .json(&wire::status_call(ticket));
        Box::pin(self.ask(request))
    }

    fn balance(&self) -> BoxFuture<'_, Result<Balance, NoAnswer>> {
        Box::pin(async {
            let answer = self
                .ask(self.client.post(self.url("/check-balance")))
                .await?;
            let balance = wire::balance(&answer.body).filter(|_| answer.status == 200);
            balance.map(Balance).ok_or_else(|| {
                let text = format!("the balance was answered with status {}", answer.status);
                NoAnswer::Broken {
                    phase: Phase::BeforeCommit,
                    text,
                }
            })
        })
    }

    fn takes_new_key(&self) -> bool {
        let found = (self.reread)().and_then(|key| key_header(&key));
        let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(found) if found != *key => {
                *key = found;
                true
            }
            Some(_) | None => false,
        }
    }

    fn prices(&self) -> BoxFuture<'_, HashMap<String, Decimal>> {
        Box::pin(async {
            let url = self.url("/v1/audio-models?type=stt&detailed=true");
            let asked = tokio::time::timeout(PRICES_LIMIT, self.ask(self.client.get(url)));
            match asked.await {
                Ok(Ok(answer)) if answer.status == 200 => {
                    wire::prices(&answer.body).into_iter().collect()
                }
                Ok(Ok(_) | Err(_)) | Err(_) => HashMap::new(),
            }
        })
    }
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

/// The multipart form around a recording (RFC 7578).
struct Form {
    content_type: String,
    before: Bytes,
    after: Bytes,
}

impl Form {
    fn of(submission: &Submission) -> Self {
        // 122 random bits: no recording holds the boundary but by a chance that nobody will see.
        let boundary = format!("stenod-{:032x}", fastrand::u128(..));
        let settings = &submission.settings;
        let mut fields = vec![
            ("model", settings.model.clone()),
            ("language", settings.language.clone()),
        ];
        if let Some(duration) = submission.duration {
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
        let mut before = String::new();
        for (name, value) in fields {
            before.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        // The name says what the bytes are and nothing about the recording.
        before.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"audio.{}\"\r\n\
             Content-Type: {}\r\n\r\n",
            submission.format.extension(),
            submission.format.mime(),
        ));
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            before: Bytes::from(before),
            after: Bytes::from(format!("\r\n--{boundary}--\r\n")),
        }
    }
}

/// The key as the value of its header, never shown; `None` if no header can carry it.
fn key_header(key: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(key.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Names the cryptography that TLS uses, once for the whole program.
fn install_tls() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // Whoever was quicker installed the same.
        drop(ring::default_provider().install_default());
    }
}

/// Reads a body up to its limit; what is longer is cut.
async fn read_body(mut response: Response, status: u16) -> Result<Vec<u8>, reqwest::Error> {
    let limit = if (200..300).contains(&status) {
        LARGEST_REPLY
    } else {
        LARGEST_ERROR
    };
    let mut body = Vec::new();
    while body.len() < limit
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(limit);
    Ok(body)
}

/// Why a submit got no answer: by its own source or gate, before a connection, or on the way.
fn broken(error: reqwest::Error, watch: &Watch) -> NoAnswer {
    let phase = watch.close();
    if let Some(failure) = watch.failure() {
        return failure;
    }
    if error.is_connect() {
        return NoAnswer::Unreachable(cause(error));
    }
    NoAnswer::Broken {
        phase,
        text: cause(error),
    }
}

/// The innermost cause, which says most, without the address, which may hold secrets.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

/// `Retry-After` in seconds or as an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Duration::try_from(date.duration_since(now))
        .ok()
        .or(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_where_the_first_was_found_is_taken_once() {
        let found = || Some(SecretString::from("second"));
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        let first = SecretString::from("first");
        let service = NanoGpt::new("http://127.0.0.1:1", &first, Box::new(found), clock).unwrap();
        assert!(service.takes_new_key());
        assert_eq!(service.key(), "second");
        assert!(!service.takes_new_key(), "it is the same key");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Fri, 02 Jan 2026 03:05:05 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(60)));
        let past = "Fri, 02 Jan 2026 03:00:00 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
