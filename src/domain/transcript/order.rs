//! In which order heard words stand: as they are listed, by the clock, or as in a text that has them
//! speaker by speaker where several talk at once. Each speaker's words keep theirs.

use std::collections::HashMap;

use super::HeardWord;
use super::align::{LOOK_AHEAD, letters};

/// How many words of a speaker are looked at to tell who goes on in the text.
const WORDS_AHEAD: usize = 4;
/// How many words in a row may be missing in the text.
const WORDS_SKIPPED: usize = 2;

/// Whether an entry is more than white space.
pub(super) fn is_said(word: &HeardWord) -> bool {
    !word.text.trim().is_empty()
}

/// The words in the order of their starts; those without one stay behind the one before.
pub(super) fn by_start(words: &[HeardWord]) -> Vec<HeardWord> {
    let mut last = 0.0;
    let mut keyed: Vec<(f64, &HeardWord)> = words
        .iter()
        .filter(|word| is_said(word))
        .map(|word| {
            last = word.start.filter(|start| start.is_finite()).unwrap_or(last);
            (last, word)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, word)| word.clone()).collect()
}

/// Whether one speaker's words are listed against time, beyond a stray or two.
pub(super) fn runs_backwards(words: &[HeardWord]) -> bool {
    let mut last: HashMap<Option<&str>, f64> = HashMap::new();
    let steps_back = words
        .iter()
        .filter(|word| is_said(word))
        .filter_map(|word| Some((word.speaker.as_deref(), word.start?)))
        .filter(|(speaker, start)| {
            last.insert(*speaker, *start)
                .is_some_and(|last| *start < last)
        })
        .count();
    steps_back * 10 > words.len()
}

/// The words of one speaker that are not placed yet.
struct Line<'a> {
    words: Vec<(&'a HeardWord, Vec<char>)>,
    next: usize,
}

/// The words in the order of a text, speaker by speaker; as they are where one speaks alone.
pub(super) fn as_in_text(text: &str, words: &[HeardWord]) -> Vec<HeardWord> {
    let mut lines = lines(words);
    if lines.len() < 2 {
        return words.to_vec();
    }
    let text: Vec<char> = letters(text).collect();
    let mut ordered: Vec<HeardWord> = Vec::with_capacity(words.len());
    let (mut cursor, mut current) = (0, 0);
    while let Some(step) = who_goes_on(&lines, &text, cursor, current) {
        if let Some(line) = lines.get_mut(step.line) {
            let (taken, letters) = line.take(step.skipped);
            cursor = step.begin.map_or(cursor, |begin| begin + letters);
            ordered.extend(taken.cloned());
        }
        current = step.line;
    }
    ordered
}

/// The words by speaker, who come in the order of their first words.
fn lines(words: &[HeardWord]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut numbers: HashMap<Option<&str>, usize> = HashMap::new();
    for word in words.iter().filter(|word| is_said(word)) {
        let number = *numbers.entry(word.speaker.as_deref()).or_insert_with(|| {
            lines.push(Line {
                words: Vec::new(),
                next: 0,
            });
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(number) {
            line.words.push((word, letters(&word.text).collect()));
        }
    }
    lines
}

/// Who goes on in a text.
struct Step {
    line: usize,
    /// How many words before the one that stands there are not in the text.
    skipped: usize,
    /// Where that word stands, if it is in the text.
    begin: Option<usize>,
}

/// Whose word comes next in the text: the nearest, of whom fewest words are missing and then most follow
/// each other there; the same speaker's where all are alike, or where nobody's is found.
fn who_goes_on(lines: &[Line<'_>], text: &[char], cursor: usize, current: usize) -> Option<Step> {
    let open = || lines.iter().enumerate().filter(|(_, line)| !line.is_done());
    for begin in cursor..(cursor + LOOK_AHEAD).min(text.len()) {
        for skipped in 0..=WORDS_SKIPPED {
            let fitting = open()
                .map(|(line, words)| (words.fits(skipped, text, begin), line == current, line))
                .filter(|(fits, _, _)| *fits > 0)
                .max_by_key(|(fits, is_current, line)| (*fits, *is_current, usize::MAX - line));
            if let Some((_, _, line)) = fitting {
                return Some(Step {
                    line,
                    skipped,
                    begin: Some(begin),
                });
            }
        }
    }
    let rest = open().map(|(line, _)| line);
    let stuck = rest.min_by_key(|line| *line != current)?;
    Some(Step {
        line: stuck,
        skipped: 0,
        begin: None,
    })
}

impl<'a> Line<'a> {
    fn is_done(&self) -> bool {
        self.next >= self.words.len()
    }

    /// The next word behind those that are skipped, with these and the marks that follow it; and how many
    /// letters it has.
    fn take(&mut self, skipped: usize) -> (impl Iterator<Item = &'a HeardWord> + '_, usize) {
        let found = self.next + skipped;
        let letters = self.words.get(found).map_or(0, |(_, needle)| needle.len());
        let behind = self.words.iter().skip(found + 1);
        let marks = behind.take_while(|(_, needle)| needle.is_empty()).count();
        let taken = self.next..(found + 1 + marks).min(self.words.len());
        self.next = taken.end;
        let taken = self.words.get(taken).unwrap_or_default();
        (taken.iter().map(|(word, _)| *word), letters)
    }

    /// How many words behind those that are skipped follow each other from here on in the text.
    fn fits(&self, skipped: usize, text: &[char], begin: usize) -> usize {
        let mut at = begin;
        let ahead = self.words.iter().skip(self.next + skipped);
        ahead
            .filter(|(_, needle)| !needle.is_empty())
            .take(WORDS_AHEAD)
            .take_while(|(_, needle)| {
                let stands = text.get(at..).is_some_and(|rest| rest.starts_with(needle));
                at += needle.len();
                stands
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[(&str, &str)]) -> Vec<HeardWord> {
        let words = words.iter().map(|(speaker, text)| HeardWord {
            text: (*text).to_owned(),
            speaker: Some((*speaker).to_owned()),
            ..HeardWord::default()
        });
        words.collect()
    }

    fn ordered(text: &str, words: &[(&str, &str)]) -> String {
        let ordered = as_in_text(text, &said(words));
        let texts: Vec<String> = ordered.into_iter().map(|word| word.text).collect();
        texts.join(" ")
    }

    #[test]
    fn mixed_words_take_the_order_of_a_text_that_has_them_speaker_by_speaker() {
        let mixed = [
            ("B", "yes"),
            ("A", "Yes"),
            ("B", "we"),
            ("A", "I"),
            ("A", "do"),
            ("A", "."),
            ("B", "do"),
        ];
        assert_eq!(
            ordered("Yes I do. Yes we do.", &mixed),
            "Yes I do . yes we do"
        );
    }

    #[test]
    fn a_word_that_is_not_in_the_text_holds_nobody_up() {
        let mixed = [
            ("A", "one"),
            ("B", "four"),
            ("A", "uh"),
            ("A", "two"),
            ("B", "five"),
        ];
        assert_eq!(
            ordered("One two. Four five.", &mixed),
            "one uh two four five"
        );
    }

    #[test]
    fn the_words_of_one_speaker_stay_as_they_are() {
        assert_eq!(ordered("b a", &[("A", "a"), ("A", "b")]), "a b");
    }
}
