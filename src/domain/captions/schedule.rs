//! When each cue appears and goes: with its speech, but long enough to be read, never two at once.
//!
//! A cue stays until its speech ends, or until it can be read, but goes before the next one comes.
//! Where speech is too quick for the shortest time, or for the name before it to be read as well, the
//! next cue comes a little late; what would come
//! later than that, or after the end of the recording, stands in the cue before it, so that lateness
//! never adds up.

use unicode_width::UnicodeWidthStr;

use super::breaks::{Draft, reading_time};
use super::{Cue, Part, Profile};
use crate::domain::transcript::append;

/// How much later than its first word a cue may come, in milliseconds; more than the shortest time of a
/// cue and its gap, so that nothing is shown before it is said.
const LATEST_MILLISECONDS: u64 = 1000;
/// What a line of several speakers in one cue begins with.
pub(super) const DASH: &str = "- ";

/// Gives the cues their times, in order; `end` is that of the recording, in milliseconds.
pub(super) fn scheduled(mut drafts: Vec<Draft>, end: Option<u64>, profile: &Profile) -> Vec<Cue> {
    drafts.sort_by_key(|draft| draft.start);
    let mut placed: Vec<(u64, Draft)> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let last = end.unwrap_or(u64::MAX).max(draft.start);
        let latest = last.min(draft.start + LATEST_MILLISECONDS);
        match placed.last_mut() {
            Some((start, before)) if *start + profile.shortest + profile.gap > latest => {
                before.take(draft);
            }
            Some((start, before)) => {
                let read = readable(*start, before, draft.start, profile);
                let start = draft
                    .start
                    .max(*start + profile.shortest + profile.gap)
                    .max(latest.min(read + profile.gap));
                placed.push((start, draft));
            }
            None => placed.push((draft.start, draft)),
        }
    }
    let starts: Vec<u64> = placed.iter().map(|(start, _)| *start).collect();
    let next_starts = starts.into_iter().skip(1).map(Some).chain([None]);
    let cues = placed.into_iter().zip(next_starts);
    cues.map(|((start, draft), next)| cue(draft, start, next, profile))
        .collect()
}

/// Until when a cue is to stand where the speech of the `next` goes on at once: as long as without names,
/// later by as much as it is late itself, and by what it takes to read the names in it.
fn readable(start: u64, draft: &Draft, next: u64, profile: &Profile) -> u64 {
    let reading = reading_time(draft.columns, profile).min(profile.longest);
    let late = start.saturating_sub(draft.start);
    let names = reading_time(draft.name_columns, profile);
    let most = next.saturating_sub(profile.gap) + late + names;
    (start + reading).min(most)
}

impl Draft {
    /// Adds what has no time for a cue of its own.
    fn take(&mut self, next: Self) {
        self.end = self.end.max(next.end);
        self.columns += next.columns + 1;
        self.name_columns += next.name_columns;
        for part in next.parts {
            match self.parts.last_mut() {
                Some(last) if last.speaker == part.speaker => {
                    append(&mut last.text, &part.text);
                    last.lines.extend(part.lines);
                }
                Some(_) | None => self.parts.push(part),
            }
        }
    }
}

fn cue(draft: Draft, start: u64, next: Option<u64>, profile: &Profile) -> Cue {
    let wanted = draft
        .end
        .max(start + profile.shortest)
        .max(start.saturating_add(reading_time(draft.columns, profile)));
    let room = next.map_or(u64::MAX, |next| next.saturating_sub(profile.gap));
    let end = wanted.min(room).min(start + profile.longest);
    Cue {
        start,
        end,
        parts: dashed(draft.parts, profile),
    }
}

/// Begins each of several parts with a dash, where its line has room for one.
fn dashed(mut parts: Vec<Part>, profile: &Profile) -> Vec<Part> {
    if parts.len() > 1 {
        let firsts = parts.iter_mut().filter_map(|part| part.lines.first_mut());
        for line in firsts.filter(|line| line.width() + DASH.len() <= profile.columns) {
            line.insert_str(0, DASH);
        }
    }
    parts
}
