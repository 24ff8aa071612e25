//! The pure core: decisions and data, with no file system, network, clock, environment or SQL.

pub mod audio;
pub mod captions;
pub mod cast;
pub mod cut;
pub mod exposition;
pub mod fall;
pub mod format;
pub mod glossary;
pub mod job;
pub mod language;
pub mod mend;
pub mod money;
pub mod naming;
pub mod object;
pub mod pace;
pub mod pieces;
pub mod price;
pub mod render;
pub mod route;
pub mod settle;
pub mod silence;
pub mod step;
pub mod style;
pub mod timing;
pub mod transcript;
pub mod verdict;
