//! What a process that went down had in hand, and who is suspected.

use super::*;

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
    assert_eq!(table.falls().await.queued, [id]);
    assert_eq!(table.claim(terms()).await, Claimed::Nothing, "alone only");
    assert!(matches!(table.claim_suspect().await, Claimed::Submit(_)));
    let recovered = table.falls().await;
    assert_eq!((recovered.poison, recovered.queued), (vec![id], vec![]));
    assert_eq!(table.state(id).await, State::Failed);
    assert!(table.reserved(id).await.is_zero());
    assert_eq!(table.queue.retry(vec![id], at(2)).await.unwrap(), [id]);
    table.claim_job().await;
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
        assert_eq!(table.falls().await.queued, [id]);
        drop(other);
        assert!(matches!(table.claim_suspect().await, Claimed::Submit(_)));
    }
    let path = PathBuf::from("/in/a.mp3");
    assert_eq!(table.queue.falls(path.clone()).await.unwrap(), Some(0));
    table.queue.acquit(path).await.unwrap();
    table.queue.requeue(id, None, None, at(2)).await.unwrap();
    table.claim_job().await;
}

#[tokio::test]
async fn a_file_that_was_being_examined_is_a_suspect_as_well() {
    let table = table();
    table.falls().await;
    let path = PathBuf::from("/in/hostile.mp3");
    for falls in 1..=2 {
        let in_hand = table.queue.look_into(path.clone());
        table.falls().await;
        drop(in_hand);
        let counted = table.queue.falls(path.clone()).await.unwrap();
        assert_eq!(counted, Some(falls));
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
