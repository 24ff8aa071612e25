//! A `stenod.toml` inside a folder: `[transcribe]` for what is below it, checked like the main file.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::environment::Environment;
use super::keys::TRANSCRIBE;
use super::layers;
use super::mistake::{ConfigErrors, Mistake, Place};
use super::reader::{Inputs, Notes, Reader};
use super::sections;
use super::settings::Transcribe;

/// `base` with the keys over it that the file at `path` sets, but for those in `fixed`, which the command
/// line has set. A relative `output_dir` starts at the folder of the file.
///
/// # Errors
/// Every mistake in the file.
pub(super) fn lay_over(
    base: &Transcribe,
    path: &Path,
    text: &str,
    home: Option<PathBuf>,
    fixed: &[&str],
) -> Result<Transcribe, ConfigErrors> {
    let mut notes = Notes::default();
    let document = Document::parse_in_folder(path, text, &mut notes.mistakes);
    let environment = Environment::new(home, path.parent().unwrap_or(Path::new("/")));
    let laid = document.and_then(|document| {
        let inputs = Inputs {
            document: Some(&document),
            environment: &environment,
        };
        let stack = layers::stack(Some(&document), &environment, &[], &mut notes.mistakes);
        let mut table = Reader::new(&stack, TRANSCRIBE, inputs, &mut notes);
        let read = sections::transcribe(&mut table, sections::Around::default())?;
        let is_set = |key: &str| table.is_written(key) && !fixed.contains(&key);
        Some(merged(base, read, is_set))
    });
    match laid {
        Some(laid) if notes.mistakes.is_empty() => Ok(laid),
        Some(_) | None => Err(ConfigErrors::new(super::in_order(notes.mistakes))),
    }
}

fn merged(base: &Transcribe, read: Transcribe, is_set: impl Fn(&str) -> bool) -> Transcribe {
    let mut laid = base.clone();
    if is_set("model") {
        laid.model = read.model;
    }
    if is_set("language") {
        laid.language = read.language;
    }
    if is_set("diarize") {
        laid.diarize = read.diarize;
    }
    if is_set("tag_audio_events") {
        laid.tag_audio_events = read.tag_audio_events;
    }
    if is_set("formats") {
        laid.formats = read.formats;
    }
    if is_set("captions") {
        laid.captions = read.captions;
    }
    if is_set("caption_language") {
        laid.caption_language = read.caption_language;
    }
    if is_set("output_dir") {
        laid.output_dir = read.output_dir;
    }
    laid
}

impl ConfigErrors {
    /// The first mistake in one line, with its place, and how many there are beside it.
    pub fn brief(&self) -> String {
        let mistakes = self.mistakes();
        let first = mistakes.first().map(in_one_line).unwrap_or_default();
        match mistakes.len() {
            0 | 1 => first,
            many => format!("{first} (and {} more)", many - 1),
        }
    }
}

fn in_one_line(mistake: &Mistake) -> String {
    let place = match &mistake.place {
        Place::Line(line) => {
            let (file, number, column) = (line.file.display(), line.number, line.column);
            format!("{file}:{number}:{column}: ")
        }
        Place::File(file) => format!("{}: ", file.display()),
        Place::Variable(name) => format!("{name}: "),
        Place::Flag(flag) => format!("{flag}: "),
        Place::Nowhere => String::new(),
    };
    let key = mistake.key.as_ref();
    let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
    let nearest = mistake.nearest.as_ref();
    let nearest = nearest.map(|name| format!(", did you mean `{name}`?"));
    let mend = mistake.mend.as_ref().map(|mend| format!("; {mend}"));
    let (nearest, mend) = (nearest.unwrap_or_default(), mend.unwrap_or_default());
    format!("{place}{key}{}{nearest}{mend}", mistake.what)
}
