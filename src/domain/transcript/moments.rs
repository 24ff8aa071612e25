//! Looks through the times of a reply before anything is made of them.
//!
//! What is no number is taken out. Where the times of a list (words, segments, turns) run far beyond the
//! recording and fit it as milliseconds, they are milliseconds; where they fit neither way, those that
//! lie beyond are taken out. Negative and backward ones stay, which `times` mends. Each kind is told
//! once, with a count.

use super::span::LONGEST_SECONDS;
use super::suspicion::spoken_words;
use super::times::PAST_END_SECONDS;
use super::{Heard, Warning, WarningCode};

/// How many times the length of the recording is far beyond its end.
const FAR: f64 = 2.0;
/// The least time in which each of several words is said, in seconds: far from speech in its usual pace, and
/// as far from what it would be in hundredths of seconds.
const SECONDS_PER_WORD: f64 = 0.1;
/// Milliseconds in a second.
const MILLISECONDS: f64 = 1000.0;

/// An entry of a list with its times.
struct Entry<'a> {
    text: &'a str,
    start: &'a mut Option<f64>,
    end: &'a mut Option<f64>,
}

/// How often each kind was found.
#[derive(Default)]
struct Found {
    count: usize,
    no_numbers: usize,
    beyond: usize,
    negative: usize,
    backward: usize,
    /// The lists that are in milliseconds.
    divided: Vec<&'static str>,
}

/// What became of a list whose times run far beyond the recording.
#[derive(PartialEq)]
enum Scale {
    Seconds,
    Milliseconds,
    Neither,
}

/// Takes out or divides what cannot be a time in a recording of `length` seconds, and tells of it.
pub(super) fn check(heard: &mut Heard, length: Option<f64>) -> Vec<Warning> {
    let length = length.filter(|seconds| *seconds > 0.0);
    let mut found = Found::default();
    let words = heard.words.iter_mut().map(|word| Entry {
        text: &word.text,
        start: &mut word.start,
        end: &mut word.end,
    });
    found.list("words", words.collect(), length);
    let segments = heard.segments.iter_mut().map(|segment| Entry {
        text: &segment.text,
        start: &mut segment.start,
        end: &mut segment.end,
    });
    let scale = found.list("segments", segments.collect(), length);
    let turns = heard.turns.iter_mut().map(|turn| Entry {
        text: &turn.text,
        start: &mut turn.start,
        end: &mut turn.end,
    });
    found.list("turns", turns.collect(), length);
    // They were read off the segments.
    match scale {
        Scale::Seconds => {}
        Scale::Milliseconds => heard.silences.iter_mut().for_each(|(start, end)| {
            *start /= MILLISECONDS;
            *end /= MILLISECONDS;
        }),
        Scale::Neither => heard.silences.clear(),
    }
    found.warnings()
}

impl Found {
    fn list(
        &mut self,
        name: &'static str,
        mut entries: Vec<Entry<'_>>,
        length: Option<f64>,
    ) -> Scale {
        self.count += entries.len();
        self.no_numbers += take_out(&mut entries, |seconds| !seconds.is_finite());
        let scale = length.map_or(Scale::Seconds, |length| scale(&entries, length));
        match scale {
            Scale::Seconds => {}
            Scale::Milliseconds => {
                self.divided.push(name);
                for entry in &mut entries {
                    for moment in [&mut *entry.start, &mut *entry.end] {
                        *moment = moment.map(|milliseconds| milliseconds / MILLISECONDS);
                    }
                }
            }
            Scale::Neither => {
                let end = length.map_or(f64::INFINITY, |length| length + PAST_END_SECONDS);
                self.beyond += take_out(&mut entries, |seconds| seconds > end);
            }
        }
        self.beyond += take_out(&mut entries, |seconds| seconds > LONGEST_SECONDS);
        for entry in &entries {
            let negative = |moment: &Option<f64>| moment.is_some_and(|seconds| seconds < 0.0);
            self.negative += usize::from(negative(entry.start) || negative(entry.end));
            let times = entry.start.zip(*entry.end);
            let is_backward = times.is_some_and(|(start, end)| end < start);
            self.backward += usize::from(is_backward);
        }
        scale
    }

    fn warnings(self) -> Vec<Warning> {
        let count = self.count;
        let of = |number: usize, code, what: &str| {
            let message = format!("{what}: {number} of {count}");
            (number > 0).then_some(Warning { code, message })
        };
        let divided = Warning {
            code: WarningCode::TimesInMilliseconds,
            message: format!(
                "the times of the {} are milliseconds and have been divided by 1000",
                self.divided.join(" and ")
            ),
        };
        let dropped = WarningCode::TimesDropped;
        let mended = WarningCode::TimesMended;
        [
            (!self.divided.is_empty()).then_some(divided),
            of(
                self.no_numbers,
                dropped,
                "times that are no numbers and are not used",
            ),
            of(
                self.beyond,
                dropped,
                "times far beyond the end of the recording, which are not used",
            ),
            of(self.negative, mended, "negative times, which count as 0"),
            of(
                self.backward,
                mended,
                "times that end before they begin, now without a length",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Takes out the moments that are `wrong`; says how many entries had one.
fn take_out(entries: &mut [Entry<'_>], wrong: impl Fn(f64) -> bool) -> usize {
    let mut count = 0;
    for entry in entries {
        let mut has_one = false;
        for moment in [&mut *entry.start, &mut *entry.end] {
            if moment.is_some_and(&wrong) {
                *moment = None;
                has_one = true;
            }
        }
        count += usize::from(has_one);
    }
    count
}

/// What the times are in, judged by the length of the recording; one in ten may be astray.
fn scale(entries: &[Entry<'_>], length: f64) -> Scale {
    let moments = |entry: &Entry<'_>| [*entry.start, *entry.end].into_iter().flatten();
    let far = length * FAR + PAST_END_SECONDS;
    let timed = entries
        .iter()
        .filter(|entry| moments(entry).next().is_some());
    let is_beyond = |entry: &&Entry<'_>| moments(entry).any(|seconds| seconds > far);
    let beyond = timed.clone().filter(is_beyond).count();
    if beyond * 10 <= timed.clone().count() {
        return Scale::Seconds;
    }
    let all = || timed.clone().flat_map(moments);
    let first = all().fold(f64::INFINITY, f64::min) / MILLISECONDS;
    let last = all().fold(f64::NEG_INFINITY, f64::max) / MILLISECONDS;
    let words: f64 = timed.map(|entry| spoken_words(entry.text)).sum();
    // What is off by another factor would fit too, but leave no time to say it in.
    let fits =
        last <= length + PAST_END_SECONDS && last - first >= SECONDS_PER_WORD * (words - 1.0);
    if fits {
        Scale::Milliseconds
    } else {
        Scale::Neither
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::{HeardSegment, HeardWord};

    fn heard(times: &[(f64, f64)]) -> Heard {
        let words = times.iter().map(|&(start, end)| HeardWord {
            text: "word".to_owned(),
            start: Some(start),
            end: Some(end),
            ..HeardWord::default()
        });
        Heard {
            words: words.collect(),
            ..Heard::default()
        }
    }

    /// The starts after the check, and what is told.
    fn checked(times: &[(f64, f64)], length: f64) -> (Vec<Option<f64>>, Vec<String>) {
        let mut heard = heard(times);
        let told = check(&mut heard, Some(length));
        let starts = heard.words.iter().map(|word| word.start).collect();
        (
            starts,
            told.into_iter().map(|warning| warning.message).collect(),
        )
    }

    #[test]
    fn times_that_fit_as_milliseconds_alone_are_milliseconds() {
        let (starts, told) = checked(&[(0.0, 400.0), (2500.0, 2900.0), (9000.0, 10_500.0)], 10.0);
        assert_eq!(starts, [Some(0.0), Some(2.5), Some(9.0)]);
        assert_eq!(
            told,
            ["the times of the words are milliseconds and have been divided by 1000"]
        );
    }

    #[test]
    fn times_that_fit_in_no_way_are_taken_out_and_those_within_stay() {
        let tenfold = [(2.5, 4.0), (25.0, 40.0), (55.0, 70.0), (90.0, 105.0)];
        let (starts, told) = checked(&tenfold, 10.0);
        assert_eq!(starts, [Some(2.5), None, None, None]);
        assert_eq!(
            told,
            ["times far beyond the end of the recording, which are not used: 3 of 4"]
        );
        let (starts, _) = checked(&[(1e6, 2e6), (3e6, 1e300)], 10.0);
        assert_eq!(starts, [None, None]);
    }

    #[test]
    fn times_of_a_recording_whose_length_is_about_right_or_unknown_stay() {
        let times = [(1.0, 2.0), (11.0, 12.0), (14.0, 15.0)];
        assert_eq!(checked(&times, 10.0).1, [""; 0]);
        let mut unknown = heard(&[(2500.0, 2900.0)]);
        assert_eq!(check(&mut unknown, None), []);
        assert_eq!(unknown.words[0].start, Some(2500.0));
    }

    #[test]
    fn one_stray_among_many_makes_no_milliseconds() {
        let mut times: Vec<(f64, f64)> = (0..20)
            .map(|second| (f64::from(second), f64::from(second) + 0.5))
            .collect();
        times.push((5000.0, 5001.0));
        assert_eq!(checked(&times, 20.0).1, [""; 0]);
    }

    #[test]
    fn each_kind_is_told_once_with_its_count() {
        let (starts, told) = checked(
            &[
                (f64::NAN, 1.0),
                (-1.0, 0.5),
                (1.0, 0.5),
                (2.0, 1.5),
                (3.0, f64::INFINITY),
            ],
            10.0,
        );
        assert_eq!(starts[0], None);
        assert_eq!(
            told,
            [
                "times that are no numbers and are not used: 2 of 5",
                "negative times, which count as 0: 1 of 5",
                "times that end before they begin, now without a length: 2 of 5",
            ]
        );
    }

    #[test]
    fn every_list_has_a_scale_of_its_own_and_silences_that_of_the_segments() {
        let mut heard = heard(&[(0.5, 1.0), (9.0, 9.5)]);
        heard.segments = vec![HeardSegment {
            text: "word word".to_owned(),
            start: Some(500.0),
            end: Some(9500.0),
            speaker: None,
        }];
        heard.silences = vec![(1000.0, 8000.0)];
        check(&mut heard, Some(10.0));
        assert_eq!(heard.words[1].start, Some(9.0));
        assert_eq!(heard.segments[0].end, Some(9.5));
        assert_eq!(heard.silences, [(1.0, 8.0)]);
    }
}
