//! Makes the bytes of a recording reachable for a service.
//!
//! The source is opened for reading only and read exactly once, never past the length that was queued.
//! What was read is hashed, so that what is sent can be proven to be what was queued.

pub mod bucket;
mod direct;

pub use direct::{Chunks, Stamp, Unchanged, open};
