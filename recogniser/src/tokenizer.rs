//! The vocabulary of a model: what text a token stands for and which tokens steer the decoder.
//!
//! It only decodes (byte-level BPE as in GPT-2: a token is a run of bytes, not of characters).
//! In every Whisper vocabulary text comes first, then `<|endoftext|>`, the steering tokens and the
//! timestamps in steps of 20 ms; a [`Vocabulary`] that exists keeps that order.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::language::LANGUAGES;

/// A token's number in the vocabulary.
pub(crate) type Token = u32;

/// Timestamp tokens from 0.00 s to 30.00 s.
pub(crate) const TIMESTAMPS: usize = 1501;
/// The length of a token's text that is accepted, in bytes.
const TEXT_LIMIT: usize = u16::MAX as usize;

/// The tokens that steer the decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Specials {
    pub(crate) end_of_text: Token,
    pub(crate) start: Token,
    pub(crate) transcribe: Token,
    pub(crate) no_speech: Token,
    pub(crate) no_timestamps: Token,
    /// Language codes with their tokens.
    pub(crate) languages: Vec<(String, Token)>,
}

impl Specials {
    /// The token of 0.00 s; all later tokens are timestamps too.
    pub(crate) fn first_timestamp(&self) -> Token {
        self.no_timestamps + 1
    }

    /// Whether the token is a timestamp.
    pub(crate) fn is_timestamp(&self, token: Token) -> bool {
        token >= self.first_timestamp()
    }

    /// Whether the token stands for text.
    pub(crate) fn is_text(&self, token: Token) -> bool {
        token < self.end_of_text
    }

    /// The number of 20 ms steps that a timestamp stands for, nothing for another token.
    pub(crate) fn steps(&self, token: Token) -> Option<usize> {
        let steps = token.checked_sub(self.first_timestamp())?;
        usize::try_from(steps).ok()
    }

    /// The token of a language code.
    pub(crate) fn language(&self, code: &str) -> Option<Token> {
        self.languages
            .iter()
            .find(|(known, _)| known == code)
            .map(|&(_, token)| token)
    }

    /// Checks the order of the tokens against the size of the vocabulary.
    pub(crate) fn validate(&self, vocabulary: usize) -> Result<(), String> {
        let steering = [
            self.start,
            self.transcribe,
            self.no_speech,
            self.no_timestamps,
        ];
        let languages = self.languages.iter().map(|(_, token)| token);
        let in_order = steering
            .iter()
            .chain(languages)
            .all(|&token| token > self.end_of_text && token <= self.no_timestamps);
        let timestamps = vocabulary.saturating_sub(self.no_timestamps as usize + 1);
        if !in_order || self.no_timestamps == Token::MAX || timestamps < TIMESTAMPS {
            return Err(format!(
                "its tokens are not in Whisper's order of text, steering tokens and {TIMESTAMPS} \
                 timestamps within a vocabulary of {vocabulary}"
            ));
        }
        Ok(())
    }
}

/// The text of all tokens, and the steering tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where the text of each token ends in `bytes`.
    ends: Vec<usize>,
    pub(crate) specials: Specials,
}

#[derive(Deserialize)]
struct TokenizerFile {
    model: TokenizerModel,
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct TokenizerModel {
    vocab: HashMap<String, Token>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: Token,
    content: String,
}

impl Vocabulary {
    /// Reads `tokenizer.json` for a model of `size` tokens; the error is the end of a sentence.
    pub(crate) fn parse(json: &[u8], size: usize) -> Result<Self, String> {
        let file: TokenizerFile =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let specials = specials(&file)?;
        specials.validate(size)?;
        let bytes_of = characters();
        let mut texts = vec![Vec::new(); specials.end_of_text as usize];
        for (spelling, id) in &file.model.vocab {
            if let Some(text) = texts.get_mut(*id as usize) {
                *text = spell(spelling, &bytes_of);
            }
        }
        Self::from_texts(&texts, specials)
    }

    fn from_texts(texts: &[Vec<u8>], specials: Specials) -> Result<Self, String> {
        let mut vocabulary = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            specials,
        };
        for text in texts {
            if text.len() > TEXT_LIMIT {
                return Err(format!("a token is longer than {TEXT_LIMIT} bytes"));
            }
            vocabulary.bytes.extend_from_slice(text);
            vocabulary.ends.push(vocabulary.bytes.len());
        }
        Ok(vocabulary)
    }

    /// Reads the table that [`Vocabulary::pack`] wrote.
    pub(crate) fn unpack(
        mut table: &[u8],
        specials: Specials,
        size: usize,
    ) -> Result<Self, String> {
        specials.validate(size)?;
        let mut texts = Vec::with_capacity(specials.end_of_text as usize);
        for _ in 0..specials.end_of_text {
            let cut = table.split_first_chunk::<2>();
            let (length, rest) = cut.ok_or("its table of tokens is cut short")?;
            let length = usize::from(u16::from_le_bytes(*length));
            let cut = rest.split_at_checked(length);
            let (text, rest) = cut.ok_or("its table of tokens is cut short")?;
            texts.push(text.to_vec());
            table = rest;
        }
        Self::from_texts(&texts, specials)
    }

    /// The table of texts: for each token its length in bytes (`u16`, little endian) and its bytes.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.bytes.len() + 2 * self.ends.len());
        for token in 0..self.specials.end_of_text {
            let text = self.bytes_of(token);
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            table.extend_from_slice(&length.to_le_bytes());
            table.extend_from_slice(text);
        }
        table
    }

    /// The text of a run of tokens; steering tokens and timestamps have none.
    pub(crate) fn text(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&token| self.bytes_of(token))
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The token that stands for exactly this text.
    pub(crate) fn token_of(&self, text: &[u8]) -> Option<Token> {
        (0..self.specials.end_of_text).find(|&token| self.bytes_of(token) == text)
    }

    fn bytes_of(&self, token: Token) -> &[u8] {
        let token = token as usize;
        let Some(&end) = self.ends.get(token) else {
            return &[];
        };
        let start = token
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied();
        self.bytes.get(start.unwrap_or(0)..end).unwrap_or_default()
    }
}

fn specials(file: &TokenizerFile) -> Result<Specials, String> {
    let added: HashMap<&str, Token> = file
        .added_tokens
        .iter()
        .map(|token| (token.content.as_str(), token.id))
        .collect();
    let find = |name: &str| {
        added
            .get(name)
            .copied()
            .ok_or(format!("it has no token {name}"))
    };
    let language = |code: &str| match code {
        // Older vocabularies spell Hebrew as it was coded until 1989.
        "he" => find("<|he|>").or_else(|_| find("<|iw|>")),
        _ => find(&format!("<|{code}|>")),
    };
    let languages = LANGUAGES
        .iter()
        .filter_map(|(code, _)| Some((code.to_string(), language(code).ok()?)));
    Ok(Specials {
        end_of_text: find("<|endoftext|>")?,
        start: find("<|startoftranscript|>")?,
        transcribe: find("<|transcribe|>")?,
        no_speech: find("<|nospeech|>").or_else(|_| find("<|nocaptions|>"))?,
        no_timestamps: find("<|notimestamps|>")?,
        languages: languages.collect(),
    })
}

/// The byte behind each character of a byte-level BPE spelling (GPT-2's `bytes_to_unicode`, turned round).
fn characters() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let mut spelled = |byte: u8| {
        if printable(byte) {
            return char::from(byte);
        }
        let character = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
        next += 1;
        character
    };
    (0..=u8::MAX).map(|byte| (spelled(byte), byte)).collect()
}

fn spell(spelling: &str, bytes_of: &HashMap<char, u8>) -> Vec<u8> {
    let mut text = Vec::with_capacity(spelling.len());
    for character in spelling.chars() {
        match bytes_of.get(&character) {
            Some(&byte) => text.push(byte),
            None => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(vocab: &str) -> String {
        format!(
            r#"{{"model": {{"vocab": {{{vocab}}}}}, "added_tokens": [
            {{"id": 6, "content": "<|endoftext|>"}}, {{"id": 7, "content": "<|startoftranscript|>"}},
            {{"id": 8, "content": "<|en|>"}}, {{"id": 9, "content": "<|yue|>"}},
            {{"id": 10, "content": "<|transcribe|>"}}, {{"id": 11, "content": "<|nocaptions|>"}},
            {{"id": 12, "content": "<|notimestamps|>"}}]}}"#
        )
    }

    const WORDS: &str = r#""Hello": 0, "Ġworld": 1, "Ġ": 2, "ð": 3, "ŁĺĢ": 4, "ĊÂ": 5"#;

    fn sample() -> Vocabulary {
        Vocabulary::parse(tokenizer(WORDS).as_bytes(), 13 + TIMESTAMPS).unwrap()
    }

    #[test]
    fn a_space_is_spelled_as_g_with_a_dot() {
        assert_eq!(sample().text(&[0, 1]), "Hello world");
        assert_eq!(sample().token_of(b" "), Some(2));
    }

    #[test]
    fn a_character_may_be_spread_over_several_tokens() {
        assert_eq!(sample().text(&[3, 4]), "😀");
        assert_eq!(sample().text(&[3]), "\u{fffd}");
    }

    #[test]
    fn steering_tokens_timestamps_and_unknown_tokens_have_no_text() {
        assert_eq!(sample().text(&[0, 6, 7, 13, 400, u32::MAX]), "Hello");
    }

    #[test]
    fn specials_and_languages_are_found_by_name() {
        let specials = sample().specials;
        assert_eq!(
            (
                specials.start,
                specials.no_speech,
                specials.first_timestamp()
            ),
            (7, 11, 13)
        );
        assert_eq!(specials.language("yue"), Some(9));
        assert_eq!(specials.language("de"), None);
        assert_eq!(
            (specials.steps(12), specials.steps(13), specials.steps(63)),
            (None, Some(0), Some(50))
        );
    }

    #[test]
    fn a_vocabulary_without_room_for_timestamps_is_refused() {
        let error = Vocabulary::parse(tokenizer(WORDS).as_bytes(), 13).unwrap_err();
        assert!(error.contains("1501 timestamps"), "{error}");
    }

    #[test]
    fn a_missing_special_token_is_named() {
        let file = tokenizer(WORDS).replace("<|transcribe|>", "<|other|>");
        let error = Vocabulary::parse(file.as_bytes(), 2000).unwrap_err();
        assert!(error.contains("<|transcribe|>"), "{error}");
    }

    #[test]
    fn the_packed_table_gives_the_same_vocabulary_and_every_cut_is_refused() {
        let vocabulary = sample();
        let table = vocabulary.pack();
        let unpack = |table| Vocabulary::unpack(table, vocabulary.specials.clone(), 2000);
        assert_eq!(unpack(&table).unwrap(), vocabulary);
        for length in 0..table.len() {
            assert!(unpack(&table[..length]).is_err());
        }
    }
}
