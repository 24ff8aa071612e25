//! What outputs are called: the recording's stem, its whole name where the stem is taken, the next
//! free name where a file that is not ours is in the way.
//!
//! Names are bytes and stay as they are. No name is ever longer than a file system takes, leaves its
//! folder, or names the recording itself.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// How many hexadecimal digits a mark has.
const MARK_LENGTH: usize = 8;

/// The longest file name of the usual file systems, in bytes (`NAME_MAX` of POSIX on Linux).
pub const LONGEST_NAME: usize = 255;
/// Room kept for the longest suffix (`.999.diarization.json`) behind a base.
const ROOM_FOR_SUFFIX: usize = 24;
/// How many numbered names are tried beside files that are not ours.
pub const MOST_NUMBERED_NAMES: u32 = 999;

/// The name that outputs of `recording` begin with: its stem, or its whole name if the stem is taken.
pub fn base_name(recording: &Path, stem_is_taken: bool) -> OsString {
    let name = if stem_is_taken {
        recording.file_name()
    } else {
        recording.file_stem()
    };
    shortened(name.unwrap_or(OsStr::new("recording")))
}

/// A base name with a mark of the recording's own path, which no other recording has.
pub fn marked(base: &OsStr, recording: &Path) -> OsString {
    let mark = blake3::hash(recording.as_os_str().as_bytes()).to_hex();
    let mut name = base.as_bytes().to_vec();
    // The mark takes its room from the name, so that a suffix still fits.
    name.truncate(LONGEST_NAME - ROOM_FOR_SUFFIX - MARK_LENGTH - 1);
    name.push(b'~');
    name.extend_from_slice(mark.as_bytes().get(..MARK_LENGTH).unwrap_or_default());
    OsString::from_vec(name)
}

/// The path of the output with `suffix` for a `base` path: number 1 is the plain name, 2 the next.
pub fn output_path(base: &Path, number: u32, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    if number > 1 {
        name.push(format!(".{number}"));
    }
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether `path` is an output whose path begins with `base`.
pub fn is_output_of(base: &Path, path: &Path) -> bool {
    let rest = path
        .as_os_str()
        .as_bytes()
        .strip_prefix(base.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.starts_with(b".") && !rest.contains(&b'/'))
}

/// Where the outputs of `recording` begin: beside it, or at the same place in the tree `output_dir`.
///
/// `root` is the folder under which it was found; a recording outside it lands in `output_dir` itself.
pub fn base_path(
    recording: &Path,
    root: &Path,
    output_dir: Option<&Path>,
    base: &OsStr,
) -> PathBuf {
    let folder = recording.parent().unwrap_or(Path::new(""));
    match output_dir {
        None => folder.join(base),
        Some(output_dir) => {
            let inside = folder.strip_prefix(root).unwrap_or(Path::new(""));
            output_dir.join(inside).join(base)
        }
    }
}

/// The way from a folder to a path, both absolute; `..` leads out of a folder.
pub fn relative(folder: &Path, path: &Path) -> PathBuf {
    let common = folder
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    let out = folder
        .components()
        .skip(common)
        .map(|_| Component::ParentDir);
    out.chain(path.components().skip(common)).collect()
}

/// `name` cut so that a suffix still fits, with a mark made of the whole name so that two long names
/// stay apart.
fn shortened(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let room = LONGEST_NAME - ROOM_FOR_SUFFIX;
    if bytes.len() <= room {
        return name.to_owned();
    }
    let mark = blake3::hash(bytes).to_hex();
    let mark = mark.get(..MARK_LENGTH).unwrap_or_default();
    let mut end = room - mark.len() - 1;
    // A cut inside a UTF-8 character would make a valid name invalid.
    while end > 0
        && bytes
            .get(end)
            .is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000)
    {
        end -= 1;
    }
    let mut short = bytes.get(..end).unwrap_or_default().to_vec();
    short.push(b'~');
    short.extend_from_slice(mark.as_bytes());
    OsString::from_vec(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outputs_take_the_stem_of_the_recording() {
        let base = base_name(Path::new("/in/meeting.mp3"), false);
        let path = base_path(Path::new("/in/meeting.mp3"), Path::new("/in"), None, &base);
        assert_eq!(output_path(&path, 1, "txt"), Path::new("/in/meeting.txt"));
        assert_eq!(
            output_path(&path, 1, "diarization.json"),
            Path::new("/in/meeting.diarization.json")
        );
    }

    #[test]
    fn a_recording_is_found_from_every_folder() {
        let way = |folder: &str| relative(Path::new(folder), Path::new("/in/may/talk.ogg"));
        assert_eq!(way("/in/may"), Path::new("talk.ogg"));
        assert_eq!(way("/in"), Path::new("may/talk.ogg"));
        assert_eq!(way("/out/may"), Path::new("../../in/may/talk.ogg"));
        assert_eq!(way("/"), Path::new("in/may/talk.ogg"));
    }

    #[test]
    fn the_later_of_two_recordings_with_one_stem_keeps_its_whole_name() {
        let base = base_name(Path::new("/in/meeting.wav"), true);
        assert_eq!(
            output_path(Path::new(&base), 1, "txt"),
            Path::new("meeting.wav.txt")
        );
    }

    #[test]
    fn a_name_that_is_taken_gets_the_next_number() {
        assert_eq!(
            output_path(Path::new("a/b"), 2, "txt"),
            Path::new("a/b.2.txt")
        );
    }

    #[test]
    fn an_output_folder_mirrors_the_tree() {
        let recording = Path::new("/in/2026/may/talk.ogg");
        let path = base_path(
            recording,
            Path::new("/in"),
            Some(Path::new("/out")),
            OsStr::new("talk"),
        );
        assert_eq!(path, Path::new("/out/2026/may/talk"));
    }

    proptest! {
        #[test]
        fn a_base_always_leaves_room_for_its_suffix_and_long_names_stay_apart(
            name in proptest::collection::vec(1_u8..=255, 1..400),
        ) {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'/').collect();
            prop_assume!(!name.is_empty() && name != b"." && name != b"..");
            let mut other = name.clone();
            other.push(b'x');
            let base = base_name(Path::new(OsStr::from_bytes(&name)), true);
            prop_assert!(base.len() + ROOM_FOR_SUFFIX <= LONGEST_NAME);
            prop_assert!(!base.is_empty());
            prop_assert_ne!(base, base_name(Path::new(OsStr::from_bytes(&other)), true));
        }

        #[test]
        fn no_output_leaves_the_folder_of_its_recording(
            name in proptest::collection::vec(1_u8..=255, 1..300),
            number in 1..=MOST_NUMBERED_NAMES,
            stem_is_taken in any::<bool>(),
            apart in any::<bool>(),
        ) {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'/').collect();
            prop_assume!(!name.is_empty() && name != b"." && name != b"..");
            let recording = Path::new("/in/sub").join(OsStr::from_bytes(&name));
            let base = base_name(&recording, stem_is_taken);
            let (output_dir, folder) = match apart {
                true => (Some(Path::new("/out")), Path::new("/out/sub")),
                false => (None, Path::new("/in/sub")),
            };
            for base in [base.clone(), marked(&base, &recording)] {
                let base = base_path(&recording, Path::new("/in"), output_dir, &base);
                let output = output_path(&base, number, "diarization.json");
                prop_assert_eq!(output.parent(), Some(folder));
                prop_assert!(output.components().all(|part| part != Component::ParentDir));
            }
        }

        #[test]
        fn cutting_a_valid_name_leaves_a_valid_name(name in "\\PC{1,200}") {
            let name = name.replace('/', "_");
            prop_assume!(name != "." && name != "..");
            let base = base_name(Path::new(&name), true);
            prop_assert!(base.to_str().is_some());
        }
    }
}
