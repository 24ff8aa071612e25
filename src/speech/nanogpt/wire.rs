//! The shapes that the service sends, read leniently: every field optional, every enum open.
//!
//! Nothing here fails on what it does not know; what it cannot read it calls unreadable.

use bytes::Bytes;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use crate::domain::audio::AudioDuration;
use crate::domain::job::{Settings, Ticket};
use crate::domain::money::{Amount, Currency};
use crate::domain::price::Catalogue;
use crate::domain::transcript::{Heard, HeardSegment, HeardTurn, HeardWord, WordKind};
use crate::domain::verdict::Shape;
use crate::speech::fields::{
    decimal, error_beside, is_no_speech, label, object, text, tidy, words_of,
};
use crate::speech::loose::Loose;

/// The most that one submit is believed to cost, in whole units of its currency.
const LARGEST_COST: u32 = 10_000;
/// Statuses that end a run badly, in small letters.
const BAD_ENDS: &[&str] = &["failed", "error", "cancelled", "canceled", "expired"];
/// Statuses that end a run well.
const GOOD_ENDS: &[&str] = &["completed", "complete", "succeeded", "success", "done"];

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
    let status = text(&fields, "status")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let transcription = text(&fields, "transcription").or_else(|| text(&fields, "text"));
    if BAD_ENDS.contains(&status.as_str()) {
        Shape::Failure(words_of(&fields))
    } else if GOOD_ENDS.contains(&status.as_str())
        || transcription.is_some_and(|text| status.is_empty() || !text.is_empty())
    {
        Shape::Transcript
    } else if run_id(&fields).is_some() {
        Shape::Ticket
    } else if fields.contains_key("error") {
        Shape::Error(words_of(&fields))
    } else if status.is_empty() {
        match words_of(&fields) {
            words if words.is_empty() => Shape::Unreadable(tidy(&String::from_utf8_lossy(body))),
            words => Shape::Error(words),
        }
    } else {
        Shape::Running
    }
}

/// The ticket in a body, if it has a run id.
pub(super) fn ticket(body: &[u8]) -> Option<Ticket> {
    let fields = object(body)?;
    Some(Ticket {
        run_id: run_id(&fields)?,
        fields,
    })
}

/// What a submit with a link sends, as JSON.
pub(super) fn link_call(
    settings: &Settings,
    duration: Option<AudioDuration>,
    link: &SecretString,
) -> Bytes {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("audioUrl", Value::from(link.expose_secret()));
    put("model", Value::from(settings.model.clone()));
    put("language", Value::from(settings.language.clone()));
    if let Some(duration) = duration {
        put("actualDuration", Value::from(duration.minutes()));
    }
    for (name, wanted) in [
        ("diarize", settings.diarize),
        ("tagAudioEvents", settings.tag_audio_events),
    ] {
        if wanted {
            put(name, Value::Bool(true));
        }
    }
    Bytes::from(Value::Object(fields).to_string())
}

/// What a status call sends: every field of the ticket, none that is null, and `isApiRequest`.
pub(super) fn status_call(ticket: &Ticket) -> Value {
    let mut fields = ticket.fields.clone();
    fields.retain(|_, value| !value.is_null());
    fields
        .entry("runId")
        .or_insert_with(|| Value::from(ticket.run_id.clone()));
    fields.insert("isApiRequest".to_owned(), Value::Bool(true));
    Value::Object(fields)
}

/// What a body says the submit has cost, if that can be believed: in its metadata if it has any, else beside the run id.
pub(super) fn cost(body: &[u8]) -> Option<Amount> {
    let fields = object(body)?;
    let metadata = fields.get("metadata").and_then(Value::as_object);
    let in_metadata = metadata.and_then(|metadata| {
        Some(Amount {
            value: decimal(metadata.get("cost")?)?,
            currency: currency(metadata),
        })
    });
    let amount = in_metadata.or_else(|| {
        Some(Amount {
            value: decimal(fields.get("cost")?)?,
            currency: currency(&fields),
        })
    });
    amount.and_then(believable)
}

/// An amount that a submit may cost; what is negative or absurd says nothing about money.
fn believable(amount: Amount) -> Option<Amount> {
    let is_believable =
        !amount.value.is_sign_negative() && amount.value <= Decimal::from(LARGEST_COST);
    is_believable.then_some(amount)
}

/// The balance in dollars.
pub(super) fn balance(body: &[u8]) -> Option<Decimal> {
    decimal(object(body)?.get("usd_balance")?)
}

/// Dollars a minute by model, from the list of models; `None` for a body that is no such list.
pub(super) fn prices(body: &[u8]) -> Option<Catalogue> {
    let fields = object(body)?;
    let models = fields.get("data")?.as_array()?;
    Some(models.iter().filter_map(price).collect())
}

fn price(model: &Value) -> Option<(String, Decimal)> {
    let id = model.get("id")?.as_str()?.to_owned();
    let pricing = model.get("pricing")?.as_object()?;
    if currency(pricing) != Currency::usd() {
        return None;
    }
    let price = believable(Amount::usd(decimal(pricing.get("per_minute")?)?))?;
    Some((id, price.value))
}

/// What was heard.
pub(super) fn heard(body: &[u8]) -> Heard {
    let Some(reply) = Loose::read(body) else {
        return Heard::default();
    };
    let metadata = reply.field("metadata");
    let in_metadata = |name: &str| metadata.and_then(|metadata| metadata.field(name));
    let language = match in_metadata("language") {
        Some(_) => metadata.and_then(|metadata| metadata.text("language")),
        None => reply.text("language"),
    };
    let diarization = reply.field("diarization");
    let turns = diarization.map_or(&[][..], |diarization| diarization.list("segments"));
    let segments: Vec<HeardSegment> = reply.list("segments").iter().filter_map(segment).collect();
    let mut words: Vec<HeardWord> = reply.list("words").iter().filter_map(word).collect();
    if words.is_empty() {
        let inner = reply.list("segments").iter();
        words = inner
            .flat_map(|segment| segment.list("words"))
            .filter_map(word)
            .collect();
    }
    let turns: Vec<HeardTurn> = turns.iter().filter_map(turn).collect();
    let is_bare =
        words.is_empty() && segments.is_empty() && turns.iter().all(|turn| turn.text.is_empty());
    let error = reply
        .field("error")
        .and_then(|_| error_beside(&object(body)?));
    Heard {
        no_text: no_text(&reply).filter(|_| is_bare),
        error,
        text: reply
            .text("transcription")
            .or_else(|| reply.text("text"))
            .unwrap_or_default()
            .to_owned(),
        language: language
            .filter(|language| !language.is_empty() && *language != "auto")
            .map(str::to_owned),
        duration: metadata
            .and_then(|metadata| metadata.number("actualDuration"))
            .map(|minutes| minutes * 60.0)
            .or_else(|| reply.number("duration")),
        segments,
        words,
        turns,
        silences: reply.list("segments").iter().filter_map(silence).collect(),
        ..Heard::default()
    }
}

/// Why a reply has no text where it belongs.
fn no_text(reply: &Loose<'_>) -> Option<String> {
    match reply.field("transcription").or_else(|| reply.field("text")) {
        Some(Loose::Text(_)) => None,
        Some(Loose::Word | Loose::Number(_) | Loose::List(_) | Loose::Object(_)) => {
            Some("what the reply has as its transcription is no text: see the raw reply".to_owned())
        }
        None => Some("the reply has no transcription: see the raw reply".to_owned()),
    }
}

/// A segment of the shape that OpenAI's endpoint gives, which the service may hand on.
fn segment(segment: &Loose<'_>) -> Option<HeardSegment> {
    Some(HeardSegment {
        start: segment.moment("start"),
        end: segment.moment("end"),
        text: segment.text("text")?.to_owned(),
        speaker: segment
            .label("speaker")
            .or_else(|| segment.label("speaker_id")),
    })
}

/// Where a segment lies that the recogniser itself takes for no speech.
fn silence(segment: &Loose<'_>) -> Option<(f64, f64)> {
    let chance = segment.number("no_speech_prob")?;
    let is_silent = is_no_speech(chance, segment.number("avg_logprob")?);
    is_silent.then_some((segment.number("start")?, segment.number("end")?))
}

fn word(word: &Loose<'_>) -> Option<HeardWord> {
    Some(HeardWord {
        text: word.text("text").or_else(|| word.text("word"))?.to_owned(),
        start: word.moment("start"),
        end: word.moment("end"),
        kind: word
            .text("type")
            .map_or(WordKind::Word, WordKind::from_name),
        speaker: word.label("speaker_id").or_else(|| word.label("speaker")),
    })
}

fn turn(turn: &Loose<'_>) -> Option<HeardTurn> {
    Some(HeardTurn {
        speaker: turn.label("speaker").or_else(|| turn.label("speaker_id"))?,
        text: turn.text("text").unwrap_or_default().to_owned(),
        start: turn.moment("start"),
        end: turn.moment("end"),
    })
}

fn run_id(fields: &Map<String, Value>) -> Option<String> {
    label(fields, "runId")
}

fn currency(fields: &Map<String, Value>) -> Currency {
    text(fields, "currency")
        .or_else(|| text(fields, "paymentSource"))
        .map_or_else(Currency::usd, Currency::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_shape_is_an_error_with_the_words_of_the_service() {
        for body in [
            r#"{"error": 400, "message": "no credit"}"#,
            r#"{"error": "no credit", "status": 402, "requiredBalance": 0.0035}"#,
            r#"{"error": {"message": "no credit", "type": "x", "code": "y"}}"#,
        ] {
            assert_eq!(
                shape(body.as_bytes()),
                Shape::Error("no credit".into()),
                "{body}"
            );
        }
        assert_eq!(shape(b""), Shape::Empty);
        assert_eq!(
            shape(b"<html>\n\x1b[31mBad"),
            Shape::Foreign("<html> [31mBad".into())
        );
    }

    #[test]
    fn a_reply_is_told_from_a_ticket_by_what_it_holds() {
        assert_eq!(shape(br#"{"transcription": ""}"#), Shape::Transcript);
        assert_eq!(shape(br#"{"text": "hi"}"#), Shape::Transcript);
        assert_eq!(heard(br#"{"text": "hi"}"#).text, "hi");
        assert_eq!(
            shape(br#"{"runId": "r", "status": "pending"}"#),
            Shape::Ticket
        );
        assert_eq!(
            shape(br#"{"runId": "r", "transcription": "hi"}"#),
            Shape::Transcript
        );
        assert_eq!(shape(br#"{"status": "completed"}"#), Shape::Transcript);
        assert_eq!(shape(br#"{"status": "brewing"}"#), Shape::Running);
        assert_eq!(
            shape(br#"{"status": "CANCELED"}"#),
            Shape::Failure(String::new())
        );
        assert!(matches!(shape(b"{}"), Shape::Unreadable(_)));
        assert!(matches!(
            shape(br#"{"transcription": "cut"#),
            Shape::Unreadable(_)
        ));
    }

    #[test]
    fn a_result_without_text_says_so_and_an_empty_text_is_silence() {
        for (body, is_odd) in [
            (&br#"{"status": "completed"}"#[..], true),
            (
                br#"{"status": "completed", "result": {"text": "hi"}}"#,
                true,
            ),
            (
                br#"{"status": "completed", "transcription": ["a", "list"]}"#,
                true,
            ),
            (br#"{"status": "completed", "transcription": null}"#, true),
            (br#"{"status": "completed", "transcription": ""}"#, false),
            (br#"{"status": "completed", "text": "hi"}"#, false),
            (
                br#"{"status": "completed", "words": [{"text": "hi"}]}"#,
                false,
            ),
        ] {
            let heard = heard(body);
            let body = String::from_utf8_lossy(body);
            assert_eq!(heard.no_text.is_some(), is_odd, "{body}");
            assert_eq!(heard.error, None, "{body}");
        }
    }

    #[test]
    fn segments_beside_the_text_keep_their_times() {
        let body = br#"{"transcription": "Hi you. Bye.", "duration": 4.5, "segments": [
            {"start": 0.0, "end": 1.5, "text": " Hi you."}, {"start": "2.5", "end": 4, "text": " Bye.",
             "no_speech_prob": 0.9, "avg_logprob": -1.4, "words": [{"word": "Bye.", "start": 2.5, "end": 3}]}]}"#;
        let heard = heard(body);
        assert_eq!(
            (heard.segments[1].start, heard.duration),
            (Some(2.5), Some(4.5))
        );
        assert_eq!(
            (heard.words.len(), &heard.silences[..]),
            (1, &[(2.5, 4.0)][..])
        );
    }

    #[test]
    fn a_reply_with_half_a_character_is_a_transcript_and_costs_what_it_says() {
        for body in [
            &b"{\"transcription\": \"hi \\ud83d\", \"metadata\": {\"cost\": 0.01}}"[..],
            b"\xef\xbb\xbf{\"transcription\": \"hi \xe9\", \"metadata\": {\"cost\": 0.01}}",
            b"{\"transcription\": \"hi \xff\", \"words\": [{\"start\": 1e400}], \"metadata\": {\"cost\": 0.01}}",
        ] {
            assert_eq!(shape(body), Shape::Transcript);
            assert_eq!(heard(body).text, "hi \u{fffd}");
            assert_eq!(cost(body), Some(Amount::usd("0.01".parse().unwrap())));
        }
    }

    #[test]
    fn an_error_beside_a_result_is_kept() {
        for (body, words) in [
            (
                &br#"{"transcription": "hi", "error": "cut\nshort"}"#[..],
                Some("cut short"),
            ),
            (
                br#"{"transcription": "hi", "error": {"message": "late"}}"#,
                Some("late"),
            ),
            (
                br#"{"transcription": "hi", "error": {"code": 7}}"#,
                Some("{\"code\":7}"),
            ),
            (br#"{"transcription": "hi", "error": ""}"#, None),
            (br#"{"transcription": "hi", "error": null}"#, None),
        ] {
            assert_eq!(heard(body).error.as_deref(), words);
        }
    }

    #[test]
    fn a_status_call_echoes_the_ticket_without_its_nulls() {
        let ticket = ticket(br#"{"runId": "r", "cost": 0.075, "fileName": null}"#).unwrap();
        let call = status_call(&ticket);
        let expected = serde_json::json!({"runId": "r", "cost": 0.075, "isApiRequest": true});
        assert_eq!(call, expected);
    }

    #[test]
    fn a_cost_is_read_exactly_from_a_number_or_a_text() {
        let number = cost(br#"{"metadata": {"cost": 0.0253, "currency": "usd"}}"#).unwrap();
        assert_eq!(number, Amount::usd("0.0253".parse().unwrap()));
        let text = cost(br#"{"cost": "1e-4", "paymentSource": "XNO"}"#).unwrap();
        assert_eq!(text.to_string(), "0.0001 XNO");
        assert_eq!(cost(br#"{"transcription": "hi"}"#), None);
        assert_eq!(cost(br#"{"cost": 1e15}"#), None, "absurd");
        assert_eq!(cost(br#"{"cost": -1}"#), None, "negative");
    }

    #[test]
    fn prices_leave_out_what_is_not_paid_by_the_minute() {
        let body = br#"{"object": "list", "data": [
            {"id": "a", "pricing": {"per_minute": 0.01, "currency": "USD"}},
            {"id": "b", "pricing": {"per_run": 1}}, {"id": "c"}, 7,
            {"id": "d", "pricing": {"per_minute": 1e27}}, {"id": "e", "pricing": {"per_minute": -1}}]}"#;
        let expected = [("a".to_owned(), "0.01".parse().unwrap())];
        assert_eq!(prices(body), Some(expected.into_iter().collect()));
        assert_eq!(prices(b"<html>"), None, "no list");
        assert_eq!(prices(br#"{"error": "no"}"#), None, "no list");
    }
}
