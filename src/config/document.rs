//! The configuration file: parsed once, its known keys as figment values, the place of each, and
//! a mistake for every key that nobody knows.
//!
//! A value's type is not judged here: the reader of the key does that, and asks for the place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Empty, Tag, Value};
use toml_edit::{ImDocument, Item, Key, TableLike};

use super::keys::{self, FOLDERS};
use super::mistake::{Fault, Line, Mistake, Place};
use super::redact;

/// Characters of a line that are shown at most.
const MAX_SHOWN_CHARS: usize = 100;

/// Characters that are shown before the caret at most, when a line is clipped.
const MAX_SHOWN_BEFORE_CHARS: usize = 60;

/// Wrong letters that still make a name a slip of the pen of a known one, at most.
const MAX_SLIPS: usize = 2;

/// A parsed file.
pub(super) struct Document {
    path: PathBuf,
    text: String,
    tables: Dict,
    folders: Vec<Dict>,
    spots: BTreeMap<String, Range<usize>>,
}

impl Document {
    /// Parses `text`; unknown keys go to `mistakes`, and so does a syntax error, which leaves
    /// no document.
    pub(super) fn parse(path: &Path, text: &str, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let parsed = match ImDocument::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                mistakes.push(syntax_mistake(path, text, &error));
                return None;
            }
        };
        let mut document = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tables: Dict::new(),
            folders: Vec::new(),
            spots: BTreeMap::new(),
        };
        document.take_root(parsed.as_table(), mistakes);
        Some(document)
    }

    /// Every known value but those of the folders.
    pub(super) fn tables(&self) -> &Dict {
        &self.tables
    }

    /// The values of each `[[folders]]` table, in order.
    pub(super) fn folders(&self) -> &[Dict] {
        &self.folders
    }

    /// The folder that relative paths in the file start from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The place of the value at this path (`service.jobs`, `folders.0.formats.2`), else of the
    /// nearest thing around it; none when the document says nothing of either.
    pub(super) fn line(&self, path: &str) -> Option<Line> {
        let around = path
            .match_indices('.')
            .rev()
            .filter_map(|(dot, _)| path.get(..dot));
        let span = std::iter::once(path)
            .chain(around)
            .find_map(|path| self.spots.get(path))?;
        Some(line_at(&self.path, &self.text, span.clone()))
    }

    /// The same as a place: the whole file when there is no line.
    fn place(&self, path: &str) -> Place {
        self.line(path)
            .map_or_else(|| Place::File(self.path.clone()), Place::Line)
    }

    /// The source text of the value at this path.
    pub(super) fn source(&self, path: &str) -> Option<&str> {
        self.spots
            .get(path)
            .and_then(|span| self.text.get(span.clone()))
    }

    fn take_root(&mut self, root: &dyn TableLike, mistakes: &mut Vec<Mistake>) {
        for (name, item) in root.iter() {
            let key = root.key(name);
            if name == FOLDERS {
                self.take_folders(key, item, mistakes);
            } else if keys::tables().contains(&name) {
                self.take_section(name, key, item, mistakes);
            } else if keys::names_in("").contains(&name) {
                let value = self.take_value(name, key, item);
                self.tables.insert(name.to_owned(), value);
            } else {
                mistakes.push(self.unknown("", name, key));
            }
        }
    }

    fn take_section(
        &mut self,
        name: &str,
        key: Option<&Key>,
        item: &Item,
        mistakes: &mut Vec<Mistake>,
    ) {
        self.mark(name, key.and_then(Key::span));
        let Some(table) = item.as_table_like() else {
            let fault = Fault::new(format!("expected a table, found {}", describe(item)));
            let fault = fault.mend(format!(
                "write `[{name}]` on a line of its own, its keys below"
            ));
            mistakes.push(fault.at(self.place(name), Some(name.to_owned())));
            return;
        };
        let values = self.take_table(name, name, table, mistakes);
        self.tables.insert(name.to_owned(), values.into());
    }

    fn take_folders(&mut self, key: Option<&Key>, item: &Item, mistakes: &mut Vec<Mistake>) {
        self.mark(FOLDERS, key.and_then(Key::span));
        let tables: Option<Vec<&dyn TableLike>> = match item {
            Item::ArrayOfTables(tables) => {
                Some(tables.iter().map(|t| t as &dyn TableLike).collect())
            }
            Item::Value(toml_edit::Value::Array(array)) => array
                .iter()
                .map(|value| value.as_inline_table().map(|table| table as &dyn TableLike))
                .collect(),
            Item::None | Item::Value(_) | Item::Table(_) => None,
        };
        let Some(tables) = tables else {
            let fault = Fault::new(format!(
                "expected a list of tables, found {}",
                describe(item)
            ));
            let fault = fault.mend("write `[[folders]]`, with two brackets, before each folder");
            mistakes.push(fault.at(self.place(FOLDERS), Some(FOLDERS.to_owned())));
            return;
        };
        let spans = folder_spans(item);
        for (index, table) in tables.into_iter().enumerate() {
            let path = format!("{FOLDERS}.{index}");
            self.mark(&path, spans.get(index).cloned().flatten());
            let values = self.take_table(FOLDERS, &path, table, mistakes);
            self.folders.push(values);
        }
    }

    /// The known values of one table, whose keys are those of `section`.
    fn take_table(
        &mut self,
        section: &str,
        path: &str,
        table: &dyn TableLike,
        mistakes: &mut Vec<Mistake>,
    ) -> Dict {
        let known = keys::names_in(section);
        let mut values = Dict::new();
        for (name, item) in table.iter() {
            let key = table.key(name);
            if known.contains(&name) {
                let value = self.take_value(&keys::join(path, name), key, item);
                values.insert(name.to_owned(), value);
            } else {
                mistakes.push(self.unknown(section, name, key));
            }
        }
        values
    }

    fn take_value(&mut self, path: &str, key: Option<&Key>, item: &Item) -> Value {
        let key_span = key.and_then(Key::span);
        let Some(value) = item.as_value() else {
            self.mark(path, key_span);
            return Value::from(Dict::new());
        };
        self.mark(path, value.span().or(key_span));
        if let Some(array) = value.as_array() {
            for (index, element) in array.iter().enumerate() {
                self.mark(&format!("{path}.{index}"), element.span());
            }
        }
        convert(value)
    }

    fn mark(&mut self, path: &str, span: Option<Range<usize>>) {
        if let Some(span) = span {
            self.spots.insert(path.to_owned(), span);
        }
    }

    fn unknown(&self, section: &str, name: &str, key: Option<&Key>) -> Mistake {
        let place = match key.and_then(Key::span) {
            Some(span) => Place::Line(line_at(&self.path, &self.text, span)),
            None => Place::File(self.path.clone()),
        };
        unknown_key(section, name).at(place, Some(redact::text(&keys::join(section, name))))
    }
}

/// A TOML value as figment's; a date or time, which no key takes, becomes the empty value.
pub(super) fn convert(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(boolean) => Value::from(*boolean.value()),
        toml_edit::Value::Datetime(_) => Value::Empty(Tag::Default, Empty::Unit),
        toml_edit::Value::Array(array) => {
            Value::from(array.iter().map(convert).collect::<Vec<Value>>())
        }
        toml_edit::Value::InlineTable(_) => Value::from(Dict::new()),
    }
}

/// The line around `span`, with everything secret masked and the caret under the span.
pub(super) fn line_at(file: &Path, text: &str, span: Range<usize>) -> Line {
    let start = floor_boundary(text, span.start);
    let before = text.get(..start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(line_start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let column = text
        .get(line_start..start)
        .unwrap_or_default()
        .chars()
        .count();
    let end = floor_boundary(text, span.end)
        .clamp(start, line_start + line.len().max(start - line_start));
    let (shown, caret, carets) = excerpt(text, line_start, line, start..end);
    Line {
        file: file.to_owned(),
        number,
        column: column + 1,
        shown,
        caret,
        carets,
    }
}

/// The masked and clipped line, and where and how many carets stand under it, in characters.
fn excerpt(
    text: &str,
    line_start: usize,
    line: &str,
    span: Range<usize>,
) -> (String, usize, usize) {
    let line_end = line_start + line.len();
    let hidden: Vec<_> = redact::hidden_in_document(text)
        .into_iter()
        .filter(|range| range.start < line_end && range.end > line_start)
        .map(|range| range.start.max(line_start) - line_start..range.end.min(line_end) - line_start)
        .collect();
    let (masked, moved) = redact::mask(line, &hidden);
    let chars_before = |position: usize| {
        let byte = moved
            .get(position - line_start)
            .copied()
            .unwrap_or(masked.len());
        masked.get(..byte).unwrap_or_default().chars().count()
    };
    let (caret, end) = (chars_before(span.start), chars_before(span.end));
    let from = caret.saturating_sub(MAX_SHOWN_BEFORE_CHARS);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = masked
        .chars()
        .skip(from)
        .take(MAX_SHOWN_CHARS)
        .map(plain)
        .collect();
    let room = shown.chars().count().saturating_sub(caret - from);
    (
        shown,
        caret - from,
        end.saturating_sub(caret).min(room).max(1),
    )
}

fn floor_boundary(text: &str, position: usize) -> usize {
    let mut position = position.min(text.len());
    while !text.is_char_boundary(position) {
        position -= 1;
    }
    position
}

fn syntax_mistake(path: &Path, text: &str, error: &toml_edit::TomlError) -> Mistake {
    let place = match error.span() {
        Some(span) => Place::Line(line_at(path, text, span)),
        None => Place::File(path.to_owned()),
    };
    let message: Vec<_> = error.message().lines().map(str::trim).collect();
    Fault::new(format!(
        "not valid TOML: {}",
        redact::text(&message.join(", "))
    ))
    .at(place, None)
}

fn unknown_key(section: &str, name: &str) -> Fault {
    if let Some(fault) = secret_in_file(section, name) {
        return fault;
    }
    let mut names = keys::names_in(section);
    if section.is_empty() {
        names.extend(keys::tables());
    }
    let fault = Fault::new("unknown key").allowed(listed(&names));
    if let Some(nearest) = keys::nearest(name, names) {
        return fault.nearest(Some(nearest));
    }
    match keys::KEYS.iter().find(|key| key.name == name) {
        Some(key) if key.table.is_empty() => fault.mend(format!(
            "`{name}` belongs at the top, before the first table"
        )),
        Some(key) => fault.mend(format!("`{name}` belongs in `[{}]`", key.table)),
        None => fault,
    }
}

/// A secret that stands in the file itself, which it must not.
fn secret_in_file(section: &str, name: &str) -> Option<Fault> {
    let misspelt = |right: &&str| strsim::damerau_levenshtein(name, right) <= MAX_SLIPS;
    let is_slip = keys::names_in(section).iter().any(misspelt);
    if !redact::is_secret_name(name) || name.ends_with("_file") || is_slip {
        return None;
    }
    let (right, mend) = if section == "bucket" {
        (
            "secret_access_key_file",
            "put the secret alone into a file with mode 600 and name that file",
        )
    } else {
        (
            "api_key_file",
            "put the key alone into a file with mode 600 and name that file",
        )
    };
    let fault = Fault::new("a secret does not belong in this file, and there is no such key");
    Some(fault.mend(format!("{mend}: {right} = \"/etc/stenod/key\"")))
}

/// `` `a`, `b`, `c` ``.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    quoted.join(", ")
}

fn folder_spans(item: &Item) -> Vec<Option<Range<usize>>> {
    match item {
        Item::ArrayOfTables(tables) => tables.iter().map(toml_edit::Table::span).collect(),
        Item::Value(toml_edit::Value::Array(array)) => {
            array.iter().map(toml_edit::Value::span).collect()
        }
        Item::None | Item::Value(_) | Item::Table(_) => Vec::new(),
    }
}

fn describe(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Value(_) => "a single value",
        Item::Table(_) => "a single table",
        Item::ArrayOfTables(_) => "a list of tables",
    }
}
