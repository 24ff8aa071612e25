//! Terminal manners, and small things that are said.

use std::fs;

use serde_json::json;
use stenod_support::audio::{cut_wav, wav};
use stenod_support::stage::{LINES, Terminal};

use super::screens::still;
use super::{before_the_price, stage};

#[test]
fn what_is_typed_beside_the_bars_is_not_shown_and_an_answer_is() {
    let (stage, gate) = before_the_price();
    let mut terminal = stage.on_terminal(["run"]);
    terminal.until_hidden();
    gate.open();
    terminal.until("the question", |screen| screen.contains("[y/N]"));
    terminal.press("n\r");
    let ended = terminal.end();
    assert!(ended.screen.contains("[y/N] n"), "{}", ended.screen);
}

#[test]
fn a_terminal_that_knows_no_sequences_is_sent_none() {
    let stage = still();
    stage.put("first.wav", &wav(1, 30.0));
    let call = stage.call(["run"]).env("TERM", "dumb");
    let ended = Terminal::start(&call, LINES, stage.replaced()).end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    assert!(!ended.written.contains('\u{1b}'), "{}", ended.written);
    assert!(ended.screen.contains("done "), "{}", ended.screen);
}

#[test]
fn values_of_variables_are_shown_as_what_they_are() {
    let stage = stage();
    let show = |arguments: &[&str]| {
        let call = stage.call(["config", "show"].iter().chain(arguments));
        let call = call.env("STENOD_SERVICE__JOBS", "7");
        let call = call.env("STENOD_TRANSCRIBE__FORMATS", "srt, vtt");
        call.env("STENOD_TRANSCRIBE__DIARIZE", "true")
            .output()
            .success()
    };
    let settings = show(&["--json"]).json()["settings"].clone();
    assert_eq!(settings["service.jobs"]["value"], 7);
    assert_eq!(
        settings["transcribe.formats"]["value"],
        json!(["srt", "vtt"])
    );
    assert_eq!(settings["transcribe.diarize"]["value"], true);
    let text = show(&["--origin"]).stdout;
    assert!(text.contains("service.jobs = 7  # "), "{text}");
}

#[test]
fn what_an_old_table_could_forget_is_told_beside_a_daemon_too() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    let mut daemon = stage.call(["watch"]).start();
    daemon.until("the transcript", || {
        stage.json(&["status"])["jobs"]["done"] == 1
    });
    let told = stage.stenod(["db", "prune", "-n", "--older-than", "0s", "--json"]);
    assert_eq!(told.success().json()["dry_run"], true);
    stage.stenod(["db", "prune"]).code(11);
    daemon.terminate();
    daemon.outcome().code(143);
}

#[test]
fn doctor_names_a_mistake_in_the_rules_of_a_folder() {
    let stage = stage();
    stage.put("sub/a.wav", &wav(1, 3.0));
    stage.put("sub/stenod.toml", b"languge = \"de\"\n");
    let told = stage.stenod(["doctor", "--offline"]).code(1);
    told.says("stenod.toml").says("languge");
}

#[test]
fn costs_of_many_decimals_stand_below_each_other() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.55));
    stage.put("b.wav", &wav(2, 60.0));
    stage.stenod(["run"]).success();
    let list = stage.stenod(["list"]).success().stdout;
    let ends = list.lines().map(|line| line.find("  /").unwrap());
    let ends: Vec<usize> = ends.collect();
    assert_eq!(ends.len(), 2, "{list}");
    assert_eq!(ends[0], ends[1], "{list}");
}

#[test]
fn a_cut_file_is_called_the_same_by_every_command() {
    let stage = stage();
    let path = stage.put("cut.wav", &cut_wav(4, 1.0));
    let path = path.to_str().unwrap();
    stage.stenod(["plan"]).success().says("settling");
    stage.stenod(["run"]).code(3).says("1 settling");
    stage.stenod(["status"]).success().says("settling");
    stage.stenod(["explain", path]).success().says("settling:");
    stage
        .stenod(["show", path])
        .code(1)
        .says(&format!("stenod explain {path}"));
    let link = stage.at("link.wav");
    std::os::unix::fs::symlink(stage.root().join("nothing.wav"), &link).unwrap();
    let told = stage
        .stenod(["explain".as_ref(), link.as_os_str()])
        .success();
    assert!(told.stdout.contains("link"), "{}", told.tell());
    assert!(!told.stdout.contains("no bytes"), "{}", told.tell());
    fs::remove_file(link).unwrap();
}
