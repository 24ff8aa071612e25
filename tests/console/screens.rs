//! What each command prints, on a terminal of 80 columns and into a pipe, held against files.
//!
//! `tests/fixtures/screens/NAME.terminal.txt` is what a person sees, `NAME.pipe.txt` what a script reads
//! (standard output, then standard error after a line `-- stderr`). `STENOD_BLESS=1 cargo test --test
//! console screens` writes them anew, to be read before committing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use stenod_support::audio::{cut_wav, wav};
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{COLUMNS, Call, Ended, LINES, Replaced, Stage, Terminal};
use unicode_width::UnicodeWidthStr as _;

/// A terminal so high that nothing of a command's text scrolls away, in lines.
const HIGH: u16 = 120;

/// A name that no terminal has room for.
const LONG_NAME: &str =
    "Interview with the night shift of the lighthouse, second part, corrected copy.wav";
/// A name whose characters are two columns wide each.
const WIDE_NAME: &str = "京都の会議の録音、第二回、午後の部、質疑応答つき、最終版、校正ずみ.wav";

/// A stage whose screens can be compared.
pub(super) fn still() -> Stage {
    Stage::of_known_length(env!("CARGO_BIN_EXE_stenod"))
}

/// Holds a text against the file of this name.
#[track_caller]
pub(super) fn is_as_before(name: &str, text: &str) {
    let path = fixture(name);
    if std::env::var_os("STENOD_BLESS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == wanted,
        "{} differs\n-- wanted\n{wanted}\n-- found\n{text}",
        path.display()
    );
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    folder.join(format!("{name}.txt"))
}

/// What a call prints on a terminal and into pipes, and its exit code in both.
struct Printed {
    terminal: String,
    pipe: String,
    code: Option<i32>,
}

/// What differs between two stages, and between two days.
fn replaced(stage: &Stage) -> Replaced {
    let today = jiff::Zoned::now().date();
    let since = today.checked_sub(jiff::Span::new().days(30)).unwrap();
    let replaced = stage.replaced().and(today.to_string(), "2026-11-26");
    replaced.and(since.to_string(), "2026-10-27")
}

fn printed(stage: &Stage, call: impl Fn() -> Call) -> Printed {
    let terminal = Terminal::start(&call(), HIGH, replaced(stage));
    let Ended {
        code,
        screen: terminal,
        ..
    } = terminal.end();
    let outcome = call().output();
    assert_eq!(outcome.code, code, "{}\n{terminal}", outcome.tell());
    let stderr = match outcome.stderr.as_str() {
        "" => String::new(),
        text => format!("-- stderr\n{text}"),
    };
    let pipe = replaced(stage).in_text(&(outcome.stdout + &stderr));
    Printed {
        terminal,
        pipe,
        code,
    }
}

/// Calls a command twice, on a terminal and into pipes, and holds both against their files.
#[track_caller]
fn looks_as_before(stage: &Stage, name: &str, code: i32, arguments: &[&str]) -> Printed {
    let printed = printed(stage, || stage.call(arguments));
    assert_eq!(
        printed.code,
        Some(code),
        "{arguments:?}\n{}",
        printed.terminal
    );
    assert!(!printed.pipe.contains('\u{1b}'), "{}", printed.pipe);
    is_as_before(&format!("{name}.terminal"), &printed.terminal);
    is_as_before(&format!("{name}.pipe"), &printed.pipe);
    printed
}

/// An archive as people have it: names of every kind, a copy, a text with a wrong name, one that was cut off.
fn archive() -> Stage {
    let stage = still();
    stage.set("service.jobs", 1);
    stage.put("Interviews/short.wav", &wav(1, 3.0));
    stage.put(format!("Interviews/{LONG_NAME}"), &wav(2, 61.5));
    stage.put(format!("会議/{WIDE_NAME}"), &wav(3, 6.0));
    stage.put("copy of short.wav", &wav(1, 3.0));
    stage.put("notes.mp3", b"I am a text and was called a recording.\n");
    stage.put("cut.wav", &cut_wav(4, 1.0));
    stage
}

/// The same after a run in which the service refused one of them.
fn worked_on() -> Stage {
    let stage = archive();
    let refusal = serde_json::json!({"error": 415, "message": "This audio could not be decoded"});
    let rule = Rule::on(Endpoint::Submit).answer(Reply::json(415, &refusal));
    stage.service.script(rule.of(&wav(3, 6.0)));
    stage.stenod(["run"]).code(3);
    stage
}

#[test]
fn a_plan_and_what_came_of_it() {
    let stage = archive();
    looks_as_before(&stage, "plan", 0, &["plan"]);
    let stage = worked_on();
    looks_as_before(&stage, "plan-again", 0, &["plan"]);
    looks_as_before(&stage, "run-again", 3, &["run"]);
    looks_as_before(&stage, "status", 0, &["status"]);
    looks_as_before(&stage, "list", 0, &["list"]);
    looks_as_before(&stage, "list-failed", 0, &["list", "--state", "failed"]);
    looks_as_before(&stage, "usage", 0, &["usage"]);
    for (name, path) in [
        ("long", format!("Interviews/{LONG_NAME}")),
        ("failed", format!("会議/{WIDE_NAME}")),
        ("copy", "copy of short.wav".to_owned()),
    ] {
        let path = stage.at(path);
        let path = path.to_str().unwrap();
        looks_as_before(&stage, &format!("show-{name}"), 0, &["show", path]);
        looks_as_before(&stage, &format!("explain-{name}"), 0, &["explain", path]);
    }
    let cut = stage.at("cut.wav");
    looks_as_before(
        &stage,
        "explain-cut",
        0,
        &["explain", cut.to_str().unwrap()],
    );
}

#[test]
fn orders_say_what_they_did_or_why_they_did_not() {
    let stage = worked_on();
    let failed = stage.json(&["list", "--state", "failed"])[0]["id"].to_string();
    looks_as_before(
        &stage,
        "pause",
        0,
        &["pause", "--until", "2099-01-01T12:00"],
    );
    looks_as_before(&stage, "status-paused", 0, &["status"]);
    looks_as_before(&stage, "resume", 0, &["resume"]);
    looks_as_before(&stage, "cancel", 0, &["cancel", &failed]);
    looks_as_before(&stage, "retry", 0, &["retry", &failed]);
    looks_as_before(&stage, "reload", 0, &["reload"]);
    looks_as_before(&stage, "render", 0, &["render"]);
    let short = stage.at("Interviews/short.wav");
    looks_as_before(
        &stage,
        "speakers",
        0,
        &["speakers", short.to_str().unwrap()],
    );
}

/// What `doctor` says, without what differs between machines: their disks and limits.
fn on_any_machine(text: &str) -> String {
    let mut keep = true;
    let lines = text.lines().filter(|line| {
        if !line.starts_with(' ') {
            let check = line.split_whitespace().nth(1);
            keep = !matches!(check, Some("disk" | "watch"));
        }
        keep
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn what_is_set_up_is_told() {
    let stage = archive();
    looks_as_before(&stage, "config-show", 0, &["config", "show"]);
    looks_as_before(&stage, "config-path", 0, &["config", "path"]);
    looks_as_before(&stage, "config-origin", 0, &["config", "show", "--origin"]);
    let example = printed(&stage, || stage.call(["config", "example"]));
    let file = include_str!("../../config.example.toml");
    assert_eq!(example.pipe, file);
    let last = file.trim_end().lines().last().unwrap();
    assert!(example.terminal.contains(last), "{}", example.terminal);
    let first = |call: Call| call.without("STENOD_CONFIG").without("NANOGPT_API_KEY");
    let init = ["init", "--provider", "local", "--yes"];
    let told = first(stage.call(init)).output().success().stdout;
    is_as_before("init.pipe", &stage.replaced().in_text(&told));
    let doctor = printed(&stage, || stage.call(["doctor"]));
    assert_eq!(doctor.code, Some(0), "{}", doctor.pipe);
    is_as_before("doctor.terminal", &on_any_machine(&doctor.terminal));
    is_as_before("doctor.pipe", &on_any_machine(&doctor.pipe));
    stage
        .service
        .behave(|behaviour| behaviour.key = Some("another".into()));
    let doctor = printed(&stage, || stage.call(["doctor"]));
    assert_eq!(doctor.code, Some(1), "{}", doctor.pipe);
    is_as_before("doctor-problem.terminal", &on_any_machine(&doctor.terminal));
    let stage = still();
    stage.put("only.wav", &wav(1, 3.0));
    stage
        .service
        .behave(|behaviour| behaviour.key = Some("another".into()));
    let run = ["run", "--progress", "plain"];
    looks_as_before(&stage, "run-key-refused", 4, &run);
}

/// What `db` says, without what another schema changes: its number, and how large a table is.
fn of_any_schema(text: &str) -> String {
    let numbers = |word: &str| word.parse::<f64>().is_ok();
    let words = text.split_inclusive([' ', '\n']).collect::<Vec<_>>();
    let mut told = String::new();
    for (index, word) in words.iter().enumerate() {
        let is_size = words
            .get(index + 1)
            .is_some_and(|next| next.starts_with("KiB"));
        let is_schema = index > 0 && words[index - 1] == "schema ";
        let bare = word.trim_end();
        if (is_size || is_schema) && numbers(bare) {
            told.push_str(&word.replace(bare, "N"));
        } else {
            told.push_str(word);
        }
    }
    told
}

#[test]
fn the_job_table_is_looked_after() {
    let stage = worked_on();
    for (name, arguments) in [
        ("db-check", &["db", "check"][..]),
        ("db-prune", &["db", "prune", "-n"]),
    ] {
        let Printed {
            terminal,
            pipe,
            code,
        } = printed(&stage, || stage.call(arguments));
        assert_eq!(code, Some(0), "{terminal}");
        is_as_before(&format!("{name}.terminal"), &of_any_schema(&terminal));
        is_as_before(&format!("{name}.pipe"), &of_any_schema(&pipe));
    }
    let backup = |name: &str| stage.root().join(name).display().to_string();
    let screen = stage
        .on_terminal(["db", "backup", &backup("a.db")])
        .end()
        .screen;
    is_as_before("db-backup.terminal", &of_any_schema(&screen));
    let piped = stage.stenod(["db", "backup", &backup("b.db")]).success();
    let text = format!("{}-- stderr\n{}", piped.stdout, piped.stderr);
    let text = of_any_schema(&stage.replaced().in_text(&text));
    is_as_before("db-backup.pipe", &text);
}

#[test]
fn the_manual_and_the_completions_are_those_of_the_definition() {
    let stage = still();
    for (name, arguments) in [
        ("man", &["man"][..]),
        ("man-run", &["man", "run"]),
        ("completions", &["completions", "fish"]),
    ] {
        let told = stage.stenod(arguments).success().stdout;
        is_as_before(&format!("{name}.pipe"), &told);
    }
}

#[test]
fn what_goes_wrong_is_said_once_and_with_its_mend() {
    let stage = archive();
    stage.disagree();
    looks_as_before(&stage, "misspelt-command", 2, &["statsu"]);
    looks_as_before(&stage, "swapped-letters", 2, &["rnu"]);
    looks_as_before(&stage, "misspelt-flag", 2, &["run", "--langauge", "de"]);
    looks_as_before(&stage, "no-such-path", 2, &["run", "/nowhere/at/all"]);
    looks_as_before(&stage, "no-such-job", 1, &["show", "4711"]);
    stage.set("service.poll_intervall", "5s");
    stage.set("service.jobs", "four");
    stage.set_folders("languge", "de");
    looks_as_before(&stage, "config-check", 10, &["config", "check"]);
}

#[test]
fn help_is_the_same_everywhere() {
    let stage = still();
    looks_as_before(&stage, "short-help", 0, &["-h"]);
    looks_as_before(&stage, "help", 0, &["--help"]);
    looks_as_before(&stage, "run-short-help", 0, &["run", "-h"]);
    looks_as_before(&stage, "run-help", 0, &["run", "--help"]);
    looks_as_before(&stage, "list-short-help", 0, &["list", "-h"]);
}

/// The text without what makes it coloured.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
    first + &rest.collect::<String>()
}

#[test]
fn what_is_made_to_be_read_at_a_glance_fits_the_width() {
    let stage = worked_on();
    for arguments in [
        &["list"][..],
        &["status"],
        &["usage"],
        &["plan"],
        &["show", "1"],
        &["show", "2"],
    ] {
        let call = stage.call(arguments.iter().chain(&["--progress", "never"]));
        let terminal = Terminal::start(&call, HIGH, stage.replaced());
        let written = without_colours(&terminal.end().written);
        // What is there to be copied is whole.
        let is_whole = |line: &&str| !line.starts_with("source") && !line.starts_with("output");
        for line in written.lines().filter(is_whole) {
            assert!(
                line.width() <= usize::from(COLUMNS),
                "{arguments:?} is too wide at\n{line}\n{written}"
            );
        }
    }
    let status = stage.on_terminal(["status"]).end().screen;
    assert!(status.lines().count() < usize::from(LINES), "{status}");
}

#[test]
fn narrow_terminals_lose_nothing_but_width() {
    let stage = worked_on();
    for (name, arguments) in [
        ("list-narrow", &["list"][..]),
        ("status-narrow", &["status"]),
        ("plan-narrow", &["plan", "--progress", "never"]),
    ] {
        let call = stage.call(arguments);
        let ended = Terminal::of_size(&call, (HIGH, 40), stage.replaced()).end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        is_as_before(&format!("{name}.terminal"), &ended.screen);
    }
    // Nobody can read much there, and nothing breaks.
    let stage = still();
    stage.put("a.wav", &wav(1, 3.0));
    for size in [(4, 12), (1, 1), (3, 400)] {
        let call = stage.call(["run", "--force"]);
        let ended = Terminal::of_size(&call, size, stage.replaced()).end();
        assert!(ended.code.is_some_and(|code| code < 4), "{}", ended.written);
    }
}

#[test]
fn a_name_of_odd_bytes_is_shown_lossily_everywhere_and_breaks_nothing() {
    let stage = still();
    let odd = OsStr::from_bytes(b"odd \xff\x1b[31m\nname.wav");
    let path = stage.put(Path::new(odd), &wav(1, 3.0));
    stage.stenod(["run"]).success();
    let shown = "odd \u{fffd}\\u{1b}[31m\\nname";
    for arguments in [
        &["list"][..],
        &["plan", "--progress", "never"],
        &["show", "1"],
    ] {
        let ended = Terminal::start(&stage.call(arguments), LINES, stage.replaced()).end();
        let text = without_colours(&ended.written).replace("\r\n", "");
        assert!(text.contains(shown), "{arguments:?}\n{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let explained = stage.stenod([OsStr::new("explain"), path.as_os_str()]);
    explained.success().says(shown);
    let list = stage.json(&["list"]);
    let source = list[0]["source"].as_str().unwrap();
    assert!(
        source.ends_with("odd \u{fffd}\u{1b}[31m\nname.wav"),
        "{source:?}"
    );
    assert!(path.with_extension("txt").exists());
}

#[test]
fn a_terminal_without_utf_8_is_given_ascii() {
    let stage = still();
    stage.put("Interviews/a long name for a short talk.wav", &wav(1, 3.0));
    for arguments in [&["run"][..], &["list"], &["plan"]] {
        let call = stage.call(arguments).env("LC_ALL", "C");
        let ended = Terminal::of_size(&call, (LINES, 60), stage.replaced()).end();
        assert_eq!(ended.code, Some(0), "{}", ended.screen);
        assert!(ended.written.is_ascii(), "{}", ended.written);
    }
    let list = stage.call(["list"]).env("LC_ALL", "C");
    let list = Terminal::of_size(&list, (LINES, 60), stage.replaced()).end();
    assert!(list.screen.contains("..."), "{}", list.screen);
}
