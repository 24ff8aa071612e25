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
mod named;
mod page;
mod resumed;
mod screens;
mod situations;
mod usage;
mod ways;
mod wrong;

use stenod_support::audio::wav;
use stenod_support::service::{Endpoint, Gate, Rule};
use stenod_support::stage::Stage;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_stenod"))
}

/// A run to be agreed to, whose price is not known before the gate is opened.
fn before_the_price() -> (Stage, Gate) {
    let stage = screens::still();
    stage.disagree();
    stage.put("first.wav", &wav(1, 30.0));
    let gate = Gate::closed();
    stage
        .service
        .script(Rule::on(Endpoint::Models).behind(&gate));
    (stage, gate)
}
