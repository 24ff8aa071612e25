//! WebVTT captions (W3C, "WebVTT: The Web Video Text Tracks Format"), with a voice tag a cue,
//! or one for each of several who speak at once.
//!
//! `&`, `<` and `>` are escaped, so that no word can become a tag or a line of times. Estimated
//! times are said to be so in a note.

use std::fmt::Write as _;

use super::{Document, clock};
use crate::domain::captions::{Naming, Part, cues};
use crate::domain::transcript::{SpeakerId, Timing, Transcript};

/// The captions, or nothing when there is text without any time.
pub(super) fn render(document: &Document) -> Option<String> {
    let transcript = &document.transcript;
    let profile = document.captions.profile();
    let mut file = String::from("WEBVTT\n");
    if let Some(note) = note(transcript) {
        write!(file, "\nNOTE {note}\n").ok()?;
    }
    for cue in cues(transcript, &profile, Naming::Apart)? {
        let (start, end) = (time(cue.start), time(cue.end));
        let closed = cue.parts.len() > 1;
        let texts = cue.parts.iter().map(|part| said(transcript, part, closed));
        let text = texts.collect::<Vec<_>>().join("\n");
        write!(file, "\n{start} --> {end}\n{text}\n").ok()?;
    }
    Some(file)
}

fn note(transcript: &Transcript) -> Option<&'static str> {
    match transcript.timing {
        Timing::None if transcript.is_empty() => None,
        Timing::None => Some("The times are estimated from the length of the text."),
        Timing::Pieces => {
            Some("The times are estimated from the length of the text in each piece.")
        }
        Timing::Words | Timing::Segments => None,
    }
}

fn time(milliseconds: u64) -> String {
    let (hours, minutes, seconds, rest) = clock(milliseconds);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{rest:03}")
}

/// The text of a part in its voice; the tag is closed where others follow.
fn said(transcript: &Transcript, part: &Part, closed: bool) -> String {
    let voice = voice(transcript, part.speaker);
    let text = escaped(&part.lines.join("\n"));
    let end = if closed && !voice.is_empty() {
        "</v>"
    } else {
        ""
    };
    format!("{voice}{text}{end}")
}

/// The tag that says who speaks; it may stay open when it holds for the whole cue.
fn voice(transcript: &Transcript, speaker: Option<SpeakerId>) -> String {
    let name = speaker
        .and_then(|id| transcript.speaker_name(id))
        .map(str::trim);
    match name {
        Some(name) if !name.is_empty() => format!("<v {}>", escaped(&super::txt::line(name))),
        Some(_) | None => String::new(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
