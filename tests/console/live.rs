//! `stenod run` as a person sees it on a terminal: the question, the bars, Ctrl-C once and twice.
//!
//! The stand-in holds its replies, so that each screen stays as long as the test looks at it.

use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Rule};
use stenod_support::stage::{CTRL_C, Call, Ended, LINES, Stage, Terminal};

use super::screens::{is_as_before, still};

/// Two recordings, of which the first is answered and the second is held at the gate.
fn held() -> (Stage, Gate) {
    let stage = still();
    stage.disagree();
    stage.put("first.wav", &wav(1, 30.0));
    stage.put("second.wav", &wav(2, 90.0));
    let gate = Gate::closed();
    let rule = Rule::on(Endpoint::Submit).of(&wav(2, 90.0));
    stage.service.script(rule.behind(&gate));
    (stage, gate)
}

/// The run with its question answered, at the moment when one recording is done and one is waited for.
fn half_way(stage: &Stage) -> Terminal {
    let mut terminal = stage.on_terminal(["run"]);
    terminal.until("the question", |screen| screen.contains("[y/N]"));
    terminal.press("y\r");
    terminal.until("the second of two", |screen| {
        screen.contains("done      ") && screen.contains("waiting for the service, usually")
    });
    terminal
}

/// The screen without what differs from run to run: times that pass, and how the ends of lines look there.
fn settled(screen: &str) -> String {
    let lines = screen.lines().map(|line| {
        let line = match line.split_once(" left") {
            Some((before, after)) => {
                // It is told where it is a second or more.
                let keep = before.rfind(", ").unwrap_or(before.len());
                format!("{}{after}", &before[..keep])
            }
            None => line.to_owned(),
        };
        let line = match line.split_once("usually ") {
            Some((before, after)) => {
                let rest = after.split_once("  ").map_or("", |(_, rest)| rest);
                format!("{before}usually TIME  {rest}")
            }
            None => line,
        };
        // `   0s  waiting …`: how long it has lasted.
        let is_row = line.starts_with("  ") && line.contains("for the service");
        if is_row {
            format!("  TIME{}", &line[6..])
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn the_price_is_asked_about_once_and_a_no_leaves_nothing_behind() {
    let (stage, _gate) = held();
    let mut terminal = stage.on_terminal(["run"]);
    let screen = terminal.until("the question", |screen| screen.contains("[y/N]"));
    is_as_before("question.terminal", &screen);
    terminal.press("n\r");
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    is_as_before("question-no.terminal", &screen);
    assert_eq!(stage.json(&["list"]).as_array().unwrap().len(), 0);
    assert_eq!(stage.service.look(|log| log.submits().count()), 0);
}

#[test]
fn ctrl_c_at_the_question_is_a_no() {
    let (stage, _gate) = held();
    let mut terminal = stage.on_terminal(["run"]);
    terminal.until("the question", |screen| screen.contains("[y/N]"));
    terminal.press(CTRL_C);
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    is_as_before("question-stopped.terminal", &screen);
    assert_eq!(stage.json(&["list"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_run_shows_how_far_it_is_and_leaves_only_what_happened() {
    let (stage, gate) = held();
    let terminal = half_way(&stage);
    is_as_before("run-half-way.terminal", &settled(&terminal.screen()));
    gate.open();
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    is_as_before("run-done.terminal", &screen);
}

#[test]
fn long_names_on_a_terminal_keep_each_recording_on_one_line() {
    let stage = still();
    let name = "A talk about lines that are longer than anybody's screen";
    stage.put(format!("{name}.wav"), &wav(1, 30.0));
    stage.set("transcribe.formats", vec!["txt", "srt", "json"]);
    let Ended { code, screen, .. } = stage.on_terminal(["run"]).end();
    assert_eq!(code, Some(0), "{screen}");
    is_as_before("run-long-name.terminal", &screen);
}

#[test]
fn the_first_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on() {
    let (stage, gate) = held();
    stage.put("third.wav", &wav(3, 3.0));
    stage.set("service.jobs", 1);
    let mut terminal = half_way(&stage);
    terminal.press(CTRL_C);
    // The bars come back below what is said.
    let screen = terminal.until("that it stops", |screen| {
        let said = screen.split_once("stopping:");
        said.is_some_and(|(_, after)| after.contains("waiting for the service"))
    });
    is_as_before("run-stopping.terminal", &settled(&screen));
    gate.open();
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    is_as_before("run-stopped.terminal", &screen);
    stage.stenod(["run", "--yes"]).success();
    stage.check();
    assert_eq!(stage.service.look(|log| log.ledger().charges.len()), 3);
}

#[test]
fn the_second_ctrl_c_stops_at_once_and_nothing_is_lost() {
    let (stage, gate) = held();
    let mut terminal = half_way(&stage);
    terminal.press(CTRL_C);
    terminal.until("that it stops", |screen| screen.contains("stopping:"));
    terminal.press(CTRL_C);
    let Ended { code, screen, .. } = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    is_as_before("run-stopped-at-once.terminal", &screen);
    gate.open();
    stage.stenod(["run", "--yes"]).success();
    assert!(stage.at("second.txt").exists());
}

#[test]
fn of_a_large_file_it_is_told_how_much_is_hashed() {
    let stage = still();
    // Too dear to be sent, so that it is only looked at.
    stage.set("budget.per_file", "0.0001");
    let bytes = wav(1, 700.0);
    let path = stage.put("long.wav", &bytes);
    let told = stage.stenod(["run", "--json"]).lines();
    let read = told.iter().filter(|line| line["read_bytes"].is_u64());
    let read: Vec<_> = read.map(|line| line["read_bytes"].as_u64()).collect();
    let size = bytes.len() as u64;
    assert!(
        read[0] >= Some(16 << 20) && read[0] < Some(size),
        "{read:?}"
    );
    assert_eq!(read[1..], [Some(size)]);
    let line = told
        .iter()
        .find(|line| line["read_bytes"].is_u64())
        .unwrap();
    assert_eq!(line["source"], path.to_str().unwrap());
    assert_eq!(line["size_bytes"], size);
}

#[test]
fn plain_progress_on_a_terminal_has_lines_and_no_bars() {
    let stage = still();
    stage.set("service.jobs", 1);
    stage.put("first.wav", &wav(1, 30.0));
    let terminal = stage.on_terminal(["run", "--progress", "plain"]);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    // Colours, but nothing that moves.
    let moves = ended.written.split("\u{1b}[").skip(1);
    assert!(
        moves
            .clone()
            .all(|rest| rest.starts_with("32m") || rest.starts_with("0m")),
        "{}",
        ended.written
    );
    is_as_before("run-plain.terminal", &ended.screen);
    stage.put("second.wav", &wav(2, 30.0));
    let piped = stage.stenod(["run"]).success();
    assert_eq!(piped.stdout, "");
    is_as_before("run.pipe", &stage.replaced().in_text(&piped.stderr));
}

/// Log lines without their times, the longest of which have no known length.
fn without_times(log: &str) -> String {
    let lines = log.lines().map(|line| match line.split_once("Z ") {
        Some((_, rest)) if line.starts_with("20") => rest.trim_start(),
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn a_daemon_logs_what_happens_until_it_is_stopped() {
    let stage = still();
    stage.put("first.wav", &wav(1, 30.0));
    let mut watching = stage.call(["watch"]).start();
    watching.until("the transcript", || stage.at("first.json").exists());
    stage.service.wait("the reply", |log| {
        log.submits().all(|submit| submit.is_over())
    });
    watching.until("its line", || watching_says(&stage, 1));
    watching.terminate();
    let log = watching.outcome().code(143).stderr;
    let log = without_times(&stage.replaced().in_text(&log));
    is_as_before("watch.pipe", &log);
}

/// Whether so many jobs are done.
fn watching_says(stage: &Stage, done: u64) -> bool {
    stage.json(&["status"])["jobs"]["done"] == done
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let stage = still();
    stage.put("text.mp3", b"I am a text.\n");
    let written = |call: Call| {
        Terminal::start(&call, LINES, stage.replaced())
            .end()
            .written
    };
    let run = || stage.call(["run", "--yes", "--progress", "plain"]);
    let coloured = "\u{1b}[33mskipped\u{1b}[0m";
    assert!(written(run()).contains(coloured));
    for plain in [
        written(run().env("NO_COLOR", "1")),
        written(stage.call(["run", "--yes", "--progress", "plain", "--color", "never"])),
    ] {
        assert!(!plain.contains('\u{1b}'), "{plain}");
    }
    let forced = stage.stenod(["run", "--yes", "--color", "always"]);
    assert!(forced.stderr.contains(coloured), "{}", forced.tell());
    let piped = run().output();
    assert!(!piped.tell().contains('\u{1b}'), "{}", piped.tell());
}
