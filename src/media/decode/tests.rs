mod joined;

use std::path::PathBuf;

use super::*;
use crate::media::fixtures::{example, fixture};
use crate::media::probe::probe;

fn decode_in_pieces(path: &Path, size: usize) -> (Vec<f32>, Report) {
    let mut samples = Samples::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (mut all, mut piece) = (Vec::new(), vec![0.0; size]);
    loop {
        let read = samples.read(&mut piece);
        match read.unwrap_or_else(|error| panic!("{path:?}: {error}")) {
            0 => return (all, samples.report().clone()),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

fn decode(path: &Path) -> (Vec<f32>, Report) {
    decode_in_pieces(path, 4096)
}

/// How alike two stretches of sound are: 1 for the same, 0 for unrelated.
fn likeness(left: &[f32], right: &[f32]) -> f32 {
    let product = |left: &[f32], right: &[f32]| -> f32 {
        left.iter()
            .zip(right)
            .map(|(left, right)| left * right)
            .sum()
    };
    let length = left.len().min(right.len());
    let (left, right) = (&left[..length], &right[..length]);
    product(left, right) / (product(left, left) * product(right, right)).sqrt()
}

/// Files whose delay and padding are known: every sample is in its place.
#[test]
fn every_codec_decodes_to_the_original_without_delay() {
    let (original, _) = decode(&example("librivox-0880.wav"));
    for (name, alike) in [
        ("adpcm.wav", 0.97),
        ("alac.m4a", 0.9999),
        ("film.mov", 0.98),
        ("film.mp4", 0.98),
        ("flac.oga", 0.9999),
        ("moov-last.m4a", 0.98),
        ("mulaw.wav", 0.97),
        ("opus.webm", 0.9),
        ("pcm.aiff", 0.9999),
        ("pcm.caf", 0.9999),
        ("surround24.wav", 0.999),
        ("tagged.mp3", 0.98),
    ] {
        let (samples, report) = decode(&fixture(name));
        let likeness = likeness(&original, &samples);
        assert!(likeness > alike, "{name}: {likeness}");
        assert_eq!(report.damaged_packets, 0, "{name}");
        assert_eq!(report.cut_short, None, "{name}");
    }
}

/// Files that do not state the delay of their encoder: it is one frame of AAC or half of one of
/// Vorbis, and 481 samples in MPEG layer II.
#[test]
fn an_unknown_delay_is_the_encoders_own() {
    let (original, _) = decode(&example("librivox-0880.wav"));
    for (name, delay, alike) in [
        ("aac.mkv", 1024, 0.98),
        ("fragmented.m4a", 1024, 0.98),
        ("lc.aac", 1024, 0.98),
        ("layer2.mp2", 481, 0.98),
        ("vorbis.mka", 512, 0.95),
    ] {
        let (samples, _) = decode(&fixture(name));
        let likeness = likeness(&original, &samples[delay..]);
        assert!(likeness > alike, "{name}: {likeness}");
    }
}

#[test]
fn what_is_decoded_is_as_long_as_what_was_measured() {
    for path in [
        example("jfk.flac"),
        example("librivox-0870.mp3"),
        example("librivox-0890.mp3"),
        example("librivox-0920.m4a"),
        example("librivox-0930.opus"),
        example("two-cities.ogg"),
        fixture("surround.opus"),
        fixture("opus.webm"),
        fixture("vorbis.mka"),
        fixture("fragmented.m4a"),
    ] {
        let (samples, report) = decode(&path);
        let measured = probe(&path).unwrap().duration.unwrap().seconds();
        #[expect(clippy::cast_precision_loss, reason = "short recordings")]
        let decoded = samples.len() as f64 / f64::from(RATE);
        assert!(
            (measured - decoded).abs() < 0.03,
            "{path:?}: {measured} and {decoded}"
        );
        assert_eq!(report.samples, samples.len() as u64);
        let loudest = samples.iter().copied().fold(0.0, f32::max);
        assert!((0.1..1.1).contains(&loudest), "{path:?}: {loudest}");
    }
}

/// The examples must do for a first try: all are decoded, and no transcript meets another's name.
#[test]
fn every_example_is_listed_and_decoded_whole() {
    let list = std::fs::read_to_string(example("spoken-texts.tsv")).unwrap();
    let mut stems = std::collections::HashSet::new();
    for line in list.lines().skip(1) {
        let mut fields = line.split('\t');
        let (name, seconds) = (fields.next().unwrap(), fields.next().unwrap());
        assert!(
            fields.next().is_some_and(|text| text.len() > 20),
            "{name} has a text"
        );
        assert!(
            stems.insert(name.split('.').next().unwrap().to_owned()),
            "{name} is unique"
        );
        let (samples, report) = decode(&example(name));
        let clean = Report {
            samples: samples.len() as u64,
            ..Report::default()
        };
        assert_eq!(report, clean, "{name}");
        // The MP3 without a header keeps the delay and padding of its encoder.
        let within = if name == "librivox-0890.mp3" {
            0.11
        } else {
            0.03
        };
        #[expect(clippy::cast_precision_loss, reason = "short recordings")]
        let decoded = samples.len() as f64 / f64::from(RATE);
        let listed: f64 = seconds.parse().unwrap();
        assert!((decoded - listed).abs() < within, "{name}: {decoded}");
    }
    assert_eq!(stems.len(), 7);
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    for path in [
        example("librivox-0930.opus"),
        example("librivox-0890.mp3"),
        fixture("mulaw.wav"),
    ] {
        let (whole, _) = decode_in_pieces(&path, 1 << 20);
        assert_eq!(decode_in_pieces(&path, 333).0, whole, "{path:?}");
        assert_eq!(decode_in_pieces(&path, 1).0, whole, "{path:?}");
    }
}

#[test]
fn a_codec_without_a_decoder_is_refused() {
    let Err(error) = Samples::open(&fixture("ac3.mkv")) else {
        panic!("decoded AC-3");
    };
    assert_eq!(error.code(), "no_decoder");
    assert!(
        error.to_string().starts_with("ac3 cannot be decoded"),
        "{error}"
    );
    let Err(error) = Samples::open(&fixture("speech.wma")) else {
        panic!("decoded WMA");
    };
    assert_eq!(error.code(), "unsupported");
}

/// A copy of `path` with `change` applied to its bytes.
fn changed(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    crate::media::fixtures::file_of("changed", &bytes)
}

#[test]
fn a_missing_end_is_a_remark() {
    for name in [
        "jfk.flac",
        "librivox-0880.wav",
        "librivox-0920.m4a",
        "librivox-0930.opus",
    ] {
        let (_folder, path) = changed(&example(name), |bytes| bytes.truncate(bytes.len() * 3 / 4));
        let whole = decode(&example(name)).0.len();
        let (samples, report) = decode(&path);
        assert!(
            (whole / 2..whole).contains(&samples.len()),
            "{name}: {}",
            samples.len()
        );
        assert!(report.cut_short.is_some(), "{name}");
    }
}

#[test]
fn damaged_packets_become_silence_of_their_length() {
    let (_folder, path) = changed(&example("librivox-0870.mp3"), |bytes| {
        for byte in &mut bytes[20_000..22_000] {
            *byte = 0x55;
        }
    });
    let (whole, _) = decode(&example("librivox-0870.mp3"));
    let (samples, report) = decode(&path);
    assert!(report.damaged_packets > 0, "{report:?}");
    assert_eq!(
        whole.len(),
        samples.len(),
        "what follows stays in its place"
    );
}

#[test]
fn nothing_but_damage_is_an_error() {
    // Behind every header of seven bytes: an element of AAC that the decoder does not get through.
    let (_folder, path) = changed(&fixture("lc.aac"), |bytes| {
        let mut at = 0;
        while let Some([_, _, _, b3, b4, b5]) = bytes.get(at..at + 6) {
            let length = usize::from(b3 & 3) << 11 | usize::from(*b4) << 3 | usize::from(b5 >> 5);
            bytes[at + 7..at + length].fill(0x07);
            at += length;
        }
    });
    let mut samples = Samples::open(&path).unwrap();
    let error = samples.read(&mut vec![0.0; 1 << 20]).unwrap_err();
    assert_eq!(error.code(), "damaged", "{error}");
    assert_eq!(
        samples.read(&mut [0.0; 16]).unwrap(),
        0,
        "after an error there is the end"
    );
}

/// Opus at 48 kHz, then Vorbis at 16 kHz, in one Ogg.
#[test]
fn oggs_that_follow_each_other_are_decoded_one_by_one() {
    let (one, two) = (example("librivox-0930.opus"), example("two-cities.ogg"));
    let bytes = [&one, &two]
        .map(|path| std::fs::read(path).unwrap())
        .concat();
    let (_folder, path) = crate::media::fixtures::file_of("both.ogg", &bytes);
    let both = [decode(&one).0, decode(&two).0].concat();
    assert!(decode(&path).0 == both, "the parts follow each other");
}

/// Films whose sound begins 0.7 s behind their pictures: by an edit of nothing, and by the time of its first block.
#[test]
fn sound_that_begins_late_has_the_times_of_its_film() {
    let late = 7 * RATE as usize / 10;
    for name in ["late.mp4", "late.mkv"] {
        let (original, _) = decode(&example("librivox-0880.wav"));
        let (samples, _) = decode(&fixture(name));
        let silence = &samples[..late - 400];
        assert!(silence.iter().all(|sample| sample.abs() < 0.01), "{name}");
        let places = late - 1200..late + 1200;
        let likenesses = places.map(|at| likeness(&original[..RATE as usize], &samples[at..]));
        let best = likenesses.fold(0.0, f32::max);
        assert!(best > 0.95, "{name}: {best}");
        let measured = probe(&fixture(name)).unwrap().duration.unwrap().seconds();
        #[expect(clippy::cast_precision_loss, reason = "short recordings")]
        let decoded = samples.len() as f64 / f64::from(RATE);
        assert!(
            (measured - decoded).abs() < 0.08,
            "{name}: {measured} and {decoded}"
        );
    }
}

#[test]
fn a_decoder_can_move_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Samples>();
}
