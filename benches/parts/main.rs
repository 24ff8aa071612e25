//! The parts of stenod alone, each at three sizes: `cargo bench --bench parts`, or one of them by its name.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "whoever measures sees at once what went wrong"
)]

mod document;

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::Timestamp;
use serde_json::json;
use stenod::discover::{Root, RootRules, Scope, scan};
use stenod::domain::audio::{AudioDuration, AudioFormat, Bitrate, is_candidate_extension};
use stenod::domain::captions::{Naming, Profile, cues};
use stenod::domain::format::Format;
use stenod::domain::job::{Candidate, ContentHash, Provider, Publication, Settings, Stage};
use stenod::domain::render::render;
use stenod::domain::settle::Fingerprint;
use stenod::media::probe::probe;
use stenod::media::shrink::shrink;
use stenod::queue::{Arrival, Asked, Claimed, Queue, Terms};
use stenod::speech::replies_of;
use stenod_support::audio::wav;
use tokio::runtime::Runtime;

/// Words of a minute, of half an hour, and of a long day.
const WORDS: [usize; 3] = [150, 4_500, 45_000];

fn walks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for files in [100_usize, 1_000, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..files {
            let inner = folder.path().join((number / 20).to_string());
            fs::create_dir_all(&inner).unwrap();
            put(&inner.join(format!("{number}.wav")), b"x");
        }
        let root = Root::new(folder.path(), RootRules::default(), is_candidate_extension).unwrap();
        group.throughput(Throughput::Elements(files as u64));
        group.bench_function(BenchmarkId::from_parameter(files), |bencher| {
            bencher.iter(|| scan(&root, &Scope::Root, &mut |_| ControlFlow::Continue(())));
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what lies in a temporary folder need survive nothing"
)]
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn claims(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let now = Timestamp::from_second(1_767_225_600).unwrap();
    let mut group = criterion.benchmark_group("claim");
    for queued in [100_usize, 1_000, 10_000] {
        let state = tempfile::tempdir().unwrap();
        let queue = Queue::open(state.path(), now).unwrap();
        let arrivals = (0..queued).map(arrival).collect();
        runtime
            .block_on(queue.take_in(arrivals, false, false, Asked::default(), now))
            .unwrap();
        group.bench_function(BenchmarkId::from_parameter(queued), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let terms = Terms {
                        providers: vec![Provider::named("nanogpt")],
                        ..Terms::default()
                    };
                    let Claimed::Submit(job) = queue.claim(terms, now).await.unwrap() else {
                        panic!("nothing is claimed");
                    };
                    queue.requeue(job.id, None, None, now).await.unwrap();
                });
            });
        });
    }
}

fn arrival(number: usize) -> Arrival {
    let path = Path::new("/recordings").join(format!("{number}.mp3"));
    let size = 1_000_000;
    Arrival {
        path: path.clone(),
        root: "/recordings".into(),
        fingerprint: Fingerprint {
            device: 1,
            inode: number as u64,
            size,
            modified_ns: 0,
            changed_ns: 0,
        },
        known: None,
        may_force: true,
        candidate: Some(Candidate {
            source: path,
            root: "/recordings".into(),
            hash: ContentHash(*blake3::hash(&number.to_le_bytes()).as_bytes()),
            size,
            duration: Some(AudioDuration::from_micros(60_000_000)),
            format: AudioFormat::Mp3,
            has_video: Some(false),
            settings: Settings {
                provider: Provider::named("nanogpt"),
                model: "Whisper-Large-V3".into(),
                language: "auto".into(),
                diarize: false,
                tag_audio_events: false,
            },
            publication: Publication::default(),
            output_dir: None,
            route: None,
            ground: None,
            stage: Stage::queued(),
        }),
        gone: None,
        gone_from: None,
    }
}

fn media(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let recordings = [1_u32, 60, 600].map(|seconds| {
        let path = folder.path().join(format!("{seconds}.wav"));
        put(&path, &wav(7, f64::from(seconds)));
        (seconds, path)
    });
    let mut group = criterion.benchmark_group("probe");
    for (seconds, path) in &recordings {
        group.bench_function(BenchmarkId::from_parameter(seconds), |bencher| {
            bencher.iter(|| probe(black_box(path)).unwrap());
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("shrink");
    group.sample_size(10);
    for (seconds, path) in &recordings {
        group.throughput(Throughput::Elements(u64::from(*seconds)));
        group.bench_function(BenchmarkId::from_parameter(seconds), |bencher| {
            bencher.iter(|| {
                let rate = Bitrate::BEST_FIRST[0];
                shrink(path, &mut Vec::new(), rate, &mut |_| {
                    ControlFlow::Continue(())
                })
                .unwrap()
            });
        });
    }
}

fn documents(criterion: &mut Criterion) {
    let documents = WORDS.map(|words| (words, document::document(words)));
    for format in Format::ALL {
        let mut group = criterion.benchmark_group(format!("render {}", format.name()));
        group.sample_size(20);
        for (words, document) in &documents {
            group.throughput(Throughput::Elements(*words as u64));
            group.bench_function(BenchmarkId::from_parameter(words), |bencher| {
                bencher.iter(|| render(format, black_box(document)));
            });
        }
    }
    let mut group = criterion.benchmark_group("captions");
    group.sample_size(20);
    for (words, document) in &documents {
        group.bench_function(BenchmarkId::from_parameter(words), |bencher| {
            bencher.iter(|| {
                cues(
                    black_box(&document.transcript),
                    &Profile::STANDARD,
                    Naming::Apart,
                )
            });
        });
    }
}

fn replies(criterion: &mut Criterion) {
    let replies = replies_of(Provider::named("nanogpt"));
    let mut group = criterion.benchmark_group("reply");
    group.sample_size(20);
    for count in WORDS {
        let words = (0..count).map(|number| {
            let at = number as f64 * 0.38;
            json!({"text": "times,", "start": at, "end": at + 0.3, "type": "word", "speaker_id": "speaker_0"})
        });
        let words: Vec<_> = words.collect();
        let reply = json!({
            "status": "completed", "transcription": "times, ".repeat(count).trim(), "words": words,
            "metadata": {"language": "eng", "cost": 0.002, "currency": "USD"},
        });
        let body = serde_json::to_vec(&reply).unwrap();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| replies.heard(black_box(&body)));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for parts in [walks, claims, media, documents, replies] {
        parts(&mut criterion);
    }
    criterion.final_summary();
}
