//! What others are told: which events there are, what a notice of each says, and when one that was not
//! taken is tried again.
//!
//! A notice names files, lengths, costs, codes and reasons; no word of a transcript is in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::audio::AudioDuration;
use super::job::{Job, JobId, Stage};
use super::mend::{mend, way_out};
use super::money::Amount;
use super::plain::{clean, lossy};
use super::timing::{LONGEST_RETRY_AFTER, rfc3339};

/// How long a receiver over the network is tried for one notice, at least: three days.
pub const LONGEST_AGE: Duration = Duration::from_secs(3 * 24 * 3600);
/// How often a command is run for one notice, at most.
pub const MOST_RUNS: u32 = 8;
/// How often a notice is tried before those after it no longer wait for it.
pub const PATIENCE: u32 = 8;
/// The wait after the first refusal; it triples with each one up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between two tries, unless the receiver asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(4 * 3600);
/// The share of a budget at which it is told that little is left, in hundredths.
pub const NEAR: i64 = 80;
/// The most characters of a sentence that is told.
const MOST_CHARS: usize = 1000;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A transcript was written.
    Done,
    /// A recording ended without a transcript, or waits for a person to say whether it is paid again.
    Failed,
    /// The whole queue waits.
    Paused,
    /// It goes on.
    Resumed,
    /// Four fifths of a budget are spent.
    Budget,
    /// What happened since the last one.
    Digest,
}

impl Event {
    /// Every event, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::Paused,
        Self::Resumed,
        Self::Budget,
        Self::Digest,
    ];

    /// The name in the configuration, in the table and in notices.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Budget => "budget",
            Self::Digest => "digest",
        }
    }

    /// The event with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }

    /// What is told of a job that moved from one stage to another, if anything is.
    pub fn of_move(from: &Stage, to: &Stage) -> Option<Self> {
        match to {
            // A transcript that was found beside its recording was written by nobody just now.
            Stage::Done { .. } => matches!(from, Stage::Received { .. }).then_some(Self::Done),
            Stage::Failed { .. } | Stage::InDoubt { retry_at: None, .. } => Some(Self::Failed),
            Stage::InDoubt {
                retry_at: Some(_), ..
            }
            | Stage::Queued { .. }
            | Stage::Waiting { .. }
            | Stage::Submitting
            | Stage::Committing
            | Stage::Split { .. }
            | Stage::Awaiting { .. }
            | Stage::Received { .. }
            | Stage::Cancelled => None,
        }
    }
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A program on this machine.
    Command,
    /// An address that takes signed requests.
    Webhook,
    /// A topic of an ntfy server.
    Ntfy,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Command, Self::Webhook, Self::Ntfy];

    /// The name in the table, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Webhook => "webhook",
            Self::Ntfy => "ntfy",
        }
    }

    /// The way with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == name)
    }
}

/// What happened, before it is known who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The event.
    pub event: Event,
    /// What of several that can be going on it is about: the reason of a pause.
    pub topic: String,
    /// Which job it is about, if it is about one.
    pub job: Option<(JobId, PathBuf)>,
    /// One sentence for a person.
    pub message: String,
    /// The same for programs.
    pub data: Value,
}

impl News {
    /// What is told of a job.
    pub fn of_job(event: Event, job: &Job, outputs: &[&Path]) -> Self {
        let name = name(&job.source);
        let reason = job.stage.reason();
        let why = reason.map_or_else(String::new, |reason| {
            let fix = way_out(job).map(|way| format!("; fix: {}", way.command));
            format!(
                " ({}): {}{}",
                reason.code,
                clean(&reason.text),
                fix.unwrap_or_default()
            )
        });
        let message = match &job.stage {
            Stage::Done { .. } => format!("{name} is transcribed{}", told_of_done(job, outputs)),
            Stage::InDoubt { .. } => {
                format!("{name} may have been paid for and waits for you{why}")
            }
            Stage::Queued { .. }
            | Stage::Waiting { .. }
            | Stage::Submitting
            | Stage::Committing
            | Stage::Split { .. }
            | Stage::Awaiting { .. }
            | Stage::Received { .. }
            | Stage::Failed { .. }
            | Stage::Cancelled => format!("{name} failed{why}"),
        };
        Self {
            event,
            topic: String::new(),
            job: Some((job.id, job.source.clone())),
            message,
            data: job_document(job, outputs),
        }
    }

    /// What is told of a pause.
    pub fn paused(reason: &str, text: &str, since: Timestamp, until: Option<Timestamp>) -> Self {
        let end = until.map(|until| format!(", until {} or a try", rfc3339(until)));
        let fix = mend(reason, None, "").map(|way| way.command);
        Self {
            event: Event::Paused,
            topic: reason.to_owned(),
            job: None,
            message: format!(
                "nothing is sent ({reason}{}): {}",
                end.unwrap_or_default(),
                clean(text)
            ),
            data: json!({
                "reason": reason, "since": rfc3339(since), "until": until.map(rfc3339),
                "message": text, "fix": fix,
            }),
        }
    }

    /// What is told of the end of a pause.
    pub fn resumed(reason: &str, since: Timestamp) -> Self {
        Self {
            event: Event::Resumed,
            topic: reason.to_owned(),
            job: None,
            message: format!(
                "it goes on: the pause ({reason}) since {} is over",
                rfc3339(since)
            ),
            data: json!({"reason": reason, "since": rfc3339(since)}),
        }
    }

    /// What is told of a budget of which little is left; both in dollars.
    pub fn near(name: &str, limit: Decimal, spent: Decimal, until: Option<Timestamp>) -> Self {
        let turn = until.map(|until| format!(" and begins anew at {}", rfc3339(until)));
        Self {
            event: Event::Budget,
            topic: name.to_owned(),
            job: None,
            message: format!(
                "{} of {} are spent ({name}); nothing goes beyond it{}",
                Amount::usd(spent),
                Amount::usd(limit),
                turn.unwrap_or_default()
            ),
            data: json!({
                "budget": name, "limit": limit.normalize().to_string(),
                "spent": spent.normalize().to_string(), "currency": "USD",
                "until": until.map(rfc3339),
            }),
        }
    }

    /// What is told of what happened since the last digest.
    pub fn digest(digest: &Digest) -> Self {
        let audio = AudioDuration::from_micros(digest.audio_micros);
        let charged: Vec<String> = digest.charged.iter().map(ToString::to_string).collect();
        let cost = Some(charged.join(" and ")).filter(|cost| !cost.is_empty());
        let cost = cost.map_or_else(String::new, |cost| format!(", {cost}"));
        let mut parts = vec![format!("{} transcribed ({audio}{cost})", digest.done)];
        if !digest.failed.is_empty() {
            parts.push(format!("failed: {}", counted(&digest.failed)));
        }
        if !digest.waiting.is_empty() {
            parts.push(format!("waiting: {}", counted(&digest.waiting)));
        }
        if digest.queued > 0 {
            parts.push(format!("{} to be sent", digest.queued));
        }
        if !digest.paused.is_empty() {
            parts.push(format!("nothing is sent ({})", digest.paused.join(", ")));
        }
        Self {
            event: Event::Digest,
            topic: String::new(),
            job: None,
            message: format!("since {}: {}", rfc3339(digest.since), parts.join("; ")),
            data: json!({
                "since": rfc3339(digest.since), "done": digest.done, "audio_seconds": audio.seconds(),
                "charged": digest.charged.iter().map(|amount| json!({
                    "amount": amount.value.normalize().to_string(), "currency": amount.currency.code(),
                })).collect::<Vec<_>>(),
                "failed": by_code(&digest.failed), "waiting": by_code(&digest.waiting),
                "queued": digest.queued, "paused": digest.paused,
            }),
        }
    }

    /// The whole notice, as it is sent.
    pub fn body(&self, now: Timestamp) -> Value {
        let message: String = self.message.chars().take(MOST_CHARS).collect();
        json!({
            "type": self.event.as_str(), "timestamp": rfc3339(now), "message": message,
            "data": self.data,
        })
    }
}

/// What happened since a moment, and what is in the way now.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Since when.
    pub since: Timestamp,
    /// How many transcripts were written.
    pub done: u64,
    /// The length of their recordings together, in millionths of a second.
    pub audio_micros: u64,
    /// What was charged, by currency.
    pub charged: Vec<Amount>,
    /// How many recordings failed, by code.
    pub failed: Vec<(String, u64)>,
    /// How many recordings wait now, by code.
    pub waiting: Vec<(String, u64)>,
    /// How many wait for their turn.
    pub queued: u64,
    /// What the whole queue waits for.
    pub paused: Vec<String>,
}

impl Digest {
    /// Whether anything happened, or anybody waits for a queue that stands still.
    pub fn is_news(&self) -> bool {
        let happened = self.done > 0 || !self.failed.is_empty() || !self.charged.is_empty();
        let waits = self.queued > 0 || !self.waiting.is_empty();
        happened || (waits && !self.paused.is_empty())
    }
}

/// `3 bad_request, 1 source_changed`.
fn counted(counts: &[(String, u64)]) -> String {
    let each = counts.iter().map(|(code, count)| format!("{count} {code}"));
    each.collect::<Vec<_>>().join(", ")
}

fn by_code(counts: &[(String, u64)]) -> Value {
    let each = counts
        .iter()
        .map(|(code, count)| (code.clone(), json!(count)));
    Value::Object(each.collect())
}

fn told_of_done(job: &Job, outputs: &[&Path]) -> String {
    let length = job.duration.map(|duration| duration.to_string());
    let cost = job.cost.as_ref().map(ToString::to_string);
    let files: Vec<String> = outputs.iter().map(|path| name(path)).collect();
    let files = Some(files.join(" ")).filter(|files| !files.is_empty());
    let parts: Vec<String> = [length, cost, files].into_iter().flatten().collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}

/// The last part of a path.
fn name(path: &Path) -> String {
    clean(
        &path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy(),
    )
}

/// A job for programs: the same in `list --json` and in notices.
pub fn job_document(job: &Job, outputs: &[&Path]) -> Value {
    let reason = job.stage.reason();
    json!({
        "id": job.id.0,
        "source": lossy(&job.source),
        "state": job.stage.state().as_str(),
        "stage": job.stage.name().as_str(),
        "reason": reason.as_ref().map(|reason| reason.code.clone()),
        "message": reason.map(|reason| reason.text),
        "fix": way_out(job).map(|mend| mend.command),
        "provider": job.settings.provider.name(),
        "model": job.settings.model,
        "language": job.settings.language,
        "route": job.route.as_ref().map(|chosen| chosen.route.as_str()),
        "duration": job.duration.map(|duration| duration.seconds()),
        "cost": job.cost.as_ref().map(|cost| cost.value.to_string()),
        "currency": job.cost.as_ref().map(|cost| cost.currency.code().to_owned()),
        "attempts": job.attempts,
        "run_id": job.run_id,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "next_attempt_at": job.stage.due().flatten().map(rfc3339),
        "outputs": outputs.iter().map(|path| lossy(path)).collect::<Vec<_>>(),
    })
}

/// A notice on its way to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Its number; no other notice of this table ever has it.
    pub id: i64,
    /// Its name for receivers, the same at every try, by which they know a repetition.
    pub name: String,
    /// What it is about.
    pub event: Event,
    /// The job, if it is about one.
    pub job: Option<JobId>,
    /// The job's recording, byte for byte.
    pub source: Option<PathBuf>,
    /// The notice as JSON, byte for byte the same at every try.
    pub body: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
}

/// The variables that a command finds beside its own environment; none of them is a setting.
pub const VARIABLES: [&str; 13] = [
    "STENOD_EVENT",
    "STENOD_MESSAGE",
    "STENOD_NOTICE_ID",
    "STENOD_JOB_ID",
    "STENOD_SOURCE",
    "STENOD_STATE",
    "STENOD_REASON",
    "STENOD_MODEL",
    "STENOD_LANGUAGE",
    "STENOD_DURATION",
    "STENOD_COST",
    "STENOD_CURRENCY",
    "STENOD_OUTPUTS",
];

impl Notice {
    /// The sentence for people.
    pub fn message(&self) -> String {
        let parsed: Option<Value> = serde_json::from_str(&self.body).ok();
        let message = parsed.as_ref().and_then(|body| body["message"].as_str());
        message.unwrap_or_default().to_owned()
    }

    /// The values of [`VARIABLES`], those left out that say nothing of this event.
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let data = &body["data"];
        let text = |name: &str| match &data[name] {
            Value::String(text) => Some(OsString::from(text)),
            Value::Number(number) => Some(OsString::from(number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let outputs = data["outputs"].as_array().map(|outputs| {
            let outputs: Vec<&str> = outputs.iter().filter_map(Value::as_str).collect();
            OsString::from(outputs.join("\n"))
        });
        let value = |name: &'static str| match name {
            "STENOD_EVENT" => Some(OsString::from(self.event.as_str())),
            "STENOD_MESSAGE" => body["message"].as_str().map(OsString::from),
            "STENOD_NOTICE_ID" => Some(OsString::from(&self.name)),
            "STENOD_JOB_ID" => self.job.map(|id| OsString::from(id.to_string())),
            "STENOD_SOURCE" => self.source.clone().map(PathBuf::into_os_string),
            "STENOD_STATE" => text("state"),
            "STENOD_REASON" => text("reason"),
            "STENOD_MODEL" => text("model"),
            "STENOD_LANGUAGE" => text("language"),
            "STENOD_DURATION" => text("duration"),
            "STENOD_COST" => text("cost"),
            "STENOD_CURRENCY" => text("currency"),
            "STENOD_OUTPUTS" => outputs.clone(),
            _ => None,
        };
        VARIABLES
            .into_iter()
            .filter_map(|name| Some((name, value(name)?)))
            .collect()
    }
}

/// What follows when a notice was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again after this long.
    Again(Duration),
    /// It is given up.
    GiveUp,
}

/// A notice that was not taken.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// By whom.
    pub way: Way,
    /// How often it was tried by now.
    pub tries: u32,
    /// How often its receiver took nothing in a row, this time with it.
    pub in_a_row: u32,
    /// How long ago it was made.
    pub age: Duration,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What follows when a notice was not taken; `jitter` is a random number in `0.0..1.0`.
///
/// One that is old because stenod did not run is given its tries all the same.
pub fn after_refusal(refusal: Refusal, jitter: f64) -> Next {
    let Refusal {
        tries, in_a_row, ..
    } = refusal;
    let is_over = match refusal.way {
        Way::Command => tries >= MOST_RUNS,
        Way::Webhook | Way::Ntfy => refusal.age >= LONGEST_AGE && tries.max(in_a_row) >= PATIENCE,
    };
    if is_over {
        Next::GiveUp
    } else {
        Next::Again(wait(tries, refusal.retry_after, jitter))
    }
}

/// The wait after `tries` refusals in a row: it triples each time, a quarter more or less by chance, and is
/// never below what the receiver asked for.
pub fn wait(tries: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let width = FIRST_WAIT.saturating_mul(3_u32.saturating_pow(tries.saturating_sub(1)));
    let wait = width
        .min(LONGEST_WAIT)
        .mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0);
    retry_after.map_or(wait, |least| wait.max(least.min(LONGEST_RETRY_AFTER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(body: &Value) -> Notice {
        Notice {
            id: 7,
            name: "abc-7".to_owned(),
            event: Event::Failed,
            job: Some(JobId(3)),
            source: Some(PathBuf::from("/r/a.wav")),
            body: body.to_string(),
            created_at: Timestamp::UNIX_EPOCH,
            tries: 0,
        }
    }

    fn refusal(way: Way, tries: u32) -> Refusal {
        Refusal {
            way,
            tries,
            in_a_row: tries,
            age: Duration::ZERO,
            retry_after: None,
        }
    }

    #[test]
    fn names_of_events_and_ways_lead_back_to_them() {
        for event in Event::ALL {
            assert_eq!(Event::named(event.as_str()), Some(event));
        }
        for way in Way::ALL {
            assert_eq!(Way::named(way.as_str()), Some(way));
        }
        assert_eq!(Event::named("Done"), None);
    }

    #[test]
    fn a_receiver_that_does_not_answer_is_asked_ever_more_seldom_for_three_days() {
        let (mut age, mut tries) = (Duration::ZERO, 0);
        let mut before = Duration::ZERO;
        loop {
            tries += 1;
            let refusal = Refusal {
                age,
                ..refusal(Way::Webhook, tries)
            };
            match after_refusal(refusal, 0.5) {
                Next::GiveUp => break,
                Next::Again(wait) => {
                    assert!(wait >= before && wait <= LONGEST_WAIT.mul_f64(1.25));
                    age += wait;
                    before = wait;
                }
            }
        }
        assert!(age >= LONGEST_AGE && tries < 40, "{tries} tries in {age:?}");
        let run = refusal(Way::Command, MOST_RUNS);
        assert_eq!(after_refusal(run, 0.0), Next::GiveUp);
    }

    #[test]
    fn what_is_old_because_nobody_was_there_to_tell_it_is_given_its_tries() {
        let old = Refusal {
            age: 2 * LONGEST_AGE,
            ..refusal(Way::Ntfy, 1)
        };
        assert!(matches!(after_refusal(old, 0.5), Next::Again(_)));
        let behind_others = Refusal {
            in_a_row: PATIENCE,
            ..old
        };
        assert_eq!(after_refusal(behind_others, 0.5), Next::GiveUp);
    }

    #[test]
    fn a_receiver_that_asks_for_time_is_given_it() {
        let asked = Duration::from_secs(600);
        assert_eq!(wait(1, Some(asked), 0.9), asked);
        assert_eq!(wait(1, Some(Duration::MAX), 0.9), LONGEST_RETRY_AFTER);
        assert!(wait(u32::MAX, None, 1.0) <= LONGEST_WAIT.mul_f64(1.25));
    }

    #[test]
    fn a_command_is_told_what_is_known_and_nothing_else() {
        let told = notice(&json!({"message": "a.wav failed", "data": {
            "state": "failed", "reason": "bad_request", "cost": null, "outputs": ["/r/a.txt", "/r/a.json"],
            "duration": 1.5,
        }}))
        .variables();
        let get = |name: &str| {
            let found = told.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string_lossy().into_owned())
        };
        assert_eq!(get("STENOD_EVENT").as_deref(), Some("failed"));
        assert_eq!(get("STENOD_SOURCE").as_deref(), Some("/r/a.wav"));
        assert_eq!(get("STENOD_REASON").as_deref(), Some("bad_request"));
        assert_eq!(get("STENOD_DURATION").as_deref(), Some("1.5"));
        assert_eq!(
            get("STENOD_OUTPUTS").as_deref(),
            Some("/r/a.txt\n/r/a.json")
        );
        assert_eq!(get("STENOD_COST"), None);
    }

    #[test]
    fn a_sentence_is_one_line_of_bearable_length() {
        let news = News::paused("offline", &"é\n".repeat(2000), Timestamp::UNIX_EPOCH, None);
        let body = news.body(Timestamp::UNIX_EPOCH);
        let message = body["message"].as_str().unwrap();
        assert_eq!(message.chars().count(), MOST_CHARS);
        assert!(!message.contains('\n'));
        assert_eq!(body["type"], "paused");
    }
}
