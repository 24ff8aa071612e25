//! The pure core: decisions and data, with no file system, network, clock, environment or SQL.

pub mod audio;
pub mod captions;
pub mod format;
pub mod render;
pub mod settle;
pub mod transcript;
