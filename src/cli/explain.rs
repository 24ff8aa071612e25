//! `stenod explain`: why this file is or is not transcribed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::flags::Flags;
use super::output::{clean, placed, quoted, shown};
use super::text::{Page, Sheet};
use super::{Configured, Failure, Session, exit, unsettled, view};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::discover::{LeftOut, is_gone};
use crate::disk::{self, QUICK, in_time, real_path, straight};
use crate::domain::job::{Job, JobId, Reason, Settings, State};
use crate::domain::mend::{Mend, mend};
use crate::domain::money::Amount;
use crate::domain::route::Chosen;
use crate::domain::settle::complete_name;
use crate::pipeline::explain::{Answer, Question};
use crate::pipeline::plan::{Fate, PlanTerms, Planned};
use crate::pipeline::{Place, mend_at};
use crate::queue::{Instance, Pause, Reader, holder};
use crate::session::{self, Places};
use crate::supervise;

/// The columns of the names of what is told.
const NAMES: usize = 7;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A recording, a folder, or any other file
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// What was found out, and what it takes to understand it.
struct Explanation {
    path: PathBuf,
    /// The configured folder that the path lies in.
    folder: Option<PathBuf>,
    answer: Answer,
    /// The latest job of the path, whatever its settings.
    latest: Option<Job>,
    instance: Option<Instance>,
    /// Whether whoever runs takes up all that is queued, and not only what it was given.
    is_daemon: bool,
    /// Whether it is a link to a file outside of its folder.
    leads_elsewhere: bool,
    pauses: Vec<Pause>,
    now: jiff::Timestamp,
}

/// The same in words.
struct Told {
    answer: &'static str,
    text: String,
    code: Option<String>,
    until: Option<jiff::Timestamp>,
    fix: Option<Mend>,
}

pub(super) async fn execute(session: &Session, arguments: Arguments) -> Result<u8, Failure> {
    let (config, mut instead, is_whole) = match session.config_to_ask()? {
        Configured::Whole(config) => {
            let instead = unsettled::watched_instead(&config).await;
            (config, instead, true)
        }
        Configured::Running(config) => {
            let instead = watched(&config)?;
            (config, instead, false)
        }
    };
    let path = straight(&arguments.path)?;
    let Some(is_there) = look(&path) else {
        let error = anyhow::anyhow!("{}: {}", shown(&path), disk::SILENT);
        let failure = Failure::new(exit::UNEXPECTED, error);
        return Err(failure.hint("`stenod status` tells how all folders are"));
    };
    let provider = session::meant(&config)?;
    // One that is not there is looked for by the daemon, and holds nothing that could be explained.
    instead.retain(|folder| look(folder).unwrap_or(true));
    let configured = match config.folders.is_empty() && instead.is_empty() {
        true => None,
        false => Some(session::places(&config, &instead, provider)?),
    };
    let owner = configured.as_ref().and_then(|places| owner(places, &path));
    let (path, folder, place) = match owner {
        Some((path, place)) => (path, Some(place.root.path().to_owned()), Some(place)),
        None if is_there => {
            let given = session::places(&config, std::slice::from_ref(&path), provider)?;
            (path, None, given.places.into_iter().next())
        }
        None => (path, None, None),
    };
    let terms = if is_whole {
        super::plan::terms(session, &config, provider, false, None).await?
    } else {
        // Which service to ask for its prices is not known.
        PlanTerms {
            routes: session::route_terms(&config),
            force: false,
            limit: None,
            per_file: None,
            catalogue: session::known_prices(&config),
            now: session.clock.now(),
        }
    };
    let explanation = ask(session, &config, path, folder, place, terms).await?;
    if session.output.json() {
        session.output.document(&explanation.json())?;
    } else {
        session
            .output
            .data(&explanation.text(session.output.page()))?;
    }
    Ok(match explanation.answer {
        Answer::Missing => exit::UNEXPECTED,
        Answer::Gone(_)
        | Answer::Unreadable(_)
        | Answer::Output { .. }
        | Answer::Folder { .. }
        | Answer::LeftOut { .. }
        | Answer::Skipped(_)
        | Answer::Settling { .. }
        | Answer::Job(_)
        | Answer::OtherSettings { .. }
        | Answer::Planned(_) => exit::DONE,
    })
}

/// So many of a thing, in words.
fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        more => format!("{more} {thing}s"),
    }
}

/// Whether something is at `path`; nothing where its disk hangs.
fn look(path: &Path) -> Option<bool> {
    let path = path.to_owned();
    in_time(QUICK, move || !is_gone(&path))
}

/// The folders that are watched, by the table.
fn watched(config: &Config) -> Result<Vec<PathBuf>, Failure> {
    let Some(reader) = Reader::open(&config.state_dir)? else {
        return Ok(Vec::new());
    };
    let folders = reader.folders()?.into_iter();
    let watched = folders.filter(|folder| folder.mode.is_some());
    Ok(watched.map(|folder| folder.path).collect())
}

/// The place that owns a path, and the path by which it does: as given, or with links resolved.
fn owner(places: &Places, path: &Path) -> Option<(PathBuf, Place)> {
    let real = real_path(path, QUICK);
    [Some(path.to_owned()), real]
        .into_iter()
        .flatten()
        .find_map(|path| {
            let root = places.roots.owner(&path)?;
            let place = places
                .places
                .iter()
                .find(|place| place.root.path() == root.path())?;
            Some((path, place.clone()))
        })
}

async fn ask(
    session: &Session,
    config: &Config,
    path: PathBuf,
    folder: Option<PathBuf>,
    place: Option<Place>,
    terms: PlanTerms,
) -> Result<Explanation, Failure> {
    let (state_dir, now, asked) = (config.state_dir.clone(), session.clock.now(), path.clone());
    let (policy, place) = (session::doubt_policy(config), place.map(Arc::new));
    let (answer, latest, pauses, leads_elsewhere) = supervise::blocking(move || {
        let reader = Reader::open_as_found(&state_dir, policy)?;
        let pauses = match &reader {
            Some(reader) => reader.pauses()?,
            None => Vec::new(),
        };
        let answer = match (&place, &reader) {
            (Some(place), reader) => Question {
                place,
                reader: reader.as_ref(),
                terms,
                now,
            }
            .ask(&asked)?,
            (None, Some(reader)) => reader
                .job_at(&asked)?
                .map_or(Answer::Missing, |job| Answer::Gone(Box::new(job))),
            (None, None) => Answer::Missing,
        };
        let latest = match &reader {
            Some(reader) => reader.job_at(&asked)?,
            None => None,
        };
        let root = place.as_ref().map(|place| place.root.path());
        let leads_elsewhere = root.is_some_and(|root| leads_out_of(root, &asked));
        Ok::<_, crate::queue::QueueError>((answer, latest, pauses, leads_elsewhere))
    })
    .await??;
    let instance = holder(&config.state_dir)?;
    let (answer, is_daemon) = match instance {
        Some(_) => as_it_is_watched(config, &path, answer).await,
        None => (answer, false),
    };
    Ok(Explanation {
        path,
        folder,
        answer,
        latest,
        instance,
        is_daemon,
        leads_elsewhere,
        pauses,
        now,
    })
}

/// Whether `path` is a link to a file that lies outside of the folder `root`.
fn leads_out_of(root: &Path, path: &Path) -> bool {
    let is_link = path
        .symlink_metadata()
        .is_ok_and(|there| there.is_symlink());
    let ends = path
        .canonicalize()
        .and_then(|end| Ok((root.canonicalize()?, end)));
    is_link && ends.is_ok_and(|(root, end)| !end.starts_with(root))
}

/// The answer, with what whoever watches has seen of the file: how it grew is known to nobody else. Also
/// whether it is a daemon that runs.
async fn as_it_is_watched(config: &Config, path: &Path, answer: Answer) -> (Answer, bool) {
    let told = unsettled::ask(config, Some(path)).await;
    let is_daemon = told.as_ref().is_some_and(|told| told.watching.is_some());
    let may_wait = matches!(answer, Answer::Settling { .. } | Answer::Planned(_));
    let file = told.and_then(|told| told.files.into_iter().next());
    let answer = match file.filter(|_| may_wait) {
        Some(file) => Answer::Settling {
            reason: Reason::new(file.code, file.text),
            until: file.until,
        },
        None => answer,
    };
    (answer, is_daemon)
}

impl Told {
    fn new(answer: &'static str, text: impl Into<String>) -> Self {
        Self {
            answer,
            text: text.into(),
            code: None,
            until: None,
            fix: None,
        }
    }

    fn because(answer: &'static str, reason: &Reason, fix: Option<Mend>) -> Self {
        Self {
            code: Some(reason.code.clone()),
            fix,
            ..Self::new(answer, reason.text.clone())
        }
    }

    fn fix(self, command: impl Into<String>, note: &'static str) -> Self {
        let command = command.into();
        Self {
            fix: Some(Mend {
                command,
                note: note.to_owned(),
            }),
            ..self
        }
    }
}

impl Explanation {
    /// By which route it is sent or was, and why, as far as that is decided.
    fn route(&self) -> Option<&Chosen> {
        match &self.answer {
            Answer::Job(job) => job.route.as_ref(),
            Answer::Planned(planned) | Answer::OtherSettings { planned, .. } => {
                match &planned.fate {
                    Fate::Send { route, .. } => Some(route),
                    Fate::Done
                    | Fate::Duplicate { .. }
                    | Fate::UnderWay
                    | Fate::Wait(_)
                    | Fate::Skip(_)
                    | Fate::Ended(_) => None,
                }
            }
            Answer::Missing
            | Answer::Gone(_)
            | Answer::Unreadable(_)
            | Answer::Skipped(_)
            | Answer::Output { .. }
            | Answer::Folder { .. }
            | Answer::LeftOut { .. }
            | Answer::Settling { .. } => None,
        }
    }

    fn told(&self) -> Told {
        let source = quoted(&self.path);
        match &self.answer {
            Answer::Missing => Told {
                code: Some("no_such_file".to_owned()),
                ..Told::new("missing", "there is nothing at this path").fix(
                    format!(
                        "ls -la {}",
                        quoted(self.path.parent().unwrap_or(&self.path))
                    ),
                    "shows what is there; names are case-sensitive",
                )
            },
            Answer::Gone(job) => gone(job),
            Answer::Unreadable(reason) | Answer::Skipped(reason) => {
                Told::because("skipped", reason, mend_at(&self.path, reason))
            }
            Answer::Output {
                job,
                edited,
                output,
            } => written(job.as_deref(), *edited, output.note.as_deref()),
            Answer::Folder {
                recordings,
                folders,
            } => self.told_of_folder(*recordings, *folders, &source),
            Answer::LeftOut { above, rule } => Told {
                code: Some(rule.code().to_owned()),
                fix: self.way_in(rule, &source),
                ..Told::new(
                    "left_out",
                    match above {
                        Some(above) => format!("it lies below {}: {rule}", above.display()),
                        None => rule.to_string(),
                    },
                )
            },
            Answer::Settling { reason, until } => Told {
                until: *until,
                ..Told::because(
                    "settling",
                    &Reason::new(
                        reason.code.clone(),
                        format!("not complete yet: {}", reason.text),
                    ),
                    mend(&reason.code, None, &source),
                )
            },
            Answer::Job(job) => self.told_of_job(job, &source),
            Answer::OtherSettings {
                job,
                planned,
                settings,
            } => self.told_of_other_settings(job, planned, settings, &source),
            Answer::Planned(planned) => self.told_of_plan(planned, &source),
        }
    }

    /// What has to be done about a rule that leaves the path out.
    fn way_in(&self, rule: &LeftOut, source: &str) -> Option<Mend> {
        let LeftOut::TemporaryName { .. } = rule else {
            return mend(rule.code(), None, source);
        };
        match self.path.file_name().and_then(complete_name) {
            Some(name) => {
                let complete = quoted(&self.path.with_file_name(name));
                Some(Mend {
                    command: format!("mv -n {source} {complete}"),
                    note: format!("once it is complete; then `stenod run {complete}`"),
                })
            }
            // The mark is on a folder above it: whoever names the file means it.
            None => Some(Mend {
                command: format!("stenod run {source}"),
                note: "once it is complete".to_owned(),
            }),
        }
    }

    fn told_of_folder(&self, recordings: u64, folders: u64, source: &str) -> Told {
        let found = format!(
            "a folder that is looked into: {} that may be recordings, in {}",
            counted(recordings, "file"),
            counted(folders, "folder"),
        );
        match &self.folder {
            Some(_) => Told::new("folder", found),
            None => Told::new("folder", format!("in no configured folder; {found}")),
        }
        .fix(format!("stenod plan {source}"), "tells of each of them")
    }

    fn told_of_job(&self, job: &Job, source: &str) -> Told {
        let reason = job.stage.reason();
        let fix = view::way_out(job);
        let told = match job.stage.state() {
            State::Done => Told::new("done", format!("it was transcribed, as job {}", job.id))
                .fix(format!("stenod show {}", job.id), "tells what was written"),
            State::Active => self.told_of_what_is_on_its_way(job, source),
            State::Cancelled => {
                Told::new("cancelled", format!("job {} was stopped by hand", job.id))
                    .fix(format!("stenod retry {}", job.id), "queues it again")
            }
            State::Queued => {
                self.told_of_queue(&format!("it is queued, as job {}", job.id), source)
            }
            State::Waiting | State::InDoubt | State::Failed => match &reason {
                Some(reason) => Told::because(job.stage.state().as_str(), reason, fix),
                None => Told::new(job.stage.state().as_str(), "it waits"),
            },
        };
        let next = view::next_attempt(&job.stage).filter(|next| *next > self.now);
        let until = next.or(told.until);
        Told { until, ..told }
    }

    /// What the file has by other settings than those of its place: it is not paid for again unasked.
    fn told_of_other_settings(
        &self,
        job: &Job,
        planned: &Planned,
        settings: &Settings,
        source: &str,
    ) -> Told {
        let state = job.stage.state();
        let told = self.told_of_job(job, source);
        let flags = Flags::to(&job.settings, settings);
        let paid = match state {
            State::Done => match job.settings.provider.is_paid() {
                true => ", and paid for",
                false => "",
            },
            State::Active => match job.stage.is_paying() && job.settings.provider.is_paid() {
                true => ", and paid for or about to be",
                false => "",
            },
            State::Queued | State::Waiting | State::InDoubt | State::Failed | State::Cancelled => {
                ""
            }
        };
        let is_paid = !paid.is_empty();
        let again = match &planned.fate {
            Fate::Send { cost, .. } => price(*cost),
            Fate::Done
            | Fate::Duplicate { .. }
            | Fate::UnderWay
            | Fate::Wait(_)
            | Fate::Skip(_)
            | Fate::Ended(_) => String::new(),
        };
        let anew = match is_paid {
            true => "transcribe it again, and it would be paid for again",
            false => "transcribe it",
        };
        let text = format!(
            "{}; by other settings than the configured ones ({flags}){paid}; a run without those would {anew}, {again}",
            told.text
        );
        let runs = ["stenod run".to_owned(), format!("stenod run {source}")];
        let fix = told
            .fix
            .clone()
            .map(|fix| match runs.contains(&fix.command) {
                true => Mend {
                    command: format!("stenod run{} {source}", flags.words()),
                    note: flags.note().unwrap_or(fix.note),
                },
                false => fix,
            });
        Told { text, fix, ..told }
    }

    /// What was accepted goes on by itself while stenod runs, and else when it runs again.
    fn told_of_what_is_on_its_way(&self, job: &Job, source: &str) -> Told {
        let stage = job.stage.name().as_str();
        let text = format!("it is on its way, as job {} ({stage})", job.id);
        if self.instance.is_some() {
            return Told::new("active", text);
        }
        Told::new(
            "active",
            format!("{text}; nothing is running that goes on with it"),
        )
        .fix(format!("stenod run {source}"), "")
    }

    /// What is to be sent waits for a free place, for a pause to end, or for somebody to start stenod.
    fn told_of_queue(&self, text: &str, source: &str) -> Told {
        if let Some(pause) = self.pauses.first() {
            return Told {
                code: Some(pause.reason.as_str().to_owned()),
                // One that is over is looked at when somebody runs.
                until: pause.until.filter(|until| *until > self.now),
                fix: mend(pause.reason.as_str(), None, source),
                ..Told::new(
                    "queued",
                    format!("{text}; everything is paused: {}", pause.text),
                )
            };
        }
        if let Some(instance) = &self.instance {
            let is_taken = self.is_daemon && (self.folder.is_some() || self.job().is_some());
            if is_taken && self.leads_elsewhere && self.job().is_none() {
                let text = format!(
                    "{text}; it is a link to a file outside of its folder, where no change is told of: the next scan of the whole folder takes it (watch.rescan_every)"
                );
                let fix = format!("stenod run {source}");
                return Told::new("queued", text).fix(fix, "takes it at once");
            }
            if is_taken {
                let text = format!("{text}; stenod is running and takes it in its turn");
                return Told::new("queued", text);
            }
            let (who, when) = match self.is_daemon {
                true => ("is running and has not been given it", ""),
                false => (
                    "is at work on what it was given",
                    "takes what is left when that has ended",
                ),
            };
            let text = format!("{text}; stenod (process {}) {who}", instance.pid);
            return Told::new("queued", text).fix(format!("stenod run {source}"), when);
        }
        Told::new(
            "queued",
            format!("{text}; nothing is running that would send it"),
        )
        .fix(format!("stenod run {source}"), "")
    }

    fn told_of_plan(&self, planned: &Planned, source: &str) -> Told {
        match &planned.fate {
            Fate::Send { cost, .. } => {
                let cost = price(*cost);
                let home = match &self.folder {
                    Some(_) => "",
                    None => " (it lies in no configured folder)",
                };
                let text = format!("it is a recording to be transcribed{home}, {cost}");
                let text = format!("{text}{}", self.by_other_settings());
                Told {
                    answer: "send",
                    ..self.told_of_queue(&text, source)
                }
            }
            Fate::Done => Told::new("done", "its transcript lies beside it and is taken up"),
            Fate::Duplicate { of } => Told {
                code: Some("duplicate".to_owned()),
                ..Told::new(
                    "duplicate",
                    format!(
                        "the same recording as {}, whose transcript it takes free of charge",
                        of.display()
                    ),
                )
            }
            .fix(format!("stenod run {source}"), ""),
            Fate::UnderWay => Told::new("active", "it is on its way"),
            Fate::Wait(reason) => {
                Told::because("waiting", reason, mend(&reason.code, None, source))
            }
            Fate::Skip(reason) => {
                Told::because("skipped", reason, mend(&reason.code, None, source))
            }
            Fate::Ended(reason) => {
                let fix = self.latest.as_ref().and_then(view::way_out);
                Told::because(
                    "failed",
                    reason,
                    fix.or_else(|| mend(&reason.code, None, source)),
                )
            }
        }
    }

    /// What is said of a job that the file has by other settings, or had before it changed.
    fn by_other_settings(&self) -> String {
        let Some(job) = &self.latest else {
            return String::new();
        };
        format!(
            "; job {} is of another content (model {}, language {}) and is {}",
            job.id,
            job.settings.model,
            job.settings.language,
            job.stage.state().as_str().replace('_', " ")
        )
    }

    fn job(&self) -> Option<JobId> {
        match &self.answer {
            Answer::Gone(job) | Answer::Job(job) | Answer::OtherSettings { job, .. } => {
                Some(job.id)
            }
            Answer::Output { job, .. } => job.as_ref().map(|job| job.id),
            Answer::Missing
            | Answer::Unreadable(_)
            | Answer::Folder { .. }
            | Answer::LeftOut { .. }
            | Answer::Skipped(_)
            | Answer::Settling { .. }
            | Answer::Planned(_) => None,
        }
    }

    fn json(&self) -> Value {
        let told = self.told();
        let duplicate_of = if let Answer::Planned(planned) = &self.answer
            && let Fate::Duplicate { of } = &planned.fate
        {
            Some(view::path(of))
        } else {
            None
        };
        json!({
            "path": view::path(&self.path),
            "answer": told.answer,
            "code": told.code,
            "message": told.text,
            "until": told.until.map(rfc3339),
            "folder": self.folder.as_deref().map(view::path),
            "job": self.job().map(|id| id.0),
            "duplicate_of": duplicate_of,
            "route": self.route().map(|chosen| chosen.route.as_str()),
            "why": self.route().map(|chosen| &chosen.why),
            "running": self.instance.is_some(),
            "fix": told.fix.as_ref().filter(|fix| !tells_nothing_new(fix)).map(|fix| placed(&fix.command)),
            "fix_note": told.fix.as_ref().map(|fix| fix.note.as_str()).filter(|note| !note.is_empty()),
        })
    }

    fn text(&self, page: Page) -> String {
        let told = self.told();
        let mut sheet = Sheet::new(page, NAMES);
        sheet.whole("path", &shown(&self.path));
        let answer = told.answer.replace('_', " ");
        sheet.sentence("answer", &format!("{answer}: {}", clean(&told.text)));
        if let Some(code) = &told.code {
            sheet.whole("reason", code);
        }
        if let Some(chosen) = self.route() {
            let text = format!("{} ({})", chosen.route, clean(&chosen.why));
            sheet.sentence("route", &text);
        }
        if let Some(until) = told.until {
            sheet.whole("until", &rfc3339(until));
        }
        match &self.folder {
            Some(folder) => sheet.whole("folder", &shown(folder)),
            None => sheet.whole("folder", "none of the configured ones"),
        }
        if let Some(fix) = &told.fix {
            if tells_nothing_new(fix) {
                sheet.sentence("fix", &fix.note);
            } else {
                sheet.command("fix", fix);
            }
        }
        sheet.text()
    }
}

/// Whether a way out is this very command.
fn tells_nothing_new(fix: &Mend) -> bool {
    fix.command.starts_with("stenod explain ")
}

fn price(cost: Option<Decimal>) -> String {
    match cost {
        Some(cost) if cost.is_zero() => "free of charge".to_owned(),
        Some(cost) => format!("for about {}", Amount::usd(cost)),
        None => "at a price that is not known".to_owned(),
    }
}

fn gone(job: &Job) -> Told {
    Told::new(
        "gone",
        format!(
            "the recording is not there any more; it had job {}, which is {}",
            job.id,
            job.stage.state()
        ),
    )
    .fix(format!("stenod show {}", job.id), "tells what became of it")
}

fn written(job: Option<&Job>, edited: bool, note: Option<&str>) -> Told {
    let mut text = match job {
        Some(job) => format!(
            "stenod wrote it for job {}, from {}",
            job.id,
            job.source.display()
        ),
        None => "stenod wrote it".to_owned(),
    };
    if let Some(note) = note {
        text.push_str(&format!(" ({note})"));
    }
    if edited {
        text.push_str("; it was edited since, and is never replaced");
    }
    let told = Told::new("output", text);
    match job {
        Some(job) => told.fix(
            format!("stenod show {}", job.id),
            "tells everything about it",
        ),
        None => told,
    }
}
