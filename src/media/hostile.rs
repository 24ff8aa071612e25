//! Tests with damaged files: whatever the bytes, probe, decode, shrink and split answer, and never
//! panic.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::decode::{DecodeError, Samples};
use super::fixtures::{all, example, file_of, fixture};
use super::probe::{ProbeError, probe};
use super::shrink::{ShrinkError, shrink};
use super::split::{Piece, Resume, Spool, split};
use crate::domain::audio::{AudioDuration, Bitrate};
use crate::domain::cut::Cutting;

/// Cuts of every file.
const CUTS: usize = 50;
/// Samples that are decoded of a damaged file: 5 s.
const TASTE: usize = 80_000;

/// Mutations of a short series; `STENOD_MUTATIONS=100000` makes a long one of it.
const MUTATIONS: u64 = 150;
/// What the mutations are drawn from; `STENOD_MUTATION_SEED` repeats a series from one on.
const SEED: u64 = 1;

/// Probes, decodes, shrinks and splits a file of these bytes.
fn try_all(bytes: &[u8]) -> Result<(), ProbeError> {
    let (_folder, path) = file_of("damaged", bytes);
    // Whether it is an error or sound, it is an answer.
    drop(smaller(&path));
    drop(cut(&path));
    look(&path)
}

/// Decodes the beginning and probes all.
fn look(path: &Path) -> Result<(), ProbeError> {
    drop(taste(path));
    probe(path).map(|_| ())
}

/// Takes the pieces and forgets them.
struct Nowhere;

impl Spool for Nowhere {
    type File = io::Sink;

    fn begin(&mut self, _: u32) -> io::Result<io::Sink> {
        Ok(io::sink())
    }

    fn complete(&mut self, piece: Piece, _: io::Sink) -> io::Result<()> {
        assert!(piece.stretch.start < piece.stretch.end && piece.bytes > 0);
        Ok(())
    }
}

/// Stops after half a second of sound.
fn a_little(done: AudioDuration) -> ControlFlow<()> {
    match done.micros() {
        500_000.. => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

fn smaller(path: &Path) -> Result<(), ShrinkError> {
    shrink(path, &mut io::sink(), Bitrate::Kbps16, &mut a_little).map(|_| ())
}

fn cut(path: &Path) -> Result<(), ShrinkError> {
    let cutting = Cutting::new(AudioDuration::default(), 1 << 20).unwrap();
    let from = Resume::default();
    split(
        Samples::open(path)?,
        &cutting,
        from,
        &mut Nowhere,
        &mut a_little,
    )
    .map(|_| ())
}

fn taste(path: &Path) -> Result<usize, DecodeError> {
    let mut samples = Samples::open(path)?;
    samples.read(&mut vec![0.0; TASTE])
}

#[test]
fn a_cut_anywhere_gives_an_answer() {
    for path in all() {
        let bytes = std::fs::read(&path).unwrap();
        for cut in 0..CUTS {
            let length = bytes.len() * cut / CUTS;
            let (_folder, path) = file_of("cut", &bytes[..length]);
            let Err(error) = look(&path) else {
                continue;
            };
            assert_eq!(
                error.code() == "empty",
                length == 0,
                "{path:?} cut at {length}"
            );
            assert!(error.to_string().len() < 250, "{path:?}: {error}");
        }
    }
}

/// Containers that state their length: every cut in the second half is noticed and may still grow.
#[test]
fn a_container_that_is_cut_short_says_so() {
    for path in [
        example("jfk.flac"),
        example("librivox-0870.mp3"),
        example("librivox-0880.wav"),
        example("librivox-0920.m4a"),
        fixture("moov-last.m4a"),
        fixture("film.mov"),
        fixture("opus.webm"),
        fixture("vorbis.mka"),
        fixture("pcm.aiff"),
        fixture("pcm.caf"),
        fixture("surround24.wav"),
    ] {
        let bytes = std::fs::read(&path).unwrap();
        for cut in CUTS / 2..CUTS - 2 {
            let error = try_all(&bytes[..bytes.len() * cut / CUTS]).unwrap_err();
            assert_eq!(error.code(), "cut_short", "{path:?} at {cut}: {error}");
            assert!(error.may_still_grow());
        }
    }
}

#[test]
fn an_ogg_that_ends_inside_a_page_says_so() {
    let bytes = std::fs::read(example("two-cities.ogg")).unwrap();
    let error = try_all(&bytes[..bytes.len() / 2]).unwrap_err();
    assert_eq!(error.code(), "cut_short");
    assert!(error.to_string().contains("inside a page"), "{error}");
}

/// Two pages in the middle whose stated lengths are wild: nothing is missing, so nothing is waited for.
#[test]
fn a_damaged_ogg_is_not_said_to_be_cut_short() {
    for name in ["librivox-0930.opus", "two-cities.ogg"] {
        let mut bytes = std::fs::read(example(name)).unwrap();
        let marks = bytes.windows(4).enumerate();
        let pages: Vec<_> = marks
            .filter_map(|(at, mark)| (mark == b"OggS").then_some(at))
            .collect();
        for page in [pages[pages.len() - 2], pages[pages.len() - 3]] {
            bytes[page + 26] = 255;
            bytes[page + 27..page + 27 + 255].fill(255);
        }
        if let Err(error) = try_all(&bytes) {
            assert_eq!(error.code(), "damaged", "{name}: {error}");
        }
    }
}

/// A shop's file, a picture named like a recording, and the like: the same code from everybody.
#[test]
fn what_is_no_recording_has_one_code_everywhere() {
    let shop = |name: &[u8; 4]| {
        let mut bytes = std::fs::read(example("librivox-0920.m4a")).unwrap();
        let at = bytes.windows(4).position(|mark| mark == b"mp4a").unwrap();
        bytes[at..at + 4].copy_from_slice(name);
        bytes
    };
    let mut random = fastrand::Rng::with_seed(SEED);
    let noise: Vec<u8> = (0..9000).map(|_| random.u8(b'a'..=b'm')).collect();
    for (name, bytes, code) in [
        ("nothing.mp3", Vec::new(), "empty"),
        ("shop.m4p", shop(b"drms"), "protected"),
        ("film.m4v", shop(b"enca"), "protected"),
        (
            "picture.wav",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(9),
            "not_audio",
        ),
        ("letter.flac", noise, "not_audio"),
        (
            "old.mp3",
            std::fs::read(fixture("speech.wma")).unwrap(),
            "unsupported",
        ),
        (
            "mute.m4a",
            std::fs::read(fixture("silent-film.mp4")).unwrap(),
            "no_audio_track",
        ),
    ] {
        let (_folder, path) = file_of(name, &bytes);
        assert_eq!(probe(&path).unwrap_err().code(), code, "{name}");
        assert_eq!(smaller(&path).unwrap_err().code(), code, "{name}");
        assert_eq!(cut(&path).unwrap_err().code(), code, "{name}");
    }
}

/// A recording under another's name is what its content says.
#[test]
fn a_misnamed_recording_is_cut_and_shrunk_all_the_same() {
    let bytes = std::fs::read(example("librivox-0880.wav")).unwrap();
    let (_folder, path) = file_of("speech.mp3", &bytes);
    assert_eq!(probe(&path).unwrap().codec, "pcm");
    assert_eq!(smaller(&path).unwrap_err().code(), "stopped");
    assert_eq!(cut(&path).unwrap_err().code(), "stopped");
}

/// Damages a file in one way of several.
fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut fastrand::Rng) {
    let length = bytes.len().max(1);
    // Headers are where the structure is.
    let reach = if random.bool() {
        length.min(800)
    } else {
        length
    };
    let at = random.usize(..reach).min(bytes.len());
    let count = random.usize(1..400).min(bytes.len() - at);
    match random.u8(..7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + count)),
        2 => {
            let part = bytes[at..at + count].to_vec();
            bytes.splice(at..at, part);
        }
        3 => bytes[at..at + count].fill(if random.bool() { 0 } else { 0xff }),
        4 => {
            let other = &others[random.usize(..others.len())];
            let from = random.usize(..other.len());
            let part = &other[from..other.len().min(from + count)];
            bytes.splice(at..at, part.iter().copied());
        }
        5 => {
            // A length or an offset that is wild.
            let wild = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.u32(..)];
            let number = wild[random.usize(..wild.len())].to_be_bytes();
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        _ => bytes[at..at + count]
            .iter_mut()
            .for_each(|byte| *byte ^= u8::from(random.u8(..) < 20) << random.u8(..8)),
    }
}

/// A series of mutations of real files, several on top of each other; a failure names its seed.
#[test]
fn mutated_recordings_give_an_answer() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
    };
    let files = small_files();
    let first = number("STENOD_MUTATION_SEED", SEED);
    for seed in first..first + number("STENOD_MUTATIONS", MUTATIONS) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = files[random.usize(..files.len())].clone();
        for _ in 0..random.u8(1..6) {
            mutate(&mut bytes, &files, &mut random);
        }
        let answer = std::panic::catch_unwind(|| drop(try_all(&bytes)));
        assert!(
            answer.is_ok(),
            "STENOD_MUTATION_SEED={seed} STENOD_MUTATIONS=1"
        );
    }
}

fn small_files() -> Vec<Vec<u8>> {
    let read = |path: &PathBuf| std::fs::read(path).unwrap();
    let paths = all();
    let small = paths.iter().map(read).filter(|bytes| bytes.len() < 50_000);
    // Streams that change in the middle.
    let joined = [["mono44.mp3", "tagged.mp3"], ["lc.aac", "stereo24.aac"]];
    let joined = joined.map(|names| names.map(|name| read(&fixture(name))).concat());
    small.chain(joined).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_give_an_answer(
        file in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..40),
        in_the_header in any::<bool>(),
    ) {
        let mut bytes = file.get(&small_files()).clone();
        let reach = if in_the_header { bytes.len().min(600) } else { bytes.len() };
        for (place, bit) in flips {
            bytes[place.index(reach)] ^= 1 << bit;
        }
        // Any answer will do; `try_all` fails when there is none.
        drop(try_all(&bytes));
    }

    #[test]
    fn a_piece_in_the_wrong_place_gives_an_answer(
        file in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        length in 1..3000_usize,
    ) {
        let mut bytes = file.get(&small_files()).clone();
        let from = from.index(bytes.len());
        let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
        let to = to.index(bytes.len());
        bytes.splice(to..to, piece);
        drop(try_all(&bytes));
    }

    #[test]
    fn a_known_beginning_with_any_rest_gives_an_answer(
        file in any::<prop::sample::Index>(),
        kept in 4..200_usize,
        rest in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let file = file.get(&small_files()).clone();
        let mut bytes = file[..kept.min(file.len())].to_vec();
        bytes.extend(rest);
        drop(try_all(&bytes));
    }
}
