//! Reads typed values out of the layers, and notes every mistake with its place on the way.
//!
//! A read never stops at a mistake: it returns `None`, and the caller reads on, so that one run
//! finds them all.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::Value;

use super::document::Document;
use super::environment::Environment;
use super::keys;
use super::layers::LayerName;
use super::locate;
use super::mistake::{Fault, Faults, Mistake, Place};
use super::redact;
use super::settings::{Origin, Setting, Warning};
use super::values::{self, Given};
use crate::disk::straightened;

/// What reading leaves behind beside the values.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<Warning>,
}

impl Notes {
    /// Adds a mistake once: an inherited value is read by every folder.
    pub(super) fn mistake(&mut self, mistake: Mistake) {
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Records a value in force, in place of an earlier one of the same key.
    fn setting(&mut self, setting: Setting) {
        match self
            .settings
            .iter_mut()
            .find(|earlier| earlier.key == setting.key)
        {
            Some(earlier) => *earlier = setting,
            None => self.settings.push(setting),
        }
    }
}

/// Where values come from besides the layers.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) document: Option<&'a Document>,
    pub(super) environment: &'a Environment,
}

/// A reader of one table.
pub(super) struct Reader<'a> {
    layers: Figment,
    /// The table as it is called in `settings`: `service`, `folders.0`.
    table: String,
    /// The table in which the document's own layer holds these keys.
    home: &'static str,
    inputs: Inputs<'a>,
    pub(super) notes: &'a mut Notes,
}

/// A value with where it came from.
struct Found {
    value: Value,
    layer: LayerName,
    /// The path in the document, or of the key where it came from elsewhere.
    path: String,
}

impl<'a> Reader<'a> {
    /// A reader of `[table]` in the stack of all layers.
    pub(super) fn new(
        stack: &Figment,
        table: &'static str,
        inputs: Inputs<'a>,
        notes: &'a mut Notes,
    ) -> Self {
        let layers = if table.is_empty() {
            stack.clone()
        } else {
            stack.focus(table)
        };
        Self {
            layers,
            table: table.to_owned(),
            home: table,
            inputs,
            notes,
        }
    }

    /// A reader of one folder's layers; `table` is what it is called in the settings.
    pub(super) fn of_folder(
        layers: Figment,
        table: String,
        inputs: Inputs<'a>,
        notes: &'a mut Notes,
    ) -> Self {
        Self {
            layers,
            table,
            home: keys::TRANSCRIBE,
            inputs,
            notes,
        }
    }

    /// The value of a key that always has one.
    pub(super) fn read<T, E: Into<Faults>>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Given<'_>) -> Result<T, E>,
    ) -> Option<T> {
        if let Some(found) = self.find(key) {
            return self.parsed(key, &found, parse);
        }
        let fault = Fault::new(format!("`{key}` is missing"));
        let place = self.place(&self.path(key));
        self.notes
            .mistake(fault.at(place, Some(without_index(&self.table))));
        None
    }

    /// The value of a key that may be unset or empty (`Some(None)`); `None` after a mistake.
    pub(super) fn optional<T, E: Into<Faults>>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Given<'_>) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match self.find(key) {
            None => Some(None),
            Some(found) if found.value.as_str() == Some("") => {
                self.record(key, &found);
                Some(None)
            }
            Some(found) => self.parsed(key, &found, parse).map(Some),
        }
    }

    /// A path that may be unset or empty.
    pub(super) fn path_of(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let base = self.base_of(key);
        let environment = self.inputs.environment;
        self.optional(key, |given| {
            let meant = locate::meant(&values::text(given)?, &base, environment)?;
            Ok::<_, Fault>(straightened(&meant))
        })
    }

    /// Whether the key's value was written by somebody.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.find(key)
            .is_some_and(|found| found.layer != LayerName::Default)
    }

    /// Notes a mistake about the value of `key`, which was read before.
    pub(super) fn fault(&mut self, key: &str, fault: Fault) {
        let mistake = self.mistake_about(key, fault);
        self.notes.mistake(mistake);
    }

    /// The same as a value, not noted.
    pub(super) fn mistake_about(&self, key: &str, fault: Fault) -> Mistake {
        if let Some(found) = self.find(key) {
            return self.located(&found, fault);
        }
        let path = self.path(key);
        fault.at(self.place(&path), Some(path))
    }

    /// Records a path that came past the layers.
    pub(super) fn record_path(&mut self, key: &str, path: &Path, origin: Origin) {
        let key = self.path(key);
        let value = as_toml(&Value::from(path.to_string_lossy().into_owned()));
        self.notes.setting(Setting { key, value, origin });
    }

    /// Shows nothing of the value that was recorded of `key`.
    pub(super) fn mask(&mut self, key: &str) {
        self.show(key, redact::MASK);
    }

    /// Shows `shown` in the place of the value that was recorded of `key`.
    pub(super) fn show(&mut self, key: &str, shown: &str) {
        let key = self.path(key);
        let mut settings = self.notes.settings.iter_mut();
        if let Some(setting) = settings.find(|setting| setting.key == key) {
            setting.value = as_toml(&Value::from(shown));
        }
    }

    /// The path that a part of the value of `key` means.
    pub(super) fn meant(&self, key: &str, written: &str) -> Result<PathBuf, Fault> {
        let meant = locate::meant(written, &self.base_of(key), self.inputs.environment)?;
        Ok(straightened(&meant))
    }

    /// The environment that is read.
    pub(super) fn environment(&self) -> &'a Environment {
        self.inputs.environment
    }

    /// Takes back what was recorded of this table, which turned out not to be there.
    pub(super) fn forget(&mut self) {
        let table = keys::join(&self.table, "");
        self.notes
            .settings
            .retain(|setting| !setting.key.starts_with(&table));
    }

    fn parsed<T, E: Into<Faults>>(
        &mut self,
        key: &str,
        found: &Found,
        parse: impl FnOnce(Given<'_>) -> Result<T, E>,
    ) -> Option<T> {
        let from_file = matches!(found.layer, LayerName::File { .. });
        let document = self.inputs.document.filter(|_| from_file);
        let given = Given {
            value: &found.value,
            written: document.and_then(|document| document.written(&found.path)),
            loose: matches!(found.layer, LayerName::Variable(_)),
        };
        match parse(given) {
            Ok(value) => {
                self.record(key, found);
                Some(value)
            }
            Err(faults) => {
                faults
                    .into()
                    .0
                    .into_iter()
                    .for_each(|fault| self.note_fault(found, fault));
                None
            }
        }
    }

    fn find(&self, key: &str) -> Option<Found> {
        let value = self.layers.find_value(key).ok()?;
        let metadata = self.layers.get_metadata(value.tag())?;
        let layer = LayerName::of(metadata)?;
        let path = match &layer {
            LayerName::File { table } if !table.is_empty() => keys::join(table, key),
            LayerName::File { .. } => keys::join(self.home, key),
            LayerName::Default | LayerName::Variable(_) | LayerName::Flag(_) => self.path(key),
        };
        Some(Found { value, layer, path })
    }

    fn path(&self, key: &str) -> String {
        keys::join(&self.table, key)
    }

    /// The folder that a relative path in this key starts from.
    fn base_of(&self, key: &str) -> PathBuf {
        let from_file = self
            .find(key)
            .is_some_and(|found| matches!(found.layer, LayerName::File { .. }));
        let document = self.inputs.document.filter(|_| from_file);
        document
            .map_or(self.inputs.environment.working_dir(), Document::folder)
            .to_owned()
    }

    fn note_fault(&mut self, found: &Found, fault: Fault) {
        let mistake = self.located(found, fault);
        self.notes.mistake(mistake);
    }

    fn located(&self, found: &Found, fault: Fault) -> Mistake {
        let path = match fault.element {
            Some(element) => format!("{}.{element}", found.path),
            None => found.path.clone(),
        };
        let place = match &found.layer {
            LayerName::File { .. } => self.place(&path),
            LayerName::Variable(name) => Place::Variable(name.clone()),
            LayerName::Flag(flag) => Place::Flag(flag.clone()),
            LayerName::Default => Place::Nowhere,
        };
        // A variable or a flag is reported once, whichever of its folders read it.
        let key = match place {
            Place::Variable(_) | Place::Flag(_) => None,
            Place::Line(_) | Place::File(_) | Place::Nowhere => Some(without_index(&found.path)),
        };
        fault.at(place, key)
    }

    fn record(&mut self, key: &str, found: &Found) {
        let origin = match &found.layer {
            LayerName::File { .. } => match self.place(&found.path) {
                Place::Line(line) => Origin::File {
                    path: line.file,
                    line: line.number,
                },
                Place::File(_) | Place::Variable(_) | Place::Flag(_) | Place::Nowhere => {
                    Origin::Default
                }
            },
            LayerName::Variable(name) => Origin::Variable(name.clone()),
            LayerName::Flag(flag) => Origin::Flag(flag.clone()),
            LayerName::Default => Origin::Default,
        };
        let key = self.path(key);
        let value = match &found.layer {
            LayerName::Variable(_) => as_toml(&native(&key, &found.value)),
            LayerName::File { .. } | LayerName::Flag(_) | LayerName::Default => {
                as_toml(&found.value)
            }
        };
        self.notes.setting(Setting { key, value, origin });
    }

    /// The line of the document at this path or around it, if there is one.
    fn place(&self, path: &str) -> Place {
        let line = self
            .inputs
            .document
            .and_then(|document| document.line(path));
        line.map_or(Place::Nowhere, Place::Line)
    }
}

/// `folders.settle` for `folders.3.settle`.
fn without_index(path: &str) -> String {
    let parts: Vec<_> = path
        .split('.')
        .filter(|part| !part.chars().all(|c| c.is_ascii_digit()))
        .collect();
    parts.join(".")
}

/// The value as TOML, secrets masked.
fn as_toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => toml_edit::Value::from(redact::text(text)).to_string(),
        Value::Array(_, elements) => {
            let elements: Vec<_> = elements.iter().map(as_toml).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => number
                .to_u128()
                .map_or_else(String::new, |whole| whole.to_string()),
        },
        Value::Char(_, character) => format!("{character:?}"),
        Value::Empty(..) | Value::Dict(..) => String::new(),
    }
}

/// The text of a variable as a value of the kind that its key has.
fn native(key: &str, value: &Value) -> Value {
    let plain = without_index(key);
    let inherited = plain.strip_prefix("folders.");
    let inherited = inherited.map(|name| keys::join(keys::TRANSCRIBE, name));
    let paths = [Some(plain), inherited].into_iter().flatten();
    let find = |path: String| keys::KEYS.iter().find(|known| known.path() == path);
    let known = paths.filter_map(find).next();
    let default = known.and_then(|known| known.default);
    let default = default.and_then(|text| text.parse::<toml_edit::Value>().ok());
    let (Some(default), Some(text)) = (default, value.as_str()) else {
        return value.clone();
    };
    let text = text.trim();
    let found = match default {
        toml_edit::Value::Integer(_) => text.parse::<i64>().ok().map(Value::from),
        toml_edit::Value::Boolean(_) => text.parse::<bool>().ok().map(Value::from),
        toml_edit::Value::Array(_) => {
            let words = text
                .trim_matches(['[', ']'])
                .split(',')
                .map(|word| word.trim().trim_matches(['"', '\'']))
                .filter(|word| !word.is_empty());
            Some(Value::from(words.map(Value::from).collect::<Vec<_>>()))
        }
        toml_edit::Value::String(_)
        | toml_edit::Value::Float(_)
        | toml_edit::Value::Datetime(_)
        | toml_edit::Value::InlineTable(_) => None,
    };
    found.unwrap_or_else(|| value.clone())
}
