//! The chunks of WAV (RIFF, RF64, BW64), AIFF and CAF, held against the length of the file.
//!
//! Recorders that stream write 0 or all ones for a length they do not know yet: that means "until
//! the end". A WAV gets a substitute header, so that files over 4 GiB, odd chunks and wrong outer
//! lengths do not matter to the demuxer.

use std::fs::File;
use std::io;

use super::probe::ProbeError;
use super::source::{array_at, read_at};

/// Chunks that a header may have before its sound.
const MAX_CHUNKS: usize = 1000;
/// The longest format chunk that is believed, in bytes.
const MAX_FORMAT_BYTES: usize = 4096;
/// Missing bytes that are forgiven: writers disagree on padding.
const FORGIVEN_BYTES: u64 = 8;

/// Where the sound of a WAV lies, and what precedes it for the demuxer.
#[derive(Debug)]
pub(super) struct Wave {
    /// A plain RIFF header for the sound.
    pub(super) header: Vec<u8>,
    /// The first byte of the sound.
    pub(super) start: u64,
    /// The byte behind the sound, within the file.
    pub(super) end: u64,
    /// How the file is shorter than it says.
    pub(super) cut: Option<String>,
}

/// Finds the sound of a WAV of `length` bytes that begins at `origin`.
pub(super) fn wave(file: &File, origin: u64, length: u64) -> Result<Wave, ProbeError> {
    let mut at = origin + 12;
    let (mut format, mut fact, mut long_length) = (None, None, None);
    for _ in 0..MAX_CHUNKS {
        let Some([i0, i1, i2, i3, s0, s1, s2, s3]) = array_at::<8>(file, at)? else {
            return Err(ProbeError::cut("the WAV ends before its sound begins"));
        };
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let body = at + 8;
        match &[i0, i1, i2, i3] {
            b"ds64" => long_length = array_at::<16>(file, body)?.and_then(second_u64),
            b"fmt " => format = Some(chunk_body(file, body, size)?),
            b"fact" => fact = Some(chunk_body(file, body, size)?),
            b"data" => {
                let Some(format) = format else {
                    return Err(ProbeError::damaged(
                        "the WAV does not say how its sound is coded",
                    ));
                };
                let declared = declared_length(size, long_length);
                return Ok(laid_out(&format, fact.as_deref(), body, declared, length));
            }
            _ => {}
        }
        at = body + u64::from(size) + u64::from(size & 1);
    }
    Err(ProbeError::damaged(
        "the WAV has thousands of chunks and no sound",
    ))
}

fn second_u64(pair: [u8; 16]) -> Option<u64> {
    pair.last_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The stated length of the sound; `None` when the recorder did not know it.
fn declared_length(size: u32, long_length: Option<u64>) -> Option<u64> {
    match (size, long_length) {
        (u32::MAX, Some(length)) => Some(length),
        (0 | u32::MAX, _) => None,
        (size, _) => Some(u64::from(size)),
    }
}

fn chunk_body(file: &File, at: u64, size: u32) -> Result<Vec<u8>, ProbeError> {
    let size = size as usize;
    if size > MAX_FORMAT_BYTES {
        return Err(ProbeError::damaged(
            "a chunk of the WAV header is far too long",
        ));
    }
    let mut body = vec![0; size];
    if read_at(file, at, &mut body)?.len() < size {
        return Err(ProbeError::cut("the WAV ends inside its header"));
    }
    Ok(body)
}

fn laid_out(
    format: &[u8],
    fact: Option<&[u8]>,
    start: u64,
    declared: Option<u64>,
    length: u64,
) -> Wave {
    let there = length.saturating_sub(start);
    let end = start + declared.map_or(there, |declared| declared.min(there));
    let cut = declared
        .and_then(|declared| shortage("the WAV", there, declared))
        .or_else(|| (there == 0).then(|| "the WAV has a header and no sound yet".to_owned()));
    let sound = u32::try_from(end - start).unwrap_or(u32::MAX);
    let mut header = b"RIFF\xff\xff\xff\xffWAVE".to_vec();
    push_chunk(&mut header, b"fmt ", format);
    if let Some(fact) = fact {
        push_chunk(&mut header, b"fact", fact);
    }
    header.extend_from_slice(b"data");
    header.extend_from_slice(&sound.to_le_bytes());
    Wave {
        header,
        start,
        end,
        cut,
    }
}

fn push_chunk(header: &mut Vec<u8>, name: &[u8; 4], body: &[u8]) {
    header.extend_from_slice(name);
    header.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    header.extend_from_slice(body);
    if body.len() % 2 == 1 {
        header.push(0);
    }
}

/// How much is missing, in words; `None` when enough is there.
fn shortage(what: &str, there: u64, declared: u64) -> Option<String> {
    (there + FORGIVEN_BYTES < declared).then(|| {
        let (there, declared) = (Bytes(there), Bytes(declared));
        format!("{what} is shorter than its header says: {there} of {declared} of sound")
    })
}

/// Bytes for people.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes @ 0..10_000 => write!(formatter, "{bytes} bytes"),
            bytes @ 10_000..10_000_000 => write!(formatter, "{} KB", bytes / 1000),
            bytes => write!(formatter, "{} MB", bytes / 1_000_000),
        }
    }
}

/// How an AIFF of `length` bytes is shorter than its sound chunk says, if it is.
pub(super) fn aiff_shortage(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some([i0, i1, i2, i3, size @ ..]) = array_at::<8>(file, at)? else {
            break;
        };
        let (size, body) = (u64::from(u32::from_be_bytes(size)), at + 8);
        if &[i0, i1, i2, i3] == b"SSND" {
            return Ok(shortage("the AIFF", length.saturating_sub(body), size));
        }
        at = body + size + size % 2;
    }
    Ok(Some("the AIFF ends before its sound begins".to_owned()))
}

/// How a CAF of `length` bytes is shorter than its data chunk says, if it is.
pub(super) fn caf_shortage(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut at: u64 = 8;
    for _ in 0..MAX_CHUNKS {
        let Some([i0, i1, i2, i3, size @ ..]) = array_at::<12>(file, at)? else {
            break;
        };
        let body = at + 12;
        // -1: until the end of the file.
        let size = u64::try_from(i64::from_be_bytes(size)).ok();
        if &[i0, i1, i2, i3] == b"data" {
            let there = length.saturating_sub(body);
            return Ok(size.and_then(|size| shortage("the CAF", there, size)));
        }
        match size.and_then(|size| body.checked_add(size)) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(Some("the CAF ends before its sound begins".to_owned()))
}
