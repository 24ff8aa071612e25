//! The service's price list, kept at hand.
//!
//! It is asked for before money is spoken of and again every day. Without an answer everything goes on by
//! what is known: the last list, the built-in table, what was charged last.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Pipeline;
use crate::domain::price::Catalogue;
use crate::domain::timing::after;

/// How long a list counts as today's.
const REFRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a list that was not to be had is not asked for again.
const REFRESH_AFTER_FAILURE: Duration = Duration::from_secs(3600);

/// The last list, and when the next one is due.
#[derive(Debug, Default)]
pub struct Prices(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    catalogue: Arc<Catalogue>,
    next: Option<Timestamp>,
}

impl Prices {
    /// No list was asked for yet, and this is known without one.
    pub fn beginning_with(catalogue: Catalogue) -> Self {
        Self(Mutex::new(Last {
            catalogue: Arc::new(catalogue),
            next: None,
        }))
    }

    /// The list as it was last given; before, what is known without one.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .catalogue
            .clone()
    }

    /// Whether the list is to be asked for at `now`, also after the clock was set back.
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.next
            .is_none_or(|next| next <= now || next > after(now, REFRESH))
    }

    fn set(&self, asked: Option<Catalogue>, now: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Some(catalogue) => {
                last.catalogue = Arc::new(catalogue);
                last.next = Some(after(now, REFRESH));
            }
            None => last.next = Some(after(now, REFRESH_AFTER_FAILURE)),
        }
    }
}

impl Pipeline {
    /// Asks the service for its prices, unless that was done today; a failure changes nothing.
    pub async fn ask_prices(&self) {
        let Some(service) = &self.service else {
            return;
        };
        if self.prices.are_due(self.now()) {
            self.limiter.turn().await;
            let asked = service.prices().await;
            if asked.is_none() {
                tracing::info!(
                    "the service's list of prices is not to be had: the built-in table serves"
                );
            }
            self.prices.set(asked, self.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn the_list_are_due_at_first_then_daily_and_hourly_after_a_failure() {
        let prices = Prices::default();
        assert!(prices.are_due(at(0)));
        prices.set(None, at(0));
        assert!(!prices.are_due(at(3599)));
        assert!(prices.are_due(at(3600)));
        prices.set(Some(Catalogue::default()), at(0));
        assert!(!prices.are_due(at(86_399)));
        assert!(prices.are_due(at(86_400)));
        assert!(prices.are_due(at(-5)), "the clock was set back");
    }

    #[test]
    fn a_list_that_is_not_to_be_had_leaves_the_last_one() {
        let prices = Prices::default();
        let list: Catalogue = [("a".to_owned(), rust_decimal::Decimal::ONE)]
            .into_iter()
            .collect();
        prices.set(Some(list.clone()), at(0));
        prices.set(None, at(90_000));
        assert_eq!(*prices.catalogue(), list);
    }
}
