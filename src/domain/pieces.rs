//! The pieces of a recording that was cut: what their ends mean for the whole, and the reply that is
//! made of theirs.
//!
//! That reply is JSON like any other: it names the place of each piece, and holds the piece's own reply
//! as it came, or why there is none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audio::AudioDuration;
use super::cut::Stretch;
use super::job::{JobId, Reason, Stage};

/// Names the shape of a reply that was put together.
const FORMAT: &str = "stenod.pieces";
/// Its version.
const VERSION: u32 = 1;

/// Which piece of which job a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceOf {
    /// The job of the whole recording.
    pub parent: JobId,
    /// Counts from 1; 0 for one that was replaced when the recording was cut anew.
    pub number: u32,
    /// What it holds.
    pub stretch: Stretch,
}

/// What the stages of all pieces mean for the whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Joined {
    /// Some piece has not ended.
    Waits,
    /// There are transcripts to be put together.
    Reply,
    /// It ends like this, without any.
    Ends(Stage),
}

/// What the stages of all pieces mean for the whole.
pub fn join<'s>(stages: impl Iterator<Item = &'s Stage> + Clone) -> Joined {
    if !stages.clone().all(has_ended) {
        return Joined::Waits;
    }
    if stages.clone().any(|stage| *stage == Stage::Cancelled) {
        return Joined::Ends(Stage::Cancelled);
    }
    let is_done = |stage: &Stage| matches!(stage, Stage::Done { .. });
    if stages.clone().any(is_done) {
        return Joined::Reply;
    }
    match missing(stages) {
        Some(stage) => Joined::Ends(stage),
        None => Joined::Waits,
    }
}

/// How a recording ends of which pieces are missing; `None` if none is.
pub fn missing<'s>(stages: impl Iterator<Item = &'s Stage> + Clone) -> Option<Stage> {
    let count = stages.clone().count();
    let holes = stages.filter(|stage| !matches!(stage, Stage::Done { .. }));
    let first = holes.clone().find_map(Stage::reason)?;
    let in_doubt = holes
        .clone()
        .filter(|stage| matches!(stage, Stage::InDoubt { .. }))
        .count();
    let holes = holes.count();
    let which = match count {
        1 => "its only piece".to_owned(),
        _ => format!("{holes} of {count} pieces"),
    };
    let text = format!("{which} could not be transcribed: {}", first.text);
    if in_doubt > 0 {
        return Some(Stage::InDoubt {
            reason: Reason::new(first.code, text),
            retry_at: None,
        });
    }
    let code = if holes == count {
        first.code
    } else {
        "incomplete".to_owned()
    };
    Some(Stage::Failed {
        reason: Reason::new(code, text),
    })
}

/// Whether a piece moves no more by itself.
pub fn has_ended(stage: &Stage) -> bool {
    match stage {
        Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled
        | Stage::InDoubt { retry_at: None, .. } => true,
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::InDoubt {
            retry_at: Some(_), ..
        } => false,
    }
}

/// What came of a piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What it holds.
    pub stretch: Stretch,
    /// The body of its reply; or why there is none.
    pub reply: Result<Vec<u8>, Reason>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Composite {
    format: String,
    version: u32,
    pieces: Vec<CompositePiece>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CompositePiece {
    piece: usize,
    /// Seconds from the start of the recording.
    start: f64,
    end: f64,
    /// The reply, as JSON where it is JSON, else as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Reason>,
}

/// The reply that is made of those of all pieces.
///
/// # Errors
/// That it cannot be written as JSON.
pub fn compose(pieces: &[Ended]) -> Result<Vec<u8>, serde_json::Error> {
    let pieces = pieces.iter().enumerate().map(|(position, piece)| {
        let (reply, failed) = match &piece.reply {
            Ok(body) => (Some(value(body)), None),
            Err(reason) => (None, Some(reason.clone())),
        };
        CompositePiece {
            piece: position + 1,
            start: piece.stretch.begins().seconds(),
            end: piece.stretch.ends().seconds(),
            reply,
            failed,
        }
    });
    serde_json::to_vec(&Composite {
        format: FORMAT.to_owned(),
        version: VERSION,
        pieces: pieces.collect(),
    })
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body).into_owned()))
}

/// The pieces of a reply that was put together.
///
/// # Errors
/// That it is no such reply.
pub fn take_apart(body: &[u8]) -> Result<Vec<Ended>, serde_json::Error> {
    let composite: Composite = serde_json::from_slice(body)?;
    let pieces = composite.pieces.into_iter().map(|piece| Ended {
        stretch: Stretch::between(length(piece.start), length(piece.end)),
        reply: match (piece.reply, piece.failed) {
            (Some(Value::String(text)), _) => Ok(text.into_bytes()),
            (Some(value), _) => Ok(value.to_string().into_bytes()),
            (None, Some(reason)) => Err(reason),
            (None, None) => Err(Reason::new("unknown", "nobody knows why")),
        },
    });
    Ok(pieces.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut to what fits, and no recording is longer"
)]
fn length(seconds: f64) -> AudioDuration {
    AudioDuration::from_micros((seconds.max(0.0) * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::ReplyId;

    fn done() -> Stage {
        Stage::Done { reply: ReplyId(1) }
    }

    fn failed() -> Stage {
        Stage::Failed {
            reason: Reason::new("upload_broken", "it broke"),
        }
    }

    fn held() -> Stage {
        Stage::InDoubt {
            reason: Reason::new("reply_lost", "it is lost"),
            retry_at: None,
        }
    }

    #[test]
    fn nothing_is_joined_before_the_last_piece_has_ended() {
        for stage in [Stage::queued(), Stage::Submitting, Stage::Committing] {
            assert_eq!(join([done(), stage].iter()), Joined::Waits);
        }
    }

    #[test]
    fn what_there_is_of_a_transcript_is_put_together_and_what_is_missing_is_said() {
        assert_eq!(join([done(), done()].iter()), Joined::Reply);
        assert_eq!(missing([done(), done()].iter()), None);
        assert_eq!(join([done(), failed()].iter()), Joined::Reply);
        let ended = missing([done(), failed()].iter()).unwrap();
        let reason = ended.reason().unwrap();
        assert_eq!(reason.code, "incomplete");
        assert!(reason.text.starts_with("1 of 2 pieces"), "{}", reason.text);
        assert!(matches!(ended, Stage::Failed { .. }));
    }

    #[test]
    fn a_piece_in_doubt_leaves_the_whole_to_a_person() {
        assert_eq!(join([done(), held()].iter()), Joined::Reply);
        let ended = missing([failed(), done(), held()].iter());
        assert!(matches!(ended, Some(Stage::InDoubt { retry_at: None, .. })));
    }

    #[test]
    fn without_any_transcript_the_whole_ends_like_its_pieces() {
        let Joined::Ends(ended) = join([failed(), failed()].iter()) else {
            panic!("it has ended");
        };
        assert_eq!(ended.reason().unwrap().code, "upload_broken");
        let cancelled = join([done(), Stage::Cancelled].iter());
        assert_eq!(cancelled, Joined::Ends(Stage::Cancelled));
    }

    #[test]
    fn a_reply_is_put_together_and_taken_apart_without_loss() {
        let stretch = |start, end| Stretch { start, end };
        let pieces = vec![
            Ended {
                stretch: stretch(0, 1_234_567),
                reply: Ok(br#"{"transcription":"one","metadata":{"cost":0.1}}"#.to_vec()),
            },
            Ended {
                stretch: stretch(1_234_567, 2_000_001),
                reply: Err(Reason::new("undecodable", "it is noise")),
            },
            Ended {
                stretch: stretch(2_000_001, 2_000_002),
                reply: Ok(b"plain words".to_vec()),
            },
        ];
        let body = compose(&pieces).unwrap();
        assert_eq!(take_apart(&body).unwrap(), pieces);
        assert!(take_apart(b"{}").is_err());
    }
}
