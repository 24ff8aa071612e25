//! Speech as Opus in Ogg: its bit rates, and how many bytes a recording needs at each.
//!
//! The rate varies with the speech and its sum is bounded, so the most that a recording can need is
//! known before anything is encoded.

use serde::{Deserialize, Serialize};

use super::AudioDuration;

/// The length of an Opus packet in milliseconds.
pub const OPUS_PACKET_MILLIS: u32 = 20;
/// Packets on an Ogg page: 4 s of sound.
pub const OPUS_PACKETS_PER_PAGE: u64 = 200;

/// How far the encoder may run ahead of its bit rate, in packets: 1 s of sound.
pub const OPUS_RESERVE_PACKETS: u32 = 50;

/// The fixed part of an Ogg page header, in bytes; a byte a packet follows.
const PAGE_HEADER_BYTES: u64 = 27;
/// The two pages of headers that begin the stream, in bytes.
const STREAM_HEADER_BYTES: u64 = 128;
/// Packets that a measured length may be wrong by (1 s), those that flush the encoder, and those by
/// which it runs ahead.
const SPARE_PACKETS: u64 = 50 + 2 + OPUS_RESERVE_PACKETS as u64;

/// A bit rate for speech that is not exceeded on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bitrate {
    /// 16 kbit/s.
    Kbps16,
    /// 20 kbit/s.
    Kbps20,
    /// 24 kbit/s.
    Kbps24,
    /// 28 kbit/s.
    Kbps28,
    /// 32 kbit/s.
    Kbps32,
}

impl Bitrate {
    /// All of them, the best first.
    pub const BEST_FIRST: [Self; 5] = [
        Self::Kbps32,
        Self::Kbps28,
        Self::Kbps24,
        Self::Kbps20,
        Self::Kbps16,
    ];

    /// Bits of sound a second.
    #[must_use]
    pub fn bits_per_second(self) -> u32 {
        match self {
            Self::Kbps16 => 16_000,
            Self::Kbps20 => 20_000,
            Self::Kbps24 => 24_000,
            Self::Kbps28 => 28_000,
            Self::Kbps32 => 32_000,
        }
    }

    /// Bytes in a packet on average, at most.
    #[must_use]
    pub fn packet_bytes(self) -> u32 {
        self.bits_per_second() * OPUS_PACKET_MILLIS / 8_000
    }

    /// The most bytes that a recording of this length becomes.
    #[must_use]
    pub fn file_bytes(self, duration: AudioDuration) -> u64 {
        let packet_micros = u64::from(OPUS_PACKET_MILLIS) * 1000;
        let packets = (duration.micros() / packet_micros).saturating_add(SPARE_PACKETS);
        let pages = packets / OPUS_PACKETS_PER_PAGE + 1;
        packets
            .saturating_mul(u64::from(self.packet_bytes()) + 1)
            .saturating_add(pages.saturating_mul(PAGE_HEADER_BYTES))
            .saturating_add(STREAM_HEADER_BYTES)
    }

    /// Packets of sound that never become more than `limit_bytes`; 0 when not even the headers fit.
    #[must_use]
    pub fn packets_within(self, limit_bytes: u64) -> u64 {
        let room = limit_bytes.saturating_sub(STREAM_HEADER_BYTES + PAGE_HEADER_BYTES);
        // The bytes of a page with all its packets.
        let page = OPUS_PACKETS_PER_PAGE * (u64::from(self.packet_bytes()) + 1) + PAGE_HEADER_BYTES;
        let packets = u128::from(room) * u128::from(OPUS_PACKETS_PER_PAGE) / u128::from(page);
        u64::try_from(packets)
            .unwrap_or(u64::MAX)
            .saturating_sub(SPARE_PACKETS)
    }
}

/// The best bit rate at which a recording of this length stays within `limit_bytes`; `None` when it
/// is too long for all of them.
#[must_use]
pub fn best_bitrate(duration: AudioDuration, limit_bytes: u64) -> Option<Bitrate> {
    let fits = |bitrate: &Bitrate| bitrate.file_bytes(duration) <= limit_bytes;
    Bitrate::BEST_FIRST.into_iter().find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 3 * 1024 * 1024;

    fn best(minutes: u64) -> Option<Bitrate> {
        best_bitrate(AudioDuration::from_micros(minutes * 60_000_000), LIMIT)
    }

    #[test]
    fn the_longer_a_recording_the_lower_the_rate() {
        assert_eq!(best(0), Some(Bitrate::Kbps32));
        assert_eq!(best(12), Some(Bitrate::Kbps32));
        assert_eq!(best(14), Some(Bitrate::Kbps28));
        assert_eq!(best(16), Some(Bitrate::Kbps24));
        assert_eq!(best(20), Some(Bitrate::Kbps20));
        assert_eq!(best(25), Some(Bitrate::Kbps16));
        assert_eq!(best(26), None);
        assert_eq!(
            best_bitrate(AudioDuration::from_micros(u64::MAX), u64::MAX),
            Some(Bitrate::Kbps32)
        );
    }

    proptest::proptest! {
        #[test]
        fn so_many_packets_fit_and_a_page_more_does_not(limit in 0_u64..1 << 40) {
            for bitrate in Bitrate::BEST_FIRST {
                let packets = bitrate.packets_within(limit);
                let bytes = |packets: u64| {
                    bitrate.file_bytes(AudioDuration::from_micros(packets * 20_000))
                };
                proptest::prop_assert!(packets == 0 || bytes(packets) <= limit);
                proptest::prop_assert!(bytes(packets + OPUS_PACKETS_PER_PAGE) > limit);
            }
        }
    }

    #[test]
    fn rates_are_ordered_and_packets_are_whole_bytes() {
        assert!(Bitrate::BEST_FIRST.is_sorted_by(|left, right| left > right));
        let bytes = Bitrate::BEST_FIRST.map(Bitrate::packet_bytes);
        assert_eq!(bytes, [80, 70, 60, 50, 40]);
    }
}
