//! The connection to the storage: a client of our own under the crate that knows the storages.
//!
//! There is no time-out for a request as a whole, since a slow uplink may need an hour; what is given up
//! is a connection that takes no byte for too long. No redirect is followed, nothing is repeated here,
//! and every failure is a [`BucketError`] without an address in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, RETRY_AFTER};
use reqwest::{Body, Client, Method, Response, Url};
use tokio::sync::watch;

use super::failure::{BucketError, Said, element, plain};
use crate::https::{cause, install_tls};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);
/// A connection that takes no byte for this long is given up; up to 5 MB may lie in buffers.
const STALL: Duration = Duration::from_secs(90);
/// How long a request without a large body may take altogether.
const QUESTION_LIMIT: Duration = Duration::from_secs(180);
/// How long a large body may take at least, whatever its size.
const LEAST_DEADLINE: Duration = Duration::from_secs(600);
/// The slowest uplink that is waited for, in bytes a second.
const SLOWEST: u64 = 10_000;
/// A body up to this size, in bytes, is a question.
const SMALL_BODY: usize = 64 << 10;
/// How much of a body is handed over at once, in bytes.
const CHUNK: usize = 256 << 10;
/// The most that is read of an answer, in bytes: a page of a list.
const LARGEST_ANSWER: usize = 8 << 20;
/// The most that is read of a refusal, in bytes.
const LARGEST_REFUSAL: usize = 64 << 10;
/// How long a connection is kept for the next part.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// Counts the bytes of the request that this task makes.
    pub(super) static METER: Meter;
}

/// Counts the bytes of one try of one part, and tells how far the whole upload is.
#[derive(Clone)]
pub(super) struct Meter {
    pub(super) upload: Arc<Progress>,
    pub(super) counted: Arc<AtomicU64>,
}

/// How far an upload is, in bytes that were handed over.
pub(super) struct Progress {
    sent: AtomicU64,
    tell: Tell,
}

/// Is told how many bytes of an object have been handed over so far.
pub type Tell = Arc<dyn Fn(u64) + Send + Sync>;

impl Progress {
    pub(super) fn new(tell: Tell) -> Self {
        Self {
            sent: AtomicU64::new(0),
            tell,
        }
    }

    pub(super) fn add(&self, bytes: u64) {
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.tell)(sent);
    }

    /// Begins from nothing.
    pub(super) fn reset(&self) {
        self.sent.store(0, Ordering::Relaxed);
    }

    /// Takes back what a try that failed had counted.
    pub(super) fn take_back(&self, bytes: u64) {
        self.sent.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Gives the crate our client, whatever it asks for.
#[derive(Debug)]
pub(super) struct Connector {
    client: Client,
    storage_host: String,
}

impl Connector {
    pub(super) fn new(client: Client, storage_host: &str) -> Self {
        Self {
            client,
            storage_host: storage_host.to_owned(),
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Wire {
            client: self.client.clone(),
            storage_host: self.storage_host.clone(),
            stall: STALL,
        }))
    }
}

/// The client for a storage; one on this machine is never asked through a proxy.
pub(super) fn client(is_loopback: bool) -> Result<Client, reqwest::Error> {
    install_tls();
    let builder = Client::builder()
        .user_agent(concat!("stenod/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_LIMIT)
        .tcp_user_timeout(UNACKNOWLEDGED_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT);
    if is_loopback {
        builder.no_proxy().build()
    } else {
        builder.build()
    }
}

#[derive(Debug)]
struct Wire {
    client: Client,
    storage_host: String,
    /// A connection that takes no byte for this long is given up.
    stall: Duration,
}

#[async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_storage = request.uri().host() == Some(self.storage_host.as_str());
        self.exchange(request).await.map_err(|error| {
            let error = if is_storage {
                error
            } else {
                BucketError::NoCredentials(error.to_string())
            };
            // Unknown is the one kind that the crate does not repeat.
            HttpError::new(HttpErrorKind::Unknown, error)
        })
    }
}

impl Wire {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, BucketError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let url = url
            .parse()
            .map_err(|_| BucketError::Unreadable("the address of the storage".to_owned()))?;
        let length = body.content_length();
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        let (moved, watched) = watch::channel(0);
        let limit = if length <= SMALL_BODY {
            QUESTION_LIMIT
        } else {
            LEAST_DEADLINE.max(Duration::from_secs(length as u64 / SLOWEST))
        };
        if length > 0 {
            request.headers_mut().insert(
                CONTENT_LENGTH,
                length.to_string().parse().map_err(no_header)?,
            );
            let meter = METER.try_with(Clone::clone).ok();
            let chunks = counted(body.into_data_stream(), moved, meter);
            *request.body_mut() = Some(Body::wrap_stream(chunks));
        } else {
            drop(moved);
        }
        tokio::select! {
            answer = answer_to(&self.client, request) => answer,
            stalled = stalled(watched, self.stall) => Err(stalled),
            () = tokio::time::sleep(limit) => Err(BucketError::Stalled(limit)),
        }
    }
}

fn no_header(_: reqwest::header::InvalidHeaderValue) -> BucketError {
    BucketError::Unreadable("the length of a body".to_owned())
}

/// The body in small chunks, each counted as it is handed over.
fn counted(
    body: impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static,
    moved: watch::Sender<u64>,
    meter: Option<Meter>,
) -> impl Stream<Item = Result<Bytes, HttpError>> + Send + 'static {
    body.flat_map(|whole| {
        let chunks = match whole {
            Ok(mut rest) => {
                let mut chunks = Vec::with_capacity(rest.len() / CHUNK + 1);
                while !rest.is_empty() {
                    chunks.push(Ok(rest.split_to(rest.len().min(CHUNK))));
                }
                chunks
            }
            Err(error) => vec![Err(error)],
        };
        futures_util::stream::iter(chunks)
    })
    .inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            moved.send_modify(|bytes| *bytes += chunk.len() as u64);
            if let Some(meter) = &meter {
                let bytes = chunk.len() as u64;
                meter.counted.fetch_add(bytes, Ordering::Relaxed);
                meter.upload.add(bytes);
            }
        }
    })
}

/// Comes back when the body has not moved for too long; never once it has left whole.
async fn stalled(mut watched: watch::Receiver<u64>, stall: Duration) -> BucketError {
    loop {
        match tokio::time::timeout(stall, watched.changed()).await {
            Ok(Ok(())) => {}
            // The body is gone whole, or there is none; the deadline watches over the answer.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return BucketError::Stalled(stall),
        }
    }
}

async fn answer_to(
    client: &Client,
    request: reqwest::Request,
) -> Result<HttpResponse, BucketError> {
    let response = client.execute(request).await.map_err(no_answer)?;
    let (status, headers) = (response.status(), response.headers().clone());
    if !status.is_success() {
        return Err(refusal(status.as_u16(), &headers, response).await);
    }
    let body = read(response, LARGEST_ANSWER).await.map_err(no_answer)?;
    let mut answer = HttpResponse::new(Bytes::from(body).into());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

async fn refusal(status: u16, headers: &HeaderMap, response: Response) -> BucketError {
    // The status says enough where the body does not come.
    let body = read(response, LARGEST_REFUSAL).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .and_then(plain)
    };
    let code = element(&body, "Code").or_else(|| header("x-ms-error-code"));
    let region = header("x-amz-bucket-region").or_else(|| element(&body, "Region"));
    let retry_after = header(RETRY_AFTER.as_str())
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs);
    BucketError::of_answer(Said { status, code }, region, retry_after)
}

/// The answer's body, at most `limit` bytes of it, to a request whose address is all there is to it.
pub(super) async fn plain_request(
    client: &Client,
    method: Method,
    url: Url,
    limit: usize,
) -> Result<Vec<u8>, BucketError> {
    let request = reqwest::Request::new(method, url);
    let asked = async {
        let response = client.execute(request).await.map_err(no_answer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &headers, response).await);
        }
        read(response, limit).await.map_err(no_answer)
    };
    match tokio::time::timeout(QUESTION_LIMIT, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(BucketError::Stalled(QUESTION_LIMIT)),
    }
}

/// Reads a body up to its limit, in bytes; what is longer is cut.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < limit
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(limit);
    Ok(body)
}

/// The failure behind an error of the client: its innermost cause, without the address.
fn no_answer(error: reqwest::Error) -> BucketError {
    let is_connect = error.is_connect();
    let text = cause(error);
    if is_connect {
        BucketError::Unreachable(text)
    } else {
        BucketError::Broken(text)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use object_store::client::HttpRequestBody;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn put(address: std::net::SocketAddr, body: Bytes) -> Result<HttpResponse, HttpError> {
        let wire = Wire {
            client: client(true).unwrap(),
            storage_host: "127.0.0.1".to_owned(),
            stall: Duration::from_millis(200),
        };
        let mut request = HttpRequest::new(HttpRequestBody::from(body));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = format!("http://{address}/part").parse().unwrap();
        wire.call(request).await
    }

    #[tokio::test]
    async fn a_storage_that_takes_no_more_bytes_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 1 << 16]).await.unwrap();
            std::future::pending::<()>().await;
        };
        // More than the buffers of a connection hold.
        let body = Bytes::from(vec![0; 64 << 20]);
        let answer = tokio::select! {
            answer = put(address, body) => answer,
            () = held => unreachable!(),
        };
        let error = answer.unwrap_err();
        let error = error.source().unwrap().downcast_ref::<BucketError>();
        assert!(matches!(error, Some(BucketError::Stalled(_))), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_that_moves_begins_the_wait_anew() {
        let (moved, watched) = watch::channel(0);
        let begun = tokio::time::Instant::now();
        let almost = STALL - Duration::from_secs(1);
        let mover = async {
            for bytes in 1..=5 {
                tokio::time::sleep(almost).await;
                moved.send_replace(bytes);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            error = stalled(watched, STALL) => assert!(matches!(error, BucketError::Stalled(STALL))),
            () = mover => unreachable!(),
        }
        assert_eq!(begun.elapsed(), almost * 5 + STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_left_whole_is_not_watched_any_more() {
        let (moved, watched) = watch::channel(0);
        drop(moved);
        let waited = tokio::time::timeout(STALL * 3, stalled(watched, STALL)).await;
        assert!(waited.is_err());
    }
}
