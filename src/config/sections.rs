//! From the layers to the typed settings, one function a table.
//!
//! Each reads all of its keys before it looks whether any was wrong.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mistake::{Fault, Mistake, Place};
use super::reader::Reader;
use super::secret::{self, ApiKey, KeyOrigin};
use super::settings::{
    Bucket, Budget, Folder, Large, Local, Origin, Overrides, Provider, Service, Transcribe,
    Warning, Watch,
};
use super::values::{self, Given};
use super::{
    Environment, MAX_DIRECT_LIMIT_BYTES, MAX_JOBS, MAX_LINK_LIFETIME, MAX_LINK_LIMIT_BYTES,
    MAX_PIECE, MAX_REQUESTS_PER_SECOND, MAX_THREADS, lists, locate, quantities, redact, urls,
};
use crate::disk::straightened;
use crate::speech::services::{self, Description};

/// The shortest first wait before a poll, and the longest.
const POLL_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);

/// The shortest time between two looks at a polled folder, and the longest.
const POLL_EVERY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_hours(24);

/// The shortest settle time, and the longest; zero is for folders into which files are only moved whole.
const SETTLE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// The shortest piece that can be asked for, and the longest.
const PIECE: RangeInclusive<Duration> = Duration::from_secs(15)..=MAX_PIECE;

/// The shortest minimum length, which lets everything in, and the longest.
const MIN_LENGTH: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// The shortest time between two scans of everything, and the longest.
const RESCAN_EVERY: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(7 * 24);

/// The shortest life of a link.
const MIN_LINK_LIFETIME: Duration = Duration::from_mins(1);

/// The smallest direct limit in bytes.
const MIN_DIRECT_LIMIT_BYTES: u64 = 1024;

/// The state folder: flag, configuration, systemd, the user's.
pub(super) fn state_dir(
    mut root: Reader<'_>,
    environment: &Environment,
    overrides: &Overrides,
) -> Option<PathBuf> {
    let configured = root.path_of("state_dir")?;
    if let Some(path) = &overrides.state_dir {
        let path = straightened(&locate::from(environment.working_dir(), path));
        let origin = Origin::Flag("--state-dir".to_owned());
        root.record_path("state_dir", &path, origin);
        return Some(path);
    }
    if configured.is_some() {
        return configured;
    }
    if let Some((path, origin)) = locate::default_state_dir(environment) {
        root.record_path("state_dir", &path, origin);
        return Some(path);
    }
    let fault = Fault::new("no folder for the state is known");
    root.fault(
        "state_dir",
        fault.mend("set `state_dir`, or the variable HOME"),
    );
    None
}

/// Where the web server listens.
pub(super) fn listen(mut root: Reader<'_>) -> Option<Option<SocketAddr>> {
    root.optional("listen", |given| {
        let written = values::text(given)?;
        written.trim().parse().map_err(|_| {
            let fault = Fault::new(format!(
                "{} is no address with a port",
                values::echo(&written)
            ));
            fault.allowed("an address such as \"127.0.0.1:8788\" or \"[::1]:8788\"")
        })
    })
}

/// `[service]` with the key.
pub(super) fn service(mut table: Reader<'_>, environment: &Environment) -> Option<Service> {
    let provider = table.read("provider", values::choice);
    let written_url = table.is_written("base_url");
    let base_url = table.read("base_url", urls::web_url);
    let described = provider.map_or(services::USUAL, Provider::service);
    let base_url = match described.address {
        Some(address) if !written_url => {
            table.show("base_url", address);
            base_url.map(|_| address.to_owned())
        }
        Some(_) | None => base_url,
    };
    let variables = key_variables(described, base_url.as_deref());
    let key_file = secret_path(&mut table, "api_key_file");
    let key = match &key_file {
        Some(Some(path)) => file_key(&mut table, path),
        Some(None) | None => key_elsewhere(environment, &variables),
    };
    let price_per_minute = table.optional("price_per_minute", quantities::price);
    let jobs = table.read("jobs", |given| count(given, MAX_JOBS));
    let requests = table.read("requests_per_second", |given| {
        count(given, MAX_REQUESTS_PER_SECOND)
    });
    let poll_interval = table.read("poll_interval", |given| {
        quantities::duration(given, POLL_INTERVAL)
    });
    let in_doubt = table.read("in_doubt", values::choice);
    if let Some(url) = base_url.as_ref().filter(|url| is_open(url)) {
        table.notes.warnings.push(Warning {
            text: format!(
                "service.base_url {url} is not https, and the key and the recordings travel in the open"
            ),
            mend: "set service.base_url to an address that begins with https://".to_owned(),
            is_of_key: false,
        });
    }
    let (key, key_trouble) = match key {
        Ok(key) => (key, None),
        Err(trouble) => (None, Some(trouble)),
    };
    Some(Service {
        provider: provider?,
        base_url: base_url?,
        key,
        key_file: key_file?,
        key_trouble,
        jobs: usize_of(jobs?),
        requests_per_second: requests?,
        poll_interval: poll_interval?,
        in_doubt: in_doubt?,
        price_per_minute: price_per_minute?,
    })
}

/// What `[transcribe]` depends on outside of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Around<'a> {
    /// `--output-dir`.
    pub(super) output_dir: Option<&'a Path>,
    /// The server that is asked, whose own model counts where none is named.
    pub(super) server: Option<&'static Description>,
}

/// `[transcribe]`, or a folder's own view of it.
pub(super) fn transcribe(table: &mut Reader<'_>, around: Around<'_>) -> Option<Transcribe> {
    let is_unnamed = !table.is_written("model");
    let mut model = table.read("model", values::name);
    if let (true, Some(server)) = (is_unnamed, around.server) {
        table.show("model", server.model);
        model = model.map(|_| server.model.to_owned());
    }
    let language = table.read("language", values::language);
    let diarize = table.read("diarize", values::boolean);
    let tag_audio_events = table.read("tag_audio_events", values::boolean);
    let formats = table.read("formats", lists::formats);
    let captions = table.read("captions", values::choice);
    let caption_language = table.read("caption_language", values::choice);
    let mut output = table.path_of("output_dir");
    if let Some(path) = around.output_dir {
        table.record_path("output_dir", path, Origin::Flag("--output-dir".to_owned()));
        output = Some(Some(path.to_owned()));
    }
    Some(Transcribe {
        model: model?,
        language: language?,
        diarize: diarize?,
        tag_audio_events: tag_audio_events?,
        formats: formats?,
        captions: captions?,
        caption_language: caption_language?,
        output_dir: output?,
    })
}

/// One folder; a `path` of its own stands in for the key.
pub(super) fn folder(
    mut table: Reader<'_>,
    path: Option<PathBuf>,
    around: Around<'_>,
) -> Option<Folder> {
    let path = path.or_else(|| folder_path(&mut table));
    let recursive = table.read("recursive", values::boolean);
    let include = table.read("include", lists::some_globs);
    let exclude = table.read("exclude", lists::globs);
    let watch = table.read("watch", values::choice);
    let poll_every = table.read("poll_every", |given| {
        quantities::duration(given, POLL_EVERY)
    });
    let settle = table.read("settle", |given| quantities::duration(given, SETTLE));
    let existing = table.read("existing", values::boolean);
    let min_length = table.read("min_length", |given| {
        quantities::duration(given, MIN_LENGTH)
    });
    let transcribe = transcribe(&mut table, around);
    Some(Folder {
        path: path?,
        recursive: recursive?,
        include: include?,
        exclude: exclude?,
        watch: watch?,
        poll_every: poll_every?,
        settle: settle?,
        existing: existing?,
        min_length: min_length?,
        transcribe: transcribe?,
    })
}

fn folder_path(table: &mut Reader<'_>) -> Option<PathBuf> {
    let checked = table.read("path", values::name).is_some();
    checked.then(|| table.path_of("path")).flatten().flatten()
}

/// `[watch]`.
pub(super) fn watch(mut table: Reader<'_>) -> Option<Watch> {
    let rescan_every = table.read("rescan_every", |given| {
        quantities::duration(given, RESCAN_EVERY)
    });
    Some(Watch {
        rescan_every: rescan_every?,
    })
}

/// `[local]`.
pub(super) fn local(mut table: Reader<'_>) -> Option<Local> {
    let model_dir = table.path_of("model_dir");
    let threads = table.read("threads", |given| values::whole(given, 0..=MAX_THREADS));
    let threads = NonZeroU32::new(threads?).map(usize_of);
    Some(Local {
        model_dir: model_dir?,
        threads,
    })
}

/// `[budget]`.
pub(super) fn budget(mut table: Reader<'_>) -> Option<Budget> {
    let per_day = table.read("per_day", quantities::money);
    let per_month = table.read("per_month", quantities::money);
    let per_file = table.read("per_file", quantities::money);
    Some(Budget {
        per_day: per_day?,
        per_month: per_month?,
        per_file: per_file?,
    })
}

/// `[large]`, where nothing else is said with the limit of the `server` that is asked.
pub(super) fn large(mut table: Reader<'_>, server: Option<&Description>) -> Option<Large> {
    let is_unset = !table.is_written("direct_limit");
    let limits = MIN_DIRECT_LIMIT_BYTES..=MAX_DIRECT_LIMIT_BYTES;
    let direct_limit = table.read("direct_limit", |given| quantities::size(given, limits));
    let limits = MIN_DIRECT_LIMIT_BYTES..=MAX_LINK_LIMIT_BYTES;
    let link_limit = table.read("link_limit", |given| quantities::size(given, limits));
    let shrink = table.read("shrink", values::boolean);
    let route = table.read("route", values::choice);
    let piece = table.read("piece_minutes", |given| quantities::minutes(given, PIECE));
    Some(Large {
        direct_limit: match (direct_limit?, server) {
            (limit, Some(server)) if is_unset && limit != server.direct_limit => {
                table.show("direct_limit", &server.direct_limit.to_string());
                server.direct_limit
            }
            (limit, _) => limit,
        },
        link_limit: link_limit?,
        shrink: shrink?,
        route: route?,
        piece: piece?,
    })
}

/// `[bucket]`, which is there when its `url` is.
pub(super) fn bucket(mut table: Reader<'_>) -> Option<Option<Bucket>> {
    let others = [
        "endpoint",
        "region",
        "access_key_id",
        "secret_access_key_file",
        "link_lifetime",
    ];
    let is_described = others.iter().any(|key| table.is_written(key));
    let url = table.optional("url", urls::bucket_url);
    let endpoint = table.optional("endpoint", urls::web_url);
    let region = table.read("region", values::name);
    let access_key_id = table.optional("access_key_id", values::name);
    let secret_file = secret_path(&mut table, "secret_access_key_file");
    let lifetimes = MIN_LINK_LIFETIME..=MAX_LINK_LIFETIME;
    let link_lifetime = table.read("link_lifetime", |given| {
        quantities::duration(given, lifetimes)
    });
    let Some(url) = url? else {
        if is_described {
            let fault = Fault::new("is missing, but the bucket is described");
            table.fault(
                "url",
                fault.mend("say which one: url = \"s3://bucket/prefix\""),
            );
        }
        table.forget();
        return Some(None);
    };
    let is_half = url.starts_with("s3://")
        && matches!((&access_key_id, &secret_file), (Some(Some(_)), Some(None)));
    if is_half && table.environment().get("AWS_SECRET_ACCESS_KEY").is_none() {
        let fault = Fault::new("has no secret beside it");
        let mend = "name the file that holds the secret alone: secret_access_key_file = \"/etc/stenod/bucket-secret\"";
        table.fault("access_key_id", fault.mend(mend));
        return None;
    }
    let endpoint = endpoint?;
    if let Some(private) = endpoint.as_ref().filter(|url| urls::is_private_host(url)) {
        table.notes.warnings.push(Warning {
            text: format!(
                "bucket.endpoint {private} is on this machine or in a private network, \
                 and a service elsewhere cannot fetch from it"
            ),
            mend: "name one that can be reached from outside, or set large.route = \"pieces\""
                .to_owned(),
            is_of_key: false,
        });
    }
    Some(Some(Bucket {
        url,
        endpoint,
        region: region?,
        access_key_id: access_key_id?,
        secret_access_key_file: secret_file?,
        link_lifetime: link_lifetime?,
    }))
}

/// The variables that the key is looked for in, in this order: that of the service whose server is asked, and
/// on machines of one's own, where a server may stand in for it, that of the usual service. No key goes to
/// another company.
fn key_variables(service: &'static Description, base_url: Option<&str>) -> Vec<&'static str> {
    let server = base_url.and_then(urls::server).unwrap_or(service);
    let mut variables = vec![server.key_variable];
    if server != services::USUAL && base_url.is_some_and(urls::is_private_host) {
        variables.push(services::USUAL.key_variable);
    }
    variables
}

/// A key, none, or why that cannot be had which is named.
type KeyFound = Result<Option<ApiKey>, Box<Mistake>>;

/// The key where no file is named for it: systemd's credential, else the variable.
fn key_elsewhere(environment: &Environment, variables: &[&'static str]) -> KeyFound {
    let at = |variable: &str, text| {
        let place = Place::Variable(variable.to_owned());
        Box::new(Fault::new(text).at(place, None))
    };
    let credential = secret::from_credentials(environment).map_err(|(path, error)| {
        at(
            "CREDENTIALS_DIRECTORY",
            format!("{} {error}", path.display()),
        )
    })?;
    if credential.is_some() {
        return Ok(credential);
    }
    for variable in variables {
        let found = secret::from_variable(environment, variable)
            .map_err(|error| at(variable, error.to_string()))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn file_key(table: &mut Reader<'_>, path: &Path) -> KeyFound {
    let found = secret::read_secret_file(path).map_err(|error| {
        // A word without a slash may be the key itself, put where its file belongs.
        let written = table.optional("api_key_file", values::text).flatten();
        let shown = match written.filter(|text| redact::is_plainly_path(text)) {
            Some(_) => format!(" {}", redact::text(&path.to_string_lossy())),
            None => {
                table.mask("api_key_file");
                String::new()
            }
        };
        let fault = Fault::new(format!("the file{shown} {error}"));
        let mend = "`stenod init --key-file -` asks for the key, tries it and writes it there";
        Box::new(table.mistake_about("api_key_file", fault.mend(mend)))
    })?;
    if found.is_exposed() {
        let shown = path.display();
        table.notes.warnings.push(Warning {
            text: format!(
                "the key file {shown} can be read by others (mode {:03o})",
                found.mode
            ),
            mend: format!("chmod 600 {shown}"),
            is_of_key: true,
        });
    }
    let origin = KeyOrigin::File(path.to_owned());
    Ok(Some(ApiKey::new(found.secret, origin)))
}

/// The path of a file that holds a secret; the secret itself in its place is refused.
pub(super) fn secret_path(table: &mut Reader<'_>, key: &str) -> Option<Option<PathBuf>> {
    table.optional(key, |given| {
        let text =
            values::text(given).map_err(|_| Fault::new("expected the path of a file in quotes"))?;
        let is_like_key = redact::looks_like_key(&text) || redact::looks_like_secret(&text);
        if is_like_key && !redact::is_plainly_path(&text) {
            return Err(
                Fault::new("this looks like the key itself, not like a file")
                    .mend("put the key alone into a file with mode 600 and name that file here"),
            );
        }
        Ok(())
    })?;
    table.path_of(key)
}

/// Whether a URL is plain http to a host out on the internet.
fn is_open(url: &str) -> bool {
    url.starts_with("http:") && !urls::is_private_host(url)
}

fn count(given: Given<'_>, most: u32) -> Result<NonZeroU32, Fault> {
    let number = values::whole(given, 1..=most)?;
    NonZeroU32::new(number).ok_or_else(|| Fault::new("must not be zero"))
}

fn usize_of(count: NonZeroU32) -> NonZeroUsize {
    NonZeroUsize::try_from(count).unwrap_or(NonZeroUsize::MAX)
}
