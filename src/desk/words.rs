//! From what the pipeline says to what goes over the wire, and back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ConfigErrors, Mistake, Place};
use crate::control::{
    self, Answer, Held, Left, LeftFile, MinutePrice, Named, Planned, Refusal, RefusalKind,
    RenderOrder, Rendered, SpendingLimit, Unsettled, UnsettledFile, Watching, WrittenFile,
};
use crate::domain::audio::AudioDuration;
use crate::domain::job::JobId;
use crate::domain::pace::Outlook;
use crate::domain::price::{self, PriceSource};
use crate::domain::settle;
use crate::pipeline::prospect::{Price, Prospect, WithService};
use crate::pipeline::{
    Awaited, Changed, NotWritten, PipelineError, RenderOptions, RenderReport, ToRender, Waiting,
};
use crate::queue::{Allowance, Limits, Pause, PauseReason, QueueError};
use crate::session::{OpenError, SetupError};
use crate::speech::services::SERVICES;

/// Files that are named when somebody asks what is waited for; all are counted.
const MOST_UNSETTLED_TOLD: usize = 100;

pub(super) fn changed(changed: Changed) -> Answer {
    let left = changed.left.into_iter().map(|(job, stage)| Left {
        job,
        stage: stage.as_str().to_owned(),
    });
    Answer::Changed {
        left: left.collect(),
        changed: changed.changed,
    }
}

/// The jobs that an order names, and how they are to be written.
pub(super) fn to_render(order: RenderOrder) -> (Vec<ToRender>, RenderOptions) {
    let jobs = order.groups.into_iter().flat_map(|group| {
        let wanted = group.wanted;
        group.jobs.into_iter().map(move |job| ToRender {
            job,
            wanted: wanted.clone(),
        })
    });
    let options = RenderOptions {
        only: order.only,
        output_dir: order.output_dir.map(PathBuf::from),
    };
    (jobs.collect(), options)
}

pub(super) fn rendered(report: RenderReport) -> Answer {
    let written = report
        .written
        .into_iter()
        .map(|(format, written)| WrittenFile {
            path: written.path.as_path().into(),
            format,
            note: written.note,
        });
    let left = |left: Vec<NotWritten>| {
        let left = left.into_iter().map(|one| LeftFile {
            path: one.path.as_path().into(),
            format: one.format,
            code: one.code.to_owned(),
            why: one.why,
        });
        left.collect()
    };
    Answer::Rendered(Rendered {
        recordings: report.recordings,
        written: written.collect(),
        unchanged: report.unchanged,
        left: left(report.left),
        failed: left(report.failed),
    })
}

/// The files that are waited for, or the one at `path` if it is among them.
pub(super) fn unsettled(
    waiting: &Waiting,
    path: Option<Named>,
    watching: Option<Watching>,
) -> Answer {
    let mut awaited = match path {
        Some(path) => waiting.of(&PathBuf::from(path)).into_iter().collect(),
        None => waiting.all(),
    };
    let mut counts = BTreeMap::new();
    for one in &awaited {
        *counts.entry(one.reason.code().to_owned()).or_insert(0) += 1;
    }
    awaited.sort_by(|a, b| (rank(a), &a.path).cmp(&(rank(b), &b.path)));
    awaited.truncate(MOST_UNSETTLED_TOLD);
    let files = awaited.into_iter().map(|one| UnsettledFile {
        path: one.path.as_path().into(),
        code: one.reason.code().to_owned(),
        text: one.reason.to_string(),
        until: Some(one.until),
    });
    let files = files.collect();
    Answer::Waiting(Unsettled {
        counts,
        files,
        watching,
    })
}

/// What may wait for a person comes before what goes on by itself.
fn rank(awaited: &Awaited) -> u8 {
    match awaited.reason {
        settle::Unsettled::CutShort { .. } | settle::Unsettled::Preallocated => 0,
        settle::Unsettled::Empty => 1,
        settle::Unsettled::TemporaryName { .. } => 2,
        settle::Unsettled::Growing => 3,
        settle::Unsettled::TooYoung => 4,
    }
}

pub(super) fn held(pause: &Pause) -> Held {
    Held {
        reason: pause.reason.as_str().to_owned(),
        since: pause.since,
        until: pause.until,
        text: pause.text.clone(),
    }
}

/// The pause that was told over the wire; `None` for one that a later stenod knows.
pub fn as_pause(held: Held) -> Option<Pause> {
    Some(Pause {
        reason: PauseReason::named(&held.reason)?,
        since: held.since,
        until: held.until,
        text: held.text,
        tries: 1,
    })
}

/// What a run would do, for the wire.
pub(super) fn planned(prospect: &Prospect, under_way: Vec<JobId>, plan: String) -> Planned {
    let price = &prospect.price;
    let taken = &price.with_service;
    let minute = |(model, price): (&String, &Option<price::Price>)| {
        let price = price.map(|price| MinutePrice {
            per_minute: price.per_minute,
            source: price.source.as_str().to_owned(),
        });
        (model.clone(), price)
    };
    Planned {
        plan,
        recordings: price.recordings,
        micros: price.duration.micros(),
        cost: price.cost,
        repeats: price.repeats,
        anew: price.anew,
        limit: price.allowance.map(|allowance| SpendingLimit {
            name: allowance.name.to_owned(),
            limit: allowance.limit,
            left: allowance.left,
            until: allowance.until,
        }),
        with_service: control::WithService {
            recordings: taken.recordings,
            micros: taken.duration.micros(),
            cost: taken.cost,
            set_aside: taken.set_aside,
        },
        prices: prospect.prices.iter().map(minute).collect(),
        routes: prospect.routes.clone(),
        copies: prospect.copies,
        millis: u64::try_from(prospect.time.time.as_millis()).unwrap_or(u64::MAX),
        is_measured: prospect.time.is_measured,
        under_way,
    }
}

/// What was told over the wire of a run that would be done, and the jobs that are on their way already.
pub fn as_prospect(planned: Planned) -> (Prospect, Vec<JobId>) {
    let taken = planned.with_service;
    let with_service = WithService {
        recordings: taken.recordings,
        duration: AudioDuration::from_micros(taken.micros),
        cost: taken.cost,
        set_aside: taken.set_aside,
    };
    let allowance = planned.limit.and_then(|limit| {
        Some(Allowance {
            name: Limits::name(&limit.name)?,
            limit: limit.limit,
            left: limit.left,
            until: limit.until,
        })
    });
    let minute = |(model, price): (String, Option<MinutePrice>)| {
        let price = price.and_then(|price| as_price(&model, &price));
        (model, price)
    };
    let prospect = Prospect {
        price: Price {
            recordings: planned.recordings,
            duration: AudioDuration::from_micros(planned.micros),
            cost: planned.cost,
            repeats: planned.repeats,
            anew: planned.anew,
            allowance,
            with_service,
        },
        prices: planned.prices.into_iter().map(minute).collect(),
        routes: planned.routes,
        copies: planned.copies,
        time: Outlook {
            time: Duration::from_millis(planned.millis),
            is_measured: planned.is_measured,
        },
    };
    (prospect, planned.under_way)
}

/// The price of a minute with `model`; `None` by the word of somebody whom a later stenod knows.
fn as_price(model: &str, told: &MinutePrice) -> Option<price::Price> {
    let mut tables = SERVICES.iter().filter_map(|service| service.prices);
    let table = tables.find(|table| table.price(model).is_some());
    let built_in = table.map(PriceSource::BuiltIn);
    let known = [
        PriceSource::Catalogue,
        PriceSource::Configured,
        PriceSource::Learnt,
    ];
    let mut known = known.into_iter().chain(built_in);
    Some(price::Price {
        per_minute: told.per_minute,
        source: known.find(|source| source.as_str() == told.source)?,
    })
}

pub(super) fn failed(error: PipelineError) -> Refusal {
    match error {
        PipelineError::Queue(QueueError::NoSuchJob(id)) => {
            Refusal::new(RefusalKind::Usage, format!("there is no job {id}"))
                .hint("`stenod list` shows every job")
        }
        error @ (PipelineError::Queue(_) | PipelineError::Task(_)) => Refusal::new(
            RefusalKind::Failed,
            format!("{:#}", anyhow::Error::new(error)),
        ),
    }
}

pub(super) fn misconfigured(errors: &ConfigErrors) -> Refusal {
    let is_flag =
        |mistake: &Mistake| matches!(&mistake.place, Place::Flag(flag) if flag != "--config");
    let kind = if errors.mistakes().iter().all(is_flag) {
        RefusalKind::Usage
    } else {
        RefusalKind::Configuration
    };
    Refusal::new(kind, errors.to_string())
}

pub(super) fn not_set_up(error: SetupError) -> Refusal {
    let kind = match &error {
        SetupError::NoKey(_)
        | SetupError::KeyTrouble(_)
        | SetupError::ModelNeedsKey { .. }
        | SetupError::NothingRecognises => RefusalKind::Key,
        SetupError::NoTranscription { .. }
        | SetupError::EnglishOnly { .. }
        | SetupError::NothingToLookAt
        | SetupError::Root(_)
        | SetupError::BucketSecret { .. }
        | SetupError::Receiver { .. }
        | SetupError::Bucket(_) => RefusalKind::Configuration,
        SetupError::NoSuchPath(_) => RefusalKind::Usage,
        SetupError::Client(_) | SetupError::Queue(_) => RefusalKind::Failed,
    };
    let hint = error.hint();
    let refusal = Refusal::new(kind, format!("{:#}", anyhow::Error::new(error)));
    match hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// Why a pipeline could not be made anew.
pub fn refusal_of_open(error: OpenError) -> Refusal {
    match error {
        OpenError::Setup(error) => not_set_up(error),
        OpenError::Pipeline(error) => failed(error),
    }
}
