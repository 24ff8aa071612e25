//! Arithmetic on points in time that cannot overflow, and the back-off between tries.

use std::time::Duration;

use jiff::Timestamp;

/// The moment `wait` after `start`; the end of time where that lies beyond it.
pub fn after(start: Timestamp, wait: Duration) -> Timestamp {
    start.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How long ago `start` was at `now`; nothing if the clock was set back since.
pub fn age(start: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start)).unwrap_or(Duration::ZERO)
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
}
