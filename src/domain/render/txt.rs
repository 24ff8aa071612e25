//! Plain text: a paragraph a speaker turn, long turns in several. No word is changed; the text of
//! one speaker that came in lines keeps them.

use unicode_width::UnicodeWidthStr;

use crate::domain::transcript::{Transcript, Turn, sentences};

/// A paragraph ends with the first sentence after so many columns; a wide character takes two.
pub(super) const PARAGRAPH_COLUMNS: usize = 600;

/// The text, ending with a newline; silence is an empty file.
pub(super) fn render(transcript: &Transcript) -> String {
    let mut paragraphs: Vec<String> = Vec::new();
    if transcript.tells_speakers() && transcript.segments_hold_text() {
        for turn in transcript.turns() {
            paragraphs.extend(turn_paragraphs(transcript, &turn));
        }
    } else if transcript.text.contains('\n') || transcript.text.width() <= PARAGRAPH_COLUMNS {
        paragraphs.push(transcript.text.clone());
    } else {
        paragraphs.extend(split(&transcript.text));
    }
    let mut text = paragraphs.join("\n\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// A text without line ends and tabs.
pub(super) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Splits a long text between sentences.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut rest = text;
    for sentence in sentences(text) {
        let (space, behind) = rest.split_once(sentence).unwrap_or_default();
        rest = behind;
        match paragraphs.last_mut() {
            Some(paragraph) if paragraph.width() < PARAGRAPH_COLUMNS => {
                if !space.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(sentence);
            }
            Some(_) | None => paragraphs.push(sentence.to_owned()),
        }
    }
    paragraphs
}

/// The paragraphs of a turn, the first of them with the speaker's name.
fn turn_paragraphs(transcript: &Transcript, turn: &Turn<'_>) -> Vec<String> {
    let mut paragraphs = split(&turn.text());
    let name = turn.speaker.and_then(|id| transcript.speaker_name(id));
    if let (Some(name), Some(first)) = (name, paragraphs.first_mut()) {
        first.insert_str(0, &format!("{name}: "));
    }
    paragraphs
}
