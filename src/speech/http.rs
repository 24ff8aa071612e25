//! The one HTTP client of the services: sends what it is given, once, and reads what comes back.
//!
//! The key goes to the configured host and nowhere else: no redirect is followed, nothing is sent twice
//! by the client itself, and no connection is used twice. A service says which header carries its key.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};

use super::services::Connection;
use super::upload::{self, Parts, Watch};
use super::{Answer, Content, Gate, NoAnswer};
use crate::clock::SharedClock;
use crate::domain::audio::AudioDuration;
use crate::domain::timing::retry_after;
use crate::domain::verdict::Phase;
use crate::https::{cause, install_tls};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);
/// How long a poll or a question about money may take altogether.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// How long an answer to a submit is waited for, beyond the recording's own length.
const ANSWER_LIMIT: Duration = Duration::from_secs(180);
/// The most that is read of a body that brings a transcript, in bytes.
const LARGEST_REPLY: usize = 64 << 20;
/// The most that is read of any other body, in bytes.
const LARGEST_ERROR: usize = 64 << 10;

/// Stands in the place of a key that a service repeats.
const HIDDEN: &[u8] = b"[the key]";
/// A key that is shorter than this is no secret, and may be part of any word.
const SHORTEST_SECRET: usize = 8;

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

/// The header that carries a key, and what stands before the key in it.
#[derive(Debug, Clone)]
pub(super) struct KeyHeader {
    pub(super) name: HeaderName,
    pub(super) prefix: &'static str,
}

impl KeyHeader {
    /// The header's value, never shown; `None` if no header can carry it.
    fn value(&self, key: &SecretString) -> Option<HeaderValue> {
        let text = SecretString::from(format!("{}{}", self.prefix, key.expose_secret()));
        let mut value = HeaderValue::from_str(text.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A service's address, with the key for it, if it wants one.
pub(super) struct Http {
    client: Client,
    base_url: String,
    header: KeyHeader,
    key: RwLock<Option<HeaderValue>>,
    reread: RereadKey,
    clock: SharedClock,
    patience: Patience,
}

/// How long answers are waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    question: Duration,
    /// Beyond the length of the recording.
    answer: Duration,
}

impl Http {
    /// The service that is told of, whose key travels in `header`.
    ///
    /// # Errors
    /// [`ClientError`] where the key or the machine's trusted certificates cannot be used.
    pub(super) fn new(header: KeyHeader, connection: Connection<'_>) -> Result<Self, ClientError> {
        install_tls();
        let key = match connection.key {
            Some(key) => Some(header.value(key).ok_or(ClientError::Key)?),
            None => None,
        };
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
            base_url: connection.base_url.to_owned(),
            header,
            key: RwLock::new(key),
            reread: connection.reread,
            clock: connection.clock,
            patience: Patience {
                question: QUESTION_LIMIT,
                answer: ANSWER_LIMIT,
            },
        })
    }

    /// Looks whether there is another key by now, and uses it if there is; says so. May read a file.
    pub(super) fn takes_new_key(&self) -> bool {
        let found = (self.reread)().and_then(|key| self.header.value(&key));
        let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
        if found.is_none() || found == *key {
            return false;
        }
        *key = found;
        true
    }

    /// Reads a body; a service that repeats the key in it, as some do in their errors, is not believed it.
    async fn read(&self, response: Response, status: u16) -> Result<Vec<u8>, reqwest::Error> {
        let body = read_body(response, status).await?;
        let key = self.key();
        let secret = key
            .as_ref()
            .map(|key| key.as_bytes())
            .and_then(|key| key.strip_prefix(self.header.prefix.as_bytes()));
        Ok(match secret {
            Some(secret) if secret.len() >= SHORTEST_SECRET => without(body, secret),
            Some(_) | None => body,
        })
    }

    fn key(&self) -> Option<HeaderValue> {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A request to `path` behind the address, with the key.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base_url));
        match self.key() {
            Some(key) => request.header(self.header.name.clone(), key),
            None => request,
        }
    }

    /// Hands a recording over, the last chunk of the request through the gate; `duration` is its length.
    pub(super) async fn submit(
        &self,
        path: &str,
        call: Call,
        duration: Option<AudioDuration>,
    ) -> Result<Answer, NoAnswer> {
        let patience = self.patience.answer
            + duration.map_or(Duration::ZERO, |d| Duration::from_micros(d.micros()));
        let (body, watch) = upload::body(call.parts);
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, call.content_type)
            .header(CONTENT_LENGTH, call.length)
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
        answer.body = match self.read(rest, answer.status).await {
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

    /// Where the service is, as the configuration has it.
    pub(super) fn address(&self) -> &str {
        &self.base_url
    }

    /// Whether the service answers at all, by asking for what lies at `path`.
    pub(super) async fn answers(&self, path: &str) -> Result<(), NoAnswer> {
        let answer = self.ask(self.request(Method::GET, path)).await?;
        if answer.status < 500 {
            return Ok(());
        }
        Err(NoAnswer::Broken {
            phase: Phase::BeforeCommit,
            text: format!("it answered with status {}", answer.status),
        })
    }

    /// Asks something that costs nothing.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        self.ask_dated(request).await.map(|(answer, _)| answer)
    }

    /// The same, with the time by the service's clock.
    pub(super) async fn ask_dated(
        &self,
        request: RequestBuilder,
    ) -> Result<(Answer, Option<Timestamp>), NoAnswer> {
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
            .timeout(self.patience.question)
            .send()
            .await
            .map_err(failed)?;
        let date = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let date = date
            .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
            .map(|date| date.timestamp());
        let (mut answer, rest) = self.head(response, Phase::BeforeCommit);
        answer.body = self.read(rest, answer.status).await.map_err(failed)?;
        Ok((answer, date))
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

/// A submit as it goes over the wire.
pub(super) struct Call {
    content_type: String,
    /// Bytes of the whole body.
    length: u64,
    parts: Parts,
}

impl Call {
    /// A request that is JSON and short: its last byte is what is held back.
    pub(super) fn json(mut body: Bytes, gate: Gate) -> Self {
        let length = body.len() as u64;
        let last = body.split_off(body.len().saturating_sub(1));
        Self {
            content_type: "application/json".to_owned(),
            length,
            parts: Parts {
                before: body,
                chunks: stream::iter([Ok(last)]).boxed(),
                after: Bytes::new(),
                gate,
            },
        }
    }

    /// The multipart form (RFC 7578) of `fields` in their order, and the recording as the part `file_part`.
    pub(super) fn form(
        fields: &[(&str, String)],
        file_part: &str,
        content: Content,
        gate: Gate,
    ) -> Self {
        // 122 random bits: no recording holds the boundary but by a chance that nobody will see.
        let boundary = format!("stenod-{:032x}", fastrand::u128(..));
        let mut before = String::new();
        for (name, value) in fields {
            before.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        // The name says what the bytes are and nothing about the recording.
        before.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{file_part}\"; filename=\"audio.{}\"\r\n\
             Content-Type: {}\r\n\r\n",
            content.format.extension(),
            content.format.mime(),
        ));
        let after = format!("\r\n--{boundary}--\r\n");
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            length: before.len() as u64 + content.length + after.len() as u64,
            parts: Parts {
                before: Bytes::from(before),
                chunks: content.chunks,
                after: Bytes::from(after),
                gate,
            },
        }
    }
}

/// The body with a mark wherever `secret` stands in it.
fn without(body: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let mut clean = Vec::new();
    let mut rest = body.as_slice();
    while let Some(at) = rest
        .windows(secret.len())
        .position(|window| window == secret)
    {
        let (before, from) = rest.split_at(at);
        clean.extend_from_slice(before);
        clean.extend_from_slice(HIDDEN);
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    if clean.is_empty() {
        return body;
    }
    clean.extend_from_slice(rest);
    clean
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_key_that_a_service_repeats_is_taken_out_wherever_it_stands() {
        let without = |body: &str| String::from_utf8(without(body.into(), b"sk-12345")).unwrap();
        assert_eq!(without("bad key sk-12345"), "bad key [the key]");
        assert_eq!(without("sk-12345, sk-12345!"), "[the key], [the key]!");
        assert_eq!(without("sk-1234"), "sk-1234");
        assert_eq!(without(""), "");
    }

    #[test]
    fn another_key_where_the_first_was_found_is_taken_once() {
        let found = || Some(SecretString::from("second"));
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        let first = SecretString::from("first");
        let header = KeyHeader {
            name: reqwest::header::AUTHORIZATION,
            prefix: "Bearer ",
        };
        let url = "http://127.0.0.1:1";
        let connection = Connection {
            base_url: url,
            key: Some(&first),
            reread: Box::new(found),
            prices: std::collections::HashMap::new(),
            clock,
        };
        let http = Http::new(header, connection).unwrap();
        assert!(http.takes_new_key());
        assert_eq!(http.key().unwrap(), "Bearer second");
        assert!(!http.takes_new_key(), "it is the same key");
    }

    /// A server that answers every request by writing what `rest` gives, piece by piece, until nobody reads it.
    fn endless(status: &'static str, rest: fn() -> &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap();
                assert!(read > 0);
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: 1099511627776\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                while stream.write_all(rest()).is_ok() {}
            }
        });
        format!("http://{address}")
    }

    fn to(base_url: &str) -> Http {
        let header = KeyHeader {
            name: reqwest::header::AUTHORIZATION,
            prefix: "Bearer ",
        };
        let connection = Connection {
            base_url,
            key: None,
            reread: Box::new(|| None),
            prices: std::collections::HashMap::new(),
            clock: std::sync::Arc::new(crate::clock::SystemClock),
        };
        Http::new(header, connection).unwrap()
    }

    fn a_lot() -> &'static [u8] {
        &[b' '; 64 << 10]
    }

    fn a_trickle() -> &'static [u8] {
        std::thread::sleep(Duration::from_millis(1));
        b" "
    }

    #[tokio::test]
    async fn a_reply_of_a_terabyte_is_cut_at_its_bound() {
        for (status, bound) in [
            ("200 OK", LARGEST_REPLY),
            ("500 Internal Server Error", LARGEST_ERROR),
        ] {
            let http = to(&endless(status, a_lot));
            let answer = http.ask(http.request(Method::GET, "/")).await.unwrap();
            assert_eq!(answer.body.len(), bound, "{status}");
            // What was set aside for it, with what the last piece may have taken.
            assert!(
                answer.body.capacity() <= 2 * (bound + (1 << 20)),
                "{status}"
            );
            let open: Gate = Box::new(|| Box::pin(async { Ok(()) }));
            let call = Call::json(Bytes::from_static(b"{}"), open);
            let answer = http.submit("/", call, None).await.unwrap();
            assert_eq!(answer.body.len(), bound, "{status}");
        }
    }

    #[tokio::test]
    async fn a_reply_that_trickles_beyond_its_time_is_given_up() {
        let mut http = to(&endless("200 OK", a_trickle));
        let soon = Duration::from_millis(200);
        http.patience = Patience {
            question: soon,
            answer: soon,
        };
        let error = http.ask(http.request(Method::GET, "/")).await.unwrap_err();
        assert!(matches!(error, NoAnswer::Broken { .. }), "{error:?}");
        let open: Gate = Box::new(|| Box::pin(async { Ok(()) }));
        let call = Call::json(Bytes::from_static(b"{}"), open);
        let error = http.submit("/", call, None).await.unwrap_err();
        // The service had it whole: nobody knows whether it was billed.
        let NoAnswer::Broken { phase, text } = error else {
            panic!("{error:?}")
        };
        assert_eq!(phase, Phase::AfterCommit);
        assert!(text.starts_with("no answer within"), "{text}");
    }

    #[tokio::test]
    async fn the_last_byte_of_json_waits_for_the_gate() {
        let body = Bytes::from_static(br#"{"audioUrl":"https://b.example/a.mp3?sign=1"}"#);
        let open: Gate = Box::new(|| Box::pin(async { Ok(()) }));
        let call = Call::json(body.clone(), open);
        assert_eq!(call.length, body.len() as u64);
        let (sent, _) = upload::body(call.parts);
        let sent: Vec<Bytes> = sent.filter_map(async |chunk| chunk.ok()).collect().await;
        assert_eq!(sent.concat(), body);
        let refuse: Gate =
            Box::new(|| Box::pin(async { Err(crate::speech::Withheld::SourceChanged) }));
        let (sent, watch) = upload::body(Call::json(body.clone(), refuse).parts);
        let sent: Vec<Bytes> = sent.filter_map(async |chunk| chunk.ok()).collect().await;
        assert_eq!(sent.concat(), body[..body.len() - 1]);
        assert_eq!(watch.close(), Phase::BeforeCommit);
    }
}
