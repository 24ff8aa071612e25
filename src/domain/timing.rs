//! Arithmetic on points in time that cannot overflow, and the back-off between tries.

use std::time::Duration;

use jiff::{Timestamp, Unit};

/// The moment `wait` after `start`; the end of time where that lies beyond it.
pub fn after(start: Timestamp, wait: Duration) -> Timestamp {
    start.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How long ago `start` was at `now`; nothing if the clock was set back since.
pub fn age(start: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start)).unwrap_or(Duration::ZERO)
}

/// `time` as RFC 3339 in UTC, to the second.
pub fn rfc3339(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

/// `Retry-After` in seconds or as an HTTP date (RFC 9110, section 10.2.3).
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Duration::try_from(date.duration_since(now))
        .ok()
        .or(Some(Duration::ZERO))
}

/// The longest wait between two tries.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// The width of the first wait.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest that a service's own `Retry-After` is believed.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The wait before try number `tries + 1`: full jitter over a width that doubles with each try up to
/// [`LONGEST_BACKOFF`], and never below what the service asked for.
///
/// `jitter` is a random number in `0.0..1.0`. The rule is "Full Jitter" of the AWS Architecture Blog,
/// "Exponential Backoff And Jitter" (2015).
pub fn backoff(tries: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let width = FIRST_BACKOFF.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX));
    let wait = width.min(LONGEST_BACKOFF).mul_f64(jitter.clamp(0.0, 1.0));
    retry_after.map_or(wait, |least| wait.max(least.min(LONGEST_RETRY_AFTER)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_never_over_the_cap_nor_under_what_the_service_asks(
            tries in 0_u32..1000, jitter in 0.0_f64..1.0, asked in proptest::option::of(0_u64..100_000),
        ) {
            let wait = backoff(tries, asked.map(Duration::from_secs), jitter);
            match asked {
                None => prop_assert!(wait <= LONGEST_BACKOFF),
                Some(asked) => prop_assert!(
                    wait >= Duration::from_secs(asked).min(LONGEST_RETRY_AFTER)
                ),
            }
        }
    }

    #[test]
    fn the_end_of_time_is_a_wall_and_not_a_panic() {
        assert_eq!(
            after(Timestamp::MAX, Duration::from_secs(1)),
            Timestamp::MAX
        );
        assert_eq!(age(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Fri, 02 Jan 2026 03:05:05 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(60)));
        let past = "Fri, 02 Jan 2026 03:00:00 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn times_are_printed_to_the_second() {
        let time: Timestamp = "2026-03-15T22:30:00.123456Z".parse().unwrap();
        assert_eq!(rfc3339(time), "2026-03-15T22:30:00Z");
    }
}
