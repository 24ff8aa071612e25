//! The wall around the decoder libraries: a panic inside them becomes a value.
//!
//! Damaged files do make them panic. Such a panic is logged and not printed; every other panic goes
//! to the hook that was there before.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// This thread is inside the wall.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A decoder library panicked; what it worked on must not be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs `work`, turning a panic into [`Panicked`].
///
/// Unwind safety: every caller drops the state that `work` touched when this fails.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    quieten();
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outer);
    result.map_err(|_| Panicked)
}

/// Puts a hook before the present one that keeps panics inside the wall off the terminal.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if INSIDE.get() {
                tracing::debug!(%panic, "a decoder library failed on a damaged file");
            } else {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        assert_eq!(guarded(|| 7), Ok(7));
        let empty: Vec<u8> = Vec::new();
        assert_eq!(guarded(|| empty[std::hint::black_box(1)]), Err(Panicked));
        assert!(!INSIDE.get(), "the wall is closed behind a panic");
    }
}
