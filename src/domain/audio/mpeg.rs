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
    /// One or two.
    pub channels: u16,
    /// Samples of each channel in this frame.
    pub samples: u32,
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
        let samples = match layer {
            MpegLayer::One => 384,
            MpegLayer::Three if version != 3 => 576,
            MpegLayer::Two | MpegLayer::Three => 1152,
        };
        (word & 3 != 2).then_some(Self {
            layer,
            rate,
            channels: if (word >> 6) & 3 == 3 { 1 } else { 2 },
            samples,
            length: length as usize,
        })
    }

    /// Whether `frame`, which begins with this header, holds no sound but the count of frames (Xing, Info, VBRI)
    /// that encoders put before the first one of a file.
    #[must_use]
    pub fn is_count(self, frame: &[u8]) -> bool {
        if self.layer != MpegLayer::Three {
            return false;
        }
        // Behind the header and the side information, all zeros, by version and channels.
        let side = match (self.samples, self.channels) {
            (1152, 1) | (576, 2) => 17,
            (1152, _) => 32,
            _ => 9,
        };
        let has_crc = frame.get(1).is_some_and(|byte| byte & 1 == 0);
        let silent_until = |end: usize| {
            let side = frame.get(if has_crc { 6 } else { 4 }..end);
            side.is_some_and(|side| side.iter().all(|byte| *byte == 0))
        };
        let marked = |at: usize, marks: &[&[u8]]| {
            let there = frame.get(at..at + 4);
            there.is_some_and(|there| marks.contains(&there)) && silent_until(at)
        };
        marked(4 + side, &[b"Xing", b"Info"]) || marked(36, &[b"VBRI"])
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
                channels: 2,
                samples: 1152,
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
                channels: 1,
                samples: 576,
                length: 208
            }
        );
    }

    #[test]
    fn a_count_of_frames_is_told_from_sound() {
        let header = MpegFrame::parse(HEADER).unwrap();
        let count = |at: usize, mark: &[u8]| {
            let mut frame = frames(1);
            frame[at..at + 4].copy_from_slice(mark);
            frame
        };
        assert!(header.is_count(&count(36, b"Xing")));
        assert!(header.is_count(&count(36, b"Info")));
        assert!(header.is_count(&count(36, b"VBRI")));
        assert!(
            !header.is_count(&count(21, b"Xing")),
            "there it is for one channel"
        );
        assert!(!header.is_count(&frames(1)));
        assert!(!header.is_count(&HEADER));
        let mut sounding = count(36, b"Xing");
        sounding[10] = 1;
        assert!(!header.is_count(&sounding), "side information is sound");
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
