//! Jobs as JSON and as text, the same in every command.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{Output as Talk, clean, placed};
use super::text::{LEAST, Page, Tone};
use crate::clock::rfc3339;
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::mend::{self, Mend, mend};
use crate::domain::notice;
pub(super) use crate::domain::plain::lossy as path;
use crate::domain::price::{Price, PriceSource};
use crate::pipeline::prospect::{Prices, WithService};
use crate::queue::{Allowance, Output};
use crate::speech::services;

/// The columns of a cost as it usually is.
const USUAL_MONEY: usize = 9;
/// Before what is said of a job below its line.
const BELOW: &str = "        ";

/// A job as `list --json` shows it.
pub(super) fn job(job: &Job, outputs: &[Output]) -> Value {
    let outputs: Vec<&std::path::Path> =
        outputs.iter().map(|output| output.path.as_path()).collect();
    let mut document = notice::job_document(job, &outputs);
    document["fix"] = json!(way_out(job).map(|way| way.command));
    document
}

/// What a minute costs with each model, and who says so.
pub(super) fn prices(prices: &Prices) -> Value {
    let price = |(model, price): (&String, &Option<Price>)| {
        let source = price.map_or("unknown", |price| price.source.as_str());
        let as_of = price.and_then(|price| match price.source {
            PriceSource::BuiltIn(table) => Some(table.as_of),
            PriceSource::Catalogue | PriceSource::Configured | PriceSource::Learnt => None,
        });
        json!({
            "model": model,
            "per_minute": price.map(|price| price.per_minute.normalize().to_string()),
            "currency": "USD",
            "source": source,
            "as_of": as_of,
        })
    };
    prices.iter().map(price).collect()
}

/// What the service has taken already, as JSON.
pub(super) fn with_service(taken: WithService) -> Value {
    json!({
        "recordings": taken.recordings, "minutes": taken.duration.minutes(),
        "cost": taken.cost.normalize().to_string(), "currency": "USD",
    })
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

/// The way out of what keeps a job from its transcript, to be copied as it is.
pub(super) fn way_out(job: &Job) -> Option<Mend> {
    let service = services::of(job.settings.provider);
    let known = service.and_then(|service| Some((service.prices?.models(), service.model)));
    let other = known.and_then(|(models, usual)| mend::other_model(job, models, usual));
    other.or_else(|| mend::way_out(job)).map(at_its_place)
}

/// The way out of `code`, as [`mend`] has it, to be copied as it is.
pub(super) fn way(code: &str, id: Option<JobId>, source: &str) -> Option<Mend> {
    mend(code, id, source).map(at_its_place)
}

fn at_its_place(way: Mend) -> Mend {
    Mend {
        command: placed(&way.command),
        ..way
    }
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

/// The columns that the costs of these jobs take.
pub(super) fn money(jobs: &[Job]) -> usize {
    let costs = jobs.iter().filter_map(|job| job.cost.as_ref());
    let longest = costs.map(|cost| cost.to_string().len()).max();
    longest.unwrap_or(0).max(USUAL_MONEY)
}

/// A job on one line: state, length, cost in so many columns, recording; below it the reason and the way out.
pub(super) fn line(job: &Job, page: Page, money: usize) -> String {
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
    let start = format!("{:>6}  {state:<9}  {duration:>8}  {cost:>money$}  ", job.id);
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
