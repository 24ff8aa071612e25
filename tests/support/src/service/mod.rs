//! A stand-in of the speech service on loopback that plays the wire contract.
//!
//! It records every request with what arrived when, keeps a ledger of its own, and deviates only
//! where a test scripted it. It never follows a test's wishes about what was charged: a valid
//! submit whose last byte arrived is charged, a poll never is, nothing is paid back.

mod contract;
mod fetch;
mod http;
mod ledger;
mod multipart;
mod routes;
mod script;
mod serve;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use contract::{LARGEST_AUDIO, Submit};
pub use http::{Head, Reply};
pub use ledger::{Charge, Ledger};
pub use routes::{Behaviour, Verbose, usual_text};
pub use script::{Act, Endpoint, Gate, Moment, Rule};

/// How long a test waits for something before it fails: far beyond what a slow machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One request as the stand-in saw it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The connection it came over, counted from 0.
    pub connection: usize,
    /// Where it went.
    pub endpoint: Endpoint,
    /// The request line and headers.
    pub head: Head,
    /// How many bytes of the body have arrived so far.
    pub arrived: u64,
    /// When the head had arrived, on the stand-in's own count of events.
    pub began_at: u64,
    /// When the last byte of the body had arrived.
    pub completed_at: Option<u64>,
    /// When the reply was sent, and its status.
    pub answered: Option<(u64, u16)>,
    /// The moment of the head, on the monotonic clock.
    pub began: Instant,
    /// The moment of the reply, on the monotonic clock.
    pub ended: Option<Instant>,
    /// Whether a rule is holding it at its moment right now or did so before.
    pub held: bool,
    /// Whether a rule ended the connection after it.
    pub gone: bool,
    /// The form, when it was a well-formed submit.
    pub submit: Option<Submit>,
    /// The body, when it was JSON.
    pub json: Option<serde_json::Value>,
}

impl Exchange {
    fn new(connection: usize, endpoint: Endpoint, head: Head) -> Self {
        Self {
            connection,
            endpoint,
            head,
            arrived: 0,
            began_at: 0,
            completed_at: None,
            answered: None,
            began: Instant::now(),
            ended: None,
            held: false,
            gone: false,
            submit: None,
            json: None,
        }
    }

    /// Whether nothing more will happen to it by the stand-in's doing.
    pub fn is_over(&self) -> bool {
        self.gone || self.answered.is_some()
    }

    /// The status of the reply, when there was one.
    pub fn status(&self) -> Option<u16> {
        self.answered.map(|(_, status)| status)
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { method, target, .. } = &self.head;
        let declared = self
            .head
            .length()
            .map_or_else(|| "?".to_owned(), |it| it.to_string());
        write!(
            f,
            "[{}] {method} {target} {}/{declared} bytes",
            self.connection, self.arrived
        )?;
        if let Some(Submit {
            file_name, content, ..
        }) = &self.submit
        {
            write!(f, " {file_name} {}", content.get(..8).unwrap_or(""))?;
        }
        match self.status() {
            Some(status) => write!(f, " -> {status}"),
            None => f.write_str(" -> no reply"),
        }
    }
}

/// Everything that happened so far.
#[derive(Debug, Default)]
pub struct Log {
    /// Every request, in the order in which their heads arrived.
    pub exchanges: Vec<Exchange>,
    memory: routes::Memory,
    rules: Vec<Rule>,
    sequence: u64,
}

impl Log {
    /// The requests to one endpoint, in order.
    pub fn at(&self, endpoint: Endpoint) -> impl Iterator<Item = &Exchange> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.endpoint == endpoint)
    }

    /// The submits, in order, whole or not.
    pub fn submits(&self) -> impl Iterator<Item = &Exchange> {
        self.at(Endpoint::Submit)
    }

    /// The polls, in order.
    pub fn polls(&self) -> impl Iterator<Item = &Exchange> {
        self.at(Endpoint::Status)
    }

    /// The stand-in's books.
    pub fn ledger(&self) -> &Ledger {
        &self.memory.ledger
    }

    /// Everything that the contract forbids and a client did nevertheless.
    pub fn violations(&self) -> &[String] {
        &self.memory.violations
    }

    /// How many events there were: heads, last bytes and replies each count one.
    pub fn events(&self) -> u64 {
        self.sequence
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn take_rule(&mut self, endpoint: Endpoint, content: Option<&str>) -> Option<Rule> {
        let fits = |rule: &Rule| {
            let wanted = rule.content.as_deref();
            rule.left > 0
                && rule.endpoint == endpoint
                && wanted.is_some() == content.is_some()
                && wanted.is_none_or(|wanted| Some(wanted) == content)
        };
        let rule = self.rules.iter_mut().find(|rule| fits(rule))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.left -= if rule.left == u32::MAX { 0 } else { 1 };
        Some(rule.clone())
    }
}

#[derive(Debug)]
struct Shared {
    base: String,
    log: Mutex<Log>,
    changed: Condvar,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    stopped: bool,
    accepted: usize,
    streams: Vec<Weak<TcpStream>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        // A test that failed while it held the log must not hide its own message.
        self.log
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    fn endpoint(&self, head: &Head) -> Endpoint {
        match (head.method.as_str(), head.path().strip_prefix(&self.base)) {
            ("POST", Some("/transcribe")) => Endpoint::Submit,
            ("POST", Some("/transcribe/status")) => Endpoint::Status,
            ("POST", Some("/check-balance")) => Endpoint::Balance,
            ("GET", Some("/v1/audio-models")) => Endpoint::Models,
            ("POST", Some("/v1/audio/transcriptions")) => Endpoint::OpenAi,
            _ => Endpoint::Unknown,
        }
    }

    fn begin(&self, mut exchange: Exchange) -> usize {
        self.change(|log| {
            exchange.began_at = log.next_sequence();
            log.exchanges.push(exchange);
            log.exchanges.len() - 1
        })
    }

    fn rule(&self, endpoint: Endpoint, content: Option<&str>) -> Option<Rule> {
        self.change(|log| log.take_rule(endpoint, content))
    }

    fn arrived(&self, request: usize, count: u64) {
        self.change(|log| log.exchanges[request].arrived = count);
    }

    fn answered(&self, request: usize, status: u16) {
        self.change(|log| {
            let sequence = log.next_sequence();
            log.exchanges[request].answered = Some((sequence, status));
            log.exchanges[request].ended = Some(Instant::now());
        });
    }

    fn gone(&self, request: usize) {
        self.change(|log| log.exchanges[request].gone = true);
    }

    fn wait_at(&self, request: usize, rule: &Rule) {
        self.change(|log| log.exchanges[request].held = true);
        if let Some(gate) = &rule.gate {
            gate.pass();
        }
    }
}

/// The running stand-in; dropping it stops it.
#[derive(Debug)]
pub struct Standin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Standin {
    /// Starts on a free port of loopback, below `/api`.
    pub fn start() -> Self {
        Self::start_at(0, "/api").expect("a free port on loopback")
    }

    /// Starts on `port` (0: a free one), below `base`; fails when the port is taken.
    pub fn start_at(port: u16, base: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            base: base.trim_end_matches('/').to_owned(),
            log: Mutex::default(),
            changed: Condvar::new(),
            open: Mutex::default(),
        });
        let accepted = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&accepted, &listener));
        Ok(Self {
            address,
            shared,
            accepting: Some(accepting),
        })
    }

    /// What a client is configured with, for example `http://127.0.0.1:40123/api`.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.shared.base)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a rule after the ones that are there.
    pub fn script(&self, rule: Rule) {
        self.shared.change(|log| log.rules.push(rule));
    }

    /// Forgets every rule.
    pub fn unscript(&self) {
        self.shared.change(|log| log.rules.clear());
    }

    /// Changes the usual behaviour.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.shared.change(|log| change(&mut log.memory.behaviour));
    }

    /// Sets the balance in USD.
    pub fn set_balance(&self, usd: &str) {
        let balance = ledger::parse_decimal(usd);
        self.shared
            .change(|log| log.memory.ledger.balance = Some(balance));
    }

    /// Answers these very bytes with this transcript.
    pub fn say(&self, bytes: &[u8], text: &str) {
        let content = blake3::hash(bytes).to_hex().to_string();
        self.behave(|behaviour| drop(behaviour.texts.insert(content, text.to_owned())));
    }

    /// Looks at everything that happened so far.
    pub fn look<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Blocks until the log is as wanted; fails the test after [`PATIENCE`].
    pub fn wait(&self, what: &str, wanted: impl Fn(&Log) -> bool) {
        assert!(
            self.wait_within(PATIENCE, wanted),
            "waited in vain: {what}\n{}",
            self.story()
        );
    }

    /// Blocks until the log is as wanted or the time is over; tells which.
    pub fn wait_within(&self, patience: Duration, wanted: impl Fn(&Log) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut log = self.shared.lock();
        while !wanted(&log) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(log, left);
            log = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    /// A line a request, for the message of a failed test and for demonstrations.
    pub fn story(&self) -> String {
        self.look(|log| {
            let lines = log.exchanges.iter().map(|one| format!("  {one}"));
            let violations = log
                .violations()
                .iter()
                .map(|text| format!("  violation: {text}"));
            let mut story: Vec<String> = lines.chain(violations).collect();
            let charges = log.ledger().charges.len();
            story.push(format!("  {charges} charges, {} USD", log.ledger().total()));
            story.join("\n")
        })
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        open.stopped = true;
        for stream in open.streams.iter().filter_map(Weak::upgrade) {
            stream.shutdown(std::net::Shutdown::Both).ok();
        }
        drop(open);
        // Wakes the accepting thread, which then sees that it is over and closes the port.
        TcpStream::connect(self.address).ok();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream.map(Arc::new) else {
            continue;
        };
        let mut open = shared
            .open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if open.stopped {
            return;
        }
        open.streams.retain(|stream| stream.strong_count() > 0);
        open.streams.push(Arc::downgrade(&stream));
        let number = open.accepted;
        open.accepted += 1;
        drop(open);
        let serving = Arc::clone(shared);
        thread::spawn(move || serve::serve(&serving, stream, number));
    }
}
