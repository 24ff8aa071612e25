//! `stenod config`: the effective settings, and what is wrong with them.

use serde_json::{Value, json};

use super::output::shown;
use super::{ConfigCommand, Failure, Session, exit, view};
use crate::config::{Config, EXAMPLE, Warning, read_secret_file};
use crate::session::SetupError;

pub(super) fn execute(session: &Session, command: &ConfigCommand) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Show { origin } => show(session, *origin),
        ConfigCommand::Check => check(session),
        ConfigCommand::Path => path(session),
        ConfigCommand::Example => {
            session.output.data(EXAMPLE)?;
            Ok(exit::DONE)
        }
    }
}

fn show(session: &Session, origin: bool) -> Result<u8, Failure> {
    let config = session.config()?;
    if session.output.json() {
        let settings: serde_json::Map<_, _> = config
            .settings()
            .iter()
            .map(|setting| {
                let origin = setting.origin.to_string();
                (
                    setting.key.clone(),
                    json!({"value": setting.json(), "origin": origin}),
                )
            })
            .collect();
        let file = config.file.as_deref().map(view::path);
        session
            .output
            .document(&json!({"file": file, "settings": settings}))?;
        return Ok(exit::DONE);
    }
    let lines: String = config
        .settings()
        .iter()
        .map(|setting| {
            let value = format!("{} = {}", setting.key, setting.value);
            match origin {
                true => format!("{value}  # {}\n", setting.origin),
                false => value + "\n",
            }
        })
        .collect();
    session.output.data(&lines)?;
    Ok(exit::DONE)
}

fn check(session: &Session) -> Result<u8, Failure> {
    let config = session.config_to_work_with()?;
    if let Some(trouble) = &config.service.key_trouble {
        return Err(SetupError::KeyTrouble(trouble.clone()).into());
    }
    let missing = missing_secrets(&config);
    if let Some((first, others)) = missing.split_first() {
        let more = match others.len() {
            0 => String::new(),
            _ => format!("; {}", others.join("; ")),
        };
        let error = anyhow::anyhow!("{first}{more}");
        return Err(Failure::new(exit::CONFIGURATION, error)
            .hint("put each secret alone into its file, readable for the user that runs stenod"));
    }
    let text = match &config.file {
        Some(file) => format!("{} is right", shown(file)),
        None => "there is no configuration file; the defaults apply".to_owned(),
    };
    if session.output.json() {
        let file = config.file.as_deref().map(view::path);
        session
            .output
            .document(&json!({"ok": true, "file": file, "warnings": warnings(&config)}))?;
        return Ok(exit::DONE);
    }
    session.output.say(&text)?;
    Ok(exit::DONE)
}

/// What works but should be mended, each with its way out.
fn warnings(config: &Config) -> Vec<Value> {
    let warnings = config.warnings.iter();
    let warning = |warning: &Warning| json!({"message": warning.text, "fix": warning.mend});
    warnings.map(warning).collect()
}

/// The files of secrets that are named and cannot be read.
fn missing_secrets(config: &Config) -> Vec<String> {
    let bucket = config.bucket.as_ref();
    let bucket = bucket.and_then(|bucket| bucket.secret_access_key_file.as_ref());
    let webhook = config.notify.webhook.as_ref().map(|hook| &hook.secret_file);
    let ntfy = config
        .notify
        .ntfy
        .as_ref()
        .and_then(|ntfy| ntfy.token_file.as_ref());
    let named = [
        ("bucket.secret_access_key_file", bucket),
        ("notify.webhook_secret_file", webhook),
        ("notify.ntfy_token_file", ntfy),
    ];
    let named = named
        .into_iter()
        .filter_map(|(key, file)| Some((key, file?)));
    let missing = named.filter_map(|(key, file)| {
        let error = read_secret_file(file).err()?;
        Some(format!("{key}: {} {error}", shown(file)))
    });
    missing.collect()
}

fn path(session: &Session) -> Result<u8, Failure> {
    let file = Config::locate(&session.environment, session.config_file.as_deref())?;
    if session.output.json() {
        let code = match file {
            Some(_) => exit::DONE,
            None => exit::CONFIGURATION,
        };
        let file = file.as_deref().map(view::path);
        session.output.document(&json!({"file": file}))?;
        return Ok(code);
    }
    match file {
        Some(file) => {
            session.output.data(&format!("{}\n", shown(&file)))?;
            Ok(exit::DONE)
        }
        None => {
            session
                .output
                .say("there is no configuration file; the defaults apply")?;
            Ok(exit::CONFIGURATION)
        }
    }
}
