//! The configuration from outside: files, variables and flags in, settings or mistakes out.

mod folder_file;
mod hostile;
mod layers;
mod mistakes;
mod notify;
mod place;
mod secrets;
#[cfg(test)]
mod support;

use std::path::Path;
use std::time::Duration;

use stenod::config::{Config, EXAMPLE, InDoubt, KeyOrigin, Origin, Provider, Route};
use stenod::domain::format::Format;
use support::Place;

/// The example of the documentation, its paths to secrets replaced.
const DOCUMENTED: &str = r#"
state_dir = "/var/lib/stenod"        # else $STATE_DIRECTORY, else $XDG_STATE_HOME/stenod

[service]
provider = "auto"                    # auto (nanogpt with a key, else local) | nanogpt | openai | local
base_url = "https://nano-gpt.com/api"
api_key_file = "key"                 # else $CREDENTIALS_DIRECTORY/api-key, else NANOGPT_API_KEY
jobs = 4                             # recordings in flight at once (uploads and submits; polls are apart)
requests_per_second = 5
poll_interval = "5s"                 # first wait; grows with age
in_doubt = "retry-once"              # retry-once | hold: a submit whose reply was lost

[transcribe]                         # defaults; every [[folders]] may override any of them
model = "Whisper-Large-V3"
language = "auto"
diarize = false
tag_audio_events = false
formats = ["txt", "json"]            # txt json srt vtt md tsv diarization rttm podcast lrc raw
output_dir = ""                      # empty: beside the source; else a mirrored tree

[[folders]]
path = "~/Podcasts"
recursive = true
include = ["*"]                      # audio is recognised by extension and content
exclude = []
watch = "auto"                       # auto | events | poll
poll_every = "30s"
settle = "10s"                       # a file counts as complete after this long unchanged
existing = true                      # false: leave alone what was there before the first start

[local]                              # the built-in recogniser
model_dir = ""                       # empty: the weights inside the binary; else a Whisper checkpoint (safetensors)
threads = 0                          # 0: all cores

[budget]                             # USD; stops before it is crossed; "0" means no limit
per_day = "5.00"                     # the default: a first start over an archive must not surprise anyone
per_month = "0"
per_file = "0"

[large]                              # recordings over the direct limit
direct_limit = "3 MiB"
shrink = true                        # re-encode speech to fit the direct limit
route = "auto"                       # auto | bucket | pieces
piece_minutes = 10

[bucket]                             # S3 and compatible (R2, B2, MinIO, Garage), GCS, Azure
url = "s3://my-bucket/stenod"
endpoint = "https://s3.example.org"
region = "auto"
access_key_id = ""                   # or the usual environment variables and files
secret_access_key_file = ""
link_lifetime = "12h"
"#;

#[test]
fn the_documented_example_is_accepted_as_it_stands() {
    let place = Place::with_file(DOCUMENTED);
    place.put("key", "sk-nano-1\n", 0o600);
    let config = place.load();
    assert_eq!(config.file, Some(place.path("config.toml")));
    assert_eq!(config.state_dir, Path::new("/var/lib/stenod"));
    let key = config.service.key.unwrap();
    assert_eq!(key.expose(), "sk-nano-1");
    assert_eq!(key.origin(), &KeyOrigin::File(place.path("key")));
    assert_eq!(config.folders.len(), 1);
    assert_eq!(config.folders[0].path, place.path("home/Podcasts"));
    let bucket = config.bucket.unwrap();
    assert_eq!(bucket.url, "s3://my-bucket/stenod");
    assert_eq!(bucket.endpoint.as_deref(), Some("https://s3.example.org"));
    assert_eq!(bucket.link_lifetime, Duration::from_hours(12));
    assert_eq!(
        (bucket.access_key_id, bucket.secret_access_key_file),
        (None, None)
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn an_empty_file_means_the_documented_defaults() {
    let config = Place::with_file("").load();
    let service = &config.service;
    assert_eq!(
        (service.provider, service.in_doubt),
        (Provider::Auto, InDoubt::RetryOnce)
    );
    assert_eq!(service.base_url, "https://nano-gpt.com/api");
    assert_eq!(
        (service.jobs.get(), service.requests_per_second.get()),
        (4, 5)
    );
    assert_eq!(service.poll_interval, Duration::from_secs(5));
    assert!(service.key.is_none());
    let transcribe = &config.transcribe;
    assert_eq!(transcribe.model, "Whisper-Large-V3");
    assert_eq!(transcribe.language, "auto");
    assert_eq!(
        (transcribe.diarize, transcribe.tag_audio_events),
        (false, false)
    );
    assert_eq!(transcribe.formats, [Format::Txt, Format::Json]);
    assert_eq!(transcribe.output_dir, None);
    assert_eq!((config.local.model_dir, config.local.threads), (None, None));
    assert_eq!(
        config.budget.per_day.map(|usd| usd.to_string()).as_deref(),
        Some("5.00")
    );
    assert_eq!(
        (config.budget.per_month, config.budget.per_file),
        (None, None)
    );
    assert_eq!(
        (config.large.direct_limit, config.large.shrink),
        (3 * 1024 * 1024, true)
    );
    assert_eq!(
        (config.large.route, config.large.piece.as_secs()),
        (Route::Auto, 600)
    );
    assert!(config.bucket.is_none() && config.folders.is_empty());
}

#[test]
fn the_example_file_as_it_stands_equals_the_defaults() {
    let defaults = Place::with_file("").load();
    let example = Place::with_file(EXAMPLE).load();
    assert_eq!(values_of(&example), values_of(&defaults));
}

#[test]
fn the_example_file_uncommented_is_accepted_with_every_key_set_once() {
    let text: Vec<_> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                setting
            }
            Some(_) | None => line,
        })
        .collect();
    let place = Place::new();
    let key = place.put("etc/key", "sk-nano-1\n", 0o600);
    let text = text
        .join("\n")
        .replace("/etc/stenod/key", &key.display().to_string());
    place.put("config.toml", &text, 0o644);
    let config = place.load();
    let folder = config.folders.first().unwrap();
    let elsewhere = config.for_path(Path::new("/elsewhere"));
    assert_eq!(
        (folder.watch, folder.settle),
        (elsewhere.watch, elsewhere.settle)
    );
    assert_eq!(
        (folder.poll_every, folder.existing),
        (elsewhere.poll_every, elsewhere.existing)
    );
    assert_eq!(
        (&folder.include, &folder.exclude),
        (&elsewhere.include, &elsewhere.exclude)
    );
    assert_eq!(
        (folder.recursive, &folder.transcribe),
        (elsewhere.recursive, &elsewhere.transcribe)
    );
    let bucket = config.bucket.as_ref().unwrap();
    assert_eq!(
        (bucket.region.as_str(), bucket.link_lifetime),
        ("auto", Duration::from_hours(12))
    );
    for key in Config::keys() {
        let key = key.replace("folders.", "folders.0.");
        let origin = config.origin_of(&key);
        assert!(
            matches!(origin, Some(Origin::File { .. })),
            "{key}: {origin:?}"
        );
    }
}

/// What the settings say, without where it was written.
fn values_of(config: &Config) -> Vec<(String, String)> {
    let settings = config.settings().iter();
    let settings = settings.filter(|setting| setting.key != "state_dir");
    settings
        .map(|setting| (setting.key.clone(), setting.value.clone()))
        .collect()
}
