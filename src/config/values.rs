//! From one raw value to a value in units: pure, and every refusal says what is allowed.
//!
//! A value from an environment variable is *loose*: a text whose meaning the key decides, so
//! that a model named `1234` stays a text and `jobs` becomes a number.

use std::ops::RangeInclusive;

use figment::value::Value;

use super::mistake::Fault;
use super::redact;
use super::settings::Choice;
use crate::domain::near::nearest;

/// Characters of a model name or another short text, at most.
const MAX_TEXT_CHARS: usize = 200;

/// Characters of a wrong value that are repeated in a message, at most.
const MAX_ECHO_CHARS: usize = 80;

/// A raw value on its way to a typed one.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    /// The value as it stands in the file, if it came from there.
    pub(super) written: Option<&'a str>,
    /// Whether it is a text of an environment variable, to be read as the key's type.
    pub(super) loose: bool,
}

impl Given<'_> {
    /// The text of an environment variable.
    pub(super) fn loose_text(&self) -> Option<&str> {
        self.value.as_str().filter(|_| self.loose)
    }

    /// The whole number of a file or a flag.
    pub(super) fn whole(&self) -> Option<i128> {
        let number = self.value.to_num()?;
        number
            .to_i128()
            .or_else(|| i128::try_from(number.to_u128()?).ok())
    }

    pub(super) fn found(&self, expected: &str) -> Fault {
        Fault::new(format!("expected {expected}, found {}", self.describe()))
    }

    fn describe(&self) -> String {
        match self.value {
            Value::String(_, text) => format!("the text {}", echo(text)),
            Value::Bool(_, truth) => truth.to_string(),
            Value::Num(_, number) if number.to_f64().is_some() => {
                "a number with a point".to_owned()
            }
            Value::Num(_, number) => match number.to_i128() {
                Some(number) => format!("the number {number}"),
                None => "a number".to_owned(),
            },
            Value::Char(..) => "a character".to_owned(),
            Value::Empty(..) => "a date or time".to_owned(),
            Value::Dict(..) => "a table".to_owned(),
            Value::Array(..) => "a list".to_owned(),
        }
    }
}

/// A wrong text in quotes, clipped, secrets masked.
pub(super) fn echo(text: &str) -> String {
    let masked = redact::text(text);
    let clipped: String = masked.chars().take(MAX_ECHO_CHARS).collect();
    let dots = if clipped.len() < masked.len() {
        "…"
    } else {
        ""
    };
    format!("{clipped:?}{dots}")
}

/// Any text.
pub(super) fn text(given: Given<'_>) -> Result<String, Fault> {
    given
        .value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| given.found("a text in quotes"))
}

/// A text that names something: not empty, on one line, of reasonable length.
pub(super) fn name(given: Given<'_>) -> Result<String, Fault> {
    let text = text(given)?.trim().to_owned();
    if text.is_empty() {
        return Err(Fault::new("must not be empty"));
    }
    if text.contains(char::is_control) {
        return Err(Fault::new("must not hold control characters"));
    }
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(Fault::new(format!(
            "must not be longer than {MAX_TEXT_CHARS} characters"
        )));
    }
    Ok(text)
}

/// `true` or `false`.
pub(super) fn boolean(given: Given<'_>) -> Result<bool, Fault> {
    if let Some(text) = given.loose_text() {
        return text
            .trim()
            .parse()
            .map_err(|_| given.found("`true` or `false`"));
    }
    given
        .value
        .to_bool()
        .ok_or_else(|| given.found("`true` or `false`, without quotes"))
}

/// A whole number within `range`.
pub(super) fn whole(given: Given<'_>, range: RangeInclusive<u32>) -> Result<u32, Fault> {
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    let number = match given.loose_text() {
        Some(text) => text.trim().parse().ok(),
        None => given.whole(),
    };
    let Some(number) = number else {
        return Err(given.found("a whole number").allowed(allowed));
    };
    u32::try_from(number)
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| {
            let size = if number < i128::from(*range.start()) {
                "small"
            } else {
                "large"
            };
            Fault::new(format!("{number} is too {size}")).allowed(allowed)
        })
}

/// One of a few names.
pub(super) fn choice<T: Choice>(given: Given<'_>) -> Result<T, Fault> {
    let names: Vec<_> = T::all().into_iter().map(T::name).collect();
    let text = text(given).map_err(|fault| fault.allowed(either(&names)))?;
    let mut all = T::all().into_iter();
    let chosen = all.find(|choice| choice.name() == text.trim());
    chosen.ok_or_else(|| {
        let nearest = nearest(&text.to_lowercase(), names.iter().copied());
        Fault::new(format!("unknown value {}", echo(&text)))
            .allowed(either(&names))
            .nearest(nearest)
    })
}

/// `"a", "b"`.
pub(super) fn either<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names
        .iter()
        .map(|name| format!("{:?}", name.as_ref()))
        .collect();
    quoted.join(", ")
}

/// `auto` or a code in the shape of ISO 639-1 or 639-3, in small letters.
pub(super) fn language(given: Given<'_>) -> Result<String, Fault> {
    let allowed = "\"auto\", or an ISO 639 code of two or three letters, such as \"en\" or \"deu\"";
    let written = text(given).map_err(|fault| fault.allowed(allowed))?;
    let code = written.trim().to_ascii_lowercase();
    let is_code =
        |code: &str| (2..=3).contains(&code.len()) && code.chars().all(|c| c.is_ascii_lowercase());
    if code == "auto" || is_code(&code) {
        return Ok(code);
    }
    let primary = code
        .split(['-', '_'])
        .next()
        .filter(|primary| is_code(primary));
    Err(
        Fault::new(format!("{} is not a language code", echo(&written)))
            .allowed(allowed)
            .nearest(primary),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Provider;

    fn given(value: &Value) -> Given<'_> {
        Given {
            value,
            written: None,
            loose: false,
        }
    }

    fn loose(value: &Value) -> Given<'_> {
        Given {
            loose: true,
            ..given(value)
        }
    }

    #[test]
    fn a_loose_text_becomes_what_the_key_asks_for() {
        let digits = Value::from("1234");
        assert_eq!(name(loose(&digits)).unwrap(), "1234");
        assert_eq!(whole(loose(&digits), 0..=2000).unwrap(), 1234);
        assert!(boolean(loose(&Value::from(" true "))).unwrap());
        assert_eq!(
            boolean(given(&digits)).unwrap_err().what,
            "expected `true` or `false`, without quotes, found the text \"1234\""
        );
        assert_eq!(
            whole(given(&digits), 0..=2000).unwrap_err().what,
            "expected a whole number, found the text \"1234\""
        );
    }

    #[test]
    fn whole_numbers_keep_to_their_range() {
        assert_eq!(whole(given(&Value::from(4)), 1..=4).unwrap(), 4);
        assert_eq!(
            whole(given(&Value::from(5)), 1..=4).unwrap_err().what,
            "5 is too large"
        );
        assert_eq!(
            whole(given(&Value::from(-1)), 0..=4).unwrap_err().what,
            "-1 is too small"
        );
        assert_eq!(
            whole(given(&Value::from(u128::MAX)), 0..=4)
                .unwrap_err()
                .what,
            "expected a whole number, found a number"
        );
        assert_eq!(
            whole(loose(&Value::from("4x")), 0..=4).unwrap_err().what,
            "expected a whole number, found the text \"4x\""
        );
    }

    #[test]
    fn a_choice_names_the_nearest_one() {
        assert_eq!(
            choice::<Provider>(given(&Value::from("local"))).unwrap(),
            Provider::Local
        );
        let fault = choice::<Provider>(given(&Value::from("NanoGPT!"))).unwrap_err();
        assert_eq!(fault.nearest.as_deref(), Some("nanogpt"));
        assert_eq!(
            fault.allowed.as_deref(),
            Some(r#""auto", "nanogpt", "openai", "plain", "local""#)
        );
    }

    #[test]
    fn a_language_is_auto_or_a_code() {
        for (written, code) in [("auto", "auto"), ("EN", "en"), (" deu ", "deu")] {
            assert_eq!(language(given(&Value::from(written))).unwrap(), code);
        }
        for written in ["", "e", "english", "e1", "en-US"] {
            assert!(
                language(given(&Value::from(written))).is_err(),
                "{written:?}"
            );
        }
    }

    #[test]
    fn a_name_is_one_line_of_reasonable_length() {
        assert_eq!(name(given(&Value::from(" a b "))).unwrap(), "a b");
        for wrong in [
            String::new(),
            "a\nb".to_owned(),
            "a".repeat(MAX_TEXT_CHARS + 1),
        ] {
            assert!(name(given(&Value::from(wrong))).is_err());
        }
    }

    #[test]
    fn a_wrong_value_is_repeated_in_part_and_never_a_key() {
        let long = echo(&"ä".repeat(100));
        assert_eq!(long.chars().count(), MAX_ECHO_CHARS + 3);
        assert_eq!(echo("sk-nano-123456"), "\"***\"");
        assert_eq!(echo("a\u{1b}[31m"), r#""a\u{1b}[31m""#);
    }
}
