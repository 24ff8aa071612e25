//! Folders whose old files are left alone, and that are not there at the first start.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::stage::Stage;

/// A stage with one folder more, whose old files are left alone, and an archive that lies elsewhere.
fn stage() -> (Stage, PathBuf, PathBuf) {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    let (folder, archive) = (stage.root().join("drive"), stage.root().join("archive"));
    stage.add_folder_with(&folder, &[("existing", json!(false))]);
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("old.wav"), wav(1, 0.3)).unwrap();
    (stage, folder, archive)
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn code(stage: &Stage, path: &Path) -> Value {
    stage.json(&["explain", path.to_str().unwrap()])["code"].clone()
}

#[test]
fn a_folder_that_was_missing_at_the_first_start_brings_its_old_files_and_new_ones() {
    let (stage, folder, archive) = stage();
    stage.stenod(["run"]).no_panic();
    fs::rename(&archive, &folder).unwrap();
    fs::write(folder.join("new.wav"), wav(2, 0.3)).unwrap();
    assert_eq!(code(&stage, &folder.join("old.wav")), "existing");
    assert_ne!(code(&stage, &folder.join("new.wav")), "existing");
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["to_send"]["recordings"], 1, "{plan:#}");
    stage.stenod(["run"]).success();
    assert!(folder.join("new.json").exists());
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
    assert_eq!(code(&stage, &folder.join("old.wav")), "existing");
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
    // Whoever names it wants it.
    stage
        .stenod([Path::new("run"), &folder.join("old.wav")])
        .success();
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
}

#[test]
fn a_mount_point_that_was_empty_at_the_first_start_brings_its_old_files_and_new_ones() {
    let (stage, folder, archive) = stage();
    let outside = stage.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("older.wav"), wav(3, 0.3)).unwrap();
    fs::create_dir(&folder).unwrap();
    let mut watch = stage.call(["watch"]).start();
    let scanned = |stage: &Stage| {
        let status = stage.json(&["status"]);
        let folders = status["folders"].as_array().unwrap().clone();
        let drive = folder.to_str().unwrap();
        let drive = folders.into_iter().find(|folder| folder["path"] == drive);
        drive.is_some_and(|drive| !drive["scanned_at"].is_null())
    };
    watch.until("the first look", || {
        stage.state().exists() && scanned(&stage)
    });
    // What a mount does: another folder lies there, with files that nobody touched since.
    fs::rename(&folder, stage.root().join("below")).unwrap();
    fs::rename(&archive, &folder).unwrap();
    fs::write(folder.join("new.wav"), wav(2, 0.3)).unwrap();
    watch.until("the new one", || folder.join("new.json").exists());
    // All of that was seen now, so that what comes is new, whatever its times; an old file stays an old one
    // under another name.
    fs::create_dir(folder.join("sorted")).unwrap();
    fs::rename(folder.join("old.wav"), folder.join("sorted/old.wav")).unwrap();
    fs::rename(&outside, folder.join("outside")).unwrap();
    let json = folder.join("outside/older.json");
    watch.until("what came since", || json.exists());
    let sorted = folder.join("sorted/old.wav");
    assert_eq!(code(&stage, &sorted), "existing");
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 2, "{}", stage.service.story());
}

#[test]
fn an_old_file_that_is_only_touched_stays_an_old_one_and_one_with_other_bytes_is_new() {
    let (stage, folder, archive) = stage();
    fs::rename(&archive, &folder).unwrap();
    stage.stenod(["run"]).success();
    let old = folder.join("old.wav");
    assert_eq!(code(&stage, &old), "existing");
    let touch = |seconds| {
        let file = fs::File::options().write(true).open(&old).unwrap();
        let time = fs::metadata(&old).unwrap().modified().unwrap();
        file.set_modified(time + std::time::Duration::from_secs(seconds))
            .unwrap();
    };
    touch(1);
    assert_eq!(code(&stage, &old), "existing");
    assert_eq!(stage.json(&["plan"])["to_send"]["recordings"], 0);
    // Known as it is now, it is told by what was read of it then.
    stage.stenod(["run"]).success();
    touch(1);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 0, "{}", stage.service.story());
    let mut bytes = fs::read(&old).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&old, bytes).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
}
