//! What is wrong with what was found, by values alone.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::super::output::{quoted, shown};
use super::Check;
use crate::config::{Config, Origin};
use crate::discover::{Mode, ModeReason, Presence, RootMode, WatchLimit};
use crate::disk::SILENT;
use crate::domain::money::Amount;
use crate::domain::route::bytes;

/// Less room than this, in bytes, is worth a word (1 GiB).
const LITTLE_ROOM: u64 = 1 << 30;
/// Less room than this, in bytes, is too little to begin with (64 MiB).
const NO_ROOM: u64 = 64 << 20;
/// A clock further off than this is a problem: links and certificates fail (2 minutes).
const CLOCK_SLACK: Duration = Duration::from_secs(120);
/// A balance below this is worth a word, in dollars.
const LITTLE_MONEY: Decimal = Decimal::ONE;
/// More than this share of the watches in use is worth a word: other programs watch too (half).
const WATCH_SHARE: usize = 2;

/// File systems of the network, by the magic numbers of `statfs(2)`, on which SQLite's locks do not hold.
const NETWORK_FILE_SYSTEMS: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x0102_1997, "9p"),
];

/// A file system: its kind by the magic number of `statfs(2)`, and the bytes free for stenod.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSystem {
    pub(super) kind: i64,
    pub(super) room: u64,
}

impl FileSystem {
    fn network(self) -> Option<&'static str> {
        let known = NETWORK_FILE_SYSTEMS.iter();
        known
            .clone()
            .find(|(magic, _)| *magic == self.kind)
            .map(|(_, name)| *name)
    }
}

/// The disk that holds the state, or will hold it.
pub(super) fn state_disk(there: &Path, disk: FileSystem, written: Written<'_>) -> Check {
    let name = shown(there);
    if let Some(kind) = disk.network() {
        let text = format!("{name} lies on {kind}, where the table's locks do not hold");
        let line = "state_dir = \"/var/lib/stenod\", or another folder on a local disk";
        return Check::problem("disk", text, written.instead("", line));
    }
    let text = format!("{} free at {name}", bytes(disk.room));
    let mend = format!(
        "df -h {}   # make room, or set state_dir to another disk",
        quoted(there)
    );
    if disk.room < NO_ROOM {
        Check::problem("disk", text, mend)
    } else if disk.room < LITTLE_ROOM {
        Check::note("disk", text, mend)
    } else {
        Check::ok("disk", text)
    }
}

/// Where a person changes a setting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written<'a> {
    /// The configuration file.
    file: Option<&'a Path>,
    /// The environment variable whose value is in force instead of the file's.
    variable: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// That of `key`, such as `service.base_url`.
    pub(super) fn of(config: &'a Config, key: &str) -> Self {
        Self {
            file: config.file.as_deref(),
            variable: match config.origin_of(key) {
                Some(Origin::Variable(variable)) => Some(variable),
                Some(Origin::Default | Origin::File { .. } | Origin::Flag(_)) | None => None,
            },
        }
    }

    /// In the file, whatever sets it.
    pub(super) fn in_file(config: &'a Config) -> Self {
        Self {
            file: config.file.as_deref(),
            variable: None,
        }
    }

    /// Whether a variable sets it.
    pub(super) fn is_by_variable(self) -> bool {
        self.variable.is_some()
    }

    /// The line that a person puts into the configuration, and the file that it belongs into; into which table, or
    /// above all of them. What a variable sets is not mended by the file.
    pub(super) fn instead(self, table: &str, line: &str) -> String {
        let place = match table {
            "" => "above every table".to_owned(),
            table => format!("in [{table}]"),
        };
        match (self.variable, self.file) {
            (Some(variable), _) => {
                format!("unset {variable}   # it overrides the file; there, {place}: {line}")
            }
            (None, Some(file)) => {
                format!("\"${{EDITOR:-vi}}\" {}   # {place}: {line}", quoted(file))
            }
            (None, None) => format!("stenod init   # writes a configuration; then {place}: {line}"),
        }
    }
}

/// A folder of recordings that can be read, by where its transcripts go and where those lie.
pub(super) fn folder_disk(folder: &Path, output_dir: Option<&Path>, disk: FileSystem) -> Check {
    let target = output_dir.unwrap_or(folder);
    if disk.room < NO_ROOM {
        let text = format!(
            "{} free at {}, where transcripts are written",
            bytes(disk.room),
            shown(target)
        );
        let mend = format!(
            "df -h {}   # make room, or set another output_dir",
            quoted(target)
        );
        return Check::problem("folder", text, mend);
    }
    let name = shown(folder);
    Check::ok(
        "folder",
        match output_dir {
            None => format!("{name} can be read and written"),
            Some(target) => format!("{name} can be read, and {} written", shown(target)),
        },
    )
}

/// What in the folder `root` cannot be read by the user `me`: `count` files or folders, the first of them
/// at `path`.
pub(super) fn unreadable(
    root: &Path,
    count: u64,
    path: &Path,
    error: &io::Error,
    me: u32,
) -> Check {
    let first = shown(path);
    let text = match count {
        0 | 1 => format!("{first} cannot be read: {error}"),
        more => format!(
            "{more} files or folders in {} cannot be read, the first: {first}: {error}",
            shown(root)
        ),
    };
    let mend = if error.kind() == io::ErrorKind::PermissionDenied {
        let all = if count > 1 { root } else { path };
        format!(
            "sudo setfacl -R -m u:{me}:rX {}   # or name it in folders.exclude",
            quoted(all)
        )
    } else {
        format!("ls -la {}   # the disk or the mount fails", quoted(path))
    };
    Check::problem("folder", text, mend)
}

/// The folder `root`, whose disk did not say anything.
pub(super) fn silent(root: &Path) -> Check {
    let mend = format!(
        "sudo umount -l {}   # or bring its server back",
        quoted(root)
    );
    Check::problem("folder", format!("{}: {SILENT}", shown(root)), mend)
}

/// How a folder that is there would be watched, and why so.
pub(super) fn watched(root: &RootMode) -> Option<Check> {
    if root.presence != Presence::Present {
        return None;
    }
    let (name, why) = (shown(&root.path), root.explained());
    let polled = root.mode == Mode::Poll;
    let how = if polled {
        "polled"
    } else {
        "watched by events"
    };
    let text = format!("{name} is {how} ({why})");
    let by_itself = matches!(
        root.reason,
        ModeReason::RemoteDisk { .. }
            | ModeReason::NoEvents { .. }
            | ModeReason::WatchLimit { .. }
            | ModeReason::OwnLimit { .. }
    );
    Some(if by_itself || !root.polled_inside.is_empty() {
        let mend = match root.reason.mend() {
            Some(mend) => format!("{mend}   # and the same in /etc/sysctl.d/stenod.conf"),
            None => "nothing has to be done; a longer folders.poll_every spares disk and network"
                .to_owned(),
        };
        Check::note("watch", text, mend)
    } else {
        Check::ok("watch", text)
    })
}

/// Whether the watches of the machine are enough for the folders.
pub(super) fn watches(folders: usize, limit: Option<WatchLimit>) -> Check {
    let Some(limit) = limit else {
        return Check::note(
            "watch",
            "the limit of file watches cannot be read",
            "nothing has to be done: folders are polled where watching fails",
        );
    };
    let setting = limit.setting;
    let mend = format!(
        "{}   # and the same in /etc/sysctl.d/stenod.conf",
        limit.mend(folders)
    );
    let limit = limit.watches;
    let text = format!("folders to watch: {folders}; watches allowed: {limit} ({setting})");
    if folders > limit {
        Check::problem("watch", format!("{text}; the rest is polled"), mend)
    } else if folders.saturating_mul(WATCH_SHARE) > limit {
        Check::note("watch", text, mend)
    } else {
        Check::ok("watch", text)
    }
}

/// The clock of the machine beside that of the service.
pub(super) fn clock(here: Timestamp, there: Timestamp) -> Check {
    let off = here.duration_since(there).unsigned_abs();
    let seconds = off.as_secs();
    if off > CLOCK_SLACK {
        let text = format!("the clock is {seconds} s away from the service's, which says {there}");
        return Check::problem(
            "clock",
            text,
            "timedatectl set-ntp true   # or set the clock by hand",
        );
    }
    Check::ok(
        "clock",
        format!("within {} s of the service's", CLOCK_SLACK.as_secs()),
    )
}

/// What is left to spend.
pub(super) fn balance(balance: Decimal) -> Check {
    let text = format!("the balance is {}", Amount::usd(balance.round_dp(2)));
    if balance <= Decimal::ZERO {
        Check::problem(
            "balance",
            text,
            "top it up in your account with the service",
        )
    } else if balance < LITTLE_MONEY {
        Check::note("balance", text, "top it up before a long backlog")
    } else {
        Check::ok("balance", text)
    }
}

/// Who may read the file with the key, by its permission bits.
pub(super) fn key_file(file: &Path, mode: u32) -> Check {
    if mode & 0o077 == 0 {
        return Check::ok("key", format!("found in {}", shown(file)));
    }
    let text = format!(
        "others can read the key in {} (mode {mode:03o})",
        shown(file)
    );
    Check::problem("key", text, format!("chmod 600 {}", quoted(file)))
}

/// Who owns the state, beside who runs this.
pub(super) fn state_owner(state_dir: &Path, owner: u32, me: u32) -> Option<Check> {
    if owner == me {
        return None;
    }
    let name = shown(state_dir);
    let mend = format!(
        "sudo chown -R {me} {}   # or run stenod as its owner",
        quoted(state_dir)
    );
    // Root may write anywhere, and would leave files there that the owner cannot.
    Some(Check::problem(
        "state",
        format!("{name} belongs to user {owner}, and this runs as user {me}"),
        mend,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    const EXT4: i64 = 0xEF53;
    const NFS: i64 = 0x6969;

    /// What is broken, the check, how it ends, and what its mend must say.
    type Case = (&'static str, Check, Grade, &'static str);

    #[track_caller]
    fn judge_all(table: impl IntoIterator<Item = Case>) {
        for (broken, check, grade, mend) in table {
            assert_eq!(check.grade, grade, "{broken}: {check:?}");
            let said = check.mend.unwrap_or_default();
            assert!(said.contains(mend), "{broken}: {said}");
        }
    }

    fn path() -> &'static Path {
        Path::new("/srv/a b")
    }

    #[test]
    fn disks_that_no_test_can_make_are_judged_by_their_values() {
        let state = |kind, room| state_disk(path(), FileSystem { kind, room }, Written::default());
        let folder = |kind, room| folder_disk(path(), None, FileSystem { kind, room });
        let (much, little) = (1 << 40, 500 << 20);
        judge_all([
            ("nothing", state(EXT4, much), Grade::Ok, ""),
            ("state on NFS", state(NFS, much), Grade::Problem, "local"),
            (
                "state on SMB",
                state(0xFE53_4D42, much),
                Grade::Problem,
                "local",
            ),
            ("full", state(EXT4, 0), Grade::Problem, "df -h '/srv/a b'"),
            ("nearly full", state(EXT4, little), Grade::Note, "df -h"),
            ("folder", folder(EXT4, much), Grade::Ok, ""),
            (
                "folder's disk full",
                folder(EXT4, 0),
                Grade::Problem,
                "output_dir",
            ),
        ]);
        let full = FileSystem {
            kind: EXT4,
            room: 0,
        };
        let elsewhere = folder_disk(path(), Some(Path::new("/out")), full);
        judge_all([(
            "outputs' disk full",
            elsewhere,
            Grade::Problem,
            "df -h /out",
        )]);
    }

    #[test]
    fn what_cannot_be_read_in_a_folder_comes_with_the_right_that_is_missing() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let broken = io::Error::other("input/output error");
        let at = path().join("in");
        let one = unreadable(path(), 1, &at, &denied, 1000);
        assert!(one.text.starts_with("/srv/a b/in cannot"), "{one:?}");
        let two = unreadable(path(), 2, &at, &denied, 1000);
        assert!(
            two.text
                .starts_with("2 files or folders in /srv/a b cannot")
        );
        judge_all([
            ("one", one, Grade::Problem, "u:1000:rX '/srv/a b/in'"),
            ("two", two, Grade::Problem, "u:1000:rX '/srv/a b'"),
            (
                "a disk",
                unreadable(path(), 1, &at, &broken, 1000),
                Grade::Problem,
                "ls -la '/srv/a b/in'",
            ),
        ]);
    }

    #[test]
    fn how_folders_are_watched_is_said_with_its_reason() {
        let root = |mode, reason, inside: &[&'static str]| {
            let inside = inside.iter().map(|kind| (path().join("in"), *kind));
            let root = RootMode {
                path: path().to_owned(),
                mode,
                reason,
                presence: Presence::Present,
                watched_folders: 1,
                polled_inside: inside.collect(),
            };
            watched(&root).unwrap()
        };
        let remote = ModeReason::RemoteDisk { file_system: "NFS" };
        let inside = root(Mode::Events, ModeReason::LocalDisk, &["FUSE"; 6]);
        for said in ["polled in it: /srv/a b/in (FUSE)", "and 2 more"] {
            assert!(inside.text.contains(said), "{inside:?}");
        }
        judge_all([
            (
                "a drive of the network",
                root(Mode::Poll, remote, &[]),
                Grade::Note,
                "poll_every",
            ),
            ("one inside", inside, Grade::Note, "poll_every"),
            (
                "none",
                root(Mode::Events, ModeReason::LocalDisk, &[]),
                Grade::Ok,
                "",
            ),
            (
                "as configured",
                root(Mode::Poll, ModeReason::Configured, &[]),
                Grade::Ok,
                "",
            ),
        ]);
    }

    #[test]
    fn limits_clocks_and_money_are_judged_by_their_values() {
        let clock = |there: &str| {
            let here: Timestamp = "2026-03-15T12:00:00Z".parse().unwrap();
            clock(here, there.parse().unwrap())
        };
        let limit = Some(WatchLimit {
            setting: "fs.inotify.max_user_watches",
            watches: 8_192,
        });
        judge_all([
            (
                "too few",
                watches(9_000, limit),
                Grade::Problem,
                "max_user_watches=1048576",
            ),
            (
                "few",
                watches(5_000, limit),
                Grade::Note,
                "max_user_watches=1048576",
            ),
            ("enough", watches(10, limit), Grade::Ok, ""),
            ("no inotify", watches(10, None), Grade::Note, "polled"),
            (
                "slow",
                clock("2026-03-15T12:10:00Z"),
                Grade::Problem,
                "set-ntp",
            ),
            (
                "fast",
                clock("2026-03-15T11:50:00Z"),
                Grade::Problem,
                "set-ntp",
            ),
            ("right", clock("2026-03-15T12:00:30Z"), Grade::Ok, ""),
            (
                "no money",
                balance(Decimal::ZERO),
                Grade::Problem,
                "top it up",
            ),
            (
                "little money",
                balance(Decimal::new(5, 1)),
                Grade::Note,
                "top it up",
            ),
        ]);
    }

    #[test]
    fn owners_and_readers_are_judged_by_their_values() {
        let owner = |owner, me| state_owner(path(), owner, me).unwrap_or(Check::ok("state", ""));
        let key = |mode| key_file(path(), mode);
        judge_all([
            (
                "for all",
                key(0o644),
                Grade::Problem,
                "chmod 600 '/srv/a b'",
            ),
            ("for the group", key(0o640), Grade::Problem, "chmod 600"),
            ("for its owner", key(0o400), Grade::Ok, ""),
            (
                "of another",
                owner(0, 1000),
                Grade::Problem,
                "sudo chown -R 1000",
            ),
            ("mine", owner(1000, 1000), Grade::Ok, ""),
        ]);
    }
}
