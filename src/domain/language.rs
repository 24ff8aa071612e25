//! Languages by their codes: what a service calls one, and the two letters that players want.
//!
//! The table is ISO 639-1 with the codes of ISO 639-2 (for terminology, and for bibliography where that
//! differs) and the English names, which some services use.

use std::path::Path;

/// Two letters, three letters, three letters of bibliography or nothing, English name.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// Two-letter codes that are English words too, or ends of file names: in a name with more dots they are
/// not taken for a language.
const WORDS: [&str; 16] = [
    "am", "an", "as", "be", "he", "hi", "id", "is", "it", "my", "no", "or", "pa", "so", "to", "ts",
];

/// Other names of languages that have a code of two letters.
const ALIASES: [(&str, &str); 14] = [
    ("bangla", "bn"),
    ("burmese", "my"),
    ("castilian", "es"),
    ("farsi", "fa"),
    ("flemish", "nl"),
    ("haitian", "ht"),
    ("jw", "jv"),
    ("mandarin", "zh"),
    ("moldavian", "ro"),
    ("myanmar", "my"),
    ("panjabi", "pa"),
    ("pushto", "ps"),
    ("sinhalese", "si"),
    ("valencian", "ca"),
];

/// The code that caption files of a language carry: two letters where there are two, else the three that
/// the service gave; nothing for what names no language.
pub fn short_code(language: &str) -> Option<String> {
    let wanted = language.trim().to_lowercase();
    let alias = ALIASES.iter().find(|(name, _)| *name == wanted);
    if let Some((_, code)) = alias {
        return Some((*code).to_owned());
    }
    let primary = wanted.split(['-', '_']).next().unwrap_or_default();
    let is_it = |(two, three, other, name): &&Row| {
        primary == *two
            || primary == *three
            || (!other.is_empty() && primary == *other)
            || wanted == *name
    };
    if let Some((two, ..)) = LANGUAGES.iter().find(is_it) {
        return Some((*two).to_owned());
    }
    let is_code = primary.len() == 3 && primary.bytes().all(|byte| byte.is_ascii_lowercase());
    is_code.then(|| primary.to_owned())
}

/// The language that a recording's name asks for: `talk.de.mp3` is German.
///
/// A code of two small letters between the last two dots counts, of ISO 639-1 alone. A code that is an
/// English word (`no`, `it`, `is`) counts only where nothing but it stands between dots: `talk.no.mp3` is
/// Norwegian, `the.way.it.is.mp3` is nothing.
pub fn of_file_name(recording: &Path) -> Option<&'static str> {
    let stem = recording.file_stem()?.to_str()?;
    let (name, code) = stem.rsplit_once('.')?;
    let (two, ..) = LANGUAGES.iter().find(|(two, ..)| *two == code)?;
    let is_unclear = WORDS.contains(two) && name.contains('.');
    (!name.trim_matches('.').is_empty() && !is_unclear).then_some(*two)
}

/// Every language of ISO 639-1.
const LANGUAGES: [Row; 184] = [
    ("aa", "aar", "", "afar"),
    ("ab", "abk", "", "abkhazian"),
    ("ae", "ave", "", "avestan"),
    ("af", "afr", "", "afrikaans"),
    ("ak", "aka", "", "akan"),
    ("am", "amh", "", "amharic"),
    ("an", "arg", "", "aragonese"),
    ("ar", "ara", "", "arabic"),
    ("as", "asm", "", "assamese"),
    ("av", "ava", "", "avaric"),
    ("ay", "aym", "", "aymara"),
    ("az", "aze", "", "azerbaijani"),
    ("ba", "bak", "", "bashkir"),
    ("be", "bel", "", "belarusian"),
    ("bg", "bul", "", "bulgarian"),
    ("bi", "bis", "", "bislama"),
    ("bm", "bam", "", "bambara"),
    ("bn", "ben", "", "bengali"),
    ("bo", "bod", "tib", "tibetan"),
    ("br", "bre", "", "breton"),
    ("bs", "bos", "", "bosnian"),
    ("ca", "cat", "", "catalan"),
    ("ce", "che", "", "chechen"),
    ("ch", "cha", "", "chamorro"),
    ("co", "cos", "", "corsican"),
    ("cr", "cre", "", "cree"),
    ("cs", "ces", "cze", "czech"),
    ("cu", "chu", "", "church slavic"),
    ("cv", "chv", "", "chuvash"),
    ("cy", "cym", "wel", "welsh"),
    ("da", "dan", "", "danish"),
    ("de", "deu", "ger", "german"),
    ("dv", "div", "", "divehi"),
    ("dz", "dzo", "", "dzongkha"),
    ("ee", "ewe", "", "ewe"),
    ("el", "ell", "gre", "greek"),
    ("en", "eng", "", "english"),
    ("eo", "epo", "", "esperanto"),
    ("es", "spa", "", "spanish"),
    ("et", "est", "", "estonian"),
    ("eu", "eus", "baq", "basque"),
    ("fa", "fas", "per", "persian"),
    ("ff", "ful", "", "fulah"),
    ("fi", "fin", "", "finnish"),
    ("fj", "fij", "", "fijian"),
    ("fo", "fao", "", "faroese"),
    ("fr", "fra", "fre", "french"),
    ("fy", "fry", "", "western frisian"),
    ("ga", "gle", "", "irish"),
    ("gd", "gla", "", "scottish gaelic"),
    ("gl", "glg", "", "galician"),
    ("gn", "grn", "", "guarani"),
    ("gu", "guj", "", "gujarati"),
    ("gv", "glv", "", "manx"),
    ("ha", "hau", "", "hausa"),
    ("he", "heb", "", "hebrew"),
    ("hi", "hin", "", "hindi"),
    ("ho", "hmo", "", "hiri motu"),
    ("hr", "hrv", "", "croatian"),
    ("ht", "hat", "", "haitian creole"),
    ("hu", "hun", "", "hungarian"),
    ("hy", "hye", "arm", "armenian"),
    ("hz", "her", "", "herero"),
    ("ia", "ina", "", "interlingua"),
    ("id", "ind", "", "indonesian"),
    ("ie", "ile", "", "interlingue"),
    ("ig", "ibo", "", "igbo"),
    ("ii", "iii", "", "sichuan yi"),
    ("ik", "ipk", "", "inupiaq"),
    ("io", "ido", "", "ido"),
    ("is", "isl", "ice", "icelandic"),
    ("it", "ita", "", "italian"),
    ("iu", "iku", "", "inuktitut"),
    ("ja", "jpn", "", "japanese"),
    ("jv", "jav", "", "javanese"),
    ("ka", "kat", "geo", "georgian"),
    ("kg", "kon", "", "kongo"),
    ("ki", "kik", "", "kikuyu"),
    ("kj", "kua", "", "kuanyama"),
    ("kk", "kaz", "", "kazakh"),
    ("kl", "kal", "", "kalaallisut"),
    ("km", "khm", "", "khmer"),
    ("kn", "kan", "", "kannada"),
    ("ko", "kor", "", "korean"),
    ("kr", "kau", "", "kanuri"),
    ("ks", "kas", "", "kashmiri"),
    ("ku", "kur", "", "kurdish"),
    ("kv", "kom", "", "komi"),
    ("kw", "cor", "", "cornish"),
    ("ky", "kir", "", "kyrgyz"),
    ("la", "lat", "", "latin"),
    ("lb", "ltz", "", "luxembourgish"),
    ("lg", "lug", "", "ganda"),
    ("li", "lim", "", "limburgish"),
    ("ln", "lin", "", "lingala"),
    ("lo", "lao", "", "lao"),
    ("lt", "lit", "", "lithuanian"),
    ("lu", "lub", "", "luba-katanga"),
    ("lv", "lav", "", "latvian"),
    ("mg", "mlg", "", "malagasy"),
    ("mh", "mah", "", "marshallese"),
    ("mi", "mri", "mao", "maori"),
    ("mk", "mkd", "mac", "macedonian"),
    ("ml", "mal", "", "malayalam"),
    ("mn", "mon", "", "mongolian"),
    ("mr", "mar", "", "marathi"),
    ("ms", "msa", "may", "malay"),
    ("mt", "mlt", "", "maltese"),
    ("my", "mya", "bur", "burmese"),
    ("na", "nau", "", "nauru"),
    ("nb", "nob", "", "norwegian bokmål"),
    ("nd", "nde", "", "north ndebele"),
    ("ne", "nep", "", "nepali"),
    ("ng", "ndo", "", "ndonga"),
    ("nl", "nld", "dut", "dutch"),
    ("nn", "nno", "", "norwegian nynorsk"),
    ("no", "nor", "", "norwegian"),
    ("nr", "nbl", "", "south ndebele"),
    ("nv", "nav", "", "navajo"),
    ("ny", "nya", "", "chichewa"),
    ("oc", "oci", "", "occitan"),
    ("oj", "oji", "", "ojibwa"),
    ("om", "orm", "", "oromo"),
    ("or", "ori", "", "odia"),
    ("os", "oss", "", "ossetian"),
    ("pa", "pan", "", "punjabi"),
    ("pi", "pli", "", "pali"),
    ("pl", "pol", "", "polish"),
    ("ps", "pus", "", "pashto"),
    ("pt", "por", "", "portuguese"),
    ("qu", "que", "", "quechua"),
    ("rm", "roh", "", "romansh"),
    ("rn", "run", "", "rundi"),
    ("ro", "ron", "rum", "romanian"),
    ("ru", "rus", "", "russian"),
    ("rw", "kin", "", "kinyarwanda"),
    ("sa", "san", "", "sanskrit"),
    ("sc", "srd", "", "sardinian"),
    ("sd", "snd", "", "sindhi"),
    ("se", "sme", "", "northern sami"),
    ("sg", "sag", "", "sango"),
    ("sh", "hbs", "", "serbo-croatian"),
    ("si", "sin", "", "sinhala"),
    ("sk", "slk", "slo", "slovak"),
    ("sl", "slv", "", "slovenian"),
    ("sm", "smo", "", "samoan"),
    ("sn", "sna", "", "shona"),
    ("so", "som", "", "somali"),
    ("sq", "sqi", "alb", "albanian"),
    ("sr", "srp", "", "serbian"),
    ("ss", "ssw", "", "swati"),
    ("st", "sot", "", "southern sotho"),
    ("su", "sun", "", "sundanese"),
    ("sv", "swe", "", "swedish"),
    ("sw", "swa", "", "swahili"),
    ("ta", "tam", "", "tamil"),
    ("te", "tel", "", "telugu"),
    ("tg", "tgk", "", "tajik"),
    ("th", "tha", "", "thai"),
    ("ti", "tir", "", "tigrinya"),
    ("tk", "tuk", "", "turkmen"),
    ("tl", "tgl", "", "tagalog"),
    ("tn", "tsn", "", "tswana"),
    ("to", "ton", "", "tonga"),
    ("tr", "tur", "", "turkish"),
    ("ts", "tso", "", "tsonga"),
    ("tt", "tat", "", "tatar"),
    ("tw", "twi", "", "twi"),
    ("ty", "tah", "", "tahitian"),
    ("ug", "uig", "", "uyghur"),
    ("uk", "ukr", "", "ukrainian"),
    ("ur", "urd", "", "urdu"),
    ("uz", "uzb", "", "uzbek"),
    ("ve", "ven", "", "venda"),
    ("vi", "vie", "", "vietnamese"),
    ("vo", "vol", "", "volapük"),
    ("wa", "wln", "", "walloon"),
    ("wo", "wol", "", "wolof"),
    ("xh", "xho", "", "xhosa"),
    ("yi", "yid", "", "yiddish"),
    ("yo", "yor", "", "yoruba"),
    ("za", "zha", "", "zhuang"),
    ("zh", "zho", "chi", "chinese"),
    ("zu", "zul", "", "zulu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_every_code_and_by_its_name() {
        for name in ["de", "deu", "ger", "German", "german", "de-CH", "DE_at"] {
            assert_eq!(short_code(name).as_deref(), Some("de"), "{name}");
        }
        assert_eq!(short_code("norwegian nynorsk").as_deref(), Some("nn"));
        assert_eq!(short_code("Flemish").as_deref(), Some("nl"));
        // Cantonese has no code of two letters.
        assert_eq!(short_code("yue").as_deref(), Some("yue"));
        for name in ["", "auto", "klingonese", "x", "12"] {
            assert_eq!(short_code(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_asks_for_a_language_only_where_it_is_meant() {
        let asked = |name: &str| of_file_name(Path::new(name));
        for (name, code) in [
            ("talk.de.mp3", "de"),
            ("talk.no.mp3", "no"),
            ("v1.de.mp3", "de"),
            ("2024.05.01.fr.wav", "fr"),
            ("in/a.b/talk.it.opus", "it"),
        ] {
            assert_eq!(asked(name), Some(code), "{name}");
        }
        for name in [
            "talk.mp3",
            "de.mp3",
            ".de.mp3",
            "talk.DE.mp3",
            "talk.deu.mp3",
            "talk.xx.mp3",
            "talk.1.mp3",
            "talk-de.mp3",
            "the.way.it.is.mp3",
            "dr.no.no.mp3",
            "talk.de",
        ] {
            assert_eq!(asked(name), None, "{name}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_every_code_is_one() {
        assert!(LANGUAGES.is_sorted_by(|one, other| one.0 < other.0));
        for (two, three, other, name) in LANGUAGES {
            let lower = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(two.len() == 2 && three.len() == 3 && lower(two) && lower(three));
            assert!(other.is_empty() || (other.len() == 3 && lower(other)));
            assert_eq!(name, name.to_lowercase());
        }
    }
}
