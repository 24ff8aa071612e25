//! `stenod run`: the backlog run.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::consent::{self, Price, Said};
use super::elsewhere::Elsewhere;
use super::output::clean;
use super::report::{Teller, Told};
use super::signals::{Signals, Worked, under_signals};
use super::{Failure, RunArguments, RunChoices, Session, exit, view};
use crate::batch;
use crate::clock::{Calendar, rfc3339};
use crate::config::{self, Config};
use crate::domain::job::{Job, JobId, Obstacle, Provider, Stage, State};
use crate::domain::mend::{Mend, mend};
use crate::domain::money::{Amount, Currency, estimate};
use crate::domain::price::{self, Catalogue};
use crate::pipeline::{Ended, IntakeOptions, Pipeline, PipelineError};
use crate::queue::{PauseReason, QueueError, Reader};
use crate::session::{self, Extras, OpenError, Places, SetupError};

/// Dollars a minute by model, as far as anybody knows.
pub(super) type Prices = BTreeMap<String, Option<price::Price>>;

/// How a run ended, and what the table says then.
pub(super) struct RunEnd {
    pub(super) ended: Ended,
    pub(super) missing: usize,
    pub(super) charged: Charged,
}

/// What was charged, by currency.
pub(super) type Charged = BTreeMap<String, Decimal>;

/// What a first signal leads to.
const STOPPING: &str =
    "stopping: what is handed over is finished, the rest kept; again stops at once";

/// What is said where nobody agreed to the price, or a signal came before anybody was asked.
pub(super) const NOTHING_SENT: &str = "nothing was sent, and nothing was spent";

/// What a second signal leaves behind.
const STOPPED_AT_ONCE: &str = "stopped at once: what was being sent may have been paid for, and `stenod status` tells what is in doubt";

pub(super) async fn execute(session: &mut Session, arguments: RunArguments) -> Result<u8, Failure> {
    let choices = RunChoices {
        said: Said::by(&arguments),
        paths: arguments.paths,
        max_cost: arguments.max_cost,
        limit: arguments.limit,
        force: arguments.force,
    };
    arguments.transcribe.override_in(&mut session.overrides);
    let config = session.config_to_work_with()?;
    let provider = session::provider(&config)?;
    let places = session::places(&config, &choices.paths, provider)?;
    say_who_recognises(session, &config, provider)?;
    let teller = Arc::new(Teller::new(session.output));
    let stop = CancellationToken::new();
    let signals = Signals::listen()?;
    let extras = Extras {
        max_cost: choices.max_cost,
        scoped: true,
    };
    let (clock, reporter) = (session.clock.clone(), teller.clone());
    let pipeline = match session::open(&config, &extras, clock, reporter, stop.clone()).await {
        Ok(pipeline) => pipeline,
        Err(OpenError::Setup(SetupError::Queue(held @ QueueError::AlreadyHeld { .. }))) => {
            let elsewhere = Elsewhere {
                session,
                config: &config,
                teller,
                choices,
                held,
            };
            return elsewhere.run(signals, places).await;
        }
        Err(error) => return Err(error.into()),
    };
    let asking = teller.clone();
    let asked = || {
        if asking.has_begun() {
            // Nobody may be reading any more; the stop goes on all the same.
            drop(asking.say(STOPPING));
        }
    };
    let options = IntakeOptions {
        one_shot: true,
        force: choices.force,
        limit: choices.limit,
        about: None,
    };
    let work = run(session, &pipeline, places, options, choices.said, &teller);
    let work = batch::attended(&pipeline, work);
    let worked = under_signals(signals, &stop, asked, work).await;
    teller.end();
    ended(session, &pipeline, &teller, worked).await
}

/// Says how the work ended; gives the exit code.
async fn ended(
    session: &Session,
    pipeline: &Pipeline,
    teller: &Teller,
    worked: Worked<Result<Option<RunEnd>, Failure>>,
) -> Result<u8, Failure> {
    match worked {
        Worked::Done(end) => {
            let Some(end) = end? else {
                session.output.say(NOTHING_SENT)?;
                return Ok(exit::DONE);
            };
            let jobs = pipeline
                .queue
                .read(|reader| reader.scoped_jobs(None))
                .await?;
            finish(session, &jobs, teller, &end)
        }
        Worked::Stopped(end, code) => {
            if end?.is_some() {
                say_how_to_go_on(session)?;
            } else {
                session.output.say(NOTHING_SENT)?;
            }
            Ok(code)
        }
        Worked::Abandoned(code) => {
            session.output.say(STOPPED_AT_ONCE)?;
            say_command(session)?;
            Ok(code)
        }
    }
}

/// Takes in what there is and works on it; `None` where nobody agreed to what that costs.
async fn run(
    session: &Session,
    pipeline: &Arc<Pipeline>,
    places: Places,
    options: IntakeOptions,
    said: Said,
    teller: &Teller,
) -> Result<Option<RunEnd>, Failure> {
    let roots = places.places.len();
    let intake = batch::take_in(pipeline, places.places, options).await?;
    let missing = intake.troubles.len();
    drop(intake);
    if missing == roots {
        return Err(Failure::new(
            exit::UNEXPECTED,
            anyhow::anyhow!("no folder could be read"),
        ));
    }
    let (price, prices) = look_ahead(pipeline).await?;
    teller.clear();
    show_plan(session, teller, price, &prices)?;
    say_if_held(session, pipeline)?;
    match consent::agreed(session, said, price, pipeline.stop.cancelled()).await {
        Ok(true) => teller.begin(
            price,
            pipeline
                .queue
                .read(|reader| reader.paces())
                .await
                .map_err(PipelineError::from)?,
        ),
        Ok(false) => {
            take_back(pipeline).await?;
            return Ok(None);
        }
        Err(failure) => {
            take_back(pipeline).await?;
            return Err(failure);
        }
    }
    let began = pipeline.now();
    let ended = batch::work(pipeline.clone()).await?;
    let charged = move |reader: &Reader<'_>| {
        let jobs = reader.scoped_jobs(None)?;
        charged_since(reader, began, jobs.iter().map(|job| job.id))
    };
    Ok(Some(RunEnd {
        ended,
        missing,
        charged: pipeline
            .queue
            .read(charged)
            .await
            .map_err(PipelineError::from)?,
    }))
}

/// What the ledger says was charged for these jobs since `began`.
pub(super) fn charged_since(
    reader: &Reader<'_>,
    began: Timestamp,
    jobs: impl IntoIterator<Item = JobId>,
) -> Result<Charged, QueueError> {
    let mut sums = Charged::new();
    for job in jobs {
        let charges = reader.charges(job, began)?;
        for charge in charges {
            *sums
                .entry(charge.currency.code().to_owned())
                .or_insert(Decimal::ZERO) += charge.value;
        }
    }
    Ok(sums)
}

/// What lies ahead of a run, by the table: each recording counts once, copies of it and those of what is
/// done are free.
async fn look_ahead(pipeline: &Pipeline) -> Result<(Price, Prices), Failure> {
    let ahead = |reader: &Reader<'_>| {
        let mut seen = HashSet::new();
        let mut ahead = Vec::new();
        for job in reader.scoped_jobs(None)? {
            let is_first = seen.insert((job.hash, job.settings.clone()));
            if is_ahead(&job) && is_first && !is_reused(reader, &job)? {
                ahead.push(job);
            }
        }
        Ok::<_, QueueError>(ahead)
    };
    let ahead = pipeline
        .queue
        .read(ahead)
        .await
        .map_err(PipelineError::from)?;
    if ahead.iter().any(|job| job.settings.provider.is_paid()) {
        pipeline.ask_prices().await;
    }
    let (catalogue, limits) = (pipeline.prices.catalogue(), pipeline.pace.limits);
    let calendar = Calendar::around(pipeline.now());
    let add_up = move |reader: &Reader<'_>| {
        let (price, prices) = add_up(reader, &ahead, &catalogue, limits.per_file)?;
        let allowance = reader.allowance(&limits, calendar)?;
        Ok::<_, QueueError>((Price { allowance, ..price }, prices))
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
        }
    }
    Ok((sum, prices))
}

/// Whether this run would send it: now, or after a wait.
fn is_ahead(job: &Job) -> bool {
    match &job.stage {
        Stage::Queued { .. } | Stage::Split { .. } => true,
        Stage::InDoubt { retry_at, .. } => retry_at.is_some(),
        Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::Cancelled => false,
    }
}

/// Whether it takes the transcript of another job of the same recording, which is there or paid for.
fn is_reused(reader: &Reader<'_>, job: &Job) -> Result<bool, QueueError> {
    let twins = reader.twins(job.hash, &job.settings)?;
    let is_there = |twin: &Job| matches!(twin.stage, Stage::Done { .. }) || twin.stage.is_paying();
    let waits = matches!(job.stage, Stage::Queued { .. }) && !job.forced;
    Ok(waits && twins.iter().any(|twin| twin.id != job.id && is_there(twin)))
}

pub(super) fn show_plan(
    session: &Session,
    teller: &Teller,
    price: Price,
    prices: &Prices,
) -> io::Result<()> {
    if session.output.json() {
        return session.output.line(&json!({
            "type": "plan", "to_send": price.recordings, "minutes": price.duration.minutes(),
            "cost": price.cost.map(|cost| cost.normalize().to_string()), "currency": "USD",
            "prices": view::prices(prices), "repeats": price.repeats,
            "limit": price.allowance.map(view::allowance),
        }));
    }
    if price.recordings == 0 {
        return Ok(());
    }
    teller.say(&format!(
        "{} to transcribe, {} of audio, {}",
        price.recordings,
        price.duration,
        price.text()
    ))?;
    for (model, each) in prices {
        teller.say(&format!("price: {}", price::sentence(model, *each)))?;
    }
    price
        .cautions()
        .try_for_each(|caution| teller.say(&caution))
}

/// Says that a person holds the queue, before anybody is asked anything.
fn say_if_held(session: &Session, pipeline: &Pipeline) -> io::Result<()> {
    let held = pipeline.pauses.all().into_iter();
    let held = held.filter(|pause| pause.reason == PauseReason::Operator);
    if session.output.json() {
        return Ok(());
    }
    held.take(1).try_for_each(|pause| {
        session.output.say(&format!(
            "paused by hand since {}: what is new is queued and not sent; `stenod resume` goes on",
            rfc3339(pause.since)
        ))
    })
}

/// Takes back what this run has queued and nobody agreed to pay for.
async fn take_back(pipeline: &Pipeline) -> Result<(), Failure> {
    let queued = pipeline
        .queue
        .read(|reader| reader.scoped_jobs(Some(State::Queued)))
        .await?;
    pipeline
        .queue
        .forget(queued.iter().map(|job| job.id).collect())
        .await?;
    Ok(())
}

fn say_who_recognises(session: &Session, config: &Config, provider: Provider) -> io::Result<()> {
    if provider != Provider::Local || config.service.provider != config::Provider::Auto {
        return Ok(());
    }
    session.output.say(
        "no key found: the built-in recogniser does the work (for the service, set NANOGPT_API_KEY or service.api_key_file)",
    )?;
    if config.transcribe.diarize {
        session
            .output
            .say("the built-in recogniser does not tell speakers apart: --diarize has no effect")?;
    }
    Ok(())
}

fn say_how_to_go_on(session: &Session) -> io::Result<()> {
    session
        .output
        .say("stopped: nothing is lost; the same command goes on")?;
    say_command(session)
}

/// The command that goes on with this run, to be copied.
fn say_command(session: &Session) -> io::Result<()> {
    match &session.typed {
        Some(typed) => {
            let page = session.output.page_for_talk();
            session.output.say_whole(&page.command("  ", typed, ""))
        }
        None => Ok(()),
    }
}

/// Says how the run ended; gives the exit code.
pub(super) fn finish(
    session: &Session,
    jobs: &[Job],
    teller: &Teller,
    end: &RunEnd,
) -> Result<u8, Failure> {
    let count = |state: State| jobs.iter().filter(|job| job.stage.state() == state).count();
    let told = teller.told();
    let newly_done: Vec<&Job> = jobs
        .iter()
        .filter(|job| matches!(job.stage, Stage::Done { .. }) && told.stages.contains_key(&job.id))
        .collect();
    let stuck = jobs
        .iter()
        .filter(|job| matches!(job.stage, Stage::Received { .. } | Stage::Awaiting { .. }))
        .count();
    let unreadable = told
        .skipped
        .iter()
        .filter(|(_, reason)| is_a_loss(reason))
        .count();
    let failed = count(State::Failed) + count(State::InDoubt) + stuck + unreadable + end.missing;
    let summary = Summary {
        done: newly_done.len(),
        done_before: count(State::Done).saturating_sub(newly_done.len()),
        failed: count(State::Failed),
        in_doubt: count(State::InDoubt),
        waiting: count(State::Waiting) + count(State::Queued),
        unreadable,
        cancelled: count(State::Cancelled),
        cost: &end.charged,
        told: &told,
    };
    summary.say(session, end)?;
    Ok(match &end.ended {
        Ended::Paused(pause) => match pause.reason {
            PauseReason::Key => exit::KEY,
            PauseReason::Balance | PauseReason::Budget => exit::MONEY,
            PauseReason::Offline | PauseReason::RateLimit => exit::OUT_OF_REACH,
            PauseReason::Operator if failed > 0 => exit::SOME_FAILED,
            PauseReason::Operator => exit::DONE,
            PauseReason::Disk => exit::UNEXPECTED,
        },
        Ended::Finished | Ended::Stopped if failed > 0 => exit::SOME_FAILED,
        Ended::Finished | Ended::Stopped if jobs.iter().any(is_over_file_budget) => exit::MONEY,
        Ended::Finished | Ended::Stopped => exit::DONE,
    })
}

fn is_over_file_budget(job: &Job) -> bool {
    matches!(
        job.stage,
        Stage::Waiting {
            obstacle: Obstacle::OverFileBudget,
            ..
        }
    )
}

struct Summary<'a> {
    done: usize,
    done_before: usize,
    failed: usize,
    in_doubt: usize,
    waiting: usize,
    /// Files that were passed over and may have been recordings.
    unreadable: usize,
    cancelled: usize,
    cost: &'a Charged,
    told: &'a Told,
}

impl Summary<'_> {
    fn say(&self, session: &Session, end: &RunEnd) -> io::Result<()> {
        if session.output.json() {
            let (state, pause) = match &end.ended {
                Ended::Finished => ("finished", None),
                Ended::Stopped => ("stopped", None),
                Ended::Paused(pause) => ("paused", Some(pause)),
            };
            return session.output.line(&json!({
                "type": "summary", "ended": state, "done": self.done,
                "done_before": self.done_before, "failed": self.failed,
                "in_doubt": self.in_doubt, "waiting": self.waiting,
                "skipped": self.told.skipped_count, "unreadable": self.unreadable,
                "cost": self.cost.iter().map(|(currency, sum)| (currency.clone(), json!(sum.normalize().to_string())))
                    .collect::<serde_json::Map<_, _>>(),
                "paused": pause.map(|pause| json!({
                    "reason": pause.reason.as_str(), "message": pause.text,
                    "until": pause.until.map(rfc3339),
                })),
            }));
        }
        session.output.say(&self.line())?;
        match &end.ended {
            Ended::Paused(pause) => {
                session.output.say(&format!(
                    "stopped: {}; the work is kept, and the same command goes on with it",
                    clean(&pause.text)
                ))?;
                match mend(pause.reason.as_str(), None, "") {
                    Some(way) => {
                        let way = as_typed(session, way);
                        session.output.say(&view::fix(session.output, &way))
                    }
                    None => Ok(()),
                }
            }
            Ended::Finished | Ended::Stopped => {
                self.hints().try_for_each(|hint| session.output.say(hint))
            }
        }
    }

    /// Where to look for what did not come to its transcript, and how to mend it.
    fn hints(&self) -> impl Iterator<Item = &'static str> {
        let hints = [
            (
                self.failed,
                "see `stenod list --state failed` and `stenod show ID`; `stenod retry --failed` tries again",
            ),
            (
                self.in_doubt,
                "see `stenod list --state in_doubt`; `stenod retry --in-doubt` sends them again, which may pay twice",
            ),
            (
                self.waiting,
                "see `stenod list --state waiting`: it says for what they wait, and the way out",
            ),
            (
                self.unreadable,
                "see the skipped ones above; `stenod explain FILE` says more of one",
            ),
        ];
        hints
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, hint)| hint)
    }

    fn line(&self) -> String {
        let parts = [
            (self.done, "done"),
            (self.failed, "failed"),
            (self.in_doubt, "in doubt"),
            (self.waiting, "waiting"),
            (self.cancelled, "cancelled before"),
            (self.unreadable, "unreadable"),
            (
                self.told.skipped_count.saturating_sub(self.unreadable),
                "skipped",
            ),
            (self.done_before, "done before"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let tried = self.done + self.failed + self.in_doubt + self.waiting;
        let nothing_new = tried + self.unreadable == 0;
        match (nothing_new, parts.is_empty()) {
            (true, true) => "nothing to do: no recordings found".to_owned(),
            (true, false) => format!("nothing to do: {}", parts.join(", ")),
            (false, _) => format!("{}{}", parts.join(", "), self.paid()),
        }
    }

    fn paid(&self) -> String {
        let sums = self.cost.iter().map(|(currency, sum)| Amount {
            value: *sum,
            currency: Currency::new(currency),
        });
        sums.filter(|sum| !sum.value.is_zero())
            .map(|sum| format!(", for {sum}"))
            .collect()
    }
}

/// The way out with the command of this run in place of one that names no folder.
fn as_typed(session: &Session, way: Mend) -> Mend {
    match &session.typed {
        Some(typed) if way.command == "stenod run" => Mend {
            command: typed.clone(),
            ..way
        },
        Some(_) | None => way,
    }
}

/// Whether a file that was passed over may have been a recording that somebody misses.
fn is_a_loss(reason: &crate::domain::job::Reason) -> bool {
    matches!(
        reason.code.as_str(),
        "permission_denied"
            | "unreadable"
            | "damaged"
            | "cut_short"
            | "preallocated"
            | "decoder_failed"
            | "growing"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_says_that_nothing_is_to_do() {
        let told = Told::default();
        let summary = Summary {
            done: 0,
            done_before: 7,
            failed: 0,
            in_doubt: 0,
            waiting: 0,
            unreadable: 0,
            cancelled: 0,
            cost: &Charged::new(),
            told: &told,
        };
        assert_eq!(summary.line(), "nothing to do: 7 done before");
    }

    #[test]
    fn a_summary_names_what_it_cost() {
        let told = Told::default();
        let summary = Summary {
            done: 2,
            done_before: 0,
            failed: 1,
            in_doubt: 0,
            waiting: 0,
            unreadable: 0,
            cancelled: 0,
            cost: &Charged::from([("USD".to_owned(), Decimal::new(4010, 5))]),
            told: &told,
        };
        assert_eq!(summary.line(), "2 done, 1 failed, for $0.0401");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_something_to_do() {
        let mut told = Told::default();
        told.skipped_count = 3;
        let summary = Summary {
            done: 0,
            done_before: 0,
            failed: 0,
            in_doubt: 0,
            waiting: 0,
            unreadable: 1,
            cancelled: 0,
            cost: &Charged::new(),
            told: &told,
        };
        assert_eq!(summary.line(), "1 unreadable, 2 skipped");
        assert_eq!(summary.hints().count(), 1);
    }
}
