//! The JSON transcript of Podcasting 2.0 (the `podcast:transcript` tag, "JSON"), in short cues as
//! players show them; several who speak at once have an entry each, with the same times.

use serde::Serialize;

use crate::domain::captions::{Cue, Naming, Part, Profile, cues};
use crate::domain::transcript::Transcript;

/// The version of the format.
const VERSION: &str = "1.0.0";

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    segments: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<&'a str>,
    start_time: f64,
    end_time: f64,
    body: String,
}

/// The file's bytes, or nothing when there is text without any time.
pub(super) fn render(transcript: &Transcript) -> Option<Vec<u8>> {
    let cues = cues(transcript, &Profile::PODCAST, Naming::Apart)?;
    let entry = |cue: &Cue, part: &Part| Entry {
        speaker: part.speaker.and_then(|id| transcript.speaker_name(id)),
        start_time: seconds(cue.start),
        end_time: seconds(cue.end),
        body: part.text.clone(),
    };
    let segments = cues
        .iter()
        .flat_map(|cue| cue.parts.iter().map(|part| entry(cue, part)))
        .collect();
    super::pretty(&File {
        version: VERSION,
        segments,
    })
}

/// Milliseconds as seconds; exact up to 49 days.
fn seconds(milliseconds: u64) -> f64 {
    f64::from(u32::try_from(milliseconds).unwrap_or(u32::MAX)) / 1000.0
}
