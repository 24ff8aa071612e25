//! The stand-in of the speech service and the stage on which the built program is driven.
//!
//! Dev only: nothing of it is in the shipped binary. The stand-in is blocking HTTP/1.1 by hand, so
//! that it sees every byte and controls every moment; the stage gives each test a folder, a home
//! and a configuration of its own.

pub mod audio;
pub mod hook;
pub mod s3;
pub mod seaweed;
pub mod service;
pub mod stage;
