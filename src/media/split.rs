//! Cuts a recording into pieces at its pauses, each a file of Opus in Ogg of its own.
//!
//! In one pass and in memory that does not grow with the length: what lies around the next cut waits
//! until that is decided. Pieces follow each other without gap or overlap, to the sample. The same
//! source and cutting give the same bytes, from any piece on, and every piece can be made again
//! alone.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::domain::audio::{AudioDuration, Bitrate};
use crate::domain::cut::{Cutting, Stretch, power};

use super::decode::Samples;
use super::opus::PACKET_SAMPLES;
use super::opus_file::OpusFile;
use super::shrink::{Heed, ShrinkError, duration, heard, next_packet};

/// A piece that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Counts from 0.
    pub number: u32,
    /// What it holds.
    pub stretch: Stretch,
    /// The bytes of its file.
    pub bytes: u64,
}

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Pieces, those before the first one that was made included.
    pub pieces: u32,
    /// The length of the sound.
    pub duration: AudioDuration,
    /// Packets of the source that could not be decoded and became silence.
    pub damaged_packets: u64,
    /// How the source is shorter than it should be, if it is.
    pub cut_short: Option<String>,
}

/// The piece with which to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// Its number.
    pub number: u32,
    /// Its first sample: the end of the piece before.
    pub start: u64,
}

/// Where the pieces go, one after the other.
pub trait Spool {
    /// What a piece is written to.
    type File: Write;

    /// Begins a piece.
    ///
    /// # Errors
    /// Whatever the place of the pieces has to say; it ends the work.
    fn begin(&mut self, number: u32) -> io::Result<Self::File>;

    /// Takes a piece that is complete; its file was flushed.
    ///
    /// # Errors
    /// Whatever the place of the pieces has to say; it ends the work.
    fn complete(&mut self, piece: Piece, file: Self::File) -> io::Result<()>;
}

/// Cuts a recording that was opened into pieces, from a piece on.
///
/// # Errors
/// See [`ShrinkError`]; the pieces that were completed before are good.
pub fn split<S: Spool>(
    mut samples: Samples,
    cutting: &Cutting,
    from: Resume,
    spool: &mut S,
    heed: &mut Heed<'_>,
) -> Result<Split, ShrinkError> {
    skip(&mut samples, from.start, heed)?;
    let mut cutter = Cutter {
        cutting,
        spool,
        number: from.number,
        start: from.start,
        file: None,
        passed: 0,
        held: VecDeque::new(),
        powers: Vec::new(),
    };
    while let Some(packet) = next_packet(&mut samples)? {
        heard(&samples, heed)?;
        cutter.take(packet)?;
    }
    let report = samples.report();
    if report.samples == 0 {
        return Err(ShrinkError::Silent);
    }
    let pieces = cutter.end(report.samples)?;
    Ok(Split {
        pieces,
        duration: duration(report.samples),
        damaged_packets: report.damaged_packets,
        cut_short: report.cut_short.clone(),
    })
}

/// Writes one stretch of a recording that was opened to `target` and gives the bytes: those of the
/// piece that was cut there.
///
/// # Errors
/// See [`ShrinkError`]; what was written so far is then of no use.
pub fn copy_stretch(
    mut samples: Samples,
    stretch: Stretch,
    bitrate: Bitrate,
    target: &mut dyn Write,
    heed: &mut Heed<'_>,
) -> Result<u64, ShrinkError> {
    skip(&mut samples, stretch.start, heed)?;
    let length = stretch.end.saturating_sub(stretch.start);
    let mut file = OpusFile::begin(target, bitrate)?;
    let mut packet = [0.0; PACKET_SAMPLES];
    let mut left = length;
    while left > 0 {
        heard(&samples, heed)?;
        read_exactly(&mut samples, &mut packet, left, stretch.end)?;
        file.push(&packet)?;
        left = left.saturating_sub(PACKET_SAMPLES as u64);
    }
    Ok(file.finish(length)?.0)
}

/// Reads a packet of which `left` samples are wanted; the rest of it becomes silence.
fn read_exactly(
    samples: &mut Samples,
    packet: &mut [f32; PACKET_SAMPLES],
    left: u64,
    end: u64,
) -> Result<(), ShrinkError> {
    let wanted = usize::try_from(left).map_or(PACKET_SAMPLES, |left| left.min(PACKET_SAMPLES));
    packet.fill(0.0);
    let part = packet.get_mut(..wanted).unwrap_or_default();
    if samples.read(part)? < wanted {
        return Err(shorter(samples, end));
    }
    Ok(())
}

/// Decodes and forgets what lies before a sample.
fn skip(samples: &mut Samples, start: u64, heed: &mut Heed<'_>) -> Result<(), ShrinkError> {
    let mut packet = [0.0; PACKET_SAMPLES];
    let mut left = start;
    while left > 0 {
        read_exactly(samples, &mut packet, left, start)?;
        heard(samples, heed)?;
        left = left.saturating_sub(PACKET_SAMPLES as u64);
    }
    Ok(())
}

fn shorter(samples: &Samples, wanted: u64) -> ShrinkError {
    ShrinkError::Shorter {
        there: duration(samples.report().samples),
        wanted: duration(wanted),
    }
}

/// The samples of a packet.
type Packet = [f32; PACKET_SAMPLES];

/// One pass over a recording.
struct Cutter<'c, S: Spool> {
    cutting: &'c Cutting,
    spool: &'c mut S,
    /// The piece that is being made.
    number: u32,
    /// Its first sample.
    start: u64,
    /// Its file, once there is sound for it.
    file: Option<OpusFile<S::File>>,
    /// Packets that went into the file.
    passed: usize,
    /// Packets that may belong to this piece or the next.
    held: VecDeque<Packet>,
    /// Their powers.
    powers: Vec<f32>,
}

impl<S: Spool> Cutter<'_, S> {
    fn take(&mut self, packet: Packet) -> Result<(), ShrinkError> {
        if self.passed < *self.cutting.window().start() {
            return self.pass(&packet);
        }
        self.powers.push(power(&packet));
        self.held.push_back(packet);
        if self.passed + self.held.len() < self.cutting.ahead() {
            return Ok(());
        }
        self.cut()
    }

    /// Encodes a packet of this piece.
    fn pass(&mut self, packet: &Packet) -> Result<(), ShrinkError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let target = self.spool.begin(self.number).map_err(ShrinkError::Write)?;
                self.file
                    .insert(OpusFile::begin(target, self.cutting.bitrate())?)
            }
        };
        self.passed += 1;
        file.push(packet)
    }

    /// Completes this piece where it is best cut, if more must follow; what was held belongs to the
    /// next.
    fn cut(&mut self) -> Result<(), ShrinkError> {
        let Some(length) = self.cutting.cut(&self.powers) else {
            return Ok(());
        };
        self.powers.clear();
        let mut held = std::mem::take(&mut self.held);
        let rest = held.split_off(length.saturating_sub(self.passed).min(held.len()));
        for packet in held {
            self.pass(&packet)?;
        }
        self.complete(self.start + (self.passed * PACKET_SAMPLES) as u64)?;
        rest.into_iter().try_for_each(|packet| self.take(packet))
    }

    fn complete(&mut self, end: u64) -> Result<(), ShrinkError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let stretch = Stretch {
            start: self.start,
            end,
        };
        let (bytes, file) = file.finish(end - self.start)?;
        let piece = Piece {
            number: self.number,
            stretch,
            bytes,
        };
        self.spool
            .complete(piece, file)
            .map_err(ShrinkError::Write)?;
        self.number += 1;
        self.start = end;
        self.passed = 0;
        Ok(())
    }

    /// Makes the last pieces of a recording of so many samples, and gives the number of all.
    fn end(mut self, samples: u64) -> Result<u32, ShrinkError> {
        self.cut()?;
        for packet in std::mem::take(&mut self.held) {
            self.pass(&packet)?;
        }
        self.complete(samples)?;
        Ok(self.number)
    }
}

#[cfg(test)]
mod tests;
