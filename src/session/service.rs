//! From `[service]` to the service that recognises, with its key and its prices.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::SetupError;
use crate::clock::SharedClock;
use crate::config::{self, Config, KeyOrigin};
use crate::domain::price::Catalogue;
use crate::speech::services::{self, Connection};
use crate::speech::{RereadKey, Service};

/// The service's prices as it lists them now; what this program knows of them where it does not answer soon.
///
/// # Errors
/// [`SetupError`] where no client can be made.
pub async fn catalogue(config: &Config, clock: SharedClock) -> Result<Catalogue, SetupError> {
    let listed = match service(config, clock)? {
        Some(service) => service.prices().await,
        None => None,
    };
    Ok(listed.unwrap_or_else(|| known_prices(config)))
}

/// The service's prices as this program knows them by itself.
pub fn known_prices(config: &Config) -> Catalogue {
    Catalogue::built_in(config.service.provider.service().prices)
}

/// The service, if the configuration names one or there is a key for the usual one.
///
/// # Errors
/// [`SetupError::Client`] where no HTTP client can be made for it.
pub fn service(
    config: &Config,
    clock: SharedClock,
) -> Result<Option<Arc<dyn Service>>, SetupError> {
    let service = match config.service.provider {
        config::Provider::Local => return Ok(None),
        config::Provider::Auto => services::USUAL,
        config::Provider::Service(service) => service,
    };
    let key = config.service.key.as_ref();
    if service.needs_key && key.is_none() {
        return Ok(None);
    }
    let connection = Connection {
        base_url: &config.service.base_url,
        key: key.map(config::ApiKey::secret),
        reread: match key {
            Some(key) => reread(key.origin().clone()),
            None => Box::new(|| None),
        },
        prices: set_prices(config),
        clock,
    };
    Ok(Some((service.connect)(connection)?))
}

/// The configured price, for every model that is asked for.
fn set_prices(config: &Config) -> HashMap<String, Decimal> {
    let Some(price) = config.service.price_per_minute else {
        return HashMap::new();
    };
    let folders = config.folders.iter().map(|folder| &folder.transcribe);
    std::iter::once(&config.transcribe)
        .chain(folders)
        .map(|transcribe| (transcribe.model.clone(), price))
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
