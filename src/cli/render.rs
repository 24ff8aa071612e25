//! `stenod render`: the outputs of done jobs, written again from stored replies.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::output::{clean, shown};
use super::{Failure, RenderArguments, Session, exit, nobody, orders, show, view};
use crate::config::Config;
use crate::control::{Answer, LeftFile, Order, RenderGroup, RenderOrder, Rendered};
use crate::disk::{QUICK, real_path, straight};
use crate::domain::format::Format;
use crate::domain::job::{Job, Publication, State};
use crate::queue::Reader;
use crate::session;

/// The most lines of one kind that are said one by one.
const MOST_LINES: usize = 5;
/// The most recordings that are ordered at once, so that whoever is at work is not held up for long.
const LARGEST_ORDER: usize = 512;

/// How outputs are written again.
#[derive(Debug, Clone, Default)]
pub(super) struct How {
    /// These formats alone, instead of all that are published.
    only: Option<Vec<Format>>,
    /// A tree that they are written into, instead of where they were.
    output_dir: Option<PathBuf>,
}

pub(super) async fn execute(
    session: &mut Session,
    arguments: RenderArguments,
) -> Result<u8, Failure> {
    let chosen = arguments.formats.is_some();
    session.overrides.formats = arguments.formats;
    session.overrides.output_dir = arguments.output_dir.clone();
    let config = session.config()?;
    let how = How {
        only: chosen.then(|| config.transcribe.formats.clone()),
        output_dir: arguments
            .output_dir
            .and(config.transcribe.output_dir.clone()),
    };
    let Some(reader) = Reader::open(&config.state_dir)? else {
        return nothing(session);
    };
    let (jobs, unfinished) = choose(&reader, &arguments.paths)?;
    drop(reader);
    if jobs.is_empty() && unfinished == 0 {
        return nothing(session);
    }
    let warnings = nobody::warnings(&config, &jobs)?;
    let report = render(session, &config, jobs, &how).await?;
    say(session, &report, unfinished, &warnings)?;
    Ok(code(&report))
}

/// Has the outputs of these jobs written again, as the configuration has them by now, by whoever holds the
/// state.
///
/// # Errors
/// [`Failure`] where whoever holds the state refuses or does not listen, or the table fails.
pub(super) async fn render(
    session: &Session,
    config: &Config,
    jobs: Vec<Job>,
    how: &How,
) -> Result<Rendered, Failure> {
    let mut report = Rendered::default();
    for some in jobs.chunks(LARGEST_ORDER) {
        let order = Order::Render(RenderOrder {
            groups: groups(config, some),
            only: how.only.clone(),
            output_dir: how.output_dir.as_deref().map(Into::into),
        });
        match orders::carry_out(session, config, &order).await? {
            Answer::Rendered(more) => report.add(more),
            Answer::Changed { .. }
            | Answer::Paused(_)
            | Answer::Resumed(_)
            | Answer::Reloaded(_)
            | Answer::Planned(_)
            | Answer::Terms(_)
            | Answer::Ran(_)
            | Answer::Speakers
            | Answer::Waiting(_) => return Err(orders::unexpected()),
        }
    }
    Ok(report)
}

/// The exit code of what was written again.
pub(super) fn code(report: &Rendered) -> u8 {
    if report.failed.is_empty() {
        exit::DONE
    } else {
        exit::SOME_FAILED
    }
}

fn nothing(session: &Session) -> Result<u8, Failure> {
    if session.output.json() {
        session
            .output
            .document(&document(&Rendered::default(), 0, &[]))?;
    } else {
        session
            .output
            .say("nothing is transcribed yet: `stenod run FOLDER` does")?;
    }
    Ok(exit::DONE)
}

/// The done jobs that the paths name, or all, and how many others there are.
fn choose(reader: &Reader<'_>, paths: &[PathBuf]) -> Result<(Vec<Job>, usize), Failure> {
    if paths.is_empty() {
        let counts = reader.counts()?;
        let others = counts.iter().filter(|(state, _)| **state != State::Done);
        let others: u64 = others.map(|(_, count)| count).sum();
        return Ok((
            reader.done()?,
            usize::try_from(others).unwrap_or(usize::MAX),
        ));
    }
    let mut chosen: BTreeMap<i64, Job> = BTreeMap::new();
    let mut others = 0;
    for path in paths {
        let (done, unfinished) = named(reader, path)?;
        chosen.extend(done.into_iter().map(|job| (job.id.0, job)));
        others += unfinished;
    }
    Ok((chosen.into_values().collect(), others))
}

/// The done jobs of one path, a recording or a folder, and how many others there are.
fn named(reader: &Reader<'_>, path: &Path) -> Result<(Vec<Job>, usize), Failure> {
    let absolute = straight(path)?;
    // The path need not be there any more to have had recordings.
    let real = real_path(path, QUICK).filter(|real| *real != absolute);
    for place in std::iter::once(absolute).chain(real) {
        let done = reader.done_under(&place)?;
        let unfinished = reader.unfinished_under(&place)?;
        if !done.is_empty() || unfinished > 0 {
            return Ok((done, unfinished));
        }
    }
    match show::find(reader, path)? {
        Some(job) if job.stage.state() == State::Done => Ok((vec![job], 0)),
        Some(_) => Ok((Vec::new(), 1)),
        None => Err(show::unknown(path)),
    }
}

/// The jobs, those together of which the same is to be published.
fn groups(config: &Config, jobs: &[Job]) -> Vec<RenderGroup> {
    let mut by_folder: HashMap<&Path, usize> = HashMap::new();
    let mut groups: Vec<RenderGroup> = Vec::new();
    for job in jobs {
        let folder = job.source.parent().unwrap_or(&job.source);
        let place = *by_folder.entry(folder).or_insert_with(|| {
            let wanted = session::publication(&config.for_path(&job.source).transcribe);
            place_of(&mut groups, wanted)
        });
        if let Some(group) = groups.get_mut(place) {
            group.jobs.push(job.id);
        }
    }
    groups
}

fn place_of(groups: &mut Vec<RenderGroup>, wanted: Publication) -> usize {
    let found = groups.iter().position(|group| group.wanted == wanted);
    found.unwrap_or_else(|| {
        groups.push(RenderGroup {
            wanted,
            jobs: Vec::new(),
        });
        groups.len() - 1
    })
}

/// Says what was written and what was left.
///
/// # Errors
/// Where nobody reads any more.
pub(super) fn say(
    session: &Session,
    report: &Rendered,
    unfinished: usize,
    warnings: &[String],
) -> Result<(), Failure> {
    if session.output.json() {
        session
            .output
            .document(&document(report, unfinished, warnings))?;
        return Ok(());
    }
    nobody::say(session, warnings)?;
    let lines: String = report
        .written
        .iter()
        .map(|written| shown(&PathBuf::from(written.path.clone())) + "\n")
        .collect();
    session.output.data(&lines)?;
    for written in &report.written {
        if let Some(note) = &written.note {
            let path = shown(&PathBuf::from(written.path.clone()));
            session.output.say(&format!("{path}: {}", clean(note)))?;
        }
    }
    say_left(session, "left", &report.left)?;
    say_left(session, "failed", &report.failed)?;
    let mut line = format!(
        "{}: {} written, {}",
        counted(report.recordings, "recording"),
        counted(report.written.len(), "file"),
        match report.unchanged {
            1 => "1 as it was".to_owned(),
            count => format!("{count} as they were"),
        }
    );
    if unfinished > 0 {
        line.push_str(&format!(
            "; without a transcript: {unfinished} (`stenod status`)"
        ));
    }
    session.output.say(&line)?;
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// What was left, alike things together.
fn say_left(session: &Session, what: &str, left: &[LeftFile]) -> io::Result<()> {
    let mut alike: BTreeMap<(String, &str), Vec<&LeftFile>> = BTreeMap::new();
    for one in left {
        let format = one.format.map(|format| format.to_string());
        let kind = (format.unwrap_or_default(), one.why.as_str());
        alike.entry(kind).or_default().push(one);
    }
    for ((format, why), ones) in alike {
        let format = if format.is_empty() {
            String::new()
        } else {
            format!(" {format}")
        };
        let why = clean(why);
        for one in ones.iter().take(MOST_LINES) {
            let path = shown(&PathBuf::from(one.path.clone()));
            session
                .output
                .say(&format!("{what}{format} {path}: {why}"))?;
        }
        let rest = ones.len().saturating_sub(MOST_LINES);
        if rest > 0 {
            session
                .output
                .say(&format!("{what}{format} of {rest} more: {why}"))?;
        }
    }
    Ok(())
}

/// The same for a script.
pub(super) fn document(report: &Rendered, unfinished: usize, warnings: &[String]) -> Value {
    let left = |left: &[LeftFile]| -> Value {
        left.iter()
            .map(|one| {
                json!({
                    "path": view::path(&PathBuf::from(one.path.clone())), "format": one.format,
                    "reason": one.code, "message": one.why,
                })
            })
            .collect()
    };
    let written: Value = report
        .written
        .iter()
        .map(|written| {
            let path = PathBuf::from(written.path.clone());
            json!({"path": view::path(&path), "format": written.format, "note": written.note})
        })
        .collect();
    json!({
        "recordings": report.recordings, "written": written, "unchanged": report.unchanged,
        "left": left(&report.left), "failed": left(&report.failed), "not_done": unfinished,
        "warnings": warnings,
    })
}
