//! The built-in recogniser.
//!
//! Its weights are loaded with the first recording and let go when there is nothing to recognise. Its
//! reply is kept like that of any service: the document's own neutral form, as JSON.

use std::path::{Path, PathBuf};

use super::Replies;
use crate::domain::job::Ticket;
use crate::domain::money::Amount;
use crate::domain::transcript::Heard;
use crate::domain::verdict::Shape;

/// The name of the model whose weights are built in.
pub const BUILT_IN_MODEL: &str = "whisper-tiny.en";

/// The name of the model in `model_dir`, or of the built-in one.
pub fn model_name(model_dir: Option<&Path>) -> String {
    model_dir.and_then(Path::file_name).map_or_else(
        || BUILT_IN_MODEL.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Whether a recogniser was built into this program.
pub const fn is_built_in() -> bool {
    cfg!(feature = "local")
}

/// The reply of the built-in recogniser as it is kept.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn reply(heard: &Heard) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(heard)
}

/// Reads the replies of the built-in recogniser.
#[derive(Debug, Clone, Copy)]
pub struct LocalReplies;

impl Replies for LocalReplies {
    fn shape(&self, body: &[u8]) -> Shape {
        match serde_json::from_slice::<Heard>(body) {
            Ok(_) => Shape::Transcript,
            Err(error) => Shape::Unreadable(error.to_string()),
        }
    }

    fn ticket(&self, _body: &[u8]) -> Option<Ticket> {
        None
    }

    fn cost(&self, _body: &[u8]) -> Option<Amount> {
        None
    }

    fn heard(&self, body: &[u8]) -> Heard {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// Which recogniser, and how it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSettings {
    /// A Whisper checkpoint; the weights inside the program if there is none.
    pub model_dir: Option<PathBuf>,
    /// The most threads at once; as many as there are cores if nothing is said.
    pub threads: Option<std::num::NonZeroUsize>,
}

#[cfg(feature = "local")]
pub use recogniser::{Local, LocalError};

#[cfg(feature = "local")]
mod recogniser {
    use std::error::Error;
    use std::num::NonZeroUsize;
    use std::ops::ControlFlow;
    use std::sync::{Arc, Mutex, PoisonError};

    use stenod_recogniser::{LoadError, Options, Recogniser, Recognition, TranscribeError};

    use super::LocalSettings;
    use crate::domain::silence::Listening;
    use crate::domain::transcript::{Heard, HeardSegment};

    /// The draws of the temperature fallback are the same for every run.
    const SEED: u64 = 0;

    /// Why the built-in recogniser gave no transcript.
    #[derive(Debug, thiserror::Error)]
    pub enum LocalError {
        /// The model cannot be loaded.
        #[error("the model cannot be used")]
        Model(#[source] LoadError),
        /// The recording cannot be decoded.
        #[error("the recording cannot be decoded")]
        Undecodable(#[source] Box<dyn Error + Send + Sync>),
        /// The model does not know the language that was asked for.
        #[error("{0}")]
        Language(String),
        /// The program is being stopped.
        #[error("stenod is being stopped")]
        Stopped,
        /// The reply cannot be kept.
        #[error("the reply cannot be written as JSON")]
        Reply(#[source] serde_json::Error),
    }

    impl LocalError {
        /// A stable code in snake_case.
        pub fn code(&self) -> &'static str {
            match self {
                Self::Model(_) => "model_unusable",
                Self::Undecodable(_) => "undecodable",
                Self::Language(_) => "language_unknown",
                Self::Stopped => "stopped",
                Self::Reply(_) => "reply_unwritable",
            }
        }
    }

    /// The recogniser, loaded while it is used.
    #[derive(Debug)]
    pub struct Local {
        settings: LocalSettings,
        loaded: Mutex<Option<Arc<Recogniser>>>,
    }

    impl Local {
        /// Nothing is loaded yet.
        pub fn new(settings: LocalSettings) -> Self {
            Self {
                settings,
                loaded: Mutex::new(None),
            }
        }

        /// How it runs.
        pub fn settings(&self) -> &LocalSettings {
            &self.settings
        }

        /// Lets the weights go.
        pub fn unload(&self) {
            *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }

        /// Transcribes mono audio of 16 kHz that `samples` gives block by block; `keep_going` is told how
        /// many seconds are done and ends it by saying no.
        ///
        /// # Errors
        /// [`LocalError`], the sample source's own error in [`LocalError::Undecodable`].
        pub fn transcribe<E: Error + Send + Sync + 'static>(
            &self,
            samples: &mut dyn FnMut(&mut [f32]) -> Result<usize, E>,
            language: &str,
            keep_going: &dyn Fn(f64) -> bool,
        ) -> Result<Heard, LocalError> {
            let recogniser = self.load()?;
            let mut listening = Listening::default();
            let mut samples = |room: &mut [f32]| {
                let count = samples(room)?;
                listening.hear(room.get(..count).unwrap_or_default());
                Ok::<usize, E>(count)
            };
            let options = Options {
                language: (language != "auto").then(|| language.to_owned()),
                threads: self.threads(),
                seed: SEED,
            };
            let recognition = recogniser
                .transcribe(&mut samples, &options, &mut |progress| {
                    if keep_going(progress.seconds) {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })
                .map_err(|error| match error {
                    TranscribeError::Source(error) => LocalError::Undecodable(Box::new(error)),
                    TranscribeError::Stopped => LocalError::Stopped,
                    error @ TranscribeError::Language { .. } => {
                        LocalError::Language(error.to_string())
                    }
                })?;
            Ok(Heard {
                silences: listening.silences(),
                ..heard(recognition)
            })
        }

        fn load(&self) -> Result<Arc<Recogniser>, LocalError> {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(recogniser) = loaded.as_ref() {
                return Ok(recogniser.clone());
            }
            let recogniser = match &self.settings.model_dir {
                Some(folder) => Recogniser::open(folder),
                None => Recogniser::built_in(),
            };
            let recogniser = Arc::new(recogniser.map_err(LocalError::Model)?);
            *loaded = Some(recogniser.clone());
            Ok(recogniser)
        }

        fn threads(&self) -> NonZeroUsize {
            self.settings
                .threads
                .or_else(|| std::thread::available_parallelism().ok())
                .unwrap_or(NonZeroUsize::MIN)
        }
    }

    fn heard(recognition: Recognition) -> Heard {
        let texts: Vec<&str> = recognition
            .segments
            .iter()
            .map(|segment| segment.text.as_str())
            .collect();
        let text = texts.join(" ");
        let segments = recognition
            .segments
            .into_iter()
            .map(|segment| HeardSegment {
                start: Some(segment.start),
                end: Some(segment.end),
                text: segment.text,
                speaker: None,
            });
        Heard {
            text,
            language: Some(recognition.language).filter(|language| !language.is_empty()),
            duration: Some(recognition.seconds),
            segments: segments.collect(),
            ..Heard::default()
        }
    }
}
