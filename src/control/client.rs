//! The client: one order over one connection, and what is said to it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::address::Address;
use super::lines::{self, LineError};
use super::protocol::{Message, Order, Request, VERSION};

/// How long a server may say nothing at all, not even that it is alive.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How long sending an order may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the longest line of a server: a million job numbers.
const LONGEST_MESSAGE: u64 = 16 << 20;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens.
    #[error("nobody answers at the control socket")]
    NobodyThere(#[source] io::Error),
    /// The connection ended before the answer came.
    #[error("the connection ended before the answer came")]
    Gone,
    /// Nothing came for a minute.
    #[error("nothing came from the control socket for {} s", LONGEST_SILENCE.as_secs())]
    Silent,
    /// What came is not understood.
    #[error("the control socket is not understood")]
    Line(#[from] LineError),
}

/// An order that is being carried out elsewhere.
#[derive(Debug)]
pub struct Call {
    reader: BufReader<OwnedReadHalf>,
    // Kept, because a closed half says that nobody waits any more.
    _writer: OwnedWriteHalf,
}

impl Call {
    /// Hands `order` to whoever holds `state_dir`.
    ///
    /// # Errors
    /// [`CallError`] where nobody listens or takes it.
    pub async fn place(state_dir: &Path, order: &Order) -> Result<Self, CallError> {
        let address = Address::in_folder(state_dir).map_err(CallError::NobodyThere)?;
        let stream = UnixStream::connect(address.path())
            .await
            .map_err(CallError::NobodyThere)?;
        let (reader, mut writer) = stream.into_split();
        let request = Request {
            version: VERSION,
            order: serde_json::to_value(order).map_err(LineError::from)?,
        };
        match timeout(SEND_TIMEOUT, lines::write(&mut writer, &request)).await {
            Ok(Ok(())) => {}
            Ok(Err(LineError::Stream(_))) => return Err(CallError::Gone),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(CallError::Silent),
        }
        Ok(Self {
            reader: BufReader::new(reader),
            _writer: writer,
        })
    }

    /// The next thing that is said: news until the order is done or refused.
    ///
    /// # Errors
    /// [`CallError`] where nothing more is to be expected.
    pub async fn next(&mut self) -> Result<Message, CallError> {
        loop {
            let read = lines::read(&mut self.reader, LONGEST_MESSAGE);
            match timeout(LONGEST_SILENCE, read).await {
                Ok(Ok(Some(Message::Alive))) => {}
                Ok(Ok(Some(message))) => return Ok(message),
                Ok(Ok(None) | Err(LineError::Stream(_))) => return Err(CallError::Gone),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(CallError::Silent),
            }
        }
    }
}
