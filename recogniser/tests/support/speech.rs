//! Reading speech samples and counting word errors, for the tests and the measuring example.

use std::io;
use std::path::Path;

/// The samples of a mono WAV file of 16 bits at 16 kHz.
pub(crate) fn read_wav(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a RIFF file with samples");
    let mut rest = bytes.get(12..).ok_or_else(malformed)?;
    loop {
        let (name, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(malformed)?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = after.get(..length.min(after.len())).ok_or_else(malformed)?;
        if name == b"data" {
            let samples = body.as_chunks::<2>().0.iter();
            return Ok(samples
                .map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32768.0)
                .collect());
        }
        rest = after.get(length + length % 2..).ok_or_else(malformed)?;
    }
}

/// The words of a text without case and punctuation, with abbreviations as they are read out.
pub(crate) fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace(['-', '—'], " ");
    plain
        .split_whitespace()
        .map(|word| {
            word.chars()
                .filter(|c| c.is_alphanumeric() || *c == '\'')
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .map(|word| match word.as_str() {
            "mr" => "mister".to_owned(),
            "mrs" => "missus".to_owned(),
            _ => word,
        })
        .collect()
}

/// Words to insert, delete or replace to turn one text into the other.
pub(crate) fn word_errors(wanted: &[String], got: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=got.len()).collect();
    for (i, word) in wanted.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in got.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[got.len()]
}
