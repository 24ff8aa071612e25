//! The stand-in's own books: who was charged for what, in exact amounts.
//!
//! A charge is made once for each valid submit whose last byte has arrived; nothing else charges
//! and nothing is ever paid back, so that "paid twice" can be counted.

use std::collections::BTreeMap;

/// Parts of a US dollar that one unit of [`Charge::amount`] is worth: 10⁻¹⁰ USD, which holds a
/// price in millionths of a dollar times a length in ten-thousandths of a minute exactly.
const UNITS_PER_DOLLAR: u64 = 10_000_000_000;

/// One submit that was paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// BLAKE3 of the file part (or of the link), in hexadecimal.
    pub content: String,
    /// The model that was asked for.
    pub model: String,
    /// What it cost, in 10⁻¹⁰ USD.
    pub amount: u64,
    /// The number of the request in the order of arrival.
    pub request: usize,
}

/// All charges and what is left of the balance.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Every charge, in order.
    pub charges: Vec<Charge>,
    /// What is left in 10⁻¹⁰ USD; none is an endless balance.
    pub balance: Option<u64>,
}

impl Ledger {
    /// Books the charge, or says in 10⁻¹⁰ USD what it would have needed.
    pub(super) fn charge(&mut self, charge: Charge) -> Result<(), u64> {
        if let Some(balance) = self.balance {
            self.balance = Some(balance.checked_sub(charge.amount).ok_or(charge.amount)?);
        }
        self.charges.push(charge);
        Ok(())
    }

    /// How often each content was paid for.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for charge in &self.charges {
            *counts.entry(charge.content.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// How often exactly these bytes were paid for.
    pub fn paid_for(&self, bytes: &[u8]) -> usize {
        let content = blake3::hash(bytes).to_hex().to_string();
        self.counts().get(&content).copied().unwrap_or(0)
    }

    /// Everything charged, in USD as a decimal text.
    pub fn total(&self) -> String {
        decimal(self.charges.iter().map(|charge| charge.amount).sum())
    }
}

/// The price of a model in millionths of a dollar a minute; none for a model that is not there.
pub(super) fn price(model: &str) -> Option<u64> {
    match model {
        "Whisper-Large-V3" => Some(500),
        "gpt-4o-mini-transcribe" => Some(3_000),
        "Wizper" => Some(10_000),
        "Elevenlabs-STT" => Some(30_000),
        "openai-whisper-with-video" => Some(60_000),
        // In no list of prices.
        "Unlisted-STT" => Some(20_000),
        _ => None,
    }
}

/// An amount in 10⁻¹⁰ USD as a decimal text without needless zeros.
pub(super) fn decimal(amount: u64) -> String {
    let text = format!(
        "{}.{:010}",
        amount / UNITS_PER_DOLLAR,
        amount % UNITS_PER_DOLLAR
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A decimal text in USD as 10⁻¹⁰ USD.
pub(super) fn parse_decimal(text: &str) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<10}");
    digits
        .parse()
        .expect("an amount in USD with at most ten decimals")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive_the_way_there_and_back() {
        for text in ["0", "1", "0.0005", "12.3456789012", "5.1"] {
            assert_eq!(decimal(parse_decimal(text)), text);
        }
    }

    #[test]
    fn an_empty_balance_books_nothing() {
        let mut ledger = Ledger {
            balance: Some(5),
            ..Ledger::default()
        };
        let charge = Charge {
            content: "a".into(),
            model: "m".into(),
            amount: 6,
            request: 0,
        };
        assert_eq!(ledger.charge(charge), Err(6));
        assert!(ledger.charges.is_empty() && ledger.balance == Some(5));
    }
}
