//! Fetches what a link leads to, as the service does; only on loopback, and only over plain HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The links that are followed.
pub(super) const FOLLOWED: &str = "http://127.0.0.1:";

/// The bytes behind `link`, or why there are none.
pub(super) fn fetch(link: &str) -> Result<Vec<u8>, String> {
    let rest = link
        .strip_prefix("http://")
        .ok_or_else(|| "the link is not http".to_owned())?;
    let (host, target) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).map_err(|error| error.to_string())?;
    let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_end(&mut answer))
        .map_err(|error| error.to_string())?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("the answer has no end of its head")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = answer.split_off(end + 4);
    if !head.starts_with("http/1.1 200") {
        return Err(head.lines().next().unwrap_or_default().to_owned());
    }
    let declared = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok());
    if declared != Some(body.len()) {
        return Err(format!("{} bytes came, {declared:?} were told", body.len()));
    }
    Ok(body)
}
