//! While bars are drawn, what is typed is not shown: it would tear them.
//!
//! The terminal is as it was before whenever the bars are away, however that comes about.

use std::io;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// How the terminal was, while it is hushed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Nothing typed is shown for as long as this lives.
#[derive(Debug)]
pub(super) struct Hush;

impl Hush {
    /// Hushes the terminal; nothing where there is none, or it is in the hands of others.
    pub(super) fn begin() -> Option<Self> {
        static ONCE: Once = Once::new();
        let stdin = io::stdin();
        // Whoever works in the background is stopped where it changes the terminal.
        if tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        if !before.local_modes.contains(LocalModes::ECHO) {
            return None;
        }
        let mut hushed = before.clone();
        hushed.local_modes.remove(LocalModes::ECHO);
        *kept() = Some(before);
        tcsetattr(&stdin, OptionalActions::Now, &hushed).ok()?;
        ONCE.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                hook(panic);
            }));
        });
        Some(Self)
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        restore();
    }
}

fn kept() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn restore() {
    if let Some(before) = kept().take() {
        match tcsetattr(io::stdin(), OptionalActions::Now, &before) {
            // A terminal that is gone needs nothing.
            Ok(()) | Err(_) => {}
        }
    }
}
