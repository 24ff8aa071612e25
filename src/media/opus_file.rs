//! Writes an Ogg stream of Opus (RFC 7845), packet by packet, exactly as long as its sound.

use std::io::{self, Write};

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::domain::audio::{Bitrate, OPUS_PACKETS_PER_PAGE};

use super::decode::RATE;
use super::guard::guarded;
use super::opus::{ENCODER_DELAY, Encoder, GRANULE_RATE, Head, PACKET_SAMPLES};
use super::shrink::ShrinkError;

/// The number of the only stream in the file; it means nothing.
const SERIAL: u32 = 1;
/// Granules of an Ogg stream of Opus in one sample.
const GRANULES: u64 = (GRANULE_RATE / RATE) as u64;
/// Samples that the encoder is late.
const DELAY_SAMPLES: u64 = ENCODER_DELAY as u64 / GRANULES;

/// A file that is being written; one packet is held back, because the last one carries the exact
/// length.
pub(super) struct OpusFile<W: Write> {
    encoder: Encoder,
    writer: PacketWriter<'static, Counted<W>>,
    held: Option<Vec<u8>>,
    /// Samples in the packets that were encoded.
    encoded: u64,
    /// Packets that were written.
    written: u64,
}

impl<W: Write> OpusFile<W> {
    /// Begins a file in `target` with a fresh encoder.
    pub(super) fn begin(target: W, bitrate: Bitrate) -> Result<Self, ShrinkError> {
        let encoder = guarded(|| Encoder::new(bitrate)).ok().flatten();
        let encoder = encoder.ok_or(ShrinkError::Encoder)?;
        let mut writer = PacketWriter::new(Counted { target, bytes: 0 });
        let head = Head {
            channels: 1,
            pre_skip: ENCODER_DELAY,
            family: 0,
        };
        for header in [head.bytes(RATE), tags()] {
            writer
                .write_packet(header, SERIAL, PacketWriteEndInfo::EndPage, 0)
                .map_err(ShrinkError::Write)?;
        }
        Ok(Self {
            encoder,
            writer,
            held: None,
            encoded: 0,
            written: 0,
        })
    }

    /// Encodes a packet; only the last one may hold less sound than samples.
    pub(super) fn push(&mut self, samples: &[f32; PACKET_SAMPLES]) -> Result<(), ShrinkError> {
        let encoder = &mut self.encoder;
        let encoded = guarded(|| encoder.encode(samples).map(<[u8]>::to_vec));
        let packet = encoded.ok().flatten().ok_or(ShrinkError::Encoder)?;
        if let Some(before) = self.held.replace(packet) {
            self.written += 1;
            let end = match self.written % OPUS_PACKETS_PER_PAGE {
                0 => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            self.write(before, end, self.encoded * GRANULES)?;
        }
        self.encoded += PACKET_SAMPLES as u64;
        Ok(())
    }

    /// Brings the encoder to its end by silence, writes the last packet with the granule position at
    /// which the sound of so many samples ends (RFC 7845, section 4.4), and gives the bytes of the
    /// file.
    pub(super) fn finish(mut self, samples: u64) -> Result<(u64, W), ShrinkError> {
        while self.encoded < samples + DELAY_SAMPLES {
            self.push(&[0.0; PACKET_SAMPLES])?;
        }
        let granule = samples * GRANULES + u64::from(ENCODER_DELAY);
        if let Some(last) = self.held.take() {
            self.write(last, PacketWriteEndInfo::EndStream, granule)?;
        }
        let mut target = self.writer.into_inner();
        target.flush().map_err(ShrinkError::Write)?;
        Ok((target.bytes, target.target))
    }

    fn write(
        &mut self,
        packet: Vec<u8>,
        end: PacketWriteEndInfo,
        granule: u64,
    ) -> Result<(), ShrinkError> {
        let written = self.writer.write_packet(packet, SERIAL, end, granule);
        written.map_err(ShrinkError::Write)
    }
}

/// The comment header: a vendor and no comments (RFC 7845, section 5.2).
fn tags() -> Vec<u8> {
    let mut bytes = b"OpusTags\x06\0\0\0stenod".to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// Counts what is written.
struct Counted<W> {
    target: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.target.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}
