//! Cutting the tokens of a window into segments with times, and telling where the next window begins.
//!
//! As in OpenAI's `whisper/transcribe.py`: a segment ends where a timestamp is followed by the next one's
//! start; what comes after the last closed segment is listened to again in the next window. A window whose
//! last segment is closed holds no more speech, says the model; that is not always true.

use crate::mel::{HOP, RATE};
use crate::tokenizer::{Specials, Token};

/// Samples of a timestamp's step: 20 ms.
const STEP: usize = 2 * HOP;

/// The least by which a window goes on, in samples, so that no window is listened to very often: 0.5 s.
const ADVANCE_LEAST: usize = RATE / 2;

/// A stretch of a window, in samples from its start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The text's tokens.
    pub(crate) tokens: Vec<Token>,
}

/// The segments of a window and how far it was understood, in samples.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) segments: Vec<Piece>,
    pub(crate) advance: usize,
    /// Where the last segment ends, if after it there is no more speech to the end.
    pub(crate) silent_from: Option<usize>,
}

/// Cuts the tokens of a window that holds `content` samples; `advance` is never 0.
pub(crate) fn cut(tokens: &[Token], specials: &Specials, content: usize) -> Cut {
    let is_timestamp = |token: &Token| specials.is_timestamp(*token);
    let mut segments = Vec::new();
    let mut open = 0;
    let mut closed = None;
    let pairs = tokens.windows(2).enumerate();
    for (place, _) in pairs.filter(|(_, pair)| pair.iter().all(is_timestamp)) {
        let part = tokens.get(open..=place).unwrap_or_default();
        segments.extend(piece(part, specials, content));
        closed = part.last().and_then(|&token| specials.steps(token));
        open = place + 1;
    }
    let rest = tokens.get(open..).unwrap_or_default();
    let ends_closed = rest.last().is_some_and(is_timestamp) && rest.len() > 1;
    let last = rest.last().and_then(|&token| specials.steps(token));
    let silent_from = last.filter(|_| ends_closed).map(|steps| steps * STEP);
    let advance = match closed.map(|steps| steps * STEP) {
        Some(advance) if !ends_closed && advance >= ADVANCE_LEAST => advance.min(content),
        _ => {
            segments.extend(piece(rest, specials, content));
            content
        }
    };
    Cut {
        segments,
        advance: advance.max(STEP),
        silent_from: silent_from.filter(|&from| from >= ADVANCE_LEAST && from < content),
    }
}

/// A segment of text between timestamps; a missing end is the window's.
fn piece(tokens: &[Token], specials: &Specials, content: usize) -> Option<Piece> {
    let place = |token: Option<&Token>| {
        let steps = token.and_then(|&token| specials.steps(token));
        steps.map(|steps| (steps * STEP).min(content))
    };
    let start = place(tokens.first()).unwrap_or(0);
    let last = if tokens.len() > 1 {
        tokens.last()
    } else {
        None
    };
    let end = place(last).unwrap_or(content).max(start);
    let text: Vec<Token> = tokens
        .iter()
        .copied()
        .filter(|&token| specials.is_text(token))
        .collect();
    (!text.is_empty()).then_some(Piece {
        start,
        end,
        tokens: text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::WINDOW;

    const T: Token = 16;

    fn specials() -> Specials {
        Specials {
            end_of_text: 10,
            start: 11,
            transcribe: 12,
            no_speech: 14,
            no_timestamps: 15,
            languages: Vec::new(),
        }
    }

    fn cut_window(tokens: &[Token]) -> Cut {
        cut(tokens, &specials(), WINDOW)
    }

    fn piece(start: usize, end: usize, tokens: &[Token]) -> Piece {
        Piece {
            start: start * STEP,
            end: end * STEP,
            tokens: tokens.to_vec(),
        }
    }

    #[test]
    fn an_unfinished_segment_is_left_to_the_next_window() {
        let cut = cut_window(&[T, 1, 2, T + 100, T + 100, 3, T + 250, T + 260, 4]);
        let segments = vec![piece(0, 100, &[1, 2]), piece(100, 250, &[3])];
        assert_eq!(
            cut,
            Cut {
                segments,
                advance: 250 * STEP,
                silent_from: None,
            }
        );
    }

    #[test]
    fn a_segment_that_closes_at_the_very_end_finishes_the_window() {
        let cut = cut_window(&[T, 1, T + 100, T + 120, 2, T + 300]);
        let segments = vec![piece(0, 100, &[1]), piece(120, 300, &[2])];
        assert_eq!(
            cut,
            Cut {
                segments,
                advance: WINDOW,
                silent_from: Some(300 * STEP),
            }
        );
    }

    #[test]
    fn a_window_that_ends_on_a_pair_goes_on_from_there() {
        let cut = cut_window(&[T, 1, T + 100, T + 100]);
        assert_eq!(
            cut,
            Cut {
                segments: vec![piece(0, 100, &[1])],
                advance: 100 * STEP,
                silent_from: None,
            }
        );
    }

    #[test]
    fn text_without_an_end_reaches_to_the_end_of_the_content() {
        let cut = cut(&[T + 10, 1, 2], &specials(), 4 * RATE);
        assert_eq!(
            cut,
            Cut {
                segments: vec![piece(10, 200, &[1, 2])],
                advance: 4 * RATE,
                silent_from: None,
            }
        );
    }

    #[test]
    fn times_beyond_the_content_are_brought_back_to_its_end() {
        let cut = cut(
            &[T, 1, T + 1000, T + 1000, 2, T + 1200],
            &specials(),
            4 * RATE,
        );
        assert_eq!(cut.segments, [piece(0, 200, &[1]), piece(200, 200, &[2])]);
        assert_eq!(cut.advance, 4 * RATE);
    }

    #[test]
    fn segments_without_text_are_left_out() {
        assert_eq!(
            cut_window(&[T, T + 50, 1, T + 70]).segments,
            [piece(50, 70, &[1])]
        );
        assert_eq!(
            cut_window(&[T]),
            Cut {
                segments: Vec::new(),
                advance: WINDOW,
                silent_from: None,
            }
        );
    }

    #[test]
    fn a_last_segment_that_is_closed_early_says_where() {
        let from = |tokens: &[Token], content| cut(tokens, &specials(), content).silent_from;
        assert_eq!(from(&[T, 1, T + 150], WINDOW), Some(150 * STEP));
        assert_eq!(from(&[T, 1, T + 150], 150 * STEP), None);
        assert_eq!(from(&[T, 1, T + 20], WINDOW), None, "it must go on");
        assert_eq!(from(&[T, 1], WINDOW), None);
        assert_eq!(from(&[T + 150], WINDOW), None);
    }

    #[test]
    fn every_window_goes_on_by_half_a_second_or_to_its_end() {
        assert_eq!(cut_window(&[T, T, 1]).advance, WINDOW);
        assert_eq!(cut_window(&[T, 1, T + 24, T + 24, 2]).advance, WINDOW);
        assert_eq!(cut_window(&[T, 1, T + 25, T + 25, 2]).advance, 25 * STEP);
        assert_eq!(cut(&[], &specials(), 0).advance, STEP);
    }
}
