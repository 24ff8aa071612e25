//! Watching real folders: whatever happens in them, every recording is hinted at and found.
//!
//! Nothing here sleeps: a test acts, and then waits for the hint that must come.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on ends"
)]

mod follower;
mod mounts;
mod random;
mod scenes;
mod storms;
