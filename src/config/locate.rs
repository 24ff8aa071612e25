//! Which file is the configuration, where the state lies, and what a written path means.
//!
//! Looks, never creates.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::environment::Environment;
use super::mistake::{ConfigErrors, Fault, Place, unreadable};
use super::settings::Origin;

/// Bytes of a configuration file, at most.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// The variable in which systemd passes `StateDirectory=`.
const STATE_VARIABLE: &str = "STATE_DIRECTORY";

/// The file for the whole machine.
const MACHINE_FILE: &str = "/etc/stenod/config.toml";

/// The file in a folder of configurations.
const FILE_IN_FOLDER: &str = "stenod/config.toml";

/// The configuration file: `--config`, `$STENOD_CONFIG` (both must exist), then the first that
/// exists of the user's and the machine's; none is no error.
///
/// # Errors
/// When a named file does not exist, or a place cannot be looked at.
pub(super) fn choose(
    environment: &Environment,
    flag: Option<&Path>,
) -> Result<Option<PathBuf>, ConfigErrors> {
    let named = flag
        .map(|path| (path, Place::Flag("--config".to_owned())))
        .or_else(|| {
            let path = Path::new(environment.get("STENOD_CONFIG")?);
            Some((path, Place::Variable("STENOD_CONFIG".to_owned())))
        });
    if let Some((path, place)) = named {
        let path = from(environment.working_dir(), path);
        return match path.metadata() {
            Ok(_) => Ok(Some(path)),
            Err(error) => Err(unreadable(place, &path, &error)),
        };
    }
    for path in candidates(environment) {
        match path.metadata() {
            Ok(_) => return Ok(Some(path)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(unreadable(Place::Nowhere, &path, &error)),
        }
    }
    Ok(None)
}

/// Where an unnamed configuration is looked for, in order.
pub(super) fn candidates(environment: &Environment) -> Vec<PathBuf> {
    let user = environment
        .folder("XDG_CONFIG_HOME")
        .map(Path::to_owned)
        .or_else(|| Some(environment.home()?.join(".config")));
    let user = user.map(|folder| folder.join(FILE_IN_FOLDER));
    user.into_iter()
        .chain([PathBuf::from(MACHINE_FILE)])
        .collect()
}

/// The whole text of a configuration file.
///
/// # Errors
/// When it cannot be read, is larger than 256 KiB, or is not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, ConfigErrors> {
    let place = || Place::File(path.to_owned());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(Place::Nowhere, path, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        let fault = Fault::new(format!(
            "is no configuration: larger than {MAX_FILE_BYTES} bytes"
        ));
        return Err(fault.at(place(), None).into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault::new(format!("line {line} is not UTF-8"))
            .at(place(), None)
            .into()
    })
}

/// The state folder when none is configured: systemd's, else the user's.
pub(super) fn default_state_dir(environment: &Environment) -> Option<(PathBuf, Origin)> {
    // systemd.exec(5): several state folders are separated by colons.
    let systemd = environment.get(STATE_VARIABLE).map(|folders| {
        let first = folders
            .as_bytes()
            .split(|byte| *byte == b':')
            .next()
            .unwrap_or_default();
        PathBuf::from(OsStr::from_bytes(first))
    });
    if let Some(path) = systemd.filter(|path| path.is_absolute()) {
        return Some((path, Origin::Variable(STATE_VARIABLE.to_owned())));
    }
    let user = environment.folder("XDG_STATE_HOME").map(Path::to_owned);
    let user = user.or_else(|| Some(environment.home()?.join(".local/state")));
    Some((user?.join("stenod"), Origin::Default))
}

/// What a path in a setting means: `~` is the home folder, a relative one starts at `base`.
///
/// # Errors
/// For `~name`, and for `~` when no home folder is known.
pub(super) fn meant(
    written: &str,
    base: &Path,
    environment: &Environment,
) -> Result<PathBuf, Fault> {
    if let Some(rest) = written.strip_prefix('~') {
        let inside = rest.strip_prefix('/').or(rest.is_empty().then_some(""));
        let Some(inside) = inside else {
            return Err(
                Fault::new("`~` with a name is not understood").mend("write the whole path")
            );
        };
        let Some(home) = environment.home() else {
            return Err(Fault::new("no home folder is known for `~`").mend("write the whole path"));
        };
        return Ok(from(home, Path::new(inside)));
    }
    if written.contains('\0') {
        return Err(Fault::new("a path cannot hold a zero byte"));
    }
    Ok(from(base, Path::new(written)))
}

/// `path` started at `base`, without `.` and repeated slashes; `..` stays, because only the
/// file system knows what it means behind a symlink.
pub(super) fn from(base: &Path, path: &Path) -> PathBuf {
    base.join(path)
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::new(Some("/home/ada".into()), "/here")
    }

    #[test]
    fn unnamed_files_are_looked_for_with_the_user_then_for_the_machine() {
        let machine = Path::new(MACHINE_FILE);
        let home = candidates(&environment());
        assert_eq!(
            home,
            [Path::new("/home/ada/.config/stenod/config.toml"), machine]
        );
        let xdg = candidates(&environment().with("XDG_CONFIG_HOME", "/xdg"));
        assert_eq!(xdg, [Path::new("/xdg/stenod/config.toml"), machine]);
        assert_eq!(candidates(&Environment::new(None, "/here")), [machine]);
    }

    #[test]
    fn the_state_lies_where_systemd_says_else_with_the_user() {
        let path = |environment: &Environment| default_state_dir(environment).map(|found| found.0);
        let home = environment();
        assert_eq!(path(&home), Some("/home/ada/.local/state/stenod".into()));
        let xdg = home.with("XDG_STATE_HOME", "/xdg");
        assert_eq!(path(&xdg), Some("/xdg/stenod".into()));
        let systemd = xdg.with("STATE_DIRECTORY", "/var/lib/stenod:/var/lib/other");
        assert_eq!(path(&systemd), Some("/var/lib/stenod".into()));
        assert_eq!(path(&Environment::new(None, "/here")), None);
    }

    #[test]
    fn a_path_means_what_a_shell_would_make_of_it() {
        let meant = |written| meant(written, Path::new("/etc/stenod"), &environment());
        for (written, path) in [
            ("~", "/home/ada"),
            ("~/a//b/", "/home/ada/a/b"),
            ("/x/./y", "/x/y"),
            ("key", "/etc/stenod/key"),
            ("./key", "/etc/stenod/key"),
            ("../key", "/etc/stenod/../key"),
            ("a~b", "/etc/stenod/a~b"),
        ] {
            assert_eq!(meant(written), Ok(path.into()), "{written}");
        }
        assert_eq!(
            meant("~bob/x").unwrap_err().what,
            "`~` with a name is not understood"
        );
        assert_eq!(
            meant("a\0b").unwrap_err().what,
            "a path cannot hold a zero byte"
        );
    }

    #[test]
    fn without_a_home_the_tilde_means_nothing() {
        let homeless = Environment::new(None, "/here");
        let fault = meant("~/x", Path::new("/etc"), &homeless).unwrap_err();
        assert_eq!(fault.what, "no home folder is known for `~`");
    }
}
