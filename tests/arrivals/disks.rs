//! The whole program on disks that come and go, and on one to which capitals make no difference.
//!
//! Roots are looked at every 30 seconds, so that these take a minute each: `just watch-storm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use stenod_support::audio::wav;
use stenod_support::stage::{Stage, eventually};

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[track_caller]
fn mount(arguments: &[&str], at: &Path) {
    let done = Command::new("mount").args(arguments).arg(at).status();
    assert!(done.unwrap().success());
}

/// Takes it away as soon as nobody looks into it.
fn unmount(at: &Path) {
    eventually("the end of a look into it", || {
        let done = Command::new("umount").arg(at).output();
        done.unwrap().status.success()
    });
}

#[test]
#[ignore = "needs the right to mount, and a minute"]
fn a_bind_mount_taken_away_and_put_back_is_followed_and_nothing_is_paid_again() {
    let stage = stage();
    let elsewhere = stage.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let bind = || {
        mount(
            &["--bind", elsewhere.to_str().unwrap()],
            &stage.recordings(),
        );
    };
    bind();
    stage.put("first.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first", || stage.at("first.json").exists());
    unmount(&stage.recordings());
    fs::write(elsewhere.join("meanwhile.wav"), wav(2, 0.3)).unwrap();
    // The empty folder below it is noticed, and nothing is forgotten for it.
    stage.put("below.wav", &wav(3, 0.3));
    watch.until("the one below", || stage.at("below.json").exists());
    bind();
    watch.until("the one that came meanwhile", || {
        stage.at("meanwhile.json").exists()
    });
    stage.put("after.wav", &wav(4, 0.3));
    watch.until("the last", || stage.at("after.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 4, "{}", stage.service.story());
    unmount(&stage.recordings());
}

#[test]
#[ignore = "needs the right to mount, and a minute"]
fn a_tmpfs_mounted_anew_is_followed_and_what_comes_again_is_not_paid_again() {
    let stage = stage();
    let tmpfs = || mount(&["-t", "tmpfs", "none"], &stage.recordings());
    tmpfs();
    stage.put("first.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first", || stage.at("first.json").exists());
    unmount(&stage.recordings());
    tmpfs();
    stage.put("first.wav", &wav(1, 0.3));
    stage.put("deep/second.wav", &wav(2, 0.3));
    watch.until("the second", || stage.at("deep/second.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
    unmount(&stage.recordings());
}

/// The names in `folder` that end in `ending`.
fn ending(folder: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().to_owned()
    });
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

#[test]
#[ignore = "needs a disk to which capitals make no difference, at STENOD_ANY_CASE_DIR"]
fn where_capitals_make_no_difference_outputs_stay_apart_and_a_new_spelling_costs_nothing() {
    let disk = PathBuf::from(std::env::var_os("STENOD_ANY_CASE_DIR").unwrap());
    let folder = disk.join("recordings");
    fs::create_dir(&folder).unwrap();
    let stage = stage();
    stage.no_folders();
    let more = [("settle", json!("500ms")), ("poll_every", json!("500ms"))];
    stage.add_folder_with(&folder, &more);
    let at = |name: &str| folder.join(name);
    fs::write(at("Talk.wav"), wav(1, 0.3)).unwrap();
    assert!(at("tALK.WAV").exists(), "capitals make a difference here");
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first", || at("Talk.json").exists());
    fs::write(at("talk.flac"), wav(2, 0.3)).unwrap();
    watch.until("the second", || at("talk.flac.json").exists());
    assert_eq!(ending(&folder, ".json"), ["Talk.json", "talk.flac.json"]);
    fs::rename(at("Talk.wav"), at("TALK.wav")).unwrap();
    watch.until("the new spelling", || {
        stage.json(&["explain", at("TALK.wav").to_str().unwrap()])["answer"] == "done"
    });
    assert_eq!(ending(&folder, ".json"), ["Talk.json", "talk.flac.json"]);
    let said = fs::read_to_string(at("Talk.json")).unwrap();
    assert!(said.contains("TALK.wav"), "{said}");
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
}
