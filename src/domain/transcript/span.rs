//! A stretch of time in a recording: finite, not negative, never backwards, in milliseconds'
//! steps, so that sums and printed numbers are stable.

use serde::Serialize;

/// The longest time that is believed, in seconds (about 115 days).
pub(super) const LONGEST_SECONDS: f64 = 10_000_000.0;

/// From one moment of a recording to another.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Span {
    start: f64,
    end: f64,
}

impl Span {
    /// Between two moments in seconds; impossible ones become the nearest possible.
    #[must_use]
    pub fn new(start: f64, end: f64) -> Self {
        let start = believable(start);
        Self {
            start,
            end: believable(end).max(start),
        }
    }

    /// The first moment, in seconds.
    #[must_use]
    pub const fn start(self) -> f64 {
        self.start
    }

    /// The last moment, in seconds.
    #[must_use]
    pub const fn end(self) -> f64 {
        self.end
    }

    /// The length in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        to_milliseconds(self.end - self.start)
    }

    /// The first moment, in milliseconds.
    #[must_use]
    pub fn start_milliseconds(self) -> u64 {
        whole_milliseconds(self.start)
    }

    /// The last moment, in milliseconds.
    #[must_use]
    pub fn end_milliseconds(self) -> u64 {
        whole_milliseconds(self.end)
    }

    /// The shortest span that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// How long both last at once, in seconds.
    #[must_use]
    pub fn overlap(self, other: Self) -> f64 {
        (self.end.min(other.end) - self.start.max(other.start)).max(0.0)
    }
}

/// Rounds seconds to whole milliseconds.
pub(super) fn to_milliseconds(seconds: f64) -> f64 {
    // The sum has no minus sign at nought, which JSON would keep.
    (seconds * 1000.0).round() / 1000.0 + 0.0
}

fn believable(seconds: f64) -> f64 {
    if seconds.is_nan() {
        0.0
    } else {
        to_milliseconds(seconds.clamp(0.0, LONGEST_SECONDS))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a span's moments lie between 0 and LONGEST_SECONDS"
)]
fn whole_milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_moments_become_the_nearest_possible() {
        assert_eq!(Span::new(-1.0, f64::NAN), Span::new(0.0, 0.0));
        assert_eq!(Span::new(3.0, 2.0), Span::new(3.0, 3.0));
        assert!(Span::new(0.0, f64::INFINITY).end().is_finite());
    }

    #[test]
    fn moments_are_kept_to_the_millisecond() {
        let span = Span::new(0.1 + 0.2, 1.000_49);
        assert_eq!((span.start(), span.end()), (0.3, 1.0));
        assert_eq!(
            (span.start_milliseconds(), span.end_milliseconds()),
            (300, 1000)
        );
    }

    #[test]
    fn spans_that_only_touch_do_not_overlap() {
        assert_eq!(Span::new(0.0, 1.0).overlap(Span::new(1.0, 2.0)), 0.0);
        assert_eq!(Span::new(0.0, 1.5).overlap(Span::new(1.0, 2.0)), 0.5);
    }
}
