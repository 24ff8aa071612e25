//! `stenod init`, on a terminal and without: what it asks, what it writes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stenod_support::audio::wav;
use stenod_support::service::Endpoint;
use stenod_support::stage::{Call, KEY, LINES, Stage, Terminal};

use super::screens::{is_as_before, still};
use super::stage;

/// A call on a machine where nothing is configured yet, and the place where its configuration belongs.
fn fresh(stage: &Stage, arguments: &[&str]) -> (Call, PathBuf) {
    let call = stage
        .call(arguments)
        .without("STENOD_CONFIG")
        .without("NANOGPT_API_KEY")
        .env("STENOD_SERVICE__BASE_URL", stage.service.url());
    (call, stage.root().join("home/.config/stenod/config.toml"))
}

#[test]
fn a_folder_and_a_key_make_a_configuration_that_works() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 6.0));
    let folder = stage.recordings();
    let folder = folder.to_str().unwrap();
    let (call, config) = fresh(&stage, &["init", folder, "--key-file", "-"]);
    let told = call.input(format!("{KEY}\n").as_bytes()).output().success();
    assert!(!told.tell().contains(KEY), "the key is shown");
    for word in ["the key is good", "1 recording", "$0.00005", "stenod run"] {
        assert!(
            told.stdout.contains(word),
            "{word} is missing\n{}",
            told.tell()
        );
    }
    let key = config.with_file_name("key");
    assert_eq!(fs::read_to_string(&key).unwrap(), KEY);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("# Who transcribes.") && !text.contains(KEY),
        "{text}"
    );
    fresh(&stage, &["config", "check"]).0.output().success();
    fresh(&stage, &["run", "--yes"]).0.output().success();
    assert!(stage.at("a.txt").exists());
    assert_eq!(stage.service.look(|log| log.ledger().charges.len()), 1);
}

#[test]
fn what_is_there_is_kept_unless_told_otherwise() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "--yes", "--provider", "local"]);
    call.output().success();
    fs::write(&config, "# mine\n").unwrap();
    let (call, _) = fresh(&stage, &["init", "--yes"]);
    call.output()
        .code(2)
        .says("nothing was changed")
        .says("--force");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    fresh(&stage, &["init", "--yes", "--force"])
        .0
        .output()
        .success();
    assert_eq!(
        fs::read_to_string(config.with_extension("toml.old")).unwrap(),
        "# mine\n"
    );
    assert!(fs::read_to_string(&config).unwrap().contains("[service]"));
}

#[test]
fn a_new_configuration_says_what_it_does_not_take_over_and_keeps_every_old_one() {
    let stage = stage();
    let first = stage.recordings();
    let (call, config) = fresh(&stage, &["init", "--yes", first.to_str().unwrap()]);
    call.output().success();
    let before = fs::read_to_string(&config).unwrap();
    let force = || fresh(&stage, &["init", "--yes", "--force"]).0.output();
    let told = force().success();
    let left_out = format!("not in the new one: the folder {}", first.display());
    assert!(told.stdout.contains(&left_out), "{}", told.tell());
    assert!(told.stdout.contains("config.toml.old"), "{}", told.tell());
    force().success();
    let old = fs::read_to_string(config.with_extension("toml.old")).unwrap();
    assert_eq!(old, before, "the first one was lost at the second time");
    assert!(config.with_extension("toml.old.2").exists());
    let json = fresh(&stage, &["init", "--yes", "--force", "--json"]).0;
    let json = json.output().success().json();
    assert_eq!(json["left_out"], serde_json::json!([]));
}

#[test]
fn another_key_changes_nothing_but_the_key() {
    let stage = stage();
    let folder = stage.recordings();
    let arguments = ["init", folder.to_str().unwrap(), "--key-file", "-"];
    let (call, config) = fresh(&stage, &arguments);
    call.input(b"sk-nano-old").output().code(4);
    let (call, _) = fresh(&stage, &["init", folder.to_str().unwrap(), "--yes"]);
    call.output().success();
    let text = fs::read_to_string(&config).unwrap() + "\n# mine\n";
    fs::write(&config, &text).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    // None was named so far: a key file and one line more.
    let new_key = || fresh(&stage, &["init", "--key-file", "-"]).0;
    let told = new_key().input(KEY.as_bytes()).output().success();
    assert!(told.stdout.contains("the key is good"), "{}", told.tell());
    let key = config.with_file_name("key");
    assert_eq!(fs::read_to_string(&key).unwrap(), KEY);
    let after = fs::read_to_string(&config).unwrap();
    let line = format!("api_key_file = \"{}\"", key.display());
    let example = "#api_key_file = \"/etc/stenod/key\"";
    assert_eq!(after, text.replace(example, &line));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&config), mode(&key)), (0o640, 0o600));
    // From now on the file alone.
    fs::write(&key, "sk-nano-revoked").unwrap();
    new_key().input(b"sk-nano-wrong").output().code(4);
    new_key().input(b" \n").output().code(4).says("it is empty");
    assert_eq!(fs::read_to_string(&key).unwrap(), "sk-nano-revoked");
    new_key().input(KEY.as_bytes()).output().success();
    assert_eq!(fs::read_to_string(&key).unwrap(), KEY);
    assert_eq!(fs::read_to_string(&config).unwrap(), after);
}

#[test]
fn folders_are_added_to_a_configuration_that_is_there() {
    let stage = stage();
    let (first, second) = (stage.recordings(), stage.root().join("more \"b\""));
    fs::create_dir(&second).unwrap();
    let init = |folders: &[&PathBuf]| {
        let folders = folders.iter().map(|folder| folder.to_str().unwrap());
        let words: Vec<&str> = ["init", "--yes"].into_iter().chain(folders).collect();
        fresh(&stage, &words)
    };
    let (call, config) = init(&[&first]);
    call.output().success();
    let before = fs::read_to_string(&config).unwrap();
    let told = init(&[&first, &second]).0.output().success();
    let added = format!("added {} to", second.display());
    assert!(told.stdout.contains(&added), "{}", told.tell());
    let after = fs::read_to_string(&config).unwrap();
    assert!(after.starts_with(before.trim_end()), "{after}");
    let shown = fresh(&stage, &["config", "show", "--json"])
        .0
        .output()
        .success()
        .json();
    assert_eq!(
        shown["settings"]["folders.0.path"]["value"],
        first.to_str().unwrap()
    );
    assert_eq!(
        shown["settings"]["folders.1.path"]["value"],
        second.to_str().unwrap()
    );
    assert!(shown["settings"].get("folders.2.path").is_none());
    // What is no text of this kind is left to the hand.
    let inline = format!("folders = [{{path = {:?}}}]\n", first.display().to_string());
    fs::write(&config, &inline).unwrap();
    init(&[&second]).0.output().code(2).says("by hand");
    assert_eq!(fs::read_to_string(&config).unwrap(), inline);
}

#[test]
fn a_key_that_is_refused_writes_nothing() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "--key-file", "-"]);
    call.input(b"sk-nano-wrong")
        .output()
        .code(4)
        .says("refused");
    assert!(!config.exists() && !config.with_file_name("key").exists());
    let (call, _) = fresh(&stage, &["init", "--key-file", "-", "--offline"]);
    call.input(b"sk-nano-wrong").output().success();
    assert!(config.exists());
}

#[test]
fn a_folder_that_is_not_there_is_said_before_anything_is_written() {
    let stage = stage();
    let (call, config) = fresh(&stage, &["init", "/nowhere/at/all", "--yes"]);
    call.output().code(2).says("/nowhere/at/all");
    assert!(!config.exists());
}

#[test]
fn systemd_is_told_of_the_configured_folders() {
    let stage = stage();
    let drop_in = stage.root().join("drop-in/folders.conf");
    let flag = format!("--systemd={}", drop_in.display());
    let own = [(
        "output_dir",
        stage.root().join("not there yet").to_str().unwrap().into(),
    )];
    stage.add_folder_with(&stage.root().join("apart"), &own);
    stage.stenod(["init", flag.as_str()]).success();
    let text = fs::read_to_string(&drop_in).unwrap();
    // Written or not there yet, read alone, and written alone: a folder's own output_dir.
    let (folder, apart) = (stage.recordings(), stage.root().join("apart"));
    let outputs = stage.root().join("not there yet");
    let written = |path: &Path| format!("ReadWritePaths=-\"{}\"", path.display());
    let mounted = |path: &Path| format!("RequiresMountsFor=\"{}\"", path.display());
    let wanted = [&folder, &apart, &outputs].map(|path| mounted(path));
    assert!(!text.contains(&written(&apart)), "{text}");
    for line in wanted
        .into_iter()
        .chain([&folder, &outputs].map(|path| written(path)))
    {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
    assert_eq!(
        fs::read_to_string(stage.config_file()).unwrap(),
        stage.config()
    );
}

#[test]
fn a_service_of_ones_own_is_offered_and_written() {
    let stage = still();
    fs::create_dir(stage.root().join("run/systemd")).unwrap();
    let folder = stage.recordings();
    let folder = folder.to_str().unwrap();
    let (call, config) = fresh(&stage, &["init", folder]);
    let mut terminal = Terminal::start(&call, LINES, stage.replaced());
    terminal.until("the key", |screen| screen.contains("does the work):"));
    terminal.press("\r");
    terminal.until("the service", |screen| screen.contains("[y/N]"));
    terminal.press("y\r");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    let enable = "systemctl --user enable --now stenod";
    assert!(ended.screen.contains(enable), "{}", ended.screen);
    let unit = stage
        .root()
        .join("home/.config/systemd/user/stenod.service");
    let text = fs::read_to_string(&unit).unwrap();
    let call = format!("--config \"{}\" watch", config.display());
    assert!(text.contains(&call), "{text}");
    // By a flag for a configuration that is there; what was written is kept.
    fs::write(&unit, "# mine\n").unwrap();
    let (call, _) = fresh(&stage, &["init", "--user-service"]);
    let told = call.output().success();
    assert!(told.stdout.contains("stays as it is"), "{}", told.tell());
    assert_eq!(fs::read_to_string(&unit).unwrap(), "# mine\n");
    fs::remove_file(&unit).unwrap();
    let (call, _) = fresh(&stage, &["init", "--user-service", "--json"]);
    let json = call.output().success().json();
    assert_eq!(json["user_service"], unit.to_str().unwrap());
    assert_eq!(fs::read_to_string(&unit).unwrap(), text);
}

/// The screen without what only machines with systemd are told.
fn without_systemd(screen: &str) -> String {
    let end = screen.find("\nas a service").unwrap_or(screen.len());
    screen[..end].trim_end().to_owned() + "\n"
}

#[test]
fn a_person_is_asked_for_folders_and_a_key_that_is_tried_and_never_shown() {
    let stage = still();
    stage.put("a.wav", &wav(1, 6.0));
    let (call, config) = fresh(&stage, &["init"]);
    let mut terminal = Terminal::start(&call, LINES, stage.replaced());
    terminal.until("the first folder", |screen| screen.contains("none yet):"));
    terminal.press("/nowhere/at/all\r");
    terminal.until("that it is not there", |screen| {
        screen.contains("there is no folder") && screen.matches("none yet):").count() == 2
    });
    terminal.press(&format!("{}\r", stage.recordings().display()));
    terminal.until("whether there is another", |screen| {
        screen.contains("that is all):")
    });
    terminal.press("\r");
    terminal.until("the key", |screen| screen.contains("does the work):"));
    terminal.until_hidden();
    terminal.press("sk-nano-wrong\r");
    terminal.until("that it was refused", |screen| {
        screen.contains("refused the key") && screen.matches("does the work):").count() == 2
    });
    assert!(!config.exists(), "it was written before the key was taken");
    terminal.until_hidden();
    terminal.press(&format!("{KEY}\r"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    for secret in [KEY, "sk-nano-wrong"] {
        assert!(!ended.written.contains(secret), "{}", ended.screen);
    }
    is_as_before("init.terminal", &without_systemd(&ended.screen));
    let key = config.with_file_name("key");
    assert_eq!(fs::read_to_string(&key).unwrap(), KEY);
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let asked = stage.service.look(|log| log.at(Endpoint::Balance).count());
    assert_eq!(asked, 2, "{}", stage.service.story());
    fresh(&stage, &["run", "--yes"]).0.output().success();
    assert!(stage.at("a.txt").exists());
}

#[test]
fn a_person_without_a_key_gets_the_built_in_recogniser() {
    let stage = still();
    let folder = stage.recordings();
    let (call, config) = fresh(&stage, &["init", folder.to_str().unwrap()]);
    let mut terminal = Terminal::start(&call, LINES, stage.replaced());
    terminal.until("the key", |screen| screen.contains("does the work):"));
    terminal.press("\r");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.screen);
    is_as_before(
        "init-without-a-key.terminal",
        &without_systemd(&ended.screen),
    );
    assert!(config.exists() && !config.with_file_name("key").exists());
}

#[test]
fn a_folder_that_is_given_twice_is_written_once() {
    let stage = stage();
    let folder = stage.recordings();
    let link = stage.root().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let dotted = folder.join("..").join("recordings");
    let paths = [&folder, &link, &dotted].map(|path| path.display().to_string());
    let [one, other, third] = paths.each_ref().map(String::as_str);
    let (call, config) = fresh(&stage, &["init", "--yes", one, other, third]);
    call.output().success();
    let text = fs::read_to_string(&config).unwrap();
    assert_eq!(text.matches("\n[[folders]]").count(), 1, "{text}");
    let more = stage.root().join("more");
    fs::create_dir(&more).unwrap();
    let more = more.to_str().unwrap();
    fresh(&stage, &["init", "--yes", more, more, other])
        .0
        .output()
        .success();
    let text = fs::read_to_string(&config).unwrap();
    assert_eq!(text.matches("\n[[folders]]").count(), 2, "{text}");
}

#[test]
fn what_would_be_refused_is_refused_before_it_is_written() {
    let stage = stage();
    let folder = stage.recordings();
    let folder = folder.to_str().unwrap();
    let (call, config) = fresh(&stage, &["init", "--yes", folder]);
    let refused = call.env("STENOD_SERVICE__JOBS", "many").output().code(10);
    refused.says("STENOD_SERVICE__JOBS");
    assert!(!config.exists());
    let (call, _) = fresh(
        &stage,
        &["init", "--yes", "--systemd", "folders.conf", folder],
    );
    call.inside(stage.root()).output().success();
    assert!(stage.root().join("folders.conf").exists());
}

#[test]
fn a_daemon_that_was_started_with_folders_is_not_said_to_watch_a_new_one() {
    let stage = stage();
    let folder = stage.recordings();
    let folder = folder.to_str().unwrap();
    stage.put("a.wav", &wav(1, 0.3));
    let mut watch = stage.call(["watch", folder]).start();
    watch.until("the transcript", || stage.at("a.json").exists());
    let more = stage.root().join("more");
    fs::create_dir(&more).unwrap();
    let told = stage
        .stenod(["init", "--yes", more.to_str().unwrap()])
        .success();
    assert!(
        told.stdout.contains("that it was started with"),
        "{}",
        told.tell()
    );
    // Another file is nothing to it.
    let other = stage.root().join("other.toml");
    let state = format!("state_dir = {:?}\n", stage.state().display().to_string());
    fs::write(&other, state).unwrap();
    let other = other.to_str().unwrap();
    let told = stage
        .stenod(["-c", other, "init", "--yes", more.to_str().unwrap()])
        .success();
    assert!(told.stdout.contains("goes by"), "{}", told.tell());
}

#[test]
fn a_hidden_answer_that_is_broken_off_leaves_the_terminal_as_it_was() {
    let stage = still();
    let (call, config) = fresh(&stage, &["init", "--key-file", "-"]);
    let mut terminal = Terminal::start(&call, LINES, stage.replaced());
    terminal.until("the first folder", |screen| screen.contains("none yet):"));
    terminal.press("\r");
    terminal.until("the key", |screen| screen.contains("not shown:"));
    terminal.until_hidden();
    terminal.press("two words\r");
    terminal.until("that it is no key", |screen| {
        screen.matches("not shown:").count() == 2
    });
    terminal.until_hidden();
    terminal.press("\u{3}");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(130), "{}", ended.screen);
    assert!(ended.echoes && !config.exists());
}
