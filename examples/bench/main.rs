//! The parts that the scripts in `benches/compare/` measure alone or drive faster than a service would allow.
//!
//! `cargo run --release --example bench -- walk FOLDER`, `… claims STATE COUNT…`, `… small CONFIG` and
//! `… service`. Each prints a line of JSON; the scripts tell what is made of it.

mod claims;
mod small;
mod walk;

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use stenod_support::service::Standin;

const USAGE: &str = "usage: bench walk FOLDER | claims STATE COUNT… | small CONFIG | service";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["walk", folder] => walk::walk(Path::new(folder)),
        ["claims", state, counts @ ..] if !counts.is_empty() => {
            claims::claims(Path::new(state), counts).await
        }
        ["small", config] => small::small(Path::new(config)).await,
        ["service"] => service(),
        _ => anyhow::bail!(USAGE),
    }
}

/// Plays the speech service, without a word, until its standard input ends.
fn service() -> anyhow::Result<()> {
    let service = Standin::start();
    writeln!(io::stdout(), "{}", service.url())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}
