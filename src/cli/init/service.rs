//! What `init` writes for systemd: a drop-in for the service of the machine, or a unit for a person's own.

use std::io;
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::{cannot, usage};
use crate::config::{Config, Environment};
use crate::durable::{self, Existing};

/// The unit for one person, as it lies in the repository.
const USER_UNIT: &str = include_str!("../../../systemd/stenod-user.service");
/// How it calls stenod there.
const PROGRAM: &str = "=/usr/bin/stenod ";

/// Whether systemd looks after services of this person.
pub(super) fn has_user_manager(environment: &Environment) -> bool {
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.is_some_and(|folder| folder.join("systemd").is_dir())
}

/// Writes a unit that watches by this configuration; gives its place, and whether it is new there.
pub(super) fn write_unit(
    environment: &Environment,
    config_file: &Path,
) -> Result<(PathBuf, bool), Failure> {
    let home = || Some(PathBuf::from(environment.get("HOME")?).join(".config"));
    let own = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let own = own.filter(|path| path.is_absolute()).or_else(home);
    let own = own.ok_or_else(|| usage("no home directory is known"))?;
    let folder = own.join("systemd/user");
    durable::create_folders(&folder).map_err(|error| cannot(&folder, error))?;
    let file = folder.join("stenod.service");
    let program = std::env::current_exe()?;
    let text = unit(&program, config_file);
    match durable::write(&file, text.as_bytes(), Existing::Keep) {
        Ok(()) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((file, false)),
        Err(error) => Err(cannot(&file, error)),
    }
}

fn unit(program: &Path, config_file: &Path) -> String {
    let start = USER_UNIT.find("[Unit]").unwrap_or_default();
    let text = USER_UNIT.get(start..).unwrap_or_default();
    let call = format!("={} --config {} ", quote(program), quote(config_file));
    format!(
        "# Written by `stenod init --user-service`.\n\n{}",
        text.replace(PROGRAM, &call)
    )
}

/// A path as one word of a unit.
fn quote(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\");
    format!("\"{}\"", text.replace('"', "\\\"").replace('%', "%%"))
}

/// What systemd has to know of the folders: mounted before the start, and writable.
pub(super) fn drop_in(config: &Config) -> String {
    let mut text =
        "# Written by `stenod init --systemd`; run it again when the folders change.\n[Unit]\n"
            .to_owned();
    for folder in &config.folders {
        text.push_str(&format!("RequiresMountsFor={}\n", quote(&folder.path)));
    }
    text.push_str("\n[Service]\n");
    for folder in &config.folders {
        let place = folder
            .transcribe
            .output_dir
            .as_ref()
            .unwrap_or(&folder.path);
        text.push_str(&format!("ReadWritePaths={}\n", quote(place)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_calls_this_program_with_this_configuration() {
        let text = unit(Path::new("/opt/a b/stenod"), Path::new("/home/me/50%.toml"));
        let call = "\"/opt/a b/stenod\" --config \"/home/me/50%%.toml\"";
        for line in [
            format!("ExecStart={call} watch"),
            format!("ExecReload={call} reload"),
            "WantedBy=default.target".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("/usr/bin/stenod"), "{text}");
    }
}
