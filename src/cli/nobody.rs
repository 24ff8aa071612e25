//! Names that were noted in a folder for labels that nobody in it has: told by `render` and `speakers`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::output::{clean, shown};
use super::{Failure, Session};
use crate::config::Config;
use crate::domain::cast::Unclaimed;
use crate::domain::job::{Job, Stage};
use crate::notes::Notes;
use crate::pipeline::plain;
use crate::queue::Reader;

/// The most recordings of a folder that are looked through for a label, the newest first.
const MOST_LOOKED_THROUGH: usize = 500;

/// What is wrong with the names that are noted for these recordings, a sentence for each file.
///
/// # Errors
/// Any error of the table.
pub(super) fn warnings(config: &Config, jobs: &[Job]) -> Result<Vec<String>, Failure> {
    let notes = Notes::default();
    let folders = jobs.iter().filter_map(|job| job.source.parent());
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut last: Option<&Path> = None;
    for folder in folders {
        if last.replace(folder) != Some(folder) {
            files.extend(notes.labels(folder));
        }
    }
    files.retain(|_, labels| !labels.is_empty());
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let Some(reader) = Reader::open(&config.state_dir)? else {
        return Ok(Vec::new());
    };
    let mut warnings = Vec::new();
    for (file, labels) in files {
        warnings.extend(warning(&reader, &file, labels)?);
    }
    Ok(warnings)
}

/// Says the warnings, a line each.
///
/// # Errors
/// Where nobody reads any more.
pub(super) fn say(session: &Session, warnings: &[String]) -> Result<(), Failure> {
    for warning in warnings {
        session.output.say(&format!("warning: {warning}"))?;
    }
    Ok(())
}

fn warning(
    reader: &Reader<'_>,
    file: &Path,
    labels: Vec<String>,
) -> Result<Option<String>, Failure> {
    let mut unclaimed = Unclaimed::of(labels);
    let mut jobs = reader.done_under(file.parent().unwrap_or(file))?;
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    let all = jobs.len() <= MOST_LOOKED_THROUGH;
    for job in jobs.iter().take(MOST_LOOKED_THROUGH) {
        if unclaimed.labels.is_empty() {
            return Ok(None);
        }
        let Stage::Done { reply } = job.stage else {
            continue;
        };
        // What cannot be read is told where it is written again.
        if let Ok(document) = plain(job, reader.reply(reply)?) {
            unclaimed.meet(&document.transcript);
        }
    }
    if unclaimed.labels.is_empty() {
        return Ok(None);
    }
    let where_to = match all {
        true => "in that folder".to_owned(),
        false => format!("among the latest {MOST_LOOKED_THROUGH} in that folder"),
    };
    let met = match unclaimed.met.as_slice() {
        [] => "none of them tells speakers apart".to_owned(),
        met => format!("there are {}", listed(met)),
    };
    let labels = listed(&unclaimed.labels);
    let file = shown(file);
    Ok(Some(format!(
        "{file}: {labels}: no recording {where_to} has such a label; {met}"
    )))
}

fn listed(labels: &[String]) -> String {
    let quoted = labels.iter().map(|label| format!("`{}`", clean(label)));
    quoted.collect::<Vec<_>>().join(", ")
}
