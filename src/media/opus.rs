//! Opus: its identification header (RFC 7845, section 5.1) and its decoder.
//!
//! Packets are decoded straight at 16 kHz, so nothing is left to resample. The library is written
//! in safe Rust as far as it touches packets; what it refuses is a damaged packet.

use rusty_opus::OpusDecoder;
use rusty_opus::multistream::OpusMSDecoder;

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
