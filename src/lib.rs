//! stenod turns folders of recordings into transcripts.
//!
//! One road, one direction: discover → queue → media → delivery → speech → outputs. Every step's
//! result is recorded in the job's row before the next step begins. ARCHITECTURE.md has the map.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod delivery;
pub mod desk;
pub mod discover;
pub mod disk;
pub mod domain;
pub mod durable;
#[cfg(test)]
mod faults;
pub mod https;
pub mod media;
pub mod notes;
pub mod outputs;
pub mod pipeline;
pub mod queue;
pub mod receivers;
pub mod session;
pub mod source;
pub mod speech;
pub mod supervise;
pub mod systemd;
pub mod telemetry;
pub mod web;
