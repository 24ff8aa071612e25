//! Finds the heard words in the text, so that every word gets the text's spelling, punctuation
//! and spacing together with the word's times.
//!
//! The text decides: the tokens cover all of it in order. A heard word that is not there is
//! counted as missed, a word of the text that was not heard has no items.

use std::ops::Range;

use super::script::{is_opening, is_spaceless};
use super::{HeardWord, WordKind};

/// How far ahead a heard word is looked for in the text, in letters.
pub(super) const LOOK_AHEAD: usize = 64;

/// A word of the text and the heard words that it consists of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Where it stands in the text, in bytes.
    pub(super) range: Range<usize>,
    /// Whether white space stands before it.
    pub(super) spaced: bool,
    /// The positions of its heard words.
    pub(super) items: Vec<usize>,
}

/// The words of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alignment {
    pub(super) tokens: Vec<Token>,
    /// How many heard words are not in the text where they should be.
    pub(super) missed: usize,
    /// How many heard words have letters and are spoken.
    pub(super) lettered: usize,
}

impl Alignment {
    /// Whether some words were found, and at most one spoken word in ten was missed.
    pub(super) fn holds(&self) -> bool {
        let found = self.tokens.iter().any(|token| !token.items.is_empty());
        found && self.missed * 10 <= self.lettered
    }
}

/// Splits `text` into words and gives each the heard words that stand there.
pub(super) fn align(text: &str, heard: &[HeardWord]) -> Alignment {
    let located = locate(text, heard);
    let spoken = |word: &HeardWord| word.kind != WordKind::AudioEvent && has_letters(&word.text);
    let lettered = heard.iter().filter(|word| spoken(word)).count();
    let missed = heard
        .iter()
        .zip(&located)
        .filter(|(word, range)| spoken(word) && range.is_none())
        .count();
    let found: Vec<(usize, Range<usize>)> = located
        .into_iter()
        .enumerate()
        .filter_map(|(item, range)| Some((item, range?)))
        .collect();
    Alignment {
        tokens: tokens(text, &found),
        missed,
        lettered,
    }
}

/// The letters and digits of a text in lower case: what makes two spellings the same word.
pub(super) fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
}

/// Whether a text has letters or digits.
pub(super) fn has_letters(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// A letter of the text in lower case and the byte where it comes from.
struct Letter {
    lower: char,
    at: usize,
    end: usize,
    /// Whether a word may begin here.
    begins: bool,
}

/// Finds each heard word at or behind the one before it.
fn locate(text: &str, heard: &[HeardWord]) -> Vec<Option<Range<usize>>> {
    let text_letters = positioned_letters(text);
    let needles: Vec<Vec<char>> = heard
        .iter()
        .map(|word| letters(&word.text).collect())
        .collect();
    let mut cursor = 0;
    let mut located = Vec::with_capacity(heard.len());
    for (position, (word, needle)) in heard.iter().zip(&needles).enumerate() {
        let mut later = needles.get(position + 1..).unwrap_or_default().iter();
        let next = later.find(|needle| !needle.is_empty());
        let sought = Sought {
            needle,
            next,
            mark: event_mark(word),
            text,
        };
        let begin = sought.find(&text_letters, cursor);
        cursor = begin.map_or(cursor, |begin| begin + needle.len());
        located.push(begin.and_then(|begin| {
            let letters = text_letters.get(begin..cursor)?;
            Some(letters.first()?.at..letters.last()?.end)
        }));
    }
    located
}

/// The bracket that a sound's description begins with, so that no spoken word is taken for it.
fn event_mark(word: &HeardWord) -> Option<char> {
    let first = word.text.trim().chars().next()?;
    (word.kind == WordKind::AudioEvent && !first.is_alphanumeric()).then_some(first)
}

fn positioned_letters(text: &str) -> Vec<Letter> {
    let mut before: Option<char> = None;
    let mut found = Vec::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if character.is_alphanumeric() {
            let inside = before.is_some_and(|before| before.is_alphanumeric());
            let mut begins = !inside || is_spaceless(character) || before.is_some_and(is_spaceless);
            for lower in character.to_lowercase() {
                found.push(Letter {
                    lower,
                    at,
                    end: at + character.len_utf8(),
                    begins,
                });
                begins = false;
            }
        }
        before = Some(character);
    }
    found
}

/// A heard word on its way into the text.
struct Sought<'a> {
    needle: &'a [char],
    /// The letters of the word heard after it.
    next: Option<&'a Vec<char>>,
    mark: Option<char>,
    text: &'a str,
}

impl Sought<'_> {
    /// Its nearest place: right here, or a little further on where the next word follows it.
    fn find(&self, text: &[Letter], cursor: usize) -> Option<usize> {
        if self.needle.is_empty() {
            return None;
        }
        let last = (cursor + LOOK_AHEAD).min(text.len());
        (cursor..last).find(|&begin| {
            stands_at(text, begin, self.needle)
                && self.is_marked(text, begin)
                && (begin == cursor || self.is_sure(text, begin))
        })
    }

    fn is_marked(&self, text: &[Letter], begin: usize) -> bool {
        let before = text
            .get(begin)
            .and_then(|letter| self.text.get(..letter.at));
        self.mark
            .is_none_or(|mark| before.is_some_and(|before| before.ends_with(mark)))
    }

    fn is_sure(&self, text: &[Letter], begin: usize) -> bool {
        let behind = begin + self.needle.len();
        text.get(begin).is_some_and(|letter| letter.begins)
            && self.next.is_none_or(|next| stands_at(text, behind, next))
    }
}

fn stands_at(text: &[Letter], begin: usize, needle: &[char]) -> bool {
    let here = text.get(begin..begin + needle.len());
    here.is_some_and(|here| here.iter().map(|letter| &letter.lower).eq(needle))
}

/// Cuts the text at white space and, in scripts without spaces, before each heard word.
fn tokens(text: &str, found: &[(usize, Range<usize>)]) -> Vec<Token> {
    let mut cutter = Cutter {
        text,
        tokens: Vec::new(),
        spaced: false,
    };
    let mut found = found.iter().peekable();
    let mut begin = 0;
    let mut items = Vec::new();
    let mut inside_until = 0;
    for (at, character) in text.char_indices() {
        if let Some((item, range)) = found.next_if(|(_, range)| range.start <= at) {
            let cut = cut_before(text, begin, range.start);
            if cut > begin {
                cutter.push(begin..cut, std::mem::take(&mut items));
                begin = cut;
            }
            items.push(*item);
            inside_until = inside_until.max(range.end);
        }
        if character.is_whitespace() && at >= inside_until {
            cutter.push(begin..at, std::mem::take(&mut items));
            cutter.spaced = true;
            begin = at + character.len_utf8();
        }
    }
    cutter.push(begin..text.len(), items);
    cutter.tokens
}

/// Where the token before a heard word ends, or `begin` when they are one word.
fn cut_before(text: &str, begin: usize, start: usize) -> usize {
    let Some(before) = text.get(begin..start) else {
        return begin;
    };
    let closed = before.trim_end_matches(is_opening);
    let next = text.get(start..).and_then(|rest| rest.chars().next());
    let spaceless =
        closed.chars().next_back().is_some_and(is_spaceless) || next.is_some_and(is_spaceless);
    if spaceless && has_letters(closed) {
        begin + closed.len()
    } else {
        begin
    }
}

struct Cutter<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    spaced: bool,
}

impl Cutter<'_> {
    /// Adds a token; marks without letters or sounds cling to the token before.
    fn push(&mut self, range: Range<usize>, items: Vec<usize>) {
        if range.is_empty() {
            return;
        }
        let bare = items.is_empty() && !self.text.get(range.clone()).is_some_and(has_letters);
        match self.tokens.last_mut() {
            Some(last) if bare => last.range.end = range.end,
            Some(_) | None => self.tokens.push(Token {
                range,
                spaced: self.spaced,
                items,
            }),
        }
        self.spaced = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<HeardWord> {
        texts
            .iter()
            .map(|text| HeardWord {
                text: (*text).to_owned(),
                ..HeardWord::default()
            })
            .collect()
    }

    fn aligned<'a>(text: &'a str, heard: &[&str]) -> Vec<(&'a str, Vec<usize>)> {
        let alignment = align(text, &words(heard));
        alignment
            .tokens
            .into_iter()
            .map(|token| (&text[token.range], token.items))
            .collect()
    }

    #[test]
    fn a_word_takes_spelling_and_punctuation_from_the_text() {
        assert_eq!(
            aligned(
                "“Hello, World!” – she said.",
                &["hello", "world", "she", "said"]
            ),
            [
                ("“Hello,", vec![0]),
                ("World!” –", vec![1]),
                ("she", vec![2]),
                ("said.", vec![3])
            ]
        );
    }

    #[test]
    fn parts_of_a_word_become_one_word() {
        assert_eq!(
            aligned("I don't", &["I", "don", "'t"]),
            [("I", vec![0]), ("don't", vec![1, 2])]
        );
    }

    #[test]
    fn words_that_were_not_heard_have_no_items() {
        let text = "the quick brown fox";
        assert_eq!(
            aligned(text, &["the", "fox"]),
            [
                ("the", vec![0]),
                ("quick", vec![]),
                ("brown", vec![]),
                ("fox", vec![1])
            ]
        );
    }

    #[test]
    fn a_heard_word_that_is_not_in_the_text_does_not_lead_astray() {
        let heard = ["so", "the", "ten", "people", "near", "the", "door"];
        let alignment = align("So 10 people near the door", &words(&heard));
        assert_eq!(alignment.missed, 2);
        assert_eq!(alignment.tokens[2].items, [3]);
        assert_eq!(alignment.tokens[4].items, [5]);
    }

    #[test]
    fn a_sound_is_not_taken_for_a_word() {
        let mut heard = words(&["I", "(music)", "like", "music"]);
        heard[1].kind = WordKind::AudioEvent;
        let alignment = align("I like music", &heard);
        assert_eq!(
            (alignment.missed, &alignment.tokens[2].items[..]),
            (0, &[3][..])
        );
    }

    #[test]
    fn a_short_word_is_not_found_inside_a_longer_one() {
        let alignment = align("banana", &words(&["a"]));
        assert_eq!((alignment.missed, alignment.holds()), (1, false));
    }

    #[test]
    fn scripts_without_spaces_are_cut_at_the_heard_words() {
        assert_eq!(
            aligned(
                "今日は「いい天気」です。",
                &["今日", "は", "いい", "天気", "です"]
            ),
            [
                ("今日", vec![0]),
                ("は", vec![1]),
                ("「いい", vec![2]),
                ("天気」", vec![3]),
                ("です。", vec![4])
            ]
        );
    }

    #[test]
    fn a_sound_of_two_words_stays_whole() {
        assert_eq!(
            aligned(
                "So (crowd cheering) yes",
                &["So", "(crowd cheering)", "yes"]
            ),
            [
                ("So", vec![0]),
                ("(crowd cheering)", vec![1]),
                ("yes", vec![2])
            ]
        );
    }
}
