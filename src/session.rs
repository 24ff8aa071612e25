//! From a configuration to a pipeline that is ready: who recognises, which places, whose table.
//!
//! Everything that can be wrong before the first recording is looked at is found here, and says which
//! exit code it is worth.

mod receivers;
mod service;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::{Chance, SharedClock};
use crate::config::{self, Config, Folder, Mistake, Origin, Transcribe};
use crate::delivery::bucket::{self, Bucket};
use crate::discover::{Root, RootError, RootRules, Roots, SettingsFile, WatchMode, is_gone};
use crate::disk::{self, PATIENCE, QUICK, each_in_time, real_path, real_paths, straight};
use crate::domain::audio::{AudioDuration, is_candidate_extension};
use crate::domain::captions::{CaptionLanguage, Captions};
use crate::domain::fall;
use crate::domain::job::{Provider, Publication, Settings};
use crate::domain::route::{Preference, RouteTerms};
use crate::domain::step::DoubtPolicy;
use crate::domain::timing::backoff;
use crate::pipeline::{
    FolderFiles, Limiter, Meter, Metered, Mistaken, Pace, Pauses, Pipeline, PipelineError, Place,
    Prices, Reporter, Spool,
};
use crate::queue::{Limits, Queue, QueueError};
use crate::speech::ClientError;
use crate::speech::Service;
use crate::speech::local;
use crate::speech::services::{self, Description};

use receivers::audience;
pub use receivers::{ntfy, receivers, webhook};
pub use service::{catalogue, known_prices, service};

/// Why nothing can be begun.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The service is named and there is no key for it.
    #[error("no key for {} was found", .0.title)]
    NoKey(&'static Description),
    /// A key is named and cannot be had.
    #[error("{0}")]
    KeyTrouble(Box<Mistake>),
    /// A model of the service is asked for and there is no key for it.
    #[error("`{model}` is a model of the service, and no key for it was found")]
    ModelNeedsKey {
        /// The model.
        model: String,
    },
    /// There is neither a key nor a recogniser in this program.
    #[error(
        "no key for {} was found, and this stenod was built without the recogniser",
        services::USUAL.title
    )]
    NothingRecognises,
    /// The model cannot transcribe.
    #[error("`{model}` clones voices and is paid by the run: it transcribes nothing")]
    NoTranscription {
        /// The model.
        model: String,
    },
    /// The built-in model does not know the language.
    #[error(
        "the built-in recogniser knows English alone, and the language `{language}` is asked for"
    )]
    EnglishOnly {
        /// The language.
        language: String,
    },
    /// Neither paths nor folders.
    #[error("no folder is configured and no path is given")]
    NothingToLookAt,
    /// A path of the command line does not exist.
    #[error("there is no {}", .0.display())]
    NoSuchPath(PathBuf),
    /// A folder's rules cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The secret of the bucket cannot be read.
    #[error("bucket.secret_access_key_file: {} {error}", .path.display())]
    BucketSecret {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: config::SecretError,
    },
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] bucket::OpenError),
    /// A receiver of notices cannot be told anything.
    #[error("{key}: {why}")]
    Receiver {
        /// The key of the configuration that is wrong.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// The job table cannot be opened.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl SetupError {
    /// How to mend it, in one sentence.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        let plain = match self {
            Self::NoKey(service) => return Some(key_wanted_for(service).into()),
            Self::NothingRecognises => return Some(key_wanted_for(services::USUAL).into()),
            Self::ModelNeedsKey { .. } => {
                let variable = services::USUAL.key_variable;
                let text = format!(
                    "set {variable} or service.api_key_file, or leave the model out for the built-in recogniser"
                );
                return Some(text.into());
            }
            Self::EnglishOnly { .. } => {
                "ask for `en` or `auto`, name a multilingual Whisper checkpoint as local.model_dir, or use the service"
            }
            Self::NothingToLookAt => {
                "name a folder: `stenod run FOLDER`, or add [[folders]] to the configuration"
            }
            Self::BucketSecret { .. } => {
                "put the secret alone into that file, readable for the user that runs stenod"
            }
            Self::Bucket(error) => error.hint(),
            Self::Client(_) => "on Debian: apt install ca-certificates",
            Self::Receiver { .. } => "mend it, or take that key out of [notify]",
            Self::KeyTrouble(_)
            | Self::NoTranscription { .. }
            | Self::NoSuchPath(_)
            | Self::Root(_)
            | Self::Queue(_) => return None,
        };
        Some(plain.into())
    }
}

fn key_wanted_for(service: &Description) -> String {
    format!(
        "put the key into a file and name it as service.api_key_file, or set {}",
        service.key_variable
    )
}

/// Where recordings are looked for, and what is made of them.
#[derive(Debug)]
pub struct Places {
    /// The roots, knowing of each other.
    pub roots: Roots,
    /// The same roots with their settings, in the same order.
    pub places: Vec<Place>,
    /// The mean time between two scans of everything while watching.
    pub rescan_every: Duration,
}

/// Who recognises by this configuration.
///
/// # Errors
/// [`SetupError`] where nobody can, for example without the key that it takes.
pub fn provider(config: &Config) -> Result<Provider, SetupError> {
    let provider = meant(config)?;
    match key_wanted(config, provider) {
        Some(error) => Err(error),
        None => Ok(provider),
    }
}

/// Who is meant to recognise, whether there is a key for that or not: all that plans and tells needs.
///
/// # Errors
/// [`SetupError::NothingRecognises`] where nobody could.
pub fn meant(config: &Config) -> Result<Provider, SetupError> {
    let service = &config.service;
    let is_key_named = service.key.is_some() || service.key_trouble.is_some();
    match service.provider {
        config::Provider::Service(service) => Ok(service.provider),
        config::Provider::Auto if is_key_named => Ok(services::USUAL.provider),
        config::Provider::Auto | config::Provider::Local if !local::is_built_in() => {
            Err(SetupError::NothingRecognises)
        }
        config::Provider::Auto if is_model_asked_for(config) => Ok(services::USUAL.provider),
        config::Provider::Auto | config::Provider::Local => Ok(Provider::LOCAL),
    }
}

/// What is missing for `provider`, if that is its key.
pub fn key_wanted(config: &Config, provider: Provider) -> Option<SetupError> {
    let service = &config.service;
    let wanted = services::of(provider)?;
    if let Some(trouble) = &service.key_trouble {
        return Some(SetupError::KeyTrouble(trouble.clone()));
    }
    if service.key.is_some() || !wanted.needs_key {
        return None;
    }
    Some(match service.provider {
        config::Provider::Auto => SetupError::ModelNeedsKey {
            model: config.transcribe.model.clone(),
        },
        config::Provider::Service(_) | config::Provider::Local => SetupError::NoKey(wanted),
    })
}

/// Whether this command names a model of the service.
fn is_model_asked_for(config: &Config) -> bool {
    matches!(config.origin_of("transcribe.model"), Some(Origin::Flag(_)))
}

/// The places of `paths`, else of the configured folders.
///
/// # Errors
/// [`SetupError`] for paths that do not exist, rules that cannot be used, and models that transcribe nothing.
pub fn places(
    config: &Config,
    paths: &[PathBuf],
    provider: Provider,
) -> Result<Places, SetupError> {
    let folders: Vec<(PathBuf, Folder)> = if paths.is_empty() {
        config
            .folders
            .iter()
            .map(|folder| (folder.path.clone(), folder.clone()))
            .collect()
    } else {
        given(config, paths)?
    };
    if folders.is_empty() {
        return Err(SetupError::NothingToLookAt);
    }
    // All at once, so that those that do not answer are waited for together.
    real_paths(folders.iter().map(|(path, _)| path.as_path()), QUICK);
    let own: Vec<PathBuf> = own_paths(config).collect();
    let shared = Arc::new(config.clone());
    let roots = folders
        .iter()
        .map(|(path, folder)| {
            let root = Root::new(path, rules(folder), is_candidate_extension)?;
            let (include, exclude) = (!config.is_flag("include"), !config.is_flag("exclude"));
            let root = root.with_rules_from(&folder.path);
            let root = root.with_globs_from_there(include, exclude);
            Ok(root.without_own(own.clone()))
        })
        .collect::<Result<Vec<_>, SetupError>>()?;
    let roots = Roots::new(roots)?;
    let mut places = Vec::new();
    for root in roots.iter() {
        let folder = folders
            .iter()
            .find(|(path, _)| same_place(path, root.path()));
        if let Some((_, folder)) = folder {
            let place = place(&shared, root.clone(), folder, provider)?;
            let is_named = !paths.is_empty();
            places.push(Place { is_named, ..place });
        }
    }
    let rescan_every = config.watch.rescan_every;
    Ok(Places {
        roots,
        places,
        rescan_every,
    })
}

fn given(config: &Config, named: &[PathBuf]) -> Result<Vec<(PathBuf, Folder)>, SetupError> {
    let straight = |path: &PathBuf| straight(path).unwrap_or_else(|_| path.clone());
    let paths: Vec<PathBuf> = named.iter().map(straight).collect();
    let is_missing = each_in_time(paths.clone(), PATIENCE, |path| is_gone(&path));
    // One that is missing among others is told of when it is looked at, and the others go on.
    let mut all = is_missing.iter();
    if all.all(|is_missing| *is_missing == Some(true))
        && let Some(path) = named.first()
    {
        return Err(SetupError::NoSuchPath(path.clone()));
    }
    let given = paths.into_iter().zip(is_missing).map(|(path, is_missing)| {
        if is_missing.is_none() {
            tracing::warn!("{}: {}", path.display(), disk::SILENT);
        }
        let folder = config.for_path(&path);
        (path, folder)
    });
    Ok(given.collect())
}

/// What is stenod's own: its state, and a configuration that lies in a folder of recordings.
fn own_paths(config: &Config) -> impl Iterator<Item = PathBuf> + '_ {
    let given = [Some(&config.state_dir), config.file.as_ref()];
    given.into_iter().flatten().flat_map(|path| {
        let real = real_path(path, QUICK);
        std::iter::once(path.clone()).chain(real)
    })
}

fn same_place(given: &Path, root: &Path) -> bool {
    given == root || given.components().eq(root.components())
}

fn rules(folder: &Folder) -> RootRules {
    RootRules {
        recursive: folder.recursive,
        include: folder.include.clone(),
        exclude: folder.exclude.clone(),
        watch: match folder.watch {
            config::WatchMode::Auto => WatchMode::Auto,
            config::WatchMode::Events => WatchMode::Events,
            config::WatchMode::Poll => WatchMode::Poll,
        },
        poll_every: folder.poll_every,
    }
}

fn place(
    config: &Arc<Config>,
    root: Arc<Root>,
    folder: &Folder,
    provider: Provider,
) -> Result<Place, SetupError> {
    let folder_files = Arc::new(Files {
        config: config.clone(),
        transcribe: folder.transcribe.clone(),
        provider,
    });
    Ok(Place {
        root,
        settings: settings(config, &folder.transcribe, provider)?,
        publication: publication(&folder.transcribe),
        output_dir: folder.transcribe.output_dir.clone(),
        settle: folder.settle,
        min_length: folder.min_length,
        names_ask: names_ask(config, &folder.transcribe, provider),
        leave_existing: !folder.existing,
        is_named: false,
        folder_files,
    })
}

/// Whether a name may ask for a language: what knows English alone is asked for nothing else.
fn names_ask(config: &Config, transcribe: &Transcribe, provider: Provider) -> bool {
    let built_in = provider.is_local() && config.local.model_dir.is_none();
    transcribe.language == "auto" && !built_in
}

/// Whether what is configured can be asked of whoever is to recognise it.
///
/// # Errors
/// The first of the settings that cannot be used.
pub fn try_settings(config: &Config) -> Result<(), SetupError> {
    let provider = meant(config)?;
    let folders = config.folders.iter().map(|folder| &folder.transcribe);
    for transcribe in folders.chain([&config.transcribe]) {
        settings(config, transcribe, provider)?;
    }
    Ok(())
}

/// What is frozen into jobs by these keys.
fn settings(
    config: &Config,
    transcribe: &Transcribe,
    provider: Provider,
) -> Result<Settings, SetupError> {
    if provider.is_paid() && config.service.server().never_transcribes(&transcribe.model) {
        return Err(SetupError::NoTranscription {
            model: transcribe.model.clone(),
        });
    }
    let built_in = provider.is_local() && config.local.model_dir.is_none();
    if built_in && !["auto", "en", "eng"].contains(&transcribe.language.as_str()) {
        return Err(SetupError::EnglishOnly {
            language: transcribe.language.clone(),
        });
    }
    let paid = provider.is_paid();
    Ok(Settings {
        provider,
        model: if paid {
            transcribe.model.clone()
        } else {
            local::model_name(config.local.model_dir.as_deref())
        },
        language: transcribe.language.clone(),
        // What the recogniser cannot do does not change its result.
        diarize: paid && transcribe.diarize,
        tag_audio_events: paid && transcribe.tag_audio_events,
    })
}

/// Understands a `stenod.toml` inside a folder as the main configuration is understood.
#[derive(Debug)]
struct Files {
    config: Arc<Config>,
    /// What holds in the folder itself.
    transcribe: Transcribe,
    provider: Provider,
}

impl FolderFiles for Files {
    fn lay_over(&self, place: &Place, files: &[&SettingsFile]) -> Result<Place, Mistaken> {
        let mut transcribe = self.transcribe.clone();
        let mut place = place.clone();
        for SettingsFile { path, text } in files {
            let mistaken = |text| Mistaken {
                file: path.clone(),
                text,
                is_closed: false,
            };
            transcribe = self
                .config
                .transcribe_below(&transcribe, path, text)
                .map_err(|mistakes| mistaken(mistakes.brief()))?;
            place.settings = settings(&self.config, &transcribe, self.provider)
                .map_err(|error| mistaken(format!("{}: {error}", path.display())))?;
        }
        place.publication = publication(&transcribe);
        place.names_ask = names_ask(&self.config, &transcribe, self.provider);
        place.output_dir = transcribe.output_dir;
        Ok(place)
    }
}

/// What is written of recordings with these settings.
pub fn publication(transcribe: &Transcribe) -> Publication {
    Publication {
        formats: transcribe.formats.clone(),
        captions: match transcribe.captions {
            config::Captions::Standard => Captions::Standard,
            config::Captions::Podcast => Captions::Podcast,
        },
        caption_language: match transcribe.caption_language {
            config::CaptionLanguage::Auto => CaptionLanguage::Auto,
            config::CaptionLanguage::Always => CaptionLanguage::Always,
            config::CaptionLanguage::Never => CaptionLanguage::Never,
        },
    }
}

/// What this command adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// The most that this run may cost, in dollars.
    pub max_cost: Option<Decimal>,
    /// Whether only what this command names is worked on.
    pub scoped: bool,
    /// Cancelled when what is in hand is let go; with the stop itself where there is none.
    pub let_go: Option<CancellationToken>,
}

/// Opens the table and makes a pipeline for `config`; what the last run left in hand is put in order.
///
/// # Errors
/// [`SetupError`], and any error of the table.
pub async fn open(
    config: &Config,
    extras: &Extras,
    clock: SharedClock,
    reporter: Arc<dyn Reporter>,
    stop: CancellationToken,
) -> Result<Arc<Pipeline>, OpenError> {
    let now = clock.now();
    let receivers = Arc::new(receivers(config, clock.clone())?);
    let queue = Queue::open(&config.state_dir, now).map_err(SetupError::from)?;
    let doubt = doubt_policy(config);
    let audience = audience(config, extras, now);
    let told = queue.tell_of(audience).await;
    told.map_err(PipelineError::from)?;
    let recovered = queue
        .recover(doubt, now)
        .await
        .map_err(PipelineError::from)?;
    for id in &recovered.queued {
        tracing::info!(
            job_id = id.0,
            "it was being sent when stenod ended: sent again, free of charge"
        );
    }
    for id in &recovered.in_doubt {
        tracing::warn!(
            job_id = id.0,
            "stenod ended before its answer was stored: nobody knows whether it was billed"
        );
    }
    for id in &recovered.poison {
        let reason = fall::poison();
        tracing::error!(job_id = id.0, code = reason.code, "{}", reason.text);
    }
    let meter = Arc::new(Meter::default());
    let pipeline = Pipeline {
        queue: Arc::new(queue),
        service: metered(service(config, clock.clone())?, &meter),
        bucket: bucket(config)?.map(Arc::new),
        #[cfg(feature = "local")]
        local: Arc::new(local::Local::new(local_settings(config))),
        clock,
        notes: Arc::default(),
        chance: Chance::from_entropy(),
        spool: Arc::new(Spool::new(&config.state_dir, cores())),
        limiter: Arc::new(Limiter::new(config.service.requests_per_second)),
        pace: pace(config, extras, doubt, now),
        pauses: Arc::new(Pauses::default()),
        prices: Arc::new(Prices::beginning_with(known_prices(config))),
        in_flight: Arc::default(),
        pen: Arc::default(),
        quarantine: Arc::default(),
        unreadable: Arc::default(),
        pulse: Arc::default(),
        meter,
        waiting: Arc::default(),
        rules: Arc::default(),
        receivers,
        reporter,
        bell: Arc::new(Notify::new()),
        let_go: extras.let_go.clone().unwrap_or_else(|| stop.clone()),
        stop,
    };
    look_anew(&pipeline).await?;
    pipeline.sweep_spool().await?;
    Ok(Arc::new(pipeline))
}

/// The same pipeline by a configuration that was read again: what is in flight goes on as it was begun.
///
/// # Errors
/// [`SetupError`], and any error of the table; the pipeline stays as it is then.
pub async fn renew(
    pipeline: &Pipeline,
    config: &Config,
    extras: &Extras,
) -> Result<Arc<Pipeline>, OpenError> {
    let doubt = doubt_policy(config);
    let now = pipeline.now();
    let renewed = Pipeline {
        service: metered(service(config, pipeline.clock.clone())?, &pipeline.meter),
        #[cfg(feature = "local")]
        local: renew_local(&pipeline.local, local_settings(config)),
        limiter: Arc::new(Limiter::new(config.service.requests_per_second)),
        bucket: bucket(config)?.map(Arc::new),
        // Another service has other prices.
        prices: Arc::new(Prices::beginning_with(known_prices(config))),
        pace: pace(config, extras, doubt, now),
        receivers: Arc::new(receivers(config, pipeline.clock.clone())?),
        ..pipeline.clone()
    };
    let told = renewed.queue.tell_of(audience(config, extras, now)).await;
    told.map_err(PipelineError::from)?;
    let adopted = renewed.queue.adopt_policy(doubt, now).await;
    adopted.map_err(PipelineError::from)?;
    look_anew(&renewed).await?;
    Ok(Arc::new(renewed))
}

fn metered(service: Option<Arc<dyn Service>>, meter: &Arc<Meter>) -> Option<Arc<dyn Service>> {
    let service = service?;
    Some(Arc::new(Metered::new(service, meter.clone())))
}

/// Lets in what waited for another configuration, and ends the pauses that it may have ended.
async fn look_anew(pipeline: &Pipeline) -> Result<(), PipelineError> {
    let queue = &pipeline.queue;
    queue
        .reconsider(pipeline.pace.routes, pipeline.now())
        .await?;
    queue.resume_at_start(pipeline.now()).await?;
    pipeline.load_pauses().await
}

/// What follows by `config` when nobody can know whether a submit was billed.
pub fn doubt_policy(config: &Config) -> DoubtPolicy {
    match config.service.in_doubt {
        config::InDoubt::RetryOnce => DoubtPolicy::RetryOnce,
        config::InDoubt::Hold => DoubtPolicy::Hold,
    }
}

#[cfg(feature = "local")]
fn local_settings(config: &Config) -> local::LocalSettings {
    local::LocalSettings {
        model_dir: config.local.model_dir.clone(),
        threads: config.local.threads,
    }
}

/// The recogniser with these settings: the same one where nothing changes, so that its weights stay.
#[cfg(feature = "local")]
fn renew_local(local: &Arc<local::Local>, settings: local::LocalSettings) -> Arc<local::Local> {
    if *local.settings() == settings {
        local.clone()
    } else {
        Arc::new(local::Local::new(settings))
    }
}

/// The bucket of the configuration, if there is one; nothing is sent yet.
///
/// # Errors
/// [`SetupError`] where its secret cannot be read, or its settings do not go together.
pub fn bucket(config: &Config) -> Result<Option<Bucket>, SetupError> {
    let Some(settings) = &config.bucket else {
        return Ok(None);
    };
    let secret = match &settings.secret_access_key_file {
        None => None,
        Some(path) if settings.url.starts_with("gs:") => Some(bucket::Secret::File(path.clone())),
        Some(path) => {
            let found =
                config::read_secret_file(path).map_err(|error| SetupError::BucketSecret {
                    path: path.clone(),
                    error,
                })?;
            Some(bucket::Secret::Word(found.secret))
        }
    };
    let chance = Chance::from_entropy();
    let waits = move |tries, asked| backoff(tries, asked, chance.fraction());
    let settings = bucket::Settings {
        url: settings.url.clone(),
        endpoint: settings.endpoint.clone(),
        region: Some(settings.region.clone()).filter(|region| region != "auto"),
        key_id: settings.access_key_id.clone(),
        secret,
        link_lifetime: settings.link_lifetime,
        variables: Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
    };
    Ok(Some(Bucket::open(&settings, Box::new(waits))?))
}

/// Why a pipeline was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be begun.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The table failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// By which terms routes are chosen.
pub fn route_terms(config: &Config) -> RouteTerms {
    RouteTerms {
        direct_limit: config.large.direct_limit,
        link_limit: config.large.link_limit,
        shrink: config.large.shrink,
        has_bucket: config.bucket.is_some(),
        takes_links: config.service.provider.service().takes_links,
        formats: config.service.provider.service().formats,
        preference: match config.large.route {
            config::Route::Auto => Preference::Auto,
            config::Route::Bucket => Preference::Bucket,
            config::Route::Pieces => Preference::Pieces,
        },
        piece: AudioDuration::from_micros(
            u64::try_from(config.large.piece.as_micros()).unwrap_or(u64::MAX),
        ),
    }
}

/// By which folders, settings and prices a run over `places` would be done: a word that is another one where
/// any of them is.
pub fn terms(config: &Config, places: &Places) -> String {
    let places = places.places.iter().map(|place| {
        let made = (&place.settings, &place.publication, &place.output_dir);
        let taken = (place.min_length, place.leave_existing, place.names_ask);
        (place.root.path(), made, taken)
    });
    let service = &config.service;
    let paid = (&service.base_url, service.price_per_minute, &config.budget);
    let all = (places.collect::<Vec<_>>(), route_terms(config), paid);
    blake3::hash(format!("{all:?}").as_bytes()).to_string()
}

/// The pace of a run that a daemon takes on: what it names is wanted, and its budgets are the daemon's.
pub fn pace_of_run(config: &Config, own: &Pipeline) -> Pace {
    Pace {
        limits: own.pace.limits,
        scoped: true,
        ..pace(config, &Extras::default(), own.pace.doubt, own.now())
    }
}

fn pace(config: &Config, extras: &Extras, doubt: DoubtPolicy, now: jiff::Timestamp) -> Pace {
    Pace {
        jobs: config.service.jobs.get(),
        poll_interval: config.service.poll_interval,
        doubt,
        routes: route_terms(config),
        limits: limits(config, extras.max_cost, now),
        scoped: extras.scoped,
    }
}

/// What limits the spending by `config`, and by `--max-cost` of a run that begins now.
pub fn limits(config: &Config, max_cost: Option<Decimal>, now: jiff::Timestamp) -> Limits {
    Limits {
        per_day: config.budget.per_day,
        per_month: config.budget.per_month,
        per_file: config.budget.per_file,
        per_run: max_cost.map(|limit| (limit, now)),
    }
}
