//! Real speech, cut into pieces, recognised piece by piece and stitched, beside the uncut run.
//!
//! What the pieces become is what a service would get: Opus in Ogg. The recogniser gives the times of
//! segments, looks at windows of 30 s, and often rounds to seconds, differently for every window: two runs
//! over the same sound that begin elsewhere are half a second apart, and once in a while encoding alone turns
//! a rounding. So words are held against the uncut
//! run, times against the same stretches of the uncut sound (the windows are the same then, and what
//! differs is what cutting, encoding and stitching did), and the sound itself against the uncut sound.

#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "recordings are made in the test's own folder"
)]

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use stenod::domain::audio::{AudioDuration, SPEECH_RATE};
use stenod::domain::cut::Cutting;
use stenod::domain::transcript::{HeardPiece, Span, Transcript};
use stenod::media::decode::{DecodeError, Samples};
use stenod::media::split::{Piece, Resume, Spool, split};
use stenod::speech::local::{Local, LocalSettings};

/// How long the pieces are to be, in seconds.
const WANTED_SECONDS: u64 = 15;
/// How far the sound of a piece may lie from its place, in samples: 1 ms.
const IN_PLACE: isize = 16;
/// How alike the sound of a piece and of its place are at least, as a correlation.
const ALIKE: f32 = 0.8;
/// How far the start of a segment may lie from that of the uncut run, in seconds.
const CLOSE: f64 = 0.05;
/// Words that the two runs may hear differently, of some 150: what the smaller copy costs.
const MOST_DIFFERENT: usize = 4;

/// Keeps the pieces as files.
struct Folder<'f>(&'f Path, Vec<Piece>);

impl Folder<'_> {
    fn file(&self, number: u32) -> PathBuf {
        self.0.join(format!("{number}.ogg"))
    }
}

impl Spool for Folder<'_> {
    type File = std::fs::File;

    fn begin(&mut self, number: u32) -> io::Result<std::fs::File> {
        std::fs::File::create(self.file(number))
    }

    fn complete(&mut self, piece: Piece, _: std::fs::File) -> io::Result<()> {
        self.1.push(piece);
        Ok(())
    }
}

fn samples(path: &Path) -> Samples {
    Samples::open(path).unwrap()
}

/// Recordings one after the other, as WAV.
fn one_after_the_other(folder: &Path, names: &[&str]) -> PathBuf {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recordings");
    let mut bytes = Vec::new();
    for name in names {
        let (mut samples, mut block) = (samples(&recordings.join(name)), vec![0.0; 16_000]);
        loop {
            let count = samples.read(&mut block).unwrap();
            bytes.extend(
                block[..count]
                    .iter()
                    .flat_map(|sample| sample.to_le_bytes()),
            );
            if count < block.len() {
                break;
            }
        }
    }
    let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    wav.extend_from_slice(&SPEECH_RATE.to_le_bytes());
    wav.extend_from_slice(b"\0\xfa\0\0\x04\0\x20\0data");
    wav.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    wav.extend(bytes);
    let path = folder.join("long.wav");
    std::fs::write(&path, wav).unwrap();
    path
}

fn recognise(recogniser: &Local, mut samples: Samples, duration: AudioDuration) -> Transcript {
    let mut left = usize::try_from(duration.micros() * 2 / 125).unwrap();
    let mut next = |block: &mut [f32]| {
        let room = block.len().min(left);
        let count = samples.read(&mut block[..room])?;
        left -= count;
        Ok::<_, DecodeError>(count)
    };
    let heard = recogniser.transcribe(&mut next, "auto", &|_| true).unwrap();
    Transcript::from_heard(heard, Some(duration.seconds()))
}

/// The recording from a sample on.
fn from_sample(path: &Path, start: u64) -> Samples {
    let mut samples = samples(path);
    let mut before = vec![0.0; usize::try_from(start).unwrap()];
    assert_eq!(samples.read(&mut before).unwrap(), before.len());
    samples
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.chars()
                .filter(|letter| letter.is_alphanumeric())
                .collect::<String>()
        })
        .map(|word| word.to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The fewest words to change, leave out and add.
fn differences(left: &[String], right: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, word) in left.iter().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (at, other) in right.iter().enumerate() {
            let kept = diagonal + usize::from(word != other);
            diagonal = row[at + 1];
            row[at + 1] = kept.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

/// By how much segments that begin with the same three words begin apart, in seconds; the times on the
/// left count from `begin`.
fn offsets(left: &Transcript, right: &Transcript, begin: f64) -> Vec<f64> {
    let begins = |transcript: &Transcript| -> Vec<(Vec<String>, f64)> {
        let segments = transcript.segments.iter();
        segments
            .map(|segment| {
                let begin = words(&segment.text).into_iter().take(3).collect();
                (begin, segment.span.map_or(0.0, Span::start))
            })
            .collect()
    };
    let right = begins(right);
    let apart = |(text, start): (Vec<String>, f64)| {
        let same = right.iter().filter(|(other, _)| *other == text);
        same.map(|(_, other)| (other - begin - start).abs())
            .min_by(f64::total_cmp)
    };
    begins(left).into_iter().filter_map(apart).collect()
}

fn recogniser() -> Local {
    Local::new(LocalSettings {
        model_dir: None,
        threads: None,
    })
}

/// The next samples, as many as there are up to `count`.
fn take(samples: &mut Samples, count: usize) -> Vec<f32> {
    let mut taken = vec![0.0; count];
    let count = samples.read(&mut taken).unwrap();
    taken.truncate(count);
    taken
}

/// Fails unless every second of the piece is where it was, as far as there is sound in it.
#[track_caller]
fn assert_in_place(piece: &mut Samples, uncut: &mut Samples) {
    let second = SPEECH_RATE as usize;
    let loudness = |samples: &[f32]| samples.iter().map(|it| it * it).sum::<f32>();
    loop {
        let (one, other) = (take(piece, second), take(uncut, second));
        assert!(one.len() <= other.len());
        if one.len() < second {
            return;
        }
        let likeness = |lag: isize| -> f32 {
            let at = |index: isize| usize::try_from(index).ok();
            let pairs = one.iter().zip(0..).filter_map(|(sample, index)| {
                let other = at(index + lag).and_then(|index| other.get(index))?;
                Some(sample * other)
            });
            pairs.sum::<f32>() / (loudness(&one) * loudness(&other)).sqrt()
        };
        let best = (-4 * IN_PLACE..=4 * IN_PLACE)
            .max_by(|one, other| likeness(*one).total_cmp(&likeness(*other)))
            .unwrap();
        let is_silent = loudness(&other) < 1e-4 * second as f32;
        assert!(
            is_silent || (best.abs() <= IN_PLACE && likeness(best) > ALIKE),
            "{best} samples off, {} alike",
            likeness(best)
        );
    }
}

#[test]
fn every_word_stands_once_at_its_time_although_the_recording_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = one_after_the_other(folder.path(), &["jfk.flac", "two-cities.ogg"]);
    let recogniser = recogniser();
    let wanted = AudioDuration::from_micros(WANTED_SECONDS * 1_000_000);
    let cutting = Cutting::new(wanted, 3 << 20).unwrap();
    let mut pieces = Folder(folder.path(), Vec::new());
    let mut go_on = |_| ControlFlow::Continue(());
    let from = Resume::default();
    let whole = split(samples(&path), &cutting, from, &mut pieces, &mut go_on).unwrap();
    assert!(whole.pieces >= 3);

    let mut heard = Vec::new();
    for piece in &pieces.1 {
        let file = || samples(&pieces.file(piece.number));
        assert_in_place(&mut file(), &mut from_sample(&path, piece.stretch.start));
        let transcript = recognise(&recogniser, file(), piece.stretch.duration());
        heard.push((piece.stretch, transcript));
    }
    let pieces = heard.iter().map(|(stretch, transcript)| HeardPiece {
        stretch: *stretch,
        heard: Ok(transcript.clone()),
    });
    let stitched = Transcript::stitched(pieces.collect());

    let uncut = recognise(&recogniser, samples(&path), whole.duration);
    let (one, other) = (words(&uncut.text), words(&stitched.text));
    let different = differences(&one, &other);
    assert!(
        different <= MOST_DIFFERENT,
        "{}\n{}",
        uncut.text,
        stitched.text
    );
    assert_eq!(stitched.duration, uncut.duration);

    let mut apart = Vec::new();
    for (stretch, _) in &heard {
        let sound = from_sample(&path, stretch.start);
        let same_windows = recognise(&recogniser, sound, stretch.duration());
        let begin = stretch.start as f64 / f64::from(SPEECH_RATE);
        apart.extend(offsets(&same_windows, &stitched, begin));
    }
    println!(
        "{} pieces, {different} of {} words differ; segments begin apart, from the same windows of the uncut \
         sound by {apart:.2?} s, from the uncut run by {:.2?} s",
        whole.pieces,
        one.len(),
        offsets(&uncut, &stitched, 0.0)
    );
    let close = apart.iter().filter(|apart| **apart <= CLOSE).count();
    assert!(apart.len() >= 8, "{apart:?}");
    assert!(close * 4 >= apart.len() * 3, "{apart:?}");
}

/// After a short sentence the model closes the window as if nothing followed.
#[test]
fn a_short_sentence_before_others_costs_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["librivox-0880.wav", "two-cities.ogg"];
    let path = one_after_the_other(folder.path(), &names);
    let all = AudioDuration::from_micros(60_000_000);
    let heard = recognise(&recogniser(), samples(&path), all);
    let heard = words(&heard.text);
    assert_eq!(heard.iter().filter(|word| *word == "times").count(), 2);
    assert!((124..=130).contains(&heard.len()), "{heard:?}");
}
