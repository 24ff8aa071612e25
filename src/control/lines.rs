//! Lines of JSON over a stream, with a bound on each.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};

/// Why no message could be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The stream failed.
    #[error("the connection broke off")]
    Stream(#[from] io::Error),
    /// A line is longer than allowed.
    #[error("a line is longer than {0} bytes")]
    TooLong(u64),
    /// A line is not the message that is expected here.
    #[error("a line is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads one message of at most `longest` bytes; `None` at the end of the stream.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufRead + Unpin),
    longest: u64,
) -> Result<Option<T>, LineError> {
    let mut line = Vec::new();
    let count = stream.take(longest).read_until(b'\n', &mut line).await?;
    if count == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        let is_cut = u64::try_from(count).unwrap_or(u64::MAX) >= longest;
        return Err(if is_cut {
            LineError::TooLong(longest)
        } else {
            io::Error::from(io::ErrorKind::UnexpectedEof).into()
        });
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Writes one message.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(stream.flush().await?)
}
