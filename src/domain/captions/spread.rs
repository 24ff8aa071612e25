//! Gives times to text that has none of its own: spread over the time around it, by length.

use unicode_width::UnicodeWidthStr;

use crate::domain::transcript::{Segment, Span, SpeakerId, Timing, Transcript, sentences};

/// A line of text and when it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedLine<'a> {
    /// When it begins, in milliseconds.
    pub start: u64,
    /// When it ends, in milliseconds.
    pub end: u64,
    /// Who says it, when the transcript tells it.
    pub speaker: Option<SpeakerId>,
    /// What is said.
    pub text: &'a str,
}

/// The segments with their times, or the sentences with estimated times where segments have none
/// of their own; nothing when there is text but neither times nor a length.
#[must_use]
pub fn timed_lines(transcript: &Transcript) -> Option<Vec<TimedLine<'_>>> {
    let segments = timed_segments(transcript)?;
    Some(match transcript.timing {
        Timing::Words | Timing::Segments => segments
            .into_iter()
            .map(|(segment, time)| line(segment, &segment.text, time))
            .collect(),
        Timing::Pieces | Timing::None => segments
            .into_iter()
            .flat_map(|(segment, time)| spread_lines(segment, time))
            .collect(),
    })
}

/// Every segment with its begin and end in milliseconds.
pub(super) fn timed_segments(transcript: &Transcript) -> Option<Vec<(&Segment, (u64, u64))>> {
    let segments = &transcript.segments;
    let known: Option<Vec<(&Segment, (u64, u64))>> = segments
        .iter()
        .map(|segment| Some((segment, milliseconds(segment.span?))))
        .collect();
    if known.is_some() {
        return known;
    }
    let whole = milliseconds(Span::new(0.0, transcript.duration?));
    let texts = segments.iter().map(|segment| segment.text.as_str());
    Some(segments.iter().zip(spread(texts, whole)).collect())
}

/// Divides a stretch of time among texts by their widths.
pub(super) fn spread<'a>(
    texts: impl Iterator<Item = &'a str> + Clone,
    (start, end): (u64, u64),
) -> Vec<(u64, u64)> {
    let weight = |text: &str| u64::try_from(text.width() + 1).unwrap_or(u64::MAX);
    let whole: u64 = texts.clone().map(weight).sum::<u64>().max(1);
    let moment = |passed: u64| {
        let share = u128::from(end.saturating_sub(start)) * u128::from(passed) / u128::from(whole);
        start.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    };
    let mut passed = 0;
    texts
        .map(|text| {
            let begin = moment(passed);
            passed += weight(text);
            (begin, moment(passed))
        })
        .collect()
}

fn spread_lines(segment: &Segment, time: (u64, u64)) -> Vec<TimedLine<'_>> {
    let sentences = sentences(&segment.text);
    let times = spread(sentences.iter().copied(), time);
    sentences
        .into_iter()
        .zip(times)
        .map(|(text, time)| line(segment, text, time))
        .collect()
}

const fn line<'a>(segment: &Segment, text: &'a str, (start, end): (u64, u64)) -> TimedLine<'a> {
    TimedLine {
        start,
        end,
        speaker: segment.speaker,
        text,
    }
}

fn milliseconds(span: Span) -> (u64, u64) {
    (span.start_milliseconds(), span.end_milliseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_divided_by_width_without_gaps() {
        let times = spread(["abc", "abcdefg", "abc"].into_iter(), (1000, 2600));
        assert_eq!(times, [(1000, 1400), (1400, 2200), (2200, 2600)]);
    }
}
