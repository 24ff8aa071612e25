//! Real folders, and random trees against a reference model.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::ops::ControlFlow::Break;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::discover::{RootError, RootRules, Roots};

fn candidate(extension: &OsStr) -> bool {
    extension == "mp3" || extension == "wav"
}

fn root(path: &Path) -> Root {
    rules(path, RootRules::default())
}

pub(super) fn rules(path: &Path, rules: RootRules) -> Root {
    Root::new(path, rules, candidate).unwrap()
}

pub(super) fn list(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|glob| (*glob).to_owned()).collect()
}

/// A folder with these files in it, each holding its own name.
pub(super) fn folder(files: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in files {
        put(&folder.path().join(file));
    }
    folder
}

pub(super) fn put(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .open(path)
        .unwrap();
    file.write_all(path.file_name().unwrap().as_bytes())
        .unwrap();
}

fn age(path: &Path, seconds: u64) {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 - seconds);
    let file = File::options().append(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) recordings: Vec<PathBuf>,
    pub(super) skipped: Vec<(PathBuf, String)>,
    report: ScanReport,
}

pub(super) fn see(root: &Root, scope: &Scope) -> Seen {
    let mut seen = Seen::default();
    let report = scan(root, scope, &mut |found| {
        match found {
            Found::Recording {
                path, fingerprint, ..
            } => {
                assert_eq!(fingerprint.size, fs::metadata(&path).unwrap().len());
                seen.recordings
                    .push(path.strip_prefix(root.path()).unwrap().to_owned());
            }
            Found::Skipped { path, reason } => {
                let path = path.strip_prefix(root.path()).unwrap().to_owned();
                seen.skipped.push((path, reason.to_string()));
            }
        }
        Continue(())
    });
    seen.report = report;
    assert_eq!(seen.report.recordings, seen.recordings.len() as u64);
    assert_eq!(seen.report.skipped, seen.skipped.len() as u64);
    seen
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[test]
fn recordings_are_found_by_extension_in_all_folders_but_hidden_and_foreign_ones() {
    let top = folder(&[
        "a.mp3",
        "b.txt",
        "c",
        "in/d.wav",
        ".e.mp3",
        "f.mp3.part",
        "._g.mp3",
        "~$h.mp3",
        ".git/i.mp3",
        "@eaDir/j.mp3",
        ".stversions/k.mp3",
        "in/.Trash-1000/l.mp3",
    ]);
    let seen = see(&root(top.path()), &Scope::Root);
    assert_eq!(seen.recordings, paths(&["a.mp3", "in/d.wav"]));
    assert!(seen.skipped.is_empty());
    assert_eq!(seen.report.folders, 2);
    assert!(matches!(seen.report.root, RootState::Present));
}

#[test]
fn files_come_oldest_first_and_then_folders_by_name() {
    let top = folder(&["a.mp3", "b.mp3", "c.mp3", "z/d.mp3", "y/e.mp3"]);
    for (name, seconds) in [("a.mp3", 10), ("b.mp3", 30), ("c.mp3", 10)] {
        age(&top.path().join(name), seconds);
    }
    let seen = see(&root(top.path()), &Scope::Root);
    assert_eq!(
        seen.recordings,
        paths(&["b.mp3", "a.mp3", "c.mp3", "y/e.mp3", "z/d.mp3"])
    );
}

#[test]
fn globs_choose_files_and_prune_folders() {
    let top = folder(&[
        "a.mp3",
        "b.wav",
        "old/c.mp3",
        "new/d.mp3",
        "new/raw/e.mp3",
        "x.txt",
    ]);
    let include = list(&["*.mp3"]);
    let exclude = list(&["old", "new/raw/*"]);
    let root = rules(
        top.path(),
        RootRules {
            include,
            exclude,
            ..RootRules::default()
        },
    );
    let seen = see(&root, &Scope::Root);
    assert_eq!(seen.recordings, paths(&["a.mp3", "new/d.mp3"]));
    let told: Vec<_> = seen
        .skipped
        .iter()
        .map(|(path, why)| (path.to_str().unwrap(), &**why))
        .collect();
    assert_eq!(
        told,
        [
            ("b.wav", "matches no glob of `include`"),
            ("old", "excluded by the glob `old`"),
            ("new/raw/e.mp3", "excluded by the glob `new/raw/*`"),
        ]
    );
}

#[test]
fn a_root_that_is_not_recursive_ends_at_its_own_files() {
    let top = folder(&["a.mp3", "in/b.mp3"]);
    let root = rules(
        top.path(),
        RootRules {
            recursive: false,
            ..RootRules::default()
        },
    );
    assert_eq!(see(&root, &Scope::Root).recordings, paths(&["a.mp3"]));
    assert_eq!(
        see(&root, &Scope::Tree(top.path().join("in"))).recordings,
        paths(&[])
    );
}

#[test]
fn links_to_files_are_followed_and_links_to_folders_are_told() {
    let top = folder(&["a.mp3", "in/b.mp3"]);
    let at = |name: &str| top.path().join(name);
    symlink("a.mp3", at("file.mp3")).unwrap();
    symlink("in", at("folder")).unwrap();
    symlink("..", at("in/up")).unwrap();
    symlink("nowhere", at("broken.mp3")).unwrap();
    symlink("nowhere", at("broken.txt")).unwrap();
    symlink("self.mp3", at("self.mp3")).unwrap();
    fs::hard_link(at("a.mp3"), at("hard.mp3")).unwrap();
    let seen = see(&root(top.path()), &Scope::Root);
    let mut recordings = seen.recordings.clone();
    recordings.sort();
    assert_eq!(
        recordings,
        paths(&["a.mp3", "file.mp3", "hard.mp3", "in/b.mp3"])
    );
    let told: Vec<_> = seen
        .skipped
        .iter()
        .map(|(path, why)| (path.to_str().unwrap(), &**why))
        .collect();
    assert_eq!(
        told,
        [
            ("broken.mp3", "a link to nothing"),
            ("folder", "a link to a folder, which is not followed"),
            ("self.mp3", "leads back to itself"),
            ("in/up", "a link to a folder, which is not followed"),
        ]
    );
}

#[test]
fn a_root_that_is_a_link_is_followed() {
    let top = folder(&["real/a.mp3"]);
    symlink("real", top.path().join("link")).unwrap();
    let seen = see(&root(&top.path().join("link")), &Scope::Root);
    assert_eq!(seen.recordings, paths(&["a.mp3"]));
}

#[test]
fn pipes_named_like_recordings_are_told_and_never_opened() {
    let top = folder(&[]);
    mknodat(CWD, top.path().join("a.mp3"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    mknodat(CWD, top.path().join("b"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let seen = see(&root(top.path()), &Scope::Root);
    assert_eq!(
        seen.skipped,
        [(PathBuf::from("a.mp3"), "not a file but a pipe".to_owned())]
    );
}

#[test]
fn what_cannot_be_read_is_told_and_costs_no_neighbour() {
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind the superuser; the next test covers the walk's side of it.
        return;
    }
    let top = folder(&["a/b.mp3", "c.mp3", "d.mp3"]);
    for name in ["a", "c.mp3"] {
        fs::set_permissions(top.path().join(name), PermissionsExt::from_mode(0o000)).unwrap();
    }
    let seen = see(&root(top.path()), &Scope::Root);
    fs::set_permissions(top.path().join("a"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(seen.recordings, paths(&["d.mp3"]));
    assert_eq!(seen.skipped.len(), 2);
}

#[test]
fn a_folder_too_deep_for_a_path_is_told_and_costs_no_neighbour() {
    let top = folder(&["a.mp3", "z/b.mp3"]);
    let long = "d".repeat(250);
    // Built from within, for no path reaches the bottom.
    let mut at = rustix::fs::open(top.path(), OPEN, Mode::empty()).unwrap();
    for _ in 0..18 {
        rustix::fs::mkdirat(&at, long.as_str(), Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, long.as_str(), OPEN, Mode::empty()).unwrap();
    }
    let seen = see(&root(top.path()), &Scope::Root);
    assert_eq!(seen.recordings, paths(&["a.mp3", "z/b.mp3"]));
    assert_eq!(seen.skipped.len(), 1);
    assert!(
        seen.skipped[0].1.starts_with("cannot be read: "),
        "{:?}",
        seen.skipped[0].1
    );
}

const OPEN: rustix::fs::OFlags = rustix::fs::OFlags::DIRECTORY;

#[test]
fn names_are_taken_as_they_are() {
    let top = folder(&[]);
    let mut names: Vec<OsString> = [
        &b"\xff\xfe.mp3"[..],
        b"new\nline.mp3",
        "e\u{301}.mp3".as_bytes(),
        "\u{e9}.mp3".as_bytes(),
        b" .mp3",
        b"'$(x)`.mp3",
    ]
    .map(|name| OsStr::from_bytes(name).to_owned())
    .into();
    names.push(OsString::from(format!("{}.mp3", "n".repeat(251))));
    for name in &names {
        put(&top.path().join(name));
    }
    let mut seen = see(&root(top.path()), &Scope::Root).recordings;
    names.sort();
    seen.sort();
    assert_eq!(seen, names.iter().map(PathBuf::from).collect::<Vec<_>>());
}

#[test]
fn a_missing_root_is_reported_and_finds_nothing() {
    let top = folder(&[]);
    let seen = see(&root(&top.path().join("gone")), &Scope::Root);
    assert!(matches!(seen.report.root, RootState::Missing));
    let scope = Scope::Tree(top.path().join("gone/deep"));
    let seen = see(&root(&top.path().join("gone")), &scope);
    assert!(matches!(seen.report.root, RootState::Missing));
    let seen = see(&root(top.path()), &Scope::Tree(top.path().join("gone")));
    assert!(matches!(seen.report.root, RootState::Present));
    assert_eq!(seen.report.vanished, 1);
}

#[test]
fn a_file_given_as_a_root_is_found_whatever_its_name() {
    let top = folder(&["speech", "x.pdf", "y.mp3", ".z.mp3"]);
    for name in ["speech", "x.pdf", "y.mp3"] {
        let path = top.path().join(name);
        let mut found = Vec::new();
        let report = scan(&root(&path), &Scope::Root, &mut |one| {
            found.push(one);
            Continue(())
        });
        assert_eq!(report.recordings, 1, "{name}");
        assert!(matches!(&found[..], [Found::Recording { path: there, .. }] if *there == path));
    }
    let exclude = list(&["*.mp3"]);
    let given = rules(
        &top.path().join("y.mp3"),
        RootRules {
            exclude,
            ..RootRules::default()
        },
    );
    // One that says that it is not complete is told, and never found.
    for given in [given, root(&top.path().join(".z.mp3"))] {
        let report = scan(&given, &Scope::Root, &mut |_| Continue(()));
        assert_eq!((report.recordings, report.skipped), (0, 1));
    }
}

#[test]
fn each_file_belongs_to_the_innermost_root() {
    let top = folder(&["a.mp3", "in/b.mp3", "in/deep/c.mp3", "in/deep/down/d.mp3"]);
    let at = |name: &str| top.path().join(name);
    let given = vec![
        root(&at("in/deep")),
        root(top.path()),
        root(&at("in")),
        root(&at("a.mp3")),
    ];
    let roots = Roots::new(given).unwrap();
    let found: Vec<Vec<PathBuf>> = roots
        .iter()
        .map(|root| see(root, &Scope::Root).recordings)
        .collect();
    let deep = paths(&["c.mp3", "down/d.mp3"]);
    assert_eq!(found, [deep, paths(&[]), paths(&["b.mp3"]), paths(&[""])]);
    for (path, owner) in [
        ("a.mp3", "a.mp3"),
        ("x.mp3", ""),
        ("in/b.mp3", "in"),
        ("in/deeper/b.mp3", "in"),
        ("in/deep/down/d.mp3", "in/deep"),
    ] {
        let root = roots.owner(&at(path)).unwrap();
        assert_eq!(
            root.path(),
            at(owner).components().collect::<PathBuf>(),
            "{path}"
        );
    }
    assert!(roots.owner(Path::new("/elsewhere/a.mp3")).is_none());
}

#[test]
fn roots_that_meet_through_a_link_do_not_find_a_file_twice() {
    let top = folder(&["real/in/a.mp3", "real/b.mp3"]);
    symlink("real", top.path().join("alias")).unwrap();
    symlink("real/in", top.path().join("inner")).unwrap();
    let at = |name: &str| root(&top.path().join(name));
    let roots = Roots::new(vec![at("real"), at("alias"), at("inner")]).unwrap();
    let seen: Vec<Seen> = roots.iter().map(|root| see(root, &Scope::Root)).collect();
    assert_eq!(seen[0].recordings, paths(&["b.mp3"]));
    assert!(matches!(&seen[1].report.root, RootState::SameAs(path) if path.ends_with("real")));
    assert!(seen[1].recordings.is_empty());
    assert_eq!(seen[2].recordings, paths(&["a.mp3"]));
}

#[test]
fn roots_that_become_one_folder_later_have_one_owner_for_as_long_as_they_are_one() {
    let top = folder(&["real/in/a.mp3", "real/b.mp3", "other/c.mp3"]);
    let link = |to: &str| {
        drop(fs::remove_file(top.path().join("link")));
        symlink(to, top.path().join("link")).unwrap();
    };
    link("other");
    let at = |name: &str| root(&top.path().join(name));
    let roots = Roots::new(vec![at("real"), at("link")]).unwrap();
    let recordings = || -> Vec<Vec<PathBuf>> {
        // Whoever watches has looked at all before anything is scanned.
        for root in roots.iter() {
            drop(root.look());
        }
        let seen = roots.iter().map(|root| see(root, &Scope::Root));
        seen.map(|seen| seen.recordings).collect()
    };
    let both = paths(&["b.mp3", "in/a.mp3"]);
    assert_eq!(recordings(), [both.clone(), paths(&["c.mp3"])]);
    link("real");
    assert_eq!(recordings(), [both.clone(), paths(&[])]);
    link("real/in");
    assert_eq!(recordings(), [paths(&["b.mp3"]), paths(&["a.mp3"])]);
    let real = roots.iter().next().unwrap();
    let inner = Scope::Tree(top.path().join("real/in"));
    assert_eq!(see(real, &inner).recordings, paths(&[]));
    link("other");
    assert_eq!(recordings(), [both, paths(&["c.mp3"])]);
}

#[test]
fn a_root_given_twice_is_one_root_unless_the_rules_differ() {
    let top = folder(&[]);
    let slash = PathBuf::from(format!("{}/", top.path().display()));
    assert_eq!(
        Roots::new(vec![root(top.path()), root(&slash)])
            .unwrap()
            .iter()
            .count(),
        1
    );
    let other = rules(
        top.path(),
        RootRules {
            recursive: false,
            ..RootRules::default()
        },
    );
    let error = Roots::new(vec![root(top.path()), other]).unwrap_err();
    assert!(matches!(error, RootError::Twice { .. }));
}

#[test]
fn a_root_with_a_wrong_glob_or_no_path_is_refused() {
    let exclude = list(&["a{b"]);
    let rules = RootRules {
        exclude,
        ..RootRules::default()
    };
    let error = Root::new(Path::new("/in"), rules, candidate).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/in: the glob `a{b` in `exclude` cannot be used: ")
    );
    let error = Root::new(Path::new(""), RootRules::default(), candidate).unwrap_err();
    assert!(matches!(error, RootError::Path { .. }));
}

#[test]
fn a_break_ends_the_scan() {
    let top = folder(&["a.mp3", "b.mp3", "c/d.mp3"]);
    let report = scan(&root(top.path()), &Scope::Root, &mut |_| Break(()));
    assert!(report.stopped);
    assert_eq!((report.recordings, report.folders), (1, 1));
}

#[test]
fn the_rule_that_leaves_a_path_out_is_named() {
    use crate::discover::LeftOut;
    let top = folder(&[]);
    let exclude = list(&["old/"]);
    let root = rules(
        top.path(),
        RootRules {
            exclude,
            ..RootRules::default()
        },
    );
    let why = |name: &str| root.left_out(&top.path().join(name));
    assert_eq!(why("in/a.mp3"), None);
    assert_eq!(
        why("in/.a.mp3"),
        Some(LeftOut::TemporaryName { pattern: ".*" })
    );
    assert_eq!(
        why("a.mp3.part"),
        Some(LeftOut::TemporaryName { pattern: "*.part" })
    );
    assert_eq!(why("a.txt"), Some(LeftOut::NotAudio));
    assert_eq!(why(".git/in/a.mp3"), Some(LeftOut::Hidden));
    assert_eq!(why("in/@eaDir/a.mp3"), Some(LeftOut::PrunedFolder));
    assert_eq!(
        why("in/old/a.mp3"),
        Some(LeftOut::Excluded {
            glob: "old/".to_owned()
        })
    );
    assert_eq!(root.left_out(Path::new("/a.mp3")), Some(LeftOut::Outside));
}
