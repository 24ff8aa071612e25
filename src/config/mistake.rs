//! What is wrong with a configuration, all of it at once, in words for the person who wrote it.
//!
//! A mistake says where (file, line and column with the line itself, environment variable or
//! flag), what, what is allowed, and the nearest right name. Everything in it has been through
//! `redact`: no mistake holds a secret.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Everything wrong with the configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self { mistakes }
    }

    /// Each mistake, in order of the file, then variables, then flags.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl From<Mistake> for ConfigErrors {
    fn from(mistake: Mistake) -> Self {
        Self::new(vec![mistake])
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [only] => only.fmt(out),
            many => {
                write!(out, "{} mistakes in the configuration", many.len())?;
                many.iter()
                    .try_for_each(|mistake| write!(out, "\n\n{mistake}"))
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The key in full (`service.jobs`), if it is about one; of a folder without its number.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What would be right, in words.
    pub allowed: Option<String>,
    /// The right name that was probably meant.
    pub nearest: Option<String>,
    /// What to do about it.
    pub mend: Option<String>,
}

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    Line(Line),
    /// A file as a whole.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
    /// Something that is missing everywhere.
    Nowhere,
}

/// A line of a file with what of it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub number: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The line itself, secrets masked, clipped to a readable length.
    pub shown: String,
    /// Where the carets begin in `shown`, in characters from 0.
    pub caret: usize,
    /// How many carets, at least one.
    pub carets: usize,
}

/// What is wrong with one value, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) allowed: Option<String>,
    pub(super) nearest: Option<String>,
    pub(super) mend: Option<String>,
    /// The element of a list that is wrong, counted from 0.
    pub(super) element: Option<usize>,
}

/// Everything wrong with one value; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl Fault {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            allowed: None,
            nearest: None,
            mend: None,
            element: None,
        }
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub(super) fn nearest(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }

    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    pub(super) fn element(mut self, element: usize) -> Self {
        self.element = Some(element);
        self
    }

    /// The mistake that this fault is at `place`.
    pub(super) fn at(self, place: Place, key: Option<String>) -> Mistake {
        let Self {
            what,
            allowed,
            nearest,
            mend,
            element: _,
        } = self;
        Mistake {
            place,
            key,
            what,
            allowed,
            nearest,
            mend,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_head(out)?;
        if let Place::Line(line) = &self.place {
            line.write_excerpt(out)?;
        }
        if let Some(allowed) = &self.allowed {
            write!(out, "\n  allowed: {allowed}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(out, "\n  did you mean `{nearest}`?")?;
        }
        if let Some(mend) = &self.mend {
            write!(out, "\n  {mend}")?;
        }
        Ok(())
    }
}

impl Mistake {
    /// `where: key: what`; the key is left out where the place names it.
    fn write_head(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => {
                write!(
                    out,
                    "{}:{}:{}: ",
                    line.file.display(),
                    line.number,
                    line.column
                )?;
            }
            Place::File(file) => write!(out, "{}: ", file.display())?,
            Place::Variable(name) => write!(out, "environment variable {name}: ")?,
            Place::Flag(flag) => write!(out, "{flag}: ")?,
            Place::Nowhere => {}
        }
        let named = matches!(self.place, Place::Variable(_) | Place::Flag(_));
        match &self.key {
            Some(key) if !named => write!(out, "{key}: {}", self.what),
            Some(_) | None => write!(out, "{}", self.what),
        }
    }
}

impl Line {
    fn write_excerpt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        let margin = number.to_string().len();
        write!(out, "\n  {number} | {}", self.shown)?;
        let carets = "^".repeat(self.carets);
        write!(
            out,
            "\n  {:margin$} | {:indent$}{carets}",
            "",
            "",
            indent = self.caret
        )
    }
}

/// A file that cannot be read, named at `place`.
pub(super) fn unreadable(place: Place, file: &Path, error: &io::Error) -> ConfigErrors {
    let what = format!("cannot read {}: {}", file.display(), reason(error));
    Fault::new(what).at(place, None).into()
}

/// The reason of the operating system, in plain words where they are few.
pub(super) fn reason(error: &io::Error) -> String {
    let plain = [
        (io::ErrorKind::NotFound, "there is no such file"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "it is a folder"),
    ];
    let words = plain.iter().find(|(kind, _)| *kind == error.kind());
    words.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}
