//! Words that a recogniser gets wrong, put right: whole words, in the text, the segments and the words.
//!
//! One pass, the longest entry first, and what was put in is not looked at again. The text and the
//! segments stay the same words in the same order, each with its times; the reply itself is not touched.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::transcript::{Segment, Span, Transcript, Word, is_spaceless};

/// The most entries of one file.
pub const MOST_ENTRIES: usize = 10_000;
/// The longest side of an entry, in characters.
pub const LONGEST_ENTRY: usize = 200;

/// What is right instead of a wrong word, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What stands there instead.
    pub right: String,
    /// Which spellings count.
    pub case: Case,
}

/// Which capitals a wrong word may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Any, unless the entry itself has capitals, which are then meant.
    Smart,
    /// Those of the entry.
    Exact,
    /// Any.
    Any,
}

/// Entries by the wrong word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glossary {
    entries: BTreeMap<String, Entry>,
}

/// An entry that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What stood in the reply, as the glossary spells it.
    pub from: String,
    /// What stands there now.
    pub to: String,
    /// How often.
    pub count: usize,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// It is no word.
    #[error("a wrong word begins and ends with a letter or a digit")]
    NoWord,
    /// It would leave nothing.
    #[error("there is nothing to write instead: a glossary replaces words and removes none")]
    Empty,
    /// It cannot stand on one line.
    #[error("a word is on one line, without control characters")]
    Control,
    /// It is too long.
    #[error("an entry has at most {LONGEST_ENTRY} characters on each side")]
    Long,
}

impl Glossary {
    /// Adds an entry unless the same wrong word is there already.
    ///
    /// # Errors
    /// [`BadEntry`] for what cannot be found or written.
    pub fn add(&mut self, wrong: &str, right: &str, case: Case) -> Result<(), BadEntry> {
        let [wrong, right] = [wrong, right].map(one_line);
        let (wrong, right) = (wrong?, right?);
        let is_word =
            wrong.starts_with(char::is_alphanumeric) && wrong.ends_with(char::is_alphanumeric);
        if !is_word {
            return Err(BadEntry::NoWord);
        }
        if right.is_empty() {
            return Err(BadEntry::Empty);
        }
        self.entries.entry(wrong).or_insert(Entry { right, case });
        Ok(())
    }

    /// Adds the entries of a glossary further away; where both have a wrong word, this one's counts.
    pub fn lay_below(&mut self, below: &Self) {
        for (wrong, entry) in &below.entries {
            self.entries
                .entry(wrong.clone())
                .or_insert_with(|| entry.clone());
        }
    }

    /// The entries by the wrong word.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Puts a transcript right; says what was put right and how often, in the order of the wrong words.
    pub fn correct(&self, transcript: &mut Transcript) -> Vec<Applied> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let rules = self.rules();
        let whole = Passage::of(&transcript.text);
        let segments = transcript.segments.iter();
        let parts: Vec<Passage<'_>> = segments.map(|one| Passage::of(&one.text)).collect();
        let (matches, in_parts) = if transcript.segments_hold_text() {
            matches_of_both(&whole, &parts, &rules)
        } else {
            let in_parts = parts.iter().map(|part| part.matches(&rules, &[]));
            (whole.matches(&rules, &[]), in_parts.collect())
        };
        let wrong = whole.wrong(&matches);
        let wrong_in_parts = parts.iter().zip(&in_parts);
        let wrong_in_parts: Vec<_> = wrong_in_parts.map(|(part, all)| part.wrong(all)).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &wrong {
            *counts.entry(one.rule.wrong).or_default() += 1;
        }
        transcript.text = replaced(&transcript.text, &wrong);
        for (segment, wrong) in transcript.segments.iter_mut().zip(wrong_in_parts) {
            correct_segment(segment, &wrong);
        }
        let applied = counts.into_iter().filter_map(|(wrong, count)| {
            Some(Applied {
                from: wrong.to_owned(),
                to: self.entries.get(wrong)?.right.clone(),
                count,
            })
        });
        applied.collect()
    }

    /// The entries as they are looked for, the longest first.
    fn rules(&self) -> Vec<Rule<'_>> {
        let mut rules: Vec<Rule<'_>> = self
            .entries
            .iter()
            .map(|(wrong, entry)| Rule {
                wrong,
                right: &entry.right,
                letters: wrong.chars().collect(),
                exact: match entry.case {
                    Case::Exact => true,
                    Case::Any => false,
                    Case::Smart => wrong.contains(char::is_uppercase),
                },
            })
            .collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.letters.len()));
        rules
    }
}

fn one_line(text: &str) -> Result<String, BadEntry> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.contains(char::is_control) {
        return Err(BadEntry::Control);
    }
    if text.chars().count() > LONGEST_ENTRY {
        return Err(BadEntry::Long);
    }
    Ok(text)
}

struct Rule<'a> {
    wrong: &'a str,
    right: &'a str,
    letters: Vec<char>,
    exact: bool,
}

/// Letters and digits of a text, counted from its first, that are what an entry calls wrong.
#[derive(Clone)]
struct Match<'a> {
    letters: Range<usize>,
    rule: &'a Rule<'a>,
}

/// A wrong word in a text, in bytes, and what is to stand there.
struct Found<'a> {
    start: usize,
    end: usize,
    rule: &'a Rule<'a>,
    right: String,
}

impl Rule<'_> {
    /// Where the wrong word ends in `text` if it begins at `start`; it may go on in a longer word.
    fn end_at(&self, text: &str, start: usize) -> Option<usize> {
        let mut rest = text.get(start..)?.char_indices().peekable();
        for wanted in &self.letters {
            let (_, character) = rest.next()?;
            if *wanted == ' ' && character.is_whitespace() {
                while rest.next_if(|(_, next)| next.is_whitespace()).is_some() {}
            } else if !self.is_same(*wanted, character) {
                return None;
            }
        }
        Some(rest.peek().map_or(text.len(), |(at, _)| start + at))
    }

    fn is_same(&self, wanted: char, found: char) -> bool {
        wanted == found || (!self.exact && wanted.to_lowercase().eq(found.to_lowercase()))
    }
}

/// A text, and where each of its letters and digits stands in it, in bytes.
struct Passage<'t> {
    text: &'t str,
    letters: Vec<Range<usize>>,
}

impl<'t> Passage<'t> {
    fn of(text: &'t str) -> Self {
        let letters = text
            .char_indices()
            .filter(|(_, character)| character.is_alphanumeric())
            .map(|(at, character)| at..at + character.len_utf8());
        Self {
            text,
            letters: letters.collect(),
        }
    }

    /// Every place that an entry means, in order, none over another and none across a seam: the first
    /// letter of a segment.
    fn matches<'a>(&self, rules: &'a [Rule<'a>], seams: &[usize]) -> Vec<Match<'a>> {
        let mut matches: Vec<Match<'a>> = Vec::new();
        let mut from = 0;
        for (number, letter) in self.letters.iter().enumerate() {
            if number < from || !self.is_edge(letter.start, number, seams) {
                continue;
            }
            let longest = rules.iter().find_map(|rule| {
                let end = rule.end_at(self.text, letter.start)?;
                let next = self.letters.partition_point(|letter| letter.start < end);
                let behind = seams.partition_point(|seam| *seam <= number);
                let crosses = seams.get(behind).is_some_and(|seam| *seam < next);
                (!crosses && self.is_edge(end, next, seams)).then_some((rule, next))
            });
            if let Some((rule, next)) = longest {
                matches.push(Match {
                    letters: number..next,
                    rule,
                });
                from = next;
            }
        }
        matches
    }

    /// Whether no word goes on across this byte, behind which the letter of this number is the next.
    fn is_edge(&self, at: usize, next: usize, seams: &[usize]) -> bool {
        let (Some(before), Some(after)) = (self.text.get(..at), self.text.get(at..)) else {
            return false;
        };
        let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else {
            return true;
        };
        let inside = last.is_alphanumeric() && first.is_alphanumeric();
        !inside || is_spaceless(last) || is_spaceless(first) || seams.binary_search(&next).is_ok()
    }

    /// What is wrong at these places; what is right already is left alone and not counted.
    fn wrong<'a>(&self, matches: &[Match<'a>]) -> Vec<Found<'a>> {
        let found = matches.iter().filter_map(|one| {
            let start = self.letters.get(one.letters.start)?.start;
            let end = self.letters.get(one.letters.end.checked_sub(1)?)?.end;
            let there = self.text.get(start..end)?;
            let right = as_found(one.rule.right, there);
            (there != right).then_some(Found {
                start,
                end,
                rule: one.rule,
                right,
            })
        });
        found.collect()
    }
}

/// The matches of a text and of each of its segments, which hold the same letters in perhaps other
/// capitals: what is found in either is put right in both, so that they stay the same words.
fn matches_of_both<'a>(
    whole: &Passage<'_>,
    parts: &[Passage<'_>],
    rules: &'a [Rule<'a>],
) -> (Vec<Match<'a>>, Vec<Vec<Match<'a>>>) {
    let starts = parts.iter().scan(0, |next, part| {
        let start = *next;
        *next += part.letters.len();
        Some(start)
    });
    let starts: Vec<usize> = starts.collect();
    let mut matches = whole.matches(rules, &starts);
    let mut others = Vec::new();
    for (part, start) in parts.iter().zip(&starts) {
        for one in part.matches(rules, &[]) {
            let letters = one.letters.start + start..one.letters.end + start;
            let behind = matches.partition_point(|known| known.letters.end <= letters.start);
            let known = matches.get(behind);
            if known.is_none_or(|known| known.letters.start >= letters.end) {
                others.push(Match { letters, ..one });
            }
        }
    }
    matches.append(&mut others);
    matches.sort_by_key(|one| one.letters.start);
    let in_part = |(part, start): (&Passage<'_>, &usize)| {
        let first = matches.partition_point(|one| one.letters.start < *start);
        let inside = matches.iter().skip(first);
        let inside = inside.take_while(|one| one.letters.end <= start + part.letters.len());
        let moved = inside.map(|one| Match {
            letters: one.letters.start - start..one.letters.end - start,
            rule: one.rule,
        });
        moved.collect()
    };
    let in_parts = parts.iter().zip(&starts).map(in_part).collect();
    (matches, in_parts)
}

/// The right word with the capitals of the one that was found, unless it has its own.
fn as_found(right: &str, found: &str) -> String {
    if right.contains(char::is_uppercase) {
        return right.to_owned();
    }
    let mut letters = found.chars().filter(|character| character.is_alphabetic());
    let first_is_capital = letters.next().is_some_and(char::is_uppercase);
    let mut rest = letters.peekable();
    if first_is_capital && rest.peek().is_some() && rest.all(char::is_uppercase) {
        return right.to_uppercase();
    }
    let mut characters = right.chars();
    match characters.next() {
        Some(first) if first_is_capital => first.to_uppercase().chain(characters).collect(),
        Some(_) | None => right.to_owned(),
    }
}

fn replaced(text: &str, found: &[Found<'_>]) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut from = 0;
    for one in found {
        whole.push_str(text.get(from..one.start).unwrap_or_default());
        whole.push_str(&one.right);
        from = one.end;
    }
    whole.push_str(text.get(from..).unwrap_or_default());
    whole
}

fn correct_segment(segment: &mut Segment, found: &[Found<'_>]) {
    if found.is_empty() {
        return;
    }
    segment.words = corrected_words(segment, found);
    segment.text = replaced(&segment.text, found);
}

/// The words of a segment as its corrected text has them: those that a wrong word touches give their
/// time to what stands there now.
fn corrected_words(segment: &Segment, found: &[Found<'_>]) -> Vec<Word> {
    let ranges = ranges(segment);
    let mut words = Vec::with_capacity(segment.words.len());
    let mut found = found.iter().peekable();
    let mut at = 0;
    while let (Some(word), Some(range)) = (segment.words.get(at), ranges.get(at)) {
        while found.next_if(|found| found.end <= range.start).is_some() {}
        let Some(first) = found.peek().filter(|found| found.start < range.end) else {
            words.push(word.clone());
            at += 1;
            continue;
        };
        let mut touched = vec![*first];
        let mut until = at + 1;
        loop {
            let end = ranges.get(until - 1).map_or(0, |range| range.end);
            let last = touched.last().map_or(0, |found| found.end);
            if last > end && until < ranges.len() {
                until += 1;
            } else if let Some(next) = next_after(&mut found, &touched, end) {
                touched.push(next);
            } else {
                break;
            }
        }
        words.extend(pieces(segment, at..until, &ranges, &touched));
        at = until;
    }
    words
}

/// The next wrong word that begins before `end`, if there is one behind those that are touched.
fn next_after<'a, 'b>(
    found: &mut std::iter::Peekable<std::slice::Iter<'a, Found<'b>>>,
    touched: &[&'a Found<'b>],
    end: usize,
) -> Option<&'a Found<'b>> {
    let last = touched.last()?;
    while found.next_if(|next| next.end <= last.end).is_some() {}
    found.peek().copied().filter(|next| next.start < end)
}

/// Where each word stands in the segment's text, in bytes.
fn ranges(segment: &Segment) -> Vec<Range<usize>> {
    let mut from = 0;
    let range = |word: &Word| {
        let rest = segment.text.get(from..).unwrap_or_default();
        let start = rest
            .find(word.text.as_str())
            .map_or(from, |offset| from + offset);
        from = (start + word.text.len()).min(segment.text.len());
        start..from
    };
    segment.words.iter().map(range).collect()
}

/// What stands in the place of some words, one word or several, with the time of all of them.
fn pieces(
    segment: &Segment,
    at: Range<usize>,
    ranges: &[Range<usize>],
    touched: &[&Found<'_>],
) -> Vec<Word> {
    let old = segment.words.get(at.clone()).unwrap_or_default();
    let here = ranges.get(at).unwrap_or_default();
    let (Some(first), Some(start), Some(end)) = (
        old.first(),
        here.first().map(|range| range.start),
        here.last().map(|range| range.end),
    ) else {
        return Vec::new();
    };
    let moved = touched.iter().map(|found| Found {
        start: found.start.saturating_sub(start),
        end: found.end.saturating_sub(start),
        rule: found.rule,
        right: found.right.clone(),
    });
    let text = segment.text.get(start..end).unwrap_or_default();
    let text = replaced(text, &moved.collect::<Vec<_>>());
    let new: Vec<&str> = text.split_whitespace().collect();
    let spans = if new.len() == old.len() {
        old.iter().map(|word| word.span).collect()
    } else {
        shared(old, &new)
    };
    let piece = |(position, (text, span)): (usize, (&str, Option<Span>))| Word {
        text: text.to_owned(),
        span,
        speaker: first.speaker,
        spaced: position > 0 || first.spaced,
        event: first.event,
    };
    new.into_iter().zip(spans).enumerate().map(piece).collect()
}

/// The time of all the old words, shared among the new ones by their letters.
fn shared(old: &[Word], new: &[&str]) -> Vec<Option<Span>> {
    let Some(whole) = old.iter().filter_map(|word| word.span).reduce(Span::hull) else {
        return vec![None; new.len()];
    };
    let length = |text: &str| f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    let all: f64 = new.iter().map(|text| length(text)).sum();
    let mut before = 0.0;
    let moment = |letters: f64| whole.start() + whole.seconds() * letters / all.max(1.0);
    let share = |text: &&str| {
        let start = moment(before);
        before += length(text);
        Some(Span::new(start, moment(before)))
    };
    new.iter().map(share).collect()
}

#[cfg(test)]
mod tests;
