//! What kind of disk a folder is on.

use std::io;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_disk_is_reliable() {
        assert_eq!(unreliable(Path::new("/proc")).unwrap(), None);
        assert!(unreliable(Path::new("/no such folder")).is_err());
    }
}
