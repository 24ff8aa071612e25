//! `stenod retry`, `cancel`, `pause`, `resume` and `reload`: what a person decides about the queue.
//!
//! Each is carried out by whoever holds the state, and on the table itself where nobody does, with the
//! same words and the same exit code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::{clean, placed};
use super::{
    CancelArguments, Failure, PauseArguments, RetryArguments, Session, exit, flags, show, unsettled,
};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::control::{Answer, Call, CallError, Held, Left, Message, Order, Refusal, RefusalKind};
use crate::desk;
use crate::disk::{QUICK, real_path, straight};
use crate::domain::job::{Job, JobId, Stage, StageName, State};
use crate::domain::mend;
use crate::domain::near::nearest;
use crate::domain::timing::after;
use crate::queue::{Queue, QueueError, Reader, holder};
use crate::session;

/// How often a state is knocked at that is held by somebody who does not listen: at its start and its end.
const KNOCKS: u32 = 100;
/// The wait between two knocks.
const KNOCK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn retry(session: &Session, arguments: &RetryArguments) -> Result<u8, Failure> {
    let is_named = arguments.failed || arguments.in_doubt || arguments.reason.is_some();
    if arguments.jobs.is_empty() && !is_named {
        let error = anyhow::anyhow!("nothing says which jobs are meant");
        return Err(Failure::new(exit::USAGE, error).hint(
            "name them by number or recording, or give --failed, --reason CODE or --in-doubt; `stenod list` shows them",
        ));
    }
    let config = session.config()?;
    let order = {
        let reader = Reader::open(&config.state_dir)?;
        if let Some(code) = &arguments.reason {
            is_known(code, reader.as_ref())?;
        }
        let Some(reader) = reader else {
            return match arguments.jobs.first() {
                Some(job) => Err(show::unknown(job)),
                None => nothing_to_retry(session, arguments),
            };
        };
        Order::Retry {
            jobs: named(&reader, &arguments.jobs, is_retried)?,
            failed: arguments.failed,
            in_doubt: arguments.in_doubt,
            reason: arguments.reason.clone(),
        }
    };
    let answer = carry_out(session, &config, &order).await?;
    let Answer::Changed { changed, left } = &answer else {
        return Err(unexpected());
    };
    if changed.is_empty() && left.is_empty() {
        return nothing_to_retry(session, arguments);
    }
    let queued = left
        .iter()
        .filter(|left| left.stage == StageName::Queued.as_str());
    let queued = queued.map(|left| left.job).chain(changed.iter().copied());
    let way = way_on(&config, queued.collect()).await?;
    say_changed(session, "to be tried again", answer, &way)
}

/// Whether `retry` of a folder means a job: it came to nothing, or waits for a person. What is in doubt may be paid
/// twice, and is asked for by itself.
fn is_retried(stage: &Stage) -> bool {
    matches!(stage.state(), State::Failed | State::Waiting)
}

/// Whether `cancel` of a folder means a job: it has not ended.
fn is_stopped(stage: &Stage) -> bool {
    !matches!(
        stage.state(),
        State::Done | State::Failed | State::Cancelled
    )
}

/// What it takes for queued jobs to be sent.
#[derive(Debug, Default)]
struct WayOn {
    /// Whether somebody runs who takes them.
    goes_on: bool,
    /// Whether a run is at work, which takes what belongs to it and no more.
    run_is_at_work: bool,
    /// The commands that take them up, where nobody does.
    commands: Vec<String>,
}

async fn way_on(config: &Config, queued: Vec<JobId>) -> Result<WayOn, Failure> {
    let told = unsettled::ask(config, None).await;
    let run_is_at_work = told.as_ref().is_some_and(|told| told.watching.is_none());
    let goes_on = told.is_some_and(|told| told.watching.is_some());
    let reader = Reader::open(&config.state_dir)?.filter(|_| !goes_on);
    let Some(reader) = reader else {
        return Ok(WayOn {
            goes_on,
            ..WayOn::default()
        });
    };
    let mut jobs = Vec::new();
    for id in queued {
        jobs.extend(reader.job(id)?);
    }
    Ok(WayOn {
        goes_on,
        run_is_at_work,
        commands: flags::commands(config, &jobs),
    })
}

/// Whether a job can have failed for this reason.
fn is_known(code: &str, reader: Option<&Reader<'_>>) -> Result<(), Failure> {
    let seen = match reader {
        Some(reader) => reader.failures()?,
        None => Vec::new(),
    };
    let mut known: Vec<&str> = mend::codes().collect();
    known.extend(seen.iter().map(|(code, _)| code.as_str()));
    if known.contains(&code) {
        return Ok(());
    }
    let meant = nearest(code, known).map(|meant| format!("did you mean `{meant}`? "));
    let error = anyhow::anyhow!("there is no reason `{}`", clean(code));
    Err(Failure::new(exit::USAGE, error).hint(format!(
        "{}`stenod status` lists the reasons of what failed",
        meant.unwrap_or_default()
    )))
}

/// Says that no job is as it was asked for, which leaves nothing to do.
fn nothing_to_retry(session: &Session, arguments: &RetryArguments) -> Result<u8, Failure> {
    if session.output.json() {
        session
            .output
            .document(&json!({"changed": [], "left": [], "left_because": [], "next": []}))?;
        return Ok(exit::DONE);
    }
    let asked = [
        (arguments.failed, "has failed".to_owned()),
        (arguments.in_doubt, "is in doubt".to_owned()),
        (
            !arguments.jobs.is_empty(),
            "there failed or waits".to_owned(),
        ),
        (
            arguments.reason.is_some(),
            format!(
                "failed or waits for `{}`",
                clean(arguments.reason.as_deref().unwrap_or_default())
            ),
        ),
    ];
    let asked = asked.into_iter().filter(|(is_asked, _)| *is_asked);
    let asked: Vec<String> = asked.map(|(_, words)| words).collect();
    session.output.say(&format!(
        "nothing to do: no job {}; `stenod status` tells how jobs stand",
        asked.join(" or ")
    ))?;
    Ok(exit::DONE)
}

pub(super) async fn cancel(session: &Session, arguments: &CancelArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let jobs = match Reader::open(&config.state_dir)? {
        Some(reader) => named(&reader, &arguments.jobs, is_stopped)?,
        None => match arguments.jobs.first() {
            Some(job) => return Err(show::unknown(job)),
            None => Vec::new(),
        },
    };
    let answer = carry_out(session, &config, &Order::Cancel { jobs }).await?;
    let way = WayOn {
        goes_on: true,
        ..WayOn::default()
    };
    say_changed(session, "cancelled", answer, &way)
}

pub(super) async fn pause(session: &Session, arguments: &PauseArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let now = session.clock.now();
    let until = match (arguments.length, &arguments.until) {
        (Some(length), _) => Some(after(now, length)),
        (None, Some(text)) => Some(moment(text, now)?),
        (None, None) => None,
    };
    let answer = carry_out(session, &config, &Order::Pause { until }).await?;
    let Answer::Paused(held) = answer else {
        return Err(unexpected());
    };
    if session.output.json() {
        session.output.document(&json!({"paused": paused(&held)}))?;
        return Ok(exit::DONE);
    }
    let end = match held.until {
        Some(until) => format!("until {}", rfc3339(until)),
        None => "until `stenod resume`".to_owned(),
    };
    session.output.say(&format!(
        "paused {end}: nothing more is sent or recognised; what is accepted is still collected"
    ))?;
    Ok(exit::DONE)
}

pub(super) async fn resume(session: &Session) -> Result<u8, Failure> {
    let config = session.config()?;
    let answer = carry_out(session, &config, &Order::Resume).await?;
    let Answer::Resumed(reasons) = answer else {
        return Err(unexpected());
    };
    if session.output.json() {
        session.output.document(&json!({"resumed": reasons}))?;
        return Ok(exit::DONE);
    }
    let (by_hand, others): (Vec<&String>, Vec<&String>) =
        reasons.iter().partition(|reason| *reason == "operator");
    if reasons.is_empty() {
        session.output.say("nothing was paused")?;
    }
    if !by_hand.is_empty() {
        session.output.say("resumed")?;
    }
    for reason in others {
        let text = match reason.as_str() {
            "disk" => "the full disk is tried at once: what finds no room waits on".to_owned(),
            reason => format!(
                "the pause for {} is tried at once, with one request",
                clean(&reason.replace('_', " "))
            ),
        };
        session.output.say(&text)?;
    }
    Ok(exit::DONE)
}

pub(super) async fn reload(session: &Session) -> Result<u8, Failure> {
    // Whatever is wrong with the file is said here already.
    let config = session.config_to_work_with()?;
    let is_running = holder(&config.state_dir)?.is_some();
    let notes = if is_running {
        match carry_out(session, &config, &Order::Reload).await? {
            Answer::Reloaded(notes) => notes,
            Answer::Changed { .. }
            | Answer::Paused(_)
            | Answer::Resumed(_)
            | Answer::Planned(_)
            | Answer::Terms(_)
            | Answer::Ran(_)
            | Answer::Speakers
            | Answer::Waiting(_)
            | Answer::Rendered(_) => return Err(unexpected()),
        }
    } else {
        Vec::new()
    };
    if session.output.json() {
        session
            .output
            .document(&json!({"reloaded": is_running, "notes": notes}))?;
        return Ok(exit::DONE);
    }
    session.output.say(if is_running {
        "the configuration was read again and is in force"
    } else {
        "nothing is running: the configuration is right, and the next start takes it"
    })?;
    for note in notes {
        session.output.say(&clean(&note))?;
    }
    Ok(exit::DONE)
}

/// Carries `order` out: by whoever holds the state, else on the table itself.
///
/// # Errors
/// [`Failure`] where it is refused, or whoever holds the state does not listen.
pub(super) async fn carry_out(
    session: &Session,
    config: &Config,
    order: &Order,
) -> Result<Answer, Failure> {
    let mut knocks = KNOCKS;
    loop {
        let held = match Queue::open(&config.state_dir, session.clock.now()) {
            Ok(queue) => {
                let policy = session::doubt_policy(config);
                queue.recover(policy, session.clock.now()).await?;
                let carried = desk::at_rest(&queue, order.clone(), session.clock.now()).await;
                return Ok(carried?);
            }
            Err(held @ QueueError::AlreadyHeld { .. }) => held,
            Err(error) => return Err(error.into()),
        };
        match ask(config, order).await {
            Ok(answer) => return Ok(answer?),
            Err(CallError::NobodyThere(_) | CallError::Gone) if knocks > 0 => {
                // It is only beginning, or just ending.
                knocks -= 1;
                tokio::time::sleep(KNOCK_EVERY).await;
            }
            Err(error) => return Err(unheard(held, error)),
        }
    }
}

/// Asks whoever holds the state.
///
/// # Errors
/// [`CallError`] where nobody listens or answers.
pub(super) async fn ask(
    config: &Config,
    order: &Order,
) -> Result<Result<Answer, Refusal>, CallError> {
    let mut call = Call::place(&config.state_dir, order).await?;
    loop {
        match call.next().await? {
            Message::Done(answer) => return Ok(Ok(answer)),
            Message::Refused(refusal) => return Ok(Err(refusal)),
            Message::Alive | Message::News(_) => {}
        }
    }
}

/// The failure where whoever holds the state cannot be asked.
pub(super) fn unheard(held: QueueError, error: CallError) -> Failure {
    tracing::debug!("{:#}", anyhow::Error::new(error));
    Failure::new(exit::HELD, held)
        .hint("it does not answer at its control socket: stop it, then give this command again")
}

/// The failure where an answer belongs to another order.
pub(super) fn unexpected() -> Failure {
    Failure::new(
        exit::UNEXPECTED,
        anyhow::anyhow!("the answer belongs to another order"),
    )
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::Version | RefusalKind::Impossible => exit::HELD,
            RefusalKind::Usage => exit::USAGE,
            RefusalKind::Configuration => exit::CONFIGURATION,
            RefusalKind::Key => exit::KEY,
            RefusalKind::Malformed | RefusalKind::Failed => exit::UNEXPECTED,
        };
        let hint = refusal.hint.clone();
        let failure = Self::new(code, refusal);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The jobs that are meant by numbers, recordings and folders; of a folder those that `wanted` says.
fn named(
    reader: &Reader<'_>,
    given: &[PathBuf],
    wanted: impl Fn(&Stage) -> bool,
) -> Result<Vec<JobId>, Failure> {
    let mut ids = Vec::new();
    for path in given {
        if let Some(job) = show::find(reader, path)? {
            ids.push(job.id);
            continue;
        }
        let jobs = in_folder(reader, path)?;
        if jobs.is_empty() {
            return Err(show::unknown(path));
        }
        let wanted = jobs.iter().filter(|job| wanted(&job.stage));
        ids.extend(wanted.map(|job| job.id));
    }
    Ok(ids)
}

/// The latest job of each recording in a folder, which need not be there any more.
fn in_folder(reader: &Reader<'_>, path: &Path) -> Result<Vec<Job>, Failure> {
    let jobs = reader.latest_in(&straight(path)?)?;
    match real_path(path, QUICK) {
        Some(real) if jobs.is_empty() => Ok(reader.latest_in(&real)?),
        Some(_) | None => Ok(jobs),
    }
}

/// The moment that `--until` names.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |why: &str| {
        Failure::new(exit::USAGE, anyhow::anyhow!("--until {text}: {why}"))
            .hint("write 18:30, 2026-03-01, 2026-03-01T18:30 or 2026-03-01T18:30:00Z")
    };
    let moment =
        crate::clock::moment(text, now).ok_or_else(|| wrong("this is no time that is known"))?;
    if moment <= now {
        return Err(wrong("this is in the past"));
    }
    Ok(moment)
}

fn paused(held: &Held) -> Value {
    json!({
        "reason": held.reason, "since": rfc3339(held.since), "until": held.until.map(rfc3339),
        "message": held.text,
    })
}

fn say_changed(session: &Session, what: &str, answer: Answer, way: &WayOn) -> Result<u8, Failure> {
    let Answer::Changed { changed, left } = answer else {
        return Err(unexpected());
    };
    if session.output.json() {
        let number = |id: &JobId| id.0;
        let changed: Vec<i64> = changed.iter().map(number).collect();
        let left_ids: Vec<i64> = left.iter().map(|left| left.job.0).collect();
        let stages: Vec<Value> = left
            .iter()
            .map(|left| json!({"id": left.job.0, "stage": left.stage}))
            .collect();
        session.output.document(&json!({
            "changed": changed, "left": left_ids, "left_because": stages,
            "next": way.commands.iter().map(|command| placed(command)).collect::<Vec<_>>(),
        }))?;
        return Ok(exit::DONE);
    }
    session.output.say(&format!("{} {what}", changed.len()))?;
    for left in &left {
        session.output.say(&format!(
            "job {} is left as it is: {}",
            left.job,
            why(left, way.goes_on)
        ))?;
    }
    if !way.commands.is_empty() {
        let text = if way.run_is_at_work {
            "the `stenod run` that is at work sends what belongs to it; when it has ended, this sends the rest:"
        } else {
            "nothing is running that sends what is queued; this does:"
        };
        session.output.say(text)?;
    }
    let page = session.output.page_for_talk();
    let mut commands = way.commands.iter();
    commands.try_for_each(|command| session.output.say_whole(&page.command("  ", command, "")))?;
    Ok(exit::DONE)
}

/// Why an order leaves a job as it is.
fn why(left: &Left, goes_on: bool) -> String {
    let is = |stage: StageName| left.stage == stage.as_str();
    if is(StageName::Committing) {
        "it may be paid for already: the service has it whole, and its answer is awaited".to_owned()
    } else if is(StageName::Awaiting) || is(StageName::Received) {
        "it is accepted and paid for, and its transcript is kept".to_owned()
    } else if is(StageName::Done) {
        "it is done".to_owned()
    } else if is(StageName::Cancelled) {
        "it is cancelled already".to_owned()
    } else if is(StageName::Queued) && !goes_on {
        "it is queued already".to_owned()
    } else if is(StageName::Queued) || is(StageName::Submitting) {
        "it is on its way".to_owned()
    } else {
        format!("it is {}", clean(&left.stage.replace('_', " ")))
    }
}
