//! `stenod doctor` on set-ups that are broken on purpose. What no test can break for real (network
//! drives, full disks, watch limits, clocks) is judged by values in `cli::doctor::judge`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use stenod_support::stage::{Call, KEY, Stage};

use super::stage;

struct Broken {
    what: &'static str,
    check: &'static str,
    mend: &'static str,
    breaks: fn(&Stage) -> Call,
}

fn doctor(stage: &Stage) -> Call {
    stage.call(["doctor", "--json"])
}

const TABLE: &[Broken] = &[
    Broken {
        what: "wrong key",
        check: "key",
        mend: "init",
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
        check: "config",
        mend: "stenod",
        breaks: |stage| {
            stage.set("service.api_key_file", "/nowhere/key");
            doctor(stage)
        },
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
        what: "damaged table",
        check: "table",
        mend: "start stenod again",
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
];

fn problems(report: &Value) -> Vec<&Value> {
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["result"] == "problem")
        .collect()
}

#[test]
fn each_broken_set_up_is_found_with_its_mend() {
    for broken in TABLE {
        let stage = stage();
        let outcome = (broken.breaks)(&stage).output().no_panic();
        assert!(
            outcome.code.is_some_and(|code| code != 0),
            "{}\n{}",
            broken.what,
            outcome.tell()
        );
        let report = outcome.json();
        assert_eq!(report["ok"], false, "{}", broken.what);
        let found = problems(&report).into_iter().any(|problem| {
            let mend = problem["fix"].as_str().unwrap_or_default();
            problem["check"] == broken.check && mend.contains(broken.mend)
        });
        assert!(
            found,
            "{}: no problem of `{}`\n{report:#}",
            broken.what, broken.check
        );
        assert!(
            !outcome.tell().contains(KEY),
            "{}: the key is shown",
            broken.what
        );
    }
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

#[test]
fn another_owner_and_a_folder_out_of_reach_are_found_by_whoever_is_denied() {
    if !stenod_support::stage::is_root() {
        return;
    }
    let stage = stage();
    fs::create_dir(stage.state()).unwrap();
    fs::set_permissions(stage.recordings(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(stage.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let call = doctor(&stage).user(stenod_support::stage::NOBODY);
    let report = call.output().no_panic().json();
    let found: Vec<_> = problems(&report)
        .iter()
        .map(|check| check["check"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        found.contains(&"state".to_owned()) && found.contains(&"folder".to_owned()),
        "{report:#}"
    );
}
