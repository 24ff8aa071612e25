//! What people add to a reply when its outputs are written: names of speakers and a glossary.
//!
//! Adding them costs nothing and can be done again and again: the reply stays as it came.

use super::cast::Cast;
use super::glossary::{Applied, Case, Glossary};
use super::job::ContentHash;
use super::transcript::Transcript;

/// Names and right words for one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// Who the voices are.
    pub cast: Cast,
    /// What is right instead of what was heard.
    pub glossary: Glossary,
}

impl Style {
    /// A mark that is another one as soon as anything in it is.
    pub fn mark(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        let mut take = |kind: u8, text: &str| {
            hasher.update(&[kind]);
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for layer in self.cast.layers() {
            take(b'l', "");
            for (label, name) in layer {
                take(b'n', label);
                take(b'=', name);
            }
        }
        for (wrong, entry) in self.glossary.entries() {
            take(b'w', wrong);
            let kind = match entry.case {
                Case::Smart => b's',
                Case::Exact => b'e',
                Case::Any => b'a',
            };
            take(kind, &entry.right);
        }
        ContentHash(*hasher.finalize().as_bytes())
    }

    /// Gives a transcript its names and right words; says which entries of the glossary were used.
    pub fn apply(&self, transcript: &mut Transcript) -> Vec<Applied> {
        self.cast.name_speakers(transcript);
        self.glossary.correct(transcript)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_changes_with_every_name_and_entry() {
        let style = |names: &[(&str, &str)], entries: &[(&str, &str, Case)]| {
            let mut style = Style::default();
            style.cast.lay_below(names.iter().copied());
            for (wrong, right, case) in entries {
                style.glossary.add(wrong, right, *case).unwrap();
            }
            style.mark()
        };
        let marks = [
            style(&[], &[]),
            style(&[("a", "Ada")], &[]),
            style(&[("a", "Eve")], &[]),
            style(&[("b", "Ada")], &[]),
            style(&[("a", "Ada"), ("b", "Bob")], &[]),
            style(&[], &[("a", "Ada", Case::Smart)]),
            style(&[], &[("a", "Ada", Case::Exact)]),
            style(&[], &[("a", "Eve", Case::Smart)]),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert!(!marks[..at].contains(mark), "{at}");
        }
        assert_eq!(style(&[], &[]), Style::default().mark());
    }
}
