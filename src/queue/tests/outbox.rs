//! Notices through the real table: written with what they tell of, once, in order.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::domain::notice::{Event, LONGEST_AGE, Next, Notice, PATIENCE, Way};
use crate::domain::timing::after;

impl Table {
    async fn told(way: Way, events: &[Event], limits: Limits) -> Self {
        let table = table();
        let wants = vec![(way, events.to_vec())];
        let audience = Audience { wants, limits };
        table.queue.tell_of(audience).await.unwrap();
        table
    }

    async fn everything(way: Way) -> Self {
        Self::told(way, &Event::ALL, Limits::default()).await
    }

    /// What waits for a way, by event and body.
    async fn waiting(&self, way: Way) -> Vec<(Event, Value)> {
        let all = self.queue.all_post(way).await.unwrap();
        let all = all.into_iter();
        all.map(|notice| (notice.event, serde_json::from_str(&notice.body).unwrap()))
            .collect()
    }

    async fn events(&self, way: Way) -> Vec<Event> {
        let waiting = self.waiting(way).await;
        waiting.into_iter().map(|(event, _)| event).collect()
    }

    async fn due(&self, way: Way, now: Timestamp) -> Option<Notice> {
        match self.queue.post(way, now).await.unwrap() {
            Post::Due(notice) => Some(notice),
            Post::At(_) | Post::Nothing => None,
        }
    }

    async fn refuse(&self, notice: &Notice, wait: u64, now: Timestamp) {
        let next = Next::Again(Duration::from_secs(wait));
        self.queue
            .notice_refused(notice.id, "no".into(), next, now)
            .await
            .unwrap();
    }

    async fn pause(&self, reason: PauseReason, now: Timestamp) {
        let text = "because".to_owned();
        self.queue.pause(reason, None, text, now).await.unwrap();
    }

    async fn fail(&self, path: &str, content: u8) -> JobId {
        let id = self.add(path, content).await;
        let reason = Reason::new("bad_request", "no good");
        self.queue.fail(id, reason, None, at(2)).await.unwrap();
        id
    }
}

#[tokio::test]
async fn a_job_that_ends_is_told_to_everybody_who_wants_it_and_to_nobody_else() {
    let table = table();
    let wants = vec![
        (Way::Command, vec![Event::Done]),
        (Way::Webhook, vec![Event::Done, Event::Failed]),
    ];
    let limits = Limits::default();
    table
        .queue
        .tell_of(Audience { wants, limits })
        .await
        .unwrap();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.finish(id).await;
    table.fail("/in/b.mp3", 2).await;
    assert_eq!(table.events(Way::Command).await, [Event::Done]);
    let webhook = table.waiting(Way::Webhook).await;
    assert_eq!(webhook.len(), 2);
    assert_eq!(webhook[0].1["data"]["source"], "/in/a.mp3");
    assert_eq!(webhook[0].1["data"]["cost"], "0.0005");
    assert_eq!(webhook[1].1["data"]["reason"], "bad_request");
    assert!(table.events(Way::Ntfy).await.is_empty());
}

#[tokio::test]
async fn what_is_undone_is_not_told() {
    let table = Table::everything(Way::Webhook).await;
    let id = table.fail("/in/a.mp3", 1).await;
    let reason = Reason::new("again", "");
    assert!(table.queue.fail(id, reason, None, at(3)).await.is_err());
    assert_eq!(table.events(Way::Webhook).await, [Event::Failed]);
}

#[tokio::test]
async fn nothing_is_written_where_nobody_wants_to_hear_it() {
    let table = table();
    table.fail("/in/a.mp3", 1).await;
    table.pause(PauseReason::Key, at(3)).await;
    for way in Way::ALL {
        assert!(table.events(way).await.is_empty());
    }
}

#[tokio::test]
async fn a_notice_survives_a_restart_under_the_same_name() {
    let table = Table::everything(Way::Webhook).await;
    table.fail("/in/a.mp3", 1).await;
    let before = table.due(Way::Webhook, at(3)).await.unwrap();
    let Table { _folder, queue } = table;
    drop(queue);
    let queue = Queue::open(_folder.path(), at(4)).unwrap();
    let table = Table { _folder, queue };
    let after = table.due(Way::Webhook, at(5)).await.unwrap();
    assert_eq!(before, after);
    table.queue.notice_taken(after.id).await.unwrap();
    table.fail("/in/b.mp3", 2).await;
}

#[tokio::test]
async fn a_pause_of_a_persons_is_told_at_once_and_its_end_too() {
    let table = Table::everything(Way::Ntfy).await;
    table.pause(PauseReason::Key, at(1)).await;
    table.pause(PauseReason::Key, at(2)).await;
    assert!(table.due(Way::Ntfy, at(2)).await.is_some());
    assert!(table.queue.resume(PauseReason::Key, at(3)).await.unwrap());
    assert!(!table.queue.resume(PauseReason::Key, at(4)).await.unwrap());
    let events = table.events(Way::Ntfy).await;
    assert_eq!(events, [Event::Paused, Event::Resumed], "each is told once");
    table.queue.hold(None, "held".into(), at(5)).await.unwrap();
    table.queue.hold(None, "held".into(), at(6)).await.unwrap();
    table.queue.release(at(7)).await.unwrap();
    assert_eq!(table.events(Way::Ntfy).await.len(), 4);
}

#[tokio::test]
async fn a_pause_that_comes_and_goes_is_told_of_only_when_it_lasts() {
    let table = Table::everything(Way::Ntfy).await;
    table.pause(PauseReason::Offline, at(1)).await;
    assert_eq!(table.due(Way::Ntfy, at(2)).await, None);
    table
        .queue
        .resume(PauseReason::Offline, at(3))
        .await
        .unwrap();
    assert!(table.events(Way::Ntfy).await.is_empty());
    table.pause(PauseReason::Offline, at(10)).await;
    let lasts = after(at(10), GRACE);
    let told = table.due(Way::Ntfy, lasts).await.unwrap();
    table.queue.notice_taken(told.id).await.unwrap();
    table
        .queue
        .resume(PauseReason::Offline, after(lasts, GRACE))
        .await
        .unwrap();
    assert_eq!(table.events(Way::Ntfy).await, [Event::Resumed]);
}

#[tokio::test]
async fn a_start_that_only_tries_again_tells_nothing_unless_it_helps() {
    let table = Table::everything(Way::Ntfy).await;
    table.pause(PauseReason::Key, at(1)).await;
    let told = table.due(Way::Ntfy, at(1)).await.unwrap();
    table.queue.notice_taken(told.id).await.unwrap();
    table.queue.resume_at_start(at(2)).await.unwrap();
    assert_eq!(table.due(Way::Ntfy, at(3)).await, None);
    table.pause(PauseReason::Key, at(3)).await;
    assert!(table.events(Way::Ntfy).await.is_empty(), "it is as it was");
    table.queue.resume_at_start(at(4)).await.unwrap();
    let helped = table.due(Way::Ntfy, after(at(4), GRACE)).await.unwrap();
    assert_eq!(helped.event, Event::Resumed);
}

#[tokio::test]
async fn a_budget_is_told_once_when_four_fifths_are_spent_and_again_on_another_day() {
    let limits = Limits {
        per_day: Some("0.0010".parse().unwrap()),
        ..Limits::default()
    };
    let table = Table::told(Way::Ntfy, &[Event::Budget], limits).await;
    let mut charge = Vec::new();
    for content in 1..=3 {
        charge.push(table.add(&format!("/in/{content}.mp3"), content).await);
    }
    let cost = |text: &str| Amount::usd(text.parse().unwrap());
    let note = || "metadata".to_owned();
    let now = at(5);
    table
        .queue
        .charge(charge[0], cost("0.00079"), note(), now)
        .await
        .unwrap();
    assert!(table.events(Way::Ntfy).await.is_empty());
    table
        .queue
        .charge(charge[1], cost("0.00001"), note(), now)
        .await
        .unwrap();
    let waiting = table.waiting(Way::Ntfy).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].1["data"]["budget"], "budget.per_day");
    assert_eq!(waiting[0].1["data"]["spent"], "0.0008");
    table
        .queue
        .charge(charge[2], cost("0.00001"), note(), now)
        .await
        .unwrap();
    assert_eq!(table.events(Way::Ntfy).await.len(), 1, "once a day");
    let tomorrow = after(now, Duration::from_secs(48 * 3600));
    let later = table.add("/in/4.mp3", 4).await;
    table
        .queue
        .charge(later, cost("0.0009"), note(), tomorrow)
        .await
        .unwrap();
    assert_eq!(table.events(Way::Ntfy).await.len(), 2);
}

#[tokio::test]
async fn the_digest_tells_what_happened_since_the_last_one_and_nothing_of_an_idle_day() {
    let day = |days: u64| after(at(100), Duration::from_secs(days * 24 * 3600));
    let table = Table::told(Way::Ntfy, &[Event::Digest], Limits::default()).await;
    assert!(
        !table.queue.digest(at(0), at(0)).await.unwrap(),
        "it begins now"
    );
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.finish(id).await;
    table.fail("/in/b.mp3", 2).await;
    assert!(table.queue.digest(day(0), day(0)).await.unwrap());
    assert!(!table.queue.digest(day(0), at(200)).await.unwrap(), "once");
    assert!(
        !table.queue.digest(day(1), day(1)).await.unwrap(),
        "nothing happened"
    );
    table.add("/in/c.mp3", 3).await;
    table.pause(PauseReason::Budget, day(1)).await;
    assert!(
        table.queue.digest(day(2), day(2)).await.unwrap(),
        "it stands still"
    );
    let told = table.waiting(Way::Ntfy).await;
    assert_eq!(told.len(), 2);
    let data = &told[0].1["data"];
    assert_eq!(
        (&data["done"], &data["audio_seconds"]),
        (&1.into(), &60.0.into())
    );
    assert_eq!(data["failed"]["bad_request"], 1);
    assert_eq!(data["charged"][0]["amount"], "0.0005");
    assert_eq!(told[1].1["data"]["paused"][0], "budget");
    assert_eq!(told[1].1["data"]["queued"], 1);
    let message = told[0].1["message"].as_str().unwrap();
    assert!(
        message.contains("1 transcribed (1:00, $0.0005); failed: 1 bad_request"),
        "{message}"
    );
}

#[tokio::test]
async fn what_waits_behind_a_refused_notice_keeps_its_place_until_that_was_tried_often() {
    let table = Table::everything(Way::Webhook).await;
    for content in 1..=2 {
        table.fail(&format!("/in/{content}.mp3"), content).await;
    }
    let first = table.due(Way::Webhook, at(3)).await.unwrap();
    for tries in 1..PATIENCE {
        table.refuse(&first, 10, at(3)).await;
        let post = table.queue.post(Way::Webhook, at(4)).await.unwrap();
        assert_eq!(post, Post::At(at(13)), "after {tries} tries");
    }
    table.refuse(&first, 100, at(13)).await;
    let second = table.due(Way::Webhook, at(14)).await.unwrap();
    assert_ne!(second.id, first.id);
    table.queue.notice_taken(second.id).await.unwrap();
    assert_eq!(table.due(Way::Webhook, at(14)).await, None);
    assert_eq!(table.due(Way::Webhook, at(113)).await.unwrap().id, first.id);
}

#[tokio::test]
async fn a_notice_of_something_that_may_pass_keeps_no_other_waiting() {
    let table = Table::everything(Way::Ntfy).await;
    table.pause(PauseReason::Offline, at(1)).await;
    table.fail("/in/a.mp3", 1).await;
    assert_eq!(
        table.due(Way::Ntfy, at(2)).await.unwrap().event,
        Event::Failed
    );
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_shown_and_forgotten_one_day() {
    let table = Table::everything(Way::Webhook).await;
    table.fail("/in/a.mp3", 1).await;
    let notice = table.due(Way::Webhook, at(3)).await.unwrap();
    table.refuse(&notice, 10, at(3)).await;
    let shown = |table: &Table| {
        let reader = Reader::open(table.queue.state_dir()).unwrap().unwrap();
        reader.outgoing().unwrap()
    };
    assert_eq!(shown(&table)[0].trouble.as_deref(), Some("no"));
    table
        .queue
        .notice_refused(notice.id, "gone".into(), Next::GiveUp, at(4))
        .await
        .unwrap();
    let after_that = shown(&table);
    assert_eq!((after_that[0].waiting, after_that[0].given_up), (0, 1));
    assert_eq!(after_that[0].last, Some((at(4), "gone".to_owned())));
    assert_eq!(table.due(Way::Webhook, at(1000)).await, None);
    let late = after(at(4), Duration::from_secs(31 * 24 * 3600));
    table.queue.sweep_outbox(late).await.unwrap();
    assert!(shown(&table).is_empty());
    // Where the receiver was taken out of the configuration, what waits is given up after its time.
    table.fail("/in/b.mp3", 2).await;
    table.queue.tell_of(Audience::default()).await.unwrap();
    assert_eq!(table.queue.sweep_outbox(at(5)).await.unwrap(), 0);
    let old = after(at(9), LONGEST_AGE);
    assert_eq!(table.queue.sweep_outbox(old).await.unwrap(), 1);
}
