//! The shapes that servers of OpenAI's transcription endpoint send, read leniently.
//!
//! `json` has a text alone; `verbose_json` adds segments and words, which some servers put into the
//! segments; `diarized_json` has segments with speakers. Whoever asks for one may get another.
//! Source: OpenAI's API reference, "Create transcription".

use serde_json::{Map, Value};

use crate::domain::transcript::{Heard, HeardSegment, HeardWord, WordKind};
use crate::domain::verdict::Shape;
use crate::speech::fields::{
    error_beside, is_no_speech, label, list, moment, number, object, text, tidy, words_of,
};

/// Names of request fields without which a server may still transcribe.
const FORM_FIELDS: &[&str] = &[
    "response_format",
    "timestamp_granularities",
    "timestamp_granularities[]",
    "chunking_strategy",
];
/// The code of a refusal for want of money, which comes as a rate limit (429).
const NO_MONEY: &str = "insufficient_quota";

/// What a body looks like.
pub(super) fn shape(body: &[u8]) -> Shape {
    let Some(fields) = object(body) else {
        let text = String::from_utf8_lossy(body);
        return match text.trim() {
            "" => Shape::Empty,
            text if text.starts_with(['{', '[']) => Shape::Unreadable(tidy(text)),
            text => Shape::Foreign(tidy(text)),
        };
    };
    if text(&fields, "text").is_some() {
        return Shape::Transcript;
    }
    match words_of(&fields) {
        words if words.is_empty() && !fields.contains_key("error") => {
            Shape::Unreadable(tidy(&String::from_utf8_lossy(body)))
        }
        words => Shape::Error(words),
    }
}

/// Whether a refusal names a field of the form, and not the recording.
pub(super) fn blames_form(body: &[u8]) -> bool {
    error_field(body, "param").is_some_and(|param| FORM_FIELDS.contains(&param.as_str()))
}

/// Whether a refusal is for want of money.
pub(super) fn wants_money(body: &[u8]) -> bool {
    error_field(body, "code").as_deref() == Some(NO_MONEY)
        || error_field(body, "type").as_deref() == Some(NO_MONEY)
}

fn error_field(body: &[u8], name: &str) -> Option<String> {
    let fields = object(body)?;
    let error = fields.get("error")?.as_object()?;
    text(error, name).map(str::to_owned)
}

/// What was heard.
pub(super) fn heard(body: &[u8]) -> Heard {
    let Some(fields) = object(body) else {
        return Heard::default();
    };
    let segments = list(fields.get("segments"));
    let mut words: Vec<HeardWord> = list(fields.get("words")).iter().filter_map(word).collect();
    if words.is_empty() {
        let inner = segments
            .iter()
            .flat_map(|segment| list(segment.get("words")));
        words = inner.filter_map(word).collect();
    }
    Heard {
        text: text(&fields, "text").unwrap_or_default().to_owned(),
        language: text(&fields, "language")
            .filter(|language| !language.is_empty() && *language != "auto")
            .map(str::to_owned),
        duration: number(&fields, "duration"),
        segments: segments.iter().filter_map(segment).collect(),
        words,
        silences: segments.iter().filter_map(silence).collect(),
        error: error_beside(&fields),
        ..Heard::default()
    }
}

/// Where a segment lies that the server itself takes for no speech.
fn silence(segment: &Value) -> Option<(f64, f64)> {
    let fields = segment.as_object()?;
    let chance = number(fields, "no_speech_prob")?;
    let is_silent = is_no_speech(chance, number(fields, "avg_logprob")?);
    is_silent.then_some((number(fields, "start")?, number(fields, "end")?))
}

fn segment(segment: &Value) -> Option<HeardSegment> {
    let fields = segment.as_object()?;
    Some(HeardSegment {
        start: moment(fields, "start"),
        end: moment(fields, "end"),
        text: text(fields, "text")?.to_owned(),
        speaker: speaker(fields),
    })
}

fn word(word: &Value) -> Option<HeardWord> {
    let fields = word.as_object()?;
    Some(HeardWord {
        text: text(fields, "word")
            .or_else(|| text(fields, "text"))?
            .to_owned(),
        start: moment(fields, "start"),
        end: moment(fields, "end"),
        kind: WordKind::Word,
        speaker: speaker(fields),
    })
}

fn speaker(fields: &Map<String, Value>) -> Option<String> {
    label(fields, "speaker")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_transcript_even_if_it_is_empty() {
        assert_eq!(shape(br#"{"text": ""}"#), Shape::Transcript);
        assert_eq!(shape(b""), Shape::Empty);
        assert!(matches!(shape(b"<html>"), Shape::Foreign(_)));
        assert!(matches!(shape(b"{}"), Shape::Unreadable(_)));
    }

    #[test]
    fn errors_of_servers_are_read_in_every_shape() {
        for body in [
            r#"{"error": {"message": "no such model", "type": "x", "param": null, "code": null}}"#,
            r#"{"error": "no such model"}"#,
            r#"{"detail": "no such model"}"#,
            r#"{"message": "no such model"}"#,
        ] {
            let expected = Shape::Error("no such model".to_owned());
            assert_eq!(shape(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_refusal_of_the_form_is_told_from_one_of_the_recording() {
        assert!(blames_form(
            br#"{"error": {"message": "m", "param": "response_format"}}"#
        ));
        assert!(!blames_form(
            br#"{"error": {"message": "m", "param": "file"}}"#
        ));
        assert!(!blames_form(br#"{"error": "response_format"}"#));
    }

    #[test]
    fn want_of_money_is_told_by_its_code() {
        assert!(wants_money(
            br#"{"error": {"message": "m", "code": "insufficient_quota"}}"#
        ));
        assert!(!wants_money(
            br#"{"error": {"message": "insufficient_quota", "code": "rate_limit_exceeded"}}"#
        ));
    }

    #[test]
    fn words_stand_beside_the_segments_or_inside_of_them() {
        let beside = heard(
            br#"{"text": "Hi you", "language": "english", "duration": 2.5,
                "segments": [{"id": 0, "start": 0.0, "end": 2.5, "text": " Hi you"}],
                "words": [{"word": "Hi", "start": 0.1, "end": 0.4}, {"word": "you", "start": 0.5, "end": 0.9}]}"#,
        );
        let inside = heard(
            br#"{"text": "Hi you", "language": "english", "duration": 2.5,
                "segments": [{"id": 0, "start": 0.0, "end": 2.5, "text": " Hi you", "words":
                [{"word": "Hi", "start": 0.1, "end": 0.4}, {"word": "you", "start": 0.5, "end": 0.9}]}]}"#,
        );
        assert_eq!(beside, inside);
        assert_eq!(beside.words.len(), 2);
        assert_eq!(beside.duration, Some(2.5));
    }

    #[test]
    fn what_the_server_takes_for_no_speech_is_kept_as_silence() {
        let heard = heard(
            br#"{"text": "Hi. Thanks.", "segments": [
                {"start": 0, "end": 1, "text": "Hi.", "no_speech_prob": 0.7, "avg_logprob": -0.2},
                {"start": 1, "end": 9.5, "text": "Thanks.", "no_speech_prob": 0.9, "avg_logprob": -1.4}]}"#,
        );
        assert_eq!(heard.silences, [(1.0, 9.5)]);
    }

    #[test]
    fn speakers_of_a_diarized_reply_are_kept() {
        let heard = heard(
            br#"{"text": "Hi", "segments": [{"type": "transcript.text.segment", "start": 0, "end": 1,
                "text": "Hi", "speaker": "A"}]}"#,
        );
        assert_eq!(heard.segments[0].speaker.as_deref(), Some("A"));
    }
}
