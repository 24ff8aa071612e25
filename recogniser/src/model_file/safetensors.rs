//! One safetensors file: eight bytes of header length, a JSON header, then the numbers.
//!
//! Format: <https://huggingface.co/docs/safetensors/>. The header is checked whole when the file is
//! opened: every tensor lies within the file and is as long as its shape says.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::half::Spelling;
use crate::error::LoadError;

/// The longest header that is accepted, in bytes (the format's own limit).
const HEADER_LIMIT: u64 = 100_000_000;

/// An open file and where its tensors lie.
#[derive(Debug)]
pub(super) struct Safetensors {
    path: PathBuf,
    file: File,
    tensors: HashMap<String, Place>,
}

/// Where one tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) spelling: Spelling,
    pub(super) shape: Vec<usize>,
    start: u64,
    length: usize,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Safetensors {
    /// Opens a file and checks its header.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let mut file = File::open(path).map_err(|source| LoadError::read(path, source))?;
        let size = file
            .metadata()
            .map_err(|source| LoadError::read(path, source))?
            .len();
        let mut length = [0; 8];
        let invalid = |fault: &str| LoadError::invalid(path, fault);
        if size < 8 {
            return Err(invalid("it is too short for a safetensors header"));
        }
        file.read_exact(&mut length)
            .map_err(|source| LoadError::read(path, source))?;
        let length = u64::from_le_bytes(length);
        if length > HEADER_LIMIT || length > size - 8 {
            return Err(invalid(
                "its header is longer than the file or absurdly long",
            ));
        }
        let mut header = Vec::new();
        let read = (&mut file).take(length).read_to_end(&mut header);
        read.map_err(|source| LoadError::read(path, source))?;
        let tensors =
            places(&header, 8 + length, size).map_err(|fault| LoadError::invalid(path, fault))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            tensors,
        })
    }

    /// The place of a tensor.
    pub(super) fn place(&self, name: &str) -> Option<&Place> {
        self.tensors.get(name)
    }

    /// The bytes of a tensor.
    pub(super) fn read(&mut self, place: &Place) -> Result<Vec<u8>, LoadError> {
        let unreadable = |source| LoadError::read(&self.path, source);
        let mut bytes = vec![0; place.length];
        self.file
            .seek(SeekFrom::Start(place.start))
            .map_err(unreadable)?;
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// Reads the header of a file of `size` bytes whose numbers begin at `start`.
fn places(header: &[u8], start: u64, size: u64) -> Result<HashMap<String, Place>, String> {
    let entries: HashMap<String, serde_json::Value> = serde_json::from_slice(header)
        .map_err(|error| format!("its header is no JSON: {error}"))?;
    let mut places = HashMap::with_capacity(entries.len());
    for (name, value) in entries {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry = serde_json::from_value(value)
            .map_err(|error| format!("the entry of tensor {name} is malformed: {error}"))?;
        // Tensors of other number types are no concern of ours until one of them is asked for.
        if let Some(spelling) = Spelling::named(&entry.dtype) {
            let place = place(&entry, spelling, start, size);
            let place = place.ok_or_else(|| {
                format!("tensor {name} does not lie within the file as its shape says")
            })?;
            places.insert(name, place);
        }
    }
    Ok(places)
}

fn place(entry: &Entry, spelling: Spelling, start: u64, size: u64) -> Option<Place> {
    let shape: Vec<usize> = entry
        .shape
        .iter()
        .map(|&side| usize::try_from(side).ok())
        .collect::<Option<_>>()?;
    let numbers = shape
        .iter()
        .try_fold(1_usize, |product, &side| product.checked_mul(side))?;
    let length = numbers.checked_mul(spelling.width())?;
    let [first, end] = entry.data_offsets;
    let spans = end.checked_sub(first)? == u64::try_from(length).ok()?;
    let (first, end) = (start.checked_add(first)?, start.checked_add(end)?);
    (spans && end <= size).then_some(Place {
        spelling,
        shape,
        start: first,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(entry: &str) -> String {
        let header = format!(r#"{{"__metadata__": {{"format": "pt"}}, "a": {entry}}}"#);
        places(header.as_bytes(), 8, 8 + 12).unwrap_err()
    }

    #[test]
    fn a_tensor_within_the_file_is_found() {
        let header = br#"{"a": {"dtype": "F16", "shape": [3, 2], "data_offsets": [0, 12]}}"#;
        let places = places(header, 8, 20).unwrap();
        let wanted = Place {
            spelling: Spelling::Half,
            shape: vec![3, 2],
            start: 8,
            length: 12,
        };
        assert_eq!(places.get("a"), Some(&wanted));
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused_by_name() {
        for entry in [
            r#"{"dtype": "F16", "shape": [3, 2], "data_offsets": [2, 14]}"#,
            r#"{"dtype": "F16", "shape": [3, 2], "data_offsets": [0, 10]}"#,
            r#"{"dtype": "F16", "shape": [3, 2], "data_offsets": [12, 0]}"#,
            r#"{"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 12]}"#,
            r#"{"dtype": "F16", "shape": [9223372036854775807, 9], "data_offsets": [0, 12]}"#,
            r#"{"dtype": "F16", "shape": [6], "data_offsets": [18446744073709551604, 18446744073709551615]}"#,
        ] {
            assert!(fault(entry).contains("tensor a does not lie"), "{entry}");
        }
        assert!(fault(r#"{"dtype": "F16", "shape": [-1]}"#).contains("tensor a is malformed"));
        assert!(fault("3").contains("tensor a is malformed"));
    }

    #[test]
    fn a_header_that_is_no_json_is_refused() {
        assert!(places(b"[1, 2", 8, 20).unwrap_err().contains("no JSON"));
    }
}
