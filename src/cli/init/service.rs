//! What `init` writes for systemd: a drop-in for the service of the machine, or a unit for a person's own.

use std::collections::BTreeSet;
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

/// What it sees of homes there.
const OWN_HOME: &str = "BindPaths=%h %t\n";
/// Of what is below these, the unit sees nothing but that.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Whether systemd looks after services of this person.
pub(super) fn has_user_manager(environment: &Environment) -> bool {
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.is_some_and(|folder| folder.join("systemd").is_dir())
}

/// Writes a unit that watches by this configuration; gives its place, and whether it is new there.
pub(super) fn write_unit(
    environment: &Environment,
    config_file: &Path,
    config: &Config,
) -> Result<(PathBuf, bool), Failure> {
    let home = || Some(PathBuf::from(environment.get("HOME")?).join(".config"));
    let own = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let own = own.filter(|path| path.is_absolute()).or_else(home);
    let own = own.ok_or_else(|| usage("no home directory is known"))?;
    let folder = own.join("systemd/user");
    durable::create_folders(&folder).map_err(|error| cannot(&folder, &error))?;
    let file = folder.join("stenod.service");
    let program = std::env::current_exe()?;
    let mut text = unit(&program, config_file);
    let home = environment.home().unwrap_or(Path::new("/"));
    let own = [program.as_path(), config_file, &config.state_dir];
    let hidden = hidden_places(own.into_iter().chain(places(config)), home);
    text = text.replacen(OWN_HOME, &format!("{OWN_HOME}{hidden}"), 1);
    match durable::write(&file, text.as_bytes(), Existing::Keep) {
        Ok(()) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((file, false)),
        Err(error) => Err(cannot(&file, &error)),
    }
}

/// What the unit has to see beside this person's own home.
fn hidden_places<'a>(places: impl Iterator<Item = &'a Path>, home: &Path) -> String {
    let is_hidden = |place: &&Path| {
        HOMES.iter().any(|homes| place.starts_with(homes)) && !place.starts_with(home)
    };
    let places: BTreeSet<&Path> = places.filter(is_hidden).collect();
    let line = |place: &Path| format!("BindPaths=-{}\n", quote(place));
    places.into_iter().map(line).collect()
}

/// Where recordings are looked for and transcripts are written.
fn places(config: &Config) -> impl Iterator<Item = &Path> {
    config.folders.iter().flat_map(|folder| {
        let output_dir = folder.transcribe.output_dir.as_deref();
        std::iter::once(folder.path.as_path()).chain(output_dir)
    })
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
    for place in places(config).collect::<BTreeSet<_>>() {
        text.push_str(&format!("RequiresMountsFor={}\n", quote(place)));
    }
    let written = config.folders.iter().map(|folder| {
        let named = folder.transcribe.output_dir.as_deref();
        named.unwrap_or(&folder.path)
    });
    text.push_str(
        "\n[Service]\n# A folder that is not there yet does not keep the service from starting.\n",
    );
    for place in written.collect::<BTreeSet<_>>() {
        text.push_str(&format!("ReadWritePaths=-{}\n", quote(place)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_sees_what_is_named_in_the_homes_of_others() {
        let places = [
            "/home/me/Talks",
            "/home/bob/50% Talks",
            "/mnt/nas",
            "/root/bin/stenod",
        ];
        let hidden = hidden_places(places.map(Path::new).into_iter(), Path::new("/home/me"));
        let wanted = "BindPaths=-\"/home/bob/50%% Talks\"\nBindPaths=-\"/root/bin/stenod\"\n";
        assert_eq!(hidden, wanted);
        assert_eq!(USER_UNIT.matches(OWN_HOME).count(), 1);
    }

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
