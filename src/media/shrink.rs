//! Re-encodes the speech of a recording as Opus in Ogg (RFC 7845), so that it fits an upload.
//!
//! Decode, mix to one channel at 16 kHz, encode, write: packet by packet, in memory that does not
//! grow with the length. The result is exactly as long as the sound of the source, and the same
//! source gives the same bytes.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use crate::domain::audio::{AudioDuration, Bitrate};

use super::decode::{DecodeError, RATE, Samples};
use super::opus::PACKET_SAMPLES;
use super::opus_file::OpusFile;

/// Told how much sound is done, packet by packet; says whether to go on.
pub type Heed<'h> = dyn FnMut(AudioDuration) -> ControlFlow<()> + 'h;

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
    /// It ends before the stretch that was asked for.
    #[error("it is shorter than it was: it ends after {there}, and {wanted} was to be copied")]
    Shorter {
        /// Where it ends.
        there: AudioDuration,
        /// Where the stretch ends.
        wanted: AudioDuration,
    },
    /// Whoever asked for it said stop.
    #[error("it was stopped")]
    Stopped,
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
            Self::Shorter { .. } => "shorter",
            Self::Stopped => "stopped",
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
    heed: &mut Heed<'_>,
) -> Result<Shrunk, ShrinkError> {
    let mut samples = Samples::open(source)?;
    let mut file = OpusFile::begin(target, bitrate)?;
    while let Some(packet) = next_packet(&mut samples)? {
        heard(&samples, heed)?;
        file.push(&packet)?;
    }
    let report = samples.report();
    if report.samples == 0 {
        return Err(ShrinkError::Silent);
    }
    let (bytes, _) = file.finish(report.samples)?;
    Ok(Shrunk {
        bytes,
        duration: duration(report.samples),
        damaged_packets: report.damaged_packets,
        cut_short: report.cut_short.clone(),
    })
}

/// The next packet's samples, the last one filled up with silence; `None` at the end.
pub(super) fn next_packet(
    samples: &mut Samples,
) -> Result<Option<[f32; PACKET_SAMPLES]>, ShrinkError> {
    let mut packet = [0.0; PACKET_SAMPLES];
    let count = samples.read(&mut packet)?;
    Ok((count > 0).then_some(packet))
}

/// Tells how far it is, and stops when told so.
pub(super) fn heard(samples: &Samples, heed: &mut Heed<'_>) -> Result<(), ShrinkError> {
    match heed(duration(samples.report().samples)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ShrinkError::Stopped),
    }
}

/// The length of so many samples.
pub(super) fn duration(samples: u64) -> AudioDuration {
    AudioDuration::from_frames(samples, RATE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audio::AudioFormat;
    use crate::media::fixtures::{example, file_of, fixture};
    use crate::media::opus::Head;
    use crate::media::probe::probe;

    fn shrunk(path: &Path, bitrate: Bitrate) -> (Shrunk, Vec<u8>) {
        let mut bytes = Vec::new();
        let shrunk = shrink(
            path,
            &mut bytes,
            bitrate,
            &mut |_| ControlFlow::Continue(()),
        )
        .unwrap();
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
            shrink(path, &mut io::sink(), Bitrate::Kbps24, &mut |_| {
                ControlFlow::Continue(())
            })
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
            &mut |_| ControlFlow::Continue(()),
        );
        assert_eq!(error.unwrap_err().code(), "not_written");
    }

    #[test]
    fn it_tells_how_far_it_is_and_stops_when_told() {
        let mut told = Vec::new();
        let mut heed = |done: AudioDuration| {
            told.push(done.micros());
            match done.micros() {
                1_000_000.. => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        let stopped = shrink(
            &example("jfk.flac"),
            &mut io::sink(),
            Bitrate::Kbps24,
            &mut heed,
        );
        assert_eq!(stopped.unwrap_err().code(), "stopped");
        let steps: Vec<u64> = (1..=50).map(|packet| packet * 20_000).collect();
        assert_eq!(told, steps);
    }
}
