//! Where the kernel lets a user watch a few folders only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use stenod_support::audio::wav;
use stenod_support::stage::Stage;
use tempfile::TempDir;

/// Watches that are allowed, and folders that there are.
const ALLOWED: usize = 20;
const FOLDERS: usize = 60;

/// The program in a user namespace of its own, where the limit is another; none where no such can be made.
fn limited(folder: &TempDir) -> Option<String> {
    // That of the namespace: `fs.inotify.max_user_watches` is the whole machine's, and root may set it.
    let limit = format!("echo {ALLOWED} > /proc/sys/user/max_inotify_watches");
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &limit])
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("no user namespace can be made here: passed over");
        return None;
    }
    let script = format!(
        "#!/bin/sh\nexec unshare --user --map-root-user sh -c '{limit} && exec \"$@\"' sh {} \"$@\"\n",
        env!("CARGO_BIN_EXE_stenod")
    );
    let path = folder.path().join("limited");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Some(path.to_str().unwrap().to_owned())
}

#[test]
fn beyond_the_limit_of_watches_it_polls_and_names_the_line_that_mends_it() {
    let folder = TempDir::new().unwrap();
    let Some(program) = limited(&folder) else {
        return;
    };
    let stage = Stage::new(&program);
    stage.set_folders("poll_every", "200ms");
    for number in 0..FOLDERS {
        fs::create_dir_all(stage.at(format!("{number}/in"))).unwrap();
    }
    let mut watch = stage.call(["watch"]).start();
    watch.until("the poll, with its reason", || {
        let folder = &stage.json(&["status"])["folders"][0];
        let reason = folder["watch_reason"].as_str().unwrap_or_default();
        folder["watch"] == "poll" && reason.contains("sudo sysctl user.max_inotify_watches=1048576")
    });
    stage.put("59/in/talk.wav", &wav(1, 0.3));
    watch.until("its transcript", || stage.at("59/in/talk.json").exists());
    let doctor = stage.stenod(["doctor", "--offline"]).no_panic();
    for said in [
        "is polled (the limit",
        "sudo sysctl user.max_inotify_watches=1048576",
    ] {
        assert!(doctor.stdout.contains(said), "{}", doctor.tell());
    }
    watch.terminate();
    let outcome = watch.outcome().no_panic();
    assert!(
        outcome
            .stderr
            .contains("sudo sysctl user.max_inotify_watches=1048576"),
        "{}",
        outcome.tell()
    );
    stage.check();
}
