//! From one raw value to a value in units: pure, and every refusal says what is allowed.
//!
//! A value from an environment variable is *loose*: a text whose meaning the key decides, so
//! that a model named `1234` stays a text and `jobs` becomes a number.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use figment::value::Value;
use reqwest::Url;
use rust_decimal::Decimal;

use super::keys;
use super::mistake::Fault;
use super::redact;
use super::settings::Choice;
use crate::domain::format::Format;

/// The highest budget, in USD.
const MAX_BUDGET_USD: i64 = 1_000_000;

/// Characters of a model name or another short text, at most.
const MAX_TEXT_CHARS: usize = 200;

/// Characters of a wrong value that are repeated in a message, at most.
const MAX_ECHO_CHARS: usize = 80;

/// Units of sizes, the larger factor by 1024 with an `i`, by 1000 without (IEC 80000-13).
const SIZE_UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// A raw value on its way to a typed one.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) value: &'a Value,
    /// The value as it stands in the file, if it came from there.
    pub(super) source: Option<&'a str>,
    /// Whether it is a text of an environment variable, to be read as the key's type.
    pub(super) loose: bool,
}

impl Given<'_> {
    /// The text of an environment variable.
    fn loose_text(&self) -> Option<&str> {
        self.value.as_str().filter(|_| self.loose)
    }

    /// The whole number of a file or a flag.
    fn whole(&self) -> Option<i128> {
        let number = self.value.to_num()?;
        number
            .to_i128()
            .or_else(|| i128::try_from(number.to_u128()?).ok())
    }

    fn found(&self, expected: &str) -> Fault {
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

/// A duration with its unit, within `range`.
pub(super) fn duration(
    given: Given<'_>,
    range: RangeInclusive<Duration>,
) -> Result<Duration, Fault> {
    let show = humantime::format_duration;
    let allowed = format!(
        "a duration from {} to {}, such as \"500ms\", \"10s\", \"5m\", \"12h\"",
        show(*range.start()),
        show(*range.end())
    );
    if let Value::Num(..) = given.value {
        let number = given.source.unwrap_or("10");
        return Err(given
            .found("a duration in quotes")
            .allowed(allowed)
            .mend(format!("say the unit: \"{number}s\" for seconds")));
    }
    let Value::String(_, text) = given.value else {
        return Err(given.found("a duration in quotes").allowed(allowed));
    };
    let duration = humantime::parse_duration(text.trim())
        .map_err(|error| duration_fault(text, &error).allowed(&*allowed))?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let size = if duration < *range.start() {
        "short"
    } else {
        "long"
    };
    Err(Fault::new(format!("{} is too {size}", echo(text))).allowed(allowed))
}

fn duration_fault(text: &str, error: &humantime::DurationError) -> Fault {
    match error {
        humantime::DurationError::UnknownUnit { unit, .. } if !unit.is_empty() => Fault::new(
            format!("{} has the unknown unit {}", echo(text), echo(unit)),
        ),
        humantime::DurationError::UnknownUnit { .. } => {
            Fault::new(format!("{} has no unit", echo(text)))
        }
        humantime::DurationError::InvalidCharacter(_)
        | humantime::DurationError::NumberExpected(_)
        | humantime::DurationError::NumberOverflow
        | humantime::DurationError::Empty => {
            Fault::new(format!("{} is not a duration", echo(text)))
        }
    }
}

/// A number of bytes, plain or with a unit, within `range`.
pub(super) fn size(given: Given<'_>, range: RangeInclusive<u64>) -> Result<u64, Fault> {
    let allowed = format!(
        "a size from {} to {} bytes, such as \"3 MiB\", \"3 MB\", \"500 KiB\" or a plain number",
        range.start(),
        range.end()
    );
    let (bytes, shown) = match (given.value.as_str(), given.whole()) {
        (Some(text), _) => (parse_size(text), echo(text)),
        (None, Some(number)) => (u64::try_from(number).ok(), number.to_string()),
        (None, None) => return Err(given.found("a size").allowed(allowed)),
    };
    match bytes {
        Some(bytes) if range.contains(&bytes) => Ok(bytes),
        Some(bytes) if bytes < *range.start() => {
            Err(Fault::new(format!("{shown} is too small")).allowed(allowed))
        }
        Some(_) => Err(Fault::new(format!("{shown} is too large")).allowed(allowed)),
        None => Err(Fault::new(format!("{shown} is not a size")).allowed(allowed)),
    }
}

/// `3`, `3 MiB`, `2.5MB`; a part of a byte is cut off.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim().to_lowercase();
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let bytes = Decimal::from_str_exact(number)
        .ok()?
        .checked_mul(Decimal::from(*factor))?;
    u64::try_from(bytes.trunc()).ok()
}

/// An amount in USD, exactly as written; zero means no limit and is `None`.
pub(super) fn money(given: Given<'_>) -> Result<Option<Decimal>, Fault> {
    let allowed = format!(
        "an amount in USD from 0 to {MAX_BUDGET_USD}, such as \"5.00\"; \"0\" for no limit"
    );
    let written = match (given.value, given.source) {
        (Value::String(_, text), _) => text.trim().to_owned(),
        (Value::Num(..), Some(source)) => source.replace('_', ""),
        _ => return Err(given.found("an amount").allowed(allowed)),
    };
    let digits = written.strip_prefix('-').unwrap_or(&written);
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let amount = is_plain
        .then(|| Decimal::from_str_exact(&written).ok())
        .flatten();
    match amount {
        None => Err(Fault::new(format!("{} is not an amount", echo(&written))).allowed(allowed)),
        Some(amount) if amount.is_zero() => Ok(None),
        Some(amount) if amount.is_sign_negative() => {
            Err(Fault::new(format!("{written} is negative")).allowed(allowed))
        }
        Some(amount) if amount > Decimal::from(MAX_BUDGET_USD) => {
            Err(Fault::new(format!("{} is too large", echo(&written))).allowed(allowed))
        }
        Some(amount) => Ok(Some(amount)),
    }
}

/// One of a few names.
pub(super) fn choice<T: Choice>(given: Given<'_>) -> Result<T, Fault> {
    let names: Vec<_> = T::ALL.iter().map(|choice| choice.name()).collect();
    let text = text(given).map_err(|fault| fault.allowed(either(&names)))?;
    let chosen = T::ALL.iter().find(|choice| choice.name() == text.trim());
    chosen.copied().ok_or_else(|| {
        let nearest = keys::nearest(&text.to_lowercase(), names.iter().copied());
        Fault::new(format!("unknown value {}", echo(&text)))
            .allowed(either(&names))
            .nearest(nearest)
    })
}

fn either<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names
        .iter()
        .map(|name| format!("{:?}", name.as_ref()))
        .collect();
    quoted.join(", ")
}

/// A list of texts; from the environment separated by commas, or a TOML array.
pub(super) fn list(given: Given<'_>) -> Result<Vec<String>, Fault> {
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

fn loose_list(text: &str) -> Result<Vec<String>, Fault> {
    let text = text.trim();
    if !(text.starts_with('[') && text.ends_with(']')) {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        return Ok(parts.map(str::to_owned).collect());
    }
    match toml_edit::Value::from_str(text) {
        Ok(toml_edit::Value::Array(array)) => texts(
            &array
                .iter()
                .map(super::document::convert)
                .collect::<Vec<_>>(),
        ),
        Ok(_) | Err(_) => Err(Fault::new(format!("{} is not a list", echo(text)))
            .allowed("texts separated by commas, or a TOML list such as [\"one\", \"two\"]")),
    }
}

fn texts(elements: &[Value]) -> Result<Vec<String>, Fault> {
    let one = |(index, value)| {
        let given = Given {
            value,
            source: None,
            loose: false,
        };
        text(given).map_err(|fault| fault.element(index))
    };
    elements.iter().enumerate().map(one).collect()
}

/// Output formats, in order, without repetitions.
pub(super) fn formats(given: Given<'_>) -> Result<Vec<Format>, Fault> {
    let names: Vec<String> = Format::ALL.iter().map(ToString::to_string).collect();
    let mut formats = Vec::new();
    for (index, name) in list(given)?.iter().enumerate() {
        let Ok(format) = name.trim().parse::<Format>() else {
            let nearest = keys::nearest(&name.to_lowercase(), names.iter().map(String::as_str));
            let fault = Fault::new(format!("unknown format {}", echo(name)));
            return Err(fault
                .allowed(either(&names))
                .nearest(nearest)
                .element(index));
        };
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if formats.is_empty() {
        return Err(Fault::new("names no format").allowed(either(&names)));
    }
    Ok(formats)
}

/// Patterns of file names.
pub(super) fn globs(given: Given<'_>) -> Result<Vec<String>, Fault> {
    let patterns = list(given)?;
    for (index, pattern) in patterns.iter().enumerate() {
        if let Err(error) = globset::Glob::new(pattern) {
            let fault = Fault::new(format!(
                "{} is not a pattern: {}",
                echo(pattern),
                error.kind()
            ));
            let fault =
                fault.allowed("patterns such as \"*.mp3\", \"2024-*/**\", \"*.{wav,flac}\"");
            return Err(fault.element(index));
        }
    }
    Ok(patterns)
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

/// An absolute http or https URL without user, password, query and fragment; no slash at its end.
pub(super) fn web_url(given: Given<'_>) -> Result<String, Fault> {
    let allowed = "an absolute URL such as \"https://nano-gpt.com/api\"";
    let written = text(given).map_err(|fault| fault.allowed(allowed))?;
    let url = plain_url(&written).map_err(|fault| fault.allowed(allowed))?;
    if !["http", "https"].contains(&url.scheme()) {
        let fault = Fault::new(format!("{} is neither http nor https", echo(&written)));
        return Err(fault.allowed(allowed));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A bucket and a prefix in it: `s3://bucket/prefix`, `gs://…`, `az://…`.
pub(super) fn bucket_url(given: Given<'_>) -> Result<String, Fault> {
    let allowed =
        "a URL such as \"s3://bucket/prefix\", \"gs://bucket/prefix\" or \"az://container/prefix\"";
    let written = text(given).map_err(|fault| fault.allowed(allowed))?;
    let url = plain_url(&written).map_err(|fault| fault.allowed(allowed))?;
    if !["s3", "gs", "az"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        let fault = Fault::new(format!("{} does not name a bucket", echo(&written)));
        return Err(fault.allowed(allowed));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn plain_url(written: &str) -> Result<Url, Fault> {
    let written = written.trim();
    if !written.contains("://") {
        let fault = Fault::new(format!("{} is not an absolute URL", echo(written)));
        let guess = format!("https://{written}");
        let is_likely = Url::parse(&guess).is_ok() && !redact::looks_like_key(written);
        return Err(fault.nearest(is_likely.then_some(guess.as_str())));
    }
    let url = Url::parse(written)
        .map_err(|error| Fault::new(format!("{} is not a URL: {error}", echo(written))))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("must not hold a user name or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(
            "must not hold a query (`?`) or a fragment (`#`)",
        ));
    }
    Ok(url)
}

/// Whether a URL's host is this machine or stands in a private network, out of a cloud
/// service's reach (RFC 1918, 4193, 6598, 6761, 6762).
pub(super) fn is_private_host(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => {
            let [a, b, ..] = address.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            let local = [".localhost", ".local", ".internal", ".home.arpa", ".lan"];
            !host.contains('.') || local.iter().any(|end| host.ends_with(end))
        }
    }
}
