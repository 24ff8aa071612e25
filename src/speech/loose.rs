//! A JSON body as it stands, read leniently and quickly: texts are borrowed from it where they can be.
//!
//! For long replies, of which thousands are read again when outputs are. What is absent or of another
//! type is not there, as in `fields`; of a key that stands twice the last counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::lenient;

/// The keys of an object for which there is room at once.
const USUAL_KEYS: usize = 8;

/// A value of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Loose<'a> {
    /// `null`, `true` or `false`.
    Word,
    Text(Cow<'a, str>),
    Number(Number),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Loose<'a> {
    /// The body, if it is JSON or nearly.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let strict = serde_json::from_slice(body).ok();
        strict.or_else(|| {
            let read = |bytes: &[u8]| Some(serde_json::from_slice::<Loose<'_>>(bytes).ok()?.kept());
            lenient::read(body, read)
        })
    }

    /// The same without anything borrowed.
    fn kept<'b>(self) -> Loose<'b> {
        match self {
            Self::Word => Loose::Word,
            Self::Text(text) => Loose::Text(Cow::Owned(text.into_owned())),
            Self::Number(number) => Loose::Number(number),
            Self::List(list) => Loose::List(list.into_iter().map(Self::kept).collect()),
            Self::Object(fields) => {
                let fields = fields.into_iter();
                let kept = fields.map(|(key, value)| (Cow::Owned(key.into_owned()), value.kept()));
                Loose::Object(kept.collect())
            }
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        let named = fields.iter().rev().find(|(key, _)| key == name);
        named.map(|(_, value)| value)
    }

    /// A field that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Self::Text(text) => Some(text),
            Self::Word | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// A field that is a number, or a text of nothing else.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.field(name)? {
            Self::Number(number) => number.as_f64(),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Word | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// A field that is a time in seconds: not a number where it is something else.
    pub(super) fn moment(&self, name: &str) -> Option<f64> {
        match self.field(name)? {
            Self::Word => None,
            Self::Number(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => {
                Some(self.number(name).unwrap_or(f64::NAN))
            }
        }
    }

    /// A label that may be text or a number.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        match self.field(name)? {
            Self::Text(text) if !text.is_empty() => Some(text.clone().into_owned()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(_) | Self::Word | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The entries of a field that is an array, none of anything else.
    pub(super) fn list(&self, name: &str) -> &[Self] {
        match self.field(name) {
            Some(Self::List(entries)) => entries,
            Some(Self::Word | Self::Text(_) | Self::Number(_) | Self::Object(_)) | None => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

/// A key or a text, borrowed if it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Reading)? {
            Loose::Text(text) => Ok(Self(text)),
            Loose::Word | Loose::Number(_) | Loose::List(_) | Loose::Object(_) => {
                Err(serde::de::Error::custom("a key is no text"))
            }
        }
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Loose<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Word)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Word)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
        Ok(Loose::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
        Ok(Number::from_f64(number).map_or(Loose::Word, Loose::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Loose<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Loose::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Loose<'de>, A::Error> {
        let mut object = Vec::with_capacity(USUAL_KEYS);
        while let Some((Text(key), value)) = fields.next_entry()? {
            object.push((key, value));
        }
        Ok(Loose::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Loose<'_> {
        Loose::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_field_of_another_type_is_not_there() {
        let body = read(r#"{"a": "x", "b": 1.5, "c": [1, null], "d": {"a": true}, "e": null}"#);
        assert_eq!((body.text("a"), body.text("b")), (Some("x"), None));
        assert_eq!((body.number("b"), body.number("a")), (Some(1.5), None));
        assert_eq!(read(r#"{"a": " 0.5"}"#).number("a"), Some(0.5));
        assert!(body.moment("a").is_some_and(f64::is_nan) && body.moment("c").is_some());
        assert_eq!((body.moment("b"), body.moment("e")), (Some(1.5), None));
        assert_eq!((body.list("c").len(), body.list("d").len()), (2, 0));
        assert_eq!((body.text("e"), body.text("f")), (None, None));
        assert_eq!(read("[]").field("a"), None);
        assert_eq!(Loose::read(b"{"), None);
    }

    #[test]
    fn a_body_with_half_a_character_is_read() {
        let body =
            Loose::read(b"\xef\xbb\xbf{\"a\": \"x\\ud83d\", \"b\": [1e400, {\"c\": 2}]}").unwrap();
        assert_eq!(body.text("a"), Some("x\u{fffd}"));
        assert_eq!(body.list("b")[1].number("c"), Some(2.0));
    }

    #[test]
    fn labels_are_texts_or_numbers() {
        let body = read(r#"{"a": "x", "b": 2, "c": -1.5, "d": "", "e": true}"#);
        let labels = ["a", "b", "c", "d", "e"].map(|name| body.label(name));
        let labels = labels.map(Option::unwrap_or_default);
        assert_eq!(labels, ["x", "2", "-1.5", "", ""]);
    }

    #[test]
    fn escapes_are_read_and_the_last_of_two_keys_counts() {
        let body = read(r#"{"t\u0065xt": "one", "text": "\u00e9\n\""}"#);
        assert_eq!(body.text("text"), Some("é\n\""));
    }
}
