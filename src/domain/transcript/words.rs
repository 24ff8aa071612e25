//! Makes segments out of a list of words: each takes its place in the text, a mended time and a
//! speaker; a segment ends with the service's own, at a change of speaker, at the end of a
//! sentence, at a pause, or when it grows long. What a speaker says while others talk too stays
//! whole, although the service lists the words of all by time.

use std::collections::HashMap;

use unicode_width::UnicodeWidthStr;

use super::align::{Alignment, Token, align};
use super::build::{Draft, Drafts, time_warnings};
use super::compose::compose;
use super::lend::Lent;
use super::sentences::{append, ends_sentence};
use super::speakers::{Voices, fill_between};
use super::times::{Mark, mend};
use super::{Heard, HeardWord, Span, Timing, Warning, WarningCode, Word, WordKind};

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
    /// Nothing, because the words are not those of the segments.
    Differ(Warning),
    /// Nothing, because there are none or others know more.
    Nothing,
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
        return Listed::Nothing;
    }
    let (blocks, words, alignment) = match reference(heard) {
        Ok(found) => found,
        Err(Some(warning)) => return Listed::Differ(warning),
        Err(None) => return Listed::Nothing,
    };
    let mut warnings = Vec::new();
    if !heard.text.is_empty() && blocks.from_words {
        warnings.push(differ());
    }
    let mut marks = marks(&alignment.tokens, &words, &blocks.text, voices);
    let mut mended = mend(&marks, duration);
    if mended.is_none() && others_know_more(heard, &marks) {
        return Listed::Nothing;
    }
    if let Some(mended) = &mut mended {
        mended.filled += lent.times;
    }
    let spans = mended
        .as_ref()
        .map(|mended| mended.spans.clone())
        .unwrap_or_default();
    warnings.extend(
        mended
            .iter()
            .flat_map(|mended| time_warnings(mended, marks.len())),
    );
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
        moved,
    })
}

/// The text that the words belong to, and where its segments end.
struct Blocks {
    text: String,
    /// The end of each segment, in bytes.
    ends: Vec<usize>,
    /// Whether the text was put together from the words.
    from_words: bool,
}

impl Blocks {
    fn of(text: String) -> Self {
        Self {
            ends: vec![text.len()],
            text,
            from_words: false,
        }
    }

    fn of_segments(heard: &Heard) -> Self {
        let mut blocks = Self {
            text: String::new(),
            ends: Vec::new(),
            from_words: false,
        };
        for segment in &heard.segments {
            append(&mut blocks.text, &segment.text);
            blocks.ends.push(blocks.text.len());
        }
        blocks
    }

    fn block_of(&self, byte: usize) -> usize {
        self.ends.partition_point(|end| *end <= byte)
    }
}

/// Finds the text and the order of the words that fit each other; else says why not, if at all.
fn reference(heard: &Heard) -> Result<(Blocks, Vec<HeardWord>, Alignment), Option<Warning>> {
    let words = &heard.words;
    let blocks = if heard.segments.is_empty() {
        Blocks::of(heard.text.clone())
    } else {
        Blocks::of_segments(heard)
    };
    if !blocks.text.is_empty() {
        for order in [<[HeardWord]>::to_vec, by_start] {
            let words = order(words);
            let alignment = align(&blocks.text, &words);
            if alignment.holds() {
                return Ok((blocks, words, alignment));
            }
        }
        if words.iter().all(is_no_speech) {
            return Err(None);
        }
        if !heard.segments.is_empty() {
            return Err(Some(differ()));
        }
    }
    let words = if runs_backwards(words) {
        by_start(words)
    } else {
        words.clone()
    };
    let text = compose(words.iter());
    let alignment = align(&text, &words);
    Ok((
        Blocks {
            from_words: true,
            ..Blocks::of(text)
        },
        words,
        alignment,
    ))
}

/// Whether an entry is a sound, punctuation or white space.
fn is_no_speech(word: &HeardWord) -> bool {
    word.kind == WordKind::AudioEvent || super::align::letters(&word.text).next().is_none()
}

fn differ() -> Warning {
    let message = "the words are not those of the text".to_owned();
    Warning {
        code: WarningCode::WordsDiffer,
        message,
    }
}

fn is_said(word: &HeardWord) -> bool {
    !word.text.trim().is_empty()
}

/// The words in the order of their starts; those without one stay behind the one before.
fn by_start(words: &[HeardWord]) -> Vec<HeardWord> {
    let mut last = 0.0;
    let mut keyed: Vec<(f64, &HeardWord)> = words
        .iter()
        .filter(|word| is_said(word))
        .map(|word| {
            last = word.start.filter(|start| start.is_finite()).unwrap_or(last);
            (last, word)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().map(|(_, word)| word.clone()).collect()
}

/// Whether one speaker's words are listed against time, beyond a stray or two.
fn runs_backwards(words: &[HeardWord]) -> bool {
    let mut last: HashMap<Option<&str>, f64> = HashMap::new();
    let steps_back = words
        .iter()
        .filter(|word| is_said(word))
        .filter_map(|word| Some((word.speaker.as_deref(), word.start?)))
        .filter(|(speaker, start)| {
            last.insert(*speaker, *start)
                .is_some_and(|last| *start < last)
        })
        .count();
    steps_back * 10 > words.len()
}

/// The time and speaker of each token, as its heard words give them.
fn marks(tokens: &[Token], words: &[HeardWord], text: &str, voices: &Voices) -> Vec<Mark> {
    let mut marks: Vec<Mark> = tokens
        .iter()
        .map(|token| mark(token, words, text, voices))
        .collect();
    let mut speakers: Vec<Option<usize>> = marks.iter().map(|mark| mark.speaker).collect();
    fill_between(&mut speakers);
    for (mark, speaker) in marks.iter_mut().zip(speakers) {
        mark.speaker = speaker;
    }
    marks
}

fn mark(token: &Token, words: &[HeardWord], text: &str, voices: &Voices) -> Mark {
    let items = || token.items.iter().filter_map(|item| words.get(*item));
    let mut mark = Mark {
        start: items().find_map(|word| word.start),
        end: items().rev().find_map(|word| word.end),
        speaker: items().find_map(|word| voices.of_word(word.speaker.as_deref())),
        characters: text
            .get(token.range.clone())
            .map_or(0, |text| text.chars().count()),
    };
    mark.speaker = mark.speaker.or_else(|| voices.at(mark.span()?));
    mark
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
