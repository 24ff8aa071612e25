//! Money: exact decimals, one currency at a time, and what a submit is expected to cost.
//!
//! Amounts of different currencies are never added. A price that nobody knows stays unknown: it is
//! shown as such and never taken for zero.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::audio::AudioDuration;

/// A currency by its code, as the service writes it: `USD`, `XNO`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Currency(String);

impl Currency {
    /// The currency of the price table and of every budget.
    pub fn usd() -> Self {
        Self("USD".to_owned())
    }

    /// A currency by its code; letter case does not matter.
    pub fn new(code: &str) -> Self {
        Self(code.trim().to_ascii_uppercase())
    }

    /// The code in capitals.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An exact amount in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// How much, in whole units of the currency.
    pub value: Decimal,
    /// Of what.
    pub currency: Currency,
}

impl Amount {
    /// An amount in US dollars.
    pub fn usd(value: Decimal) -> Self {
        Self {
            value,
            currency: Currency::usd(),
        }
    }

    /// The amount in billionths of the currency, rounded up: what sums and limits are made of.
    pub fn nanos(&self) -> i64 {
        to_nanos(self.value)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.currency.code() == "USD" {
            write!(f, "${}", self.value.normalize())
        } else {
            write!(f, "{} {}", self.value.normalize(), self.currency)
        }
    }
}

/// A decimal amount as billionths, rounded away from zero; amounts beyond the range are clamped to it.
pub fn to_nanos(value: Decimal) -> i64 {
    use rust_decimal::prelude::ToPrimitive as _;
    let scaled = value
        .checked_mul(Decimal::from(1_000_000_000_i64))
        .map(|nanos| nanos.round_dp_with_strategy(0, RoundingStrategy::AwayFromZero));
    scaled.and_then(|nanos| nanos.to_i64()).unwrap_or(i64::MAX)
}

/// Billionths as a decimal amount without trailing zeros.
pub fn from_nanos(nanos: i64) -> Decimal {
    Decimal::new(nanos, 9).normalize()
}

/// Why a recording waits that would cost more than is allowed for one; both in dollars.
pub fn over_file_budget(estimate: Decimal, limit: Decimal) -> String {
    format!(
        "it would cost about ${estimate}, and budget.per_file allows ${limit}: raise that limit to have it sent"
    )
}

/// What `duration` costs at `price` dollars a minute, rounded up to a millionth of a dollar.
pub fn estimate(duration: AudioDuration, price: Decimal) -> Decimal {
    cost(duration, price)
        .round_dp_with_strategy(6, RoundingStrategy::AwayFromZero)
        .normalize()
}

/// What a part of a recording costs, rounded down to a billionth of a dollar: all parts together are never more than
/// the estimate of the whole.
pub fn estimate_of_part(duration: AudioDuration, price: Decimal) -> Decimal {
    cost(duration, price)
        .round_dp_with_strategy(9, RoundingStrategy::ToZero)
        .normalize()
}

fn cost(duration: AudioDuration, price: Decimal) -> Decimal {
    let micros = Decimal::from(duration.micros());
    micros / Decimal::from(60_000_000_i64) * price
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_the_default_model_costs_three_cents() {
        let price = "0.0005".parse().unwrap();
        let hour = AudioDuration::from_micros(3_600_000_000);
        assert_eq!(estimate(hour, price).to_string(), "0.03");
    }

    #[test]
    fn billionths_are_rounded_up_so_that_a_limit_is_never_crossed() {
        let value: Decimal = "0.00000000011".parse().unwrap();
        assert_eq!(to_nanos(value), 1);
        assert_eq!(from_nanos(1_500_000_000).to_string(), "1.5");
    }
}
