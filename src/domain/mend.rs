//! The way out of each failure: a stable code, and the command that mends it.
//!
//! One table for the whole program. `tests/mends.rs` reads the source and fails on a code without a row.

use super::job::{Job, JobId, Reason, Stage};
use super::plain::quoted;
use super::price::meant;

/// What a person can do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// A command to copy.
    pub command: String,
    /// What to do before it, or what it brings.
    pub note: String,
}

/// Code, command, and what to know about it; in both `{id}` and `{source}` stand for the job and its recording.
type Row = (&'static str, &'static str, &'static str);

const SERVICE: &[Row] = &[
    (
        "not_the_service",
        "stenod doctor",
        "check service.base_url: what answers there looks like no speech service",
    ),
    (
        "bucket_offline",
        "stenod doctor",
        "it goes on as soon as the bucket is reached, by itself where stenod is running",
    ),
    (
        "bucket",
        "stenod doctor",
        "doctor tries the bucket out and says what to mend; then it is sent at the next start",
    ),
    (
        "bucket_failed",
        "stenod doctor",
        "doctor tries the bucket out; it is tried again by itself where stenod is running",
    ),
    (
        "key_refused",
        "stenod doctor",
        "the service refused the key: put a valid one where doctor finds it",
    ),
    (
        "balance_empty",
        "stenod run {source}",
        "top up the balance first; then this goes on where it stopped",
    ),
    (
        "rate_limited",
        "stenod run {source}",
        "goes on in a while, by itself where stenod is running; a lower service.requests_per_second avoids it",
    ),
    (
        "redirected",
        "stenod doctor",
        "something between here and the service answers: check service.base_url and the proxy",
    ),
    (
        "offline",
        "stenod doctor",
        "it goes on as soon as the service is reached, by itself where stenod is running",
    ),
    (
        "service_unreachable",
        "stenod doctor",
        "it goes on as soon as the service is reached, by itself where stenod is running",
    ),
    (
        "service_overloaded",
        "stenod run {source}",
        "tries it again, free of charge; by itself where stenod is running",
    ),
    (
        "service_error",
        "stenod show {id}",
        "when it is in doubt, `stenod retry {id}` sends it again, which may pay twice",
    ),
    (
        "service_failed",
        "stenod retry {id}",
        "sends it once more, which may cost again; another --model may do better",
    ),
    (
        "not_found",
        "stenod doctor",
        "check service.base_url and the model; then `stenod retry {id}`",
    ),
    (
        "too_large_for_service",
        "stenod retry {id}",
        "set large.direct_limit below its size first; where pieces of it are paid, `stenod run --force` cuts anew, \
         which pays for all of it",
    ),
    (
        "not_agreed",
        "stenod run {source}",
        "says what it costs, and sends it when that is agreed to",
    ),
    (
        "format_refused",
        "stenod retry {id}",
        "convert the recording to MP3, M4A, Ogg or WAV, or choose another model, first",
    ),
    (
        "unprocessable",
        "stenod retry {id}",
        "check the model and the language first",
    ),
    (
        "bad_request",
        "stenod retry {id}",
        "sends it again as it was; `stenod run --model MODEL {source}` asks another model",
    ),
    (
        "reply_unreadable",
        "stenod retry {id}",
        "sends it again, which may pay twice",
    ),
    (
        "reply_lost",
        "stenod retry {id}",
        "sends it again, which may pay twice",
    ),
    (
        "reply_damaged",
        "stenod retry {id}",
        "sends it again, which costs again",
    ),
    (
        "poll_deadline",
        "stenod retry {id}",
        "asks at once, which costs nothing; `stenod cancel {id}` gives it up",
    ),
    (
        "run_unknown",
        "stenod retry {id}",
        "asks at once, which costs nothing; `stenod cancel {id}` gives it up",
    ),
    (
        "poll_unreadable",
        "stenod retry {id}",
        "asks at once, which costs nothing; `stenod cancel {id}` gives it up",
    ),
    (
        "upload_broken",
        "stenod run {source}",
        "tries it again, free of charge; by itself where stenod is running",
    ),
    (
        "interrupted",
        "stenod retry {id}",
        "sends it again, which may pay twice",
    ),
];

const SOURCE: &[Row] = &[
    (
        "poison",
        "stenod retry {id}",
        "tries it alone once more; perhaps better converted: ffmpeg -i {source} {source}.mp3",
    ),
    (
        "suspect",
        "stenod run {source}",
        "tries it alone, when nothing else is in hand; by itself where stenod is running",
    ),
    (
        "incomplete",
        "stenod retry {id}",
        "sends the pieces again that failed, and none of those that are there",
    ),
    (
        "piece_lost",
        "stenod run --force {source}",
        "cuts it anew, which pays for all of it again",
    ),
    (
        "spool_changed",
        "stenod retry {id}",
        "makes the smaller file again; nothing was sent",
    ),
    (
        "spool_unreadable",
        "stenod doctor",
        "look at the state directory; then `stenod retry {id}`",
    ),
    (
        "source_changed",
        "stenod run {source}",
        "it is sent as it is now, once it stays as it is",
    ),
    (
        "source_vanished",
        "stenod run {source}",
        "put the recording back first",
    ),
    (
        "source_away",
        "stenod doctor",
        "mount its disk again; it goes on by itself then",
    ),
    (
        "source_unreadable",
        "sudo setfacl -m u:$(id -u):r {source}",
        "lets you read it, and stenod if it runs as you; what waits goes on by itself then, what failed by `stenod retry {id}`",
    ),
    (
        "permission_denied",
        "sudo setfacl -m u:$(id -u):rX {source}",
        "lets you read it, and stenod if it runs as you; then `stenod run {source}`",
    ),
    (
        "unreadable",
        "stenod run {source}",
        "make it readable first: the disk or the mount fails",
    ),
    ("vanished", "stenod run {source}", "put it back first"),
    (
        "missing",
        "stenod doctor",
        "mount or make the folder, or mend its path in the configuration",
    ),
    (
        "no_answer",
        "stenod doctor",
        "its disk does not answer: look at the mount; it is looked at again by itself",
    ),
    (
        "growing",
        "stenod explain {source}",
        "it is taken once it stays unchanged for the settle time",
    ),
    (
        "too_young",
        "stenod explain {source}",
        "it is taken once it stays unchanged for the settle time",
    ),
    (
        "temporary_name",
        "stenod explain {source}",
        "rename it once it is complete, without what marks it as unfinished",
    ),
    (
        "empty",
        "stenod explain {source}",
        "it has no bytes: record or copy it again",
    ),
    (
        "cut_short",
        "stenod explain {source}",
        "copy it again whole; a broken recording can be repaired with ffmpeg",
    ),
    (
        "preallocated",
        "stenod run {source}",
        "it is taken when it changes, and as it is when nobody wrote into it for an hour",
    ),
    (
        "damaged",
        "ffmpeg -i {source} {source}.mp3",
        "keeps what can be read of it; better: copy it again whole",
    ),
    (
        "not_a_file",
        "stenod run {source}",
        "put a regular file there",
    ),
    (
        "not_audio",
        "stenod run {source}",
        "nothing to do if it is no recording; else convert it to MP3 or WAV",
    ),
    (
        "broken_link",
        "stenod run {source}",
        "mend or remove the link",
    ),
    (
        "folder_link",
        "stenod config show",
        "name the folder that the link leads to as a [[folders]] of its own",
    ),
    (
        "loop",
        "stenod explain {source}",
        "remove the link that leads back to itself",
    ),
    (
        "existing",
        "stenod run {source}",
        "transcribes it although existing = false leaves it out",
    ),
    (
        "unsupported",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
    (
        "no_audio_track",
        "stenod explain {source}",
        "there is no sound in it",
    ),
    (
        "protected",
        "stenod explain {source}",
        "it is encrypted: only an unprotected copy can be read",
    ),
    (
        "too_long",
        "stenod run {source}",
        "cut it into shorter recordings first",
    ),
    (
        "decoder_failed",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
    (
        "no_decoder",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
    (
        "sample_rate",
        "ffmpeg -i {source} -ar 16000 {source}.wav",
        "then `stenod run {source}.wav`",
    ),
    (
        "no_sound",
        "stenod explain {source}",
        "there is no sound in it",
    ),
    (
        "shorter",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
    (
        "encoder_failed",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
];

const RULES: &[Row] = &[
    (
        "hidden",
        "stenod run {source}",
        "rename it without the dot, or name it like this",
    ),
    (
        "pruned_folder",
        "stenod run {source}",
        "move it out of that folder, or name it like this",
    ),
    (
        "excluded",
        "stenod config show",
        "take the glob out of `exclude`",
    ),
    (
        "not_included",
        "stenod config show",
        "add a glob to `include`",
    ),
    (
        "ignored",
        "stenod plan {source}",
        "take the line out of that .stenodignore, or add one with `!` below it",
    ),
    (
        "own_folder",
        "stenod config show",
        "keep recordings out of the state directory, or move that with `state_dir`",
    ),
    (
        "folder_settings",
        "stenod explain {source}",
        "mend the file that is named: its recordings go on by themselves",
    ),
    (
        "left_out",
        "stenod explain {source}",
        "change the rule that is named: it goes on by itself then; `stenod cancel {id}` if it is to stay out",
    ),
    (
        "too_short",
        "stenod config show",
        "lower folders.min_length to have it transcribed",
    ),
    (
        "too_deep",
        "stenod config show",
        "set recursive = true for the folder",
    ),
    (
        "other_root",
        "stenod config show",
        "the inner folder's own settings decide",
    ),
    (
        "outside",
        "stenod run {source}",
        "or add a [[folders]] to the configuration",
    ),
];

const HERE: &[Row] = &[
    (
        "too_large",
        "stenod run --provider local {source}",
        "or set large.shrink, or a [bucket], in the configuration",
    ),
    (
        "foreign_format",
        "stenod run --provider local {source}",
        "or convert it to MP3, M4A, Ogg or WAV",
    ),
    (
        "over_file_budget",
        "stenod config show",
        "raise budget.per_file and run again",
    ),
    (
        "over_limit",
        "stenod run",
        "a run without --limit takes the rest",
    ),
    (
        "duplicate",
        "stenod status",
        "it takes the transcript of the other job as soon as that is done",
    ),
    ("cancelled", "stenod retry {id}", "queues it again"),
    (
        "superseded",
        "stenod retry {id}",
        "queues it again by its own settings, beside what was asked for since",
    ),
    (
        "not_recorded",
        "stenod doctor",
        "the job table cannot be written: check the disk of the state directory",
    ),
    (
        "not_written",
        "stenod doctor",
        "check the disk of the state directory",
    ),
    (
        "reply_unwritable",
        "stenod doctor",
        "check the disk of the state directory",
    ),
    (
        "output_unwritable",
        "stenod doctor",
        "give stenod's user the right to write there, or set output_dir",
    ),
    (
        "disk_full",
        "stenod doctor",
        "says which disk is full: make room; it goes on by itself where stenod is running",
    ),
    (
        "no_recogniser",
        "stenod doctor",
        "use a stenod that was built with the recogniser, or the service",
    ),
    (
        "model_unusable",
        "stenod retry {id}",
        "mend local.model_dir first: `stenod doctor` says what is wrong with it",
    ),
    (
        "undecodable",
        "ffmpeg -i {source} {source}.mp3",
        "then `stenod run {source}.mp3`",
    ),
    (
        "language_unknown",
        "stenod retry {id}",
        "ask for a language that the model knows, or `auto`",
    ),
    (
        "stopped",
        "stenod run {source}",
        "it was stopped on the way; this goes on with it",
    ),
];

const PAUSES: &[Row] = &[
    (
        "key",
        "stenod doctor",
        "the service refused the key: put a valid one where doctor finds it",
    ),
    (
        "balance",
        "stenod run {source}",
        "top up the balance first; then this goes on where it stopped",
    ),
    (
        "budget",
        "stenod run {source}",
        "when its time is over, or now with a higher limit in [budget]; a running stenod goes on by itself",
    ),
    (
        "rate_limit",
        "stenod run {source}",
        "goes on in a while, by itself where stenod is running; a lower service.requests_per_second avoids it",
    ),
    (
        "disk",
        "stenod doctor",
        "says which disk is full: make room; it goes on by itself where stenod is running",
    ),
    ("operator", "stenod resume", "a person paused it"),
];

/// Codes of a job's history that say what happened, and ask for nothing.
pub const NOTHING_TO_MEND: &[&str] = &[
    "accepted",
    "adopted",
    "format_left_out",
    "repeated",
    "reused",
];

/// Every code that has a way out.
pub fn codes() -> impl Iterator<Item = &'static str> {
    [SERVICE, SOURCE, RULES, HERE, PAUSES]
        .into_iter()
        .flatten()
        .map(|(code, ..)| *code)
}

/// The way out of what keeps a job from its transcript.
pub fn way_out(job: &Job) -> Option<Mend> {
    let reason = match &job.stage {
        Stage::Cancelled => Some(Reason::new("cancelled", "")),
        Stage::Queued { .. }
        | Stage::Waiting { .. }
        | Stage::Submitting
        | Stage::Committing
        | Stage::Split { .. }
        | Stage::Awaiting { .. }
        | Stage::Received { .. }
        | Stage::Done { .. }
        | Stage::Failed { .. }
        | Stage::InDoubt { .. } => job.stage.reason(),
    };
    mend(&reason?.code, Some(job.id), &quoted(&job.source))
}

/// Codes by which a service may refuse a model that it does not have.
const MODEL_REFUSED: &[&str] = &["bad_request", "not_found", "unprocessable"];

/// The way out of a failed job whose model is none of `models`: the one that was probably meant, else `usual`.
pub fn other_model<'m>(
    job: &Job,
    models: impl IntoIterator<Item = &'m str>,
    usual: &'m str,
) -> Option<Mend> {
    let Stage::Failed { reason } = &job.stage else {
        return None;
    };
    let (model, models) = (&job.settings.model, models.into_iter().collect::<Vec<_>>());
    let is_known = |known: &&str| known.eq_ignore_ascii_case(model);
    if !MODEL_REFUSED.contains(&reason.code.as_str()) || models.iter().any(is_known) {
        return None;
    }
    let nearest = meant(model, models);
    let (other, why) = match nearest {
        Some(meant) => (meant, "was probably meant"),
        None => (usual, "is one"),
    };
    let given = match job.settings.diarize {
        true => " --diarize",
        false => "",
    };
    Some(Mend {
        command: format!("stenod run --model {other}{given} {}", quoted(&job.source)),
        note: format!(
            "no list names a model `{model}`; {other} {why}: set transcribe.model to it for all that follow"
        ),
    })
}

/// The way out of `code`; `source` is the recording as a word for a shell.
pub fn mend(code: &str, id: Option<JobId>, source: &str) -> Option<Mend> {
    let tables = [SERVICE, SOURCE, RULES, HERE, PAUSES];
    let (_, command, note) = tables
        .into_iter()
        .flatten()
        .find(|(name, ..)| *name == code)?;
    let id = id.map_or_else(|| source.to_owned(), |id| id.to_string());
    let filled = |text: &str| text.replace("{id}", &id).replace("{source}", source);
    Some(Mend {
        command: filled(command).trim_end().to_owned(),
        note: filled(note),
    })
}
