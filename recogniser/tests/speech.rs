//! The public face of the recogniser on real speech, with the model that is built in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "support/source.rs"]
mod source;
#[path = "support/speech.rs"]
mod support;

use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use source::source;
use stenod_recogniser::{Options, Progress, Recogniser, Recognition, TranscribeError};
use support::{read_wav, word_errors, words};

const RATE: usize = stenod_recogniser::SAMPLE_RATE as usize;
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../models/whisper-tiny.en-q8.bin"
);
const DASHWOOD: &str = "And Mr. John Dashwood had then leisure to consider how much there might be \
    prudently in his power to do for them.";
const AMIABLE: &str = "He might even have been made amiable himself.";

fn model_bytes() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(MODEL).unwrap())
}

fn model() -> &'static Recogniser {
    static RECOGNISER: OnceLock<Recogniser> = OnceLock::new();
    RECOGNISER.get_or_init(|| Recogniser::packed(model_bytes(), "the model").unwrap())
}

fn speech(name: &str) -> Vec<f32> {
    read_wav(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name),
    )
    .unwrap()
}

fn options(threads: usize) -> Options {
    Options {
        language: None,
        threads: NonZeroUsize::new(threads).unwrap(),
        seed: 1,
    }
}

fn transcribe(samples: &[f32], threads: usize) -> Recognition {
    let mut go_on = |_| ControlFlow::Continue(());
    model()
        .transcribe(&mut source(samples), &options(threads), &mut go_on)
        .unwrap()
}

fn text(recognition: &Recognition) -> String {
    let texts: Vec<&str> = recognition
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    texts.join(" ")
}

/// Word errors in percent.
fn word_error_rate(wanted: &str, got: &str) -> f64 {
    let wanted = words(wanted);
    100.0 * word_errors(&wanted, &words(got)) as f64 / wanted.len() as f64
}

#[test]
fn the_model_is_the_file_that_its_readme_names() {
    let digest = Sha256::digest(model_bytes());
    let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        sum,
        "b7a9d6ec224fd006ef76e72626012c4111a92345957e5e034e25a7b8e945c9d9"
    );
    let readme = Path::new(MODEL).with_file_name("README.md");
    assert!(std::fs::read_to_string(readme).unwrap().contains(&sum));
    assert_eq!(model().name(), "whisper-tiny.en");
    assert!(!model().is_multilingual());
}

#[cfg(feature = "weights")]
#[test]
fn the_built_in_model_is_the_one_of_the_file() {
    assert_eq!(Recogniser::built_in().unwrap().name(), model().name());
}

#[test]
fn speech_is_understood_with_at_most_four_percent_of_word_errors() {
    let recognition = transcribe(&speech("librivox-0870.wav"), 2);
    let errors = word_error_rate(DASHWOOD, &text(&recognition));
    assert!(errors <= 4.0, "{errors} %: {recognition:?}");
    assert_eq!(recognition.language, "en");
    assert!((recognition.seconds - 7.1).abs() < 0.01);
    for segment in &recognition.segments {
        assert!(
            segment.start < segment.end && segment.end <= recognition.seconds,
            "{segment:?}"
        );
        assert!(segment.mean_log_probability > -1.0 && segment.no_speech_probability < 0.6);
        assert!(segment.tokens > 0 && segment.text.trim() == segment.text);
    }
}

#[test]
fn the_number_of_threads_and_a_second_run_give_the_same_result() {
    let samples = speech("librivox-0930.wav");
    let recognition = transcribe(&samples, 1);
    assert_eq!(recognition, transcribe(&samples, 2));
    assert_eq!(recognition, transcribe(&samples, 1));
    assert!(
        word_error_rate(AMIABLE, &text(&recognition)) <= 4.0,
        "{recognition:?}"
    );
}

#[test]
fn speech_after_a_long_silence_is_found_with_its_time() {
    let (first, second) = (speech("librivox-0870.wav"), speech("librivox-0930.wav"));
    let silence = vec![0.0; 40 * RATE];
    let offset = (first.len() + silence.len()) as f64 / RATE as f64;
    let recognition = transcribe(&[first, silence, second].concat(), 2);
    let errors = word_error_rate(&format!("{DASHWOOD} {AMIABLE}"), &text(&recognition));
    assert!(errors <= 4.0, "{errors} %: {recognition:?}");
    let last = recognition.segments.last().unwrap();
    assert!(
        (last.start - offset).abs() < 0.8,
        "{} is not near {offset}",
        last.start
    );
    let ordered = recognition
        .segments
        .windows(2)
        .all(|pair| pair[0].end <= pair[1].start);
    assert!(ordered, "{recognition:?}");
}

#[test]
fn nothing_is_heard_in_a_rumble_as_loud_as_the_speech_before_it() {
    let mut samples = speech("librivox-0870.wav");
    let (mut state, mut level) = (1_u64, 0.0_f32);
    let rumble = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        level = 0.95 * level + 0.02 * random;
        level
    });
    samples.extend(rumble.take(20 * RATE));
    let recognition = transcribe(&samples, 2);
    let errors = word_error_rate(DASHWOOD, &text(&recognition));
    assert!(errors <= 4.0, "{errors} %: {recognition:?}");
}

#[test]
fn silence_and_nothing_at_all_give_an_empty_recognition() {
    for seconds in [0, 1, 65] {
        let recognition = transcribe(&vec![0.0; seconds * RATE], 1);
        assert_eq!(recognition.segments, []);
        assert_eq!(recognition.seconds, seconds as f64);
    }
}

#[test]
fn very_short_and_damaged_audio_does_no_harm() {
    for samples in [
        vec![0.5],
        vec![0.1; 50],
        vec![f32::NAN; 3000],
        vec![f32::INFINITY; 100],
    ] {
        let recognition = transcribe(&samples, 1);
        assert!((recognition.seconds - samples.len() as f64 / RATE as f64).abs() < 1e-9);
    }
}

#[test]
fn the_error_of_the_sample_source_passes_through() {
    let mut calls = 0;
    let mut failing = |block: &mut [f32]| {
        calls += 1;
        if calls == 3 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        block.fill(0.1);
        Ok(block.len())
    };
    let mut go_on = |_| ControlFlow::Continue(());
    match model().transcribe(&mut failing, &options(1), &mut go_on) {
        Err(TranscribeError::Source(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stop_is_heeded_before_during_and_after_encoding() {
    let samples = speech("librivox-0930.wav");
    for stop_at in [1, 2, 5, 12, 15] {
        let mut calls = 0;
        let mut stop = |progress: Progress| {
            assert!(progress.seconds >= 0.0);
            calls += 1;
            if calls == stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let result = model().transcribe(&mut source(&samples), &options(1), &mut stop);
        assert!(
            matches!(result, Err(TranscribeError::Stopped)),
            "{stop_at}: {result:?}"
        );
        assert_eq!(calls, stop_at);
    }
}

#[test]
fn progress_never_goes_back_and_reaches_the_end() {
    let samples = speech("librivox-0930.wav");
    let mut seen = Vec::new();
    let mut watch = |progress: Progress| {
        seen.push(progress.seconds);
        ControlFlow::Continue(())
    };
    model()
        .transcribe(&mut source(&samples), &options(1), &mut watch)
        .unwrap();
    assert!(seen.is_sorted());
    assert!(seen.last().unwrap() > &3.0, "{seen:?}");
}

#[test]
fn an_english_model_refuses_other_languages_in_words() {
    let ask = |language: &str| {
        let options = Options {
            language: Some(language.to_owned()),
            ..options(1)
        };
        let mut go_on = |_| ControlFlow::Continue(());
        model().transcribe(&mut source(&[]), &options, &mut go_on)
    };
    assert!(ask("en-US").is_ok() && ask("English").is_ok());
    for language in ["de", "klingon"] {
        let error = ask(language).unwrap_err().to_string();
        assert!(
            error.contains(language) && error.contains("only English"),
            "{error}"
        );
    }
}
