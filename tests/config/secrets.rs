//! Where the key comes from, and that nothing ever shows one.

use stenod::config::{KeyOrigin, Overrides};

use crate::support::{Place, mistakes_in};

const FILE_KEY: &str = "[service]\napi_key_file = \"./key\"\n";

const OPENAI: &str = "[service]\nprovider = \"openai\"\nbase_url = ";

#[test]
fn the_key_of_nanogpt_never_goes_to_another_company() {
    let place = Place::with_file(&format!("{OPENAI}\"https://api.openai.com/v1\"\n"))
        .with("NANOGPT_API_KEY", "hunter1");
    assert!(place.load().service.key.is_none());
    let place = place.with("OPENAI_API_KEY", "hunter2");
    assert_eq!(place.load().service.key.unwrap().expose(), "hunter2");
}

#[test]
fn a_server_of_ones_own_and_nanogpt_itself_may_be_given_the_key_of_nanogpt() {
    for url in ["http://127.0.0.1:9000", "https://nano-gpt.com/api"] {
        let place =
            Place::with_file(&format!("{OPENAI}\"{url}\"\n")).with("NANOGPT_API_KEY", "hunter1");
        assert_eq!(place.load().service.key.unwrap().expose(), "hunter1");
    }
}

#[test]
fn a_server_of_openais_kind_takes_25_megabytes_unless_another_limit_is_set() {
    let file = format!("{OPENAI}\"https://api.openai.com/v1\"\n");
    let limit = |text: &str| Place::with_file(text).load().large.direct_limit;
    assert_eq!(limit(&file), 25_000_000);
    assert_eq!(
        limit(&format!("{file}[large]\ndirect_limit = \"3 MiB\"\n")),
        3 << 20
    );
    assert_eq!(
        limit(&format!("{OPENAI}\"https://nano-gpt.com/api\"\n")),
        3 << 20
    );
}

#[test]
fn the_file_wins_over_the_credential_over_the_variable() {
    let place = Place::with_file("").with("NANOGPT_API_KEY", " hunter1\n");
    let key = place.load().service.key.unwrap();
    assert_eq!(
        (key.expose(), key.origin()),
        ("hunter1", &KeyOrigin::Environment("NANOGPT_API_KEY"))
    );
    let credential = place.put("credentials/api-key", "hunter2\n", 0o440);
    let place = place.with("CREDENTIALS_DIRECTORY", credential.parent().unwrap());
    let config = place.load();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let key = config.service.key.unwrap();
    assert_eq!(
        (key.expose(), key.origin()),
        ("hunter2", &KeyOrigin::Credential(credential))
    );
    let file = place.put("key", "hunter3\n", 0o600);
    place.put("config.toml", FILE_KEY, 0o644);
    let key = place.load().service.key.unwrap();
    assert_eq!(
        (key.expose(), key.origin()),
        ("hunter3", &KeyOrigin::File(file))
    );
}

/// Why the key of a configuration that is right otherwise cannot be had.
fn trouble(place: &Place) -> String {
    let trouble = place.load().service.key_trouble;
    let told = trouble.map(|trouble| trouble.to_string());
    place.without_dir(&told.unwrap_or_default())
}

#[test]
fn a_missing_credential_is_no_trouble_and_an_unusable_one_is() {
    let place = Place::with_file("").with("CREDENTIALS_DIRECTORY", "/no/such/folder");
    assert!(place.load().service.key.is_none());
    let credential = place.put("credentials/api-key", "two words", 0o400);
    let place = place.with("CREDENTIALS_DIRECTORY", credential.parent().unwrap());
    assert_eq!(
        trouble(&place),
        "environment variable CREDENTIALS_DIRECTORY: DIR/credentials/api-key holds more than one word or line, not the key alone"
    );
    let place = Place::with_file("").with("NANOGPT_API_KEY", "hunter2 hunter3");
    assert_eq!(
        trouble(&place),
        "environment variable NANOGPT_API_KEY: holds more than one word or line, not the key alone"
    );
}

#[test]
fn a_key_file_without_a_key_is_trouble_for_what_needs_the_key_alone() {
    let excerpt = "\n  2 | api_key_file = \"./key\"\n    |                ^^^^^^^\n  \
        `stenod init --key-file -` asks for the key, tries it and writes it there";
    let head = "DIR/config.toml:2:16: service.api_key_file: the file DIR/key";
    let place = Place::with_file(FILE_KEY).with("NANOGPT_API_KEY", "hunter3");
    assert_eq!(
        trouble(&place),
        format!("{head} cannot be read: there is no such file{excerpt}")
    );
    place.put("key", "\n", 0o600);
    assert_eq!(
        trouble(&place),
        format!("{head} holds no key: it is empty{excerpt}")
    );
    let service = place.load().service;
    assert!(service.key.is_none(), "the file is named, and nothing else");
    assert!(service.key_file.unwrap().ends_with("key"));
}

#[test]
fn a_key_file_that_others_can_read_is_warned_about() {
    let place = Place::with_file(FILE_KEY);
    let key = place.put("key", "hunter2", 0o600);
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, permissions).unwrap();
    let shown = key.display();
    let expected =
        format!("the key file {shown} can be read by others (mode 644): chmod 600 {shown}");
    let warnings = place.load().warnings;
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said, [expected]);
    assert!(warnings[0].is_of_key);
}

#[test]
fn a_key_in_the_file_itself_is_refused_without_repeating_it() {
    assert_eq!(
        mistakes_in("[service]\napi_key = \"hunter2\"\n"),
        "DIR/config.toml:2:1: service.api_key: a secret does not belong in this file, and there is no such key\n  \
         2 | api_key = ***\n    | ^^^^^^^\n  \
         put it alone into a file with mode 600 and name that file: api_key_file = \"/etc/stenod/key\", in [service]"
    );
    assert_eq!(
        mistakes_in("[bucket]\nurl = \"s3://b\"\nsecret_access_key = \"hunter2\"\n"),
        "DIR/config.toml:3:1: bucket.secret_access_key: a secret does not belong in this file, and there is no such key\n  \
         3 | secret_access_key = ***\n    | ^^^^^^^^^^^^^^^^^\n  \
         put it alone into a file with mode 600 and name that file: secret_access_key_file = \"/etc/stenod/bucket-secret\""
    );
    assert_eq!(
        mistakes_in("[service]\napi_key_file = \"sk-nano-hunter2\"\n"),
        "DIR/config.toml:2:16: service.api_key_file: this looks like the key itself, not like a file\n  \
         2 | api_key_file = ***\n    |                ^^^\n  \
         put the key alone into a file with mode 600 and name that file here"
    );
}

#[test]
fn nothing_shows_a_secret_wherever_it_was_put() {
    for text in [
        "api_key = \"hunter2\"",
        "key = \"hunter2\"\njobs = 1",
        "[service]\napi_key = \"hunter2",
        "[service]\napi_key = hunter2",
        "[service]\napi_key = \"\"\"\nhunter2",
        "[service]\napi_key_file = \"hunter2\"",
        "[service]\napi_key_file = [\"hunter2\"]",
        "service = { api_key = \"hunter2\", jobs = 0 }",
        "[service]\nbase_url = \"https://ada:hunter2@host\"\njobs = 0",
        "[service]\nbase_url = \"https://host/?key=hunter2\"",
        "[service]\nprovider = \"sk-hunter2-hunter2\"",
        "[transcribe]\nlanguage = \"sk-nano-hunter2\"",
        "[transcribe]\nformats = [\"sk-nano-hunter2\"]",
        "[budget]\nper_day = \"sk-nano-hunter2\"",
        "[large]\ndirect_limit = \"sk-nano-hunter2\"",
        "[service]\npoll_interval = \"sk-nano-hunter2\"",
        "[service]\nsk-nano-hunter2 = 1",
        "[service]\njobs = sk-nano-hunter2",
        "sk-nano-hunter2",
        "[bucket]\nsecret_access_key = 'hunter2'\nendpoint = \"http://a:hunter2@b\"",
    ] {
        let place = Place::with_file(text);
        let shown = match place.load_with(&Overrides::default()) {
            Err(errors) => format!("{errors}\n{errors:?}"),
            Ok(config) => {
                let trouble = config.service.key_trouble.as_ref().unwrap();
                format!("{trouble}\n{trouble:?}\n{:?}", config.settings())
            }
        };
        assert!(!shown.contains("hunter2"), "{text}\n\n{shown}");
    }
}

#[test]
fn debug_of_a_whole_configuration_shows_no_key() {
    let config = Place::with_file("")
        .with("NANOGPT_API_KEY", "hunter2")
        .load();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hunter2") && shown.contains("Environment"),
        "{shown}"
    );
}

#[test]
fn what_travels_in_the_open_or_cannot_be_fetched_is_warned_about() {
    let warnings = |text: &str| -> Vec<String> {
        let found = Place::with_file(text).load().warnings.into_iter();
        found.map(|warning| warning.text).collect()
    };
    assert_eq!(
        warnings("[service]\nbase_url = \"http://example.org\"\n"),
        [
            "service.base_url http://example.org is not https, and the key and the recordings travel in the open"
        ]
    );
    assert!(warnings("[service]\nbase_url = \"http://127.0.0.1:8080/\"\n").is_empty());
    assert_eq!(
        warnings("[bucket]\nurl = \"s3://b\"\nendpoint = \"http://minio:9000\"\n"),
        [
            "bucket.endpoint http://minio:9000 is on this machine or in a private network, and a service elsewhere cannot fetch from it"
        ]
    );
}

#[test]
fn a_secret_is_not_echoed_though_its_key_is_misspelt() {
    for line in [
        "webhok_url = \"https://hooks.example.org/services/T0/B0/SECRET\"",
        "url = \"https://ntfy.example.org/SECRET\"",
        "ntfy_topic = \"https://ntfy.example.org/SECRET\"",
    ] {
        let told = mistakes_in(&format!("[notify]\n{line}\n"));
        assert!(told.contains("unknown key"), "{told}");
        assert!(!told.contains("SECRET"), "{told}");
    }
}
