//! Tells formats apart by their first bytes.
//!
//! The answer is about the container only: what an MP4, Ogg or Matroska file carries is for the
//! demuxer to say. Bytes that match no format are named after what they resemble, so that a
//! message can say "this is a web page".

use std::fmt;

use super::{AdtsFrame, AudioFormat, MpegLayer, find_mpeg_audio};

/// How many bytes from the start of a file are enough for [`sniff()`].
pub const SNIFF_BYTES: usize = 4096;

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// There are no bytes.
    Empty,
    /// A container or stream of this format.
    Audio(AudioFormat),
    /// An ID3v2 tag: sniff again this many bytes further.
    Tag {
        /// Bytes from the start to the first byte behind the tag.
        length: u64,
    },
    /// No format that stenod knows.
    NotAudio(Resemblance),
}

/// What a file that is no recording looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resemblance {
    /// Readable text.
    Text,
    /// HTML or XML.
    Markup,
    /// A picture.
    Picture,
    /// A PDF document.
    Pdf,
    /// A ZIP archive, or an office document, which is one.
    Zip,
    /// A compressed archive.
    Archive,
    /// A program.
    Program,
    /// An SQLite database.
    Database,
    /// Nothing but zero bytes, as an unfinished download has.
    Zeros,
    /// A MIDI file: notes, no sound.
    Midi,
    /// Bytes of no known kind.
    Unknown,
}

impl fmt::Display for Resemblance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "a text",
            Self::Markup => "a web page or XML",
            Self::Picture => "a picture",
            Self::Pdf => "a PDF document",
            Self::Zip => "a ZIP archive or office document",
            Self::Archive => "a compressed archive",
            Self::Program => "a program",
            Self::Database => "a database",
            Self::Zeros => "nothing but zero bytes",
            Self::Midi => "a MIDI file, which has notes but no sound",
            Self::Unknown => "data of an unknown kind",
        })
    }
}

/// The GUID that begins an ASF file.
const ASF: [u8; 8] = [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11];
/// The EBML identifier that begins Matroska and WebM.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Names the format of a file from its first bytes; more than [`SNIFF_BYTES`] are not looked at.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let bytes = bytes.get(..SNIFF_BYTES).unwrap_or(bytes);
    if bytes.is_empty() {
        return Sniffed::Empty;
    }
    if let Some(length) = id3_length(bytes) {
        return Sniffed::Tag { length };
    }
    match by_signature(bytes).or_else(|| by_frames(bytes)) {
        Some(format) => Sniffed::Audio(format),
        None => Sniffed::NotAudio(resemblance(bytes)),
    }
}

/// The whole length of an ID3v2 tag, by the specification's section 3.1.
fn id3_length(bytes: &[u8]) -> Option<u64> {
    let header: &[u8; 10] = bytes.first_chunk()?;
    let [b'I', b'D', b'3', major, minor, flags, size @ ..] = *header else {
        return None;
    };
    if !(2..=4).contains(&major) || minor == 0xff || size.iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let size = size
        .iter()
        .fold(0, |size, byte| size << 7 | u64::from(*byte));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(size + 10 + footer)
}

fn by_signature(bytes: &[u8]) -> Option<AudioFormat> {
    let at = |offset: usize, mark: &[u8]| bytes.get(offset..).is_some_and(|b| b.starts_with(mark));
    let form = |outer: &[u8], inner: &[u8]| at(0, outer) && at(8, inner);
    if form(b"RIFF", b"WAVE") || form(b"RF64", b"WAVE") || form(b"BW64", b"WAVE") {
        Some(AudioFormat::Wav)
    } else if form(b"RIFF", b"AVI ") {
        Some(AudioFormat::Avi)
    } else if form(b"FORM", b"AIFF") || form(b"FORM", b"AIFC") {
        Some(AudioFormat::Aiff)
    } else if at(0, b"OggS") {
        Some(ogg_kind(bytes))
    } else if at(0, b"fLaC") {
        Some(AudioFormat::Flac)
    } else if at(0, b"caff") {
        Some(AudioFormat::Caf)
    } else if at(4, b"ftyp") {
        mp4_kind(bytes)
    } else if at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") {
        Some(AudioFormat::QuickTime)
    } else if at(0, &EBML) {
        matroska_kind(bytes)
    } else if at(0, &ASF) {
        Some(AudioFormat::Wma)
    } else if at(0, b"#!AMR") {
        Some(AudioFormat::Amr)
    } else {
        None
    }
}

/// Ogg by the identification header in its first page, which begins behind the segment table.
fn ogg_kind(bytes: &[u8]) -> AudioFormat {
    let segments = bytes.get(26).copied().unwrap_or(0);
    let packet = bytes.get(27 + usize::from(segments)..).unwrap_or_default();
    if packet.starts_with(b"OpusHead") || packet.starts_with(b"\x01vorbis") {
        AudioFormat::Ogg
    } else {
        AudioFormat::OggOther
    }
}

/// MP4 by its major brand; pictures (HEIF, AVIF) use the same boxes and are none.
fn mp4_kind(bytes: &[u8]) -> Option<AudioFormat> {
    match bytes.get(8..12)? {
        b"M4A " | b"M4B " | b"M4P " => Some(AudioFormat::M4a),
        b"qt  " => Some(AudioFormat::QuickTime),
        b"heic" | b"heix" | b"mif1" | b"msf1" | b"avif" | b"avis" | b"crx " => None,
        _ => Some(AudioFormat::Mp4),
    }
}

/// Matroska or WebM by the DocType element (identifier 0x4282) in the EBML header.
fn matroska_kind(bytes: &[u8]) -> Option<AudioFormat> {
    let header = bytes.get(..64.min(bytes.len()))?;
    let found = header.windows(2).position(|pair| pair == [0x42, 0x82])?;
    let name = header.get(found + 3..)?;
    if name.starts_with(b"webm") {
        Some(AudioFormat::WebM)
    } else if name.starts_with(b"matroska") {
        Some(AudioFormat::Matroska)
    } else {
        None
    }
}

/// Streams without a container: ADTS and MPEG audio, by frames that follow each other.
fn by_frames(bytes: &[u8]) -> Option<AudioFormat> {
    let whole = bytes.len() < SNIFF_BYTES;
    if is_adts(bytes, whole) {
        return Some(AudioFormat::Aac);
    }
    match find_mpeg_audio(bytes, whole)? {
        (0, frame) if frame.layer == MpegLayer::Three => Some(AudioFormat::Mp3),
        (0, _) => Some(AudioFormat::Mp2),
        // Junk before the first frame: the file's reader looks further than these bytes.
        _ => None,
    }
}

/// ADTS by two headers in a row (ISO/IEC 13818-7, section 6.2).
fn is_adts(bytes: &[u8], whole: bool) -> bool {
    let Some(length) = adts_length(bytes) else {
        return false;
    };
    match bytes.get(length..) {
        Some([]) => whole,
        Some(next) if next.len() < 7 => true,
        Some(next) => adts_length(next).is_some(),
        None => !whole,
    }
}

fn adts_length(bytes: &[u8]) -> Option<usize> {
    Some(AdtsFrame::parse(*bytes.first_chunk()?)?.length)
}

fn resemblance(bytes: &[u8]) -> Resemblance {
    const SIGNATURES: &[(&[u8], Resemblance)] = &[
        (b"%PDF", Resemblance::Pdf),
        (b"PK\x03\x04", Resemblance::Zip),
        (b"\x89PNG", Resemblance::Picture),
        (b"\xff\xd8\xff", Resemblance::Picture),
        (b"GIF8", Resemblance::Picture),
        (b"\x1f\x8b", Resemblance::Archive),
        (b"7z\xbc\xaf", Resemblance::Archive),
        (b"Rar!", Resemblance::Archive),
        (b"\xfd7zXZ", Resemblance::Archive),
        (b"\x28\xb5\x2f\xfd", Resemblance::Archive),
        (b"\x7fELF", Resemblance::Program),
        (b"MZ", Resemblance::Program),
        (b"SQLite format 3", Resemblance::Database),
        (b"MThd", Resemblance::Midi),
    ];
    if let Some((_, kind)) = SIGNATURES.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return *kind;
    }
    match text_of(bytes) {
        Some(text) if text.trim_start().starts_with('<') => Resemblance::Markup,
        Some(_) => Resemblance::Text,
        None if bytes.get(4..8) == Some(b"ftyp") => Resemblance::Picture,
        None if bytes.iter().all(|byte| *byte == 0) => Resemblance::Zeros,
        None => Resemblance::Unknown,
    }
}

/// The bytes as text: UTF-8 (perhaps cut in its last letter) or UTF-16 by its mark, without control
/// characters other than white space.
fn text_of(bytes: &[u8]) -> Option<&str> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Some("");
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if bytes.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let readable = |letter: char| !letter.is_control() || letter.is_ascii_whitespace();
    (!text.is_empty() && text.chars().all(readable)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(bytes: &[u8]) -> Option<AudioFormat> {
        match sniff(bytes) {
            Sniffed::Audio(format) => Some(format),
            Sniffed::Empty | Sniffed::Tag { .. } | Sniffed::NotAudio(_) => None,
        }
    }

    fn ogg_page(packet: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\x02".to_vec();
        page.extend_from_slice(&[0; 20]);
        page.extend_from_slice(&[1, u8::try_from(packet.len()).unwrap()]);
        page.extend_from_slice(packet);
        page
    }

    #[test]
    fn containers_are_known_by_their_signatures() {
        for (bytes, format) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], AudioFormat::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", AudioFormat::Wav),
            (b"RIFF\x24\0\0\0AVI LIST", AudioFormat::Avi),
            (b"FORM\0\0\0\x24AIFFCOMM", AudioFormat::Aiff),
            (b"fLaC\0\0\0\x22", AudioFormat::Flac),
            (b"caff\0\x01\0\0", AudioFormat::Caf),
            (b"\0\0\0\x20ftypM4A \0\0", AudioFormat::M4a),
            (b"\0\0\0\x20ftypisom\0\0", AudioFormat::Mp4),
            (b"\0\0\0\x14ftypqt  \0\0", AudioFormat::QuickTime),
            (b"#!AMR\n", AudioFormat::Amr),
            (
                b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
                AudioFormat::Wma,
            ),
            (
                b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm",
                AudioFormat::WebM,
            ),
            (
                b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska",
                AudioFormat::Matroska,
            ),
        ] {
            assert_eq!(audio(bytes), Some(format), "{format}");
        }
    }

    #[test]
    fn ogg_is_named_after_its_first_packet() {
        assert_eq!(audio(&ogg_page(b"OpusHead\x01")), Some(AudioFormat::Ogg));
        assert_eq!(audio(&ogg_page(b"\x01vorbis")), Some(AudioFormat::Ogg));
        assert_eq!(audio(&ogg_page(b"Speex   ")), Some(AudioFormat::OggOther));
        assert_eq!(audio(b"OggS"), Some(AudioFormat::OggOther));
    }

    #[test]
    fn a_tag_says_where_the_sound_begins() {
        assert_eq!(
            sniff(b"ID3\x04\0\0\0\0\x02\x01rest"),
            Sniffed::Tag { length: 267 }
        );
        assert_eq!(
            sniff(b"ID3\x04\0\x10\0\0\x02\x01rest"),
            Sniffed::Tag { length: 277 }
        );
        assert_eq!(
            sniff(b"ID3 is a tag format"),
            Sniffed::NotAudio(Resemblance::Text),
            "a text that begins with the same letters is no tag"
        );
    }

    #[test]
    fn what_is_no_audio_is_named_after_what_it_resembles() {
        for (bytes, resembles) in [
            (&b"Dear diary,\n"[..], Resemblance::Text),
            ("Grüße aus Köln \u{1f600}".as_bytes(), Resemblance::Text),
            (&"ü".repeat(3000).as_bytes()[..4095], Resemblance::Text),
            (b"\xff\xfeD\0e\0a\0r\0", Resemblance::Text),
            (b"  <!DOCTYPE html><html>", Resemblance::Markup),
            (b"%PDF-1.7\n", Resemblance::Pdf),
            (b"PK\x03\x04\x14\0", Resemblance::Zip),
            (b"\x89PNG\r\n\x1a\n", Resemblance::Picture),
            (b"\0\0\0\x1cftypheic\0\0\0\0", Resemblance::Picture),
            (b"\x7fELF\x02\x01", Resemblance::Program),
            (b"MThd\0\0\0\x06", Resemblance::Midi),
            (&[0; 100], Resemblance::Zeros),
            (&[1, 2, 3, 0x80], Resemblance::Unknown),
        ] {
            assert_eq!(sniff(bytes), Sniffed::NotAudio(resembles), "{resembles}");
        }
        assert_eq!(sniff(b""), Sniffed::Empty);
    }

    #[test]
    fn adts_needs_two_headers_in_a_row() {
        let frame = |length: u8| {
            let mut frame = vec![
                0xff,
                0xf1,
                0x50,
                0x80,
                length >> 3,
                length << 5 | 0x1f,
                0xfc,
            ];
            frame.resize(usize::from(length), 0);
            frame
        };
        assert_eq!(
            audio(&[frame(20), frame(30)].concat()),
            Some(AudioFormat::Aac)
        );
        assert_eq!(audio(&[frame(20), vec![0; 30]].concat()), None);
        assert_eq!(
            audio(&frame(20)),
            Some(AudioFormat::Aac),
            "a file of one frame"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(0_u8.., 0..600)) {
            let answer = sniff(&bytes);
            proptest::prop_assert_eq!(answer == Sniffed::Empty, bytes.is_empty());
        }
    }
}
