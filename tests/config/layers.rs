//! Which value wins, and where it came from.

use std::path::Path;
use std::time::Duration;

use stenod::config::{Overrides, Provider, WatchMode};
use stenod::domain::format::Format;

use crate::support::Place;

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let text = "[service]\njobs = 1\nrequests_per_second = 2\npoll_interval = \"3s\"\n";
    let place = Place::with_file(text)
        .with("STENOD_SERVICE__JOBS", "5")
        .with("STENOD_SERVICE__REQUESTS_PER_SECOND", "6");
    let overrides = Overrides {
        jobs: Some(7),
        ..Overrides::default()
    };
    let config = place.load_with(&overrides).unwrap();
    let service = &config.service;
    assert_eq!(
        (service.jobs.get(), service.requests_per_second.get()),
        (7, 6)
    );
    assert_eq!(service.poll_interval, Duration::from_secs(3));
    let origin = |key| config.origin_of(key).unwrap().to_string();
    assert_eq!(origin("service.jobs"), "--jobs");
    let variable = "environment variable STENOD_SERVICE__REQUESTS_PER_SECOND";
    assert_eq!(origin("service.requests_per_second"), variable);
    let file = place.path("config.toml");
    assert_eq!(
        origin("service.poll_interval"),
        format!("{}:4", file.display())
    );
    assert_eq!(origin("service.in_doubt"), "default");
    assert_eq!(config.origin_of("service.api_key_file"), None);
    assert_eq!(config.origin_of("bucket.region"), None);
}

#[test]
fn a_variable_is_typed_by_its_key() {
    let config = Place::with_file("")
        .with("STENOD_TRANSCRIBE__MODEL", "1234")
        .with("STENOD_TRANSCRIBE__LANGUAGE", "de")
        .with("STENOD_TRANSCRIBE__DIARIZE", "true")
        .with("STENOD_TRANSCRIBE__FORMATS", "srt, vtt")
        .with("STENOD_BUDGET__PER_DAY", "2.50")
        .with("STENOD_LARGE__DIRECT_LIMIT", "4096")
        .with("STENOD_LOG", "debug")
        .load();
    assert_eq!(config.transcribe.model, "1234");
    assert_eq!(config.transcribe.language, "de");
    assert!(config.transcribe.diarize);
    assert_eq!(config.transcribe.formats, [Format::Srt, Format::Vtt]);
    assert_eq!(config.budget.per_day.unwrap().to_string(), "2.50");
    assert_eq!(config.large.direct_limit, 4096);
}

#[test]
fn a_folder_overrides_any_key_of_transcribe_for_itself() {
    let text = "[transcribe]\nmodel = \"a\"\nlanguage = \"de\"\nformats = [\"srt\"]\n\
        [[folders]]\npath = \"/one\"\nmodel = \"b\"\nformats = [\"md\"]\n\
        [[folders]]\npath = \"/two\"\ndiarize = true\noutput_dir = \"/out\"\n";
    let place = Place::with_file(text).with("STENOD_TRANSCRIBE__LANGUAGE", "fr");
    let config = place.load();
    let [one, two] = config.folders.as_slice() else {
        panic!("{:?}", config.folders)
    };
    assert_eq!(
        (
            one.transcribe.model.as_str(),
            one.transcribe.language.as_str()
        ),
        ("b", "fr")
    );
    assert_eq!(
        (one.transcribe.formats.as_slice(), one.transcribe.diarize),
        (&[Format::Md][..], false)
    );
    assert_eq!(
        (two.transcribe.model.as_str(), two.transcribe.diarize),
        ("a", true)
    );
    assert_eq!(
        two.transcribe.output_dir.as_deref(),
        Some(Path::new("/out"))
    );
    assert_eq!(config.transcribe.model, "a");
    let file = place.path("config.toml");
    let line = |key| {
        config
            .origin_of(key)
            .unwrap()
            .to_string()
            .replace(&file.display().to_string(), "")
    };
    assert_eq!(line("folders.0.model"), ":7");
    assert_eq!(line("folders.1.model"), ":2");
}

#[test]
fn the_model_that_is_shown_is_the_one_that_is_asked_for() {
    let shown = |service: &str| {
        let text = format!("[service]\n{service}\n[[folders]]\npath = \"/one\"\n");
        let config = Place::with_file(&text).load();
        let settings = config.settings().iter();
        let models = settings.filter(|setting| setting.key.ends_with(".model"));
        let models: Vec<String> = models.map(|setting| setting.value.clone()).collect();
        assert_eq!(models, vec![format!("{:?}", config.transcribe.model); 2]);
        config.folders[0].transcribe.model.clone()
    };
    let openai = "provider = \"openai\"\nbase_url = \"https://api.example.org/v1\"";
    assert_eq!(shown(openai), "whisper-1");
    assert_eq!(shown("provider = \"nanogpt\""), "Whisper-Large-V3");
}

#[test]
fn flags_reach_into_every_folder() {
    let text = "[[folders]]\npath = \"/one\"\nmodel = \"a\"\ninclude = [\"*.mp3\"]\n";
    let overrides = Overrides {
        provider: Some("local".to_owned()),
        model: Some("b".to_owned()),
        language: Some("en".to_owned()),
        formats: Some(vec!["lrc".to_owned()]),
        diarize: Some(true),
        include: Some(vec!["*.wav".to_owned()]),
        exclude: Some(vec!["old/**".to_owned()]),
        no_recursive: Some(true),
        ..Overrides::default()
    };
    let config = Place::with_file(text).load_with(&overrides).unwrap();
    assert_eq!(config.service.provider, Provider::Local);
    let elsewhere = config.for_path(Path::new("/elsewhere"));
    for folder in [&config.folders[0], &elsewhere] {
        assert_eq!(folder.transcribe.model, "b");
        assert_eq!(folder.transcribe.language, "en");
        assert_eq!(folder.transcribe.formats, [Format::Lrc]);
        assert!(folder.transcribe.diarize && !folder.recursive);
        assert_eq!(
            (folder.include.as_slice(), folder.exclude.as_slice()),
            (&["*.wav".to_owned()][..], &["old/**".to_owned()][..])
        );
    }
    assert_eq!(config.transcribe.model, "b");
}

#[test]
fn a_path_takes_the_settings_of_the_innermost_folder_around_it() {
    let place = Place::new();
    let inner = place.put("in/deep/a.wav", "", 0o644);
    let outside = place.put("out/b.wav", "", 0o644);
    std::os::unix::fs::symlink(place.path("in"), place.path("link")).unwrap();
    let text = "[transcribe]\nmodel = \"none\"\n\
        [[folders]]\npath = \"in\"\nmodel = \"outer\"\n\
        [[folders]]\npath = \"in/deep\"\nmodel = \"inner\"\n";
    place.put("config.toml", text, 0o644);
    let config = place.load();
    let model = |path: &Path| config.for_path(path).transcribe.model;
    assert_eq!(model(&inner), "inner");
    assert_eq!(model(&place.path("link/deep/a.wav")), "inner");
    assert_eq!(model(&place.path("in")), "outer");
    assert_eq!(model(&place.path("in/deeper.wav")), "outer");
    assert_eq!(model(&place.path("inside.wav")), "none");
    assert_eq!(model(Path::new("in/deep/a.wav")), "inner");
    assert_eq!(
        config.for_path(Path::new("./out/b.wav")).path,
        place.path("out")
    );
    assert_eq!(config.for_path(&outside).path, place.path("out"));
    assert_eq!(config.for_path(&place.path("out")).path, place.path("out"));
    assert_eq!(config.for_path(&inner).path, place.path("in/deep"));
}

#[test]
fn tables_may_be_written_inline_or_dotted() {
    let text = "service.jobs = 2\nbudget = { per_day = 1.10 }\nfolders = [{ path = \"/one\", watch = \"poll\" }]\n";
    let config = Place::with_file(text).load();
    assert_eq!(config.service.jobs.get(), 2);
    assert_eq!(config.budget.per_day.unwrap().to_string(), "1.10");
    assert_eq!(config.folders[0].watch, WatchMode::Poll);
}
