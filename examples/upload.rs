//! Puts one file into a bucket as stenod does, for `benches/compare/upload.py`.
//!
//! `cargo run --release --example upload -- s3://bucket/prefix http://127.0.0.1:9000 FILE`, with the
//! credentials in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Says how long it took from the open
//! file to the whole object, and how much memory was resident at most.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use stenod::delivery::bucket::{Bucket, Content, Journal, Settings};
use stenod::domain::job::ContentHash;
use stenod::domain::object::{Installation, Part, Version};
use tokio_util::sync::CancellationToken;

struct Forgetful;

impl Journal for Forgetful {
    type Error = Infallible;

    async fn begun(&self, _: &str) -> Result<(), Infallible> {
        Ok(())
    }

    async fn part_done(&self, _: u32, _: &Part) -> Result<(), Infallible> {
        Ok(())
    }

    async fn finished(&self, _: Option<&Version>) -> Result<(), Infallible> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, endpoint, file] = arguments.as_slice() else {
        anyhow::bail!("usage: upload s3://BUCKET/PREFIX ENDPOINT FILE");
    };
    let content = hashed(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
    let settings = Settings {
        url: url.clone(),
        endpoint: Some(endpoint.clone()),
        region: None,
        key_id: None,
        secret: None,
        link_lifetime: Duration::from_secs(3600),
        variables: Box::new(|name| std::env::var(name).ok()),
    };
    let bucket = Bucket::open(&settings, Box::new(|_, _| Duration::from_secs(1)))?;
    let name = Bucket::new_name(&Installation::nobody(), "bin")?;
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let begun = std::time::Instant::now();
    bucket
        .upload(
            &name,
            &content,
            None,
            &Forgetful,
            Arc::new(|_| {}),
            &CancellationToken::new(),
        )
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::print_stdout, reason = "this is its result")]
    {
        println!("{seconds:.3} s, {} KiB resident at most", resident()?);
    }
    Ok(())
}

fn hashed(path: &Path) -> std::io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path)?;
    hasher.update_reader(&file)?;
    Ok(Content {
        path: path.to_owned(),
        size: file.metadata()?.len(),
        hash: ContentHash(*hasher.finalize().as_bytes()),
    })
}

fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.context("the system does not say")?;
    Ok(text.trim().trim_end_matches(" kB").parse()?)
}
