//! Puts a text together from heard words, for replies that have words only: by the spaces among the
//! words or, where the service marks none, by script and punctuation. No space is doubled.

use super::align::has_letters;
use super::heard::one_line;
use super::script::{append, is_opening};
use super::{HeardWord, WordKind};

/// Puts heard words together into a text, by the spaces among them or else by script.
pub(super) fn compose<'a>(heard: impl Iterator<Item = &'a HeardWord> + Clone) -> String {
    let spaces = Spaces::of(heard.clone());
    let mut text = String::new();
    let mut glued = true;
    for word in heard {
        let piece = word.text.trim();
        if piece.is_empty() {
            text.push(' ');
            glued = true;
            continue;
        }
        let own_space = word.text.starts_with(char::is_whitespace);
        if own_space {
            text.push(' ');
        }
        if glued || own_space || spaces.none_before(word, &text) {
            text.push_str(piece);
        } else {
            append(&mut text, piece);
        }
        let open = piece.ends_with(is_opening);
        glued = open || word.text.ends_with(char::is_whitespace);
        if word.text.ends_with(char::is_whitespace) {
            text.push(' ');
        }
    }
    one_line(&text)
}

/// How a service marks the spaces between its words.
#[derive(Clone, Copy, PartialEq)]
enum Spaces {
    /// By white space at the edges of the words.
    InWords,
    /// By entries of their own, or not at all.
    Apart,
}

impl Spaces {
    fn of<'a>(mut heard: impl Iterator<Item = &'a HeardWord>) -> Self {
        let edged = heard.any(|word| {
            let piece = word.text.trim();
            !piece.is_empty() && piece.len() < word.text.len()
        });
        if edged { Self::InWords } else { Self::Apart }
    }

    fn none_before(self, word: &HeardWord, text: &str) -> bool {
        let piece = word.text.trim();
        let closing = word.kind == WordKind::Punctuation && !piece.starts_with(is_opening);
        let clings = !has_letters(piece) && !piece.starts_with(is_opening) && ends_word(text);
        self == Self::InWords || closing || (clings && piece.chars().count() == 1)
    }
}

fn ends_word(text: &str) -> bool {
    text.ends_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<HeardWord> {
        texts
            .iter()
            .map(|text| HeardWord {
                text: (*text).to_owned(),
                ..HeardWord::default()
            })
            .collect()
    }

    #[test]
    fn spaces_are_neither_doubled_nor_missing() {
        let composed = |heard: &[HeardWord]| compose(heard.iter());
        assert_eq!(
            composed(&words(&["Hello", " ", "there", " ", "you"])),
            "Hello there you"
        );
        assert_eq!(composed(&words(&["Hello", "there"])), "Hello there");
        assert_eq!(
            composed(&words(&[" un", "believ", "able", " news"])),
            "unbelievable news"
        );
        assert_eq!(composed(&words(&["你", "好", "世界"])), "你好世界");
        assert_eq!(composed(&words(&["Well", ",", "yes", "."])), "Well, yes.");
    }

    #[test]
    fn opening_marks_cling_to_what_follows() {
        let mut heard = words(&["say", "(", "softly", ")", "now"]);
        for position in [1, 3] {
            heard[position].kind = WordKind::Punctuation;
        }
        assert_eq!(compose(heard.iter()), "say (softly) now");
    }
}
