//! One line or two: where to break a cue, and how good the break is.

use super::Profile;
use super::units::{Ending, Unit};

/// What a column over the width costs; more than all beauty together.
const OVERFLOW: f64 = 1000.0;
/// What lines of unlike lengths cost at most.
const IMBALANCE: f64 = 4.0;
/// What a first line that ends with a clause is worth.
const CLAUSE: f64 = 3.0;
/// What a first line that ends with a little word costs.
const LITTLE_WORD: f64 = 2.0;

/// The lines of a cue and the cost of their break.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    /// How many units stand on the first line.
    pub(super) first: usize,
    pub(super) cost: f64,
}

/// The width of units on one line, in columns.
pub(super) fn width(units: &[Unit]) -> usize {
    let spaces = units.iter().skip(1).filter(|unit| unit.spaced).count();
    units.iter().map(|unit| unit.width).sum::<usize>() + spaces
}

/// The best way to put units, `whole` columns wide, on at most two lines.
pub(super) fn split(units: &[Unit], whole: usize, profile: &Profile) -> Split {
    if whole <= profile.columns || units.len() < 2 {
        return Split {
            first: units.len(),
            cost: overflow(whole, profile),
        };
    }
    // A break of which both lines fit beats every other, and there are few of them.
    let fits = |upper: usize, lower: usize| upper <= profile.columns && lower <= profile.columns;
    best(units, whole, profile, fits)
        .or_else(|| best(units, whole, profile, |_, _| true))
        .unwrap_or(Split {
            first: units.len(),
            cost: f64::INFINITY,
        })
}

/// The cheapest break of those whose lines have a width that is taken.
fn best(
    units: &[Unit],
    whole: usize,
    profile: &Profile,
    is_taken: impl Fn(usize, usize) -> bool,
) -> Option<Split> {
    let mut best: Option<Split> = None;
    let mut upper = 0;
    for (position, pair) in units.windows(2).enumerate() {
        let [last, next] = pair else { continue };
        upper += last.width + usize::from(last.spaced && position > 0);
        let lower = whole.saturating_sub(upper + usize::from(next.spaced));
        if !is_taken(upper, lower) {
            continue;
        }
        let cost = break_cost(last, upper, lower, profile);
        if best.as_ref().is_none_or(|best| cost < best.cost) {
            best = Some(Split {
                first: position + 1,
                cost,
            });
        }
    }
    best
}

/// The text of the lines.
pub(super) fn lines(units: &[Unit], profile: &Profile) -> Vec<String> {
    let first = split(units, width(units), profile).first;
    let (upper, lower) = units.split_at(first.min(units.len()));
    [upper, lower]
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(joined)
        .collect()
}

/// The units on one line.
pub(super) fn joined(units: &[Unit]) -> String {
    let mut line = String::new();
    for unit in units {
        if unit.spaced && !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&unit.text);
    }
    line
}

fn break_cost(last: &Unit, upper: usize, lower: usize, profile: &Profile) -> f64 {
    let imbalance = IMBALANCE * ratio(upper.abs_diff(lower), profile.columns);
    let within = last.ending == Ending::Nothing;
    let clause = if within { 0.0 } else { -CLAUSE };
    let dangling = if last.leans { LITTLE_WORD } else { 0.0 };
    overflow(upper, profile) + overflow(lower, profile) + imbalance + clause + dangling
}

fn overflow(width: usize, profile: &Profile) -> f64 {
    OVERFLOW * ratio(width.saturating_sub(profile.columns), 1)
}

/// A quotient of two small counts.
pub(super) fn ratio(count: usize, of: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(count) / number(of.max(1))
}
