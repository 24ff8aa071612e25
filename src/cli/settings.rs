//! `stenod config`: the effective settings, and what is wrong with them.

use serde_json::json;

use super::output::shown;
use super::{ConfigCommand, Failure, Session, exit, view};
use crate::config::{Config, EXAMPLE};
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
    let text = match &config.file {
        Some(file) => format!("{} is right", shown(file)),
        None => "there is no configuration file; the defaults apply".to_owned(),
    };
    if session.output.json() {
        let file = config.file.as_deref().map(view::path);
        session
            .output
            .document(&json!({"ok": true, "file": file}))?;
        return Ok(exit::DONE);
    }
    session.output.say(&text)?;
    Ok(exit::DONE)
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
