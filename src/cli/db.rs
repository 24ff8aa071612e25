//! `stenod db check`, `backup` and `prune`: looking after the job table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::json;

use super::output::shown;
use super::{Failure, Session, exit, view};
use crate::clock::{before, rfc3339};
use crate::domain::route::bytes;
use crate::queue::{BACKUPS, Checkup, DATABASE, Pruned, Reader, prune};

/// What is forgotten at the earliest, if nothing else was said.
const USUAL_AGE: &str = "90days";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the whole job table
    Check,
    /// Copy the job table, also while stenod runs
    Backup(BackupArguments),
    /// Forget old histories and old copies of the table, and give their room back
    ///
    /// What is known of recordings, their transcripts and money is kept: nothing is paid again.
    Prune(PruneArguments),
}

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The file to make; by default one with the time in its name, in the state directory
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArguments {
    /// Keep what is younger than this
    #[arg(long, value_name = "DURATION", default_value = USUAL_AGE, value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// Show what would be forgotten
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(super) fn execute(session: &Session, command: Command) -> Result<u8, Failure> {
    let state_dir = session.config()?.state_dir;
    let Some(reader) = Reader::open(&state_dir)? else {
        if session.output.json() {
            let path = view::path(&state_dir.join(DATABASE));
            session
                .output
                .document(&json!({"path": path, "exists": false}))?;
        } else {
            session.output.say(&format!(
                "there is no job table in {} yet",
                shown(&state_dir)
            ))?;
        }
        return Ok(exit::DONE);
    };
    match command {
        Command::Check => check(session, &reader, &state_dir.join(DATABASE)),
        Command::Backup(arguments) => back_up(session, &reader, &state_dir, arguments.file),
        Command::Prune(arguments) => {
            drop(reader);
            forget(session, &state_dir, &arguments)
        }
    }
}

fn check(session: &Session, reader: &Reader<'_>, path: &Path) -> Result<u8, Failure> {
    let found = reader.check()?;
    if session.output.json() {
        session.output.document(&json!({
            "path": view::path(path),
            "sound": found.faults.is_empty(),
            "faults": found.faults,
            "schema": found.schema,
            "bytes": found.size,
            "unused_bytes": found.unused,
            "jobs": found.jobs,
            "replies": found.replies,
            "ledger": found.ledger,
        }))?;
    } else {
        session.output.data(&checked(&found, path))?;
    }
    Ok(if found.faults.is_empty() {
        exit::DONE
    } else {
        exit::UNEXPECTED
    })
}

fn checked(found: &Checkup, path: &Path) -> String {
    let is_sound = found.faults.is_empty();
    let mut text = format!(
        "{}: {}\n  {} jobs, {} replies, {} lines in the ledger\n  {}, of which {} are unused; schema {}\n",
        shown(path),
        if is_sound { "sound" } else { "damaged" },
        found.jobs,
        found.replies,
        found.ledger,
        bytes(found.size),
        bytes(found.unused),
        found.schema,
    );
    for fault in &found.faults {
        text.push_str(&format!("  {fault}\n"));
    }
    if !is_sound {
        text.push_str(
            "  move it away and start again: every transcript whose json lies beside its recording is taken up, free of charge\n",
        );
    }
    text
}

fn back_up(
    session: &Session,
    reader: &Reader<'_>,
    state_dir: &Path,
    file: Option<PathBuf>,
) -> Result<u8, Failure> {
    let target = match file {
        Some(file) => std::path::absolute(file)?,
        None => {
            let time = session.clock.now().to_zoned(TimeZone::UTC);
            let name = format!("stenod-{}.db", time.strftime("%Y%m%dT%H%M%SZ"));
            state_dir.join(BACKUPS).join(name)
        }
    };
    reader.back_up(&target).map_err(|error| {
        if error.is_name_taken() {
            let error = anyhow::anyhow!(
                "{} is there already, and no copy replaces a file",
                shown(&target)
            );
            return Failure::new(exit::USAGE, error)
                .hint("name a file that is not there yet, or none: then its name has the time");
        }
        Failure::from(error)
    })?;
    let size = target.metadata()?.len();
    if session.output.json() {
        session
            .output
            .document(&json!({"backup": view::path(&target), "bytes": size}))?;
    } else {
        session.output.data(&format!("{}\n", shown(&target)))?;
        session.output.say(&format!(
            "{}; what is done after now is not in it, so a start from it takes later transcripts up from their json",
            bytes(size)
        ))?;
    }
    Ok(exit::DONE)
}

fn forget(session: &Session, state_dir: &Path, arguments: &PruneArguments) -> Result<u8, Failure> {
    let now = session.clock.now();
    let limit = before(now, arguments.older_than);
    let pruned = prune(state_dir, limit, arguments.dry_run, now)?;
    if session.output.json() {
        session.output.document(&json!({
            "older_than": rfc3339(limit),
            "dry_run": arguments.dry_run,
            "history": pruned.history,
            "replies": pruned.replies,
            "backups": pruned.backups,
            "bytes_before": pruned.before,
            "bytes_after": pruned.after,
        }))?;
    } else {
        session
            .output
            .data(&forgotten(&pruned, arguments.dry_run))?;
    }
    if arguments.dry_run {
        session
            .output
            .say("nothing was changed; the same command without --dry-run does it")?;
    }
    Ok(exit::DONE)
}

fn forgotten(pruned: &Pruned, is_trial: bool) -> String {
    let what = format!(
        "{} lines of history, {} superseded replies, {} old copies of the table",
        pruned.history, pruned.replies, pruned.backups
    );
    if is_trial {
        format!("would forget {what}\n")
    } else {
        format!(
            "forgot {what}; {} of {} are left\n",
            bytes(pruned.after),
            bytes(pruned.before)
        )
    }
}
