//! Every answer that the service may give, and what it does to the recording and to its neighbours.

#![cfg(test)]

use std::time::Duration;

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{Act, Endpoint, Moment, Reply, Rule, Standin};
use stenod_support::stage::{Outcome, Stage, eventually};

/// A stage with one recording, one job at a time and lost replies held for a person.
fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.jobs", 1);
    stage.set("service.in_doubt", "hold");
    stage.put("a.wav", &recording());
    stage
}

/// The same with a service that has taken a recording before: what it refuses is refused for good.
fn proven_stage() -> Stage {
    let stage = stage();
    let first = stage.put("first.wav", &wav(99, 0.2));
    stage.stenod(["run", first.to_str().unwrap()]).success();
    stage
}

fn recording() -> Vec<u8> {
    wav(1, 1.0)
}

fn submit() -> Rule {
    Rule::on(Endpoint::Submit)
}

fn submits(stage: &Stage) -> usize {
    stage.service.look(|log| log.submits().count())
}

fn paid(stage: &Stage) -> usize {
    stage
        .service
        .look(|log| log.ledger().paid_for(&recording()))
}

/// The state of the only job of a recording, and its reason.
fn state(stage: &Stage) -> (String, Value) {
    let list = stage.json(&["list"]);
    let path = stage.at("a.wav");
    let all = list.as_array().unwrap();
    let job = all
        .iter()
        .find(|job| job["source"] == path.to_str().unwrap());
    let job = job.unwrap_or_else(|| panic!("no job for a.wav in {list}"));
    (
        job["state"].as_str().unwrap().to_owned(),
        job["reason"].clone(),
    )
}

/// Every shape in which the service reports an error.
fn shapes(status: u16) -> [Reply; 5] {
    [
        Reply::json(status, &json!({"error": status, "message": "no"})),
        Reply::json(
            status,
            &json!({"error": "no", "status": status, "requiredBalance": 0.0035}),
        ),
        Reply::json(
            status,
            &json!({"error": {"message": "no", "type": "bad", "code": "no"}}),
        ),
        Reply::empty(status),
        Reply::text(status, "text/html", "<html><body>no</body></html>"),
    ]
}

#[test]
fn what_is_permanent_for_one_recording_fails_it_alone_whatever_the_shape() {
    for (status, shape) in [400, 404, 413, 415, 422].into_iter().zip(0..) {
        let stage = stage();
        stage.put("b.wav", &wav(2, 1.0));
        let reply = shapes(status)[shape].clone();
        stage
            .service
            .script(submit().of(&recording()).always().answer(reply));
        stage.stenod(["run"]).code(3).says("a.wav");
        assert_eq!(state(&stage).0, "failed", "{status}");
        assert_ne!(state(&stage).1, Value::Null);
        assert!(stage.at("b.txt").exists(), "{status}: a lost neighbour");
        assert_eq!(submits(&stage), 2, "{status} was repeated");
        stage.stenod(["run"]).no_panic();
        assert_eq!(submits(&stage), 2, "{status} was repeated by the next run");
    }
}

#[test]
fn every_shape_of_an_error_is_understood() {
    for shape in shapes(422) {
        let stage = stage();
        stage.service.script(submit().answer(shape));
        stage.stenod(["run"]).code(3);
        assert_eq!((state(&stage).0.as_str(), submits(&stage)), ("failed", 1));
    }
    let stage = stage();
    let failed = json!({"status": "failed", "error": "Audio file could not be processed"});
    stage
        .service
        .script(submit().answer(Reply::json(200, &failed)));
    stage.stenod(["run"]).code(3).says("could not be processed");
    assert_eq!((state(&stage).0.as_str(), submits(&stage)), ("failed", 1));
}

#[test]
fn an_address_that_is_no_service_stops_the_run_and_keeps_the_work() {
    let page = |status| Reply::text(status, "text/html", "<html><body>Hello</body></html>");
    for reply in [page(404), page(405), page(501)] {
        let stage = stage();
        stage.put("b.wav", &wav(2, 1.0));
        stage
            .service
            .script(submit().always().answer(reply.clone()));
        let said = stage.stenod(["run"]).code(5);
        said.says("service.base_url").says(&stage.service.url());
        let jobs = stage.json(&["status"])["jobs"].clone();
        assert_eq!(
            (&jobs["failed"], &jobs["in_doubt"]),
            (&json!(0), &json!(0)),
            "{reply:?}"
        );
        assert_eq!(submits(&stage), 1, "{reply:?}: one was enough to see it");
        stage.service.unscript();
        stage.stenod(["run"]).success();
        assert_eq!(
            (paid(&stage), state(&stage).0.as_str()),
            (1, "done"),
            "{reply:?}"
        );
        stage.check();
    }
}

#[test]
fn a_page_instead_of_the_first_reply_ever_is_in_doubt_and_stops_the_run() {
    let stage = stage();
    stage.put("b.wav", &wav(2, 1.0));
    let page = Reply::text(200, "text/html", "<html><body>Hello</body></html>");
    stage.service.script(submit().always().answer(page));
    stage.stenod(["run"]).code(5).says("service.base_url");
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (&jobs["in_doubt"], &jobs["failed"]),
        (&json!(1), &json!(0)),
        "{jobs}"
    );
    assert_eq!(submits(&stage), 1);
}

/// Where the requests went that came after the prices were asked for: `submit` or `models`.
fn order(stage: &Stage) -> Vec<&'static str> {
    stage.service.look(|log| {
        let name = |endpoint| match endpoint {
            Endpoint::Submit => "submit",
            Endpoint::Models => "models",
            Endpoint::Status | Endpoint::Balance | Endpoint::OpenAi | Endpoint::Unknown => {
                "another"
            }
        };
        log.exchanges
            .iter()
            .skip(1)
            .map(|one| name(one.endpoint))
            .collect()
    })
}

#[test]
fn a_paid_repeat_comes_only_after_a_question_that_costs_nothing_was_answered() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    stage.service.script(submit().act(Act::LoseUsual));
    stage.service.script(
        Rule::on(Endpoint::Models)
            .after(1)
            .times(2)
            .answer(Reply::empty(503)),
    );
    stage.stenod(["run"]).success();
    assert_eq!(
        order(&stage),
        ["submit", "models", "models", "models", "submit"]
    );
    assert_eq!(state(&stage).0, "done");
}

#[test]
fn a_paid_repeat_comes_only_after_a_neighbour_got_through() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    stage.put("b.wav", &wav(2, 1.0));
    stage.service.script(submit().act(Act::LoseUsual));
    stage.service.script(submit().answer(Reply::busy(503, 0)));
    stage.stenod(["run"]).success();
    let sent: Vec<_> = stage.service.look(|log| {
        let submits = log.submits().filter_map(|one| one.submit.as_ref());
        submits.map(|one| one.content.clone()).collect()
    });
    let (first, others) = sent.split_first().unwrap();
    assert_eq!(others.last(), Some(first), "{sent:?}");
    assert_eq!(
        others.iter().filter(|one| *one == first).count(),
        1,
        "{sent:?}"
    );
    assert_eq!(
        others.len(),
        3,
        "the neighbour was the probe, twice: {sent:?}"
    );
}

#[test]
fn what_cannot_be_read_when_it_is_to_be_sent_fails_after_five_tries() {
    let stage = stage();
    stage.service.set_balance("0");
    stage.stenod(["run"]).code(8);
    stage.service.set_balance("5");
    std::fs::remove_file(stage.at("a.wav")).unwrap();
    std::fs::create_dir(stage.at("a.wav")).unwrap();
    let watching = stage.call(["watch"]).start();
    eventually("the job has failed", || state(&stage).0 == "failed");
    watching.terminate();
    watching.outcome().no_panic();
    assert_eq!(state(&stage).1, "source_unreadable");
    let show = stage.json(&["show", "1"]);
    let tries = show["events"].as_array().unwrap().iter();
    assert!(
        tries
            .clone()
            .any(|event| event["event"] == "source_unreadable"),
        "{show}"
    );
    assert_eq!(show["failures"], 5, "{show}");
    assert_eq!((submits(&stage), paid(&stage)), (1, 0));
}

#[test]
fn a_refused_key_stops_everything_with_exit_code_4_and_keeps_the_work() {
    for (status, shape) in [(401, 0), (403, 2), (401, 3)] {
        let stage = stage();
        stage.put("b.wav", &wav(2, 1.0));
        stage.put("c.wav", &wav(3, 1.0));
        stage
            .service
            .script(submit().always().answer(shapes(status)[shape].clone()));
        stage.stenod(["run"]).code(4).says("key");
        assert_eq!(submits(&stage), 1, "it went on after {status}");
        let jobs = stage.json(&["status"])["jobs"].clone();
        assert_eq!(
            (&jobs["failed"], &jobs["done"]),
            (&json!(0), &json!(0)),
            "{jobs}"
        );
        stage.service.unscript();
        stage.stenod(["run"]).success();
        assert_eq!(stage.json(&["status"])["jobs"]["done"], 3);
        stage.check();
    }
}

#[test]
fn a_key_that_changed_is_tried_again() {
    let stage = stage();
    stage
        .service
        .behave(|behaviour| behaviour.key = Some("the-new-one".into()));
    stage.stenod(["run"]).code(4);
    stage
        .call(["run"])
        .env("NANOGPT_API_KEY", "the-new-one")
        .output()
        .success();
    assert_eq!(paid(&stage), 1);
}

#[test]
fn a_refusal_with_a_body_or_a_time_is_repeated_free_of_charge() {
    let busy = json!({"error": 503, "message": "overloaded"});
    for reply in [
        Reply::busy(503, 1),
        Reply::json(503, &busy),
        Reply::busy(408, 1),
        Reply::busy(429, 1),
        Reply::busy_until(503, 2),
    ] {
        let stage = stage();
        stage.service.script(submit().answer(reply.clone()));
        stage.stenod(["run"]).success();
        assert_eq!((submits(&stage), paid(&stage)), (2, 1), "{reply:?}");
        assert_eq!(state(&stage).0, "done");
        stage.check();
    }
}

#[test]
fn the_whole_queue_waits_as_long_as_it_was_told() {
    for busy in [|| Reply::busy(429, 2), || Reply::busy_until(429, 4)] {
        let reply = busy();
        let stage = stage();
        stage.put("b.wav", &wav(2, 1.0));
        stage.service.script(submit().answer(reply.clone()));
        stage.stenod(["run"]).success();
        stage.service.look(|log| {
            let submits: Vec<_> = log.submits().collect();
            assert_eq!(submits.len(), 3, "{}", submits.len());
            let refused = submits[0].ended.unwrap();
            // An HTTP date has whole seconds and was made before the program started.
            let shortest = Duration::from_millis(1900);
            for later in &submits[1..] {
                let waited = later.began - refused;
                assert!(
                    waited >= shortest,
                    "it came back after {waited:?} from {reply:?}"
                );
            }
        });
        stage.check();
    }
}

#[test]
fn an_answer_that_may_have_been_billed_is_in_doubt_and_held() {
    let html = Reply::text(502, "text/html", "<html>bad gateway</html>");
    for (rule, paid_for) in [
        (submit().charged().answer(Reply::empty(500)), 1),
        (submit().charged().answer(html), 1),
        (submit().answer(Reply::empty(504)), 0),
        (
            submit().answer(Reply::text(524, "text/plain", "a time-out occurred")),
            0,
        ),
        (submit().answer(Reply::empty(503)), 0),
        (submit().act(Act::LoseUsual), 1),
        (submit().charged().act(Act::Close), 1),
        (submit().act(Act::CutUsual(10)), 1),
        (
            submit().charged().act(Act::Raw(b"what?\r\n\r\n".to_vec())),
            1,
        ),
        (
            submit()
                .charged()
                .answer(Reply::text(200, "text/html", "<html>ok</html>")),
            1,
        ),
        (submit().charged().answer(Reply::empty(200)), 1),
        (
            submit()
                .charged()
                .answer(Reply::json(200, &json!({"metadata": {}}))),
            1,
        ),
    ] {
        let stage = proven_stage();
        stage.put("b.wav", &wav(2, 1.0));
        stage.service.script(rule.clone().of(&recording()));
        let outcome = stage.stenod(["run"]).no_panic().says("a.wav");
        assert!(
            matches!(outcome.code, Some(0 | 3)),
            "{rule:?}\n{}",
            outcome.tell()
        );
        assert_eq!(state(&stage).0, "in_doubt", "{rule:?}\n{}", outcome.tell());
        assert!(stage.at("b.txt").exists(), "{rule:?}\n{}", outcome.tell());
        stage.stenod(["run"]).no_panic();
        assert_eq!((submits(&stage), paid(&stage)), (3, paid_for), "{rule:?}");
    }
}

#[test]
fn a_lost_reply_is_repeated_once_where_the_configuration_says_so() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    stage.service.script(submit().act(Act::LoseUsual));
    stage.stenod(["run"]).success();
    assert_eq!((submits(&stage), paid(&stage)), (2, 2));
    assert_eq!(state(&stage).0, "done");
    let show = stage
        .json(&["show", stage.at("a.wav").to_str().unwrap()])
        .to_string();
    assert!(show.contains("doubt") || show.contains("twice"), "{show}");
}

#[test]
fn a_copy_of_a_recording_in_doubt_waits_with_it_and_the_run_ends() {
    let stage = stage();
    let bytes = std::fs::read(stage.at("a.wav")).unwrap();
    stage.put("copy.wav", &bytes);
    stage.service.script(submit().act(Act::LoseUsual));
    stage.stenod(["run"]).code(3);
    assert_eq!((submits(&stage), paid(&stage)), (1, 1));
    stage.stenod(["retry", "--in-doubt"]).success();
    stage.stenod(["run"]).success();
    assert_eq!((submits(&stage), paid(&stage)), (2, 2));
    assert!(stage.at("copy.txt").exists(), "{:?}", stage.names());
}

#[test]
fn a_reply_lost_twice_is_left_to_a_person() {
    let stage = stage();
    stage.set("service.in_doubt", "retry-once");
    stage.service.script(submit().always().act(Act::LoseUsual));
    stage.stenod(["run"]).no_panic();
    stage.stenod(["run"]).no_panic();
    assert_eq!((submits(&stage), state(&stage).0.as_str()), (2, "in_doubt"));
}

#[test]
fn a_connection_that_breaks_before_the_last_chunk_costs_nothing_and_is_repeated() {
    for act in [Act::Reset, Act::Close] {
        let stage = stage();
        // More than the kernel buffers: the last chunk cannot have been handed over.
        let large = wav(7, 300.0);
        stage.set("large.direct_limit", "32 MiB");
        stage
            .service
            .behave(|behaviour| behaviour.largest = 32 * 1024 * 1024);
        stage.put("a.wav", &large);
        stage
            .service
            .script(submit().at(Moment::After(100_000)).act(act));
        stage.stenod(["run"]).success();
        assert_eq!(submits(&stage), 2);
        assert_eq!(stage.service.look(|log| log.ledger().paid_for(&large)), 1);
        stage.check();
    }
}

#[test]
fn a_refusal_before_the_body_was_read_is_heard() {
    let stage = stage();
    stage.put("b.wav", &wav(2, 1.0));
    let early = json!({"error": 413, "message": "too large"});
    stage
        .service
        .script(submit().at(Moment::Head).answer(Reply::json(413, &early)));
    stage.stenod(["run"]).code(3);
    assert_eq!(stage.json(&["status"])["jobs"]["failed"], 1);
    assert_eq!(stage.json(&["status"])["jobs"]["done"], 1);
    assert_eq!(submits(&stage), 2);
}

#[test]
fn a_redirect_is_not_followed_and_the_key_stays_here() {
    let other = Standin::start();
    let stage = stage();
    let target = format!("{}/transcribe", other.url());
    let redirect = Reply::empty(307).with("location", target);
    stage.service.script(submit().always().answer(redirect));
    let running = stage.call(["run"]).start();
    stage.service.wait("the redirect", |log| {
        log.submits().any(|one| one.answered.is_some())
    });
    // Some clients give up at once, others look again later: neither may follow.
    running.signal(rustix::process::Signal::TERM);
    running.outcome().no_panic();
    other.look(|log| assert!(log.exchanges.is_empty(), "the redirect was followed"));
    assert_ne!(state(&stage).0, "done");
}

#[test]
fn slow_and_large_replies_are_taken_or_refused_but_never_paid_again_and_again() {
    let stage = stage();
    let text = "word ".repeat(200_000);
    stage.service.say(&recording(), &text);
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("a.txt").split_whitespace().count(), 200_000);
    let slow = self::stage();
    let reply = json!({"transcription": "slow", "metadata": {"cost": 0.1, "currency": "USD"}});
    let trickle = Act::Trickle(Reply::json(200, &reply), 20, Duration::from_millis(20));
    slow.service.script(submit().charged().act(trickle));
    slow.stenod(["run"]).success();
    assert_eq!((slow.read("a.txt").trim(), paid(&slow)), ("slow", 1));
    let huge = self::stage();
    let endless = Reply::text(200, "application/json", vec![b' '; 80 * 1024 * 1024]);
    huge.service.script(submit().charged().answer(endless));
    huge.stenod(["run"]).no_panic();
    assert_eq!((submits(&huge), state(&huge).0.as_str()), (1, "in_doubt"));
}

#[test]
fn odd_metadata_does_no_harm() {
    for metadata in [
        json!({}),
        json!({"cost": "0.0025", "currency": "USD"}),
        json!({"cost": 2.5e-7, "currency": "XNO", "chargedDuration": null, "extra": [1]}),
        json!({"cost": null, "currency": null, "actualDuration": "long"}),
    ] {
        let stage = stage();
        let reply = json!({"transcription": "odd", "metadata": metadata, "new": {"a": 1}});
        stage
            .service
            .script(submit().charged().answer(Reply::json(200, &reply)));
        stage.stenod(["run"]).success();
        assert_eq!(stage.read("a.txt").trim(), "odd");
        let spent = stage.json(&["status"])["spent"].clone();
        if metadata["currency"] == "XNO" {
            assert_eq!(spent["XNO"]["total"], "0.00000025", "{spent}");
        } else if metadata["cost"] == "0.0025" {
            assert_eq!(spent["USD"]["total"], "0.0025", "{spent}");
        }
    }
}

/// Runs with a model whose replies are tickets, after these answers to the first polls.
fn poll_run(stage: &Stage, answers: impl IntoIterator<Item = Rule>) -> Outcome {
    stage.set("transcribe.model", "Elevenlabs-STT");
    for rule in answers {
        stage.service.script(rule);
    }
    stage.stenod(["run"]).no_panic()
}

fn poll() -> Rule {
    Rule::on(Endpoint::Status)
}

#[test]
fn failed_runs_end_the_job_whatever_the_case_and_are_not_sent_again() {
    for status in [
        "failed",
        "FAILED",
        "Error",
        "cancelled",
        "canceled",
        "expired",
    ] {
        let stage = stage();
        let reply = Reply::json(200, &json!({"status": status, "error": "it broke"}));
        poll_run(&stage, [poll().answer(reply)]).code(3);
        stage.stenod(["run"]).no_panic();
        assert_eq!(
            (submits(&stage), state(&stage).0.as_str()),
            (1, "failed"),
            "{status}"
        );
    }
}

#[test]
fn unknown_states_of_a_run_are_polled_on() {
    let stage = stage();
    let odd = ["warming_up", "", "PROCESSING"];
    let answers = odd.map(|status| {
        poll().answer(Reply::json(
            200,
            &json!({"status": status, "progress": 0.5}),
        ))
    });
    poll_run(&stage, answers).success();
    assert_eq!((submits(&stage), state(&stage).0.as_str()), (1, "done"));
    stage.check();
}

#[test]
fn completion_is_read_whatever_the_case() {
    let stage = stage();
    let reply = json!({"status": "Completed", "transcription": "bare"});
    poll_run(&stage, [poll().answer(Reply::json(200, &reply))]).success();
    assert_eq!(stage.read("a.txt").trim(), "bare");
}

#[test]
fn polls_that_fail_are_repeated_and_nothing_is_paid_again() {
    let stage = stage();
    let unknown = Reply::json(404, &json!({"error": 404, "message": "unknown run"}));
    let answers = [
        poll().answer(unknown),
        poll().answer(Reply::empty(500)),
        poll().answer(Reply::text(502, "text/html", "<html>bad gateway</html>")),
        poll().act(Act::Reset),
        poll().at(Moment::Head).act(Act::Close),
        poll().act(Act::Raw(b"what?".to_vec())),
        poll().answer(Reply::text(200, "application/json", "{\"status\": \"compl")),
    ];
    poll_run(&stage, answers).success();
    assert_eq!((submits(&stage), paid(&stage)), (1, 1));
    assert_eq!(state(&stage).0, "done");
    stage.check();
}

#[test]
fn the_service_may_come_up_later_than_the_program() {
    let stage = stage();
    let port = {
        let reserved = Standin::start();
        reserved.port()
    };
    stage.set("service.base_url", format!("http://127.0.0.1:{port}/api"));
    let mut running = stage.call(["run"]).start();
    running.until("a word about it", || {
        stage.json(&["status"])["paused"]["reason"] == "offline"
    });
    let late = Standin::start_at(port, "/api").unwrap();
    running.outcome().success();
    assert_eq!(late.look(|log| log.ledger().paid_for(&recording())), 1);
    assert_eq!(state(&stage).0, "done");
}

#[test]
fn a_service_that_stays_out_of_reach_is_exit_code_5_and_keeps_the_work() {
    let stage = stage();
    let closed = Standin::start().url();
    stage.set("service.base_url", closed);
    stage.stenod(["run"]).code(5);
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (&jobs["failed"], &jobs["in_doubt"]),
        (&json!(0), &json!(0)),
        "{jobs}"
    );
    stage.set("service.base_url", stage.service.url());
    stage.stenod(["run"]).success();
    assert_eq!((paid(&stage), state(&stage).0.as_str()), (1, "done"));
}

#[test]
fn the_first_request_after_the_answer_is_never_a_second_submit() {
    let stage = stage();
    for seed in 2..=12 {
        stage.put(format!("{seed}.wav"), &wav(seed, 0.3));
    }
    stage.set("service.jobs", 4);
    stage.stenod(["run"]).success();
    assert_eq!(submits(&stage), 12);
    stage.check();
}

#[test]
fn an_answer_that_cannot_be_read_is_kept_and_never_sent_again_by_itself() {
    for body in [
        r#"{"transcription": {"words": "hello there"}}"#,
        r#"{"transcription": NaN}"#,
        r#"{"odd": 1}"#,
    ] {
        let stage = stage();
        stage.set("service.in_doubt", "retry-once");
        let reply = Reply::text(200, "application/json", body);
        stage
            .service
            .script(Rule::on(Endpoint::Submit).charged().answer(reply));
        stage.stenod(["run"]).code(3);
        let reason = state(&stage);
        assert_eq!(
            reason,
            ("in_doubt".to_owned(), "reply_unreadable".into()),
            "{body}"
        );
        stage.stenod(["run"]).no_panic();
        assert_eq!(submits(&stage), 1, "{body}\n{}", stage.service.story());
        let table = rusqlite::Connection::open(stage.state().join("stenod.db")).unwrap();
        let kept: Vec<u8> = table
            .query_row("SELECT body FROM replies", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, body.as_bytes());
        drop(table);
        stage.stenod(["retry", "--in-doubt"]).success();
        stage.stenod(["run"]).success();
        assert_eq!(submits(&stage), 2, "{body}");
    }
}
