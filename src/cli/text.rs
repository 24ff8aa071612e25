//! Text as it is written: on a terminal made to fit and with colours, elsewhere as it is.
//!
//! Into files and pipes a line is a line, and every path is whole.

use std::path::Path;

use unicode_linebreak::{BreakOpportunity, linebreaks};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::{placed, placed_in, shown};
use crate::domain::job::State;
use crate::domain::mend::Mend;

/// Stands for what was left out.
const GAP: &str = "…";
/// The same where only ASCII can be shown.
const ASCII_GAP: &str = "...";
/// However narrow the terminal is, a path is given so many columns.
pub(super) const LEAST: usize = 16;

/// What text is written on: how long its lines are, and whether they may have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    columns: Option<usize>,
    colour: bool,
    /// Stands for what was left out.
    gap: &'static str,
}

/// What a word means to whoever looks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Care,
    Bad,
    Plain,
}

impl Tone {
    /// That of a job's state.
    pub(super) fn of(state: State) -> Self {
        match state {
            State::Done => Self::Good,
            State::Waiting | State::InDoubt => Self::Care,
            State::Failed => Self::Bad,
            State::Queued | State::Active | State::Cancelled => Self::Plain,
        }
    }

    /// The colour's number in an escape sequence.
    fn code(self) -> Option<u8> {
        match self {
            Self::Good => Some(32),
            Self::Care => Some(33),
            Self::Bad => Some(31),
            Self::Plain => None,
        }
    }
}

impl Page {
    /// A terminal of so many columns.
    pub(super) fn columns(columns: usize) -> Self {
        Self {
            columns: Some(columns),
            ..Self::endless()
        }
    }

    /// One on which a line may be as long as it likes.
    pub(super) fn endless() -> Self {
        Self {
            columns: None,
            colour: false,
            gap: GAP,
        }
    }

    /// The columns of its lines, if they have an end.
    pub(super) fn width(self) -> Option<usize> {
        self.columns
    }

    /// The same with lines as long as they like.
    pub(super) fn endless_too(self) -> Self {
        Self {
            columns: None,
            ..self
        }
    }

    /// The same for terminals that may show nothing but ASCII.
    pub(super) fn in_ascii(self, is_ascii: bool) -> Self {
        Self {
            gap: if is_ascii { ASCII_GAP } else { GAP },
            ..self
        }
    }

    /// The same with colours, if they are wanted.
    pub(super) fn coloured(self, colour: bool) -> Self {
        Self { colour, ..self }
    }

    /// A text that has been laid out, with the colour of its first such word.
    pub(super) fn painted(self, text: &str, word: &str, tone: Tone) -> String {
        match (self.colour, tone.code()) {
            (true, Some(code)) => text.replacen(word, &format!("\x1b[{code}m{word}\x1b[0m"), 1),
            (true, None) | (false, _) => text.to_owned(),
        }
    }

    /// Talk: each of its lines broken between words, but for lines of code.
    pub(super) fn talk(self, text: &str) -> String {
        let line = |line: &str| {
            let words = line.trim_start();
            let is_code = words.starts_with('|') || line.contains(" | ");
            if is_code {
                return line.to_owned();
            }
            let (start, _) = line.split_at(line.len() - words.len());
            self.text(start, words)
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    /// A path in what a line has beside `taken` columns: folders are left out first, then the middle of its
    /// name.
    pub(super) fn path(self, path: &Path, taken: usize) -> String {
        let whole = shown(path);
        let Some(room) = self.beside(taken) else {
            return whole;
        };
        if whole.width() <= room {
            return whole;
        }
        let mut tail = whole.as_str();
        while let Some((_, rest)) = tail.trim_start_matches('/').split_once('/') {
            tail = rest;
            if rest.width() + self.gap.width() < room {
                return format!("{}/{rest}", self.gap);
            }
        }
        without_middle(tail.trim_start_matches('/'), room, self.gap)
    }

    /// Text after `start`, broken between words; further lines begin below its first word.
    pub(super) fn text(self, start: &str, text: &str) -> String {
        let margin = start.width();
        let text = &placed_in(text);
        let Some(room) = self.beside(margin) else {
            return format!("{start}{text}");
        };
        let broken = broken(text, room);
        format!("{start}{}", broken.join(&format!("\n{:margin$}", "")))
    }

    /// A path and what there is to say of it: beside it where there is room, else below.
    pub(super) fn about(self, start: &str, path: &Path, text: &str) -> String {
        let text = &placed_in(text);
        let beside = format!("{start}{}: {text}", shown(path));
        match self.columns {
            Some(columns) if beside.width() > columns => {
                let margin = start.width();
                let path = self.path(path, margin + 1);
                let below = format!("{:margin$}", "");
                format!("{start}{path}:\n{}", self.text(&below, text))
            }
            Some(_) | None => beside,
        }
    }

    /// A command to copy, and what to know about it: beside it where there is room, else below.
    pub(super) fn command(self, start: &str, command: &str, note: &str) -> String {
        let (command, note) = (placed(command), placed_in(note));
        let (command, note) = (command.as_str(), note.as_str());
        let beside = format!("{start}{command}   # {note}");
        if note.is_empty() {
            return format!("{start}{command}");
        }
        match self.columns {
            Some(columns) if beside.width() > columns => {
                let below = format!("{:width$}# ", "", width = start.width());
                format!("{start}{command}\n{}", self.text(&below, note))
            }
            Some(_) | None => beside,
        }
    }

    fn beside(self, taken: usize) -> Option<usize> {
        self.columns
            .map(|columns| columns.saturating_sub(taken).max(LEAST))
    }
}

/// Lines of a name and what it says, one below the other.
#[derive(Debug)]
pub(super) struct Sheet {
    page: Page,
    /// The columns of the names.
    names: usize,
    lines: Vec<String>,
}

impl Sheet {
    /// An empty one, whose names have so many columns.
    pub(super) fn new(page: Page, names: usize) -> Self {
        Self {
            page,
            names,
            lines: Vec::new(),
        }
    }

    /// A sentence, broken between words where it is too long.
    pub(super) fn sentence(&mut self, name: &str, text: &str) {
        let start = self.start(name);
        self.lines.push(self.page.text(&start, text));
    }

    /// A path or the like, whole: it is there to be copied.
    pub(super) fn whole(&mut self, name: &str, text: &str) {
        let start = self.start(name);
        self.lines.push(start + text);
    }

    /// What there is, and what is told of it, a command to copy in it: beside it where there is room, else below.
    pub(super) fn beside(&mut self, name: &str, text: &str, more: &str) {
        let start = self.start(name);
        let margin = start.width();
        let line = format!("{start}{text}   {more}");
        self.lines.push(match self.page.columns {
            Some(columns) if line.width() > columns => {
                format!("{start}{text}\n{:margin$}{more}", "")
            }
            Some(_) | None => line,
        });
    }

    /// A path, made shorter where it must be, and what there is to say of it: beside it or below.
    pub(super) fn about(&mut self, name: &str, path: &Path, text: &str) {
        let start = self.start(name);
        self.lines.push(self.page.about(&start, path, text));
    }

    /// A command to copy.
    pub(super) fn command(&mut self, name: &str, way: &Mend) {
        let start = self.start(name);
        self.lines
            .push(self.page.command(&start, &way.command, &way.note));
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn start(&self, name: &str) -> String {
        format!("{name:<width$} ", width = self.names)
    }
}

/// A name in so many columns: its beginning and its end, which has the extension.
pub(super) fn without_middle(name: &str, room: usize, gap: &str) -> String {
    let room = room.saturating_sub(gap.width());
    let (mut head, mut tail) = (String::new(), Vec::new());
    let mut used = 0;
    for c in name.chars() {
        used += c.width().unwrap_or(0);
        if used > room / 2 {
            break;
        }
        head.push(c);
    }
    let mut used = head.width();
    for c in name.chars().rev() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        tail.push(c);
    }
    let tail: String = tail.iter().rev().collect();
    format!("{head}{gap}{tail}")
}

/// The columns of a text, which may have colours.
fn width(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().width();
    let coloured = parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| rest.width()));
    first + coloured.sum::<usize>()
}

/// Whether what comes next belongs to the number before it, or the number to the word before.
fn is_one(word: &str, rest: &str) -> bool {
    let next = rest.split_whitespace().next().unwrap_or_default();
    let next = next.trim_end_matches([',', ';', '.', ')', ':']);
    let last = word.trim_end().rsplit(' ').next().unwrap_or_default();
    let is_number = last.ends_with(|c: char| c.is_ascii_digit());
    (is_number && UNITS.contains(&next)) || (last == "job" && next.parse::<u64>().is_ok())
}

/// What stands behind a number on the same line.
const UNITS: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "s", "min", "h", "d", "USD"];

/// Lines of at most so many columns; a word that is longer has a line of its own.
fn broken(text: &str, room: usize) -> Vec<String> {
    let (mut lines, mut line, mut begin) = (Vec::new(), String::new(), 0);
    for (end, kind) in linebreaks(text) {
        let word = text.get(begin..end).unwrap_or_default();
        // A path is not broken at its slashes; what is written without spaces has to be.
        let may_break = word.ends_with(|c: char| c.is_whitespace() || c.width() == Some(2));
        if !may_break && end < text.len() {
            continue;
        }
        if is_one(word, text.get(end..).unwrap_or_default()) {
            continue;
        }
        begin = end;
        if !line.is_empty() && width(&line) + width(word.trim_end()) > room {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(word);
        if kind == BreakOpportunity::Mandatory {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
    }
    lines.push(line.trim_end().to_owned());
    while lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: &str = "京都の会議の録音、第二回、午後の部.wav";

    #[test]
    fn a_path_loses_folders_first_and_then_the_middle_of_its_name() {
        let path = |path: &str, columns| Page::columns(columns).path(Path::new(path), 10);
        assert_eq!(path("/srv/a.wav", 40), "/srv/a.wav");
        assert_eq!(
            path("/srv/recordings/Interviews/a.wav", 34),
            "…/Interviews/a.wav"
        );
        assert_eq!(
            path("/srv/the night shift of the lighthouse.wav", 34),
            "the night s…ghthouse.wav"
        );
        assert_eq!(
            path("a name without any folder.wav", 27),
            "a name w…lder.wav"
        );
    }

    #[test]
    fn every_path_fits_whatever_its_characters() {
        for columns in 16..90 {
            for name in [
                WIDE,
                "plain-enough-but-rather-long-name.flac",
                "e\u{301}e\u{301}e\u{301}e\u{301}.mp3",
            ] {
                let path = Path::new("/srv/会議/sub folder").join(name);
                let text = Page::columns(columns).path(&path, 0);
                assert!(text.width() <= columns, "{columns}: {text}");
            }
        }
    }

    #[test]
    fn sentences_are_broken_between_words_and_below_their_beginning() {
        let room = Page::columns(30);
        assert_eq!(
            room.text("failed    ", "the service answered 415: what is this?"),
            "failed    the service answered\n          415: what is this?"
        );
        let wide = room.text("failed    ", WIDE);
        assert!(wide.lines().all(|line| line.width() <= 30), "{wide}");
        assert_eq!(Page::endless().text("a ", "b c"), "a b c");
    }

    #[test]
    fn talk_is_broken_line_by_line_and_code_is_left_alone() {
        let code = "  8 | a line of code that is longer than thirty columns are\n    | ^^^^";
        let said =
            format!("one two three four five six seven\n{code}\n  and then some more of the same");
        assert_eq!(
            Page::columns(30).talk(&said),
            format!(
                "one two three four five six\nseven\n{code}\n  and then some more of the\n  same"
            )
        );
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let page = Page::endless();
        assert_eq!(page.painted("3 done", "done", Tone::Good), "3 done");
        let page = page.coloured(true);
        assert_eq!(
            page.painted("3 done", "done", Tone::Good),
            "3 \x1b[32mdone\x1b[0m"
        );
        assert_eq!(page.painted("3 done", "done", Tone::Plain), "3 done");
    }

    #[test]
    fn where_only_ascii_is_shown_nothing_else_is_added() {
        let page = Page::columns(34).in_ascii(true);
        let path = Path::new("/srv/recordings/Interviews/a.wav");
        assert_eq!(page.path(path, 10), ".../Interviews/a.wav");
        let path = Path::new("/srv/the night shift of the lighthouse.wav");
        let text = page.path(path, 10);
        assert_eq!(text, "the night ...hthouse.wav");
        assert!(text.width() <= 24);
    }

    #[test]
    fn a_colour_takes_no_room() {
        let page = Page::columns(16).coloured(true);
        let painted = page.painted("done  of 3 files", "done", Tone::Good);
        assert_eq!(page.talk(&painted), painted);
    }

    #[test]
    fn a_number_keeps_its_unit() {
        let room = Page::columns(20);
        assert_eq!(
            room.text("", "it is as long as 193.6 KiB"),
            "it is as long as\n193.6 KiB"
        );
        assert_eq!(
            room.text("", "transcribed, as job 1"),
            "transcribed, as\njob 1"
        );
    }

    #[test]
    fn a_command_stays_on_its_line() {
        let command = "stenod retry --reason format_refused";
        let below = Page::columns(60).command("  fix: ", command, "or convert the recording first");
        assert_eq!(
            below,
            format!("  fix: {command}\n       # or convert the recording first")
        );
        let beside = Page::endless().command("  fix: ", command, "or not");
        assert_eq!(beside, format!("  fix: {command}   # or not"));
    }
}
