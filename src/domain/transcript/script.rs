//! What the writing systems do between words: some put spaces there, some do not.
//!
//! Rules of thumb by Unicode block, used only where the service does not say it.

/// Whether a character belongs to a script that is written without spaces between words.
pub(crate) fn is_spaceless(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0FFF        // Thai, Lao, Tibetan
        | 0x1000..=0x109F      // Myanmar
        | 0x1780..=0x17FF      // Khmer
        | 0x3001..=0x30FF      // CJK punctuation, Hiragana, Katakana
        | 0x31F0..=0x31FF      // Katakana extensions
        | 0x3400..=0x4DBF      // Han, extension A
        | 0x4E00..=0x9FFF      // Han
        | 0xF900..=0xFAFF      // Han, compatibility
        | 0xFF01..=0xFF9F      // full-width forms and half-width Katakana
        | 0x2_0000..=0x3_FFFF) // Han, further extensions
}

/// Whether words of a character's script can only be told apart with a dictionary.
pub(crate) fn needs_dictionary(character: char) -> bool {
    matches!(u32::from(character), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF)
}

/// Whether a punctuation mark belongs to what follows it.
pub(crate) const fn is_opening(character: char) -> bool {
    matches!(
        character,
        '(' | '['
            | '{'
            | '¿'
            | '¡'
            | '«'
            | '‹'
            | '“'
            | '‘'
            | '„'
            | '‚'
            | '「'
            | '『'
            | '（'
            | '【'
            | '《'
            | '〈'
            | '［'
            | '｛'
    )
}

/// Appends a piece of text, with a space between where the scripts want one.
pub fn append(text: &mut String, piece: &str) {
    if let (Some(before), Some(after)) = (text.chars().next_back(), piece.chars().next())
        && !is_spaceless(before)
        && !is_spaceless(after)
        && !before.is_whitespace()
    {
        text.push(' ');
    }
    text.push_str(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_stands_only_where_the_scripts_want_one() {
        let joined = |pieces: &[&str]| {
            pieces.iter().fold(String::new(), |mut text, piece| {
                append(&mut text, piece);
                text
            })
        };
        assert_eq!(joined(&["one", "two."]), "one two.");
        assert_eq!(joined(&["今日は。", "いい"]), "今日は。いい");
        assert_eq!(joined(&["안녕", "하세요"]), "안녕 하세요");
        assert_eq!(joined(&["שלום", "עולם"]), "שלום עולם");
    }
}
