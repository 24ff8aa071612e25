//! Timed lyrics: a line a cue, or for each of several who speak at once, with minutes, seconds and hundredths before it.

use std::fmt::Write as _;

use super::{Document, clock, milliseconds, title};
use crate::domain::captions::{Naming, cues};

/// The lines, or nothing when there is text without any time.
pub(super) fn render(document: &Document) -> Option<String> {
    let transcript = &document.transcript;
    let mut file = String::new();
    writeln!(file, "[ti:{}]", tag(&title(document))).ok()?;
    if let Some(length) = transcript.duration.map(milliseconds) {
        let (hours, minutes, seconds, _) = clock(length);
        writeln!(file, "[length:{:02}:{seconds:02}]", hours * 60 + minutes).ok()?;
    }
    file.push_str("[re:stenod]\n");
    let profile = document.captions.profile();
    for cue in cues(transcript, &profile, Naming::InText)? {
        let (hours, minutes, seconds, rest) = clock(cue.start);
        let minutes = hours * 60 + minutes;
        for part in &cue.parts {
            let text = spoken(&part.text);
            writeln!(file, "[{minutes:02}:{seconds:02}.{:02}]{text}", rest / 10).ok()?;
        }
    }
    Some(file)
}

/// A tag's value ends with the first bracket.
fn tag(text: &str) -> String {
    super::txt::line(text).replace(']', ")").replace('[', "(")
}

/// A text that begins with a bracket would be read as a tag.
fn spoken(text: &str) -> String {
    if text.starts_with('[') {
        format!(" {text}")
    } else {
        text.to_owned()
    }
}
