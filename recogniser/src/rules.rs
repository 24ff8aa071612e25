//! Which tokens may come next: Whisper's timestamp rules and lists of tokens that are never said.
//!
//! Rules as in `ApplyTimestampRules` of OpenAI's `whisper/decoding.py`: timestamps come in pairs, never
//! go back, the first one is early, and are said when together they are likelier than any text.

use std::ops::Range;

use crate::config::Config;
use crate::kernels;
use crate::tokenizer::{Specials, Token, Vocabulary};

/// The latest first timestamp, in steps of 20 ms: 1 s.
const FIRST_LIMIT: usize = 50;
/// The score of a token that must not be said.
const NEVER: f32 = f32::NEG_INFINITY;

/// The rules of one model.
#[derive(Debug)]
pub(crate) struct Rules {
    specials: Specials,
    never: Vec<Token>,
    never_first: Vec<Token>,
}

impl Rules {
    /// The rules of a model's configuration and vocabulary.
    pub(crate) fn new(config: &Config, vocabulary: &Vocabulary) -> Self {
        let mut never_first = config.begin_suppress_tokens.clone();
        if never_first.is_empty() {
            never_first.extend(vocabulary.token_of(b" "));
            never_first.push(vocabulary.specials.end_of_text);
        }
        let specials = vocabulary.specials.clone();
        Self {
            specials,
            never: config.suppress_tokens.clone(),
            never_first,
        }
    }

    /// Takes the tokens that must not follow what was `said` since the prompt out of the scores.
    pub(crate) fn apply(&self, said: &[Token], scores: &mut [f32]) {
        let first = place(self.specials.first_timestamp());
        let end = place(self.specials.end_of_text);
        forbid(scores, end + 1..first);
        for &token in &self.never {
            forbid_one(scores, token);
        }
        if said.is_empty() {
            for &token in &self.never_first {
                forbid_one(scores, token);
            }
            forbid(scores, 0..first);
            forbid(scores, first + FIRST_LIMIT + 1..scores.len());
            return;
        }
        self.pair(said, scores);
        self.forbid_going_back(said, scores);
        let (text, timestamps) = scores.split_at_mut(first.min(scores.len()));
        if kernels::log_sum_exp(timestamps) > kernels::largest(text) {
            text.fill(NEVER);
        }
    }

    /// After the end of a segment its successor's start must follow; after a start, text.
    fn pair(&self, said: &[Token], scores: &mut [f32]) {
        let is_timestamp = |token: &Token| self.specials.is_timestamp(*token);
        let Some((last, before)) = said.split_last() else {
            return;
        };
        if !is_timestamp(last) {
            return;
        }
        if before.last().is_none_or(is_timestamp) {
            forbid(scores, place(self.specials.first_timestamp())..scores.len());
        } else {
            forbid(scores, 0..place(self.specials.end_of_text));
        }
    }

    /// A segment may begin where the last one ended, but it must not end where it began.
    fn forbid_going_back(&self, said: &[Token], scores: &mut [f32]) {
        let is_timestamp = |token: &&Token| self.specials.is_timestamp(**token);
        let Some(&latest) = said.iter().rev().find(is_timestamp) else {
            return;
        };
        let ended = said.last() == Some(&latest)
            && said
                .iter()
                .rev()
                .nth(1)
                .is_some_and(|token| !is_timestamp(&token));
        let least = if ended { latest } else { latest + 1 };
        forbid(scores, place(self.specials.first_timestamp())..place(least));
    }
}

fn place(token: Token) -> usize {
    token as usize
}

fn forbid(scores: &mut [f32], range: Range<usize>) {
    let range = range.start.min(scores.len())..range.end.min(scores.len());
    if let Some(scores) = scores.get_mut(range) {
        scores.fill(NEVER);
    }
}

fn forbid_one(scores: &mut [f32], token: Token) {
    if let Some(score) = scores.get_mut(place(token)) {
        *score = NEVER;
    }
}
