//! The control socket: how a command reaches the process that holds the state.
//!
//! A Unix socket in the state directory, for its owner alone. One request a connection, lines of JSON,
//! every size and wait bounded. It carries orders and hints; what they are about is in the table.

mod address;
mod client;
mod lines;
mod protocol;
mod rendering;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Call, CallError};
pub use protocol::{
    Answer, Ended, Held, Left, Message, MinutePrice, Named, News, Order, Planned, Refusal,
    RefusalKind, Request, RunFlags, RunOrder, SpendingLimit, Taken, Unsettled, UnsettledFile,
    VERSION, Watching, WithService,
};
pub use rendering::{LeftFile, RenderGroup, RenderOrder, Rendered, WrittenFile};
pub use server::{Desk, Server, Told, told};
