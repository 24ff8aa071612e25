//! Little words that belong to what follows them: articles, prepositions, conjunctions and the like. No
//! cue or line should end with one, and in Japanese none should begin with a particle or an ending.

/// The little words of a language that are longer than those that are known by their length.
struct Language {
    code: &'static str,
    words: &'static [&'static str],
}

/// The languages whose little words are known.
const LANGUAGES: [Language; 6] = [
    Language {
        code: "en",
        words: &[
            "about", "after", "against", "although", "among", "because", "before", "behind",
            "below", "between", "beyond", "could", "does", "during", "every", "from", "have",
            "into", "like", "more", "must", "near", "onto", "over", "shall", "should", "since",
            "some", "than", "that", "their", "there's", "these", "this", "those", "through",
            "toward", "towards", "under", "unless", "until", "upon", "very", "were", "what",
            "when", "where", "whether", "which", "while", "whose", "will", "with", "within",
            "without", "would", "your",
        ],
    },
    Language {
        code: "de",
        words: &[
            "aber", "beim", "dass", "deine", "deren", "dessen", "diese", "diesem", "diesen",
            "dieser", "dieses", "durch", "eine", "einem", "einen", "einer", "eines", "gegen",
            "hinter", "ihre", "ihrem", "ihren", "ihrer", "jede", "jedem", "jeden", "jeder", "kein",
            "keine", "keinem", "keinen", "keiner", "mein", "meine", "meinem", "meinen", "meiner",
            "nach", "nachdem", "neben", "oder", "ohne", "obwohl", "seine", "seinem", "seinen",
            "seiner", "sehr", "seit", "sondern", "trotz", "unser", "unsere", "unter", "wegen",
            "weil", "welche", "welcher", "wenn", "während", "zwischen", "über",
        ],
    },
    Language {
        code: "fr",
        words: &[
            "avec", "avant", "après", "cette", "chez", "comme", "contre", "dans", "depuis", "donc",
            "dont", "entre", "leur", "leurs", "lorsque", "mais", "même", "notre", "nous", "parce",
            "pendant", "pour", "puisque", "quand", "quel", "quelle", "quelques", "sans", "sous",
            "très", "vers", "votre", "vous",
        ],
    },
    Language {
        code: "es",
        words: &[
            "ante", "aunque", "bajo", "cada", "como", "contra", "cuando", "desde", "donde",
            "durante", "entre", "esta", "este", "estas", "estos", "hacia", "hasta", "mientras",
            "nuestra", "nuestro", "para", "pero", "porque", "según", "sobre", "unas", "unos",
        ],
    },
    Language {
        code: "it",
        words: &[
            "alla", "alle", "anche", "come", "contro", "dalla", "dalle", "della", "delle", "dello",
            "dopo", "dove", "mentre", "nella", "nelle", "ogni", "perché", "prima", "quando",
            "quella", "quello", "questa", "questo", "senza", "sotto", "sulla", "sulle", "verso",
        ],
    },
    Language {
        code: "nl",
        words: &[
            "achter", "deze", "door", "hebben", "jouw", "maar", "naar", "omdat", "onder", "onze",
            "over", "sinds", "tegen", "terwijl", "tijdens", "tussen", "voor", "want", "wanneer",
            "zonder",
        ],
    },
];

/// Whether a word is a little one of the language, or of any that is known where `language` is not.
pub(super) fn is_little(word: &str, language: Option<&str>) -> bool {
    let bare = word
        .trim_matches(|mark: char| !mark.is_alphanumeric())
        .to_lowercase();
    let mut languages = LANGUAGES
        .iter()
        .filter(|known| language.is_none_or(|code| code == known.code));
    languages.any(|known| known.words.contains(&bare.as_str()))
}

/// Whether a break before `after` would tear a Japanese word from its particle or ending: what begins with
/// Hiragana seldom stands alone.
pub(super) fn is_torn(before: &str, after: &str) -> bool {
    let is_hiragana = |character: char| matches!(character, '\u{3041}'..='\u{309f}');
    before.ends_with(char::is_alphanumeric) && after.starts_with(is_hiragana)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_words_are_those_of_the_language() {
        assert!(is_little("from", Some("en")) && is_little("“Because", Some("en")));
        assert!(is_little("einer", Some("de")) && !is_little("einer", Some("en")));
        assert!(is_little("einer", None) && !is_little("river", None));
    }

    #[test]
    fn a_particle_is_not_torn_from_its_word() {
        assert!(is_torn("録音", "について") && is_torn("話", "し"));
        assert!(
            !is_torn("ます。", "アーカイブ") && !is_torn("は", "古い") && !is_torn("た、", "それ")
        );
    }
}
