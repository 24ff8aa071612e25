//! Re-encodes the speech of a recording as Opus in Ogg (RFC 7845), so that it fits an upload.
//!
//! Decode, mix to one channel at 16 kHz, encode, write: packet by packet, in memory that does not
//! grow with the length. The result is exactly as long as the sound of the source, and the same
//! source gives the same bytes.

use std::io::{self, Write};
use std::path::Path;

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::domain::audio::{AudioDuration, Bitrate, OPUS_PACKETS_PER_PAGE};

use super::decode::{DecodeError, RATE, Samples};
use super::guard::guarded;
use super::opus::{ENCODER_DELAY, Encoder, GRANULE_RATE, Head, PACKET_SAMPLES};

/// The number of the only stream in the file; it means nothing.
const SERIAL: u32 = 1;
/// Granules of an Ogg stream of Opus in one sample.
const GRANULES: u64 = (GRANULE_RATE / RATE) as u64;
/// Samples that the encoder is late.
const DELAY_SAMPLES: u64 = ENCODER_DELAY as u64 / GRANULES;

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// Bytes written.
    pub bytes: u64,
    /// The length of the sound.
    pub duration: AudioDuration,
    /// Packets of the source that could not be decoded and became silence.
    pub damaged_packets: u64,
    /// How the source is shorter than it should be, if it is.
    pub cut_short: Option<String>,
}

/// Why a recording cannot be shrunk.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no sound in it.
    #[error("it has no sound")]
    Silent,
    /// The encoder library failed.
    #[error("the Opus encoder failed")]
    Encoder,
    /// The result cannot be written.
    #[error("the smaller copy cannot be written: {0}")]
    Write(#[source] io::Error),
}

impl ShrinkError {
    /// A stable name for scripts and for counting by reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::Silent => "no_sound",
            Self::Encoder => "encoder_failed",
            Self::Write(_) => "not_written",
        }
    }
}

/// Writes the speech of the recording at `source` to `target` at this bit rate.
///
/// # Errors
/// See [`ShrinkError`]; what was written so far is then of no use.
pub fn shrink(
    source: &Path,
    target: &mut dyn Write,
    bitrate: Bitrate,
) -> Result<Shrunk, ShrinkError> {
    let mut samples = Samples::open(source)?;
    let encoder = guarded(|| Encoder::new(bitrate)).ok().flatten();
    let mut stream = OpusStream::begin(target, encoder.ok_or(ShrinkError::Encoder)?)?;
    let mut packet = [0.0; PACKET_SAMPLES];
    loop {
        let count = samples.read(&mut packet)?;
        if count < PACKET_SAMPLES {
            return finish(stream, &packet, count, &samples);
        }
        stream.push(&packet)?;
    }
}

/// Writes the last samples and the silence behind them that brings the encoder to its end.
fn finish(
    mut stream: OpusStream<'_>,
    last: &[f32; PACKET_SAMPLES],
    count: usize,
    samples: &Samples,
) -> Result<Shrunk, ShrinkError> {
    let report = samples.report();
    if report.samples == 0 {
        return Err(ShrinkError::Silent);
    }
    let mut packet = [0.0; PACKET_SAMPLES];
    for (target, sample) in packet.iter_mut().zip(last.iter().take(count)) {
        *target = *sample;
    }
    while stream.encoded < report.samples + DELAY_SAMPLES {
        stream.push(&packet)?;
        packet = [0.0; PACKET_SAMPLES];
    }
    let bytes = stream.end(report.samples)?;
    Ok(Shrunk {
        bytes,
        duration: AudioDuration::from_frames(report.samples, RATE).unwrap_or_default(),
        damaged_packets: report.damaged_packets,
        cut_short: report.cut_short.clone(),
    })
}

/// An Ogg stream of Opus that is being written; one packet is held back, because the last one
/// carries the exact length.
struct OpusStream<'t> {
    encoder: Encoder,
    writer: PacketWriter<'static, Counted<'t>>,
    held: Option<Vec<u8>>,
    /// Samples in the packets that were encoded.
    encoded: u64,
    /// Packets that were written.
    written: u64,
}

impl<'t> OpusStream<'t> {
    fn begin(target: &'t mut dyn Write, encoder: Encoder) -> Result<Self, ShrinkError> {
        let target = Counted { target, bytes: 0 };
        let mut writer = PacketWriter::new(target);
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

    fn push(&mut self, samples: &[f32; PACKET_SAMPLES]) -> Result<(), ShrinkError> {
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

    /// Writes the last packet with the granule position at which the sound ends (RFC 7845,
    /// section 4.4), and gives the bytes of the file.
    fn end(mut self, samples: u64) -> Result<u64, ShrinkError> {
        let granule = samples * GRANULES + u64::from(ENCODER_DELAY);
        if let Some(last) = self.held.take() {
            self.write(last, PacketWriteEndInfo::EndStream, granule)?;
        }
        let mut target = self.writer.into_inner();
        target.flush().map_err(ShrinkError::Write)?;
        Ok(target.bytes)
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
struct Counted<'t> {
    target: &'t mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.target.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audio::AudioFormat;
    use crate::media::fixtures::{example, file_of, fixture};
    use crate::media::probe::probe;

    fn shrunk(path: &Path, bitrate: Bitrate) -> (Shrunk, Vec<u8>) {
        let mut bytes = Vec::new();
        let shrunk = shrink(path, &mut bytes, bitrate).unwrap();
        (shrunk, bytes)
    }

    fn decode(path: &Path) -> Vec<f32> {
        let mut samples = vec![0.0; 60 * RATE as usize];
        let count = Samples::open(path).unwrap().read(&mut samples).unwrap();
        samples.truncate(count);
        samples
    }

    #[test]
    fn the_copy_is_as_long_as_the_source_to_the_sample() {
        for name in [
            "jfk.flac",
            "librivox-0870.mp3",
            "librivox-0880.wav",
            "two-cities.ogg",
        ] {
            let (shrunk, bytes) = shrunk(&example(name), Bitrate::Kbps24);
            let (_folder, path) = file_of("copy.ogg", &bytes);
            let copy = probe(&path).unwrap();
            assert_eq!((copy.format, copy.codec), (AudioFormat::Ogg, "opus"));
            assert_eq!(copy.duration, Some(shrunk.duration), "{name}");
            assert_eq!(decode(&path).len(), decode(&example(name)).len(), "{name}");
            assert_eq!((shrunk.damaged_packets, &shrunk.cut_short), (0, &None));
        }
    }

    #[test]
    fn the_copy_sounds_like_the_source_and_in_its_place() {
        let source = decode(&example("librivox-0880.wav"));
        let mut before = 0.0;
        for bitrate in Bitrate::BEST_FIRST.into_iter().rev() {
            let (_, bytes) = shrunk(&example("librivox-0880.wav"), bitrate);
            let (_folder, path) = file_of("copy.ogg", &bytes);
            let copy = decode(&path);
            let product = |left: &[f32], right: &[f32]| -> f32 {
                left.iter()
                    .zip(right)
                    .map(|(left, right)| left * right)
                    .sum()
            };
            let likeness = product(&source, &copy)
                / (product(&source, &source) * product(&copy, &copy)).sqrt();
            assert!(
                likeness > 0.9 && likeness > before,
                "{bitrate:?}: {likeness}"
            );
            before = likeness;
        }
    }

    #[test]
    fn the_size_stays_within_what_was_promised_for_every_rate() {
        for bitrate in Bitrate::BEST_FIRST {
            let (shrunk, bytes) = shrunk(&example("two-cities.ogg"), bitrate);
            let promised = bitrate.file_bytes(shrunk.duration);
            assert_eq!(shrunk.bytes, bytes.len() as u64);
            let bytes = shrunk.bytes;
            assert!(bytes <= promised, "{bitrate:?}: {bytes} of {promised}");
            assert!(
                bytes > promised * 3 / 4,
                "{bitrate:?}: {bytes} of {promised}"
            );
        }
    }

    /// Silence saves and noise spends: together the worst that an encoder with a reserve can meet.
    #[test]
    fn noise_does_not_break_the_promise() {
        let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend_from_slice(&16_000_u32.to_le_bytes());
        wav.extend_from_slice(b"\0\x7d\0\0\x02\0\x10\0data\xff\xff\xff\xff");
        let mut state = 1_u64;
        for index in 0..20 * RATE {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let [high, low, ..] = state.to_be_bytes();
            let noisy = index > 5 * RATE;
            wav.extend_from_slice(&if noisy { [high, low] } else { [0; 2] });
        }
        let (_folder, path) = file_of("noise.wav", &wav);
        for bitrate in [Bitrate::Kbps16, Bitrate::Kbps32] {
            let (shrunk, _) = shrunk(&path, bitrate);
            assert!(
                shrunk.bytes <= bitrate.file_bytes(shrunk.duration),
                "{shrunk:?}"
            );
        }
    }

    #[test]
    fn the_same_source_gives_the_same_bytes() {
        let path = example("librivox-0930.opus");
        assert_eq!(
            shrunk(&path, Bitrate::Kbps16),
            shrunk(&path, Bitrate::Kbps16)
        );
    }

    #[test]
    fn the_stream_begins_and_ends_as_the_rfc_says() {
        let (shrunk, bytes) = shrunk(&example("librivox-0880.wav"), Bitrate::Kbps32);
        let mut reader = ogg::PacketReader::new(io::Cursor::new(bytes));
        let head = reader.read_packet_expected().unwrap();
        assert!(head.first_in_stream() && head.last_in_page());
        let expected = Head {
            channels: 1,
            pre_skip: 312,
            family: 0,
        };
        assert_eq!(Head::parse(&head.data), Some(expected));
        let tags = reader.read_packet_expected().unwrap();
        assert!(tags.data.starts_with(b"OpusTags") && tags.last_in_page());
        let mut last = tags;
        while let Some(packet) = reader.read_packet().unwrap() {
            assert!((2..=160).contains(&packet.data.len()));
            last = packet;
        }
        assert!(last.last_in_stream());
        assert_eq!(last.absgp_page(), 47_840 * 3 + 312);
        assert_eq!(shrunk.duration.micros(), 2_990_000);
    }

    #[test]
    fn what_cannot_be_decoded_or_has_no_sound_is_an_error() {
        let code = |path: &Path| {
            shrink(path, &mut io::sink(), Bitrate::Kbps24)
                .unwrap_err()
                .code()
        };
        assert_eq!(code(&fixture("speech.wma")), "unsupported");
        assert_eq!(code(&fixture("silent-film.mp4")), "no_audio_track");
        let wav = std::fs::read(example("librivox-0880.wav")).unwrap();
        let sound = wav.windows(4).position(|mark| mark == b"data").unwrap();
        let (_folder, path) = file_of("header.wav", &wav[..sound + 8]);
        assert_eq!(code(&path), "no_sound");
    }

    #[test]
    fn a_full_disk_is_told_from_a_bad_source() {
        let error = shrink(
            &example("jfk.flac"),
            &mut &mut [0; 500][..],
            Bitrate::Kbps24,
        );
        assert_eq!(error.unwrap_err().code(), "not_written");
    }
}
