//! Whatever the bytes, pieces follow each other without gap or overlap, and none has more bytes than allowed.
//!
//! The first two bytes say how it is cut, the rest is the recording.

#![no_main]

use std::io;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use stenod::domain::audio::AudioDuration;
use stenod::domain::cut::Cutting;
use stenod::media::decode::Samples;
use stenod::media::split::{Piece, Resume, Spool, split};
use stenod_fuzz::file_of;

/// Sound that is cut at most, in microseconds: two minutes.
const MOST_MICROS: u64 = 120_000_000;

/// Looks at the pieces and forgets them.
struct Looked {
    limit: u64,
    next: u32,
    end: u64,
}

impl Spool for Looked {
    type File = Vec<u8>;

    fn begin(&mut self, number: u32) -> io::Result<Vec<u8>> {
        assert_eq!(number, self.next);
        Ok(Vec::new())
    }

    fn complete(&mut self, piece: Piece, file: Vec<u8>) -> io::Result<()> {
        assert_eq!((piece.number, piece.stretch.start), (self.next, self.end));
        assert!(piece.stretch.start < piece.stretch.end);
        assert_eq!(piece.bytes, file.len() as u64);
        assert!(piece.bytes <= self.limit, "{piece:?}, limit {}", self.limit);
        self.next += 1;
        self.end = piece.stretch.end;
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([length, limit], recording)) = bytes.split_first_chunk() else {
        return;
    };
    let limit = (u64::from(*limit) + 1) << 10;
    let wanted = AudioDuration::from_micros(u64::from(*length) * 250_000);
    let Some(cutting) = Cutting::new(wanted, limit) else {
        return;
    };
    let file = file_of(recording).expect("a file in memory");
    let Ok(samples) = Samples::from_file(&file) else {
        return;
    };
    let mut looked = Looked {
        limit,
        next: 0,
        end: 0,
    };
    let mut heed = |done: AudioDuration| {
        if done.micros() > MOST_MICROS {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    if let Ok(whole) = split(samples, &cutting, Resume::default(), &mut looked, &mut heed) {
        assert_eq!(whole.pieces, looked.next);
        assert_eq!(
            Some(whole.duration),
            AudioDuration::from_frames(looked.end, 16_000)
        );
    }
});
