//! The text of a configuration file, its positions, and what of its lines may be shown.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::mistake::Line;
use super::redact;

/// Characters of a line that are shown, at most.
const MAX_SHOWN_CHARS: usize = 100;

/// Characters that are shown before the caret, at most, when a line is clipped.
const MAX_SHOWN_BEFORE_CHARS: usize = 60;

/// A file's text with the ranges that must not be shown.
pub(super) struct FileText {
    path: PathBuf,
    text: String,
    hidden: Vec<Range<usize>>,
}

impl FileText {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let hidden = redact::hidden_in_document(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            hidden,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it; it may hold a secret.
    pub(super) fn whole(&self) -> &str {
        &self.text
    }

    /// The text in a byte range; it may hold a secret.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&str> {
        self.text.get(range)
    }

    /// The line on which the byte range `span` begins, masked, the carets under the span.
    pub(super) fn line_at(&self, span: Range<usize>) -> Line {
        let start = self.boundary(span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line_end = line_start + rest.lines().next().unwrap_or_default().len();
        let end = self.boundary(span.end).min(line_end).max(start);
        let (shown, caret, carets) = self.excerpt(line_start..line_end, start..end);
        Line {
            file: self.path.clone(),
            number: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            shown,
            caret,
            carets,
        }
    }

    /// The masked and clipped line, and where and how many carets stand under it, in characters.
    fn excerpt(&self, line: Range<usize>, span: Range<usize>) -> (String, usize, usize) {
        let inside = |position: usize| position.clamp(line.start, line.end) - line.start;
        let hidden = self
            .hidden
            .iter()
            .map(|range| inside(range.start)..inside(range.end));
        let hidden: Vec<_> = hidden.filter(|range| !range.is_empty()).collect();
        let (masked, moved) =
            redact::mask(self.text.get(line.clone()).unwrap_or_default(), &hidden);
        let chars_before = |position: usize| {
            let byte = moved.get(inside(position)).copied().unwrap_or(masked.len());
            masked.get(..byte).unwrap_or_default().chars().count()
        };
        let (caret, end) = (chars_before(span.start), chars_before(span.end));
        let from = caret.saturating_sub(MAX_SHOWN_BEFORE_CHARS);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = masked
            .chars()
            .skip(from)
            .take(MAX_SHOWN_CHARS)
            .map(plain)
            .collect();
        let room = shown.chars().count().saturating_sub(caret - from);
        (
            shown,
            caret - from,
            end.saturating_sub(caret).min(room).max(1),
        )
    }

    fn boundary(&self, position: usize) -> usize {
        let mut position = position.min(self.text.len());
        while !self.text.is_char_boundary(position) {
            position -= 1;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, wanted: &str) -> Line {
        let start = text.find(wanted).unwrap();
        FileText::new(Path::new("c.toml"), text).line_at(start..start + wanted.len())
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let line = line("a = 1\nb = { ü = \"ö\", c = 2 }\n", "c = 2");
        assert_eq!((line.number, line.column), (2, 16));
        assert_eq!((line.caret, line.carets), (15, 5));
    }

    #[test]
    fn carets_follow_what_is_masked_before_them() {
        let line = line("a = [\"sk-nano-000111222\", 7]\n", "7");
        assert_eq!(line.shown, "a = [\"***\", 7]");
        assert_eq!((line.column, line.caret), (27, 12));
    }

    #[test]
    fn a_long_line_is_clipped_around_the_caret() {
        let text = format!(
            "a = \"{}\", bad, \"{}\"",
            "x ".repeat(500),
            "y ".repeat(500)
        );
        let line = line(&text, "bad");
        assert_eq!(line.shown.chars().count(), MAX_SHOWN_CHARS);
        let caret: String = line
            .shown
            .chars()
            .skip(line.caret)
            .take(line.carets)
            .collect();
        assert_eq!(caret, "bad");
    }

    #[test]
    fn a_position_after_the_end_is_the_end() {
        let text = FileText::new(Path::new("c.toml"), "a = ");
        let line = text.line_at(99..120);
        assert_eq!((line.number, line.column, line.carets), (1, 5, 1));
        let empty = FileText::new(Path::new("c.toml"), "").line_at(0..0);
        assert_eq!((empty.number, empty.column, empty.carets), (1, 1, 1));
    }

    #[test]
    fn a_span_over_several_lines_keeps_to_its_first() {
        let line = line("a = [\n 1,\n 2]\n", "[\n 1,\n 2]");
        assert_eq!(
            (line.number, line.carets, line.shown.as_str()),
            (1, 1, "a = [")
        );
    }
}
