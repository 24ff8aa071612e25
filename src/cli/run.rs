//! `stenod run`: the backlog run.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::ahead::{besides, look_ahead, under_way, way};
use super::consent::{self, Said, cautions};
use super::elsewhere::Elsewhere;
use super::output::quoted;
use super::report::{Teller, Told};
use super::signals::{Signals, Stops, Worked, under_signals};
use super::stopping::InHand;
use super::summary::{End, NOTHING_SENT, Summary};
use super::{Failure, RunArguments, RunChoices, Session, flags, view};
use crate::batch;
use crate::clock::rfc3339;
use crate::config::{self, Config};
use crate::disk::straight;
use crate::domain::job::{Job, JobId, Provider, Stage, State};
use crate::domain::price;
use crate::pipeline::prospect::{Price, Prospect};
use crate::pipeline::{Ended, Event, IntakeOptions, Pipeline, PipelineError, Reporter as _};
use crate::queue::{Asked, Pause, PauseReason, QueueError, Reader, holder};
use crate::session::{self, Extras, OpenError, Places, SetupError};
use crate::speech::services;

/// How a run ended.
struct RunEnd {
    ended: Ended,
    /// Folders that could not be looked at.
    missing: usize,
}

/// How often it is shown for how many files a run waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most recordings that are named one by one in a command.
const MOST_NAMED: usize = 3;
/// The most queued jobs outside of a run that are looked at after it.
const MOST_OTHERS: usize = 1000;

/// What was charged, by currency.
pub(super) type Charged = BTreeMap<String, Decimal>;

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
    // Before the terminal is changed, which a signal must not leave behind.
    let signals = Signals::listen_for_a_run()?;
    let teller = Arc::new(Teller::of_run(session.output));
    let elsewhere = |held| Elsewhere {
        session,
        config: &config,
        teller: teller.clone(),
        choices: choices.clone(),
        held,
    };
    // Whoever holds the state works with a key, folders and settings of its own.
    if let Some(instance) = holder(&config.state_dir)? {
        let state_dir = config.state_dir.clone();
        let held = QueueError::AlreadyHeld {
            state_dir,
            instance,
        };
        return elsewhere(held).run(signals).await;
    }
    let provider = session::provider(&config)?;
    let places = session::places(&config, &choices.paths, provider)?;
    say_who_recognises(session, &config, provider)?;
    let (stop, let_go) = (CancellationToken::new(), CancellationToken::new());
    let extras = Extras {
        max_cost: choices.max_cost,
        scoped: true,
        let_go: Some(let_go.clone()),
    };
    let (clock, reporter) = (session.clock.clone(), teller.clone());
    let pipeline = match session::open(&config, &extras, clock, reporter, stop.clone()).await {
        Ok(pipeline) => pipeline,
        Err(OpenError::Setup(SetupError::Queue(held @ QueueError::AlreadyHeld { .. }))) => {
            return elsewhere(held).run(signals).await;
        }
        Err(error) => return Err(error.into()),
    };
    let asked = async |signal| {
        if teller.has_begun() {
            // Nobody may be reading any more; the stop goes on all the same.
            drop(teller.say(&stopping(&pipeline, signal).await));
        }
    };
    let options = options(session, &choices);
    let began = pipeline.now();
    let work = run(session, &pipeline, places, options, choices.said, &teller);
    let work = batch::attended(&pipeline, work);
    let worked = under_signals(signals, Stops::finishing(&stop, &let_go), asked, work).await;
    teller.end();
    let code = ended(session, &pipeline, &teller, &choices.paths, began, worked).await?;
    if choices.paths.is_empty() && !session.output.json() && !stop.is_cancelled() {
        say_others(session, &config, &pipeline).await?;
    }
    Ok(code)
}

fn options(session: &Session, choices: &RunChoices) -> IntakeOptions {
    IntakeOptions {
        one_shot: true,
        force: choices.force,
        limit: choices.limit,
        asked: Asked {
            formats: session.overrides.formats.is_some(),
            folder: session.overrides.output_dir.is_some(),
        },
        agreed: None,
        about: None,
    }
}

/// Says what is queued that a run without paths does not come by, and the commands that do.
async fn say_others(
    session: &Session,
    config: &Config,
    pipeline: &Pipeline,
) -> Result<(), Failure> {
    let queued = |reader: &Reader<'_>| {
        let mut others = Vec::new();
        for job in reader.jobs(Some(State::Queued), MOST_OTHERS)? {
            if !reader.is_in_scope(job.id)? {
                others.push(job);
            }
        }
        Ok::<_, QueueError>(others)
    };
    let others = pipeline.queue.read(queued).await;
    let others = others.map_err(PipelineError::from)?;
    if others.is_empty() {
        return Ok(());
    }
    let text = format!("{} more queued that this run was not given:", others.len());
    session.output.say(&text)?;
    let page = session.output.page_for_talk();
    for command in flags::commands(config, &others) {
        session
            .output
            .say_whole(&page.command("  ", &command, ""))?;
    }
    Ok(())
}

/// What a first signal leads to, by the table.
async fn stopping(pipeline: &Pipeline, signal: u8) -> String {
    let hands = pipeline.queue.read(InHand::of).await;
    match hands {
        Ok(hands) => hands.stopping(signal),
        Err(error) => {
            tracing::warn!("what is in hand cannot be told: {error}");
            "stopping; again stops at once".to_owned()
        }
    }
}

/// Says how the work ended; gives the exit code.
async fn ended(
    session: &Session,
    pipeline: &Pipeline,
    teller: &Teller,
    paths: &[PathBuf],
    began: Timestamp,
    worked: Worked<Result<Option<RunEnd>, Failure>>,
) -> Result<u8, Failure> {
    let (end, signal) = match worked {
        Worked::Done(end) => (end?, None),
        Worked::Stopped(end, code) => (end?, Some(End::Stopped(code))),
        Worked::Abandoned(code) => (None, Some(End::Abandoned(code))),
    };
    let is_left = end.is_none() && !matches!(signal, Some(End::Abandoned(_)));
    if is_left && !session.output.json() {
        session.output.say(NOTHING_SENT)?;
    }
    let ended = end.as_ref().map(|end| End::of(&end.ended));
    let how = signal.or(ended).unwrap_or(End::Declined);
    if !is_left || session.output.json() {
        let jobs = pipeline
            .queue
            .read(|reader| reader.scoped_jobs(None))
            .await?;
        let under_way = under_way(pipeline).await?;
        let charged = charged(pipeline, began).await?;
        let left = left_to_pay(pipeline, how).await?;
        let summary = Summary::of(&jobs, &teller.told(), under_way, charged).leaving(left);
        summary.say(session, how)?;
        say_done_elsewhere(session, &jobs, paths)?;
        let missing = end.as_ref().map_or(0, |end| end.missing);
        let missing = missing + named_in_vain(&teller.told(), paths);
        return Ok(summary.code(how, &jobs, missing));
    }
    Ok(Summary::default().code(how, &[], 0))
}

/// Says of what was done before, and lies elsewhere than `--output-dir` asks for, how it is written there too.
pub(super) fn say_done_elsewhere(
    session: &Session,
    jobs: &[Job],
    paths: &[PathBuf],
) -> Result<(), Failure> {
    let Some(asked) = &session.overrides.output_dir else {
        return Ok(());
    };
    let folder = straight(asked)?;
    let lies_elsewhere =
        |job: &&Job| matches!(job.stage, Stage::Done { .. }) && !job.base.starts_with(&folder);
    let elsewhere: Vec<&Job> = jobs.iter().filter(lies_elsewhere).collect();
    if elsewhere.is_empty() || session.output.json() {
        return Ok(());
    }
    let (are, them) = match elsewhere.len() {
        1 => (
            "1 that was done before is where it was written then".to_owned(),
            "it",
        ),
        many => (
            format!("{many} that were done before are where they were written then"),
            "them",
        ),
    };
    session
        .output
        .say(&format!("{are}; this writes {them} there, too:"))?;
    let named: Vec<String> = match elsewhere.len() > MOST_NAMED && !paths.is_empty() {
        true => paths.iter().map(|path| quoted(path)).collect(),
        false => elsewhere.iter().map(|job| quoted(&job.source)).collect(),
    };
    let formats = session.overrides.formats.as_ref();
    let formats = formats.map(|formats| format!(" -f {}", formats.join(",")));
    let command = format!(
        "stenod render{} -o {} {}",
        formats.unwrap_or_default(),
        quoted(&folder),
        named.join(" ")
    );
    let page = session.output.page_for_talk();
    Ok(session
        .output
        .say_whole(&page.command("  ", &command, ""))?)
}

/// What is left to be paid after a stop at the limit of this run, if anybody knows.
async fn left_to_pay(pipeline: &Pipeline, end: End<'_>) -> Result<Option<Decimal>, Failure> {
    let End::Paused(pause) = end else {
        return Ok(None);
    };
    if pause.reason != PauseReason::Budget || pause.until.is_some() {
        return Ok(None);
    }
    Ok(look_ahead(pipeline).await?.price.cost)
}

/// How many of the files that were named themselves were passed over: whoever names one wants its transcript.
pub(super) fn named_in_vain(told: &Told, paths: &[PathBuf]) -> usize {
    let files = paths.iter().filter(|path| !path.is_dir());
    let files = files.filter_map(|path| straight(path).ok());
    let named: Vec<String> = files.map(|path| view::path(&path)).collect();
    let passed_over = told.skipped.iter().map(|(path, _)| path);
    passed_over.filter(|path| named.contains(*path)).count()
}

/// What was charged for the jobs of this run since it began.
async fn charged(pipeline: &Pipeline, began: Timestamp) -> Result<Charged, PipelineError> {
    let charged = move |reader: &Reader<'_>| {
        let jobs = reader.scoped_jobs(None)?;
        charged_since(reader, began, jobs.iter().map(|job| job.id))
    };
    Ok(pipeline.queue.read(charged).await?)
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
    pipeline.queue.propose();
    let intake = batch::take_in(pipeline, places.places, options);
    let intake = looking(pipeline, teller, intake).await?;
    let missing = intake.troubles.len();
    if missing == roots {
        return Err(Failure::nothing_readable(&intake.troubles));
    }
    drop(intake);
    if pipeline.stop.is_cancelled() {
        // What was seen of it is no plan.
        take_back(pipeline).await?;
        return Ok(None);
    }
    let prospect = look_ahead(pipeline).await?;
    let price = prospect.price;
    teller.clear();
    show_plan(session, teller, &prospect)?;
    say_if_held(session, &pipeline.pauses.all())?;
    match consent::agreed(session, said, price, pipeline.stop.cancelled()).await {
        Ok(true) => {
            let agreed = pipeline.queue.agree(pipeline.now()).await;
            agreed.map_err(PipelineError::from)?;
            begin(session, pipeline, teller, price).await?;
        }
        Ok(false) => {
            take_back(pipeline).await?;
            return Ok(None);
        }
        Err(failure) => {
            take_back(pipeline).await?;
            if session.output.json() {
                Summary::default().say(session, End::Declined)?;
            }
            return Err(failure);
        }
    }
    let ended = batch::work(pipeline.clone()).await?;
    forget_max_cost(pipeline).await?;
    Ok(Some(RunEnd { ended, missing }))
}

/// Does `work`, which looks for recordings, and shows what it waits for meanwhile.
async fn looking<T>(pipeline: &Pipeline, teller: &Teller, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(LOOK_EVERY) => teller.settling(pipeline.waiting.all().len()),
        }
    }
}

/// Shows what is on its way already, and what is queued.
async fn begin(
    session: &Session,
    pipeline: &Pipeline,
    teller: &Teller,
    price: Price,
) -> Result<(), PipelineError> {
    let paces = pipeline.queue.read(|reader| reader.paces()).await?;
    teller.begin(price, paces);
    let jobs = pipeline.queue.read(|reader| reader.scoped_jobs(None));
    for job in jobs.await? {
        let is_queued = session.output.json() && matches!(job.stage, Stage::Queued { .. });
        if is_queued || matches!(job.stage, Stage::Awaiting { .. }) {
            let job = Box::new(job);
            let outputs = Vec::new();
            teller.report(&Event::Job { job, outputs });
        }
    }
    Ok(())
}

/// A pause that only the limit of this run has made says nothing to the next one.
async fn forget_max_cost(pipeline: &Pipeline) -> Result<(), PipelineError> {
    let is_own = |pause: &Pause| pause.reason == PauseReason::Budget && pause.until.is_none();
    if pipeline.pauses.all().iter().any(is_own) {
        let now = pipeline.now();
        pipeline.queue.resume(PauseReason::Budget, now).await?;
    }
    Ok(())
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

pub(super) fn show_plan(session: &Session, teller: &Teller, prospect: &Prospect) -> io::Result<()> {
    let Prospect { price, prices, .. } = prospect;
    if session.output.json() {
        return session.output.line(&json!({
            "type": "plan", "to_send": price.recordings, "minutes": price.duration.minutes(),
            "cost": price.cost.map(|cost| cost.normalize().to_string()), "currency": "USD",
            "prices": view::prices(prices), "repeats": price.repeats, "anew": price.anew,
            "limit": price.allowance.map(view::allowance),
            "with_service": view::with_service(price.with_service),
            "routes": prospect.routes, "duplicates": prospect.copies,
            "time": {"seconds": prospect.time.time.as_secs(), "measured": prospect.time.is_measured},
        }));
    }
    if let Some(taken) = price.with_service.text() {
        let (answers, it) = match price.with_service.recordings {
            1 => ("its answer is", "it"),
            _ => ("their answers are", "them"),
        };
        teller.say(&format!(
            "{taken}: {answers} waited for, and nothing of {it} is paid again"
        ))?;
    }
    if price.recordings == 0 {
        return besides(prospect).map_or(Ok(()), |text| teller.say(&text));
    }
    teller.say(&price.sentence())?;
    let more = way(prospect).into_iter().chain(besides(prospect));
    more.into_iter().try_for_each(|text| teller.say(&text))?;
    for (model, each) in prices {
        teller.say(&format!(
            "price: {}",
            price::sentence(model, *each, services::models())
        ))?;
    }
    cautions(price).try_for_each(|caution| teller.say(&caution))
}

/// Says that a person holds the queue, before anybody is asked anything.
pub(super) fn say_if_held(session: &Session, pauses: &[Pause]) -> io::Result<()> {
    let held = pauses.iter();
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
    let taken_back = pipeline.queue.take_back(pipeline.now()).await;
    Ok(taken_back.map_err(PipelineError::from)?)
}

/// Why the built-in recogniser does the work, and what is to be done for the service.
pub(super) fn no_key_found() -> String {
    format!(
        "no key found: the built-in recogniser does the work (for the service, set {} or service.api_key_file)",
        services::USUAL.key_variable
    )
}

/// Says who recognises where nobody chose that, and which settings mean nothing to the built-in recogniser.
fn say_who_recognises(session: &Session, config: &Config, provider: Provider) -> io::Result<()> {
    if !provider.is_local() {
        return Ok(());
    }
    if config.service.provider == config::Provider::Auto {
        session.output.say(&no_key_found())?;
    }
    if config.transcribe.diarize {
        session
            .output
            .say("the built-in recogniser does not tell speakers apart: --diarize has no effect")?;
    }
    if session.overrides.model.is_some() {
        session.output.say(
            "the built-in recogniser has the model of local.model_dir: --model has no effect",
        )?;
    }
    Ok(())
}
