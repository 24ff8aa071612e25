//! Google Cloud Storage and Azure: what is asked of them, against a stand-in that believes everything; and
//! Azure's own emulator, which does not, where one is given (`just azurite`).

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ACCOUNT: &str = "stenodtests";
/// The key of the account, in Base64.
const ACCOUNT_KEY: &str = "bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaA==";
const GENERATION: &str = "1700000000000007";

/// A request, without its body.
#[derive(Debug, Clone)]
struct Heard {
    method: String,
    path: String,
    query: String,
    authorisation: String,
}

#[derive(Default)]
struct Kept {
    heard: Vec<Heard>,
    /// Parts by the name that the request gave them.
    parts: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<String, Vec<u8>>,
}

/// A storage that speaks enough of both, as long as the test.
#[derive(Clone)]
struct Cloud {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Cloud {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cloud = Self {
            address: listener.local_addr().unwrap(),
            kept: Arc::default(),
        };
        let serving = cloud.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        cloud
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some((heard, body)) = request(&mut stream).await {
            let (status, headers, body) = self.answer(&heard, body);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} It Is\r\nETag: \"0123\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
                 x-goog-generation: {GENERATION}\r\n{headers}Content-Length: {length}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    }

    fn answer(&self, heard: &Heard, body: Vec<u8>) -> (u16, &'static str, Vec<u8>) {
        let mut kept = self.kept.lock().unwrap();
        kept.heard.push(heard.clone());
        let part = ["blockid=", "partNumber="].iter().find_map(|name| {
            Some(
                heard
                    .query
                    .split_once(name)?
                    .1
                    .split('&')
                    .next()?
                    .to_owned(),
            )
        });
        let completes =
            heard.query.contains("comp=blocklist") || heard.method == "POST" && part.is_none();
        match heard.method.as_str() {
            "PUT" if part.is_some() => {
                kept.parts.insert(part.unwrap_or_default(), body);
                (201, "", Vec::new())
            }
            "POST" if heard.query.starts_with("uploads") => {
                (200, "", result("Initiate", &heard.path))
            }
            "PUT" | "POST" if completes => {
                let whole = std::mem::take(&mut kept.parts)
                    .into_values()
                    .flatten()
                    .collect();
                kept.objects.insert(heard.path.clone(), whole);
                (200, "", result("Complete", &heard.path))
            }
            "GET" => match kept.objects.get(&heard.path) {
                Some(bytes) => (200, "", bytes.clone()),
                None => (404, "", Vec::new()),
            },
            "DELETE" => match kept.objects.remove(&heard.path) {
                Some(_) => (204, "", Vec::new()),
                None => (404, "", Vec::new()),
            },
            _ => (400, "", Vec::new()),
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.kept.lock().unwrap().heard.clone()
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.kept.lock().unwrap().objects.clone()
    }

    fn settings(&self, url: &str, key_id: Option<&str>, secret: Secret) -> Settings {
        Settings {
            url: url.to_owned(),
            endpoint: Some(format!("http://{}", self.address)),
            region: None,
            key_id: key_id.map(str::to_owned),
            secret: Some(secret),
            link_lifetime: Duration::from_secs(3600),
            variables: Box::new(|_| None),
        }
    }
}

/// The next request and its body; none at the end of the connection.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(Heard, Vec<u8>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let named = lines.iter().filter_map(|line| line.split_once(": "));
        named
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .next()
    };
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let heard = Heard {
        method,
        path: plain(path),
        query: query.to_owned(),
        authorisation: header("authorization").unwrap_or_default(),
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((heard, body))
}

/// A path as it is meant; the crate may write that of an object as one word.
fn plain(path: &str) -> String {
    format!("/{}", Path::from_url_path(path).unwrap())
}

fn result(kind: &str, path: &str) -> Vec<u8> {
    format!(
        "<{kind}MultipartUploadResult><Bucket>recordings</Bucket><Key>{path}</Key>\
         <UploadId>the-upload</UploadId><ETag>\"0123\"</ETag></{kind}MultipartUploadResult>"
    )
    .into_bytes()
}

/// Takes a recording there, fetches it by its link and takes it away; gives what was heard and the link.
async fn there_and_back(cloud: &Cloud, settings: &Settings) -> (Vec<Heard>, Url) {
    let bucket = open(settings);
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    let path = format!("/recordings/inbox/{name}");
    let objects = cloud.objects();
    assert_eq!(objects.keys().collect::<Vec<_>>(), [&path]);
    let link = bucket.link(&name).await.unwrap();
    let (status, fetched) = get(link.expose_secret()).await;
    assert_eq!(status, 200);
    assert_eq!(fetched.len(), bytes.len());
    let link = Url::parse(link.expose_secret()).unwrap();
    assert_eq!(plain(link.path()), path);
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert!(cloud.objects().is_empty());
    bucket.remove(&notes.remains(&name)).await.unwrap();
    (cloud.heard(), link)
}

fn value(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs.find_map(|(other, value)| (other == name).then(|| value.into_owned()))
}

#[tokio::test]
async fn azure_is_sent_blocks_and_gives_a_link_to_read_one_object() {
    let cloud = Cloud::start().await;
    let secret = Secret::Word(SecretString::from(ACCOUNT_KEY));
    let settings = cloud.settings("az://recordings/inbox", Some(ACCOUNT), secret);
    let (heard, link) = there_and_back(&cloud, &settings).await;
    let blocks = heard.iter().filter(|it| it.query.contains("comp=block&"));
    assert_eq!(blocks.count(), 3);
    let signed = format!("SharedKey {ACCOUNT}:");
    for put in heard.iter().filter(|it| it.method == "PUT") {
        assert!(put.authorisation.starts_with(&signed), "{put:?}");
    }
    let deleted = heard.iter().find(|it| it.method == "DELETE").unwrap();
    assert!(deleted.query.contains("sp=d&"), "{deleted:?}");
    // A link of a service: to read, one blob, until a time, signed.
    assert_eq!(value(&link, "sp").as_deref(), Some("r"));
    assert_eq!(value(&link, "sr").as_deref(), Some("b"));
    assert!(value(&link, "se").is_some() && value(&link, "sig").is_some());
}

#[tokio::test]
async fn google_is_sent_parts_and_gives_a_link_and_its_generation_is_deleted() {
    let cloud = Cloud::start().await;
    let key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/bucket/service-account.json"
    );
    let settings = cloud.settings(
        "gs://recordings/inbox",
        None,
        Secret::File(PathBuf::from(key)),
    );
    let (heard, link) = there_and_back(&cloud, &settings).await;
    let parts = heard.iter().filter(|it| it.query.contains("partNumber="));
    let signed = parts.filter(|it| it.authorisation.starts_with("Bearer "));
    assert_eq!(signed.count(), 3);
    assert_eq!(value(&link, "X-Goog-Expires").as_deref(), Some("3600"));
    assert_eq!(
        value(&link, "X-Goog-Algorithm").as_deref(),
        Some("GOOG4-RSA-SHA256")
    );
    assert!(value(&link, "X-Goog-Signature").is_some_and(|signature| signature.len() == 512));
    let deleted = heard.iter().find(|it| it.method == "DELETE").unwrap();
    assert!(
        deleted.query.contains(&format!("generation={GENERATION}")),
        "{deleted:?}"
    );
    assert!(deleted.query.contains("X-Goog-Signature="), "{deleted:?}");
}

/// An emulator's account, as it documents it, and a container that is there.
fn azurite() -> Settings {
    let endpoint = std::env::var("STENOD_AZURITE").expect("`just azurite` starts one");
    let key =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    Settings {
        url: "az://recordings/inbox".to_owned(),
        endpoint: Some(endpoint),
        region: None,
        key_id: Some("devstoreaccount1".to_owned()),
        secret: Some(Secret::Word(SecretString::from(key))),
        link_lifetime: Duration::from_secs(3600),
        variables: Box::new(|_| None),
    }
}

#[tokio::test]
#[ignore = "needs Azure's emulator: just azurite"]
async fn azurite_takes_a_recording_gives_it_by_its_link_alone_and_lets_it_go() {
    let settings = azurite();
    let bucket = open(&settings);
    let (_folder, content, bytes) = recording();
    let (name, notes) = (name(), Notes::default());
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    assert!(bucket.has(&name, content.size).await.unwrap());
    let listed = bucket.list().await.unwrap();
    assert!(listed.iter().any(|(other, _)| *other == name), "{listed:?}");
    let link = bucket.link(&name).await.unwrap();
    assert_eq!(get(link.expose_secret()).await, (200, bytes));
    let other = link
        .expose_secret()
        .replace(name.as_str(), another_name().as_str());
    assert_eq!(get(&other).await.0, 403);
    let longer = link.expose_secret().replace("&se=2", "&se=3");
    assert_ne!(longer, link.expose_secret());
    assert_eq!(get(&longer).await.0, 403);
    bucket.remove(&notes.remains(&name)).await.unwrap();
    assert_eq!(get(link.expose_secret()).await.0, 404);
    bucket.remove(&notes.remains(&name)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Azure's emulator: just azurite"]
async fn azurite_goes_on_with_the_blocks_that_are_there_and_refuses_another_key() {
    let settings = azurite();
    let bucket = open(&settings);
    let (_folder, content, bytes) = recording();
    let (name, stopping) = (name(), Stopping::default());
    let stop = stopping.stop.clone();
    let tell: Tell = Arc::new(|_| {});
    let stopped = bucket.upload(&name, &content, None, &stopping, tell, &stop);
    let stopped = stopped.await.unwrap_err();
    assert!(matches!(stopped, UploadError::Stopped), "{stopped:?}");
    let notes = stopping.notes;
    let begun = notes.kept().upload;
    assert!(!notes.kept().parts.is_empty());
    put(&bucket, &name, &content, &notes).await.result.unwrap();
    assert_eq!(notes.kept().upload, begun);
    let link = bucket.link(&name).await.unwrap();
    assert_eq!(get(link.expose_secret()).await, (200, bytes));
    bucket.remove(&notes.remains(&name)).await.unwrap();
    let wrong = Settings {
        secret: Some(Secret::Word(SecretString::from(ACCOUNT_KEY))),
        ..settings
    };
    let trial = open(&wrong).try_out(&installation()).await.unwrap();
    let error = trial.put.unwrap_err();
    // The emulator calls a wrong signature `AuthorizationFailure`, where Azure says `AuthenticationFailed`.
    assert_eq!(error.fate(), Fate::Person, "{error:?}");
}

/// Stops an upload as soon as one part of it is there.
#[derive(Default)]
struct Stopping {
    notes: Notes,
    stop: CancellationToken,
}

impl Journal for Stopping {
    type Error = Infallible;

    async fn begun(&self, id: &str) -> Result<(), Infallible> {
        self.notes.begun(id).await
    }

    async fn part_done(&self, number: u32, part: &Part) -> Result<(), Infallible> {
        self.stop.cancel();
        self.notes.part_done(number, part).await
    }

    async fn finished(&self, version: Option<&Version>) -> Result<(), Infallible> {
        self.notes.finished(version).await
    }
}
