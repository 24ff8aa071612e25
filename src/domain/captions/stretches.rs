//! The stretches of speech within which cues are chosen: what one speaker says without a long pause,
//! or what several say at once, their units by time.

use std::collections::HashMap;

use super::Profile;
use super::units::Unit;
use crate::domain::transcript::SpeakerId;

/// How long two have to speak at the same time to count as speaking at once, in milliseconds; less is
/// how exact the times of words are.
const AT_ONCE_MILLISECONDS: u64 = 300;

/// Speech in which nothing forces a cue to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) units: Vec<Unit>,
    /// Until when each of its speakers speaks, in milliseconds.
    ends: Vec<(Option<SpeakerId>, u64)>,
}

/// All stretches, in the order of their starts.
pub(super) fn stretches(units: Vec<Unit>, profile: &Profile) -> Vec<Stretch> {
    let units = forward(units);
    let mut runs: Vec<&[Unit]> = units
        .chunk_by(|before, after| !ends_run(before, after, profile))
        .collect();
    runs.sort_by_key(|run| start(run));
    let mut stretches: Vec<Stretch> = Vec::new();
    // Those before it have ended.
    let mut first = 0;
    for run in runs {
        while stretches
            .get(first)
            .is_some_and(|one| one.has_ended(start(run)))
        {
            first += 1;
        }
        let begun = begun(&stretches, first, run);
        let mut stretch = Stretch::default();
        for part in stretches.drain(begun..) {
            stretch.take(&part.units);
        }
        stretch.take(run);
        stretches.push(stretch);
    }
    for stretch in stretches.iter_mut().filter(|one| one.ends.len() > 1) {
        stretch.units.sort_by_key(|unit| (unit.start, unit.speaker));
    }
    stretches
}

/// From which stretch on, of those from `first`, a run is in the same stretch; their number if in none.
/// With a stretch goes every earlier one that it overlaps, so that its speakers' words stay in order.
fn begun(stretches: &[Stretch], first: usize, run: &[Unit]) -> usize {
    let mut open = stretches.iter().skip(first);
    let Some(joined) = open.position(|stretch| stretch.goes_on_with(run)) else {
        return stretches.len();
    };
    let mut begun = first + joined;
    let overlaps = |position: usize, begun: usize| {
        let from = stretches.get(begun).map_or(0, Stretch::start);
        stretches
            .get(position)
            .is_some_and(|one| !one.has_ended(from))
    };
    while let Some(earlier) = (0..begun).find(|position| overlaps(*position, begun)) {
        begun = earlier;
    }
    begun
}

/// The units with starts that never go backwards for one speaker, so that no sorting by them turns
/// words around.
fn forward(mut units: Vec<Unit>) -> Vec<Unit> {
    let mut last: HashMap<Option<SpeakerId>, u64> = HashMap::new();
    for unit in &mut units {
        let before = last.entry(unit.speaker).or_default();
        unit.start = unit.start.max(*before);
        unit.end = unit.end.max(unit.start);
        *before = unit.start;
    }
    units
}

impl Stretch {
    /// When its speech begins, in milliseconds.
    pub(super) fn start(&self) -> u64 {
        start(&self.units)
    }

    /// Whether somebody else is still speaking when a run begins.
    fn goes_on_with(&self, run: &[Unit]) -> bool {
        let speaker = run.first().and_then(|unit| unit.speaker);
        let others = self.ends.iter().filter(|(other, _)| *other != speaker);
        let until = others.map(|(_, end)| *end).max().unwrap_or(0);
        start(run) + AT_ONCE_MILLISECONDS <= until.min(end(run))
    }

    /// Whether nobody speaks any more at a moment.
    fn has_ended(&self, moment: u64) -> bool {
        self.ends.iter().all(|(_, end)| *end <= moment)
    }

    fn take(&mut self, units: &[Unit]) {
        for unit in units {
            match self
                .ends
                .iter_mut()
                .find(|(known, _)| *known == unit.speaker)
            {
                Some((_, until)) => *until = unit.end.max(*until),
                None => self.ends.push((unit.speaker, unit.end)),
            }
        }
        self.units.extend_from_slice(units);
    }
}

/// Whether no cue of one speaker may hold both units: the speaker changes or speech pauses.
fn ends_run(before: &Unit, after: &Unit, profile: &Profile) -> bool {
    let pause = after.start.saturating_sub(before.end) >= profile.pause;
    before.speaker != after.speaker || (pause && !before.is_name)
}

fn start(units: &[Unit]) -> u64 {
    units.first().map_or(0, |unit| unit.start)
}

fn end(units: &[Unit]) -> u64 {
    units.iter().map(|unit| unit.end).max().unwrap_or(0)
}
