//! Turns a document into the bytes of each output format: one pure function a format.
//!
//! The same document gives the same bytes, always: nothing here reads a clock, a locale or a file.
//! A format for which the document has nothing is told apart by [`lack`], never faked.

mod diarization;
mod json;
mod lrc;
mod md;
mod podcast;
mod rttm;
mod srt;
mod tsv;
mod txt;
mod vtt;

use std::fmt;
use std::path::PathBuf;

pub use json::{Unread, read};
use rust_decimal::Decimal;

use super::captions::{CaptionLanguage, Captions};
use super::format::Format;
use super::glossary::Applied;
use super::language;
use super::plain;
use super::transcript::{Span, Timing, Transcript};

/// A finished recording with all that its outputs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What was said.
    pub transcript: Transcript,
    /// What it was made from.
    pub source: SourceInfo,
    /// What made it.
    pub job: JobInfo,
    /// What it cost, when the service said so.
    pub cost: Option<Cost>,
    /// The words that a glossary has put right.
    pub glossary: Vec<Applied>,
    /// How its captions are cut.
    pub captions: Captions,
    /// Whether the names of its caption files carry the language.
    pub caption_language: CaptionLanguage,
    /// Whether the recording has moving pictures; where nobody has looked, its name tells.
    pub is_film: Option<bool>,
    /// The service's reply as it came; nothing where only the transcript was kept.
    pub raw: Option<Vec<u8>>,
}

/// The recording that a transcript was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// The file's name without its folder.
    pub file_name: String,
    /// The way to it from the folder of the outputs: its name alone where they lie beside it.
    pub path: PathBuf,
    /// The length in bytes.
    pub size: u64,
    /// The BLAKE3 hash of the content, in hexadecimal.
    pub blake3: String,
}

/// The job that a transcript came out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// The row of the queue.
    pub id: i64,
    /// The service.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The service's number for an asynchronous run.
    pub run_id: Option<String>,
    /// What was asked for.
    pub settings: JobSettings,
}

/// The settings of a job that change its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    /// The language that was asked for, or `auto`.
    pub language: String,
    /// Whether speakers were to be told apart.
    pub diarize: bool,
    /// Whether sounds were to be named.
    pub tag_audio_events: bool,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The exact amount.
    pub amount: Decimal,
    /// The currency's code, such as `USD`.
    pub currency: String,
}

/// Why a document has nothing for a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The transcript does not tell speakers apart.
    Speakers,
    /// The transcript has no times, nor a length over which they could be estimated.
    Times,
    /// The transcript was taken up from its file, and the service's reply is gone.
    Reply,
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Speakers => {
                "the transcript does not tell speakers apart: use a model that does, with diarize"
            }
            Self::Times => "the transcript has no times: use a model that gives some",
            Self::Reply => "the transcript was taken up from its file: the reply itself is gone",
        })
    }
}

/// The file of a format, or nothing when the document has nothing for it (see [`lack`]).
#[must_use]
pub fn render(format: Format, document: &Document) -> Option<Vec<u8>> {
    if lack(format, document).is_some() {
        return None;
    }
    let transcript = &document.transcript;
    match format {
        Format::Txt => Some(txt::render(transcript).into_bytes()),
        Format::Json => json::render(document),
        Format::Srt => srt::render(document).map(String::into_bytes),
        Format::Vtt => vtt::render(document).map(String::into_bytes),
        Format::Md => Some(md::render(document).into_bytes()),
        Format::Tsv => tsv::render(transcript).map(String::into_bytes),
        Format::Diarization => diarization::render(document),
        Format::Rttm => Some(rttm::render(document).into_bytes()),
        Format::Podcast => podcast::render(transcript),
        Format::Lrc => lrc::render(document).map(String::into_bytes),
        Format::Raw => document.raw.clone(),
    }
}

/// What a document lacks for a format, if it lacks anything.
///
/// Silence lacks nothing: its files are as empty as their formats allow.
#[must_use]
pub fn lack(format: Format, document: &Document) -> Option<Lack> {
    let transcript = &document.transcript;
    let silent = transcript.is_empty();
    let speechless = transcript.speakers.is_empty() && !(silent && document.job.settings.diarize);
    match format {
        Format::Txt | Format::Json | Format::Md => None,
        Format::Raw => document.raw.is_none().then_some(Lack::Reply),
        Format::Diarization => speechless.then_some(Lack::Speakers),
        Format::Rttm if speechless => Some(Lack::Speakers),
        Format::Rttm => {
            let timeless = transcript.timing == Timing::None && transcript.presences.is_empty();
            (!silent && timeless).then_some(Lack::Times)
        }
        Format::Srt | Format::Vtt | Format::Tsv | Format::Podcast | Format::Lrc => {
            let timeless = transcript.timing == Timing::None && transcript.duration.is_none();
            (!silent && timeless).then_some(Lack::Times)
        }
    }
}

/// Endings of the names of films, small, for recordings of which nothing else is known.
const FILMS: [&str; 14] = [
    "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm",
    "wmv",
];

/// What follows the stem and a dot in the name of a document's file: the format's own suffix, for
/// captions perhaps with the language before it.
#[must_use]
pub fn suffix(format: Format, document: &Document) -> String {
    let plain = format.suffix();
    match caption_code(format, document) {
        Some(code) => format!("{code}.{plain}"),
        None => plain.to_owned(),
    }
}

/// The language in the name of a caption file, if one is wanted there and does not stand there already.
fn caption_code(format: Format, document: &Document) -> Option<String> {
    // The players of films choose captions by the language in the name.
    let is_film = || document.is_film.unwrap_or_else(|| is_named_film(document));
    let is_wanted = match document.caption_language {
        CaptionLanguage::Never => false,
        CaptionLanguage::Always => true,
        CaptionLanguage::Auto => is_film(),
    };
    if !is_wanted || !matches!(format, Format::Srt | Format::Vtt) {
        return None;
    }
    let heard = document
        .transcript
        .language
        .as_deref()
        .and_then(language::short_code);
    let code = heard.or_else(|| language::short_code(&document.job.settings.language))?;
    (!stem(document).ends_with(&format!(".{code}"))).then_some(code)
}

fn is_named_film(document: &Document) -> bool {
    let extension = document.source.file_name.rsplit_once('.');
    extension.is_some_and(|(_, end)| FILMS.contains(&end.to_lowercase().as_str()))
}

/// Whether a format's times are estimates by the length of the text, because the service gave none.
#[must_use]
pub fn is_estimated(format: Format, transcript: &Transcript) -> bool {
    let timed = matches!(
        format,
        Format::Srt | Format::Vtt | Format::Tsv | Format::Podcast | Format::Lrc
    );
    timed && !transcript.is_empty() && matches!(transcript.timing, Timing::None | Timing::Pieces)
}

/// The file's name without its last extension.
fn stem(document: &Document) -> &str {
    let name = document.source.file_name.as_str();
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        Some(_) | None => name,
    }
}

/// The same as a person may see it on any terminal.
fn title(document: &Document) -> String {
    let is_odd = |c: char| c.is_control() && !c.is_whitespace();
    stem(document).replace(is_odd, "\u{fffd}")
}

/// Seconds of a recording in whole milliseconds.
fn milliseconds(seconds: f64) -> u64 {
    Span::new(0.0, seconds).end_milliseconds()
}

/// Hours, minutes, seconds and milliseconds.
const fn clock(milliseconds: u64) -> (u64, u64, u64, u64) {
    let seconds = milliseconds / 1000;
    (
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000,
    )
}

/// Serialises as readable JSON that ends with a newline.
fn pretty(value: &impl serde::Serialize) -> Option<Vec<u8>> {
    let text = plain::json(serde_json::to_string_pretty(value).ok()?);
    Some((text + "\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::captions::{Naming, Profile, cues};
    use crate::domain::transcript::tests::any_heard;
    use crate::domain::transcript::{Heard, HeardWord};

    fn document(transcript: Transcript) -> Document {
        let settings = JobSettings {
            language: "auto".to_owned(),
            diarize: false,
            tag_audio_events: false,
        };
        Document {
            transcript,
            source: SourceInfo {
                file_name: "a.mp3".to_owned(),
                path: PathBuf::from("a.mp3"),
                size: 1,
                blake3: "0".repeat(64),
            },
            job: JobInfo {
                id: 1,
                provider: "local".to_owned(),
                model: "tiny".to_owned(),
                run_id: None,
                settings,
            },
            cost: None,
            glossary: Vec::new(),
            captions: Captions::Standard,
            caption_language: CaptionLanguage::Auto,
            is_film: None,
            raw: Some(Vec::new()),
        }
    }

    #[test]
    fn captions_carry_the_language_where_players_need_it() {
        let mut document = document(Transcript::from_heard(Heard::default(), None));
        let mut named = |file_name: &str, language: Option<&str>, rule: CaptionLanguage| {
            document.source.file_name = file_name.to_owned();
            document.transcript.language = language.map(str::to_owned);
            document.caption_language = rule;
            [Format::Srt, Format::Vtt, Format::Txt].map(|format| suffix(format, &document))
        };
        let auto = CaptionLanguage::Auto;
        assert_eq!(
            named("a.MP4", Some("English"), auto),
            ["en.srt", "en.vtt", "txt"]
        );
        assert_eq!(named("a.mp3", Some("en"), auto), ["srt", "vtt", "txt"]);
        assert_eq!(named("a.mkv", None, auto), ["srt", "vtt", "txt"]);
        assert_eq!(named("a.en.mkv", Some("eng"), auto)[0], "srt");
        assert_eq!(
            named("a.mp3", Some("deu"), CaptionLanguage::Always)[0],
            "de.srt"
        );
        assert_eq!(named("a.mp4", Some("en"), CaptionLanguage::Never)[0], "srt");
    }

    #[test]
    fn a_film_is_known_by_its_pictures_and_by_its_name_where_nobody_looked() {
        let mut document = document(Transcript::from_heard(Heard::default(), None));
        document.transcript.language = Some("en".to_owned());
        for (file_name, is_film, expected) in [
            ("a.webm", Some(false), "srt"),
            ("a.webm", Some(true), "en.srt"),
            ("a.webm", None, "en.srt"),
            ("a.m4a", Some(true), "en.srt"),
            ("a.m4a", None, "srt"),
        ] {
            document.source.file_name = file_name.to_owned();
            document.is_film = is_film;
            let name = suffix(Format::Srt, &document);
            assert_eq!(name, expected, "{file_name} {is_film:?}");
        }
    }

    #[test]
    fn speakers_who_talk_at_once_are_told_apart_in_every_format() {
        let said = [
            ("I", 0.0, "a"),
            ("was", 0.4, "a"),
            ("no", 0.5, "b"),
            ("saying", 0.8, "a"),
            ("wait", 0.9, "b"),
            ("things.", 1.2, "a"),
        ];
        let words = said.map(|(text, start, speaker)| HeardWord {
            text: text.to_owned(),
            start: Some(start),
            end: Some(start + 0.4),
            speaker: Some(speaker.to_owned()),
            ..HeardWord::default()
        });
        let heard = Heard {
            words: words.to_vec(),
            ..Heard::default()
        };
        let document = document(Transcript::from_heard(heard, Some(9.0)));
        let text = |format| String::from_utf8(render(format, &document).unwrap()).unwrap();
        assert_eq!(text(Format::Txt), "a: I was saying things.\n\nb: no wait\n");
        let srt = text(Format::Srt);
        assert!(srt.ends_with("\n- a: I was saying things.\n- b: no wait\n"));
        let vtt = text(Format::Vtt);
        assert!(vtt.ends_with("\n<v a>- I was saying things.</v>\n<v b>- no wait</v>\n"));
        let lrc = text(Format::Lrc);
        assert!(lrc.ends_with("[00:00.00]a: I was saying things.\n[00:00.00]b: no wait\n"));
        let podcast = text(Format::Podcast);
        assert!(
            podcast.contains("\"body\": \"no wait\"") && podcast.contains("\"speaker\": \"b\"")
        );
    }

    fn packed(text: &str) -> String {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_stem_is_the_name_without_its_last_extension() {
        let mut document = document(Transcript::from_heard(Heard::default(), None));
        for (name, expected) in [("a.b.mp3", "a.b"), (".hidden", ".hidden"), ("talk", "talk")] {
            document.source.file_name = name.to_owned();
            assert_eq!(stem(&document), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_transcript_is_rendered_whole(heard in any_heard(), measured in 0.0..90.0_f64) {
            let document = document(Transcript::from_heard(heard, Some(measured)));
            let transcript = &document.transcript;
            for format in Format::ALL {
                let file = render(format, &document);
                prop_assert_eq!(file.is_none(), lack(format, &document).is_some());
                if let Some(file) = file.filter(|_| format != Format::Raw) {
                    prop_assert!(file.is_empty() || file.ends_with(b"\n"), "{}", format);
                }
            }
            let shown = cues(transcript, &Profile::STANDARD, Naming::Apart).unwrap();
            let parts: Vec<_> = shown.iter().flat_map(|cue| &cue.parts).collect();
            for speaker in transcript.segments.iter().map(|segment| segment.speaker) {
                let own = transcript.segments.iter().filter(|segment| segment.speaker == speaker);
                let said: String = own.map(|segment| packed(&segment.text)).collect();
                let own = parts.iter().filter(|part| part.speaker == speaker);
                let shown: String = own.map(|part| packed(&part.text)).collect();
                prop_assert_eq!(shown, said);
            }
        }

        #[test]
        fn a_transcript_that_is_read_back_gives_the_same_files(
            heard in any_heard(), measured in prop::option::of(0.0..90.0_f64), named in any::<bool>(),
        ) {
            let mut document = document(Transcript::from_heard(heard, measured));
            if let Some(speaker) = document.transcript.speakers.first_mut().filter(|_| named) {
                speaker.name = Some("Ada".to_owned());
            }
            let again = read(&render(Format::Json, &document).unwrap()).unwrap();
            for format in Format::ALL.into_iter().filter(|format| *format != Format::Raw) {
                let text = |document| {
                    render(format, document).map(|file| String::from_utf8(file).unwrap())
                };
                prop_assert_eq!(text(&again), text(&document), "{}", format);
            }
        }

        #[test]
        fn a_caption_file_has_as_many_lines_of_times_as_cues(heard in any_heard()) {
            let document = document(Transcript::from_heard(heard, Some(60.0)));
            let count = cues(&document.transcript, &Profile::STANDARD, Naming::Apart).unwrap().len();
            let file = String::from_utf8(render(Format::Vtt, &document).unwrap()).unwrap();
            prop_assert_eq!(file.matches("-->").count(), count);
        }
    }
}
