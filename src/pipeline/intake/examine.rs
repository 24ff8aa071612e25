//! Reading a file that counts as complete, once: what it is, how long, and its hash.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::discover::sample;
use crate::domain::audio::AudioFormat;
use crate::domain::job::{ContentHash, Reason};
use crate::domain::route::{RouteTerms, Shape, choose};
use crate::domain::settle::{CUT_SHORT, Fingerprint, Room, Zeros};
use crate::media::probe::{ProbeError, probe_file};
use crate::pipeline::{Event, Reporter};
use crate::queue::Known;
use crate::source;
use crate::supervise::{TaskPanicked, blocking};

/// So many bytes of a file are read before it is told how far that is, and again (16 MiB): smaller files
/// are read before anybody could see it.
const READ_STEP: u64 = 16 << 20;
/// Bytes that are read at once (128 KiB).
const READ_AT_ONCE: usize = 128 << 10;

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
    /// It holds zeros that somebody may still write over: wait until it changes, or has not for long.
    Preallocated,
    /// Its disk stopped answering while it was read.
    Silent,
    /// It changed while it was read: look again later.
    Changed,
}

/// Probes and hashes a file that counts as complete at `now`, and tells of how many bytes that is; blocks for
/// as long as reading it takes.
pub fn examine(
    path: &Path,
    fingerprint: &Fingerprint,
    now: Timestamp,
    told: &mut dyn FnMut(u64),
) -> Examined {
    let examined = source::open(path)
        .map_err(ProbeError::from)
        .and_then(|file| {
            // Before it is read: what was read counts as written to some disks.
            let holes = source::holes(&file)?;
            let probe = probe_file(&file)?;
            let (hash, zeros) = hashed(&file, told).map_err(ProbeError::Unreadable)?;
            let room = Room {
                size: fingerprint.size,
                zeros,
                is_hole: holes.at_the_end,
                has_holes: holes.anywhere,
                format: probe.format,
                duration: probe.duration,
            };
            Ok((probe, hash, room))
        });
    match sample(path) {
        Ok(Some(now)) if now == *fingerprint => {}
        Ok(_) => return Examined::Changed,
        Err(error) => return skipped_by(&ProbeError::Unreadable(error)),
    }
    match examined {
        Ok((_, _, room)) if room.is_preallocated() && !fingerprint.zeros_are_believed(now) => {
            Examined::Preallocated
        }
        Ok((probe, hash, _)) => Examined::Recording(Known::Recording {
            hash,
            duration: probe.duration,
            format: probe.format,
            has_video: Some(probe.has_video),
        }),
        Err(error) => skipped_by(&error),
    }
}

/// The hash of a whole file, and the zeros in it.
fn hashed(mut file: &File, told: &mut dyn FnMut(u64)) -> io::Result<(ContentHash, Zeros)> {
    let mut hasher = blake3::Hasher::new();
    let mut zeros = Zeros::default();
    let mut buffer = vec![0; READ_AT_ONCE];
    let (mut read, mut next) = (0, READ_STEP);
    file.rewind()?;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok((ContentHash(*hasher.finalize().as_bytes()), zeros)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        zeros.count(bytes);
        read += u64::try_from(count).unwrap_or(0);
        if read >= next {
            next = read + READ_STEP;
            told(read);
        }
    }
}

pub(in crate::pipeline) async fn examine_soon(
    path: PathBuf,
    fingerprint: Fingerprint,
    now: Timestamp,
    reporter: Arc<dyn Reporter>,
) -> Result<Examined, TaskPanicked> {
    blocking(move || {
        let size = fingerprint.size;
        let tell = |read| {
            let path = path.clone();
            reporter.report(&Event::Reading { path, read, size });
        };
        let mut was_told = false;
        let examined = examine(&path, &fingerprint, now, &mut |read| {
            was_told = true;
            // The last of it is told when all is known.
            if read < size {
                tell(read);
            }
        });
        if was_told {
            tell(size);
        }
        examined
    })
    .await
}

/// Whether it is to be looked up whether the sound of a recording can be decoded here: it has to be on its way, and
/// the format does not say. What no service promises to read was looked up by the probe.
pub(in crate::pipeline) fn may_be_undecodable(shape: &Shape, terms: &RouteTerms) -> bool {
    use AudioFormat::{Aac, M4a, Ogg, Wav};
    [M4a, Aac, Ogg, Wav].contains(&shape.format)
        && choose(shape, terms).is_ok_and(|chosen| chosen.decodes())
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
    if let ProbeError::NotAudio { resembles } = error {
        // The room was made before the content came, as some copiers do.
        return format!("cut short: {resembles} yet");
    }
    let text = error.to_string();
    if error.code() == CUT_SHORT {
        return text;
    }
    format!("cut short: {text}")
}
