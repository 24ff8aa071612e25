//! What is said about outputs that are written again.

use serde::{Deserialize, Serialize};

use super::protocol::Named;
use crate::domain::format::Format;
use crate::domain::job::{JobId, Publication};

/// Which outputs are to be written again, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderOrder {
    /// The jobs, those together of which the same is to be published by now.
    pub groups: Vec<RenderGroup>,
    /// These formats alone, instead of all that are published.
    pub only: Option<Vec<Format>>,
    /// A tree that they are written into, absolute, instead of where they were.
    pub output_dir: Option<Named>,
}

/// Done jobs, and what the configuration has published of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderGroup {
    /// What is published.
    pub wanted: Publication,
    /// The jobs.
    pub jobs: Vec<JobId>,
}

/// What became of outputs that were to be written again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// How many recordings were gone through.
    pub recordings: usize,
    /// The files that were written.
    pub written: Vec<WrittenFile>,
    /// How many files were as they should be.
    pub unchanged: usize,
    /// Recordings or files that were left, and why.
    pub left: Vec<LeftFile>,
    /// Files that could not be written, and why.
    pub failed: Vec<LeftFile>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Which.
    pub path: Named,
    /// In which format.
    pub format: Format,
    /// Why it has not the plain name, if it has not.
    pub note: Option<String>,
}

/// A recording or a file that was not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftFile {
    /// Which.
    pub path: Named,
    /// The format, where it is one file.
    pub format: Option<Format>,
    /// The code of the reason.
    pub code: String,
    /// The reason as a sentence.
    pub why: String,
}

impl Rendered {
    /// Adds what became of more.
    pub fn add(&mut self, other: Self) {
        self.recordings += other.recordings;
        self.written.extend(other.written);
        self.unchanged += other.unchanged;
        self.left.extend(other.left);
        self.failed.extend(other.failed);
    }
}
