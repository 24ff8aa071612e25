//! Tells what the pipeline does while it does it: one plain line a change, or lines of JSON.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::live::{Live, Paces};
use super::output::{Output, clean, quoted, shown};
use super::text::{LEAST, Page, Tone};
use super::unsettled::is_incomplete;
use super::view;
use crate::clock::rfc3339;
use crate::domain::job::{Job, JobId, Reason, Stage, StageName};
use crate::pipeline::plan::Onlooker;
use crate::pipeline::prospect::Price;
use crate::pipeline::{Event, Reporter};
use crate::queue::{Output as Written, Pause, PauseReason};

/// The columns of the word that says what has happened.
const WORD: usize = 10;
/// The most passed-over files that are told one by one at the end.
const MOST_SKIPPED_TOLD: usize = 1000;

/// Tells standard error, or standard output where JSON is wanted.
pub(super) struct Teller {
    output: Output,
    state: Mutex<Told>,
    /// Whether a run has begun: what it would cost is agreed to.
    begun: AtomicBool,
    /// Whether what is queued is told only then: it may be taken back before.
    is_run: bool,
    /// The bars, where they are wanted.
    live: Option<Mutex<Live>>,
}

/// What has been told, for the summary.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The last stage of each job, and whether it had a reason to wait there.
    pub(super) stages: HashMap<JobId, (StageName, bool)>,
    /// Files that were passed over, and why.
    pub(super) skipped: Vec<(String, Reason)>,
    /// How many were passed over, though not all are kept.
    pub(super) skipped_count: usize,
    /// The first error of standard output, which ends the telling.
    broken: bool,
    /// Whether the service is being waited for, so that what is sent is a trial.
    held: bool,
    /// The last progress.
    progress: Option<(JobId, f64)>,
}

impl Teller {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            state: Mutex::default(),
            begun: AtomicBool::new(false),
            is_run: false,
            live: output
                .progress()
                .then(|| Mutex::new(Live::new(output.ascii()))),
        }
    }

    /// The same for a run, whose recordings are queued before anybody has agreed to their price.
    pub(super) fn of_run(output: Output) -> Self {
        Self {
            is_run: true,
            live: output
                .progress()
                .then(|| Mutex::new(Live::hushed(output.ascii()))),
            ..Self::new(output.without_progress())
        }
        .speaking(output)
    }

    fn speaking(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// So many files are watched until they stay as they are.
    pub(super) fn settling(&self, files: usize) {
        self.with_live(|live| live.settling(files));
    }

    /// What there is to do is known: the bars show that.
    pub(super) fn begin(&self, price: Price, paces: Paces) {
        self.begun.store(true, Ordering::SeqCst);
        self.with_live(|live| live.begin(price, paces));
    }

    /// Whether a run has begun: something may have been sent.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Takes the bars away, for a question.
    pub(super) fn clear(&self) {
        self.with_live(Live::clear);
    }

    /// Takes the bars away for good.
    pub(super) fn end(&self) {
        self.with_live(Live::end);
    }

    /// Says something beside the bars.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        match &self.live {
            Some(live) => lock(live).say(&self.output.page_for_talk().talk(text)),
            // For whoever has it read out: one line for one thing.
            None => self.output.say_whole(text),
        }
    }

    /// How much page a line has: beside bars it is made to fit, elsewhere it is one line and whole.
    fn page(&self) -> Page {
        let page = self.output.page_for_talk();
        match self.live {
            Some(_) => page,
            None => page.endless_too(),
        }
    }

    fn with_live(&self, act: impl FnOnce(&mut Live)) {
        if let Some(live) = &self.live {
            act(&mut lock(live));
        }
    }

    /// What has been told so far.
    pub(super) fn told(&self) -> Told {
        lock(&self.state).clone()
    }

    fn tell(&self, told: &mut Told, event: &Event) -> io::Result<()> {
        match event {
            Event::Job { job, outputs } => self.job(told, job, outputs),
            Event::Progress { id, seconds } => self.progress(told, *id, *seconds),
            Event::Reading { path, read, size } => self.read(path, *read, *size),
            Event::Encoded { id, seconds } => self.encoded(*id, *seconds),
            Event::Uploaded { id, sent, size } => self.uploaded(*id, *sent, *size),
            Event::Sent { id, bytes } => {
                self.with_live(|live| live.sent(*id, *bytes));
                Ok(())
            }
            Event::Skipped { path, reason } => self.skipped(told, path, reason),
            Event::Paused(pause) => {
                told.held |= is_of_service(pause.reason);
                self.paused(pause)
            }
            Event::Resumed(reason) => {
                told.held &= !is_of_service(*reason);
                if self.output.json() {
                    let line = json!({"type": "progress", "resumed": reason.as_str()});
                    return self.output.line(&line);
                }
                let reason = reason.as_str().replace('_', " ");
                self.say(&format!("resumed   {reason}"))
            }
        }
    }

    fn job(&self, told: &mut Told, job: &Job, outputs: &[Written]) -> io::Result<()> {
        let now = (job.stage.name(), job.stage.reason().is_some());
        if self.is_run && !self.has_begun() && matches!(job.stage, Stage::Queued { .. }) {
            self.with_live(|live| live.job(job));
            return Ok(());
        }
        let before = told.stages.insert(job.id, now);
        if self.output.json() {
            let fields = view::job(job, outputs);
            let mut line = json!({"type": "job"});
            if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
                line.extend(fields);
            }
            return self.output.line(&line);
        }
        self.with_live(|live| live.job(job));
        // The bars show what is on its way; only how it ends is said beside them.
        let is_drawn = self.live.is_some()
            && matches!(
                job.stage,
                Stage::Submitting | Stage::Awaiting { overdue: None, .. }
            );
        match line(self.page(), job, outputs, told.held) {
            Some(line) if before != Some(now) && !is_drawn => {
                self.say(&line)?;
                not_written(job, outputs).map_or(Ok(()), |line| self.say(&line))
            }
            _ => Ok(()),
        }
    }

    fn progress(&self, told: &mut Told, id: JobId, seconds: f64) -> io::Result<()> {
        // The recogniser tells at every token; a person and a script want to hear of changes.
        if told.progress == Some((id, seconds)) {
            return Ok(());
        }
        told.progress = Some((id, seconds));
        if self.output.json() {
            let line = json!({"type": "progress", "id": id.0, "seconds": seconds});
            return self.output.line(&line);
        }
        self.with_live(|live| live.heard(id, seconds));
        Ok(())
    }

    fn read(&self, path: &Path, read: u64, size: u64) -> io::Result<()> {
        if self.output.json() {
            return self.output.line(&json!({
                "type": "progress", "source": view::path(path), "read_bytes": read, "size_bytes": size,
            }));
        }
        self.with_live(|live| live.read(path, read, size));
        Ok(())
    }

    fn encoded(&self, id: JobId, seconds: f64) -> io::Result<()> {
        if self.output.json() {
            let line = json!({"type": "progress", "id": id.0, "encoded_seconds": seconds});
            return self.output.line(&line);
        }
        self.with_live(|live| live.encoded(id, seconds));
        Ok(())
    }

    fn uploaded(&self, id: JobId, sent: u64, size: u64) -> io::Result<()> {
        if self.output.json() {
            let line =
                json!({"type": "progress", "id": id.0, "uploaded_bytes": sent, "size_bytes": size});
            return self.output.line(&line);
        }
        self.with_live(|live| live.uploaded(id, sent, size));
        Ok(())
    }

    fn skipped(&self, told: &mut Told, path: &Path, reason: &Reason) -> io::Result<()> {
        told.skipped_count += 1;
        if told.skipped.len() < MOST_SKIPPED_TOLD {
            told.skipped.push((view::path(path), reason.clone()));
        }
        if self.output.json() {
            return self.output.line(&json!({
                "type": "error", "source": view::path(path), "code": reason.code,
                "message": reason.text, "skipped": true,
            }));
        }
        let page = self.page();
        let word = match is_incomplete(reason) {
            true => "settling",
            false => "skipped",
        };
        let text = page.about(&format!("{word:<WORD$}"), path, &clean(&reason.text));
        self.say(&page.painted(&text, word, Tone::Care))
    }

    fn paused(&self, pause: &Pause) -> io::Result<()> {
        if self.output.json() {
            return self.output.line(&json!({
                "type": "error", "code": pause.reason.as_str(), "message": pause.text,
                "until": pause.until.map(rfc3339), "skipped": false,
            }));
        }
        let until = pause
            .until
            .map(|until| format!(" until {}", rfc3339(until)));
        let text = format!(
            "{}{}: {}",
            pause.reason.as_str().replace('_', " "),
            until.unwrap_or_default(),
            clean(&pause.text)
        );
        let line = self.page().text("paused    ", &text);
        self.say(&line)
    }
}

impl Onlooker for Teller {
    fn looked_at(&self, path: &Path) {
        self.with_live(|live| {
            live.read(path, 0, 0);
            live.found();
        });
    }

    fn reading(&self, path: &Path, read: u64, size: u64) {
        self.with_live(|live| live.read(path, read, size));
    }
}

impl Reporter for Teller {
    fn report(&self, event: &Event) {
        let mut told = lock(&self.state);
        if told.broken {
            return;
        }
        if let Err(error) = self.tell(&mut told, event) {
            told.broken = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::warn!("cannot tell any more what happens: {error}");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a pause ends when the service takes something again.
fn is_of_service(reason: PauseReason) -> bool {
    match reason {
        PauseReason::RateLimit | PauseReason::Offline => true,
        PauseReason::Key
        | PauseReason::Balance
        | PauseReason::Budget
        | PauseReason::Disk
        | PauseReason::Operator => false,
    }
}

/// What a done job lacks of the formats that were asked for.
fn not_written(job: &Job, outputs: &[Written]) -> Option<String> {
    if !matches!(job.stage, Stage::Done { .. }) || job.piece.is_some() {
        return None;
    }
    let is_there = |name: &str| outputs.iter().any(|output| output.format == name);
    let names = job.publication.formats.iter().map(|format| format.name());
    let lacking: Vec<&str> = names.filter(|name| !is_there(name)).collect();
    let wanted = lacking.join(",");
    // What was taken up as it lay there was never sent.
    let way = if job.attempts == 0 && job.settings.provider.is_paid() {
        let source = quoted(&job.source);
        format!("`stenod render -f {wanted} {source}` writes it, free of charge")
    } else {
        format!("`stenod show {}` tells why", job.id)
    };
    (!lacking.is_empty()).then(|| format!("{:<WORD$}no {}: {way}", "", lacking.join(", ")))
}

/// The line of a change, for the changes that a person wants to see.
fn line(page: Page, job: &Job, outputs: &[Written], is_trial: bool) -> Option<String> {
    let tone = Tone::of(job.stage.state());
    let named = |word: &str, whole: &str| {
        let start = format!("{word:<WORD$}");
        let is_narrow = |rest: &str| {
            let least = WORD + LEAST + rest.width();
            page.width().is_some_and(|columns| columns < least)
        };
        // What does not fit beside the name stands below it.
        let (rest, below) = match whole.split_once(" -> ") {
            Some((rest, files)) if is_narrow(whole) => (rest, format!("\n{:WORD$}-> {files}", "")),
            _ => (whole, String::new()),
        };
        let path = page.path(&job.source, WORD + rest.width());
        page.painted(&format!("{start}{path}{rest}{below}"), word, tone)
    };
    let because = |word: &str| {
        let reason = job.stage.reason().map(|reason| clean(&reason.text));
        let text = piece(job) + &reason.unwrap_or_default();
        let text = page.about(&format!("{word:<WORD$}"), &job.source, &text);
        page.painted(&text, word, tone)
    };
    match &job.stage {
        Stage::Queued { reason: None, .. }
        | Stage::Received { trouble: None, .. }
        | Stage::Committing => None,
        Stage::Split { pieces: 1 } => Some(named("cut", ": 1 piece")),
        Stage::Split { pieces } => Some(named("cut", &format!(": {pieces} pieces"))),
        Stage::Submitting if is_trial => Some(named("trying", &length(job))),
        Stage::Submitting => Some(named("started", &length(job))),
        Stage::Awaiting { overdue: None, .. } => Some(named("accepted", &length(job))),
        Stage::Queued {
            reason: Some(_), ..
        }
        | Stage::Waiting { .. }
        | Stage::Awaiting {
            overdue: Some(_), ..
        }
        | Stage::Received {
            trouble: Some(_), ..
        } => Some(because("waiting")),
        Stage::Done { .. } => {
            let whole = length(job) + &gains(job, outputs, false);
            let least = WORD + LEAST + whole.width();
            let fits = page.width().is_none_or(|columns| least <= columns);
            let rest = if fits {
                whole
            } else {
                length(job) + &gains(job, outputs, true)
            };
            Some(named("done", &rest))
        }
        Stage::Failed { .. } => Some(because("failed")),
        Stage::InDoubt { .. } => Some(because("in doubt")),
        Stage::Cancelled => Some(named("cancelled", "")),
    }
}

/// What was paid, and the files that were written for it: their names, or in short what they have beyond that
/// of the recording.
fn gains(job: &Job, outputs: &[Written], in_short: bool) -> String {
    let cost = job
        .cost
        .as_ref()
        .map(|cost| format!(", {cost}"))
        .unwrap_or_default();
    let names: Vec<String> = outputs
        .iter()
        .filter_map(|output| name(&output.path))
        .map(|name| match beyond(&name, job) {
            Some(suffix) if in_short => suffix,
            Some(_) | None => name,
        })
        .collect();
    // A piece has none.
    if names.is_empty() {
        return cost;
    }
    format!("{cost} -> {}", names.join(" "))
}

/// What a file's name has beyond that of its recording.
fn beyond(name: &str, job: &Job) -> Option<String> {
    let stem = shown(Path::new(job.source.file_stem()?));
    name.strip_prefix(&stem).map(ToOwned::to_owned)
}

/// Its length, and which piece of its recording it is.
fn length(job: &Job) -> String {
    let piece = piece(job);
    let piece = piece.trim_end_matches(": ");
    match (job.duration, piece) {
        (Some(duration), "") => format!(" ({duration})"),
        (Some(duration), piece) => format!(" ({piece}, {duration})"),
        (None, "") => String::new(),
        (None, piece) => format!(" ({piece})"),
    }
}

fn piece(job: &Job) -> String {
    job.piece
        .map(|piece| format!("piece {}: ", piece.number))
        .unwrap_or_default()
}

fn name(path: &Path) -> Option<String> {
    path.file_name().map(|name| shown(Path::new(name)))
}
