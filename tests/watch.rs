//! The daemon from outside: what arrives is transcribed, and a stop loses nothing.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Log, Moment, Rule, usual_text};
use stenod_support::stage::{Running, Stage};

fn stage() -> Stage {
    let stage = Stage::new(env!("CARGO_BIN_EXE_stenod"));
    stage.set("service.in_doubt", "hold");
    stage
}

/// A daemon that has transcribed its first recording, so that it is known to be at work.
fn watching(stage: &Stage) -> Running {
    stage.put("first.wav", &wav(1000, 0.3));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the first transcript", || stage.at("first.json").exists());
    watch
}

fn text_of(bytes: &[u8]) -> String {
    usual_text(blake3::hash(bytes).to_hex().as_str())
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

#[test]
fn a_recording_that_appears_is_transcribed() {
    let stage = stage();
    let mut watch = watching(&stage);
    for (number, name) in (1..).zip(["a.wav", "b.wav", "new/folder/c.wav"]) {
        let bytes = wav(number, 0.3);
        stage.put(name, &bytes);
        let json = stage.at(name).with_extension("json");
        watch.until("its transcript", || json.exists());
        assert_eq!(
            stage.read(name.replace("wav", "txt")).trim(),
            text_of(&bytes)
        );
    }
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 4);
    stage.check();
}

#[test]
fn polling_finds_it_as_well() {
    let stage = stage();
    stage.set_folders("watch", "poll");
    stage.set_folders("poll_every", "100ms");
    let mut watch = watching(&stage);
    stage.put("late.wav", &wav(1, 0.3));
    watch.until("its transcript", || stage.at("late.json").exists());
}

#[test]
fn a_recording_that_is_still_growing_is_not_sent() {
    let stage = stage();
    stage.set_folders("settle", "2s");
    let bytes = wav(1, 1.0);
    // Without its header, so that only the settle time can tell: MPEG frames, repeated.
    let mp3 = fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/speech/amiable.mp3"
    ));
    let mp3 = mp3.unwrap();
    let mut watch = stage.call(["watch"]).start();
    let mut growing = fs::File::create(stage.at("growing.mp3")).unwrap();
    let mut cut = fs::File::create(stage.at("cut.wav")).unwrap();
    cut.write_all(&bytes[..bytes.len() / 2]).unwrap();
    for piece in mp3.chunks(mp3.len() / 10) {
        growing.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    drop(growing);
    watch.until("the transcript of the grown one", || {
        stage.at("growing.json").exists()
    });
    assert!(!stage.at("cut.json").exists(), "half a recording was sent");
    cut.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(cut);
    watch.until("the transcript of the completed one", || {
        stage.at("cut.json").exists()
    });
    let paid = stage
        .service
        .look(|log| (log.ledger().paid_for(&mp3), log.ledger().paid_for(&bytes)));
    assert_eq!(
        (paid, charges(&stage)),
        ((1, 1), 2),
        "{}",
        stage.service.story()
    );
}

#[test]
fn what_is_not_complete_is_told_with_what_it_waits_for_until_it_is() {
    let stage = stage();
    stage.set_folders("settle", "1s");
    let whole = wav(1, 1.0);
    let half = stage.put("half.wav", &whole[..whole.len() / 2]);
    let empty = stage.put("empty.wav", b"");
    let zeros = stage.put("zeros.mp3", &[0; 4096]);
    let growing = stage.put("growing.mp3", b"");
    let counts = |stage: &Stage| stage.json(&["status"])["settling"]["counts"].clone();
    let mut watch = stage.call(["watch"]).start();
    watch.until("what it waits for", || {
        let mut file = fs::File::options().append(true).open(&growing).unwrap();
        file.write_all(&[1; 64]).unwrap();
        counts(&stage) == serde_json::json!({"cut_short": 2, "empty": 1, "growing": 1})
    });
    let text = stage.stenod(["status"]).success().stdout;
    let says = "settling  2 cut short, 1 empty, 1 growing\n";
    assert!(
        text.contains(says) && text.contains("half.wav: cut short: "),
        "{text}"
    );
    let explained = |path: &std::path::Path| stage.json(&["explain", path.to_str().unwrap()]);
    for (path, code) in [
        (&half, "cut_short"),
        (&empty, "empty"),
        (&zeros, "cut_short"),
        (&growing, "growing"),
    ] {
        let found = explained(path);
        assert_eq!(
            (&found["answer"], &found["code"]),
            (&"settling".into(), &code.into()),
            "{found:#}"
        );
        assert!(found["until"].is_string(), "{found:#}");
    }
    let found = explained(&zeros)["message"].clone();
    assert!(
        found
            .to_string()
            .contains("cut short: nothing but zero bytes yet"),
        "{found}"
    );
    fs::remove_file(&growing).unwrap();
    watch.terminate();
    watch.outcome().no_panic();
    // The table knows what is cut short while nobody watches.
    assert_eq!(counts(&stage), serde_json::json!({"cut_short": 2}));
    assert_eq!(explained(&half)["code"], "cut_short");
    let mut watch = stage.call(["watch"]).start();
    watch.until("the same as before", || {
        counts(&stage) == serde_json::json!({"cut_short": 2, "empty": 1})
    });
    stage.put("half.wav", &whole);
    watch.until("its transcript", || stage.at("half.json").exists());
    watch.until("that it waits no longer", || {
        counts(&stage) == serde_json::json!({"cut_short": 1, "empty": 1})
    });
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), 1, "{}", stage.service.story());
    stage.check();
}

#[test]
fn a_folder_that_is_moved_in_is_found_with_everything_inside() {
    let stage = stage();
    let outside = stage.root().join("outside");
    fs::create_dir_all(outside.join("deep/er")).unwrap();
    for seed in 1..=3 {
        fs::write(outside.join(format!("deep/er/{seed}.wav")), wav(seed, 0.3)).unwrap();
    }
    fs::write(outside.join("deep/top.wav"), wav(4, 0.3)).unwrap();
    let mut watch = watching(&stage);
    fs::rename(&outside, stage.at("moved-in")).unwrap();
    for name in ["deep/er/1", "deep/er/2", "deep/er/3", "deep/top"] {
        let json = stage.at(format!("moved-in/{name}.json"));
        watch.until("a transcript in it", || json.exists());
    }
}

#[test]
fn what_was_there_before_is_left_alone_where_configured() {
    let stage = stage();
    stage.set_folders("existing", false);
    stage.put("old.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch"]).start();
    // There is no transcript to wait for: the daemon tells when it has looked around.
    watch.until("its first look", || {
        stage.state().exists() && !watching_folders(&stage).is_empty()
    });
    stage.put("new.wav", &wav(2, 0.3));
    watch.until("the transcript of the new one", || {
        stage.at("new.json").exists()
    });
    assert!(!stage.at("old.json").exists());
    assert_eq!(charges(&stage), 1);
}

/// How the folders are watched, by `status`; empty while the daemon is not up.
fn watching_folders(stage: &Stage) -> String {
    let outcome = stage.stenod(["status", "--json"]);
    let status = if outcome.code == Some(0) {
        outcome.json()
    } else {
        return String::new();
    };
    let watched = status["folders"][0]["watched"]
        .as_str()
        .or(status["folders"][0]["watch"].as_str());
    watched.unwrap_or("").to_owned()
}

#[test]
fn signals_stop_it_cleanly_with_their_codes() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let stage = stage();
        let watch = watching(&stage);
        watch.signal(signal);
        let outcome = watch.outcome().code(code);
        assert_eq!(outcome.signal, None);
        assert_eq!(stage.json(&["status"])["jobs"]["done"], 1);
    }
}

#[test]
fn a_stop_in_the_middle_keeps_the_queue() {
    let stage = stage();
    stage.set("service.jobs", 1);
    let gate = Gate::closed();
    let watch = watching(&stage);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).behind(&gate));
    for seed in 1..=3 {
        stage.put(format!("{seed}.wav"), &wav(seed, 0.3));
    }
    let held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("a submit in flight", held);
    watch.terminate();
    // Work that has begun may end: its answer is on the way.
    gate.open();
    watch.outcome().code(143);
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (jobs["failed"].as_u64(), jobs["in_doubt"].as_u64()),
        (Some(0), Some(0)),
        "{jobs}"
    );
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), 4);
    stage.check();
}

#[test]
fn a_restart_polls_its_tickets_before_it_submits_anything_new() {
    for signal in [Signal::TERM, Signal::KILL] {
        let stage = stage();
        stage.set("transcribe.model", "Elevenlabs-STT");
        stage.set("service.poll_interval", "1h");
        stage.service.behave(|behaviour| behaviour.polls = 0);
        stage.put("a.wav", &wav(1, 0.3));
        let mut watch = stage.call(["watch"]).start();
        watch.until("a ticket", || {
            stage.json(&["list"]).to_string().contains("run-0001")
        });
        watch.signal(signal);
        watch.outcome();
        let before = stage.service.look(|log| log.exchanges.len());
        stage.put("b.wav", &wav(2, 0.3));
        let gate = Gate::closed();
        stage
            .service
            .script(Rule::on(Endpoint::Status).behind(&gate));
        // Nothing is due for an hour, and yet the ticket is asked about, and what is new waits for the answer.
        let mut watch = stage.call(["watch"]).start();
        watch.until("the other one in the table", || {
            stage.json(&["status"])["jobs"]["queued"] == 1
        });
        gate.open();
        stage.service.wait("a second submit", |log| {
            log.submits().count() == 2 && log.ledger().charges.len() == 2
        });
        stage.service.look(|log| {
            let paid =
                |endpoint: &Endpoint| matches!(endpoint, Endpoint::Submit | Endpoint::Status);
            let mut after = log.exchanges[before..]
                .iter()
                .map(|exchange| exchange.endpoint);
            assert_eq!(after.find(paid), Some(Endpoint::Status), "{signal:?}");
        });
        assert_eq!(charges(&stage), 2);
        stage.check();
    }
}

#[test]
fn a_folder_that_is_unplugged_and_comes_back_is_watched_again() {
    let stage = stage();
    stage.set_folders("poll_every", "200ms");
    stage.set_folders("watch", "poll");
    let mut watch = watching(&stage);
    let away = stage.root().join("away");
    fs::rename(stage.recordings(), &away).unwrap();
    fs::write(away.join("meanwhile.wav"), wav(1, 0.3)).unwrap();
    fs::rename(&away, stage.recordings()).unwrap();
    watch.until("its transcript", || stage.at("meanwhile.json").exists());
    assert_eq!(charges(&stage), 2);
}

#[test]
fn a_second_signal_stops_at_once() {
    let stage = stage();
    let gate = Gate::closed();
    let mut watch = watching(&stage);
    let hold = Rule::on(Endpoint::Submit)
        .at(Moment::Complete)
        .behind(&gate);
    stage.service.script(hold);
    stage.put("a.wav", &wav(1, 0.3));
    stage.service.wait("a submit in flight", |log| {
        log.submits().any(|submit| submit.held)
    });
    // Two signals at the same moment would be one: again and again, as somebody in a hurry does.
    while !watch.has_ended() {
        watch.signal(Signal::INT);
        thread::sleep(Duration::from_millis(50));
    }
    let outcome = watch.outcome().no_panic();
    assert!(
        outcome.code == Some(130) || outcome.signal == Some(2),
        "{}",
        outcome.tell()
    );
    gate.open();
    stage.stenod(["run"]).no_panic();
    assert!(charges(&stage) <= 2);
    stage.check();
}

#[test]
fn it_speaks_one_line_of_json_for_each_change() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch", "--json"]).start();
    watch.until("the transcript", || stage.at("a.json").exists());
    watch.terminate();
    let outcome = watch.outcome().code(143);
    let lines = outcome.lines();
    assert!(
        lines.iter().all(|line| line["type"].is_string()),
        "{}",
        outcome.tell()
    );
    assert!(
        lines.iter().any(|line| line["type"] == "job"),
        "{}",
        outcome.tell()
    );
}

#[test]
fn explain_says_of_a_link_to_a_file_elsewhere_that_no_change_of_it_is_told() {
    let stage = stage();
    let elsewhere = stage.root().join("elsewhere.wav");
    fs::write(&elsewhere, wav(1, 0.3)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, stage.at("link.wav")).unwrap();
    let mut watch = watching(&stage);
    watch.until("the linked one", || stage.at("link.json").exists());
    fs::write(&elsewhere, wav(2, 0.4)).unwrap();
    let link = stage.at("link.wav");
    watch.until("the new content to be complete", || {
        let explained = stage.json(&["explain", link.to_str().unwrap()]);
        explained["answer"] == "queued" || explained.to_string().contains("outside of its folder")
    });
    let explained = stage.stenod(["explain", link.to_str().unwrap()]);
    explained.says("outside of its folder").says("stenod run");
    watch.terminate();
    watch.outcome().no_panic();
}
