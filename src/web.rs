//! The only web server: a few pages for whoever watches over stenod, to be read and nothing else.
//!
//! It answers GET and HEAD; a client that is slow or one too many costs a connection for some seconds.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::supervise::{TaskPanicked, Tasks};

/// The most clients at once; more wait in the kernel's own line.
const MOST_CLIENTS: usize = 16;
/// How long a client may take for its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may stay.
const LONGEST_STAY: Duration = Duration::from_secs(60);
/// The wait after a client that could not be let in, for want of descriptors.
const ACCEPT_WAIT: Duration = Duration::from_secs(1);
/// Bytes of the longest request.
const LONGEST_REQUEST: usize = 16 * 1024;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Whether what it tells of is well; otherwise it goes out with the status 503.
    pub is_well: bool,
    /// Its media type.
    pub media_type: &'static str,
    /// Its text.
    pub text: String,
}

/// Makes pages.
pub trait Pages: Send + Sync + 'static {
    /// The page at `path`, if there is one.
    fn page(self: Arc<Self>, path: String) -> BoxFuture<'static, Option<Page>>;
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// Where the address is taken, or not one of this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// [`TaskPanicked`] where making a page ends by a fault of its own.
    pub async fn serve(
        self,
        pages: Arc<dyn Pages>,
        stop: CancellationToken,
    ) -> Result<(), TaskPanicked> {
        let mut clients: Tasks<()> = Tasks::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = clients.next() => ended?,
                stream = self.listener.accept(), if clients.len() < MOST_CLIENTS => match stream {
                    Ok((stream, _)) => clients.start(attend(stream, pages.clone())),
                    Err(error) => {
                        tracing::warn!("a web client could not be let in: {error}");
                        sleep(ACCEPT_WAIT).await;
                    }
                },
            }
        }
    }
}

async fn attend(stream: TcpStream, pages: Arc<dyn Pages>) {
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(answer(request, pages).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(LONGEST_REQUEST)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(LONGEST_STAY, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!("a web client was not served: {error}"),
    }
}

async fn answer(request: Request<Incoming>, pages: Arc<dyn Pages>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only to be read\n");
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let path = request.uri().path().to_owned();
    match pages.page(path).await {
        Some(page) => {
            let status = if page.is_well {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            typed(status, page.media_type, page.text)
        }
        None => plain(StatusCode::NOT_FOUND, "there is no such page\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text.to_owned())
}

fn typed(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let media_type = hyper::header::HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
