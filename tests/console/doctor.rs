//! `stenod doctor` on set-ups that are broken on purpose. What no test can break for real (a state on NFS, the
//! kernel's limit of watches) is judged by values in `cli::doctor::judge`.

use std::any::Any;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::s3::{self, Deviation, S3};
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{Call, KEY, NOBODY, Stage, is_root};

use super::stage;

struct Broken {
    what: &'static str,
    check: &'static str,
    mend: &'static str,
    breaks: fn(&Stage) -> Call,
}

/// Beside those that anybody can break: what takes root, or something that has to stay there meanwhile.
struct Staged {
    what: &'static str,
    check: &'static str,
    mend: &'static str,
    breaks: fn(&Stage, &mut Kept) -> Option<Call>,
}

/// What has to be there while doctor looks.
type Kept = Vec<Box<dyn Any>>;

fn doctor(stage: &Stage) -> Call {
    stage.call(["doctor", "--json"])
}

const TABLE: &[Broken] = &[
    Broken {
        what: "wrong key in a file",
        check: "key",
        mend: "init --key-file -   # asks for the key",
        breaks: |stage| {
            let key = stage.root().join("key");
            fs::write(&key, "sk-nano-wrong").unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
            stage.set("service.api_key_file", key.to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "wrong key",
        check: "key",
        mend: "export NANOGPT_API_KEY",
        breaks: |stage| {
            stage
                .service
                .behave(|behaviour| behaviour.key = Some("another".into()));
            doctor(stage)
        },
    },
    Broken {
        what: "no key where one is wanted",
        check: "provider",
        mend: "NANOGPT_API_KEY",
        breaks: |stage| {
            stage.set("service.provider", "nanogpt");
            doctor(stage).without("NANOGPT_API_KEY")
        },
    },
    Broken {
        what: "world-readable key",
        check: "key",
        mend: "chmod 600",
        breaks: |stage| {
            let key = stage.root().join("the key");
            fs::write(&key, KEY).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
            stage.set("service.api_key_file", key.to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "key file that is not there",
        check: "key",
        mend: "init --key-file -   # asks for the key",
        breaks: |stage| {
            stage.set("service.api_key_file", "/nowhere/key");
            doctor(stage)
        },
    },
    Broken {
        what: "key file that is a folder",
        check: "key",
        mend: "folder/key\", a file and no folder; `stenod init --key-file -` writes it",
        breaks: |stage| {
            let folder = stage.root().join("folder");
            fs::create_dir(&folder).unwrap();
            stage.set("service.api_key_file", folder.to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "key file of a variable that is a folder",
        check: "key",
        mend: "/key && export STENOD_SERVICE__API_KEY_FILE=/",
        breaks: |stage| {
            let folder = stage.root().join("folder");
            fs::create_dir(&folder).unwrap();
            doctor(stage).env("STENOD_SERVICE__API_KEY_FILE", folder)
        },
    },
    Broken {
        what: "key file of a variable that is not there",
        check: "key",
        mend: "install -m 600 /dev/stdin /nowhere/key",
        breaks: |stage| doctor(stage).env("STENOD_SERVICE__API_KEY_FILE", "/nowhere/key"),
    },
    Broken {
        what: "address of a variable where no service is",
        check: "network",
        mend: "unset STENOD_SERVICE__BASE_URL",
        breaks: |stage| doctor(stage).env("STENOD_SERVICE__BASE_URL", "http://127.0.0.1:1"),
    },
    Broken {
        what: "model of a variable that transcribes nothing",
        check: "model",
        mend: "unset STENOD_TRANSCRIBE__MODEL",
        breaks: |stage| doctor(stage).env("STENOD_TRANSCRIBE__MODEL", "qwen-voice-clone"),
    },
    Broken {
        what: "no service at the address",
        check: "network",
        mend: "base_url",
        breaks: |stage| {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", free.local_addr().unwrap());
            drop(free);
            stage.set("service.base_url", address);
            doctor(stage)
        },
    },
    Broken {
        what: "wrong address of the service",
        check: "network",
        mend: "base_url",
        breaks: |stage| {
            stage.set(
                "service.base_url",
                format!("{}/nothing/here", stage.service.url()),
            );
            doctor(stage)
        },
    },
    Broken {
        what: "no CA store",
        check: "network",
        mend: "ca-certificates",
        breaks: |stage| {
            let empty = stage.root().join("empty.pem");
            fs::write(&empty, "").unwrap();
            stage.set("service.base_url", "https://127.0.0.1:1");
            doctor(stage)
                .env("SSL_CERT_FILE", &empty)
                .env("SSL_CERT_DIR", stage.root().join("none"))
        },
    },
    Broken {
        what: "folder that is not there",
        check: "folder",
        mend: "mkdir -p",
        breaks: |stage| {
            fs::remove_dir(stage.recordings()).unwrap();
            doctor(stage)
        },
    },
    Broken {
        what: "file instead of a folder of outputs",
        check: "folder",
        mend: "output_dir",
        breaks: |stage| {
            let file = stage.root().join("file");
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            stage.set("transcribe.output_dir", file.join("out").to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "a file where the folder of outputs should be",
        check: "folder",
        mend: "in [transcribe]: output_dir",
        breaks: |stage| {
            let file = stage.root().join("file");
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
            stage.set("transcribe.output_dir", file.join("out").to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "damaged table",
        check: "table",
        mend: "stenod run   # sets the table aside",
        breaks: |stage| {
            fs::create_dir(stage.state()).unwrap();
            fs::write(stage.state().join("stenod.db"), [b'x'; 8192]).unwrap();
            doctor(stage)
        },
    },
    Broken {
        what: "misspelt setting",
        check: "config",
        mend: "config example",
        breaks: |stage| {
            stage.set("service.poll_intervall", "5s");
            doctor(stage)
        },
    },
    Broken {
        what: "wrong value",
        check: "config",
        mend: "config example",
        breaks: |stage| {
            stage.set("service.jobs", "four");
            doctor(stage)
        },
    },
    Broken {
        what: "folder given twice",
        check: "config",
        mend: "config example",
        breaks: |stage| {
            stage.add_folder(&stage.recordings());
            doctor(stage)
        },
    },
    Broken {
        what: "model folder without a model",
        check: "model",
        mend: "checkpoint",
        breaks: |stage| {
            stage.set("local.model_dir", stage.root().to_str().unwrap());
            doctor(stage)
        },
    },
    Broken {
        what: "empty balance",
        check: "balance",
        mend: "top it up",
        breaks: |stage| {
            stage.service.set_balance("0");
            doctor(stage)
        },
    },
    Broken {
        what: "clock 10 minutes slow",
        check: "clock",
        mend: "set-ntp",
        breaks: |stage| {
            service_ahead_by(stage, 10);
            doctor(stage)
        },
    },
    Broken {
        what: "clock 10 minutes fast",
        check: "clock",
        mend: "set-ntp",
        breaks: |stage| {
            service_ahead_by(stage, -10);
            doctor(stage)
        },
    },
    Broken {
        what: "table of a later stenod",
        check: "table",
        mend: "install that stenod again",
        breaks: |stage| {
            stage.put("a.wav", &wav(1, 0.5));
            stage.stenod(["run"]).success();
            let table = rusqlite::Connection::open(stage.state().join("stenod.db")).unwrap();
            table.pragma_update(None, "user_version", 9999).unwrap();
            doctor(stage)
        },
    },
];

const STAGED: &[Staged] = &[
    Staged {
        what: "bucket without delete permission",
        check: "bucket",
        mend: "deleting objects",
        breaks: |stage, kept| {
            let storage = bucket(stage, s3::SECRET_KEY);
            storage.deviate(|asked| {
                (asked.method == "DELETE").then_some(Deviation::Refuse(403, "AccessDenied"))
            });
            kept.push(Box::new(storage));
            Some(doctor(stage))
        },
    },
    Staged {
        what: "bucket that refuses the credentials",
        check: "bucket",
        mend: "access_key_id",
        breaks: |stage, kept| {
            kept.push(Box::new(bucket(stage, "wrong")));
            Some(doctor(stage))
        },
    },
    Staged {
        what: "foreign owner of the state directory",
        check: "state",
        mend: "chown -R",
        breaks: |stage, _| {
            fs::create_dir(stage.state()).unwrap();
            is_root().then(|| chown(stage.state(), Some(NOBODY), Some(NOBODY)).unwrap())?;
            Some(doctor(stage))
        },
    },
    Staged {
        what: "state directory that may not be written",
        check: "state",
        mend: "chmod u+rwx",
        breaks: |stage, _| {
            fs::create_dir(stage.state()).unwrap();
            let call = as_nobody(stage)?;
            fs::set_permissions(stage.state(), fs::Permissions::from_mode(0o500)).unwrap();
            Some(call)
        },
    },
    Staged {
        what: "unreadable folder",
        check: "folder",
        mend: "setfacl",
        breaks: |stage, _| {
            let call = as_nobody(stage)?;
            fs::set_permissions(stage.recordings(), fs::Permissions::from_mode(0o000)).unwrap();
            Some(call)
        },
    },
    Staged {
        what: "folder that may not be written",
        check: "folder",
        mend: "output_dir",
        breaks: |stage, _| {
            let call = as_nobody(stage)?;
            fs::set_permissions(stage.recordings(), fs::Permissions::from_mode(0o555)).unwrap();
            Some(call)
        },
    },
    Staged {
        what: "full disk",
        check: "disk",
        mend: "df -h",
        breaks: |stage, kept| {
            kept.push(Box::new(SmallDisk::at(&stage.state())?));
            Some(doctor(stage))
        },
    },
];

/// A bucket in the configuration, with this for its secret.
fn bucket(stage: &Stage, secret: &str) -> S3 {
    let storage = S3::start();
    let file = stage.root().join("bucket-secret");
    fs::write(&file, secret).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    stage.set("bucket.url", format!("s3://{}/stenod", s3::BUCKET));
    stage.set("bucket.endpoint", storage.endpoint());
    stage.set("bucket.access_key_id", s3::ACCESS_KEY);
    stage.set("bucket.secret_access_key_file", file.to_str().unwrap());
    storage
}

/// A call by somebody who may be denied something, and owns everything on the stage.
fn as_nobody(stage: &Stage) -> Option<Call> {
    if !is_root() {
        return Some(doctor(stage));
    }
    let call = doctor(stage).user(NOBODY);
    stage.give_away();
    Some(call)
}

/// A disk of one MiB; it goes with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// Mounts one at `path`, if that may be done here.
    fn at(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(path).output();
        let mounted = mounted.unwrap().status.success();
        mounted.then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Has the service say the time of a clock that is so many minutes ahead of this one.
fn service_ahead_by(stage: &Stage, minutes: i64) {
    let then = Timestamp::now() + SignedDuration::from_mins(minutes);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = printer.timestamp_to_rfc9110_string(&then).unwrap();
    let balance = Reply::json(200, &json!({"usd_balance": "9"})).with("date", date);
    stage
        .service
        .script(Rule::on(Endpoint::Balance).answer(balance).always());
}

fn problems(report: &Value) -> Vec<&Value> {
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["result"] == "problem")
        .collect()
}

/// Fails unless doctor finds a problem of this check whose mend has these words, and shows no secret.
#[track_caller]
fn finds(call: Call, (what, check, mend): (&str, &str, &str)) {
    let outcome = call.output().code(1);
    let report = outcome.json();
    assert_eq!(report["ok"], false, "{what}");
    let found = problems(&report).into_iter().any(|problem| {
        let fix = problem["fix"].as_str().unwrap_or_default();
        problem["check"] == check && fix.contains(mend)
    });
    assert!(found, "{what}: no problem of `{check}`\n{report:#}");
    for secret in [KEY, s3::SECRET_KEY] {
        assert!(
            !outcome.tell().contains(secret),
            "{what}: a secret is shown"
        );
    }
}

#[test]
fn each_broken_set_up_is_found_with_its_mend() {
    for broken in TABLE {
        let stage = stage();
        let call = (broken.breaks)(&stage);
        finds(call, (broken.what, broken.check, broken.mend));
    }
}

#[test]
fn each_set_up_that_is_broken_from_outside_is_found_with_its_mend() {
    for broken in STAGED {
        let (stage, mut kept) = (stage(), Kept::new());
        match (broken.breaks)(&stage, &mut kept) {
            Some(call) => finds(call, (broken.what, broken.check, broken.mend)),
            None => println!(
                "passed over: {} takes rights that are not there",
                broken.what
            ),
        }
    }
}

#[test]
fn there_are_twenty_of_them_and_more() {
    assert!(TABLE.len() + STAGED.len() >= 20);
}

#[test]
fn a_healthy_set_up_has_every_check_and_no_problem() {
    let stage = stage();
    let report = stage.json(&["doctor"]);
    assert!(problems(&report).is_empty(), "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    for name in [
        "config", "provider", "key", "instance", "table", "disk", "folder", "watch", "tools",
        "network", "balance",
    ] {
        assert!(
            checks.iter().any(|check| check["check"] == name),
            "{name} is missing\n{report:#}"
        );
    }
    let offline = stage.stenod(["doctor", "--offline"]).success().stdout;
    assert!(!offline.contains("network"), "{offline}");
}
