//! The configuration file: parsed once, its known keys as figment values, the place of each, and
//! a mistake for every key that nobody knows.
//!
//! A value's type is not judged here: the reader of the key does that, and asks for the place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Empty, Tag, Value};
use toml_edit::{ImDocument, Item, Key, TableLike};

use super::file_text::FileText;
use super::keys::{self, FOLDERS, TRANSCRIBE};
use super::mistake::{Fault, Line, Mistake, Place};
use super::redact;
use crate::domain::near::nearest;

/// A parsed file.
pub(super) struct Document {
    text: FileText,
    tables: Dict,
    folders: Vec<Dict>,
    spots: BTreeMap<String, Range<usize>>,
    /// Whether it is the file of a folder, which holds `[transcribe]` alone.
    in_folder: bool,
}

impl Document {
    /// Parses `text`; unknown keys go to `mistakes`, and so does a syntax error, which leaves
    /// no document.
    pub(super) fn parse(path: &Path, text: &str, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        Self::parse_as(path, text, false, mistakes)
    }

    /// The same for the `stenod.toml` of a folder, which holds `[transcribe]` alone.
    pub(super) fn parse_in_folder(
        path: &Path,
        text: &str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        Self::parse_as(path, text, true, mistakes)
    }

    fn parse_as(
        path: &Path,
        text: &str,
        in_folder: bool,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let parsed = ImDocument::parse(text);
        let text = FileText::new(path, text);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                mistakes.extend(syntax_mistakes(&text, error));
                return None;
            }
        };
        let mut document = Self {
            text,
            tables: Dict::new(),
            folders: Vec::new(),
            spots: BTreeMap::new(),
            in_folder,
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
        self.text.path().parent().unwrap_or(Path::new("/"))
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
        Some(self.text.line_at(span.clone()))
    }

    /// The same as a place: the whole file when there is no line.
    fn place(&self, path: &str) -> Place {
        self.line(path)
            .map_or_else(|| Place::File(self.text.path().to_owned()), Place::Line)
    }

    /// The value as it is written at this path.
    pub(super) fn written(&self, path: &str) -> Option<&str> {
        self.spots
            .get(path)
            .and_then(|span| self.text.get(span.clone()))
    }

    fn take_root(&mut self, root: &dyn TableLike, mistakes: &mut Vec<Mistake>) {
        for (name, item) in root.iter() {
            let key = root.key(name);
            if self.in_folder && name != TRANSCRIBE {
                let place = self.key_place(key);
                mistakes.push(not_in_folder(name).at(place, Some(redact::text(name))));
            } else if name == FOLDERS {
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
        let key_name = Some(redact::text(&keys::join(section, name)));
        unknown_key(section, name).at(self.key_place(key), key_name)
    }

    fn key_place(&self, key: Option<&Key>) -> Place {
        match key.and_then(Key::span) {
            Some(span) => Place::Line(self.text.line_at(span)),
            None => Place::File(self.text.path().to_owned()),
        }
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

/// The most syntax errors that are told of one file.
const MOST_SYNTAX_ERRORS: usize = 20;

/// What is no TOML in a file: the first error, and those that are found when the faulty statements before are
/// left out. What may only follow from an earlier one is not told.
fn syntax_mistakes(text: &FileText, first: toml_edit::TomlError) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut rest = text.whole().to_owned();
    let mut error = first;
    loop {
        mistakes.push(syntax_mistake(text, &error));
        let Some(span) = error.span().filter(|_| mistakes.len() < MOST_SYNTAX_ERRORS) else {
            return mistakes;
        };
        let Some(without) = without_statement(&rest, span.start) else {
            return mistakes;
        };
        rest = without;
        match ImDocument::parse(rest.as_str()) {
            Ok(_) => return mistakes,
            Err(next) => error = next,
        }
    }
}

/// The text with blanks in place of the statement at `position`, which ends where another one begins; nothing
/// where that says nothing of what is behind it.
fn without_statement(text: &str, position: usize) -> Option<String> {
    let before = text.get(..position)?;
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    // What is open before the line, an array or a text, goes on behind it.
    if ImDocument::parse(text.get(..begin)?).is_err() {
        return None;
    }
    let mut end = begin;
    for line in text.get(begin..)?.split_inclusive('\n') {
        if end > begin && begins_statement(line) {
            break;
        }
        end += line.len();
    }
    let blank = |c: char| {
        if c == '\n' {
            "\n".to_owned()
        } else {
            " ".repeat(c.len_utf8())
        }
    };
    let statement = text.get(begin..end)?;
    if statement.trim().is_empty() {
        return None;
    }
    let blanks: String = statement.chars().map(blank).collect();
    Some(format!(
        "{}{blanks}{}",
        text.get(..begin)?,
        text.get(end..)?
    ))
}

/// Whether a line looks as if something new began with it.
fn begins_statement(line: &str) -> bool {
    let line = line.trim();
    let is_key = |key: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !key.trim().is_empty() && key.trim().chars().all(is_plain)
    };
    line.is_empty()
        || line.starts_with(['[', '#'])
        || line.split_once('=').is_some_and(|(key, _)| is_key(key))
}

fn syntax_mistake(text: &FileText, error: &toml_edit::TomlError) -> Mistake {
    let place = match error.span() {
        Some(span) => Place::Line(text.line_at(span)),
        None => Place::File(text.path().to_owned()),
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
    let names = keys::names_in(section);
    let tables = if section.is_empty() {
        keys::tables()
    } else {
        Vec::new()
    };
    let near = nearest(name, names.iter().chain(&tables).copied());
    let headers = tables.iter().map(|table| header(table));
    let allowed: Vec<_> = names
        .iter()
        .map(|name| (*name).to_owned())
        .chain(headers)
        .collect();
    let fault = Fault::new("unknown key")
        .allowed(listed(&allowed))
        .nearest(near);
    let elsewhere = nearest(name, keys::KEYS.iter().map(|key| key.name));
    match keys::KEYS
        .iter()
        .find(|key| near.is_none() && elsewhere == Some(key.name))
    {
        Some(key) if key.table.is_empty() => fault.mend(format!(
            "`{}` belongs at the top, before the first table",
            key.name
        )),
        Some(key) => fault.mend(format!("`{}` belongs in `{}`", key.name, header(key.table))),
        None => fault,
    }
}

/// A key or table at the top of a folder's file that is none of it.
fn not_in_folder(name: &str) -> Fault {
    let own = keys::names_in(TRANSCRIBE);
    let header = header(TRANSCRIBE);
    if own.contains(&name) {
        return Fault::new("unknown key").mend(format!("`{name}` belongs in `{header}`"));
    }
    let known = keys::tables().contains(&name) || keys::names_in("").contains(&name);
    if known {
        return Fault::new("the file of a folder cannot set this")
            .mend(format!("it holds `{header}` alone"));
    }
    let near = nearest(name, own.into_iter().chain([TRANSCRIBE]));
    Fault::new("unknown key")
        .allowed(format!("`{header}`"))
        .nearest(near)
}

/// The header of a table as it is written.
fn header(table: &str) -> String {
    if table == FOLDERS {
        format!("[[{table}]]")
    } else {
        format!("[{table}]")
    }
}

/// A secret that stands in the file itself, which it must not.
fn secret_in_file(section: &str, name: &str) -> Option<Fault> {
    if !redact::is_secret_name(name) || keys::is_slip(name, keys::names_in(section)) {
        return None;
    }
    let right = if section == "bucket" {
        "secret_access_key_file = \"/etc/stenod/bucket-secret\""
    } else {
        "api_key_file = \"/etc/stenod/key\", in [service]"
    };
    let fault = Fault::new("a secret does not belong in this file, and there is no such key");
    Some(fault.mend(format!(
        "put it alone into a file with mode 600 and name that file: {right}"
    )))
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
