//! The files that are not complete yet: asked of whoever watches, else what the table knows of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::output::clean;
use super::text::Sheet;
use super::{orders, view};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::control::{Answer, Order, Unsettled, UnsettledFile};
use crate::domain::job::Reason;
use crate::domain::settle::{CUT_SHORT, GROWING, PREALLOCATED};
use crate::queue::{Skipped, running_instance};

/// How long whoever watches may take to answer; without an answer the table has to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The most files that are named on the screen.
const MOST_NAMED: usize = 5;

/// What whoever holds the state waits for, or whether it waits for `path`; nothing if it does not answer.
pub(super) async fn ask(config: &Config, path: Option<&Path>) -> Option<Unsettled> {
    let path = path.map(Into::into);
    let order = Order::Waiting { path };
    let asked = tokio::time::timeout(PATIENCE, orders::ask(config, &order)).await;
    match asked {
        Ok(Ok(Ok(Answer::Waiting(unsettled)))) => Some(unsettled),
        Err(_) => None,
        Ok(Ok(Ok(
            Answer::Changed { .. }
            | Answer::Paused(_)
            | Answer::Resumed(_)
            | Answer::Reloaded(_)
            | Answer::Planned(_)
            | Answer::Terms(_)
            | Answer::Ran(_)
            | Answer::Speakers
            | Answer::Rendered(_),
        ))) => None,
        Ok(Ok(Err(refusal))) => {
            tracing::debug!("what is waited for is not told: {refusal}");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!("{:#}", anyhow::Error::new(error));
            None
        }
    }
}

/// The files among those that were passed over that may still become whole.
pub(super) fn by_table(skipped: &[Skipped]) -> Unsettled {
    let files: Vec<UnsettledFile> = skipped
        .iter()
        .filter(|file| is_unsettled(file))
        .map(|file| UnsettledFile {
            path: file.path.as_path().into(),
            code: file.reason.code.clone(),
            text: file.reason.text.clone(),
            until: None,
        })
        .collect();
    let mut counts = BTreeMap::new();
    for file in &files {
        *counts.entry(file.code.clone()).or_insert(0) += 1;
    }
    let watching = None;
    Unsettled {
        counts,
        files,
        watching,
    }
}

/// The folders of the command line of the daemon that runs, which it watches instead of the configured ones.
pub(super) async fn watched_instead(config: &Config) -> Vec<PathBuf> {
    match running_instance(&config.state_dir) {
        Ok(Some(_)) => {}
        // Whoever holds the state is told elsewhere.
        Ok(None) | Err(_) => return Vec::new(),
    }
    let told = ask(config, None).await.and_then(|told| told.watching);
    let folders = told.unwrap_or_default().folders.into_iter();
    folders.map(PathBuf::from).collect()
}

/// Whether a file was passed over for lack of its end, and not for good.
pub(super) fn is_unsettled(skipped: &Skipped) -> bool {
    is_incomplete(&skipped.reason)
}

/// Whether this says that a file may still become whole.
pub(super) fn is_incomplete(reason: &Reason) -> bool {
    [CUT_SHORT, PREALLOCATED, GROWING].contains(&reason.code.as_str())
}

/// The lines of `status`.
pub(super) fn lines(unsettled: &Unsettled, sheet: &mut Sheet) {
    if unsettled.counts.is_empty() {
        return;
    }
    let counts = unsettled
        .counts
        .iter()
        .map(|(code, count)| format!("{count} {}", clean(&code.replace('_', " "))));
    let counts: Vec<String> = counts.collect();
    sheet.sentence("settling", &counts.join(", "));
    for file in unsettled.files.iter().take(MOST_NAMED) {
        let path = PathBuf::from(file.path.clone());
        sheet.about("", &path, &clean(&file.text));
    }
    let all: u64 = unsettled.counts.values().sum();
    let named = u64::try_from(unsettled.files.len().min(MOST_NAMED)).unwrap_or(0);
    if all > named {
        sheet.sentence("", &format!("and {} more", all - named));
    }
}

pub(super) fn document(unsettled: &Unsettled) -> Value {
    let file = |file: &UnsettledFile| {
        json!({
            "path": view::path(&PathBuf::from(file.path.clone())), "code": file.code,
            "message": file.text, "until": file.until.map(rfc3339),
        })
    };
    json!({
        "counts": unsettled.counts,
        "files": unsettled.files.iter().map(file).collect::<Vec<_>>(),
    })
}
