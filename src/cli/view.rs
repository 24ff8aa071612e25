//! Jobs as JSON and as text, the same in every command.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{Output as Talk, clean, quoted};
use super::text::{LEAST, Page, Tone};
use crate::clock::rfc3339;
use crate::domain::job::{Job, Reason, Stage};
use crate::domain::mend::{Mend, mend};
use crate::domain::money::PRICES_AS_OF;
use crate::domain::price::{Price, PriceSource};
use crate::queue::{Allowance, Output};

/// Before what is said of a job below its line.
const BELOW: &str = "        ";

/// A job as `list --json` shows it.
pub(super) fn job(job: &Job, outputs: &[Output]) -> Value {
    let reason = job.stage.reason();
    json!({
        "id": job.id.0,
        "source": path(&job.source),
        "state": job.stage.state().as_str(),
        "stage": job.stage.name().as_str(),
        "reason": reason.as_ref().map(|reason| reason.code.clone()),
        "message": reason.map(|reason| reason.text),
        "fix": way_out(job).map(|mend| mend.command),
        "provider": job.settings.provider.name(),
        "model": job.settings.model,
        "language": job.settings.language,
        "route": job.route.as_ref().map(|chosen| chosen.route.as_str()),
        "duration": job.duration.map(|duration| duration.seconds()),
        "cost": job.cost.as_ref().map(|cost| cost.value.to_string()),
        "currency": job.cost.as_ref().map(|cost| cost.currency.code().to_owned()),
        "attempts": job.attempts,
        "run_id": job.run_id,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "next_attempt_at": next_attempt(&job.stage).map(rfc3339),
        "outputs": outputs.iter().map(|output| path(&output.path)).collect::<Vec<_>>(),
    })
}

/// What a minute costs with each model, and who says so.
pub(super) fn prices(prices: &BTreeMap<String, Option<Price>>) -> Value {
    let price = |(model, price): (&String, &Option<Price>)| {
        let source = price.map_or("unknown", |price| price.source.as_str());
        let is_built_in = price.is_some_and(|price| price.source == PriceSource::BuiltIn);
        json!({
            "model": model,
            "per_minute": price.map(|price| price.per_minute.normalize().to_string()),
            "currency": "USD",
            "source": source,
            "as_of": is_built_in.then_some(PRICES_AS_OF),
        })
    };
    prices.iter().map(price).collect()
}

/// What a limit leaves, as JSON.
pub(super) fn allowance(allowance: Allowance) -> Value {
    json!({
        "name": allowance.name,
        "amount": allowance.limit.normalize().to_string(),
        "left": allowance.left.normalize().to_string(),
        "currency": "USD",
        "until": allowance.until.map(rfc3339),
    })
}

/// The way out of what keeps a job from its transcript.
pub(super) fn way_out(job: &Job) -> Option<Mend> {
    let reason = match &job.stage {
        Stage::Cancelled => Some(Reason::new("cancelled", "")),
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. } => job.stage.reason(),
    };
    mend(&reason?.code, Some(job.id), &quoted(&job.source))
}

/// A path in JSON: as it is, odd bytes shown lossily.
pub(super) fn path(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The way out of what stopped a run, as talk.
pub(super) fn fix(output: Talk, way: &Mend) -> String {
    let page = output.page_for_talk();
    page.command("  fix: ", &way.command, &way.note)
}

/// When something happens next, if that is known.
pub(super) fn next_attempt(stage: &Stage) -> Option<Timestamp> {
    stage.due().flatten()
}

/// A job on one line: state, length, cost, recording; below it the reason and the way out.
pub(super) fn line(job: &Job, page: Page) -> String {
    let duration = job
        .duration
        .map(|duration| duration.to_string())
        .unwrap_or_default();
    let cost = job
        .cost
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let state = job.stage.state();
    let start = format!("{:>6}  {state:<9}  {duration:>8}  {cost:>9}  ", job.id);
    let painted = |start: &str| page.painted(start, state.as_str(), Tone::of(state));
    let is_narrow = page
        .width()
        .is_some_and(|columns| columns < start.len() + LEAST);
    let mut line = if is_narrow {
        let path = page.path(&job.source, BELOW.len());
        format!("{}\n{BELOW}{path}", painted(start.trim_end()))
    } else {
        let path = page.path(&job.source, start.len());
        format!("{}{path}", painted(&start))
    };
    if let Some(reason) = job.stage.reason() {
        let text = format!("{}: {}", reason.code, clean(&reason.text));
        line.push('\n');
        line.push_str(&page.text(BELOW, &text));
    }
    if let Some(way) = way_out(job) {
        line.push('\n');
        line.push_str(&page.command(&format!("{BELOW}fix: "), &way.command, &way.note));
    }
    line
}
