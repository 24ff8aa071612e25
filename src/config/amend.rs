//! Changes to the text of a configuration, in which all else stays as it is written.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

/// The line of the example that is switched off where no key file is named.
pub const KEY_FILE_EXAMPLE: &str = "#api_key_file = \"/etc/stenod/key\"";

/// A path as a value of TOML.
pub fn quoted(path: &Path) -> String {
    Value::from(path.to_string_lossy().into_owned()).to_string()
}

/// The text with another key file: in the place of the one that is set, of the example's, or of none.
///
/// `None` for a text that can only be changed by hand.
pub fn with_key_file(text: &str, file: &Path) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let new = Item::Table(Table::new());
    let service = document.entry("service").or_insert(new);
    let service = service.as_table_like_mut()?;
    let example = format!("\n{KEY_FILE_EXAMPLE}\n");
    if !service.contains_key("api_key_file") && text.contains(&example) {
        let line = format!("\napi_key_file = {}\n", quoted(file));
        return Some(text.replacen(&example, &line, 1));
    }
    let file = file.to_string_lossy().into_owned();
    service.insert("api_key_file", toml_edit::value(file));
    Some(document.to_string())
}

/// The text with these folders at its end.
///
/// `None` for a text that can only be changed by hand, such as one with its folders on one line.
pub fn with_folders(mut text: String, folders: &[PathBuf]) -> Option<String> {
    for folder in folders {
        let apart = if text.ends_with('\n') { "" } else { "\n" };
        let path = quoted(folder);
        text.push_str(&format!("{apart}\n[[folders]]\n\npath = {path}\n"));
    }
    text.parse::<DocumentMut>().ok()?;
    Some(text)
}

/// A value of TOML as JSON: what has a unit stays the text that people write.
pub(super) fn as_json(value: &str) -> serde_json::Value {
    // What is no value of TOML is shown as it stands.
    value
        .parse()
        .map_or_else(|_| serde_json::Value::from(value), |value| json_of(&value))
}

fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(truth) => (*truth.value()).into(),
        Value::Array(array) => array.iter().map(json_of).collect(),
        Value::Datetime(_) | Value::InlineTable(_) => value.to_string().trim().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_takes_the_place_of_the_one_before_and_nothing_else_moves() {
        let text = "# mine\n[service] # yes\napi_key_file = '/old'  # here\njobs = 2\n";
        let changed = with_key_file(text, Path::new("/new")).unwrap();
        assert_eq!(
            changed,
            "# mine\n[service] # yes\napi_key_file = \"/new\"\njobs = 2\n"
        );
        let none = with_key_file("jobs = 1\n", Path::new("/new")).unwrap();
        assert!(
            none.contains("[service]\napi_key_file = \"/new\"\n"),
            "{none}"
        );
        assert_eq!(with_key_file("service = 3", Path::new("/new")), None);
    }

    #[test]
    fn folders_are_added_at_the_end_where_that_can_be() {
        let folders = [PathBuf::from("/b")];
        let added = |text: &str| with_folders(text.to_owned(), &folders);
        assert_eq!(
            added("a = 1").unwrap(),
            "a = 1\n\n[[folders]]\n\npath = \"/b\"\n"
        );
        assert_eq!(added("folders = []"), None);
    }
}
