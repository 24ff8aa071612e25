//! The body of a submit whose last chunk is held back until the gate was passed, and the watch on it.
//!
//! A request is in one of three phases: open, committing, closed. Only an open one can be closed, and
//! a closed one never passes its gate: an answer that comes early settles that nothing was billed.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _, try_unfold};
use tokio::sync::watch;

use super::{Gate, NoAnswer, Withheld};
use crate::domain::verdict::Phase;

/// A connection that takes no byte for this long is given up; up to 5 MB may lie in buffers.
const STALL: Duration = Duration::from_secs(90);

const OPEN: u8 = 0;
const COMMITTING: u8 = 1;
const CLOSED: u8 = 2;

/// What is known of a body on its way.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    phase: Arc<AtomicU8>,
    failure: Arc<Mutex<Option<NoAnswer>>>,
    moved: watch::Receiver<u64>,
}

/// Multipart text before and after the file, and the file between them.
pub(crate) struct Parts {
    pub(crate) before: Bytes,
    pub(crate) chunks: BoxStream<'static, io::Result<Bytes>>,
    pub(crate) after: Bytes,
    pub(crate) gate: Gate,
}

struct Sending {
    parts: Parts,
    gate: Option<Gate>,
    held: Option<Bytes>,
    step: Step,
    watch: Watch,
    moved: watch::Sender<u64>,
}

#[derive(Clone, Copy)]
enum Step {
    Before,
    File,
    End,
}

/// The body was ended on purpose or by its source; why is kept in the [`Watch`].
#[derive(Debug, thiserror::Error)]
#[error("the body was ended before its last chunk")]
pub(crate) struct Ended;

/// The stream of a body and the watch on it.
pub(crate) fn body(parts: Parts) -> (impl Stream<Item = Result<Bytes, Ended>> + Send, Watch) {
    let (moved, receiver) = watch::channel(0);
    let watch = Watch {
        phase: Arc::new(AtomicU8::new(OPEN)),
        failure: Arc::default(),
        moved: receiver,
    };
    let Parts {
        before,
        chunks,
        after,
        gate,
    } = parts;
    let no_gate: Gate = Box::new(|| Box::pin(async { Err(Withheld::Stopping) }));
    let sending = Sending {
        parts: Parts {
            before,
            chunks,
            after,
            gate: no_gate,
        },
        gate: Some(gate),
        held: None,
        step: Step::Before,
        watch: watch.clone(),
        moved,
    };
    (try_unfold(sending, next_chunk), watch)
}

async fn next_chunk(mut sending: Sending) -> Result<Option<(Bytes, Sending)>, Ended> {
    sending.moved.send_modify(|chunks| *chunks += 1);
    match sending.step {
        Step::Before => {
            sending.step = Step::File;
            Ok(Some((sending.parts.before.clone(), sending)))
        }
        Step::File => next_of_file(sending).await.map(Some),
        Step::End => Ok(None),
    }
}

/// The next chunk of the file; the last one, with what follows it, only through the gate.
async fn next_of_file(mut sending: Sending) -> Result<(Bytes, Sending), Ended> {
    loop {
        let next = match sending.parts.chunks.next().await.transpose() {
            Ok(next) => next,
            Err(error) => return Err(sending.watch.fail(NoAnswer::Source(error))),
        };
        match (sending.held.take(), next) {
            (None, Some(first)) => sending.held = Some(first),
            (Some(held), Some(next)) => {
                sending.held = Some(next);
                return Ok((held, sending));
            }
            (held, None) => {
                pass_gate(&mut sending).await?;
                sending.step = Step::End;
                let mut last = held.map(|held| held.to_vec()).unwrap_or_default();
                last.extend_from_slice(&sending.parts.after);
                return Ok((Bytes::from(last), sending));
            }
        }
    }
}

async fn pass_gate(sending: &mut Sending) -> Result<(), Ended> {
    let phase = &sending.watch.phase;
    if phase
        .compare_exchange(OPEN, COMMITTING, Ordering::SeqCst, Ordering::SeqCst)
        .is_err()
    {
        return Err(Ended);
    }
    let passed = match sending.gate.take() {
        Some(gate) => gate().await,
        None => Err(Withheld::Stopping),
    };
    passed.map_err(|withheld| {
        sending.watch.phase.store(CLOSED, Ordering::SeqCst);
        sending.watch.fail(NoAnswer::Withheld(withheld))
    })
}

impl Watch {
    /// Closes the request unless its last chunk is on its way; says what the service can have seen.
    pub(crate) fn close(&self) -> Phase {
        match self
            .phase
            .compare_exchange(OPEN, CLOSED, Ordering::SeqCst, Ordering::SeqCst)
        {
            Ok(_) | Err(CLOSED) => Phase::BeforeCommit,
            Err(_) => Phase::AfterCommit,
        }
    }

    /// Why the body ended before its last chunk, if it did so on purpose or by its source.
    pub(crate) fn failure(&self) -> Option<NoAnswer> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Comes back when nothing has moved for too long: before the last chunk after [`STALL`], after it
    /// when no answer came within `patience`.
    pub(crate) async fn stalled(&self, patience: Duration) -> String {
        let mut moved = self.moved.clone();
        loop {
            let committed = self.phase.load(Ordering::SeqCst) == COMMITTING;
            let limit = if committed {
                patience.max(STALL)
            } else {
                STALL
            };
            match tokio::time::timeout(limit, moved.changed()).await {
                Ok(Ok(())) => {}
                // The body is gone whole; only the answer is waited for now.
                Ok(Err(_)) => {
                    tokio::time::sleep(patience).await;
                    return format!("no answer within {} s", patience.as_secs());
                }
                Err(_) => return format!("nothing moved for {} s", limit.as_secs()),
            }
        }
    }

    fn fail(&self, failure: NoAnswer) -> Ended {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        Ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn parts(gate: Gate) -> Parts {
        let chunks = [
            Ok(Bytes::from_static(b"one")),
            Ok(Bytes::from_static(b"two")),
        ];
        Parts {
            before: Bytes::from_static(b"<"),
            chunks: stream::iter(chunks).boxed(),
            after: Bytes::from_static(b">"),
            gate,
        }
    }

    #[tokio::test]
    async fn the_last_chunk_leaves_only_through_the_gate() {
        let passed = Arc::new(AtomicU8::new(0));
        let seen = passed.clone();
        let gate: Gate = Box::new(move || {
            Box::pin(async move {
                seen.store(1, Ordering::SeqCst);
                Ok(())
            })
        });
        let (body, watch) = body(parts(gate));
        let mut body = Box::pin(body);
        assert_eq!(body.next().await.unwrap().unwrap(), "<");
        assert_eq!(body.next().await.unwrap().unwrap(), "one");
        assert_eq!(passed.load(Ordering::SeqCst), 0);
        assert_eq!(body.next().await.unwrap().unwrap(), "two>");
        assert_eq!(passed.load(Ordering::SeqCst), 1);
        assert_eq!(watch.close(), Phase::AfterCommit);
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn a_gate_that_refuses_ends_the_body_and_says_why() {
        let gate: Gate = Box::new(|| Box::pin(async { Err(Withheld::SourceChanged) }));
        let (body, watch) = body(parts(gate));
        let sent: Vec<_> = body.collect().await;
        assert!(sent.last().unwrap().is_err());
        assert_eq!(watch.close(), Phase::BeforeCommit);
        let failure = watch.failure();
        assert!(matches!(
            failure,
            Some(NoAnswer::Withheld(Withheld::SourceChanged))
        ));
    }

    #[tokio::test]
    async fn a_request_that_was_answered_early_never_passes_its_gate() {
        let gate: Gate = Box::new(|| Box::pin(async { panic!("the gate was passed") }));
        let (body, watch) = body(parts(gate));
        assert_eq!(watch.close(), Phase::BeforeCommit);
        let sent: Vec<_> = body.collect().await;
        assert!(sent.last().unwrap().is_err());
    }

    #[tokio::test]
    async fn a_source_that_cannot_be_read_ends_the_body_before_anything_is_billed() {
        let gate: Gate = Box::new(|| Box::pin(async { panic!("the gate was passed") }));
        let broken = io::Error::from(io::ErrorKind::PermissionDenied);
        let parts = Parts {
            chunks: stream::iter([Err(broken)]).boxed(),
            ..parts(gate)
        };
        let (body, watch) = body(parts);
        let sent: Vec<_> = body.collect().await;
        assert!(sent.last().unwrap().is_err());
        assert_eq!(watch.close(), Phase::BeforeCommit);
        assert!(matches!(watch.failure(), Some(NoAnswer::Source(_))));
    }
}
