use proptest::prelude::*;

use super::*;
use crate::domain::transcript::{Heard, HeardSegment, HeardWord};

const RATE: u64 = 16_000;

fn piece(seconds: std::ops::Range<u64>, heard: Result<Heard, &str>) -> HeardPiece {
    let stretch = Stretch {
        start: seconds.start * RATE,
        end: seconds.end * RATE,
    };
    let duration = Some(stretch.duration().seconds());
    let heard = heard.map(|heard| Transcript::from_heard(heard, duration));
    HeardPiece {
        stretch,
        heard: heard.map_err(str::to_owned),
    }
}

fn bare(text: &str) -> Heard {
    Heard {
        text: text.to_owned(),
        ..Heard::default()
    }
}

fn worded(words: &[(&str, f64, f64, &str)]) -> Heard {
    let words = words.iter().map(|(text, start, end, speaker)| HeardWord {
        text: (*text).to_owned(),
        start: Some(*start),
        end: Some(*end),
        speaker: Some((*speaker).to_owned()).filter(|speaker| !speaker.is_empty()),
        ..HeardWord::default()
    });
    Heard {
        words: words.collect(),
        ..Heard::default()
    }
}

fn segmented(segments: &[(&str, f64, f64)]) -> Heard {
    let segments = segments.iter().map(|(text, start, end)| HeardSegment {
        text: (*text).to_owned(),
        start: Some(*start),
        end: Some(*end),
        speaker: None,
    });
    Heard {
        segments: segments.collect(),
        ..Heard::default()
    }
}

fn lines(transcript: &Transcript) -> Vec<(&str, f64, f64)> {
    let segments = transcript.segments.iter();
    segments
        .map(|segment| {
            let span = segment.span.unwrap();
            (segment.text.as_str(), span.start(), span.end())
        })
        .collect()
}

#[test]
fn times_are_those_of_the_whole_recording() {
    let stitched = Transcript::stitched(vec![
        piece(0..10, Ok(worded(&[("Hello.", 1.0, 2.0, "")]))),
        piece(
            10..30,
            Ok(worded(&[("Good", 0.5, 1.0, ""), ("bye.", 1.0, 1.5, "")])),
        ),
    ]);
    assert_eq!(stitched.text, "Hello. Good bye.");
    assert_eq!(
        lines(&stitched),
        [("Hello.", 1.0, 2.0), ("Good bye.", 10.5, 11.5)]
    );
    assert_eq!(
        stitched.segments[1].words[1].span,
        Some(Span::new(11.0, 11.5))
    );
    assert_eq!(
        (stitched.timing, stitched.duration),
        (Timing::Words, Some(30.0))
    );
    assert_eq!(stitched.warnings, []);
}

#[test]
fn pieces_of_bare_text_have_the_times_of_the_pieces() {
    let stitched = Transcript::stitched(vec![
        piece(30..60, Ok(bare("二つ。"))),
        piece(0..30, Ok(bare("一つ。"))),
        piece(60..70, Ok(bare(""))),
    ]);
    assert_eq!(stitched.text, "一つ。二つ。");
    assert_eq!(
        lines(&stitched),
        [("一つ。", 0.0, 30.0), ("二つ。", 30.0, 60.0)]
    );
    assert_eq!(stitched.timing, Timing::Pieces);
    let ids: Vec<usize> = stitched.segments.iter().map(|segment| segment.id).collect();
    assert_eq!(ids, [0, 1]);
}

#[test]
fn the_times_are_as_exact_as_those_of_the_weakest_piece() {
    let words = || piece(0..10, Ok(worded(&[("Hello.", 1.0, 2.0, "")])));
    let segments = || piece(10..20, Ok(segmented(&[("Yes.", 1.0, 2.0)])));
    let bare = || piece(20..30, Ok(bare("No.")));
    let silent = || piece(30..40, Ok(Heard::default()));
    let hole = || piece(40..50, Err("lost"));
    let timing = |pieces: Vec<HeardPiece>| Transcript::stitched(pieces).timing;
    assert_eq!(timing(vec![words(), silent(), hole()]), Timing::Words);
    assert_eq!(timing(vec![words(), segments()]), Timing::Segments);
    assert_eq!(timing(vec![bare(), segments(), words()]), Timing::Pieces);
    assert_eq!(timing(vec![silent(), hole()]), Timing::Pieces);
    assert_eq!(timing(vec![silent()]), Timing::None);
}

#[test]
fn a_hole_is_marked_in_text_segments_and_warnings() {
    let stitched = Transcript::stitched(vec![
        piece(0..600, Ok(bare("Before"))),
        piece(600..1200, Err("the service refused it")),
        piece(1200..4000, Ok(bare("after."))),
    ]);
    assert_eq!(
        stitched.text,
        "Before [missing from 10:00 to 20:00.] after."
    );
    assert!(stitched.segments[1].missing && stitched.is_incomplete());
    assert_eq!(lines(&stitched)[1].1, 600.0);
    assert_eq!(stitched.warnings[0].code, WarningCode::PieceMissing);
    assert_eq!(
        stitched.warnings[0].message,
        "piece 2 of 3 (10:00 to 20:00) is missing: the service refused it"
    );
    assert!(stitched.segments_hold_text());
    let turns: Vec<String> = stitched.turns().map(|turn| turn.text()).collect();
    assert_eq!(turns.len(), 3, "{turns:?}");
    assert_eq!(clock(3_723.4), "1:02:03");
}

#[test]
fn speakers_of_different_pieces_are_kept_apart() {
    let two = [
        ("Hi.", 0.0, 1.0, "speaker_0"),
        ("Ho.", 1.0, 2.0, "speaker_1"),
    ];
    let stitched = Transcript::stitched(vec![
        piece(0..10, Ok(worded(&two))),
        piece(10..20, Err("lost")),
        piece(20..30, Ok(worded(&two))),
    ]);
    let labels: Vec<&str> = stitched
        .speakers
        .iter()
        .map(|speaker| speaker.label.as_str())
        .collect();
    assert_eq!(
        labels,
        ["1:speaker_0", "1:speaker_1", "3:speaker_0", "3:speaker_1"]
    );
    let last = stitched.segments.last().unwrap();
    assert_eq!(last.speaker, Some(SpeakerId(3)));
    assert_eq!(last.words[0].speaker, Some(SpeakerId(3)));
    let codes: Vec<WarningCode> = stitched
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(
        codes,
        [WarningCode::PieceMissing, WarningCode::SpeakersUnmatched]
    );
}

#[test]
fn a_recording_of_one_piece_keeps_its_labels() {
    let heard = worded(&[("Hi.", 0.0, 1.0, "speaker_0")]);
    let stitched = Transcript::stitched(vec![piece(0..10, Ok(heard))]);
    assert_eq!(stitched.speakers[0].label, "speaker_0");
    assert_eq!(stitched.warnings, []);
    assert!(Transcript::stitched(Vec::new()).is_empty());
}

#[test]
fn speakers_without_times_share_the_times_of_their_piece() {
    let turn = |speaker: &str, text: &str| crate::domain::transcript::HeardTurn {
        speaker: speaker.to_owned(),
        text: text.to_owned(),
        ..crate::domain::transcript::HeardTurn::default()
    };
    let heard = Heard {
        turns: vec![turn("a", "123456789"), turn("b", "123456789")],
        ..Heard::default()
    };
    let stitched = Transcript::stitched(vec![piece(0..5, Ok(bare("x"))), piece(5..25, Ok(heard))]);
    assert_eq!(
        lines(&stitched)[1..],
        [("123456789", 5.0, 15.0), ("123456789", 15.0, 25.0)]
    );
}

#[test]
fn warnings_of_a_kind_are_told_once_and_the_language_is_that_of_most_letters() {
    let odd = |language: &str, text: &str| Heard {
        text: text.to_owned(),
        language: Some(language.to_owned()),
        words: vec![HeardWord {
            text: "other".to_owned(),
            ..HeardWord::default()
        }],
        ..Heard::default()
    };
    let stitched = Transcript::stitched(vec![
        piece(0..10, Ok(odd("en", "word"))),
        piece(10..20, Ok(odd("de", "viele Worte"))),
    ]);
    assert_eq!(stitched.language.as_deref(), Some("de"));
    let messages: Vec<&str> = stitched
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["piece 1: the words are not those of the text (and 1 more of the kind)"]
    );
}

/// What a service may give of a piece: words with times, segments, bare text, or nothing.
fn any_heard(number: usize, kind: u8, count: usize, step: f64) -> Result<Heard, &'static str> {
    let texts: Vec<String> = (0..count).map(|at| format!("w{number}x{at}")).collect();
    let start = |at: usize| step * to_number(at);
    let timed: Vec<(&str, f64, f64, &str)> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (text.as_str(), start(at), start(at) + step * 0.8, ""))
        .collect();
    match kind {
        0 => Err("lost"),
        1 => Ok(bare(&texts.join(" "))),
        2 => Ok(segmented(
            &timed
                .iter()
                .map(|(text, start, end, _)| (*text, *start, *end))
                .collect::<Vec<_>>(),
        )),
        _ => Ok(worded(&timed)),
    }
}

proptest! {
    #[test]
    fn every_word_stands_once_and_in_order_at_its_true_time(
        shapes in prop::collection::vec((0_u8..5, 0_usize..30, 0.05..2.0_f64, 1_u64..90), 1..12),
    ) {
        let mut begin = 0;
        let mut pieces = Vec::new();
        // Each word and when it begins; a bare text begins with its piece.
        let mut words: Vec<(String, f64)> = Vec::new();
        for (number, (kind, count, step, pause)) in shapes.iter().enumerate() {
            let seconds = pause + 2 * *count as u64;
            let own = if *kind == 1 { 0.0 } else { *step };
            let said = if *kind == 0 { 0 } else { *count };
            words.extend((0..said).map(|at| {
                (format!("w{number}x{at}"), begin as f64 + own * to_number(at))
            }));
            let heard = any_heard(number, *kind, *count, *step);
            pieces.push(piece(begin..begin + seconds, heard));
            begin += seconds;
        }
        let holes = pieces.iter().filter(|piece| piece.heard.is_err()).count();
        let stitched = Transcript::stitched(pieces);
        let spoken = |text: &str| -> Vec<String> {
            text.split_whitespace()
                .filter(|word| word.starts_with('w'))
                .map(str::to_owned)
                .collect()
        };
        let expected: Vec<String> = words.iter().map(|(word, _)| word.clone()).collect();
        prop_assert_eq!(spoken(&stitched.text), expected);
        prop_assert!(stitched.segments_hold_text());
        prop_assert_eq!(stitched.duration, Some(begin as f64));
        let marked = stitched.segments.iter().filter(|segment| segment.missing).count();
        prop_assert_eq!(marked, holes);
        let (mut last, mut expected) = (0.0, words.iter());
        for segment in &stitched.segments {
            let span = segment.span.unwrap();
            prop_assert!(span.start() >= last, "{segment:?}");
            last = span.end();
            for word in spoken(&segment.text) {
                let (_, start) = expected.next().unwrap();
                let timed = segment.words.iter().find(|timed| timed.text == word);
                let given = timed.map_or(span, |timed| timed.span.unwrap());
                prop_assert!((given.start() - start).abs() <= 0.0011, "{word}: {given:?}, not {start}");
            }
        }
    }
}
