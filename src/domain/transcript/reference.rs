//! Finds the text that heard words belong to and the order in which they stand in it: that of the
//! segments, else the service's own, else the one that the words make.

use super::align::{Alignment, align};
use super::build::has_letters_of;
use super::compose::compose;
use super::order::{as_in_text, by_start, runs_backwards};
use super::sentences::append;
use super::{Heard, HeardWord, Warning, WarningCode, WordKind};

/// The text that the words belong to, and where its segments end.
pub(super) struct Blocks {
    pub(super) text: String,
    /// The end of each segment, in bytes.
    ends: Vec<usize>,
    /// The service's label of who says each segment.
    pub(super) speakers: Vec<Option<String>>,
    /// Whether the words have their own order, which is not that of the service's text.
    pub(super) is_reordered: bool,
}

impl Blocks {
    fn of(text: String) -> Self {
        Self {
            ends: vec![text.len()],
            speakers: vec![None],
            text,
            is_reordered: false,
        }
    }

    fn of_segments(heard: &Heard) -> Self {
        let mut blocks = Self {
            text: String::new(),
            ends: Vec::new(),
            speakers: Vec::new(),
            is_reordered: false,
        };
        for segment in &heard.segments {
            append(&mut blocks.text, &segment.text);
            blocks.ends.push(blocks.text.len());
            blocks.speakers.push(segment.speaker.clone());
        }
        blocks
    }

    /// The number of the segment that a byte of the text lies in.
    pub(super) fn block_of(&self, byte: usize) -> usize {
        self.ends.partition_point(|end| *end <= byte)
    }
}

/// The words in an order that fits a text.
pub(super) struct Reference {
    pub(super) blocks: Blocks,
    pub(super) words: Vec<HeardWord>,
    pub(super) alignment: Alignment,
    pub(super) warnings: Vec<Warning>,
}

/// Finds the text and the order of the words that fit each other; else says why not, if at all.
pub(super) fn reference(heard: &Heard) -> Result<Reference, Option<Warning>> {
    let words = &heard.words;
    let blocks = if heard.segments.is_empty() {
        Blocks::of(heard.text.clone())
    } else {
        Blocks::of_segments(heard)
    };
    if !blocks.text.is_empty() {
        if let Some((words, alignment)) = in_best_order(&blocks.text, words) {
            return Ok(Reference {
                blocks,
                words,
                alignment,
                warnings: Vec::new(),
            });
        }
        if words.iter().all(is_no_speech) {
            return Err(None);
        }
        if !heard.segments.is_empty() {
            return Err(Some(differ(&blocks.text, words)));
        }
    }
    Ok(of_words(&heard.text, words))
}

/// The words in the first order in which all of them stand in the text, else in the one that fits best.
fn in_best_order(text: &str, words: &[HeardWord]) -> Option<(Vec<HeardWord>, Alignment)> {
    let mut best: Option<(Vec<HeardWord>, Alignment)> = None;
    for order in [
        |_: &str, words: &[HeardWord]| words.to_vec(),
        |_: &str, words: &[HeardWord]| by_start(words),
        as_in_text,
    ] {
        let words = order(text, words);
        if best.as_ref().is_some_and(|(known, _)| *known == words) {
            continue;
        }
        let alignment = align(text, &words);
        let is_whole = alignment.missed == 0;
        let is_better = best
            .as_ref()
            .is_none_or(|(_, known)| alignment.missed < known.missed);
        if alignment.holds() && is_better {
            best = Some((words, alignment));
        }
        if is_whole && best.is_some() {
            break;
        }
    }
    best
}

/// The words with the text that they make, which is not the service's.
fn of_words(text: &str, words: &[HeardWord]) -> Reference {
    let words = if runs_backwards(words) {
        by_start(words)
    } else {
        words.to_vec()
    };
    let own = compose(words.iter());
    let is_reordered = has_letters_of(text, &own);
    let differs = !text.is_empty() && !is_reordered;
    Reference {
        alignment: align(&own, &words),
        warnings: differs.then(words_differ).into_iter().collect(),
        blocks: Blocks {
            is_reordered,
            ..Blocks::of(own)
        },
        words,
    }
}

/// Whether an entry is a sound, punctuation or white space.
fn is_no_speech(word: &HeardWord) -> bool {
    word.kind == WordKind::AudioEvent || super::align::letters(&word.text).next().is_none()
}

/// Why words stand nowhere in the text of the segments.
fn differ(text: &str, words: &[HeardWord]) -> Warning {
    if !has_letters_of(text, &compose(words.iter())) {
        return words_differ();
    }
    let message = "the words stand in another order than in the segments: their times are not used";
    Warning {
        code: WarningCode::TimesDropped,
        message: message.to_owned(),
    }
}

fn words_differ() -> Warning {
    let message = "the words are not those of the text".to_owned();
    Warning {
        code: WarningCode::WordsDiffer,
        message,
    }
}
