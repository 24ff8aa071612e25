//! Telling apart a decoder that has fallen into a loop.
//!
//! Whisper's paper finds loops by how well the text compresses; here they are found in the tokens
//! themselves, which also ends a loop while it is being said.

use std::collections::HashSet;

use crate::tokenizer::Token;

/// The longest phrase that is looked for at the end, in tokens.
const PHRASE_LIMIT: usize = 48;
/// How often a phrase must come again in a row.
const AGAIN: usize = 3;
/// How long those repetitions must be together, in tokens: short words may well be said five times.
const LEAST: usize = 15;
/// The length of the runs that are counted over a whole text, in tokens.
const RUN: usize = 3;
/// Texts with fewer runs than this are too short to judge.
const RUNS_LEAST: usize = 40;

/// Where the second saying of a phrase begins that the text ends on again and again.
pub(crate) fn loop_start(text: &[Token]) -> Option<usize> {
    (1..=PHRASE_LIMIT.min(text.len() / 2)).find_map(|period| {
        let pairs = text.iter().rev().zip(text.iter().rev().skip(period));
        let repeated = pairs.take_while(|(token, before)| token == before).count();
        (repeated >= LEAST.max(AGAIN * period)).then(|| text.len() - repeated)
    })
}

/// Whether fewer than half of all runs of three tokens are different ones.
pub(crate) fn is_monotonous(text: &[Token]) -> bool {
    let runs = text.windows(RUN);
    let all = runs.len();
    all >= RUNS_LEAST && 2 * runs.collect::<HashSet<_>>().len() < all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_said_five_times_is_a_loop_from_its_second_saying_on() {
        let mut text = vec![9, 8, 7];
        for _ in 0..5 {
            text.extend([1, 2, 3, 4]);
        }
        assert_eq!(loop_start(&text), Some(7));
    }

    #[test]
    fn one_word_may_be_said_ten_times_but_not_twenty() {
        assert_eq!(loop_start(&[5; 10]), None);
        assert_eq!(loop_start(&[5; 20]), Some(1));
    }

    #[test]
    fn running_text_is_no_loop() {
        let text: Vec<Token> = (0..200).map(|i| i * i % 211).collect();
        assert_eq!(loop_start(&text), None);
        assert!(!is_monotonous(&text));
        assert_eq!(loop_start(&[]), None);
    }

    #[test]
    fn a_refrain_with_another_ending_each_time_is_no_loop() {
        let text: Vec<Token> = (0..12)
            .flat_map(|i| [1, 2, 3, 100 + i, 4, 200 + i])
            .collect();
        assert_eq!(loop_start(&text), None);
        assert!(!is_monotonous(&text));
    }

    #[test]
    fn a_text_that_goes_round_without_ending_on_the_loop_is_monotonous() {
        let mut text = [1, 2, 3, 4, 5, 6].repeat(12);
        text.extend([7, 8, 9]);
        assert_eq!(loop_start(&text), None);
        assert!(is_monotonous(&text));
    }
}
