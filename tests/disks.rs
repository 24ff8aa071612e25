//! Disks that are full, may not be written or hang: nothing is sent without its record, and nothing is paid twice.
//!
//! A small disk is a tmpfs and one that hangs is a FUSE that nobody serves, which take the right to mount (`CAP_SYS_ADMIN`); without that right those tests
//! say so and are passed over.

#![cfg(test)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use stenod_support::audio::wav;
use stenod_support::stage::{NOBODY, Stage, eventually, is_root, tree};

/// The number of the right to mount, see capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;

/// A disk of one MiB; it goes with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `path`, if that may be done here.
    fn at(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(path)
            .output()
            .unwrap();
        if mounted.status.success() {
            return Some(Self(path.to_owned()));
        }
        let text = String::from_utf8_lossy(&mounted.stderr).into_owned();
        assert!(!may_mount(), "no small disk: {text}");
        println!("passed over: no disk may be mounted here: {}", text.trim());
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if ballast.write_all(&vec![b'.'; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

/// Whether this process has the right to mount.
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
    rights & (1 << CAP_SYS_ADMIN) != 0
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// A disk that lets everybody wait who looks at it; with the value it goes, and they hear of an error.
struct HangingDisk {
    at: PathBuf,
    /// Where the kernel asks its questions, which nobody reads.
    questions: Option<File>,
}

impl HangingDisk {
    /// Mounts one at `path`, if that may be done here.
    fn at(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let mounted = device.map(|device| {
            let mount = Command::new("mount")
                .args(["-i", "-t", "fuse", "hangs"])
                .args(["-o", "fd=0,rootmode=40000,user_id=0,group_id=0"])
                .arg(path)
                .stdin(device.try_clone().unwrap())
                .output();
            (device, mount.unwrap())
        });
        match mounted {
            Ok((device, mount)) if mount.status.success() => {
                return Some(Self {
                    at: path.to_owned(),
                    questions: Some(device),
                });
            }
            Ok((_, mount)) => println!("{}", String::from_utf8_lossy(&mount.stderr)),
            Err(error) => println!("/dev/fuse: {error}"),
        }
        // A container may have the right and not the device.
        println!("passed over: no disk that hangs can be mounted here");
        None
    }
}

impl Drop for HangingDisk {
    fn drop(&mut self) {
        drop(self.questions.take());
        let unmounted = Command::new("umount").arg("-l").arg(&self.at).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn submits(stage: &Stage) -> usize {
    stage.service.look(|log| log.submits().count())
}

#[test]
fn without_room_for_the_record_nothing_is_sent_and_with_room_it_goes_on() {
    let stage = stage();
    let Some(disk) = SmallDisk::at(&stage.state()) else {
        return;
    };
    // The table is there, and the recording was never seen.
    stage.stenod(["run"]).success();
    stage.put("a.wav", &wav(1, 0.5));
    disk.fill();
    let outcome = stage.stenod(["run"]).no_panic();
    assert_ne!(outcome.code, Some(0), "{}", outcome.tell());
    outcome.says("room");
    assert_eq!(submits(&stage), 0, "{}", stage.service.story());
    disk.make_room();
    stage.stenod(["run"]).success();
    assert!(stage.at("a.json").exists());
    assert_eq!(submits(&stage), 1);
    stage.check();
}

#[test]
fn a_transcript_that_finds_no_room_is_kept_and_written_when_there_is_some() {
    let stage = stage();
    let outputs = stage.root().join("outputs");
    let Some(disk) = SmallDisk::at(&outputs) else {
        return;
    };
    stage.set("transcribe.output_dir", outputs.to_str().unwrap());
    stage.set("service.jobs", 1);
    for seed in 1..=3 {
        stage.put(format!("{seed}.wav"), &wav(seed, 0.5));
    }
    disk.fill();
    let outcome = stage.stenod(["run"]).no_panic();
    assert_ne!(outcome.code, Some(0), "{}", outcome.tell());
    outcome.says("disk");
    let sent = submits(&stage);
    assert!(sent < 3, "the queue was held: {}", stage.service.story());
    disk.make_room();
    stage.stenod(["run"]).success();
    for seed in 1..=3 {
        assert!(outputs.join(format!("{seed}.json")).exists());
    }
    assert_eq!(submits(&stage), 3);
    stage.check();
}

#[test]
fn a_disk_of_the_table_that_fills_while_the_daemon_runs_holds_it_until_there_is_room() {
    let stage = stage();
    let Some(disk) = SmallDisk::at(&stage.state()) else {
        return;
    };
    stage.put("a.wav", &wav(1, 0.5));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("a.json").exists());
    disk.fill();
    stage.put("b.wav", &wav(2, 0.5));
    eventually("its word about the disk", || {
        watch.stderr().contains("no room")
    });
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    disk.make_room();
    watch.until("the second transcript", || stage.at("b.json").exists());
    assert_eq!(submits(&stage), 2);
    watch.terminate();
    watch.outcome().no_panic();
    stage.check();
}

#[test]
fn a_disk_of_the_outputs_that_fills_while_the_daemon_runs_holds_the_queue_until_there_is_room() {
    let stage = stage();
    let outputs = stage.root().join("outputs");
    let Some(disk) = SmallDisk::at(&outputs) else {
        return;
    };
    stage.set("transcribe.output_dir", outputs.to_str().unwrap());
    stage.put("a.wav", &wav(1, 0.5));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || outputs.join("a.json").exists());
    disk.fill();
    stage.put("b.wav", &wav(2, 0.5));
    eventually("the pause", || {
        let status = stage.json(&["status"]);
        let reasons: Vec<_> = status["pauses"].as_array().unwrap().iter().collect();
        reasons.iter().any(|pause| pause["reason"] == "disk")
    });
    stage.put("c.wav", &wav(3, 0.5));
    eventually("the third in the line", || {
        stage.json(&["list"]).as_array().unwrap().len() == 3
    });
    assert_eq!(submits(&stage), 2, "the queue was not held");
    disk.make_room();
    watch.until("the other transcripts", || {
        ["b", "c"]
            .iter()
            .all(|name| outputs.join(name).with_extension("json").exists())
    });
    assert_eq!(submits(&stage), 3);
    watch.terminate();
    watch.outcome().no_panic();
    stage.check();
}

#[test]
fn a_transcript_that_cannot_be_written_beside_its_recording_goes_to_an_output_folder_that_is_named_later()
 {
    let stage = stage();
    let outputs = stage.root().join("outputs");
    fs::create_dir(&outputs).unwrap();
    stage.put("inside/a.wav", &wav(1, 0.5));
    stage.give_away();
    let set = |mode| {
        fs::set_permissions(stage.at("inside"), fs::Permissions::from_mode(mode)).unwrap();
    };
    let run = |stage: &Stage| {
        let call = stage.call(["run"]);
        let call = if is_root() { call.user(NOBODY) } else { call };
        call.output()
    };
    set(0o555);
    run(&stage).code(3).says("cannot write");
    stage.set("transcribe.output_dir", outputs.to_str().unwrap());
    run(&stage).success();
    set(0o755);
    assert!(outputs.join("inside/a.txt").exists());
    assert_eq!(submits(&stage), 1, "{}", stage.service.story());
    stage.check();
}

#[test]
fn recordings_that_may_only_be_read_get_their_transcripts_into_the_output_folder() {
    let stage = stage();
    let outputs = stage.root().join("outputs");
    fs::create_dir(&outputs).unwrap();
    stage.put("inside/a.wav", &wav(1, 0.5));
    stage.set("transcribe.output_dir", outputs.to_str().unwrap());
    stage.give_away();
    let closed = [stage.at("inside"), stage.recordings()];
    let set = |mode| {
        for folder in &closed {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    let before = tree(&stage.recordings());
    let mut call = stage.call(["run"]);
    if is_root() {
        call = call.user(NOBODY);
    }
    call.output().success();
    assert_eq!(tree(&stage.recordings()), before);
    set(0o755);
    for name in ["inside/a.txt", "inside/a.json"] {
        assert!(outputs.join(name).exists(), "{name}");
    }
    stage.check();
}

/// A folder that is mounted in another place as well; there it goes with the value.
struct Bound(PathBuf);

impl Bound {
    /// Mounts `folder` at `at` too, if that may be done here.
    fn new(folder: &Path, at: &Path) -> Option<Self> {
        let mount = Command::new("mount")
            .arg("--bind")
            .args([folder, at])
            .output();
        let text = String::from_utf8_lossy(&mount.unwrap().stderr).into_owned();
        if text.is_empty() {
            return Some(Self(at.to_owned()));
        }
        assert!(!may_mount(), "not mounted: {text}");
        println!("passed over: nothing may be mounted here: {}", text.trim());
        None
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// The reason of each job, the oldest first.
fn reasons(stage: &Stage) -> Vec<String> {
    let jobs = stage.json(&["list"]);
    let mut reasons: Vec<String> = jobs
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            let reason = job["reason"].as_str().unwrap_or_default();
            format!("{} {reason}", job["state"].as_str().unwrap())
        })
        .collect();
    reasons.reverse();
    reasons
}

#[test]
fn what_is_on_its_way_waits_for_a_disk_that_is_taken_away_and_nothing_is_written_below_it() {
    let stage = stage();
    let disk = stage.root().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(mount) = Bound::new(&disk, &stage.recordings()) else {
        return;
    };
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.service.behave(|behaviour| behaviour.polls = u32::MAX);
    stage.put("a.wav", &wav(1, 0.5));
    let mut watch = stage.call(["watch"]).start();
    stage.service.wait("a poll", |log| {
        log.polls().any(|poll| poll.answered.is_some())
    });
    stage.stenod(["pause"]).success();
    stage.put("b.wav", &wav(2, 0.5));
    stage.put("c.wav", &wav(3, 0.5));
    watch.until("two in the queue", || {
        stage.json(&["list"]).as_array().unwrap().len() == 3
    });
    drop(mount);
    stage.service.behave(|behaviour| behaviour.polls = 0);
    stage.stenod(["resume"]).success();
    watch.until("all to wait for the disk", || {
        reasons(&stage) == ["waiting source_away"; 3]
    });
    assert_eq!(stage.names(), Vec::<String>::new());
    let status = stage.json(&["status"]);
    let trouble = status["folders"][0]["trouble"].as_str().unwrap();
    assert!(trouble.contains("is not there"), "{trouble}");
    let explained = stage.json(&["explain", stage.at("b.wav").to_str().unwrap()]);
    assert!(
        explained.to_string().contains("job 2 (waiting)"),
        "{explained}"
    );
    stage.stenod(["doctor", "--offline"]).says("mount it again");

    let _mount = Bound::new(&disk, &stage.recordings()).unwrap();
    stage.stenod(["reload"]).success();
    watch.until("all to be done", || {
        ["a.json", "b.json", "c.json"]
            .iter()
            .all(|name| stage.at(name).exists())
    });
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(submits(&stage), 3, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_run_whose_disk_of_outputs_is_full_keeps_the_work_and_no_recording_fails() {
    let stage = stage();
    let Some(disk) = SmallDisk::at(&stage.root().join("outputs")) else {
        return;
    };
    stage.set("transcribe.output_dir", disk.0.to_str().unwrap());
    stage.put("a.wav", &wav(1, 0.3));
    disk.fill();
    let full = stage.stenod(["run"]).code(1);
    full.says("the work is kept").says("which disk is full");
    disk.make_room();
    stage.stenod(["run"]).success();
    assert!(disk.0.join("a.txt").exists());
    assert_eq!(submits(&stage), 1);
    stage.check();
}

#[test]
fn folders_that_hang_keep_no_start_no_status_no_reload_and_no_other_folder() {
    let stage = stage();
    let hung = stage.root().join("hung");
    let Some(disk) = HangingDisk::at(&hung) else {
        return;
    };
    let below = hung.join("below");
    stage.add_folder(&hung);
    stage.add_folder(&below);
    stage.put("a.wav", &wav(1, 0.3));
    let heard = stage.root().join("manager");
    let manager = UnixDatagram::bind(&heard).unwrap();
    manager.set_nonblocking(true).unwrap();
    let is_told = |what: &str| {
        let mut line = [0; 512];
        let told = manager.recv(&mut line).map(|count| line[..count].to_vec());
        told.is_ok_and(|told| told.starts_with(what.as_bytes()))
    };
    let silent = |stage: &Stage| {
        let status = stage.json(&["status"]);
        let folders = status["folders"].as_array().unwrap().clone();
        let troubles = folders.iter().map(|folder| folder["trouble"].clone());
        let silent = troubles.filter(|trouble| trouble.to_string().contains("does not answer"));
        (silent.count(), folders.len())
    };
    assert_eq!(silent(&stage), (2, 3));
    stage
        .stenod(["explain", hung.join("c.wav").to_str().unwrap()])
        .code(1)
        .says("does not answer");
    let mut watch = stage
        .call(["watch"])
        .env("NOTIFY_SOCKET", &heard)
        .env("WATCHDOG_USEC", "3000000")
        .start();
    watch.until("the transcript", || stage.at("a.json").exists());
    eventually("that it is ready", || is_told("READY=1"));
    assert_eq!(silent(&stage), (2, 3));
    stage.stenod(["reload"]).success();
    stage.put("b.wav", &wav(2, 0.3));
    watch.until("the other transcript", || stage.at("b.json").exists());
    eventually("a ping", || is_told("WATCHDOG=1"));
    stage
        .stenod(["doctor", "--offline"])
        .no_panic()
        .says("hung: it does not answer");
    drop(disk);
    watch.terminate();
    let outcome = watch.outcome().code(143);
    assert!(
        !outcome.stderr.contains("scanner does not"),
        "{}",
        outcome.tell()
    );
    stage.check();
}

#[test]
fn a_folder_that_hangs_inside_a_watched_one_is_told_and_read_once_it_answers() {
    let stage = stage();
    stage.put("inner/b.wav", &wav(2, 0.3));
    let Some(disk) = HangingDisk::at(&stage.at("inner")) else {
        return;
    };
    stage.put("a.wav", &wav(1, 0.3));
    stage.put("outer/c.wav", &wav(3, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the others", || {
        ["a.json", "outer/c.json"]
            .iter()
            .all(|name| stage.at(name).exists())
    });
    let silent = |stage: &Stage| {
        let status = stage.json(&["status"]);
        let trouble = status["folders"][0]["trouble"].as_str().unwrap_or_default();
        trouble.contains("inner does not answer")
    };
    eventually("its word about the disk", || silent(&stage));
    stage
        .stenod(["explain", stage.at("inner/b.wav").to_str().unwrap()])
        .code(1)
        .says("does not answer");
    drop(disk);
    stage.stenod(["reload"]).success();
    watch.until("what was below", || stage.at("inner/b.json").exists());
    eventually("all to be well", || !silent(&stage));
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(submits(&stage), 3, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_folder_whose_scan_comes_to_no_end_keeps_no_other_folder_waiting() {
    let stage = stage();
    let hung = stage.root().join("hung");
    let Some(disk) = HangingDisk::at(&hung) else {
        return;
    };
    let other = stage.root().join("other");
    fs::create_dir(&other).unwrap();
    stage.add_folder(&other);
    // The folder answers, and what a link in it leads to does not.
    fs::create_dir_all(stage.recordings()).unwrap();
    symlink(hung.join("slow.wav"), stage.at("slow.wav")).unwrap();
    stage.put(other.join("a.wav"), &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the transcript of the other", || {
        other.join("a.json").exists()
    });
    stage.put(other.join("b.wav"), &wav(2, 0.3));
    watch.until("the transcript of what came later", || {
        other.join("b.json").exists()
    });
    drop(disk);
    watch.terminate();
    watch.outcome().no_panic();
    stage.check();
}

#[test]
fn transcripts_wait_for_the_disk_of_their_folder_and_nothing_is_written_below_it() {
    let stage = stage();
    let (disk, outputs) = (stage.root().join("disk"), stage.root().join("outputs"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&outputs).unwrap();
    let Some(mount) = Bound::new(&disk, &outputs) else {
        return;
    };
    stage.set("transcribe.output_dir", outputs.to_str().unwrap());
    stage.put("a.wav", &wav(1, 0.3));
    stage.stenod(["run"]).success();
    assert!(outputs.join("a.json").exists());
    drop(mount);
    stage.put("b.wav", &wav(2, 0.3));
    let outcome = stage.stenod(["run"]).no_panic();
    assert_ne!(outcome.code, Some(0), "{}", outcome.tell());
    assert_eq!(fs::read_dir(&outputs).unwrap().count(), 0);
    assert!(
        reasons(&stage)[1].ends_with("source_away"),
        "{:?}",
        reasons(&stage)
    );
    let _mount = Bound::new(&disk, &outputs).unwrap();
    stage.stenod(["run"]).success();
    assert!(outputs.join("b.json").exists());
    assert_eq!(submits(&stage), 2, "{}", stage.service.story());
    stage.check();
}

#[test]
fn transcripts_wait_for_the_disk_that_a_folders_own_file_names_as_well() {
    let stage = stage();
    let (disk, outputs) = (stage.root().join("disk"), stage.root().join("outputs"));
    fs::create_dir(&disk).unwrap();
    fs::create_dir(&outputs).unwrap();
    let Some(mount) = Bound::new(&disk, &outputs) else {
        return;
    };
    let rules = format!("[transcribe]\noutput_dir = {outputs:?}\n");
    stage.put("in/stenod.toml", rules.as_bytes());
    stage.put("in/a.wav", &wav(1, 0.3));
    stage.stenod(["run"]).success();
    let written = disk.join("in/a.json");
    assert!(written.exists(), "{:?}", tree(&disk));
    drop(mount);
    stage.put("in/b.wav", &wav(2, 0.3));
    let outcome = stage.stenod(["run"]).no_panic();
    assert_ne!(outcome.code, Some(0), "{}", outcome.tell());
    assert_eq!(fs::read_dir(&outputs).unwrap().count(), 0);
    assert!(
        reasons(&stage)[1].ends_with("source_away"),
        "{:?}",
        reasons(&stage)
    );
    let _mount = Bound::new(&disk, &outputs).unwrap();
    stage.stenod(["run"]).success();
    assert!(disk.join("in/b.json").exists());
    assert_eq!(submits(&stage), 2, "{}", stage.service.story());
    stage.check();
}
