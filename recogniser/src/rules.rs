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
        let is_timestamp = |token: Token| self.specials.is_timestamp(token);
        let Some(&latest) = said.iter().rfind(|&&token| is_timestamp(token)) else {
            return;
        };
        let ended = match *said {
            [.., before, last] => is_timestamp(last) && !is_timestamp(before),
            _ => false,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 0 to 9, end of text 10, steering 11 to 15, timestamps from 16 on.
    const END: Token = 10;
    const FIRST: Token = 16;
    const BEHIND: Token = FIRST + 1501;
    const SIZE: usize = BEHIND as usize;

    fn rules() -> Rules {
        let specials = Specials {
            end_of_text: END,
            start: 11,
            transcribe: 12,
            no_speech: 14,
            no_timestamps: 15,
            languages: vec![("en".to_owned(), 13)],
        };
        Rules {
            specials,
            never: vec![3],
            never_first: vec![2, END],
        }
    }

    /// The tokens that may follow, when all are equally likely but text is ahead of any one timestamp.
    fn allowed(said: &[Token]) -> Vec<Token> {
        let mut scores = vec![0.0; SIZE];
        scores[..FIRST as usize].fill(20.0);
        rules().apply(said, &mut scores);
        (0..BEHIND)
            .filter(|&token| scores[token as usize] > NEVER)
            .collect()
    }

    #[test]
    fn the_first_token_is_a_timestamp_of_at_most_one_second() {
        assert_eq!(allowed(&[]), (FIRST..=FIRST + 50).collect::<Vec<_>>());
    }

    #[test]
    fn text_follows_the_start_of_a_segment_without_suppressed_and_steering_tokens() {
        assert_eq!(allowed(&[FIRST]), [0, 1, 2, 4, 5, 6, 7, 8, 9, END]);
    }

    #[test]
    fn a_segment_must_not_end_where_it_began() {
        let allowed = allowed(&[FIRST + 7, 1]);
        assert!(allowed.contains(&5) && allowed.contains(&END));
        assert!(!allowed.contains(&(FIRST + 7)) && allowed.contains(&(FIRST + 8)));
    }

    #[test]
    fn after_the_end_of_a_segment_the_next_begins_there_or_later_or_all_ends() {
        let wanted: Vec<Token> = [END].into_iter().chain(FIRST + 9..BEHIND).collect();
        assert_eq!(allowed(&[FIRST, 1, FIRST + 9]), wanted);
    }

    #[test]
    fn after_a_pair_of_timestamps_text_follows() {
        assert_eq!(
            allowed(&[FIRST, 1, FIRST + 9, FIRST + 9]),
            [0, 1, 2, 4, 5, 6, 7, 8, 9, END]
        );
    }

    #[test]
    fn timestamps_that_are_together_likelier_than_any_text_are_said() {
        let mut scores = vec![0.0; SIZE];
        scores[5] = 7.0;
        rules().apply(&[FIRST, 1], &mut scores);
        assert_eq!(scores[5], NEVER, "ln 1500 is 7.3, which is over 7.0");
        let mut scores = vec![0.0; SIZE];
        scores[5] = 7.5;
        rules().apply(&[FIRST, 1], &mut scores);
        assert!(scores[5] > NEVER);
    }

    #[test]
    fn scores_of_another_size_do_no_harm() {
        for size in [0, 1, 12, 20] {
            rules().apply(&[FIRST, 1, FIRST + 9], &mut vec![0.0; size]);
            rules().apply(&[], &mut vec![0.0; size]);
        }
    }
}
