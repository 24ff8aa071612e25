//! Several faults in one case, as chance has it: the seed of a case that goes wrong is printed and
//! kept, and the case is made as small as it can be.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};

use super::service::POLLS;
use super::world::Turns;
use super::{Case, DoubtPolicy, Format};

/// Random cases of each of the four tests, which run beside each other; `STENOD_SIMULATION_CASES` asks for
/// another number.
const CASES_OF_A_PART: u32 = 2_500;
/// The most faults of a case.
const MOST_FAULTS: usize = 3;
/// The most calls between two faults.
const WIDEST_GAP: u64 = 40;

fn policy() -> impl Strategy<Value = DoubtPolicy> {
    prop_oneof![Just(DoubtPolicy::RetryOnce), Just(DoubtPolicy::Hold)]
}

/// The calls at which something goes wrong, and what.
fn plan() -> impl Strategy<Value = Vec<(u64, usize)>> {
    let fault = (1..=WIDEST_GAP, 0_usize..1000);
    proptest::collection::vec(fault, 1..=MOST_FAULTS).prop_map(|faults| {
        let mut call = 0;
        faults
            .into_iter()
            .map(|(gap, choice)| {
                call += gap;
                (call, choice)
            })
            .collect()
    })
}

fn case() -> impl Strategy<Value = Case> {
    let contents = prop_oneof![
        4 => proptest::collection::vec(0_u64..2, 1..=2),
        1 => proptest::collection::vec(0_u64..3, 3..=4),
    ];
    let how = (any::<bool>(), proptest::bool::weighted(0.2));
    let rest = (0_u64..8, policy(), 1_usize..=3, how, any::<u64>());
    (contents, plan(), rest).prop_map(
        |(contents, plan, (tickets, policy, jobs, (watches, pieces), seed))| Case {
            contents,
            length: 64,
            tickets,
            formats: vec![Format::Txt],
            policy,
            jobs,
            pieces,
            watches,
            polls: POLLS,
            unknown: 0,
            guilty: None,
            plan,
            turns: Turns::Chance(fastrand::Rng::with_seed(seed)),
            seed,
            bug: None,
        },
    )
}

fn play_random_cases(seed: u64) {
    let cases = std::env::var("STENOD_SIMULATION_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES_OF_A_PART);
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    });
    let played = runner.run(&case(), |case| {
        let outcome = case.play();
        prop_assert!(
            outcome.violations.is_empty(),
            "{:#?}\n{:#?}",
            outcome.violations,
            outcome.story
        );
        Ok(())
    });
    if let Err(error) = played {
        panic!("with the seed {seed}: {error}");
    }
}

#[test]
fn random_schedules_of_faults_are_survived_part_1() {
    play_random_cases(1);
}

#[test]
fn random_schedules_of_faults_are_survived_part_2() {
    play_random_cases(2);
}

#[test]
fn random_schedules_of_faults_are_survived_part_3() {
    play_random_cases(3);
}

#[test]
fn random_schedules_of_faults_are_survived_part_4() {
    play_random_cases(4);
}
