//! From `[service]` to the service that recognises, with its key and its prices.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::{SetupError, openai_model};
use crate::clock::SharedClock;
use crate::config::{self, Config, KeyOrigin};
use crate::domain::price::Catalogue;
use crate::speech::nanogpt::NanoGpt;
use crate::speech::openai::OpenAi;
use crate::speech::{RereadKey, Service};

/// The service's prices as it lists them now; an empty list where it does not answer soon.
///
/// # Errors
/// [`SetupError`] where no client can be made.
pub async fn catalogue(config: &Config, clock: SharedClock) -> Result<Catalogue, SetupError> {
    Ok(match service(config, clock)? {
        Some(service) => service.prices().await.unwrap_or_default(),
        None => Catalogue::default(),
    })
}

/// The service, if the configuration names one or there is a key for NanoGPT.
///
/// # Errors
/// [`SetupError::Client`] where no HTTP client can be made for it.
pub fn service(
    config: &Config,
    clock: SharedClock,
) -> Result<Option<Arc<dyn Service>>, SetupError> {
    let key = config.service.key.as_ref();
    let base_url = &config.service.base_url;
    match config.service.provider {
        config::Provider::Local => Ok(None),
        config::Provider::OpenAi => {
            let reread: RereadKey = match key {
                Some(key) => reread(key.origin().clone()),
                None => Box::new(|| None),
            };
            let secret = key.map(config::ApiKey::secret);
            let service = OpenAi::new(base_url, secret, reread, set_prices(config), clock)?;
            Ok(Some(Arc::new(service)))
        }
        config::Provider::Auto | config::Provider::NanoGpt => {
            let Some(key) = key else {
                return Ok(None);
            };
            let reread = reread(key.origin().clone());
            let service = NanoGpt::new(base_url, key.secret(), reread, clock)?;
            Ok(Some(Arc::new(service)))
        }
    }
}

/// The configured price, for every model that is asked for.
fn set_prices(config: &Config) -> HashMap<String, Decimal> {
    let Some(price) = config.service.price_per_minute else {
        return HashMap::new();
    };
    let folders = config.folders.iter().map(|folder| &folder.transcribe);
    std::iter::once(&config.transcribe)
        .chain(folders)
        .map(|transcribe| (openai_model(config, transcribe), price))
        .collect()
}

/// Finds the key once more in the file that it came from; a variable cannot change while stenod runs.
fn reread(origin: KeyOrigin) -> RereadKey {
    Box::new(move || match &origin {
        KeyOrigin::File(path) | KeyOrigin::Credential(path) => config::read_secret_file(path)
            .ok()
            .map(|found| found.secret),
        KeyOrigin::Environment(_) => None,
    })
}
