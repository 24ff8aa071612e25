//! Headers of AAC frames without a container (ADTS), by ISO/IEC 13818-7, section 6.2.

/// What the header of an ADTS frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdtsFrame {
    /// Samples a second.
    pub rate: u32,
    /// Channels; `None` when the header leaves that to the frame.
    pub channels: Option<u16>,
    /// Packets of AAC in this frame.
    pub packets: u8,
    /// Bytes of this header, its checksum included.
    pub header: usize,
    /// Bytes from this header to the next.
    pub length: usize,
}

/// Samples a second, by their index in a header.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

impl AdtsFrame {
    /// Samples of each channel in a packet.
    pub const SAMPLES: u32 = 1024;

    /// Reads the fixed part of a header; `None` unless every field of it is valid and a frame follows it.
    #[must_use]
    pub fn parse(bytes: [u8; 7]) -> Option<Self> {
        let [b0, b1, b2, b3, b4, b5, b6] = bytes;
        if b0 != 0xff || b1 & 0xf6 != 0xf0 {
            return None;
        }
        let rate = *RATES.get(usize::from((b2 >> 2) & 15))?;
        let channels = match (b2 & 1) << 2 | b3 >> 6 {
            0 => None,
            7 => Some(8),
            count => Some(u16::from(count)),
        };
        let header = if b1 & 1 == 0 { 9 } else { 7 };
        let length = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        (length > header).then_some(Self {
            rate,
            channels,
            packets: (b6 & 3) + 1,
            header,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_rate_channels_and_length() {
        // MPEG-4 AAC-LC, 16 kHz, one channel, no checksum, 192 bytes.
        let frame = AdtsFrame::parse([0xff, 0xf1, 0x60, 0x40, 0x18, 0x1f, 0xfc]).unwrap();
        let expected = AdtsFrame {
            rate: 16_000,
            channels: Some(1),
            packets: 1,
            header: 7,
            length: 192,
        };
        assert_eq!(frame, expected);
        // The same with a checksum, 44.1 kHz, two channels.
        let frame = AdtsFrame::parse([0xff, 0xf0, 0x50, 0x80, 0x18, 0x1f, 0xfc]).unwrap();
        assert_eq!(
            (frame.rate, frame.channels, frame.header),
            (44_100, Some(2), 9)
        );
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        for header in [
            [0xff, 0xf3, 0x60, 0x40, 0x18, 0x1f, 0xfc], // layer: this is MPEG audio
            [0xff, 0xf1, 0x74, 0x40, 0x18, 0x1f, 0xfc], // sample rate
            [0xff, 0xf1, 0x60, 0x40, 0x00, 0xff, 0xfc], // nothing behind the header
            [0xfe, 0xf1, 0x60, 0x40, 0x18, 0x1f, 0xfc], // sync
        ] {
            assert_eq!(AdtsFrame::parse(header), None, "{header:x?}");
        }
    }
}
