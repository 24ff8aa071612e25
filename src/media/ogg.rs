//! The page structure of Ogg (RFC 3533), walked to see whether the file ends inside a page, and told from
//! damage that only looks like that.

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

/// The longest page, in bytes.
const LONGEST_PAGE: usize = HEADER_BYTES + 255 + 255 * 255;

/// How the pages of an Ogg lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// Each behind the one before, the last up to the end.
    Whole,
    /// The file ends inside the last one.
    Cut,
    /// Not each behind the one before: the demuxer has to look for the next one.
    Torn,
}

/// How the pages of an Ogg of `length` bytes lie in it.
pub(super) fn pages(file: &File, length: u64) -> io::Result<Pages> {
    let mut at = 0;
    let mut header = [0; HEADER_BYTES + 255];
    while at < length {
        let header = read_at(file, at, &mut header)?;
        let Some((fixed, table)) = header.split_at_checked(HEADER_BYTES) else {
            return Ok(Pages::Cut);
        };
        if !fixed.starts_with(b"OggS") {
            return Ok(Pages::Torn);
        }
        let segments = usize::from(fixed.last().copied().unwrap_or(0));
        let Some(table) = table.get(..segments) else {
            return overlong(file, at);
        };
        let body: u64 = table.iter().copied().map(u64::from).sum();
        let next = at + (HEADER_BYTES + segments) as u64 + body;
        if next > length {
            return overlong(file, at);
        }
        at = next;
    }
    Ok(Pages::Whole)
}

/// What a page means that claims more bytes than there are: where another one of its stream begins within it,
/// it is the claim that is wrong.
fn overlong(file: &File, at: u64) -> io::Result<Pages> {
    let mut page = vec![0; LONGEST_PAGE];
    let page = read_at(file, at, &mut page)?;
    let stream = page.get(14..18).unwrap_or_default();
    let mut others = page.windows(18).skip(1);
    let is_page = |there: &[u8]| there.starts_with(b"OggS\0") && there.ends_with(stream);
    Ok(match others.any(is_page) {
        true => Pages::Torn,
        false => Pages::Cut,
    })
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::media::fixtures::example;

    fn pages_of(bytes: &[u8]) -> Pages {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        pages(&file, bytes.len() as u64).unwrap()
    }

    #[test]
    fn a_page_that_is_cut_is_told_from_one_that_claims_too_much() {
        let bytes = std::fs::read(example("librivox-0930.opus")).unwrap();
        assert_eq!(pages_of(&bytes), Pages::Whole);
        for length in [10, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(pages_of(&bytes[..length]), Pages::Cut, "{length}");
        }
        let marks = bytes.windows(4).enumerate();
        let places: Vec<_> = marks
            .filter_map(|(at, mark)| (mark == b"OggS").then_some(at))
            .collect();
        let (first, second) = (places[2], places[3]);
        let mut claims = bytes.clone();
        claims[first + 26] = 255;
        claims[first + 27..first + 27 + 255].fill(255);
        assert_eq!(pages_of(&claims), Pages::Torn);
        let mut gone = bytes;
        gone[second] = b'X';
        assert_eq!(pages_of(&gone), Pages::Torn);
    }
}
