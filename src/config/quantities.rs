//! Values with a unit: durations, sizes, money. Nothing is rounded, and every range is named.

use std::ops::RangeInclusive;
use std::time::Duration;

use figment::value::Value;
use rust_decimal::Decimal;

use super::mistake::Fault;
use super::values::{Given, echo};

/// The highest budget, in USD.
const MAX_BUDGET_USD: i64 = 1_000_000;

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
        let number = given.written.unwrap_or("10");
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

/// A number of minutes, perhaps with a point, within `range`; a part of a microsecond is cut off.
pub(super) fn minutes(
    given: Given<'_>,
    range: RangeInclusive<Duration>,
) -> Result<Duration, Fault> {
    let show = |duration: &Duration| duration.as_secs_f64() / 60.0;
    let (least, most) = (show(range.start()), show(range.end()));
    let allowed = format!("a number of minutes from {least} to {most}, such as 10 or 0.5");
    let written = match (given.loose_text(), given.value, given.written) {
        (Some(text), _, _) => text.trim().to_owned(),
        (None, Value::Num(..), Some(digits)) => digits.replace('_', ""),
        (None, Value::Num(_, number), None) => match (given.whole(), number.to_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        },
        _ => return Err(given.found("a number of minutes").allowed(allowed)),
    };
    let micros = Decimal::from_str_exact(&written)
        .ok()
        .and_then(|minutes| minutes.checked_mul(Decimal::from(60_000_000)));
    let Some(micros) = micros else {
        return Err(given.found("a number of minutes").allowed(allowed));
    };
    // What is negative or beyond every number is out of range as well.
    let micros = u64::try_from(micros.trunc()).ok();
    micros
        .map(Duration::from_micros)
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| Fault::new(format!("{written} is out of range")).allowed(allowed))
}

/// An amount in USD, exactly as written; zero means no limit and is `None`.
pub(super) fn money(given: Given<'_>) -> Result<Option<Decimal>, Fault> {
    let allowed = format!(
        "an amount in USD from 0 to {MAX_BUDGET_USD}, such as \"5.00\"; \"0\" for no limit"
    );
    let amount = amount(given, allowed)?;
    Ok((!amount.is_zero()).then_some(amount))
}

/// A price in USD, exactly as written; zero is free of charge.
pub(super) fn price(given: Given<'_>) -> Result<Decimal, Fault> {
    let allowed = format!(
        "a price in USD from 0 to {MAX_BUDGET_USD}, such as \"0.006\"; \"0\" for free of charge"
    );
    amount(given, allowed)
}

fn amount(given: Given<'_>, allowed: String) -> Result<Decimal, Fault> {
    let written = match (given.value, given.written) {
        (Value::String(_, text), _) => text.trim().to_owned(),
        (Value::Num(..), Some(digits)) => digits.replace('_', ""),
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
        Some(amount) if amount.is_sign_negative() => {
            Err(Fault::new(format!("{written} is negative")).allowed(allowed))
        }
        Some(amount) if amount > Decimal::from(MAX_BUDGET_USD) => {
            Err(Fault::new(format!("{} is too large", echo(&written))).allowed(allowed))
        }
        Some(amount) => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &Value) -> Given<'_> {
        Given {
            value,
            written: None,
            loose: false,
        }
    }

    fn amount(written: &str) -> Result<Option<Decimal>, Fault> {
        let value = Value::from(0.5);
        money(Given {
            value: &value,
            written: Some(written),
            loose: false,
        })
    }

    #[test]
    fn durations_are_read_by_humantime_and_keep_to_their_range() {
        let range = Duration::from_millis(10)..=Duration::from_hours(1);
        let read = |text: &str| duration(given(&Value::from(text)), range.clone());
        assert_eq!(read("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(read("10ms"), Ok(Duration::from_millis(10)));
        for (text, what) in [
            ("9ms", "\"9ms\" is too short"),
            ("61m", "\"61m\" is too long"),
            ("5", "\"5\" has no unit"),
            (
                "5 parsecs",
                "\"5 parsecs\" has the unknown unit \"parsecs\"",
            ),
            ("soon", "\"soon\" is not a duration"),
            ("", "\"\" is not a duration"),
            (
                "99999999999999999999s",
                "\"99999999999999999999s\" is not a duration",
            ),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(fault.what, what);
            assert!(fault.allowed.is_some());
        }
    }

    #[test]
    fn sizes_take_units_by_1000_and_by_1024() {
        let read = |text: &str| size(given(&Value::from(text)), 1..=1 << 30);
        for (text, bytes) in [
            ("3 MiB", 3 << 20),
            ("3MB", 3_000_000),
            ("500 KiB", 512_000),
            ("500 kB", 500_000),
            ("2.5 MiB", 2_621_440),
            ("1 GiB", 1 << 30),
            ("4096", 4096),
            ("7 B", 7),
        ] {
            assert_eq!(read(text), Ok(bytes), "{text}");
        }
        assert_eq!(size(given(&Value::from(4096)), 1..=5000), Ok(4096));
        for text in ["", "MiB", "3 MiBB", "3..5 MB", "-3 MB", "1e3", "3 TiB"] {
            let what = format!("{text:?} is not a size");
            assert_eq!(read(text).unwrap_err().what, what);
        }
        assert_eq!(read("0").unwrap_err().what, "\"0\" is too small");
        assert_eq!(read("2 GiB").unwrap_err().what, "\"2 GiB\" is too large");
    }

    #[test]
    fn minutes_may_have_a_point() {
        let range = Duration::from_secs(15)..=Duration::from_mins(240);
        let read = |written: &'static str| {
            let value = Value::from(0.5);
            let given = Given {
                value: &value,
                written: Some(written),
                loose: false,
            };
            minutes(given, range.clone())
        };
        assert_eq!(read("10"), Ok(Duration::from_mins(10)));
        assert_eq!(read("0.5"), Ok(Duration::from_secs(30)));
        assert_eq!(read("0.25"), Ok(Duration::from_secs(15)));
        for wrong in ["0", "0.2", "241", "-1", "1e3"] {
            assert!(read(wrong).unwrap_err().allowed.is_some(), "{wrong}");
        }
        assert!(minutes(given(&Value::from("10")), range).is_err());
    }

    #[test]
    fn amounts_are_exact_whether_text_or_number() {
        for (text, exact) in [("5.10", "5.10"), ("0.1", "0.1"), ("1_000.5", "1000.5")] {
            assert_eq!(amount(text), Ok(Some(exact.parse().unwrap())), "{text}");
        }
        let many = "5.123456789012345678901";
        assert_eq!(amount(many).unwrap().unwrap().to_string(), many);
        assert_eq!(
            money(given(&Value::from("2.50"))),
            Ok(Some(Decimal::new(250, 2)))
        );
        assert_eq!(money(given(&Value::from("0.00"))), Ok(None));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, what) in [
            ("-1", "-1 is negative"),
            ("1e3", "\"1e3\" is not an amount"),
            ("nan", "\"nan\" is not an amount"),
            ("1000001", "\"1000001\" is too large"),
            (
                "0.12345678901234567890123456789012",
                "\"0.12345678901234567890123456789012\" is not an amount",
            ),
            ("$5", "\"$5\" is not an amount"),
            ("5,00", "\"5,00\" is not an amount"),
            ("-", "\"-\" is not an amount"),
        ] {
            assert_eq!(amount(text).unwrap_err().what, what);
        }
    }
}
