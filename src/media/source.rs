//! A recording's bytes, read-only: a window of a regular file behind an optional substitute header.
//!
//! Every read is positional, so a caller's own handle is not moved. What may be read in all is
//! bounded: a structure that sends its reader in circles ends in an error instead of never.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use symphonia::core::io::MediaSource;

use super::probe::ProbeError;
use crate::source;

/// How often the bytes of a source may be read over in all: seeking between the tracks of a badly
/// interleaved film rereads much.
const READS_PER_BYTE: u64 = 16;
/// What a reader may take beyond that, in bytes.
const READ_ALLOWANCE: u64 = 64 * 1024 * 1024;

/// Opens a regular file for reading without touching its access time where that is permitted.
pub(super) fn open_regular(path: &Path) -> Result<File, ProbeError> {
    Ok(source::open(path)?)
}

/// Refuses everything but a regular file.
pub(super) fn refuse_special(metadata: &std::fs::Metadata) -> Result<(), ProbeError> {
    Ok(source::refuse_special(metadata)?)
}

/// Fills `buffer` from `offset` on as far as the file reaches and gives the filled part.
pub(super) fn read_at<'b>(
    file: &File,
    offset: u64,
    buffer: &'b mut [u8],
) -> io::Result<&'b mut [u8]> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.split_at_mut(filled).0)
}

/// Exactly `N` bytes at `offset`; `None` when the file ends before.
pub(super) fn array_at<const N: usize>(file: &File, offset: u64) -> io::Result<Option<[u8; N]>> {
    let mut buffer = [0; N];
    Ok((read_at(file, offset, &mut buffer)?.len() == N).then_some(buffer))
}

/// The reader was sent in circles.
#[derive(Debug, thiserror::Error)]
#[error("its structure sends the reader in circles")]
pub(super) struct ReadInCircles;

/// What the demuxer reads: `header`, then the bytes `start..end` of `file`.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    header: Vec<u8>,
    start: u64,
    end: u64,
    position: u64,
    budget: u64,
}

impl Source {
    /// The bytes `start..end` of `file` behind `header`; `end` may lie behind the end of the file.
    pub(super) fn new(file: File, header: Vec<u8>, start: u64, end: u64) -> Self {
        let window = end.saturating_sub(start);
        let there = file
            .metadata()
            .map_or(window, |metadata| metadata.len().min(window));
        let budget = there
            .saturating_mul(READS_PER_BYTE)
            .saturating_add(READ_ALLOWANCE);
        Self {
            file,
            header,
            start,
            end: start.saturating_add(window),
            position: 0,
            budget,
        }
    }

    /// The same file with another header and window.
    pub(super) fn narrowed(self, header: Vec<u8>, start: u64, end: u64) -> Self {
        Self::new(self.file, header, start, end)
    }

    fn len(&self) -> u64 {
        self.header.len() as u64 + (self.end - self.start)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let header = usize::try_from(self.position)
            .ok()
            .and_then(|position| self.header.get(position..))
            .filter(|rest| !rest.is_empty());
        let count = if let Some(mut rest) = header {
            rest.read(buffer)?
        } else {
            let room = self.len().saturating_sub(self.position).min(self.budget);
            let room = usize::try_from(room)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            if self.budget == 0 {
                return Err(io::Error::other(ReadInCircles));
            }
            let offset = self.start + (self.position - self.header.len() as u64);
            let (buffer, _) = buffer.split_at_mut(room);
            self.file.read_at(buffer, offset)?
        };
        self.position += count as u64;
        self.budget = self.budget.saturating_sub(count as u64);
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A seek costs what a small read costs, or a loop of seeks would never end.
        self.budget = self.budget.saturating_sub(16);
        if self.budget == 0 {
            return Err(io::Error::other(ReadInCircles));
        }
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(delta) => self.len().checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_source_is_its_header_and_then_the_window() {
        let mut source = Source::new(file(b"0123456789"), b"head".to_vec(), 2, 7);
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        assert_eq!(text, "head23456");
        assert_eq!(source.byte_len(), Some(9));
        source.seek(SeekFrom::End(-2)).unwrap();
        text.clear();
        source.read_to_string(&mut text).unwrap();
        assert_eq!(text, "56");
        source.seek(SeekFrom::Start(100)).unwrap();
        assert_eq!(
            source.read(&mut [0; 4]).unwrap(),
            0,
            "behind the end is the end"
        );
    }

    #[test]
    fn reading_in_circles_ends() {
        let mut source = Source::new(file(&[7; 1000]), Vec::new(), 0, 1000);
        let error = loop {
            let step = source
                .seek(SeekFrom::Start(0))
                .and_then(|_| io::copy(&mut source, &mut io::sink()));
            if let Err(error) = step {
                break error;
            }
        };
        assert!(
            error
                .get_ref()
                .is_some_and(|cause| cause.is::<ReadInCircles>())
        );
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.mp3");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        for (path, expected) in [(folder.path(), "a folder"), (&pipe, "a pipe")] {
            let Err(ProbeError::NotAFile { what }) = open_regular(path) else {
                panic!("opened {expected}");
            };
            assert_eq!(what, expected);
        }
    }
}
