//! `stenod list`: jobs, the newest first.

use serde_json::Value;

use super::{Failure, ListArguments, Session, exit, view};
use crate::domain::job::State;
use crate::queue::{QueueError, Reader};
use crate::session;

pub(super) fn execute(session: &Session, arguments: &ListArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let reader = Reader::open_as_found(&config.state_dir, session::doubt_policy(&config))?;
    let jobs = match &reader {
        Some(reader) => reader.jobs(arguments.state, arguments.limit)?,
        None => Vec::new(),
    };
    if session.output.json() {
        let mut list = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let outputs = match &reader {
                Some(reader) => reader.outputs(job.id)?,
                None => Vec::new(),
            };
            list.push(view::job(job, &outputs));
        }
        session.output.document(&Value::Array(list))?;
    } else {
        let (page, money) = (session.output.page(), view::money(&jobs));
        let lines: String = jobs
            .iter()
            .map(|job| view::line(job, page, money) + "\n")
            .collect();
        session.output.data(&lines)?;
        if jobs.is_empty() {
            session
                .output
                .say(&nothing(reader.as_ref(), arguments.state)?)?;
        }
    }
    Ok(exit::DONE)
}

/// Why there is nothing to show.
fn nothing(reader: Option<&Reader<'_>>, state: Option<State>) -> Result<String, QueueError> {
    let others = match reader {
        Some(reader) => reader.counts()?.values().sum(),
        None => 0,
    };
    Ok(match state {
        Some(state) if others > 0 => format!(
            "no job is {}; `stenod list` shows the other {others}",
            state.as_str().replace('_', " ")
        ),
        Some(_) | None => "no jobs yet: `stenod run FOLDER` makes some".to_owned(),
    })
}
