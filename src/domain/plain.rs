//! Text of others made fit to be shown: without control characters, or as one word for a shell.

use std::path::Path;

/// A path for people and for JSON: odd bytes are shown lossily, control characters escaped, so that no
/// name can steer a terminal.
pub fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

/// A path in JSON: as it is, odd bytes shown lossily.
pub fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path as one word for a shell, so that a command with it can be copied.
pub fn quoted(path: &Path) -> String {
    let text = shown(path);
    if text.starts_with('-') {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        word(&text)
    }
}

/// A word of a command, so that the command can be copied.
pub fn word(text: &str) -> String {
    let text = clean(text);
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Text of others without control characters.
pub fn clean(text: &str) -> String {
    text.chars().flat_map(escaped).collect()
}

/// JSON in which the control characters are escaped, too, that it may hold as they are: U+007F to U+009F, by which
/// some terminals are steered.
pub fn json(text: String) -> String {
    let is_odd = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
    if !text.contains(is_odd) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether a character turns the direction of what follows, so that a name reads as another one.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let text = if c.is_control() || is_bidi_control(c) {
        c.escape_default().to_string()
    } else {
        c.to_string()
    };
    text.chars().collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(clean("grün"), "grün");
        assert_eq!(clean("a\u{202e}3pm"), "a\\u{202e}3pm");
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}[31m\u{9b}31m\u{7f}ü"});
        let text = json(value.to_string());
        assert!(!text.contains(char::is_control), "{text:?}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        let word = |text: &str| quoted(Path::new(text));
        assert_eq!(word("/a/grün-1.mp3"), "/a/grün-1.mp3");
        assert_eq!(word("/a/b c.mp3"), "'/a/b c.mp3'");
        assert_eq!(word("it's"), "'it'\\''s'");
        assert_eq!(word("-rf"), "'-rf'");
    }
}
