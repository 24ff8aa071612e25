//! Whisper's table: start and end in whole milliseconds and the text, separated by tabs.

use std::fmt::Write as _;

use super::txt::line;
use crate::domain::captions::timed_lines;
use crate::domain::transcript::Transcript;

/// The table, or nothing when there is text without any time.
pub(super) fn render(transcript: &Transcript) -> Option<String> {
    let mut table = String::from("start\tend\ttext\n");
    for row in timed_lines(transcript)? {
        writeln!(table, "{}\t{}\t{}", row.start, row.end, line(row.text)).ok()?;
    }
    Some(table)
}
