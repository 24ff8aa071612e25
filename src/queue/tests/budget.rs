//! Budgets through the real table: with prices that are known, and with those that nobody knows.

use rust_decimal::Decimal;

use super::*;
use crate::domain::cut::Stretch;
use crate::domain::job::Obstacle;
use crate::domain::price::Catalogue;
use crate::domain::route::Preference;

fn dollars(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn per_day(limit: &str) -> Terms {
    let mut terms = terms();
    terms.limits.per_day = Some(dollars(limit));
    terms
}

impl Table {
    /// A minute of a model that no list names.
    async fn add_unlisted(&self, content: u8) -> JobId {
        let mut candidate = recording(&format!("/in/{content}.mp3"), content);
        candidate.settings.model = "Unlisted-STT".into();
        let queued = self.queue.enqueue(candidate, None, false, at(1)).await;
        match queued.unwrap() {
            Enqueued::New(id) => id,
            other @ (Enqueued::Known(_) | Enqueued::Moved(_)) => panic!("{other:?}"),
        }
    }

    async fn submits(&self, terms: &Terms) -> Option<JobId> {
        match self.claim(terms.clone()).await {
            Claimed::Submit(job) => Some(job.id),
            Claimed::Moved(_) | Claimed::Nothing | Claimed::Later | Claimed::OverBudget { .. } => {
                None
            }
        }
    }

    async fn finish_at(&self, id: JobId, cost: &str) {
        self.queue.commit(id, at(3)).await.unwrap();
        let raw = RawReply {
            status: 200,
            body: b"{}".to_vec(),
            request_id: None,
        };
        let reply = self.queue.store_reply(id, raw, at(4)).await.unwrap();
        let cost = Amount::usd(dollars(cost));
        let note = "metadata".to_owned();
        self.queue.charge(id, cost, note, at(5)).await.unwrap();
        self.queue.done(id, reply, at(6)).await.unwrap();
    }

    async fn reopened(self) -> Self {
        let Self { _folder, queue } = self;
        drop(queue);
        let queue = Queue::open(_folder.path(), at(7)).unwrap();
        Self { _folder, queue }
    }
}

#[tokio::test]
async fn a_budget_is_never_crossed_by_what_is_in_flight() {
    let table = table();
    let mut ids = Vec::new();
    for content in 1..=3 {
        ids.push(table.add(&format!("/in/{content}.mp3"), content).await);
    }
    let terms = per_day("0.0010");
    assert_eq!(table.submits(&terms).await, Some(ids[0]));
    assert_eq!(table.submits(&terms).await, Some(ids[1]));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    table.finish(ids[0]).await;
    table.finish(ids[1]).await;
    let third = table.claim(terms).await;
    let is_over = matches!(third, Claimed::OverBudget { until: Some(_), .. });
    assert!(is_over, "{third:?}");
}

#[tokio::test]
async fn what_turns_out_cheaper_than_its_estimate_makes_room_again() {
    let table = table();
    let first = table.add("/in/1.mp3", 1).await;
    let second = table.add("/in/2.mp3", 2).await;
    let terms = per_day("0.0009");
    assert_eq!(table.submits(&terms).await, Some(first));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    table.finish_at(first, "0.0004").await;
    assert_eq!(table.submits(&terms).await, Some(second));
}

#[tokio::test]
async fn a_price_that_nobody_knows_sets_all_that_is_left_aside_and_goes_alone() {
    let table = table();
    let first = table.add_unlisted(1).await;
    let second = table.add_unlisted(2).await;
    let third = table.add_unlisted(3).await;
    let mut terms = per_day("5");
    terms.limits.per_month = Some(dollars("2.5"));
    assert_eq!(table.submits(&terms).await, Some(first));
    assert_eq!(table.reserved(first).await, dollars("2.5"));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    // The first charge teaches the price: a dollar a minute.
    table.finish_at(first, "1").await;
    assert_eq!(table.submits(&terms).await, Some(second));
    assert_eq!(table.reserved(second).await, dollars("1"));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    table.finish_at(second, "1").await;
    let over = table.claim(terms).await;
    assert!(matches!(over, Claimed::OverBudget { .. }), "{over:?}");
    assert_eq!(table.state(third).await, State::Queued);
}

#[tokio::test]
async fn a_price_that_nobody_knows_goes_alone_also_for_a_limit_on_each_file() {
    let table = table();
    let first = table.add_unlisted(1).await;
    let second = table.add_unlisted(2).await;
    let mut terms = terms();
    terms.limits.per_file = Some(dollars("0.5"));
    assert_eq!(table.submits(&terms).await, Some(first));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    table.finish_at(first, "1").await;
    let moved = table.claim(terms).await;
    assert_eq!(moved, Claimed::Moved(second), "its price is known by now");
    assert_eq!(table.state(second).await, State::Waiting);
}

#[tokio::test]
async fn a_length_that_nobody_knows_is_a_cost_that_nobody_knows() {
    let table = table();
    for content in 1..=2 {
        let mut candidate = recording(&format!("/in/{content}.mp3"), content);
        candidate.duration = None;
        let queued = table.queue.enqueue(candidate, None, false, at(1)).await;
        assert!(matches!(queued.unwrap(), Enqueued::New(_)));
    }
    let terms = per_day("1");
    let first = table.submits(&terms).await.unwrap();
    assert_eq!(table.reserved(first).await, dollars("1"));
    assert_eq!(table.claim(terms.clone()).await, Claimed::Later);
    table.finish_at(first, "0.25").await;
    let second = table.submits(&terms).await.unwrap();
    assert_eq!(table.reserved(second).await, dollars("0.75"));
}

#[tokio::test]
async fn without_a_limit_what_nobody_knows_the_price_of_goes_side_by_side() {
    let table = table();
    let first = table.add_unlisted(1).await;
    let second = table.add_unlisted(2).await;
    assert_eq!(table.submits(&terms()).await, Some(first));
    assert_eq!(table.submits(&terms()).await, Some(second));
    assert_eq!(table.reserved(first).await, Decimal::ZERO);
}

#[tokio::test]
async fn a_lost_reply_at_a_price_that_nobody_knows_counts_as_all_that_was_left() {
    let table = table();
    let first = table.add_unlisted(1).await;
    table.add_unlisted(2).await;
    let terms = per_day("3");
    assert_eq!(table.submits(&terms).await, Some(first));
    table.queue.commit(first, at(3)).await.unwrap();
    let table = table.reopened().await;
    let recovered = table.queue.recover(DoubtPolicy::Hold, at(8)).await.unwrap();
    assert_eq!(recovered.in_doubt, [first]);
    let reason = table.queue.job(first).await.unwrap().stage.reason();
    let text = reason.unwrap().text;
    assert!(text.contains("nobody knows how much"), "{text}");
    let over = table.claim(terms).await;
    assert!(matches!(over, Claimed::OverBudget { .. }), "{over:?}");
}

#[tokio::test]
async fn a_reply_without_a_cost_at_a_price_that_nobody_knows_counts_as_all_that_was_left() {
    let table = table();
    let first = table.add_unlisted(1).await;
    table.add_unlisted(2).await;
    let terms = per_day("3");
    assert_eq!(table.submits(&terms).await, Some(first));
    table.queue.charge_unnamed(first, at(5)).await.unwrap();
    table.queue.charge_unnamed(first, at(5)).await.unwrap();
    let sheets = table.queue.sheets().await.unwrap();
    assert_eq!(sheets[0].doubts, [dollars("3")], "once, and as a doubt");
    let over = table.claim(terms).await;
    assert!(matches!(over, Claimed::OverBudget { .. }), "{over:?}");
}

#[tokio::test]
async fn the_limit_of_a_file_is_held_against_the_whole_of_which_a_piece_is_claimed() {
    let table = table();
    let whole = table.add_unlisted(1).await;
    let mut terms = terms();
    terms.limits.per_file = Some(dollars("0.0015"));
    assert_eq!(table.submits(&terms).await, Some(whole));
    let half = |number: u64| NewPiece {
        stretch: Stretch {
            start: number * 480_000,
            end: (number + 1) * 480_000,
        },
        size: 10,
        hash: ContentHash([100 + u8::try_from(number).unwrap(); 32]),
    };
    let pieces = vec![half(0), half(1)];
    table.queue.split(whole, pieces, at(3)).await.unwrap();
    let first = table.submits(&terms).await.unwrap();
    // Half a minute for 0.001: by now it is known that the whole is over the limit.
    table.finish_at(first, "0.001").await;
    let Claimed::Moved(second) = table.claim(terms).await else {
        panic!("the second piece went over the limit");
    };
    assert_eq!(table.state(second).await, State::Waiting);
    let waiting = table.queue.job(second).await.unwrap();
    assert_eq!(waiting.stage.reason().unwrap().code, "over_file_budget");
    // It goes on by its own way, whatever recordings of its length would go by.
    let routes = RouteTerms {
        direct_limit: 1,
        link_limit: 1,
        shrink: true,
        preference: Preference::Pieces,
        has_bucket: false,
        takes_links: false,
        formats: &[],
        piece: AudioDuration::from_micros(1_000_000),
    };
    table.queue.reconsider(routes, at(9)).await.unwrap();
    let queued = table.queue.job(second).await.unwrap();
    assert_eq!(queued.stage, Stage::queued());
    assert_eq!(queued.route, waiting.route);
}

#[tokio::test]
async fn a_price_that_one_provider_charged_tells_nothing_of_another() {
    let table = table();
    let paid = table.add_unlisted(1).await;
    assert_eq!(table.submits(&terms()).await, Some(paid));
    table.finish_at(paid, "0.5").await;
    let mut settings = settings();
    settings.model = "Unlisted-STT".into();
    let price = |settings: Settings| async {
        let asked = table
            .queue
            .read(move |reader| reader.price(&settings, &Catalogue::default()));
        asked.await.unwrap()
    };
    assert!(price(settings.clone()).await.is_some());
    settings.provider = Provider::named("openai");
    assert!(price(settings).await.is_none());
}

#[tokio::test]
async fn a_model_is_as_quick_as_its_replies_come_whenever_it_charges() {
    let table = table();
    let mut model = String::new();
    for content in 1..=9 {
        table.add(&format!("/in/{content}.mp3"), content).await;
        let job = table.claim_job().await;
        table.queue.commit(job.id, at(3)).await.unwrap();
        let cost = Amount::usd(dollars("0.0005"));
        let charged = table.queue.charge(job.id, cost, "ticket".into(), at(4));
        charged.await.unwrap();
        let raw = RawReply {
            status: 200,
            body: b"{}".to_vec(),
            request_id: None,
        };
        // The last one was fetched by a start hours later.
        let replied = at(if content == 9 { 40_000 } else { 32 });
        table.queue.store_reply(job.id, raw, replied).await.unwrap();
        model = job.settings.model;
    }
    let pace = table.queue.read(move |reader| reader.pace(&model)).await;
    assert_eq!(pace.unwrap(), Some(0.5), "30 s for a minute");
}

#[tokio::test]
async fn what_waits_is_counted_by_what_it_waits_for() {
    let table = table();
    for (content, obstacle) in [
        (1, Obstacle::TooLarge),
        (2, Obstacle::TooLarge),
        (3, Obstacle::Bucket),
    ] {
        let mut candidate = recording(&format!("/in/{content}.mp3"), content);
        let text = "no way".to_owned();
        candidate.stage = Stage::Waiting { obstacle, text };
        let queued = table.queue.enqueue(candidate, None, false, at(1)).await;
        assert!(matches!(queued.unwrap(), Enqueued::New(_)));
    }
    let waits = table.queue.read(|reader| reader.waits()).await.unwrap();
    let expected = [("too_large".to_owned(), 2), ("bucket".to_owned(), 1)];
    assert_eq!(waits, expected);
}
