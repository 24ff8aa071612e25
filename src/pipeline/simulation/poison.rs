//! A recording with which the process goes down, beside others that are innocent.

use super::scene::Content;
use super::sweeps::case;
use super::world::Turns;
use super::{Case, DoubtPolicy};

/// Four recordings, of which this one takes the process down whenever it is decoded.
const GUILTY: u64 = 1;

fn guilty_case(seed: u64) -> Case {
    Case {
        contents: vec![0, GUILTY, 2, 3],
        guilty: Some(GUILTY),
        jobs: 3,
        pieces: true,
        watches: seed.is_multiple_of(2),
        turns: Turns::Chance(fastrand::Rng::with_seed(seed)),
        seed,
        ..case(0b100, DoubtPolicy::RetryOnce, None)
    }
}

#[test]
fn what_takes_the_process_down_is_set_aside_and_what_was_in_hand_beside_it_is_not() {
    for seed in 0..40 {
        let outcome = guilty_case(seed).play();
        assert_eq!(
            outcome.violations,
            Vec::<String>::new(),
            "{:#?}",
            outcome.story
        );
        assert_eq!(outcome.set_aside, [Content(GUILTY)], "{:#?}", outcome.story);
        // Once beside others, or not, and twice alone.
        assert!((2..=3).contains(&outcome.deaths), "{:#?}", outcome.story);
    }
}

#[test]
fn single_faults_beside_it_condemn_nobody_else() {
    for call in 1..60 {
        // A crash before the call has an effect.
        let plan = vec![(call, 0)];
        let outcome = Case {
            plan,
            ..guilty_case(call)
        }
        .play();
        assert_eq!(
            outcome.violations,
            Vec::<String>::new(),
            "{:#?}",
            outcome.story
        );
        assert_eq!(outcome.set_aside, [Content(GUILTY)], "{:#?}", outcome.story);
        assert!(outcome.deaths <= 4, "{:#?}", outcome.story);
    }
}
