//! What may be shown of a text that a person wrote: everything but secrets.
//!
//! Hidden are the value of every key that is named like a secret (unless it is plainly a path),
//! everything shaped like an API key, and user name, password and query of a URL. When in
//! doubt, this hides too much.

use std::ops::Range;

use super::keys;
use crate::domain::near::nearest;

/// What stands in place of something hidden.
pub(super) const MASK: &str = "***";

/// The table whose URLs are secrets.
const NOTIFY: &str = "notify";

/// Parts of a key's name that make its value a secret.
const SECRET_WORDS: [&str; 8] = [
    "key",
    "secret",
    "token",
    "passw",
    "credential",
    "bearer",
    "webhook_url",
    "ntfy_url",
];

/// Beginnings of a value that make it plainly a path, which may be shown.
const PATH_STARTS: [&str; 4] = ["/", "~/", "./", "../"];

/// Letters and digits without a break that are taken for a key, at least.
const MIN_OPAQUE_CHARS: usize = 32;

/// Characters after `sk-` that make a key, at least.
const MIN_PREFIXED_CHARS: usize = 6;

/// Whether a key of this name holds a secret or says where one is, also if it is misspelt.
pub(super) fn is_secret_name(name: &str) -> bool {
    let is_secret = |name: &str| SECRET_WORDS.iter().any(|word| name.contains(word));
    let name = name.to_lowercase();
    let own = name.rsplit('.').next().unwrap_or(&name);
    let own = own.trim().trim_matches(['"', '\'']);
    is_secret(&name) || nearest(own, keys::KEYS.iter().map(|key| key.name)).is_some_and(is_secret)
}

/// Whether this value of a `…_file` key is plainly a path and not the secret itself.
pub(super) fn is_plainly_path(value: &str) -> bool {
    PATH_STARTS.iter().any(|start| value.starts_with(start)) && hidden_tokens(value).is_empty()
}

/// Whether any part of the text is shaped like an API key.
pub(super) fn looks_like_key(text: &str) -> bool {
    text.split(|c: char| !is_token_char(c)).any(is_key_shaped)
}

/// Whether all of a text is shaped like the secret of a storage: letters of both cases, digits and the other
/// signs of base64, and no point as file names have it.
pub(super) fn looks_like_secret(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.len() >= MIN_OPAQUE_CHARS
        && text.chars().all(is_base64)
        && text.contains(|c: char| c.is_ascii_uppercase())
        && text.contains(|c: char| c.is_ascii_lowercase())
        && text.contains(|c: char| c.is_ascii_digit())
}

/// The text with everything secret masked.
pub(super) fn text(text: &str) -> String {
    mask(text, &hidden_in_document(text)).0
}

/// `text` with `hidden` byte ranges masked, and for each byte position of `text` where it went.
pub(super) fn mask(text: &str, hidden: &[Range<usize>]) -> (String, Vec<usize>) {
    let mut shown = String::new();
    let mut moved = Vec::with_capacity(text.len() + 1);
    let mut masked = false;
    for (position, character) in text.char_indices() {
        let inside = hidden.iter().any(|range| range.contains(&position));
        if inside && !masked {
            moved.resize(position + 1, shown.len());
            shown.push_str(MASK);
        }
        masked = inside;
        let at = if inside {
            shown.len() - MASK.len()
        } else {
            shown.len()
        };
        moved.resize(position + character.len_utf8(), at);
        if !inside {
            shown.push(character);
        }
    }
    moved.push(shown.len());
    (shown, moved)
}

/// The byte ranges of a whole TOML document, well-formed or not, that must not be shown.
pub(super) fn hidden_in_document(document: &str) -> Vec<Range<usize>> {
    let mut hidden = hidden_tokens(document);
    hidden.extend(hidden_in_notify(document));
    let mut state = State::Open;
    let mut start = 0;
    for line in document.split_inclusive('\n') {
        let (from, next) = state.hide_from(line);
        if let Some(from) = from {
            hidden.push(start + from..start + line.trim_end().len().max(from));
        }
        state = next;
        start += line.len();
    }
    hidden
}

/// What stands behind the host in the URLs of `[notify]`: whoever knows it can write there. The table and its keys
/// may be misspelt.
fn hidden_in_notify(document: &str) -> Vec<Range<usize>> {
    let is_notify = |name: &str| {
        let name = name.trim().trim_matches(['"', '\'']);
        nearest(name, keys::tables()) == Some(NOTIFY)
    };
    let (mut hidden, mut start, mut is_inside) = (Vec::new(), 0, false);
    for line in document.split_inclusive('\n') {
        let text = line.trim_start();
        if let Some(header) = text.strip_prefix('[') {
            let name = header.trim_start_matches('[').split([']', '.']).next();
            is_inside = is_notify(name.unwrap_or_default());
        }
        let first = text.split(['.', '=']).next().unwrap_or_default();
        if is_inside || is_notify(first) {
            let paths = urls(line).filter_map(|url| {
                let path = line.get(url.clone())?.find(['/', '?'])?;
                Some(start + url.start + path + 1..start + url.end)
            });
            hidden.extend(paths.filter(|path| !path.is_empty()));
        }
        start += line.len();
    }
    hidden
}

/// Where a scan over lines is.
#[derive(Clone, Copy)]
enum State {
    /// Outside of any secret.
    Open,
    /// Inside a multi-line string of a secret key, until this delimiter.
    Quoted(&'static str),
    /// After the first line of a secret's value, which may go on.
    Following,
}

impl State {
    /// From which byte on this line is hidden, and the state after it.
    fn hide_from(self, line: &str) -> (Option<usize>, Self) {
        match self {
            Self::Quoted(delimiter) if line.contains(delimiter) => (Some(0), Self::Following),
            Self::Quoted(_) => (Some(0), self),
            Self::Following if !begins_anew(line) => (Some(0), self),
            Self::Following | Self::Open => match secret_value_at(line) {
                Some(at) => (Some(at), after_value(line.get(at..).unwrap_or_default())),
                None => (None, Self::Open),
            },
        }
    }
}

/// Whether a line begins with a key and `=`, a table header or a comment, or is blank.
fn begins_anew(line: &str) -> bool {
    let line = line.trim();
    let name = line.split('=').next().unwrap_or_default().trim();
    let is_closed = name.matches(['"', '\'']).count().is_multiple_of(2);
    let is_name = !name.is_empty() && name.chars().all(is_key_char) && is_closed;
    let is_key = is_name && line.contains('=');
    let is_header = line.starts_with('[') && line.ends_with(']') && !line.contains(['"', '\'']);
    is_key || is_header || line.is_empty() || line.starts_with('#')
}

fn is_key_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-.\"' ".contains(character)
}

/// What state a secret's value, as far as it stands on its first line, leaves behind.
fn after_value(value: &str) -> State {
    for delimiter in ["\"\"\"", "'''"] {
        if value.matches(delimiter).count() % 2 == 1 {
            return State::Quoted(delimiter);
        }
    }
    State::Following
}

/// Where on this line the value of a key with a secret's name begins, unless it is a path.
fn secret_value_at(line: &str) -> Option<usize> {
    line.match_indices('=').find_map(|(equals, _)| {
        let before = line.get(..equals)?.trim_end();
        let name_at = before
            .rfind(|c: char| !is_key_char(c) || c == ' ')
            .map_or(0, |at| at + 1);
        let value = line.get(equals + 1..)?;
        let skipped = value.len() - value.trim_start().len();
        let text = value.trim().trim_start_matches(['"', '\'']);
        let secret = is_secret_name(before.get(name_at..)?);
        (secret && !is_plainly_path(text)).then_some(equals + 1 + skipped)
    })
}

/// The ranges of key-shaped tokens and of the secret parts of URLs.
fn hidden_tokens(text: &str) -> Vec<Range<usize>> {
    let mut hidden: Vec<_> = tokens(text)
        .filter(|range| text.get(range.clone()).is_some_and(is_key_shaped))
        .collect();
    for url in urls(text) {
        hidden.extend(hidden_in_url(text, url));
    }
    hidden
}

/// The ranges of what stands after `://` in the URLs of a text.
fn urls(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").map(|(at, marker)| {
        let start = at + marker.len();
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "\"'".contains(c));
        start..start + end.unwrap_or(rest.len())
    })
}

/// User name and password, and the query, of the URL whose part after `://` is at `range`.
fn hidden_in_url(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let url = text.get(range.clone()).unwrap_or_default();
    let user = url.rfind('@').map(|at| range.start..range.start + at);
    let query = url.find('?').map(|at| range.start + at + 1..range.end);
    user.into_iter()
        .chain(query)
        .filter(|hidden| !hidden.is_empty())
        .collect()
}

fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split(|c: char| !is_token_char(c))
        .filter(|token| !token.is_empty())
        .map(|token| {
            let start = token.as_ptr() as usize - text.as_ptr() as usize;
            start..start + token.len()
        })
}

fn is_token_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-' || character == '_'
}

/// `sk-…`, a UUID, or a long unbroken run of letters and digits.
fn is_key_shaped(token: &str) -> bool {
    let prefixed = token
        .strip_prefix("sk-")
        .is_some_and(|rest| rest.len() >= MIN_PREFIXED_CHARS);
    let opaque = token.len() >= MIN_OPAQUE_CHARS
        && token.chars().all(|c| c.is_ascii_alphanumeric())
        && token.contains(|c: char| c.is_ascii_digit())
        && token.contains(|c: char| c.is_ascii_alphabetic());
    prefixed || opaque || is_uuid(token)
}

fn is_uuid(token: &str) -> bool {
    let groups: Vec<usize> = token.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && token.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_storage_is_told_from_the_file_that_holds_it() {
        assert!(looks_like_secret(
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        ));
        for path in ["secrets/bucket", "keys/of-the-bucket-2024/Production.txt"] {
            assert!(!looks_like_secret(path), "{path}");
        }
    }

    fn shown(document: &str) -> String {
        mask(document, &hidden_in_document(document)).0
    }

    #[test]
    fn the_value_of_a_secret_key_is_hidden_whatever_its_shape() {
        assert_eq!(
            shown("api_key = \"hunter2\"\njobs = 4\n"),
            "api_key = ***\njobs = 4\n"
        );
        assert_eq!(shown("password = 'a b c' # note\n"), "password = ***\n");
        assert_eq!(
            shown("x = { token = \"t\", jobs = 4 }\n"),
            "x = { token = ***\n"
        );
        assert_eq!(shown("\"api-key\" = 5\n"), "\"api-key\" = ***\n");
    }

    #[test]
    fn a_secret_over_several_lines_is_hidden_to_its_end() {
        let text = "api_key = \"\"\"\none = 1\ntwo\"\"\"\njobs = 4\n";
        assert_eq!(shown(text), "api_key = ***\n***\n***\njobs = 4\n");
        let text = "api_keys = [\n  \"one\",\n  \"two==\"\n]\n[service]\njobs = 4\n";
        assert_eq!(
            shown(text),
            "api_keys = ***\n***\n***\n***\n[service]\njobs = 4\n"
        );
    }

    #[test]
    fn a_secret_that_is_never_closed_hides_the_rest() {
        assert_eq!(
            shown("secret = \"\"\"\njobs = 4\nx"),
            "secret = ***\n***\n***"
        );
        assert_eq!(shown("secret = \"abc\njobs = 4"), "secret = ***\njobs = 4");
    }

    #[test]
    fn a_path_to_a_secret_is_shown_and_the_secret_in_its_place_is_not() {
        let path = "api_key_file = \"/etc/stenod/key\"\n";
        assert_eq!(shown(path), path);
        assert_eq!(
            shown("api_key_file = \"hunter2\"\n"),
            "api_key_file = ***\n"
        );
        let uuid = "api_key_file = \"/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f\"\n";
        assert_eq!(shown(uuid), "api_key_file = ***\n");
    }

    #[test]
    fn a_secret_is_hidden_though_its_key_is_misspelt() {
        for name in [
            "webhok_url",
            "ntfyurl",
            "\"webhook-url\"",
            "notify.webhok_url",
        ] {
            let line = format!("{name} = \"https://example.org/T0/SECRET\"\n");
            assert_eq!(shown(&line), format!("{name} = ***\n"));
        }
        let plain = "base_ur = \"https://example.org/api\"\n";
        assert_eq!(shown(plain), plain);
    }

    #[test]
    fn nothing_behind_the_host_of_a_url_in_notify_is_shown() {
        for (text, masked) in [
            (
                "[notify]\nurl = \"https://ntfy.sh/SECRET\" # x\n",
                "[notify]\nurl = \"https://ntfy.sh/***\" # x\n",
            ),
            (
                "[notfy] # x\nhook = 'https://h:1/a?b=c'\n",
                "[notfy] # x\nhook = 'https://h:1/***'\n",
            ),
            (
                "notify.url = \"https://ntfy.sh/SECRET\"\n",
                "notify.url = \"https://ntfy.sh/***\"\n",
            ),
            (
                "notify = { url = \"https://ntfy.sh/SECRET\" }\n",
                "notify = { url = \"https://ntfy.sh/***\" }\n",
            ),
            (
                "[notify]\nx = \"https://ntfy.sh\"\n[bucket]\nurl = \"s3://b/p\"\n",
                "[notify]\nx = \"https://ntfy.sh\"\n[bucket]\nurl = \"s3://b/p\"\n",
            ),
        ] {
            assert_eq!(shown(text), masked);
        }
    }

    #[test]
    fn what_is_shaped_like_a_key_is_hidden_anywhere() {
        assert_eq!(text("model sk-nano-1234 here"), "model *** here");
        assert_eq!(text("0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"), MASK);
        assert_eq!(text("0123456789abcdef0123456789abcdef"), MASK);
        let plain = "Whisper-Large-V3 gpt-4o-mini-transcribe 2024-01-01";
        assert_eq!(text(plain), plain);
    }

    #[test]
    fn user_password_and_query_of_a_url_are_hidden() {
        assert_eq!(
            text("see https://ada:pw@host/a?k=v end"),
            "see https://***@host/a?*** end"
        );
        assert_eq!(text("https://host/a"), "https://host/a");
        assert_eq!(text("https://ada:p@w@host"), "https://***@host");
    }
}
