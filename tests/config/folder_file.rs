//! A `stenod.toml` inside a folder: what it may set, and what its mistakes say.

use std::path::Path;

use stenod::config::{Config, Overrides};

use crate::support::Place;

const FOLDER: &str =
    "[transcribe]\nlanguage = \"fr\"\n[[folders]]\npath = \"/in\"\ndiarize = true\n";

fn mistake(text: &str) -> String {
    let config = Place::with_file(FOLDER).load();
    let base = &config.folders[0].transcribe;
    let file = Path::new("/in/German/stenod.toml");
    match config.transcribe_below(base, file, text) {
        Ok(_) => "no mistake".to_owned(),
        Err(mistakes) => mistakes.brief(),
    }
}

#[test]
fn it_sets_what_it_names_and_leaves_the_rest() {
    let config = Place::with_file(FOLDER).load();
    let base = &config.folders[0].transcribe;
    let text = "[transcribe]\nlanguage = \"de\"\nformats = [\"srt\"]\noutput_dir = \"out\"\n";
    let file = Path::new("/in/German/stenod.toml");
    let laid = config.transcribe_below(base, file, text).unwrap();
    assert_eq!((laid.language.as_str(), laid.diarize), ("de", true));
    assert_eq!((&laid.model, laid.formats.len()), (&base.model, 1));
    assert_eq!(
        laid.output_dir.as_deref(),
        Some(Path::new("/in/German/out"))
    );
    // One further in lies over it; an empty file sets nothing.
    let inner = Path::new("/in/German/beside/stenod.toml");
    let text = "[transcribe]\noutput_dir = \"\"\n";
    let inner = config.transcribe_below(&laid, inner, text).unwrap();
    assert_eq!((inner.language.as_str(), inner.output_dir), ("de", None));
    assert_eq!(config.transcribe_below(&laid, file, "").unwrap(), laid);
}

#[test]
fn flags_lie_over_it() {
    let overrides = Overrides {
        language: Some("en".to_owned()),
        ..Overrides::default()
    };
    let config = Place::with_file(FOLDER).load_with(&overrides).unwrap();
    let base = &config.folders[0].transcribe;
    let text = "[transcribe]\nlanguage = \"de\"\ndiarize = false\n";
    let file = Path::new("/in/stenod.toml");
    let laid = config.transcribe_below(base, file, text).unwrap();
    assert_eq!((laid.language.as_str(), laid.diarize), ("en", false));
}

#[test]
fn its_mistakes_name_file_line_column_and_the_nearest_key() {
    assert_eq!(
        mistake("[transcribe]\nlangauge = \"de\"\n"),
        "/in/German/stenod.toml:2:1: transcribe.langauge: unknown key, did you mean `language`?"
    );
    assert_eq!(
        mistake("[transcribe]\nlanguage = \"german\"\n"),
        "/in/German/stenod.toml:2:12: transcribe.language: \"german\" is not a language code"
    );
    assert_eq!(
        mistake("language = \"de\"\n"),
        "/in/German/stenod.toml:1:1: language: unknown key; `language` belongs in `[transcribe]`"
    );
    assert_eq!(
        mistake("[budget]\nper_day = \"0\"\n"),
        "/in/German/stenod.toml:1:2: budget: the file of a folder cannot set this; it holds `[transcribe]` alone"
    );
    assert_eq!(
        mistake("[transscribe]\n"),
        "/in/German/stenod.toml:1:2: transscribe: unknown key, did you mean `transcribe`?"
    );
    let two = mistake("[transcribe]\ndiarize = 1\nformats = [\"doc\"]\n");
    assert!(two.ends_with("(and 1 more)"), "{two}");
    let syntax = mistake("[transcribe\n");
    assert!(syntax.starts_with("/in/German/stenod.toml:1:"), "{syntax}");
}

#[test]
fn the_times_of_watching_have_their_range() {
    let config = Place::with_file("[watch]\nrescan_every = \"10m\"\n").load();
    assert_eq!(config.watch.rescan_every.as_secs(), 600);
    let place = Place::with_file(
        "[watch]\nrescan_every = \"1ms\"\n[[folders]]\npath = \"/in\"\nmin_length = \"2d\"\n",
    );
    let said = place.mistakes();
    assert!(
        said.contains("watch.rescan_every: \"1ms\" is too short"),
        "{said}"
    );
    assert!(
        said.contains("folders.min_length: \"2d\" is too long"),
        "{said}"
    );
    assert!(Config::keys().any(|key| key == "folders.min_length"));
}
