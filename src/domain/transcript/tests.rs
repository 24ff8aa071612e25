//! The rules of [`Transcript::from_heard`] over whole replies.

use proptest::prelude::*;

use super::*;

fn word(text: &str, start: f64, end: f64) -> HeardWord {
    HeardWord {
        text: text.to_owned(),
        start: Some(start),
        end: Some(end),
        ..HeardWord::default()
    }
}

fn by(speaker: &str, word: HeardWord) -> HeardWord {
    HeardWord {
        speaker: Some(speaker.to_owned()),
        ..word
    }
}

fn kind(kind: WordKind, word: HeardWord) -> HeardWord {
    HeardWord { kind, ..word }
}

fn turn(speaker: &str, text: &str, start: f64, end: f64) -> HeardTurn {
    HeardTurn {
        speaker: speaker.to_owned(),
        text: text.to_owned(),
        start: Some(start),
        end: Some(end),
    }
}

fn segment(text: &str, start: f64, end: f64) -> HeardSegment {
    HeardSegment {
        text: text.to_owned(),
        start: Some(start),
        end: Some(end),
        speaker: None,
    }
}

fn texts(transcript: &Transcript) -> Vec<&str> {
    transcript
        .segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect()
}

fn codes(transcript: &Transcript) -> Vec<WarningCode> {
    transcript
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect()
}

#[test]
fn nought_with_a_minus_sign_is_nought() {
    let heard = Heard {
        duration: Some(-0.0),
        segments: vec![segment("a", -0.0, -0.0)],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert!(transcript.duration.unwrap().is_sign_positive());
    let span = transcript.segments[0].span.unwrap();
    assert!(span.start().is_sign_positive() && span.end().is_sign_positive());
}

#[test]
fn silence_is_a_result() {
    let transcript = Transcript::from_heard(Heard::default(), Some(3.0));
    assert!(transcript.is_empty() && transcript.warnings.is_empty());
    assert_eq!(transcript.timing, Timing::None);
}

#[test]
fn a_reply_without_text_or_with_an_error_is_flagged() {
    let heard = Heard {
        no_text: Some("the reply has no `transcription`".to_owned()),
        error: Some("half of it\nwas lost".to_owned()),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, Some(3.0));
    assert_eq!(
        codes(&transcript),
        [WarningCode::NoText, WarningCode::ServiceError]
    );
    let message = "the service names an error beside its result: half of it was lost";
    assert_eq!(transcript.warnings[1].message, message);
}

#[test]
fn a_language_has_one_spelling_whatever_the_service_s() {
    for (spelled, code) in [
        ("eng", "en"),
        ("English", "en"),
        ("en", "en"),
        ("yue", "yue"),
        ("Klingon", "Klingon"),
    ] {
        let heard = Heard {
            language: Some(spelled.to_owned()),
            ..Heard::default()
        };
        let transcript = Transcript::from_heard(heard, None);
        assert_eq!(transcript.language.as_deref(), Some(code));
    }
}

#[test]
fn a_bare_text_is_one_block_somewhere_in_the_recording() {
    let heard = Heard {
        text: " Hello there.\nBye. ".to_owned(),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard.clone(), Some(4.0));
    assert_eq!(transcript.text, "Hello there.\nBye.");
    assert_eq!(texts(&transcript), ["Hello there. Bye."]);
    assert_eq!(transcript.segments[0].span, Some(Span::new(0.0, 4.0)));
    assert_eq!(transcript.timing, Timing::None);
    assert_eq!(Transcript::from_heard(heard, None).segments[0].span, None);
}

#[test]
fn the_measured_length_goes_before_the_service_s() {
    let heard = Heard {
        duration: Some(9.0),
        ..Heard::default()
    };
    assert_eq!(
        Transcript::from_heard(heard.clone(), Some(8.5)).duration,
        Some(8.5)
    );
    assert_eq!(Transcript::from_heard(heard, None).duration, Some(9.0));
}

#[test]
fn words_make_segments_by_speaker_and_sentence() {
    let heard = Heard {
        text: "Hello everyone. Welcome! Thanks.".to_owned(),
        words: vec![
            by("speaker_0", word("Hello", 0.5, 0.9)),
            kind(WordKind::Spacing, by("speaker_0", word(" ", 0.9, 1.0))),
            by("speaker_0", word("everyone.", 1.0, 1.5)),
            by("speaker_0", word("Welcome!", 1.6, 2.0)),
            by("speaker_1", word("Thanks.", 2.1, 2.5)),
        ],
        turns: vec![
            turn("Speaker 1", "Hello everyone. Welcome!", 0.5, 2.0),
            turn("Speaker 2", "Thanks.", 2.1, 2.5),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, Some(3.0));
    assert_eq!(
        texts(&transcript),
        ["Hello everyone.", "Welcome!", "Thanks."]
    );
    assert_eq!(transcript.timing, Timing::Words);
    let labels: Vec<_> = transcript
        .speakers
        .iter()
        .map(|speaker| (speaker.label.as_str(), speaker.turns))
        .collect();
    assert_eq!(labels, [("Speaker 1", 1), ("Speaker 2", 1)]);
    assert_eq!(transcript.segments[2].speaker, Some(SpeakerId(1)));
    assert_eq!(transcript.segments[0].span, Some(Span::new(0.5, 1.5)));
    assert!(transcript.warnings.is_empty(), "{:?}", transcript.warnings);
}

#[test]
fn words_without_speakers_take_them_from_the_turns() {
    let heard = Heard {
        words: vec![
            word("Yes", 0.0, 0.4),
            word("no", 0.5, 0.5),
            word("maybe", 2.0, 2.4),
        ],
        turns: vec![turn("A", "", 0.0, 1.0), turn("B", "", 1.5, 3.0)],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(transcript.text, "Yes no maybe");
    assert_eq!(texts(&transcript), ["Yes no", "maybe"]);
    assert_eq!(transcript.speakers[1].label, "B");
}

/// Words of two speakers, `timed` of which have times, beside turns that have all.
fn half_timed(label: Option<[&str; 2]>, timed: impl Fn(usize) -> bool) -> Transcript {
    let said = [
        "Hello", "there", "my", "friend.", "How", "are", "you", "today?",
    ];
    let words = said.into_iter().zip(0_u32..).map(|(text, number)| {
        let at = 0.5 + f64::from(number) * 0.35;
        let position = usize::try_from(number).unwrap();
        let speaker = label.map(|labels| labels[position / 4].to_owned());
        HeardWord {
            text: text.to_owned(),
            start: timed(position).then_some(at),
            end: timed(position).then_some(at + 0.3),
            speaker,
            ..HeardWord::default()
        }
    });
    let heard = Heard {
        text: said.join(" "),
        words: words.collect(),
        turns: vec![
            turn("Speaker 1", "Hello there my friend.", 0.4, 1.9),
            turn("Speaker 2", "How are you today?", 1.9, 3.4),
        ],
        ..Heard::default()
    };
    Transcript::from_heard(heard, Some(40.0))
}

#[test]
fn turns_give_what_most_words_lack_whether_the_words_have_labels_or_not() {
    for label in [None, Some(["speaker_0", "speaker_1"]), Some(["x", "x"])] {
        for timed in [
            |_| false,
            |position| position % 3 == 0,
            |position| position < 3,
        ] {
            let transcript = half_timed(label, timed);
            assert_eq!(
                texts(&transcript),
                ["Hello there my friend.", "How are you today?"]
            );
            assert_eq!(transcript.timing, Timing::Segments);
            assert_eq!(transcript.segments[1].span, Some(Span::new(1.9, 3.4)));
            let labels: Vec<_> = transcript.speakers.iter().map(|one| &one.label).collect();
            assert_eq!(labels, ["Speaker 1", "Speaker 2"]);
            let is_any_unused = (0..8).any(timed);
            let told = is_any_unused.then_some(WarningCode::TimesDropped);
            assert_eq!(codes(&transcript), told.into_iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_few_words_without_times_get_them_from_the_turn_that_they_stand_in() {
    let transcript = half_timed(Some(["speaker_0", "speaker_1"]), |position| position < 5);
    assert_eq!(transcript.timing, Timing::Words);
    assert_eq!(transcript.speakers.len(), 2);
    let last = &transcript.segments[1];
    assert_eq!(last.span, Some(Span::new(1.9, 3.4)));
    assert_eq!(last.speaker, Some(SpeakerId(1)));
    assert_eq!(codes(&transcript), [WarningCode::TimesFilled]);
}

#[test]
fn turns_without_words_tell_who_spoke_when() {
    let heard = Heard {
        text: "One two three. Four five.".to_owned(),
        turns: vec![
            turn("A", "", 0.5, 1.9),
            turn("B", "", 1.9, 3.4),
            turn("A", "", 5.0, 6.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, Some(8.0));
    assert_eq!(transcript.segments[0].speaker, None);
    let told = transcript.speakers.iter();
    let told: Vec<_> = told
        .map(|one| (one.label.as_str(), one.seconds, one.turns))
        .collect();
    assert_eq!(told, [("A", 2.4, 2), ("B", 1.5, 1)]);
    assert_eq!(transcript.presences.len(), 3);
    assert_eq!(codes(&transcript), [WarningCode::SpeakersUnmatched]);
    assert!(!transcript.tells_speakers());
}

#[test]
fn the_spaces_of_the_reply_stay_between_scripts() {
    let said = ["them.", "你好吗？", "They", "said."];
    let words = said.into_iter().zip(0_u32..).flat_map(|(text, number)| {
        let at = f64::from(number);
        let space = kind(WordKind::Spacing, word(" ", at, at));
        [space, word(text, at, at + 0.9)]
    });
    let heard = Heard {
        words: words.collect(),
        ..Heard::default()
    };
    let text = "them. 你好吗？ They said.";
    for heard in [
        heard.clone(),
        Heard {
            text: text.to_owned(),
            ..heard
        },
    ] {
        let transcript = Transcript::from_heard(heard, None);
        assert_eq!(transcript.text, text);
        assert_eq!(transcript.segments.len(), 3);
        let turns: Vec<String> = transcript.turns().map(|turn| turn.text()).collect();
        assert_eq!(turns, [text]);
    }
}

#[test]
fn segments_of_words_without_punctuation_are_spelled_as_the_text() {
    let heard = Heard {
        text: "Hello there, Ada. How are you?".to_owned(),
        segments: vec![
            segment("hello there ada", 0.0, 1.0),
            segment("how are you", 1.0, 2.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Hello there, Ada.", "How are you?"]);
}

#[test]
fn turns_alone_are_segments() {
    let heard = Heard {
        text: "Hello. Hi.".to_owned(),
        turns: vec![
            turn("Speaker 1", "Hello.", 0.0, 1.0),
            turn("Speaker 2", "Hi.", 1.0, 2.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Hello.", "Hi."]);
    assert_eq!(transcript.timing, Timing::Segments);
    assert_eq!(transcript.speakers.len(), 2);
}

#[test]
fn segments_with_words_keep_their_borders_and_punctuation() {
    let heard = Heard {
        text: "Well, yes. And no?".to_owned(),
        segments: vec![
            segment(" Well, yes.", 0.0, 1.0),
            segment(" And no?", 1.0, 2.0),
        ],
        words: vec![
            word("Well", 0.0, 0.4),
            word("yes", 0.5, 0.9),
            word("And", 1.0, 1.3),
            word("no", 1.4, 1.9),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Well, yes.", "And no?"]);
    let words: Vec<_> = transcript.segments[0]
        .words
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    assert_eq!(words, ["Well,", "yes."]);
    assert_eq!(transcript.timing, Timing::Words);
}

#[test]
fn pieces_say_that_their_times_are_those_of_the_cuts() {
    let heard = Heard {
        segments: vec![segment("One.", 0.0, 600.0), segment("Two.", 600.0, 700.0)],
        pieces: true,
        ..Heard::default()
    };
    assert_eq!(
        Transcript::from_heard(heard, Some(700.0)).timing,
        Timing::Pieces
    );
}

#[test]
fn sounds_stand_in_the_text_and_apart() {
    let heard = Heard {
        text: "Thanks (audience laughing) bye".to_owned(),
        words: vec![
            word("Thanks", 0.0, 0.5),
            kind(WordKind::AudioEvent, word("(audience laughing)", 0.6, 2.0)),
            word("bye", 2.1, 2.4),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Thanks (audience laughing) bye"]);
    assert_eq!(
        transcript.events,
        [AudioEvent {
            text: "(audience laughing)".to_owned(),
            span: Some(Span::new(0.6, 2.0))
        }]
    );
    assert!(transcript.segments[0].words[1].event);
}

#[test]
fn a_list_of_sounds_alone_does_not_take_the_text_s_place() {
    let sound = kind(WordKind::AudioEvent, word("(music)", 1.0, 2.0));
    let heard = |text: &str| Heard {
        text: text.to_owned(),
        words: vec![sound.clone()],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard("Hello there."), None);
    assert_eq!(
        (texts(&transcript), transcript.events.len()),
        (vec!["Hello there."], 1)
    );
    assert!(transcript.warnings.is_empty());
    let transcript = Transcript::from_heard(heard("(music)"), None);
    assert_eq!(transcript.segments[0].span, Some(Span::new(1.0, 2.0)));
}

#[test]
fn words_listed_out_of_order_follow_the_text_or_else_the_clock() {
    let shuffled = vec![
        word("two", 1.0, 1.5),
        word("one", 0.0, 0.5),
        word("three", 2.0, 2.5),
    ];
    let with_text = Heard {
        text: "One two three".to_owned(),
        words: shuffled.clone(),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(with_text, None);
    assert_eq!(texts(&transcript), ["One two three"]);
    assert!(transcript.warnings.is_empty());
    let without = Heard {
        words: shuffled,
        ..Heard::default()
    };
    assert_eq!(Transcript::from_heard(without, None).text, "one two three");
}

#[test]
fn words_that_are_not_the_text_are_flagged_and_the_text_stays() {
    let heard = Heard {
        text: "Something else altogether.".to_owned(),
        words: vec![word("quite", 0.0, 0.5), word("different", 0.5, 1.0)],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(transcript.text, "Something else altogether.");
    assert_eq!(codes(&transcript), [WarningCode::WordsDiffer]);
    assert!(!transcript.segments_hold_text());
}

#[test]
fn words_without_times_leave_the_times_to_others() {
    let bare = |text: &str| HeardWord {
        text: text.to_owned(),
        ..HeardWord::default()
    };
    let heard = Heard {
        segments: vec![segment("One two", 0.0, 1.0)],
        words: vec![bare("One"), bare("two")],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(
        (transcript.timing, texts(&transcript)),
        (Timing::Segments, vec!["One two"])
    );
    let untimed = Heard {
        words: vec![by("A", bare("Hi")), by("B", bare("you"))],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(untimed, Some(2.0));
    assert_eq!(
        (transcript.timing, texts(&transcript)),
        (Timing::None, vec!["Hi", "you"])
    );
    assert_eq!(transcript.speakers.len(), 2);
}

#[test]
fn overlapping_speakers_keep_their_own_times_and_their_words_together() {
    let heard = Heard {
        words: vec![
            by("A", word("Let", 0.0, 0.5)),
            by("A", word("me", 0.5, 2.0)),
            by("B", word("No", 0.8, 1.2)),
            by("A", word("finish.", 2.0, 2.6)),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Let me finish.", "No"]);
    assert_eq!(transcript.segments[1].span, Some(Span::new(0.8, 1.2)));
    assert_eq!(transcript.speakers[0].turns, 1);
    assert!(transcript.warnings.is_empty());
}

/// Two who speak at once, word by word as services list them.
fn cross_talk() -> Vec<HeardWord> {
    vec![
        by("speaker_0", word("I", 0.0, 0.4)),
        by("speaker_0", word("was", 0.4, 0.8)),
        by("speaker_1", word("no", 0.5, 0.9)),
        by("speaker_0", word("saying", 0.8, 1.2)),
        by("speaker_1", word("wait", 0.9, 1.5)),
        by("speaker_0", word("things.", 1.2, 1.6)),
    ]
}

#[test]
fn a_text_that_mixes_speakers_who_talk_at_once_is_put_in_order() {
    let turns = vec![
        turn("Speaker 1", "I was saying things.", 0.0, 1.6),
        turn("Speaker 2", "no wait", 0.5, 1.5),
    ];
    for words in [cross_talk(), Vec::new()] {
        let heard = Heard {
            text: "I was no saying wait things.".to_owned(),
            words,
            turns: turns.clone(),
            ..Heard::default()
        };
        let transcript = Transcript::from_heard(heard, None);
        assert_eq!(texts(&transcript), ["I was saying things.", "no wait"]);
        assert_eq!(transcript.text, "I was saying things. no wait");
        assert!(transcript.segments_hold_text() && transcript.warnings.is_empty());
    }
}

#[test]
fn speakers_who_only_follow_each_other_quickly_are_not_put_together() {
    let heard = Heard {
        words: vec![
            by("A", word("Yes", 0.0, 0.4)),
            by("B", word("no", 0.4, 0.6)),
            by("A", word("yes", 0.6, 0.9)),
            by("B", word("no", 0.9, 1.2)),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["Yes", "no", "yes", "no"]);
}

#[test]
fn right_to_left_text_keeps_its_order() {
    let heard = Heard {
        text: "שלום לכולם".to_owned(),
        words: vec![word("שלום", 0.0, 0.5), word("לכולם", 0.6, 1.0)],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(texts(&transcript), ["שלום לכולם"]);
    assert_eq!(transcript.segments[0].words[0].text, "שלום");
}

#[test]
fn turns_join_neighbouring_segments_of_a_speaker() {
    let heard = Heard {
        turns: vec![
            turn("A", "One.", 0.0, 1.0),
            turn("A", "Two.", 1.0, 2.0),
            turn("B", "3", 2.0, 3.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    let turns: Vec<_> = transcript
        .turns()
        .map(|turn| (turn.text(), turn.span()))
        .collect();
    assert_eq!(
        turns[0],
        ("One. Two.".to_owned(), Some(Span::new(0.0, 2.0)))
    );
    assert_eq!(turns.len(), 2);
}

#[test]
fn speaker_numbers_are_written_and_read_alike() {
    assert_eq!(SpeakerId(7).to_string(), "SPEAKER_07");
    assert_eq!("SPEAKER_07".parse(), Ok(SpeakerId(7)));
    assert!("Speaker 7".parse::<SpeakerId>().is_err());
}

#[test]
fn milliseconds_that_were_taken_for_seconds_become_seconds() {
    let heard = Heard {
        text: "Hello there. Bye now.".to_owned(),
        words: vec![
            by("speaker_0", word("Hello", 2500.0, 2900.0)),
            by("speaker_0", word("there.", 3000.0, 3400.0)),
            by("speaker_1", word("Bye", 8000.0, 8300.0)),
            by("speaker_1", word("now.", 9000.0, 10_500.0)),
        ],
        turns: vec![
            turn("Speaker 1", "Hello there.", 2.5, 3.4),
            turn("Speaker 2", "Bye now.", 8.0, 10.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, Some(10.0));
    assert_eq!(transcript.segments[0].span, Some(Span::new(2.5, 3.4)));
    assert_eq!(transcript.timing, Timing::Words);
    assert_eq!(transcript.speakers[1].label, "Speaker 2");
    assert_eq!(codes(&transcript), [WarningCode::TimesInMilliseconds]);
}

#[test]
fn times_that_fit_a_recording_in_no_way_are_none_and_the_text_stays() {
    let wild = |factor: f64| {
        let said = "one two three four five six".split(' ').zip(1_u32..);
        let words = said.map(|(text, number)| {
            word(
                text,
                f64::from(number) * factor,
                f64::from(number) * factor + 1.0,
            )
        });
        Heard {
            text: "one two three four five six".to_owned(),
            words: words.collect(),
            ..Heard::default()
        }
    };
    for factor in [40.0, 50_000.0] {
        let transcript = Transcript::from_heard(wild(factor), Some(10.0));
        assert_eq!(texts(&transcript), ["one two three four five six"]);
        assert_eq!(transcript.timing, Timing::None);
        assert_eq!(codes(&transcript), [WarningCode::TimesDropped], "{factor}");
    }
    let mut heard = wild(40.0);
    heard.segments = vec![segment("one two three four five six", 0.5, 4.0)];
    let transcript = Transcript::from_heard(heard, Some(10.0));
    assert_eq!(transcript.timing, Timing::Segments);
    assert_eq!(transcript.segments[0].span, Some(Span::new(0.5, 4.0)));
    assert_eq!(codes(&transcript), [WarningCode::TimesDropped]);
}

#[test]
fn every_time_that_is_dropped_or_mended_is_told_once_a_kind() {
    let bare = |text: &str| HeardWord {
        text: text.to_owned(),
        ..HeardWord::default()
    };
    let heard = Heard {
        words: vec![
            word("a", -0.5, 0.4),
            word("b", -0.1, 0.5),
            word("c", 1.0, 0.6),
            word("d", 1.2, 2.4),
            word("e", 1.5, 1.9),
            word("f", 0.2, 0.3),
            word("g", f64::NAN, f64::NAN),
            bare("h"),
            word("i", 3.0, 3.4),
            word("j", 3.5, 19.0),
        ],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, Some(10.0));
    let told: Vec<&str> = transcript
        .warnings
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "times that are no numbers and are not used: 1 of 10",
            "negative times, which count as 0: 2 of 10",
            "times that end before they begin, now without a length: 1 of 10",
            "times out of order, which have been moved: 1 of 10",
            "times that reached into the next, now cut short: 2 of 10",
            "times behind the end of the recording, which have been moved back: 1 of 10",
            "absent times, which have been estimated: 2 of 10",
        ]
    );
    let few = Heard {
        words: vec![word("a", 0.0, 0.4), bare("b"), bare("c")],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(few, Some(10.0));
    assert_eq!(transcript.timing, Timing::None);
    let message = "only 1 of 3 times can be used, so none is";
    assert_eq!(transcript.warnings[0].message, message);
}

#[test]
fn words_that_were_not_heard_stay_with_the_speaker_of_their_segment() {
    let segment_of = |speaker: &str, text: &str, start, end| HeardSegment {
        speaker: Some(speaker.to_owned()),
        ..segment(text, start, end)
    };
    let words = vec![
        word("Hello", 0.0, 0.4),
        word("Fine", 2.0, 2.4),
        word("thanks.", 2.5, 2.9),
    ];
    let heard = Heard {
        segments: vec![
            segment_of("A", "Hello how are you?", 0.0, 1.5),
            segment_of("B", "Fine thanks.", 2.0, 3.0),
            segment_of("A", "Good.", 3.0, 3.5),
        ],
        words: words.clone(),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    assert_eq!(
        texts(&transcript),
        ["Hello how are you?", "Fine thanks.", "Good."]
    );
    let speakers: Vec<_> = transcript.segments.iter().map(|one| one.speaker).collect();
    assert_eq!(
        speakers,
        [Some(SpeakerId(0)), Some(SpeakerId(1)), Some(SpeakerId(0))]
    );

    let words = [("A", 0), ("B", 1), ("B", 2)].map(|(speaker, at)| by(speaker, words[at].clone()));
    let heard = Heard {
        text: "Hello how are you? Oh. Fine thanks. Good, very good.".to_owned(),
        words: words.into_iter().collect(),
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    let turns: Vec<(String, Option<SpeakerId>)> = transcript
        .turns()
        .map(|turn| (turn.text(), turn.speaker))
        .collect();
    assert_eq!(
        turns,
        [
            ("Hello how are you?".to_owned(), Some(SpeakerId(0))),
            (
                "Oh. Fine thanks. Good, very good.".to_owned(),
                Some(SpeakerId(1))
            ),
        ]
    );
}

#[test]
fn one_label_without_a_match_is_one_label() {
    let heard = Heard {
        words: vec![
            by("speaker_0", word("Hello", 0.0, 2.0)),
            by("speaker_1", word("there", 7.0, 8.0)),
        ],
        turns: vec![turn("Speaker 1", "", 0.0, 2.0)],
        ..Heard::default()
    };
    let transcript = Transcript::from_heard(heard, None);
    let message = &transcript.warnings[0].message;
    assert!(message.starts_with("1 speaker label of"), "{message}");
}

#[test]
fn words_of_speakers_who_talk_at_once_may_stand_in_another_order_than_in_the_text() {
    let by_speaker = "I was saying things. no wait";
    let turns = [
        ("speaker_0", "I was saying things.", 0.0, 1.6),
        ("speaker_1", "no wait", 0.5, 1.5),
    ];
    let segments = turns.map(|(speaker, text, start, end)| HeardSegment {
        speaker: Some(speaker.to_owned()),
        ..segment(text, start, end)
    });
    let unlabelled = cross_talk().into_iter().map(|word| HeardWord {
        speaker: None,
        ..word
    });
    for (words, segments) in [
        (cross_talk(), Vec::new()),
        (cross_talk(), segments.to_vec()),
        (unlabelled.collect(), Vec::new()),
    ] {
        let is_labelled = words[0].speaker.is_some();
        let heard = Heard {
            text: by_speaker.to_owned(),
            words,
            segments,
            ..Heard::default()
        };
        let transcript = Transcript::from_heard(heard, None);
        assert!(!codes(&transcript).contains(&WarningCode::WordsDiffer));
        assert!(transcript.segments_hold_text());
        assert_eq!(transcript.timing, Timing::Words);
        if is_labelled {
            assert_eq!(transcript.text, by_speaker);
            assert_eq!(texts(&transcript), ["I was saying things.", "no wait"]);
            assert_eq!(transcript.speakers.len(), 2);
            assert_eq!(codes(&transcript), []);
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C]{1,4}[.,!?]?",
        1 => "[ \t\n]{0,2}",
        1 => "[\u{4e00}-\u{4e05}。]{1,3}",
        1 => "\\PC{0,5}",
        1 => Just("(noise)".to_owned()),
    ]
}

fn any_seconds() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![4 => (0.0..60.0_f64).prop_map(Some), 1 => Just(None), 1 => any::<f64>().prop_map(Some)]
}

fn any_label() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ab]|Speaker [12]|")
}

fn any_word() -> impl Strategy<Value = HeardWord> {
    let kinds = prop_oneof![
        5 => Just(WordKind::Word),
        1 => Just(WordKind::Spacing),
        1 => Just(WordKind::Punctuation),
        1 => Just(WordKind::AudioEvent),
        1 => Just(WordKind::Other("filler".to_owned())),
    ];
    (any_text(), any_seconds(), any_seconds(), kinds, any_label()).prop_map(
        |(text, start, end, kind, speaker)| HeardWord {
            text,
            start,
            end,
            kind,
            speaker,
        },
    )
}

prop_compose! {
    pub(crate) fn any_heard()(
        text in prop_oneof![Just(String::new()), prop::collection::vec(any_text(), 0..20).prop_map(|words| words.join(" "))],
        matching in any::<bool>(),
        words in prop::collection::vec(any_word(), 0..24),
        segments in prop::collection::vec((any_seconds(), any_seconds(), any_text(), any_label()), 0..6),
        turns in prop::collection::vec((any_label(), any_text(), any_seconds(), any_seconds()), 0..6),
        duration in any_seconds(),
        pieces in any::<bool>(),
        silences in prop::collection::vec((any::<f64>(), any::<f64>()), 0..3),
    ) -> Heard {
        let spoken: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        Heard {
            text: if matching { spoken.join(" ") } else { text },
            language: None,
            duration,
            segments: segments
                .into_iter()
                .map(|(start, end, text, speaker)| HeardSegment { start, end, text, speaker })
                .collect(),
            turns: turns
                .into_iter()
                .map(|(speaker, text, start, end)| HeardTurn {
                    speaker: speaker.unwrap_or_default(), text, start, end,
                })
                .collect(),
            words,
            pieces,
            silences,
            ..Heard::default()
        }
    }
}

proptest! {
    #[test]
    fn any_reply_becomes_a_sound_transcript(heard in any_heard(), measured in any_seconds()) {
        let transcript = Transcript::from_heard(heard.clone(), measured);
        prop_assert!(heard.text.trim().is_empty() || !transcript.text.is_empty() || heard.text.trim().chars().all(char::is_control));
        for (position, segment) in transcript.segments.iter().enumerate() {
            prop_assert_eq!(segment.id, position);
            prop_assert!(!segment.text.trim().is_empty());
            prop_assert!(!segment.text.contains("  ") && !segment.text.contains('\n'));
            prop_assert_eq!(segment.speaker.is_some(), segment.speaker.and_then(|id| transcript.speaker_name(id)).is_some());
            for word in &segment.words {
                let (Some(word), Some(all)) = (word.span, segment.span) else { continue };
                prop_assert!(all.start() <= word.start() && word.end() <= all.end());
            }
        }
    }

    #[test]
    fn words_that_fit_the_text_are_all_there_in_order(words in prop::collection::vec("[a-z]{1,6}[.,?]?", 1..30)) {
        let heard = Heard {
            text: words.join(" "),
            words: words.iter().zip(0..).map(|(text, second)| word(text, f64::from(second), f64::from(second) + 0.5)).collect(),
            ..Heard::default()
        };
        let transcript = Transcript::from_heard(heard, None);
        let placed: Vec<&str> = transcript.segments.iter().flat_map(|segment| &segment.words).map(|word| word.text.as_str()).collect();
        prop_assert_eq!(placed, words);
        prop_assert!(transcript.segments_hold_text());
    }
}
