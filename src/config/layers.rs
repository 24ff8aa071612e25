//! The layers of settings as figment providers: defaults, file, environment, flags.
//!
//! Every layer names itself in figment's metadata, so that each value can be traced to where it
//! came from. Secrets never enter a layer.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::document::{self, Document};
use super::environment::Environment;
use super::keys::{self, FOLDERS, KEYS, VARIABLE_PREFIX};
use super::mistake::{Fault, Mistake, Place};
use super::redact;
use super::settings::Overrides;
use crate::domain::near::nearest;
use crate::domain::notice::VARIABLES;
use crate::speech::services;

/// Variables that begin with `STENOD_` and are no keys: the file's path, and the log filter. Beside them are
/// those that a command of `[notify]` finds, which may call stenod.
const OTHER_VARIABLES: [&str; 2] = ["STENOD_CONFIG", "STENOD_LOG"];

/// Which layer a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerName {
    Default,
    /// The file; the table is empty for the whole document, else that of one folder.
    File {
        table: String,
    },
    Variable(String),
    Flag(String),
}

/// One layer of values.
pub(super) struct Layer {
    name: LayerName,
    values: Dict,
}

impl Layer {
    /// A layer of many values.
    pub(super) fn new(name: LayerName, values: Dict) -> Self {
        Self { name, values }
    }

    /// A layer of the one value at `table.key`.
    pub(super) fn single(name: LayerName, table: &str, key: &str, value: Value) -> Self {
        Self::new(name, nested(table, Dict::from([(key.to_owned(), value)])))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let (name, detail) = match &self.name {
            LayerName::Default => ("default", ""),
            LayerName::File { table } => ("file", table.as_str()),
            LayerName::Variable(variable) => ("variable", variable.as_str()),
            LayerName::Flag(flag) => ("flag", flag.as_str()),
        };
        Metadata::named(name).source(Source::Custom(detail.to_owned()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

impl LayerName {
    /// Reads back what [`Layer::metadata`] wrote.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        let detail = metadata.source.as_ref()?.custom()?.to_owned();
        match metadata.name.as_ref() {
            "default" => Some(Self::Default),
            "file" => Some(Self::File { table: detail }),
            "variable" => Some(Self::Variable(detail)),
            "flag" => Some(Self::Flag(detail)),
            _ => None,
        }
    }
}

/// A flag's value for one key.
pub(super) struct FlagValue {
    pub(super) flag: &'static str,
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value,
}

/// Defaults, file, environment and flags, the later ones over the earlier; unknown variables are
/// added to `mistakes`. The keys of folders are not in here.
pub(super) fn stack(
    document: Option<&Document>,
    environment: &Environment,
    flags: &[FlagValue],
    mistakes: &mut Vec<Mistake>,
) -> Figment {
    let mut layers = Figment::new();
    for table in std::iter::once("")
        .chain(keys::tables())
        .filter(|table| *table != FOLDERS)
    {
        let defaults = nested(table, defaults_of(table));
        layers = layers.merge(Layer::new(LayerName::Default, defaults));
    }
    if let Some(document) = document {
        let name = LayerName::File {
            table: String::new(),
        };
        layers = layers.merge(Layer::new(name, document.tables().clone()));
    }
    for layer in variables(environment, mistakes) {
        layers = layers.merge(layer);
    }
    flags
        .iter()
        .filter(|flag| flag.table != FOLDERS)
        .fold(layers, |layers, flag| {
            let name = LayerName::Flag(flag.flag.to_owned());
            layers.merge(Layer::single(
                name,
                flag.table,
                flag.key,
                flag.value.clone(),
            ))
        })
}

/// The layers of one folder: its defaults, the effective `[transcribe]`, its own table, flags.
pub(super) fn folder(stack: &Figment, own: Option<(String, Dict)>, flags: &[FlagValue]) -> Figment {
    let defaults = Layer::new(LayerName::Default, defaults_of(FOLDERS));
    let mut layers = stack.focus(keys::TRANSCRIBE).merge(defaults);
    if let Some((table, values)) = own {
        layers = layers.merge(Layer::new(LayerName::File { table }, values));
    }
    let flags = flags
        .iter()
        .filter(|flag| [FOLDERS, keys::TRANSCRIBE].contains(&flag.table));
    flags.fold(layers, |layers, flag| {
        let name = LayerName::Flag(flag.flag.to_owned());
        layers.merge(Layer::single(name, "", flag.key, flag.value.clone()))
    })
}

/// What the flags set, but for paths, which may hold odd bytes and go past the layers.
pub(super) fn flag_values(overrides: &Overrides) -> Vec<FlagValue> {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| Value::from(list.clone()));
    let recursive = overrides.no_recursive.map(|flat| Value::from(!flat));
    let flags = [
        (
            "--provider",
            "service",
            "provider",
            text(&overrides.provider),
        ),
        ("--jobs", "service", "jobs", overrides.jobs.map(Value::from)),
        ("--model", keys::TRANSCRIBE, "model", text(&overrides.model)),
        (
            "--language",
            keys::TRANSCRIBE,
            "language",
            text(&overrides.language),
        ),
        (
            "--diarize",
            keys::TRANSCRIBE,
            "diarize",
            overrides.diarize.map(Value::from),
        ),
        (
            "--formats",
            keys::TRANSCRIBE,
            "formats",
            list(&overrides.formats),
        ),
        ("--include", FOLDERS, "include", list(&overrides.include)),
        ("--exclude", FOLDERS, "exclude", list(&overrides.exclude)),
        ("--no-recursive", FOLDERS, "recursive", recursive),
    ];
    let set = flags.into_iter().filter_map(|(flag, table, key, value)| {
        Some(FlagValue {
            flag,
            table,
            key,
            value: value?,
        })
    });
    set.collect()
}

/// The values as the table of this name, or as they are for the top level.
fn nested(table: &str, values: Dict) -> Dict {
    if table.is_empty() {
        values
    } else {
        Dict::from([(table.to_owned(), values.into())])
    }
}

/// The defaults of the keys of one table.
fn defaults_of(table: &str) -> Dict {
    KEYS.iter()
        .filter(|key| key.table == table)
        .filter_map(|key| {
            let value = key.default?.parse::<toml_edit::Value>().ok()?;
            Some((key.name.to_owned(), document::convert(&value)))
        })
        .collect()
}

/// One layer for each variable that names a key; the value stays a text, because only the key
/// knows its type.
fn variables(environment: &Environment, mistakes: &mut Vec<Mistake>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (name, value) in environment.beginning_with(VARIABLE_PREFIX) {
        if OTHER_VARIABLES.contains(&name.as_str()) || VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let place = Place::Variable(name.clone());
        let Some(key) = KEYS
            .iter()
            .find(|key| key.variable().as_ref() == Some(&name))
        else {
            mistakes.push(unknown_variable(&name).at(place, None));
            continue;
        };
        let Some(value) = value.to_str() else {
            mistakes.push(Fault::new("the value is not UTF-8").at(place, Some(key.path())));
            continue;
        };
        let layer = LayerName::Variable(name);
        layers.push(Layer::single(
            layer,
            key.table,
            key.name,
            Value::from(value),
        ));
    }
    layers
}

fn unknown_variable(name: &str) -> Fault {
    let fault = Fault::new("no key of the configuration has this name");
    if name.starts_with("STENOD_FOLDERS") {
        return fault.mend("folders stand in the file as [[folders]], or on the command line");
    }
    let known: Vec<_> = KEYS.iter().filter_map(keys::Key::variable).collect();
    let known = || known.iter().map(String::as_str).chain(OTHER_VARIABLES);
    if redact::is_secret_name(name) && !keys::is_slip(name, known()) {
        return fault.mend(if name.starts_with("STENOD_BUCKET") {
            "put the secret alone into a file that STENOD_BUCKET__SECRET_ACCESS_KEY_FILE names"
                .to_owned()
        } else {
            let variable = services::USUAL.key_variable;
            format!(
                "the key goes into {variable}, or alone into a file that STENOD_SERVICE__API_KEY_FILE names"
            )
        });
    }
    // The common beginning would make everything near.
    let bare = |name| str::strip_prefix(name, VARIABLE_PREFIX).unwrap_or(name);
    match nearest(bare(name), known().map(bare)) {
        Some(nearest) => fault.nearest(Some(&format!("{VARIABLE_PREFIX}{nearest}"))),
        None => fault.mend("`stenod config example` lists every key"),
    }
}
