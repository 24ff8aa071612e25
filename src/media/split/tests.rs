use std::ops::ControlFlow;
use std::path::PathBuf;

use super::*;
use crate::media::decode::RATE;
use crate::media::fixtures::{example, file_of, fixture};
use crate::media::probe::probe;

/// Keeps the pieces in memory.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    begun: Vec<u32>,
    pieces: Vec<(Piece, Vec<u8>)>,
}

impl Spool for Kept {
    type File = Vec<u8>;

    fn begin(&mut self, number: u32) -> io::Result<Vec<u8>> {
        self.begun.push(number);
        Ok(Vec::new())
    }

    fn complete(&mut self, piece: Piece, file: Vec<u8>) -> io::Result<()> {
        assert_eq!(piece.bytes, file.len() as u64);
        self.pieces.push((piece, file));
        Ok(())
    }
}

fn go_on(_: AudioDuration) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn decode(path: &std::path::Path) -> Vec<f32> {
    let mut samples = vec![0.0; 200 * RATE as usize];
    let count = Samples::open(path).unwrap().read(&mut samples).unwrap();
    samples.truncate(count);
    samples
}

/// A minute of real speech, with a length that is no whole packet.
fn long_recording() -> (tempfile::TempDir, PathBuf) {
    let names = [
        "two-cities.ogg",
        "jfk.flac",
        "librivox-0870.mp3",
        "librivox-0920.m4a",
    ];
    let speech: Vec<f32> = names
        .iter()
        .flat_map(|name| decode(&example(name)))
        .collect();
    let bytes: Vec<u8> = speech
        .iter()
        .take(speech.len() / 320 * 320 - 100)
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(b"\0\xfa\0\0\x04\0\x20\0data");
    wav.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    wav.extend(bytes);
    file_of("long.wav", &wav)
}

fn cutting(seconds: u64) -> Cutting {
    Cutting::new(AudioDuration::from_micros(seconds * 1_000_000), 3 << 20).unwrap()
}

fn split_from(path: &std::path::Path, from: Resume) -> (Split, Kept) {
    let mut kept = Kept::default();
    let samples = Samples::open(path).unwrap();
    let split = split(samples, &cutting(10), from, &mut kept, &mut go_on).unwrap();
    (split, kept)
}

#[test]
fn pieces_hold_the_whole_recording_to_the_sample_and_sound_like_it() {
    let (_folder, path) = long_recording();
    let whole = decode(&path);
    let (split, kept) = split_from(&path, Resume::default());
    assert_eq!(split.duration, duration(whole.len() as u64));
    assert_eq!(kept.pieces.len(), split.pieces as usize);
    assert!(split.pieces > 4 && split.damaged_packets == 0);
    let mut at = 0;
    for (number, (piece, bytes)) in kept.pieces.iter().enumerate() {
        assert_eq!((piece.number as usize, piece.stretch.start), (number, at));
        at = piece.stretch.end;
        let (_folder, path) = file_of("piece.ogg", bytes);
        assert_eq!(
            probe(&path).unwrap().duration,
            Some(piece.stretch.duration())
        );
        let copy = decode(&path);
        let begin = usize::try_from(piece.stretch.start).unwrap();
        let original = &whole[begin..begin + copy.len()];
        let product = |left: &[f32], right: &[f32]| -> f32 {
            left.iter()
                .zip(right)
                .map(|(left, right)| left * right)
                .sum()
        };
        let likeness =
            product(original, &copy) / (product(original, original) * product(&copy, &copy)).sqrt();
        assert!(likeness > 0.9, "piece {number}: {likeness}");
    }
    assert_eq!(at, whole.len() as u64);
}

/// What surrounds a cut is quiet: at least 100 ms that no word of normal loudness reaches.
#[test]
fn real_speech_is_cut_where_nobody_speaks() {
    let (_folder, path) = long_recording();
    let whole = decode(&path);
    let loudness = |samples: &[f32]| power(samples).sqrt();
    let usual = loudness(&whole);
    let (_, kept) = split_from(&path, Resume::default());
    let (_, others) = kept.pieces.split_last().unwrap();
    for (piece, _) in others {
        let cut = usize::try_from(piece.stretch.end).unwrap();
        let around = loudness(&whole[cut - 800..cut + 800]);
        assert!(around < usual / 8.0, "{piece:?}: {around} of {usual}");
    }
}

#[test]
fn the_same_source_gives_the_same_pieces_from_any_piece_on() {
    let (_folder, path) = long_recording();
    let (split, kept) = split_from(&path, Resume::default());
    for number in [1, kept.pieces.len() - 1] {
        let (piece, _) = kept.pieces[number];
        let from = Resume {
            number: piece.number,
            start: piece.stretch.start,
        };
        let (again, rest) = split_from(&path, from);
        assert_eq!(again, split);
        assert_eq!(rest.pieces, kept.pieces[number..]);
        assert_eq!(rest.begun[0], piece.number);
    }
}

#[test]
fn every_piece_can_be_made_again_alone() {
    let (_folder, path) = long_recording();
    let (_, kept) = split_from(&path, Resume::default());
    for (piece, bytes) in kept.pieces {
        let mut copy = Vec::new();
        let samples = Samples::open(&path).unwrap();
        let bitrate = cutting(10).bitrate();
        let count = copy_stretch(samples, piece.stretch, bitrate, &mut copy, &mut go_on);
        assert_eq!(
            (count.unwrap(), copy == bytes),
            (piece.bytes, true),
            "{piece:?}"
        );
    }
}

#[test]
fn a_recording_of_one_piece_is_what_shrinking_makes_of_it() {
    let path = example("jfk.flac");
    let mut kept = Kept::default();
    let cutting = cutting(60);
    let samples = Samples::open(&path).unwrap();
    split(samples, &cutting, Resume::default(), &mut kept, &mut go_on).unwrap();
    let mut shrunk = Vec::new();
    crate::media::shrink::shrink(&path, &mut shrunk, cutting.bitrate(), &mut go_on).unwrap();
    assert_eq!(kept.pieces.len(), 1);
    assert_eq!(kept.pieces[0].1, shrunk);
}

#[test]
fn no_piece_has_more_bytes_than_allowed() {
    let (_folder, path) = long_recording();
    let wanted = AudioDuration::from_micros(600_000_000);
    let cutting = Cutting::new(wanted, 60_000).unwrap();
    let mut kept = Kept::default();
    let samples = Samples::open(&path).unwrap();
    split(samples, &cutting, Resume::default(), &mut kept, &mut go_on).unwrap();
    assert!(kept.pieces.len() > 1);
    assert!(kept.pieces.iter().all(|(piece, _)| piece.bytes <= 60_000));
}

#[test]
fn a_full_disk_a_stop_and_a_source_that_shrank_are_told_apart() {
    /// Has no room.
    struct Full;
    impl Spool for Full {
        type File = Vec<u8>;
        fn begin(&mut self, _: u32) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn complete(&mut self, _: Piece, _: Vec<u8>) -> io::Result<()> {
            Ok(())
        }
    }
    let open = || Samples::open(&example("jfk.flac")).unwrap();
    let code = |error: ShrinkError| error.code();
    let cutting = cutting(10);
    let full = split(open(), &cutting, Resume::default(), &mut Full, &mut go_on);
    assert_eq!(code(full.unwrap_err()), "not_written");
    let mut stop = |_| ControlFlow::Break(());
    let stopped = split(
        open(),
        &cutting,
        Resume::default(),
        &mut Kept::default(),
        &mut stop,
    );
    assert_eq!(code(stopped.unwrap_err()), "stopped");
    let stretch = Stretch {
        start: 16_000,
        end: 16_000_000,
    };
    let shorter = copy_stretch(
        open(),
        stretch,
        cutting.bitrate(),
        &mut io::sink(),
        &mut go_on,
    );
    let shorter = shorter.unwrap_err();
    assert_eq!(
        shorter.to_string(),
        "it is shorter than it was: it ends after 11.0 s, and 16:40 was to be copied"
    );
    assert_eq!(code(shorter), "shorter");
}

#[test]
fn what_has_no_sound_has_no_pieces() {
    let wav = std::fs::read(example("librivox-0880.wav")).unwrap();
    let sound = wav.windows(4).position(|mark| mark == b"data").unwrap();
    let (_folder, path) = file_of("header.wav", &wav[..sound + 8]);
    let mut kept = Kept::default();
    let samples = Samples::open(&path).unwrap();
    let error = split(
        samples,
        &cutting(10),
        Resume::default(),
        &mut kept,
        &mut go_on,
    );
    assert_eq!(error.unwrap_err().code(), "no_sound");
    assert!(kept.begun.is_empty());
    assert!(Samples::open(&fixture("silent-film.mp4")).is_err());
}
