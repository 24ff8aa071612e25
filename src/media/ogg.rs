//! The page structure of Ogg (RFC 3533), walked to see whether the file ends inside a page.

use std::fs::File;
use std::io;

use super::source::read_at;

/// The fixed part of a page header, in bytes; the segment table follows.
const HEADER_BYTES: usize = 27;

/// How an Ogg of `length` bytes is cut short, if it is.
///
/// Bytes that are no page end the walk without a verdict: the demuxer looks for the next page.
pub(super) fn shortage(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut at = 0;
    let mut header = [0; HEADER_BYTES + 255];
    while at < length {
        let header = read_at(file, at, &mut header)?;
        let Some((fixed, table)) = header.split_at_checked(HEADER_BYTES) else {
            return Ok(cut());
        };
        if !fixed.starts_with(b"OggS") {
            return Ok(None);
        }
        let segments = usize::from(fixed.last().copied().unwrap_or(0));
        let Some(table) = table.get(..segments) else {
            return Ok(cut());
        };
        let body: u64 = table.iter().copied().map(u64::from).sum();
        at += (HEADER_BYTES + segments) as u64 + body;
    }
    Ok(if at > length { cut() } else { None })
}

fn cut() -> Option<String> {
    Some("the Ogg ends inside a page".to_owned())
}
