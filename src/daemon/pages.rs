//! The pages of the web server: `/metrics` for Prometheus, `/healthz` for whoever restarts what hangs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rust_decimal::prelude::ToPrimitive as _;
use tokio::sync::watch;

use super::health::{Health, look_at};
use crate::clock::Calendar;
use crate::domain::exposition::{Kind, MEDIA_TYPE, Page};
use crate::domain::job::State;
use crate::domain::notice::Way;
use crate::pipeline::{Counts, NOTICE_RESULTS, Pipeline, Spent, USUAL_RETRIES};
use crate::queue::{
    Allowance, FolderRow, Measure, Outgoing, Pause, PauseReason, QueueError, Reader, Spend,
};
use crate::web;

/// How long those who work may take for a sign of life when `/healthz` asks.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);
/// How `/healthz` says what it says.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Makes the pages of a daemon.
pub(super) struct Pages {
    latest: watch::Receiver<Arc<Pipeline>>,
    began: Timestamp,
}

/// What the table says.
struct Sums {
    jobs: Vec<Measure>,
    spend: Vec<Spend>,
    allowance: Option<Allowance>,
    folders: Vec<FolderRow>,
    outgoing: Vec<Outgoing>,
}

impl Pages {
    pub(super) fn new(latest: watch::Receiver<Arc<Pipeline>>) -> Self {
        let began = latest.borrow().now();
        Self { latest, began }
    }

    async fn metrics(&self) -> web::Page {
        let pipeline = self.latest.borrow().clone();
        let (now, limits) = (pipeline.now(), pipeline.pace.limits);
        let calendar = Calendar::around(now);
        let sums = pipeline.queue.read(move |reader: &Reader<'_>| {
            Ok::<_, QueueError>(Sums {
                jobs: reader.measures(now)?,
                spend: reader.spend(calendar)?,
                allowance: reader.allowance(&limits, calendar)?,
                folders: reader.folders()?,
                outgoing: reader.outgoing()?,
            })
        });
        match sums.await {
            Ok(sums) => {
                let mut page = Page::default();
                about(&mut page, self.began);
                of_jobs(&mut page, &sums.jobs);
                of_money(&mut page, &sums);
                of_pauses(&mut page, &pipeline.pauses.all());
                of_folders(&mut page, &sums.folders);
                of_notices(&mut page, &sums.outgoing);
                counted(&mut page, &pipeline.meter.counts());
                web::Page {
                    is_well: true,
                    media_type: MEDIA_TYPE,
                    text: page.text(),
                }
            }
            Err(error) => web::Page {
                is_well: false,
                media_type: PLAIN,
                text: format!("the job table cannot be read: {error}\n"),
            },
        }
    }

    async fn health(&self) -> web::Page {
        let pipeline = self.latest.borrow().clone();
        let (is_well, text) = match look_at(&pipeline, HEALTH_PATIENCE).await {
            Health::Well => (true, "ok\n".to_owned()),
            Health::Waits(folder) => (
                true,
                format!(
                    "ok, but this folder does not answer: {}\n",
                    folder.display()
                ),
            ),
            Health::Ill(who) => (false, format!("{who} does not answer\n")),
        };
        web::Page {
            is_well,
            media_type: PLAIN,
            text,
        }
    }
}

impl web::Pages for Pages {
    fn page(self: Arc<Self>, path: String) -> BoxFuture<'static, Option<web::Page>> {
        Box::pin(async move {
            match path.as_str() {
                "/metrics" => Some(self.metrics().await),
                "/healthz" => Some(self.health().await),
                _ => None,
            }
        })
    }
}

type Labels = Vec<(&'static str, String)>;

fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

fn about(page: &mut Page, began: Timestamp) {
    page.add(
        "stenod_build_info",
        Kind::Gauge,
        "The version that runs; always 1.",
        [(label("version", env!("CARGO_PKG_VERSION")), 1.0)],
    );
    page.add_one(
        "stenod_start_time_seconds",
        Kind::Gauge,
        "When it was started, in seconds since 1970.",
        seconds_since_1970(began),
    );
}

fn of_jobs(page: &mut Page, jobs: &[Measure]) {
    let state = |measure: &Measure| label("state", measure.state.as_str());
    page.add(
        "stenod_jobs",
        Kind::Gauge,
        "Recordings by state.",
        jobs.iter()
            .map(|measure| (state(measure), of_count(measure.count))),
    );
    page.add(
        "stenod_audio_seconds",
        Kind::Gauge,
        "Length of the recordings by state.",
        jobs.iter()
            .map(|measure| (state(measure), measure.audio.as_secs_f64())),
    );
    let is_open = |measure: &&Measure| !matches!(measure.state, State::Done | State::Cancelled);
    page.add(
        "stenod_oldest_job_age_seconds",
        Kind::Gauge,
        "How long the first recording of a state has been known; 0 without one.",
        jobs.iter()
            .filter(is_open)
            .map(|measure| (state(measure), measure.oldest.as_secs_f64())),
    );
}

fn of_money(page: &mut Page, sums: &Sums) {
    let currency = |spend: &Spend| label("currency", spend.currency.code());
    let amount = |value: rust_decimal::Decimal| value.to_f64().unwrap_or(f64::NAN);
    page.add(
        "stenod_charged_amount_total",
        Kind::Counter,
        "Money that was charged since the table was made, by currency.",
        sums.spend
            .iter()
            .map(|spend| (currency(spend), amount(spend.total))),
    );
    page.add(
        "stenod_charged_today_amount",
        Kind::Gauge,
        "Money that was charged since midnight, by currency.",
        sums.spend
            .iter()
            .map(|spend| (currency(spend), amount(spend.today))),
    );
    page.add(
        "stenod_doubtful_amount",
        Kind::Gauge,
        "Money that may have been charged for answers that were lost, by currency.",
        sums.spend
            .iter()
            .map(|spend| (currency(spend), amount(spend.in_doubt))),
    );
    page.add(
        "stenod_budget_left_amount",
        Kind::Gauge,
        "What the tightest budget leaves, in US dollars.",
        sums.allowance
            .map(|allowance| (label("budget", allowance.name), amount(allowance.left))),
    );
}

fn of_pauses(page: &mut Page, pauses: &[Pause]) {
    page.add(
        "stenod_paused",
        Kind::Gauge,
        "Whether the queue waits, by reason.",
        PauseReason::ALL.into_iter().map(|reason| {
            let holds = pauses.iter().any(|pause| pause.reason == reason);
            (label("reason", reason.as_str()), f64::from(u8::from(holds)))
        }),
    );
}

fn of_folders(page: &mut Page, folders: &[FolderRow]) {
    let name = |folder: &FolderRow| label("folder", shown(&folder.path));
    let watched = || folders.iter().filter(|folder| folder.mode.is_some());
    page.add(
        "stenod_folder_watched",
        Kind::Gauge,
        "How a folder is watched; always 1.",
        watched().map(|folder| {
            let mut labels = name(folder);
            labels.push(("mode", folder.mode.clone().unwrap_or_default()));
            (labels, 1.0)
        }),
    );
    page.add(
        "stenod_folder_up",
        Kind::Gauge,
        "Whether a folder is there and can be read.",
        watched().map(|folder| {
            let is_up = folder.trouble.is_none();
            (name(folder), f64::from(u8::from(is_up)))
        }),
    );
    page.add(
        "stenod_folder_scanned_time_seconds",
        Kind::Gauge,
        "When a folder was last scanned as a whole, in seconds since 1970.",
        watched().filter_map(|folder| {
            let at = folder.scanned_at?;
            Some((name(folder), seconds_since_1970(at)))
        }),
    );
}

fn of_notices(page: &mut Page, outgoing: &[Outgoing]) {
    let of = |way: Way| outgoing.iter().find(|outgoing| outgoing.way == way);
    let each = |count: fn(&Outgoing) -> u64| {
        Way::ALL.map(|way| {
            (
                label("receiver", way.as_str()),
                of_count(of(way).map_or(0, count)),
            )
        })
    };
    page.add(
        "stenod_notices_waiting",
        Kind::Gauge,
        "Notices that a receiver has not taken yet.",
        each(|outgoing| outgoing.waiting),
    );
    page.add(
        "stenod_notices_given_up",
        Kind::Gauge,
        "Notices that were given up in the last 30 days.",
        each(|outgoing| outgoing.given_up),
    );
}

fn counted(page: &mut Page, counts: &Counts) {
    page.add(
        "stenod_service_requests_total",
        Kind::Counter,
        "Requests to the speech service, by what was asked and the status of the answer.",
        counts.requests.iter().map(|((call, status), count)| {
            let mut labels = label("call", *call);
            labels.push(("status", status.clone()));
            (labels, of_count(*count))
        }),
    );
    page.add(
        "stenod_service_request_seconds_total",
        Kind::Counter,
        "How long those requests took, the upload of a recording with them.",
        counts
            .request_time
            .iter()
            .map(|(call, time)| (label("call", *call), time.as_secs_f64())),
    );
    spent(
        page,
        "scan",
        "Scans of folders, or parts of them",
        counts.scans,
    );
    spent(page, "upload", "Uploads into the bucket", counts.uploads);
    page.add(
        "stenod_retries_total",
        Kind::Counter,
        "Recordings that were put back into the queue, by reason.",
        from_zero(&USUAL_RETRIES, &counts.retries),
    );
    page.add(
        "stenod_pauses_total",
        Kind::Counter,
        "Pauses of the queue that began, by reason.",
        from_zero(&PauseReason::ALL.map(PauseReason::as_str), &counts.pauses),
    );
    page.add(
        "stenod_notices_total",
        Kind::Counter,
        "Times that a receiver was told of a notice, by what came of it.",
        Way::ALL.into_iter().flat_map(|way| {
            let way = way.as_str();
            NOTICE_RESULTS.map(|result| {
                let mut labels = label("receiver", way);
                labels.push(("result", result.to_owned()));
                let count = counts.notices.get(&(way, result));
                (labels, of_count(count.copied().unwrap_or(0)))
            })
        }),
    );
}

/// Counts by reason; those that are known have a sample before anything happened, so that the first event is an
/// increase.
fn from_zero<Reason: AsRef<str>>(
    known: &[&str],
    counts: &BTreeMap<Reason, u64>,
) -> Vec<(Labels, f64)> {
    let known = known.iter().map(|reason| (*reason, 0));
    let counted = counts
        .iter()
        .map(|(reason, count)| (reason.as_ref(), *count));
    let counts: BTreeMap<&str, u64> = known.chain(counted).collect();
    let sample = |(reason, count): (&str, u64)| (label("reason", reason), of_count(count));
    counts.into_iter().map(sample).collect()
}

fn spent(page: &mut Page, name: &str, help: &str, spent: Spent) {
    page.add_one(
        &format!("stenod_{name}s_total"),
        Kind::Counter,
        &format!("{help}."),
        of_count(spent.times),
    );
    page.add_one(
        &format!("stenod_{name}_seconds_total"),
        Kind::Counter,
        &format!("{help}: how long they took."),
        spent.time.as_secs_f64(),
    );
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn seconds_since_1970(time: Timestamp) -> f64 {
    Duration::try_from(time.as_duration())
        .map(|since| since.as_secs_f64())
        .unwrap_or_default()
}

/// A count as a number of the format; beyond 2^53 it is not exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "the format has no other numbers"
)]
fn of_count(count: u64) -> f64 {
    count as f64
}
