//! Every format of a handful of replies, byte for byte.
//!
//! `tests/fixtures/render/CASE/case.json` holds what was heard; the files beside it are what comes
//! out. `STENOD_BLESS=1 cargo test --test render` writes them anew, to be read before committing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde::Deserialize;
use serde_json::Value;
use stenod::domain::audio::SPEECH_RATE;
use stenod::domain::captions::{CaptionLanguage, Captions};
use stenod::domain::cut::Stretch;
use stenod::domain::format::Format;
use stenod::domain::render::{
    Cost, Document, JobInfo, JobSettings, Lack, SourceInfo, is_estimated, lack, render,
};
use stenod::domain::transcript::{Heard, HeardPiece, Transcript};

#[derive(Deserialize)]
struct Case {
    file_name: String,
    duration: Option<f64>,
    provider: String,
    model: String,
    run_id: Option<String>,
    #[serde(default)]
    language: String,
    #[serde(default)]
    diarize: bool,
    #[serde(default)]
    tag_audio_events: bool,
    cost: Option<(String, String)>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    heard: Heard,
    /// The pieces of a recording that was cut, instead.
    #[serde(default)]
    pieces: Vec<PieceCase>,
}

#[derive(Deserialize)]
struct PieceCase {
    seconds: u32,
    /// What was heard, or why nothing was.
    heard: Result<Heard, String>,
}

/// The transcript of pieces that follow each other.
fn stitched(pieces: Vec<PieceCase>) -> Transcript {
    let mut start = 0;
    let heard = pieces.into_iter().map(|piece| {
        let end = start + u64::from(piece.seconds * SPEECH_RATE);
        let stretch = Stretch { start, end };
        start = end;
        let duration = Some(f64::from(piece.seconds));
        HeardPiece {
            stretch,
            heard: piece
                .heard
                .map(|heard| Transcript::from_heard(heard, duration)),
        }
    });
    Transcript::stitched(heard.collect())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/render")
}

fn document(case: &str) -> Document {
    let raw = fs::read(fixtures().join(case).join("case.json")).unwrap();
    let case: Case = serde_json::from_slice(&raw).unwrap();
    let mut transcript = if case.pieces.is_empty() {
        Transcript::from_heard(case.heard, case.duration)
    } else {
        stitched(case.pieces)
    };
    for speaker in &mut transcript.speakers {
        speaker.name = case.names.get(&speaker.id.to_string()).cloned();
    }
    Document {
        transcript,
        source: SourceInfo {
            path: PathBuf::from(&case.file_name),
            file_name: case.file_name,
            size: 123_456,
            blake3: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262".to_owned(),
        },
        job: JobInfo {
            id: 7,
            provider: case.provider,
            model: case.model,
            run_id: case.run_id,
            settings: JobSettings {
                language: if case.language.is_empty() {
                    "auto".to_owned()
                } else {
                    case.language
                },
                diarize: case.diarize,
                tag_audio_events: case.tag_audio_events,
            },
        },
        cost: case.cost.map(|(amount, currency)| Cost {
            amount: amount.parse().unwrap(),
            currency,
        }),
        glossary: Vec::new(),
        captions: Captions::Standard,
        caption_language: CaptionLanguage::Auto,
        is_film: None,
        raw: Some(raw),
    }
}

const CASES: [&str; 7] = [
    "plain",
    "interview",
    "recogniser",
    "hostile",
    "names",
    "silence",
    "stitched",
];

fn schema(name: &str) -> (Schemas, SchemaIndex) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut compiler = Compiler::new();
    compiler.add_resource(name, schema).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile(name, &mut schemas).unwrap();
    (schemas, index)
}

fn rendered_json(format: Format, document: &Document) -> Option<Value> {
    render(format, document).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// Compares every format of a case with its file; formats without a file must have nothing.
fn check(case: &str) {
    let document = document(case);
    let mut differing = Vec::new();
    for format in Format::ALL
        .into_iter()
        .filter(|format| *format != Format::Raw)
    {
        let path = fixtures()
            .join(case)
            .join(format!("expected.{}", format.suffix()));
        let found = render(format, &document);
        if std::env::var_os("STENOD_BLESS").is_some() {
            bless(&path, found.as_deref());
        } else if found != fs::read(&path).ok() {
            let found = found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            differing.push(format!("{} is now {found:#?}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own files need no durable write"
)]
fn bless(path: &Path, found: Option<&[u8]>) {
    match found {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None if path.exists() => fs::remove_file(path).unwrap(),
        None => {}
    }
}

#[test]
fn a_plain_text_reply_is_rendered_as_expected() {
    check("plain");
}

#[test]
fn a_reply_with_words_and_turns_is_rendered_as_expected() {
    check("interview");
}

#[test]
fn segments_of_the_built_in_recogniser_are_rendered_as_expected() {
    check("recogniser");
}

#[test]
fn a_hostile_reply_is_rendered_as_expected() {
    check("hostile");
}

#[test]
fn names_that_could_be_markup_are_rendered_as_expected() {
    check("names");
}

#[test]
fn silence_is_rendered_as_expected() {
    check("silence");
}

#[test]
fn pieces_with_a_hole_are_rendered_as_expected() {
    check("stitched");
}

#[test]
fn the_raw_reply_comes_out_as_it_came() {
    let mut document = document("plain");
    document.raw = Some(b"\xff\x00 not even JSON".to_vec());
    assert_eq!(render(Format::Raw, &document), document.raw);
    document.raw = None;
    assert_eq!(lack(Format::Raw, &document), Some(Lack::Reply));
}

#[test]
fn text_without_any_time_lacks_times_where_they_are_needed() {
    let mut document = document("plain");
    document.transcript = Transcript::from_heard(
        Heard {
            text: "Hello.".to_owned(),
            ..Heard::default()
        },
        None,
    );
    for format in [
        Format::Srt,
        Format::Vtt,
        Format::Tsv,
        Format::Podcast,
        Format::Lrc,
    ] {
        assert_eq!(lack(format, &document), Some(Lack::Times));
        assert_eq!(render(format, &document), None);
    }
    for format in [Format::Txt, Format::Json, Format::Md, Format::Raw] {
        assert!(render(format, &document).is_some());
    }
}

#[test]
fn a_format_has_a_file_exactly_when_nothing_is_lacking() {
    for case in CASES {
        let document = document(case);
        for format in Format::ALL {
            assert_eq!(
                render(format, &document).is_none(),
                lack(format, &document).is_some()
            );
        }
    }
}

#[test]
fn estimated_times_are_known_to_be_so() {
    assert!(is_estimated(Format::Srt, &document("plain").transcript));
    assert!(!is_estimated(Format::Txt, &document("plain").transcript));
    assert!(!is_estimated(
        Format::Srt,
        &document("recogniser").transcript
    ));
    assert!(!is_estimated(Format::Srt, &document("silence").transcript));
}

#[test]
fn json_and_diarization_are_what_their_schemas_say() {
    for (format, name) in [
        (Format::Json, "transcript.schema.json"),
        (Format::Diarization, "diarization.schema.json"),
    ] {
        let (schemas, index) = schema(name);
        let files = CASES
            .iter()
            .filter_map(|case| rendered_json(format, &document(case)));
        for (number, file) in files.enumerate() {
            let checked = schemas.validate(&file, index);
            assert!(
                checked.is_ok(),
                "{format} {number}: {}",
                checked.unwrap_err()
            );
        }
    }
}

#[test]
fn the_schemas_refuse_what_is_not_theirs() {
    let spoil = |format: Format, pointer: &str, value: Value| {
        let mut file = rendered_json(format, &document("interview")).unwrap();
        *file.pointer_mut(pointer).unwrap() = value;
        file
    };
    let (schemas, index) = schema("transcript.schema.json");
    for (pointer, value) in [
        ("/timing", "exact".into()),
        ("/version", 2.into()),
        ("/cost/amount", 0.01.into()),
        ("/segments/0/start", (-1).into()),
        ("/segments/0/speaker", "Anna".into()),
        ("/source/file_name", "/home/me/a.mp3".into()),
    ] {
        let file = spoil(Format::Json, pointer, value);
        assert!(schemas.validate(&file, index).is_err(), "{pointer}");
    }
    let (schemas, index) = schema("diarization.schema.json");
    for (pointer, value) in [
        ("/segments/0/text", 5.into()),
        ("/speakers/0/id", "0".into()),
    ] {
        let file = spoil(Format::Diarization, pointer, value);
        assert!(schemas.validate(&file, index).is_err(), "{pointer}");
    }
}

#[test]
fn keys_come_in_the_documented_order() {
    let file = rendered_json(Format::Json, &document("interview")).unwrap();
    let keys: Vec<&str> = file
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "text", "language", "duration", "segments", "format", "version", "speakers", "events",
            "source", "job", "cost", "timing", "warnings", "glossary", "seal"
        ]
    );
}
