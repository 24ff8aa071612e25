//! Makes a [`Transcript`] out of a [`Heard`]: words if there are usable ones, else segments, else
//! turns, else the bare text. The text decides on the words and their order, the words on times
//! and speakers, the turns on speakers where the words name none. Only where speakers talk at once
//! is a text that mixes their words put in the order of the segments.

use std::collections::HashMap;

use super::heard::one_line;
use super::lend::{Lent, lend};
use super::moments;
use super::sentences::append;
use super::span::{LONGEST_SECONDS, to_milliseconds};
use super::speakers::Voices;
use super::spell::spell_as_text;
use super::suspicion::{Doubtful, suspicions};
use super::times::{Mark, Mended, mend, timed};
use super::words::{Listed, listed};
use super::{
    AudioEvent, Heard, Presence, Segment, Span, Speaker, SpeakerId, Timing, Transcript, Warning,
    WarningCode, Word, WordKind,
};
use crate::domain::audio::Damage;
use crate::domain::language::short_code;

/// A segment whose speaker is still a voice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub(super) span: Option<Span>,
    pub(super) voice: Option<usize>,
    pub(super) text: String,
    /// Whether white space is known to stand before it.
    pub(super) spaced: bool,
    pub(super) words: Vec<Word>,
}

/// All segments of a recording and how exact their times are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    pub(super) timing: Timing,
    pub(super) warnings: Vec<Warning>,
    /// Whether the words stand in another order than in the text, for speakers who talk at once.
    pub(super) moved: bool,
}

/// Makes the document; `measured` is the recording's true length in seconds.
pub(super) fn transcript(heard: Heard, measured: Option<f64>) -> Transcript {
    let mut heard = heard.cleaned();
    spell_as_text(&mut heard);
    let duration = measured
        .or(heard.duration)
        .filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds))
        .map(to_milliseconds);
    let odd_times = moments::check(&mut heard, duration);
    let lent = lend(&mut heard);
    let voices = Voices::of(&heard);
    let Drafts {
        mut drafts,
        timing,
        mut warnings,
        moved,
    } = drafts(&heard, lent, duration, &voices);
    let joined = joined(&drafts);
    let is_mixed = moved && has_letters_of(&heard.text, &joined);
    let text = if heard.text.is_empty() || is_mixed {
        joined
    } else {
        heard.text.clone()
    };
    give_whole_span(&mut drafts, timing, duration);
    let (segments, mut speakers) = numbered(drafts, &voices);
    let presences = presences(&mut speakers, &voices);
    warnings.splice(0..0, odd_times);
    warnings.extend(unmatched(&voices));
    warnings.extend(apart(&presences, &text));
    warnings.extend(reply_warnings(&heard));
    warnings.extend(heard.damage.as_ref().and_then(damaged));
    warnings.extend(suspicions(&Doubtful {
        text: &text,
        duration,
        segments: &segments,
        timing,
        silences: &heard.silences,
    }));
    let events = events(&heard, &segments);
    let mut transcript = Transcript {
        text,
        language: heard.language.map(normal_language),
        duration,
        segments,
        speakers,
        presences,
        events,
        timing,
        warnings,
    };
    transcript.mark_spaces();
    transcript
}

/// The code of two letters, where a language has one; else as it is spelled.
fn normal_language(name: String) -> String {
    short_code(&name).unwrap_or(name)
}

/// What is odd about the reply itself.
fn reply_warnings(heard: &Heard) -> Vec<Warning> {
    let of = |code, words: Option<&String>, begin: &str| {
        let message = format!("{begin}{}", one_line(words?));
        Some(Warning { code, message })
    };
    let error = "the service names an error beside its result: ";
    [
        of(WarningCode::NoText, heard.no_text.as_ref(), ""),
        of(WarningCode::ServiceError, heard.error.as_ref(), error),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What of the recording nobody can have recognised.
pub(super) fn damaged(damage: &Damage) -> Option<Warning> {
    let message = damage.told()?;
    let code = WarningCode::Damaged;
    Some(Warning { code, message })
}

/// What the mending of times has to say.
pub(super) fn time_warnings(mended: Option<&Mended>, marks: &[Mark]) -> Vec<Warning> {
    let count = marks.len();
    let Some(mended) = mended else {
        return unused(timed(marks), count).into_iter().collect();
    };
    let of = |number: usize, code, what: &str| {
        let message = format!("{what}: {number} of {count}");
        (number > 0).then_some(Warning { code, message })
    };
    let kinds = [
        (
            mended.out_of_order,
            "times out of order, which have been moved",
        ),
        (
            mended.cut,
            "times that reached into the next, now cut short",
        ),
        (
            mended.moved_back,
            "times behind the end of the recording, which have been moved back",
        ),
    ];
    let moved = kinds.map(|(number, what)| of(number, WarningCode::TimesMended, what));
    let filled = of(
        mended.filled,
        WarningCode::TimesFilled,
        "absent times, which have been estimated",
    );
    let past_end = of(
        mended.past_end,
        WarningCode::TimesPastEnd,
        "times behind the end of the recording, which have been kept",
    );
    moved
        .into_iter()
        .chain([filled, past_end])
        .flatten()
        .collect()
}

/// Times that are too few to be used.
pub(super) fn unused(timed: usize, count: usize) -> Option<Warning> {
    let message = format!("only {timed} of {count} times can be used, so none is");
    (timed > 0).then_some(Warning {
        code: WarningCode::TimesDropped,
        message,
    })
}

fn drafts(heard: &Heard, lent: Lent, duration: Option<f64>, voices: &Voices) -> Drafts {
    let mut told = match listed(heard, lent, duration, voices) {
        Listed::Drafts(drafts) => return drafts,
        Listed::Nothing(warning) => warning.into_iter().collect::<Vec<_>>(),
    };
    let stretches = if heard.segments.is_empty() {
        turn_stretches(heard, voices)
    } else {
        segment_stretches(heard, voices)
    };
    let mut drafts = if stretches.is_empty() {
        bare(&heard.text)
    } else {
        from_stretches(stretches, heard, duration)
    };
    told.append(&mut drafts.warnings);
    Drafts {
        warnings: told,
        ..drafts
    }
}

/// A piece of text as a service gives it, with one time and one speaker.
struct Stretch<'a> {
    text: &'a str,
    mark: Mark,
}

fn segment_stretches<'a>(heard: &'a Heard, voices: &Voices) -> Vec<Stretch<'a>> {
    let stretches = heard.segments.iter().map(|segment| {
        let mut mark = Mark {
            start: segment.start,
            end: segment.end,
            speaker: voices.of_word(segment.speaker.as_deref()),
            characters: segment.text.chars().count(),
        };
        mark.speaker = mark.speaker.or_else(|| voices.at(mark.span()?));
        Stretch {
            text: &segment.text,
            mark,
        }
    });
    stretches.collect()
}

fn turn_stretches<'a>(heard: &'a Heard, voices: &Voices) -> Vec<Stretch<'a>> {
    let turns = heard
        .turns
        .iter()
        .filter(|turn| !turn.text.is_empty())
        .map(|turn| {
            let mark = Mark {
                start: turn.start,
                end: turn.end,
                speaker: voices.of_turn(&turn.speaker),
                characters: turn.text.chars().count(),
            };
            Stretch {
                text: &turn.text,
                mark,
            }
        });
    turns.collect()
}

fn from_stretches(mut stretches: Vec<Stretch<'_>>, heard: &Heard, duration: Option<f64>) -> Drafts {
    let held = holds(&heard.text, &stretches);
    if !held
        && stretches
            .iter()
            .all(|stretch| stretch.mark.span().is_some())
    {
        stretches.sort_by(|a, b| start_of(a).total_cmp(&start_of(b)));
    }
    let mut warnings: Vec<Warning> = Vec::new();
    let is_held = holds(&heard.text, &stretches);
    let moved = !is_held && has_letters_of(&heard.text, &whole_text(&stretches));
    if !heard.text.is_empty() && !is_held && !moved {
        let message = "the segments are not the words of the text".to_owned();
        warnings.push(Warning {
            code: WarningCode::WordsDiffer,
            message,
        });
    }
    let marks: Vec<Mark> = stretches.iter().map(|stretch| stretch.mark).collect();
    let mended = mend(&marks, duration);
    warnings.extend(time_warnings(mended.as_ref(), &marks));
    let timing = match &mended {
        None => Timing::None,
        Some(_) if heard.pieces => Timing::Pieces,
        Some(_) => Timing::Segments,
    };
    let spans = mended.map(|mended| mended.spans).unwrap_or_default();
    let drafts = stretches
        .into_iter()
        .enumerate()
        .map(|(position, Stretch { text, mark })| Draft {
            span: spans.get(position).copied(),
            voice: mark.speaker,
            text: text.to_owned(),
            spaced: false,
            words: Vec::new(),
        })
        .collect();
    Drafts {
        drafts,
        timing,
        warnings,
        moved,
    }
}

fn start_of(stretch: &Stretch<'_>) -> f64 {
    stretch.mark.span().map_or(0.0, Span::start)
}

/// Whether the stretches in their order are the text, letter by letter.
fn holds(text: &str, stretches: &[Stretch<'_>]) -> bool {
    let letters = stretches
        .iter()
        .flat_map(|stretch| super::align::letters(stretch.text));
    letters.eq(super::align::letters(text))
}

fn whole_text(stretches: &[Stretch<'_>]) -> String {
    stretches.iter().map(|stretch| stretch.text).collect()
}

/// Whether two texts have the same letters, in whatever order.
pub(super) fn has_letters_of(text: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = super::align::letters(text).collect();
        letters.sort_unstable();
        letters
    };
    sorted(text) == sorted(other)
}

fn bare(text: &str) -> Drafts {
    let text = one_line(text);
    let draft = Draft {
        span: None,
        voice: None,
        text,
        spaced: false,
        words: Vec::new(),
    };
    let drafts = if draft.text.is_empty() {
        Vec::new()
    } else {
        vec![draft]
    };
    Drafts {
        drafts,
        timing: Timing::None,
        warnings: Vec::new(),
        moved: false,
    }
}

fn joined(drafts: &[Draft]) -> String {
    drafts.iter().fold(String::new(), |mut text, draft| {
        if draft.spaced && !text.is_empty() {
            text.push(' ');
            text.push_str(&draft.text);
        } else {
            append(&mut text, &draft.text);
        }
        text
    })
}

/// A text in one block without times lies somewhere in the recording: that much is known.
fn give_whole_span(drafts: &mut [Draft], timing: Timing, duration: Option<f64>) {
    if let ([only], Timing::None, Some(seconds)) = (drafts, timing, duration) {
        only.span = Some(Span::new(0.0, seconds));
    }
}

/// Turns voices into speakers, numbered in the order of their first words.
fn numbered(drafts: Vec<Draft>, voices: &Voices) -> (Vec<Segment>, Vec<Speaker>) {
    let mut speakers: Vec<Speaker> = Vec::new();
    let mut ids: HashMap<usize, SpeakerId> = HashMap::new();
    let mut last = None;
    let mut segments = Vec::with_capacity(drafts.len());
    for (id, draft) in drafts.into_iter().enumerate() {
        let speaker = draft.voice.map(|voice| {
            *ids.entry(voice).or_insert_with(|| {
                let id = SpeakerId(speakers.len());
                speakers.push(new_speaker(id, voices.label(voice)));
                id
            })
        });
        if let Some(known) = speaker.and_then(|SpeakerId(number)| speakers.get_mut(number)) {
            known.seconds = to_milliseconds(known.seconds + draft.span.map_or(0.0, Span::seconds));
            known.turns += usize::from(last != speaker);
        }
        last = speaker;
        segments.push(segment(id, draft, speaker));
    }
    (segments, speakers)
}

fn new_speaker(id: SpeakerId, label: &str) -> Speaker {
    Speaker {
        id,
        label: label.to_owned(),
        name: None,
        seconds: 0.0,
        turns: 0,
    }
}

fn segment(id: usize, draft: Draft, speaker: Option<SpeakerId>) -> Segment {
    let words = draft
        .words
        .into_iter()
        .map(|word| Word { speaker, ..word })
        .collect();
    Segment {
        id,
        span: draft.span,
        speaker,
        text: draft.text,
        spaced: draft.spaced,
        words,
        missing: false,
    }
}

/// Who spoke when, and those who did as speakers, where nobody is known to have said any of the text.
fn presences(speakers: &mut Vec<Speaker>, voices: &Voices) -> Vec<Presence> {
    if !speakers.is_empty() {
        return Vec::new();
    }
    let mut ids: HashMap<usize, SpeakerId> = HashMap::new();
    let mut presences: Vec<Presence> = Vec::new();
    for (span, voice) in voices.spans() {
        let speaker = *ids.entry(voice).or_insert_with(|| {
            let id = SpeakerId(speakers.len());
            speakers.push(new_speaker(id, voices.label(voice)));
            id
        });
        let goes_on = presences.last().is_some_and(|last| last.speaker == speaker);
        if let Some(known) = speakers.get_mut(speaker.0) {
            known.seconds = to_milliseconds(known.seconds + span.seconds());
            known.turns += usize::from(!goes_on);
        }
        presences.push(Presence { span, speaker });
    }
    presences
}

fn apart(presences: &[Presence], text: &str) -> Option<Warning> {
    let message = "the reply tells who spoke when, and not who said what".to_owned();
    (!presences.is_empty() && !text.is_empty()).then_some(Warning {
        code: WarningCode::SpeakersUnmatched,
        message,
    })
}

fn unmatched(voices: &Voices) -> Option<Warning> {
    let count = voices.unmatched;
    let labels = match count {
        1 => "1 speaker label".to_owned(),
        _ => format!("{count} speaker labels"),
    };
    let message = format!("{labels} of words and turns could not be matched by their times");
    (count > 0).then_some(Warning {
        code: WarningCode::SpeakersUnmatched,
        message,
    })
}

/// The sounds among the words; with the times that the transcript gives them, if it does.
fn events(heard: &Heard, segments: &[Segment]) -> Vec<AudioEvent> {
    let placed: Vec<AudioEvent> = segments
        .iter()
        .flat_map(|segment| &segment.words)
        .filter(|word| word.event)
        .map(|word| AudioEvent {
            text: word.text.clone(),
            span: word.span,
        })
        .collect();
    let raw = heard
        .words
        .iter()
        .filter(|word| word.kind == WordKind::AudioEvent);
    if placed.len() == raw.clone().count() {
        return placed;
    }
    raw.map(|word| {
        let mark = Mark {
            start: word.start,
            end: word.end,
            speaker: None,
            characters: 0,
        };
        AudioEvent {
            text: one_line(&word.text),
            span: mark.span(),
        }
    })
    .collect()
}
