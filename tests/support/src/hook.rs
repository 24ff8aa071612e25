//! A receiver of notices: takes requests over HTTP, answers as a test has it, and keeps what it was told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;

use crate::stage::eventually;

/// The longest body that is read, in bytes.
const LONGEST_BODY: usize = 1 << 20;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It is answered with this status and these headers.
    Answer(u16, Vec<(&'static str, String)>),
    /// It is never answered.
    Hang,
    /// The connection is reset.
    Reset,
}

impl Act {
    /// An answer that is a status alone.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new())
    }
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// The headers by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// A header; it must be there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).expect(name)
    }
}

#[derive(Debug)]
struct Told {
    requests: Vec<Request>,
    script: VecDeque<Act>,
    usual: Act,
    held: Vec<TcpStream>,
}

/// A receiver on loopback; it listens until the test ends.
#[derive(Debug, Clone)]
pub struct Hook {
    port: u16,
    told: Arc<Mutex<Told>>,
}

impl Hook {
    /// A receiver that takes everything.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let told = Arc::new(Mutex::new(Told {
            requests: Vec::new(),
            script: VecDeque::new(),
            usual: Act::status(204),
            held: Vec::new(),
        }));
        let hook = Self { port, told };
        let serving = hook.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hook = serving.clone();
                thread::spawn(move || hook.serve(stream));
            }
        });
        hook
    }

    /// Its address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next requests are treated so, in this order.
    pub fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.lock().script.extend(acts);
    }

    /// All requests that no script is left for are treated so.
    pub fn usually(&self, act: Act) {
        self.lock().usual = act;
    }

    /// What it was told so far.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Waits until it was told so often; gives all of it.
    pub fn wait(&self, count: usize) -> Vec<Request> {
        eventually("a receiver to be told", || {
            self.lock().requests.len() >= count
        });
        self.requests()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(request) = read(&stream) else {
            return;
        };
        let act = {
            let mut told = self.lock();
            told.requests.push(request);
            told.script
                .pop_front()
                .unwrap_or_else(|| told.usual.clone())
        };
        match act {
            Act::Answer(status, headers) => {
                let headers: String = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                // Whoever asked may have gone.
                drop(write!(
                    stream,
                    "HTTP/1.1 {status} So\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n"
                ));
            }
            Act::Hang => self.lock().held.push(stream),
            Act::Reset => {
                let at_once = Some(std::time::Duration::ZERO);
                set_socket_linger(&stream, at_once).expect("a socket that can be reset");
            }
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(Some(0), |text| text.parse().ok())?;
    assert!(length <= LONGEST_BODY, "a body of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
