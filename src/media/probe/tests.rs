use super::*;
use crate::media::fixtures::{example, fixture};

fn assert_probe(path: &Path, format: AudioFormat, codec: &str, seconds: f64, within: f64) {
    let probe = probe(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert_eq!((probe.format, probe.codec), (format, codec), "{path:?}");
    let measured = probe.duration.unwrap().seconds();
    assert!(
        (measured - seconds).abs() <= within,
        "{path:?}: {measured} s, not {seconds}"
    );
}

#[test]
fn the_examples_have_their_formats_and_true_lengths() {
    for (name, format, codec, seconds) in [
        ("jfk.flac", AudioFormat::Flac, "flac", 11.00),
        ("librivox-0870.mp3", AudioFormat::Mp3, "mp3", 7.10),
        ("librivox-0880.wav", AudioFormat::Wav, "pcm", 2.99),
        ("librivox-0920.m4a", AudioFormat::M4a, "aac", 6.05),
        ("librivox-0930.opus", AudioFormat::Ogg, "opus", 3.29),
        ("two-cities.ogg", AudioFormat::Ogg, "vorbis", 44.37),
    ] {
        assert_probe(&example(name), format, codec, seconds, 0.03);
    }
}

/// Without a header nobody knows the delay and padding that the encoder added: at most two frames
/// and 1105 samples of this rate.
#[test]
fn an_mp3_of_variable_bit_rate_without_a_header_is_walked() {
    assert_probe(
        &example("librivox-0890.mp3"),
        AudioFormat::Mp3,
        "mp3",
        5.30,
        0.11,
    );
}

#[test]
fn every_container_is_told_and_measured() {
    for (name, format, codec, seconds, within) in [
        ("aac.mkv", AudioFormat::Matroska, "aac", 2.99, 0.09),
        ("ac3.mkv", AudioFormat::Matroska, "ac3", 1.00, 0.03),
        ("adpcm.wav", AudioFormat::Wav, "adpcm", 1.00, 0.03),
        ("alac.m4a", AudioFormat::Alac, "alac", 1.00, 0.03),
        ("film.mov", AudioFormat::QuickTime, "aac", 2.99, 0.03),
        ("film.mp4", AudioFormat::Mp4, "aac", 2.99, 0.03),
        ("flac.oga", AudioFormat::OggOther, "flac", 1.00, 0.03),
        ("fragmented.m4a", AudioFormat::M4a, "aac", 2.99, 0.07),
        ("layer2.mp2", AudioFormat::Mp2, "mp2", 1.00, 0.03),
        ("lc.aac", AudioFormat::Aac, "aac", 2.99, 0.09),
        ("moov-last.m4a", AudioFormat::M4a, "aac", 2.99, 0.03),
        ("mulaw.wav", AudioFormat::Wav, "mulaw", 1.00, 0.03),
        ("opus.webm", AudioFormat::WebM, "opus", 2.99, 0.03),
        ("pcm.aiff", AudioFormat::Aiff, "pcm", 1.00, 0.03),
        ("pcm.caf", AudioFormat::Caf, "pcm", 1.00, 0.03),
        ("surround.opus", AudioFormat::Ogg, "opus", 1.00, 0.03),
        ("surround24.wav", AudioFormat::Wav, "pcm", 0.10, 0.001),
        ("tagged.mp3", AudioFormat::Mp3, "mp3", 2.99, 0.03),
        ("vorbis.mka", AudioFormat::Matroska, "vorbis", 2.99, 0.06),
    ] {
        assert_probe(&fixture(name), format, codec, seconds, within);
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    for (name, code) in [
        ("gsm.wav", "unsupported"),
        ("speech.wma", "unsupported"),
        ("speex.ogg", "unsupported"),
        ("silent-film.mp4", "no_audio_track"),
        ("silent-film.webm", "no_audio_track"),
    ] {
        assert_eq!(probe(&fixture(name)).unwrap_err().code(), code, "{name}");
    }
}
