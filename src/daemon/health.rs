//! Whether everything moves: the table answers, the loop turns, the scanner looks.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use crate::pipeline::Pipeline;
use crate::queue::PauseReason;

/// What was found at a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// Everything moves.
    Well,
    /// A folder does not answer.
    Waits(PathBuf),
    /// One of those who work does not.
    Ill(&'static str),
}

/// Asks everybody for a sign, and waits for it at most `patience`.
pub(super) async fn look_at(pipeline: &Pipeline, patience: Duration) -> Health {
    let (mut turns, mut scans) = (pipeline.pulse.loop_turns(), pipeline.pulse.scanner_turns());
    turns.mark_unchanged();
    scans.mark_unchanged();
    pipeline.bell.notify_one();
    pipeline.pulse.ask_scanner();
    let (table, turned, scanned) = tokio::join!(
        timeout(patience, pipeline.queue.pauses()),
        timeout(patience, turns.changed()),
        timeout(patience, scans.changed()),
    );
    // A full disk is waited for, and `status` says so.
    let is_full = pipeline
        .pauses
        .all()
        .iter()
        .any(|pause| pause.reason == PauseReason::Disk);
    judge(
        table.is_ok(),
        turned.is_ok() || is_full,
        scanned.is_ok() || is_full,
        pipeline.pulse.looking_at(),
        pipeline.pulse.silent(),
    )
}

fn judge(
    table: bool,
    turned: bool,
    scanned: bool,
    looking_at: Option<PathBuf>,
    silent: Option<PathBuf>,
) -> Health {
    match (table, turned, scanned, looking_at) {
        (false, _, _, _) => Health::Ill("the job table"),
        (true, false, _, _) => Health::Ill("the loop over the jobs"),
        (true, true, true, _) => silent.map_or(Health::Well, Health::Waits),
        (true, true, false, Some(folder)) => Health::Waits(folder),
        (true, true, false, None) => Health::Ill("the scanner"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_hangs_is_reported_and_anything_else_that_hangs_is_a_fault() {
        let folder = || Some(PathBuf::from("/mnt/nas"));
        let waits = Health::Waits("/mnt/nas".into());
        assert_eq!(judge(true, true, true, folder(), None), Health::Well);
        assert_eq!(judge(true, true, false, folder(), None), waits);
        // All others go on.
        assert_eq!(judge(true, true, true, None, folder()), waits);
        let ill = judge(true, true, false, None, folder());
        assert_eq!(ill, Health::Ill("the scanner"));
        for (table, turned) in [(true, false), (false, true)] {
            let ill = judge(table, turned, true, None, folder());
            assert!(matches!(ill, Health::Ill(_)));
        }
    }
}
