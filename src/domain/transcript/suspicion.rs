//! Looks for signs that a recogniser made things up: loops, too many words for the minutes, text
//! without time to say it. It only tells; the text stays as it is.

use super::script::is_spaceless;
use super::{Segment, Timing, Warning, WarningCode};

/// The longest phrase that is looked for, in words.
const LONGEST_PHRASE: usize = 24;
/// How many words a loop spans at least.
const LOOP_WORDS: usize = 10;
/// How often a phrase stands in a row at least.
const LOOP_TIMES: usize = 4;
/// More words a minute than anybody speaks.
const WORDS_PER_MINUTE: f64 = 400.0;
/// Words that any recording may hold, however short.
const FREE_WORDS: f64 = 10.0;
/// The least time in which a word can be said, in seconds.
const SECONDS_PER_WORD: f64 = 0.03;
/// How many words it takes to speak of missing time.
const WORDS_WITHOUT_TIME: usize = 5;

/// Everything that looks wrong about a text.
pub(super) fn suspicions(
    text: &str,
    duration: Option<f64>,
    segments: &[Segment],
    timing: Timing,
) -> Vec<Warning> {
    let words = units(text);
    [
        repetition(&words),
        too_many(text, duration),
        no_time(&words, segments, timing),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Words in lower case; in scripts without spaces every character counts as one.
fn units(text: &str) -> Vec<String> {
    let mut units = Vec::new();
    for word in text.split_whitespace() {
        let mut unit = String::new();
        for character in word.chars().filter(|character| character.is_alphanumeric()) {
            if is_spaceless(character) {
                units.extend((!unit.is_empty()).then(|| std::mem::take(&mut unit)));
                units.push(character.to_string());
            } else {
                unit.extend(character.to_lowercase());
            }
        }
        units.extend((!unit.is_empty()).then_some(unit));
    }
    units
}

fn repetition(words: &[String]) -> Option<Warning> {
    let (begin, period, times) = (1..=LONGEST_PHRASE)
        .filter_map(|period| longest_loop(words, period))
        .max_by_key(|(_, period, times)| (period * times, usize::MAX - period))?;
    let phrase = words
        .get(begin..begin + period)
        .unwrap_or_default()
        .join(" ");
    let message = format!("\"{phrase}\" stands {times} times in a row");
    Some(Warning {
        code: WarningCode::Repetition,
        message,
    })
}

/// Where a phrase of `period` words repeats longest: its begin, the period and how often.
fn longest_loop(words: &[String], period: usize) -> Option<(usize, usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    let mut same = 0;
    for (before, (word, earlier)) in words.iter().skip(period).zip(words).enumerate() {
        same = if word == earlier { same + 1 } else { 0 };
        if same > best.map_or(0, |(_, longest)| longest) {
            best = Some((before + 1 - same, same));
        }
    }
    let (begin, same) = best?;
    let times = same / period + 1;
    (times >= LOOP_TIMES && times * period >= LOOP_WORDS).then_some((begin, period, times))
}

fn too_many(text: &str, duration: Option<f64>) -> Option<Warning> {
    let seconds = duration?;
    let words = spoken_words(text);
    if words <= FREE_WORDS + WORDS_PER_MINUTE * seconds / 60.0 {
        return None;
    }
    let message = format!("{words:.0} words in {seconds:.1} s are more than anybody can say");
    Some(Warning {
        code: WarningCode::TooManyWords,
        message,
    })
}

/// The number of words; a character of a script without spaces counts for half a word.
fn spoken_words(text: &str) -> f64 {
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let spaceless = |character: &char| character.is_alphanumeric() && is_spaceless(*character);
    let characters = text.chars().filter(spaceless).count();
    let spaced = |word: &&str| {
        word.chars()
            .any(|letter| letter.is_alphanumeric() && !is_spaceless(letter))
    };
    count(text.split_whitespace().filter(spaced).count()) + count(characters) / 2.0
}

fn no_time(words: &[String], segments: &[Segment], timing: Timing) -> Option<Warning> {
    let seconds: f64 = match timing {
        Timing::Words => {
            let words = segments.iter().flat_map(|segment| &segment.words);
            words
                .filter_map(|word| word.span)
                .map(super::Span::seconds)
                .sum()
        }
        Timing::Segments | Timing::Pieces => segments
            .iter()
            .filter_map(|segment| segment.span)
            .map(super::Span::seconds)
            .sum(),
        Timing::None => return None,
    };
    let least = SECONDS_PER_WORD * f64::from(u32::try_from(words.len()).unwrap_or(u32::MAX));
    if words.len() < WORDS_WITHOUT_TIME || seconds >= least {
        return None;
    }
    let count = words.len();
    let message = format!("{count} words have only {seconds:.2} s of speech between them");
    Some(Warning {
        code: WarningCode::NoSpeechTime,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str, duration: Option<f64>) -> Vec<WarningCode> {
        let found = suspicions(text, duration, &[], Timing::None);
        found.into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn a_phrase_in_a_loop_is_flagged_with_its_count() {
        let text = format!("Well. {}Bye.", "Thanks for watching! ".repeat(5));
        let found = suspicions(&text, None, &[], Timing::None);
        assert_eq!(
            found[0].message,
            "\"thanks for watching\" stands 5 times in a row"
        );
    }

    #[test]
    fn a_loop_without_spaces_is_flagged() {
        assert_eq!(codes(&"ご視聴".repeat(6), None), [WarningCode::Repetition]);
    }

    #[test]
    fn ordinary_emphasis_is_not_flagged() {
        assert!(codes("no no no no, that is very very very good", None).is_empty());
    }

    #[test]
    fn more_words_than_the_time_can_hold_are_flagged() {
        let many: String = (0..300).map(|number| format!("word{number} ")).collect();
        assert_eq!(codes(&many, Some(10.0)), [WarningCode::TooManyWords]);
        assert!(codes(&many, Some(100.0)).is_empty());
        assert!(codes(&many, None).is_empty());
    }

    #[test]
    fn text_without_time_to_say_it_is_flagged() {
        let text = "one two three four five six";
        let segment = |seconds| Segment {
            id: 0,
            span: Some(super::super::Span::new(1.0, 1.0 + seconds)),
            speaker: None,
            text: text.to_owned(),
            words: Vec::new(),
            missing: false,
        };
        let found = |seconds| suspicions(text, None, &[segment(seconds)], Timing::Segments).len();
        assert_eq!((found(0.0), found(2.0)), (1, 0));
    }
}
