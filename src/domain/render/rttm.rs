//! Rich Transcription Time Marked (NIST, "The 2009 Rich Transcription Evaluation Plan", appendix A):
//! one line for every stretch of one speaker without a long pause, and one that leaves out of account what has no
//! transcript.

use super::{Document, title};
use crate::domain::transcript::{Presence, Span, SpeakerId, Transcript, Turn};

/// A pause that ends a stretch of speech, in seconds.
const PAUSE_SECONDS: f64 = 0.8;

/// What pandas, by which pyannote reads these files, takes for no value.
const NO_VALUES: [&str; 17] = [
    "#N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The lines, in the order of the speech.
pub(super) fn render(document: &Document) -> String {
    let file = field(&title(document));
    let transcript = &document.transcript;
    let mut file_lines = String::new();
    let mut put = |speaker: SpeakerId, span: Span| {
        let name = name(transcript, speaker);
        let (start, seconds) = (span.start(), span.seconds());
        file_lines.push_str(&format!(
            "SPEAKER {file} 1 {start:.3} {seconds:.3} <NA> <NA> {name} <NA> <NA>\n"
        ));
    };
    for Presence { span, speaker } in &transcript.presences {
        if span.seconds() > 0.0 {
            put(*speaker, *span);
        }
    }
    for turn in transcript.turns() {
        if let Some(speaker) = turn.speaker {
            stretches(&turn)
                .into_iter()
                .for_each(|span| put(speaker, span));
        }
    }
    let holes = transcript.segments.iter().filter(|segment| segment.missing);
    for hole in holes.filter_map(|segment| segment.span) {
        let (start, seconds) = (hole.start(), hole.seconds());
        file_lines.push_str(&format!(
            "NOSCORE {file} 1 {start:.3} {seconds:.3} <NA> <NA> <NA> <NA> <NA>\n"
        ));
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

/// A text as one field: fields are separated by white space, and a reader may take `"` for the begin of
/// one that holds some.
fn field(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join("_");
    let mut field = joined.replace('"', "'");
    if NO_VALUES.contains(&field.as_str()) {
        field.push('_');
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_none_that_readers_take_for_quoted_or_empty() {
        assert_eq!(field("\"Bob\"  the  Cat"), "'Bob'_the_Cat");
        assert_eq!(["NA", "null", "Nan"].map(field), ["NA_", "null_", "Nan"]);
    }
}
