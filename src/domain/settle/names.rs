//! Names that tell by themselves that a file is not a finished recording.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Endings that programs give to files they are still writing.
const TEMPORARY_ENDINGS: [(&[u8], &str); 10] = [
    (b".part", "*.part"),
    (b".crdownload", "*.crdownload"),
    (b".tmp", "*.tmp"),
    (b".partial", "*.partial"),
    (b".download", "*.download"),
    (b".filepart", "*.filepart"),
    (b".opdownload", "*.opdownload"),
    (b".ytdl", "*.ytdl"),
    (b".!qb", "*.!qB"),
    (b".!ut", "*.!ut"),
];

/// Beginnings of temporary names; the longest come first, so that the pattern shown is the closest.
const TEMPORARY_BEGINNINGS: [(&[u8], &str); 5] = [
    (b".syncthing.", ".syncthing.*"),
    (b"~syncthing~", "~syncthing~*"),
    (b"._", "._*"),
    (b"~$", "~$*"),
    (b".", ".*"),
];

/// Folders in which synchronisers, file servers and desktops keep what is no recording of the user's:
/// versions, thumbnails, deleted files.
const PRUNED_FOLDERS: [&[u8]; 13] = [
    b"@eaDir",
    b".stversions",
    b".stfolder",
    b"__MACOSX",
    b".Spotlight-V100",
    b"$RECYCLE.BIN",
    b"System Volume Information",
    b"lost+found",
    b"#recycle",
    b"#snapshot",
    b"@Recycle",
    b"@Recently-Snapshot",
    b"@tmp",
];

/// The beginning of the names of desktops' waste bins (`.Trash`, `.Trash-1000`, `.Trashes`).
const WASTE_BIN: &[u8] = b".Trash";

/// The pattern by which `name` is that of a file still being written, or hidden, if it is.
pub fn temporary_name(name: &OsStr) -> Option<&'static str> {
    let name = name.as_encoded_bytes();
    let beginning = TEMPORARY_BEGINNINGS
        .iter()
        .find(|(start, _)| begins(name, start));
    let ending = || TEMPORARY_ENDINGS.iter().find(|(end, _)| ends(name, end));
    beginning.or_else(ending).map(|(_, pattern)| *pattern)
}

/// What a file with a temporary name is called when it is complete; nothing for any other, and where nothing of the
/// name is left.
pub fn complete_name(name: &OsStr) -> Option<&OsStr> {
    let mut rest = name;
    while temporary_name(rest).is_some() {
        rest = without_mark(rest)?;
    }
    (rest != name && !rest.is_empty()).then_some(rest)
}

/// The name without its beginning or ending that marks it as temporary.
fn without_mark(name: &OsStr) -> Option<&OsStr> {
    let bytes = name.as_bytes();
    let start = TEMPORARY_BEGINNINGS
        .iter()
        .find(|(start, _)| begins(bytes, start));
    let rest = match start {
        Some((start, _)) => bytes.get(start.len()..),
        None => {
            let end = TEMPORARY_ENDINGS.iter().find(|(end, _)| ends(bytes, end));
            end.and_then(|(end, _)| bytes.get(..bytes.len() - end.len()))
        }
    };
    rest.map(OsStr::from_bytes)
}

/// Whether a folder of this name is left out with all that is in it.
pub fn pruned_folder(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    begins(name, WASTE_BIN)
        || PRUNED_FOLDERS
            .iter()
            .any(|pruned| name.eq_ignore_ascii_case(pruned))
}

/// Whether `name` is hidden by the custom of Unix: it begins with a dot.
pub fn hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn begins(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn ends(name: &[u8], end: &[u8]) -> bool {
    let tail = name
        .len()
        .checked_sub(end.len())
        .and_then(|from| name.get(from..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_without_its_marks_is_that_of_the_complete_file() {
        for (name, complete) in [
            (".a.wav", Some("a.wav")),
            ("a.wav.part", Some("a.wav")),
            (".syncthing.a.wav.tmp", Some("a.wav")),
            ("A.WAV.CRDOWNLOAD", Some("A.WAV")),
            ("a.wav", None),
            ("..", None),
        ] {
            let found = complete_name(OsStr::new(name));
            assert_eq!(found, complete.map(OsStr::new), "{name}");
        }
    }
}
