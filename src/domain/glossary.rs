//! Words that a recogniser gets wrong, put right: whole words, in the text, the segments and the words.
//!
//! One pass, the longest entry first, and what was put in is not looked at again. The text and the
//! segments stay the same words in the same order, each with its times; the reply itself is not touched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::transcript::{Segment, Span, Transcript, Word, is_spaceless, letter_count};

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
        let mut passage = Passage::of(&transcript.text);
        if transcript.segments_hold_text() {
            passage.seams = seams(&transcript.text, &transcript.segments);
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let found = passage.matches(&rules);
        for one in &found {
            *counts.entry(one.rule.wrong).or_default() += 1;
        }
        transcript.text = replaced(&transcript.text, &found);
        for segment in &mut transcript.segments {
            correct_segment(segment, &rules);
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

/// A text, and where one segment ends in it and the next begins.
struct Passage<'t> {
    text: &'t str,
    /// The end of the last letter of a segment and the begin of the first of the next, in bytes.
    seams: Vec<(usize, usize)>,
}

impl<'t> Passage<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text,
            seams: Vec::new(),
        }
    }

    /// Every wrong word, in order, none over another.
    fn matches<'a>(&self, rules: &'a [Rule<'a>]) -> Vec<Found<'a>> {
        let mut found: Vec<Found<'a>> = Vec::new();
        let mut from = 0;
        for (start, _) in self.text.char_indices() {
            if start < from || !self.is_edge(start) {
                continue;
            }
            let longest = rules.iter().find_map(|rule| {
                let end = rule.end_at(self.text, start)?;
                let is_whole = self.is_edge(end) && !self.crosses_seam(start, end);
                is_whole.then_some((rule, end))
            });
            let Some((rule, end)) = longest else {
                continue;
            };
            let there = self.text.get(start..end).unwrap_or_default();
            let right = as_found(rule.right, there);
            // What is right already is left alone and not counted.
            if there != right {
                found.push(Found {
                    start,
                    end,
                    rule,
                    right,
                });
            }
            from = end;
        }
        found
    }

    /// Whether no word goes on across this place.
    fn is_edge(&self, at: usize) -> bool {
        let (Some(before), Some(after)) = (self.text.get(..at), self.text.get(at..)) else {
            return false;
        };
        let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else {
            return true;
        };
        let inside = last.is_alphanumeric() && first.is_alphanumeric();
        !inside || is_spaceless(last) || is_spaceless(first) || self.seams.contains(&(at, at))
    }

    /// Whether a wrong word would begin in one segment and end in another, where it is not found.
    fn crosses_seam(&self, start: usize, end: usize) -> bool {
        let next = self.seams.partition_point(|(last, _)| *last <= start);
        self.seams.get(next).is_some_and(|(_, first)| *first < end)
    }
}

/// Where each segment but the last ends in a text that holds the same letters.
fn seams(text: &str, segments: &[Segment]) -> Vec<(usize, usize)> {
    let mut letters = text
        .char_indices()
        .filter(|(_, character)| character.is_alphanumeric())
        .map(|(at, character)| (at, at + character.len_utf8()))
        .peekable();
    let mut seams = Vec::with_capacity(segments.len());
    for segment in segments {
        let count = letter_count(&segment.text);
        let last = letters.by_ref().take(count).last();
        if let (Some((_, end)), Some((first, _))) = (last, letters.peek()) {
            seams.push((end, *first));
        }
    }
    seams
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

fn correct_segment(segment: &mut Segment, rules: &[Rule<'_>]) {
    let found = Passage::of(&segment.text).matches(rules);
    if found.is_empty() {
        return;
    }
    segment.words = corrected_words(segment, &found);
    segment.text = replaced(&segment.text, &found);
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
fn ranges(segment: &Segment) -> Vec<std::ops::Range<usize>> {
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
    at: std::ops::Range<usize>,
    ranges: &[std::ops::Range<usize>],
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
