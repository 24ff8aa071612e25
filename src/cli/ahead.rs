//! What lies ahead of a run, by the table: what is to be paid, and what an earlier run has paid already.

use std::collections::{BTreeMap, HashSet};

use rust_decimal::Decimal;

use super::Failure;
use super::plan::takes;
use crate::clock::Calendar;
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Job, Stage};
use crate::domain::money::estimate;
use crate::domain::price::Catalogue;
use crate::pipeline::prospect::{Price, Prices, Prospect, WithService, add_taken, time_of};
use crate::pipeline::{Pipeline, PipelineError};
use crate::queue::{QueueError, Reader};

/// For people: by which routes, and how long it takes; nothing where nothing is sent.
pub(super) fn way(prospect: &Prospect) -> Option<String> {
    let routes = prospect.routes.iter();
    let routes: Vec<String> = routes
        .map(|(route, count)| format!("{count} {route}"))
        .collect();
    let (by, time) = (routes.join(", "), takes(prospect.time));
    (prospect.price.recordings > 0).then(|| format!("by: {by}; takes {time}"))
}

/// For people: what is free beside them; nothing where there is none.
pub(super) fn besides(prospect: &Prospect) -> Option<String> {
    match prospect.copies {
        0 => None,
        1 => Some("1 more is a copy: free of charge".to_owned()),
        copies => Some(format!("{copies} more are copies: free of charge")),
    }
}

/// The jobs that a run would send, and what the service has of it already.
#[derive(Default)]
struct Ahead {
    jobs: Vec<Job>,
    copies: usize,
    with_service: WithService,
    /// Recordings that were cut, pieces of which wait for a limit.
    held: usize,
}

impl Ahead {
    /// Each recording counts once, copies of it and those of what is done are free; of what is cut only the
    /// pieces count that have not been sent.
    fn of(reader: &Reader<'_>) -> Result<Self, QueueError> {
        let mut seen = HashSet::new();
        let mut ahead = Self::default();
        for job in reader.scoped_jobs(None)? {
            if job.stage.is_to_be_sent() {
                // What failed or was stopped pays for no copy.
                let is_first = seen.insert((job.hash, job.settings.clone()));
                if is_first && !is_reused(reader, &job)? {
                    ahead.jobs.push(job);
                } else {
                    ahead.copies += 1;
                }
            } else if matches!(job.stage, Stage::Split { .. }) {
                ahead.add_pieces(reader, job)?;
            } else {
                add_taken(&mut ahead.with_service, reader, &job)?;
            }
        }
        Ok(ahead)
    }

    fn add_pieces(&mut self, reader: &Reader<'_>, whole: Job) -> Result<(), QueueError> {
        let mut taken = WithService::default();
        let (mut left, mut is_held) = (0, false);
        for piece in reader.pieces(whole.id)? {
            add_taken(&mut taken, reader, &piece)?;
            is_held |= matches!(piece.stage, Stage::Waiting { .. });
            if piece.stage.is_to_be_sent() {
                left += piece.duration.unwrap_or_default().micros();
            }
        }
        self.held += usize::from(is_held);
        let with_service = &mut self.with_service;
        if taken.recordings > 0 {
            let charged = taken.cost - taken.set_aside;
            with_service.add(Some(taken.duration), charged, taken.set_aside);
        }
        if left > 0 {
            // The recording is one, whatever of it the service has.
            with_service.recordings -= usize::from(taken.recordings > 0);
            self.jobs.push(Job {
                duration: Some(AudioDuration::from_micros(left)),
                ..whole
            });
        }
        Ok(())
    }
}

/// What of this run is neither begun nor ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UnderWay {
    /// What the service has of it.
    pub(super) with_service: WithService,
    /// Recordings that were cut, not all of whose pieces are sent.
    pub(super) cut: usize,
    /// Recordings that were cut, pieces of which wait for a limit.
    pub(super) held: usize,
}

/// What is under way by now.
pub(super) async fn under_way(pipeline: &Pipeline) -> Result<UnderWay, Failure> {
    let ahead = pipeline.queue.read(Ahead::of).await;
    let ahead = ahead.map_err(PipelineError::from)?;
    let is_cut = |job: &&Job| matches!(job.stage, Stage::Split { .. });
    Ok(UnderWay {
        with_service: ahead.with_service,
        cut: ahead.jobs.iter().filter(is_cut).count(),
        held: ahead.held,
    })
}

/// What lies ahead of a run.
pub(super) async fn look_ahead(pipeline: &Pipeline) -> Result<Prospect, Failure> {
    let ahead = pipeline.queue.read(Ahead::of).await;
    let Ahead {
        jobs,
        copies,
        with_service,
        held: _,
    } = ahead.map_err(PipelineError::from)?;
    if jobs.iter().any(|job| job.settings.provider.is_paid()) {
        pipeline.ask_prices().await;
    }
    let (catalogue, limits) = (pipeline.prices.catalogue(), pipeline.pace.limits);
    let at_once = pipeline.pace.jobs;
    let calendar = Calendar::around(pipeline.now());
    let add_up = move |reader: &Reader<'_>| {
        let (price, prices) = add_up(reader, &jobs, &catalogue, limits.per_file)?;
        let price = Price {
            allowance: reader.allowance(&limits, calendar)?,
            with_service,
            ..price
        };
        let mut routes = BTreeMap::new();
        for chosen in jobs.iter().filter_map(|job| job.route.as_ref()) {
            *routes.entry(chosen.route.as_str().to_owned()).or_insert(0) += 1;
        }
        let settings = jobs.first().map(|job| &job.settings);
        Ok::<_, QueueError>(Prospect {
            price,
            prices,
            routes,
            copies,
            time: time_of(Some(reader), price, settings, at_once)?,
        })
    };
    Ok(pipeline
        .queue
        .read(add_up)
        .await
        .map_err(PipelineError::from)?)
}

/// What the jobs cost together that may be sent, and a minute of each model that is paid.
fn add_up(
    reader: &Reader<'_>,
    jobs: &[Job],
    catalogue: &Catalogue,
    per_file: Option<Decimal>,
) -> Result<(Price, Prices), QueueError> {
    let mut prices = Prices::new();
    let mut sum = Price {
        cost: Some(Decimal::ZERO),
        ..Price::default()
    };
    for job in jobs {
        let cost = if job.settings.provider.is_paid() {
            let price = match prices.get(&job.settings.model) {
                Some(price) => *price,
                None => reader.price(&job.settings, catalogue)?,
            };
            prices.insert(job.settings.model.clone(), price);
            price
                .zip(job.duration)
                .map(|(price, duration)| estimate(duration, price.per_minute))
        } else {
            Some(Decimal::ZERO)
        };
        let is_over = cost.zip(per_file).is_some_and(|(cost, limit)| cost > limit);
        if !is_over {
            sum.add(
                job.duration,
                cost,
                matches!(job.stage, Stage::InDoubt { .. }),
            );
            sum.anew += usize::from(reader.is_transcribed(&job.source, job.hash)?);
        }
    }
    Ok((sum, prices))
}

/// Whether it takes the transcript of another job of the same recording, which is there or paid for.
fn is_reused(reader: &Reader<'_>, job: &Job) -> Result<bool, QueueError> {
    let twins = reader.twins(job.hash, &job.settings)?;
    let is_there = |twin: &Job| matches!(twin.stage, Stage::Done { .. }) || twin.stage.is_paying();
    let waits = matches!(job.stage, Stage::Queued { .. }) && !job.forced;
    Ok(waits && twins.iter().any(|twin| twin.id != job.id && is_there(twin)))
}
