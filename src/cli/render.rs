//! `stenod render`: the outputs of done jobs, written again from stored replies.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::output::{clean, shown};
use super::{Failure, RenderArguments, Session, exit, show, view};
use crate::config::Config;
use crate::domain::job::{Job, Publication, State};
use crate::notes::Notes;
use crate::pipeline::{Left, RenderOptions, RenderReport, ToRender, render_again};
use crate::queue::{Queue, Reader};
use crate::session;

/// The most lines of one kind that are said one by one.
const MOST_LINES: usize = 5;

pub(super) async fn execute(
    session: &mut Session,
    arguments: RenderArguments,
) -> Result<u8, Failure> {
    let chosen = arguments.formats.is_some();
    session.overrides.formats = arguments.formats;
    session.overrides.output_dir = arguments.output_dir.clone();
    let config = session.config()?;
    let options = RenderOptions {
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
    let queue = Arc::new(Queue::open(&config.state_dir, session.clock.now())?);
    let report = render(session, &queue, &config, jobs, &options).await?;
    say(session, &report, unfinished)?;
    Ok(code(&report))
}

/// Writes the outputs of these jobs again, as the configuration has them by now.
///
/// # Errors
/// Any error of the table.
pub(super) async fn render(
    session: &Session,
    queue: &Arc<Queue>,
    config: &Config,
    jobs: Vec<Job>,
    options: &RenderOptions,
) -> Result<RenderReport, Failure> {
    let jobs = to_render(config, jobs);
    let notes = Arc::new(Notes::default());
    Ok(render_again(queue, &notes, &session.clock, jobs, options).await?)
}

/// The exit code of what was written again.
pub(super) fn code(report: &RenderReport) -> u8 {
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
            .document(&document(&RenderReport::default(), 0))?;
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
    let absolute = std::path::absolute(path)?;
    // The path need not be there any more to have had recordings.
    let real = path.canonicalize().ok().filter(|real| *real != absolute);
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

fn to_render(config: &Config, jobs: Vec<Job>) -> Vec<ToRender> {
    let mut by_folder: HashMap<PathBuf, Publication> = HashMap::new();
    let with_publication = |job: Job| {
        let folder = job.source.parent().unwrap_or(&job.source).to_owned();
        let wanted = by_folder.entry(folder).or_insert_with(|| {
            let folder = config.for_path(&job.source);
            session::publication(&folder.transcribe)
        });
        ToRender {
            publication: job.publication.brought_up_to(wanted),
            job,
        }
    };
    jobs.into_iter().map(with_publication).collect()
}

/// Says what was written and what was left.
///
/// # Errors
/// Where nobody reads any more.
pub(super) fn say(
    session: &Session,
    report: &RenderReport,
    unfinished: usize,
) -> Result<(), Failure> {
    if session.output.json() {
        session.output.document(&document(report, unfinished))?;
        return Ok(());
    }
    let lines: String = report
        .written
        .iter()
        .map(|(_, written)| shown(&written.path) + "\n")
        .collect();
    session.output.data(&lines)?;
    for (_, written) in &report.written {
        if let Some(note) = &written.note {
            let path = shown(&written.path);
            session.output.say(&format!("{path}: {}", clean(note)))?;
        }
    }
    say_left(session, "left", &report.left)?;
    say_left(session, "failed", &report.failed)?;
    let mut line = format!(
        "{} recordings: {} files written, {} as they were",
        report.recordings,
        report.written.len(),
        report.unchanged
    );
    if unfinished > 0 {
        line.push_str(&format!(
            "; {unfinished} recordings are not transcribed (`stenod status`)"
        ));
    }
    session.output.say(&line)?;
    Ok(())
}

/// What was left, alike things together.
fn say_left(session: &Session, what: &str, left: &[Left]) -> io::Result<()> {
    let mut alike: BTreeMap<(String, &str), Vec<&Left>> = BTreeMap::new();
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
            let path = shown(&one.path);
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

fn document(report: &RenderReport, unfinished: usize) -> Value {
    let left = |left: &Vec<Left>| -> Value {
        left.iter()
            .map(|one| {
                json!({
                    "path": view::path(&one.path), "format": one.format,
                    "reason": one.code, "message": one.why,
                })
            })
            .collect()
    };
    let written: Value = report
        .written
        .iter()
        .map(|(format, written)| {
            json!({"path": view::path(&written.path), "format": format, "note": written.note})
        })
        .collect();
    json!({
        "recordings": report.recordings, "written": written, "unchanged": report.unchanged,
        "left": left(&report.left), "failed": left(&report.failed), "not_done": unfinished,
    })
}
