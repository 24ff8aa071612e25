//! Cutting the tokens of a window into segments with times, and telling where the next window begins.
//!
//! As in OpenAI's `whisper/transcribe.py`: a segment ends where a timestamp is followed by the next one's
//! start; what comes after the last closed segment is listened to again in the next window.

use crate::mel::HOP;
use crate::tokenizer::{Specials, Token};

/// Samples of a timestamp's step: 20 ms.
const STEP: usize = 2 * HOP;

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
    let advance = match closed.map(|steps| steps * STEP) {
        Some(advance) if !ends_closed && advance > 0 => advance.min(content),
        _ => {
            segments.extend(piece(rest, specials, content));
            content
        }
    };
    Cut {
        segments,
        advance: advance.max(STEP),
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
