//! The extensions that make a file a candidate.
//!
//! A candidate is only worth a look into its content; nothing is decided by its name.

use std::ffi::OsStr;

/// Lower case, sorted: audio and video containers that may hold speech.
const CANDIDATES: &[&str] = &[
    "3g2", "3ga", "3gp", "aac", "aif", "aifc", "aiff", "alac", "amr", "asf", "avi", "awb", "bwf",
    "caf", "f4a", "f4v", "flac", "m4a", "m4b", "m4p", "m4r", "m4v", "mka", "mkv", "mov", "mp1",
    "mp2", "mp3", "mp4", "mpga", "oga", "ogg", "ogm", "ogv", "ogx", "opus", "qt", "rf64", "spx",
    "w64", "wav", "wave", "weba", "webm", "wma", "wmv",
];

/// True when a file with this extension (without the dot, any case) may be a recording.
#[must_use]
pub fn is_candidate_extension(extension: &OsStr) -> bool {
    let Some(extension) = extension.to_str() else {
        return false;
    };
    let extension = extension.to_ascii_lowercase();
    CANDIDATES.binary_search(&extension.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_lower_case() {
        assert!(CANDIDATES.is_sorted());
        assert!(
            CANDIDATES
                .iter()
                .all(|name| *name == name.to_ascii_lowercase())
        );
    }

    #[test]
    fn audio_and_video_are_candidates_and_texts_are_not() {
        for name in ["mp3", "MP3", "m4b", "opus", "webm", "Mov", "3gp", "wav"] {
            assert!(is_candidate_extension(OsStr::new(name)), "{name}");
        }
        for name in ["txt", "json", "srt", "", "part", "mp3x", "diarization"] {
            assert!(!is_candidate_extension(OsStr::new(name)), "{name}");
        }
    }
}
