//! The page structure of Ogg (RFC 3533), walked to see whether the file ends inside a page.

use std::fs::File;
use std::io;

use super::source::read_at;

/// The fixed part of a page header, in bytes; the segment table follows.
const HEADER_BYTES: usize = 27;
/// What streams of moving pictures begin with: Theora, Dirac, VP8.
const PICTURE_MARKS: [&[u8]; 3] = [b"\x80theora", b"BBCD\0", b"OVP80"];
/// The longest of the marks, in bytes.
const LONGEST_MARK: usize = 7;
/// The most streams that are looked at.
const MOST_STREAMS: usize = 16;

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

/// Whether one of the streams of an Ogg has moving pictures: its first pages begin all streams (RFC 3533),
/// each with the mark of its codec.
pub(super) fn has_pictures(file: &File) -> io::Result<bool> {
    let mut at = 0;
    let mut buffer = [0; HEADER_BYTES + 255 + LONGEST_MARK];
    for _ in 0..MOST_STREAMS {
        let page = read_at(file, at, &mut buffer)?;
        let Some((fixed, rest)) = page.split_at_checked(HEADER_BYTES) else {
            break;
        };
        let begins_stream = fixed.get(5).is_some_and(|flags| flags & 2 != 0);
        let segments = usize::from(fixed.last().copied().unwrap_or(0));
        let Some((table, body)) = rest.split_at_checked(segments) else {
            break;
        };
        if !fixed.starts_with(b"OggS") || !begins_stream {
            break;
        }
        if PICTURE_MARKS.iter().any(|mark| body.starts_with(mark)) {
            return Ok(true);
        }
        let length: u64 = table.iter().copied().map(u64::from).sum();
        at += (HEADER_BYTES + segments) as u64 + length;
    }
    Ok(false)
}

fn cut() -> Option<String> {
    Some("the Ogg ends inside a page".to_owned())
}
