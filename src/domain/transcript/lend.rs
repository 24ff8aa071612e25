//! What stretches lend to words: where a service names words without times or speakers beside
//! stretches that have both (its segments or turns), each word takes what it lacks from the stretch
//! in whose text it stands. Where most words have no times, the stretches say more than they do.

use super::align::{align, letters};
use super::speakers::distinct;
use super::times::Mark;
use super::{Heard, HeardWord, Span, WordKind};

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lent {
    /// How many words were given times.
    pub(super) times: usize,
    /// Whether the stretches are to be used in the place of the words.
    pub(super) stretches_know_more: bool,
    /// How many words have times that are then not used, and how many words there are.
    pub(super) unused: (usize, usize),
}

/// A stretch of text with its time.
struct Lender {
    text: String,
    span: Option<Span>,
    speaker: Option<String>,
}

/// Lends the words of `heard` what they lack, if all of it stands in stretches with times.
pub(super) fn lend(heard: &mut Heard) -> Lent {
    let spoken: Vec<&HeardWord> = heard.words.iter().filter(|word| is_spoken(word)).collect();
    let timed = spoken.iter().filter(|word| has_time(word)).count();
    let lenders = lenders(heard);
    let is_told = spoken.iter().any(|word| word.speaker.is_some());
    let tells = lenders.iter().any(|lender| lender.speaker.is_some());
    let lacks = timed < spoken.len() || (tells && !is_told);
    if spoken.is_empty() || !lacks || lenders.iter().all(|lender| lender.span.is_none()) {
        return Lent::default();
    }
    let Some(homes) = homes(&lenders, &heard.words) else {
        return Lent::default();
    };
    let of_words = distinct(spoken.iter().filter_map(|word| word.speaker.as_deref()));
    let of_lenders = distinct(lenders.iter().filter_map(|one| one.speaker.as_deref()));
    let spoken = spoken.len();
    if timed * 2 < spoken && of_words.len() <= of_lenders.len() {
        // Their labels would be speakers of their own, which nobody is.
        heard.words.iter_mut().for_each(|word| word.speaker = None);
        return Lent {
            times: 0,
            stretches_know_more: true,
            unused: (timed, spoken),
        };
    }
    if !is_told {
        lend_speakers(&mut heard.words, &homes, &lenders);
    }
    let mut times = 0;
    for (number, lender) in lenders.iter().enumerate() {
        if let Some(span) = lender.span {
            times += lend_times(&mut heard.words, &homes, number, span);
        }
    }
    Lent {
        times,
        ..Lent::default()
    }
}

fn is_spoken(word: &HeardWord) -> bool {
    word.kind != WordKind::AudioEvent && letters(&word.text).next().is_some()
}

fn has_time(word: &HeardWord) -> bool {
    span_of(word.start, word.end).is_some()
}

fn span_of(start: Option<f64>, end: Option<f64>) -> Option<Span> {
    let mark = Mark {
        start,
        end,
        speaker: None,
        characters: 0,
    };
    mark.span()
}

/// The segments if there are some, else the turns that have a text.
fn lenders(heard: &Heard) -> Vec<Lender> {
    let segments = heard.segments.iter().map(|segment| Lender {
        text: segment.text.clone(),
        span: span_of(segment.start, segment.end),
        speaker: segment.speaker.clone(),
    });
    let turns = heard.turns.iter().map(|turn| Lender {
        text: turn.text.clone(),
        span: span_of(turn.start, turn.end),
        speaker: Some(turn.speaker.clone()).filter(|label| !label.is_empty()),
    });
    if heard.segments.is_empty() {
        turns.filter(|turn| !turn.text.is_empty()).collect()
    } else {
        segments.collect()
    }
}

/// The number of the stretch that each word stands in; nothing where they are not of the same text.
fn homes(lenders: &[Lender], words: &[HeardWord]) -> Option<Vec<Option<usize>>> {
    let mut text = String::new();
    let mut ends = Vec::with_capacity(lenders.len());
    for lender in lenders {
        text.push_str(&lender.text);
        ends.push(text.len());
        text.push(' ');
    }
    let alignment = align(&text, words);
    if !alignment.holds() {
        return None;
    }
    let mut homes = vec![None; words.len()];
    for token in &alignment.tokens {
        let number = ends.partition_point(|end| *end <= token.range.start);
        for item in &token.items {
            if let Some(home) = homes.get_mut(*item) {
                *home = Some(number);
            }
        }
    }
    Some(homes)
}

fn lend_speakers(words: &mut [HeardWord], homes: &[Option<usize>], lenders: &[Lender]) {
    for (word, home) in words.iter_mut().zip(homes) {
        let lender = home.and_then(|number| lenders.get(number));
        word.speaker = lender.and_then(|lender| lender.speaker.clone());
    }
}

/// Gives the words of one stretch that have no time a share, by length, of the room between those that
/// have; says how many they were.
fn lend_times(
    words: &mut [HeardWord],
    homes: &[Option<usize>],
    number: usize,
    room: Span,
) -> usize {
    let mut own: Vec<&mut HeardWord> = words
        .iter_mut()
        .zip(homes)
        .filter(|(_, home)| **home == Some(number))
        .map(|(word, _)| word)
        .collect();
    let (mut lent, mut from, mut at) = (0, room.start(), 0);
    while at < own.len() {
        let rest = own.get_mut(at..).unwrap_or_default();
        let run = rest.iter().take_while(|word| !has_time(word)).count();
        let next = rest.get(run).and_then(|word| span_of(word.start, word.end));
        let until = next.map_or(room.end(), Span::start).max(from);
        share(rest.get_mut(..run).unwrap_or_default(), from, until);
        lent += run;
        from = next.map_or(until, Span::end);
        at += run + 1;
    }
    lent
}

/// Divides the time between two moments among words.
fn share(words: &mut [&mut HeardWord], from: f64, until: f64) {
    let weight = |word: &HeardWord| {
        f64::from(u32::try_from(letters(&word.text).count() + 1).unwrap_or(u32::MAX))
    };
    let whole: f64 = words.iter().map(|word| weight(word)).sum();
    let mut passed = 0.0;
    for word in words {
        let begin = from + (until - from) * passed / whole;
        passed += weight(word);
        word.start = Some(begin);
        word.end = Some(from + (until - from) * passed / whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::HeardTurn;

    fn word(text: &str, times: Option<(f64, f64)>) -> HeardWord {
        HeardWord {
            text: text.to_owned(),
            start: times.map(|(start, _)| start),
            end: times.map(|(_, end)| end),
            ..HeardWord::default()
        }
    }

    fn turns() -> Vec<HeardTurn> {
        [("A", "One two.", 1.0, 2.0), ("B", "Three four.", 5.0, 7.2)]
            .map(|(speaker, text, start, end)| HeardTurn {
                speaker: speaker.to_owned(),
                text: text.to_owned(),
                start: Some(start),
                end: Some(end),
            })
            .into()
    }

    #[test]
    fn a_word_without_a_time_gets_its_share_of_the_stretch_that_it_stands_in() {
        let mut heard = Heard {
            words: vec![
                word("One", Some((1.0, 1.4))),
                word("two.", Some((1.5, 1.9))),
                word("Three", None),
                word("four.", Some((6.5, 7.0))),
            ],
            turns: turns(),
            ..Heard::default()
        };
        let lent = lend(&mut heard);
        assert_eq!((lent.times, lent.stretches_know_more), (1, false));
        assert_eq!(
            (heard.words[2].start, heard.words[2].end),
            (Some(5.0), Some(6.5))
        );
        let speakers: Vec<_> = heard
            .words
            .iter()
            .map(|word| word.speaker.as_deref())
            .collect();
        assert_eq!(speakers, [Some("A"), Some("A"), Some("B"), Some("B")]);
    }

    #[test]
    fn where_most_words_have_no_times_the_stretches_know_more_if_they_have_the_same_words() {
        let mut heard = Heard {
            words: ["One", "two.", "Three", "four."]
                .map(|text| word(text, None))
                .into(),
            turns: turns(),
            ..Heard::default()
        };
        assert!(lend(&mut heard).stretches_know_more);
        heard.words = vec![word("Something", None), word("else.", None)];
        assert_eq!(lend(&mut heard), Lent::default());
    }

    #[test]
    fn stretches_of_one_voice_do_not_silence_the_labels_of_two() {
        let mut heard = Heard {
            words: ["One", "two.", "Three", "four."]
                .map(|text| word(text, None))
                .into(),
            turns: turns(),
            ..Heard::default()
        };
        for (word, label) in heard.words.iter_mut().zip(["a", "a", "b", "c"]) {
            word.speaker = Some(label.to_owned());
        }
        let lent = lend(&mut heard);
        assert_eq!((lent.times, lent.stretches_know_more), (4, false));
        assert_eq!(heard.words[3].speaker.as_deref(), Some("c"));
    }
}
