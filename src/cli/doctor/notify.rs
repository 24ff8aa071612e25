//! Looks at who is to be told, and what was not taken; nobody is told anything.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::super::output::{clean, shown};
use super::Check;
use super::look::exposed;
use crate::clock::{SharedClock, rfc3339};
use crate::config::{Config, NotifyCommand};
use crate::queue::{Outgoing, Reader};
use crate::receivers::{Command, CommandSettings, Network, Unreachable};
use crate::session::{self, SetupError};

/// How long a name may take to be looked up.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(10);
const NAME: &str = "notify";

/// Every receiver of `[notify]`, and the outbox.
pub(super) async fn checks(config: &Config, clock: SharedClock, offline: bool) -> Vec<Check> {
    let notify = &config.notify;
    let network = Network::new(notify.allow_private, clock);
    let mut checks = Vec::new();
    checks.extend(notify.command.as_ref().map(command));
    if let Some(webhook) = &notify.webhook {
        checks.extend(exposed(NAME, &webhook.secret_file));
        checks.push(match session::webhook(webhook, &network) {
            Ok(made) if offline => {
                Check::ok(NAME, format!("the webhook at {} is told", made.shown()))
            }
            Ok(made) => leads(
                made.shown(),
                "webhook",
                timeout(LOOK_UP_LIMIT, made.look_up()).await.ok(),
            ),
            Err(error) => refused(&error),
        });
    }
    if let Some(ntfy) = &notify.ntfy {
        let token_file = ntfy.token_file.as_deref();
        checks.extend(token_file.and_then(|file| exposed(NAME, file)));
        checks.push(match session::ntfy(ntfy, &network) {
            Ok(made) if offline => {
                Check::ok(NAME, format!("the topic at {} is told", made.shown()))
            }
            Ok(made) => leads(
                made.shown(),
                "topic",
                timeout(LOOK_UP_LIMIT, made.look_up()).await.ok(),
            ),
            Err(error) => refused(&error),
        });
    }
    checks.extend(outbox(&config.state_dir));
    checks
}

fn command(settings: &NotifyCommand) -> Check {
    let command = Command::new(CommandSettings {
        program: settings.program.clone(),
        arguments: settings.arguments.clone(),
        limit: settings.timeout,
    });
    match command.found() {
        Some(path) => Check::ok(NAME, format!("{} is run for each notice", shown(&path))),
        None => Check::problem(
            NAME,
            format!(
                "notify.command: there is no program {} that can be run",
                command.shown()
            ),
            format!("chmod +x {}   # or correct notify.command", command.shown()),
        ),
    }
}

fn leads(shown: &str, what: &str, found: Option<Result<(), Unreachable>>) -> Check {
    let why = match found {
        Some(Ok(())) => return Check::ok(NAME, format!("the {what} at {shown} is told")),
        Some(Err(error)) => error.to_string(),
        None => format!(
            "its name was not found within {} s",
            LOOK_UP_LIMIT.as_secs()
        ),
    };
    let mend = "check the address in [notify] and the connection";
    Check::problem(NAME, format!("{shown}: {}", clean(&why)), mend)
}

fn refused(error: &SetupError) -> Check {
    let mend = error.hint().unwrap_or("correct [notify]".into());
    Check::problem(NAME, clean(&error.to_string()), mend)
}

/// What receivers have not taken.
fn outbox(state_dir: &Path) -> Vec<Check> {
    // A table that cannot be read is told by its own check.
    let outgoing = Reader::open(state_dir).ok().flatten();
    let outgoing = outgoing.and_then(|reader| reader.outgoing().ok());
    outgoing
        .unwrap_or_default()
        .iter()
        .filter_map(not_taken)
        .collect()
}

fn not_taken(outgoing: &Outgoing) -> Option<Check> {
    let way = outgoing.way.as_str();
    if let Some(trouble) = &outgoing.trouble {
        let text = format!("{} wait for {way}: {}", outgoing.waiting, clean(trouble));
        return Some(Check::note(
            NAME,
            text,
            "they are told again by themselves, for three days",
        ));
    }
    let (at, why) = outgoing.last.as_ref()?;
    let text = format!(
        "{} for {way} were given up, the last at {}: {}",
        outgoing.given_up,
        rfc3339(*at),
        clean(why)
    );
    Some(Check::note(
        NAME,
        text,
        "nothing, if it was mended since; they are shown for 30 days",
    ))
}
