//! Rules that lie in the folders themselves, from outside: what is sent, what waits, and what goes on.

#![cfg(test)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use stenod_support::audio::wav;
use stenod_support::stage::{Stage, is_root};

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn languages(stage: &Stage) -> Vec<(String, String)> {
    let jobs = stage.json(&["list"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut languages: Vec<_> = jobs
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            let source = text(&job["source"]);
            let name = source.rsplit('/').next().unwrap().to_owned();
            (name, text(&job["language"]))
        })
        .collect();
    languages.sort();
    languages
}

#[test]
fn a_folder_sets_for_itself_what_is_asked_for() {
    let stage = stage();
    stage.set("transcribe.language", "fr");
    stage.put("a.wav", &wav(1, 0.3));
    stage.put("German/b.wav", &wav(2, 0.3));
    stage.put("German/deep/c.wav", &wav(3, 0.3));
    stage.put(
        "German/stenod.toml",
        b"[transcribe]\nlanguage = \"de\"\nformats = [\"srt\", \"json\"]\n",
    );
    stage.put(
        "German/deep/stenod.toml",
        b"[transcribe]\nlanguage = \"nl\"\n",
    );
    stage.stenod(["run"]).success();
    let expected = [("a.wav", "fr"), ("b.wav", "de"), ("c.wav", "nl")];
    let expected = expected.map(|(name, language)| (name.to_owned(), language.to_owned()));
    assert_eq!(languages(&stage), expected);
    assert!(stage.at("German/deep/c.srt").exists() && !stage.at("German/b.txt").exists());
    // Named by itself, a recording is still that of its folder: nothing is paid again.
    stage
        .stenod(["run", stage.at("German/deep/c.wav").to_str().unwrap()])
        .success();
    stage
        .stenod(["run", stage.at("German").to_str().unwrap()])
        .success();
    assert_eq!(charges(&stage), 3);
    stage.check();
}

#[test]
fn a_mistake_in_a_folders_file_pauses_that_folder_until_it_is_mended() {
    let stage = stage();
    stage.put("first.wav", &wav(1, 0.3));
    stage.put("German/b.wav", &wav(2, 0.3));
    stage.put("German/stenod.toml", b"[transcribe]\nlangauge = \"de\"\n");
    let plan = stage.stenod(["plan", "--json"]).success().json();
    let plan = plan.to_string();
    assert!(
        plan.contains("folder_settings") && plan.contains("did you mean `language`"),
        "{plan}"
    );
    let mut watch = stage.call(["watch"]).start();
    watch.until("the transcript beside", || stage.at("first.json").exists());
    let trouble = |stage: &Stage| {
        let status = stage.stenod(["status", "--json"]).json();
        status["folders"][0]["trouble"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    watch.until("the trouble", || {
        trouble(&stage).contains("stenod.toml:2:1")
    });
    assert!(!stage.at("German/b.json").exists());
    stage.put("German/stenod.toml", b"[transcribe]\nlanguage = \"de\"\n");
    watch.until("its transcript", || stage.at("German/b.json").exists());
    watch.until("no trouble", || trouble(&stage).is_empty());
    watch.terminate();
    let outcome = watch.outcome().no_panic();
    assert!(
        outcome.stderr.contains("stenod.toml:2:1"),
        "{}",
        outcome.tell()
    );
    assert!(languages(&stage).contains(&("b.wav".to_owned(), "de".to_owned())));
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn what_an_ignore_file_names_is_left_alone_until_it_is_named_no_more() {
    let stage = stage();
    stage.put(".stenodignore", b"/music/\n*-raw.wav\n");
    stage.put("talk.wav", &wav(1, 0.3));
    stage.put("talk-raw.wav", &wav(2, 0.3));
    stage.put("music/song.wav", &wav(3, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("talk.json").exists());
    fs::remove_file(stage.at(".stenodignore")).unwrap();
    watch.until("the others", || {
        stage.at("talk-raw.json").exists() && stage.at("music/song.json").exists()
    });
    stage.put(".stenodignore", b"later/\n");
    stage.put("later/no.wav", &wav(4, 0.3));
    stage.put("after.wav", &wav(5, 0.3));
    watch.until("the last one", || stage.at("after.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    assert!(!stage.at("later/no.json").exists());
    assert_eq!(charges(&stage), 4);
    stage.check();
}

#[test]
fn what_is_known_by_size_time_and_inode_is_not_read_again() {
    let stage = stage();
    let recording = wav(1, 0.3);
    let known = stage.put("known.wav", &recording);
    let passed_over = stage.put("passed-over.wav", &vec![b'x'; recording.len()]);
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), 1);
    // Whoever reads them finds two new recordings.
    for (seed, path) in (2..).zip([known, passed_over]) {
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all(&wav(seed, 0.3)).unwrap();
        file.set_modified(modified).unwrap();
    }
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
}

#[test]
fn what_is_too_short_is_passed_over_and_the_plan_says_so() {
    let stage = stage();
    stage.set_folders("min_length", "1s");
    stage.put("short.wav", &wav(1, 0.3));
    stage.put("long.wav", &wav(2, 1.5));
    let plan = stage
        .stenod(["plan", "--json"])
        .success()
        .json()
        .to_string();
    assert!(plan.contains("too_short"), "{plan}");
    stage.stenod(["run"]).success();
    assert!(stage.at("long.json").exists() && !stage.at("short.json").exists());
    // It is the setting that kept it out, not the file.
    stage.set_folders("min_length", "0s");
    stage.stenod(["run"]).success();
    assert!(stage.at("short.json").exists());
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn links_copies_and_odd_names_are_each_paid_once() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let stage = stage();
    let talk = stage.put("Talk.wav", &wav(1, 0.3));
    fs::hard_link(&talk, stage.at("hard.wav")).unwrap();
    symlink(&talk, stage.at("link.wav")).unwrap();
    symlink(stage.recordings(), stage.at("round")).unwrap();
    stage.put("talk.WAV", &wav(2, 0.3));
    stage.put("n\u{e9}.wav", &wav(3, 0.3));
    stage.put("ne\u{301}.wav", &wav(4, 0.3));
    stage.put("line\nbreak.wav", &wav(5, 0.3));
    stage.put(OsStr::from_bytes(b"caf\xe9.wav"), &wav(6, 0.3));
    let long = "long ".repeat(50) + "a.wav";
    let longer = "long ".repeat(50) + "b.wav";
    assert_eq!(long.len(), 255);
    stage.put(&long, &wav(7, 0.3));
    stage.put(&longer, &wav(8, 0.3));
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 8);
    assert_eq!(
        stage
            .names()
            .iter()
            .filter(|name| name.ends_with(".json"))
            .count(),
        10
    );
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 8);
    stage.check();
}

#[test]
fn a_folder_that_may_not_be_read_is_told_and_taken_up_when_it_may() {
    if !is_root() {
        return;
    }
    let stage = stage();
    stage.put("open.wav", &wav(1, 0.3));
    let closed = stage.put("closed/a.wav", &wav(2, 0.3));
    stage.give_away();
    let folder = closed.parent().unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o000)).unwrap();
    let mut watch = stage
        .call(["watch"])
        .user(stenod_support::stage::NOBODY)
        .start();
    watch.until("the one that may be read", || {
        stage.at("open.json").exists()
    });
    assert!(!stage.at("closed/a.json").exists());
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    watch.until("the other one", || stage.at("closed/a.json").exists());
    // The same with the whole folder, in which a recording arrives meanwhile.
    let trouble = |stage: &Stage| stage.json(&["status"])["folders"][0]["trouble"].clone();
    let allow = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(stage.recordings(), mode).unwrap();
    };
    allow(0o000);
    stage.put("meanwhile.wav", &wav(3, 0.3));
    watch.until("the trouble", || trouble(&stage) == "it cannot be read");
    allow(0o777);
    watch.until("the third", || stage.at("meanwhile.json").exists());
    watch.until("no trouble", || trouble(&stage).is_null());
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 3);
}

#[test]
fn rules_that_are_a_link_to_where_nobody_may_look_pause_their_folder_until_somebody_may() {
    if !is_root() {
        return;
    }
    let stage = stage();
    stage.put("open.wav", &wav(1, 0.3));
    let elsewhere = stage.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    stage.put(elsewhere.join("rules"), b"secret.wav\n");
    stage.put("in/secret.wav", &wav(2, 0.3));
    stage.put("in/other.wav", &wav(3, 0.3));
    symlink(elsewhere.join("rules"), stage.at("in/.stenodignore")).unwrap();
    stage.give_away();
    let allow = |mode| {
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o000);
    let mut watch = stage
        .call(["watch"])
        .user(stenod_support::stage::NOBODY)
        .start();
    watch.until("the one beside", || stage.at("open.json").exists());
    let trouble = |stage: &Stage| stage.json(&["status"])["folders"][0]["trouble"].clone();
    watch.until("the trouble", || {
        trouble(&stage).to_string().contains("what it is a link to")
    });
    stage
        .call(["explain", stage.at("in/other.wav").to_str().unwrap()])
        .user(stenod_support::stage::NOBODY)
        .output()
        .says("its folder is paused");
    assert_eq!(charges(&stage), 1);
    // Told by no event, and noticed at the next look at the roots.
    allow(0o755);
    watch.until("the other one", || stage.at("in/other.json").exists());
    watch.until("no trouble", || trouble(&stage).is_null());
    watch.terminate();
    watch.outcome().no_panic();
    assert!(!stage.at("in/secret.json").exists());
    assert_eq!(charges(&stage), 2);
    stage.check();
}

#[test]
fn a_root_that_is_missing_is_no_reason_to_end() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.3));
    stage.add_folder(&stage.root().join("later"));
    stage.stenod(["run"]);
    assert_eq!(charges(&stage), 1);
    let only = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    only.no_folders();
    only.add_folder(&only.root().join("never"));
    let outcome = only.stenod(["run"]);
    assert_ne!(outcome.code, Some(0), "{}", outcome.tell());
}

/// The state and the reason of each job, by the name of its recording.
fn standing(stage: &Stage) -> Vec<(String, String)> {
    let jobs = stage.json(&["list"]);
    let mut standing: Vec<_> = jobs
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            let source = job["source"].as_str().unwrap();
            let name = source.rsplit('/').next().unwrap().to_owned();
            let reason = job["reason"].as_str().unwrap_or_default();
            (name, format!("{} {reason}", job["state"].as_str().unwrap()))
        })
        .collect();
    standing.sort();
    standing
}

#[test]
fn what_is_queued_waits_for_rules_that_came_later_and_goes_on_without_them() {
    let stage = stage();
    stage.stenod(["pause"]).success();
    let mut watch = stage.call(["watch"]).start();
    for (seed, name) in [(1, "1/a.wav"), (2, "2/b.wav"), (3, "3/c.wav"), (4, "d.wav")] {
        stage.put(name, &wav(seed, 0.3));
    }
    watch.until("four in the queue", || standing(&stage).len() == 4);
    stage.put("1/stenod.toml", b"[transcribe]\nlangauge = \"de\"\n");
    stage.put(".stenodignore", b"/2/\n");
    stage.set_folders("exclude", vec!["3/**"]);
    stage.stenod(["reload"]).success();
    stage.stenod(["resume"]).success();
    let waits = [
        ("a.wav", "waiting folder_settings"),
        ("b.wav", "waiting left_out"),
        ("c.wav", "waiting left_out"),
    ];
    watch.until("three to wait", || {
        let standing = standing(&stage);
        waits
            .iter()
            .zip(&standing)
            .all(|((name, state), (job, is))| (*name, *state) == (job, is))
    });
    watch.until("the fourth", || stage.at("d.json").exists());
    assert_eq!(charges(&stage), 1);
    let explained = stage.json(&["explain", stage.at("1/a.wav").to_str().unwrap()]);
    assert!(
        explained.to_string().contains("stenod.toml:2:1"),
        "{explained}"
    );

    // Mended, it has other settings than those that were frozen.
    stage.put("1/stenod.toml", b"[transcribe]\nlanguage = \"de\"\n");
    fs::remove_file(stage.at(".stenodignore")).unwrap();
    watch.until("those without a rule", || {
        stage.at("1/a.json").exists() && stage.at("2/b.json").exists()
    });
    assert!(!stage.at("3/c.json").exists());
    stage.set_folders("exclude", Vec::<&str>::new());
    stage.stenod(["reload"]).success();
    watch.until("the last", || stage.at("3/c.json").exists());
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 4, "{}", stage.service.story());
    stage.check();
}
