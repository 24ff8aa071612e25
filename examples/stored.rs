//! Fills a state directory with done recordings and their stored replies, for `benches/compare/render.sh`.
//!
//! `cargo run --release --example stored -- COUNT STATE FOLDER`: so many recordings in FOLDER (a hundred
//! in each folder below it), each with the reply of an asynchronous run with words and speakers. They go
//! the way of every job through the queue: queued, claimed, committed, answered, charged, done.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use stenod::domain::audio::{AudioDuration, AudioFormat};
use stenod::domain::job::{Candidate, ContentHash, JobId, Provider, Publication, Settings, Stage};
use stenod::queue::{Claimed, Queue, RawReply, Terms};

/// Recordings in one folder.
const A_FOLDER: usize = 100;
/// Words in each recording: about four minutes of speech.
const WORDS: usize = 600;
/// The speech that recordings are filled with, again and again.
const SPEECH: &str = "It was the best of times, it was the worst of times, it was the age of wisdom, \
    it was the age of foolishness. There were a king with a large jaw and a queen with a plain face, \
    on the throne of England. In both countries it was clearer than crystal that things in general \
    were settled for ever.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, state, folder] = arguments.as_slice() else {
        anyhow::bail!("usage: stored COUNT STATE FOLDER");
    };
    let count: usize = count.parse().context("COUNT is a number")?;
    let now = Timestamp::from_second(1_767_225_600)?;
    let queue = Queue::open(Path::new(state), now)?;
    for number in 0..count {
        store(&queue, Path::new(folder), number, now).await?;
    }
    Ok(())
}

async fn store(queue: &Queue, root: &Path, number: usize, now: Timestamp) -> anyhow::Result<()> {
    let folder = root.join(format!("{:03}", number / A_FOLDER));
    std::fs::create_dir_all(&folder)?;
    queue
        .enqueue(
            recording(root, folder.join(format!("talk-{number}.mp3")), number),
            None,
            false,
            now,
        )
        .await?;
    let terms = Terms {
        providers: vec![Provider::named("nanogpt")],
        ..Terms::default()
    };
    let Claimed::Submit(job) = queue.claim(terms, now).await? else {
        anyhow::bail!("recording {number} is not claimed");
    };
    answer(queue, job.id, reply(number), now).await
}

async fn answer(queue: &Queue, id: JobId, reply: Value, now: Timestamp) -> anyhow::Result<()> {
    queue.commit(id, now).await?;
    let raw = RawReply {
        status: 200,
        body: serde_json::to_vec(&reply)?,
        request_id: None,
    };
    let stored = queue.accept(id, raw, None, now).await?;
    queue.charge_unnamed(id, now).await?;
    Ok(queue.done(id, stored, now).await?)
}

fn recording(root: &Path, source: PathBuf, number: usize) -> Candidate {
    Candidate {
        hash: ContentHash(*blake3::hash(&number.to_le_bytes()).as_bytes()),
        source,
        root: root.to_owned(),
        ground: None,
        size: 4_000_000,
        duration: Some(AudioDuration::from_micros(240_000_000)),
        format: AudioFormat::Mp3,
        has_video: Some(false),
        settings: Settings {
            provider: Provider::named("nanogpt"),
            model: "Elevenlabs-STT".into(),
            language: "auto".into(),
            diarize: true,
            tag_audio_events: false,
        },
        publication: Publication::default(),
        output_dir: None,
        route: None,
        stage: Stage::queued(),
    }
}

/// Words of two who take turns, some of them with a pause between.
fn reply(number: usize) -> Value {
    let mut at = 0.0;
    let mut words = Vec::new();
    let mut text = String::new();
    for (place, word) in SPEECH
        .split_whitespace()
        .cycle()
        .skip(number % 40)
        .take(WORDS)
        .enumerate()
    {
        let speaker = format!("speaker_{}", place / 50 % 2);
        words.push(json!({
            "text": word, "start": at, "end": at + 0.3, "type": "word", "speaker_id": speaker,
        }));
        words.push(json!({"text": " ", "type": "spacing", "speaker_id": speaker}));
        at += if place % 50 == 49 { 1.2 } else { 0.38 };
        text.push_str(word);
        text.push(' ');
    }
    json!({
        "status": "completed", "transcription": text.trim(), "words": words,
        "metadata": {"language": "eng", "cost": 0.002, "currency": "USD", "model": "Elevenlabs-STT"},
    })
}
