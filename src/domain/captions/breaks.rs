//! Chooses where the cues of one stretch of speech end: the cheapest of all ways, found by dynamic
//! programming over the units. Where several speak at once, a cue has a line for each of them.

use super::lines::{joined, lines, ratio, split, width};
use super::schedule::DASH;
use super::units::{Ending, Unit};
use super::{Part, Profile};
use crate::domain::transcript::SpeakerId;

/// What every cue costs, so that there are few.
const CUE: f64 = 10.0;
/// What a cue costs that ends in the middle of a clause.
const MID_CLAUSE: f64 = 14.0;
/// What a cue costs that ends with a clause in the middle of a sentence.
const MID_SENTENCE: f64 = 3.0;
/// What a cue costs that ends with a little word such as an article.
const DANGLING: f64 = 4.0;
/// What a breath after the cue is worth.
const BREATH: f64 = 5.0;
/// The pause that is a breath, in milliseconds.
const BREATH_MILLISECONDS: u64 = 250;
/// What a cue costs that holds next to nothing.
const STUB: f64 = 8.0;
/// What a cue costs that stands too short.
const TOO_SHORT: f64 = 60.0;
/// What a cue costs that has to be read twice as fast as people can.
const TOO_FAST: f64 = 60.0;
/// What every speaker above two in a cue costs.
const CROWD: f64 = 20.0;
/// How far the next word of a speaker is looked for among those of others, in units.
const LOOK_AHEAD: usize = 64;

/// A cue without its final times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// When its speech begins and ends, in milliseconds.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The width of the whole text, in columns.
    pub(super) columns: usize,
    /// How much of it is names, which nobody says.
    pub(super) name_columns: usize,
    pub(super) parts: Vec<Part>,
}

/// How wide each speaker's line is, of units that several say.
type Widths = Vec<(Option<SpeakerId>, usize)>;

/// The cues of one stretch; `next` is when the speech after it begins.
pub(super) fn cues(stretch: &[Unit], next: Option<u64>, profile: &Profile) -> Vec<Draft> {
    let begins = cheapest(stretch, next, profile);
    let mut end = stretch.len();
    let mut drafts = Vec::new();
    while end > 0 {
        let begin = begins.get(end).copied().unwrap_or(0).min(end - 1);
        drafts.extend(
            stretch
                .get(begin..end)
                .and_then(|units| draft(units, profile)),
        );
        end = begin;
    }
    drafts.reverse();
    drafts
}

/// For every end of a cue, where the cue begins in the cheapest way to get there.
fn cheapest(stretch: &[Unit], next: Option<u64>, profile: &Profile) -> Vec<usize> {
    let mut costs = vec![0.0];
    let mut begins = vec![0];
    for end in 1..=stretch.len() {
        let mut best = (f64::INFINITY, end - 1);
        // The width grows with every unit that is put in front.
        let mut columns = 0;
        for begin in (0..end).rev() {
            let (Some(units), Some(before)) = (stretch.get(begin..end), costs.get(begin)) else {
                break;
            };
            columns = with_front(units, columns);
            let widths = widths(units, columns);
            if !may_hold(units, &widths, profile) {
                break;
            }
            let rest = stretch.get(end..).unwrap_or_default();
            let cost = before + cue_cost(units, &widths, rest, next, profile);
            if cost < best.0 {
                best = (cost, begin);
            }
        }
        costs.push(best.0);
        begins.push(best.1);
    }
    begins
}

/// The width of units, of which those behind the first are so wide.
fn with_front(units: &[Unit], rest: usize) -> usize {
    let own = units.first().map_or(0, |first| first.width);
    let space = units.get(1).is_some_and(|second| second.spaced);
    own + usize::from(space) + rest
}

/// The width of each speaker's line, with its dash; `columns` is that of units of one speaker.
fn widths(units: &[Unit], columns: usize) -> Widths {
    let first = units.first().and_then(|unit| unit.speaker);
    if units.iter().all(|unit| unit.speaker == first) {
        return vec![(first, columns)];
    }
    let mut widths: Widths = Vec::new();
    for unit in units {
        match widths.iter_mut().find(|(known, _)| *known == unit.speaker) {
            Some((_, width)) => *width += unit.width + usize::from(unit.spaced),
            None => widths.push((unit.speaker, DASH.len() + unit.width)),
        }
    }
    widths
}

/// The width of all lines.
fn whole_width(widths: &Widths) -> usize {
    widths.iter().map(|(_, width)| width).sum()
}

/// Whether the units are short enough for one cue; the least possible always are.
fn may_hold(units: &[Unit], widths: &Widths, profile: &Profile) -> bool {
    let (Some(first), Some(last)) = (units.first(), units.last()) else {
        return false;
    };
    let spoken = last.end.saturating_sub(first.start) <= profile.longest;
    let roomy = match widths.as_slice() {
        [(_, columns)] => *columns <= 2 * profile.columns + 1,
        widths => widths.iter().all(|(_, width)| *width <= profile.columns),
    };
    is_least(units) || (spoken && roomy)
}

/// Whether the units are one word, perhaps with a name before it.
fn is_least(units: &[Unit]) -> bool {
    units
        .split_last()
        .is_some_and(|(_, before)| before.iter().all(|unit| unit.is_name))
}

fn cue_cost(
    units: &[Unit],
    widths: &Widths,
    rest: &[Unit],
    next: Option<u64>,
    profile: &Profile,
) -> f64 {
    let columns = whole_width(widths);
    let break_cost = match widths.len() {
        0 | 1 => split(units, columns, profile).cost,
        speakers => CROWD * ratio(speakers - 2, 1),
    };
    let end_costs: f64 = widths
        .iter()
        .map(|(speaker, _)| end_cost(units, rest, *speaker))
        .sum();
    let until = rest.first().map(|unit| unit.start).or(next);
    CUE + break_cost
        + end_costs / ratio(widths.len(), 1)
        + time_cost(units, columns, until, profile)
        + stub_cost(units, columns, profile)
}

/// What it costs that a cue ends between what a speaker says in it and after it.
fn end_cost(units: &[Unit], rest: &[Unit], speaker: Option<SpeakerId>) -> f64 {
    let last = units.iter().rev().find(|unit| unit.speaker == speaker);
    let mut near = rest.iter().take(LOOK_AHEAD);
    let after = near.find(|unit| unit.speaker == speaker);
    let (Some(last), Some(after)) = (last, after) else {
        return 0.0;
    };
    if last.is_name {
        return f64::INFINITY;
    }
    let breath = after.start.saturating_sub(last.end) >= BREATH_MILLISECONDS;
    let relief = if breath { BREATH } else { 0.0 };
    let place = match last.ending {
        Ending::Sentence => 0.0,
        Ending::Clause => MID_SENTENCE,
        Ending::Nothing if last.leans => MID_CLAUSE + DANGLING,
        Ending::Nothing => MID_CLAUSE,
    };
    place - relief
}

/// What it costs that a cue cannot stand as long as it takes to read it.
fn time_cost(units: &[Unit], columns: usize, until: Option<u64>, profile: &Profile) -> f64 {
    let (Some(first), Some(until)) = (units.first(), until) else {
        return 0.0;
    };
    let room = until
        .saturating_sub(profile.gap)
        .saturating_sub(first.start);
    let lack = |wanted: u64| ratio_of(wanted.saturating_sub(room), wanted);
    let reading = reading_time(columns, profile);
    TOO_SHORT * lack(profile.shortest) + TOO_FAST * lack(reading)
}

fn stub_cost(units: &[Unit], columns: usize, profile: &Profile) -> f64 {
    let sentence = units
        .last()
        .is_none_or(|last| last.ending == Ending::Sentence);
    let fullness = ratio(columns, profile.columns);
    let weight = if sentence { STUB / 2.0 } else { STUB };
    weight * (1.0 - 2.0 * fullness).max(0.0)
}

/// How long it takes to read so many columns, in milliseconds.
pub(super) fn reading_time(columns: usize, profile: &Profile) -> u64 {
    let columns = u64::try_from(columns).unwrap_or(u64::MAX);
    columns
        .saturating_mul(1000)
        .div_ceil(profile.columns_per_second.max(1))
}

fn ratio_of(part: u64, of: u64) -> f64 {
    ratio(
        usize::try_from(part).unwrap_or(usize::MAX),
        usize::try_from(of).unwrap_or(usize::MAX),
    )
}

fn draft(units: &[Unit], profile: &Profile) -> Option<Draft> {
    let first = units.first()?;
    let end = units.iter().map(|unit| unit.end).max()?;
    let widths = widths(units, width(units));
    let parts = match widths.as_slice() {
        [(speaker, _)] => vec![Part {
            speaker: *speaker,
            text: joined(units),
            lines: lines(units, profile),
        }],
        several => several
            .iter()
            .map(|(speaker, _)| line(units, *speaker))
            .collect(),
    };
    Some(Draft {
        start: first.start,
        end,
        columns: whole_width(&widths),
        name_columns: units
            .iter()
            .filter(|unit| unit.is_name)
            .map(|name| name.width + 1)
            .sum(),
        parts,
    })
}

/// What one of several speakers says, on one line.
fn line(units: &[Unit], speaker: Option<SpeakerId>) -> Part {
    let own = units.iter().filter(|unit| unit.speaker == speaker);
    let text = joined(&own.cloned().collect::<Vec<_>>());
    Part {
        speaker,
        lines: vec![text.clone()],
        text,
    }
}
