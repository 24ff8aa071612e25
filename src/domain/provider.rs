//! Who recognises the speech, by name.
//!
//! A name is all that the table and the settings of a job keep: which services there are, and what each of
//! them is like, is known to `speech::services` alone.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name, in bytes.
const LONGEST: usize = 24;

/// Who recognises the speech: a service, or the recogniser inside the program.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Provider {
    /// UTF-8, filled up with zeros.
    name: [u8; LONGEST],
}

impl Provider {
    /// The recogniser inside the program.
    pub const LOCAL: Self = Self::named("local");

    /// The one of this name; of a name that is too long, its beginning.
    pub const fn named(name: &str) -> Self {
        let mut filled = [0; LONGEST];
        let (mut rest, mut room) = (name.as_bytes(), filled.as_mut_slice());
        while let ([byte, more @ ..], [first, left @ ..]) = (rest, room) {
            *first = *byte;
            (rest, room) = (more, left);
        }
        Self { name: filled }
    }

    /// The name in the configuration, in the table and in every output.
    pub fn name(&self) -> &str {
        let name = self.name.split(|byte| *byte == 0).next();
        std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }

    /// Whether it is the recogniser inside the program.
    pub fn is_local(self) -> bool {
        self == Self::LOCAL
    }

    /// Whether a submit to it may cost money.
    pub fn is_paid(self) -> bool {
        !self.is_local()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let provider = Self::named(&name);
        if name.is_empty() || provider.name() != name {
            return Err(D::Error::custom("this is the name of no provider"));
        }
        Ok(provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stored_as_it_is_written() {
        for name in ["local", "a-service-of-tomorrow", "ä"] {
            let provider = Provider::named(name);
            assert_eq!(provider.name(), name);
            let stored = serde_json::to_string(&provider).unwrap();
            assert_eq!(stored, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Provider>(&stored).unwrap(), provider);
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_and_not_cut_off() {
        for name in [
            String::new(),
            "a".repeat(LONGEST + 1),
            "a\\u0000b".to_owned(),
        ] {
            let stored = format!("\"{name}\"");
            assert!(serde_json::from_str::<Provider>(&stored).is_err(), "{name}");
        }
    }
}
