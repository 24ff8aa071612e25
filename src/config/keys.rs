//! Every key of the configuration with its default: the one list behind the default layer, the
//! unknown-key check, the environment variables and the test of `config.example.toml`.

/// The prefix of every environment variable of stenod.
pub(super) const VARIABLE_PREFIX: &str = "STENOD_";

/// The table whose keys every `[[folders]]` table takes as well.
pub(super) const TRANSCRIBE: &str = "transcribe";

/// The name of the array of tables of watched folders.
pub(super) const FOLDERS: &str = "folders";

/// Wrong letters that still make a name a slip of the pen of a known one, at most.
const MAX_SLIPS: usize = 2;

/// One key: where it stands, and its default as TOML (none: unset).
#[derive(Debug)]
pub(super) struct Key {
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
}

/// Every event, for programs.
const EVERYTHING: &str = r#"["done", "failed", "paused", "resumed", "budget", "digest"]"#;
/// What a person wants to hear of: not of each of a thousand transcripts.
const FOR_PEOPLE: &str = r#"["failed", "paused", "resumed", "budget", "digest"]"#;

/// Every key, in the order of the documentation.
pub(super) const KEYS: &[Key] = &[
    key("", "state_dir", None),
    key("", "listen", None),
    key("service", "provider", Some(r#""auto""#)),
    key("service", "base_url", Some(r#""https://nano-gpt.com/api""#)),
    key("service", "api_key_file", None),
    key("service", "jobs", Some("4")),
    key("service", "requests_per_second", Some("5")),
    key("service", "poll_interval", Some(r#""5s""#)),
    key("service", "in_doubt", Some(r#""retry-once""#)),
    key("service", "price_per_minute", None),
    key(TRANSCRIBE, "model", Some(r#""Whisper-Large-V3""#)),
    key(TRANSCRIBE, "language", Some(r#""auto""#)),
    key(TRANSCRIBE, "diarize", Some("false")),
    key(TRANSCRIBE, "tag_audio_events", Some("false")),
    key(TRANSCRIBE, "formats", Some(r#"["txt", "json"]"#)),
    key(TRANSCRIBE, "captions", Some(r#""standard""#)),
    key(TRANSCRIBE, "caption_language", Some(r#""auto""#)),
    key(TRANSCRIBE, "output_dir", Some(r#""""#)),
    key(FOLDERS, "path", None),
    key(FOLDERS, "recursive", Some("true")),
    key(FOLDERS, "include", Some(r#"["*"]"#)),
    key(FOLDERS, "exclude", Some("[]")),
    key(FOLDERS, "watch", Some(r#""auto""#)),
    key(FOLDERS, "poll_every", Some(r#""30s""#)),
    key(FOLDERS, "settle", Some(r#""10s""#)),
    key(FOLDERS, "existing", Some("true")),
    key(FOLDERS, "min_length", Some(r#""0s""#)),
    key("watch", "rescan_every", Some(r#""1h""#)),
    key("local", "model_dir", Some(r#""""#)),
    key("local", "threads", Some("0")),
    key("budget", "per_day", Some(r#""5.00""#)),
    key("budget", "per_month", Some(r#""0""#)),
    key("budget", "per_file", Some(r#""0""#)),
    key("large", "direct_limit", Some(r#""3 MiB""#)),
    key("large", "link_limit", Some(r#""500 MB""#)),
    key("large", "shrink", Some("true")),
    key("large", "route", Some(r#""auto""#)),
    key("large", "piece_minutes", Some("10")),
    key("bucket", "url", None),
    key("bucket", "endpoint", None),
    key("bucket", "region", Some(r#""auto""#)),
    key("bucket", "access_key_id", None),
    key("bucket", "secret_access_key_file", None),
    key("bucket", "link_lifetime", Some(r#""12h""#)),
    key("notify", "command", None),
    key("notify", "command_events", Some(EVERYTHING)),
    key("notify", "command_timeout", Some(r#""1m""#)),
    key("notify", "webhook_url", None),
    key("notify", "webhook_secret_file", None),
    key("notify", "webhook_events", Some(EVERYTHING)),
    key("notify", "ntfy_url", None),
    key("notify", "ntfy_token_file", None),
    key("notify", "ntfy_events", Some(FOR_PEOPLE)),
    key("notify", "allow_private", Some("false")),
    key("notify", "digest_at", Some(r#""08:00""#)),
];

const fn key(table: &'static str, name: &'static str, default: Option<&'static str>) -> Key {
    Key {
        table,
        name,
        default,
    }
}

impl Key {
    /// The key as users write it in full: `service.jobs`.
    pub(super) fn path(&self) -> String {
        join(self.table, self.name)
    }

    /// The environment variable that overrides it, such as `STENOD_SERVICE__JOBS`; the keys of
    /// a folder have none, because there can be many folders.
    pub(super) fn variable(&self) -> Option<String> {
        (self.table != FOLDERS).then(|| {
            format!(
                "{VARIABLE_PREFIX}{}",
                self.path().replace('.', "__").to_uppercase()
            )
        })
    }
}

/// `table.name`, or `name` at the top level.
pub(super) fn join(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}

/// The keys that may stand in `table`, in order.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    let own = KEYS.iter().filter(|key| key.table == table);
    let inherited = KEYS
        .iter()
        .filter(|key| table == FOLDERS && key.table == TRANSCRIBE);
    own.chain(inherited).map(|key| key.name).collect()
}

/// Every table, in order, the top level left out.
pub(super) fn tables() -> Vec<&'static str> {
    let mut tables: Vec<_> = KEYS
        .iter()
        .map(|key| key.table)
        .filter(|t| !t.is_empty())
        .collect();
    tables.dedup();
    tables
}

/// Whether a name is one of the candidates with at most two wrong letters.
pub(super) fn is_slip<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> bool {
    candidates
        .into_iter()
        .any(|right| strsim::damerau_levenshtein(name, right) <= MAX_SLIPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::near::nearest;

    #[test]
    fn every_default_is_a_toml_value() {
        for key in KEYS {
            if let Some(default) = key.default {
                default.parse::<toml_edit::Value>().unwrap();
            }
        }
    }

    #[test]
    fn a_folder_takes_every_key_of_transcribe() {
        let names = names_in(FOLDERS);
        for name in names_in(TRANSCRIBE) {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn variables_are_named_after_the_path() {
        let variables: Vec<_> = KEYS.iter().filter_map(Key::variable).collect();
        assert!(variables.contains(&"STENOD_STATE_DIR".to_owned()));
        assert!(variables.contains(&"STENOD_SERVICE__BASE_URL".to_owned()));
        assert!(!variables.iter().any(|name| name.contains("FOLDERS")));
    }

    #[test]
    fn the_nearest_name_is_near() {
        let names = names_in("service");
        assert_eq!(
            nearest("pol_interval", names.clone()),
            Some("poll_interval")
        );
        assert_eq!(nearest("bas_url", names.clone()), Some("base_url"));
        assert_eq!(nearest("colour", names), None);
    }
}
