//! `stenod doctor`: checks each thing that has to work, and says how to mend what does not.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::output::{clean, shown};
use super::{DoctorArguments, Failure, Session, exit};
use crate::clock::SystemClock;
use crate::config::{self, Config, KeyOrigin};
use crate::domain::job::Provider;
use crate::domain::object::Installation;
use crate::domain::route::bytes;
use crate::queue::{DATABASE, Reader, running_instance};
use crate::session::{self, SetupError};

/// Less room than this, in bytes, is worth a word.
const LITTLE_ROOM: u64 = 1 << 30;
/// How long the service may take to answer.
const NETWORK_LIMIT: Duration = Duration::from_secs(20);
/// How long the storage may take for a trial.
const BUCKET_LIMIT: Duration = Duration::from_secs(60);
/// File systems of the network, by the magic numbers of `statfs(2)`, on which SQLite's locks do not hold.
const NETWORK_FILE_SYSTEMS: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x0102_1997, "9p"),
];

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    Note,
    Problem,
}

/// A check and how it ended.
#[derive(Debug, Clone)]
struct Check {
    name: &'static str,
    grade: Grade,
    text: String,
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            grade: Grade::Ok,
            text: text.into(),
            mend: None,
        }
    }

    fn note(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name,
            grade: Grade::Note,
            text: text.into(),
            mend: Some(mend.into()),
        }
    }

    fn problem(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            name,
            grade: Grade::Problem,
            text: text.into(),
            mend: Some(mend.into()),
        }
    }

    fn json(&self) -> Value {
        json!({
            "check": self.name, "result": self.grade.name(), "message": self.text, "fix": self.mend,
        })
    }

    fn line(&self) -> String {
        let text: Vec<String> = self.text.lines().map(clean).collect();
        let text = text.join(
            "
                  ",
        );
        let mut line = format!("{:<8} {:<8} {text}", self.grade.name(), self.name);
        if let Some(mend) = &self.mend {
            line.push_str(&format!("\n                  fix: {}", clean(mend)));
        }
        line
    }
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

pub(super) async fn execute(session: &Session, arguments: &DoctorArguments) -> Result<u8, Failure> {
    let loaded = Config::load(
        &session.environment,
        session.config_file.as_deref(),
        &session.overrides,
    );
    let checks = match loaded {
        Ok(config) => check_all(&config, arguments.offline).await,
        Err(errors) => {
            let mend = "`stenod config example` shows every setting";
            let mistakes = errors.mistakes().iter();
            mistakes
                .map(|mistake| Check::problem("config", mistake.to_string(), mend))
                .collect()
        }
    };
    let failed = checks.iter().any(|check| check.grade == Grade::Problem);
    if session.output.json() {
        let list: Vec<Value> = checks.iter().map(Check::json).collect();
        session
            .output
            .document(&json!({"ok": !failed, "checks": list}))?;
    } else {
        let lines: String = checks.iter().map(|check| check.line() + "\n").collect();
        session.output.data(&lines)?;
    }
    Ok(if failed { exit::UNEXPECTED } else { exit::DONE })
}

async fn check_all(config: &Config, offline: bool) -> Vec<Check> {
    let mut checks = vec![check_config(config)];
    checks.extend(
        config
            .warnings
            .iter()
            .map(|warning| Check::note("config", warning.as_str(), "see the configuration")),
    );
    checks.push(check_provider(config));
    checks.push(check_key(config));
    checks.extend(check_state(&config.state_dir));
    checks.extend(
        config
            .folders
            .iter()
            .map(|folder| check_folder(&folder.path)),
    );
    if config.folders.is_empty() {
        let mend = "add [[folders]] to the configuration, or name folders on the command line";
        checks.push(Check::note("folders", "no folder is configured", mend));
    }
    if offline {
        return checks;
    }
    if let Some(bucket) = &config.bucket {
        checks.extend(check_bucket(config, bucket).await);
    }
    if config.service.key.is_some() {
        checks.push(check_network(config).await);
    }
    checks
}

/// Puts an object into the bucket, fetches it by its link, and deletes it.
async fn check_bucket(config: &Config, settings: &config::Bucket) -> Vec<Check> {
    let name = "bucket";
    let bucket = match session::bucket(config) {
        Ok(Some(bucket)) => bucket,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::new(error));
            return vec![Check::problem(name, text, "correct [bucket]")];
        }
    };
    let nobody = Installation::nobody();
    let trial = bucket.try_out(&nobody);
    let trial = match tokio::time::timeout(BUCKET_LIMIT, trial).await {
        Ok(Ok(trial)) => trial,
        Ok(Err(error)) => {
            let text = format!("no name for an object can be made: {error}");
            return vec![Check::problem(name, text, "look at /dev/urandom")];
        }
        Err(_) => {
            let text = format!(
                "{} did not answer within {} s",
                settings.url,
                BUCKET_LIMIT.as_secs()
            );
            let mend = "check bucket.endpoint and the connection";
            return vec![Check::problem(name, text, mend)];
        }
    };
    let steps = [
        ("writing an object", Some(trial.put)),
        ("fetching it by a link", trial.fetch),
        ("deleting it", trial.remove),
    ];
    let mut checks: Vec<Check> = steps
        .into_iter()
        .filter_map(|(what, result)| Some((what, result?.err()?)))
        .map(|(what, error)| {
            let text = format!("{}: {what}: {error}", settings.url);
            Check::problem(name, text, error.mend())
        })
        .collect();
    if checks.is_empty() {
        let text = format!("{} can be written, fetched and deleted", settings.url);
        checks.push(Check::ok(name, text));
    }
    checks.extend(check_leftovers(&config.state_dir));
    checks
}

/// What could not be taken out of a bucket so far.
fn check_leftovers(state_dir: &Path) -> Option<Check> {
    // A table that cannot be read is told by its own check.
    let leftovers = Reader::open(state_dir).ok()??.leftovers().ok()?;
    let first = leftovers.first()?;
    let text = format!(
        "{} not taken out of {} so far: {}",
        leftovers.len(),
        first.bucket,
        first.trouble
    );
    let mend = "allow deleting there, and put that bucket back into the configuration if it is another; \
        stenod tries again by itself";
    Some(Check::note("bucket", text, mend))
}

fn check_config(config: &Config) -> Check {
    match &config.file {
        Some(file) => Check::ok("config", format!("{} is right", shown(file))),
        None => Check::ok("config", "no configuration file; the defaults apply"),
    }
}

fn check_provider(config: &Config) -> Check {
    match session::provider(config) {
        Ok(Provider::NanoGpt) => {
            Check::ok("provider", format!("NanoGPT, {}", config.transcribe.model))
        }
        Ok(Provider::OpenAi) => Check::ok(
            "provider",
            format!("OpenAI's endpoint at {}", config.service.base_url),
        ),
        Ok(Provider::Local) => Check::ok("provider", "the built-in recogniser"),
        Err(error) => {
            let mend = SetupError::hint(&error).unwrap_or("choose another provider");
            Check::problem("provider", error.to_string(), mend)
        }
    }
}

fn check_key(config: &Config) -> Check {
    match &config.service.key {
        Some(key) => {
            let origin = match key.origin() {
                KeyOrigin::Credential(path) => format!("the credential {}", shown(path)),
                KeyOrigin::File(path) => shown(path),
                KeyOrigin::Environment(variable) => (*variable).to_owned(),
            };
            Check::ok("key", format!("found in {origin}"))
        }
        None => Check::note(
            "key",
            "no key for the service",
            "set NANOGPT_API_KEY, or name a file as service.api_key_file",
        ),
    }
}

fn check_state(state_dir: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    match running_instance(state_dir) {
        Ok(Some(instance)) => checks.push(Check::ok(
            "instance",
            format!(
                "running since {} (process {})",
                instance.since, instance.pid
            ),
        )),
        Ok(None) => checks.push(Check::ok("instance", "not running")),
        Err(error) => {
            let text = format!("the lock of {} cannot be read: {error}", shown(state_dir));
            let mend = format!(
                "give it to the user that runs stenod: chown -R USER {}",
                shown(state_dir)
            );
            checks.push(Check::problem("state", text, mend));
        }
    }
    checks.push(check_table(state_dir));
    checks.push(check_disk(state_dir));
    checks
}

fn check_table(state_dir: &Path) -> Check {
    let path = state_dir.join(DATABASE);
    match Reader::open(state_dir).and_then(|reader| reader.map(|r| r.quick_check()).transpose()) {
        Ok(None) => Check::ok("table", "no job table yet"),
        Ok(Some(verdict)) if verdict == "ok" => {
            Check::ok("table", format!("{} is sound", shown(&path)))
        }
        Ok(Some(verdict)) => damaged_table(format!("{} is damaged: {verdict}", shown(&path))),
        Err(error) if error.is_damage() => {
            let error = anyhow::Error::new(error);
            damaged_table(format!("{} is damaged: {error:#}", shown(&path)))
        }
        Err(error) => {
            let text = format!(
                "{} cannot be read: {:#}",
                shown(&path),
                anyhow::Error::new(error)
            );
            Check::problem("table", text, "run doctor as the user that runs stenod")
        }
    }
}

fn damaged_table(text: String) -> Check {
    let mend = "start stenod again: what it finds damaged is set aside, and transcripts whose json lies \
        beside their recording are taken up free of charge";
    Check::problem("table", text, mend)
}

/// Room and kind of the file system that holds the state, or will hold it.
fn check_disk(state_dir: &Path) -> Check {
    let Some(there) = state_dir.ancestors().find(|path| path.exists()) else {
        return Check::problem(
            "disk",
            "no part of the state directory's path exists",
            "make it",
        );
    };
    let stat = match rustix::fs::statfs(there) {
        Ok(stat) => stat,
        Err(error) => {
            let text = format!("{} cannot be looked at: {error}", shown(there));
            return Check::problem("disk", text, "choose another state_dir");
        }
    };
    #[expect(
        clippy::useless_conversion,
        reason = "the type differs between platforms"
    )]
    let kind = i64::from(stat.f_type) & 0xFFFF_FFFF;
    if let Some((_, name)) = NETWORK_FILE_SYSTEMS
        .iter()
        .find(|(magic, _)| *magic == kind)
    {
        let text = format!(
            "{} lies on {name}, where the table's locks do not hold",
            shown(there)
        );
        return Check::problem("disk", text, "set state_dir to a local disk");
    }
    let room = stat
        .f_bavail
        .saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0));
    let text = format!("{} free at {}", bytes(room), shown(there));
    if room < LITTLE_ROOM {
        Check::note("disk", text, "make room, or set state_dir to another disk")
    } else {
        Check::ok("disk", text)
    }
}

fn check_folder(path: &Path) -> Check {
    use rustix::fs::Access;
    let name = shown(path);
    if let Err(error) = std::fs::read_dir(path) {
        let text = format!("{name} cannot be read: {error}");
        return Check::problem(
            "folder",
            text,
            "make it, mount it, or give stenod's user the right to read it",
        );
    }
    if rustix::fs::access(path, Access::WRITE_OK).is_err() {
        let mend = "give stenod's user the right to write there, or set output_dir";
        return Check::problem("folder", format!("{name} cannot be written"), mend);
    }
    Check::ok("folder", format!("{name} can be read and written"))
}

async fn check_network(config: &Config) -> Check {
    let base_url = &config.service.base_url;
    let service = match session::service(config, std::sync::Arc::new(SystemClock)) {
        Ok(Some(service)) => service,
        Ok(None) => return Check::ok("network", "not needed without a key"),
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::new(error));
            return Check::problem("network", text, "on Debian: apt install ca-certificates");
        }
    };
    match tokio::time::timeout(NETWORK_LIMIT, service.balance()).await {
        Ok(Ok(None)) => Check::ok("network", format!("{base_url} answers")),
        Ok(Ok(Some(balance))) => {
            let balance = balance.0.round_dp(2);
            Check::ok(
                "network",
                format!("{base_url} answers; the balance is ${balance}"),
            )
        }
        Ok(Err(error)) => Check::problem(
            "network",
            format!("{base_url}: {error}"),
            "check the key, service.base_url and the connection",
        ),
        Err(_) => Check::problem(
            "network",
            format!(
                "{base_url} did not answer within {} s",
                NETWORK_LIMIT.as_secs()
            ),
            "check service.base_url and the connection",
        ),
    }
}
