//! Markdown: front matter in YAML that note programs read, then a paragraph a turn with the
//! speaker's name and a link to its time in the recording.
//!
//! Whatever could be markup in the text is escaped, so that it reads as it was said. A value of the
//! front matter is written as JSON, which is YAML (YAML 1.2, section 1.2), with escapes for what the YAML
//! of older readers does not print.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use unicode_width::UnicodeWidthStr;

use super::txt::{PARAGRAPH_COLUMNS, line, split};
use super::{Document, clock, milliseconds, stem, title};
use crate::domain::transcript::{Segment, Span, Transcript, Turn};

/// The file's text.
pub(super) fn render(document: &Document) -> String {
    let mut file = front_matter(document);
    file.push_str(&format!("\n# {}\n", escaped(&line(&title(document)))));
    for block in blocks(document) {
        file.push('\n');
        file.push_str(&block);
        file.push('\n');
    }
    file
}

fn front_matter(document: &Document) -> String {
    let mut file = String::from("---\n");
    for (key, value) in properties(document) {
        if let Value::Array(items) = value {
            file.push_str(&format!("{key}:\n"));
            items
                .iter()
                .for_each(|item| file.push_str(&format!("  - {}\n", printable(item))));
        } else {
            file.push_str(&format!("{key}: {}\n", printable(&value)));
        }
    }
    file.push_str("---\n");
    file
}

/// A value as JSON; what YAML 1.1 takes for a line end or does not print (section 5.1) is escaped.
fn printable(value: &Value) -> String {
    let mut printable = String::new();
    for character in value.to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                printable.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => printable.push(character),
        }
    }
    printable
}

/// The front matter's keys in order; what is not known is left out.
fn properties(document: &Document) -> Map<String, Value> {
    let Document {
        transcript,
        source,
        job,
        cost,
        ..
    } = document;
    let mut properties = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()) {
            properties.insert(key.to_owned(), value);
        }
    };
    put("title", json!(stem(document)));
    put("source", json!(source.file_name));
    put(
        "duration",
        json!(
            transcript
                .duration
                .map(|seconds| time(milliseconds(seconds)))
        ),
    );
    put("language", json!(transcript.language));
    put(
        "speakers",
        list(
            transcript
                .speakers
                .iter()
                .map(|speaker| speaker.display_name()),
        ),
    );
    put("provider", json!(job.provider));
    put("model", json!(job.model));
    put("job", json!(job.id));
    put(
        "cost",
        json!(
            cost.as_ref()
                .map(|cost| format!("{} {}", cost.amount, cost.currency))
        ),
    );
    put("timing", json!(transcript.timing));
    put(
        "warnings",
        list(transcript.warnings.iter().map(|warning| &warning.message)),
    );
    properties
}

fn list<T: Serialize>(items: impl Iterator<Item = T>) -> Value {
    Value::Array(items.map(|item| json!(item)).collect())
}

/// The turns, each as one Markdown block of one or more paragraphs.
fn blocks(document: &Document) -> Vec<String> {
    let transcript = &document.transcript;
    if !transcript.segments_hold_text() {
        return paragraphs(&transcript.text);
    }
    transcript
        .turns()
        .flat_map(|turn| passages(turn).into_iter().zip(1..))
        .map(|(passage, number)| block(document, &passage, number == 1))
        .collect()
}

/// A turn in stretches that are not too long, each with its time.
fn passages(turn: Turn<'_>) -> Vec<Turn<'_>> {
    let mut passages = Vec::new();
    let mut begin = 0;
    let mut columns = 0;
    for (position, segment) in turn.segments.iter().enumerate() {
        columns += segment.text.width();
        if columns >= PARAGRAPH_COLUMNS {
            passages.extend(turn.segments.get(begin..=position));
            (begin, columns) = (position + 1, 0);
        }
    }
    passages.extend(turn.segments.get(begin..).filter(|rest| !rest.is_empty()));
    passages
        .into_iter()
        .map(|segments: &[Segment]| Turn { segments, ..turn })
        .collect()
}

/// A passage of a turn, of which the first says who speaks.
fn block(document: &Document, turn: &Turn<'_>, is_first: bool) -> String {
    let transcript: &Transcript = &document.transcript;
    let told = is_first && transcript.tells_speakers();
    let name = turn.speaker.filter(|_| told);
    let name = name.and_then(|id| transcript.speaker_name(id));
    let name = name.map(|name| format!("**{}**", escaped(&line(name))));
    let link = turn
        .span()
        .filter(|_| is_exact(transcript))
        .map(|span| link(document, span));
    let head: Vec<String> = name.into_iter().chain(link).collect();
    let text = paragraphs(&turn.text()).join("\n\n");
    match (head.is_empty(), told) {
        (true, _) => text,
        (false, true) => format!("{}\n{text}", head.join(" ")),
        (false, false) => format!("{} {text}", head.join(" ")),
    }
}

const fn is_exact(transcript: &Transcript) -> bool {
    !matches!(transcript.timing, crate::domain::transcript::Timing::None)
}

/// A link into the recording (W3C, "Media Fragments URI 1.0", temporal dimension).
fn link(document: &Document, span: Span) -> String {
    let start = span.start_milliseconds();
    let path = encoded(&document.source.path);
    format!("[{}]({path}#t={})", time(start), start / 1000)
}

fn time(milliseconds: u64) -> String {
    let (hours, minutes, seconds, _) = clock(milliseconds);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

fn paragraphs(text: &str) -> Vec<String> {
    text.lines()
        .flat_map(split)
        .map(|paragraph| escaped(&paragraph))
        .collect()
}

/// Percent-encodes all but slashes and the characters that are safe in any link (RFC 3986, section 2.3).
fn encoded(path: &Path) -> String {
    let mut link = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            link.push(char::from(*byte));
        } else {
            link.push_str(&format!("%{byte:02X}"));
        }
    }
    link
}

/// Escapes what Markdown, or a note program, would take for markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for (position, character) in text.char_indices() {
        let rest = text
            .get(position + character.len_utf8()..)
            .unwrap_or_default();
        if is_markup(character, before, rest) || (position == 0 && is_list_mark(character, rest)) {
            escaped.push('\\');
        }
        escaped.push(character);
        before = character;
    }
    numbered_list_escaped(escaped)
}

fn is_markup(character: char, before: char, rest: &str) -> bool {
    let next = rest.chars().next().unwrap_or(' ');
    match character {
        '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '$' => true,
        '#' | '^' => before.is_whitespace(),
        '&' => next.is_ascii_alphabetic() || next == '#',
        '~' | '=' | '%' => next == character || before == character,
        _ => false,
    }
}

fn is_list_mark(character: char, rest: &str) -> bool {
    matches!(character, '-' | '+') && rest.starts_with([' ', character])
}

/// "1. " or "1) " at the begin would be a numbered list.
fn numbered_list_escaped(text: String) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.split_at_checked(digits) {
        Some((number, rest))
            if digits > 0 && (rest.starts_with(". ") || rest.starts_with(") ")) =>
        {
            format!("{number}\\{rest}")
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_markup_is_escaped_and_nothing_else() {
        assert_eq!(
            escaped("a*b _c_ [d] <e> #f C# g"),
            r"a\*b \_c\_ \[d\] \<e\> \#f C# g"
        );
        assert_eq!(
            escaped("AT&T, R & D; x == y, 5 % off"),
            r"AT\&T, R & D; x \=\= y, 5 % off"
        );
        assert_eq!(escaped("- no"), r"\- no");
        assert_eq!(escaped("1. one"), r"1\. one");
        assert_eq!(
            escaped("1.5 – well-known, isn't it?"),
            "1.5 – well-known, isn't it?"
        );
    }

    #[test]
    fn what_readers_of_yaml_refuse_is_escaped() {
        assert_eq!(
            printable(&json!("a\u{7f}b\u{2028}\u{feff} é 🙂")),
            "\"a\\u007fb\\u2028\\ufeff é 🙂\""
        );
    }

    #[test]
    fn a_file_name_is_a_safe_link() {
        assert_eq!(
            encoded(Path::new("../in/my (best) tälk.mp3")),
            "../in/my%20%28best%29%20t%C3%A4lk.mp3"
        );
    }
}
