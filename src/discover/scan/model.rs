//! The scan against a model of its own, over random trees.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::tests::{Seen, folder, list, put, rules, see};
use super::*;
use crate::discover::RootRules;

/// What a random tree may hold.
#[derive(Debug, Clone)]
enum Node {
    File,
    Pipe,
    LinkToFile,
    LinkToFolder,
    BrokenLink,
    Folder(BTreeMap<OsString, Node>),
}

fn name() -> impl Strategy<Value = OsString> {
    let stem = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"c",
        b".h",
        b"~$t",
        b"\xff",
        b"l\nf",
        b"@eaDir",
        b"old",
    ]);
    let ending = prop::sample::select(vec![&b""[..], b".mp3", b".wav", b".txt", b".mp3.part"]);
    (stem, ending).prop_map(|(stem, ending)| OsStr::from_bytes(&[stem, ending].concat()).to_owned())
}

fn tree() -> impl Strategy<Value = BTreeMap<OsString, Node>> {
    let leaf = prop_oneof![
        6 => Just(Node::File),
        1 => Just(Node::Pipe),
        1 => Just(Node::LinkToFile),
        1 => Just(Node::LinkToFolder),
        1 => Just(Node::BrokenLink),
    ];
    let node = leaf.prop_recursive(4, 60, 8, |inner| {
        prop::collection::btree_map(name(), inner, 0..8).prop_map(Node::Folder)
    });
    prop::collection::btree_map(name(), node, 0..8)
}

fn build(at: &Path, tree: &BTreeMap<OsString, Node>, outside: &Path) {
    for (name, node) in tree {
        let path = at.join(name);
        match node {
            Node::File => put(&path),
            Node::Pipe => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
            Node::LinkToFile => symlink(outside.join("x.mp3"), &path).unwrap(),
            Node::LinkToFolder => symlink(outside, &path).unwrap(),
            Node::BrokenLink => symlink("nowhere", &path).unwrap(),
            Node::Folder(tree) => {
                fs::create_dir(&path).unwrap();
                build(&path, tree, outside);
            }
        }
    }
}

/// The model: what a scan should find and tell (exclude: `old*`, include: `*.mp3`).
fn expect(
    at: &Path,
    tree: &BTreeMap<OsString, Node>,
    found: &mut Vec<PathBuf>,
    told: &mut Vec<PathBuf>,
) {
    for (name, node) in tree {
        let path = at.join(name);
        let bytes = name.as_bytes();
        let passed = bytes.starts_with(b".") || bytes.starts_with(b"~$");
        let file_like = !passed && (bytes.ends_with(b".mp3") || bytes.ends_with(b".wav"));
        let wanted = bytes.ends_with(b".mp3") && !bytes.starts_with(b"old");
        let loading = bytes.ends_with(b".mp3.part");
        let folder_like = !bytes.starts_with(b".") && bytes != b"@eaDir" && !loading;
        let wanted_folder = folder_like && !bytes.starts_with(b"old");
        match node {
            Node::File | Node::LinkToFile if file_like && wanted => found.push(path),
            Node::File | Node::LinkToFile | Node::Pipe | Node::BrokenLink if file_like => {
                told.push(path);
            }
            Node::LinkToFolder if folder_like => told.push(path),
            Node::Folder(tree) if wanted_folder => expect(&path, tree, found, told),
            Node::Folder(_) if folder_like => told.push(path),
            Node::File
            | Node::Pipe
            | Node::LinkToFile
            | Node::LinkToFolder
            | Node::BrokenLink
            | Node::Folder(_) => {}
        }
    }
}

fn all_folders(at: &Path, tree: &BTreeMap<OsString, Node>) -> Vec<PathBuf> {
    let inner = tree.iter().filter_map(|(name, node)| match node {
        Node::Folder(tree) => Some(all_folders(&at.join(name), tree)),
        Node::File | Node::Pipe | Node::LinkToFile | Node::LinkToFolder | Node::BrokenLink => None,
    });
    let mut folders: Vec<PathBuf> = inner.flatten().collect();
    folders.push(at.to_owned());
    folders
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_agrees_with_the_model(tree in tree()) {
        let outside = folder(&["x.mp3"]);
        let top = TempDir::new().unwrap();
        build(top.path(), &tree, outside.path());
        let (include, exclude) = (list(&["*.mp3"]), list(&["old*"]));
        let root = rules(top.path(), RootRules { include, exclude, ..RootRules::default() });

        let (mut found, mut told) = (Vec::new(), Vec::new());
        expect(Path::new(""), &tree, &mut found, &mut told);
        let whole = see(&root, &Scope::Root);
        let sorted = |mut paths: Vec<PathBuf>| { paths.sort(); paths };
        let skipped = |seen: &Seen| seen.skipped.iter().map(|(path, _)| path.clone()).collect();
        prop_assert_eq!(sorted(whole.recordings.clone()), sorted(found.clone()));
        prop_assert_eq!(sorted(skipped(&whole)), sorted(told));

        // The same again is the same, and folder by folder it is the same as the whole.
        prop_assert_eq!(&see(&root, &Scope::Root).recordings, &whole.recordings);
        let mut parts = Vec::new();
        for folder in all_folders(top.path(), &tree) {
            parts.extend(see(&root, &Scope::Folder(folder)).recordings);
        }
        prop_assert_eq!(sorted(parts), sorted(found.clone()));

        // What the scan finds is what the rules by themselves let through.
        for path in &found {
            prop_assert_eq!(root.left_out(&top.path().join(path)), None);
        }
    }
}
