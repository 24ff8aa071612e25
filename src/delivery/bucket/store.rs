//! From the settings of a bucket to the storage behind them: S3 and compatible, Google Cloud, Azure.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::failure::BucketError;
use super::wire::{Connector, client};
use crate::domain::audio::AudioFormat;

/// The formats that services are sent, for the type that an object is stored with.
const SENT: [AudioFormat; 5] = [
    AudioFormat::Mp3,
    AudioFormat::Wav,
    AudioFormat::M4a,
    AudioFormat::Ogg,
    AudioFormat::Aac,
];

/// Where the credentials and the region of S3 may come from, by variable.
const S3_VARIABLES: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
/// The same for Google Cloud Storage.
const GOOGLE_VARIABLES: [&str; 3] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
];
/// The same for Azure, with the names that the crate knows them by.
const AZURE_VARIABLES: [(&str, AzureConfigKey); 11] = [
    ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
    ("AZURE_STORAGE_ACCOUNT_NAME", AzureConfigKey::AccountName),
    ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
    ("AZURE_STORAGE_ACCOUNT_KEY", AzureConfigKey::AccessKey),
    ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
    ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
    ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
    ("AZURE_AUTHORITY_HOST", AzureConfigKey::AuthorityHost),
    (
        "AZURE_FEDERATED_TOKEN_FILE",
        AzureConfigKey::FederatedTokenFile,
    ),
    ("IDENTITY_ENDPOINT", AzureConfigKey::MsiEndpoint),
    ("MSI_ENDPOINT", AzureConfigKey::MsiEndpoint),
];

/// Looks up a variable of the environment.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What is needed to reach a bucket.
pub struct Settings {
    /// `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    pub url: String,
    /// The storage's own address; none: the provider's.
    pub endpoint: Option<String>,
    /// The region; none: from the variables, the endpoint, or the provider's first.
    pub region: Option<String>,
    /// The public half of the credentials: an access key, or the name of an account.
    pub key_id: Option<String>,
    /// The secret half.
    pub secret: Option<Secret>,
    /// How long a link can be used.
    pub link_lifetime: Duration,
    /// The environment.
    pub variables: Variables,
}

/// The secret half of the credentials, as its kind of storage wants it.
pub enum Secret {
    /// S3 and Azure: a word.
    Word(SecretString),
    /// Google: the JSON file of a service account.
    File(PathBuf),
}

/// A storage in each of the roles that it plays.
pub(super) struct Store {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) uploads: Arc<dyn MultipartStore>,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) client: Client,
    pub(super) prefix: Path,
    /// The name of the parameter that picks a version, where one can be deleted.
    pub(super) version_parameter: Option<&'static str>,
    /// Whether objects are deleted by a signed link: the crate asks Azure for a batch, and what the answer says
    /// of the one object in it comes back as words alone.
    pub(super) deletes_by_link: bool,
    /// Whether unfinished uploads are listed; Azure has none that outlive a week.
    pub(super) lists_uploads: bool,
}

/// Why a bucket cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no bucket.
    #[error("bucket.url does not name a bucket")]
    Url,
    /// The HTTP client cannot be made.
    #[error(
        "cannot set up HTTPS for the bucket (are the system's trusted certificates installed?)"
    )]
    Tls(#[source] reqwest::Error),
    /// The settings do not go together.
    #[error("the bucket cannot be used: {0}")]
    Settings(BucketError),
}

impl OpenError {
    /// How to mend it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Url => "write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
            Self::Tls(_) => "on Debian: apt install ca-certificates",
            Self::Settings(error) => error.mend(),
        }
    }
}

impl Store {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let url = Url::parse(&settings.url).map_err(|_| OpenError::Url)?;
        let bucket = url.host_str().ok_or(OpenError::Url)?;
        let prefix = Path::from_url_path(url.path()).map_err(|_| OpenError::Url)?;
        match url.scheme() {
            "s3" => s3(settings, bucket, prefix),
            "gs" => google(settings, bucket, prefix),
            "az" => azure(settings, bucket, prefix),
            _ => Err(OpenError::Url),
        }
    }
}

fn s3(settings: &Settings, bucket: &str, prefix: Path) -> Result<Store, OpenError> {
    let mut builder = AmazonS3Builder::new();
    let words = words(settings);
    // A token or role of the variables belongs to the key of the variables.
    let variables = S3_VARIABLES.iter().filter(|_| words.is_none());
    for name in variables {
        if let Some(value) = (settings.variables)(name)
            && let Ok(key) = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase())
        {
            builder = builder.with_config(key, value);
        }
    }
    if let Some((id, secret)) = words {
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret.expose_secret());
    }
    let region = region(settings);
    let endpoint = settings
        .endpoint
        .clone()
        .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let (client, connector) = connect(&endpoint)?;
    let store = builder
        .with_bucket_name(bucket)
        .with_region(region)
        .with_endpoint(endpoint)
        .with_unsigned_payload(true)
        .with_disable_bulk_delete(true)
        .with_client_options(options())
        .with_retry(no_retry())
        .with_http_connector(connector)
        .build()
        .map_err(unusable)?;
    Ok(roles(store, client, prefix, Some("versionId")))
}

fn google(settings: &Settings, bucket: &str, prefix: Path) -> Result<Store, OpenError> {
    let mut builder = GoogleCloudStorageBuilder::new();
    if let Some(Secret::File(path)) = &settings.secret {
        builder = builder.with_service_account_path(path.to_string_lossy());
    } else {
        for name in GOOGLE_VARIABLES {
            if let Some(value) = (settings.variables)(name)
                && let Ok(key) = GoogleConfigKey::from_str(&name.to_ascii_lowercase())
            {
                builder = builder.with_config(key, value);
            }
        }
    }
    let endpoint = settings
        .endpoint
        .clone()
        .unwrap_or_else(|| "https://storage.googleapis.com".to_owned());
    let (client, connector) = connect(&endpoint)?;
    let store = builder
        .with_bucket_name(bucket)
        .with_base_url(&endpoint)
        .with_client_options(options())
        .with_retry(no_retry())
        .with_http_connector(connector)
        .build()
        .map_err(unusable)?;
    Ok(roles(store, client, prefix, Some("generation")))
}

fn azure(settings: &Settings, bucket: &str, prefix: Path) -> Result<Store, OpenError> {
    let mut builder = MicrosoftAzureBuilder::new();
    let mut account = None;
    for (name, key) in AZURE_VARIABLES {
        if let Some(value) = (settings.variables)(name) {
            if key == AzureConfigKey::AccountName {
                account = Some(value.clone());
            }
            builder = builder.with_config(key, value);
        }
    }
    if let Some((id, secret)) = words(settings) {
        builder = builder
            .with_account(id)
            .with_access_key(secret.expose_secret());
        account = Some(id.to_owned());
    }
    let endpoint = settings.endpoint.clone().unwrap_or_else(|| {
        let account = account.as_deref().unwrap_or_default();
        format!("https://{account}.blob.core.windows.net")
    });
    let (client, connector) = connect(&endpoint)?;
    let store = builder
        .with_container_name(bucket)
        .with_endpoint(endpoint)
        .with_client_options(options())
        .with_retry(no_retry())
        .with_http_connector(connector)
        .build()
        .map_err(unusable)?;
    Ok(Store {
        deletes_by_link: true,
        lists_uploads: false,
        ..roles(store, client, prefix, None)
    })
}

/// Both halves of the credentials, where the configuration gives them.
fn words(settings: &Settings) -> Option<(&str, &SecretString)> {
    match (&settings.key_id, &settings.secret) {
        (Some(id), Some(Secret::Word(secret))) => Some((id, secret)),
        (None, _) | (_, None | Some(Secret::File(_))) => None,
    }
}

/// The region: of the settings, of the variables, of the endpoint's name, else the provider's first.
fn region(settings: &Settings) -> String {
    settings
        .region
        .clone()
        .or_else(|| (settings.variables)("AWS_REGION"))
        .or_else(|| (settings.variables)("AWS_DEFAULT_REGION"))
        .or_else(|| region_of(settings.endpoint.as_deref()?))
        .unwrap_or_else(|| "us-east-1".to_owned())
}

/// The region that an endpoint's own name tells: `auto` for R2, else the label after `s3`.
fn region_of(endpoint: &str) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let host = url.host_str()?;
    if host.ends_with(".r2.cloudflarestorage.com") {
        return Some("auto".to_owned());
    }
    let is_known = host.ends_with(".amazonaws.com") || host.ends_with(".backblazeb2.com");
    let (_, rest) = host.split_once("s3.").filter(|_| is_known)?;
    rest.split('.').next().map(str::to_owned)
}

fn connect(endpoint: &str) -> Result<(Client, Connector), OpenError> {
    let url = Url::parse(endpoint).map_err(|_| OpenError::Url)?;
    let host = url.host_str().ok_or(OpenError::Url)?;
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    let client = client(is_loopback).map_err(OpenError::Tls)?;
    let connector = Connector::new(client.clone(), host);
    Ok((client, connector))
}

fn options() -> ClientOptions {
    SENT.into_iter().fold(
        ClientOptions::new().with_allow_http(true),
        |options, format| options.with_content_type_for_suffix(format.extension(), format.mime()),
    )
}

/// The crate repeats nothing: what is repeated is decided in one place, with our own waits.
fn no_retry() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

fn roles<S: ObjectStore + MultipartStore + Signer>(
    store: S,
    client: Client,
    prefix: Path,
    version_parameter: Option<&'static str>,
) -> Store {
    let store = Arc::new(store);
    Store {
        objects: store.clone(),
        uploads: store.clone(),
        signer: store,
        client,
        prefix,
        version_parameter,
        deletes_by_link: false,
        lists_uploads: true,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to `map_err`, which hands over the error"
)]
fn unusable(error: object_store::Error) -> OpenError {
    let error = BucketError::of_store(&error);
    OpenError::Settings(if let BucketError::Unreadable(text) = error {
        BucketError::NoCredentials(text)
    } else {
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_the_endpoint_where_its_name_tells_it() {
        for (endpoint, region) in [
            (
                "https://s3.us-west-004.backblazeb2.com",
                Some("us-west-004"),
            ),
            (
                "https://s3.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            ("https://0123.r2.cloudflarestorage.com", Some("auto")),
            ("https://s3.example.org", None),
            ("http://127.0.0.1:9000", None),
        ] {
            assert_eq!(region_of(endpoint).as_deref(), region, "{endpoint}");
        }
    }
}
