//! Makes segments out of a list of words: each takes its place in the text, a mended time and a
//! speaker; a segment ends with the service's own, at a change of speaker, at the end of a
//! sentence, at a pause, or when it grows long. What a speaker says while others talk too stays
//! whole, although the service lists the words of all by time.

use std::collections::HashMap;

use unicode_width::UnicodeWidthStr;

use super::align::Token;
use super::build::{Draft, Drafts, time_warnings, unused};
use super::lend::Lent;
use super::order::is_said;
use super::reference::{Blocks, Reference, reference};
use super::sentences::ends_sentence;
use super::speakers::{Voices, fill_between};
use super::times::{Mark, mend, timed};
use super::{Heard, HeardWord, Span, Timing, Warning, Word, WordKind};

/// A pause that ends a segment, in seconds.
const PAUSE_SECONDS: f64 = 1.0;
/// The longest pause of somebody who talks on while another does, in seconds.
const TALKS_ON_SECONDS: f64 = 0.5;
/// A segment without an end of sentence is cut after so many columns; a wide character takes two.
const LONGEST_SEGMENT: usize = 400;

/// What can be made of a word list.
pub(super) enum Listed {
    /// Segments.
    Drafts(Drafts),
    /// Nothing, because there are none, they are not those of the segments or others know more; and what
    /// is to be told of it.
    Nothing(Option<Warning>),
}

/// A word on its way into a segment.
struct Placed {
    word: Word,
    voice: Option<usize>,
    /// The number of the service's own segment.
    block: usize,
}

/// Makes segments out of the words, if there are usable ones.
pub(super) fn listed(heard: &Heard, lent: Lent, duration: Option<f64>, voices: &Voices) -> Listed {
    if lent.stretches_know_more || heard.words.iter().all(|word| !is_said(word)) {
        let (timed, count) = lent.unused;
        return Listed::Nothing(unused(timed, count));
    }
    let Reference {
        blocks,
        words,
        alignment,
        mut warnings,
    } = match reference(heard) {
        Ok(found) => found,
        Err(warning) => return Listed::Nothing(warning),
    };
    let mut marks = marks(&alignment.tokens, &words, &blocks, voices);
    let mut mended = mend(&marks, duration);
    if mended.is_none() && others_know_more(heard, &marks) {
        return Listed::Nothing(unused(timed(&marks), marks.len()));
    }
    if let Some(mended) = &mut mended {
        mended.filled += lent.times;
    }
    let spans = mended
        .as_ref()
        .map(|mended| mended.spans.clone())
        .unwrap_or_default();
    warnings.extend(time_warnings(mended.as_ref(), &marks));
    let placed: Vec<Placed> = alignment
        .tokens
        .iter()
        .zip(marks.drain(..))
        .enumerate()
        .map(|(position, (token, mark))| {
            let span = spans.get(position).copied();
            place(token, &blocks, &words, span, mark.speaker)
        })
        .collect();
    let natural = heard.segments.is_empty() && mended.is_some();
    let timing = if mended.is_some() {
        Timing::Words
    } else {
        Timing::None
    };
    let Cut { drafts, moved } = cut(placed, natural);
    Listed::Drafts(Drafts {
        drafts,
        timing,
        warnings,
        moved: moved || blocks.is_reordered,
    })
}

/// The time and speaker of each token, as its heard words give them.
fn marks(tokens: &[Token], words: &[HeardWord], blocks: &Blocks, voices: &Voices) -> Vec<Mark> {
    let mut marks: Vec<Mark> = tokens
        .iter()
        .map(|token| mark(token, words, blocks, voices))
        .collect();
    let mut speakers: Vec<Option<usize>> = marks.iter().map(|mark| mark.speaker).collect();
    fill_between(&mut speakers);
    for (mark, speaker) in marks.iter_mut().zip(speakers) {
        mark.speaker = speaker;
    }
    give_unheard(&mut marks, tokens, blocks);
    marks
}

fn mark(token: &Token, words: &[HeardWord], blocks: &Blocks, voices: &Voices) -> Mark {
    let items = || token.items.iter().filter_map(|item| words.get(*item));
    let text = blocks.text.get(token.range.clone()).unwrap_or_default();
    let mut mark = Mark {
        start: items().find_map(|word| word.start),
        end: items().rev().find_map(|word| word.end),
        speaker: items().find_map(|word| voices.of_word(word.speaker.as_deref())),
        characters: text.chars().count(),
    };
    let segment = || {
        blocks
            .speakers
            .get(blocks.block_of(token.range.start))?
            .as_deref()
    };
    mark.speaker = mark
        .speaker
        .or_else(|| voices.of_word(segment()))
        .or_else(|| voices.at(mark.span()?));
    mark
}

/// Gives words that were not heard to a neighbour in their segment: up to the end of a sentence to who
/// speaks before them, from there on to who speaks next.
fn give_unheard(marks: &mut [Mark], tokens: &[Token], blocks: &Blocks) {
    let block = |at: usize| {
        tokens
            .get(at)
            .map(|token| blocks.block_of(token.range.start))
    };
    let text = |at: usize| blocks.text.get(tokens.get(at)?.range.clone());
    let is_unheard = |at: usize, mark: &Mark| {
        mark.speaker.is_none() && tokens.get(at).is_some_and(|token| token.items.is_empty())
    };
    let mut at = 0;
    while let Some(mark) = marks.get(at) {
        if !is_unheard(at, mark) {
            at += 1;
            continue;
        }
        let here = block(at);
        let speaker_at = |at: Option<usize>| {
            let at = at.filter(|at| block(*at) == here)?;
            marks.get(at)?.speaker
        };
        let rest = marks.iter().enumerate().skip(at);
        let run = rest.take_while(|(next, mark)| block(*next) == here && is_unheard(*next, mark));
        let end = at + run.count();
        let before = speaker_at(at.checked_sub(1));
        let next = speaker_at(Some(end));
        let closes = |last: usize| {
            text(last).is_some_and(|last_text| ends_sentence(last_text, text(last + 1)))
        };
        let turn = match (before, next) {
            (Some(_), Some(_)) => (at..=end)
                .find(|first| closes(first.saturating_sub(1)))
                .unwrap_or(end),
            (Some(_), None) => end,
            (None, _) => at,
        };
        for (place, mark) in marks.iter_mut().enumerate().take(end).skip(at) {
            mark.speaker = if place < turn { before } else { next };
        }
        at = end;
    }
}

/// Whether segments or turns give times where the words give none.
fn others_know_more(heard: &Heard, marks: &[Mark]) -> bool {
    let segments = heard.segments.iter().any(|segment| segment.start.is_some());
    let turns = heard
        .turns
        .iter()
        .any(|turn| turn.start.is_some() && !turn.text.is_empty());
    segments || (turns && marks.iter().all(|mark| mark.speaker.is_none()))
}

fn place(
    token: &Token,
    blocks: &Blocks,
    words: &[HeardWord],
    span: Option<Span>,
    voice: Option<usize>,
) -> Placed {
    let text = blocks.text.get(token.range.clone()).unwrap_or_default();
    let is_event = |item: &usize| {
        words
            .get(*item)
            .is_some_and(|word| word.kind == WordKind::AudioEvent)
    };
    let word = Word {
        text: super::heard::one_line(text),
        span,
        speaker: None,
        spaced: token.spaced,
        event: !token.items.is_empty() && token.items.iter().all(is_event),
    };
    Placed {
        word,
        voice,
        block: blocks.block_of(token.range.start),
    }
}

/// The segments that words were cut into.
struct Cut {
    drafts: Vec<Draft>,
    /// Whether words were moved, so that each speaker's stand together.
    moved: bool,
}

/// Cuts the words into segments; `natural` also at sentences, pauses and length.
fn cut(placed: Vec<Placed>, natural: bool) -> Cut {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut moved = false;
    // The latest segment of each speaker, and the service's own that it lies in.
    let mut latest: HashMap<Option<usize>, (usize, usize)> = HashMap::new();
    let mut before: Option<Span> = None;
    for next in placed {
        let said = next.word.span;
        let own = latest.get(&next.voice).copied();
        let is_last = own.is_some_and(|(position, _)| position + 1 == drafts.len());
        let goes_on = own
            .filter(|(_, block)| *block == next.block)
            .and_then(|(position, _)| drafts.get_mut(position))
            .filter(|draft| !(natural && ends(draft, &next.word)))
            .filter(|draft| is_last || talks_on(draft, before, &next));
        if let Some(draft) = goes_on {
            moved |= !is_last;
            extend(draft, next);
        } else {
            latest.insert(next.voice, (drafts.len(), next.block));
            drafts.push(begin(next));
        }
        before = said;
    }
    for draft in &mut drafts {
        draft.words.retain(|word| word.span.is_some());
    }
    Cut { drafts, moved }
}

/// Whether `next` belongs to what its speaker was saying when another, who said the word `before` it,
/// began to talk too.
fn talks_on(draft: &Draft, before: Option<Span>, next: &Placed) -> bool {
    let last = draft.words.last().and_then(|last| last.span);
    let (Some(last), Some(before), Some(here)) = (last, before, next.word.span) else {
        return false;
    };
    let at_once = before.start() < last.end() || here.start() < before.end();
    next.voice.is_some() && at_once && here.start() - last.end() < TALKS_ON_SECONDS
}

/// Whether a segment is complete when `next` follows.
fn ends(draft: &Draft, next: &Word) -> bool {
    let Some(last) = draft.words.last() else {
        return false;
    };
    let pause = match (last.span, next.span) {
        (Some(last), Some(next)) => next.start() - last.end() >= PAUSE_SECONDS,
        (_, _) => false,
    };
    let long = draft.text.width() >= LONGEST_SEGMENT && (next.spaced || !last.spaced);
    pause || long || ends_sentence(&last.text, Some(&next.text))
}

fn begin(placed: Placed) -> Draft {
    Draft {
        span: placed.word.span,
        voice: placed.voice,
        text: placed.word.text.clone(),
        spaced: placed.word.spaced,
        words: vec![placed.word],
    }
}

fn extend(draft: &mut Draft, placed: Placed) {
    if placed.word.spaced {
        draft.text.push(' ');
    }
    draft.text.push_str(&placed.word.text);
    draft.span = match (draft.span, placed.word.span) {
        (Some(all), Some(word)) => Some(all.hull(word)),
        (all, word) => all.or(word),
    };
    draft.words.push(placed.word);
}
