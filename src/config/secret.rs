//! Secrets from files and variables: found, checked, never shown.
//!
//! The one place that reads a secret. No message repeats any part of one.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::environment::Environment;
use super::mistake::reason;
use crate::speech::services::{Description, SERVICES};

/// Bytes that a key file may hold, white space included.
const MAX_SECRET_FILE_BYTES: usize = 4096;

/// The variable that names systemd's folder of credentials.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The name of the key among systemd's credentials.
const CREDENTIAL: &str = "api-key";

/// The service's key and where it was found.
#[derive(Debug, Clone)]
pub struct ApiKey {
    secret: SecretString,
    origin: KeyOrigin,
}

/// Where a key was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// A systemd credential at this path.
    Credential(PathBuf),
    /// The file that `api_key_file` names.
    File(PathBuf),
    /// The variable of this name.
    Environment(&'static str),
}

/// Why a secret cannot be used; never repeats any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot be read: {}", reason(.0))]
    Unreadable(io::Error),
    /// Nothing but white space.
    #[error("holds no key: it is empty")]
    Empty,
    /// Longer than a key can be.
    #[error("is too large to be a key: more than {MAX_SECRET_FILE_BYTES} bytes")]
    TooLarge,
    /// A line such as `API_KEY=…`.
    #[error("holds a variable assignment, not the key alone")]
    Assignment,
    /// White space inside.
    #[error("holds more than one word or line, not the key alone")]
    SeveralWords,
    /// Bytes that cannot stand in a header of a request.
    #[error("holds characters that cannot be part of a key")]
    Characters,
}

/// A secret out of a file, and the file's permission bits.
#[derive(Debug)]
pub struct FileSecret {
    /// The secret, without white space around it.
    pub secret: SecretString,
    /// The lower nine permission bits.
    pub mode: u32,
}

impl FileSecret {
    /// Whether somebody besides the owner may read the file.
    pub fn is_exposed(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

impl ApiKey {
    /// The key itself, for the header of a request and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The key, still closed.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Where it was found.
    pub fn origin(&self) -> &KeyOrigin {
        &self.origin
    }

    pub(super) fn new(secret: SecretString, origin: KeyOrigin) -> Self {
        Self { secret, origin }
    }
}

/// The key from systemd's credentials, if the folder is named and holds one.
pub(super) fn from_credentials(
    environment: &Environment,
) -> Result<Option<ApiKey>, (PathBuf, SecretError)> {
    let Some(folder) = environment.get(CREDENTIALS_VARIABLE) else {
        return Ok(None);
    };
    let path = Path::new(folder).join(CREDENTIAL);
    match read_secret_file(&path) {
        Ok(found) => Ok(Some(ApiKey::new(found.secret, KeyOrigin::Credential(path)))),
        Err(SecretError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err((path, error)),
    }
}

/// The file of systemd's credential `name`, if there is one.
pub(super) fn credential(environment: &Environment, name: &str) -> Option<PathBuf> {
    let path = Path::new(environment.get(CREDENTIALS_VARIABLE)?).join(name);
    path.is_file().then_some(path)
}

/// The key from `variable`, if it is set and not empty.
pub(super) fn from_variable(
    environment: &Environment,
    variable: &'static str,
) -> Result<Option<ApiKey>, SecretError> {
    let Some(value) = environment.get(variable) else {
        return Ok(None);
    };
    let secret = value
        .to_str()
        .ok_or(SecretError::Characters)
        .and_then(key_in);
    match secret {
        Ok(secret) => {
            let origin = KeyOrigin::Environment(variable);
            Ok(Some(ApiKey::new(secret, origin)))
        }
        Err(error) => Err(error),
    }
}

/// Reads a secret that stands alone in a file; white space around it is dropped.
///
/// # Errors
/// When the file cannot be read, is empty, or holds something that is no key.
pub fn read_secret_file(path: &Path) -> Result<FileSecret, SecretError> {
    let mut file = File::open(path).map_err(SecretError::Unreadable)?;
    let mode = file.metadata().map_err(SecretError::Unreadable)?.mode() & 0o777;
    let mut bytes = Zeroizing::new(vec![0; MAX_SECRET_FILE_BYTES + 1]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SecretError::Unreadable(error)),
        }
    }
    if length > MAX_SECRET_FILE_BYTES {
        return Err(SecretError::TooLarge);
    }
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default());
    let secret = key_in(text.map_err(|_| SecretError::Characters)?)?;
    Ok(FileSecret { secret, mode })
}

/// The secret without white space and byte order mark around it, if it can stand in a header.
///
/// # Errors
/// Where the text is empty or no key.
pub fn key_in(text: &str) -> Result<SecretString, SecretError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(SecretError::Empty);
    }
    let is_assigned = |service: &&Description| text.starts_with(service.key_variable);
    if text.starts_with("export ") || SERVICES.iter().any(is_assigned) {
        return Err(SecretError::Assignment);
    }
    if text.contains(char::is_whitespace) {
        return Err(SecretError::SeveralWords);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Characters);
    }
    Ok(SecretString::from(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read(content: &[u8]) -> Result<String, String> {
        let found = read_secret_file(file(content).path());
        found
            .map(|found| found.secret.expose_secret().to_owned())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn white_space_and_byte_order_mark_around_a_key_are_dropped() {
        assert_eq!(read(b"  sk-nano-1\r\n\n").unwrap(), "sk-nano-1");
        assert_eq!(read("\u{feff}sk-nano-1\n".as_bytes()).unwrap(), "sk-nano-1");
    }

    #[test]
    fn what_is_no_key_is_refused_without_a_word_of_it() {
        let large = vec![b'k'; MAX_SECRET_FILE_BYTES + 1];
        for (content, message) in [
            (&b" \n"[..], "holds no key: it is empty"),
            (
                b"hunter2 hunter3",
                "holds more than one word or line, not the key alone",
            ),
            (
                b"hunter2\nhunter3",
                "holds more than one word or line, not the key alone",
            ),
            (
                b"NANOGPT_API_KEY=hunter2",
                "holds a variable assignment, not the key alone",
            ),
            (
                b"hunter2\x07",
                "holds characters that cannot be part of a key",
            ),
            (
                b"\xffhunter2",
                "holds characters that cannot be part of a key",
            ),
            (&large, "is too large to be a key: more than 4096 bytes"),
        ] {
            assert_eq!(read(content).unwrap_err(), message);
        }
    }

    #[test]
    fn the_largest_key_fits() {
        let most = vec![b'k'; MAX_SECRET_FILE_BYTES];
        assert_eq!(read(&most).unwrap().len(), MAX_SECRET_FILE_BYTES);
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read_secret_file(&folder.path().join("none")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot be read: there is no such file");
        let is_folder = read_secret_file(folder.path()).unwrap_err();
        assert_eq!(is_folder.to_string(), "cannot be read: it is a folder");
    }

    #[test]
    fn debug_never_shows_a_key() {
        let key = ApiKey::new(
            SecretString::from("hunter2".to_owned()),
            KeyOrigin::Environment("NANOGPT_API_KEY"),
        );
        let copy = key.clone();
        assert!(!format!("{key:?} {copy:?}").contains("hunter2"));
        assert_eq!(copy.expose(), "hunter2");
        let found = read_secret_file(file(b"hunter2").path()).unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
