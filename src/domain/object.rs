//! An object in a bucket: the name it is stored under, and how much of it is there.
//!
//! A name is not guessable and says nothing of the recording. Whose it is can be told from it, so that
//! tidying never touches what another installation has put beside it.

use std::fmt;

use super::job::ContentHash;

/// What tells one bucket from every other: `s3://bucket/prefix`, and where it is if that is not the provider's own
/// address.
pub fn place(url: &str, endpoint: Option<&str>) -> String {
    match endpoint {
        Some(endpoint) => format!("{url} at {endpoint}"),
        None => url.to_owned(),
    }
}

/// Random digits of a name, in hexadecimal: 128 bits.
const RANDOM_DIGITS: usize = 32;
/// Digits that tell one installation from another, in hexadecimal.
const INSTALLATION_DIGITS: usize = 16;

/// Which installation of stenod put an object into a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation(String);

impl Installation {
    /// What `doctor` puts there belongs to nobody.
    pub fn nobody() -> Self {
        Self("0".repeat(INSTALLATION_DIGITS))
    }

    /// The installation with this mark, if it is one: 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        is_hexadecimal(text, INSTALLATION_DIGITS).then(|| Self(text.to_owned()))
    }
}

/// The name of an object under the prefix: `<installation>-<random>.<extension>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// A new name; `random` has to come from a source that nobody can predict.
    pub fn new(installation: &Installation, random: u128, extension: &str) -> Self {
        Self(format!("{}-{random:032x}.{extension}", installation.0))
    }

    /// The name of an object that a stenod made, or `None` for what somebody else did.
    pub fn parse(text: &str) -> Option<Self> {
        let (mark, rest) = text.split_once('-')?;
        let (random, extension) = rest.split_once('.')?;
        let is_ours = is_hexadecimal(mark, INSTALLATION_DIGITS)
            && is_hexadecimal(random, RANDOM_DIGITS)
            && !extension.is_empty()
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_ours.then(|| Self(text.to_owned()))
    }

    /// Whether `installation` made it.
    pub fn is_of(&self, installation: &Installation) -> bool {
        self.0
            .strip_prefix(&installation.0)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part that the storage has, and the value of its branch in the tree of hashes of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the storage calls it.
    pub id: String,
    /// BLAKE3 of its bytes.
    pub hash: ContentHash,
}

/// An upload that was begun: what is needed to go on with it, or to take it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// What the storage calls it.
    pub id: String,
    /// The parts that are there, by number counted from 0.
    pub parts: Vec<(u32, Part)>,
}

/// The version that a put made, on a bucket that keeps versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// What may be there of an object, and is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The object.
    pub name: ObjectName,
    /// The upload that was begun and is not known to be completed, if there is one.
    pub upload: Option<String>,
    /// The version that was put, if it is known to be there whole on a bucket with versions.
    pub version: Option<Version>,
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(mark: &str) -> Installation {
        Installation::parse(mark).unwrap()
    }

    #[test]
    fn a_name_holds_whose_it_is_chance_and_the_extension_and_nothing_else() {
        let mine = installation("0123456789abcdef");
        let name = ObjectName::new(&mine, 7, "ogg");
        assert_eq!(
            name.as_str(),
            "0123456789abcdef-00000000000000000000000000000007.ogg"
        );
        assert_eq!(ObjectName::parse(name.as_str()), Some(name.clone()));
        assert!(name.is_of(&mine));
        assert!(!name.is_of(&installation("0123456789abcdee")));
    }

    #[test]
    fn what_somebody_else_put_there_is_no_name_of_ours() {
        for name in [
            "meeting.mp3",
            "0123456789abcdef-7.ogg",
            "0123456789abcdef-00000000000000000000000000000007",
            "0123456789abcdef-00000000000000000000000000000007.",
            "0123456789abcdef-0000000000000000000000000000000G.ogg",
            "0123456789ABCDEF-00000000000000000000000000000007.ogg",
            "0123456789abcdef-00000000000000000000000000000007.ogg/x",
        ] {
            assert_eq!(ObjectName::parse(name), None, "{name}");
        }
    }
}
