//! From `[notify]` to those who are told.

use std::path::Path;

use secrecy::SecretString;

use super::{Extras, SetupError, limits};
use crate::clock::SharedClock;
use crate::config::{self, Config};
use crate::domain::notice::Way;
use crate::pipeline::Receivers;
use crate::queue::Audience;
use crate::receivers::{
    self, Command, CommandSettings, Network, Ntfy, NtfySettings, Receiver, Unreachable, Webhook,
};

/// Who is told by `config`; nobody is called yet.
///
/// # Errors
/// [`SetupError::Receiver`] where one cannot be told anything.
pub fn receivers(config: &Config, clock: SharedClock) -> Result<Receivers, SetupError> {
    let notify = &config.notify;
    let network = Network::new(notify.allow_private, clock);
    let mut all = Vec::new();
    if let Some(command) = &notify.command {
        let settings = CommandSettings {
            program: command.program.clone(),
            arguments: command.arguments.clone(),
            limit: command.timeout,
        };
        all.push(Receiver::Command(Command::new(settings)));
    }
    if let Some(webhook) = &notify.webhook {
        all.push(Receiver::Webhook(self::webhook(webhook, &network)?));
    }
    if let Some(ntfy) = &notify.ntfy {
        all.push(Receiver::Ntfy(self::ntfy(ntfy, &network)?));
    }
    Ok(Receivers::new(all, notify.digest_at))
}

/// The webhook of these settings.
///
/// # Errors
/// [`SetupError::Receiver`] where its secret or its address is of no use.
pub fn webhook(settings: &config::NotifyWebhook, network: &Network) -> Result<Webhook, SetupError> {
    let key = "notify.webhook_secret_file";
    let secret = secret_of(key, &settings.secret_file)?;
    let secret = receivers::key_in(&secret).map_err(|error| SetupError::Receiver {
        key,
        why: format!("{} {error}", settings.secret_file.display()),
    })?;
    Webhook::new(settings.url.clone(), secret, network).map_err(unreachable("notify.webhook_url"))
}

/// The topic of these settings.
///
/// # Errors
/// [`SetupError::Receiver`] where its token or its address is of no use.
pub fn ntfy(settings: &config::NotifyNtfy, network: &Network) -> Result<Ntfy, SetupError> {
    let token = match &settings.token_file {
        Some(path) => Some(secret_of("notify.ntfy_token_file", path)?),
        None => None,
    };
    let url = settings.url.clone();
    Ntfy::new(NtfySettings { url, token }, network).map_err(unreachable("notify.ntfy_url"))
}

fn secret_of(key: &'static str, path: &Path) -> Result<SecretString, SetupError> {
    let found = config::read_secret_file(path).map_err(|error| SetupError::Receiver {
        key,
        why: format!("{} {error}", path.display()),
    })?;
    Ok(found.secret)
}

fn unreachable(key: &'static str) -> impl Fn(Unreachable) -> SetupError {
    move |error| SetupError::Receiver {
        key,
        why: format!("{:#}", anyhow::Error::new(error)),
    }
}

/// Who is told of what by `config`.
pub(super) fn audience(config: &Config, extras: &Extras, now: jiff::Timestamp) -> Audience {
    let notify = &config.notify;
    let command = notify
        .command
        .as_ref()
        .map(|command| (Way::Command, &command.events));
    let webhook = notify
        .webhook
        .as_ref()
        .map(|webhook| (Way::Webhook, &webhook.events));
    let ntfy = notify.ntfy.as_ref().map(|ntfy| (Way::Ntfy, &ntfy.events));
    let wants = [command, webhook, ntfy].into_iter().flatten();
    Audience {
        wants: wants.map(|(way, events)| (way, events.clone())).collect(),
        limits: limits(config, extras.max_cost, now),
    }
}
