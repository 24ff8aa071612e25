//! Looks at each thing that has to work, changing nothing.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::output::{clean, quoted, shown};
use super::super::{Failure, Session, unsettled};
use super::Check;
use super::judge::{self, FileSystem, Written};
use crate::config::{self, ApiKey, Config, KeyOrigin, Mistake, Place, Warning, read_secret_file};
use crate::discover::{
    Found, ModeReason, Root, RootMode, Roots, Scope, SkipReason, WatchLimit, outlook, scan,
};
use crate::disk::{PATIENCE, SILENT, each_in_time};
use crate::domain::job::Provider;
use crate::domain::near::nearest;
use crate::domain::price::Price;
use crate::pipeline::{self, is_lodged_away};
use crate::queue::{DATABASE, QueueError, Reader, open_to_others, running_instance};
use crate::session::{self, SetupError};
use crate::speech::services;
use crate::speech::{ClientError, Greeting, NoAnswer, Service};
use crate::supervise;

/// How long the service may take for all that it is asked.
const NETWORK_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn at_everything(
    session: &Session,
    config: &Config,
    offline: bool,
) -> Result<Vec<Check>, Failure> {
    let mut checks = vec![configuration(config)];
    // A key that others can read is told by its own check.
    let warnings = config.warnings.iter().filter(|warning| !warning.is_of_key);
    let note = |warning: &Warning| Check::note("config", &warning.text, &warning.mend);
    checks.extend(warnings.map(note));
    checks.extend(provider(config));
    checks.push(key(session, config));
    checks.extend(state(&config.state_dir, Written::of(config, "state_dir")));
    checks.extend(folders(config).await?);
    checks.push(model(config));
    checks.push(Check::ok(
        "tools",
        "none is needed: reading and encoding audio is built in",
    ));
    checks.extend(super::notify::checks(config, session.clock.clone(), offline).await);
    let bucket = config.bucket.as_ref();
    let secret_file = bucket.and_then(|bucket| bucket.secret_access_key_file.as_deref());
    checks.extend(secret_file.and_then(|file| exposed("bucket", file)));
    checks.extend(super::bucket::leftovers(config));
    if !offline {
        let bucket = async {
            match bucket {
                Some(settings) => super::bucket::checks(config, settings).await,
                None => Vec::new(),
            }
        };
        let network = tokio::time::timeout(NETWORK_LIMIT, network(session, config));
        let (bucket, network) = tokio::join!(bucket, network);
        checks.extend(bucket);
        checks.extend(network.unwrap_or_else(|_| vec![silent(config)]));
    }
    Ok(checks)
}

/// A service that did not answer in time.
fn silent(config: &Config) -> Check {
    let (url, limit) = (&config.service.base_url, NETWORK_LIMIT.as_secs());
    let text = format!("{url} did not answer within {limit} s");
    Check::problem("network", text, unreached(config))
}

fn configuration(config: &Config) -> Check {
    match &config.file {
        Some(file) => Check::ok("config", format!("{} is right", shown(file))),
        None => Check::ok("config", "no configuration file; the defaults apply"),
    }
}

/// Who recognises; a key that cannot be had is told by its own check.
fn provider(config: &Config) -> Option<Check> {
    Some(match session::provider(config) {
        Ok(provider) => match services::of(provider) {
            Some(service) => {
                let text = match service.address {
                    Some(_) => format!("{}, {}", service.title, config.transcribe.model),
                    None => format!("{} at {}", service.title, config.service.base_url),
                };
                Check::ok("provider", text)
            }
            None => Check::ok("provider", "the built-in recogniser"),
        },
        Err(SetupError::KeyTrouble(_)) => return None,
        Err(error) => {
            let written = Written::of(config, "service.provider");
            let other = || written.instead("service", "provider = \"auto\"").into();
            let mend = SetupError::hint(&error).unwrap_or_else(other);
            Check::problem("provider", error.to_string(), mend)
        }
    })
}

fn key(session: &Session, config: &Config) -> Check {
    if let Some(trouble) = &config.service.key_trouble {
        let mend = another_key(session, config);
        let text = Mistake {
            mend: None,
            ..*trouble.clone()
        };
        let text = text.to_string();
        return if config.service.provider == config::Provider::Local {
            Check::note("key", text, mend)
        } else {
            Check::problem("key", text, mend)
        };
    }
    let Some(key) = &config.service.key else {
        if config.service.provider == config::Provider::Local {
            return Check::ok("key", "none is needed for the built-in recogniser");
        }
        let mend = another_key(session, config);
        return Check::note("key", "no key for the service", mend);
    };
    match key.origin() {
        KeyOrigin::Environment(variable) => Check::ok("key", format!("found in {variable}")),
        // systemd hands it over in a folder that only the service reads.
        KeyOrigin::Credential(path) => {
            Check::ok("key", format!("found in the credential {}", shown(path)))
        }
        KeyOrigin::File(path) => match read_secret_file(path) {
            Ok(found) => judge::key_file(path, found.mode),
            Err(error) => Check::problem(
                "key",
                format!("{} {error}", shown(path)),
                another_key(session, config),
            ),
        },
    }
}

/// A secret that others can read, besides the key.
pub(super) fn exposed(name: &'static str, path: &Path) -> Option<Check> {
    // What cannot be read is told by whoever needs it.
    let found = read_secret_file(path).ok()?;
    let is_credential =
        std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.starts_with(folder));
    (found.is_exposed() && !is_credential).then(|| {
        let text = format!(
            "{} can be read by others (mode {:03o})",
            shown(path),
            found.mode
        );
        Check::problem(name, text, format!("chmod 600 {}", quoted(path)))
    })
}

/// The command that gives another key to what looks for one, and changes nothing else.
fn another_key(session: &Session, config: &Config) -> String {
    let service = &config.service;
    let trouble = service.key_trouble.as_ref().map(|trouble| &trouble.place);
    let variable = match (service.key.as_ref().map(ApiKey::origin), trouble) {
        (Some(KeyOrigin::Credential(_)), _) => Some("CREDENTIALS_DIRECTORY"),
        (Some(KeyOrigin::Environment(variable)), _) => Some(*variable),
        (_, Some(Place::Variable(variable))) if service.key_file.is_none() => {
            Some(variable.as_str())
        }
        (Some(KeyOrigin::File(_)) | None, _) => None,
    };
    let named_by = Written::of(config, "service.api_key_file");
    if let Some(folder) = service.key_file.as_deref().filter(|file| file.is_dir()) {
        return in_a_file_of(folder, named_by);
    }
    match (variable, &config.file, &service.key_file) {
        (Some("CREDENTIALS_DIRECTORY"), ..) => {
            "sudo systemctl edit stenod   # LoadCredential=api-key:FILE names the file that holds it"
                .to_owned()
        }
        (Some(variable), ..) => {
            format!("read -rs {variable}; export {variable}   # then paste the key, and Enter")
        }
        (None, _, Some(file)) if named_by.is_by_variable() || config.file.is_none() => format!(
            "install -m 600 /dev/stdin {}   # then paste the key, Enter, Ctrl-D",
            quoted(file)
        ),
        (None, file, _) => {
            let usual = Config::home(&session.environment, None);
            let named = file.as_ref().filter(|file| usual.as_ref() != Some(*file));
            let named = named.map(|file| format!(" -c {}", quoted(file)));
            let named = named.unwrap_or_default();
            format!(
                "stenod{named} init --key-file -   # asks for the key, tries it, and changes nothing else"
            )
        }
    }
}

/// What gives a key to what was told that a folder is the file that holds it.
fn in_a_file_of(folder: &Path, named_by: Written<'_>) -> String {
    let file = folder.join("key");
    let line = format!("api_key_file = {:?}, a file and no folder", shown(&file));
    match named_by.is_by_variable() {
        true => format!(
            "install -m 600 /dev/stdin {0} && export STENOD_SERVICE__API_KEY_FILE={0}   # then paste the key, Enter, Ctrl-D",
            quoted(&file)
        ),
        false => named_by.instead(
            "service",
            &format!("{line}; `stenod init --key-file -` writes it"),
        ),
    }
}

/// Who runs this, and stenod with the same configuration.
fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn state(state_dir: &Path, written: Written<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let me = me();
    let owner = state_dir.metadata().ok().map(|metadata| metadata.uid());
    checks.extend(owner.and_then(|owner| judge::state_owner(state_dir, owner, me)));
    let is_writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    let nearest = state_dir.ancestors().find(|path| path.exists());
    if let Some(above) = nearest.filter(|above| *above != state_dir && !is_writable(above)) {
        checks.push(Check::problem(
            "state",
            format!(
                "{} cannot be made: {} cannot be written",
                shown(state_dir),
                shown(above)
            ),
            format!("sudo install -d -m 700 -o {me} {}", quoted(state_dir)),
        ));
    }
    if owner == Some(me) && !is_writable(state_dir) {
        let mend = format!("chmod u+rwx {}", quoted(state_dir));
        checks.push(Check::problem(
            "state",
            format!("{} cannot be written", shown(state_dir)),
            mend,
        ));
    }
    if let Some(mode) = open_to_others(state_dir) {
        let text = format!(
            "others than its owner may look into {} (mode {mode:o}), where replies lie",
            shown(state_dir)
        );
        let mend = format!("chmod 700 {}", quoted(state_dir));
        checks.push(Check::note("state", text, mend));
    }
    match running_instance(state_dir) {
        Ok(Some(instance)) => {
            let text = format!(
                "running since {} (process {})",
                instance.since, instance.pid
            );
            checks.push(Check::ok("instance", text));
        }
        Ok(None) => checks.push(Check::ok("instance", "not running")),
        Err(error) => {
            let text = format!("the lock of {} cannot be read: {error}", shown(state_dir));
            let mend = if error.kind() == std::io::ErrorKind::NotADirectory {
                let line = "state_dir = \"/var/lib/stenod\", or another folder";
                written.instead("", line)
            } else {
                format!(
                    "sudo chown -R {me} {}   # or run doctor as its owner",
                    quoted(state_dir)
                )
            };
            checks.push(Check::problem("state", text, mend));
            // What cannot be looked into has nothing to be said about its table.
            return checks;
        }
    }
    checks.push(table(state_dir));
    checks.push(disk(state_dir, written));
    checks
}

fn table(state_dir: &Path) -> Check {
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
        Err(error @ QueueError::NewerSchema { .. }) => {
            let mend = "install that stenod again, or go back to a copy of the table (README, \"Looking after the job table\")";
            Check::problem("table", error.to_string(), mend)
        }
        Err(error) => {
            let text = format!(
                "{} cannot be read: {:#}",
                shown(&path),
                anyhow::Error::new(error)
            );
            let owner = path.metadata().ok().map(|there| there.uid());
            let mend = match owner.filter(|owner| *owner != me()) {
                Some(owner) => format!("sudo -u '#{owner}' stenod doctor   # as the table's owner"),
                None => format!("ls -la {}", quoted(state_dir)),
            };
            Check::problem("table", text, mend)
        }
    }
}

fn damaged_table(text: String) -> Check {
    let mend = "stenod run   # sets the table aside and stops; the same again begins a new one, and transcripts \
        whose json lies beside their recording are taken up free of charge";
    Check::problem("table", text, mend)
}

/// The file system that holds the state, or will hold it.
fn disk(state_dir: &Path, written: Written<'_>) -> Check {
    let Some(there) = state_dir.ancestors().find(|path| path.exists()) else {
        return Check::problem(
            "disk",
            "no part of the state directory's path exists",
            format!("mkdir -p {}", quoted(state_dir)),
        );
    };
    match file_system(there) {
        Ok(found) => judge::state_disk(there, found, written),
        Err(error) => {
            let text = format!("{} cannot be looked at: {error}", shown(there));
            let line = "state_dir = \"/var/lib/stenod\", or another folder";
            Check::problem("disk", text, written.instead("", line))
        }
    }
}

fn file_system(path: &Path) -> Result<FileSystem, rustix::io::Errno> {
    let stat = rustix::fs::statfs(path)?;
    #[expect(
        clippy::useless_conversion,
        reason = "the type differs between platforms"
    )]
    let kind = i64::from(stat.f_type) & 0xFFFF_FFFF;
    let room = stat
        .f_bavail
        .saturating_mul(u64::try_from(stat.f_bsize).unwrap_or(0));
    Ok(FileSystem { kind, room })
}

async fn folders(config: &Config) -> Result<Vec<Check>, Failure> {
    let instead = unsettled::watched_instead(config).await;
    let named = instead.iter().map(|path| config::Folder {
        path: path.clone(),
        ..config.for_path(path)
    });
    let folders: Vec<config::Folder> = if instead.is_empty() {
        config.folders.clone()
    } else {
        named.collect()
    };
    if folders.is_empty() {
        let mend = "stenod init .   # takes this folder, and any others named beside it";
        return Ok(vec![Check::note(
            "folders",
            "no folder is configured",
            mend,
        )]);
    }
    let silent = silent_by_table(config);
    let (silent, asked): (Vec<_>, Vec<_>) = folders
        .into_iter()
        .partition(|folder| silent.contains(&folder.path));
    let named = asked.iter().cloned();
    let line = "output_dir = \"\" (beside the recordings), or a folder";
    let mend = Written::of(config, "transcribe.output_dir").instead("transcribe", line);
    let each: Vec<(config::Folder, String)> = named.map(|each| (each, mend.clone())).collect();
    let looks = each_in_time(each, PATIENCE, |(each, mend): (config::Folder, String)| {
        folder(&each, &mend)
    });
    let looked = asked.into_iter().zip(looks);
    let mut checks: Vec<Check> = silent
        .iter()
        .map(|folder| judge::silent(&folder.path))
        .collect();
    let mut folders = Vec::new();
    for (folder, look) in looked {
        match look {
            Some(check) => {
                checks.push(check);
                folders.push(folder);
            }
            None => checks.push(judge::silent(&folder.path)),
        }
    }
    checks.extend(disks_away(config, &folders));
    if !silent.is_empty() {
        return Ok(checks);
    }
    // Who recognises makes no difference to what is watched.
    let roots = session::places(config, &instead, Provider::LOCAL);
    if let Ok(places) = roots {
        let looked = supervise::blocking(move || {
            let answering = places.roots.iter().filter(|root| root.answers());
            let mut checks: Vec<Check> = answering.filter_map(|root| unreadable(root)).collect();
            let answering = places
                .places
                .into_iter()
                .filter(|place| place.root.answers());
            checks.extend(answering.flat_map(mistaken));
            (checks, watched(&places.roots))
        });
        let (unreadable, (watched, folders, limit)) = looked.await?;
        checks.extend(unreadable);
        checks.extend(watched.iter().flat_map(judge::watched));
        checks.push(judge::watches(folders, limit));
    }
    Ok(checks)
}

/// The folders of which whoever watches found that they hang: to ask them as well may hang for good.
fn silent_by_table(config: &Config) -> HashSet<PathBuf> {
    if !matches!(running_instance(&config.state_dir), Ok(Some(_))) {
        return HashSet::new();
    }
    // What is wrong with the table is told elsewhere.
    let reader = Reader::open(&config.state_dir).ok().flatten();
    let folders = reader.and_then(|reader| reader.folders().ok());
    let silent = folders.unwrap_or_default().into_iter();
    silent
        .filter(|folder| folder.trouble.as_deref() == Some(SILENT))
        .map(|folder| folder.path)
        .collect()
}

/// The folders that are there while the disk is not that their recordings lay on.
fn disks_away(config: &Config, folders: &[config::Folder]) -> Vec<Check> {
    // What is wrong with the table is told elsewhere.
    let Some(reader) = Reader::open(&config.state_dir).ok().flatten() else {
        return Vec::new();
    };
    let is_away = |folder: &&config::Folder| {
        let last = reader.last_lodged(&folder.path).ok().flatten();
        folder.path.exists() && last.as_ref().is_some_and(is_lodged_away)
    };
    let away = folders.iter().filter(is_away);
    let check = |folder: &config::Folder| {
        let name = shown(&folder.path);
        let text = format!("the disk that the recordings of {name} lay on is not there");
        let mend = format!(
            "mount {}   # mount it again: they wait for it, and nothing is paid twice",
            quoted(&folder.path)
        );
        Check::problem("folder", text, mend)
    };
    away.map(check).collect()
}

/// How each root would be watched with the watches that are allowed, in how many folders if there were enough,
/// and how many are allowed.
fn watched(roots: &Roots) -> (Vec<RootMode>, usize, Option<WatchLimit>) {
    let limit = WatchLimit::read();
    let all = outlook(roots, usize::MAX);
    let folders = all.iter().map(|mode| mode.watched_folders).sum();
    let Some(limit) = limit.filter(|limit| folders > limit.watches) else {
        return (all, folders, limit);
    };
    let mut modes = outlook(roots, limit.watches);
    for mode in &mut modes {
        if matches!(mode.reason, ModeReason::OwnLimit { .. }) {
            let mend = Some(limit.mend(folders));
            mode.reason = ModeReason::WatchLimit { mend };
        }
    }
    (modes, folders, Some(limit))
}

/// The mistakes in files that lie in a folder of recordings and say how those are transcribed.
fn mistaken(place: pipeline::Place) -> Vec<Check> {
    let place = Arc::new(place);
    let (mut looked, mut texts) = (HashSet::new(), BTreeSet::new());
    scan(&place.root, &Scope::Root, &mut |found| {
        if let Found::Recording { path, local, .. } = found
            && looked.insert(path.parent().map(Path::to_owned))
            && let Err(mistaken) = place.below(&local)
        {
            texts.insert(mistaken.reason().text);
        }
        ControlFlow::Continue(())
    });
    let mend = "mend that file; recordings beside and below it wait until then";
    let problem = |text| Check::problem("folder", text, mend);
    texts.into_iter().map(problem).collect()
}

/// What in a folder that is there cannot be read.
fn unreadable(root: &Root) -> Option<Check> {
    let (mut count, mut first) = (0, None);
    scan(root, &Scope::Root, &mut |found| {
        if let Found::Skipped {
            path,
            reason: SkipReason::Unreadable(error) | SkipReason::ClosedFolder(error),
        } = found
        {
            count += 1;
            first.get_or_insert((path, error));
        }
        ControlFlow::Continue(())
    });
    let (path, error) = first?;
    Some(judge::unreadable(root.path(), count, &path, &error, me()))
}

/// One folder of recordings, and the way to another place for its transcripts.
fn folder(folder: &config::Folder, other_output: &str) -> Check {
    use rustix::fs::Access;
    let path = &folder.path;
    let looked = std::fs::metadata(path).and_then(|there| {
        if there.is_dir() {
            std::fs::read_dir(path)?;
        } else {
            rustix::fs::access(path, Access::READ_OK)?;
        }
        Ok(there.is_dir())
    });
    let beside = match &looked {
        // Transcripts of a single recording are written beside it.
        Ok(false) => path.parent().unwrap_or(path),
        Ok(true) | Err(_) => path,
    };
    if let Err(error) = looked {
        let text = format!("{} cannot be read: {error}", shown(path));
        let mend = if error.kind() == std::io::ErrorKind::NotFound {
            format!("mkdir -p {}   # or mount it", quoted(path))
        } else {
            format!("sudo setfacl -R -m u:{}:rX {}", me(), quoted(path))
        };
        return Check::problem("folder", text, mend);
    }
    let target = folder.transcribe.output_dir.as_deref().unwrap_or(beside);
    let there = target
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(target);
    if !there.is_dir() {
        let text = format!(
            "{} is no folder, and transcripts belong below it",
            shown(there)
        );
        return Check::problem("folder", text, other_output);
    }
    if rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let mend = format!(
            "sudo setfacl -R -m u:{}:rwX {}   # or set output_dir",
            me(),
            quoted(there)
        );
        return Check::problem(
            "folder",
            format!("{} cannot be written", shown(there)),
            mend,
        );
    }
    match file_system(there) {
        Ok(found) => judge::folder_disk(path, folder.transcribe.output_dir.as_deref(), found),
        Err(error) => Check::note(
            "folder",
            format!("{}: {error}", shown(there)),
            format!("findmnt -T {}   # looks at its mount", quoted(there)),
        ),
    }
}

fn model(config: &Config) -> Check {
    let tried = session::try_settings(config);
    if let Err(error @ (SetupError::EnglishOnly { .. } | SetupError::NoTranscription { .. })) =
        tried
    {
        let mend = error.hint().unwrap_or_else(|| {
            let usual = format!("model = \"{}\"", services::USUAL.model);
            Written::of(config, "transcribe.model")
                .instead("transcribe", &usual)
                .into()
        });
        return Check::problem("model", error.to_string(), mend);
    }
    let Some(folder) = &config.local.model_dir else {
        return Check::ok("model", "the built-in one, for what is recognised here");
    };
    let missing = ["config.json", "tokenizer.json"]
        .into_iter()
        .find(|name| !folder.join(name).is_file());
    match missing {
        None => Check::ok("model", format!("{} has its files", shown(folder))),
        Some(name) => Check::problem(
            "model",
            format!("local.model_dir = {} has no {name}", shown(folder)),
            Written::of(config, "local.model_dir").instead(
                "local",
                "model_dir = \"\" (the built-in one), or a folder that holds a Whisper checkpoint",
            ),
        ),
    }
}

/// The service, the key, the money and the clock, by one question that costs nothing.
async fn network(session: &Session, config: &Config) -> Vec<Check> {
    let base_url = &config.service.base_url;
    let made = session::service(config, session.clock.clone());
    let service = match made {
        Ok(Some(service)) => service,
        Ok(None) => return vec![Check::ok("network", "not needed without a key")],
        Err(SetupError::Client(error)) => return vec![no_client(session, config, error)],
        Err(error) => {
            return vec![Check::problem(
                "network",
                error.to_string(),
                "stenod config check",
            )];
        }
    };
    let mut checks = models(config, service.as_ref()).await;
    checks.extend(match service.greet().await {
        Ok(greeting) => greeted(session, config, &greeting),
        Err(NoAnswer::Unreachable(text) | NoAnswer::Broken { text, .. }) => vec![Check::problem(
            "network",
            format!("{base_url}: {text}"),
            unreached(config),
        )],
        Err(NoAnswer::Withheld(_) | NoAnswer::OtherForm | NoAnswer::Source(_)) => Vec::new(),
    });
    checks
}

/// The models that a service is asked for whose models are known, as far as no list of prices names them.
async fn models(config: &Config, service: &dyn Service) -> Vec<Check> {
    let meant = session::meant(config).ok().and_then(services::of);
    if meant.is_none_or(|service| service.prices.is_none()) {
        return Vec::new();
    }
    let catalogue = service.prices().await;
    let catalogue = catalogue.unwrap_or_else(|| session::known_prices(config));
    let folders = config.folders.iter().map(|folder| &folder.transcribe.model);
    let mut models: Vec<&String> = folders.chain([&config.transcribe.model]).collect();
    models.sort();
    models.dedup();
    let is_unknown = |model: &&String| Price::of(model, &catalogue, None).is_none();
    let unknown = models.into_iter().filter(is_unknown);
    let unknown = unknown.map(|model| {
        let mend = match nearest(model, catalogue.models()) {
            Some(meant) => {
                let line = format!("model = \"{meant}\" (that was probably meant)");
                Written::of(config, key_of(config, model)).instead("transcribe", &line)
            }
            None => "stenod config show --origin   # tells where transcribe.model is set; a new model may have no price yet".to_owned(),
        };
        let text = format!("{} is in no list of models and prices", clean(model));
        Check::note("model", text, mend)
    });
    unknown.collect()
}

/// The key that asks for a model; one of a folder's own stands in the file.
fn key_of(config: &Config, model: &str) -> &'static str {
    match config.transcribe.model == model {
        true => "transcribe.model",
        false => "folders.model",
    }
}

/// What to look at where the service does not answer as it should.
fn unreached(config: &Config) -> String {
    let base_url = &config.service.base_url;
    let service = session::meant(config).ok().and_then(services::of);
    let usual = service.and_then(|service| service.address);
    match usual.filter(|usual| usual != base_url) {
        Some(usual) => {
            let line =
                format!("base_url = \"{usual}\" is the usual one; else check connection and proxy");
            Written::of(config, "service.base_url").instead("service", &line)
        }
        None => format!("curl -sI {base_url}   # is the connection there, and a proxy in the way?"),
    }
}

fn no_client(session: &Session, config: &Config, error: ClientError) -> Check {
    let mend = match &error {
        ClientError::Key => another_key(session, config),
        ClientError::Tls(_) => "sudo apt install ca-certificates   # Debian, Ubuntu".to_owned(),
    };
    Check::problem("network", format!("{:#}", anyhow::Error::new(error)), mend)
}

fn greeted(session: &Session, config: &Config, greeting: &Greeting) -> Vec<Check> {
    let base_url = &config.service.base_url;
    let mut checks = Vec::new();
    if greeting.refuses_key() {
        let text = format!("{base_url} refused the key (status {})", greeting.status);
        checks.push(Check::problem("key", text, another_key(session, config)));
    } else if greeting.status == 200 {
        checks.push(Check::ok(
            "network",
            format!("{base_url} answers, and takes the key"),
        ));
    } else {
        let text = format!(
            "{base_url} answered the question for the balance with status {}",
            greeting.status
        );
        checks.push(Check::problem("network", text, unreached(config)));
    }
    checks.extend(greeting.balance.map(judge::balance));
    checks.extend(
        greeting
            .date
            .map(|date| judge::clock(session.clock.now(), date)),
    );
    checks
}
