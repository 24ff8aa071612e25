//! Falls: the process going down with recordings in hand, and which of them is to blame.
//!
//! Whoever was in hand is a suspect: it is handled when nothing else is, and alone. What then goes down
//! again with the process at the same place did it; falls at different places are more like kills from
//! outside, of which it takes more. A stop, and a machine that went down as a whole, are no falls.

use super::job::Reason;

/// With how many falls at one place a recording is set aside, in each of which nothing else was in hand.
pub const MOST_FALLS: u32 = 2;
/// The same for falls at any place: memory that runs out does not run out at the same place each time.
pub const MOST_FALLS_ANYWHERE: u32 = 5;

/// What counts against a recording: falls in which nothing else was in hand. Without any it is a suspect all the
/// same, for a fall in company.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Those at the place of the last one.
    pub here: u32,
    /// All of them.
    pub anywhere: u32,
    /// The place of the last one: how far into the sound it was, in seconds as they were told.
    pub reached: u64,
}

impl Suspicion {
    /// After one more fall in which the recording was in hand, `alone` or beside others.
    #[must_use]
    pub fn after(self, alone: bool, reached: u64) -> Self {
        if !alone {
            return self;
        }
        let before = if reached == self.reached {
            self.here
        } else {
            0
        };
        Self {
            here: before.saturating_add(1),
            anywhere: self.anywhere.saturating_add(1),
            reached,
        }
    }

    /// Whether the recording is set aside.
    #[must_use]
    pub fn is_poison(self) -> bool {
        self.here >= MOST_FALLS || self.anywhere >= MOST_FALLS_ANYWHERE
    }
}

/// Why a recording is set aside.
pub fn poison() -> Reason {
    let text = format!(
        "stenod went down twice at the same place in it, or {MOST_FALLS_ANYWHERE} times in all, with nothing else in hand: it is set aside"
    );
    Reason::new("poison", text)
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

    /// What counts after falls alone at these places.
    fn alone(places: &[u64]) -> Suspicion {
        let fall = |before: Suspicion, place: &u64| before.after(true, *place);
        places.iter().fold(Suspicion::default(), fall)
    }

    #[test]
    fn two_falls_alone_at_one_place_are_too_many() {
        assert!(!alone(&[0]).is_poison());
        assert!(alone(&[0, 0]).is_poison());
        assert!(alone(&[45, 1800, 1800]).is_poison());
    }

    #[test]
    fn kills_from_outside_find_it_at_different_places_and_condemn_it_at_the_fifth() {
        assert!(!alone(&[45, 600, 15, 600]).is_poison());
        assert!(alone(&[45, 600, 15, 600, 45]).is_poison());
    }

    #[test]
    fn falls_in_company_make_suspects_and_never_condemn() {
        let many = (0..100).fold(alone(&[0]), |before, _| before.after(false, 0));
        assert_eq!(many, alone(&[0]));
        assert!(!many.is_poison());
    }
}
