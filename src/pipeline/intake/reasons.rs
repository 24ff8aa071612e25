//! What is told of a file that is passed over or waited for, as a code and a sentence.

use std::io;

use super::scan::NO_ANSWER;
use crate::discover::{Mode, SkipReason};
use crate::domain::job::Reason;
use crate::domain::settle::Unsettled;

/// What a person should hear of something that the scan passed over; rules that they wrote are obeyed
/// without a word.
pub fn consider_skip(reason: &SkipReason) -> Option<Reason> {
    let code = match reason {
        SkipReason::Excluded { .. } | SkipReason::NotIncluded => return None,
        SkipReason::Unreadable(error) | SkipReason::ClosedFolder(error) => io_code(error),
        SkipReason::Silent => NO_ANSWER,
        SkipReason::NotRegular { .. } => "not_a_file",
        SkipReason::BrokenLink => "broken_link",
        SkipReason::FolderLink => "folder_link",
        SkipReason::Loop => "loop",
    };
    Some(Reason::new(code, reason.to_string()))
}

pub(in crate::pipeline) fn unsettled_reason(reason: &Unsettled) -> Reason {
    Reason::new(reason.code(), reason.to_string())
}

pub(in crate::pipeline) fn io_code(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::PermissionDenied {
        "permission_denied"
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
