//! Headers of MPEG audio frames (layers I to III), by ISO/IEC 11172-3 and 13818-3.
//!
//! A sync word alone proves little; sound begins where several headers of one stream follow each
//! other at the distance that each of them states.

/// The layer of an MPEG audio frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MpegLayer {
    /// Layer I.
    One,
    /// Layer II.
    Two,
    /// Layer III: MP3.
    Three,
}

/// What the header of an MPEG audio frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MpegFrame {
    /// The layer.
    pub layer: MpegLayer,
    /// Samples a second.
    pub rate: u32,
    /// Bytes from this header to the next.
    pub length: usize,
}

/// Bit rates in kbit/s of MPEG-1 layers I, II, III and of MPEG-2 layers I, II and III.
const RATES_ONE: [u32; 14] = [
    32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
];
const RATES_TWO: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
];
const RATES_THREE: [u32; 14] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const LOW_RATES_ONE: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
];
const LOW_RATES: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

impl MpegFrame {
    /// Reads a header; `None` unless every field of it is valid (free bit rates count as invalid).
    #[must_use]
    pub fn parse(header: [u8; 4]) -> Option<Self> {
        let word = u32::from_be_bytes(header);
        if word >> 21 != 0x7ff {
            return None;
        }
        let (version, layer) = ((word >> 19) & 3, (word >> 17) & 3);
        let layer = match layer {
            3 => MpegLayer::One,
            2 => MpegLayer::Two,
            1 => MpegLayer::Three,
            _ => return None,
        };
        let divisor = match version {
            3 => 1,
            2 => 2,
            0 => 4,
            _ => return None,
        };
        let rate = [44_100, 48_000, 32_000].get(((word >> 10) & 3) as usize)? / divisor;
        let kilobits = match (version, layer) {
            (3, MpegLayer::One) => &RATES_ONE,
            (3, MpegLayer::Two) => &RATES_TWO,
            (3, MpegLayer::Three) => &RATES_THREE,
            (_, MpegLayer::One) => &LOW_RATES_ONE,
            _ => &LOW_RATES,
        };
        let index = ((word >> 12) & 15) as usize;
        let bits = kilobits.get(index.checked_sub(1)?)? * 1000;
        let padding = (word >> 9) & 1;
        let length = match layer {
            MpegLayer::One => (12 * bits / rate + padding) * 4,
            MpegLayer::Three if version != 3 => 72 * bits / rate + padding,
            MpegLayer::Two | MpegLayer::Three => 144 * bits / rate + padding,
        };
        (word & 3 != 2).then_some(Self {
            layer,
            rate,
            length: length as usize,
        })
    }

    fn same_stream(self, other: Self) -> bool {
        self.layer == other.layer && self.rate == other.rate
    }
}

/// Frames that must follow each other before bytes count as MPEG audio.
const FRAMES_IN_A_ROW: usize = 3;

/// The place and the first frame of MPEG audio in `bytes`; `whole` says that `bytes` reach to the
/// end of the file, so that fewer frames in a row may do when nothing follows them.
#[must_use]
pub fn find_mpeg_audio(bytes: &[u8], whole: bool) -> Option<(usize, MpegFrame)> {
    (0..bytes.len().saturating_sub(3)).find_map(|start| {
        if bytes.get(start) != Some(&0xff) {
            return None;
        }
        let first = frame_at(bytes, start)?;
        is_stream(bytes, start, first, whole).then_some((start, first))
    })
}

fn frame_at(bytes: &[u8], at: usize) -> Option<MpegFrame> {
    MpegFrame::parse(*bytes.get(at..)?.first_chunk()?)
}

fn is_stream(bytes: &[u8], start: usize, first: MpegFrame, whole: bool) -> bool {
    let mut at = start;
    for frames in 0..FRAMES_IN_A_ROW {
        match frame_at(bytes, at) {
            Some(frame) if frame.same_stream(first) => at += frame.length,
            Some(_) => return false,
            // The buffer ends here: at the end of the file one whole frame is enough.
            None if at + 4 > bytes.len() => {
                return frames > 1 || (whole && frames == 1 && at == bytes.len());
            }
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes.
    const HEADER: [u8; 4] = [0xff, 0xfb, 0x90, 0x44];

    fn frames(count: usize) -> Vec<u8> {
        let mut frame = vec![0; 417];
        frame[..4].copy_from_slice(&HEADER);
        frame.repeat(count)
    }

    #[test]
    fn a_header_gives_layer_rate_and_length() {
        let frame = MpegFrame::parse(HEADER).unwrap();
        assert_eq!(
            frame,
            MpegFrame {
                layer: MpegLayer::Three,
                rate: 44_100,
                length: 417
            }
        );
        // MPEG-2 layer III, 64 kbit/s, 22.05 kHz.
        let frame = MpegFrame::parse([0xff, 0xf3, 0x80, 0xc4]).unwrap();
        assert_eq!(
            frame,
            MpegFrame {
                layer: MpegLayer::Three,
                rate: 22_050,
                length: 208
            }
        );
    }

    #[test]
    fn headers_with_reserved_values_are_refused() {
        for header in [
            [0xff, 0xeb, 0x90, 0x44], // version
            [0xff, 0xf9, 0x90, 0x44], // layer: this is ADTS
            [0xff, 0xfb, 0xf0, 0x44], // bit rate
            [0xff, 0xfb, 0x00, 0x44], // free bit rate
            [0xff, 0xfb, 0x9c, 0x44], // sample rate
            [0xff, 0xfb, 0x90, 0x46], // emphasis
            [0xfe, 0xfb, 0x90, 0x44], // sync
        ] {
            assert_eq!(MpegFrame::parse(header), None, "{header:x?}");
        }
    }

    #[test]
    fn sound_is_found_behind_junk_but_a_lone_sync_word_is_not_sound() {
        let mut bytes = vec![0xff; 100];
        bytes.extend_from_slice(&HEADER);
        bytes.extend_from_slice(&[7; 500]);
        let start = bytes.len();
        bytes.extend(frames(4));
        assert_eq!(find_mpeg_audio(&bytes, false).unwrap().0, start);
        assert_eq!(find_mpeg_audio(&bytes[..start], true), None);
    }

    #[test]
    fn a_single_frame_counts_only_when_it_is_the_whole_file() {
        assert!(find_mpeg_audio(&frames(1), true).is_some());
        assert!(find_mpeg_audio(&frames(1), false).is_none());
        assert!(find_mpeg_audio(&frames(2), false).is_some());
    }
}
