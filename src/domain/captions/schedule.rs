//! When each cue appears and goes: with its speech, but long enough to be read, never two at once.
//!
//! A cue stays until its speech ends, or until it can be read, but goes before the next one comes.
//! Where speech is too quick for the shortest time, the next cue comes late rather than together
//! with the one before.

use super::breaks::{Draft, reading_time};
use super::{Cue, Profile};

/// Gives the cues their times, in order.
pub(super) fn scheduled(drafts: &[Draft], profile: &Profile) -> Vec<Cue> {
    let mut starts: Vec<u64> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let free = starts
            .last()
            .map_or(0, |last| last + profile.shortest + profile.gap);
        starts.push(draft.start.max(free));
    }
    let next_starts = starts
        .iter()
        .skip(1)
        .map(|start| Some(*start))
        .chain([None]);
    let cues = drafts.iter().zip(&starts).zip(next_starts);
    cues.map(|((draft, start), next)| cue(draft, *start, next, profile))
        .collect()
}

fn cue(draft: &Draft, start: u64, next: Option<u64>, profile: &Profile) -> Cue {
    let wanted = draft
        .end
        .max(start + profile.shortest)
        .max(start.saturating_add(reading_time(draft.columns, profile)));
    let room = next.map_or(u64::MAX, |next| next.saturating_sub(profile.gap));
    let end = wanted.min(room).min(start + profile.longest);
    let Draft {
        speaker,
        text,
        lines,
        ..
    } = draft.clone();
    Cue {
        start,
        end,
        speaker,
        text,
        lines,
    }
}
