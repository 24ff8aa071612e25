//! Opus: its identification header (RFC 7845, section 5.1), decoder and encoder.
//!
//! Packets are decoded straight at 16 kHz, and encoded from it, so nothing is left to resample. The library is written
//! in safe Rust as far as it touches packets; what it refuses is a damaged packet.

use rusty_opus::multistream::OpusMSDecoder;
use rusty_opus::{Application, OpusDecoder, OpusEncoder};

use crate::domain::audio::{Bitrate, OPUS_PACKET_MILLIS, OPUS_RESERVE_PACKETS};

use super::decode::RATE;

/// The rate in which Opus counts time, in frames a second.
pub(super) const GRANULE_RATE: u32 = 48_000;
/// The most frames that a packet may decode to: 120 ms.
const MAX_FRAMES: usize = RATE as usize * 120 / 1000;

/// The identification header of an Opus stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) channels: u8,
    /// Frames at 48 kHz that belong to no sound.
    pub(super) pre_skip: u16,
    /// How channels are mapped: 0 for mono and stereo, 1 for surround.
    pub(super) family: u8,
}

impl Head {
    /// The header's bytes for a recording that had `rate` samples a second.
    pub(super) fn bytes(self, rate: u32) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(self.channels);
        bytes.extend_from_slice(&self.pre_skip.to_le_bytes());
        bytes.extend_from_slice(&rate.to_le_bytes());
        bytes.extend_from_slice(&[0, 0, self.family]);
        bytes
    }

    /// Reads the header; `None` when it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"OpusHead")?;
        let [_version, channels, skip0, skip1, _, _, _, _, _, _, family] = *rest.first_chunk()?;
        let pre_skip = u16::from_le_bytes([skip0, skip1]);
        (channels > 0).then_some(Self {
            channels,
            pre_skip,
            family,
        })
    }
}

/// Decodes the packets of one stream to interleaved samples at [`RATE`].
pub(super) struct Decoder {
    streams: Streams,
    channels: usize,
    samples: Vec<f32>,
}

enum Streams {
    One(Box<OpusDecoder>),
    Several(OpusMSDecoder),
}

impl Decoder {
    /// A decoder for a stream with this header; `None` for a mapping of channels that is not known.
    pub(super) fn new(head: Head) -> Option<Self> {
        let channels = usize::from(head.channels);
        let rate = RATE.cast_signed();
        let streams = match head.family {
            0 => Streams::One(Box::new(OpusDecoder::new(rate, channels).ok()?)),
            1 => Streams::Several(OpusMSDecoder::new(rate, channels, 1).ok()?),
            _ => return None,
        };
        Some(Self {
            streams,
            channels,
            samples: vec![0.0; MAX_FRAMES * channels],
        })
    }

    /// The channels that are interleaved in what [`Self::decode`] gives.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Decodes a packet; `None` when it is damaged.
    pub(super) fn decode(&mut self, packet: &[u8]) -> Option<&[f32]> {
        if packet.is_empty() {
            return None;
        }
        let frames = match &mut self.streams {
            Streams::One(decoder) => decoder.decode(packet, MAX_FRAMES, &mut self.samples),
            Streams::Several(decoder) => decoder.decode(packet, MAX_FRAMES, &mut self.samples),
        };
        self.samples.get(..frames.ok()? * self.channels)
    }
}

/// How hard the encoder tries, of 10: beyond this, speech gains nothing that recognition notices.
const COMPLEXITY: i32 = 5;
/// Frames at 48 kHz that the encoder is late: 2.5 ms of look-ahead and 4 ms of delay compensation.
pub(super) const ENCODER_DELAY: u16 = 312;
/// Samples at [`RATE`] in a packet that is encoded.
pub(super) const PACKET_SAMPLES: usize = (RATE * OPUS_PACKET_MILLIS / 1000) as usize;

/// Encodes speech of one channel at [`RATE`].
///
/// The bit rate varies with the speech, which costs half the work of a constant one and sounds
/// better; what was saved may be spent later, so that the sum never exceeds the rate by more than
/// [`OPUS_RESERVE_PACKETS`].
pub(super) struct Encoder {
    encoder: OpusEncoder,
    packet: Vec<u8>,
    /// Bytes that every packet adds to what may be spent.
    share: usize,
    /// Bytes that may be spent.
    credit: usize,
}

impl Encoder {
    /// An encoder for this bit rate; `None` when the library refuses its settings.
    pub(super) fn new(bitrate: Bitrate) -> Option<Self> {
        // Not the telephone profile: its filters lead away from what a recogniser hears. By the
        // distance of log-mel spectra from the source this one is 4 to 25 % closer.
        let mut encoder = OpusEncoder::new(RATE.cast_signed(), 1, Application::Audio).ok()?;
        encoder.bitrate_bps = bitrate.bits_per_second().cast_signed();
        encoder.complexity = COMPLEXITY;
        encoder.use_cbr = false;
        let share = bitrate.packet_bytes() as usize;
        Some(Self {
            encoder,
            packet: vec![0; 2 * share],
            share,
            credit: share * OPUS_RESERVE_PACKETS as usize,
        })
    }

    /// Encodes a packet; `None` when the library fails.
    pub(super) fn encode(&mut self, samples: &[f32; PACKET_SAMPLES]) -> Option<&[u8]> {
        self.credit += self.share;
        let room = self.packet.len().min(self.credit);
        let room = self.packet.get_mut(..room)?;
        let length = self.encoder.encode(samples, PACKET_SAMPLES, room).ok()?;
        self.credit = self.credit.checked_sub(length)?;
        self.packet.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_gives_channels_delay_and_mapping() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        assert_eq!(
            Head::parse(head),
            Some(Head {
                channels: 2,
                pre_skip: 312,
                family: 0
            })
        );
        assert_eq!(Head::parse(head).unwrap().bytes(48_000), head);
        assert_eq!(Head::parse(&head[..15]), None);
        assert_eq!(
            Head::parse(b"OpusTags\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"),
            None
        );
        let none = Head {
            channels: 0,
            pre_skip: 0,
            family: 0,
        };
        assert!(Decoder::new(none).is_none());
        assert!(
            Decoder::new(Head {
                channels: 3,
                ..none
            })
            .is_none()
        );
        assert!(
            Decoder::new(Head {
                channels: 6,
                family: 1,
                ..none
            })
            .is_some()
        );
        assert!(
            Decoder::new(Head {
                channels: 2,
                family: 255,
                ..none
            })
            .is_none()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_packets_are_decoded_or_refused(
            packets in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..80), 1..20),
            channels in 1_u8..=2,
        ) {
            let mut decoder = Decoder::new(Head { channels, pre_skip: 0, family: 0 }).unwrap();
            for packet in packets {
                if let Some(samples) = decoder.decode(&packet) {
                    proptest::prop_assert!(samples.iter().all(|sample| sample.is_finite()));
                }
            }
        }
    }
}
