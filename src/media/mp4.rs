//! The boxes of MP4 and QuickTime (ISO/IEC 14496-12) that the demuxer does not report: whether the
//! file is whole, what is copy-protected, which edits trim the sound, and how long it is.

use std::fs::File;

use super::probe::ProbeError;
use super::source::{array_at, read_at};

/// Boxes at the top level; a fragmented recording has two a second or so.
const MAX_BOXES: usize = 4_000_000;
/// The longest index that is read, in bytes: a day of film needs about 20 MB.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// The deepest nesting of boxes that is followed.
const MAX_DEPTH: usize = 8;

/// What an MP4 says about itself.
#[derive(Debug)]
pub(super) struct Movie {
    pub(super) tracks: Vec<MovieTrack>,
    /// The sound lies in fragments, each with an index of its own.
    pub(super) fragmented: bool,
    /// How the file is shorter than it says.
    pub(super) cut: Option<String>,
    /// Where its last part ends by its own account, in bytes.
    pub(super) end: u64,
}

/// One track of an MP4.
#[derive(Debug, Clone, Default)]
pub(super) struct MovieTrack {
    pub(super) id: u32,
    pub(super) handler: [u8; 4],
    pub(super) codec: [u8; 4],
    /// Ticks a second.
    pub(super) timescale: u32,
    /// Ticks of all samples, when the index lists them.
    pub(super) ticks: u64,
    /// Ticks to skip at the start.
    pub(super) skip: u64,
    /// Ticks to keep behind those skipped; `None` for all.
    pub(super) keep: Option<u64>,
    /// How long nothing is before its beginning, in microseconds.
    pub(super) late: u64,
    edits: Vec<Edit>,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    /// In ticks of the movie.
    length: u64,
    /// In ticks of the track; `None` for a stretch of nothing.
    start: Option<u64>,
}

impl MovieTrack {
    pub(super) fn is_audio(&self) -> bool {
        &self.handler == b"soun"
    }

    /// True for moving pictures; the still pictures of chapters do not count.
    pub(super) fn is_video(&self) -> bool {
        &self.handler == b"vide" && !matches!(&self.codec, b"jpeg" | b"png " | b"tiff")
    }

    pub(super) fn is_protected(&self) -> bool {
        matches!(&self.codec, b"enca" | b"drms" | b"drmi" | b"encv" | b"aavd")
    }

    /// A single edit trims the sound; several, or none that can be, leave it whole. Those of nothing before it
    /// delay it.
    fn apply_edits(&mut self, movie_timescale: u32) {
        let nothing = self.edits.iter().take_while(|edit| edit.start.is_none());
        let late = nothing.fold(0, |sum, edit| u128::from(edit.length) + sum) * 1_000_000;
        let late = late.checked_div(u128::from(movie_timescale)).unwrap_or(0);
        self.late = u64::try_from(late).unwrap_or(0);
        let mut real = self
            .edits
            .iter()
            .filter_map(|edit| Some((edit.start?, edit.length)));
        let (Some((start, length)), None) = (real.next(), real.next()) else {
            return;
        };
        if start < self.ticks || self.ticks == 0 {
            self.skip = start;
            let scaled = u128::from(length) * u128::from(self.timescale);
            let keep = scaled.checked_div(u128::from(movie_timescale)).unwrap_or(0);
            self.keep = u64::try_from(keep).ok().filter(|keep| *keep > 0);
        }
    }

    /// Ticks of sound when the index lists all samples.
    pub(super) fn sounding_ticks(&self) -> u64 {
        let behind = self.ticks.saturating_sub(self.skip);
        self.keep.map_or(behind, |keep| keep.min(behind))
    }
}

/// Reads the boxes of an MP4 of `length` bytes.
///
/// # Errors
/// No index in it, or one that makes no sense.
pub(super) fn movie(file: &File, length: u64) -> Result<Movie, ProbeError> {
    let top = top_level(file, length)?;
    let Some((start, size)) = top.index else {
        return Err(ProbeError::cut(
            top.cut
                .unwrap_or_else(|| "the MP4 has no index (moov) yet".to_owned()),
        ));
    };
    if size > MAX_INDEX_BYTES {
        return Err(ProbeError::damaged(
            "the index (moov) of the MP4 is far too long",
        ));
    }
    let mut index = vec![0; usize::try_from(size).unwrap_or_default()];
    let index = read_at(file, start, &mut index)?;
    let mut found = Found::default();
    found.walk(index, 0);
    for track in &mut found.tracks {
        track.apply_edits(found.timescale);
    }
    Ok(Movie {
        tracks: found.tracks,
        fragmented: found.fragmented,
        cut: top.cut,
        end: top.end,
    })
}

#[derive(Default)]
struct TopLevel {
    /// Place and size of the body of `moov`.
    index: Option<(u64, u64)>,
    cut: Option<String>,
    end: u64,
}

fn top_level(file: &File, length: u64) -> Result<TopLevel, ProbeError> {
    let mut top = TopLevel::default();
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        if at >= length {
            return Ok(top);
        }
        let Some((name, header, size)) = box_header(file, at, length)? else {
            // Less than a header, or no size that makes sense: junk behind a whole file is harmless.
            if top.index.is_none() {
                top.cut = Some("the MP4 ends before its index (moov)".to_owned());
            }
            return Ok(top);
        };
        let end = at.saturating_add(size);
        top.end = end;
        if end > length {
            let name = String::from_utf8_lossy(&name).into_owned();
            top.cut = Some(format!(
                "the MP4 ends inside its part {name:?}: {} of {size} bytes",
                length - at
            ));
            return Ok(top);
        }
        if &name == b"moov" {
            top.index = Some((at + header, size - header));
        }
        at = end;
    }
    Err(ProbeError::damaged("the MP4 has millions of parts"))
}

/// A box's name, the length of its header and its whole size in bytes.
fn box_header(
    file: &File,
    at: u64,
    length: u64,
) -> Result<Option<([u8; 4], u64, u64)>, ProbeError> {
    let Some([s0, s1, s2, s3, name @ ..]) = array_at::<8>(file, at)? else {
        return Ok(None);
    };
    let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
        0 => (8, length - at),
        1 => match array_at::<8>(file, at + 8)? {
            Some(size) => (16, u64::from_be_bytes(size)),
            None => return Ok(None),
        },
        size => (8, u64::from(size)),
    };
    let named = name
        .iter()
        .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | 0xa9));
    Ok((named && size >= header).then_some((name, header, size)))
}

#[derive(Default)]
struct Found {
    timescale: u32,
    fragmented: bool,
    tracks: Vec<MovieTrack>,
}

impl Found {
    fn walk(&mut self, mut bytes: &[u8], depth: usize) {
        while depth < MAX_DEPTH
            && let Some((name, body, rest)) = split_box(bytes)
        {
            match &name {
                b"trak" => {
                    self.tracks.push(MovieTrack::default());
                    self.walk(body, depth + 1);
                }
                b"mdia" | b"minf" | b"stbl" | b"edts" => self.walk(body, depth + 1),
                b"mvex" => self.fragmented = true,
                b"mvhd" => self.timescale = full_box_u32(body, 12, 20).unwrap_or(0),
                _ => {
                    if let Some(track) = self.tracks.last_mut() {
                        describe(track, name, body);
                    }
                }
            }
            bytes = rest;
        }
    }
}

fn describe(track: &mut MovieTrack, name: [u8; 4], body: &[u8]) {
    match &name {
        b"tkhd" => track.id = full_box_u32(body, 12, 20).unwrap_or(0),
        b"mdhd" => track.timescale = full_box_u32(body, 12, 20).unwrap_or(0),
        // A QuickTime data handler inside `minf` has no such type.
        b"hdlr" if track.handler == [0; 4] => {
            track.handler = four(body, 8).unwrap_or_default();
        }
        b"stsd" => track.codec = four(body, 12).unwrap_or_default(),
        b"stts" => track.ticks = total_ticks(body),
        b"elst" => track.edits = edits(body),
        _ => {}
    }
}

/// The first box in `bytes`: name, body, and what follows it.
fn split_box(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let size = number(bytes, 0)?;
    let name = four(bytes, 4)?;
    let (header, size) = match size {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(long_number(bytes, 8)?).ok()?),
        size => (8, size as usize),
    };
    let (whole, rest) = bytes.split_at_checked(size)?;
    Some((name, whole.get(header..)?, rest))
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    four(bytes, at).map(u32::from_be_bytes)
}

fn long_number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u64::from_be_bytes(*bytes))
}

/// A 32-bit field of a box with a version, whose place depends on it.
fn full_box_u32(body: &[u8], short: usize, long: usize) -> Option<u32> {
    let place = if body.first()? == &0 { short } else { long };
    number(body, place)
}

/// The sum over the decoding-time-to-sample table.
fn total_ticks(body: &[u8]) -> u64 {
    let entries = number(body, 4).unwrap_or(0) as usize;
    let (table, _) = body.get(8..).unwrap_or_default().as_chunks::<8>();
    table
        .iter()
        .take(entries)
        .fold(0, |sum, [c0, c1, c2, c3, delta @ ..]| {
            let count = u32::from_be_bytes([*c0, *c1, *c2, *c3]);
            let delta = u32::from_be_bytes(*delta);
            u64::from(count)
                .saturating_mul(u64::from(delta))
                .saturating_add(sum)
        })
}

/// The edit list, in either version.
fn edits(body: &[u8]) -> Vec<Edit> {
    let entries = (number(body, 4).unwrap_or(0) as usize).min(body.len() / 12);
    let long = body.first() == Some(&1);
    let read = |index: usize| {
        let at = 8 + index * if long { 20 } else { 12 };
        let (length, start) = if long {
            (
                long_number(body, at)?,
                long_number(body, at + 8)?.cast_signed(),
            )
        } else {
            (
                u64::from(number(body, at)?),
                i64::from(number(body, at + 4)?.cast_signed()),
            )
        };
        Some(Edit {
            length,
            start: u64::try_from(start).ok(),
        })
    };
    (0..entries).map_while(read).collect()
}
