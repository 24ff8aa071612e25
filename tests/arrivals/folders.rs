//! What `status`, `explain` and `doctor` know of the folders that a daemon watches.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::stage::Stage;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

#[test]
fn a_daemon_of_given_folders_is_asked_for_them() {
    let stage = stage();
    let given = stage.root().join("given");
    fs::create_dir(&given).unwrap();
    let path = given.join("a.wav");
    fs::write(&path, wav(1, 0.3)).unwrap();
    let explained = |stage: &Stage| stage.json(&["explain", path.to_str().unwrap()]);
    assert_eq!(explained(&stage)["folder"], Value::Null);
    // By a path from where it was started.
    let call = stage.call(["watch", "given"]).inside(stage.root());
    let mut watch = call.start();
    watch.until("the transcript", || given.join("a.json").exists());
    let found = explained(&stage);
    assert_eq!(found["folder"], given.to_str().unwrap(), "{found:#}");
    assert_eq!(found["answer"], "done", "{found:#}");
    let doctor = stage.stenod(["doctor", "--offline"]).no_panic().stdout;
    assert!(doctor.contains("given is watched by events"), "{doctor}");
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(explained(&stage)["folder"], Value::Null);
}

#[test]
fn a_configuration_that_is_wrong_hides_nothing_of_the_daemon_that_runs() {
    let stage = stage();
    let done = stage.put("a.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("that it is done", || {
        stage.state().exists() && stage.json(&["status"])["jobs"]["done"] == 1
    });
    stage.set("service.jobz", 3);
    let status = stage.stenod(["status"]).success();
    assert!(status.stdout.contains("running since"), "{}", status.tell());
    assert!(
        status.stdout.contains("1 of 1 done, watched by events"),
        "{}",
        status.tell()
    );
    for said in ["the configuration is wrong", "jobz"] {
        assert!(status.stderr.contains(said), "{}", status.tell());
    }
    let explained = stage.stenod(["explain", done.to_str().unwrap(), "--json"]);
    let found = explained.success().json();
    assert_eq!(found["answer"], "done", "{found:#}");
    assert_eq!(found["folder"], stage.recordings().to_str().unwrap());
    watch.terminate();
    watch.outcome().no_panic();
    stage.stenod(["status"]).code(10);
}

#[test]
fn a_pause_of_a_folder_that_was_removed_is_gone_with_it() {
    let stage = stage();
    stage.put("inner/stenod.toml", b"[transcribe]\nmodell = 1\n");
    stage.put("inner/deep/stenod.toml", b"[transcribe]\nlanguage = 7\n");
    stage.put("inner/a.wav", &wav(1, 0.3));
    stage.put("inner/deep/b.wav", &wav(2, 0.3));
    let mut watch = stage.call(["watch"]).start();
    let trouble = |stage: &Stage| stage.json(&["status"])["folders"][0]["trouble"].clone();
    watch.until("the pause", || {
        stage.state().exists() && !trouble(&stage).is_null()
    });
    fs::remove_dir_all(stage.at("inner")).unwrap();
    watch.until("the end of the pause", || trouble(&stage).is_null());
    watch.terminate();
    watch.outcome().no_panic();
}

#[test]
fn what_was_passed_over_counts_while_it_is_there_and_old_files_apart() {
    let stage = stage();
    stage.set_folders("existing", false);
    stage.put("old.wav", &wav(1, 0.3));
    stage.stenod(["run"]).success();
    let text = stage.put("text.mp3", b"I am a text and was called a recording.\n");
    stage.stenod(["run"]).no_panic();
    let counts = |stage: &Stage| {
        let status = stage.json(&["status"]);
        json!([status["skipped"], status["left_alone"]])
    };
    assert_eq!(counts(&stage), json!([1, 1]));
    let said = stage.stenod(["status"]).success().stdout;
    assert!(said.contains("1 passed over"), "{said}");
    assert!(said.contains("1 that were there before"), "{said}");
    fs::remove_file(text).unwrap();
    assert_eq!(counts(&stage), json!([0, 1]));
}

#[test]
fn where_nobody_watches_a_trouble_is_that_of_the_last_look() {
    let stage = stage();
    let rules = stage.put("inner/stenod.toml", b"[transcribe]\nmodell = 1\n");
    stage.put("inner/a.wav", &wav(1, 0.3));
    stage.stenod(["run"]).no_panic();
    fs::remove_file(rules).unwrap();
    let said = stage.stenod(["status"]).success().stdout;
    assert!(
        said.contains("when stenod looked last: a folder in it is paused"),
        "{said}"
    );
    fs::remove_dir_all(stage.recordings()).unwrap();
    let said = stage.stenod(["status"]).success().stdout;
    assert!(said.contains("it is not there"), "{said}");
}

#[test]
fn a_folder_that_is_a_single_file_is_checked_as_one() {
    let stage = stage();
    stage.no_folders();
    stage.add_folder(&stage.put("a.wav", &wav(1, 0.3)));
    let doctor = stage.stenod(["doctor", "--offline"]).success().stdout;
    assert!(doctor.contains("a.wav can be read"), "{doctor}");
}

#[test]
fn a_large_folder_that_is_looked_through_keeps_no_other_one_waiting() {
    let stage = stage();
    stage.no_folders();
    let (large, small) = (stage.root().join("large"), stage.root().join("small"));
    let then = SystemTime::now() - Duration::from_secs(3600);
    let put = |path: &Path, seed| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wav(seed, 0.05)).unwrap();
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(then).unwrap();
    };
    for seed in 1..=800 {
        put(&large.join(format!("{seed}.wav")), seed);
    }
    put(&small.join("a.wav"), 1000);
    stage.add_folder(&large);
    stage.add_folder(&small);
    stage.stenod(["pause"]).success();
    let mut watch = stage.call(["watch"]).start();
    watch.until("all of them", || {
        stage.json(&["status"])["jobs"]["queued"] == 801
    });
    let found = stage.json(&["explain", small.join("a.wav").to_str().unwrap()]);
    // Numbered as they were queued: long before the last of the large folder.
    let id = found["job"].as_u64().unwrap();
    assert!(id < 800, "{found:#}");
}
