//! What must hold for the captions of any transcript.

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::domain::transcript::{Heard, HeardSegment, HeardWord};

fn word(text: &str, start: f64, end: f64, speaker: Option<&str>) -> HeardWord {
    HeardWord {
        text: text.to_owned(),
        start: Some(start),
        end: Some(end),
        speaker: speaker.map(str::to_owned),
        ..HeardWord::default()
    }
}

/// A transcript of words that follow each other at an even pace, `rate` a second.
fn spoken(text: &str, rate: f64) -> Transcript {
    let words = text
        .split_whitespace()
        .zip(0..)
        .map(|(text, position)| {
            let start = f64::from(position) / rate;
            word(text, start, start + 0.9 / rate, None)
        })
        .collect();
    let heard = Heard {
        text: text.to_owned(),
        words,
        ..Heard::default()
    };
    Transcript::from_heard(heard, None)
}

fn plain(transcript: &Transcript, profile: &Profile) -> Vec<Cue> {
    cues(transcript, profile, Naming::Apart).unwrap()
}

fn shown(cues: &[Cue]) -> Vec<String> {
    cues.iter().map(|cue| cue.lines.join(" / ")).collect()
}

#[test]
fn cues_end_where_sentences_and_clauses_do() {
    let transcript = spoken(
        "It was the best of times, it was the worst of times, it was the age of wisdom. \
         It was the age of foolishness, and nobody knew.",
        2.8,
    );
    assert_eq!(
        shown(&plain(&transcript, &Profile::STANDARD)),
        [
            "It was the best of times, it was the worst / of times, it was the age of wisdom.",
            "It was the age of foolishness, / and nobody knew."
        ]
    );
}

#[test]
fn silence_has_no_cues_and_text_without_any_time_has_none_to_give() {
    let silent = Transcript::from_heard(Heard::default(), None);
    assert_eq!(
        cues(&silent, &Profile::STANDARD, Naming::Apart),
        Some(Vec::new())
    );
    let heard = Heard {
        text: "Hello.".to_owned(),
        ..Heard::default()
    };
    let timeless = Transcript::from_heard(heard, None);
    assert_eq!(cues(&timeless, &Profile::STANDARD, Naming::Apart), None);
}

#[test]
fn a_change_of_speaker_and_a_pause_end_a_cue() {
    let heard = Heard {
        words: vec![
            word("Yes", 0.0, 0.5, Some("a")),
            word("no", 0.6, 1.0, Some("b")),
            word("well", 1.9, 2.3, Some("b")),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(
        shown(&plain(&transcript, &Profile::STANDARD)),
        ["Yes", "no", "well"]
    );
    let named = cues(&transcript, &Profile::STANDARD, Naming::InText).unwrap();
    assert_eq!(shown(&named), ["a: Yes", "b: no", "well"]);
}

#[test]
fn a_word_longer_than_a_line_stays_whole() {
    let long = "a".repeat(60);
    let transcript = spoken(&format!("See {long} there"), 1.0);
    let cues = plain(&transcript, &Profile::STANDARD);
    assert!(
        cues.iter()
            .flat_map(|cue| &cue.lines)
            .any(|line| *line == long)
    );
}

#[test]
fn a_word_longer_than_a_cue_may_stand_is_shown_for_the_longest_time() {
    let heard = Heard {
        words: vec![word("Ooooh", 1.0, 20.0, None)],
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    assert_eq!((cues[0].start, cues[0].end), (1000, 8000));
}

#[test]
fn text_without_spaces_is_broken_between_its_characters() {
    let text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で\
                ニャーニャー泣いていた事だけは記憶している。";
    let segment = HeardSegment {
        text: text.to_owned(),
        start: Some(0.0),
        end: Some(16.0),
        speaker: None,
    };
    let heard = Heard {
        segments: vec![segment],
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    assert!(cues.len() > 2);
    assert!(
        cues.iter()
            .flat_map(|cue| &cue.lines)
            .all(|line| line.width() <= 42)
    );
    assert_eq!(
        cues.iter().map(|cue| cue.text.as_str()).collect::<String>(),
        text
    );
}

#[test]
fn words_of_one_moment_are_shown_one_cue_after_the_other() {
    let heard = Heard {
        words: (0..100)
            .map(|number| word(&format!("w{number}"), 1.0, 1.0, None))
            .collect(),
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    assert!(
        cues.windows(2)
            .all(|pair| pair[0].end + 83 <= pair[1].start)
    );
    assert!(cues.iter().all(|cue| cue.end - cue.start >= 834));
}

#[test]
fn an_hour_of_speech_is_cut_in_one_go() {
    let sentence = "So what we did next, after all of that, was to look at the thing again. ";
    let transcript = spoken(&sentence.repeat(600), 2.8);
    let cues = plain(&transcript, &Profile::STANDARD);
    let ended = cues
        .iter()
        .filter(|cue| cue.text.ends_with([',', '.']))
        .count();
    assert!(ended * 10 >= cues.len() * 9, "{ended} of {}", cues.len());
}

fn any_word() -> impl Strategy<Value = (String, f64, f64, usize)> {
    let text = prop_oneof![
        8 => "[a-z]{1,9}[.,!?]?",
        1 => "[a-z]{40,60}",
        1 => "[\u{4e00}-\u{4e20}]{1,9}。?",
        1 => "[\u{5d0}-\u{5ea}]{1,8}",
    ];
    let pause = prop_oneof![6 => 0.0..0.2_f64, 1 => 0.0..3.0_f64, 1 => -1.0..0.0_f64];
    let length = prop_oneof![6 => 0.05..0.6_f64, 1 => Just(0.0), 1 => 0.0..9.0_f64];
    (text, pause, length, 0..8_usize)
}

prop_compose! {
    fn any_transcript()(words in prop::collection::vec(any_word(), 1..60)) -> Transcript {
        let mut at = 1.0_f64;
        let mut speaker = "a";
        let heard = words
            .into_iter()
            .map(|(text, pause, length, change)| {
                at = (at + pause).max(0.0);
                if change == 0 {
                    speaker = if speaker == "a" { "b" } else { "a" };
                }
                let word = word(&text, at, at + length, Some(speaker));
                at += length;
                word
            })
            .collect();
        Transcript::from_heard(Heard { words: heard, ..Heard::default() }, None)
    }
}

fn letters(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_word_is_shown_once_and_in_order(transcript in any_transcript()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            let shown: String = cues.iter().map(|cue| letters(&cue.lines.concat())).collect();
            let said: String = transcript.segments.iter().map(|segment| letters(&segment.text)).collect();
            prop_assert_eq!(shown, said);
        }
    }

    #[test]
    fn cues_stand_long_enough_and_apart(transcript in any_transcript()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            for cue in &cues {
                let stands = cue.end - cue.start;
                prop_assert!((profile.shortest..=profile.longest).contains(&stands), "{:?}", cue);
            }
            for pair in cues.windows(2) {
                prop_assert!(pair[0].end + profile.gap <= pair[1].start, "{:?}", pair);
            }
        }
    }

    #[test]
    fn cues_can_be_read_unless_speech_itself_is_faster(transcript in any_transcript()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            for (position, cue) in cues.iter().enumerate() {
                let columns = u64::try_from(cue.text.width()).unwrap();
                let readable = columns * 1000 <= (cue.end - cue.start) * profile.columns_per_second;
                let full = cues.get(position + 1).is_some_and(|next| cue.end + profile.gap == next.start);
                prop_assert!(readable || full || cue.end - cue.start == profile.longest, "{:?}", cue);
            }
        }
    }

    #[test]
    fn unhurried_speech_is_within_every_limit(
        words in prop::collection::vec("[a-z]{1,9}[.,]?", 1..60),
        rate in 1.0..2.0_f64,
    ) {
        let transcript = spoken(&words.join(" "), rate);
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            for cue in plain(&transcript, &profile) {
                let columns = u64::try_from(cue.text.width()).unwrap();
                let stands = cue.end - cue.start;
                prop_assert!(columns * 1000 <= stands * profile.columns_per_second, "{:?}", cue);
                prop_assert!(cue.lines.iter().all(|line| line.width() <= profile.columns), "{:?}", cue);
            }
        }
    }

    #[test]
    fn lines_fit_unless_one_word_does_not(transcript in any_transcript()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            for cue in cues(&transcript, &profile, Naming::InText).unwrap() {
                prop_assert!(cue.lines.len() <= 2);
                for line in &cue.lines {
                    let alone = !line.contains(' ') || (line.starts_with("a: ") || line.starts_with("b: ")) && line.split(' ').count() == 2;
                    prop_assert!(line.width() <= profile.columns || alone, "{:?}", cue);
                }
            }
        }
    }

    #[test]
    fn no_cue_holds_two_speakers(transcript in any_transcript()) {
        let cues = plain(&transcript, &Profile::STANDARD);
        let turns: Vec<_> = transcript.turns().map(|turn| (turn.speaker, letters(&turn.text()))).collect();
        let mut shown: Vec<(Option<SpeakerId>, String)> = Vec::new();
        for cue in cues {
            match shown.last_mut() {
                Some((speaker, text)) if *speaker == cue.speaker => text.push_str(&letters(&cue.text)),
                Some(_) | None => shown.push((cue.speaker, letters(&cue.text))),
            }
        }
        prop_assert_eq!(shown, turns);
    }
}
