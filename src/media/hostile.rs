//! Tests with damaged files: whatever the bytes, probe and decode answer, and never panic.

use std::path::Path;

use proptest::prelude::*;

use super::decode::{DecodeError, Samples};
use super::fixtures::{all, example, file_of, fixture};
use super::probe::{ProbeError, probe};

/// Cuts of every file.
const CUTS: usize = 50;
/// Samples that are decoded of a damaged file: 5 s.
const TASTE: usize = 80_000;

/// Probes and decodes a file of these bytes.
fn try_all(bytes: &[u8]) -> Result<(), ProbeError> {
    let (_folder, path) = file_of("damaged", bytes);
    // Whether the taste is an error or sound, it is an answer.
    drop(taste(&path));
    probe(&path).map(|_| ())
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
            let Err(error) = try_all(&bytes[..length]) else {
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

fn small_files() -> Vec<Vec<u8>> {
    let all = all().into_iter().map(|path| std::fs::read(path).unwrap());
    all.filter(|bytes| bytes.len() < 50_000).collect()
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
