//! HTTP/1.1 by hand over one blocking socket: reads a request piece by piece, writes a reply.
//!
//! The caller is told of every arrival of body bytes and may stop in between; nothing is read
//! ahead of what it asked for, except what the kernel buffers.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// The longest request head that is read, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;
/// The most that one read takes from the socket, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// The request line and the headers, as they came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    /// Names in lower case, values trimmed, in order of arrival.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The declared length of the body in bytes; none for a chunked one.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")
            .and_then(|text| text.parse().ok())
    }

    /// Whether the body comes in chunks of unknown total.
    pub fn chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|text| text.eq_ignore_ascii_case("chunked"))
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }
}

/// One accepted connection.
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    /// Bytes that were read and not used yet.
    ahead: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Reads one head; none when the peer closed between requests.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.ahead.split_off(end + 4);
                let text = std::mem::replace(&mut self.ahead, rest);
                return parse_head(&text[..end]).map(Some);
            }
            if self.ahead.len() > LONGEST_HEAD {
                return Err(malformed("the head is too long"));
            }
            if self.more(READ_SIZE)? == 0 {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads up to `length` bytes of the body into `body`, telling `arrived` of every piece.
    pub(super) fn body(
        &mut self,
        body: &mut Vec<u8>,
        length: u64,
        mut arrived: impl FnMut(u64),
    ) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| malformed("the body is too long"))?;
        while body.len() < length {
            let missing = length - body.len();
            if self.ahead.is_empty() && self.more(missing.min(READ_SIZE))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = missing.min(self.ahead.len());
            body.extend(self.ahead.drain(..take));
            arrived(body.len() as u64);
        }
        Ok(())
    }

    /// Reads a chunked body to its end.
    pub(super) fn chunks(
        &mut self,
        body: &mut Vec<u8>,
        mut arrived: impl FnMut(u64),
    ) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                .map_err(|_| malformed("a chunk size that is no number"))?;
            let until = body.len() as u64 + size;
            self.body(body, until, &mut arrived)?;
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Reads and forgets until the peer is gone.
    pub(super) fn drain(&mut self) {
        self.ahead.clear();
        while self.more(READ_SIZE).is_ok_and(|count| count > 0) {
            self.ahead.clear();
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.stream).write_all(bytes)
    }

    /// Makes the closing of this connection a reset instead of an orderly end.
    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(
            &*self.stream,
            Some(Duration::ZERO),
        )?)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let rest = self.ahead.split_off(end + 2);
                let line = std::mem::replace(&mut self.ahead, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.more(READ_SIZE)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn more(&mut self, most: usize) -> io::Result<usize> {
        let mut piece = vec![0; most.min(READ_SIZE)];
        let count = (&*self.stream).read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let text = str::from_utf8(bytes).map_err(|_| malformed("a head that is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (first.next(), first.next(), first.next(), first.next())
    else {
        return Err(malformed("the request line"));
    };
    let headers = lines
        .map(|line| {
            let (key, value) = line
                .split_once(':')
                .ok_or(malformed("a header without a colon"))?;
            Ok((key.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<io::Result<_>>()?;
    Ok(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
    })
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A reply of the service: status, headers beyond the obvious, body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers beside `Content-Type`, `Content-Length` and `X-Request-ID`.
    pub headers: Vec<(String, String)>,
    /// The `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON reply.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// A reply with any text and type.
    pub fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let content_type = content_type.to_owned();
        Self {
            status,
            headers: Vec::new(),
            content_type,
            body: body.into(),
        }
    }

    /// A reply without a body.
    pub fn empty(status: u16) -> Self {
        Self::text(status, "text/plain", "")
    }

    /// An empty reply that asks to come back in so many whole seconds.
    pub fn busy(status: u16, seconds: u64) -> Self {
        Self::empty(status).with("retry-after", seconds.to_string())
    }

    /// An empty reply that asks to come back at a time so many seconds from now, as an HTTP date
    /// (RFC 9110 section 5.6.7).
    pub fn busy_until(status: u16, seconds: i64) -> Self {
        let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let date = printer
            .timestamp_to_rfc9110_string(&then)
            .expect("a date of our time");
        Self::empty(status).with("retry-after", date)
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Everything as it goes over the wire.
    pub(super) fn wire(&self, request_id: &str, keep: bool) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
            ..
        } = self;
        let mut head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\nx-request-id: {request_id}\r\n",
            body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(if keep {
            "\r\n"
        } else {
            "connection: close\r\n\r\n"
        });
        [head.as_bytes(), body].concat()
    }
}
