//! The stand-in of the service itself: a suite that leans on it must know that it does not lie.

#![cfg(test)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{
    Act, Endpoint, Gate, LARGEST_AUDIO, Moment, Reply, Rule, Standin, usual_text,
};

/// A form with these text fields and one file, as RFC 7578 wants it.
fn form(fields: &[(&str, &str)], file: (&str, &str, &str, &[u8])) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    let (field, name, mime, bytes) = file;
    let part = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: {mime}\r\n\r\n"
    );
    body.extend(part.into_bytes());
    body.extend(bytes);
    body.extend(b"\r\n--edge--\r\n");
    body
}

/// One request over a connection of its own: everything that comes back until its end.
fn send(service: &Standin, method: &str, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", service.port())).unwrap();
    let head = head(method, path, content_type, body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // May fail when the stand-in was told to end the connection before it has everything.
    stream.write_all(body).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok();
    reply
}

fn head(method: &str, path: &str, content_type: &str, length: usize) -> String {
    format!(
        "{method} /api{path} HTTP/1.1\r\nhost: x\r\nx-api-key: key\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Status and JSON body of a reply.
fn parse(reply: &[u8]) -> (u16, Value) {
    let text = String::from_utf8_lossy(reply);
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn submit(service: &Standin, model: &str, bytes: &[u8]) -> (u16, Value) {
    let fields = [("model", model), ("language", "auto")];
    let body = form(&fields, ("audio", "a.wav", "audio/wav", bytes));
    parse(&send(
        service,
        "POST",
        "/transcribe",
        "multipart/form-data; boundary=edge",
        &body,
    ))
}

fn post(service: &Standin, path: &str, body: &Value) -> (u16, Value) {
    parse(&send(
        service,
        "POST",
        path,
        "application/json",
        body.to_string().as_bytes(),
    ))
}

#[test]
fn a_submit_is_answered_recorded_and_charged_once() {
    let service = Standin::start();
    let bytes = wav(1, 3.0);
    let fields = [("model", "Wizper"), ("actualDuration", "0.0500")];
    let body = form(&fields, ("audio", "a.wav", "audio/wav", &bytes));
    let kind = "multipart/form-data; boundary=edge";
    let (status, reply) = parse(&send(&service, "POST", "/transcribe", kind, &body));
    let content = blake3::hash(&bytes).to_hex().to_string();
    assert_eq!(status, 200);
    assert_eq!(reply["transcription"], usual_text(&content));
    assert_eq!(reply["metadata"]["cost"], json!(0.0005));
    assert_eq!(reply["metadata"]["chargedDuration"], json!(0.05));
    service.look(|log| {
        let submit = log.submits().next().unwrap().submit.clone().unwrap();
        assert_eq!(
            (submit.content.as_str(), submit.bytes),
            (content.as_str(), bytes.len())
        );
        assert_eq!(submit.names(), ["actualDuration", "model"]);
        assert_eq!(
            (log.ledger().paid_for(&bytes), log.ledger().total()),
            (1, "0.0005".into())
        );
        assert!(log.violations().is_empty(), "{:?}", log.violations());
    });
}

#[test]
fn a_submit_is_not_charged_before_its_last_byte() {
    let service = Standin::start();
    let bytes = wav(2, 1.0);
    let body = form(
        &[("model", "Wizper")],
        ("audio", "a.wav", "audio/wav", &bytes),
    );
    let mut stream = TcpStream::connect(("127.0.0.1", service.port())).unwrap();
    let head = head(
        "POST",
        "/transcribe",
        "multipart/form-data; boundary=edge",
        body.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (most, last) = body.split_at(body.len() - 1);
    stream.write_all(most).unwrap();
    let length = most.len() as u64;
    service.wait("all but one byte", |log| {
        log.submits().any(|submit| submit.arrived == length)
    });
    assert_eq!(service.look(|log| log.ledger().charges.len()), 0);
    stream.write_all(last).unwrap();
    service.wait("the charge", |log| log.ledger().charges.len() == 1);
    drop(stream);
}

#[test]
fn a_ticket_is_polled_to_its_end_and_must_be_echoed() {
    let service = Standin::start();
    let (status, mut ticket) = submit(&service, "Elevenlabs-STT", &wav(3, 1.0));
    assert_eq!(status, 202);
    assert!(ticket.get("transcription").is_none());
    for wanted in ["pending", "processing", "completed"] {
        let (status, reply) = post(&service, "/transcribe/status", &ticket);
        assert_eq!((status, reply["status"].as_str()), (200, Some(wanted)));
    }
    service.look(|log| {
        assert_eq!((log.polls().count(), log.ledger().charges.len()), (3, 1));
        assert!(log.violations().is_empty(), "{:?}", log.violations());
    });
    ticket["cost"] = Value::Null;
    post(&service, "/transcribe/status", &ticket);
    assert_eq!(service.look(|log| log.violations().len()), 2);
    ticket["runId"] = json!("nobody");
    assert_eq!(post(&service, "/transcribe/status", &ticket).0, 404);
}

#[test]
fn speakers_come_in_two_label_spaces_only_when_asked_for() {
    let service = Standin::start();
    service.behave(|behaviour| behaviour.polls = 0);
    let fields = [("model", "Elevenlabs-STT"), ("diarize", "true")];
    let body = form(&fields, ("audio", "a.wav", "audio/wav", &wav(4, 1.0)));
    let kind = "multipart/form-data; boundary=edge";
    let (_, ticket) = parse(&send(&service, "POST", "/transcribe", kind, &body));
    let (_, reply) = post(&service, "/transcribe/status", &ticket);
    assert_eq!(reply["diarization"]["segments"][1]["speaker"], "Speaker 2");
    assert_eq!(reply["words"][0]["speaker_id"], "speaker_0");
    let (_, ticket) = submit(&service, "Elevenlabs-STT", &wav(5, 1.0));
    let (_, reply) = post(&service, "/transcribe/status", &ticket);
    assert!(reply.get("diarization").is_none() && reply["words"][0].get("speaker_id").is_none());
}

#[test]
fn sloppy_forms_are_refused_and_free() {
    let service = Standin::start();
    let kind = "multipart/form-data; boundary=edge";
    let bytes = wav(6, 0.1);
    let file = ("audio", "a.wav", "audio/wav", bytes.as_slice());
    let large = vec![0; LARGEST_AUDIO + 1];
    let model = [("model", "Wizper")];
    for (wanted, body) in [
        (400, form(&[("model", "Wizper"), ("model", "Wizper")], file)),
        (400, form(&[("models", "Wizper")], file)),
        (400, form(&[("model", "Tape-Recorder")], file)),
        (400, form(&model, ("file", "a.wav", "audio/wav", &bytes))),
        (
            400,
            form(&model, file).strip_suffix(b"--\r\n").unwrap().to_vec(),
        ),
        (413, form(&model, ("audio", "a.wav", "audio/wav", &large))),
        (415, form(&model, ("audio", "a.flac", "audio/flac", &bytes))),
        (
            415,
            form(
                &model,
                ("audio", "a.wav", "application/octet-stream", &bytes),
            ),
        ),
        (
            422,
            form(&[("model", "Wizper"), ("language", "English")], file),
        ),
    ] {
        let (status, reply) = parse(&send(&service, "POST", "/transcribe", kind, &body));
        assert_eq!(status, wanted, "{reply}");
    }
    assert_eq!(service.look(|log| log.ledger().charges.len()), 0);
}

#[test]
fn lengths_in_seconds_and_lying_names_are_violations() {
    let service = Standin::start();
    let kind = "multipart/form-data; boundary=edge";
    let bytes = wav(7, 3.0);
    let fields = [("model", "Wizper"), ("actualDuration", "3.0000")];
    let body = form(&fields, ("audio", "a.mp3", "audio/mpeg", &bytes));
    send(&service, "POST", "/transcribe", kind, &body);
    let fields = [("model", "Wizper"), ("actualDuration", "0.05")];
    let body = form(&fields, ("audio", "a.wav", "audio/wav", &bytes));
    send(&service, "POST", "/transcribe", kind, &body);
    assert_eq!(
        service.look(|log| log.violations().len()),
        3,
        "{}",
        service.story()
    );
}

#[test]
fn keys_balances_and_addresses_are_checked() {
    let service = Standin::start();
    service.set_balance("0.0001");
    assert_eq!(submit(&service, "Wizper", &wav(8, 3.0)).0, 402);
    service.set_balance("5");
    assert_eq!(submit(&service, "Wizper", &wav(8, 3.0)).0, 200);
    service.behave(|behaviour| behaviour.key = Some("other".into()));
    assert_eq!(submit(&service, "Wizper", &wav(8, 3.0)).0, 401);
    service.behave(|behaviour| behaviour.key = None);
    let (_, balance) = post(&service, "/check-balance", &json!({}));
    assert!(
        balance["usd_balance"].as_str().unwrap().starts_with("4.99"),
        "{balance}"
    );
    let models = send(
        &service,
        "GET",
        "/v1/audio-models?type=stt&detailed=true",
        "",
        b"",
    );
    assert_eq!(
        parse(&models).1["data"][0]["pricing"]["per_minute"],
        json!(0.0005)
    );
    assert_eq!(parse(&send(&service, "GET", "/elsewhere", "", b"")).0, 404);
}

#[test]
fn the_openai_address_wants_a_part_named_file() {
    let service = Standin::start();
    let kind = "multipart/form-data; boundary=edge";
    let bytes = wav(9, 0.5);
    let body = form(
        &[("model", "Wizper")],
        ("file", "a.wav", "audio/wav", &bytes),
    );
    let reply = send(&service, "POST", "/v1/audio/transcriptions", kind, &body);
    assert_eq!(parse(&reply).0, 200);
    assert!(parse(&reply).1["text"].is_string());
}

#[test]
fn links_are_taken_as_json_with_booleans() {
    let service = Standin::start();
    let link = json!({"audioUrl": "https://example.org/a.mp3", "model": "Elevenlabs-STT",
        "diarize": true});
    assert_eq!(post(&service, "/transcribe", &link).0, 202);
    let strings = json!({"audioUrl": "https://example.org/a.mp3", "diarize": "true"});
    assert_eq!(post(&service, "/transcribe", &strings).0, 400);
}

#[test]
fn faults_come_in_their_order_and_then_the_usual() {
    let service = Standin::start();
    let bytes = wav(10, 0.5);
    let busy = Reply::empty(503).with("retry-after", "1");
    service.script(Rule::on(Endpoint::Submit).answer(busy));
    service.script(
        Rule::on(Endpoint::Submit)
            .charged()
            .answer(Reply::empty(500)),
    );
    service.script(Rule::on(Endpoint::Submit).act(Act::Raw(b"what?".to_vec())));
    let kind = "multipart/form-data; boundary=edge";
    let body = form(
        &[("model", "Wizper")],
        ("audio", "a.wav", "audio/wav", &bytes),
    );
    let paid = || service.look(|log| log.ledger().paid_for(&bytes));
    let send = || send(&service, "POST", "/transcribe", kind, &body);
    let first = send();
    assert!(String::from_utf8_lossy(&first).contains("retry-after: 1\r\n"));
    assert_eq!((parse(&first).0, paid()), (503, 0));
    assert_eq!((parse(&send()).0, paid()), (500, 1));
    assert_eq!((send(), paid()), (b"what?".to_vec(), 1));
    assert_eq!((parse(&send()).0, paid()), (200, 2));
}

#[test]
fn a_rule_for_one_content_spares_the_others() {
    let service = Standin::start();
    let poison = wav(11, 0.5);
    let refusal = Reply::json(422, &json!({"error": 422, "message": "no"}));
    service.script(
        Rule::on(Endpoint::Submit)
            .of(&poison)
            .always()
            .answer(refusal),
    );
    assert_eq!(submit(&service, "Wizper", &wav(12, 0.5)).0, 200);
    assert_eq!(submit(&service, "Wizper", &poison).0, 422);
    assert_eq!(submit(&service, "Wizper", &wav(13, 0.5)).0, 200);
}

#[test]
fn connections_break_at_the_moment_that_was_asked_for() {
    let service = Standin::start();
    let bytes = wav(14, 1.0);
    for (rule, charged) in [
        (
            Rule::on(Endpoint::Submit).at(Moment::Head).act(Act::Close),
            0,
        ),
        (
            Rule::on(Endpoint::Submit)
                .at(Moment::Before(1))
                .act(Act::Reset),
            0,
        ),
        (Rule::on(Endpoint::Submit).act(Act::Reset), 0),
        (Rule::on(Endpoint::Submit).act(Act::LoseUsual), 1),
    ] {
        service.script(rule);
        let body = form(
            &[("model", "Wizper")],
            ("audio", "a.wav", "audio/wav", &bytes),
        );
        let kind = "multipart/form-data; boundary=edge";
        assert_eq!(send(&service, "POST", "/transcribe", kind, &body), b"");
        assert_eq!(service.look(|log| log.ledger().paid_for(&bytes)), charged);
    }
    let early = Rule::on(Endpoint::Submit)
        .at(Moment::After(10))
        .answer(Reply::empty(413));
    service.script(early);
    assert_eq!(submit(&service, "Wizper", &bytes).0, 413);
    service.script(Rule::on(Endpoint::Submit).act(Act::CutUsual(5)));
    let body = form(
        &[("model", "Wizper")],
        ("audio", "a.wav", "audio/wav", &bytes),
    );
    let reply = send(
        &service,
        "POST",
        "/transcribe",
        "multipart/form-data; boundary=edge",
        &body,
    );
    assert!(
        reply.ends_with(b"\r\n\r\n{\"tra"),
        "{}",
        String::from_utf8_lossy(&reply)
    );
}

#[test]
fn a_gate_holds_a_request_until_it_is_opened() {
    let service = Standin::start();
    let gate = Gate::closed();
    service.script(Rule::on(Endpoint::Submit).behind(&gate));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| submit(&service, "Wizper", &wav(15, 0.5)));
        service.wait("a held request", |log| {
            log.submits().any(|submit| submit.held)
        });
        assert!(service.look(|log| log.submits().all(|submit| submit.answered.is_none())));
        gate.open();
        assert_eq!(held.join().unwrap().0, 200);
    });
}

#[test]
fn a_slow_reply_arrives_whole() {
    let service = Standin::start();
    let reply = Reply::json(200, &json!({"usd_balance": 1}));
    let pause = Duration::from_millis(1);
    service.script(Rule::on(Endpoint::Balance).act(Act::Trickle(reply, 16, pause)));
    assert_eq!(
        post(&service, "/check-balance", &json!({})),
        (200, json!({"usd_balance": 1}))
    );
}

#[test]
fn it_comes_back_on_the_same_port_after_it_was_stopped() {
    let service = Standin::start();
    let port = service.port();
    drop(service);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let service = Standin::start_at(port, "/api").unwrap();
    assert_eq!(submit(&service, "Wizper", &wav(16, 0.5)).0, 200);
}
