//! Which of the decoded frames are sound, and which an encoder only added before and behind it.
//!
//! Probe and decode use the same rule, so that the measured length is the length that is decoded.

use std::ops::Range;

/// The frames to leave out, counted from the first decoded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trim {
    /// Frames to drop at the start: the encoder's delay.
    skip: u64,
    /// Frames to drop further on: the encoder's padding, or all from the end of an edit on.
    padding: Range<u64>,
    position: u64,
}

impl Trim {
    /// Drops `skip` frames at the start and those in `padding`.
    pub(super) fn new(skip: u64, padding: Range<u64>) -> Self {
        Self {
            skip,
            padding,
            position: 0,
        }
    }

    /// Drops nothing.
    pub(super) fn none() -> Self {
        Self::new(0, u64::MAX..u64::MAX)
    }

    /// Drops `skip` frames and all from `keep` frames behind them on.
    pub(super) fn keep(skip: u64, keep: Option<u64>) -> Self {
        let end = keep.map_or(u64::MAX, |keep| skip.saturating_add(keep));
        Self::new(skip, end..u64::MAX)
    }

    /// The same rule in frames of another rate.
    pub(super) fn rescaled(&self, from: u64, to: u64) -> Self {
        let scale = |frames: u64| {
            let scaled = u128::from(frames) * u128::from(to) / u128::from(from.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let end = |frames| {
            if frames == u64::MAX {
                u64::MAX
            } else {
                scale(frames)
            }
        };
        Self::new(
            scale(self.skip),
            end(self.padding.start)..end(self.padding.end),
        )
    }

    /// Takes the next `length` decoded frames and gives the part of them that is sound.
    pub(super) fn take(&mut self, length: u64) -> Range<u64> {
        let start = self.position;
        let end = start.saturating_add(length);
        self.position = end;
        let mut kept = start.max(self.skip)..end;
        if kept.start < self.padding.start {
            kept.end = kept.end.min(self.padding.start);
        } else {
            kept.start = kept.start.max(self.padding.end);
        }
        if kept.is_empty() {
            return 0..0;
        }
        kept.start - start..kept.end - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(trim: &mut Trim, lengths: &[u64]) -> Vec<Range<u64>> {
        lengths.iter().map(|length| trim.take(*length)).collect()
    }

    #[test]
    fn delay_and_padding_are_left_out_and_later_frames_are_kept() {
        let mut trim = Trim::new(15, 30..40);
        assert_eq!(kept(&mut trim, &[10; 5]), [0..0, 5..10, 0..10, 0..0, 0..10]);
        let mut trim = Trim::new(1, 35..40);
        assert_eq!(kept(&mut trim, &[20; 3]), [1..20, 0..15, 0..20]);
    }

    #[test]
    fn an_edit_keeps_a_stretch() {
        let mut trim = Trim::keep(5, Some(10));
        assert_eq!(kept(&mut trim, &[8; 3]), [5..8, 0..7, 0..0]);
        let mut trim = Trim::none();
        assert_eq!(kept(&mut trim, &[8, 0, 8]), [0..8, 0..0, 0..8]);
    }

    #[test]
    fn the_rule_scales_with_the_rate_and_endless_stays_endless() {
        assert_eq!(
            Trim::new(10, 20..30).rescaled(1000, 16_000),
            Trim::new(160, 320..480)
        );
        assert_eq!(Trim::none().rescaled(3, 7), Trim::none());
    }
}
