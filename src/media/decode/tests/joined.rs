//! Streams of frames whose rate, channels or layer change in the middle, as joined files have them.

use super::*;
use crate::domain::audio::MpegFrame;
use crate::media::fixtures::{file_of, joined};

/// What the encoder of the MP3 fixtures adds before the sound, in samples of their own rate.
const LAME_DELAY: u64 = 1105;

/// One recording of a joined file: its path and the delay of its encoder that is kept further on.
type Part = (PathBuf, u64);

fn at_speech_rate(samples: u64, rate: u32) -> usize {
    let rate = u64::from(rate);
    usize::try_from((samples * u64::from(RATE) + rate / 2) / rate).unwrap()
}

/// The samples in all frames of `path`, delay and padding included, and their rate.
fn untrimmed(path: &Path) -> (u64, u32) {
    let mut demuxer = Demuxer::open(lay_out(File::open(path).unwrap()).unwrap()).unwrap();
    let rate = demuxer.track().parameters.sample_rate.unwrap();
    let mut samples = 0;
    while let Next::Packet(packet) = demuxer.next().unwrap() {
        samples += packet.dur.get();
    }
    (samples, rate)
}

/// Joins the parts and finds each of them, whole, where the ones before it end.
fn find_parts_in_their_places(parts: &[Part]) {
    let paths: Vec<_> = parts.iter().map(|(path, _)| path.clone()).collect();
    let (_folder, path) = joined(&paths);
    let (samples, report) = decode(&path);
    assert_eq!((report.damaged_packets, report.cut_short), (0, None));
    let mut begin = 0;
    for (number, (path, delay)) in parts.iter().enumerate() {
        let alone = decode(path).0;
        let (length, rate) = untrimmed(path);
        // What lies around the first one is cut off by its own header.
        let (delay, length) = match number {
            0 => (0, alone.len()),
            _ => (at_speech_rate(*delay, rate), at_speech_rate(length, rate)),
        };
        let likeness = likeness(&alone, &samples[begin + delay..]);
        assert!(likeness > 0.98, "{path:?} in place {number}: {likeness}");
        begin += length;
    }
    assert_eq!(samples.len(), begin);
    let measured = probe(&path).unwrap().duration.unwrap().micros();
    let decoded = samples.len() as u64 * 1_000_000 / u64::from(RATE);
    assert!(
        measured.abs_diff(decoded) < 1_000,
        "{measured} and {decoded}"
    );
}

fn mp3(name: &str) -> Part {
    (fixture(name), LAME_DELAY)
}

#[test]
fn an_mp3_whose_rate_and_channels_change_is_decoded_to_its_end() {
    find_parts_in_their_places(&[
        (example("librivox-0870.mp3"), LAME_DELAY),
        mp3("stereo44.mp3"),
        mp3("mono44.mp3"),
        mp3("stereo44.mp3"),
        (example("librivox-0890.mp3"), 0),
    ]);
}

#[test]
fn an_mp3_may_change_its_version_at_every_join() {
    find_parts_in_their_places(&[
        mp3("mono44.mp3"),
        mp3("tagged.mp3"),
        mp3("low8.mp3"),
        mp3("stereo44.mp3"),
    ]);
}

#[test]
fn a_stream_may_change_its_layer() {
    find_parts_in_their_places(&[
        (fixture("layer2.mp2"), 0),
        (example("librivox-0890.mp3"), 0),
        (fixture("layer2.mp2"), 0),
    ]);
}

#[test]
fn an_aac_stream_whose_rate_and_channels_change_is_decoded_to_its_end() {
    find_parts_in_their_places(&[
        (fixture("lc.aac"), 0),
        (fixture("stereo24.aac"), 0),
        (fixture("lc.aac"), 0),
    ]);
}

/// The place of the frame of `bytes` that begins first from `from` on, by the lengths of all before it.
fn frame_from(bytes: &[u8], from: usize) -> usize {
    let mut at = 0;
    while at < from {
        let header = *bytes[at..].first_chunk().unwrap();
        at += MpegFrame::parse(header).unwrap().length;
    }
    at
}

#[test]
fn tags_between_joined_files_are_no_sound() {
    let bytes = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let sync: Vec<u8> = bytes[..4].repeat(4096);
    let id3 = [b"ID3\x04\0\0\0\x01\0\0".as_slice(), &sync].concat();
    let id3v1 = [b"TAG".as_slice(), &sync[..125]].concat();
    let ape_size = 4096_u32.to_le_bytes();
    let ape = [b"APETAGEX\xd0\x07\0\0".as_slice(), &ape_size, &sync[..4112]].concat();
    let (_folder, bare) = file_of("bare.mp3", &bytes.repeat(2));
    let tags = [id3v1, ape, id3].concat();
    let (_folder_too, tagged) = file_of("tagged.mp3", &[bytes.clone(), tags, bytes].concat());
    assert!(decode(&bare) == decode(&tagged), "the tags are left out");
    assert_eq!(
        probe(&bare).unwrap().duration,
        probe(&tagged).unwrap().duration
    );
}

/// A tag that claims more than there is hides nothing.
#[test]
fn a_tag_that_claims_the_rest_of_a_stream_is_not_believed() {
    let bytes = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let (_folder, bare) = file_of("bare.mp3", &bytes.repeat(2));
    let tag = b"ID3\x04\0\0\x7f\x7f\x7f\x7f";
    let both = [bytes.as_slice(), tag, &bytes].concat();
    let (_folder_too, tagged) = file_of("tagged.mp3", &both);
    assert!(decode(&bare) == decode(&tagged), "the second half is there");
}

/// Each of these bits makes another stream of one frame: of two channels, of another rate, of another layer.
#[test]
fn a_damaged_header_is_no_change_and_times_stay_true() {
    let whole = decode(&example("librivox-0890.mp3")).0;
    for (byte, bits) in [(3, 0xc0), (2, 0x08), (1, 0x06)] {
        let (_folder, path) = changed(&example("librivox-0890.mp3"), |bytes| {
            let frame = frame_from(bytes, 20_000);
            bytes[frame + byte] ^= bits;
        });
        let (samples, report) = decode(&path);
        assert_eq!(report.damaged_packets, 1, "byte {byte}");
        assert_eq!(samples.len(), whole.len(), "byte {byte}");
        let likeness = likeness(&whole, &samples);
        assert!(likeness > 0.95, "byte {byte}: {likeness}");
    }
}

#[test]
fn an_aac_stream_goes_on_behind_a_damaged_header() {
    let whole = decode(&fixture("lc.aac")).0;
    for (byte, bits) in [(2, 0x3c), (2, 0x14), (0, 0xff)] {
        let (_folder, path) = changed(&fixture("lc.aac"), |bytes| {
            let header = bytes[..3].to_vec();
            let at = bytes
                .windows(3)
                .skip(9_000)
                .position(|there| there == header);
            bytes[9_000 + at.unwrap() + byte] ^= bits;
        });
        let (samples, _) = decode(&path);
        let lost = whole.len().abs_diff(samples.len());
        assert!(lost <= 1024, "byte {byte}: {lost} samples are gone");
    }
}

/// The last frame of a part that was cut off hides no more than itself and the one behind it.
#[test]
fn what_follows_a_cut_frame_is_found() {
    let cut = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let cut = &cut[..frame_from(&cut, 20_000) + 50];
    let next = std::fs::read(fixture("stereo44.mp3")).unwrap();
    let (_folder, path) = file_of("cut.mp3", &[cut, &next].concat());
    let (_folder_too, alone) = file_of("alone.mp3", cut);
    let alone = decode(&alone).0.len();
    let (length, rate) = untrimmed(&fixture("stereo44.mp3"));
    let expected = alone + at_speech_rate(length, rate);
    let (samples, report) = decode(&path);
    assert!(expected.abs_diff(samples.len()) < 2_000);
    assert!(report.damaged_packets < 3, "{report:?}");
}
