//! Sample sources for the tests and the measuring example.

use std::io;

/// A source that hands out samples in blocks.
pub(crate) fn source(samples: &[f32]) -> impl FnMut(&mut [f32]) -> Result<usize, io::Error> {
    let mut rest = samples;
    move |block| {
        let (now, later) = rest.split_at(block.len().min(rest.len()));
        rest = later;
        block[..now.len()].copy_from_slice(now);
        Ok(now.len())
    }
}
