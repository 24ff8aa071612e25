//! SubRip captions: numbered cues, times with a comma, the speaker's name where a turn begins.
//!
//! The format knows no escapes. As in Whisper's own writer `-->` in the text becomes `->`; and since some
//! readers take any line with two times for the begin of a caption, those of such a line are broken by
//! a mark that nobody sees (U+2060, word joiner).

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
        let lines = cue.lines().into_iter().map(harmless);
        let text = lines.collect::<Vec<_>>().join("\n");
        let (start, end) = (time(cue.start), time(cue.end));
        if number > 1 {
            file.push('\n');
        }
        write!(file, "{number}\n{start} --> {end}\n{text}\n").ok()?;
    }
    Some(file)
}

/// A line of text that nobody takes for one of times.
fn harmless(line: &str) -> String {
    let line = line.replace("-->", "->");
    let breaks: Vec<usize> = line
        .match_indices([',', '.'])
        .map(|(at, _)| at)
        .filter(|at| is_inside_time(&line, *at))
        .collect();
    if breaks.len() < 2 {
        return line;
    }
    let mut broken = line;
    for at in breaks.into_iter().rev() {
        broken.insert(at, '\u{2060}');
    }
    broken
}

/// Whether a comma or a dot stands where it does in a time: `1:02:03,4`.
fn is_inside_time(line: &str, at: usize) -> bool {
    let (before, behind) = line.split_at_checked(at).unwrap_or_default();
    let is_digit = |character: char| character.is_ascii_digit();
    let seconds = before.trim_end_matches(is_digit);
    seconds.len() < before.len()
        && seconds.ends_with(':')
        && behind.chars().nth(1).is_some_and(is_digit)
}

fn time(milliseconds: u64) -> String {
    let (hours, minutes, seconds, rest) = clock(milliseconds);
    format!("{hours:02}:{minutes:02}:{seconds:02},{rest:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_text_is_a_line_of_times() {
        assert_eq!(
            harmless("00:00:01,000 --> 00:00:02.5"),
            "00:00:01\u{2060},000 -> 00:00:02\u{2060}.5"
        );
        for line in [
            "at 10:30, 5 people",
            "from 0:01:02,5 on",
            "3.5 km, 2,000 m, 1:2 and 2:1.",
        ] {
            assert_eq!(harmless(line), line);
        }
    }
}
