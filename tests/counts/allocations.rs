//! How often memory is asked for while one document is rendered.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use stenod::domain::format::Format;
use stenod::domain::render::render;

use crate::document::document;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's memory, counted for each thread.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(
    unsafe_code,
    reason = "there is no other way to count what the memory is asked"
)]
// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as whoever calls this promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as whoever calls this promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as whoever calls this promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count() {
    // A thread that is ending has nothing to count any more.
    ALLOCATIONS
        .try_with(|count| count.set(count.get() + 1))
        .unwrap_or(());
}

fn of<T>(work: impl FnOnce() -> T) -> u64 {
    let before = ALLOCATIONS.get();
    std::hint::black_box(work());
    ALLOCATIONS.get() - before
}

/// The most allocations for a hundred words.
const MOST: [(Format, u64); 10] = [
    (Format::Txt, 40),
    (Format::Json, 900),
    (Format::Srt, 2600),
    (Format::Vtt, 2600),
    (Format::Md, 400),
    (Format::Tsv, 60),
    (Format::Diarization, 900),
    (Format::Rttm, 60),
    (Format::Podcast, 2200),
    (Format::Lrc, 2600),
];

#[test]
fn rendering_asks_for_memory_in_step_with_the_words_and_no_oftener() {
    let (small, large) = (document(1000), document(4000));
    let mut over = Vec::new();
    for (format, most) in MOST {
        let counted = [&small, &large].map(|document| of(|| render(format, document)));
        let each = (counted[1] - counted[0].min(counted[1])) / 30;
        if each > most {
            over.push(format!(
                "{}: {each} for a hundred words, {most} allowed",
                format.name()
            ));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
