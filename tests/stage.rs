//! The stage itself, driven with a shell in the place of the program.

#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rustix::process::Signal;
use stenod_support::stage::Stage;

fn stage() -> Stage {
    Stage::new("/bin/sh")
}

#[test]
fn nothing_of_the_machine_leaks_into_the_environment() {
    let stage = stage();
    let outcome = stage.stenod(["-c", "env"]).success();
    let mut names: Vec<_> = outcome
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.retain(|name| !["PWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    let wanted = [
        "HOME",
        "LC_ALL",
        "NANOGPT_API_KEY",
        "PATH",
        "STENOD_CONFIG",
        "TMPDIR",
        "TZ",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn codes_and_signals_and_words_are_told_apart() {
    let stage = stage();
    let outcome = stage
        .stenod(["-c", "echo out; echo err >&2; exit 7"])
        .code(7)
        .says("ERR");
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("out\n", "err\n")
    );
    let running = stage.call(["-c", "kill -TERM $$"]).start();
    assert_eq!(running.outcome().signal, Some(Signal::TERM.as_raw()));
}

#[test]
fn a_program_that_hangs_is_killed_and_its_words_are_told() {
    let stage = stage();
    let call = stage.call(["-c", "echo last words; read never < \"$TMPDIR/pipe\""]);
    let pipe = stage.root().join("tmp/pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let call = call.patience(Duration::from_millis(300));
    let panic = catch_unwind(AssertUnwindSafe(|| call.output())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(
        text.contains("did not end") && text.contains("last words"),
        "{text}"
    );
}

#[test]
fn waiting_ends_early_when_the_program_does() {
    let stage = stage();
    let mut running = stage.call(["-c", "exit 3"]).start();
    let waited = catch_unwind(AssertUnwindSafe(|| running.until("the moon", || false)));
    let panic = waited.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(
        text.contains("the moon") && text.contains("the program ended"),
        "{text}"
    );
}

#[test]
fn the_configuration_is_toml_with_what_was_set() {
    let stage = stage();
    stage.set("service.jobs", 2);
    stage.set("transcribe.formats", vec!["txt", "srt"]);
    stage.set_folders("existing", false);
    let parsed: toml_edit::DocumentMut = stage.config().parse().unwrap();
    assert_eq!(parsed["service"]["jobs"].as_integer(), Some(2));
    assert_eq!(parsed["transcribe"]["formats"][1].as_str(), Some("srt"));
    assert_eq!(parsed["folders"][0]["existing"].as_bool(), Some(false));
    assert_eq!(parsed["state_dir"].as_str(), stage.state().to_str());
}
