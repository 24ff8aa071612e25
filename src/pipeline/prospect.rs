//! What lies ahead of a run: how many recordings, what they cost, how long they take.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::plan::{Fate, Plan};
use crate::clock::Calendar;
use crate::domain::audio::AudioDuration;
use crate::domain::job::{Job, JobId, Settings, Stage};
use crate::domain::money::Amount;
use crate::domain::pace::{Outlook, Work, outlook};
use crate::domain::price;
use crate::queue::{Allowance, Limits, QueueError, Reader, untouched};

/// Recordings that the service has taken from an earlier run: nothing of them is sent or paid again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WithService {
    /// How many.
    pub recordings: usize,
    /// Their length.
    pub duration: AudioDuration,
    /// What they cost, in US dollars.
    pub cost: Decimal,
    /// What of that is set aside so far, and charged when their transcripts come.
    pub set_aside: Decimal,
}

impl WithService {
    /// Adds a recording of this length, which cost so much, and for which so much is set aside.
    pub fn add(&mut self, duration: Option<AudioDuration>, charged: Decimal, set_aside: Decimal) {
        self.recordings += 1;
        self.duration = sum(self.duration, duration.unwrap_or_default());
        self.cost += charged + set_aside;
        self.set_aside += set_aside;
    }

    /// For people: how many, how long, and that they are paid; nothing where there is none.
    pub fn text(&self) -> Option<String> {
        let (are, paid) = match self.recordings {
            0 => return None,
            1 => ("1 is with the service".to_owned(), "is paid for"),
            many => (format!("{many} are with the service"), "are paid for"),
        };
        let cost = match self.cost.is_zero() {
            true => String::new(),
            false => format!(" ({})", Amount::usd(self.cost)),
        };
        Some(format!(
            "{are}, {} of audio, and {paid}{cost}",
            self.duration
        ))
    }
}

fn sum(one: AudioDuration, other: AudioDuration) -> AudioDuration {
    AudioDuration::from_micros(one.micros().saturating_add(other.micros()))
}

/// What a run would cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Recordings to be sent.
    pub recordings: usize,
    /// Their length.
    pub duration: AudioDuration,
    /// In US dollars; `None` where a price is not known.
    pub cost: Option<Decimal>,
    /// Those that may have been paid for already, and are repeated once.
    pub repeats: usize,
    /// Those that have a transcript already, and get another one.
    pub anew: usize,
    /// The limit that leaves least, if there is one.
    pub allowance: Option<Allowance>,
    /// What is waited for beside them.
    pub with_service: WithService,
}

impl Price {
    /// Adds a recording of this length and cost, which may be a repeat.
    pub fn add(&mut self, duration: Option<AudioDuration>, cost: Option<Decimal>, repeats: bool) {
        self.recordings += 1;
        self.duration = sum(self.duration, duration.unwrap_or_default());
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum + cost);
        self.repeats += usize::from(repeats);
    }

    /// Whether nothing has to be paid; a price that nobody knows is none.
    pub fn is_free(&self) -> bool {
        self.recordings == 0 || self.cost.is_some_and(|cost| cost.is_zero())
    }

    /// How much audio is to come, that which is with the service as well.
    pub fn audio(&self) -> AudioDuration {
        sum(self.duration, self.with_service.duration)
    }

    /// What is still to be charged for all of it, if anybody knows.
    pub fn yet_to_charge(&self) -> Option<Decimal> {
        let ahead = if self.recordings == 0 {
            Some(Decimal::ZERO)
        } else {
            self.cost
        };
        ahead.map(|cost| cost + self.with_service.set_aside)
    }

    /// For people: `about $0.03`.
    pub fn text(&self) -> String {
        match self.cost {
            Some(cost) if cost.is_zero() => "free of charge".to_owned(),
            Some(cost) => format!("about {}", Amount::usd(cost)),
            None => "at a price that is not known".to_owned(),
        }
    }

    /// For people: `3 to transcribe, 4:00 of audio, about $0.03`.
    pub fn sentence(&self) -> String {
        format!(
            "{} to transcribe, {} of audio, {}",
            self.recordings,
            self.duration,
            self.text()
        )
    }
}

/// Dollars a minute by model, as far as anybody knows.
pub type Prices = BTreeMap<String, Option<price::Price>>;

/// What is said of a run before it begins.
#[derive(Debug, Clone)]
pub struct Prospect {
    /// What it would cost.
    pub price: Price,
    /// A minute of each model that is paid.
    pub prices: Prices,
    /// How many recordings go by each route.
    pub routes: BTreeMap<String, usize>,
    /// Copies of recordings that are sent or done: free of charge.
    pub copies: usize,
    /// How long it would take.
    pub time: Outlook,
}

/// What a run by `plan` would do, and the jobs that are on their way already.
///
/// # Errors
/// Any error of the table.
pub fn of_plan(
    plan: &Plan,
    reader: Option<&Reader<'_>>,
    limits: &Limits,
    calendar: Calendar,
    settings: Option<&Settings>,
    jobs: usize,
) -> Result<(Prospect, Vec<JobId>), QueueError> {
    let mut price = Price {
        cost: Some(Decimal::ZERO),
        allowance: allowance(reader, limits, calendar)?,
        ..Price::default()
    };
    let mut under_way = Vec::new();
    for item in &plan.items {
        if let Fate::Send {
            cost,
            repeats,
            anew,
            ..
        } = &item.fate
        {
            price.add(item.duration, *cost, *repeats);
            price.anew += usize::from(*anew);
        }
        if let (Fate::UnderWay, Some(reader)) = (&item.fate, reader)
            && let Some(job) = reader.job_at(&item.source)?
        {
            add_taken(&mut price.with_service, reader, &job)?;
            under_way.push(job.id);
        }
    }
    let routes = by_route(plan).into_iter();
    let prospect = Prospect {
        price,
        prices: plan.prices.clone(),
        routes: routes
            .map(|(route, count)| (route.to_owned(), count))
            .collect(),
        copies: plan.count(|fate| matches!(fate, Fate::Duplicate { .. })),
        time: time_of(reader, price, settings, jobs)?,
    };
    Ok((prospect, under_way))
}

/// What the limits on sums leave, by the table if there is one.
///
/// # Errors
/// Any error of the table.
pub fn allowance(
    reader: Option<&Reader<'_>>,
    limits: &Limits,
    calendar: Calendar,
) -> Result<Option<Allowance>, QueueError> {
    match reader {
        Some(reader) => reader.allowance(limits, calendar),
        None => Ok(untouched(limits, calendar)),
    }
}

/// How many recordings go by each route.
pub fn by_route(plan: &Plan) -> BTreeMap<&'static str, usize> {
    let mut routes = BTreeMap::new();
    for item in &plan.items {
        if let Fate::Send { route, .. } = &item.fate {
            *routes.entry(route.route.as_str()).or_insert(0) += 1;
        }
    }
    routes
}

/// How long so many recordings take, by what was measured of the model.
///
/// # Errors
/// Any error of the table.
pub fn time_of(
    reader: Option<&Reader<'_>>,
    price: Price,
    settings: Option<&Settings>,
    jobs: usize,
) -> Result<Outlook, QueueError> {
    let measured = match (reader, settings) {
        (Some(reader), Some(settings)) => reader.pace(&settings.model)?,
        _ => None,
    };
    Ok(outlook(Work {
        recordings: price.recordings,
        audio: price.duration,
        jobs,
        is_paid: settings.is_some_and(|settings| settings.provider.is_paid()),
        measured,
    }))
}

/// Adds a job to what the service has, if it has accepted it.
///
/// # Errors
/// Any error of the table.
pub fn add_taken(
    taken: &mut WithService,
    reader: &Reader<'_>,
    job: &Job,
) -> Result<(), QueueError> {
    if matches!(job.stage, Stage::Awaiting { .. }) {
        let paid = job.cost.as_ref().map_or(Decimal::ZERO, |cost| cost.value);
        taken.add(job.duration, paid, reader.set_aside(job.id)?);
    }
    Ok(())
}
