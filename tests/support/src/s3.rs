//! A storage that speaks S3 on loopback and checks every signature, with one bucket in a folder.
//!
//! It notes every request, and refuses or forgets what a test tells it to. Signatures, expiry and
//! multipart uploads are checked and kept by the `s3s` crates, not by anything of ours.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpResponse};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The key that is accepted.
pub const ACCESS_KEY: &str = "stenod-tests";
/// Its secret half.
pub const SECRET_KEY: &str = "not-a-secret-but-long-enough";
/// The bucket that is there.
pub const BUCKET: &str = "recordings";

/// What is done with a request in place of serving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Answered with this status and code, without being served.
    Refuse(u16, &'static str),
    /// Answered with this status and header, without being served.
    Redirect(u16, &'static str, &'static str),
    /// Served, and then the connection breaks without an answer.
    Forget,
    /// Read, and never answered.
    Hang,
}

/// What a request looks like: its method, path and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, with the bucket.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
}

impl Asked {
    /// The number of the part that it puts, if it does.
    pub fn part(&self) -> Option<u32> {
        let is_put = self.method == "PUT";
        let number = self.value("partNumber=")?;
        number.parse().ok().filter(|_| is_put)
    }

    fn value(&self, key: &str) -> Option<&str> {
        let mut pairs = self.query.split('&');
        pairs.find_map(|pair| pair.strip_prefix(key))
    }
}

type Rule = Box<dyn FnMut(&Asked) -> Option<Deviation> + Send>;

#[derive(Default)]
struct Shared {
    asked: Vec<Asked>,
    rule: Option<Rule>,
    folder: PathBuf,
    /// The key and the id of every upload that was begun.
    begun: Vec<(String, String)>,
}

impl Shared {
    /// What `s3s-fs` answers wrongly: to it an upload that is completed or aborted is somebody else's.
    fn unknown_upload(&self, asked: &Asked) -> Option<Deviation> {
        let id = asked.value("uploadId=")?;
        let is_there = self.folder.join(format!(".upload-{id}.json")).exists();
        (!is_there).then_some(Deviation::Refuse(404, "NoSuchUpload"))
    }

    /// The answer to who asks which uploads are not completed, which `s3s-fs` does not give.
    fn list_of_uploads(&self) -> String {
        let left = self
            .begun
            .iter()
            .filter(|(_, id)| self.folder.join(format!(".upload-{id}.json")).exists());
        let uploads: String = left
            .map(|(key, id)| {
                format!(
                    "<Upload><Key>{key}</Key><UploadId>{id}</UploadId>\
                     <Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
                )
            })
            .collect();
        format!(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        )
    }
}

fn unfinished(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).expect("the folder of the storage");
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".upload"))
}

/// The storage; it ends with the value.
pub struct S3 {
    address: SocketAddr,
    folder: tempfile::TempDir,
    shared: Arc<Mutex<Shared>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3 {
    /// Starts it with its one empty bucket.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the storage");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(folder.path()).expect("a storage in that folder");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let shared = Arc::new(Mutex::new(Shared {
            folder: folder.path().to_owned(),
            ..Shared::default()
        }));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let seen = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime for the storage");
            runtime.block_on(serve(service, seen, tell, stopped));
            runtime.shutdown_background();
        });
        let address = told.recv().expect("the storage listens");
        Self {
            address,
            folder,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, `rule` is asked about every request.
    pub fn deviate(&self, rule: impl FnMut(&Asked) -> Option<Deviation> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    /// From now on, everything is served.
    pub fn behave(&self) {
        self.lock().rule = None;
    }

    /// Every request so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// The objects in the bucket, by key, in order.
    pub fn objects(&self) -> Vec<(String, PathBuf)> {
        let bucket = self.folder.path().join(BUCKET);
        let mut found = Vec::new();
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of the bucket") {
                let path = entry.expect("an entry of the bucket").path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(key) = path.strip_prefix(&bucket) {
                    found.push((key.to_string_lossy().into_owned(), path.clone()));
                }
            }
        }
        found.retain(|(key, _)| !key.split('/').any(|part| part.starts_with('.')));
        found.sort();
        found
    }

    /// How many files of uploads that are not completed lie about.
    pub fn unfinished(&self) -> usize {
        unfinished(self.folder.path()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap_or_default();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

async fn serve(
    service: S3Service,
    shared: Arc<Mutex<Shared>>,
    tell: std::sync::mpsc::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port on loopback");
    tell.send(listener.local_addr().expect("the address of the storage"))
        .expect("somebody waits for the address");
    tokio::pin!(stopped);
    loop {
        let (socket, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection"),
            _ = &mut stopped => return,
        };
        let (service, shared) = (service.clone(), shared.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let (service, shared) = (service.clone(), shared.clone());
                async move { answer(&service, &shared, request).await }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), answer);
            // A client that goes away is no business of a storage.
            connection.await.unwrap_or_default();
        });
    }
}

async fn answer(
    service: &S3Service,
    shared: &Mutex<Shared>,
    request: Request<Incoming>,
) -> Result<HttpResponse, std::io::Error> {
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    let deviation = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked.push(asked.clone());
        let deviation = shared.rule.as_mut().and_then(|rule| rule(&asked));
        deviation.or_else(|| shared.unknown_upload(&asked))
    };
    match deviation {
        Some(Deviation::Refuse(status, code)) => {
            drain(request).await;
            Ok(plain(
                status,
                None,
                &format!("<Error><Code>{code}</Code></Error>"),
            ))
        }
        Some(Deviation::Redirect(status, name, value)) => {
            drain(request).await;
            Ok(plain(status, Some((name, value)), ""))
        }
        Some(Deviation::Hang) => {
            drain(request).await;
            std::future::pending().await
        }
        Some(Deviation::Forget) => {
            serve_one(service, shared, &asked, request).await;
            Err(std::io::Error::other("the connection breaks"))
        }
        None => Ok(serve_one(service, shared, &asked, request).await),
    }
}

async fn serve_one(
    service: &S3Service,
    shared: &Mutex<Shared>,
    asked: &Asked,
    request: Request<Incoming>,
) -> HttpResponse {
    let answer = served(service, request).await;
    let is_of_uploads = asked
        .query
        .split('&')
        .any(|pair| pair.starts_with("uploads"));
    if !is_of_uploads {
        return answer;
    }
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    // The signature was right, or this would be another refusal.
    if asked.method == "GET" && answer.status() == StatusCode::NOT_IMPLEMENTED {
        return plain(200, None, &lock().list_of_uploads());
    }
    let (head, body) = answer.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    if let Some((_, rest)) = text.split_once("<UploadId>")
        && let Some((id, _)) = rest.split_once('<')
    {
        let key = asked.path.trim_start_matches('/').split_once('/');
        let key = key.map(|(_, key)| key.to_owned()).unwrap_or_default();
        lock().begun.push((key, id.to_owned()));
    }
    Response::from_parts(head, Body::from(body))
}

async fn served(service: &S3Service, request: Request<Incoming>) -> HttpResponse {
    let answer = hyper::service::Service::call(service, request).await;
    answer.unwrap_or_else(|error| plain(500, None, &format!("{error:?}")))
}

/// Reads the body to its end, so that a refusal is no broken connection.
async fn drain(request: Request<Incoming>) {
    let whole: Result<_, hyper::Error> = request.into_body().collect().await;
    drop(whole);
}

fn plain(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> HttpResponse {
    let mut response: HttpResponse = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if let Some((name, value)) = header {
        let value = value.parse().expect("a header's value");
        response.headers_mut().insert(name, value);
    }
    response
}
