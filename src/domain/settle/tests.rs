//! Scenes and random sample sequences for the settle book.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::*;

const SETTLE: Duration = Duration::from_secs(10);

fn at(seconds: f64) -> Timestamp {
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    start
        .checked_add(jiff::SignedDuration::from_secs_f64(seconds))
        .unwrap()
}

fn ns(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap()
}

/// A file of `size` bytes that was written last at `written`.
fn sized(size: u64, written: Timestamp) -> Fingerprint {
    let touched = ns(written);
    Fingerprint {
        device: 1,
        inode: 7,
        size,
        modified_ns: touched,
        changed_ns: touched,
    }
}

fn wait(reason: Unsettled, until: Timestamp) -> Settling {
    Settling::Wait { reason, until }
}

struct Scene {
    book: SettleBook,
    path: PathBuf,
}

impl Scene {
    fn new() -> Self {
        Self {
            book: SettleBook::default(),
            path: PathBuf::from("/in/a.mp3"),
        }
    }

    fn see(&mut self, size: u64, written: f64, now: f64) -> Settling {
        self.book
            .observe(&self.path, SETTLE, sized(size, at(written)), at(now))
    }

    /// Looks whenever it is time, and at `end`; gives the first look that found the file complete, or the
    /// last.
    fn watch(&mut self, size: u64, written: f64, begin: f64, end: f64) -> (Settling, Timestamp) {
        let (sample, mut now) = (sized(size, at(written)), at(begin));
        loop {
            let seen = self.book.observe(&self.path, SETTLE, sample, now);
            match &seen {
                Settling::Wait { until, .. } if now < at(end) => now = at(end).min(*until),
                Settling::Wait { .. } | Settling::Complete => return (seen, now),
            }
        }
    }
}

#[test]
fn an_old_file_is_complete_at_first_sight() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(10, -3600.0, 0.0), Settling::Complete);
    assert!(scene.book.is_empty());
}

#[test]
fn a_young_file_waits_for_its_settle_time_and_is_then_forgotten() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.see(10, -1.0, 0.0),
        wait(Unsettled::TooYoung, at(10.0))
    );
    assert_eq!(
        scene.see(10, -1.0, 9.0),
        wait(Unsettled::TooYoung, at(10.0))
    );
    assert_eq!(scene.see(10, -1.0, 10.0), Settling::Complete);
    assert!(scene.book.is_empty());
    assert_eq!(scene.book.next_look(|_| true), None);
}

#[test]
fn an_old_content_in_a_lately_touched_inode_waits() {
    // Some copiers give the final size and an old time first and the bytes later.
    let mut scene = Scene::new();
    let mut sample = sized(10, at(-3600.0));
    sample.changed_ns = ns(at(-1.0));
    let seen = scene.book.observe(&scene.path, SETTLE, sample, at(0.0));
    assert_eq!(seen, wait(Unsettled::TooYoung, at(10.0)));
    sample.changed_ns = ns(at(8.0));
    let seen = scene.book.observe(&scene.path, SETTLE, sample, at(10.0));
    assert!(matches!(
        seen,
        Settling::Wait {
            reason: Unsettled::Growing,
            ..
        }
    ));
}

#[test]
fn a_file_from_the_future_waits_its_time_from_first_sight() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(10, 1e6, 0.0), wait(Unsettled::TooYoung, at(10.0)));
    assert_eq!(scene.see(10, 1e6, 10.0), Settling::Complete);
}

#[test]
fn a_steadily_growing_file_completes_one_settle_time_after_its_end() {
    let mut scene = Scene::new();
    for second in 0..60 {
        let now = f64::from(second);
        let seen = scene.see(u64::try_from(second).unwrap() + 1, now, now);
        assert!(matches!(seen, Settling::Wait { .. }), "{second}: {seen:?}");
    }
    assert_eq!(
        scene.see(60, 59.0, 60.0),
        wait(Unsettled::Growing, at(62.5))
    );
    let complete = (Settling::Complete, at(69.0));
    assert_eq!(scene.watch(60, 59.0, 62.5, 100.0), complete);
}

#[test]
fn what_nobody_planned_to_wait_says_nothing_of_whoever_writes() {
    let mut scene = Scene::new();
    scene.see(10, 0.0, 0.0);
    scene.see(11, 2.0, 2.0);
    // The machine sleeps, and with it the writer; or a clock is set forward.
    let seen = scene.see(11, 2.0, 3600.0);
    assert_eq!(seen, wait(Unsettled::Growing, at(3602.5)));
    scene.see(12, 3602.0, 3602.0);
    let complete = (Settling::Complete, at(3612.0));
    assert_eq!(scene.watch(12, 3602.0, 3604.5, 3700.0), complete);
}

#[test]
fn pauses_of_half_the_settle_time_double_it() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 0.0);
    // 10 seconds would have been enough before the pause was seen.
    let complete = (Settling::Complete, at(26.0));
    assert_eq!(scene.watch(2, 6.0, 6.0, 100.0), complete);
}

#[test]
fn a_file_that_changes_after_it_was_complete_waits_twice_as_long_from_then_on() {
    let mut scene = Scene::new();
    let mut taken = 0;
    // A recorder that writes every 25 s, where 10 s count as its end.
    for burst in 0..12_u32 {
        let begin = f64::from(burst) * 25.0;
        let size = 1000 * (u64::from(burst) + 1);
        let (seen, _) = scene.watch(size, begin, begin, begin + 24.9);
        taken += usize::from(seen == Settling::Complete);
    }
    assert_eq!(taken, 2);
    let (seen, _) = scene.watch(12_000, 275.0, 299.9, 600.0);
    assert_eq!(seen, Settling::Complete);
    // Only its content counts, and another file of that name is another one.
    let mut other = sized(12_000, at(275.0));
    other.changed_ns += 1_000_000_000_000;
    let settle = SETTLE;
    let waits =
        |scene: &mut Scene, sample| scene.book.observe(&scene.path, settle, sample, at(1300.0));
    assert_eq!(
        waits(&mut scene, other),
        wait(Unsettled::TooYoung, at(1310.0))
    );
}

#[test]
fn the_wait_never_passes_its_cap() {
    let mut scene = Scene::new();
    let mut now = 0.0;
    let mut pause = 9.0;
    for size in 1..50 {
        let (seen, _) = scene.watch(size, now, now, now + pause);
        assert!(matches!(seen, Settling::Wait { .. }), "{size}");
        now += pause;
        pause = (pause * 2.0).min(290.0);
    }
    let complete = (Settling::Complete, at(now + 300.0));
    assert_eq!(scene.watch(50, now, now, now + 1000.0), complete);
}

#[test]
fn an_empty_file_waits_for_ever() {
    let mut scene = Scene::new();
    assert_eq!(scene.see(0, -3600.0, 0.0), wait(Unsettled::Empty, at(60.0)));
    assert_eq!(
        scene.see(0, -3600.0, 1e6),
        wait(Unsettled::Empty, at(1e6 + 60.0))
    );
}

#[test]
fn a_replaced_inode_is_a_change() {
    let mut scene = Scene::new();
    scene.see(10, -1.0, 0.0);
    let other = Fingerprint {
        inode: 8,
        ..sized(10, at(-1.0))
    };
    let seen = scene.book.observe(&scene.path, SETTLE, other, at(10.0));
    assert!(matches!(
        seen,
        Settling::Wait {
            reason: Unsettled::Growing,
            ..
        }
    ));
}

#[test]
fn a_clock_set_back_starts_the_wait_anew() {
    let mut scene = Scene::new();
    scene.see(10, -1.0, 0.0);
    assert_eq!(
        scene.see(10, -1.0, -5000.0),
        wait(Unsettled::TooYoung, at(-4990.0))
    );
    assert_eq!(scene.see(10, -1.0, -4990.0), Settling::Complete);
}

#[test]
fn a_container_cut_short_waits_until_it_changes() {
    let mut scene = Scene::new();
    let sample = sized(10, at(-3600.0));
    let reason = Unsettled::CutShort {
        what: "cut short: no moov".to_owned(),
    };
    let path = scene.path.clone();
    let told = scene
        .book
        .cut_short(&path, SETTLE, sample, "cut short: no moov", at(0.0));
    assert_eq!(told, wait(reason.clone(), at(60.0)));
    assert_eq!(
        scene.see(10, -3600.0, 900.0),
        wait(reason.clone(), at(960.0))
    );
    assert_eq!(reason.to_string(), "cut short: no moov");
    let seen = scene.see(11, 950.0, 960.0);
    assert!(matches!(
        seen,
        Settling::Wait {
            reason: Unsettled::Growing,
            ..
        }
    ));
    let (seen, _) = scene.watch(11, 950.0, 962.5, 990.0);
    assert_eq!(seen, Settling::Complete);
}

#[test]
fn another_settle_time_holds_from_the_next_look_on() {
    let mut scene = Scene::new();
    scene.see(10, -1.0, 0.0);
    let (path, sample) = (scene.path.clone(), sized(10, at(-1.0)));
    let hour = Duration::from_secs(3600);
    let seen = scene.book.observe(&path, hour, sample, at(9.0));
    assert_eq!(seen, wait(Unsettled::TooYoung, at(3600.0)));
    assert_eq!(scene.see(10, -1.0, 12.0), Settling::Complete);
}

#[test]
fn a_temporary_name_waits_with_its_pattern_and_takes_no_room() {
    let mut book = SettleBook::default();
    let path = Path::new("/in/~$a.mp3");
    let seen = book.observe(path, SETTLE, sized(10, at(-3600.0)), at(0.0));
    assert_eq!(
        seen,
        wait(Unsettled::TemporaryName { pattern: "~$*" }, at(60.0))
    );
    assert!(book.is_empty());
}

#[test]
fn due_files_come_in_the_order_of_their_times() {
    let mut book = SettleBook::default();
    for (name, now) in [("c", 3.0), ("a", 1.0), ("b", 2.0)] {
        book.observe(Path::new(name), SETTLE, sized(1, at(now)), at(now));
    }
    assert_eq!(book.next_look(|_| true), Some(at(11.0)));
    assert_eq!(
        book.due(at(12.0), 9, |_| true),
        [PathBuf::from("a"), PathBuf::from("b")]
    );
    assert_eq!(book.due(at(99.0), 1, |_| true), [PathBuf::from("a")]);
    book.forget(Path::new("a"));
    assert_eq!(book.next_look(|_| true), Some(at(12.0)));
    assert_eq!(
        book.standing(Path::new("b")),
        Some((Unsettled::TooYoung, at(12.0)))
    );
    assert_eq!(book.waiting().count(), 2);
}

#[test]
fn a_full_book_asks_for_a_scan_once_there_is_room() {
    let mut book = SettleBook::with_capacity(2);
    for name in ["a", "b", "c"] {
        let seen = book.observe(Path::new(name), SETTLE, sized(1, at(0.0)), at(0.0));
        assert_eq!(seen, wait(Unsettled::TooYoung, at(10.0)));
    }
    assert_eq!(book.len(), 2);
    assert!(!book.rescan_wanted());
    book.forget(Path::new("a"));
    assert!(book.rescan_wanted());
    assert!(!book.rescan_wanted());
}

#[test]
fn a_one_shot_run_waits_two_seconds_at_most() {
    assert_eq!(one_shot(SETTLE), Duration::from_secs(2));
    assert_eq!(
        one_shot(Duration::from_millis(50)),
        Duration::from_millis(50)
    );
}

#[test]
fn names_of_unfinished_files_are_known() {
    for (name, pattern) in [
        ("a.mp3.part", "*.part"),
        ("a.MP3.CRDOWNLOAD", "*.crdownload"),
        ("a.tmp", "*.tmp"),
        ("a.partial", "*.partial"),
        ("a.download", "*.download"),
        (".syncthing.a.mp3.tmp", ".syncthing.*"),
        ("~syncthing~a.mp3.tmp", "~syncthing~*"),
        ("._a.mp3", "._*"),
        ("~$a.mp3", "~$*"),
        (".a.mp3", ".*"),
    ] {
        assert_eq!(temporary_name(OsStr::new(name)), Some(pattern), "{name}");
    }
    for name in ["a.mp3", "part", "a.part.mp3", "download.mp3", "~a.mp3", ""] {
        assert_eq!(temporary_name(OsStr::new(name)), None, "{name}");
    }
    assert_eq!(
        temporary_name(OsStr::from_bytes(b"\xff\xfe.part")),
        Some("*.part")
    );
}

#[test]
fn folders_of_other_programs_are_pruned() {
    for name in [
        "@eaDir",
        ".stversions",
        ".stfolder",
        ".Trash-1000",
        "__MACOSX",
        ".Spotlight-V100",
    ] {
        assert!(pruned_folder(OsStr::new(name)), "{name}");
    }
    for name in ["eaDir", "Trash", "recordings", ""] {
        assert!(!pruned_folder(OsStr::new(name)), "{name}");
    }
    assert!(hidden(OsStr::new(".git")) && !hidden(OsStr::new("a.b")));
}

/// A random life of a file: pauses in milliseconds, and whether the file changed in each.
fn life() -> impl Strategy<Value = Vec<(u32, Option<u8>)>> {
    prop::collection::vec((1_u32..40_000, prop::option::of(any::<u8>())), 1..60)
}

proptest! {
    #[test]
    fn a_file_is_never_complete_at_a_sample_that_differs_or_is_empty(life in life()) {
        let mut book = SettleBook::default();
        let path = Path::new("a.mp3");
        let mut now = at(0.0);
        let mut last = sized(1, now);
        let mut unchanged_since = now;
        let mut known = matches!(book.observe(path, SETTLE, last, now), Settling::Wait { .. });
        for (pause, change) in life {
            now = now.checked_add(Duration::from_millis(pause.into())).unwrap();
            if let Some(size) = change {
                let next = sized(size.into(), now);
                if next != last {
                    unchanged_since = now;
                }
                last = next;
            }
            let seen = book.observe(path, SETTLE, last, now);
            if seen == Settling::Complete {
                prop_assert!(last.size > 0);
                let quiet = elapsed(unchanged_since, now);
                prop_assert!(quiet >= SETTLE || (!known && quiet >= OLD_ENOUGH), "{quiet:?}");
                prop_assert!(book.is_empty());
            } else {
                prop_assert_eq!(book.len(), 1);
            }
            known = seen != Settling::Complete;
        }
    }

    #[test]
    fn a_file_left_alone_is_complete_after_the_longest_wait_when_looked_at_as_asked(life in life()) {
        let mut book = SettleBook::default();
        let path = Path::new("a.mp3");
        let mut now = at(0.0);
        let mut last = sized(1, now);
        book.observe(path, SETTLE, last, now);
        for (pause, change) in life {
            now = now.checked_add(Duration::from_millis(pause.into())).unwrap();
            if let Some(size) = change {
                last = sized(u64::from(size) + 1, now);
            }
            book.observe(path, SETTLE, last, now);
        }
        let end = now;
        while let Settling::Wait { until, .. } = book.observe(path, SETTLE, last, now) {
            prop_assert!(until > now);
            now = until;
            prop_assert!(elapsed(end, now) <= LONGEST_WAIT);
        }
    }

    #[test]
    fn a_file_that_is_cut_short_waits_for_that_until_it_changes_and_no_longer(life in life()) {
        let mut book = SettleBook::default();
        let path = Path::new("a.mp4");
        let mut now = at(0.0);
        let mut last = sized(1, at(-3600.0));
        book.cut_short(path, SETTLE, last, "cut short: no moov", now);
        let mut has_changed = false;
        for (pause, change) in life {
            now = now.checked_add(Duration::from_millis(pause.into())).unwrap();
            if let Some(size) = change {
                last = sized(u64::from(size), now);
                has_changed = true;
            }
            let seen = book.observe(path, SETTLE, last, now);
            let is_cut_short = matches!(&seen, Settling::Wait { reason: Unsettled::CutShort { .. }, until }
                if *until > now);
            prop_assert_eq!(is_cut_short, !has_changed, "{:?}", seen);
            prop_assert_eq!(book.len(), usize::from(seen != Settling::Complete));
        }
    }

    #[test]
    fn two_samples_complete_a_file_only_when_a_settle_time_lies_between(
        size in 0_u64..3, grown in 0_u64..3, between in 0_u32..30_000, age in 0_u32..100_000,
    ) {
        let mut scene = Scene::new();
        let written = -f64::from(age) / 1000.0;
        let later = f64::from(between) / 1000.0;
        prop_assert_ne!(scene.see(size, written, 0.0), Settling::Complete);
        let seen = scene.see(size + grown, written, later);
        let complete = size > 0 && grown == 0 && between >= 10_000;
        prop_assert_eq!(seen == Settling::Complete, complete);
    }
}

#[test]
fn zeros_at_the_end_wait_until_they_change_or_nobody_wrote_for_long() {
    let mut scene = Scene::new();
    let patience = ZEROS_PATIENCE.as_secs_f64();
    let file = sized(10, at(0.0));
    let settled = scene.book.preallocated(&scene.path, SETTLE, file, at(20.0));
    let waits = |now: f64| wait(Unsettled::Preallocated, later(at(now), LOOK_AGAIN));
    assert_eq!(settled, waits(20.0));
    assert_eq!(scene.see(10, 0.0, 300.0), waits(300.0));
    let standing = scene.book.standing(&scene.path);
    assert_eq!(standing, Some((Unsettled::Preallocated, at(patience))));
    assert_eq!(scene.see(10, 0.0, patience - 1.0), waits(patience - 1.0));
    assert_eq!(scene.see(10, 0.0, patience), Settling::Complete);

    drop(scene.book.preallocated(&scene.path, SETTLE, file, at(20.0)));
    let growing = scene.see(10, 30.0, 31.0);
    assert!(matches!(
        growing,
        Settling::Wait {
            reason: Unsettled::Growing,
            ..
        }
    ));
}

#[test]
fn quiet_that_was_told_and_that_the_stamps_bear_out_counts_as_settling() {
    let quiet = |seconds| Duration::from_secs_f64(seconds);
    let mut scene = Scene::new();
    let mut see = |size, written, told, now| {
        let sample = sized(size, at(written));
        let told = quiet(told);
        scene
            .book
            .observe_after_quiet(&scene.path, SETTLE, sample, told, at(now))
    };
    // Written at 0.25, looked at half a second later.
    assert_eq!(
        see(10, 0.251, 0.5, 0.751),
        wait(Unsettled::TooYoung, at(10.251))
    );
    // More was told than the stamps say, and the stamps say more than was told.
    assert_eq!(
        see(11, 2.001, 5.0, 2.501),
        wait(Unsettled::Growing, at(5.001))
    );
    assert_eq!(
        see(12, 2.001, 0.5, 4.001),
        wait(Unsettled::Growing, at(6.501))
    );
    assert_eq!(
        see(12, 2.001, 0.5, 6.501),
        wait(Unsettled::Growing, at(9.001))
    );
    // It was unchanged for longer than it was watched.
    assert_eq!(see(12, 2.001, 10.0, 12.001), Settling::Complete);
}

#[test]
fn a_pause_is_as_long_with_and_without_quiet_that_was_told() {
    let mut scene = Scene::new();
    let told = Duration::from_millis(500);
    for (size, written) in [(1, 0.001), (2, 4.901)] {
        let sample = sized(size, at(written));
        let now = at(written + 0.5);
        let path = &scene.path;
        drop(
            scene
                .book
                .observe_after_quiet(path, SETTLE, sample, told, now),
        );
    }
    // 4.9 s of quiet are less than half of the settle time: it is not doubled.
    let complete = (Settling::Complete, at(14.901));
    assert_eq!(scene.watch(2, 4.901, 7.401, 100.0), complete);
}

#[test]
fn stamps_in_coarse_steps_bear_nothing_out() {
    for written in [-2.0, -1.5, -1.99] {
        let mut scene = Scene::new();
        let (path, sample) = (&scene.path, sized(1, at(written)));
        let told = Duration::from_secs(1);
        let seen = scene
            .book
            .observe_after_quiet(path, SETTLE, sample, told, at(0.0));
        assert_eq!(seen, wait(Unsettled::TooYoung, at(10.0)), "{written}");
    }
}

proptest! {
    /// Either what was told of a file or its stamps may say that it was quiet when it was not.
    #[test]
    fn a_file_is_never_complete_before_its_settle_time_whichever_of_both_is_wrong(
        life in life(), wrong in prop::collection::vec((any::<bool>(), 0_u32..90_000), 60),
    ) {
        let mut book = SettleBook::default();
        let path = Path::new("a.mp3");
        let mut now = at(0.001);
        let mut changed = now;
        let mut size = 1;
        let mut stamp = now;
        for ((pause, change), (told_is_wrong, by)) in life.into_iter().zip(wrong) {
            let by = Duration::from_millis(by.into());
            now = now.checked_add(Duration::from_millis(pause.into())).unwrap();
            if change.is_some() {
                (size, changed) = (size + 1, now);
                stamp = if told_is_wrong { now } else { now.checked_sub(by).unwrap() };
            }
            let quiet = elapsed(changed, now);
            let told = if stamp == changed { quiet + by } else { quiet };
            let seen = book.observe_after_quiet(path, SETTLE, sized(size, stamp), told, now);
            let is_old = elapsed(stamp, now) >= OLD_ENOUGH;
            if seen == Settling::Complete && !is_old {
                prop_assert!(quiet >= SETTLE, "{quiet:?}");
            }
        }
    }
}
