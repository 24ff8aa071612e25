//! `stenod init`, without a terminal: what it writes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use stenod_support::audio::wav;
use stenod_support::stage::{Call, KEY, Stage};

use super::stage;

/// A call on a machine where nothing is configured yet, and the place where its configuration belongs.
fn fresh(stage: &Stage, arguments: &[&str]) -> (Call, PathBuf) {
    let call = stage
        .call(arguments)
        .without("STENOD_CONFIG")
        .without("NANOGPT_API_KEY")
        .env("STENOD_SERVICE__BASE_URL", stage.service.url());
    (call, stage.root().join("home/.config/stenod/config.toml"))
}

#[test]
fn a_folder_and_a_key_make_a_configuration_that_works() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    let folder = stage.recordings();
    let folder = folder.to_str().unwrap();
    let (call, config) = fresh(&stage, &["init", folder, "--key-file", "-"]);
    let told = call.input(format!("{KEY}\n").as_bytes()).output().success();
    assert!(!told.tell().contains(KEY), "the key is shown");
    for word in ["the key is good", "1 recording", "$0.00005", "stenod run"] {
        assert!(
            told.stdout.contains(word),
            "{word} is missing\n{}",
            told.tell()
        );
    }
    let key = config.with_file_name("key");
    assert_eq!(fs::read_to_string(&key).unwrap(), KEY);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("# Who transcribes.") && !text.contains(KEY),
        "{text}"
    );
    fresh(&stage, &["config", "check"]).0.output().success();
    fresh(&stage, &["run", "--yes"]).0.output().success();
    assert!(stage.at("a.txt").exists());
    assert_eq!(stage.service.look(|log| log.ledger().charges.len()), 1);
}

#[test]
fn what_is_there_is_kept_unless_told_otherwise() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "--yes", "--provider", "local"]);
    call.output().success();
    fs::write(&config, "# mine\n").unwrap();
    let (call, _) = fresh(&stage, &["init", "--yes"]);
    call.output()
        .code(2)
        .says("nothing was changed")
        .says("--force");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    fresh(&stage, &["init", "--yes", "--force"])
        .0
        .output()
        .success();
    assert_eq!(
        fs::read_to_string(config.with_extension("toml.old")).unwrap(),
        "# mine\n"
    );
    assert!(fs::read_to_string(&config).unwrap().contains("[service]"));
}

#[test]
fn a_key_that_is_refused_writes_nothing() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "--key-file", "-"]);
    call.input(b"sk-nano-wrong")
        .output()
        .code(4)
        .says("refused");
    assert!(!config.exists() && !config.with_file_name("key").exists());
    let (call, _) = fresh(&stage, &["init", "--key-file", "-", "--offline"]);
    call.input(b"sk-nano-wrong").output().success();
    assert!(config.exists());
}

#[test]
fn a_folder_that_is_not_there_is_said_before_anything_is_written() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "/nowhere/at/all", "--yes"]);
    call.output().code(2).says("/nowhere/at/all");
    assert!(!config.exists());
}

#[test]
fn systemd_is_told_of_the_configured_folders() {
    let stage = stage();
    let drop_in = stage.root().join("drop-in/folders.conf");
    let flag = format!("--systemd={}", drop_in.display());
    stage.stenod(["init", flag.as_str()]).success();
    let text = fs::read_to_string(&drop_in).unwrap();
    let folder = stage.recordings();
    for key in ["RequiresMountsFor", "ReadWritePaths"] {
        let line = format!("{key}=\"{}\"", folder.display());
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
    assert_eq!(
        fs::read_to_string(stage.config_file()).unwrap(),
        stage.config()
    );
}
