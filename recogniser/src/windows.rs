//! Long audio: one window of 30 s after the other, each beginning where the last closed segment ended.

use std::ops::ControlFlow;

use crate::audio::{Audio, Samples, goes_on_as_loud, leading_silence};
use crate::decode::{Said, Speaker};
use crate::decoder::{Decoder, Memory};
use crate::encoder::encode;
use crate::error::{Stopped, TranscribeError};
use crate::language::code_of;
use crate::mel::{RATE, WINDOW};
use crate::random::Random;
use crate::rules::Rules;
use crate::segments::{self, Cut};
use crate::tokenizer::Token;
use crate::{Options, Progress, Recogniser, Recognition, Segment};

/// The shortest rest after the last window that is listened to, in samples: 0.2 s.
const REST_LEAST: usize = RATE / 5;

/// A transcription under way.
pub(crate) struct Run<'a, E> {
    recogniser: &'a Recogniser,
    threads: usize,
    seed: u64,
    /// The language that was asked for or found.
    language: Option<&'static str>,
    audio: Audio<'a, E>,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    rules: Rules,
    segments: Vec<Segment>,
    /// By the model there is no more speech here, but something is as loud.
    in_doubt: bool,
}

impl<'a, E> Run<'a, E> {
    pub(crate) fn new(
        recogniser: &'a Recogniser,
        samples: Samples<'a, E>,
        options: &Options,
        progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, TranscribeError<E>> {
        Ok(Self {
            recogniser,
            threads: options.threads.get(),
            seed: options.seed,
            language: recogniser.language(options.language.as_deref())?,
            audio: Audio::new(samples),
            progress,
            rules: Rules::new(&recogniser.config, &recogniser.vocabulary),
            segments: Vec::new(),
            in_doubt: false,
        })
    }

    /// Listens to everything.
    pub(crate) fn finish(mut self) -> Result<Recognition, TranscribeError<E>> {
        let mut at = 0;
        loop {
            self.report(at)?;
            self.audio.seek(at).map_err(TranscribeError::Source)?;
            let window = self.audio.window(at);
            let silence = leading_silence(window);
            if window.is_empty() || (at > 0 && window.len() < REST_LEAST) {
                break;
            }
            at += if silence > 0 {
                silence
            } else {
                self.listen(at)?
            };
        }
        Ok(Recognition {
            language: self.language.unwrap_or_default().to_owned(),
            segments: self.segments,
            seconds: seconds(self.audio.known()),
        })
    }

    /// Transcribes the window at sample `at` and tells how far to go on.
    fn listen(&mut self, at: usize) -> Result<usize, TranscribeError<E>> {
        let content = self.audio.window(at).len();
        let memory = self.hear(at)?;
        let language = self.find_language(&memory);
        let said = self.say(at, &memory, language)?;
        let is_doubted = std::mem::take(&mut self.in_doubt);
        if said.is_silence() || (is_doubted && !said.is_plausible()) {
            return Ok(content);
        }
        let specials = &self.recogniser.vocabulary.specials;
        let Cut {
            segments,
            advance,
            silent_from,
        } = segments::cut(&said.tokens, specials, content);
        for piece in segments {
            let text = self.recogniser.vocabulary.text(&piece.tokens);
            let text = text.trim();
            if !text.is_empty() {
                self.segments.push(Segment {
                    start: seconds(at + piece.start),
                    end: seconds(at + piece.end),
                    text: text.to_owned(),
                    mean_log_probability: said.mean_log_probability,
                    no_speech_probability: said.no_speech_probability,
                    tokens: piece.tokens.len(),
                });
            }
        }
        // After a short sentence the model may close the window although others follow.
        let unheard = silent_from.filter(|&from| goes_on_as_loud(self.audio.window(at), from));
        self.in_doubt = unheard.is_some();
        Ok(unheard.unwrap_or(advance))
    }

    /// Encodes the window at sample `at`.
    fn hear(&mut self, at: usize) -> Result<Memory, Stopped> {
        let model = self.recogniser;
        let mel = model.mel.spectrogram(self.audio.padded(at));
        let weights = &model.weights;
        let mut pulse = pulse(self.progress, at);
        let encoded = encode(
            &model.config,
            &weights.encoder,
            &mel.view(),
            self.threads,
            &mut pulse,
        )?;
        pulse()?;
        Ok(Memory::new(&weights.decoder, &encoded.view(), self.threads))
    }

    fn say(&mut self, at: usize, memory: &Memory, language: Token) -> Result<Said, Stopped> {
        let model = self.recogniser;
        let specials = &model.vocabulary.specials;
        let prompt = [specials.start, language, specials.transcribe];
        let prompt = if model.is_multilingual() {
            &prompt[..]
        } else {
            &prompt[..1]
        };
        let speaker = Speaker {
            rules: &self.rules,
            specials,
            prompt,
            vocabulary: model.config.vocabulary,
            most: model.config.context / 2,
        };
        // Chance depends on the place, so that a window's text does not hang on those before it.
        let mut random = Random::new(self.seed ^ (at as u64).rotate_left(32));
        let threads = self.threads;
        let decoder = || Decoder::new(&model.config, &model.weights.decoder, memory, threads);
        speaker.say(&decoder, &mut random, &mut pulse(self.progress, at))
    }

    /// The token of the language, found by ear when none was asked for.
    fn find_language(&mut self, memory: &Memory) -> Token {
        let model = self.recogniser;
        let specials = &model.vocabulary.specials;
        if self.language.is_none() {
            let mut decoder =
                Decoder::new(&model.config, &model.weights.decoder, memory, self.threads);
            let mut scores = vec![0.0; model.config.vocabulary];
            decoder.say(specials.start);
            decoder.scores(&mut scores);
            let score = |token: Token| scores.get(token as usize).copied().unwrap_or_default();
            let likeliest = specials
                .languages
                .iter()
                .max_by(|(_, one), (_, other)| score(*one).total_cmp(&score(*other)));
            self.language = likeliest.and_then(|(code, _)| code_of(code));
        }
        self.language
            .and_then(|code| specials.language(code))
            .unwrap_or(specials.start)
    }

    fn report(&mut self, at: usize) -> Result<(), Stopped> {
        pulse(self.progress, at)()
    }
}

fn pulse(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    at: usize,
) -> impl FnMut() -> Result<(), Stopped> {
    move || match progress(Progress {
        seconds: seconds(at),
    }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stopped),
    }
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / RATE as f64
}

const _: () = assert!(WINDOW == 30 * RATE);
