//! What a daemon tells of itself to whoever watches over it: `/metrics` and `/healthz`.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use stenod::durable::{self, Existing};
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{Running, Stage, eventually};

/// How long a page may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

struct Answer {
    head: String,
    body: String,
}

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("listen", "127.0.0.1:0");
    stage
}

/// The address that a daemon says it listens at.
fn address(watch: &mut Running) -> String {
    let said = |watch: &Running| {
        let text = watch.stderr();
        let (_, rest) = text.split_once("serving http://")?;
        Some(rest.split_once("/metrics")?.0.to_owned())
    };
    eventually("the address", || said(watch).is_some());
    said(watch).unwrap()
}

fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Every line is the help, the type or a sample of one measure, in this order, named as the format's own
/// conventions have it.
fn check(page: &str) {
    let mut seen = BTreeSet::new();
    let (mut name, mut kind) = ("", "");
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            name = help.split_once(' ').unwrap().0;
            assert!(seen.insert(name), "{name} stands twice");
            assert!(name.starts_with("stenod_"), "{name}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (of, what) = typed.split_once(' ').unwrap();
            assert_eq!(of, name);
            kind = what;
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let rest = line.strip_prefix(name).unwrap();
            let value = rest.rsplit(' ').next().unwrap();
            assert!(rest.starts_with(['{', ' ']), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
        }
    }
}

#[test]
fn metrics_tell_of_jobs_money_requests_pauses_and_folders() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(Reply::busy(503, 0)));
    let mut watch = stage.call(["watch"]).start();
    let address = address(&mut watch);
    watch.until("the transcript", || stage.at("a.json").exists());
    let is_done = || {
        let page = ask(&address, "GET /metrics");
        page.body.contains("stenod_jobs{state=\"done\"} 1\n")
    };
    watch.until("the job's end", is_done);
    let page = ask(&address, "GET /metrics");
    assert!(page.head.starts_with("http/1.1 200"), "{}", page.head);
    let media_type = "content-type: text/plain; version=0.0.4";
    assert!(page.head.contains(media_type), "{}", page.head);
    check(&page.body);
    let folder = stage.recordings().display().to_string();
    let charged = stage.service.look(|log| log.ledger().total());
    for line in [
        "stenod_audio_seconds{state=\"done\"} 3\n".to_owned(),
        format!("stenod_charged_amount_total{{currency=\"USD\"}} {charged}\n"),
        "stenod_service_requests_total{call=\"submit\",status=\"200\"} 1\n".to_owned(),
        "stenod_service_requests_total{call=\"submit\",status=\"503\"} 1\n".to_owned(),
        "stenod_paused{reason=\"offline\"} 0\n".to_owned(),
        "stenod_retries_total{reason=\"service_overloaded\"} 1\n".to_owned(),
        "stenod_retries_total{reason=\"rate_limited\"} 0\n".to_owned(),
        "stenod_pauses_total{reason=\"offline\"} 1\n".to_owned(),
        "stenod_pauses_total{reason=\"budget\"} 0\n".to_owned(),
        "stenod_notices_total{receiver=\"webhook\",result=\"given_up\"} 0\n".to_owned(),
        format!("stenod_folder_up{{folder=\"{folder}\"}} 1\n"),
        format!("stenod_folder_watched{{folder=\"{folder}\",mode=\""),
        "stenod_scans_total ".to_owned(),
    ] {
        assert!(page.body.contains(&line), "no {line:?} in\n{}", page.body);
    }
    if let Some(readers) = std::env::var_os("STENOD_READERS").map(PathBuf::from) {
        durable::write(
            &readers.join("metrics.txt"),
            page.body.as_bytes(),
            Existing::Replace,
        )
        .unwrap();
    }
    watch.terminate();
    watch.outcome().no_panic();
}

#[test]
fn health_is_asked_for_and_nothing_but_reading_is_served() {
    let stage = stage();
    let mut watch = stage.call(["watch"]).start();
    let address = address(&mut watch);
    let health = ask(&address, "GET /healthz");
    assert!(health.head.starts_with("http/1.1 200"), "{}", health.head);
    assert_eq!(health.body, "ok\n");
    let head = ask(&address, "HEAD /healthz");
    assert!(head.head.starts_with("http/1.1 200"), "{}", head.head);
    assert_eq!(head.body, "");
    let other = ask(&address, "GET /status");
    assert!(other.head.starts_with("http/1.1 404"), "{}", other.head);
    let post = ask(&address, "POST /metrics");
    assert!(post.head.starts_with("http/1.1 405"), "{}", post.head);
    watch.terminate();
    watch.outcome().no_panic();
}

#[test]
fn another_address_after_a_reload_is_told_to_take_a_restart() {
    let stage = stage();
    let mut watch = stage.call(["watch"]).start();
    let address = address(&mut watch);
    stage.set("listen", "127.0.0.1:1");
    let says = "listen stays 127.0.0.1:0 until stenod is started again";
    stage.stenod(["reload"]).success().says(says);
    assert!(watch.stderr().contains(says), "{}", watch.stderr());
    assert_eq!(ask(&address, "GET /healthz").body, "ok\n");
    stage.set("listen", "127.0.0.1:0");
    let again = stage.stenod(["reload"]).success();
    assert!(!again.stdout.contains("listen stays"), "{}", again.tell());
    watch.terminate();
    watch.outcome().no_panic();
}

#[test]
fn an_address_that_is_taken_is_refused_before_anything_is_watched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let stage = stage();
    stage.set("listen", taken.local_addr().unwrap().to_string());
    stage.stenod(["watch"]).code(10).says("listen = ");
    stage.set("listen", "8788");
    stage
        .stenod(["watch"])
        .code(10)
        .says("listen: \"8788\" is no address with a port");
}
