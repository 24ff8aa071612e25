//! The wall around the decoder libraries: a panic inside them becomes a value.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A decoder library panicked; what it worked on must not be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs `work`, turning a panic into [`Panicked`].
///
/// Unwind safety: every caller drops or fences the state that `work` touched when this fails.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        assert_eq!(guarded(|| 7), Ok(7));
        let empty: Vec<u8> = Vec::new();
        assert_eq!(guarded(|| empty[std::hint::black_box(1)]), Err(Panicked));
    }
}
