//! Rich Transcription Time Marked (NIST, "The 2009 Rich Transcription Evaluation Plan", appendix A):
//! one line for every stretch of one speaker without a long pause.

use super::{Document, stem};
use crate::domain::transcript::{Span, SpeakerId, Transcript, Turn};

/// A pause that ends a stretch of speech, in seconds.
const PAUSE_SECONDS: f64 = 0.8;

/// The lines, in the order of the speech.
pub(super) fn render(document: &Document) -> String {
    let file = field(stem(document));
    let transcript = &document.transcript;
    let mut file_lines = String::new();
    for turn in transcript.turns() {
        let Some(speaker) = turn.speaker else {
            continue;
        };
        let name = name(transcript, speaker);
        for span in stretches(&turn) {
            let (start, seconds) = (span.start(), span.seconds());
            file_lines.push_str(&format!(
                "SPEAKER {file} 1 {start:.3} {seconds:.3} <NA> <NA> {name} <NA> <NA>\n"
            ));
        }
    }
    file_lines
}

/// The spans of a turn's words, or else segments, joined where no long pause is between.
fn stretches(turn: &Turn<'_>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for segment in turn.segments {
        let words = segment
            .words
            .iter()
            .filter(|word| !word.event)
            .filter_map(|word| word.span);
        let whole = segment.span.filter(|_| segment.words.is_empty());
        for span in words.chain(whole) {
            match spans.last_mut() {
                Some(last) if span.start() - last.end() < PAUSE_SECONDS => *last = last.hull(span),
                Some(_) | None => spans.push(span),
            }
        }
    }
    spans.retain(|span| span.seconds() > 0.0);
    spans
}

fn name(transcript: &Transcript, speaker: SpeakerId) -> String {
    let given = transcript.speakers.iter().find(|known| known.id == speaker);
    match given.and_then(|known| known.name.as_deref()) {
        Some(name) if !name.trim().is_empty() => field(name),
        Some(_) | None => speaker.to_string(),
    }
}

/// A text as one field: fields are separated by white space.
fn field(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("_")
}
