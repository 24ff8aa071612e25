//! Looks for signs that a recogniser made things up: loops, too many words for the minutes, text
//! without time to say it, text in silence. It only tells; the text stays as it is.

use super::heard::one_line;
use super::script::is_spaceless;
use super::stitch::clock;
use super::{Segment, Span, Timing, Transcript, Warning, WarningCode};

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
/// A stretch with times of its own is long from here on, in seconds.
const LONG_STRETCH: f64 = 10.0;
/// The slowest that a long stretch is spoken, in seconds a word.
const SLOWEST: f64 = 5.0;
/// A recording without any times is long from here on, in seconds.
const LONG_RECORDING: f64 = 60.0;
/// The fewest words of a long recording, in seconds a word: people pause in it.
const SPARSEST: f64 = 15.0;
/// The part of a text's time that lies in silence where the text does.
const SILENT_PART: f64 = 0.95;
/// How far the time of a word may be off, in seconds, where a silence begins or ends.
const WORD_SLACK: f64 = 0.5;
/// How much of a doubtful text is shown, in characters.
const SHOWN_CHARACTERS: usize = 40;

/// A transcript on which doubts may fall.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubtful<'a> {
    pub(super) text: &'a str,
    /// The length of the recording, in seconds.
    pub(super) duration: Option<f64>,
    pub(super) segments: &'a [Segment],
    pub(super) timing: Timing,
    /// Where there is no speech, from when to when in seconds.
    pub(super) silences: &'a [(f64, f64)],
}

/// Everything that looks wrong about a text.
pub(super) fn suspicions(doubtful: &Doubtful<'_>) -> Vec<Warning> {
    let words = units(doubtful.text);
    [
        repetition(&words),
        too_many(doubtful.text, doubtful.duration),
        no_time(&words, doubtful.segments, doubtful.timing),
        in_silence(doubtful).or_else(|| too_few(doubtful)),
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
pub(super) fn spoken_words(text: &str) -> f64 {
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
            words.filter_map(|word| word.span).map(Span::seconds).sum()
        }
        Timing::Segments | Timing::Pieces => segments
            .iter()
            .filter_map(|segment| segment.span)
            .map(Span::seconds)
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

/// Text of a transcript that stands where the recording is silent.
pub(super) fn in_silences(transcript: &Transcript, silences: &[(f64, f64)]) -> Option<Warning> {
    in_silence(&Doubtful {
        text: &transcript.text,
        duration: transcript.duration,
        segments: &transcript.segments,
        timing: transcript.timing,
        silences,
    })
}

/// Text that stands where there is no speech.
fn in_silence(doubtful: &Doubtful<'_>) -> Option<Warning> {
    let silences: Vec<Span> = doubtful
        .silences
        .iter()
        .map(|(start, end)| (*start, *end))
        .filter_map(|(start, end)| match doubtful.timing {
            Timing::Words => within(start + WORD_SLACK, end - WORD_SLACK),
            Timing::Segments | Timing::Pieces | Timing::None => within(start, end),
        })
        .collect();
    let is_silent = |stretch: &Stretch<'_>| {
        let silent: f64 = silences
            .iter()
            .map(|silence| silence.overlap(stretch.span))
            .sum();
        stretch.span.seconds() > 0.0 && silent >= SILENT_PART * stretch.span.seconds()
    };
    let found = placed(doubtful).into_iter().filter(is_silent);
    told(&found.collect::<Vec<_>>(), "where nobody speaks")
}

fn within(start: f64, end: f64) -> Option<Span> {
    (start < end).then(|| Span::new(start, end))
}

/// Hardly any text in a long stretch: what recognisers make of silence or music.
fn too_few(doubtful: &Doubtful<'_>) -> Option<Warning> {
    let is_sparse = |stretch: &Stretch<'_>| {
        let seconds = stretch.span.seconds();
        seconds >= LONG_STRETCH && spoken_words(stretch.text) * SLOWEST < seconds
    };
    let sparse = stretches(doubtful).into_iter().filter(is_sparse);
    told(
        &sparse.collect::<Vec<_>>(),
        "a stretch in which far more could be said",
    )
    .or_else(|| sparse_recording(doubtful))
}

fn sparse_recording(doubtful: &Doubtful<'_>) -> Option<Warning> {
    let seconds = doubtful.duration?;
    let words = spoken_words(doubtful.text);
    let is_sparse = words > 0.0 && seconds >= LONG_RECORDING && words * SPARSEST < seconds;
    let is_timeless = matches!(doubtful.timing, Timing::None);
    let message = format!(
        "\"{}\" is all that was heard in {seconds:.0} s",
        shown(doubtful.text)
    );
    (is_timeless && is_sparse).then_some(Warning {
        code: WarningCode::TextInSilence,
        message,
    })
}

/// A text and when it is said.
struct Stretch<'a> {
    text: &'a str,
    span: Span,
}

/// What has times of its own: words, else segments.
fn stretches<'a>(doubtful: &Doubtful<'a>) -> Vec<Stretch<'a>> {
    let segments = doubtful.segments.iter().filter(|segment| !segment.missing);
    let segment = |segment: &'a Segment| {
        let span = segment.span?;
        Some(Stretch {
            text: &segment.text,
            span,
        })
    };
    match doubtful.timing {
        Timing::Words => segments
            .flat_map(|segment| &segment.words)
            .filter(|word| !word.event)
            .filter_map(|word| {
                Some(Stretch {
                    text: &word.text,
                    span: word.span?,
                })
            })
            .collect(),
        Timing::Segments | Timing::Pieces => segments.filter_map(segment).collect(),
        Timing::None => Vec::new(),
    }
}

/// The same, and a text without times in the whole of its recording.
fn placed<'a>(doubtful: &Doubtful<'a>) -> Vec<Stretch<'a>> {
    let whole = doubtful.duration.map(|seconds| Stretch {
        text: doubtful.text,
        span: Span::new(0.0, seconds),
    });
    match doubtful.timing {
        Timing::None if doubtful.text.is_empty() => Vec::new(),
        Timing::None => whole.into_iter().collect(),
        Timing::Words | Timing::Segments | Timing::Pieces => stretches(doubtful),
    }
}

/// The first of the stretches, and how many more there are.
fn told(found: &[Stretch<'_>], why: &str) -> Option<Warning> {
    let first = found.first()?;
    let more = match found.len() {
        0 | 1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let message = format!(
        "\"{}\" stands from {} to {}, {why}{more}",
        shown(first.text),
        clock(first.span.start()),
        clock(first.span.end())
    );
    Some(Warning {
        code: WarningCode::TextInSilence,
        message,
    })
}

/// The begin of a text in one line.
fn shown(text: &str) -> String {
    let line = one_line(text);
    let mut shown: String = line.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::silence::Listened;

    fn found(text: &str, duration: Option<f64>) -> Vec<Warning> {
        suspicions(&Doubtful {
            text,
            duration,
            segments: &[],
            timing: Timing::None,
            silences: &[],
        })
    }

    fn codes(text: &str, duration: Option<f64>) -> Vec<WarningCode> {
        let found = found(text, duration);
        found.into_iter().map(|warning| warning.code).collect()
    }

    /// What is said of one segment, with one silence.
    fn of_segment(text: &str, (start, end): (f64, f64), silence: (f64, f64)) -> Vec<Warning> {
        let segment = Segment {
            spaced: false,
            id: 0,
            span: Some(Span::new(start, end)),
            speaker: None,
            text: text.to_owned(),
            words: Vec::new(),
            missing: false,
        };
        suspicions(&Doubtful {
            text,
            duration: None,
            segments: &[segment],
            timing: Timing::Segments,
            silences: &[silence],
        })
    }

    #[test]
    fn text_where_nobody_speaks_is_flagged_and_text_beside_a_silence_is_not() {
        let warnings = of_segment("Thank you.", (12.0, 14.0), (11.0, 30.0));
        assert_eq!(warnings[0].code, WarningCode::TextInSilence);
        assert_eq!(
            warnings[0].message,
            "\"Thank you.\" stands from 0:12 to 0:14, where nobody speaks"
        );
        assert_eq!(of_segment("Thank you.", (10.5, 14.0), (11.0, 30.0)), []);
    }

    #[test]
    fn a_text_without_times_is_flagged_where_the_whole_recording_is_silent() {
        let heard = |text: &str| crate::domain::transcript::Heard {
            text: text.to_owned(),
            ..Default::default()
        };
        for (text, silence, is_flagged) in [
            (
                "Thank you for watching this video to its end!",
                (0.0, 30.0),
                true,
            ),
            (
                "Thank you for watching this video to its end!",
                (0.0, 20.0),
                false,
            ),
            ("", (0.0, 30.0), false),
        ] {
            let mut transcript = Transcript::from_heard(heard(text), Some(30.0));
            transcript.doubt(&Listened {
                silences: vec![silence],
                damage: None,
            });
            let codes: Vec<_> = transcript.warnings.iter().map(|it| it.code).collect();
            let flagged = codes == [WarningCode::TextInSilence];
            assert_eq!(flagged, is_flagged, "{text:?} {silence:?} {codes:?}");
        }
    }

    #[test]
    fn hardly_any_text_in_a_long_stretch_is_flagged_and_slow_speech_is_not() {
        let nowhere = (0.0, 0.0);
        let warnings = of_segment("Thank you.", (0.0, 29.0), nowhere);
        assert_eq!(warnings[0].code, WarningCode::TextInSilence);
        let slow = "To be, or not to be, that is the question.";
        assert_eq!(of_segment(slow, (0.0, 29.0), nowhere), []);
        assert_eq!(of_segment("Ooooh!", (0.0, 4.0), nowhere), []);
    }

    #[test]
    fn a_long_recording_of_next_to_nothing_is_flagged_without_any_times() {
        assert_eq!(codes("you", Some(600.0)), [WarningCode::TextInSilence]);
        assert_eq!(codes("Please call me back, will you?", Some(60.0)), []);
        assert_eq!(codes("you", Some(20.0)), []);
        assert_eq!(codes("", Some(600.0)), []);
    }

    #[test]
    fn a_phrase_in_a_loop_is_flagged_with_its_count() {
        let text = format!("Well. {}Bye.", "Thanks for watching! ".repeat(5));
        let found = found(&text, None);
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
        let found = |seconds| of_segment(text, (1.0, 1.0 + seconds), (0.0, 0.0)).len();
        assert_eq!((found(0.0), found(2.0)), (1, 0));
    }
}
