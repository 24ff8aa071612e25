//! Disks that come and go: in a namespace of their own, where whoever runs the tests may mount.
//!
//! As root, `unshare --mount cargo test --test discover mounts -- --ignored` does without the namespace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stenod::discover::{Mode, ModeReason, RootRules};
use tempfile::TempDir;

use crate::follower::{Follower, brisk, follower, put};

#[test]
fn disks_that_come_and_go_are_followed_in_a_namespace_of_their_own() {
    let inside = || {
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--mount"]);
        inside
    };
    let tried = inside()
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("no disk can be mounted here: passed over");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let ran = inside()
        .arg(this)
        .args(["--ignored", "mounts::"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("4 passed"), "{said}");
}

fn mount(kind: &str, options: &str, at: &Path) {
    let done = Command::new("mount")
        .args(["-t", kind, "-o", options, "none"])
        .arg(at)
        .status();
    assert!(done.unwrap().success());
}

fn unmount(at: &Path) {
    let done = Command::new("umount").arg(at).status();
    assert!(done.unwrap().success());
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_disk_mounted_inside_a_root_is_noticed_each_time() {
    let top = TempDir::new().unwrap();
    let disk = top.path().join("a disk");
    fs::create_dir(&disk).unwrap();
    let mut follower = follower(&top).await;
    for round in 0..3 {
        mount("tmpfs", "size=1m", &disk);
        put(&disk.join(format!("{round}.mp3")));
        follower
            .until_found(&[disk.join(format!("{round}.mp3"))])
            .await;
        fs::create_dir(disk.join("in")).unwrap();
        put(&disk.join(format!("in/more-{round}.mp3")));
        follower
            .until_found(&[disk.join(format!("in/more-{round}.mp3"))])
            .await;
        unmount(&disk);
    }
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_root_whose_disk_is_taken_away_and_put_back_is_watched_again() {
    let top = TempDir::new().unwrap();
    mount("tmpfs", "size=1m", top.path());
    let mut follower = follower(&top).await;
    for round in 0..3 {
        unmount(top.path());
        mount("tmpfs", "size=1m", top.path());
        put(&top.path().join(format!("{round}.mp3")));
        follower
            .until_found(&[top.path().join(format!("{round}.mp3"))])
            .await;
        put(&top.path().join(format!("more-{round}.mp3")));
        follower
            .until_found(&[top.path().join(format!("more-{round}.mp3"))])
            .await;
    }
    unmount(top.path());
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn a_bind_mount_that_is_taken_away_and_put_back_is_watched_again() {
    let (top, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let bind = || {
        let done = Command::new("mount")
            .arg("--bind")
            .args([elsewhere.path(), top.path()])
            .status();
        assert!(done.unwrap().success());
    };
    bind();
    let mut follower = follower(&top).await;
    for round in 0..3 {
        unmount(top.path());
        // Written where it is mounted from, while it is away.
        put(&elsewhere.path().join(format!("away-{round}.mp3")));
        bind();
        let away = top.path().join(format!("away-{round}.mp3"));
        follower.until_found(&[away]).await;
        put(&elsewhere.path().join(format!("{round}.mp3")));
        let there = top.path().join(format!("{round}.mp3"));
        follower.until_found(&[there]).await;
    }
    unmount(top.path());
}

#[tokio::test]
#[ignore = "needs the right to mount"]
async fn an_unreliable_file_system_is_polled_as_a_root_and_inside_one() {
    let ground = TempDir::new().unwrap();
    mount("tmpfs", "size=1m", ground.path());
    let at = |name: &str| ground.path().join(name);
    for name in ["lower", "upper", "work", "root", "root/merged"] {
        fs::create_dir(at(name)).unwrap();
    }
    let options =
        ["lower", "upper", "work"].map(|name| format!("{name}dir={}", at(name).display()));
    let merged = at("root/merged");
    mount("overlay", &options.join(","), &merged);

    let poll_every = Duration::from_millis(50);
    let rules = RootRules {
        poll_every,
        ..RootRules::default()
    };
    let mut outer = Follower::started(&at("root"), rules.clone(), brisk()).await;
    let mode = &outer.watcher.modes()[0];
    assert_eq!((mode.mode, mode.watched_folders), (Mode::Events, 1));
    assert_eq!(mode.polled_inside, [(merged.clone(), "overlay")]);
    let mut itself = Follower::started(&merged, rules, brisk()).await;
    let mode = &itself.watcher.modes()[0];
    assert_eq!(mode.mode, Mode::Poll);
    assert_eq!(
        mode.reason,
        ModeReason::RemoteDisk {
            file_system: "overlay"
        }
    );

    put(&merged.join("a.mp3"));
    outer.until_found(&[merged.join("a.mp3")]).await;
    itself.until_found(&[merged.join("a.mp3")]).await;
    unmount(&merged);
    unmount(ground.path());
}
