//! Folders and files inside a watched folder that may not be read for a while.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::stage::{NOBODY, Stage, is_root};

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn trouble(stage: &Stage) -> Value {
    stage.json(&["status"])["folders"][0]["trouble"].clone()
}

fn says(trouble: &Value, words: &str) -> bool {
    trouble.as_str().is_some_and(|text| text.contains(words))
}

/// How many lines of the log say this at this level.
fn logged(log: &str, level: &str, words: &str) -> usize {
    let lines = log.lines();
    lines
        .filter(|line| line.contains(level) && line.contains(words))
        .count()
}

#[test]
fn a_folder_inside_that_is_closed_and_opened_again_is_told_once_and_taken_up() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    let first = stage.put("inner/first.wav", &wav(1, 0.3));
    let inner = first.parent().unwrap().to_owned();
    stage.put("inner/deep/second.wav", &wav(2, 0.3));
    stage.give_away();
    let mut watch = stage.call(["watch"]).user(NOBODY).start();
    watch.until("both transcripts", || {
        stage.at("inner/first.json").exists() && stage.at("inner/deep/second.json").exists()
    });
    allow(&inner, 0o000);
    let third = stage.put("inner/third.wav", &wav(3, 0.3));
    let fourth = stage.put("inner/new/fourth.wav", &wav(4, 0.3));
    stage.give_away();
    watch.until("the trouble", || {
        says(&trouble(&stage), "inner cannot be read: Permission denied")
    });
    let text = stage.stenod(["status"]).success().stdout;
    assert!(text.contains("inner cannot be read"), "{text}");
    for path in [&third, &fourth] {
        let call = stage.call(["explain", path.to_str().unwrap(), "--json"]);
        let found = call.user(NOBODY).output().success().json();
        assert_eq!(found["code"], "permission_denied", "{found:#}");
        assert!(says(&found["fix"], "setfacl -m"), "{found:#}");
        assert!(says(&found["fix_note"], "lets you read it"), "{found:#}");
    }
    let doctor = stage.call(["doctor", "--offline", "--json"]).user(NOBODY);
    let checks = doctor.output().json()["checks"].clone();
    let denied = checks.as_array().unwrap().iter();
    let mut denied = denied.filter(|check| says(&check["message"], "inner cannot be read"));
    let fix = &denied.next().expect("a check of the folder")["fix"];
    assert!(says(fix, "setfacl -R -m u:65534:rX"), "{checks:#}");

    allow(&inner, 0o755);
    watch.until("what came meanwhile", || {
        stage.at("inner/third.json").exists() && stage.at("inner/new/fourth.json").exists()
    });
    watch.until("no trouble", || trouble(&stage).is_null());
    // It is watched again, with all that is in it.
    stage.put("inner/deep/fifth.wav", &wav(5, 0.3));
    watch.until("the fifth", || stage.at("inner/deep/fifth.json").exists());
    watch.terminate();
    let log = watch.outcome().no_panic().stderr;
    for (level, words) in [("WARN", "it cannot be read"), ("INFO", "can be read again")] {
        let count = log.lines().filter(|line| {
            let inner = line.ends_with("/inner");
            inner && line.contains(level) && line.contains(words)
        });
        assert_eq!(count.count(), 1, "{words}: {log}");
    }
    stage.check();
}

#[test]
fn a_polled_folder_that_may_not_be_read_is_told_once_and_taken_up() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set_folders("watch", "poll");
    stage.set_folders("poll_every", "1s");
    let other = stage.root().join("other");
    fs::create_dir(&other).unwrap();
    let rules = [("watch", json!("poll")), ("poll_every", json!("1s"))];
    stage.add_folder_with(&other, &rules);
    let closed = stage.put("a.wav", &wav(1, 0.3));
    stage.give_away();
    allow(&closed, 0o000);
    let mut watch = stage.call(["watch"]).user(NOBODY).start();
    watch.until("the file that may not be read", || {
        stage.state().exists() && says(&trouble(&stage), "a.wav cannot be read")
    });
    allow(&closed, 0o644);
    watch.until("its transcript", || stage.at("a.json").exists());
    watch.until("no trouble", || trouble(&stage).is_null());
    allow(&stage.recordings(), 0o000);
    watch.until("the trouble of all of it", || {
        says(&trouble(&stage), "it cannot be read")
    });
    // Polled some times meanwhile, like its neighbour.
    for name in ["once", "again"] {
        let path = other.join(name).with_extension("wav");
        fs::write(&path, wav(name.len() as u64, 0.3)).unwrap();
        watch.until("what came to its neighbour", || {
            path.with_extension("json").exists()
        });
    }
    fs::write(stage.at("b.wav"), wav(2, 0.3)).unwrap();
    allow(&stage.recordings(), 0o755);
    watch.until("the second", || stage.at("b.json").exists());
    watch.terminate();
    let log = watch.outcome().no_panic().stderr;
    assert_eq!(logged(&log, "WARN", "it cannot be read:"), 1, "{log}");
    assert_eq!(
        logged(&log, "INFO", "it is there and can be read again"),
        1,
        "{log}"
    );
}

#[test]
fn a_queued_recording_that_may_not_be_read_waits_and_goes_on_when_it_may() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    fs::create_dir_all(stage.recordings()).unwrap();
    stage.give_away();
    let mut watch = stage.call(["watch"]).user(NOBODY).start();
    watch.until("the daemon", || stage.state().join("control.sock").exists());
    stage.stenod(["pause"]).success();
    let closed = stage.put("a.wav", &wav(1, 0.3));
    stage.give_away();
    let first = || stage.json(&["list"])[0].clone();
    watch.until("it in the queue", || first()["state"] == "queued");
    allow(&closed, 0o000);
    stage.stenod(["resume"]).success();
    watch.until("it to wait", || first()["state"] == "waiting");
    assert_eq!(first()["reason"], "source_unreadable");
    allow(&closed, 0o644);
    stage.stenod(["reload"]).success();
    watch.until("its transcript", || stage.at("a.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    stage.check();
}
