//! What must hold for the captions of any transcript.

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::domain::transcript::{Heard, HeardSegment, HeardWord};

fn word(text: &str, start: f64, end: f64, speaker: Option<&str>) -> HeardWord {
    HeardWord {
        text: text.to_owned(),
        start: Some(start),
        end: Some(end),
        speaker: speaker.map(str::to_owned),
        ..HeardWord::default()
    }
}

/// A transcript of words that follow each other at an even pace, `rate` a second.
fn spoken(text: &str, rate: f64) -> Transcript {
    let words = text
        .split_whitespace()
        .zip(0..)
        .map(|(text, position)| {
            let start = f64::from(position) / rate;
            word(text, start, start + 0.9 / rate, None)
        })
        .collect();
    let heard = Heard {
        text: text.to_owned(),
        words,
        ..Heard::default()
    };
    Transcript::from_heard(heard, None)
}

fn plain(transcript: &Transcript, profile: &Profile) -> Vec<Cue> {
    cues(transcript, profile, Naming::Apart).unwrap()
}

/// What a cue says, without its dashes.
fn said(cue: &Cue) -> String {
    let texts = cue.parts.iter().map(|part| part.text.as_str());
    texts.collect::<Vec<_>>().join(" ")
}

fn shown(cues: &[Cue]) -> Vec<String> {
    cues.iter().map(|cue| cue.lines().join(" / ")).collect()
}

#[test]
fn cues_end_where_sentences_and_clauses_do() {
    let transcript = spoken(
        "It was the best of times, it was the worst of times, it was the age of wisdom. \
         It was the age of foolishness, and nobody knew.",
        2.8,
    );
    assert_eq!(
        shown(&plain(&transcript, &Profile::STANDARD)),
        [
            "It was the best of times, it was the worst / of times, it was the age of wisdom.",
            "It was the age of foolishness, / and nobody knew."
        ]
    );
}

#[test]
fn silence_has_no_cues_and_text_without_any_time_has_none_to_give() {
    let silent = Transcript::from_heard(Heard::default(), None);
    assert_eq!(
        cues(&silent, &Profile::STANDARD, Naming::Apart),
        Some(Vec::new())
    );
    let heard = Heard {
        text: "Hello.".to_owned(),
        ..Heard::default()
    };
    let timeless = Transcript::from_heard(heard, None);
    assert_eq!(cues(&timeless, &Profile::STANDARD, Naming::Apart), None);
}

#[test]
fn a_change_of_speaker_and_a_pause_end_a_cue() {
    let heard = Heard {
        words: vec![
            word("Yes", 0.0, 0.5, Some("a")),
            word("no", 0.6, 1.0, Some("b")),
            word("well", 1.9, 2.3, Some("b")),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(
        shown(&plain(&transcript, &Profile::STANDARD)),
        ["Yes", "no", "well"]
    );
    let named = cues(&transcript, &Profile::STANDARD, Naming::InText).unwrap();
    assert_eq!(shown(&named), ["a: Yes", "b: no", "well"]);
}

#[test]
fn a_word_longer_than_a_line_stays_whole() {
    let long = "a".repeat(60);
    let transcript = spoken(&format!("See {long} there"), 1.0);
    let cues = plain(&transcript, &Profile::STANDARD);
    assert!(cues.iter().flat_map(Cue::lines).any(|line| line == long));
}

#[test]
fn a_word_longer_than_a_cue_may_stand_is_shown_for_the_longest_time() {
    let heard = Heard {
        words: vec![word("Ooooh", 1.0, 20.0, None)],
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    assert_eq!((cues[0].start, cues[0].end), (1000, 8000));
}

#[test]
fn text_without_spaces_is_broken_between_its_characters() {
    let text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で\
                ニャーニャー泣いていた事だけは記憶している。";
    let segment = HeardSegment {
        text: text.to_owned(),
        start: Some(0.0),
        end: Some(16.0),
        speaker: None,
    };
    let heard = Heard {
        segments: vec![segment],
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    assert!(cues.len() > 2);
    assert!(
        cues.iter()
            .flat_map(Cue::lines)
            .all(|line| line.width() <= 42)
    );
    assert_eq!(cues.iter().map(said).collect::<String>(), text);
}

#[test]
fn words_of_one_moment_are_shown_within_a_second() {
    let heard = Heard {
        words: (0..100)
            .map(|number| word(&format!("w{number}"), 1.0, 1.0, None))
            .collect(),
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    let times: Vec<_> = cues.iter().map(|cue| cue.start).collect();
    assert_eq!(times, [1000, 1917]);
    assert!(cues.iter().all(|cue| cue.end - cue.start >= 834));
}

/// So many words of a speaker, three a second.
fn run(speaker: &str, tag: &str, start: f64, count: u32) -> Vec<HeardWord> {
    let words = (0..count).map(|number| {
        let stop = if number + 1 == count { "." } else { "" };
        let at = start + f64::from(number) * 0.33;
        word(
            &format!("{tag}{number}{stop}"),
            at,
            at + 0.28,
            Some(speaker),
        )
    });
    words.collect()
}

/// Ten seconds of one, ten of both at once, and then turns of eight words every three seconds.
fn talk() -> Transcript {
    let mut words = run("a", "intro", 0.0, 30);
    words.extend(run("a", "left", 10.0, 30));
    words.extend(run("b", "right", 10.1, 30));
    for number in 0_u32..10 {
        let speaker = if number % 2 == 0 { "a" } else { "b" };
        let start = 20.5 + f64::from(number) * 3.0;
        words.extend(run(speaker, &format!("turn{number}_"), start, 8));
    }
    words.sort_by(|one, other| one.start.unwrap().total_cmp(&other.start.unwrap()));
    let heard = Heard {
        words,
        ..Heard::default()
    };
    Transcript::from_heard(heard, Some(55.0))
}

#[test]
fn speakers_who_talk_at_once_share_cues_and_shift_no_later_ones() {
    let transcript = talk();
    let cues = plain(&transcript, &Profile::STANDARD);
    for number in 0..10_u64 {
        let first = format!("turn{number}_0");
        let cue = cues.iter().find(|cue| said(cue).contains(&first)).unwrap();
        assert_eq!(cue.start, 20_500 + number * 3000, "{cue:?}");
    }
    let crossed: Vec<&Cue> = cues.iter().filter(|cue| cue.parts.len() > 1).collect();
    assert!((4..=6).contains(&crossed.len()), "{crossed:?}");
    for cue in &crossed {
        let lines = cue.lines();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("- ")));
    }
    let named = super::cues(&transcript, &Profile::STANDARD, Naming::InText).unwrap();
    let crossed = named.iter().find(|cue| cue.parts.len() > 1).unwrap();
    assert!(crossed.lines()[1].starts_with("- b: right0"), "{crossed:?}");
    for pair in named.windows(2) {
        assert!(pair[1].start - pair[0].start >= 1500, "{pair:?}");
    }
}

/// A text of which only the length of the recording is known.
fn bare(text: &str, seconds: f64) -> Transcript {
    let heard = Heard {
        text: text.to_owned(),
        ..Heard::default()
    };
    Transcript::from_heard(heard, Some(seconds))
}

#[test]
fn sentences_with_more_time_than_they_take_stay_whole() {
    let transcript = bare("Hi, it's me. Call me back.", 44.0);
    for profile in [Profile::STANDARD, Profile::PODCAST] {
        let cues = plain(&transcript, &profile);
        assert_eq!(shown(&cues), ["Hi, it's me.", "Call me back."]);
        assert!(cues.iter().all(|cue| cue.end - cue.start <= 7000));
        assert_eq!((cues[0].start, cues[0].end), (0, 7000));
        assert!((20_000..22_000).contains(&cues[1].start), "{cues:?}");
    }
    let long = "so we went down to the river and then the boat came around the bend with all the people \
                on it and nobody knew what to do";
    let cues = plain(&bare(long, 120.0), &Profile::STANDARD);
    assert_eq!(cues.len(), 2, "{cues:?}");
}

#[test]
fn a_name_takes_time_to_read() {
    // 19 columns a second without the names.
    let said = |speaker, start: f64, count: u32| {
        let words = (0..count).map(move |number| {
            let at = start + f64::from(number) * 0.42;
            let stop = if number + 1 == count { "." } else { "" };
            word(&format!("sentenc{stop}"), at, at + 0.4, Some(speaker))
        });
        words.collect::<Vec<_>>()
    };
    let mut words = said("Ferdinand", 0.0, 9);
    words.extend(said("Ferdinand", 3.8, 9));
    words.extend(said("Maximilian", 8.5, 9));
    let heard = Heard {
        words,
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    let named = cues(&transcript, &Profile::STANDARD, Naming::InText).unwrap();
    for cue in &named {
        let columns = u64::try_from(self::said(cue).width()).unwrap();
        assert!(columns * 50 <= cue.end - cue.start, "{cue:?}");
    }
}

#[test]
fn no_cue_ends_with_a_little_word_of_the_language() {
    let ends = |text: &str, language: &str| {
        let mut transcript = spoken(text, 2.8);
        transcript.language = Some(language.to_owned());
        let cues = plain(&transcript, &Profile::STANDARD);
        assert!(cues.len() > 3);
        let last = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
        cues.iter().map(|cue| last(&said(cue))).collect::<Vec<_>>()
    };
    let english = "we walked slowly together towards market square because somebody mentioned there \
                   were musicians playing under bridges with instruments from countries between rivers \
                   where people listened without knowing which melodies would come after those songs";
    let little = [
        "towards", "because", "were", "under", "with", "from", "between", "where", "without",
        "which", "would", "after", "those",
    ];
    let found = ends(english, "en");
    assert!(
        found.iter().all(|last| !little.contains(&last.as_str())),
        "{found:?}"
    );
}

#[test]
fn a_japanese_cue_begins_with_no_particle() {
    let text = "今日は古い録音についてお話しますアーカイブには何千もの録音がありますが何年も誰も聞いていません\
                コンピューターで文字に起こすのが一番だと思います";
    let segment = HeardSegment {
        text: text.to_owned(),
        start: Some(0.0),
        end: Some(14.0),
        speaker: None,
    };
    let heard = Heard {
        segments: vec![segment],
        ..Heard::default()
    };
    let cues = plain(&Transcript::from_heard(heard, None), &Profile::STANDARD);
    let lines = cues.iter().flat_map(Cue::lines);
    let begins: Vec<char> = lines.filter_map(|line| line.chars().next()).collect();
    assert!(begins.len() > 2);
    let torn = begins
        .iter()
        .filter(|one| matches!(one, '\u{3041}'..='\u{309f}'));
    assert_eq!(torn.count(), 0, "{cues:?}");
}

#[test]
fn an_hour_of_speech_is_cut_in_one_go() {
    let sentence = "So what we did next, after all of that, was to look at the thing again. ";
    let transcript = spoken(&sentence.repeat(600), 2.8);
    let cues = plain(&transcript, &Profile::STANDARD);
    let ended = cues
        .iter()
        .filter(|cue| said(cue).ends_with([',', '.']))
        .count();
    assert!(ended * 10 >= cues.len() * 9, "{ended} of {}", cues.len());
}

fn any_word() -> impl Strategy<Value = (String, f64, f64, usize)> {
    let text = prop_oneof![
        8 => "[a-z]{1,9}[.,!?]?",
        1 => "[a-z]{40,60}",
        1 => "[\u{4e00}-\u{4e20}]{1,9}。?",
        1 => "[\u{5d0}-\u{5ea}]{1,8}",
    ];
    let pause = prop_oneof![6 => 0.0..0.2_f64, 1 => 0.0..3.0_f64, 1 => -1.0..0.0_f64];
    let length = prop_oneof![6 => 0.05..0.6_f64, 1 => Just(0.0), 1 => 0.0..9.0_f64];
    (text, pause, length, 0..8_usize)
}

prop_compose! {
    /// Two or three who each talk as they like, whatever the others do.
    fn any_talk()(
        speakers in prop::collection::vec((0.0..6.0_f64, prop::collection::vec(any_word(), 0..40)), 1..4),
        measured in any::<bool>(),
    ) -> Transcript {
        let mut words = Vec::new();
        let mut end = 0.0_f64;
        for ((start, said), label) in speakers.into_iter().zip(["a", "b", "c"]) {
            let mut at = start;
            for (text, pause, length, _) in said {
                at = (at + pause).max(0.0);
                words.push(word(&text, at, at + length, Some(label)));
                at += length;
                end = end.max(at);
            }
        }
        words.sort_by(|one, other| one.start.unwrap().total_cmp(&other.start.unwrap()));
        Transcript::from_heard(Heard { words, ..Heard::default() }, measured.then_some(end))
    }
}

/// Later than any recording, in milliseconds.
const LONG: u64 = 1_000_000_000;

/// For every letter that a speaker says, when it is said at the latest, in milliseconds.
fn starts_by_letter(transcript: &Transcript, speaker: SpeakerId) -> Vec<u64> {
    let own = transcript
        .segments
        .iter()
        .filter(|segment| segment.speaker == Some(speaker));
    let words = own.flat_map(|segment| &segment.words);
    let starts = words.flat_map(|word| {
        let span = word.span.unwrap();
        // What is wider than a line may be cut, and its time with it: nothing is said of it.
        let is_wide = !word.spaced || word.text.width() > Profile::PODCAST.columns;
        let start = if is_wide {
            LONG
        } else {
            span.start_milliseconds()
        };
        letters(&word.text)
            .chars()
            .map(|_| start)
            .collect::<Vec<_>>()
    });
    starts.collect()
}

fn joined_by_speaker(
    parts: impl Iterator<Item = (Option<SpeakerId>, String)>,
) -> Vec<(Option<SpeakerId>, String)> {
    let mut joined: Vec<(Option<SpeakerId>, String)> = Vec::new();
    for (speaker, text) in parts {
        match joined.last_mut() {
            Some((last, all)) if *last == speaker => all.push_str(&text),
            Some(_) | None => joined.push((speaker, text)),
        }
    }
    joined
}

fn letters(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_word_is_shown_once_and_in_the_order_of_its_speaker(transcript in any_talk()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            for speaker in transcript.speakers.iter().map(|speaker| Some(speaker.id)) {
                let parts = cues.iter().flat_map(|cue| &cue.parts).filter(|part| part.speaker == speaker);
                let own = transcript.segments.iter().filter(|segment| segment.speaker == speaker);
                let said: String = own.map(|segment| letters(&segment.text)).collect();
                prop_assert_eq!(parts.map(|part| letters(&part.text)).collect::<String>(), said);
            }
            for part in cues.iter().flat_map(|cue| &cue.parts) {
                let shown: String = part.lines.iter().map(|line| letters(line)).collect();
                prop_assert_eq!(shown.trim_start_matches('-'), letters(&part.text));
            }
        }
    }

    #[test]
    fn cues_stand_long_enough_and_apart(transcript in any_talk()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            for cue in &cues {
                let stands = cue.end - cue.start;
                prop_assert!((profile.shortest..=profile.longest).contains(&stands), "{:?}", cue);
            }
            for pair in cues.windows(2) {
                prop_assert!(pair[0].end + profile.gap <= pair[1].start, "{:?}", pair);
            }
        }
    }

    #[test]
    fn no_cue_comes_much_later_than_its_words_or_after_the_end(transcript in any_talk()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            let cues = plain(&transcript, &profile);
            let end = transcript.duration.map_or(u64::MAX, |seconds| Span::new(0.0, seconds).end_milliseconds());
            for speaker in &transcript.speakers {
                let mut starts = starts_by_letter(&transcript, speaker.id).into_iter();
                for cue in &cues {
                    for part in cue.parts.iter().filter(|part| part.speaker == Some(speaker.id)) {
                        for start in starts.by_ref().take(letters(&part.text).chars().count()) {
                            prop_assert!(cue.start <= start + 1000, "{:?} {}", cue, start);
                            prop_assert!(cue.start <= start.max(end), "{:?} {}", cue, start);
                        }
                    }
                }
                prop_assert!(starts.next().is_none());
            }
        }
    }

    #[test]
    fn cues_can_be_read_unless_speech_itself_is_faster(transcript in any_talk()) {
        let forms = [(Profile::STANDARD, Naming::Apart), (Profile::PODCAST, Naming::Apart),
            (Profile::STANDARD, Naming::InText), (Profile::PODCAST, Naming::InText)];
        for (profile, naming) in forms {
            let cues = cues(&transcript, &profile, naming).unwrap();
            for (position, cue) in cues.iter().enumerate() {
                let columns = u64::try_from(said(cue).width()).unwrap();
                let readable = columns * 1000 <= (cue.end - cue.start) * profile.columns_per_second;
                let full = cues.get(position + 1).is_some_and(|next| cue.end + profile.gap == next.start);
                prop_assert!(readable || full || cue.end - cue.start == profile.longest, "{:?}", cue);
            }
        }
    }

    #[test]
    fn unhurried_speech_is_within_every_limit(
        // At most 18 columns a second, with their spaces, of the 20 that can be read between the gaps.
        (words, rate) in prop_oneof![
            (prop::collection::vec("[a-z]{1,9}[.,]?", 1..60), 1.0..1.5_f64),
            (prop::collection::vec("[a-z]{1,7}[.,]?", 1..60), 1.5..2.0_f64),
        ],
    ) {
        let transcript = spoken(&words.join(" "), rate);
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            for cue in plain(&transcript, &profile) {
                let columns = u64::try_from(said(&cue).width()).unwrap();
                let stands = cue.end - cue.start;
                prop_assert!(columns * 1000 <= stands * profile.columns_per_second, "{:?}", cue);
                prop_assert!(cue.lines().len() <= 2 && cue.lines().iter().all(|line| line.width() <= profile.columns), "{:?}", cue);
            }
        }
    }

    #[test]
    fn unhurried_speech_with_names_is_within_every_limit(
        turns in prop::collection::vec(prop::collection::vec("[a-z]{1,7}[.,]?", 5..30), 1..12),
        rate in 1.5..2.0_f64,
        name in "[A-Z][a-z]{2,9}",
    ) {
        let mut words = Vec::new();
        let mut at = 0.0;
        for (turn, label) in turns.iter().zip(["a", "b"].into_iter().cycle()) {
            for text in turn {
                words.push(word(text, at, at + 0.9 / rate, Some(label)));
                at += 1.0 / rate;
            }
            at += 0.7;
        }
        let mut transcript = Transcript::from_heard(Heard { words, ..Heard::default() }, None);
        for (number, speaker) in transcript.speakers.iter_mut().enumerate() {
            speaker.name = Some(format!("{name}{number}"));
        }
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            for cue in cues(&transcript, &profile, Naming::InText).unwrap() {
                let columns = u64::try_from(said(&cue).width()).unwrap();
                let stands = cue.end - cue.start;
                prop_assert!(columns * 1000 <= stands * profile.columns_per_second, "{:?}", cue);
                prop_assert!((profile.shortest..=profile.longest).contains(&stands), "{:?}", cue);
            }
        }
    }

    #[test]
    fn lines_fit_unless_one_word_does_not(transcript in any_talk()) {
        for profile in [Profile::STANDARD, Profile::PODCAST] {
            for cue in cues(&transcript, &profile, Naming::InText).unwrap() {
                for line in cue.lines() {
                    let bare = line.trim_start_matches("- ");
                    let named = bare.trim_start_matches(['a', 'b', 'c']).trim_start_matches(": ");
                    let alone = !bare.contains(' ') || !named.contains(' ');
                    prop_assert!(line.width() <= profile.columns || alone, "{:?}", cue);
                }
            }
        }
    }

    #[test]
    fn speakers_who_do_not_talk_at_once_share_no_cue(
        words in prop::collection::vec(("[a-z]{3,9}[.,]?", 0..4_usize), 1..60),
        rate in 0.8..1.0_f64,
    ) {
        let words = words.iter().zip(0_u32..).map(|((text, speaker), position)| {
            let start = f64::from(position) / rate;
            word(text, start, start + 0.8 / rate, Some(["a", "a", "a", "b"][*speaker]))
        });
        let heard = Heard { words: words.collect(), ..Heard::default() };
        let transcript = Transcript::from_heard(heard, None);
        let cues = plain(&transcript, &Profile::STANDARD);
        prop_assert!(cues.iter().all(|cue| cue.parts.len() == 1 && cue.lines().len() <= 2));
        let shown = cues.iter().map(|cue| (cue.parts[0].speaker, letters(&said(cue))));
        let turns: Vec<_> = transcript.turns().map(|turn| (turn.speaker, letters(&turn.text()))).collect();
        prop_assert_eq!(joined_by_speaker(shown), turns);
    }
}
