//! The word error rate of the built-in recogniser on `examples/recordings`, by way of the program itself.
//!
//! A bound and not an exact text: processors round differently. What is compared are the `txt` files that
//! a run leaves beside the recordings, with what is said in them (`spoken-texts.tsv`).

#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "recordings are copied into the test's own folder"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// The most word errors over all recordings, in percent of the words spoken.
const MOST_WORD_ERRORS: f64 = 10.0;
const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/recordings");
const TEXTS: &str = "spoken-texts.tsv";

/// Texts by the name of the recording.
type Texts = BTreeMap<String, String>;

/// What the program makes of the recordings: one run for all tests.
static TRANSCRIPTS: LazyLock<Texts> = LazyLock::new(transcribe);

#[test]
fn the_built_in_recogniser_understands_the_example_recordings() {
    let rate = word_error_rate(&spoken(), &TRANSCRIPTS).unwrap();
    println!("{rate:.1} % word errors");
    assert!(
        rate <= MOST_WORD_ERRORS,
        "{rate:.1} % word errors in {:#?}",
        *TRANSCRIPTS
    );
}

#[test]
fn every_text_belongs_to_a_recording_and_every_recording_has_a_text() {
    let recordings: Vec<String> = names_in(Path::new(RECORDINGS))
        .into_iter()
        .filter(|name| is_recording(name))
        .collect();
    let spoken: Vec<String> = spoken().into_keys().collect();
    assert_eq!(spoken, recordings);
}

#[test]
fn a_wrong_text_is_noticed() {
    let mut spoken = spoken();
    let long = spoken.get_mut("two-cities.ogg").unwrap();
    *long = "Call me Ishmael. Some years ago, never mind how long precisely ".repeat(12);
    let rate = word_error_rate(&spoken, &TRANSCRIPTS).unwrap();
    assert!(rate > MOST_WORD_ERRORS, "{rate:.1} %");
}

#[test]
fn a_recording_without_words_is_noticed_however_short_it_is() {
    let mut transcripts = TRANSCRIPTS.clone();
    transcripts.insert("librivox-0930.opus".to_owned(), " \n".to_owned());
    let nothing = word_error_rate(&spoken(), &transcripts).unwrap_err();
    assert_eq!(nothing, "librivox-0930.opus has no words");
    transcripts.remove("librivox-0930.opus");
    let missing = word_error_rate(&spoken(), &transcripts).unwrap_err();
    assert_eq!(missing, "librivox-0930.opus has no transcript");
}

#[test]
fn words_are_compared_without_case_punctuation_and_short_forms() {
    assert_eq!(
        words("And Mr. Dashwood's -- ill-disposed?"),
        ["and", "mister", "dashwood's", "ill", "disposed"]
    );
    assert_eq!(
        words("don’t “Stop”, St. Ives"),
        ["don't", "stop", "saint", "ives"]
    );
}

#[test]
fn word_errors_are_what_was_changed_left_out_and_added() {
    let errors = |wanted: &str, got: &str| word_errors(&words(wanted), &words(got));
    assert_eq!(errors("a b c d", "a b c d"), 0);
    assert_eq!(errors("a b c d", "a x c d"), 1);
    assert_eq!(errors("a b c d", "b c d"), 1);
    assert_eq!(errors("a b c d", "a b c d d"), 1);
    assert_eq!(errors("a b c d", ""), 4);
    assert_eq!(errors("", "a b"), 2);
}

/// Runs the program on a copy of the recordings, as a stranger would: no key, no configuration.
fn transcribe() -> Texts {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("recordings");
    std::fs::create_dir(&folder).unwrap();
    let recordings = names_in(Path::new(RECORDINGS));
    for name in recordings.iter().filter(|name| is_recording(name)) {
        std::fs::copy(Path::new(RECORDINGS).join(name), folder.join(name)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_stenod"))
        .arg("run")
        .arg(&folder)
        .env_clear()
        .env("HOME", home.path())
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {talk}", output.status);
    let recordings = names_in(&folder)
        .into_iter()
        .filter(|name| is_recording(name));
    recordings
        .filter_map(|name| {
            let text = std::fs::read_to_string(folder.join(&name).with_extension("txt")).ok()?;
            Some((name, text))
        })
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn is_recording(name: &str) -> bool {
    let ending = Path::new(name)
        .extension()
        .and_then(|ending| ending.to_str());
    matches!(
        ending,
        Some("flac" | "m4a" | "mp3" | "ogg" | "opus" | "wav")
    )
}

/// What is said in the recordings.
fn spoken() -> Texts {
    let table = std::fs::read_to_string(Path::new(RECORDINGS).join(TEXTS)).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let name = cells.next().unwrap().to_owned();
        (name, cells.nth(1).unwrap().to_owned())
    };
    table.lines().skip(1).map(row).collect()
}

/// Word errors over all recordings, in percent of the words spoken; an error names a recording of which
/// there is nothing to compare.
fn word_error_rate(spoken: &Texts, transcripts: &Texts) -> Result<f64, String> {
    let (mut errors, mut all) = (0_usize, 0_usize);
    for (name, text) in spoken {
        let wanted = words(text);
        let transcript = transcripts
            .get(name)
            .ok_or_else(|| format!("{name} has no transcript"))?;
        let got = words(transcript);
        if got.is_empty() {
            return Err(format!("{name} has no words"));
        }
        errors += word_errors(&wanted, &got);
        all += wanted.len();
    }
    if all == 0 {
        return Err("no words were spoken".to_owned());
    }
    Ok(100.0 * errors as f64 / all as f64)
}

/// Words in lower case without punctuation; an apostrophe within a word stays, short forms are spelt out.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .replace('’', "'")
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "mr" => "mister".to_owned(),
            "mrs" => "missus".to_owned(),
            "dr" => "doctor".to_owned(),
            "st" => "saint".to_owned(),
            _ => word.to_owned(),
        })
        .collect()
}

/// The fewest words to change, leave out or add between the two: their Levenshtein distance.
fn word_errors(wanted: &[String], got: &[String]) -> usize {
    let mut above: Vec<usize> = (0..=got.len()).collect();
    for (row, word) in wanted.iter().enumerate() {
        let mut left = row + 1;
        let mut here = vec![left];
        for (pair, other) in above.windows(2).zip(got) {
            let changed = pair[0] + usize::from(word != other);
            left = changed.min(pair[1] + 1).min(left + 1);
            here.push(left);
        }
        above = here;
    }
    above.last().copied().unwrap_or(0)
}
