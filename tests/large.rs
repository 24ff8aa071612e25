//! Recordings that are not sent as they are: shrunk, or cut into pieces and put together again.

#![cfg(test)]

use std::path::Path;

use serde_json::{Value, json};
use stenod_support::audio::wav;
use stenod_support::service::{Act, Endpoint, Gate, Log, Moment, Reply, Rule};
use stenod_support::stage::{Stage, eventually};

/// The length of the long recording in seconds, and of its pieces about.
const LONG: f64 = 50.0;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

/// A stage on which a recording of 50 s has to be cut into pieces of about 15 s.
fn stage_of_pieces() -> Stage {
    let stage = stage();
    stage.set("large.direct_limit", "72 KiB");
    stage.set("large.piece_minutes", 0.25);
    stage.put("long.wav", &wav(1, LONG));
    stage
}

fn charges(stage: &Stage) -> usize {
    stage.service.look(|log| log.ledger().charges.len())
}

fn job(stage: &Stage, name: &str) -> Value {
    let path = stage.at(name);
    stage.json(&["show", path.to_str().unwrap()])
}

fn example(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recordings");
    std::fs::read(folder.join(name)).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio");
    std::fs::read(folder.join(name)).unwrap()
}

fn spooled(stage: &Stage) -> usize {
    let folder = stage.state().join("spool");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Fails unless the transcript has every piece once and in order, with times that follow each other.
#[track_caller]
fn assert_whole(stage: &Stage, name: &str, pieces: usize) {
    let json = stage.read_json(name);
    let segments = json["segments"].as_array().unwrap();
    assert_eq!(json["timing"], "pieces", "{json}");
    assert_eq!(segments.len(), pieces, "{json}");
    let mut before = 0.0;
    for segment in segments {
        assert!(
            (segment["start"].as_f64().unwrap() - before).abs() < 0.01,
            "{json}"
        );
        before = segment["end"].as_f64().unwrap();
    }
    assert!((before - LONG).abs() < 0.01, "{json}");
}

#[test]
fn a_format_that_the_service_does_not_promise_is_sent_as_ogg() {
    let stage = stage();
    stage.put("speech.flac", &example("jfk.flac"));
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["routes"]["shrink"], 1, "{plan}");
    let why = plan["items"][0]["why"].as_str().unwrap();
    assert!(why.contains("FLAC"), "{why}");
    stage.stenod(["run"]).success();
    let job = job(&stage, "speech.flac");
    assert_eq!(
        (&job["route"], &job["state"]),
        (&"shrink".into(), &"done".into())
    );
    stage.service.look(|log| {
        let submit = log.submits().next().unwrap();
        let file = submit.submit.as_ref().unwrap();
        assert_eq!(
            (file.file_name.as_str(), file.mime.as_str()),
            ("audio.ogg", "audio/ogg")
        );
    });
    assert_eq!((charges(&stage), spooled(&stage)), (1, 0));
    stage.check();
}

#[test]
fn a_recording_over_the_direct_limit_is_shrunk_if_that_is_enough() {
    let stage = stage();
    let large = wav(1, 140.0);
    assert!(large.len() > 4 << 20);
    stage.put("large.wav", &large);
    stage.stenod(["run"]).success();
    assert_eq!(job(&stage, "large.wav")["route"], "shrink");
    let sent = stage
        .service
        .look(|log| log.submits().next().unwrap().arrived);
    assert!(sent < 1 << 20, "{sent} bytes");
    assert_eq!((charges(&stage), spooled(&stage)), (1, 0));
}

/// A part of one channel between two of two channels, as advertisements in podcasts are.
#[test]
fn a_joined_recording_is_shrunk_to_its_end() {
    let stage = stage();
    stage.set("large.direct_limit", "32 KiB");
    let parts = ["stereo44.mp3", "mono44.mp3", "stereo44.mp3"].map(fixture);
    stage.put("joined.mp3", &parts.concat());
    stage.stenod(["run"]).success();
    assert_eq!(job(&stage, "joined.mp3")["route"], "shrink");
    let json = stage.read_json("joined.json");
    let seconds = json["duration"].as_f64().unwrap();
    // Three seconds, one, and three, with what the encoder added to the last two.
    assert!((7.0..7.3).contains(&seconds), "{seconds}");
    assert_eq!(json["warnings"], json!([]), "{json}");
    assert_eq!((charges(&stage), spooled(&stage)), (1, 0));
}

#[test]
fn what_cannot_be_decoded_here_is_not_promised_to_be_shrunk() {
    let stage = stage();
    stage.set("large.direct_limit", "8 KiB");
    stage.put("surround.m4a", &fixture("surround.m4a"));
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["items"][0]["action"], "wait", "{plan}");
    let said = plan["items"][0]["message"].as_str().unwrap();
    assert!(said.contains("cannot be decoded here"), "{said}");
    assert!(
        said.contains("[bucket]") && !said.contains("large.shrink"),
        "{said}"
    );
    // It is not looked into again by the second run.
    for said in ["cannot be decoded here", "1 waiting"] {
        stage.stenod(["run"]).code(3).says(said);
        let job = job(&stage, "surround.m4a");
        assert_eq!(
            (&job["state"], &job["reason"]),
            (&json!("waiting"), &json!("no_decoder"))
        );
    }
    assert_eq!((charges(&stage), spooled(&stage)), (0, 0));
}

#[test]
fn without_encoding_again_it_waits_and_is_told_the_ways_out() {
    let stage = stage_of_pieces();
    stage.set("large.shrink", false);
    stage.stenod(["run"]).code(3).says("large.shrink = true");
    let job_before = job(&stage, "long.wav");
    assert_eq!(job_before["reason"], "too_large");
    stage.set("large.shrink", true);
    stage.stenod(["run"]).success();
    assert_eq!(job(&stage, "long.wav")["route"], "pieces");
    assert_whole(&stage, "long.json", charges(&stage));
}

#[test]
fn a_long_recording_goes_in_pieces_each_of_which_is_paid_once() {
    let stage = stage_of_pieces();
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["routes"]["pieces"], 1, "{plan}");
    stage.stenod(["run"]).success();
    let pieces = charges(&stage);
    assert!((3..=5).contains(&pieces), "{pieces} pieces");
    assert_whole(&stage, "long.json", pieces);
    let jobs = stage.json(&["list"]);
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
    let job = job(&stage, "long.wav");
    assert_eq!(job["pieces"].as_array().unwrap().len(), pieces, "{job}");
    assert_eq!(job["attempts"], pieces, "{job}");
    let total = stage.service.look(|log| log.ledger().total());
    assert_eq!(job["cost"], total.as_str(), "{job}");
    assert_eq!(stage.json(&["status"])["jobs"]["done"], 1);
    assert_eq!(spooled(&stage), 0);
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), pieces);
    let used = stage.json(&["usage"]);
    assert_eq!(used["total"]["recordings"], 1, "{used}");
    stage.check();
}

#[test]
fn a_copy_of_a_long_recording_costs_nothing() {
    let stage = stage_of_pieces();
    stage.put("copy.wav", &wav(1, LONG));
    stage.stenod(["run"]).success();
    let pieces = charges(&stage);
    assert!(pieces <= 5, "{pieces} charges for two copies");
    assert_whole(&stage, "long.json", pieces);
    assert_whole(&stage, "copy.json", pieces);
}

#[test]
fn a_kill_in_the_middle_of_the_pieces_pays_for_none_of_them_twice() {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    stage.set("service.in_doubt", "hold");
    stage
        .service
        .script(Rule::on(Endpoint::Submit).after(2).act(Act::Hang));
    let running = stage.call(["run"]).start();
    let held = |log: &Log| log.exchanges.iter().any(|exchange| exchange.held);
    stage.service.wait("the third piece", held);
    running.kill();
    assert_eq!(charges(&stage), 2);
    std::fs::remove_dir_all(stage.state().join("spool")).unwrap();
    // The third was handed over whole: it is in doubt, and a person decides.
    stage.stenod(["run"]).no_panic();
    let path = stage.at("long.wav");
    stage.stenod(["retry".as_ref(), path.as_os_str()]).success();
    stage.stenod(["run"]).success();
    let paid = stage.service.look(|log| log.ledger().counts());
    assert!(paid.values().all(|count| *count == 1), "{paid:?}");
    assert_whole(&stage, "long.json", paid.len());
    stage.check();
}

#[test]
fn kills_while_it_is_cut_cost_a_piece_each_and_do_not_set_it_aside() {
    let stage = stage_of_pieces();
    stage.put("long.wav", &wav(1, 600.0));
    let made = |stage: &Stage| {
        let spool = stage.state().join("spool");
        let names = std::fs::read_dir(spool).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".ogg")).count()
    };
    for kill in 1..=4 {
        let before = made(&stage);
        let running = stage.call(["run"]).start();
        // The first is named before it is noted, the next one comes after that.
        eventually("two more pieces", || made(&stage) >= before + 2);
        running.kill();
        assert!(made(&stage) >= 2 * kill);
    }
    assert_eq!(charges(&stage), 0);
    stage.stenod(["run"]).success();
    let paid = stage.service.look(|log| log.ledger().counts());
    assert!(paid.values().all(|count| *count == 1), "{paid:?}");
    assert!(paid.len() >= 40, "{paid:?}");
    let segments = stage.read_json("long.json")["segments"]
        .as_array()
        .map(Vec::len);
    assert_eq!(segments, Some(paid.len()));
    assert_eq!(spooled(&stage), 0);
    stage.check();
}

#[test]
fn a_piece_that_fails_leaves_a_hole_that_is_told_and_can_be_mended() {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    let refusal = Reply::json(422, &json!({"error": "noise"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).after(1).answer(refusal));
    stage.stenod(["run"]).code(3).says("1 of");
    let paid = charges(&stage);
    assert_eq!(job(&stage, "long.wav")["reason"], "incomplete");
    assert!(
        stage.read("long.txt").contains("[missing from"),
        "{}",
        stage.read("long.txt")
    );
    let json = stage.read_json("long.json");
    assert!(
        json["warnings"].to_string().contains("piece_missing"),
        "{json}"
    );
    stage.stenod(["run"]).no_panic();
    assert_eq!(charges(&stage), paid, "nothing is sent again unasked");
    let path = stage.at("long.wav");
    stage.stenod(["retry".as_ref(), path.as_os_str()]).success();
    stage.stenod(["run"]).success();
    assert_eq!(charges(&stage), paid + 1);
    assert_whole(&stage, "long.json", paid + 1);
    assert!(!stage.read("long.txt").contains("[missing"));
}

#[test]
fn pieces_that_are_all_too_large_are_cut_anew_where_they_are_to_be_smaller() {
    let stage = stage_of_pieces();
    let refusal = Reply::json(413, &json!({"error": "too large"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).times(4).answer(refusal));
    stage.stenod(["run"]).code(3).says("too large");
    let before = job(&stage, "long.wav");
    let (refused, number) = (before["pieces"].as_array().unwrap().len(), &before["id"]);
    assert_eq!((refused, charges(&stage)), (4, 0), "{before}");
    assert_eq!(before["reason"], "too_large_for_service");
    stage.set("large.direct_limit", "40 KiB");
    stage.stenod(["retry", &number.to_string()]).success();
    stage.stenod(["run"]).success();
    let sizes: Vec<u64> = stage
        .service
        .look(|log| log.submits().map(|submit| submit.arrived).collect());
    let largest = sizes.iter().skip(refused).max();
    assert!(largest < Some(&(41 << 10)), "{sizes:?}");
    assert_whole(&stage, "long.json", charges(&stage));
    assert_eq!(spooled(&stage), 0);
    stage.check();
}

#[test]
fn the_price_of_what_is_left_of_a_recording_is_told_before_the_rest_of_it_is_sent() {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    let to_send = |plan: &Value| {
        let number = |key: &str| {
            plan["to_send"][key]
                .as_str()
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        (number("minutes"), number("cost"))
    };
    let whole = to_send(&stage.json(&["plan"]));
    stage.stenod(["run", "--max-cost", "0.0003"]).code(8);
    let paid = charges(&stage);
    assert!(paid > 0, "nothing was paid");
    let plan = stage.json(&["plan"]);
    let (left, item) = (to_send(&plan), &plan["items"][0]);
    assert!(
        left.0 > 0.0 && left.0 < whole.0,
        "{left:?} of {whole:?}: {plan}"
    );
    assert!(
        left.1 > 0.0 && left.1 < whole.1,
        "{left:?} of {whole:?}: {plan}"
    );
    assert_eq!(
        (&item["action"], &item["route"]),
        (&json!("send"), &json!("pieces"))
    );
    stage.stenod(["run"]).success();
    assert_whole(&stage, "long.json", charges(&stage));
    stage.check();
}

#[test]
fn the_price_of_a_plan_is_enough_for_all_its_pieces() {
    let stage = stage_of_pieces();
    let plan = stage.json(&["plan"]);
    let cost = plan["to_send"]["cost"].as_str().unwrap();
    stage.stenod(["run", "--max-cost", cost]).success();
    assert_whole(&stage, "long.json", charges(&stage));
}

/// A recording in pieces of which some are paid, and how many.
fn half_paid() -> (Stage, usize) {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    stage.stenod(["run", "--max-cost", "0.0003"]).code(8);
    let paid = charges(&stage);
    assert!(paid > 0, "nothing was paid");
    (stage, paid)
}

#[test]
fn what_is_left_of_a_recording_is_planned_under_its_new_name() {
    let (stage, paid) = half_paid();
    rustix::fs::rename(stage.at("long.wav"), stage.at("renamed.wav")).unwrap();
    let item = stage.json(&["plan"])["items"][0].clone();
    assert_eq!(
        (&item["action"], &item["route"]),
        (&json!("send"), &json!("pieces")),
        "{item}"
    );
    stage.stenod(["run"]).success();
    assert!(charges(&stage) > paid);
    assert_whole(&stage, "renamed.json", charges(&stage));
    let item = stage.json(&["plan"])["items"][0].clone();
    assert_eq!(item["action"], "done", "{item}");
}

#[test]
fn a_run_ends_a_recording_in_pieces_that_was_deleted_and_keeps_what_is_paid() {
    let (stage, paid) = half_paid();
    std::fs::remove_file(stage.at("long.wav")).unwrap();
    stage.stenod(["run"]).code(3);
    let jobs = stage.json(&["status"])["jobs"].clone();
    assert_eq!(
        (&jobs["active"], &jobs["failed"]),
        (&json!(0), &json!(1)),
        "{jobs}"
    );
    assert!(stage.read("long.txt").contains("[missing from"));
    assert_eq!(charges(&stage), paid);
    stage.check();
}

#[test]
fn the_number_of_a_piece_leads_to_its_recording() {
    let (stage, _) = half_paid();
    let whole = job(&stage, "long.wav");
    let piece = whole["pieces"][1]["id"].to_string();
    let told = format!("{piece} is piece 2 of job {}", whole["id"]);
    for command in ["retry", "cancel", "render", "speakers"] {
        let outcome = stage.stenod([command, &piece]).code(2);
        outcome.says(&told).says(&format!("use {}", whole["id"]));
    }
}

#[test]
fn what_is_left_of_a_recording_is_not_sent_once_other_settings_are_asked_for() {
    let (stage, paid) = half_paid();
    let asked = ["-m", "Elevenlabs-STT"];
    let plan = stage.json(&["plan", "-m", "Elevenlabs-STT"]);
    let whole = plan["to_send"]["minutes"].as_str().unwrap().parse::<f64>();
    assert!((whole.unwrap() * 60.0 - LONG).abs() < 0.1, "{plan}");
    assert_eq!(plan["prices"][0]["model"], "Elevenlabs-STT", "{plan}");
    stage.stenod(["run"].iter().chain(&asked)).success();
    let anew = charges(&stage);
    assert!(anew > paid);
    let path = stage.at("long.wav");
    assert_eq!(job(&stage, "long.wav")["model"], "Elevenlabs-STT");
    let mut watch = stage.call(["watch"]).start();
    watch.until("all was looked at", || {
        stage.json(&["status"])["folders"][0]["scanned_at"].is_string()
    });
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), anew, "{}", path.display());
}

#[test]
fn the_rest_of_a_recording_that_has_changed_meanwhile_is_not_sent() {
    let (stage, paid) = half_paid();
    stage.put("long.wav", &wav(9, 1.0));
    let mut watch = stage.call(["watch"]).start();
    watch.until("both have ended", || {
        let jobs = stage.json(&["list"]);
        let ended = |job: &Value| job["state"] == "done" || job["state"] == "failed";
        let jobs = jobs.as_array().unwrap();
        jobs.len() == 2 && jobs.iter().all(ended)
    });
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(charges(&stage), paid + 1);
    stage.check();
}

#[test]
fn a_limit_for_each_recording_holds_the_rest_of_one_that_was_begun_and_is_told() {
    let (stage, paid) = half_paid();
    stage.set("budget.per_file", "0.0001");
    assert_eq!(stage.json(&["plan"])["items"][0]["action"], "wait");
    stage.stenod(["run"]).code(8).says("1 waiting");
    assert_eq!(charges(&stage), paid);
    stage.set("budget.per_file", "1");
    assert_eq!(stage.json(&["plan"])["items"][0]["action"], "send");
    stage.stenod(["run"]).success();
    assert_whole(&stage, "long.json", charges(&stage));
}

#[test]
fn a_hole_is_marked_in_every_output() {
    let stage = stage_of_pieces();
    let formats = [
        ("txt", "txt"),
        ("json", "json"),
        ("diarization", "diarization.json"),
        ("srt", "srt"),
        ("vtt", "vtt"),
        ("md", "md"),
        ("tsv", "tsv"),
        ("rttm", "rttm"),
        ("podcast", "podcast.json"),
        ("lrc", "lrc"),
        ("raw", "raw.json"),
    ];
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.diarize", true);
    stage.set(
        "transcribe.formats",
        json!(formats.map(|(format, _)| format)),
    );
    stage.set("service.jobs", 1);
    let refusal = Reply::json(422, &json!({"error": "noise"}));
    stage
        .service
        .script(Rule::on(Endpoint::Submit).after(1).answer(refusal));
    stage.stenod(["run"]).code(3);
    for (format, suffix) in formats {
        let text = stage.read(format!("long.{suffix}"));
        let mark = match format {
            "raw" => "noise",
            "rttm" => "NOSCORE",
            _ => "missing",
        };
        assert!(text.contains(mark), "{format}: {text}");
    }
}

#[test]
fn a_piece_that_fails_five_times_leaves_a_hole_and_the_others_go_on() {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    let gate = Gate::closed();
    let first = Rule::on(Endpoint::Submit).at(Moment::Complete);
    stage.service.script(first.behind(&gate));
    let watch = stage.call(["watch"]).start();
    let held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("the first piece", held);
    // Where its file was, none can be made again.
    let third = stage.state().join("spool/1-3.ogg");
    std::fs::remove_file(&third).unwrap();
    std::fs::create_dir_all(third.join("in the way")).unwrap();
    gate.open();
    eventually("the end of the recording", || {
        job(&stage, "long.wav")["state"] == "failed"
    });
    watch.terminate();
    watch.outcome().no_panic();
    let whole = job(&stage, "long.wav");
    assert_eq!(whole["reason"], "incomplete");
    let piece = stage.json(&["show", "4"]);
    assert_eq!(
        (&piece["reason"], &piece["failures"]),
        (&"not_written".into(), &5.into()),
        "{piece}"
    );
    let pieces = whole["pieces"].as_array().unwrap().len();
    assert_eq!(charges(&stage), pieces - 1);
    assert!(stage.read("long.txt").contains("[missing from"));
    std::fs::remove_dir_all(&third).unwrap();
    let path = stage.at("long.wav");
    stage.stenod(["retry".as_ref(), path.as_os_str()]).success();
    stage.stenod(["run"]).success();
    let paid = stage.service.look(|log| log.ledger().counts());
    assert!(paid.values().all(|count| *count == 1), "{paid:?}");
    assert_whole(&stage, "long.json", pieces);
}

#[test]
fn cancel_stops_a_recording_while_it_is_cut_and_leaves_nothing_of_it() {
    let stage = stage();
    stage.set("large.route", "pieces");
    stage.put("long.wav", &wav(1, 1800.0));
    let _watch = stage.call(["watch"]).start();
    eventually("the first piece in the making", || spooled(&stage) > 0);
    let path = stage.at("long.wav");
    let outcome = stage.stenod(["cancel".as_ref(), path.as_os_str()]);
    outcome.success().says("1 cancelled");
    eventually("an empty spool", || spooled(&stage) == 0);
    assert_eq!(job(&stage, "long.wav")["state"], "cancelled");
    assert_eq!(stage.service.look(|log| log.submits().count()), 0);
}

#[test]
fn encoding_tells_how_far_it_is() {
    let stage = stage_of_pieces();
    let outcome = stage.stenod(["--json", "run"]).success();
    let encoded: Vec<f64> = outcome
        .lines()
        .iter()
        .filter_map(|line| line["encoded_seconds"].as_f64())
        .collect();
    assert!(encoded.len() >= 3 && encoded.is_sorted(), "{encoded:?}");
    assert!(
        encoded.iter().all(|seconds| *seconds <= LONG),
        "{encoded:?}"
    );
}

#[test]
fn a_recording_in_pieces_is_stopped_but_for_what_is_handed_over_and_can_be_gone_on_with() {
    let stage = stage_of_pieces();
    stage.set("service.jobs", 1);
    let gate = Gate::closed();
    let hold = Rule::on(Endpoint::Submit).at(Moment::Complete);
    stage.service.script(hold.after(1).behind(&gate));
    let _watch = stage.call(["watch"]).start();
    let held = |log: &Log| log.submits().any(|submit| submit.held);
    stage.service.wait("the second piece", held);
    let path = stage.at("long.wav");
    let outcome = stage.stenod(["cancel".as_ref(), path.as_os_str()]);
    outcome.success().says("1 cancelled");
    gate.open();
    eventually("the end of the recording", || {
        job(&stage, "long.wav")["state"] == "cancelled"
    });
    // Both are paid for and kept, and no other is sent.
    assert_eq!(charges(&stage), 2);
    assert_eq!(stage.service.look(|log| log.submits().count()), 2);
    stage.stenod(["retry".as_ref(), path.as_os_str()]).success();
    eventually("the transcript", || stage.at("long.json").exists());
    let paid = stage.service.look(|log| log.ledger().counts());
    assert!(paid.values().all(|count| *count == 1), "{paid:?}");
    assert_whole(&stage, "long.json", paid.len());
    stage.check();
}

#[test]
fn a_recording_in_pieces_takes_names_words_and_formats_like_any_other() {
    let stage = stage_of_pieces();
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.diarize", true);
    stage.stenod(["run", "-f", "txt,json"]).success();
    let paid = charges(&stage);
    let path = stage.at("long.wav").display().to_string();
    let listed = stage.json(&["speakers", &path]);
    let labels: Vec<String> = listed["speakers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|speaker| speaker["labels"][0].as_str().unwrap().to_owned())
        .collect();
    assert!(
        labels.len() >= paid && labels[0].starts_with("1:"),
        "{listed}"
    );
    // One person in every piece: all labels get the same name.
    let names: Vec<String> = labels.iter().map(|label| format!("{label}=Ada")).collect();
    let named = ["speakers", path.as_str()].into_iter();
    stage
        .stenod(named.chain(names.iter().map(String::as_str)))
        .success();
    stage.put("glossary.toml", b"hello = \"HELLO\"\n");
    stage
        .stenod([
            "render",
            "-f",
            "json,srt,vtt,md,rttm,diarization,podcast,raw",
        ])
        .success();
    let json = stage.read_json("long.json");
    assert_eq!(json["speakers"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["speakers"][0]["name"], "Ada");
    assert_eq!(json["glossary"][0]["to"], "HELLO", "{json}");
    let segments = json["segments"].as_array().unwrap();
    let (first, last) = (&segments[0]["start"], &segments[segments.len() - 1]["end"]);
    assert!(
        first.as_f64() < Some(15.0) && last.as_f64() > Some(30.0),
        "{json}"
    );
    for (name, wanted) in [
        ("long.srt", "HELLO"),
        ("long.vtt", "<v Ada>"),
        ("long.md", "**Ada**"),
        ("long.rttm", " Ada "),
        ("long.diarization.json", "\"Ada\""),
        ("long.podcast.json", "HELLO"),
    ] {
        assert!(stage.read(name).contains(wanted), "{name}");
    }
    assert!(!stage.read("long.raw.json").contains("HELLO"));
    assert_eq!(charges(&stage), paid, "names and formats cost nothing");
}

#[test]
fn damage_inside_a_recording_is_flagged_in_its_transcript_whatever_its_route() {
    let stage = stage();
    stage.set("large.direct_limit", "140 KiB");
    let damaged = |mut bytes: Vec<u8>| {
        bytes[20_000..22_000].fill(0x55);
        bytes
    };
    // Long enough to be listened to: frames of MP3 can be put one behind the other.
    stage.put("sent.mp3", &damaged(example("librivox-0870.mp3").repeat(3)));
    stage.put(
        "shrunk.mp3",
        &damaged(example("librivox-0870.mp3").repeat(4)),
    );
    stage.stenod(["run"]).success();
    for (name, route) in [("sent.mp3", "direct"), ("shrunk.mp3", "shrink")] {
        assert_eq!(job(&stage, name)["route"], route);
        let json = stage.read_json(Path::new(name).with_extension("json"));
        let told = json["warnings"].as_array().unwrap().iter();
        let told = told.filter(|warning| warning["code"] == "damaged");
        assert_eq!(told.count(), 1, "{name}: {}", json["warnings"]);
    }
}
