//! Falls: the process going down with recordings in hand, and which of them is to blame.
//!
//! Whoever was in hand is a suspect: it is handled when nothing else is, and alone. What then goes down
//! again with the process did it. A stop, and a machine that went down as a whole, are no falls.

use super::job::Reason;

/// With how many falls a recording is set aside, in each of which nothing else was in hand.
pub const MOST_FALLS: u32 = 2;

/// How many falls count against a recording after one in which it was in hand, `alone` or beside others:
/// those beside others only make a suspect of it. Before its first, nothing is known of it (`None`).
pub fn count(falls: Option<u32>, alone: bool) -> u32 {
    falls.unwrap_or(0).saturating_add(u32::from(alone))
}

/// Whether a recording is set aside after so many falls.
pub fn is_poison(falls: u32) -> bool {
    falls >= MOST_FALLS
}

/// Why a recording is set aside.
pub fn poison() -> Reason {
    Reason::new(
        "poison",
        "stenod went down twice while it, and nothing else, was in hand: it is set aside",
    )
}

/// Why a recording is handled alone.
pub fn suspect() -> Reason {
    Reason::new(
        "suspect",
        "stenod went down while it was in hand: it is tried again when nothing else is in hand",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_falls_alone_are_too_many() {
        let first = count(None, true);
        assert!(!is_poison(first));
        assert!(is_poison(count(Some(first), true)));
    }

    #[test]
    fn falls_in_company_make_suspects_and_never_condemn() {
        let first = count(None, false);
        let many = (0..100).fold(first, |falls, _| count(Some(falls), false));
        assert!(!is_poison(many));
        let alone = count(Some(many), true);
        assert!(!is_poison(alone));
        assert!(is_poison(count(Some(alone), true)));
    }
}
