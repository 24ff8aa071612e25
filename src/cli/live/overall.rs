//! What the overall bar says: minutes of audio, money, time, as much of it as fits its line.
//!
//! What does not fit is left out whole: half a number would be read as another one.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressState;
use rust_decimal::Decimal;
use unicode_width::UnicodeWidthStr as _;

use super::screen::columns;
use crate::domain::audio::AudioDuration;
use crate::domain::money::Amount;
use crate::domain::pace::words;
use crate::pipeline::prospect::Price;

/// The columns of the bar itself and what stands around it.
const BAR: usize = "[                ] ".len();
/// Digits that money has on the bar, as far as they are not whole dollars and cents.
const DIGITS: u32 = 4;

/// How far a run is.
#[derive(Debug, Default)]
pub(super) struct Overall {
    price: Price,
    /// Microseconds of audio that are done.
    position: u64,
    spent: Decimal,
    /// When that was, since the bar began; none before anything was done.
    moved: Option<Duration>,
}

impl Overall {
    /// How far it is now, so long after the bar began.
    pub(super) fn tell(&mut self, price: Price, position: u64, spent: Decimal, now: Duration) {
        if position > self.position {
            self.moved = Some(now);
        }
        self.price = price;
        self.position = position;
        self.spent = spent;
    }

    /// The fullest form that fits so many columns, so long after the bar began.
    pub(super) fn text(&self, columns: usize, now: Duration) -> String {
        let done = AudioDuration::from_micros(self.position);
        let audio = format!("{done} of {}", self.price.audio());
        let money = self.money();
        let left = self.left(now);
        let left = left.map_or(String::new(), |left| format!(", {} left", words(left)));
        let forms = [
            format!("{audio} of audio{money}{left}"),
            format!("{audio}{money}{left}"),
            format!("{audio}{money}"),
            audio,
        ];
        let fits = |form: &String| form.width() <= columns;
        forms.into_iter().find(fits).unwrap_or_default()
    }

    fn money(&self) -> String {
        match self.price.yet_to_charge() {
            Some(cost) if cost.is_zero() && self.spent.is_zero() => String::new(),
            Some(cost) => format!(", {} of {}", short(self.spent), short(cost)),
            None => format!(", {} of ?", short(self.spent)),
        }
    }

    /// How much time is left, by what was done so far; nothing once that time has passed and nothing came
    /// of it.
    fn left(&self, now: Duration) -> Option<Duration> {
        let total = self.price.audio().micros();
        if self.position == 0 || self.position >= total {
            return None;
        }
        let seconds = |micros| AudioDuration::from_micros(micros).seconds();
        let (moved, done) = (self.moved?, seconds(self.position));
        let left = moved.as_secs_f64() * (seconds(total) - done) / done;
        let since = now.saturating_sub(moved);
        let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
        let left = left.checked_sub(since)?;
        (left.as_secs() > 0).then_some(left)
    }
}

/// Money as it fits a bar: whole cents of large sums, some digits of small ones.
fn short(value: Decimal) -> Amount {
    let rounded = if value.abs() >= Decimal::ONE_HUNDRED {
        value.round_dp(2)
    } else {
        value.round_sf(DIGITS).unwrap_or(value)
    };
    Amount::usd(rounded)
}

/// What the bar says, made anew each time it is drawn.
pub(super) fn said(
    overall: Arc<Mutex<Overall>>,
) -> impl Fn(&ProgressState, &mut dyn Write) + Clone + Send + Sync {
    move |state, line| {
        let room = usize::from(columns(io::stderr())).saturating_sub(BAR);
        let overall = overall.lock().unwrap_or_else(PoisonError::into_inner);
        match line.write_str(&overall.text(room, state.elapsed())) {
            // A line that cannot be made stays empty.
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_way(cost: &str, spent: &str) -> Overall {
        let price = Price {
            recordings: 2,
            duration: AudioDuration::from_micros(120_000_000),
            cost: Some(cost.parse().unwrap()),
            ..Price::default()
        };
        let mut overall = Overall::default();
        let spent = spent.parse().unwrap();
        overall.tell(price, 60_000_000, spent, Duration::from_secs(10));
        overall
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_no_number_is_cut() {
        let overall = half_way("0.062035", "0.03101");
        let text = |columns| overall.text(columns, Duration::from_secs(12));
        assert_eq!(
            text(80),
            "1:00 of 2:00 of audio, $0.03101 of $0.06204, 8 s left"
        );
        assert_eq!(text(52), "1:00 of 2:00, $0.03101 of $0.06204, 8 s left");
        assert_eq!(text(40), "1:00 of 2:00, $0.03101 of $0.06204");
        assert_eq!(text(30), "1:00 of 2:00");
        assert_eq!(text(5), "");
    }

    #[test]
    fn money_has_few_digits_and_large_sums_keep_their_cents() {
        let text = |cost, spent| half_way(cost, spent).text(80, Duration::from_secs(60));
        assert_eq!(
            text("0.000109999", "0.00005475"),
            "1:00 of 2:00 of audio, $0.00005475 of $0.00011"
        );
        assert_eq!(
            text("1234.56789", "7.123456"),
            "1:00 of 2:00 of audio, $7.123 of $1234.57"
        );
    }

    #[test]
    fn what_an_earlier_run_was_charged_is_no_part_of_what_this_one_is() {
        let mut price = Price::default();
        let minute = AudioDuration::from_micros(60_000_000);
        let said = |price, spent: &str| {
            let mut overall = Overall::default();
            let (spent, now) = (spent.parse().unwrap(), Duration::from_secs(1));
            overall.tell(price, 0, spent, now);
            overall.text(80, now)
        };
        price
            .with_service
            .add(Some(minute), Decimal::ONE, Decimal::ZERO);
        assert_eq!(said(price, "0"), "0.0 s of 1:00 of audio");
        price
            .with_service
            .add(Some(minute), Decimal::ZERO, Decimal::TWO);
        assert_eq!(said(price, "0"), "0.0 s of 2:00 of audio, $0 of $2");
        assert_eq!(said(price, "2"), "0.0 s of 2:00 of audio, $2 of $2");
    }

    #[test]
    fn a_time_that_has_passed_is_not_told_any_more() {
        let overall = half_way("1", "0.5");
        let text = |now| overall.text(80, Duration::from_secs(now));
        assert!(text(10).ends_with(", 10 s left"), "{}", text(10));
        assert!(text(19).ends_with(", 1 s left"), "{}", text(19));
        for late in [20, 21, 600] {
            assert!(text(late).ends_with("$0.5 of $1"), "{}", text(late));
        }
    }
}
