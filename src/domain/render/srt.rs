//! SubRip captions: numbered cues, times with a comma, the speaker's name where a turn begins.
//!
//! The format knows no escapes. As in Whisper's own writer `-->` in the text becomes `->`, which is
//! the one thing that could be taken for a line of times.

use std::fmt::Write as _;

use super::{Document, clock};
use crate::domain::captions::{Naming, cues};

/// The captions, or nothing when there is text without any time.
pub(super) fn render(document: &Document) -> Option<String> {
    let profile = document.captions.profile();
    let mut file = String::new();
    for (cue, number) in cues(&document.transcript, &profile, Naming::InText)?
        .iter()
        .zip(1_u64..)
    {
        let text = cue.lines().join("\n").replace("-->", "->");
        let (start, end) = (time(cue.start), time(cue.end));
        if number > 1 {
            file.push('\n');
        }
        write!(file, "{number}\n{start} --> {end}\n{text}\n").ok()?;
    }
    Some(file)
}

fn time(milliseconds: u64) -> String {
    let (hours, minutes, seconds, rest) = clock(milliseconds);
    format!("{hours:02}:{minutes:02}:{seconds:02},{rest:03}")
}
