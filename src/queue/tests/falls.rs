//! What a process that went down had in hand, and who is suspected.

use super::*;
use crate::domain::fall::Suspicion;

impl Table {
    /// A new process finds what the last one had in hand when it went down.
    async fn falls(&self) -> Recovered {
        self.queue.recover(DoubtPolicy::Hold, at(2)).await.unwrap()
    }

    async fn claim_suspect(&self) -> Claimed {
        let alone = Terms {
            suspects: true,
            ..terms()
        };
        self.claim(alone).await
    }

    /// The process goes down while it decodes the recording at `path`, this far into it.
    async fn falls_decoding(&self, path: &str, reached: u64) -> Recovered {
        let in_hand = self.queue.look_into(path.into());
        in_hand.reached(reached);
        let recovered = self.falls().await;
        drop(in_hand);
        recovered
    }

    async fn suspicion(&self, path: &str) -> Option<Suspicion> {
        self.queue.suspicion(path.into()).await.unwrap()
    }
}

#[tokio::test]
async fn a_crash_before_the_last_chunk_gives_the_reservation_back() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    assert!(!table.reserved(id).await.is_zero());
    let recovered = table.queue.recover(DoubtPolicy::Hold, at(9)).await.unwrap();
    assert_eq!(recovered.queued, [id]);
    assert!(table.reserved(id).await.is_zero());
    assert_eq!(table.state(id).await, State::Queued);
}

#[tokio::test]
async fn what_was_alone_in_hand_at_two_falls_is_set_aside_and_can_be_tried_again() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.falls().await;
    table.claim_job().await;
    assert_eq!(table.falls_decoding("/in/a.mp3", 30).await.queued, [id]);
    assert_eq!(table.claim(terms()).await, Claimed::Nothing, "alone only");
    assert!(matches!(table.claim_suspect().await, Claimed::Submit(_)));
    let recovered = table.falls_decoding("/in/a.mp3", 30).await;
    assert_eq!((recovered.poison, recovered.queued), (vec![id], vec![]));
    assert_eq!(table.state(id).await, State::Failed);
    assert!(table.reserved(id).await.is_zero());
    assert_eq!(table.queue.retry(vec![id], at(2)).await.unwrap(), [id]);
    table.claim_job().await;
}

#[tokio::test]
async fn falls_at_different_places_set_nothing_aside_until_the_fifth() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.falls().await;
    table.claim_job().await;
    for reached in [1800, 15, 600, 0] {
        assert_eq!(
            table.falls_decoding("/in/a.mp3", reached).await.queued,
            [id]
        );
        assert!(matches!(table.claim_suspect().await, Claimed::Submit(_)));
    }
    assert_eq!(table.falls_decoding("/in/a.mp3", 45).await.poison, [id]);
}

#[tokio::test]
async fn a_recording_that_is_only_sent_is_no_suspect_however_often_that_ends_in_a_fall() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.falls().await;
    for _ in 0..9 {
        table.claim_job().await;
        assert_eq!(table.falls().await.queued, [id]);
    }
}

#[tokio::test]
async fn falls_in_company_set_nothing_aside_and_a_turn_that_passes_clears() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.falls().await;
    let beside = || table.queue.look_into("/in/other.mp3".into());
    table.claim_job().await;
    for _ in 0..5 {
        let other = beside();
        assert_eq!(table.falls_decoding("/in/a.mp3", 0).await.queued, [id]);
        drop(other);
        assert!(matches!(table.claim_suspect().await, Claimed::Submit(_)));
    }
    let in_company = Some(Suspicion::default());
    assert_eq!(table.suspicion("/in/a.mp3").await, in_company);
    table.queue.acquit("/in/a.mp3".into()).await.unwrap();
    table.queue.requeue(id, None, None, at(2)).await.unwrap();
    table.claim_job().await;
}

#[tokio::test]
async fn a_file_that_was_being_examined_is_a_suspect_as_well() {
    let table = table();
    table.falls().await;
    for falls in 1..=2 {
        table.falls_decoding("/in/hostile.mp3", 0).await;
        let counted = table.suspicion("/in/hostile.mp3").await;
        assert_eq!(counted.map(|suspicion| suspicion.here), Some(falls));
    }
}

#[tokio::test]
async fn a_process_that_was_being_stopped_counts_against_nobody() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.falls().await;
    for _ in 0..3 {
        table.claim_job().await;
        table.queue.stopping();
        assert_eq!(table.falls().await.queued, [id]);
    }
}

#[tokio::test]
async fn a_crash_after_the_last_chunk_is_in_doubt_and_counts_against_the_budget() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.queue.commit(id, at(3)).await.unwrap();
    let recovered = table.queue.recover(DoubtPolicy::Hold, at(9)).await.unwrap();
    assert_eq!(recovered.in_doubt, [id]);
    assert_eq!(table.state(id).await, State::InDoubt);
    let spent = table
        .queue
        .read(|reader| reader.committed_since(at(0)))
        .await
        .unwrap();
    assert_eq!(spent, 500_000);
    assert_eq!(table.claim(terms()).await, Claimed::Nothing);
}
