//! A service that behaves, with a ledger of its own, and misbehaves where the plan says so.
//!
//! It takes the very body that the real adapter would send, through the same gate, and bills a
//! recording when its last chunk has arrived.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, StreamExt as _};
use rust_decimal::Decimal;
use serde_json::json;

use super::fault::{Body, Fault, Port};
use super::scene::{Content, MODEL};
use super::world::World;
use crate::domain::job::{ContentHash, Provider, Ticket};
use crate::domain::price::Catalogue;
use crate::domain::step::DoubtPolicy;
use crate::domain::verdict::Phase;
use crate::speech::services::USUAL;
use crate::speech::upload::{self, Ended, Parts, Watch};
use crate::speech::{Answer, Balance, NoAnswer, Payload, Service, Submission};

/// What a minute costs, in dollars.
pub(super) const PRICE: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// What a run costs that turns out dearer than its ticket.
const DEARER: Decimal = Decimal::from_parts(15, 0, 0, false, 3);
/// How long an answer to a submit is waited for.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long an answer to a question is waited for.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// How often a run is asked about before it has ended.
pub(super) const POLLS: u32 = 2;

/// What the service has taken and billed.
#[derive(Debug, Default)]
pub(super) struct Bill {
    /// Every recording that arrived whole.
    pub(super) taken: Vec<Taken>,
    /// Every run.
    pub(super) runs: Vec<Run>,
}

/// A recording that arrived whole.
#[derive(Debug)]
pub(super) struct Taken {
    /// Which.
    pub(super) content: Content,
    /// What was billed for it: nothing for a refusal.
    pub(super) billed: Decimal,
    /// In which process its transcript or ticket was handed over, if it was.
    pub(super) answered_in: Option<u32>,
}

/// A run of an asynchronous submit.
#[derive(Debug)]
pub(super) struct Run {
    /// Which of the recordings that were taken.
    pub(super) taken: usize,
    /// Whether anybody asked about it.
    pub(super) polled: bool,
    /// Whether it ended badly, and that was told.
    pub(super) failed: bool,
    polls_left: u32,
    unknown_left: u32,
    fails: bool,
    dearer: bool,
}

/// The service.
pub(super) struct FakeService {
    pub(super) world: Arc<World>,
    /// Which contents are answered with a ticket: a bit each.
    pub(super) tickets: u64,
    /// How often a run is asked about before it has ended.
    pub(super) polls: u32,
    /// How often it is not known before that.
    pub(super) unknown: u32,
    pub(super) policy: DoubtPolicy,
}

impl Bill {
    /// What was billed for a recording, submit by submit.
    pub(super) fn of(&self, content: Content) -> Vec<Decimal> {
        self.taken
            .iter()
            .filter(|taken| taken.content == content && !taken.billed.is_zero())
            .map(|taken| taken.billed)
            .collect()
    }
}

impl FakeService {
    async fn take(&self, submission: Submission) -> Result<Answer, NoAnswer> {
        let fault = self.world.call(Port::Submit);
        if fault == Some(Fault::Unreachable) {
            return Err(NoAnswer::Unreachable("no route".to_owned()));
        }
        let Payload::Bytes(crate::speech::Content { length, chunks, .. }) = submission.payload
        else {
            panic!("no case has a bucket");
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX) + 2;
        let (body, watch) = upload::body(Parts {
            before: Bytes::from_static(b"<"),
            chunks,
            after: Bytes::from_static(b">"),
            gate: submission.gate,
        });
        tokio::select! {
            biased;
            answer = self.exchange(body, length, fault, &watch) => answer,
            text = watch.stalled(PATIENCE) => Err(NoAnswer::Broken { phase: watch.close(), text }),
        }
    }

    async fn exchange(
        &self,
        body: impl Stream<Item = Result<Bytes, Ended>>,
        length: usize,
        fault: Option<Fault>,
        watch: &Watch,
    ) -> Result<Answer, NoAnswer> {
        let mut body = pin!(body);
        let mut got = Vec::new();
        let mut patience = self.world.inner().calls % 4;
        while got.len() < length {
            match fault {
                Some(Fault::BreakInside) if !got.is_empty() => return Err(broken(watch)),
                Some(Fault::StallInside) if !got.is_empty() => std::future::pending().await,
                Some(Fault::Early(status)) if patience == 0 => return Ok(early(status, watch)),
                _ => {}
            }
            let next = match fault {
                Some(Fault::Early(status)) => tokio::select! {
                    biased;
                    next = body.next() => next,
                    () = turns(patience) => return Ok(early(status, watch)),
                },
                _ => body.next().await,
            };
            patience = patience.saturating_sub(1);
            match next {
                Some(Ok(bytes)) => got.extend_from_slice(&bytes),
                Some(Err(Ended)) | None => {
                    return Err(watch.failure().unwrap_or_else(|| broken(watch)));
                }
            }
        }
        let taken = self.bill(&got, fault);
        if fault == Some(Fault::CrashAfter) {
            self.world.crash();
        }
        crate::faults::interleave().await;
        self.answer(taken, fault, watch).await
    }

    /// The last chunk has arrived.
    fn bill(&self, got: &[u8], fault: Option<Fault>) -> usize {
        let recording = got.get(1..got.len() - 1).unwrap_or_default();
        let hash = ContentHash(*blake3::hash(recording).as_bytes());
        let is_billed = match fault {
            Some(
                Fault::BreakAfter { billed }
                | Fault::Hang { billed }
                | Fault::Answer { billed, .. },
            ) => billed,
            _ => true,
        };
        let content = self.world.inner().scene.content_of(hash);
        let Some(content) = content else {
            self.world
                .violation("bytes were sent that were never a recording".to_owned());
            return 0;
        };
        self.look_for_repeats(content, is_billed);
        let mut inner = self.world.inner();
        inner.tell(&format!("{content:?} arrived whole, billed: {is_billed}"));
        inner.bill.taken.push(Taken {
            content,
            billed: if is_billed { PRICE } else { Decimal::ZERO },
            answered_in: None,
        });
        inner.bill.taken.len() - 1
    }

    fn look_for_repeats(&self, content: Content, is_billed: bool) {
        let (before, polled) = {
            let bill = &self.world.inner().bill;
            let polled = bill.runs.iter().any(|run| {
                run.polled
                    && bill
                        .taken
                        .get(run.taken)
                        .is_some_and(|taken| taken.content == content)
            });
            (bill.of(content).len(), polled)
        };
        let allowed = match self.policy {
            DoubtPolicy::Hold => 1,
            DoubtPolicy::RetryOnce => 2,
        };
        if is_billed && before >= allowed {
            self.world
                .violation(format!("{content:?} was billed {} times", before + 1));
        }
        if polled {
            self.world.violation(format!(
                "{content:?} was sent again though its run is known"
            ));
        }
    }

    async fn answer(
        &self,
        taken: usize,
        fault: Option<Fault>,
        watch: &Watch,
    ) -> Result<Answer, NoAnswer> {
        match fault {
            Some(Fault::BreakAfter { .. }) => return Err(broken(watch)),
            Some(Fault::Hang { .. }) => std::future::pending().await,
            Some(Fault::Late(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Some(Fault::Answer {
                status,
                body,
                retry_after,
                ..
            }) => return Ok(other(status, body, retry_after, watch.close())),
            _ => {}
        }
        let phase = watch.close();
        let mut inner = self.world.inner();
        let process = inner.process();
        let Some(entry) = inner.bill.taken.get_mut(taken) else {
            return Err(broken(watch));
        };
        entry.answered_in = Some(process);
        let content = entry.content;
        let is_ticket = self.tickets & (1 << (content.0 % 64)) != 0;
        let cost = (fault != Some(Fault::CostUnnamed)).then_some(PRICE);
        if !is_ticket {
            return Ok(good(200, &finished(content, cost), phase));
        }
        inner.bill.runs.push(Run {
            taken,
            polled: false,
            failed: false,
            polls_left: self.polls,
            unknown_left: self.unknown,
            fails: fault == Some(Fault::RunFails),
            dearer: fault == Some(Fault::DearerRun),
        });
        let number = inner.bill.runs.len();
        let mut ticket =
            json!({"runId": format!("run-{number}"), "status": "pending", "model": MODEL});
        if let Some(cost) = cost {
            ticket["cost"] = json!(cost.to_string());
            ticket["paymentSource"] = json!("USD");
        }
        Ok(good(202, &ticket, phase))
    }

    async fn ask(&self, ticket: &Ticket) -> Result<Answer, NoAnswer> {
        let fault = self.world.call(Port::Poll);
        crate::faults::interleave().await;
        let phase = Phase::BeforeCommit;
        let lost = |text: &str| NoAnswer::Broken {
            phase,
            text: text.to_owned(),
        };
        match fault {
            Some(Fault::Unreachable) => {
                return Err(NoAnswer::Unreachable("no route".to_owned()));
            }
            Some(Fault::BreakAfter { .. }) => return Err(lost("reset")),
            Some(Fault::Hang { .. }) => {
                tokio::time::sleep(QUESTION_LIMIT).await;
                return Err(lost("nothing came in time"));
            }
            Some(Fault::Late(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Some(Fault::Answer {
                status,
                body,
                retry_after,
                ..
            }) => return Ok(other(status, body, retry_after, phase)),
            Some(Fault::Brewing) => {
                return Ok(good(200, &json!({"status": "brewing"}), phase));
            }
            _ => {}
        }
        let answer = self.progress(ticket, fault == Some(Fault::RunFails));
        if fault == Some(Fault::CrashAfter) {
            self.world.crash();
        }
        answer.ok_or_else(|| {
            self.world
                .violation(format!("a run was asked for that is none: {ticket:?}"));
            lost("unknown")
        })
    }

    fn progress(&self, ticket: &Ticket, fails: bool) -> Option<Answer> {
        let mut inner = self.world.inner();
        let number: usize = ticket.run_id.strip_prefix("run-")?.parse().ok()?;
        let bill = &mut inner.bill;
        let run = bill.runs.get_mut(number - 1)?;
        let taken = bill.taken.get_mut(run.taken)?;
        run.polled = true;
        run.fails |= fails;
        if run.unknown_left > 0 {
            run.unknown_left -= 1;
            return Some(other(404, Body::Error, None, Phase::BeforeCommit));
        }
        if run.polls_left > 0 {
            run.polls_left -= 1;
            let body = json!({"status": "processing"});
            return Some(good(200, &body, Phase::BeforeCommit));
        }
        if run.fails {
            run.failed = true;
            let body = json!({"status": "failed", "error": "it could not be processed"});
            return Some(good(200, &body, Phase::BeforeCommit));
        }
        if run.dearer {
            taken.billed = DEARER;
        }
        let mut body = finished(taken.content, Some(taken.billed));
        body["status"] = json!("completed");
        Some(good(200, &body, Phase::BeforeCommit))
    }
}

impl Service for FakeService {
    fn provider(&self) -> Provider {
        USUAL.provider
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        Box::pin(self.take(submission))
    }

    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        Box::pin(self.ask(ticket))
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>> {
        Box::pin(async { Ok(()) })
    }

    fn address(&self) -> &'static str {
        "simulated"
    }

    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>> {
        Box::pin(async { Ok(Some(Balance(Decimal::ONE_HUNDRED))) })
    }

    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>> {
        Box::pin(async { Some([(MODEL.to_owned(), PRICE)].into_iter().collect()) })
    }
}

async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn broken(watch: &Watch) -> NoAnswer {
    NoAnswer::Broken {
        phase: watch.close(),
        text: "reset".to_owned(),
    }
}

fn early(status: u16, watch: &Watch) -> Answer {
    other(status, Body::Error, None, watch.close())
}

fn finished(content: Content, cost: Option<Decimal>) -> serde_json::Value {
    let mut body = json!({"transcription": content.words(), "metadata": {"model": MODEL}});
    if let Some(cost) = cost {
        body["metadata"]["cost"] = json!(cost.to_string());
        body["metadata"]["currency"] = json!("USD");
    }
    body
}

fn good(status: u16, body: &serde_json::Value, phase: Phase) -> Answer {
    Answer {
        status,
        body: body.to_string().into_bytes(),
        retry_after: None,
        request_id: Some("request-1".to_owned()),
        phase,
    }
}

fn other(status: u16, body: Body, retry_after: Option<u64>, phase: Phase) -> Answer {
    let body = match body {
        Body::Error => r#"{"error": {"message": "no"}}"#,
        Body::Empty => "",
        Body::Html => "<html>Bad gateway</html>",
        Body::Failed => r#"{"status": "failed", "error": "it could not be processed"}"#,
    };
    Answer {
        status,
        body: body.as_bytes().to_vec(),
        retry_after: retry_after.map(Duration::from_secs),
        request_id: None,
        phase,
    }
}
