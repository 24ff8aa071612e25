//! Values that are lists: output formats and patterns of file names.
//!
//! Every wrong element is reported, not the first alone.

use std::str::FromStr;

use figment::value::Value;

use super::mistake::{Fault, Faults};
use super::values::{Given, echo, either, text};
use crate::domain::format::Format;
use crate::domain::near::nearest;

/// A list of texts; from the environment separated by commas, or a TOML list.
pub(super) fn list(given: Given<'_>) -> Result<Vec<String>, Faults> {
    if let Some(text) = given.loose_text() {
        return loose_list(text);
    }
    let elements = given.value.as_array().ok_or_else(|| {
        given
            .found("a list of texts")
            .allowed("a list such as [\"one\", \"two\"]")
    })?;
    texts(elements)
}

/// Output formats, in order, without repetitions, at least one.
pub(super) fn formats(given: Given<'_>) -> Result<Vec<Format>, Faults> {
    let names: Vec<String> = Format::ALL.iter().map(ToString::to_string).collect();
    let mut formats = each(&list(given)?, |name| format(name, &names))?;
    if formats.is_empty() {
        return Err(Fault::new("names no format").allowed(either(&names)).into());
    }
    let mut seen = Vec::new();
    formats.retain(|format| {
        let is_new = !seen.contains(format);
        seen.push(*format);
        is_new
    });
    Ok(formats)
}

/// Patterns of file names.
pub(super) fn globs(given: Given<'_>) -> Result<Vec<String>, Faults> {
    each(&list(given)?, |pattern| {
        globset::Glob::new(pattern)
            .map(|glob| glob.glob().to_owned())
            .map_err(|error| {
                Fault::new(format!(
                    "{} is not a pattern: {}",
                    echo(pattern),
                    error.kind()
                ))
                .allowed("patterns such as \"*.mp3\", \"2024-*/**\", \"*.{wav,flac}\"")
            })
    })
}

/// Patterns of file names, at least one.
pub(super) fn some_globs(given: Given<'_>) -> Result<Vec<String>, Faults> {
    let patterns = globs(given)?;
    if patterns.is_empty() {
        let fault = Fault::new("names no pattern, so nothing would match");
        return Err(fault.mend("for everything: [\"*\"]").into());
    }
    Ok(patterns)
}

fn format(name: &str, names: &[String]) -> Result<Format, Fault> {
    name.trim().parse::<Format>().map_err(|_| {
        let nearest = nearest(&name.to_lowercase(), names.iter().map(String::as_str));
        let fault = Fault::new(format!("unknown format {}", echo(name)));
        fault.allowed(either(names)).nearest(nearest)
    })
}

fn loose_list(written: &str) -> Result<Vec<String>, Faults> {
    let written = written.trim();
    if !(written.starts_with('[') && written.ends_with(']')) {
        let parts = written
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        return Ok(parts.map(str::to_owned).collect());
    }
    match toml_edit::Value::from_str(written) {
        Ok(toml_edit::Value::Array(array)) => texts(
            &array
                .iter()
                .map(super::document::convert)
                .collect::<Vec<_>>(),
        ),
        Ok(_) | Err(_) => Err(Fault::new(format!("{} is not a list", echo(written)))
            .allowed("texts separated by commas, or a TOML list such as [\"one\", \"two\"]")
            .into()),
    }
}

fn texts(elements: &[Value]) -> Result<Vec<String>, Faults> {
    each(elements, |value| {
        text(Given {
            value,
            written: None,
            loose: false,
        })
    })
}

/// Every element parsed, or the faults of all that are wrong.
fn each<E, T>(elements: &[E], parse: impl Fn(&E) -> Result<T, Fault>) -> Result<Vec<T>, Faults> {
    let mut parsed = Vec::new();
    let mut faults = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        match parse(element) {
            Ok(value) => parsed.push(value),
            Err(fault) => faults.push(fault.element(index)),
        }
    }
    if faults.is_empty() {
        Ok(parsed)
    } else {
        Err(Faults(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(text: &str) -> Result<Vec<String>, Faults> {
        list(Given {
            value: &Value::from(text),
            written: None,
            loose: true,
        })
    }

    #[test]
    fn a_list_from_the_environment_has_commas_or_is_toml() {
        assert_eq!(loose("a, b,,c ").unwrap(), ["a", "b", "c"]);
        assert_eq!(
            loose(r#"["*.{wav,mp3}", "b"]"#).unwrap(),
            ["*.{wav,mp3}", "b"]
        );
        assert_eq!(loose("[ab]*.mp3").unwrap(), ["[ab]*.mp3"]);
        assert!(loose("").unwrap().is_empty());
        assert_eq!(
            loose("[a, b]").unwrap_err().0[0].what,
            "\"[a, b]\" is not a list"
        );
    }

    #[test]
    fn a_list_in_a_file_is_no_text() {
        let value = Value::from("a,b");
        let faults = list(Given {
            value: &value,
            written: None,
            loose: false,
        })
        .unwrap_err();
        assert_eq!(
            faults.0[0].what,
            "expected a list of texts, found the text \"a,b\""
        );
    }

    #[test]
    fn formats_keep_their_order_and_lose_repetitions() {
        let value = Value::from(vec!["srt", "txt", "srt"]);
        let read = formats(Given {
            value: &value,
            written: None,
            loose: false,
        })
        .unwrap();
        assert_eq!(read, [Format::Srt, Format::Txt]);
    }

    #[test]
    fn every_wrong_element_is_reported_with_its_number() {
        let value = Value::from(vec!["text", "txt", "jsn"]);
        let faults = formats(Given {
            value: &value,
            written: None,
            loose: false,
        })
        .unwrap_err();
        let found: Vec<_> = faults
            .0
            .iter()
            .map(|fault| (fault.element, fault.nearest.as_deref()))
            .collect();
        assert_eq!(found, [(Some(0), Some("txt")), (Some(2), Some("json"))]);
    }
}
