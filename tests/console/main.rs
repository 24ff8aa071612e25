//! The command line as people and scripts meet it.

#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests make and move files as users do"
)]

mod consent;
mod doctor;
mod explain;
mod help;
mod init;
mod live;
mod manners;
mod mends;
mod page;
mod resumed;
mod screens;
mod situations;
mod usage;
mod ways;
mod wrong;

use stenod_support::stage::Stage;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}
