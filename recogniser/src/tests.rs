//! Activations of the built-in model against those of an independent implementation.
//!
//! `tests/fixtures/activations.json` was made in `f64` with NumPy from the same 8-bit weights and the
//! recording `librivox-0930.wav`: places in the spectrogram, in the encoder's rows, and the scores after
//! each token of a prompt.

use std::sync::OnceLock;

use ndarray::Array2;
use serde::Deserialize;

use crate::Recogniser;
use crate::decoder::{Decoder, Memory};
use crate::encoder::encode;
use crate::error::Stopped;
use crate::mel::{MARGIN, Mel};
use crate::tokenizer::Token;

#[derive(Deserialize)]
struct Fixture {
    mel: Vec<(usize, usize, f32)>,
    encoder: Vec<(usize, usize, f32)>,
    decoder: Scores,
}

#[derive(Deserialize)]
struct Scores {
    tokens: Vec<Token>,
    scores: Vec<(usize, usize, f32)>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../tests/fixtures/activations.json")).unwrap()
}

fn model() -> &'static Recogniser {
    static MODEL: OnceLock<Recogniser> = OnceLock::new();
    MODEL.get_or_init(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../models/whisper-tiny.en-q8.bin"
        );
        let bytes = std::fs::read(path).unwrap();
        Recogniser::packed(bytes.leak(), path).unwrap()
    })
}

fn spectrogram() -> Array2<f32> {
    let wav = include_bytes!("../tests/fixtures/librivox-0930.wav");
    let pairs = wav[78..].as_chunks::<2>().0.iter();
    let samples: Vec<f32> = pairs
        .map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32768.0)
        .collect();
    let mirror: Vec<f32> = samples[1..=MARGIN].iter().rev().copied().collect();
    model().mel.spectrogram([mirror, samples].concat())
}

fn encoded(threads: usize) -> Array2<f32> {
    let weights = &model().weights.encoder;
    encode(
        &model().config,
        weights,
        &spectrogram().view(),
        threads,
        &mut || Ok(()),
    )
    .unwrap()
}

#[test]
fn the_spectrogram_has_the_reference_values() {
    let spectrogram = spectrogram();
    assert_eq!(spectrogram.dim(), (3000, 80));
    for (frame, bin, wanted) in fixture().mel {
        let got = spectrogram[(frame, bin)];
        assert!(
            (got - wanted).abs() < 1e-4,
            "frame {frame}, bin {bin}: {got}, not {wanted}"
        );
    }
}

#[test]
fn the_encoder_has_the_reference_values() {
    let rows = encoded(2);
    for (row, channel, wanted) in fixture().encoder {
        let got = rows[(row, channel)];
        assert!(
            (got - wanted).abs() < 2e-4,
            "row {row}, channel {channel}: {got}, not {wanted}"
        );
    }
}

#[test]
fn the_decoder_has_the_reference_values() {
    let Scores {
        tokens,
        scores: wanted,
    } = fixture().decoder;
    let weights = &model().weights.decoder;
    let memory = Memory::new(weights, &encoded(1).view(), 2);
    let mut decoder = Decoder::new(&model().config, weights, &memory, 2);
    let mut scores = vec![0.0; model().config.vocabulary];
    for (place, &token) in tokens.iter().enumerate() {
        decoder.say(token);
        decoder.scores(&mut scores);
        for &(_, other, wanted) in wanted.iter().filter(|(at, _, _)| *at == place) {
            let got = scores[other];
            assert!(
                (got - wanted).abs() < 1e-3,
                "{place}, token {other}: {got}, not {wanted}"
            );
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    assert_eq!(encoded(1), encoded(3));
}

#[test]
fn encoding_stops_between_layers_when_asked_to() {
    let weights = &model().weights.encoder;
    let mut calls = 0;
    let mut pulse = || {
        calls += 1;
        if calls == 3 { Err(Stopped) } else { Ok(()) }
    };
    let mel = spectrogram();
    assert!(encode(&model().config, weights, &mel.view(), 1, &mut pulse).is_err());
    assert_eq!(calls, 3);
}

#[test]
fn the_vocabulary_spells_words_with_their_spaces() {
    let vocabulary = &model().vocabulary;
    assert_eq!(vocabulary.text(&[679, 1244, 772]), " He might even");
    assert_eq!(vocabulary.token_of(b" "), Some(220));
    assert_eq!(vocabulary.specials.first_timestamp(), 50363);
}

#[test]
fn silence_is_one_level_in_all_bins() {
    let spectrogram = Mel::new(128).spectrogram(vec![0.0; 400]);
    assert_eq!(spectrogram.dim(), (3000, 128));
    assert!(spectrogram.iter().all(|&value| value == -1.5));
}
