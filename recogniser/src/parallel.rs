//! Sharing work out to threads that end with the call: no pool, no spinning, no task left behind.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` on every item, on up to `threads` threads; the calling thread is one of them.
///
/// If the system refuses a thread, the others do its share.
pub(crate) fn share<I>(threads: usize, items: I, work: &(dyn Fn(I::Item) + Sync))
where
    I: ExactSizeIterator + Send,
{
    let helpers = threads.min(items.len()).saturating_sub(1);
    let queue = Mutex::new(items);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some(item) = next() {
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_whatever_the_number_of_threads() {
        for threads in [0, 1, 2, 7] {
            let mut places = [0; 5];
            share(threads, places.iter_mut(), &|place| *place += 1);
            assert_eq!(places, [1; 5]);
        }
    }
}
