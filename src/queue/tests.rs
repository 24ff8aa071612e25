//! The steps of a job through the real table, in a real file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::*;
use crate::domain::audio::{AudioDuration, AudioFormat};
use crate::domain::format::Format;
use crate::domain::job::{
    Candidate, ContentHash, Provider, Publication, Reason, Settings, Stage, State,
};
use crate::domain::money::Amount;
use crate::domain::price::Catalogue;
use crate::domain::settle::Fingerprint;
use crate::domain::step::{Action, next_action};
use crate::speech::services;

mod budget;
mod copies;
mod cuts;
mod falls;
mod names;
mod outbox;

struct Table {
    _folder: tempfile::TempDir,
    queue: Queue,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn table() -> Table {
    let folder = tempfile::tempdir().unwrap();
    let queue = Queue::open(folder.path(), at(0)).unwrap();
    Table {
        _folder: folder,
        queue,
    }
}

fn settings() -> Settings {
    Settings {
        provider: Provider::named("nanogpt"),
        model: "Whisper-Large-V3".into(),
        language: "auto".into(),
        diarize: false,
        tag_audio_events: false,
    }
}

fn recording(path: &str, content: u8) -> Candidate {
    Candidate {
        source: path.into(),
        root: "/in".into(),
        ground: None,
        hash: ContentHash([content; 32]),
        size: 1000,
        duration: Some(AudioDuration::from_micros(60_000_000)),
        format: AudioFormat::Mp3,
        has_video: Some(false),
        settings: settings(),
        publication: Publication {
            formats: vec![Format::Txt],
            ..Publication::default()
        },
        output_dir: None,
        route: None,
        stage: Stage::queued(),
    }
}

fn terms() -> Terms {
    Terms {
        providers: vec![Provider::named("nanogpt")],
        prices: Arc::new(Catalogue::built_in(services::USUAL.prices)),
        ..Terms::default()
    }
}

impl Table {
    async fn add(&self, path: &str, content: u8) -> JobId {
        match self
            .queue
            .enqueue(recording(path, content), None, false, at(1))
            .await
            .unwrap()
        {
            Enqueued::New(id) => id,
            other @ (Enqueued::Known(_) | Enqueued::Moved(_)) => panic!("{other:?}"),
        }
    }

    async fn claim(&self, terms: Terms) -> Claimed {
        self.queue.claim(terms, at(2)).await.unwrap()
    }

    async fn claim_job(&self) -> Job {
        match self.claim(terms()).await {
            Claimed::Submit(job) => *job,
            other @ (Claimed::Moved(_)
            | Claimed::Nothing
            | Claimed::Later
            | Claimed::OverBudget { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    async fn finish(&self, id: JobId) {
        self.queue.commit(id, at(3)).await.unwrap();
        let raw = RawReply {
            status: 200,
            body: b"{}".to_vec(),
            request_id: None,
        };
        let reply = self.queue.store_reply(id, raw, at(4)).await.unwrap();
        let cost = Amount::usd("0.0005".parse().unwrap());
        self.queue
            .charge(id, cost, "metadata".into(), at(5))
            .await
            .unwrap();
        self.queue.done(id, reply, at(6)).await.unwrap();
    }

    async fn reserved(&self, id: JobId) -> rust_decimal::Decimal {
        let sheets = self.queue.sheets().await.unwrap();
        let sheet = sheets.into_iter().find(|sheet| sheet.job.id == id);
        sheet.unwrap().reserved
    }

    async fn state(&self, id: JobId) -> State {
        self.queue.job(id).await.unwrap().stage.state()
    }
}

#[tokio::test]
async fn a_recording_is_queued_once_at_one_place() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    let again = table
        .queue
        .enqueue(recording("/in/a.mp3", 1), None, false, at(2))
        .await
        .unwrap();
    let Enqueued::Known(job) = again else {
        panic!("{again:?}")
    };
    assert_eq!(job.id, id);
}

#[tokio::test]
async fn a_claimed_job_is_claimed_once() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    assert_eq!(table.claim(terms()).await, Claimed::Nothing);
}

#[tokio::test]
async fn a_job_is_superseded_by_a_later_one_of_the_same_file_unless_that_failed() {
    let table = table();
    let first = table.add("/in/a.mp3", 1).await;
    table.add("/in/b.mp3", 1).await;
    assert!(!table.queue.is_superseded(first).await.unwrap());
    let later = table.add("/in/a.mp3", 2).await;
    assert!(table.queue.is_superseded(first).await.unwrap());
    assert!(!table.queue.is_superseded(later).await.unwrap());
    let reason = Reason::new("format_refused", "no");
    table.queue.fail(later, reason, None, at(3)).await.unwrap();
    assert!(!table.queue.is_superseded(first).await.unwrap());
}

#[tokio::test]
async fn a_charge_that_is_recorded_twice_counts_once() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.finish(id).await;
    let cost = Amount::usd("0.0005".parse().unwrap());
    table
        .queue
        .charge(id, cost, "again".into(), at(7))
        .await
        .unwrap();
    let job = table.queue.job(id).await.unwrap();
    assert_eq!(job.cost.unwrap().value.to_string(), "0.0005");
    let spent = table
        .queue
        .read(|reader| reader.committed_since(at(0)))
        .await
        .unwrap();
    assert_eq!(spent, 500_000);
}

#[tokio::test]
async fn the_fifth_failure_by_its_own_fault_ends_a_job() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    for failure in 1..=MOST_FAILURES {
        table.claim_job().await;
        let reason = Reason::new("source_unreadable", "denied");
        let count = table
            .queue
            .retry_later(id, at(2), reason, at(2))
            .await
            .unwrap();
        assert_eq!(count, failure);
    }
    assert_eq!(table.state(id).await, State::Failed);
}

#[tokio::test]
async fn a_scoped_run_claims_only_what_it_named() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    let named = table.add("/in/b.mp3", 2).await;
    table.queue.enter_scope(named).await.unwrap();
    let terms = Terms {
        scoped: true,
        ..terms()
    };
    let Claimed::Submit(job) = table.claim(terms.clone()).await else {
        panic!()
    };
    assert_eq!(job.id, named);
    assert_eq!(table.claim(terms.clone()).await, Claimed::Nothing);
    assert_eq!(
        table.queue.outlook(terms, at(2)).await.unwrap().unfinished,
        1
    );
}

#[tokio::test]
async fn the_next_due_time_is_the_earliest_that_is_still_to_come() {
    let table = table();
    for (number, due) in [(1, 50), (2, 30), (3, 90)] {
        table.add(&format!("/in/{number}.mp3"), number).await;
        let id = table.claim_job().await.id;
        let waits = table.queue.requeue(id, Some(at(due)), None, at(2));
        waits.await.unwrap();
    }
    let next = |now| table.queue.next_due(at(now));
    assert_eq!(next(2).await.unwrap(), Some(at(30)));
    assert_eq!(next(30).await.unwrap(), Some(at(50)));
    assert_eq!(next(90).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_listed_as_due_is_acted_on_at_that_moment() {
    let table = table();
    let id = table.add("/in/1.mp3", 1).await;
    table.claim_job().await;
    let due = at(50) + Duration::from_micros(500);
    let waits = table.queue.requeue(id, Some(due), None, at(2));
    waits.await.unwrap();
    // The table counts in milliseconds.
    for (now, is_due) in [(at(49), false), (at(50), true), (due, true)] {
        let listed = table.queue.due(StageName::Queued, 9, now).await.unwrap();
        assert_eq!(listed.len(), usize::from(is_due), "{now}");
        let action = next_action(&table.queue.job(id).await.unwrap().stage, now);
        assert_eq!(action == Action::Submit, is_due, "{now}");
    }
}

#[tokio::test]
async fn a_pause_keeps_its_start_and_counts_its_tries() {
    let table = table();
    let pause = |until, now| {
        table
            .queue
            .pause(PauseReason::Offline, Some(until), "no route".into(), now)
    };
    pause(at(10), at(1)).await.unwrap();
    pause(at(30), at(10)).await.unwrap();
    let pauses = table.queue.pauses().await.unwrap();
    let [pause] = pauses.as_slice() else {
        panic!("{pauses:?}")
    };
    assert_eq!(
        (pause.since, pause.until, pause.tries),
        (at(1), Some(at(30)), 2)
    );
    assert!(pause.holds(at(29)) && !pause.holds(at(30)));
}

#[tokio::test]
async fn what_is_no_database_is_set_aside_as_it_is_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let mut asides = Vec::new();
    for content in [b'x', b'y'] {
        let bytes = [content; 8192];
        crate::durable::write(&path, &bytes, crate::durable::Existing::Keep).unwrap();
        let error = Queue::open(folder.path(), at(0)).unwrap_err();
        let QueueError::Corrupt(damage) = &error else {
            panic!("{error:?}")
        };
        let aside = damage.aside.as_ref().unwrap().clone();
        assert!(error.to_string().contains(aside.to_str().unwrap()));
        assert_eq!(std::fs::read(&aside).unwrap(), bytes);
        assert!(!path.exists());
        asides.push(aside);
    }
    assert_eq!(
        asides[0].file_name().unwrap(),
        "stenod.db.damaged-20231114T221320Z"
    );
    assert_ne!(asides[0], asides[1]);
    assert_eq!(std::fs::read(&asides[0]).unwrap(), [b'x'; 8192]);
    drop(Queue::open(folder.path(), at(1)).unwrap());
}

#[tokio::test]
async fn damage_that_is_met_later_ends_everything_with_one_error() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    let spoil = |connection: &Connection| {
        connection.execute("UPDATE jobs SET settings = '{}'", [])?;
        Ok(())
    };
    table.queue.writer.run(spoil).await.unwrap();
    let error = table.queue.job(id).await.unwrap_err();
    let QueueError::Corrupt(damage) = &error else {
        panic!("{error:?}")
    };
    assert!(damage.what.contains("the settings of job 1"), "{damage}");
    assert!(damage.aside.as_ref().unwrap().exists());
    let later = table.queue.count(StageName::Queued).await.unwrap_err();
    assert_eq!(later.to_string(), error.to_string());
    let folder = table.queue.state_dir().to_owned();
    assert!(!folder.join(DATABASE).exists());
    let Table { _folder, queue } = table;
    drop(queue);
    let queue = Queue::open(&folder, at(9)).unwrap();
    assert_eq!(queue.count(StageName::Queued).await.unwrap(), 0);
}

#[tokio::test]
async fn the_log_of_a_table_that_was_being_set_aside_is_kept_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("stenod.db-wal");
    crate::durable::write(&log, b"log", crate::durable::Existing::Keep).unwrap();
    drop(Queue::open(folder.path(), at(0)).unwrap());
    let kept = folder.path().join("stenod.db.damaged-20231114T221320Z-wal");
    assert_eq!(std::fs::read(kept).unwrap(), b"log");
}

fn adoption(base: &str) -> Adoption {
    let file = PathBuf::from(format!("{base}.json"));
    Adoption {
        names: vec![("Speaker 1".to_owned(), "Ada".to_owned())],
        mark: ContentHash([9; 32]),
        base: base.into(),
        file: file.clone(),
        body: b"{}".to_vec(),
        cost: Some(Amount::usd("0.50".parse().unwrap())),
        run_id: Some("run".into()),
        outputs: vec![Output {
            path: file,
            format: "json".into(),
            aside: false,
            hash: ContentHash([7; 32]),
            note: None,
            written_at: at(1),
        }],
    }
}

#[tokio::test]
async fn a_transcript_that_is_taken_up_is_done_and_costs_nothing() {
    let table = table();
    let candidate = recording("/in/a.mp3", 1);
    let id = table
        .queue
        .adopt(candidate.clone(), adoption("/in/a"), at(1))
        .await
        .unwrap()
        .unwrap();
    let job = table.queue.job(id).await.unwrap();
    assert_eq!((job.stage.state(), job.attempts), (State::Done, 0));
    assert_eq!(job.cost.unwrap().to_string(), "$0.5");
    let spent = table.queue.read(|reader| reader.committed_since(at(0)));
    assert_eq!(spent.await.unwrap(), 0);
    let notes = table.queue.read(move |reader| reader.attempts(id));
    assert_eq!(notes.await.unwrap()[0].event, "adopted");
    let again = table.queue.adopt(candidate, adoption("/in/a"), at(2));
    assert_eq!(again.await.unwrap(), None);
    // Its copy takes the same reply, which is of the other kind.
    let copy = table.add("/in/copy.mp3", 1).await;
    assert_eq!(table.claim(terms()).await, Claimed::Moved(copy));
    let Stage::Received { reply, .. } = table.queue.job(copy).await.unwrap().stage else {
        panic!("the copy was not given the reply")
    };
    let stored = table.queue.reply(reply).await.unwrap();
    assert_eq!((stored.kind, stored.job), (ReplyKind::Adopted, id));
}

#[tokio::test]
async fn outputs_that_another_recording_has_are_not_taken_up_nor_replaced() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    let taken = table
        .queue
        .adopt(recording("/in/a.wav", 2), adoption("/in/a"), at(1));
    assert_eq!(taken.await.unwrap(), None);
    let adopted = table
        .queue
        .adopt(recording("/in/b.wav", 2), adoption("/in/b"), at(1));
    assert!(adopted.await.unwrap().is_some());
    let ours = |source: &str| table.queue.written_under("/in/b".into(), source.into());
    assert_eq!(ours("/in/b.wav").await.unwrap().len(), 1);
    assert!(ours("/in/b.mp3").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_ledger_cannot_be_changed() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    let changed = table
        .queue
        .writer
        .run(|connection| Ok(connection.execute("UPDATE ledger SET nanos = 0", [])?))
        .await;
    assert!(changed.is_err());
}

#[tokio::test]
async fn a_clock_that_was_set_back_by_days_leaves_no_job_stuck() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    let (days_ahead, tomorrow) = (at(10 * 86_400), at(11 * 86_400));
    table
        .queue
        .requeue(id, Some(tomorrow), None, days_ahead)
        .await
        .unwrap();
    assert!(matches!(
        table.queue.claim(terms(), days_ahead).await.unwrap(),
        Claimed::Nothing
    ));
    let Claimed::Submit(job) = table.claim(terms()).await else {
        panic!("it is stuck")
    };
    assert_eq!(job.id, id);
}

#[tokio::test]
async fn a_pause_from_before_the_clock_was_set_back_holds_nothing() {
    let table = table();
    let (days_ahead, later) = (at(10 * 86_400), at(11 * 86_400));
    let text = "no route".to_owned();
    table
        .queue
        .pause(PauseReason::Offline, Some(later), text, days_ahead)
        .await
        .unwrap();
    let pauses = table.queue.pauses().await.unwrap();
    assert!(
        pauses
            .iter()
            .all(|pause| pause.holds(days_ahead) && !pause.holds(at(0)))
    );
}

#[tokio::test]
async fn a_planned_repeat_is_held_where_the_policy_is_to_hold_by_now() {
    let table = table();
    let id = table.add("/in/a.mp3", 1).await;
    table.claim_job().await;
    table.queue.commit(id, at(3)).await.unwrap();
    table
        .queue
        .recover(DoubtPolicy::RetryOnce, at(4))
        .await
        .unwrap();
    assert!(table.queue.job(id).await.unwrap().stage.due().is_some());
    table.queue.recover(DoubtPolicy::Hold, at(5)).await.unwrap();
    assert_eq!(table.queue.job(id).await.unwrap().stage.due(), None);
    assert_eq!(table.state(id).await, State::InDoubt);
}

#[tokio::test]
async fn what_nobody_agreed_to_is_put_back_as_it_was_by_the_next_start_and_nothing_else_is() {
    let table = table();
    let before = table.add("/in/before.mp3", 1).await;
    let done = table.add("/in/done.mp3", 2).await;
    table.claim_job().await;
    let touched = table.claim_job().await.id;
    table.finish(touched).await;
    assert_eq!(touched, done);
    let requeued = table.queue.requeue(before, None, None, at(3));
    requeued.await.unwrap();
    let take_in = async |path: &str, content| {
        let candidate = recording(path, content);
        let arrival = Arrival {
            may_force: true,
            path: candidate.source.clone(),
            root: candidate.root.clone(),
            fingerprint: Fingerprint {
                device: 1,
                inode: u64::from(content),
                size: 1000,
                modified_ns: 0,
                changed_ns: 0,
            },
            known: None,
            candidate: Some(candidate),
            gone: None,
            gone_from: None,
        };
        let taken = table
            .queue
            .take_in(vec![arrival], true, true, Asked::default(), at(9));
        taken.await.unwrap()
    };
    for _ in 0..2 {
        table.queue.propose();
        take_in("/in/before.mp3", 1).await;
        take_in("/in/done.mp3", 2).await;
        take_in("/in/new.mp3", 3).await;
        let whole = table.queue.job(done).await.unwrap();
        assert_eq!((whole.forced, whole.stage.state()), (true, State::Queued));
        table
            .queue
            .recover(DoubtPolicy::RetryOnce, at(10))
            .await
            .unwrap();
        let whole = table.queue.job(done).await.unwrap();
        assert_eq!((whole.forced, whole.stage.state()), (false, State::Done));
        assert_eq!(table.state(before).await, State::Queued);
        let count = table.queue.read(|reader| reader.jobs(None, 9)).await;
        assert_eq!(count.unwrap().len(), 2);
    }
    take_in("/in/done.mp3", 2).await;
    table.queue.agree(at(10)).await.unwrap();
    table
        .queue
        .recover(DoubtPolicy::RetryOnce, at(11))
        .await
        .unwrap();
    assert_eq!(table.state(done).await, State::Queued);
}

/// The sources of the next claims, in order.
async fn claims(table: &Table, count: usize) -> Vec<String> {
    let mut sources = Vec::new();
    for _ in 0..count {
        let job = table.claim_job().await;
        sources.push(job.source.display().to_string());
    }
    sources
}

#[tokio::test]
async fn folders_take_turns_and_a_new_arrival_need_not_wait_for_a_backlog() {
    let table = table();
    for number in 1..=5 {
        table.add(&format!("/in/big/{number}.mp3"), number).await;
    }
    assert_eq!(claims(&table, 2).await, ["/in/big/1.mp3", "/in/big/2.mp3"]);
    table.add("/in/small/a.mp3", 11).await;
    table.add("/in/small/b.mp3", 12).await;
    table.add("/in/other/x.mp3", 21).await;
    assert_eq!(
        claims(&table, 6).await,
        [
            "/in/big/3.mp3",
            "/in/small/a.mp3",
            "/in/other/x.mp3",
            "/in/big/4.mp3",
            "/in/small/b.mp3",
            "/in/big/5.mp3",
        ]
    );
}

#[tokio::test]
async fn watched_folders_take_turns_whatever_lies_in_them() {
    let table = table();
    let add = async |root: &str, path: &str, content| {
        let candidate = Candidate {
            root: root.into(),
            ..recording(path, content)
        };
        let added = table.queue.enqueue(candidate, None, false, at(1)).await;
        assert!(matches!(added, Ok(Enqueued::New(_))), "{added:?}");
    };
    for content in 1..=6 {
        add("/archive", &format!("/archive/{content}/a.mp3"), content).await;
    }
    assert_eq!(
        claims(&table, 2).await,
        ["/archive/1/a.mp3", "/archive/2/a.mp3"]
    );
    add("/phone", "/phone/a.mp3", 11).await;
    add("/phone", "/phone/b.mp3", 12).await;
    add("/phone", "/phone/c.mp3", 13).await;
    assert_eq!(
        claims(&table, 6).await,
        [
            "/phone/a.mp3",
            "/archive/3/a.mp3",
            "/phone/b.mp3",
            "/archive/4/a.mp3",
            "/phone/c.mp3",
            "/archive/5/a.mp3",
        ]
    );
}

#[tokio::test]
async fn whose_turn_it_is_is_read_from_an_index() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    let plan = table.queue.writer.run(|connection| {
        let mut plans = Vec::new();
        for sql in [claim::next_piece(&terms()), claim::next_whole(&terms())] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let rows =
                statement.query_map(params![0, "nanogpt", 0], |row| row.get::<_, String>(3))?;
            plans.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(plans)
    });
    let plan = plan.await.unwrap();
    let has = |part: &str| plan.iter().any(|step| step.contains(part));
    assert!(has("jobs_queued_pieces (<expr>=?)"), "{plan:#?}");
    assert!(
        has("jobs_queue (root>?)") && has("jobs_queue (root=? AND <expr>=?)"),
        "{plan:#?}"
    );
    // The watched folders alone are put in order, by when they were served.
    let sorted = plan.iter().filter(|step| step.contains("TEMP B-TREE"));
    assert_eq!(sorted.count(), 1, "{plan:#?}");
}

#[test]
fn a_table_of_a_later_stenod_is_looked_at_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let later = Connection::open(&path).unwrap();
    later
        .execute_batch("CREATE TABLE later (id INTEGER); PRAGMA user_version = 9999")
        .unwrap();
    drop(later);
    let before = std::fs::read(&path).unwrap();
    let error = Queue::open(folder.path(), at(0)).unwrap_err();
    assert!(error.is_newer_schema(), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", DATABASE]);
}

#[tokio::test]
async fn what_status_asks_is_read_from_indexes_that_have_it_all() {
    let table = table();
    table.add("/in/a.mp3", 1).await;
    let plans = table.queue.writer.run(|connection| {
        let plan = |sql: &str| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let rows = statement.query_map([], |row| row.get::<_, String>(3))?;
            Ok::<_, QueueError>(rows.collect::<Result<Vec<_>, _>>()?.join("; "))
        };
        let lodged = "SELECT id FROM jobs WHERE root = x'2f' AND ground IS NOT NULL ORDER BY id DESC LIMIT 1";
        let skipped = "SELECT path, skip_code FROM sources WHERE skip_code IS NOT NULL ORDER BY path";
        Ok([plan(read::COUNTS)?, plan(lodged)?, plan(skipped)?])
    });
    let [counts, lodged, skipped] = plans.await.unwrap();
    assert_eq!(counts, "SCAN jobs USING COVERING INDEX jobs_counted");
    assert!(lodged.contains("jobs_lodged (root=?)"), "{lodged}");
    assert!(skipped.contains("sources_skipped"), "{skipped}");
    for plan in [counts, lodged, skipped] {
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn many_jobs_are_claimed_in_one_go_and_no_more_than_there_are() {
    let table = table();
    for number in 1..=5 {
        table.add(&format!("/in/{number}.mp3"), number).await;
    }
    let claimed = |most| table.queue.claim_many(terms(), most, at(0));
    let first = claimed(3).await.unwrap();
    assert_eq!(first.len(), 3);
    let is_submit = |claimed: &Claimed| matches!(claimed, Claimed::Submit(_));
    assert!(first.iter().all(is_submit), "{first:?}");
    let rest = claimed(9).await.unwrap();
    assert_eq!(rest.len(), 3);
    assert!(rest.iter().take(2).all(is_submit), "{rest:?}");
    assert_eq!(rest.last(), Some(&Claimed::Nothing));
    assert!(claimed(0).await.unwrap().is_empty());
}
