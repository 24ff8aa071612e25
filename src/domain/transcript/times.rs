//! Mends the times of words and segments, by these rules:
//!
//! a negative time is 0; no number, or one past belief, is no time; an end before its start is the
//! start; an end behind that of the recording is cut to it; of the starts of one speaker the longest
//! run that never goes backwards is kept (so that one wild time spoils no other); an end lies no later
//! than the same speaker's next start; what has no time then is placed after what stands before it, at
//! a reading speed, squeezed into the room there is. Spans of different speakers may overlap. No word
//! changes place. What is mended here is counted; `moments` has told of what is odd by itself.

use std::collections::HashMap;

use super::span::{LONGEST_SECONDS, Span};

/// Steps back that are lifted and put nothing out of order, in seconds.
const TOLERANCE_SECONDS: f64 = 0.1;
/// Steps back that are rounding and not told, in seconds.
const ROUNDING_SECONDS: f64 = 0.021;
/// How far behind the end of the recording a time may lie, in seconds.
pub(super) const PAST_END_SECONDS: f64 = 1.0;
/// The time given to a character that has none, in seconds.
const SECONDS_PER_CHARACTER: f64 = 0.06;

/// What a service says on when something was said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
    pub(super) speaker: Option<usize>,
    pub(super) characters: usize,
}

/// A time for every mark, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mended {
    pub(super) spans: Vec<Span>,
    /// How many stepped back.
    pub(super) out_of_order: usize,
    /// How many reached into the same speaker's next.
    pub(super) cut: usize,
    /// How many lay behind the end of the recording.
    pub(super) moved_back: usize,
    /// How many were absent.
    pub(super) filled: usize,
    /// How many lie behind the end of the recording and were kept.
    pub(super) past_end: usize,
}

impl Mark {
    /// The span as the service gives it, when it gives one that can be.
    pub(super) fn span(&self) -> Option<Span> {
        let start = possible(self.start);
        let end = possible(self.end);
        start
            .or(end)
            .map(|first| Span::new(first, end.unwrap_or(first)))
    }
}

/// Gives every mark a time, or nothing when fewer than half have one that can be kept.
pub(super) fn mend(marks: &[Mark], duration: Option<f64>) -> Option<Mended> {
    let said: Vec<Option<Span>> = marks.iter().map(mark_span).collect();
    let absent = said.iter().filter(|span| span.is_none()).count();
    let (mut kept, strays) = without_strays(said, duration);
    let lifted = level_small_steps(&mut kept, marks);
    let dropped = keep_forward(&mut kept, marks);
    let timed = kept.iter().flatten().count();
    if timed == 0 || timed * 2 < marks.len() {
        return None;
    }
    let cut = end_before_next(&mut kept, marks);
    Some(Mended {
        spans: filled(&kept, marks, duration),
        out_of_order: lifted + dropped,
        cut,
        moved_back: strays.moved_back,
        filled: absent,
        past_end: strays.kept,
    })
}

/// How many marks have a time that can be believed.
pub(super) fn timed(marks: &[Mark]) -> usize {
    marks.iter().filter(|mark| mark.span().is_some()).count()
}

fn possible(seconds: Option<f64>) -> Option<f64> {
    seconds.filter(|seconds| seconds.is_finite() && *seconds <= LONGEST_SECONDS)
}

/// The span of a mark; one that has a single moment gets a length by its characters.
fn mark_span(mark: &Mark) -> Option<Span> {
    match (possible(mark.start), possible(mark.end)) {
        (Some(start), Some(end)) => Some(Span::new(start, end)),
        (Some(start), None) => Some(Span::new(start, start + reading_seconds(mark))),
        (None, Some(end)) => Some(Span::new(end - reading_seconds(mark), end)),
        (None, None) => None,
    }
}

fn reading_seconds(mark: &Mark) -> f64 {
    let characters = u32::try_from(mark.characters).unwrap_or(u32::MAX);
    f64::from(characters) * SECONDS_PER_CHARACTER
}

/// What lies behind the end of the recording.
struct Strays {
    moved_back: usize,
    kept: usize,
}

/// Takes out the few starts behind the end of the recording, and cuts ends to it; many are kept and
/// counted, because then it is the length that is in doubt.
fn without_strays(
    mut spans: Vec<Option<Span>>,
    duration: Option<f64>,
) -> (Vec<Option<Span>>, Strays) {
    let length = duration.unwrap_or(f64::INFINITY);
    let limit = length + PAST_END_SECONDS;
    let starts = spans.iter().flatten().map(|span| span.start());
    let beyond = starts.filter(|start| *start > limit).count();
    let mut strays = Strays {
        moved_back: 0,
        kept: beyond,
    };
    if beyond * 10 > spans.len() {
        return (spans, strays);
    }
    strays.kept = 0;
    for place in &mut spans {
        let Some(span) = *place else { continue };
        if span.end() > limit {
            strays.moved_back += 1;
            *place = (span.start() <= limit).then(|| Span::new(span.start(), length));
        }
    }
    (spans, strays)
}

/// Lifts starts that step back a little; says how many were more than rounding.
fn level_small_steps(spans: &mut [Option<Span>], marks: &[Mark]) -> usize {
    let mut lifted = 0;
    let mut last: HashMap<Option<usize>, f64> = HashMap::new();
    for (span, mark) in spans.iter_mut().zip(marks) {
        let Some(here) = span else { continue };
        let before = last.get(&mark.speaker).copied().unwrap_or(0.0);
        if here.start() < before && before - here.start() <= TOLERANCE_SECONDS {
            lifted += usize::from(before - here.start() > ROUNDING_SECONDS);
            *here = Span::new(before, here.end());
        }
        last.insert(mark.speaker, here.start());
    }
    lifted
}

/// Keeps, for each speaker, the longest run of starts that never goes backwards; says how many are not
/// in one.
fn keep_forward(spans: &mut [Option<Span>], marks: &[Mark]) -> usize {
    let mut dropped = 0;
    let mut by_speaker: HashMap<Option<usize>, Vec<(usize, f64)>> = HashMap::new();
    for (position, (span, mark)) in spans.iter().zip(marks).enumerate() {
        if let Some(span) = span {
            by_speaker
                .entry(mark.speaker)
                .or_default()
                .push((position, span.start()));
        }
    }
    for starts in by_speaker.values() {
        let mut keep = longest_rising(starts).into_iter().peekable();
        for (position, _) in starts {
            if keep.next_if_eq(position).is_none()
                && let Some(span) = spans.get_mut(*position)
            {
                *span = None;
                dropped += 1;
            }
        }
    }
    dropped
}

/// The positions of a longest subsequence that never falls (patience sorting).
fn longest_rising(starts: &[(usize, f64)]) -> Vec<usize> {
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(starts.len());
    let start_of = |index: usize| starts.get(index).map_or(0.0, |(_, start)| *start);
    for (index, (_, start)) in starts.iter().enumerate() {
        let pile = tops.partition_point(|top| start_of(*top) <= *start);
        before.push(pile.checked_sub(1).and_then(|left| tops.get(left).copied()));
        match tops.get_mut(pile) {
            Some(top) => *top = index,
            None => tops.push(index),
        }
    }
    let mut run = Vec::with_capacity(tops.len());
    let mut at = tops.last().copied();
    while let Some(index) = at {
        run.extend(starts.get(index).map(|(position, _)| *position));
        at = before.get(index).copied().flatten();
    }
    run.reverse();
    run
}

/// Ends each span before the same speaker's next; says how many were more than rounding.
fn end_before_next(spans: &mut [Option<Span>], marks: &[Mark]) -> usize {
    let mut next_start: HashMap<Option<usize>, f64> = HashMap::new();
    let mut cut = 0;
    for (span, mark) in spans.iter_mut().zip(marks).rev() {
        let Some(here) = span else { continue };
        if let Some(next) = next_start.insert(mark.speaker, here.start())
            && here.end() > next
        {
            cut += usize::from(here.end() - next > ROUNDING_SECONDS);
            *here = Span::new(here.start(), next);
        }
    }
    cut
}

/// Places what has no time, run by run.
fn filled(kept: &[Option<Span>], marks: &[Mark], duration: Option<f64>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(kept.len());
    while spans.len() < kept.len() {
        let rest = kept.get(spans.len()..).unwrap_or_default();
        let run = rest.iter().take_while(|span| span.is_none()).count();
        let next = rest.get(run).copied().flatten();
        let missing = marks
            .get(spans.len()..spans.len() + run)
            .unwrap_or_default();
        let placed = place(missing, spans.last().copied(), next, duration);
        spans.extend(placed);
        spans.extend(next);
    }
    within_own_neighbours(spans, kept, marks)
}

/// Places a run of marks between two spans, one of which may be missing.
fn place(
    missing: &[Mark],
    before: Option<Span>,
    next: Option<Span>,
    duration: Option<f64>,
) -> Vec<Span> {
    let wanted: f64 = missing.iter().map(reading_seconds).sum();
    let limit = next.map(Span::start).or(duration);
    let begin = match before {
        Some(before) => before.end(),
        None => (limit.unwrap_or(wanted) - wanted).max(0.0),
    };
    let room = limit.map_or(wanted, |limit| (limit - begin).clamp(0.0, wanted));
    let speed = if wanted > 0.0 { room / wanted } else { 0.0 };
    let mut at = begin;
    missing
        .iter()
        .map(|mark| {
            let start = at;
            at += reading_seconds(mark) * speed;
            Span::new(start, at)
        })
        .collect()
}

/// Moves placed spans in between those of their own speaker.
fn within_own_neighbours(mut spans: Vec<Span>, kept: &[Option<Span>], marks: &[Mark]) -> Vec<Span> {
    let next_own = next_kept_starts(kept, marks);
    let mut last_own: HashMap<Option<usize>, f64> = HashMap::new();
    for (((span, kept), mark), next) in spans.iter_mut().zip(kept).zip(marks).zip(next_own) {
        if kept.is_none() {
            let earliest = last_own.get(&mark.speaker).copied().unwrap_or(0.0);
            let latest = next.unwrap_or(f64::INFINITY).max(earliest);
            let start = span.start().clamp(earliest, latest);
            *span = Span::new(start, span.end().clamp(start, latest));
        }
        last_own.insert(mark.speaker, span.end());
    }
    spans
}

/// For every mark, where the same speaker's next kept span starts.
fn next_kept_starts(kept: &[Option<Span>], marks: &[Mark]) -> Vec<Option<f64>> {
    let mut next: HashMap<Option<usize>, f64> = HashMap::new();
    let mut starts: Vec<Option<f64>> = kept
        .iter()
        .zip(marks)
        .rev()
        .map(|(span, mark)| {
            let after = next.get(&mark.speaker).copied();
            if let Some(span) = span {
                next.insert(mark.speaker, span.start());
            }
            after
        })
        .collect();
    starts.reverse();
    starts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(start: impl Into<Option<f64>>, end: impl Into<Option<f64>>) -> Mark {
        Mark {
            start: start.into(),
            end: end.into(),
            speaker: None,
            characters: 5,
        }
    }

    fn mended(marks: &[Mark]) -> Vec<(f64, f64)> {
        let spans = mend(marks, None).unwrap().spans;
        spans
            .into_iter()
            .map(|span| (span.start(), span.end()))
            .collect()
    }

    #[test]
    fn good_times_are_left_alone() {
        let mended = mend(&[mark(0.0, 1.0), mark(1.0, 1.0), mark(1.0, 2.0)], Some(2.0)).unwrap();
        assert_eq!(
            (mended.out_of_order, mended.cut, mended.moved_back),
            (0, 0, 0)
        );
        assert_eq!((mended.filled, mended.past_end), (0, 0));
        assert_eq!(mended.spans[1], Span::new(1.0, 1.0));
    }

    #[test]
    fn one_wild_time_spoils_no_other() {
        let marks = [
            mark(0.0, 1.0),
            mark(900.0, 901.0),
            mark(1.5, 2.0),
            mark(2.0, 3.0),
        ];
        assert_eq!(
            mended(&marks),
            [(0.0, 1.0), (1.0, 1.3), (1.5, 2.0), (2.0, 3.0)]
        );
        assert_eq!(mend(&marks, None).unwrap().out_of_order, 1);
    }

    #[test]
    fn absent_times_are_placed_after_what_stands_before() {
        let marks = [
            mark(None, None),
            mark(1.0, 2.0),
            mark(None, f64::NAN),
            mark(2.1, 3.0),
        ];
        assert_eq!(
            mended(&marks),
            [(0.7, 1.0), (1.0, 2.0), (2.0, 2.1), (2.1, 3.0)]
        );
        assert_eq!(mend(&marks, None).unwrap().filled, 2);
    }

    #[test]
    fn negative_and_backward_times_are_the_nearest_possible() {
        let marks = [mark(-1.0, 0.5), mark(0.9, 0.7), mark(1.0, 1.2)];
        assert_eq!(mended(&marks), [(0.0, 0.5), (0.9, 0.9), (1.0, 1.2)]);
    }

    #[test]
    fn what_is_lifted_or_cut_by_more_than_rounding_is_counted() {
        let marks = [
            mark(0.0, 1.0),
            mark(0.98, 2.0),
            mark(1.5, 2.0),
            mark(1.45, 2.0),
            mark(2.0, 3.0),
        ];
        let mended = mend(&marks, None).unwrap();
        assert_eq!((mended.out_of_order, mended.cut), (1, 2));
        assert_eq!(mended.spans[3].start(), 1.5);
    }

    #[test]
    fn an_end_behind_the_recording_is_cut_to_it() {
        let mended = mend(&[mark(0.0, 1.0), mark(9.5, 19.0)], Some(10.0)).unwrap();
        assert_eq!((mended.spans[1].end(), mended.moved_back), (10.0, 1));
        let mended = mend(&[mark(0.0, 1.0), mark(9.5, 10.9)], Some(10.0)).unwrap();
        assert_eq!((mended.spans[1].end(), mended.moved_back), (10.9, 0));
    }

    #[test]
    fn different_speakers_may_overlap_and_one_may_not() {
        let by = |speaker, start, end| Mark {
            speaker: Some(speaker),
            ..mark(start, end)
        };
        let marks = [by(0, 0.0, 5.0), by(1, 4.0, 6.0), by(0, 4.5, 7.0)];
        assert_eq!(mended(&marks), [(0.0, 4.5), (4.0, 6.0), (4.5, 7.0)]);
    }

    #[test]
    fn a_stray_behind_the_end_is_taken_back_and_many_are_only_counted() {
        let mut marks: Vec<Mark> = (0..10)
            .map(|second| mark(f64::from(second), f64::from(second) + 1.0))
            .collect();
        marks.push(mark(500.0, 501.0));
        let few = mend(&marks, Some(11.0)).unwrap();
        assert_eq!(
            (few.spans[10].end(), few.moved_back, few.past_end),
            (10.3, 1, 0)
        );
        let many = mend(&marks, Some(4.0)).unwrap();
        assert_eq!(many.past_end, 5);
    }

    #[test]
    fn too_few_times_are_no_times() {
        assert_eq!(
            mend(&[mark(0.0, 1.0), mark(None, None), mark(None, None)], None),
            None
        );
        assert_eq!(mend(&[], None), None);
    }

    fn any_moment() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            6 => (0.0..100.0_f64).prop_map(Some),
            1 => Just(None),
            1 => any::<f64>().prop_map(Some),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_in_one_speaker_never_runs_backwards(
            raw in prop::collection::vec((any_moment(), any_moment(), 0..3_usize, 0..9_usize), 0..40),
            duration in prop::option::of(0.0..200.0_f64),
        ) {
            let marks: Vec<Mark> = raw
                .iter()
                .map(|&(start, end, speaker, characters)| {
                    Mark { start, end, speaker: speaker.checked_sub(1), characters }
                })
                .collect();
            if let Some(mended) = mend(&marks, duration) {
                prop_assert_eq!(mended.spans.len(), marks.len());
                let mut last: HashMap<Option<usize>, f64> = HashMap::new();
                for (span, mark) in mended.spans.iter().zip(&marks) {
                    prop_assert!(span.start().is_finite() && span.end() >= span.start());
                    let before = last.insert(mark.speaker, span.end()).unwrap_or(0.0);
                    prop_assert!(span.start() >= before, "{:?} starts before {before}", span);
                }
            }
        }
    }
}
