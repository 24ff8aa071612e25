//! How long a claim takes with so many recordings queued.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;
use stenod::domain::audio::{AudioDuration, AudioFormat};
use stenod::domain::job::{Candidate, ContentHash, Provider, Publication, Settings, Stage};
use stenod::domain::settle::Fingerprint;
use stenod::queue::{Arrival, Asked, Claimed, Queue, Terms};

/// Recordings in one folder.
const A_FOLDER: usize = 20;
/// Recordings that are queued in one transaction, as the program does it.
const A_PORTION: usize = 256;
/// Claims that are timed, and as many before them that are not.
const CLAIMS: usize = 1000;

pub(crate) async fn claims(state: &Path, counts: &[&str]) -> anyhow::Result<()> {
    for count in counts {
        let count: usize = count.parse().context("COUNT is a number")?;
        let began = super::now();
        let now = Timestamp::from_second(1_767_225_600)?;
        let queue = Queue::open(&state.join(count.to_string()), now)?;
        let numbers: Vec<usize> = (0..count).collect();
        for portion in numbers.chunks(A_PORTION) {
            let arrivals = portion.iter().map(|number| arrival(*number)).collect();
            queue
                .take_in(arrivals, false, false, Asked::default(), now)
                .await?;
        }
        let filled = began.elapsed().as_secs_f64();
        for _ in 0..CLAIMS {
            claim(&queue, now).await?;
        }
        let mut times = Vec::new();
        for _ in 0..CLAIMS {
            times.push(claim(&queue, now).await?.as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let line = json!({
            "queued": count, "fill_seconds": filled, "median_us": times[CLAIMS / 2],
            "p99_us": times[CLAIMS * 99 / 100],
        });
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// Claims a job and puts it back, so that no more are in flight than in a real queue; gives the time of the
/// claim.
async fn claim(queue: &Queue, now: Timestamp) -> anyhow::Result<Duration> {
    let terms = Terms {
        providers: vec![Provider::named("nanogpt")],
        ..Terms::default()
    };
    let began = super::now();
    let claimed = queue.claim(terms, now).await?;
    let took = began.elapsed();
    let Claimed::Submit(job) = claimed else {
        anyhow::bail!("nothing is claimed: {claimed:?}");
    };
    queue.requeue(job.id, None, None, now).await?;
    Ok(took)
}

fn arrival(number: usize) -> Arrival {
    let root = PathBuf::from("/recordings");
    let folder = root.join(format!("{:06}", number / A_FOLDER));
    let path = folder.join(format!("talk-{number}.mp3"));
    let size = 1_000_000;
    Arrival {
        path: path.clone(),
        root: root.clone(),
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
            root,
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
