//! Runs that take too long or that the service does not know: asked about for ever, never sent again.

use std::time::Duration;

use super::sweeps::case;
use super::{Case, DoubtPolicy, Outcome, Overdue};

/// A recording that is answered with a ticket.
fn play(polls: u32, unknown: u32) -> Outcome {
    let case = Case {
        contents: vec![0],
        polls,
        unknown,
        ..case(1, DoubtPolicy::RetryOnce, None)
    };
    let outcome = case.play();
    assert_eq!(
        outcome.violations,
        Vec::<String>::new(),
        "{:#?}",
        outcome.story
    );
    assert_eq!(outcome.billed, 1, "{:#?}", outcome.story);
    outcome
}

#[test]
fn a_run_past_its_deadline_is_asked_about_every_hour_until_it_has_ended() {
    // About a minute apart, until two hours are over, and then an hour.
    let outcome = play(160, 0);
    assert!(
        outcome.overdue.contains(&Overdue::PollDeadline),
        "{:#?}",
        outcome.story
    );
    assert!(
        outcome.took > Duration::from_secs(4 * 3600),
        "{:?}",
        outcome.took
    );
}

#[test]
fn a_run_that_is_not_known_is_asked_about_often_for_the_grace_and_then_every_hour() {
    let outcome = play(0, 3);
    assert_eq!(outcome.overdue, [], "within the grace");
    let outcome = play(0, 25);
    assert!(
        outcome.overdue.contains(&Overdue::RunUnknown),
        "{:#?}",
        outcome.story
    );
    assert!(
        outcome.took > Duration::from_secs(4 * 3600),
        "{:?}",
        outcome.took
    );
}
