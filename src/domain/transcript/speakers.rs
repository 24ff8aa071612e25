//! Tells voices apart across two label spaces: words say `speaker_0`, turns say `Speaker 1`.
//!
//! Labels that are spelled alike are one voice; the others are matched one to one by how long they
//! speak at the same time, longest first. A label without a match is a voice of its own.

use std::collections::HashMap;

use super::span::to_milliseconds;
use super::times::Mark;
use super::{Heard, HeardWord, Span, Speaker, SpeakerId, Transcript, Turn};

/// How many turns that start before a moment are looked at, newest first.
const TURNS_AT_ONCE: usize = 32;
/// What a word of no length counts for inside a turn, in seconds.
const MOMENT_SECONDS: f64 = 0.001;

/// Everybody that a service tells apart, by number.
#[derive(Debug, Default)]
pub(super) struct Voices {
    labels: Vec<String>,
    of_word: HashMap<String, usize>,
    of_turn: HashMap<String, usize>,
    /// The turns with times, by start.
    turns: Vec<(Span, usize)>,
    /// How many labels are in one space only, although both have some.
    pub(super) unmatched: usize,
}

impl Voices {
    /// Collects and matches all labels.
    pub(super) fn of(heard: &Heard) -> Self {
        let said = labelled_spans(heard);
        let turn_labels = distinct(heard.turns.iter().map(|turn| turn.speaker.as_str()));
        let mut word_labels = distinct(said.iter().map(|(label, _)| *label));
        if word_labels.len() == 1 && turn_labels.len() > 1 && are_timed(heard) {
            // One label for all tells nobody apart, and the turns do.
            word_labels.clear();
        }
        let mut voices = Self::default();
        for label in &turn_labels {
            voices
                .of_turn
                .insert((*label).to_owned(), voices.labels.len());
            voices.labels.push((*label).to_owned());
        }
        voices.take_turns(heard);
        let matches = voices.matches(&said, &word_labels);
        for label in &word_labels {
            let voice = matches.get(label).copied().unwrap_or_else(|| {
                voices.labels.push((*label).to_owned());
                voices.labels.len() - 1
            });
            voices.of_word.insert((*label).to_owned(), voice);
        }
        if !word_labels.is_empty() && !turn_labels.is_empty() {
            voices.unmatched = word_labels.len() + turn_labels.len() - 2 * matches.len();
        }
        voices
    }

    /// The voice of a word's or segment's label.
    pub(super) fn of_word(&self, label: Option<&str>) -> Option<usize> {
        self.of_word.get(label?).copied()
    }

    /// The voice of a turn's label.
    pub(super) fn of_turn(&self, label: &str) -> Option<usize> {
        self.of_turn.get(label).copied()
    }

    /// Whose turn it is for most of a span.
    pub(super) fn at(&self, span: Span) -> Option<usize> {
        let mut seconds: Vec<(usize, f64)> = Vec::new();
        for (voice, overlap) in self.during(span) {
            match seconds.iter_mut().find(|(known, _)| *known == voice) {
                Some((_, sum)) => *sum += overlap,
                None => seconds.push((voice, overlap)),
            }
        }
        let best = seconds
            .into_iter()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(voice, _)| voice)
    }

    /// The turns with times, by start.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Span, usize)> + '_ {
        self.turns.iter().copied()
    }

    /// What the service calls a voice, in the spelling of the turns when both have one.
    pub(super) fn label(&self, voice: usize) -> &str {
        self.labels.get(voice).map_or("", String::as_str)
    }

    fn take_turns(&mut self, heard: &Heard) {
        for turn in &heard.turns {
            let mark = Mark {
                start: turn.start,
                end: turn.end,
                speaker: None,
                characters: 0,
            };
            if let (Some(span), Some(voice)) = (mark.span(), self.of_turn(&turn.speaker)) {
                self.turns.push((span, voice));
            }
        }
        self.turns
            .sort_by(|a, b| a.0.start().total_cmp(&b.0.start()));
    }

    /// The turns during a span, newest first, with the seconds in common.
    fn during(&self, span: Span) -> impl Iterator<Item = (usize, f64)> + '_ {
        let begun = self
            .turns
            .partition_point(|(turn, _)| turn.start() <= span.end());
        let near = self.turns.get(..begun).unwrap_or_default();
        near.iter()
            .rev()
            .take(TURNS_AT_ONCE)
            .filter_map(move |(turn, voice)| {
                let inside = turn.start() <= span.start() && span.end() <= turn.end();
                let moment = if inside { MOMENT_SECONDS } else { 0.0 };
                let overlap = span.overlap(*turn).max(moment);
                (overlap > 0.0).then_some((*voice, overlap))
            })
    }

    /// The turn voice of each word label that has one.
    fn matches<'a>(
        &self,
        said: &[(&'a str, Option<Span>)],
        word_labels: &[&'a str],
    ) -> HashMap<&'a str, usize> {
        let mut matches: HashMap<&str, usize> = HashMap::new();
        for label in word_labels {
            if let Some(voice) = self.of_turn(label) {
                matches.insert(label, voice);
            }
        }
        let mut taken: Vec<usize> = matches.values().copied().collect();
        for (_, label, voice) in self.common_seconds(said, word_labels) {
            if !matches.contains_key(label) && !taken.contains(&voice) {
                matches.insert(label, voice);
                taken.push(voice);
            }
        }
        matches
    }

    /// Every pair of a word label and a turn voice that speak at once, longest first.
    fn common_seconds<'a>(
        &self,
        said: &[(&'a str, Option<Span>)],
        word_labels: &[&'a str],
    ) -> Vec<(f64, &'a str, usize)> {
        let mut seconds: HashMap<(&str, usize), f64> = HashMap::new();
        for (label, span) in said {
            for (voice, overlap) in span.iter().flat_map(|span| self.during(*span)) {
                *seconds.entry((label, voice)).or_default() += overlap;
            }
        }
        let rank: HashMap<&str, usize> = word_labels
            .iter()
            .enumerate()
            .map(|(rank, label)| (*label, rank))
            .collect();
        let mut pairs: Vec<(f64, &str, usize)> = seconds
            .into_iter()
            .map(|((label, voice), sum)| (sum, label, voice))
            .collect();
        pairs.sort_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then(rank.get(a.1).cmp(&rank.get(b.1)))
                .then(a.2.cmp(&b.2))
        });
        pairs
    }
}

/// Gives what has no speaker the one that its neighbours on both sides agree on.
pub(super) fn fill_between(speakers: &mut [Option<usize>]) {
    let mut before: Option<usize> = None;
    let mut at = 0;
    while at < speakers.len() {
        let rest = speakers.get_mut(at..).unwrap_or_default();
        let run = rest.iter().take_while(|speaker| speaker.is_none()).count();
        let next = rest.get(run).copied().flatten();
        if before.is_some() && before == next {
            rest.iter_mut()
                .take(run)
                .for_each(|speaker| *speaker = before);
        }
        before = next;
        at += run + 1;
    }
}

/// Makes one speaker of all who are called the same, where a person has named one of them; they are
/// numbered anew in the order of their first words.
pub(super) fn unite_namesakes(transcript: &mut Transcript) {
    let mut united: Vec<Speaker> = Vec::new();
    let mut ids: HashMap<SpeakerId, SpeakerId> = HashMap::new();
    for speaker in transcript.speakers.drain(..) {
        let namesake = united.iter_mut().find(|known| {
            let is_named = known.name.is_some() || speaker.name.is_some();
            is_named && known.display_name() == speaker.display_name()
        });
        if let Some(known) = namesake {
            ids.insert(speaker.id, known.id);
            known.seconds = to_milliseconds(known.seconds + speaker.seconds);
            known.name = known.name.take().or(speaker.name);
        } else {
            let id = SpeakerId(united.len());
            ids.insert(speaker.id, id);
            united.push(Speaker { id, ..speaker });
        }
    }
    let renumber = |speaker: &mut Option<SpeakerId>| {
        *speaker = speaker.and_then(|id| ids.get(&id).copied());
    };
    for segment in &mut transcript.segments {
        renumber(&mut segment.speaker);
        segment
            .words
            .iter_mut()
            .for_each(|word| renumber(&mut word.speaker));
    }
    for presence in &mut transcript.presences {
        presence.speaker = ids
            .get(&presence.speaker)
            .copied()
            .unwrap_or(presence.speaker);
    }
    for speaker in &mut united {
        let of_speaker = |turn: &Turn<'_>| turn.speaker == Some(speaker.id);
        let present = transcript
            .presences
            .chunk_by(|one, next| one.speaker == next.speaker);
        let present =
            present.filter(|run| run.first().is_some_and(|one| one.speaker == speaker.id));
        speaker.turns = transcript.turns().filter(of_speaker).count() + present.count();
    }
    transcript.speakers = united;
}

/// Whether most words have times and lie in turns, which then can say whose they are.
fn are_timed(heard: &Heard) -> bool {
    let span = |start, end| {
        let mark = Mark {
            start,
            end,
            speaker: None,
            characters: 0,
        };
        mark.span()
    };
    let turns: Vec<Span> = heard
        .turns
        .iter()
        .filter_map(|turn| span(turn.start, turn.end))
        .collect();
    let hull = turns.iter().copied().reduce(Span::hull);
    let is_within = |word: &&HeardWord| {
        let word = span(word.start, word.end);
        hull.zip(word)
            .is_some_and(|(hull, word)| hull.start() <= word.end() && word.start() <= hull.end())
    };
    let within = heard.words.iter().filter(is_within).count();
    within * 2 > heard.words.len()
}

fn labelled_spans(heard: &Heard) -> Vec<(&str, Option<Span>)> {
    let word_marks = heard
        .words
        .iter()
        .map(|word| (word.speaker.as_deref(), word.start, word.end));
    let segment_marks = heard
        .segments
        .iter()
        .map(|segment| (segment.speaker.as_deref(), segment.start, segment.end));
    word_marks
        .chain(segment_marks)
        .filter_map(|(label, start, end)| {
            let mark = Mark {
                start,
                end,
                speaker: None,
                characters: 0,
            };
            Some((label?, mark.span()))
        })
        .collect()
}

pub(super) fn distinct<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    labels
        .filter(|label| !label.is_empty() && seen.insert(*label))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transcript::HeardTurn;

    fn word(speaker: &str, start: f64, end: f64) -> HeardWord {
        HeardWord {
            text: "word".to_owned(),
            start: Some(start),
            end: Some(end),
            speaker: Some(speaker.to_owned()),
            ..HeardWord::default()
        }
    }

    fn turn(speaker: &str, start: f64, end: f64) -> HeardTurn {
        let speaker = speaker.to_owned();
        HeardTurn {
            speaker,
            start: Some(start),
            end: Some(end),
            ..HeardTurn::default()
        }
    }

    #[test]
    fn labels_are_matched_by_the_time_they_share() {
        let heard = Heard {
            words: vec![word("speaker_1", 0.0, 2.0), word("speaker_0", 2.0, 5.0)],
            turns: vec![turn("Speaker 1", 0.1, 2.2), turn("Speaker 2", 2.2, 5.0)],
            ..Heard::default()
        };
        let voices = Voices::of(&heard);
        let called = |label| {
            voices
                .label(voices.of_word(Some(label)).unwrap())
                .to_owned()
        };
        assert_eq!(called("speaker_1"), "Speaker 1");
        assert_eq!(called("speaker_0"), "Speaker 2");
        assert_eq!(voices.unmatched, 0);
    }

    #[test]
    fn one_label_on_every_word_gives_way_to_turns_that_tell_two_apart() {
        let heard = Heard {
            words: vec![word("speaker_0", 0.0, 2.0), word("speaker_0", 2.0, 5.0)],
            turns: vec![turn("Speaker 1", 0.0, 2.0), turn("Speaker 2", 2.0, 5.0)],
            ..Heard::default()
        };
        let voices = Voices::of(&heard);
        assert_eq!(voices.of_word(Some("speaker_0")), None);
        assert_eq!(voices.at(Span::new(0.0, 2.0)), voices.of_turn("Speaker 1"));
        assert_eq!(voices.at(Span::new(2.0, 5.0)), voices.of_turn("Speaker 2"));
        assert_eq!(voices.unmatched, 0);
    }

    #[test]
    fn labels_spelled_alike_are_one_voice_whatever_the_times() {
        let heard = Heard {
            words: vec![word("A", 0.0, 2.0), word("B", 2.0, 5.0)],
            turns: vec![turn("B", 0.0, 2.0), turn("A", 2.0, 5.0)],
            ..Heard::default()
        };
        let voices = Voices::of(&heard);
        assert_eq!(voices.of_word(Some("A")), voices.of_turn("A"));
    }

    #[test]
    fn a_label_without_a_match_is_a_voice_of_its_own() {
        let heard = Heard {
            words: vec![word("speaker_0", 0.0, 2.0), word("speaker_1", 7.0, 8.0)],
            turns: vec![turn("Speaker 1", 0.0, 2.0)],
            ..Heard::default()
        };
        let voices = Voices::of(&heard);
        assert_eq!(
            voices.label(voices.of_word(Some("speaker_1")).unwrap()),
            "speaker_1"
        );
        assert_eq!(voices.unmatched, 1);
    }

    #[test]
    fn a_word_of_no_length_belongs_to_the_turn_around_it() {
        let heard = Heard {
            turns: vec![turn("Speaker 1", 0.0, 2.0)],
            ..Heard::default()
        };
        let voices = Voices::of(&heard);
        assert_eq!(voices.at(Span::new(1.0, 1.0)), Some(0));
        assert_eq!(voices.at(Span::new(3.0, 3.0)), None);
    }

    #[test]
    fn only_a_gap_between_words_of_one_speaker_is_filled() {
        let mut speakers = [None, Some(0), None, Some(0), None, Some(1), None];
        fill_between(&mut speakers);
        assert_eq!(
            speakers,
            [None, Some(0), Some(0), Some(0), None, Some(1), None]
        );
    }
}
