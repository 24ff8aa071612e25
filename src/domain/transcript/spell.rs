//! Whose spelling counts where the text and its stretches have the same letters: the one with more
//! punctuation and capitals; and where the text has white space between its stretches.

use super::align::letters;
use super::script::{is_opening, is_spaceless};
use super::{Heard, Segment};

/// Spells the segments or turns as the text does, where they have its letters and it has more marks.
pub(super) fn spell_as_text(heard: &mut Heard) {
    let mut texts: Vec<&mut String> = if heard.segments.is_empty() {
        heard.turns.iter_mut().map(|turn| &mut turn.text).collect()
    } else {
        let segments = heard.segments.iter_mut();
        segments.map(|segment| &mut segment.text).collect()
    };
    texts.retain(|text| !text.is_empty());
    let own: usize = texts.iter().map(|text| marks(text)).sum();
    if marks(&heard.text) <= own {
        return;
    }
    let counts: Vec<usize> = texts.iter().map(|text| letters(text).count()).collect();
    let said = texts.iter().flat_map(|text| letters(text));
    if !said.eq(letters(&heard.text)) {
        return;
    }
    let Some(slices) = slices(&heard.text, &counts) else {
        return;
    };
    for (text, slice) in texts.into_iter().zip(slices) {
        *text = super::heard::one_line(slice);
    }
}

/// Notes for every segment whether white space stands before it in the text; by the habits of its
/// script where the text does not hold it.
pub(super) fn mark_spaces(text: &str, segments: &mut [Segment]) {
    let said = segments.iter().flat_map(|segment| letters(&segment.text));
    let holds = said.eq(letters(text));
    let mut gaps = Gaps::of(text);
    let mut before: Option<char> = None;
    for segment in segments {
        let count = letters(&segment.text).count();
        let gap = gaps.next().filter(|_| holds && count > 0);
        segment.spaced = match gap {
            Some(gap) => gap.contains(char::is_whitespace),
            None => wants_space(before, segment.text.chars().next()),
        };
        gaps.pass(count);
        before = segment.text.chars().next_back();
    }
}

fn wants_space(before: Option<char>, after: Option<char>) -> bool {
    before.zip(after).is_some_and(|(before, after)| {
        !is_spaceless(before) && !is_spaceless(after) && !before.is_whitespace()
    })
}

/// How many marks a text has that tell its sentences and names: punctuation and capitals.
fn marks(text: &str) -> usize {
    let is_mark = |character: &char| {
        character.is_uppercase() || !(character.is_alphanumeric() || character.is_whitespace())
    };
    text.chars().filter(is_mark).count()
}

/// Cuts a text into pieces of so many letters; nothing if a cut would fall into a word.
fn slices<'a>(text: &'a str, counts: &[usize]) -> Option<Vec<&'a str>> {
    let mut gaps = Gaps::of(text);
    let mut slices = Vec::with_capacity(counts.len());
    let mut begin = 0;
    for (position, count) in counts.iter().enumerate() {
        gaps.pass(*count);
        let end = if position + 1 == counts.len() {
            text.len()
        } else {
            gaps.cut()?
        };
        slices.push(text.get(begin..end)?.trim());
        begin = end;
    }
    Some(slices)
}

/// A way through a text, letter by letter, that stops between two.
struct Gaps<'a> {
    text: &'a str,
    /// The end of the last letter, in bytes.
    at: usize,
}

impl<'a> Gaps<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Goes on behind so many letters.
    fn pass(&mut self, mut count: usize) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for character in rest.chars() {
            if count == 0 {
                break;
            }
            if character.is_alphanumeric() {
                count = count.saturating_sub(character.to_lowercase().count());
            }
            self.at += character.len_utf8();
        }
    }

    /// What stands before the next letter.
    fn next(&self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        rest.get(..rest.find(char::is_alphanumeric)?)
    }

    /// Where two pieces part here: behind the last white space, or before what opens the next.
    fn cut(&self) -> Option<usize> {
        let gap = self.next()?;
        if let Some((at, space)) = gap
            .char_indices()
            .rev()
            .find(|(_, one)| one.is_whitespace())
        {
            return Some(self.at + at + space.len_utf8());
        }
        let before = self.text.get(..self.at)?.chars().next_back();
        let after = self.text.get(self.at + gap.len()..)?.chars().next();
        let parts = before.is_some_and(is_spaceless) || after.is_some_and(is_spaceless);
        parts.then(|| self.at + gap.trim_end_matches(is_opening).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::HeardSegment;

    fn spelled(text: &str, segments: &[&str]) -> Vec<String> {
        let segments = segments.iter().map(|text| HeardSegment {
            text: (*text).to_owned(),
            ..HeardSegment::default()
        });
        let mut heard = Heard {
            text: text.to_owned(),
            segments: segments.collect(),
            ..Heard::default()
        };
        spell_as_text(&mut heard);
        let segments = heard.segments.into_iter();
        segments.map(|segment| segment.text).collect()
    }

    #[test]
    fn segments_without_punctuation_take_that_of_the_text() {
        assert_eq!(
            spelled(
                "He said: “No.” “Why?” I asked.",
                &["he said no", "why i asked"]
            ),
            ["He said: “No.”", "“Why?” I asked."]
        );
        assert_eq!(
            spelled("今日は。「はい」", &["今日は", "はい"]),
            ["今日は。", "「はい」"]
        );
    }

    #[test]
    fn segments_keep_their_own_punctuation_and_other_words() {
        assert_eq!(
            spelled("he said no", &["He said", "no."]),
            ["He said", "no."]
        );
        assert_eq!(
            spelled("He. Said. Yes.", &["he said", "no"]),
            ["he said", "no"]
        );
        assert_eq!(
            spelled("Un-believable!", &["unbe", "lievable"]),
            ["unbe", "lievable"]
        );
    }
}
