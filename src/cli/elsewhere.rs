//! `stenod run` while a daemon holds the state: the daemon takes it on, and this side follows.
//!
//! Stopping this side lets go: what was taken in is the daemon's work by then.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::ahead::UnderWay;
use super::consent;
use super::live::Paces;
use super::orders::{unexpected, unheard};
use super::output::shown;
use super::report::Teller;
use super::run::{
    Charged, charged_since, named_in_vain, say_done_elsewhere, say_if_held, show_plan,
};
use super::signals::{Signalled, Signals};
use super::summary::{End, Summary};
use super::{Failure, RunChoices, Session, exit, unsettled};
use crate::config::{Config, Overrides};
use crate::control::{
    Answer, Call, CallError, Ended as Over, Message, Named, News, Order, Refusal, RefusalKind,
    RunFlags, RunOrder, Taken,
};
use crate::desk::{as_pause, as_prospect};
use crate::disk::{QUICK, real_path, straight};
use crate::domain::job::{Job, JobId, Reason, Stage};
use crate::pipeline::prospect::{Price, WithService, add_taken};
use crate::pipeline::{Ended, Event, NOT_AGREED, Reporter as _};
use crate::queue::{PauseReason, QueueError, Reader, running_instance};

/// A run for which the state is held by somebody else.
pub(super) struct Elsewhere<'a> {
    pub(super) session: &'a Session,
    pub(super) config: &'a Config,
    pub(super) teller: Arc<Teller>,
    pub(super) choices: RunChoices,
    pub(super) held: QueueError,
}

/// How listening to whoever holds the state ended.
enum Heard {
    /// With its answer.
    Answer(Answer),
    /// By the signal that is worth this exit code.
    Signal(u8),
}

/// What is said where whoever holds the state does not take the run on; who that is, where that is why.
fn refused(held: &QueueError, refusal: Refusal) -> Failure {
    if refusal.kind != RefusalKind::Impossible {
        return refusal.into();
    }
    let message = format!("{held}: {}", refusal.message);
    Refusal { message, ..refusal }.into()
}

impl Elsewhere<'_> {
    /// Has it done by whoever holds the state; gives the exit code.
    pub(super) async fn run(self, mut signals: Signals) -> Result<u8, Failure> {
        self.check()?;
        let told = unsettled::ask(self.config, None).await;
        let watching = told.as_ref().and_then(|told| told.watching.clone());
        self.say_by_what(watching.unwrap_or_default().file)?;
        if told.is_some_and(|told| told.watching.is_none()) {
            let held = &self.held;
            let error = anyhow::anyhow!(
                "{held}: a `stenod run` holds the state, and no run takes on another"
            );
            return Err(Failure::new(exit::HELD, error)
                .hint("wait until it has ended, or stop it; `stenod status` says what it does"));
        }
        let order = self.order()?;
        let plan = Order::Plan(order.clone());
        let call = match Call::place(&self.config.state_dir, &plan).await {
            Ok(call) => call,
            Err(error) => return Err(unheard(self.held, error)),
        };
        // Its settings, key and folders count, and not those of this command.
        let heard = self.hear(call, &mut signals).await?;
        self.teller.clear();
        let planned = match heard {
            Heard::Answer(Answer::Planned(planned)) => planned,
            Heard::Answer(_) => return Err(unexpected()),
            Heard::Signal(code) => return Ok(code),
        };
        let order = Order::Run(RunOrder {
            plan: Some(planned.plan.clone()),
            ..order
        });
        let (prospect, under_way) = as_prospect(*planned);
        let price = prospect.price;
        show_plan(self.session, &self.teller, &prospect)?;
        self.say_if_held()?;
        if let Some(code) = self.declined(price, &mut signals).await? {
            return Ok(code);
        }
        self.teller.begin(price, self.paces()?);
        self.catch_up(&under_way)?;
        let began = self.session.clock.now();
        let call = match Call::place(&self.config.state_dir, &order).await {
            Ok(call) => call,
            Err(error) => return Err(self.has_gone(error)),
        };
        let heard = self.hear(call, &mut signals).await;
        // What is said now stands where the bars were.
        self.teller.end();
        match heard? {
            Heard::Answer(Answer::Ran(taken)) => self.finish(taken, began),
            Heard::Answer(_) => Err(unexpected()),
            Heard::Signal(code) => {
                let told = self.teller.told();
                self.sum_up(
                    told.stages.keys().copied().collect(),
                    began,
                    End::LetGo(code),
                    0,
                )
            }
        }
    }

    /// Says by which configuration it is done, where that is not the one of this command.
    fn say_by_what(&self, file: Option<Named>) -> Result<(), Failure> {
        let real = |path: &PathBuf| real_path(path, QUICK).unwrap_or_else(|| path.clone());
        let theirs = file.map(PathBuf::from);
        if let (Some(theirs), Some(own)) = (&theirs, &self.config.file)
            && real(theirs) != real(own)
        {
            self.session.output.say(&format!(
                "warning: the running stenod goes by {}, and so does this run",
                shown(theirs)
            ))?;
        }
        Ok(())
    }

    /// Asks for consent; where nobody gives it, the exit code.
    async fn declined(&self, price: Price, signals: &mut Signals) -> Result<Option<u8>, Failure> {
        let said = self.choices.said;
        let agreed = tokio::select! {
            agreed = consent::agreed(self.session, said, price, pending()) => agreed,
            code = signals.next() => {
                Summary::default().say(self.session, End::Declined)?;
                return Ok(Some(code));
            }
        };
        match agreed {
            Ok(true) => Ok(None),
            Ok(false) => {
                Summary::default().say(self.session, End::Declined)?;
                Ok(Some(exit::DONE))
            }
            Err(failure) => {
                if self.session.output.json() {
                    Summary::default().say(self.session, End::Declined)?;
                }
                // The limits are those of whoever does it.
                Err(failure.hint("nothing was sent; --yes agrees, --dry-run shows each recording"))
            }
        }
    }

    /// Says that a person holds the queue, before anybody is asked anything.
    fn say_if_held(&self) -> Result<(), Failure> {
        let pauses = match Reader::open(&self.config.state_dir)? {
            Some(reader) => reader.pauses()?,
            None => Vec::new(),
        };
        Ok(say_if_held(self.session, &pauses)?)
    }

    /// Why nobody answers who said the price.
    fn has_gone(self, error: CallError) -> Failure {
        match running_instance(&self.config.state_dir) {
            Ok(None) => {
                let error = anyhow::Error::new(error);
                Failure::new(
                    exit::OUT_OF_REACH,
                    error.context("the running stenod has ended since it said the price"),
                )
                .hint("nothing was taken in; the same command does it by itself now")
            }
            Ok(Some(_)) | Err(_) => unheard(self.held, error),
        }
    }

    /// Shows who does it, and what was on its way there before this command.
    fn catch_up(&self, under_way: &[JobId]) -> Result<(), Failure> {
        if let (QueueError::AlreadyHeld { instance, .. }, false) =
            (&self.held, self.session.output.json())
        {
            let before = match under_way.len() {
                0 => String::new(),
                many => format!(", and on {many} since before"),
            };
            self.teller.say(&format!(
                "the running stenod (process {}) works on it{before}",
                instance.pid
            ))?;
        }
        let Some(reader) = Reader::open(&self.config.state_dir)? else {
            return Ok(());
        };
        for id in under_way {
            if let Some(job) = reader.job(*id)? {
                let begun = Job {
                    stage: Stage::Submitting,
                    ..job.clone()
                };
                for job in [begun, job] {
                    self.teller.report(&Event::Job {
                        job: Box::new(job),
                        outputs: Vec::new(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Tells what the other side does, until it answers or a signal comes.
    async fn hear(&self, mut call: Call, signals: &mut Signals) -> Result<Heard, Failure> {
        loop {
            let message = tokio::select! {
                message = call.next() => message,
                code = signals.next() => return Ok(Heard::Signal(code)),
            };
            match message {
                Ok(Message::News(news)) => self.tell(news)?,
                Ok(Message::Alive) => {}
                Ok(Message::Done(answer)) => return Ok(Heard::Answer(answer)),
                Ok(Message::Refused(refusal)) => return Err(refused(&self.held, refusal)),
                Err(error) => return Err(lost(error)),
            }
        }
    }

    /// What only a run of its own can do is said before anything is done.
    fn check(&self) -> Result<(), Failure> {
        let own = [
            (
                self.choices.max_cost.is_some(),
                "--max-cost",
                "its budgets apply",
            ),
            (
                self.session.overrides.jobs.is_some(),
                "--jobs",
                "its own number applies",
            ),
        ];
        match own.into_iter().find(|(given, ..)| *given) {
            Some((_, flag, why)) => {
                let error =
                    anyhow::anyhow!("{flag} has no effect on the stenod that runs already: {why}");
                Err(Failure::new(exit::HELD, error).hint(
                    "leave it out, or stop that one first; `stenod status` says what it does",
                ))
            }
            None => Ok(()),
        }
    }

    /// How long the service took before.
    fn paces(&self) -> Result<Paces, Failure> {
        let Some(reader) = Reader::open(&self.config.state_dir)? else {
            return Ok(Paces::new());
        };
        Ok(reader.paces()?)
    }

    fn order(&self) -> Result<RunOrder, Failure> {
        let RunChoices {
            paths,
            force,
            limit,
            ..
        } = &self.choices;
        order(&self.session.overrides, paths, *force, *limit)
    }

    fn tell(&self, news: News) -> Result<(), Failure> {
        match news {
            News::Job(id) => {
                let Some(reader) = Reader::open(&self.config.state_dir)? else {
                    return Ok(());
                };
                if let Some(job) = reader.job(id)? {
                    let outputs = reader.outputs(id)?;
                    self.teller.report(&Event::Job {
                        job: Box::new(job),
                        outputs,
                    });
                }
            }
            News::Progress { job, seconds } => {
                self.teller.report(&Event::Progress { id: job, seconds });
            }
            News::Reading { path, read, size } => self.teller.report(&Event::Reading {
                path: path.into(),
                read,
                size,
            }),
            News::Encoded { job, seconds } => {
                self.teller.report(&Event::Encoded { id: job, seconds });
            }
            News::Uploaded { job, sent, size } => self.teller.report(&Event::Uploaded {
                id: job,
                sent,
                size,
            }),
            News::Skipped { path, code, text } => self.teller.report(&Event::Skipped {
                path: path.into(),
                reason: Reason::new(code, text),
            }),
            News::Paused(held) => {
                if let Some(pause) = as_pause(held) {
                    self.teller.report(&Event::Paused(pause));
                }
            }
            News::Resumed { reason } => {
                if let Some(reason) = PauseReason::named(&reason) {
                    self.teller.report(&Event::Resumed(reason));
                }
            }
        }
        Ok(())
    }

    fn finish(&self, taken: Taken, began: Timestamp) -> Result<u8, Failure> {
        let ended = match taken.ended {
            Over::Finished => Ended::Finished,
            Over::Stopped => return Err(lost(CallError::Gone)),
            Over::Paused(held) => as_pause(held).map_or(Ended::Finished, Ended::Paused),
        };
        self.sum_up(taken.jobs, began, End::of(&ended), taken.missing)
    }

    /// Says what became of these jobs; gives the exit code.
    fn sum_up(
        &self,
        ids: Vec<JobId>,
        began: Timestamp,
        end: End<'_>,
        missing: usize,
    ) -> Result<u8, Failure> {
        let jobs = self.jobs(&ids)?;
        let (charged, under_way) = match Reader::open(&self.config.state_dir)? {
            Some(reader) => {
                let mut taken = WithService::default();
                for job in &jobs {
                    add_taken(&mut taken, &reader, job)?;
                }
                let under_way = UnderWay {
                    with_service: taken,
                    cut: 0,
                    held: 0,
                };
                (charged_since(&reader, began, ids)?, under_way)
            }
            None => (Charged::new(), UnderWay::default()),
        };
        let told = self.teller.told();
        let is_left = |(_, reason): &&(String, Reason)| reason.code == NOT_AGREED;
        let missing = missing + told.skipped.iter().filter(is_left).count();
        let missing = missing + named_in_vain(&told, &self.choices.paths);
        let summary = Summary::of(&jobs, &told, under_way, charged);
        summary.say(self.session, end)?;
        say_done_elsewhere(self.session, &jobs, &self.choices.paths)?;
        Ok(summary.code(end, &jobs, missing))
    }

    fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Failure> {
        let Some(reader) = Reader::open(&self.config.state_dir)? else {
            return Ok(Vec::new());
        };
        let mut jobs = Vec::new();
        for id in ids {
            jobs.extend(reader.job(*id)?);
        }
        Ok(jobs)
    }
}

/// What whoever holds the state is asked to take on, or to tell of.
pub(super) fn order(
    flags: &Overrides,
    paths: &[PathBuf],
    force: bool,
    limit: Option<usize>,
) -> Result<RunOrder, Failure> {
    let paths = paths.iter().map(|path| straight(path));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    let output_dir = flags.output_dir.as_deref().map(straight);
    Ok(RunOrder {
        paths: paths.iter().map(|path| path.as_path().into()).collect(),
        force,
        limit,
        plan: None,
        flags: RunFlags {
            provider: flags.provider.clone(),
            model: flags.model.clone(),
            language: flags.language.clone(),
            formats: flags.formats.clone(),
            output_dir: output_dir
                .transpose()?
                .map(|path| Named::from(path.as_path())),
            diarize: flags.diarize,
            include: flags.include.clone(),
            exclude: flags.exclude.clone(),
            no_recursive: flags.no_recursive,
        },
    })
}

fn lost(error: CallError) -> Failure {
    let error = anyhow::Error::new(error).context("the running stenod ended before this was done");
    Failure::new(exit::OUT_OF_REACH, error).hint(
        "the work is kept: it goes on when stenod runs again, and the same command follows it",
    )
}
