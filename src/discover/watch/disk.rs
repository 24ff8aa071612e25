//! What kind of disk a folder is on, and what is mounted below it.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// File systems on which others change files without our kernel telling, by the numbers of
/// `linux/magic.h` and `statfs(2)`.
const UNRELIABLE: [(u32, &str); 18] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x794c_7630, "overlay"),
    (0x6175_6673, "aufs"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x786f_4256, "vboxsf"),
    (0x7c7c_6673, "prl_fs"),
    (0xbacb_acbc, "vmhgfs"),
];

/// The name of the file system that holds `path`, if events are not to be relied on there.
pub(super) fn unreliable(path: &Path) -> io::Result<Option<&'static str>> {
    // The kernel's numbers have 32 bits, in a field whose width depends on the machine.
    let number = rustix::fs::statfs(path)?.f_type & 0xffff_ffff;
    let known = UNRELIABLE
        .iter()
        .find(|(magic, _)| i64::from(*magic) == number);
    Ok(known.map(|(_, name)| *name))
}

/// A number that changes when something is mounted at or below `path`, or taken away.
pub(super) fn mounts_below(path: &Path) -> u64 {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let below = table
        .split(|byte| *byte == b'\n')
        .filter(|line| mount_point(line).is_some_and(|point| point.starts_with(path)));
    let mut hasher = DefaultHasher::new();
    below.for_each(|line| line.hash(&mut hasher));
    hasher.finish()
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

    #[test]
    fn a_mount_below_a_folder_belongs_to_its_number() {
        // The machine's own /proc is mounted below / and not below itself's children.
        assert_ne!(
            mounts_below(Path::new("/")),
            mounts_below(Path::new("/no such folder"))
        );
        assert_eq!(
            mounts_below(Path::new("/a")),
            mounts_below(Path::new("/no such folder"))
        );
    }

    #[test]
    fn a_local_disk_is_reliable() {
        assert_eq!(unreliable(Path::new("/proc")).unwrap(), None);
        assert!(unreliable(Path::new("/no such folder")).is_err());
    }
}
