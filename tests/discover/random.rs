//! Random things, many at a time.

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use stenod::discover::{Found, RootRules, Scope, Tuning, scan};
use tempfile::TempDir;

use crate::follower::{Follower, brisk, put, root};

/// Something that happens to a file or folder of a small tree.
#[derive(Debug, Clone)]
enum Act {
    Folder(String),
    File(String),
    Move(String, String),
    Remove(String),
}

fn act() -> impl Strategy<Value = Act> {
    let folder = || "[ab](/[ab]){0,3}";
    let file = || "([ab]/){0,3}[xy]\\.mp3";
    let any = prop_oneof![folder(), file()].boxed();
    prop_oneof![
        3 => folder().prop_map(Act::Folder),
        4 => file().prop_map(Act::File),
        3 => (any.clone(), any.clone()).prop_map(|(from, to)| Act::Move(from, to)),
        1 => any.prop_map(Act::Remove),
    ]
}

/// Does it if it can be done; what is in the way is left as it is.
fn perform(top: &Path, act: &Act) {
    match act {
        Act::Folder(path) => drop(fs::create_dir_all(top.join(path))),
        Act::File(path) => {
            let file = File::options()
                .create(true)
                .append(true)
                .open(top.join(path));
            drop(file.map(|mut file| file.write_all(b"speech")));
        }
        Act::Move(from, to) => drop(rustix::fs::rename(top.join(from), top.join(to))),
        Act::Remove(path) if path.ends_with(".mp3") => drop(fs::remove_file(top.join(path))),
        Act::Remove(path) => drop(fs::remove_dir_all(top.join(path))),
    }
}

fn there(top: &Path) -> Vec<PathBuf> {
    let mut there = Vec::new();
    let whole = root(top, RootRules::default());
    scan(&whole, &Scope::Root, &mut |one| {
        if let Found::Recording { path, .. } = one {
            there.push(path);
        }
        Continue(())
    });
    there
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_what_is_there_in_the_end_is_found(
        rounds in prop::collection::vec(prop::collection::vec(act(), 1..40), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let top = TempDir::new().unwrap();
            let tuning = Tuning { check_every: Duration::from_secs(3600), ..brisk() };
            let mut follower = Follower::started(top.path(), RootRules::default(), tuning).await;
            for round in rounds {
                for act in &round {
                    perform(top.path(), act);
                }
                // What was found before may have been another file of that name.
                follower.found.clear();
                for path in there(top.path()) {
                    put(&path);
                }
                follower.until_found(&there(top.path())).await;
            }
        });
    }
}
