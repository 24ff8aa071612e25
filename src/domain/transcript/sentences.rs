//! Where sentences and clauses end, for breaking text without ever changing a word.
//!
//! By punctuation alone, in any script that has some; a full stop after an abbreviation or before
//! a small letter does not count.

use super::script::is_spaceless;

pub use super::script::append;

/// Abbreviations whose full stop ends no sentence, in lower case without the stop.
const ABBREVIATIONS: [&str; 18] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "approx", "z.b",
    "bzw", "ca", "usw", "sra",
];

/// Words that are abbreviations before a number only: "No. 5" and "He said no."
const BEFORE_NUMBERS: [&str; 5] = ["no", "nos", "nr", "vol", "fig"];

/// Marks that may follow the end of a sentence.
const CLOSING: [char; 14] = [
    '"', '\'', ')', ']', '}', '”', '’', '»', '›', '」', '』', '）', '】', '》',
];

/// Marks that end a clause or a sentence, whatever stands before them.
const CLAUSE_ENDS: [char; 17] = [
    ',', ';', ':', '–', '—', '!', '?', '…', '，', '、', '；', '：', '،', '؛', '。', '！', '？',
];

/// Whether a sentence ends with `word`, when `next` follows it.
#[must_use]
pub fn ends_sentence(word: &str, next: Option<&str>) -> bool {
    let bare = word.trim_end_matches(CLOSING);
    match bare.chars().next_back() {
        Some('!' | '?' | '…' | '。' | '！' | '？' | '؟' | '۔' | '।' | '॥' | '។' | '።' | '｡') => {
            true
        }
        Some('.' | '．') => !is_abbreviation(bare, next) && !next.is_some_and(starts_small),
        Some(_) | None => false,
    }
}

/// Whether a clause or a sentence ends with `word`, when `next` follows it.
#[must_use]
pub fn ends_clause(word: &str, next: Option<&str>) -> bool {
    let bare = word.trim_end_matches(CLOSING);
    bare.ends_with(CLAUSE_ENDS) || (bare.ends_with(['.', '．']) && !is_abbreviation(bare, next))
}

/// Splits a text after each sentence; joined again with the white space between, it is the same.
#[must_use]
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut begin = 0;
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        let (Some(sentence), Some(rest)) = (text.get(begin..end), text.get(end..)) else {
            continue;
        };
        if may_end(sentence, rest) && ends_sentence(last_word(sentence), next_word(rest)) {
            found.push(sentence.trim());
            begin = end;
        }
    }
    found.push(text.get(begin..).unwrap_or_default().trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

fn may_end(sentence: &str, rest: &str) -> bool {
    let mut before = sentence.chars().rev();
    let Some(character) = before.next() else {
        return false;
    };
    let next = rest.chars().next();
    let between = before.next().is_some_and(is_spaceless) && next.is_some_and(is_spaceless);
    let closes = next.is_some_and(|next| CLOSING.contains(&next) || "!?….。！？".contains(next));
    !closes
        && !character.is_whitespace()
        && !character.is_alphanumeric()
        && next.is_none_or(|next| next.is_whitespace() || is_spaceless(character) || between)
}

fn last_word(text: &str) -> &str {
    text.rsplit(char::is_whitespace).next().unwrap_or_default()
}

fn next_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

fn starts_small(word: &str) -> bool {
    word.chars()
        .find(|character| character.is_alphanumeric())
        .is_some_and(char::is_lowercase)
}

fn is_abbreviation(word: &str, next: Option<&str>) -> bool {
    let stem = word
        .trim_end_matches('.')
        .trim_start_matches(|mark: char| !mark.is_alphanumeric());
    let single = stem.chars().count() == 1 && stem.chars().all(char::is_uppercase) && stem != "I";
    let stem = stem.to_lowercase();
    let counts = next.is_some_and(|next| next.starts_with(|first: char| first.is_numeric()));
    single
        || ABBREVIATIONS.contains(&stem.as_str())
        || (counts && BEFORE_NUMBERS.contains(&stem.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_their_marks_and_not_at_abbreviations() {
        assert_eq!(
            sentences("Dr. Ray went home. “Really?” Yes! At 3.5 km… J. S. Bach."),
            [
                "Dr. Ray went home.",
                "“Really?”",
                "Yes!",
                "At 3.5 km…",
                "J. S. Bach."
            ]
        );
    }

    #[test]
    fn a_word_that_counts_things_is_an_abbreviation_before_a_number_only() {
        assert_eq!(
            sentences("He said no. Then he left. See No. 5 and Fig. 2. It is in vol. 3."),
            [
                "He said no.",
                "Then he left.",
                "See No. 5 and Fig. 2.",
                "It is in vol. 3."
            ]
        );
    }

    #[test]
    fn clauses_end_at_commas_and_not_at_abbreviations() {
        let ends = |word| ends_clause(word, None);
        assert!(ends("well,") && ends("it.”") && ends("だが、"));
        assert!(!ends("Mr.") && !ends("well"));
    }

    #[test]
    fn sentences_need_no_spaces_between_them() {
        assert_eq!(
            sentences("今日は。いい天気！はい"),
            ["今日は。", "いい天気！", "はい"]
        );
        assert_eq!(
            sentences("你好.今天3.5度,很冷!是吗?对"),
            ["你好.", "今天3.5度,很冷!", "是吗?", "对"]
        );
        assert!(ends_clause("冷,", Some("是吗")) && ends_clause("好.", Some("今天")));
    }

    #[test]
    fn right_to_left_sentences_end_at_their_own_marks() {
        assert_eq!(sentences("كيف حالك؟ بخير"), ["كيف حالك؟", "بخير"]);
    }

    #[test]
    fn a_text_without_marks_is_one_sentence() {
        assert_eq!(sentences("no marks at all"), ["no marks at all"]);
        assert!(sentences(" \n").is_empty());
    }
}
