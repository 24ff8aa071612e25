//! What is counted while stenod runs: requests by what was answered, their time, scans, uploads, retries and
//! pauses. The table knows the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::domain::job::{Provider, Ticket};
use crate::domain::price::Catalogue;
use crate::speech::{Answer, Balance, Greeting, NoAnswer, Service, Submission};

/// The reasons for which recordings are put back into the queue when a service or the network is unwell.
pub const USUAL_RETRIES: [&str; 10] = [
    "balance_empty",
    "key_refused",
    "offline",
    "rate_limited",
    "reply_lost",
    "reply_unreadable",
    "service_error",
    "service_overloaded",
    "service_unreachable",
    "upload_broken",
];
/// What comes of telling a receiver.
pub const NOTICE_RESULTS: [&str; 3] = ["given_up", "refused", "taken"];

/// Counts of this process.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counts>);

/// What was counted so far.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Counts {
    /// Requests to the service by what was asked and the HTTP status of the answer, or `none`.
    pub requests: BTreeMap<(&'static str, String), u64>,
    /// How long they took, by what was asked.
    pub request_time: BTreeMap<&'static str, Duration>,
    /// Scans of whole folders and parts of them.
    pub scans: Spent,
    /// Uploads into the bucket.
    pub uploads: Spent,
    /// Jobs that were put back into the queue, by reason.
    pub retries: BTreeMap<String, u64>,
    /// Pauses that began, by reason.
    pub pauses: BTreeMap<&'static str, u64>,
    /// Notices that receivers were told of, by the way and what came of it.
    pub notices: BTreeMap<(&'static str, &'static str), u64>,
}

/// How often something was done, and how long that took together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// How often.
    pub times: u64,
    /// How long.
    pub time: Duration,
}

impl Meter {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    pub(super) fn scanned(&self, time: Duration) {
        self.lock().scans.add(time);
    }

    pub(super) fn uploaded(&self, time: Duration) {
        self.lock().uploads.add(time);
    }

    pub(super) fn retried(&self, reason: &str) {
        *self.lock().retries.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn paused(&self, reason: &'static str) {
        *self.lock().pauses.entry(reason).or_default() += 1;
    }

    pub(super) fn told(&self, way: &'static str, result: &'static str) {
        *self.lock().notices.entry((way, result)).or_default() += 1;
    }

    fn asked(&self, call: &'static str, status: Option<u16>, time: Duration) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let mut counts = self.lock();
        *counts.requests.entry((call, status)).or_default() += 1;
        *counts.request_time.entry(call).or_default() += time;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spent {
    fn add(&mut self, time: Duration) {
        self.times += 1;
        self.time += time;
    }
}

/// A service whose requests are counted.
pub struct Metered {
    service: Arc<dyn Service>,
    meter: Arc<Meter>,
}

impl Metered {
    /// The same service, counted by `meter`.
    pub fn new(service: Arc<dyn Service>, meter: Arc<Meter>) -> Self {
        Self { service, meter }
    }

    async fn timed<T>(
        &self,
        call: &'static str,
        asking: impl Future<Output = T>,
        status: impl FnOnce(&T) -> Option<u16>,
    ) -> T {
        let began = Instant::now();
        let answer = asking.await;
        self.meter.asked(call, status(&answer), began.elapsed());
        answer
    }
}

fn status(answer: &Result<Answer, NoAnswer>) -> Option<u16> {
    answer.as_ref().ok().map(|answer| answer.status)
}

impl Service for Metered {
    fn provider(&self) -> Provider {
        self.service.provider()
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Answer, NoAnswer>> {
        Box::pin(self.timed("submit", self.service.submit(submission), status))
    }

    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        Box::pin(self.timed("poll", self.service.poll(ticket), status))
    }

    fn balance(&self) -> BoxFuture<'_, Result<Option<Balance>, NoAnswer>> {
        let status = |answer: &Result<_, NoAnswer>| answer.is_ok().then_some(200);
        Box::pin(self.timed("balance", self.service.balance(), status))
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), NoAnswer>> {
        let status = |answer: &Result<_, NoAnswer>| answer.is_ok().then_some(200);
        Box::pin(self.timed("probe", self.service.answers(), status))
    }

    fn address(&self) -> &str {
        self.service.address()
    }

    fn greet(&self) -> BoxFuture<'_, Result<Greeting, NoAnswer>> {
        self.service.greet()
    }

    fn takes_new_key(&self) -> bool {
        self.service.takes_new_key()
    }

    fn prices(&self) -> BoxFuture<'_, Option<Catalogue>> {
        let status = |prices: &Option<_>| prices.is_some().then_some(200);
        Box::pin(self.timed("prices", self.service.prices(), status))
    }
}
