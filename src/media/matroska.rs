//! The outermost elements of Matroska and WebM (RFC 8794), held against the length of the file.

use std::fs::File;
use std::io;

use super::source::read_at;

const SEGMENT: u64 = 0x1853_8067;

/// How a Matroska of `length` bytes is cut short, if it is; a segment of unknown length, as live
/// recorders write it, never is.
pub(super) fn shortage(file: &File, length: u64) -> io::Result<Option<String>> {
    let mut at = 0;
    // The EBML header, perhaps a void element, then the segment.
    for _ in 0..8 {
        let mut buffer = [0; 12];
        let Some((id, size, header)) = element(read_at(file, at, &mut buffer)?) else {
            return Ok(Some("the Matroska ends inside its header".to_owned()));
        };
        let Some(size) = size else {
            return Ok(None);
        };
        let end = at.saturating_add(header).saturating_add(size);
        if id == SEGMENT && end > length {
            let cut =
                format!("the Matroska is shorter than its header says: {length} of {end} bytes");
            return Ok(Some(cut));
        }
        if id == SEGMENT {
            return Ok(None);
        }
        at = end;
    }
    Ok(None)
}

/// An element's identifier, its size (`None`: unknown) and the length of both in bytes.
fn element(bytes: &[u8]) -> Option<(u64, Option<u64>, u64)> {
    let id_length = bytes.first()?.leading_zeros() as usize + 1;
    let id = big_endian(bytes.get(..id_length).filter(|id| id.len() <= 4)?);
    let rest = bytes.get(id_length..)?;
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    let size = big_endian(rest.get(..size_length).filter(|size| size.len() <= 8)?);
    let mask = (1_u64 << (7 * size_length)) - 1;
    let size = (size & mask != mask).then_some(size & mask);
    Some((id, size, (id_length + size_length) as u64))
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
