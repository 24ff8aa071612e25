//! What a glossary changes, and what it must leave as it is.

use proptest::prelude::*;

use super::*;
use crate::domain::transcript::tests::any_heard;
use crate::domain::transcript::{Heard, HeardSegment, HeardWord};

fn glossary(entries: &[(&str, &str)]) -> Glossary {
    let mut glossary = Glossary::default();
    for (wrong, right) in entries {
        glossary.add(wrong, right, Case::Smart).unwrap();
    }
    glossary
}

/// A transcript of one word a second.
fn spoken(text: &str) -> Transcript {
    let words = text
        .split_whitespace()
        .zip(0_u32..)
        .map(|(word, at)| HeardWord {
            text: word.to_owned(),
            start: Some(f64::from(at)),
            end: Some(f64::from(at) + 0.8),
            ..HeardWord::default()
        });
    let heard = Heard {
        text: text.to_owned(),
        words: words.collect(),
        ..Heard::default()
    };
    Transcript::from_heard(heard, None)
}

fn corrected(text: &str, entries: &[(&str, &str)]) -> String {
    let mut transcript = spoken(text);
    glossary(entries).correct(&mut transcript);
    let said: Vec<_> = transcript
        .segments
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    assert_eq!(said.join(" "), transcript.text);
    let words = transcript.segments.iter().flat_map(|one| &one.words);
    let words: Vec<_> = words.map(|word| word.text.as_str()).collect();
    assert_eq!(words.join(" "), transcript.text);
    transcript.text
}

#[test]
fn whole_words_are_put_right_and_parts_of_words_are_not() {
    let entries = [("cube", "Kube"), ("nano gpt", "NanoGPT")];
    assert_eq!(
        corrected("A cube, cubes and a \"nano gpt\".", &entries),
        "A Kube, cubes and a \"NanoGPT\"."
    );
}

#[test]
fn small_letters_follow_the_capitals_of_what_was_heard() {
    let entries = [("teh", "the"), ("iphone", "iPhone")];
    assert_eq!(
        corrected("Teh teh TEH Iphone IPHONE", &entries),
        "The the THE iPhone iPhone"
    );
}

#[test]
fn capitals_in_an_entry_are_meant() {
    assert_eq!(corrected("May may", &[("May", "Mei")]), "Mei may");
    let mut exact = Glossary::default();
    exact.add("polish", "furnish", Case::Exact).unwrap();
    let mut transcript = spoken("Polish polish");
    exact.correct(&mut transcript);
    assert_eq!(transcript.text, "Polish furnish");
    let mut any = Glossary::default();
    any.add("ADA", "Ada", Case::Any).unwrap();
    let mut transcript = spoken("ada");
    assert_eq!(any.correct(&mut transcript)[0].count, 1);
}

#[test]
fn the_longest_entry_wins_and_nothing_is_put_right_twice() {
    let entries = [
        ("new", "old"),
        ("new york", "new york city"),
        ("old", "ancient"),
    ];
    assert_eq!(
        corrected("the new york new old", &entries),
        "the new york city old ancient"
    );
}

#[test]
fn words_share_the_time_of_those_in_whose_place_they_stand() {
    let mut transcript = spoken("use nano gpt, now");
    let applied =
        glossary(&[("nano gpt", "NanoGPT"), ("now", "right away")]).correct(&mut transcript);
    let words = &transcript.segments[0].words;
    let times: Vec<_> = words
        .iter()
        .map(|word| {
            (
                word.text.as_str(),
                word.span.unwrap().start(),
                word.span.unwrap().end(),
            )
        })
        .collect();
    assert_eq!(
        times,
        [
            ("use", 0.0, 0.8),
            ("NanoGPT,", 1.0, 2.8),
            ("right", 3.0, 3.444),
            ("away", 3.444, 3.8)
        ]
    );
    let counts: Vec<_> = applied
        .iter()
        .map(|one| (one.from.as_str(), one.count))
        .collect();
    assert_eq!(counts, [("nano gpt", 1), ("now", 1)]);
}

#[test]
fn what_is_right_already_is_not_counted() {
    let mut transcript = spoken("NanoGPT");
    assert!(
        glossary(&[("nanogpt", "NanoGPT")])
            .correct(&mut transcript)
            .is_empty()
    );
}

#[test]
fn a_phrase_that_ends_in_the_next_segment_is_left_in_both() {
    let segment = |text: &str, at: f64| HeardSegment {
        text: text.to_owned(),
        start: Some(at),
        end: Some(at + 1.0),
        speaker: None,
    };
    let heard = Heard {
        text: "I use nano gpt. And nano gpt".to_owned(),
        segments: vec![
            segment("I use nano", 0.0),
            segment("gpt. And nano gpt", 1.0),
        ],
        ..Heard::default()
    };
    let mut transcript = Transcript::from_heard(heard, None);
    let applied = glossary(&[("nano gpt", "NanoGPT")]).correct(&mut transcript);
    assert_eq!(transcript.text, "I use nano gpt. And NanoGPT");
    assert_eq!(applied[0].count, 1);
    assert!(transcript.segments_hold_text());
}

#[test]
fn scripts_without_spaces_have_no_edges_of_words() {
    let mut transcript = spoken("東京都に住む");
    glossary(&[("東京都", "京都")]).correct(&mut transcript);
    assert_eq!(transcript.text, "京都に住む");
}

#[test]
fn the_nearer_of_two_glossaries_wins() {
    let mut near = glossary(&[("a", "near")]);
    near.lay_below(&glossary(&[("a", "far"), ("b", "far")]));
    let rights: Vec<_> = near
        .entries()
        .values()
        .map(|entry| entry.right.as_str())
        .collect();
    assert_eq!(rights, ["near", "far"]);
}

#[test]
fn what_cannot_be_found_or_written_is_no_entry() {
    let add = |wrong: &str, right: &str| Glossary::default().add(wrong, right, Case::Smart);
    assert_eq!(add(" ", "x"), Err(BadEntry::NoWord));
    assert_eq!(add("(x", "x"), Err(BadEntry::NoWord));
    assert_eq!(add("x", " "), Err(BadEntry::Empty));
    assert_eq!(add("x", "\u{1b}[2J"), Err(BadEntry::Control));
    assert_eq!(add(&"x".repeat(201), "y"), Err(BadEntry::Long));
}

#[test]
fn what_only_the_text_or_only_a_segment_spells_as_an_entry_does_is_put_right_in_both() {
    let segment = |text: &str, start: f64| HeardSegment {
        start: Some(start),
        end: Some(start + 1.0),
        text: text.to_owned(),
        ..HeardSegment::default()
    };
    let heard = Heard {
        text: "ask Kube now. and kube go".to_owned(),
        segments: vec![segment("ask kube now.", 0.0), segment("And Kube go", 2.0)],
        ..Heard::default()
    };
    let mut transcript = Transcript::from_heard(heard, None);
    let applied = glossary(&[("Kube", "Cube")]).correct(&mut transcript);
    assert_eq!(transcript.text, "ask Cube now. and Cube go");
    let said = transcript.segments.iter().map(|one| one.text.as_str());
    assert_eq!(said.collect::<Vec<_>>(), ["ask Cube now.", "And Cube go"]);
    assert_eq!(applied[0].count, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn text_and_segments_stay_the_same_words_whatever_is_put_right(
        heard in any_heard(), measured in prop::option::of(0.0..90.0_f64),
    ) {
        let mut transcript = Transcript::from_heard(heard, measured);
        let held = transcript.segments_hold_text();
        let mut entries: Vec<(String, String)> = Vec::new();
        let words: Vec<_> = transcript.text.split_whitespace().map(str::to_owned).collect();
        for pair in words.windows(2).step_by(3) {
            entries.push((pair.join(" "), "other".to_owned()));
            entries.push((pair[0].clone(), "Two words".to_owned()));
        }
        let mut glossary = Glossary::default();
        for (wrong, right) in &entries {
            // Some are no words, and left out.
            let added = glossary.add(wrong, right, Case::Smart);
            prop_assert!(matches!(added, Ok(()) | Err(BadEntry::NoWord)));
        }
        glossary.correct(&mut transcript);
        prop_assert_eq!(transcript.segments_hold_text(), held);
        for segment in transcript.segments.iter().filter(|one| !one.words.is_empty()) {
            let packed = |text: &str| text.split_whitespace().collect::<String>();
            let words: String = segment.words.iter().map(|word| word.text.as_str()).collect();
            prop_assert_eq!(packed(&words), packed(&segment.text));
        }
    }
}
