//! `[notify]`: who is told of what happens. An address may be a secret, and is repeated nowhere.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Time;
use reqwest::Url;

use super::mistake::{Fault, Faults};
use super::reader::Reader;
use super::sections::secret_path;
use super::settings::{Notify, NotifyCommand, NotifyNtfy, NotifyWebhook};
use super::values::{self, Given, echo, either};
use super::{lists, quantities, redact, secret, urls};
use crate::domain::near::nearest;
use crate::domain::notice::Event;

/// The shortest time that a command can be given, and the longest.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);

/// The name of the webhook's secret among systemd's credentials.
const WEBHOOK_CREDENTIAL: &str = "webhook-secret";
/// The name of ntfy's token among them.
const NTFY_CREDENTIAL: &str = "ntfy-token";

/// `[notify]`.
pub(super) fn notify(mut table: Reader<'_>) -> Option<Notify> {
    let allow_private = table.read("allow_private", values::boolean);
    let digest_at = table.read("digest_at", time_of_day);
    let command = command(&mut table);
    let webhook = webhook(&mut table, allow_private);
    let ntfy = ntfy(&mut table, allow_private);
    let (command, webhook, ntfy) = (command?, webhook?, ntfy?);
    if command.is_none() && webhook.is_none() && ntfy.is_none() {
        table.forget();
    }
    Some(Notify {
        command,
        webhook,
        ntfy,
        allow_private: allow_private?,
        digest_at: digest_at?,
    })
}

fn command(table: &mut Reader<'_>) -> Option<Option<NotifyCommand>> {
    let words = table.optional("command", |given| {
        let words = lists::list(given)?;
        if words.iter().any(|word| word.contains('\0')) {
            return Err(Fault::new("a word of a command cannot hold a zero byte").into());
        }
        Ok::<_, Faults>(words)
    });
    let events = table.read("command_events", events);
    let timeout = table.read("command_timeout", |given| {
        quantities::duration(given, TIMEOUT)
    });
    let words = words?.unwrap_or_default();
    let Some((program, arguments)) = words.split_first() else {
        return Some(None);
    };
    let program = if program.contains('/') {
        let meant = table.meant("command", program);
        meant.map_err(|fault| table.fault("command", fault)).ok()?
    } else {
        PathBuf::from(program)
    };
    Some(Some(NotifyCommand {
        program,
        arguments: arguments.to_vec(),
        events: events?,
        timeout: timeout?,
    }))
}

fn webhook(table: &mut Reader<'_>, allow_private: Option<bool>) -> Option<Option<NotifyWebhook>> {
    let url = address(table, "webhook_url", allow_private);
    let named = secret_path(table, "webhook_secret_file");
    let events = table.read("webhook_events", events);
    let (url, named) = (url?, named?);
    let Some(url) = url else {
        return Some(None);
    };
    let credential = || secret::credential(table.environment(), WEBHOOK_CREDENTIAL);
    let Some(secret_file) = named.or_else(credential) else {
        let fault = Fault::new("is missing: every request to the webhook is signed");
        let mend = "(umask 077; echo whsec_$(openssl rand -base64 32) > FILE) makes a secret; \
            name FILE here and give the same to the receiver";
        table.fault("webhook_secret_file", fault.mend(mend));
        return None;
    };
    Some(Some(NotifyWebhook {
        url,
        secret_file,
        events: events?,
    }))
}

fn ntfy(table: &mut Reader<'_>, allow_private: Option<bool>) -> Option<Option<NotifyNtfy>> {
    let url = address(table, "ntfy_url", allow_private);
    let named = secret_path(table, "ntfy_token_file");
    let events = table.read("ntfy_events", events);
    let (url, named) = (url?, named?);
    let Some(url) = url else {
        return Some(None);
    };
    let topic = url.path().trim_matches('/').rsplit('/').next();
    if topic.is_none_or(str::is_empty) {
        let fault = Fault::new("names no topic");
        table.fault(
            "ntfy_url",
            fault.allowed(
                "an address with the topic behind it, such as \"https://ntfy.sh/my-topic\"",
            ),
        );
        return None;
    }
    let credential = || secret::credential(table.environment(), NTFY_CREDENTIAL);
    Some(Some(NotifyNtfy {
        url,
        token_file: named.or_else(credential),
        events: events?,
    }))
}

/// An address to send notices to; nothing behind its host is ever shown.
fn address(table: &mut Reader<'_>, key: &str, allow_private: Option<bool>) -> Option<Option<Url>> {
    let url = table.optional(key, |given| {
        let allowed = "an absolute URL such as \"https://example.org/hooks/stenod\"";
        let text = values::text(given)
            .map_err(|_| Fault::new("expected a text in quotes").allowed(allowed))?;
        let url = Url::parse(text.trim()).map_err(|error| {
            Fault::new(format!("is not an absolute URL: {error}")).allowed(allowed)
        })?;
        if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
            return Err(Fault::new("is neither http nor https").allowed(allowed));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::new("must not hold a user name or a password"));
        }
        if url.fragment().is_some() {
            return Err(Fault::new("must not hold a fragment (`#`)"));
        }
        Ok(url)
    })?;
    let Some(url) = url else {
        return Some(None);
    };
    let host = url.host_str().unwrap_or_default();
    table.show(key, &format!("{}://{host}/{}", url.scheme(), redact::MASK));
    if allow_private == Some(false) && urls::is_private_host(url.as_str()) {
        let fault = Fault::new(format!("{host} is this machine or in a private network"));
        table.fault(
            key,
            fault.mend("notify.allow_private = true allows receivers there"),
        );
        return None;
    }
    Some(Some(url))
}

/// Events, in order, without repetitions.
fn events(given: Given<'_>) -> Result<Vec<Event>, Faults> {
    let names = Event::ALL.map(Event::as_str);
    let (mut events, mut faults) = (Vec::new(), Vec::new());
    for (index, name) in lists::list(given)?.iter().enumerate() {
        match Event::named(name.trim()) {
            Some(event) if events.contains(&event) => {}
            Some(event) => events.push(event),
            None => {
                let near = nearest(&name.to_lowercase(), names);
                let fault = Fault::new(format!("unknown event {}", echo(name)));
                faults.push(fault.allowed(either(&names)).nearest(near).element(index));
            }
        }
    }
    if faults.is_empty() {
        Ok(events)
    } else {
        Err(Faults(faults))
    }
}

/// A time of day: `08:00`.
fn time_of_day(given: Given<'_>) -> Result<Time, Fault> {
    let allowed = "a time of day in quotes, such as \"08:00\"";
    let text = values::text(given).map_err(|fault| fault.allowed(allowed))?;
    Time::strptime("%H:%M", text.trim())
        .map_err(|_| Fault::new(format!("{} is no time of day", echo(&text))).allowed(allowed))
}
