//! What is told of a file that is passed over or waited for, as a code and a sentence.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::scan::NO_ANSWER;
use crate::discover::{Mode, Root, SkipReason, closed_above};
use crate::domain::job::Reason;
use crate::domain::mend::{Mend, mend};
use crate::domain::plain::{quoted, shown};
use crate::domain::settle::Unsettled;

/// The code of what was not part of the price to which somebody has agreed.
pub const NOT_AGREED: &str = "not_agreed";
/// The code of what nobody gave the right to read.
const PERMISSION_DENIED: &str = "permission_denied";

/// What a person should hear of something at `path` that a scan of `root` passed over; rules that they wrote are
/// obeyed without a word, but for a file that they named.
pub fn consider_skip(root: &Root, path: &Path, reason: &SkipReason) -> Option<Reason> {
    let code = match reason {
        SkipReason::Excluded { .. } | SkipReason::NotIncluded if path != root.path() => {
            return None;
        }
        SkipReason::Excluded { .. } => "excluded",
        SkipReason::NotIncluded => "not_included",
        SkipReason::TemporaryName { .. } => "temporary_name",
        SkipReason::Unreadable(error) | SkipReason::ClosedFolder(error) => io_code(error),
        SkipReason::Silent => NO_ANSWER,
        SkipReason::NotRegular { .. } => "not_a_file",
        SkipReason::BrokenLink => "broken_link",
        SkipReason::FolderLink => "folder_link",
        SkipReason::Loop => "loop",
    };
    Some(Reason::new(code, reason.to_string()))
}

/// The way out of a reason that a path is passed over for: what may not be looked at lacks a right to a folder
/// above it, perhaps.
pub fn mend_at(path: &Path, reason: &Reason) -> Option<Mend> {
    let at = match reason.code.as_str() {
        PERMISSION_DENIED => closed_above(path).unwrap_or(path),
        _ => path,
    };
    mend(&reason.code, None, &quoted(at))
}

/// Why nothing of what was to be looked at can be, by place; and the way out for the first of them.
pub fn nothing_readable(troubles: &HashMap<PathBuf, Reason>) -> (String, Option<String>) {
    let troubles: BTreeMap<&PathBuf, &Reason> = troubles.iter().collect();
    let each = troubles
        .iter()
        .map(|(path, reason)| format!("{}: {}", shown(path), reason.text));
    let each: Vec<String> = each.collect();
    let text = match each.as_slice() {
        [one] => one.clone(),
        all => format!("nothing of it can be read: {}", all.join("; ")),
    };
    let way = troubles
        .first_key_value()
        .and_then(|(path, reason)| mend_at(path, reason));
    (
        text,
        way.map(|way| format!("`{}`: {}", way.command, way.note)),
    )
}

/// What is said of a recording that was not part of the price to which somebody has agreed.
pub(super) fn not_agreed() -> Reason {
    let text =
        "it came, or changed, after the price was said: the same command says what it costs now";
    Reason::new(NOT_AGREED, text)
}

pub(in crate::pipeline) fn unsettled_reason(reason: &Unsettled) -> Reason {
    Reason::new(reason.code(), reason.to_string())
}

pub(in crate::pipeline) fn io_code(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::PermissionDenied {
        PERMISSION_DENIED
    } else if kind == io::ErrorKind::NotFound {
        "vanished"
    } else {
        "unreadable"
    }
}

pub(super) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Events => "events",
        Mode::Poll => "poll",
    }
}
