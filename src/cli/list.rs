//! `stenod list`: jobs, the newest first.

use serde_json::Value;

use super::{Failure, ListArguments, Session, exit, view};
use crate::queue::Reader;
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
        let page = session.output.page();
        let lines: String = jobs
            .iter()
            .map(|job| view::line(job, page) + "\n")
            .collect();
        session.output.data(&lines)?;
        if jobs.is_empty() {
            session
                .output
                .say("no jobs yet: `stenod run FOLDER` makes some")?;
        }
    }
    Ok(exit::DONE)
}
