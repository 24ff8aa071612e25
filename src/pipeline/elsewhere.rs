//! Files of a recording that do not belong to it by today's names: those that were written elsewhere once
//! (`render -o`), under a number that is not needed any more, or under a name that the configuration has
//! changed since. Nothing is removed: as long as they are as stenod wrote them, they say the same as the
//! others; what a person edited is left, and what a person deleted is forgotten.

use std::path::{Path, PathBuf};

use crate::domain::format::Format;
use crate::domain::job::{ContentHash, Job};
use crate::domain::naming;
use crate::domain::render::{self, Document};
use crate::outputs::{self, Standing, Written};
use crate::queue::Output;

/// Says of a file that it has another name by now.
const EARLIER_NAME: &str = "an earlier name, kept up to date until somebody edits or deletes it";
/// Says of a file that a person has changed it.
const EDITED: &str = "edited since stenod wrote it, and left as it is";

/// The files of a recording beside those that belong to it today.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Those that are as stenod wrote them.
    pub(super) strays: Vec<Stray>,
    /// Those that a person has edited.
    pub(super) edited: Vec<Output>,
    /// Those that a person has deleted.
    pub(super) gone: Vec<PathBuf>,
}

/// A file that stenod wrote and nobody changed, and what it is to hold by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stray {
    pub(super) format: Format,
    pub(super) bytes: Vec<u8>,
    pub(super) written: Written,
    /// Whether it holds it already.
    pub(super) is_same: bool,
}

/// The files of `known` that are not among those `at_home`; the folder of the recording's own outputs is
/// there.
pub(super) fn others(
    known: Vec<Output>,
    at_home: &[PathBuf],
    job: &Job,
    mut document: Document,
) -> Others {
    let mut others = Others::default();
    for mut one in known {
        let Ok(format) = one.format.parse::<Format>() else {
            continue;
        };
        if at_home.contains(&one.path) {
            continue;
        }
        document.source.path = seen_from(&one.path, &job.source);
        let Some(bytes) = render::render(format, &document) else {
            continue;
        };
        let hash = ContentHash(*blake3::hash(&bytes).as_bytes());
        let is_near = is_near(&one.path, job);
        if is_near {
            one.note = Some(EARLIER_NAME.to_owned());
        }
        let is_same = match outputs::look(&one.path, hash, &|_| Some(one.hash)) {
            Ok(Standing::Same) => true,
            Ok(Standing::Ours) => false,
            Ok(Standing::Foreign) => {
                let note = Some(EDITED.to_owned());
                let aside = true;
                others.edited.push(Output { note, aside, ..one });
                continue;
            }
            Ok(Standing::Free) => {
                // Elsewhere it may have gone with its disk.
                others.gone.extend(is_near.then_some(one.path));
                continue;
            }
            // What cannot be read, as on a disk that is away, is none of today's business.
            Err(_) => continue,
        };
        others.strays.push(Stray {
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
    others
}

/// Whether a file lies among the recording's own, or under the folder where that was found.
fn is_near(path: &Path, job: &Job) -> bool {
    naming::is_output_of(&job.base, path) || path.starts_with(&job.root)
}

/// The way from an output (or the path that its outputs begin with) to the recording.
pub(super) fn seen_from(output: &Path, source: &Path) -> PathBuf {
    naming::relative(output.parent().unwrap_or(Path::new("")), source)
}
