//! Scripted situations, each with its right reason, and the scan beside them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::discover::{Found, RootRules, Roots, Scope, scan};

fn candidate(extension: &OsStr) -> bool {
    extension == "mp3" || extension == "wav"
}

fn put(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path);
    options.unwrap().write_all(text).unwrap();
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let top = TempDir::new().unwrap();
    for (name, text) in files {
        put(&top.path().join(name), text.as_bytes());
    }
    top
}

fn list(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|glob| (*glob).to_owned()).collect()
}

fn root(top: &TempDir, rules: RootRules) -> Root {
    Root::new(top.path(), rules, candidate).unwrap()
}

/// What is said of `name`, in words, with the part of the path that it is said of.
fn say(root: &Root, name: &str) -> String {
    let path = root.path().join(name);
    let seen = sight(root, &path);
    let said = match &seen {
        Sight::Outside => "outside".to_owned(),
        Sight::RootMissing => "root missing".to_owned(),
        Sight::RootUnreadable(error) => format!("root unreadable: {error}"),
        Sight::LeftOut { at, why } => format!("{}: {why}", below(root, at)),
        Sight::Passed { at, why } => format!("{}: {why}", below(root, at)),
        Sight::Gone => "gone".to_owned(),
        Sight::Folder => "folder".to_owned(),
        Sight::File { local, .. } => match local.mistake() {
            Some(mistake) => format!("paused by {}: {}", below(root, &mistake.file), mistake.text),
            None => "recording".to_owned(),
        },
    };
    // Whatever is said of it, the scan agrees.
    let mut found = false;
    scan(root, &Scope::Root, &mut |one| {
        found |= matches!(one, Found::Recording { path: at, .. } if at == path);
        Continue(())
    });
    assert_eq!(found, matches!(seen, Sight::File { .. }), "{name}: {said}");
    said.replace(&format!("{}/", root.path().display()), "")
}

fn below(root: &Root, path: &Path) -> String {
    let below = path.strip_prefix(root.path()).unwrap_or(path);
    below.display().to_string()
}

#[test]
fn every_rule_of_a_folder_is_named() {
    let top = folder(&[
        ("talk.mp3", "x"),
        ("notes.txt", "x"),
        ("noending", "x"),
        (".hidden.mp3", "x"),
        (".git/deep/talk.mp3", "x"),
        ("talk.mp3.part", "x"),
        ("~$talk.mp3", "x"),
        ("@eaDir/talk.mp3", "x"),
        (".stversions/talk.mp3", "x"),
        ("old/2019/talk.mp3", "x"),
        ("raw.wav", "x"),
        ("sub/talk.mp3", "x"),
    ]);
    let rules = RootRules {
        include: list(&["*.mp3"]),
        exclude: list(&["old/**"]),
        ..RootRules::default()
    };
    let root = root(&top, rules);
    let said = |name: &str| say(&root, name);
    assert_eq!(said("talk.mp3"), "recording");
    assert_eq!(said("sub/talk.mp3"), "recording");
    assert_eq!(said("notes.txt"), "notes.txt: no extension of a recording");
    assert_eq!(said("noending"), "noending: no extension of a recording");
    assert_eq!(said(".hidden.mp3"), ".hidden.mp3: temporary name (.*)");
    assert_eq!(
        said(".git/deep/talk.mp3"),
        ".git: hidden: the name begins with a dot"
    );
    assert_eq!(
        said("talk.mp3.part"),
        "talk.mp3.part: temporary name (*.part)"
    );
    assert_eq!(said("~$talk.mp3"), "~$talk.mp3: temporary name (~$*)");
    let others = "a folder of another program's own files";
    assert_eq!(said("@eaDir/talk.mp3"), format!("@eaDir: {others}"));
    assert_eq!(
        said(".stversions/talk.mp3"),
        format!(".stversions: {others}")
    );
    assert_eq!(
        said("old/2019/talk.mp3"),
        "old: excluded by the glob `old/**`"
    );
    assert_eq!(said("raw.wav"), "raw.wav: matches no glob of `include`");
    assert_eq!(said("never.mp3"), "gone");
    assert_eq!(said("sub"), "folder");
    let flat = RootRules {
        recursive: false,
        ..RootRules::default()
    };
    let flat = Root::new(top.path(), flat, candidate).unwrap();
    assert_eq!(
        say(&flat, "sub/talk.mp3"),
        "sub: below a folder that is not recursive"
    );
}

#[test]
fn what_a_thing_is_keeps_it_out() {
    let top = folder(&[("talk.mp3", "x"), ("sub/talk.mp3", "x")]);
    let at = |name: &str| top.path().join(name);
    symlink("talk.mp3", at("link.mp3")).unwrap();
    symlink("nowhere.mp3", at("broken.mp3")).unwrap();
    symlink("loop.mp3", at("loop.mp3")).unwrap();
    symlink("sub", at("linked")).unwrap();
    mknodat(CWD, at("pipe.mp3"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::hard_link(at("talk.mp3"), at("hard.mp3")).unwrap();
    let root = root(&top, RootRules::default());
    let said = |name: &str| say(&root, name);
    assert_eq!(said("link.mp3"), "recording");
    assert_eq!(said("hard.mp3"), "recording");
    assert_eq!(said("broken.mp3"), "broken.mp3: a link to nothing");
    assert_eq!(said("loop.mp3"), "loop.mp3: leads back to itself");
    let not_followed = "linked: a link to a folder, which is not followed";
    assert_eq!(said("linked/talk.mp3"), not_followed);
    assert_eq!(said("pipe.mp3"), "pipe.mp3: not a file but a pipe");
    assert_eq!(said("talk.mp3/inside.mp3"), "gone");
}

#[test]
fn a_root_that_is_gone_says_so_of_everything_in_it() {
    let top = folder(&[("talk.mp3", "x")]);
    let root = root(&top, RootRules::default());
    let path = top.path().join("talk.mp3");
    assert!(matches!(
        sight(&root, Path::new("/elsewhere.mp3")),
        Sight::Outside
    ));
    drop(top);
    assert!(matches!(sight(&root, &path), Sight::RootMissing));
}

#[test]
fn of_roots_that_overlap_the_innermost_owns_a_file() {
    let top = folder(&[("in/talk.mp3", "x"), ("out.mp3", "x")]);
    let outer = root(&top, RootRules::default());
    let inner = Root::new(&top.path().join("in"), RootRules::default(), candidate).unwrap();
    let roots = Roots::new(vec![outer, inner]).unwrap();
    let roots: Vec<_> = roots.iter().collect();
    assert_eq!(
        say(roots[0], "in/talk.mp3"),
        "in: belongs to another configured folder"
    );
    assert_eq!(say(roots[1], "talk.mp3"), "recording");
    assert_eq!(say(roots[0], "out.mp3"), "recording");
}

#[test]
fn the_state_of_stenod_is_never_looked_into() {
    let top = folder(&[("state/pieces/1.mp3", "x"), ("talk.mp3", "x")]);
    let root = root(&top, RootRules::default()).without_own(vec![top.path().join("state")]);
    assert_eq!(
        say(&root, "state/pieces/1.mp3"),
        "state: it holds what is stenod's own: its state or its configuration"
    );
    assert_eq!(say(&root, "talk.mp3"), "recording");
}

#[test]
fn the_state_of_stenod_is_never_looked_into_by_a_link_to_what_is_above_it() {
    let top = folder(&[("real/state/pieces/1.mp3", "x"), ("real/talk.mp3", "x")]);
    let link = top.path().join("link");
    symlink("real", &link).unwrap();
    let root = Root::new(&link, RootRules::default(), candidate).unwrap();
    let real = top.path().canonicalize().unwrap().join("real");
    let root = root.without_own(vec![real.join("state")]);
    assert_eq!(
        say(&root, "state/pieces/1.mp3"),
        "state: it holds what is stenod's own: its state or its configuration"
    );
    assert_eq!(say(&root, "talk.mp3"), "recording");
}

#[test]
fn an_ignore_file_is_read_as_git_reads_it() {
    let top = folder(&[
        (
            ".stenodignore",
            "# music\n/music/\n*.wav\n!keep.wav\n\ndraft-?.mp3\nlive/*/raw\n",
        ),
        ("shows/.stenodignore", "!draft-2.mp3\n"),
        ("music/a.mp3", "x"),
        ("shows/music/a.mp3", "x"),
        ("a.wav", "x"),
        ("shows/keep.wav", "x"),
        ("draft-1.mp3", "x"),
        ("shows/draft-1.mp3", "x"),
        ("shows/draft-2.mp3", "x"),
        ("live/may/raw/a.mp3", "x"),
        ("live/may/mixed/a.mp3", "x"),
    ]);
    let root = root(&top, RootRules::default());
    let said = |name: &str| say(&root, name);
    assert_eq!(
        said("music/a.mp3"),
        "music: ignored by `/music/`, line 2 of .stenodignore"
    );
    assert_eq!(said("shows/music/a.mp3"), "recording");
    assert_eq!(
        said("a.wav"),
        "a.wav: ignored by `*.wav`, line 3 of .stenodignore"
    );
    assert_eq!(said("shows/keep.wav"), "recording");
    let ignored = "ignored by `draft-?.mp3`, line 6 of .stenodignore";
    assert_eq!(said("draft-1.mp3"), format!("draft-1.mp3: {ignored}"));
    assert_eq!(
        said("shows/draft-1.mp3"),
        format!("shows/draft-1.mp3: {ignored}")
    );
    assert_eq!(said("shows/draft-2.mp3"), "recording");
    let raw = "live/may/raw: ignored by `live/*/raw`, line 7 of .stenodignore";
    assert_eq!(said("live/may/raw/a.mp3"), raw);
    assert_eq!(said("live/may/mixed/a.mp3"), "recording");
}

#[test]
fn an_ignore_file_with_a_mark_of_byte_order_is_read_from_its_first_line() {
    let top = folder(&[
        (".stenodignore", "\u{feff}private/\n*.wav\n"),
        ("private/a.mp3", "x"),
    ]);
    let said = say(&root(&top, RootRules::default()), "private/a.mp3");
    assert_eq!(
        said,
        "private: ignored by `private/`, line 1 of .stenodignore"
    );
}

#[test]
fn a_scan_that_begins_in_an_ignored_folder_or_below_one_finds_nothing() {
    let top = folder(&[
        (".stenodignore", "private/\n"),
        ("private/a.mp3", "x"),
        ("private/deep/b.mp3", "x"),
        ("open/c.mp3", "x"),
    ]);
    let root = root(&top, RootRules::default());
    let found = |scope: &Scope| {
        let mut found = 0;
        scan(&root, scope, &mut |one| {
            found += usize::from(matches!(one, Found::Recording { .. }));
            Continue(())
        });
        found
    };
    for name in ["private", "private/deep"] {
        let folder = top.path().join(name);
        assert_eq!(found(&Scope::Tree(folder.clone())), 0, "{name}");
        assert_eq!(found(&Scope::Folder(folder)), 0, "{name}");
    }
    assert_eq!(found(&Scope::Tree(top.path().join("open"))), 1);
    assert_eq!(found(&Scope::Root), 1);
}

#[test]
fn a_scan_of_one_folder_knows_the_ignore_files_above_it() {
    let top = folder(&[
        (".stenodignore", "*.wav\n"),
        ("a/b/x.wav", "x"),
        ("a/b/y.mp3", "x"),
    ]);
    let root = root(&top, RootRules::default());
    for scope in [
        Scope::Folder(top.path().join("a/b")),
        Scope::Tree(top.path().join("a")),
        Scope::Root,
    ] {
        let mut found = Vec::new();
        scan(&root, &scope, &mut |one| {
            if let Found::Recording { path, .. } = one {
                found.push(below(&root, &path));
            }
            Continue(())
        });
        assert_eq!(found, ["a/b/y.mp3"], "{scope:?}");
    }
}

#[test]
fn an_ignore_file_that_is_wrong_pauses_its_folder_alone() {
    let top = folder(&[
        ("a/.stenodignore", "fine\n[z-a\n"),
        ("a/deep/x.mp3", "x"),
        ("b/x.mp3", "x"),
    ]);
    let root = root(&top, RootRules::default());
    let said = say(&root, "a/deep/x.mp3");
    assert!(
        said.starts_with("paused by a/.stenodignore: line 2: `[z-a` is no pattern"),
        "{said}"
    );
    assert_eq!(say(&root, "b/x.mp3"), "recording");
    put(&top.path().join("a/.stenodignore"), b"ok\n\xff\n");
    assert_eq!(
        say(&root, "a/deep/x.mp3"),
        "paused by a/.stenodignore: line 2 is not UTF-8"
    );
    put(&top.path().join("a/.stenodignore"), &[b'#'; 300 << 10]);
    let said = say(&root, "a/deep/x.mp3");
    assert_eq!(
        said,
        "paused by a/.stenodignore: it is larger than 262144 bytes"
    );
}

#[test]
fn settings_of_folders_hold_for_what_is_below_the_outermost_first() {
    let top = folder(&[
        ("stenod.toml", "1"),
        ("a/stenod.toml", "2"),
        ("a/b/x.mp3", "x"),
        ("c/x.mp3", "x"),
    ]);
    let texts = |root: &Root, name: &str| {
        let Sight::File { local, .. } = sight(root, &root.path().join(name)) else {
            panic!("{name} is no recording");
        };
        let texts = local.settings().into_iter().map(|file| file.text.clone());
        texts.collect::<Vec<_>>()
    };
    let whole = root(&top, RootRules::default());
    assert_eq!(texts(&whole, "a/b/x.mp3"), ["1", "2"]);
    assert_eq!(texts(&whole, "c/x.mp3"), ["1"]);
    // A run that is given a folder or a file inside obeys what lies above it in the configured folder.
    let given = |name: &str| {
        let root = Root::new(&top.path().join(name), RootRules::default(), candidate).unwrap();
        root.with_rules_from(top.path())
    };
    assert_eq!(texts(&given("a/b"), "x.mp3"), ["1", "2"]);
    assert_eq!(texts(&given("a/b/x.mp3"), ""), ["1", "2"]);
    // The configuration itself is no file of a folder.
    let own = vec![top.path().join("stenod.toml")];
    let own = Root::new(top.path(), RootRules::default(), candidate)
        .unwrap()
        .without_own(own);
    assert_eq!(texts(&own, "c/x.mp3"), [] as [&str; 0]);
}

#[test]
fn what_cannot_be_read_is_told_with_its_folder() {
    if rustix::process::geteuid().is_root() {
        // Nothing is denied to root; `tests/rules.rs` asks as another user.
        return;
    }
    let top = folder(&[("closed/x.mp3", "x")]);
    let closed = top.path().join("closed");
    for mode in [0o000, 0o400] {
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
        let said = say(&root(&top, RootRules::default()), "closed/x.mp3");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(said.starts_with("closed: cannot be read"), "{said}");
    }
}

#[test]
fn a_folder_in_which_a_browser_loads_a_recording_is_passed_over() {
    let top = folder(&[
        ("talk.mp3.download/talk.mp3", "half"),
        ("my.download/talk.mp3", "whole"),
    ]);
    let root = root(&top, RootRules::default());
    let at = |name: &str| sight(&root, &top.path().join(name));
    assert!(matches!(
        at("talk.mp3.download/talk.mp3"),
        Sight::LeftOut { at, why: LeftOut::TemporaryName { pattern: "*.download" } }
            if at.ends_with("talk.mp3.download")
    ));
    assert!(matches!(at("my.download/talk.mp3"), Sight::File { .. }));
}

#[test]
fn a_file_of_rules_that_leads_nowhere_pauses_its_folder() {
    let top = folder(&[("a/x.mp3", "x"), ("b/x.mp3", "x"), ("c/x.mp3", "x")]);
    let at = |name: &str| top.path().join(name);
    symlink(at("no/such/file"), at("a/.stenodignore")).unwrap();
    symlink("stenod.toml", at("b/stenod.toml")).unwrap();
    // What is no file holds no rules, and was not meant to.
    symlink("/dev/null", at("c/stenod.toml")).unwrap();
    fs::create_dir(at("c/.stenodignore")).unwrap();
    let root = root(&top, RootRules::default());
    let said = say(&root, "a/x.mp3");
    assert_eq!(said, "paused by a/.stenodignore: it is a link to nothing");
    let said = say(&root, "b/x.mp3");
    assert!(
        said.starts_with("paused by b/stenod.toml: what it is a link to cannot be read: "),
        "{said}"
    );
    assert_eq!(say(&root, "c/x.mp3"), "recording");
    // Where it leads there are rules by now.
    put(&at("no/such/file"), b"*.mp3\n");
    let said = say(&root, "a/x.mp3");
    assert!(said.contains("ignored by `*.mp3`, line 1 of"), "{said}");
}
