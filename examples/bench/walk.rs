//! The walk through a folder alone: what is there, by name and state.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;
use stenod::discover::{Root, RootRules, Scope, scan};
use stenod::domain::audio::is_candidate_extension;

pub(crate) fn walk(folder: &Path) -> anyhow::Result<()> {
    let root = Root::new(folder, RootRules::default(), is_candidate_extension)?;
    let began = super::now();
    let report = scan(&root, &Scope::Root, &mut |_| ControlFlow::Continue(()));
    let line = json!({
        "files": report.recordings, "folders": report.folders, "seconds": began.elapsed().as_secs_f64(),
    });
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}
