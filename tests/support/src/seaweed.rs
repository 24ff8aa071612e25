//! A real SeaweedFS on loopback: a storage that speaks S3 and checks signatures, written by others.
//!
//! It is fetched by `tests/seaweedfs/fetch.sh`, pinned by its hash. Where it cannot be had, a test says so
//! and is passed over; with `CI=true` it fails.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key that is accepted.
pub const ACCESS_KEY: &str = "stenod-tests";
/// Its secret half.
pub const SECRET_KEY: &str = "not-a-secret-but-long-enough";
/// The bucket that is there.
pub const BUCKET: &str = "recordings";
/// Which of the ports is the filer's.
const FILER: usize = 6;
/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// The ports that it is given, by option.
const PORTS: [&str; 10] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
];

/// A running SeaweedFS; it is ended, and waited for, with the value.
pub struct Seaweed {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Seaweed {
    /// Starts it, or says why the test is passed over.
    ///
    /// # Panics
    /// With `CI=true` where it cannot be had, and anywhere where it does not start.
    pub fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seaweedfs/fetch.sh");
        let fetched = Command::new("bash").arg(script).output().expect("bash");
        if !fetched.status.success() {
            let why = String::from_utf8_lossy(&fetched.stderr).into_owned();
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "SeaweedFS cannot be had: {why}"
            );
            // Past the harness, which keeps what a passing test prints to itself.
            let text = format!("PASSED OVER: SeaweedFS cannot be had: {why}\n");
            std::io::stderr()
                .write_all(text.as_bytes())
                .expect("standard error");
            return None;
        }
        let weed = String::from_utf8(fetched.stdout).expect("a path in UTF-8");
        Some(Self::run(weed.trim()))
    }

    fn run(weed: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for SeaweedFS");
        let identities = folder.path().join("identities.json");
        let text = format!(
            "{{\"identities\": [{{\"name\": \"tests\", \"credentials\": [{{\"accessKey\": \"{ACCESS_KEY}\", \
             \"secretKey\": \"{SECRET_KEY}\"}}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\"]}}]}}"
        );
        fs::write(&identities, text).expect("the identities");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let ports = free_ports();
        let mut command = Command::new(weed);
        command
            .args([
                "-logtostderr=true",
                "mini",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
            ])
            .args(["-master.telemetry=false", "-webdav=false", "-s3.iam=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.config={}", identities.display()))
            .args(
                PORTS
                    .iter()
                    .zip(&ports)
                    .map(|(option, port)| format!("-{option}={port}")),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().expect("SeaweedFS starts");
        let mut seaweed = Self {
            child,
            port: ports[0],
            folder,
        };
        seaweed.wait_until_ready();
        seaweed.make_bucket(ports[FILER]);
        seaweed
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while !self.answers() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("SeaweedFS ended: {status}\n{}", self.log());
            }
            assert!(
                began.elapsed() < PATIENCE,
                "SeaweedFS is not ready\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether S3 answers, be it with a refusal.
    fn answers(&self) -> bool {
        use std::io::Read as _;
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else {
            return false;
        };
        let asked =
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        asked.is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 403")
    }

    /// A bucket is a folder of the filer.
    fn make_bucket(&self, filer: u16) {
        use std::io::Read as _;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, filer)).expect("the filer");
        let request = format!(
            "POST /buckets/{BUCKET}/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let mut answer = String::new();
        let asked = stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_string(&mut answer));
        asked.expect("an answer of the filer");
        assert!(
            answer.starts_with("HTTP/1.1 201"),
            "{answer}\n{}",
            self.log()
        );
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap_or_default();
        if let Some(process) = rustix::process::Pid::from_raw(id) {
            // It takes some seconds to put its house in order.
            rustix::process::kill_process(process, rustix::process::Signal::TERM)
                .unwrap_or_default();
        }
        drop(self.child.wait());
    }
}

/// Ports that nobody has at this moment.
fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> = PORTS
        .iter()
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("its address").port())
        .collect()
}
