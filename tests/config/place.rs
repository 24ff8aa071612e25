//! Which file is read, and what its paths mean.

use std::path::Path;

use stenod::config::{Config, Environment, Origin, Overrides};

use crate::support::Place;

#[test]
fn a_named_file_must_exist() {
    let place = Place::new();
    let expected = "--config: cannot read DIR/config.toml: there is no such file";
    assert_eq!(place.mistakes(), expected);
    let place = Place::new().with("STENOD_CONFIG", "/no/such.toml");
    let errors = Config::load(place.environment(), None, &Overrides::default()).unwrap_err();
    let expected =
        "environment variable STENOD_CONFIG: cannot read /no/such.toml: there is no such file";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn the_first_file_found_wins_and_is_never_merged() {
    let place = Place::new();
    let user = place.put(
        "home/.config/stenod/config.toml",
        "[service]\njobs = 1\n",
        0o644,
    );
    let variable = place.put("b.toml", "[service]\nrequests_per_second = 2\n", 0o644);
    let flag = place.put("config.toml", "[transcribe]\nmodel = \"c\"\n", 0o644);
    let load = |place: &Place, file: Option<&Path>| {
        let config = Config::load(place.environment(), file, &Overrides::default()).unwrap();
        let service = &config.service;
        (
            config.file.clone(),
            service.jobs.get(),
            service.requests_per_second.get(),
            config.transcribe.model,
        )
    };
    let model = "Whisper-Large-V3".to_owned();
    assert_eq!(load(&place, None), (Some(user), 1, 5, model.clone()));
    let place = place.with("STENOD_CONFIG", variable.as_os_str());
    assert_eq!(load(&place, None), (Some(variable), 4, 2, model));
    assert_eq!(
        load(&place, Some(&flag)),
        (Some(flag.clone()), 4, 5, "c".to_owned())
    );
}

#[test]
fn a_file_that_is_a_folder_or_no_text_is_refused() {
    let place = Place::new();
    std::fs::create_dir(place.path("config.toml")).unwrap();
    assert_eq!(
        place.mistakes(),
        "cannot read DIR/config.toml: it is a folder"
    );
    place.put("odd.toml", b"a = 1\nb = \"\xff\"\n", 0o644);
    let odd = place.path("odd.toml");
    let errors = Config::load(place.environment(), Some(&odd), &Overrides::default()).unwrap_err();
    let expected = format!("{}: line 2 is not UTF-8", odd.display());
    assert_eq!(errors.to_string(), expected);
    let place = Place::with_file(&"#".repeat(256 * 1024 + 1));
    let expected = "DIR/config.toml: is no configuration: larger than 262144 bytes";
    assert_eq!(place.mistakes(), expected);
}

#[test]
fn relative_paths_start_at_the_file_in_variables_and_flags_at_the_working_folder() {
    let place = Place::new();
    let text =
        "state_dir = \"state\"\n[transcribe]\noutput_dir = \"out\"\n[[folders]]\npath = \"./in\"\n";
    let file = place.put("deep/config.toml", text, 0o644);
    let config = Config::load(place.environment(), Some(&file), &Overrides::default()).unwrap();
    assert_eq!(config.state_dir, place.path("deep/state"));
    assert_eq!(config.folders[0].path, place.path("deep/in"));
    assert_eq!(
        config.folders[0].transcribe.output_dir,
        Some(place.path("deep/out"))
    );
    let place = place.with("STENOD_STATE_DIR", "state");
    let overrides = Overrides {
        output_dir: Some("out".into()),
        ..Overrides::default()
    };
    let config = Config::load(place.environment(), Some(&file), &overrides).unwrap();
    assert_eq!(config.state_dir, place.path("state"));
    assert_eq!(config.transcribe.output_dir, Some(place.path("out")));
    assert_eq!(
        config.folders[0].transcribe.output_dir,
        Some(place.path("out"))
    );
}

#[test]
fn a_flag_may_hold_a_path_of_odd_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"/state-\xff"));
    let place = Place::with_file("state_dir = \"/other\"");
    let overrides = Overrides {
        state_dir: Some(odd.to_owned()),
        ..Overrides::default()
    };
    let config = place.load_with(&overrides).unwrap();
    assert_eq!(config.state_dir, odd);
    assert_eq!(
        config.origin_of("state_dir"),
        Some(&Origin::Flag("--state-dir".to_owned()))
    );
}

#[test]
fn without_home_and_state_folder_there_is_no_place_for_the_state() {
    let place = Place::with_file("");
    let homeless = Environment::new(None, place.path(""));
    let file = place.path("config.toml");
    let errors = Config::load(&homeless, Some(&file), &Overrides::default()).unwrap_err();
    let expected =
        "state_dir: no folder for the state is known\n  set `state_dir`, or the variable HOME";
    assert_eq!(errors.to_string(), expected);
}
