//! What an answer of the service means, as one total function over status, phase and shape.
//!
//! Sources: the service's contract and what was measured of it. The HTTP status decides first, the
//! shape of the body second, the words of a message never. Before the last chunk was handed over
//! nothing can have been billed; after it, silence and most 5xx are in doubt.

use super::job::Reason;

/// Whether the service can have seen the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The last chunk was still held back: nothing can have been billed.
    BeforeCommit,
    /// The last chunk was handed over.
    AfterCommit,
}

/// What a body looks like, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A transcript, perhaps an empty one.
    Transcript,
    /// A ticket: a run id and no text.
    Ticket,
    /// A run that is still going, or a status that nobody has heard of.
    Running,
    /// A run that ended badly, with the service's words.
    Failure(String),
    /// An error in any of the service's shapes, with its words.
    Error(String),
    /// Nothing at all.
    Empty,
    /// JSON that is cut off or says nothing that is known.
    Unreadable(String),
    /// No JSON at all: a page of HTML, plain text.
    Foreign(String),
}

impl Shape {
    /// The service's own words, where there are any.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Failure(words)
            | Self::Error(words)
            | Self::Unreadable(words)
            | Self::Foreign(words) => Some(words.as_str()).filter(|words| !words.is_empty()),
            Self::Transcript | Self::Ticket | Self::Running | Self::Empty => None,
        }
    }
}

/// What an answer means for the job and for the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Taken: the stored reply holds a transcript or a ticket.
    Accepted,
    /// Refused without being billed; the same may be sent again.
    Retry(Halt, Reason),
    /// Billed or not, nobody can say; the queue waits until the service is known to answer again.
    InDoubt(Halt, Reason),
    /// Answered with something that cannot be read, and perhaps billed: it is kept, and the queue waits as
    /// in doubt; the same would be answered again, so that it is never repeated by itself.
    Unread(Halt, Reason),
    /// Permanent for these bytes and settings.
    Reject(Reason),
    /// Nothing can be sent for anybody until something changes.
    Halt(Halt, Reason),
}

/// What the whole queue waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Halt {
    /// The key was refused.
    Key,
    /// The balance is too low.
    Balance,
    /// Too many requests.
    RateLimit,
    /// The service is out of reach or overloaded.
    Offline,
    /// What answers there has never taken a recording, and may not be the service at all.
    Address,
}

/// What is known of the address that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has taken a recording before.
    Proven,
    /// It never has: what looks like no speech service may be none.
    Unproven,
}

/// What the answer to a submit means.
///
/// `has_retry_after` tells whether it said when to come back, `standing` what is known of who answers.
pub fn submit_verdict(
    status: u16,
    phase: Phase,
    shape: &Shape,
    has_retry_after: bool,
    standing: Standing,
) -> Verdict {
    let is_strange = standing == Standing::Unproven && is_no_service(status, shape);
    match status {
        200..=299 => accepted(phase, shape, is_strange),
        _ if is_strange => Verdict::Halt(Halt::Address, reason("not_the_service", status, shape)),
        401 | 403 => Verdict::Halt(Halt::Key, reason("key_refused", status, shape)),
        402 => Verdict::Halt(Halt::Balance, reason("balance_empty", status, shape)),
        429 => Verdict::Halt(Halt::RateLimit, reason("rate_limited", status, shape)),
        300..=399 | 407 | 511 => Verdict::Halt(Halt::Offline, reason("redirected", status, shape)),
        408 | 425 | 503 => refused_or_doubtful(status, phase, shape, has_retry_after),
        400..=499 => Verdict::Reject(reason(reject_code(status), status, shape)),
        525 | 526 | 530 => {
            Verdict::Retry(Halt::Offline, reason("service_unreachable", status, shape))
        }
        _ => doubtful(status, phase, shape),
    }
}

/// Whether an answer looks as if something else than the service answered: a page, where the service
/// speaks JSON, that says that there is no such address, or that says nothing of the kind at all.
fn is_no_service(status: u16, shape: &Shape) -> bool {
    matches!(shape, Shape::Foreign(_)) && matches!(status, 200..=299 | 404 | 405 | 501)
}

/// A success status: taken if the body says so; a success that cannot be read may have been billed.
fn accepted(phase: Phase, shape: &Shape, is_strange: bool) -> Verdict {
    let halt = if is_strange {
        Halt::Address
    } else {
        Halt::Offline
    };
    match (shape, phase) {
        (Shape::Transcript | Shape::Ticket, _) => Verdict::Accepted,
        (Shape::Failure(words), _) => Verdict::Reject(Reason::new(
            "service_failed",
            format!("the service could not transcribe it: {}", or_nothing(words)),
        )),
        (
            Shape::Running
            | Shape::Error(_)
            | Shape::Empty
            | Shape::Unreadable(_)
            | Shape::Foreign(_),
            Phase::BeforeCommit,
        ) => Verdict::Retry(halt, Reason::new("reply_unreadable", UNREADABLE)),
        // What came may hold the transcript, whose words belong into no log.
        (Shape::Unreadable(_), Phase::AfterCommit) => {
            Verdict::Unread(halt, Reason::new("reply_unreadable", UNREADABLE))
        }
        (
            Shape::Running | Shape::Error(_) | Shape::Empty | Shape::Foreign(_),
            Phase::AfterCommit,
        ) => Verdict::InDoubt(halt, Reason::new("reply_unreadable", UNREADABLE)),
    }
}

const UNREADABLE: &str = "the service said yes and sent neither a transcript nor a ticket";

/// 408, 425 and 503 refuse when they say something; a bare one may come from a proxy that gave up.
fn refused_or_doubtful(status: u16, phase: Phase, shape: &Shape, has_retry_after: bool) -> Verdict {
    let says_something = has_retry_after || *shape != Shape::Empty;
    if says_something || phase == Phase::BeforeCommit {
        Verdict::Retry(Halt::Offline, reason("service_overloaded", status, shape))
    } else {
        Verdict::InDoubt(Halt::Offline, reason("service_overloaded", status, shape))
    }
}

/// Every other status: free before the last chunk, in doubt after it.
fn doubtful(status: u16, phase: Phase, shape: &Shape) -> Verdict {
    match phase {
        Phase::BeforeCommit => {
            Verdict::Retry(Halt::Offline, reason("service_error", status, shape))
        }
        Phase::AfterCommit => {
            Verdict::InDoubt(Halt::Offline, reason("service_error", status, shape))
        }
    }
}

/// The code of what the service does not take for its size.
pub const TOO_LARGE_FOR_SERVICE: &str = "too_large_for_service";

fn reject_code(status: u16) -> &'static str {
    match status {
        404 => "not_found",
        413 => TOO_LARGE_FOR_SERVICE,
        415 => "format_refused",
        409 | 422 => "unprocessable",
        _ => "bad_request",
    }
}

fn reason(code: &str, status: u16, shape: &Shape) -> Reason {
    let text = match shape.words() {
        Some(words) => format!("the service answered {status}: {words}"),
        None => format!("the service answered {status} without a word"),
    };
    Reason::new(code, text)
}

fn or_nothing(words: &str) -> &str {
    if words.is_empty() {
        "it gave no reason"
    } else {
        words
    }
}

/// What the answer to a poll means: polls never charge, so whatever is not clear is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollVerdict {
    /// Ended well: the stored reply holds the transcript.
    Completed,
    /// Ask again later.
    Running,
    /// Ended badly.
    Failed(Reason),
    /// The service does not know the run.
    Unknown,
    /// Answered with something that cannot be read: asked again, and told when it stays so.
    Unreadable,
    /// Nothing could be asked; the whole queue waits.
    Halt(Halt, Reason),
}

/// What the answer to a poll means.
pub fn poll_verdict(status: u16, shape: &Shape) -> PollVerdict {
    match status {
        200..=299 => match shape {
            Shape::Transcript => PollVerdict::Completed,
            Shape::Failure(words) => PollVerdict::Failed(Reason::new(
                "service_failed",
                format!("the service could not transcribe it: {}", or_nothing(words)),
            )),
            Shape::Running | Shape::Ticket | Shape::Error(_) | Shape::Empty | Shape::Foreign(_) => {
                PollVerdict::Running
            }
            Shape::Unreadable(_) => PollVerdict::Unreadable,
        },
        404 | 410 => PollVerdict::Unknown,
        401 | 403 => PollVerdict::Halt(Halt::Key, reason("key_refused", status, shape)),
        429 => PollVerdict::Halt(Halt::RateLimit, reason("rate_limited", status, shape)),
        _ => PollVerdict::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> Vec<Shape> {
        vec![
            Shape::Transcript,
            Shape::Ticket,
            Shape::Running,
            Shape::Failure("bad".into()),
            Shape::Error("no".into()),
            Shape::Empty,
            Shape::Unreadable("{".into()),
            Shape::Foreign("<html>".into()),
        ]
    }

    #[test]
    fn nothing_is_in_doubt_before_the_last_chunk_whatever_the_status() {
        for status in 100..=599 {
            for shape in shapes() {
                let verdict = submit_verdict(
                    status,
                    Phase::BeforeCommit,
                    &shape,
                    false,
                    Standing::Unproven,
                );
                assert!(
                    !matches!(verdict, Verdict::InDoubt(..)),
                    "{status} {shape:?}"
                );
            }
        }
    }

    #[test]
    fn only_a_success_with_a_transcript_or_a_ticket_is_accepted() {
        for status in 100..=599 {
            for shape in shapes() {
                let verdict =
                    submit_verdict(status, Phase::AfterCommit, &shape, false, Standing::Proven);
                let taken = (200..300).contains(&status)
                    && matches!(shape, Shape::Transcript | Shape::Ticket);
                assert_eq!(verdict == Verdict::Accepted, taken, "{status} {shape:?}");
            }
        }
    }

    /// The expected verdict on an error with words after the last chunk, for every status.
    fn expected(status: u16) -> &'static str {
        match status {
            200..=299 => "in doubt",
            401 | 403 => "key",
            402 => "balance",
            429 => "rate limit",
            300..=399 | 407 | 511 => "offline",
            408 | 425 | 503 | 525 | 526 | 530 => "retry",
            400..=499 => "reject",
            _ => "in doubt",
        }
    }

    #[test]
    fn every_status_from_100_to_599_has_its_verdict() {
        for status in 100..=599 {
            let verdict = submit_verdict(
                status,
                Phase::AfterCommit,
                &Shape::Error("no".into()),
                false,
                Standing::Proven,
            );
            let name = match verdict {
                Verdict::Accepted => "accepted",
                Verdict::Retry(..) => "retry",
                Verdict::InDoubt(..) | Verdict::Unread(..) => "in doubt",
                Verdict::Reject(_) => "reject",
                Verdict::Halt(Halt::Key, _) => "key",
                Verdict::Halt(Halt::Balance, _) => "balance",
                Verdict::Halt(Halt::RateLimit, _) => "rate limit",
                Verdict::Halt(Halt::Offline, _) => "offline",
                Verdict::Halt(Halt::Address, _) => "address",
            };
            assert_eq!(name, expected(status), "{status}");
        }
    }

    #[test]
    fn a_bare_503_after_the_last_chunk_is_in_doubt_unless_it_says_when_to_come_back() {
        let bare = submit_verdict(
            503,
            Phase::AfterCommit,
            &Shape::Empty,
            false,
            Standing::Proven,
        );
        assert!(matches!(bare, Verdict::InDoubt(..)));
        let dated = submit_verdict(
            503,
            Phase::AfterCommit,
            &Shape::Empty,
            true,
            Standing::Proven,
        );
        assert!(matches!(dated, Verdict::Retry(Halt::Offline, _)));
    }

    #[test]
    fn an_address_that_never_took_a_recording_halts_the_queue_where_it_looks_like_no_service() {
        let page = Shape::Foreign("<html>".into());
        let words = Shape::Error("no".into());
        let halts = |status, shape: &Shape, standing| {
            let verdict = submit_verdict(status, Phase::AfterCommit, shape, false, standing);
            match verdict {
                Verdict::Halt(Halt::Address, _) | Verdict::InDoubt(Halt::Address, _) => true,
                Verdict::Accepted
                | Verdict::Retry(..)
                | Verdict::InDoubt(..)
                | Verdict::Unread(..)
                | Verdict::Reject(_)
                | Verdict::Halt(..) => false,
            }
        };
        for status in 100..=599 {
            assert!(!halts(status, &page, Standing::Proven), "{status}");
            let by_page = matches!(status, 200..=299 | 404 | 405 | 501);
            assert_eq!(
                halts(status, &page, Standing::Unproven),
                by_page,
                "{status}"
            );
            assert!(!halts(status, &words, Standing::Unproven), "{status}");
        }
    }

    #[test]
    fn a_page_instead_of_a_reply_is_in_doubt_also_where_nothing_was_ever_taken() {
        let page = Shape::Foreign("<html>".into());
        let verdict = submit_verdict(200, Phase::AfterCommit, &page, false, Standing::Unproven);
        assert!(
            matches!(verdict, Verdict::InDoubt(Halt::Address, _)),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_poll_never_ends_a_run_on_an_answer_that_it_cannot_read() {
        for status in 100..=599 {
            for shape in shapes() {
                let ended = matches!(
                    poll_verdict(status, &shape),
                    PollVerdict::Completed | PollVerdict::Failed(_)
                );
                let may_end = (200..300).contains(&status)
                    && matches!(shape, Shape::Transcript | Shape::Failure(_));
                assert_eq!(ended, may_end, "{status} {shape:?}");
            }
        }
    }

    #[test]
    fn the_words_of_the_service_reach_the_reason() {
        let verdict = submit_verdict(
            415,
            Phase::AfterCommit,
            &Shape::Error("no FLAC here".into()),
            false,
            Standing::Proven,
        );
        let Verdict::Reject(reason) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(reason.code, "format_refused");
        assert_eq!(reason.text, "the service answered 415: no FLAC here");
    }
}
