//! What of a recording cannot be decoded, so that its transcript may lack it.

use serde::{Deserialize, Serialize};

/// What of a recording could not be decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Packets inside of it; more may be missing beside them, of which nothing could be made out.
    pub packets: u64,
    /// How it is shorter than it should be, if it is.
    pub cut_short: Option<String>,
}

impl Damage {
    /// It in one sentence, if there is any.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let inside = (self.packets > 0).then(|| {
            format!(
                "{} or more packets of it cannot be decoded, and what was said there may be missing",
                self.packets
            )
        });
        let end = self
            .cut_short
            .as_ref()
            .map(|how| format!("its end is missing ({how}), and what was said there with it"));
        let told: Vec<String> = inside.into_iter().chain(end).collect();
        (!told.is_empty()).then(|| format!("the recording is damaged: {}", told.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(packets: u64, cut_short: Option<&str>) -> Option<String> {
        let cut_short = cut_short.map(str::to_owned);
        Damage { packets, cut_short }.told()
    }

    #[test]
    fn damage_inside_and_a_missing_end_are_told_in_one_sentence() {
        assert_eq!(told(0, None), None);
        assert_eq!(
            told(1, None).as_deref(),
            Some(
                "the recording is damaged: 1 or more packets of it cannot be decoded, and what was said there may be missing"
            )
        );
        let both = told(900, Some("its last packets are missing")).unwrap();
        assert!(both.contains("900 or more packets"), "{both}");
        assert!(both.contains("; its end is missing (its last"), "{both}");
    }
}
