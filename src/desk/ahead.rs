//! What a run would do that this daemon is asked to take on: by its own settings, key and folders, since
//! those are what it would go by.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::words::{failed, not_set_up, planned};
use super::{Daemon, is_same_state};
use crate::clock::Calendar;
use crate::config::Config;
use crate::control::{Answer, News, Refusal, RefusalKind, RunOrder, Told};
use crate::domain::price::Catalogue;
use crate::pipeline::plan::{Agreed, Onlooker, PlanTerms, plan};
use crate::pipeline::{Pipeline, PipelineError, Place, prospect};
use crate::queue::{QueueError, Reader};
use crate::session::{self, Places};
use crate::supervise;

/// Tells a client which large file is being read.
struct Reading(Told);

impl Onlooker for Reading {
    fn looked_at(&self, _path: &Path) {}

    fn reading(&self, path: &Path, read: u64, size: u64) {
        self.0.tell(News::Reading {
            path: path.into(),
            read,
            size,
        });
    }
}

/// How many plans are kept at the most: more than clients may wait for a person at once.
const MOST_PLANS: usize = 32;

/// What was told that runs would do, until somebody agrees or others have come.
#[derive(Debug, Default)]
pub struct Plans {
    kept: Mutex<VecDeque<Kept>>,
    number: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    word: String,
    terms: String,
    agreed: Arc<Agreed>,
}

impl Plans {
    /// Keeps a plan by these terms; gives the word by which it is known.
    fn keep(&self, terms: String, agreed: Agreed) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        // Another process has other plans.
        let word = format!("{}-{number}", std::process::id());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_PLANS {
            kept.pop_front();
        }
        kept.push_back(Kept {
            word: word.clone(),
            terms,
            agreed: Arc::new(agreed),
        });
        word
    }

    /// What was agreed to with the plan that is known by `word`, if the terms are still these.
    ///
    /// # Errors
    /// [`Refusal`] where it is not known any more, or other terms hold.
    pub(super) fn agreed(&self, word: Option<&str>, terms: &str) -> Result<Arc<Agreed>, Refusal> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|one| Some(one.word.as_str()) == word);
        let refused = |message: &str| {
            Refusal::new(RefusalKind::Failed, message)
                .hint("nothing was taken in; the same command says what it costs now")
        };
        match place.and_then(|place| kept.remove(place)) {
            Some(plan) if plan.terms == terms => Ok(plan.agreed),
            Some(_) => Err(refused(
                "the settings of the running stenod have changed since it said the price",
            )),
            None => Err(refused(
                "the running stenod does not know any more what price it said",
            )),
        }
    }
}

/// By what a run is done: the settings as they are read now, over the state that is held.
pub(super) struct Basis {
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) own: Arc<Pipeline>,
    /// The word for all that its price depends on.
    pub(super) terms: String,
}

impl Basis {
    /// That of the run which `order` asks for.
    ///
    /// # Errors
    /// [`Refusal`] where the settings are wrong, or are of another state.
    pub(super) async fn of(
        latest: &watch::Receiver<Arc<Pipeline>>,
        daemon: &Daemon,
        order: &RunOrder,
    ) -> Result<Self, Refusal> {
        let (config, places) = daemon.origins.for_run(order).await?;
        let own = latest.borrow().clone();
        is_same_state(&config, &own)?;
        let terms = session::terms(&config, &places);
        Ok(Self {
            config,
            places,
            own,
            terms,
        })
    }
}

/// By which terms the run that `order` asks for would be done.
pub(super) async fn terms(daemon: &Daemon, order: &RunOrder) -> Result<Answer, Refusal> {
    let (config, places) = daemon.origins.for_run(order).await?;
    Ok(Answer::Terms(session::terms(&config, &places)))
}

/// Finds out what the run that `order` asks for would do and cost; nothing is taken in.
pub(super) async fn look(
    latest: &watch::Receiver<Arc<Pipeline>>,
    daemon: &Daemon,
    order: RunOrder,
    told: Told,
) -> Result<Answer, Refusal> {
    let Basis {
        config,
        places,
        own,
        terms,
    } = Basis::of(latest, daemon, &order).await?;
    let is_paid = |place: &Place| place.settings.provider.is_paid();
    let catalogue = if places.places.iter().any(is_paid) {
        let listed = session::catalogue(&config, own.clock.clone()).await;
        listed.map_err(not_set_up)?
    } else {
        Catalogue::default()
    };
    let now = own.now();
    let limits = own.pace.limits;
    let plan_terms = PlanTerms {
        routes: session::route_terms(&config),
        force: order.force,
        limit: order.limit,
        per_file: limits.per_file,
        catalogue,
        now,
    };
    let (state_dir, at_once) = (config.state_dir.clone(), own.pace.jobs);
    let looking = supervise::blocking(move || -> Result<_, QueueError> {
        let reader = Reader::open(&state_dir)?;
        let places = places.places;
        let plan = plan(&places, reader.as_ref(), plan_terms, &Reading(told))?;
        let settings = places.first().map(|place| &place.settings);
        let calendar = Calendar::around(now);
        let reader = reader.as_ref();
        let ahead = prospect::of_plan(&plan, reader, &limits, calendar, settings, at_once)?;
        Ok((ahead, plan.agreed()))
    });
    let looked = looking.await.map_err(|error| failed(error.into()))?;
    let looked = looked.map_err(|error| failed(PipelineError::from(error)));
    let ((prospect, under_way), agreed) = looked?;
    let word = daemon.plans.keep(terms, agreed);
    let planned = planned(&prospect, under_way, word);
    Ok(Answer::Planned(Box::new(planned)))
}
