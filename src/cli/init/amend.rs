//! Changes to a configuration that is there: another key, more folders. All else stays as it stands.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::super::output::shown;
use super::super::{Failure, Session};
use super::questions::{self, Key, Questions, Trial};
use super::{Arguments, Written, cannot, usage};
use crate::config::{self, Config};
use crate::disk::{QUICK, real_path};
use crate::durable::{self, Draft, Existing};

/// Gives the configuration at `target` the key and the folders that were asked for.
pub(super) async fn amend(
    session: &Session,
    arguments: &Arguments,
    target: &Path,
    written: &mut Written,
) -> Result<(), Failure> {
    let config = Config::load(&session.environment, Some(target), &session.overrides)?;
    let given = arguments.folders.iter().map(|path| questions::folder(path));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    let mut folders = questions::distinct(given);
    folders.retain(|path| !is_configured(&config, path));
    // What would be refused afterwards is refused before a key is asked for.
    changed(session, target, None, &folders)?;
    let service = &config.service;
    // Of a service that asks for no key, nobody knows what a refusal is worth.
    let is_tried = !arguments.offline && service.server().needs_key;
    let trial = Trial {
        session,
        service: service.server(),
        base_url: is_tried.then(|| service.base_url.clone()),
    };
    let key_file = match arguments.key_file {
        None => None,
        Some(_) => {
            let asks = Questions::new(session, arguments);
            match questions::key(&trial, arguments, &asks, written).await? {
                Key::None => None,
                Key::InFile(file) => Some(file),
                Key::New(secret) => {
                    let named = service.key_file.as_deref();
                    Some(put_key(target, named, secret.expose_secret())?)
                }
            }
        }
    };
    let renamed = key_file
        .as_ref()
        .filter(|file| service.key_file.as_ref() != Some(*file));
    if renamed.is_some() || !folders.is_empty() {
        let text = changed(session, target, renamed.map(PathBuf::as_path), &folders)?;
        replace(target, text.as_bytes(), false).map_err(|error| cannot(target, &error))?;
    }
    written.key_file = key_file;
    written.added = folders;
    Ok(())
}

fn is_configured(config: &Config, path: &Path) -> bool {
    let real = |path: &Path| real_path(path, QUICK).unwrap_or_else(|| path.to_owned());
    let mut folders = config.folders.iter();
    folders.any(|folder| real(&folder.path) == real(path))
}

/// Writes the key where it is looked for, else beside the configuration; gives the file.
fn put_key(target: &Path, named: Option<&Path>, key: &str) -> Result<PathBuf, Failure> {
    let Some(file) = named else {
        let file = target.with_file_name("key");
        durable::write_secret(&file, key.as_bytes(), Existing::Keep).map_err(|error| {
            cannot(&file, &error).hint("name another file: stenod init --key-file FILE")
        })?;
        return Ok(file);
    };
    let home = file.parent().unwrap_or(Path::new("/"));
    durable::create_folders(home).map_err(|error| cannot(home, &error))?;
    replace(file, key.as_bytes(), true).map_err(|error| cannot(file, &error))?;
    Ok(file.to_owned())
}

/// The text of the configuration with this key file and these folders, whose comments stay; one that can be used.
fn changed(
    session: &Session,
    target: &Path,
    key_file: Option<&Path>,
    folders: &[PathBuf],
) -> Result<String, Failure> {
    let by_hand = || {
        usage(&format!(
            "{} is written in a way that can only be changed by hand",
            shown(target)
        ))
        .hint("nothing was changed in it; see `stenod config example`")
    };
    let mut text = std::fs::read_to_string(target).map_err(|error| cannot(target, &error))?;
    if let Some(file) = key_file {
        text = config::with_key_file(&text, file).ok_or_else(by_hand)?;
    }
    text = config::with_folders(text, folders).ok_or_else(by_hand)?;
    Config::of_text(&session.environment, target, &text, &session.overrides)?;
    Ok(text)
}

/// Replaces a file, behind a link if it is one, by one of the same owner and rights; a secret is for its
/// owner alone from its first byte on.
fn replace(file: &Path, bytes: &[u8], is_secret: bool) -> io::Result<()> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let mut draft = if is_secret {
        Draft::begin_secret(&file)?
    } else {
        Draft::begin(&file)?
    };
    if let Ok(before) = file.metadata() {
        if !is_secret {
            std::fs::set_permissions(draft.path(), Permissions::from_mode(before.mode() & 0o777))?;
        }
        let now = draft.path().metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            chown(draft.path(), Some(before.uid()), Some(before.gid()))?;
        }
    }
    draft.write_all(bytes)?;
    draft.finish(Existing::Replace)
}
