//! Requests a second, for everything that goes to the service.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Spaces requests evenly.
#[derive(Debug)]
pub struct Limiter {
    space: Duration,
    next: Mutex<Option<Instant>>,
}

impl Limiter {
    /// At most `per_second` requests in any second.
    pub fn new(per_second: NonZeroU32) -> Self {
        Self {
            space: Duration::from_secs(1) / per_second.get(),
            next: Mutex::new(None),
        }
    }

    /// Comes back when the next request may leave.
    pub async fn turn(&self) {
        let at = self.reserve(now());
        tokio::time::sleep_until(at).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + self.space);
        at
    }
}

fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced_evenly() {
        let limiter = Limiter::new(NonZeroU32::new(5).unwrap());
        let start = now();
        for _ in 0..6 {
            limiter.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
