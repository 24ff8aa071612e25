//! JSON as services send it by mistake, made JSON again where only a character or a number is at fault:
//! what was paid for is not lost for the sake of half an emoji.
//!
//! A byte order mark goes, bytes that are no UTF-8, lone surrogates and control characters become what
//! they can, and a number that none can hold becomes `null`. What is cut off stays unreadable.

use std::borrow::Cow;

/// What stands for a character that cannot be read.
const UNKNOWN: &str = "\u{fffd}";

/// Reads `body` by `parse`, and once more mended if that fails.
pub(super) fn read<T>(body: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    parse(body).or_else(|| {
        let text = String::from_utf8_lossy(body);
        let mended = mended(text.trim_start_matches('\u{feff}'));
        parse(mended.as_bytes())
    })
}

/// A text of JSON with its small faults mended.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => string(rest, &mut out),
            '-' | '+' | '0'..='9' | 'N' | 'I' => number(rest, &mut out),
            other => {
                out.push(other);
                rest.get(other.len_utf8()..).unwrap_or_default()
            }
        };
    }
    out
}

/// Copies the string that `text` begins with, and gives what follows it.
fn string<'a>(text: &'a str, out: &mut String) -> &'a str {
    out.push('"');
    let mut rest = text.get(1..).unwrap_or_default();
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => {
                out.push('"');
                return rest.get(1..).unwrap_or_default();
            }
            '\\' => {
                let (escape, behind) = escape(rest);
                out.push_str(&escape);
                rest = behind;
            }
            control if control < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
                rest = rest.get(1..).unwrap_or_default();
            }
            other => {
                out.push(other);
                rest = rest.get(other.len_utf8()..).unwrap_or_default();
            }
        }
    }
    rest
}

/// The escape that `text` begins with, or what stands for it, and what follows.
fn escape(text: &str) -> (Cow<'_, str>, &str) {
    let cut = |length: usize| text.split_at_checked(length).unwrap_or((text, ""));
    match unit(text) {
        None => {
            let length = 1 + text.chars().nth(1).map_or(0, char::len_utf8);
            let (escape, behind) = cut(length);
            (Cow::Borrowed(escape), behind)
        }
        Some(high @ 0xD800..=0xDFFF) => {
            let (_, behind) = cut(6);
            let is_pair =
                high < 0xDC00 && unit(behind).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low));
            if is_pair {
                let (pair, behind) = cut(12);
                (Cow::Borrowed(pair), behind)
            } else {
                (Cow::Borrowed(UNKNOWN), behind)
            }
        }
        Some(_) => {
            let (escape, behind) = cut(6);
            (Cow::Borrowed(escape), behind)
        }
    }
}

/// The number of the `\uXXXX` that `text` begins with.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// Copies the number that `text` begins with, or `null` for one that is none, and gives what follows.
fn number<'a>(text: &'a str, out: &mut String) -> &'a str {
    let is_part = |one: char| one.is_ascii_alphanumeric() || "+-.".contains(one);
    let length = text.find(|one| !is_part(one)).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(length).unwrap_or((text, ""));
    let is_endless = number.parse().is_ok_and(|value: f64| !value.is_finite());
    out.push_str(if is_endless { "null" } else { number });
    rest
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn value(body: &[u8]) -> Option<Value> {
        read(body, |bytes| serde_json::from_slice(bytes).ok())
    }

    #[test]
    fn a_character_that_cannot_be_read_costs_no_more_than_itself() {
        for (body, text) in [
            (&b"{\"t\": \"lone \\ud83d here\"}"[..], "lone \u{fffd} here"),
            (
                b"{\"t\": \"\\udc00\\ud83d\\ude00 \\ud83d\\n\"}",
                "\u{fffd}😀 \u{fffd}\n",
            ),
            (b"{\"t\": \"caf\xe9 ok\"}", "caf\u{fffd} ok"),
            (b"\xef\xbb\xbf{\"t\": \"a \\\\\\\" b\"}", "a \\\" b"),
            (b"{\"t\": \"two\nlines\"}", "two\nlines"),
        ] {
            assert_eq!(value(body).unwrap()["t"], text);
        }
    }

    #[test]
    fn a_number_that_none_can_hold_is_none() {
        let body = br#"{"a": 1e400, "b": NaN, "c": -Infinity, "d": -1.5e3, "e": [true, 2]}"#;
        let expected =
            serde_json::json!({"a": null, "b": null, "c": null, "d": -1500.0, "e": [true, 2]});
        assert_eq!(value(body), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_no_json_stays_unreadable() {
        for body in [
            &b"{\"t\": \"cut"[..],
            b"<html>",
            b"{\"a\": 12x}",
            b"",
            b"{\"t\": \"\\",
        ] {
            assert_eq!(value(body), None);
        }
    }
}
