use super::*;
use crate::media::fixtures::{example, file_of, fixture};

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
        ("adpcm.wav", AudioFormat::Wav, "adpcm", 1.00, 0.03),
        ("alac.m4a", AudioFormat::Alac, "alac", 1.00, 0.03),
        ("film.mov", AudioFormat::QuickTime, "aac", 2.99, 0.03),
        ("film.mp4", AudioFormat::Mp4, "aac", 2.99, 0.03),
        ("film.ogv", AudioFormat::OggOther, "vorbis", 1.00, 0.03),
        ("film.webm", AudioFormat::WebM, "opus", 1.00, 0.03),
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
        ("ac3.mkv", "unsupported"),
        ("gsm.wav", "unsupported"),
        ("speech.wma", "unsupported"),
        ("speex.ogg", "unsupported"),
        ("silent-film.mp4", "no_audio_track"),
        ("silent-film.webm", "no_audio_track"),
    ] {
        assert_eq!(probe(&fixture(name)).unwrap_err().code(), code, "{name}");
    }
}

#[test]
fn films_are_told_from_recordings_in_the_same_containers() {
    for (name, is_film) in [
        ("film.mov", true),
        ("film.mp4", true),
        ("film.ogv", true),
        ("film.webm", true),
        ("aac.mkv", false),
        ("moov-last.m4a", false),
        ("opus.webm", false),
        ("surround.opus", false),
        ("flac.oga", false),
        ("vorbis.mka", false),
    ] {
        assert_eq!(probe(&fixture(name)).unwrap().has_video, is_film, "{name}");
    }
}

fn error_of(bytes: &[u8]) -> ProbeError {
    let (_folder, path) = file_of("recording.mp3", bytes);
    probe(&path).unwrap_err()
}

#[test]
fn a_text_file_named_mp3_is_told_apart() {
    let error = error_of(b"Not a sound in here.\n");
    assert_eq!(error.code(), "not_audio");
    assert_eq!(
        error.to_string(),
        "it is no recording: it looks like a text"
    );
    assert_eq!(
        error_of(b"<html><body>404</body></html>").code(),
        "not_audio"
    );
}

#[test]
fn an_empty_file_may_still_grow() {
    let error = error_of(b"");
    assert_eq!((error.code(), error.may_still_grow()), ("empty", true));
    let error = error_of(&[0; 5000]);
    assert_eq!((error.code(), error.may_still_grow()), ("not_audio", true));
    assert!(!error_of(b"text").may_still_grow());
}

#[test]
fn content_decides_and_not_the_name() {
    let wav = std::fs::read(example("librivox-0880.wav")).unwrap();
    let (_folder, path) = file_of("recording.mp3", &wav);
    assert_probe(&path, AudioFormat::Wav, "pcm", 2.99, 0.001);
}

#[test]
fn what_is_not_a_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.mp3");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    assert_eq!(
        probe(&pipe).unwrap_err().to_string(),
        "it is a pipe, not a file"
    );
    assert_eq!(probe(folder.path()).unwrap_err().code(), "not_a_file");
    let device = Path::new("/dev/null");
    assert_eq!(
        probe(device).unwrap_err().to_string(),
        "it is a device, not a file"
    );
}

#[test]
fn what_the_system_refuses_keeps_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        probe(&folder.path().join("gone.mp3")).unwrap_err().code(),
        "vanished"
    );
    let refused = |kind: io::ErrorKind| ProbeError::from(io::Error::from(kind)).code();
    assert_eq!(
        refused(io::ErrorKind::PermissionDenied),
        "permission_denied"
    );
    assert_eq!(refused(io::ErrorKind::Other), "unreadable");
}

/// Root may read everything, so this shows something only for other users.
#[test]
fn a_file_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = file_of("locked.mp3", b"x");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let expected = if rustix::process::geteuid().is_root() {
        "not_audio"
    } else {
        "permission_denied"
    };
    assert_eq!(probe(&path).unwrap_err().code(), expected);
}

#[test]
fn an_open_file_keeps_its_position() {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::open(example("jfk.flac")).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    assert_eq!(probe_file(&file).unwrap().format, AudioFormat::Flac);
    assert_eq!(file.stream_position().unwrap(), 7);
}

#[test]
fn a_source_keeps_its_bytes_and_times() {
    let bytes = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let (_folder, path) = file_of("kept.mp3", &bytes);
    let before = std::fs::metadata(&path).unwrap();
    probe(&path).unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    assert_eq!(before.accessed().unwrap(), after.accessed().unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// A WAV of one second of 16-bit sound at 8 kHz with these two lengths in its header.
fn wav(outer: u32, inner: u32) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&outer.to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0");
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&inner.to_le_bytes());
    bytes.resize(44 + 16_000, 0);
    bytes
}

#[test]
fn a_wav_of_unknown_length_reaches_to_its_end() {
    for (outer, inner) in [
        (16_036, 16_000),
        (0, 0),
        (u32::MAX, u32::MAX),
        (36, 0),
        (7, 16_000),
    ] {
        let (_folder, path) = file_of("streamed.wav", &wav(outer, inner));
        assert_probe(&path, AudioFormat::Wav, "pcm", 1.0, 0.0);
    }
}

#[test]
fn a_wav_shorter_than_its_header_is_cut_short() {
    let error = error_of(&wav(40_036, 40_000));
    let told = "the WAV is shorter than its header says: 16 KB of 40 KB of sound";
    assert!(error.to_string().contains(told), "{error}");
    assert_eq!(error_of(&wav(0, 0)[..44]).code(), "cut_short");
    assert_eq!(error_of(&wav(0, 0)[..30]).code(), "cut_short");
}

#[test]
fn what_follows_the_sound_of_a_wav_is_no_sound() {
    let mut bytes = wav(16_036, 16_000);
    bytes.extend_from_slice(b"LIST\xff\xff\0\0junk");
    let (_folder, path) = file_of("tagged.wav", &bytes);
    assert_probe(&path, AudioFormat::Wav, "pcm", 1.0, 0.0);
}

#[test]
fn a_wav_of_64_bit_lengths_is_read() {
    let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
    bytes.extend_from_slice(&16_072_u64.to_le_bytes());
    bytes.extend_from_slice(&16_000_u64.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(&wav(0, u32::MAX)[12..]);
    bytes.extend_from_slice(b"more");
    let (_folder, path) = file_of("long.wav", &bytes);
    assert_probe(&path, AudioFormat::Wav, "pcm", 1.0, 0.0);
    bytes.truncate(9_000);
    assert_eq!(error_of(&bytes).code(), "cut_short");
}

#[test]
fn tags_around_an_mp3_are_no_sound() {
    let bare = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let seconds = probe(&example("librivox-0890.mp3"))
        .unwrap()
        .duration
        .unwrap()
        .seconds();
    let mut tag = b"ID3\x04\0\0\0\x01\0\0".to_vec();
    // A picture in the tag that is full of sync words.
    tag.resize(10 + (1 << 14), 0xff);
    let mut ape = b"APETAGEX\xd0\x07\0\0\0\x10\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    ape.splice(0..0, [0xff, 0xfb, 0x90, 0x44].repeat((0x1000 - 32) / 4));
    let id3v1 = [b"TAG".as_slice(), &[0xff; 125]].concat();
    let (_folder, path) = file_of("tagged.mp3", &[tag, bare, ape, id3v1].concat());
    assert_probe(&path, AudioFormat::Mp3, "mp3", seconds, 0.000_1);
}

#[test]
fn an_mp3_behind_junk_is_found() {
    let bare = std::fs::read(example("librivox-0890.mp3")).unwrap();
    let (_folder, path) = file_of("junk.mp3", &[vec![0; 20_000], bare].concat());
    assert_probe(&path, AudioFormat::Mp3, "mp3", 5.30, 0.11);
}

/// Replaces the first `from` in a file.
fn patched(path: &Path, from: &[u8], to: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    file_of("patched.m4a", &bytes)
}

#[test]
fn a_protected_file_says_so() {
    for name in [b"drms", b"enca", b"aavd"] {
        let (_folder, path) = patched(&example("librivox-0920.m4a"), b"mp4a", name);
        assert_eq!(probe(&path).unwrap_err().code(), "protected");
    }
}

#[test]
fn an_mp4_without_an_index_is_cut_short() {
    let (_folder, path) = patched(&fixture("moov-last.m4a"), b"moov", b"free");
    let error = probe(&path).unwrap_err();
    assert!(error.to_string().contains("no index (moov)"), "{error}");
    assert_eq!(error.code(), "cut_short");
}

#[test]
fn oggs_that_follow_each_other_count_together() {
    let one = std::fs::read(example("librivox-0930.opus")).unwrap();
    let two = std::fs::read(example("two-cities.ogg")).unwrap();
    let (_folder, path) = file_of("both.ogg", &[one, two].concat());
    assert_probe(&path, AudioFormat::Ogg, "opus", 3.29 + 44.37, 0.03);
}
