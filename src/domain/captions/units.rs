//! The unbreakable units of a transcript with their times: words, and in scripts without spaces
//! what may not be torn apart there (Unicode Standard Annex 14).

use unicode_linebreak::{BreakOpportunity, linebreaks};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::lines::width;
use super::little::{is_little, is_torn};
use super::spread::{spread, timed_segments};
use super::{Naming, Profile};
use crate::domain::transcript::{
    Segment, SpeakerId, Transcript, ends_clause, ends_sentence, is_spaceless, needs_dictionary,
};

/// The widest word that is taken for a little one by its width alone, in columns.
const LITTLE_COLUMNS: usize = 3;
/// How much text before a break is looked at, in characters.
const TAIL_CHARACTERS: usize = 8;

/// A piece of text that stays on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) text: String,
    /// The width in columns.
    pub(super) width: usize,
    /// Whether a space stands before it when it is not the first of its line.
    pub(super) spaced: bool,
    /// When it is said, in milliseconds.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) speaker: Option<SpeakerId>,
    /// Whether it belongs to a speaker's name, after which no cue may end.
    pub(super) is_name: bool,
    /// What ends with it.
    pub(super) ending: Ending,
    /// Whether it belongs to what follows, so that no line should end with it.
    pub(super) leans: bool,
}

/// What ends with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Nothing,
    Clause,
    Sentence,
}

/// The units of a transcript in order, or nothing when their times cannot even be estimated.
pub(super) fn units(
    transcript: &Transcript,
    profile: &Profile,
    naming: Naming,
) -> Option<Vec<Unit>> {
    let mut units: Vec<Unit> = Vec::new();
    let named = naming == Naming::InText && transcript.tells_speakers();
    let mut last_speaker = None;
    for (segment, time) in timed_segments(transcript)? {
        if named && segment.speaker != last_speaker {
            units.extend(name(transcript, segment, time.0, profile));
        }
        last_speaker = segment.speaker;
        let mut found = if segment.missing {
            vec![unit(&segment.text, true, time, None)]
        } else if segment.words.is_empty() {
            cut(segment, time, profile)
        } else {
            words(segment)
        };
        if let (Some(before), Some(first)) = (units.last(), found.first_mut()) {
            first.spaced = before.is_name || segment.spaced;
        }
        units.extend(found.into_iter().flat_map(|unit| fitting(unit, profile)));
    }
    mark_endings(&mut units, transcript.language.as_deref());
    Some(units)
}

fn mark_endings(units: &mut [Unit], language: Option<&str>) {
    let mut next: Option<&str> = None;
    for unit in units.iter_mut().rev() {
        unit.ending = if ends_sentence(&unit.text, next) {
            Ending::Sentence
        } else if ends_clause(&unit.text, next) {
            Ending::Clause
        } else {
            Ending::Nothing
        };
        let is_short = unit.width <= LITTLE_COLUMNS && unit.spaced;
        unit.leans = unit.ending == Ending::Nothing
            && (is_short
                || is_little(&unit.text, language)
                || next.is_some_and(|next| is_torn(&unit.text, next)));
        next = Some(&unit.text);
    }
}

/// The speaker's name and a colon, shortened to a line.
fn name(transcript: &Transcript, segment: &Segment, start: u64, profile: &Profile) -> Vec<Unit> {
    let Some(name) = segment.speaker.and_then(|id| transcript.speaker_name(id)) else {
        return Vec::new();
    };
    let lead = format!("{}:", shortened(name, profile.columns.saturating_sub(1)));
    let words = lead.split_whitespace();
    words
        .map(|text| Unit {
            is_name: true,
            ..unit(text, true, (start, start), segment.speaker)
        })
        .collect()
}

fn shortened(name: &str, columns: usize) -> String {
    if name.width() <= columns {
        return name.to_owned();
    }
    let mut short = String::new();
    for grapheme in name.graphemes(true) {
        if short.width() + grapheme.width() >= columns {
            break;
        }
        short.push_str(grapheme);
    }
    short.push('…');
    short
}

/// The words of a segment; those that no line may break between become one.
fn words(segment: &Segment) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for word in &segment.words {
        let time = word.span.or(segment.span).map_or((0, 0), |span| {
            (span.start_milliseconds(), span.end_milliseconds())
        });
        match units.last_mut() {
            Some(last) if !word.spaced && !may_break(&last.text, &word.text) => {
                last.text.push_str(&word.text);
                last.width += word.text.width();
                last.end = last.end.max(time.1);
            }
            Some(_) | None => units.push(unit(&word.text, word.spaced, time, segment.speaker)),
        }
    }
    units
}

/// The units of a text without word times, which are spread over the segment; a sentence that has far
/// more time than it takes is said at its begin, so that it is not torn apart.
fn cut(segment: &Segment, time: (u64, u64), profile: &Profile) -> Vec<Unit> {
    let mut pieces: Vec<(&str, bool)> = Vec::new();
    for word in segment.text.split_whitespace() {
        let mut spaced = true;
        for piece in breakable(word) {
            pieces.push((piece, spaced));
            spaced = false;
        }
    }
    let times = spread(pieces.iter().map(|(piece, _)| *piece), time);
    let units = pieces.into_iter().zip(times);
    let mut units: Vec<Unit> = units
        .map(|((text, spaced), time)| unit(text, spaced, time, segment.speaker))
        .collect();
    let mut begin = 0;
    for end in 1..=units.len() {
        let text = |at: usize| units.get(at).map(|unit| unit.text.as_str());
        if text(end - 1).is_some_and(|last| ends_sentence(last, text(end))) || end == units.len() {
            hasten(units.get_mut(begin..end).unwrap_or_default(), profile);
            begin = end;
        }
    }
    units
}

/// Shortens the time of a sentence to what a cue of it may stand, or as many cues as it fills.
fn hasten(sentence: &mut [Unit], profile: &Profile) {
    let Some((start, end)) = sentence
        .first()
        .map(|first| first.start)
        .zip(sentence.last().map(|last| last.end))
    else {
        return;
    };
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let room = number(2 * profile.columns).max(1);
    let columns = number(width(sentence)).max(room);
    let longest = columns.saturating_mul(profile.longest) / room;
    let whole = end.saturating_sub(start);
    if whole > longest {
        let sooner = |moment: u64| {
            let passed = u128::from(moment.saturating_sub(start)) * u128::from(longest);
            start + u64::try_from(passed / u128::from(whole)).unwrap_or(u64::MAX)
        };
        for unit in sentence {
            (unit.start, unit.end) = (sooner(unit.start), sooner(unit.end));
        }
    }
}

/// Cuts a word without spaces where a line may break, in scripts that are written without them.
fn breakable(word: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (at, _) in linebreaks(word) {
        let before = word.get(..at).unwrap_or_default();
        if (at == word.len() || ends_spaceless(before))
            && let Some(piece) = word.get(begin..at)
        {
            pieces.push(piece);
            begin = at;
        }
    }
    pieces
}

/// Whether a line may break between two words that no space parts.
fn may_break(before: &str, after: &str) -> bool {
    let tail = tail(before);
    let (Some(last), Some(first)) = (tail.chars().next_back(), after.chars().next()) else {
        return false;
    };
    if needs_dictionary(last) && needs_dictionary(first) {
        // The service's words are the only dictionary there is; a vowel sign begins none.
        return first.width() != Some(0);
    }
    let joined = format!("{tail}{after}");
    ends_spaceless(tail)
        && linebreaks(&joined)
            .any(|(at, kind)| at == tail.len() && kind == BreakOpportunity::Allowed)
}

/// Whether a text ends in a script without spaces, perhaps with a mark that was borrowed from others.
fn ends_spaceless(text: &str) -> bool {
    let letters = text.trim_end_matches([',', '.', ';', ':', '!', '?']);
    letters.chars().next_back().is_some_and(is_spaceless)
}

/// The last few characters, which decide on the break behind them.
fn tail(text: &str) -> &str {
    let begin = text
        .char_indices()
        .rev()
        .nth(TAIL_CHARACTERS - 1)
        .map_or(0, |(at, _)| at);
    text.get(begin..).unwrap_or_default()
}

/// A unit wider than a line is cut between graphemes, if its script has no spaces; other long
/// words stay whole.
fn fitting(unit: Unit, profile: &Profile) -> Vec<Unit> {
    if unit.width <= profile.columns || !unit.text.contains(is_spaceless) {
        return vec![unit];
    }
    let mut pieces: Vec<String> = vec![String::new()];
    for grapheme in unit.text.graphemes(true) {
        match pieces.last_mut() {
            Some(piece) if piece.width() + grapheme.width() <= profile.columns => {
                piece.push_str(grapheme);
            }
            Some(_) | None => pieces.push(grapheme.to_owned()),
        }
    }
    let times = spread(pieces.iter().map(String::as_str), (unit.start, unit.end));
    let mut spaced = unit.spaced;
    let cut = pieces.iter().zip(times).map(|(text, time)| {
        let first = std::mem::take(&mut spaced);
        self::unit(text, first, time, unit.speaker)
    });
    cut.collect()
}

fn unit(text: &str, spaced: bool, (start, end): (u64, u64), speaker: Option<SpeakerId>) -> Unit {
    let width = text.width();
    Unit {
        text: text.to_owned(),
        width,
        spaced,
        start,
        end,
        speaker,
        is_name: false,
        ending: Ending::Nothing,
        leans: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_ideographs_but_not_before_closing_marks() {
        assert_eq!(breakable("今日は、いい"), ["今", "日", "は、", "い", "い"]);
        assert_eq!(breakable("今日,いい.次"), ["今", "日,", "い", "い.", "次"]);
        assert_eq!(breakable("第3.5回,v1.0"), ["第", "3.5回,v1.0"]);
        assert!(may_break("很好,", "我们") && !may_break("很好", ","));
        assert_eq!(breakable("well-known"), ["well-known"]);
        assert!(may_break("今日", "は"));
        assert!(!may_break("今日", "。"));
        assert!(!may_break("don", "'t"));
    }

    #[test]
    fn thai_breaks_between_the_service_s_words() {
        assert!(may_break("สวัสดี", "ครับ"));
        assert!(!may_break("สวัสด", "ี"));
    }

    #[test]
    fn a_long_word_is_cut_only_in_scripts_without_spaces() {
        let long = |text: &str| fitting(unit(text, true, (0, 1000), None), &Profile::PODCAST);
        let thai = long(&"สวัสดี".repeat(12));
        assert!(thai.len() > 1 && thai.iter().all(|unit| unit.width <= 32));
        assert_eq!(
            thai.iter()
                .map(|unit| unit.text.as_str())
                .collect::<String>(),
            "สวัสดี".repeat(12)
        );
        assert_eq!(long(&"a".repeat(100)).len(), 1);
    }

    #[test]
    fn a_name_never_fills_more_than_a_line() {
        assert_eq!(shortened("Anna", 10), "Anna");
        assert_eq!(shortened("Wolfeschlegelstein", 10), "Wolfeschl…");
    }
}
