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
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use crate::clock::Chance;
    use crate::domain::step::poll_wait;
    use crate::pipeline::MOST_OUTSTANDING;

    /// The first wait of a ticket, as the configuration has it.
    const FIRST: Duration = Duration::from_secs(5);

    /// One ticket, from its submit to the poll that sees its result.
    struct Seen {
        polls: u32,
        length: Duration,
        age: Duration,
    }

    /// How long run `number` of `count` takes at the service: 10 s to 2 h, as many short ones as long ones.
    fn length(number: u32, count: u32) -> Duration {
        Duration::from_secs(10).mul_f64(720_f64.powf(f64::from(number) / f64::from(count)))
    }

    async fn followed(limiter: Arc<Limiter>, chance: Chance, length: Duration) -> Seen {
        limiter.turn().await;
        let submitted = now();
        for polls in 1.. {
            let wait = poll_wait(submitted.elapsed(), FIRST, chance.fraction());
            tokio::time::sleep(wait).await;
            limiter.turn().await;
            let age = submitted.elapsed();
            if age >= length {
                return Seen { polls, length, age };
            }
        }
        unreachable!("it ends when it is seen");
    }

    /// So many tickets in simulated time, as many at once as the pipeline has.
    async fn crowd(count: u32, limiter: Limiter) -> Vec<Seen> {
        let (limiter, chance) = (Arc::new(limiter), Chance::from_seed(7));
        let room = Arc::new(Semaphore::new(MOST_OUTSTANDING));
        let mut tickets = JoinSet::new();
        for number in 0..count {
            // Long and short ones mixed: 7919 is prime.
            let length = length(number * 7919 % count, count);
            let (limiter, chance, room) = (limiter.clone(), chance.clone(), room.clone());
            tickets.spawn(async move {
                let _place = room.acquire().await.unwrap();
                followed(limiter, chance, length).await
            });
        }
        tickets.join_all().await
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_tickets_take_a_third_of_the_polls_of_a_fixed_interval_and_are_seen_soon()
    {
        let start = now();
        let seen = crowd(10_000, Limiter::new(NonZeroU32::new(5).unwrap())).await;
        let polls: u32 = seen.iter().map(|one| one.polls).sum();
        let fixed: f64 = seen
            .iter()
            .map(|one| (one.length.as_secs_f64() / FIRST.as_secs_f64()).ceil())
            .sum();
        let share = f64::from(polls) / fixed;
        let requests = f64::from(polls) + 10_000.0;
        let rate = requests / start.elapsed().as_secs_f64();
        // What is over sooner than the first polls can come is not late.
        let mut late: Vec<f64> = seen
            .iter()
            .filter(|one| one.length > FIRST.mul_f64(4.0))
            .map(|one| 1.0 - one.length.as_secs_f64() / one.age.as_secs_f64())
            .collect();
        late.sort_by(f64::total_cmp);
        let (median, p98) = (late[late.len() / 2], late[late.len() * 98 / 100]);
        println!(
            "{polls} polls, {share:.3} of {fixed}; {rate:.2} requests a second; late by {median:.3} of the age at the \
             median, {p98:.3} at p98, {:.3} at most",
            late[late.len() - 1]
        );
        assert!(share <= 1.0 / 3.0, "{share}");
        assert!(rate <= 5.01, "{rate}");
        // The rest waited for the limiter, behind the submits of the first two hundred.
        assert!(p98 <= 0.25, "{p98}");
    }

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
