//! Reading a file that counts as complete, once: what it is, how long, and its hash.

use std::io;
use std::path::{Path, PathBuf};

use crate::discover::sample;
use crate::domain::job::{ContentHash, Reason};
use crate::domain::settle::{CUT_SHORT, Fingerprint};
use crate::media::probe::{ProbeError, probe_file};
use crate::queue::Known;
use crate::source;
use crate::supervise::{TaskPanicked, blocking};

/// What an examination found, for a file that did not change meanwhile.
#[derive(Debug)]
pub enum Examined {
    /// A recording.
    Recording(Known),
    /// No recording, or one that cannot be used.
    Skipped {
        /// Why.
        reason: Reason,
        /// Whether the file as it is will never be one, so that it need not be read again.
        lasting: bool,
    },
    /// Bytes are missing that may still come: wait until it changes.
    CutShort {
        /// What says so.
        what: String,
    },
    /// It changed while it was read: look again later.
    Changed,
}

/// Probes and hashes a file that counts as complete; blocks for as long as reading it takes.
pub fn examine(path: &Path, fingerprint: &Fingerprint) -> Examined {
    let examined = source::open(path)
        .map_err(ProbeError::from)
        .and_then(|file| {
            let probe = probe_file(&file)?;
            let mut hasher = blake3::Hasher::new();
            let mut reader = &file;
            io::Seek::rewind(&mut reader).map_err(ProbeError::Unreadable)?;
            hasher
                .update_reader(reader)
                .map_err(ProbeError::Unreadable)?;
            Ok((probe, ContentHash(*hasher.finalize().as_bytes())))
        });
    match sample(path) {
        Ok(Some(now)) if now == *fingerprint => {}
        Ok(_) => return Examined::Changed,
        Err(error) => return skipped_by(&ProbeError::Unreadable(error)),
    }
    match examined {
        Ok((probe, hash)) => Examined::Recording(Known::Recording {
            hash,
            duration: probe.duration,
            format: probe.format,
        }),
        Err(error) => skipped_by(&error),
    }
}

pub(in crate::pipeline) async fn examine_soon(
    path: PathBuf,
    fingerprint: Fingerprint,
) -> Result<Examined, TaskPanicked> {
    blocking(move || examine(&path, &fingerprint)).await
}

fn skipped_by(error: &ProbeError) -> Examined {
    if error.may_still_grow() {
        return Examined::CutShort {
            what: missing(error),
        };
    }
    // A file that cannot be read today may be readable tomorrow without having changed.
    let lasting = !matches!(error, ProbeError::Unreadable(_));
    Examined::Skipped {
        reason: Reason::new(error.code(), error.to_string()),
        lasting,
    }
}

/// What is missing, in the words by which such a file waits.
fn missing(error: &ProbeError) -> String {
    let text = error.to_string();
    if error.code() == CUT_SHORT {
        return text;
    }
    // The room was made before the content came, as some copiers do.
    format!("cut short: {text}")
}
