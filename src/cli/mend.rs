//! `stenod retry` and `stenod cancel`: what a person decides about jobs.

use std::path::PathBuf;

use super::{CancelArguments, Failure, RetryArguments, Session, exit, show};
use crate::domain::job::{Job, JobId, State};
use crate::queue::{Queue, Reader};

/// The most jobs that one command takes up.
const MOST_JOBS: usize = 1_000_000;

pub(super) async fn retry(session: &Session, arguments: &RetryArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let ids = {
        let Some(reader) = Reader::open(&config.state_dir)? else {
            session.output.say("no jobs")?;
            return Ok(exit::DONE);
        };
        let mut ids = named(&reader, &arguments.jobs)?;
        ids.extend(chosen(&reader, arguments)?);
        ids.sort();
        ids.dedup();
        ids
    };
    let queue = Queue::open(&config.state_dir, session.clock.now())?;
    let queued = queue.retry(ids.clone(), session.clock.now()).await?;
    queue.resume_at_start().await?;
    say(session, "queued again", &ids, &queued)
}

pub(super) async fn cancel(session: &Session, arguments: &CancelArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let ids = match Reader::open(&config.state_dir)? {
        Some(reader) => named(&reader, &arguments.jobs)?,
        None => Vec::new(),
    };
    let queue = Queue::open(&config.state_dir, session.clock.now())?;
    let cancelled = queue.cancel(ids.clone(), session.clock.now()).await?;
    say(session, "cancelled", &ids, &cancelled)
}

fn named(reader: &Reader<'_>, jobs: &[PathBuf]) -> Result<Vec<JobId>, Failure> {
    jobs.iter()
        .map(|job| {
            show::find(reader, job)?
                .map(|job| job.id)
                .ok_or_else(|| show::unknown(job))
        })
        .collect()
}

/// The jobs that the flags choose.
fn chosen(reader: &Reader<'_>, arguments: &RetryArguments) -> Result<Vec<JobId>, Failure> {
    let mut states = Vec::new();
    if arguments.failed {
        states.push(State::Failed);
    }
    if arguments.in_doubt {
        states.push(State::InDoubt);
    }
    let mut ids = Vec::new();
    for state in states {
        ids.extend(
            reader
                .jobs(Some(state), MOST_JOBS)?
                .iter()
                .map(|job| job.id),
        );
    }
    if let Some(code) = &arguments.reason {
        let has_code = |job: &Job| {
            job.stage
                .reason()
                .is_some_and(|reason| reason.code == *code)
        };
        for state in [State::Failed, State::Waiting, State::InDoubt] {
            let jobs = reader.jobs(Some(state), MOST_JOBS)?;
            ids.extend(jobs.iter().filter(|job| has_code(job)).map(|job| job.id));
        }
    }
    Ok(ids)
}

fn say(session: &Session, what: &str, asked: &[JobId], done: &[JobId]) -> Result<u8, Failure> {
    if session.output.json() {
        let ids = |ids: &[JobId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        let left: Vec<JobId> = asked
            .iter()
            .filter(|id| !done.contains(id))
            .copied()
            .collect();
        session
            .output
            .document(&serde_json::json!({"changed": ids(done), "left": ids(&left)}))?;
        return Ok(exit::DONE);
    }
    session.output.say(&format!("{} {what}", done.len()))?;
    for id in asked.iter().filter(|id| !done.contains(id)) {
        session.output.say(&format!(
            "job {id} is left as it is: it is done, or on its way"
        ))?;
    }
    Ok(exit::DONE)
}
