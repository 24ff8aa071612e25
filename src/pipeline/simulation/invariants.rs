//! What must hold at any time, and what must hold in the end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;

use super::scene::{Content, FOREIGN};
use super::world::{Inner, World};
use crate::domain::fall::MOST_FALLS;
use crate::domain::job::{ContentHash, Stage};
use crate::queue::Output;
use crate::queue::inspect::Sheet;

/// When one looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// As a process that died left it.
    AfterCrash,
    /// As a process that ended by itself left it.
    AfterEnd,
    /// What was in hand has been put in order.
    Recovered,
    /// Nothing more will happen.
    Finally,
}

/// What there is to look at.
pub(super) struct View<'a> {
    pub(super) sheets: &'a [Sheet],
    pub(super) outputs: &'a [Output],
    pub(super) moment: Moment,
}

/// Checks everything, and keeps what is wrong.
pub(super) fn check(world: &World, view: &View<'_>) {
    let found = {
        let mut inner = world.inner();
        let mut found = Vec::new();
        found.extend(inner.scene.touched());
        files(&inner, view, &mut found);
        for sheet in view.sheets {
            found.extend(job(&inner, sheet, view.moment));
            found.extend(untold(sheet));
        }
        identities(&inner, view, &mut found);
        if view.moment == Moment::Finally {
            finally(&inner, view, &mut found);
            poison(&mut inner, view, &mut found);
        }
        found
    };
    for text in found {
        world.violation(format!("{:?}: {text}", view.moment));
    }
}

/// What is wrong with one job.
fn job(inner: &Inner, sheet: &Sheet, moment: Moment) -> Option<String> {
    let job = &sheet.job;
    let (id, stage) = (job.id, &job.stage);
    let in_hand = matches!(stage, Stage::Submitting | Stage::Committing);
    if in_hand && moment != Moment::AfterCrash {
        return Some(format!("job {id} is in nobody's hands: {stage:?}"));
    }
    let is_split = matches!(stage, Stage::Split { .. });
    if !in_hand
        && !is_split
        && !has_ended(stage)
        && stage.due().is_none()
        && stage.reason().is_none()
    {
        return Some(format!(
            "job {id} has neither a time nor a reason: {stage:?}"
        ));
    }
    // What was put together was paid for piece by piece.
    let own_reply = sheet.reply_of == Some(id) && !(inner.scene.cuts && job.piece.is_none());
    if matches!(stage, Stage::Done { .. }) && own_reply {
        let content = inner.scene.content_of(job.hash)?;
        let billed = inner.bill.of(content);
        if !billed.contains(&sheet.charged) {
            return Some(format!(
                "job {id} is done, charged {} where {billed:?} was billed",
                sheet.charged
            ));
        }
    }
    let may_reserve = in_hand || matches!(stage, Stage::Awaiting { .. } | Stage::Received { .. });
    if !may_reserve && !sheet.reserved.is_zero() {
        return Some(format!(
            "{} stays set aside for job {id}: {stage:?}",
            sheet.reserved
        ));
    }
    if let Stage::InDoubt { reason, .. } = stage
        && reason.code == "reply_lost"
        && moment == Moment::AfterEnd
        && inner.bill.taken.iter().any(|taken| {
            taken.answered_in == Some(inner.process())
                && Some(taken.content) == inner.scene.content_of(job.hash)
        })
    {
        return Some(format!("job {id} is in doubt though its answer came"));
    }
    None
}

/// What happened to a job of which nobody will be told.
fn untold(sheet: &Sheet) -> Option<String> {
    let told = sheet.told.as_ref()?;
    let (id, stage) = (sheet.job.id, &sheet.job.stage);
    let event = if matches!(stage, Stage::Done { .. }) {
        "done"
    } else if matches!(
        stage,
        Stage::Failed { .. } | Stage::InDoubt { retry_at: None, .. }
    ) {
        "failed"
    } else {
        return None;
    };
    let is_told = told.iter().any(|told| told == event);
    (!is_told).then(|| format!("nobody is told of job {id}: {stage:?}"))
}

fn has_ended(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled
    )
}

/// What is wrong with the jobs of one recording together.
fn identities(inner: &Inner, view: &View<'_>, found: &mut Vec<String>) {
    let mut by_hash: HashMap<ContentHash, Vec<&Sheet>> = HashMap::new();
    for sheet in view.sheets {
        by_hash.entry(sheet.job.hash).or_default().push(sheet);
    }
    for (hash, sheets) in by_hash {
        let unresolved = sheets.iter().filter(|sheet| is_unresolved(sheet)).count();
        if unresolved > 1 {
            found.push(format!("{unresolved} unresolved submits of one recording"));
        }
        let Some(content) = inner.scene.content_of(hash) else {
            found.push("a job of a recording that never was".to_owned());
            continue;
        };
        let billed = inner.bill.of(content).len();
        let doubts = sheets.iter().flat_map(|sheet| &sheet.doubts);
        let doubts = doubts.filter(|doubt| !doubt.is_zero()).count();
        if billed > 1 + doubts {
            found.push(format!(
                "{content:?} was billed {billed} times with {doubts} doubts in the ledger"
            ));
        }
        let known = sheets
            .iter()
            .any(|sheet| knows_of_a_reply(&sheet.job.stage));
        let polled = inner.bill.runs.iter().any(|run| {
            let taken = inner.bill.taken.get(run.taken);
            run.polled && !run.failed && taken.is_some_and(|taken| taken.content == content)
        });
        if polled && !known {
            found.push(format!(
                "the run of {content:?} was polled and is not known"
            ));
        }
    }
}

fn is_unresolved(sheet: &Sheet) -> bool {
    match &sheet.job.stage {
        Stage::Submitting | Stage::Committing | Stage::Awaiting { .. } | Stage::InDoubt { .. } => {
            true
        }
        Stage::Received { .. } => sheet.reply_of == Some(sheet.job.id),
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Split { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled => false,
    }
}

fn knows_of_a_reply(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Awaiting { .. } | Stage::Received { .. } | Stage::Done { .. }
    )
}

/// What is wrong with the files: whole outputs of recordings whose reply is known, files of others as
/// they were, and nothing else.
fn files(inner: &Inner, view: &View<'_>, found: &mut Vec<String>) {
    for path in &inner.scene.foreign {
        if text(path).as_deref() != Some(FOREIGN) {
            found.push(format!("{} was not stenod's", path.display()));
        }
    }
    for path in listing(&inner.scene.folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".stenod-") {
            if view.moment == Moment::Finally {
                found.push(format!("the draft {name} is left"));
            }
            continue;
        }
        let is_source = inner
            .scene
            .sources
            .iter()
            .any(|(source, _)| *source == path);
        if !is_source && !inner.scene.foreign.contains(&path) {
            found.extend(output(inner, view, &path));
        }
    }
}

fn output(inner: &Inner, view: &View<'_>, path: &Path) -> Option<String> {
    let text = text(path).unwrap_or_default();
    let of = |sheet: &&Sheet| {
        inner
            .scene
            .content_of(sheet.job.hash)
            .is_some_and(|content| holds_words(inner, path, &text, content))
    };
    let mut sheets = view.sheets.iter().filter(of).peekable();
    if sheets.peek().is_none() {
        return Some(format!("{} is no whole output: {text:?}", path.display()));
    }
    let known = sheets.any(|sheet| inner.scene.cuts || knows_of_a_reply(&sheet.job.stage));
    (!known).then(|| format!("{} was made of a reply that is not kept", path.display()))
}

fn holds_words(inner: &Inner, path: &Path, text: &str, content: Content) -> bool {
    let words = inner.scene.words(content);
    // A piece that is missing is marked, and the others are there.
    let is_marked = inner.scene.cuts && text.contains("[missing from");
    if is_marked && content.pieces().any(|piece| text.contains(&piece.words())) {
        return true;
    }
    if path.extension().is_some_and(|suffix| suffix == "json") {
        let document: Result<serde_json::Value, _> = serde_json::from_str(text);
        return document.is_ok_and(|document| document.to_string().contains(&words));
    }
    text == format!("{words}\n")
}

/// Notes what was set aside, and says what was so for nothing.
fn poison(inner: &mut Inner, view: &View<'_>, found: &mut Vec<String>) {
    for sheet in view.sheets {
        if let Stage::Failed { reason } = &sheet.job.stage
            && reason.code == "poison"
        {
            let content = inner.scene.content_of(sheet.job.hash);
            inner.set_aside.extend(content);
            if inner.deaths < MOST_FALLS {
                found.push(format!("job {} was set aside for nothing", sheet.job.id));
            }
        }
    }
}

fn finally(inner: &Inner, view: &View<'_>, found: &mut Vec<String>) {
    let mut charged: HashMap<Content, (Decimal, Decimal)> = HashMap::new();
    for sheet in view.sheets {
        let (id, stage) = (sheet.job.id, &sheet.job.stage);
        if let Stage::Failed { reason } = stage
            && !inner.may_fail
            && reason.code != "poison"
        {
            found.push(format!("job {id} failed for nothing: {reason:?}"));
        }
        if let Some(content) = inner.scene.content_of(sheet.job.hash) {
            let (sum, doubts) = charged.entry(content).or_default();
            *sum += sheet.charged;
            *doubts += sheet.doubts.iter().sum::<Decimal>();
            if matches!(stage, Stage::Done { .. })
                && inner
                    .scene
                    .sources
                    .contains(&(sheet.job.source.clone(), content))
                && !lies_beside(inner, &sheet.job.base, content)
            {
                found.push(format!("job {id} is done and its transcript is not there"));
            }
        }
    }
    for (content, (sum, doubts)) in charged {
        let billed: Decimal = inner.bill.of(content).iter().sum();
        if billed < sum || billed > sum + doubts {
            found.push(format!(
                "{content:?} was billed {billed}, the ledger has {sum} and {doubts} in doubt"
            ));
        }
    }
    for output in view.outputs {
        let bytes = std::fs::read(&output.path).unwrap_or_default();
        if ContentHash(*blake3::hash(&bytes).as_bytes()) != output.hash {
            found.push(format!("{} is not what was written", output.path.display()));
        }
    }
}

/// Whether the transcript lies under the base, perhaps with a number.
fn lies_beside(inner: &Inner, base: &Path, content: Content) -> bool {
    let is_there = |number| {
        let path = crate::domain::naming::output_path(base, number, "txt");
        text(&path).is_some_and(|text| holds_words(inner, &path, &text, content))
    };
    (1..=6).any(is_there)
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}
