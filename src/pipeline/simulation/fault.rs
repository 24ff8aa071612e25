//! Every way in which the world can turn against the pipeline, port by port.

/// Something outside the program that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Port {
    /// A transaction that changes the table.
    Commit,
    /// A chunk of a recording.
    Read,
    /// A draft of an output that is to be filled.
    Draft,
    /// A draft that is to get its final name.
    Rename,
    /// An output that has it.
    Renamed,
    /// A submit to the service.
    Submit,
    /// A question about a run.
    Poll,
}

/// What a body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// One of the service's errors.
    Error,
    /// Nothing.
    Empty,
    /// What a proxy says.
    Html,
    /// A run that ended badly.
    Failed,
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies before the call has an effect.
    CrashBefore,
    /// The process dies after the call had its effect, and before it hears of it.
    CrashAfter,
    /// There is no room on the disk, just once.
    NoRoom,
    /// There is no room on the disk for so many seconds.
    NoRoomFor(u64),
    /// The system refuses.
    Denied,
    /// A person stops the program.
    Stop,
    /// Somebody changes a recording.
    Change,
    /// Somebody puts a file of their own where an output would go.
    Foreign,
    /// The wall clock jumps by so many seconds.
    Jump(i64),
    /// No connection.
    Unreachable,
    /// The connection breaks within the body.
    BreakInside,
    /// The service takes no more bytes.
    StallInside,
    /// An answer before the body was whole.
    Early(u16),
    /// The connection breaks after the last chunk.
    BreakAfter {
        /// Whether it was billed.
        billed: bool,
    },
    /// Nothing comes after the last chunk.
    Hang {
        /// Whether it was billed.
        billed: bool,
    },
    /// The right answer, so many seconds late.
    Late(u64),
    /// Another answer after the last chunk.
    Answer {
        /// The status.
        status: u16,
        /// What the body says.
        body: Body,
        /// When to come back, in seconds.
        retry_after: Option<u64>,
        /// Whether it was billed.
        billed: bool,
    },
    /// The right answer without a word about its cost.
    CostUnnamed,
    /// The run will cost more than its ticket says.
    DearerRun,
    /// The run will end badly.
    RunFails,
    /// A status that nobody has heard of.
    Brewing,
}

/// A refusal, which is never billed.
const fn refusal(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Answer {
        status,
        body: Body::Error,
        retry_after,
        billed: false,
    }
}

const fn billed(status: u16, body: Body) -> Fault {
    Fault::Answer {
        status,
        body,
        retry_after: None,
        billed: true,
    }
}

const COMMIT: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Stop,
    Fault::Foreign,
    Fault::Change,
    Fault::NoRoom,
    Fault::NoRoomFor(90),
    Fault::Jump(3 * 86_400),
    Fault::Jump(-3 * 86_400),
];

const FILE: &[Fault] = &[
    Fault::CrashBefore,
    Fault::NoRoom,
    Fault::Denied,
    Fault::Stop,
    Fault::Foreign,
];

const READ: &[Fault] = &[
    Fault::CrashBefore,
    Fault::Denied,
    Fault::Change,
    Fault::Stop,
];

const SUBMIT: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Stop,
    Fault::Unreachable,
    Fault::BreakInside,
    Fault::StallInside,
    Fault::Early(401),
    Fault::Early(413),
    Fault::Early(500),
    Fault::BreakAfter { billed: true },
    Fault::BreakAfter { billed: false },
    Fault::Hang { billed: true },
    Fault::Hang { billed: false },
    Fault::Late(120),
    Fault::Change,
    Fault::CostUnnamed,
    Fault::DearerRun,
    Fault::RunFails,
    refusal(401, None),
    refusal(402, None),
    refusal(403, None),
    refusal(429, Some(30)),
    refusal(429, Some(3 * 3600)),
    refusal(503, Some(20)),
    refusal(408, None),
    refusal(425, None),
    refusal(525, None),
    refusal(302, None),
    refusal(400, None),
    refusal(404, None),
    refusal(409, None),
    refusal(413, None),
    refusal(415, None),
    refusal(422, None),
    billed(500, Body::Error),
    billed(502, Body::Html),
    billed(503, Body::Empty),
    billed(504, Body::Html),
    billed(520, Body::Html),
    billed(200, Body::Empty),
    billed(200, Body::Html),
    Fault::Answer {
        status: 500,
        body: Body::Error,
        retry_after: None,
        billed: false,
    },
    Fault::Answer {
        status: 200,
        body: Body::Failed,
        retry_after: None,
        billed: false,
    },
];

const POLL: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Stop,
    Fault::Unreachable,
    Fault::BreakAfter { billed: false },
    Fault::Hang { billed: false },
    Fault::Late(30),
    Fault::Brewing,
    Fault::RunFails,
    refusal(401, None),
    refusal(402, None),
    refusal(404, None),
    refusal(429, Some(40)),
    refusal(500, None),
    refusal(502, None),
    Fault::Answer {
        status: 200,
        body: Body::Html,
        retry_after: None,
        billed: false,
    },
    Fault::Answer {
        status: 200,
        body: Body::Empty,
        retry_after: None,
        billed: false,
    },
];

impl Port {
    /// What can go wrong there.
    pub(super) fn faults(self) -> &'static [Fault] {
        match self {
            Self::Commit => COMMIT,
            Self::Read => READ,
            Self::Draft | Self::Rename | Self::Renamed => FILE,
            Self::Submit => SUBMIT,
            Self::Poll => POLL,
        }
    }
}

impl Fault {
    /// Whether a job may rightly end without a transcript because of it.
    pub(super) fn may_fail_a_job(self) -> bool {
        match self {
            Self::Change | Self::RunFails | Self::Early(413) => true,
            Self::Answer { status, body, .. } => {
                body == Body::Failed || matches!(status, 400 | 404 | 409 | 413 | 415 | 422)
            }
            // Five in a row end a job.
            Self::BreakInside | Self::StallInside | Self::Denied => true,
            Self::CrashBefore
            | Self::CrashAfter
            | Self::NoRoom
            | Self::NoRoomFor(_)
            | Self::Stop
            | Self::Foreign
            | Self::Jump(_)
            | Self::Unreachable
            | Self::Early(_)
            | Self::BreakAfter { .. }
            | Self::Hang { .. }
            | Self::Late(_)
            | Self::CostUnnamed
            | Self::DearerRun
            | Self::Brewing => false,
        }
    }
}
