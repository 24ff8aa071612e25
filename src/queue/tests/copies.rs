//! Copies of a recording: which waits for which, and what the end of one means for the others.

use super::*;
use crate::domain::cut::Stretch;

#[tokio::test]
async fn a_copy_waits_for_the_one_that_is_paid_for_and_takes_its_transcript() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    assert_eq!(table.claim_job().await.id, first);
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    assert_eq!(table.state(copy).await, State::Waiting);
    table.finish(first).await;
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    let job = table.queue.job(copy).await.unwrap();
    assert!(
        matches!(job.stage, Stage::Received { .. }),
        "{:?}",
        job.stage
    );
    assert_eq!(job.attempts, 0);
}

#[tokio::test]
async fn a_copy_of_a_recording_that_is_held_in_doubt_keeps_no_run_waiting() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    assert_eq!(table.claim_job().await.id, first);
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    table.queue.commit(first, at(3)).await.unwrap();
    table.queue.recover(DoubtPolicy::Hold, at(9)).await.unwrap();
    let outlook = table.queue.outlook(terms(), at(9)).await.unwrap();
    assert_eq!((outlook.unfinished, outlook.copies), (1, 1), "{outlook:?}");
}

#[tokio::test]
async fn a_copy_whose_twin_has_ended_waits_for_it_no_more() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    table.claim_job().await;
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    assert_eq!(table.queue.outlook(terms(), at(2)).await.unwrap().copies, 1);
    table.finish(first).await;
    let outlook = table.queue.outlook(terms(), at(7)).await.unwrap();
    assert_eq!((outlook.unfinished, outlook.copies), (1, 0), "{outlook:?}");
}

#[tokio::test]
async fn a_copy_whose_twin_goes_back_into_the_queue_need_not_wait_for_it() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    table.claim_job().await;
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    let reason = Reason::new("service_overloaded", "no");
    let later = table.queue.retry_later(first, at(900), reason, at(2));
    later.await.unwrap();
    assert_eq!(table.claim_job().await.id, copy);
    assert_eq!(
        table.claim(terms()).await,
        Claimed::Nothing,
        "the first waits for its time"
    );
}

#[tokio::test]
async fn a_copy_of_a_recording_that_was_refused_is_not_sent_either() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    table.claim_job().await;
    let reason = Reason::new("format_refused", "no");
    table.queue.fail(first, reason, None, at(3)).await.unwrap();
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    assert_eq!(table.state(copy).await, State::Failed);
}

#[tokio::test]
async fn a_recording_is_not_sent_when_a_copy_that_came_later_was_refused_meanwhile() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    assert_eq!(table.claim_job().await.id, first);
    let reason = Reason::new("service_overloaded", "no");
    let later = table.queue.retry_later(first, at(2), reason, at(2));
    later.await.unwrap();
    let refused = async |id| {
        let reason = Reason::new("service_failed", "no");
        table.queue.fail(id, reason, None, at(3)).await.unwrap();
    };
    let sent = table.claim_job().await.id;
    refused(sent).await;
    let other = if sent == first { copy } else { first };
    assert_eq!(table.claim(terms()).await, Claimed::Moved(other));
    assert_eq!(table.state(other).await, State::Failed);
}

#[tokio::test]
async fn a_copy_that_a_person_has_tried_again_is_sent_although_its_twin_was_refused() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    table.claim_job().await;
    let reason = Reason::new("format_refused", "no");
    table.queue.fail(first, reason, None, at(3)).await.unwrap();
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    table.queue.retry(vec![copy], at(4)).await.unwrap();
    assert_eq!(table.claim_job().await.id, copy);
}

#[tokio::test]
async fn a_copy_of_what_is_stopped_between_its_pieces_is_stopped_as_well() {
    let table = table();
    let whole = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    assert_eq!(table.claim_job().await.id, whole);
    let piece = NewPiece {
        stretch: Stretch {
            start: 0,
            end: 960_000,
        },
        size: 10,
        hash: ContentHash([9; 32]),
    };
    table.queue.split(whole, vec![piece], at(3)).await.unwrap();
    table.queue.cancel(vec![whole], at(4)).await.unwrap();
    assert_eq!(table.state(copy).await, State::Cancelled);
    assert_eq!(table.claim(terms()).await, Claimed::Nothing);
}

#[tokio::test]
async fn a_copy_of_what_was_stopped_by_hand_is_stopped_until_a_person_asks_for_it() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    table.queue.cancel(vec![first], at(1)).await.unwrap();
    let copy = table.add("/in/b.mp3", 1).await;
    assert_eq!(table.state(copy).await, State::Cancelled);
    assert_eq!(table.claim(terms()).await, Claimed::Nothing);
    table.queue.retry(vec![copy], at(4)).await.unwrap();
    assert_eq!(table.claim_job().await.id, copy);
}

#[tokio::test]
async fn a_copy_of_what_was_stopped_by_hand_at_one_place_and_done_at_another_takes_the_transcript()
{
    let table = table();
    let done = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.finish(done).await;
    let stopped = table.add("/in/b.mp3", 1).await;
    table.queue.cancel(vec![stopped], at(6)).await.unwrap();
    let copy = table.add("/in/c.mp3", 1).await;
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    let job = table.queue.job(copy).await.unwrap();
    assert!(
        matches!(job.stage, Stage::Received { .. }),
        "{:?}",
        job.stage
    );
}

#[tokio::test]
async fn a_copy_of_a_recording_that_only_went_away_is_sent() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    let copy = table.add("/in/b.mp3", 1).await;
    table.claim_job().await;
    let reason = Reason::new("source_vanished", "gone");
    table.queue.fail(first, reason, None, at(3)).await.unwrap();
    assert_eq!(table.claim_job().await.id, copy);
}

#[tokio::test]
async fn of_two_copies_the_first_is_sent_whosever_folder_has_its_turn() {
    let table = table();
    let add = async |root: &str, path: &str, content| {
        let candidate = Candidate {
            root: root.into(),
            ..recording(path, content)
        };
        let added = table.queue.enqueue(candidate, None, false, at(1)).await;
        assert!(matches!(added, Ok(Enqueued::New(_))), "{added:?}");
    };
    add("/in/a", "/in/a/1.mp3", 1).await;
    add("/in/a", "/in/a/2.mp3", 2).await;
    add("/in/b", "/in/b/copy.mp3", 2).await;
    let mut sent = Vec::new();
    for _ in 0..2 {
        sent.push(table.claim_job().await.source.display().to_string());
    }
    assert_eq!(sent, ["/in/a/1.mp3", "/in/a/2.mp3"]);
}
