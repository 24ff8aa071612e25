//! `stenod status`: one screen on what is going on, whether the daemon runs or not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::output::{clean, placed, shown};
use super::text::{Page, Sheet};
use super::view::way;
use super::{Configured, Failure, Session, exit, flags, unsettled, view};
use crate::clock::{Calendar, rfc3339};
use crate::config::{self, Config};
use crate::control::Unsettled;
use crate::discover::is_gone;
use crate::disk::{QUICK, SILENT, each_in_time, in_time};
use crate::domain::job::State;
use crate::domain::mend::{Mend, mend};
use crate::domain::money::{Amount, Currency};
use crate::pipeline::prospect::{WithService, add_taken};
use crate::pipeline::{EXISTING, is_lodged_away};
use crate::queue::{
    FolderRow, Instance, Leftover, Outgoing, Pause, QueueError, Reader, Skipped, Spend, holder,
};
use crate::session;

/// What the commands begin with that go on with something.
const RUN: &str = "stenod run";
/// The most jobs of a state whose settings are compared with those of their folders.
const MOST_JUDGED: usize = 50;
/// The most jobs of a state that are looked at one by one.
const MOST_LOOKED_AT: usize = 10_000;
/// The columns of the names of what is told.
const NAMES: usize = 9;

struct Status {
    instance: Option<Instance>,
    counts: HashMap<State, u64>,
    pauses: Vec<Pause>,
    /// The commands that take up what is on its way.
    ways: Vec<String>,
    /// Whether some of what waits to be sent was asked for again.
    is_forced: bool,
    spend: Vec<Spend>,
    folders: Vec<(FolderRow, HashMap<String, u64>)>,
    failures: Vec<(String, u64)>,
    waits: Vec<(String, u64)>,
    skipped: usize,
    /// Files that are left alone for being there before the first start.
    left_alone: usize,
    /// What the service has taken and is not done with.
    with_service: WithService,
    unsettled: Unsettled,
    leftovers: Vec<Leftover>,
    /// What waits to be told to others.
    outgoing: Vec<Outgoing>,
}

pub(super) async fn execute(session: &Session) -> Result<u8, Failure> {
    let (Configured::Whole(config) | Configured::Running(config)) = session.config_to_ask()?;
    let mut status = Status::read(session, &config)?;
    if status.instance.is_some()
        && let Some(told) = unsettled::ask(&config, None).await
    {
        if told.watching.is_none() {
            status.forget_watching();
        }
        status.unsettled = told;
    }
    if session.output.json() {
        session.output.document(&status.json())?;
    } else {
        session
            .output
            .data(&status.text(&config, session.output.page()))?;
    }
    Ok(exit::DONE)
}

impl Status {
    fn read(session: &Session, config: &Config) -> Result<Self, Failure> {
        let instance = holder(&config.state_dir)?;
        let reader = Reader::open_as_found(&config.state_dir, session::doubt_policy(config))?;
        let configured = config.folders.iter().map(|folder| FolderRow {
            path: folder.path.clone(),
            mode: None,
            mode_reason: None,
            trouble: None,
            inside: None,
            scanned_at: None,
        });
        let mut status = Self {
            instance,
            counts: HashMap::new(),
            pauses: Vec::new(),
            ways: Vec::new(),
            is_forced: false,
            spend: Vec::new(),
            folders: configured.map(|folder| (folder, HashMap::new())).collect(),
            failures: Vec::new(),
            waits: Vec::new(),
            skipped: 0,
            left_alone: 0,
            with_service: WithService::default(),
            unsettled: Unsettled::default(),
            leftovers: Vec::new(),
            outgoing: Vec::new(),
        };
        if let Some(reader) = reader {
            let now = session.clock.now();
            status.counts = reader.counts()?;
            status.pauses = reader.pauses()?;
            // Nobody was there to end what is over.
            status
                .pauses
                .retain(|pause| pause.until.is_none_or(|until| until > now));
            if status.instance.is_none() {
                (status.ways, status.is_forced) = ways(&reader, config)?;
            }
            status.with_service = with_service(&reader)?;
            status.spend = reader.spend(Calendar::around(now))?;
            status.failures = reader.failures()?;
            status.waits = reader.waits()?;
            let bucket = config.bucket.as_ref().map(config::Bucket::place);
            status.leftovers = reader.leftovers(bucket.as_deref(), status.instance.is_none())?;
            status.outgoing = reader.outgoing()?;
            status.read_folders(config, &reader)?;
            status.count_skipped(reader.skipped()?);
        } else {
            status.forget_watching();
        }
        Ok(status)
    }

    /// Counts what was passed over and is still there.
    fn count_skipped(&mut self, mut skipped: Vec<Skipped>) {
        let is_left_alone = |file: &Skipped| file.reason.code == EXISTING;
        let before = skipped.len();
        skipped.retain(|file| !is_left_alone(file));
        self.left_alone = before - skipped.len();
        let asked = skipped.iter().map(|file| {
            let hangs = self.is_silent_at(&file.path);
            (!hangs).then(|| file.path.clone())
        });
        let asked: Vec<Option<PathBuf>> = asked.collect();
        let is_gone = |path: &Option<PathBuf>| path.as_deref().is_some_and(is_gone);
        let look = move || asked.iter().map(is_gone).collect::<Vec<_>>();
        // Where a disk hangs, what was there last is shown.
        let gone = in_time(QUICK, look).unwrap_or_default();
        let mut gone = gone.into_iter();
        skipped.retain(|_| !gone.next().unwrap_or(false));
        self.unsettled = unsettled::by_table(&skipped);
        let for_good = |file: &&Skipped| !unsettled::is_unsettled(file);
        self.skipped = skipped.iter().filter(for_good).count();
    }

    /// Whether whoever watches found that the disk of `path` hangs: to ask it as well may hang for good.
    fn is_silent_at(&self, path: &Path) -> bool {
        let silent = |folder: &FolderRow| folder.trouble.as_deref() == Some(SILENT);
        let mut folders = self.folders.iter();
        folders.any(|(folder, _)| silent(folder) && path.starts_with(&folder.path))
    }

    fn paths(&self) -> Vec<PathBuf> {
        let folders = self.folders.iter();
        folders.map(|(folder, _)| folder.path.clone()).collect()
    }

    /// What the table knows of a folder is said of it; folders that only runs have seen are added.
    fn read_folders(&mut self, config: &Config, reader: &Reader<'_>) -> Result<(), Failure> {
        let is_watched = self.instance.is_some();
        for known in reader.folders()? {
            let mut folders = self.folders.iter_mut();
            match folders.find(|(folder, _)| folder.path == known.path) {
                Some((folder, _)) => *folder = known,
                // What was named inside of a folder belongs to that, unless it is watched by itself.
                None if config.around(&known.path).is_some()
                    && !(is_watched && known.mode.is_some()) => {}
                None => self.folders.push((known, HashMap::new())),
            }
        }
        let shown = self.paths();
        let mut roots: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
        for root in reader.roots()? {
            let folder = match shown.contains(&root) {
                true => Some(root.as_path()),
                false => config.around(&root),
            };
            if let Some(folder) = folder {
                roots.entry(folder.to_owned()).or_default().push(root);
            }
        }
        for (folder, counts) in &mut self.folders {
            let roots = roots.remove(&folder.path).unwrap_or_default();
            *counts = reader.folder_counts(&roots)?;
        }
        if self.instance.is_none() {
            self.forget_watching();
        }
        for (folder, _) in &mut self.folders {
            let last = reader.last_lodged(&folder.path)?;
            if folder.trouble.is_none() && last.as_ref().is_some_and(is_lodged_away) {
                folder.trouble = Some(DISK_AWAY.to_owned());
            }
        }
        Ok(())
    }

    /// Where nobody watches, what whoever did so found says nothing of today.
    fn forget_watching(&mut self) {
        let paths = self.folders.iter().map(|(folder, _)| folder.path.clone());
        let now: Vec<_> = troubles(paths.collect()).collect();
        for ((folder, _), now) in self.folders.iter_mut().zip(now) {
            folder.mode = None;
            folder.mode_reason = None;
            let last = |trouble| format!("when stenod looked last: {trouble}");
            folder.inside = folder.inside.take().map(last);
            folder.trouble = now.or_else(|| folder.trouble.take().map(last));
        }
    }

    fn json(&self) -> Value {
        let jobs: serde_json::Map<String, Value> = State::ALL
            .into_iter()
            .map(|state| (state.as_str().to_owned(), json!(self.count(state))))
            .collect();
        json!({
            "running": self.instance.is_some(),
            "instance": self.instance.as_ref().map(|instance| {
                json!({"pid": instance.pid.parse::<u32>().ok(), "since": instance.since})
            }),
            "jobs": jobs,
            "paused": self.pauses.first().map(|pause| self.pause(pause)),
            "pauses": self.pauses.iter().map(|pause| self.pause(pause)).collect::<Vec<_>>(),
            "with_service": view::with_service(self.with_service),
            "spent": self.spent(),
            "folders": self.folders.iter().map(folder).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(|(code, count)| json!({"reason": code, "count": count, "fix": by_reason(code)})).collect::<Vec<_>>(),
            "waits": self.waits.iter().map(|(code, count)| json!({"reason": code, "count": count})).collect::<Vec<_>>(),
            "settling": unsettled::document(&self.unsettled),
            "skipped": self.skipped,
            "left_alone": self.left_alone,
            "bucket_leftovers": self.leftovers.iter().map(leftover).collect::<Vec<_>>(),
            "notices": self.outgoing.iter().map(outgoing).collect::<Vec<_>>(),
        })
    }

    fn pause(&self, pause: &Pause) -> Value {
        json!({
            "reason": pause.reason.as_str(), "since": rfc3339(pause.since),
            "until": pause.until.map(rfc3339), "message": pause.text,
            "fix": self.way_on(pause).map(|way| way.command),
        })
    }

    /// The way on after a pause, for whoever has to run stenod again.
    fn way_on(&self, pause: &Pause) -> Option<Mend> {
        let words = self.ways.first().and_then(|way| way.strip_prefix(RUN));
        way(
            pause.reason.as_str(),
            None,
            words.unwrap_or_default().trim(),
        )
    }

    fn pause_lines(&self, pause: &Pause, sheet: &mut Sheet) {
        let until = pause
            .until
            .map(|until| format!(" until {}", rfc3339(until)));
        let text = format!(
            "{} since {}{}: {}",
            pause.reason.as_str().replace('_', " "),
            rfc3339(pause.since),
            until.unwrap_or_default(),
            clean(&pause.text)
        );
        sheet.sentence("paused", &text);
        if let Some(way) = self.way_on(pause) {
            sheet.command("  fix:", &way);
        }
    }

    /// What goes on when stenod runs again, where nobody is at work.
    fn on_its_way(&self, sheet: &mut Sheet) {
        let queued = self.count(State::Queued);
        let queued = (queued > 0).then(|| format!("{queued} to be sent"));
        let parts: Vec<String> = self.with_service.text().into_iter().chain(queued).collect();
        if self.instance.is_some() || parts.is_empty() {
            return;
        }
        sheet.sentence("kept", &parts.join("; "));
        for command in self.ways.iter().filter(|_| self.pauses.is_empty()) {
            let way = Mend {
                command: command.clone(),
                note: match self.is_forced {
                    true => "goes on; what --force asked for is paid again, and nothing else",
                    false => "goes on; nothing that is paid is paid again",
                }
                .to_owned(),
            };
            sheet.command("  fix:", &way);
        }
    }

    fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    fn spent(&self) -> Value {
        let mut spent = serde_json::Map::new();
        let nothing = json!({"today": "0", "month": "0", "total": "0", "in_doubt": "0"});
        spent.insert(Currency::usd().code().to_owned(), nothing);
        for spend in &self.spend {
            let text = |amount: rust_decimal::Decimal| amount.normalize().to_string();
            let value = json!({
                "today": text(spend.today), "month": text(spend.month),
                "total": text(spend.total), "in_doubt": text(spend.in_doubt),
            });
            spent.insert(spend.currency.code().to_owned(), value);
        }
        Value::Object(spent)
    }

    fn text(&self, config: &Config, page: Page) -> String {
        let mut sheet = Sheet::new(page, NAMES);
        let running = match &self.instance {
            Some(instance) => format!(
                "running since {} (process {})",
                instance.since, instance.pid
            ),
            None => "not running".to_owned(),
        };
        sheet.whole("state", &shown(&config.state_dir));
        let counts = State::ALL
            .into_iter()
            .filter(|state| self.count(*state) > 0);
        let counts: Vec<String> = counts
            .map(|state| format!("{} {}", self.count(state), state.as_str().replace('_', " ")))
            .collect();
        let counts = if counts.is_empty() {
            "none so far".to_owned()
        } else {
            counts.join(", ")
        };
        sheet.sentence("jobs", &counts);
        self.on_its_way(&mut sheet);
        for pause in &self.pauses {
            self.pause_lines(pause, &mut sheet);
        }
        for spend in &self.spend {
            sheet.sentence("spent", &spend_line(spend));
        }
        for (folder, counts) in &self.folders {
            sheet.about("folder", &folder.path, &folder_line(folder, counts));
        }
        for (code, count) in &self.failures {
            let way = by_reason(code);
            sheet.beside("failed", &format!("{count} {code}"), &format!("fix: {way}"));
        }
        let why = format!("why: {}", placed("stenod list --state waiting"));
        for (code, count) in &self.waits {
            sheet.beside("waiting", &format!("{count} {code}"), &why);
        }
        let in_doubt = self.count(State::InDoubt);
        if in_doubt > 0 {
            let text = format!("{in_doubt} may have been paid for");
            let fix = format!("fix: {}", placed("stenod list --state in_doubt"));
            sheet.beside("in doubt", &text, &fix);
        }
        unsettled::lines(&self.unsettled, &mut sheet);
        if self.skipped > 0 {
            let text = format!("{} passed over as no usable recordings", self.skipped);
            sheet.sentence("skipped", &text);
        }
        if self.left_alone > 0 {
            let text = format!("{} that were there before the first start", self.left_alone);
            sheet.sentence("left", &text);
        }
        if let Some(first) = self.leftovers.first() {
            let text = format!(
                "{} not taken out of {} so far: {}",
                self.leftovers.len(),
                clean(&first.bucket),
                clean(&first.trouble)
            );
            sheet.sentence("bucket", &text);
        }
        for outgoing in &self.outgoing {
            sheet.sentence("notices", &outgoing_line(outgoing));
        }
        format!("{running}\n{}", sheet.text())
    }
}

/// What is wrong with a folder that is there while its disk is not.
const DISK_AWAY: &str = "the disk that its recordings lay on is not there; they wait for it";

/// What is wrong with each folder, as far as a look at its path tells.
fn troubles(folders: Vec<PathBuf>) -> impl Iterator<Item = Option<String>> {
    let looks = each_in_time(folders, QUICK, |path| is_gone(&path));
    looks.into_iter().map(|look| match look {
        Some(false) => None,
        Some(true) => Some("it is not there".to_owned()),
        None => Some(SILENT.to_owned()),
    })
}

fn spend_line(spend: &Spend) -> String {
    let amount = |value| {
        Amount {
            value,
            currency: spend.currency.clone(),
        }
        .to_string()
    };
    let mut line = format!(
        "{} today, {} this month, {} in all",
        amount(spend.today),
        amount(spend.month),
        amount(spend.total)
    );
    if !spend.in_doubt.is_zero() {
        line.push_str(&format!(", {} in doubt", amount(spend.in_doubt)));
    }
    line
}

fn leftover(leftover: &Leftover) -> Value {
    json!({
        "bucket": leftover.bucket, "object": leftover.name, "message": leftover.trouble,
        "tries": leftover.tries, "next_try_at": leftover.due_at.map(rfc3339),
    })
}

/// The command that tells of every job that failed for one reason, or tries them all again.
fn by_reason(code: &str) -> String {
    let is_retried =
        mend(code, None, "").is_some_and(|way| way.command.starts_with("stenod retry"));
    placed(&match is_retried {
        true => format!("stenod retry --reason {code}"),
        false => "stenod list --state failed".to_owned(),
    })
}

fn outgoing(outgoing: &Outgoing) -> Value {
    json!({
        "receiver": outgoing.way.as_str(), "waiting": outgoing.waiting,
        "since": outgoing.since.map(rfc3339), "message": outgoing.trouble,
        "given_up": outgoing.given_up,
        "last_given_up": outgoing.last.as_ref().map(|(at, why)| json!({"at": rfc3339(*at), "message": why})),
    })
}

/// What waits for a receiver and what was given up, each with the reason.
fn outgoing_line(outgoing: &Outgoing) -> String {
    let mut parts = Vec::new();
    if outgoing.waiting > 0 {
        let why = outgoing.trouble.as_deref().map(clean);
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        parts.push(format!("{} wait{why}", outgoing.waiting));
    }
    if let Some((at, why)) = &outgoing.last {
        let (count, at) = (outgoing.given_up, rfc3339(*at));
        parts.push(format!(
            "{count} given up, the last at {at} ({})",
            clean(why)
        ));
    }
    format!("{}: {}", outgoing.way.as_str(), parts.join("; "))
}

/// The commands that go on with what is on its way, with the settings that it has: by others it would be
/// paid for again. And whether some of it was asked for again.
fn ways(reader: &Reader<'_>, config: &Config) -> Result<(Vec<String>, bool), QueueError> {
    let mut jobs = Vec::new();
    for state in [State::Active, State::Queued, State::Waiting] {
        jobs.extend(reader.jobs(Some(state), MOST_JUDGED)?);
    }
    let is_forced = jobs.iter().any(|job| job.forced);
    Ok((flags::commands(config, &jobs), is_forced))
}

/// What the service has taken and is not done with.
fn with_service(reader: &Reader<'_>) -> Result<WithService, QueueError> {
    let mut taken = WithService::default();
    for job in reader.jobs(Some(State::Active), MOST_LOOKED_AT)? {
        add_taken(&mut taken, reader, &job)?;
    }
    Ok(taken)
}

fn folder((folder, counts): &(FolderRow, HashMap<String, u64>)) -> Value {
    json!({
        "path": view::path(&folder.path), "watch": folder.mode, "watch_reason": folder.mode_reason,
        "trouble": trouble(folder), "scanned_at": folder.scanned_at.map(rfc3339), "jobs": counts,
    })
}

/// What is wrong with a folder, else in it.
fn trouble(folder: &FolderRow) -> Option<&str> {
    folder.trouble.as_deref().or(folder.inside.as_deref())
}

fn folder_line(folder: &FolderRow, counts: &HashMap<String, u64>) -> String {
    let total: u64 = counts.values().sum();
    let done = counts.get("done").copied().unwrap_or(0);
    let mut line = match (total, folder.scanned_at) {
        (0, None) => "not looked at so far".to_owned(),
        (0, Some(_)) => "no jobs so far".to_owned(),
        (total, _) => format!("{done} of {total} done"),
    };
    if let Some(mode) = &folder.mode {
        let reason = folder.mode_reason.as_deref().unwrap_or_default();
        line.push_str(&format!(", watched by {mode} ({})", clean(reason)));
    }
    if let Some(trouble) = trouble(folder) {
        line.push_str(&format!(", {}", clean(trouble)));
    }
    line
}
