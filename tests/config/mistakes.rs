//! What each kind of mistake says, word for word.

use stenod::config::Overrides;

use crate::support::{Place, mistakes_in};

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let place = Place::with_file("[service]\njobs = 0\npol_interval = \"5s\"\n[serivce]\n")
        .with("STENOD_LARGE__SHRINK", "maybe");
    let overrides = Overrides {
        language: Some("english".to_owned()),
        ..Overrides::default()
    };
    assert_eq!(
        place.mistakes_with(&overrides),
        r#"5 mistakes in the configuration

DIR/config.toml:2:8: service.jobs: 0 is too small
  2 | jobs = 0
    |        ^
  allowed: a whole number from 1 to 64

DIR/config.toml:3:1: service.pol_interval: unknown key
  3 | pol_interval = "5s"
    | ^^^^^^^^^^^^
  allowed: `provider`, `base_url`, `api_key_file`, `jobs`, `requests_per_second`, `poll_interval`, `in_doubt`, `price_per_minute`
  did you mean `poll_interval`?

DIR/config.toml:4:2: serivce: unknown key
  4 | [serivce]
    |  ^^^^^^^
  allowed: `state_dir`, `listen`, `[service]`, `[transcribe]`, `[[folders]]`, `[watch]`, `[local]`, `[budget]`, `[large]`, `[bucket]`, `[notify]`
  did you mean `service`?

environment variable STENOD_LARGE__SHRINK: expected `true` or `false`, found the text "maybe"

--language: "english" is not a language code
  allowed: "auto", or an ISO 639 code of two or three letters, such as "en" or "deu""#
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_place() {
    assert_eq!(
        mistakes_in("[service]\njobs = four\n"),
        "DIR/config.toml:2:8: not valid TOML: invalid string, expected `\"`, `'`\n  \
         2 | jobs = four\n    |        ^"
    );
    assert_eq!(
        mistakes_in("[service]\njobs = 1\njobs = 2\n"),
        "DIR/config.toml:3:1: not valid TOML: duplicate key `jobs` in table `service`\n  \
         3 | jobs = 2\n    | ^"
    );
}

#[test]
fn every_statement_that_is_not_toml_is_told_and_nothing_that_only_follows_from_one() {
    let places = |text: &str| {
        let told = mistakes_in(text);
        let places = told
            .lines()
            .filter_map(|line| line.strip_prefix("DIR/config.toml:"));
        let places = places.filter_map(|line| line.split_once(": "));
        let places: Vec<String> = places.map(|(place, _)| place.to_owned()).collect();
        places.join(" ")
    };
    assert_eq!(
        places(
            "[service]\njobs = four\njobs = 2\njobs = 3\n[transcribe\nmodel = \"a\"\nlanguage = en\n"
        ),
        "2:8 4:1 5:12 7:12"
    );
    // Where a list stays open nobody knows what belongs to it.
    assert_eq!(
        places("[transcribe]\nformats = [\"txt\",\nmodel = \"a\"\ndiarize = maybe\n")
            .split(' ')
            .count(),
        1
    );
}

#[test]
fn a_key_of_a_bucket_without_its_secret_is_a_mistake() {
    let told = mistakes_in("[bucket]\nurl = \"s3://b/p\"\naccess_key_id = \"AKIA\"\n");
    assert!(told.starts_with("DIR/config.toml:3:"), "{told}");
    assert!(told.contains("secret_access_key_file = "), "{told}");
}

#[test]
fn a_key_in_the_wrong_table_is_told_the_right_one() {
    let expected = "DIR/config.toml:1:1: jobs: unknown key\n  1 | jobs = 4\n    | ^^^^\n  \
        allowed: `state_dir`, `listen`, `[service]`, `[transcribe]`, `[[folders]]`, `[watch]`, `[local]`, `[budget]`, `[large]`, `[bucket]`, `[notify]`\n  \
        `jobs` belongs in `[service]`";
    assert_eq!(mistakes_in("jobs = 4"), expected);
    let text = mistakes_in("[local]\nsetle = 1\n");
    assert!(
        text.ends_with("\n  `settle` belongs in `[[folders]]`"),
        "{text}"
    );
    let text = mistakes_in("[local]\nstate_dir = \"/x\"\n");
    assert!(
        text.ends_with("\n  `state_dir` belongs at the top, before the first table"),
        "{text}"
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    for (text, message) in [
        (
            "state_dir = 5",
            "state_dir: expected a text in quotes, found the number 5",
        ),
        (
            "local.threads = \"2\"",
            "local.threads: expected a whole number, found the text \"2\"",
        ),
        (
            "local.threads = 1.5",
            "local.threads: expected a whole number, found a number with a point",
        ),
        (
            "large.shrink = 1",
            "large.shrink: expected `true` or `false`, without quotes, found the number 1",
        ),
        (
            "transcribe.formats = \"txt\"",
            "transcribe.formats: expected a list of texts, found the text \"txt\"",
        ),
        (
            "transcribe.model = [\"a\"]",
            "transcribe.model: expected a text in quotes, found a list",
        ),
        (
            "transcribe.model = true",
            "transcribe.model: expected a text in quotes, found true",
        ),
        (
            "transcribe.model = 1979-05-27",
            "transcribe.model: expected a text in quotes, found a date or time",
        ),
        (
            "transcribe.model = {}",
            "transcribe.model: expected a text in quotes, found a table",
        ),
        (
            "[transcribe.model]",
            "transcribe.model: expected a text in quotes, found a table",
        ),
        (
            "service.poll_interval = 5",
            "service.poll_interval: expected a duration in quotes, found the number 5",
        ),
        (
            "budget.per_day = true",
            "budget.per_day: expected an amount, found true",
        ),
        (
            "service = 3",
            "service: expected a table, found a single value",
        ),
        (
            "[[service]]",
            "service: expected a table, found a list of tables",
        ),
        (
            "[folders]",
            "folders: expected a list of tables, found a single table",
        ),
        (
            "folders = [1]",
            "folders: expected a list of tables, found a single value",
        ),
    ] {
        let mistakes = mistakes_in(text);
        let (_, first) = mistakes.lines().next().unwrap().split_once(": ").unwrap();
        assert_eq!(first, message, "{mistakes}");
    }
}

#[test]
fn a_duration_without_or_with_a_wrong_unit_says_the_range_and_how_to_write_it() {
    assert_eq!(
        mistakes_in("[service]\npoll_interval = 5\n"),
        "DIR/config.toml:2:17: service.poll_interval: expected a duration in quotes, found the number 5\n  \
         2 | poll_interval = 5\n    |                 ^\n  \
         allowed: a duration from 10ms to 1h, such as \"500ms\", \"10s\", \"5m\", \"12h\"\n  \
         say the unit: \"5s\" for seconds"
    );
    assert_eq!(
        mistakes_in("[bucket]\nurl = \"s3://b\"\nlink_lifetime = \"8 days\"\n"),
        "DIR/config.toml:3:17: bucket.link_lifetime: \"8 days\" is too long\n  \
         3 | link_lifetime = \"8 days\"\n    |                 ^^^^^^^^\n  \
         allowed: a duration from 1m to 7days, such as \"500ms\", \"10s\", \"5m\", \"12h\""
    );
}

#[test]
fn every_wrong_element_of_a_list_is_pointed_at() {
    assert_eq!(
        mistakes_in("[transcribe]\nformats = [\"txt\", \"text\", \"jsn\"]\n"),
        r#"2 mistakes in the configuration

DIR/config.toml:2:19: transcribe.formats: unknown format "text"
  2 | formats = ["txt", "text", "jsn"]
    |                   ^^^^^^
  allowed: "txt", "json", "srt", "vtt", "md", "tsv", "diarization", "rttm", "podcast", "lrc", "raw"
  did you mean `txt`?

DIR/config.toml:2:27: transcribe.formats: unknown format "jsn"
  2 | formats = ["txt", "text", "jsn"]
    |                           ^^^^^
  allowed: "txt", "json", "srt", "vtt", "md", "tsv", "diarization", "rttm", "podcast", "lrc", "raw"
  did you mean `json`?"#
    );
}

#[test]
fn a_mistake_that_folders_inherit_is_told_once() {
    let text = "[transcribe]\nlanguage = \"english\"\n[[folders]]\npath = \"/a\"\n[[folders]]\npath = \"/b\"\n";
    let mistakes = mistakes_in(text);
    assert!(
        mistakes.starts_with("DIR/config.toml:2:12: transcribe.language: "),
        "{mistakes}"
    );
    let place =
        Place::with_file("[[folders]]\npath = \"/a\"\n").with("STENOD_TRANSCRIBE__LANGUAGE", "x");
    assert!(
        place
            .mistakes()
            .starts_with("environment variable STENOD_TRANSCRIBE__LANGUAGE: \"x\" is not")
    );
    let overrides = Overrides {
        include: Some(vec!["[".to_owned()]),
        ..Overrides::default()
    };
    let mistakes = Place::with_file("[[folders]]\npath = \"/a\"\n").mistakes_with(&overrides);
    assert!(
        mistakes.starts_with("--include: \"[\" is not a pattern: "),
        "{mistakes}"
    );
}

#[test]
fn a_folder_needs_a_path_and_stands_there_once() {
    let expected =
        "DIR/config.toml:1:1: folders: `path` is missing\n  1 | [[folders]]\n    | ^^^^^^^^^^^";
    assert_eq!(mistakes_in("[[folders]]\nsettle = \"3s\"\n"), expected);
    let expected = "DIR/config.toml:4:8: folders.path: this folder stands here a second time\n  \
        4 | path = \"/a/./b\"\n    |        ^^^^^^^^";
    assert_eq!(
        mistakes_in("[[folders]]\npath = \"/a/b/\"\n[[folders]]\npath = \"/a/./b\"\n"),
        expected
    );
    let expected =
        "DIR/config.toml:2:8: folders.path: must not be empty\n  2 | path = \"\"\n    |        ^^";
    assert_eq!(mistakes_in("[[folders]]\npath = \"\"\n"), expected);
    let text = mistakes_in("[[folders]]\npath = \"/a\"\ninclude = []\n");
    assert!(text.starts_with(
        "DIR/config.toml:3:11: folders.include: names no pattern, so nothing would match"
    ));
}

#[test]
fn an_unknown_variable_is_told_the_nearest_one() {
    let with = |name: &str| Place::with_file("").with(name, "hunter2").mistakes();
    let head = |name: &str| {
        format!("environment variable {name}: no key of the configuration has this name")
    };
    for (name, mend) in [
        (
            "STENOD_SERVICE_JOBS",
            "did you mean `STENOD_SERVICE__JOBS`?",
        ),
        ("STENOD_CONFG", "did you mean `STENOD_CONFIG`?"),
        (
            "STENOD_service__jobs",
            "did you mean `STENOD_SERVICE__JOBS`?",
        ),
        ("STENOD_COLOUR", "`stenod config example` lists every key"),
        (
            "STENOD_FOLDERS__0__PATH",
            "folders stand in the file as [[folders]], or on the command line",
        ),
        (
            "STENOD_SERVICE__API_KEY",
            "the key goes into NANOGPT_API_KEY, or alone into a file that STENOD_SERVICE__API_KEY_FILE names",
        ),
        (
            "STENOD_BUCKET__SECRET",
            "put the secret alone into a file that STENOD_BUCKET__SECRET_ACCESS_KEY_FILE names",
        ),
    ] {
        assert_eq!(with(name), format!("{}\n  {mend}", head(name)));
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    let mistakes = Place::with_file("")
        .with("STENOD_TRANSCRIBE__MODEL", odd)
        .mistakes();
    assert_eq!(
        mistakes,
        "environment variable STENOD_TRANSCRIBE__MODEL: the value is not UTF-8"
    );
}

#[test]
fn a_bucket_without_a_url_is_pointed_at() {
    assert_eq!(
        mistakes_in("[bucket]\nregion = \"eu\"\n"),
        "DIR/config.toml:1:2: bucket.url: is missing, but the bucket is described\n  \
         1 | [bucket]\n    |  ^^^^^^\n  say which one: url = \"s3://bucket/prefix\""
    );
}

#[test]
fn a_url_without_its_scheme_is_told_the_whole() {
    assert_eq!(
        mistakes_in("[service]\nbase_url = \"nano-gpt.com/api\"\n"),
        "DIR/config.toml:2:12: service.base_url: \"nano-gpt.com/api\" is not an absolute URL\n  \
         2 | base_url = \"nano-gpt.com/api\"\n    |            ^^^^^^^^^^^^^^^^^^\n  \
         allowed: an absolute URL such as \"https://nano-gpt.com/api\"\n  \
         did you mean `https://nano-gpt.com/api`?"
    );
}
