//! What a test may ask of the stand-in beside its usual behaviour: one rule for some requests.
//!
//! A rule names an endpoint, a moment in the life of a request and an act. Rules are tried in
//! the order they were given; each serves a number of requests and is then used up.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::http::Reply;

/// The addresses that the stand-in knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /transcribe`
    Submit,
    /// `POST /transcribe/status`
    Status,
    /// `POST /check-balance`
    Balance,
    /// `GET /v1/audio-models`
    Models,
    /// `POST /v1/audio/transcriptions`
    OpenAi,
    /// Anything else: 404.
    Unknown,
}

/// A moment in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The head was read, nothing of the body.
    Head,
    /// This many bytes of the body were read.
    After(u64),
    /// All but this many bytes of the body were read.
    Before(u64),
    /// The last byte of the body was read.
    Complete,
}

/// What happens at the moment.
#[derive(Clone, Debug)]
pub enum Act {
    /// The usual behaviour goes on (useful behind a gate).
    GoOn,
    /// This reply; at an earlier moment than `Complete` the rest of the body is never read.
    Answer(Reply),
    /// Nothing, until the client gives up.
    Hang,
    /// The connection is reset.
    Reset,
    /// The connection is closed in good order, without a word.
    Close,
    /// The first bytes of this reply (counted from its head), then the end.
    Cut(Reply, usize),
    /// These very bytes, then the end.
    Raw(Vec<u8>),
    /// This reply in pieces of so many bytes with this pause between them.
    Trickle(Reply, usize, Duration),
    /// The usual reply is made (and charged), but only so many bytes of its body are sent.
    CutUsual(usize),
    /// The usual reply is made (and charged), and then the connection is reset.
    LoseUsual,
}

/// One scripted deviation.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) endpoint: Endpoint,
    pub(super) content: Option<String>,
    pub(super) left: u32,
    pub(super) skip: u32,
    pub(super) moment: Moment,
    pub(super) act: Act,
    pub(super) charged: bool,
    pub(super) gate: Option<Gate>,
}

impl Rule {
    /// A rule for the next request to `endpoint`; without more it changes nothing.
    pub fn on(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            content: None,
            left: 1,
            skip: 0,
            moment: Moment::Complete,
            act: Act::GoOn,
            charged: false,
            gate: None,
        }
    }

    /// Only for submits of exactly these bytes (known when the body is complete).
    #[must_use]
    pub fn of(mut self, bytes: &[u8]) -> Self {
        self.content = Some(blake3::hash(bytes).to_hex().to_string());
        self
    }

    /// For so many requests instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    /// For every request from now on.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Acts at this moment instead of at the end of the body.
    #[must_use]
    pub fn at(mut self, moment: Moment) -> Self {
        self.moment = moment;
        self
    }

    /// Charges the submit although the reply is scripted: "billed, and then it went wrong".
    #[must_use]
    pub fn charged(mut self) -> Self {
        self.charged = true;
        self
    }

    /// Waits at the moment until the gate is opened, then acts.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// What happens.
    #[must_use]
    pub fn act(mut self, act: Act) -> Self {
        self.act = act;
        self
    }

    /// Short for [`Act::Answer`].
    #[must_use]
    pub fn answer(self, reply: Reply) -> Self {
        self.act(Act::Answer(reply))
    }
}

/// Something that requests wait at until the test lets them through.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.inner.0.lock().unwrap() = true;
        self.inner.1.notify_all();
    }

    pub(super) fn pass(&self) {
        let mut open = self.inner.0.lock().unwrap();
        while !*open {
            open = self.inner.1.wait(open).unwrap();
        }
    }
}
