//! Shrinks one recording, for measuring: `shrink SOURCE TARGET KBPS`.

#![expect(
    clippy::disallowed_methods,
    reason = "a copy for measuring needs no durable file"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use stenod::domain::audio::Bitrate;
use stenod::media::shrink::shrink;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [source, target, rate] = arguments.as_slice() else {
        bail!("usage: shrink SOURCE TARGET KBPS");
    };
    let kbps: u32 = rate.to_string_lossy().parse().context("KBPS is a number")?;
    let bitrate = Bitrate::BEST_FIRST
        .into_iter()
        .find(|bitrate| bitrate.bits_per_second() == kbps * 1000)
        .ok_or_else(|| anyhow!("KBPS is one of 16, 20, 24, 28 and 32"))?;
    let mut target = BufWriter::new(File::create(target)?);
    shrink(source, &mut target, bitrate, &mut |_| {
        ControlFlow::Continue(())
    })?;
    target.flush()?;
    Ok(())
}
