//! One fault at a time: at call 1, 2, 3 … of every port, each thing that can go wrong there.

use std::collections::BTreeMap;

use super::fault::Port;
use super::service::POLLS;
use super::world::Turns;
use super::{Bug, Case, DoubtPolicy, Format};

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) cases: u64,
    pub(super) calls: u64,
    pub(super) ports: Vec<Port>,
    /// What went wrong, with the plan that brought it about; the first of each kind.
    pub(super) violations: BTreeMap<String, String>,
}

/// The case of a sweep: two recordings and a copy of the first.
pub(super) fn case(tickets: u64, policy: DoubtPolicy, bug: Option<Bug>) -> Case {
    Case {
        contents: vec![0, 1, 0],
        length: 64,
        tickets,
        formats: vec![Format::Txt, Format::Json],
        policy,
        jobs: 2,
        pieces: false,
        watches: false,
        polls: POLLS,
        unknown: 0,
        guilty: None,
        plan: Vec::new(),
        turns: Turns::Always(1),
        seed: 7,
        bug,
    }
}

/// Plays `case` with every single fault at every single call, or until something is wrong in the
/// words that are looked for.
pub(super) fn sweep(case: &Case, looked_for: &str) -> Swept {
    let mut swept = Swept::default();
    let mut call = 1;
    loop {
        let mut choice = 0;
        loop {
            let plan = vec![(call, choice)];
            let outcome = Case {
                plan: plan.clone(),
                ..case.clone()
            }
            .play();
            swept.cases += 1;
            if let Some(first) = outcome.violations.first() {
                let kind = first.replace(|c: char| c.is_ascii_digit(), "#");
                let text = format!("{plan:?}: {first}\n{:#?}", outcome.story);
                let is_it = kind.contains(looked_for);
                swept.violations.entry(kind).or_insert(text);
                if is_it {
                    return swept;
                }
            }
            let Some((port, faults)) = outcome.met else {
                swept.calls = outcome.calls;
                return swept;
            };
            if !swept.ports.contains(&port) {
                swept.ports.push(port);
            }
            choice += 1;
            if choice == faults {
                break;
            }
        }
        call += 1;
    }
}

/// Words that no violation has.
const NOTHING: &str = "\0";

fn sweep_clean(tickets: u64, policy: DoubtPolicy) {
    assert_clean(&case(tickets, policy, None));
}

fn assert_clean(case: &Case) {
    let swept = sweep(case, NOTHING);
    println!(
        "{} cases over {} calls of {:?}",
        swept.cases, swept.calls, swept.ports
    );
    for violation in swept.violations.values() {
        println!("{violation}");
    }
    assert_eq!(swept.violations.len(), 0);
    assert!(swept.calls > 20, "the sweep ended early");
}

#[test]
fn every_single_fault_is_survived_when_doubt_is_held() {
    sweep_clean(0b10, DoubtPolicy::Hold);
}

#[test]
fn every_single_fault_is_survived_when_doubt_is_repeated_once() {
    sweep_clean(0b01, DoubtPolicy::RetryOnce);
}

fn sweep_pieces(policy: DoubtPolicy) {
    assert_clean(&Case {
        contents: vec![0],
        pieces: true,
        // The second piece of the first recording.
        tickets: 1 << (100_002 % 64),
        ..case(0, policy, None)
    });
}

#[test]
fn every_single_fault_is_survived_by_pieces_when_doubt_is_held() {
    sweep_pieces(DoubtPolicy::Hold);
}

#[test]
fn every_single_fault_is_survived_by_pieces_when_doubt_is_repeated_once() {
    sweep_pieces(DoubtPolicy::RetryOnce);
}
