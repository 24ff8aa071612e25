//! What becomes of a transcript: every format, names, glossaries, and writing it all again for nothing.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and edit files as users do"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stenod::media::decode::Samples;
use stenod_support::audio::{pcm, wav};
use stenod_support::service::{Endpoint, Reply, Rule};
use stenod_support::stage::{Outcome, Stage};

/// Every format, in the order of the documentation.
const ALL: &str = "txt,json,srt,vtt,md,tsv,diarization,rttm,podcast,lrc,raw";
/// The endings of their files.
const SUFFIXES: [&str; 11] = [
    "txt",
    "json",
    "srt",
    "vtt",
    "md",
    "tsv",
    "diarization.json",
    "rttm",
    "podcast.json",
    "lrc",
    "raw.json",
];

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

fn requests(stage: &Stage) -> u64 {
    stage.service.look(|log| log.events())
}

/// The samples of an example recording.
fn samples(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/recordings")
        .join(name);
    let mut decoding = Samples::open(&path).unwrap();
    let mut samples = Vec::new();
    let mut buffer = vec![0.0; 16_000];
    loop {
        match decoding.read(&mut buffer).unwrap() {
            0 => return samples,
            count => samples.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn text_in_a_long_silence_is_flagged_and_stays_flagged_when_it_is_written_again() {
    let stage = stage();
    let speech = pcm_of(&wav(1, 3.0));
    let silence = vec![0_i16; 16_000 * 20];
    stage.put(
        "talk.wav",
        &pcm(speech.iter().chain(&silence).chain(&speech).copied()),
    );
    let word = |text: &str, start: f64| json!({"text": text, "start": start, "end": start + 0.4});
    let words: Vec<Value> = ["now", "we", "talk", "and", "talk"]
        .iter()
        .enumerate()
        .map(|(number, text)| word(text, 0.5 * number as f64))
        .chain([word("Thanks!", 12.0)])
        .collect();
    let reply = json!({
        "transcription": "now we talk and talk Thanks!", "words": words,
        "metadata": {"cost": 0.001, "currency": "USD"},
    });
    stage
        .service
        .script(Rule::on(Endpoint::Submit).answer(Reply::json(200, &reply)));
    stage.stenod(["run"]).success();
    let warnings = |stage: &Stage| stage.read_json("talk.json")["warnings"].clone();
    let first = warnings(&stage);
    assert_eq!(first[0]["code"], "text_in_silence", "{first}");
    let message = first[0]["message"].as_str().unwrap();
    assert!(
        message.contains("\"Thanks!\" stands from 0:12"),
        "{message}"
    );
    fs::remove_file(stage.at("talk.wav")).unwrap();
    fs::remove_file(stage.at("talk.json")).unwrap();
    stage.stenod(["render"]).success();
    assert_eq!(warnings(&stage), first);
}

#[test]
fn a_format_for_which_a_reply_has_nothing_is_named() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 1.0));
    stage
        .stenod(["run", "-f", "txt,diarization,rttm"])
        .success()
        .says("no diarization, rttm: `stenod show 1` tells why");
    let shown = stage.json(&["show", "1"]);
    let events = shown["events"].to_string();
    assert!(events.contains("no rttm is written"), "{events}");
}

/// The samples of a WAV that was made on the spot.
fn pcm_of(wav: &[u8]) -> Vec<i16> {
    let (samples, _) = wav[44..].as_chunks::<2>();
    samples
        .iter()
        .map(|pair| i16::from_le_bytes(*pair))
        .collect()
}

/// A stretch of one of the two voices.
struct Said {
    label: (&'static str, &'static str),
    text: &'static str,
    start: f64,
    seconds: f64,
}

/// A conversation of two real voices, and who says what when.
#[expect(
    clippy::cast_possible_truncation,
    reason = "samples lie between -1 and 1"
)]
fn conversation() -> (Vec<u8>, Vec<Said>) {
    let (president, reader) = (samples("jfk.flac"), samples("librivox-0880.wav"));
    let seconds = |samples: &[f32]| samples.len() as f64 / 16_000.0;
    let half = 16_000 * 53 / 10;
    let parts = [&president[..half], &reader[..], &president[half..]];
    let labels = [("speaker_1", "Speaker 1"), ("speaker_0", "Speaker 2")];
    let texts = [
        "And so, my fellow Americans:",
        "he was not an ill disposed young man",
        "ask not what your country can do for you, ask what you can do for your country.",
    ];
    let mut start = 0.0;
    let mut said = Vec::new();
    for ((part, text), label) in parts
        .iter()
        .zip(texts)
        .zip([labels[0], labels[1], labels[0]])
    {
        said.push(Said {
            label,
            text,
            start,
            seconds: seconds(part),
        });
        start += seconds(part);
    }
    let samples = parts
        .concat()
        .into_iter()
        .map(|sample| (sample * 32_767.0) as i16);
    (pcm(samples), said)
}

/// What the service says of the conversation: words and turns have labels of their own.
fn completed(said: &[Said]) -> Value {
    let mut words = Vec::new();
    for one in said {
        let count = one.text.split_whitespace().count() as f64;
        for (word, at) in one.text.split_whitespace().zip(0_u32..) {
            let start = one.start + one.seconds * f64::from(at) / count;
            words.push(json!({
                "text": word, "start": start, "end": start + 0.8 * one.seconds / count,
                "type": "word", "speaker_id": one.label.0,
            }));
            words.push(json!({"text": " ", "type": "spacing", "speaker_id": one.label.0}));
        }
    }
    let turns: Value = said
        .iter()
        .map(|one| {
            json!({"speaker": one.label.1, "text": one.text, "start": one.start, "end": one.start + one.seconds})
        })
        .collect();
    let text: Vec<_> = said.iter().map(|one| one.text).collect();
    json!({
        "status": "completed", "transcription": text.join(" "),
        "metadata": {"language": "eng", "cost": 0.002, "currency": "USD", "model": "Elevenlabs-STT"},
        "words": words, "diarization": {"segments": turns},
    })
}

/// A stage on which the conversation was transcribed by an asynchronous run.
fn transcribed(formats: &str) -> Stage {
    let stage = stage();
    let (recording, said) = conversation();
    stage.put("talk.wav", &recording);
    stage.set("transcribe.model", "Elevenlabs-STT");
    stage.set("transcribe.diarize", true);
    let reply = Reply::json(200, &completed(&said));
    stage
        .service
        .script(Rule::on(Endpoint::Status).after(1).always().answer(reply));
    stage.stenod(["run", "-f", formats]).success();
    assert!(
        stage.service.look(|log| log.polls().count()) > 1,
        "no asynchronous run"
    );
    stage
}

/// Copies the files of a stage to where the independent readers look, if they are to look.
fn hand_over(stage: &Stage) {
    if let Some(folder) = std::env::var_os("STENOD_READERS").map(PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        for suffix in SUFFIXES {
            let name = format!("talk.{suffix}");
            fs::copy(stage.at(&name), folder.join(name)).unwrap();
        }
    }
}

fn render(stage: &Stage, arguments: &[&str]) -> Outcome {
    let call = stage.call(["render"].iter().chain(arguments));
    // Neither a key nor a network is needed.
    call.without("NANOGPT_API_KEY").output()
}

fn speakers(stage: &Stage, names: &[&str]) -> Outcome {
    let path = stage.at("talk.wav");
    let arguments = ["speakers", path.to_str().unwrap()];
    let call = stage.call(arguments.iter().chain(names));
    call.without("NANOGPT_API_KEY").output()
}

#[test]
fn a_real_conversation_comes_out_in_all_eleven_formats() {
    let stage = transcribed(ALL);
    for suffix in SUFFIXES {
        let text = stage.read(format!("talk.{suffix}"));
        assert!(!text.is_empty(), "{suffix}");
    }
    let text = stage.read("talk.txt");
    assert!(
        text.contains("Speaker 2: he was not an ill disposed young man"),
        "{text}"
    );
    assert_eq!(text.matches("Speaker 1: ").count(), 2, "{text}");
    let document = stage.read_json("talk.json");
    assert_eq!(document["language"], "en");
    assert_eq!(document["job"]["settings"]["language"], "auto");
    assert_eq!(document["timing"], "words");
    assert_eq!(document["warnings"], json!([]));
    let speakers = stage.read_json("talk.diarization.json")["speakers"].clone();
    assert_eq!(
        (&speakers[0]["label"], &speakers[0]["turns"]),
        (&json!("Speaker 1"), &json!(2))
    );
    hand_over(&stage);
    stage.check();
}

#[test]
fn what_was_deleted_is_written_again_byte_for_byte_without_key_or_network() {
    let stage = transcribed(ALL);
    let before: Vec<_> = SUFFIXES
        .iter()
        .map(|one| stage.read(format!("talk.{one}")))
        .collect();
    for suffix in SUFFIXES {
        fs::remove_file(stage.at(format!("talk.{suffix}"))).unwrap();
    }
    let asked = requests(&stage);
    let told = render(&stage, &["--json"]).success().json();
    assert_eq!(told["written"].as_array().unwrap().len(), 11, "{told}");
    let after: Vec<_> = SUFFIXES
        .iter()
        .map(|one| stage.read(format!("talk.{one}")))
        .collect();
    assert!(before == after);
    let told = render(&stage, &["--json"]).success().json();
    assert_eq!(
        (&told["written"], &told["unchanged"]),
        (&json!([]), &json!(11))
    );
    assert_eq!(requests(&stage), asked);
    // A run finds nothing that it would have to write.
    stage
        .stenod(["run", "-f", ALL])
        .success()
        .says("nothing to do");
}

#[test]
fn chosen_recordings_get_chosen_formats_and_keep_them() {
    let stage = stage();
    stage.put("a/one.wav", &wav(1, 1.0));
    stage.put("b/two.wav", &wav(2, 1.0));
    stage.stenod(["run"]).success();
    let folder = stage.at("a");
    render(&stage, &["-f", "srt,rttm", folder.to_str().unwrap()])
        .success()
        .says("left rttm")
        .says("does not tell speakers apart");
    assert!(stage.at("a/one.srt").exists() && !stage.at("b/two.srt").exists());
    fs::remove_file(stage.at("a/one.srt")).unwrap();
    render(&stage, &[]).success();
    assert!(stage.at("a/one.srt").exists() && !stage.at("b/two.srt").exists());
    let one = stage.at("b/two.wav");
    let tree = stage.root().join("tree");
    render(
        &stage,
        &["-o", tree.to_str().unwrap(), one.to_str().unwrap()],
    )
    .success();
    assert!(tree.join("b/two.txt").exists() && !tree.join("a").exists());
    // What was written elsewhere once is not missed there by a run.
    fs::remove_dir_all(&tree).unwrap();
    stage.stenod(["run"]).success().says("nothing to do");
    assert!(!tree.exists());
    let nowhere = stage.root().join("nowhere");
    render(&stage, &[nowhere.to_str().unwrap()])
        .code(1)
        .says("nowhere");
    render(&stage, &["-f", "docx"]).code(2).says("docx");
}

#[test]
fn an_edited_file_is_left_and_the_new_one_takes_the_next_name() {
    let stage = transcribed("txt,json");
    fs::write(stage.at("talk.txt"), "mine").unwrap();
    speakers(&stage, &["Speaker 1=Ada"])
        .success()
        .says("is not stenod's to replace");
    assert_eq!(stage.read("talk.txt"), "mine");
    assert!(stage.read("talk.2.txt").contains("Ada: "));
    speakers(&stage, &["Speaker 1=Eve"]).success();
    assert_eq!(stage.read("talk.txt"), "mine");
    assert!(stage.read("talk.2.txt").contains("Eve: ") && !stage.at("talk.3.txt").exists());
}

#[test]
fn files_elsewhere_and_under_other_names_follow_the_names_as_long_as_nobody_edits_them() {
    let stage = transcribed("txt,json");
    let tree = stage.root().join("tree");
    render(&stage, &["-f", "txt,md", "-o", tree.to_str().unwrap()]).success();
    let elsewhere = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    let folder = stage.recordings();
    let folder = folder.file_name().unwrap().to_str().unwrap();
    let link = format!("](../{folder}/talk.wav#t=");
    assert!(
        elsewhere("talk.md").contains(&link),
        "{}",
        elsewhere("talk.md")
    );
    speakers(&stage, &["Speaker 1=Ada"]).success();
    assert!(elsewhere("talk.txt").contains("Ada: ") && stage.read("talk.txt").contains("Ada: "));
    assert!(elsewhere("talk.md").contains("**Ada**") && elsewhere("talk.md").contains(&link));
    // What a person edits there stays, like what is deleted.
    fs::write(tree.join("talk.txt"), "mine").unwrap();
    fs::remove_file(tree.join("talk.md")).unwrap();
    speakers(&stage, &["Speaker 1=Eve"]).success();
    assert_eq!(elsewhere("talk.txt"), "mine");
    assert!(!tree.join("talk.md").exists());
    // An edited file that is deleted gives its name back; the one beside it says the same.
    fs::write(stage.at("talk.txt"), "mine").unwrap();
    speakers(&stage, &["Speaker 1=Bob"]).success();
    fs::remove_file(stage.at("talk.txt")).unwrap();
    speakers(&stage, &["Speaker 1=Zoe"]).success();
    for name in ["talk.txt", "talk.2.txt"] {
        assert!(stage.read(name).contains("Zoe: "), "{name}");
    }
    // So it is where a new format is written at the next start.
    speakers(&stage, &["Speaker 1=Kim"]).success();
    stage.set("transcribe.formats", json!(["txt", "json", "srt"]));
    stage.stenod(["run"]).success();
    assert!(stage.at("talk.srt").exists() && stage.read("talk.2.txt").contains("Kim: "));
}

#[test]
fn a_reply_that_tells_who_spoke_when_and_not_what_still_has_its_diarization() {
    let stage = stage();
    stage.put("talk.wav", &wav(1, 6.0));
    let reply = json!({
        "transcription": "One two three four.", "metadata": {"cost": 0.001, "currency": "USD"},
        "diarization": {"segments": [
            {"speaker": "A", "start": 0.5, "end": 1.9}, {"speaker": "B", "start": 1.9, "end": 3.4}]},
    });
    let reply = Reply::json(200, &reply);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).always().answer(reply));
    stage.stenod(["run", "-f", "txt,json,rttm"]).success();
    let lines = stage.read("talk.rttm");
    assert_eq!(
        lines.lines().next().unwrap(),
        "SPEAKER talk 1 0.500 1.400 <NA> <NA> SPEAKER_00 <NA> <NA>"
    );
    assert_eq!(lines.lines().count(), 2);
    let file: Value = serde_json::from_str(&stage.read("talk.diarization.json")).unwrap();
    assert_eq!(file["segments"][1]["speaker"], "SPEAKER_01");
    assert_eq!(file["segments"][2]["text"], "One two three four.");
    let list = speakers(&stage, &["A=Ada", "--json"]).success();
    assert!(list.stdout.contains("Ada"));
    assert!(stage.read("talk.rttm").contains(" Ada "));
    stage
        .stenod(["show", "1"])
        .success()
        .says("not who said what");
    // From the file alone the same comes again.
    let before = fs::read(stage.at("talk.rttm")).unwrap();
    fs::remove_dir_all(stage.state()).unwrap();
    stage.stenod(["run", "-f", "txt,json,rttm"]).success();
    fs::remove_file(stage.at("talk.rttm")).unwrap();
    render(&stage, &["-f", "rttm"]).success();
    assert_eq!(fs::read(stage.at("talk.rttm")).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_written_is_said_and_the_others_are_written() {
    if !stenod_support::stage::is_root() {
        return;
    }
    let stage = stage();
    stage.put("a/one.wav", &wav(1, 1.0));
    stage.put("b/two.wav", &wav(2, 1.0));
    stage.stenod(["run"]).success();
    stage.give_away();
    let locked = fs::Permissions::from_mode(0o555);
    fs::set_permissions(stage.at("a"), locked).unwrap();
    let call = stage
        .call(["render", "-f", "srt"])
        .user(stenod_support::stage::NOBODY);
    call.output().code(3).says("failed srt").says("denied");
    assert!(stage.at("b/two.srt").exists() && !stage.at("a/one.srt").exists());
}

#[test]
fn a_daemon_writes_formats_and_names_for_whoever_asks_and_keeps_them() {
    let stage = transcribed("txt,json");
    let mut watch = stage.call(["watch", "-f", "txt,json"]).start();
    watch.until("the daemon", || stage.json(&["status"])["running"] == true);
    let before = requests(&stage);
    render(&stage, &["-f", "srt,vtt"])
        .success()
        .says("talk.srt")
        .says("2 files written");
    speakers(&stage, &["Speaker 1=Ada", "Speaker 2=Charles"])
        .success()
        .says("Ada");
    for suffix in ["txt", "json", "diarization.json"] {
        assert!(stage.read(format!("talk.{suffix}")).contains("Charles"));
    }
    render(&stage, &[]).success().says("0 files written");
    // Elsewhere, and what is wrong, are answered as they are without a daemon.
    let tree = stage.root().join("tree");
    render(&stage, &["-f", "md", "-o", tree.to_str().unwrap()]).success();
    assert!(tree.join("talk.md").exists() && !stage.at("talk.md").exists());
    render(&stage, &["/nowhere"]).code(1).says("no job");
    fs::write(stage.at("talk.srt"), "edited").unwrap();
    render(&stage, &["-f", "srt"]).success().says("talk.2.srt");
    assert_eq!(stage.read("talk.srt"), "edited");
    let names = speakers(&stage, &["--json"]).success().stdout;
    assert!(names.contains("Charles"), "{names}");
    watch.terminate();
    watch.outcome().no_panic();
    assert_eq!(requests(&stage), before, "it went over the network");
    // The table knows what the daemon wrote: nothing of it counts as edited.
    speakers(&stage, &["Speaker 1=", "Speaker 2="]).success();
    assert!(!stage.at("talk.2.txt").exists());
    assert!(!stage.read("talk.json").contains("Charles"));
}

#[test]
fn names_stand_in_every_format_and_can_be_joined_and_taken_away() {
    let stage = transcribed(ALL);
    let list = speakers(&stage, &["--json"]).success().json()["speakers"].clone();
    assert_eq!(list[0]["labels"], json!(["Speaker 1"]));
    assert_eq!(list[0]["first"], "And so, my fellow Americans:");
    assert_eq!(
        (&list[0]["turns"], &list[1]["turns"]),
        (&json!(2), &json!(1))
    );
    speakers(
        &stage,
        &["Speaker 1=John F. Kennedy", "SPEAKER_01=Anna <b>"],
    )
    .success();
    for suffix in [
        "txt",
        "json",
        "srt",
        "vtt",
        "md",
        "diarization.json",
        "podcast.json",
        "lrc",
    ] {
        let text = stage.read(format!("talk.{suffix}"));
        assert!(text.contains("John F. Kennedy"), "{suffix}: {text}");
    }
    assert!(stage.read("talk.rttm").contains(" John_F._Kennedy "));
    assert!(stage.read("talk.vtt").contains("<v Anna &lt;b&gt;>"));
    assert!(!stage.read("talk.raw.json").contains("Kennedy"));
    speakers(&stage, &["Anna <b>=Speaker 1"]).success();
    let people = stage.read_json("talk.json")["speakers"].clone();
    assert_eq!(people.as_array().unwrap().len(), 1, "{people}");
    assert_eq!(people[0]["turns"], 1);
    speakers(&stage, &["Speaker 2=", "Speaker 1="]).success();
    assert!(stage.read("talk.txt").starts_with("Speaker 1: "));
    speakers(&stage, &["Speaker 9=Ada"])
        .code(2)
        .says("SPEAKER_00 (Speaker 1)");
    speakers(&stage, &["Speaker 1=A\nB"])
        .code(2)
        .says("one line");
}

#[test]
fn names_and_words_noted_in_a_folder_reach_past_files_at_the_next_run() {
    let stage = transcribed("txt,json");
    fs::write(
        stage.at("speakers.toml"),
        "\"Speaker 1\" = \"Jack\"\n\"Speaker 2\" = \"Anna\"\n",
    )
    .unwrap();
    fs::write(
        stage.root().join("glossary.toml"),
        "americans = \"Martians\"\n\"young man\" = \"old boy\"\n",
    )
    .unwrap();
    let asked = requests(&stage);
    stage.stenod(["run"]).success();
    let text = stage.read("talk.txt");
    assert!(text.contains("Jack: And so, my fellow Martians:"), "{text}");
    assert!(
        text.contains("Anna: he was not an ill disposed old boy"),
        "{text}"
    );
    let document = stage.read_json("talk.json");
    assert_eq!(
        document["glossary"],
        json!([
            {"from": "americans", "to": "Martians", "count": 1},
            {"from": "young man", "to": "old boy", "count": 1}
        ])
    );
    stage.stenod(["run"]).success().says("nothing to do");
    stage
        .stenod(["show", "1"])
        .success()
        .says("old boy for young man (once)");
    // The names of the recording itself come first.
    speakers(&stage, &["Anna=Eve"]).success();
    assert!(stage.read("talk.txt").contains("Eve: he was"));
    fs::remove_file(stage.at("speakers.toml")).unwrap();
    fs::remove_file(stage.root().join("glossary.toml")).unwrap();
    render(&stage, &[]).success();
    let text = stage.read("talk.txt");
    assert!(
        text.contains("Speaker 1: And so, my fellow Americans:") && text.contains("Eve: "),
        "{text}"
    );
    assert_eq!(requests(&stage), asked);
}

#[test]
fn a_mistake_in_a_noted_file_is_said_once_and_keeps_nothing_from_being_transcribed() {
    let stage = transcribed("txt,json");
    fs::write(stage.at("speakers.toml"), "\"Speaker 1\" = \"Jack\"\n").unwrap();
    render(&stage, &[]).success();
    fs::write(
        stage.at("speakers.toml"),
        "\"Speaker 1\" = \"Jack\"\n\"Speaker 2\" = 2\n",
    )
    .unwrap();
    stage.put("more.wav", &wav(7, 1.0));
    stage.service.unscript();
    let outcome = stage.stenod(["run"]).success();
    assert_eq!(
        outcome.stderr.matches("speakers.toml:2:").count(),
        1,
        "{}",
        outcome.tell()
    );
    assert!(stage.at("more.txt").exists());
    // What was written with the names stays as it is until the mistake is mended.
    assert!(stage.read("talk.txt").contains("Jack: "));
    render(&stage, &[]).code(3).says("speakers.toml:2:");
    assert!(stage.read("talk.txt").contains("Jack: "));
}

#[test]
fn a_format_that_is_configured_later_is_written_at_the_next_start_of_either() {
    let stage = transcribed("txt,json");
    let asked = stage.service.look(|log| log.submits().count());
    stage.set("transcribe.formats", json!(["txt", "json", "srt"]));
    let mut watch = stage.call(["watch"]).start();
    watch.until("the new format", || stage.at("talk.srt").exists());
    watch.terminate();
    watch.outcome().no_panic();
    stage.set("transcribe.formats", json!(["txt", "json", "vtt"]));
    stage.set("transcribe.captions", "podcast");
    let wide = stage.read("talk.srt");
    let run = stage.stenod(["run"]).success();
    let told = format!("{}{}", run.stdout, run.stderr);
    let done = told.lines().find(|line| line.starts_with("done ")).unwrap();
    assert!(!done.contains('$'), "the price is told once: {done}");
    assert!(stage.at("talk.vtt").exists());
    assert_ne!(stage.read("talk.srt"), wide, "captions of another width");
    assert_eq!(stage.service.look(|log| log.submits().count()), asked);
}

#[test]
fn names_survive_the_loss_of_the_table() {
    let stage = transcribed("txt,json");
    fs::write(stage.at("speakers.toml"), "\"Speaker 1\" = \"Jack\"\n").unwrap();
    speakers(&stage, &["Speaker 2=Anna"]).success();
    let before = stage.read("talk.json");
    fs::remove_dir_all(stage.state()).unwrap();
    stage.stenod(["run"]).success();
    assert_eq!(stage.read("talk.json"), before);
    speakers(&stage, &["Speaker 2="]).success();
    let text = stage.read("talk.txt");
    assert!(
        text.contains("Jack: ") && text.contains("Speaker 2: "),
        "{text}"
    );
}

#[test]
fn a_name_asks_for_a_language_and_what_is_set_comes_first() {
    let stage = stage();
    let recording = |seed| wav(seed, 1.0);
    for (seed, name) in (1..).zip([
        "talk.de.mp3.wav",
        "talk.no.wav",
        "the.way.it.is.wav",
        "de.wav",
    ]) {
        stage.put(name, &recording(seed));
    }
    stage.put("v1.de.wav", &recording(9));
    stage.stenod(["run"]).success();
    let asked = |name: &str| stage.read_json(name)["job"]["settings"]["language"].clone();
    assert_eq!(asked("v1.de.json"), "de");
    assert_eq!(asked("talk.no.json"), "no");
    for name in ["talk.de.mp3.json", "the.way.it.is.json", "de.json"] {
        assert_eq!(asked(name), "auto", "{name}");
    }
    let sent: Vec<_> = stage.service.look(|log| {
        log.submits()
            .filter_map(|one| Some(one.submit.as_ref()?.field("language")?.to_owned()))
            .collect()
    });
    assert!(
        sent.contains(&"de".to_owned()) && sent.contains(&"no".to_owned()),
        "{sent:?}"
    );
    let plan = stage.json(&["plan"]);
    assert_eq!(plan["done"], 5, "{plan}");
    stage.put("other.fr.wav", &recording(20));
    stage.stenod(["run", "-l", "en"]).success();
    assert_eq!(asked("other.fr.json"), "en");
}

#[test]
fn captions_beside_a_film_carry_its_language() {
    let stage = stage();
    stage.put("film.mp4", &fixture("film.mp4"));
    stage.put("sound.webm", &fixture("opus.webm"));
    stage.put("talk.wav", &wav(1, 1.0));
    let said =
        json!({"transcription": "Guten Tag.", "metadata": {"language": "german", "cost": 0.001}});
    stage.service.script(
        Rule::on(Endpoint::Submit)
            .always()
            .answer(Reply::json(200, &said)),
    );
    stage.stenod(["run", "-f", "srt,vtt,json"]).success();
    assert!(stage.at("film.de.srt").exists() && stage.at("film.de.vtt").exists());
    for name in ["talk", "sound"] {
        let at = |end: &str| stage.at(format!("{name}.{end}")).exists();
        assert!(at("srt") && !at("de.srt"), "{name}");
    }
    stage
        .stenod(["run", "-f", "srt,vtt,json"])
        .success()
        .says("nothing to do");
    stage.set("transcribe.caption_language", "always");
    render(&stage, &[]).success();
    assert!(stage.at("talk.de.srt").exists());
}

/// The bytes of a recording in `tests/fixtures/audio`.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio");
    fs::read(folder.join(name)).unwrap()
}

/// What `show` has of the files of a recording: names, whether each is aside, notes.
fn files(stage: &Stage, recording: &str) -> (Vec<String>, Vec<(String, String)>) {
    let path = stage.at(recording);
    let shown = stage.json(&["show", path.to_str().unwrap()]);
    let name = |path: &Value| {
        let path = Path::new(path.as_str().unwrap());
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let today = shown["outputs"].as_array().unwrap().iter().map(name);
    let all = shown["output_files"].as_array().unwrap().iter();
    let aside = all.filter(|one| one["aside"] == true);
    let aside = aside.map(|one| (name(&one["path"]), one["note"].as_str().unwrap().to_owned()));
    (today.collect(), aside.collect())
}

#[test]
fn files_under_earlier_names_stay_and_are_told_from_those_of_today() {
    let stage = stage();
    stage.put("film.mp4", &fixture("film.mp4"));
    stage.put("talk.wav", &wav(1, 1.0));
    fs::write(stage.at("talk.srt"), "mine").unwrap();
    let said = json!({"transcription": "Good day.", "metadata": {"language": "en", "cost": 0.001}});
    let reply = Reply::json(200, &said);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).always().answer(reply));
    stage.set("transcribe.formats", json!(["srt", "json"]));
    stage.stenod(["run"]).success();
    assert_eq!(files(&stage, "film.mp4").0, ["film.en.srt", "film.json"]);
    assert_eq!(files(&stage, "talk.wav").0, ["talk.2.srt", "talk.json"]);

    fs::remove_file(stage.at("talk.srt")).unwrap();
    stage.set("transcribe.caption_language", "never");
    render(&stage, &[]).success();
    for (recording, today, earlier) in [
        ("film.mp4", "film.srt", "film.en.srt"),
        ("talk.wav", "talk.srt", "talk.2.srt"),
    ] {
        let (names, aside) = files(&stage, recording);
        assert!(names.contains(&today.to_owned()) && !names.contains(&earlier.to_owned()));
        assert_eq!(aside[0].0, earlier);
        assert!(aside[0].1.contains("an earlier name"), "{aside:?}");
        assert_eq!(stage.read(today), stage.read(earlier));
    }
    stage.stenod(["run"]).success().says("nothing to do");
    stage
        .stenod(["show", stage.at("talk.wav").to_str().unwrap()])
        .success()
        .says("also");

    // What a person edits is theirs, what a person deletes is forgotten.
    fs::write(stage.at("film.en.srt"), "mine").unwrap();
    fs::remove_file(stage.at("talk.2.srt")).unwrap();
    stage.stenod(["run"]).success().says("nothing to do");
    render(&stage, &[]).success();
    assert_eq!(stage.read("film.en.srt"), "mine");
    assert!(files(&stage, "film.mp4").1[0].1.contains("edited"));
    assert!(!stage.at("talk.2.srt").exists());
    assert_eq!(files(&stage, "talk.wav").1, []);

    // Under the name that counts again, the edited file is not replaced.
    stage.set("transcribe.caption_language", "auto");
    render(&stage, &[]).success();
    assert_eq!(stage.read("film.en.srt"), "mine");
    assert!(
        files(&stage, "film.mp4")
            .0
            .contains(&"film.2.en.srt".to_owned())
    );
    stage.check();
}

#[test]
fn a_name_for_a_label_that_nobody_has_is_told_with_the_labels_that_there_are() {
    let stage = transcribed("txt,json");
    let noted = stage.at("speakers.toml");
    fs::write(&noted, "\"Speaker 1\" = \"Jack\"\nSPEAKER_01 = \"Anna\"\n").unwrap();
    let clean = render(&stage, &[]).success();
    assert!(!clean.stderr.contains("warning"), "{}", clean.tell());
    fs::write(&noted, "\"Speaker 1\" = \"Jack\"\nspeaker_1 = \"Anna\"\n").unwrap();
    render(&stage, &[])
        .success()
        .says("speakers.toml: `speaker_1`: no recording in that folder has such a label")
        .says("there are `Speaker 1`, `Speaker 2`");
    speakers(&stage, &[]).success().says("warning: ");
    let told = speakers(&stage, &["--json"]).success().json();
    assert_eq!(told["warnings"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn times_that_cannot_be_are_told_wherever_warnings_are() {
    let stage = stage();
    stage.put("talk.wav", &wav(1, 10.0));
    let word =
        |text: &str, start: Value, end: Value| json!({"text": text, "start": start, "end": end});
    let reply = json!({
        "transcription": "One two three four five.", "metadata": {"cost": 0.001, "currency": "USD"},
        "words": [
            word("One", json!(500), json!(900)), word("two", json!("1:02"), json!([2])),
            word("three", json!(2500), json!(2300)), word("four", Value::Null, Value::Null),
            word("five.", json!("9000"), json!(9500.0))],
    });
    let reply = Reply::json(200, &reply);
    stage
        .service
        .script(Rule::on(Endpoint::Submit).always().answer(reply));
    stage.stenod(["run", "-f", "json,srt,raw,md"]).success();
    let document = stage.read_json("talk.json");
    assert_eq!(document["timing"], "words");
    assert_eq!(document["segments"][0]["words"][0]["start"], 0.5);
    assert!(stage.read("talk.raw.json").contains("9500.0"));
    assert!(!stage.read("talk.srt").contains("00:01:"));
    let mut shown = stage.stenod(["show", "1"]).success();
    for message in [
        "the times of the words are milliseconds and have been divided by 1000",
        "times that are no numbers and are not used: 1 of 5",
        "times that end before they begin, now without a length: 1 of 5",
        "absent times, which have been estimated: 2 of 5",
    ] {
        let told = document["warnings"].as_array().unwrap().iter();
        let times = told.filter(|one| one["message"] == message).count();
        assert_eq!(times, 1, "{message}: {}", document["warnings"]);
        assert!(stage.read("talk.md").contains(message), "{message}");
        shown = shown.says(message);
    }
}

#[test]
fn what_looks_made_up_is_flagged_wherever_it_is_read_and_stays() {
    let stage = stage();
    let recording = wav(3, 2.0);
    stage.put("loop.wav", &recording);
    let text = "Thanks for watching! ".repeat(40);
    stage.service.say(&recording, text.trim());
    stage.stenod(["run", "-f", "txt,json,md"]).success();
    assert_eq!(stage.read("loop.txt").matches("Thanks").count(), 40);
    let codes: Vec<_> = stage.read_json("loop.json")["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["code"].clone())
        .collect();
    assert_eq!(codes, ["repetition", "too_many_words"]);
    let note = stage.read("loop.md");
    let (front, _) = note
        .strip_prefix("---\n")
        .unwrap()
        .split_once("---\n")
        .unwrap();
    assert!(
        front.contains("stands 40 times in a row") && front.contains("than anybody can say"),
        "{front}"
    );
    let path = stage.at("loop.wav");
    let shown = stage.stenod(["show", path.to_str().unwrap()]).success();
    shown.says("stands 40 times in a row");
    let shown = stage.json(&["show", path.to_str().unwrap()]);
    assert_eq!(
        shown["transcript"]["warnings"][1]["code"], "too_many_words",
        "{shown}"
    );
}
