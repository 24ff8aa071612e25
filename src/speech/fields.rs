//! Fields of JSON bodies, read leniently: what is absent or of another type is not there.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::lenient;

/// The probability of no speech above which a segment is doubtful.
const MOST_NO_SPEECH: f64 = 0.6;
/// The mean logarithm of the probability of its words below which it is doubtful as well.
const LEAST_CONFIDENCE: f64 = -1.0;
/// The most of the service's words that are kept, in characters.
const LONGEST_WORDS: usize = 300;
/// The fields of a body that is an object.
pub(super) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match lenient::read(body, |bytes| serde_json::from_slice(bytes).ok())? {
        Value::Object(fields) => Some(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

/// A field that is text.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str()
}

/// The entries of an array, none of anything else.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A label that may be text or a number.
pub(super) fn label(fields: &Map<String, Value>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// A field that is a number, or a text of nothing else.
pub(super) fn number(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    match fields.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A field that is a time in seconds: not a number where it is something else.
pub(super) fn moment(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    match fields.get(name)? {
        Value::Null => None,
        Value::Number(_)
        | Value::String(_)
        | Value::Bool(_)
        | Value::Array(_)
        | Value::Object(_) => Some(number(fields, name).unwrap_or(f64::NAN)),
    }
}

/// A decimal that may be text or a number.
pub(super) fn decimal(value: &Value) -> Option<Decimal> {
    let digits = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    digits
        .parse()
        .ok()
        .or_else(|| Decimal::from_scientific(&digits).ok())
}

/// Whether a segment is no speech, by its probability of none and the mean logarithm of that of its
/// words (openai-whisper's own rule).
pub(super) fn is_no_speech(chance: f64, confidence: f64) -> bool {
    chance > MOST_NO_SPEECH && confidence < LEAST_CONFIDENCE
}

/// The service's words in any of its error shapes.
pub(super) fn words_of(fields: &Map<String, Value>) -> String {
    let error = fields.get("error");
    let inner = error
        .and_then(Value::as_object)
        .and_then(|error| text(error, "message"));
    let words = inner
        .or_else(|| text(fields, "message"))
        .or_else(|| error.and_then(Value::as_str))
        .or_else(|| text(fields, "detail"));
    tidy(words.unwrap_or_default())
}

/// The error in a body that is a result all the same, if it names one.
pub(super) fn error_beside(fields: &Map<String, Value>) -> Option<String> {
    let error = fields.get("error")?;
    let named = match error {
        Value::Null | Value::Bool(false) => return None,
        Value::Object(object) => {
            text(object, "message").map_or_else(|| error.to_string(), str::to_owned)
        }
        Value::String(words) => words.clone(),
        Value::Bool(true) | Value::Number(_) | Value::Array(_) => error.to_string(),
    };
    Some(tidy(&named)).filter(|words| !words.is_empty())
}

/// A word with nothing but the host of a link in it that has a query: what is signed opens a recording to
/// whoever reads it.
fn without_signature(word: &str) -> Cow<'_, str> {
    let host = |at: usize| word.get(at + 3..)?.find(['/', '?']).map(|end| at + 3 + end);
    match word.find("://").and_then(host) {
        Some(end) if word.contains('?') => {
            format!("{}/…", word.get(..end).unwrap_or_default()).into()
        }
        Some(_) | None => word.into(),
    }
}

/// Words of others on one line, without control characters and signed links, cut at [`LONGEST_WORDS`].
pub(super) fn tidy(words: &str) -> String {
    let mut tidy = String::new();
    for word in words.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(&without_signature(word));
    }
    match tidy.char_indices().nth(LONGEST_WORDS) {
        Some((end, _)) => format!("{}…", tidy.get(..end).unwrap_or_default()),
        None => tidy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_a_service_quotes_loses_what_it_is_signed_with() {
        let link = "https://host.example:9000/rec/0823.mp3?X-Amz-Signature=982848";
        assert_eq!(
            tidy(&format!(
                "failed to fetch {link}, see https://example.org/help"
            )),
            "failed to fetch https://host.example:9000/… see https://example.org/help"
        );
        assert_eq!(
            tidy(&format!("({{\"url\":\"{link}\"}})")),
            "({\"url\":\"https://host.example:9000/…"
        );
    }
}
