//! What is mounted where.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// The one table of this process, read again only when it changed.
static TABLE: LazyLock<Mutex<Mounts>> = LazyLock::new(|| Mutex::new(Mounts::open()));

/// What is mounted at this moment below `path`, whose links are resolved: relative to it, each folder before
/// what is in it.
pub(super) fn mounted_below(path: &Path) -> BTreeSet<PathBuf> {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.refresh();
    table.below(path)
}

/// A number that changes when something is mounted at, below or above `path`, or taken away; blocks for a look at it.
pub(super) fn number_of_mounts(path: &Path) -> u64 {
    let mount = unique_mount(path);
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.refresh();
    table.number(path, mount)
}

/// `STATX_MNT_ID_UNIQUE` of `statx(2)`.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The number of the mount that holds `path`, which none has that comes later; kernels before 6.8 do not tell.
fn unique_mount(path: &Path) -> Option<u64> {
    let seen = statx(CWD, path, AtFlags::empty(), UNIQUE).ok()?;
    let is_told = StatxFlags::from_bits_retain(seen.stx_mask).contains(UNIQUE);
    is_told.then_some(seen.stx_mnt_id)
}

/// The path at which the disk is mounted that holds `path`; blocks for a look at it, by which what is mounted when
/// it is asked for is.
pub fn mount_of(path: &Path) -> PathBuf {
    drop(fs::metadata(path));
    let real = path
        .ancestors()
        .find_map(|above| fs::canonicalize(above).ok());
    let real = real.unwrap_or_else(|| path.to_owned());
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.refresh();
    let above = table.table.iter().map(|(point, _)| point);
    let above = above.filter(|point| real.starts_with(point));
    let holding = above.max_by_key(|point| point.as_os_str().len());
    holding.cloned().unwrap_or_else(|| PathBuf::from("/"))
}

/// The table of mounts, which tells of its own changes.
#[derive(Debug, Default)]
struct Mounts {
    /// Kept open, for the kernel tells by it whether the table changed.
    file: Option<File>,
    changes: u64,
    /// Each mount point and its line.
    table: Vec<(PathBuf, Vec<u8>)>,
}

impl Mounts {
    /// Opens the table; without one, no mount is ever noticed but by the identity of its root.
    fn open() -> Self {
        let mut mounts = Self {
            file: File::open(MOUNTS).ok(),
            ..Self::default()
        };
        mounts.read();
        mounts
    }

    /// Takes in what was mounted or taken away since the last time.
    fn refresh(&mut self) {
        if self.file.as_ref().is_some_and(changed) {
            self.changes += 1;
            self.read();
        }
    }

    /// A number that changes when something is mounted at, below or above `path`, or taken away; also when the same
    /// is put back between two looks. Kernels give out numbers of mounts again, so that any change counts there, but
    /// for a `mount` that holds the path by a number of its own.
    fn number(&self, path: &Path, mount: Option<u64>) -> u64 {
        let top = Path::new("/");
        let points = || self.table.iter().filter(|(point, _)| point != top);
        let below = points().filter(|(point, _)| point.starts_with(path));
        let above = points().filter(|(point, _)| path.starts_with(point));
        let holding = above.max_by_key(|(point, _)| point.as_os_str().len());
        let mounts: Vec<_> = below.chain(holding).collect();
        let is_alone = mounts.iter().all(|(point, _)| path.starts_with(point));
        let is_certain = mounts.is_empty() || (is_alone && mount.is_some());
        let mut hasher = DefaultHasher::new();
        (!is_certain).then_some(self.changes).hash(&mut hasher);
        mount.filter(|_| is_alone).hash(&mut hasher);
        mounts.hash(&mut hasher);
        hasher.finish()
    }

    /// What is mounted below `path`, relative to it, each folder before what is in it.
    fn below(&self, path: &Path) -> BTreeSet<PathBuf> {
        let points = self.table.iter();
        let below = points.filter_map(|(point, _)| point.strip_prefix(path).ok());
        let below = below.filter(|within| !within.as_os_str().is_empty());
        below.map(Path::to_owned).collect()
    }

    fn read(&mut self) {
        let text = fs::read(MOUNTS).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        self.table = lines
            .filter_map(|line| Some((mount_point(line)?, line.to_vec())))
            .collect();
    }
}

const MOUNTS: &str = "/proc/self/mountinfo";

/// Whether the table changed since it was asked last (`proc_pid_mounts(5)`: an exceptional condition).
fn changed(file: &File) -> bool {
    let mut asked = [PollFd::new(file, PollFlags::PRI)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut asked, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The mount point of a line of `/proc/self/mountinfo`: the fifth field (`proc_pid_mountinfo(5)`).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    Some(PathBuf::from(OsString::from_vec(unescaped(field))))
}

/// Space, tab, newline and backslash stand there as `\` and three octal digits.
fn unescaped(mut field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    while let [first, rest @ ..] = field {
        let escaped = match field {
            [b'\\', digits @ ..] => digits.split_at_checked(3).and_then(|(digits, rest)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 8).ok()?, rest))
            }),
            _ => None,
        };
        let (byte, rest) = escaped.unwrap_or((*first, rest));
        plain.push(byte);
        field = rest;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_read_with_its_escapes() {
        let line =
            br"36 35 98:0 /mnt1 /mnt/a\040b\134c\0121 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/a b\\c\n1")));
        assert_eq!(mount_point(b"36 35"), None);
        assert_eq!(unescaped(br"\04"), br"\04");
    }

    fn mounts(changes: u64, points: &[&str]) -> Mounts {
        let table = points
            .iter()
            .map(|point| (PathBuf::from(point), b"line".to_vec()))
            .collect();
        Mounts {
            file: None,
            changes,
            table,
        }
    }

    #[test]
    fn mounts_below_and_around_a_folder_belong_to_its_number() {
        let number =
            |changes, points: &[&str]| mounts(changes, points).number(Path::new("/a/b"), None);
        let none = number(0, &["/", "/c", "/a/bc"]);
        assert_eq!(none, number(7, &["/"]));
        for points in [["/", "/a"], ["/", "/a/b"], ["/", "/a/b/c"]] {
            assert_ne!(number(0, &points), none);
            assert_eq!(number(0, &points), number(0, &points));
            assert_ne!(number(0, &points), number(1, &points));
        }
    }

    #[test]
    fn a_change_elsewhere_is_none_of_a_folder_whose_mount_is_known_by_its_number() {
        let number = |changes, points: &[&str], mount| {
            mounts(changes, points).number(Path::new("/a/b"), Some(mount))
        };
        for points in [&["/"][..], &["/", "/a"], &["/", "/a", "/a/b"]] {
            assert_eq!(number(0, points, 7), number(1, points, 7), "{points:?}");
            assert_ne!(number(0, points, 7), number(0, points, 8), "{points:?}");
        }
        // What is mounted inside is known by its line alone.
        let inside = ["/", "/a", "/a/b/c"];
        assert_ne!(number(0, &inside, 7), number(1, &inside, 7));
    }

    #[test]
    fn what_is_mounted_below_a_folder_is_named_from_there() {
        let mounts = mounts(0, &["/", "/a", "/a/b/d/e", "/a/b", "/a/b/d", "/a/bc"]);
        let below: Vec<_> = mounts.below(Path::new("/a/b")).into_iter().collect();
        assert_eq!(below, [PathBuf::from("d"), PathBuf::from("d/e")]);
    }

    #[test]
    fn what_is_missing_lies_on_the_disk_that_would_hold_it() {
        assert_eq!(
            mount_of(Path::new("/proc/no such/file")),
            Path::new("/proc")
        );
    }

    #[test]
    fn the_table_of_this_machine_is_read() {
        let mut mounts = Mounts::open();
        mounts.refresh();
        assert!(
            mounts
                .table
                .iter()
                .any(|(point, _)| point == Path::new("/proc"))
        );
    }
}
