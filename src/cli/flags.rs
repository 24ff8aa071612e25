//! The flags by which a run has the settings of a job, where those are not the configured ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::output::{clean, quoted, word};
use crate::config::Config;
use crate::domain::job::{Job, Settings};
use crate::session;

/// The most recordings that are named one by one in a command.
const MOST_NAMED: usize = 3;

/// How the settings of a job differ from others, as flags of `stenod run`.
#[derive(Debug, Default)]
pub(super) struct Flags {
    words: Vec<String>,
    /// Settings that no flag gives, as sentences.
    others: Vec<String>,
}

impl Flags {
    /// From the settings that `configured` gives to those of `job`.
    pub(super) fn to(job: &Settings, configured: &Settings) -> Self {
        let mut flags = Self::default();
        let words = &mut flags.words;
        if job.provider != configured.provider {
            words.push(format!("--provider {}", job.provider.name()));
        }
        if job.model != configured.model {
            words.push(format!("-m {}", word(&job.model)));
        }
        if job.language != configured.language {
            words.push(format!("-l {}", word(&job.language)));
        }
        match (job.diarize, configured.diarize) {
            (true, false) => words.push("--diarize".to_owned()),
            (false, true) => flags.others.push("without diarize".to_owned()),
            (true, true) | (false, false) => {}
        }
        match (job.tag_audio_events, configured.tag_audio_events) {
            (true, false) => flags.others.push("with tag_audio_events".to_owned()),
            (false, true) => flags.others.push("without tag_audio_events".to_owned()),
            (true, true) | (false, false) => {}
        }
        flags
    }

    /// As they follow a command.
    pub(super) fn words(&self) -> String {
        self.words.iter().map(|flag| format!(" {flag}")).collect()
    }

    /// What else has to be set first.
    pub(super) fn note(&self) -> Option<String> {
        let others = self.others.join(" and ");
        let is_needed = !others.is_empty();
        is_needed.then(|| format!("first set it {others} in the configuration"))
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self
            .words
            .iter()
            .chain(&self.others)
            .map(String::as_str)
            .collect();
        f.write_str(&clean(&all.join(", ")))
    }
}

/// The commands that take up these queued jobs with the settings that they have.
pub(super) fn commands(config: &Config, jobs: &[Job]) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        let configured = configured(config, job);
        let flags = configured.map(|configured| Flags::to(&job.settings, &configured));
        groups
            .entry(flags.unwrap_or_default().words())
            .or_default()
            .push(job);
    }
    let mut commands = Vec::new();
    for (flags, jobs) in groups {
        commands.push(format!("stenod run{flags}{}", paths(config, &flags, &jobs)));
    }
    commands
}

/// The settings that a run gives to the recording of a job.
fn configured(config: &Config, job: &Job) -> Option<Settings> {
    let provider = session::meant(config).ok()?;
    let places = session::places(config, std::slice::from_ref(&job.source), provider).ok()?;
    let place = places.places.into_iter().next()?;
    Some(place.settings_of(&job.source))
}

/// What a run has to name to find these jobs: nothing where it looks by itself, their recordings, or, if
/// those are many, their folders.
fn paths(config: &Config, flags: &str, jobs: &[&Job]) -> String {
    let is_configured = |job: &&Job| {
        let mut folders = config.folders.iter();
        folders.any(|folder| job.source.starts_with(&folder.path))
    };
    if flags.is_empty() && jobs.iter().all(is_configured) {
        return String::new();
    }
    let named: BTreeSet<&Path> = match jobs.len() {
        0..=MOST_NAMED => jobs.iter().map(|job| job.source.as_path()).collect(),
        _ => jobs.iter().map(|job| job.root.as_path()).collect(),
    };
    named
        .iter()
        .map(|path| format!(" {}", quoted(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::Provider;

    #[test]
    fn each_difference_is_a_flag_or_is_said() {
        let settings = |model: &str, diarize| Settings {
            provider: Provider::named("nanogpt"),
            model: model.to_owned(),
            language: "auto".to_owned(),
            diarize,
            tag_audio_events: false,
        };
        let flags = |job: &Settings| Flags::to(job, &settings("Wizper", false));
        let other = Settings {
            language: "de".to_owned(),
            provider: Provider::LOCAL,
            ..settings("a b", true)
        };
        assert_eq!(
            flags(&other).words(),
            " --provider local -m 'a b' -l de --diarize"
        );
        assert_eq!(flags(&settings("Wizper", false)).to_string(), "");
        let tagged = Settings {
            tag_audio_events: true,
            ..settings("Wizper", false)
        };
        let tagged = flags(&tagged);
        assert_eq!(tagged.words(), "");
        assert_eq!(
            tagged.note().as_deref(),
            Some("first set it with tag_audio_events in the configuration")
        );
    }
}
