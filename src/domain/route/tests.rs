//! The table of routes, and what is said where none leads there.

use super::*;

const LIMIT: u64 = 3 << 20;
const LINK_LIMIT: u64 = 500_000_000;
const MINUTE: u64 = 60_000_000;
const FORMATS: &[AudioFormat] = &[AudioFormat::Mp3, AudioFormat::Wav, AudioFormat::M4a];

fn terms() -> RouteTerms {
    RouteTerms {
        direct_limit: LIMIT,
        link_limit: LINK_LIMIT,
        shrink: true,
        preference: Preference::Auto,
        has_bucket: false,
        takes_links: true,
        formats: FORMATS,
        piece: AudioDuration::from_micros(10 * MINUTE),
    }
}

fn shape(format: AudioFormat, size: u64, minutes: Option<u64>) -> Shape {
    Shape {
        provider: Provider::named("elsewhere"),
        format,
        size,
        is_decodable: true,
        duration: minutes.map(|minutes| AudioDuration::from_micros(minutes * MINUTE)),
    }
}

fn name(shape: &Shape, terms: &RouteTerms) -> String {
    match choose(shape, terms) {
        Ok(chosen) => chosen.route.to_string(),
        Err(none) => none.obstacle.code().to_owned(),
    }
}

fn bucket(has_bucket: bool) -> RouteTerms {
    RouteTerms {
        has_bucket,
        ..terms()
    }
}

fn asks(preference: Preference, has_bucket: bool) -> RouteTerms {
    RouteTerms {
        preference,
        ..bucket(has_bucket)
    }
}

fn plain(has_bucket: bool) -> RouteTerms {
    RouteTerms {
        shrink: false,
        ..bucket(has_bucket)
    }
}

fn assert_table(table: &[(Shape, RouteTerms, &str)]) {
    for (shape, terms, expected) in table {
        assert_eq!(name(shape, terms), *expected, "{shape:?} {terms:?}");
    }
}

const PIECES: &str = "pieces of about 10:00, Opus at 32 kbit/s";
const SHRINK: &str = "shrink, Opus at 32 kbit/s";

#[test]
fn a_recording_goes_as_it_is_else_shrunk_else_by_the_bucket_else_in_pieces() {
    use AudioFormat::{Alac, Flac, Mp3, Wav};
    let large = 60 << 20;
    let huge = 600_000_000;
    assert_table(&[
        (shape(Mp3, LIMIT, Some(6)), terms(), "direct"),
        (shape(Mp3, LIMIT, None), terms(), "direct"),
        (shape(Mp3, LIMIT + 1, Some(6)), terms(), SHRINK),
        (shape(Flac, 9, Some(1)), terms(), SHRINK),
        (
            shape(Wav, 50 << 20, Some(25)),
            terms(),
            "shrink, Opus at 16 kbit/s",
        ),
        (
            shape(Alac, 9, Some(14)),
            bucket(true),
            "shrink, Opus at 28 kbit/s",
        ),
        (shape(Mp3, large, Some(60)), bucket(true), "bucket"),
        (shape(Mp3, large, None), bucket(true), "bucket"),
        (
            shape(Wav, huge, Some(60)),
            bucket(true),
            "bucket, as Opus at 32 kbit/s",
        ),
        (
            shape(Flac, large, Some(60)),
            bucket(true),
            "bucket, as Opus at 32 kbit/s",
        ),
        (
            shape(Flac, large, None),
            bucket(true),
            "bucket, as Opus at 16 kbit/s",
        ),
        (shape(Wav, 9 << 40, Some(90_000)), bucket(true), PIECES),
        (shape(Mp3, large, Some(60)), terms(), PIECES),
        (shape(Mp3, large, None), terms(), PIECES),
        (shape(Flac, 9, None), terms(), PIECES),
    ]);
}

#[test]
fn a_person_may_ask_for_the_bucket_for_pieces_or_for_no_encoding() {
    use AudioFormat::{Flac, Mp3, Wav};
    let (by_bucket, in_pieces) = (Preference::Bucket, Preference::Pieces);
    let large = 60 << 20;
    assert_table(&[
        (
            shape(Mp3, 4 << 20, Some(6)),
            asks(by_bucket, true),
            "bucket",
        ),
        (shape(Flac, 4 << 20, Some(6)), asks(by_bucket, true), SHRINK),
        (
            shape(Mp3, large, Some(60)),
            asks(by_bucket, false),
            "too_large",
        ),
        (shape(Mp3, large, Some(60)), asks(in_pieces, true), PIECES),
        (shape(Mp3, LIMIT, Some(11)), asks(in_pieces, true), PIECES),
        (shape(Mp3, LIMIT, Some(10)), asks(in_pieces, true), "direct"),
        (shape(Wav, 9, Some(1)), plain(false), "direct"),
        (shape(Mp3, LIMIT + 1, Some(6)), plain(false), "too_large"),
        (shape(Mp3, LIMIT + 1, Some(6)), plain(true), "bucket"),
        (shape(Flac, 9, Some(1)), plain(false), "foreign_format"),
        (shape(Flac, 9, Some(1)), plain(true), "foreign_format"),
        (shape(Wav, 600_000_000, Some(60)), plain(true), "too_large"),
    ]);
}

#[test]
fn whoever_has_no_route_is_told_the_ways_out() {
    let terms = RouteTerms {
        shrink: false,
        ..terms()
    };
    let none = choose(&shape(AudioFormat::Mp3, 60 << 20, Some(60)), &terms).unwrap_err();
    for way in [
        "large.shrink = true",
        "[bucket]",
        "convert",
        "60.0 MiB",
        "3.0 MiB",
    ] {
        assert!(none.text.contains(way), "{}", none.text);
    }
}

#[test]
fn only_what_makes_a_way_is_told_as_one() {
    use AudioFormat::{Flac, Mp3, Wav};
    let no_links = RouteTerms {
        takes_links: false,
        ..plain(false)
    };
    let huge = 600_000_000;
    for (shape, terms, ways) in [
        (
            shape(Mp3, 60 << 20, Some(60)),
            plain(false),
            "set large.shrink = true to have its speech encoded again, or set up a [bucket], or convert",
        ),
        (
            shape(Flac, 9, Some(1)),
            plain(false),
            "set large.shrink = true to have its speech encoded again, or convert",
        ),
        (
            shape(Mp3, 60 << 20, Some(60)),
            no_links,
            "set large.shrink = true to have its speech encoded again, or convert",
        ),
        (
            shape(Wav, huge, Some(60)),
            plain(true),
            "the service takes 3.0 MiB directly, 476.8 MiB by a link: set large.shrink = true to have its speech encoded again, or convert",
        ),
        (
            shape(Mp3, 60 << 20, Some(60)),
            asks(Preference::Bucket, false),
            "set up a [bucket], or set large.route = \"auto\", or convert",
        ),
        (
            shape(Flac, 60 << 20, Some(60)),
            RouteTerms {
                shrink: false,
                ..asks(Preference::Bucket, false)
            },
            "set large.shrink = true and set up a [bucket], or convert",
        ),
    ] {
        let none = choose(&shape, &terms).unwrap_err();
        assert!(none.text.contains(ways), "{}", none.text);
    }
}

#[test]
fn what_cannot_be_decoded_is_not_told_to_be_encoded_again() {
    let shape = Shape {
        is_decodable: false,
        ..shape(AudioFormat::M4a, 60 << 20, Some(60))
    };
    let none = choose(&shape, &terms()).unwrap_err();
    assert_eq!(
        none.text,
        "waiting for a route: it has 60.0 MiB, and the service takes 3.0 MiB directly, and its sound cannot be \
         decoded here: set up a [bucket], or convert it to a short enough MP3, M4A, Ogg or WAV"
    );
    let by_link = choose(&shape, &bucket(true)).unwrap();
    assert_eq!(by_link.route, Route::Bucket { shrink: None });
    let local = Shape {
        provider: Provider::LOCAL,
        ..shape
    };
    assert_eq!(name(&local, &terms()), "no_decoder");
    let none = choose_other(&shape, &plain(false), "it is broken").unwrap_err();
    assert_eq!(
        none.text,
        "waiting for a route: it is broken: set up a [bucket], or convert it to a short enough MP3, M4A, Ogg or WAV"
    );
}

#[test]
fn pieces_are_told_as_long_as_the_limit_lets_them_be_and_why_there_is_no_link() {
    let large = shape(AudioFormat::Mp3, 60 << 20, Some(60));
    let small = RouteTerms {
        direct_limit: 200 << 10,
        ..terms()
    };
    let chosen = choose(&large, &small).unwrap();
    assert_eq!(
        chosen.route.to_string(),
        "pieces of about 1:17, Opus at 16 kbit/s"
    );
    assert!(chosen.why.ends_with("there is no bucket"), "{}", chosen.why);
    let endless = shape(AudioFormat::Wav, 9 << 40, Some(90_000));
    let chosen = choose(&endless, &bucket(true)).unwrap();
    assert!(
        chosen.why.ends_with("a link takes 476.8 MiB"),
        "{}",
        chosen.why
    );
}

#[test]
fn the_built_in_recogniser_takes_everything() {
    let local = Shape {
        provider: Provider::LOCAL,
        ..shape(AudioFormat::Flac, 1 << 40, None)
    };
    assert_eq!(name(&local, &terms()), "local");
}

#[test]
fn a_route_that_was_just_chosen_still_leads_there() {
    for format in [AudioFormat::Mp3, AudioFormat::Flac] {
        for size in [9, 9 << 20, 9 << 30] {
            for minutes in [None, Some(1), Some(600)] {
                for has_bucket in [false, true] {
                    let terms = RouteTerms {
                        has_bucket,
                        ..terms()
                    };
                    let shape = shape(format, size, minutes);
                    let route = choose(&shape, &terms).unwrap().route;
                    assert!(still_leads(route, &shape, &terms), "{route:?}");
                }
            }
        }
    }
}

#[test]
fn a_route_is_stored_with_its_reason() {
    let terms = RouteTerms {
        has_bucket: true,
        ..terms()
    };
    for minutes in [1, 15, 60] {
        let shape = shape(AudioFormat::Flac, 9 << 20, Some(minutes));
        let chosen = choose(&shape, &terms).unwrap();
        let text = serde_json::to_string(&chosen).unwrap();
        assert_eq!(serde_json::from_str::<Chosen>(&text).unwrap(), chosen);
    }
}

#[test]
fn sizes_are_for_people() {
    assert_eq!(bytes(512), "512 bytes");
    assert_eq!(bytes(LIMIT), "3.0 MiB");
    assert_eq!(bytes(500_000_000), "476.8 MiB");
}
