//! What a first configuration looks like, and its files.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::super::{Failure, Session};
use super::questions::Key;
use super::{Arguments, Written, cannot};
use crate::config::{self, Choice as _, Config, EXAMPLE, Provider};
use crate::durable::{self, Existing};

/// How many old configurations are kept beside the new one.
const MOST_OLD: u32 = 1000;

/// Whether the new configuration will be understood, variables and flags included, before anybody is asked for a key.
///
/// # Errors
/// [`Failure`] that says everything that is wrong.
pub(super) fn try_out(
    session: &Session,
    target: &Path,
    arguments: &Arguments,
    folders: &[PathBuf],
) -> Result<(), Failure> {
    let text = configuration(arguments.provider, folders, None);
    Config::of_text(&session.environment, target, &text, &session.overrides)?;
    Ok(())
}

pub(super) fn write(
    target: &Path,
    arguments: &Arguments,
    folders: &[PathBuf],
    key: Key,
    written: &mut Written,
) -> Result<(), Failure> {
    let home = target.parent().unwrap_or(Path::new("/"));
    durable::create_folders(home).map_err(|error| cannot(home, &error))?;
    let key_file = match key {
        Key::None => None,
        Key::InFile(file) => Some(file),
        Key::New(secret) => {
            let file = home.join("key");
            if arguments.force && file.symlink_metadata().is_ok() {
                written.old_key = Some(set_aside(&file)?);
            }
            durable::write_secret(&file, secret.expose_secret().as_bytes(), Existing::Keep)
                .map_err(|error| {
                    cannot(&file, &error).hint("--force keeps it beside the new one")
                })?;
            Some(file)
        }
    };
    if target.symlink_metadata().is_ok() {
        written.old = Some(set_aside(target)?);
    }
    let text = configuration(arguments.provider, folders, key_file.as_deref());
    durable::write(target, text.as_bytes(), Existing::Keep)
        .map_err(|error| cannot(target, &error))?;
    written.config = Some(target.to_owned());
    written.key_file = key_file;
    Ok(())
}

/// Moves what is there to a name beside it that is free; gives that.
fn set_aside(target: &Path) -> Result<PathBuf, Failure> {
    let beside = |ending: &str| {
        let mut name = target.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut old = beside(".old");
    for number in 2..MOST_OLD {
        match durable::move_file(target, &old, Existing::Keep) {
            Ok(()) => return Ok(old),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                old = beside(&format!(".old.{number}"));
            }
            Err(error) => return Err(cannot(&old, &error)),
        }
    }
    let taken = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(cannot(&old, &taken))
}

/// The example with what was asked for filled in, so that every setting stands there, explained.
fn configuration(provider: Provider, folders: &[PathBuf], key_file: Option<&Path>) -> String {
    let mut text = EXAMPLE.replacen(
        "provider = \"auto\"",
        &format!("provider = \"{}\"", provider.name()),
        1,
    );
    if let Some(file) = key_file {
        let line = format!("api_key_file = {}", config::quoted(file));
        text = text.replacen(config::KEY_FILE_EXAMPLE, &line, 1);
    }
    if let Some((last, others)) = folders.split_last() {
        let table = |path: &PathBuf| format!("[[folders]]\n\npath = {}\n", config::quoted(path));
        let others: String = others.iter().map(|path| table(path) + "\n").collect();
        let example = "#[[folders]]\n\n#path = \"~/Podcasts\"\n";
        text = text.replacen(example, &(others + &table(last)), 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_takes_up_what_was_asked_for() {
        let folders = [PathBuf::from("/a \"b\""), PathBuf::from("/c")];
        let usual = Provider::Service(Provider::Auto.service());
        let text = configuration(usual, &folders, Some(Path::new("/k")));
        for line in [
            "provider = \"nanogpt\"",
            "api_key_file = \"/k\"",
            "path = '/a \"b\"'",
            "path = \"/c\"",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
        assert_eq!(text.matches("\n[[folders]]").count(), 2);
        assert_eq!(configuration(Provider::Auto, &[], None), EXAMPLE);
    }
}
