//! One more service, of one file and one line: everything that asks for a service's nature finds it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use stenod_support::audio::wav;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::batch;
use crate::clock::SystemClock;
use crate::config::{Environment, Overrides};
use crate::pipeline::{Ended, IntakeOptions, Silent};
use crate::speech::plain;

/// How it answers a recording.
const REPLY: &str =
    r#"{"said": [{"at": 0.5, "until": 1.5, "words": "Hello from a third service."}]}"#;

fn configuration(home: &Path, variables: &[(&str, &str)]) -> Config {
    let mut environment = Environment::new(None, home)
        .with("STENOD_STATE_DIR", home.join("state"))
        .with("STENOD_SERVICE__PROVIDER", "plain")
        .with("NANOGPT_API_KEY", "of-another-company");
    for (name, value) in variables {
        environment = environment.with(*name, *value);
    }
    Config::load(&environment, None, &Overrides::default()).unwrap()
}

/// Takes one request to its end and answers it; gives it as it came.
async fn answer_once(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request);
        text.trim_end().ends_with("--") && text.contains("\r\n\r\n")
    };
    while !is_whole(&request) {
        let read = stream.read_buf(&mut request).await.unwrap();
        assert!(read > 0, "it broke off");
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{REPLY}",
        REPLY.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8_lossy(&request).into_owned()
}

/// Has a run made of everything below `folder`.
async fn run(config: &Config, folder: &Path) -> Ended {
    let provider = provider(config).unwrap();
    let places = places(config, &[folder.to_owned()], provider).unwrap();
    let (clock, stop) = (Arc::new(SystemClock), CancellationToken::new());
    let extras = Extras::default();
    let opened = open(config, &extras, clock, Arc::new(Silent), stop).await;
    let pipeline = opened.unwrap();
    let options = IntakeOptions {
        one_shot: true,
        ..IntakeOptions::default()
    };
    let intake = batch::take_in(&pipeline, places.places, options).await;
    drop(intake.unwrap());
    batch::work(pipeline).await.unwrap()
}

#[tokio::test]
async fn a_recording_goes_through_a_service_that_is_one_file_and_a_line_in_the_list() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("in");
    std::fs::create_dir(&folder).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a recording, as somebody put it there"
    )]
    let mut file = File::create(folder.join("talk.wav")).unwrap();
    file.write_all(&wav(1, 2.0)).unwrap();
    // Long complete.
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let variables = [
        ("STENOD_SERVICE__BASE_URL", address.as_str()),
        ("STENOD_TRANSCRIBE__FORMATS", "txt,json,srt"),
        ("PLAIN_TOKEN", "k-plain-123456"),
    ];
    let config = configuration(home.path(), &variables);
    let (ended, request) = tokio::join!(run(&config, &folder), answer_once(&listener));
    assert!(matches!(ended, Ended::Finished));
    let text = std::fs::read_to_string(folder.join("talk.txt")).unwrap();
    assert_eq!(text.trim(), "Hello from a third service.");
    let srt = std::fs::read_to_string(folder.join("talk.srt")).unwrap();
    assert!(srt.contains("00:00:00,500 -->"), "{srt}");
    let json = std::fs::read_to_string(folder.join("talk.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["job"]["provider"], "plain");
    assert_eq!(json["job"]["model"], "plain-1", "its own default");
    assert!(
        request.starts_with("POST /listen HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("x-token: Token k-plain-123456\r\n"));
}

#[test]
fn what_is_not_configured_is_what_the_service_says_of_itself() {
    let home = tempfile::tempdir().unwrap();
    let config = configuration(home.path(), &[]);
    assert_eq!(config.service.base_url, plain::SERVICE.address.unwrap());
    assert_eq!(config.large.direct_limit, plain::SERVICE.direct_limit);
    let terms = route_terms(&config);
    assert_eq!(
        (terms.takes_links, terms.formats),
        (false, plain::SERVICE.formats)
    );
    let error = provider(&config).unwrap_err();
    assert_eq!(error.to_string(), "no key for Plain Speech was found");
    assert!(error.hint().unwrap().contains("PLAIN_TOKEN"));
    let voice = [
        ("PLAIN_TOKEN", "k"),
        ("STENOD_TRANSCRIBE__MODEL", "Plain-Voice"),
    ];
    let config = configuration(home.path(), &voice);
    let refused = places(&config, &[home.path().to_owned()], plain::SERVICE.provider);
    assert!(matches!(refused, Err(SetupError::NoTranscription { .. })));
}

#[test]
fn the_defaults_of_the_configuration_are_those_of_the_usual_service() {
    let environment = Environment::new(None, "/").with("STENOD_STATE_DIR", "/s");
    let config = Config::load(&environment, None, &Overrides::default()).unwrap();
    let usual = services::USUAL;
    assert_eq!(Some(config.service.base_url.as_str()), usual.address);
    assert_eq!(config.transcribe.model, usual.model);
    let mut settings = config.settings().iter();
    let limit = settings.find(|setting| setting.key == "large.direct_limit");
    assert_eq!(
        (limit.unwrap().value.as_str(), usual.direct_limit),
        ("\"3 MiB\"", 3 << 20)
    );
}
