//! What a dead process left in hand, and what becomes of a submit that nobody can know of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use super::hands::Last;
use super::{IN_HAND, QueueError, jobs, ledger, proposals, read, suspects};
use crate::domain::job::{Job, JobId, Reason, Stage, StageName};
use crate::domain::step::{self, DoubtPolicy};

/// What was found in hand after the last run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Sent again, free of charge.
    pub queued: Vec<JobId>,
    /// Nobody knows whether they were billed.
    pub in_doubt: Vec<JobId>,
    /// Set aside: the process went down twice while they were in hand.
    pub poison: Vec<JobId>,
}

/// Puts what was in hand where the policy says.
pub(super) fn recover(
    connection: &Connection,
    last: &Last,
    policy: DoubtPolicy,
    now: Timestamp,
) -> Result<Recovered, QueueError> {
    let mut recovered = Recovered::default();
    proposals::take_back(connection, now)?;
    if policy == DoubtPolicy::Hold {
        hold_doubtful(connection, now)?;
    }
    let jobs = read::in_stages(connection, IN_HAND)?;
    let alone = were_alone(last, &jobs);
    let mut suspected = BTreeMap::new();
    if last.fell {
        for (path, reached) in &last.paths {
            let suspicion = suspects::count(connection, path, alone, *reached, now)?;
            suspected.insert(path.as_path(), suspicion);
        }
    }
    for job in jobs {
        let suspicion = suspected.get(job.source.as_path()).copied();
        let suspicion = suspicion.filter(|_| may_be_to_blame(&job));
        let recovered_to = step::recover(&job.stage, suspicion, job.doubts, policy, now);
        #[cfg(test)]
        let recovered_to = recovered_to.map(|stage| {
            if crate::faults::planted(crate::faults::Bug::RequeueCommitting) {
                Stage::queued()
            } else {
                stage
            }
        });
        match recovered_to {
            Some(Stage::InDoubt { reason, .. }) => {
                doubt(connection, job.id, &reason, policy, now, now)?;
                recovered.in_doubt.push(job.id);
            }
            Some(Stage::Failed { reason }) => {
                // Whoever has it tried again begins anew.
                suspects::acquit(connection, &job.source)?;
                ledger::release(connection, job.id, &reason.code, now)?;
                jobs::note(connection, job.id, &reason, None, now)?;
                jobs::advance(connection, job.id, IN_HAND, &Stage::Failed { reason }, now)?;
                recovered.poison.push(job.id);
            }
            Some(stage) => {
                ledger::release(connection, job.id, "nothing was sent", now)?;
                if let Some(reason) = stage.reason() {
                    jobs::note(connection, job.id, &reason, None, now)?;
                }
                jobs::advance(connection, job.id, IN_HAND, &stage, now)?;
                recovered.queued.push(job.id);
            }
            None => {}
        }
    }
    ask_at_once(connection, now)?;
    Ok(recovered)
}

/// What was accepted before is asked about before anything new is sent: it may be done by now.
fn ask_at_once(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    for job in read::in_stages(connection, &[StageName::Awaiting])? {
        let id = job.id;
        if let Stage::Awaiting {
            ticket,
            submitted_at,
            overdue,
            poll_at,
        } = job.stage
            && poll_at > now
        {
            let stage = Stage::Awaiting {
                ticket,
                submitted_at,
                poll_at: now,
                overdue,
            };
            jobs::advance(connection, id, &[StageName::Awaiting], &stage, now)?;
        }
    }
    Ok(())
}

/// Whether a job that was in hand may be the one for which its recording was looked into: not one that was sent
/// and waited for an answer, nor a piece.
fn may_be_to_blame(job: &Job) -> bool {
    job.stage == Stage::Submitting && job.piece.is_none()
}

/// Whether all that was in hand, looked into or sent, was one recording.
fn were_alone(last: &Last, jobs: &[Job]) -> bool {
    let jobs = jobs.iter().map(|job| job.source.as_path());
    let all: BTreeSet<&Path> = last
        .paths
        .keys()
        .map(PathBuf::as_path)
        .chain(jobs)
        .collect();
    all.len() == 1
}

/// A repeat that an earlier policy had planned is left to a person where the policy is to hold.
pub(super) fn hold_doubtful(connection: &Connection, now: Timestamp) -> Result<(), QueueError> {
    for job in read::in_stages(connection, &[StageName::InDoubt])? {
        if let Stage::InDoubt {
            reason,
            retry_at: Some(_),
        } = job.stage
        {
            let stage = Stage::InDoubt {
                reason,
                retry_at: None,
            };
            jobs::advance(connection, job.id, &[StageName::InDoubt], &stage, now)?;
        }
    }
    Ok(())
}

/// Notes in the ledger what may have been paid, and puts the job where the policy says.
pub(super) fn doubt(
    connection: &Connection,
    id: JobId,
    reason: &Reason,
    policy: DoubtPolicy,
    retry_at: Timestamp,
    now: Timestamp,
) -> Result<(), QueueError> {
    let is_open = ledger::is_open(connection, id)?;
    let amount = ledger::doubt(connection, id, &reason.text, now)?;
    let charged = if is_open {
        format!(
            "nobody knows how much may have been charged: {amount}, what was left of the limits, counts as spent"
        )
    } else {
        format!("about {amount} may have been charged")
    };
    let text = format!("{} ({charged})", reason.text);
    let reason = Reason::new(reason.code.clone(), text);
    jobs::note(connection, id, &reason, None, now)?;
    let doubts = jobs::get(connection, id)?.doubts;
    let stage = step::in_doubt(reason, doubts, policy, retry_at);
    jobs::advance(connection, id, IN_HAND, &stage, now)
}
