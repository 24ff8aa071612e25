//! A document of so many words, two speakers taking turns, for what measures and counts.

use stenod::domain::captions::{CaptionLanguage, Captions};
use stenod::domain::render::{Document, JobInfo, JobSettings, SourceInfo};
use stenod::domain::transcript::{Heard, HeardWord, Transcript};

const SPEECH: &str = "It was the best of times, it was the worst of times, it was the age of wisdom, \
    it was the age of foolishness. There were a king with a large jaw and a queen with a plain face, \
    on the throne of England. In both countries it was clearer than crystal that things in general \
    were settled for ever.";
/// Words in a turn of one speaker.
const A_TURN: usize = 50;

pub(crate) fn transcript(words: usize) -> Transcript {
    let mut at = 0.0;
    let spoken = SPEECH.split_whitespace().cycle().take(words).enumerate();
    let spoken = spoken.map(|(number, text)| {
        let start = at;
        at += if number % A_TURN == A_TURN - 1 {
            1.2
        } else {
            0.38
        };
        HeardWord {
            text: text.to_owned(),
            start: Some(start),
            end: Some(start + 0.3),
            speaker: Some(format!("speaker_{}", number / A_TURN % 2)),
            ..HeardWord::default()
        }
    });
    let heard = Heard {
        words: spoken.collect(),
        ..Heard::default()
    };
    Transcript::from_heard(heard, Some(at))
}

pub(crate) fn document(words: usize) -> Document {
    Document {
        transcript: transcript(words),
        source: SourceInfo {
            file_name: "talk.mp3".into(),
            path: "talk.mp3".into(),
            size: 4_000_000,
            blake3: "0".repeat(64),
        },
        job: JobInfo {
            id: 7,
            provider: "nanogpt".into(),
            model: "Elevenlabs-STT".into(),
            run_id: None,
            settings: JobSettings {
                language: "auto".into(),
                diarize: true,
                tag_audio_events: false,
            },
        },
        cost: None,
        glossary: Vec::new(),
        captions: Captions::default(),
        caption_language: CaptionLanguage::default(),
        is_film: Some(false),
        raw: None,
    }
}
