//! The desk: where orders come in to whoever holds the state, by the control socket or directly.
//!
//! Everything is done by the same steps whether a daemon, a run or nobody is at work; only what needs a
//! daemon is refused by a run, with a reason.

mod ahead;
mod origins;
mod runs;
mod words;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use ahead::Plans;
pub use origins::Origins;
pub use words::{as_pause, as_prospect, refusal_of_open};

use crate::config::Config;
use crate::control::{self, Answer, Order, Refusal, RefusalKind, Server, Told, Watching};
use crate::pipeline::{Chosen, Event, Pipeline, PipelineError, Reporter, Table};
use crate::queue::{PauseReason, Queue};
use crate::supervise::TaskPanicked;
use words::{changed, failed, held, rendered, to_render, unsettled};

/// Events that wait for whoever follows a run; who is too slow looks at the table instead.
const EVENTS_AHEAD: usize = 1024;

/// A reload that somebody waits for.
pub type Reload = oneshot::Sender<Result<Vec<String>, Refusal>>;

/// Tells a reporter, and everybody who follows a run.
pub struct Crier {
    reporter: Arc<dyn Reporter>,
    events: broadcast::Sender<Event>,
}

impl Crier {
    /// Tells `reporter` and those who follow.
    pub fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self {
            reporter,
            events: broadcast::channel(EVENTS_AHEAD).0,
        }
    }

    fn follow(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

impl Reporter for Crier {
    fn report(&self, event: &Event) {
        if self.events.receiver_count() > 0 {
            // Without a follower left there is nobody to tell.
            drop(self.events.send(event.clone()));
        }
        self.reporter.report(event);
    }
}

/// What a daemon can do that a run cannot.
pub struct Daemon {
    /// Where its settings come from.
    pub origins: Origins,
    /// Where reloads are asked for.
    pub reloads: mpsc::Sender<Reload>,
    /// Who tells what happens.
    pub crier: Arc<Crier>,
    /// What runs would do to which somebody may agree.
    pub plans: Plans,
}

/// Takes orders for a pipeline.
pub struct Desk {
    pipeline: watch::Receiver<Arc<Pipeline>>,
    daemon: Option<Daemon>,
}

impl Desk {
    /// The desk of a run.
    pub fn of_run(pipeline: Arc<Pipeline>) -> Self {
        Self {
            pipeline: watch::channel(pipeline).1,
            daemon: None,
        }
    }

    /// The desk of a daemon, whose pipeline may be replaced.
    pub fn of_daemon(pipeline: watch::Receiver<Arc<Pipeline>>, daemon: Daemon) -> Self {
        Self {
            pipeline,
            daemon: Some(daemon),
        }
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        self.pipeline.borrow().clone()
    }

    async fn carry_out(&self, order: Order, told: Told) -> Result<Answer, Refusal> {
        match order {
            Order::Run(order) => match &self.daemon {
                Some(daemon) => runs::run(&self.pipeline, daemon, order, told).await,
                None => Err(only_a_daemon("takes more in before it has ended")),
            },
            Order::Plan(order) => match &self.daemon {
                Some(daemon) => ahead::look(&self.pipeline, daemon, order, told).await,
                None => Err(only_a_daemon("takes more in before it has ended")),
            },
            Order::Terms(order) => match &self.daemon {
                Some(daemon) => ahead::terms(daemon, &order).await,
                None => Err(only_a_daemon("takes more in before it has ended")),
            },
            Order::Reload => match &self.daemon {
                Some(daemon) => reload(daemon).await,
                None => Err(only_a_daemon("takes on other settings before it has ended")),
            },
            Order::Waiting { path } => {
                let pipeline = self.pipeline();
                let watching = self.daemon.as_ref().map(|daemon| Watching {
                    folders: daemon.origins.folders(),
                    file: daemon.origins.file(),
                });
                Ok(unsettled(&pipeline.waiting, path, watching))
            }
            order @ (Order::Retry { .. }
            | Order::Cancel { .. }
            | Order::Pause { .. }
            | Order::Resume
            | Order::Speakers { .. }
            | Order::Render(_)) => {
                let pipeline = self.pipeline();
                at_table(Table::at_work(&pipeline), order).await
            }
        }
    }
}

impl control::Desk for Desk {
    fn receive(
        self: Arc<Self>,
        order: Order,
        told: Told,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        Box::pin(async move { self.carry_out(order, told).await })
    }
}

/// A run is taken on for the state that is held, and for no other.
fn is_same_state(config: &Config, own: &Pipeline) -> Result<(), Refusal> {
    if config.state_dir == own.queue.state_dir() {
        return Ok(());
    }
    let message = "the configuration names another state directory by now";
    Err(Refusal::new(RefusalKind::Impossible, message)
        .hint("`systemctl restart stenod`, or start it again by hand"))
}

fn only_a_daemon(what: &str) -> Refusal {
    let message = format!("a `stenod run` holds the state, and no run {what}");
    Refusal::new(RefusalKind::Impossible, message)
        .hint("wait until it has ended, or stop it; `stenod status` says what it does")
}

/// Carries an order out on a table that nobody works on.
///
/// # Errors
/// [`Refusal`] where it needs somebody at work, or the table fails.
pub async fn at_rest(queue: &Queue, order: Order, now: Timestamp) -> Result<Answer, Refusal> {
    at_table(Table::at_rest(queue, now), order).await
}

async fn at_table(table: Table<'_>, order: Order) -> Result<Answer, Refusal> {
    match order {
        Order::Retry {
            jobs,
            failed: every_failed,
            in_doubt,
            reason,
        } => {
            let chosen = Chosen {
                jobs,
                failed: every_failed,
                in_doubt,
                reason,
            };
            Ok(changed(table.retry(chosen).await.map_err(failed)?))
        }
        Order::Cancel { jobs } => Ok(changed(table.cancel(jobs).await.map_err(failed)?)),
        Order::Pause { until } => {
            let pause = table.hold(until).await.map_err(failed)?;
            Ok(Answer::Paused(held(&pause)))
        }
        Order::Resume => {
            let reasons = table.release().await.map_err(failed)?;
            let names = reasons.into_iter().map(PauseReason::as_str);
            Ok(Answer::Resumed(names.map(str::to_owned).collect()))
        }
        Order::Speakers { job, names } => {
            table.name_speakers(job, names).await.map_err(failed)?;
            Ok(Answer::Speakers)
        }
        Order::Render(order) => {
            let (jobs, options) = to_render(order);
            Ok(rendered(table.render(jobs, options).await.map_err(failed)?))
        }
        Order::Reload
        | Order::Plan(_)
        | Order::Terms(_)
        | Order::Run(_)
        | Order::Waiting { .. } => Err(Refusal::new(
            RefusalKind::Impossible,
            "nobody is at work who could do that",
        )),
    }
}

async fn reload(daemon: &Daemon) -> Result<Answer, Refusal> {
    let stopping = || Refusal::new(RefusalKind::Failed, "stenod is being stopped");
    let (reply, replied) = oneshot::channel();
    daemon.reloads.send(reply).await.map_err(|_| stopping())?;
    let notes = replied.await.map_err(|_| stopping())??;
    Ok(Answer::Reloaded(notes))
}

/// Serves at the control socket of the state that `pipeline` holds, until `stop`; where no socket can be
/// made that is said, and everything else goes on.
///
/// # Errors
/// [`PipelineError`] where carrying out an order ends by a fault of its own.
pub async fn serve(
    desk: Arc<Desk>,
    pipeline: &Pipeline,
    stop: CancellationToken,
) -> Result<(), PipelineError> {
    match Server::bind(pipeline.queue.state_dir()) {
        Ok(server) => {
            let served: Result<(), TaskPanicked> = server.serve(desk, stop).await;
            Ok(served?)
        }
        Err(error) => {
            tracing::warn!(
                "no control socket can be made in {}: {error}; commands do not reach this stenod",
                pipeline.queue.state_dir().display()
            );
            stop.cancelled().await;
            Ok(())
        }
    }
}
