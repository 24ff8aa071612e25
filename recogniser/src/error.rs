//! What can go wrong when a model is loaded and when speech is transcribed.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the checkpoint is missing or cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file was read, but it is not what a Whisper checkpoint holds.
    #[error("{} is not part of a usable Whisper model: {fault}", path.display())]
    Invalid {
        /// The file with the fault.
        path: PathBuf,
        /// The fault, as the end of a sentence.
        fault: String,
    },
}

impl LoadError {
    pub(crate) fn invalid(path: &Path, fault: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            fault: fault.into(),
        }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

/// Why a transcription ended without a result; `E` is the error of the caller's sample source.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError<E> {
    /// The sample source failed.
    #[error("the audio could not be read")]
    Source(#[source] E),
    /// The progress callback asked to stop.
    #[error("the transcription was stopped")]
    Stopped,
    /// The model does not know the language that was asked for.
    #[error("{model} does not know the language \"{language}\" (it knows {known})")]
    Language {
        /// The model's name.
        model: String,
        /// The language as it was given.
        language: String,
        /// The languages that the model knows, in words.
        known: String,
    },
}

/// The progress callback asked to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped;

impl<E> From<Stopped> for TranscribeError<E> {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
