//! `[notify]`: who is told, and that no address is repeated.

use std::time::Duration;

use jiff::civil::time;
use stenod::config::Config;
use stenod::domain::notice::Event;

use crate::support::{Place, mistakes_in};

const WEBHOOK: &str = "[notify]\nwebhook_url = \"https://hooks.example/T0/geheim?x=geheim\"\n\
    webhook_secret_file = \"./secret\"\n";

fn shown(config: &Config, key: &str) -> Option<String> {
    let settings = config.settings().iter();
    let mut found = settings.filter(|setting| setting.key == key);
    found.next().map(|setting| setting.value.clone())
}

#[test]
fn nobody_is_told_unless_somebody_is_named() {
    let notify = Place::with_file("").load().notify;
    assert!(notify.command.is_none() && notify.webhook.is_none() && notify.ntfy.is_none());
    assert_eq!(notify.digest_at, time(8, 0, 0, 0));
    assert!(!notify.allow_private);
}

#[test]
fn each_receiver_has_its_own_events() {
    let place = Place::with_file(
        "[notify]\ncommand = [\"bin/told\", \"-v\"]\ncommand_events = [\"done\", \"done\"]\n\
         command_timeout = \"5s\"\nntfy_url = \"https://ntfy.example/t\"\ndigest_at = \"22:30\"\n",
    );
    let notify = place.load().notify;
    let command = notify.command.unwrap();
    assert_eq!(command.program, place.path("bin/told"));
    assert_eq!(command.arguments, ["-v"]);
    assert_eq!(command.events, [Event::Done]);
    assert_eq!(command.timeout, Duration::from_secs(5));
    let ntfy = notify.ntfy.unwrap();
    assert!(!ntfy.events.contains(&Event::Done) && ntfy.events.contains(&Event::Failed));
    assert_eq!(notify.digest_at, time(22, 30, 0, 0));
}

#[test]
fn an_address_is_shown_without_what_may_be_secret() {
    let place = Place::with_file(WEBHOOK);
    let config = place.load();
    let value = shown(&config, "notify.webhook_url");
    assert_eq!(value.as_deref(), Some("\"https://hooks.example/***\""));
    assert!(!format!("{config:?}").contains("geheim"));
    let text = mistakes_in(&format!("{WEBHOOK}digest_at = 8\nwebhook_urls = 1\n"));
    assert!(text.contains("digest_at: expected a text"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
    for wrong in [
        "ftp://hooks.example/geheim",
        "hooks.example/geheim",
        "https://ada:geheim@hooks.example/",
        "https://hooks.example/#geheim",
    ] {
        for key in ["webhook_url", "ntfy_url"] {
            let text = mistakes_in(&format!("[notify]\n{key} = \"{wrong}\"\n"));
            assert!(text.contains(&format!("notify.{key}: ")), "{text}");
            assert!(!text.contains("geheim"), "{text}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_receiver_says_how_to_mend_it() {
    for (text, message) in [
        (
            "webhook_url = \"https://hooks.example/\"",
            "notify.webhook_secret_file: is missing: every request to the webhook is signed",
        ),
        (
            "ntfy_url = \"http://192.168.1.5/t\"",
            "notify.ntfy_url: 192.168.1.5 is this machine or in a private network",
        ),
        (
            "ntfy_url = \"https://ntfy.sh/\"",
            "notify.ntfy_url: names no topic",
        ),
        (
            "ntfy_events = [\"done\", \"fialed\"]",
            "notify.ntfy_events: unknown event \"fialed\"",
        ),
        (
            "digest_at = \"25:00\"",
            "notify.digest_at: \"25:00\" is no time of day",
        ),
        (
            "command = \"echo\"",
            "notify.command: expected a list of texts",
        ),
    ] {
        let told = mistakes_in(&format!("[notify]\n{text}\n"));
        assert!(told.contains(message), "{told}");
    }
    let text = "[notify]\nntfy_url = \"http://192.168.1.5/t\"\nallow_private = true\n";
    assert!(Place::with_file(text).load().notify.ntfy.is_some());
}

#[test]
fn the_variables_of_a_command_are_no_settings() {
    let place = Place::with_file("")
        .with("STENOD_EVENT", "done")
        .with("STENOD_OUTPUTS", "a.txt");
    assert!(place.load().notify.command.is_none());
}

#[test]
fn a_credential_is_the_secret_where_no_file_is_named() {
    let place = Place::with_file("[notify]\nwebhook_url = \"https://hooks.example/\"\n");
    let credential = place.put("credentials/webhook-secret", "whsec_x", 0o400);
    let place = place.with("CREDENTIALS_DIRECTORY", credential.parent().unwrap());
    let webhook = place.load().notify.webhook.unwrap();
    assert_eq!(webhook.secret_file, credential);
}
