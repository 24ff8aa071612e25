//! `speakers.toml` and `glossary.toml`: what people note for all recordings in a folder and below it.
//!
//! Read whenever outputs are written, never written here. The nearest folder wins, up to the root of the
//! file system. A file with a mistake counts as a whole for nothing, is said once, and keeps no recording
//! from being transcribed.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use toml_edit::{ImDocument, Item, Value};

use crate::domain::cast;
use crate::domain::glossary::{Case, Glossary, MOST_ENTRIES};
use crate::domain::style::Style;

/// The file of names.
pub const SPEAKERS: &str = "speakers.toml";
/// The file of right words.
pub const GLOSSARY: &str = "glossary.toml";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;
/// The most files that are kept parsed; more are parsed again.
const MOST_KEPT: usize = 4096;

/// Why a file counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    file: PathBuf,
    /// Line and column, from 1.
    at: Option<(usize, usize)>,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(out, "{line}:{column}:")?;
        }
        write!(out, " {}", self.what)
    }
}

/// What is noted for a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// The names and right words, without those of files with mistakes.
    pub style: Style,
    /// The mistakes.
    pub mistakes: Vec<Arc<Mistake>>,
}

/// Reads the files, each once as long as it stays as it is.
#[derive(Debug, Default)]
pub struct Notes {
    kept: Mutex<HashMap<PathBuf, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    stamp: Stamp,
    parsed: Parsed,
}

/// What changes when a file does: device, inode, size, times of change in nanoseconds.
type Stamp = (u64, u64, u64, i128, i128);

#[derive(Debug, Clone)]
enum Parsed {
    Names(Arc<Vec<(String, String)>>),
    Words(Arc<Glossary>),
    Wrong(Arc<Mistake>),
}

impl Notes {
    /// What is noted for the recording at `source`; blocks for a look at two names a folder.
    pub fn of(&self, source: &Path) -> Noted {
        let mut noted = Noted::default();
        let folders = source.parent().into_iter().flat_map(Path::ancestors);
        for folder in folders {
            for name in [SPEAKERS, GLOSSARY] {
                match self.read(&folder.join(name)) {
                    None => {}
                    Some(Parsed::Names(names)) => {
                        noted.style.cast.lay_below(names.iter().cloned());
                    }
                    Some(Parsed::Words(words)) => noted.style.glossary.lay_below(&words),
                    Some(Parsed::Wrong(mistake)) => noted.mistakes.push(mistake),
                }
            }
        }
        noted
    }

    /// The files of names that hold for the recordings in `folder`, the nearest first, each with the labels
    /// in it; those with mistakes are left out.
    pub fn labels(&self, folder: &Path) -> Vec<(PathBuf, Vec<String>)> {
        let files = folder.ancestors().map(|folder| folder.join(SPEAKERS));
        let labels = |file: PathBuf| match self.read(&file)? {
            Parsed::Names(names) => {
                let labels = names.iter().map(|(label, _)| label.clone()).collect();
                Some((file, labels))
            }
            Parsed::Words(_) | Parsed::Wrong(_) => None,
        };
        files.filter_map(labels).collect()
    }

    fn read(&self, file: &Path) -> Option<Parsed> {
        let stamp = match file.metadata() {
            Ok(metadata) => stamp(&metadata),
            Err(error) if is_absent(&error) => return None,
            Err(error) => return Some(wrong(file, None, format!("it cannot be read: {error}"))),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(file).filter(|found| found.stamp == stamp) {
            return Some(found.parsed.clone());
        }
        let parsed = parse(file);
        if let Parsed::Wrong(mistake) = &parsed {
            tracing::warn!(
                "{mistake}; until that is mended new transcripts go without the file, and `render` refuses"
            );
        }
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        let found = Kept {
            stamp,
            parsed: parsed.clone(),
        };
        kept.insert(file.to_owned(), found);
        Some(parsed)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn stamp(metadata: &Metadata) -> Stamp {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        nanos(metadata.mtime(), metadata.mtime_nsec()),
        nanos(metadata.ctime(), metadata.ctime_nsec()),
    )
}

fn wrong(file: &Path, at: Option<(usize, usize)>, what: String) -> Parsed {
    Parsed::Wrong(Arc::new(Mistake {
        file: file.to_owned(),
        at,
        what,
    }))
}

fn parse(file: &Path) -> Parsed {
    let text = match text_of(file) {
        Ok(text) => text,
        Err(error) => return wrong(file, None, format!("it cannot be read: {error}")),
    };
    let is_names = file.file_name().is_some_and(|name| name == SPEAKERS);
    let parsed = if is_names {
        names(&text).map(|names| Parsed::Names(Arc::new(names)))
    } else {
        words(&text).map(|words| Parsed::Words(Arc::new(words)))
    };
    parsed.unwrap_or_else(|Fault { span, what }| {
        wrong(file, span.map(|span| place(&text, span.start)), what)
    })
}

/// The text of a regular file of reasonable size; a link to one is followed.
fn text_of(file: &Path) -> io::Result<String> {
    let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if !file.metadata()?.is_file() {
        return Err(refuse("it is no file"));
    }
    let mut text = String::new();
    File::open(file)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= LARGEST) {
        Ok(text)
    } else {
        Err(refuse("it has more than 4 MiB"))
    }
}

/// What is wrong with a file, and where in bytes.
struct Fault {
    span: Option<Range<usize>>,
    what: String,
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A key of a file with its value, and where that stands in bytes.
struct Line {
    key: String,
    item: Item,
    span: Option<Range<usize>>,
}

/// The lines of a file, in order.
fn entries(text: &str) -> Result<Vec<Line>, Fault> {
    let parsed = ImDocument::parse(text).map_err(|error| Fault {
        span: error.span(),
        what: format!(
            "not valid TOML: {}",
            error
                .message()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        ),
    })?;
    let table = parsed.as_table();
    if table.len() > MOST_ENTRIES {
        return Err(Fault {
            span: None,
            what: format!("it has more than {MOST_ENTRIES} entries"),
        });
    }
    let entry = |(name, item): (&str, &Item)| {
        let span = item.span().or_else(|| table.key(name)?.span());
        Line {
            key: name.to_owned(),
            item: item.clone(),
            span,
        }
    };
    Ok(table.iter().map(entry).collect())
}

/// `"Speaker 1" = "Ada"`, a line for each label.
fn names(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut seen: HashMap<String, String> = HashMap::new();
    let name = |Line {
                    key: label,
                    item,
                    span,
                }: Line| {
        if let Some(first) = seen.insert(cast::plain(&label), label.clone()) {
            let what = format!("`{first}` and `{label}` are one label: leave one of them");
            return Err(Fault { span, what });
        }
        let Some(written) = item.as_str() else {
            let what = format!(
                "`{label}` is given no name: write \"{label}\" = \"Name\", a label with a dot in quotes"
            );
            return Err(Fault { span, what });
        };
        let name = cast::name(written).map_err(|error| Fault {
            span,
            what: error.to_string(),
        })?;
        Ok((label, name))
    };
    entries(text)?.into_iter().map(name).collect()
}

/// `wrong = "right"`, or `wrong = { to = "right", case = "exact" }`.
fn words(text: &str) -> Result<Glossary, Fault> {
    let mut glossary = Glossary::default();
    for Line {
        key: wrong,
        item,
        span,
    } in entries(text)?
    {
        let at = |what: String| Fault {
            span: span.clone(),
            what,
        };
        let (right, case) = right(&wrong, &item).map_err(at)?;
        glossary
            .add(&wrong, &right, case)
            .map_err(|error| at(format!("`{wrong}`: {error}")))?;
    }
    Ok(glossary)
}

fn right(wrong: &str, item: &Item) -> Result<(String, Case), String> {
    if let Some(right) = item.as_str() {
        return Ok((right.to_owned(), Case::Smart));
    }
    let shape = || {
        format!(
            "`{wrong}` is given no word: write \"{wrong}\" = \"right\", or {{ to = \"right\", case = \"exact\" }}"
        )
    };
    let table = item.as_inline_table().ok_or_else(shape)?;
    if let Some((key, _)) = table.iter().find(|(key, _)| !["to", "case"].contains(key)) {
        return Err(format!(
            "`{key}` is no key of an entry: there are `to` and `case`"
        ));
    }
    let right = table.get("to").and_then(Value::as_str).ok_or_else(shape)?;
    let case = match table.get("case").map(Value::as_str) {
        None | Some(Some("smart")) => Case::Smart,
        Some(Some("exact")) => Case::Exact,
        Some(Some("any")) => Case::Any,
        Some(_) => return Err("`case` is \"smart\", \"exact\" or \"any\"".to_owned()),
    };
    Ok((right.to_owned(), case))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{self, Existing};

    fn put(path: &Path, text: &str) {
        durable::write(path, text.as_bytes(), Existing::Replace).unwrap();
    }

    fn shown(noted: &Noted) -> (Vec<String>, Vec<String>) {
        let names = noted
            .style
            .cast
            .layers()
            .iter()
            .flat_map(|layer| layer.values().cloned());
        let words = noted.style.glossary.entries().iter();
        let words = words.map(|(wrong, entry)| format!("{wrong}={}", entry.right));
        (names.collect(), words.collect())
    }

    #[test]
    fn the_files_of_a_folder_and_of_those_above_it_count_the_nearest_first() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/b");
        durable::create_folders(&folder).unwrap();
        put(&top.path().join(SPEAKERS), "\"Speaker 1\" = \"Far\"\n");
        put(&folder.join(SPEAKERS), "\"Speaker 1\" = \"Near\"\n");
        put(
            &top.path().join(GLOSSARY),
            "a = \"far\"\nb = { to = \"far\", case = \"exact\" }\n",
        );
        put(&top.path().join("a").join(GLOSSARY), "a = \"near\"\n");
        let noted = Notes::default().of(&folder.join("talk.mp3"));
        assert!(noted.mistakes.is_empty());
        let (names, words) = shown(&noted);
        assert_eq!(names, ["Near", "Far"]);
        assert_eq!(words, ["a=near", "b=far"]);
        assert_eq!(Notes::default().of(Path::new("talk.mp3")), Noted::default());
    }

    #[test]
    fn a_file_that_changes_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::default();
        let source = folder.path().join("talk.mp3");
        for name in ["Ada", "Eve", "Bob"] {
            put(&folder.path().join(SPEAKERS), &format!("A = \"{name}\"\n"));
            assert_eq!(shown(&notes.of(&source)).0, [name]);
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_the_file_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("talk.mp3");
        for (file, text, place, what) in [
            (
                SPEAKERS,
                "A = \"Ada\"\nB = 3\n",
                "2:5:",
                "`B` is given no name",
            ),
            (SPEAKERS, "A = \"Ada\nB\"", "1:", "not valid TOML"),
            (SPEAKERS, "A.b = \"Ada\"", "1:", "in quotes"),
            (
                SPEAKERS,
                "\"Speaker 1\" = \"Ada\"\n\"speaker 1\" = \"Bob\"",
                "2:15:",
                "are one label",
            ),
            (SPEAKERS, "A = \"A\\nB\"", "1:5:", "one line"),
            (
                GLOSSARY,
                "a = \"b\"\n\nc = []\n",
                "3:5:",
                "`c` is given no word",
            ),
            (
                GLOSSARY,
                "\"-\" = \"b\"",
                "1:7:",
                "begins and ends with a letter",
            ),
            (
                GLOSSARY,
                "a = { to = \"b\", case = \"x\" }",
                "1:5:",
                "`case` is",
            ),
            (GLOSSARY, "a = { too = \"b\" }", "1:5:", "`too` is no key"),
            (GLOSSARY, "a = \"\"", "1:5:", "nothing to write"),
        ] {
            let path = folder.path().join(file);
            put(&path, text);
            let noted = Notes::default().of(&source);
            let mistake = noted.mistakes[0].to_string();
            let begin = format!("{}:{place}", path.display());
            assert!(
                mistake.starts_with(&begin) && mistake.contains(what),
                "{mistake}"
            );
            assert_eq!(noted.style, Style::default());
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_is_no_file_of_text_is_a_mistake_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(SPEAKERS)).unwrap();
        durable::write(&folder.path().join(GLOSSARY), b"\xff\xfe", Existing::Keep).unwrap();
        let noted = Notes::default().of(&folder.path().join("talk.mp3"));
        assert_eq!(noted.mistakes.len(), 2);
    }

    #[test]
    fn a_file_beyond_its_bound_is_a_mistake_however_large_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let names = folder.path().join(SPEAKERS);
        // Without its content on the disk: 1 TiB of zeros.
        durable::write(&names, b"\"Speaker 1\" = \"Ada\"\n", Existing::Keep).unwrap();
        let file = File::options().write(true).open(&names).unwrap();
        file.set_len(1 << 40).unwrap();
        let noted = Notes::default().of(&folder.path().join("talk.mp3"));
        assert_eq!(noted.mistakes.len(), 1);
    }
}
