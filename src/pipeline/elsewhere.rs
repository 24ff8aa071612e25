//! Files of a recording that were written elsewhere once (`render -o`), or under a number that is not
//! needed any more: as long as they are as stenod wrote them, they say the same as the others.

use std::path::{Path, PathBuf};

use crate::domain::format::Format;
use crate::domain::job::ContentHash;
use crate::domain::naming;
use crate::domain::render::{self, Document};
use crate::outputs::{self, Standing, Written};
use crate::queue::Output;

/// A file that stenod wrote and nobody changed, and what it is to hold by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stray {
    pub(super) format: Format,
    pub(super) bytes: Vec<u8>,
    pub(super) written: Written,
    /// Whether it holds it already.
    pub(super) is_same: bool,
}

/// The files of `known` that are not among those `at_home`, are there, and are as stenod wrote them.
pub(super) fn strays(
    known: Vec<Output>,
    at_home: &[PathBuf],
    source: &Path,
    mut document: Document,
) -> Vec<Stray> {
    let mut strays = Vec::new();
    for one in known {
        let Ok(format) = one.format.parse::<Format>() else {
            continue;
        };
        if at_home.contains(&one.path) {
            continue;
        }
        document.source.path = seen_from(&one.path, source);
        let Some(bytes) = render::render(format, &document) else {
            continue;
        };
        let hash = ContentHash(*blake3::hash(&bytes).as_bytes());
        // What cannot be read, as on a disk that is away, is none of today's business.
        let is_same = match outputs::look(&one.path, hash, &|_| Some(one.hash)) {
            Ok(Standing::Same) => true,
            Ok(Standing::Ours) => false,
            Ok(Standing::Free | Standing::Foreign) | Err(_) => continue,
        };
        strays.push(Stray {
            format,
            bytes,
            written: Written {
                path: one.path,
                hash,
                note: one.note,
            },
            is_same,
        });
    }
    strays
}

/// The way from an output (or the path that its outputs begin with) to the recording.
pub(super) fn seen_from(output: &Path, source: &Path) -> PathBuf {
    naming::relative(output.parent().unwrap_or(Path::new("")), source)
}
