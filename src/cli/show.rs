//! `stenod show`: everything on one job.

use std::path::Path;

use serde_json::{Value, json};

use super::output::{clean, quoted, shown};
use super::text::{Page, Sheet};
use super::{Failure, Session, ShowArguments, exit, view};
use crate::clock::rfc3339;
use crate::disk::{QUICK, real_path, straight};
use crate::domain::job::{Job, JobId, Stage};
use crate::domain::pieces::PieceOf;
use crate::domain::render::Document;
use crate::domain::route;
use crate::domain::transcript::{Speaker, Timing};
use crate::notes::Notes;
use crate::pipeline::{document, style};
use crate::queue::{Attempt, LedgerEntry, Output, Reader};
use crate::session;

/// The columns of the names of what is told.
const NAMES: usize = 9;

struct Everything {
    document: Option<Document>,
    job: Job,
    outputs: Vec<Output>,
    attempts: Vec<Attempt>,
    ledger: Vec<LedgerEntry>,
    pieces: Vec<Job>,
}

pub(super) fn execute(session: &Session, arguments: &ShowArguments) -> Result<u8, Failure> {
    let config = session.config()?;
    let Some(reader) = Reader::open_as_found(&config.state_dir, session::doubt_policy(&config))?
    else {
        return Err(unknown(&arguments.job));
    };
    let job = find_any(&reader, &arguments.job)?.ok_or_else(|| unknown(&arguments.job))?;
    let mut outputs = reader.every_output(job.id)?;
    outputs.sort_by_key(|output| output.aside);
    let everything = Everything {
        document: heard(&reader, &job)?,
        outputs,
        attempts: reader.attempts(job.id)?,
        ledger: reader.ledger(job.id)?,
        pieces: reader.pieces(job.id)?,
        job,
    };
    if session.output.json() {
        session.output.document(&everything.json())?;
    } else {
        session
            .output
            .data(&everything.text(session.output.page()))?;
    }
    Ok(exit::DONE)
}

/// What was heard in a done job's recording, as its outputs have it.
fn heard(reader: &Reader<'_>, job: &Job) -> Result<Option<Document>, Failure> {
    let Stage::Done { reply } = job.stage else {
        return Ok(None);
    };
    let names = reader.names(job.id)?;
    let style = style(&Notes::default(), &job.source, names).style;
    match document(job, reader.reply(reply)?, &style) {
        Ok(document) => Ok(Some(document)),
        Err(error) => {
            tracing::warn!("the transcript of job {} cannot be read: {error}", job.id);
            Ok(None)
        }
    }
}

/// The job of a whole recording with this number, else the latest of the recording at this path.
///
/// # Errors
/// The number is that of a piece; any error of the table.
pub(super) fn find(reader: &Reader<'_>, named: &Path) -> Result<Option<Job>, Failure> {
    match find_any(reader, named)? {
        Some(Job {
            id,
            piece: Some(piece),
            ..
        }) => Err(no_whole(id, &piece)),
        found => Ok(found),
    }
}

/// The job with this number, also that of a piece, else the latest of the recording at this path.
fn find_any(reader: &Reader<'_>, named: &Path) -> Result<Option<Job>, Failure> {
    if let Some(number) = named.to_str().and_then(|text| text.parse().ok())
        && let Some(job) = reader.job(JobId(number))?
    {
        return Ok(Some(job));
    }
    let absolute = straight(named)?;
    if let Some(job) = reader.job_at(&absolute)? {
        return Ok(Some(job));
    }
    // It need not be there any more to have had a job.
    match real_path(named, QUICK) {
        Some(real) => Ok(reader.job_at(&real)?),
        None => Ok(None),
    }
}

/// The failure for a number that is not that of a whole recording.
fn no_whole(id: JobId, piece: &PieceOf) -> Failure {
    let whole = piece.parent;
    let error = match piece.number {
        0 => anyhow::anyhow!("{id} was a piece of job {whole}, which was cut anew since"),
        number => anyhow::anyhow!("{id} is piece {number} of job {whole}"),
    };
    let hint = format!("use {whole}: pieces go with their recording");
    let failure = Failure::new(exit::USAGE, error).named("is_piece");
    failure.hint(hint)
}

/// The failure for what names no job.
pub(super) fn unknown(named: &Path) -> Failure {
    let error = anyhow::anyhow!("there is no job for {}", shown(named));
    let failure = Failure::new(exit::UNEXPECTED, error).named("no_such_job");
    match named.symlink_metadata() {
        Ok(_) => failure.hint(format!(
            "`stenod explain {}` says why, and what becomes of it",
            quoted(named)
        )),
        Err(_) => failure.hint("`stenod list` shows every job"),
    }
}

impl Everything {
    fn json(&self) -> Value {
        let today = self.outputs.iter().filter(|output| !output.aside);
        let mut value = view::job(&self.job, &today.cloned().collect::<Vec<_>>());
        value["hash"] = json!(self.job.hash.to_string());
        value["bytes"] = json!(self.job.size);
        value["format"] = json!(self.job.format.name());
        value["why"] = json!(self.job.route.as_ref().map(|chosen| &chosen.why));
        value["settings"] = json!(self.job.settings);
        value["formats"] = json!(self.job.publication.formats);
        value["request_id"] = json!(self.job.request_id);
        value["failures"] = json!(self.job.failures);
        value["events"] = self.attempts.iter().map(event).collect();
        value["ledger"] = self.ledger.iter().map(entry).collect();
        value["transcript"] = self.document.as_ref().map_or(Value::Null, transcript);
        value["pieces"] = self.pieces.iter().map(piece).collect();
        value["output_files"] = self.outputs.iter().map(output).collect();
        value
    }

    fn text(&self, page: Page) -> String {
        let mut sheet = Sheet::new(page, NAMES);
        self.head(&mut sheet);
        if let Some(document) = &self.document {
            heard_lines(document, &mut sheet);
        }
        self.lists(&mut sheet);
        sheet.text()
    }

    fn head(&self, sheet: &mut Sheet) {
        let job = &self.job;
        sheet.whole("job", &job.id.to_string());
        sheet.whole("source", &shown(&job.source));
        sheet.whole("state", &state(job));
        if matches!(
            job.stage,
            Stage::Done { .. } | Stage::Failed { .. } | Stage::Cancelled
        ) {
            sheet.whole("since", &rfc3339(job.updated_at));
        }
        if let Some(reason) = job.stage.reason() {
            sheet.sentence(
                "reason",
                &format!("{}: {}", reason.code, clean(&reason.text)),
            );
        }
        if let Some(way) = view::way_out(job) {
            sheet.command("fix", &way);
        }
        if let Some(at) = view::next_attempt(&job.stage) {
            sheet.whole("next", &rfc3339(at));
        }
        let duration = job
            .duration
            .map_or("unknown".to_owned(), |duration| duration.to_string());
        sheet.sentence(
            "audio",
            &format!("{}, {duration}, {}", job.format, route::bytes(job.size)),
        );
        if let Some(chosen) = &job.route {
            let text = format!("{} ({})", chosen.route, clean(&chosen.why));
            sheet.sentence("route", &text);
        }
        sheet.whole("hash", &job.hash.to_string());
        let settings = &job.settings;
        sheet.sentence(
            "settings",
            &format!(
                "{} {}, language {}, diarize {}, audio events {}",
                settings.provider.name(),
                clean(&settings.model),
                clean(&settings.language),
                settings.diarize,
                settings.tag_audio_events
            ),
        );
        for (name, id) in [("run", &job.run_id), ("request", &job.request_id)] {
            if let Some(id) = id {
                sheet.whole(name, &clean(id));
            }
        }
        if let Some(cost) = &job.cost {
            sheet.whole("cost", &cost.to_string());
        }
    }

    fn lists(&self, sheet: &mut Sheet) {
        for output in &self.outputs {
            let name = if output.aside { "also" } else { "output" };
            sheet.whole(name, &shown(&output.path));
            if let Some(note) = &output.note {
                sheet.sentence("", &format!("({})", clean(note)));
            }
        }
        for one in &self.pieces {
            sheet.sentence("piece", &piece_text(one));
        }
        for attempt in &self.attempts {
            let text = format!(
                "{} {}: {}",
                rfc3339(attempt.at),
                attempt.event,
                clean(&attempt.text)
            );
            sheet.sentence("event", &text);
        }
        for entry in &self.ledger {
            let text = format!(
                "{} {} {} {} ({})",
                rfc3339(entry.at),
                entry.kind,
                entry.amount,
                entry.currency,
                clean(&entry.note)
            );
            sheet.sentence("ledger", &text);
        }
    }
}

fn piece_text(one: &Job) -> String {
    let reason = one.stage.reason();
    let reason = reason.map_or(String::new(), |reason| format!(": {}", clean(&reason.text)));
    let cost = one.cost.as_ref().map(|cost| format!(", {cost}"));
    let times = one.piece.map_or(String::new(), |piece| {
        let stretch = piece.stretch;
        format!(
            "{} {} to {}",
            piece.number,
            stretch.begins(),
            stretch.ends()
        )
    });
    let cost = cost.unwrap_or_default();
    format!("{times}: {}{cost}{reason}", state(one))
}

/// The state, and the stage where that says more.
fn state(job: &Job) -> String {
    let (state, stage) = (job.stage.state().as_str(), job.stage.name().as_str());
    if state == stage {
        state.to_owned()
    } else {
        format!("{state} ({stage})")
    }
}

/// What was heard: the language as the service names it, how exact the times are, who speaks, what is odd.
fn transcript(document: &Document) -> Value {
    let transcript = &document.transcript;
    let speakers = transcript.speakers.iter().map(Speaker::display_name);
    json!({
        "language": transcript.language, "timing": transcript.timing,
        "speakers": speakers.collect::<Vec<_>>(), "warnings": transcript.warnings,
        "glossary": document.glossary,
    })
}

fn heard_lines(document: &Document, sheet: &mut Sheet) {
    let transcript = &document.transcript;
    let language = transcript.language.as_deref().unwrap_or("not named");
    let timing = match transcript.timing {
        Timing::Words => "of words",
        Timing::Segments => "of segments",
        Timing::Pieces => "of whole pieces",
        Timing::None => "none",
    };
    let heard = format!("language {}, times {timing}", clean(language));
    sheet.sentence("heard", &heard);
    if !transcript.speakers.is_empty() {
        let names = transcript.speakers.iter().map(Speaker::display_name);
        let names = names.map(clean).collect::<Vec<_>>().join(", ");
        sheet.sentence("speakers", &names);
    }
    for warning in &transcript.warnings {
        sheet.sentence("warning", &clean(&warning.message));
    }
    for one in &document.glossary {
        let (to, from) = (clean(&one.to), clean(&one.from));
        let times = match one.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        sheet.sentence("glossary", &format!("{to} for {from} ({times})"));
    }
}

fn event(attempt: &Attempt) -> Value {
    json!({
        "at": rfc3339(attempt.at), "event": attempt.event, "message": attempt.text,
        "request_id": attempt.request_id,
    })
}

fn piece(job: &Job) -> Value {
    let reason = job.stage.reason();
    let place = job.piece;
    json!({
        "id": job.id.0,
        "piece": place.map(|piece| piece.number),
        "start": place.map(|piece| piece.stretch.begins().seconds()),
        "end": place.map(|piece| piece.stretch.ends().seconds()),
        "bytes": job.size,
        "state": job.stage.state().as_str(),
        "stage": job.stage.name().as_str(),
        "reason": reason.as_ref().map(|reason| reason.code.clone()),
        "message": reason.map(|reason| reason.text),
        "attempts": job.attempts,
        "run_id": job.run_id,
        "cost": job.cost.as_ref().map(|cost| cost.value.to_string()),
        "currency": job.cost.as_ref().map(|cost| cost.currency.code().to_owned()),
    })
}

fn entry(entry: &LedgerEntry) -> Value {
    json!({
        "at": rfc3339(entry.at), "kind": entry.kind, "amount": entry.amount,
        "currency": entry.currency, "note": entry.note,
    })
}

fn output(output: &Output) -> Value {
    json!({
        "path": view::path(&output.path), "format": output.format, "note": output.note,
        "aside": output.aside, "hash": output.hash.to_string(), "written_at": rfc3339(output.written_at),
    })
}
