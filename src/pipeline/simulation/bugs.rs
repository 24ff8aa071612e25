//! Mistakes on purpose: each is planted in turn, and the single faults alone must bring it to light.

use super::sweeps::{case, sweep};
use super::{Bug, DoubtPolicy};

/// The single faults must bring `bug` to light in these words, perhaps among others.
fn assert_caught(bug: Bug, tickets: u64, policy: DoubtPolicy, words: &str) {
    let swept = sweep(&case(tickets, policy, Some(bug)), words);
    let found: Vec<&String> = swept.violations.keys().collect();
    assert!(
        found.iter().any(|kind| kind.contains(words)),
        "{bug:?} was not found by {} cases, but {found:#?}",
        swept.cases
    );
}

#[test]
fn putting_committing_back_into_the_queue_is_caught() {
    assert_caught(
        Bug::RequeueCommitting,
        0,
        DoubtPolicy::Hold,
        "was billed # times",
    );
}

#[test]
fn polling_a_ticket_before_it_is_stored_is_caught() {
    assert_caught(
        Bug::PollUnstoredTicket,
        0b11,
        DoubtPolicy::Hold,
        "was polled and is not known",
    );
}

#[test]
fn recording_the_charge_after_the_job_is_done_is_caught() {
    assert_caught(
        Bug::LedgerAfterDone,
        0,
        DoubtPolicy::Hold,
        "is done, charged #",
    );
}

#[test]
fn sending_a_copy_beside_its_twin_is_caught() {
    assert_caught(
        Bug::ClaimBesideTwin,
        0,
        DoubtPolicy::Hold,
        "was billed # times",
    );
}

#[test]
fn passing_the_gate_without_a_record_is_caught() {
    assert_caught(
        Bug::GateWithoutRecord,
        0,
        DoubtPolicy::Hold,
        "was billed # times",
    );
}

#[test]
fn passing_the_gate_with_other_bytes_is_caught() {
    assert_caught(
        Bug::GateWithoutProof,
        0,
        DoubtPolicy::Hold,
        "is no whole output",
    );
}

#[test]
fn writing_over_a_file_of_somebody_else_is_caught() {
    assert_caught(
        Bug::OverwriteForeign,
        0,
        DoubtPolicy::Hold,
        "was not stenod's",
    );
}

#[test]
fn interpreting_a_reply_before_it_is_stored_is_caught() {
    assert_caught(
        Bug::PublishUnstored,
        0,
        DoubtPolicy::Hold,
        "was made of a reply that is not kept",
    );
}

#[test]
fn writing_an_output_under_its_final_name_is_caught() {
    assert_caught(Bug::NoDraft, 0, DoubtPolicy::Hold, "is no whole output");
}

#[test]
fn keeping_money_aside_for_nothing_is_caught() {
    assert_caught(
        Bug::KeepReservation,
        0,
        DoubtPolicy::Hold,
        "stays set aside",
    );
}

#[test]
fn forgetting_a_doubt_in_the_ledger_is_caught() {
    assert_caught(
        Bug::DoubtWithoutEntry,
        0,
        DoubtPolicy::RetryOnce,
        "was billed # times with # doubts",
    );
}

#[test]
fn telling_of_a_transcript_after_its_job_is_done_is_caught() {
    assert_caught(
        Bug::TellAfterDone,
        0,
        DoubtPolicy::Hold,
        "nobody is told of job",
    );
}

#[test]
fn retrying_in_doubt_without_end_is_caught() {
    // One fault repeats a submit once; only a second one shows that nobody counts.
    let mut case = case(0, DoubtPolicy::RetryOnce, Some(Bug::RepeatWithoutEnd));
    case.contents = vec![0];
    // At a submit: it is billed, and its answer is lost.
    let lost = 9;
    let found = (4..20).find_map(|second| {
        let mut case = case.clone();
        case.plan = vec![(3, lost), (second, lost), (second + 6, lost)];
        let outcome = case.play();
        outcome
            .violations
            .into_iter()
            .find(|violation| violation.contains("was billed 3 times"))
    });
    assert!(found.is_some());
}
