//! Tags behind and within the sound of a stream without a container (MP3, ADTS), which a frame search
//! must not take for sound.

use std::fs::File;
use std::io;

use crate::domain::audio::{Sniffed, sniff};

use super::source::array_at;

/// Tags that may follow each other at the end of a file.
const MAX_TAGS: usize = 8;
/// The length of an ID3v1 tag, which has no header.
const ID3V1_BYTES: u64 = 128;
/// The length of the footer of an APEv2 tag, and of its header.
const APE_FOOTER_BYTES: u64 = 32;

/// As many bytes as [`length_at`] looks at.
pub(super) const HEADER_BYTES: usize = 16;

/// The length of the tag that begins with `bytes`, if one does: where files were joined, tags lie in the middle.
pub(super) fn length_at(bytes: &[u8]) -> Option<u64> {
    if let Sniffed::Tag { length } = sniff(bytes) {
        return Some(length);
    }
    if bytes.starts_with(b"TAG") {
        return Some(ID3V1_BYTES);
    }
    let Some((b"APETAGEX", [_, _, _, _, size @ ..])) = bytes.split_first_chunk() else {
        return None;
    };
    let size = u32::from_le_bytes(*size.first_chunk()?);
    Some(u64::from(size) + APE_FOOTER_BYTES)
}

/// Where the sound of `file`, which has `length` bytes, ends: before the ID3v1, APEv2 and Lyrics3
/// tags at its end, never before `start`.
pub(super) fn end_of_sound(file: &File, start: u64, length: u64) -> io::Result<u64> {
    let mut end = length;
    for _ in 0..MAX_TAGS {
        match tag_length(file, end)? {
            Some(tag) if end.saturating_sub(tag) > start => end -= tag,
            _ => break,
        }
    }
    Ok(end)
}

fn tag_length(file: &File, end: u64) -> io::Result<Option<u64>> {
    if let Some(start) = end.checked_sub(ID3V1_BYTES)
        && array_at::<3>(file, start)?.as_ref() == Some(b"TAG")
    {
        return Ok(Some(ID3V1_BYTES));
    }
    if let Some(tag) = ape_length(file, end)? {
        return Ok(Some(tag));
    }
    lyrics_length(file, end)
}

/// An APEv1 or APEv2 tag by its footer: magic, version, size (without the header), count, flags.
fn ape_length(file: &File, end: u64) -> io::Result<Option<u64>> {
    let Some(start) = end.checked_sub(APE_FOOTER_BYTES) else {
        return Ok(None);
    };
    let Some(footer) = array_at::<24>(file, start)?.filter(|f| f.starts_with(b"APETAGEX")) else {
        return Ok(None);
    };
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        flags,
    ] = footer;
    let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
    let header = if flags & 0x80 != 0 {
        APE_FOOTER_BYTES
    } else {
        0
    };
    Ok((size >= APE_FOOTER_BYTES).then_some(size + header))
}

/// A Lyrics3v2 tag: its size in six digits, then a mark.
fn lyrics_length(file: &File, end: u64) -> io::Result<Option<u64>> {
    let Some(start) = end.checked_sub(15) else {
        return Ok(None);
    };
    let Some(footer) = array_at::<15>(file, start)?.filter(|f| f.ends_with(b"LYRICS200")) else {
        return Ok(None);
    };
    let digits = footer
        .first_chunk::<6>()
        .and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .map(|size| size + 15))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn end(bytes: &[u8]) -> u64 {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        end_of_sound(&file, 0, bytes.len() as u64).unwrap()
    }

    fn id3v1() -> Vec<u8> {
        let mut tag = b"TAG".to_vec();
        tag.resize(128, 0);
        tag
    }

    fn ape() -> Vec<u8> {
        let edge = |flags: u8| {
            let mut edge = b"APETAGEX\xd0\x07\0\0".to_vec();
            edge.extend_from_slice(&52_u32.to_le_bytes());
            edge.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, flags]);
            edge.resize(32, 0);
            edge
        };
        [edge(0xa0), vec![0xff; 20], edge(0x80)].concat()
    }

    #[test]
    fn tags_at_the_end_are_no_sound() {
        let sound = vec![0x55; 500];
        assert_eq!(end(&sound), 500);
        assert_eq!(end(&[sound.clone(), id3v1()].concat()), 500);
        assert_eq!(end(&[sound.clone(), ape(), id3v1()].concat()), 500);
        let lyrics = b"LYRICSBEGININD0000200000020LYRICS200".to_vec();
        assert_eq!(end(&[sound, lyrics, id3v1()].concat()), 500 + 36 - 15 - 20);
    }

    #[test]
    fn a_tag_in_the_middle_has_a_length() {
        assert_eq!(
            length_at(b"ID3\x04\0\0\0\0\x01\x02 and more"),
            Some(10 + 130)
        );
        assert_eq!(length_at(&id3v1()), Some(128));
        assert_eq!(length_at(&ape()), Some(ape().len() as u64));
        assert_eq!(length_at(b"APETAGEX"), None);
        assert_eq!(length_at(&[0xff, 0xfb, 0x90, 0x44]), None);
        assert_eq!(length_at(b""), None);
    }

    #[test]
    fn a_tag_that_claims_the_whole_file_is_not_believed() {
        let mut tag = ape();
        tag.drain(..60);
        assert_eq!(end(&tag), tag.len() as u64);
        assert_eq!(end(b"TAG"), 3);
    }
}
