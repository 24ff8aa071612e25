//! The only clock and the only source of chance.
//!
//! Wall time goes into rows, monotonic time into waits; both come from here, so that tests and
//! simulations can give their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, civil, tz::TimeZone};

pub use crate::domain::timing::rfc3339;

/// Tells the wall time.
pub trait Clock: Send + Sync {
    /// The wall time now.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that can be shared between tasks.
pub type SharedClock = Arc<dyn Clock>;

/// Chance, in one seeded stream.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<fastrand::Rng>>);

impl Chance {
    /// Chance that differs from run to run.
    pub fn from_entropy() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// The same chance for the same seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// `size` give or take a quarter.
    pub fn about(&self, size: Duration) -> Duration {
        size.mul_f64(0.75 + self.fraction() / 2.0)
    }
}

/// When the day and the month of `now` began where the machine stands, and when they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Midnight.
    pub day_start: Timestamp,
    /// The next midnight.
    pub day_end: Timestamp,
    /// The first of the month, at midnight.
    pub month_start: Timestamp,
    /// The first of the next month, at midnight.
    pub month_end: Timestamp,
}

impl Calendar {
    /// The calendar around `now` in the machine's own time zone.
    pub fn around(now: Timestamp) -> Self {
        Self::in_zone(now, TimeZone::system()).unwrap_or(Self {
            day_start: Timestamp::MIN,
            day_end: Timestamp::MAX,
            month_start: Timestamp::MIN,
            month_end: Timestamp::MAX,
        })
    }

    /// The calendar in `zone`, or `None` at the ends of time.
    fn in_zone(now: Timestamp, zone: TimeZone) -> Option<Self> {
        let now = now.to_zoned(zone);
        let day = now.start_of_day().ok()?;
        let month = now.first_of_month().ok()?.start_of_day().ok()?;
        Some(Self {
            day_start: day.timestamp(),
            day_end: day.checked_add(1.day()).ok()?.timestamp(),
            month_start: month.timestamp(),
            month_end: month.checked_add(1.month()).ok()?.timestamp(),
        })
    }
}

/// The moment that a person names: a time of day (the next one), a day (its midnight), both, or RFC 3339;
/// without an offset where the machine stands.
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    moment_in(text, now, TimeZone::system())
}

fn moment_in(text: &str, now: Timestamp, zone: TimeZone) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // A time of day may be read out of a date as well, so that the date goes first.
    let moment = if let Ok(moment) = text.parse::<civil::DateTime>() {
        moment
    } else {
        let time = text.parse::<civil::Time>().ok()?;
        let today = now.to_zoned(zone.clone()).datetime();
        let day = today.date();
        let day = if time > today.time() {
            day
        } else {
            day.tomorrow().ok()?
        };
        day.to_datetime(time)
    };
    Some(moment.to_zoned(zone).ok()?.timestamp())
}

/// The last moment before `now` at which it was `time` of the day where the machine stands.
pub fn last_time(time: civil::Time, now: Timestamp) -> Timestamp {
    last_time_in(time, now, &TimeZone::system()).unwrap_or(Timestamp::MIN)
}

fn last_time_in(time: civil::Time, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    let at = |day: civil::Date| {
        Some(
            day.to_datetime(time)
                .to_zoned(zone.clone())
                .ok()?
                .timestamp(),
        )
    };
    match at(today) {
        Some(moment) if moment <= now => Some(moment),
        Some(_) | None => at(today.yesterday().ok()?),
    }
}

/// The day of `time` where the machine stands: `2026-03-15`.
pub fn local_day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).date().to_string()
}

/// The midnight that begins `day` (`2026-03-15`) where the machine stands; `None` for what is no day.
pub fn day_start(day: &str) -> Option<Timestamp> {
    let date: civil::Date = day.parse().ok()?;
    let midnight = date.to_zoned(TimeZone::system()).ok()?;
    Some(midnight.timestamp())
}

/// The moment `back` before `now`; the beginning of time if there is none.
pub fn before(now: Timestamp, back: Duration) -> Timestamp {
    now.checked_sub(back).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_and_the_month_begin_at_midnight_of_the_zone() {
        let now: Timestamp = "2026-03-15T22:30:00Z".parse().unwrap();
        let calendar = Calendar::in_zone(now, TimeZone::UTC).unwrap();
        assert_eq!(calendar.day_start.to_string(), "2026-03-15T00:00:00Z");
        assert_eq!(calendar.day_end.to_string(), "2026-03-16T00:00:00Z");
        assert_eq!(calendar.month_start.to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(calendar.month_end.to_string(), "2026-04-01T00:00:00Z");
    }

    #[test]
    fn the_same_seed_gives_the_same_chance() {
        let (one, other) = (Chance::from_seed(7), Chance::from_seed(7));
        assert_eq!(one.fraction().to_bits(), other.fraction().to_bits());
    }

    #[test]
    fn a_person_may_name_a_time_a_day_or_both() {
        let now: Timestamp = "2026-03-15T22:30:00Z".parse().unwrap();
        for (text, moment) in [
            ("23:15", "2026-03-15T23:15:00Z"),
            ("06:00", "2026-03-16T06:00:00Z"),
            ("2026-03-20", "2026-03-20T00:00:00Z"),
            ("2026-03-20T18:30", "2026-03-20T18:30:00Z"),
            ("2026-03-20T18:30:00+02:00", "2026-03-20T16:30:00Z"),
        ] {
            let found = moment_in(text, now, TimeZone::UTC).map(|time| time.to_string());
            assert_eq!(found.as_deref(), Some(moment), "{text}");
        }
        assert_eq!(moment_in("tomorrow", now, TimeZone::UTC), None);
    }

    #[test]
    fn the_last_time_of_a_day_is_today_or_yesterday() {
        let now: Timestamp = "2026-03-15T07:30:00Z".parse().unwrap();
        let last = |hour, minute| {
            let time = civil::time(hour, minute, 0, 0);
            last_time_in(time, now, &TimeZone::UTC).unwrap().to_string()
        };
        assert_eq!(last(7, 30), "2026-03-15T07:30:00Z");
        assert_eq!(last(7, 31), "2026-03-14T07:31:00Z");
        assert_eq!(last(0, 0), "2026-03-15T00:00:00Z");
    }
}
