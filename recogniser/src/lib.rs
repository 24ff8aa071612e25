//! Whisper speech recognition on the CPU in plain Rust.
//!
//! A [`Recogniser`] holds the weights of a model, either those built into the program (feature
//! `weights`) or a checkpoint folder in the usual safetensors layout. It never changes after loading,
//! so several transcriptions may share it. Audio is pulled in blocks and goes through windows of 30 s.

mod audio;
mod config;
mod decode;
mod decoder;
mod encoder;
mod error;
mod kernels;
mod language;
mod matrix;
mod mel;
mod model_file;
mod parallel;
mod random;
mod repetition;
mod rules;
mod segments;
#[cfg(test)]
mod tests;
mod tokenizer;
mod weights;
mod windows;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use crate::config::Config;
use crate::language::code_of;
use crate::mel::Mel;
use crate::model_file::{Checkpoint, Packed, Packer};
use crate::tokenizer::Vocabulary;
use crate::weights::Weights;

pub use crate::error::{LoadError, TranscribeError};

/// Samples a second of the audio that is transcribed.
pub const SAMPLE_RATE: u32 = 16_000;

#[cfg(feature = "weights")]
static BUILT_IN: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../models/whisper-tiny.en-q8.bin"
));

/// A loaded model.
#[derive(Debug)]
pub struct Recogniser {
    name: String,
    config: Config,
    vocabulary: Vocabulary,
    weights: Weights,
    mel: Mel,
}

/// How to transcribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A code (`de`) or English name (`German`); nothing lets a multilingual model find out by ear.
    pub language: Option<String>,
    /// The most threads that are used at once.
    pub threads: NonZeroUsize,
    /// The seed for the draws of the temperature fallback; the same seed gives the same text.
    pub seed: u64,
}

/// What was understood of a whole audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The code of the language, empty if there was nothing to find it in.
    pub language: String,
    /// The segments in order; none for silence.
    pub segments: Vec<Segment>,
    /// The length of the audio in seconds.
    pub seconds: f64,
}

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Where it begins, in seconds.
    pub start: f64,
    /// Where it ends, in seconds.
    pub end: f64,
    /// What was said, without spaces around it.
    pub text: String,
    /// The mean log-probability of the tokens of its window.
    pub mean_log_probability: f32,
    /// The probability that its window holds no speech.
    pub no_speech_probability: f32,
    /// The number of text tokens.
    pub tokens: usize,
}

/// How far a transcription is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds of audio that are done with.
    pub seconds: f64,
}

impl Recogniser {
    /// The weights built into the program, Whisper tiny.en.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] if the program was built with a damaged file.
    #[cfg(feature = "weights")]
    pub fn built_in() -> Result<Self, LoadError> {
        Self::packed(BUILT_IN, "the built-in model")
    }

    /// A Whisper checkpoint in the usual safetensors layout: `config.json`, `tokenizer.json` and
    /// `model.safetensors` (f16, bf16 or f32), or an index with several weight files.
    ///
    /// # Errors
    /// [`LoadError::Read`] for files that are missing or unreadable, [`LoadError::Invalid`] for files
    /// that are not a Whisper model.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let mut checkpoint = Checkpoint::open(folder)?;
        let config = checkpoint.config.clone();
        let weights = Weights::load(&config, &mut checkpoint)?;
        let name = folder
            .file_name()
            .unwrap_or(folder.as_os_str())
            .to_string_lossy();
        Ok(Self::new(
            name.into_owned(),
            config,
            checkpoint.vocabulary,
            weights,
        ))
    }

    /// A packed model as [`pack`] makes it; `named` stands for it in errors.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] if it is not a whole packed model.
    pub fn packed(bytes: &'static [u8], named: &str) -> Result<Self, LoadError> {
        let mut packed = Packed::open(bytes, named)?;
        let (name, config) = (packed.name().to_owned(), packed.config().clone());
        let weights = Weights::load(&config, &mut packed)?;
        Ok(Self::new(name, config, packed.vocabulary, weights))
    }

    fn new(name: String, config: Config, vocabulary: Vocabulary, weights: Weights) -> Self {
        let mel = Mel::new(config.mel_bins);
        Self {
            name,
            config,
            vocabulary,
            weights,
            mel,
        }
    }

    /// The model's name: `whisper-tiny.en` for the built-in one, else the folder's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the model knows more languages than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.config.is_multilingual()
    }

    /// Transcribes mono audio of [`SAMPLE_RATE`] that `samples` gives block by block (0 is the end).
    ///
    /// `progress` is called between windows, layers and tokens; a break ends the transcription.
    ///
    /// # Errors
    /// [`TranscribeError::Source`] with the source's own error, [`TranscribeError::Stopped`] after a
    /// break, [`TranscribeError::Language`] for a language that the model does not know.
    pub fn transcribe<E>(
        &self,
        samples: &mut dyn FnMut(&mut [f32]) -> Result<usize, E>,
        options: &Options,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Recognition, TranscribeError<E>> {
        windows::Run::new(self, samples, options, progress)?.finish()
    }

    /// The code of the language that is asked for; nothing if it is to be found by ear.
    fn language<E>(
        &self,
        wanted: Option<&str>,
    ) -> Result<Option<&'static str>, TranscribeError<E>> {
        let Some(wanted) = wanted else {
            return Ok((!self.is_multilingual()).then_some("en"));
        };
        let knows = |code: &&str| match self.is_multilingual() {
            true => self.vocabulary.specials.language(code).is_some(),
            false => *code == "en",
        };
        match code_of(wanted).filter(knows) {
            Some(code) => Ok(Some(code)),
            None => Err(TranscribeError::Language {
                model: self.name.clone(),
                language: wanted.to_owned(),
                known: self.known_languages(),
            }),
        }
    }

    fn known_languages(&self) -> String {
        if !self.is_multilingual() {
            return "only English, \"en\"".to_owned();
        }
        let count = self.vocabulary.specials.languages.len();
        format!("{count} languages by code or English name, such as \"de\" or \"German\"")
    }
}

/// Packs a checkpoint into one file with its matrices in 8 bits, as it is built into the program.
///
/// The same checkpoint and name always give the same bytes.
///
/// # Errors
/// Those of [`Recogniser::open`].
pub fn pack(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    let mut packer = Packer::new(name, Checkpoint::open(folder)?);
    let config = packer.config().clone();
    Weights::load(&config, &mut packer)?;
    packer.finish(folder)
}
