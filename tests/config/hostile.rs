//! Files that are broken anywhere: no panic, and no secret shown.

use proptest::prelude::*;

use stenod::config::{EXAMPLE, Overrides};

use crate::support::Place;

/// Pieces that break TOML, or change what the text around them means.
const PIECES: [&str; 14] = [
    "\"", "'", "\"\"\"", "'''", "[", "]", "{", "}", "=", "\n", ",", ".", "\u{0}", "ü",
];

/// The example with pieces put in at random places.
fn broken_example() -> impl Strategy<Value = String> {
    let piece = (
        any::<prop::sample::Index>(),
        prop::sample::select(&PIECES[..]),
    );
    prop::collection::vec(piece, 0..6).prop_map(|pieces| {
        let mut text = EXAMPLE.to_owned();
        for (place, piece) in pieces {
            let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            text.insert_str(*place.get(&places), piece);
        }
        text
    })
}

/// The same with a line of its own that holds a secret, at a random place.
fn with_secret(text: &str, place: prop::sample::Index, line: &str) -> String {
    let mut lines: Vec<_> = text.split('\n').collect();
    let place = place.index(lines.len() + 1);
    lines.insert(place, line);
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let place = Place::with_file(&text);
        if let Err(errors) = place.load_with(&Overrides::default()) {
            prop_assert!(!errors.mistakes().is_empty());
        }
    }

    #[test]
    fn a_secret_in_a_broken_file_is_never_shown(
        text in broken_example(),
        place in any::<prop::sample::Index>(),
        secret in "[a-z]{4}X[a-zA-Z0-9+/]{4,40}={0,2}",
        key in prop::sample::select(&["api_key", "\"api-key\"", "secret_access_key", "#token", "x.password"][..]),
    ) {
        let text = with_secret(&text, place, &format!("{key} = \"{secret}\""));
        let shown = match Place::with_file(&text).load_with(&Overrides::default()) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => format!("{errors}\n{errors:?}"),
        };
        prop_assert!(!shown.contains(&secret), "{}", shown);
    }
}
