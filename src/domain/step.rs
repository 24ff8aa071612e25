//! What is next for a job, as pure functions of its stage and the time.
//!
//! No wildcard arm: a new stage breaks every decision that forgot it. Time is an argument.

use std::time::Duration;

use jiff::Timestamp;

use super::audio::AudioDuration;
use super::fall::{self, Suspicion};
use super::job::{Overdue, Reason, ReplyId, Stage, Ticket};
use super::timing::after;

/// What is to be done with a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send it.
    Submit,
    /// Ask how the run is doing.
    Poll {
        /// The receipt.
        ticket: Ticket,
        /// When it was accepted.
        submitted_at: Timestamp,
    },
    /// Make something of the stored reply.
    Interpret {
        /// Where it is stored.
        reply: ReplyId,
    },
    /// Put a job in doubt back into the queue: the one paid repeat that the policy allows.
    Repeat,
    /// Nothing before this moment.
    Wait {
        /// The moment.
        until: Timestamp,
    },
    /// Nothing by itself: it has ended, is in somebody's hands, or waits for a person.
    Rest,
}

/// What is next for a job in `stage` at `now`. Due is what is due in this millisecond, as it is to the table: what
/// that lists and is not acted on would be looked at again only after the slow tick.
pub fn next_action(stage: &Stage, now: Timestamp) -> Action {
    if let Some(Some(until)) = stage.due()
        && until.as_millisecond() > now.as_millisecond()
    {
        return Action::Wait { until };
    }
    match stage {
        Stage::Queued { .. } => Action::Submit,
        Stage::Awaiting {
            ticket,
            submitted_at,
            ..
        } => Action::Poll {
            ticket: ticket.clone(),
            submitted_at: *submitted_at,
        },
        Stage::Received { reply, .. } => Action::Interpret { reply: *reply },
        Stage::InDoubt {
            retry_at: Some(_), ..
        } => Action::Repeat,
        Stage::InDoubt { retry_at: None, .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Waiting { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled => Action::Rest,
    }
}

/// What follows when nobody can know whether a submit was billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtPolicy {
    /// Repeat it once, and say that it may have been paid twice.
    RetryOnce,
    /// Leave it to a person.
    Hold,
}

/// The stage of a job whose submit is in doubt, after `doubts` earlier paid repeats.
pub fn in_doubt(reason: Reason, doubts: u32, policy: DoubtPolicy, retry_at: Timestamp) -> Stage {
    let repeat = match policy {
        DoubtPolicy::RetryOnce => doubts == 0,
        DoubtPolicy::Hold => false,
    };
    Stage::InDoubt {
        reason,
        retry_at: repeat.then_some(retry_at),
    }
}

/// The stage in which a job is found again after a crash, or `None` where nothing changes.
///
/// In `submitting` the service never saw a whole request: back to the queue, free of charge, unless the
/// falls that count against it are too many. In `committing` it may have: in doubt. Every other stage
/// goes on where it was.
pub fn recover(
    stage: &Stage,
    suspicion: Option<Suspicion>,
    doubts: u32,
    policy: DoubtPolicy,
    now: Timestamp,
) -> Option<Stage> {
    match stage {
        Stage::Submitting if suspicion.is_some_and(Suspicion::is_poison) => Some(Stage::Failed {
            reason: fall::poison(),
        }),
        Stage::Submitting if suspicion.is_some() => Some(Stage::Queued {
            not_before: Some(now),
            reason: Some(fall::suspect()),
        }),
        Stage::Submitting => Some(Stage::queued()),
        Stage::Committing => {
            let text = "stenod was stopped after the last bytes were handed over and before the answer was stored";
            Some(in_doubt(
                Reason::new("reply_lost", text),
                doubts,
                policy,
                now,
            ))
        }
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. }
        | Stage::Cancelled => None,
    }
}

/// How long a run may be unknown to the service before that is believed.
pub const UNKNOWN_RUN_GRACE: Duration = Duration::from_secs(120);
/// The longest wait between two polls of a run that is on time.
pub const LONGEST_POLL_WAIT: Duration = Duration::from_secs(60);
/// The wait between two polls of a run that is overdue.
pub const OVERDUE_POLL_WAIT: Duration = Duration::from_secs(3600);
/// How long any run may take, whatever its length.
const SHORTEST_POLL_DEADLINE: Duration = Duration::from_secs(2 * 3600);
/// How many times its own length a run may take beyond that.
const DEADLINE_PER_LENGTH: u32 = 4;
/// Half the width of the jitter on a poll's wait, in hundredths.
const POLL_JITTER_PERCENT: f64 = 20.0;

/// The wait before the next poll of a run that was accepted `age` ago: a quarter of its age, never
/// under `first` nor over a minute, give or take 20 %; `jitter` is a random number in `0.0..1.0`.
pub fn poll_wait(age: Duration, first: Duration, jitter: f64) -> Duration {
    let longest = LONGEST_POLL_WAIT.max(first);
    let wait = (age / 4).clamp(first, longest);
    let factor = 1.0 + (jitter.clamp(0.0, 1.0) * 2.0 - 1.0) * POLL_JITTER_PERCENT / 100.0;
    wait.mul_f64(factor)
}

/// Whether a run that was accepted at `submitted_at` should have ended by `now`.
pub fn overdue(
    submitted_at: Timestamp,
    length: Option<AudioDuration>,
    now: Timestamp,
) -> Option<Overdue> {
    let length = length.map_or(Duration::ZERO, |length| {
        Duration::from_micros(length.micros())
    });
    let deadline = SHORTEST_POLL_DEADLINE + length * DEADLINE_PER_LENGTH;
    (now > after(submitted_at, deadline)).then_some(Overdue::PollDeadline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reason() -> Reason {
        Reason::new("reply_lost", "lost")
    }

    #[test]
    fn a_crash_before_the_last_chunk_costs_nothing() {
        let stage = recover(&Stage::Submitting, None, 0, DoubtPolicy::Hold, at(5));
        assert_eq!(stage, Some(Stage::queued()));
    }

    #[test]
    fn what_takes_the_process_down_twice_is_set_aside() {
        let after = |suspicion| {
            let policy = DoubtPolicy::Hold;
            recover(&Stage::Submitting, Some(suspicion), 0, policy, at(5))
        };
        let first = Suspicion::default().after(true, 0);
        let second = after(first.after(true, 0));
        assert!(matches!(
            after(Suspicion::default()),
            Some(Stage::Queued { .. })
        ));
        assert!(matches!(after(first), Some(Stage::Queued { .. })));
        let Some(Stage::Failed { reason }) = second else {
            panic!("{second:?}");
        };
        assert_eq!(reason.code, "poison");
    }

    #[test]
    fn a_crash_while_committing_is_in_doubt_and_never_simply_queued_again() {
        for policy in [DoubtPolicy::Hold, DoubtPolicy::RetryOnce] {
            let twice = Suspicion::default().after(true, 0).after(true, 0);
            let stage = recover(&Stage::Committing, Some(twice), 0, policy, at(5));
            assert!(matches!(stage, Some(Stage::InDoubt { .. })), "{stage:?}");
        }
    }

    #[test]
    fn retry_once_repeats_once_and_then_leaves_it_to_a_person() {
        let first = in_doubt(reason(), 0, DoubtPolicy::RetryOnce, at(9));
        assert_eq!(next_action(&first, at(8)), Action::Wait { until: at(9) });
        assert_eq!(next_action(&first, at(9)), Action::Repeat);
        let second = in_doubt(reason(), 1, DoubtPolicy::RetryOnce, at(9));
        assert_eq!(next_action(&second, at(100)), Action::Rest);
    }

    #[test]
    fn hold_never_repeats_by_itself() {
        let stage = in_doubt(reason(), 0, DoubtPolicy::Hold, at(9));
        assert_eq!(next_action(&stage, at(1_000_000)), Action::Rest);
    }

    #[test]
    fn a_run_is_overdue_only_after_hours_and_longer_for_longer_recordings() {
        let ten_hours = AudioDuration::from_micros(36_000_000_000);
        assert_eq!(overdue(at(0), None, at(7200)), None);
        assert_eq!(overdue(at(0), None, at(7201)), Some(Overdue::PollDeadline));
        assert_eq!(overdue(at(0), Some(ten_hours), at(40 * 3600)), None);
    }

    proptest! {
        #[test]
        fn polls_are_never_closer_than_four_fifths_of_the_first_wait_nor_further_than_72_seconds(
            age in 0_u64..1_000_000, first in 100_u64..30_000, jitter in 0.0_f64..1.0,
        ) {
            let first = Duration::from_millis(first);
            let wait = poll_wait(Duration::from_secs(age), first, jitter);
            prop_assert!(wait >= first.mul_f64(0.799));
            prop_assert!(wait <= Duration::from_secs(72));
        }
    }
}
